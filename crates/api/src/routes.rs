//! Every path of the API in one table: the router and the OpenAPI document are made from it.
//!
//! To add a path: write the handler, add a row, add its shapes to `schemas.json`, and bless the
//! committed document (`BECKET_BLESS=1`, see the test `openapi`).

use std::sync::Arc;

use axum::routing::{MethodRouter, get, post};

use crate::call::Shared;
use crate::handlers::{
    attempts, endpoints, events, explain, messages, operations, quarantine, recover, replays,
    sources, tail,
};

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub name: &'static str,
    /// The name of a parameter schema in `schemas.json`.
    pub schema: &'static str,
    pub about: &'static str,
    /// Whether it may come several times, or once with commas.
    pub list: bool,
}

/// One path and method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub id: &'static str,
    pub about: &'static str,
    pub public: bool,
    pub query: &'static [Parameter],
    /// The schema of the request body.
    pub body: Option<&'static str>,
    pub status: u16,
    pub content_type: &'static str,
    /// The schema of the answer; none for an empty one.
    pub answer: Option<&'static str>,
    pub handler: fn() -> MethodRouter<Arc<Shared>>,
}

type Handler = fn() -> MethodRouter<Arc<Shared>>;

const fn reads(
    path: &'static str,
    id: &'static str,
    about: &'static str,
    answer: &'static str,
    handler: Handler,
) -> Route {
    Route {
        method: "get",
        path,
        id,
        about,
        public: false,
        query: &[],
        body: None,
        status: 200,
        content_type: "application/json",
        answer: Some(answer),
        handler,
    }
}

const fn changes(
    path: &'static str,
    id: &'static str,
    about: &'static str,
    answer: &'static str,
    handler: Handler,
) -> Route {
    Route { method: "post", ..reads(path, id, about, answer, handler) }
}

impl Route {
    const fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    const fn body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    const fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    const fn empty(self, status: u16) -> Self {
        Self { status, answer: None, ..self }
    }

    const fn public(self) -> Self {
        Self { public: true, ..self }
    }

    const fn content_type(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }
}

const fn one(name: &'static str, schema: &'static str, about: &'static str) -> Parameter {
    Parameter { name, schema, about, list: false }
}

const LIMIT: Parameter = one("limit", "Limit", "At most this many items; 50 if absent.");
const ITERATOR: Parameter =
    one("iterator", "Text", "The `iterator` of the page before; the list goes on behind it.");
const ORDER: Parameter = one("order", "Ordering", "Oldest first (`ascending`) if absent.");
const BEFORE: Parameter = one("before", "Time", "Only what is older than this moment.");
const AFTER: Parameter = one("after", "Time", "Only what is newer than this moment.");
const CHANNEL: Parameter = one("channel", "Text", "Events have no channels: finds nothing.");
const TAG: Parameter = one("tag", "Text", "Events have no tags: finds nothing.");
const EVENT_TYPES: Parameter = Parameter {
    name: "event_types",
    schema: "Text",
    about: "Only events of these types, separated by commas or given several times.",
    list: true,
};
const WITH_CONTENT: Parameter =
    one("with_content", "Flag", "Whether payloads and responses are included; true if absent.");
const EXPANDED: Parameter = one(
    "expanded_statuses",
    "Flag",
    "Whether cancelled deliveries are told as 4; otherwise they are told as 0.",
);
const STATUS: Parameter = one("status", "MessageStatus", "Only with this status.");
const CLASS: Parameter =
    one("status_code_class", "StatusCodeClass", "Only responses of this class; 0 for none.");
const SOURCE: Parameter = one("source", "Text", "Only this source, by id or name.");
const ENDPOINT: Parameter =
    one("endpoint", "Text", "Only this endpoint, by id, name or `source/name`.");
const EVENT_TYPE: Parameter = Parameter {
    name: "event_type",
    schema: "Text",
    about: "Only events of this type; several are separated by commas or given several times.",
    list: true,
};
const STATE: Parameter = one(
    "status",
    "DeliveryState",
    "Only events whose last delivery (to the endpoint, if one is given) stands like this.",
);
const DISPOSITION: Parameter = one("disposition", "Disposition", "Only events decided like this.");
const SINCE: Parameter = one("since", "Time", "Only events received at this moment or later.");
const UNTIL: Parameter = one("until", "Time", "Only events received before this moment.");
const REVEAL: Parameter =
    one("reveal", "Flag", "Whether credentials among the sender's headers are shown; logged.");
const WITHIN: Parameter = one("source", "Text", "The source in which the name is meant.");

const EVENT_FILTERS: &[Parameter] = &[
    SOURCE,
    ENDPOINT,
    EVENT_TYPE,
    STATE,
    DISPOSITION,
    SINCE,
    UNTIL,
    one("delivery_id", "Text", "Only events with this delivery id of the sender."),
    LIMIT,
    ITERATOR,
    one("after", "EventId", "Only events newer than this one, oldest first."),
];
const TAIL_FILTERS: &[Parameter] = &[
    SOURCE,
    ENDPOINT,
    EVENT_TYPE,
    STATE,
    DISPOSITION,
    SINCE,
    UNTIL,
    LIMIT,
    one("after", "EventId", "Begin behind this event; from now on if absent."),
    one("wait_ms", "WaitMs", "How long a poll waits for the first event; 20000 if absent."),
];

/// Every path.
pub(crate) static TABLE: &[Route] = &[
    // --- the specification's: ingest ---
    reads("/ingest/api/v1/source", "v1.ingest.source.list", "List sources.", "SourcePage", || {
        get(sources::list)
    })
    .query(&[LIMIT, ITERATOR, ORDER]),
    reads("/ingest/api/v1/source/{source_id}", "v1.ingest.source.get", "Show a source.", "IngestSource", || {
        get(sources::get)
    }),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint",
        "v1.ingest.endpoint.list",
        "List the endpoints of a source.",
        "IngestEndpointPage",
        || get(endpoints::list),
    )
    .query(&[LIMIT, ITERATOR, ORDER]),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}",
        "v1.ingest.endpoint.get",
        "Show an endpoint.",
        "IngestEndpoint",
        || get(endpoints::get),
    ),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers",
        "v1.ingest.endpoint.get-headers",
        "Show the headers added to every attempt; of credentials only the names.",
        "EndpointHeaders",
        || get(endpoints::headers),
    ),
    reads(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret",
        "v1.ingest.endpoint.get-secret",
        "Show the secret that signs deliveries; logged.",
        "EndpointSecret",
        || get(endpoints::secret),
    ),
    changes(
        "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate",
        "v1.ingest.endpoint.rotate-secret",
        "Put a new secret in place; the old one signs for another 24 hours, or as long as is given.",
        "Empty",
        || post(endpoints::rotate_secret),
    )
    .body("EndpointSecretRotate")
    .empty(204),
    // --- the specification's: messages and attempts; an application is a source ---
    reads("/api/v1/app/{app_id}/msg", "v1.message.list", "List the events of a source, newest first.", "MessagePage", || {
        get(messages::list)
    })
    .query(&[LIMIT, ITERATOR, BEFORE, AFTER, CHANNEL, TAG, EVENT_TYPES, WITH_CONTENT]),
    reads(
        "/api/v1/app/{app_id}/msg/{msg_id}",
        "v1.message.get",
        "Show an event, by its id or its delivery id.",
        "Message",
        || get(messages::get),
    )
    .query(&[WITH_CONTENT]),
    reads(
        "/api/v1/app/{app_id}/attempt/msg/{msg_id}",
        "v1.message-attempt.list-by-msg",
        "List the attempts of an event, newest first.",
        "MessageAttemptPage",
        || get(attempts::list_by_message),
    )
    .query(&[
        LIMIT, ITERATOR, STATUS, CLASS, CHANNEL, TAG, BEFORE, AFTER, EVENT_TYPES, WITH_CONTENT, EXPANDED,
        one("endpoint_id", "Text", "Only attempts at this endpoint."),
    ]),
    reads(
        "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}",
        "v1.message-attempt.list-by-endpoint",
        "List the attempts at an endpoint, event by event, newest first.",
        "MessageAttemptPage",
        || get(attempts::list_by_endpoint),
    )
    .query(&[
        LIMIT, ITERATOR, STATUS, CLASS, CHANNEL, TAG, BEFORE, AFTER, EVENT_TYPES, WITH_CONTENT, EXPANDED,
        one("with_msg", "Flag", "Whether each attempt shows its event, without its payload."),
    ]),
    reads(
        "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}",
        "v1.message-attempt.get",
        "Show an attempt.",
        "MessageAttempt",
        || get(attempts::get),
    )
    .query(&[EXPANDED]),
    reads(
        "/api/v1/app/{app_id}/msg/{msg_id}/endpoint",
        "v1.message-attempt.list-attempted-destinations",
        "List where an event went, and how it stands there.",
        "MessageEndpointPage",
        || get(attempts::list_destinations),
    )
    .query(&[LIMIT, ITERATOR]),
    reads(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg",
        "v1.message-attempt.list-attempted-messages",
        "List the events of an endpoint, and how they stand there.",
        "EndpointMessagePage",
        || get(messages::list_attempted),
    )
    .query(&[LIMIT, ITERATOR, CHANNEL, TAG, STATUS, BEFORE, AFTER, EVENT_TYPES, WITH_CONTENT, EXPANDED]),
    changes(
        "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend",
        "v1.message-attempt.resend",
        "Send an event to an endpoint again.",
        "Empty",
        || post(attempts::resend),
    )
    .status(202),
    changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover",
        "v1.endpoint.recover",
        "Send again what failed at an endpoint since a moment, in the background.",
        "Task",
        || post(recover::recover),
    )
    .body("Since")
    .status(202),
    changes(
        "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing",
        "v1.endpoint.replay-missing",
        "Send what an endpoint would take and never got since a moment, in the background.",
        "Task",
        || post(recover::replay_missing),
    )
    .body("Since")
    .status(202),
    reads("/api/v1/background-task", "v1.background-task.list", "List tasks of this process.", "TaskPage", || {
        get(recover::list)
    })
    .query(&[
        one("status", "TaskStatus", "Only tasks that stand like this."),
        one("task", "TaskKind", "Only tasks of this kind."),
        LIMIT, ITERATOR, ORDER,
    ]),
    reads("/api/v1/background-task/{task_id}", "v1.background-task.get", "Show a task.", "TaskWithData", || {
        get(recover::get)
    }),
    reads("/api/v1/health", "v1.health.get", "Say whether the store accepts.", "Empty", || {
        get(operations::health)
    })
    .empty(204)
    .public(),
    reads("/api/v1/openapi.json", "becket.openapi", "This document.", "Anything", || {
        get(operations::openapi)
    })
    .public(),
    // --- ours: events ---
    reads("/api/v1/becket/event", "becket.event.list", "List events across sources.", "EventPage", || {
        get(events::list)
    })
    .query(EVENT_FILTERS),
    reads("/api/v1/becket/event/{event_id}", "becket.event.get", "Show an event without its bytes.", "Event", || {
        get(events::get)
    }),
    reads(
        "/api/v1/becket/event/{event_id}/explain",
        "becket.event.explain",
        "Tell the life of an event: request, verdict with the signed text, repeats, filters, attempts.",
        "Explain",
        || get(explain::explain),
    )
    .query(&[REVEAL]),
    reads("/api/v1/becket/event/{event_id}/body", "becket.event.body", "Download the exact body.", "Bytes", || {
        get(events::body)
    })
    .content_type("application/octet-stream"),
    changes(
        "/api/v1/becket/event/{event_id}/replay",
        "becket.event.replay",
        "Send an event again, to the endpoints it was planned for or to the one that is named.",
        "Replay",
        || post(replays::one),
    )
    .body("ReplayOne")
    .status(202),
    changes(
        "/api/v1/becket/replay",
        "becket.replay",
        "Send many events again, oldest first, one step at a time: repeat with `iterator` and `until` of the answer until `done`.",
        "Replay",
        || post(replays::many),
    )
    .body("ReplayMany"),
    reads(
        "/api/v1/becket/tail",
        "becket.tail",
        "Follow events: a stream with `Accept: text/event-stream` (resumed by `Last-Event-ID`), else a long poll.",
        "EventPage",
        || get(tail::tail),
    )
    .query(TAIL_FILTERS),
    // --- ours: the rest ---
    reads("/api/v1/becket/attempt", "becket.attempt.list", "List attempts, event by event, newest first.", "AttemptPage", || {
        get(attempts::list_ours)
    })
    .query(&[
        SOURCE, ENDPOINT, EVENT_TYPE, SINCE, UNTIL, LIMIT, ITERATOR,
        one("event", "EventId", "Only attempts of this event."),
        one("outcome", "AttemptOutcome", "Only attempts that ended like this."),
    ]),
    reads(
        "/api/v1/becket/attempt/{attempt_id}",
        "becket.attempt.get",
        "Show an attempt with request, response, timings and a curl line.",
        "Attempt",
        || get(attempts::get_ours),
    ),
    reads("/api/v1/becket/source", "becket.source.list", "List sources, removed ones included.", "OurSourcePage", || {
        get(sources::list_ours)
    })
    .query(&[LIMIT, ITERATOR, ORDER]),
    reads("/api/v1/becket/source/{source_id}", "becket.source.get", "Show a source.", "OurSource", || {
        get(sources::get_ours)
    }),
    reads("/api/v1/becket/endpoint", "becket.endpoint.list", "List endpoints, removed ones included.", "OurEndpointPage", || {
        get(endpoints::list_ours)
    })
    .query(&[SOURCE, LIMIT, ITERATOR, ORDER]),
    reads("/api/v1/becket/endpoint/{endpoint_id}", "becket.endpoint.get", "Show an endpoint, by id or name.", "OurEndpoint", || {
        get(endpoints::get_ours)
    })
    .query(&[WITHIN]),
    changes(
        "/api/v1/becket/endpoint/{endpoint_id}/pause",
        "becket.endpoint.pause",
        "Hold deliveries back: they are planned and wait.",
        "OurEndpoint",
        || post(endpoints::pause),
    )
    .query(&[WITHIN])
    .body("Reason"),
    changes(
        "/api/v1/becket/endpoint/{endpoint_id}/resume",
        "becket.endpoint.resume",
        "Deliver again what a pause held back.",
        "OurEndpoint",
        || post(endpoints::resume),
    )
    .query(&[WITHIN])
    .body("Reason"),
    changes(
        "/api/v1/becket/endpoint/{endpoint_id}/enable",
        "becket.endpoint.enable",
        "Enable an endpoint and forget its failures.",
        "OurEndpoint",
        || post(endpoints::enable),
    )
    .query(&[WITHIN])
    .body("Reason"),
    changes(
        "/api/v1/becket/endpoint/{endpoint_id}/disable",
        "becket.endpoint.disable",
        "Disable an endpoint: nothing new is planned for it.",
        "OurEndpoint",
        || post(endpoints::disable),
    )
    .query(&[WITHIN])
    .body("Reason"),
    reads("/api/v1/becket/quarantine", "becket.quarantine.list", "List refused requests, newest first.", "QuarantinePage", || {
        get(quarantine::list)
    })
    .query(&[SOURCE, LIMIT, ITERATOR]),
    reads(
        "/api/v1/becket/quarantine/{number}",
        "becket.quarantine.get",
        "Show a refused request and what verification says about it now.",
        "Quarantined",
        || get(quarantine::get),
    )
    .query(&[REVEAL]),
    reads("/api/v1/becket/stats", "becket.stats", "Counts and sizes.", "Stats", || get(operations::stats)),
    reads("/api/v1/becket/provider", "becket.provider.list", "List the providers that a source can name.", "ProviderPage", || {
        get(operations::providers)
    }),
    changes(
        "/api/v1/becket/backup",
        "becket.backup",
        "Write a copy of the store to a new folder on the gateway's host.",
        "Backup",
        || post(operations::backup),
    )
    .body("BackupTo"),
    changes("/api/v1/becket/reload", "becket.reload", "Read the configuration again and apply it.", "Reload", || {
        post(operations::reload)
    }),
];
