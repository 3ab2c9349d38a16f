//! Until when this engine may start attempts, and which leases are its own.
//!
//! Where several nodes share a store, a node delivers only while its membership surely holds: one that
//! was stopped, or cut off, must not go on as if nothing had happened when it comes back. So there is
//! a moment after which nothing is started, which its owner moves on as often as it renews; and leases
//! of an earlier membership, which the store has ended, are not acted upon.
//!
//! Invariants: the moment is one of a clock that never steps; a shard learns of a new one in the order
//! of its other commands, so that lanes which are taken away before it are gone when it holds.

use std::sync::atomic::{AtomicU64, Ordering};

use becket_store::LeaseToken;
use tokio::time::Instant;

/// What holds from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// No attempt is started from this moment on.
    pub may_start_until: Instant,
    /// The lowest lease that can be this engine's; lower ones have been ended by the store.
    pub first_lease: LeaseToken,
}

/// A shard's part of it, as its own thread and receiving threads see it.
#[derive(Debug)]
pub(crate) struct Held {
    started: Instant,
    until_ms: AtomicU64,
    first_lease: AtomicU64,
}

impl Default for Held {
    fn default() -> Self {
        Self::since(Instant::now())
    }
}

impl Held {
    /// Without an end, by a clock that began at `started`.
    pub(crate) const fn since(started: Instant) -> Self {
        Self { started, until_ms: AtomicU64::new(u64::MAX), first_lease: AtomicU64::new(0) }
    }

    /// Whether attempts may be started at a moment of the engine's clock.
    pub(crate) fn holds(&self, mono_ms: u64) -> bool {
        mono_ms < self.until_ms.load(Ordering::Acquire)
    }

    /// Whether attempts may be started now.
    pub(crate) fn holds_now(&self) -> bool {
        let until_ms = self.until_ms.load(Ordering::Acquire);
        // Without an end there is no need to ask for the time.
        until_ms == u64::MAX
            || u64::try_from(self.started.elapsed().as_millis()).is_ok_and(|now| now < until_ms)
    }

    /// Whether a lease can be this engine's.
    pub(crate) fn is_own(&self, lease: LeaseToken) -> bool {
        lease.0 >= self.first_lease.load(Ordering::Acquire)
    }

    /// Takes over a new one; whether something may start or has to go that could not, or need not,
    /// before.
    pub(crate) fn set(&self, tenure: Tenure, mono_ms: u64) -> bool {
        let until = tenure.may_start_until.saturating_duration_since(self.started);
        let until_ms = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        let first = self.first_lease.swap(tenure.first_lease.0, Ordering::AcqRel);
        let before_ms = self.until_ms.swap(until_ms, Ordering::AcqRel);
        before_ms <= mono_ms || first != tenure.first_lease.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_and_goes_on() {
        let started = Instant::now();
        let held = Held::since(started);
        assert!(held.holds(u64::MAX - 1) && held.holds_now() && held.is_own(LeaseToken(0)));
        let until = |ms, first| Tenure {
            may_start_until: started + Duration::from_millis(ms),
            first_lease: LeaseToken(first),
        };
        assert!(held.set(until(1_000, 5), 0), "other leases than before");
        assert!(held.holds(999) && !held.holds(1_000) && held.holds_now());
        assert!(held.is_own(LeaseToken(5)) && !held.is_own(LeaseToken(4)));
        assert!(!held.set(until(2_000, 5), 900), "renewed in time");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!held.holds_now());
        assert!(held.set(until(3_000, 5), 2_000), "renewed too late");
        assert!(held.holds_now());
    }
}
