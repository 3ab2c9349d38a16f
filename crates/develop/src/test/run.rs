//! Sends recordings to a handler and sees what it answers.

use std::sync::Arc;
use std::time::Duration;

use becket_egress::policy::{AddressPolicy, Target};
use becket_egress::{AttemptError, AttemptOutcome, Egress, OutboundRequest};
use becket_signature::standard_webhooks::{self, SigningKey};
use becket_signature::{SignRequest, Verifier};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::time::Instant;

use super::compare::{Mismatch, compare};
use crate::record::Recording;

/// A recording that is to be sent.
#[derive(Clone)]
pub struct Case {
    /// The file, as it is shown.
    pub file: String,
    /// What it says.
    pub recording: Recording,
    /// What signs it.
    pub verifier: Arc<Verifier>,
}

/// Where the cases go.
#[derive(Clone)]
pub struct Sending {
    /// The handler.
    pub target: Arc<Target>,
    /// What that may lead to.
    pub policy: Arc<AddressPolicy>,
    /// The URL that is signed: the one the handler believes to be called at.
    pub signed_url: String,
    /// Signs as the gateway signs its deliveries too, for handlers that verify those.
    pub endpoint_key: Option<SigningKey>,
}

/// How cases are sent.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many at the same time.
    pub concurrency: usize,
    /// Whether the first failure is the last case.
    pub bail: bool,
    /// How long an answer is waited for, whatever the file expects.
    pub timeout_ms: u64,
}

/// Where time and randomness come from.
pub struct Clocks<'c> {
    /// The time in unix seconds.
    pub now_s: &'c dyn Fn() -> i64,
    /// Sixteen random bytes for a delivery id.
    pub random: &'c dyn Fn() -> [u8; 16],
}

/// What a handler answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// How long it took, from dialling to the last byte.
    pub took_ms: u64,
    /// Headers with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it was kept.
    pub body: Vec<u8>,
    /// Whether the body went on.
    pub body_cut: bool,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Answered, and not as expected.
    Failed(Vec<Mismatch>),
    /// Not answered.
    NoAnswer(AttemptError),
    /// Not sent: what the file says cannot be.
    Unusable(String),
    /// Not sent, because another failed before.
    NotRun,
}

/// A case with what became of it.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// The file.
    pub file: String,
    /// The source: the suite it belongs to.
    pub suite: String,
    /// What it is called in its suite.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What was answered, if anything was.
    pub answer: Option<Answer>,
    /// How long it took.
    pub took_ms: u64,
    /// What is not as it was received, for when a handler minds.
    pub redacted: Vec<String>,
}

impl CaseResult {
    fn of(case: &Case, outcome: Outcome) -> Self {
        let suite = &case.recording.source;
        let stem = case.file.rsplit('/').next().unwrap_or(&case.file);
        Self {
            file: case.file.clone(),
            suite: if suite.is_empty() { case.recording.provider.clone() } else { suite.clone() },
            name: stem.strip_suffix(".toml").unwrap_or(stem).to_owned(),
            outcome,
            answer: None,
            took_ms: 0,
            redacted: case.recording.redacted.clone(),
        }
    }

    /// Whether nothing was wrong.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }

    /// Whether the handler was not there at all.
    #[must_use]
    pub fn not_reached(&self) -> bool {
        matches!(&self.outcome, Outcome::NoAnswer(error) if is_absence(*error))
    }
}

/// Errors that say that nobody is there, as against somebody who does not answer.
const fn is_absence(error: AttemptError) -> bool {
    matches!(
        error,
        AttemptError::ConnectRefused
            | AttemptError::ConnectTimeout
            | AttemptError::ConnectFailed
            | AttemptError::DnsNotFound
            | AttemptError::DnsFailed
            | AttemptError::DnsTimeout
    )
}

/// Sends all cases and tells each result, in the order of the cases.
pub async fn run(
    cases: &[Case],
    egress: &Egress,
    sending: &Sending,
    options: Options,
    clocks: &Clocks<'_>,
    mut tell: impl FnMut(&CaseResult),
) -> Vec<CaseResult> {
    let mut results = Vec::with_capacity(cases.len());
    {
        let mut running = futures_util::stream::iter(cases)
            .map(|case| one(case, egress, sending, options, clocks))
            .buffered(options.concurrency.max(1));
        while let Some(result) = running.next().await {
            let stop = options.bail && !result.passed();
            tell(&result);
            results.push(result);
            if stop {
                break;
            }
        }
    }
    for case in &cases[results.len()..] {
        results.push(CaseResult::of(case, Outcome::NotRun));
    }
    results
}

async fn one(
    case: &Case,
    egress: &Egress,
    sending: &Sending,
    options: Options,
    clocks: &Clocks<'_>,
) -> CaseResult {
    let request = match request(case, sending, options, clocks) {
        Ok(request) => request,
        Err(problem) => return CaseResult::of(case, Outcome::Unusable(problem)),
    };
    let outcome = egress.send(request).await;
    let took_ms = outcome.timings.total_us.div_ceil(1_000);
    let (outcome, answer) = judged(case, outcome, took_ms);
    CaseResult { answer, took_ms, ..CaseResult::of(case, outcome) }
}

fn judged(case: &Case, outcome: AttemptOutcome, took_ms: u64) -> (Outcome, Option<Answer>) {
    let Some(status) = outcome.status.filter(|_| outcome.error.is_none()) else {
        let error = outcome.error.unwrap_or(AttemptError::ClosedEarly);
        return (Outcome::NoAnswer(error), None);
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let answer = Answer {
        status,
        took_ms,
        headers: outcome.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        body: outcome.body.to_vec(),
        body_cut: outcome.body_truncated,
    };
    let found = compare(&case.recording.expect, &answer);
    let outcome = if found.is_empty() { Outcome::Passed } else { Outcome::Failed(found) };
    (outcome, Some(answer))
}

/// The request of a case: the file's headers under those that signing makes.
fn request(
    case: &Case,
    sending: &Sending,
    options: Options,
    clocks: &Clocks<'_>,
) -> Result<OutboundRequest, String> {
    let recording = &case.recording;
    let body = recording.body.bytes().map_err(|error| error.to_string())?;
    let method = Method::from_bytes(recording.method.as_bytes())
        .map_err(|_| format!("`{}` is no method", recording.method))?;
    let content_type = recording.headers.iter().find(|(name, _)| name == "content-type");
    let now_s = (clocks.now_s)();
    let id = delivery_id((clocks.random)());
    let signed = case
        .verifier
        .sign(
            &SignRequest {
                method: &recording.method,
                url: &sending.signed_url,
                body: &body,
                content_type: content_type.map_or("", |(_, value)| value),
                event_type: recording.event_type.as_deref(),
                delivery_id: Some(&id),
            },
            now_s,
        )
        .map_err(|error| format!("it cannot be signed: {error}"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &recording.headers {
        let (name, value) = header(name, value)?;
        headers.append(name, value);
    }
    for (name, value) in &signed.headers {
        let (name, value) = header(name, value)?;
        headers.insert(name, value);
    }
    if let Some(key) = &sending.endpoint_key {
        let keys = std::slice::from_ref(key);
        let signature = standard_webhooks::sign_headers(keys, &id, now_s, &signed.body);
        for (name, value) in [
            ("webhook-id", id.as_str()),
            ("webhook-timestamp", &now_s.to_string()),
            ("webhook-signature", &signature),
        ] {
            let (name, value) = header(name, value)?;
            headers.insert(name, value);
        }
    }
    Ok(OutboundRequest {
        pool_key: 1,
        method,
        target: target(sending, &signed.url)?,
        policy: Arc::clone(&sending.policy),
        headers,
        body: Bytes::from(signed.body),
        timeout_ms: options.timeout_ms,
        connect_timeout_ms: None,
    })
}

/// Some providers sign in the query: what signing added goes to the handler too.
fn target(sending: &Sending, signed_url: &str) -> Result<Arc<Target>, String> {
    if signed_url == sending.signed_url {
        return Ok(Arc::clone(&sending.target));
    }
    let query = signed_url.split_once('?').map_or("", |(_, query)| query);
    let own = sending.target.to_string();
    let bare = own.split('?').next().unwrap_or_default();
    let url = format!("{bare}?{query}");
    sending.policy.check_url(&url).map(Arc::new).map_err(|refused| refused.to_string())
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("the header `{name}` cannot be sent");
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?;
    Ok((name, value))
}

/// A random UUID (RFC 9562, version 4), the form in which most providers number deliveries.
fn delivery_id(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let hex = hex::encode(random);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

/// Waits until the handler takes connections, at most so long. Nothing is sent to it.
///
/// # Errors
/// Why it could not be reached in the end.
pub async fn wait_for(
    egress: &Egress,
    sending: &Sending,
    patience: Duration,
) -> Result<(), AttemptError> {
    const PAUSE: Duration = Duration::from_millis(100);
    let end = Instant::now() + patience;
    loop {
        let probe = egress.probe(&sending.target, &sending.policy, 2_000).await;
        let Some(error) = probe.error else { return Ok(()) };
        if !is_absence(error) || Instant::now() + PAUSE >= end {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
