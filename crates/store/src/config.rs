//! Owners, applications and endpoints as a store keeps them, and how they change.

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, ApplicationSettings, EndpointId, EndpointKey,
    EndpointSettings, EndpointState, Origin, SourceId,
};

/// Whose data a call touches: a tenant of this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(u32);

impl Owner {
    /// The one owner of an installation that serves a single team.
    pub const MAIN: Self = Self(1);

    /// The owner with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number, as a store keeps it.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// An owner's data, all of it or one application's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Whose data.
    pub owner: Owner,
    /// Only this application or source, if given.
    pub application: Option<ApplicationKey>,
}

impl Scope {
    /// Everything an owner has.
    #[must_use]
    pub const fn all(owner: Owner) -> Self {
        Self { owner, application: None }
    }

    /// One application or source of an owner.
    #[must_use]
    pub const fn of(owner: Owner, application: ApplicationKey) -> Self {
        Self { owner, application: Some(application) }
    }
}

/// A source as the operator's file declares it.
#[derive(Debug, Clone)]
pub struct SourceDeclaration {
    /// The name in the file, which is also the last part of the receiving URL.
    pub uid: String,
    /// The slug of its provider.
    pub provider: String,
    /// A fresh id, used if the source is new.
    pub id: ApplicationId,
    /// Its endpoints.
    pub endpoints: Vec<EndpointDeclaration>,
}

/// An endpoint as the operator's file declares it.
#[derive(Debug, Clone)]
pub struct EndpointDeclaration {
    /// The name in the file, unique within its source.
    pub uid: String,
    /// How it is called.
    pub settings: EndpointSettings,
    /// A fresh id, used if the endpoint is new.
    pub id: EndpointId,
    /// A fresh sealed secret, kept if the endpoint has none and the file gives none.
    pub secret: Vec<u8>,
}

/// All applications and endpoints of an owner, removed ones included.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigSnapshot {
    /// The applications of every kind, in the order of their keys.
    pub applications: Vec<Application>,
    /// The endpoints, in the order of their keys.
    pub endpoints: Vec<Endpoint>,
}

impl ConfigSnapshot {
    /// The sources among the applications.
    pub fn sources(&self) -> impl DoubleEndedIterator<Item = &Application> {
        self.applications.iter().filter(|known| known.kind == ApplicationKind::Source)
    }

    /// The source with this id.
    #[must_use]
    pub fn source(&self, id: SourceId) -> Option<&Application> {
        self.sources().find(|source| source.id.source() == id)
    }

    /// The application with this number.
    #[must_use]
    pub fn application(&self, key: ApplicationKey) -> Option<&Application> {
        let at = self.applications.binary_search_by_key(&key, |known| known.key).ok()?;
        self.applications.get(at)
    }
}

/// An application or source that the store knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Application {
    /// Its number in the store, never given out twice.
    pub key: ApplicationKey,
    /// Whose it is.
    pub owner: Owner,
    /// What it is for.
    pub kind: ApplicationKind,
    /// Its public id.
    pub id: ApplicationId,
    /// Its name, unique among the owner's applications of its kind that are not removed. A source
    /// of the file always has one.
    pub uid: Option<String>,
    /// Who wrote it.
    pub origin: Origin,
    /// What is set for it.
    pub settings: ApplicationSettings,
    /// The sealed credentials with which a source verifies, if the API made it
    /// ([`crate::vault::place::application_credentials`]).
    pub credentials: Option<Vec<u8>>,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it was last changed, in milliseconds since 1970.
    pub updated_at_ms: i64,
    /// Whether it was removed, or is no longer declared.
    pub removed: bool,
}

impl Application {
    /// Its name for people: the uid, or else the id.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.uid, self.kind) {
            (Some(uid), _) => uid.clone(),
            (None, ApplicationKind::Source) => self.id.source().to_string(),
            (None, _) => self.id.to_string(),
        }
    }

    /// The beginning of a change that is thought out from this: it is made only if nobody else has
    /// changed the application since it was read.
    #[must_use]
    pub fn change(&self) -> ApplicationChange {
        ApplicationChange { read: Some(Box::new(self.clone())), ..ApplicationChange::default() }
    }
}

/// An application to be made by the API.
#[derive(Debug, Clone)]
pub struct ApplicationNew {
    /// What it is for.
    pub kind: ApplicationKind,
    /// A fresh id.
    pub id: ApplicationId,
    /// Its name, if it gets one.
    pub uid: Option<String>,
    /// What is set for it.
    pub settings: ApplicationSettings,
    /// Sealed credentials, for a source.
    pub credentials: Option<Vec<u8>>,
}

/// A change of an application; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ApplicationChange {
    /// The application as it was read to think out the change. If another name, other settings, other
    /// credentials or another origin are found, nothing is changed ([`Changed::Meanwhile`]).
    pub read: Option<Box<Application>>,
    /// The new name, or none any more.
    pub uid: Option<Option<String>>,
    /// The new settings.
    pub settings: Option<ApplicationSettings>,
    /// New sealed credentials.
    pub credentials: Option<Vec<u8>>,
    /// Removes it and its endpoints: it is no longer found by name, what was pending counts as
    /// cancelled, and its uid is free again. For good.
    pub remove: bool,
}

impl ApplicationChange {
    /// Whether an application is still as it was read for this change.
    #[must_use]
    pub fn fits(&self, known: &Application) -> bool {
        self.read.as_ref().is_none_or(|read| {
            read.origin == known.origin
                && read.uid == known.uid
                && read.settings == known.settings
                && read.credentials == known.credentials
        })
    }
}

/// How an application or endpoint is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name<Id> {
    /// By its public id.
    Id(Id),
    /// By the name that its owner gave it.
    Uid(String),
}

/// An endpoint that the store knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Its number in the store, never given out twice.
    pub key: EndpointKey,
    /// Its public id.
    pub id: EndpointId,
    /// Its name, unique within its application among those not removed. One of the file always has
    /// one.
    pub uid: Option<String>,
    /// The application or source it belongs to.
    pub application: ApplicationKey,
    /// Who wrote it.
    pub origin: Origin,
    /// How it is called. The values of its headers are in `headers` if the API set them.
    pub settings: EndpointSettings,
    /// The sealed headers that the API set, as a JSON object
    /// ([`crate::vault::place::endpoint_headers`]).
    pub headers: Option<Vec<u8>>,
    /// Whether it takes deliveries.
    pub state: EndpointState,
    /// Why it is paused or disabled; empty if it is not.
    pub state_reason: String,
    /// Since when every attempt has failed, in milliseconds since 1970.
    pub failing_since_ms: Option<i64>,
    /// The sealed secrets that sign, newest first.
    pub secrets: Vec<StoredSecret>,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it was last changed, in milliseconds since 1970.
    pub updated_at_ms: i64,
}

impl Endpoint {
    /// Its name for people: the uid, or else the id.
    #[must_use]
    pub fn name(&self) -> String {
        self.uid.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// The change to another name and other settings, thought out from this.
    #[must_use]
    pub fn edit(&self, uid: Option<String>, settings: EndpointSettings) -> EndpointChange {
        EndpointChange::Edit { read: Box::new(self.clone()), uid, settings: Box::new(settings) }
    }

    /// The change to other sealed headers, thought out from this.
    #[must_use]
    pub fn with_headers(&self, headers: Option<Vec<u8>>) -> EndpointChange {
        EndpointChange::Headers { read: Box::new(self.clone()), headers }
    }
}

/// An endpoint to be made by the API.
#[derive(Debug, Clone)]
pub struct EndpointNew {
    /// Whose it will be.
    pub application: ApplicationKey,
    /// A fresh id.
    pub id: EndpointId,
    /// Its name, if it gets one.
    pub uid: Option<String>,
    /// How it is called.
    pub settings: EndpointSettings,
    /// Sealed headers, if it gets any.
    pub headers: Option<Vec<u8>>,
    /// Its first sealed secret.
    pub secret: Vec<u8>,
    /// Whether it takes deliveries from the start.
    pub state: EndpointState,
}

/// A sealed secret with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The sealed bytes (see [`crate::vault`]).
    pub envelope: Vec<u8>,
    /// Until when it signs, in milliseconds since 1970; `None` for the current one.
    pub expires_at_ms: Option<i64>,
}

/// A change of an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum EndpointChange {
    /// Sets whether it takes deliveries, and why. Enabling forgets its failures. `Removed` is for
    /// good when the API made the endpoint: its uid is free again.
    State {
        /// The new state.
        state: EndpointState,
        /// Why, for people.
        reason: String,
    },
    /// Sets or clears since when it has been failing.
    FailingSince(Option<i64>),
    /// Puts a new sealed secret in front; the old ones sign until `old_expire_at_ms`.
    RotateSecret {
        /// The new sealed secret.
        envelope: Vec<u8>,
        /// Until when the old ones sign, in milliseconds since 1970.
        old_expire_at_ms: i64,
    },
    /// Replaces name and settings; the state stays. See [`Endpoint::edit`].
    Edit {
        /// The endpoint as it was read. If another name, other settings or another origin are found,
        /// nothing is changed ([`Changed::Meanwhile`]).
        read: Box<Endpoint>,
        /// The new name, or none.
        uid: Option<String>,
        /// The new settings.
        settings: Box<EndpointSettings>,
    },
    /// Replaces the sealed headers. See [`Endpoint::with_headers`].
    Headers {
        /// The endpoint as it was read. If other headers or another origin are found, nothing is
        /// changed ([`Changed::Meanwhile`]).
        read: Box<Endpoint>,
        /// The new headers, or none.
        headers: Option<Vec<u8>>,
    },
}

impl EndpointChange {
    /// Whether an endpoint is still as it was read for this change. What the engine notes (state,
    /// failures) does not count.
    #[must_use]
    pub fn fits(&self, known: &Endpoint) -> bool {
        match self {
            Self::Edit { read, .. } => {
                read.origin == known.origin
                    && read.uid == known.uid
                    && read.settings == known.settings
            }
            Self::Headers { read, .. } => {
                read.origin == known.origin && read.headers == known.headers
            }
            Self::State { .. } | Self::FailingSince(_) | Self::RotateSecret { .. } => true,
        }
    }
}

/// What became of making something with a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Created<T> {
    /// It was made.
    New(T),
    /// Something that is not removed has the name already: this.
    NameTaken(T),
    /// What it should belong to does not exist for this owner.
    NoParent,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed<T> {
    /// It was changed, and is like this now.
    Done(T),
    /// Something else that is not removed has the new name already; nothing was changed.
    NameTaken,
    /// There is no such thing for this owner (removed ones do not count).
    Absent,
    /// Somebody else has changed it since it was read for this change; nothing was changed. Read it
    /// again and think again.
    Meanwhile,
}

impl<T> Changed<T> {
    /// What was changed, if it was.
    #[must_use]
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::NameTaken | Self::Absent | Self::Meanwhile => None,
        }
    }
}

/// Which part of a list that is ordered by id, which is by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice<Id> {
    /// At most this many.
    pub limit: usize,
    /// Only what comes behind this one in the order of the list.
    pub after: Option<Id>,
    /// Newest first instead of oldest first.
    pub descending: bool,
}

impl<Id> Slice<Id> {
    /// The oldest `limit`.
    #[must_use]
    pub const fn oldest(limit: usize) -> Self {
        Self { limit, after: None, descending: false }
    }
}

/// Where a sealed secret is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EnvelopeAt {
    /// A signing secret of an endpoint, with its number.
    EndpointSecret(EndpointKey, u32),
    /// The headers of an endpoint.
    EndpointHeaders(EndpointKey),
    /// The credentials of a source.
    ApplicationCredentials(ApplicationKey),
    /// The sealed part of a document, by the store's own number.
    Document(i64),
}

/// A sealed secret, to be sealed again under another master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where it is kept.
    pub at: EnvelopeAt,
    /// What it was sealed for (see [`crate::vault::place`]).
    pub place: String,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}
