//! The files on disk: their tables, settings and names.
//!
//! A segment holds everything about its events, so that one transaction in one file is all that an
//! acknowledgement needs, and a file can be removed whole. Its wide rows (`payload`) are apart from
//! the narrow ones (`event`), so that rebuilding memory and looking through events reads little.
//! While a segment is hot nothing in it is written at a random place.

use std::path::{Path, PathBuf};

use becket_store::{Result, StoreError};
use rusqlite::{Connection, OpenFlags};

use crate::errors::database;

/// The version of the tables below; a store with another one is refused.
pub(crate) const SCHEMA_VERSION: i64 = 1;

const SEGMENT_TABLES: &str = "
CREATE TABLE event(
    seq INTEGER PRIMARY KEY,
    tail BLOB NOT NULL,
    application INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    disposition INTEGER NOT NULL,
    dedupe BLOB,
    dedupe_until_ms INTEGER,
    size_bytes INTEGER NOT NULL,
    event_type TEXT,
    planned BLOB NOT NULL
);
CREATE TABLE payload(seq INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE attempt(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    next_kind INTEGER NOT NULL,
    next_at_ms INTEGER NOT NULL,
    tail BLOB NOT NULL,
    trigger INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error_code TEXT,
    detail BLOB NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation, number)
) WITHOUT ROWID;
CREATE TABLE replay(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation)
) WITHOUT ROWID;
CREATE TABLE moved(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation)
) WITHOUT ROWID;
CREATE TABLE duplicate(
    event_seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    PRIMARY KEY(event_seq, number)
) WITHOUT ROWID;
CREATE TABLE pending(
    endpoint INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY(endpoint, due_ms, event_seq, generation)
) WITHOUT ROWID;
CREATE INDEX pending_event ON pending(event_seq, endpoint, generation);
CREATE TABLE failed(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation)
) WITHOUT ROWID;
CREATE TABLE progress(step INTEGER NOT NULL);
INSERT INTO progress VALUES(0);
";

const CATALOG_TABLES: &str = "
CREATE TABLE source(
    key INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    uid TEXT NOT NULL,
    id BLOB NOT NULL,
    provider TEXT NOT NULL,
    origin INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    UNIQUE(owner, uid)
);
CREATE TABLE endpoint(
    key INTEGER PRIMARY KEY,
    application INTEGER NOT NULL REFERENCES source(key),
    uid TEXT NOT NULL,
    id BLOB NOT NULL UNIQUE,
    origin INTEGER NOT NULL,
    settings TEXT NOT NULL,
    state INTEGER NOT NULL,
    state_reason TEXT NOT NULL,
    failing_since_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    UNIQUE(application, uid)
);
CREATE TABLE endpoint_secret(
    endpoint INTEGER NOT NULL REFERENCES endpoint(key),
    number INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    expires_at_ms INTEGER,
    PRIMARY KEY(endpoint, number)
) WITHOUT ROWID;
CREATE TABLE setting(
    owner INTEGER NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY(owner, name)
) WITHOUT ROWID;
CREATE TABLE segment(
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    events INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    received_min_ms INTEGER NOT NULL,
    received_max_ms INTEGER NOT NULL,
    dedupe_until_ms INTEGER NOT NULL,
    kinds TEXT NOT NULL,
    compacted INTEGER NOT NULL DEFAULT 0,
    filter BLOB NOT NULL
);
";

const QUARANTINE_TABLES: &str = "
CREATE TABLE refused(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner INTEGER NOT NULL,
    application INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    status INTEGER NOT NULL,
    record BLOB NOT NULL
);
";

/// The indexes that a segment gets when nothing is added to it any more.
pub(crate) const SEAL_STEPS: &[&str] = &[
    "CREATE INDEX IF NOT EXISTS event_dedupe ON event(dedupe) WHERE dedupe IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS event_application ON event(application)",
    "CREATE INDEX IF NOT EXISTS failed_endpoint ON failed(endpoint)",
];

/// How a database file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The hot segment's writer: checkpoints are run by hand.
    HotWriter,
    /// A writer of an older segment or of the small state.
    Writer,
    /// Readers.
    Reader,
}

/// Where the files of a store are.
#[derive(Debug, Clone)]
pub(crate) struct Folder(pub PathBuf);

impl Folder {
    pub(crate) fn catalog(&self) -> PathBuf {
        self.0.join("becket.db")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.0.join("quarantine.db")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.0.join("segments")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(crate) fn segment(&self, first: i64) -> PathBuf {
        self.segments().join(format!("{first:019}.db"))
    }

    /// The first places of all segment files, ascending.
    pub(crate) fn segment_firsts(&self) -> Result<Vec<i64>> {
        let unusable = |error: std::io::Error| StoreError::Unusable {
            path: self.segments().display().to_string(),
            detail: error.to_string(),
        };
        let mut firsts = Vec::new();
        for entry in std::fs::read_dir(self.segments()).map_err(unusable)? {
            let name = entry.map_err(unusable)?.file_name();
            let first = name.to_str().and_then(|name| name.strip_suffix(".db"));
            if let Some(first) = first.and_then(|digits| digits.parse().ok()) {
                firsts.push(first);
            }
        }
        firsts.sort_unstable();
        Ok(firsts)
    }
}

/// The files that belong to a database: itself, its log and its shared index.
pub(crate) fn with_companions(path: &Path) -> [PathBuf; 3] {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let mut index = path.as_os_str().to_owned();
    index.push("-shm");
    [path.to_path_buf(), log.into(), index.into()]
}

/// The bytes that a database and its log take on disk; 0 for what is not there.
pub(crate) fn bytes_on_disk(path: &Path) -> u64 {
    with_companions(path)
        .iter()
        .take(2)
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|metadata| metadata.len())
        .sum()
}

pub(crate) fn open_segment(path: &Path, role: Role) -> Result<Connection> {
    open(path, role, SEGMENT_TABLES)
}

pub(crate) fn open_catalog(path: &Path) -> Result<Connection> {
    open(path, Role::Writer, CATALOG_TABLES)
}

pub(crate) fn open_quarantine(path: &Path) -> Result<Connection> {
    open(path, Role::Writer, QUARANTINE_TABLES)
}

fn open(path: &Path, role: Role, tables: &str) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags |= match role {
        Role::Reader => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Role::HotWriter | Role::Writer => {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        }
    };
    let connection = Connection::open_with_flags(path, flags).map_err(database("open"))?;
    let (cache_kib, checkpoint_pages) = match role {
        Role::HotWriter => (8_192, 0),
        Role::Writer => (2_048, 512),
        Role::Reader => (512, 0),
    };
    connection
        .execute_batch(&format!(
            "PRAGMA page_size = 8192;
             PRAGMA cache_size = -{cache_kib};
             PRAGMA busy_timeout = 10000;
             PRAGMA cell_size_check = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA wal_autocheckpoint = {checkpoint_pages};"
        ))
        .map_err(database("open"))?;
    if role == Role::Reader {
        connection.execute_batch("PRAGMA query_only = ON;").map_err(database("open"))?;
        connection.set_prepared_statement_cache_capacity(24);
        return Ok(connection);
    }
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        .map_err(database("open"))?;
    connection.set_prepared_statement_cache_capacity(32);
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(database("open"))?;
    match version {
        SCHEMA_VERSION => Ok(connection),
        0 => {
            connection
                .execute_batch(&format!(
                    "BEGIN IMMEDIATE; {tables} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                ))
                .map_err(database("create tables"))?;
            Ok(connection)
        }
        other => Err(StoreError::Unusable {
            path: path.display().to_string(),
            detail: format!(
                "it was written by another version (layout {other}, this program knows {SCHEMA_VERSION}); \
                 use that version, or restore a backup"
            ),
        }),
    }
}
