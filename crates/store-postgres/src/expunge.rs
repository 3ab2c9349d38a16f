//! Removing payloads for good: the row keeps what is left of the event.
//!
//! What was removed is unreadable at once; its bytes leave the database's files when the row's old
//! version is vacuumed away, which the database does by itself.

use std::sync::Arc;

use becket_model::{EventId, EventRecord};
use becket_store::{Result, Scope};

use crate::accept::labels_column;
use crate::events::columns::{application_from_column, event_id};
use crate::events::{labels_from_column, record_from_column};
use crate::shared::Shared;
use crate::transaction::Tx;

const OPERATION: &str = "remove payloads";
/// How many payloads one step removes.
const STEP_EVENTS: i64 = 200;

/// See [`becket_store::Store::event_expunge`].
pub(crate) async fn event_expunge(
    shared: &Arc<Shared>,
    scope: Scope,
    event: EventId,
    now_ms: i64,
) -> Result<bool> {
    let seq = event.seq().0;
    let mut conn = shared.write(OPERATION).await?;
    let tx = conn.begin(OPERATION).await?;
    let sql = "SELECT tail, application, labels, record FROM event WHERE seq = $1 FOR UPDATE";
    let Some(row) = tx.row(sql, &[&seq]).await? else { return Ok(false) };
    let application = application_from_column(row.get(1));
    if event_id(seq, row.get(0))? != event || !shared.in_scope(scope, application).await? {
        return Ok(false);
    }
    if !record_from_column(row.get(3), seq)?.is_expunged() {
        let labels = forgotten(row.get(2), seq)?;
        expunge(&tx, &[seq], &[labels], now_ms).await?;
        tx.commit().await?;
    }
    Ok(true)
}

/// See [`becket_store::Store::event_expunge_due`]. Several nodes may do this at the same time: each
/// passes over what another one has in hand.
pub(crate) async fn event_expunge_due(shared: &Arc<Shared>, now_ms: i64) -> Result<u64> {
    let mut conn = shared.write(OPERATION).await?;
    let tx = conn.begin(OPERATION).await?;
    let sql = "SELECT seq, labels FROM event WHERE payload_until_ms <= $1
        LIMIT $2 FOR UPDATE SKIP LOCKED";
    let (mut seqs, mut labels): (Vec<i64>, Vec<_>) = (Vec::new(), Vec::new());
    for row in tx.rows(sql, &[&now_ms, &STEP_EVENTS]).await? {
        let seq = row.get(0);
        seqs.push(seq);
        labels.push(forgotten(row.get(1), seq)?);
    }
    if seqs.is_empty() {
        return Ok(0);
    }
    expunge(&tx, &seqs, &labels, now_ms).await?;
    tx.commit().await?;
    Ok(seqs.len() as u64)
}

/// Labels without what was copied from the payload.
fn forgotten(column: Option<&str>, seq: i64) -> Result<Option<String>> {
    let mut labels = labels_from_column(column, seq)?;
    labels.forget_payload();
    Ok(labels_column(&labels))
}

async fn expunge(tx: &Tx<'_>, seqs: &[i64], labels: &[Option<String>], now_ms: i64) -> Result<()> {
    let record = EventRecord::expunged(now_ms);
    let packed: &[u8] = record.packed();
    let (low, high) = (seqs.iter().min(), seqs.iter().max());
    let sql = "UPDATE event SET labels = one.labels, record = $3::bytea,
            size_bytes = octet_length($3::bytea), payload_until_ms = NULL
        FROM unnest($1::bigint[], $2::text[]) AS one (seq, labels)
        WHERE event.seq = one.seq AND event.seq BETWEEN $4::bigint AND $5::bigint";
    tx.run(sql, &[&seqs, &labels, &packed, &low, &high]).await?;
    Ok(())
}
