//! (j): many deliveries that wait for one endpoint that is not there, on PostgreSQL with two nodes:
//! what they cost the others, what it takes to lease among them, and how fast they go once the
//! endpoint is back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Bench;
use super::cost::{Done, Sides, put};
use super::intake::millions;
use crate::api;
use crate::error::{BenchError, Result};
use crate::load::{self, Plan, Until};
use crate::nodes::{DEAD, DEAD_ENDPOINT, Nodes, Wanted};
use crate::place::{TOKEN, free_address};
use crate::postgres::{Postgres, WITH_STATEMENTS};
use crate::report::{Aim, Report};
use crate::sink::Sink;

const NODES: usize = 2;
/// What the others keep of their rate, and how much longer they may wait at a calm rate.
const RATE_AIM: Aim = Aim::AtLeast(0.9);
const AGE_AIM: Aim = Aim::AtMost(2.0);
const CALM_RATE: u32 = 200;
const CALM_TIME: Duration = Duration::from_secs(15);
const FILL_CONNECTIONS: usize = 128;
/// How long the endpoint that is back is watched, and how long it may take to be noticed.
const BACK: Duration = Duration::from_secs(10);
const BACK_PATIENCE: Duration = Duration::from_secs(60);
/// What part of the deliveries has to be seen waiting.
const WAITING_MIN: f64 = 0.8;
/// How many statements are told of, by the time they took.
const STATEMENTS: usize = 12;

/// The others' loads.
struct Others {
    calm: Done,
    full: Done,
}

/// What the database says about one statement.
struct Statement {
    text: String,
    calls: u64,
    rows: u64,
    mean_ms: f64,
    max_ms: f64,
}

/// Measures before, beside and after.
pub(super) fn measure(bench: &mut Bench) -> Result<()> {
    let postgres = bench.postgres(&WITH_STATEMENTS)?;
    postgres.ask("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")?;
    let sink = Sink::start(([127, 0, 0, 1], 0).into())?;
    let dead = free_address()?;
    let schema = format!("bench_{}_dead", std::process::id());
    let wanted = Wanted { count: NODES, sink: sink.address, dead: Some(dead) };
    let nodes = Nodes::start(&bench.programs, &postgres, &schema, wanted)?;
    let sides = Sides { servers: nodes.pids(), database: Some(postgres.pid) };
    let without = others(bench, &nodes, &postgres, &sink, &sides)?;

    let mut plan = Plan::spread(&nodes.addresses, nodes.webhooks_for_the_dead());
    plan.until = Until::Count(bench.options.events);
    plan.connections = FILL_CONNECTIONS;
    let filled = load::run(&plan)?;
    // Counted, because the gateway's own number is an estimate where so many wait.
    let counted = postgres.ask(&format!("SELECT count(*) FROM {schema}.delivery"))?;
    let waiting = counted.first().and_then(|count| count.parse::<f64>().ok()).unwrap_or(0.0);
    if waiting < filled.ok as f64 * WAITING_MIN {
        let detail = format!("{waiting} deliveries wait of {}", filled.ok);
        return Err(BenchError::Process { what: "an endpoint that is not there", detail });
    }
    postgres.ask("SELECT pg_stat_statements_reset()")?;
    let with = others(bench, &nodes, &postgres, &sink, &sides)?;
    let statements = statements(&postgres, &schema)?;

    let name = millions(bench.options.events);
    let report = &mut bench.report;
    let what = format!("accepted while filling up to {name} for one endpoint");
    report.add("j", what, &[filled.rate()], "/s", None);
    super::say_errors(report, &filled);
    tell(report, &name, &without, &with);
    tell_statements(report, &statements);
    come_back(report, &nodes, dead)?;
    let details: Vec<Value> = statements.iter().map(Statement::json).collect();
    report.detail(
        "j",
        json!({
            "database": postgres.in_words()?,
            "pending": waiting,
            "fill": filled.json(),
            "without": { "calm": without.calm.json(), "full": without.full.json() },
            "with": { "calm": with.calm.json(), "full": with.full.json() },
            "statements": details,
        }),
    );
    nodes.stop()?;
    postgres.drop_schema(&schema)
}

/// The other sources, at a calm rate and as fast as it goes.
fn others(
    bench: &Bench,
    nodes: &Nodes,
    postgres: &Postgres,
    sink: &Sink,
    sides: &Sides,
) -> Result<Others> {
    let mut plan = Plan::spread(&nodes.addresses, nodes.webhooks());
    plan.rate = Some(CALM_RATE);
    plan.until = Until::Time(CALM_TIME);
    let calm = put(&plan, 1, sink, sides, || postgres.checkpoint())?;
    plan.rate = None;
    plan.until = Until::Time(bench.round_time());
    let full = put(&plan, 1, sink, sides, || postgres.checkpoint())?;
    Ok(Others { calm, full })
}

fn tell(report: &mut Report, name: &str, without: &Others, with: &Others) {
    for (name, per_mille) in [("p50", 500), ("p99", 990)] {
        let (before, after) = (without.calm.age_ms(per_mille), with.calm.age_ms(per_mille));
        let what = format!("others sent to delivered {name}, {CALM_RATE} events/s, without");
        report.add("j", what, &[before], "ms", None);
        report.add("j", "  with them waiting", &[after], "ms", None);
        let aim = (per_mille == 500).then_some(AGE_AIM);
        report.add("j", "  ratio", &[after / before], "", aim);
    }
    let rates = [with.full.delivered() / without.full.delivered()];
    report.add("j", "others delivered, without", &[without.full.delivered()], "/s", None);
    report.add("j", format!("  with {name} waiting"), &[with.full.delivered()], "/s", None);
    report.add("j", "  ratio", &rates, "", Some(RATE_AIM));
    for (what, done) in [("without", &without.full), ("with them waiting", &with.full)] {
        report.add(
            "j",
            format!("  CPU per event, nodes, {what}"),
            &[done.servers_us()],
            "us",
            None,
        );
        let what = format!("  CPU per event, database, {what}");
        report.add("j", what, &[done.database_us()], "us", None);
    }
    for done in [&without.calm, &without.full, &with.calm, &with.full] {
        if let Some(trouble) = done.trouble() {
            report.note(trouble);
        }
    }
}

/// The statements of this schema's nodes that took most time since the counts began.
fn statements(postgres: &Postgres, schema: &str) -> Result<Vec<Statement>> {
    // The nodes name no schema in their statements; nobody else uses this database meanwhile.
    let rows = postgres.ask(&format!(
        "SELECT calls || ';' || rows || ';' || mean_exec_time || ';' || max_exec_time || ';' || \
         regexp_replace(query, '\\s+', ' ', 'g') FROM pg_stat_statements \
         WHERE query NOT ILIKE '%{schema}%' ORDER BY total_exec_time DESC LIMIT {STATEMENTS}"
    ))?;
    Ok(rows.iter().filter_map(|row| Statement::read(row)).collect())
}

impl Statement {
    fn read(row: &str) -> Option<Self> {
        let mut parts = row.splitn(5, ';');
        Some(Self {
            calls: parts.next()?.parse().ok()?,
            rows: parts.next()?.parse().ok()?,
            mean_ms: parts.next()?.parse().ok()?,
            max_ms: parts.next()?.parse().ok()?,
            text: parts.next()?.to_owned(),
        })
    }

    /// Whether it looks for deliveries that wait, to lease them.
    fn leases(&self) -> bool {
        let text = self.text.to_lowercase();
        text.contains("update delivery") && text.contains("lease") && text.contains("limit")
    }

    /// Whether it asks which endpoints have something due.
    fn asks_for_due(&self) -> bool {
        let text = self.text.to_lowercase();
        text.starts_with("select") || text.starts_with("with recursive")
    }

    fn json(&self) -> Value {
        json!({
            "statement": self.text.chars().take(400).collect::<String>(),
            "calls": self.calls,
            "rows": self.rows,
            "mean_ms": self.mean_ms,
            "max_ms": self.max_ms,
        })
    }
}

fn tell_statements(report: &mut Report, statements: &[Statement]) {
    let leasing = statements.iter().filter(|one| one.leases()).max_by_key(|one| one.calls);
    if let Some(one) = leasing {
        report.add("j", "leasing beside them: one statement, mean", &[one.mean_ms], "ms", None);
        report.add("j", "  the longest", &[one.max_ms], "ms", None);
        let each = one.rows as f64 / (one.calls as f64).max(1.0);
        report.note(format!("{} calls, {each:.1} deliveries each", one.calls));
    }
    let asking = statements
        .iter()
        .filter(|one| one.asks_for_due() && one.text.to_lowercase().contains("delivery"))
        .max_by(|one, other| one.mean_ms.total_cmp(&other.mean_ms));
    if let Some(one) = asking {
        let what = "slowest question about deliveries, mean";
        report.add("j", what, &[one.mean_ms], "ms", None);
        report.note(format!("{} calls: {:.120}", one.calls, one.text));
    }
}

/// Puts the endpoint where it should be and lets its deliveries go.
fn come_back(report: &mut Report, nodes: &Nodes, dead: std::net::SocketAddr) -> Result<()> {
    let sink = Sink::start(dead)?;
    let path = |what: &str| format!("/api/v1/becket/endpoint/{DEAD_ENDPOINT}/{what}?source={DEAD}");
    // Its breaker would probe it by and by; this begins at once.
    api::post(nodes.addresses[0], &path("pause"), TOKEN)?;
    let begin = Instant::now();
    api::post(nodes.addresses[0], &path("resume"), TOKEN)?;
    while sink.count() == 0 && begin.elapsed() < BACK_PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    let first = begin.elapsed();
    if sink.count() == 0 {
        report.note("after its endpoint was back and resumed, nothing came");
        return Ok(());
    }
    let (before, watched) = (sink.count(), Instant::now());
    std::thread::sleep(BACK);
    let rate = (sink.count() - before) as f64 / watched.elapsed().as_secs_f64();
    let what = "the endpoint is back: until the first delivery";
    report.add("j", what, &[first.as_secs_f64() * 1e3], "ms", None);
    report.add("j", "  deliveries from what waits", &[rate], "/s", None);
    Ok(())
}
