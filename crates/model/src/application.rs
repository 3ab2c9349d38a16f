//! Applications as values: who owns endpoints and events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bucket::Rate;

/// What an application is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationKind {
    /// A customer: events are posted for it through the API and sent to its endpoints.
    Customer,
    /// A source: its events arrive at a receiving URL.
    Source,
    /// The one of each owner that carries events about the gateway itself.
    Operational,
}

impl ApplicationKind {
    /// The word used in the API and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Source => "source",
            Self::Operational => "operational",
        }
    }
}

/// What becomes of a request to a source that cannot be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verification {
    /// It is refused, and kept in quarantine.
    #[default]
    Enforce,
    /// It is accepted all the same; what verification found is noted on the event.
    Observe,
}

impl Verification {
    /// The word used in the configuration, the API and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// What a source of the API asks of its requests. `None` and empty lists leave it at the default,
/// which is the configuration file's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceRules {
    /// The event types to keep; a final `*` stands for any ending.
    pub event_types: Option<Vec<String>>,
    /// How many genuine requests are accepted.
    pub rate: Option<Rate>,
    /// The largest body, in bytes.
    pub body_limit_bytes: Option<u64>,
    /// Paths of fields that a JSON body must have.
    pub required: Vec<String>,
    /// A JSON Schema for every body.
    pub schema: Option<serde_json::Value>,
    /// Whether events that break `required` or the schema are accepted and marked.
    pub accept_invalid: bool,
    /// Whether repeats are recognised.
    pub dedupe_enabled: Option<bool>,
    /// For how long an event is remembered by its delivery id, in milliseconds.
    pub dedupe_window_ms: Option<u64>,
    /// For how long it is remembered by its body, in milliseconds.
    pub dedupe_hash_window_ms: Option<u64>,
    /// Where the delivery id is, such as `header:x-id`.
    pub dedupe_id: Option<String>,
    /// Networks that may send.
    pub allow_ips: Vec<String>,
    /// How far a signed time may be off, in milliseconds.
    pub tolerance_ms: Option<u64>,
    /// After how long without an event an alert is sent, in milliseconds.
    pub quiet_after_ms: Option<u64>,
}

/// What is set for an application; every field has a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplicationSettings {
    /// For people.
    pub name: String,
    /// What the user's own program wants to find again.
    pub metadata: BTreeMap<String, String>,
    /// At most this many attempts in a period, over all its endpoints; `None` is no limit.
    pub rate: Option<Rate>,
    /// Whether payloads have to match the schema of their event type.
    pub validate_payloads: bool,
    /// The slug of the provider; empty unless it is a source.
    pub provider: String,
    /// What the public API calls the kind of source; empty unless the API made it.
    pub source_type: String,
    /// What becomes of requests to a source that cannot be verified. The file's sources have it
    /// there.
    pub verification: Verification,
    /// The rules of a source that the API made; the file's sources have them there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Box<SourceRules>>,
}

impl ApplicationSettings {
    /// The settings of a source that receives from a provider.
    #[must_use]
    pub fn for_provider(slug: &str) -> Self {
        Self { provider: slug.to_owned(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_from_before_there_were_rules_are_read_and_written_as_they_were() {
        let old = r#"{"name":"","metadata":{},"rate":null,"validate_payloads":false,"provider":"github","source_type":"","verification":"enforce"}"#;
        let settings: ApplicationSettings = serde_json::from_str(old).unwrap();
        assert_eq!(settings, ApplicationSettings::for_provider("github"));
        assert_eq!(serde_json::to_string(&settings).unwrap(), old);
    }

    #[test]
    fn rules_come_back_as_they_were() {
        let rules = SourceRules {
            rate: Some(Rate::per_second(5)),
            schema: Some(serde_json::json!({ "const": null })),
            dedupe_enabled: Some(false),
            ..SourceRules::default()
        };
        let settings =
            ApplicationSettings { rules: Some(Box::new(rules)), ..ApplicationSettings::default() };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<ApplicationSettings>(&text).unwrap(), settings);
    }
}
