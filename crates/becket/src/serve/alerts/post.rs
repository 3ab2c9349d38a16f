//! Posting an alert: an event like any other, of the source that carries alerts.

use std::sync::Arc;

use becket_model::{Disposition, EventLabels, EventRecord, PackedHeaders, PlanTarget};
use becket_store::accept::{Finishing, Handoff, plan_and_accept};
use becket_store::{DedupeKey, DedupeKind, EventAccept, Scope, StoreError};

use super::super::gateway::{Gateway, SourceInForce};
use super::super::handoff::EngineHandoff;
use super::episodes::Episode;
use super::words::Alert;

/// For how long a repeat is recognised: longer than a crash in the middle takes to be noticed.
const REPEAT_WINDOW_MS: u64 = 3 * 24 * 3_600_000;

/// Stores an alert and hands it over; the same one again starts nothing.
pub(super) async fn post(
    gateway: &Gateway,
    alerts: &SourceInForce,
    episode: &Episode,
    alert: &Alert,
    now_ms: i64,
) -> Result<(), StoreError> {
    let body = alert.body.to_string();
    let mut packed = PackedHeaders::with_capacity(body.len() + 96);
    packed.push(EventRecord::METHOD, b"POST");
    packed.push("content-type", b"application/json");
    let record = EventRecord::from_packed(packed.finish(body.as_bytes()));
    let record = record.map_err(|error| StoreError::Database {
        operation: "event_accept",
        detail: error.to_string(),
    })?;
    let application = alerts.application.key;
    let accept = EventAccept {
        application,
        received_at_ms: now_ms,
        event_type: Some(alert.event_type.to_owned()),
        dedupe: Some((key_of(episode), DedupeKind::Posted, REPEAT_WINDOW_MS)),
        disposition: Disposition::Accepted,
        labels: EventLabels::default(),
        record,
        planned: Vec::new(),
        due_ms: None,
        lease_until_ms: now_ms.saturating_add_unsigned(gateway.engine.lease_ms()),
    };
    let targets: Vec<PlanTarget<'_>> = alerts
        .endpoints
        .iter()
        .map(|endpoint| PlanTarget {
            key: endpoint.key,
            state: endpoint.state,
            settings: &endpoint.settings,
        })
        .collect();
    let handoff: Arc<dyn Handoff> = EngineHandoff::new(&gateway.engine, gateway.node.as_ref());
    let scope = Scope::of(alerts.application.owner, application);
    let committing = plan_and_accept(Arc::clone(&gateway.store), handoff, scope, accept, &targets);
    Finishing::new(committing, &gateway.unfinished).await.map(drop)
}

/// Names one telling of one episode. Two FNV-1a sums: nobody from outside chooses what goes in.
fn key_of(episode: &Episode) -> DedupeKey {
    let text = format!(
        "{}/{}/{}/{}/{:?}",
        episode.kind.event_type(),
        episode.subject,
        episode.began_ms,
        episode.told,
        episode.pending
    );
    let sum = |offset: u64| {
        text.bytes().fold(offset, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    };
    let mut key = [0; 16];
    key[..8].copy_from_slice(&sum(0xcbf2_9ce4_8422_2325).to_be_bytes());
    key[8..].copy_from_slice(&sum(0x6c62_272e_07bb_0142).to_be_bytes());
    DedupeKey(key)
}
