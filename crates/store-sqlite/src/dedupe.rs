//! Finds repeats: sets in memory for segments still being written, filters for sealed ones.
//!
//! A segment's set is given up only when its filter is in place and its index can be queried, so
//! no repeat slips through at the boundary. A filter answers "surely not" for all but one key in
//! 65 536, so that a look-up in the window almost never touches a sealed file.

use std::collections::{BTreeMap, HashMap};

use becket_model::ApplicationKey;
use becket_store::DedupeKey;
use serde::de::value::{Error as ValueError, MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, IntoDeserializer, Visitor};
use xorf::{BinaryFuse16, DmaSerializable, Filter};

/// A dedupe key within its application.
pub(crate) type Key = (ApplicationKey, DedupeKey);

/// What a filter remembers of a key.
pub(crate) fn fingerprint((application, key): &Key) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&key.0[..8]);
    u64::from_le_bytes(bytes) ^ u64::from(application.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A sealed segment's filter.
pub(crate) struct SealedFilter {
    /// `None` if the segment has no keys, or so few that a filter could not be built: then every
    /// key may be there.
    filter: Option<BinaryFuse16>,
    empty: bool,
    /// No key counts from this moment on.
    pub(crate) until_ms: i64,
}

impl SealedFilter {
    /// Builds the filter over all fingerprints of a segment.
    pub(crate) fn build(mut fingerprints: Vec<u64>, until_ms: i64) -> Self {
        fingerprints.sort_unstable();
        fingerprints.dedup();
        let empty = fingerprints.is_empty();
        let filter = if empty { None } else { BinaryFuse16::try_from(&fingerprints).ok() };
        Self { filter, empty, until_ms }
    }

    fn may_hold(&self, fingerprint: u64) -> bool {
        match &self.filter {
            Some(filter) => filter.contains(&fingerprint),
            None => !self.empty,
        }
    }

    /// The form in which it is kept: one byte, the descriptor, the fingerprints.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.empty)];
        if let Some(filter) = &self.filter {
            bytes.resize(1 + BinaryFuse16::DESCRIPTOR_LEN, 0);
            filter.dma_copy_descriptor_to(&mut bytes[1..]);
            filter
                .fingerprints
                .iter()
                .for_each(|print| bytes.extend_from_slice(&print.to_le_bytes()));
        }
        bytes
    }

    /// Reads the kept form; a damaged one means that every key may be there.
    pub(crate) fn from_bytes(bytes: &[u8], until_ms: i64) -> Self {
        let empty = bytes.first() == Some(&1);
        Self { filter: bytes.get(1..).and_then(read_filter), empty, until_ms }
    }
}

/// Rebuilds a filter field by field: the library gives its bytes out but takes them back only
/// through serde.
fn read_filter(bytes: &[u8]) -> Option<BinaryFuse16> {
    let (seed, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (mask, rest) = rest.split_first_chunk::<4>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let prints = rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let fields = [
        ("seed", Field::Number(u64::from_le_bytes(*seed))),
        ("segment_length", Field::Number(u32::from_le_bytes(*length).into())),
        ("segment_length_mask", Field::Number(u32::from_le_bytes(*mask).into())),
        ("segment_count_length", Field::Number(u32::from_le_bytes(*count).into())),
        ("fingerprints", Field::Prints(prints)),
    ];
    BinaryFuse16::deserialize(MapDeserializer::<_, ValueError>::new(fields.into_iter())).ok()
}

enum Field {
    Number(u64),
    Prints(Vec<u16>),
}

impl<'de> IntoDeserializer<'de, ValueError> for Field {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Field {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self {
            Self::Number(number) => visitor.visit_u64(number),
            Self::Prints(prints) => visitor.visit_seq(SeqDeserializer::new(prints.into_iter())),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// Where a repeat may be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// This event has the key.
    Event(i64),
    /// The sealed segment that begins here may have it.
    PerhapsIn(i64),
}

/// One filter over the keys of many sealed segments, asked before theirs.
struct Group {
    filter: SealedFilter,
    members: Vec<i64>,
}

/// Everything that is known of keys within the window, by segment. Sealed segments are put together
/// in groups, so that the number of filters asked stays small however many segments there are.
#[derive(Default)]
pub(crate) struct DedupeIndex {
    sets: BTreeMap<i64, HashMap<Key, i64>>,
    /// Of sealed segments that are in no group.
    filters: BTreeMap<i64, SealedFilter>,
    /// Of sealed segments that are in a group.
    grouped: BTreeMap<i64, SealedFilter>,
    groups: Vec<Group>,
}

impl DedupeIndex {
    /// Adds a key of an event in the segment that begins at `first`.
    pub(crate) fn insert(&mut self, first: i64, key: Key, seq: i64) {
        self.sets.entry(first).or_default().insert(key, seq);
    }

    /// Puts a set in place whole.
    pub(crate) fn insert_set(&mut self, first: i64, set: HashMap<Key, i64>) {
        self.sets.insert(first, set);
    }

    /// Replaces a segment's set by its filter; its index has to be committed. A filter that is there
    /// is replaced; its group may know keys that are gone, which does no harm.
    pub(crate) fn seal(&mut self, first: i64, filter: SealedFilter) {
        match self.grouped.get_mut(&first) {
            Some(before) => *before = filter,
            None => drop(self.filters.insert(first, filter)),
        }
        self.sets.remove(&first);
    }

    /// Puts sealed segments into a group with a filter over all their keys.
    pub(crate) fn group(&mut self, members: &[i64], filter: SealedFilter) {
        let members: Vec<i64> =
            members.iter().copied().filter(|first| self.filters.contains_key(first)).collect();
        for first in &members {
            if let Some(filter) = self.filters.remove(first) {
                self.grouped.insert(*first, filter);
            }
        }
        if !members.is_empty() {
            self.groups.push(Group { filter, members });
        }
    }

    /// Forgets a segment.
    pub(crate) fn remove(&mut self, first: i64) {
        self.sets.remove(&first);
        self.filters.remove(&first);
        if self.grouped.remove(&first).is_some() {
            for group in &mut self.groups {
                group.members.retain(|member| *member != first);
            }
            self.groups.retain(|group| !group.members.is_empty());
        }
    }

    /// Where the key may be, newest first.
    pub(crate) fn find(&self, key: &Key, now_ms: i64) -> Vec<Found> {
        let mut found = Vec::new();
        for set in self.sets.values().rev() {
            if let Some(seq) = set.get(key) {
                found.push(Found::Event(*seq));
            }
        }
        let fingerprint = fingerprint(key);
        let mut sealed = Vec::new();
        let asked =
            |filter: &SealedFilter| filter.until_ms > now_ms && filter.may_hold(fingerprint);
        for (first, filter) in &self.filters {
            if asked(filter) {
                sealed.push(*first);
            }
        }
        for group in self.groups.iter().filter(|group| asked(&group.filter)) {
            let members = group.members.iter();
            sealed.extend(members.filter(|first| self.grouped.get(first).is_some_and(asked)));
        }
        sealed.sort_unstable();
        found.extend(sealed.into_iter().rev().map(Found::PerhapsIn));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.wrapping_mul(0x1234_5678_9abc_def1).to_le_bytes());
        (ApplicationKey(1), DedupeKey(bytes))
    }

    #[test]
    fn filters_survive_being_kept_and_never_miss() {
        for count in [0_u64, 1, 2, 3, 100, 10_000] {
            let prints: Vec<u64> = (0..count).map(|number| fingerprint(&key(number))).collect();
            let built = SealedFilter::build(prints.clone(), 10);
            let kept = SealedFilter::from_bytes(&built.to_bytes(), 10);
            assert!(prints.iter().all(|print| kept.may_hold(*print)), "{count}");
            let wrong =
                (count..count + 20_000).filter(|n| kept.may_hold(fingerprint(&key(*n)))).count();
            assert!(count < 10 || wrong < 20, "{count}: {wrong}");
        }
    }

    #[test]
    fn a_set_gives_way_to_its_filter() {
        let mut index = DedupeIndex::default();
        index.insert(1, key(7), 5);
        assert_eq!(index.find(&key(7), 0), [Found::Event(5)]);
        index.seal(1, SealedFilter::build(vec![fingerprint(&key(7))], 100));
        assert_eq!(index.find(&key(7), 99), [Found::PerhapsIn(1)]);
        assert!(index.find(&key(7), 100).is_empty(), "the window has passed");
        index.remove(1);
        assert!(index.find(&key(7), 0).is_empty());
    }

    #[test]
    fn groups_find_what_their_members_find() {
        let mut index = DedupeIndex::default();
        let filter = |numbers: std::ops::Range<u64>, until_ms| {
            SealedFilter::build(numbers.map(|number| fingerprint(&key(number))).collect(), until_ms)
        };
        for segment in 0..4_u64 {
            let numbers = segment * 100..(segment + 1) * 100;
            index.seal(segment as i64, filter(numbers, 1_000 + segment as i64));
        }
        index.group(&[0, 1, 2], filter(0..300, 1_002));
        for number in 0..400 {
            let there = Found::PerhapsIn(number as i64 / 100);
            assert!(index.find(&key(number), 0).contains(&there), "{number}");
        }
        assert!(
            !index.find(&key(50), 1_000).contains(&Found::PerhapsIn(0)),
            "its window has passed"
        );
        index.seal(1, filter(100..101, 1_001));
        assert!(index.find(&key(100), 0).contains(&Found::PerhapsIn(1)), "rewritten in its group");
        for segment in 0..4 {
            index.remove(segment);
        }
        assert!(index.groups.is_empty() && index.grouped.is_empty() && index.filters.is_empty());
    }
}
