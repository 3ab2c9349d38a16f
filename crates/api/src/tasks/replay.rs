//! Replaying many events to one endpoint: what has failed so far, what it never got, or what a filter
//! names.

use std::collections::BTreeMap;

use becket_model::{DeliveryState, Disposition, EndpointState, EventId};
use becket_store::{DeliveryRow, Endpoint, EventFilter, EventRow, Scope, Store};

use super::work::{ReplayWhich, ReplayWork, Step};
use crate::problem::{ApiError, Result};
use crate::scan::{self, From};

const STEP_EVENTS: usize = 200;

/// Does one step; the cursor is the id of the last event looked at.
pub(super) async fn step(work: &ReplayWork, mut step: Step<'_>) -> Result<Option<String>> {
    let api = &step.shared.api;
    let (id, now_ms) = (work.to.application.to_string(), api.clock.now_ms());
    let (apps, store) = (&step.shared.apps, api.store.as_ref());
    let app = apps
        .find(store, step.owner, work.to.application_kind, &id, now_ms)
        .await?
        .ok_or_else(|| ApiError::not_found("application", &id))?;
    let endpoint = app.endpoint(&work.to.endpoint.to_string())?;
    check_takes(endpoint)?;
    let filter = EventFilter {
        event_types: work.event_types.clone(),
        endpoint: (work.which != ReplayWhich::Missing).then_some(endpoint.key),
        since_ms: Some(work.since_ms),
        until_ms: Some(work.until_ms),
        channel: work.channel.clone(),
        tag: work.tag.clone(),
        ..EventFilter::default()
    };
    let after = match step.cursor {
        Some(text) => text.parse::<EventId>().map_err(|error| {
            ApiError::new("event_damaged", format!("the task's place cannot be read: {error}"))
        })?,
        None => scan::floor_of(work.since_ms),
    };
    let scope = app.scope();
    let found = search(work, store, scope, endpoint, &filter, after).await?;
    let (mut events, mut fresh, mut due, mut filtered) = (0, 0, 0, 0);
    for event in &found.rows {
        if !class_fits(work, step.shared, scope, endpoint, event).await? {
            continue;
        }
        if !passes(work, step.shared, scope, endpoint, event).await? {
            filtered += 1;
            continue;
        }
        // An event may have been removed since it was listed: then there is nothing to count.
        let replayed = store.delivery_replay(scope, event.id, vec![endpoint.key], now_ms).await?;
        for one in replayed.unwrap_or_default() {
            events += 1;
            *if one.fresh { &mut fresh } else { &mut due } += 1;
        }
    }
    if events > 0 {
        api.control.wake(endpoint.key).await;
    }
    // The specification's word, and ours in more detail.
    step.count("messagesSent", events);
    step.count("events", events);
    step.count("started", fresh);
    step.count("madeDue", due);
    step.count("filtered", filtered);
    step.count("seen", found.seen as u64);
    Ok(found.next.map(|next| next.to_string()))
}

/// What one step found.
struct Found {
    /// The events that are chosen, oldest first.
    rows: Vec<EventRow>,
    /// How many events were looked at.
    seen: usize,
    /// Where the next step goes on; `None` at the end.
    next: Option<EventId>,
}

/// Looks for the events of one step, above `after`. What has failed so far is in one of two states,
/// each with a walk of its own, because a walk can only leave out in bulk what has one state; both go
/// as far as the slower of them, so that no event comes twice.
async fn search(
    work: &ReplayWork,
    store: &dyn Store,
    scope: Scope,
    endpoint: &Endpoint,
    filter: &EventFilter,
    after: EventId,
) -> Result<Found> {
    let states: &[Option<DeliveryState>] = match work.which {
        ReplayWhich::Failed => &[Some(DeliveryState::Failed), Some(DeliveryState::Pending)],
        ReplayWhich::Missing | ReplayWhich::Sent => &[None],
    };
    let (mut rows, mut seen, mut next) = (BTreeMap::new(), 0, None::<EventId>);
    for state in states {
        let filter = EventFilter { state: *state, ..filter.clone() };
        let keep = |event: &EventRow| chosen(work, endpoint, event);
        let from = From::After(after);
        let found = scan::collect(store, scope, &filter, from, STEP_EVENTS, keep).await?;
        rows.extend(found.rows.into_iter().map(|row| (row.id, row)));
        seen += found.seen;
        if !found.done {
            let reached = found.last.unwrap_or(after);
            next = Some(next.map_or(reached, |next| next.min(reached)));
        }
    }
    if let Some(next) = next {
        rows.retain(|id, _| *id <= next);
    }
    Ok(Found { rows: rows.into_values().collect(), seen, next })
}

/// Whether an endpoint takes deliveries; the reason if not.
pub(crate) fn check_takes(endpoint: &Endpoint) -> Result<()> {
    let name = endpoint.name();
    match endpoint.state {
        EndpointState::Enabled | EndpointState::Paused => Ok(()),
        EndpointState::Disabled => {
            Err(ApiError::new("endpoint_disabled", format!("endpoint `{name}` is disabled"))
                .hint("enable it first"))
        }
        EndpointState::Removed => {
            Err(ApiError::new("endpoint_removed", format!("endpoint `{name}` was removed"))
                .hint("replay to another endpoint"))
        }
    }
}

fn last<'e>(endpoint: &Endpoint, event: &'e EventRow) -> Option<&'e DeliveryRow> {
    let to_it = event.deliveries.iter().filter(|delivery| delivery.endpoint == endpoint.key);
    to_it.max_by_key(|delivery| delivery.generation)
}

/// Whether a delivery has failed so far: for good, or so that it waits for its next attempt.
const fn is_failing(delivery: &DeliveryRow) -> bool {
    match delivery.state {
        DeliveryState::Failed => true,
        DeliveryState::Pending => delivery.attempts > 0 && delivery.due_ms.is_some(),
        DeliveryState::Delivered | DeliveryState::Cancelled => false,
    }
}

fn chosen(work: &ReplayWork, endpoint: &Endpoint, event: &EventRow) -> bool {
    match (work.which, last(endpoint, event)) {
        (ReplayWhich::Failed, Some(delivery)) => is_failing(delivery),
        (ReplayWhich::Sent, Some(delivery)) => {
            work.status.is_none_or(|status| status == status_of(delivery))
        }
        (ReplayWhich::Missing, None) => {
            event.disposition != Disposition::Filtered
                && endpoint.settings.wants(event.event_type.as_deref())
                && endpoint.settings.hears(&event.labels.channels)
        }
        (ReplayWhich::Failed | ReplayWhich::Sent, None) | (ReplayWhich::Missing, Some(_)) => false,
    }
}

/// Whether the endpoint's filter, as it is now, lets the event pass. What was sent before and is sent
/// again on purpose is not asked.
async fn passes(
    work: &ReplayWork,
    shared: &crate::call::Shared,
    scope: Scope,
    endpoint: &Endpoint,
    event: &EventRow,
) -> Result<bool> {
    let Some(filter) = &endpoint.settings.filter else { return Ok(true) };
    if work.which == ReplayWhich::Sent {
        return Ok(true);
    }
    let Some(record) = shared.api.store.event_record(scope, event.id).await? else {
        return Ok(false);
    };
    if record.is_expunged() {
        // Nothing is left to ask; it passed before if it had a delivery.
        return Ok(work.which == ReplayWhich::Failed);
    }
    Ok(filter.check(&record.subject(event.event_type.as_deref())).is_ok())
}

/// How a delivery stands, as the specification counts.
fn status_of(delivery: &DeliveryRow) -> u8 {
    match delivery.state {
        DeliveryState::Delivered => 0,
        DeliveryState::Pending if delivery.due_ms.is_none() => 3,
        DeliveryState::Pending => 1,
        DeliveryState::Failed => 2,
        DeliveryState::Cancelled => 4,
    }
}

/// Whether the last attempt ended with a response of the wanted class.
async fn class_fits(
    work: &ReplayWork,
    shared: &crate::call::Shared,
    scope: Scope,
    endpoint: &Endpoint,
    event: &EventRow,
) -> Result<bool> {
    let Some(class) = work.status_code_class else { return Ok(true) };
    let attempts = shared.api.store.attempt_list(scope, event.id).await?;
    let last = attempts.iter().rfind(|row| row.delivery.endpoint == endpoint.key);
    Ok(last.is_some_and(|row| row.attempt.status.map_or(0, |status| status / 100 * 100) == class))
}
