//! Sending a request, and what the provider would make of the answer.
//!
//! Invariants: sent through the gateway's own way out, as its operator: private addresses may be reached,
//! redirects are not followed, time and bytes are bounded. Warnings are sentences for the handler's author; what
//! they rest on is in the entry.

use std::sync::Arc;

use becket_egress::policy::AddressPolicy;
use becket_egress::{AttemptOutcome, Egress, EgressConfig, OutboundRequest};
use becket_signature::{Acknowledgement, Entry, HandshakeAnswer, Verifier};
use bytes::Bytes;
use http::Method;
use serde::Serialize;
use serde_json::Value;

use super::TriggerError;
use super::request::Prepared;
use super::tamper::Tamper;

/// The part of a time-out after which a handler is too close to it.
const CLOSE_PERCENT: u64 = 80;

/// Sends requests.
pub struct Sender {
    egress: Egress,
    policy: Arc<AddressPolicy>,
    timeout_ms: u64,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sender")
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender that waits this long for an answer.
    pub fn new(timeout_ms: u64) -> Result<Self, TriggerError> {
        let egress = Egress::new(EgressConfig::default())
            .map_err(|error| TriggerError::Egress(error.to_string()))?;
        Ok(Self { egress, policy: Arc::new(AddressPolicy::operator()), timeout_ms })
    }

    /// Sends one request over a connection of its own. Errors are about the URL and the headers; that nobody
    /// answered is in the outcome.
    pub async fn send(
        &self,
        request: &Prepared,
        number: u64,
    ) -> Result<AttemptOutcome, TriggerError> {
        let target = self.policy.check_url(&request.url).map_err(|refused| TriggerError::Url {
            url: request.url.split('?').next().unwrap_or_default().to_owned(),
            message: refused.to_string(),
        })?;
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| {
            TriggerError::Header { name: "method".to_owned(), message: "it is no HTTP method" }
        })?;
        let outbound = OutboundRequest {
            pool_key: number,
            method,
            target: Arc::new(target),
            policy: Arc::clone(&self.policy),
            headers: request.header_map()?,
            body: Bytes::from(request.body.clone()),
            timeout_ms: self.timeout_ms,
            connect_timeout_ms: None,
        };
        let outcome = self.egress.send(outbound).await;
        // Providers connect anew for almost every event.
        self.egress.close_endpoint(number);
        Ok(outcome)
    }
}

/// Something the handler's author should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// A stable code.
    pub code: &'static str,
    /// What it means, in a sentence.
    pub text: String,
}

/// What the provider would make of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Whether somebody took the connection.
    pub reached: bool,
    /// Whether it was a 2xx, and what the handshake expected if it was one.
    pub success: bool,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// What there is to say.
    pub warnings: Vec<Warning>,
}

/// Judges an answer. `expected` is the right answer to a handshake.
pub fn judge(
    verifier: &Verifier,
    request: &Prepared,
    outcome: &AttemptOutcome,
    expected: Option<&HandshakeAnswer>,
    tamper: Option<Tamper>,
) -> Judged {
    let entry: &Entry = verifier.entry();
    let mut warnings = Vec::new();
    let mut warn = |code, text: String| warnings.push(Warning { code, text });
    let took_us = outcome.timings.total_us;
    let Some(status) = outcome.status else {
        if let Some(error) = outcome.error {
            warn("not_answered", error.to_string());
        }
        // Whoever took the connection was reached, and is too slow or broke it off.
        let reached = outcome.remote_address.is_some();
        if reached {
            too_slow(entry, took_us, &mut warn);
        }
        return Judged { reached, success: false, took_us, warnings };
    };
    let mut success = outcome.is_success();
    match tamper {
        Some(_) if success => warn(
            "forgery_accepted",
            format!(
                "the handler accepted a request that is not genuine ({}): it does not verify",
                request.verdict.unwrap_or("spoilt")
            ),
        ),
        Some(_) if !(400..500).contains(&status) => warn(
            "forgery_not_refused",
            format!(
                "a request that is not genuine should be refused with a status like {}, not {status}",
                entry.failure_status
            ),
        ),
        Some(_) => {}
        None if (300..400).contains(&status) => warn(
            "redirect",
            format!(
                "the handler redirects, which {} takes for a failure: register the final URL",
                entry.name
            ),
        ),
        None if !success => warn("failure", failure(entry)),
        None => {}
    }
    if tamper.is_none() {
        too_slow(entry, took_us, &mut warn);
        if success {
            let wrong = match expected {
                Some(answer) => {
                    wrong_answer(answer.status, &answer.headers, &answer.body, status, outcome)
                }
                None => acknowledgement(verifier, request).and_then(|ack| {
                    (!ack.body.is_empty())
                        .then(|| wrong_answer(ack.status, &[], &ack.body, status, outcome))
                        .flatten()
                }),
            };
            if let Some(wrong) = wrong {
                success = expected.is_none();
                warn("wrong_answer", format!("{} expects {wrong}", entry.name));
            }
        }
    }
    Judged { reached: true, success, took_us, warnings }
}

fn acknowledgement(verifier: &Verifier, request: &Prepared) -> Option<Acknowledgement> {
    request.with_view(|view| verifier.acknowledgement(view)).ok().flatten()
}

fn failure(entry: &Entry) -> String {
    let retries = entry.retries.trim();
    let retries = if retries.is_empty() { String::new() } else { format!(": {retries}") };
    format!("{} takes any answer outside 2xx for a failure{retries}", entry.name)
}

fn too_slow(entry: &Entry, took_us: u64, warn: &mut impl FnMut(&'static str, String)) {
    let Some(timeout_ms) = entry.timeout_ms else { return };
    let took_ms = took_us / 1_000;
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    let advice = "keep the event and answer at once; do the work afterwards";
    if took_ms > timeout_ms {
        warn(
            "too_slow",
            format!(
                "it took {:.1} s, and {} gives up after {} s and counts a failure: {advice}",
                seconds(took_ms),
                entry.name,
                seconds(timeout_ms)
            ),
        );
    } else if took_ms * 100 > timeout_ms * CLOSE_PERCENT {
        warn(
            "nearly_too_slow",
            format!(
                "it took {:.1} s, close to the {} s after which {} gives up: {advice}",
                seconds(took_ms),
                seconds(timeout_ms),
                entry.name
            ),
        );
    }
}

/// What is missing in an answer; `None` when it is right.
fn wrong_answer(
    wanted_status: u16,
    wanted_headers: &[(String, String)],
    wanted_body: &[u8],
    status: u16,
    outcome: &AttemptOutcome,
) -> Option<String> {
    if status != wanted_status && wanted_status != 200 {
        return Some(format!("the status {wanted_status}, not {status}"));
    }
    if !wanted_body.is_empty() && !same_body(wanted_body, &outcome.body) {
        return Some(format!("the body {}", String::from_utf8_lossy(wanted_body)));
    }
    let is_missing = |(name, value): &&(String, String)| {
        name != "content-type"
            && !outcome
                .headers
                .iter()
                .any(|(known, found)| known.eq_ignore_ascii_case(name) && found == value.as_bytes())
    };
    wanted_headers
        .iter()
        .filter(|(name, _)| name != "x-content-type-options")
        .find(is_missing)
        .map(|(name, value)| format!("the header {name}: {value}"))
}

/// Whether two bodies mean the same: as JSON, or as texts without white space at the ends.
fn same_body(wanted: &[u8], found: &[u8]) -> bool {
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    match (json(wanted), json(found)) {
        (Some(wanted), Some(found)) if wanted == found => true,
        _ => wanted.trim_ascii() == found.trim_ascii(),
    }
}
