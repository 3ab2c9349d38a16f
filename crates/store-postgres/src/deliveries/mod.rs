//! What waits for delivery, and handing it out.
//!
//! Invariants: nothing here looks at more rows than it answers with, plus one for each endpoint; a
//! million deliveries of one endpoint cost what ten do.
//!
//! Where next: `claim` for handing out, `expiry` for leases that end by themselves, `doubt` for those of
//! which nobody was told, `fronts` for where a long queue begins.

mod claim;
mod doubt;
mod expiry;
mod fronts;

use std::sync::Arc;
use std::time::Instant;

use becket_model::EndpointKey;
use becket_store::{EndpointDue, LeasedDelivery, Result};
use tokio_postgres::Row;

pub(crate) use claim::LastDay;
pub(crate) use doubt::{Doubts, EVERY as DOUBTS_EVERY};
pub(crate) use expiry::Expiry;
pub(crate) use fronts::Fronts;

use crate::events::columns::endpoint_from_column;
use crate::lease::{Call, may};
use crate::session::{Parameters, Session};
use crate::shared::Shared;

/// Settings under which only plans are made that follow an index, whatever the statistics of a moment
/// say: a plan made for an empty table stays in use when it is full. Joins hash what was found; so what
/// is joined has to be bounded by itself, by an array of places in the statement.
pub(crate) const INDEX_ONLY: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; \
    SET enable_nestloop = off; SET enable_mergejoin = off; SET enable_hashjoin = on; \
    SET enable_sort = off; SET jit = off;";

/// So many waiting deliveries of an endpoint are counted for the engine.
const COUNTED_MAX: i64 = 100;
/// And so many for people; beyond that the planner's statistics are asked.
const SHOWN_MAX: i64 = 10_000;

/// Walks over the endpoints with something in their queue, one step of the index for each.
fn walk(condition: &str) -> String {
    format!(
        "WITH RECURSIVE walk AS (
            (SELECT endpoint, due_ms FROM delivery WHERE lease = 0 ORDER BY endpoint, due_ms LIMIT 1)
            UNION ALL
            SELECT next.endpoint, next.due_ms FROM walk CROSS JOIN LATERAL (
                SELECT endpoint, due_ms FROM delivery
                WHERE lease = 0 AND endpoint > walk.endpoint ORDER BY endpoint, due_ms LIMIT 1
            ) next
        )
        SELECT endpoint, due_ms, (SELECT count(*) FROM (
            SELECT FROM delivery WHERE lease = 0 AND delivery.endpoint = walk.endpoint LIMIT $1
        ) counted)
        FROM walk WHERE {condition}"
    )
}

/// Walks along the index, whatever the statistics of a moment say: a plan that was made for an empty
/// table would read the whole of a full one at each step.
async fn walked(
    shared: &Arc<Shared>,
    operation: &'static str,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>> {
    let mut conn = shared.read(operation).await?;
    let transaction = conn.begin(operation).await?;
    transaction.batch("SET LOCAL statement_timeout = '5s'").await?;
    transaction.batch(&INDEX_ONLY.replace("SET ", "SET LOCAL ")).await?;
    let rows = transaction.rows(sql, parameters).await?;
    transaction.commit().await?;
    Ok(rows)
}

pub(crate) async fn delivery_due(shared: &Arc<Shared>) -> Result<Vec<EndpointDue>> {
    let operation = "look what is due";
    let rows = match shared.cluster.leasing() {
        None => walked(shared, operation, &walk("true"), &[&COUNTED_MAX]).await?,
        Some(leasing) => {
            let sql = walk(&may("walk.endpoint", "$2::integer", "$3::integer[]"));
            walked(shared, operation, &sql, &[&COUNTED_MAX, &leasing.node, &leasing.lent]).await?
        }
    };
    let due = rows.iter().map(|row| EndpointDue {
        endpoint: endpoint_from_column(row.get(0)),
        waiting: row.get::<_, i64>(2).unsigned_abs(),
        due_ms: row.get(1),
    });
    // What was leased since the first was seen has nothing to count.
    Ok(due.filter(|due| due.waiting > 0).collect())
}

/// How often each of the most frequent endpoints stands in the table, as the last ANALYZE saw it.
const ESTIMATE: &str = "
    SELECT most.endpoint, (most.part * pg_class.reltuples)::bigint
    FROM pg_class JOIN pg_stats
            ON pg_stats.schemaname = current_schema() AND pg_stats.tablename = pg_class.relname
        CROSS JOIN LATERAL unnest(most_common_vals::text::integer[], most_common_freqs)
            most (endpoint, part)
    WHERE pg_class.oid = 'delivery'::regclass AND pg_stats.attname = 'endpoint'
        AND most.part IS NOT NULL";

pub(crate) async fn delivery_waiting(shared: &Arc<Shared>) -> Result<Vec<(EndpointKey, u64)>> {
    let operation = "count what waits";
    let rows = walked(shared, operation, &walk("true"), &[&SHOWN_MAX]).await?;
    let mut waiting: Vec<(i32, i64)> = rows.iter().map(|row| (row.get(0), row.get(2))).collect();
    if waiting.iter().any(|(_, count)| *count >= SHOWN_MAX) {
        let conn = shared.read(operation).await?;
        for row in conn.rows(operation, ESTIMATE, &[]).await? {
            let (endpoint, estimate): (i32, i64) = (row.get(0), row.get(1));
            let counted = waiting.iter_mut().find(|one| one.0 == endpoint && one.1 >= SHOWN_MAX);
            if let Some((_, count)) = counted {
                *count = estimate.max(*count);
            }
        }
    }
    let told =
        waiting.into_iter().map(|(key, count)| (endpoint_from_column(key), count.unsigned_abs()));
    Ok(told.collect())
}

/// Ends what has expired and hands out what is due, for calls of different endpoints.
pub(crate) async fn lease(
    shared: &Shared,
    session: &Session,
    doubts: &mut Doubts,
    calls: &[Call],
) -> Result<Vec<Vec<LeasedDelivery>>> {
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let cluster = &shared.cluster;
    let leasing = cluster.leasing();
    let at = Instant::now();
    if let Some(now_ms) = calls.iter().map(|call| call.now_ms).max() {
        end_expired(shared, session, now_ms, leasing.is_some(), at).await?;
    }
    let wanted: Vec<claim::Wanted> = calls
        .iter()
        .map(|call| claim::Wanted {
            endpoint: call.endpoint,
            now_ms: call.now_ms,
            until_ms: call.until_ms,
            most: i64::try_from(call.limit).unwrap_or(i64::MAX),
            from_ms: cluster.queue.fronts.begin(call.endpoint.cast_unsigned(), at),
        })
        .collect();
    if let Some(until_ms) = wanted.iter().map(|one| one.until_ms).min() {
        cluster.lease_given(until_ms);
    }
    let node = claim::node_of(leasing.as_ref(), shared.node());
    let count = claim::tokens(&wanted);
    let first = cluster.tokens(node, count);
    let started = Instant::now();
    let claimed = claim::claim(session, &cluster.queue.day, leasing.as_ref(), first, &wanted).await;
    let took = started.elapsed();
    for (at, call) in calls.iter().enumerate() {
        let one = claimed.as_ref().ok().and_then(|claimed| claimed.get(at));
        let last = one.filter(|one| one.rows > 0 && one.rows >= call.limit);
        cluster.queue.fronts.end(
            call.endpoint.cast_unsigned(),
            last.map(|one| one.last_due_ms),
            took,
        );
    }
    if claimed.is_err() {
        doubts.add(first, count, &wanted);
    }
    Ok(claimed?.into_iter().map(|claimed| claimed.deliveries).collect())
}

async fn end_expired(
    shared: &Shared,
    session: &Session,
    now_ms: i64,
    patient: bool,
    at: Instant,
) -> Result<()> {
    let expiry = &shared.cluster.queue.expiry;
    let Some(from_ms) = expiry.begin(now_ms, patient, at) else { return Ok(()) };
    let ended = session.rows("end leases", &expiry::sql(patient), &[&from_ms, &now_ms]).await?;
    expiry.end(from_ms, now_ms, at);
    for row in &ended {
        shared.cluster.put_back(row.get::<_, i32>(0).cast_unsigned(), row.get(1));
    }
    if !ended.is_empty() {
        tracing::debug!(leases = ended.len(), "leases have ended");
    }
    Ok(())
}
