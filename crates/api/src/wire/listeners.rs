//! Listeners on the wire: how one is made and shown, what its stream tells, what its client answers.
//!
//! Header values may be any bytes: they are told as Latin-1 read as text, both ways, so that each byte
//! comes back as it was. Bodies are base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use becket_store::{Application, Endpoint};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::names::{Names, public_id};
use crate::problem::{ApiError, Result};
use crate::relay::{Parcel, RelayAnswer, RelayDelivery, keeping};
use crate::times;

/// Bodies up to this size are told on the stream itself; larger ones are fetched.
pub(crate) const INLINE_BYTES_MAX: usize = 64 * 1024;
const ANSWER_BODY_MAX: usize = 16 * 1024;

/// A listener to be made, or to be as it is said here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ListenerIn {
    pub name: String,
    #[serde(default)]
    pub sources: Vec<String>,
    #[serde(default)]
    pub event_types: Option<Vec<String>>,
    #[serde(default)]
    pub filter: Option<serde_json::Value>,
    #[serde(default)]
    pub keep_s: Option<u64>,
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    #[serde(default)]
    pub concurrency: Option<u32>,
}

/// A listener as we show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListenerOut {
    id: String,
    name: String,
    connected: bool,
    endpoints: Vec<ListenerEndpointOut>,
    event_types: Option<Vec<String>>,
    keep_s: u64,
    /// When it will be removed if nobody connects.
    ends_at: Option<String>,
    created_at: String,
    /// How many deliveries wait, at least.
    waiting: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListenerEndpointOut {
    id: String,
    uid: String,
    source: String,
    source_id: Option<String>,
    state: &'static str,
}

impl ListenerOut {
    /// A listener by its endpoints; `None` without any.
    pub fn new(
        name: &str,
        endpoints: &[Endpoint],
        names: &Names,
        connected: bool,
        waiting: u64,
    ) -> Option<Self> {
        let first = endpoints.first()?;
        let shown = endpoints.iter().map(|endpoint| {
            let source = names.source_of(endpoint.application);
            ListenerEndpointOut {
                id: endpoint.id.to_string(),
                uid: endpoint.name(),
                source: source.map(Application::name).unwrap_or_default(),
                source_id: source.map(public_id),
                state: endpoint.state.as_str(),
            }
        });
        let ends_at = endpoints.iter().filter_map(keeping::until).max();
        Some(Self {
            id: name.to_owned(),
            name: name.to_owned(),
            connected,
            endpoints: shown.collect(),
            event_types: first.settings.event_types.clone(),
            keep_s: keeping::keep_s_of(first),
            ends_at: ends_at.filter(|_| !connected),
            created_at: times::text(first.created_at_ms),
            waiting,
        })
    }
}

/// The beginning of a stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HelloOut {
    pub session: u64,
    pub name: String,
    pub heartbeat_s: u64,
}

/// A delivery on the stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParcelOut<'p> {
    token: String,
    event_id: &'p str,
    event_type: Option<&'p str>,
    source: &'p str,
    endpoint_id: &'p str,
    attempt: u32,
    received_at_ms: i64,
    late: bool,
    method: &'p str,
    path: &'p str,
    headers: Vec<(&'p str, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    body_bytes: usize,
    timeout_ms: u64,
}

impl<'p> ParcelOut<'p> {
    /// A delivery, as told to a client that connected at a moment.
    pub fn new(parcel: &'p Parcel, connected_at_ms: i64) -> Self {
        let delivery: &RelayDelivery = &parcel.delivery;
        let headers = delivery.headers.iter();
        let inline = delivery.body.len() <= INLINE_BYTES_MAX;
        Self {
            token: parcel.token.to_string(),
            event_id: &delivery.event_id,
            event_type: delivery.event_type.as_deref(),
            source: &delivery.source,
            endpoint_id: &delivery.endpoint_id,
            attempt: delivery.attempt,
            received_at_ms: delivery.received_at_ms,
            late: delivery.received_at_ms < connected_at_ms,
            method: &delivery.method,
            path: &delivery.path,
            headers: headers
                .map(|(name, value)| (name.as_str(), latin1(value.as_bytes())))
                .collect(),
            body: inline.then(|| BASE64.encode(&delivery.body)),
            body_bytes: delivery.body.len(),
            timeout_ms: delivery.timeout_ms,
        }
    }
}

/// What a client answers, or that it is still there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AnswersIn {
    pub session: u64,
    #[serde(default)]
    pub answers: Vec<AnswerIn>,
}

/// What a handler answered.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct AnswerIn {
    pub token: String,
    status: Option<u16>,
    error: Option<String>,
    headers: Vec<(String, String)>,
    body: String,
    body_truncated: bool,
    note: String,
    timings_us: [u64; 5],
    reused: bool,
}

impl AnswerIn {
    /// The answer, with its body in bytes.
    pub fn read(self) -> Result<RelayAnswer> {
        let wrong = |_| ApiError::body("answers/body", "is not base64");
        let mut body = BASE64.decode(&self.body).map(Bytes::from).map_err(wrong)?;
        let body_truncated = self.body_truncated || body.len() > ANSWER_BODY_MAX;
        body.truncate(ANSWER_BODY_MAX);
        let headers = self.headers.into_iter();
        Ok(RelayAnswer {
            status: self.status,
            error: self.error,
            headers: headers.map(|(name, value)| (name, from_latin1(&value))).collect(),
            body,
            body_truncated,
            note: self.note,
            timings_us: self.timings_us,
            reused: self.reused,
        })
    }
}

/// What became of answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnsweredOut {
    /// Whether the session is still the one that counts.
    pub connected: bool,
    /// Answers that nobody waited for any longer; their deliveries come again.
    pub too_late: Vec<String>,
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Characters that no byte stands for come out as `?`.
fn from_latin1(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_header_survives() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_latin1(&latin1(&all)), all);
        assert_eq!(from_latin1("a\u{20ac}"), b"a?");
    }

    #[test]
    fn an_answer_keeps_only_the_beginning_of_a_body() {
        let body = BASE64.encode(vec![b'x'; ANSWER_BODY_MAX + 1]);
        let answer = AnswerIn { body, ..AnswerIn::default() }.read().unwrap();
        assert!(answer.body_truncated);
        assert_eq!(answer.body.len(), ANSWER_BODY_MAX);
        assert!(AnswerIn { body: "!".into(), ..AnswerIn::default() }.read().is_err());
    }
}
