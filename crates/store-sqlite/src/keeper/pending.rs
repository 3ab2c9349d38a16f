//! The tables of deliveries that have not ended, or have failed, in a segment that is no longer hot.

use rusqlite::{Connection, params};

use crate::memory::{Key, Memory};

pub(super) fn write_deliveries(connection: &Connection, memory: &Memory) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM pending; DELETE FROM failed;")?;
    let mut pending: Vec<_> = memory.pending.iter().collect();
    pending.sort_unstable_by_key(|(key, waiting)| (key.1, waiting.due_ms, key.0, key.2));
    for (key, waiting) in pending {
        put_pending(connection, *key, waiting.due_ms, waiting.attempts)?;
    }
    for key in &memory.failed {
        put_failed(connection, *key)?;
    }
    connection.execute_batch("UPDATE progress SET step = 1; COMMIT;")
}

pub(crate) fn put_pending(
    connection: &Connection,
    (seq, endpoint, generation): Key,
    due_ms: i64,
    attempts: u32,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO pending VALUES(?1, ?2, ?3, ?4, ?5)")?
        .execute(params![endpoint, due_ms, seq, generation, attempts])
        .map(drop)
}

pub(super) fn remove_pending(
    connection: &Connection,
    (seq, endpoint, generation): Key,
    due_ms: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM pending
             WHERE endpoint = ?1 AND due_ms = ?2 AND event_seq = ?3 AND generation = ?4",
        )?
        .execute(params![endpoint, due_ms, seq, generation])
        .map(drop)
}

pub(super) fn move_pending(
    connection: &Connection,
    key: Key,
    from_ms: i64,
    to_ms: i64,
    attempts: u32,
) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    remove_pending(connection, key, from_ms)?;
    put_pending(connection, key, to_ms, attempts)?;
    connection.execute_batch("COMMIT")
}

/// Makes a waiting delivery due whose due time is not known to the caller.
pub(super) fn make_due(
    connection: &Connection,
    (seq, endpoint, generation): Key,
    due_ms: i64,
    attempts: u32,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM pending WHERE endpoint = ?1 AND event_seq = ?2 AND generation = ?3",
        )?
        .execute(params![endpoint, seq, generation])?;
    put_pending(connection, (seq, endpoint, generation), due_ms, attempts)
}

pub(crate) fn put_failed(
    connection: &Connection,
    (seq, endpoint, generation): Key,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO failed VALUES(?1, ?2, ?3)")?
        .execute(params![seq, endpoint, generation])
        .map(drop)
}

pub(super) fn due_rows(
    connection: &Connection,
    endpoint: u32,
    now_ms: i64,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, Key, u32)>> {
    let mut statement = connection.prepare_cached(
        "SELECT due_ms, event_seq, generation, attempts FROM pending
         WHERE endpoint = ?1 AND due_ms <= ?2 ORDER BY due_ms, event_seq, generation LIMIT ?3",
    )?;
    statement
        .query_map(params![endpoint, now_ms, limit as i64], |row| {
            Ok((row.get(0)?, (row.get(1)?, endpoint, row.get(2)?), row.get(3)?))
        })?
        .collect()
}
