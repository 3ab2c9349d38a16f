//! Receiving webhooks in a service of your own: an axum extractor (feature `axum`).
//!
//! Take [`Webhook`] as the last argument of a handler and give the router's state an `Arc<Verifier>`; the handler
//! then only runs for requests that are genuine. Everything else is answered by [`WebhookRejection`]: challenges
//! of the provider with what the entry says, requests that are not genuine with the entry's status and one text
//! for all of them.
//!
//! Invariants: the body is read whole, up to a limit, and kept as it came; nothing is parsed or decompressed
//! before it is verified. This module alone reads the clock. Deliberately absent: repeats (keep
//! [`Facts::delivery_id`](crate::Facts::delivery_id) yourself) and answers before the work is done.
//! Where to go next: `examples/axum_receiver.rs`; without axum, `examples/hyper_receiver.rs`.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum_core::extract::{FromRef, FromRequest, Request};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::request::{Facts, HandshakeAnswer, RequestView};
use crate::verdict::{Genuine, Refusal, Verdict};
use crate::verifier::Verifier;

/// The largest body that is read when the entry names no other limit, in bytes: 1 MiB.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// A webhook that was proven genuine, with its body as it came.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The raw body: parse it, but keep these bytes if the signature may have to be shown again.
    pub body: Bytes,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The event type and the delivery id, where the provider says them.
    pub facts: Facts,
    /// Which secret and which scheme proved it, and when it was sent.
    pub genuine: Genuine,
}

/// Why a handler did not run; as a response it is what the provider should get.
#[derive(Debug)]
pub enum WebhookRejection {
    /// The request was a challenge of the provider, and this is its answer.
    Handshake(HandshakeAnswer),
    /// The request is not genuine. The sender gets the status and no reason.
    Refused {
        /// Why, for your log.
        refusal: Refusal,
        /// The status that this provider expects.
        status: StatusCode,
    },
    /// The body is larger than the provider's entry allows.
    BodyTooLarge {
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// The connection ended before the body did.
    BodyIncomplete,
}

impl std::fmt::Display for WebhookRejection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WebhookRejection::Handshake(answer) => {
                write!(formatter, "a challenge, answered: {}", answer.name)
            }
            WebhookRejection::Refused { refusal, .. } => {
                write!(formatter, "the request is not genuine: {refusal}")
            }
            WebhookRejection::BodyTooLarge { limit_bytes } => {
                write!(formatter, "the body is larger than {limit_bytes} bytes")
            }
            WebhookRejection::BodyIncomplete => formatter.write_str("the body ended too early"),
        }
    }
}

impl std::error::Error for WebhookRejection {}

impl<S> FromRequest<S> for Webhook
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = WebhookRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, WebhookRejection> {
        let verifier = Arc::<Verifier>::from_ref(state);
        let limit = verifier.entry().body_limit();
        let limit_bytes =
            limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(BODY_LIMIT_BYTES);
        let (parts, body) = request.into_parts();
        let body = match Limited::new(body, limit_bytes).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(WebhookRejection::BodyTooLarge { limit_bytes });
            }
            Err(_) => return Err(WebhookRejection::BodyIncomplete),
        };
        let url = url_of(&parts.uri, &parts.headers);
        let view = RequestView {
            method: parts.method.as_str(),
            url: &url,
            headers: &parts.headers,
            body: &body,
        };
        let now_s = now_s();
        if let Some(answer) = verifier.handshake(&view, now_s) {
            return Err(WebhookRejection::Handshake(answer));
        }
        let genuine = match verifier.verify(&view, now_s) {
            Verdict::Genuine(genuine) => genuine,
            Verdict::Refused(refusal) => {
                let status = StatusCode::from_u16(verifier.entry().failure_status())
                    .unwrap_or(StatusCode::UNAUTHORIZED);
                return Err(WebhookRejection::Refused { refusal, status });
            }
        };
        let facts = verifier.facts(&view);
        Ok(Webhook { body, headers: parts.headers, facts, genuine })
    }
}

impl IntoResponse for WebhookRejection {
    fn into_response(self) -> Response {
        match self {
            WebhookRejection::Handshake(answer) => handshake_response(answer),
            // One answer for all refusals: a reason would teach a forger.
            WebhookRejection::Refused { status, .. } => {
                (status, "the request could not be verified\n").into_response()
            }
            rejection @ WebhookRejection::BodyTooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("{rejection}\n")).into_response()
            }
            rejection @ WebhookRejection::BodyIncomplete => {
                (StatusCode::BAD_REQUEST, format!("{rejection}\n")).into_response()
            }
        }
    }
}

fn handshake_response(answer: HandshakeAnswer) -> Response {
    let mut response = answer.body.into_response();
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in answer.headers {
        // Names and values were checked when the entry was read and the answer made.
        if let (Ok(name), Ok(value)) =
            (header::HeaderName::try_from(name), HeaderValue::try_from(value))
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The URL as the sender most probably knows it. Providers that sign the URL need
/// [`VerifierOptions::public_url`](crate::VerifierOptions::public_url), which wins over this.
fn url_of(uri: &http::Uri, headers: &HeaderMap) -> String {
    if uri.scheme().is_some() {
        return uri.to_string();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    format!("https://{host}{path}")
}

#[expect(
    clippy::disallowed_methods,
    reason = "an extractor is given a request and a state only, and this feature is for services, not for the gateway"
)]
fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
