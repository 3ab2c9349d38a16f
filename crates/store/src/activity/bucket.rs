//! What a stretch of time came to, and how that is kept as documents.

use std::collections::BTreeMap;

use becket_model::EndpointKey;
use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::tally::Place;
use super::{Level, MINUTE_MS, Part};
use crate::{DocumentKind, DocumentName, StoreError};

/// How many names a dimension of a bucket holds; the smallest ones beyond are counted as other.
pub const NAMES_MAX: usize = 200;

/// Everything together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// What happened.
    #[serde(rename = "c")]
    pub counts: Counts,
    /// How many deliveries waited when it was last looked; `None` if it was not.
    #[serde(rename = "p", default)]
    pub pending: Option<u64>,
}

/// Taken apart by one dimension.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// What happened, by name.
    #[serde(rename = "n")]
    pub names: BTreeMap<String, Counts>,
    /// What happened under names for which there was no room.
    #[serde(rename = "o", default)]
    pub other: Counts,
}

impl Detail {
    /// Adds what happened under a name.
    pub fn add(&mut self, name: &str, counts: &Counts) {
        if let Some(known) = self.names.get_mut(name) {
            known.merge(counts);
        } else {
            self.names.insert(name.to_owned(), counts.clone());
        }
    }

    /// Adds another one.
    pub fn merge(&mut self, more: &Self) {
        more.names.iter().for_each(|(name, counts)| self.add(name, counts));
        self.other.merge(&more.other);
    }

    /// Keeps the largest names; the rest is counted as other.
    fn prune(&mut self) {
        if self.names.len() <= NAMES_MAX {
            return;
        }
        let mut sizes: Vec<(u64, String)> =
            self.names.iter().map(|(name, counts)| (counts.weight(), name.clone())).collect();
        sizes.sort_unstable_by(|one, two| two.cmp(one));
        for (_, name) in sizes.drain(NAMES_MAX..) {
            if let Some(counts) = self.names.remove(&name) {
                self.other.merge(&counts);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.other.is_empty()
    }
}

/// One owner's stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Everything together.
    pub totals: Totals,
    /// By source, endpoint and event type.
    details: [Detail; 3],
}

impl Bucket {
    /// Adds what happened at a place; its owner is the caller's business.
    pub fn add(&mut self, place: &Place<'_>, counts: &Counts) {
        self.totals.counts.merge(counts);
        let [sources, endpoints, event_types] = &mut self.details;
        match place.application {
            Some(application) => sources.add(&application.0.to_string(), counts),
            None => sources.other.merge(counts),
        }
        match place.endpoint {
            Some(EndpointKey(0)) => endpoints.other.merge(counts),
            Some(endpoint) => endpoints.add(&endpoint.0.to_string(), counts),
            None => {}
        }
        // Of a refused request nobody knows the type.
        if counts.weight() > counts.refused {
            match place.application {
                Some(_) => event_types.add(place.event_type.unwrap_or_default(), counts),
                None => event_types.other.merge(counts),
            }
        }
    }

    /// Keeps the largest names of each dimension. To be called after adding, however much was added.
    pub fn prune(&mut self) {
        self.details.iter_mut().for_each(Detail::prune);
    }

    /// One dimension; `None` for the totals.
    #[must_use]
    pub const fn detail(&self, part: Part) -> Option<&Detail> {
        match part {
            Part::Totals => None,
            Part::Source => Some(&self.details[0]),
            Part::Endpoint => Some(&self.details[1]),
            Part::EventType => Some(&self.details[2]),
        }
    }

    /// The text of a part as a document keeps it; `None` if it says nothing.
    ///
    /// # Errors
    /// Never for what this module made.
    pub fn text(&self, part: Part) -> Result<Option<String>, StoreError> {
        let text = match self.detail(part) {
            None => serde_json::to_string(&self.totals),
            Some(detail) if detail.is_empty() => return Ok(None),
            Some(detail) => serde_json::to_string(detail),
        };
        text.map(Some).map_err(damaged)
    }

    /// Adds what a document keeps of a part.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn take_in(&mut self, part: Part, text: &str) -> Result<(), StoreError> {
        let at = match part {
            Part::Totals => {
                let kept: Totals = serde_json::from_str(text).map_err(damaged)?;
                self.totals.counts.merge(&kept.counts);
                // The later look says more.
                self.totals.pending = self.totals.pending.or(kept.pending);
                return Ok(());
            }
            Part::Source => 0,
            Part::Endpoint => 1,
            Part::EventType => 2,
        };
        let kept: Detail = serde_json::from_str(text).map_err(damaged)?;
        self.details[at].merge(&kept);
        self.details[at].prune();
        Ok(())
    }
}

fn damaged(error: serde_json::Error) -> StoreError {
    StoreError::Database { operation: "activity", detail: error.to_string() }
}

/// The name of the document that keeps a part of a stretch, as one node counted it. Names of a level
/// and a part are in the order of time; with an empty node it stands before all of that stretch.
#[must_use]
pub fn document_name(level: Level, part: Part, start_ms: i64, node: &str) -> DocumentName {
    let minutes = start_ms.div_euclid(MINUTE_MS).max(0);
    let name = format!("{}.{}.{minutes:010}.{node}", level.letter(), part.word());
    DocumentName::of_owner(DocumentKind::Activity, name)
}

/// The beginning of the stretch that a document is about in milliseconds since 1970, and the node that
/// counted it; `None` if it is about another level or part.
#[must_use]
pub fn document_start_ms(level: Level, part: Part, name: &str) -> Option<(i64, &str)> {
    let rest = name.strip_prefix(level.letter())?.strip_prefix('.')?;
    let (minutes, node) = rest.strip_prefix(part.word())?.strip_prefix('.')?.split_once('.')?;
    Some((minutes.parse::<i64>().ok()?.checked_mul(MINUTE_MS)?, node))
}

#[cfg(test)]
mod tests {
    use becket_model::ApplicationKey;

    use super::*;
    use crate::Owner;

    fn counts(received: u64, attempts: u64, latency_ms: u64) -> Counts {
        let mut counts = Counts { received, attempts, ..Counts::default() };
        counts.latency.add_ms(latency_ms);
        counts
    }

    fn place(
        application: Option<u32>,
        endpoint: Option<u32>,
        event_type: Option<&str>,
    ) -> Place<'_> {
        Place {
            owner: Owner::MAIN,
            application: application.map(ApplicationKey),
            endpoint: endpoint.map(EndpointKey),
            event_type,
        }
    }

    #[test]
    fn a_bucket_survives_its_documents() {
        let mut bucket = Bucket::default();
        bucket.add(&place(Some(7), None, Some("push")), &counts(3, 0, 1));
        bucket.add(&place(Some(7), Some(9), Some("push")), &counts(0, 2, 40));
        bucket.add(&place(None, Some(0), None), &counts(0, 5, 1_000));
        let refused = Counts { refused: 4, ..Counts::default() };
        bucket.add(&place(Some(7), None, None), &refused);
        bucket.totals.pending = Some(12);
        let mut again = Bucket::default();
        for part in Part::ALL {
            let text = bucket.text(part).unwrap().expect("every part says something");
            again.take_in(part, &text).unwrap();
        }
        assert_eq!(again, bucket);
        let of = |part, name: &str| again.detail(part).unwrap().names[name].clone();
        assert_eq!(of(Part::Source, "7").received, 3);
        assert_eq!(of(Part::Source, "7").refused, 4);
        assert_eq!(of(Part::Endpoint, "9").attempts, 2);
        assert_eq!(of(Part::EventType, "push").weight(), 5);
        assert_eq!(again.detail(Part::EventType).unwrap().names.len(), 1);
        assert_eq!(again.detail(Part::Endpoint).unwrap().other.attempts, 5);
        assert_eq!(again.totals.counts.attempts, 7);
        // What another node counted, or this one before a restart, is added.
        again.take_in(Part::Totals, &bucket.text(Part::Totals).unwrap().unwrap()).unwrap();
        assert_eq!(again.totals.counts.received, 6);
        assert!(again.take_in(Part::Source, "no JSON").is_err());
    }

    #[test]
    fn the_largest_names_are_kept() {
        let mut bucket = Bucket::default();
        for number in 0..NAMES_MAX as u32 + 50 {
            bucket.add(&place(Some(number), None, Some("a")), &counts(u64::from(number) + 1, 0, 1));
        }
        bucket.prune();
        let detail = bucket.detail(Part::Source).unwrap();
        assert_eq!(detail.names.len(), NAMES_MAX);
        assert!(detail.names.contains_key("249") && !detail.names.contains_key("0"));
        let named: u64 = detail.names.values().map(|one| one.received).sum();
        assert_eq!(named + detail.other.received, bucket.totals.counts.received);
    }

    #[test]
    fn documents_are_named_in_the_order_of_time() {
        let name = |at_ms: i64| document_name(Level::Hour, Part::Source, at_ms, "one").name;
        assert!(name(3_600_000) < name(36_000_000));
        assert!(name(36_000_000) < name(3_600_000_000_000));
        let start = document_name(Level::Hour, Part::Source, 3_600_000, "").name;
        assert!(start < name(3_600_000) && start > name(0));
        let read = |level, part| document_start_ms(level, part, &name(3_600_000)).is_some();
        assert!(read(Level::Hour, Part::Source) && !read(Level::Hour, Part::Totals));
        assert!(!read(Level::Minute, Part::Source));
        let text = name(7_200_000);
        assert_eq!(document_start_ms(Level::Hour, Part::Source, &text), Some((7_200_000, "one")));
    }
}
