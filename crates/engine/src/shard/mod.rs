//! A shard: the lanes of one delivery thread, their timers and their common slots.
//!
//! Like its lanes it is a state machine without I/O: it takes commands and finished jobs, and leaves
//! new jobs to be run. `run` does the waiting.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use becket_model::{EndpointKey, EndpointState};
use becket_store::{EndpointDue, LeasedDelivery, StoreError};

use crate::config::{EngineConfig, Environment};
use crate::endpoint::Prepared;
use crate::job::{AttemptEnded, AttemptJob, Done, Job};
use crate::lane::{Lane, Now, Rank, Surroundings, delivery_bytes};
use crate::registry::Registry;
use crate::shared::{LaneShared, ShardShared};
use crate::slots::Slots;
use crate::tenure::Tenure;

/// Lanes that are asked, at most, when a slot has become free.
const STARVED_ASKED_MAX: usize = 32;
/// How often trouble with the store is logged, at most, in milliseconds.
const TROUBLE_LOG_MS: u64 = 10_000;

/// What a shard is told.
pub(crate) enum Command {
    /// These are its endpoints now; all others are gone.
    Endpoints(Vec<(Arc<LaneShared>, Arc<Prepared>)>),
    /// This one is new or changed.
    Put(Arc<LaneShared>, Arc<Prepared>),
    /// This one is gone.
    Remove(EndpointKey),
    State(EndpointKey, EndpointState),
    HandOver(LeasedDelivery),
    Wake(EndpointKey),
    /// What the store says is due; endpoints of other shards are passed over.
    Due(Arc<Vec<EndpointDue>>),
    /// Attempts may be started for as long as this says, under these leases.
    Tenure(Tenure),
    /// Start nothing more, and be done within so many milliseconds.
    Stop {
        grace_ms: u64,
    },
}

pub(crate) struct Shard {
    config: Arc<EngineConfig>,
    environment: Environment,
    shared: Arc<ShardShared>,
    registry: Arc<Registry>,
    /// In boxes, so that a growing table moves no lanes.
    lanes: HashMap<EndpointKey, Box<Lane>>,
    slots: Slots,
    timers: BinaryHeap<Reverse<(u64, EndpointKey)>>,
    starved_first: VecDeque<EndpointKey>,
    starved_rest: VecDeque<EndpointKey>,
    pub(crate) attempts: Vec<AttemptJob>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) close_idle: Vec<u64>,
    /// Set if the store has to be asked what is due; `run` passes it on.
    pub(crate) refresh: bool,
    /// Until when everything has to be done, once the shard is stopping.
    pub(crate) stop_at_ms: Option<u64>,
    trouble_logged_at_ms: Option<u64>,
}

impl Shard {
    pub(crate) fn new(
        config: Arc<EngineConfig>,
        environment: Environment,
        shared: Arc<ShardShared>,
        registry: Arc<Registry>,
        slots: usize,
    ) -> Self {
        Self {
            config,
            environment,
            shared,
            registry,
            lanes: HashMap::new(),
            slots: Slots::new(slots),
            timers: BinaryHeap::new(),
            starved_first: VecDeque::new(),
            starved_rest: VecDeque::new(),
            attempts: Vec::new(),
            jobs: Vec::new(),
            close_idle: Vec::new(),
            refresh: false,
            stop_at_ms: None,
            trouble_logged_at_ms: None,
        }
    }

    pub(crate) fn command(&mut self, command: Command, now: Now) {
        match command {
            Command::Endpoints(endpoints) => self.endpoints(endpoints, now),
            Command::Put(shared, prepared) => self.put(shared, prepared, now),
            Command::Remove(key) => self.remove(key, now),
            Command::State(key, state) => {
                self.with_lane(key, now, |lane, around| lane.told_state(state, around));
            }
            Command::HandOver(delivery) => self.hand_over(delivery, now),
            Command::Wake(key) => self.with_lane(key, now, |lane, _| lane.woken()),
            Command::Due(due) => {
                for due in due.iter() {
                    self.with_lane(due.endpoint, now, |lane, around| {
                        lane.due_at(due, around.now);
                    });
                }
            }
            Command::Tenure(tenure) => {
                if self.shared.tenure.set(tenure, now.mono_ms) {
                    self.advance_all(now);
                }
            }
            Command::Stop { grace_ms } => {
                self.stop_at_ms.get_or_insert(now.mono_ms.saturating_add(grace_ms));
                self.shared.stopping.store(true, Ordering::Relaxed);
                self.advance_all(now);
            }
        }
    }

    fn endpoints(&mut self, endpoints: Vec<(Arc<LaneShared>, Arc<Prepared>)>, now: Now) {
        let kept: HashSet<EndpointKey> = endpoints.iter().map(|(shared, _)| shared.key).collect();
        for (shared, prepared) in endpoints {
            let (key, is_new) = self.lane_for(shared, prepared, now);
            if is_new {
                self.advance(key, now);
            }
        }
        for key in self.keys().into_iter().filter(|key| !kept.contains(key)) {
            self.remove(key, now);
        }
        self.shared.lanes.store(self.lanes.len(), Ordering::Relaxed);
        // New lanes do not know what waits for them in the store.
        self.refresh = true;
    }

    fn put(&mut self, shared: Arc<LaneShared>, prepared: Arc<Prepared>, now: Now) {
        let (key, is_new) = self.lane_for(shared, prepared, now);
        if is_new {
            self.with_lane(key, now, |lane, _| lane.look_at_once());
            self.shared.lanes.store(self.lanes.len(), Ordering::Relaxed);
        }
    }

    /// Updates a lane, or makes one, which has to be advanced then.
    fn lane_for(
        &mut self,
        shared: Arc<LaneShared>,
        prepared: Arc<Prepared>,
        now: Now,
    ) -> (EndpointKey, bool) {
        let key = shared.key;
        let is_new = !self.lanes.contains_key(&key);
        self.shared.leaving.lock().remove(&key);
        if is_new {
            let lane = Lane::new(shared, prepared, self.config.lease_ms, now);
            self.lanes.insert(key, Box::new(lane));
        } else {
            self.with_lane(key, now, |lane, around| lane.update(shared, prepared, around));
        }
        (key, is_new)
    }

    fn remove(&mut self, key: EndpointKey, now: Now) {
        self.with_lane(key, now, |lane, around| lane.told_state(EndpointState::Removed, around));
        let mut leaving = self.shared.leaving.lock();
        if self.lanes.contains_key(&key) {
            leaving.insert(key);
        } else {
            leaving.remove(&key);
        }
    }

    fn hand_over(&mut self, delivery: LeasedDelivery, now: Now) {
        let key = delivery.key.endpoint;
        if self.lanes.contains_key(&key) {
            let lease_ms = self.config.lease_ms;
            self.with_lane(key, now, |lane, _| lane.take_over(delivery, lease_ms));
            return;
        }
        self.registry.vacate(key);
        self.shared.queued_remove(delivery_bytes(&delivery));
        let deliveries = vec![(delivery.key, delivery.lease)];
        self.jobs.push(Job::Release { endpoint: key, deliveries, failures: 0 });
    }

    /// A call to the store is done.
    pub(crate) fn done(&mut self, done: Done, now: Now) {
        if let Some(error) = error_of(&done) {
            self.trouble(error, now);
        }
        match done {
            Done::Lease { job, result } => {
                self.with_lane(job.endpoint, now, |lane, around| {
                    lane.lease_ended(job, result, around);
                });
            }
            Done::Finish { job, result } => {
                self.with_lane(job.finish.delivery.endpoint, now, |lane, around| {
                    lane.finish_ended(job, &result, around);
                });
            }
            Done::Release { endpoint, result: Ok(()), .. } => {
                self.with_lane(endpoint, now, |lane, _| lane.released());
            }
            Done::Release { endpoint, deliveries, failures, result: Err(_) } => {
                let failures = failures.saturating_add(1);
                self.jobs.push(Job::Release { endpoint, deliveries, failures });
            }
            Done::Change { job, result } => {
                self.with_lane(job.endpoint, now, |lane, around| {
                    lane.change_ended(job, &result, around);
                });
            }
            Done::Confirm { job, result } => {
                self.with_lane(job.endpoint, now, |lane, around| {
                    lane.confirmed(job, &result, around);
                });
            }
        }
    }

    /// An attempt has ended.
    pub(crate) fn attempt_ended(&mut self, ended: AttemptEnded, now: Now) {
        let key = ended.key.endpoint;
        if let Some((lane, mut around)) = self.lane(key, now) {
            lane.attempt_ended(ended, &mut around);
        }
        // Whoever waits for a slot comes before the lane that has just had one.
        self.serve_starved(now);
        self.advance(key, now);
        self.shared.in_flight.store(self.slots.used(), Ordering::Relaxed);
    }

    /// Asks every lane whose time has come.
    pub(crate) fn timers_fire(&mut self, now: Now) {
        while let Some(Reverse((at_ms, key))) = self.timers.peek().copied() {
            if at_ms > now.mono_ms {
                return;
            }
            self.timers.pop();
            if let Some(lane) = self.lanes.get_mut(&key)
                && lane.timer_ms == Some(at_ms)
            {
                lane.timer_ms = None;
                self.advance(key, now);
            }
        }
    }

    /// When [`Self::timers_fire`] has something to do next.
    pub(crate) fn next_timer_ms(&self) -> Option<u64> {
        let timer = self.timers.peek().map(|Reverse((at_ms, _))| *at_ms);
        [timer, self.stop_at_ms].into_iter().flatten().min()
    }

    /// What other threads see of the shard.
    pub(crate) fn shared(&self) -> &ShardShared {
        &self.shared
    }

    /// The same, to be kept.
    pub(crate) fn shared_with(&self) -> Arc<ShardShared> {
        Arc::clone(&self.shared)
    }

    /// All attempts under way have been broken off; answers how many there were.
    pub(crate) fn broken_off(&mut self, now: Now) -> usize {
        let attempts = self.slots.used();
        self.attempts.clear();
        for key in self.keys() {
            self.with_lane(key, now, Lane::broken_off);
        }
        attempts
    }

    fn lane(&mut self, key: EndpointKey, now: Now) -> Option<(&mut Lane, Surroundings<'_>)> {
        let lane = self.lanes.get_mut(&key)?;
        let around = Surroundings {
            config: &self.config,
            environment: &self.environment,
            now,
            slots: &mut self.slots,
            attempts: &mut self.attempts,
            jobs: &mut self.jobs,
            close_idle: &mut self.close_idle,
            refresh: &mut self.refresh,
            stopping: self.stop_at_ms.is_some(),
        };
        Some((lane, around))
    }

    /// Changes a lane and lets it go on; a lane that is gone is passed over.
    fn with_lane(
        &mut self,
        key: EndpointKey,
        now: Now,
        change: impl FnOnce(&mut Lane, &mut Surroundings<'_>),
    ) {
        if let Some((lane, mut around)) = self.lane(key, now) {
            change(lane, &mut around);
            self.advance(key, now);
        }
    }

    fn advance(&mut self, key: EndpointKey, now: Now) {
        let Some((lane, mut around)) = self.lane(key, now) else { return };
        let advance = lane.advance(&mut around);
        if lane.is_over() {
            lane.retire();
            self.lanes.remove(&key);
            self.registry.forget(key);
            self.shared.leaving.lock().remove(&key);
            self.shared.lanes.store(self.lanes.len(), Ordering::Relaxed);
            return;
        }
        if let Some(at_ms) = advance.wake_at_ms
            && lane.timer_ms.is_none_or(|earlier_ms| at_ms < earlier_ms)
        {
            lane.timer_ms = Some(at_ms);
            self.timers.push(Reverse((at_ms, key)));
        }
        if let Some(rank) = advance.starved
            && let Some(lane) = self.lanes.get_mut(&key)
            && !std::mem::replace(&mut lane.starved, true)
        {
            match rank {
                Rank::First => self.starved_first.push_back(key),
                Rank::Rest => self.starved_rest.push_back(key),
            }
        }
        self.shared.in_flight.store(self.slots.used(), Ordering::Relaxed);
    }

    fn advance_all(&mut self, now: Now) {
        self.keys().into_iter().for_each(|key| self.advance(key, now));
    }

    /// All lanes in an order that is the same in every run.
    fn keys(&self) -> Vec<EndpointKey> {
        let mut keys: Vec<EndpointKey> = self.lanes.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    /// Asks lanes that wait for a slot, in turn, those with nothing under way first.
    fn serve_starved(&mut self, now: Now) {
        for rank in [Rank::First, Rank::Rest] {
            let queue = self.starved(rank);
            let asked = queue.len().min(STARVED_ASKED_MAX);
            for _ in 0..asked {
                let Some(key) = self.starved(rank).pop_front() else { break };
                if let Some(lane) = self.lanes.get_mut(&key) {
                    lane.starved = false;
                    self.advance(key, now);
                }
            }
        }
    }

    fn starved(&mut self, rank: Rank) -> &mut VecDeque<EndpointKey> {
        match rank {
            Rank::First => &mut self.starved_first,
            Rank::Rest => &mut self.starved_rest,
        }
    }

    fn trouble(&mut self, error: &StoreError, now: Now) {
        let quiet_until_ms = self.trouble_logged_at_ms.map(|at_ms| at_ms + TROUBLE_LOG_MS);
        if quiet_until_ms.is_none_or(|until_ms| now.mono_ms >= until_ms) {
            self.trouble_logged_at_ms = Some(now.mono_ms);
            tracing::warn!(code = error.code(), %error, "the store did not answer; trying again");
        }
    }
}

fn error_of(done: &Done) -> Option<&StoreError> {
    match done {
        Done::Lease { result, .. } => result.as_ref().err(),
        Done::Finish { result, .. } => result.as_ref().err(),
        Done::Release { result, .. } => result.as_ref().err(),
        Done::Change { result, .. } => result.as_ref().err(),
        Done::Confirm { result, .. } => result.as_ref().err(),
    }
}
