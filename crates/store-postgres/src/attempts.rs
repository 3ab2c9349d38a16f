//! Reading attempts, and replacing what a receiver answered.

use std::sync::Arc;

use becket_model::{AttemptId, DeliveryKey, EventId, EventSeq};
use becket_store::{AttemptRow, AttemptWrite, Result, Scope};
use bytes::Bytes;
use tokio_postgres::Row;

use crate::events::columns::{
    application_from_column, endpoint_from_column, event_id, next_from_columns, trigger_from_column,
};
use crate::shared::Shared;
use crate::text::unpack_some;

/// The columns of an attempt with those of its event that tell whose it is; a condition follows.
const SELECT: &str = "
    SELECT event.application, event.tail, attempt.event_seq, attempt.endpoint, attempt.generation,
        attempt.number, attempt.next_kind, attempt.next_at_ms, attempt.tail, attempt.trigger,
        attempt.started_at_ms, attempt.duration_ms, attempt.status, attempt.error_code,
        attempt.detail
    FROM event JOIN attempt ON attempt.event_seq = event.seq
    WHERE event.seq = $1 AND attempt.event_seq = $1";

pub(crate) async fn attempt_list(
    shared: &Arc<Shared>,
    scope: Scope,
    event: EventId,
) -> Result<Vec<AttemptRow>> {
    let conn = shared.read("attempt_list").await?;
    let sql = format!(
        "{SELECT} AND event.tail = $2
         ORDER BY started_at_ms, attempt.generation, attempt.number, attempt.endpoint"
    );
    let rows = conn.rows("attempt_list", &sql, &[&event.seq().0, &event.tail().as_slice()]).await?;
    drop(conn);
    match rows.first() {
        Some(row) if covers(shared, scope, row).await? => rows.iter().map(attempt_row).collect(),
        _ => Ok(Vec::new()),
    }
}

pub(crate) async fn attempt_get(
    shared: &Arc<Shared>,
    scope: Scope,
    attempt: AttemptId,
) -> Result<Option<AttemptRow>> {
    let Parts { seq, started_at_ms, tail } = parts(attempt);
    let conn = shared.read("attempt_get").await?;
    let sql = format!("{SELECT} AND attempt.started_at_ms = $2 AND attempt.tail = $3");
    let row = conn.row("attempt_get", &sql, &[&seq, &started_at_ms, &tail.as_slice()]).await?;
    drop(conn);
    match row {
        Some(row) if covers(shared, scope, &row).await? => attempt_row(&row).map(Some),
        _ => Ok(None),
    }
}

pub(crate) async fn attempt_rewrite(
    shared: &Arc<Shared>,
    scope: Scope,
    attempt: AttemptId,
    detail: Bytes,
) -> Result<bool> {
    let Some(known) = attempt_get(shared, scope, attempt).await? else { return Ok(false) };
    let Parts { seq, started_at_ms, tail } = parts(attempt);
    let sql = concat!(
        "UPDATE attempt SET detail = $5
         WHERE event_seq = $1 AND endpoint = $2 AND started_at_ms = $3 AND tail = $4 AND ",
        crate::disk::durable!()
    );
    let endpoint = known.delivery.endpoint.0.cast_signed();
    let conn = shared.write("attempt_rewrite").await?;
    let changed = conn
        .run(
            "attempt_rewrite",
            sql,
            &[&seq, &endpoint, &started_at_ms, &tail.as_slice(), &detail.as_ref()],
        )
        .await?;
    Ok(changed > 0)
}

/// What an attempt's id says.
struct Parts {
    seq: i64,
    started_at_ms: i64,
    tail: [u8; 6],
}

fn parts(attempt: AttemptId) -> Parts {
    let bytes = attempt.as_bytes();
    let [mut started, mut tail] = [[0_u8; 8], [0; 8]];
    started[2..].copy_from_slice(&bytes[..6]);
    tail[2..].copy_from_slice(&bytes[14..]);
    // The id keeps 48 bits of the moment; they are those of a signed number.
    let started_at_ms = i64::from_be_bytes(started) << 16 >> 16;
    let tail = [tail[2], tail[3], tail[4], tail[5], tail[6], tail[7]];
    Parts { seq: attempt.event_seq().0, started_at_ms, tail }
}

async fn covers(shared: &Shared, scope: Scope, row: &Row) -> Result<bool> {
    shared.in_scope(scope, application_from_column(row.get(0))).await
}

fn attempt_row(row: &Row) -> Result<AttemptRow> {
    let seq: i64 = row.get(2);
    let started_at_ms = row.get(10);
    let tail: &[u8] = row.get(8);
    let tail = tail.try_into().map_err(|_| {
        crate::errors::unusable(format!("an attempt of event {seq} has a damaged id"))
    })?;
    Ok(AttemptRow {
        id: AttemptId::new(started_at_ms, EventSeq(seq), tail),
        delivery: DeliveryKey {
            event: event_id(seq, row.get(1))?,
            endpoint: endpoint_from_column(row.get(3)),
            generation: row.get::<_, i16>(4).cast_unsigned(),
        },
        attempt: AttemptWrite {
            number: row.get::<_, i32>(5).cast_unsigned(),
            trigger: trigger_from_column(row.get(9)),
            started_at_ms,
            duration_ms: row.get::<_, i32>(11).cast_unsigned(),
            status: row.get::<_, Option<i16>>(12).map(i16::cast_unsigned),
            error_code: unpack_some(row.get(13)),
            detail: Bytes::copy_from_slice(row.get(14)),
        },
        next: next_from_columns(row.get(6), row.get(7)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_parts() {
        for started_at_ms in [0, 1_700_000_000_123, -5] {
            let id = AttemptId::new(started_at_ms, EventSeq(77), [1, 2, 3, 4, 5, 6]);
            let parts = parts(id);
            assert_eq!((parts.seq, parts.started_at_ms), (77, started_at_ms));
            assert_eq!(parts.tail, [1, 2, 3, 4, 5, 6]);
        }
    }
}
