//! The store as plain maps behind one lock: what every other store is compared with.
//!
//! Invariants:
//! - Obviously right goes before fast: a call looks through everything there is.
//! - Every call is one critical section, so it happens wholly or not at all.
//! - Nothing is on disk. [`ModelStore::reopened`] plays a crash: it hands everything that a store
//!   of the given [`Capabilities`] would have kept to a new handle, and closes the old one.
//!
//! Deliberately absent: indexes, files, backups, limits on memory.
//!
//! Where next: `config`, `applications`, `documents`, `events`, `deliveries` and `upkeep` hold the
//! calls, by what they touch.

mod applications;
mod config;
mod deliveries;
mod documents;
mod events;
mod upkeep;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, AttemptId, DeliveryKey, DeliveryState,
    EndpointId, EndpointKey, EventId, EventRecord, EventSeq, Noise, SeqClock,
};
use becket_store::{
    Accepted, Application, ApplicationChange, ApplicationNew, AttemptFinish, AttemptRow, Changed,
    ConfigSnapshot, Created, DeliveryCounts, Document, DocumentContent, DocumentKind, DocumentName,
    DuplicateRow, Endpoint, EndpointChange, EndpointDue, EndpointNew, Envelope, EnvelopeAt,
    EventAccept, EventCount, EventFilter, EventRow, FinishOutcome, LeaseToken, LeasedDelivery,
    Name, Owner, Page, QuarantineFilter, QuarantineRow, QuarantineWrite, Quarantined, Replayed,
    Result, RetentionPolicy, Scope, Slice, SourceDeclaration, Store, StoreError, StoreStats, Swept,
    WriteIf, Written,
};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::Capabilities;

/// How many refused requests are kept unless [`ModelStore::with_quarantine_rows`] says otherwise.
pub const QUARANTINE_ROWS: usize = 10_000;

/// A store in memory that does what the trait says and nothing else.
pub struct ModelStore {
    noise: Arc<dyn Noise>,
    state: Mutex<State>,
}

/// Everything the store knows.
#[derive(Clone)]
struct State {
    closed: bool,
    quarantine_rows: usize,
    settings: BTreeMap<(Owner, String), Vec<u8>>,
    applications: BTreeMap<ApplicationKey, Application>,
    endpoints: BTreeMap<EndpointKey, (Owner, Endpoint)>,
    last_document: i64,
    documents: BTreeMap<(Owner, DocumentName), KeptDocument>,
    clock: SeqClock,
    last_lease: u64,
    events: BTreeMap<EventId, KeptEvent>,
    last_quarantined: i64,
    quarantine: BTreeMap<i64, (Owner, Quarantined)>,
}

/// A document with the number that is told in [`EnvelopeAt::Document`]; every writing has its own.
#[derive(Clone)]
struct KeptDocument {
    number: i64,
    document: Document,
}

/// An event with all that belongs to it.
#[derive(Clone)]
struct KeptEvent {
    accepted: EventAccept,
    /// In the order of [`EventRow::deliveries`].
    deliveries: Vec<KeptDelivery>,
    attempts: Vec<AttemptRow>,
    duplicates_ms: Vec<i64>,
}

/// A delivery; its event is the one that holds it.
#[derive(Clone)]
struct KeptDelivery {
    endpoint: EndpointKey,
    generation: u16,
    state: DeliveryState,
    attempts: u32,
    due_ms: i64,
    /// The due moment that was set by receipt, replay or an attempt, and not merely by giving the
    /// delivery back or hurrying it.
    settled_due_ms: i64,
    lease: Option<Lease>,
}

#[derive(Clone, Copy)]
struct Lease {
    token: LeaseToken,
    until_ms: i64,
}

impl State {
    fn empty(quarantine_rows: usize) -> Self {
        Self {
            closed: false,
            quarantine_rows,
            settings: BTreeMap::new(),
            applications: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            last_document: 0,
            documents: BTreeMap::new(),
            clock: SeqClock::after(EventSeq(0)),
            last_lease: 0,
            events: BTreeMap::new(),
            last_quarantined: 0,
            quarantine: BTreeMap::new(),
        }
    }

    /// Whether the scope has this source.
    fn covers(&self, scope: Scope, application: ApplicationKey) -> bool {
        scope.application.is_none_or(|only| only == application)
            && self.applications.get(&application).is_some_and(|known| known.owner == scope.owner)
    }

    /// The event, if the scope has it.
    fn event(&self, scope: Scope, id: EventId) -> Option<&KeptEvent> {
        self.events.get(&id).filter(|event| self.covers(scope, event.accepted.application))
    }

    /// A token that no lease had before.
    fn new_lease(&mut self, until_ms: i64) -> Lease {
        self.last_lease += 1;
        Lease { token: LeaseToken(self.last_lease), until_ms }
    }
}

impl ModelStore {
    /// An empty store whose ids come from `noise`.
    #[must_use]
    pub fn new(noise: Arc<dyn Noise>) -> Self {
        Self { noise, state: Mutex::new(State::empty(QUARANTINE_ROWS)) }
    }

    /// The same store, keeping at most this many refused requests.
    #[must_use]
    pub fn with_quarantine_rows(self, rows: usize) -> Self {
        self.state.lock().quarantine_rows = rows;
        self
    }

    /// Plays a crash and a new start: the answer has what such a store would have kept, and this
    /// handle answers [`StoreError::Closed`] from now on.
    #[must_use]
    pub fn reopened(&self, capabilities: Capabilities) -> Self {
        let mut old = self.state.lock();
        let mut kept = if capabilities.durable {
            old.clone()
        } else {
            State { last_lease: old.last_lease, ..State::empty(old.quarantine_rows) }
        };
        old.closed = true;
        kept.closed = false;
        for delivery in kept.events.values_mut().flat_map(|event| &mut event.deliveries) {
            if !capabilities.keeps_leases {
                delivery.lease = None;
            }
            if !capabilities.keeps_released_due {
                delivery.due_ms = delivery.settled_due_ms;
            }
        }
        Self { noise: Arc::clone(&self.noise), state: Mutex::new(kept) }
    }

    /// The events that [`Store::retention_sweep`] may remove because of their age, oldest first.
    #[must_use]
    pub fn sweepable(&self, policy: RetentionPolicy, now_ms: i64) -> Vec<EventId> {
        self.state.lock().outlived(policy, now_ms)
    }

    /// Removes one event with all that belongs to it, to follow a store that removed it early or
    /// late. Answers whether it was there.
    pub fn forget(&self, event: EventId) -> bool {
        self.state.lock().events.remove(&event).is_some()
    }

    /// One call: refused if the store is closed, alone with the state otherwise.
    fn call<T>(&self, act: impl FnOnce(&mut State, &dyn Noise) -> T) -> Result<T> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        Ok(act(&mut state, &*self.noise))
    }
}

#[async_trait]
impl Store for ModelStore {
    async fn config_declare(
        &self,
        owner: Owner,
        declared: Vec<SourceDeclaration>,
        now_ms: i64,
    ) -> Result<ConfigSnapshot> {
        self.call(|state, _| state.config_declare(owner, declared, now_ms))
    }

    async fn config_list(&self, owner: Owner) -> Result<ConfigSnapshot> {
        self.call(|state, _| state.config_list(owner))
    }

    async fn owner_list(&self) -> Result<Vec<Owner>> {
        self.call(|state, _| state.owner_list())
    }

    async fn application_create(
        &self,
        owner: Owner,
        new: ApplicationNew,
        now_ms: i64,
    ) -> Result<Created<Application>> {
        self.call(|state, _| state.application_create(owner, new, now_ms))
    }

    async fn application_get(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        name: Name<ApplicationId>,
    ) -> Result<Option<Application>> {
        self.call(|state, _| state.application_get(owner, kind, &name))
    }

    async fn application_list(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        slice: Slice<ApplicationId>,
    ) -> Result<Vec<Application>> {
        self.call(|state, _| state.application_list(owner, kind, &slice))
    }

    async fn application_change(
        &self,
        owner: Owner,
        application: ApplicationKey,
        change: ApplicationChange,
        now_ms: i64,
    ) -> Result<Changed<Application>> {
        self.call(|state, _| state.application_change(owner, application, change, now_ms))
    }

    async fn endpoint_create(
        &self,
        owner: Owner,
        new: EndpointNew,
        now_ms: i64,
    ) -> Result<Created<Endpoint>> {
        self.call(|state, _| state.endpoint_create(owner, new, now_ms))
    }

    async fn endpoint_get(
        &self,
        owner: Owner,
        application: ApplicationKey,
        name: Name<EndpointId>,
    ) -> Result<Option<Endpoint>> {
        self.call(|state, _| state.endpoint_get(owner, application, &name))
    }

    async fn endpoint_list(
        &self,
        owner: Owner,
        application: ApplicationKey,
        slice: Slice<EndpointId>,
    ) -> Result<Vec<Endpoint>> {
        self.call(|state, _| state.endpoint_list(owner, application, &slice))
    }

    async fn endpoint_change(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Result<Changed<Endpoint>> {
        self.call(|state, _| state.endpoint_change(owner, endpoint, change, now_ms))
    }

    async fn document_get(
        &self,
        owner: Owner,
        name: DocumentName,
        now_ms: i64,
    ) -> Result<Option<Document>> {
        self.call(|state, _| state.document_get(owner, &name, now_ms))
    }

    async fn document_find(
        &self,
        kind: DocumentKind,
        name: &str,
        now_ms: i64,
    ) -> Result<Option<(Owner, Document)>> {
        self.call(|state, _| state.document_find(kind, name, now_ms))
    }

    async fn document_put(
        &self,
        owner: Owner,
        name: DocumentName,
        content: DocumentContent,
        condition: WriteIf,
        now_ms: i64,
    ) -> Result<Written> {
        self.call(|state, _| state.document_put(owner, name, content, condition, now_ms))
    }

    async fn document_remove(&self, owner: Owner, name: DocumentName) -> Result<bool> {
        self.call(|state, _| state.document_remove(owner, name))
    }

    async fn document_list(
        &self,
        owner: Owner,
        kind: DocumentKind,
        application: Option<ApplicationKey>,
        slice: Slice<String>,
        now_ms: i64,
    ) -> Result<Vec<Document>> {
        self.call(|state, _| state.document_list(owner, kind, application, &slice, now_ms))
    }

    async fn document_sweep(&self, now_ms: i64, limit: usize) -> Result<u64> {
        self.call(|state, _| state.document_sweep(now_ms, limit))
    }

    async fn envelope_list(&self, version: u8, limit: usize) -> Result<Vec<Envelope>> {
        self.call(|state, _| state.envelope_list(version, limit))
    }

    async fn envelope_replace(&self, at: EnvelopeAt, old: Vec<u8>, new: Vec<u8>) -> Result<bool> {
        self.call(|state, _| state.envelope_replace(at, &old, new))
    }

    async fn setting_get(&self, owner: Owner, name: &str) -> Result<Option<Vec<u8>>> {
        self.call(|state, _| state.settings.get(&(owner, name.to_owned())).cloned())
    }

    async fn setting_init(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        self.call(|state, _| {
            state.settings.entry((owner, name.to_owned())).or_insert(value).clone()
        })
    }

    async fn setting_put(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<()> {
        self.call(|state, _| {
            state.settings.insert((owner, name.to_owned()), value);
        })
    }

    async fn event_accept(&self, scope: Scope, accept: EventAccept) -> Result<Accepted> {
        self.call(|state, noise| state.event_accept(scope, accept, noise))?
    }

    async fn event_get(&self, scope: Scope, event: EventId) -> Result<Option<EventRow>> {
        self.call(|state, _| state.event(scope, event).map(|kept| kept.row(event)))
    }

    async fn event_record(&self, scope: Scope, event: EventId) -> Result<Option<EventRecord>> {
        self.call(|state, _| state.event(scope, event).map(|kept| kept.accepted.record.clone()))
    }

    async fn event_list(
        &self,
        scope: Scope,
        filter: EventFilter,
        page: Page,
    ) -> Result<Vec<EventRow>> {
        self.call(|state, _| state.event_list(scope, &filter, page))
    }

    async fn duplicate_list(
        &self,
        scope: Scope,
        event: EventId,
        limit: usize,
    ) -> Result<Vec<DuplicateRow>> {
        self.call(|state, _| state.duplicate_list(scope, event, limit))
    }

    async fn event_expunge(&self, scope: Scope, event: EventId, now_ms: i64) -> Result<bool> {
        self.call(|state, _| state.event_expunge(scope, event, now_ms))
    }

    async fn event_expunge_due(&self, now_ms: i64) -> Result<u64> {
        self.call(|state, _| state.event_expunge_due(now_ms))
    }

    async fn event_count(
        &self,
        scope: Scope,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<Vec<EventCount>> {
        self.call(|state, _| state.event_count(scope, since_ms..until_ms))
    }

    async fn delivery_count(
        &self,
        scope: Scope,
        endpoint: EndpointKey,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<DeliveryCounts> {
        self.call(|state, _| state.delivery_count(scope, endpoint, since_ms..until_ms))
    }

    async fn delivery_due(&self) -> Result<Vec<EndpointDue>> {
        self.call(|state, _| state.delivery_due())
    }

    async fn delivery_lease(
        &self,
        endpoint: EndpointKey,
        now_ms: i64,
        lease_ms: u64,
        limit: usize,
    ) -> Result<Vec<LeasedDelivery>> {
        self.call(|state, _| state.delivery_lease(endpoint, now_ms, lease_ms, limit))
    }

    async fn delivery_release(
        &self,
        deliveries: Vec<(DeliveryKey, LeaseToken)>,
        due_ms: i64,
    ) -> Result<()> {
        self.call(|state, _| state.delivery_release(deliveries, due_ms))
    }

    async fn delivery_replay(
        &self,
        scope: Scope,
        event: EventId,
        endpoints: Vec<EndpointKey>,
        now_ms: i64,
    ) -> Result<Option<Vec<Replayed>>> {
        self.call(|state, _| state.delivery_replay(scope, event, endpoints, now_ms))
    }

    async fn attempt_finish(&self, finish: AttemptFinish) -> Result<FinishOutcome> {
        self.call(|state, noise| state.attempt_finish(finish, noise))
    }

    async fn attempt_list(&self, scope: Scope, event: EventId) -> Result<Vec<AttemptRow>> {
        self.call(|state, _| {
            state.event(scope, event).map(|kept| kept.attempts.clone()).unwrap_or_default()
        })
    }

    async fn attempt_get(&self, scope: Scope, attempt: AttemptId) -> Result<Option<AttemptRow>> {
        self.call(|state, _| state.attempt_get(scope, attempt))
    }

    async fn attempt_rewrite(
        &self,
        scope: Scope,
        attempt: AttemptId,
        detail: Bytes,
    ) -> Result<bool> {
        self.call(|state, _| state.attempt_rewrite(scope, attempt, detail))
    }

    async fn quarantine_put(&self, scope: Scope, refused: QuarantineWrite) -> Result<bool> {
        self.call(|state, _| state.quarantine_put(scope, refused))
    }

    async fn quarantine_list(
        &self,
        scope: Scope,
        filter: QuarantineFilter,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>> {
        self.call(|state, _| state.quarantine_list(scope, &filter, limit))
    }

    async fn quarantine_get(&self, scope: Scope, number: i64) -> Result<Option<Quarantined>> {
        self.call(|state, _| state.quarantine_get(scope, number).cloned())
    }

    async fn quarantine_release(
        &self,
        scope: Scope,
        number: i64,
        accept: EventAccept,
    ) -> Result<Option<Accepted>> {
        self.call(|state, noise| state.quarantine_release(scope, number, accept, noise))?
    }

    async fn retention_sweep(&self, policy: RetentionPolicy, now_ms: i64) -> Result<Swept> {
        self.call(|state, _| state.retention_sweep(policy, now_ms))
    }

    async fn backup(&self, folder: &Path) -> Result<u64> {
        self.call(|_, _| {
            Err(StoreError::Unusable {
                path: folder.display().to_string(),
                detail: "this store is in memory and has no files to copy; use a store on disk"
                    .to_owned(),
            })
        })?
    }

    async fn stats(&self) -> Result<StoreStats> {
        self.call(|state, _| state.stats())
    }

    fn health(&self) -> Result<()> {
        self.call(|_, _| ())
    }

    async fn close(&self) -> Result<()> {
        self.call(|state, _| state.closed = true)
    }
}
