//! Whether a write would be accepted now, and how late the oldest lease is: asked of the database
//! every few seconds, answered from memory.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_store::Result;

use crate::errors::{Failure, unavailable};
use crate::session::Session;
use crate::shared::Shared;

const OPERATION: &str = "look after the database";

/// So often the database is asked.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Leases are looked at each time so many looks have gone by.
const LEASES_EVERY: u32 = 5;

/// Whether the database took writes when it was last asked or used.
pub(crate) fn health(shared: &Shared) -> Result<()> {
    shared.open()?;
    shared.door.trouble().map_or(Ok(()), Err)
}

/// Looks after the database in the background.
pub(crate) fn start(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    shared.spawn(watch(weak));
}

async fn watch(shared: Weak<Shared>) {
    for round in 1_u32.. {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        // A failure to connect notes itself.
        let Ok(conn) = shared.write(OPERATION).await else { continue };
        let trouble = match conn.row(OPERATION, "SHOW transaction_read_only", &[]).await {
            Ok(Some(row)) if row.get::<_, &str>(0) == "off" => None,
            Ok(_) => {
                conn.give_up();
                Some(unavailable("write", "the server takes no writes (it is a standby)"))
            }
            Err(failure) => Some(failure.into()),
        };
        let works = trouble.is_none();
        shared.door.set_trouble(trouble);
        if works
            && round.is_multiple_of(LEASES_EVERY)
            && let Err(failure) = look_at_leases(&shared, &conn).await
        {
            tracing::debug!(error = %failure, "leases could not be looked at");
        }
    }
}

/// How long ago the oldest lease has ended without anybody having noticed: while nodes work, the next
/// one that leases anything ends it.
async fn look_at_leases(shared: &Shared, session: &Session) -> Result<(), Failure> {
    let sql = "SELECT min(lease_until_ms) FROM delivery WHERE lease <> 0";
    let row = session.row(OPERATION, sql, &[]).await?;
    let oldest_ms = row.and_then(|row| row.get::<_, Option<i64>>(0));
    let overdue_ms = oldest_ms.map_or(0, |oldest_ms| shared.clock.now_ms() - oldest_ms);
    let overdue_ms = u64::try_from(overdue_ms).unwrap_or(0);
    shared.meters.lease_overdue_ms.store(overdue_ms, Ordering::Relaxed);
    Ok(())
}
