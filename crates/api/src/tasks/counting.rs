//! Counting events by application and by type.

use becket_model::{ApplicationId, ApplicationKind};
use becket_store::{Name, Scope, Slice};
use serde_json::{Value, json};

use super::work::Step;
use crate::problem::{ApiError, Result};

const STEP_APPLICATIONS: usize = 100;

/// Counts the events of some hundred applications; the cursor is the id of the last one.
pub(super) async fn applications(
    since_ms: i64,
    until_ms: i64,
    only: Option<&[ApplicationId]>,
    step: Step<'_>,
) -> Result<Option<String>> {
    let store = step.shared.api.store.as_ref();
    let after: Option<ApplicationId> = step.cursor.and_then(|text| text.parse().ok());
    let slice = Slice { limit: STEP_APPLICATIONS, after, descending: false };
    let kind = ApplicationKind::Customer;
    let ids: Vec<ApplicationId> = match only {
        Some(ids) => {
            let mut ids: Vec<_> =
                ids.iter().copied().filter(|id| after.is_none_or(|after| after < *id)).collect();
            ids.sort_unstable();
            ids.truncate(STEP_APPLICATIONS);
            ids
        }
        None => {
            let found = store.application_list(step.owner, kind, slice).await?;
            found.into_iter().map(|application| application.id).collect()
        }
    };
    let counts = step.data.entry("applications").or_insert_with(|| json!([]));
    let Some(counts) = counts.as_array_mut() else {
        return Err(ApiError::new("event_damaged", "the task's figures cannot be read"));
    };
    for id in &ids {
        let Some(application) = store.application_get(step.owner, kind, Name::Id(*id)).await?
        else {
            continue;
        };
        let scope = Scope::of(step.owner, application.key);
        let rows = store.event_count(scope, since_ms, until_ms).await?;
        counts.push(json!({
            "appId": id,
            "appUid": application.uid,
            "messages": rows.iter().map(|row| row.events).sum::<u64>(),
            "deliveries": rows.iter().map(|row| row.deliveries).sum::<u64>(),
        }));
    }
    Ok(ids.last().filter(|_| ids.len() == STEP_APPLICATIONS).map(ToString::to_string))
}

/// Counts an owner's events by type, in one step.
pub(super) async fn event_types(
    since_ms: i64,
    until_ms: i64,
    step: Step<'_>,
) -> Result<Option<String>> {
    let store = step.shared.api.store.as_ref();
    let rows = store.event_count(Scope::all(step.owner), since_ms, until_ms).await?;
    let mut counts = std::collections::BTreeMap::<String, (u64, u64)>::new();
    for row in rows {
        let name = row.event_type.unwrap_or_else(|| "unknown".to_owned());
        let known = counts.entry(name).or_default();
        known.0 += row.events;
        known.1 += row.deliveries;
    }
    let counts: Vec<Value> = counts
        .into_iter()
        .map(|(name, (events, deliveries))| {
            json!({ "eventType": name, "messages": events, "deliveries": deliveries })
        })
        .collect();
    step.data.insert("eventTypes".to_owned(), counts.into());
    Ok(None)
}
