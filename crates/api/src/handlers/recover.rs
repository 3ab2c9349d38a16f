//! The specification's background replays: what failed at an endpoint, and what it never got.

use std::sync::Arc;

use becket_model::{DeliveryState, EventId};
use becket_store::Owner;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::call::{Answer, Call, JsonBody, Listed, Shared};
use crate::handlers::messages::application;
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::replay::{self, ReplayMany, Which};
use crate::tasks::{TaskKind, TaskStatus};
use crate::times;
use crate::wire::becket::ReplayOut;
use crate::wire::specification::TaskOut;

const STEP_EVENTS: usize = 200;

/// From when, and up to when.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinceIn {
    since: String,
    #[serde(default)]
    until: Option<String>,
}

/// `POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/recover`
pub(crate) async fn recover(
    call: Call,
    JsonBody(body): JsonBody<SinceIn>,
) -> Result<Answer<TaskOut>> {
    begin(call, body, TaskKind::Recover).await
}

/// `POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing`
pub(crate) async fn replay_missing(
    call: Call,
    JsonBody(body): JsonBody<SinceIn>,
) -> Result<Answer<TaskOut>> {
    begin(call, body, TaskKind::ReplayMissing).await
}

async fn begin(call: Call, body: SinceIn, kind: TaskKind) -> Result<Answer<TaskOut>> {
    let names = Names::load(&call).await?;
    let (source, scope) = application(&call, &names)?;
    let endpoint = names.endpoint_in(source, call.path("endpoint_id"))?;
    replay::check_takes(&names, endpoint)?;
    let time =
        |name: &str, text: &str| times::parse(text).map_err(|what| ApiError::body(name, what));
    let since_ms = time("since", &body.since)?;
    let until_ms = match &body.until {
        Some(text) => time("until", text)?,
        None => call.now_ms(),
    };
    let which = match kind {
        TaskKind::Recover => Which::Standing(Some(endpoint.key), Some(DeliveryState::Failed)),
        TaskKind::ReplayMissing => Which::Missing(endpoint.key),
    };
    let many =
        ReplayMany { scope, which, event_types: Vec::new(), since_ms, until_ms, dry_run: false };
    let (api, tasks) = (&call.shared.api, &call.shared.tasks);
    let task = tasks.begin(call.owner, kind, api.noise.as_ref(), call.now_ms())?;
    call.audit(kind.as_str(), &endpoint.id);
    tokio::spawn(run(Arc::clone(&call.shared), call.owner, task.id.clone(), many));
    Ok(Answer(StatusCode::ACCEPTED, task))
}

/// Works through a task step by step; ends early when the gateway shuts down.
async fn run(shared: Arc<Shared>, owner: Owner, id: String, many: ReplayMany) {
    let mut total = ReplayOut::default();
    let mut after = None;
    let (status, problem) = loop {
        if *shared.api.closing.borrow() {
            break (TaskStatus::Failed, Some("the gateway shut down".to_owned()));
        }
        match step(&shared, owner, &many, after, &mut total).await {
            Ok(None) => break (TaskStatus::Finished, None),
            Ok(next) => after = next,
            Err(error) => break (TaskStatus::Failed, Some(error.to_string())),
        }
        let now_ms = shared.api.clock.now_ms();
        shared.tasks.update(&id, TaskStatus::Running, data(&total, None), now_ms);
    };
    let now_ms = shared.api.clock.now_ms();
    shared.tasks.update(&id, status, data(&total, problem.as_deref()), now_ms);
}

fn data(total: &ReplayOut, problem: Option<&str>) -> serde_json::Value {
    json!({
        "events": total.events,
        "started": total.started,
        "madeDue": total.made_due,
        "seen": total.seen,
        "error": problem,
    })
}

/// One step; the event to go on from, or `None` at the end.
async fn step(
    shared: &Shared,
    owner: Owner,
    many: &ReplayMany,
    after: Option<EventId>,
    total: &mut ReplayOut,
) -> Result<Option<EventId>> {
    // The task may outlive a change of the configuration.
    let names = Names::read(shared.api.store.as_ref(), owner).await?;
    let out = replay::step(&shared.api, owner, &names, many, after, STEP_EVENTS).await?;
    total.events += out.events;
    total.started += out.started;
    total.made_due += out.made_due;
    total.seen += out.seen;
    if out.done {
        return Ok(None);
    }
    Ok(out.iterator.and_then(|text| text.parse().ok()))
}

/// `GET /api/v1/background-task`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<TaskOut>>> {
    let status = one_of(&call, "status", &TaskStatus::ALL)?;
    let kind = one_of(&call, "task", &KINDS)?;
    let mut tasks = call.shared.tasks.list(call.owner);
    tasks.retain(|task| {
        status.is_none_or(|status| status == task.status)
            && kind.is_none_or(|kind| kind == task.task)
    });
    // Oldest first, as the other lists; `descending` turns it round.
    tasks.reverse();
    let page =
        crate::handlers::sources::page_of(&call, tasks.iter().collect(), |task| task.id.clone())?;
    let data = page.data.into_iter().cloned().collect();
    Ok(Answer::ok(Listed::new(data, page.iterator, page.done)))
}

/// The kinds of task that the specification names; ours are the first two.
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
    call.shared.tasks.get(call.owner, id).map(Answer::ok).ok_or_else(|| {
        ApiError::not_found("task", id).hint("tasks are forgotten when the gateway restarts")
    })
}
