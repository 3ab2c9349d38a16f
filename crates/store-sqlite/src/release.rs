//! Letting refused requests out of quarantine, as events.
//!
//! The event and the quarantine are in two files, which no transaction spans. So the event's own
//! transaction notes in its segment which refused request it was; only then is that removed from
//! quarantine. After a crash in between, the next start removes what the segments name. A note is
//! carried along from segment to segment until its removal is on disk, so sealed segments need not
//! be asked.

use becket_store::{Accepted, EventAccept, Result, Scope, StoreError};
use rusqlite::{Connection, params};

use crate::errors::database;
use crate::quarantine::Quarantine;
use crate::reply::{Promise, kept};
use crate::store::SqliteStore;
use crate::writer::Op;

/// A refused request. The moment tells it from one of the same number in a quarantine that was made
/// anew, as a restored backup has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Refused {
    pub(crate) number: i64,
    pub(crate) received_at_ms: i64,
}

/// Notes in a segment that a refused request is an event.
pub(crate) fn note(connection: &Connection, refused: Refused) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO released VALUES(?1, ?2)")?
        .execute(params![refused.number, refused.received_at_ms])
        .map(drop)
}

/// Removes from quarantine what a segment says has become an event.
pub(crate) fn settle(connection: &Connection, quarantine: &Quarantine) -> Result<()> {
    let failed = database("read released");
    let mut statement =
        connection.prepare("SELECT number, received_at_ms FROM released").map_err(failed)?;
    let rows = statement
        .query_map([], |row| Ok(Refused { number: row.get(0)?, received_at_ms: row.get(1)? }))
        .map_err(failed)?;
    for refused in rows {
        quarantine.remove(refused.map_err(failed)?)?;
    }
    Ok(())
}

impl SqliteStore {
    /// See [`becket_store::Store::quarantine_release`].
    pub(crate) async fn release(
        &self,
        scope: Scope,
        number: i64,
        accept: EventAccept,
    ) -> Result<Option<Accepted>> {
        self.shared.open()?;
        let _turn = self.shared.letting_out.lock().await;
        let row = self.with_quarantine(move |quarantine| quarantine.row(scope, number)).await?;
        let Some(row) = row else { return Ok(None) };
        if row.application != accept.application {
            return Err(StoreError::Database {
                operation: "quarantine_release",
                detail: format!("refused request {number} was sent to another source"),
            });
        }
        let refused = Refused { number, received_at_ms: row.received_at_ms };
        let (promise, receiver) = Promise::new();
        self.shared.writer.offer(Op::Accept(Box::new(accept), promise, Some(refused)))?;
        let accepted = kept(receiver).await?;
        self.with_quarantine(move |quarantine| quarantine.remove(refused)).await?;
        self.shared.let_out.lock().remove(&refused);
        Ok(Some(accepted))
    }
}
