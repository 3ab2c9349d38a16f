//! Replays, of one event and of many.

use std::collections::BTreeSet;

use becket_model::{DeliveryState, EventId};
use becket_store::Scope;
use http::StatusCode;
use serde::Deserialize;

use crate::call::{Answer, Call, JsonBody};
use crate::handlers::{event_by_id, state_by_name};
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::replay::{self, ReplayMany, STEP_EVENTS_MAX};
use crate::times;
use crate::wire::becket::ReplayOut;

const STEP_EVENTS_DEFAULT: usize = 200;

/// Where an event is to go again.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ReplayOneIn {
    endpoint: Option<String>,
    status: Option<String>,
    dry_run: bool,
}

/// `POST /api/v1/becket/event/{event_id}/replay`
pub(crate) async fn one(
    call: Call,
    JsonBody(body): JsonBody<ReplayOneIn>,
) -> Result<Answer<ReplayOut>> {
    let names = Names::load(&call).await?;
    let event = event_by_id(&call, call.scope(), call.path("event_id")).await?;
    let state = state_given(body.status.as_deref())?;
    let source = names.source_of(event.application);
    let endpoint = match (body.endpoint.as_deref(), source) {
        (Some(name), Some(source)) => {
            // `source/name` is as good as `name` here.
            let name = name.strip_prefix(&format!("{}/", source.name())).unwrap_or(name);
            let endpoint = names.endpoint_in(source, name)?;
            replay::check_takes(&names, endpoint)?;
            Some(endpoint.key)
        }
        _ => None,
    };
    let chosen: Vec<_> = match endpoint {
        // Named outright, it gets the event even if it was never planned for it.
        Some(endpoint) if state.is_none() => vec![endpoint],
        _ => names
            .latest(&event)
            .into_iter()
            .filter(|delivery| endpoint.is_none_or(|key| delivery.endpoint == key))
            .filter(|delivery| state.is_none_or(|state| names.shown_state(delivery) == state))
            .map(|delivery| delivery.endpoint)
            .collect(),
    };
    let mut out = ReplayOut { seen: 1, dry_run: body.dry_run, done: true, ..ReplayOut::default() };
    let woken =
        replay::start(&call.shared.api, call.owner, &names, &event, chosen, &mut out).await?;
    if out.started + out.made_due == 0 {
        let hint = if out.skipped > 0 {
            "its endpoints are disabled or removed: enable them, or name another one"
        } else {
            "name an endpoint to send it to"
        };
        let detail = format!("no delivery of `{}` could be started", event.id);
        return Err(ApiError::new("nothing_to_replay", detail).hint(hint));
    }
    for endpoint in woken.into_iter().collect::<BTreeSet<_>>() {
        call.shared.api.control.wake(endpoint).await;
    }
    if !out.dry_run {
        call.audit("event.replayed", &event.id);
    }
    Ok(Answer(StatusCode::ACCEPTED, out))
}

fn state_given(name: Option<&str>) -> Result<Option<DeliveryState>> {
    name.map(|name| {
        state_by_name(name).ok_or_else(|| {
            let what = format!("`{name}` is not pending, delivered, failed or cancelled");
            ApiError::body("status", what)
        })
    })
    .transpose()
}

/// Which events are to go again, and where this step begins.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ReplayManyIn {
    source: Option<String>,
    endpoint: Option<String>,
    event_types: Vec<String>,
    status: Option<String>,
    since: Option<String>,
    until: Option<String>,
    dry_run: bool,
    limit: Option<usize>,
    iterator: Option<EventId>,
}

/// `POST /api/v1/becket/replay`
pub(crate) async fn many(
    call: Call,
    JsonBody(body): JsonBody<ReplayManyIn>,
) -> Result<Answer<ReplayOut>> {
    let names = Names::load(&call).await?;
    let endpoint = body
        .endpoint
        .as_deref()
        .map(|name| names.endpoint(body.source.as_deref(), name))
        .transpose()?;
    let scope = match (endpoint, body.source.as_deref()) {
        (Some(endpoint), _) => {
            replay::check_takes(&names, endpoint)?;
            Scope::of(call.owner, endpoint.application)
        }
        (None, Some(source)) => Scope::of(call.owner, names.source(source)?.key),
        (None, None) => {
            return Err(ApiError::body("source", "is missing")
                .hint("name a source or an endpoint: a replay never goes to everything"));
        }
    };
    let time = |name: &str, text: Option<&str>| {
        text.map(|text| times::parse(text).map_err(|what| ApiError::body(name, what))).transpose()
    };
    let since_ms = time("since", body.since.as_deref())?
        .ok_or_else(|| ApiError::body("since", "is missing"))?;
    let until_ms = time("until", body.until.as_deref())?.unwrap_or_else(|| call.now_ms());
    let limit = body.limit.unwrap_or(STEP_EVENTS_DEFAULT);
    if !(1..=STEP_EVENTS_MAX).contains(&limit) {
        let what = format!("`{limit}` is not a number from 1 to {STEP_EVENTS_MAX}");
        return Err(ApiError::body("limit", what));
    }
    let many = ReplayMany {
        scope,
        endpoint: endpoint.map(|endpoint| endpoint.key),
        state: state_given(body.status.as_deref())?,
        event_types: body.event_types,
        since_ms,
        until_ms,
        dry_run: body.dry_run,
    };
    let api = &call.shared.api;
    let out = replay::step(api, call.owner, &names, &many, body.iterator, limit).await?;
    if !out.dry_run {
        let object = format!("{} events up to {}", out.events, times::text(until_ms));
        call.audit("events.replayed", &object);
    }
    Ok(Answer::ok(out))
}
