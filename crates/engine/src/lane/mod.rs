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
//! - Nothing is leased or started beyond the tenure, nor under a lease of an earlier one; and what an
//!   attempt has shown of the endpoint is not written any more once its lease is of an earlier one.
//!
//! Next: `leasing` for what comes from the store and goes back, `results` for what happens when an
//! attempt has ended.

mod changes;
mod leasing;
mod results;

use std::collections::VecDeque;
use std::sync::Arc;

use becket_model::{Breaker, BreakerState, EndpointState, TokenBucket};
use becket_store::{EndpointDue, LeasedDelivery};

use crate::config::{EngineConfig, Environment, LEASE_MARGIN_MS};
use crate::due::DueTimes;
use crate::endpoint::Prepared;
use crate::failing::Failing;
use crate::job::{AttemptJob, Job, Leased};
use crate::lane::changes::Changes;
use crate::shared::{Closed, LaneShared};
use crate::shared_rate::Ticket;
use crate::slots::{SLOW_MS, Slots, Standing};

/// What a waiting delivery costs besides its bytes.
const DELIVERY_OVERHEAD_BYTES: usize = 256;
/// Results of one lane that may wait for the store before nothing new starts.
const FINISHING_MIN: usize = 32;
/// Over how many milliseconds the looks of all lanes for forgotten leases are spread.
const LOOK_SPREAD_MS: u64 = 10_000;

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
    /// Whether there is nothing left to send.
    expunged: bool,
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
    /// It stands in line for the application's rate.
    Line(u64),
    Slots,
}

/// Which of the rates says when to ask again, in milliseconds from now.
enum Wait {
    Own(u64),
    Line(u64),
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
    /// The place in the line for the application's rate.
    ticket: Option<Ticket>,
    due: DueTimes,
    /// Whether deliveries wait in the store of which nobody knows here when they are due.
    unclear: bool,
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
    /// Whether the store has been told that it fails.
    failing_noted: bool,
    changes: Changes,
    /// Counts the states that others have set.
    told_states: u32,
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
        let failing_noted = prepared.runtime.failing_since_ms.is_some();
        let bucket = bucket_of(&prepared, now);
        shared.set(Closed::State, state != EndpointState::Enabled);
        if shared.wake_taken() {
            shared.set(Closed::Backlog, true);
        }
        Self {
            shared,
            prepared,
            state,
            queue: VecDeque::new(),
            in_flight: Vec::new(),
            standing: Standing::Unknown,
            breaker: Breaker::closed(),
            bucket,
            ticket: None,
            due: DueTimes::default(),
            unclear: false,
            leasing: false,
            woken_while_leasing: false,
            lease_failures: 0,
            lease_retry_at_ms: 0,
            look_at_ms,
            finishing: 0,
            held: 0,
            releasing: 0,
            failing,
            failing_noted,
            changes: Changes::default(),
            told_states: 0,
            typical_bytes: 0,
            timer_ms: None,
            starved: false,
        }
    }

    /// Takes over new settings. What is under way ends under the old ones.
    pub(crate) fn update(
        &mut self,
        shared: Arc<LaneShared>,
        prepared: Arc<Prepared>,
        around: &mut Surroundings<'_>,
    ) {
        if !Arc::ptr_eq(&self.shared, &shared) {
            self.adopt(shared);
        }
        let (old, new) = (&self.prepared.runtime, &prepared.runtime);
        let moved = old.settings.url != new.settings.url;
        let rate_changed = old.settings.rate != new.settings.rate;
        let line = |of: &Prepared| of.runtime.application_rate.as_ref().map(Arc::as_ptr);
        if line(&self.prepared) != line(&prepared) {
            self.leave_line();
        }
        let (state, failing_since_ms) = (new.state, new.failing_since_ms);
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
        let is_old = state == EndpointState::Enabled && self.changes.will_disable();
        let was_disabled = self.state == EndpointState::Disabled;
        let was_removed = self.state == EndpointState::Removed;
        self.told_state(if is_old { EndpointState::Disabled } else { state }, around);
        if was_removed && self.state != EndpointState::Removed {
            // It was somebody else's meanwhile.
            self.failing = Failing::since(failing_since_ms);
            self.failing_noted = failing_since_ms.is_some();
        }
        if was_disabled && self.state == EndpointState::Enabled {
            // Made after the switching off, or just before: only the store can say.
            self.confirm(around);
        }
    }

    /// The endpoint was removed and has been put again before everything of it had ended. The old
    /// part that others see has no places left, so nothing is in there.
    fn adopt(&mut self, shared: Arc<LaneShared>) {
        shared.set(Closed::State, self.shared.is(Closed::State));
        shared.set(Closed::Breaker, self.shared.is(Closed::Breaker));
        // A wake may have come while this lane still had the old part. It asks for nothing beyond the
        // backlog; left standing, it would keep all later ones from telling anybody.
        shared.wake_taken();
        shared.set(Closed::Backlog, true);
        self.shared = shared;
    }

    /// The endpoint has just been made or come back: what waits in the store is not known yet.
    pub(crate) fn look_at_once(&mut self) {
        self.set_backlog(true);
        self.unclear = true;
    }

    /// Somebody else has set the state.
    pub(crate) fn told_state(&mut self, state: EndpointState, around: &mut Surroundings<'_>) {
        self.told_states = self.told_states.wrapping_add(1);
        self.set_state(state, around);
    }

    /// Sets whether the lane takes deliveries. Enabling forgets earlier failures.
    fn set_state(&mut self, state: EndpointState, around: &mut Surroundings<'_>) {
        if self.state == state {
            return;
        }
        self.state = state;
        if state == EndpointState::Enabled {
            self.changes.forget_disabling();
            self.failing = Failing::since(None);
            self.failing_noted = false;
            self.standing = Standing::Unknown;
            self.breaker_reset();
            self.set_backlog(true);
        } else {
            around.close_idle.push(u64::from(self.shared.key.0));
        }
        self.shared.set(Closed::State, state != EndpointState::Enabled);
    }

    /// Something waits in the store, due now or later.
    pub(crate) fn woken(&mut self) {
        self.shared.wake_taken();
        self.unclear = true;
        self.set_backlog(true);
        self.woken_while_leasing |= self.leasing;
    }

    /// The store tells of the earliest delivery that waits.
    pub(crate) fn due_at(&mut self, due: &EndpointDue, now: Now) {
        // When the others are due it tells once the earliest is gone.
        self.unclear |= due.waiting > 1;
        if due.due_ms <= now.wall_ms {
            self.set_backlog(true);
        } else {
            self.due.insert(due.due_ms);
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
        let expunged = delivery.record.is_expunged();
        self.queue.push_back(Queued { delivery, lease_until_ms, bytes, expunged });
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
        self.leave_line();
    }

    /// The attempts under way have been broken off: they are given back, to be repeated.
    pub(crate) fn broken_off(&mut self, around: &mut Surroundings<'_>) {
        let deliveries: Vec<Leased> = self.in_flight.drain(..).map(|one| one.leased).collect();
        deliveries.iter().for_each(|_| around.slots.give_back());
        self.release(deliveries, around);
    }

    /// Starts whatever may start and leases whatever is due.
    pub(crate) fn advance(&mut self, around: &mut Surroundings<'_>) -> Advance {
        self.withdraw_changes(around);
        self.changes.advance(&self.prepared, around);
        if self.state != EndpointState::Enabled || around.stopping {
            self.release_queue(around);
            self.leave_line();
            return Advance::default();
        }
        if !self.breaker_may_admit(around.now) {
            self.release_queue(around);
        }
        let hold = self.start_ready(around);
        self.lease_if_due(around);
        match hold {
            Hold::Line(_) => {}
            Hold::Empty if !self.leasing && self.releasing == 0 => self.leave_line(),
            _ => self.step_aside(),
        }
        let starved = matches!(hold, Hold::Slots).then(|| self.rank(around.now));
        Advance { wake_at_ms: self.wake_at(&hold, around.now), starved }
    }

    fn start_ready(&mut self, around: &mut Surroundings<'_>) -> Hold {
        let mut late = Vec::new();
        let hold = loop {
            let Some(front) = self.queue.front() else { break Hold::Empty };
            if !self.lease_suffices(front.lease_until_ms, around.now.wall_ms)
                || !self.shared.shard.tenure.is_own(front.delivery.lease)
            {
                late.extend(self.unqueue().map(|queued| leased(&queued.delivery)));
                continue;
            }
            let expunged = front.expunged;
            let hold = if expunged { self.may_record() } else { self.may_start(around) };
            if let Some(hold) = hold {
                break hold;
            }
            match self.unqueue() {
                Some(queued) if expunged => self.expunged(queued.delivery, around),
                Some(queued) => self.start(queued.delivery, around),
                None => {}
            }
        };
        self.release(late, around);
        hold
    }

    /// Whether another result may come about, as far as recording goes.
    fn may_record(&self) -> Option<Hold> {
        let finishing_max = (4 * self.prepared.concurrency()).max(FINISHING_MIN);
        (self.held > 0 || self.finishing >= finishing_max).then_some(Hold::Busy)
    }

    fn may_start(&mut self, around: &mut Surroundings<'_>) -> Option<Hold> {
        let now = around.now;
        if let Some(hold) = self.may_record() {
            return Some(hold);
        }
        if !self.shared.shard.tenure.holds(now.mono_ms) {
            // It goes on when it is told of a new tenure.
            return Some(Hold::Busy);
        }
        if self.in_flight.len() >= self.prepared.concurrency() || !self.breaker_may_admit(now) {
            return Some(Hold::Busy);
        }
        let standing = if around.slots.are_scarce() { self.standing(now) } else { self.standing };
        if !around.slots.admits(standing, self.in_flight.len()) {
            return Some(Hold::Slots);
        }
        match self.rates_admit(now) {
            Ok(()) => (!self.breaker.admit(now.mono())).then_some(Hold::Busy),
            Err(Wait::Own(wait_ms)) => Some(Hold::Until(now.mono_ms + wait_ms)),
            Err(Wait::Line(wait_ms)) => Some(Hold::Line(now.mono_ms + wait_ms)),
        }
    }

    /// Takes from both rates, or from none.
    fn rates_admit(&mut self, now: Now) -> Result<(), Wait> {
        let mut own = self.bucket.clone();
        own.as_mut().map_or(Ok(()), |own| own.take(now.mono())).map_err(Wait::Own)?;
        if let Some(rate) = &self.prepared.runtime.application_rate {
            rate.take(&mut self.ticket, now.mono_ms).map_err(Wait::Line)?;
        }
        self.bucket = own;
        Ok(())
    }

    fn leave_line(&mut self) {
        let ticket = self.ticket.take();
        if let (Some(ticket), Some(rate)) = (ticket, &self.prepared.runtime.application_rate) {
            rate.leave(ticket);
        }
    }

    fn step_aside(&mut self) {
        if let (Some(ticket), Some(rate)) = (self.ticket, &self.prepared.runtime.application_rate) {
            rate.step_aside(ticket);
        }
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

    fn wake_at(&self, hold: &Hold, now: Now) -> Option<u64> {
        let due = self.due.first().filter(|due_ms| *due_ms > now.wall_ms);
        let due = due.map(|due_ms| now.mono_ms + due_ms.abs_diff(now.wall_ms));
        let until = match hold {
            Hold::Until(at_ms) | Hold::Line(at_ms) => Some(*at_ms),
            _ => None,
        };
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
