//! Endpoints that get events about the gateway itself (`v1.operational-webhook.endpoint`).

use axum::routing::{delete, get, post, put};

use super::parameters::{ITERATOR, LIMIT, ORDER};
use super::{Route, by, changes, reads};
use crate::handlers::{endpoint_headers, endpoint_secrets, endpoints};

pub(super) const TABLE: &[Route] = &[
    reads(
        "/api/v1/operational-webhook/endpoint",
        "v1.operational-webhook.endpoint.list",
        "List the endpoints for events about the gateway itself.",
        "ListResponse_OperationalWebhookEndpointOut_",
        || get(endpoints::list),
    )
    .query(&[LIMIT, ITERATOR, ORDER]),
    changes("/api/v1/operational-webhook/endpoint", "v1.operational-webhook.endpoint.create", "Make an endpoint for events about the gateway itself.", "OperationalWebhookEndpointOut", || {
        post(endpoints::create)
    })
    .body("OperationalWebhookEndpointIn")
    .status(201),
    reads("/api/v1/operational-webhook/endpoint/{endpoint_id}", "v1.operational-webhook.endpoint.get", "Show an endpoint for events about the gateway itself.", "OperationalWebhookEndpointOut", || {
        get(endpoints::get)
    }),
    by("put", changes(
        "/api/v1/operational-webhook/endpoint/{endpoint_id}",
        "v1.operational-webhook.endpoint.upsert",
        "Make an endpoint for events about the gateway itself as it says, or change it to that.",
        "OperationalWebhookEndpointOut",
        || put(endpoints::upsert),
    ))
    .body("OperationalWebhookEndpointUpsertIn"),
    by("delete", changes(
        "/api/v1/operational-webhook/endpoint/{endpoint_id}",
        "v1.operational-webhook.endpoint.delete",
        "Remove an endpoint for events about the gateway itself.",
        "Empty",
        || delete(endpoints::delete),
    ))
    .empty(204),
    reads(
        "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers",
        "v1.operational-webhook.endpoint.get-headers",
        "Show the headers added to every attempt; of credentials only the names.",
        "OperationalWebhookEndpointHeadersOut",
        || get(endpoint_headers::get),
    ),
    by("put", changes(
        "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers",
        "v1.operational-webhook.endpoint.set-headers",
        "Replace the headers added to every attempt.",
        "Empty",
        || put(endpoint_headers::set),
    ))
    .body("OperationalWebhookEndpointHeadersIn")
    .empty(204),
    reads(
        "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret",
        "v1.operational-webhook.endpoint.get-secret",
        "Show the secret with which a receiver verifies; logged.",
        "OperationalWebhookEndpointSecretOut",
        || get(endpoint_secrets::get),
    )
    .secret(),
    changes(
        "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate",
        "v1.operational-webhook.endpoint.rotate-secret",
        "Put a new secret in place; the old one signs for another 24 hours, or as long as is given.",
        "Empty",
        || post(endpoint_secrets::rotate),
    )
    .body("OperationalWebhookEndpointSecretIn")
    .empty(204)
    .secret(),
];
