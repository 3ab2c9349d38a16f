//! What sending asks of the lanes: endpoints one at a time, shared rates, schedules by type, removed
//! payloads, deliveries for later, and what is told of them.

use std::collections::HashMap;

use becket_model::RetrySchedule;
use becket_store::EndpointDue;

use super::*;
use crate::job::LeaseJob;
use crate::shared_rate::SharedRate;

impl Rig {
    fn put(&mut self, lane: usize, change: impl FnOnce(&mut EndpointRuntime)) {
        let key = EndpointKey(u32::try_from(lane + 1).expect("few"));
        let mut runtime = runtime(key, &settings(), EndpointState::Enabled);
        change(&mut runtime);
        let shard = self.lanes[lane].shard.clone();
        self.lanes[lane] = self.registry.put(key, || LaneShared::new(key, shard, 20));
        let put = Command::Put(self.lanes[lane].clone(), Arc::new(Prepared::new(runtime)));
        self.shard.command(put, self.now);
    }

    fn remove(&mut self, lane: usize) {
        let key = self.lanes[lane].key;
        self.registry.remove(key);
        self.shard.command(Command::Remove(key), self.now);
    }

    fn is_known(&self, lane: usize) -> bool {
        self.registry.with(self.lanes[lane].key, |_| ()).is_some()
    }

    /// Reserves, stores and hands over a delivery of this type or without its payload.
    fn receive_as(&mut self, event_type: &str, expunged: bool) {
        assert!(self.lanes[0].reserve());
        let mut delivery = self.delivery(0);
        delivery.event_type = Some(event_type.into());
        if expunged {
            delivery.record = EventRecord::expunged(5);
        }
        self.lanes[0].shard.queued_add(delivery_bytes(&delivery));
        self.shard.command(Command::HandOver(delivery), self.now);
    }

    fn lease(&mut self) -> Option<LeaseJob> {
        let jobs = self.jobs();
        jobs.iter().find_map(|job| if let Job::Lease(job) = job { Some(*job) } else { None })
    }
}

#[test]
fn endpoints_come_and_go_one_at_a_time() {
    let mut rig = Rig::new(2, 128, &EndpointSettings { concurrency: 1, ..settings() });
    assert!(rig.receive(0) && rig.receive(1));
    let started = rig.started();
    let before = rig.lanes[0].clone();
    rig.remove(0);
    assert!(!rig.receive(0) && rig.receive(1), "the others stay");
    assert_eq!((rig.shard.lanes.len(), rig.is_known(0)), (2, false));
    // It comes back while an attempt of its first life is under way.
    rig.put(0, |_| ());
    assert!(!Arc::ptr_eq(&before, &rig.lanes[0]));
    assert_eq!(rig.store_works(), ["lease"], "what was given back is looked for");
    assert!(rig.receive(0));
    rig.end(&started[0], Some(200));
    assert_eq!(rig.store_works(), ["finish"]);
    rig.remove(0);
    rig.started().iter().filter(|job| job.delivery.key.endpoint.0 == 1).for_each(|job| {
        rig.end(job, Some(200));
    });
    rig.store_works();
    assert_eq!((rig.shard.lanes.len(), rig.is_known(0)), (1, false));
    // A third life, of which nothing is known any more.
    rig.put(0, |runtime| runtime.state = EndpointState::Paused);
    assert!(!rig.receive(0));
    rig.put(0, |_| ());
    assert_eq!(rig.store_works(), ["lease"]);
    assert!(rig.receive(0));
}

#[test]
fn a_place_that_was_reserved_before_the_removal_comes_back() {
    let mut rig = Rig::new(1, 128, &settings());
    assert!(rig.lanes[0].reserve() && rig.lanes[0].reserve() && rig.lanes[0].wake());
    rig.remove(0);
    assert!(rig.shard.lanes.is_empty() && rig.is_known(0));
    let late = rig.delivery(0);
    rig.lanes[0].shard.queued_add(delivery_bytes(&late));
    rig.shard.command(Command::HandOver(late), rig.now);
    assert_eq!(rig.store_works(), ["release"]);
    // The wake of its first life went to nobody; it does not silence those of the second.
    let before = rig.lanes[0].clone();
    rig.put(0, |_| ());
    assert!(Arc::ptr_eq(&before, &rig.lanes[0]));
    assert!(rig.lanes[0].wake());
    rig.remove(0);
    rig.registry.vacate(EndpointKey(1));
    rig.store_works();
    assert!(!rig.is_known(0));
}

#[test]
fn lanes_take_turns_at_a_shared_rate() {
    let mut rig = Rig::new(3, 128, &settings());
    let shared = Arc::new(SharedRate::new(Rate { count: 1, period_ms: 1_000 }));
    for lane in 0..3 {
        rig.put(lane, |runtime| runtime.application_rate = Some(shared.clone()));
    }
    (0..5).for_each(|_| (0..3).for_each(|lane| assert!(rig.receive(lane))));
    let mut turns = Vec::new();
    for _ in 0..60 {
        for job in rig.started() {
            turns.push(job.delivery.key.endpoint.0);
            rig.end(&job, Some(200));
        }
        rig.pass(100);
    }
    assert_eq!(turns, [1, 2, 3, 1, 2, 3], "one a second, in turn");
    assert_eq!(rig.started().len(), 1);
    // One that is paused gives up its place.
    rig.shard.command(Command::State(EndpointKey(1), EndpointState::Paused), rig.now);
    rig.pass(1_000);
    rig.pass(1_000);
    let turns: Vec<u32> = rig.started().iter().map(|job| job.delivery.key.endpoint.0).collect();
    assert_eq!(turns, [2, 3]);
}

#[test]
fn a_shared_rate_takes_nothing_from_a_lane_that_may_not_start() {
    let rate = Some(Rate { count: 1, period_ms: 10_000 });
    let mut rig = Rig::new(2, 128, &settings());
    let shared = Arc::new(SharedRate::new(Rate { count: 1, period_ms: 1_000 }));
    for lane in 0..2 {
        rig.put(lane, |runtime| {
            runtime.application_rate = Some(shared.clone());
            let own = if lane == 0 { rate } else { None };
            runtime.settings = Arc::new(EndpointSettings { rate: own, ..settings() });
        });
    }
    (0..3).for_each(|_| (0..2).for_each(|lane| assert!(rig.receive(lane))));
    let mut turns = Vec::new();
    for _ in 0..40 {
        turns.extend(rig.started().iter().map(|job| job.delivery.key.endpoint.0));
        rig.pass(100);
    }
    assert_eq!(turns, [1, 2, 2, 2], "the first one waits for its own rate");
}

#[test]
fn a_type_has_its_own_schedule() {
    let mut rig = Rig::new(1, 128, &settings());
    let by_type = HashMap::from([("once".to_owned(), RetrySchedule { delays_ms: Vec::new() })]);
    rig.put(0, |runtime| runtime.retry_by_type = Arc::new(by_type));
    rig.store_works();
    rig.receive_as("once", false);
    rig.receive_as("other", false);
    let started = rig.started();
    assert_eq!(rig.end(&started[0], Some(500)), NextStep::Failed(FailureReason::Exhausted));
    assert!(matches!(rig.end(&started[1], Some(500)), NextStep::RetryAt(_)));
    rig.store_works();
    assert_eq!(*rig.told.turns.lock(), [(1, DeliveryTurn::Exhausted)]);
}

#[test]
fn what_was_expunged_is_not_sent() {
    let rate = Some(Rate { count: 1, period_ms: 60_000 });
    let mut rig = Rig::new(1, 128, &EndpointSettings { rate, ..settings() });
    (0..12).for_each(|_| rig.receive_as("order.paid", true));
    rig.receive_as("order.paid", false);
    assert_eq!(rig.started().len(), 1, "they use nothing up");
    let finishes: Vec<_> = rig
        .jobs()
        .into_iter()
        .filter_map(|job| if let Job::Finish(job) = job { Some(job.finish) } else { None })
        .collect();
    assert_eq!(finishes.len(), 12);
    for finish in finishes {
        assert_eq!(finish.next, NextStep::Failed(FailureReason::Expunged));
        assert_eq!(finish.attempt.error_code.as_deref(), Some("payload_expunged"));
        let detail: becket_model::AttemptDetail =
            serde_json::from_slice(&finish.attempt.detail).expect("the documented form");
        assert!(detail.error.is_some_and(|error| error.contains("payload was removed")));
        assert!(detail.request_headers.is_empty());
    }
    assert!(rig.notices().is_empty(), "it says nothing about the endpoint");
    let reports = rig.told.attempts.lock().len();
    assert_eq!((reports, rig.told.turns.lock().len()), (12, 0));
}

#[test]
fn turns_are_told_once_they_are_recorded() {
    let delays_ms = vec![1_000; 5];
    let retry = RetrySchedule { delays_ms };
    let mut rig = Rig::new(1, 128, &EndpointSettings { retry, ..settings() });
    // With which attempt it succeeds, and what is told then.
    let table = [
        (4, vec![]),
        (5, vec![(4, DeliveryTurn::Failing), (5, DeliveryTurn::Recovered)]),
        (7, vec![(4, DeliveryTurn::Failing), (6, DeliveryTurn::Exhausted)]),
    ];
    for (succeeds_at, expected) in table {
        for attempts in 0..6 {
            let mut delivery = rig.delivery(0);
            delivery.attempts = attempts;
            assert!(rig.lanes[0].reserve());
            rig.lanes[0].shard.queued_add(delivery_bytes(&delivery));
            rig.shard.command(Command::HandOver(delivery), rig.now);
            let started = rig.started();
            let number = started[0].number;
            rig.end(&started[0], Some(if number == succeeds_at { 200 } else { 500 }));
            rig.store_works();
            rig.pass(120_000);
            rig.store_works();
            if number == succeeds_at {
                break;
            }
        }
        assert_eq!(std::mem::take(&mut *rig.told.turns.lock()), expected, "{succeeds_at}");
    }
    let reports = rig.told.attempts.lock();
    assert_eq!(reports[0].url.as_ref(), "http://127.0.0.1:9/");
    assert_eq!(reports[0].owner, Owner::MAIN);
}

#[test]
fn what_is_for_later_is_leased_in_time() {
    let mut rig = Rig::new(1, 128, &settings());
    rig.shard.refresh = false;
    rig.shard.command(Command::Wake(EndpointKey(1)), rig.now);
    assert_eq!(rig.store_works(), ["lease"], "nothing is due");
    assert!(std::mem::take(&mut rig.shard.refresh), "when is it?");
    let told = |waiting, in_ms: u64, now: Now| {
        let due_ms = now.wall_ms.saturating_add_unsigned(in_ms);
        Command::Due(Arc::new(vec![EndpointDue { endpoint: EndpointKey(1), waiting, due_ms }]))
    };
    rig.shard.command(told(2, 5_000, rig.now), rig.now);
    rig.pass(4_999);
    assert!(rig.jobs().is_empty() && rig.receive(0), "new ones are taken directly meanwhile");
    let started = rig.started();
    rig.end(&started[0], Some(200));
    rig.store_works();
    rig.pass(51);
    let job = rig.lease().expect("a lease");
    let result = Ok(vec![rig.delivery(0)]);
    rig.shard.done(Done::Lease { job, result }, rig.now);
    assert_eq!(rig.started().len(), 1);
    assert!(std::mem::take(&mut rig.shard.refresh), "there was one more");
    rig.shard.command(told(1, 7_000, rig.now), rig.now);
    rig.pass(7_050);
    assert_eq!(rig.store_works(), ["lease"]);
    assert!(!rig.shard.refresh, "now all is known");
}

#[test]
fn who_switched_it_on_or_off_last_is_asked_of_the_store() {
    let mut rig = Rig::new(1, 128, &settings());
    assert!(rig.receive(0));
    let started = rig.started();
    rig.end(&started[0], Some(410));
    assert!(rig.store_works().contains(&"change"));
    // A snapshot that may be from before: nobody can tell here.
    rig.put(0, |_| ());
    let jobs = rig.jobs();
    let asked = |job: &Job| if let Job::Confirm(job) = job { Some(*job) } else { None };
    let job = jobs.iter().find_map(asked).expect("the store is asked");
    let answer = |state| Ok(Some(state));
    // A person pauses and enables it meanwhile: the answer may be from before that.
    for state in [EndpointState::Paused, EndpointState::Enabled] {
        rig.shard.command(Command::State(EndpointKey(1), state), rig.now);
    }
    rig.shard.done(Done::Confirm { job, result: answer(EndpointState::Paused) }, rig.now);
    assert!(!rig.lanes[0].is(Closed::State));
    let job = rig.jobs().iter().find_map(asked).expect("asked again");
    let result = Err(StoreError::Busy { waiting: 1 });
    rig.shard.done(Done::Confirm { job, result }, rig.now);
    let job = rig.jobs().iter().find_map(asked).expect("and again");
    assert_eq!(job.failures, 1);
    rig.shard.done(Done::Confirm { job, result: answer(EndpointState::Disabled) }, rig.now);
    assert!(rig.lanes[0].is(Closed::State));
}
