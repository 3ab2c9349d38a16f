//! Removing the payloads of an application's events for good.

use becket_model::{ApplicationId, ApplicationKind, EventId};
use becket_store::{EventFilter, Name, Page, Scope};

use super::work::Step;
use crate::problem::{ApiError, Result};
use crate::scan;

const STEP_EVENTS: usize = 250;

/// Expunges some hundred events, oldest first; the cursor is the id of the last one.
pub(super) async fn step(
    application: ApplicationId,
    until_ms: i64,
    mut step: Step<'_>,
) -> Result<Option<String>> {
    let api = &step.shared.api;
    let kind = ApplicationKind::Customer;
    let found = api.store.application_get(step.owner, kind, Name::Id(application)).await?;
    let Some(app) = found else {
        return Err(ApiError::not_found("application", &application.to_string()));
    };
    let scope = Scope::of(step.owner, app.key);
    let after = match step.cursor {
        Some(text) => text.parse::<EventId>().map_err(|error| {
            ApiError::new("event_damaged", format!("the task's place cannot be read: {error}"))
        })?,
        None => scan::floor_of(0),
    };
    let filter = EventFilter { until_ms: Some(until_ms), ..EventFilter::default() };
    let page = Page { limit: STEP_EVENTS, before: None, after: Some(after) };
    let events = api.store.event_list(scope, filter, page).await?;
    let now_ms = api.clock.now_ms();
    let mut expunged = 0;
    for event in &events {
        expunged += u64::from(api.store.event_expunge(scope, event.id, now_ms).await?);
    }
    step.count("messagesPurged", expunged);
    let last = events.last().filter(|_| events.len() == STEP_EVENTS);
    Ok(last.map(|event| event.id.to_string()))
}
