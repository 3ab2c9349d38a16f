//! What the API needs from the rest of the gateway, as traits that the binary implements.
//!
//! Invariants: the API reads and changes data only through the store; everything else that it needs
//! (the running configuration, the engine, the host) is one of these calls.
//!
//! Deliberately absent: implementations.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use becket_model::{ApplicationKey, Clock, EndpointKey, EventRecord, Noise};
use becket_signature::Explanation;
use becket_store::{DedupeKey, Endpoint, Owner, Result, Store};
use serde::Serialize;
use tokio::sync::watch;

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

    /// The public URL at which a source with this name receives.
    fn receiving_url(&self, source_uid: &str) -> String;

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

    /// Seals a secret that is to sign deliveries to an endpoint.
    ///
    /// # Errors
    /// When there is no master key.
    fn seal_endpoint_secret(&self, endpoint: &Endpoint, secret: &str) -> Result<Vec<u8>>;

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

    /// An endpoint was paused, resumed, enabled, disabled or got another secret: read it again.
    async fn endpoints_changed(&self, owner: Owner);

    /// Writes a copy of the store, and of what is needed to open it, to a folder that does not
    /// exist yet; answers with its size in bytes.
    ///
    /// # Errors
    /// What went wrong and what to do, for people.
    async fn backup(&self, folder: &Path) -> Result<u64, ControlError>;

    /// Reads the configuration again and applies it; answers with what is worth a warning.
    ///
    /// # Errors
    /// What is wrong with the new configuration; the old one stays.
    async fn reload(&self) -> Result<Vec<String>, ControlError>;
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
