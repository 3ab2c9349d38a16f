//! Endpoints of an application (`v1.endpoint`).

use axum::routing::post;

use super::{Route, changes};
use crate::access::Capability;
use crate::handlers::recover;

pub(super) const TABLE: &[Route] = &[
    changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover",
        "v1.endpoint.recover",
        "Send again what failed at an endpoint since a moment, in the background.",
        "RecoverOut",
        || post(recover::recover),
    )
    .body("RecoverIn")
    .status(202)
    .portal(Capability::CreateAttempts),
    changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing",
        "v1.endpoint.replay-missing",
        "Send what an endpoint would take and never got since a moment, in the background.",
        "ReplayOut",
        || post(recover::replay_missing),
    )
    .body("ReplayIn")
    .status(202)
    .portal(Capability::CreateAttempts),
    changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay",
        "v1.endpoint.bulk-replay",
        "Send again what was sent to an endpoint since a moment and matches, in the background.",
        "ReplayOut",
        || post(recover::bulk_replay),
    )
    .body("BulkReplayIn")
    .status(202)
    .portal(Capability::CreateAttempts),
];
