//! Walks events page by page under a filter that the store cannot answer by itself.
//!
//! Invariants: a call takes about [`BUDGET_MS`] and looks at no more than [`ROWS_MAX`] events that the
//! store finds, however few of them match; what it did not reach is behind the iterator, so that a page
//! may be short and even empty without being the last. Nothing is left out and nothing comes twice.

use std::time::{Duration, Instant};

use becket_model::{EventId, EventSeq};
use becket_store::search::Search;
use becket_store::{EventFilter, EventRow, Page, Scope, Store};

use crate::problem::Result;

/// How many events one call looks at.
pub(crate) const ROWS_MAX: usize = 5_000;
/// How long one call looks, in milliseconds.
pub(crate) const BUDGET_MS: u64 = 80;
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
    /// Where the next page goes on: the last event looked at, or further where nothing was found.
    pub last: Option<EventId>,
    /// The place up to which everything was looked at.
    pub reached: Option<EventId>,
    /// Whether there is nothing beyond it.
    pub done: bool,
    /// How many events the store found and were looked at.
    pub seen: usize,
    /// Whether it ended because it had looked for long enough.
    pub over: bool,
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
    from: From,
    limit: usize,
    keep: impl Fn(&EventRow) -> bool + Send + Sync,
) -> Result<Scanned> {
    let search = Search { filter: filter.clone(), ..Search::default() };
    search_for(store, scope, &search, from, limit, keep).await
}

/// The same for what is looked for in more than rows.
pub(crate) async fn search_for(
    store: &dyn Store,
    scope: Scope,
    search: &Search,
    mut from: From,
    limit: usize,
    keep: impl Fn(&EventRow) -> bool + Send + Sync,
) -> Result<Scanned> {
    let end = Instant::now() + Duration::from_millis(BUDGET_MS);
    let mut found =
        Scanned { rows: Vec::new(), last: None, reached: None, done: false, seen: 0, over: false };
    loop {
        // One more than is wanted, to know whether the page is the last.
        let batch = BATCH.min(limit - found.rows.len() + 1);
        let page = match from {
            From::Before(before) => Page { limit: batch, before, after: None },
            From::After(after) => Page { limit: batch, before: None, after: Some(after) },
        };
        let left = end.saturating_duration_since(Instant::now());
        let budget_ms = u64::try_from(left.as_millis()).unwrap_or(BUDGET_MS);
        let asked = Search { budget_ms, ..search.clone() };
        let searched = store.event_search(scope, asked, page).await?;
        for row in searched.rows {
            if found.rows.len() == limit {
                return Ok(found);
            }
            (found.last, found.reached) = (Some(row.id), Some(row.id));
            found.seen += 1;
            if keep(&row) {
                found.rows.push(row);
            }
        }
        found.reached = searched.reached.or(found.reached);
        found.done = searched.done;
        if !found.done {
            found.last = found.reached;
        }
        found.over = !found.done && (found.seen >= ROWS_MAX || Instant::now() >= end);
        if found.done || found.over {
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
