//! The shapes of the public specification, field for field, so that its official clients work.
//!
//! Where our concepts are wider: a provider that the specification has no type for is shown as
//! `generic-webhook` with its slug in the metadata; an event without a type has the type `unknown`;
//! a body that is no JSON object is shown as `{"raw": base64, "contentType": …}`.

use std::collections::BTreeMap;

use becket_model::attempt_detail::is_credential;
use becket_model::{DeliveryState, EndpointState, EventRecord, NextStep, Trigger};
use becket_store::{Application, AttemptRow, DeliveryRow, Endpoint, EventRow};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::names::public_id;
use crate::times;
use crate::wire::body;

/// The event type shown for events that have none.
pub(crate) const TYPE_UNKNOWN: &str = "unknown";

/// Types of the specification whose configuration has no required field.
const SOURCE_TYPES: &[&str] = &[
    "adobe-sign",
    "airwallex",
    "beehiiv",
    "brex",
    "checkbook",
    "clerk",
    "docusign",
    "easypost",
    "github",
    "guesty",
    "hubspot",
    "incident-io",
    "lithic",
    "meta",
    "nango",
    "nash",
    "open-ai",
    "openclaw",
    "panda-doc",
    "pleo",
    "port-io",
    "psi-fi",
    "render",
    "replicate",
    "resend",
    "rutter",
    "safebase",
    "sardine",
    "segment",
    "shopify",
    "slack",
    "stripe",
    "stych",
    "svix",
    "tailscale",
    "vapi",
    "veriff",
    "vgs",
    "zoom",
];

/// Providers that the specification calls by another name.
const SOURCE_TYPE_NAMES: &[(&str, &str)] = &[
    ("facebook", "meta"),
    ("openai", "open-ai"),
    ("stytch", "stych"),
    ("incidentio", "incident-io"),
    ("pandadoc", "panda-doc"),
    ("standardwebhooks", "svix"),
];

/// A source (`IngestSourceOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceOut {
    id: String,
    uid: Option<String>,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Value>,
    ingest_url: String,
    metadata: BTreeMap<&'static str, String>,
    created_at: String,
    updated_at: String,
}

impl SourceOut {
    pub fn new(source: &Application, ingest_url: String) -> Self {
        let named = SOURCE_TYPE_NAMES.iter().find(|(slug, _)| *slug == source.settings.provider);
        let slug = named.map_or(source.settings.provider.as_str(), |(_, name)| name);
        let kind = SOURCE_TYPES.iter().find(|kind| **kind == slug).copied();
        Self {
            id: public_id(source),
            uid: source.uid.clone(),
            name: source.name(),
            kind: kind.unwrap_or("generic-webhook"),
            config: kind.map(|_| Value::Object(serde_json::Map::new())),
            ingest_url,
            metadata: BTreeMap::from([("provider", source.settings.provider.clone())]),
            created_at: times::text(source.created_at_ms),
            updated_at: times::text(source.created_at_ms),
        }
    }
}

/// An endpoint (`IngestEndpointOut`), and the part of it that other shapes repeat.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointOut {
    id: String,
    uid: Option<String>,
    url: String,
    description: String,
    disabled: bool,
    throttle_rate: Option<u16>,
    metadata: BTreeMap<String, String>,
    created_at: String,
    updated_at: String,
}

impl EndpointOut {
    pub fn new(endpoint: &Endpoint) -> Self {
        let throttle_rate = endpoint.settings.rate.and_then(|rate| {
            let per_second = u64::from(rate.count) * 1_000 / rate.period_ms.max(1);
            u16::try_from(per_second).ok().filter(|rate| *rate > 0)
        });
        let metadata = BTreeMap::from([("state".to_owned(), endpoint.state.as_str().to_owned())]);
        Self {
            id: endpoint.id.to_string(),
            uid: endpoint.uid.clone(),
            url: endpoint.settings.url.clone(),
            description: endpoint.settings.description.clone(),
            disabled: matches!(endpoint.state, EndpointState::Disabled | EndpointState::Removed),
            throttle_rate,
            metadata,
            created_at: times::text(endpoint.created_at_ms),
            updated_at: times::text(endpoint.updated_at_ms),
        }
    }
}

/// The headers added to every attempt (`IngestEndpointHeadersOut`).
#[derive(Debug, Serialize)]
pub(crate) struct HeadersOut {
    headers: BTreeMap<String, String>,
    sensitive: Vec<String>,
}

impl HeadersOut {
    pub fn new(endpoint: &Endpoint) -> Self {
        let (sensitive, shown): (Vec<_>, Vec<_>) = endpoint
            .settings
            .headers
            .iter()
            .partition(|(name, _)| is_credential(&name.to_ascii_lowercase()));
        let mut sensitive: Vec<String> =
            sensitive.into_iter().map(|(name, _)| name.clone()).collect();
        sensitive.dedup();
        Self { headers: shown.into_iter().cloned().collect(), sensitive }
    }
}

/// A secret (`IngestEndpointSecretOut`).
#[derive(Serialize)]
pub(crate) struct SecretOut {
    /// As the receiver needs it.
    pub key: String,
}

/// An event (`MessageOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageOut {
    id: String,
    event_id: Option<String>,
    event_type: String,
    payload: Box<RawValue>,
    channels: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    deliver_at: Option<String>,
    timestamp: String,
}

impl MessageOut {
    /// The event with its payload, or with an empty one; a payload that was removed is shown as
    /// `{"expired": true}`.
    pub fn new(event: &EventRow, record: Option<&EventRecord>, with_content: bool) -> Self {
        let labels = &event.labels;
        let delivery_id = record.and_then(|record| record.fact(EventRecord::DELIVERY_ID));
        let event_id = labels.event_id.as_deref().or(delivery_id);
        let payload = match record {
            Some(record) if with_content && record.is_expunged() => {
                body::payload(br#"{"expired":true}"#, None)
            }
            Some(record) if with_content => {
                body::payload(&record.body(), body::header(record, "content-type"))
            }
            _ => body::payload(b"{}", None),
        };
        let some = |list: &Vec<String>| Some(list.clone()).filter(|list| !list.is_empty());
        Self {
            id: event.id.to_string(),
            event_id: event_id.filter(|id| fits_uid(id)).map(str::to_owned),
            event_type: event.event_type.clone().unwrap_or_else(|| TYPE_UNKNOWN.to_owned()),
            payload,
            channels: some(&labels.channels),
            tags: some(&labels.tags),
            deliver_at: labels.deliver_at_ms.map(times::text),
            timestamp: times::text(event.received_at_ms),
        }
    }
}

fn fits_uid(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// An event with where it stands at one endpoint (`EndpointMessageOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointMessageOut {
    #[serde(flatten)]
    pub message: MessageOut,
    #[serde(flatten)]
    pub status: StatusOut,
    pub next_attempt: Option<String>,
}

/// An endpoint with where an event stands there (`MessageEndpointOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageEndpointOut {
    #[serde(flatten)]
    pub endpoint: EndpointOut,
    pub event_types: Option<Vec<String>>,
    pub channels: Option<Vec<String>>,
    #[serde(flatten)]
    pub status: StatusOut,
    pub next_attempt: Option<String>,
}

/// A status as the specification counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusOut {
    pub status: u8,
    pub status_text: &'static str,
}

impl StatusOut {
    pub const SUCCESS: Self = Self { status: 0, status_text: "success" };
    pub const PENDING: Self = Self { status: 1, status_text: "pending" };
    pub const FAIL: Self = Self { status: 2, status_text: "fail" };
    pub const SENDING: Self = Self { status: 3, status_text: "sending" };
    pub const CANCELED: Self = Self { status: 4, status_text: "canceled" };

    /// Where a delivery stands; one that is under way is `sending`.
    pub fn of_delivery(shown: DeliveryState, delivery: &DeliveryRow) -> Self {
        match shown {
            DeliveryState::Delivered => Self::SUCCESS,
            DeliveryState::Failed => Self::FAIL,
            DeliveryState::Cancelled => Self::CANCELED,
            DeliveryState::Pending if delivery.due_ms.is_none() => Self::SENDING,
            DeliveryState::Pending => Self::PENDING,
        }
    }

    /// How an attempt ended.
    pub fn of_attempt(attempt: &AttemptRow) -> Self {
        match attempt.next {
            NextStep::Delivered => Self::SUCCESS,
            NextStep::RetryAt(_) | NextStep::Failed(_) => Self::FAIL,
        }
    }

    /// Clients that do not know `canceled` are told `success`.
    #[must_use]
    pub fn for_client(self, expanded: bool) -> Self {
        if self == Self::CANCELED && !expanded { Self::SUCCESS } else { self }
    }
}

/// An attempt (`MessageAttemptOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttemptOut {
    id: String,
    msg_id: String,
    endpoint_id: String,
    url: String,
    response: String,
    response_status_code: i16,
    response_duration_ms: i64,
    #[serde(flatten)]
    status: StatusOut,
    timestamp: String,
    trigger_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<MessageOut>,
}

/// What an attempt's details add to the specification's shape.
pub(crate) struct AttemptTexts {
    /// Where it was sent.
    pub url: String,
    /// What came back.
    pub response: String,
}

impl AttemptOut {
    pub fn new(
        row: &AttemptRow,
        endpoint_id: String,
        texts: AttemptTexts,
        msg: Option<MessageOut>,
    ) -> Self {
        Self {
            id: row.id.to_string(),
            msg_id: row.delivery.event.to_string(),
            endpoint_id,
            url: texts.url,
            response: texts.response,
            response_status_code: row.attempt.status.map_or(0, |status| status.cast_signed()),
            response_duration_ms: i64::from(row.attempt.duration_ms),
            status: StatusOut::of_attempt(row),
            timestamp: times::text(row.attempt.started_at_ms),
            trigger_type: match row.attempt.trigger {
                Trigger::Receipt => 0,
                Trigger::Replay => 1,
            },
            msg,
        }
    }
}

/// Work that goes on in the background (`BackgroundTaskOut`, and without `data` `RecoverOut`).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskOut {
    pub id: String,
    pub status: &'static str,
    pub task: &'static str,
    pub updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}
