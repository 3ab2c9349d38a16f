//! The thread that owns every segment that is no longer hot.
//!
//! It takes over what is pending into the segment's own tables, indexes it (sealing), records late
//! attempts, hands out due deliveries and removes what has become too old. It never touches the hot
//! segment, so nothing it does holds up an acknowledgement.
//!
//! A left-over from a crash (a segment without its entry in the list of sealed ones) is taken over
//! at start just like one that was rolled.

mod adopt;
mod edit;
mod group;
mod pending;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use becket_model::{DeliveryKey, EndpointKey, NextStep};
use becket_store::{
    Accepted, AttemptFinish, EndpointDue, FinishOutcome, LeaseToken, Replayed, Result,
    RetentionPolicy, StoreError, Swept,
};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::backup;
use crate::edit::Edit;
use crate::errors::database;
use crate::layout::{Role, open_segment};
use crate::memory::{Held, Key, Lease, Taken};
use crate::reply::{Answers, Promise};
use crate::retention;
use crate::seal;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::write;
use pending::{due_rows, make_due, move_pending, remove_pending};
pub(crate) use pending::{put_failed, put_pending};

/// Connections to older segments kept open.
const OPEN_MAX: usize = 8;

/// A segment on its way from hot to sealed.
pub(crate) struct Late {
    pub(crate) segment: Arc<Segment>,
    connection: Option<Connection>,
}

impl Late {
    pub(crate) fn new(segment: Arc<Segment>, connection: Connection) -> Self {
        Self { segment, connection: Some(connection) }
    }

    /// A segment found at start.
    pub(crate) fn found(segment: Arc<Segment>) -> Self {
        Self { segment, connection: None }
    }
}

type Reply<T> = oneshot::Sender<Result<T>>;

/// What the keeper is asked to do.
pub(crate) enum Task {
    Adopt(Late),
    /// Count what is pending in the segments that were sealed before the start.
    Count,
    Finish(Box<AttemptFinish>, Promise<FinishOutcome>),
    Duplicate(i64, i64, bool, Promise<Accepted>),
    Lease {
        endpoint: u32,
        now_ms: i64,
        until_ms: i64,
        limit: usize,
        reply: Reply<Vec<Taken>>,
    },
    Release(Vec<(DeliveryKey, LeaseToken)>, i64, Reply<()>),
    /// Give leases back as if they had never been taken.
    Return(Vec<(Key, LeaseToken)>),
    Replay(i64, Option<Vec<EndpointKey>>, i64, Reply<Option<Vec<Replayed>>>),
    /// Answer when all before this has been done.
    Settle(Reply<()>),
    Due(Reply<Vec<EndpointDue>>),
    /// Change what has been written already; how many events or attempts it was for.
    Edit(Edit, Reply<u64>),
    Sweep(RetentionPolicy, i64, Reply<Swept>),
    Backup(PathBuf, Reply<u64>),
    Close(oneshot::Sender<()>),
}

pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    open: VecDeque<(i64, Connection)>,
    sealing: VecDeque<seal::Sealing>,
    grouping: group::Grouping,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            open: VecDeque::new(),
            sealing: VecDeque::new(),
            grouping: group::Grouping::default(),
        }
    }

    /// Works until it is told to close; seals when there is nothing more urgent.
    pub(crate) fn run(mut self) {
        let mut tasks = Vec::new();
        loop {
            let shared = Arc::clone(&self.shared);
            if self.sealing.is_empty() && self.grouping.is_idle(&shared) {
                shared.keeper.take(&mut tasks);
            } else {
                shared.keeper.take_now(&mut tasks);
            }
            let mut finishes = Vec::new();
            for task in std::mem::take(&mut tasks) {
                if let Task::Finish(finish, promise) = task {
                    finishes.push((finish, promise));
                    continue;
                }
                self.finish_all(std::mem::take(&mut finishes));
                if let Task::Close(done) = task {
                    // What comes later is told that the store is closed by being dropped.
                    drop(self.shared.keeper.close());
                    let _ = done.send(());
                    return;
                }
                self.act(task);
            }
            self.finish_all(finishes);
            if self.sealing.is_empty() {
                self.group_a_little();
            } else {
                self.seal_a_little();
            }
        }
    }

    fn act(&mut self, task: Task) {
        match task {
            Task::Adopt(late) => self.adopt(late),
            Task::Count => self.count_all(),
            Task::Duplicate(seq, now_ms, replays, promise) => {
                let result = self.repeat(seq, now_ms, replays);
                let mut answers = Answers::default();
                answers.accepted(promise, result);
                answers.send();
            }
            Task::Lease { endpoint, now_ms, until_ms, limit, reply } => {
                drop(reply.send(self.lease(endpoint, now_ms, until_ms, limit)));
            }
            Task::Release(deliveries, due_ms, reply) => {
                drop(reply.send(self.release(&deliveries, due_ms)));
            }
            Task::Return(leases) => {
                let mut held = self.shared.late_leases.lock();
                for (key, token) in leases {
                    if held.get(&key).is_some_and(|held| held.lease.token == token) {
                        held.remove(&key);
                    }
                }
            }
            Task::Replay(seq, endpoints, now_ms, reply) => {
                drop(reply.send(self.replay(seq, endpoints.as_deref(), now_ms)));
            }
            Task::Edit(edit, reply) => drop(reply.send(self.edit(&edit))),
            Task::Settle(reply) => drop(reply.send(Ok(()))),
            Task::Due(reply) => drop(reply.send(self.due())),
            Task::Sweep(policy, now_ms, reply) => {
                drop(reply.send(retention::sweep(self, policy, now_ms)));
            }
            Task::Backup(folder, reply) => drop(reply.send(backup::write(&self.shared, &folder))),
            Task::Finish(finish, promise) => self.finish_all(vec![(finish, promise)]),
            Task::Close(done) => {
                let _ = done.send(());
            }
        }
    }

    // --- connections ---

    /// Works on a segment with the kept connection, or a new one.
    pub(crate) fn with<T>(
        &mut self,
        segment: &Segment,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        let at = self.open.iter().position(|(first, _)| *first == segment.first);
        let connection = match at.and_then(|at| self.open.remove(at)) {
            Some((_, connection)) => connection,
            None => open_segment(&segment.path, Role::Writer)?,
        };
        let result = work(&connection);
        if result.is_err() && !connection.is_autocommit() {
            // The failure is what the caller hears of; a connection that cannot roll back is dropped.
            if connection.execute_batch("ROLLBACK").is_err() {
                return result;
            }
        }
        self.keep_open(segment.first, connection);
        result
    }

    fn keep_open(&mut self, first: i64, connection: Connection) {
        if self.open.len() >= OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back((first, connection));
    }

    /// Closes the kept connection to a segment.
    pub(crate) fn close(&mut self, first: i64) {
        self.open.retain(|(of, _)| *of != first);
        self.sealing.retain(|sealing| sealing.segment.first != first);
    }

    /// The lease with this token on a delivery, if it holds.
    fn held(&self, key: Key, token: LeaseToken) -> Option<Held> {
        let leases = self.shared.late_leases.lock();
        leases.get(&key).copied().filter(|held| held.lease.token == token)
    }

    /// How many deliveries of an endpoint in a segment are under lease.
    fn held_in(&self, segment: &Segment, endpoint: u32) -> usize {
        let last = segment.last.load(Ordering::Relaxed);
        let leases = self.shared.late_leases.lock();
        let all = leases.range((segment.first, 0, 0)..=(last, u32::MAX, u16::MAX));
        all.filter(|(key, _)| key.1 == endpoint).count()
    }

    /// The leases on deliveries of a segment's events.
    pub(crate) fn leases_in(&self, segment: &Segment) -> Vec<(Key, Held)> {
        let last = segment.last.load(Ordering::Relaxed);
        let leases = self.shared.late_leases.lock();
        let all = leases.range((segment.first, 0, 0)..=(last, u32::MAX, u16::MAX));
        all.map(|(key, held)| (*key, *held)).collect()
    }

    /// Ends leases on what is no longer there.
    pub(crate) fn end_leases(&self, keys: impl IntoIterator<Item = Key>) {
        let mut leases = self.shared.late_leases.lock();
        for key in keys {
            leases.remove(&key);
        }
    }

    fn holding(&self, seq: i64) -> Option<Arc<Segment>> {
        self.shared.segments.holding(seq)
    }

    // --- deliveries ---

    fn lease(
        &mut self,
        endpoint: u32,
        now_ms: i64,
        until_ms: i64,
        limit: usize,
    ) -> Result<Vec<Taken>> {
        self.shared.late_leases.lock().retain(|_, held| held.lease.until_ms > now_ms);
        let mut found: Vec<(i64, Key, u32)> = Vec::new();
        for segment in self.shared.segments.all() {
            if segment.waiting.lock().get(&endpoint).is_none_or(|count| *count == 0) {
                continue;
            }
            let held = self.held_in(&segment, endpoint);
            let rows = self.with(&segment, |connection| {
                due_rows(connection, endpoint, now_ms, limit + held)
                    .map_err(database("find due deliveries"))
            })?;
            let leases = self.shared.late_leases.lock();
            found.extend(rows.into_iter().filter(|(_, key, _)| !leases.contains_key(key)));
        }
        found.sort_unstable_by_key(|(due_ms, key, _)| (*due_ms, *key));
        found.truncate(limit);
        let mut taken = Vec::with_capacity(found.len());
        for (due_ms, key, attempts) in found {
            let token = self.shared.lease_token();
            let lease = Lease { token, until_ms };
            let held = Held { lease, due_ms, attempts };
            self.shared.late_leases.lock().insert(key, held);
            taken.push(Taken { key, token, attempts, due_ms });
        }
        Ok(taken)
    }

    fn release(&mut self, deliveries: &[(DeliveryKey, LeaseToken)], due_ms: i64) -> Result<()> {
        for (delivery, token) in deliveries {
            let key = write::short_key(delivery);
            let Some(held) = self.held(key, *token) else {
                continue;
            };
            let Some(segment) = self.holding(key.0) else { continue };
            self.with(&segment, |connection| {
                move_pending(connection, key, held.due_ms, due_ms, held.attempts)
                    .map_err(database("release delivery"))
            })?;
            self.shared.late_leases.lock().remove(&key);
        }
        Ok(())
    }

    fn due(&mut self) -> Result<Vec<EndpointDue>> {
        let endpoints: Vec<u32> = self.shared.late_waiting.lock().keys().copied().collect();
        let mut list = Vec::new();
        for endpoint in endpoints {
            let mut earliest: Option<i64> = None;
            let mut waiting = 0;
            for segment in self.shared.segments.all() {
                let count = segment.waiting.lock().get(&endpoint).copied().unwrap_or(0);
                if count == 0 {
                    continue;
                }
                let held = self.held_in(&segment, endpoint);
                waiting += count.saturating_sub(held as u64);
                let rows = self.with(&segment, |connection| {
                    due_rows(connection, endpoint, i64::MAX, held + 1)
                        .map_err(database("find due deliveries"))
                })?;
                let leases = self.shared.late_leases.lock();
                let first = rows.iter().find(|(_, key, _)| !leases.contains_key(key));
                if let Some((due_ms, ..)) = first {
                    earliest = Some(earliest.map_or(*due_ms, |at| at.min(*due_ms)));
                }
            }
            if let Some(due_ms) = earliest {
                list.push(EndpointDue { endpoint: EndpointKey(endpoint), waiting, due_ms });
            }
        }
        Ok(list)
    }

    fn replay(
        &mut self,
        seq: i64,
        endpoints: Option<&[EndpointKey]>,
        now_ms: i64,
    ) -> Result<Option<Vec<Replayed>>> {
        let Some(segment) = self.holding(seq) else { return Ok(None) };
        let failed = database("replay");
        let planned = self.with(&segment, |connection| {
            let Some(facts) = write::facts(connection, seq).map_err(failed)? else {
                return Ok(None);
            };
            write::plan_replay(connection, &facts, endpoints).map(Some).map_err(failed)
        })?;
        let Some(plan) = planned else { return Ok(None) };
        self.start_again(&segment, &plan, now_ms)?;
        Ok(Some(plan.replayed))
    }

    fn start_again(
        &mut self,
        segment: &Segment,
        plan: &write::ReplayPlan,
        now_ms: i64,
    ) -> Result<()> {
        let failed = database("replay");
        let shared = Arc::clone(&self.shared);
        let written = self.with(segment, |connection| {
            connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
            write::insert_replays(connection, &plan.replayed, now_ms).map_err(failed)?;
            for (replay, attempts) in plan.replayed.iter().zip(&plan.attempts) {
                let key = write::short_key(&replay.key);
                if replay.fresh {
                    put_pending(connection, key, now_ms, 0).map_err(failed)?;
                } else if !shared.late_leases.lock().contains_key(&key) {
                    make_due(connection, key, now_ms, *attempts).map_err(failed)?;
                }
            }
            connection.execute_batch("COMMIT").map_err(failed)
        });
        written?;
        for replay in plan.replayed.iter().filter(|replay| replay.fresh) {
            let endpoint = replay.key.endpoint.0;
            *segment.waiting.lock().entry(endpoint).or_insert(0) += 1;
            self.shared.late_add(endpoint, 1);
        }
        Ok(())
    }

    fn repeat(&mut self, seq: i64, now_ms: i64, replays: bool) -> Result<Accepted> {
        let failed = database("record a repeat");
        let gone = || StoreError::Database {
            operation: "record a repeat",
            detail: format!("the first event {seq} has been removed meanwhile; send again"),
        };
        let segment = self.holding(seq).ok_or_else(gone)?;
        let (event, plan) = self.with(&segment, |connection| {
            let facts = write::facts(connection, seq).map_err(failed)?.ok_or_else(gone)?;
            write::insert_duplicate(connection, seq, now_ms).map_err(failed)?;
            let again = replays && write::has_failed(connection, &facts).map_err(failed)?;
            let plan = if again {
                Some(write::plan_replay(connection, &facts, None).map_err(failed)?)
            } else {
                None
            };
            Ok((facts.event, plan))
        })?;
        let replayed = match plan {
            Some(plan) => {
                self.start_again(&segment, &plan, now_ms)?;
                plan.replayed
            }
            None => Vec::new(),
        };
        Ok(Accepted::Duplicate { event, replayed })
    }

    // --- attempts ---

    /// Records late attempts, one transaction for each segment.
    fn finish_all(&mut self, finishes: Vec<(Box<AttemptFinish>, Promise<FinishOutcome>)>) {
        if finishes.is_empty() {
            return;
        }
        let mut answers = Answers::default();
        let mut by_segment: BTreeMap<i64, (Arc<Segment>, Vec<_>)> = BTreeMap::new();
        for (finish, promise) in finishes {
            let key = write::short_key(&finish.delivery);
            let holds = self.held(key, finish.lease).is_some();
            match self.holding(key.0).filter(|_| holds) {
                Some(segment) => by_segment
                    .entry(segment.first)
                    .or_insert_with(|| (segment, Vec::new()))
                    .1
                    .push((key, finish, promise)),
                None => answers.finished(promise, Ok(FinishOutcome::Stale)),
            }
        }
        for (segment, list) in by_segment.into_values() {
            self.finish_in(&segment, list, &mut answers);
        }
        answers.send();
    }

    fn finish_in(
        &mut self,
        segment: &Segment,
        list: Vec<(Key, Box<AttemptFinish>, Promise<FinishOutcome>)>,
        answers: &mut Answers,
    ) {
        let failed = database("insert attempt");
        let shared = Arc::clone(&self.shared);
        let noise = Arc::clone(&self.shared.options.noise);
        let mut seen = std::collections::HashSet::new();
        let written = self.with(segment, |connection| {
            connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
            let mut outcomes = Vec::with_capacity(list.len());
            for (key, finish, _) in &list {
                let held = shared.late_leases.lock().get(key).copied();
                let Some(held) = held.filter(|_| seen.insert(*key)) else {
                    outcomes.push(FinishOutcome::Stale);
                    continue;
                };
                let mut tail = [0; 6];
                noise.fill(&mut tail);
                let id = write::insert_attempt(connection, finish, tail).map_err(failed)?;
                remove_pending(connection, *key, held.due_ms).map_err(failed)?;
                match finish.next {
                    NextStep::RetryAt(due_ms) => {
                        put_pending(connection, *key, due_ms, finish.attempt.number)
                    }
                    NextStep::Failed(_) => put_failed(connection, *key),
                    NextStep::Delivered => Ok(()),
                }
                .map_err(failed)?;
                outcomes.push(FinishOutcome::Recorded(id));
            }
            connection.execute_batch("COMMIT").map_err(failed)?;
            Ok(outcomes)
        });
        match written {
            Ok(outcomes) => {
                for ((key, finish, promise), outcome) in list.into_iter().zip(outcomes) {
                    if outcome != FinishOutcome::Stale {
                        self.shared.late_leases.lock().remove(&key);
                        if write::ended(finish.next).is_some() {
                            self.forget_waiting(segment, key.1);
                        }
                    }
                    answers.finished(promise, Ok(outcome));
                }
            }
            Err(error) => {
                tracing::error!(error = %error, path = %segment.path.display(), "attempts cannot be recorded yet");
                for (_, _, promise) in list {
                    answers.finished(promise, Err(error.clone()));
                }
            }
        }
    }

    fn forget_waiting(&self, segment: &Segment, endpoint: u32) {
        segment.ended_since_look.store(true, Ordering::Relaxed);
        let mut waiting = segment.waiting.lock();
        if let Some(count) = waiting.get_mut(&endpoint) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                waiting.remove(&endpoint);
            }
        }
        drop(waiting);
        self.shared.late_remove(endpoint, 1);
    }

    // --- sealing ---

    fn seal_a_little(&mut self) {
        let Some(mut sealing) = self.sealing.pop_front() else { return };
        let segment = Arc::clone(&sealing.segment);
        let shared = Arc::clone(&self.shared);
        match self.with(&segment, |connection| sealing.step(connection, &shared)) {
            Ok(true) => {}
            Ok(false) => self.sealing.push_front(sealing),
            Err(error) => {
                tracing::error!(error = %error, path = %segment.path.display(), "a segment cannot be sealed yet");
                std::thread::sleep(std::time::Duration::from_millis(250));
                self.sealing.push_back(sealing);
            }
        }
    }
}
