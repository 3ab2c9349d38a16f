//! Events of an application (`v1.message`).

use axum::routing::{get, post};

use super::parameters::{AFTER, BEFORE, CHANNEL, EVENT_TYPES, ITERATOR, LIMIT, TAG, WITH_CONTENT};
use super::{Route, changes, reads};
use crate::handlers::{create, messages};

pub(super) const TABLE: &[Route] = &[
    changes(
        "/api/v1/app/{app_id}/msg",
        "v1.message.create",
        "Post an event; it is durable before the answer.",
        "MessageOut",
        || post(create::create),
    )
    .query(&[WITH_CONTENT])
    .body("MessageIn")
    .status(202),
    reads(
        "/api/v1/app/{app_id}/msg",
        "v1.message.list",
        "List the events of a source, newest first.",
        "ListResponse_MessageOut_",
        || get(messages::list),
    )
    .query(&[LIMIT, ITERATOR, BEFORE, AFTER, CHANNEL, TAG, EVENT_TYPES, WITH_CONTENT]),
    reads(
        "/api/v1/app/{app_id}/msg/{msg_id}",
        "v1.message.get",
        "Show an event, by its id or its delivery id.",
        "MessageOut",
        || get(messages::get),
    )
    .query(&[WITH_CONTENT]),
];
