//! Repeated requests with an `idempotency-key`: carried out once, answered as the first time.
//!
//! A key belongs to an owner, to what the token may see, and to a path; beside it the hash of query
//! and body is kept, so that the same key for something else is told apart from a repeat. The answer
//! is sealed, because answers may show secrets.
//!
//! Invariants: a request is carried out only by who has claimed its key in the store, so one node of
//! all does it; a claim ends [`CLAIM_MS`] after its last renewal, so a node that dies keeps no key; an
//! answer of success takes the claim's place before it goes out, and is kept for [`KEPT_MS`]; a
//! request goes on when its client has gone, so that the repeat finds its answer. A refusal gives the
//! key back. What failed without being known to be undone, and what died, leaves its claim to end by
//! itself; a repeat after that is carried out again.
//!
//! Deliberately absent: posting an event, which keeps its key with the event itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use becket_store::vault::place;
use becket_store::{
    Document, DocumentContent, DocumentKind, DocumentName, Owner, WriteIf, Written,
};
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Role, hex};
use crate::call::Shared;
use crate::problem::{ApiError, Code, Place, Result};
use crate::routes::Route;

/// How long an answer is kept, in milliseconds.
const KEPT_MS: i64 = 24 * 3_600_000;
/// How long a key stays claimed when nobody renews the claim, in milliseconds.
const CLAIM_MS: i64 = 60_000;
/// How often the claim of a request that is under way is renewed.
const RENEWED_EVERY: Duration = Duration::from_secs(20);
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

/// Whether repeats of a route's requests are recognised here.
pub(crate) fn applies(route: &Route) -> bool {
    route.method == "post" && !route.public && route.id != POSTING
}

/// What is kept for a key, in clear.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    /// The request was carried out; the body of the answer is sealed beside it.
    Answer {
        /// The hash of query and body that were answered.
        asked: String,
        status: u16,
        content_type: Option<String>,
    },
    /// Somebody carries the request out.
    Claim {
        /// The hash of query and body that are being carried out.
        asked: String,
        /// Tells this claim from every other.
        claim: String,
    },
}

impl Kept {
    fn read(document: &Document) -> Result<Self> {
        serde_json::from_str(&document.content.body).map_err(|error| {
            ApiError::new("event_damaged", format!("a kept answer cannot be read: {error}"))
        })
    }
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
    let claim = match Claim::take(&shared, keyed).await? {
        Claimed::New(claim) => claim,
        Claimed::Answered(answer) => return Ok(answer),
    };
    parts.extensions.insert(access);
    let request = Request::from_parts(parts, Body::from(body));
    // A task of its own: it has to end and be kept even if the client goes away.
    let carried_out = tokio::spawn(async move {
        let response = tokio::select! {
            response = next.run(request) => response,
            never = claim.renew() => match never {},
        };
        claim.end(response).await
    });
    carried_out
        .await
        .map_err(|error| ApiError::new("event_damaged", format!("the request broke off: {error}")))
}

/// Whose answers a key leads to: what admins of an owner ask is one, each portal token stands alone.
pub(crate) fn scope_of(access: &Access) -> String {
    match (&access.role, access.token) {
        (Role::Admin, _) => "admin".to_owned(),
        (Role::Developer { payloads }, _) => format!("developer/{payloads}"),
        (Role::Viewer { payloads }, _) => format!("viewer/{payloads}"),
        (Role::Portal { .. }, token) => {
            format!("portal/{}", token.map_or_else(String::new, |id| id.to_string()))
        }
    }
}

/// What asking for a key came to.
enum Claimed {
    /// It is ours: the request is to be carried out.
    New(Claim),
    /// The request was carried out before; its answer.
    Answered(Response),
}

/// A key that one request has for itself, on all nodes.
struct Claim {
    shared: Arc<Shared>,
    keyed: Keyed,
    id: String,
    /// The revision of the claim's document.
    revision: AtomicU64,
}

impl Claim {
    /// Claims a key, or finds what is kept for it; an error if that is not for this request.
    async fn take(shared: &Arc<Shared>, keyed: Keyed) -> Result<Claimed> {
        let mut random = [0; 16];
        shared.api.noise.fill(&mut random);
        let shared = Arc::clone(shared);
        let claim = Self { shared, keyed, id: hex(&random), revision: AtomicU64::new(0) };
        let content = claim.content(CLAIM_MS)?;
        match claim.put(content, WriteIf::Absent).await? {
            Written::Created(document) | Written::Replaced(document) => {
                claim.revision.store(document.revision, Ordering::Release);
                Ok(Claimed::New(claim))
            }
            Written::Refused(Some(document)) => claim.answered(&document).map(Claimed::Answered),
            Written::Refused(None) => Err(in_use("the idempotency key could not be claimed")),
        }
    }

    /// The first answer, if what is kept for the key is one and was to this request.
    fn answered(&self, document: &Document) -> Result<Response> {
        let kept = Kept::read(document)?;
        let (Kept::Answer { asked, .. } | Kept::Claim { asked, .. }) = &kept;
        if *asked != self.keyed.asked {
            let what = "the same idempotency key was used with another body or other parameters";
            let place = Place::new("header", KEY.as_str(), what, "idempotency_mismatch");
            return Err(ApiError::new("idempotency_mismatch", what)
                .at(vec![place])
                .hint("use a new key for each thing that is to be done"));
        }
        let Kept::Answer { status, content_type, .. } = kept else {
            let what = "a request with this idempotency key is under way, or has ended without \
                        saying how";
            return Err(in_use(what));
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        let body = match &document.content.sealed {
            Some(sealed) => {
                let place = place::document(&self.keyed.name);
                Bytes::from(self.shared.api.directory.open(&place, sealed)?.to_vec())
            }
            None => Bytes::new(),
        };
        let mut response = (status, Body::from(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        if let Some(kind) = content_type.and_then(|kind| HeaderValue::from_str(&kind).ok()) {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        Ok(response)
    }

    /// Keeps the claim alive until the future is dropped.
    async fn renew(&self) -> Infallible {
        loop {
            tokio::time::sleep(RENEWED_EVERY).await;
            let renewed = match self.content(CLAIM_MS) {
                Ok(content) => self.replace(content).await,
                Err(error) => Err(error),
            };
            match renewed {
                Ok(true) => {}
                Ok(false) => {
                    // It has ended, because it could not be renewed in time.
                    tracing::warn!("idempotency.claim_lost");
                    return std::future::pending().await;
                }
                Err(error) => tracing::warn!(%error, "idempotency.claim_not_renewed"),
            }
        }
    }

    /// Keeps an answer of success, gives the key back after a refusal, and leaves the claim to end by
    /// itself if it is not known what was done.
    async fn end(&self, response: Response) -> Response {
        if response.status().is_success() {
            return self.keep(response).await;
        }
        if response.status().is_server_error() && !is_undone(&response) {
            return response;
        }
        let released = match self.content(0) {
            Ok(content) => self.replace(content).await,
            Err(error) => Err(error),
        };
        if let Err(error) = released {
            tracing::warn!(%error, "idempotency.not_released");
        }
        response
    }

    /// Keeps an answer of success; what cannot be kept says so.
    async fn keep(&self, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        let body = match to_bytes(body, usize::MAX).await {
            Ok(body) => body,
            Err(error) => {
                let detail = format!("the answer broke off: {error}");
                return ApiError::new("event_damaged", detail).into_response();
            }
        };
        // It has been done; telling otherwise would make the client do it again.
        if let Err(error) = self.write(&parts, &body).await {
            tracing::error!(%error, "idempotency.not_kept");
            parts.headers.insert(KEPT, HeaderValue::from_static("false"));
        }
        Response::from_parts(parts, Body::from(body))
    }

    async fn write(&self, parts: &Parts, body: &[u8]) -> Result<()> {
        if body.len() > ANSWER_BYTES_MAX {
            self.replace(self.content(0)?).await?;
            return Err(ApiError::new("body_too_large", "the answer is too large to be kept"));
        }
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let (asked, status) = (self.keyed.asked.clone(), parts.status.as_u16());
        let mut content = self.kept(&Kept::Answer { asked, status, content_type }, KEPT_MS)?;
        if !body.is_empty() {
            let place = place::document(&self.keyed.name);
            content.sealed = Some(self.shared.api.directory.seal(&place, body)?);
        }
        match self.replace(content).await? {
            true => Ok(()),
            false => Err(in_use("another request has claimed the idempotency key meanwhile")),
        }
    }

    /// The claim as it is kept for so long; a claim that is over at once gives the key back.
    fn content(&self, for_ms: i64) -> Result<DocumentContent> {
        let asked = self.keyed.asked.clone();
        self.kept(&Kept::Claim { asked, claim: self.id.clone() }, for_ms)
    }

    fn kept(&self, kept: &Kept, for_ms: i64) -> Result<DocumentContent> {
        let body = serde_json::to_string(kept).map_err(|error| {
            ApiError::new("event_damaged", format!("the answer cannot be written: {error}"))
        })?;
        let expires_at_ms = Some(self.shared.api.clock.now_ms() + for_ms);
        Ok(DocumentContent { body, sealed: None, expires_at_ms })
    }

    /// Writes in place of the claim; false if somebody else has the key now.
    async fn replace(&self, content: DocumentContent) -> Result<bool> {
        let mut condition = WriteIf::Revision(self.revision.load(Ordering::Acquire));
        for _ in 0..3 {
            match self.put(content.clone(), condition).await? {
                Written::Created(document) | Written::Replaced(document) => {
                    self.revision.store(document.revision, Ordering::Release);
                    return Ok(true);
                }
                // It has ended, and nobody has asked for the key since.
                Written::Refused(None) => condition = WriteIf::Absent,
                // A renewal was done, though its answer never came.
                Written::Refused(Some(document)) if self.is(&document) => {
                    condition = WriteIf::Revision(document.revision);
                }
                Written::Refused(Some(_)) => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Whether a document is this claim.
    fn is(&self, document: &Document) -> bool {
        matches!(Kept::read(document), Ok(Kept::Claim { claim, .. }) if claim == self.id)
    }

    async fn put(&self, content: DocumentContent, condition: WriteIf) -> Result<Written> {
        let (api, name) = (&self.shared.api, self.keyed.name.clone());
        let now_ms = api.clock.now_ms();
        Ok(api.store.document_put(self.keyed.owner, name, content, condition, now_ms).await?)
    }
}

/// Somebody else has the key.
fn in_use(what: &str) -> ApiError {
    ApiError::new("idempotency_conflict", what).hint(
        "wait for its answer, then repeat it; if there was none, look whether it was done: after a \
         minute a repeat is carried out",
    )
}

/// Whether a request that failed is known to have changed nothing: the store had no room for it.
fn is_undone(response: &Response) -> bool {
    let code = response.extensions().get::<Code>();
    code.is_some_and(|Code(code)| ["store_full", "store_busy"].contains(code))
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
