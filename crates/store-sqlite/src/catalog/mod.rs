//! The small state in `becket.db`: applications, endpoints, documents, settings, and the list of
//! sealed segments.
//!
//! One connection writes, a few read; what is written can be read as soon as the call that wrote it
//! has returned. Every look-up by name or id is one seek in an index, however many rows there are.
//!
//! Where next: `applications`, `declare`, `endpoints`, `documents`, `envelopes`, `segments`.

mod applications;
mod declare;
mod documents;
mod endpoints;
mod envelopes;
mod group;
mod segments;

pub(crate) use segments::SealedRow;

use group::Group;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use becket_store::{ConfigSnapshot, Owner, Result, StoreError};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use crate::errors::database;
use crate::layout::{Role, open_catalog};

/// Idle reading connections kept.
const READERS_MAX: usize = 4;
/// Of so many owners what was listed is remembered, if they have no more than so many endpoints.
const LISTED_MAX: usize = 32;
const LISTED_ENDPOINTS_MAX: usize = 20_000;

/// The small state.
pub(crate) struct Catalog {
    path: PathBuf,
    writer: Group,
    readers: Mutex<Vec<Connection>>,
    /// Counts changes of applications and endpoints.
    edition: AtomicU64,
    /// What was listed of each owner, with the edition before it was read.
    listed: Mutex<HashMap<Owner, (u64, Arc<ConfigSnapshot>)>>,
}

impl Catalog {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let writer = open_catalog(path, Role::Writer)?;
        // Ids are random, so the ends of the indexes are not all that is touched.
        writer
            .execute_batch("PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 2048;")
            .map_err(database("open"))?;
        Ok(Self {
            path: path.to_path_buf(),
            writer: Group::new(writer),
            readers: Mutex::new(Vec::new()),
            edition: AtomicU64::new(0),
            listed: Mutex::default(),
        })
    }

    /// Reads beside whoever writes.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.readers.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_catalog(&self.path, Role::Reader)?,
        };
        let result = work(&connection);
        let mut readers = self.readers.lock();
        // After an error the connection may be in a bad state; it is cheap to open another.
        if result.is_ok() && readers.len() < READERS_MAX {
            readers.push(connection);
        }
        result
    }

    /// Changes applications or endpoints: what was listed before is not shown any more.
    fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let changed = self.write(operation, work);
        // After the commit: whoever reads from here on reads what was written.
        self.edition.fetch_add(1, Ordering::AcqRel);
        changed
    }

    /// All applications and endpoints of an owner. Read once after each change: every page that is
    /// shown of anything needs their names.
    pub(crate) fn list(&self, owner: Owner) -> Result<ConfigSnapshot> {
        let edition = self.edition.load(Ordering::Acquire);
        let known = self.listed.lock().get(&owner).cloned();
        if let Some((_, snapshot)) = known.filter(|(of, _)| *of == edition) {
            return Ok(ConfigSnapshot::clone(&snapshot));
        }
        let snapshot = self.read(|connection| applications::list_all(connection, owner))?;
        let mut listed = self.listed.lock();
        if snapshot.endpoints.len() > LISTED_ENDPOINTS_MAX {
            listed.remove(&owner);
            return Ok(snapshot);
        }
        if listed.len() >= LISTED_MAX {
            listed.clear();
        }
        listed.insert(owner, (edition, Arc::new(snapshot.clone())));
        Ok(snapshot)
    }

    /// Works in a transaction, which is on disk when this returns; an error undoes the work. What is
    /// written at the same time shares a commit.
    fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.write(operation, work)
    }

    pub(crate) fn setting(&self, owner: Owner, name: &str) -> Result<Option<Vec<u8>>> {
        self.read(|connection| setting_in(connection, owner, name))
    }

    pub(crate) fn setting_init(
        &self,
        owner: Owner,
        name: String,
        value: Vec<u8>,
    ) -> Result<Vec<u8>> {
        self.write("write setting", move |connection| {
            connection
                .execute(
                    "INSERT INTO setting VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING",
                    params![owner.number(), name, value],
                )
                .map_err(database("write setting"))?;
            Ok(setting_in(connection, owner, &name)?.unwrap_or_default())
        })
    }

    pub(crate) fn setting_put(&self, owner: Owner, name: String, value: Vec<u8>) -> Result<()> {
        self.write("write setting", move |connection| {
            connection
                .execute(
                    "INSERT OR REPLACE INTO setting VALUES(?1, ?2, ?3)",
                    params![owner.number(), name, value],
                )
                .map(drop)
                .map_err(database("write setting"))
        })
    }

    /// Closes what only reads and writes the log back into the file, so that the file alone is whole.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.readers.lock().clear();
        self.writer.alone(|connection| {
            connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map_err(database("checkpoint"))
        })
    }
}

fn setting_in(connection: &Connection, owner: Owner, name: &str) -> Result<Option<Vec<u8>>> {
    connection
        .query_row(
            "SELECT value FROM setting WHERE owner = ?1 AND name = ?2",
            params![owner.number(), name],
            |row| row.get(0),
        )
        .optional()
        .map_err(database("read setting"))
}

/// Settings as they stand in a column.
fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Database {
        operation: "write settings",
        detail: error.to_string(),
    })
}

/// Settings from a column of the row called `whose`.
fn from_json<T: serde::de::DeserializeOwned>(text: &str, whose: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Unusable {
        path: "becket.db".to_owned(),
        detail: format!("the settings of {whose} cannot be read: {error}; restore a backup"),
    })
}
