//! Listeners: what `becket listen` speaks with the gateway.

use axum::routing::{delete, get, post};

use super::{Route, by, changes, reads};
use crate::handlers::listeners;

pub(super) const TABLE: &[Route] = &[
    reads("/api/v1/becket/listener", "becket.listener.list", "List the listeners of developers.", "ListenerPage", || {
        get(listeners::list)
    }),
    changes(
        "/api/v1/becket/listener",
        "becket.listener.make",
        "Make a listener, or let the one of that name be as it is said: one endpoint for each source.",
        "Listener",
        || post(listeners::make),
    )
    .body("ListenerIn")
    .payload(),
    by("delete", changes(
        "/api/v1/becket/listener/{listener_id}",
        "becket.listener.remove",
        "Remove a listener; what waits for it is cancelled.",
        "Listener",
        || delete(listeners::remove),
    ))
    .empty(204),
    by("get", changes(
        "/api/v1/becket/listener/{listener_id}/stream",
        "becket.listener.stream",
        "Take the deliveries of a listener as Server-Sent Events: `hello`, `delivery`, `end`. Its endpoints deliver as long as the stream is open.",
        "Text",
        || get(listeners::stream),
    ))
    .content_type("text/event-stream")
    .payload().unaudited(),
    by("get", changes(
        "/api/v1/becket/listener/{listener_id}/delivery/{token}/body",
        "becket.listener.body",
        "Get the exact body of a delivery that was too large for the stream, while it is under way.",
        "Bytes",
        || get(listeners::body),
    ))
    .content_type("application/octet-stream")
    .payload().unaudited(),
    changes(
        "/api/v1/becket/listener/{listener_id}/answer",
        "becket.listener.answer",
        "Give the answers of a handler back, which are recorded as attempts; without any it is a sign of life, due every few seconds.",
        "ListenerAnswered",
        || post(listeners::answer),
    )
    .body("ListenerAnswers")
    .unaudited(),
];
