//! What the gateway tells of itself over its management API.

use std::collections::HashMap;
use std::time::Duration;

use becket_develop::doctor::traffic::{self, EndpointState, Histogram, Patience, Refused};
use becket_develop::doctor::{Finding, counted};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::{DoctorArgs, Facts};
use crate::cli::online::client::{Client, PathBuilder};
use crate::cli::online::failure::Failure;
use crate::cli::online::show;
use crate::cli::request::entry_of;
use crate::cli::{Globals, now_s};
use crate::serve::UNUSABLE;

/// Refused requests that are looked at.
const REFUSED_MAX: usize = 1_000;
const DAY_S: i64 = 86_400;
/// Deliveries that wait longer than this are told.
const OLD_S: i64 = 900;
/// A gateway on the same machine answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// Everything that the gateway told.
pub(super) struct Online {
    pub client: Client,
    stats: Value,
    pub sources: Vec<Value>,
    pub endpoints: Vec<Value>,
    refused: Vec<Value>,
    refused_more: bool,
    /// When one of the deliveries that wait long came.
    waiting_since_s: Option<i64>,
    metrics: String,
    version: Option<String>,
    patience: Vec<Patience>,
    /// How long an answer took, in milliseconds.
    answered_ms: u64,
    /// The nodes that share its store, as far as the token may see them.
    nodes: Option<Value>,
}

impl Online {
    /// Whether the gateway is reached on this machine.
    pub fn is_here(&self) -> bool {
        let url = self.client.url();
        ["://127.", "://localhost", "://[::1]"].iter().any(|here| url.contains(here))
    }

    /// How much the store holds.
    pub fn store_bytes(&self) -> u64 {
        show::number(&self.stats, "/bytes")
    }
}

/// Asks the gateway for everything; `None` if it was not reached, which is a finding.
pub(super) async fn ask(facts: &mut Facts, args: &DoctorArgs, globals: &Globals) -> Option<Online> {
    const CHECK: &str = "gateway";
    let connection = match args.connection.resolve(globals) {
        Ok(connection) => connection,
        Err(error) => {
            facts.add(with_hints(Finding::problem(CHECK, "no way to ask it"), &error.to_string()));
            return None;
        }
    };
    let client = match Client::new(&connection) {
        Ok(client) => client,
        Err(failure) => {
            facts
                .add(with_hints(Finding::problem(CHECK, "no way to ask it"), &failure.to_string()));
            return None;
        }
    };
    let answered = timeout(PATIENCE, collect(client, globals)).await.unwrap_or_else(|_| {
        let url = &connection.url;
        Err(Failure::unreachable(format!("{url} does not answer in time")))
    });
    match answered {
        Ok(online) => {
            facts.reached = true;
            let url = online.client.url();
            facts.add(match online.stats["accepting"] == true {
                true => Finding::fine(CHECK, format!("{url} takes events")),
                false => Finding::problem(
                    CHECK,
                    format!("{url} takes no events: {}", show::text(&online.stats, "/problem")),
                )
                .advise("senders get 503 and come back; see the disk, then the gateway's log"),
            });
            facts.add_all(database(online.nodes.as_ref()));
            Some(online)
        }
        Err(failure) => {
            let told = failure.to_string();
            facts.add(with_hints(Finding::problem(CHECK, "not reached"), &told));
            None
        }
    }
}

/// The nodes that share a database, and what they say about it.
fn database(nodes: Option<&Value>) -> Vec<Finding> {
    let Some(nodes) = nodes.filter(|nodes| nodes["store"] == "postgres") else { return Vec::new() };
    let list = |name: &str| nodes[name].as_array().cloned().unwrap_or_default();
    let names: Vec<String> = list("data").iter().map(|node| show::text(node, "/name")).collect();
    let count = counted(names.len() as u64, "node");
    let mut findings = vec![Finding::fine("nodes", format!("{count}: {}", names.join(", ")))];
    for advice in list("advice") {
        let text = show::text(&advice, "/text");
        findings.push(match advice["urgent"] == true {
            true => Finding::problem("database", text),
            false => Finding::warning("database", text),
        });
    }
    findings
}

/// An error's first line is what was found, its hints are what to do.
fn with_hints(finding: Finding, told: &str) -> Finding {
    let mut lines = told.lines();
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let finding = Finding { says: first.to_owned(), ..finding };
    lines.fold(finding, |finding, line| finding.advise(line.strip_prefix("hint: ").unwrap_or(line)))
}

async fn collect(client: Client, globals: &Globals) -> Result<Online, Failure> {
    let asked = Instant::now();
    let stats = client.get("/api/v1/becket/stats").await?;
    // Only the operator's own token may see them, and older gateways have none.
    let nodes = client.get("/api/v1/becket/nodes").await.ok();
    let answered_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
    let list = |path: &'static str| list(&client, PathBuilder::new(path), usize::MAX);
    let (sources, _) = list("/api/v1/becket/source").await?;
    let (endpoints, _) = list("/api/v1/becket/endpoint").await?;
    let since = show::since("--since", &format!("{DAY_S}s"), now_s())?;
    let path = PathBuilder::new("/api/v1/becket/quarantine").query("since", Some(&since));
    let (refused, refused_more) = self::list(&client, path, REFUSED_MAX).await?;
    let old = show::since("--until", &format!("{OLD_S}s"), now_s())?;
    let path = PathBuilder::new("/api/v1/becket/event")
        .query("status", Some("pending"))
        .query("until", Some(&old));
    let (waiting, _) = self::list(&client, path, 1).await?;
    let since = waiting.first().and_then(|event| show::field(event, "/receivedAt"));
    let waiting_since_s =
        since.and_then(|text| text.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_second);
    let metrics = text(&client, "/metrics").await?;
    let document = client.get("/api/v1/openapi.json").await?;
    let version = show::field(&document, "/info/version").map(str::to_owned);
    let patience = sources.iter().filter_map(|source| patience(source, globals)).collect();
    Ok(Online {
        client,
        stats,
        sources: present(sources),
        endpoints: present(endpoints),
        refused,
        refused_more,
        waiting_since_s,
        metrics,
        version,
        patience,
        answered_ms,
        nodes,
    })
}

/// What has not been removed.
fn present(all: Vec<Value>) -> Vec<Value> {
    all.into_iter().filter(|one| one["removed"] != true && one["state"] != "removed").collect()
}

/// How long a source's provider waits, if its catalogue entry says so.
fn patience(source: &Value, globals: &Globals) -> Option<Patience> {
    if source["removed"] == true {
        return None;
    }
    let entry = entry_of(show::field(source, "/provider")?, globals).ok()?;
    Some(Patience {
        source: show::text(source, "/uid"),
        provider: entry.name().to_owned(),
        timeout_ms: entry.timeout_ms?,
    })
}

/// The items of a list, at most so many, and whether there are more.
async fn list(
    client: &Client,
    path: PathBuilder,
    most: usize,
) -> Result<(Vec<Value>, bool), Failure> {
    let mut found = Vec::new();
    let mut iterator: Option<String> = None;
    loop {
        let limit = 250.min(most - found.len()).to_string();
        let page = path.clone().query("limit", Some(&limit)).query("iterator", iterator.as_deref());
        let page = client.get(page.text()).await?;
        found.extend(show::items(&page, "/data").iter().cloned());
        iterator = show::field(&page, "/iterator").map(str::to_owned);
        if page["done"] == true || iterator.is_none() {
            return Ok((found, false));
        }
        if found.len() >= most {
            return Ok((found, true));
        }
    }
}

/// An answer that is no JSON.
pub(super) async fn text(client: &Client, path: &str) -> Result<String, Failure> {
    let stream = client.open(path, "text/plain").await?;
    let body = stream
        .collect()
        .await
        .map_err(|error| Failure::unreachable(format!("{path} broke off: {error}")))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// What all that means.
pub(super) fn judge(facts: &mut Facts, online: &Online) {
    facts.add(traffic::version(env!("CARGO_PKG_VERSION"), online.version.as_deref()));
    for source in &online.sources {
        let name = show::text(source, "/uid");
        for warning in show::items(source, "/warnings").iter().filter_map(Value::as_str) {
            let says = format!("`{name}`: {}", show::one_line(warning));
            if warning.starts_with(UNUSABLE) {
                facts.add(Finding::problem("sources", says).advise(
                    "put that right; after a change of the master key restart the gateway with the one it had",
                ));
                continue;
            }
            let advice = format!("becket sources show {name}; its settings are in [[source]]");
            facts.add(Finding::warning("sources", says).advise(advice));
        }
    }
    let histogram = Histogram::of(&online.metrics, "becket_request_duration_seconds");
    facts.add(traffic::acknowledgement(&histogram, Some(online.answered_ms), &online.patience));
    facts.add_all(traffic::endpoints(&endpoints(online)));
    let age_s = online.waiting_since_s.map(|since_s| now_s() - since_s);
    facts.add(traffic::backlog(show::number(&online.stats, "/deliveriesPending"), age_s));
    facts.add_all(traffic::quarantine(&refused(online), online.refused_more));
}

fn endpoints(online: &Online) -> Vec<EndpointState> {
    let state = |endpoint: &Value| {
        let text = |pointer| show::field(endpoint, pointer).map(show::one_line);
        EndpointState {
            name: name(endpoint),
            state: text("/state").unwrap_or_default(),
            reason: text("/stateReason").unwrap_or_default(),
            failing_since: text("/failingSince"),
        }
    };
    online.endpoints.iter().map(state).collect()
}

/// `source/endpoint`, as commands take it.
pub(super) fn name(endpoint: &Value) -> String {
    match show::field(endpoint, "/source") {
        Some(source) => format!("{}/{}", show::one_line(source), show::text(endpoint, "/uid")),
        None => show::text(endpoint, "/uid"),
    }
}

/// Refused requests by source, with the most common reason of each.
fn refused(online: &Online) -> Vec<Refused> {
    let mut counts: HashMap<String, HashMap<String, u64>> = HashMap::new();
    for one in &online.refused {
        let codes = counts.entry(show::text(one, "/source")).or_default();
        *codes.entry(show::text(one, "/code")).or_default() += 1;
    }
    let mut all: Vec<Refused> = counts
        .into_iter()
        .map(|(source, codes)| {
            let count = codes.values().sum();
            // Of equally common reasons the first by name, so that the same is told each time.
            let most = codes
                .into_iter()
                .max_by(|one, other| one.1.cmp(&other.1).then_with(|| other.0.cmp(&one.0)));
            let (code, of_code) = most.unwrap_or_default();
            Refused { source, count, code, of_code }
        })
        .collect();
    all.sort_by(|one, other| {
        other.count.cmp(&one.count).then_with(|| one.source.cmp(&other.source))
    });
    all
}
