//! Counting events and deliveries in a stretch of time, a part of a day at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_model::EndpointKey;
use becket_store::{DeliveryCounts, EventCount, Result, Scope};

use crate::events::columns::{
    NEXT_FAILED, application_column, application_from_column, endpoint_column,
};
use crate::partitions::{self, Day, first_of, places_between};
use crate::session::{Parameters, Session};
use crate::shared::Shared;
use crate::text;

const OPERATION: &str = "count events";
/// About so many events are counted by one statement.
const EVENTS_MAX: f32 = 300_000.0;

/// Stretches of places that together hold the events of a time; none holds very many events.
async fn stretches(session: &Session, since_ms: i64, until_ms: i64) -> Result<Vec<(i64, i64)>> {
    if since_ms >= until_ms {
        return Ok(Vec::new());
    }
    let places = places_between(Some(since_ms), Some(until_ms));
    let days = partitions::days(session, OPERATION).await?;
    let parts = days.into_iter().flat_map(parts);
    let clipped = parts.map(|(far, low, high)| {
        // What lies far ahead may have been received at any time before.
        let end = if far { high } else { high.min(places.end() + 1) };
        (low.max(*places.start()), end)
    });
    Ok(clipped.filter(|(low, high)| low < high).collect())
}

/// A day in as many parts as it needs; in front whether it is far ahead.
fn parts(day: Day) -> impl Iterator<Item = (bool, i64, i64)> {
    // Never more than one for each minute.
    let count = (day.about / EVENTS_MAX).clamp(0.0, 1_439.0) as i64 + 1;
    let (low, high) = (first_of(day.number), first_of(day.number.saturating_add(1)));
    let size = (high - low) / count + 1;
    (0..count).map(move |at| (day.far, low + at * size, (low + (at + 1) * size).min(high)))
}

/// See [`becket_store::Store::event_count`].
pub(crate) async fn event_count(
    shared: &Arc<Shared>,
    scope: Scope,
    since_ms: i64,
    until_ms: i64,
) -> Result<Vec<EventCount>> {
    let conn = shared.read(OPERATION).await?;
    let mut counts: BTreeMap<(i32, Option<String>), (i64, i64)> = BTreeMap::new();
    let only = scope.application.map(|key| application_column(key).unwrap_or(-1));
    let of = if only.is_some() { "application = $5" } else { "$5::integer IS NULL" };
    let sql = format!(
        "SELECT application, event_type, count(*), COALESCE(sum(cardinality(planned)), 0)::bigint
         FROM event WHERE seq >= $1 AND seq < $2 AND received_at_ms >= $3 AND received_at_ms < $4
             AND {of}
         GROUP BY application, event_type"
    );
    for (low, high) in stretches(&conn, since_ms, until_ms).await? {
        for row in conn.rows(OPERATION, &sql, &[&low, &high, &since_ms, &until_ms, &only]).await? {
            let application = row.get(0);
            if shared.in_scope(scope, application_from_column(application)).await? {
                let kind = (application, text::unpack_some(row.get(1)));
                let count = counts.entry(kind).or_default();
                count.0 += row.get::<_, i64>(2);
                count.1 += row.get::<_, i64>(3);
            }
        }
    }
    let list = counts.into_iter().map(|((application, event_type), (events, deliveries))| {
        let application = application_from_column(application);
        let (events, deliveries) = (events.unsigned_abs(), deliveries.unsigned_abs());
        EventCount { application, event_type, events, deliveries }
    });
    Ok(list.collect())
}

/// The last delivery of each event to an endpoint, and how it stands.
const STAND: &str = "WITH planned AS (
    SELECT seq, EXISTS (SELECT FROM replay
        WHERE event_seq = seq AND event_seq >= $1 AND event_seq < $2 AND endpoint = $6) AS again,
        $6 = ANY(planned) AS first
    FROM event WHERE seq >= $1 AND seq < $2 AND received_at_ms >= $3 AND received_at_ms < $4
        AND application = $5
), latest AS (
    SELECT seq, CASE WHEN again THEN (SELECT max(generation) FROM replay
        WHERE event_seq = seq AND event_seq >= $1 AND event_seq < $2 AND endpoint = $6)
        ELSE 0 END AS generation
    FROM planned WHERE first OR again
), standing AS (
    SELECT latest.seq, delivery.lease, ended.next_kind FROM latest
    LEFT JOIN delivery ON delivery.event_seq = latest.seq AND delivery.endpoint = $6
        AND delivery.generation = latest.generation
    LEFT JOIN attempt AS ended ON ended.event_seq = latest.seq AND ended.endpoint = $6
        AND ended.event_seq >= $1 AND ended.event_seq < $2
        AND ended.generation = latest.generation AND ended.next_kind > 0
)
SELECT count(*) FILTER (WHERE lease IS NULL AND next_kind < $7::smallint),
    count(*) FILTER (WHERE lease IS NULL AND next_kind >= $7),
    count(*) FILTER (WHERE lease = 0),
    count(*) FILTER (WHERE lease <> 0)
FROM standing";

/// See [`becket_store::Store::delivery_count`].
pub(crate) async fn delivery_count(
    shared: &Arc<Shared>,
    scope: Scope,
    endpoint: EndpointKey,
    since_ms: i64,
    until_ms: i64,
) -> Result<DeliveryCounts> {
    let conn = shared.read(OPERATION).await?;
    let mut counts = DeliveryCounts::default();
    let Some(application) = shared.application_of(endpoint).await? else { return Ok(counts) };
    if !shared.in_scope(scope, application).await? {
        return Ok(counts);
    }
    let (application, endpoint) = (application_column(application), endpoint_column(endpoint));
    for (low, high) in stretches(&conn, since_ms, until_ms).await? {
        let parameters: Parameters<'_> =
            &[&low, &high, &since_ms, &until_ms, &application, &endpoint, &NEXT_FAILED];
        let Some(row) = conn.row(OPERATION, STAND, parameters).await? else { continue };
        let count = |at: usize| row.get::<_, i64>(at).unsigned_abs();
        counts.delivered += count(0);
        counts.failed += count(1);
        counts.waiting += count(2);
        counts.leased += count(3);
    }
    Ok(counts)
}
