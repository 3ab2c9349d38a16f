//! Endpoints of an application (`v1.endpoint`).

use axum::routing::{delete, get, patch, post, put};

use super::parameters::{ITERATOR, LIMIT, ORDER_NEWEST_FIRST};
use super::{Route, by, changes, reads};
use crate::access::Capability::{
    CreateAttempts, ManageEndpoint, ManageEndpointSecret, ViewBase, ViewEndpointSecret,
};
use crate::handlers::{endpoint_headers, endpoint_secrets, endpoints, recover};

pub(super) const TABLE: &[Route] = &[
    reads(
        "/api/v1/app/{app_id}/endpoint",
        "v1.endpoint.list",
        "List the endpoints of an application.",
        "ListResponse_EndpointOut_",
        || get(endpoints::list),
    )
    .query(&[LIMIT, ITERATOR, ORDER_NEWEST_FIRST])
    .portal(ViewBase),
    changes("/api/v1/app/{app_id}/endpoint", "v1.endpoint.create", "Make an endpoint of an application.", "EndpointOut", || {
        post(endpoints::create)
    })
    .body("EndpointIn")
    .status(201)
    .portal(ManageEndpoint)
    .payload(),
    reads("/api/v1/app/{app_id}/endpoint/{endpoint_id}", "v1.endpoint.get", "Show an endpoint of an application.", "EndpointOut", || {
        get(endpoints::get)
    })
    .portal(ViewBase),
    by("patch", changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}",
        "v1.endpoint.patch",
        "Change an endpoint of an application; what is absent stays.",
        "EndpointOut",
        || patch(endpoints::patch),
    ))
    .body("EndpointPatch")
    .portal(ManageEndpoint)
    .payload(),
    by("put", changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}",
        "v1.endpoint.upsert",
        "Make an endpoint of an application as it says, or change it to that.",
        "EndpointOut",
        || put(endpoints::upsert),
    ))
    .body("EndpointUpsertIn")
    .also(201)
    .portal(ManageEndpoint)
    .payload(),
    by("delete", changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}",
        "v1.endpoint.delete",
        "Remove an endpoint of an application.",
        "Empty",
        || delete(endpoints::delete),
    ))
    .empty(204)
    .portal(ManageEndpoint),
    reads(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
        "v1.endpoint.get-headers",
        "Show the headers added to every attempt; of credentials only the names.",
        "EndpointHeadersOut",
        || get(endpoint_headers::get),
    )
    .portal(ViewBase),
    by("put", changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
        "v1.endpoint.set-headers",
        "Replace the headers added to every attempt.",
        "Empty",
        || put(endpoint_headers::set),
    ))
    .body("EndpointHeadersIn")
    .empty(204)
    .portal(ManageEndpoint),
    by("patch", changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
        "v1.endpoint.patch-headers",
        "Replace some of the headers added to every attempt; null takes one away.",
        "Empty",
        || patch(endpoint_headers::patch),
    ))
    .body("EndpointHeadersPatchIn")
    .empty(204)
    .portal(ManageEndpoint),
    reads(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret",
        "v1.endpoint.get-secret",
        "Show the secret with which a receiver verifies; logged.",
        "EndpointSecretOut",
        || get(endpoint_secrets::get),
    )
    .secret()
    .portal(ViewEndpointSecret),
    changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate",
        "v1.endpoint.rotate-secret",
        "Put a new secret in place; the old one signs for another 24 hours, or as long as is given. Official C#, Java and Kotlin clients before 2.7 get a 204, which is all they can read.",
        "EndpointSecretOut",
        || post(endpoint_secrets::rotate),
    )
    .body("EndpointSecretRotateIn")
    .secret()
    .portal(ManageEndpointSecret),
    changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover",
        "v1.endpoint.recover",
        "Send again what has failed so far at an endpoint since a moment, also what still waits for its next attempt, in the background.",
        "RecoverOut",
        || post(recover::recover),
    )
    .body("RecoverIn")
    .status(202)
    .portal(CreateAttempts),
    changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing",
        "v1.endpoint.replay-missing",
        "Send what an endpoint would take and never got since a moment, in the background.",
        "ReplayOut",
        || post(recover::replay_missing),
    )
    .body("ReplayIn")
    .status(202)
    .portal(CreateAttempts),
    changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay",
        "v1.endpoint.bulk-replay",
        "Send again what was sent to an endpoint since a moment and matches, in the background.",
        "ReplayOut",
        || post(recover::bulk_replay),
    )
    .body("BulkReplayIn")
    .status(202)
    .portal(CreateAttempts),
];
