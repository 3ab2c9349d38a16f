//! Searching events for a bounded time; see [`crate::lists`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use becket_store::search::{Search, Searched};
use becket_store::{Page, Result, Scope};

use crate::lists::walk;
use crate::shared::Shared;

/// See [`becket_store::Store::event_search`].
pub(crate) async fn event_search(
    shared: &Arc<Shared>,
    scope: Scope,
    search: Search,
    page: Page,
) -> Result<Searched> {
    let end = Instant::now() + Duration::from_millis(search.budget_ms);
    walk(shared, "search events", scope, &search, page, Some(end)).await
}
