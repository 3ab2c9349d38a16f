//! Attempts, and where events went (`v1.message-attempt`).

use axum::routing::{delete, get, post};

use super::parameters::{
    AFTER, BEFORE, CHANNEL, CLASS, EVENT_TYPES, EXPANDED, ITERATOR, LIMIT, STATUS, TAG,
    WITH_CONTENT,
};
use super::parts;
use super::{Route, by, changes, one, reads};
use crate::access::Capability;
use crate::handlers::{attempts, messages};

pub(super) const TABLE: &[Route] = &[
    reads(
        "/api/v1/app/{app_id}/attempt/msg/{msg_id}",
        "v1.message-attempt.list-by-msg",
        "List the attempts of an event, newest first.",
        "ListResponse_MessageAttemptOut_",
        || get(attempts::list_by_message),
    )
    .query(&[
        LIMIT,
        ITERATOR,
        STATUS,
        CLASS,
        CHANNEL,
        TAG,
        BEFORE,
        AFTER,
        EVENT_TYPES,
        WITH_CONTENT,
        EXPANDED,
        one("endpoint_id", "Text", "Only attempts at this endpoint."),
    ])
    .portal(Capability::ViewBase)
    .leaves_out(parts::SPECIFIED_ATTEMPTS),
    reads(
        "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}",
        "v1.message-attempt.list-by-endpoint",
        "List the attempts at an endpoint, event by event, newest first.",
        "ListResponse_MessageAttemptOut_",
        || get(attempts::list_by_endpoint),
    )
    .query(&[
        LIMIT,
        ITERATOR,
        STATUS,
        CLASS,
        CHANNEL,
        TAG,
        BEFORE,
        AFTER,
        EVENT_TYPES,
        WITH_CONTENT,
        EXPANDED,
        one("with_msg", "Flag", "Whether each attempt shows its event, without its payload."),
    ])
    .portal(Capability::ViewBase)
    .leaves_out(parts::SPECIFIED_ATTEMPTS),
    reads(
        "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}",
        "v1.message-attempt.get",
        "Show an attempt.",
        "MessageAttemptOut",
        || get(attempts::get),
    )
    .query(&[EXPANDED])
    .portal(Capability::ViewBase)
    .leaves_out(parts::SPECIFIED_ATTEMPT),
    reads(
        "/api/v1/app/{app_id}/msg/{msg_id}/endpoint",
        "v1.message-attempt.list-attempted-destinations",
        "List where an event went, and how it stands there.",
        "ListResponse_MessageEndpointOut_",
        || get(attempts::list_destinations),
    )
    .query(&[LIMIT, ITERATOR])
    .portal(Capability::ViewBase),
    reads(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg",
        "v1.message-attempt.list-attempted-messages",
        "List the events of an endpoint, and how they stand there.",
        "ListResponse_EndpointMessageOut_",
        || get(messages::list_attempted),
    )
    .query(&[
        LIMIT,
        ITERATOR,
        CHANNEL,
        TAG,
        STATUS,
        BEFORE,
        AFTER,
        EVENT_TYPES,
        WITH_CONTENT,
        EXPANDED,
    ])
    .portal(Capability::ViewBase)
    .leaves_out(parts::MESSAGES),
    changes(
        "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend",
        "v1.message-attempt.resend",
        "Send an event to an endpoint again.",
        "EmptyResponse",
        || post(attempts::resend),
    )
    .status(202)
    .portal(Capability::CreateAttempts),
    by(
        "delete",
        changes(
            "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content",
            "v1.message-attempt.expunge-content",
            "Remove what a receiver answered to an attempt for good.",
            "Empty",
            || delete(attempts::expunge),
        ),
    )
    .empty(204),
];
