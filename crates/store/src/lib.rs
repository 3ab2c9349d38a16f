//! What every store can do, as intentions: each method is one transaction.
//!
//! Invariants:
//! - Every call names whose data it touches ([`Owner`] or [`Scope`]); another owner's ids are
//!   answered as if they did not exist.
//! - [`Store::event_accept`] returns only when the event and its deliveries are on stable storage.
//! - Time is a parameter; secrets arrive sealed (see [`vault`]).
//! - Not found is `Ok(None)`; an error means that the store could not do what it was asked.
//!
//! Deliberately absent: SQL, files, transactions that span calls, decisions about retries.
//!
//! Where next: `store-sqlite` for the embedded store, `store-test` for what every store must pass.

mod error;
mod params;
pub mod vault;

pub use error::StoreError;
pub use params::{
    Accepted, AttemptFinish, AttemptRow, AttemptWrite, ConfigSnapshot, DedupeKey, DedupeKind,
    DeliveryRow, DuplicateRow, Endpoint, EndpointChange, EndpointDeclaration, EndpointDue,
    EventAccept, EventFilter, EventRow, FinishOutcome, LeaseToken, LeasedDelivery, Owner, Page,
    Planned, QuarantineRow, QuarantineWrite, Replayed, RetentionPolicy, Scope, Source,
    SourceDeclaration, StoreStats, StoredSecret, Swept,
};

use std::path::Path;

use async_trait::async_trait;
use becket_model::{
    AttemptId, DeliveryKey, EndpointId, EndpointKey, EventId, EventRecord, SourceId,
};

/// The result of every store call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A durable store of events, deliveries and attempts.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // --- configuration ---

    /// Makes the sources and endpoints of the operator's file known: new ones get ids and keys,
    /// known ones are updated, absent ones become [`becket_model::EndpointState::Removed`].
    /// Answers with everything that exists now, in the order of declaration.
    async fn config_declare(
        &self,
        owner: Owner,
        declared: Vec<SourceDeclaration>,
        now_ms: i64,
    ) -> Result<ConfigSnapshot>;

    /// All sources and endpoints of an owner, removed ones included.
    async fn config_list(&self, owner: Owner) -> Result<ConfigSnapshot>;

    /// Changes an endpoint; `None` if this owner has no such endpoint.
    async fn endpoint_change(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Result<Option<Endpoint>>;

    /// Reads a small named value, such as the hash of the first admin token.
    async fn setting_get(&self, owner: Owner, name: &str) -> Result<Option<Vec<u8>>>;

    /// Writes a small named value if it has none yet, and answers with the one that holds.
    async fn setting_init(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<Vec<u8>>;

    // --- events ---

    /// Deduplicates, stores the event with its planned deliveries, and returns when both are
    /// durable. A repeat answers with the first event; if all of that event's deliveries have
    /// failed for good, it is also replayed.
    async fn event_accept(&self, scope: Scope, accept: EventAccept) -> Result<Accepted>;

    /// One event without its bytes.
    async fn event_get(&self, scope: Scope, event: EventId) -> Result<Option<EventRow>>;

    /// The exact request of an event.
    async fn event_record(&self, scope: Scope, event: EventId) -> Result<Option<EventRecord>>;

    /// Events, newest first, from `page.before` downwards (or, with `page.after`, oldest first
    /// from there upwards).
    async fn event_list(
        &self,
        scope: Scope,
        filter: EventFilter,
        page: Page,
    ) -> Result<Vec<EventRow>>;

    /// The repeats of an event that were answered with its id, oldest first, at most `limit`.
    async fn duplicate_list(
        &self,
        scope: Scope,
        event: EventId,
        limit: usize,
    ) -> Result<Vec<DuplicateRow>>;

    // --- deliveries ---

    /// Every endpoint with deliveries that wait: how many at least, and when the earliest is due.
    /// Deliveries under lease do not count.
    async fn delivery_due(&self) -> Result<Vec<EndpointDue>>;

    /// Leases up to `limit` deliveries of an endpoint that are due at `now_ms`, oldest due first,
    /// until `now_ms + lease_ms`. Nobody else gets them before that.
    async fn delivery_lease(
        &self,
        endpoint: EndpointKey,
        now_ms: i64,
        lease_ms: u64,
        limit: usize,
    ) -> Result<Vec<LeasedDelivery>>;

    /// Gives leased deliveries back, due again at `due_ms`. Stale leases are passed over.
    async fn delivery_release(
        &self,
        deliveries: Vec<(DeliveryKey, LeaseToken)>,
        due_ms: i64,
    ) -> Result<()>;

    /// Starts a new delivery of an event to each given endpoint (or, if none is given, to each it
    /// was planned for), due at once; a delivery that is still pending is not started again but
    /// made due at once. `None` if there is no such event in the scope.
    async fn delivery_replay(
        &self,
        scope: Scope,
        event: EventId,
        endpoints: Vec<EndpointKey>,
        now_ms: i64,
    ) -> Result<Option<Vec<Replayed>>>;

    // --- attempts ---

    /// Records an attempt and moves its delivery, if the lease still holds.
    async fn attempt_finish(&self, finish: AttemptFinish) -> Result<FinishOutcome>;

    /// The attempts of an event, in the order they were made.
    async fn attempt_list(&self, scope: Scope, event: EventId) -> Result<Vec<AttemptRow>>;

    /// One attempt with its details.
    async fn attempt_get(&self, scope: Scope, attempt: AttemptId) -> Result<Option<AttemptRow>>;

    // --- quarantine ---

    /// Keeps a refused request for a bounded time. Best effort: never holds up an acknowledgement,
    /// and answers `false` when there was no room.
    async fn quarantine_put(&self, scope: Scope, refused: QuarantineWrite) -> Result<bool>;

    /// Refused requests, newest first, at most `limit`, below `before` (a row's `number`).
    async fn quarantine_list(
        &self,
        scope: Scope,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>>;

    // --- maintenance ---

    /// Removes what is older than the policy allows, in one small step.
    async fn retention_sweep(&self, policy: RetentionPolicy, now_ms: i64) -> Result<Swept>;

    /// Writes a consistent copy that can be opened as a store to a folder that does not exist yet.
    async fn backup(&self, folder: &Path) -> Result<u64>;

    /// Counts and sizes for metrics.
    async fn stats(&self) -> Result<StoreStats>;

    /// Whether a write would be accepted now; the reason if not. Cheap enough for a health check.
    fn health(&self) -> Result<()>;

    /// Finishes what is queued and closes. Later calls answer [`StoreError::Closed`].
    async fn close(&self) -> Result<()>;
}

/// Finds the source of an id in a snapshot.
impl ConfigSnapshot {
    /// The source with this id.
    #[must_use]
    pub fn source(&self, id: SourceId) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }
}
