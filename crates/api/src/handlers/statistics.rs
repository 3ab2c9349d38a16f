//! Counts over time: of an endpoint at once, of applications and their subscriptions as tasks.

use becket_model::{ApplicationKind, DeliveryState};
use becket_store::{DeliveryCounts, EventFilter, Page};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::apps;
use crate::call::{Answer, Call, JsonBody};
use crate::problem::{ApiError, Result};
use crate::reach::Reached;
use crate::tasks::{self, TaskWork};
use crate::times;
use crate::wire::specification::TaskOut;

const HOUR_MS: i64 = 3_600_000;
/// How far back is counted if nothing is said.
const DAYS_DEFAULT: i64 = 28;

/// How the events of an endpoint stand (`EndpointStats`).
#[derive(Debug, Serialize)]
pub(crate) struct EndpointStats {
    success: u64,
    pending: u64,
    sending: u64,
    fail: u64,
    canceled: u64,
}

/// How the attempts at an endpoint ended (`EndpointAttemptStats`).
#[derive(Debug, Serialize)]
pub(crate) struct AttemptStats {
    success: u64,
    fail: u64,
    canceled: u64,
}

/// The stretch of time that a call asks for, in whole units of `round_ms`.
fn stretch(call: &Call, round_ms: i64) -> Result<(i64, i64)> {
    let now_ms = call.now_ms();
    let until_ms = call.time("until")?.unwrap_or_else(|| now_ms.saturating_add(1));
    let since_ms =
        call.time("since")?.unwrap_or_else(|| now_ms.saturating_sub(DAYS_DEFAULT * 24 * HOUR_MS));
    if until_ms < since_ms {
        return Err(ApiError::query("until", "is before `since`"));
    }
    // Whole hours hold what the asked stretch holds.
    let since_ms = since_ms.div_euclid(round_ms).saturating_mul(round_ms);
    let until_ms =
        until_ms.saturating_add(round_ms - 1).div_euclid(round_ms).saturating_mul(round_ms);
    Ok((since_ms, until_ms))
}

/// `GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/stats`
pub(crate) async fn endpoint(call: Call) -> Result<Answer<EndpointStats>> {
    let mut reached = Reached::of(&call).await?;
    let endpoint = reached.endpoint(&call, call.path("endpoint_id")).await?.key;
    let (since_ms, until_ms) = stretch(&call, 1)?;
    let scope = reached.scope();
    let counts: DeliveryCounts =
        call.store().delivery_count(scope, endpoint, since_ms, until_ms).await?;
    Ok(Answer::ok(EndpointStats {
        success: counts.delivered,
        pending: counts.waiting,
        sending: counts.leased,
        fail: counts.failed,
        canceled: 0,
    }))
}

/// `GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/attempt-stats`: the attempts for events received
/// in the stretch, resent ones included.
pub(crate) async fn attempts(call: Call) -> Result<Answer<AttemptStats>> {
    const PAGE: usize = 1_000;
    let mut reached = Reached::of(&call).await?;
    let endpoint = reached.endpoint(&call, call.path("endpoint_id")).await?.key;
    let (since_ms, until_ms) = stretch(&call, HOUR_MS)?;
    let filter = EventFilter {
        endpoint: Some(endpoint),
        since_ms: Some(since_ms),
        until_ms: Some(until_ms),
        ..EventFilter::default()
    };
    let mut stats = AttemptStats { success: 0, fail: 0, canceled: 0 };
    let mut page = Page::newest(PAGE);
    loop {
        let events = call.store().event_list(reached.scope(), filter.clone(), page).await?;
        for delivery in events.iter().flat_map(|event| &event.deliveries) {
            if delivery.endpoint == endpoint {
                // Only its last attempt can have succeeded.
                let succeeded = u64::from(delivery.state == DeliveryState::Delivered);
                stats.success += succeeded;
                stats.fail += u64::from(delivery.attempts).saturating_sub(succeeded);
                stats.canceled += u64::from(delivery.state == DeliveryState::Cancelled);
            }
        }
        match events.last() {
            Some(last) if events.len() == PAGE => page.before = Some(last.id),
            _ => return Ok(Answer::ok(stats)),
        }
    }
}

/// Which stretch of time, and whose (`AppUsageStatsIn`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageIn {
    since: String,
    until: String,
    #[serde(default)]
    app_ids: Option<Vec<String>>,
}

/// The task, and the names that mean nothing (`AppUsageStatsOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageOut {
    #[serde(flatten)]
    task: TaskOut,
    unresolved_app_ids: Vec<String>,
}

/// `POST /api/v1/stats/usage/app`
pub(crate) async fn usage(
    call: Call,
    JsonBody(given): JsonBody<UsageIn>,
) -> Result<Answer<UsageOut>> {
    let time =
        |name: &str, text: &str| times::parse(text).map_err(|what| ApiError::body(name, what));
    let (since_ms, until_ms) = (time("since", &given.since)?, time("until", &given.until)?);
    if until_ms < since_ms {
        return Err(ApiError::body("until", "is before `since`"));
    }
    let kind = ApplicationKind::Customer;
    let mut unresolved_app_ids = Vec::new();
    let mut applications = given.app_ids.as_ref().map(|_| Vec::new());
    for name in given.app_ids.unwrap_or_default() {
        match apps::look_up(call.store(), call.owner, kind, &name).await? {
            Some(application) => applications.get_or_insert_default().push(application.id),
            None => unresolved_app_ids.push(name),
        }
    }
    if !unresolved_app_ids.is_empty() && applications.as_ref().is_some_and(Vec::is_empty) {
        let what = format!("names no application: {}", unresolved_app_ids.join(", "));
        return Err(ApiError::body("appIds", what).hint("give ids or uids; leave it out for all"));
    }
    let work = TaskWork::ApplicationStats { since_ms, until_ms, applications };
    let task = tasks::begin(&call.shared, call.owner, work).await?;
    Ok(Answer(StatusCode::ACCEPTED, UsageOut { task, unresolved_app_ids }))
}

/// `PUT /api/v1/stats/usage/event-types`
pub(crate) async fn event_types(call: Call) -> Result<Answer<TaskOut>> {
    let task = tasks::begin(&call.shared, call.owner, TaskWork::EventTypeAggregate {}).await?;
    Ok(Answer(StatusCode::ACCEPTED, task))
}
