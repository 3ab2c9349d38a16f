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

pub mod accept;
pub mod activity;
pub mod cluster;
mod config;
mod document;
mod error;
mod params;
pub mod rewrap;
pub mod search;
pub mod transfer;
pub mod vault;

pub use config::{
    Application, ApplicationChange, ApplicationNew, Changed, ConfigSnapshot, Created, Endpoint,
    EndpointChange, EndpointDeclaration, EndpointNew, Envelope, EnvelopeAt, Name, Owner, Scope,
    Slice, SourceDeclaration, StoredSecret,
};
pub use document::{
    DeliveryCounts, Document, DocumentContent, DocumentKind, DocumentName, EventCount, WriteIf,
    Written,
};
pub use error::StoreError;
pub use params::{
    Accepted, AttemptFinish, AttemptRow, AttemptWrite, DedupeKey, DedupeKind, DeliveryRow,
    DuplicateRow, EndpointDue, EventAccept, EventFilter, EventRow, FinishOutcome, LeaseToken,
    LeasedDelivery, Page, Planned, QuarantineFilter, QuarantineRow, QuarantineWrite, Quarantined,
    Replayed, RetentionPolicy, StoreStats, Swept,
};

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, AttemptId, DeliveryKey, EndpointId,
    EndpointKey, EventId, EventRecord,
};
use bytes::Bytes;

/// The result of every store call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A durable store of events, deliveries and attempts.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // --- configuration ---

    /// Makes the sources and endpoints of the operator's file known: new ones get ids and keys,
    /// known ones are updated, absent ones of the file become removed. What the API made stays; a
    /// source of the API whose name the file declares becomes the file's.
    /// Answers with everything that exists now.
    async fn config_declare(
        &self,
        owner: Owner,
        declared: Vec<SourceDeclaration>,
        now_ms: i64,
    ) -> Result<ConfigSnapshot>;

    /// All applications and endpoints of an owner, removed ones included.
    async fn config_list(&self, owner: Owner) -> Result<ConfigSnapshot>;

    /// Everybody who has an application, in the order of their numbers.
    async fn owner_list(&self) -> Result<Vec<Owner>>;

    /// Makes an application, unless its uid is taken.
    async fn application_create(
        &self,
        owner: Owner,
        new: ApplicationNew,
        now_ms: i64,
    ) -> Result<Created<Application>>;

    /// An application of a kind that is not removed. A source is also found by the id that begins
    /// with its [`becket_model::SourceId`]: give that id padded with zeros.
    async fn application_get(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        name: Name<ApplicationId>,
    ) -> Result<Option<Application>>;

    /// The applications of a kind that are not removed, by id.
    async fn application_list(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        slice: Slice<ApplicationId>,
    ) -> Result<Vec<Application>>;

    /// Changes or removes an application.
    async fn application_change(
        &self,
        owner: Owner,
        application: ApplicationKey,
        change: ApplicationChange,
        now_ms: i64,
    ) -> Result<Changed<Application>>;

    /// Makes an endpoint of an application, unless its uid is taken there.
    async fn endpoint_create(
        &self,
        owner: Owner,
        new: EndpointNew,
        now_ms: i64,
    ) -> Result<Created<Endpoint>>;

    /// An endpoint of an application that is not removed.
    async fn endpoint_get(
        &self,
        owner: Owner,
        application: ApplicationKey,
        name: Name<EndpointId>,
    ) -> Result<Option<Endpoint>>;

    /// The endpoints of an application that are not removed, by id.
    async fn endpoint_list(
        &self,
        owner: Owner,
        application: ApplicationKey,
        slice: Slice<EndpointId>,
    ) -> Result<Vec<Endpoint>>;

    /// Changes an endpoint. `FailingSince` and `State` also reach a removed endpoint of the file.
    async fn endpoint_change(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Result<Changed<Endpoint>>;

    /// Changes an endpoint by what an attempt under this lease has shown. Where several nodes share the
    /// store, that counts only while the node that has leased it delivers to the endpoint, by the
    /// database's word; otherwise nothing is changed, and the answer is `Absent`.
    async fn endpoint_conclude(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        lease: LeaseToken,
        now_ms: i64,
    ) -> Result<Changed<Endpoint>> {
        // A store that one process has to itself knows nobody else who could know better.
        let _ = lease;
        self.endpoint_change(owner, endpoint, change, now_ms).await
    }

    // --- documents ---

    /// A document that has not expired.
    async fn document_get(
        &self,
        owner: Owner,
        name: DocumentName,
        now_ms: i64,
    ) -> Result<Option<Document>>;

    /// A document of any owner, by a name that is unique in the whole store (an id or a hash).
    async fn document_find(
        &self,
        kind: DocumentKind,
        name: &str,
        now_ms: i64,
    ) -> Result<Option<(Owner, Document)>>;

    /// Writes a document, if the condition holds. An application it names has to be the owner's and
    /// not removed; otherwise the answer is `Refused(None)`.
    async fn document_put(
        &self,
        owner: Owner,
        name: DocumentName,
        content: DocumentContent,
        condition: WriteIf,
        now_ms: i64,
    ) -> Result<Written>;

    /// Removes a document; whether it was there.
    async fn document_remove(&self, owner: Owner, name: DocumentName) -> Result<bool>;

    /// The owner's documents of a kind that have not expired, by name: those of an application, or
    /// those that belong to none.
    async fn document_list(
        &self,
        owner: Owner,
        kind: DocumentKind,
        application: Option<ApplicationKey>,
        slice: Slice<String>,
        now_ms: i64,
    ) -> Result<Vec<Document>>;

    /// Forgets expired documents of all owners, at most `limit`; how many.
    async fn document_sweep(&self, now_ms: i64, limit: usize) -> Result<u64>;

    // --- secrets ---

    /// Sealed secrets of all owners that were sealed with another key than `version`, at most
    /// `limit`, in any order.
    async fn envelope_list(&self, version: u8, limit: usize) -> Result<Vec<Envelope>>;

    /// Puts `new` in the place of a sealed secret, if that is still `old`; whether it was.
    async fn envelope_replace(&self, at: EnvelopeAt, old: Vec<u8>, new: Vec<u8>) -> Result<bool>;

    /// Reads a small named value, such as the hash of the first admin token.
    async fn setting_get(&self, owner: Owner, name: &str) -> Result<Option<Vec<u8>>>;

    /// Writes a small named value if it has none yet, and answers with the one that holds.
    async fn setting_init(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<Vec<u8>>;

    /// Writes a small named value, whatever it was.
    async fn setting_put(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<()>;

    // --- events ---

    /// Deduplicates, stores the event with its planned deliveries, and returns when both are
    /// durable. A repeat answers with the first event; if all of that event's deliveries have
    /// failed for good, it is also replayed, unless it is of a kind that [never
    /// is](DedupeKind::replays).
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

    /// The same under conditions that may be expensive, for a bounded time; see [`search`].
    async fn event_search(
        &self,
        scope: Scope,
        search: search::Search,
        page: Page,
    ) -> Result<search::Searched> {
        search::by_list(self, scope, search, page).await
    }

    /// The repeats of an event that were answered with its id, oldest first, at most `limit`.
    async fn duplicate_list(
        &self,
        scope: Scope,
        event: EventId,
        limit: usize,
    ) -> Result<Vec<DuplicateRow>>;

    /// Removes the payload and headers of an event for good: its record becomes
    /// [`EventRecord::expunged`], its size that of the rest. `false` if there is no such event in
    /// the scope. Doing it again changes nothing.
    async fn event_expunge(&self, scope: Scope, event: EventId, now_ms: i64) -> Result<bool>;

    /// Expunges events whose [`becket_model::EventLabels::payload_until_ms`] has come, in one small
    /// step; how many, and 0 when none is left.
    async fn event_expunge_due(&self, now_ms: i64) -> Result<u64>;

    /// Counts events received in a stretch of time (`since_ms` included, `until_ms` not), by
    /// application and type, in the order of [`EventCount`].
    async fn event_count(
        &self,
        scope: Scope,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<Vec<EventCount>>;

    // --- deliveries ---

    /// Counts how the last delivery to an endpoint stands, over its events received in a stretch
    /// of time (`since_ms` included, `until_ms` not).
    async fn delivery_count(
        &self,
        scope: Scope,
        endpoint: EndpointKey,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<DeliveryCounts>;

    /// Every endpoint with deliveries that wait: how many at least, and when the earliest is due.
    /// Deliveries under lease do not count.
    async fn delivery_due(&self) -> Result<Vec<EndpointDue>>;

    /// About how many deliveries of each endpoint wait, at the cost of a look at memory; those under
    /// lease may or may not count.
    async fn delivery_waiting(&self) -> Result<Vec<(EndpointKey, u64)>> {
        let due = self.delivery_due().await?;
        Ok(due.into_iter().map(|one| (one.endpoint, one.waiting)).collect())
    }

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

    /// Replaces the details of an attempt, to remove what a receiver answered; `false` if there is
    /// no such attempt in the scope.
    async fn attempt_rewrite(
        &self,
        scope: Scope,
        attempt: AttemptId,
        detail: Bytes,
    ) -> Result<bool>;

    // --- quarantine ---

    /// Keeps a refused request for a bounded time. Best effort: never holds up an acknowledgement,
    /// and answers `false` when there was no room.
    async fn quarantine_put(&self, scope: Scope, refused: QuarantineWrite) -> Result<bool>;

    /// Refused requests without their bytes, newest first (or, with [`QuarantineFilter::after`],
    /// oldest first), at most `limit`.
    async fn quarantine_list(
        &self,
        scope: Scope,
        filter: QuarantineFilter,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>>;

    /// One refused request with its bytes.
    async fn quarantine_get(&self, scope: Scope, number: i64) -> Result<Option<Quarantined>>;

    /// Accepts a refused request as an event after all, as [`Store::event_accept`] does, and takes
    /// it out of quarantine. After a crash either both has happened or neither; asking again, even
    /// at the same time, never makes a second event. `None` if it is not in the scope's quarantine,
    /// or no longer.
    async fn quarantine_release(
        &self,
        scope: Scope,
        number: i64,
        accept: EventAccept,
    ) -> Result<Option<Accepted>>;

    // --- maintenance ---

    /// Removes what is older than the policy allows, in one small step. What is pending stays, unless
    /// the API made its endpoint and removed it.
    async fn retention_sweep(&self, policy: RetentionPolicy, now_ms: i64) -> Result<Swept>;

    /// Writes a consistent copy that can be opened as a store to a folder that does not exist yet.
    async fn backup(&self, folder: &Path) -> Result<u64>;

    /// Counts and sizes for metrics.
    async fn stats(&self) -> Result<StoreStats>;

    /// Whether a write would be accepted now; the reason if not. Cheap enough for a health check.
    fn health(&self) -> Result<()>;

    /// What several nodes on this store know of each other; `None` if only one process may use it.
    fn cluster(&self) -> Option<Arc<dyn cluster::Cluster>> {
        None
    }

    /// Finishes what is queued and closes. Later calls answer [`StoreError::Closed`].
    async fn close(&self) -> Result<()>;
}
