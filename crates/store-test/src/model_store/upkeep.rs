//! Quarantine, retention and counts of the model store.

use becket_model::{DeliveryState, EndpointState, EventId, Noise, Origin};
use becket_store::{
    Accepted, EventAccept, QuarantineFilter, QuarantineRow, QuarantineWrite, Quarantined, Result,
    RetentionPolicy, Scope, StoreError, StoreStats, Swept,
};

use super::{KeptDelivery, KeptEvent, State};

/// How many events one step of retention removes.
const SWEEP_EVENTS: usize = 100;

impl State {
    pub(super) fn quarantine_put(&mut self, scope: Scope, refused: QuarantineWrite) -> bool {
        let Some(application) = scope.application else {
            return false;
        };
        if !self.covers(scope, application) || self.quarantine_rows == 0 {
            return false;
        }
        self.last_quarantined += 1;
        let number = self.last_quarantined;
        let row = QuarantineRow {
            number,
            application,
            received_at_ms: refused.received_at_ms,
            code: refused.code,
            reason: refused.reason,
            status: refused.status,
            size_bytes: refused.record.packed().len() as u64,
        };
        let kept = Quarantined { row, record: refused.record };
        self.quarantine.insert(number, (scope.owner, kept));
        while self.quarantine.len() > self.quarantine_rows {
            self.quarantine.pop_first();
        }
        true
    }

    pub(super) fn quarantine_list(
        &self,
        scope: Scope,
        filter: &QuarantineFilter,
        limit: usize,
    ) -> Vec<QuarantineRow> {
        let seen = self.quarantine.values().filter(|(owner, kept)| {
            let row = &kept.row;
            *owner == scope.owner
                && self.covers(scope, row.application)
                && (filter.codes.is_empty() || filter.codes.contains(&row.code))
                && filter.since_ms.is_none_or(|since_ms| row.received_at_ms >= since_ms)
                && filter.until_ms.is_none_or(|until_ms| row.received_at_ms < until_ms)
                && filter.before.is_none_or(|before| row.number < before)
                && filter.after.is_none_or(|after| row.number > after)
        });
        let mut rows: Vec<QuarantineRow> = seen.map(|(_, kept)| kept.row.clone()).collect();
        if filter.after.is_none() {
            rows.reverse();
        }
        rows.truncate(limit);
        rows
    }

    pub(super) fn quarantine_get(&self, scope: Scope, number: i64) -> Option<&Quarantined> {
        let (owner, kept) = self.quarantine.get(&number)?;
        (*owner == scope.owner && self.covers(scope, kept.row.application)).then_some(kept)
    }

    pub(super) fn quarantine_release(
        &mut self,
        scope: Scope,
        number: i64,
        accept: EventAccept,
        noise: &dyn Noise,
    ) -> Result<Option<Accepted>> {
        let Some(kept) = self.quarantine_get(scope, number) else { return Ok(None) };
        if kept.row.application != accept.application {
            return Err(StoreError::Database {
                operation: "quarantine_release",
                detail: format!("refused request {number} was sent to another source"),
            });
        }
        let accepted = self.event_accept(scope, accept, noise)?;
        self.quarantine.remove(&number);
        Ok(Some(accepted))
    }

    /// The events that are older than the policy allows, oldest first.
    pub(super) fn outlived(&self, policy: RetentionPolicy, now_ms: i64) -> Vec<EventId> {
        let gone_ms = now_ms.saturating_sub_unsigned(policy.failed_ms.max(policy.delivered_ms));
        self.events
            .iter()
            .filter(|(_, event)| {
                let keep_ms = match event {
                    event if self.waits(event, gone_ms, now_ms) => return false,
                    event if event.has(DeliveryState::Failed) => policy.failed_ms,
                    _ => policy.delivered_ms,
                };
                event.accepted.received_at_ms.saturating_add_unsigned(keep_ms) < now_ms
            })
            .map(|(id, _)| *id)
            .collect()
    }

    /// Whether something of an event is pending, and not only for endpoints that the API made and
    /// that were removed before a moment. What is under way is pending.
    fn waits(&self, event: &KeptEvent, removed_before_ms: i64, now_ms: i64) -> bool {
        let in_vain = |delivery: &KeptDelivery| {
            let gone = self.endpoints.get(&delivery.endpoint).is_some_and(|(_, endpoint)| {
                endpoint.state == EndpointState::Removed
                    && endpoint.origin == Origin::Api
                    && endpoint.updated_at_ms < removed_before_ms
            });
            gone && delivery.lease.is_none_or(|lease| lease.until_ms <= now_ms)
        };
        let mut pending = event.deliveries.iter().filter(|one| one.state == DeliveryState::Pending);
        pending.any(|delivery| !in_vain(delivery))
    }

    /// The events that have to go so that the rest fits under the cap, oldest first.
    fn over_cap(&self, policy: RetentionPolicy, now_ms: i64) -> Vec<EventId> {
        let mut over =
            policy.cap_bytes.map_or(0, |cap_bytes| self.bytes().saturating_sub(cap_bytes));
        let ended = self.events.iter().filter(|(_, event)| !self.waits(event, i64::MAX, now_ms));
        ended
            .take_while(|(_, event)| {
                let needed = over > 0;
                over = over.saturating_sub(event.size_bytes());
                needed
            })
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn retention_sweep(&mut self, policy: RetentionPolicy, now_ms: i64) -> Swept {
        let mut doomed = self.outlived(policy, now_ms);
        if doomed.is_empty() {
            doomed = self.over_cap(policy, now_ms);
        }
        doomed.truncate(SWEEP_EVENTS);
        let removed: Vec<KeptEvent> =
            doomed.iter().filter_map(|event| self.events.remove(event)).collect();
        Swept {
            events: removed.len() as u64,
            bytes: removed.iter().map(KeptEvent::size_bytes).sum(),
            more: !self.outlived(policy, now_ms).is_empty()
                || !self.over_cap(policy, now_ms).is_empty(),
        }
    }

    fn bytes(&self) -> u64 {
        self.events.values().map(KeptEvent::size_bytes).sum()
    }

    pub(super) fn stats(&self) -> StoreStats {
        let deliveries = self.events.values().flat_map(|event| &event.deliveries);
        StoreStats {
            events: self.events.len() as u64,
            pending: deliveries.filter(|delivery| delivery.state == DeliveryState::Pending).count()
                as u64,
            bytes: self.bytes(),
            segments: 0,
            quarantined: self.quarantine.len() as u64,
        }
    }
}
