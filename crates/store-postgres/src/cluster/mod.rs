//! Several nodes on one database: membership, shards, changes of the configuration, news.
//!
//! Invariants: the membership is kept in a session of its own, so that it does not wait for a busy
//! pool; every step of it is one transaction ([`meet`]); what is told to the caller was read after it.
//!
//! Deliberately absent: what a node does with its shards.
//!
//! Where next: `meet` for the rule, `held` for endpoints that do not follow their shard, `voice` and `ear` for news, `state` for what is kept in memory.

mod changes;
mod ear;
mod held;
mod meet;
mod state;
mod voice;
mod words;

use std::sync::Arc;

use async_trait::async_trait;
use becket_model::EndpointKey;
use becket_store::Result;
use becket_store::cluster::{
    Advice, Changes, Cluster, Gauges, Look, Membership, News, NodeNew, NodeNumber, NodeRow, Roles,
    allowed, surplus_of,
};
use tokio::sync::{MutexGuard, broadcast};
use tokio_postgres::Row;

pub(crate) use state::{ClusterState, Leasing};

use crate::cluster::meet::Step;
use crate::deliveries::INDEX_ONLY;
use crate::session::Session;
use crate::shared::Shared;
use crate::text::{pack, unpack};

/// The cluster that a store belongs to.
pub(crate) fn handle(shared: &Arc<Shared>) -> Arc<dyn Cluster> {
    Arc::new(Nodes(Arc::clone(shared)))
}

/// Starts what leases deliveries.
pub(crate) fn start(shared: &Arc<Shared>) {
    crate::lease::start(shared);
}

/// Ends the session of the membership; it was given up before, or runs out.
pub(crate) async fn close(shared: &Arc<Shared>) {
    crate::lease::close(shared).await;
    *shared.cluster.own.lock().await = None;
}

struct Nodes(Arc<Shared>);

/// The session for the membership, connected.
struct Own<'a>(MutexGuard<'a, Option<Session>>);

impl Own<'_> {
    async fn of<'a>(shared: &'a Shared, operation: &'static str) -> Result<Own<'a>> {
        let mut own = shared.cluster.own.lock().await;
        shared.open()?;
        if own.as_ref().is_none_or(Session::is_useless) {
            *own = None;
            let session = shared.connect_dedicated(operation).await?;
            session.batch(operation, INDEX_ONLY).await?;
            *own = Some(session);
        }
        Ok(Own(own))
    }

    fn session(&self) -> Result<&Session> {
        self.0.as_ref().ok_or(becket_store::StoreError::Closed)
    }
}

impl Nodes {
    /// Runs the transaction of all nodes, and tells how things stand behind it.
    async fn meet(
        &self,
        operation: &'static str,
        me: NodeNumber,
        step: &Step<'_>,
    ) -> Result<Option<Membership>> {
        let shared = &self.0;
        let own = Own::of(shared, operation).await?;
        let session = own.session()?;
        let sql = meet::transaction(me, step, &voice::channel(shared));
        session.batch(operation, &sql).await?;
        if matches!(step, Step::Leave) {
            return Ok(None);
        }
        let rows = session.rows(operation, meet::STATE, &[]).await?;
        drop(own);
        let membership = membership(me, &rows);
        self.compare(rows.iter().map(number_of).collect());
        Ok(membership)
    }

    /// Tells the others if a node is no longer there that was: it may have left shards for them.
    fn compare(&self, nodes: Vec<NodeNumber>) {
        let cluster = &self.0.cluster;
        let before = std::mem::replace(&mut cluster.known.lock().nodes, nodes.clone());
        if before.iter().any(|node| !nodes.contains(node)) {
            cluster.voice.say(&self.0, |said| said.nodes = true);
        }
    }

    fn alone(&self) -> bool {
        self.0.cluster.known.lock().nodes.len() == 1
    }
}

#[async_trait]
impl Cluster for Nodes {
    async fn join(&self, node: NodeNew) -> Result<Membership> {
        let operation = "join the nodes";
        let shared = &self.0;
        let own = Own::of(shared, operation).await?;
        crate::transfer::refuse_moving(own.session()?, &shared.schema).await?;
        drop(own);
        let me = match shared.cluster.member() {
            // Nobody has seen the number with which the store was opened.
            None => shared.node(),
            Some(_) => {
                let own = Own::of(shared, operation).await?;
                let rows = own.session()?.rows(operation, crate::store::NUMBER, &[]);
                let number = rows.await?.first().map(|row| row.get::<_, i32>(0));
                NodeNumber(number.unwrap_or_default().unsigned_abs())
            }
        };
        let mut node = node;
        node.gone.extend(shared.cluster.member());
        let joined = self.meet(operation, me, &Step::Join(&node)).await?;
        let Some(joined) = joined else {
            let detail = "the node was dropped as soon as it had joined; give a longer lease";
            return Err(crate::errors::unavailable(operation, detail));
        };
        shared.cluster.set_member(shared, me);
        ear::listen(shared);
        Ok(joined)
    }

    async fn renew(&self, roles: Roles, release: Vec<u16>) -> Result<Option<Membership>> {
        let Some(me) = self.0.cluster.member() else { return Ok(None) };
        let membership =
            self.meet("renew the membership", me, &Step::Renew(roles, &release)).await?;
        if let Err(error) = held::settle(&self.0).await {
            tracing::debug!(code = error.code(), %error, "endpoints change hands with the next look");
        }
        Ok(membership)
    }

    async fn look(&self) -> Result<Look> {
        let operation = "look at the nodes";
        held::settle(&self.0).await?;
        let me = self.0.cluster.member().map_or(0, |me| me.0.cast_signed());
        let own = Own::of(&self.0, operation).await?;
        let rows = own.session()?.rows(operation, meet::LOOK, &[&me]).await?;
        let row = rows.first().ok_or_else(no_installation)?;
        Ok(Look {
            renew: row.get(0),
            revision: row.get::<_, i64>(1).unsigned_abs(),
            now_ms: row.get(2),
        })
    }

    async fn leave(&self) -> Result<()> {
        let Some(me) = self.0.cluster.member() else { return Ok(()) };
        self.meet("leave the nodes", me, &Step::Leave).await.map(|_| ())
    }

    async fn redeclare(&self, declared: String) -> Result<()> {
        let operation = "declare to the nodes";
        let Some(me) = self.0.cluster.member() else { return Ok(()) };
        let own = Own::of(&self.0, operation).await?;
        let sql = "UPDATE node SET declared = $2 WHERE number = $1";
        own.session()?.run(operation, sql, &[&me.0.cast_signed(), &pack(&declared)]).await?;
        drop(own);
        self.0.cluster.voice.say(&self.0, |said| said.nodes = true);
        Ok(())
    }

    fn lend(&self, endpoint: EndpointKey, lent: bool) {
        self.0.cluster.set_lent(endpoint, lent);
    }

    fn hold(&self, endpoint: EndpointKey, held: bool) {
        self.0.cluster.held.set(endpoint, held);
    }

    fn wake(&self, endpoints: &[EndpointKey]) {
        // A node that has come since asks what is due when it begins.
        if !endpoints.is_empty() && !self.alone() {
            self.0.cluster.voice.say(&self.0, |said| said.wake(endpoints));
        }
    }

    fn news(&self) -> broadcast::Receiver<News> {
        let receiver = self.0.cluster.news.subscribe();
        ear::listen(&self.0);
        receiver
    }

    async fn changes(&self, after: u64) -> Result<Changes> {
        changes::changes(&self.0, after).await
    }

    async fn advice(&self) -> Result<Vec<Advice>> {
        crate::advice::advice(&self.0).await
    }

    fn gauges(&self) -> Gauges {
        crate::gauges::gauges(&self.0)
    }
}

fn no_installation() -> becket_store::StoreError {
    crate::errors::unusable("its table `installation` is empty; restore the schema from a backup")
}

fn number_of(row: &Row) -> NodeNumber {
    NodeNumber(row.get::<_, i32>(0).unsigned_abs())
}

/// Reads [`meet::STATE`]; `None` if the node is not there.
fn membership(me: NodeNumber, rows: &[Row]) -> Option<Membership> {
    let own = rows.iter().find(|row| number_of(row) == me)?;
    let shards_of = |row: &Row| -> Vec<u16> {
        row.get::<_, Vec<i16>>(8).into_iter().map(i16::unsigned_abs).collect()
    };
    let nodes: Vec<NodeRow> = rows
        .iter()
        .map(|row| NodeRow {
            number: number_of(row),
            name: unpack(row.get(1)),
            version: unpack(row.get(2)),
            roles: meet::roles_from_column(row.get(3)),
            declared: unpack(row.get(4)),
            host: unpack(row.get(5)),
            joined_at_ms: row.get(6),
            expires_in_ms: row.get(7),
            shards: shards_of(row).len() as u16,
        })
        .collect();
    let held: Vec<_> = nodes
        .iter()
        .filter(|node| node.roles.engine)
        .map(|node| (node.number, node.shards))
        .collect();
    let shards = shards_of(own);
    Some(Membership {
        node: me,
        surplus: surplus_of(&shards, allowed(&held, me)),
        nodes,
        shards,
        revision: own.get::<_, i64>(9).unsigned_abs(),
        now_ms: own.get(10),
    })
}
