//! What is told about each request and each attempt: one line, and counts.
//!
//! Invariants: one function writes each kind of line; no body, secret, signature or query string is
//! ever in one; the labels of metrics come from closed sets.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use becket_api::{Activity, AttemptReported, OperationalReporter, Trouble};
use becket_engine::{AttemptReport, DeliveryTurn, EndpointEvent, EndpointNotice};
use becket_ingress::{ConnectionEvent, Outcome, ReleaseReport, RequestReport};
use becket_keys::{FetchOutcome, FetchReport};
use becket_model::{AttemptId, Clock, NextStep};
use becket_signature::Refusal;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use tokio::sync::mpsc::Sender;

use super::alerts::Signals;
use super::log::Lines;
use super::node::StoreMetrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabel {
    reason: &'static str,
    /// Whether it was accepted all the same.
    observed: &'static str,
}

/// Where the counts are kept.
pub(super) struct Telemetry {
    lines: Arc<Lines>,
    clock: Arc<dyn Clock>,
    requests: Vec<(Outcome, Counter)>,
    request_time: Histogram,
    attempts: [Counter; 3],
    attempt_time: Histogram,
    latency: Histogram,
    endpoint_changes: Family<OutcomeLabel, Counter>,
    delivery_turns: Family<OutcomeLabel, Counter>,
    refusals: Vec<(Refusal, [Counter; 2])>,
    released: [Counter; 3],
    key_fetches: Family<OutcomeLabel, Counter>,
    connection_events: Family<OutcomeLabel, Counter>,
    pub(super) connections: Gauge,
    /// Sampled when the metrics are read.
    pub(super) sampled: Sampled,
    /// Those of the database and the nodes.
    pub(super) store: StoreMetrics,
    registry: Registry,
    /// Where deliveries in trouble and endpoints that were switched off are told, once it runs.
    pub(super) reporter: OnceLock<OperationalReporter>,
    /// Where the gateway hears of endpoints that the engine has changed, once it runs.
    pub(super) notices: OnceLock<Sender<EndpointNotice>>,
    /// Where failures are noted for alerts.
    pub(super) alerts: Arc<Signals>,
    /// Counts over time.
    pub(super) activity: Arc<Activity>,
}

/// Values that are looked up when somebody asks.
#[derive(Default, Clone)]
pub(super) struct Sampled {
    pub(super) events: Gauge,
    pub(super) pending: Gauge,
    pub(super) store_bytes: Gauge,
    pub(super) segments: Gauge,
    pub(super) quarantined: Gauge,
    pub(super) in_flight: Gauge,
    pub(super) queued: Gauge,
    pub(super) breakers_open: Gauge,
    pub(super) healthy: Gauge<f64, AtomicU64>,
    pub(super) clock_s: Gauge<i64, AtomicI64>,
}

impl Telemetry {
    pub(super) fn new(lines: Arc<Lines>, clock: Arc<dyn Clock>, node: &str) -> Self {
        let mut registry = Registry::with_prefix("becket");
        let family = Family::<OutcomeLabel, Counter>::default();
        registry.register("requests", "Requests to sources by what became of them", family.clone());
        let requests = Outcome::ALL
            .iter()
            .map(|outcome| {
                let label = OutcomeLabel { outcome: outcome.as_str() };
                (*outcome, family.get_or_create(&label).clone())
            })
            .collect();
        let request_time = Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
        registry.register_with_unit(
            "request_duration",
            "From the end of the headers to the answer",
            Unit::Seconds,
            request_time.clone(),
        );
        let family = Family::<OutcomeLabel, Counter>::default();
        registry.register("attempts", "Delivery attempts by what came of them", family.clone());
        let attempts = ["delivered", "retry", "failed"]
            .map(|outcome| family.get_or_create(&OutcomeLabel { outcome }).clone());
        let attempt_time = Histogram::new(exponential_buckets(0.000_5, 2.0, 17));
        registry.register_with_unit(
            "attempt_duration",
            "How long an attempt took",
            Unit::Seconds,
            attempt_time.clone(),
        );
        let latency = Histogram::new(exponential_buckets(0.001, 2.0, 18));
        registry.register_with_unit(
            "delivery_latency",
            "From the receipt of an event to its delivery",
            Unit::Seconds,
            latency.clone(),
        );
        let endpoint_changes = Family::<OutcomeLabel, Counter>::default();
        registry.register(
            "endpoint_changes",
            "Endpoints that began to fail, recovered or were disabled",
            endpoint_changes.clone(),
        );
        let delivery_turns = Family::<OutcomeLabel, Counter>::default();
        registry.register(
            "delivery_turns",
            "Deliveries that began to fail, were given up, or recovered",
            delivery_turns.clone(),
        );
        let key_fetches = Family::<OutcomeLabel, Counter>::default();
        registry.register(
            "key_fetches",
            "Fetches of providers' keys, and visits of handshakes, by what came of them",
            key_fetches.clone(),
        );
        for outcome in FetchOutcome::ALL {
            drop(key_fetches.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }));
        }
        let (refusals, released) = verdicts(&mut registry);
        let connection_events = Family::<OutcomeLabel, Counter>::default();
        registry.register(
            "connection_events",
            "What happened to connections outside of requests",
            connection_events.clone(),
        );
        let connections = Gauge::default();
        registry.register("connections", "Open incoming connections", connections.clone());
        let sampled = Sampled::register(&mut registry);
        let store = StoreMetrics::default();
        registry.register_collector(Box::new(store.clone()));
        Self {
            lines,
            clock,
            requests,
            request_time,
            attempts,
            attempt_time,
            latency,
            endpoint_changes,
            delivery_turns,
            refusals,
            released,
            key_fetches,
            connection_events,
            connections,
            sampled,
            store,
            registry,
            reporter: OnceLock::new(),
            notices: OnceLock::new(),
            alerts: Arc::default(),
            activity: Arc::new(Activity::new(node)),
        }
    }

    /// All metrics in the text form of OpenMetrics.
    pub(super) fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Begins a line with its time and name.
    fn begin(&self, name: &str, warn: bool) -> (String, bool) {
        let json = self.lines.json.load(Ordering::Relaxed);
        let at = jiff::Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or_default();
        let level = if warn { "WARN" } else { "INFO" };
        let mut line = String::with_capacity(320);
        // Writing to a string cannot fail.
        let _ = if json {
            write!(line, "{{\"timestamp\":\"{at:.3}\",\"level\":\"{level}\",\"message\":\"{name}\"")
        } else {
            write!(line, "{at:.3} {level:>5} {name}")
        };
        (line, json)
    }

    fn end(&self, mut line: String, json: bool) {
        line.push_str(if json { "}\n" } else { "\n" });
        self.lines.push(line.as_bytes());
    }
}

/// What verification had against requests, and what came out of quarantine. Every reason is there
/// from the start, so that none is missed in a graph.
fn verdicts(registry: &mut Registry) -> (Vec<(Refusal, [Counter; 2])>, [Counter; 3]) {
    let family = Family::<RefusalLabel, Counter>::default();
    registry.register("refusals", refusals_help(), family.clone());
    let each = |reason: Refusal, observed| {
        let label = RefusalLabel { reason: reason.code(), observed };
        family.get_or_create(&label).clone()
    };
    let refusals = Refusal::ALL
        .iter()
        .map(|reason| (*reason, [each(*reason, "false"), each(*reason, "true")]))
        .collect();
    let family = Family::<OutcomeLabel, Counter>::default();
    registry.register(
        "released",
        "Refused requests that became events after all: verified again, let out by hand, or repeats",
        family.clone(),
    );
    let released = ["verified", "by_hand", "repeat"]
        .map(|outcome| family.get_or_create(&OutcomeLabel { outcome }).clone());
    (refusals, released)
}

fn refusals_help() -> String {
    let reasons: Vec<&str> = Refusal::ALL.iter().map(|reason| reason.code()).collect();
    format!(
        "Requests that could not be verified, by reason ({}); observed ones were accepted all the same",
        reasons.join(", ")
    )
}

impl Sampled {
    fn register(registry: &mut Registry) -> Self {
        let sampled = Self::default();
        let gauges = [
            ("events_stored", "Events kept", &sampled.events),
            ("deliveries_pending", "Deliveries that have not ended", &sampled.pending),
            ("segments", "Segment files of the store", &sampled.segments),
            ("quarantined", "Refused requests kept", &sampled.quarantined),
            ("attempts_in_flight", "Attempts under way", &sampled.in_flight),
            ("deliveries_queued", "Deliveries waiting in memory", &sampled.queued),
            ("breakers_open", "Endpoints whose breaker is open", &sampled.breakers_open),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register_with_unit(
            "store",
            "Size of the store on disk",
            Unit::Bytes,
            sampled.store_bytes.clone(),
        );
        registry.register("healthy", "1 if the store takes writes", sampled.healthy.clone());
        registry.register_with_unit(
            "clock",
            "The gateway's own time",
            Unit::Seconds,
            sampled.clock_s.clone(),
        );
        sampled
    }
}

/// Appends `"name":"value"` or `name=value`. Only for values without quotes or control characters.
fn plain(line: &mut String, json: bool, name: &str, value: impl std::fmt::Display) {
    let _ = if json {
        write!(line, ",\"{name}\":\"{value}\"")
    } else {
        write!(line, " {name}={value}")
    };
}

fn number(line: &mut String, json: bool, name: &str, value: impl std::fmt::Display) {
    let _ =
        if json { write!(line, ",\"{name}\":{value}") } else { write!(line, " {name}={value}") };
}

/// The same for text that comes from outside.
fn text(line: &mut String, json: bool, name: &str, value: &str) {
    if json {
        let quoted = serde_json::to_string(value).unwrap_or_default();
        let _ = write!(line, ",\"{name}\":{quoted}");
    } else {
        let _ = write!(line, " {name}={}", value.escape_debug());
    }
}

impl becket_ingress::Observer for Telemetry {
    fn request(&self, report: &RequestReport<'_>) {
        if let Some((_, counter)) =
            self.requests.iter().find(|(outcome, _)| *outcome == report.outcome)
        {
            counter.inc();
        }
        if let Some(refusal) = report.refusal
            && let Some((_, counters)) = self.refusals.iter().find(|(one, _)| *one == refusal)
        {
            counters[usize::from(report.event.is_some())].inc();
            if let (Some(scope), None) = (report.scope, report.event) {
                self.alerts.refused(scope);
            }
        }
        super::activity::note_request(&self.activity, self.clock.now_ms(), report);
        self.request_time.observe(report.duration_us as f64 / 1e6);
        if !self.lines.each.load(Ordering::Relaxed) {
            return;
        }
        let refused = !matches!(
            report.outcome,
            Outcome::Accepted | Outcome::Duplicate | Outcome::Filtered | Outcome::Handshake
        );
        let (mut line, json) = self.begin("event.received", refused);
        plain(&mut line, json, "outcome", report.outcome.as_str());
        if let Some(source) = report.source {
            text(&mut line, json, "source", source);
        }
        if let Some(event) = report.event {
            plain(&mut line, json, "event", event);
        }
        if let Some(event_type) = report.event_type {
            text(&mut line, json, "event_type", event_type);
        }
        if let Some(code) = report.code {
            plain(&mut line, json, "code", code);
        }
        if let Some(refusal) = report.refusal.filter(|_| report.event.is_some()) {
            plain(&mut line, json, "unverified", refusal.code());
        }
        number(&mut line, json, "status", report.status);
        number(&mut line, json, "bytes", report.bytes);
        number(&mut line, json, "duration_us", report.duration_us);
        plain(&mut line, json, "remote", report.remote);
        self.end(line, json);
    }

    fn released(&self, report: &ReleaseReport<'_>) {
        let (at, outcome) = match (report.repeat, report.refusal) {
            (true, _) => (2, "repeat"),
            (false, Some(_)) => (1, "by_hand"),
            (false, None) => (0, "verified"),
        };
        self.released[at].inc();
        super::activity::note_released(&self.activity, self.clock.now_ms(), report);
        if !self.lines.each.load(Ordering::Relaxed) {
            return;
        }
        let (mut line, json) = self.begin("event.released", report.refusal.is_some());
        plain(&mut line, json, "outcome", outcome);
        text(&mut line, json, "source", report.source);
        plain(&mut line, json, "event", report.event);
        number(&mut line, json, "quarantine", report.number);
        if let Some(refusal) = report.refusal {
            plain(&mut line, json, "unverified", refusal.code());
        }
        self.end(line, json);
    }

    fn connection(&self, event: ConnectionEvent) {
        let outcome = match event {
            ConnectionEvent::Opened => {
                self.connections.inc();
                return;
            }
            ConnectionEvent::Closed => {
                self.connections.dec();
                return;
            }
            ConnectionEvent::Shed => "shed",
            ConnectionEvent::AddressCrowded => "address_crowded",
            ConnectionEvent::TlsFailed => "tls_failed",
            ConnectionEvent::Broken => "broken",
            ConnectionEvent::TimedOut => "timed_out",
        };
        self.connection_events.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}

impl becket_keys::FetchObserver for Telemetry {
    fn fetched(&self, report: &FetchReport<'_>) {
        let outcome = report.outcome.as_str();
        self.key_fetches.get_or_create(&OutcomeLabel { outcome }).inc();
        let from = report.from;
        let (code, detail) = (report.code.unwrap_or_default(), report.detail.unwrap_or_default());
        let duration_ms = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX);
        match report.outcome {
            FetchOutcome::Fetched | FetchOutcome::Visited => {
                tracing::info!(outcome, from, duration_ms, "keys.fetched");
            }
            // As many as there are forged requests, each of which has a line of its own.
            FetchOutcome::Limited => tracing::debug!(outcome, "keys.fetched"),
            FetchOutcome::Unknown | FetchOutcome::Failed | FetchOutcome::VisitFailed => {
                tracing::warn!(outcome, from, code, detail, duration_ms, "keys.fetched");
            }
        }
    }
}

impl becket_engine::Observer for Telemetry {
    fn attempt(&self, report: &AttemptReport) {
        let (at, next) = match report.next {
            NextStep::Delivered => (0, "delivered"),
            NextStep::RetryAt(_) => (1, "retry"),
            NextStep::Failed(_) => (2, "failed"),
        };
        self.attempts[at].inc();
        self.attempt_time.observe(f64::from(report.duration_ms) / 1e3);
        if report.succeeded {
            self.latency.observe(report.latency_ms as f64 / 1e3);
        } else {
            self.alerts.failed(report);
        }
        super::activity::note_attempt(&self.activity, self.clock.now_ms(), report);
        if !self.lines.each.load(Ordering::Relaxed) {
            return;
        }
        let (mut line, json) = self.begin("attempt.finished", !report.succeeded);
        plain(&mut line, json, "event", report.delivery.event);
        plain(&mut line, json, "endpoint", report.endpoint);
        number(&mut line, json, "attempt", report.number);
        plain(&mut line, json, "next", next);
        if let Some(status) = report.status {
            number(&mut line, json, "status", status);
        }
        if let Some(code) = report.error_code {
            plain(&mut line, json, "code", code);
        }
        if let NextStep::RetryAt(at_ms) = report.next {
            number(&mut line, json, "retry_in_ms", (at_ms - self.clock.now_ms()).max(0));
        }
        number(&mut line, json, "duration_ms", report.duration_ms);
        number(&mut line, json, "latency_ms", report.latency_ms);
        self.end(line, json);
    }

    fn delivery_turned(&self, report: &AttemptReport, turn: DeliveryTurn, attempt: AttemptId) {
        let outcome = match turn {
            DeliveryTurn::Failing => "failing",
            DeliveryTurn::Exhausted => "exhausted",
            DeliveryTurn::Recovered => "recovered",
        };
        self.delivery_turns.get_or_create(&OutcomeLabel { outcome }).inc();
        self.alerts.turned(report, turn);
        if let Some(reporter) = self.reporter.get() {
            reporter.attempt(AttemptReported {
                owner: report.owner,
                application: report.application,
                endpoint: report.endpoint,
                event: report.delivery.event,
                attempt,
                status: report.status,
                started_at_ms: report.started_at_ms,
                trouble: match turn {
                    DeliveryTurn::Failing => Trouble::Failing,
                    DeliveryTurn::Exhausted => Trouble::Exhausted,
                    DeliveryTurn::Recovered => Trouble::Recovered,
                },
            });
        }
    }

    fn endpoint_changed(&self, notice: &EndpointNotice) {
        let outcome = notice.change.as_str();
        self.endpoint_changes.get_or_create(&OutcomeLabel { outcome }).inc();
        tracing::warn!(endpoint = %notice.endpoint, change = outcome, detail = ?notice.change, "endpoint.changed");
        self.alerts.endpoint_changed(notice);
        let EndpointEvent::Disabled { failing_since_ms, .. } = notice.change else { return };
        if let Some(reporter) = self.reporter.get() {
            let (application, endpoint) = (notice.application, notice.endpoint);
            reporter.endpoint_disabled(notice.owner, application, endpoint, failing_since_ms);
        }
        // A full queue is no loss: the engine itself knows, and a refresh tells the rest.
        if let Some(notices) = self.notices.get()
            && notices.try_send(notice.clone()).is_err()
        {
            tracing::warn!(endpoint = %notice.endpoint, "endpoint.notice_dropped");
        }
    }
}
