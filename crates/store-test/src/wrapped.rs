//! A store in front of another one, for tests that change a few calls and pass the rest on.
//!
//! Implement [`Hooks`] with the calls that are to differ, and put the value into [`Wrapped`].
//!
//! Deliberately absent: faults, delays, counters; those are what the hooks are for.
//!
//! Where next: `tests/flaws.rs` for a user.

use std::path::Path;

use async_trait::async_trait;
use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, AttemptId, DeliveryKey, EndpointId,
    EndpointKey, EventId, EventRecord,
};
use becket_store::{
    Accepted, Application, ApplicationChange, ApplicationNew, AttemptFinish, AttemptRow, Changed,
    ConfigSnapshot, Created, DeliveryCounts, Document, DocumentContent, DocumentKind, DocumentName,
    DuplicateRow, Endpoint, EndpointChange, EndpointDue, EndpointNew, Envelope, EnvelopeAt,
    EventAccept, EventCount, EventFilter, EventRow, FinishOutcome, LeaseToken, LeasedDelivery,
    Name, Owner, Page, QuarantineFilter, QuarantineRow, QuarantineWrite, Quarantined, Replayed,
    Result, RetentionPolicy, Scope, Slice, SourceDeclaration, Store, StoreStats, Swept, WriteIf,
    Written,
};
use bytes::Bytes;

/// A [`Store`] that does what its [`Hooks`] say.
#[derive(Debug, Clone)]
pub struct Wrapped<H>(pub H);

/// Writes the trait of hooks, whose calls go to the inner store, and the store that calls them.
macro_rules! wrapped {
    ($($call:ident($($name:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// The calls of [`Store`]; those that are not written go to the inner store.
        #[async_trait]
        pub trait Hooks: Send + Sync + 'static {
            /// The store behind.
            fn inner(&self) -> &dyn Store;

            /// [`Store::health`].
            fn health(&self) -> Result<()> {
                self.inner().health()
            }

            $(
                #[doc = concat!("[`Store::", stringify!($call), "`].")]
                async fn $call(&self, $($name: $type),*) -> $answer {
                    self.inner().$call($($name),*).await
                }
            )*
        }

        #[async_trait]
        impl<H: Hooks> Store for Wrapped<H> {
            fn health(&self) -> Result<()> {
                self.0.health()
            }

            $(
                async fn $call(&self, $($name: $type),*) -> $answer {
                    self.0.$call($($name),*).await
                }
            )*
        }
    };
}

wrapped! {
    config_declare(
        owner: Owner, declared: Vec<SourceDeclaration>, now_ms: i64
    ) -> Result<ConfigSnapshot>;
    config_list(owner: Owner) -> Result<ConfigSnapshot>;
    owner_list() -> Result<Vec<Owner>>;
    application_create(
        owner: Owner, new: ApplicationNew, now_ms: i64
    ) -> Result<Created<Application>>;
    application_get(
        owner: Owner, kind: ApplicationKind, name: Name<ApplicationId>
    ) -> Result<Option<Application>>;
    application_list(
        owner: Owner, kind: ApplicationKind, slice: Slice<ApplicationId>
    ) -> Result<Vec<Application>>;
    application_change(
        owner: Owner, application: ApplicationKey, change: ApplicationChange, now_ms: i64
    ) -> Result<Changed<Application>>;
    endpoint_create(owner: Owner, new: EndpointNew, now_ms: i64) -> Result<Created<Endpoint>>;
    endpoint_get(
        owner: Owner, application: ApplicationKey, name: Name<EndpointId>
    ) -> Result<Option<Endpoint>>;
    endpoint_list(
        owner: Owner, application: ApplicationKey, slice: Slice<EndpointId>
    ) -> Result<Vec<Endpoint>>;
    endpoint_change(
        owner: Owner, endpoint: EndpointId, change: EndpointChange, now_ms: i64
    ) -> Result<Changed<Endpoint>>;
    document_get(owner: Owner, name: DocumentName, now_ms: i64) -> Result<Option<Document>>;
    document_find(kind: DocumentKind, name: &str, now_ms: i64) -> Result<Option<(Owner, Document)>>;
    document_put(
        owner: Owner, name: DocumentName, content: DocumentContent, condition: WriteIf, now_ms: i64
    ) -> Result<Written>;
    document_remove(owner: Owner, name: DocumentName) -> Result<bool>;
    document_list(
        owner: Owner,
        kind: DocumentKind,
        application: Option<ApplicationKey>,
        slice: Slice<String>,
        now_ms: i64
    ) -> Result<Vec<Document>>;
    document_sweep(now_ms: i64, limit: usize) -> Result<u64>;
    envelope_list(version: u8, limit: usize) -> Result<Vec<Envelope>>;
    envelope_replace(at: EnvelopeAt, old: Vec<u8>, new: Vec<u8>) -> Result<bool>;
    setting_get(owner: Owner, name: &str) -> Result<Option<Vec<u8>>>;
    setting_init(owner: Owner, name: &str, value: Vec<u8>) -> Result<Vec<u8>>;
    setting_put(owner: Owner, name: &str, value: Vec<u8>) -> Result<()>;
    event_accept(scope: Scope, accept: EventAccept) -> Result<Accepted>;
    event_get(scope: Scope, event: EventId) -> Result<Option<EventRow>>;
    event_record(scope: Scope, event: EventId) -> Result<Option<EventRecord>>;
    event_list(scope: Scope, filter: EventFilter, page: Page) -> Result<Vec<EventRow>>;
    duplicate_list(scope: Scope, event: EventId, limit: usize) -> Result<Vec<DuplicateRow>>;
    event_expunge(scope: Scope, event: EventId, now_ms: i64) -> Result<bool>;
    event_expunge_due(now_ms: i64) -> Result<u64>;
    event_count(scope: Scope, since_ms: i64, until_ms: i64) -> Result<Vec<EventCount>>;
    delivery_count(
        scope: Scope, endpoint: EndpointKey, since_ms: i64, until_ms: i64
    ) -> Result<DeliveryCounts>;
    delivery_due() -> Result<Vec<EndpointDue>>;
    delivery_lease(
        endpoint: EndpointKey, now_ms: i64, lease_ms: u64, limit: usize
    ) -> Result<Vec<LeasedDelivery>>;
    delivery_release(deliveries: Vec<(DeliveryKey, LeaseToken)>, due_ms: i64) -> Result<()>;
    delivery_replay(
        scope: Scope, event: EventId, endpoints: Vec<EndpointKey>, now_ms: i64
    ) -> Result<Option<Vec<Replayed>>>;
    attempt_finish(finish: AttemptFinish) -> Result<FinishOutcome>;
    attempt_list(scope: Scope, event: EventId) -> Result<Vec<AttemptRow>>;
    attempt_get(scope: Scope, attempt: AttemptId) -> Result<Option<AttemptRow>>;
    attempt_rewrite(scope: Scope, attempt: AttemptId, detail: Bytes) -> Result<bool>;
    quarantine_put(scope: Scope, refused: QuarantineWrite) -> Result<bool>;
    quarantine_list(
        scope: Scope, filter: QuarantineFilter, limit: usize
    ) -> Result<Vec<QuarantineRow>>;
    quarantine_get(scope: Scope, number: i64) -> Result<Option<Quarantined>>;
    quarantine_release(
        scope: Scope, number: i64, accept: EventAccept
    ) -> Result<Option<Accepted>>;
    retention_sweep(policy: RetentionPolicy, now_ms: i64) -> Result<Swept>;
    backup(folder: &Path) -> Result<u64>;
    stats() -> Result<StoreStats>;
    close() -> Result<()>;
}
