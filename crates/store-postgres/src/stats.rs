//! Counts and sizes.
//!
//! Events are counted when they are stored and when they go (`tally`), so that nobody scans them.

use std::sync::Arc;

use becket_store::{Result, StoreStats};

use crate::shared::Shared;

const OPERATION: &str = "read statistics";
/// Up to so many deliveries are counted one by one; above it the database's own estimate will do.
const COUNTED_MAX: i64 = 200_000;

/// See [`becket_store::Store::stats`].
pub(crate) async fn stats(shared: &Arc<Shared>) -> Result<StoreStats> {
    let conn = shared.read(OPERATION).await?;
    let sql = "SELECT
        (SELECT COALESCE(sum(events), 0) FROM tally)::bigint,
        (SELECT count(*) FROM (SELECT FROM delivery LIMIT $1::bigint + 1) AS counted),
        (SELECT reltuples FROM pg_class WHERE oid = 'delivery'::regclass)::bigint,
        (SELECT COALESCE(sum(pg_total_relation_size(oid)), 0) FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'm'))::bigint,
        (SELECT count(*) FROM pg_inherits WHERE inhparent = 'event'::regclass),
        (SELECT count(*) FROM quarantine)";
    let row = conn.row(OPERATION, sql, &[&COUNTED_MAX]).await?;
    let Some(row) = row else { return Ok(StoreStats::default()) };
    let count = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0);
    let (counted, estimated) = (count(1), count(2));
    let partitions = count(4);
    shared.meters.partitions.store(partitions, std::sync::atomic::Ordering::Relaxed);
    Ok(StoreStats {
        events: count(0),
        pending: if counted > COUNTED_MAX.unsigned_abs() {
            counted.max(estimated)
        } else {
            counted
        },
        bytes: count(3),
        segments: partitions,
        quarantined: count(5),
    })
}
