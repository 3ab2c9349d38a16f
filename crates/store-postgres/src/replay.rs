//! Starting deliveries again: for a person who asks, and for a sender who repeats an event that has
//! failed.
//!
//! Invariants: the event's row is locked before anything is looked at, so that two replays of one
//! event follow each other; what is found pending is locked, so that it does not end meanwhile. The
//! latest delivery to an endpoint is the one with the highest generation, and it has ended if it has
//! no row in `delivery` any more.

use std::sync::Arc;

use becket_model::{DeliveryKey, EndpointKey, EventId};
use becket_store::{Replayed, Result, Scope};

use crate::errors::Failure;
use crate::events::columns::{
    NEXT_FAILED, application_from_column, endpoint_column, endpoint_from_column,
};
use crate::shared::Shared;
use crate::transaction::Tx;

const OPERATION: &str = "delivery_replay";
/// So often a replay that met another transaction is done again at once.
const CONFLICTS_MAX: u32 = 3;

/// An event whose row is locked in the transaction.
pub(crate) struct Locked<'a> {
    pub(crate) event: EventId,
    /// The endpoints that it was planned for.
    pub(crate) planned: &'a [i32],
}

/// Locks the event's row; `None` if it is not there.
const LOCK: &str = "SELECT tail, application, planned FROM event WHERE seq = $1 FOR UPDATE";

/// Which of the endpoints `$1` belong to application `$2`, removed or not.
const BELONGING: &str = "SELECT key FROM endpoint WHERE application = $2 AND key = ANY($1)";

/// The endpoints that an event has deliveries to, and the generation of the latest: `$1` the event,
/// `$2` what it was planned for.
const LATEST: &str = "
    SELECT endpoint, max(generation)::smallint AS generation FROM (
        SELECT unnest($2::integer[]) AS endpoint, 0 AS generation
        UNION ALL SELECT endpoint, generation FROM replay WHERE event_seq = $1
    ) started GROUP BY endpoint";

pub(crate) async fn delivery_replay(
    shared: &Arc<Shared>,
    scope: Scope,
    event: EventId,
    endpoints: Vec<EndpointKey>,
    now_ms: i64,
) -> Result<Option<Vec<Replayed>>> {
    let mut conflicts = 0;
    loop {
        match replay_once(shared, scope, event, &endpoints, now_ms).await {
            Err(failure) if failure.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
            outcome => return Ok(outcome?),
        }
    }
}

async fn replay_once(
    shared: &Arc<Shared>,
    scope: Scope,
    event: EventId,
    endpoints: &[EndpointKey],
    now_ms: i64,
) -> Result<Option<Vec<Replayed>>, Failure> {
    let mut conn = shared.write(OPERATION).await?;
    let transaction = conn.begin(OPERATION).await?;
    let Some(row) = transaction.row(LOCK, &[&event.seq().0]).await? else { return Ok(None) };
    let application: i32 = row.get(1);
    if row.get::<_, &[u8]>(0) != event.tail()
        || !shared.in_scope(scope, application_from_column(application)).await?
    {
        return Ok(None);
    }
    let planned: Vec<i32> = row.get(2);
    let mut targets = planned.clone();
    if !endpoints.is_empty() {
        targets = endpoints.iter().copied().filter_map(endpoint_column).collect();
        let belonging = transaction.rows(BELONGING, &[&targets, &application]).await?;
        let belonging: Vec<i32> = belonging.iter().map(|row| row.get(0)).collect();
        targets.retain(|target| belonging.contains(target));
    }
    let locked = Locked { event, planned: &planned };
    let replayed = start_again(&transaction, &locked, &targets, now_ms).await?;
    transaction.commit().await?;
    started(shared, &replayed, now_ms);
    Ok(Some(replayed))
}

/// Says what waits now; to be called when it is committed.
pub(crate) fn started(shared: &Shared, replayed: &[Replayed], due_ms: i64) {
    for one in replayed {
        shared.cluster.put_back(one.key.endpoint.0, due_ms);
    }
}

/// Starts a delivery to each of `targets`, due at `now_ms`, or makes the one due that waits; one under
/// way is left alone.
const START: &str = "
    WITH latest AS MATERIALIZED (
        SELECT target.endpoint, greatest(
            CASE WHEN target.endpoint = ANY($2::integer[]) THEN 0 END,
            (SELECT max(replay.generation) FROM replay
             WHERE replay.event_seq = $1 AND replay.endpoint = target.endpoint)
        ) AS generation
        FROM (SELECT DISTINCT unnest($3::integer[]) AS endpoint) target
    ), pending AS MATERIALIZED (
        SELECT delivery.endpoint, delivery.generation, delivery.lease
        FROM latest JOIN delivery ON delivery.event_seq = $1
            AND delivery.endpoint = latest.endpoint AND delivery.generation = latest.generation
        FOR UPDATE OF delivery
    ), hurried AS (
        UPDATE delivery SET due_ms = $4 FROM pending
        WHERE delivery.event_seq = $1 AND delivery.endpoint = pending.endpoint
            AND delivery.generation = pending.generation AND pending.lease = 0
    ), fresh AS MATERIALIZED (
        SELECT endpoint, (coalesce(generation, 0) + 1)::smallint AS generation FROM latest
        WHERE NOT EXISTS (SELECT FROM pending WHERE pending.endpoint = latest.endpoint)
    ), noted AS (
        INSERT INTO replay (event_seq, endpoint, generation)
        SELECT $1, endpoint, generation FROM fresh
    ), waiting AS (
        INSERT INTO delivery
            (event_seq, due_ms, lease, lease_until_ms, endpoint, attempts, generation)
        SELECT $1, $4, 0, 0, endpoint, 0, generation FROM fresh
    )
    SELECT endpoint, generation, true FROM fresh
    UNION ALL SELECT endpoint, generation, false FROM pending";

/// Starts deliveries of a locked event again, in the transaction that has locked it.
pub(crate) async fn start_again(
    transaction: &Tx<'_>,
    locked: &Locked<'_>,
    targets: &[i32],
    now_ms: i64,
) -> Result<Vec<Replayed>, Failure> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let seq = locked.event.seq().0;
    let rows = transaction.rows(START, &[&seq, &locked.planned, &targets, &now_ms]).await?;
    let replayed = rows.iter().map(|row| Replayed {
        key: DeliveryKey {
            event: locked.event,
            endpoint: endpoint_from_column(row.get(0)),
            generation: row.get::<_, i16>(1).cast_unsigned(),
        },
        fresh: row.get(2),
    });
    Ok(replayed.collect())
}

/// Which of the latest deliveries (`$2` endpoints, `$3` generations) have failed for good: nothing is
/// pending, and the last attempt said so.
const FAILED: &str = "
    SELECT count(*) FROM unnest($2::integer[], $3::smallint[]) latest (endpoint, generation)
    WHERE NOT EXISTS (
            SELECT FROM delivery WHERE delivery.event_seq = $1
                AND delivery.endpoint = latest.endpoint AND delivery.generation = latest.generation)
        AND (SELECT next_kind FROM attempt
             WHERE attempt.event_seq = $1 AND attempt.endpoint = latest.endpoint
                AND attempt.generation = latest.generation
             ORDER BY number DESC LIMIT 1) >= $4";

/// What a repeat of a locked event starts again: all of its deliveries, if the latest to each endpoint
/// has failed; otherwise nothing. They are due at `at_ms`.
pub(crate) async fn repeat(
    transaction: &Tx<'_>,
    locked: &Locked<'_>,
    at_ms: i64,
) -> Result<Vec<Replayed>, Failure> {
    let seq = locked.event.seq().0;
    let rows = transaction.rows(LATEST, &[&seq, &locked.planned]).await?;
    let endpoints: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    let generations: Vec<i16> = rows.iter().map(|row| row.get(1)).collect();
    if endpoints.is_empty() {
        return Ok(Vec::new());
    }
    let failed = transaction.row(FAILED, &[&seq, &endpoints, &generations, &NEXT_FAILED]).await?;
    let failed = failed.map_or(0, |row| row.get::<_, i64>(0));
    if failed.unsigned_abs() != endpoints.len() as u64 {
        return Ok(Vec::new());
    }
    start_again(transaction, locked, &endpoints, at_ms).await
}
