//! The API reference for people.

use axum::response::{IntoResponse, Response};
use http::header;

use crate::call::Call;
use crate::docs;

/// Nothing on the page runs, and nothing is fetched but its style sheet.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// `GET /api/v1/docs`
pub(crate) async fn page(_call: Call) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, docs::page()).into_response()
}

/// `GET /api/v1/docs/style.css`
pub(crate) async fn style(_call: Call) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, docs::STYLE).into_response()
}
