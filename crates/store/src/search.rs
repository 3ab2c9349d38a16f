//! Looking for events under conditions that no index answers, a bounded stretch at a time.
//!
//! Invariants: a call ends soon after its time, however little it found; where it stopped is told, and a
//! call that goes on from there leaves nothing out and tells nothing twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use becket_model::{DeliveryState, EventId, EventRecord};

use crate::{EventFilter, EventRow, Page, Result, Scope, Store};

/// Events looked at between two looks at the clock.
const BATCH: usize = 100;

/// Judges an event together with its bytes.
pub type RecordTest = Arc<dyn Fn(&EventRow, &EventRecord) -> bool + Send + Sync>;

/// What is looked for, and for how long.
#[derive(Clone, Default)]
pub struct Search {
    /// Every given field has to match.
    pub filter: EventFilter,
    /// At least one delivery in one of these states; empty is for any event.
    pub among: Vec<DeliveryState>,
    /// What the bytes have to be like.
    pub record: Option<RecordTest>,
    /// After so many milliseconds the call ends with what it has.
    pub budget_ms: u64,
    /// After so many events, too; 0 is no bound.
    pub rows_max: usize,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Search")
            .field("filter", &self.filter)
            .field("among", &self.among)
            .field("in_records", &self.record.is_some())
            .field("budget_ms", &self.budget_ms)
            .finish_non_exhaustive()
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Searched {
    /// The events, in the order of the page.
    pub rows: Vec<EventRow>,
    /// How far it was looked: a page that goes on from here goes on behind everything that was looked
    /// at. `None` if nothing was.
    pub reached: Option<EventId>,
    /// Whether there is nothing beyond.
    pub done: bool,
}

/// Whether an event has a delivery in one of these states.
#[must_use]
pub fn is_among(row: &EventRow, among: &[DeliveryState]) -> bool {
    among.is_empty() || row.deliveries.iter().any(|delivery| among.contains(&delivery.state))
}

/// Searches a store that can list events and read one, batch by batch.
///
/// # Errors
/// Those of the store.
pub async fn by_list<S: Store + ?Sized>(
    store: &S,
    scope: Scope,
    search: Search,
    page: Page,
) -> Result<Searched> {
    let end = Instant::now() + Duration::from_millis(search.budget_ms);
    let (mut found, mut page_now, mut seen) = (Searched::default(), page, 0);
    loop {
        page_now.limit = BATCH;
        let rows = store.event_list(scope, search.filter.clone(), page_now).await?;
        let exhausted = rows.len() < BATCH;
        for row in rows {
            if found.rows.len() >= page.limit {
                return Ok(found);
            }
            found.reached = Some(row.id);
            seen += 1;
            let mut matches = is_among(&row, &search.among);
            if let (true, Some(test)) = (matches, &search.record) {
                let record = store.event_record(scope, row.id).await?;
                matches = record.is_some_and(|record| test(&row, &record));
            }
            if matches {
                found.rows.push(row);
            }
            let over = Instant::now() >= end || (search.rows_max > 0 && seen >= search.rows_max);
            if over {
                return Ok(found);
            }
        }
        if exhausted {
            found.done = true;
            return Ok(found);
        }
        match page_now.after {
            Some(_) => page_now.after = found.reached,
            None => page_now.before = found.reached,
        }
    }
}
