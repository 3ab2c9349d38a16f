//! Event types (`v1.event-type`).

use axum::routing::{delete, get, patch, post, put};

use super::parameters::{ITERATOR, LIMIT, ORDER};
use super::{Route, by, changes, one, reads};
use crate::access::Capability;
use crate::handlers::{event_types, import, schema_try};

pub(super) const TABLE: &[Route] = &[
    reads(
        "/api/v1/event-type",
        "v1.event-type.list",
        "List event types by name.",
        "ListResponse_EventTypeOut_",
        || get(event_types::list),
    )
    .query(&[
        LIMIT,
        ITERATOR,
        ORDER,
        one("include_archived", "Flag", "Whether archived ones are listed; false if absent."),
        one("with_content", "Flag", "Whether schemas are shown; false if absent."),
    ])
    .portal(Capability::ViewBase),
    changes(
        "/api/v1/event-type",
        "v1.event-type.create",
        "Make an event type, or bring an archived one back.",
        "EventTypeOut",
        || post(event_types::create),
    )
    .body("EventTypeIn")
    .status(201),
    changes(
        "/api/v1/event-type/import/openapi",
        "v1.event-type.import-openapi",
        "Make event types from the webhooks of an OpenAPI document.",
        "EventTypeImportOpenApiOut",
        || post(import::from_openapi),
    )
    .body("EventTypeImportOpenApiIn"),
    reads(
        "/api/v1/event-type/{event_type_name}",
        "v1.event-type.get",
        "Show an event type.",
        "EventTypeOut",
        || get(event_types::get),
    )
    .portal(Capability::ViewBase),
    by(
        "put",
        changes(
            "/api/v1/event-type/{event_type_name}",
            "v1.event-type.upsert",
            "Make an event type, or replace what is known of it.",
            "EventTypeOut",
            || put(event_types::upsert),
        ),
    )
    .body("EventTypeUpsertIn")
    .also(201),
    by(
        "patch",
        changes(
            "/api/v1/event-type/{event_type_name}",
            "v1.event-type.patch",
            "Change some of an event type.",
            "EventTypeOut",
            || patch(event_types::patch),
        ),
    )
    .body("EventTypePatch"),
    by(
        "delete",
        changes(
            "/api/v1/event-type/{event_type_name}",
            "v1.event-type.delete",
            "Archive an event type, or remove it for good.",
            "Empty",
            || delete(event_types::delete),
        ),
    )
    .query(&[one("expunge", "Flag", "Whether it is removed for good; false if absent.")])
    .empty(204),
    changes(
        "/api/v1/becket/try/schema",
        "becket.schema.try",
        "Check a JSON Schema, and a payload against it, without storing anything; makes an example.",
        "SchemaTried",
        || post(schema_try::schema),
    )
    .asks()
    .body("SchemaTryIn"),
];
