//! Counts of durations with at most 3 % of error, whatever their size.
//!
//! Up to 64 us every microsecond has its own count; above, every power of two has 32 of them.

use std::time::Duration;

const BUCKETS: usize = 1_920;

/// How often which duration was seen, in microseconds.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max_us: 0 }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&mut self, duration: Duration) {
        self.add_us(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a duration given in microseconds.
    pub fn add_us(&mut self, us: u64) {
        self.counts[bucket(us)] += 1;
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// The duration in milliseconds that `per_mille` of a thousand do not exceed; 0 if none was seen.
    pub fn quantile_ms(&self, per_mille: u64) -> f64 {
        let wanted = (self.total * per_mille).div_ceil(1_000).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return ms(highest(at).min(self.max_us));
            }
        }
        ms(self.max_us)
    }

    /// The longest duration, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        ms(self.max_us)
    }

    /// How many were counted.
    pub const fn total(&self) -> u64 {
        self.total
    }
}

fn bucket(us: u64) -> usize {
    let shift = (63 - (us | 63).leading_zeros()) - 5;
    let at = u64::from(shift) * 32 + (us >> shift);
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The highest value of a bucket.
fn highest(at: usize) -> u64 {
    let at = at as u64;
    if at < 64 {
        return at;
    }
    let shift = at / 32 - 1;
    ((at - shift * 32 + 1) << shift) - 1
}

fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_close_to_its_end() {
        for us in (0..200_000).chain([1 << 30, (1 << 40) + 12_345]) {
            let at = bucket(us);
            assert!(us <= highest(at), "{us} in {at}");
            assert!(at == 0 || us > highest(at - 1), "{us} in {at}");
            assert!(highest(at) - us <= us / 32, "{us} in {at}");
        }
    }

    #[test]
    fn quantiles_of_a_hundred() {
        let mut histogram = Histogram::default();
        (1..=50).for_each(|us| histogram.add_us(us));
        assert!((histogram.quantile_ms(500) - 0.025).abs() < 1e-9);
        assert!((histogram.quantile_ms(1_000) - 0.05).abs() < 1e-9);
        assert_eq!(histogram.total(), 50);
        assert!(Histogram::default().quantile_ms(990).abs() < 1e-9);
    }
}
