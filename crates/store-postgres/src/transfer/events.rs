//! Reading events, with all that belongs to each.

use std::collections::HashMap;
use std::iter::Peekable;

use becket_model::{ApplicationKey, EndpointKey};
use becket_store::Result;
use becket_store::transfer::{
    AttemptItem, CHUNK_BYTES, CHUNK_ITEMS, Chunk, EventItem, PendingItem, ReplayItem,
};
use bytes::Bytes;
use tokio::try_join;
use tokio_postgres::Row;

use super::columns::fixed;
use crate::events::columns::{
    disposition_from_column, event_id, next_from_columns, trigger_from_column,
};
use crate::session::{Parameters, Session};
use crate::text;

const READ: &str = "read events for a move";

/// The events after a place.
pub(super) async fn read(session: &Session, after: i64) -> Result<Chunk> {
    let Some(last) = last_of_chunk(session, after).await? else {
        return Ok(Chunk::Events(Vec::new()));
    };
    let range: Parameters<'_> = &[&after, &last];
    // All at once: the database answers one after the other, but nobody waits in between.
    let (events, replays, attempts, pending, duplicates) = try_join!(
        session.rows(
            READ,
            "SELECT seq, tail, application, received_at_ms, disposition, dedupe, dedupe_until_ms,
                    payload_until_ms, event_type, labels, planned, record
             FROM event WHERE seq > $1 AND seq <= $2 ORDER BY seq",
            range
        ),
        session.rows(
            READ,
            "SELECT event_seq, generation, endpoint FROM replay
             WHERE event_seq > $1 AND event_seq <= $2 ORDER BY event_seq, number",
            range
        ),
        session.rows(
            READ,
            "SELECT event_seq, endpoint, generation, number, next_kind, next_at_ms, tail, trigger,
                    started_at_ms, duration_ms, status, error_code, detail
             FROM attempt WHERE event_seq > $1 AND event_seq <= $2
             ORDER BY event_seq, endpoint, generation, number",
            range
        ),
        session.rows(
            READ,
            "SELECT event_seq, endpoint, generation, attempts, due_ms FROM delivery
             WHERE event_seq > $1 AND event_seq <= $2 ORDER BY event_seq, endpoint, generation",
            range
        ),
        session.rows(
            READ,
            "SELECT event_seq, received_at_ms FROM duplicate
             WHERE event_seq > $1 AND event_seq <= $2 ORDER BY event_seq, number",
            range
        ),
    )?;
    let mut replays = Along::new(replays);
    let mut attempts = Along::new(attempts);
    let mut pending = Along::new(pending);
    let mut duplicates = Along::new(duplicates);
    let mut list = Vec::with_capacity(events.len());
    for row in events {
        let seq: i64 = row.get(0);
        let mut event = narrow(seq, &row)?;
        event.replays = replays.take(seq, |row| Ok(replay(row)))?;
        event.attempts = attempts.take(seq, attempt)?;
        event.pending = pending.take(seq, |row| Ok(pending_row(row)))?;
        event.duplicates = duplicates.take(seq, |row| Ok(row.get(1)))?;
        list.push(event);
    }
    Ok(Chunk::Events(list))
}

/// Where the chunk after a place ends: so that it has not too many events and not too many bytes.
async fn last_of_chunk(session: &Session, after: i64) -> Result<Option<i64>> {
    let limit = CHUNK_ITEMS as i64;
    let events = session
        .rows(
            READ,
            "SELECT seq, size_bytes FROM event WHERE seq > $1 ORDER BY seq LIMIT $2",
            &[&after, &limit],
        )
        .await?;
    let Some(last) = events.last().map(|row| row.get::<_, i64>(0)) else { return Ok(None) };
    let range: Parameters<'_> = &[&after, &last];
    let (details, repeats) = try_join!(
        session.rows(
            READ,
            "SELECT event_seq, sum(octet_length(detail) + 160)::bigint FROM attempt
             WHERE event_seq > $1 AND event_seq <= $2 GROUP BY event_seq",
            range
        ),
        session.rows(
            READ,
            "SELECT event_seq, 24 * count(*) FROM duplicate
             WHERE event_seq > $1 AND event_seq <= $2 GROUP BY event_seq",
            range
        ),
    )?;
    let mut beside: HashMap<i64, i64> = HashMap::new();
    for row in details.iter().chain(&repeats) {
        *beside.entry(row.get(0)).or_default() += row.get::<_, i64>(1);
    }
    let mut bytes = 0_i64;
    for row in &events {
        let seq: i64 = row.get(0);
        bytes += i64::from(row.get::<_, i32>(1)) + 400 + beside.get(&seq).copied().unwrap_or(0);
        if bytes >= CHUNK_BYTES as i64 {
            return Ok(Some(seq));
        }
    }
    Ok(Some(last))
}

/// Rows that are walked beside the events, in the same order.
struct Along {
    rows: Peekable<std::vec::IntoIter<Row>>,
}

impl Along {
    fn new(rows: Vec<Row>) -> Self {
        Self { rows: rows.into_iter().peekable() }
    }

    /// The rows of the event at this place; earlier ones without an event are of no use to anybody.
    fn take<T>(&mut self, seq: i64, read: impl Fn(&Row) -> Result<T>) -> Result<Vec<T>> {
        let mut list = Vec::new();
        while let Some(row) = self.rows.next_if(|row| row.get::<_, i64>(0) <= seq) {
            if row.get::<_, i64>(0) == seq {
                list.push(read(&row)?);
            }
        }
        Ok(list)
    }
}

/// An event without what stands in other tables.
fn narrow(seq: i64, row: &Row) -> Result<EventItem> {
    let dedupe: Option<&[u8]> = row.get(5);
    let planned: Vec<i32> = row.get(10);
    Ok(EventItem {
        id: event_id(seq, row.get(1))?,
        application: ApplicationKey(row.get::<_, i32>(2).cast_unsigned()),
        received_at_ms: row.get(3),
        disposition: disposition_from_column(row.get(4)),
        dedupe: dedupe.map(fixed).transpose()?.zip(row.get(6)),
        payload_until_ms: row.get(7),
        event_type: text::unpack_some(row.get(8)),
        labels: text::unpack_some(row.get(9)),
        planned: planned.into_iter().map(|key| EndpointKey(key.cast_unsigned())).collect(),
        record: Bytes::copy_from_slice(row.get(11)),
        replays: Vec::new(),
        attempts: Vec::new(),
        pending: Vec::new(),
        duplicates: Vec::new(),
    })
}

fn endpoint(row: &Row, at: usize) -> EndpointKey {
    EndpointKey(row.get::<_, i32>(at).cast_unsigned())
}

fn replay(row: &Row) -> ReplayItem {
    ReplayItem { generation: row.get::<_, i16>(1).cast_unsigned(), endpoint: endpoint(row, 2) }
}

fn pending_row(row: &Row) -> PendingItem {
    PendingItem {
        endpoint: endpoint(row, 1),
        generation: row.get::<_, i16>(2).cast_unsigned(),
        attempts: row.get::<_, i32>(3).cast_unsigned(),
        due_ms: row.get(4),
    }
}

fn attempt(row: &Row) -> Result<AttemptItem> {
    Ok(AttemptItem {
        endpoint: endpoint(row, 1),
        generation: row.get::<_, i16>(2).cast_unsigned(),
        number: row.get::<_, i32>(3).cast_unsigned(),
        next: next_from_columns(row.get(4), row.get(5)),
        tail: fixed(row.get(6))?,
        trigger: trigger_from_column(row.get(7)),
        started_at_ms: row.get(8),
        duration_ms: row.get::<_, i32>(9).cast_unsigned(),
        status: row.get::<_, Option<i16>>(10).map(i16::cast_unsigned),
        error_code: text::unpack_some(row.get(11)),
        detail: Bytes::copy_from_slice(row.get(12)),
    })
}
