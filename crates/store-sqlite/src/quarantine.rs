//! Refused requests, kept for a while in a file of their own.
//!
//! They come from anybody, so they are bounded by number and size, are written without waiting for
//! the disk, and can never hold up or fill what genuine events need.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use becket_model::{ApplicationKey, EventRecord};
use becket_store::{Owner, QuarantineRow, QuarantineWrite, Result, Scope, StoreError};
use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::{Connection, params};

use crate::errors::database;
use crate::layout::open_quarantine;

/// Refused requests kept at most.
const ROWS_MAX: i64 = 10_000;
/// Bytes of refused requests kept at most.
const BYTES_MAX: i64 = 256 << 20;
/// Requests that may wait to be written.
const WAITING_MAX: usize = 1_024;
/// How many rows are written between two looks at the bounds.
const TRIM_EVERY: i64 = 100;

enum Message {
    Put(Owner, ApplicationKey, Box<QuarantineWrite>),
    Flush(SyncSender<()>),
}

/// The file of refused requests and the thread that writes it.
pub(crate) struct Quarantine {
    reader: Mutex<Connection>,
    sender: Mutex<Option<SyncSender<Message>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Quarantine {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let writer = open_quarantine(path)?;
        writer.execute_batch("PRAGMA synchronous = NORMAL;").map_err(database("open"))?;
        let reader = open_quarantine(path)?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("becket-quarantine".to_owned())
            .spawn(move || work(&writer, &receiver))
            .map_err(|error| StoreError::Unusable {
                path: path.display().to_string(),
                detail: format!("no thread could be started: {error}"),
            })?;
        Ok(Self {
            reader: Mutex::new(reader),
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
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
        match sender.try_send(Message::Put(owner, application, Box::new(refused))) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Closed),
        }
    }

    /// Refused requests, newest first. Waits for what has been handed over before.
    pub(crate) fn list(
        &self,
        scope: Scope,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>> {
        self.flush();
        let failed = database("read quarantine");
        let reader = self.reader.lock();
        let mut statement = reader
            .prepare_cached(
                "SELECT number, application, received_at_ms, code, reason, status, record
                 FROM refused
                 WHERE owner = ?1 AND (?2 IS NULL OR application = ?2) AND number < ?3
                 ORDER BY number DESC LIMIT ?4",
            )
            .map_err(failed)?;
        let application = scope.application.map(|key| key.0);
        let mut rows = statement
            .query(params![
                scope.owner.number(),
                application,
                before.unwrap_or(i64::MAX),
                limit as i64
            ])
            .map_err(failed)?;
        let mut list = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            list.push(read(row).map_err(failed)??);
        }
        Ok(list)
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

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<QuarantineRow>> {
    let record: Vec<u8> = row.get(6)?;
    let number = row.get(0)?;
    let record = match EventRecord::from_packed(Bytes::from(record)) {
        Ok(record) => record,
        Err(error) => {
            return Ok(Err(StoreError::Unusable {
                path: "quarantine.db".to_owned(),
                detail: format!("row {number}: {error}"),
            }));
        }
    };
    Ok(Ok(QuarantineRow {
        number,
        application: ApplicationKey(row.get(1)?),
        refused: QuarantineWrite {
            received_at_ms: row.get(2)?,
            code: row.get(3)?,
            reason: row.get(4)?,
            status: row.get(5)?,
            record,
        },
    }))
}

fn work(connection: &Connection, receiver: &Receiver<Message>) {
    let mut written = 0;
    while let Ok(message) = receiver.recv() {
        match message {
            // Whoever asked may have gone.
            Message::Flush(done) => {
                let _ = done.send(());
            }
            Message::Put(owner, application, refused) => {
                written += 1;
                let stored = insert(connection, owner, application, &refused).and_then(|()| {
                    if written % TRIM_EVERY == 0 { trim(connection) } else { Ok(()) }
                });
                if let Err(error) = stored {
                    tracing::warn!(error = %error, "a refused request could not be kept");
                }
            }
        }
    }
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

fn trim(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "DELETE FROM refused WHERE number <= (SELECT max(number) FROM refused) - ?1",
        [ROWS_MAX],
    )?;
    let bytes: i64 = connection.query_row(
        "SELECT coalesce(sum(length(record)), 0) FROM refused",
        [],
        |row| row.get(0),
    )?;
    if bytes > BYTES_MAX {
        connection.execute(
            "DELETE FROM refused WHERE number IN
                 (SELECT number FROM refused ORDER BY number
                  LIMIT (SELECT count(*) / 2 FROM refused))",
            [],
        )?;
    }
    Ok(())
}
