//! Notes taken on the way of every event, by minute and place.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use becket_model::{ApplicationKey, EndpointKey};

use super::counts::Counts;
use super::{Level, MINUTE_MS};
use crate::Owner;

/// How many places a tally holds for each minute; more are counted as "other" of their owner.
pub const TALLY_MAX: usize = 4_096;
/// Longer event types are counted as other ones.
const EVENT_TYPE_BYTES_MAX: usize = 256;

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Whose it is.
    pub owner: Owner,
    /// The application or source; `None` if there was no room for more of them.
    pub application: Option<ApplicationKey>,
    /// The endpoint, if it is about an attempt.
    pub endpoint: Option<EndpointKey>,
    /// The event's type.
    pub event_type: Option<&'a str>,
}

/// The same, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceKept {
    owner: Owner,
    application: Option<ApplicationKey>,
    endpoint: Option<EndpointKey>,
    event_type: Option<Box<str>>,
}

/// Lets a map keyed by what is kept be asked with what is borrowed.
trait AsPlace {
    fn place(&self) -> Place<'_>;
}

impl AsPlace for Place<'_> {
    fn place(&self) -> Place<'_> {
        *self
    }
}

impl AsPlace for PlaceKept {
    fn place(&self) -> Place<'_> {
        Place {
            owner: self.owner,
            application: self.application,
            endpoint: self.endpoint,
            event_type: self.event_type.as_deref(),
        }
    }
}

impl PlaceKept {
    /// What it is about.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        AsPlace::place(self)
    }
}

impl Hash for dyn AsPlace + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let place = self.place();
        let number = |key: Option<u32>| u64::from(key.map_or(u32::MAX, |key| key));
        state.write_u64(u64::from(place.owner.number()));
        state.write_u64(
            number(place.application.map(|key| key.0)) << 32
                | number(place.endpoint.map(|key| key.0)),
        );
        state.write(place.event_type.unwrap_or_default().as_bytes());
    }
}

impl Hash for PlaceKept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self as &dyn AsPlace).hash(state);
    }
}

impl PartialEq for dyn AsPlace + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn AsPlace + '_ {}

impl<'a> Borrow<dyn AsPlace + 'a> for PlaceKept {
    fn borrow(&self) -> &(dyn AsPlace + 'a) {
        self
    }
}

impl Place<'_> {
    /// What is noted when there is no room for more places.
    const fn folded(self) -> Self {
        let endpoint = match self.endpoint {
            Some(_) => Some(EndpointKey(0)),
            None => None,
        };
        Place { owner: self.owner, application: None, endpoint, event_type: None }
    }

    fn kept(self) -> PlaceKept {
        PlaceKept {
            owner: self.owner,
            application: self.application,
            endpoint: self.endpoint,
            event_type: self.event_type.map(Box::from),
        }
    }
}

/// Counts by minute and place, until they are taken.
#[derive(Debug, Default)]
pub struct Tally {
    /// Usually one: they are taken every few seconds.
    minutes: Vec<(i64, HashMap<PlaceKept, Counts>)>,
}

impl Tally {
    /// Notes something that happened at a moment, in milliseconds since 1970.
    pub fn note(&mut self, at_ms: i64, place: &Place<'_>, change: impl FnOnce(&mut Counts)) {
        let minute_ms = Level::Minute.floor_ms(at_ms);
        let at = match self.minutes.last() {
            Some((last_ms, _)) if *last_ms == minute_ms => self.minutes.len() - 1,
            _ => self.minute(minute_ms),
        };
        let places = &mut self.minutes[at].1;
        if let Some(counts) = places.get_mut(place as &dyn AsPlace) {
            return change(counts);
        }
        let long = place.event_type.is_some_and(|text| text.len() > EVENT_TYPE_BYTES_MAX);
        let place = if places.len() >= TALLY_MAX || long { place.folded() } else { *place };
        change(places.entry(place.kept()).or_default());
    }

    /// Where the counts of a minute stand. A clock that was set back finds an earlier one again; of
    /// those that are far apart only a day's are kept apart.
    fn minute(&mut self, minute_ms: i64) -> usize {
        const APART_MAX: usize = 24 * 60;
        let known = self.minutes.iter().position(|(known_ms, _)| *known_ms == minute_ms);
        known.unwrap_or_else(|| {
            if self.minutes.len() >= APART_MAX {
                return self.minutes.len() - 1;
            }
            self.minutes.push((minute_ms, HashMap::new()));
            self.minutes.len() - 1
        })
    }

    /// Takes everything out: the beginning of each minute in milliseconds since 1970, what it is
    /// about, and how much.
    pub fn take(&mut self) -> impl Iterator<Item = (i64, PlaceKept, Counts)> + use<> {
        let minutes = std::mem::take(&mut self.minutes);
        minutes.into_iter().flat_map(|(minute_ms, places)| {
            places.into_iter().map(move |(place, counts)| (minute_ms, place, counts))
        })
    }
}

const _: () = assert!(MINUTE_MS == Level::Minute.step_ms());

#[cfg(test)]
mod tests {
    use super::*;

    fn place(application: u32, event_type: &str) -> Place<'_> {
        Place {
            owner: Owner::MAIN,
            application: Some(ApplicationKey(application)),
            endpoint: None,
            event_type: Some(event_type).filter(|text| !text.is_empty()),
        }
    }

    #[test]
    fn counts_are_kept_apart_by_minute_and_place() {
        let mut tally = Tally::default();
        for (at_ms, application, event_type) in
            [(1, 1, "push"), (59_999, 1, "push"), (60_000, 1, "push"), (5, 2, ""), (6, 2, "")]
        {
            tally.note(at_ms, &place(application, event_type), |counts| counts.received += 1);
        }
        let mut found: Vec<_> = tally
            .take()
            .map(|(minute_ms, kept, counts)| {
                let kept = kept.place();
                let application = kept.application.map_or(0, |key| key.0);
                let event_type = kept.event_type.unwrap_or_default().to_owned();
                (minute_ms, application, event_type, counts.received)
            })
            .collect();
        found.sort();
        let push = || "push".to_owned();
        assert_eq!(found, [(0, 1, push(), 2), (0, 2, String::new(), 2), (60_000, 1, push(), 1)]);
        assert_eq!(tally.take().count(), 0);
    }

    #[test]
    fn more_places_than_fit_are_counted_together() {
        let mut tally = Tally::default();
        let count = TALLY_MAX + 1_000;
        for number in 0..count {
            tally.note(0, &place(1, &format!("type.{number}")), |counts| counts.received += 1);
        }
        tally.note(0, &place(1, &"x".repeat(300)), |counts| counts.received += 1);
        let found: Vec<_> = tally.take().collect();
        assert_eq!(found.len(), TALLY_MAX + 1);
        let all: u64 = found.iter().map(|(.., counts)| counts.received).sum();
        assert_eq!(all, count as u64 + 1);
        let other = found.iter().find(|(_, kept, _)| kept.place().application.is_none());
        assert_eq!(other.map(|(.., counts)| counts.received), Some(1_001));
    }
}
