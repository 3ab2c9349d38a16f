//! When the deliveries of a lane that wait in the store are due, as far as that is worth knowing.
//!
//! Bounded: moments are rounded up to a step (so that retries of one burst are leased together, and
//! none early), and only the earliest are kept. The store knows the rest; [`DueTimes::incomplete`]
//! tells when to ask it.

use std::collections::BTreeSet;

const STEP_MS: i64 = 50;
const KEPT_MAX: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct DueTimes {
    moments: BTreeSet<i64>,
    forgotten: bool,
}

impl DueTimes {
    pub(crate) fn insert(&mut self, due_ms: i64) {
        let step = due_ms.div_euclid(STEP_MS) + i64::from(due_ms.rem_euclid(STEP_MS) != 0);
        self.moments.insert(step.saturating_mul(STEP_MS));
        if self.moments.len() > KEPT_MAX {
            self.moments.pop_last();
            self.forgotten = true;
        }
    }

    pub(crate) fn first(&self) -> Option<i64> {
        self.moments.first().copied()
    }

    pub(crate) fn is_due(&self, now_ms: i64) -> bool {
        self.first().is_some_and(|due_ms| due_ms <= now_ms)
    }

    /// Forgets everything up to now: it is being leased.
    pub(crate) fn passed(&mut self, now_ms: i64) {
        while self.is_due(now_ms) {
            self.moments.pop_first();
        }
    }

    /// Whether moments were left out and none of the kept ones is left; asking resets it.
    pub(crate) fn incomplete(&mut self) -> bool {
        self.forgotten && self.moments.is_empty() && std::mem::take(&mut self.forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_up_and_joins() {
        let mut due = DueTimes::default();
        for due_ms in [1_000, 1_001, 1_049, 1_050, 951] {
            due.insert(due_ms);
        }
        assert_eq!(due.first(), Some(1_000));
        assert!(!due.is_due(999) && due.is_due(1_000));
        due.passed(1_000);
        assert_eq!(due.first(), Some(1_050));
        due.passed(1_050);
        assert_eq!(due.first(), None);
        assert!(!due.incomplete());
    }

    #[test]
    fn keeps_the_earliest_and_says_so() {
        let mut due = DueTimes::default();
        for number in (0..1_000).rev() {
            due.insert(number * 1_000);
        }
        assert_eq!(due.moments.len(), KEPT_MAX);
        assert_eq!(due.first(), Some(0));
        assert!(!due.incomplete());
        due.passed(i64::MAX);
        assert!(due.incomplete());
        assert!(!due.incomplete());
    }
}
