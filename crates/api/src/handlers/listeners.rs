//! Listeners: made, listed and removed; the stream of their deliveries and the answers to them.
//!
//! Invariants: a listener's endpoints are made and changed here and nowhere else; a stream ends when
//! its client goes, when another one connects under the name, when the listener is removed, and when
//! the gateway shuts down, and the client is told which.
//!
//! Where next: `crate::relay` for what happens between a stream and its answers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use becket_model::{EndpointId, EndpointKind, EndpointSettings, EndpointState, RetrySchedule};
use becket_store::vault::place;
use becket_store::{Application, Created, Endpoint, EndpointNew, Name};
use futures_util::stream;
use http::{StatusCode, header};

use super::endpoint_secrets;
use super::endpoints::{self, Happened};
use crate::call::{Answer, Call, JsonBody, Listed, Shared};
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::relay::{Connected, Ending, LISTENERS_MAX, ListenerKey, keeping};
use crate::turns;
use crate::wire::listeners::{
    AnsweredOut, AnswersIn, HelloOut, ListenerIn, ListenerOut, ParcelOut,
};

/// How often the stream says that it is there.
const HEARTBEAT_S: u64 = 5;
const TIMEOUT_DEFAULT_MS: u64 = 35_000;
const CONCURRENCY_DEFAULT: u32 = 10;
const STREAMS_MAX: usize = 256;

/// `GET /api/v1/becket/listener`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<ListenerOut>>> {
    let names = Names::load(&call).await?;
    let waiting = waiting(&call).await?;
    let listeners = keeping::group(names.endpoints());
    let shown = listeners.iter().filter_map(|(name, endpoints)| {
        let connected = call.shared.api.relay.is_present(&(call.owner, name.clone()))
            || keeping::is_connected_elsewhere(endpoints, &call.shared.api);
        ListenerOut::new(name, endpoints, &names, connected, waited(&waiting, endpoints))
    });
    Ok(Answer::ok(Listed::new(shown.collect(), None, true)))
}

/// How many deliveries wait, by endpoint.
async fn waiting(call: &Call) -> Result<BTreeMap<u32, u64>> {
    if call.shared.api.control.node().is_some() {
        // What is due is told of this node's own endpoints only.
        let waiting = call.store().delivery_waiting().await?;
        return Ok(waiting.into_iter().map(|(endpoint, count)| (endpoint.0, count)).collect());
    }
    let due = call.store().delivery_due().await?;
    Ok(due.into_iter().map(|one| (one.endpoint.0, one.waiting)).collect())
}

fn waited(waiting: &BTreeMap<u32, u64>, endpoints: &[Endpoint]) -> u64 {
    endpoints.iter().filter_map(|endpoint| waiting.get(&endpoint.key.0)).sum()
}

/// `POST /api/v1/becket/listener`
pub(crate) async fn make(
    call: Call,
    JsonBody(body): JsonBody<ListenerIn>,
) -> Result<Answer<ListenerOut>> {
    let key = (call.owner, body.name.clone());
    let names = Names::load(&call).await?;
    let mut known = keeping::group(names.endpoints());
    let own = known.remove(&body.name).unwrap_or_default();
    if own.is_empty() && known.len() >= LISTENERS_MAX {
        let detail = format!("there are {LISTENERS_MAX} listeners");
        return Err(ApiError::new("limit_reached", detail)
            .hint("`becket listen --list` shows them, `becket listen --remove NAME` removes one"));
    }
    let sources: Vec<&Application> = match &body.sources[..] {
        [] => names.sources().filter(|source| !source.removed).collect(),
        named => {
            let mut found: Vec<&Application> =
                named.iter().map(|name| names.source(name)).collect::<Result<_>>()?;
            found.dedup_by_key(|source| source.key);
            found
        }
    };
    if sources.iter().all(|source| source.removed) {
        return Err(ApiError::body("sources", "there is no source to listen to")
            .hint("make one first, in the configuration or with POST /ingest/api/v1/source"));
    }
    let mut endpoints = Vec::with_capacity(sources.len());
    for source in &sources {
        let _turn = call.shared.turns.take(source.key).await;
        let known = own.iter().find(|endpoint| endpoint.application == source.key);
        let endpoint = turns::again(|| async {
            // As it is now: whoever connects and goes, perhaps at another node, writes into it.
            let before = match known.map(|known| Name::Id(known.id)) {
                Some(name) => call.store().endpoint_get(call.owner, source.key, name).await?,
                None => None,
            };
            let settings = settings(&call, &key, &body, before.as_ref())?;
            match &before {
                Some(before) => edited(&call, source, before, settings).await,
                None => made(&call, source, &body.name, settings).await,
            }
        });
        endpoints.push(endpoint.await?);
    }
    let others =
        own.iter().filter(|one| sources.iter().all(|source| source.key != one.application));
    let others: Vec<Endpoint> = others.cloned().collect();
    keeping::remove(&call.shared, &key, &others, "no longer listened to").await?;
    call.shared.api.relay.remember(&key, &endpoints, call.now_ms());
    let connected = call.shared.api.relay.is_present(&key);
    let waiting = waited(&waiting(&call).await?, &endpoints);
    let shown = ListenerOut::new(&body.name, &endpoints, &names, connected, waiting);
    shown.map(Answer::ok).ok_or_else(|| missing(&body.name))
}

fn missing(name: &str) -> ApiError {
    ApiError::not_found("listener", name).hint("`becket listen --list` shows them")
}

/// How the endpoints of a listener are called.
fn settings(
    call: &Call,
    key: &ListenerKey,
    body: &ListenerIn,
    before: Option<&Endpoint>,
) -> Result<EndpointSettings> {
    let filter = body.filter.clone().map(serde_json::from_value).transpose();
    let filter = filter.map_err(|error| ApiError::body("filter", error.to_string()))?;
    let keep_s = body.keep_s.or_else(|| before.map(keeping::keep_s_of));
    // Making it again is a sign of life.
    let seen_ms = (!call.shared.api.relay.is_present(key)).then(|| call.now_ms());
    Ok(EndpointSettings {
        kind: EndpointKind::Listen,
        description: format!("becket listen of {}", body.name),
        event_types: body.event_types.clone().filter(|types| !types.is_empty()),
        filter,
        timeout_ms: body.timeout_ms.unwrap_or(TIMEOUT_DEFAULT_MS),
        concurrency: body.concurrency.unwrap_or(CONCURRENCY_DEFAULT),
        // What a handler refuses is tried again by hand; a lost connection needs no schedule.
        retry: RetrySchedule { delays_ms: Vec::new() },
        metadata: keeping::metadata(
            &body.name,
            keep_s.unwrap_or(keeping::KEEP_DEFAULT_S),
            seen_ms,
            call.shared.api.control.node(),
        ),
        ..EndpointSettings::for_url(&format!("listen:{}", body.name))
    })
}

async fn edited(
    call: &Call,
    source: &Application,
    before: &Endpoint,
    settings: EndpointSettings,
) -> Result<Endpoint> {
    if before.settings == settings {
        return Ok(before.clone());
    }
    let change = before.edit(before.uid.clone(), settings);
    let endpoint = endpoints::change(call, before, change).await?;
    endpoints::told(call, source, &endpoint, Happened::Updated).await;
    Ok(endpoint)
}

async fn made(
    call: &Call,
    source: &Application,
    name: &str,
    settings: EndpointSettings,
) -> Result<Endpoint> {
    let id = EndpointId::new(call.now_ms(), super::random(call));
    let secret = endpoint_secrets::fresh(call);
    let envelope =
        call.shared.api.directory.seal(&place::endpoint_secret(id), secret.as_bytes())?;
    let uid = format!("listen-{}", name.replace('@', "."));
    let new = EndpointNew {
        application: source.key,
        id,
        uid: Some(uid.clone()),
        settings,
        headers: None,
        secret: envelope,
        state: EndpointState::Enabled,
    };
    match call.store().endpoint_create(call.owner, new, call.now_ms()).await? {
        Created::New(endpoint) => {
            endpoints::told(call, source, &endpoint, Happened::Created).await;
            Ok(endpoint)
        }
        Created::NameTaken(_) => {
            let detail = format!("the source has another endpoint with the name `{uid}`");
            Err(ApiError::new("conflict", detail).hint("listen under another name"))
        }
        Created::NoParent => Err(ApiError::not_found("source", &source.name())),
    }
}

/// The listener that the path names.
async fn named(call: &Call) -> Result<(ListenerKey, Vec<Endpoint>)> {
    let key = (call.owner, call.path("listener_id").to_owned());
    let endpoints = keeping::endpoints_of(&call.shared, &key).await?;
    if endpoints.is_empty() {
        return Err(missing(&key.1));
    }
    Ok((key, endpoints))
}

/// `DELETE /api/v1/becket/listener/{listener_id}`
pub(crate) async fn remove(call: Call) -> Result<StatusCode> {
    let (key, endpoints) = named(&call).await?;
    call.shared.api.relay.end(&key, Ending::Removed);
    keeping::remove(&call.shared, &key, &endpoints, "removed through the API").await?;
    call.shared.api.relay.remember(&key, &[], call.now_ms());
    call.audit("listener.removed", &key.1);
    Ok(StatusCode::NO_CONTENT)
}

/// A connected client; when it is dropped, its endpoints are paused again.
struct Streaming {
    shared: Arc<Shared>,
    key: ListenerKey,
    connected: Connected,
    connected_at_ms: i64,
    greeted: bool,
    over: bool,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        let counted = self.shared.api.relay.disconnect(&self.key, self.connected.number);
        if !counted || *self.shared.api.closing.borrow() {
            return;
        }
        let (shared, key) = (Arc::clone(&self.shared), self.key.clone());
        // Without a runtime the gateway is at its end, and the next start knows of nobody.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            tracing::info!(listener = %key.1, "listener.left");
            runtime.spawn(async move { keeping::came_or_went(&shared, &key).await });
        }
    }
}

/// `GET /api/v1/becket/listener/{listener_id}/stream`
pub(crate) async fn stream(call: Call) -> Result<Response> {
    let (key, _) = named(&call).await?;
    if call.shared.api.relay.connections() >= STREAMS_MAX {
        let detail = format!("{STREAMS_MAX} listeners are connected");
        return Err(ApiError::new("too_many_streams", detail).retry_after_s(5));
    }
    let streaming = Streaming {
        shared: Arc::clone(&call.shared),
        connected: call.shared.api.relay.connect(&key),
        connected_at_ms: call.now_ms(),
        greeted: false,
        over: false,
        key,
    };
    tracing::info!(listener = %streaming.key.1, "listener.came");
    let (shared, key) = (Arc::clone(&call.shared), streaming.key.clone());
    tokio::spawn(async move { keeping::came_or_went(&shared, &key).await });
    let told = stream::unfold(streaming, |mut streaming| async {
        let event = streaming.next().await?;
        Some((Ok::<_, Infallible>(event), streaming))
    });
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(HEARTBEAT_S));
    let mut response = Sse::new(told).keep_alive(keep_alive).into_response();
    // Proxies that collect answers before they pass them on are asked not to.
    let buffering = http::HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(buffering, http::HeaderValue::from_static("no"));
    Ok(response)
}

impl Streaming {
    /// The next thing to tell; `None` after the last.
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        if !self.greeted {
            self.greeted = true;
            let hello = HelloOut {
                session: self.connected.number,
                name: self.key.1.clone(),
                heartbeat_s: HEARTBEAT_S,
            };
            return Some(told("hello", &hello));
        }
        let mut closing = self.shared.api.closing.clone();
        let why = tokio::select! {
            parcel = self.connected.parcels.recv() => match parcel {
                Some(parcel) => {
                    return Some(told("delivery", &ParcelOut::new(&parcel, self.connected_at_ms)));
                }
                None => self.ending(),
            },
            _ = self.connected.ended.changed() => self.ending(),
            // A sender that is gone means the same as one that says so.
            _ = closing.wait_for(|closing| *closing) => "closing",
        };
        self.over = true;
        Some(told("end", &serde_json::json!({ "reason": why })))
    }

    fn ending(&self) -> &'static str {
        match *self.connected.ended.borrow() {
            Some(Ending::Replaced) => "replaced",
            Some(Ending::Removed) => "removed",
            Some(Ending::Silent) | None => "silent",
        }
    }
}

fn told(kind: &str, data: &impl serde::Serialize) -> Event {
    match Event::default().event(kind).json_data(data) {
        Ok(event) => event,
        Err(error) => Event::default().comment(error.to_string()),
    }
}

/// `GET /api/v1/becket/listener/{listener_id}/delivery/{token}/body`
pub(crate) async fn body(call: Call) -> Result<Response> {
    let key = (call.owner, call.path("listener_id").to_owned());
    let token = call.path("token");
    let found = token.parse().ok().and_then(|token| call.shared.api.relay.body(&key, token));
    let body = found.ok_or_else(|| {
        ApiError::not_found("delivery", token).hint("it is over; the delivery comes again")
    })?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// `POST /api/v1/becket/listener/{listener_id}/answer`
pub(crate) async fn answer(
    call: Call,
    JsonBody(body): JsonBody<AnswersIn>,
) -> Result<Answer<AnsweredOut>> {
    let relay = &call.shared.api.relay;
    let key = (call.owner, call.path("listener_id").to_owned());
    if !relay.is_present(&key) {
        // Somebody whose connection was lost is told so; a name that nobody has is unknown.
        named(&call).await?;
    }
    let connected = relay.heard(&key, body.session);
    let mut too_late = Vec::new();
    for answer in body.answers {
        let token = answer.token.clone();
        let answer = answer.read()?;
        let taken = token.parse().is_ok_and(|token| relay.answer(&key, token, answer));
        if !taken {
            too_late.push(token);
        }
    }
    Ok(Answer::ok(AnsweredOut { connected, too_late }))
}
