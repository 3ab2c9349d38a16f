//! This process as one node among several that share a database.
//!
//! Role: keeps the membership alive, tells the engine for how long it may start attempts, says which
//! endpoints this node delivers to, and takes over what other nodes change.
//!
//! Invariants: an attempt starts only while the membership surely holds; lanes of a shard are taken out
//! of the engine, and what is under way has ended or had its time, before the shard is given to another
//! node; a node that was taken for dead begins anew, with nothing of what it held; a node that does not
//! serve yet, or is about to end, is given nothing to deliver.
//!
//! Deliberately absent: who gets which shard, which is the store's to decide.
//!
//! Where next: `member` for joining and renewing, `ownership` for which lanes the engine has, `changes`
//! for what others change, `declared` for several files, `rates` for limits that nodes share.

mod changes;
mod clock;
mod declare;
mod declared;
mod health;
mod member;
mod metrics;
mod ownership;
mod process;
mod rates;
mod shards;
mod shown;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use becket_engine::{Engine, Tenure};
use becket_model::EndpointKey;
use becket_store::cluster::{
    Advice, Cluster, Membership, NodeNew, NodeNumber, NodeRow, Roles, shard_of,
};
use becket_store::{LeaseToken, StoreError};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::gateway::Gateway;
use crate::config::Config;
pub(super) use clock::DatabaseClock;
pub(super) use declared::Declared;
pub(super) use metrics::StoreMetrics;
pub(super) use rates::part_of;
pub(super) use shards::Shards;

/// Begins to follow what other nodes do, for as long as the gateway lives.
pub(super) fn follow(gateway: &Arc<Gateway>) {
    let Some(node) = &gateway.node else { return };
    tokio::spawn(ownership::follow(Arc::clone(node), Arc::downgrade(gateway)));
    tokio::spawn(changes::follow(Arc::clone(node), Arc::downgrade(gateway)));
    tokio::spawn(declare::watch(Arc::clone(node), Arc::downgrade(gateway)));
    tokio::spawn(health::watch(Arc::downgrade(node)));
    // What came while everything was made ready.
    node.ownership_changed.notify_one();
    node.config_changed.notify_one();
}

impl Gateway {
    /// Whether what only one of several nodes is to do is this one's.
    pub(super) fn is_first(&self) -> bool {
        self.node.as_ref().is_none_or(|node| node.is_first())
    }
}

/// How long before its end the membership counts as over.
const MARGIN: Duration = Duration::from_secs(1);
/// Lease tokens of a node begin with its number.
const TOKEN_BITS: u32 = 40;

/// This process among others.
pub(super) struct Node {
    cluster: Arc<dyn Cluster>,
    engine: Engine,
    clock: Arc<DatabaseClock>,
    lease: Duration,
    renew_every: Duration,
    /// As it joins.
    new: Mutex<NodeNew>,
    /// What it does while it serves.
    roles: Roles,
    /// Whether it serves.
    ready: AtomicBool,
    /// Whether it is about to end, and gives everything back.
    parting: AtomicBool,
    standing: ArcSwap<Standing>,
    /// What only some files declare.
    split: ArcSwap<declared::Split>,
    /// Nodes have gone since somebody looked.
    has_lost: AtomicBool,
    /// The shards whose lanes the engine has.
    lanes: Mutex<Shards>,
    /// Endpoints that do not follow their shard.
    apart: Mutex<HashMap<EndpointKey, Apart>>,
    /// Shards whose lanes are being taken out, to be given up.
    leaving: Mutex<Option<member::Leaving>>,
    /// The engine has to be given all its endpoints anew.
    afresh: AtomicBool,
    ownership_changed: Notify,
    /// Up to which revision the configuration has been taken over.
    revision: AtomicU64,
    /// The highest revision that was heard of.
    heard: AtomicU64,
    config_changed: Notify,
    advice: ArcSwap<Vec<Advice>>,
    /// There is something that the others should know at once.
    renew_now: Notify,
    /// It joins again, or leaves: one after the other.
    joining: tokio::sync::Mutex<()>,
    stopping: AtomicBool,
}

/// How an endpoint does not follow its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Apart {
    /// Its listener is connected here, or what waits for it is ended here.
    Lent,
    /// Only some files declare it, and this node is to deliver.
    Held,
    /// The same, and another node is.
    Elsewhere,
}

/// How things stand, as the store told last.
#[derive(Debug, Clone)]
struct Standing {
    own: NodeNumber,
    nodes: Vec<NodeRow>,
    shards: Shards,
    /// When this was asked.
    asked: Instant,
    /// From when on it may be over.
    until: Instant,
}

impl Node {
    /// Joins the others. It is given nothing to deliver before [`Self::ready`].
    ///
    /// # Errors
    /// What the store had against it.
    pub(super) async fn join(
        cluster: Arc<dyn Cluster>,
        engine: Engine,
        clock: Arc<DatabaseClock>,
        config: &Config,
        declared: &Declared,
    ) -> Result<Arc<Self>, StoreError> {
        let host = process::Process::own();
        let roles = config.cluster.roles();
        let new = NodeNew {
            name: config.cluster.name.clone().unwrap_or_else(process::machine),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roles: Roles { engine: false, ..roles },
            declared: declared.text(),
            host: host.map(|host| serde_json::json!(host).to_string()).unwrap_or_default(),
            lease_ms: u64::try_from(config.cluster.lease.as_millis()).unwrap_or(u64::MAX / 4),
            gone: Vec::new(),
        };
        // Nothing may start before it is known what belongs to this node.
        engine.tenure_set(Tenure { may_start_until: Instant::now(), first_lease: LeaseToken(0) });
        let lease = config.cluster.lease;
        let asked = Instant::now();
        let joined = member::join(cluster.as_ref(), new.clone()).await?;
        clock.seen(joined.now_ms, asked);
        let standing = Standing::of(&joined, asked, lease);
        tracing::info!(node = joined.node.0, nodes = joined.nodes.len(), "node.joined");
        let node = Arc::new(Self {
            cluster,
            engine,
            clock,
            lease,
            renew_every: config.cluster.renew,
            new: Mutex::new(new),
            roles,
            ready: AtomicBool::new(false),
            parting: AtomicBool::new(false),
            split: ArcSwap::from_pointee(declared::Split::of(&standing.nodes)),
            has_lost: AtomicBool::new(false),
            standing: ArcSwap::from_pointee(standing),
            lanes: Mutex::default(),
            apart: Mutex::default(),
            leaving: Mutex::default(),
            afresh: AtomicBool::new(false),
            ownership_changed: Notify::new(),
            revision: AtomicU64::new(joined.revision),
            heard: AtomicU64::new(joined.revision),
            config_changed: Notify::new(),
            advice: ArcSwap::default(),
            renew_now: Notify::new(),
            joining: tokio::sync::Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        node.prolong();
        tokio::spawn(member::keep(Arc::downgrade(&node)));
        Ok(node)
    }

    /// What the node does now.
    fn roles(&self) -> Roles {
        let delivers = self.ready.load(Ordering::Acquire) && !self.parting.load(Ordering::Acquire);
        Roles { engine: self.roles.engine && delivers, ..self.roles }
    }

    /// The node serves from now on: it takes its part of what is to be delivered.
    pub(super) fn ready(&self) {
        self.ready.store(true, Ordering::Release);
        self.renew_now.notify_one();
    }

    /// The node's own number now.
    pub(super) fn number(&self) -> NodeNumber {
        self.standing.load().own
    }

    /// Whether this node delivers to the endpoints of a shard.
    pub(super) fn has(&self, endpoint: EndpointKey) -> bool {
        self.lanes.lock().has(shard_of(endpoint))
    }

    /// Whether it does so, also where that does not follow the shard.
    pub(super) fn delivers(&self, endpoint: EndpointKey) -> bool {
        match self.apart.lock().get(&endpoint) {
            Some(apart) => *apart != Apart::Elsewhere,
            None => self.has(endpoint),
        }
    }

    /// Whether it does so whoever has the shard.
    fn delivers_apart(&self, endpoint: EndpointKey) -> bool {
        let apart = self.apart.lock().get(&endpoint).copied();
        apart.is_some_and(|apart| apart != Apart::Elsewhere)
    }

    /// Whether other nodes are there.
    pub(super) fn has_others(&self) -> bool {
        self.standing.load().nodes.len() > 1
    }

    /// Whether what only one of the nodes is to do is this one's: it is the first, by number, that
    /// serves the API, if any does.
    pub(super) fn is_first(&self) -> bool {
        let standing = self.standing.load();
        let age = i64::try_from(standing.asked.elapsed().as_millis()).unwrap_or(i64::MAX);
        let lives = |node: &&NodeRow| node.number == standing.own || node.expires_in_ms > age;
        let mut nodes = standing.nodes.iter().filter(lives);
        let first = nodes.clone().find(|node| node.roles.api).or_else(|| nodes.next());
        Instant::now() < standing.until && first.is_some_and(|node| node.number == standing.own)
    }

    /// Whether a node of this number lives, as far as is known.
    pub(super) fn lives(&self, number: u32) -> bool {
        self.standing.load().nodes.iter().any(|node| node.number.0 == number)
    }

    /// Says that deliveries wait for an endpoint, to whoever delivers to it.
    pub(super) fn wake(&self, endpoint: EndpointKey) {
        // A listener of it may be connected here, whoever has its shard.
        self.engine.wake(endpoint);
        let elsewhere = self.apart.lock().get(&endpoint) == Some(&Apart::Elsewhere);
        if elsewhere || !self.has(endpoint) {
            self.cluster.wake(&[endpoint]);
        }
    }

    /// Which node delivers to an endpoint of a file, if that is not its shard's.
    fn holder(&self, source: &str, endpoint: &str) -> Option<NodeNumber> {
        self.split.load().holder(source, endpoint)
    }

    /// This node delivers to an endpoint, or ends what waits for it, whoever has its shard; or no longer.
    pub(super) fn lend(&self, endpoint: EndpointKey, lent: bool) {
        self.set_apart(endpoint, lent.then_some(Apart::Lent));
    }

    /// Which node delivers to an endpoint of a file, if that is not its shard's.
    fn hold(&self, endpoint: EndpointKey, holder: Option<NodeNumber>) {
        let own = self.number();
        let apart = holder.map(|node| if node == own { Apart::Held } else { Apart::Elsewhere });
        self.set_apart(endpoint, apart);
    }

    fn set_apart(&self, endpoint: EndpointKey, apart: Option<Apart>) {
        let mut known = self.apart.lock();
        let before = match apart {
            Some(apart) => known.insert(endpoint, apart),
            None => known.remove(&endpoint),
        };
        if before == apart {
            return;
        }
        for (what, set) in [(before, false), (apart, true)] {
            match what {
                Some(Apart::Lent) => self.cluster.lend(endpoint, set),
                Some(Apart::Held) => self.cluster.hold(endpoint, set),
                Some(Apart::Elsewhere) | None => {}
            }
        }
    }

    /// Forgets of endpoints that are not there any more that they did not follow their shard.
    pub(super) fn forget_apart(&self, is_there: impl Fn(EndpointKey) -> bool) {
        let gone: Vec<EndpointKey> = {
            let apart = self.apart.lock();
            let follows = |one: &(&EndpointKey, &Apart)| *one.1 != Apart::Lent && !is_there(*one.0);
            apart.iter().filter(follows).map(|(endpoint, _)| *endpoint).collect()
        };
        gone.into_iter().for_each(|endpoint| self.set_apart(endpoint, None));
    }

    /// Something was changed here: what others changed meanwhile is taken over at once, too, so that
    /// the newest counts.
    pub(super) fn changed_here(&self) {
        self.config_changed.notify_one();
    }

    /// The engine has to be given all its endpoints anew, soon.
    pub(super) fn begin_afresh(&self) {
        self.afresh.store(true, Ordering::Release);
        self.ownership_changed.notify_one();
    }

    /// Lets the engine go on for as long as the membership surely holds.
    fn prolong(&self) {
        let standing = self.standing.load();
        let first_lease = LeaseToken(u64::from(standing.own.0) << TOKEN_BITS);
        self.engine.tenure_set(Tenure { may_start_until: standing.until, first_lease });
    }

    /// Takes over what the store has told.
    fn told(&self, membership: &Membership, asked: Instant) {
        self.clock.seen(membership.now_ms, asked);
        let before = self.standing.load_full();
        let now = Standing::of(membership, asked, self.lease);
        for gone in before.nodes.iter().filter(|old| !now.knows(old.number)) {
            tracing::info!(node = gone.number.0, name = %gone.name, "node.gone");
            self.has_lost.store(true, Ordering::Release);
            self.config_changed.notify_one();
        }
        for come in now.nodes.iter().filter(|new| !before.knows(new.number)) {
            tracing::info!(node = come.number.0, name = %come.name, version = %come.version, "node.came");
        }
        let split = declared::Split::of(&now.nodes);
        self.standing.store(Arc::new(now));
        if split != **self.split.load() {
            self.split.store(Arc::new(split));
            self.begin_afresh();
        }
        self.check_ownership();
        self.heard_of(membership.revision);
    }

    /// Has the lanes of the engine changed if they are not those that it should have. Asked with each
    /// renewal, whatever seems to have changed: shards that are given up may come back with the answer.
    fn check_ownership(&self) {
        let wanted = self.wanted();
        let has = *self.lanes.lock();
        if has != wanted {
            self.ownership_changed.notify_one();
        }
    }

    /// The configuration has this revision now; one below the known one is looked into, too.
    fn heard_of(&self, revision: u64) {
        self.heard.fetch_max(revision, Ordering::AcqRel);
        if revision != self.revision.load(Ordering::Acquire) {
            self.config_changed.notify_one();
        }
    }

    /// The membership is over for good, if it is not yet.
    pub(super) async fn leave(&self) {
        if self.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        let patience = Duration::from_secs(5);
        let leaving = async {
            // Whoever joins again just now would be there after it.
            let _turn = self.joining.lock().await;
            self.cluster.leave().await
        };
        match tokio::time::timeout(patience, leaving).await {
            Ok(Ok(())) => tracing::info!(node = self.number().0, "node.left"),
            Ok(Err(error)) => {
                tracing::warn!(code = error.code(), %error, "the others could not be told; they notice it by themselves");
            }
            Err(_) => {
                tracing::warn!(
                    "the others could not be told in time; they notice it by themselves"
                );
            }
        }
    }
}

impl Standing {
    fn of(membership: &Membership, asked: Instant, lease: Duration) -> Self {
        Self {
            own: membership.node,
            nodes: membership.nodes.clone(),
            shards: Shards::of(&membership.shards),
            asked,
            until: asked + lease.saturating_sub(MARGIN),
        }
    }

    fn knows(&self, number: NodeNumber) -> bool {
        self.nodes.iter().any(|node| node.number == number)
    }
}
