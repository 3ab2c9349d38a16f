//! What was fetched, when, and when it may be fetched again: a state machine without a clock or a
//! network.
//!
//! Invariants: at most [`SLOTS_MAX`] answers and [`BYTES_MAX`] bytes of them are kept; an answer that
//! nobody could get (or that is not there) gives way before one that is good. One fetch per key is
//! under way, however many wait for it. A failed refresh leaves the old answer in use for at most
//! [`GRACE_MS`] beyond its time.
//!
//! Next: `fetcher`, which asks this for each request and does what it says.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::watch;

use crate::trouble::KeyTrouble;

/// How many answers are kept.
pub(crate) const SLOTS_MAX: usize = 1_024;
/// How many bytes the kept answers may have had together.
pub(crate) const BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long an answer that cannot be refreshed goes on serving beyond its time.
pub(crate) const GRACE_MS: i64 = 24 * 3_600_000;
/// How long nothing is fetched again because keys did not fit or were not there.
pub(crate) const RENEW_MS: i64 = 60_000;
/// The first wait after a failed fetch; it doubles with each further one.
const BACKOFF_MIN_MS: i64 = 1_000;
/// The longest such wait.
const BACKOFF_MAX_MS: i64 = 60_000;

/// What is asked for.
pub(crate) enum Want<'a, T> {
    /// Whatever is current.
    Any,
    /// Something else than this, which did not fit.
    Other(&'a Arc<T>),
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Advice<T> {
    /// This is the answer.
    Use(Arc<T>),
    /// There is none.
    Refused(KeyTrouble),
    /// Somebody is fetching it: ask again when the sender of this channel is gone.
    Wait(watch::Receiver<()>),
    /// Fetch it.
    Fetch(Cause),
}

/// Why something is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nobody has asked for it yet, or nobody got it.
    Missing,
    /// Its time is over: the one cause that does not count against a source.
    Old,
    /// What is kept did not fit.
    Unfitting,
}

/// A good answer.
pub(crate) struct Fresh<T> {
    /// What it says.
    pub value: Arc<T>,
    /// How long it is current, in milliseconds.
    pub max_age_ms: i64,
    /// From when it may not serve at all, in milliseconds since 1970: a certificate's end.
    pub until_ms: i64,
    /// How large it was.
    pub bytes: usize,
}

struct Good<T> {
    fresh: Fresh<T>,
    fetched_at_ms: i64,
}

struct Slot<T> {
    good: Option<Good<T>>,
    /// Why the last fetch brought nothing.
    trouble: Option<KeyTrouble>,
    tried_at_ms: i64,
    /// When it was last fetched because what was kept did not fit.
    renewed_at_ms: i64,
    failures: u32,
    next_try_ms: i64,
    flight: Option<watch::Receiver<()>>,
    used: u64,
}

impl<T> Slot<T> {
    fn new() -> Self {
        Self {
            good: None,
            trouble: None,
            tried_at_ms: i64::MIN,
            renewed_at_ms: i64::MIN,
            failures: 0,
            next_try_ms: i64::MIN,
            flight: None,
            used: 0,
        }
    }

    /// The fetch under way, if there is one; one whose task has gone without an end is none.
    fn flight(&self) -> Option<watch::Receiver<()>> {
        self.flight.clone().filter(|flight| flight.has_changed().is_ok())
    }

    fn trouble(&self, now_ms: i64) -> KeyTrouble {
        match &self.trouble {
            None => KeyTrouble::Unknown,
            Some(trouble) => trouble.clone().again_in(self.next_try_ms.saturating_sub(now_ms)),
        }
    }

    /// Whether the last fetch failed so short a time ago that there is no other one yet.
    fn holds_off(&self, now_ms: i64) -> bool {
        self.trouble.is_some()
            && now_ms < self.next_try_ms
            && is_within(self.tried_at_ms, BACKOFF_MAX_MS * 2, now_ms)
    }

    /// Whether nothing is fetched because of keys that did not fit: that was just done.
    fn rests(&self, now_ms: i64) -> bool {
        match self.trouble {
            Some(_) => self.holds_off(now_ms),
            None => is_within(self.renewed_at_ms, RENEW_MS, now_ms),
        }
    }
}

/// Whether a moment was less than a period ago. A clock that was set back holds nothing up.
fn is_within(moment_ms: i64, period_ms: i64, now_ms: i64) -> bool {
    (0..period_ms).contains(&now_ms.saturating_sub(moment_ms))
}

/// The kept answers, by what was asked.
pub(crate) struct Cache<K, T> {
    slots: HashMap<K, Slot<T>>,
    tick: u64,
    bytes: usize,
}

impl<K: Hash + Eq + Clone, T> Cache<K, T> {
    pub fn new() -> Self {
        Self { slots: HashMap::new(), tick: 0, bytes: 0 }
    }

    /// What to do for a request. `flown` says that a fetch was waited for already, so that this asks
    /// for its result and for no further one.
    pub fn ask(&mut self, key: &K, want: &Want<'_, T>, now_ms: i64, flown: bool) -> Advice<T> {
        self.tick += 1;
        let Some(slot) = self.slots.get_mut(key) else {
            return match flown {
                true => Advice::Refused(KeyTrouble::crowded()),
                false => Advice::Fetch(Cause::Missing),
            };
        };
        slot.used = self.tick;
        match want {
            Want::Any => {
                let usable = slot.good.as_ref().filter(|good| now_ms < good.fresh.until_ms);
                let good = usable.map(|good| {
                    let age_ms = now_ms.saturating_sub(good.fetched_at_ms);
                    (Arc::clone(&good.fresh.value), age_ms - good.fresh.max_age_ms)
                });
                match good {
                    Some((value, over_ms)) if over_ms < 0 => return Advice::Use(value),
                    Some((value, over_ms))
                        if over_ms < GRACE_MS && (flown || slot.holds_off(now_ms)) =>
                    {
                        return Advice::Use(value);
                    }
                    _ => {}
                }
                match slot.flight() {
                    Some(flight) if !flown => Advice::Wait(flight),
                    _ if flown || slot.holds_off(now_ms) => Advice::Refused(slot.trouble(now_ms)),
                    _ if slot.good.is_some() => Advice::Fetch(Cause::Old),
                    _ => Advice::Fetch(Cause::Missing),
                }
            }
            Want::Other(known) => {
                let other = slot.good.as_ref().map(|good| &good.fresh.value);
                if let Some(other) = other.filter(|other| !Arc::ptr_eq(other, known)) {
                    return Advice::Use(Arc::clone(other));
                }
                match slot.flight() {
                    Some(flight) if !flown => Advice::Wait(flight),
                    _ if flown || slot.rests(now_ms) => Advice::Refused(slot.trouble(now_ms)),
                    _ => Advice::Fetch(Cause::Unfitting),
                }
            }
        }
    }

    /// Notes that a fetch is under way; `false` if there is no place for one more.
    pub fn begin(
        &mut self,
        key: &K,
        flight: watch::Receiver<()>,
        cause: Cause,
        now_ms: i64,
    ) -> bool {
        if !self.slots.contains_key(key)
            && self.slots.len() >= SLOTS_MAX
            && !self.evict(|_, _| true)
        {
            return false;
        }
        self.tick += 1;
        let tick = self.tick;
        let slot = self.slots.entry(key.clone()).or_insert_with(Slot::new);
        slot.flight = Some(flight);
        slot.tried_at_ms = now_ms;
        if cause == Cause::Unfitting {
            slot.renewed_at_ms = now_ms;
        }
        slot.used = tick;
        true
    }

    /// Notes what came of a fetch. `jitter` (0 to 255) spreads the next try after a failure.
    pub fn finish(
        &mut self,
        key: &K,
        outcome: Result<Fresh<T>, KeyTrouble>,
        now_ms: i64,
        jitter: u8,
    ) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.flight = None;
        slot.tried_at_ms = now_ms;
        match outcome {
            Ok(fresh) => {
                self.bytes += fresh.bytes;
                let old = slot.good.replace(Good { fresh, fetched_at_ms: now_ms });
                self.bytes -= old.map_or(0, |old| old.fresh.bytes);
                slot.trouble = None;
                slot.failures = 0;
                while self.bytes > BYTES_MAX
                    && self.evict(|other, slot| other != key && slot.good.is_some())
                {
                }
            }
            Err(KeyTrouble::Unknown) => {
                // The provider says that there is no such key (any more): what was kept is over.
                let old = slot.good.take();
                self.bytes -= old.map_or(0, |old| old.fresh.bytes);
                slot.trouble = Some(KeyTrouble::Unknown);
                slot.next_try_ms = now_ms.saturating_add(RENEW_MS);
            }
            Err(trouble) => {
                let doubled = BACKOFF_MIN_MS << slot.failures.min(6);
                let spread = doubled * i64::from(jitter) / (4 * 255);
                slot.failures = slot.failures.saturating_add(1);
                slot.next_try_ms = now_ms.saturating_add((doubled + spread).min(BACKOFF_MAX_MS));
                slot.trouble = Some(trouble);
            }
        }
    }

    /// Gives up the answer that was not used for longest of those that may go, bad ones first; `false`
    /// if there is none.
    fn evict(&mut self, may_go: impl Fn(&K, &Slot<T>) -> bool) -> bool {
        let oldest = self
            .slots
            .iter()
            .filter(|(key, slot)| slot.flight().is_none() && may_go(key, slot))
            .min_by_key(|(_, slot)| (slot.good.is_some(), slot.used))
            .map(|(key, _)| key.clone());
        let Some(slot) = oldest.and_then(|key| self.slots.remove(&key)) else { return false };
        self.bytes -= slot.good.map_or(0, |good| good.fresh.bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn fresh(value: &str, bytes: usize) -> Fresh<String> {
        Fresh { value: Arc::new(value.to_owned()), max_age_ms: HOUR, until_ms: i64::MAX, bytes }
    }

    fn failed() -> KeyTrouble {
        KeyTrouble::unavailable("connect_refused")
    }

    type Texts = Cache<u32, String>;

    /// One fetch from its beginning to its end.
    fn fetch(cache: &mut Texts, key: u32, outcome: Result<Fresh<String>, KeyTrouble>, at_ms: i64) {
        fetch_because(cache, key, Cause::Missing, outcome, at_ms);
    }

    fn fetch_because(
        cache: &mut Texts,
        key: u32,
        cause: Cause,
        outcome: Result<Fresh<String>, KeyTrouble>,
        at_ms: i64,
    ) {
        let (_sender, flight) = watch::channel(());
        assert!(cache.begin(&key, flight, cause, at_ms));
        cache.finish(&key, outcome, at_ms, 0);
    }

    fn told(advice: &Advice<String>) -> String {
        match advice {
            Advice::Use(value) => format!("use {value}"),
            Advice::Refused(KeyTrouble::Unknown) => "unknown".to_owned(),
            Advice::Refused(trouble) => format!("wait {} s", trouble.retry_after_s()),
            Advice::Wait(_) => "join".to_owned(),
            Advice::Fetch(cause) => format!("fetch {cause:?}").to_lowercase(),
        }
    }

    fn any(cache: &mut Texts, now_ms: i64) -> String {
        told(&cache.ask(&1, &Want::Any, now_ms, false))
    }

    #[test]
    fn an_answer_serves_until_its_time_and_is_then_fetched_again() {
        let mut cache = Texts::new();
        assert_eq!(any(&mut cache, 0), "fetch missing");
        fetch(&mut cache, 1, Ok(fresh("a", 1)), 0);
        assert_eq!(any(&mut cache, HOUR - 1), "use a");
        assert_eq!(any(&mut cache, HOUR), "fetch old");
        fetch(&mut cache, 1, Ok(fresh("b", 1)), HOUR);
        assert_eq!(any(&mut cache, HOUR), "use b");
    }

    #[test]
    fn an_old_answer_serves_for_a_day_while_its_refresh_fails() {
        let mut cache = Texts::new();
        fetch(&mut cache, 1, Ok(fresh("a", 1)), 0);
        fetch(&mut cache, 1, Err(failed()), HOUR);
        assert_eq!(any(&mut cache, HOUR + 500), "use a");
        assert_eq!(any(&mut cache, HOUR + 1_000), "fetch old");
        let last_ms = HOUR + GRACE_MS - 1;
        fetch(&mut cache, 1, Err(failed()), last_ms);
        assert_eq!(any(&mut cache, last_ms), "use a");
        fetch(&mut cache, 1, Err(failed()), last_ms + 1);
        assert_eq!(any(&mut cache, last_ms + 1), "wait 4 s");
    }

    #[test]
    fn nothing_serves_beyond_its_own_end() {
        let mut cache = Texts::new();
        let ended = Fresh { until_ms: 1_000, ..fresh("a", 1) };
        fetch(&mut cache, 1, Ok(ended), 0);
        assert_eq!(any(&mut cache, 999), "use a");
        assert_eq!(any(&mut cache, 1_000), "fetch old");
        fetch(&mut cache, 1, Err(failed()), 1_000);
        assert_eq!(any(&mut cache, 1_000), "wait 1 s");
    }

    #[test]
    fn failures_wait_longer_each_time_and_no_longer_than_a_minute() {
        let mut cache = Texts::new();
        let mut now_ms = 0;
        for wait_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            fetch(&mut cache, 1, Err(failed()), now_ms);
            assert_eq!(any(&mut cache, now_ms), format!("wait {wait_s} s"));
            now_ms += wait_s * 1_000;
            assert_eq!(any(&mut cache, now_ms), "fetch missing");
        }
        // A clock that was set back by a day does not hold it up for a day.
        assert_eq!(any(&mut cache, now_ms - 24 * HOUR), "fetch missing");
    }

    #[test]
    fn what_does_not_fit_is_renewed_at_once_and_then_once_a_minute() {
        let mut cache = Texts::new();
        fetch(&mut cache, 1, Ok(fresh("a", 1)), 0);
        let current = |cache: &mut Texts, now_ms| match cache.ask(&1, &Want::Any, now_ms, false) {
            Advice::Use(value) => value,
            advice => panic!("{}", told(&advice)),
        };
        let other = |cache: &mut Texts, old: &Arc<String>, now_ms| {
            told(&cache.ask(&1, &Want::Other(old), now_ms, false))
        };
        let first = current(&mut cache, 0);
        assert_eq!(other(&mut cache, &first, 0), "fetch unfitting");
        fetch_because(&mut cache, 1, Cause::Unfitting, Ok(fresh("b", 1)), 0);
        assert_eq!(other(&mut cache, &first, 0), "use b");
        let second = current(&mut cache, 0);
        assert_eq!(other(&mut cache, &second, RENEW_MS - 1), "unknown");
        assert_eq!(other(&mut cache, &second, RENEW_MS), "fetch unfitting");
        fetch_because(&mut cache, 1, Cause::Unfitting, Err(failed()), RENEW_MS);
        let again = other(&mut cache, &second, RENEW_MS);
        assert_eq!(again, "wait 1 s", "the sender comes again instead of being refused");
        assert_eq!(any(&mut cache, RENEW_MS), "use b");
        assert_eq!(other(&mut cache, &second, RENEW_MS + 1_000), "fetch unfitting");
    }

    #[test]
    fn a_key_that_is_gone_is_forgotten_and_not_asked_for_at_once() {
        let mut cache = Texts::new();
        fetch(&mut cache, 1, Ok(fresh("a", 1)), 0);
        fetch(&mut cache, 1, Err(KeyTrouble::Unknown), HOUR);
        assert_eq!(any(&mut cache, HOUR + RENEW_MS - 1), "unknown");
        assert_eq!(any(&mut cache, HOUR + RENEW_MS), "fetch missing");
        assert_eq!(cache.bytes, 0);
    }

    #[test]
    fn all_wait_for_the_one_that_fetches() {
        let mut cache = Texts::new();
        let (sender, flight) = watch::channel(());
        assert!(cache.begin(&1, flight, Cause::Missing, 0));
        assert_eq!(any(&mut cache, 0), "join");
        drop(sender);
        assert_eq!(any(&mut cache, 0), "fetch missing", "its task ended without a result");
    }

    #[test]
    fn it_stays_bounded_and_bad_answers_give_way_first() {
        let mut cache = Texts::new();
        fetch(&mut cache, 1, Ok(fresh("a", 1)), 0);
        for key in 2..10_000 {
            fetch(&mut cache, key, Err(KeyTrouble::Unknown), 0);
        }
        assert_eq!(cache.slots.len(), SLOTS_MAX);
        assert_eq!(any(&mut cache, 0), "use a");
        let tenth = BYTES_MAX / 10;
        for key in 20_000..20_020 {
            fetch(&mut cache, key, Ok(fresh("large", tenth)), 0);
        }
        assert!(cache.bytes <= BYTES_MAX);
        let large = cache.slots.values().filter(|slot| slot.good.is_some()).count();
        assert_eq!(large, 10);
    }

    #[test]
    fn no_fetch_begins_when_every_place_is_busy() {
        let mut cache = Texts::new();
        let mut senders = Vec::new();
        let mut begin = |key| {
            let (sender, flight) = watch::channel(());
            senders.push(sender);
            cache.begin(&key, flight, Cause::Missing, 0)
        };
        assert!((0..SLOTS_MAX as u32).all(&mut begin));
        assert!(!begin(5_000));
    }
}
