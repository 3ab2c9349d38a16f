//! Durations, counted on a logarithmic scale: few counts, and percentiles with a known error.
//!
//! Every power of two is divided into 16 equal parts; up to 31 ms every millisecond has a count of its
//! own. A percentile is told as the middle of the part it lies in, so that it is off by at most one
//! part in 32 (3.125 %) of its value, whatever that is.

use serde::{Deserialize, Serialize};

const SHIFT: u32 = 4;
const SUB: u64 = 1 << SHIFT;
/// Longer durations (34 years) are counted as this.
const MAX_MS: u64 = 1 << 40;

/// How often which duration was seen, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram {
    /// Only the parts that were seen, in order.
    counts: Vec<(u16, u64)>,
}

impl Histogram {
    /// Counts a duration.
    pub fn add_ms(&mut self, ms: u64) {
        self.add(part_of(ms), 1);
    }

    fn add(&mut self, part: u16, count: u64) {
        match self.counts.binary_search_by_key(&part, |(known, _)| *known) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (part, count)),
        }
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        for (part, count) in &other.counts {
            self.add(*part, *count);
        }
    }

    /// How many were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The duration in milliseconds that `per_mille` of a thousand do not exceed, off by at most one
    /// part in 32; `None` if none was counted.
    #[must_use]
    pub fn percentile_ms(&self, per_mille: u64) -> Option<u64> {
        let total = u128::from(self.total());
        let wanted = (total * u128::from(per_mille)).div_ceil(1_000).max(1);
        let mut seen = 0;
        self.counts.iter().find_map(|(part, count)| {
            seen += u128::from(*count);
            (seen >= wanted).then(|| middle_ms(*part))
        })
    }
}

/// The part that a duration lies in.
fn part_of(ms: u64) -> u16 {
    let ms = ms.min(MAX_MS);
    let shift = (63 - (ms | (2 * SUB - 1)).leading_zeros()) - SHIFT;
    let part = u64::from(shift) * SUB + (ms >> shift);
    u16::try_from(part).unwrap_or(u16::MAX)
}

/// The middle of a part.
fn middle_ms(part: u16) -> u64 {
    let part = u64::from(part);
    if part < 2 * SUB {
        return part;
    }
    let shift = (part / SUB - 1).min(60);
    ((part - shift * SUB) << shift) + (1 << (shift - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_durations_are_exact_and_parts_follow_each_other() {
        for ms in 0..32 {
            assert_eq!(middle_ms(part_of(ms)), ms);
        }
        let mut last = 0;
        for ms in 0..100_000 {
            let part = part_of(ms);
            assert!(part == last || part == last + 1, "{ms} is in {part}");
            last = part;
        }
        assert_eq!(part_of(u64::MAX), part_of(MAX_MS));
        assert_eq!(Histogram::default().percentile_ms(500), None);
    }

    #[test]
    fn a_thousand_say_their_percentiles() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|ms| histogram.add_ms(ms));
        let near = |per_mille: u64, ms: u64| {
            let told = histogram.percentile_ms(per_mille).unwrap_or_default();
            assert!(told.abs_diff(ms) * 32 <= ms, "{per_mille}: {told}");
        };
        near(500, 500);
        near(950, 950);
        near(990, 990);
        near(1_000, 1_000);
        assert_eq!(histogram.percentile_ms(0), Some(1));
    }

    proptest! {
        /// Any percentile of any durations is off by at most one part in 32.
        #[test]
        fn percentiles_keep_their_bound(
            mut seen in prop::collection::vec(
                prop_oneof![0_u64..50, 0_u64..100_000, 0_u64..=MAX_MS],
                1..300,
            ),
            per_mille in 0_u64..=1_000,
        ) {
            let mut histogram = Histogram::default();
            let (left, right) = seen.split_at(seen.len() / 2);
            left.iter().for_each(|ms| histogram.add_ms(*ms));
            let mut other = Histogram::default();
            right.iter().for_each(|ms| other.add_ms(*ms));
            histogram.merge(&other);
            prop_assert_eq!(histogram.total(), seen.len() as u64);
            seen.sort_unstable();
            let rank = (seen.len() as u64 * per_mille).div_ceil(1_000).max(1);
            let exact = seen[usize::try_from(rank).unwrap() - 1];
            let told = histogram.percentile_ms(per_mille).unwrap();
            prop_assert!(told.abs_diff(exact) * 32 <= exact, "{} for {}", told, exact);
        }
    }
}
