//! Receiving: sources and their endpoints (`v1.ingest`).

use axum::routing::{delete, get, post, put};

use super::parameters::{ITERATOR, LIMIT, ORDER};
use super::{Route, by, changes, reads};
use crate::access::Capability::{
    ManageEndpoint, ManageEndpointSecret, ViewBase, ViewEndpointSecret,
};
use crate::handlers::{endpoint_headers, endpoint_secrets, endpoints, sources};

pub(super) const TABLE: &[Route] = &[
    reads("/ingest/api/v1/source", "v1.ingest.source.list", "List sources.", "ListResponse_IngestSourceOut_", || {
        get(sources::list)
    })
    .query(&[LIMIT, ITERATOR, ORDER]),
    changes("/ingest/api/v1/source", "v1.ingest.source.create", "Make a source with a receiving URL.", "IngestSourceOut", || {
        post(sources::create)
    })
    .body("IngestSourceIn")
    .status(201),
    reads("/ingest/api/v1/source/{source_id}", "v1.ingest.source.get", "Show a source.", "IngestSourceOut", || {
        get(sources::get)
    })
    .portal(ViewBase),
    by("put", changes(
        "/ingest/api/v1/source/{source_id}",
        "v1.ingest.source.upsert",
        "Make a source as it says, or change it to that; its receiving URL stays.",
        "IngestSourceOut",
        || put(sources::upsert),
    ))
    .body("IngestSourceIn")
    .also(201),
    by("delete", changes(
        "/ingest/api/v1/source/{source_id}",
        "v1.ingest.source.delete",
        "Remove a source with its endpoints.",
        "Empty",
        || delete(sources::delete),
    ))
    .empty(204),
    changes(
        "/ingest/api/v1/source/{source_id}/token/rotate",
        "v1.ingest.source.rotate-token",
        "Give a source a new receiving URL; the old one receives for another 48 hours.",
        "RotateTokenOut",
        || post(sources::rotate_token),
    ),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint",
        "v1.ingest.endpoint.list",
        "List the endpoints of a source.",
        "ListResponse_IngestEndpointOut_",
        || get(endpoints::list),
    )
    .query(&[LIMIT, ITERATOR, ORDER])
    .portal(ViewBase),
    changes("/ingest/api/v1/source/{source_id}/endpoint", "v1.ingest.endpoint.create", "Make an endpoint of a source.", "IngestEndpointOut", || {
        post(endpoints::create)
    })
    .body("IngestEndpointIn")
    .status(201)
    .portal(ManageEndpoint)
    .payload(),
    reads("/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}", "v1.ingest.endpoint.get", "Show an endpoint of a source.", "IngestEndpointOut", || {
        get(endpoints::get)
    })
    .portal(ViewBase),
    by("put", changes(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}",
        "v1.ingest.endpoint.upsert",
        "Make an endpoint of a source as it says, or change it to that.",
        "IngestEndpointOut",
        || put(endpoints::upsert),
    ))
    .body("IngestEndpointUpsertIn")
    .portal(ManageEndpoint)
    .payload(),
    by("delete", changes(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}",
        "v1.ingest.endpoint.delete",
        "Remove an endpoint of a source.",
        "Empty",
        || delete(endpoints::delete),
    ))
    .empty(204)
    .portal(ManageEndpoint),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers",
        "v1.ingest.endpoint.get-headers",
        "Show the headers added to every attempt; of credentials only the names.",
        "IngestEndpointHeadersOut",
        || get(endpoint_headers::get),
    )
    .portal(ViewBase),
    by("put", changes(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers",
        "v1.ingest.endpoint.set-headers",
        "Replace the headers added to every attempt.",
        "Empty",
        || put(endpoint_headers::set),
    ))
    .body("IngestEndpointHeadersIn")
    .empty(204)
    .portal(ManageEndpoint),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret",
        "v1.ingest.endpoint.get-secret",
        "Show the secret with which a receiver verifies; logged.",
        "IngestEndpointSecretOut",
        || get(endpoint_secrets::get),
    )
    .secret()
    .portal(ViewEndpointSecret),
    changes(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate",
        "v1.ingest.endpoint.rotate-secret",
        "Put a new secret in place; the old one signs for another 24 hours, or as long as is given.",
        "Empty",
        || post(endpoint_secrets::rotate),
    )
    .body("IngestEndpointSecretIn")
    .empty(204)
    .secret()
    .portal(ManageEndpointSecret),
];
