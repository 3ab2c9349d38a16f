//! Replaying events: one, or all that match, in bounded steps, oldest first.
//!
//! Invariants: an endpoint that takes no deliveries is left out and counted; a step changes at most
//! [`STEP_EVENTS_MAX`] events and says where to go on, so that a replay that is broken off can be
//! continued and never begins anew by itself.

use std::collections::BTreeSet;

use becket_model::{DeliveryState, EndpointKey, EndpointState, EventId};
use becket_store::{Endpoint, EventFilter, EventRow, Owner, Scope};

use crate::ApiState;
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::scan::{self, From};
use crate::times;
use crate::wire::becket::ReplayOut;

/// The most events that one step replays.
pub(crate) const STEP_EVENTS_MAX: usize = 1_000;

/// A replay of many events: of the last delivery to the endpoint (or to each), if it stands in the
/// state.
#[derive(Debug, Clone)]
pub(crate) struct ReplayMany {
    pub scope: Scope,
    pub endpoint: Option<EndpointKey>,
    pub state: Option<DeliveryState>,
    pub event_types: Vec<String>,
    pub since_ms: i64,
    pub until_ms: i64,
    pub dry_run: bool,
}

/// Whether an endpoint takes deliveries; the reason if not.
pub(crate) fn check_takes(names: &Names, endpoint: &Endpoint) -> Result<()> {
    let name = names.full_name(endpoint);
    match endpoint.state {
        EndpointState::Enabled | EndpointState::Paused => Ok(()),
        EndpointState::Disabled => {
            Err(ApiError::new("endpoint_disabled", format!("endpoint `{name}` is disabled"))
                .hint(format!("`becket endpoints enable {name}` first")))
        }
        EndpointState::Removed => Err(ApiError::new(
            "endpoint_removed",
            format!("endpoint `{name}` is no longer declared"),
        )
        .hint("replay to another endpoint, or declare it again in the configuration")),
    }
}

/// The endpoints of one event that a replay goes to.
fn chosen(names: &Names, event: &EventRow, many: &ReplayMany) -> Vec<EndpointKey> {
    let latest = names.latest(event).into_iter();
    latest
        .filter(|delivery| many.endpoint.is_none_or(|key| delivery.endpoint == key))
        .filter(|delivery| many.state.is_none_or(|state| names.shown_state(delivery) == state))
        .map(|delivery| delivery.endpoint)
        .collect()
}

/// Replays one event to the given endpoints and counts what was done. Wakes nobody.
pub(crate) async fn start(
    api: &ApiState,
    owner: Owner,
    names: &Names,
    event: &EventRow,
    endpoints: Vec<EndpointKey>,
    out: &mut ReplayOut,
) -> Result<Vec<EndpointKey>> {
    let (takes, skipped): (Vec<_>, Vec<_>) = endpoints.into_iter().partition(|key| {
        names.endpoint_of(*key).is_some_and(|endpoint| {
            matches!(endpoint.state, EndpointState::Enabled | EndpointState::Paused)
        })
    });
    out.skipped += skipped.len() as u64;
    // An empty list would mean every planned endpoint to the store.
    if takes.is_empty() {
        return Ok(takes);
    }
    if out.dry_run {
        out.events += 1;
        for key in takes {
            let pending = names.latest(event).into_iter().any(|delivery| {
                delivery.endpoint == key && delivery.state == DeliveryState::Pending
            });
            *if pending { &mut out.made_due } else { &mut out.started } += 1;
        }
        return Ok(Vec::new());
    }
    let scope = Scope::of(owner, event.application);
    let now_ms = api.clock.now_ms();
    // An event may have been removed since it was listed: then there is nothing to count.
    let replayed =
        api.store.delivery_replay(scope, event.id, takes, now_ms).await?.unwrap_or_default();
    out.events += u64::from(!replayed.is_empty());
    for one in &replayed {
        *if one.fresh { &mut out.started } else { &mut out.made_due } += 1;
    }
    Ok(replayed.into_iter().map(|one| one.key.endpoint).collect())
}

/// Does one step of a replay of many events, from `after` on.
pub(crate) async fn step(
    api: &ApiState,
    owner: Owner,
    names: &Names,
    many: &ReplayMany,
    after: Option<EventId>,
    limit: usize,
) -> Result<ReplayOut> {
    let filter = EventFilter {
        event_types: many.event_types.clone(),
        endpoint: many.endpoint,
        // What is shown as cancelled is kept as pending.
        state: many.state.filter(|state| *state != DeliveryState::Cancelled),
        since_ms: Some(many.since_ms),
        until_ms: Some(many.until_ms),
        ..EventFilter::default()
    };
    let from = From::After(after.unwrap_or_else(|| scan::floor_of(many.since_ms)));
    let found = scan::collect(api.store.as_ref(), many.scope, &filter, from, limit, |event| {
        !chosen(names, event, many).is_empty()
    })
    .await?;
    let mut out = ReplayOut {
        seen: found.seen as u64,
        dry_run: many.dry_run,
        until: Some(times::text(many.until_ms)),
        iterator: found.iterator().or_else(|| after.map(|id| id.to_string())),
        done: found.done,
        ..ReplayOut::default()
    };
    let mut woken = BTreeSet::new();
    let mut failed = None;
    for event in &found.rows {
        match start(api, owner, names, event, chosen(names, event, many), &mut out).await {
            Ok(endpoints) => woken.extend(endpoints),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    // Also after a failure: what was started before it is due.
    for endpoint in woken {
        api.control.wake(endpoint).await;
    }
    failed.map_or(Ok(out), Err)
}
