//! The request of an attempt, and what is kept of it and of its answer.
//!
//! Unless a transformation makes another, the body is the event's own bytes, shared and never copied. The headers are the sender's that
//! matter, then the endpoint's own, then Standard Webhooks and `becket-*`; each later group replaces
//! same names of the earlier ones.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use becket_egress::action::{ActionRequest, TransformInput, Transformed};
use becket_egress::headers::forwardable_with;
use becket_egress::policy::Target;
use becket_egress::{AttemptError, AttemptOutcome, OutboundRequest};
use becket_model::EventRecord;
use becket_model::attempt_detail::{self, AttemptTimings};
use becket_store::LeasedDelivery;
use bytes::Bytes;
use http::Method;
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

/// What was sent, as far as it is recorded.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) headers: HeaderMap,
    pub(crate) body_bytes: u64,
    pub(crate) number: u32,
    /// What the endpoint's transformation did, if it has one.
    pub(crate) transformed: Option<Box<ByTransformation>>,
}

/// What a transformation did with a delivery.
#[derive(Default)]
pub(crate) struct ByTransformation {
    method: Option<Method>,
    url: Option<String>,
    /// The new body, if it is another one.
    body: Option<Bytes>,
    cancelled: bool,
    log: String,
}

impl ByTransformation {
    /// One that failed, with what it wrote to its console before.
    pub(crate) fn failed(log: String) -> Self {
        Self { log, ..Self::default() }
    }

    /// One that made something of a body.
    pub(crate) fn made(before: &Bytes, made: &Transformed) -> Self {
        Self {
            method: made.method.clone(),
            url: made.url.clone(),
            body: (!made.cancel && made.body != *before).then(|| made.body.clone()),
            cancelled: made.cancel,
            log: made.log.clone(),
        }
    }
}

/// What is to be sent, before it is signed: where a transformation has its say.
pub(crate) struct Draft {
    pub(crate) method: Method,
    /// Where it is posted; `None` for an endpoint that acts.
    target: Option<Arc<Target>>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Begins the request of an attempt, or tells why it cannot be sent.
pub(crate) fn draft(endpoint: &Prepared, delivery: &LeasedDelivery) -> Result<Draft, AttemptError> {
    let runtime = &endpoint.runtime;
    let target = match (&runtime.action, &runtime.target) {
        (Some(_), _) => None,
        (None, Ok(target)) => Some(Arc::clone(target)),
        (None, Err(refused)) => return Err(AttemptError::from(*refused)),
    };
    let custom = endpoint.ready().custom.as_ref().map_err(|error| *error)?;
    let sender: Vec<(&str, &[u8])> = delivery.record.headers().collect();
    let mut headers = forwardable_with(sender.iter().copied(), endpoint.forward());
    for (name, _) in custom {
        headers.remove(name);
    }
    for (name, value) in custom {
        headers.append(name, value.clone());
    }
    Ok(Draft { method: Method::POST, target, headers, body: delivery.record.body() })
}

impl Draft {
    /// What a transformation is given.
    pub(crate) fn transform_input(
        &self,
        endpoint: &Prepared,
        delivery: &LeasedDelivery,
    ) -> TransformInput {
        TransformInput {
            event_type: delivery.event_type.as_deref().map(str::to_owned),
            method: self.method.to_string(),
            url: endpoint.runtime.settings.url.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        }
    }

    /// Takes over what a transformation made. Another URL is checked like the endpoint's own, and
    /// means nothing to an endpoint that acts.
    pub(crate) fn take(
        &mut self,
        endpoint: &Prepared,
        made: Transformed,
    ) -> Result<(), AttemptError> {
        if let (Some(target), Some(url)) = (&mut self.target, &made.url) {
            *target = Arc::new(endpoint.runtime.policy.check_url(url)?);
        }
        if let Some(method) = made.method {
            self.method = method;
        }
        self.headers = made.headers;
        self.body = made.body;
        Ok(())
    }

    /// Signs it, and adds what Standard Webhooks and Becket say about a delivery.
    pub(crate) fn sign(
        &mut self,
        endpoint: &Prepared,
        delivery: &LeasedDelivery,
        number: u32,
        now_ms: i64,
    ) -> Result<(), AttemptError> {
        let headers = &mut self.headers;
        let id = delivery.key.event.to_string();
        let signature = endpoint.sign(&id, now_ms, &self.body);
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(now_ms.div_euclid(1_000)));
        if !signature.is_empty() {
            headers.insert(WEBHOOK_SIGNATURE, own_value(signature)?);
        }
        headers.insert(WEBHOOK_ID, own_value(id)?);
        headers.insert(ATTEMPT, HeaderValue::from(number));
        if let Some(source) = &endpoint.ready().source {
            headers.insert(SOURCE, source.clone());
        }
        // A type with characters that no header can have is left out; it is in the event all the
        // same.
        let event_type = delivery.event_type.as_deref();
        if let Some(value) =
            event_type.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok())
        {
            headers.insert(EVENT_TYPE, value);
        }
        Ok(())
    }

    /// The request to an endpoint that is posted to; `None` for one that acts.
    pub(crate) fn outbound(&self, endpoint: &Prepared) -> Option<OutboundRequest> {
        let runtime = &endpoint.runtime;
        Some(OutboundRequest {
            pool_key: u64::from(runtime.key.0),
            method: self.method.clone(),
            target: Arc::clone(self.target.as_ref()?),
            policy: runtime.policy.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            timeout_ms: runtime.settings.timeout_ms,
            connect_timeout_ms: Some(runtime.settings.connect_timeout_ms),
        })
    }

    /// The same for an endpoint that acts.
    pub(crate) fn action(
        &self,
        endpoint: &Prepared,
        delivery: &LeasedDelivery,
        number: u32,
        now_ms: i64,
    ) -> ActionRequest {
        let runtime = &endpoint.runtime;
        let fact = |name| delivery.record.fact(name).unwrap_or_default().to_owned();
        ActionRequest {
            event_id: delivery.key.event.to_string(),
            event_type: delivery.event_type.as_deref().map(str::to_owned),
            source: runtime.source_uid.clone(),
            endpoint: runtime.id.to_string(),
            attempt: number,
            received_at_ms: delivery.received_at_ms,
            started_at_ms: now_ms,
            method: fact(EventRecord::METHOD),
            path: fact(EventRecord::PATH),
            headers: self.headers.clone(),
            body: self.body.clone(),
            timeout_ms: runtime.settings.timeout_ms,
        }
    }
}

fn own_value(text: String) -> Result<HeaderValue, AttemptError> {
    HeaderValue::try_from(text).map_err(|_| AttemptError::RequestInvalid)
}

/// The details of an attempt as JSON, in the form of [`becket_model::AttemptDetail`], written
/// without a copy of any part.
pub(crate) fn detail_json(endpoint: &Prepared, sent: &Sent, outcome: &AttemptOutcome) -> Bytes {
    let transformed = sent.transformed.as_deref();
    let url = transformed.and_then(|made| made.url.as_deref());
    let view = DetailView {
        url: url.unwrap_or(&endpoint.ready().shown_url),
        method: transformed.and_then(|made| made.method.as_ref()).map(Method::as_str),
        request_headers: SentHeaders(&sent.headers),
        request_bytes: sent.body_bytes,
        transformed: transformed.map(TransformedView::of),
        response: outcome.status.map(|status| ResponseView {
            status,
            headers: ReceivedHeaders(&outcome.headers),
            body: BodyView::of(&outcome.body, outcome.body_truncated),
            truncated: outcome.body_truncated || outcome.body.len() > BODY_KEPT_BYTES,
        }),
        remote_address: outcome.remote_address,
        error: outcome.error.map(|error| error.to_string()),
        note: &outcome.note,
        output: (outcome.status.is_none() && !outcome.body.is_empty()).then(|| OutputView {
            body: BodyView::of(&outcome.body, outcome.body_truncated),
            truncated: outcome.body_truncated || outcome.body.len() > BODY_KEPT_BYTES,
        }),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    request_headers: SentHeaders<'a>,
    request_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    transformed: Option<TransformedView<'a>>,
    response: Option<ResponseView<'a>>,
    remote_address: Option<std::net::SocketAddr>,
    error: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<OutputView<'a>>,
    timings_us: AttemptTimings,
}

#[derive(Serialize)]
struct TransformedView<'a> {
    cancelled: bool,
    body: Option<BodyView<'a>>,
    truncated: bool,
    log: &'a str,
}

impl<'a> TransformedView<'a> {
    fn of(made: &'a ByTransformation) -> Self {
        Self {
            cancelled: made.cancelled,
            body: made.body.as_ref().map(|body| BodyView::of(body, false)),
            truncated: made.body.as_ref().is_some_and(|body| body.len() > BODY_KEPT_BYTES),
            log: &made.log,
        }
    }
}

#[derive(Serialize)]
struct OutputView<'a> {
    body: BodyView<'a>,
    truncated: bool,
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
            action: None,
            transform: None,
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
        let json = detail_json(&Prepared::new(runtime), &Sent::default(), &outcome);
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
