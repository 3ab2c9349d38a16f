//! Health and the document.

use axum::routing::get;

use super::{Route, reads};
use crate::handlers::{docs, operations};

pub(super) const TABLE: &[Route] = &[
    reads("/api/v1/health", "v1.health.get", "Say whether the store accepts.", "Empty", || {
        get(operations::health)
    })
    .empty(204)
    .public(),
    reads("/api/v1/openapi.json", "becket.openapi", "This document.", "Anything", || {
        get(operations::openapi)
    })
    .public(),
    reads("/api/v1/docs", "becket.docs", "This document as a page for people.", "Text", || {
        get(docs::page)
    })
    .content_type("text/html")
    .public(),
    reads(
        "/api/v1/docs/style.css",
        "becket.docs-style",
        "The style sheet of that page.",
        "Text",
        || get(docs::style),
    )
    .content_type("text/css")
    .public(),
];
