//! Counts over time: what requests and attempts add to them, and writing them down.
//!
//! Invariant: noting costs a fraction of a microsecond and never waits for anything but a lock that
//! threads do not share.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_api::Activity;
use becket_engine::AttemptReport;
use becket_ingress::{Outcome, ReleaseReport, RequestReport};
use becket_model::{EndpointKey, EndpointState, NextStep, Noise, Trigger};
use becket_store::activity::Place;
use becket_store::{Owner, Scope, StoreError};
use tokio::time::Instant;

use super::gateway::Gateway;
use crate::config::Config;

/// The name of this gateway among those that share a store. A folder has one; nodes have one for each
/// run, since what they count is added up.
pub(super) fn node_name(config: &Config, noise: &dyn Noise) -> String {
    if config.store.url.folder().is_some() {
        return "main".to_owned();
    }
    let mut random = [0; 8];
    noise.fill(&mut random);
    format!("n{}", hex::encode(random))
}

const WRITE_EVERY: Duration = Duration::from_secs(5);
/// The longest that is waited for the number of pending deliveries.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// How often whose endpoints there are is read anew.
const OWNERS_EVERY: Duration = Duration::from_secs(60);
/// How often at most, when there is an endpoint that is not known.
const OWNERS_PAUSE: Duration = Duration::from_secs(10);

fn place(scope: Scope, event_type: Option<&str>) -> Place<'_> {
    Place { owner: scope.owner, application: scope.application, endpoint: None, event_type }
}

/// Counts a request to a source.
pub(super) fn note_request(activity: &Activity, now_ms: i64, report: &RequestReport<'_>) {
    let Some(scope) = report.scope else { return };
    // A challenge is no event, and of a sender that went away nobody knows what it wanted.
    if matches!(report.outcome, Outcome::Handshake | Outcome::Disconnected) {
        return;
    }
    activity.note(now_ms, &place(scope, report.event_type), |counts| {
        match (report.outcome, report.event) {
            (Outcome::Duplicate, _) => counts.duplicates += 1,
            (_, None) => counts.refused += 1,
            (outcome, Some(_)) => {
                counts.received += 1;
                counts.filtered += u64::from(outcome == Outcome::Filtered);
                counts.bytes += report.bytes;
            }
        }
    });
}

/// Counts a refused request that has become an event after all.
pub(super) fn note_released(activity: &Activity, now_ms: i64, report: &ReleaseReport<'_>) {
    activity.note(now_ms, &place(report.scope, report.event_type), |counts| {
        if report.repeat {
            counts.duplicates += 1;
        } else {
            counts.received += 1;
            counts.bytes += report.bytes;
        }
    });
}

/// Counts an attempt.
pub(super) fn note_attempt(activity: &Activity, now_ms: i64, report: &AttemptReport) {
    // Whoever was not ready has not been tried.
    let tried = report.succeeded || report.status.is_some() || report.error_code.is_some();
    let place = Place {
        owner: report.owner,
        application: Some(report.application),
        endpoint: Some(report.delivery.endpoint),
        event_type: report.event_type.as_deref(),
    };
    activity.note(now_ms, &place, |counts| {
        counts.attempts += u64::from(tried);
        counts.attempts_failed += u64::from(tried && !report.succeeded);
        match report.next {
            NextStep::Delivered => counts.delivered += 1,
            NextStep::Failed(_) => counts.failed += 1,
            NextStep::RetryAt(_) => {}
        }
        if report.succeeded && report.trigger == Trigger::Receipt {
            counts.latency.add_ms(report.latency_ms);
        }
    });
}

/// Begins to write counts down, for as long as the gateway lives.
pub(super) fn start(gateway: &Arc<Gateway>, activity: &Arc<Activity>) {
    let writer = Writer {
        gateway: Arc::downgrade(gateway),
        activity: Arc::clone(activity),
        owners: HashMap::new(),
        read_at: None,
    };
    tokio::spawn(writer.run());
}

/// Writes down what is left, before the store is closed.
pub(super) async fn end(gateway: &Gateway, activity: &Activity) {
    let now_ms = gateway.clock.now_ms();
    if let Err(error) = activity.flush(gateway.store.as_ref(), None, now_ms).await {
        tracing::warn!(code = error.code(), %error, "activity.not_written");
    }
}

struct Writer {
    gateway: Weak<Gateway>,
    activity: Arc<Activity>,
    /// Whose each endpoint is; `None` if it is removed.
    owners: HashMap<EndpointKey, Option<Owner>>,
    read_at: Option<Instant>,
}

impl Writer {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            let Some(gateway) = self.gateway.upgrade() else { return };
            let pending = tokio::time::timeout(LOOK_PATIENCE, self.pending(&gateway)).await;
            let pending = match pending {
                // Of several nodes one says it for all.
                Ok(Ok(_)) if !gateway.is_first() => None,
                Ok(Ok(pending)) => Some(pending),
                Ok(Err(StoreError::Closed)) => return,
                Ok(Err(error)) => {
                    tracing::warn!(code = error.code(), %error, "activity.look_failed");
                    None
                }
                // The store is busy; the next look says more.
                Err(_) => None,
            };
            let (store, now_ms) = (gateway.store.as_ref(), gateway.clock.now_ms());
            match self.activity.flush(store, pending.as_ref(), now_ms).await {
                Ok(()) => {}
                Err(StoreError::Closed) => return,
                Err(error) => tracing::warn!(code = error.code(), %error, "activity.not_written"),
            }
        }
    }

    /// How many deliveries of each owner wait, those of removed endpoints left out.
    async fn pending(&mut self, gateway: &Gateway) -> Result<HashMap<Owner, u64>, StoreError> {
        let waiting = gateway.store.delivery_waiting().await?;
        let unknown = waiting.iter().any(|(endpoint, _)| !self.owners.contains_key(endpoint));
        let pause = if unknown { OWNERS_PAUSE } else { OWNERS_EVERY };
        if self.read_at.is_none_or(|at| at.elapsed() >= pause) {
            self.read_owners(gateway).await?;
        }
        let owners: HashSet<Owner> = self.owners.values().flatten().copied().collect();
        let mut pending: HashMap<Owner, u64> = owners.into_iter().map(|one| (one, 0)).collect();
        for (endpoint, count) in waiting {
            if let Some(Some(owner)) = self.owners.get(&endpoint) {
                *pending.entry(*owner).or_default() += count;
            }
        }
        Ok(pending)
    }

    async fn read_owners(&mut self, gateway: &Gateway) -> Result<(), StoreError> {
        let mut owners = HashMap::new();
        for owner in gateway.store.owner_list().await? {
            for endpoint in gateway.store.config_list(owner).await?.endpoints {
                let present = endpoint.state != EndpointState::Removed;
                owners.insert(endpoint.key, present.then_some(owner));
            }
        }
        self.owners = owners;
        self.read_at = Some(Instant::now());
        Ok(())
    }
}
