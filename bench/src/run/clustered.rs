//! (i): one, two and three nodes on PostgreSQL: webhooks received and messages posted, delivered to
//! the last, with the processor time of nodes and database apart; the same messages for another
//! server that speaks the API, if one is named.
//!
//! Everything shares one machine, so more nodes are not faster here: what they add to the cost of an
//! event is what can be seen.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Bench;
use super::cost::{Cost, Done, Sides, put};
use super::memory::mib;
use super::sending::APPLICATIONS;
use crate::error::Result;
use crate::load::{Plan, Until};
use crate::messages::{Server, Shape};
use crate::nodes::{Nodes, Wanted};
use crate::postgres::Postgres;
use crate::report::{Aim, Report};
use crate::sink::Sink;

/// What a message may cost from its posting to its recorded delivery, nodes and database together,
/// in microseconds: a tenth of what another server took for it on the machine of the figures.
const COST_AIM: Aim = Aim::AtMost(280.0);
/// The same as a part of what a server takes that is measured in the same rounds.
const PEER_AIM: Aim = Aim::AtMost(0.1);
const CALM_RATE: u32 = 500;
const CALM_TIME: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(10);

/// What was seen with one number of nodes.
#[derive(Default)]
struct Seen {
    webhooks: Vec<Done>,
    messages: Vec<Done>,
    calm: Vec<Done>,
    /// Seconds of processor time in a second of rest: nodes, database.
    rest: Vec<Cost>,
    resident: Vec<f64>,
    bytes_each: Vec<f64>,
}

/// Another server that speaks the API.
struct Peer {
    server: Server,
    sides: Sides,
}

/// Measures all of it.
pub(super) fn measure(bench: &mut Bench) -> Result<()> {
    let postgres = bench.postgres(&[])?;
    let sink = Sink::start(([127, 0, 0, 1], 0).into())?;
    let peer = peer(bench, &postgres)?;
    let mut seen: BTreeMap<usize, Seen> = BTreeMap::new();
    let mut of_peer = Vec::new();
    for round in 0..bench.options.rounds {
        let mut counts = bench.options.nodes.clone();
        // The order changes, so that none always has the same neighbour.
        if round % 2 == 1 {
            counts.reverse();
        }
        for count in counts {
            let seen = seen.entry(count).or_default();
            one_round(bench, &postgres, &sink, (round, count), seen)?;
        }
        if let Some(peer) = &peer {
            of_peer.push(messages(bench, &peer.server, Wide::of_one(peer), &postgres, &sink)?);
        }
    }
    let report = &mut bench.report;
    for (count, seen) in &seen {
        tell(report, *count, seen);
    }
    report.note(postgres.in_words()?);
    tell_peer(report, &of_peer, &seen);
    let json = |some: &[Done]| some.iter().map(Done::json).collect::<Vec<_>>();
    let nodes: serde_json::Map<String, Value> = seen
        .iter()
        .map(|(count, seen)| {
            let details = json!({
                "webhooks": json(&seen.webhooks),
                "messages": json(&seen.messages),
                "calm": json(&seen.calm),
                "bytes_each": seen.bytes_each,
            });
            (count.to_string(), details)
        })
        .collect();
    let database = postgres.in_words()?;
    report.detail("i", json!({ "database": database, "nodes": nodes, "peer": json(&of_peer) }));
    Ok(())
}

fn peer(bench: &Bench, postgres: &Postgres) -> Result<Option<Peer>> {
    let Some(url) = &bench.options.peer else { return Ok(None) };
    let address = crate::messages::address_of(url)?;
    let token = bench.options.peer_token.clone().unwrap_or_default();
    let servers = bench.options.peer_pid.clone();
    // Without a process of its own it is on the same database as the nodes.
    let database = bench.options.peer_database_pid.unwrap_or(postgres.pid);
    let database = (!servers.is_empty()).then_some(database);
    let sides = Sides { servers, database };
    Ok(Some(Peer { server: Server { address, token }, sides }))
}

/// The servers that a load is spread over.
struct Wide<'a> {
    addresses: &'a [std::net::SocketAddr],
    sides: &'a Sides,
}

impl<'a> Wide<'a> {
    fn of_one(peer: &'a Peer) -> Self {
        Self { addresses: std::slice::from_ref(&peer.server.address), sides: &peer.sides }
    }
}

fn one_round(
    bench: &Bench,
    postgres: &Postgres,
    sink: &Sink,
    (round, count): (usize, usize),
    seen: &mut Seen,
) -> Result<()> {
    let schema = format!("bench_{}_{round}_{count}", std::process::id());
    let nodes = Nodes::start(
        &bench.programs,
        postgres,
        &schema,
        Wanted { count, sink: sink.address, dead: None },
    )?;
    let sides = Sides { servers: nodes.pids(), database: Some(postgres.pid) };
    if round == 0 {
        seen.rest.push(rest(&sides)?);
        let mut calm = Plan::spread(&nodes.addresses, nodes.webhooks());
        calm.rate = Some(CALM_RATE);
        calm.until = Until::Time(CALM_TIME);
        seen.calm.push(put(&calm, 1, sink, &sides, || postgres.checkpoint())?);
    }
    let before = postgres.bytes(&schema)?;
    let mut plan = Plan::spread(&nodes.addresses, nodes.webhooks());
    plan.until = Until::Time(bench.round_time());
    let done = put(&plan, 1, sink, &sides, || postgres.checkpoint())?;
    let grown = postgres.bytes(&schema)?.saturating_sub(before);
    seen.bytes_each.push(grown as f64 / (done.outcome.ok as f64).max(1.0));
    seen.webhooks.push(done);
    let wide = Wide { addresses: &nodes.addresses, sides: &sides };
    seen.messages.push(messages(bench, &nodes.server(), wide, postgres, sink)?);
    seen.resident.push(mib(nodes.resident()?) / count as f64);
    nodes.stop()?;
    postgres.drop_schema(&schema)
}

/// What the sides use while nothing is asked of them.
fn rest(sides: &Sides) -> Result<Cost> {
    let before = sides.cost()?;
    std::thread::sleep(REST);
    let cost = sides.cost()?.since(before);
    let seconds = u32::try_from(REST.as_secs()).unwrap_or(1);
    Ok(Cost { servers: cost.servers / seconds, database: cost.database / seconds })
}

/// Posts messages, the same way to our own nodes and to another server.
fn messages(
    bench: &Bench,
    server: &Server,
    wide: Wide<'_>,
    postgres: &Postgres,
    sink: &Sink,
) -> Result<Done> {
    let shape = Shape { applications: APPLICATIONS, endpoints: 1 };
    let ids = server.prepare(shape, &format!("http://{}", sink.address))?;
    let mut plan = Plan::spread(wide.addresses, server.requests(ids, wide.addresses.len()));
    plan.until = Until::Time(bench.round_time());
    put(&plan, 1, sink, wide.sides, || postgres.checkpoint())
}

fn tell(report: &mut Report, count: usize, seen: &Seen) {
    let with = match count {
        1 => "1 node".to_owned(),
        many => format!("{many} nodes"),
    };
    let loads = [("webhooks", &seen.webhooks, None), ("messages", &seen.messages, Some(COST_AIM))];
    for (what, loads, aim) in loads {
        let of = |figure: fn(&Done) -> f64| loads.iter().map(figure).collect::<Vec<_>>();
        let name = format!("{what} accepted and delivered, {with}");
        report.add("i", name, &of(Done::delivered), "/s", None);
        for trouble in loads.iter().filter_map(Done::trouble) {
            report.note(trouble);
        }
        report.add("i", "  accepted while sending", &of(|one| one.outcome.rate()), "/s", None);
        let accepted = of(|one| one.outcome.latency.quantile_ms(500));
        report.add("i", "  acknowledged after, p50", &accepted, "ms", None);
        report.add("i", "  CPU per event, nodes", &of(Done::servers_us), "us", None);
        report.add("i", "  CPU per event, database", &of(Done::database_us), "us", None);
        report.add("i", "  CPU per event, in all", &of(Done::all_us), "us", aim);
        report.add("i", "  cores used by others", &of(|one| one.others), "", None);
    }
    for calm in &seen.calm {
        for (name, per_mille) in [("p50", 500), ("p99", 990)] {
            let what = format!("sent to delivered {name}, {with}, {CALM_RATE} events/s");
            report.add("i", what, &[calm.age_ms(per_mille)], "ms", None);
        }
        if let Some(trouble) = calm.trouble() {
            report.note(trouble);
        }
        report.add("i", "  CPU per event, in all, at that rate", &[calm.all_us()], "us", None);
    }
    let share = |of: fn(&Cost) -> Duration| -> Vec<f64> {
        seen.rest.iter().map(|cost| of(cost).as_secs_f64() * 1e3).collect()
    };
    let nodes = share(|cost| cost.servers);
    report.add("i", format!("CPU at rest in a second, {with}: all nodes"), &nodes, "ms", None);
    report.add("i", "  the database", &share(|cost| cost.database), "ms", None);
    report.add("i", "memory of a node afterwards", &seen.resident, "MiB", None);
    report.add("i", "bytes in the database per event", &seen.bytes_each, "", None);
}

fn tell_peer(report: &mut Report, of_peer: &[Done], seen: &BTreeMap<usize, Seen>) {
    if of_peer.is_empty() {
        return;
    }
    let of = |figure: fn(&Done) -> f64| of_peer.iter().map(figure).collect::<Vec<_>>();
    let name = "messages accepted and delivered, the other server";
    report.add("i", name, &of(Done::delivered), "/s", None);
    for trouble in of_peer.iter().filter_map(Done::trouble) {
        report.note(trouble);
    }
    report.add("i", "  accepted while sending", &of(|one| one.outcome.rate()), "/s", None);
    if of_peer.iter().any(|one| one.cost.servers.is_zero()) {
        report.note("no process was named (--peer-pid), so its processor time is not known");
        return;
    }
    report.add("i", "  CPU per message, server", &of(Done::servers_us), "us", None);
    report.add("i", "  CPU per message, database", &of(Done::database_us), "us", None);
    let theirs = of(Done::all_us);
    report.add("i", "  CPU per message, in all", &theirs, "us", None);
    for (count, seen) in seen {
        let ratios: Vec<f64> = seen
            .messages
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| ours.all_us() / theirs)
            .collect();
        let what = format!("  our CPU per message to theirs, nodes: {count}");
        report.add("i", what, &ratios, "", Some(PEER_AIM));
    }
}
