//! Repeated requests with an `idempotency-key`: carried out once, answered as the first time.
//!
//! A key belongs to an owner, to what the token may see, and to a path; beside it the hash of query
//! and body is kept, so that the same key for something else is told apart from a repeat. The answer
//! is sealed, because answers may show secrets.
//!
//! Invariants: an answer of success is on stable storage before it goes out, and for [`KEPT_MS`]; a
//! request goes on when its client has gone, so that the repeat finds its answer; while it is under
//! way its repeats are refused; refusals are not kept. If the process dies between the change and
//! the keeping of its answer, a repeat is carried out again.
//!
//! Deliberately absent: posting an event, which keeps its key with the event itself.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use becket_store::vault::place;
use becket_store::{DocumentContent, DocumentKind, DocumentName, Owner, WriteIf};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Role, hex};
use crate::call::Shared;
use crate::problem::{ApiError, Place, Result};
use crate::routes::Route;

/// How long an answer is kept, in milliseconds.
const KEPT_MS: i64 = 24 * 3_600_000;
/// The largest answer that is kept, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024;
const KEY_CHARACTERS_MAX: usize = 256;
/// The header that names the key.
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says on an answer that it is the first one again.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Says on an answer that it could not be kept: a repeat is carried out again.
const KEPT: HeaderName = HeaderName::from_static("idempotency-kept");
/// Keeps its key by itself.
const POSTING: &str = "v1.message.create";

/// The keys whose first requests are under way in this process.
#[derive(Debug, Default)]
pub(crate) struct Idempotency(Mutex<HashSet<String>>);

/// Whether repeats of a route's requests are recognised here.
pub(crate) fn applies(route: &Route) -> bool {
    route.method == "post" && !route.public && route.id != POSTING
}

/// A key's turn; ends when dropped.
struct Turn {
    shared: Arc<Shared>,
    key: String,
}

impl Turn {
    fn take(shared: &Arc<Shared>, key: &str) -> Option<Self> {
        let mut keys = shared.idempotency.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = keys.insert(key.to_owned());
        fresh.then(|| Self { shared: Arc::clone(shared), key: key.to_owned() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let keys = &self.shared.idempotency.0;
        keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// What is kept beside the sealed body of an answer.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The hash of query and body that were answered.
    asked: String,
    status: u16,
    content_type: Option<String>,
}

/// A request with a key.
struct Keyed {
    owner: Owner,
    name: DocumentName,
    asked: String,
}

/// Carries out a request with a key once.
pub(crate) async fn once(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(key) = request.headers().get(KEY).cloned() else {
        return next.run(request).await;
    };
    match keyed(shared, key, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn keyed(
    shared: Arc<Shared>,
    key: HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response> {
    if key.is_empty() || key.len() > KEY_CHARACTERS_MAX {
        let what = format!("has to have 1 to {KEY_CHARACTERS_MAX} characters");
        let place = Place::new("header", KEY.as_str(), what.clone(), "bad_query");
        return Err(ApiError::new("bad_query", format!("header `{KEY}`: {what}")).at(vec![place]));
    }
    // First of all, so that a kept answer goes to nobody else and strangers fill no memory.
    let (mut parts, body) = request.into_parts();
    let route = parts.extensions.get::<&'static Route>().copied();
    let route = route.ok_or_else(|| ApiError::new("route_not_found", "there is no such path"))?;
    let access = match parts.extensions.get::<Access>() {
        Some(access) => access.clone(),
        None => shared.admit(&parts, route).await?,
    };
    let Ok(body) = to_bytes(body, crate::BODY_BYTES_MAX).await else {
        let detail =
            format!("the body is larger than {} bytes, or broke off", crate::BODY_BYTES_MAX);
        return Err(ApiError::new("body_too_large", detail));
    };
    let query = parts.uri.query().unwrap_or_default();
    let scope = scope_of(&access);
    let number = access.owner.number().to_be_bytes();
    let name = hash([&number, scope.as_bytes(), parts.uri.path().as_bytes(), key.as_bytes()]);
    let keyed = Keyed {
        owner: access.owner,
        name: DocumentName::of_owner(DocumentKind::Answer, name),
        asked: hash([query.as_bytes(), &body, b"", b""]),
    };
    let Some(turn) = Turn::take(&shared, &keyed.name.name) else {
        return Err(ApiError::new(
            "idempotency_conflict",
            "a request with this idempotency key is under way",
        )
        .hint("wait for its answer, then repeat it"));
    };
    if let Some(answer) = first_answer(&shared, &keyed).await? {
        return Ok(answer);
    }
    parts.extensions.insert(access);
    let request = Request::from_parts(parts, Body::from(body));
    // A task of its own: it has to end and be kept even if the client goes away.
    let carried_out = tokio::spawn(async move {
        let response = next.run(request).await;
        let response = keep(&turn.shared, &keyed, response).await;
        drop(turn);
        response
    });
    carried_out
        .await
        .map_err(|error| ApiError::new("event_damaged", format!("the request broke off: {error}")))
}

/// Whose answers a key leads to: what admins of an owner ask is one, each portal token stands alone.
fn scope_of(access: &Access) -> String {
    match (&access.role, access.token) {
        (Role::Admin, _) => "admin".to_owned(),
        (Role::Developer { payloads }, _) => format!("developer/{payloads}"),
        (Role::Viewer { payloads }, _) => format!("viewer/{payloads}"),
        (Role::Portal { .. }, token) => {
            format!("portal/{}", token.map_or_else(String::new, |id| id.to_string()))
        }
    }
}

/// The first answer to a key, if there is one; an error if it was to something else.
async fn first_answer(shared: &Shared, keyed: &Keyed) -> Result<Option<Response>> {
    let api = &shared.api;
    let now_ms = api.clock.now_ms();
    let found = api.store.document_get(keyed.owner, keyed.name.clone(), now_ms).await?;
    let Some(document) = found else { return Ok(None) };
    let kept: Kept = serde_json::from_str(&document.content.body).map_err(|error| {
        ApiError::new("event_damaged", format!("a kept answer cannot be read: {error}"))
    })?;
    if kept.asked != keyed.asked {
        let what = "the same idempotency key was used with another body or other parameters";
        let place = Place::new("header", KEY.as_str(), what, "idempotency_mismatch");
        return Err(ApiError::new("idempotency_mismatch", what)
            .at(vec![place])
            .hint("use a new key for each thing that is to be done"));
    }
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let body = match &document.content.sealed {
        Some(sealed) => {
            Bytes::from(api.directory.open(&place::document(&keyed.name), sealed)?.to_vec())
        }
        None => Bytes::new(),
    };
    let mut response = (status, Body::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(kind) = kept.content_type.and_then(|kind| HeaderValue::from_str(&kind).ok()) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    Ok(Some(response))
}

/// Keeps an answer of success; what cannot be kept says so.
async fn keep(shared: &Shared, keyed: &Keyed, response: Response) -> Response {
    if !response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => {
            let detail = format!("the answer broke off: {error}");
            return ApiError::new("event_damaged", detail).into_response();
        }
    };
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let kept = Kept { asked: keyed.asked.clone(), status: parts.status.as_u16(), content_type };
    let written = match body.len() {
        0..=ANSWER_BYTES_MAX => write(shared, keyed, &kept, &body).await,
        _ => Err(ApiError::new("body_too_large", "the answer is too large to be kept")),
    };
    // It has been done; telling otherwise would make the client do it again.
    if let Err(error) = written {
        tracing::error!(%error, "idempotency.not_kept");
        parts.headers.insert(KEPT, HeaderValue::from_static("false"));
    }
    Response::from_parts(parts, Body::from(body))
}

async fn write(shared: &Shared, keyed: &Keyed, kept: &Kept, body: &[u8]) -> Result<()> {
    let api = &shared.api;
    let now_ms = api.clock.now_ms();
    let sealed = match body {
        [] => None,
        _ => Some(api.directory.seal(&place::document(&keyed.name), body)?),
    };
    let body = serde_json::to_string(kept).map_err(|error| {
        ApiError::new("event_damaged", format!("the answer cannot be written: {error}"))
    })?;
    let content = DocumentContent { body, sealed, expires_at_ms: Some(now_ms + KEPT_MS) };
    let name = keyed.name.clone();
    api.store.document_put(keyed.owner, name, content, WriteIf::Always, now_ms).await?;
    Ok(())
}

/// The hash of several texts, each with its length, so that none runs into the next.
fn hash(parts: [&[u8]; 4]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(hash.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash([b"ab", b"", b"", b""]), hash([b"a", b"b", b"", b""]));
        assert_eq!(hash([b"a", b"b", b"", b""]).len(), 64);
    }
}
