//! The store's front: routes each call to the thread or the file that answers it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, AttemptId, DeliveryKey, EndpointId,
    EndpointKey, EventId, EventRecord,
};
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
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::edit::Edit;
use crate::keeper::Task;
use crate::open::{self, Parts};
use crate::reply::{Promise, kept};
use crate::shared::{Options, Shared};
use crate::writer::Op;

/// A store in a folder of SQLite files.
pub struct SqliteStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) parts: Arc<Mutex<Option<Parts>>>,
}

impl SqliteStore {
    /// Opens the folder, making it if it is missing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if another process has it or its files cannot be read.
    pub fn open(options: Options) -> Result<Self> {
        let parts = open::open(options)?;
        Ok(Self { shared: Arc::clone(&parts.shared), parts: Arc::new(Mutex::new(Some(parts))) })
    }

    /// Works on a thread that may wait for the disk.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.shared.open()?;
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared)).await.unwrap_or_else(|error| {
            Err(StoreError::Database { operation: "read", detail: error.to_string() })
        })
    }

    pub(crate) async fn ask_keeper<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<Result<T>>) -> Task,
    ) -> Result<T> {
        self.shared.open()?;
        let (reply, receiver) = oneshot::channel();
        self.shared.keeper.push(task(reply));
        kept(receiver).await
    }

    /// Changes what stands in the segment that holds this place.
    pub(crate) async fn edit(&self, seq: i64, edit: Edit) -> Result<u64> {
        if seq < self.shared.hot_first.load(Ordering::Acquire) {
            return self.ask_keeper(|reply| Task::Edit(edit, reply)).await;
        }
        let (reply, receiver) = oneshot::channel();
        self.shared.writer.push(Op::Edit(edit, reply));
        kept(receiver).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn config_declare(
        &self,
        owner: Owner,
        declared: Vec<SourceDeclaration>,
        now_ms: i64,
    ) -> Result<ConfigSnapshot> {
        self.blocking(move |shared| {
            let snapshot = shared.catalog.declare(owner, declared, now_ms)?;
            shared.know(&snapshot.applications, &snapshot.endpoints);
            Ok(snapshot)
        })
        .await
    }

    async fn config_list(&self, owner: Owner) -> Result<ConfigSnapshot> {
        self.blocking(move |shared| shared.catalog.list(owner)).await
    }

    async fn owner_list(&self) -> Result<Vec<Owner>> {
        self.blocking(|shared| shared.catalog.owner_list()).await
    }

    async fn application_create(
        &self,
        owner: Owner,
        new: ApplicationNew,
        now_ms: i64,
    ) -> Result<Created<Application>> {
        self.blocking(move |shared| {
            let created = shared.catalog.application_create(owner, new, now_ms)?;
            if let Created::New(application) = &created {
                shared.know(std::slice::from_ref(application), &[]);
            }
            Ok(created)
        })
        .await
    }

    async fn application_get(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        name: Name<ApplicationId>,
    ) -> Result<Option<Application>> {
        self.blocking(move |shared| shared.catalog.application_get(owner, kind, &name)).await
    }

    async fn application_list(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        slice: Slice<ApplicationId>,
    ) -> Result<Vec<Application>> {
        self.blocking(move |shared| shared.catalog.application_list(owner, kind, slice)).await
    }

    async fn application_change(
        &self,
        owner: Owner,
        application: ApplicationKey,
        change: ApplicationChange,
        now_ms: i64,
    ) -> Result<Changed<Application>> {
        self.blocking(move |shared| {
            shared.catalog.application_change(owner, application, change, now_ms)
        })
        .await
    }

    async fn endpoint_create(
        &self,
        owner: Owner,
        new: EndpointNew,
        now_ms: i64,
    ) -> Result<Created<Endpoint>> {
        self.blocking(move |shared| {
            let created = shared.catalog.endpoint_create(owner, new, now_ms)?;
            if let Created::New(endpoint) = &created {
                shared.know(&[], std::slice::from_ref(endpoint));
            }
            Ok(created)
        })
        .await
    }

    async fn endpoint_get(
        &self,
        owner: Owner,
        application: ApplicationKey,
        name: Name<EndpointId>,
    ) -> Result<Option<Endpoint>> {
        self.blocking(move |shared| shared.catalog.endpoint_get(owner, application, &name)).await
    }

    async fn endpoint_list(
        &self,
        owner: Owner,
        application: ApplicationKey,
        slice: Slice<EndpointId>,
    ) -> Result<Vec<Endpoint>> {
        self.blocking(move |shared| shared.catalog.endpoint_list(owner, application, slice)).await
    }

    async fn endpoint_change(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Result<Changed<Endpoint>> {
        self.blocking(move |shared| shared.catalog.endpoint_change(owner, endpoint, change, now_ms))
            .await
    }

    async fn document_get(
        &self,
        owner: Owner,
        name: DocumentName,
        now_ms: i64,
    ) -> Result<Option<Document>> {
        self.blocking(move |shared| shared.catalog.document_get(owner, &name, now_ms)).await
    }

    async fn document_find(
        &self,
        kind: DocumentKind,
        name: &str,
        now_ms: i64,
    ) -> Result<Option<(Owner, Document)>> {
        let name = name.to_owned();
        self.blocking(move |shared| shared.catalog.document_find(kind, &name, now_ms)).await
    }

    async fn document_put(
        &self,
        owner: Owner,
        name: DocumentName,
        content: DocumentContent,
        condition: WriteIf,
        now_ms: i64,
    ) -> Result<Written> {
        self.blocking(move |shared| {
            shared.catalog.document_put(owner, name, content, condition, now_ms)
        })
        .await
    }

    async fn document_remove(&self, owner: Owner, name: DocumentName) -> Result<bool> {
        self.blocking(move |shared| shared.catalog.document_remove(owner, name)).await
    }

    async fn document_list(
        &self,
        owner: Owner,
        kind: DocumentKind,
        application: Option<ApplicationKey>,
        slice: Slice<String>,
        now_ms: i64,
    ) -> Result<Vec<Document>> {
        self.blocking(move |shared| {
            shared.catalog.document_list(owner, kind, application, &slice, now_ms)
        })
        .await
    }

    async fn document_sweep(&self, now_ms: i64, limit: usize) -> Result<u64> {
        self.blocking(move |shared| shared.catalog.document_sweep(now_ms, limit)).await
    }

    async fn envelope_list(&self, version: u8, limit: usize) -> Result<Vec<Envelope>> {
        self.blocking(move |shared| shared.catalog.envelope_list(version, limit)).await
    }

    async fn envelope_replace(&self, at: EnvelopeAt, old: Vec<u8>, new: Vec<u8>) -> Result<bool> {
        self.blocking(move |shared| shared.catalog.envelope_replace(at, old, new)).await
    }

    async fn setting_get(&self, owner: Owner, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.blocking(move |shared| shared.catalog.setting(owner, &name)).await
    }

    async fn setting_init(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        let name = name.to_owned();
        self.blocking(move |shared| shared.catalog.setting_init(owner, name, value)).await
    }

    async fn setting_put(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<()> {
        let name = name.to_owned();
        self.blocking(move |shared| shared.catalog.setting_put(owner, name, value)).await
    }

    async fn event_accept(&self, scope: Scope, accept: EventAccept) -> Result<Accepted> {
        self.shared.open()?;
        if !self.shared.in_scope(scope, accept.application.0) {
            return Err(StoreError::Database {
                operation: "event_accept",
                detail: format!("there is no source {} of this owner", accept.application.0),
            });
        }
        let (promise, receiver) = Promise::new();
        self.shared.writer.offer(Op::Accept(Box::new(accept), promise, None))?;
        kept(receiver).await
    }

    async fn event_get(&self, scope: Scope, event: EventId) -> Result<Option<EventRow>> {
        self.blocking(move |shared| shared.event_row(scope, &event)).await
    }

    async fn event_record(&self, scope: Scope, event: EventId) -> Result<Option<EventRecord>> {
        self.blocking(move |shared| shared.record(scope, &event)).await
    }

    async fn event_list(
        &self,
        scope: Scope,
        filter: EventFilter,
        page: Page,
    ) -> Result<Vec<EventRow>> {
        self.blocking(move |shared| shared.events(scope, &filter, page)).await
    }

    async fn event_search(&self, scope: Scope, search: Search, page: Page) -> Result<Searched> {
        self.blocking(move |shared| shared.event_search(scope, &search, page)).await
    }

    async fn duplicate_list(
        &self,
        scope: Scope,
        event: EventId,
        limit: usize,
    ) -> Result<Vec<DuplicateRow>> {
        self.blocking(move |shared| shared.duplicates(scope, &event, limit)).await
    }

    async fn event_expunge(&self, scope: Scope, event: EventId, now_ms: i64) -> Result<bool> {
        let found = self.blocking(move |shared| shared.application_of(scope, &event)).await?;
        if found.is_none() {
            return Ok(false);
        }
        let seq = event.seq().0;
        self.edit(seq, Edit::Expunge { seq, now_ms }).await.map(|count| count > 0)
    }

    async fn event_expunge_due(&self, now_ms: i64) -> Result<u64> {
        self.shared.open()?;
        self.expunge_due(now_ms).await
    }

    async fn event_count(
        &self,
        scope: Scope,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<Vec<EventCount>> {
        self.blocking(move |shared| shared.event_count(scope, since_ms, until_ms)).await
    }

    async fn delivery_count(
        &self,
        scope: Scope,
        endpoint: EndpointKey,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<DeliveryCounts> {
        self.blocking(move |shared| shared.delivery_count(scope, endpoint, since_ms, until_ms))
            .await
    }

    async fn delivery_due(&self) -> Result<Vec<EndpointDue>> {
        let mut list = loop {
            let first = self.shared.hot_first.load(Ordering::Acquire);
            let mut list = self.ask_keeper(Task::Due).await?;
            if self.add_hot_due(first, &mut list) {
                break list;
            }
            tokio::task::yield_now().await;
        };
        list.sort_unstable_by_key(|due| due.endpoint);
        Ok(list)
    }

    async fn delivery_waiting(&self) -> Result<Vec<(EndpointKey, u64)>> {
        self.shared.open()?;
        Ok(self.shared.waiting())
    }

    async fn delivery_lease(
        &self,
        endpoint: EndpointKey,
        now_ms: i64,
        lease_ms: u64,
        limit: usize,
    ) -> Result<Vec<LeasedDelivery>> {
        self.shared.open()?;
        let until_ms = now_ms.saturating_add_unsigned(lease_ms);
        let mut taken = Vec::new();
        loop {
            let first = self.shared.hot_first.load(Ordering::Acquire);
            taken.extend(self.lease_late(endpoint, now_ms, until_ms, limit).await?);
            if let Some(hot) = self.lease_hot(first, endpoint, now_ms, until_ms, limit) {
                taken.extend(hot);
                break;
            }
            // The hot segment is changing hands; the keeper has it in a moment.
            tokio::task::yield_now().await;
        }
        taken.sort_unstable_by_key(|one| (one.due_ms, one.key));
        let surplus = taken.split_off(taken.len().min(limit));
        self.give_back(surplus);
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        self.blocking(move |shared| shared.leased(&taken)).await
    }

    async fn delivery_release(
        &self,
        deliveries: Vec<(DeliveryKey, LeaseToken)>,
        due_ms: i64,
    ) -> Result<()> {
        self.shared.open()?;
        let (hot, late): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|(delivery, _)| self.shared.is_hot(&delivery.event));
        if !hot.is_empty() {
            let (reply, receiver) = oneshot::channel();
            self.shared.writer.push(Op::Release(hot, due_ms, reply));
            kept(receiver).await?;
        }
        if late.is_empty() {
            return Ok(());
        }
        self.ask_keeper(|reply| Task::Release(late, due_ms, reply)).await
    }

    async fn delivery_replay(
        &self,
        scope: Scope,
        event: EventId,
        endpoints: Vec<EndpointKey>,
        now_ms: i64,
    ) -> Result<Option<Vec<Replayed>>> {
        let found = self.blocking(move |shared| shared.application_of(scope, &event)).await?;
        let Some(application) = found else { return Ok(None) };
        let endpoints = (!endpoints.is_empty()).then(|| {
            let sources = self.shared.endpoint_sources.read();
            let own = |endpoint: &EndpointKey| sources.get(&endpoint.0) == Some(&application);
            endpoints.into_iter().filter(own).collect::<Vec<_>>()
        });
        let seq = event.seq().0;
        if self.shared.is_hot(&event) {
            let (reply, receiver) = oneshot::channel();
            self.shared.writer.offer(Op::Replay(seq, endpoints, now_ms, reply))?;
            return kept(receiver).await;
        }
        self.ask_keeper(|reply| Task::Replay(seq, endpoints, now_ms, reply)).await
    }

    async fn attempt_finish(&self, finish: AttemptFinish) -> Result<FinishOutcome> {
        self.shared.open()?;
        let (promise, receiver) = Promise::new();
        if self.shared.is_hot(&finish.delivery.event) {
            self.shared.writer.push(Op::Finish(Box::new(finish), promise));
        } else {
            self.shared.keeper.push(Task::Finish(Box::new(finish), promise));
        }
        kept(receiver).await
    }

    async fn attempt_list(&self, scope: Scope, event: EventId) -> Result<Vec<AttemptRow>> {
        self.blocking(move |shared| shared.attempts(scope, &event)).await
    }

    async fn attempt_get(&self, scope: Scope, attempt: AttemptId) -> Result<Option<AttemptRow>> {
        self.blocking(move |shared| shared.attempt(scope, &attempt)).await
    }

    async fn attempt_rewrite(
        &self,
        scope: Scope,
        attempt: AttemptId,
        detail: Bytes,
    ) -> Result<bool> {
        let found = self.blocking(move |shared| shared.has_attempt(scope, &attempt)).await?;
        if !found {
            return Ok(false);
        }
        let seq = attempt.event_seq().0;
        self.edit(seq, Edit::Rewrite { attempt, detail }).await.map(|count| count > 0)
    }

    async fn quarantine_put(&self, scope: Scope, refused: QuarantineWrite) -> Result<bool> {
        self.shared.open()?;
        let Some(application) = scope.application else { return Ok(false) };
        if !self.shared.in_scope(scope, application.0) {
            return Ok(false);
        }
        self.quarantine()?.put(scope.owner, application, refused)
    }

    async fn quarantine_list(
        &self,
        scope: Scope,
        filter: QuarantineFilter,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>> {
        self.with_quarantine(move |quarantine| quarantine.list(scope, &filter, limit)).await
    }

    async fn quarantine_get(&self, scope: Scope, number: i64) -> Result<Option<Quarantined>> {
        self.with_quarantine(move |quarantine| quarantine.get(scope, number)).await
    }

    async fn quarantine_release(
        &self,
        scope: Scope,
        number: i64,
        accept: EventAccept,
    ) -> Result<Option<Accepted>> {
        self.release(scope, number, accept).await
    }

    async fn retention_sweep(&self, policy: RetentionPolicy, now_ms: i64) -> Result<Swept> {
        self.ask_keeper(|reply| Task::Sweep(policy, now_ms, reply)).await
    }

    async fn backup(&self, folder: &Path) -> Result<u64> {
        let folder = folder.to_path_buf();
        self.ask_keeper(|reply| Task::Backup(folder, reply)).await
    }

    async fn stats(&self) -> Result<StoreStats> {
        let quarantined = self.with_quarantine(crate::quarantine::Quarantine::count).await?;
        self.shared.open()?;
        if self.shared.adopting.load(Ordering::Acquire) > 0 {
            // What was pending before the start is counted by then.
            self.ask_keeper(Task::Settle).await?;
        }
        let segments = self.shared.segments.all();
        Ok(StoreStats {
            events: segments.iter().map(|one| one.events.load(Ordering::Relaxed)).sum(),
            pending: segments.iter().map(|one| one.pending()).sum(),
            bytes: segments.iter().map(|one| one.bytes.load(Ordering::Relaxed)).sum(),
            segments: segments.len() as u64,
            quarantined,
        })
    }

    fn health(&self) -> Result<()> {
        self.shared.open()?;
        match &*self.shared.trouble.lock() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    async fn close(&self) -> Result<()> {
        if self.shared.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let (done, closed) = oneshot::channel();
        self.shared.writer.push(Op::Close(done));
        // A writer that has ended already has closed.
        drop(closed.await);
        let (done, closed) = oneshot::channel();
        self.shared.keeper.push(Task::Close(done));
        drop(closed.await);
        let parts = Arc::clone(&self.parts);
        let joined = tokio::task::spawn_blocking(move || {
            let Some(parts) = parts.lock().take() else { return Ok(()) };
            parts.quarantine.close();
            for thread in parts.threads {
                thread.join().map_err(|_| StoreError::Database {
                    operation: "close",
                    detail: "a thread of the store had failed".to_owned(),
                })?;
            }
            parts.shared.segments.close_readers();
            parts.shared.catalog.checkpoint()?;
            drop(parts.lock);
            Ok(())
        });
        joined.await.unwrap_or_else(|error| {
            Err(StoreError::Database { operation: "close", detail: error.to_string() })
        })
    }
}

impl Drop for SqliteStore {
    /// Ends the threads of a store that was not closed; what was acknowledged is on disk.
    fn drop(&mut self) {
        if !self.shared.closed.swap(true, Ordering::AcqRel) {
            let (done, _) = oneshot::channel();
            self.shared.writer.push(Op::Close(done));
            let (done, _) = oneshot::channel();
            self.shared.keeper.push(Task::Close(done));
            if let Some(parts) = self.parts.lock().take() {
                parts.quarantine.close();
                for thread in parts.threads {
                    if thread.join().is_err() {
                        tracing::error!("a thread of the store had failed");
                    }
                }
            }
        }
    }
}
