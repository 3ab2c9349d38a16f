//! Storing an event that somebody posts, and handing its deliveries to the engine.
//!
//! Invariants: one transaction stores the event with its planned deliveries; a caller that goes away
//! in the middle breaks nothing, because the rest is carried on and counted until it is done.
//!
//! Deliberately absent: reading and checking what was posted (`handlers::create`), and what arrives
//! at receiving URLs.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use becket_model::{Disposition, EventLabels, EventRecord, PackedHeaders, PlanTarget};
use becket_store::accept::{Finishing, Handoff, plan_and_accept};
use becket_store::activity::Place;
use becket_store::{Accepted, DedupeKey, DedupeKind, Endpoint, EventAccept, Scope, Store};

use crate::ApiState;
use crate::activity::Activity;

/// An event as it was posted.
#[derive(Debug)]
pub(crate) struct Posted {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    pub event_type: String,
    pub labels: EventLabels,
    /// How a repeat is recognised, and within how many milliseconds.
    pub dedupe: Option<(DedupeKey, u64)>,
    pub record: EventRecord,
}

/// What posting needs of the gateway.
#[derive(Clone)]
pub(crate) struct Poster {
    store: Arc<dyn Store>,
    handoff: Arc<dyn Handoff>,
    lease_ms: u64,
    unfinished: Arc<AtomicUsize>,
    activity: Arc<Activity>,
}

impl Poster {
    pub fn new(
        store: Arc<dyn Store>,
        handoff: Arc<dyn Handoff>,
        lease_ms: u64,
        unfinished: Arc<AtomicUsize>,
        activity: Arc<Activity>,
    ) -> Self {
        Self { store, handoff, lease_ms, unfinished, activity }
    }

    pub fn of(api: &ApiState) -> Self {
        let (store, handoff) = (Arc::clone(&api.store), Arc::clone(&api.handoff));
        let (unfinished, activity) = (Arc::clone(&api.unfinished), Arc::clone(&api.activity));
        Self::new(store, handoff, api.lease_ms, unfinished, activity)
    }

    /// Stores the event for those of the endpoints that want it. Nothing is read.
    pub async fn post(
        &self,
        scope: Scope,
        endpoints: impl IntoIterator<Item = &Endpoint>,
        posted: Posted,
    ) -> becket_store::Result<Accepted> {
        let Some(application) = scope.application else {
            let detail = "an event was posted to no application".to_owned();
            return Err(becket_store::StoreError::Database { operation: "event_accept", detail });
        };
        let due_ms = posted.labels.deliver_at_ms.filter(|due_ms| *due_ms > posted.at_ms);
        let accept = EventAccept {
            application,
            received_at_ms: posted.at_ms,
            event_type: Some(posted.event_type),
            dedupe: posted.dedupe.map(|(key, for_ms)| (key, DedupeKind::Posted, for_ms)),
            disposition: Disposition::Accepted,
            labels: posted.labels,
            record: posted.record,
            planned: Vec::new(),
            due_ms,
            lease_until_ms: posted.at_ms.saturating_add_unsigned(self.lease_ms),
        };
        let targets: Vec<PlanTarget<'_>> = endpoints
            .into_iter()
            .map(|endpoint| PlanTarget {
                key: endpoint.key,
                state: endpoint.state,
                settings: &endpoint.settings,
            })
            .collect();
        let at_ms = accept.received_at_ms;
        let bytes = accept.record.body().len() as u64;
        let event_type = accept.event_type.clone();
        let (store, handoff) = (Arc::clone(&self.store), Arc::clone(&self.handoff));
        let committing = plan_and_accept(store, handoff, scope, accept, &targets);
        let activity = Arc::clone(&self.activity);
        // Counted with the commit, so that a caller who goes away changes nothing.
        let counting = async move {
            let accepted = committing.await?;
            let place = Place {
                owner: scope.owner,
                application: Some(application),
                endpoint: None,
                event_type: event_type.as_deref(),
            };
            activity.note(at_ms, &place, |counts| match accepted {
                Accepted::Stored { .. } => {
                    counts.received += 1;
                    counts.bytes += bytes;
                }
                Accepted::Duplicate { .. } => counts.duplicates += 1,
            });
            Ok(accepted)
        };
        Finishing::new(counting, &self.unfinished).await
    }
}

/// Packs a posted body as it is kept and delivered, with the headers that go with it.
pub(crate) fn record<'h>(
    event_id: Option<&str>,
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    body: &[u8],
) -> Result<EventRecord, becket_model::RecordError> {
    let mut packed = PackedHeaders::with_capacity(body.len() + event_id.map_or(0, str::len) + 160);
    packed.push(EventRecord::METHOD, b"POST");
    if let Some(event_id) = event_id {
        packed.push(EventRecord::DELIVERY_ID, event_id.as_bytes());
    }
    for (name, value) in headers {
        packed.push(name, value);
    }
    EventRecord::from_packed(packed.finish(body))
}

/// The headers of a body that is JSON.
pub(crate) const JSON: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
