//! The gateway's side of one run: feeding the payload, reading the output, keeping the time.
//!
//! Invariant: dropping the future closes the socket to the guardian, which then ends the program;
//! nobody has to be waited for.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep_until, timeout};

use crate::child::{COMMAND, GUARD};
use crate::wire::{ORDER_KILL, ORDER_TERMINATE, Plan, Report};

/// How long after its time an attempt may still wait for the guardian's report.
const REPORTING: Duration = Duration::from_millis(700);
/// How long output is read after the end of the program: somebody else may hold the pipe.
const DRAINING: Duration = Duration::from_millis(500);
const CHUNK_BYTES: usize = 16 * 1024;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Killed(i32),
    NotStarted {
        problem: String,
        too_long: bool,
    },
    /// Its time was over. What it came to after SIGTERM, if it did not have to be killed.
    TimedOut {
        gently: bool,
    },
    /// An earlier run did not end in time.
    Locked {
        holder: String,
    },
    /// The guardian went away without a report.
    Lost,
}

/// What happens during a run.
pub(crate) trait Watcher {
    /// The program has printed something.
    fn output(&mut self, bytes: &[u8]);
    /// The run waits for an earlier one to end.
    fn waiting(&mut self, holder: &str);
}

/// How long a run may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    /// When it began.
    pub(crate) started: Instant,
    /// When it must be over.
    pub(crate) limit: Duration,
    /// How much of that is for ending gently.
    pub(crate) grace: Duration,
}

/// Runs a plan with this payload on its standard input.
pub(crate) async fn run(
    launcher: &Path,
    plan: &Plan,
    payload: Bytes,
    time: Time,
    watcher: &mut (impl Watcher + Send),
) -> Ended {
    let launcher = launcher.to_owned();
    // Starting a process takes a moment, in which other deliveries go on.
    let spawned = tokio::task::spawn_blocking(move || spawn(&launcher)).await;
    let begun = match spawned {
        Ok(Ok(begun)) => begun,
        Ok(Err(error)) => {
            return not_started(format!("its guardian could not be started: {error}"));
        }
        Err(error) => return not_started(format!("its guardian could not be started: {error}")),
    };
    match follow(begun, plan, payload, time, watcher).await {
        Ok(ended) => ended,
        Err(error) => not_started(format!("its guardian could not be reached: {error}")),
    }
}

fn not_started(problem: String) -> Ended {
    Ended::NotStarted { problem, too_long: false }
}

/// What the gateway holds of a run.
struct Begun {
    guardian: Guardian,
    control: std::os::unix::net::UnixStream,
    payload: OwnedFd,
    output: OwnedFd,
}

fn spawn(launcher: &Path) -> io::Result<Begun> {
    let (payload_reader, payload) = io::pipe()?;
    let (output, output_writer) = io::pipe()?;
    let (control, theirs) = std::os::unix::net::UnixStream::pair()?;
    control.set_nonblocking(true)?;
    let child = Command::new(launcher)
        .arg0("becket")
        .args([COMMAND, GUARD])
        .env_clear()
        .stdin(payload_reader)
        .stdout(output_writer)
        .stderr(OwnedFd::from(theirs))
        // Signals for the gateway's group, such as Ctrl-C, are for the gateway.
        .process_group(0)
        .spawn()?;
    let guardian = Guardian { child: Some(child) };
    Ok(Begun { guardian, control, payload: payload.into(), output: output.into() })
}

async fn follow(
    begun: Begun,
    plan: &Plan,
    payload: Bytes,
    time: Time,
    watcher: &mut (impl Watcher + Send),
) -> io::Result<Ended> {
    let Begun { guardian: _guardian, control, payload: payload_fd, output } = begun;
    let (reading, mut orders) = UnixStream::from_std(control)?.into_split();
    let mut reports = BufReader::new(reading).lines();
    let mut line = serde_json::to_vec(plan)?;
    line.push(b'\n');
    let mut payload_pipe = pipe::Sender::from_owned_fd(payload_fd)?;
    let mut output = pipe::Receiver::from_owned_fd(output)?;
    orders.write_all(&line).await?;
    drop(line);

    let feeding = async move {
        // A program need not read its input; whether it did is its own affair.
        let _ = payload_pipe.write_all(&payload).await;
        drop(payload_pipe);
    };
    tokio::pin!(feeding);
    let mut fed = false;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut output_open = true;
    let mut phase = Phase::Running;
    let mut waited_for: Option<String> = None;
    let report = loop {
        tokio::select! {
            report = reports.next_line() => {
                // A guardian that ends before it has read every order resets the connection.
                let report = report.ok().flatten().and_then(|line| serde_json::from_str(&line).ok());
                match report {
                    Some(Report::Waiting { holder }) => {
                        watcher.waiting(&holder);
                        waited_for = Some(holder);
                    }
                    Some(Report::Started) => waited_for = None,
                    other => break other,
                }
            }
            read = output.read(&mut chunk), if output_open => match read? {
                0 => output_open = false,
                length => watcher.output(&chunk[..length]),
            },
            () = &mut feeding, if !fed => fed = true,
            () = sleep_until(phase.ends(time)) => {
                let (next, order) = match phase {
                    Phase::Running => (Phase::Ending, ORDER_TERMINATE),
                    Phase::Ending => (Phase::Killing, ORDER_KILL),
                    Phase::Killing => break None,
                };
                phase = next;
                // If the guardian is gone, the end of its reports says so.
                let _ = orders.write_u8(order).await;
            }
        }
    };
    let draining = async {
        while output_open {
            match output.read(&mut chunk).await {
                Ok(length) if length > 0 => watcher.output(&chunk[..length]),
                _ => output_open = false,
            }
        }
    };
    // The pipe may be held open by a process that the program has handed it to.
    let _ = timeout(DRAINING, draining).await;
    Ok(match (report, phase, waited_for) {
        (_, Phase::Ending | Phase::Killing, Some(holder)) => Ended::Locked { holder },
        (Some(Report::NotStarted { problem, too_long }), ..) => {
            Ended::NotStarted { problem, too_long }
        }
        (_, Phase::Ending, _) => Ended::TimedOut { gently: true },
        (_, Phase::Killing, _) => Ended::TimedOut { gently: false },
        (Some(Report::Exited { code }), ..) => Ended::Exited(code),
        (Some(Report::Killed { signal }), ..) => Ended::Killed(signal),
        _ => Ended::Lost,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// It has been told to end.
    Ending,
    /// It has been killed.
    Killing,
}

impl Phase {
    fn ends(self, time: Time) -> Instant {
        time.started
            + match self {
                Self::Running => time.limit.saturating_sub(time.grace),
                Self::Ending => time.limit,
                Self::Killing => time.limit + REPORTING,
            }
    }
}

/// A guardian that is waited for when it has ended, by whoever has time.
struct Guardian {
    child: Option<Child>,
}

impl Drop for Guardian {
    fn drop(&mut self) {
        static REAPER: OnceLock<Option<mpsc::Sender<Child>>> = OnceLock::new();
        let Some(mut child) = self.child.take() else { return };
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        let reaper = REAPER.get_or_init(|| {
            let (sender, receiver) = mpsc::channel();
            let thread = std::thread::Builder::new().name("exec-reaper".to_owned());
            match thread.spawn(move || reap(&receiver)) {
                Ok(_) => Some(sender),
                Err(error) => {
                    tracing::error!(%error, "no thread to wait for programs: they stay as zombies");
                    None
                }
            }
        });
        if let Some(reaper) = reaper {
            // The thread only ends with the process.
            let _ = reaper.send(child);
        }
    }
}

fn reap(children: &mpsc::Receiver<Child>) {
    const PAUSE: Duration = Duration::from_millis(50);
    let mut waiting: Vec<Child> = Vec::new();
    loop {
        let next = if waiting.is_empty() {
            children.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
        } else {
            children.recv_timeout(PAUSE)
        };
        match next {
            Ok(child) => waiting.push(child),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        waiting.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}
