//! The handlers, one module for each kind of thing.

pub(crate) mod access;
pub(crate) mod activity;
pub(crate) mod applications;
pub(crate) mod attempts;
pub(crate) mod audit;
pub(crate) mod catalogue;
pub(crate) mod create;
pub(crate) mod docs;
pub(crate) mod endpoint_headers;
pub(crate) mod endpoint_secrets;
pub(crate) mod endpoint_states;
pub(crate) mod endpoints;
pub(crate) mod environments;
pub(crate) mod event_types;
pub(crate) mod events;
pub(crate) mod example;
pub(crate) mod explain;
pub(crate) mod expunge;
pub(crate) mod filters;
pub(crate) mod import;
pub(crate) mod integrations;
pub(crate) mod listeners;
pub(crate) mod messages;
pub(crate) mod nodes;
pub(crate) mod oidc;
pub(crate) mod operational;
pub(crate) mod operations;
pub(crate) mod problems;
pub(crate) mod quarantine;
pub(crate) mod recover;
pub(crate) mod replays;
pub(crate) mod schema_try;
pub(crate) mod sessions;
pub(crate) mod source_secrets;
pub(crate) mod source_test;
pub(crate) mod sources;
pub(crate) mod sources_ours;
pub(crate) mod statistics;
pub(crate) mod tail;
pub(crate) mod tokens;
pub(crate) mod transformations;

use becket_model::{DeliveryState, Disposition, EventId};
use becket_store::{EventFilter, EventRow, Page, Scope};

use crate::call::Call;
use crate::names::Names;
use crate::problem::{ApiError, Result};

/// Random bytes, for ids and tokens.
pub(crate) fn random<const N: usize>(call: &Call) -> [u8; N] {
    let mut bytes = [0; N];
    call.shared.api.noise.fill(&mut bytes);
    bytes
}

/// One event by its id, or 404.
pub(crate) async fn event_by_id(call: &Call, scope: Scope, text: &str) -> Result<EventRow> {
    let missing = || {
        ApiError::not_found("event", text)
            .hint("`becket events list` shows what is kept; old events are removed by retention")
    };
    let id: EventId = text.parse().map_err(|_| missing())?;
    call.store().event_get(scope, id).await?.ok_or_else(missing)
}

/// The events of a delivery id: each source hashes it into a key of its own.
pub(crate) async fn events_by_delivery_id(
    call: &Call,
    names: &Names,
    scope: Scope,
    delivery_id: &str,
    filter: &EventFilter,
    limit: usize,
) -> Result<Vec<EventRow>> {
    let mut found = Vec::new();
    let sources = names.sources();
    for source in sources.filter(|source| scope.application.is_none_or(|key| key == source.key)) {
        let Some(dedupe) = call.shared.api.directory.dedupe_key(source.key, delivery_id) else {
            continue;
        };
        let scope = Scope::of(call.owner, source.key);
        let filter = EventFilter { dedupe: Some(dedupe), ..filter.clone() };
        found.extend(call.store().event_list(scope, filter, Page::newest(limit)).await?);
    }
    found.sort_by_key(|row| std::cmp::Reverse(row.id));
    found.truncate(limit);
    Ok(found)
}

/// A delivery state by its word.
pub(crate) fn state_by_name(name: &str) -> Option<DeliveryState> {
    [
        DeliveryState::Pending,
        DeliveryState::Delivered,
        DeliveryState::Failed,
        DeliveryState::Cancelled,
    ]
    .into_iter()
    .find(|state| state.as_str() == name)
}

/// The delivery state that a query asks for.
pub(crate) fn state_asked(call: &Call, name: &str) -> Result<Option<DeliveryState>> {
    let wrong = |text: &str| {
        ApiError::query(name, format!("`{text}` is not pending, delivered, failed or cancelled"))
    };
    call.text(name).map(|text| state_by_name(text).ok_or_else(|| wrong(text))).transpose()
}

/// The disposition that a query asks for.
pub(crate) fn disposition_asked(call: &Call) -> Result<Option<Disposition>> {
    let known = [Disposition::Accepted, Disposition::Filtered, Disposition::Invalid];
    let wrong = |text: &str| {
        ApiError::query("disposition", format!("`{text}` is not accepted, filtered or invalid"))
    };
    call.text("disposition")
        .map(|text| {
            known.into_iter().find(|known| known.as_str() == text).ok_or_else(|| wrong(text))
        })
        .transpose()
}
