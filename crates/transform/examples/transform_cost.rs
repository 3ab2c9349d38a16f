//! What a transformation costs: calls per second with the process warm, the time of the first call
//! with a fresh process, and the memory of a process.
//!
//! `cargo run --release -p becket-transform --example transform_cost [SECONDS] [--json]`; with `--json`
//! one array of `{"what", "value", "unit"}`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use becket_egress::action::{Transform as _, TransformInput};
use becket_transform::{Pool, PoolConfig, Program, Script, sandbox};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

/// Some thousand bytes of JSON and code, as users have them.
const CODE: &str = "function handler(webhook) {
    const order = webhook.payload;
    const total = order.lines.reduce((sum, line) => sum + line.price * line.count, 0);
    webhook.payload = {
        text: `Order ${order.id}: ${order.lines.length} lines, ${total.toFixed(2)} ${order.currency}`,
        blocks: order.lines.filter((line) => line.price > 10).map((line) => ({ type: 'section', text: line.name })),
    };
    webhook.headers['x-total'] = String(total);
    return webhook;
}";

fn main() -> ExitCode {
    if sandbox::is_asked_for() {
        return sandbox::main();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments.iter().find_map(|text| text.parse().ok()).unwrap_or(0.6);
    let as_json = arguments.iter().any(|text| text == "--json");
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(measure(Duration::from_secs_f64(seconds))) {
        Ok(figures) => {
            if as_json {
                println!(
                    "{:#}",
                    serde_json::Value::Array(figures.iter().map(Figure::json).collect())
                );
            } else {
                figures
                    .iter()
                    .for_each(|one| println!("{:<50} {:>9.1} {}", one.what, one.value, one.unit));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// One measured figure.
struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
}

impl Figure {
    fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "what": self.what, "value": self.value, "unit": self.unit })
    }
}

fn input(body: &Bytes) -> TransformInput {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-hub-signature-256", HeaderValue::from_static("sha256=0123456789abcdef"));
    TransformInput {
        event_type: Some("order.paid".to_owned()),
        method: "POST".to_owned(),
        url: "https://example.com/hook".to_owned(),
        headers,
        body: body.clone(),
    }
}

fn body(lines: usize) -> Bytes {
    let line = |n: usize| format!("{{\"name\":\"Thing number {n}\",\"price\":{n}.5,\"count\":2}}");
    let lines: Vec<String> = (0..lines).map(line).collect();
    format!("{{\"id\":\"ord_1\",\"currency\":\"EUR\",\"lines\":[{}]}}", lines.join(",")).into()
}

async fn measure(time: Duration) -> Result<Vec<Figure>, String> {
    let said = |failure: becket_egress::action::TransformFailure| failure.note;
    let mut figures = Vec::new();
    let mut cold = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        script(1, &pool(1), CODE).transform(input(&body(20))).await.map_err(said)?;
        cold.push(began.elapsed());
    }
    cold.sort_unstable();
    let first = cold[2].as_secs_f64() * 1e3;
    figures.push(Figure::new("transformation, first call with a new process", first, "ms"));
    for (name, code, lines) in [
        ("unchanged, 1 KiB", "function handler(w) { return w }", 20),
        ("changed, 1 KiB", CODE, 20),
        ("changed, 10 KiB", CODE, 200),
        ("changed, 1 MiB", CODE, 20_000),
    ] {
        let pool = pool(2);
        let (mut took, body) = (Vec::new(), body(lines));
        let script = script(1, &pool, code);
        script.transform(input(&body)).await.map_err(said)?;
        let until = Instant::now() + time;
        while Instant::now() < until {
            let began = Instant::now();
            script.transform(input(&body)).await.map_err(said)?;
            took.push(began.elapsed());
        }
        took.sort_unstable();
        let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e6;
        let rate = took.len() as f64 / took.iter().sum::<Duration>().as_secs_f64();
        figures.push(Figure::new(format!("transformations, {name}, one process"), rate, "/s"));
        figures.push(Figure::new(format!("transformation, {name}, p50"), at(50), "us"));
        figures.push(Figure::new(format!("transformation, {name}, p99"), at(99), "us"));
        let (resident, own) = memory();
        figures.push(Figure::new(format!("memory of a process, {name}"), resident, "MiB"));
        figures.push(Figure::new(format!("of that its own, {name}"), own, "MiB"));
    }
    figures.push(Figure::new(
        "transformations, changed, 1 KiB, 4 endpoints",
        at_once(time).await?,
        "/s",
    ));
    Ok(figures)
}

/// How many calls a second there are when several endpoints call at once.
async fn at_once(time: Duration) -> Result<f64, String> {
    let endpoints = 4;
    let (pool, body) = (pool(endpoints), body(20));
    let mut tasks = tokio::task::JoinSet::new();
    let until = Instant::now() + time;
    for endpoint in 0..endpoints {
        let script = script(endpoint as u64, &pool, CODE);
        let body = body.clone();
        tasks.spawn(async move {
            let mut calls = 0_u32;
            while Instant::now() < until {
                script.transform(input(&body)).await.map_err(|failure| failure.note)?;
                calls += 1;
            }
            Ok::<_, String>(calls)
        });
    }
    let mut calls = 0;
    while let Some(done) = tasks.join_next().await {
        calls += done.map_err(|error| error.to_string())??;
    }
    Ok(f64::from(calls) / time.as_secs_f64())
}

fn pool(quick: usize) -> Arc<Pool> {
    Arc::new(Pool::new(PoolConfig { quick, ..PoolConfig::default() }))
}

fn script(endpoint: u64, pool: &Arc<Pool>, code: &str) -> Script {
    let program = Program { code: code.to_owned(), ..Program::default() };
    Script::new(Arc::clone(pool), endpoint, program.into())
}

/// What the largest child of this process has in memory, in MiB: in all, and for itself alone.
fn memory() -> (f64, f64) {
    let own = std::process::id().to_string();
    let mut largest = (0.0, 0.0);
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        let mib = |name: &str| {
            let kib: f64 = field(name).and_then(|text| text.parse().ok()).unwrap_or(0.0);
            kib / 1024.0
        };
        if field("PPid:").as_deref() == Some(own.as_str()) && mib("VmRSS:") > largest.0 {
            largest = (mib("VmRSS:"), mib("RssAnon:"));
        }
    }
    largest
}
