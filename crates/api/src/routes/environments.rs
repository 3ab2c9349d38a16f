//! Tenants, and moving what they define (`v1.environment`, `becket.environment`).

use axum::routing::{get, post};

use super::parameters::{ITERATOR, LIMIT, ORDER};
use super::{Route, changes, reads};
use crate::handlers::environments;

pub(super) const TABLE: &[Route] = &[
    changes(
        "/api/v1/environment/export",
        "v1.environment.export",
        "Export the event types and settings of the environment.",
        "EnvironmentOut",
        || post(environments::export),
    )
    .asks()
    .admin(),
    changes(
        "/api/v1/environment/import",
        "v1.environment.import",
        "Add event types and settings to the environment; nothing is removed.",
        "Empty",
        || post(environments::import),
    )
    .body("EnvironmentIn")
    .empty(204)
    .admin(),
    reads(
        "/api/v1/becket/environment",
        "becket.environment.list",
        "List the environments besides the first one.",
        "EnvironmentPage",
        || get(environments::list),
    )
    .query(&[LIMIT, ITERATOR, ORDER])
    .operator(),
    changes(
        "/api/v1/becket/environment",
        "becket.environment.create",
        "Make an environment: a tenant whose data nobody else sees; answers with its first admin token, shown this once.",
        "EnvironmentMade",
        || post(environments::create),
    )
    .body("EnvironmentNew")
    .status(201)
    .secret()
    .operator(),
];
