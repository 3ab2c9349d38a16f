//! Sealing: a segment that gets no more events is indexed and summed up, one step at a time.
//!
//! The entry in the list of sealed segments is written last; without it the next start begins
//! again, and every step may be repeated.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use becket_model::ApplicationKey;
use becket_store::{DedupeKey, Result};
use rusqlite::Connection;

use crate::catalog::SealedRow;
use crate::dedupe::{SealedFilter, fingerprint};
use crate::errors::database;
use crate::layout::bytes_on_disk;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::tables::SEAL_STEPS;
use crate::writer::{Op, checkpoint};

/// A segment that is being sealed.
pub(crate) struct Sealing {
    pub(crate) segment: Arc<Segment>,
    next: usize,
}

impl Sealing {
    pub(crate) const fn new(segment: Arc<Segment>) -> Self {
        Self { segment, next: 0 }
    }

    /// Does the next step; `true` when the segment is sealed.
    pub(crate) fn step(&mut self, connection: &Connection, shared: &Shared) -> Result<bool> {
        if let Some(sql) = SEAL_STEPS.get(self.next) {
            connection.execute_batch(sql).map_err(database("index segment"))?;
            self.next += 1;
            return Ok(false);
        }
        let filter = filter_of(connection, &self.segment)?;
        checkpoint(connection)?;
        list(shared, &self.segment, &filter)?;
        self.segment.sealed.store(true, Ordering::Release);
        shared.writer.push(Op::Sealed(self.segment.first, filter));
        tracing::debug!(path = %self.segment.path.display(), "a segment is sealed");
        Ok(true)
    }
}

/// Builds the filter over a segment's dedupe keys.
pub(crate) fn filter_of(connection: &Connection, segment: &Segment) -> Result<SealedFilter> {
    let prints = fingerprints(connection)?;
    Ok(SealedFilter::build(prints, segment.dedupe_until_ms.load(Ordering::Relaxed)))
}

/// The fingerprints of a segment's dedupe keys.
pub(crate) fn fingerprints(connection: &Connection) -> Result<Vec<u64>> {
    let failed = database("build filter");
    let mut statement = connection
        .prepare("SELECT application, dedupe FROM event WHERE dedupe IS NOT NULL")
        .map_err(failed)?;
    statement
        .query_map([], |row| {
            Ok(fingerprint(&(ApplicationKey(row.get(0)?), DedupeKey(row.get(1)?))))
        })
        .and_then(Iterator::collect)
        .map_err(failed)
}

/// Enters a segment in the list of sealed ones.
pub(crate) fn list(shared: &Shared, segment: &Segment, filter: &SealedFilter) -> Result<()> {
    let bytes = bytes_on_disk(&segment.path);
    segment.bytes.store(bytes, Ordering::Relaxed);
    shared.catalog.segment_put(SealedRow {
        first: segment.first,
        last: segment.last.load(Ordering::Relaxed),
        events: segment.events.load(Ordering::Relaxed),
        bytes,
        received_min_ms: segment.received_min_ms.load(Ordering::Relaxed),
        received_max_ms: segment.received_max_ms.load(Ordering::Relaxed),
        dedupe_until_ms: filter.until_ms,
        kinds: segment.kinds.lock().clone(),
        compacted_at_ms: segment.compacted_at_ms.load(Ordering::Relaxed),
        filter: filter.to_bytes(),
        expiring_ms: segment.expiring(),
    })
}
