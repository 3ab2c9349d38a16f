//! What threads outside a shard may touch: a few atomics per lane and per shard.
//!
//! Reserving a place for a delivery happens for every planned delivery, on the receiving threads:
//! it waits for nobody. All decisions stay on the shard's own thread, which sets
//! the flags that are read here.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use becket_model::EndpointKey;
use parking_lot::Mutex;

use crate::tenure::Held;

/// Why a lane takes nothing directly; several may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Its endpoint is paused, disabled or removed.
    State = 1,
    /// Its breaker is open.
    Breaker = 2,
    /// Older deliveries wait in the store: newer ones queue up behind them there.
    Backlog = 4,
}

/// What is counted and bounded per shard.
#[derive(Debug, Default)]
pub(crate) struct ShardShared {
    pub(crate) bytes_max: usize,
    pub(crate) queued: AtomicUsize,
    pub(crate) queued_bytes: AtomicUsize,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) finishing: AtomicUsize,
    pub(crate) held: AtomicUsize,
    pub(crate) lanes: AtomicUsize,
    pub(crate) breakers_open: AtomicUsize,
    pub(crate) stale: AtomicUsize,
    pub(crate) stopping: AtomicBool,
    /// Until when attempts may be started.
    pub(crate) tenure: Held,
    /// Endpoints that were removed and of which something is still under way.
    pub(crate) leaving: Mutex<HashSet<EndpointKey>>,
}

impl ShardShared {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    pub(crate) fn bytes_are_full(&self) -> bool {
        self.queued_bytes.load(Ordering::Relaxed) >= self.bytes_max
    }

    pub(crate) fn queued_add(&self, bytes: usize) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn queued_remove(&self, bytes: usize) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The part of a lane that other threads see.
#[derive(Debug)]
pub(crate) struct LaneShared {
    pub(crate) key: EndpointKey,
    pub(crate) shard: Arc<ShardShared>,
    places_max: usize,
    /// Deliveries that are queued, or that a receiving thread is about to hand over.
    places: AtomicUsize,
    closed: AtomicU8,
    /// Whether the shard has been told to look into the store and has not done so yet.
    woken: AtomicBool,
}

impl LaneShared {
    pub(crate) fn new(key: EndpointKey, shard: Arc<ShardShared>, places_max: usize) -> Self {
        Self {
            key,
            shard,
            places_max,
            places: AtomicUsize::new(0),
            closed: AtomicU8::new(Closed::State as u8),
            woken: AtomicBool::new(false),
        }
    }

    /// Takes a place, if the lane takes deliveries directly now.
    pub(crate) fn reserve(&self) -> bool {
        if self.closed.load(Ordering::Acquire) != 0
            || self.shard.stopping.load(Ordering::Relaxed)
            || self.shard.bytes_are_full()
            || !self.shard.tenure.holds_now()
        {
            return false;
        }
        let taken = self.places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |places| {
            (places < self.places_max).then_some(places + 1)
        });
        if taken.is_err() {
            // From now on everything waits in the store, so that the oldest comes first.
            self.set(Closed::Backlog, true);
        }
        taken.is_ok()
    }

    /// Takes a place without asking: the delivery was leased from the store for this lane.
    pub(crate) fn occupy(&self) {
        self.places.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives a place back.
    pub(crate) fn vacate(&self) {
        self.places.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn places(&self) -> usize {
        self.places.load(Ordering::Relaxed)
    }

    pub(crate) fn places_left(&self) -> usize {
        self.places_max.saturating_sub(self.places())
    }

    pub(crate) fn set(&self, reason: Closed, holds: bool) {
        if holds {
            self.closed.fetch_or(reason as u8, Ordering::AcqRel);
        } else {
            self.closed.fetch_and(!(reason as u8), Ordering::AcqRel);
        }
    }

    pub(crate) fn is(&self, reason: Closed) -> bool {
        self.closed.load(Ordering::Acquire) & reason as u8 != 0
    }

    /// Whether the caller has to tell the shard; many wakes before it looks are one.
    pub(crate) fn wake(&self) -> bool {
        !self.woken.swap(true, Ordering::AcqRel)
    }

    /// Whether the shard was told since it last looked.
    pub(crate) fn wake_taken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(places_max: usize) -> LaneShared {
        let lane = LaneShared::new(EndpointKey(1), Arc::new(ShardShared::new(1_000)), places_max);
        lane.set(Closed::State, false);
        lane
    }

    #[test]
    fn a_full_lane_sends_everything_through_the_store() {
        let lane = lane(2);
        assert!(lane.reserve() && lane.reserve());
        assert!(!lane.reserve());
        lane.vacate();
        assert!(!lane.reserve(), "the backlog comes first");
        lane.set(Closed::Backlog, false);
        assert!(lane.reserve());
    }

    #[test]
    fn every_reason_closes() {
        for reason in [Closed::State, Closed::Breaker, Closed::Backlog] {
            let lane = lane(1);
            lane.set(reason, true);
            assert!(!lane.reserve());
            lane.set(reason, false);
            assert!(lane.reserve());
        }
        let lane = lane(1);
        lane.shard.queued_add(1_000);
        assert!(!lane.reserve());
        lane.shard.queued_remove(1_000);
        lane.shard.stopping.store(true, Ordering::Relaxed);
        assert!(!lane.reserve());
    }

    #[test]
    fn wakes_are_joined() {
        let lane = lane(1);
        assert!(lane.wake() && !lane.wake());
        assert!(lane.wake_taken() && !lane.wake_taken());
        assert!(lane.wake());
    }
}
