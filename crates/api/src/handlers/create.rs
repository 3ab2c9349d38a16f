//! Posting an event (`v1.message.create`): the busiest path of the API.
//!
//! Invariants: nothing is read from the store but what is not remembered; the payload is delivered
//! byte for byte as it was posted; event, deliveries and the idempotency key are one transaction, so
//! a repeat after any failure either finds the first event or makes it. A repeat with the same
//! key and body gets the first answer again, also if by now it would be refused: because its moment
//! of delivery has come near, say, or its event type was archived.
//!
//! Deliberately absent: the generic check of bodies, which is asked only to say what is wrong.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use becket_model::{ApplicationId, ApplicationKind, EventId, EventLabels};
use becket_store::{Accepted, ApplicationNew, Created, DedupeKey, EventFilter, EventRow, Page};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use ring::digest;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::access::hex;
use crate::apps::App;
use crate::call::{self, Answer, Call};
use crate::idempotency;
use crate::posting::{self, Posted};
use crate::problem::{ApiError, Place, Result};
use crate::times;
use crate::wire::applications::ApplicationIn;
use crate::wire::specification::MessageOut;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The largest payload that is taken, in bytes, and the largest without a warning.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
const PAYLOAD_BYTES_WARN: usize = 64 * 1024;
/// How long an `eventId` is taken: as long as any event is kept.
const EVENT_ID_MS: u64 = 90 * DAY_MS.unsigned_abs();
/// How long an idempotency key is remembered.
const KEY_MS: u64 = DAY_MS.unsigned_abs();
const KEY_CHARACTERS_MAX: usize = 256;
const CHANNELS_MAX: usize = 10;
const TAGS_MAX: usize = 5;
/// How many headers may go with a raw body.
const HEADERS_MAX: usize = 50;
/// How far ahead `deliverAt` may be.
const DELIVER_MS: std::ops::RangeInclusive<i64> = 60_000..=DAY_MS;
/// What was given for transformations, as JSON.
const TRANSFORMATIONS: &str = ":transformations-params";

/// What is posted (`MessageIn`), borrowed from the request as far as it goes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageIn<'b> {
    #[serde(borrow)]
    event_type: Cow<'b, str>,
    #[serde(borrow, alias = "data")]
    payload: &'b RawValue,
    #[serde(default)]
    event_id: Option<String>,
    #[serde(default)]
    channels: Option<Vec<String>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    application: Option<ApplicationIn>,
    #[serde(default, borrow)]
    deliver_at: Option<Cow<'b, str>>,
    #[serde(default)]
    payload_retention_period: Option<i64>,
    #[serde(default)]
    payload_retention_hours: Option<i64>,
    #[serde(default)]
    transformations_params: Option<serde_json::Map<String, Value>>,
}

/// `POST /api/v1/app/{app_id}/msg`
pub(crate) async fn create(call: Call, request: Request) -> Result<Response> {
    let with_content = call.flag("with_content", true)?;
    let key = idempotency_key(&call)?;
    let body = call::body(request, &call.shared).await?;
    let given = read(&call, &body)?;
    let app = application(&call, given.application.as_ref(), &body).await?;
    let now_ms = call.now_ms();
    let labels = labels(&given, now_ms)?;
    let event_id = labels.event_id.as_deref();
    let (payload, headers) = delivered(&given)?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        let what =
            format!("the payload has {} bytes, {PAYLOAD_BYTES_MAX} are taken", payload.len());
        return Err(ApiError::new("body_too_large", what).hint("send a link to what is large"));
    }
    let (event_type, text) = (given.event_type.as_ref(), payload.as_bytes());
    let request_hash = key.map(|key| hex(&hash(&[b"request", key.as_bytes(), &body])[..16]));
    let dedupe = dedupe(&call, &app, event_id, key);
    if let Err(refused) = check_now(&call, &app, &labels, (event_type, text)).await {
        let first = first_event(&call, &app, dedupe).await?;
        let out = match first {
            Some(first) => first_answer(&call, &app, first, request_hash, with_content).await?,
            None => None,
        };
        return Ok(Answer(StatusCode::ACCEPTED, out.ok_or(refused)?).into_response());
    }
    let record = record(&given, &labels, &headers, text)?;
    let posted = Posted {
        at_ms: now_ms,
        event_type: event_type.to_owned(),
        labels: EventLabels { request_hash: request_hash.clone(), ..labels.clone() },
        dedupe,
        record: record.clone(),
    };
    let accepted = call.shared.poster.post(app.scope(), &app.endpoints, posted).await?;
    let large = payload.len() > PAYLOAD_BYTES_WARN;
    if large {
        tracing::warn!(event = %accepted.event(), bytes = payload.len(), "message.large");
    }
    let out = match accepted {
        Accepted::Stored { event, .. } => {
            let row = EventRow {
                id: event,
                application: app.key(),
                received_at_ms: now_ms,
                event_type: Some(event_type.to_owned()),
                disposition: becket_model::Disposition::Accepted,
                labels,
                size_bytes: record.packed().len() as u64,
                deliveries: Vec::new(),
            };
            MessageOut::new(&row, Some(&record), with_content)
        }
        Accepted::Duplicate { event, .. } => {
            let asked = Repeat { event, event_id, request_hash };
            repeated(&call, &app, asked, with_content).await?
        }
    };
    let mut response = Answer(StatusCode::ACCEPTED, out).into_response();
    if large {
        let warning = HeaderValue::from_static("payload above 64 KiB; up to 1 MiB is taken");
        response.headers_mut().insert("becket-warning", warning);
    }
    Ok(response)
}

/// The request's idempotency key, if it has one.
fn idempotency_key(call: &Call) -> Result<Option<&str>> {
    let Some(value) = call.headers.get("idempotency-key") else { return Ok(None) };
    let wrong = || {
        let what =
            format!("header `idempotency-key`: has to have 1 to {KEY_CHARACTERS_MAX} characters");
        let place = Place::new("header", "idempotency-key", what.clone(), "bad_query");
        ApiError::new("bad_query", what).at(vec![place])
    };
    let text = value.to_str().map_err(|_| wrong())?;
    if text.is_empty() || text.len() > KEY_CHARACTERS_MAX {
        return Err(wrong());
    }
    Ok(Some(text))
}

/// Reads the body; what cannot be read is explained by the schema of the document.
fn read<'b>(call: &Call, body: &'b Bytes) -> Result<MessageIn<'b>> {
    let explained = |error: serde_json::Error| {
        let mut value: Value = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(error) => return ApiError::body("", format!("is not JSON: {error}")),
        };
        match call.shared.bodies.check(call.route, &mut value) {
            Err(places) => places,
            Ok(()) => ApiError::body("", error.to_string()),
        }
    };
    let given: MessageIn<'_> = serde_json::from_slice(body).map_err(explained)?;
    if !given.payload.get().starts_with('{') {
        return Err(wrong("payload", "is not an object", "type"));
    }
    check_text("eventType", &given.event_type, 256, b"-_.")?;
    if let Some(event_id) = &given.event_id {
        check_text("eventId", event_id, 256, b"-_.")?;
    }
    check_list("channels", given.channels.as_deref(), 1, CHANNELS_MAX, b"-_.:+")?;
    check_list("tags", given.tags.as_deref(), 0, TAGS_MAX, b"-_./\\#")?;
    Ok(given)
}

fn wrong(field: &str, what: impl Into<String>, rule: &str) -> ApiError {
    let what = what.into();
    let place = Place::new("body", field, what.clone(), rule);
    ApiError::body(field, what).at(vec![place])
}

fn check_text(field: &str, text: &str, most: usize, signs: &[u8]) -> Result<()> {
    if text.is_empty() || text.len() > most {
        return Err(wrong(field, format!("has to have 1 to {most} characters"), "length"));
    }
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || signs.contains(&byte)) {
        return Ok(());
    }
    let signs = String::from_utf8_lossy(signs);
    Err(wrong(field, format!("may have letters, digits and the signs {signs}"), "pattern"))
}

fn check_list(
    field: &str,
    list: Option<&[String]>,
    least: usize,
    most: usize,
    signs: &[u8],
) -> Result<()> {
    let Some(list) = list else { return Ok(()) };
    if list.len() < least || list.len() > most {
        return Err(wrong(field, format!("has to have {least} to {most} items"), "items"));
    }
    for (at, text) in list.iter().enumerate() {
        check_text(field, text, 128, signs)?;
        if list[..at].contains(text) {
            return Err(wrong(field, "has an item twice", "uniqueItems"));
        }
    }
    Ok(())
}

/// The application that the path names; made if the body says how and there is none.
async fn application(call: &Call, new: Option<&ApplicationIn>, body: &[u8]) -> Result<Arc<App>> {
    let (name, kind, now_ms) = (call.path("app_id"), ApplicationKind::Customer, call.now_ms());
    let (shared, store) = (&call.shared, call.store());
    if let Some(app) = shared.apps.find(store, call.owner, kind, name, now_ms).await? {
        return Ok(app);
    }
    let missing = || ApiError::not_found("application", name);
    let Some(new) = new else {
        return Err(missing().hint("create it first, or give `application` in the body"));
    };
    // This happens once for an application: time enough for the whole schema.
    let mut whole: Value =
        serde_json::from_slice(body).map_err(|error| ApiError::body("", error.to_string()))?;
    shared.bodies.check(call.route, &mut whole)?;
    check_text("app_id", name, 256, b"-_.")?;
    if name.parse::<ApplicationId>().is_ok() {
        return Err(missing().hint("an application is made under a uid, not under an id"));
    }
    if new.uid.as_deref().is_some_and(|uid| uid != name) {
        return Err(wrong("application", "has another uid than the path names", "uid"));
    }
    let settings = new.settings(None)?;
    let mut tail = [0; 14];
    shared.api.noise.fill(&mut tail);
    let id = ApplicationId::new(now_ms, tail);
    let wish = ApplicationNew { kind, id, uid: Some(name.to_owned()), settings, credentials: None };
    if let Created::New(application) = store.application_create(call.owner, wish, now_ms).await? {
        shared.apps.forget(application.key);
        shared.api.control.application_changed(&application).await;
        call.audit("application.created", &application.id);
    }
    shared.apps.find(store, call.owner, kind, name, now_ms).await?.ok_or_else(missing)
}

/// What the event says about itself.
fn labels(given: &MessageIn<'_>, now_ms: i64) -> Result<EventLabels> {
    let deliver_at_ms = given
        .deliver_at
        .as_deref()
        .map(|text| times::parse(text).map_err(|what| wrong("deliverAt", what, "format")));
    let (days, hours) = (given.payload_retention_period, given.payload_retention_hours);
    let retention_ms = match (days, hours) {
        (Some(_), Some(_)) => {
            let what = "cannot be given together with `payloadRetentionPeriod`";
            return Err(wrong("payloadRetentionHours", what, "exclusive"));
        }
        (Some(days), None) if !(1..=90).contains(&days) => {
            return Err(wrong("payloadRetentionPeriod", "has to be 1 to 90 days", "range"));
        }
        (None, Some(hours)) if !(1..=2_160).contains(&hours) => {
            return Err(wrong("payloadRetentionHours", "has to be 1 to 2160 hours", "range"));
        }
        (Some(days), None) => Some(days * DAY_MS),
        (None, Some(hours)) => Some(hours * HOUR_MS),
        (None, None) => None,
    };
    Ok(EventLabels {
        event_id: given.event_id.clone(),
        channels: given.channels.clone().unwrap_or_default(),
        tags: given.tags.clone().unwrap_or_default(),
        deliver_at_ms: deliver_at_ms.transpose()?,
        payload_until_ms: retention_ms.map(|retention_ms| now_ms.saturating_add(retention_ms)),
        ..EventLabels::default()
    })
}

/// Refuses what cannot be posted as things are now, though it may have been possible before.
async fn check_now(
    call: &Call,
    app: &App,
    labels: &EventLabels,
    posted: (&str, &[u8]),
) -> Result<()> {
    let (now_ms, store) = (call.now_ms(), call.store());
    if let Some(at_ms) = labels.deliver_at_ms
        && !DELIVER_MS.contains(&at_ms.saturating_sub(now_ms))
    {
        return Err(wrong("deliverAt", "has to be one minute to 24 hours ahead", "range"));
    }
    if let Some(event_id) = &labels.event_id
        && let Ok(id) = event_id.parse::<EventId>()
        && store.event_get(app.scope(), id).await?.is_some()
    {
        // In a path it would always mean the other one.
        return Err(event_id_taken(event_id, id));
    }
    let validate = app.application.settings.validate_payloads;
    call.shared.event_types.check(store, call.owner, posted, validate, now_ms).await
}

/// The event that was posted with a key, as long as the key is remembered.
async fn first_event(
    call: &Call,
    app: &App,
    dedupe: Option<(DedupeKey, u64)>,
) -> Result<Option<EventId>> {
    let Some((key, for_ms)) = dedupe else { return Ok(None) };
    let since_ms = Some(call.now_ms().saturating_sub_unsigned(for_ms));
    let filter = EventFilter { dedupe: Some(key), since_ms, ..EventFilter::default() };
    let found = call.store().event_list(app.scope(), filter, Page::newest(1)).await?;
    Ok(found.first().map(|event| event.id))
}

fn event_id_taken(event_id: &str, by: EventId) -> ApiError {
    let what = format!("there is a message with the eventId `{event_id}` already: {by}");
    ApiError::new("conflict", what).hint("a new message needs a new eventId")
}

type Headers = Vec<(HeaderName, HeaderValue)>;

/// The bytes that are delivered and the headers that go with them: those of
/// `transformationsParams` if it has any, otherwise the payload as it was posted.
fn delivered<'g>(given: &'g MessageIn<'_>) -> Result<(&'g str, Headers)> {
    let mut headers = Headers::new();
    let mut body = given.payload.get();
    let field = "transformationsParams";
    let parameters = given.transformations_params.iter().flatten();
    for (name, value) in parameters {
        match (name.as_str(), value) {
            ("rawPayload", Value::String(text)) => body = text,
            ("rawPayload", Value::Null) | ("headers", Value::Null) => {}
            ("rawPayload", _) => return Err(wrong(field, "`rawPayload` is not a text", "type")),
            ("headers", Value::Object(given)) if given.len() > HEADERS_MAX => {
                let what = format!("`headers` has more than {HEADERS_MAX}");
                return Err(wrong(field, what, "maxProperties"));
            }
            ("headers", Value::Object(given)) => {
                for (name, value) in given {
                    let name = HeaderName::from_bytes(name.as_bytes());
                    let value = value.as_str().and_then(|text| HeaderValue::from_str(text).ok());
                    let (Ok(name), Some(value)) = (name, value) else {
                        return Err(wrong(
                            field,
                            "`headers` has one that cannot be sent",
                            "header",
                        ));
                    };
                    headers.push((name, value));
                }
            }
            ("headers", _) => return Err(wrong(field, "`headers` is not an object", "type")),
            _ => {}
        }
    }
    if !headers.iter().any(|(name, _)| name == http::header::CONTENT_TYPE) {
        headers.push((http::header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    }
    Ok((body, headers))
}

/// The event as it is kept.
fn record(
    given: &MessageIn<'_>,
    labels: &EventLabels,
    headers: &Headers,
    body: &[u8],
) -> Result<becket_model::EventRecord> {
    let mut kept = given.transformations_params.clone().unwrap_or_default();
    kept.retain(|name, _| name != "rawPayload" && name != "headers");
    let kept = (!kept.is_empty()).then(|| Value::Object(kept).to_string());
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let kept = kept.as_deref().map(|text| (TRANSFORMATIONS, text.as_bytes()));
    Ok(posting::record(labels.event_id.as_deref(), kept.into_iter().chain(pairs), body)?)
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Under which key an event is found by its `eventId`.
pub(crate) fn event_id_key(app: &App, event_id: &str) -> DedupeKey {
    shortened(hash(&[b"event-id", &app.key().0.to_be_bytes(), event_id.as_bytes()]))
}

fn shortened(hash: [u8; 32]) -> DedupeKey {
    let mut key = [0; 16];
    key.copy_from_slice(&hash[..16]);
    DedupeKey(key)
}

/// By what a repeat is recognised: the event's own id, or else the idempotency key.
fn dedupe(
    call: &Call,
    app: &App,
    event_id: Option<&str>,
    key: Option<&str>,
) -> Option<(DedupeKey, u64)> {
    if let Some(event_id) = event_id {
        return Some((event_id_key(app, event_id), EVENT_ID_MS));
    }
    let key = key?;
    // As everywhere: what tokens may see is what shares its keys.
    let scope = idempotency::scope_of(&call.access);
    let number = app.key().0.to_be_bytes();
    let parts = [&b"idempotency"[..], &number, scope.as_bytes(), key.as_bytes()];
    Some((shortened(hash(&parts)), KEY_MS))
}

/// A request that repeats an event.
struct Repeat<'r> {
    event: EventId,
    event_id: Option<&'r str>,
    request_hash: Option<String>,
}

/// The answer to the request that made an event, if it is this one again.
async fn first_answer(
    call: &Call,
    app: &App,
    id: EventId,
    request_hash: Option<String>,
    with_content: bool,
) -> Result<Option<MessageOut>> {
    let (scope, store) = (app.scope(), call.store());
    let first = store.event_get(scope, id).await?;
    let is_same =
        |first: &EventRow| request_hash.is_some() && first.labels.request_hash == request_hash;
    let Some(first) = first.filter(is_same) else { return Ok(None) };
    let record = match with_content {
        true => store.event_record(scope, id).await?,
        false => None,
    };
    Ok(Some(MessageOut::new(&first, record.as_ref(), with_content)))
}

/// The first answer, if the request is the same.
async fn repeated(
    call: &Call,
    app: &App,
    repeat: Repeat<'_>,
    with_content: bool,
) -> Result<MessageOut> {
    let Repeat { event, event_id, request_hash } = repeat;
    if let Some(first) = first_answer(call, app, event, request_hash, with_content).await? {
        return Ok(first);
    }
    match event_id {
        Some(event_id) => Err(event_id_taken(event_id, event)),
        None => {
            let what = "the idempotency key was used with another body";
            let place = Place::new("header", "idempotency-key", what, "idempotency_mismatch");
            Err(ApiError::new("idempotency_mismatch", what)
                .hint("a new message needs a new key")
                .at(vec![place]))
        }
    }
}
