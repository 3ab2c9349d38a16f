//! The specification's background replays, and the list of what runs in the background.

use std::sync::Arc;

use becket_model::TaskId;
use http::StatusCode;
use serde::Deserialize;

use crate::access::Role;
use crate::apps::App;
use crate::call::{Answer, Call, JsonBody, Listed};
use crate::handlers::access::app_named;
use crate::page::Asked;
use crate::problem::{ApiError, Result};
use crate::tasks::{self, EndpointRef, ReplayWhich, ReplayWork, TaskStatus, TaskWork};
use crate::times;
use crate::wire::specification::TaskOut;

/// Which events, from when and up to when.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplayIn {
    since: String,
    until: Option<String>,
    event_types: Option<Vec<String>>,
    channel: Option<String>,
    tag: Option<String>,
    status: Option<u8>,
    status_code_class: Option<u16>,
}

/// `POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/recover`
pub(crate) async fn recover(
    call: Call,
    JsonBody(body): JsonBody<ReplayIn>,
) -> Result<Answer<TaskOut>> {
    begin(call, body, ReplayWhich::Failed).await
}

/// `POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing`
pub(crate) async fn replay_missing(
    call: Call,
    JsonBody(body): JsonBody<ReplayIn>,
) -> Result<Answer<TaskOut>> {
    begin(call, body, ReplayWhich::Missing).await
}

/// `POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay`
pub(crate) async fn bulk_replay(
    call: Call,
    JsonBody(body): JsonBody<ReplayIn>,
) -> Result<Answer<TaskOut>> {
    begin(call, body, ReplayWhich::Sent).await
}

async fn begin(call: Call, body: ReplayIn, which: ReplayWhich) -> Result<Answer<TaskOut>> {
    let app: Arc<App> = app_named(&call, call.path("app_id")).await?;
    let endpoint = app.endpoint(call.path("endpoint_id"))?;
    tasks::check_takes(endpoint)?;
    let time =
        |name: &str, text: &str| times::parse(text).map_err(|what| ApiError::body(name, what));
    let since_ms = time("since", &body.since)?;
    let until_ms = match &body.until {
        Some(text) => time("until", text)?,
        None => call.now_ms().saturating_add(1),
    };
    if until_ms < since_ms {
        return Err(ApiError::body("until", "is before `since`"));
    }
    let work = TaskWork::Replay(ReplayWork {
        to: EndpointRef {
            application_kind: app.application.kind,
            application: app.application.id,
            endpoint: endpoint.id,
        },
        which,
        since_ms,
        until_ms,
        event_types: body.event_types.unwrap_or_default(),
        channel: body.channel,
        tag: body.tag,
        status: body.status,
        status_code_class: body.status_code_class,
    });
    let action = work.kind().as_str();
    let task = tasks::begin(&call.shared, call.owner, work).await?;
    call.audit(action, &endpoint.id);
    Ok(Answer(StatusCode::ACCEPTED, task))
}

/// `GET /api/v1/background-task`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<TaskOut>>> {
    let status = one_of(&call, "status", &TaskStatus::ALL)?;
    let kind = one_of(&call, "task", &KINDS)?;
    let (owner, now_ms, store) = (call.owner, call.now_ms(), call.store());
    let asked = Asked::read(&call, |text| text.parse::<TaskId>().ok().map(|id| id.to_string()))?;
    let page = asked
        .page(
            |slice| tasks::list(store, owner, slice, status, kind, now_ms),
            |task: &TaskOut| task.id.clone(),
        )
        .await?;
    Ok(Answer::ok(page))
}

/// The kinds of task that the specification names.
const KINDS: [&str; 8] = [
    "endpoint.replay",
    "endpoint.recover",
    "application.stats",
    "message.broadcast",
    "sdk.generate",
    "event-type.aggregate",
    "application.purge_content",
    "endpoint.bulk-replay",
];

fn one_of<'c>(call: &'c Call, name: &str, known: &[&str]) -> Result<Option<&'c str>> {
    match call.text(name) {
        Some(text) if !known.contains(&text) => {
            Err(ApiError::query(name, format!("`{text}` is not one of {}", known.join(", "))))
        }
        text => Ok(text),
    }
}

/// `GET /api/v1/background-task/{task_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<TaskOut>> {
    let id = call.path("task_id");
    let missing = || ApiError::not_found("task", id);
    // A portal sees the replays to its own endpoints.
    let only = match &call.access.role {
        Role::Portal { application, .. } => {
            let snapshot = call.store().config_list(call.owner).await?;
            Some(snapshot.application(*application).ok_or_else(missing)?.id)
        }
        Role::Admin | Role::Developer { .. } | Role::Viewer { .. } => None,
    };
    let task = tasks::get(&call.shared, call.owner, id, only).await?;
    task.map(Answer::ok).ok_or_else(missing)
}
