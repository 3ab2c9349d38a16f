//! A circuit breaker: stops first attempts at an endpoint that is mostly failing, then probes it.
//!
//! Opens when at least [`REQUESTS_MIN`] attempts ended within a minute and half of them or more
//! failed. While open one probe is let through, first after 30 s, then at growing waits up to
//! 10 minutes; one success closes it.

/// Attempts within the window before the share of failures counts.
pub const REQUESTS_MIN: u32 = 10;
const WINDOW_MS: i64 = 60_000;
const PROBE_FIRST_MS: i64 = 30_000;
const PROBE_MAX_MS: i64 = 600_000;

/// What the breaker lets through now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing before this moment (milliseconds since 1970), then one probe.
    Open {
        /// When the next probe may be made.
        probe_at_ms: i64,
    },
    /// One probe is under way; nothing else.
    Probing,
}

/// The breaker of one endpoint.
#[derive(Debug, Clone)]
pub struct Breaker {
    state: BreakerState,
    probe_wait_ms: i64,
    window_start_ms: i64,
    succeeded: u32,
    failed: u32,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub const fn closed() -> Self {
        Self {
            state: BreakerState::Closed,
            probe_wait_ms: PROBE_FIRST_MS,
            window_start_ms: 0,
            succeeded: 0,
            failed: 0,
        }
    }

    /// The present state.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// Whether an attempt may start now; starting a probe makes this `false` for the others.
    pub fn admit(&mut self, now_ms: i64) -> bool {
        match self.state {
            BreakerState::Closed => true,
            BreakerState::Probing => false,
            BreakerState::Open { probe_at_ms } if now_ms >= probe_at_ms => {
                self.state = BreakerState::Probing;
                true
            }
            BreakerState::Open { .. } => false,
        }
    }

    /// Takes note of how an attempt ended.
    pub fn record(&mut self, succeeded: bool, now_ms: i64) {
        match (self.state, succeeded) {
            (BreakerState::Probing | BreakerState::Open { .. }, true) => *self = Self::closed(),
            (BreakerState::Probing, false) => {
                self.probe_wait_ms = (self.probe_wait_ms * 2).min(PROBE_MAX_MS);
                self.state = BreakerState::Open { probe_at_ms: now_ms + self.probe_wait_ms };
            }
            // An attempt that began before the breaker opened says nothing new.
            (BreakerState::Open { .. }, false) => {}
            (BreakerState::Closed, _) => self.count(succeeded, now_ms),
        }
    }

    /// A probe that was admitted but never made: let the next one through at once.
    pub fn probe_abandoned(&mut self, now_ms: i64) {
        if self.state == BreakerState::Probing {
            self.state = BreakerState::Open { probe_at_ms: now_ms };
        }
    }

    fn count(&mut self, succeeded: bool, now_ms: i64) {
        if now_ms - self.window_start_ms >= WINDOW_MS {
            (self.window_start_ms, self.succeeded, self.failed) = (now_ms, 0, 0);
        }
        if succeeded {
            self.succeeded = self.succeeded.saturating_add(1);
        } else {
            self.failed = self.failed.saturating_add(1);
        }
        let total = self.succeeded.saturating_add(self.failed);
        if total >= REQUESTS_MIN && self.failed >= total.div_ceil(2) {
            self.probe_wait_ms = PROBE_FIRST_MS;
            self.state = BreakerState::Open { probe_at_ms: now_ms + PROBE_FIRST_MS };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(times: u32) -> Breaker {
        let mut breaker = Breaker::closed();
        (0..times).for_each(|_| breaker.record(false, 1_000_000));
        breaker
    }

    #[test]
    fn opens_at_ten_requests_half_of_them_failing() {
        assert_eq!(failing(9).state(), BreakerState::Closed);
        assert_eq!(failing(10).state(), BreakerState::Open { probe_at_ms: 1_030_000 });
        let mut breaker = Breaker::closed();
        (0..6).for_each(|_| breaker.record(true, 1_000_000));
        (0..5).for_each(|_| breaker.record(false, 1_000_000));
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.record(false, 1_000_000);
        assert!(matches!(breaker.state(), BreakerState::Open { .. }));
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut breaker = failing(9);
        breaker.record(false, 1_000_000 + WINDOW_MS);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn probes_one_at_a_time_at_growing_waits() {
        let mut breaker = failing(10);
        assert!(!breaker.admit(1_029_999));
        assert!(breaker.admit(1_030_000));
        assert!(!breaker.admit(1_030_000));
        breaker.record(false, 1_031_000);
        assert_eq!(breaker.state(), BreakerState::Open { probe_at_ms: 1_091_000 });
        let mut now_ms = 1_091_000;
        for _ in 0..10 {
            assert!(breaker.admit(now_ms));
            breaker.record(false, now_ms);
            let BreakerState::Open { probe_at_ms } = breaker.state() else { panic!("open") };
            assert!(probe_at_ms - now_ms <= PROBE_MAX_MS);
            now_ms = probe_at_ms;
        }
        assert!(breaker.admit(now_ms));
        breaker.record(true, now_ms);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn an_abandoned_probe_is_replaced() {
        let mut breaker = failing(10);
        assert!(breaker.admit(1_030_000));
        breaker.probe_abandoned(1_030_001);
        assert!(breaker.admit(1_030_001));
    }
}
