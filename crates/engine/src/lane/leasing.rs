//! What a lane takes from the store and gives back to it.

use becket_model::BreakerState;
use becket_store::{LeasedDelivery, StoreError};

use crate::config::{EngineConfig, LEASE_MARGIN_MS};
use crate::job::{Job, LeaseJob, Leased, backoff_ms};
use crate::lane::{Lane, Surroundings, delivery_bytes, leased, look_spread_ms};
use crate::shared::Closed;

/// How many deliveries are leased from the store in one call, at most.
const LEASE_BATCH_MAX: usize = 64;
/// How many bytes a lease is meant to bring into memory, at most.
const LEASE_BYTES: usize = 4 * 1024 * 1024;
/// How much of its rate a lane leases ahead, in milliseconds.
const RATE_AHEAD_MS: u64 = 30_000;

impl Lane {
    pub(super) fn lease_if_due(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        let waits = self.shared.is(Closed::Backlog)
            || self.due.is_due(now.wall_ms)
            || self.look_at_ms <= now.mono_ms;
        let low = self.queue.len() < self.prepared.concurrency().min(LEASE_BATCH_MAX);
        let no_room = self.shared.shard.bytes_are_full() && !self.queue.is_empty();
        if !waits
            || !low
            || no_room
            || self.leasing
            || self.held > 0
            || !self.shared.shard.tenure.holds(now.mono_ms)
            || self.lease_retry_at_ms > now.mono_ms
            || !self.breaker_may_admit(now)
            || (self.breaker.state() != BreakerState::Closed && !self.queue.is_empty())
        {
            return;
        }
        self.leasing = true;
        self.woken_while_leasing = false;
        self.due.passed(now.wall_ms);
        self.look_at_ms = now.mono_ms + around.config.lease_ms + look_spread_ms(&self.shared);
        around.jobs.push(Job::Lease(LeaseJob {
            endpoint: self.shared.key,
            now_ms: now.wall_ms,
            lease_ms: around.config.lease_ms,
            limit: self.lease_limit(around.config),
        }));
    }

    /// How many deliveries to lease: what can be tried in time and kept in memory.
    fn lease_limit(&self, config: &EngineConfig) -> usize {
        if self.breaker.state() != BreakerState::Closed {
            return 1;
        }
        let settings = &self.prepared.runtime.settings;
        let concurrency = self.prepared.concurrency();
        let rounds = (config.lease_ms - LEASE_MARGIN_MS) / settings.timeout_ms.max(1);
        let in_time = concurrency.saturating_mul(usize::try_from(rounds).unwrap_or(usize::MAX));
        let by_rate = settings.rate.map_or(u64::MAX, |rate| {
            u64::from(rate.count).saturating_mul(RATE_AHEAD_MS) / rate.period_ms.max(1)
        });
        let shared_rate = self.prepared.runtime.application_rate.as_ref();
        let by_rate =
            by_rate.min(shared_rate.map_or(u64::MAX, |rate| rate.expected(RATE_AHEAD_MS)));
        let by_bytes = if self.shared.shard.bytes_are_full() {
            concurrency.saturating_sub(self.in_flight.len())
        } else {
            LEASE_BYTES / self.typical_bytes.max(1)
        };
        LEASE_BATCH_MAX
            .min(self.shared.places_left())
            .min(in_time)
            .min(by_bytes)
            .min(usize::try_from(by_rate).unwrap_or(usize::MAX))
            .max(1)
    }

    /// A lease has come, or has not.
    pub(crate) fn lease_ended(
        &mut self,
        job: LeaseJob,
        result: Result<Vec<LeasedDelivery>, StoreError>,
        around: &mut Surroundings<'_>,
    ) {
        self.leasing = false;
        let lease_until_ms = job.now_ms.saturating_add_unsigned(job.lease_ms);
        match result {
            Ok(deliveries) => {
                self.lease_failures = 0;
                self.set_backlog(deliveries.len() >= job.limit || self.woken_while_leasing);
                for delivery in deliveries {
                    self.shared.occupy();
                    self.shared.shard.queued_add(delivery_bytes(&delivery));
                    self.enqueue(delivery, lease_until_ms);
                }
                *around.refresh |= self.due.incomplete();
                if self.unclear && !self.shared.is(Closed::Backlog) {
                    self.unclear = false;
                    *around.refresh = true;
                }
            }
            Err(_) => {
                self.lease_failures = self.lease_failures.saturating_add(1);
                self.lease_retry_at_ms = around.now.mono_ms + backoff_ms(self.lease_failures);
                self.set_backlog(true);
                // The store may have given the leases and lost the answer.
                self.due.insert(lease_until_ms);
            }
        }
    }

    pub(super) fn set_backlog(&mut self, holds: bool) {
        self.shared.set(Closed::Backlog, holds);
    }

    pub(super) fn release_queue(&mut self, around: &mut Surroundings<'_>) {
        let mut deliveries = Vec::new();
        while let Some(queued) = self.unqueue() {
            deliveries.push(leased(&queued.delivery));
        }
        self.release(deliveries, around);
    }

    pub(super) fn release(&mut self, deliveries: Vec<Leased>, around: &mut Surroundings<'_>) {
        if deliveries.is_empty() {
            return;
        }
        self.set_backlog(true);
        self.releasing += 1;
        let endpoint = self.shared.key;
        around.jobs.push(Job::Release { endpoint, deliveries, failures: 0 });
    }

    /// What was released can be leased again: also by a lease that was asked for before.
    pub(crate) fn released(&mut self) {
        self.releasing = self.releasing.saturating_sub(1);
        self.set_backlog(true);
        self.woken_while_leasing |= self.leasing;
    }
}
