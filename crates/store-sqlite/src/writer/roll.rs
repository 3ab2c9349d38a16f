//! Keeping the hot segment's log short, and beginning a new segment when it is long enough.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use becket_store::Result;
use rusqlite::Connection;

use super::{LOG_PAGES_ASK, LOG_PAGES_FORCE, Writer, open_hot};
use crate::errors::database;
use crate::keeper::{Late, Task};
use crate::layout::{remove_file, with_companions};
use crate::memory::Memory;
use crate::release;
use crate::segment::Segment;

impl Writer {
    pub(super) fn keep_log_short(&mut self) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if pages >= LOG_PAGES_FORCE {
            if let Err(error) = self
                .connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
                .map_err(database("checkpoint"))
            {
                tracing::warn!(error = %error, "writing the log back failed; it will be tried again");
            }
            self.log_pages.store(0, Ordering::Relaxed);
        } else if pages >= LOG_PAGES_ASK {
            // A full queue means that the checkpointer is at it already.
            drop(self.checkpointer.try_send(self.segment.path.clone()));
        }
    }

    pub(super) fn is_long_enough(&self) -> bool {
        let options = &self.shared.options;
        self.segment.events.load(Ordering::Relaxed) >= options.segment_events
            || self.segment.bytes.load(Ordering::Relaxed) >= options.segment_bytes
    }

    /// Begins a new hot segment and hands the old one to the keeper.
    pub(super) fn roll(&mut self) -> bool {
        match self.try_roll() {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(error = %error, "a new segment could not be begun; the old one goes on");
                self.space.recheck();
                false
            }
        }
    }

    /// Makes a segment's file. What is not yet out of quarantine for certain goes along: the old
    /// segment will be sealed.
    fn begin_file(&self, segment: &Segment) -> Result<Connection> {
        let connection = open_hot(segment, &self.log_pages)?;
        for refused in self.shared.let_out.lock().keys() {
            release::note(&connection, *refused).map_err(database("begin a segment"))?;
        }
        Ok(connection)
    }

    fn try_roll(&mut self) -> Result<()> {
        let started = Instant::now();
        let now_ms = self.shared.options.clock.now_ms();
        let first = self.seqs.next(now_ms.max(0), 0).0;
        let segment = Arc::new(Segment::new(&self.shared.folder, first));
        let connection = match self.begin_file(&segment) {
            Ok(connection) => connection,
            Err(error) => {
                // The old one goes on above this place: what is left would hide its events after the
                // next start. If it cannot be removed either, that start does it.
                for file in with_companions(&segment.path) {
                    if let Err(error) = remove_file(&file) {
                        tracing::warn!(error = %error, "what was begun is left behind");
                    }
                }
                return Err(error);
            }
        };
        *segment.memory.lock() = Some(Memory::default());
        self.shared.adopting.fetch_add(1, Ordering::AcqRel);
        if let Some(memory) = self.segment.memory.lock().as_mut() {
            memory.frozen = true;
        }
        self.shared.segments.insert(Arc::clone(&segment));
        self.shared.hot_first.store(first, Ordering::Release);
        let old_connection = std::mem::replace(&mut self.connection, connection);
        let old = std::mem::replace(&mut self.segment, segment);
        tracing::debug!(
            events = old.events.load(Ordering::Relaxed),
            took_us = started.elapsed().as_micros() as u64,
            "a new segment begins"
        );
        self.shared.keeper.push(Task::Adopt(Late::new(old, old_connection)));
        Ok(())
    }
}
