//! What is received and delivered, counted over time, at a cost that does not grow with what is stored.
//!
//! Role: [`Tally`] takes notes on the way of every event; [`Bucket`] is what a stretch of time came to,
//! and reads and writes itself as the parts of documents. All of it is pure: whoever keeps a tally
//! decides when it is taken, and gives the time.
//!
//! Invariants: a tally holds a bounded number of places, a bucket a bounded number of names in each
//! dimension; what does not fit is counted under "other", so that totals are always right. Percentiles
//! are off by at most one part in 32 ([`Histogram`]).
//!
//! Deliberately absent: clocks, locks, the store.

mod bucket;
mod counts;
mod histogram;
mod tally;

pub use bucket::{Bucket, Detail, NAMES_MAX, Totals, document_name, document_start_ms};
pub use counts::Counts;
pub use histogram::Histogram;
pub use tally::{Place, PlaceKept, TALLY_MAX, Tally};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// How finely time is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Minutes, kept for 48 hours.
    Minute,
    /// Stretches of ten minutes, kept for 14 days.
    TenMinutes,
    /// Hours, kept for 400 days.
    Hour,
}

impl Level {
    /// All levels, the finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::TenMinutes, Self::Hour];

    /// How long a stretch is, in milliseconds.
    #[must_use]
    pub const fn step_ms(self) -> i64 {
        match self {
            Self::Minute => MINUTE_MS,
            Self::TenMinutes => 10 * MINUTE_MS,
            Self::Hour => 60 * MINUTE_MS,
        }
    }

    /// For how long a stretch is kept after its end, in milliseconds.
    #[must_use]
    pub const fn kept_ms(self) -> i64 {
        match self {
            Self::Minute => 2 * DAY_MS,
            Self::TenMinutes => 14 * DAY_MS,
            Self::Hour => 400 * DAY_MS,
        }
    }

    /// The word for it in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::TenMinutes => "ten_minutes",
            Self::Hour => "hour",
        }
    }

    /// Where the stretch begins that holds a moment, in milliseconds since 1970.
    #[must_use]
    pub const fn floor_ms(self, at_ms: i64) -> i64 {
        at_ms - at_ms.rem_euclid(self.step_ms())
    }

    /// Where the first stretch begins that does not begin before a moment.
    #[must_use]
    pub const fn ceil_ms(self, at_ms: i64) -> i64 {
        let floor_ms = self.floor_ms(at_ms);
        if floor_ms == at_ms { floor_ms } else { floor_ms.saturating_add(self.step_ms()) }
    }

    const fn letter(self) -> char {
        match self {
            Self::Minute => 'm',
            Self::TenMinutes => 't',
            Self::Hour => 'h',
        }
    }
}

/// By what a stretch is taken apart; each part is a document of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Not at all.
    Totals,
    /// By source or application, named by their number.
    Source,
    /// By endpoint, named by its number; only what concerns deliveries.
    Endpoint,
    /// By event type; the empty name is for events without one.
    EventType,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 4] = [Self::Totals, Self::Source, Self::Endpoint, Self::EventType];

    const fn word(self) -> &'static str {
        match self {
            Self::Totals => "all",
            Self::Source => "source",
            Self::Endpoint => "endpoint",
            Self::EventType => "type",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_begin_where_they_should() {
        assert_eq!(Level::Minute.floor_ms(119_999), 60_000);
        assert_eq!(Level::TenMinutes.floor_ms(1_799_999), 1_200_000);
        assert_eq!(Level::Hour.floor_ms(-1), -3_600_000);
        assert_eq!(Level::Hour.ceil_ms(3_600_000), 3_600_000);
        assert_eq!(Level::Hour.ceil_ms(3_600_001), 7_200_000);
    }
}
