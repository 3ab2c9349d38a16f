//! The statements that change a segment, shared by the writer of the hot segment and the keeper
//! of the older ones.

use std::sync::Arc;

use becket_model::{
    AttemptId, DeliveryKey, DeliveryState, EndpointKey, EventId, EventSeq, NextStep,
};
use becket_store::{AttemptFinish, DeliveryRow, EventAccept, Replayed};
use rusqlite::{Connection, OptionalExtension, params};

use crate::memory::Key;
use crate::rows::{
    NEXT_DELIVERED, NEXT_RETRY, disposition_column, next_columns, planned_column,
    planned_from_column, trigger_column,
};

/// Repeats of one event that are recorded; more only cost room.
const DUPLICATES_MAX: i64 = 10_000;

/// A delivery as the store's threads name it.
pub(crate) fn short_key(key: &DeliveryKey) -> Key {
    (key.event.seq().0, key.endpoint.0, key.generation)
}

/// Writes an event and its plan. `scratch` is reused between calls.
pub(crate) fn insert_event(
    connection: &Connection,
    event: &EventId,
    accept: &EventAccept,
    scratch: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    let seq = event.seq().0;
    let packed = accept.record.packed();
    planned_column(accept.planned.iter().map(|planned| planned.endpoint), scratch);
    let (dedupe, until_ms) = match &accept.dedupe {
        Some((key, _, window_ms)) => {
            (Some(&key.0[..]), Some(accept.received_at_ms.saturating_add_unsigned(*window_ms)))
        }
        None => (None, None),
    };
    let labels = if accept.labels.is_empty() {
        None
    } else {
        let text = serde_json::to_string(&accept.labels);
        Some(text.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?)
    };
    connection
        .prepare_cached("INSERT INTO event VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?
        .execute(params![
            seq,
            &event.tail()[..],
            accept.application.0,
            accept.received_at_ms,
            disposition_column(accept.disposition),
            dedupe,
            until_ms,
            packed.len() as i64,
            accept.event_type,
            &scratch[..],
            labels,
        ])?;
    connection
        .prepare_cached("INSERT INTO payload VALUES(?1, ?2)")?
        .execute(params![seq, &packed[..]])?;
    if let Some(until_ms) = accept.labels.payload_until_ms {
        connection
            .prepare_cached("INSERT INTO expiring VALUES(?1, ?2)")?
            .execute([until_ms, seq])?;
    }
    if let Some(due_ms) = accept.due_ms {
        for planned in accept.planned.iter().filter(|planned| !planned.leased) {
            insert_moved(connection, (seq, planned.endpoint.0, 0), 0, due_ms)?;
        }
    }
    Ok(())
}

/// When the first payload of a segment is to be removed.
pub(crate) fn next_expiring(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT min(until_ms) FROM expiring")?.query_row([], |row| row.get(0))
}

/// The endpoint, generation and number of an attempt, if it is there.
pub(crate) fn find_attempt(
    connection: &Connection,
    attempt: &AttemptId,
) -> rusqlite::Result<Option<(u32, u16, u32)>> {
    let seq = attempt.event_seq();
    let mut statement = connection.prepare_cached(
        "SELECT started_at_ms, tail, endpoint, generation, number FROM attempt
         WHERE event_seq = ?1",
    )?;
    let mut rows = statement.query([seq.0])?;
    while let Some(row) = rows.next()? {
        if AttemptId::new(row.get(0)?, seq, row.get(1)?) == *attempt {
            return Ok(Some((row.get(2)?, row.get(3)?, row.get(4)?)));
        }
    }
    Ok(None)
}

/// Writes an attempt and answers with its id.
pub(crate) fn insert_attempt(
    connection: &Connection,
    finish: &AttemptFinish,
    tail: [u8; 6],
) -> rusqlite::Result<AttemptId> {
    let attempt = &finish.attempt;
    let (seq, endpoint, generation) = short_key(&finish.delivery);
    let (next_kind, next_at_ms) = next_columns(finish.next);
    connection
        .prepare_cached(
            "INSERT INTO attempt VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            seq,
            endpoint,
            generation,
            attempt.number,
            next_kind,
            next_at_ms,
            &tail[..],
            trigger_column(attempt.trigger),
            attempt.started_at_ms,
            attempt.duration_ms,
            attempt.status,
            attempt.error_code,
            &attempt.detail[..],
        ])?;
    Ok(AttemptId::new(attempt.started_at_ms, EventSeq(seq), tail))
}

/// Records a repeat of an event.
pub(crate) fn insert_duplicate(
    connection: &Connection,
    seq: i64,
    received_at_ms: i64,
) -> rusqlite::Result<()> {
    let count: i64 = connection
        .prepare_cached("SELECT coalesce(max(number), 0) FROM duplicate WHERE event_seq = ?1")?
        .query_row([seq], |row| row.get(0))?;
    if count < DUPLICATES_MAX {
        connection.prepare_cached("INSERT INTO duplicate VALUES(?1, ?2, ?3)")?.execute(params![
            seq,
            count + 1,
            received_at_ms
        ])?;
    }
    Ok(())
}

/// Where all deliveries of an event stand, as its plan, its replays and its attempts tell.
pub(crate) fn deliveries(
    connection: &Connection,
    seq: i64,
    planned: &[u8],
    received_at_ms: i64,
) -> rusqlite::Result<Vec<DeliveryRow>> {
    let row = |endpoint, generation, due_ms| DeliveryRow {
        endpoint,
        generation,
        state: DeliveryState::Pending,
        attempts: 0,
        due_ms: Some(due_ms),
    };
    let mut list: Vec<DeliveryRow> =
        planned_from_column(planned).map(|endpoint| row(endpoint, 0, received_at_ms)).collect();
    let mut statement = connection.prepare_cached(
        "SELECT endpoint, generation, due_ms FROM replay WHERE event_seq = ?1
         ORDER BY generation, endpoint",
    )?;
    let mut rows = statement.query([seq])?;
    while let Some(replay) = rows.next()? {
        list.push(row(EndpointKey(replay.get(0)?), replay.get(1)?, replay.get(2)?));
    }
    let mut statement = connection.prepare_cached(
        "SELECT endpoint, generation, number, next_kind, next_at_ms FROM attempt
         WHERE event_seq = ?1",
    )?;
    let mut rows = statement.query([seq])?;
    while let Some(attempt) = rows.next()? {
        let (endpoint, generation): (u32, u16) = (attempt.get(0)?, attempt.get(1)?);
        let Some(delivery) =
            list.iter_mut().find(|row| row.endpoint.0 == endpoint && row.generation == generation)
        else {
            continue;
        };
        delivery.attempts = delivery.attempts.max(attempt.get(2)?);
        (delivery.state, delivery.due_ms) = match attempt.get::<_, i64>(3)? {
            NEXT_RETRY => (DeliveryState::Pending, Some(attempt.get(4)?)),
            NEXT_DELIVERED => (DeliveryState::Delivered, None),
            _ => (DeliveryState::Failed, None),
        };
    }
    let mut statement = connection.prepare_cached(
        "SELECT endpoint, generation, attempts, due_ms FROM moved WHERE event_seq = ?1",
    )?;
    let mut rows = statement.query([seq])?;
    while let Some(moved) = rows.next()? {
        let (endpoint, generation): (u32, u16) = (moved.get(0)?, moved.get(1)?);
        let attempts: u32 = moved.get(2)?;
        let due_ms = moved.get(3)?;
        for delivery in list.iter_mut().filter(|row| {
            row.state == DeliveryState::Pending
                && (row.endpoint.0, row.generation, row.attempts)
                    == (endpoint, generation, attempts)
        }) {
            delivery.due_ms = Some(due_ms);
        }
    }
    Ok(list)
}

/// The narrow facts of an event that replaying needs.
pub(crate) struct Facts {
    pub(crate) event: EventId,
    pub(crate) application: u32,
    pub(crate) received_at_ms: i64,
    pub(crate) planned: Vec<u8>,
}

/// Reads an event's narrow facts.
pub(crate) fn facts(connection: &Connection, seq: i64) -> rusqlite::Result<Option<Facts>> {
    connection
        .prepare_cached(
            "SELECT tail, application, received_at_ms, planned FROM event WHERE seq = ?1",
        )?
        .query_row([seq], |row| {
            Ok(Facts {
                event: EventId::new(EventSeq(seq), row.get(0)?),
                application: row.get(1)?,
                received_at_ms: row.get(2)?,
                planned: row.get(3)?,
            })
        })
        .optional()
}

/// What a replay comes to, before it is written.
pub(crate) struct ReplayPlan {
    pub(crate) replayed: Vec<Replayed>,
    /// How many attempts each pending one has had.
    pub(crate) attempts: Vec<u32>,
}

/// Plans a replay to `endpoints`, or to all that the event was planned for on receipt.
pub(crate) fn plan_replay(
    connection: &Connection,
    facts: &Facts,
    endpoints: Option<&[EndpointKey]>,
) -> rusqlite::Result<ReplayPlan> {
    let seq = facts.event.seq().0;
    let known = deliveries(connection, seq, &facts.planned, facts.received_at_ms)?;
    let mut wanted: Vec<EndpointKey> = match endpoints {
        Some(endpoints) => endpoints.to_vec(),
        None => planned_from_column(&facts.planned).collect(),
    };
    wanted.sort_unstable();
    wanted.dedup();
    let mut plan = ReplayPlan { replayed: Vec::new(), attempts: Vec::new() };
    for endpoint in wanted {
        let latest = known
            .iter()
            .filter(|delivery| delivery.endpoint == endpoint)
            .max_by_key(|delivery| delivery.generation);
        let (generation, fresh, attempts) = match latest {
            Some(delivery) if delivery.state == DeliveryState::Pending => {
                (delivery.generation, false, delivery.attempts)
            }
            Some(delivery) => (delivery.generation.saturating_add(1), true, 0),
            // Generation 0 is what was planned on receipt.
            None => (1, true, 0),
        };
        let key = DeliveryKey { event: facts.event, endpoint, generation };
        plan.replayed.push(Replayed { key, fresh });
        plan.attempts.push(attempts);
    }
    Ok(plan)
}

/// Writes the fresh deliveries of a replay.
pub(crate) fn insert_replays(
    connection: &Connection,
    replayed: &[Replayed],
    due_ms: i64,
) -> rusqlite::Result<()> {
    for replay in replayed.iter().filter(|replay| replay.fresh) {
        let (seq, endpoint, generation) = short_key(&replay.key);
        connection
            .prepare_cached("INSERT INTO replay VALUES(?1, ?2, ?3, ?4)")?
            .execute(params![seq, endpoint, generation, due_ms])?;
    }
    Ok(())
}

/// Notes that a waiting delivery has become due at another moment than its last attempt (or its
/// receipt, or its replay) said. Holds until the next attempt.
pub(crate) fn insert_moved(
    connection: &Connection,
    (seq, endpoint, generation): Key,
    attempts: u32,
    due_ms: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO moved VALUES(?1, ?2, ?3, ?4, ?5)")?
        .execute(params![seq, endpoint, generation, attempts, due_ms])
        .map(drop)
}

/// Whether the event has deliveries and the latest to every endpoint has failed for good.
pub(crate) fn has_failed(connection: &Connection, facts: &Facts) -> rusqlite::Result<bool> {
    let seq = facts.event.seq().0;
    let known = deliveries(connection, seq, &facts.planned, facts.received_at_ms)?;
    Ok(!known.is_empty()
        && known.iter().all(|delivery| {
            let superseded = known.iter().any(|other| {
                other.endpoint == delivery.endpoint && other.generation > delivery.generation
            });
            superseded || delivery.state == DeliveryState::Failed
        }))
}

/// Whether a delivery has ended, and how it counts from then on.
pub(crate) const fn ended(next: NextStep) -> Option<bool> {
    match next {
        NextStep::RetryAt(_) => None,
        NextStep::Delivered => Some(false),
        NextStep::Failed(_) => Some(true),
    }
}

/// What readers share of a row without copying its text twice.
pub(crate) fn shared_text(text: Option<String>) -> Option<Arc<str>> {
    text.map(Arc::from)
}
