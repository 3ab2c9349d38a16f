//! Our own view of endpoints, across applications: listed, shown, paused, resumed, disabled and
//! enabled.

use becket_model::{EndpointId, EndpointState};
use becket_store::{Endpoint, EndpointChange};
use serde::Deserialize;

use crate::access::Role;
use crate::call::{Answer, Call, JsonBody, Listed};
use crate::handlers::endpoints::{self, Happened};
use crate::handlers::sources::page_of;
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::wire::becket;

/// `GET /api/v1/becket/endpoint`
pub(crate) async fn list_ours(call: Call) -> Result<Answer<Listed<becket::EndpointOut>>> {
    let names = Names::load(&call).await?;
    let source = call.text("source").map(|name| names.source(name)).transpose()?;
    let endpoints = names
        .endpoints()
        .iter()
        .filter(|endpoint| source.is_none_or(|source| endpoint.application == source.key))
        .collect();
    let page = page_of(&call, endpoints, |endpoint| endpoint.id.to_string())?;
    let data =
        page.data.into_iter().map(|endpoint| becket::EndpointOut::new(endpoint, &names)).collect();
    Ok(Answer::ok(Listed::new(data, page.iterator, page.done)))
}

/// The endpoint that the path names.
pub(crate) fn ours<'n>(call: &Call, names: &'n Names) -> Result<&'n Endpoint> {
    let name = call.path("endpoint_id");
    if !matches!(call.access.role, Role::Portal { .. }) {
        return names.endpoint(call.text("source"), name);
    }
    // By its id alone: what a name means could tell of others' endpoints.
    let own = name.parse::<EndpointId>().ok().and_then(|id| {
        let mut endpoints = names.endpoints().iter();
        endpoints.find(|known| known.id == id && call.access.sees(known.application))
    });
    own.ok_or_else(|| ApiError::not_found("endpoint", name))
}

/// `GET /api/v1/becket/endpoint/{endpoint_id}`
pub(crate) async fn get_ours(call: Call) -> Result<Answer<becket::EndpointOut>> {
    let names = Names::load(&call).await?;
    Ok(Answer::ok(becket::EndpointOut::new(ours(&call, &names)?, &names)))
}

/// Why a state is changed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StateIn {
    reason: Option<String>,
}

/// `POST …/pause`
pub(crate) async fn pause(
    call: Call,
    JsonBody(body): JsonBody<StateIn>,
) -> Result<Answer<becket::EndpointOut>> {
    let from = &[EndpointState::Enabled];
    set_state(&call, from, EndpointState::Paused, Happened::Paused, body).await
}

/// `POST …/resume`
pub(crate) async fn resume(
    call: Call,
    JsonBody(body): JsonBody<StateIn>,
) -> Result<Answer<becket::EndpointOut>> {
    let from = &[EndpointState::Paused];
    set_state(&call, from, EndpointState::Enabled, Happened::Resumed, body).await
}

/// `POST …/enable`
pub(crate) async fn enable(
    call: Call,
    JsonBody(body): JsonBody<StateIn>,
) -> Result<Answer<becket::EndpointOut>> {
    let from = &[EndpointState::Enabled, EndpointState::Paused, EndpointState::Disabled];
    set_state(&call, from, EndpointState::Enabled, Happened::Enabled, body).await
}

/// `POST …/disable`
pub(crate) async fn disable(
    call: Call,
    JsonBody(body): JsonBody<StateIn>,
) -> Result<Answer<becket::EndpointOut>> {
    let from = &[EndpointState::Enabled, EndpointState::Paused];
    set_state(&call, from, EndpointState::Disabled, Happened::Disabled, body).await
}

const REASON_CHARACTERS_MAX: usize = 200;

async fn set_state(
    call: &Call,
    from: &[EndpointState],
    to: EndpointState,
    happened: Happened,
    body: StateIn,
) -> Result<Answer<becket::EndpointOut>> {
    let names = Names::load(call).await?;
    let endpoint = ours(call, &names)?;
    let reason = body.reason.unwrap_or_default();
    if reason.chars().count() > REASON_CHARACTERS_MAX {
        let what = format!("is longer than {REASON_CHARACTERS_MAX} characters");
        return Err(ApiError::body("reason", what));
    }
    // Asking twice is no mistake, unless it also has failures to forget.
    let forgets = to == EndpointState::Enabled && endpoint.failing_since_ms.is_some();
    if endpoint.state == to && !forgets {
        return Ok(Answer::ok(becket::EndpointOut::new(endpoint, &names)));
    }
    if !from.contains(&endpoint.state) && endpoint.state != to {
        crate::replay::check_takes(&names, endpoint)?;
    }
    let reason = match (to, reason.is_empty()) {
        (EndpointState::Paused, true) => "paused through the API".to_owned(),
        (EndpointState::Disabled, true) => "disabled through the API".to_owned(),
        (EndpointState::Enabled, _) => String::new(),
        _ => reason,
    };
    let change = EndpointChange::State { state: to, reason };
    let application = names
        .source_of(endpoint.application)
        .ok_or_else(|| ApiError::not_found("endpoint", &endpoint.name()))?;
    let endpoint = endpoints::change(call, endpoint, change).await?;
    endpoints::told(call, application, &endpoint, happened).await;
    Ok(Answer::ok(becket::EndpointOut::new(&endpoint, &names)))
}
