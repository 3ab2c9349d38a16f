//! Our own shapes of refused requests, and of what becomes of them.

use becket_store::QuarantineRow;
use serde::Serialize;

use crate::names::{Names, public_id};
use crate::state::LetOutcome;
use crate::times;
use crate::wire::becket::{RequestOut, VerdictOut};

/// A refused request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuarantineOut {
    number: i64,
    source_id: Option<String>,
    source: Option<String>,
    received_at: String,
    code: String,
    reason: String,
    status: u16,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictOut>,
}

impl QuarantineOut {
    pub fn new(row: &QuarantineRow, names: &Names) -> Self {
        let source = names.source_of(row.application);
        Self {
            number: row.number,
            source_id: source.map(public_id),
            source: source.map(becket_store::Application::name),
            received_at: times::text(row.received_at_ms),
            code: row.code.clone(),
            reason: row.reason.clone(),
            status: row.status,
            size_bytes: row.size_bytes,
            request: None,
            verdict: None,
        }
    }
}

/// What became of a request that was to be let out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LetOutOut {
    number: i64,
    outcome: &'static str,
    event_id: Option<String>,
    code: Option<String>,
    reason: Option<String>,
}

impl LetOutOut {
    pub fn new(number: i64, outcome: LetOutcome) -> Self {
        let (word, event, why) = match outcome {
            LetOutcome::Accepted(event) => ("accepted", Some(event), None),
            LetOutcome::Repeat(event) => ("repeat", Some(event), None),
            LetOutcome::Stays { code, words } => ("stays", None, Some((code, words))),
            LetOutcome::Absent => ("absent", None, None),
        };
        let (code, reason) = why.unzip();
        let event_id = event.map(|event| event.to_string());
        Self { number, outcome: word, event_id, code, reason }
    }
}

impl std::fmt::Display for LetOutOut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.number, self.outcome)?;
        match (&self.event_id, &self.code) {
            (Some(event), _) => write!(formatter, " as {event}"),
            (None, Some(code)) => write!(formatter, ": {code}"),
            (None, None) => Ok(()),
        }
    }
}

/// What a step through the quarantine came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetryManyOut {
    accepted: u64,
    repeats: u64,
    stay: u64,
    results: Vec<LetOutOut>,
    /// Requests up to this moment are looked at; hand it back with the iterator.
    until: String,
    /// Hand it back to go on.
    iterator: Option<String>,
    /// Whether there is nothing left to look at.
    done: bool,
}

impl RetryManyOut {
    pub const fn new(until: String, done: bool) -> Self {
        Self { accepted: 0, repeats: 0, stay: 0, results: Vec::new(), until, iterator: None, done }
    }

    pub fn add(&mut self, number: i64, result: LetOutOut) {
        match result.outcome {
            "accepted" => self.accepted += 1,
            "repeat" => self.repeats += 1,
            "stays" => self.stay += 1,
            _ => {}
        }
        self.iterator = Some(number.to_string());
        self.results.push(result);
    }

    pub const fn let_any_out(&self) -> bool {
        self.accepted + self.repeats > 0
    }
}

impl std::fmt::Display for RetryManyOut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (accepted, repeats, stay) = (self.accepted, self.repeats, self.stay);
        write!(formatter, "{accepted} accepted, {repeats} repeats, {stay} stay")
    }
}
