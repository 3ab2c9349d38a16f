//! What a membership of several nodes asks of the lanes: nothing beyond its end, nothing under leases
//! of an earlier one, no word about an endpoint that others know better by now, and an end of a removed
//! endpoint that others can wait for.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::job::ChangeJob;
use crate::tenure::Tenure;

impl Rig {
    /// A tenure until a moment of the rig's clock.
    fn tenure(&mut self, until_ms: u64, first_lease: u64) {
        let started = self.begun;
        let may_start_until = started + Duration::from_millis(until_ms);
        let tenure = Tenure { may_start_until, first_lease: LeaseToken(first_lease) };
        self.shard.command(Command::Tenure(tenure), self.now);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_beyond_the_tenure() {
    let mut rig = Rig::new(1, 128, &EndpointSettings { concurrency: 1, ..settings() });
    rig.begun = Instant::now();
    rig.tenure(2_000, 0);
    assert!(rig.receive(0) && rig.receive(0));
    let started = rig.started();
    assert_eq!(started.len(), 1);
    rig.pass(1_000);
    rig.end(&started[0], Some(200));
    assert!(rig.started().is_empty(), "its time is up");
    assert_eq!(rig.store_works(), ["finish"], "results are recorded, nothing is leased");
    rig.shard.command(Command::Wake(rig.lanes[0].key), rig.now);
    assert!(rig.store_works().is_empty());
    rig.tenure(60_000, 0);
    assert_eq!(rig.started().len(), 1, "it goes on");
}

#[tokio::test(start_paused = true)]
async fn leases_of_an_earlier_membership_are_given_back() {
    let mut rig = Rig::new(1, 128, &EndpointSettings { concurrency: 1, ..settings() });
    rig.begun = Instant::now();
    rig.tenure(60_000, 0);
    (0..3).for_each(|_| assert!(rig.receive(0)));
    let under_way = rig.started();
    rig.tenure(60_000, 1_000);
    assert_eq!(rig.store_works()[0], "release");
    // One that was on its way from a receiving thread.
    let late = rig.delivery(0);
    rig.lanes[0].occupy();
    rig.lanes[0].shard.queued_add(delivery_bytes(&late));
    rig.shard.command(Command::HandOver(late), rig.now);
    assert_eq!(rig.store_works()[0], "release");
    rig.end(&under_way[0], Some(200));
    assert!(rig.started().is_empty());
    rig.events = 1_000;
    assert!(rig.receive(0));
    assert_eq!(rig.started().len(), 1, "a lease of now");
}

#[test]
fn what_was_withheld_is_given_back_and_says_nothing() {
    let mut rig = Rig::new(1, 128, &settings());
    assert!(rig.receive(0));
    let started = rig.started();
    let told = rig.told.attempts.lock().len();
    let ended = AttemptEnded {
        withheld: true,
        ..AttemptEnded::expunged(&started[0].endpoint, started[0].delivery.clone(), 0)
    };
    rig.shard.attempt_ended(ended, rig.now);
    assert_eq!(rig.told.attempts.lock().len(), told);
    assert_eq!(rig.lanes[0].shard.in_flight.load(Ordering::Relaxed), 0);
    assert_eq!(rig.store_works()[0], "release");
}

#[test]
fn a_short_hiccup_is_not_written_down_where_that_is_wanted() {
    let mut rig = Rig::new(1, 128, &settings());
    rig.shard.config = Arc::new(EngineConfig {
        failing_noted_after_ms: 10_000,
        ..EngineConfig::clone(&rig.shard.config)
    });
    let attempt = |rig: &mut Rig, status| {
        assert!(rig.receive(0));
        let started = rig.started();
        rig.end(&started[0], Some(status));
        rig.store_works().iter().filter(|name| **name == "change").count()
    };
    assert_eq!(attempt(&mut rig, 500), 0);
    assert_eq!(attempt(&mut rig, 200), 0);
    assert_eq!(rig.notices(), []);
    assert_eq!(attempt(&mut rig, 500), 0);
    rig.pass(10_000);
    assert_eq!(attempt(&mut rig, 500), 1, "it lasts");
    assert_eq!(attempt(&mut rig, 500), 0);
    assert_eq!(attempt(&mut rig, 200), 1);
    assert!(matches!(rig.notices()[..], [EndpointEvent::Recovered { .. }]));
}

#[test]
fn a_removed_endpoint_leaves_when_its_last_result_is_recorded() {
    let mut rig = Rig::new(1, 128, &settings());
    let key = rig.lanes[0].key;
    let leaving = |rig: &Rig| rig.shard.shared().leaving.lock().contains(&key);
    assert!(rig.receive(0));
    let started = rig.started();
    rig.registry.remove(key);
    rig.shard.command(Command::Remove(key), rig.now);
    assert!(leaving(&rig));
    rig.end(&started[0], Some(200));
    assert!(leaving(&rig), "its result is not recorded yet");
    rig.store_works();
    assert!(!leaving(&rig));
}

#[test]
fn a_lane_that_comes_back_hears_every_wake() {
    let mut rig = Rig::new(1, 128, &settings());
    let key = rig.lanes[0].key;
    assert!(rig.receive(0));
    let started = rig.started();
    rig.registry.remove(key);
    rig.shard.command(Command::Remove(key), rig.now);
    let shard = rig.lanes[0].shard.clone();
    let again = rig.registry.put(key, || LaneShared::new(key, shard, 20));
    assert!(!Arc::ptr_eq(&again, &rig.lanes[0]), "the attempt under way keeps the old part");
    assert!(again.wake(), "the first one tells the shard, which does not have this part yet");
    rig.shard.command(Command::Wake(key), rig.now);
    let back = runtime(key, &settings(), EndpointState::Enabled);
    rig.shard.command(Command::Put(again.clone(), Arc::new(Prepared::new(back))), rig.now);
    assert!(again.wake(), "and so does a later one");
    drop(started);
}

impl Rig {
    /// The endpoint has answered 410 while the store cannot be written to; answers the change that is
    /// being tried.
    fn gone_without_a_store(&mut self) -> ChangeJob {
        assert!(self.receive(0));
        let started = self.started();
        assert_eq!(self.end(&started[0], Some(410)), NextStep::Failed(FailureReason::Gone));
        self.refuse_change()
    }

    /// The change that is under way meets an error; answers what is tried again.
    fn refuse_change(&mut self) -> ChangeJob {
        let (mut changes, others): (Vec<_>, Vec<_>) =
            self.jobs().into_iter().partition(|job| matches!(job, Job::Change(_)));
        others.into_iter().for_each(|job| self.shard.done(done(job).1, self.now));
        let Some(Job::Change(job)) = changes.pop() else { panic!("a change") };
        self.fail_change(job);
        match self.jobs().pop() {
            Some(Job::Change(job)) => job,
            _ => panic!("it is tried again"),
        }
    }

    fn fail_change(&mut self, job: ChangeJob) {
        let result = Err(StoreError::Busy { waiting: 1 });
        self.shard.done(Done::Change { job, result }, self.now);
    }

    /// Lets the store do everything, with an endpoint that is enabled there; answers the calls.
    fn store_works_enabled(&mut self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for job in self.jobs() {
            let (name, done) = match job {
                Job::Confirm(job) => {
                    let result = Ok(Some(EndpointState::Enabled));
                    ("confirm", Done::Confirm { job, result })
                }
                job => done(job),
            };
            names.push(name);
            self.shard.done(done, self.now);
        }
        names
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_membership_has_found_is_not_written() {
    let mut rig = Rig::new(1, 128, &settings());
    rig.begun = Instant::now();
    rig.tenure(60_000, 0);
    let tried = rig.gone_without_a_store();
    assert!(!rig.receive(0), "it is off here");
    rig.tenure(60_000, 1_000);
    rig.fail_change(tried);
    let names = rig.store_works_enabled();
    assert!(!names.contains(&"change") && names.contains(&"confirm"), "{names:?}");
    rig.store_works();
    assert_eq!(rig.notices(), [], "nobody is told what has not happened");
    rig.events = 1_000;
    assert!(rig.receive(0), "as the store has it");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_of_an_earlier_membership_switches_nothing_off() {
    let mut rig = Rig::new(1, 128, &settings());
    rig.begun = Instant::now();
    rig.tenure(60_000, 0);
    assert!(rig.receive(0));
    let started = rig.started();
    rig.tenure(60_000, 1_000);
    rig.end(&started[0], Some(410));
    assert_eq!(rig.store_works(), ["finish"], "the store says that it comes too late");
    rig.events = 1_000;
    assert!(rig.receive(0));
}

#[test]
fn what_was_found_of_an_endpoint_that_was_taken_away_is_dropped() {
    let mut rig = Rig::new(1, 128, &settings());
    let key = rig.lanes[0].key;
    let tried = rig.gone_without_a_store();
    rig.registry.remove(key);
    rig.shard.command(Command::Remove(key), rig.now);
    rig.fail_change(tried);
    assert_eq!(rig.store_works(), Vec::<&str>::new(), "nothing is written, or tried again");
    assert!(!rig.shard.shared().leaving.lock().contains(&key), "it does not wait for that");
    assert_eq!(rig.notices(), []);
}

#[test]
fn an_endpoint_that_comes_back_has_failed_as_long_as_the_store_says() {
    let mut rig = Rig::new(1, 128, &settings());
    let (key, since_ms) = (rig.lanes[0].key, rig.now.wall_ms - 5_000);
    assert!(rig.receive(0));
    let under_way = rig.started();
    rig.shard.command(Command::Remove(key), rig.now);
    let back = EndpointRuntime {
        failing_since_ms: Some(since_ms),
        ..runtime(key, &settings(), EndpointState::Enabled)
    };
    let lane = rig.lanes[0].clone();
    rig.shard.command(Command::Put(lane, Arc::new(Prepared::new(back))), rig.now);
    rig.end(&under_way[0], Some(200));
    assert_eq!(rig.notices(), [EndpointEvent::Recovered { since_ms }]);
}

#[test]
fn a_switching_off_that_the_store_refuses_is_told_to_nobody() {
    let mut rig = Rig::new(1, 128, &settings());
    let tried = rig.gone_without_a_store();
    rig.shard.done(Done::Change { job: tried, result: Ok(true) }, rig.now);
    let Some(Job::Change(off)) = rig.jobs().pop() else { panic!("the switching off") };
    rig.shard.done(Done::Change { job: off, result: Ok(false) }, rig.now);
    assert_eq!(rig.store_works_enabled(), ["confirm"]);
    rig.store_works();
    assert_eq!(rig.notices(), []);
    assert!(rig.receive(0), "as the store has it");
}
