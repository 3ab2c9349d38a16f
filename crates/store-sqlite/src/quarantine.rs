//! Refused requests, kept for a while in a file of their own.
//!
//! They come from anybody, so they are bounded by number and size, are written without waiting for
//! the disk, and can never hold up or fill what genuine events need.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use becket_model::{ApplicationKey, EventRecord};
use becket_store::{
    Owner, QuarantineFilter, QuarantineRow, QuarantineWrite, Quarantined, Result, Scope, StoreError,
};
use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::errors::database;
use crate::layout::open_quarantine;
use crate::release::Refused;
use crate::store::SqliteStore;

/// Refused requests kept at most.
const ROWS_MAX: i64 = 10_000;
/// Bytes of refused requests kept at most.
const BYTES_MAX: i64 = 256 << 20;
/// Requests that may wait to be written.
const WAITING_MAX: usize = 1_024;
/// Bytes of requests that may wait to be written.
const WAITING_BYTES_MAX: usize = 32 << 20;
/// How many rows are written between two looks at the bounds.
const TRIM_EVERY: u64 = 100;
/// How many bytes are written between two looks at the bounds.
const TRIM_EVERY_BYTES: u64 = 16 << 20;

enum Message {
    Put(Owner, ApplicationKey, Box<QuarantineWrite>),
    Remove(Refused, SyncSender<rusqlite::Result<()>>),
    Flush(SyncSender<()>),
}

/// The file of refused requests and the thread that writes it.
pub(crate) struct Quarantine {
    reader: Mutex<Connection>,
    sender: Mutex<Option<SyncSender<Message>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Bytes that wait to be written.
    waiting_bytes: Arc<AtomicUsize>,
}

impl Quarantine {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let writer = open_quarantine(path)?;
        writer.execute_batch("PRAGMA synchronous = NORMAL;").map_err(database("open"))?;
        let reader = open_quarantine(path)?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&waiting_bytes);
        let thread = std::thread::Builder::new()
            .name("becket-quarantine".to_owned())
            .spawn(move || work(&writer, &receiver, &waiting))
            .map_err(|error| StoreError::Unusable {
                path: path.display().to_string(),
                detail: format!("no thread could be started: {error}"),
            })?;
        Ok(Self {
            reader: Mutex::new(reader),
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            waiting_bytes,
        })
    }

    /// Hands a refused request over; `false` if too many wait.
    pub(crate) fn put(
        &self,
        owner: Owner,
        application: ApplicationKey,
        refused: QuarantineWrite,
    ) -> Result<bool> {
        let sender = self.sender.lock().clone().ok_or(StoreError::Closed)?;
        let bytes = refused.record.packed().len();
        // One that is larger than all that may wait is taken when nothing else waits.
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        if before > 0 && before + bytes > WAITING_BYTES_MAX {
            self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Ok(false);
        }
        let sent = sender.try_send(Message::Put(owner, application, Box::new(refused)));
        if sent.is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
        }
        match sent {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Closed),
        }
    }

    /// Refused requests without their bytes. Waits for what has been handed over before.
    pub(crate) fn list(
        &self,
        scope: Scope,
        filter: &QuarantineFilter,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>> {
        self.flush();
        let failed = database("read quarantine");
        let order = if filter.after.is_some() { "ASC" } else { "DESC" };
        let codes = serde_json::Value::from(filter.codes.clone()).to_string();
        let reader = self.reader.lock();
        let mut statement = reader
            .prepare_cached(&format!(
                "SELECT {ROW} FROM refused
                 WHERE owner = ?1 AND (?2 IS NULL OR application = ?2)
                     AND number < ?3 AND number > ?4
                     AND received_at_ms >= ?5 AND received_at_ms < ?6
                     AND (?7 = '[]' OR code IN (SELECT value FROM json_each(?7)))
                 ORDER BY number {order} LIMIT ?8"
            ))
            .map_err(failed)?;
        let mut rows = statement
            .query(params![
                scope.owner.number(),
                scope.application.map(|key| key.0),
                filter.before.unwrap_or(i64::MAX),
                filter.after.unwrap_or(i64::MIN),
                filter.since_ms.unwrap_or(i64::MIN),
                filter.until_ms.unwrap_or(i64::MAX),
                codes,
                i64::try_from(limit).unwrap_or(i64::MAX),
            ])
            .map_err(failed)?;
        let mut list = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            list.push(read(row).map_err(failed)?);
        }
        Ok(list)
    }

    /// One refused request without its bytes.
    pub(crate) fn row(&self, scope: Scope, number: i64) -> Result<Option<QuarantineRow>> {
        self.flush();
        self.one(scope, number, ROW, read)
    }

    /// One refused request with its bytes.
    pub(crate) fn get(&self, scope: Scope, number: i64) -> Result<Option<Quarantined>> {
        self.flush();
        let columns = format!("{ROW}, record");
        let found =
            self.one(scope, number, &columns, |row| Ok((read(row)?, row.get::<_, Vec<u8>>(7)?)))?;
        let Some((row, record)) = found else { return Ok(None) };
        match EventRecord::from_packed(Bytes::from(record)) {
            Ok(record) => Ok(Some(Quarantined { row, record })),
            Err(error) => Err(StoreError::Unusable {
                path: "quarantine.db".to_owned(),
                detail: format!("row {number}: {error}"),
            }),
        }
    }

    fn one<T>(
        &self,
        scope: Scope,
        number: i64,
        columns: &str,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.reader
            .lock()
            .prepare_cached(&format!(
                "SELECT {columns} FROM refused
                 WHERE number = ?1 AND owner = ?2 AND (?3 IS NULL OR application = ?3)"
            ))
            .and_then(|mut statement| {
                let application = scope.application.map(|key| key.0);
                statement
                    .query_row(params![number, scope.owner.number(), application], read)
                    .optional()
            })
            .map_err(database("read quarantine"))
    }

    /// Removes a refused request for good: returns when that is on disk.
    pub(crate) fn remove(&self, refused: Refused) -> Result<()> {
        let sender = self.sender.lock().clone().ok_or(StoreError::Closed)?;
        let (done, waited) = sync_channel(1);
        sender.send(Message::Remove(refused, done)).map_err(|_| StoreError::Closed)?;
        let removed = waited.recv().map_err(|_| StoreError::Closed)?;
        removed.map_err(database("remove from quarantine"))
    }

    /// How many are kept.
    pub(crate) fn count(&self) -> Result<u64> {
        self.reader
            .lock()
            .query_row("SELECT count(*) FROM refused", [], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
            .map_err(database("count quarantine"))
    }

    fn flush(&self) {
        let (done, waited) = sync_channel(1);
        let sender = self.sender.lock().clone();
        if let Some(sender) = sender
            && sender.send(Message::Flush(done)).is_ok()
        {
            // A thread that is gone has nothing left to write.
            let _ = waited.recv();
        }
    }

    /// Writes what waits and ends the thread.
    pub(crate) fn close(&self) {
        self.sender.lock().take();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the quarantine's thread had failed");
        }
    }
}

/// What [`read`] reads, in its order.
const ROW: &str = "number, application, received_at_ms, code, reason, status, length(record)";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<QuarantineRow> {
    Ok(QuarantineRow {
        number: row.get(0)?,
        application: ApplicationKey(row.get(1)?),
        received_at_ms: row.get(2)?,
        code: row.get(3)?,
        reason: row.get(4)?,
        status: row.get(5)?,
        size_bytes: row.get::<_, i64>(6)?.unsigned_abs(),
    })
}

fn work(connection: &Connection, receiver: &Receiver<Message>, waiting_bytes: &AtomicUsize) {
    let (mut rows, mut bytes) = (0, 0);
    while let Ok(message) = receiver.recv() {
        match message {
            // Whoever asked may have gone.
            Message::Flush(done) => {
                let _ = done.send(());
            }
            Message::Remove(refused, done) => {
                let _ = done.send(remove(connection, refused));
            }
            Message::Put(owner, application, refused) => {
                let size = refused.record.packed().len();
                rows += 1;
                bytes += size as u64;
                let full = rows >= TRIM_EVERY || bytes >= TRIM_EVERY_BYTES;
                if full {
                    (rows, bytes) = (0, 0);
                }
                let stored = insert(connection, owner, application, &refused)
                    .and_then(|()| if full { trim(connection) } else { Ok(()) });
                waiting_bytes.fetch_sub(size, Ordering::AcqRel);
                if let Err(error) = stored {
                    tracing::warn!(error = %error, "a refused request could not be kept");
                }
            }
        }
    }
}

/// Unlike what is written, what is removed waits for the disk: it has become an event.
fn remove(connection: &Connection, refused: Refused) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA synchronous = FULL;")?;
    let removed = connection
        .prepare_cached("DELETE FROM refused WHERE number = ?1 AND received_at_ms = ?2")
        .and_then(|mut statement| {
            statement.execute(params![refused.number, refused.received_at_ms])
        });
    connection.execute_batch("PRAGMA synchronous = NORMAL;")?;
    removed.map(drop)
}

fn insert(
    connection: &Connection,
    owner: Owner,
    application: ApplicationKey,
    refused: &QuarantineWrite,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO refused(owner, application, received_at_ms, code, reason, status, record)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            owner.number(),
            application.0,
            refused.received_at_ms,
            refused.code,
            refused.reason,
            refused.status,
            &refused.record.packed()[..],
        ])
        .map(drop)
}

/// The oldest go first, until the rest fits.
fn trim(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "DELETE FROM refused WHERE number <=
             (SELECT number FROM refused ORDER BY number DESC LIMIT 1 OFFSET ?1)",
        [ROWS_MAX],
    )?;
    connection.execute(
        "DELETE FROM refused WHERE number <=
             (SELECT max(number) FROM (
                 SELECT number, sum(length(record)) OVER (ORDER BY number DESC) AS bytes
                 FROM refused)
              WHERE bytes > ?1)",
        [BYTES_MAX],
    )?;
    Ok(())
}

impl SqliteStore {
    /// The quarantine, for whoever must not keep others from closing it.
    pub(crate) fn quarantine(&self) -> Result<Arc<Quarantine>> {
        let parts = self.parts.lock();
        Ok(Arc::clone(&parts.as_ref().ok_or(StoreError::Closed)?.quarantine))
    }

    /// Works with the quarantine's file on a thread that may wait.
    pub(crate) async fn with_quarantine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Quarantine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let quarantine = self.quarantine()?;
        self.blocking(move |_| work(&quarantine)).await
    }
}
