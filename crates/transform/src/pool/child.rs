//! One sandbox process, seen from outside.
//!
//! Invariants: its environment is empty; it is killed when its owner lets go of it; lengths that it
//! announces are bounded before anything is read.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child as Process, ChildStdin, ChildStdout, Command};

use crate::limits::REPLY_HEAD_BYTES_MAX;
use crate::sandbox;
use crate::wire::{self, Reply};

/// How much a process gives way when its call is slow.
const SLOW_NICE: i32 = 19;
/// A process with more memory in use than this is replaced, in bytes.
const RESIDENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The memory of a process is looked at after so many calls, and after each with a large body.
const LOOK_EVERY_CALLS: u32 = 64;
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// How a sandbox process is started.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Default for Launcher {
    /// This very program, even if its file has been replaced since, as `... sandbox`.
    fn default() -> Self {
        Self { program: "/proc/self/exe".into(), arguments: vec![sandbox::SUBCOMMAND.into()] }
    }
}

/// When a process has done enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wear {
    pub(super) calls_max: u32,
    pub(super) busy_max: Duration,
}

/// Why a process gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the sandbox could not be started: {0}")]
    NotStarted(std::io::Error),
    #[error("the sandbox ended in the middle of the call{0}")]
    Ended(String),
    #[error("the sandbox gave an answer that cannot be understood")]
    Nonsense,
}

pub(super) struct Child {
    process: Process,
    input: ChildStdin,
    output: ChildStdout,
    calls: u32,
    busy: Duration,
    slowed: bool,
    grown: bool,
    /// The processor time that it had used when it last answered.
    processor_us: u64,
}

impl Child {
    pub(super) fn start(launcher: &Launcher) -> Result<Self, Broken> {
        let mut process = Command::new(&launcher.program)
            .args(&launcher.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Broken::NotStarted)?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let Some((input, output)) = pipes else {
            return Err(Broken::NotStarted(std::io::ErrorKind::BrokenPipe.into()));
        };
        let (calls, busy) = (0, Duration::ZERO);
        let (slowed, grown, processor_us) = (false, false, 0);
        Ok(Self { process, input, output, calls, busy, slowed, grown, processor_us })
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// One call. After an error the process is of no more use.
    pub(super) async fn call(
        &mut self,
        front: &[u8],
        body: &Bytes,
        output_bytes_max: usize,
    ) -> Result<(Reply, Bytes), Broken> {
        let answer = self.exchange(front, body, output_bytes_max).await;
        self.calls += 1;
        match answer {
            Ok(Some(answer)) => {
                self.processor_us = answer.0.processor_us;
                if self.calls.is_multiple_of(LOOK_EVERY_CALLS) || body.len() >= LARGE_BODY_BYTES {
                    self.grown = resident_bytes(self.id()) > RESIDENT_BYTES_MAX;
                }
                Ok(answer)
            }
            Ok(None) => Err(Broken::Nonsense),
            Err(_) => Err(Broken::Ended(self.how_it_ended().await)),
        }
    }

    async fn exchange(
        &mut self,
        front: &[u8],
        body: &Bytes,
        output_bytes_max: usize,
    ) -> std::io::Result<Option<(Reply, Bytes)>> {
        self.input.write_all(front).await?;
        self.input.write_all(body).await?;
        let mut prefix = [0; wire::PREFIX_BYTES];
        self.output.read_exact(&mut prefix).await?;
        let (head_bytes, body_bytes) = wire::lengths(prefix);
        if head_bytes > REPLY_HEAD_BYTES_MAX || body_bytes > output_bytes_max {
            return Ok(None);
        }
        let mut head = vec![0; head_bytes];
        self.output.read_exact(&mut head).await?;
        let mut new_body = vec![0; body_bytes];
        self.output.read_exact(&mut new_body).await?;
        let reply = serde_json::from_slice(&head).ok();
        Ok(reply.map(|reply| (reply, Bytes::from(new_body))))
    }

    /// Says why the process is gone, as far as that is known.
    async fn how_it_ended(&mut self) -> String {
        let ended = tokio::time::timeout(Duration::from_millis(200), self.process.wait()).await;
        match ended {
            Ok(Ok(status)) if status.signal() == Some(rustix::process::Signal::SYS.as_raw()) => {
                format!(
                    " ({status}): a filter of system calls around the gateway forbids what the sandbox needs; \
                 a systemd unit has to allow `SystemCallFilter=@system-service seccomp`"
                )
            }
            Ok(Ok(status)) => format!(" ({status}), most likely for want of memory"),
            _ => String::new(),
        }
    }

    /// Lets the process give way to all others for the rest of its life.
    pub(super) fn slow_down(&mut self) {
        self.slowed = true;
        slow_down(self.id());
    }

    /// The processor time that it had used when it last answered, in microseconds.
    pub(super) fn processor_us(&self) -> u64 {
        self.processor_us
    }

    pub(super) fn add_busy(&mut self, busy: Duration) {
        self.busy += busy;
    }

    /// Whether it can serve another call, in a quick or in a slow place.
    pub(super) fn is_fresh(&self, wear: Wear) -> bool {
        !self.grown && self.calls < wear.calls_max && self.busy < wear.busy_max
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Whether it gives way to others.
    pub(super) fn is_slowed(&self) -> bool {
        self.slowed
    }

    /// Ends it and waits until it is gone.
    pub(super) async fn kill(mut self) {
        if let Err(error) = self.process.kill().await {
            tracing::warn!(%error, "a sandbox process could not be killed");
        }
    }
}

fn pid(id: Option<u32>) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(id?).ok()?)
}

/// Lets a process give way to all others. It may have ended already, which is as good.
pub(super) fn slow_down(id: Option<u32>) {
    if let Some(pid) = pid(id) {
        let _ = rustix::process::setpriority_process(Some(pid), SLOW_NICE);
    }
}

/// The processor time that a process has used, in microseconds; `None` where that is not told.
pub(super) fn processor_us(id: Option<u32>) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/schedstat", id?)).ok()?;
    let ns: u64 = text.split(' ').next()?.parse().ok()?;
    Some(ns / 1_000)
}

/// The memory that a process has in use; 0 if that cannot be found out.
fn resident_bytes(id: Option<u32>) -> u64 {
    let Some(id) = id else { return 0 };
    let text = std::fs::read_to_string(format!("/proc/{id}/statm")).unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages.saturating_mul(rustix::param::page_size() as u64)
}
