//! What the API needs from the rest of the gateway, as traits that the binary implements.
//!
//! Invariants: the API reads and changes data only through the store; everything else that it needs
//! (the running configuration, the engine, the host) is one of these calls.
//!
//! Deliberately absent: implementations.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use becket_model::{
    ApplicationKey, ApplicationSettings, Clock, EndpointKey, EventRecord, Noise, RetrySchedule,
};
use becket_signature::Explanation;
use becket_store::accept::Handoff;
use becket_store::{Application, DedupeKey, Endpoint, Owner, Result, Store};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::auth::Auth;

/// Everything the API works with.
pub struct ApiState {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The running configuration.
    pub directory: Arc<dyn Directory>,
    /// The running gateway.
    pub control: Arc<dyn Control>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes, for new secrets and the ids of tasks.
    pub noise: Arc<dyn Noise>,
    /// Who may ask.
    pub auth: Auth,
    /// The engine, which takes the deliveries of posted events.
    pub handoff: Arc<dyn Handoff>,
    /// How long the lease of a planned delivery holds, in milliseconds.
    pub lease_ms: u64,
    /// Counts posted events whose callers went away and that are being carried on: a stop waits
    /// until it is 0 before it closes the store.
    pub unfinished: Arc<AtomicUsize>,
    /// Turns true when the gateway shuts down: open streams end then.
    pub closing: watch::Receiver<bool>,
}

/// What the running configuration knows beyond the store.
pub trait Directory: Send + Sync + 'static {
    /// Judges a kept request again, with the secrets of now and the time it arrived at; `None` if
    /// the source is no longer configured.
    fn explain(
        &self,
        source: ApplicationKey,
        record: &EventRecord,
        received_at_ms: i64,
    ) -> Option<Explanation>;

    /// The URL under which people and senders reach the gateway, without a slash at its end, such
    /// as `https://hooks.example.com`.
    fn public_url(&self) -> String;

    /// The public URL at which a source receives.
    fn receiving_url(&self, source: &Application) -> String;

    /// What the configuration says about a source; `None` if it is no longer configured.
    fn source_details(&self, source: ApplicationKey) -> Option<SourceDetails>;

    /// The key under which events with this delivery id are found; `None` if the source is no
    /// longer configured or does not deduplicate by delivery id.
    fn dedupe_key(&self, source: ApplicationKey, delivery_id: &str) -> Option<DedupeKey>;

    /// The secret that signs deliveries to an endpoint now, opened.
    ///
    /// # Errors
    /// When the master key does not open it.
    fn endpoint_secret(&self, endpoint: &Endpoint) -> Result<EndpointSecret>;

    /// Seals a secret for a place (see [`becket_store::vault::place`]).
    ///
    /// # Errors
    /// When there is no master key.
    fn seal(&self, place: &str, secret: &[u8]) -> Result<Vec<u8>>;

    /// Opens what was sealed for a place.
    ///
    /// # Errors
    /// When the master key does not open it.
    fn open(&self, place: &str, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>>;

    /// Whether a source could receive with these settings and credentials; if not, why.
    ///
    /// # Errors
    /// What is wrong, for people, without any secret.
    fn source_check(
        &self,
        settings: &ApplicationSettings,
        credentials: &SourceCredentials,
    ) -> Result<(), String>;

    /// Whether deliveries may go to a URL that the API was given; if not, why.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    fn url_check(&self, url: &str, allow_private: bool) -> Result<(), String>;

    /// Whether anybody may read the event catalogue; off unless the operator switches it on.
    fn catalogue_public(&self) -> bool {
        false
    }

    /// Every provider that can be named in a source, by slug.
    fn providers(&self) -> Vec<ProviderRow>;
}

/// What the configuration says about a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceDetails {
    /// The provider's name for people.
    pub provider_name: String,
    /// What is unsafe or incomplete about the source, for people.
    pub warnings: Vec<String>,
    /// The event types that are kept; `None` keeps all.
    pub event_types: Option<Vec<String>>,
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
}

impl std::fmt::Debug for SourceCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SourceCredentials").finish_non_exhaustive()
    }
}

/// The secret that signs deliveries to an endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointSecret {
    /// As the receiver needs it, such as `whsec_…`.
    pub text: String,
    /// Whether the configuration file gives it, so that it is changed there and not by the API.
    pub declared: bool,
}

impl std::fmt::Debug for EndpointSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EndpointSecret")
            .field("declared", &self.declared)
            .finish_non_exhaustive()
    }
}

/// A provider that can be named in a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProviderRow {
    /// The name used in the configuration.
    pub slug: String,
    /// The name for people.
    pub name: String,
    /// `proven` if its own SDK's signatures were verified, `declared` if only its document was read.
    pub status: String,
}

/// What the API may ask of the running gateway.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// Deliveries of this endpoint have become due: look at once.
    async fn wake(&self, endpoint: EndpointKey);

    /// An endpoint was made, changed or removed: this is how it is now.
    async fn endpoint_changed(&self, owner: Owner, endpoint: &Endpoint);

    /// An application or source was made, changed or removed (its endpoints with it): this is how
    /// it is now.
    async fn application_changed(&self, application: &Application);

    /// The retry schedules of event types have changed: these hold for an owner now.
    async fn retry_by_type_changed(&self, owner: Owner, schedules: HashMap<String, RetrySchedule>);

    /// Writes a copy of the store, and of what is needed to open it, to a folder that does not
    /// exist yet; answers with its size in bytes.
    ///
    /// # Errors
    /// What went wrong and what to do, for people.
    async fn backup(&self, folder: &Path) -> Result<u64, ControlError>;

    /// Seals every secret that was sealed with an older master key again with the newest one.
    ///
    /// # Errors
    /// What went wrong and what to do; what was sealed again stays so, and calling it again goes on.
    async fn keys_rotate(&self) -> Result<KeysRotated, ControlError>;

    /// Reads the configuration again and applies it; answers with what is worth a warning.
    ///
    /// # Errors
    /// What is wrong with the new configuration; the old one stays.
    async fn reload(&self) -> Result<Vec<String>, ControlError>;
}

/// What sealing the secrets again came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeysRotated {
    /// How many secrets were sealed again.
    pub rewrapped: u64,
    /// The version of the master key that seals now.
    pub version: u8,
}

/// The gateway did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ControlError {
    /// What went wrong, for people.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}
