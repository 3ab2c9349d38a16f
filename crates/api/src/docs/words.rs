//! The texts of the API reference: what groups, path parameters and common fields are.

use serde_json::{Value, json};

/// The beginning of the page.
pub(super) const HEAD: &str = concat!(
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
    "<meta name=\"referrer\" content=\"no-referrer\">",
    "<title>Becket API reference</title>",
    "<link rel=\"stylesheet\" href=\"/api/v1/docs/style.css\"></head><body>",
    "<a class=\"skip\" href=\"#top\">To the text</a>",
    "<header><a class=\"brand\" href=\"#top\">Becket <span>API reference</span></a>",
    "<span class=\"version\">",
    env!("CARGO_PKG_VERSION"),
    "</span>",
    "<a class=\"to-contents\" href=\"#contents\">Contents</a></header>",
);

/// What holds for every call.
pub(super) const START: &str = concat!(
    "<section class=\"group\" id=\"start\"><h1>API reference</h1>",
    "<p class=\"lead\">Everything that can be asked of a Becket gateway over HTTP. The paths under ",
    "<code>/api/v1/becket</code> are its own; the others are those that the official Svix SDKs call. ",
    "The same as a document for machines: <a href=\"/api/v1/openapi.json\">openapi.json</a>.</p>",
    "<h2>Getting started</h2>",
    "<pre><code>export BECKET_URL=https://hooks.example.com\n",
    "export BECKET_TOKEN=...   # BECKET_ADMIN_TOKEN, or one made by `becket tokens create`\n\n",
    "curl \"$BECKET_URL/api/v1/becket/self\" -H \"Authorization: Bearer $BECKET_TOKEN\"</code></pre>",
    "<dl><dt>Tokens</dt><dd>Every call but a few public ones sends ",
    "<code>Authorization: Bearer TOKEN</code>. An <em>admin</em> token may do everything in its ",
    "environment, a <em>read-only</em> one may look at everything but secrets, a <em>portal</em> token ",
    "sees one application with the capabilities it was given, and the <em>operator</em>&#39;s own token ",
    "also rules the installation. What belongs to somebody else is answered like what does not exist.</dd>",
    "<dt>Names</dt><dd>Where a path has an id, the <code>uid</code> that you gave is as good.</dd>",
    "<dt>Lists</dt><dd>Answer with <code>data</code>, <code>iterator</code>, <code>prevIterator</code> ",
    "and <code>done</code>. Hand <code>iterator</code> back to get the next page, ",
    "<code>prevIterator</code> for the one before. A page may be shorter than <code>limit</code> and ",
    "still not be the last.</dd>",
    "<dt>Repeats</dt><dd>A <code>POST</code> with the header <code>idempotency-key</code> is carried out ",
    "once, on one of all nodes: for 24 hours a repeat gets the first answer, also after a restart; while ",
    "the first request is under way it gets 409.</dd>",
    "<dt>Refusals</dt><dd>Are <code>application/problem+json</code> with a stable <code>code</code>, a ",
    "<code>detail</code> and often a <code>hint</code>. With status 422 <code>detail</code> is a list of ",
    "places: <code>loc</code>, <code>msg</code>, <code>type</code>. After 429 and 503 come back when ",
    "<code>Retry-After</code> says.</dd>",
    "<dt>Times</dt><dd>Are RFC 3339, in UTC with milliseconds in answers.</dd></dl></section>",
);

/// The beginning of the list of codes.
pub(super) const ERRORS: &str = concat!(
    "<section class=\"group\" id=\"errors\"><h2><a href=\"#errors\">Errors</a></h2>",
    "<p>The codes of refusals. They do not change; texts may.</p>",
);

/// Groups of operations in the order of the page: the key in their ids, a title, and what they are.
pub(super) const GROUPS: &[(&str, &str, &str)] = &[
    (
        "application",
        "Applications",
        "An application is one customer of your product: it has endpoints, and events are posted for it.",
    ),
    (
        "endpoint",
        "Endpoints",
        "Where the events of an application go: a URL with filters, headers, limits and a secret that signs.",
    ),
    ("endpoint.transformation", "Endpoint transformations", "Code that is kept with an endpoint."),
    (
        "event-type",
        "Event types",
        "Named kinds of events, with descriptions and JSON Schemas that payloads can be checked against.",
    ),
    (
        "message",
        "Messages",
        "Events that are posted for an application. Accepted means stored on disk, with its deliveries.",
    ),
    (
        "message-attempt",
        "Message attempts",
        "Each try to deliver a message to an endpoint: request, response and how it stands.",
    ),
    (
        "integration",
        "Integrations",
        "Programs that act for one application, each with a key of its own.",
    ),
    (
        "authentication",
        "Portal access",
        "Links and tokens with which your customers see their own application in the portal.",
    ),
    (
        "background-task",
        "Background tasks",
        "Work that outlives its request, such as replays. It goes on after a restart.",
    ),
    ("statistics", "Statistics", "Counts over time, made in the background."),
    (
        "environment",
        "Environment",
        "What an environment defines, as one document to move it to another.",
    ),
    (
        "operational-webhook.endpoint",
        "Operational webhooks",
        "Endpoints that are told about the gateway itself: endpoints made or disabled, deliveries in trouble.",
    ),
    (
        "ingest.source",
        "Sources",
        "Receiving URLs: each verifies what a provider sends and forwards it to its endpoints.",
    ),
    ("ingest.endpoint", "Endpoints of sources", "Where the events of a source go."),
    (
        "ingest.endpoint.transformation",
        "Transformations of source endpoints",
        "Code that is kept with an endpoint of a source.",
    ),
    (
        "ingest.authentication",
        "Portal access to sources",
        "A link with which somebody sees one source in the portal.",
    ),
    (
        "becket.event",
        "Events across sources",
        "Everything that was received or posted, wherever it belongs.",
    ),
    (
        "becket.activity",
        "Activity",
        "What was received and delivered over time; counting it costs the same however much is stored.",
    ),
    ("becket.node", "Nodes", "The nodes that share a database, and what is to be known about it."),
    ("becket.problem", "Problems", "What is wrong at the moment, and what to do about it."),
    (
        "becket.attempt",
        "Attempts across sources",
        "Every try of every delivery, with request, response and timings.",
    ),
    (
        "becket.source",
        "Sources of any provider",
        "Sources with their limits, rules and credentials, of the file or made here, and signed test requests.",
    ),
    (
        "becket.source.secret",
        "Captured secrets",
        "Secrets that a provider's handshake brought along: shown, accepted, forgotten.",
    ),
    (
        "becket.endpoint",
        "Endpoints as declared",
        "Endpoints of every source and application: pausing and enabling them.",
    ),
    (
        "becket.endpoint.filter",
        "Filters of endpoints",
        "Which events an endpoint takes, by their content; an event that is refused says why.",
    ),
    (
        "becket.listener",
        "Listeners",
        "What `becket listen` uses: deliveries to a program on a developer's own machine, and its answers.",
    ),
    (
        "becket.quarantine",
        "Quarantine",
        "Requests that were refused, kept for a while so that they can be explained and let out as events.",
    ),
    (
        "becket.event-catalogue",
        "Event catalogue",
        "The event types as a page and as documents for the people who receive them.",
    ),
    (
        "becket.catalogue",
        "Event catalogue",
        "The event types as a page and as documents for the people who receive them.",
    ),
    (
        "becket.token",
        "Tokens",
        "Tokens that open this API. The text of one is shown once, when it is made.",
    ),
    (
        "becket.session",
        "Sessions",
        "Signing in with a browser: a token is exchanged for a cookie that only this gateway's pages can use.",
    ),
    (
        "becket.oidc",
        "Single sign-on",
        "Signing in where people sign in anyway; browsers are led through it.",
    ),
    ("becket.audit", "Audit log", "Who did what: every change, every secret shown, every sign-in."),
    ("becket.schema", "Schemas", "Trying a schema and an example out before anything is saved."),
    ("becket.one-time-token", "One-time codes", "How the portal gets its token from a link."),
    (
        "becket.environment",
        "Environments",
        "Tenants of the installation; each sees its own data and nothing else.",
    ),
    ("becket.keys", "Master key", "The key under which secrets lie sealed."),
    ("becket.provider", "Providers", "The services whose webhooks can be verified."),
    (
        "becket",
        "Gateway",
        "The gateway itself: following, replaying, counts, backup, configuration.",
    ),
    ("health", "Health", "Whether the gateway accepts."),
];

/// What a part of a path names.
pub(super) fn path_parameter(name: &str) -> &'static str {
    match name {
        "app_id" => "The application, by id or uid.",
        "endpoint_id" => "The endpoint, by id or uid.",
        "source_id" => "The source, by id or uid.",
        "msg_id" => "The message, by id or by the `eventId` it was posted with.",
        "event_id" => "The event, by id.",
        "attempt_id" => "The attempt, by id.",
        "event_type_name" => "The event type, by name.",
        "integ_id" => "The integration, by id.",
        "task_id" => "The task, by id.",
        "token_id" => "The token, by id.",
        "listener_id" => "The listener, by name.",
        "token" => "The delivery, as the stream names it.",
        "number" => "The number in the list.",
        "slug" => "The provider, by the name that sources use.",
        _ => "",
    }
}

/// What a field of a shape is; empty if there is nothing to say.
pub(super) fn field(shape: &str, name: &str) -> &'static str {
    match (shape, name) {
        ("AppPortalAccessOut", "url") => "The link; its code works once, within an hour.",
        ("AppPortalAccessOut", "token") => "The portal's token, as the link leads to it.",
        ("BackgroundTaskOut", "data") => "What it came to so far; `error` if it has failed.",
        ("TokenMade" | "OneTimeTokenOut", "token") => "Shown this once.",
        (_, name) => any_field(name),
    }
}

/// What a field of that name is wherever it stands.
fn any_field(name: &str) -> &'static str {
    match name {
        "id" => "Given by the gateway; sorts by age.",
        "uid" => "Your own name for it, unique among its kind.",
        "name" => "Its name.",
        "description" => "For people.",
        "createdAt" => "When it was made.",
        "updatedAt" => "When it was last changed.",
        "timestamp" => "When it happened.",
        "metadata" => "What your program wants to find again.",
        "throttleRate" => "At most this many deliveries a second.",
        "url" => "Where deliveries are posted.",
        "disabled" => "Whether it takes no deliveries.",
        "eventTypes" => "Only these event types; all if absent.",
        "channels" => "Only events that name one of these channels; all if absent.",
        "channel" => "Only events that name this channel.",
        "tags" => "Labels to filter by.",
        "tag" => "Only events with this tag.",
        "headers" => "Sent with every delivery. Values of credentials are not shown again.",
        "deleteHeaders" => "Headers to take away.",
        "sensitive" => "Names of headers whose values are not shown.",
        "secret" => "Signs deliveries; made if absent.",
        "key" => "The secret, as the receiver needs it.",
        "gracePeriodSeconds" => "How long the old secret signs beside the new one.",
        "eventType" => "The event type.",
        "eventId" => "Your own id; the same one again is not accepted twice.",
        "payload" => "The body that is delivered.",
        "deliverAt" => "Not before this moment.",
        "payloadRetentionHours" => "For how many hours the payload is kept.",
        "payloadRetentionPeriod" => "For how many days the payload is kept.",
        "transformationsParams" => "Holds `rawPayload` and `headers` for bodies that are no JSON.",
        "application" => "Makes the application if there is none of that name.",
        "since" => "From this moment on.",
        "until" => "Up to this moment; now if absent.",
        "status" => "How it stands.",
        "statusText" => "The status in a word.",
        "statusCodeClass" => "Only responses of this class; 0 for none.",
        "nextAttempt" => "When it is tried again.",
        "response" => "The beginning of the response's body.",
        "responseStatusCode" => "The HTTP status of the response; 0 if there was none.",
        "responseDurationMs" => "How long the attempt took, in milliseconds.",
        "triggerType" => "0 for a planned attempt, 1 for one that was asked for.",
        "msgId" => "The message.",
        "endpointId" => "The endpoint.",
        "msg" => "The message, if it was asked for.",
        "schemas" => "JSON Schemas by version.",
        "deprecated" => "Whether it should no longer be used.",
        "archived" => "Whether it is put away: no new events.",
        "groupName" => "Where it stands in the event catalogue.",
        "featureFlags" => "Shown only to portal tokens with one of these flags.",
        "featureFlag" => "The first of the flags.",
        "expiry" => "In how many seconds it ends.",
        "capabilities" => "What it may do; everything if absent.",
        "readOnly" => "Whether it may only look.",
        "sessionId" => "A name by which its tokens can be ended.",
        "sessionIds" => "Only tokens of these sessions; all if absent.",
        "task" => "The kind of task.",
        "settings" => "Settings; with `enforceSchemas` payloads are checked everywhere.",
        "connectors" => "Always empty.",
        "version" => "The version of the form.",
        "code" => "Code that is kept.",
        "enabled" => "Whether it is in use.",
        "variables" => "Values for the code.",
        "config" => "What the provider needs, such as its secret.",
        "ingestUrl" => "Where the provider sends to.",
        "validatePayloads" => "Whether payloads are checked against the schema.",
        "retry" => "A schedule by name, or waits in seconds.",
        "success" => "Delivered.",
        "fail" => "Given up.",
        "pending" => "Waiting for their next attempt.",
        "sending" => "Under way.",
        "canceled" => "No longer to be delivered.",
        "ids" => "Which ones.",
        "results" => "What became of each.",
        "appIds" => "Only these applications, by id or uid; all if absent.",
        "unresolvedAppIds" => "Names that no application has.",
        "active" => "Whether an endpoint would get it.",
        "exampleIndex" => "Which of the schema's examples.",
        "dryRun" => "Whether only to say what would be done.",
        "replaceAll" => "Whether event types that are not in the document are archived.",
        "spec" => "An OpenAPI document.",
        "specRaw" => "An OpenAPI document as text, in JSON or YAML.",
        _ => "",
    }
}

/// A value that a field of that name may have.
pub(super) fn example(name: &str) -> Option<Value> {
    Some(match name {
        "url" => json!("https://example.com/webhooks"),
        "name" => json!("acme"),
        "uid" => json!("acme"),
        "description" => json!("An invoice was paid."),
        "eventType" => json!("invoice.paid"),
        "payload" => json!({ "id": "inv_1", "amount": 1200 }),
        "since" => json!("2026-01-31T00:00:00Z"),
        "until" => json!("2026-02-01T00:00:00Z"),
        "headers" => json!({ "x-team": "blue" }),
        "metadata" => json!({ "plan": "gold" }),
        "folder" => json!("/var/backups/becket-1"),
        "oneTimeToken" => json!("otc_..."),
        "code" => json!("function handler(webhook) { return webhook }"),
        "ids" => json!(["msg_..."]),
        _ => return None,
    })
}
