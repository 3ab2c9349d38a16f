//! A store that makes an event wait before it is stored, as long as its type says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use becket_model::{AttemptId, DeliveryKey, EndpointId, EndpointKey, EventId, EventRecord};
use becket_store::{
    Accepted, AttemptFinish, AttemptRow, ConfigSnapshot, DuplicateRow, Endpoint, EndpointChange,
    EndpointDue, EventAccept, EventFilter, EventRow, FinishOutcome, LeaseToken, LeasedDelivery,
    Owner, Page, QuarantineRow, QuarantineWrite, Replayed, Result, RetentionPolicy, Scope,
    SourceDeclaration, Store, StoreStats, Swept,
};

/// Waits N milliseconds before storing an event of type `wait-N`; all else goes straight through.
pub struct GatedStore(Arc<dyn Store>);

impl GatedStore {
    pub fn wrap(inner: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Self(inner))
    }
}

#[async_trait]
impl Store for GatedStore {
    async fn event_accept(&self, scope: Scope, accept: EventAccept) -> Result<Accepted> {
        let wait = accept.event_type.as_deref().and_then(|text| text.strip_prefix("wait-"));
        if let Some(Ok(milliseconds)) = wait.map(str::parse) {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        self.0.event_accept(scope, accept).await
    }

    async fn config_declare(
        &self,
        owner: Owner,
        declared: Vec<SourceDeclaration>,
        now_ms: i64,
    ) -> Result<ConfigSnapshot> {
        self.0.config_declare(owner, declared, now_ms).await
    }

    async fn config_list(&self, owner: Owner) -> Result<ConfigSnapshot> {
        self.0.config_list(owner).await
    }

    async fn endpoint_change(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Result<Option<Endpoint>> {
        self.0.endpoint_change(owner, endpoint, change, now_ms).await
    }

    async fn setting_get(&self, owner: Owner, name: &str) -> Result<Option<Vec<u8>>> {
        self.0.setting_get(owner, name).await
    }

    async fn setting_init(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        self.0.setting_init(owner, name, value).await
    }

    async fn event_get(&self, scope: Scope, event: EventId) -> Result<Option<EventRow>> {
        self.0.event_get(scope, event).await
    }

    async fn event_record(&self, scope: Scope, event: EventId) -> Result<Option<EventRecord>> {
        self.0.event_record(scope, event).await
    }

    async fn event_list(
        &self,
        scope: Scope,
        filter: EventFilter,
        page: Page,
    ) -> Result<Vec<EventRow>> {
        self.0.event_list(scope, filter, page).await
    }

    async fn duplicate_list(
        &self,
        scope: Scope,
        event: EventId,
        limit: usize,
    ) -> Result<Vec<DuplicateRow>> {
        self.0.duplicate_list(scope, event, limit).await
    }

    async fn delivery_due(&self) -> Result<Vec<EndpointDue>> {
        self.0.delivery_due().await
    }

    async fn delivery_lease(
        &self,
        endpoint: EndpointKey,
        now_ms: i64,
        lease_ms: u64,
        limit: usize,
    ) -> Result<Vec<LeasedDelivery>> {
        self.0.delivery_lease(endpoint, now_ms, lease_ms, limit).await
    }

    async fn delivery_release(
        &self,
        deliveries: Vec<(DeliveryKey, LeaseToken)>,
        due_ms: i64,
    ) -> Result<()> {
        self.0.delivery_release(deliveries, due_ms).await
    }

    async fn delivery_replay(
        &self,
        scope: Scope,
        event: EventId,
        endpoints: Vec<EndpointKey>,
        now_ms: i64,
    ) -> Result<Option<Vec<Replayed>>> {
        self.0.delivery_replay(scope, event, endpoints, now_ms).await
    }

    async fn attempt_finish(&self, finish: AttemptFinish) -> Result<FinishOutcome> {
        self.0.attempt_finish(finish).await
    }

    async fn attempt_list(&self, scope: Scope, event: EventId) -> Result<Vec<AttemptRow>> {
        self.0.attempt_list(scope, event).await
    }

    async fn attempt_get(&self, scope: Scope, attempt: AttemptId) -> Result<Option<AttemptRow>> {
        self.0.attempt_get(scope, attempt).await
    }

    async fn quarantine_put(&self, scope: Scope, refused: QuarantineWrite) -> Result<bool> {
        self.0.quarantine_put(scope, refused).await
    }

    async fn quarantine_list(
        &self,
        scope: Scope,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>> {
        self.0.quarantine_list(scope, before, limit).await
    }

    async fn retention_sweep(&self, policy: RetentionPolicy, now_ms: i64) -> Result<Swept> {
        self.0.retention_sweep(policy, now_ms).await
    }

    async fn backup(&self, folder: &Path) -> Result<u64> {
        self.0.backup(folder).await
    }

    async fn stats(&self) -> Result<StoreStats> {
        self.0.stats().await
    }

    fn health(&self) -> Result<()> {
        self.0.health()
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}
