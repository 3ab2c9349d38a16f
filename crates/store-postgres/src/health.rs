//! Whether a write would be accepted now: asked of the database every few seconds, answered from
//! memory.

use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_store::Result;

use crate::errors::unavailable;
use crate::shared::Shared;

/// So often the database is asked.
const LOOK_EVERY: Duration = Duration::from_secs(2);

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
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        // A failure to connect notes itself.
        if let Ok(conn) = shared.write("look").await {
            let trouble = match conn.row("look", "SHOW transaction_read_only", &[]).await {
                Ok(Some(row)) if row.get::<_, &str>(0) == "off" => None,
                Ok(_) => {
                    conn.give_up();
                    Some(unavailable("write", "the server takes no writes (it is a standby)"))
                }
                Err(failure) => Some(failure.into()),
            };
            shared.door.set_trouble(trouble);
        }
    }
}
