//! The state machines without time or I/O: each test plays the store and the receivers by hand.

mod membership;
mod sending;

use std::sync::atomic::Ordering;

use becket_egress::Timings;
use becket_egress::policy::AddressPolicy;
use becket_model::{
    ApplicationKey, AttemptId, Clock, DeliveryKey, EndpointId, EndpointSettings, EventId,
    EventRecord, EventSeq, FailureReason, NextStep, Outcome, PackedHeaders, Rate,
};
use becket_store::{EndpointChange, FinishOutcome, LeaseToken, Owner};
use becket_store_test::{FixedNoise, ModelStore};
use parking_lot::Mutex;

use super::*;
use crate::config::EngineConfig;
use crate::endpoint::EndpointRuntime;
use crate::job::FinishJob;
use crate::observer::{
    AttemptReport, DeliveryTurn, DisabledReason, EndpointEvent, EndpointNotice, Observer,
};
use crate::shared::Closed;

const DAY_MS: u64 = 86_400_000;

struct Still;

impl Clock for Still {
    fn now_ms(&self) -> i64 {
        0
    }
}

#[derive(Default)]
struct Told {
    attempts: Mutex<Vec<AttemptReport>>,
    turns: Mutex<Vec<(u32, DeliveryTurn)>>,
    notices: Mutex<Vec<EndpointEvent>>,
}

impl Observer for Told {
    fn attempt(&self, report: &AttemptReport) {
        self.attempts.lock().push(report.clone());
    }

    fn delivery_turned(&self, report: &AttemptReport, turn: DeliveryTurn, _attempt: AttemptId) {
        self.turns.lock().push((report.number, turn));
    }

    fn endpoint_changed(&self, notice: &EndpointNotice) {
        self.notices.lock().push(notice.change.clone());
    }
}

/// A shard, its lanes as others see them, and a clock that is moved by hand.
struct Rig {
    shard: Shard,
    lanes: Vec<Arc<LaneShared>>,
    registry: Arc<Registry>,
    told: Arc<Told>,
    now: Now,
    events: i64,
    /// When the clock that never steps began.
    begun: tokio::time::Instant,
}

impl Rig {
    fn new(lanes: u32, slots: usize, settings: &EndpointSettings) -> Self {
        let told = Arc::new(Told::default());
        let environment = Environment {
            store: Arc::new(ModelStore::new(Arc::new(FixedNoise::new(1)))),
            clock: Arc::new(Still),
            noise: Arc::new(FixedNoise::new(1)),
            observer: told.clone(),
        };
        let config = EngineConfig { lane_queue_max: 20, ..EngineConfig::default() };
        let shared = Arc::new(ShardShared::new(config.lane_queue_bytes_max));
        let registry = Arc::new(Registry::new());
        let lane = |key| registry.put(key, || LaneShared::new(key, shared.clone(), 20));
        let lanes: Vec<_> = (1..=lanes).map(|key| lane(EndpointKey(key))).collect();
        let shard = Shard::new(Arc::new(config), environment, shared, registry.clone(), slots);
        let now = Now { wall_ms: 1_000_000_000_000, mono_ms: 1_000 };
        let begun = tokio::time::Instant::now();
        let mut rig = Self { shard, lanes, registry, told, now, events: 0, begun };
        rig.set(settings, EndpointState::Enabled);
        rig
    }

    fn set(&mut self, settings: &EndpointSettings, state: EndpointState) {
        let lanes = self.lanes.clone();
        let prepared = |key| Arc::new(Prepared::new(runtime(key, settings, state)));
        let endpoints = lanes.into_iter().map(|lane| (lane.clone(), prepared(lane.key))).collect();
        self.shard.command(Command::Endpoints(endpoints), self.now);
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms = self.now.wall_ms.saturating_add_unsigned(ms);
        self.shard.timers_fire(self.now);
    }

    fn delivery(&mut self, lane: usize) -> LeasedDelivery {
        self.events += 1;
        let packed = PackedHeaders::with_capacity(8).finish(b"{}");
        LeasedDelivery {
            key: DeliveryKey {
                event: EventId::new(EventSeq(self.events), [0; 12]),
                endpoint: self.lanes[lane].key,
                generation: 0,
            },
            lease: LeaseToken(self.events.unsigned_abs()),
            attempts: 0,
            application: ApplicationKey(1),
            received_at_ms: self.now.wall_ms,
            event_type: None,
            record: EventRecord::from_packed(packed).expect("just packed"),
        }
    }

    /// Reserves and hands over; answers whether the lane took it.
    fn receive(&mut self, lane: usize) -> bool {
        if !self.lanes[lane].reserve() {
            return false;
        }
        let delivery = self.delivery(lane);
        self.lanes[lane].shard.queued_add(delivery_bytes(&delivery));
        self.shard.command(Command::HandOver(delivery), self.now);
        true
    }

    /// The attempts that have been started since the last call.
    fn started(&mut self) -> Vec<AttemptJob> {
        std::mem::take(&mut self.shard.attempts)
    }

    /// Ends an attempt and answers with what is to be recorded.
    fn end(&mut self, job: &AttemptJob, status: Option<u16>) -> NextStep {
        let ended = AttemptEnded {
            key: job.delivery.key,
            lease: job.delivery.lease,
            number: job.number,
            application: job.delivery.application,
            event_type: job.delivery.event_type.clone(),
            received_at_ms: job.delivery.received_at_ms,
            started_at_ms: self.now.wall_ms,
            ended_at_ms: self.now.wall_ms,
            outcome: Outcome { status, retry_after: None, acted: None },
            error: None,
            timings: Timings::default(),
            detail: bytes::Bytes::new(),
            withheld: false,
        };
        self.shard.attempt_ended(ended, self.now);
        self.told.attempts.lock().last().expect("reported").next
    }

    fn jobs(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.shard.jobs)
    }

    /// Lets the store do everything it was asked for; leases find nothing.
    fn store_works(&mut self) -> Vec<&'static str> {
        let mut names = Vec::new();
        loop {
            let jobs = self.jobs();
            if jobs.is_empty() {
                return names;
            }
            for job in jobs {
                let (name, done) = done(job);
                names.push(name);
                self.shard.done(done, self.now);
            }
        }
    }

    fn notices(&self) -> Vec<EndpointEvent> {
        std::mem::take(&mut *self.told.notices.lock())
    }
}

fn runtime(key: EndpointKey, settings: &EndpointSettings, state: EndpointState) -> EndpointRuntime {
    let policy = Arc::new(AddressPolicy::operator());
    EndpointRuntime {
        action: None,
        transform: None,
        key,
        id: EndpointId::new(1, [u8::try_from(key.0 % 200).expect("small"); 14]),
        application: ApplicationKey(1),
        source_uid: "test".to_owned(),
        owner: Owner::MAIN,
        settings: Arc::new(settings.clone()),
        retry_by_type: Arc::default(),
        application_rate: None,
        state,
        failing_since_ms: None,
        signing_keys: Vec::new(),
        target: policy.check_url(&settings.url).map(Arc::new),
        policy,
    }
}

/// What a store that works answers.
fn done(job: Job) -> (&'static str, Done) {
    match job {
        Job::Lease(job) => ("lease", Done::Lease { job, result: Ok(Vec::new()) }),
        Job::Finish(job) => {
            let id = AttemptId::new(0, EventSeq(0), [0; 6]);
            ("finish", Done::Finish { job, result: Ok(FinishOutcome::Recorded(id)) })
        }
        Job::Release { endpoint, deliveries, failures } => {
            ("release", Done::Release { endpoint, deliveries, failures, result: Ok(()) })
        }
        Job::Change(job) => ("change", Done::Change { job, result: Ok(true) }),
        Job::Confirm(job) => ("confirm", Done::Confirm { job, result: Ok(None) }),
    }
}

fn settings() -> EndpointSettings {
    EndpointSettings::for_url("http://127.0.0.1:9/")
}

#[test]
fn a_lane_keeps_to_its_concurrency() {
    let mut rig = Rig::new(1, 128, &EndpointSettings { concurrency: 3, ..settings() });
    (0..5).for_each(|_| assert!(rig.receive(0)));
    let started = rig.started();
    assert_eq!(started.len(), 3);
    assert_eq!(rig.end(&started[0], Some(200)), NextStep::Delivered);
    assert_eq!(rig.started().len(), 1);
    assert_eq!(rig.lanes[0].shard.in_flight.load(Ordering::Relaxed), 3);
}

#[test]
fn lanes_that_were_quick_and_hang_leave_slots() {
    let mut rig = Rig::new(60, 128, &settings());
    for lane in 0..60 {
        assert!(rig.receive(lane));
        let started = rig.started();
        rig.end(&started[0], Some(200));
    }
    rig.store_works();
    // Now fifty of them hang, each with more than it may have under way.
    for _ in 0..15 {
        (0..50).for_each(|lane| assert!(rig.receive(lane)));
    }
    assert!(rig.started().len() >= 96);
    for wait_ms in [0, 500, 2_000] {
        rig.pass(wait_ms);
        for lane in 50..60 {
            assert!(rig.receive(lane));
            let started = rig.started();
            assert_eq!(started.len(), 1, "lane {lane} after {wait_ms} ms");
            rig.end(&started[0], Some(200));
        }
    }
}

#[test]
fn many_unknown_lanes_that_hang_leave_slots_to_the_proven() {
    let mut rig = Rig::new(400, 128, &settings());
    assert!(rig.receive(399));
    let first = rig.started();
    rig.end(&first[0], Some(200));
    for _ in 0..3 {
        (0..398).for_each(|lane| assert!(rig.receive(lane)));
    }
    let hanging = rig.started();
    assert_eq!(hanging.len(), 120);
    assert!(rig.receive(399));
    assert_eq!(rig.started().len(), 1, "a proven lane");
    // One that nobody knows is the first to get the next slot.
    assert!(rig.receive(398));
    assert!(rig.started().is_empty());
    rig.pass(15_000);
    rig.end(&hanging[0], None);
    rig.end(&hanging[1], None);
    assert!(
        rig.started()
            .iter()
            .all(|job| job.delivery.key.endpoint != hanging[0].delivery.key.endpoint)
    );
}

#[test]
fn the_breaker_sends_everything_back_and_probes() {
    let mut rig = Rig::new(1, 128, &settings());
    (0..20).for_each(|_| assert!(rig.receive(0)));
    for job in rig.started() {
        rig.end(&job, Some(500));
    }
    assert_eq!(rig.notices(), [EndpointEvent::BreakerOpened]);
    // What began before it opened ends, and says nothing new.
    let begun = rig.started();
    assert_eq!(begun.len(), 9);
    begun.iter().for_each(|job| assert!(matches!(rig.end(job, None), NextStep::RetryAt(_))));
    assert!(rig.started().is_empty());
    assert!(!rig.receive(0));
    let names = rig.store_works();
    assert_eq!(names.iter().filter(|name| **name == "release").count(), 1);
    assert!(!names.contains(&"lease"), "nothing is leased while it is open");
    rig.pass(29_999);
    assert!(rig.jobs().is_empty());
    rig.pass(1);
    let jobs = rig.jobs();
    let [Job::Lease(lease)] = jobs.as_slice() else { panic!("one lease") };
    assert_eq!(lease.limit, 1);
    let probe = rig.delivery(0);
    let result = Ok(vec![probe]);
    rig.shard.done(Done::Lease { job: *lease, result }, rig.now);
    let probes = rig.started();
    assert_eq!(probes.len(), 1);
    rig.end(&probes[0], Some(204));
    assert_eq!(
        rig.notices(),
        [EndpointEvent::BreakerClosed, EndpointEvent::Recovered { since_ms: 1_000_000_000_000 }]
    );
    assert!(rig.store_works().contains(&"lease"), "what waited in the store comes now");
    assert!(rig.receive(0));
}

#[test]
fn a_lease_that_is_too_short_is_given_back() {
    let mut rig = Rig::new(1, 128, &EndpointSettings { concurrency: 1, ..settings() });
    assert!(rig.receive(0) && rig.receive(0));
    let started = rig.started();
    // The timeout is 15 s and recording may take 10 s more.
    rig.pass(275_001);
    rig.end(&started[0], Some(200));
    assert!(rig.started().is_empty());
    assert!(rig.store_works().contains(&"release"));
}

#[test]
fn while_a_result_is_not_recorded_nothing_starts() {
    let mut rig = Rig::new(1, 128, &EndpointSettings { concurrency: 1, ..settings() });
    (0..3).for_each(|_| assert!(rig.receive(0)));
    let started = rig.started();
    rig.end(&started[0], Some(200));
    let started = rig.started();
    assert_eq!(started.len(), 1, "recording goes on beside the next attempt");
    let Some(Job::Finish(result)) = rig.jobs().pop() else { panic!("a result") };
    let failed = |failures| FinishJob { failures, ..result.clone() };
    let fail = |failures| {
        let result = Err(StoreError::Busy { waiting: 9 });
        Done::Finish { job: failed(failures), result }
    };
    rig.shard.done(fail(0), rig.now);
    rig.end(&started[0], Some(200));
    assert!(rig.started().is_empty());
    rig.shard.done(fail(1), rig.now);
    let again: Vec<u32> = rig
        .jobs()
        .iter()
        .filter_map(|job| match job {
            Job::Finish(job) => Some(job.failures),
            _ => None,
        })
        .collect();
    assert_eq!(again, [1, 0, 2]);
    assert_eq!(rig.lanes[0].shard.held.load(Ordering::Relaxed), 1);
    let job = Job::Finish(failed(2));
    rig.shard.done(done(job).1, rig.now);
    assert_eq!(rig.started().len(), 1);
    assert_eq!(rig.lanes[0].shard.held.load(Ordering::Relaxed), 0);
}

#[test]
fn gone_switches_the_endpoint_off() {
    let mut rig = Rig::new(1, 128, &EndpointSettings { concurrency: 1, ..settings() });
    assert!(rig.receive(0) && rig.receive(0));
    let started = rig.started();
    assert_eq!(rig.end(&started[0], Some(410)), NextStep::Failed(FailureReason::Gone));
    assert!(rig.started().is_empty() && !rig.receive(0));
    assert!(rig.notices().is_empty(), "people are told when the store knows it");
    // A snapshot from before changes nothing.
    rig.set(&settings(), EndpointState::Enabled);
    assert!(!rig.receive(0));
    let jobs = rig.jobs();
    let is_off = |job: &Job| {
        matches!(job, Job::Change(job) if matches!(
            &job.change,
            EndpointChange::State { state: EndpointState::Disabled, reason } if reason.contains("410")
        ))
    };
    for job in jobs {
        rig.shard.done(done(job).1, rig.now);
    }
    let rest = rig.jobs();
    assert!(rest.iter().any(is_off), "after the beginning of the failure has been written");
    for job in rest {
        rig.shard.done(done(job).1, rig.now);
    }
    let failing_since_ms = Some(1_000_000_000_000);
    let off = EndpointEvent::Disabled { reason: DisabledReason::Gone, failing_since_ms };
    assert_eq!(rig.notices(), [off]);
    assert_eq!(rig.shard.close_idle, [1]);
}

#[test]
fn five_days_of_failing_switch_it_off_after_warnings() {
    let mut rig = Rig::new(1, 128, &settings());
    let mut seen = Vec::new();
    let half_day_ms = DAY_MS / 2;
    for _ in 0..11 {
        rig.shard.command(Command::Wake(EndpointKey(1)), rig.now);
        let jobs = rig.jobs();
        let Some(Job::Lease(lease)) = jobs.iter().find(|job| matches!(job, Job::Lease(_))) else {
            panic!("a lease")
        };
        let result = Ok(vec![rig.delivery(0)]);
        rig.shard.done(Done::Lease { job: *lease, result }, rig.now);
        let started = rig.started();
        rig.end(&started[0], Some(503));
        rig.store_works();
        seen.extend(rig.notices());
        rig.now.mono_ms += half_day_ms;
        rig.now.wall_ms = rig.now.wall_ms.saturating_add_unsigned(half_day_ms);
    }
    let since_ms = 1_000_000_000_000;
    let warning = |percent| EndpointEvent::Failing { percent, since_ms };
    let reason = DisabledReason::FailingTooLong;
    let off = EndpointEvent::Disabled { reason, failing_since_ms: Some(since_ms) };
    assert_eq!(seen, [warning(50), warning(75), warning(90), off]);
}

#[test]
fn failures_are_written_only_when_they_begin_and_end() {
    let mut rig = Rig::new(1, 128, &settings());
    let mut written = Vec::new();
    for status in [500, 500, 200, 200, 500] {
        assert!(rig.receive(0));
        let started = rig.started();
        rig.end(&started[0], Some(status));
        let names = rig.store_works();
        written.push(names.iter().filter(|name| **name == "change").count());
    }
    assert_eq!(written, [1, 0, 1, 0, 1]);
}

#[test]
fn a_rate_is_kept_with_a_timer() {
    let rate = Some(Rate { count: 2, period_ms: 1_000 });
    let mut rig = Rig::new(1, 128, &EndpointSettings { rate, ..settings() });
    (0..4).for_each(|_| assert!(rig.receive(0)));
    assert_eq!(rig.started().len(), 2);
    assert_eq!(rig.shard.next_timer_ms(), Some(rig.now.mono_ms + 500));
    rig.pass(499);
    assert!(rig.started().is_empty());
    rig.pass(1);
    assert_eq!(rig.started().len(), 1);
}

#[test]
fn a_full_lane_drains_its_backlog_before_it_takes_more() {
    let mut rig = Rig::new(1, 128, &EndpointSettings { concurrency: 1, ..settings() });
    (0..21).for_each(|_| assert!(rig.receive(0)));
    assert!(!rig.receive(0), "the twentieth place is taken, one is under way");
    let mut started = rig.started();
    for _ in 0..20 {
        rig.end(&started.remove(0), Some(200));
        started.extend(rig.started());
    }
    assert!(!rig.receive(0), "older ones wait in the store");
    let jobs = rig.jobs();
    let leases: Vec<_> = jobs
        .iter()
        .filter_map(|job| if let Job::Lease(lease) = job { Some(*lease) } else { None })
        .collect();
    assert_eq!(leases.len(), 1);
    // Something else arrives in the store meanwhile: the answer may be without it.
    assert!(rig.lanes[0].wake());
    rig.shard.command(Command::Wake(EndpointKey(1)), rig.now);
    let result = Ok(vec![rig.delivery(0)]);
    rig.shard.done(Done::Lease { job: leases[0], result }, rig.now);
    assert!(rig.lanes[0].is(Closed::Backlog));
    rig.end(&started[0], Some(200));
    assert!(rig.store_works().contains(&"lease"));
    assert!(rig.receive(0));
}

#[test]
fn a_pause_gives_back_and_a_resume_leases() {
    let mut rig = Rig::new(1, 128, &EndpointSettings { concurrency: 1, ..settings() });
    assert!(rig.receive(0) && rig.receive(0));
    let key = EndpointKey(1);
    rig.shard.command(Command::State(key, EndpointState::Paused), rig.now);
    assert!(!rig.receive(0));
    assert_eq!(rig.store_works(), ["release"]);
    let started = rig.started();
    rig.end(&started[0], Some(200));
    assert_eq!(rig.store_works(), ["finish"], "what was under way is recorded");
    rig.shard.command(Command::State(key, EndpointState::Enabled), rig.now);
    assert_eq!(rig.store_works(), ["lease"]);
    assert!(rig.receive(0));
}

#[test]
fn a_removed_lane_ends_when_its_attempts_have() {
    let mut rig = Rig::new(1, 128, &EndpointSettings { concurrency: 1, ..settings() });
    assert!(rig.receive(0) && rig.receive(0));
    let started = rig.started();
    rig.shard.command(Command::Endpoints(Vec::new()), rig.now);
    assert_eq!(rig.store_works(), ["release"]);
    assert_eq!(rig.shard.lanes.len(), 1);
    rig.end(&started[0], Some(200));
    assert_eq!(rig.store_works(), ["finish"]);
    assert!(rig.shard.lanes.is_empty());
    // What a receiving thread hands over too late goes back as well.
    let late = rig.delivery(0);
    rig.lanes[0].shard.queued_add(delivery_bytes(&late));
    rig.shard.command(Command::HandOver(late), rig.now);
    assert_eq!(rig.store_works(), ["release"]);
    assert_eq!(rig.lanes[0].shard.queued_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn a_retry_is_leased_when_it_is_due() {
    let mut rig = Rig::new(1, 128, &settings());
    assert!(rig.receive(0));
    let started = rig.started();
    let NextStep::RetryAt(due_ms) = rig.end(&started[0], Some(500)) else { panic!("a retry") };
    rig.store_works();
    let wait_ms = due_ms.abs_diff(rig.now.wall_ms);
    rig.pass(wait_ms - 1);
    assert!(rig.jobs().is_empty());
    rig.pass(50);
    assert_eq!(rig.store_works(), ["lease"]);
    assert!(rig.receive(0), "a retry that is due holds up nothing new");
}

#[test]
fn forgotten_leases_are_looked_for() {
    let mut rig = Rig::new(1, 128, &settings());
    rig.pass(300_000);
    assert!(rig.jobs().is_empty());
    rig.pass(10_000);
    assert_eq!(rig.store_works(), ["lease"]);
}

#[test]
fn a_stop_gives_back_and_waits_for_what_is_under_way() {
    let mut rig = Rig::new(1, 128, &EndpointSettings { concurrency: 1, ..settings() });
    assert!(rig.receive(0) && rig.receive(0));
    let started = rig.started();
    rig.shard.command(Command::Stop { grace_ms: 5_000 }, rig.now);
    assert!(!rig.receive(0));
    assert_eq!(rig.store_works(), ["release"]);
    assert_eq!(rig.shard.next_timer_ms(), Some(rig.now.mono_ms + 5_000));
    assert_eq!(started.len(), 1);
    assert_eq!(rig.shard.broken_off(rig.now), 1);
    assert_eq!(rig.store_works(), ["release"]);
    assert_eq!(rig.lanes[0].shard.in_flight.load(Ordering::Relaxed), 0);
}
