//! The event catalogue: what events there are, for the people who receive them.
//!
//! The same page and documents with and without a token. Without one they are those of the main
//! owner, and only if the operator made them public. Archived event types are left out, and those
//! with a feature flag unless the token has the flag.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use becket_schema::publish::{self, Catalogue, EventType};
use becket_store::Owner;
use http::header;
use serde_json::Value;

use crate::call::{Answer, Call};
use crate::event_types;
use crate::problem::{ApiError, Result};
use crate::times;

const TITLE: &str = "Event catalogue";
/// Where the page's style sheet is.
const STYLESHEET: &str = "/catalogue/style.css";
/// Nothing on the page runs, and nothing is fetched but its style sheet.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The catalogue and its version, which is when something in it changed last.
async fn catalogue(call: &Call) -> Result<(Catalogue, String)> {
    let owner = if call.route.public {
        if !call.shared.api.directory.catalogue_public() {
            return Err(ApiError::new("not_found", "the event catalogue is not public")
                .hint("the operator can make it public in the configuration"));
        }
        Owner::MAIN
    } else {
        call.owner
    };
    let flags = call.access.role.feature_flags().unwrap_or_default();
    let mut types = event_types::all(call.store(), owner, call.now_ms()).await?;
    types.retain(|(_, body, _)| !body.archived && body.shown_to(Some(flags)));
    let version = times::text(types.iter().map(|(_, _, at_ms)| *at_ms).max().unwrap_or_default());
    let event_types = types.into_iter().map(|(name, body, _)| EventType {
        name,
        description: body.description,
        group: body.group_name,
        deprecated: body.deprecated,
        archived: body.archived,
        schemas: body.schemas.into_iter().flatten().collect::<BTreeMap<_, _>>(),
        example: None,
    });
    Ok((Catalogue { event_types: event_types.collect() }, version))
}

/// `GET /catalogue`, `GET /api/v1/becket/event-catalogue`
pub(crate) async fn page(call: Call) -> Result<Response> {
    let (catalogue, _) = catalogue(&call).await?;
    let page = publish::html(&catalogue, TITLE, STYLESHEET);
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Ok((headers, page).into_response())
}

/// `GET /catalogue/style.css`
pub(crate) async fn stylesheet() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], publish::STYLESHEET).into_response()
}

/// `GET …/openapi.json`
pub(crate) async fn openapi(call: Call) -> Result<Answer<Value>> {
    let (catalogue, version) = catalogue(&call).await?;
    Ok(Answer::ok(publish::openapi(&catalogue, TITLE, &version)))
}

/// `GET …/asyncapi.json`
pub(crate) async fn asyncapi(call: Call) -> Result<Answer<Value>> {
    let (catalogue, version) = catalogue(&call).await?;
    Ok(Answer::ok(publish::asyncapi(&catalogue, TITLE, &version)))
}
