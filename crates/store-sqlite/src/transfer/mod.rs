//! Moving a store out of a folder of files, or into one.
//!
//! Works on the files themselves, while no store is open on them (the folder's lock is held), and
//! starts no thread: nothing is taken over, sealed or swept behind a source's back. A source is not
//! changed, except that files of an older layout are brought up to date as at any start.
//!
//! What a target holds is in order, so its last row of each kind says how far a move has come. A
//! chunk of events goes into the last segment as one transaction; a full segment is sealed before
//! the next is begun, as the gateway itself would do it.
//!
//! Where next: `small` for what is in `becket.db` and in quarantine, `events` for reading segments,
//! `fill` for writing them.

mod events;
mod fill;
mod small;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use becket_store::transfer::{
    Chunk, Kind, MOVING_SETTING, Moving, OWN_SETTINGS, Place, Tally, Transfer,
};
use becket_store::{Owner, Result, StoreError};
use parking_lot::Mutex;
use rusqlite::Connection;

use crate::catalog::Catalog;
use crate::errors::database;
use crate::layout::{Folder, Role, open_catalog, open_quarantine};
use crate::open::{lock, make_private};
use crate::shared::Options;
use events::Reading;
use fill::Filling;

/// A folder of SQLite files that is being moved.
pub struct SqliteTransfer {
    name: String,
    parts: Arc<Mutex<Option<Parts>>>,
}

/// Everything that is open.
struct Parts {
    folder: Folder,
    segment_events: u64,
    segment_bytes: u64,
    catalog: Catalog,
    /// Another connection to the same file.
    small: Connection,
    quarantine: Connection,
    /// Where the segments begin that hold events, as far as they were looked for.
    firsts: Option<Vec<i64>>,
    /// The segment that was read last.
    reading: Option<Reading>,
    /// The segment that is being filled.
    filling: Option<Filling>,
    /// Held as long as the folder is in use.
    _lock: File,
}

impl SqliteTransfer {
    /// Opens a folder that holds a store, or a part of one.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if there is none, or another process uses it.
    pub fn open(options: &Options) -> Result<Self> {
        let folder = Folder(options.folder.clone());
        if !folder.catalog().exists() {
            return Err(StoreError::Unusable {
                path: folder.0.display().to_string(),
                detail: "there is no store in this folder (no becket.db)".to_owned(),
            });
        }
        Self::open_or_make(options)
    }

    /// Opens a folder, making it if it is missing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if another process uses it, or it cannot be made.
    pub fn open_or_make(options: &Options) -> Result<Self> {
        let folder = Folder(options.folder.clone());
        let unusable = |error: std::io::Error| StoreError::Unusable {
            path: folder.0.display().to_string(),
            detail: error.to_string(),
        };
        make_private(&folder.segments()).map_err(unusable)?;
        let lock = lock(&folder)?;
        let parts = Parts {
            catalog: Catalog::open(&folder.catalog())?,
            small: open_catalog(&folder.catalog(), Role::Writer)?,
            quarantine: open_quarantine(&folder.quarantine())?,
            segment_events: options.segment_events,
            segment_bytes: options.segment_bytes,
            firsts: None,
            reading: None,
            filling: None,
            _lock: lock,
            folder,
        };
        let name = format!("sqlite:{}", options.folder.display());
        Ok(Self { name, parts: Arc::new(Mutex::new(Some(parts))) })
    }

    /// Works on a thread that may wait for the disk.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Parts) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let parts = Arc::clone(&self.parts);
        let done = tokio::task::spawn_blocking(move || {
            parts.lock().as_mut().map_or(Err(StoreError::Closed), work)
        });
        done.await.unwrap_or_else(|error| {
            Err(StoreError::Database { operation: "move", detail: error.to_string() })
        })
    }
}

#[async_trait]
impl Transfer for SqliteTransfer {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn tally(&self) -> Result<Tally> {
        self.with(|parts| {
            let mut tally = small::tally(&parts.small, &parts.quarantine)?;
            let let_out = small::still_there(&parts.quarantine, &parts.let_out()?)?;
            tally.refused = tally.refused.saturating_sub(let_out);
            parts.tally_events(&mut tally)?;
            Ok(tally)
        })
        .await
    }

    async fn read(&self, kind: Kind, after: Option<Place>) -> Result<Chunk> {
        self.with(move |parts| {
            let number = Place::number(after.as_ref());
            match kind {
                Kind::Application => small::applications(&parts.small, number),
                Kind::Endpoint => small::endpoints(&parts.small, number),
                Kind::Document => small::documents(&parts.small, number),
                Kind::Setting => small::settings(&parts.small, Place::named(after.as_ref())),
                Kind::Event => parts.events(number).map(Chunk::Events),
                Kind::Refused => {
                    let let_out = parts.let_out()?;
                    small::refused(&parts.quarantine, number, &let_out)
                }
            }
        })
        .await
    }

    async fn moving(&self) -> Result<Option<Moving>> {
        let name = self.name.clone();
        self.with(move |parts| moving(&parts.catalog, &name)).await
    }

    async fn begin(&self, moving: &Moving) -> Result<()> {
        let mark = moving.to_bytes()?;
        self.with(move |parts| {
            let owner = Owner::new(OWN_SETTINGS);
            parts.catalog.setting_put(owner, MOVING_SETTING.to_owned(), mark)
        })
        .await
    }

    async fn last(&self, kind: Kind) -> Result<Option<Place>> {
        self.with(move |parts| match kind {
            Kind::Event => Ok(parts.last_event()?.map(Place::Number)),
            Kind::Refused => small::last(&parts.quarantine, kind),
            _ => small::last(&parts.small, kind),
        })
        .await
    }

    async fn write(&self, chunk: Chunk) -> Result<()> {
        self.with(move |parts| match chunk {
            Chunk::Events(events) => parts.write_events(&events),
            Chunk::Refused(refused) => {
                small::write_refused(&parts.small, &parts.quarantine, &refused)
            }
            chunk => small::write(&parts.small, &chunk),
        })
        .await
    }

    async fn finish(&self, source: &Tally, _now_ms: i64) -> Result<()> {
        let source = *source;
        self.with(move |parts| {
            parts.seal()?;
            small::finish(&parts.small, &parts.quarantine, &source)
        })
        .await
    }

    /// Nobody: the folder's lock is held.
    async fn was_used(&self) -> Result<bool> {
        Ok(false)
    }

    async fn close(&self) -> Result<()> {
        let parts = Arc::clone(&self.parts);
        let closed = tokio::task::spawn_blocking(move || drop(parts.lock().take()));
        closed
            .await
            .map_err(|error| StoreError::Database { operation: "close", detail: error.to_string() })
    }
}

/// The mark of a move that has not been finished.
fn moving(catalog: &Catalog, name: &str) -> Result<Option<Moving>> {
    match catalog.setting(Owner::new(OWN_SETTINGS), MOVING_SETTING)? {
        Some(mark) => Moving::from_bytes(&mark, name).map(Some),
        None => Ok(None),
    }
}

/// Refuses to use a folder as a store that holds only a part of another one.
pub(crate) fn refuse_half(catalog: &Catalog, folder: &Path) -> Result<()> {
    let name = folder.display().to_string();
    match moving(catalog, &name)? {
        Some(moving) => Err(moving.refusal(&name)),
        None => Ok(()),
    }
}

/// Works in a transaction of one file; an error undoes the work.
fn transaction<T>(
    connection: &Connection,
    operation: &'static str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let failed = database(operation);
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let result = work().and_then(|value| {
        connection.execute_batch("COMMIT").map_err(failed)?;
        Ok(value)
    });
    if result.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(failed)?;
    }
    result
}
