//! Rebuilds what is kept in memory of a segment from its file: dedupe keys, pending deliveries.

use std::collections::{HashMap, HashSet};

use becket_model::ApplicationKey;
use becket_store::{DedupeKey, Result};
use rusqlite::Connection;

use crate::dedupe::Key as DedupeEntry;
use crate::errors::database;
use crate::memory::{Key, Memory, Waiting};
use crate::rows::{NEXT_DELIVERED, NEXT_RETRY, planned_from_column};
use crate::segment::{Kinds, count_kind};
use crate::write;

/// What a segment's file says.
pub(crate) struct Loaded {
    pub(crate) memory: Memory,
    pub(crate) keys: HashMap<DedupeEntry, i64>,
    pub(crate) kinds: Kinds,
    pub(crate) last: i64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) received_min_ms: i64,
    pub(crate) received_max_ms: i64,
    pub(crate) dedupe_until_ms: i64,
    /// When the first payload is to be removed; `i64::MAX` if never.
    pub(crate) expiring_ms: i64,
}

/// Reads a segment that has not been sealed.
pub(crate) fn load(connection: &Connection) -> Result<Loaded> {
    let failed = database("read segment");
    let ended = ended_deliveries(connection).map_err(failed)?;
    let mut loaded = load_events(connection, Some(&ended)).map_err(failed)?;
    let mut statement = connection
        .prepare("SELECT event_seq, endpoint, generation, due_ms FROM replay")
        .map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let read = || -> rusqlite::Result<(Key, i64)> {
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?))
        };
        let (key, due_ms) = read().map_err(failed)?;
        plan(&mut loaded.memory, &ended, key, due_ms);
    }
    Ok(loaded)
}

/// Reads only what accepting needs (dedupe keys and counts); the deliveries are read when the
/// segment is taken over, so that a start does not wait for them.
pub(crate) fn load_keys(connection: &Connection) -> Result<Loaded> {
    load_events(connection, None).map_err(database("read segment"))
}

/// How each delivery with an attempt stands: the next due and the attempts made, or an end.
struct Attempted {
    waiting: HashMap<Key, (i64, u32)>,
    delivered: HashSet<Key>,
    failed: HashSet<Key>,
    /// The attempts after which it was moved, and where to.
    moved: HashMap<Key, (u32, i64)>,
}

fn ended_deliveries(connection: &Connection) -> rusqlite::Result<Attempted> {
    let mut attempted = Attempted {
        waiting: HashMap::new(),
        delivered: HashSet::new(),
        failed: HashSet::new(),
        moved: HashMap::new(),
    };
    let mut statement = connection
        .prepare("SELECT event_seq, endpoint, generation, attempts, due_ms FROM moved")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = (row.get(0)?, row.get(1)?, row.get(2)?);
        attempted.moved.insert(key, (row.get(3)?, row.get(4)?));
    }
    let mut statement = connection.prepare(
        "SELECT event_seq, endpoint, generation, number, next_kind, next_at_ms FROM attempt",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = (row.get(0)?, row.get(1)?, row.get(2)?);
        match row.get::<_, i64>(4)? {
            // In the order of the primary key a later attempt comes later.
            NEXT_RETRY => drop(attempted.waiting.insert(key, (row.get(5)?, row.get(3)?))),
            NEXT_DELIVERED => drop(attempted.delivered.insert(key)),
            _ => drop(attempted.failed.insert(key)),
        }
    }
    Ok(attempted)
}

fn plan(memory: &mut Memory, attempted: &Attempted, key: Key, due_ms: i64) {
    if attempted.failed.contains(&key) {
        memory.failed.insert(key);
    } else if !attempted.delivered.contains(&key) {
        let (due_ms, attempts) = attempted.waiting.get(&key).copied().unwrap_or((due_ms, 0));
        let moved = attempted.moved.get(&key).filter(|(after, _)| *after == attempts);
        let due_ms = moved.map_or(due_ms, |(_, due_ms)| *due_ms);
        memory.add(key, Waiting { attempts, due_ms, lease: None });
    }
}

fn load_events(connection: &Connection, attempted: Option<&Attempted>) -> rusqlite::Result<Loaded> {
    let mut loaded = Loaded {
        memory: Memory::default(),
        keys: HashMap::new(),
        kinds: Some(HashMap::new()),
        last: i64::MIN,
        events: 0,
        bytes: 0,
        received_min_ms: i64::MAX,
        received_max_ms: i64::MIN,
        dedupe_until_ms: i64::MIN,
        expiring_ms: write::next_expiring(connection)?.unwrap_or(i64::MAX),
    };
    let mut statement = connection.prepare(
        "SELECT seq, application, received_at_ms, dedupe, dedupe_until_ms, size_bytes, event_type,
                planned
         FROM event ORDER BY seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let application: u32 = row.get(1)?;
        let received_at_ms: i64 = row.get(2)?;
        if let Some(key) = row.get::<_, Option<[u8; 16]>>(3)? {
            loaded.keys.insert((ApplicationKey(application), DedupeKey(key)), seq);
        }
        let until_ms: Option<i64> = row.get(4)?;
        loaded.last = loaded.last.max(seq);
        loaded.events += 1;
        loaded.bytes += row.get::<_, i64>(5)? as u64 + 600;
        loaded.received_min_ms = loaded.received_min_ms.min(received_at_ms);
        loaded.received_max_ms = loaded.received_max_ms.max(received_at_ms);
        loaded.dedupe_until_ms = loaded.dedupe_until_ms.max(until_ms.unwrap_or(i64::MIN));
        count_kind(&mut loaded.kinds, application, row.get_ref(6)?.as_str_or_null()?);
        let Some(attempted) = attempted else { continue };
        for endpoint in planned_from_column(row.get_ref(7)?.as_blob()?) {
            plan(&mut loaded.memory, attempted, (seq, endpoint.0, 0), received_at_ms);
        }
    }
    Ok(loaded)
}
