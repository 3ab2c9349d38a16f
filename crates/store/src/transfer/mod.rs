//! Moving everything that a store keeps into another store, of the same kind or not.
//!
//! Invariants:
//! - Ids, keys, places, revisions, times and bytes arrive as they were; secrets stay sealed.
//! - Everything goes in a fixed order ([`Kind::ALL`], then by [`Place`]), a chunk in one transaction.
//!   What a target holds is therefore always a beginning of its source, and its last item is where a
//!   move that was broken off goes on: there is no other bookkeeping that could disagree with it.
//! - A target that holds only a part says so ([`Moving`]), and no gateway opens it.
//! - A target becomes a store only after every item was read back from it and compared, as many as the
//!   source counts, and nobody has used the source since the move began.
//!
//! Deliberately absent: moving while a gateway works on either side; opening secrets.
//!
//! Where next: [`Transfer`] is what a store offers, [`move_store`] and [`verify`] are what is done
//! with it, `encode` says how items are compared.

mod encode;
mod error;
mod item;
mod run;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Result, StoreError};

pub use error::TransferError;
pub use item::{
    ApplicationItem, AttemptItem, Chunk, DocumentItem, EndpointItem, EventItem, Kind, PendingItem,
    Place, RefusedItem, ReplayItem, SecretItem, SettingItem,
};
pub use run::{Progress, Report, Step, Verified, move_store, verify};

/// A chunk is ended by this many items...
pub const CHUNK_ITEMS: usize = 2_000;
/// ...or by about this many bytes, whichever comes first. One item may be larger than that.
pub const CHUNK_BYTES: usize = 8 << 20;
/// The owner of a setting that is the store's own: nobody's, and never moved.
pub const OWN_SETTINGS: u32 = 0;
/// The name of the setting that marks a store that holds only a part of another one.
pub const MOVING_SETTING: &str = "moving";

/// How much a store holds, and how far its numbers have gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Applications and sources, removed ones included.
    pub applications: u64,
    /// Endpoints, removed ones included.
    pub endpoints: u64,
    /// Documents, expired ones included.
    pub documents: u64,
    /// Settings.
    pub settings: u64,
    /// Events.
    pub events: u64,
    /// Refused requests in quarantine.
    pub refused: u64,
    /// Deliveries that have not ended, of events that are there.
    pub pending: u64,
    /// The place of the newest event; 0 if there is none.
    pub last_event: i64,
    /// The highest number that a document has had, removed ones included.
    pub document_number: i64,
    /// The highest number that a refused request has had, removed ones included.
    pub refused_number: i64,
}

impl Tally {
    /// How many items of a kind.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Application => self.applications,
            Kind::Endpoint => self.endpoints,
            Kind::Document => self.documents,
            Kind::Setting => self.settings,
            Kind::Event => self.events,
            Kind::Refused => self.refused,
        }
    }

    /// Whether there is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.of(kind) == 0)
    }

    /// Whether there are as many items of each kind and pending deliveries as `other` says.
    #[must_use]
    pub fn holds_as_much_as(&self, other: &Self) -> bool {
        let items = Kind::ALL.into_iter().all(|kind| self.of(kind) == other.of(kind));
        items && self.pending == other.pending
    }
}

/// What a target remembers of a move until it is finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// Where it comes from, for people; holds no password.
    pub source: String,
    /// What the source held when the move began, as a hash in hex.
    pub fingerprint: String,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
}

impl Moving {
    /// The mark as it stands in [`MOVING_SETTING`].
    ///
    /// # Errors
    /// None in practice; what JSON says otherwise.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| StoreError::Database {
            operation: "begin a move",
            detail: error.to_string(),
        })
    }

    /// Reads the mark of the store called `path`.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if it is none.
    pub fn from_bytes(bytes: &[u8], path: &str) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| StoreError::Unusable {
            path: path.to_owned(),
            detail: format!(
                "its mark of an unfinished move cannot be read ({error}); \
                 remove what is there and move again"
            ),
        })
    }

    /// Why a gateway does not open the store called `path`.
    #[must_use]
    pub fn refusal(&self, path: &str) -> StoreError {
        StoreError::Unusable {
            path: path.to_owned(),
            detail: format!(
                "it holds only a part of {}, because moving it here was broken off; run the same \
                 `becket migrate-store` again, which goes on where it stopped, or remove what is \
                 there and go on using {}",
                self.source, self.source
            ),
        }
    }
}

/// A store that is opened for being moved: nobody else uses it meanwhile.
#[async_trait]
pub trait Transfer: Send + Sync {
    /// What it is called, for people; without a password.
    fn name(&self) -> String;

    /// How much there is.
    async fn tally(&self) -> Result<Tally>;

    /// The items of a kind that come after a place, in order: at least one if there is any, and
    /// about [`CHUNK_ITEMS`] or [`CHUNK_BYTES`] at most.
    async fn read(&self, kind: Kind, after: Option<Place>) -> Result<Chunk>;

    /// The mark of a move that has not been finished.
    async fn moving(&self) -> Result<Option<Moving>>;

    /// Marks an empty store as one that holds a part of another.
    async fn begin(&self, moving: &Moving) -> Result<()>;

    /// The place of the last item of a kind.
    async fn last(&self, kind: Kind) -> Result<Option<Place>>;

    /// Writes a chunk whose items come after all of their kind that are there, in one transaction
    /// that is on disk when this returns.
    async fn write(&self, chunk: Chunk) -> Result<()>;

    /// Makes a store of what was written: numbers go on above the source's, what is derived is made,
    /// and the mark goes. May be repeated.
    async fn finish(&self, source: &Tally, now_ms: i64) -> Result<()>;

    /// Whether somebody else has used it since it was opened, as far as that leaves a trace.
    async fn was_used(&self) -> Result<bool>;

    /// Ends the use of it.
    async fn close(&self) -> Result<()>;
}
