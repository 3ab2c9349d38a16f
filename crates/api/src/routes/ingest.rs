//! Receiving: sources and their endpoints (`v1.ingest`).

use axum::routing::{get, post};

use super::parameters::{ITERATOR, LIMIT, ORDER};
use super::{Route, changes, reads};
use crate::handlers::{endpoints, sources};

pub(super) const TABLE: &[Route] = &[
    reads("/ingest/api/v1/source", "v1.ingest.source.list", "List sources.", "ListResponse_IngestSourceOut_", || {
        get(sources::list)
    })
    .query(&[LIMIT, ITERATOR, ORDER]),
    reads("/ingest/api/v1/source/{source_id}", "v1.ingest.source.get", "Show a source.", "IngestSourceOut", || {
        get(sources::get)
    }),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint",
        "v1.ingest.endpoint.list",
        "List the endpoints of a source.",
        "ListResponse_IngestEndpointOut_",
        || get(endpoints::list),
    )
    .query(&[LIMIT, ITERATOR, ORDER]),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}",
        "v1.ingest.endpoint.get",
        "Show an endpoint.",
        "IngestEndpointOut",
        || get(endpoints::get),
    ),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers",
        "v1.ingest.endpoint.get-headers",
        "Show the headers added to every attempt; of credentials only the names.",
        "IngestEndpointHeadersOut",
        || get(endpoints::headers),
    ),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret",
        "v1.ingest.endpoint.get-secret",
        "Show the secret that signs deliveries; logged.",
        "IngestEndpointSecretOut",
        || get(endpoints::secret),
    ),
    changes(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate",
        "v1.ingest.endpoint.rotate-secret",
        "Put a new secret in place; the old one signs for another 24 hours, or as long as is given.",
        "Empty",
        || post(endpoints::rotate_secret),
    )
    .body("IngestEndpointSecretIn")
    .empty(204),
];
