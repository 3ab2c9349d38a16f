//! Taking over a segment: what was pending in memory goes into the segment's own tables, once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use becket_store::{Result, StoreError};
use rusqlite::Connection;

use super::pending::write_deliveries;
use super::{Keeper, Late, Task};
use crate::errors::database;
use crate::layout::{Role, open_segment};
use crate::load;
use crate::memory::Held;
use crate::seal;
use crate::segment::Segment;

impl Keeper {
    pub(super) fn adopt(&mut self, late: Late) {
        let segment = Arc::clone(&late.segment);
        match self.try_adopt(late) {
            Ok(()) => {
                self.shared.adopting.fetch_sub(1, Ordering::AcqRel);
                self.sealing.push_back(seal::Sealing::new(segment));
            }
            Err(failed) => {
                let (error, late) = *failed;
                tracing::error!(error = %error, path = %segment.path.display(), "a segment cannot be taken over yet");
                std::thread::sleep(std::time::Duration::from_millis(250));
                // Behind what waits, so that closing is still possible.
                self.shared.keeper.push(Task::Adopt(late));
            }
        }
    }

    fn try_adopt(&mut self, mut late: Late) -> std::result::Result<(), Box<(StoreError, Late)>> {
        let segment = Arc::clone(&late.segment);
        let connection = match late.connection.take() {
            Some(connection) => connection,
            None => match open_segment(&segment.path, Role::Writer) {
                Ok(connection) => connection,
                Err(error) => return Err(Box::new((error, late))),
            },
        };
        match self.take_over(&segment, &connection) {
            Ok(()) => {
                // From here on the log is kept short by itself.
                if let Err(error) = connection.execute_batch("PRAGMA wal_autocheckpoint = 512;") {
                    tracing::warn!(error = %error, "the log of a segment will grow");
                }
                self.keep_open(segment.first, connection);
                Ok(())
            }
            Err(error) => {
                late.connection = Some(connection);
                Err(Box::new((error, late)))
            }
        }
    }

    /// Writes what is pending and failed into the segment's tables, once.
    fn take_over(&self, segment: &Segment, connection: &Connection) -> Result<()> {
        let failed = database("take over segment");
        let step: i64 = connection
            .query_row("SELECT step FROM progress", [], |row| row.get(0))
            .map_err(failed)?;
        if step > 0 {
            self.count(segment, connection)?;
            segment.adopted.store(true, Ordering::Release);
            return Ok(());
        }
        let mut guard = segment.memory.lock();
        if guard.is_none() {
            *guard = Some(load::load(connection)?.memory);
        }
        let Some(memory) = guard.as_ref() else { return Ok(()) };
        if let Err(error) = write_deliveries(connection, memory).map_err(failed) {
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK").map_err(failed)?;
            }
            return Err(error);
        }
        let mut leases = self.shared.late_leases.lock();
        for (key, waiting) in &memory.pending {
            if let Some(lease) = waiting.lease {
                let held = Held { lease, due_ms: waiting.due_ms, attempts: waiting.attempts };
                leases.insert(*key, held);
            }
        }
        drop(leases);
        self.count(segment, connection)?;
        segment.adopted.store(true, Ordering::Release);
        // From here on the tables say what is pending.
        *guard = None;
        Ok(())
    }

    /// Counts a segment's pending deliveries by endpoint.
    fn count(&self, segment: &Segment, connection: &Connection) -> Result<()> {
        let failed = database("count deliveries");
        let mut statement = connection
            .prepare("SELECT endpoint, count(*) FROM pending GROUP BY endpoint")
            .map_err(failed)?;
        let counts: HashMap<u32, i64> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(failed)?;
        let counts = counts.into_iter().map(|(endpoint, count)| (endpoint, count.unsigned_abs()));
        let counts: HashMap<u32, u64> = counts.collect();
        let mut waiting = segment.waiting.lock();
        // In this order nobody finds nothing for a moment where something waits.
        for (endpoint, count) in &counts {
            self.shared.late_add(*endpoint, *count);
        }
        // What was noted before it was counted is in the tables, too.
        for (endpoint, count) in std::mem::replace(&mut *waiting, counts) {
            self.shared.late_remove(endpoint, count);
        }
        segment.counted.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) fn count_all(&mut self) {
        self.count_missing();
        self.shared.adopting.fetch_sub(1, Ordering::AcqRel);
    }

    /// Counts what could not be counted before: nothing of such a segment is handed out until then.
    pub(crate) fn count_missing(&mut self) {
        for segment in self.shared.segments.all() {
            let sealed = segment.sealed.load(Ordering::Acquire);
            if !sealed || segment.counted.load(Ordering::Acquire) {
                continue;
            }
            let counted =
                self.shared.segments.read(&segment, |reader| self.count(&segment, reader));
            if let Err(error) = counted {
                tracing::error!(error = %error, path = %segment.path.display(), "a segment's pending deliveries cannot be counted yet");
            }
        }
    }
}
