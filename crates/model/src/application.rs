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
}

impl ApplicationSettings {
    /// The settings of a source that receives from a provider.
    #[must_use]
    pub fn for_provider(slug: &str) -> Self {
        Self { provider: slug.to_owned(), ..Self::default() }
    }
}
