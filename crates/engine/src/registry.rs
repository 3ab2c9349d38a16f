//! The lanes as threads outside the shards find them, by endpoint.
//!
//! A map in many parts, each under a lock of its own that is held for a few instructions: endpoints
//! come and go one at a time while receiving threads reserve places, and neither copies nor waits
//! for the whole.
//!
//! Invariant: a lane with places taken stays here until they are given back, so that whoever has
//! reserved gives back to the same lane; one that is put again meanwhile is the same.

use std::collections::HashMap;
use std::sync::Arc;

use becket_model::EndpointKey;
use parking_lot::RwLock;

use crate::shared::{Closed, LaneShared};

const PARTS: usize = 64;

#[derive(Debug)]
pub(crate) struct Registry {
    parts: Vec<RwLock<HashMap<EndpointKey, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    lane: Arc<LaneShared>,
    /// Whether the endpoint exists; otherwise only places are waited for.
    wanted: bool,
}

impl Entry {
    fn is_over(&self) -> bool {
        !self.wanted && self.lane.places() == 0
    }
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| RwLock::default()).collect() }
    }

    fn part(&self, key: EndpointKey) -> &RwLock<HashMap<EndpointKey, Entry>> {
        // Keys are handed out one after the other, and shards take every so many: mix them first.
        let mixed = (key.0.wrapping_mul(0x9e37_79b9) >> 16) as usize;
        &self.parts[mixed % PARTS]
    }

    /// Does something with a lane, if it is known.
    pub(crate) fn with<T>(
        &self,
        key: EndpointKey,
        act: impl FnOnce(&LaneShared) -> T,
    ) -> Option<T> {
        self.part(key).read().get(&key).map(|entry| act(&entry.lane))
    }

    /// The lane of an endpoint that exists from now on: the known one, or a new one.
    pub(crate) fn put(
        &self,
        key: EndpointKey,
        make: impl FnOnce() -> LaneShared,
    ) -> Arc<LaneShared> {
        let mut part = self.part(key).write();
        let entry =
            part.entry(key).or_insert_with(|| Entry { lane: Arc::new(make()), wanted: true });
        entry.wanted = true;
        Arc::clone(&entry.lane)
    }

    /// The endpoint is gone: nothing is taken for it any more.
    pub(crate) fn remove(&self, key: EndpointKey) {
        let mut part = self.part(key).write();
        let Some(entry) = part.get_mut(&key) else { return };
        entry.wanted = false;
        entry.lane.set(Closed::State, true);
        if entry.is_over() {
            part.remove(&key);
        }
    }

    /// Forgets the lane of a removed endpoint if its last place has been given back.
    pub(crate) fn forget(&self, key: EndpointKey) {
        let mut part = self.part(key).write();
        if part.get(&key).is_some_and(Entry::is_over) {
            part.remove(&key);
        }
    }

    /// Gives a place of a lane back.
    pub(crate) fn vacate(&self, key: EndpointKey) {
        let vacated = |entry: &Entry| {
            entry.lane.vacate();
            entry.is_over()
        };
        if self.part(key).read().get(&key).is_some_and(vacated) {
            self.forget(key);
        }
    }

    /// All endpoints that exist.
    pub(crate) fn keys(&self) -> Vec<EndpointKey> {
        let mut keys = Vec::new();
        for part in &self.parts {
            let part = part.read();
            keys.extend(part.iter().filter(|(_, entry)| entry.wanted).map(|(key, _)| *key));
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::ShardShared;

    fn put(registry: &Registry, key: u32) -> Arc<LaneShared> {
        let key = EndpointKey(key);
        let lane = registry.put(key, || LaneShared::new(key, Arc::new(ShardShared::new(1_000)), 2));
        lane.set(Closed::State, false);
        lane
    }

    #[test]
    fn a_removed_lane_waits_for_its_places() {
        let registry = Registry::new();
        let key = EndpointKey(1);
        let first = put(&registry, 1);
        assert_eq!(registry.with(key, LaneShared::reserve), Some(true));
        registry.remove(key);
        assert_eq!(registry.with(key, LaneShared::reserve), Some(false));
        let again = put(&registry, 1);
        assert!(Arc::ptr_eq(&first, &again), "its places are still counted");
        registry.remove(key);
        registry.forget(key);
        assert!(registry.keys().is_empty() && registry.with(key, |_| ()).is_some());
        registry.vacate(key);
        assert!(registry.with(key, |_| ()).is_none());
        registry.vacate(key);
        assert!(!Arc::ptr_eq(&first, &put(&registry, 1)));
    }

    #[test]
    fn keys_are_spread() {
        let registry = Registry::new();
        (0..64_000).for_each(|number| drop(put(&registry, number * 2)));
        let largest = registry.parts.iter().map(|part| part.read().len()).max();
        assert!(largest.is_some_and(|most| most < 1_400), "{largest:?}");
        assert_eq!(registry.keys().len(), 64_000);
    }
}
