//! How long an endpoint has been failing, and what follows from it: warnings, then the end.

/// The parts of the limit, in percent, at which people are warned.
const WARNINGS_PERCENT: [u8; 3] = [50, 75, 90];

/// Since when every attempt has failed, and which warnings have been given.
#[derive(Debug, Clone)]
pub(crate) struct Failing {
    since_ms: Option<i64>,
    warned_percent: u8,
}

/// What an attempt's result changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailingStep {
    Nothing,
    /// The first failure after a success.
    Began(i64),
    Warn {
        percent: u8,
        since_ms: i64,
    },
    /// It has failed for the whole limit.
    GiveUp,
    Recovered {
        since_ms: i64,
    },
}

impl Failing {
    /// As the store remembers it. The highest warning already passed is given again on the next
    /// failure: after a restart, twice is better than never.
    pub(crate) const fn since(since_ms: Option<i64>) -> Self {
        Self { since_ms, warned_percent: 0 }
    }

    pub(crate) const fn since_ms(&self) -> Option<i64> {
        self.since_ms
    }

    pub(crate) fn record(&mut self, succeeded: bool, now_ms: i64, limit_ms: u64) -> FailingStep {
        match (succeeded, self.since_ms) {
            (true, None) => FailingStep::Nothing,
            (true, Some(since_ms)) => {
                *self = Self::since(None);
                FailingStep::Recovered { since_ms }
            }
            (false, None) => {
                *self = Self::since(Some(now_ms));
                FailingStep::Began(now_ms)
            }
            (false, Some(since_ms)) => self.judge(since_ms, now_ms, limit_ms),
        }
    }

    fn judge(&mut self, since_ms: i64, now_ms: i64, limit_ms: u64) -> FailingStep {
        let failed_ms = u64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(0);
        if failed_ms >= limit_ms {
            return FailingStep::GiveUp;
        }
        let passed = |percent: &u8| failed_ms >= limit_ms / 100 * u64::from(*percent);
        match WARNINGS_PERCENT.into_iter().rev().find(passed) {
            Some(percent) if percent > self.warned_percent => {
                self.warned_percent = percent;
                FailingStep::Warn { percent, since_ms }
            }
            _ => FailingStep::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_once_per_part_then_gives_up() {
        let mut failing = Failing::since(None);
        let table = [
            (0, FailingStep::Began(0)),
            (499, FailingStep::Nothing),
            (500, FailingStep::Warn { percent: 50, since_ms: 0 }),
            (600, FailingStep::Nothing),
            (910, FailingStep::Warn { percent: 90, since_ms: 0 }),
            (920, FailingStep::Nothing),
            (1_000, FailingStep::GiveUp),
        ];
        for (now_ms, expected) in table {
            assert_eq!(failing.record(false, now_ms, 1_000), expected, "{now_ms}");
        }
        assert_eq!(failing.record(true, 1_001, 1_000), FailingStep::Recovered { since_ms: 0 });
        assert_eq!(failing.record(true, 1_002, 1_000), FailingStep::Nothing);
        assert_eq!(failing.record(false, 1_003, 1_000), FailingStep::Began(1_003));
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing_up() {
        let mut failing = Failing::since(Some(10_000));
        assert_eq!(failing.record(false, 0, 1_000), FailingStep::Nothing);
    }
}
