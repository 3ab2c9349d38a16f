//! The store's front: routes each call to the thread or the file that answers it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use becket_model::{AttemptId, DeliveryKey, EndpointId, EndpointKey, EventId, EventRecord};
use becket_store::{
    Accepted, AttemptFinish, AttemptRow, ConfigSnapshot, DuplicateRow, Endpoint, EndpointChange,
    EndpointDue, EventAccept, EventFilter, EventRow, FinishOutcome, LeaseToken, LeasedDelivery,
    Owner, Page, QuarantineRow, QuarantineWrite, Replayed, Result, RetentionPolicy, Scope,
    SourceDeclaration, Store, StoreError, StoreStats, Swept,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::keeper::Task;
use crate::memory::{Memory, Taken};
use crate::open::{self, Parts};
use crate::reply::{Promise, kept};
use crate::shared::{Options, Shared};
use crate::writer::Op;

/// A store in a folder of SQLite files.
pub struct SqliteStore {
    shared: Arc<Shared>,
    parts: Arc<Mutex<Option<Parts>>>,
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
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.shared.open()?;
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared)).await.unwrap_or_else(|error| {
            Err(StoreError::Database { operation: "read", detail: error.to_string() })
        })
    }

    async fn ask_keeper<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<Result<T>>) -> Task,
    ) -> Result<T> {
        self.shared.open()?;
        let (reply, receiver) = oneshot::channel();
        self.shared.keeper.push(task(reply));
        kept(receiver).await
    }

    /// Works with the quarantine's file on a thread that may wait.
    async fn with_quarantine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::quarantine::Quarantine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let parts = Arc::clone(&self.parts);
        self.blocking(move |_| {
            let guard = parts.lock();
            work(&guard.as_ref().ok_or(StoreError::Closed)?.quarantine)
        })
        .await
    }

    /// Works on the memory of the hot segment that began at `first`; `None` if that one is no longer
    /// hot, or is just being handed over.
    fn with_hot<T>(&self, first: i64, work: impl FnOnce(&mut Memory) -> T) -> Option<T> {
        let segment = self.shared.segments.holding(first)?;
        let mut guard = segment.memory.lock();
        guard.as_mut().filter(|memory| !memory.frozen).map(work)
    }

    /// Adds what is due in the hot segment; `false` if that is changing hands.
    fn add_hot_due(&self, first: i64, list: &mut Vec<EndpointDue>) -> bool {
        let added = self.with_hot(first, |memory| {
            for (endpoint, waiting, due_ms) in memory.summary() {
                match list.iter_mut().find(|due| due.endpoint.0 == endpoint) {
                    Some(due) => {
                        due.waiting += waiting;
                        due.due_ms = due.due_ms.min(due_ms);
                    }
                    None => {
                        let endpoint = EndpointKey(endpoint);
                        list.push(EndpointDue { endpoint, waiting, due_ms });
                    }
                }
            }
        });
        added.is_some()
    }

    /// Leases from the hot segment's memory; `None` if it is just being handed over.
    fn lease_hot(
        &self,
        first: i64,
        endpoint: EndpointKey,
        now_ms: i64,
        until_ms: i64,
        limit: usize,
    ) -> Option<Vec<Taken>> {
        self.with_hot(first, |memory| {
            memory.lease(endpoint.0, now_ms, until_ms, limit, || self.shared.lease_token())
        })
    }

    /// Undoes leases that were taken only to find out what is due first.
    fn give_back(&self, surplus: Vec<Taken>) {
        let mut late = Vec::new();
        for taken in surplus {
            let holding = self.shared.segments.holding(taken.key.0);
            let released = holding.is_some_and(|segment| match segment.memory.lock().as_mut() {
                Some(memory) if !memory.frozen => {
                    memory.release(taken.key, taken.token, taken.due_ms)
                }
                _ => false,
            });
            if !released {
                late.push((taken.key, taken.token));
            }
        }
        if !late.is_empty() {
            self.shared.keeper.push(Task::Return(late));
        }
    }

    async fn lease_late(
        &self,
        endpoint: EndpointKey,
        now_ms: i64,
        until_ms: i64,
        limit: usize,
    ) -> Result<Vec<Taken>> {
        let idle = self.shared.adopting.load(Ordering::Acquire) == 0
            && self.shared.late_leases.lock().is_empty()
            && !self.shared.late_waiting.lock().contains_key(&endpoint.0);
        if idle {
            return Ok(Vec::new());
        }
        self.ask_keeper(|reply| Task::Lease {
            endpoint: endpoint.0,
            now_ms,
            until_ms,
            limit,
            reply,
        })
        .await
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
            let snapshot = shared.catalog.lock().declare(owner, &declared, now_ms)?;
            let mut owners = shared.owners.write();
            for source in &snapshot.sources {
                owners.insert(source.key.0, owner);
            }
            let mut endpoint_sources = shared.endpoint_sources.write();
            for endpoint in &snapshot.endpoints {
                endpoint_sources.insert(endpoint.key.0, endpoint.application.0);
            }
            Ok(snapshot)
        })
        .await
    }

    async fn config_list(&self, owner: Owner) -> Result<ConfigSnapshot> {
        self.blocking(move |shared| shared.catalog.lock().list(owner)).await
    }

    async fn endpoint_change(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Result<Option<Endpoint>> {
        self.blocking(move |shared| shared.catalog.lock().change(owner, endpoint, &change, now_ms))
            .await
    }

    async fn setting_get(&self, owner: Owner, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.blocking(move |shared| shared.catalog.lock().setting(owner, &name)).await
    }

    async fn setting_init(&self, owner: Owner, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        let name = name.to_owned();
        self.blocking(move |shared| shared.catalog.lock().setting_init(owner, &name, &value)).await
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
        self.shared.writer.offer(Op::Accept(Box::new(accept), promise))?;
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

    async fn duplicate_list(
        &self,
        scope: Scope,
        event: EventId,
        limit: usize,
    ) -> Result<Vec<DuplicateRow>> {
        self.blocking(move |shared| shared.duplicates(scope, &event, limit)).await
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

    async fn quarantine_put(&self, scope: Scope, refused: QuarantineWrite) -> Result<bool> {
        self.shared.open()?;
        let Some(application) = scope.application else { return Ok(false) };
        if !self.shared.in_scope(scope, application.0) {
            return Ok(false);
        }
        let guard = self.parts.lock();
        let parts = guard.as_ref().ok_or(StoreError::Closed)?;
        parts.quarantine.put(scope.owner, application, refused)
    }

    async fn quarantine_list(
        &self,
        scope: Scope,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>> {
        self.with_quarantine(move |quarantine| quarantine.list(scope, before, limit)).await
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
        // What was pending before the start is counted by then.
        self.ask_keeper(Task::Settle).await?;
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
            parts.shared.catalog.lock().checkpoint()?;
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
