//! Events of the model store: accepting, finding repeats, reading, listing, counting,
//! removing payloads.

use std::collections::BTreeMap;
use std::ops::Range;

use becket_model::{ApplicationKey, DeliveryState, EndpointKey, EventId, EventRecord, Noise};
use becket_store::{
    Accepted, DedupeKey, DeliveryCounts, DuplicateRow, EventAccept, EventCount, EventFilter,
    EventRow, Page, Result, Scope, StoreError,
};

use super::{KeptDelivery, KeptEvent, State};

/// How many payloads one step removes.
const EXPUNGE_EVENTS: usize = 100;

impl State {
    pub(super) fn event_accept(
        &mut self,
        scope: Scope,
        accept: EventAccept,
        noise: &dyn Noise,
    ) -> Result<Accepted> {
        if !self.covers(scope, accept.application) {
            return Err(StoreError::Database {
                operation: "event_accept",
                detail: format!(
                    "source {} is not one of owner {}",
                    accept.application.0,
                    scope.owner.number()
                ),
            });
        }
        if let Some(first) = self.first_of(&accept) {
            let replays = accept.dedupe.is_some_and(|(_, kind, _)| kind.replays());
            return Ok(self.repeat(first, accept.received_at_ms, replays));
        }
        let (mut start, mut tail) = ([0; 2], [0; 12]);
        noise.fill(&mut start);
        noise.fill(&mut tail);
        let seq = self.clock.next(accept.received_at_ms, u16::from_le_bytes(start));
        let event = EventId::new(seq, tail);
        let lease = self.new_lease(accept.lease_until_ms);
        let due_ms = accept.due_ms.unwrap_or(accept.received_at_ms);
        let planned = accept.planned.iter().map(|planned| KeptDelivery {
            lease: planned.leased.then_some(lease),
            ..KeptDelivery::waiting(planned.endpoint, 0, due_ms)
        });
        let kept = KeptEvent {
            deliveries: planned.collect(),
            attempts: Vec::new(),
            duplicates_ms: Vec::new(),
            accepted: accept,
        };
        self.events.insert(event, kept);
        Ok(Accepted::Stored { event, lease: lease.token, left: Vec::new() })
    }

    /// The newest event with the same key in the same source, if it is within the window.
    fn first_of(&self, accept: &EventAccept) -> Option<EventId> {
        let (key, _, _) = accept.dedupe?;
        let (id, first) = self.events.iter().rev().find(|(_, event)| {
            event.accepted.application == accept.application && event.dedupe_key() == Some(key)
        })?;
        let (_, _, window_ms) = first.accepted.dedupe?;
        let until_ms = first.accepted.received_at_ms.saturating_add_unsigned(window_ms);
        (accept.received_at_ms < until_ms).then_some(*id)
    }

    /// Records a repeat, and starts the event again if everything it had to do has failed.
    fn repeat(&mut self, event: EventId, received_at_ms: i64, replays: bool) -> Accepted {
        let mut replayed = Vec::new();
        if let Some(first) = self.events.get_mut(&event) {
            first.duplicates_ms.push(received_at_ms);
            let endpoints = first.endpoints();
            let failed = |endpoint| {
                first.latest(endpoint).is_some_and(|last| last.state == DeliveryState::Failed)
            };
            if replays && endpoints.iter().all(|endpoint| failed(*endpoint)) {
                replayed = endpoints
                    .into_iter()
                    .map(|endpoint| first.replay(event, endpoint, received_at_ms))
                    .collect();
            }
        }
        Accepted::Duplicate { event, replayed }
    }

    pub(super) fn event_list(
        &self,
        scope: Scope,
        filter: &EventFilter,
        page: Page,
    ) -> Vec<EventRow> {
        let mut rows: Vec<EventRow> = self
            .events
            .iter()
            .filter(|(id, event)| {
                self.covers(scope, event.accepted.application)
                    && event.matches(filter)
                    && page.before.is_none_or(|before| id.seq() < before.seq())
                    && page.after.is_none_or(|after| id.seq() > after.seq())
            })
            .map(|(id, event)| event.row(*id))
            .collect();
        if page.after.is_none() {
            rows.reverse();
        }
        rows.truncate(page.limit);
        rows
    }

    pub(super) fn event_expunge(&mut self, scope: Scope, id: EventId, now_ms: i64) -> bool {
        if self.event(scope, id).is_none() {
            return false;
        }
        if let Some(event) = self.events.get_mut(&id) {
            event.expunge(now_ms);
        }
        true
    }

    pub(super) fn event_expunge_due(&mut self, now_ms: i64) -> u64 {
        let due = self.events.values_mut().filter(|event| {
            let until_ms = event.accepted.labels.payload_until_ms;
            until_ms.is_some_and(|until_ms| until_ms <= now_ms)
                && !event.accepted.record.is_expunged()
        });
        due.take(EXPUNGE_EVENTS).map(|event| event.expunge(now_ms)).count() as u64
    }

    pub(super) fn event_count(&self, scope: Scope, times_ms: Range<i64>) -> Vec<EventCount> {
        let mut counts: BTreeMap<(ApplicationKey, Option<String>), (u64, u64)> = BTreeMap::new();
        for event in self.events.values().map(|event| &event.accepted) {
            if self.covers(scope, event.application) && times_ms.contains(&event.received_at_ms) {
                let group = (event.application, event.event_type.clone());
                let (events, deliveries) = counts.entry(group).or_default();
                *events += 1;
                *deliveries += event.planned.len() as u64;
            }
        }
        let count = |((application, event_type), (events, deliveries))| EventCount {
            application,
            event_type,
            events,
            deliveries,
        };
        counts.into_iter().map(count).collect()
    }

    pub(super) fn delivery_count(
        &self,
        scope: Scope,
        endpoint: EndpointKey,
        times_ms: Range<i64>,
    ) -> DeliveryCounts {
        let mut counts = DeliveryCounts::default();
        let events = self.events.values().filter(|event| {
            let accepted = &event.accepted;
            self.covers(scope, accepted.application) && times_ms.contains(&accepted.received_at_ms)
        });
        for delivery in events.filter_map(|event| event.latest(endpoint)) {
            match delivery.state {
                DeliveryState::Delivered => counts.delivered += 1,
                DeliveryState::Failed => counts.failed += 1,
                DeliveryState::Pending if delivery.lease.is_some() => counts.leased += 1,
                DeliveryState::Pending => counts.waiting += 1,
                DeliveryState::Cancelled => {}
            }
        }
        counts
    }

    pub(super) fn duplicate_list(
        &self,
        scope: Scope,
        event: EventId,
        limit: usize,
    ) -> Vec<DuplicateRow> {
        let repeats = self.event(scope, event).into_iter().flat_map(|kept| &kept.duplicates_ms);
        repeats.take(limit).map(|at| DuplicateRow { event, received_at_ms: *at }).collect()
    }
}

impl KeptEvent {
    /// Removes the payload, unless that has been done.
    fn expunge(&mut self, now_ms: i64) {
        if !self.accepted.record.is_expunged() {
            self.accepted.record = EventRecord::expunged(now_ms);
            self.accepted.labels.forget_payload();
        }
    }

    pub(super) fn row(&self, id: EventId) -> EventRow {
        EventRow {
            id,
            application: self.accepted.application,
            received_at_ms: self.accepted.received_at_ms,
            event_type: self.accepted.event_type.clone(),
            disposition: self.accepted.disposition,
            labels: self.accepted.labels.clone(),
            size_bytes: self.size_bytes(),
            deliveries: self.deliveries.iter().map(KeptDelivery::row).collect(),
        }
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.accepted.record.packed().len() as u64
    }

    pub(super) fn dedupe_key(&self) -> Option<DedupeKey> {
        self.accepted.dedupe.map(|(key, _, _)| key)
    }

    pub(super) fn has(&self, state: DeliveryState) -> bool {
        self.deliveries.iter().any(|delivery| delivery.state == state)
    }

    fn matches(&self, filter: &EventFilter) -> bool {
        let accepted = &self.accepted;
        let of_type = |wanted: &String| accepted.event_type.as_ref() == Some(wanted);
        let wanted_delivery = |delivery: &KeptDelivery| {
            filter.state.is_none_or(|state| delivery.state == state)
                && filter.endpoint.is_none_or(|endpoint| delivery.endpoint == endpoint)
        };
        let any_delivery = filter.state.is_none() && filter.endpoint.is_none();
        (filter.event_types.is_empty() || filter.event_types.iter().any(of_type))
            && (any_delivery || self.deliveries.iter().any(wanted_delivery))
            && filter.disposition.is_none_or(|wanted| wanted == accepted.disposition)
            && filter.since_ms.is_none_or(|since| accepted.received_at_ms >= since)
            && filter.until_ms.is_none_or(|until| accepted.received_at_ms < until)
            && filter.dedupe.is_none_or(|key| self.dedupe_key() == Some(key))
            && filter.channel.as_ref().is_none_or(|one| accepted.labels.channels.contains(one))
            && filter.tag.as_ref().is_none_or(|one| accepted.labels.tags.contains(one))
            && filter.unverified.is_none_or(|one| accepted.labels.unverified.is_some() == one)
    }
}
