//! Walks events page by page under a filter that the store cannot answer by itself.
//!
//! Invariants: a call looks at no more than [`ROWS_MAX`] events, however few of them match; what it
//! did not reach is behind the iterator, so that a page may be short and even empty without being
//! the last. Nothing is left out and nothing comes twice.

use becket_model::{EventId, EventSeq};
use becket_store::{EventFilter, EventRow, Page, Scope, Store};

use crate::problem::Result;

/// How many events one call looks at.
pub(crate) const ROWS_MAX: usize = 5_000;
const BATCH: usize = 250;

/// Which way a walk goes, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Newest first, below this event.
    Before(Option<EventId>),
    /// Oldest first, above this event.
    After(EventId),
}

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// The events that match, in the order of the walk.
    pub rows: Vec<EventRow>,
    /// The last event looked at.
    pub last: Option<EventId>,
    /// Whether there is nothing beyond it.
    pub done: bool,
    /// How many events were looked at.
    pub seen: usize,
}

impl Scanned {
    /// The iterator of the page.
    pub fn iterator(&self) -> Option<String> {
        self.last.map(|id| id.to_string())
    }
}

/// Collects up to `limit` events that `keep` lets through.
pub(crate) async fn collect(
    store: &dyn Store,
    scope: Scope,
    filter: &EventFilter,
    mut from: From,
    limit: usize,
    keep: impl Fn(&EventRow) -> bool + Send + Sync,
) -> Result<Scanned> {
    let mut found = Scanned { rows: Vec::new(), last: None, done: false, seen: 0 };
    loop {
        // One more than is wanted, to know whether the page is the last.
        let batch = BATCH.min(limit - found.rows.len() + 1);
        let page = match from {
            From::Before(before) => Page { limit: batch, before, after: None },
            From::After(after) => Page { limit: batch, before: None, after: Some(after) },
        };
        let rows = store.event_list(scope, filter.clone(), page).await?;
        let exhausted = rows.len() < batch;
        for row in rows {
            if found.rows.len() == limit {
                return Ok(found);
            }
            found.last = Some(row.id);
            found.seen += 1;
            if keep(&row) {
                found.rows.push(row);
            }
        }
        if exhausted {
            found.done = true;
            return Ok(found);
        }
        if found.seen >= ROWS_MAX {
            return Ok(found);
        }
        from = match (from, found.last) {
            (From::Before(_), last) => From::Before(last),
            (From::After(after), last) => From::After(last.unwrap_or(after)),
        };
    }
}

/// An event id that stands just above every event up to `seq`: `before` it includes that event.
pub(crate) fn just_above(seq: EventSeq) -> EventId {
    EventId::new(EventSeq(seq.0.saturating_add(1)), [0; 12])
}

/// An event id below every event of a moment and above all earlier ones.
pub(crate) fn floor_of(at_ms: i64) -> EventId {
    EventId::new(EventSeq::floor_of_ms(at_ms.max(0)), [0; 12])
}
