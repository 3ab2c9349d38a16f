//! The log of attempts as the API tells it, joined with the requests that the receivers saw.

use std::collections::{BTreeMap, HashMap};

use super::receivers::Received;
use super::traffic;
use crate::support::gateway::Gateway;

/// An attempt of the log.
struct Attempt {
    number: u64,
    status: Option<u64>,
    step: String,
    /// The request that it was, if an answer came.
    serial: Option<usize>,
}

/// What the log says.
#[derive(Debug, Default)]
pub struct Findings {
    /// What must not be, in words.
    pub wrong: Vec<String>,
    /// Attempts in the log.
    pub recorded: u64,
    /// Requests that arrived and that no attempt of the log made: their node died, or lost its lease.
    pub unrecorded: u64,
    /// Requests that a node had begun before it was stopped, and that arrived when it went on.
    pub stale: u64,
}

/// Reads the log of every endpoint and compares it with what was received. `resumed` are the moments at
/// which stopped nodes went on.
pub fn examine(
    gateway: &Gateway<'_>,
    received: &[Received],
    resumed: &[std::time::Duration],
) -> Findings {
    let mut findings = Findings::default();
    for (source, endpoint) in traffic::endpoints() {
        let path = traffic::path_of(source, endpoint);
        let mut by_attempt: HashMap<(&str, u64), Vec<&Received>> = HashMap::new();
        for request in received.iter().filter(|request| request.path == path) {
            by_attempt.entry((&request.event, request.attempt)).or_default().push(request);
        }
        let requests: usize = by_attempt.values().map(Vec::len).sum();
        let mut recorded = 0;
        for ((event, generation), attempts) in log_of(gateway, source.id, endpoint.id) {
            recorded += attempts.len();
            let place = format!("{event} at {path}");
            examine_order(&attempts, &place, &mut findings.wrong);
            for attempt in attempts {
                let Some(serial) = attempt.serial else { continue };
                let Some(request) = received.get(serial) else {
                    findings.wrong.push(format!("{place}: serial {serial} was never given out"));
                    continue;
                };
                let same = request.event == event
                    && request.path == path
                    && request.attempt == attempt.number
                    && Some(u64::from(request.status)) == attempt.status;
                if !same {
                    findings
                        .wrong
                        .push(format!("{place}: attempt {} is not {request:?}", attempt.number));
                }
                if generation == 0 {
                    let twins = by_attempt.get(&(event.as_str(), attempt.number));
                    examine_twins(request, twins, resumed, &mut findings);
                }
            }
        }
        findings.recorded += recorded as u64;
        findings.unrecorded += requests.saturating_sub(recorded) as u64;
    }
    findings
}

/// Attempts are numbered from 1 without a gap, and only the last one ends the delivery.
fn examine_order(attempts: &[Attempt], place: &str, wrong: &mut Vec<String>) {
    for (index, attempt) in attempts.iter().enumerate() {
        if attempt.number != index as u64 + 1 {
            wrong.push(format!("{place}: attempt {} stands at {}", attempt.number, index + 1));
        }
        let last = index + 1 == attempts.len();
        if !last && attempt.step != "retry" {
            wrong.push(format!("{place}: attempts go on after attempt {}", attempt.number));
        }
    }
    let serials: Vec<usize> = attempts.iter().filter_map(|attempt| attempt.serial).collect();
    if !serials.is_sorted() {
        wrong.push(format!("{place}: attempts out of order: {serials:?}"));
    }
}

/// Another node that makes the same attempt has taken the lease over before it was recorded: from then
/// on, the first one's result must not get into the log.
fn examine_twins(
    request: &Received,
    twins: Option<&Vec<&Received>>,
    resumed: &[std::time::Duration],
    findings: &mut Findings,
) {
    const AT_ONCE: std::time::Duration = std::time::Duration::from_millis(500);
    for twin in twins.into_iter().flatten().filter(|twin| twin.serial > request.serial) {
        // A stopped node may have been about to write its request: nobody can call that back.
        let stale = resumed.iter().any(|at| (*at..*at + AT_ONCE).contains(&twin.arrived));
        if stale {
            findings.stale += 1;
        } else {
            findings.wrong.push(format!(
                "{} at {}: attempt {} was recorded from request {} although request {} shows that \
                 another had taken the delivery over (arrived {:?} and {:?})",
                request.event,
                request.path,
                request.attempt,
                request.serial,
                twin.serial,
                request.arrived,
                twin.arrived
            ));
        }
    }
}

/// All attempts at an endpoint, by event and generation, by number.
fn log_of(
    gateway: &Gateway<'_>,
    source: &str,
    endpoint: &str,
) -> BTreeMap<(String, u64), Vec<Attempt>> {
    let answers: HashMap<String, String> = gateway
        .api_list(&format!("/api/v1/app/{source}/attempt/endpoint/{endpoint}"))
        .iter()
        .map(|attempt| (text(attempt, "id"), text(attempt, "response")))
        .collect();
    let mut log: BTreeMap<(String, u64), Vec<Attempt>> = BTreeMap::new();
    for attempt in gateway.api_list(&format!("/api/v1/becket/attempt?endpoint={source}/{endpoint}"))
    {
        let serial = answers.get(&text(&attempt, "id")).and_then(|it| it.strip_prefix("serial-"));
        let generation = attempt["generation"].as_u64().unwrap_or_default();
        log.entry((text(&attempt, "eventId"), generation)).or_default().push(Attempt {
            number: attempt["number"].as_u64().unwrap_or_default(),
            status: attempt["status"].as_u64(),
            step: text(&attempt["next"], "step"),
            serial: serial.and_then(|number| number.parse().ok()),
        });
    }
    for attempts in log.values_mut() {
        attempts.sort_by_key(|attempt| attempt.number);
    }
    log
}

fn text(value: &serde_json::Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
