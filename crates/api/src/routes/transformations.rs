//! Transformations of endpoints (`v1.endpoint.transformation`, `v1.ingest.endpoint.transformation`).

use axum::routing::{get, patch};

use super::{Route, by, changes, reads};
use crate::access::Capability::ManageTransformations;
use crate::handlers::transformations;

pub(super) const TABLE: &[Route] = &[
    reads(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation",
        "v1.endpoint.transformation.get",
        "Show the transformation of an endpoint.",
        "EndpointTransformationOut",
        || get(transformations::get),
    )
    .portal(ManageTransformations),
    by(
        "patch",
        changes(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation",
            "v1.endpoint.transformation.patch",
            "Set, change or take away the transformation of an endpoint.",
            "Empty",
            || patch(transformations::patch),
        ),
    )
    .body("EndpointTransformationPatch")
    .empty(204)
    .portal(ManageTransformations)
    .payload(),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/transformation",
        "v1.ingest.endpoint.transformation.get",
        "Show the transformation of an endpoint.",
        "IngestEndpointTransformationOut",
        || get(transformations::get),
    )
    .portal(ManageTransformations),
    by(
        "patch",
        changes(
            "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/transformation",
            "v1.ingest.endpoint.transformation.patch",
            "Set, change or take away the transformation of an endpoint.",
            "Empty",
            || patch(transformations::patch),
        ),
    )
    .body("IngestEndpointTransformationPatch")
    .empty(204)
    .portal(ManageTransformations)
    .payload(),
];
