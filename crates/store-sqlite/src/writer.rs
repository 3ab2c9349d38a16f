//! The thread that owns the hot segment: all that waits becomes one transaction and one sync.
//!
//! Memory is changed only after the commit, so a failed one needs no undoing. After a disk error
//! nothing is acknowledged until the segment has been closed, opened again, written back in full
//! and checked (a failed sync may have dropped pages that the kernel calls clean).
//!
//! Where next: `keeper` for what happens to a segment that is no longer hot.

mod accept;
mod change;
mod edit;
mod recover;
mod roll;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use becket_model::{DeliveryKey, EndpointKey, EventId, EventSeq, SeqClock};
use becket_store::{
    Accepted, AttemptFinish, EventAccept, FinishOutcome, LeaseToken, Replayed, Result, StoreError,
};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::dedupe::{DedupeIndex, Key as DedupeEntry, SealedFilter};
use crate::edit::{Edit, Edited};
use crate::errors::database;
use crate::keeper::Task;
use crate::layout::{Role, open_segment};
use crate::memory::{Key, Lease, Memory, Waiting};
use crate::release::Refused;
use crate::reply::{Answers, Promise};
use crate::segment::{Segment, count_kind};
use crate::shared::Shared;
use crate::space::Space;
use crate::write;

/// Operations in one transaction at most, so that nobody waits for a very long one.
const BATCH_MAX: usize = 1_024;
/// Pages in the log (16 MiB) from which the checkpointer is asked to write back.
const LOG_PAGES_ASK: usize = 2_048;
/// Pages in the log (32 MiB) from which the writer writes back by itself, so that it starts anew.
const LOG_PAGES_FORCE: usize = 4_096;
/// How long to wait before trying again after the disk was full or failed.
const RETRY_WAIT: Duration = Duration::from_millis(250);

/// What the writer is asked to do.
pub(crate) enum Op {
    Accept(Box<EventAccept>, Promise<Accepted>, Option<Refused>),
    Finish(Box<AttemptFinish>, Promise<FinishOutcome>),
    Replay(i64, Option<Vec<EndpointKey>>, i64, oneshot::Sender<Result<Option<Vec<Replayed>>>>),
    /// Give leased deliveries back, due at this moment.
    Release(Vec<(DeliveryKey, LeaseToken)>, i64, oneshot::Sender<Result<()>>),
    /// Change what has been written already; how many events or attempts it was for.
    Edit(Edit, oneshot::Sender<Result<u64>>),
    /// Begin a new segment if the hot one holds events older than this.
    RollIfOlder(i64, oneshot::Sender<bool>),
    /// The filter of a sealed segment; its index can be queried.
    Sealed(i64, SealedFilter),
    /// One filter over the keys of these sealed segments.
    Grouped(Vec<i64>, SealedFilter),
    /// A segment is gone.
    Forget(i64),
    Close(oneshot::Sender<()>),
}

/// What to do in memory, and whom to tell, once the batch is on disk.
enum Effect {
    Stored {
        promise: Promise<Accepted>,
        event: EventId,
        accept: Box<EventAccept>,
        lease: LeaseToken,
    },
    Duplicate {
        promise: Promise<Accepted>,
        event: EventId,
        replayed: Vec<Replayed>,
        now_ms: i64,
    },
    Finished {
        promise: Promise<FinishOutcome>,
        finish: Box<AttemptFinish>,
        outcome: FinishOutcome,
    },
    Released {
        reply: oneshot::Sender<Result<()>>,
        keys: Vec<(Key, LeaseToken)>,
        due_ms: i64,
    },
    Replayed {
        reply: oneshot::Sender<Result<Option<Vec<Replayed>>>>,
        replayed: Option<Vec<Replayed>>,
        now_ms: i64,
    },
    Edited {
        reply: oneshot::Sender<Result<u64>>,
        edited: Edited,
    },
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    connection: Connection,
    segment: Arc<Segment>,
    seqs: SeqClock,
    dedupe: DedupeIndex,
    space: Space,
    answers: Answers,
    scratch: Vec<u8>,
    log_pages: Arc<AtomicUsize>,
    checkpointer: std::sync::mpsc::SyncSender<std::path::PathBuf>,
    /// Keys accepted in the batch that is being written.
    fresh: HashMap<DedupeEntry, (i64, i64)>,
    /// Refused requests that became events in the batch that is being written.
    letting_out: Vec<(Refused, EventId)>,
    /// Deliveries moved in the batch that is being written.
    touched: HashSet<Key>,
    /// Who is told, with what, when the log has been emptied of what was removed.
    edited: Vec<(oneshot::Sender<Result<u64>>, u64)>,
    /// When emptying the log was last tried.
    emptied_at: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        segment: Arc<Segment>,
        dedupe: DedupeIndex,
        last: i64,
        checkpointer: std::sync::mpsc::SyncSender<std::path::PathBuf>,
    ) -> Result<Self> {
        let log_pages = Arc::new(AtomicUsize::new(0));
        let connection = open_hot(&segment, &log_pages)?;
        Ok(Self {
            space: Space::new(&shared),
            shared,
            connection,
            segment,
            seqs: SeqClock::after(EventSeq(last)),
            dedupe,
            answers: Answers::default(),
            scratch: Vec::new(),
            log_pages,
            checkpointer,
            fresh: HashMap::new(),
            letting_out: Vec::new(),
            touched: HashSet::new(),
            edited: Vec::new(),
            emptied_at: None,
        })
    }

    /// Works until it is told to close.
    pub(crate) fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let shared = Arc::clone(&self.shared);
            shared.writer.take(&mut batch);
            let mut waiting = std::mem::take(&mut batch).into_iter().peekable();
            while waiting.peek().is_some() {
                let part: Vec<Op> = waiting.by_ref().take(BATCH_MAX).collect();
                if let Some(done) = self.write(part) {
                    self.finish(waiting);
                    // Whoever asked may have gone.
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    /// Answers what is left, and closes the file.
    fn finish(&mut self, left: impl Iterator<Item = Op>) {
        let late = self.shared.writer.close();
        for op in left.chain(late) {
            self.refuse(op, &StoreError::Closed);
        }
        self.answers.send();
        // A clean end leaves no log behind; if that fails, the next start reads the log instead.
        if let Err(error) = checkpoint(&self.connection) {
            tracing::warn!(error = %error, "the log of the hot segment stays for the next start");
        }
    }

    /// Writes a batch; `Some` if closing was asked for.
    fn write(&mut self, batch: Vec<Op>) -> Option<oneshot::Sender<()>> {
        let mut close = None;
        let mut effects = Vec::with_capacity(batch.len());
        let mut begun = false;
        let mut failure = None;
        let refusal = self.space.refusal(&self.shared, &self.segment);
        for op in batch {
            match op {
                Op::Close(done) => close = Some(done),
                Op::Sealed(first, filter) => self.dedupe.seal(first, filter),
                Op::Grouped(members, filter) => self.dedupe.group(&members, filter),
                Op::Forget(first) => self.dedupe.remove(first),
                Op::RollIfOlder(before_ms, reply) => {
                    // In the middle of a batch the segment stays; the next step will ask again.
                    let old = self.segment.events.load(Ordering::Relaxed) > 0
                        && self.segment.received_min_ms.load(Ordering::Relaxed) < before_ms;
                    let rolled = old && !begun && self.roll();
                    // Whoever asked may have gone.
                    let _ = reply.send(rolled);
                }
                op if failure.is_some() => self.refuse_with(op, failure.as_ref()),
                Op::Accept(..) if refusal.is_some() => self.refuse_with(op, refusal.as_ref()),
                op => {
                    if !begun {
                        if let Err(error) = self.begin() {
                            self.refuse(op, &error);
                            failure = Some(error);
                            continue;
                        }
                        begun = true;
                    }
                    if let Err(error) = self.apply(op, &mut effects) {
                        failure = Some(error);
                    }
                }
            }
        }
        if begun && failure.is_none() {
            failure = self.commit().err();
        }
        self.fresh.clear();
        let let_out = std::mem::take(&mut self.letting_out);
        if failure.is_none() {
            self.shared.let_out.lock().extend(let_out);
        }
        self.touched.clear();
        match failure {
            None => self.succeed(effects),
            Some(error) => self.fail(effects, &error, begun),
        }
        self.answers.send();
        self.keep_log_clean();
        self.keep_log_short();
        if self.is_long_enough() {
            self.roll();
        }
        close
    }

    fn begin(&self) -> Result<()> {
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(database("begin"))
    }

    fn commit(&self) -> Result<()> {
        self.connection
            .prepare_cached("COMMIT")
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(database("commit"))
    }

    /// Applies one operation to the open transaction. On an error its caller has been told.
    fn apply(&mut self, op: Op, effects: &mut Vec<Effect>) -> Result<()> {
        let (error, op) = match op {
            Op::Accept(accept, promise, refused) => {
                return self.accept(accept, promise, refused, effects);
            }
            Op::Finish(finish, promise) => return self.finish_attempt(finish, promise, effects),
            Op::Replay(seq, endpoints, now_ms, reply) if seq < self.segment.first => {
                // The segment changed hands while this was waiting.
                self.shared.keeper.push(Task::Replay(seq, endpoints, now_ms, reply));
                return Ok(());
            }
            Op::Replay(seq, endpoints, now_ms, reply) => {
                match self.replay(seq, endpoints.as_deref(), now_ms) {
                    Ok(replayed) => {
                        effects.push(Effect::Replayed { reply, replayed, now_ms });
                        return Ok(());
                    }
                    Err(error) => (error, Op::Replay(seq, endpoints, now_ms, reply)),
                }
            }
            Op::Release(deliveries, due_ms, reply) => {
                let mut late = Vec::new();
                match self.release(&deliveries, due_ms, &mut late) {
                    Ok(_) if !late.is_empty() => {
                        // Some changed hands while this was waiting; the keeper passes over the rest.
                        self.shared.keeper.push(Task::Release(late, due_ms, reply));
                        return Ok(());
                    }
                    Ok(keys) => {
                        effects.push(Effect::Released { reply, keys, due_ms });
                        return Ok(());
                    }
                    Err(error) => (error, Op::Release(deliveries, due_ms, reply)),
                }
            }
            Op::Edit(edit, reply) => match self.edit(&edit) {
                Ok(Some(edited)) => {
                    effects.push(Effect::Edited { reply, edited });
                    return Ok(());
                }
                Ok(None) => {
                    // The segment changed hands while this was waiting.
                    self.shared.keeper.push(Task::Edit(edit, reply));
                    return Ok(());
                }
                Err(error) => (error, Op::Edit(edit, reply)),
            },
            Op::RollIfOlder(..)
            | Op::Sealed(..)
            | Op::Grouped(..)
            | Op::Forget(..)
            | Op::Close(..) => return Ok(()),
        };
        self.refuse(op, &error);
        Err(error)
    }

    /// The batch is on disk: change memory and tell everybody.
    fn succeed(&mut self, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        *self.shared.trouble.lock() = None;
        let segment = Arc::clone(&self.segment);
        let mut guard = segment.memory.lock();
        let memory = guard.get_or_insert_with(Memory::default);
        let mut kinds = segment.kinds.lock();
        for effect in effects {
            match effect {
                Effect::Stored { promise, event, accept, lease } => {
                    self.remember(memory, &event, &accept, lease);
                    count_kind(&mut kinds, accept.application.0, accept.event_type.as_deref());
                    self.answers
                        .accepted(promise, Ok(Accepted::Stored { event, lease, left: Vec::new() }));
                }
                Effect::Duplicate { promise, event, replayed, now_ms } => {
                    start_again(memory, &replayed, now_ms);
                    self.answers.accepted(promise, Ok(Accepted::Duplicate { event, replayed }));
                }
                Effect::Finished { promise, finish, outcome } => {
                    if outcome != FinishOutcome::Stale {
                        let key = write::short_key(&finish.delivery);
                        match (write::ended(finish.next), finish.next) {
                            (Some(failed), _) => memory.end(key, failed),
                            (None, becket_model::NextStep::RetryAt(due_ms)) => {
                                memory.retry(key, due_ms, finish.attempt.number);
                            }
                            (None, _) => {}
                        }
                    }
                    self.answers.finished(promise, Ok(outcome));
                }
                Effect::Released { reply, keys, due_ms } => {
                    for (key, token) in keys {
                        memory.release(key, token, due_ms);
                    }
                    drop(reply.send(Ok(())));
                }
                Effect::Replayed { reply, replayed, now_ms } => {
                    if let Some(replayed) = &replayed {
                        start_again(memory, replayed, now_ms);
                    }
                    drop(reply.send(Ok(replayed)));
                }
                Effect::Edited { reply, edited } => self.note_edit(reply, edited),
            }
        }
    }

    fn remember(
        &mut self,
        memory: &mut Memory,
        event: &EventId,
        accept: &EventAccept,
        lease: LeaseToken,
    ) {
        let seq = event.seq().0;
        let mut until_ms = i64::MIN;
        if let Some((key, _, window_ms)) = accept.dedupe {
            until_ms = accept.received_at_ms.saturating_add_unsigned(window_ms);
            self.dedupe.insert(self.segment.first, (accept.application, key), seq);
        }
        let bytes = accept.record.packed().len() as u64 + 600;
        self.segment.note(seq, accept.received_at_ms, until_ms, bytes);
        if let Some(until_ms) = accept.labels.payload_until_ms {
            self.segment.expiring_ms.fetch_min(until_ms, Ordering::Relaxed);
        }
        for planned in &accept.planned {
            let held = Lease { token: lease, until_ms: accept.lease_until_ms };
            let due_ms = accept.due_ms.filter(|_| !planned.leased);
            let waiting = Waiting {
                attempts: 0,
                due_ms: due_ms.unwrap_or(accept.received_at_ms),
                lease: planned.leased.then_some(held),
            };
            memory.add((seq, planned.endpoint.0, 0), waiting);
        }
    }

    fn refuse_with(&mut self, op: Op, error: Option<&StoreError>) {
        if let Some(error) = error {
            self.refuse(op, &error.clone());
        }
    }

    fn refuse(&mut self, op: Op, error: &StoreError) {
        match op {
            Op::Accept(_, promise, _) => self.answers.accepted(promise, Err(error.clone())),
            Op::Finish(_, promise) => self.answers.finished(promise, Err(error.clone())),
            Op::Replay(.., reply) => drop(reply.send(Err(error.clone()))),
            Op::Release(.., reply) => drop(reply.send(Err(error.clone()))),
            Op::Edit(_, reply) => drop(reply.send(Err(error.clone()))),
            Op::RollIfOlder(_, reply) => {
                let _ = reply.send(false);
            }
            Op::Sealed(first, filter) => self.dedupe.seal(first, filter),
            Op::Grouped(members, filter) => self.dedupe.group(&members, filter),
            Op::Forget(first) => self.dedupe.remove(first),
            Op::Close(done) => {
                let _ = done.send(());
            }
        }
    }
}

/// Puts replayed deliveries into memory: fresh ones are added, pending ones made due.
fn start_again(memory: &mut Memory, replayed: &[Replayed], now_ms: i64) {
    for replay in replayed {
        let key = write::short_key(&replay.key);
        if replay.fresh {
            memory.add(key, Waiting { attempts: 0, due_ms: now_ms, lease: None });
        } else {
            memory.make_due(key, now_ms);
        }
    }
}

fn open_hot(segment: &Segment, log_pages: &Arc<AtomicUsize>) -> Result<Connection> {
    let mut connection = open_segment(&segment.path, Role::HotWriter)?;
    let pages_seen = Arc::clone(log_pages);
    log_pages.store(0, Ordering::Relaxed);
    connection
        .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            pages_seen.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
        .map_err(database("open"))?;
    Ok(connection)
}

/// Writes the whole log back into the file and empties it.
pub(crate) fn checkpoint(connection: &Connection) -> Result<()> {
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(database("checkpoint"))
}
