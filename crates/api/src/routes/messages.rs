//! Events of an application (`v1.message`).

use axum::routing::get;

use super::parameters::{AFTER, BEFORE, CHANNEL, EVENT_TYPES, ITERATOR, LIMIT, TAG, WITH_CONTENT};
use super::{Route, reads};
use crate::handlers::messages;

pub(super) const TABLE: &[Route] = &[
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
