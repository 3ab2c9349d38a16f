//! A writer: stores batch after batch, and sorts out what can go wrong with one.
//!
//! Invariants: a batch is stored as a whole or not at all; if the database refuses it because of what
//! is in it, it is halved until the event stands alone that does not fit. A place that another node
//! has drawn too is drawn anew. When the session breaks off, nobody in the batch is told that it is
//! stored; when no writer has a session and none can be had, who waits is told the same instead of
//! waiting for a server that is not there. A writer takes a batch only once it has a session.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use becket_model::EventSeq;
use becket_store::{Accepted, StoreError};

use super::repeat::{self, Outcome};
use super::restart::Restart;
use super::statement::{self, Drawn};
use super::{Accepting, Job, Next, PATIENCE};
use crate::errors::Failure;
use crate::partitions;
use crate::session::Session;
use crate::shared::Shared;

const OPERATION: &str = "event_accept";
/// How often a batch is tried that met others.
const TRIES: usize = 5;
/// How often an event may turn out to be neither new nor a repeat, because what it repeated went.
const ROUNDS_MAX: u8 = 5;

/// Takes batches from the queue and stores them, until it is ended.
pub(super) async fn work(shared: Arc<Shared>) {
    let mut writer = Writer { session: None, shared: Arc::clone(&shared) };
    let accepting = &shared.accepting;
    loop {
        let called = accepting.work.notified();
        match accepting.next(writer.is_able()) {
            Next::Write(batch) => {
                writer.write(batch).await;
                accepting.done();
            }
            // Before it has taken anything: as long as it gets no session, others may write. Who waits
            // has been told if none can, and the next try is as far away as the failures before demand.
            Next::Prepare => {
                if writer.session().await.is_err() {
                    // It may have failed without any wait, which nobody else would get a turn in.
                    tokio::time::sleep(PATIENCE).await;
                }
            }
            Next::WaitUntil(at) => {
                tokio::select! {
                    () = called => {}
                    () = tokio::time::sleep_until(at.into()) => {}
                }
            }
            Next::Wait => called.await,
        }
    }
}

/// What became of an event of a batch.
enum Stored {
    Answer(Result<Accepted, StoreError>),
    /// Its key is taken.
    Repeat,
}

struct Writer {
    session: Option<Connected>,
    shared: Arc<Shared>,
}

/// A session that counts as one that events can be stored by.
struct Connected {
    session: Session,
    shared: Arc<Shared>,
}

impl Connected {
    fn new(session: Session, shared: &Arc<Shared>) -> Self {
        shared.accepting.connected.fetch_add(1, Ordering::AcqRel);
        Self { session, shared: Arc::clone(shared) }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.shared.accepting.connected.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Writer {
    fn is_able(&self) -> bool {
        self.session.as_ref().is_some_and(|connected| !connected.session.is_useless())
    }

    async fn write(&mut self, batch: Vec<Job>) {
        let mut keys = HashSet::new();
        let of_key = |job: &Job| job.accept.dedupe.map(|(key, ..)| (job.accept.application, key));
        // Of one key the first is stored, if any: the others are its repeats.
        let (first, mut repeats): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|job| of_key(job).is_none_or(|key| keys.insert(key)));
        let mut parts = vec![first];
        while let Some(mut jobs) = parts.pop() {
            match self.store(&jobs).await {
                Ok(outcomes) => {
                    for (job, outcome) in jobs.into_iter().zip(outcomes) {
                        match outcome {
                            Stored::Answer(answer) => job.answer(answer),
                            Stored::Repeat => repeats.push(job),
                        }
                    }
                }
                Err(StoreError::Database { .. }) if jobs.len() > 1 => {
                    parts.push(jobs.split_off(jobs.len() / 2));
                    parts.push(jobs);
                }
                Err(error) => jobs.into_iter().for_each(|job| job.answer(Err(error.clone()))),
            }
        }
        if !repeats.is_empty() {
            self.repeat(repeats).await;
        }
    }

    /// Stores events of which no two have the same key.
    async fn store(&mut self, jobs: &[Job]) -> Result<Vec<Stored>, StoreError> {
        let mut tries = 0;
        loop {
            let shared = Arc::clone(&self.shared);
            let session = self.session().await?;
            // Before tokens are drawn: none must be of an earlier membership.
            let leasing = shared.cluster.leasing();
            let drawn: Vec<_> = jobs.iter().map(|job| Drawn::new(&shared, &job.accept)).collect();
            let (fit, unfit): (Vec<_>, Vec<_>) = drawn.into_iter().partition(Result::is_ok);
            let batch: Vec<Drawn<'_>> = fit.into_iter().flatten().collect();
            if let Some(Err(error)) = unfit.into_iter().next() {
                // Alone it is told so; among others it is found by halving.
                return Err(error);
            }
            let seqs: Vec<i64> = batch.iter().map(|drawn| drawn.seq()).collect();
            partitions::ensure(&shared, &seqs).await?;
            batch.iter().for_each(|drawn| drawn.announce(&shared));
            let failure = match statement::store(session, &batch, leasing.as_ref()).await {
                Ok(rows) => {
                    shared.meters.committed(batch.len() as u64);
                    let outcome = |drawn: &Drawn<'_>| {
                        let (event, lease, left) = (drawn.event, drawn.lease, rows.left_of(drawn));
                        if !rows.has(drawn) {
                            return Stored::Repeat;
                        }
                        drawn.stored(&shared, &left);
                        Stored::Answer(Ok(Accepted::Stored { event, lease, left }))
                    };
                    return Ok(batch.iter().map(outcome).collect());
                }
                Err(failure) => failure,
            };
            tries += 1;
            if tries < TRIES && may_try_again(&shared, &failure, seqs.last().copied()) {
                continue;
            }
            let error = StoreError::from(failure);
            if matches!(error, StoreError::Unavailable { .. }) {
                shared.accepting.doubts.add(&batch);
            }
            return Err(error);
        }
    }

    /// Answers what has come before; what it repeated may be gone, then it is new.
    async fn repeat(&mut self, jobs: Vec<Job>) {
        let outcomes = match self.session().await {
            Ok(session) => {
                let accepts: Vec<_> = jobs.iter().map(|job| &job.accept).collect();
                repeat::repeat(session, &accepts).await
            }
            Err(error) => Err(error),
        };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => {
                jobs.into_iter().for_each(|job| job.answer(Err(error.clone())));
                return;
            }
        };
        for (mut job, outcome) in jobs.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Of(answer) => job.answer(answer),
                Outcome::Failed(event) => {
                    self.shared.accepting.restart(Restart { job, event });
                }
                Outcome::New if job.rounds < ROUNDS_MAX => {
                    job.rounds += 1;
                    self.shared.accepting.again(job);
                }
                Outcome::New => {
                    let detail = "what the event repeats came and went".to_owned();
                    job.answer(Err(StoreError::Unavailable { operation: OPERATION, detail }));
                }
            }
        }
    }

    /// The session, made anew if it broke off.
    async fn session(&mut self) -> Result<&mut Session, StoreError> {
        if !self.is_able() {
            self.session = None;
        }
        let connected = match self.session.take() {
            Some(connected) => connected,
            None => match connect(&self.shared).await {
                Ok(session) => Connected::new(session, &self.shared),
                Err(error) => {
                    self.shared.accepting.refuse(&error);
                    return Err(error);
                }
            },
        };
        Ok(&mut self.session.insert(connected).session)
    }
}

/// Whether the same batch may go in another time, with new places.
fn may_try_again(shared: &Shared, failure: &Failure, last: Option<i64>) -> bool {
    if failure.is_unique() {
        // Another node has drawn one of the places. (Events have no other key of their own.)
        if !failure.constraint().is_some_and(|name| name.starts_with("event_")) {
            return false;
        }
        let mut noise = [0; 2];
        shared.noise.fill(&mut noise);
        let last = EventSeq(last.unwrap_or_default());
        shared.partitions.leap(last, u16::from_le_bytes(noise));
        return true;
    }
    // A partition has been dropped since it was last seen.
    if failure.code() == Some("23514") {
        shared.partitions.forget();
        return true;
    }
    failure.is_conflict()
}

async fn connect(shared: &Shared) -> Result<Session, StoreError> {
    let session = shared.connect_dedicated(OPERATION).await?;
    // The server's own timer must not cut the wait for a standby short; ours ends the session. Plans
    // are made once, perhaps of tables that are still empty, and must do for full ones.
    let setup = "SET statement_timeout TO 0; SET plan_cache_mode TO force_generic_plan;
        SET enable_seqscan TO off";
    session.batch(OPERATION, setup).await?;
    let row = session.row(OPERATION, "SELECT max(seq) FROM event", &[]).await?;
    if let Some(last) = row.and_then(|row| row.get(0)) {
        shared.partitions.rise_to(last);
    }
    Ok(session)
}

impl Accepting {
    /// Nothing that stands in the queue can be stored now, unless another writer has a session.
    pub(super) fn refuse(&self, error: &StoreError) {
        if self.connected.load(Ordering::Acquire) > 0 {
            return;
        }
        let jobs = {
            let mut queue = self.queue.lock();
            queue.bytes = 0;
            let jobs = std::mem::take(&mut queue.jobs);
            if queue.is_finished() {
                self.rest.notify_waiters();
            }
            jobs
        };
        jobs.into_iter().for_each(|job| job.answer(Err(error.clone())));
    }
}
