//! A store in front of the model store: calls take time, fail before or after they were done, and
//! one of them may be the last before a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use becket_model::{ApplicationKey, DeliveryKey, EndpointId, EndpointKey, EventId};
use becket_store::{
    Accepted, AttemptFinish, Changed, Endpoint, EndpointChange, EndpointDue, EventAccept,
    FinishOutcome, LeaseToken, LeasedDelivery, Name, Owner, Replayed, Result, RetentionPolicy,
    Scope, Store, StoreError, Swept,
};
use becket_store_test::{Hooks, ModelStore, Wrapped};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Duration, sleep};

use crate::world::{Dice, Shared};

/// How a store misbehaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Calls of a hundred that fail without having been done.
    pub fail_percent: u64,
    /// Calls of a hundred that are done and whose answer is lost.
    pub lose_percent: u64,
    /// The longest a call takes, in milliseconds.
    pub slowest_ms: u64,
    /// The call, counted from 1, at which the world ends; 0 for none.
    pub crash_at: u64,
    /// Whether that call is still done.
    pub crash_after: bool,
}

/// The misbehaving store of one life.
pub type FaultyStore = Wrapped<Misbehaving>;

/// What is done before and after the calls that the engine and its senders make.
pub struct Misbehaving {
    pub inner: Arc<ModelStore>,
    pub dice: Dice,
    pub record: Shared,
    pub faults: Mutex<Faults>,
    pub calls: AtomicU64,
    pub crash: Arc<Notify>,
}

impl Misbehaving {
    /// Whether the next call fails or is lost; ends the world if its time has come.
    async fn before(&self) -> Result<Fate> {
        let faults = *self.faults.lock();
        if faults.slowest_ms > 0 {
            // Now and then the disk takes its time.
            let most = faults.slowest_ms * if self.dice.chance(3) { 20 } else { 1 };
            sleep(Duration::from_millis(self.dice.below(most + 1))).await;
        }
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if call == faults.crash_at {
            if faults.crash_after {
                return Ok(Fate::LastOne);
            }
            self.end_world().await;
        }
        if self.dice.chance(faults.fail_percent) {
            self.record.lock().faults += 1;
            return Err(StoreError::Busy { waiting: 1 });
        }
        let lost = self.dice.chance(faults.lose_percent);
        Ok(if lost { Fate::Lost } else { Fate::Good })
    }

    async fn after<T>(&self, fate: Fate, answer: Result<T>) -> Result<T> {
        match fate {
            Fate::Good => answer,
            Fate::Lost => {
                self.record.lock().faults += 1;
                Err(StoreError::Broken { detail: "the answer was lost".to_owned() })
            }
            Fate::LastOne => {
                self.end_world().await;
                answer
            }
        }
    }

    async fn end_world(&self) {
        self.crash.notify_one();
        std::future::pending::<()>().await;
    }

    /// Notes who has leases until when, and from which life; a lost answer is nobody's.
    fn note_leases<'a>(
        &self,
        until_ms: i64,
        fate: Fate,
        deliveries: impl Iterator<Item = (&'a EventId, EndpointKey)>,
    ) {
        let mut record = self.record.lock();
        let life = if fate == Fate::Good { record.life } else { 0 };
        for (event, endpoint) in deliveries {
            record.leases.insert((*event, endpoint), (until_ms, life));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    Lost,
    LastOne,
}

/// Passes a call on, with its faults.
macro_rules! faulty {
    ($self:ident, $call:expr) => {{
        let fate = $self.before().await?;
        let answer = $call.await;
        $self.after(fate, answer).await
    }};
}

#[async_trait]
impl Hooks for Misbehaving {
    fn inner(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    async fn endpoint_change(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Result<Changed<Endpoint>> {
        faulty!(self, self.inner.endpoint_change(owner, endpoint, change, now_ms))
    }

    async fn endpoint_get(
        &self,
        owner: Owner,
        application: ApplicationKey,
        name: Name<EndpointId>,
    ) -> Result<Option<Endpoint>> {
        faulty!(self, self.inner.endpoint_get(owner, application, name))
    }

    async fn event_accept(&self, scope: Scope, accept: EventAccept) -> Result<Accepted> {
        let fate = self.before().await?;
        let (until_ms, planned) = (accept.lease_until_ms, accept.planned.clone());
        let answer = self.inner.event_accept(scope, accept).await;
        if let Ok(accepted) = &answer {
            let event = accepted.event();
            let leased = planned.iter().filter(|planned| planned.leased);
            self.note_leases(until_ms, fate, leased.map(|planned| (&event, planned.endpoint)));
        }
        self.after(fate, answer).await
    }

    async fn event_expunge_due(&self, now_ms: i64) -> Result<u64> {
        faulty!(self, self.inner.event_expunge_due(now_ms))
    }

    async fn delivery_due(&self) -> Result<Vec<EndpointDue>> {
        faulty!(self, self.inner.delivery_due())
    }

    async fn delivery_lease(
        &self,
        endpoint: EndpointKey,
        now_ms: i64,
        lease_ms: u64,
        limit: usize,
    ) -> Result<Vec<LeasedDelivery>> {
        let fate = self.before().await?;
        let answer = self.inner.delivery_lease(endpoint, now_ms, lease_ms, limit).await;
        if let Ok(deliveries) = &answer {
            let until_ms = now_ms.saturating_add_unsigned(lease_ms);
            let leased = deliveries.iter().map(|leased| (&leased.key.event, endpoint));
            self.note_leases(until_ms, fate, leased);
        }
        self.after(fate, answer).await
    }

    async fn delivery_release(
        &self,
        deliveries: Vec<(DeliveryKey, LeaseToken)>,
        due_ms: i64,
    ) -> Result<()> {
        faulty!(self, self.inner.delivery_release(deliveries, due_ms))
    }

    async fn delivery_replay(
        &self,
        scope: Scope,
        event: EventId,
        endpoints: Vec<EndpointKey>,
        now_ms: i64,
    ) -> Result<Option<Vec<Replayed>>> {
        faulty!(self, self.inner.delivery_replay(scope, event, endpoints, now_ms))
    }

    async fn attempt_finish(&self, finish: AttemptFinish) -> Result<FinishOutcome> {
        let fate = self.before().await?;
        let answer = self.inner.attempt_finish(finish).await;
        if matches!(answer, Ok(FinishOutcome::Stale)) {
            self.record.lock().stale += 1;
        }
        self.after(fate, answer).await
    }

    async fn retention_sweep(&self, policy: RetentionPolicy, now_ms: i64) -> Result<Swept> {
        faulty!(self, self.inner.retention_sweep(policy, now_ms))
    }
}
