//! Counting deliveries by application, and collecting the event types that applications ask for.

use becket_model::{ApplicationId, ApplicationKind};
use becket_store::{Application, Name, Scope, Slice};
use serde_json::{Value, json};

use super::work::Step;
use crate::problem::{ApiError, Result};

const STEP_APPLICATIONS: usize = 100;
const ENDPOINTS_MAX: usize = 1_000;

/// The next applications: the named ones, or all; and where the step after begins.
async fn next(
    only: Option<&[ApplicationId]>,
    step: &Step<'_>,
) -> Result<(Vec<Application>, Option<String>)> {
    let store = step.shared.api.store.as_ref();
    let after: Option<ApplicationId> = step.cursor.and_then(|text| text.parse().ok());
    let kind = ApplicationKind::Customer;
    let Some(only) = only else {
        let slice = Slice { limit: STEP_APPLICATIONS, after, descending: false };
        let found = store.application_list(step.owner, kind, slice).await?;
        let last = found.last().filter(|_| found.len() == STEP_APPLICATIONS);
        let cursor = last.map(|application| application.id.to_string());
        return Ok((found, cursor));
    };
    let mut ids: Vec<ApplicationId> =
        only.iter().copied().filter(|id| after.is_none_or(|after| after < *id)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(STEP_APPLICATIONS);
    let mut found = Vec::new();
    for id in &ids {
        found.extend(store.application_get(step.owner, kind, Name::Id(*id)).await?);
    }
    let cursor = ids.last().filter(|_| ids.len() == STEP_APPLICATIONS);
    Ok((found, cursor.map(ToString::to_string)))
}

/// A list among the task's figures.
fn list<'d>(step: &'d mut Step<'_>, name: &str) -> Result<&'d mut Vec<Value>> {
    let known = step.data.entry(name).or_insert_with(|| json!([]));
    known
        .as_array_mut()
        .ok_or_else(|| ApiError::new("event_damaged", "the task's figures cannot be read"))
}

/// Counts the deliveries of some hundred applications; the cursor is the id of the last one.
pub(super) async fn applications(
    since_ms: i64,
    until_ms: i64,
    only: Option<&[ApplicationId]>,
    mut step: Step<'_>,
) -> Result<Option<String>> {
    let (found, cursor) = next(only, &step).await?;
    list(&mut step, "appStats")?;
    for application in found {
        let scope = Scope::of(step.owner, application.key);
        let rows = step.shared.api.store.event_count(scope, since_ms, until_ms).await?;
        list(&mut step, "appStats")?.push(json!({
            "appId": application.id,
            "appUid": application.uid,
            "messageDestinations": rows.iter().map(|row| row.deliveries).sum::<u64>(),
            "messages": rows.iter().map(|row| row.events).sum::<u64>(),
        }));
    }
    Ok(cursor)
}

/// Collects what the endpoints of some hundred applications ask for; the cursor is the id of the
/// last application.
pub(super) async fn event_types(mut step: Step<'_>) -> Result<Option<String>> {
    let (found, cursor) = next(None, &step).await?;
    list(&mut step, "event_types")?;
    for application in found {
        let slice = Slice::oldest(ENDPOINTS_MAX);
        let store = step.shared.api.store.as_ref();
        let endpoints = store.endpoint_list(step.owner, application.key, slice).await?;
        let filters = || endpoints.iter().map(|endpoint| endpoint.settings.event_types.as_ref());
        let mut named: Vec<&String> = filters().flatten().flatten().collect();
        named.sort_unstable();
        named.dedup();
        let shown = json!({
            "appId": application.id,
            "explicitlySubscribedEventTypes": named,
            "hasCatchAllEndpoint": filters().any(|types| types.is_none()),
        });
        list(&mut step, "event_types")?.push(shown);
    }
    Ok(cursor)
}
