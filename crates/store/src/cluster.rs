//! Several nodes on one store: who is there, who delivers to which endpoint, what has changed.
//!
//! Every endpoint belongs to one of [`SHARDS`] shards and every shard to at most one node, which alone
//! delivers to its endpoints: so limits, breakers and order hold in one place. A node keeps its shards
//! by renewing its membership; one that has not renewed it in time is dead, its shards go to others,
//! and the leases it had given itself end.
//!
//! Invariants: time is the database's; a node that was taken for dead is told so by its next renewal
//! and never gets its number again; a lease that was ended is never good again, whatever its holder
//! thinks.
//!
//! Deliberately absent: elections. Every node applies the same rule ([`allowed`]) to the same rows,
//! one after the other.

use async_trait::async_trait;
use becket_model::EndpointKey;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::{Application, DocumentKind, Endpoint, Owner, Result};

/// Into how many parts the endpoints are divided among the nodes.
pub const SHARDS: u16 = 256;

/// The shard of an endpoint.
#[must_use]
pub const fn shard_of(endpoint: EndpointKey) -> u16 {
    (endpoint.0 % SHARDS as u32) as u16
}

/// Where a shard stands in the order in which shards are taken, and given up from the end: neighbours
/// stand far apart, so that a few endpoints with rising keys are spread over the nodes.
#[must_use]
pub const fn turn_of(shard: u16) -> u16 {
    // 167 is near the golden section of 256 and has no common factor with it.
    ((shard as u32 * 167) % SHARDS as u32) as u16
}

/// How many shards a node may have that delivers: a fair part of all, rounded up for as many nodes as
/// the division leaves over, and those are the ones that have so many already, by number. `held` has
/// every node that delivers with its shards, by number.
///
/// A node takes free shards up to this and gives up what is above it. Where nobody is above it and no
/// shard is free, nothing moves.
#[must_use]
pub fn allowed(held: &[(NodeNumber, u16)], node: NodeNumber) -> u16 {
    let nodes = u16::try_from(held.len()).unwrap_or(SHARDS);
    let Some(own) = held.iter().find(|(number, _)| *number == node).map(|(_, shards)| *shards)
    else {
        return 0;
    };
    let (each, left_over) = (SHARDS / nodes, SHARDS % nodes);
    let full = held.iter().filter(|(number, shards)| {
        *number != node && *shards > each && (own <= each || *number < node)
    });
    each + u16::from(full.count() < usize::from(left_over))
}

/// Which of a node's shards it should give up to have no more than `allowed`, rising.
#[must_use]
pub fn surplus_of(shards: &[u16], allowed: u16) -> Vec<u16> {
    let mut turns = shards.to_vec();
    turns.sort_unstable_by_key(|shard| turn_of(*shard));
    let mut surplus = turns.split_off(turns.len().min(usize::from(allowed)));
    surplus.sort_unstable();
    surplus
}

/// A node's number, never given out twice by a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeNumber(pub u32);

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// It receives webhooks.
    pub ingress: bool,
    /// It delivers.
    pub engine: bool,
    /// It serves the API, the dashboard and the portal.
    pub api: bool,
}

impl Roles {
    /// A node that does everything.
    pub const ALL: Self = Self { ingress: true, engine: true, api: true };
}

/// A node that joins.
#[derive(Debug, Clone)]
pub struct NodeNew {
    /// Its name for people; need not be unique.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// What it does now; a node that is not ready yet does not deliver.
    pub roles: Roles,
    /// What its file declares, as JSON that only the gateway reads.
    pub declared: String,
    /// Tells this process from all others, and those of the same machine from the rest, as JSON that
    /// only the gateway reads.
    pub host: String,
    /// How long its membership holds without being renewed, in milliseconds.
    pub lease_ms: u64,
    /// Nodes of the same machine whose processes are gone: they need not be waited for.
    pub gone: Vec<NodeNumber>,
}

/// A node as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its number.
    pub number: NodeNumber,
    /// Its name for people.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// What it does.
    pub roles: Roles,
    /// What its file declares ([`NodeNew::declared`]).
    pub declared: String,
    /// Where it runs ([`NodeNew::host`]).
    pub host: String,
    /// When it joined, in milliseconds since 1970 by the database's clock.
    pub joined_at_ms: i64,
    /// How long its membership still holds, in milliseconds; not above 0 if it is about to be dropped.
    pub expires_in_ms: i64,
    /// How many shards it has.
    pub shards: u16,
}

/// How things stand, as a node is told when it joins or renews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The node's own number.
    pub node: NodeNumber,
    /// All nodes, itself included, by number.
    pub nodes: Vec<NodeRow>,
    /// Its shards, rising.
    pub shards: Vec<u16>,
    /// Those among them that it should give up soon, because others have fewer.
    pub surplus: Vec<u16>,
    /// The revision of the configuration.
    pub revision: u64,
    /// The database's time, in milliseconds since 1970.
    pub now_ms: i64,
}

/// What has changed in the configuration.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Up to which revision this tells.
    pub revision: u64,
    /// When the database's server was started, in microseconds since 1970: after a restart, or where
    /// another server has taken its place, this is another number. That one may have lost the last
    /// revisions and given their numbers to other changes, so everything known has to be read again.
    pub server: i64,
    /// Applications that were made, changed or removed, as they are now.
    pub applications: Vec<Application>,
    /// Endpoints likewise.
    pub endpoints: Vec<(Owner, Endpoint)>,
    /// Kinds of which documents were written or removed.
    pub documents: Vec<(Owner, DocumentKind)>,
}

/// What a node sees when it only looks how things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether there is something to take or to give up, or the node is not a member any more:
    /// [`Cluster::renew`] should be called now.
    pub renew: bool,
    /// The revision of the configuration.
    pub revision: u64,
    /// The database's time, in milliseconds since 1970.
    pub now_ms: i64,
}

/// What a node hears from the others while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Deliveries wait for these endpoints, due now or later; empty says that it could be any.
    Wake(Vec<EndpointKey>),
    /// The configuration has changed.
    Changed,
    /// Nodes have come or gone, or shards are free: worth a [`Cluster::renew`].
    Nodes,
    /// The connection on which news come was made anew: some may have been missed.
    Reconnected,
}

/// Something about the database that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// A stable code, such as `standby_asynchronous`.
    pub code: &'static str,
    /// What is wrong, to what, and what to do, in words.
    pub text: String,
    /// Whether data or service is at risk now; otherwise it only may be one day.
    pub urgent: bool,
}

/// Numbers about the store's own work, for metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gauges {
    /// Connections that are open.
    pub connections: u64,
    /// Those among them that are in use.
    pub connections_busy: u64,
    /// The most there may be.
    pub connections_max: u64,
    /// Calls that wait for a connection, or for their batch.
    pub waiting: u64,
    /// Commits since the start, with the time they took: by upper bound in seconds, not cumulative.
    pub commits: Vec<(f64, u64)>,
    /// The sum of that time, in seconds.
    pub commit_seconds: f64,
    /// Events and results in those commits.
    pub committed: u64,
    /// How old the oldest lease is, in milliseconds beyond its end; 0 if none is overdue.
    pub lease_overdue_ms: u64,
    /// Partitions of events.
    pub partitions: u64,
    /// Connections that were lost since the start.
    pub connections_lost: u64,
}

/// A store that several nodes share.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Joins, with a fresh number. One transaction: drops dead nodes, ends their leases, takes free
    /// shards up to the node's fair part (if it delivers).
    async fn join(&self, node: NodeNew) -> Result<Membership>;

    /// Renews the membership, says what the node does from now on, gives up `release`, and takes free
    /// shards as [`Self::join`] does. Who does not deliver any more keeps its shards until it gives them
    /// up; all of them are surplus. `None` if the node was taken for dead: it has no shards any more and
    /// has to join again.
    async fn renew(&self, roles: Roles, release: Vec<u16>) -> Result<Option<Membership>>;

    /// Looks whether it is worth renewing before the time: cheap enough for every second, changes
    /// nothing.
    async fn look(&self) -> Result<Look>;

    /// Gives everything back at once: the node is about to end. Its leases end with it.
    async fn leave(&self) -> Result<()>;

    /// Changes what this node's file declares ([`NodeNew::declared`]).
    async fn redeclare(&self, declared: String) -> Result<()>;

    /// Whether this node may lease deliveries of an endpoint whatever its shard: the program that
    /// takes them is connected here. Holds until it is said otherwise, also beyond a new
    /// [`Self::join`].
    fn lend(&self, endpoint: EndpointKey, lent: bool);

    /// Whether this node wants to deliver to an endpoint instead of the node that has its shard, because
    /// only it can. Nobody begins anything there until all that others have under way has ended, and
    /// likewise when it is given back; [`Self::look`] and [`Self::renew`] bring that forward. Holds until
    /// it is said otherwise, also beyond a new [`Self::join`].
    fn hold(&self, endpoint: EndpointKey, held: bool);

    /// Tells the other nodes that deliveries wait for these endpoints. Returns at once; many calls
    /// become few messages.
    fn wake(&self, endpoints: &[EndpointKey]);

    /// News from other nodes, from now on. Who reads too slowly is told so and has to look for itself.
    fn news(&self) -> broadcast::Receiver<News>;

    /// What has changed in the configuration after a revision; nothing if the revision is not that high.
    async fn changes(&self, after: u64) -> Result<Changes>;

    /// What an operator should know about the database.
    async fn advice(&self) -> Result<Vec<Advice>>;

    /// Numbers for metrics; looks at memory only.
    fn gauges(&self) -> Gauges;
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// Nodes with their shards, and what each of them does in turn.
    #[derive(Default)]
    struct Nodes {
        shards: BTreeMap<NodeNumber, BTreeSet<u16>>,
        free: BTreeSet<u16>,
        next: u32,
    }

    impl Nodes {
        fn new() -> Self {
            Self { free: (0..SHARDS).collect(), ..Self::default() }
        }

        fn held(&self) -> Vec<(NodeNumber, u16)> {
            self.shards.iter().map(|(node, shards)| (*node, shards.len() as u16)).collect()
        }

        fn join(&mut self) {
            self.next += 1;
            self.shards.insert(NodeNumber(self.next), BTreeSet::new());
        }

        fn leave(&mut self, at: usize) {
            let node = self.shards.keys().nth(at % self.shards.len().max(1)).copied();
            self.free.extend(node.and_then(|node| self.shards.remove(&node)).into_iter().flatten());
        }

        /// A renewal with what it leads to; whether anything moved.
        fn renew(&mut self, node: NodeNumber) -> bool {
            let may = allowed(&self.held(), node);
            let Some(own) = self.shards.get_mut(&node) else { return false };
            let surplus = surplus_of(&own.iter().copied().collect::<Vec<_>>(), may);
            own.retain(|shard| !surplus.contains(shard));
            let mut free: Vec<u16> = self.free.iter().copied().collect();
            free.sort_unstable_by_key(|shard| turn_of(*shard));
            free.truncate(usize::from(may).saturating_sub(own.len()));
            self.free.retain(|shard| !free.contains(shard));
            self.free.extend(&surplus);
            let moved = !free.is_empty() || !surplus.is_empty();
            own.extend(free);
            moved
        }

        /// Everybody renews in an order that `mix` decides; how many rounds it took until nothing moved.
        fn settle(&mut self, mix: u32) -> usize {
            for round in 0..10 {
                let mut order: Vec<_> = self.shards.keys().copied().collect();
                order.sort_unstable_by_key(|node| node.0.wrapping_mul(mix | 1).rotate_left(7));
                if order.into_iter().filter(|node| self.renew(*node)).count() == 0 {
                    return round;
                }
            }
            panic!("it does not come to rest: {:?}", self.held());
        }
    }

    #[test]
    fn neighbours_stand_apart() {
        let turns: BTreeSet<u16> = (0..SHARDS).map(turn_of).collect();
        assert_eq!(turns.len(), usize::from(SHARDS));
        let all: Vec<u16> = (0..SHARDS).collect();
        let surplus = surplus_of(&all, 128);
        for eight in all.chunks(8) {
            let given = eight.iter().filter(|shard| surplus.contains(shard)).count();
            assert!((2..=6).contains(&given), "{eight:?}: {given}");
        }
    }

    #[test]
    fn a_fair_part_is_told() {
        let [a, b, c] = [1, 2, 3].map(NodeNumber);
        assert_eq!(allowed(&[(a, 0)], a), 256);
        assert_eq!(allowed(&[(a, 256), (b, 0)], a), 128);
        let held = [(a, 85), (b, 86), (c, 85)];
        assert_eq!([a, b, c].map(|node| allowed(&held, node)), [85, 86, 85]);
        let held = [(a, 86), (b, 86), (c, 84)];
        assert_eq!([a, b, c].map(|node| allowed(&held, node)), [86, 85, 85]);
        assert_eq!(allowed(&[(a, 256)], b), 0, "it does not deliver");
        assert_eq!(allowed(&[], a), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn shares_are_fair_and_come_to_rest(
            steps in prop::collection::vec((any::<u32>(), 0_usize..40), 1..30),
        ) {
            let mut nodes = Nodes::new();
            nodes.join();
            for (mix, step) in steps {
                let before = nodes.shards.clone();
                match step {
                    0..15 if nodes.shards.len() > 1 => nodes.leave(step),
                    15..20 => { nodes.join(); nodes.join(); }
                    // Nobody has come or gone: nothing may move.
                    20..23 => {}
                    _ => nodes.join(),
                }
                nodes.settle(mix);
                let count = nodes.shards.len() as u16;
                let fair = SHARDS / count..=SHARDS.div_ceil(count);
                prop_assert!(nodes.free.is_empty());
                prop_assert!(nodes.held().iter().all(|(_, shards)| fair.contains(shards)));
                prop_assert_eq!(nodes.settle(mix ^ 77), 0);
                for (node, shards) in &nodes.shards {
                    let Some(then) = before.get(node) else { continue };
                    // Who stays loses nothing but what is too much, and gains nothing when others come.
                    let lost = then.difference(shards).count();
                    let gained = shards.difference(then).count();
                    prop_assert!(lost == 0 || gained == 0, "lost {lost} and gained {gained}");
                }
            }
        }
    }
}
