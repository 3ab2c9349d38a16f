//! Events of an application (`v1.message`).

use axum::routing::{delete, get, post};

use super::parameters::{AFTER, BEFORE, CHANNEL, EVENT_TYPES, ITERATOR, LIMIT, TAG, WITH_CONTENT};
use super::parts;
use super::{Route, by, changes, reads};
use crate::access::Capability;
use crate::handlers::{create, example, expunge, messages};

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
    .status(202)
    .unaudited(),
    reads(
        "/api/v1/app/{app_id}/msg",
        "v1.message.list",
        "List the events of a source, newest first.",
        "ListResponse_MessageOut_",
        || get(messages::list),
    )
    .query(&[LIMIT, ITERATOR, BEFORE, AFTER, CHANNEL, TAG, EVENT_TYPES, WITH_CONTENT])
    .portal(Capability::ViewBase)
    .leaves_out(parts::MESSAGES),
    reads(
        "/api/v1/app/{app_id}/msg/{msg_id}",
        "v1.message.get",
        "Show an event, by its id or its delivery id.",
        "MessageOut",
        || get(messages::get),
    )
    .query(&[WITH_CONTENT])
    .portal(Capability::ViewBase)
    .leaves_out(parts::MESSAGE),
    by(
        "delete",
        changes(
            "/api/v1/app/{app_id}/msg/{msg_id}/content",
            "v1.message.expunge-content",
            "Remove an event's payload for good.",
            "Empty",
            || delete(expunge::one),
        ),
    )
    .empty(204),
    changes(
        "/api/v1/app/{app_id}/msg/bulk-expunge",
        "v1.message.bulk-expunge-content",
        "Remove the payloads of several events for good; at most 1000 in a call.",
        "BulkExpungeContentsOut",
        || post(expunge::many),
    )
    .body("BulkExpungeContentsIn"),
    changes(
        "/api/v1/app/{app_id}/msg/expunge-all-contents",
        "v1.message.expunge-all-contents",
        "Remove the payloads of all events of an application for good, in the background.",
        "ExpungeAllContentsOut",
        || post(expunge::all),
    )
    .status(202),
    changes(
        "/api/v1/app/{app_id}/msg/precheck/active",
        "v1.message.precheck",
        "Say whether some endpoint would take an event.",
        "MessagePrecheckOut",
        || post(messages::precheck),
    )
    .body("MessagePrecheckIn")
    .asks(),
    changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example",
        "v1.endpoint.send-example",
        "Send an example of an event type to an endpoint, whatever its filters say.",
        "MessageOut",
        || post(example::send),
    )
    .body("EventExampleIn")
    .status(202)
    .portal(Capability::CreateAttempts),
];
