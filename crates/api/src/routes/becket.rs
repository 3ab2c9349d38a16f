//! What the specification has not: events across sources, replays, following, quarantine, upkeep.

use axum::routing::{delete, get, patch, post, put};

use super::parameters::{
    ENDPOINT, EVENT_FILTERS, EVENT_TYPE, ITERATOR, LIMIT, ORDER, REVEAL, SINCE, SOURCE,
    TAIL_FILTERS, UNTIL, WITHIN,
};
use super::parts;
use super::{Parameter, Route, by, changes, one, reads};
use crate::access::Capability;
use crate::handlers::{
    attempts, endpoint_states, events, explain, filters, nodes, operations, quarantine, replays,
    source_secrets, sources_ours, tail,
};

pub(super) const TABLE: &[Route] = &[
    // --- ours: events ---
    reads("/api/v1/becket/event", "becket.event.list", "List events across sources.", "EventPage", || {
        get(events::list)
    })
    .query(EVENT_FILTERS)
    .leaves_out(parts::EVENTS),
    reads("/api/v1/becket/event/{event_id}", "becket.event.get", "Show an event without its bytes.", "Event", || {
        get(events::get)
    })
    .leaves_out(parts::EVENT),
    reads(
        "/api/v1/becket/event/{event_id}/explain",
        "becket.event.explain",
        "Tell the life of an event: request, verdict with the signed text, repeats, filters, attempts.",
        "Explain",
        || get(explain::explain),
    )
    .query(&[REVEAL])
    .leaves_out(parts::EXPLAIN),
    reads("/api/v1/becket/event/{event_id}/body", "becket.event.body", "Download the exact body.", "Bytes", || {
        get(events::body)
    })
    .content_type("application/octet-stream")
    .payload(),
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
    .query(TAIL_FILTERS)
    .leaves_out(parts::EVENTS),
    // --- ours: the rest ---
    reads("/api/v1/becket/attempt", "becket.attempt.list", "List attempts, event by event, newest first.", "AttemptPage", || {
        get(attempts::list_ours)
    })
    .query(&[
        SOURCE, ENDPOINT, EVENT_TYPE, SINCE, UNTIL, LIMIT, ITERATOR,
        one("event", "EventId", "Only attempts of this event."),
        one("outcome", "AttemptOutcome", "Only attempts that ended like this."),
    ])
    .leaves_out(parts::ATTEMPTS),
    reads(
        "/api/v1/becket/attempt/{attempt_id}",
        "becket.attempt.get",
        "Show an attempt with request, response, timings and a curl line.",
        "Attempt",
        || get(attempts::get_ours),
    )
    .leaves_out(parts::ATTEMPT),
    reads("/api/v1/becket/source", "becket.source.list", "List sources, removed ones included.", "OurSourcePage", || {
        get(sources_ours::list)
    })
    .query(&[LIMIT, ITERATOR, ORDER]),
    reads("/api/v1/becket/source/{source_id}", "becket.source.get", "Show a source.", "OurSource", || {
        get(sources_ours::get)
    }),
    by("patch", changes(
        "/api/v1/becket/source/{source_id}",
        "becket.source.patch",
        "Change the limits and rules of a source of the API, and whether it refuses what it cannot verify (`enforce`) or accepts and marks it (`observe`).",
        "OurSource",
        || patch(sources_ours::patch),
    ))
    .body("SourceSettings"),
    reads(
        "/api/v1/becket/source/{source_id}/secret",
        "becket.source.secret.get",
        "Show the secrets that a provider's handshake brought along; logged.",
        "CapturedSecrets",
        || get(source_secrets::get),
    )
    .secret(),
    changes(
        "/api/v1/becket/source/{source_id}/secret/accept",
        "becket.source.secret.accept",
        "Let the secret that a handshake brought along verify from now on.",
        "CapturedSecrets",
        || post(source_secrets::accept),
    )
    .body("AcceptSecret")
    .secret(),
    by("delete", changes(
        "/api/v1/becket/source/{source_id}/secret",
        "becket.source.secret.forget",
        "Forget every secret that a handshake brought along.",
        "CapturedSecrets",
        || delete(source_secrets::forget),
    )),
    reads("/api/v1/becket/endpoint", "becket.endpoint.list", "List endpoints, removed ones included.", "OurEndpointPage", || {
        get(endpoint_states::list_ours)
    })
    .query(&[SOURCE, LIMIT, ITERATOR, ORDER]),
    reads("/api/v1/becket/endpoint/{endpoint_id}", "becket.endpoint.get", "Show an endpoint, by id or name.", "OurEndpoint", || {
        get(endpoint_states::get_ours)
    })
    .query(&[WITHIN])
    .portal(Capability::ViewBase),
    changes(
        "/api/v1/becket/endpoint/{endpoint_id}/pause",
        "becket.endpoint.pause",
        "Hold deliveries back: they are planned and wait.",
        "OurEndpoint",
        || post(endpoint_states::pause),
    )
    .query(&[WITHIN])
    .body("Reason")
    .portal(Capability::ManageEndpoint),
    changes(
        "/api/v1/becket/endpoint/{endpoint_id}/resume",
        "becket.endpoint.resume",
        "Deliver again what a pause held back.",
        "OurEndpoint",
        || post(endpoint_states::resume),
    )
    .query(&[WITHIN])
    .body("Reason")
    .portal(Capability::ManageEndpoint),
    changes(
        "/api/v1/becket/endpoint/{endpoint_id}/enable",
        "becket.endpoint.enable",
        "Enable an endpoint and forget its failures.",
        "OurEndpoint",
        || post(endpoint_states::enable),
    )
    .query(&[WITHIN])
    .body("Reason"),
    changes(
        "/api/v1/becket/endpoint/{endpoint_id}/disable",
        "becket.endpoint.disable",
        "Disable an endpoint: nothing new is planned for it.",
        "OurEndpoint",
        || post(endpoint_states::disable),
    )
    .query(&[WITHIN])
    .body("Reason"),
    reads(
        "/api/v1/becket/endpoint/{endpoint_id}/filter",
        "becket.endpoint.filter.get",
        "Show which events an endpoint takes, by their content.",
        "EndpointFilter",
        || get(filters::get),
    )
    .query(&[WITHIN])
    .portal(Capability::ViewBase),
    by("put", changes(
        "/api/v1/becket/endpoint/{endpoint_id}/filter",
        "becket.endpoint.filter.set",
        "Say which events an endpoint takes, by headers, query, body, path, method and type; null takes the filter away. Events that were received before are not looked at again.",
        "EndpointFilter",
        || put(filters::set),
    ))
    .query(&[WITHIN])
    .body("EndpointFilterIn")
    .payload()
    .portal(Capability::ManageEndpoint),
    reads("/api/v1/becket/quarantine", "becket.quarantine.list", "List refused requests, newest first.", "QuarantinePage", || {
        get(quarantine::list)
    })
    .query(&[
        SOURCE, SINCE, UNTIL, LIMIT, ITERATOR,
        Parameter {
            name: "code",
            schema: "Text",
            about: "Only requests refused for this reason; several are separated by commas or given several times.",
            list: true,
        },
    ])
    .leaves_out(parts::QUARANTINE),
    changes(
        "/api/v1/becket/quarantine/retry",
        "becket.quarantine.retry-many",
        "Verify the refused requests of a source again, oldest first, and accept those that pass: repeat with `iterator` and `until` of the answer until `done`.",
        "RetryManyOut",
        || post(quarantine::retry_many),
    )
    .body("RetryMany")
    .leaves_out(parts::LET_OUTS),
    changes(
        "/api/v1/becket/quarantine/{number}/retry",
        "becket.quarantine.retry",
        "Verify a refused request again, with the secrets of now and the clock of its receipt, and accept it if it passes.",
        "LetOut",
        || post(quarantine::retry),
    )
    .leaves_out(parts::LET_OUT),
    changes(
        "/api/v1/becket/quarantine/{number}/release",
        "becket.quarantine.release",
        "Accept a refused request without verification; the event and the log say who did it and why.",
        "LetOut",
        || post(quarantine::release),
    )
    .body("ReleaseReason")
    .operator()
    .leaves_out(parts::LET_OUT),
    reads(
        "/api/v1/becket/quarantine/{number}",
        "becket.quarantine.get",
        "Show a refused request and what verification says about it now.",
        "Quarantined",
        || get(quarantine::get),
    )
    .query(&[REVEAL])
    .leaves_out(parts::QUARANTINED),
    reads("/api/v1/becket/stats", "becket.stats", "Counts and sizes.", "Stats", || get(operations::stats)),
    reads("/api/v1/becket/provider", "becket.provider.list", "List the providers that a source can name.", "ProviderPage", || {
        get(operations::providers)
    }),
    reads(
        "/api/v1/becket/provider/{slug}",
        "becket.provider.get",
        "Show what setting up a source of this provider takes: guide, credentials, samples.",
        "ProviderDetails",
        || get(operations::provider),
    ),
    reads(
        "/api/v1/becket/nodes",
        "becket.node.list",
        "List the nodes that share the store, with what is to be known about the database.",
        "Nodes",
        || get(nodes::list),
    )
    .operator(),
    changes(
        "/api/v1/becket/backup",
        "becket.backup",
        "Write a copy of the store to a new folder on the gateway's host.",
        "Backup",
        || post(operations::backup),
    )
    .body("BackupTo")
    .operator(),
    changes(
        "/api/v1/becket/keys/rotate",
        "becket.keys.rotate",
        "Seal every secret again with the newest master key; can be repeated, and goes on where it stopped.",
        "KeysRotated",
        || post(operations::rotate_keys),
    )
    .operator(),
    changes("/api/v1/becket/reload", "becket.reload", "Read the configuration again and apply it.", "Reload", || {
        post(operations::reload)
    })
    .operator(),
];
