//! The request of an attempt, and what is kept of it and of its answer.
//!
//! The body is the event's own bytes, shared and never copied. The headers are the sender's that
//! matter, then the endpoint's own, then Standard Webhooks and `becket-*`; each later group replaces
//! same names of the earlier ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use becket_egress::headers::forwardable_with;
use becket_egress::{AttemptError, AttemptOutcome, OutboundRequest};
use becket_model::attempt_detail::{self, AttemptTimings};
use becket_store::LeasedDelivery;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Serialize, Serializer};

use crate::endpoint::Prepared;

/// The longest part of a response's body that is kept, in bytes.
const BODY_KEPT_BYTES: usize = 16 * 1024;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const EVENT_TYPE: HeaderName = HeaderName::from_static("becket-event-type");
const ATTEMPT: HeaderName = HeaderName::from_static("becket-attempt");
const SOURCE: HeaderName = HeaderName::from_static("becket-source");

/// Builds the request of attempt `number`, or tells why it cannot be sent.
pub(crate) fn build(
    endpoint: &Prepared,
    delivery: &LeasedDelivery,
    number: u32,
    now_ms: i64,
) -> Result<OutboundRequest, AttemptError> {
    let runtime = &endpoint.runtime;
    let target = runtime.target.as_ref().map_err(|refused| AttemptError::from(*refused))?;
    let ready = endpoint.ready();
    let custom = ready.custom.as_ref().map_err(|error| *error)?;
    let sender: Vec<(&str, &[u8])> = delivery.record.headers().collect();
    let mut headers = forwardable_with(sender.iter().copied(), endpoint.forward());
    for (name, _) in custom {
        headers.remove(name);
    }
    for (name, value) in custom {
        headers.append(name, value.clone());
    }
    let body = delivery.record.body();
    let id = delivery.key.event.to_string();
    let signature = endpoint.sign(&id, now_ms, &body);
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(now_ms.div_euclid(1_000)));
    if !signature.is_empty() {
        headers.insert(WEBHOOK_SIGNATURE, own_value(signature)?);
    }
    headers.insert(WEBHOOK_ID, own_value(id)?);
    headers.insert(ATTEMPT, HeaderValue::from(number));
    if let Some(source) = &ready.source {
        headers.insert(SOURCE, source.clone());
    }
    // A type with characters that no header can have is left out; it is in the event all the same.
    let event_type = delivery.event_type.as_deref();
    if let Some(value) = event_type.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok()) {
        headers.insert(EVENT_TYPE, value);
    }
    Ok(OutboundRequest {
        pool_key: u64::from(runtime.key.0),
        target: target.clone(),
        policy: runtime.policy.clone(),
        headers,
        body,
        timeout_ms: runtime.settings.timeout_ms,
        connect_timeout_ms: Some(runtime.settings.connect_timeout_ms),
    })
}

fn own_value(text: String) -> Result<HeaderValue, AttemptError> {
    HeaderValue::try_from(text).map_err(|_| AttemptError::RequestInvalid)
}

/// The details of an attempt as JSON, in the form of [`becket_model::AttemptDetail`], written
/// without a copy of any part.
pub(crate) fn detail_json(
    endpoint: &Prepared,
    sent: &HeaderMap,
    request_bytes: u64,
    outcome: &AttemptOutcome,
) -> Bytes {
    let view = DetailView {
        url: &endpoint.ready().shown_url,
        request_headers: SentHeaders(sent),
        request_bytes,
        response: outcome.status.map(|status| ResponseView {
            status,
            headers: ReceivedHeaders(&outcome.headers),
            body: BodyView::of(&outcome.body, outcome.body_truncated),
            truncated: outcome.body_truncated || outcome.body.len() > BODY_KEPT_BYTES,
        }),
        remote_address: outcome.remote_address,
        error: outcome.error.map(|error| error.to_string()),
        timings_us: AttemptTimings {
            dns: outcome.timings.dns_us,
            connect: outcome.timings.connect_us,
            tls: outcome.timings.tls_us,
            first_byte: outcome.timings.first_byte_us,
            total: outcome.timings.total_us,
            reused: outcome.timings.reused,
        },
    };
    let mut json = Vec::with_capacity(1_024 + outcome.body.len());
    // Texts and numbers only, into memory: there is nothing here that JSON cannot say.
    if let Err(error) = serde_json::to_writer(&mut json, &view) {
        tracing::error!(%error, "the details of an attempt could not be written as JSON");
        json.clear();
    }
    json.into()
}

#[derive(Serialize)]
struct DetailView<'a> {
    url: &'a str,
    request_headers: SentHeaders<'a>,
    request_bytes: u64,
    response: Option<ResponseView<'a>>,
    remote_address: Option<std::net::SocketAddr>,
    error: Option<String>,
    timings_us: AttemptTimings,
}

#[derive(Serialize)]
struct ResponseView<'a> {
    status: u16,
    headers: ReceivedHeaders<'a>,
    body: BodyView<'a>,
    truncated: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum BodyView<'a> {
    Text(&'a str),
    Base64(String),
}

impl<'a> BodyView<'a> {
    fn of(body: &'a [u8], truncated: bool) -> Self {
        let kept = &body[..body.len().min(BODY_KEPT_BYTES)];
        match std::str::from_utf8(kept) {
            Ok(text) => Self::Text(text),
            // Text that was cut in the middle of a character is still text.
            Err(error) if error.error_len().is_none() && (truncated || kept.len() < body.len()) => {
                Self::Text(std::str::from_utf8(&kept[..error.valid_up_to()]).unwrap_or_default())
            }
            Err(_) => Self::Base64(STANDARD.encode(kept)),
        }
    }
}

struct SentHeaders<'a>(&'a HeaderMap);

impl Serialize for SentHeaders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(name, value)| {
            let hidden = value.is_sensitive() || attempt_detail::is_credential(name.as_str());
            let value = if hidden { attempt_detail::REDACTED.as_bytes() } else { value.as_bytes() };
            (name.as_str(), Latin1(value))
        }))
    }
}

struct ReceivedHeaders<'a>(&'a [(String, Vec<u8>)]);

impl Serialize for ReceivedHeaders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(name, value)| (name, Latin1(value))))
    }
}

/// Bytes as text, each byte one character; ASCII, which is nearly everything, is not copied.
struct Latin1<'a>(&'a [u8]);

impl Serialize for Latin1<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) if text.is_ascii() => serializer.serialize_str(text),
            _ => {
                serializer.collect_str(&self.0.iter().copied().map(char::from).collect::<String>())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use becket_model::{AttemptDetail, KeptBody};

    use super::*;

    fn body_of(body: &'static [u8], truncated: bool) -> (KeptBody, bool) {
        let outcome = AttemptOutcome {
            status: Some(500),
            body: Bytes::from_static(body),
            body_truncated: truncated,
            headers: vec![("x".to_owned(), vec![0xe9])],
            error: Some(AttemptError::BodyReadFailed),
            ..AttemptOutcome::default()
        };
        let runtime = crate::EndpointRuntime {
            key: becket_model::EndpointKey(1),
            id: becket_model::EndpointId::new(0, [0; 14]),
            application: becket_model::ApplicationKey(1),
            source_uid: "s".to_owned(),
            owner: becket_store::Owner::MAIN,
            settings: std::sync::Arc::default(),
            retry_by_type: std::sync::Arc::default(),
            application_rate: None,
            state: becket_model::EndpointState::Enabled,
            failing_since_ms: None,
            signing_keys: Vec::new(),
            target: Err(becket_egress::policy::TargetRefused::Malformed),
            policy: std::sync::Arc::new(becket_egress::policy::AddressPolicy::operator()),
        };
        let json = detail_json(&Prepared::new(runtime), &HeaderMap::new(), 0, &outcome);
        let detail: AttemptDetail = serde_json::from_slice(&json).expect("the documented form");
        assert_eq!(detail.error, outcome.error.map(|error| error.to_string()));
        let response = detail.response.expect("it began");
        assert_eq!(response.headers, [("x".to_owned(), "\u{e9}".to_owned())]);
        (response.body, response.truncated)
    }

    #[test]
    fn bodies_are_text_where_they_can_be() {
        let text = |text: &str| KeptBody::Text(text.to_owned());
        assert_eq!(body_of(b"plain", false), (text("plain"), false));
        assert_eq!(body_of(b"", false), (text(""), false));
        assert_eq!(body_of(b"caf\xc3", true), (text("caf"), true));
        assert_eq!(body_of(b"caf\xc3", false), (KeptBody::Base64("Y2Fmww==".to_owned()), false));
        assert_eq!(body_of(&[0xff; 3], true), (KeptBody::Base64("////".to_owned()), true));
        let (KeptBody::Text(long), true) = body_of(&[b'a'; 20_000], false) else {
            panic!("cut text")
        };
        assert_eq!(long.len(), BODY_KEPT_BYTES);
    }
}
