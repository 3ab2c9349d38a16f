//! What the writer does after a failed batch: tells everybody, rolls back, and after a disk error
//! closes, reopens and checks the segment before anything is acknowledged again.

use becket_model::EventSeq;
use becket_store::{Result, StoreError};
use rusqlite::Connection;

use super::{Effect, Op, RETRY_WAIT, Writer, checkpoint, open_hot};
use crate::errors::{database, needs_reopening};
use crate::load;

impl Writer {
    /// The batch is not on disk: tell everybody, and repair what has to be.
    pub(super) fn fail(&mut self, effects: Vec<Effect>, error: &StoreError, begun: bool) {
        for effect in effects {
            match effect {
                Effect::Stored { promise, .. } | Effect::Duplicate { promise, .. } => {
                    self.answers.accepted(promise, Err(error.clone()));
                }
                Effect::Finished { promise, .. } => {
                    self.answers.finished(promise, Err(error.clone()));
                }
                Effect::Replayed { reply, .. } => drop(reply.send(Err(error.clone()))),
                Effect::Released { reply, .. } => drop(reply.send(Err(error.clone()))),
                Effect::Edited { reply, .. } => drop(reply.send(Err(error.clone()))),
            }
        }
        self.answers.send();
        *self.shared.trouble.lock() = Some(error.clone());
        tracing::error!(error = %error, code = error.code(), "a batch of writes was refused by the disk");
        // SQLite has often rolled back by itself by now; then this is refused, rightly.
        let rolled_back = begun && !self.connection.is_autocommit();
        if rolled_back && let Err(rollback) = self.connection.execute_batch("ROLLBACK") {
            tracing::error!(error = %rollback, "rolling back failed");
        }
        if needs_reopening(error) {
            self.reopen();
        } else {
            std::thread::sleep(RETRY_WAIT);
            self.space.recheck();
        }
    }

    /// Closes the segment, opens it again, writes its log back, checks it, and rebuilds memory.
    /// Refuses everything until that has succeeded.
    fn reopen(&mut self) {
        loop {
            match self.try_reopen() {
                Ok(()) => {
                    tracing::info!("the hot segment has been reopened and checked");
                    *self.shared.trouble.lock() = None;
                    return;
                }
                Err(error) => {
                    tracing::error!(error = %error, "the hot segment cannot be reopened yet");
                    *self.shared.trouble.lock() = Some(error.clone());
                    if self.refuse_waiting(&error) {
                        return;
                    }
                    std::thread::sleep(RETRY_WAIT);
                }
            }
        }
    }

    fn try_reopen(&mut self) -> Result<()> {
        // The old connection is closed before the file is opened anew.
        self.connection = Connection::open_in_memory().map_err(database("reopen"))?;
        self.shared.segments.close_readers();
        let connection = open_hot(&self.segment, &self.log_pages)?;
        checkpoint(&connection)?;
        let verdict: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(database("check"))?;
        if verdict != "ok" {
            return Err(StoreError::Unusable {
                path: self.segment.path.display().to_string(),
                detail: format!("the check says: {verdict}; restore this file from a backup"),
            });
        }
        let loaded = load::load(&connection)?;
        let mut guard = self.segment.memory.lock();
        let mut memory = loaded.memory;
        if let Some(before) = guard.take() {
            memory.keep_leases_of(&before);
        }
        *guard = Some(memory);
        drop(guard);
        self.dedupe.insert_set(self.segment.first, loaded.keys);
        self.seqs.rise_to(EventSeq(loaded.last.max(self.segment.first)));
        self.connection = connection;
        Ok(())
    }

    /// Refuses what waits while the disk is out of order; `true` if closing was asked for.
    fn refuse_waiting(&mut self, error: &StoreError) -> bool {
        let mut waiting = Vec::new();
        self.shared.writer.take_now(&mut waiting);
        let mut closing = false;
        for op in waiting {
            if let Op::Close(done) = op {
                // Asked for again by the main loop, which ends there.
                self.shared.writer.push(Op::Close(done));
                closing = true;
            } else {
                self.refuse(op, error);
            }
        }
        self.answers.send();
        closing
    }
}
