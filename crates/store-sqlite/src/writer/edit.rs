//! Changing what stands in the hot segment, and emptying its log of what was removed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use becket_store::Result;
use tokio::sync::oneshot;

use super::Writer;
use crate::edit::{self, Edit, Edited};
use crate::errors::database;
use crate::write;

/// How long emptying the log is left alone after it was tried.
const EMPTY_EVERY: Duration = Duration::from_secs(1);

impl Writer {
    /// Makes a change in the open transaction; `None` if it is about an older segment.
    pub(super) fn edit(&self, edit: &Edit) -> Result<Option<Edited>> {
        if edit.seq().is_some_and(|seq| seq < self.segment.first) {
            return Ok(None);
        }
        edit::apply(&self.connection, edit).map(Some)
    }

    /// Remembers a change that is on disk.
    pub(super) fn note_edit(&mut self, reply: oneshot::Sender<Result<u64>>, edited: Edited) {
        if edited.changed {
            self.segment.unclean.store(true, Ordering::Relaxed);
        }
        self.edited.push((reply, edited.count));
    }

    /// Empties the log if it holds what has been removed, but not too often: a whole log is written
    /// back meanwhile. Whoever removed something is told after the first try.
    pub(super) fn keep_log_clean(&mut self) {
        if self.segment.unclean.load(Ordering::Relaxed) {
            self.look_at_expiring();
            if self.emptied_at.is_none_or(|at| at.elapsed() >= EMPTY_EVERY) {
                self.emptied_at = Some(Instant::now());
                match edit::empty_log(&self.connection) {
                    Ok(true) => {
                        self.segment.unclean.store(false, Ordering::Relaxed);
                        self.log_pages.store(0, Ordering::Relaxed);
                    }
                    Ok(false) => {}
                    Err(error) => tracing::warn!(
                        error = %error,
                        "removed payloads still stand in a log; emptying it will be tried again"
                    ),
                }
            }
        }
        for (reply, count) in self.edited.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.send(Ok(count));
        }
    }

    fn look_at_expiring(&self) {
        match write::next_expiring(&self.connection).map_err(database("find due payloads")) {
            Ok(next) => {
                self.segment.expiring_ms.store(next.unwrap_or(i64::MAX), Ordering::Relaxed);
            }
            // What is known is too early at worst.
            Err(error) => tracing::warn!(error = %error, "the next due payload is not known"),
        }
    }
}
