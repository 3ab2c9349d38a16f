//! How much is taken at once: requests per address and source, connections, buffered bytes.
//!
//! Invariants: every table is bounded. An address that finds its table full shares a bucket with the
//! other late ones, so that a flood from many addresses cannot make room for itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use becket_model::{ApplicationKey, Rate, TokenBucket};
use ipnet::IpNet;
use parking_lot::Mutex;

use crate::address::{AddressKey, contains};

/// What one process takes on, and how long it waits for senders.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// How long a sender may take for the request line and headers, in milliseconds (default 10 s).
    pub header_timeout_ms: u64,
    /// How long a connection may rest between two requests, in milliseconds (default 75 s).
    pub keep_alive_timeout_ms: u64,
    /// How long a body may make no progress, in milliseconds (default 10 s).
    pub body_idle_timeout_ms: u64,
    /// How long a request may take until its body is complete, in milliseconds (default 30 s).
    pub request_timeout_ms: u64,
    /// How long a sender may refuse to take the answer, in milliseconds (default 30 s).
    pub write_timeout_ms: u64,
    /// How long a commit may take before the sender is asked to come back, in milliseconds (default
    /// 5 s). The commit itself goes on.
    pub commit_timeout_ms: u64,
    /// Connections in all (default 20 000).
    pub connections_max: usize,
    /// Connections per address (default 256); loopback and trusted proxies are exempt.
    pub connections_per_address_max: usize,
    /// The proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// How often an address may be refused (default 100 a second).
    pub unverified_rate: Rate,
    /// How often in a row (default 500).
    pub unverified_burst: u32,
    /// The addresses that are counted one by one (default 65 536).
    pub unverified_addresses_max: usize,
    /// The bytes of all bodies that are being received or stored (default 256 MiB).
    pub inflight_body_bytes_max: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header_timeout_ms: 10_000,
            keep_alive_timeout_ms: 75_000,
            body_idle_timeout_ms: 10_000,
            request_timeout_ms: 30_000,
            write_timeout_ms: 30_000,
            commit_timeout_ms: 5_000,
            connections_max: 20_000,
            connections_per_address_max: 256,
            trusted_proxies: Vec::new(),
            unverified_rate: Rate::per_second(100),
            unverified_burst: 500,
            unverified_addresses_max: 65_536,
            inflight_body_bytes_max: 256 * 1024 * 1024,
        }
    }
}

const SHARDS: usize = 16;

/// A token bucket per address, for traffic that has not proven itself.
pub(crate) struct AddressRates {
    rate: Rate,
    burst: u32,
    per_shard_max: usize,
    shards: [Mutex<Shard>; SHARDS],
}

struct Shard {
    buckets: HashMap<AddressKey, TokenBucket>,
    /// Shared by all addresses that find the shard full.
    late: TokenBucket,
    /// When full buckets were last thrown out; not more than once a second, for it reads them all.
    swept_at_ms: i64,
}

impl AddressRates {
    pub fn new(rate: Rate, burst: u32, addresses_max: usize) -> Self {
        let shard = || {
            let late = TokenBucket::full(rate, burst, 0);
            Mutex::new(Shard { buckets: HashMap::new(), late, swept_at_ms: 0 })
        };
        let per_shard_max = addresses_max.div_ceil(SHARDS).max(1);
        Self { rate, burst, per_shard_max, shards: std::array::from_fn(|_| shard()) }
    }

    /// Counts one refusal, or tells in how many milliseconds the address may be refused again.
    pub fn take(&self, address: IpAddr, now_ms: i64) -> Result<(), u64> {
        let key = AddressKey::from(address);
        let spread = match key {
            AddressKey::V4([_, _, _, low]) => low,
            AddressKey::V6(network) => network.iter().fold(0, |sum, byte| sum ^ byte),
        };
        let mut shard = self.shards[usize::from(spread) % SHARDS].lock();
        let Shard { buckets, late, swept_at_ms } = &mut *shard;
        if let Some(bucket) = buckets.get_mut(&key) {
            return bucket.take(now_ms);
        }
        if buckets.len() >= self.per_shard_max && now_ms - *swept_at_ms >= 1_000 {
            *swept_at_ms = now_ms;
            buckets.retain(|_, bucket| !bucket.is_full(now_ms));
        }
        if buckets.len() >= self.per_shard_max {
            return late.take(now_ms);
        }
        let fresh = TokenBucket::full(self.rate, self.burst, now_ms);
        buckets.entry(key).or_insert(fresh).take(now_ms)
    }
}

/// A token bucket per source that limits its genuine traffic. It outlives changes of configuration.
#[derive(Default)]
pub(crate) struct SourceRates {
    buckets: Mutex<HashMap<ApplicationKey, (Rate, TokenBucket)>>,
}

impl SourceRates {
    /// Counts one request, or tells in how many milliseconds there is room for the next.
    pub fn take(&self, source: ApplicationKey, rate: Rate, now_ms: i64) -> Result<(), u64> {
        let mut buckets = self.buckets.lock();
        let fresh = || (rate, TokenBucket::full(rate, rate.count, now_ms));
        let held = buckets.entry(source).or_insert_with(fresh);
        if held.0 != rate {
            *held = fresh();
        }
        held.1.take(now_ms)
    }
}

/// The bytes of the bodies that are held in memory.
pub(crate) struct BodyBudget {
    used: AtomicU64,
    max: u64,
}

impl BodyBudget {
    pub const fn new(max: u64) -> Self {
        Self { used: AtomicU64::new(0), max }
    }

    pub const fn share(&self) -> BodyShare<'_> {
        BodyShare { budget: self, bytes: 0 }
    }
}

/// One request's part of the budget, given back when dropped.
pub(crate) struct BodyShare<'a> {
    budget: &'a BodyBudget,
    bytes: u64,
}

impl BodyShare<'_> {
    /// Takes more, or answers `false` when there is no more.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before.saturating_add(bytes) <= self.budget.max
    }
}

impl Drop for BodyShare<'_> {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Counts connections, in all and per address.
pub(crate) struct Connections {
    all: AtomicUsize,
    all_max: usize,
    per_address_max: usize,
    trusted: Vec<IpNet>,
    per_address: Mutex<HashMap<AddressKey, usize>>,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    All,
    Address,
}

impl Connections {
    pub fn new(limits: &ServerLimits) -> Self {
        Self {
            all: AtomicUsize::new(0),
            all_max: limits.connections_max,
            per_address_max: limits.connections_per_address_max,
            trusted: limits.trusted_proxies.clone(),
            per_address: Mutex::new(HashMap::new()),
        }
    }

    /// Takes a place, which is given back when the slot is dropped.
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Slot, Crowded> {
        let peer = peer.to_canonical();
        let mut slot = Slot { connections: Arc::clone(self), key: None };
        if self.all.fetch_add(1, Ordering::Relaxed) >= self.all_max {
            return Err(Crowded::All);
        }
        if !peer.is_loopback() && !contains(&self.trusted, peer) {
            let key = AddressKey::from(peer);
            let mut counts = self.per_address.lock();
            let count = counts.entry(key).or_insert(0);
            if *count >= self.per_address_max {
                return Err(Crowded::Address);
            }
            *count += 1;
            drop(counts);
            slot.key = Some(key);
        }
        Ok(slot)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

/// A connection's place.
pub(crate) struct Slot {
    connections: Arc<Connections>,
    key: Option<AddressKey>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.all.fetch_sub(1, Ordering::Relaxed);
        let Some(key) = self.key else { return };
        let mut counts = self.connections.per_address.lock();
        if let Some(count) = counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_its_burst() {
        let rates = AddressRates::new(Rate::per_second(100), 5, 1_000);
        for address in ["192.0.2.1", "192.0.2.17", "2001:db8::1"] {
            assert!((0..5).all(|_| rates.take(ip(address), 1_000).is_ok()));
            assert_eq!(rates.take(ip(address), 1_000), Err(10));
            assert_eq!(rates.take(ip(address), 1_010), Ok(()));
        }
        assert!(rates.take(ip("2001:db8::2"), 1_000).is_err(), "the same /64");
    }

    #[test]
    fn the_table_stays_bounded_under_many_addresses() {
        let rates = AddressRates::new(Rate::per_second(1), 1, 64);
        let allowed = (0..10_000_u32)
            .filter(|number| rates.take(IpAddr::V4(number.to_be_bytes().into()), 1_000).is_ok())
            .count();
        assert_eq!(allowed, 64 + SHARDS);
        let held: usize = rates.shards.iter().map(|shard| shard.lock().buckets.len()).sum();
        assert_eq!(held, 64);
        // Buckets that are full again make room.
        assert_eq!(rates.take(ip("198.51.100.9"), 60_000), Ok(()));
    }

    #[test]
    fn sources_have_their_own_rate_and_a_new_rate_counts_anew() {
        let rates = SourceRates::default();
        let (one, two) = (ApplicationKey(1), ApplicationKey(2));
        let rate = Rate { count: 2, period_ms: 60_000 };
        assert!((0..2).all(|_| rates.take(one, rate, 0).is_ok()));
        assert_eq!(rates.take(one, rate, 0), Err(30_000));
        assert_eq!(rates.take(two, rate, 0), Ok(()));
        assert_eq!(rates.take(one, Rate::per_second(1), 0), Ok(()));
    }

    #[test]
    fn bytes_are_given_back() {
        let budget = BodyBudget::new(10);
        let mut first = budget.share();
        assert!(first.grow(4) && first.grow(6));
        let mut second = budget.share();
        assert!(!second.grow(1));
        drop(second);
        drop(first);
        assert!(budget.share().grow(10));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn connections_are_counted_except_local_and_trusted_ones() {
        let limits = ServerLimits {
            connections_max: 8,
            connections_per_address_max: 2,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..ServerLimits::default()
        };
        let connections = Arc::new(Connections::new(&limits));
        let enter = |text| connections.enter(ip(text));
        let held: Vec<_> = (0..2).filter_map(|_| enter("192.0.2.1").ok()).collect();
        assert_eq!(held.len(), 2);
        assert_eq!(enter("192.0.2.1").err(), Some(Crowded::Address));
        let free: Vec<_> =
            ["127.0.0.1", "127.0.0.1", "127.0.0.1", "10.1.1.1", "10.1.1.1", "10.1.1.1"]
                .into_iter()
                .filter_map(|text| enter(text).ok())
                .collect();
        assert_eq!(free.len(), 6);
        assert_eq!(enter("192.0.2.2").err(), Some(Crowded::All));
        drop((held, free));
        assert_eq!(connections.count(), 0);
        assert!(connections.per_address.lock().is_empty());
    }
}
