//! Documents: small things that the API keeps and finds by kind and name, such as event types.
//!
//! A store orders documents of a kind by name and knows nothing of what is in them. A document
//! belongs to an owner, or to one of the owner's applications; removing the application removes
//! its documents.

use becket_model::ApplicationKey;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentKind {
    /// An event type, by its name.
    EventType,
    /// A token that opens the API, by its id.
    Token,
    /// Work in the background, by its id.
    Task,
    /// The first answer to a request with an idempotency key, by a hash.
    Answer,
    /// A program that acts for an application, by its id.
    Integration,
    /// The transformation of an endpoint, by the endpoint's id.
    Transformation,
    /// Settings of an owner, by name.
    Setting,
    /// A tenant of the installation, by its number; belongs to [`crate::Owner::MAIN`].
    Environment,
    /// A one-time code that is exchanged for a token, by a hash.
    OneTimeCode,
    /// Somebody who is signed in with a browser, by the hash of what the cookie holds.
    Session,
    /// What somebody did, by an id that grows with time.
    Audit,
    /// What was received and delivered in a stretch of time, by its beginning.
    Activity,
}

impl DocumentKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::EventType,
        Self::Token,
        Self::Task,
        Self::Answer,
        Self::Integration,
        Self::Transformation,
        Self::Setting,
        Self::Environment,
        Self::OneTimeCode,
        Self::Session,
        Self::Audit,
        Self::Activity,
    ];

    /// A stable word, as a store keeps it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventType => "event-type",
            Self::Token => "token",
            Self::Task => "task",
            Self::Answer => "answer",
            Self::Integration => "integration",
            Self::Transformation => "transformation",
            Self::Setting => "setting",
            Self::Environment => "environment",
            Self::OneTimeCode => "one-time-code",
            Self::Session => "session",
            Self::Audit => "audit",
            Self::Activity => "activity",
        }
    }
}

/// Names a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentName {
    /// What it is.
    pub kind: DocumentKind,
    /// The application it belongs to, if it is not the owner's.
    pub application: Option<ApplicationKey>,
    /// Its name, unique for owner, kind and application.
    pub name: String,
}

impl DocumentName {
    /// A document of the owner.
    #[must_use]
    pub fn of_owner(kind: DocumentKind, name: impl Into<String>) -> Self {
        Self { kind, application: None, name: name.into() }
    }

    /// A document of an application.
    #[must_use]
    pub fn of(kind: DocumentKind, application: ApplicationKey, name: impl Into<String>) -> Self {
        Self { kind, application: Some(application), name: name.into() }
    }
}

/// What is in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentContent {
    /// JSON.
    pub body: String,
    /// What only the master key opens ([`crate::vault::place::document`]).
    pub sealed: Option<Vec<u8>>,
    /// When it is forgotten, in milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
}

/// A document that the store keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub name: DocumentName,
    /// What is in it.
    pub content: DocumentContent,
    /// Counts its changes from 1; a document made again goes on counting nowhere.
    pub revision: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it was last changed, in milliseconds since 1970.
    pub updated_at_ms: i64,
}

/// Under which condition a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteIf {
    /// Only if there is none of this name (an expired one does not count).
    Absent,
    /// Only if it is still in this revision.
    Revision(u64),
    /// In any case.
    Always,
}

/// What became of a document that was to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is new.
    Created(Document),
    /// It was there and has been replaced.
    Replaced(Document),
    /// The condition does not hold; this is what is there, if anything.
    Refused(Option<Document>),
}

/// How many events of a type an application has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCount {
    /// The application or source.
    pub application: ApplicationKey,
    /// The event type; `None` counts those without one.
    pub event_type: Option<String>,
    /// How many events.
    pub events: u64,
    /// How many deliveries were planned for them.
    pub deliveries: u64,
}

/// How the last deliveries of events to an endpoint stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryCounts {
    /// Taken by the endpoint.
    pub delivered: u64,
    /// Given up.
    pub failed: u64,
    /// Waiting for their next attempt.
    pub waiting: u64,
    /// Under lease: an attempt is being made, or about to be.
    pub leased: u64,
}
