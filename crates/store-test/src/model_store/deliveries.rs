//! Deliveries and attempts of the model store: leases, replays, results.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_model::{AttemptId, DeliveryKey, DeliveryState, EndpointKey, EventId, NextStep, Noise};
use becket_store::{
    AttemptFinish, AttemptRow, DeliveryRow, EndpointDue, FinishOutcome, LeaseToken, LeasedDelivery,
    Replayed, Scope,
};
use bytes::Bytes;

use super::{KeptDelivery, KeptEvent, Lease, State};

impl KeptDelivery {
    pub(super) const fn waiting(endpoint: EndpointKey, generation: u16, due_ms: i64) -> Self {
        Self {
            endpoint,
            generation,
            state: DeliveryState::Pending,
            attempts: 0,
            due_ms,
            settled_due_ms: due_ms,
            lease: None,
        }
    }

    fn waits(&self) -> bool {
        self.state == DeliveryState::Pending && self.lease.is_none()
    }

    pub(super) fn row(&self) -> DeliveryRow {
        DeliveryRow {
            endpoint: self.endpoint,
            generation: self.generation,
            state: self.state,
            attempts: self.attempts,
            due_ms: self.waits().then_some(self.due_ms),
        }
    }

    fn settle(&mut self, next: NextStep) {
        self.attempts += 1;
        self.lease = None;
        match next {
            NextStep::Delivered => self.state = DeliveryState::Delivered,
            NextStep::Failed(_) => self.state = DeliveryState::Failed,
            NextStep::RetryAt(due_ms) => {
                self.due_ms = due_ms;
                self.settled_due_ms = due_ms;
            }
        }
    }
}

impl KeptEvent {
    /// The endpoints it has deliveries to, in the order in which they came.
    pub(super) fn endpoints(&self) -> Vec<EndpointKey> {
        let mut endpoints = Vec::new();
        for delivery in &self.deliveries {
            if !endpoints.contains(&delivery.endpoint) {
                endpoints.push(delivery.endpoint);
            }
        }
        endpoints
    }

    /// The newest delivery to an endpoint.
    pub(super) fn latest(&self, endpoint: EndpointKey) -> Option<&KeptDelivery> {
        self.deliveries.iter().rev().find(|delivery| delivery.endpoint == endpoint)
    }

    /// Starts a delivery again, or hurries the one that waits.
    pub(super) fn replay(
        &mut self,
        event: EventId,
        endpoint: EndpointKey,
        now_ms: i64,
    ) -> Replayed {
        let latest = self.deliveries.iter_mut().rev().find(|known| known.endpoint == endpoint);
        let generation = match latest {
            Some(pending) if pending.state == DeliveryState::Pending => {
                if pending.waits() {
                    pending.due_ms = now_ms;
                }
                let key = DeliveryKey { event, endpoint, generation: pending.generation };
                return Replayed { key, fresh: false };
            }
            Some(ended) => ended.generation + 1,
            None => 1,
        };
        self.deliveries.push(KeptDelivery::waiting(endpoint, generation, now_ms));
        Replayed { key: DeliveryKey { event, endpoint, generation }, fresh: true }
    }
}

impl State {
    /// The delivery, if this lease holds it.
    fn held(&mut self, key: DeliveryKey, token: LeaseToken) -> Option<&mut KeptDelivery> {
        self.events.get_mut(&key.event)?.deliveries.iter_mut().find(|delivery| {
            delivery.endpoint == key.endpoint
                && delivery.generation == key.generation
                && delivery.lease.is_some_and(|lease| lease.token == token)
        })
    }

    pub(super) fn delivery_due(&self) -> Vec<EndpointDue> {
        let mut due: BTreeMap<EndpointKey, EndpointDue> = BTreeMap::new();
        let deliveries = self.events.values().flat_map(|event| &event.deliveries);
        for delivery in deliveries.filter(|delivery| delivery.waits()) {
            let endpoint = due.entry(delivery.endpoint).or_insert(EndpointDue {
                endpoint: delivery.endpoint,
                waiting: 0,
                due_ms: delivery.due_ms,
            });
            endpoint.waiting += 1;
            endpoint.due_ms = endpoint.due_ms.min(delivery.due_ms);
        }
        due.into_values().collect()
    }

    pub(super) fn delivery_lease(
        &mut self,
        endpoint: EndpointKey,
        now_ms: i64,
        lease_ms: u64,
        limit: usize,
    ) -> Vec<LeasedDelivery> {
        let mut due = Vec::new();
        for (event, kept) in &mut self.events {
            for delivery in &mut kept.deliveries {
                if delivery.lease.is_some_and(|lease| lease.until_ms <= now_ms) {
                    delivery.lease = None;
                }
                if delivery.endpoint == endpoint && delivery.waits() && delivery.due_ms <= now_ms {
                    due.push((delivery.due_ms, *event, delivery.generation));
                }
            }
        }
        due.sort_unstable();
        due.truncate(limit);
        let until_ms = now_ms.saturating_add_unsigned(lease_ms);
        due.into_iter()
            .filter_map(|(_, event, generation)| {
                let lease = self.new_lease(until_ms);
                self.hand_out(DeliveryKey { event, endpoint, generation }, lease)
            })
            .collect()
    }

    fn hand_out(&mut self, key: DeliveryKey, lease: Lease) -> Option<LeasedDelivery> {
        let kept = self.events.get_mut(&key.event)?;
        let delivery = kept.deliveries.iter_mut().find(|delivery| {
            delivery.endpoint == key.endpoint && delivery.generation == key.generation
        })?;
        delivery.lease = Some(lease);
        Some(LeasedDelivery {
            key,
            lease: lease.token,
            attempts: delivery.attempts,
            application: kept.accepted.application,
            received_at_ms: kept.accepted.received_at_ms,
            event_type: kept.accepted.event_type.as_deref().map(Arc::from),
            record: kept.accepted.record.clone(),
        })
    }

    pub(super) fn delivery_release(
        &mut self,
        deliveries: Vec<(DeliveryKey, LeaseToken)>,
        due_ms: i64,
    ) {
        for (key, token) in deliveries {
            if let Some(delivery) = self.held(key, token) {
                delivery.lease = None;
                delivery.due_ms = due_ms;
            }
        }
    }

    pub(super) fn delivery_replay(
        &mut self,
        scope: Scope,
        event: EventId,
        endpoints: Vec<EndpointKey>,
        now_ms: i64,
    ) -> Option<Vec<Replayed>> {
        let source = self.event(scope, event)?.accepted.application;
        let belongs = |key: &EndpointKey| {
            self.endpoints.get(key).is_some_and(|(_, endpoint)| endpoint.application == source)
        };
        let chosen: Vec<EndpointKey> = endpoints.iter().copied().filter(belongs).collect();
        let kept = self.events.get_mut(&event)?;
        let targets = if endpoints.is_empty() {
            kept.accepted.planned.iter().map(|planned| planned.endpoint).collect()
        } else {
            chosen
        };
        Some(targets.into_iter().map(|endpoint| kept.replay(event, endpoint, now_ms)).collect())
    }

    pub(super) fn attempt_finish(
        &mut self,
        finish: AttemptFinish,
        noise: &dyn Noise,
    ) -> FinishOutcome {
        let Some(delivery) = self.held(finish.delivery, finish.lease) else {
            return FinishOutcome::Stale;
        };
        delivery.settle(finish.next);
        let mut tail = [0; 6];
        noise.fill(&mut tail);
        let event = finish.delivery.event;
        let id = AttemptId::new(finish.attempt.started_at_ms, event.seq(), tail);
        let row = AttemptRow {
            id,
            delivery: finish.delivery,
            attempt: finish.attempt,
            next: finish.next,
        };
        if let Some(kept) = self.events.get_mut(&event) {
            kept.attempts.push(row);
        }
        FinishOutcome::Recorded(id)
    }

    pub(super) fn attempt_get(&self, scope: Scope, attempt: AttemptId) -> Option<AttemptRow> {
        self.events
            .values()
            .filter(|event| self.covers(scope, event.accepted.application))
            .flat_map(|event| &event.attempts)
            .find(|row| row.id == attempt)
            .cloned()
    }

    pub(super) fn attempt_rewrite(
        &mut self,
        scope: Scope,
        attempt: AttemptId,
        detail: Bytes,
    ) -> bool {
        let Some(known) = self.attempt_get(scope, attempt) else { return false };
        let kept = self
            .events
            .get_mut(&known.delivery.event)
            .and_then(|event| event.attempts.iter_mut().find(|row| row.id == attempt));
        match kept {
            Some(row) => row.attempt.detail = detail,
            None => return false,
        }
        true
    }
}
