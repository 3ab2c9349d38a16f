//! Programs that act for an application (`v1.integration`).

use axum::routing::{delete, get, post, put};

use super::parameters::{ITERATOR, LIMIT, ORDER};
use super::{Route, by, changes, reads};
use crate::handlers::integrations;

pub(super) const TABLE: &[Route] = &[
    reads(
        "/api/v1/app/{app_id}/integration",
        "v1.integration.list",
        "List the integrations of an application.",
        "ListResponse_IntegrationOut_",
        || get(integrations::list),
    )
    .query(&[LIMIT, ITERATOR, ORDER]),
    changes(
        "/api/v1/app/{app_id}/integration",
        "v1.integration.create",
        "Make an integration; it gets its key by rotating it.",
        "IntegrationOut",
        || post(integrations::create),
    )
    .body("IntegrationIn")
    .status(201),
    reads(
        "/api/v1/app/{app_id}/integration/{integ_id}",
        "v1.integration.get",
        "Show an integration.",
        "IntegrationOut",
        || get(integrations::get),
    ),
    by("put", changes(
        "/api/v1/app/{app_id}/integration/{integ_id}",
        "v1.integration.update",
        "Change an integration.",
        "IntegrationOut",
        || put(integrations::update),
    ))
    .body("IntegrationUpdate"),
    by("delete", changes(
        "/api/v1/app/{app_id}/integration/{integ_id}",
        "v1.integration.delete",
        "Remove an integration; its key is worthless from then on.",
        "Empty",
        || delete(integrations::delete),
    ))
    .empty(204),
    changes(
        "/api/v1/app/{app_id}/integration/{integ_id}/key/rotate",
        "v1.integration.rotate-key",
        "Give an integration a new key, which is shown this once; the old one is worthless at once.",
        "IntegrationKeyOut",
        || post(integrations::rotate_key),
    )
    .secret()
    .payload(),
];
