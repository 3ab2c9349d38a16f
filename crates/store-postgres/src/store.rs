//! The store's front: opens and closes it, and routes each call to the module that answers it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, AttemptId, DeliveryKey, EndpointId,
    EndpointKey, EventId, EventRecord,
};
use becket_store::cluster::{Cluster, NodeNumber};
use becket_store::search::{Search, Searched};
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

use crate::connect::{self, Arrival};
use crate::errors::unusable;
use crate::options::Options;
use crate::pool::{Manager, Pool};
use crate::shared::Shared;
use crate::{
    accept, attempts, cluster, config, counts, deliveries, documents, duplicates, envelopes,
    events, expunge, finish, health, lease, lists, migrate, quarantine, replay, retention, search,
    settings, stats, transfer,
};

/// Draws a node's number, for good.
pub(crate) const NUMBER: &str =
    concat!("SELECT nextval('node_number')::integer WHERE ", crate::disk::durable!());

/// A store in a schema of a PostgreSQL database.
pub struct PostgresStore {
    shared: Arc<Shared>,
}

impl PostgresStore {
    /// Opens the database: connects, brings the schema to this program's layout (see
    /// [`Options::migrate`]), and draws a number for this node.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if the URL, the user or the layout does not fit, or the store is being
    /// moved, and [`StoreError::Unavailable`] if no server answers that takes writes.
    pub async fn open(options: Options) -> Result<Self> {
        let Arrival { door, schema, meters } = connect::arrive(&options).await?;
        let mut session = door.connect("open", None).await?;
        transfer::refuse_moving(&session, &schema).await?;
        migrate::migrate(&mut session, &schema, options.migrate).await?;
        transfer::refuse_half(&session, &schema).await?;
        let drawn = session.row("open", NUMBER, &[]).await?;
        let node = drawn.map_or(0, |row| row.get::<_, i32>(0).cast_unsigned());
        drop(session);
        let pool = Pool::builder(Manager(Arc::clone(&door))).max_size(options.pool_max.max(1));
        let pool = pool.build().map_err(|error| unusable(error.to_string()))?;
        let shared = Shared::new(options, schema, door, pool, meters, NodeNumber(node));
        accept::start(&shared);
        finish::start(&shared);
        cluster::start(&shared);
        health::start(&shared);
        Ok(Self { shared })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn config_declare(
        &self,
        owner: Owner,
        declared: Vec<SourceDeclaration>,
        now_ms: i64,
    ) -> Result<ConfigSnapshot> {
        config::config_declare(&self.shared, owner, declared, now_ms).await
    }

    async fn config_list(&self, owner: Owner) -> Result<ConfigSnapshot> {
        config::config_list(&self.shared, owner).await
    }

    async fn owner_list(&self) -> Result<Vec<Owner>> {
        config::owner_list(&self.shared).await
    }

    async fn application_create(
        &self,
        owner: Owner,
        new: ApplicationNew,
        now_ms: i64,
    ) -> Result<Created<Application>> {
        config::application_create(&self.shared, owner, new, now_ms).await
    }

    async fn application_get(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        name: Name<ApplicationId>,
    ) -> Result<Option<Application>> {
        config::application_get(&self.shared, owner, kind, name).await
    }

    async fn application_list(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        slice: Slice<ApplicationId>,
    ) -> Result<Vec<Application>> {
        config::application_list(&self.shared, owner, kind, slice).await
    }

    async fn application_change(
        &self,
        owner: Owner,
        application: ApplicationKey,
        change: ApplicationChange,
        now_ms: i64,
    ) -> Result<Changed<Application>> {
        config::application_change(&self.shared, owner, application, change, now_ms).await
    }

    async fn endpoint_create(
        &self,
        owner: Owner,
        new: EndpointNew,
        now_ms: i64,
    ) -> Result<Created<Endpoint>> {
        config::endpoint_create(&self.shared, owner, new, now_ms).await
    }

    async fn endpoint_get(
        &self,
        owner: Owner,
        application: ApplicationKey,
        name: Name<EndpointId>,
    ) -> Result<Option<Endpoint>> {
        config::endpoint_get(&self.shared, owner, application, name).await
    }

    async fn endpoint_list(
        &self,
        owner: Owner,
        application: ApplicationKey,
        slice: Slice<EndpointId>,
    ) -> Result<Vec<Endpoint>> {
        config::endpoint_list(&self.shared, owner, application, slice).await
    }

    async fn endpoint_change(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Result<Changed<Endpoint>> {
        config::endpoint_change(&self.shared, owner, endpoint, change, None, now_ms).await
    }

    async fn endpoint_conclude(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        lease: LeaseToken,
        now_ms: i64,
    ) -> Result<Changed<Endpoint>> {
        config::endpoint_change(&self.shared, owner, endpoint, change, Some(lease), now_ms).await
    }

    async fn document_get(
        &self,
        owner: Owner,
        name: DocumentName,
        now_ms: i64,
    ) -> Result<Option<Document>> {
        documents::document_get(&self.shared, owner, name, now_ms).await
    }

    async fn document_find(
        &self,
        kind: DocumentKind,
        name: &str,
        now_ms: i64,
    ) -> Result<Option<(Owner, Document)>> {
        documents::document_find(&self.shared, kind, name, now_ms).await
    }

    async fn document_put(
        &self,
        owner: Owner,
        name: DocumentName,
        content: DocumentContent,
        condition: WriteIf,
        now_ms: i64,
    ) -> Result<Written> {
        documents::document_put(&self.shared, owner, name, content, condition, now_ms).await
    }

    async fn document_remove(&self, owner: Owner, name: DocumentName) -> Result<bool> {
        documents::document_remove(&self.shared, owner, name).await
    }

    async fn document_list(
        &self,
        owner: Owner,
        kind: DocumentKind,
        application: Option<ApplicationKey>,
        slice: Slice<String>,
        now_ms: i64,
    ) -> Result<Vec<Document>> {
        documents::document_list(&self.shared, owner, kind, application, slice, now_ms).await
    }

    async fn document_sweep(&self, now_ms: i64, limit: usize) -> Result<u64> {
        documents::document_sweep(&self.shared, now_ms, limit).await
    }

    async fn envelope_list(&self, version: u8, limit: usize) -> Result<Vec<Envelope>> {
        envelopes::envelope_list(&self.shared, version, limit).await
    }

    async fn envelope_replace(&self, at: EnvelopeAt, old: Vec<u8>, new: Vec<u8>) -> Result<bool> {
        envelopes::envelope_replace(&self.shared, at, old, new).await
    }

    async fn setting_get(&self, owner: Owner, name: &str) -> Result<Option<Vec<u8>>> {
        settings::setting_get(&self.shared, owner, name).await
    }

    async fn setting_init(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        settings::setting_init(&self.shared, owner, name, value).await
    }

    async fn setting_put(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<()> {
        settings::setting_put(&self.shared, owner, name, value).await
    }

    async fn event_accept(&self, scope: Scope, accept: EventAccept) -> Result<Accepted> {
        accept::event_accept(&self.shared, scope, accept).await
    }

    async fn event_get(&self, scope: Scope, event: EventId) -> Result<Option<EventRow>> {
        events::event_get(&self.shared, scope, event).await
    }

    async fn event_record(&self, scope: Scope, event: EventId) -> Result<Option<EventRecord>> {
        events::event_record(&self.shared, scope, event).await
    }

    async fn event_list(
        &self,
        scope: Scope,
        filter: EventFilter,
        page: Page,
    ) -> Result<Vec<EventRow>> {
        lists::event_list(&self.shared, scope, filter, page).await
    }

    async fn event_search(&self, scope: Scope, search: Search, page: Page) -> Result<Searched> {
        search::event_search(&self.shared, scope, search, page).await
    }

    async fn duplicate_list(
        &self,
        scope: Scope,
        event: EventId,
        limit: usize,
    ) -> Result<Vec<DuplicateRow>> {
        duplicates::duplicate_list(&self.shared, scope, event, limit).await
    }

    async fn event_expunge(&self, scope: Scope, event: EventId, now_ms: i64) -> Result<bool> {
        expunge::event_expunge(&self.shared, scope, event, now_ms).await
    }

    async fn event_expunge_due(&self, now_ms: i64) -> Result<u64> {
        expunge::event_expunge_due(&self.shared, now_ms).await
    }

    async fn event_count(
        &self,
        scope: Scope,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<Vec<EventCount>> {
        counts::event_count(&self.shared, scope, since_ms, until_ms).await
    }

    async fn delivery_count(
        &self,
        scope: Scope,
        endpoint: EndpointKey,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<DeliveryCounts> {
        counts::delivery_count(&self.shared, scope, endpoint, since_ms, until_ms).await
    }

    async fn delivery_due(&self) -> Result<Vec<EndpointDue>> {
        deliveries::delivery_due(&self.shared).await
    }

    async fn delivery_waiting(&self) -> Result<Vec<(EndpointKey, u64)>> {
        deliveries::delivery_waiting(&self.shared).await
    }

    async fn delivery_lease(
        &self,
        endpoint: EndpointKey,
        now_ms: i64,
        lease_ms: u64,
        limit: usize,
    ) -> Result<Vec<LeasedDelivery>> {
        lease::delivery_lease(&self.shared, endpoint, now_ms, lease_ms, limit).await
    }

    async fn delivery_release(
        &self,
        deliveries: Vec<(DeliveryKey, LeaseToken)>,
        due_ms: i64,
    ) -> Result<()> {
        lease::delivery_release(&self.shared, deliveries, due_ms).await
    }

    async fn delivery_replay(
        &self,
        scope: Scope,
        event: EventId,
        endpoints: Vec<EndpointKey>,
        now_ms: i64,
    ) -> Result<Option<Vec<Replayed>>> {
        replay::delivery_replay(&self.shared, scope, event, endpoints, now_ms).await
    }

    async fn attempt_finish(&self, finish: AttemptFinish) -> Result<FinishOutcome> {
        finish::attempt_finish(&self.shared, finish).await
    }

    async fn attempt_list(&self, scope: Scope, event: EventId) -> Result<Vec<AttemptRow>> {
        attempts::attempt_list(&self.shared, scope, event).await
    }

    async fn attempt_get(&self, scope: Scope, attempt: AttemptId) -> Result<Option<AttemptRow>> {
        attempts::attempt_get(&self.shared, scope, attempt).await
    }

    async fn attempt_rewrite(
        &self,
        scope: Scope,
        attempt: AttemptId,
        detail: Bytes,
    ) -> Result<bool> {
        attempts::attempt_rewrite(&self.shared, scope, attempt, detail).await
    }

    async fn quarantine_put(&self, scope: Scope, refused: QuarantineWrite) -> Result<bool> {
        quarantine::quarantine_put(&self.shared, scope, refused).await
    }

    async fn quarantine_list(
        &self,
        scope: Scope,
        filter: QuarantineFilter,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>> {
        quarantine::quarantine_list(&self.shared, scope, filter, limit).await
    }

    async fn quarantine_get(&self, scope: Scope, number: i64) -> Result<Option<Quarantined>> {
        quarantine::quarantine_get(&self.shared, scope, number).await
    }

    async fn quarantine_release(
        &self,
        scope: Scope,
        number: i64,
        accept: EventAccept,
    ) -> Result<Option<Accepted>> {
        quarantine::quarantine_release(&self.shared, scope, number, accept).await
    }

    async fn retention_sweep(&self, policy: RetentionPolicy, now_ms: i64) -> Result<Swept> {
        retention::retention_sweep(&self.shared, policy, now_ms).await
    }

    async fn stats(&self) -> Result<StoreStats> {
        stats::stats(&self.shared).await
    }

    async fn backup(&self, _folder: &Path) -> Result<u64> {
        self.shared.open()?;
        Err(StoreError::Database {
            operation: "backup",
            detail: "a database is backed up with its own tools: pg_basebackup with an archive of \
                     the WAL, or pg_dump of the store's schema"
                .to_owned(),
        })
    }

    fn health(&self) -> Result<()> {
        health::health(&self.shared)
    }

    fn cluster(&self) -> Option<Arc<dyn Cluster>> {
        Some(cluster::handle(&self.shared))
    }

    async fn close(&self) -> Result<()> {
        if !self.shared.shut() {
            return Ok(());
        }
        // First what is queued, then everything else.
        accept::close(&self.shared).await;
        finish::close(&self.shared).await;
        cluster::close(&self.shared).await;
        self.shared.end_tasks();
        self.shared.pool.close();
        Ok(())
    }
}

impl Drop for PostgresStore {
    /// Ends the tasks of a store that was not closed; what was acknowledged is committed.
    fn drop(&mut self) {
        self.shared.shut();
        self.shared.end_tasks();
    }
}
