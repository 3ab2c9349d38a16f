//! One endpoint's lane: what waits for it, what is under way, and what may start now.
//!
//! A lane is a state machine without I/O: events change it, [`Lane::advance`] then starts whatever
//! may start, by pushing jobs, and says when it wants to be asked again.
//!
//! Invariants:
//! - Every delivery in the queue or under way is held by a lease of this engine; whatever leaves
//!   the lane without an attempt is released.
//! - An attempt starts only if its lease holds for its whole timeout and the recording after it.
//! - While a result could not be recorded, nothing new starts.
//! - While older deliveries wait in the store, newer ones are not taken directly.
//!
//! Next: `results` for what happens when an attempt has ended.

mod changes;
mod results;

use std::collections::VecDeque;
use std::sync::Arc;

use becket_model::{Breaker, BreakerState, EndpointState, TokenBucket};
use becket_store::{LeasedDelivery, StoreError};

use crate::config::{EngineConfig, Environment, LEASE_MARGIN_MS};
use crate::due::DueTimes;
use crate::endpoint::Prepared;
use crate::failing::Failing;
use crate::job::{AttemptJob, Job, LeaseJob, Leased, backoff_ms};
use crate::lane::changes::Changes;
use crate::shared::{Closed, LaneShared};
use crate::slots::{SLOW_MS, Slots, Standing};

/// How many deliveries are leased from the store in one call, at most.
const LEASE_BATCH_MAX: usize = 64;
/// How many bytes a lease is meant to bring into memory, at most.
const LEASE_BYTES: usize = 4 * 1024 * 1024;
/// What a waiting delivery costs besides its bytes.
const DELIVERY_OVERHEAD_BYTES: usize = 256;
/// Results of one lane that may wait for the store before nothing new starts.
const FINISHING_MIN: usize = 32;
/// Over how many milliseconds the looks of all lanes for forgotten leases are spread.
const LOOK_SPREAD_MS: u64 = 10_000;
/// How much of its rate a lane leases ahead, in milliseconds.
const RATE_AHEAD_MS: u64 = 30_000;

/// The time, by the wall clock and by one that never steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall_ms: i64,
    pub(crate) mono_ms: u64,
}

impl Now {
    /// For counters that take milliseconds as the model does.
    fn mono(self) -> i64 {
        i64::try_from(self.mono_ms).unwrap_or(i64::MAX)
    }
}

/// What a lane works with besides itself.
pub(crate) struct Surroundings<'a> {
    pub(crate) config: &'a EngineConfig,
    pub(crate) environment: &'a Environment,
    pub(crate) now: Now,
    pub(crate) slots: &'a mut Slots,
    pub(crate) attempts: &'a mut Vec<AttemptJob>,
    pub(crate) jobs: &'a mut Vec<Job>,
    /// Endpoints whose unused connections are to be closed.
    pub(crate) close_idle: &'a mut Vec<u64>,
    /// Set if the store has to be asked again what is due.
    pub(crate) refresh: &'a mut bool,
    pub(crate) stopping: bool,
}

/// When a lane wants to be asked again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Advance {
    /// At this moment of the clock that never steps.
    pub(crate) wake_at_ms: Option<u64>,
    /// When a slot is free; ahead of the others or after them.
    pub(crate) starved: Option<Rank>,
}

/// Who is served first when a slot becomes free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Lanes with nothing under way that are not doubtful.
    First,
    Rest,
}

struct Queued {
    delivery: LeasedDelivery,
    lease_until_ms: i64,
    bytes: usize,
}

struct InFlight {
    leased: Leased,
    started_mono_ms: u64,
}

/// Why nothing more is started now.
enum Hold {
    Empty,
    /// Something of the lane's own has to end first.
    Busy,
    Until(u64),
    Slots,
}

pub(crate) struct Lane {
    pub(crate) shared: Arc<LaneShared>,
    prepared: Arc<Prepared>,
    state: EndpointState,
    queue: VecDeque<Queued>,
    in_flight: Vec<InFlight>,
    standing: Standing,
    breaker: Breaker,
    bucket: Option<TokenBucket>,
    due: DueTimes,
    leasing: bool,
    woken_while_leasing: bool,
    lease_failures: u32,
    lease_retry_at_ms: u64,
    /// When to ask the store even if nothing is known to be due. A lease whose holder has forgotten
    /// it (an earlier run, a call whose answer was lost) ends by itself, and nobody else would look.
    look_at_ms: u64,
    finishing: usize,
    held: usize,
    releasing: usize,
    failing: Failing,
    changes: Changes,
    /// The size of recent deliveries, for guessing that of the next ones.
    typical_bytes: usize,
    /// The earliest timer that has been set; kept by the shard.
    pub(crate) timer_ms: Option<u64>,
    /// Whether the lane stands in a queue for slots; kept by the shard.
    pub(crate) starved: bool,
}

impl Lane {
    pub(crate) fn new(
        shared: Arc<LaneShared>,
        prepared: Arc<Prepared>,
        lease_ms: u64,
        now: Now,
    ) -> Self {
        let look_at_ms = now.mono_ms + lease_ms + look_spread_ms(&shared);
        let state = prepared.runtime.state;
        let failing = Failing::since(prepared.runtime.failing_since_ms);
        let bucket = bucket_of(&prepared, now);
        shared.set(Closed::State, state != EndpointState::Enabled);
        Self {
            shared,
            prepared,
            state,
            queue: VecDeque::new(),
            in_flight: Vec::new(),
            standing: Standing::Unknown,
            breaker: Breaker::closed(),
            bucket,
            due: DueTimes::default(),
            leasing: false,
            woken_while_leasing: false,
            lease_failures: 0,
            lease_retry_at_ms: 0,
            look_at_ms,
            finishing: 0,
            held: 0,
            releasing: 0,
            failing,
            changes: Changes::default(),
            typical_bytes: 0,
            timer_ms: None,
            starved: false,
        }
    }

    /// Takes over new settings. What is under way ends under the old ones.
    pub(crate) fn update(&mut self, prepared: Arc<Prepared>, around: &mut Surroundings<'_>) {
        let (old, new) = (&self.prepared.runtime, &prepared.runtime);
        let moved = old.settings.url != new.settings.url;
        let rate_changed = old.settings.rate != new.settings.rate;
        let state = new.state;
        self.prepared = prepared;
        if moved {
            around.close_idle.push(u64::from(self.shared.key.0));
            self.breaker_reset();
            self.standing = Standing::Unknown;
        }
        if rate_changed {
            self.bucket = bucket_of(&self.prepared, around.now);
        }
        // A snapshot made before the store knew of the switching off says nothing new.
        if !(state == EndpointState::Enabled && self.changes.will_disable()) {
            self.set_state(state, around);
        }
    }

    /// Sets whether the lane takes deliveries. Enabling forgets earlier failures.
    pub(crate) fn set_state(&mut self, state: EndpointState, around: &mut Surroundings<'_>) {
        if self.state == state {
            return;
        }
        self.state = state;
        if state == EndpointState::Enabled {
            self.changes.forget_disabling();
            self.failing = Failing::since(None);
            self.standing = Standing::Unknown;
            self.breaker_reset();
            self.set_backlog(true);
        } else {
            around.close_idle.push(u64::from(self.shared.key.0));
        }
        self.shared.set(Closed::State, state != EndpointState::Enabled);
    }

    /// Something waits in the store, due now.
    pub(crate) fn woken(&mut self) {
        self.shared.wake_taken();
        self.set_backlog(true);
        self.woken_while_leasing |= self.leasing;
    }

    /// Something is due in the store at this moment of the wall clock.
    pub(crate) fn due_at(&mut self, due_ms: i64, now: Now) {
        if due_ms <= now.wall_ms {
            self.set_backlog(true);
        } else {
            self.due.insert(due_ms);
        }
    }

    /// Takes a delivery from a receiving thread, which has reserved its place and counted its bytes.
    pub(crate) fn take_over(&mut self, delivery: LeasedDelivery, lease_ms: u64) {
        let lease_until_ms = delivery.received_at_ms.saturating_add_unsigned(lease_ms);
        self.enqueue(delivery, lease_until_ms);
    }

    fn enqueue(&mut self, delivery: LeasedDelivery, lease_until_ms: i64) {
        let bytes = delivery_bytes(&delivery);
        self.typical_bytes = bytes.max(self.typical_bytes - self.typical_bytes / 8);
        self.queue.push_back(Queued { delivery, lease_until_ms, bytes });
    }

    fn unqueue(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        self.shared.vacate();
        self.shared.shard.queued_remove(queued.bytes);
        Some(queued)
    }

    /// Whether nothing of a removed lane is left to wait for.
    pub(crate) fn is_over(&self) -> bool {
        self.state == EndpointState::Removed
            && self.queue.is_empty()
            && self.in_flight.is_empty()
            && self.finishing == 0
            && self.releasing == 0
            && !self.leasing
            && self.changes.is_empty()
    }

    /// The lane is about to be dropped: what is counted of it is taken back.
    pub(crate) fn retire(&mut self) {
        self.breaker_reset();
    }

    /// The attempts under way have been broken off: they are given back, to be repeated.
    pub(crate) fn broken_off(&mut self, around: &mut Surroundings<'_>) {
        let deliveries: Vec<Leased> = self.in_flight.drain(..).map(|one| one.leased).collect();
        deliveries.iter().for_each(|_| around.slots.give_back());
        self.release(deliveries, around);
    }

    /// Starts whatever may start and leases whatever is due.
    pub(crate) fn advance(&mut self, around: &mut Surroundings<'_>) -> Advance {
        self.changes.advance(&self.prepared, around);
        if self.state != EndpointState::Enabled || around.stopping {
            self.release_queue(around);
            return Advance::default();
        }
        if !self.breaker_may_admit(around.now) {
            self.release_queue(around);
        }
        let hold = self.start_ready(around);
        self.lease_if_due(around);
        let starved = matches!(hold, Hold::Slots).then(|| self.rank(around.now));
        Advance { wake_at_ms: self.wake_at(&hold, around.now), starved }
    }

    fn start_ready(&mut self, around: &mut Surroundings<'_>) -> Hold {
        let mut late = Vec::new();
        let hold = loop {
            let Some(front) = self.queue.front() else { break Hold::Empty };
            if !self.lease_suffices(front.lease_until_ms, around.now.wall_ms) {
                late.extend(self.unqueue().map(|queued| leased(&queued.delivery)));
                continue;
            }
            if let Some(hold) = self.may_start(around) {
                break hold;
            }
            if let Some(queued) = self.unqueue() {
                self.start(queued.delivery, around);
            }
        };
        self.release(late, around);
        hold
    }

    fn may_start(&mut self, around: &mut Surroundings<'_>) -> Option<Hold> {
        let now = around.now;
        let finishing_max = (4 * self.prepared.concurrency()).max(FINISHING_MIN);
        if self.held > 0
            || self.finishing >= finishing_max
            || self.in_flight.len() >= self.prepared.concurrency()
            || !self.breaker_may_admit(now)
        {
            return Some(Hold::Busy);
        }
        let standing = if around.slots.are_scarce() { self.standing(now) } else { self.standing };
        if !around.slots.admits(standing, self.in_flight.len()) {
            return Some(Hold::Slots);
        }
        if let Some(Err(wait_ms)) = self.bucket.as_mut().map(|bucket| bucket.take(now.mono())) {
            return Some(Hold::Until(now.mono_ms + wait_ms));
        }
        (!self.breaker.admit(now.mono())).then_some(Hold::Busy)
    }

    fn start(&mut self, delivery: LeasedDelivery, around: &mut Surroundings<'_>) {
        around.slots.take();
        self.in_flight
            .push(InFlight { leased: leased(&delivery), started_mono_ms: around.now.mono_ms });
        let number = delivery.attempts.saturating_add(1);
        let endpoint = self.prepared.clone();
        around.attempts.push(AttemptJob { endpoint, delivery, number });
    }

    fn lease_suffices(&self, lease_until_ms: i64, now_ms: i64) -> bool {
        let needed_ms = self.prepared.runtime.settings.timeout_ms.saturating_add(LEASE_MARGIN_MS);
        now_ms.saturating_add_unsigned(needed_ms) <= lease_until_ms
    }

    fn standing(&self, now: Now) -> Standing {
        let slow = |attempt: &InFlight| now.mono_ms - attempt.started_mono_ms > SLOW_MS;
        if self.in_flight.iter().any(slow) { Standing::Doubtful } else { self.standing }
    }

    fn rank(&self, now: Now) -> Rank {
        if self.in_flight.is_empty() && self.standing(now) != Standing::Doubtful {
            Rank::First
        } else {
            Rank::Rest
        }
    }

    fn breaker_may_admit(&self, now: Now) -> bool {
        match self.breaker.state() {
            BreakerState::Closed => true,
            BreakerState::Probing => false,
            BreakerState::Open { probe_at_ms } => probe_at_ms <= now.mono(),
        }
    }

    // --- leasing ---

    fn lease_if_due(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        let waits = self.shared.is(Closed::Backlog)
            || self.due.is_due(now.wall_ms)
            || self.look_at_ms <= now.mono_ms;
        let low = self.queue.len() < self.prepared.concurrency().min(LEASE_BATCH_MAX);
        let no_room = self.shared.shard.bytes_are_full() && !self.queue.is_empty();
        if !waits
            || !low
            || no_room
            || self.leasing
            || self.held > 0
            || self.lease_retry_at_ms > now.mono_ms
            || !self.breaker_may_admit(now)
            || (self.breaker.state() != BreakerState::Closed && !self.queue.is_empty())
        {
            return;
        }
        self.leasing = true;
        self.woken_while_leasing = false;
        self.due.passed(now.wall_ms);
        self.look_at_ms = now.mono_ms + around.config.lease_ms + look_spread_ms(&self.shared);
        around.jobs.push(Job::Lease(LeaseJob {
            endpoint: self.shared.key,
            now_ms: now.wall_ms,
            lease_ms: around.config.lease_ms,
            limit: self.lease_limit(around.config),
        }));
    }

    /// How many deliveries to lease: what can be tried in time and kept in memory.
    fn lease_limit(&self, config: &EngineConfig) -> usize {
        if self.breaker.state() != BreakerState::Closed {
            return 1;
        }
        let settings = &self.prepared.runtime.settings;
        let concurrency = self.prepared.concurrency();
        let rounds = (config.lease_ms - LEASE_MARGIN_MS) / settings.timeout_ms.max(1);
        let in_time = concurrency.saturating_mul(usize::try_from(rounds).unwrap_or(usize::MAX));
        let by_rate = settings.rate.map_or(u64::MAX, |rate| {
            u64::from(rate.count).saturating_mul(RATE_AHEAD_MS) / rate.period_ms.max(1)
        });
        let by_bytes = if self.shared.shard.bytes_are_full() {
            concurrency.saturating_sub(self.in_flight.len())
        } else {
            LEASE_BYTES / self.typical_bytes.max(1)
        };
        LEASE_BATCH_MAX
            .min(self.shared.places_left())
            .min(in_time)
            .min(by_bytes)
            .min(usize::try_from(by_rate).unwrap_or(usize::MAX))
            .max(1)
    }

    /// A lease has come, or has not.
    pub(crate) fn lease_ended(
        &mut self,
        job: LeaseJob,
        result: Result<Vec<LeasedDelivery>, StoreError>,
        around: &mut Surroundings<'_>,
    ) {
        self.leasing = false;
        let lease_until_ms = job.now_ms.saturating_add_unsigned(job.lease_ms);
        match result {
            Ok(deliveries) => {
                self.lease_failures = 0;
                self.set_backlog(deliveries.len() >= job.limit || self.woken_while_leasing);
                for delivery in deliveries {
                    self.shared.occupy();
                    self.shared.shard.queued_add(delivery_bytes(&delivery));
                    self.enqueue(delivery, lease_until_ms);
                }
                *around.refresh |= self.due.incomplete();
            }
            Err(_) => {
                self.lease_failures = self.lease_failures.saturating_add(1);
                self.lease_retry_at_ms = around.now.mono_ms + backoff_ms(self.lease_failures);
                self.set_backlog(true);
                // The store may have given the leases and lost the answer.
                self.due.insert(lease_until_ms);
            }
        }
    }

    fn set_backlog(&mut self, holds: bool) {
        self.shared.set(Closed::Backlog, holds);
    }

    // --- releasing ---

    fn release_queue(&mut self, around: &mut Surroundings<'_>) {
        let mut deliveries = Vec::new();
        while let Some(queued) = self.unqueue() {
            deliveries.push(leased(&queued.delivery));
        }
        self.release(deliveries, around);
    }

    fn release(&mut self, deliveries: Vec<Leased>, around: &mut Surroundings<'_>) {
        if deliveries.is_empty() {
            return;
        }
        self.set_backlog(true);
        self.releasing += 1;
        let endpoint = self.shared.key;
        around.jobs.push(Job::Release { endpoint, deliveries, failures: 0 });
    }

    /// What was released can be leased again: also by a lease that was asked for before.
    pub(crate) fn released(&mut self) {
        self.releasing = self.releasing.saturating_sub(1);
        self.set_backlog(true);
        self.woken_while_leasing |= self.leasing;
    }

    // --- timers ---

    fn wake_at(&self, hold: &Hold, now: Now) -> Option<u64> {
        let due = self.due.first().filter(|due_ms| *due_ms > now.wall_ms);
        let due = due.map(|due_ms| now.mono_ms + due_ms.abs_diff(now.wall_ms));
        let until = if let Hold::Until(at_ms) = hold { Some(*at_ms) } else { None };
        let retry = Some(self.lease_retry_at_ms).filter(|at_ms| *at_ms > now.mono_ms);
        let probe = match self.breaker.state() {
            BreakerState::Open { probe_at_ms } if probe_at_ms > now.mono() => {
                u64::try_from(probe_at_ms).ok()
            }
            _ => None,
        };
        let look = Some(self.look_at_ms).filter(|at_ms| *at_ms > now.mono_ms);
        [due, until, retry, probe, look].into_iter().flatten().min()
    }
}

fn bucket_of(prepared: &Prepared, now: Now) -> Option<TokenBucket> {
    prepared.runtime.settings.rate.map(|rate| {
        // The burst is one second's worth, so that a rate per hour does not come all at once.
        let per_second = u64::from(rate.count) * 1_000 / rate.period_ms.max(1);
        TokenBucket::full(rate, u32::try_from(per_second).unwrap_or(u32::MAX).max(1), now.mono())
    })
}

/// Spreads the looks of many lanes over a while.
fn look_spread_ms(shared: &LaneShared) -> u64 {
    u64::from(shared.key.0) * 37 % LOOK_SPREAD_MS
}

fn leased(delivery: &LeasedDelivery) -> Leased {
    (delivery.key, delivery.lease)
}

/// What a waiting delivery counts for.
pub(crate) fn delivery_bytes(delivery: &LeasedDelivery) -> usize {
    delivery.record.packed().len() + DELIVERY_OVERHEAD_BYTES
}
