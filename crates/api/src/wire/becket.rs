//! Our own shapes, under `/api/v1/becket`: sources, endpoints, events, attempts and what is known
//! about each.

use becket_filter::Filter;
use becket_model::attempt_detail::AttemptDetail;
use becket_model::{
    EventRecord, FailureReason, FilteredBy, NextStep, Released, Trigger, Verification,
};
use becket_signature::Explanation;
use becket_store::{Application, AttemptRow, DeliveryRow, Endpoint, EventRow, StoreStats};
use serde::Serialize;
use serde_json::Value;

use crate::names::{Names, public_id};
use crate::source_state::{CredentialState, SourceDetails, SourceSettings};
use crate::times;
use crate::wire::body::{self, BodyOut};

/// A source as we show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceOut {
    id: String,
    uid: String,
    name: String,
    provider: String,
    provider_name: Option<String>,
    receiving_url: Option<String>,
    origin: becket_model::Origin,
    removed: bool,
    event_types: Option<Vec<String>>,
    verification: Verification,
    settings: Option<SourceSettings>,
    credentials: Vec<CredentialState>,
    warnings: Vec<String>,
    endpoints: Vec<String>,
    created_at: String,
}

impl SourceOut {
    pub fn new(
        source: &Application,
        names: &Names,
        receiving_url: String,
        details: Option<SourceDetails>,
    ) -> Self {
        let endpoints = names
            .endpoints()
            .iter()
            .filter(|endpoint| endpoint.application == source.key)
            .filter(|endpoint| endpoint.state != becket_model::EndpointState::Removed);
        let details = details.unwrap_or_default();
        Self {
            id: public_id(source),
            uid: source.name(),
            name: Some(source.settings.name.clone())
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| source.name()),
            provider: source.settings.provider.clone(),
            provider_name: Some(details.provider_name).filter(|name| !name.is_empty()),
            receiving_url: (!source.removed).then_some(receiving_url),
            origin: source.origin,
            removed: source.removed,
            event_types: details.event_types,
            verification: details.verification,
            settings: details.settings,
            credentials: details.credentials,
            warnings: details.warnings,
            endpoints: endpoints.map(Endpoint::name).collect(),
            created_at: times::text(source.created_at_ms),
        }
    }
}

/// An endpoint as we show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointOut {
    id: String,
    uid: String,
    source: Option<String>,
    source_id: Option<String>,
    kind: becket_model::EndpointKind,
    url: String,
    description: String,
    state: &'static str,
    state_reason: Option<String>,
    failing_since: Option<String>,
    origin: becket_model::Origin,
    event_types: Option<Vec<String>>,
    timeout_ms: u64,
    connect_timeout_ms: u64,
    concurrency: u32,
    rate: Option<String>,
    retry_delays_ms: Vec<u64>,
    allow_private: bool,
    created_at: String,
    updated_at: String,
}

impl EndpointOut {
    pub fn new(endpoint: &Endpoint, names: &Names) -> Self {
        let source = names.source_of(endpoint.application);
        let settings = &endpoint.settings;
        Self {
            id: endpoint.id.to_string(),
            uid: endpoint.name(),
            source: source.map(Application::name),
            source_id: source.map(public_id),
            kind: settings.kind,
            url: settings.url.clone(),
            description: settings.description.clone(),
            state: endpoint.state.as_str(),
            state_reason: Some(endpoint.state_reason.clone()).filter(|reason| !reason.is_empty()),
            failing_since: endpoint.failing_since_ms.map(times::text),
            origin: endpoint.origin,
            event_types: settings.event_types.clone(),
            timeout_ms: settings.timeout_ms,
            connect_timeout_ms: settings.connect_timeout_ms,
            concurrency: settings.concurrency,
            rate: settings.rate.map(|rate| rate.to_string()),
            retry_delays_ms: settings.retry.delays_ms.clone(),
            allow_private: settings.allow_private,
            created_at: times::text(endpoint.created_at_ms),
            updated_at: times::text(endpoint.updated_at_ms),
        }
    }
}

/// A delivery of an event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryOut {
    endpoint_id: Option<String>,
    endpoint: Option<String>,
    generation: u16,
    state: &'static str,
    attempts: u32,
    under_way: bool,
    next_attempt_at: Option<String>,
}

impl DeliveryOut {
    pub fn new(delivery: &DeliveryRow, names: &Names) -> Self {
        let endpoint = names.endpoint_of(delivery.endpoint);
        let state = names.shown_state(delivery);
        let pending = state == becket_model::DeliveryState::Pending;
        Self {
            endpoint_id: endpoint.map(|endpoint| endpoint.id.to_string()),
            endpoint: endpoint.map(Endpoint::name),
            generation: delivery.generation,
            state: state.as_str(),
            attempts: delivery.attempts,
            under_way: pending && delivery.due_ms.is_none(),
            next_attempt_at: delivery.due_ms.filter(|_| pending).map(times::text),
        }
    }
}

/// An event without its bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventOut {
    pub id: String,
    source_id: Option<String>,
    source: Option<String>,
    event_type: Option<String>,
    received_at: String,
    disposition: &'static str,
    state: &'static str,
    size_bytes: u64,
    unverified: Option<String>,
    released: Option<ReleasedOut>,
    filtered_by: Vec<FilteredOut>,
    deliveries: Vec<DeliveryOut>,
}

/// Why an endpoint's filter kept an event from it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FilteredOut {
    endpoint_id: Option<String>,
    endpoint: Option<String>,
    clause: String,
    expected: String,
    found: Option<String>,
}

impl FilteredOut {
    fn new(filtered: &FilteredBy, names: &Names) -> Self {
        let endpoint = names.endpoint_of(filtered.endpoint);
        Self {
            endpoint_id: endpoint.map(|endpoint| endpoint.id.to_string()),
            endpoint: endpoint.map(Endpoint::name),
            clause: filtered.clause.clone(),
            expected: filtered.expected.clone(),
            found: Some(filtered.found.clone()).filter(|found| !found.is_empty()),
        }
    }
}

/// An endpoint's filter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointFilterOut {
    endpoint_id: String,
    endpoint: String,
    filter: Option<Filter>,
    origin: becket_model::Origin,
    updated_at: String,
}

impl EndpointFilterOut {
    pub fn new(endpoint: &Endpoint, names: &Names) -> Self {
        Self {
            endpoint_id: endpoint.id.to_string(),
            endpoint: names.full_name(endpoint),
            filter: endpoint.settings.filter.clone(),
            origin: endpoint.origin,
            updated_at: times::text(endpoint.updated_at_ms),
        }
    }
}

/// How an event came out of quarantine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReleasedOut {
    by: String,
    reason: Option<String>,
    refused_as: String,
    first_received_at: String,
}

impl ReleasedOut {
    fn new(released: &Released) -> Self {
        Self {
            by: released.by.clone(),
            reason: released.reason.clone(),
            refused_as: released.refused_as.clone(),
            first_received_at: times::text(released.first_received_at_ms),
        }
    }
}

impl EventOut {
    pub fn new(event: &EventRow, names: &Names) -> Self {
        let source = names.source_of(event.application);
        let deliveries = event.deliveries.iter();
        Self {
            id: event.id.to_string(),
            source_id: source.map(public_id),
            source: source.map(Application::name),
            event_type: event.event_type.clone(),
            received_at: times::text(event.received_at_ms),
            disposition: event.disposition.as_str(),
            state: names.event_state(event).map_or("none", becket_model::DeliveryState::as_str),
            size_bytes: event.size_bytes,
            unverified: event.labels.unverified.clone(),
            released: event.labels.released.as_ref().map(ReleasedOut::new),
            filtered_by: (event.labels.filtered.iter())
                .map(|filtered| FilteredOut::new(filtered, names))
                .collect(),
            deliveries: deliveries.map(|delivery| DeliveryOut::new(delivery, names)).collect(),
        }
    }
}

/// An attempt, with its details if they are asked for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttemptOut {
    pub id: String,
    event_id: String,
    endpoint_id: Option<String>,
    endpoint: Option<String>,
    generation: u16,
    number: u32,
    trigger: Trigger,
    started_at: String,
    duration_ms: u32,
    succeeded: bool,
    status: Option<u16>,
    error_code: Option<String>,
    next: NextOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<AttemptDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curl: Option<String>,
}

/// What became of a delivery after an attempt.
#[derive(Debug, Serialize)]
pub(crate) struct NextOut {
    step: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<FailureReason>,
}

impl NextOut {
    fn new(next: NextStep) -> Self {
        match next {
            NextStep::Delivered => Self { step: "delivered", at: None, reason: None },
            NextStep::RetryAt(at_ms) => {
                Self { step: "retry", at: Some(times::text(at_ms)), reason: None }
            }
            NextStep::Failed(reason) => Self { step: "failed", at: None, reason: Some(reason) },
        }
    }
}

impl AttemptOut {
    pub fn new(row: &AttemptRow, names: &Names) -> Self {
        let endpoint = names.endpoint_of(row.delivery.endpoint);
        Self {
            id: row.id.to_string(),
            event_id: row.delivery.event.to_string(),
            endpoint_id: endpoint.map(|endpoint| endpoint.id.to_string()),
            endpoint: endpoint.map(|endpoint| names.full_name(endpoint)),
            generation: row.delivery.generation,
            number: row.attempt.number,
            trigger: row.attempt.trigger,
            started_at: times::text(row.attempt.started_at_ms),
            duration_ms: row.attempt.duration_ms,
            succeeded: row.next == NextStep::Delivered,
            status: row.attempt.status,
            error_code: row.attempt.error_code.clone(),
            next: NextOut::new(row.next),
            detail: None,
            curl: None,
        }
    }
}

/// A request as it came in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestOut {
    method: Option<String>,
    path: Option<String>,
    url: Option<String>,
    remote_address: Option<String>,
    headers: Vec<(String, String)>,
    body: BodyOut,
}

impl RequestOut {
    /// The most of a body that is shown; the whole of it has its own path.
    pub const BODY_BYTES_MAX: usize = 64 * 1024;

    pub fn new(record: &EventRecord, reveal: bool) -> Self {
        let fact = |name| record.fact(name).map(str::to_owned);
        Self {
            method: fact(EventRecord::METHOD),
            path: fact(EventRecord::PATH),
            url: fact(EventRecord::URL),
            remote_address: fact(EventRecord::REMOTE),
            headers: body::headers(record, reveal),
            body: BodyOut::of(&record.body(), Self::BODY_BYTES_MAX),
        }
    }
}

/// What verification found then, and what it finds with the secrets of now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerdictOut {
    /// As recorded on receipt; null for a refused request.
    pub recorded: Option<Value>,
    /// Judged again with the secrets of now; null if the source is no longer configured.
    pub explanation: Option<Explanation>,
}

/// How repeats were recognised, and how many there were.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DedupeOut {
    pub delivery_id: Option<String>,
    pub duplicates: Vec<String>,
    pub more: bool,
}

/// Why an endpoint gets an event, or does not, by its settings of now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanOut {
    pub endpoint_id: String,
    pub endpoint: String,
    pub url: String,
    pub planned: bool,
    pub reason: String,
}

/// Everything that is known about an event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplainOut {
    pub event: EventOut,
    pub request: RequestOut,
    pub verdict: VerdictOut,
    pub dedupe: DedupeOut,
    pub invalid: Option<String>,
    pub endpoints: Vec<PlanOut>,
    pub attempts: Vec<AttemptOut>,
}

/// Counts and sizes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatsOut {
    // Of the whole store, so not for one of its tenants.
    events: Option<u64>,
    deliveries_pending: Option<u64>,
    bytes: Option<u64>,
    segments: Option<u64>,
    quarantined: Option<u64>,
    sources: usize,
    pub accepting: bool,
    pub problem: Option<String>,
    endpoints: EndpointCounts,
}

#[derive(Debug, Default, Serialize)]
struct EndpointCounts {
    enabled: usize,
    paused: usize,
    disabled: usize,
    failing: usize,
}

impl StatsOut {
    /// The counts of the whole store are left out without `stats`.
    pub fn new(stats: Option<StoreStats>, names: &Names) -> Self {
        let mut endpoints = EndpointCounts::default();
        for endpoint in names.endpoints() {
            match endpoint.state {
                becket_model::EndpointState::Enabled => endpoints.enabled += 1,
                becket_model::EndpointState::Paused => endpoints.paused += 1,
                becket_model::EndpointState::Disabled => endpoints.disabled += 1,
                becket_model::EndpointState::Removed => continue,
            }
            endpoints.failing += usize::from(endpoint.failing_since_ms.is_some());
        }
        Self {
            events: stats.as_ref().map(|stats| stats.events),
            deliveries_pending: stats.as_ref().map(|stats| stats.pending),
            bytes: stats.as_ref().map(|stats| stats.bytes),
            segments: stats.as_ref().map(|stats| stats.segments),
            quarantined: stats.as_ref().map(|stats| stats.quarantined),
            sources: names.sources().filter(|source| !source.removed).count(),
            accepting: true,
            problem: None,
            endpoints,
        }
    }
}

/// What a replay did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplayOut {
    /// Events that were replayed, or would be.
    pub events: u64,
    /// Deliveries started anew.
    pub started: u64,
    /// Deliveries that were pending already and are due now.
    pub made_due: u64,
    /// Deliveries left out because their endpoint takes none.
    pub skipped: u64,
    /// Events looked at.
    pub seen: u64,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Events up to this moment are looked at; hand it back with the iterator.
    pub until: Option<String>,
    /// Hand it back to go on.
    pub iterator: Option<String>,
    /// Whether there is nothing left to look at.
    pub done: bool,
}
