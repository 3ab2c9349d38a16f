//! How a storm becomes one message, and when a delivery counts as made.
//!
//! The first event is told at once. For the length of the window after that, events are collected:
//! of each its id, of the first few a line, of all how many of which type. A collected event is not
//! acknowledged and holds nothing: its attempt ends with "come back when the window is over", so it
//! waits in the store. The first that comes back takes everything that is collected along in one
//! message; once that is accepted, each of the others is done the moment it comes back.
//!
//! Invariants:
//! - An event is done only after a message that counts it was accepted. What is in memory here may be
//!   lost at any time: whatever was collected comes back and is collected again.
//! - One message is under way at a time. Those of its events that come back meanwhile wait for it.
//! - A message that fails is a failed attempt of every event in it, so the schedule of retries runs
//!   for all of them; the next try has all of them in it again.
//! - At most [`MEMBERS_MAX`] ids are collected, [`TYPES_MAX`] types are counted apart.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use becket_egress::{Acted, AttemptOutcome, RetryAfter};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::message::Told;

/// How many events one message can stand for.
pub(crate) const MEMBERS_MAX: usize = 50_000;
/// How many events that are told and have not come back are remembered.
const SETTLED_MAX: usize = 100_000;
/// How many types are counted apart.
const TYPES_MAX: usize = 20;
/// The pause after a message that failed; doubled with each further one, up to the window.
const PAUSE: Duration = Duration::from_secs(5);

/// The events of one endpoint on their way into messages.
pub(crate) struct Digest {
    window: Duration,
    /// The shortest time between two messages that the service allows.
    gap: Duration,
    lines_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    collected: Batch,
    under_way: Option<UnderWay>,
    settled: VecDeque<Settled>,
    /// Before this moment nothing is sent.
    opens_at: Option<Instant>,
}

struct UnderWay {
    batch: Batch,
    ended: watch::Sender<()>,
}

/// Events whose message has been accepted, or refused for good.
struct Settled {
    events: HashSet<Box<str>>,
    outcome: AttemptOutcome,
}

#[derive(Default)]
struct Batch {
    /// Each event, and how many failures of the message it has been told.
    events: HashMap<Box<str>, u32>,
    failures: u32,
    last: Option<AttemptOutcome>,
    summary: Summary,
}

/// What is to be told of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// How many events.
    pub(crate) total: u64,
    /// How many of each type, in the order of their first.
    pub(crate) types: Vec<(String, u64)>,
    /// How many of further types.
    pub(crate) others: u64,
    /// The first one, in full.
    pub(crate) first: Option<Told>,
    /// The lines of those that follow it.
    pub(crate) lines: Vec<String>,
    /// The id of the first one.
    pub(crate) first_id: String,
    /// When the first and the last arrived, in milliseconds since 1970.
    pub(crate) span_ms: (i64, i64),
    /// Whether the service refused the contents of the last try, so that only counts should be told.
    pub(crate) plain: bool,
}

/// An event that wants to be told.
pub(crate) struct Event<'e> {
    pub(crate) id: &'e str,
    /// Whether this is its first attempt: what is remembered of an earlier delivery does not count.
    pub(crate) is_new: bool,
    pub(crate) event_type: &'e str,
    pub(crate) received_at_ms: i64,
    /// What to say of it, asked for only if it is needed.
    pub(crate) told: &'e dyn Fn() -> Told,
}

/// What to do with an event.
pub(crate) enum Step<'d> {
    /// Its message has been accepted or refused.
    Settled(AttemptOutcome),
    /// It is collected; it should come back after this time.
    Later(Duration),
    /// Its message is under way: to be asked again once this changes.
    Wait(watch::Receiver<()>),
    /// A message is to be sent now.
    Send(Sending<'d>),
}

impl Digest {
    pub(crate) fn new(window: Duration, gap: Duration, lines_max: usize) -> Self {
        Self { window, gap, lines_max, state: Mutex::default() }
    }

    /// Whether events are collected at all.
    pub(crate) fn collects(&self) -> bool {
        !self.window.is_zero()
    }

    /// For services that are told each event apart: how long to wait for one's turn. If that is
    /// longer than `patience`, no turn is taken.
    pub(crate) fn turn(&self, now: Instant, patience: Duration) -> Result<Duration, Duration> {
        let mut state = self.state.lock();
        let at = state.opens_at.map_or(now, |opens_at| opens_at.max(now));
        let wait = at - now;
        if wait > patience {
            return Err(wait);
        }
        state.opens_at = Some(at + self.gap);
        Ok(wait)
    }

    /// The service asked for a pause.
    pub(crate) fn hold(&self, now: Instant, pause: Duration) {
        let mut state = self.state.lock();
        let until = now + pause;
        state.opens_at = Some(state.opens_at.map_or(until, |opens_at| opens_at.max(until)));
    }

    /// What to do with an event.
    pub(crate) fn step(&self, now: Instant, event: &Event<'_>) -> Step<'_> {
        let mut state = self.state.lock();
        if let Some(outcome) = state.settled(event) {
            return Step::Settled(outcome);
        }
        if let Some(under_way) = &state.under_way
            && under_way.batch.events.contains_key(event.id)
        {
            return Step::Wait(under_way.ended.subscribe());
        }
        let opens_in =
            state.opens_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let later = if state.under_way.is_some() { opens_in.max(self.gap) } else { opens_in };
        // Once the pause is over the message is tried again rather than its failure told again: a
        // breaker that lets one delivery through wants to know how things are now.
        if !later.is_zero()
            && let Some(outcome) = state.collected.failed(event.id)
        {
            return Step::Settled(outcome);
        }
        state.collected.collect(event, self.lines_max);
        if !later.is_zero() {
            return Step::Later(later);
        }
        let batch = std::mem::take(&mut state.collected);
        let summary = batch.summary.clone();
        let (ended, _) = watch::channel(());
        state.under_way = Some(UnderWay { batch, ended });
        state.opens_at = Some(now + self.window.max(self.gap));
        Step::Send(Sending { digest: self, by: event.id.into(), summary, over: false })
    }

    fn ended(&self, now: Instant, now_ms: i64, by: &str, outcome: &AttemptOutcome) {
        let mut state = self.state.lock();
        // Dropped at the end, which wakes those that wait.
        let Some(UnderWay { mut batch, ended: _ended }) = state.under_way.take() else { return };
        if outcome.is_success() || is_final(outcome) {
            batch.events.remove(by);
            let outcome = match outcome.is_success() {
                true => AttemptOutcome::done(told_with(batch.summary.total)),
                false => outcome.clone(),
            };
            let events = batch.events.into_keys().collect();
            state.settle(Settled { events, outcome });
            return;
        }
        batch.failures += 1;
        batch.last = Some(outcome.clone());
        batch.summary.plain |= is_about_contents(outcome);
        if let Some(seen) = batch.events.get_mut(by) {
            *seen = batch.failures;
        }
        let pause = PAUSE.saturating_mul(1 << (batch.failures - 1).min(10)).min(self.window);
        let asked = outcome.retry_after.map_or(Duration::ZERO, |hint| pause_of(hint, now_ms));
        state.opens_at = Some(now + pause.max(asked).max(self.gap));
        state.take_back(batch, self.lines_max);
    }

    fn broken_off(&self) {
        let mut state = self.state.lock();
        let Some(UnderWay { batch, ended: _ended }) = state.under_way.take() else { return };
        state.opens_at = None;
        state.take_back(batch, self.lines_max);
    }
}

impl State {
    fn settled(&mut self, event: &Event<'_>) -> Option<AttemptOutcome> {
        let at = self.settled.iter().position(|one| one.events.contains(event.id))?;
        let one = &mut self.settled[at];
        one.events.remove(event.id);
        let outcome = one.outcome.clone();
        if one.events.is_empty() {
            self.settled.remove(at);
        }
        // A replay of an event that never came back for its first delivery is to be told again.
        (!event.is_new).then_some(outcome)
    }

    fn settle(&mut self, settled: Settled) {
        if settled.events.is_empty() {
            return;
        }
        self.settled.push_back(settled);
        let mut known: usize = self.settled.iter().map(|one| one.events.len()).sum();
        while known > SETTLED_MAX {
            known -= self.settled.pop_front().map_or(known, |one| one.events.len());
        }
    }

    /// Puts a batch back before what was collected since.
    fn take_back(&mut self, mut batch: Batch, lines_max: usize) {
        let newer = std::mem::take(&mut self.collected);
        for event in newer.events.into_keys() {
            batch.events.insert(event, batch.failures);
        }
        batch.summary.add(newer.summary, lines_max);
        self.collected = batch;
    }
}

impl Batch {
    /// The failure of the last message, if this event was in it and has not been told.
    fn failed(&mut self, event: &str) -> Option<AttemptOutcome> {
        let seen = self.events.get_mut(event)?;
        if *seen >= self.failures {
            return None;
        }
        *seen = self.failures;
        self.last.clone()
    }

    fn collect(&mut self, event: &Event<'_>, lines_max: usize) {
        // One that finds no room comes back and finds some.
        if self.events.contains_key(event.id) || self.events.len() >= MEMBERS_MAX {
            return;
        }
        self.events.insert(event.id.into(), self.failures);
        let summary = &mut self.summary;
        let at_ms = event.received_at_ms;
        if summary.total == 0 {
            summary.first_id = event.id.to_owned();
            summary.first = Some((event.told)());
            summary.span_ms = (at_ms, at_ms);
        } else if summary.lines.len() + 1 < lines_max {
            summary.lines.push((event.told)().line);
        }
        summary.span_ms = (summary.span_ms.0.min(at_ms), summary.span_ms.1.max(at_ms));
        summary.total += 1;
        summary.count(event.event_type, 1);
    }
}

impl Summary {
    fn count(&mut self, event_type: &str, number: u64) {
        if let Some((_, known)) = self.types.iter_mut().find(|(known, _)| known == event_type) {
            *known += number;
        } else if self.types.len() < TYPES_MAX {
            self.types.push((event_type.to_owned(), number));
        } else {
            self.others += number;
        }
    }

    fn add(&mut self, newer: Self, lines_max: usize) {
        if self.total == 0 {
            let plain = self.plain;
            *self = newer;
            self.plain |= plain;
            return;
        }
        for (event_type, number) in newer.types {
            self.count(&event_type, number);
        }
        let lines = newer.first.map(|first| first.line).into_iter().chain(newer.lines);
        let room = lines_max.saturating_sub(1 + self.lines.len());
        self.lines.extend(lines.take(room));
        self.total += newer.total;
        self.others += newer.others;
        if newer.total > 0 {
            let (since_ms, until_ms) = newer.span_ms;
            self.span_ms = (self.span_ms.0.min(since_ms), self.span_ms.1.max(until_ms));
        }
    }
}

/// A message that is under way. Dropped without its end, it has been broken off.
pub(crate) struct Sending<'d> {
    digest: &'d Digest,
    by: Box<str>,
    pub(crate) summary: Summary,
    over: bool,
}

impl Sending<'_> {
    /// What came of it. `now_ms` is the time in milliseconds since 1970.
    pub(crate) fn ended(mut self, now: Instant, now_ms: i64, outcome: &AttemptOutcome) {
        self.over = true;
        self.digest.ended(now, now_ms, &self.by, outcome);
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.digest.broken_off();
        }
    }
}

/// The note of a delivery that was told together with others.
pub(crate) fn told_with(total: u64) -> String {
    match total {
        0 | 1 => "told in a message of its own".to_owned(),
        2 => "told in one message with another event".to_owned(),
        total => format!("told in one message with {} other events", total - 1),
    }
}

fn is_final(outcome: &AttemptOutcome) -> bool {
    outcome.acted == Some(Acted::GiveUp) || (outcome.error.is_none() && outcome.status == Some(410))
}

/// Whether the service said that it cannot take this message, and may take another.
fn is_about_contents(outcome: &AttemptOutcome) -> bool {
    outcome.error.is_none() && matches!(outcome.status, Some(400 | 413 | 422))
}

pub(crate) fn pause_of(hint: RetryAfter, now_ms: i64) -> Duration {
    const LONGEST: Duration = Duration::from_secs(24 * 3_600);
    let pause = match hint {
        RetryAfter::Seconds(seconds) => Duration::from_secs(seconds),
        RetryAfter::At(at_s) => {
            let now_s = u64::try_from(now_ms / 1_000).unwrap_or_default();
            Duration::from_secs(at_s.saturating_sub(now_s))
        }
    };
    pause.min(LONGEST)
}

#[cfg(test)]
mod tests;
