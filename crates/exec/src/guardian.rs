//! The process between the gateway and a program. It starts the program, ends it when told to or when
//! the gateway is gone, ends everything that the program leaves behind, and reports.
//!
//! Its standard input and output are the program's; its standard error is a socket to the gateway.
//!
//! Invariants: it adopts every orphan below it (`PR_SET_CHILD_SUBREAPER`), so that nobody escapes by
//! leaving the process group; it holds the lock until the last of them is gone, and so does each of
//! them, because they inherit it: if even the guardian is killed, no second run begins while one of
//! them lives.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use crate::child::{BECOME, COMMAND};
use crate::wire::{Confinement, ORDER_KILL, ORDER_TERMINATE, Plan, Report};

/// How long what a program leaves behind has to end by itself, such as the end of a pipeline.
const LINGER: Duration = Duration::from_millis(500);
/// How long ending everything may take; what cannot be killed keeps the lock.
const KILLING: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn main() -> ExitCode {
    let done = prepare().and_then(|control| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async { guard(UnixStream::from_std(control)?).await })
    });
    // There is nobody to tell: the gateway sees that the socket is closed.
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn prepare() -> io::Result<std::os::unix::net::UnixStream> {
    let control = io::stderr().as_fd().try_clone_to_owned()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stderr(&null)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let control = std::os::unix::net::UnixStream::from(control);
    control.set_nonblocking(true)?;
    Ok(control)
}

struct Control {
    reading: BufReader<OwnedReadHalf>,
    writing: OwnedWriteHalf,
}

enum Order {
    Terminate,
    Kill,
    /// The gateway is gone, or has broken the attempt off.
    Gone,
}

impl Control {
    async fn order(&mut self) -> Order {
        loop {
            match self.reading.read_u8().await {
                Ok(ORDER_TERMINATE) => return Order::Terminate,
                Ok(ORDER_KILL) => return Order::Kill,
                Ok(_) => {}
                Err(_) => return Order::Gone,
            }
        }
    }

    async fn report(&mut self, report: &Report) {
        if let Ok(mut line) = serde_json::to_vec(report) {
            line.push(b'\n');
            // Whoever does not listen any more has stopped the attempt, which comes as an order.
            let _ = self.writing.write_all(&line).await;
        }
    }
}

async fn guard(stream: UnixStream) -> io::Result<()> {
    let (reading, writing) = stream.into_split();
    let mut control = Control { reading: BufReader::new(reading), writing };
    let mut line = String::new();
    control.reading.read_line(&mut line).await?;
    let plan: Plan = serde_json::from_str(&line)?;
    // A service manager or a terminal may signal everybody; whether the program ends is the gateway's
    // decision, and its end is noticed anyway.
    let _ignored = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    ];
    let mut children = signal(SignalKind::child())?;
    let Some(lock) = locked(&plan, &mut control).await? else { return Ok(()) };
    let report = match start(&plan, lock.as_ref()) {
        Ok(pid) => {
            let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
            rustix::stdio::dup2_stdin(&null)?;
            rustix::stdio::dup2_stdout(&null)?;
            if let Some(lock) = &lock {
                note_holder(lock, pid);
            }
            control.report(&Report::Started).await;
            let (status, kill_at) = watch(pid, &plan, &mut control, &mut children).await?;
            match kill_at {
                Some(kill_at) => end_the_rest(kill_at, &mut children).await,
                None if plan.keep_background => {}
                None => end_the_rest(Instant::now() + LINGER, &mut children).await,
            }
            match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Report::Exited { code },
                (None, signal) => Report::Killed { signal: signal.unwrap_or_default() },
            }
        }
        Err(error) => Report::NotStarted {
            problem: format!("the process could not be started: {error}"),
            too_long: error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error()),
        },
    };
    // Whoever hears the report may begin the next run.
    drop(lock);
    control.report(&report).await;
    Ok(())
}

/// Takes one of the locks, waiting for an earlier run. `Some(None)` if none is wanted, `None` if the
/// gateway does not want to wait any longer.
async fn locked(plan: &Plan, control: &mut Control) -> io::Result<Option<Option<File>>> {
    if plan.locks.is_empty() {
        return Ok(Some(None));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut files = Vec::new();
    for path in &plan.locks {
        let opened = options.open(path);
        match opened {
            Ok(file) => files.push(file),
            Err(error) => {
                let problem = format!("the lock {} cannot be opened: {error}", path.display());
                control.report(&Report::NotStarted { problem, too_long: false }).await;
                return Ok(None);
            }
        }
    }
    let mut told = false;
    loop {
        for index in 0..files.len() {
            match rustix::fs::flock(&files[index], FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Some(files.swap_remove(index)))),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => {
                    let path = plan.locks[index].display();
                    let problem = format!("the lock {path} cannot be taken: {error}");
                    control.report(&Report::NotStarted { problem, too_long: false }).await;
                    return Ok(None);
                }
            }
        }
        if !told {
            told = true;
            control.report(&Report::Waiting { holder: holder(&mut files[0]) }).await;
        }
        tokio::select! {
            _ = control.order() => return Ok(None),
            () = sleep(LOCK_PAUSE) => {}
        }
    }
}

/// Writes down who has the lock, for people.
fn note_holder(mut lock: &File, pid: Pid) {
    // Nothing depends on it.
    let _ = lock
        .set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "process group {}", pid.as_raw_pid()));
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(100).read_to_string(&mut text);
    if read.is_ok() { text.trim().to_owned() } else { String::new() }
}

fn start(plan: &Plan, lock: Option<&File>) -> io::Result<Pid> {
    let confinement = Confinement {
        guardian: rustix::process::getpid().as_raw_pid(),
        ..plan.confinement.clone()
    };
    if let Some(lock) = lock.filter(|_| !plan.keep_background) {
        rustix::io::fcntl_setfd(lock, rustix::io::FdFlags::empty())?;
    }
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("becket")
        .args([COMMAND, BECOME])
        .arg(serde_json::to_string(&confinement)?)
        .arg(&plan.program)
        .args(&plan.arguments)
        .env_clear()
        .envs(plan.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(output)
        .process_group(0);
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the process has no number"))
}

/// Waits for the program's end. If it was told to end: also when everything else is to be killed.
async fn watch(
    pid: Pid,
    plan: &Plan,
    control: &mut Control,
    children: &mut Signals,
) -> io::Result<(WaitStatus, Option<Instant>)> {
    let mut kill_at: Option<Instant> = None;
    let mut killed = false;
    let mut listening = true;
    loop {
        let mut ended = None;
        reap(|one, status| {
            if one == pid {
                ended = Some(status);
            }
        });
        if let Some(status) = ended {
            return Ok((status, kill_at));
        }
        let order = tokio::select! {
            _ = children.recv() => continue,
            order = control.order(), if listening => order,
            () = at(kill_at), if kill_at.is_some() && !killed => Order::Kill,
        };
        match order {
            Order::Kill => {
                kill_at = Some(Instant::now());
                killed = true;
                // The group's number cannot be another's: its leader has not been waited for.
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
            }
            Order::Terminate | Order::Gone => {
                listening &= !matches!(order, Order::Gone);
                if kill_at.is_none() {
                    kill_at = Some(Instant::now() + Duration::from_millis(plan.grace_ms));
                    let _ = rustix::process::kill_process_group(pid, Signal::TERM);
                }
            }
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits for everybody who has ended. False if there is nobody left at all.
fn reap(mut ended: impl FnMut(Pid, WaitStatus)) -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => ended(pid, status),
            Ok(None) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Ends what the program has left behind. Whoever loses their parent becomes our child, so killing our
/// children again and again reaches everybody.
async fn end_the_rest(kill_at: Instant, children: &mut Signals) {
    let until = kill_at.max(Instant::now()) + KILLING;
    while reap(|_, _| {}) && Instant::now() < until {
        let mut pause = kill_at.saturating_duration_since(Instant::now());
        if pause.is_zero() {
            kill_children();
            pause = Duration::from_millis(5);
        }
        tokio::select! {
            _ = children.recv() => {}
            () = sleep(pause) => {}
        }
    }
}

fn kill_children() {
    let own = rustix::process::getpid().as_raw_pid();
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        if parent_of(&stat) == Some(own)
            && let Some(pid) = Pid::from_raw(pid)
        {
            // It is our child and has not been waited for, so the number is still its own.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// The parent in a line of `/proc/<pid>/stat`, whose second field may hold anything, parentheses
/// included.
fn parent_of(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_found_behind_any_name() {
        assert_eq!(parent_of("12 (sh) S 7 12 12 0"), Some(7));
        assert_eq!(parent_of("12 (a) S 9 (b) ) R 7 12"), Some(7));
        assert_eq!(parent_of(""), None);
    }
}
