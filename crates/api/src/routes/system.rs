//! Health and the document.

use axum::routing::get;

use super::{Route, reads};
use crate::handlers::operations;

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
];
