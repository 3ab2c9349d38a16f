//! The gate that every call passes: who asks and whether they may, before; what of the answer they may
//! see, and what is written into the audit log, after.
//!
//! Invariants: a handler of a route that is not public runs only for somebody who may use the route; a
//! change that is audited goes on, and is written down, when its client has gone; a stream ends soon
//! after its caller lost the right to it.
//!
//! Deliberately absent: who may do what (`access`). Posting events comes without this layer, because it
//! has nothing to add to it there: `Call` itself asks the same question.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use http::header;
use http::request::Parts;

use crate::ClientAddress;
use crate::access::Access;
use crate::audit::{Answered, Notes};
use crate::call::Shared;
use crate::cookies::{Arrival, Cookie, Way};
use crate::hidden;
use crate::idempotency;
use crate::problem::ApiError;
use crate::routes::{Payload, Route};
use crate::sessions::cookie_s;

/// How often it is asked whether who listens to a stream still may.
const STREAM_ASKED_EVERY: Duration = Duration::from_secs(5);
/// The one route without this gate: nothing of it is left out or written down.
const POSTING: &str = "v1.message.create";

/// Whether calls of a route pass here.
pub(crate) fn applies(route: &Route) -> bool {
    route.id != POSTING
}

/// Lets a call through.
pub(crate) async fn pass(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(route) = request.extensions().get::<&'static Route>().copied() else {
        return ApiError::new("route_not_found", "the path is not in the table").into_response();
    };
    let (mut parts, body) = request.into_parts();
    let access = match route.public {
        true => None,
        false => match shared.admit(&parts, route).await {
            Ok(access) => Some(access),
            Err(error) => return error.into_response(),
        },
    };
    let names = match RawPathParams::from_request_parts(&mut parts, &shared).await {
        Ok(names) => names.iter().map(|(_, value)| value.to_owned()).collect::<Vec<_>>().join("/"),
        Err(error) => return ApiError::new("bad_path", error.to_string()).into_response(),
    };
    let passed =
        Passed { shared, route, access, names, notes: Notes::default(), asked: parts.clone() };
    if let Some(access) = &passed.access {
        parts.extensions.insert(access.clone());
    }
    parts.extensions.insert(passed.notes.clone());
    let request = Request::from_parts(parts, body);
    if !route.audited {
        return passed.answer(next.run(request).await).await;
    }
    // A task of its own, which a stop waits for: it has to end and be written down even if the client
    // goes away.
    let turn = Unfinished::new(&passed.shared);
    let carried_out = tokio::spawn(async move {
        let response = passed.answer(next.run(request).await).await;
        drop(turn);
        response
    });
    carried_out.await.unwrap_or_else(|error| {
        ApiError::new("event_damaged", format!("the request broke off: {error}")).into_response()
    })
}

/// Counts among what a stop waits for, until dropped.
struct Unfinished(Arc<Shared>);

impl Unfinished {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.api.unfinished.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(shared))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.api.unfinished.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A call that was let through.
struct Passed {
    shared: Arc<Shared>,
    route: &'static Route,
    /// `None` where nobody has to show who they are.
    access: Option<Access>,
    /// What its path names.
    names: String,
    notes: Notes,
    /// The call without its body.
    asked: Parts,
}

impl Passed {
    /// What becomes of a handler's answer.
    async fn answer(self, mut response: Response) -> Response {
        let from = self.asked.extensions.get::<ClientAddress>();
        self.shared
            .audit(Answered {
                route: self.route,
                access: self.access.as_ref(),
                address: from.map(|address| address.0),
                path: self.names.clone(),
                succeeded: response.status().is_success(),
                repeated: response.headers().contains_key(idempotency::REPLAYED),
                notes: &self.notes,
            })
            .await;
        let Some(access) = &self.access else { return response };
        if let Payload::LeftOut(parts) = self.route.payload
            && !access.role.payloads()
        {
            response = hidden::without(parts, response).await;
        }
        if is_stream(&response) {
            return self.watched(response);
        }
        self.kept_signed_in(access, &mut response).await;
        response
    }

    /// Ends a stream when its caller may no longer have it.
    fn watched(self, response: Response) -> Response {
        let Self { shared, route, asked, .. } = self;
        let may_no_longer = async move {
            loop {
                tokio::time::sleep(STREAM_ASKED_EVERY).await;
                // A store that fails for a moment, or somebody else's guesses, end no stream.
                if let Err(error) = shared.admit(&asked, route).await
                    && matches!(error.code(), "unauthorized" | "forbidden" | "payloads_hidden")
                {
                    return;
                }
            }
        };
        let (parts, body) = response.into_parts();
        let body = body.into_data_stream().take_until(Box::pin(may_no_longer));
        Response::from_parts(parts, Body::from_stream(body))
    }

    /// Lets a session that is used last longer.
    async fn kept_signed_in(&self, access: &Access, response: &mut Response) {
        if access.session.is_none() {
            return;
        }
        let (shared, asked) = (&self.shared, &self.asked);
        match shared.session_used(access).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "session.not_prolonged");
                return;
            }
        }
        let way = Way::of(shared, &asked.headers, asked.extensions.get::<Arrival>().copied());
        let cookie = Cookie::Session
            .read(&asked.headers, way)
            .and_then(|value| Cookie::Session.set(value, cookie_s(), way).ok());
        if let Some(cookie) = cookie {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
