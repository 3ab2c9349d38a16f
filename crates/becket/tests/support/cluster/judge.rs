//! The judge: compares what senders were promised, what receivers saw and what the API says.
//!
//! Every acknowledged event is listed, and at each of its endpoints it was taken or is visibly not
//! delivered yet; every event has one id, under which it was delivered with its exact body; the log of
//! attempts holds nothing that a node recorded after another had taken over; no endpoint saw more
//! requests at a time, or in a time, than one node's share beyond its limit.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::attempts;
use super::ledger::Ledger;
use super::nodes::{LEASE, Nodes};
use super::receivers::{Received, Receivers};
use super::traffic::{self, SOURCES};
use crate::support::gateway::Gateway;
use crate::support::{EVENTS, wait_until};

/// The verdict in numbers.
#[derive(Debug, Default)]
pub struct Report {
    /// Acknowledged events.
    pub acknowledged: usize,
    /// Answers by status; 0 for none.
    pub statuses: BTreeMap<u16, u64>,
    /// Acknowledged events that were sent again and answered with the same id.
    pub repeats: u64,
    /// Deliveries that are listed as not delivered.
    pub undelivered: usize,
    /// Requests that an endpoint took although it had taken the event before.
    pub duplicates: usize,
    /// Attempts in the log.
    pub recorded: u64,
    /// Requests that no attempt of the log made.
    pub unrecorded: u64,
    /// Requests of stopped nodes that arrived when they went on.
    pub stale: u64,
    /// Requests beside more others than the endpoint's own limit.
    pub beyond_limit: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "acknowledged {} (answers {:?}, repeats {}), lost 0, not yet delivered but listed {}, \
             duplicate deliveries {}, attempts in the log {}, requests beside the log {} (of stopped \
             nodes {}), zombie results 0, beyond the limit by less than a node's share {}",
            self.acknowledged,
            self.statuses,
            self.repeats,
            self.undelivered,
            self.duplicates,
            self.recorded,
            self.unrecorded,
            self.stale,
            self.beyond_limit,
        )
    }
}

/// Waits until every acknowledged event was taken by each of its endpoints and nothing is pending, or
/// time is up; answers how long that took.
pub fn drain(
    nodes: &Nodes<'_>,
    receivers: &Receivers,
    ledger: &Ledger,
    limit: Duration,
) -> Duration {
    let started = Instant::now();
    let mut missing: HashSet<(String, u64)> = ledger
        .acknowledged()
        .flat_map(|(number, source, _)| {
            let source = &SOURCES[source];
            let paths = source.endpoints.iter();
            paths.map(move |endpoint| (traffic::path_of(source, endpoint), number))
        })
        .collect();
    let mut checked = 0;
    let taken = wait_until(limit, || {
        let news = receivers.after(checked);
        checked += news.len();
        for request in news.into_iter().filter(|request| request.status == 200) {
            missing.remove(&(request.path, request.number));
        }
        missing.is_empty()
    });
    // What was taken must be recorded, too, before anybody is asked about it.
    let pending = format!("{EVENTS}?status=pending&limit=1");
    let recorded = wait_until(Duration::from_secs(15), || {
        nodes.any().api("GET", &pending)["data"].as_array().is_some_and(Vec::is_empty)
    });
    if !taken || !recorded {
        let some: Vec<_> = missing.iter().take(5).collect();
        println!("not drained after {limit:?}: {} not taken, such as {some:?}", missing.len());
        println!("pending: {}", nodes.any().api("GET", &pending));
    }
    started.elapsed()
}

/// Judges; panics with the first findings and the nodes' logs if something is wrong.
pub fn judge(
    nodes: &Nodes<'_>,
    ledger: &Ledger,
    received: &[Received],
    resumed: &[Duration],
) -> Report {
    let gateway = nodes.any();
    let mut wrong = ledger.contradictions.clone();
    judge_bodies(ledger, received, &mut wrong);
    let undelivered = judge_events(gateway, ledger, received, &mut wrong);
    let found = attempts::examine(gateway, received, resumed);
    wrong.extend(found.wrong);
    let beyond_limit = judge_concurrency(received, &mut wrong);
    judge_rates(received, &mut wrong);
    assert!(
        wrong.is_empty(),
        "{} findings, such as\n{}\nanswers {:?}, failures {:?}\n{}",
        wrong.len(),
        wrong[..wrong.len().min(15)].join("\n"),
        ledger.statuses(),
        ledger.failures,
        nodes.logs()
    );
    Report {
        acknowledged: ledger.acknowledged_count(),
        statuses: ledger.statuses(),
        repeats: ledger.repeats,
        undelivered,
        duplicates: duplicates(received),
        recorded: found.recorded,
        unrecorded: found.unrecorded,
        stale: found.stale,
        beyond_limit,
    }
}

/// Acknowledged events that the API does not list.
pub fn missing(gateway: &Gateway<'_>, ledger: &Ledger) -> Vec<u64> {
    let listed: HashSet<String> = gateway
        .api_list(EVENTS)
        .iter()
        .map(|event| event["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    let acknowledged = ledger.acknowledged();
    acknowledged.filter(|(_, _, id)| !listed.contains(*id)).map(|(number, _, _)| number).collect()
}

/// Every request carries the body that was sent, under the one id of its event.
fn judge_bodies(ledger: &Ledger, received: &[Received], wrong: &mut Vec<String>) {
    let mut ids: HashMap<u64, &str> =
        ledger.acknowledged().map(|(number, _, id)| (number, id)).collect();
    for request in received {
        let number = request.number;
        let Some(entry) = ledger.entries.get(&number) else {
            wrong.push(format!("nobody sent what arrived as {request:?}"));
            continue;
        };
        if entry.hash != request.hash {
            wrong.push(format!("the body of event {number} was changed"));
        }
        let first = *ids.entry(number).or_insert(&request.event);
        if first != request.event {
            wrong.push(format!("event {number} was delivered as {} and is {first}", request.event));
        }
    }
    let distinct: BTreeSet<&str> = ledger.acknowledged().map(|(_, _, id)| id).collect();
    if distinct.len() != ledger.acknowledged_count() {
        wrong.push("two events were acknowledged with one id".to_owned());
    }
}

/// Every acknowledged event is listed, with each endpoint in the state that the receivers confirm.
/// Answers how many deliveries are listed as not delivered.
fn judge_events(
    gateway: &Gateway<'_>,
    ledger: &Ledger,
    received: &[Received],
    wrong: &mut Vec<String>,
) -> usize {
    let taken: HashSet<(&str, &str)> = received
        .iter()
        .filter(|request| request.status == 200)
        .map(|request| (request.path.as_str(), request.event.as_str()))
        .collect();
    let listed: HashMap<String, serde_json::Value> = gateway
        .api_list(EVENTS)
        .into_iter()
        .map(|event| (event["id"].as_str().expect("an event has an id").to_owned(), event))
        .collect();
    let mut undelivered = 0;
    for (number, source, id) in ledger.acknowledged() {
        let source = &SOURCES[source];
        let Some(event) = listed.get(id) else {
            wrong.push(format!("event {number} ({id} of {}) is lost", source.id));
            continue;
        };
        let deliveries = event["deliveries"].as_array().expect("an event lists its deliveries");
        for endpoint in source.endpoints {
            let path = traffic::path_of(source, endpoint);
            let state = deliveries
                .iter()
                .find(|delivery| delivery["endpoint"] == endpoint.id)
                .and_then(|delivery| delivery["state"].as_str())
                .unwrap_or("absent");
            match (taken.contains(&(path.as_str(), id)), state) {
                (true, "delivered") => {}
                // Taken by a receiver whose node died before it could say so: it is tried again.
                (_, "pending" | "failed") => undelivered += 1,
                (taken, state) => {
                    wrong.push(format!("event {number} ({id}) at {path}: taken {taken}, {state}"));
                }
            }
        }
    }
    undelivered
}

fn duplicates(received: &[Received]) -> usize {
    let mut seen = HashSet::new();
    let taken = received.iter().filter(|request| request.status == 200);
    taken.filter(|request| !seen.insert((&request.path, &request.event))).count()
}

/// At most the limit at a time, and while work goes over from one node to another, both may use theirs.
/// Answers how many requests went beyond the plain limit.
fn judge_concurrency(received: &[Received], wrong: &mut Vec<String>) -> usize {
    let mut beyond = 0;
    for (source, endpoint) in traffic::endpoints() {
        let path = traffic::path_of(source, endpoint);
        let here = received.iter().filter(|request| request.path == path);
        let most = here.clone().map(|request| request.beside).max().unwrap_or_default();
        beyond += here.filter(|request| request.beside > endpoint.concurrency).count();
        if most > endpoint.concurrency * 2 {
            let limit = endpoint.concurrency;
            wrong.push(format!("{path}: {most} at a time, and {limit} are allowed"));
        }
    }
    beyond
}

/// In any window a node may use the rate and one burst, a second's worth; each time the endpoint goes
/// over to another node, which takes at least a lease, that one may use a burst of its own.
fn judge_rates(received: &[Received], wrong: &mut Vec<String>) {
    for (source, endpoint) in traffic::endpoints() {
        let Some(rate) = endpoint.rate_per_s else { continue };
        let path = traffic::path_of(source, endpoint);
        let here = received.iter().filter(|request| request.path == path);
        let arrived: Vec<Duration> = here.map(|request| request.arrived).collect();
        for window_s in [1, 10] {
            let shares = u32::try_from(window_s / LEASE.as_secs() + 1).expect("a few");
            let window = Duration::from_secs(window_s);
            let seconds = u32::try_from(window_s).expect("a few");
            // A tenth more, because a busy machine may deliver late what was sent in time.
            let allowed = (rate * (seconds + 1 + shares)) * 11 / 10;
            let mut from = 0;
            let mut most = 0;
            for (index, at) in arrived.iter().enumerate() {
                while arrived[from] + window < *at {
                    from += 1;
                }
                most = most.max(index + 1 - from);
            }
            if most > allowed as usize {
                wrong.push(format!("{path}: {most} in {window_s} s, and {allowed} are allowed"));
            }
        }
    }
}
