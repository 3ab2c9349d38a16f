//! What is moved: plain values, near to how every store keeps them.

use becket_model::{
    ApplicationKey, ApplicationKind, AttemptId, Disposition, EndpointId, EndpointKey,
    EndpointState, EventId, EventSeq, NextStep, Origin, Trigger,
};
use bytes::Bytes;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An application or source.
    Application,
    /// An endpoint with its secrets.
    Endpoint,
    /// A document.
    Document,
    /// A setting.
    Setting,
    /// An event with all that has become of it.
    Event,
    /// A refused request in quarantine.
    Refused,
}

impl Kind {
    /// All kinds, in the order in which they are moved: what others point at comes first.
    pub const ALL: [Self; 6] = [
        Self::Application,
        Self::Endpoint,
        Self::Document,
        Self::Setting,
        Self::Event,
        Self::Refused,
    ];

    /// What many of them are called.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Application => "applications",
            Self::Endpoint => "endpoints",
            Self::Document => "documents",
            Self::Setting => "settings",
            Self::Event => "events",
            Self::Refused => "refused requests",
        }
    }
}

/// Where an item stands among those of its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// By its number: the key of an application or endpoint, the place of an event, the number of a
    /// document or refused request.
    Number(i64),
    /// By owner and name: a setting.
    Named(u32, String),
}

impl Place {
    /// The number, if it has one; what comes before all numbers otherwise.
    #[must_use]
    pub fn number(after: Option<&Self>) -> i64 {
        match after {
            Some(Self::Number(number)) => *number,
            _ => i64::MIN,
        }
    }

    /// The owner and name, if it has them; what comes before all names otherwise.
    #[must_use]
    pub fn named(after: Option<&Self>) -> (u32, &str) {
        match after {
            Some(Self::Named(owner, name)) => (*owner, name),
            _ => (super::OWN_SETTINGS, "\u{10FFFF}"),
        }
    }
}

/// An application or source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationItem {
    /// Its number.
    pub key: ApplicationKey,
    /// The number of its owner.
    pub owner: u32,
    /// What it is for.
    pub kind: ApplicationKind,
    /// Its public id.
    pub id: [u8; 20],
    /// Its name.
    pub uid: Option<String>,
    /// Who wrote it.
    pub origin: Origin,
    /// What is set for it, as the JSON that is kept.
    pub settings: String,
    /// Its sealed credentials.
    pub credentials: Option<Vec<u8>>,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it was last changed, in milliseconds since 1970.
    pub updated_at_ms: i64,
    /// Whether it was removed.
    pub removed: bool,
}

/// A sealed secret of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretItem {
    /// Its number within the endpoint; the highest one signs.
    pub number: u32,
    /// The sealed bytes.
    pub envelope: Vec<u8>,
    /// Until when it signs, in milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointItem {
    /// Its number.
    pub key: EndpointKey,
    /// The application it belongs to.
    pub application: ApplicationKey,
    /// Its name.
    pub uid: Option<String>,
    /// Its public id.
    pub id: EndpointId,
    /// Who wrote it.
    pub origin: Origin,
    /// How it is called, as the JSON that is kept.
    pub settings: String,
    /// Its sealed headers.
    pub headers: Option<Vec<u8>>,
    /// Whether it takes deliveries.
    pub state: EndpointState,
    /// Why it is paused or disabled.
    pub state_reason: String,
    /// Since when every attempt has failed, in milliseconds since 1970.
    pub failing_since_ms: Option<i64>,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it was last changed, in milliseconds since 1970.
    pub updated_at_ms: i64,
    /// Its secrets, by rising number.
    pub secrets: Vec<SecretItem>,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentItem {
    /// The store's number of it.
    pub number: i64,
    /// The number of its owner.
    pub owner: u32,
    /// What it is, as the word that is kept.
    pub kind: String,
    /// The key of the application it belongs to; 0 if it is the owner's own.
    pub application: u32,
    /// Its name.
    pub name: String,
    /// JSON.
    pub body: String,
    /// Its sealed part.
    pub sealed: Option<Vec<u8>>,
    /// When it is forgotten, in milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// How often it was written.
    pub revision: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it was last written, in milliseconds since 1970.
    pub updated_at_ms: i64,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingItem {
    /// The number of its owner.
    pub owner: u32,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// A delivery that was started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplayItem {
    /// From 1.
    pub generation: u16,
    /// Where it goes.
    pub endpoint: EndpointKey,
}

/// A delivery that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingItem {
    /// Where it goes.
    pub endpoint: EndpointKey,
    /// 0 for what was planned on receipt.
    pub generation: u16,
    /// How many attempts have ended.
    pub attempts: u32,
    /// When it is due, in milliseconds since 1970.
    pub due_ms: i64,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptItem {
    /// Where it went.
    pub endpoint: EndpointKey,
    /// Of which delivery to that endpoint.
    pub generation: u16,
    /// Counted from 1 within its delivery.
    pub number: u32,
    /// What became of the delivery.
    pub next: NextStep,
    /// The random end of its id.
    pub tail: [u8; 6],
    /// Why the delivery exists.
    pub trigger: Trigger,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The stable code of what went wrong.
    pub error_code: Option<String>,
    /// Request, response and timings as JSON.
    pub detail: Bytes,
}

impl AttemptItem {
    /// Its public id, for an attempt of the event at this place.
    #[must_use]
    pub fn id(&self, event: EventSeq) -> AttemptId {
        AttemptId::new(self.started_at_ms, event, self.tail)
    }
}

/// An event with all that has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventItem {
    /// Its id, which begins with its place.
    pub id: EventId,
    /// The source it belongs to.
    pub application: ApplicationKey,
    /// When it arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// What was decided about it.
    pub disposition: Disposition,
    /// By what repeats of it are found, and until when, in milliseconds since 1970.
    pub dedupe: Option<([u8; 16], i64)>,
    /// When its payload is to be removed, in milliseconds since 1970, if it is still there.
    pub payload_until_ms: Option<i64>,
    /// Its type.
    pub event_type: Option<String>,
    /// What it says about itself, as the JSON that is kept.
    pub labels: Option<String>,
    /// Where it was planned to go on receipt.
    pub planned: Vec<EndpointKey>,
    /// The packed request.
    pub record: Bytes,
    /// Deliveries that were started again.
    pub replays: Vec<ReplayItem>,
    /// Attempts, by endpoint, generation and number.
    pub attempts: Vec<AttemptItem>,
    /// Deliveries that have not ended, by endpoint and generation.
    pub pending: Vec<PendingItem>,
    /// When its repeats arrived, in the order in which they were recorded.
    pub duplicates: Vec<i64>,
}

impl EventItem {
    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let details: usize = self.attempts.iter().map(|one| one.detail.len() + 160).sum();
        self.record.len()
            + details
            + 400
            + self.labels.as_ref().map_or(0, String::len)
            + 24 * (self.pending.len() + self.planned.len() + self.duplicates.len())
    }
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedItem {
    /// Its number.
    pub number: i64,
    /// The source it was sent to.
    pub application: ApplicationKey,
    /// When it arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// The stable code of the refusal.
    pub code: String,
    /// The refusal in words.
    pub reason: String,
    /// The status it was answered with.
    pub status: u16,
    /// The packed request.
    pub record: Bytes,
}

/// Items of one kind, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Applications.
    Applications(Vec<ApplicationItem>),
    /// Endpoints.
    Endpoints(Vec<EndpointItem>),
    /// Documents.
    Documents(Vec<DocumentItem>),
    /// Settings.
    Settings(Vec<SettingItem>),
    /// Events.
    Events(Vec<EventItem>),
    /// Refused requests.
    Refused(Vec<RefusedItem>),
}

impl Chunk {
    /// How many items.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Applications(list) => list.len(),
            Self::Endpoints(list) => list.len(),
            Self::Documents(list) => list.len(),
            Self::Settings(list) => list.len(),
            Self::Events(list) => list.len(),
            Self::Refused(list) => list.len(),
        }
    }

    /// Whether there are none: the kind has been read to its end.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where its last item stands.
    #[must_use]
    pub fn last(&self) -> Option<Place> {
        self.place(self.len().checked_sub(1)?)
    }

    /// Where an item stands.
    #[must_use]
    pub fn place(&self, at: usize) -> Option<Place> {
        match self {
            Self::Applications(list) => list.get(at).map(|one| Place::Number(one.key.0.into())),
            Self::Endpoints(list) => list.get(at).map(|one| Place::Number(one.key.0.into())),
            Self::Documents(list) => list.get(at).map(|one| Place::Number(one.number)),
            Self::Settings(list) => {
                list.get(at).map(|one| Place::Named(one.owner, one.name.clone()))
            }
            Self::Events(list) => list.get(at).map(|one| Place::Number(one.id.seq().0)),
            Self::Refused(list) => list.get(at).map(|one| Place::Number(one.number)),
        }
    }

    /// How many deliveries of an item have not ended.
    #[must_use]
    pub fn pending(&self, at: usize) -> usize {
        match self {
            Self::Events(list) => list.get(at).map_or(0, |one| one.pending.len()),
            _ => 0,
        }
    }

    /// What an item is called, for people: its id, or its name.
    #[must_use]
    pub fn name(&self, at: usize) -> String {
        let name = match self {
            Self::Applications(list) => list.get(at).map(|one| {
                let name = one.uid.as_ref().map_or_else(String::new, |uid| format!(" `{uid}`"));
                format!("application {}{name}", one.key.0)
            }),
            Self::Endpoints(list) => list.get(at).map(|one| format!("endpoint {}", one.id)),
            Self::Documents(list) => list
                .get(at)
                .map(|one| format!("document {} ({} `{}`)", one.number, one.kind, one.name)),
            Self::Settings(list) => {
                list.get(at).map(|one| format!("setting `{}` of owner {}", one.name, one.owner))
            }
            Self::Events(list) => list.get(at).map(|one| format!("event {}", one.id)),
            Self::Refused(list) => {
                list.get(at).map(|one| format!("refused request {}", one.number))
            }
        };
        name.unwrap_or_default()
    }
}
