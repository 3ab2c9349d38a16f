//! Recording attempts: calls that come together are one statement and one commit.
//!
//! Invariants:
//! - The first writer never waits for company; another one joins while the others are at work, if
//!   enough has come together or something has waited for [`PATIENCE`]. So a lone result is written at
//!   once, and many share few commits.
//! - The queue is bounded; what does not fit is refused as busy. A call is answered when its commit
//!   is, with what became of it.
//! - Two results under one lease never stand in the same statement; the second finds the lease used.
//! - A statement that cannot be run because of one result is run again for each alone, so that nobody
//!   suffers for another. When the connection is lost before the answer, the database is asked whether
//!   the attempts are there before they are written again.
//!
//! Where next: `batch` for the statement.

mod batch;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_store::{AttemptFinish, FinishOutcome, Result, StoreError};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::errors::Failure;
use crate::options::Options;
use crate::session::Session;
use crate::shared::Shared;

const OPERATION: &str = "attempt_finish";
/// Results in one statement, at most.
const CALLS_MAX: usize = 256;
/// Bytes of details in one statement beyond which nothing is added.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// So many results for each writer at work are enough for another one to join.
const COMPANY: usize = 64;
/// Nothing waits longer than this while a writer is free.
const PATIENCE: Duration = Duration::from_millis(3);
/// So often a batch that met another transaction is done again at once.
const CONFLICTS_MAX: u32 = 5;
/// What is set in the session. Its plans must not depend on how full the tables were when they were
/// made; a commit that waits for its standby is not broken off by the server.
const SETUP: &str = "SET statement_timeout = 0; SET plan_cache_mode = force_generic_plan;";

/// A call that waits.
struct Call {
    finish: AttemptFinish,
    /// The random part of the attempt's id.
    tail: [u8; 6],
    reply: oneshot::Sender<Result<FinishOutcome>>,
}

/// What waits to be recorded.
pub(crate) struct Finishing {
    sender: mpsc::Sender<Call>,
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Call>>>,
    /// Calls that have not been answered.
    open: AtomicUsize,
    answered: Notify,
    /// Writers at work.
    busy: Arc<Busy>,
}

/// Writers at work, and a sign when one has finished.
#[derive(Default)]
struct Busy {
    count: AtomicUsize,
    done: Notify,
}

impl Finishing {
    pub(crate) fn new(options: &Options) -> Self {
        let (sender, receiver) = mpsc::channel(options.queue_max.max(1));
        Self {
            sender,
            receiver: Arc::new(tokio::sync::Mutex::new(receiver)),
            open: AtomicUsize::new(0),
            answered: Notify::new(),
            busy: Arc::default(),
        }
    }
}

/// Counts a call until it is answered, or given up.
struct Open<'a>(&'a Finishing);

impl<'a> Open<'a> {
    fn new(finishing: &'a Finishing) -> Self {
        finishing.open.fetch_add(1, Ordering::AcqRel);
        Self(finishing)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.answered.notify_waiters();
    }
}

/// Starts the writers.
pub(crate) fn start(shared: &Arc<Shared>) {
    for _ in 0..shared.options.writers.max(1) {
        let receiver = Arc::clone(&shared.finishing.receiver);
        let busy = Arc::clone(&shared.finishing.busy);
        shared.spawn(work(Arc::downgrade(shared), receiver, busy));
    }
}

/// Waits until what is queued is written.
pub(crate) async fn close(shared: &Arc<Shared>) {
    let finishing = &shared.finishing;
    loop {
        let answered = finishing.answered.notified();
        tokio::pin!(answered);
        answered.as_mut().enable();
        if finishing.open.load(Ordering::Acquire) == 0 {
            return;
        }
        answered.await;
    }
}

pub(crate) async fn attempt_finish(
    shared: &Arc<Shared>,
    finish: AttemptFinish,
) -> Result<FinishOutcome> {
    let finishing = &shared.finishing;
    // Counted first: who closes the store sees the call, or the call sees that it is closed.
    let _open = Open::new(finishing);
    let _waiting = shared.meters.wait();
    shared.open()?;
    let mut tail = [0; 6];
    shared.noise.fill(&mut tail);
    let (reply, answer) = oneshot::channel();
    match finishing.sender.try_send(Call { finish, tail, reply }) {
        Ok(()) => answer.await.unwrap_or(Err(StoreError::Closed)),
        Err(mpsc::error::TrySendError::Full(_)) => {
            Err(StoreError::Busy { waiting: finishing.sender.max_capacity() })
        }
        Err(mpsc::error::TrySendError::Closed(_)) => Err(StoreError::Closed),
    }
}

async fn work(
    shared: Weak<Shared>,
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Call>>>,
    busy: Arc<Busy>,
) {
    let mut session: Option<Session> = None;
    loop {
        let Some(mut calls) = gather(&receiver, &busy).await else { return };
        let Some(shared) = shared.upgrade() else { return };
        while !calls.is_empty() {
            let (batch, later) = distinct(calls);
            record(&shared, &mut session, batch).await;
            calls = later;
        }
        busy.count.fetch_sub(1, Ordering::AcqRel);
        busy.done.notify_one();
    }
}

/// What waits now, or the next that comes. One writer gathers at a time; it is at work afterwards.
async fn gather(
    receiver: &tokio::sync::Mutex<mpsc::Receiver<Call>>,
    busy: &Busy,
) -> Option<Vec<Call>> {
    let mut receiver = receiver.lock().await;
    let first = receiver.recv().await?;
    let others = || busy.count.load(Ordering::Acquire);
    if others() > 0 && receiver.len() < COMPANY * others() {
        // Whether one of them finishes or the time is over, what has come by then is taken.
        let _ = tokio::time::timeout(PATIENCE, busy.done.notified()).await;
    }
    busy.count.fetch_add(1, Ordering::AcqRel);
    let mut bytes = first.finish.attempt.detail.len();
    let mut calls = vec![first];
    while calls.len() < CALLS_MAX && bytes < BYTES_MAX {
        let Ok(call) = receiver.try_recv() else { break };
        bytes += call.finish.attempt.detail.len();
        calls.push(call);
    }
    Some(calls)
}

/// At most one call for each lease, and the others.
fn distinct(calls: Vec<Call>) -> (Vec<Call>, Vec<Call>) {
    let mut seen = HashSet::with_capacity(calls.len());
    calls.into_iter().partition(|call| seen.insert((call.finish.delivery, call.finish.lease)))
}

/// Records the batch and answers its calls.
async fn record(shared: &Arc<Shared>, session: &mut Option<Session>, mut calls: Vec<Call>) {
    // Always in the same order, so that two who touch the same rows do not wait for each other.
    calls.sort_unstable_by_key(|call| call.finish.delivery);
    let outcome = write(shared, session, &calls).await;
    match outcome {
        Ok(recorded) => {
            shared.meters.committed(recorded.iter().filter(|recorded| **recorded).count() as u64);
            for (call, recorded) in calls.into_iter().zip(recorded) {
                settle(shared, call, recorded);
            }
        }
        Err(failure) if failure.concerns_values() && calls.len() > 1 => {
            for call in calls {
                let alone = write(shared, session, std::slice::from_ref(&call)).await;
                match alone {
                    Ok(recorded) => settle(shared, call, recorded.contains(&true)),
                    Err(failure) => answer(call, Err(failure.into())),
                }
            }
        }
        Err(failure) => {
            let error = StoreError::from(failure);
            calls.into_iter().for_each(|call| answer(call, Err(error.clone())));
        }
    }
}

fn settle(shared: &Shared, call: Call, recorded: bool) {
    let finish = &call.finish;
    if recorded && let becket_model::NextStep::RetryAt(due_ms) = finish.next {
        shared.cluster.put_back(finish.delivery.endpoint.0, due_ms);
    }
    let outcome = if recorded { batch::recorded(finish, call.tail) } else { FinishOutcome::Stale };
    answer(call, Ok(outcome));
}

fn answer(call: Call, answer: Result<FinishOutcome>) {
    // Who has gone does not want to know.
    let _ = call.reply.send(answer);
}

/// Writes the batch: which of its calls were recorded.
async fn write(
    shared: &Arc<Shared>,
    session: &mut Option<Session>,
    calls: &[Call],
) -> Result<Vec<bool>, Failure> {
    let (mut conflicts, mut lost) = (0, false);
    let columns = batch::Columns::of(calls.iter().map(|call| (&call.finish, &call.tail)));
    loop {
        let connected = match session.take().filter(|session| !session.is_useless()) {
            Some(known) => session.insert(known),
            None => session.insert(connect(shared).await?),
        };
        if lost && let Some(recorded) = batch::found(connected, &columns, calls.len()).await? {
            return Ok(recorded);
        }
        match batch::write(connected, &columns, calls.len()).await {
            Err(failure) if failure.is_conflict() && conflicts < CONFLICTS_MAX => {
                conflicts += 1;
                tokio::time::sleep(Duration::from_millis(u64::from(conflicts) * 20)).await;
            }
            // Nobody knows whether it was committed.
            Err(failure) if connected.is_useless() && !lost && failure.code().is_none() => {
                lost = true;
            }
            outcome => return outcome,
        }
    }
}

async fn connect(shared: &Arc<Shared>) -> Result<Session> {
    let limit = shared.options.wait_max;
    let connected = tokio::time::timeout(limit, shared.connect_dedicated(OPERATION)).await;
    let session = connected.unwrap_or_else(|_| {
        let detail = format!("no connection within {} s", limit.as_secs_f32());
        Err(crate::errors::unavailable(OPERATION, detail))
    })?;
    session.batch(OPERATION, &format!("{SETUP} {}", crate::deliveries::INDEX_ONLY)).await?;
    Ok(session)
}

#[cfg(test)]
mod tests {
    use becket_model::{DeliveryKey, EndpointKey, EventId, NextStep, Trigger};
    use becket_store::{AttemptWrite, LeaseToken};
    use bytes::Bytes;

    use super::*;

    fn call(endpoint: u32, lease: u64) -> Call {
        let event = EventId::from_bytes([7; 20]);
        let attempt = AttemptWrite {
            number: 1,
            trigger: Trigger::Receipt,
            started_at_ms: 0,
            duration_ms: 0,
            status: None,
            error_code: None,
            detail: Bytes::new(),
        };
        let delivery = DeliveryKey { event, endpoint: EndpointKey(endpoint), generation: 0 };
        let finish = AttemptFinish {
            delivery,
            lease: LeaseToken(lease),
            attempt,
            next: NextStep::Delivered,
        };
        Call { finish, tail: [0; 6], reply: oneshot::channel().0 }
    }

    #[test]
    fn a_lease_stands_once_in_a_batch() {
        let (batch, later) = distinct(vec![call(1, 5), call(2, 5), call(1, 5), call(1, 6)]);
        let leases = |calls: &[Call]| {
            calls
                .iter()
                .map(|call| (call.finish.delivery.endpoint.0, call.finish.lease.0))
                .collect::<Vec<_>>()
        };
        assert_eq!(leases(&batch), [(1, 5), (2, 5), (1, 6)]);
        assert_eq!(leases(&later), [(1, 5)]);
    }

    #[tokio::test]
    async fn what_waits_is_gathered_up_to_a_limit() {
        let (sender, receiver) = mpsc::channel(CALLS_MAX * 2);
        for _ in 0..CALLS_MAX + 1 {
            sender.try_send(call(1, 1)).unwrap_or_else(|_| panic!("there is room"));
        }
        let (receiver, busy) = (tokio::sync::Mutex::new(receiver), Busy::default());
        assert_eq!(gather(&receiver, &busy).await.unwrap().len(), CALLS_MAX);
        assert_eq!(gather(&receiver, &busy).await.unwrap().len(), 1);
        assert_eq!(busy.count.load(Ordering::Acquire), 2);
        let mut large = call(1, 1);
        large.finish.attempt.detail = vec![0; BYTES_MAX].into();
        let _ = sender.try_send(large);
        let _ = sender.try_send(call(1, 1));
        assert_eq!(gather(&receiver, &busy).await.unwrap().len(), 1);
        drop(sender);
        assert_eq!(gather(&receiver, &busy).await.unwrap().len(), 1);
        assert!(gather(&receiver, &busy).await.is_none());
    }
}
