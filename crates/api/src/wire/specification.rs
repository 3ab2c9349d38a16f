//! The shapes of the public specification, field for field, so that its official clients work.
//!
//! Where our concepts are wider: a provider that the specification has no type for is shown as
//! `generic-webhook` with its slug in the metadata; an event without a type has the type `unknown`;
//! a body that is no JSON object is shown as `{"raw": base64, "contentType": …}`.

use becket_model::{DeliveryState, EventRecord, NextStep, Trigger};
use becket_store::{AttemptRow, DeliveryRow, EventRow};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::times;
use crate::wire::body;
pub(crate) use crate::wire::endpoints::EndpointOut;

/// The event type shown for events that have none.
pub(crate) const TYPE_UNKNOWN: &str = "unknown";

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
