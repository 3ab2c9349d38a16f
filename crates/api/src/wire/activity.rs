//! Counts over time as they are shown.

use becket_model::ApplicationKind;
use becket_store::activity::Counts;
use becket_store::{Application, Endpoint};
use serde::Serialize;

use crate::names::public_id;
use crate::times;

/// Percentiles from receipt to delivery.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LatencyOut {
    p50_ms: u64,
    p95_ms: u64,
    p99_ms: u64,
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SumsOut {
    received: u64,
    duplicates: u64,
    refused: u64,
    filtered: u64,
    bytes: u64,
    attempts: u64,
    attempts_failed: u64,
    delivered: u64,
    failed: u64,
    latency: Option<LatencyOut>,
}

impl SumsOut {
    pub fn new(counts: &Counts) -> Self {
        let percentile = |per_mille| counts.latency.percentile_ms(per_mille);
        let latency = percentile(500).zip(percentile(950)).zip(percentile(990));
        Self {
            received: counts.received,
            duplicates: counts.duplicates,
            refused: counts.refused,
            filtered: counts.filtered,
            bytes: counts.bytes,
            attempts: counts.attempts,
            attempts_failed: counts.attempts_failed,
            delivered: counts.delivered,
            failed: counts.failed,
            latency: latency.map(|((p50_ms, p95_ms), p99_ms)| LatencyOut {
                p50_ms,
                p95_ms,
                p99_ms,
            }),
        }
    }
}

/// What happened in one step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PointOut {
    at: String,
    #[serde(flatten)]
    sums: SumsOut,
    pending: Option<u64>,
}

impl PointOut {
    pub fn new(at_ms: i64, counts: &Counts, pending: Option<u64>) -> Self {
        Self { at: times::text(at_ms), sums: SumsOut::new(counts), pending }
    }
}

/// What happened, step by step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActivityOut {
    pub since: String,
    pub until: String,
    pub step_ms: i64,
    pub points: Vec<PointOut>,
}

/// What happened under a name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamedOut {
    name: String,
    id: Option<String>,
    kind: &'static str,
    #[serde(flatten)]
    sums: SumsOut,
}

/// What is said of something that is no longer known.
const GONE: &str = "(removed)";

impl NamedOut {
    pub fn of_application(known: Option<&Application>, counts: &Counts) -> Self {
        let kind = match known.map(|known| known.kind) {
            Some(ApplicationKind::Customer) => "customer",
            Some(ApplicationKind::Operational) => "operational",
            Some(ApplicationKind::Source) | None => "source",
        };
        Self {
            name: known.map_or_else(|| GONE.to_owned(), Application::name),
            id: known.map(public_id),
            kind,
            sums: SumsOut::new(counts),
        }
    }

    pub fn of_endpoint(known: Option<(&Endpoint, String)>, counts: &Counts) -> Self {
        let id = known.as_ref().map(|(endpoint, _)| endpoint.id.to_string());
        let name = known.map_or_else(|| GONE.to_owned(), |(_, name)| name);
        Self { name, id, kind: "endpoint", sums: SumsOut::new(counts) }
    }

    pub fn of_event_type(name: &str, counts: &Counts) -> Self {
        Self { name: name.to_owned(), id: None, kind: "event_type", sums: SumsOut::new(counts) }
    }
}

/// What happened by name, the largest first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ByOut {
    pub since: String,
    pub until: String,
    pub data: Vec<NamedOut>,
    pub other: Option<SumsOut>,
}
