//! The time of the database, so that all nodes have the same one.
//!
//! Invariants: it never steps back by less than [`STEP_BACK_MS`]: until the database's clock has caught
//! up it stands still; between two looks at the database it follows a clock that never steps, so that
//! setting the machine's clock does nothing to it.

use std::sync::atomic::{AtomicI64, Ordering};

use becket_model::Clock;
use tokio::time::Instant;

/// If the database is so far behind, it has another clock now: that is followed at once.
const STEP_BACK_MS: i64 = 10_000;
/// Differences up to this are how long an answer takes, not time.
const UNSURE_MS: i64 = 2;
/// From here on a difference is worth a line in the log.
const TOLD_MS: i64 = 1_000;

/// The clock of a node.
pub(in super::super) struct DatabaseClock {
    began: Instant,
    /// What it was when the clock began, in milliseconds since 1970.
    began_ms: AtomicI64,
    /// The latest that anybody was told.
    last_ms: AtomicI64,
}

impl DatabaseClock {
    /// A clock that follows this machine's, until the database has been looked at.
    pub(in super::super) fn new(machine: &dyn Clock) -> Self {
        let began_ms = AtomicI64::new(machine.now_ms());
        Self { began: Instant::now(), began_ms, last_ms: AtomicI64::new(i64::MIN) }
    }

    fn passed_ms(&self, at: Instant) -> i64 {
        let passed = at.saturating_duration_since(self.began).as_millis();
        i64::try_from(passed).unwrap_or(i64::MAX / 2)
    }

    /// Takes over what the database's clock showed between asking and now.
    pub(super) fn seen(&self, database_ms: i64, asked: Instant) {
        let answered = Instant::now();
        let took_ms = i64::try_from((answered - asked).as_millis()).unwrap_or(i64::MAX / 4);
        let was_ms = self.began_ms.load(Ordering::Acquire);
        let new_ms = database_ms - self.passed_ms(asked) - took_ms / 2;
        let ahead_ms = new_ms - was_ms;
        if ahead_ms.abs() <= took_ms / 2 + UNSURE_MS {
            return;
        }
        if ahead_ms.abs() >= TOLD_MS && self.last_ms.load(Ordering::Acquire) != i64::MIN {
            tracing::warn!(
                difference_ms = ahead_ms,
                "clock.differs: this machine's clock and the database's are apart; the database's is used"
            );
        }
        self.began_ms.store(new_ms, Ordering::Release);
        if ahead_ms <= -STEP_BACK_MS {
            self.last_ms.store(i64::MIN, Ordering::Release);
        }
    }
}

impl Clock for DatabaseClock {
    fn now_ms(&self) -> i64 {
        let now_ms = self.began_ms.load(Ordering::Acquire) + self.passed_ms(Instant::now());
        self.last_ms.fetch_max(now_ms, Ordering::AcqRel).max(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct At(i64);

    impl Clock for At {
        fn now_ms(&self) -> i64 {
            self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_follows_the_database_and_steps_back_only_if_it_must() {
        let clock = DatabaseClock::new(&At(1_000_000));
        assert_eq!(clock.now_ms(), 1_000_000);
        let asked = Instant::now();
        tokio::time::advance(Duration::from_millis(100)).await;
        clock.seen(1_000_050, asked);
        assert_eq!(clock.now_ms(), 1_000_100, "the answer took that long");
        clock.seen(1_005_100, Instant::now());
        assert_eq!(clock.now_ms(), 1_005_100);
        clock.seen(1_002_100, Instant::now());
        assert_eq!(clock.now_ms(), 1_005_100, "it stands still");
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(clock.now_ms(), 1_006_100);
        clock.seen(900_000, Instant::now());
        assert_eq!(clock.now_ms(), 900_000, "another clock");
    }
}
