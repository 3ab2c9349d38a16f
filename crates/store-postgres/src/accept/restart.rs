//! Repeats of events that may have failed altogether: what the first one had to do is started again,
//! apart from the writers, so that nobody who brings something new waits for it.
//!
//! Invariants: that the event has come again is noted and committed before it gets here. Those that
//! come together share a transaction; if that fails, each has its own, so that nobody is told of
//! another's trouble. What waits is bounded: a sender for whom there is no room is told to come again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use becket_model::EventId;
use becket_store::{Accepted, Replayed, StoreError};

use super::{Accepting, Job};
use crate::errors::Failure;
use crate::replay::{self, Locked};
use crate::session::Session;
use crate::shared::Shared;

const OPERATION: &str = "event_accept";
/// Repeats in one transaction, at most.
const TOGETHER: usize = 64;
/// Repeats that may wait.
const WAITING_MAX: usize = 2_048;

/// A repeat of an event.
pub(super) struct Restart {
    pub(super) job: Job,
    pub(super) event: EventId,
}

/// The repeats that wait, and how many of them are under way.
#[derive(Default)]
pub(super) struct Restarts {
    waiting: VecDeque<Restart>,
    under_way: usize,
}

impl Restarts {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }
}

impl Accepting {
    /// Has deliveries of an event started again, and the repeat answered then.
    pub(super) fn restart(&self, restart: Restart) {
        let mut queue = self.queue.lock();
        let waiting = queue.restarts.waiting.len();
        if waiting >= WAITING_MAX {
            drop(queue);
            restart.job.answer(Err(StoreError::Busy { waiting }));
            return;
        }
        queue.restarts.waiting.push_back(restart);
        drop(queue);
        self.failed.notify_one();
    }

    fn next_restarts(&self) -> Vec<Restart> {
        let mut queue = self.queue.lock();
        let restarts = &mut queue.restarts;
        let count = restarts.waiting.len().min(TOGETHER);
        restarts.under_way = count;
        restarts.waiting.drain(..count).collect()
    }

    fn restarted(&self) {
        let mut queue = self.queue.lock();
        queue.restarts.under_way = 0;
        if queue.is_finished() {
            self.rest.notify_waiters();
        }
    }
}

/// Starts deliveries of repeated events again, until it is ended.
pub(super) async fn work(shared: Arc<Shared>) {
    let accepting = &shared.accepting;
    loop {
        let called = accepting.failed.notified();
        let batch = accepting.next_restarts();
        if batch.is_empty() {
            called.await;
            continue;
        }
        start(&shared, batch).await;
        accepting.restarted();
    }
}

async fn start(shared: &Shared, batch: Vec<Restart>) {
    let mut conn = match shared.write(OPERATION).await {
        Ok(conn) => conn,
        Err(error) => {
            batch.into_iter().for_each(|one| one.job.answer(Err(error.clone())));
            return;
        }
    };
    let wanted: Vec<_> = batch.iter().map(|one| one.wanted()).collect();
    if let Ok(all) = together(&mut conn, &wanted).await {
        for (one, replayed) in batch.into_iter().zip(all) {
            one.answer(shared, Ok(replayed));
        }
        return;
    }
    drop(conn);
    for one in batch {
        let outcome = alone(shared, one.wanted()).await;
        one.answer(shared, outcome);
    }
}

impl Restart {
    /// The event, and when its deliveries are due.
    fn wanted(&self) -> (EventId, i64) {
        (self.event, self.job.accept.received_at_ms)
    }

    fn answer(self, shared: &Shared, outcome: Result<Vec<Replayed>, StoreError>) {
        let (event, due_ms) = self.wanted();
        let accepted = outcome.map(|replayed| {
            replay::started(shared, &replayed, due_ms);
            Accepted::Duplicate { event, replayed }
        });
        self.job.answer(accepted);
    }
}

async fn alone(shared: &Shared, wanted: (EventId, i64)) -> Result<Vec<Replayed>, StoreError> {
    let mut conn = shared.write(OPERATION).await?;
    match together(&mut conn, &[wanted]).await {
        Ok(replayed) => Ok(replayed.into_iter().flatten().collect()),
        // Somebody else has just started it.
        Err(failure) if failure.is_unique() => Ok(Vec::new()),
        Err(failure) => Err(failure.into()),
    }
}

/// Starts the deliveries of events again of which the latest to each endpoint has failed; for each
/// event those that were started.
async fn together(
    session: &mut Session,
    wanted: &[(EventId, i64)],
) -> Result<Vec<Vec<Replayed>>, Failure> {
    let tx = session.begin(OPERATION).await?;
    let seqs: Vec<i64> = wanted.iter().map(|(event, _)| event.seq().0).collect();
    // Always in the same order, so that two who want the same events do not wait for each other.
    let sql =
        "SELECT seq, planned FROM event WHERE seq = ANY($1::bigint[]) ORDER BY seq FOR UPDATE";
    let rows = tx.rows(sql, &[&seqs]).await?;
    let planned: HashMap<i64, Vec<i32>> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut all = Vec::with_capacity(wanted.len());
    for (event, due_ms) in wanted {
        // What retention has taken meanwhile is a repeat of something that is over.
        let Some(planned) = planned.get(&event.seq().0) else {
            all.push(Vec::new());
            continue;
        };
        all.push(replay::repeat(&tx, &Locked { event: *event, planned }, *due_ms).await?);
    }
    tx.commit().await?;
    Ok(all)
}
