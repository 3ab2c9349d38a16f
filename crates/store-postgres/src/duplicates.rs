//! Repeats that were recorded.

use std::sync::Arc;

use becket_model::EventId;
use becket_store::{DuplicateRow, Result, Scope};

use crate::events;
use crate::shared::Shared;

const OPERATION: &str = "read repeats";

/// See [`becket_store::Store::duplicate_list`].
pub(crate) async fn duplicate_list(
    shared: &Arc<Shared>,
    scope: Scope,
    event: EventId,
    limit: usize,
) -> Result<Vec<DuplicateRow>> {
    let conn = shared.read(OPERATION).await?;
    if events::application_of(shared, &conn, scope, event).await?.is_none() {
        return Ok(Vec::new());
    }
    let sql = "SELECT received_at_ms FROM duplicate WHERE event_seq = $1 ORDER BY number LIMIT $2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = conn.rows(OPERATION, sql, &[&event.seq().0, &limit]).await?;
    Ok(rows.iter().map(|row| DuplicateRow { event, received_at_ms: row.get(0) }).collect())
}
