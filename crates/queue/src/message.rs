//! What is published: the event's exact bytes, its headers, and what identifies it.

use becket_egress::action::ActionRequest;
use bytes::Bytes;
use http::HeaderName;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE,
};

use crate::plan::{BrokerKind, QueuePlan};

/// About one connection of HTTP, and nothing to whoever reads a queue.
const NOT_CARRIED: [HeaderName; 7] =
    [HOST, CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING, TE, UPGRADE, ACCEPT_ENCODING];

/// AMQP's short strings, of which routing keys are made, have no more bytes.
const ROUTING_KEY_BYTES_MAX: usize = 255;

/// An event as it is published.
#[derive(Clone)]
#[cfg_attr(
    not(any(feature = "nats", feature = "amqp", feature = "redis")),
    expect(dead_code, reason = "without brokers nobody publishes")
)]
pub(crate) struct Message {
    /// The subject, routing key or stream.
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) source: String,
    #[cfg(feature = "amqp")]
    pub(crate) content_type: Option<String>,
    /// What an HTTP endpoint would be sent, in its order; bytes that are no UTF-8 are replaced.
    pub(crate) headers: Vec<(String, String)>,
    #[cfg(feature = "amqp")]
    pub(crate) received_at_ms: i64,
    pub(crate) body: Bytes,
}

impl Message {
    /// The message for one delivery; the error says why it can be published nowhere.
    pub(crate) fn of(plan: &QueuePlan, request: &ActionRequest) -> Result<Self, String> {
        let subject = plan.subject.render(request);
        if let Some(problem) = subject_problem(plan.kind, &subject) {
            let target = plan.kind.target();
            let template = plan.subject.as_str();
            return Err(format!("The {target} that `{template}` makes of the event {problem}."));
        }
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = request
            .headers
            .iter()
            .filter(|(name, _)| !NOT_CARRIED.contains(name))
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect();
        Ok(Self {
            subject,
            id: request.event_id.clone(),
            event_type: request.event_type.clone().unwrap_or_default(),
            source: request.source.clone(),
            #[cfg(feature = "amqp")]
            content_type: request.headers.get(http::header::CONTENT_TYPE).map(text),
            headers,
            #[cfg(feature = "amqp")]
            received_at_ms: request.received_at_ms,
            body: request.body.clone(),
        })
    }
}

/// What is wrong with a subject, as the end of a sentence.
pub(crate) fn subject_problem(kind: BrokerKind, subject: &str) -> Option<&'static str> {
    if subject.is_empty() {
        return Some("is empty");
    }
    match kind {
        BrokerKind::Nats => {
            let part = |part: &str| part.is_empty() || part == "*" || part == ">";
            if subject.contains(|c: char| c.is_whitespace() || c.is_control()) {
                Some("has a space in it")
            } else if subject.split('.').any(part) {
                Some("has an empty part or a wildcard between its dots")
            } else if subject.starts_with('$') {
                Some("begins with `$`, which belongs to the server")
            } else {
                None
            }
        }
        BrokerKind::Amqp if subject.len() > ROUTING_KEY_BYTES_MAX => {
            Some("is longer than 255 bytes")
        }
        BrokerKind::Amqp | BrokerKind::Redis => None,
    }
}
