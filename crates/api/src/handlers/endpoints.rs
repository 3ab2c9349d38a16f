//! Endpoints: the specification's list, headers and secret, and our pausing and enabling.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use becket_model::EndpointState;
use becket_store::vault::place;
use becket_store::{Endpoint, EndpointChange};
use http::StatusCode;
use serde::Deserialize;

use crate::call::{Answer, Call, JsonBody, Listed};
use crate::handlers::sources::{page_of, present};
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::wire::{becket, specification};

const GRACE_DEFAULT_S: u64 = 24 * 60 * 60;
const GRACE_MAX_S: u64 = 7 * GRACE_DEFAULT_S;
const SECRET_BYTES: usize = 32;

/// `GET /ingest/api/v1/source/{source_id}/endpoint`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<specification::EndpointOut>>> {
    let names = Names::load(&call).await?;
    let source = present(&names, call.path("source_id"))?;
    let endpoints = names
        .endpoints()
        .iter()
        .filter(|endpoint| endpoint.application == source.key)
        .filter(|endpoint| endpoint.state != EndpointState::Removed)
        .collect();
    let page = page_of(&call, endpoints, |endpoint| endpoint.id.to_string())?;
    let data = page.data.into_iter().map(specification::EndpointOut::new).collect();
    Ok(Answer::ok(Listed::new(data, page.iterator, page.done)))
}

/// The endpoint that the path names, if it is still declared.
fn named<'n>(call: &Call, names: &'n Names) -> Result<&'n Endpoint> {
    let source = present(names, call.path("source_id"))?;
    let name = call.path("endpoint_id");
    let endpoint = names.endpoint_in(source, name)?;
    if endpoint.state == EndpointState::Removed {
        return Err(ApiError::not_found("endpoint", name)
            .hint("it was removed from the configuration; its attempts can still be listed"));
    }
    Ok(endpoint)
}

/// `GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<specification::EndpointOut>> {
    let names = Names::load(&call).await?;
    Ok(Answer::ok(specification::EndpointOut::new(named(&call, &names)?)))
}

/// `GET …/headers`
pub(crate) async fn headers(call: Call) -> Result<Answer<specification::HeadersOut>> {
    let names = Names::load(&call).await?;
    Ok(Answer::ok(specification::HeadersOut::new(named(&call, &names)?)))
}

/// `GET …/secret`
pub(crate) async fn secret(call: Call) -> Result<Answer<specification::SecretOut>> {
    let names = Names::load(&call).await?;
    let endpoint = named(&call, &names)?;
    let secret = call.shared.api.directory.endpoint_secret(endpoint)?;
    call.audit("endpoint.secret.shown", &endpoint.id);
    Ok(Answer::ok(specification::SecretOut { key: secret.text }))
}

/// What a rotation may be given.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RotateIn {
    key: Option<String>,
    grace_period_seconds: Option<u64>,
}

/// `POST …/secret/rotate`
pub(crate) async fn rotate_secret(
    call: Call,
    JsonBody(body): JsonBody<RotateIn>,
) -> Result<StatusCode> {
    let names = Names::load(&call).await?;
    let endpoint = named(&call, &names)?;
    let api = &call.shared.api;
    let grace_s = body.grace_period_seconds.unwrap_or(GRACE_DEFAULT_S);
    if grace_s > GRACE_MAX_S {
        let what = format!("{grace_s} is more than seven days ({GRACE_MAX_S} seconds)");
        return Err(ApiError::body("gracePeriodSeconds", what));
    }
    if api.directory.endpoint_secret(endpoint)?.declared {
        return Err(ApiError::new(
            "secret_declared",
            format!("the secret of `{}` is given in the configuration", names.full_name(endpoint)),
        )
        .hint("change it there, or remove it there so that the gateway keeps one of its own"));
    }
    let secret = match body.key {
        Some(key) => checked_secret(key)?,
        None => {
            let mut bytes = [0; SECRET_BYTES];
            api.noise.fill(&mut bytes);
            format!("whsec_{}", BASE64.encode(bytes))
        }
    };
    let place = place::endpoint_secret(endpoint.id);
    let envelope = api.directory.seal(&place, secret.as_bytes())?;
    let now_ms = call.now_ms();
    let old_expire_at_ms = now_ms.saturating_add_unsigned(grace_s * 1_000);
    let change = EndpointChange::RotateSecret { envelope, old_expire_at_ms };
    changed(&call, &names, endpoint, change).await?;
    call.audit("endpoint.secret.rotated", &endpoint.id);
    Ok(StatusCode::NO_CONTENT)
}

/// A given secret has the form of Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes.
fn checked_secret(key: String) -> Result<String> {
    let encoded = key.strip_prefix("whsec_").unwrap_or(&key);
    match BASE64.decode(encoded) {
        Ok(bytes) if (24..=64).contains(&bytes.len()) => Ok(format!("whsec_{encoded}")),
        // The value itself must not come back in the answer.
        _ => Err(ApiError::body("key", "has to be `whsec_` and base64 of 24 to 64 bytes")),
    }
}

async fn changed(
    call: &Call,
    names: &Names,
    endpoint: &Endpoint,
    change: EndpointChange,
) -> Result<Endpoint> {
    let api = &call.shared.api;
    let changed = api
        .store
        .endpoint_change(call.owner, endpoint.id, change, call.now_ms())
        .await?
        .done()
        .ok_or_else(|| ApiError::not_found("endpoint", &names.full_name(endpoint)))?;
    call.shared.apps.forget(changed.application);
    api.control.endpoint_changed(call.owner, &changed).await;
    api.control.wake(changed.key).await;
    Ok(changed)
}

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

fn ours<'n>(call: &Call, names: &'n Names) -> Result<&'n Endpoint> {
    names.endpoint(call.text("source"), call.path("endpoint_id"))
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
    set_state(&call, from, EndpointState::Paused, "endpoint.paused", body).await
}

/// `POST …/resume`
pub(crate) async fn resume(
    call: Call,
    JsonBody(body): JsonBody<StateIn>,
) -> Result<Answer<becket::EndpointOut>> {
    let from = &[EndpointState::Paused];
    set_state(&call, from, EndpointState::Enabled, "endpoint.resumed", body).await
}

/// `POST …/enable`
pub(crate) async fn enable(
    call: Call,
    JsonBody(body): JsonBody<StateIn>,
) -> Result<Answer<becket::EndpointOut>> {
    let from = &[EndpointState::Enabled, EndpointState::Paused, EndpointState::Disabled];
    set_state(&call, from, EndpointState::Enabled, "endpoint.enabled", body).await
}

/// `POST …/disable`
pub(crate) async fn disable(
    call: Call,
    JsonBody(body): JsonBody<StateIn>,
) -> Result<Answer<becket::EndpointOut>> {
    let from = &[EndpointState::Enabled, EndpointState::Paused];
    set_state(&call, from, EndpointState::Disabled, "endpoint.disabled", body).await
}

const REASON_CHARACTERS_MAX: usize = 200;

async fn set_state(
    call: &Call,
    from: &[EndpointState],
    to: EndpointState,
    action: &'static str,
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
    let endpoint = changed(call, &names, endpoint, change).await?;
    call.audit(action, &endpoint.id);
    Ok(Answer::ok(becket::EndpointOut::new(&endpoint, &names)))
}
