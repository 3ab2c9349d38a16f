//! Work in the background (`v1.background-task`).

use axum::routing::get;

use super::parameters::{ITERATOR, LIMIT, ORDER};
use super::{Route, one, reads};
use crate::access::Capability;
use crate::handlers::recover;

pub(super) const TABLE: &[Route] = &[
    reads(
        "/api/v1/background-task",
        "v1.background-task.list",
        "List tasks of the last 30 days and those that still run.",
        "ListResponse_BackgroundTaskOut_",
        || get(recover::list),
    )
    .query(&[
        one("status", "BackgroundTaskStatus", "Only tasks that stand like this."),
        one("task", "BackgroundTaskType", "Only tasks of this kind."),
        LIMIT,
        ITERATOR,
        ORDER,
    ]),
    reads(
        "/api/v1/background-task/{task_id}",
        "v1.background-task.get",
        "Show a task.",
        "BackgroundTaskOut",
        || get(recover::get),
    )
    .portal(Capability::CreateAttempts),
];
