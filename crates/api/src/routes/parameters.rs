//! Query parameters that several paths take.

use super::{Parameter, one};

pub(super) const LIMIT: Parameter = one("limit", "Limit", "At most this many items; 50 if absent.");
pub(super) const ITERATOR: Parameter =
    one("iterator", "Text", "The `iterator` of the page before; the list goes on behind it.");
pub(super) const ORDER: Parameter =
    one("order", "Ordering", "Oldest first (`ascending`) if absent.");
pub(super) const ORDER_NEWEST_FIRST: Parameter =
    one("order", "Ordering", "Newest first (`descending`) if absent.");
pub(super) const BEFORE: Parameter = one("before", "Time", "Only what is older than this moment.");
pub(super) const AFTER: Parameter = one("after", "Time", "Only what is newer than this moment.");
pub(super) const CHANNEL: Parameter = one("channel", "Text", "Only events that name this channel.");
pub(super) const TAG: Parameter = one("tag", "Text", "Only events with this tag.");
pub(super) const EVENT_TYPES: Parameter = Parameter {
    name: "event_types",
    schema: "Text",
    about: "Only events of these types, separated by commas or given several times.",
    list: true,
};
pub(super) const WITH_CONTENT: Parameter =
    one("with_content", "Flag", "Whether payloads and responses are included; true if absent.");
pub(super) const EXPANDED: Parameter = one(
    "expanded_statuses",
    "Flag",
    "Whether cancelled deliveries are told as 4; otherwise they are told as 0.",
);
pub(super) const STATUS: Parameter = one("status", "MessageStatus", "Only with this status.");
pub(super) const CLASS: Parameter =
    one("status_code_class", "StatusCodeClass", "Only responses of this class; 0 for none.");
pub(super) const SOURCE: Parameter = one("source", "Text", "Only this source, by id or name.");
pub(super) const ENDPOINT: Parameter =
    one("endpoint", "Text", "Only this endpoint, by id, name or `source/name`.");
pub(super) const EVENT_TYPE: Parameter = Parameter {
    name: "event_type",
    schema: "Text",
    about: "Only events of this type; several are separated by commas or given several times.",
    list: true,
};
pub(super) const STATE: Parameter = one(
    "status",
    "DeliveryState",
    "Only events whose last delivery (to the endpoint, if one is given) stands like this.",
);
pub(super) const DISPOSITION: Parameter =
    one("disposition", "Disposition", "Only events decided like this.");
pub(super) const SINCE: Parameter =
    one("since", "Time", "Only events received at this moment or later.");
pub(super) const UNTIL: Parameter =
    one("until", "Time", "Only events received before this moment.");
pub(super) const REVEAL: Parameter =
    one("reveal", "Flag", "Whether credentials among the sender's headers are shown; logged.");
pub(super) const WITHIN: Parameter =
    one("source", "Text", "The source in which the name is meant.");

const APPLICATION: Parameter =
    one("application", "Text", "Only this customer's application, by id or uid.");
const VERDICT: Parameter = one(
    "verdict",
    "VerdictWord",
    "Only events that verification found genuine, or that were accepted all the same.",
);
const TEXT: Parameter = one(
    "text",
    "Text",
    "Only events with this text in their body, in upper or lower case. Looks for about 80 ms: a page may be short or empty without being the last; `searchedTo` says how far it looked.",
);
const FILTER: Parameter = one(
    "filter",
    "Text",
    "Only events that pass this filter, a JSON document in the language of endpoints' filters, such as `{\"body\":{\"data\":{\"id\":\"x\"}}}`. Bounded in time like `text`.",
);

pub(super) const EVENT_FILTERS: &[Parameter] = &[
    SOURCE,
    APPLICATION,
    ENDPOINT,
    EVENT_TYPE,
    STATE,
    DISPOSITION,
    VERDICT,
    SINCE,
    UNTIL,
    one("id", "EventId", "Only this event, if it matches the rest."),
    TEXT,
    FILTER,
    one("delivery_id", "Text", "Only events with this delivery id of the sender."),
    LIMIT,
    ITERATOR,
    one("after", "EventId", "Only events newer than this one, oldest first."),
];
pub(super) const TAIL_FILTERS: &[Parameter] = &[
    SOURCE,
    APPLICATION,
    ENDPOINT,
    EVENT_TYPE,
    STATE,
    DISPOSITION,
    VERDICT,
    TEXT,
    FILTER,
    SINCE,
    UNTIL,
    LIMIT,
    one("after", "EventId", "Begin behind this event; from now on if absent."),
    one("wait_ms", "WaitMs", "How long a poll waits for the first event; 20000 if absent."),
];
