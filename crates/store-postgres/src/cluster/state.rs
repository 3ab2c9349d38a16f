//! What this process knows of its place among the nodes: its number, what is lent to it, its own
//! session for the membership.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use becket_model::EndpointKey;
use becket_store::LeaseToken;
use becket_store::cluster::{News, NodeNumber};
use parking_lot::{Mutex, RwLock};
use tokio::sync::broadcast;

use crate::cluster::held::Held;
use crate::cluster::voice::Voice;
use crate::lease::Queue;
use crate::options::Options;
use crate::session::Session;
use crate::shared::{LEASE_COUNTER_BITS, Shared};

/// News that may wait for a reader of this process.
const NEWS_MAX: usize = 1_024;
/// Tokens of leases that are taken in batches stand apart from those that are drawn one by one.
const BATCH_BIT: u64 = 1 << (LEASE_COUNTER_BITS - 1);

/// Which deliveries a node may lease: those of its shards, and of what is lent to it.
#[derive(Debug, Clone)]
pub(crate) struct Leasing {
    /// The node's number.
    pub(crate) node: i32,
    /// Endpoints that it may lease whatever their shard.
    pub(crate) lent: Vec<i32>,
}

/// What is known of the nodes since the last look at them.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) nodes: Vec<NodeNumber>,
}

/// The part of the store that belongs to its being one of several.
pub(crate) struct ClusterState {
    /// The session in which the membership is kept: it must not wait for others.
    pub(super) own: tokio::sync::Mutex<Option<Session>>,
    /// The number under which this process has joined last; 0 is never.
    member: AtomicI32,
    pub(super) known: Mutex<Known>,
    lent: RwLock<BTreeSet<u32>>,
    pub(super) held: Held,
    batches: AtomicU64,
    pub(crate) queue: Queue,
    pub(super) voice: Voice,
    pub(super) news: broadcast::Sender<News>,
    /// Whether somebody listens to the other nodes.
    pub(super) listening: AtomicBool,
}

impl ClusterState {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            own: tokio::sync::Mutex::new(None),
            member: AtomicI32::new(0),
            known: Mutex::default(),
            lent: RwLock::default(),
            held: Held::default(),
            batches: AtomicU64::new(0),
            queue: Queue::new(options.queue_max),
            voice: Voice::new(),
            news: broadcast::channel(NEWS_MAX).0,
            listening: AtomicBool::new(false),
        }
    }

    /// What this process may lease now; `None` if it has never joined, and may lease everything. Draw
    /// tokens after this, so that none is of an earlier membership than it says.
    pub(crate) fn leasing(&self) -> Option<Leasing> {
        let node = self.member.load(Ordering::Acquire);
        let lent = || self.lent.read().iter().map(|key| key.cast_signed()).collect();
        (node != 0).then(|| Leasing { node, lent: lent() })
    }

    /// The number under which this process has joined last.
    pub(super) fn member(&self) -> Option<NodeNumber> {
        let member = self.member.load(Ordering::Acquire);
        (member != 0).then(|| NodeNumber(member.unsigned_abs()))
    }

    /// It has joined.
    pub(super) fn set_member(&self, shared: &Shared, node: NodeNumber) {
        shared.set_node(node);
        self.member.store(node.0.cast_signed(), Ordering::Release);
    }

    pub(super) fn set_lent(&self, endpoint: EndpointKey, lent: bool) {
        let mut all = self.lent.write();
        if lent {
            all.insert(endpoint.0);
        } else {
            all.remove(&endpoint.0);
        }
    }

    /// The first of so many tokens in a row that were never given before.
    pub(crate) fn tokens(&self, node: NodeNumber, count: u64) -> LeaseToken {
        let first = self.batches.fetch_add(count, Ordering::Relaxed) & (BATCH_BIT - 1);
        LeaseToken(u64::from(node.0) << LEASE_COUNTER_BITS | BATCH_BIT | first)
    }

    /// A lease is about to be given that ends then: leases of that age are looked for again.
    pub(crate) fn lease_given(&self, until_ms: i64) {
        self.queue.expiry.given(until_ms);
    }

    /// A delivery waits again, or newly, that is due then: the endpoint's queue is looked at from
    /// there.
    pub(crate) fn put_back(&self, endpoint: u32, due_ms: i64) {
        self.queue.fronts.put_back(endpoint, due_ms);
    }

    /// Tells the engine of this process that deliveries wait for these endpoints.
    pub(crate) fn wake_own(&self, endpoints: Vec<EndpointKey>) {
        // Without an engine nobody listens.
        let _ = self.news.send(News::Wake(endpoints));
    }

    /// The configuration has changed, as the other nodes are to know.
    pub(crate) fn config_changed(&self, shared: &std::sync::Arc<Shared>) {
        self.voice.say(shared, |said| said.changed = true);
    }
}
