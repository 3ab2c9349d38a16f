//! Writing moved events, with all that belongs to each.

use std::collections::HashSet;

use becket_store::transfer::EventItem;
use becket_store::{Result, StoreError};
use tokio_postgres::types::Type;

use super::columns::signed;
use super::copy::Copy;
use crate::events::columns::{disposition_column, next_columns, trigger_column};
use crate::partitions::{day_of, make_in};
use crate::session::Session;
use crate::text;
use crate::transaction::Tx;

const WRITE: &str = "write moved events";

/// Writes events that come after all that are there. `days` remembers which have partitions.
pub(super) async fn write(
    session: &mut Session,
    days: &mut HashSet<i32>,
    list: &[EventItem],
) -> Result<()> {
    let wanted: HashSet<i32> = list.iter().map(|event| day_of(event.id.seq().0)).collect();
    let tx = session.begin(WRITE).await?;
    let mut missing: Vec<i32> = wanted.difference(days).copied().collect();
    missing.sort_unstable();
    for day in &missing {
        make_in(&tx, *day).await?;
    }
    write_events(&tx, list).await?;
    write_attempts(&tx, list).await?;
    write_replays(&tx, list).await?;
    write_duplicates(&tx, list).await?;
    write_pending(&tx, list).await?;
    tx.commit().await?;
    days.extend(missing);
    Ok(())
}

async fn write_events(tx: &Tx<'_>, list: &[EventItem]) -> Result<()> {
    let mut copy = Copy::into(
        tx,
        "event (seq, tail, application, received_at_ms, disposition, size_bytes, dedupe_until_ms,
                payload_until_ms, dedupe, event_type, planned, labels, record)",
        &[
            Type::INT8,
            Type::BYTEA,
            Type::INT4,
            Type::INT8,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::INT8,
            Type::BYTEA,
            Type::TEXT,
            Type::INT4_ARRAY,
            Type::TEXT,
            Type::BYTEA,
        ],
    )
    .await?;
    for event in list {
        let size = i32::try_from(event.record.len()).map_err(|_| StoreError::Unusable {
            path: format!("event {}", event.id),
            detail: "it is larger than this database can keep".to_owned(),
        })?;
        let planned: Vec<i32> =
            event.planned.iter().map(|endpoint| signed(endpoint.0)).collect::<Result<_>>()?;
        copy.row(&[
            &event.id.seq().0,
            &&event.id.tail()[..],
            &signed(event.application.0)?,
            &event.received_at_ms,
            &disposition_column(event.disposition),
            &size,
            &event.dedupe.map(|(_, until_ms)| until_ms),
            &event.payload_until_ms,
            &event.dedupe.as_ref().map(|(key, _)| &key[..]),
            &text::pack_some(event.event_type.as_deref()),
            &planned,
            &text::pack_some(event.labels.as_deref()),
            &&event.record[..],
        ])
        .await?;
    }
    copy.end().await
}

async fn write_attempts(tx: &Tx<'_>, list: &[EventItem]) -> Result<()> {
    if list.iter().all(|event| event.attempts.is_empty()) {
        return Ok(());
    }
    let mut copy = Copy::into(
        tx,
        "attempt (event_seq, started_at_ms, next_at_ms, endpoint, number, duration_ms, generation,
                  next_kind, trigger, status, tail, error_code, detail)",
        &[
            Type::INT8,
            Type::INT8,
            Type::INT8,
            Type::INT4,
            Type::INT4,
            Type::INT4,
            Type::INT2,
            Type::INT2,
            Type::INT2,
            Type::INT2,
            Type::BYTEA,
            Type::TEXT,
            Type::BYTEA,
        ],
    )
    .await?;
    for event in list {
        for one in &event.attempts {
            let (next_kind, next_at_ms) = next_columns(one.next);
            copy.row(&[
                &event.id.seq().0,
                &one.started_at_ms,
                &next_at_ms,
                &signed(one.endpoint.0)?,
                &one.number.cast_signed(),
                &one.duration_ms.cast_signed(),
                &one.generation.cast_signed(),
                &next_kind,
                &trigger_column(one.trigger),
                &one.status.map(u16::cast_signed),
                &&one.tail[..],
                &text::pack_some(one.error_code.as_deref()),
                &&one.detail[..],
            ])
            .await?;
        }
    }
    copy.end().await
}

/// Their numbers, which only tell the order, are given anew.
async fn write_replays(tx: &Tx<'_>, list: &[EventItem]) -> Result<()> {
    if list.iter().all(|event| event.replays.is_empty()) {
        return Ok(());
    }
    let types = [Type::INT8, Type::INT4, Type::INT2];
    let mut copy = Copy::into(tx, "replay (event_seq, endpoint, generation)", &types).await?;
    for event in list {
        for one in &event.replays {
            let (endpoint, generation) = (signed(one.endpoint.0)?, one.generation.cast_signed());
            copy.row(&[&event.id.seq().0, &endpoint, &generation]).await?;
        }
    }
    copy.end().await
}

/// Likewise.
async fn write_duplicates(tx: &Tx<'_>, list: &[EventItem]) -> Result<()> {
    if list.iter().all(|event| event.duplicates.is_empty()) {
        return Ok(());
    }
    let types = [Type::INT8, Type::INT8];
    let mut copy = Copy::into(tx, "duplicate (event_seq, received_at_ms)", &types).await?;
    for event in list {
        for received_at_ms in &event.duplicates {
            copy.row(&[&event.id.seq().0, received_at_ms]).await?;
        }
    }
    copy.end().await
}

/// Nothing is under lease.
async fn write_pending(tx: &Tx<'_>, list: &[EventItem]) -> Result<()> {
    if list.iter().all(|event| event.pending.is_empty()) {
        return Ok(());
    }
    let mut copy = Copy::into(
        tx,
        "delivery (event_seq, due_ms, lease, lease_until_ms, endpoint, attempts, generation)",
        &[Type::INT8, Type::INT8, Type::INT8, Type::INT8, Type::INT4, Type::INT4, Type::INT2],
    )
    .await?;
    for event in list {
        for one in &event.pending {
            copy.row(&[
                &event.id.seq().0,
                &one.due_ms,
                &0_i64,
                &0_i64,
                &signed(one.endpoint.0)?,
                &one.attempts.cast_signed(),
                &one.generation.cast_signed(),
            ])
            .await?;
        }
    }
    copy.end().await
}
