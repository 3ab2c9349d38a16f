//! When a failed attempt is tried again: named schedules or a list of delays.

use serde::{Deserialize, Serialize};

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// The longest wait that a `Retry-After` hint can ask for, in milliseconds (24 hours).
pub const RETRY_AFTER_CAP_MS: u64 = 24 * HOUR_MS;

/// A receiver's hint when to come back, in either form of the `Retry-After` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryAfter {
    /// Wait this many seconds.
    Seconds(u64),
    /// Come back at this Unix time in seconds.
    At(i64),
}

impl RetryAfter {
    /// The wait from `now_ms`, in milliseconds, at most [`RETRY_AFTER_CAP_MS`].
    #[must_use]
    pub fn wait_ms(self, now_ms: i64) -> u64 {
        let wait = match self {
            Self::Seconds(seconds) => seconds.saturating_mul(1_000),
            Self::At(at_s) => {
                u64::try_from(at_s.saturating_mul(1_000).saturating_sub(now_ms)).unwrap_or(0)
            }
        };
        wait.min(RETRY_AFTER_CAP_MS)
    }
}

/// The waits after each failed attempt; the first attempt is made at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetrySchedule {
    /// The wait in milliseconds before the second, third, … attempt.
    pub delays_ms: Vec<u64>,
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self::standard()
    }
}

impl RetrySchedule {
    /// The names that [`RetrySchedule::named`] knows.
    pub const NAMES: &'static [&'static str] = &["standard", "short", "none"];

    /// Twelve attempts over about three days.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            delays_ms: vec![
                5 * SECOND_MS,
                30 * SECOND_MS,
                2 * MINUTE_MS,
                10 * MINUTE_MS,
                30 * MINUTE_MS,
                HOUR_MS,
                3 * HOUR_MS,
                6 * HOUR_MS,
                12 * HOUR_MS,
                24 * HOUR_MS,
                24 * HOUR_MS,
            ],
        }
    }

    /// A schedule by name: `standard` (three days), `short` (about 13 minutes), `none` (one attempt).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "standard" => Some(Self::standard()),
            "short" => Some(Self {
                delays_ms: vec![5 * SECOND_MS, 30 * SECOND_MS, 2 * MINUTE_MS, 10 * MINUTE_MS],
            }),
            "none" => Some(Self { delays_ms: Vec::new() }),
            _ => None,
        }
    }

    /// How many attempts are made in all.
    #[must_use]
    pub fn attempts_max(&self) -> usize {
        self.delays_ms.len() + 1
    }

    /// The wait after failed attempt `number` (counted from 1) in milliseconds; `None` if it was
    /// the last. `jitter` in 0..1 adds up to a tenth, never subtracts; a hint can only lengthen it.
    #[must_use]
    pub fn wait_ms(
        &self,
        number: u32,
        hint: Option<RetryAfter>,
        now_ms: i64,
        jitter: f64,
    ) -> Option<u64> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let base = *self.delays_ms.get(index)?;
        let scheduled = base + (base as f64 * 0.1 * jitter.clamp(0.0, 1.0)) as u64;
        Some(scheduled.max(hint.map_or(0, |hint| hint.wait_ms(now_ms))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_lasts_about_three_days() {
        let schedule = RetrySchedule::standard();
        assert_eq!(schedule.attempts_max(), 12);
        let hours = schedule.delays_ms.iter().sum::<u64>() / HOUR_MS;
        assert_eq!(hours, 70);
    }

    #[test]
    fn jitter_only_adds_and_hints_only_lengthen() {
        let schedule = RetrySchedule { delays_ms: vec![10_000] };
        assert_eq!(schedule.wait_ms(1, None, 0, 0.0), Some(10_000));
        assert_eq!(schedule.wait_ms(1, None, 0, 1.0), Some(11_000));
        assert_eq!(schedule.wait_ms(2, None, 0, 0.0), None);
        assert_eq!(schedule.wait_ms(1, Some(RetryAfter::Seconds(3)), 0, 0.0), Some(10_000));
        assert_eq!(schedule.wait_ms(1, Some(RetryAfter::Seconds(30)), 0, 0.0), Some(30_000));
        assert_eq!(schedule.wait_ms(1, Some(RetryAfter::At(60)), 20_000, 0.0), Some(40_000));
        assert_eq!(schedule.wait_ms(1, Some(RetryAfter::At(1)), 20_000, 0.0), Some(10_000));
        assert_eq!(
            schedule.wait_ms(1, Some(RetryAfter::Seconds(u64::MAX)), 0, 0.0),
            Some(RETRY_AFTER_CAP_MS)
        );
    }
}
