//! Answers: their bodies and the few forms that they have.
//!
//! Invariant: every refusal of verification looks the same, whatever its reason; the reason is for
//! the operator (report and quarantine).

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use becket_model::EventId;
use becket_signature::{Ack, Acknowledgement, HandshakeAnswer};
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use crate::server::Stay;

/// An answer to a request.
pub type Reply = Response<ReplyBody>;

/// The body of an answer that did not come from a source.
pub type BoxedBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// The header that names the event which a request made or repeated.
const EVENT_ID: HeaderName = HeaderName::from_static("becket-event-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The body of an answer: a few bytes at once, or a stream from the fallback.
pub struct ReplyBody {
    kind: Kind,
    turn: Option<Turn>,
    /// Counts the request as being answered until the answer has been made.
    stay: Option<Stay>,
}

enum Kind {
    Whole(Option<Bytes>),
    Stream(BoxedBody),
}

impl ReplyBody {
    /// A body that is at hand.
    #[must_use]
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { kind: Kind::Whole((!bytes.is_empty()).then_some(bytes)), turn: None, stay: None }
    }

    /// A body that is still being made.
    #[must_use]
    pub const fn stream(body: BoxedBody) -> Self {
        Self { kind: Kind::Stream(body), turn: None, stay: None }
    }

    pub(crate) fn hold(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    pub(crate) fn count(&mut self, stay: Stay) {
        self.stay = Some(stay);
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.kind {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Stream(body) => body.size_hint(),
        }
    }
}

/// Says whether a connection waits for a request (even) or is busy with one (odd), so that its idle
/// time is counted in the one state only. A busy turn lasts until the answer's body is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Arc<AtomicU32>);

impl Turn {
    pub fn begin(turns: &Arc<AtomicU32>) -> Self {
        turns.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(turns))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn whole(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(ReplyBody::whole(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// The answer to an accepted request; the event's id is always in a header.
pub(crate) fn accepted(event: EventId, ack: Option<Acknowledgement>) -> Reply {
    let id = event.to_string();
    let mut reply = match ack {
        None => {
            let mut body = String::with_capacity(id.len() + 9);
            body.push_str("{\"id\":\"");
            body.push_str(&id);
            body.push_str("\"}");
            whole(StatusCode::OK, JSON, body)
        }
        Some(ack) => as_wanted(ack.status, ack.headers, ack.body),
    };
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(id)) {
        reply.headers_mut().insert(EVENT_ID, value);
    }
    reply
}

/// The answer that an operator has set for a source.
pub(crate) fn fixed(ack: &Ack) -> Acknowledgement {
    let mut headers = Vec::new();
    if !ack.body.is_empty() {
        headers.push((CONTENT_TYPE.as_str().to_owned(), ack.content_type.clone()));
    }
    Acknowledgement { status: ack.status, headers, body: ack.body.clone().into_bytes() }
}

/// The answer to a handshake, as the entry wants it.
pub(crate) fn handshake(answer: HandshakeAnswer) -> Reply {
    as_wanted(answer.status, answer.headers, answer.body)
}

fn as_wanted(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(ReplyBody::whole(body));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    for (name, value) in headers {
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            reply.headers_mut().append(name, value);
        }
    }
    reply
}

/// An answer that says no, in the form of RFC 9457.
pub(crate) fn problem(status: StatusCode, detail: &str, retry_after_s: Option<u64>) -> Reply {
    let title = status.canonical_reason().unwrap_or("Refused");
    // No more than the status says: a forger must not learn why.
    let code = title.to_ascii_lowercase().replace(' ', "_");
    let body = serde_json::json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
    });
    let mut reply = whole(status, PROBLEM, body.to_string());
    if let Some(seconds) = retry_after_s {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    reply
}

/// Adds which methods are taken.
pub(crate) fn allow(reply: &mut Reply, methods: &[Method]) {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        reply.headers_mut().insert(ALLOW, value);
    }
}

/// Makes the answer the last one on its connection.
pub(crate) fn close(reply: &mut Reply) {
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}
