//! The files on disk: their names and settings, and bringing older ones up to date.
//!
//! A segment holds everything about its events, so that one transaction in one file is all that an
//! acknowledgement needs, and a file can be removed whole. Its wide rows (`payload`) are apart from
//! the narrow ones (`event`), so that rebuilding memory and looking through events reads little.
//! While a segment is hot nothing in it is written at a random place.
//!
//! A file of an older layout is brought up to date by whoever opens it first, so a start does not
//! wait for all of them.
//!
//! Where next: `tables` for the layouts.

use std::path::{Path, PathBuf};

use becket_store::{Result, StoreError};
use rusqlite::{Connection, OpenFlags};

use crate::errors::database;
use crate::tables::{CATALOG, Layout, QUARANTINE, SEGMENT};

/// How long a connection waits for another one that is writing, in milliseconds.
pub(crate) const BUSY_MS: u32 = 10_000;

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

/// Whether a segment holds any event.
pub(crate) fn has_events(segment: &Connection) -> Result<bool> {
    segment
        .query_row("SELECT EXISTS(SELECT 1 FROM event)", [], |row| row.get(0))
        .map_err(database("read segment"))
}

/// Removes a file, if it is there.
pub(crate) fn remove_file(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::Database {
            operation: "remove old events",
            detail: format!("{}: {error}", file.display()),
        }),
        _ => Ok(()),
    }
}

/// The bytes in a database's log; 0 if there is none.
pub(crate) fn log_bytes(path: &Path) -> u64 {
    let [_, log, _] = with_companions(path);
    std::fs::metadata(log).map_or(0, |metadata| metadata.len())
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
    open(path, role, &SEGMENT)
}

pub(crate) fn open_catalog(path: &Path, role: Role) -> Result<Connection> {
    open(path, role, &CATALOG)
}

pub(crate) fn open_quarantine(path: &Path) -> Result<Connection> {
    open(path, Role::Writer, &QUARANTINE)
}

fn open(path: &Path, role: Role, layout: &Layout) -> Result<Connection> {
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
    // What is deleted is overwritten: it may be somebody's secret.
    connection
        .execute_batch(&format!(
            "PRAGMA page_size = 8192;
             PRAGMA cache_size = -{cache_kib};
             PRAGMA busy_timeout = {BUSY_MS};
             PRAGMA cell_size_check = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA secure_delete = ON;
             PRAGMA wal_autocheckpoint = {checkpoint_pages};"
        ))
        .map_err(database("open"))?;
    if role == Role::Reader {
        bring_up_to_date(&connection, path, layout)?;
        connection.execute_batch("PRAGMA query_only = ON;").map_err(database("open"))?;
        connection.set_prepared_statement_cache_capacity(24);
        return Ok(connection);
    }
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        .map_err(database("open"))?;
    connection.set_prepared_statement_cache_capacity(48);
    bring_up_to_date(&connection, path, layout)?;
    Ok(connection)
}

/// Makes the tables, or makes today's of older ones. Others may be at the same: whoever comes second
/// finds it done.
fn bring_up_to_date(connection: &Connection, path: &Path, layout: &Layout) -> Result<()> {
    let found = version(connection)?;
    if found == layout.version {
        return Ok(());
    }
    let unknown = |found: i64| StoreError::Unusable {
        path: path.display().to_string(),
        detail: format!(
            "it was written by another version (layout {found}, this program knows {}); \
             use that version, or restore a backup",
            layout.version
        ),
    };
    if !(0..layout.version).contains(&found) {
        return Err(unknown(found));
    }
    let failed = database("bring tables up to date");
    // Tables that others refer to are replaced; this can only be set outside a transaction.
    connection.execute_batch("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE;").map_err(failed)?;
    let upgraded = upgrade(connection, layout).and_then(|known| {
        if known { connection.execute_batch("COMMIT").map_err(failed) } else { Err(unknown(found)) }
    });
    if upgraded.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(failed)?;
    }
    upgraded?;
    connection.execute_batch("PRAGMA foreign_keys = ON;").map_err(failed)
}

/// Does what is missing, in the open transaction; `false` if the file is of another layout by now.
fn upgrade(connection: &Connection, layout: &Layout) -> Result<bool> {
    let failed = database("bring tables up to date");
    let found = version(connection)?;
    let Ok(done) = usize::try_from(found) else { return Ok(false) };
    if found > layout.version {
        return Ok(false);
    }
    if found == 0 {
        connection.execute_batch(layout.tables).map_err(failed)?;
    } else {
        for step in layout.upgrades.iter().skip(done - 1) {
            connection.execute_batch(step).map_err(failed)?;
        }
    }
    connection
        .execute_batch(&format!("PRAGMA user_version = {}", layout.version))
        .map_err(failed)?;
    Ok(true)
}

fn version(connection: &Connection) -> Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(database("open"))
}
