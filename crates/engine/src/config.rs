//! How an engine behaves, and what it is given.

use std::sync::Arc;

use becket_model::{Clock, Noise};
use becket_store::{RetentionPolicy, Store};

use crate::observer::Observer;

/// How long a lease has to hold beyond an attempt's timeout, so that its result can be recorded.
pub(crate) const LEASE_MARGIN_MS: u64 = 10_000;
/// The shortest lease that leaves time for the longest attempt (60 s) and its result, twice.
const LEASE_MIN_MS: u64 = 2 * (60_000 + LEASE_MARGIN_MS);

/// How an engine behaves. `Default` has the documented values.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How many threads deliver; endpoints are spread over them.
    pub shards: usize,
    /// Attempts under way at the same time, over all endpoints.
    pub concurrency_in_all: usize,
    /// Deliveries that wait in memory, per endpoint; the others wait in the store.
    pub lane_queue_max: usize,
    /// Bytes of deliveries that wait in memory, per shard, before new ones wait in the store.
    pub lane_queue_bytes_max: usize,
    /// How long a lease holds, in milliseconds (at least 140 000).
    pub lease_ms: u64,
    /// How long an endpoint may fail without a success before it is disabled, in milliseconds.
    pub failing_limit_ms: u64,
    /// How long an endpoint has to fail before the store is told, in milliseconds. Where several nodes
    /// share a store each such note reaches all of them, which short hiccups are not worth.
    pub failing_noted_after_ms: u64,
    /// How long things are kept; `None` keeps everything.
    pub retention: Option<RetentionPolicy>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            shards: 2,
            concurrency_in_all: 256,
            lane_queue_max: 256,
            lane_queue_bytes_max: 16 * 1024 * 1024,
            lease_ms: 300_000,
            failing_limit_ms: 5 * 24 * 3_600_000,
            failing_noted_after_ms: 0,
            retention: None,
        }
    }
}

impl EngineConfig {
    /// The same with every number in its range.
    pub(crate) fn in_range(mut self) -> Self {
        self.shards = self.shards.clamp(1, 1_024);
        self.concurrency_in_all = self.concurrency_in_all.max(self.shards);
        self.lane_queue_max = self.lane_queue_max.max(1);
        self.lease_ms = self.lease_ms.max(LEASE_MIN_MS);
        self
    }

    /// How many attempts a shard may have under way: its part of the whole.
    pub(crate) fn slots_of(&self, shard: usize) -> usize {
        let rest = self.concurrency_in_all % self.shards;
        self.concurrency_in_all / self.shards + usize::from(shard < rest)
    }
}

/// What an engine works with, all of it handed in.
#[derive(Clone)]
pub struct Environment {
    /// Where deliveries come from and results go.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the jitter of retries.
    pub noise: Arc<dyn Noise>,
    /// Who is told about attempts and endpoints.
    pub observer: Arc<dyn Observer>,
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The operating system gave no thread or no event queue.
    #[error(
        "delivery thread {shard} could not be started: {cause}; check the limits on threads and open files"
    )]
    Thread {
        /// Which one, counted from 0.
        shard: usize,
        /// What the operating system said.
        cause: std::io::Error,
    },
}

impl EngineError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Thread { .. } => "engine_thread",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_add_up_and_numbers_stay_in_range() {
        let config = EngineConfig { shards: 3, concurrency_in_all: 256, ..EngineConfig::default() };
        assert_eq!((0..3).map(|shard| config.slots_of(shard)).sum::<usize>(), 256);
        let odd =
            EngineConfig { shards: 0, concurrency_in_all: 0, lease_ms: 1, ..config }.in_range();
        assert_eq!((odd.shards, odd.slots_of(0), odd.lease_ms), (1, 1, LEASE_MIN_MS));
    }
}
