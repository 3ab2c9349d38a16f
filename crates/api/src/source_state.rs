//! What the API knows of a source beyond what the store has in the open: settings in force, credentials,
//! and test requests.
//!
//! Invariant: what can hold a secret has no `Debug` that shows it.

use std::collections::BTreeMap;

use becket_model::{EventId, Verification};
use serde::{Deserialize, Serialize};

/// What the configuration says about a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceDetails {
    /// The provider's name for people.
    pub provider_name: String,
    /// What is unsafe or incomplete about the source, for people.
    pub warnings: Vec<String>,
    /// The event types that are kept; `None` keeps all.
    pub event_types: Option<Vec<String>>,
    /// What becomes of requests that cannot be verified.
    pub verification: Verification,
    /// Limits and rules as they are in force, defaults included.
    pub settings: Option<SourceSettings>,
    /// What the provider's entry asks for, and whether it is there.
    pub credentials: Vec<CredentialState>,
}

/// The limits and rules of a source, wherever they were set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceSettings {
    /// The event types that are kept; `None` keeps all.
    pub event_types: Option<Vec<String>>,
    /// How many genuine requests are accepted.
    pub rate_limit: Option<RateShown>,
    /// The largest body, if it is not what the entry says.
    pub body_limit_bytes: Option<u64>,
    /// Paths of fields that a JSON body must have.
    pub required: Vec<String>,
    /// A JSON Schema for every body.
    pub schema: Option<serde_json::Value>,
    /// `reject` or `accept`: what becomes of events that break `required` or the schema.
    pub on_invalid: &'static str,
    /// How repeats are recognised.
    pub dedupe: DedupeSettings,
    /// Networks that may send; any if empty.
    pub allow_ips: Vec<String>,
    /// How far a signed time may be off, if it is not what the entry says.
    pub tolerance_ms: Option<u64>,
    /// After how long without an event an alert is sent; learned if absent.
    pub quiet_after_ms: Option<u64>,
}

/// A rate in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateShown {
    /// How many in a period.
    pub count: u32,
    /// The period in milliseconds: a second, a minute or an hour.
    pub period_ms: u64,
}

/// How repeats of an event are recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DedupeSettings {
    /// Whether they are.
    pub enabled: bool,
    /// For how long an event is remembered by its delivery id.
    pub window_ms: u64,
    /// For how long it is remembered by its body.
    pub hash_window_ms: u64,
    /// Where the delivery id is, if it is not where the entry says.
    pub id: Option<String>,
}

/// Something that a provider's entry asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CredentialState {
    /// The entry's name for it.
    pub name: String,
    /// Whether it was given.
    pub set: bool,
    /// How many there are of it.
    pub count: usize,
}

/// Why a source cannot receive as it was to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTrouble {
    /// The setting as the API calls it, such as `rateLimit`; `None` if it is about provider or
    /// credentials.
    pub setting: Option<&'static str>,
    /// What is wrong, for people.
    pub message: String,
}

/// With what a source of the API verifies, and where it receives; sealed in the store.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceCredentials {
    /// The shared secrets.
    pub secrets: Vec<String>,
    /// The public key of the sender.
    pub public_key: Option<String>,
    /// Further credentials, by the name that the provider's entry has for them.
    pub credentials: BTreeMap<String, String>,
    /// The last parts of its receiving URLs, newest first, each with the end of its time in
    /// milliseconds since 1970.
    pub url_tokens: Vec<(String, Option<i64>)>,
    /// What handshakes brought along, oldest first; also of a source of the file.
    pub captured: Vec<CapturedSecret>,
    /// Secrets that were replaced and still verify, each until a time in milliseconds since 1970.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<(String, i64)>,
}

/// A secret that a provider's handshake brought along.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedSecret {
    /// `secret`, or the name of a named credential of the entry.
    pub name: String,
    /// The secret.
    pub value: String,
    /// The entry that it was captured for; for another one it means nothing.
    pub provider: String,
    /// Whether it verifies; otherwise it waits for the operator.
    pub accepted: bool,
    /// When it came, in milliseconds since 1970.
    pub received_at_ms: i64,
}

/// How many secrets of handshakes are kept, of those that are accepted and of those that wait.
const CAPTURED_MAX: usize = 8;

impl std::fmt::Debug for SourceCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SourceCredentials").finish_non_exhaustive()
    }
}

impl SourceCredentials {
    /// Forgets the oldest accepted secrets of handshakes beyond a limit, and the newest that wait: anybody
    /// can send more of those, and must not push the provider's out.
    pub fn keep_some(&mut self) {
        let accepted = self.captured.iter().filter(|captured| captured.accepted).count();
        let mut over = accepted.saturating_sub(CAPTURED_MAX);
        let mut waiting = 0;
        self.captured.retain(|captured| {
            if captured.accepted {
                let stays = over == 0;
                over = over.saturating_sub(1);
                stays
            } else {
                waiting += 1;
                waiting <= CAPTURED_MAX
            }
        });
    }

    /// Whether as many secrets of handshakes wait as are kept.
    #[must_use]
    pub fn waiting_is_full(&self) -> bool {
        self.captured.iter().filter(|captured| !captured.accepted).count() >= CAPTURED_MAX
    }
}

/// What a test request is to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceTest {
    /// Which of the provider's samples, counted from 0.
    pub sample: Option<usize>,
    /// Which event: a name or an event type that the provider has samples of.
    pub event_type: Option<String>,
    /// A body of the caller's own.
    pub body: Option<String>,
    /// Its content type.
    pub content_type: Option<String>,
}

/// A test request and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTested {
    /// The status that the provider would have got.
    pub status: u16,
    /// The event that it made or repeated.
    pub event: Option<EventId>,
    /// What became of it, such as `accepted` or `duplicate`.
    pub outcome: String,
    /// Why it was not accepted.
    pub detail: Option<String>,
    /// The method.
    pub method: String,
    /// The path, with the query.
    pub path: String,
    /// Names and values of its headers, the signature among them.
    pub headers: Vec<(String, String)>,
    /// Its body; what is not text is replaced.
    pub body: String,
}

/// Why no test request was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestRefusal {
    /// The source receives nothing.
    NotInForce,
    /// There is no such sample; what there is, for people.
    NoSample(String),
    /// Only the provider can sign for this source, or a credential is missing; why, for people.
    CannotSign(String),
    /// The gateway is starting or stopping.
    Closed,
}
