//! Counts over time (`v1.statistics`, and those of an endpoint).

use axum::routing::{get, post, put};

use super::parameters::{SINCE, UNTIL};
use super::{Route, by, changes, reads};
use crate::access::Capability;
use crate::handlers::statistics;

pub(super) const TABLE: &[Route] = &[
    reads(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats",
        "v1.endpoint.get-stats",
        "Count how the events of an endpoint stand; of the last 28 days if nothing is said.",
        "EndpointStats",
        || get(statistics::endpoint),
    )
    .query(&[SINCE, UNTIL])
    .portal(Capability::ViewBase),
    reads(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/attempt-stats",
        "v1.endpoint.get-attempt-stats",
        "Count how the events of an endpoint ended there, in whole hours.",
        "EndpointAttemptStats",
        || get(statistics::attempts),
    )
    .query(&[SINCE, UNTIL])
    .portal(Capability::ViewBase),
    changes(
        "/api/v1/stats/usage/app",
        "v1.statistics.aggregate-app-stats",
        "Count the deliveries of applications, in the background.",
        "AppUsageStatsOut",
        || post(statistics::usage),
    )
    .body("AppUsageStatsIn")
    .asks()
    .status(202),
    by(
        "put",
        changes(
            "/api/v1/stats/usage/event-types",
            "v1.statistics.aggregate-event-types",
            "Collect the event types that each application's endpoints ask for, in the background.",
            "AggregateEventTypesOut",
            || put(statistics::event_types),
        ),
    )
    .asks()
    .status(202),
];
