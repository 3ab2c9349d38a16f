//! A scripted clock, and what becomes of events.

use std::time::Duration;

use becket_egress::{AttemptError, AttemptOutcome, RetryAfter};
use tokio::time::Instant;

use super::{Digest, Event, Sending, Step, Summary};
use crate::message::{Message, Told};

const WINDOW: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn digest() -> Digest {
    Digest::new(WINDOW, SECOND, 3)
}

struct Rig {
    digest: Digest,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self { digest: digest(), now: Instant::now() }
    }

    fn step(&self, id: &str, is_new: bool) -> Step<'_> {
        self.step_of(id, is_new, "push")
    }

    fn step_of(&self, id: &str, is_new: bool, event_type: &str) -> Step<'_> {
        let told = || Told {
            message: Message { title: id.to_owned(), ..Message::default() },
            line: format!("line of {id}"),
        };
        let event = Event { id, is_new, event_type, received_at_ms: 1_000, told: &told };
        self.digest.step(self.now, &event)
    }

    fn sends(&self, id: &str, is_new: bool) -> Sending<'_> {
        match self.step(id, is_new) {
            Step::Send(sending) => sending,
            other => panic!("{id} is not sent but {}", word(&other)),
        }
    }

    fn later(&self, id: &str, is_new: bool) -> Duration {
        match self.step(id, is_new) {
            Step::Later(wait) => wait,
            other => panic!("{id} is not collected but {}", word(&other)),
        }
    }

    fn settled(&self, id: &str) -> AttemptOutcome {
        match self.step(id, false) {
            Step::Settled(outcome) => outcome,
            other => panic!("{id} is not settled but {}", word(&other)),
        }
    }

    fn end(&self, sending: Sending<'_>, outcome: &AttemptOutcome) -> Summary {
        let summary = sending.summary.clone();
        sending.ended(self.now, 0, outcome);
        summary
    }
}

fn word(step: &Step<'_>) -> &'static str {
    match step {
        Step::Settled(_) => "settled",
        Step::Later(_) => "collected",
        Step::Wait(_) => "waiting",
        Step::Send(_) => "sent",
    }
}

fn status(status: u16) -> AttemptOutcome {
    AttemptOutcome { status: Some(status), ..AttemptOutcome::default() }
}

#[test]
fn the_first_is_told_at_once_and_the_rest_together() {
    let mut rig = Rig::new();
    let first = rig.end(rig.sends("a", true), &status(200));
    assert_eq!((first.total, first.first_id.as_str()), (1, "a"));
    for number in 0..10_000 {
        let wait = rig.later(&format!("e{number}"), true);
        assert_eq!(wait, WINDOW);
    }
    rig.now += WINDOW;
    let sending = rig.sends("e17", false);
    // Whoever comes back while it is under way waits for it, and newcomers are for the next one.
    assert!(matches!(rig.step("e18", false), Step::Wait(_)));
    assert_eq!(rig.later("late", true), WINDOW);
    let summary = rig.end(sending, &status(200));
    assert_eq!((summary.total, summary.first_id.as_str()), (10_000, "e0"));
    assert_eq!(summary.types, [("push".to_owned(), 10_000)]);
    assert_eq!(summary.lines, ["line of e1", "line of e2"]);
    for number in (0..10_000).filter(|number| *number != 17) {
        let outcome = rig.settled(&format!("e{number}"));
        assert!(outcome.is_success());
        assert_eq!(outcome.note, "told in one message with 9999 other events");
    }
    assert!(rig.digest.state.lock().settled.is_empty(), "nothing is remembered for longer");
    rig.now += WINDOW;
    assert_eq!(rig.end(rig.sends("late", false), &status(200)).total, 1);
}

#[test]
fn after_a_quiet_time_the_next_is_told_at_once() {
    let mut rig = Rig::new();
    rig.end(rig.sends("a", true), &status(200));
    rig.now += WINDOW;
    assert_eq!(rig.end(rig.sends("b", true), &status(200)).total, 1);
}

#[test]
fn a_message_that_fails_fails_for_all_of_its_events_once() {
    let mut rig = Rig::new();
    rig.end(rig.sends("a", true), &status(200));
    for id in ["b", "c", "d"] {
        rig.later(id, true);
    }
    rig.now += WINDOW;
    rig.end(rig.sends("b", false), &status(500));
    for id in ["c", "d"] {
        assert_eq!(rig.settled(id).status, Some(500));
        // Told once: from then on they wait for the next try.
        assert_eq!(rig.later(id, false), Duration::from_secs(5));
    }
    assert_eq!(rig.later("new", true), Duration::from_secs(5));
    rig.now += Duration::from_secs(5);
    let again = rig.sends("c", false);
    assert!(matches!(rig.step("b", false), Step::Wait(_)));
    let summary = rig.end(again, &AttemptOutcome::failed(AttemptError::ConnectRefused));
    assert_eq!((summary.total, summary.plain), (4, false));
    // Twice as long with each failure; a newcomer has seen none of them.
    assert_eq!(rig.settled("new").error, Some(AttemptError::ConnectRefused));
    assert_eq!(rig.settled("b").error, Some(AttemptError::ConnectRefused));
    assert_eq!(rig.later("c", false), Duration::from_secs(10));
    rig.now += Duration::from_secs(10);
    rig.end(rig.sends("c", false), &status(200));
    for id in ["b", "d", "new"] {
        assert!(rig.settled(id).is_success());
    }
}

#[test]
fn after_the_pause_a_message_is_tried_again_by_whoever_comes() {
    let mut rig = Rig::new();
    rig.end(rig.sends("a", true), &status(200));
    rig.later("b", true);
    rig.later("c", true);
    rig.now += WINDOW;
    rig.end(rig.sends("b", false), &status(500));
    // `c` was held back by the engine meanwhile and has not heard of the failure.
    rig.now += Duration::from_secs(30);
    assert_eq!(rig.end(rig.sends("c", false), &status(200)).total, 2);
    assert!(rig.settled("b").is_success());
}

#[test]
fn a_pause_that_the_service_asks_for_is_kept() {
    let rig = Rig::new();
    let asked = RetryAfter::Seconds(90);
    let outcome = AttemptOutcome { retry_after: Some(asked), ..status(429) };
    rig.end(rig.sends("a", true), &outcome);
    assert_eq!(rig.later("b", true), Duration::from_secs(90));
    assert_eq!(rig.later("a", false), Duration::from_secs(90));
}

#[test]
fn contents_that_are_refused_are_told_as_counts() {
    let mut rig = Rig::new();
    assert!(!rig.end(rig.sends("a", true), &status(400)).plain);
    rig.now += Duration::from_secs(5);
    assert!(rig.end(rig.sends("a", false), &status(200)).plain);
    rig.now += WINDOW;
    assert!(!rig.end(rig.sends("b", true), &status(200)).plain);
}

#[test]
fn what_is_refused_for_good_is_given_up_by_all() {
    let mut rig = Rig::new();
    rig.end(rig.sends("a", true), &status(200));
    rig.later("b", true);
    rig.later("c", true);
    rig.now += WINDOW;
    let outcome = AttemptOutcome::given_up(AttemptError::MailRefused, "no such user");
    rig.end(rig.sends("b", false), &outcome);
    assert_eq!(rig.settled("c"), outcome);
    rig.now += WINDOW;
    assert_eq!(rig.end(rig.sends("d", true), &status(200)).total, 1);
}

#[test]
fn a_message_that_is_broken_off_is_sent_again() {
    let mut rig = Rig::new();
    rig.end(rig.sends("a", true), &status(200));
    rig.later("b", true);
    rig.later("c", true);
    rig.now += WINDOW;
    drop(rig.sends("b", false));
    let summary = rig.end(rig.sends("c", false), &status(200));
    assert_eq!(summary.total, 2);
    assert!(rig.settled("b").is_success());
}

#[test]
fn a_replay_is_told_again() {
    let mut rig = Rig::new();
    rig.end(rig.sends("a", true), &status(200));
    rig.later("b", true);
    rig.later("c", true);
    rig.now += WINDOW;
    rig.end(rig.sends("b", false), &status(200));
    // `c` was told, its delivery was cancelled, and now it is replayed.
    rig.later("c", true);
    rig.now += WINDOW;
    assert_eq!(rig.end(rig.sends("c", false), &status(200)).total, 1);
}

#[test]
fn memory_is_bounded() {
    let mut rig = Rig::new();
    rig.end(rig.sends("a", true), &status(200));
    for number in 0..super::MEMBERS_MAX + 10 {
        let event_type = format!("type{}", number % 30);
        let step = rig.step_of(&format!("e{number}"), true, &event_type);
        assert!(matches!(step, Step::Later(_)));
    }
    rig.now += WINDOW;
    let summary = rig.end(rig.sends("e5", false), &status(200));
    assert_eq!(summary.total, super::MEMBERS_MAX as u64);
    assert_eq!(summary.types.len(), super::TYPES_MAX);
    let counted: u64 = summary.types.iter().map(|(_, number)| number).sum();
    assert_eq!(counted + summary.others, summary.total);
    // Those that found no room are told with the next one.
    let id = format!("e{}", super::MEMBERS_MAX + 3);
    rig.later(&id, false);
    rig.now += WINDOW;
    assert_eq!(rig.end(rig.sends(&id, false), &status(200)).total, 1);
}

#[test]
fn without_a_window_each_waits_for_its_turn() {
    let digest = Digest::new(Duration::ZERO, SECOND, 3);
    let now = Instant::now();
    assert!(!digest.collects());
    let patience = Duration::from_millis(2_500);
    let turns: Vec<_> = (0..5).map(|_| digest.turn(now, patience)).collect();
    assert_eq!(
        turns,
        [Ok(0), Ok(1), Ok(2), Err(3), Err(3)]
            .map(|turn| { turn.map(Duration::from_secs).map_err(Duration::from_secs) })
    );
    digest.hold(now, Duration::from_secs(30));
    assert_eq!(digest.turn(now, patience), Err(Duration::from_secs(30)));
}
