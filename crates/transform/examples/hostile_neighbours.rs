//! How long another endpoint's transformations take while five endpoints run hostile code in a loop.
//!
//! `cargo run --release -p becket-transform --example hostile_neighbours [SECONDS]`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use becket_egress::action::{Transform as _, TransformInput};
use becket_transform::{Pool, PoolConfig, Program, Script, sandbox};
use http::HeaderMap;

const HOSTILE: &[(&str, &str)] = &[
    ("nobody else", ""),
    ("endless loop", "for (;;) {}"),
    ("endless jobs", "return (async () => { for (;;) await null })()"),
    ("growing memory", "const a = []; for (;;) a.push(new Array(1000).fill(1))"),
    (
        "memory, caught",
        "for (;;) { try { const a = []; for (;;) a.push(new Array(1e5).fill(0)) } catch {} }",
    ),
    ("recursion", "const f = () => f() + 1; return f()"),
    ("catastrophic regex", "/(x+x+)+y/.test('x'.repeat(60)); for (;;) {}"),
    ("big integers", "let n = 3n; for (;;) n = n * n"),
    ("long texts", "const t = 'a'.repeat(5e6) + 'b'; for (;;) t.indexOf('a'.repeat(2e6) + 'c')"),
    ("large array", "new Array(1e9).fill(0)"),
    ("deep JSON", "return JSON.parse('['.repeat(1e6) + ']'.repeat(1e6))"),
    ("console", "for (;;) console.log('x'.repeat(1000))"),
    ("large payload", "w.payload = 'x'.repeat(3e6); return w"),
    ("proxy", "return new Proxy(w, { get() { for (;;) {} } })"),
    ("quick, then slow", "if (w.payload.n % 2) for (;;) {}"),
];
const ENDPOINTS: u64 = 5;

fn main() -> ExitCode {
    if sandbox::is_asked_for() {
        return sandbox::main();
    }
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5.0);
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("no runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
    println!(
        "{:<20} {:>6} {:>9} {:>9} {:>9} {:>9}",
        "neighbours", "calls", "p50 ms", "p90 ms", "p99 ms", "max ms"
    );
    for (name, code) in HOSTILE {
        if let Err(error) = runtime.block_on(measure(name, code, Duration::from_secs_f64(seconds)))
        {
            eprintln!("{name}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn measure(name: &str, code: &str, time: Duration) -> Result<(), String> {
    let pool = Arc::new(Pool::new(PoolConfig::default()));
    let good = script(1, &pool, "function handler(w) { w.payload.ok = true; return w }");
    good.transform(input(0)).await.map_err(|failure| failure.note)?;
    let mut neighbours = tokio::task::JoinSet::new();
    for endpoint in 0..ENDPOINTS {
        if code.is_empty() {
            break;
        }
        let bad =
            script(100 + endpoint, &pool, &format!("function handler(w) {{ {code}\n; return w }}"));
        neighbours.spawn(async move {
            for number in endpoint.. {
                drop(bad.transform(input(number)).await);
            }
        });
    }
    let (mut took, until) = (Vec::new(), Instant::now() + time);
    while Instant::now() < until {
        let began = Instant::now();
        good.transform(input(0)).await.map_err(|failure| failure.note)?;
        took.push(began.elapsed());
        // Two hundred deliveries a second.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!(
        "{name:<20} {:>6} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
        took.len(),
        at(50),
        at(90),
        at(99),
        at(100)
    );
    Ok(())
}

fn input(number: u64) -> TransformInput {
    TransformInput {
        event_type: None,
        method: "POST".to_owned(),
        url: "https://example.com/hook".to_owned(),
        headers: HeaderMap::new(),
        body: format!("{{\"n\":{number}}}").into(),
    }
}

fn script(endpoint: u64, pool: &Arc<Pool>, code: &str) -> Script {
    let program = Program { code: code.to_owned(), ..Program::default() };
    Script::new(Arc::clone(pool), endpoint, program.into())
}
