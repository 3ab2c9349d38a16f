//! The attempts a shard may have under way, and who may take one when few are left.
//!
//! Each lane has its own cap; this is what keeps many slow lanes together from using up everything.
//! A lane with nothing under way comes first, and one that has proven quick before one that nobody
//! knows. For its second attempt at a time a lane leaves some slots to the others: a quarter if it
//! is quick, half if it is failing, slow or unknown. So the first attempt at a healthy endpoint
//! finds a slot while many others hang, also if they had been quick before.

/// An attempt that has been under way for longer makes its lane slow.
pub(crate) const SLOW_MS: u64 = 1_000;

/// What is known of a lane's endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No attempt has ended yet.
    Unknown,
    /// The last attempt succeeded, and none under way is slow.
    Quick,
    /// The last attempt failed, or one under way is slow.
    Doubtful,
}

/// The slots of one shard.
#[derive(Debug)]
pub(crate) struct Slots {
    total: usize,
    used: usize,
}

impl Slots {
    pub(crate) const fn new(total: usize) -> Self {
        Self { total, used: 0 }
    }

    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    /// How many slots have to stay free for others when such a lane takes one.
    const fn left_to_others(&self, standing: Standing, in_flight: usize) -> usize {
        match (standing, in_flight) {
            (Standing::Quick, 0) => 0,
            (Standing::Unknown, 0) => self.total / 16,
            (Standing::Doubtful, 0) | (Standing::Quick, 1) => self.total / 8,
            (Standing::Quick, _) => self.total / 4,
            (Standing::Doubtful | Standing::Unknown, _) => self.total / 2,
        }
    }

    /// Whether a lane with `in_flight` attempts under way may start another.
    pub(crate) const fn admits(&self, standing: Standing, in_flight: usize) -> bool {
        self.total - self.used > self.left_to_others(standing, in_flight)
    }

    /// Whether slots are so few that a lane's standing matters.
    pub(crate) const fn are_scarce(&self) -> bool {
        self.total - self.used <= self.total / 2
    }

    pub(crate) const fn take(&mut self) {
        self.used += 1;
    }

    pub(crate) const fn give_back(&mut self) {
        self.used = self.used.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(total: usize, used: usize) -> Slots {
        Slots { total, used }
    }

    #[test]
    fn who_gets_the_last_slots() {
        let table = [
            (Standing::Quick, 0, 127, true),
            (Standing::Quick, 0, 128, false),
            (Standing::Quick, 1, 111, true),
            (Standing::Quick, 1, 112, false),
            (Standing::Quick, 2, 95, true),
            (Standing::Quick, 2, 96, false),
            (Standing::Unknown, 1, 63, true),
            (Standing::Unknown, 1, 64, false),
            (Standing::Unknown, 0, 119, true),
            (Standing::Unknown, 0, 120, false),
            (Standing::Doubtful, 0, 111, true),
            (Standing::Doubtful, 0, 112, false),
            (Standing::Doubtful, 1, 63, true),
            (Standing::Doubtful, 1, 64, false),
        ];
        for (standing, in_flight, taken, expected) in table {
            let admitted = used(128, taken).admits(standing, in_flight);
            assert_eq!(admitted, expected, "{standing:?} {in_flight} {taken}");
        }
    }

    #[test]
    fn a_single_slot_serves_everybody() {
        for standing in [Standing::Quick, Standing::Unknown, Standing::Doubtful] {
            assert!(used(1, 0).admits(standing, 0));
            assert!(!used(1, 1).admits(standing, 0));
        }
    }
}
