//! What is counted of a stretch of time.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// Counts of requests, events, attempts and deliveries. As JSON: the numbers in this order, then the
/// histogram.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Counts {
    /// Events that were stored.
    pub received: u64,
    /// Requests that repeated an event.
    pub duplicates: u64,
    /// Requests to a source that made no event and repeated none.
    pub refused: u64,
    /// Of the events, those that the source does not keep.
    pub filtered: u64,
    /// The bytes of the events' bodies.
    pub bytes: u64,
    /// Attempts that have ended.
    pub attempts: u64,
    /// Of them, those that the endpoint did not take.
    pub attempts_failed: u64,
    /// Deliveries that the endpoint took.
    pub delivered: u64,
    /// Deliveries that were given up.
    pub failed: u64,
    /// From the receipt of an event to its delivery; replays are left out.
    pub latency: Histogram,
}

/// The numbers and the histogram.
type Written = ([u64; 9], Histogram);

impl From<Written> for Counts {
    fn from((numbers, latency): Written) -> Self {
        let [
            received,
            duplicates,
            refused,
            filtered,
            bytes,
            attempts,
            attempts_failed,
            delivered,
            failed,
        ] = numbers;
        Self {
            received,
            duplicates,
            refused,
            filtered,
            bytes,
            attempts,
            attempts_failed,
            delivered,
            failed,
            latency,
        }
    }
}

impl From<Counts> for Written {
    fn from(counts: Counts) -> Self {
        (counts.numbers(), counts.latency)
    }
}

impl Counts {
    const fn numbers(&self) -> [u64; 9] {
        [
            self.received,
            self.duplicates,
            self.refused,
            self.filtered,
            self.bytes,
            self.attempts,
            self.attempts_failed,
            self.delivered,
            self.failed,
        ]
    }

    /// Adds what other counts say.
    pub fn merge(&mut self, other: &Self) {
        let mut sums = self.numbers();
        for (sum, more) in sums.iter_mut().zip(other.numbers()) {
            *sum = sum.saturating_add(more);
        }
        let mut latency = std::mem::take(&mut self.latency);
        latency.merge(&other.latency);
        *self = Self::from((sums, latency));
    }

    /// How much happened: requests and attempts.
    #[must_use]
    pub const fn weight(&self) -> u64 {
        self.received
            .saturating_add(self.duplicates)
            .saturating_add(self.refused)
            .saturating_add(self.attempts)
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers().iter().all(|number| *number == 0)
    }
}
