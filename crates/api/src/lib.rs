//! The management API: what was received and what became of it, and doing it again.
//!
//! [`router`] answers the paths of the public specification (`/api/v1`, `/ingest/api/v1`) and our own
//! additions (`/api/v1/becket`), all from one table in `routes`; the same table makes the OpenAPI
//! document. Errors are `application/problem+json` with a stable code (`docs/errors.md`).
//!
//! Invariants: every path but health and the document asks for a bearer token, which decides whose
//! data is seen; another owner's ids are answered like unknown ones; every list is bounded in items,
//! bytes and rows looked at; secrets and the sender's credentials are shown only where asked for by
//! name, and that is logged (target `becket::audit`).
//!
//! Deliberately absent: sockets, TLS, configuration, and deciding or making attempts.
//!
//! Where next: `routes` for the table, `handlers` for what the paths do, `state` for what the
//! binary has to bring.

mod access;
mod activity;
mod apps;
mod attempt_walk;
mod audit;
mod auth;
mod bodies;
mod call;
mod cookies;
mod curl;
mod docs;
mod elsewhere;
mod event_types;
mod gate;
mod handlers;
mod hidden;
mod idempotency;
mod names;
mod openapi;
mod operational;
mod page;
mod posting;
mod problem;
mod reach;
mod relay;
mod replay;
mod reporter;
mod routes;
mod scan;
mod search;
mod sessions;
mod source_state;
mod state;
mod tasks;
mod times;
mod turns;
mod wire;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::{Extension, Router};
use http::{HeaderValue, Method, header};

pub use activity::Activity;
pub use audit::audit_by_gateway;
pub use auth::{Auth, ClientAddress, FAILED_LOGINS_BURST};
pub use cookies::Arrival;
pub use elsewhere::Elsewhere;
pub use event_types::load_retry_by_type;
pub use handlers::problems::{Standing, StandingKind};
pub use handlers::transformations::{StoredTransformation, load_transformation};
pub use openapi::text as openapi_document;
pub use problem::CODES as ERROR_CODES;
pub use relay::{Relay, RelayAnswer, RelayDelivery, Relayed};
pub use reporter::{AttemptReported, OperationalReporter, Trouble};
pub use source_state::{
    CapturedSecret, CredentialState, DedupeSettings, RateShown, SourceCredentials, SourceDetails,
    SourceSettings, SourceTest, SourceTested, SourceTrouble, TestRefusal,
};
pub use state::{
    AdviceShown, ApiState, Control, ControlError, Directory, EndpointSecret, KeysRotated, LetOut,
    LetOutcome, NodeShown, NodesShown, Person, PersonRole, ProviderCredential, ProviderDetails,
    ProviderRow, ProviderSample, SignIn, SignInBegun, SignInError,
};

/// The largest request body that the API reads, in bytes: an event's payload of 1 MiB and what
/// stands around it.
pub const BODY_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// The API as a service. Whoever accepts connections puts a [`ClientAddress`] into each request's
/// extensions, so that failed logins are counted by address, and an [`Arrival`], without which nobody
/// can sign in with a browser.
pub fn router(api: ApiState) -> Router {
    let shared = Arc::new(call::Shared {
        poster: posting::Poster::of(&api),
        operational: operational::Desk::default(),
        api,
        tokens: access::Tokens::default(),
        failures: audit::Failures::default(),
        sign_ins: handlers::oidc::Used::default(),
        apps: apps::Apps::default(),
        turns: turns::Turns::default(),
        bodies: bodies::Bodies::new(),
        tasks: tasks::Tasks::default(),
        event_types: event_types::EventTypes::default(),
        streams: Arc::new(tokio::sync::Semaphore::new(handlers::tail::STREAMS_MAX)),
    });
    shared.api.elsewhere.told_to(&shared);
    // Tasks need a runtime; without one nothing can be served either.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(tasks::resume(Arc::clone(&shared)));
        runtime.spawn(relay::keeping::keep(Arc::clone(&shared)));
    }
    let mut router = Router::new();
    for route in routes::table() {
        let mut handler = (route.handler)();
        if idempotency::applies(route) {
            let state = Arc::clone(&shared);
            handler = handler.layer(axum::middleware::from_fn_with_state(state, idempotency::once));
        }
        if gate::applies(route) {
            let state = Arc::clone(&shared);
            handler = handler.layer(axum::middleware::from_fn_with_state(state, gate::pass));
        }
        router = router.route(route.path, handler.layer(Extension(route)));
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::map_response(no_store))
        .with_state(shared)
}

async fn no_such_path(uri: http::Uri) -> problem::ApiError {
    problem::ApiError::new("route_not_found", format!("there is no path `{}`", uri.path()))
        .hint("`GET /api/v1/openapi.json` lists the paths")
}

async fn no_such_method(method: Method, uri: http::Uri) -> problem::ApiError {
    problem::ApiError::new("method_not_allowed", format!("`{}` does not take {method}", uri.path()))
        .hint("`GET /api/v1/openapi.json` lists the methods of each path")
}

/// Answers hold people's data: no cache may keep them, no browser may guess their type.
async fn no_store(mut response: axum::response::Response) -> axum::response::Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    response
}
