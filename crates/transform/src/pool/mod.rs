//! The sandbox processes: few, warm, and shared by all endpoints.
//!
//! Invariants: there are never more processes than places and one spare; a call that is past its time
//! is ended by killing its process; starting and talking to processes happens on a thread of its own,
//! because a process dies with the thread that started it.
//!
//! Absent: who runs when (`schedule`), and what a call means ([`crate::Script`]).

mod child;
mod manager;
mod schedule;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use becket_egress::action::TransformInput;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub use child::Launcher;

use crate::wire::Outcome;

/// How many processes there are and how long calls may take.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// How a process is started.
    pub launcher: Launcher,
    /// How many calls of well-behaved endpoints run at once.
    pub quick: usize,
    /// How many calls of slow endpoints run at once, beside those.
    pub slow: usize,
    /// The longest that a call may take before its process is killed.
    pub wall: Duration,
    /// How long a call counts as quick.
    pub quantum: Duration,
    /// The longest that a call waits for a process.
    pub wait_max: Duration,
    /// After how many calls a process is replaced.
    pub calls_max: u32,
    /// How long a process that has nothing to do is kept.
    pub idle_max: Duration,
}

impl Default for PoolConfig {
    /// A quick place for each processor (2 to 8), one slow place, one second for a call.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            launcher: Launcher::default(),
            quick: processors.clamp(2, 8),
            slow: 1,
            wall: Duration::from_secs(1),
            quantum: Duration::from_millis(25),
            wait_max: Duration::from_secs(10),
            calls_max: 10_000,
            idle_max: Duration::from_secs(60),
        }
    }
}

/// Code and what it finds as `variables`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// The source: JavaScript that defines `handler`.
    pub code: String,
    /// Its variables.
    pub variables: BTreeMap<String, String>,
}

/// One call for the processes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) program: Arc<Program>,
    /// What is transformed; `None` only checks the code.
    pub(crate) input: Option<TransformInput>,
    pub(crate) reply: oneshot::Sender<Result<Answer, NoAnswer>>,
}

/// What the user's code came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) log: String,
    pub(crate) body: Bytes,
}

/// Why there is nothing to tell of the user's code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("it took longer than {} ms and was stopped", .0.as_millis())]
    TimedOut(Duration),
    #[error("no sandbox was free for {} s: too many slow transformations are running", .0.as_secs())]
    Waited(Duration),
    #[error("too many deliveries of this endpoint are waiting to be transformed")]
    TooMany,
    #[error("{0}")]
    Broken(String),
    #[error("the gateway is stopping")]
    Gone,
}

/// Runs users' code. One for the whole gateway; nothing is started before the first call.
pub struct Pool {
    config: PoolConfig,
    jobs: Mutex<Option<mpsc::UnboundedSender<(u64, Job)>>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool that starts with its first call.
    pub fn new(config: PoolConfig) -> Self {
        Self { config, jobs: Mutex::new(None) }
    }

    /// Runs a call. `endpoint` tells apart who takes turns with whom. Dropping the future breaks the
    /// call off.
    pub(crate) async fn call(
        &self,
        endpoint: u64,
        program: Arc<Program>,
        input: Option<TransformInput>,
    ) -> Result<Answer, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        self.send((endpoint, Job { program, input, reply }))?;
        answer.await.unwrap_or(Err(NoAnswer::Gone))
    }

    /// Hands a job to the manager's thread, which is started if it does not run.
    fn send(&self, mut job: (u64, Job)) -> Result<(), NoAnswer> {
        let mut jobs = self.jobs.lock();
        if let Some(sender) = jobs.as_ref() {
            match sender.send(job) {
                Ok(()) => return Ok(()),
                Err(refused) => job = refused.0,
            }
            tracing::error!("the manager of the sandboxes has ended; it is started again");
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        let config = self.config.clone();
        std::thread::Builder::new()
            .name("becket-transform".to_owned())
            .spawn(move || manager::run(config, receiver))
            .map_err(|error| NoAnswer::Broken(format!("no thread could be started: {error}")))?;
        let sent = sender.send(job).map_err(|_| NoAnswer::Gone);
        *jobs = Some(sender);
        sent
    }
}
