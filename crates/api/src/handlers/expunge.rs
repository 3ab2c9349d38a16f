//! Removing payloads for good: of one event, of several, of all that an application has.

use std::collections::BTreeMap;

use becket_model::ApplicationKind;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::call::{Answer, Call, JsonBody};
use crate::problem::{ApiError, Place, Result};
use crate::reach::Reached;
use crate::tasks::{self, TaskWork};
use crate::wire::specification::TaskOut;

/// How many events one call may name.
const IDS_MAX: usize = 1_000;

/// `DELETE /api/v1/app/{app_id}/msg/{msg_id}/content`
pub(crate) async fn one(call: Call) -> Result<StatusCode> {
    let reached = Reached::of(&call).await?;
    let event = reached.event(&call, call.path("msg_id")).await?;
    if !call.store().event_expunge(reached.scope(), event.id, call.now_ms()).await? {
        return Err(ApiError::not_found("message", call.path("msg_id")));
    }
    call.audit("event.expunged", &event.id);
    Ok(StatusCode::NO_CONTENT)
}

/// Which events (`BulkExpungeContentsIn`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ManyIn {
    ids: Vec<String>,
}

/// What became of each (`BulkExpungeContentsOut`).
#[derive(Debug, Serialize)]
pub(crate) struct ManyOut {
    results: BTreeMap<String, &'static str>,
}

/// `POST /api/v1/app/{app_id}/msg/bulk-expunge`
pub(crate) async fn many(call: Call, JsonBody(given): JsonBody<ManyIn>) -> Result<Answer<ManyOut>> {
    if given.ids.len() > IDS_MAX {
        let what = format!("has more than {IDS_MAX} ids");
        let place = Place::new("body", "ids", what.clone(), "maxItems");
        return Err(ApiError::body("ids", what).at(vec![place]));
    }
    let reached = Reached::of(&call).await?;
    let mut results = BTreeMap::new();
    for id in given.ids {
        let expunged = match reached.event(&call, &id).await {
            Ok(event) => {
                call.store().event_expunge(reached.scope(), event.id, call.now_ms()).await?
            }
            Err(error) if error.is_not_found() => false,
            Err(error) => return Err(error),
        };
        if expunged {
            call.audit("event.expunged", &id);
        }
        results.insert(id, if expunged { "expunged" } else { "not-found" });
    }
    Ok(Answer::ok(ManyOut { results }))
}

/// `POST /api/v1/app/{app_id}/msg/expunge-all-contents`
pub(crate) async fn all(call: Call) -> Result<Answer<TaskOut>> {
    let app = Reached::of(&call).await?.app;
    if app.application.kind != ApplicationKind::Customer {
        return Err(ApiError::not_found("application", call.path("app_id")));
    }
    // What is posted in this very millisecond is meant too.
    let until_ms = call.now_ms().saturating_add(1);
    let work = TaskWork::PurgeContent { application: app.application.id, until_ms };
    let task = tasks::begin(&call.shared, call.owner, work).await?;
    call.audit("application.contents_expunged", &app.application.id);
    Ok(Answer(StatusCode::ACCEPTED, task))
}
