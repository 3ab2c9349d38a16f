//! What a transformation costs: calls per second with the process warm, the time of the first call
//! with a fresh process, and the memory of a process.
//!
//! `cargo run --release -p becket-transform --example transform_cost [SECONDS]`

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
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3.0);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(measure(Duration::from_secs_f64(seconds))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
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

async fn measure(time: Duration) -> Result<(), String> {
    let said = |failure: becket_egress::action::TransformFailure| failure.note;
    let mut cold = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        script(1, &pool(1), CODE).transform(input(&body(20))).await.map_err(said)?;
        cold.push(began.elapsed());
    }
    cold.sort_unstable();
    println!(
        "first call, process not started: {:.1} ms (median of 5)",
        cold[2].as_secs_f64() * 1e3
    );
    for (name, code, lines) in [
        ("unchanged, 1 KiB", "function handler(w) { return w }", 20),
        ("changed, 1 KiB", CODE, 20),
        ("changed, 10 KiB", CODE, 200),
        ("changed, 1 MiB", CODE, 20_000),
    ] {
        let pool = pool(2);
        let (mut took, began, body) = (Vec::new(), Instant::now(), body(lines));
        let script = script(1, &pool, code);
        script.transform(input(&body)).await.map_err(said)?;
        while began.elapsed() < time {
            let began = Instant::now();
            script.transform(input(&body)).await.map_err(said)?;
            took.push(began.elapsed());
        }
        took.sort_unstable();
        let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e6;
        println!(
            "{name} ({} bytes): {:.0} a second with one process; p50 {:.0} us, p99 {:.0} us",
            body.len(),
            took.len() as f64 / took.iter().sum::<Duration>().as_secs_f64(),
            at(50),
            at(99),
        );
        println!("  memory of the processes: {}", memory());
    }
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
    let rate = f64::from(calls) / time.as_secs_f64();
    println!("changed, 1 KiB, {endpoints} endpoints at once: {rate:.0} a second");
    Ok(())
}

fn pool(quick: usize) -> Arc<Pool> {
    Arc::new(Pool::new(PoolConfig { quick, ..PoolConfig::default() }))
}

fn script(endpoint: u64, pool: &Arc<Pool>, code: &str) -> Script {
    let program = Program { code: code.to_owned(), ..Program::default() };
    Script::new(Arc::clone(pool), endpoint, program.into())
}

/// What the children of this process have in memory, each in MiB: in all, and for itself alone.
fn memory() -> String {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in all {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        if field("PPid:").as_deref() == Some(own.as_str()) {
            let mib = |name: &str| {
                let kib: f64 = field(name).and_then(|text| text.parse().ok()).unwrap_or(0.0);
                kib / 1024.0
            };
            found.push(format!("{:.1} ({:.1} own)", mib("VmRSS:"), mib("RssAnon:")));
        }
    }
    format!("{} MiB", found.join(", "))
}
