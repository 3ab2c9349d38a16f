//! Changing what stands in older segments, and emptying their logs of what was removed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use becket_store::Result;

use super::Keeper;
use crate::edit::{self, Edit, Edited};
use crate::errors::database;
use crate::segment::Segment;
use crate::write;

impl Keeper {
    pub(super) fn edit(&mut self, edit: &Edit) -> Result<u64> {
        if let Some(seq) = edit.seq() {
            return match self.holding(seq) {
                Some(segment) => self.edit_in(&segment, edit),
                None => Ok(0),
            };
        }
        let Edit::ExpungeDue { now_ms } = edit else { return Ok(0) };
        let hot = self.shared.hot_first.load(Ordering::Acquire);
        let older = self.shared.segments.all().into_iter().filter(|one| one.first < hot);
        let mut count = 0;
        for segment in older {
            if count == 0 && segment.expiring_ms.load(Ordering::Relaxed) <= *now_ms {
                count = self.edit_in(&segment, edit)?;
            } else if segment.unclean.load(Ordering::Relaxed) {
                self.clean(&segment)?;
            }
        }
        Ok(count)
    }

    fn edit_in(&mut self, segment: &Arc<Segment>, edit: &Edit) -> Result<u64> {
        let failed = database("remove payload");
        let (edited, next_ms): (Edited, Option<i64>) = self.with(segment, |connection| {
            connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
            let edited = edit::apply(connection, edit)?;
            connection.execute_batch("COMMIT").map_err(failed)?;
            Ok((edited, write::next_expiring(connection).map_err(failed)?))
        })?;
        let next = next_ms.unwrap_or(i64::MAX);
        let before = segment.expiring_ms.swap(next, Ordering::Relaxed);
        if edited.changed {
            segment.unclean.store(true, Ordering::Relaxed);
            self.clean(segment)?;
        }
        if before != next && segment.sealed.load(Ordering::Acquire) {
            self.shared.catalog.segment_expiring(segment.first, next_ms)?;
        }
        Ok(edited.count)
    }

    /// Empties a segment's log, if nobody reads from it just then; otherwise a later step does.
    fn clean(&mut self, segment: &Segment) -> Result<()> {
        if self.with(segment, edit::empty_log)? {
            segment.unclean.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}
