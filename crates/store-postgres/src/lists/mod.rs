//! Lists of events, newest first or upwards: walked stretch by stretch, as searches are.
//!
//! Invariants: no statement looks at more than a bounded number of rows, however few of them match;
//! days that cannot hold what is looked for are passed over; where the walk stopped is told, and
//! nothing before that was left out.
//!
//! Where next: `walk` for the walk, `sql` for what it asks.

mod sql;
mod walk;

use std::sync::Arc;

use becket_store::search::Search;
use becket_store::{EventFilter, EventRow, Page, Result, Scope};

pub(crate) use self::walk::walk;
use crate::shared::Shared;

/// See [`becket_store::Store::event_list`].
pub(crate) async fn event_list(
    shared: &Arc<Shared>,
    scope: Scope,
    filter: EventFilter,
    page: Page,
) -> Result<Vec<EventRow>> {
    let search = Search { filter, ..Search::default() };
    Ok(walk(shared, "list events", scope, &search, page, None).await?.rows)
}
