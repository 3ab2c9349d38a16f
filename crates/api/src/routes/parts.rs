//! The parts of answers that hold payloads, by the shape of the answer.
//!
//! Whoever adds a field that shows a body, a header's value or a response adds it here; the test
//! `roles` looks for such fields in every shape.

use super::{Instead, Part, part};

/// An event without its bytes: what its endpoints' filters found in it.
pub(super) const EVENT: &[Part] = &[part("filteredBy.found", Instead::Null)];
/// A page of events.
pub(super) const EVENTS: &[Part] = &[part("data.filteredBy.found", Instead::Null)];

/// An attempt with its details.
pub(super) const ATTEMPT: &[Part] = &[
    part("detail.request_headers", Instead::List),
    part("detail.transformed.body", Instead::Null),
    part("detail.transformed.log", Instead::Text),
    part("detail.response.headers", Instead::List),
    part("detail.response.body", Instead::Object),
    part("detail.output.body", Instead::Object),
    part("detail.note", Instead::Text),
    part("curl", Instead::Null),
];
/// A page of attempts; they come without their details.
pub(super) const ATTEMPTS: &[Part] =
    &[part("data.detail", Instead::Null), part("data.curl", Instead::Null)];

/// Everything that is known about an event.
pub(super) const EXPLAIN: &[Part] = &[
    part("event.filteredBy.found", Instead::Null),
    part("request.path", Instead::Null),
    part("request.url", Instead::Null),
    part("request.headers", Instead::List),
    part("request.body", Instead::Null),
    part("verdict.recorded", Instead::Null),
    part("verdict.explanation.steps", Instead::List),
    part("verdict.explanation.signed_text", Instead::Null),
    part("verdict.explanation.signature_received", Instead::List),
    part("verdict.explanation.timestamp", Instead::Null),
    part("dedupe.deliveryId", Instead::Null),
    part("invalid", Instead::Null),
    part("endpoints.reason", Instead::Text),
    part("attempts.detail.request_headers", Instead::List),
    part("attempts.detail.transformed.body", Instead::Null),
    part("attempts.detail.transformed.log", Instead::Text),
    part("attempts.detail.response.headers", Instead::List),
    part("attempts.detail.response.body", Instead::Object),
    part("attempts.detail.output.body", Instead::Object),
    part("attempts.detail.note", Instead::Text),
    part("attempts.curl", Instead::Null),
];

/// A refused request.
pub(super) const QUARANTINED: &[Part] = &[
    part("reason", Instead::Text),
    part("request.path", Instead::Null),
    part("request.url", Instead::Null),
    part("request.headers", Instead::List),
    part("request.body", Instead::Null),
    part("verdict.recorded", Instead::Null),
    part("verdict.explanation.steps", Instead::List),
    part("verdict.explanation.signed_text", Instead::Null),
    part("verdict.explanation.signature_received", Instead::List),
    part("verdict.explanation.timestamp", Instead::Null),
];
/// A page of refused requests.
pub(super) const QUARANTINE: &[Part] = &[
    part("data.reason", Instead::Text),
    part("data.request", Instead::Null),
    part("data.verdict", Instead::Null),
];
/// What letting a request out came to.
pub(super) const LET_OUT: &[Part] = &[part("reason", Instead::Null)];
/// What letting several out came to.
pub(super) const LET_OUTS: &[Part] = &[part("results.reason", Instead::Null)];

/// An event in the specification's words.
pub(super) const MESSAGE: &[Part] = &[part("payload", Instead::Object)];
/// A page of them.
pub(super) const MESSAGES: &[Part] = &[part("data.payload", Instead::Object)];
/// An attempt in the specification's words.
pub(super) const SPECIFIED_ATTEMPT: &[Part] =
    &[part("response", Instead::Text), part("msg.payload", Instead::Object)];
/// A page of them.
pub(super) const SPECIFIED_ATTEMPTS: &[Part] =
    &[part("data.response", Instead::Text), part("data.msg.payload", Instead::Object)];
