//! Leasing deliveries: calls of many lanes that come together are one statement.
//!
//! Invariants:
//! - Who may lease what is the database's word ([`may`]), checked in the statement that leases.
//! - One task leases, in a session of its own; while it waits for the database, further calls gather
//!   for the next statement. An endpoint is in it once.
//! - It does not wait for the disk (`disk::hasty`). A lease that a crash of the database
//!   undoes leaves the delivery waiting: it is leased again under another token (none is ever given
//!   twice, because they are drawn in memory below a number that the database has given on stable
//!   storage), the first result is stale, and the receiver may get the event twice under one id. What
//!   was accepted or finished is in the log before or behind it and never depends on it.
//!
//! Where next: `deliveries/claim` for the statement, `deliveries/expiry` for leases that end by
//! themselves, `deliveries/fronts` for where a long queue begins.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use becket_model::{DeliveryKey, EndpointKey};
use becket_store::{LeaseToken, LeasedDelivery, Result, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::deliveries::{self, DOUBTS_EVERY, Doubts, Expiry, Fronts, INDEX_ONLY, LastDay};
use crate::errors::Failure;
use crate::events::columns::endpoint_column;
use crate::session::Session;
use crate::shared::{LEASE_COUNTER_BITS, Shared};
use crate::transaction::Tx;

/// Calls in one statement, at most.
const CALLS_MAX: usize = 128;
/// Deliveries in one statement, at most, unless a single call wants more.
const DELIVERIES_MAX: usize = 1_024;
/// More deliveries than this are not leased in one call.
const LIMIT_MAX: usize = 100_000;
/// What is set in the session: its plans are for queues of any length, whatever the statistics of a
/// moment say.
const SETUP: &str = "SET statement_timeout = 0; SET plan_cache_mode = force_generic_plan;";

/// A condition on an endpoint: that node `node` may lease its deliveries, or it is one of `lent`. All
/// are SQL. That is one node at a time: who holds the endpoint (as soon as it is ready, and until then
/// nobody), otherwise who has its shard.
pub(crate) fn may(endpoint: &str, node: &str, lent: &str) -> String {
    format!(
        "({endpoint} = ANY({lent}) OR {node} = coalesce(
            (SELECT CASE WHEN held.ready THEN held.node ELSE 0 END FROM held
                WHERE held.endpoint = {endpoint}
                    AND EXISTS (SELECT FROM node WHERE node.number = held.node)),
            (SELECT shard.node FROM shard WHERE shard.number = ({endpoint} & 255)::smallint)))"
    )
}

/// Whether the node that leased something of an endpoint under this token still delivers to it.
pub(crate) async fn still_delivers(
    shared: &Shared,
    tx: &Tx<'_>,
    endpoint: i32,
    lease: LeaseToken,
) -> std::result::Result<bool, Failure> {
    let Some(leasing) = shared.cluster.leasing() else { return Ok(true) };
    let node = i32::try_from(lease.0 >> LEASE_COUNTER_BITS).unwrap_or(0);
    let lent = if node == leasing.node { leasing.lent } else { Vec::new() };
    let sql = format!(
        "SELECT FROM node WHERE number = $2::integer AND {}",
        may("$1::integer", "node.number", "$3::integer[]")
    );
    Ok(tx.row(&sql, &[&endpoint, &node, &lent]).await?.is_some())
}

/// A call that waits.
pub(crate) struct Call {
    pub(crate) endpoint: i32,
    pub(crate) now_ms: i64,
    pub(crate) until_ms: i64,
    pub(crate) limit: usize,
    pub(crate) reply: oneshot::Sender<Result<Vec<LeasedDelivery>>>,
}

/// What wants to be leased, and what is known of the queues.
pub(crate) struct Queue {
    sender: mpsc::Sender<Call>,
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Call>>>,
    pub(crate) fronts: Fronts,
    pub(crate) expiry: Expiry,
    pub(crate) day: LastDay,
}

impl Queue {
    pub(crate) fn new(calls_max: usize) -> Self {
        let (sender, receiver) = mpsc::channel(calls_max.max(1));
        Self {
            sender,
            receiver: Arc::new(tokio::sync::Mutex::new(receiver)),
            fronts: Fronts::default(),
            expiry: Expiry::new(),
            day: LastDay::default(),
        }
    }
}

/// Starts the task that leases.
pub(crate) fn start(shared: &Arc<Shared>) {
    let receiver = Arc::clone(&shared.cluster.queue.receiver);
    shared.spawn(work(Arc::downgrade(shared), receiver));
}

/// Answers what is queued that there is no store any more.
pub(crate) async fn close(shared: &Arc<Shared>) {
    shared.end_tasks();
    let mut receiver = shared.cluster.queue.receiver.lock().await;
    receiver.close();
    while let Ok(call) = receiver.try_recv() {
        answer(call.reply, Err(StoreError::Closed));
    }
}

pub(crate) async fn delivery_lease(
    shared: &Arc<Shared>,
    endpoint: EndpointKey,
    now_ms: i64,
    lease_ms: u64,
    limit: usize,
) -> Result<Vec<LeasedDelivery>> {
    shared.open()?;
    let until_ms = now_ms.saturating_add_unsigned(lease_ms);
    // A key that no row can have still ends what has expired.
    let endpoint = endpoint_column(endpoint).unwrap_or(0);
    let (reply, answer) = oneshot::channel();
    let call = Call { endpoint, now_ms, until_ms, limit: limit.min(LIMIT_MAX), reply };
    let queue = &shared.cluster.queue.sender;
    let _waiting = shared.meters.wait();
    match queue.try_send(call) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(_)) => {
            return Err(StoreError::Busy { waiting: queue.max_capacity() });
        }
        Err(mpsc::error::TrySendError::Closed(_)) => return Err(StoreError::Closed),
    }
    answer.await.unwrap_or(Err(StoreError::Closed))
}

async fn work(shared: Weak<Shared>, receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Call>>>) {
    let mut receiver = receiver.lock_owned().await;
    let mut session: Option<Session> = None;
    let mut later: Vec<Call> = Vec::new();
    let mut doubts = Doubts::default();
    loop {
        let mut calls = std::mem::take(&mut later);
        if calls.is_empty() {
            let came = receiver.recv_many(&mut calls, CALLS_MAX);
            let came = match doubts.is_empty() {
                true => Some(came.await),
                false => tokio::time::timeout(DOUBTS_EVERY, came).await.ok(),
            };
            if came == Some(0) {
                return;
            }
        }
        while calls.len() < CALLS_MAX
            && let Ok(call) = receiver.try_recv()
        {
            calls.push(call);
        }
        let batch;
        (batch, later) = one_of_each(calls);
        let Some(shared) = shared.upgrade() else { return };
        if let Err((calls, error)) = lease(&shared, &mut session, &mut doubts, batch).await {
            calls.into_iter().for_each(|call| answer(call.reply, Err(error.clone())));
        }
    }
}

/// As many calls as fit together, each for another endpoint, and the others.
fn one_of_each(calls: Vec<Call>) -> (Vec<Call>, Vec<Call>) {
    let (mut endpoints, mut deliveries) = (HashSet::new(), 0);
    calls.into_iter().partition(|call| {
        let fits = deliveries == 0 || deliveries + call.limit <= DELIVERIES_MAX;
        let taken = fits && endpoints.insert(call.endpoint);
        deliveries += if taken { call.limit } else { 0 };
        taken
    })
}

type Refused = (Vec<Call>, StoreError);

async fn lease(
    shared: &Arc<Shared>,
    session: &mut Option<Session>,
    doubts: &mut Doubts,
    calls: Vec<Call>,
) -> std::result::Result<(), Refused> {
    let connected = match session.take().filter(|session| !session.is_useless()) {
        Some(known) => session.insert(known),
        None => match connect(shared).await {
            Ok(fresh) => session.insert(fresh),
            Err(error) => return Err((calls, error)),
        },
    };
    if let Err(error) = doubts.end(shared, connected).await {
        return Err((calls, error));
    }
    match deliveries::lease(shared, connected, doubts, &calls).await {
        Ok(answers) => {
            for (call, leased) in calls.into_iter().zip(answers) {
                answer(call.reply, Ok(leased));
            }
            Ok(())
        }
        Err(error) => Err((calls, error)),
    }
}

async fn connect(shared: &Arc<Shared>) -> Result<Session> {
    let limit = shared.options.wait_max;
    let connected = tokio::time::timeout(limit, shared.connect_dedicated("lease deliveries")).await;
    let session = connected.unwrap_or_else(|_| {
        let detail = format!("no connection within {} s", limit.as_secs_f32());
        Err(crate::errors::unavailable("lease deliveries", detail))
    })?;
    session.batch("lease deliveries", &format!("{SETUP} {INDEX_ONLY}")).await?;
    Ok(session)
}

fn answer(
    reply: oneshot::Sender<Result<Vec<LeasedDelivery>>>,
    answer: Result<Vec<LeasedDelivery>>,
) {
    // Who has gone leaves the leases to their end.
    let _ = reply.send(answer);
}

/// What a release looks like: arrays of the same length, and the new due moment.
const RELEASE: &str = "
    UPDATE delivery SET lease = 0, lease_until_ms = 0, due_ms = $5
    FROM unnest($1::bigint[], $2::integer[], $3::smallint[], $4::bigint[])
        given (event_seq, endpoint, generation, lease)
    WHERE delivery.event_seq = given.event_seq AND delivery.endpoint = given.endpoint
        AND delivery.generation = given.generation AND delivery.lease = given.lease
        AND given.lease <> 0 AND delivery.event_seq = ANY($1::bigint[])";

pub(crate) async fn delivery_release(
    shared: &Arc<Shared>,
    deliveries: Vec<(DeliveryKey, LeaseToken)>,
    due_ms: i64,
) -> Result<()> {
    let mut deliveries: Vec<_> = deliveries
        .into_iter()
        .filter_map(|(key, token)| {
            let endpoint = endpoint_column(key.endpoint)?;
            let generation = key.generation.cast_signed();
            Some((key.event.seq().0, endpoint, generation, token.0.cast_signed()))
        })
        .collect();
    if deliveries.is_empty() {
        return shared.open();
    }
    // Always in the same order, so that two who touch the same rows do not wait for each other.
    deliveries.sort_unstable();
    deliveries.dedup();
    let seqs: Vec<i64> = deliveries.iter().map(|one| one.0).collect();
    let endpoints: Vec<i32> = deliveries.iter().map(|one| one.1).collect();
    let generations: Vec<i16> = deliveries.iter().map(|one| one.2).collect();
    let tokens: Vec<i64> = deliveries.iter().map(|one| one.3).collect();
    let conn = shared.write("release deliveries").await?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&seqs, &endpoints, &generations, &tokens, &due_ms];
    conn.run("release deliveries", RELEASE, &parameters).await?;
    for endpoint in endpoints {
        shared.cluster.put_back(endpoint.cast_unsigned(), due_ms);
    }
    Ok(())
}
