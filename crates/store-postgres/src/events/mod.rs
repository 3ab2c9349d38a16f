//! One event: its row, its request, and how its deliveries stand.
//!
//! A delivery that has not ended is a row of `delivery`; what became of an ended one is told by its
//! last attempt. Both are read by one statement, so that none is missed on its way from here to there.

pub(crate) mod columns;

use std::collections::HashMap;
use std::sync::Arc;

use becket_model::{
    ApplicationKey, DeliveryState, Disposition, EventId, EventLabels, EventRecord, NextStep,
};
use becket_store::{DeliveryRow, EventRow, Result, Scope, StoreError};
use bytes::Bytes;
use tokio_postgres::Row;

use self::columns::{
    application_from_column, disposition_from_column, endpoint_from_column, event_id,
    next_from_columns,
};
use crate::session::Session;
use crate::shared::Shared;
use crate::text;

const OPERATION: &str = "read event";

/// The columns of [`Narrow`].
pub(crate) const COLUMNS: &str =
    "seq, tail, application, received_at_ms, disposition, size_bytes, event_type, planned, labels";

/// An event without its request, as its row says it.
pub(crate) struct Narrow {
    pub(crate) id: EventId,
    pub(crate) application: ApplicationKey,
    pub(crate) labels: EventLabels,
    pub(crate) size_bytes: u64,
    received_at_ms: i64,
    disposition: Disposition,
    event_type: Option<String>,
    planned: Vec<i32>,
}

/// Reads [`COLUMNS`].
pub(crate) fn narrow(row: &Row) -> Result<Narrow> {
    let seq = row.get(0);
    Ok(Narrow {
        id: event_id(seq, row.get(1))?,
        application: application_from_column(row.get(2)),
        received_at_ms: row.get(3),
        disposition: disposition_from_column(row.get(4)),
        size_bytes: u64::from(row.get::<_, i32>(5).unsigned_abs()),
        event_type: text::unpack_some(row.get(6)),
        planned: row.get(7),
        labels: labels_from_column(row.get(8), seq)?,
    })
}

/// Reads what an event says about itself.
pub(crate) fn labels_from_column(column: Option<&str>, seq: i64) -> Result<EventLabels> {
    let Some(column) = column else { return Ok(EventLabels::default()) };
    serde_json::from_str(column).map_err(|error| StoreError::Database {
        operation: OPERATION,
        detail: format!("the labels of event {seq} are damaged: {error}"),
    })
}

/// Reads a packed request.
pub(crate) fn record_from_column(column: Vec<u8>, seq: i64) -> Result<EventRecord> {
    EventRecord::from_packed(Bytes::from(column)).map_err(|error| StoreError::Database {
        operation: OPERATION,
        detail: format!("the request of event {seq} is damaged: {error}"),
    })
}

/// See [`becket_store::Store::event_get`].
pub(crate) async fn event_get(
    shared: &Arc<Shared>,
    scope: Scope,
    event: EventId,
) -> Result<Option<EventRow>> {
    let conn = shared.read(OPERATION).await?;
    let sql = format!("SELECT {COLUMNS} FROM event WHERE seq = $1");
    let Some(row) = conn.row(OPERATION, &sql, &[&event.seq().0]).await? else { return Ok(None) };
    let row = narrow(&row)?;
    if row.id != event || !shared.in_scope(scope, row.application).await? {
        return Ok(None);
    }
    Ok(complete(&conn, OPERATION, vec![row]).await?.pop())
}

/// See [`becket_store::Store::event_record`].
pub(crate) async fn event_record(
    shared: &Arc<Shared>,
    scope: Scope,
    event: EventId,
) -> Result<Option<EventRecord>> {
    let conn = shared.read(OPERATION).await?;
    let seq = event.seq().0;
    let sql = "SELECT tail, application, record FROM event WHERE seq = $1";
    let Some(row) = conn.row(OPERATION, sql, &[&seq]).await? else { return Ok(None) };
    let application = application_from_column(row.get(1));
    if event_id(seq, row.get(0))? != event || !shared.in_scope(scope, application).await? {
        return Ok(None);
    }
    record_from_column(row.get(2), seq).map(Some)
}

/// The application of an event, if the event is in the scope.
pub(crate) async fn application_of(
    shared: &Shared,
    session: &Session,
    scope: Scope,
    event: EventId,
) -> Result<Option<ApplicationKey>> {
    let seq = event.seq().0;
    let sql = "SELECT tail, application FROM event WHERE seq = $1";
    let Some(row) = session.row(OPERATION, sql, &[&seq]).await? else { return Ok(None) };
    let application = application_from_column(row.get(1));
    let here = event_id(seq, row.get(0))? == event && shared.in_scope(scope, application).await?;
    Ok(here.then_some(application))
}

/// How the deliveries of events between $2 and $3 stand: the replays in their order, what has not
/// ended, and the last attempt of each.
const STANDING: &str = "
    SELECT 0::smallint, event_seq, endpoint, generation, 0, number, 0::smallint
    FROM replay WHERE event_seq = ANY($1::bigint[]) AND event_seq BETWEEN $2::bigint AND $3::bigint
    UNION ALL
    SELECT 1::smallint, event_seq, endpoint, generation, attempts,
        CASE WHEN lease = 0 THEN due_ms END, 0::smallint
    FROM delivery WHERE event_seq = ANY($1)
    UNION ALL
    SELECT 2::smallint, event_seq, endpoint, generation, number, next_at_ms, next_kind FROM (
        SELECT DISTINCT ON (event_seq, endpoint, generation) *
        FROM attempt WHERE event_seq = ANY($1) AND event_seq BETWEEN $2 AND $3
        ORDER BY event_seq, endpoint, generation, number DESC
    ) AS last
    ORDER BY 1, 2, 6";

/// How a delivery stands.
#[derive(Debug, Clone, Copy)]
struct Standing {
    state: DeliveryState,
    attempts: u32,
    due_ms: Option<i64>,
}

/// Adds the deliveries to events.
pub(crate) async fn complete(
    session: &Session,
    operation: &'static str,
    events: Vec<Narrow>,
) -> Result<Vec<EventRow>> {
    let seqs: Vec<i64> = events.iter().map(|event| event.id.seq().0).collect();
    let (Some(low), Some(high)) = (seqs.iter().min(), seqs.iter().max()) else {
        return Ok(Vec::new());
    };
    let mut standing: HashMap<(i64, i32, i16), Standing> = HashMap::new();
    let mut replays: HashMap<i64, Vec<(i32, i16)>> = HashMap::new();
    for row in session.rows(operation, STANDING, &[&seqs, low, high]).await? {
        let (seq, endpoint, generation): (i64, i32, i16) = (row.get(1), row.get(2), row.get(3));
        let attempts = row.get::<_, i32>(4).unsigned_abs();
        let key = (seq, endpoint, generation);
        match row.get::<_, i16>(0) {
            0 => replays.entry(seq).or_default().push((endpoint, generation)),
            1 => {
                let due_ms = row.get(5);
                let pending = Standing { state: DeliveryState::Pending, attempts, due_ms };
                standing.insert(key, pending);
            }
            _ => {
                let state = match next_from_columns(row.get(6), row.get(5)) {
                    NextStep::Delivered => DeliveryState::Delivered,
                    NextStep::Failed(_) => DeliveryState::Failed,
                    // Its endpoint was removed for good before it could be tried again.
                    NextStep::RetryAt(_) => DeliveryState::Cancelled,
                };
                standing.entry(key).or_insert(Standing { state, attempts, due_ms: None });
            }
        }
    }
    let none = Standing { state: DeliveryState::Cancelled, attempts: 0, due_ms: None };
    let row_of = |event: Narrow| {
        let seq = event.id.seq().0;
        let again = replays.get(&seq).into_iter().flatten().copied();
        let all = event.planned.iter().map(|endpoint| (*endpoint, 0)).chain(again);
        let deliveries = all.map(|(endpoint, generation)| {
            let now = standing.get(&(seq, endpoint, generation)).unwrap_or(&none);
            DeliveryRow {
                endpoint: endpoint_from_column(endpoint),
                generation: generation.unsigned_abs(),
                state: now.state,
                attempts: now.attempts,
                due_ms: now.due_ms,
            }
        });
        EventRow {
            id: event.id,
            application: event.application,
            received_at_ms: event.received_at_ms,
            deliveries: deliveries.collect(),
            event_type: event.event_type,
            disposition: event.disposition,
            labels: event.labels,
            size_bytes: event.size_bytes,
        }
    };
    Ok(events.into_iter().map(row_of).collect())
}
