//! Several stores on one schema, as several nodes would have them: who may lease what, who takes over
//! from whom, what they hear of each other.

#[path = "../../../becket/tests/support/cluster/cut_proxy.rs"]
#[allow(dead_code, reason = "the drivers of the gateway use the rest")]
mod cut_proxy;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the harness of the conformance suite is in it")]
mod support;

mod changes;
mod finishing;
mod leases;
mod membership;
mod news;

use std::sync::Arc;
use std::time::{Duration, Instant};

use becket_model::{
    ApplicationId, ApplicationKey, DeliveryKey, Disposition, EndpointId, EndpointKey,
    EndpointSettings, EventId, EventLabels, EventRecord, NextStep, PackedHeaders, Trigger,
};
use becket_store::cluster::{Cluster, Membership, NodeNew, Roles};
use becket_store::{
    Accepted, AttemptFinish, AttemptWrite, EndpointDeclaration, EventAccept, FinishOutcome,
    LeaseToken, LeasedDelivery, Owner, Planned, Scope, SourceDeclaration, Store,
};
use becket_store_postgres::{Options, PostgresStore};
use bytes::Bytes;
use cut_proxy::{CutProxy, Moment, Work};
use support::Schema;

const T0: i64 = 1_750_000_000_000;
const MAIN: Scope = Scope::all(Owner::MAIN);
/// How long the engine's leases hold.
const LEASE_MS: u64 = 60_000;
/// How long memberships hold in these tests.
const MEMBER_MS: u64 = 900;
/// Within this must happen what is waited for: long, because everything else may have the machine.
const SOON: Duration = Duration::from_secs(30);

/// A store with its cluster.
struct Node {
    store: PostgresStore,
    cluster: Arc<dyn Cluster>,
}

/// Several stores on one schema, with one source.
struct Group {
    nodes: Vec<Node>,
    application: ApplicationKey,
    endpoints: Vec<EndpointKey>,
    // Dropped last.
    schema: Schema,
}

impl Group {
    async fn new(nodes: usize, endpoints: usize) -> Self {
        let schema = Schema::new();
        let mut group = Self {
            nodes: Vec::new(),
            application: ApplicationKey(0),
            endpoints: Vec::new(),
            schema,
        };
        for _ in 0..nodes {
            group.open().await;
        }
        let declared = vec![source(endpoints)];
        let config = group.nodes[0].store.config_declare(Owner::MAIN, declared, T0).await.unwrap();
        group.application = config.applications[0].key;
        group.endpoints = config.endpoints.iter().map(|endpoint| endpoint.key).collect();
        group
    }

    /// Another process.
    async fn open(&mut self) {
        let options = Options { name: self.schema.name.clone(), ..self.schema.options() };
        self.open_with(options).await;
    }

    async fn open_with(&mut self, options: Options) {
        let store = PostgresStore::open(options).await.expect("the store opens");
        let cluster = store.cluster().expect("several processes may use it");
        self.nodes.push(Node { store, cluster });
    }

    fn store(&self, node: usize) -> &PostgresStore {
        &self.nodes[node].store
    }

    fn cluster(&self, node: usize) -> &Arc<dyn Cluster> {
        &self.nodes[node].cluster
    }

    async fn join(&self, node: usize) -> Membership {
        self.cluster(node).join(fresh_node(MEMBER_MS)).await.unwrap()
    }

    async fn renew(&self, node: usize) -> Membership {
        self.renew_as(node, Roles::ALL).await
    }

    async fn renew_as(&self, node: usize, roles: Roles) -> Membership {
        self.cluster(node).renew(roles, Vec::new()).await.unwrap().expect("it is a member")
    }

    /// All nodes join for longer than a test takes.
    async fn join_long(&self) {
        for node in &self.nodes {
            node.cluster.join(fresh_node(60_000)).await.unwrap();
        }
    }

    async fn endpoint_id(&self, endpoint: EndpointKey) -> EndpointId {
        let all = self.store(0).config_list(Owner::MAIN).await.unwrap().endpoints;
        all.into_iter().find(|one| one.key == endpoint).expect("it was declared").id
    }

    /// All nodes join, and give each other their parts.
    async fn join_all(&self) -> Vec<Membership> {
        for node in 0..self.nodes.len() {
            self.join(node).await;
        }
        self.settle(&(0..self.nodes.len()).collect::<Vec<_>>()).await
    }

    /// Renews until nobody has anything to give or to take; at most a few rounds.
    async fn settle(&self, nodes: &[usize]) -> Vec<Membership> {
        for _ in 0..6 {
            let mut all = Vec::new();
            for node in nodes {
                let membership = self.renew(*node).await;
                let surplus = membership.surplus.clone();
                if surplus.is_empty() {
                    all.push(membership);
                } else {
                    let renewed = self.cluster(*node).renew(Roles::ALL, surplus).await.unwrap();
                    assert!(renewed.is_some(), "it is a member");
                }
            }
            let held: usize = all.iter().map(|membership| membership.shards.len()).sum();
            if all.len() == nodes.len() && held == 256 {
                return all;
            }
        }
        panic!("the shards do not come to rest");
    }

    /// An event for these endpoints, told by one node; what is not leased waits.
    async fn accept(
        &self,
        node: usize,
        endpoints: &[EndpointKey],
        leased: bool,
    ) -> (EventId, LeaseToken, Vec<EndpointKey>) {
        let planned = endpoints.iter().map(|endpoint| Planned { endpoint: *endpoint, leased });
        let accept = EventAccept { planned: planned.collect(), ..event(self.application, T0) };
        match self.store(node).event_accept(MAIN, accept).await.unwrap() {
            Accepted::Stored { event, lease, left } => (event, lease, left),
            repeat @ Accepted::Duplicate { .. } => panic!("{repeat:?}"),
        }
    }

    async fn lease(&self, node: usize, endpoint: EndpointKey) -> Vec<LeasedDelivery> {
        self.store(node).delivery_lease(endpoint, T0 + 1_000, LEASE_MS, 1_000).await.unwrap()
    }

    async fn finish(
        &self,
        node: usize,
        delivery: DeliveryKey,
        lease: LeaseToken,
        next: NextStep,
    ) -> FinishOutcome {
        let finish = AttemptFinish { delivery, lease, attempt: attempt(1), next };
        self.store(node).attempt_finish(finish).await.unwrap()
    }

    /// Which of the nodes has an endpoint's shard.
    fn owner_of(&self, endpoint: EndpointKey, members: &[Membership]) -> usize {
        let shard = becket_store::cluster::shard_of(endpoint);
        members.iter().position(|member| member.shards.contains(&shard)).expect("it has an owner")
    }
}

/// A way to the database on which an answer can be lost, and options for a store that takes it.
fn cut_way(schema: &Schema) -> (CutProxy, Options) {
    let options = schema.options();
    let (before, rest) = options.url.split_once('@').expect("the URL names a user");
    let (server, after) = rest.split_once('/').expect("the URL names a database");
    let (_, port) = server.rsplit_once(':').expect("the URL names a port");
    let proxy = CutProxy::start(port.parse().expect("a port is a number"));
    let url = format!("{before}@127.0.0.1:{}/{after}", proxy.port);
    (proxy, Options { url, ..options })
}

fn fresh_node(lease_ms: u64) -> NodeNew {
    NodeNew {
        name: "it's; --".to_owned(),
        version: "1.2.3".to_owned(),
        roles: Roles::ALL,
        declared: "[\"\0ü'\"]".to_owned(),
        host: "{}".to_owned(),
        lease_ms,
        gone: Vec::new(),
    }
}

fn source(endpoints: usize) -> SourceDeclaration {
    let endpoint = |number: usize| EndpointDeclaration {
        uid: format!("e{number}"),
        settings: EndpointSettings::for_url("http://127.0.0.1:3000/"),
        id: EndpointId::new(T0, [number as u8; 14]),
        secret: b"sealed".to_vec(),
    };
    SourceDeclaration {
        uid: "s".to_owned(),
        provider: "github".to_owned(),
        id: ApplicationId::from_bytes([1; 20]),
        endpoints: (0..endpoints).map(endpoint).collect(),
    }
}

fn event(application: ApplicationKey, received_at_ms: i64) -> EventAccept {
    let record = PackedHeaders::with_capacity(8).finish(b"{}");
    EventAccept {
        application,
        received_at_ms,
        event_type: None,
        dedupe: None,
        disposition: Disposition::Accepted,
        labels: EventLabels::default(),
        record: EventRecord::from_packed(record).unwrap(),
        planned: Vec::new(),
        due_ms: None,
        lease_until_ms: received_at_ms + LEASE_MS as i64,
    }
}

fn attempt(number: u32) -> AttemptWrite {
    AttemptWrite {
        number,
        trigger: Trigger::Receipt,
        started_at_ms: T0,
        duration_ms: 5,
        status: Some(200),
        error_code: None,
        detail: Bytes::from_static(b"{}"),
    }
}

const fn delivery(event: EventId, endpoint: EndpointKey) -> DeliveryKey {
    DeliveryKey { event, endpoint, generation: 0 }
}

/// Waits until a condition holds that is looked at every few milliseconds.
async fn until<F: Future<Output = bool>>(limit: Duration, mut condition: impl FnMut() -> F) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < limit, "it has not come about within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
