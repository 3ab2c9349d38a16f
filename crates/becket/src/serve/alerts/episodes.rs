//! What is wrong, since when, and what of it has been told.
//!
//! An episode begins when trouble is noticed and ends when it has been gone for a while. It is told
//! once at its beginning, again when it lasts very long, and at its end. What is to be told is part of
//! what is kept, so that a crash between noticing and telling neither loses nor repeats an alert.
//!
//! Absent: noticing (`look`, `signals`) and words (`words`).

use std::collections::BTreeMap;

use becket_store::{Application, Owner};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many episodes may be open. What comes on top is neither kept nor told.
const OPEN_MAX: usize = 5_000;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    EndpointFailing,
    EndpointDisabled,
    SignaturesRefused,
    SourceQuiet,
    RetriesExhausted,
    RetriesRunningOut,
    DiskFilling,
    CertificateExpiring,
    SecretExpiring,
}

impl Kind {
    /// The type of the event that tells of it.
    pub(super) const fn event_type(self) -> &'static str {
        match self {
            Self::EndpointFailing => "endpoint.failing",
            Self::EndpointDisabled => "endpoint.disabled",
            Self::SignaturesRefused => "signatures.refused",
            Self::SourceQuiet => "source.quiet",
            Self::RetriesExhausted => "retries.exhausted",
            Self::RetriesRunningOut => "retries.running_out",
            Self::DiskFilling => "disk.filling",
            Self::CertificateExpiring => "certificate.expiring",
            Self::SecretExpiring => "secret.expiring",
        }
    }

    /// The type of the event that tells of its end; `None` if nobody has to hear of that.
    pub(super) const fn over_type(self) -> Option<&'static str> {
        match self {
            Self::EndpointFailing => Some("endpoint.recovered"),
            Self::SignaturesRefused => Some("signatures.recovered"),
            Self::SourceQuiet => Some("source.recovered"),
            Self::DiskFilling => Some("disk.recovered"),
            Self::CertificateExpiring => Some("certificate.renewed"),
            // A person enabled it; a delivery that was given up does not come back by itself; an end
            // that has passed is no trouble any longer.
            Self::EndpointDisabled
            | Self::RetriesExhausted
            | Self::RetriesRunningOut
            | Self::SecretExpiring => None,
        }
    }

    /// How many times the usual time it has to be gone. Deliveries are given up one by one over
    /// hours, which is one trouble.
    const fn patience(self) -> i64 {
        match self {
            Self::RetriesExhausted | Self::RetriesRunningOut => 12,
            _ => 1,
        }
    }
}

/// Trouble that was noticed just now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// What it is about, unique for its kind.
    pub(super) subject: String,
    /// Owner and application or source that it is about.
    pub(super) place: Option<(u32, u32)>,
    /// What is known of it.
    pub(super) facts: Value,
}

impl Seen {
    /// Trouble with a source.
    pub(super) fn with_source(kind: Kind, source: &Application, mut facts: Value) -> Self {
        let (owner, name) = (source.owner, source.name());
        if let Some(facts) = facts.as_object_mut() {
            facts.insert("source".to_owned(), Value::String(name.clone()));
        }
        // Owners may call their sources alike.
        let subject = match owner {
            Owner::MAIN => name,
            owner => format!("{name} (environment {})", owner.number()),
        };
        Self { kind, subject, place: Some((owner.number(), source.key.0)), facts }
    }

    /// Trouble that is with neither endpoint nor source.
    pub(super) fn new(kind: Kind, subject: impl Into<String>, facts: Value) -> Self {
        Self { kind, subject: subject.into(), place: None, facts }
    }
}

/// What is to be told of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tell {
    Begin,
    Still,
    Over,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Episode {
    pub(super) kind: Kind,
    /// What it is about, unique for its kind.
    pub(super) subject: String,
    /// Owner and application or source that it is about.
    pub(super) place: Option<(u32, u32)>,
    pub(super) began_ms: i64,
    /// When it was last seen.
    pub(super) seen_ms: i64,
    /// When it was last told, and how often.
    pub(super) told_ms: i64,
    pub(super) told: u32,
    /// What is known of it.
    pub(super) facts: Value,
    /// What is still to be told.
    pub(super) pending: Option<Tell>,
}

/// All episodes.
#[derive(Debug, Default)]
pub(super) struct Book {
    open: BTreeMap<(Kind, String), Episode>,
    /// Whether something has to be written down.
    changed: bool,
}

impl Book {
    /// Reads what was kept; what cannot be read is forgotten.
    pub(super) fn read(kept: &[u8]) -> Self {
        let episodes: Vec<Episode> = serde_json::from_slice(kept).unwrap_or_default();
        let open = episodes.into_iter().map(|one| ((one.kind, one.subject.clone()), one)).collect();
        Self { open, changed: false }
    }

    /// What is to be kept, if something has changed since it was last asked.
    pub(super) fn take_changed(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let episodes: Vec<&Episode> = self.open.values().collect();
        serde_json::to_vec(&episodes).ok()
    }

    /// It could not be kept.
    pub(super) fn keep_again(&mut self) {
        self.changed = true;
    }

    /// Something is wrong now. With `repeat_ms` 0 it is told once.
    pub(super) fn seen(&mut self, seen: Seen, now_ms: i64, repeat_ms: i64) {
        let Seen { kind, subject, place, facts } = seen;
        let key = (kind, subject.clone());
        if let Some(episode) = self.open.get_mut(&key) {
            episode.seen_ms = now_ms;
            episode.facts = facts;
            if episode.pending == Some(Tell::Over) {
                // It had not been told, so it was not over.
                episode.pending = None;
                self.changed = true;
            }
            if repeat_ms > 0 && episode.pending.is_none() && now_ms - episode.told_ms >= repeat_ms {
                episode.pending = Some(Tell::Still);
                self.changed = true;
            }
            return;
        }
        if self.open.len() >= OPEN_MAX {
            return;
        }
        let episode = Episode {
            kind,
            subject,
            place,
            began_ms: now_ms,
            seen_ms: now_ms,
            told_ms: now_ms,
            told: 0,
            facts,
            pending: Some(Tell::Begin),
        };
        self.open.insert(key, episode);
        self.changed = true;
    }

    /// Ends what has not been seen for long enough.
    pub(super) fn settle(&mut self, now_ms: i64, settle_ms: i64) {
        self.open.retain(|_, episode| {
            let quiet_ms = now_ms - episode.seen_ms;
            let waits = episode.pending.is_some() || quiet_ms < settle_ms * episode.kind.patience();
            if !waits {
                self.changed = true;
                episode.pending = episode.kind.over_type().map(|_| Tell::Over);
            }
            waits || episode.pending.is_some()
        });
    }

    /// The same while nobody is told anything: what is still to be told waits for somebody.
    pub(super) fn settle_unheard(&mut self, now_ms: i64, settle_ms: i64) {
        let before = self.open.len();
        self.open.retain(|_, episode| {
            let quiet_ms = now_ms - episode.seen_ms;
            episode.pending != Some(Tell::Over) && quiet_ms < settle_ms * episode.kind.patience()
        });
        self.changed |= self.open.len() != before;
    }

    /// The open episodes that are not over.
    pub(super) fn standing(&self) -> impl Iterator<Item = &Episode> {
        self.open.values().filter(|episode| episode.pending != Some(Tell::Over))
    }

    /// Forgets an episode without a word: what it was about is gone, or somebody knows already.
    pub(super) fn drop_quietly(&mut self, kind: Kind, subject: &str) {
        let key = (kind, subject.to_owned());
        // One that nobody has been told of is told all the same.
        if self.open.get(&key).is_some_and(|episode| episode.pending.is_none()) {
            self.open.remove(&key);
            self.changed = true;
        }
    }

    /// The open episodes of a kind.
    pub(super) fn of(&self, kind: Kind) -> Vec<Episode> {
        self.open.values().filter(|episode| episode.kind == kind).cloned().collect()
    }

    pub(super) fn is_open(&self, kind: Kind, subject: &str) -> bool {
        self.open.contains_key(&(kind, subject.to_owned()))
    }

    /// What is to be told.
    pub(super) fn pending(&self) -> Vec<Episode> {
        self.open.values().filter(|episode| episode.pending.is_some()).cloned().collect()
    }

    /// It has been told.
    pub(super) fn told(&mut self, told: &Episode, now_ms: i64) {
        let key = (told.kind, told.subject.clone());
        self.changed = true;
        if told.pending == Some(Tell::Over) {
            self.open.remove(&key);
        } else if let Some(episode) = self.open.get_mut(&key) {
            episode.pending = None;
            episode.told += 1;
            episode.told_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SETTLE_MS: i64 = 300_000;
    const REPEAT_MS: i64 = 86_400_000;

    fn tell(book: &mut Book, now_ms: i64) -> Vec<(Kind, Tell)> {
        let pending = book.pending();
        pending.iter().for_each(|episode| book.told(episode, now_ms));
        pending.iter().filter_map(|one| Some((one.kind, one.pending?))).collect()
    }

    fn seen(book: &mut Book, kind: Kind, now_ms: i64) {
        book.seen(Seen::new(kind, "app", json!({})), now_ms, REPEAT_MS);
    }

    #[test]
    fn an_episode_is_told_once_at_its_beginning_and_at_its_end() {
        let mut book = Book::default();
        for minute in 0..60 {
            seen(&mut book, Kind::EndpointFailing, minute * 60_000);
            book.settle(minute * 60_000, SETTLE_MS);
            let expected =
                if minute == 0 { vec![(Kind::EndpointFailing, Tell::Begin)] } else { vec![] };
            assert_eq!(tell(&mut book, minute * 60_000), expected, "{minute}");
        }
        let last_ms = 59 * 60_000;
        book.settle(last_ms + SETTLE_MS - 1, SETTLE_MS);
        assert_eq!(tell(&mut book, last_ms), []);
        book.settle(last_ms + SETTLE_MS, SETTLE_MS);
        assert_eq!(tell(&mut book, last_ms), [(Kind::EndpointFailing, Tell::Over)]);
        assert!(!book.is_open(Kind::EndpointFailing, "app"));
        seen(&mut book, Kind::EndpointFailing, last_ms + SETTLE_MS);
        assert_eq!(tell(&mut book, 0), [(Kind::EndpointFailing, Tell::Begin)]);
    }

    #[test]
    fn what_comes_and_goes_is_one_episode() {
        let mut book = Book::default();
        let mut told = 0;
        for minute in 0..600 {
            if minute % 4 == 0 {
                seen(&mut book, Kind::SourceQuiet, minute * 60_000);
            }
            book.settle(minute * 60_000, SETTLE_MS);
            told += tell(&mut book, minute * 60_000).len();
        }
        assert_eq!(told, 1);
    }

    #[test]
    fn what_lasts_is_told_once_a_day() {
        let mut book = Book::default();
        let mut told = Vec::new();
        for hour in 0..50 {
            seen(&mut book, Kind::DiskFilling, hour * 3_600_000);
            book.settle(hour * 3_600_000, SETTLE_MS);
            told.extend(
                tell(&mut book, hour * 3_600_000).into_iter().map(|(_, tell)| (hour, tell)),
            );
        }
        assert_eq!(told, [(0, Tell::Begin), (24, Tell::Still), (48, Tell::Still)]);
    }

    #[test]
    fn what_is_kept_survives_and_what_was_not_told_is_told() {
        let mut book = Book::default();
        seen(&mut book, Kind::RetriesExhausted, 5);
        let kept = book.take_changed().expect("it has changed");
        assert_eq!(book.take_changed(), None);
        let mut again = Book::read(&kept);
        assert_eq!(again.pending()[0].began_ms, 5);
        assert_eq!(tell(&mut again, 6), [(Kind::RetriesExhausted, Tell::Begin)]);
        let kept = again.take_changed().expect("it has changed");
        assert_eq!(Book::read(&kept).pending(), []);
        // Nobody hears of its end, which takes longer than that of others.
        again.settle(5 + SETTLE_MS, SETTLE_MS);
        assert!(again.is_open(Kind::RetriesExhausted, "app"));
        again.settle(5 + 12 * SETTLE_MS, SETTLE_MS);
        assert!(!again.is_open(Kind::RetriesExhausted, "app"));
        assert_eq!(Book::read(b"no JSON").pending(), []);
    }

    #[test]
    fn what_nobody_hears_waits_for_somebody_while_it_lasts() {
        let mut book = Book::default();
        seen(&mut book, Kind::EndpointFailing, 0);
        seen(&mut book, Kind::SourceQuiet, 0);
        book.settle_unheard(SETTLE_MS - 1, SETTLE_MS);
        assert_eq!(book.standing().count(), 2);
        seen(&mut book, Kind::EndpointFailing, SETTLE_MS);
        book.settle_unheard(SETTLE_MS, SETTLE_MS);
        assert_eq!(book.standing().count(), 1);
        assert_eq!(tell(&mut book, SETTLE_MS), [(Kind::EndpointFailing, Tell::Begin)]);
        book.settle(2 * SETTLE_MS, SETTLE_MS);
        assert_eq!(book.standing().count(), 0);
        book.settle_unheard(2 * SETTLE_MS, SETTLE_MS);
        assert_eq!(tell(&mut book, 2 * SETTLE_MS), []);
    }

    #[test]
    fn an_end_that_was_not_told_yet_can_be_taken_back() {
        let mut book = Book::default();
        seen(&mut book, Kind::EndpointFailing, 0);
        tell(&mut book, 0);
        book.settle(SETTLE_MS, SETTLE_MS);
        seen(&mut book, Kind::EndpointFailing, SETTLE_MS + 1);
        assert_eq!(tell(&mut book, SETTLE_MS + 1), []);
        book.drop_quietly(Kind::EndpointFailing, "app");
        assert!(!book.is_open(Kind::EndpointFailing, "app"));
    }
}
