//! Changing what has been written already: removing payloads for good, and what receivers answered.
//!
//! A payload is overwritten where it stands, and what is left of it is followed by zeros. Its row
//! keeps its size on purpose: a shorter one would let SQLite move its neighbours together, and that
//! leaves copies of them in unused parts of pages, which their own removal would not find later.
//! The room comes back when retention rewrites or removes the segment. The log still holds the
//! older pages until it has been emptied ([`empty_log`]); [`Segment::unclean`] remembers that.
//!
//! [`Segment::unclean`]: crate::segment::Segment::unclean

use std::io::Write as _;
use std::time::Duration;

use becket_model::{AttemptId, EventLabels, EventRecord};
use becket_store::{Result, StoreError};
use bytes::Bytes;
use rusqlite::{Connection, MAIN_DB, OptionalExtension, params};

use crate::errors::database;
use crate::keeper::Task;
use crate::layout::BUSY_MS;
use crate::store::SqliteStore;
use crate::write;

/// Payloads removed in one step at most.
const STEP_EVENTS: i64 = 128;
/// Bytes overwritten in one step, from which no further payload is begun.
const STEP_BYTES: u64 = 8 << 20;
/// What is left of an event is shorter than this.
const REST_MAX: i64 = 128;
/// How long emptying the log waits for readers.
const EMPTY_WAIT: Duration = Duration::from_millis(100);

/// A change of one segment.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// Remove the payload of the event at this place.
    Expunge { seq: i64, now_ms: i64 },
    /// Remove some of the payloads whose time has come.
    ExpungeDue { now_ms: i64 },
    /// Replace the details of an attempt.
    Rewrite { attempt: AttemptId, detail: Bytes },
}

impl Edit {
    /// The event that it is about, if it is about one.
    pub(crate) fn seq(&self) -> Option<i64> {
        match self {
            Self::Expunge { seq, .. } => Some(*seq),
            Self::ExpungeDue { .. } => None,
            Self::Rewrite { attempt, .. } => Some(attempt.event_seq().0),
        }
    }
}

/// What a change came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Edited {
    /// How many events or attempts it was for.
    pub(crate) count: u64,
    /// Whether anything was overwritten.
    pub(crate) changed: bool,
}

impl SqliteStore {
    /// Removes payloads whose time has come, a step of them: the older segments' first.
    pub(crate) async fn expunge_due(&self, now_ms: i64) -> Result<u64> {
        // Twice, because the segment that was hot when it was asked may be sealed when its turn comes.
        for _ in 0..2 {
            let (older, hot) = self.shared.has_due_payloads(now_ms);
            if older {
                let count = self.ask_keeper(|reply| Task::Edit(Edit::ExpungeDue { now_ms }, reply));
                let count = count.await?;
                if count > 0 {
                    return Ok(count);
                }
            }
            if !hot {
                return Ok(0);
            }
            let count = self.edit(i64::MAX, Edit::ExpungeDue { now_ms }).await?;
            if count > 0 {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

/// Makes a change in the open transaction.
pub(crate) fn apply(connection: &Connection, edit: &Edit) -> Result<Edited> {
    match edit {
        Edit::Expunge { seq, now_ms } => {
            let overwritten = expunge(connection, *seq, *now_ms)?;
            Ok(Edited {
                count: u64::from(overwritten.is_some()),
                changed: overwritten.is_some_and(|bytes| bytes > 0),
            })
        }
        Edit::ExpungeDue { now_ms } => expunge_due(connection, *now_ms),
        Edit::Rewrite { attempt, detail } => rewrite(connection, attempt, detail),
    }
}

fn expunge_due(connection: &Connection, now_ms: i64) -> Result<Edited> {
    let failed = database("find due payloads");
    let due: Vec<(i64, i64)> = {
        let mut statement = connection
            .prepare_cached(
                "SELECT until_ms, event_seq FROM expiring WHERE until_ms <= ?1
                 ORDER BY until_ms, event_seq LIMIT ?2",
            )
            .map_err(failed)?;
        statement
            .query_map([now_ms, STEP_EVENTS], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(failed)?
    };
    let (mut edited, mut bytes) = (Edited::default(), 0);
    for (until_ms, seq) in due {
        let overwritten = expunge(connection, seq, now_ms)?;
        // Also without an event, so that no step finds it again.
        forget(connection, until_ms, seq)?;
        edited.changed = true;
        if let Some(overwritten) = overwritten {
            edited.count += 1;
            bytes += overwritten;
        }
        if bytes >= STEP_BYTES {
            break;
        }
    }
    Ok(edited)
}

/// Removes one payload; how many bytes were overwritten (none if it is gone already), or `None` if
/// there is no such event.
fn expunge(connection: &Connection, seq: i64, now_ms: i64) -> Result<Option<u64>> {
    let failed = database("remove payload");
    let found: Option<(i64, Option<String>)> = connection
        .prepare_cached("SELECT size_bytes, labels FROM event WHERE seq = ?1")
        .and_then(|mut statement| {
            statement.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(failed)?;
    let Some((size_bytes, labels)) = found else { return Ok(None) };
    if size_bytes <= REST_MAX && read_record(connection, seq)?.is_some_and(|one| one.is_expunged())
    {
        return Ok(Some(0));
    }
    let rest = EventRecord::expunged(now_ms);
    let overwritten = overwrite(connection, seq, rest.packed())?;
    connection
        .prepare_cached("UPDATE event SET size_bytes = ?2 WHERE seq = ?1")
        .and_then(|mut statement| statement.execute(params![seq, rest.packed().len() as i64]))
        .map_err(failed)?;
    let mut labels = labels_from_column(labels, seq)?;
    // What filters found was copied from the payload.
    if labels.forget_payload() {
        let text = labels_to_column(&labels)?;
        connection
            .prepare_cached("UPDATE event SET labels = ?2 WHERE seq = ?1")
            .and_then(|mut statement| statement.execute(params![seq, text]))
            .map_err(failed)?;
    }
    if let Some(until_ms) = labels.payload_until_ms {
        forget(connection, until_ms, seq)?;
    }
    Ok(Some(overwritten))
}

/// Writes what is left over a record, and zeros behind it.
fn overwrite(connection: &Connection, seq: i64, rest: &[u8]) -> Result<u64> {
    let failed = database("remove payload");
    let broken = |error: std::io::Error| StoreError::Database {
        operation: "remove payload",
        detail: error.to_string(),
    };
    let mut blob =
        connection.blob_open(MAIN_DB, "payload", "record", seq, false).map_err(failed)?;
    let size = blob.len();
    let fits = rest.len() <= size;
    let mut left = size;
    if fits {
        blob.write_all(rest).map_err(broken)?;
        left -= rest.len();
    }
    let zeros = [0; 8_192];
    while left > 0 {
        let part = left.min(zeros.len());
        blob.write_all(&zeros[..part]).map_err(broken)?;
        left -= part;
    }
    blob.close().map_err(failed)?;
    if !fits {
        connection
            .execute("UPDATE payload SET record = ?2 WHERE seq = ?1", params![seq, rest])
            .map_err(failed)?;
    }
    Ok(size.max(1) as u64)
}

fn forget(connection: &Connection, until_ms: i64, seq: i64) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM expiring WHERE until_ms = ?1 AND event_seq = ?2")
        .and_then(|mut statement| statement.execute([until_ms, seq]))
        .map(drop)
        .map_err(database("remove payload"))
}

fn rewrite(connection: &Connection, attempt: &AttemptId, detail: &[u8]) -> Result<Edited> {
    let failed = database("rewrite attempt");
    let Some((endpoint, generation, number)) =
        write::find_attempt(connection, attempt).map_err(failed)?
    else {
        return Ok(Edited::default());
    };
    connection
        .prepare_cached(
            "UPDATE attempt SET detail = ?5
             WHERE event_seq = ?1 AND endpoint = ?2 AND generation = ?3 AND number = ?4",
        )
        .and_then(|mut statement| {
            let seq = attempt.event_seq().0;
            statement.execute(params![seq, endpoint, generation, number, detail])
        })
        .map_err(failed)?;
    Ok(Edited { count: 1, changed: true })
}

/// The record of an event, if there is one at this place.
pub(crate) fn read_record(connection: &Connection, seq: i64) -> Result<Option<EventRecord>> {
    let found: Option<(Vec<u8>, i64)> = connection
        .prepare_cached(
            "SELECT record, size_bytes FROM payload JOIN event USING(seq) WHERE payload.seq = ?1",
        )
        .and_then(|mut statement| {
            statement.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(database("read payload"))?;
    let Some((mut bytes, size_bytes)) = found else { return Ok(None) };
    // Behind what is left of a removed payload there are zeros.
    bytes.truncate(usize::try_from(size_bytes).unwrap_or(usize::MAX));
    EventRecord::from_packed(Bytes::from(bytes)).map(Some).map_err(|error| StoreError::Unusable {
        path: format!("the record of event {seq}"),
        detail: error.to_string(),
    })
}

/// What an event says about itself, from its column.
pub(crate) fn labels_from_column(column: Option<String>, seq: i64) -> Result<EventLabels> {
    let Some(text) = column else { return Ok(EventLabels::default()) };
    serde_json::from_str(&text).map_err(|error| StoreError::Unusable {
        path: format!("the labels of event {seq}"),
        detail: format!("{error}; restore the segment from a backup"),
    })
}

/// What an event says about itself, for its column.
fn labels_to_column(labels: &EventLabels) -> Result<String> {
    serde_json::to_string(labels).map_err(|error| StoreError::Database {
        operation: "remove payload",
        detail: error.to_string(),
    })
}

/// Writes the log back and empties it, unless somebody reads from it just then; whether it is empty.
pub(crate) fn empty_log(connection: &Connection) -> Result<bool> {
    let failed = database("empty the log");
    connection.busy_timeout(EMPTY_WAIT).map_err(failed)?;
    let busy = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .map_err(failed);
    connection.busy_timeout(Duration::from_millis(u64::from(BUSY_MS))).map_err(failed)?;
    busy.map(|busy| busy == 0)
}
