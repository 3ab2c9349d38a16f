//! The list of sealed segments, with what is asked of each without opening it.

use becket_store::Result;
use rusqlite::params;

use super::Catalog;
use crate::errors::database;
use crate::segment::Kinds;

/// A sealed segment as it stands in the list.
pub(crate) struct SealedRow {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) received_min_ms: i64,
    pub(crate) received_max_ms: i64,
    pub(crate) dedupe_until_ms: i64,
    pub(crate) kinds: Kinds,
    pub(crate) compacted_at_ms: i64,
    pub(crate) filter: Vec<u8>,
    /// When the first payload is to be removed, or before.
    pub(crate) expiring_ms: Option<i64>,
}

impl Catalog {
    pub(crate) fn segments(&self) -> Result<Vec<SealedRow>> {
        let failed = database("read segments");
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached(
                    "SELECT first, last, events, bytes, received_min_ms, received_max_ms,
                            dedupe_until_ms, kinds, compacted, filter, expiring_ms
                     FROM segment ORDER BY first",
                )
                .map_err(failed)?;
            let rows = statement
                .query_map([], |row| {
                    Ok(SealedRow {
                        first: row.get(0)?,
                        last: row.get(1)?,
                        events: row.get::<_, i64>(2)? as u64,
                        bytes: row.get::<_, i64>(3)? as u64,
                        received_min_ms: row.get(4)?,
                        received_max_ms: row.get(5)?,
                        dedupe_until_ms: row.get(6)?,
                        kinds: kinds_from_text(&row.get::<_, String>(7)?),
                        compacted_at_ms: row.get(8)?,
                        filter: row.get(9)?,
                        expiring_ms: row.get(10)?,
                    })
                })
                .map_err(failed)?;
            rows.collect::<rusqlite::Result<_>>().map_err(failed)
        })
    }

    pub(crate) fn segment_put(&self, row: SealedRow) -> Result<()> {
        self.write("write segment", move |connection| {
            connection
                .execute(
                    "INSERT OR REPLACE INTO segment
                     VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                    params![
                        row.first,
                        row.last,
                        row.events as i64,
                        row.bytes as i64,
                        row.received_min_ms,
                        row.received_max_ms,
                        row.dedupe_until_ms,
                        kinds_to_text(&row.kinds),
                        row.compacted_at_ms,
                        row.filter,
                        row.expiring_ms,
                    ],
                )
                .map(drop)
                .map_err(database("write segment"))
        })
    }

    /// Notes when the next payload of a sealed segment is to be removed.
    pub(crate) fn segment_expiring(&self, first: i64, expiring_ms: Option<i64>) -> Result<()> {
        self.write("write segment", move |connection| {
            connection
                .execute(
                    "UPDATE segment SET expiring_ms = ?2 WHERE first = ?1",
                    params![first, expiring_ms],
                )
                .map(drop)
                .map_err(database("write segment"))
        })
    }

    pub(crate) fn segment_remove(&self, first: i64) -> Result<()> {
        self.write("remove segment", move |connection| {
            connection
                .execute("DELETE FROM segment WHERE first = ?1", [first])
                .map(drop)
                .map_err(database("remove segment"))
        })
    }
}

fn kinds_to_text(kinds: &Kinds) -> String {
    let list: Option<Vec<_>> = kinds.as_ref().map(|counts| counts.iter().collect());
    serde_json::to_string(&list).unwrap_or_else(|_| "null".to_owned())
}

fn kinds_from_text(text: &str) -> Kinds {
    let list: Option<Vec<((u32, String), u64)>> = serde_json::from_str(text).ok().flatten();
    list.map(|counts| counts.into_iter().collect())
}
