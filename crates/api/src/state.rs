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
    ApplicationKey, ApplicationSettings, Clock, EndpointKey, EventId, EventRecord, Noise,
    RetrySchedule,
};
use becket_signature::Explanation;
use becket_store::accept::Handoff;
use becket_store::{Application, DedupeKey, Endpoint, Owner, Result, Scope, Store};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::activity::Activity;
use crate::auth::Auth;
use crate::elsewhere::Elsewhere;
use crate::handlers::problems::Standing;
use crate::handlers::transformations::StoredTransformation;
use crate::relay::Relay;
use crate::source_state::{
    SourceCredentials, SourceDetails, SourceTest, SourceTested, SourceTrouble, TestRefusal,
};

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
    /// The listeners of developers; the binary gives their deliveries to it.
    pub relay: Arc<Relay>,
    /// Counts of what is received and delivered; the binary notes in it, too, and writes it.
    pub activity: Arc<Activity>,
    /// How long the lease of a planned delivery holds, in milliseconds.
    pub lease_ms: u64,
    /// Counts posted events whose callers went away and that are being carried on: a stop waits
    /// until it is 0 before it closes the store.
    pub unfinished: Arc<AtomicUsize>,
    /// Tells what other nodes on the same store change.
    pub elsewhere: Arc<Elsewhere>,
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
    /// Everything that is wrong, without any secret.
    fn source_check(
        &self,
        settings: &ApplicationSettings,
        credentials: &SourceCredentials,
    ) -> Result<(), Vec<SourceTrouble>>;

    /// Whether deliveries may go to a URL that the API was given; if not, why.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    fn url_check(&self, url: &str, allow_private: bool) -> Result<(), String>;

    /// Whether anybody may read the event catalogue; off unless the operator switches it on.
    fn catalogue_public(&self) -> bool {
        false
    }

    /// The other place where people sign in, if the operator named one.
    fn sign_in(&self) -> Option<Arc<dyn SignIn>> {
        None
    }

    /// For how long the audit log is kept, in milliseconds.
    fn audit_kept_ms(&self) -> i64 {
        400 * 24 * 3_600_000
    }

    /// Every provider that can be named in a source, by slug.
    fn providers(&self) -> Vec<ProviderRow>;

    /// Everything that setting up a source of this provider takes; `None` when there is no such provider.
    fn provider(&self, slug: &str) -> Option<ProviderDetails>;
}

/// Another place where people sign in, by OpenID Connect's authorization code flow.
#[async_trait]
pub trait SignIn: Send + Sync + 'static {
    /// What people call it.
    fn name(&self) -> String;

    /// Changes with everything that decides who may do what; sessions end with it.
    fn mark(&self) -> String;

    /// The URL that a browser is sent to.
    ///
    /// # Errors
    /// When the place cannot be asked how.
    async fn begin(&self, begun: &SignInBegun) -> Result<String, SignInError>;

    /// Who came back with this code; proven by a token that the place has signed. `issuer` is who
    /// says to have sent the browser back, if that is said (RFC 9207).
    ///
    /// # Errors
    /// When it is not proven, or when whoever it is may not enter.
    async fn finish(
        &self,
        begun: &SignInBegun,
        code: &str,
        issuer: Option<&str>,
    ) -> Result<Person, SignInError>;
}

/// A sign-in elsewhere that is under way. All but `redirect_url` is random and used once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInBegun {
    /// Comes back in the URL.
    pub state: String,
    /// Comes back in the signed token.
    pub nonce: String,
    /// Proves that the code is redeemed by who asked for it (PKCE, RFC 7636).
    pub verifier: String,
    /// Where the browser comes back to.
    pub redirect_url: String,
}

impl std::fmt::Debug for SignInBegun {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SignInBegun").finish_non_exhaustive()
    }
}

/// Somebody who signed in elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who it is, there; stays the same.
    pub subject: String,
    /// For people.
    pub name: String,
    /// What they may do here.
    pub role: PersonRole,
    /// Whether they may see payloads.
    pub payloads: bool,
}

/// What somebody who signed in elsewhere may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PersonRole {
    /// Looking.
    Viewer,
    /// Everything but who may do what.
    Developer,
    /// Everything of the environment.
    Admin,
}

/// Why somebody was not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The place cannot be reached, or answers what it should not.
    #[error("the sign-in provider does not answer as it should: {0}")]
    Unreachable(String),
    /// What came back proves nothing.
    #[error("the sign-in could not be proven: {0}")]
    Unproven(String),
    /// Whoever it is has no role here.
    #[error("this person has no role here: {0}")]
    Unmapped(String),
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
    /// `proven` if something of the provider's own was compared, `declared` if documents were read, `own` if the
    /// entry is of the configuration file.
    pub status: String,
}

/// A provider with its set-up guide, for people who make a source.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderDetails {
    /// The name used in the configuration.
    pub slug: String,
    /// The name for people.
    pub name: String,
    /// As in [`ProviderRow::status`].
    pub status: String,
    /// `sdk`, `document` or `shared`, if it is proven.
    pub proof: Option<String>,
    /// Where the facts come from.
    pub facts_from: String,
    /// Where common descriptions of the provider are wrong.
    pub corrects: Option<String>,
    /// The provider's own page.
    pub docs_url: Option<String>,
    /// Where to click, what to copy, what to test; Markdown.
    pub guide: String,
    /// When the provider sends again, in words.
    pub retries: String,
    /// How long the provider waits for an answer, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// What a valid signature does not prove.
    pub warning: Option<String>,
    /// What has to be given.
    pub credentials: Vec<ProviderCredential>,
    /// Settings of the entry that may be given: name and meaning.
    pub parameters: BTreeMap<String, String>,
    /// Where the event type is.
    pub event_type_at: Vec<String>,
    /// Where the delivery id is.
    pub delivery_id_at: Vec<String>,
    /// The challenges that are answered by themselves.
    pub handshakes: Vec<String>,
    /// The networks that the provider publishes.
    pub networks: Vec<String>,
    /// Where it publishes them.
    pub networks_url: Option<String>,
    /// Small realistic events.
    pub samples: Vec<ProviderSample>,
}

/// One thing that a source of a provider needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProviderCredential {
    /// Its name.
    pub name: String,
    /// `secret`, `public_key` or `named`.
    pub kind: String,
    /// What the provider calls it.
    pub label: String,
    /// Whether a source works without it.
    pub optional: bool,
}

/// An event as the provider would send it, without its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderSample {
    /// Its event type, if the provider says one.
    pub event_type: Option<String>,
    /// Its method.
    pub method: String,
    /// The body's content type.
    pub content_type: String,
    /// The body.
    pub body: String,
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

    /// Whether the code of a transformation can be loaded and has a handler; if not, why and in which
    /// line.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    async fn transformation_check(
        &self,
        endpoint: EndpointKey,
        transformation: StoredTransformation,
    ) -> Result<(), String>;

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

    /// Lets one refused request out of quarantine: judged again with the secrets of now, and made
    /// an event on the way of what arrives. Doing it again changes nothing.
    ///
    /// # Errors
    /// When the store could not do it; then it is still in quarantine.
    async fn let_out(&self, scope: Scope, number: i64, how: LetOut) -> Result<LetOutcome>;

    /// What is wrong at the moment with what an owner has; what concerns the installation only for
    /// [`Owner::MAIN`].
    async fn problems(&self, owner: Owner) -> Result<Vec<Standing>>;

    /// Sends a request to a source as its provider would, signed with the source's own credentials,
    /// through everything that a request from outside goes through.
    ///
    /// # Errors
    /// Why none was sent; a request that was sent and refused is no error.
    async fn source_test(
        &self,
        source: &Application,
        test: SourceTest,
    ) -> Result<SourceTested, TestRefusal>;

    /// The nodes that share the store, this one included, and what is to be known of the database;
    /// without others, what the store is.
    fn nodes(&self) -> NodesShown {
        NodesShown { store: "sqlite", nodes: Vec::new(), advice: Vec::new() }
    }

    /// This node's number among several that share the store; `None` where only one may.
    fn node(&self) -> Option<u32> {
        None
    }

    /// Whether a node of this number is there, as far as is known.
    fn node_lives(&self, _number: u32) -> bool {
        false
    }

    /// Whether what only one of several nodes is to do is for this one.
    fn is_first_node(&self) -> bool {
        true
    }

    /// Lets this node lease deliveries of an endpoint that another one delivers to, or no longer.
    fn lend(&self, _endpoint: EndpointKey, _lent: bool) {}

    /// Reads the configuration again and applies it; answers with what is worth a warning.
    ///
    /// # Errors
    /// What is wrong with the new configuration; the old one stays.
    async fn reload(&self) -> Result<Vec<String>, ControlError>;
}

/// The nodes that share the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodesShown {
    /// `sqlite` or `postgres`.
    pub store: &'static str,
    /// All of them, by number; empty where only one process may use the store.
    pub nodes: Vec<NodeShown>,
    /// What an operator should know about the database.
    pub advice: Vec<AdviceShown>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeShown {
    /// Its number, never given out twice.
    pub number: u32,
    /// Its name for people.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// What it does: `ingress`, `engine`, `api`.
    pub roles: Vec<&'static str>,
    /// To how many of the 256 shards of endpoints it delivers.
    pub shards: u32,
    /// When it joined, in milliseconds since 1970.
    pub joined_at_ms: i64,
    /// How long its membership still holds without being renewed, in milliseconds.
    pub expires_in_ms: i64,
    /// Whether it is the one that answers.
    pub own: bool,
}

/// Something about the database that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdviceShown {
    /// A stable code.
    pub code: &'static str,
    /// What is wrong, to what, and what to do.
    pub text: String,
    /// Whether data or service is at risk now.
    pub urgent: bool,
}

/// Who lets a refused request out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetOut {
    /// Who asks: the name of a token.
    pub by: String,
    /// Why it is let out even if it cannot be verified; without a reason it has to be genuine.
    pub reason: Option<String>,
}

/// What became of a refused request that was to be let out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetOutcome {
    /// It is an event now.
    Accepted(EventId),
    /// It is the repeat of this event, which came otherwise.
    Repeat(EventId),
    /// It stays in quarantine.
    Stays {
        /// Why: a stable code.
        code: String,
        /// The same in words.
        words: String,
    },
    /// It is not in quarantine, or no longer.
    Absent,
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
