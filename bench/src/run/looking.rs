//! (h): looking at a store with much history while events come in at full rate: what each call of a
//! dashboard takes, and what the readers cost the ingest.
//!
//! Most events are of one source and type and go nowhere; a small part is of another type, and another
//! is of a source whose endpoint is not there: some of its deliveries have failed, the others wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::intake::millions;
use super::{Bench, Round, Watch, measure, say_errors};
use crate::error::{BenchError, Result};
use crate::github;
use crate::histogram::Histogram;
use crate::load::{self, Plan, Until};
use crate::messages::Server;
use crate::place::{Place, RARE, Running, Setup, TOKEN};
use crate::report::Aim;
use crate::request::Request;
use crate::{api, process};

/// What a call may take while events come in, in milliseconds, at the 95th percentile.
const CALL_AIM: Aim = Aim::AtMost(150.0);
/// What of its rate ingest keeps while somebody looks.
const INGEST_AIM: Aim = Aim::AtLeast(0.9);
const FULL_EVENTS: u64 = 10_000_000;
const FILL_CONNECTIONS: usize = 128;
const READERS: usize = 4;
/// How long a reader looks at an answer before it asks again.
const PAUSE: Duration = Duration::from_millis(200);
/// Shorter rounds have too few calls for percentiles.
const ROUND_MIN: Duration = Duration::from_secs(15);
/// How many steps back in history "deep" is, in pages.
const DEEP_PAGES: usize = 40;

/// A call that is measured.
struct Call {
    what: &'static str,
    path: String,
    /// Whether it has to be quick.
    aimed: bool,
    latency: Histogram,
    failed: u64,
}

/// Fills a store and measures beside ingest.
pub fn measure_all(bench: &mut Bench) -> Result<()> {
    super::developing::printed(bench, "h", "activity_cost")?;
    let mut sizes = vec![bench.options.events];
    if bench.options.full && bench.options.events < FULL_EVENTS {
        sizes.push(FULL_EVENTS);
    }
    // Nothing listens there: deliveries fail, and after a few of them the rest waits.
    let rare = Some(SocketAddr::from(([127, 0, 0, 1], 9)));
    let place = bench.place(Setup { rare, ..Setup::PLAIN })?;
    let running = place.start()?;
    let mut stored = 0;
    for size in sizes {
        fill(bench, &place, &running, size - stored)?;
        stored = size;
        at_size(bench, &place, &running, size)?;
    }
    running.stop()
}

/// Which request a connection sends: some send what is rare.
fn mixed(to: SocketAddr) -> Arc<dyn Fn(usize, u32) -> Request + Send + Sync> {
    Arc::new(move |connection, salt| match connection % FILL_CONNECTIONS {
        0 => github::request_as(to, &format!("/in/{RARE}"), "push", salt),
        1 => github::request_as(to, github::PATH, "ping", salt),
        _ => github::request(to, salt),
    })
}

fn fill(bench: &mut Bench, place: &Place, running: &Running, count: u64) -> Result<()> {
    let mut plan = Plan::to(place.address);
    plan.until = Until::Count(count);
    plan.connections = FILL_CONNECTIONS;
    plan.requests = mixed(place.address);
    let watch = Watch::begin(running)?;
    let outcome = load::run(&plan)?;
    let round = watch.end(running, outcome)?;
    bench.report.add("h", "events taken while filling", &[round.rate()], "/s", None);
    say_errors(&mut bench.report, &round.outcome);
    process::settle(running.pid(), super::SETTLE).map(drop)
}

fn at_size(bench: &mut Bench, place: &Place, running: &Running, size: u64) -> Result<()> {
    let server = Server { address: place.address, token: TOKEN.to_owned() };
    let mut calls = calls(&server)?;
    let mut plan = Plan::to(place.address);
    plan.until = Until::Time(bench.round_time().max(ROUND_MIN));
    let (mut alone, mut beside): (Vec<Round>, Vec<Round>) = (Vec::new(), Vec::new());
    for number in 0..bench.options.rounds {
        // The order changes, so that neither always has the younger store.
        for looked_at in [number.is_multiple_of(2), !number.is_multiple_of(2)] {
            if looked_at {
                beside.push(with_readers(&server, running, &plan, &mut calls)?);
            } else {
                alone.push(measure(running, &plan)?);
            }
        }
    }
    tell(bench, &calls, &alone, &beside, size);
    Ok(())
}

/// The calls of somebody who looks around.
fn calls(server: &Server) -> Result<Vec<Call>> {
    let events = "/api/v1/becket/event";
    let first = ask(server, events)?;
    let id = |page: &Value| page["data"][0]["id"].as_str().unwrap_or_default().to_owned();
    let mut iterator = first["iterator"].as_str().unwrap_or_default().to_owned();
    for _ in 0..DEEP_PAGES {
        let page = ask(server, &format!("{events}?limit=250&iterator={iterator}"))?;
        iterator = page["iterator"].as_str().unwrap_or_default().to_owned();
    }
    let failed = ask(server, &format!("{events}?status=failed&limit=1"))?;
    let failed = id(&failed);
    let call = |what, path: String, aimed| Call {
        what,
        path,
        aimed,
        latency: Histogram::default(),
        failed: 0,
    };
    let list = |what, query: &str| call(what, format!("{events}?{query}"), true);
    Ok(vec![
        list("first page of events", ""),
        list("a page far back", &format!("iterator={iterator}")),
        list("page of a source", "source=github"),
        list("page of a rare source", &format!("source={RARE}")),
        list("page of a rare type", "event_type=ping"),
        list("page of a type that is not there", "event_type=none"),
        list("page of failed events", "status=failed"),
        list("page of waiting events", "status=pending"),
        list("page of an endpoint", &format!("endpoint={RARE}/app")),
        list(
            "page of an endpoint's delivered, none",
            &format!("endpoint={RARE}/app&status=delivered"),
        ),
        call("an event", format!("{events}/{failed}"), true),
        call("  its explanation", format!("{events}/{failed}/explain"), true),
        call("  its attempts", format!("/api/v1/becket/attempt?event={failed}"), true),
        call("activity of a day", "/api/v1/becket/activity".to_owned(), true),
        call("activity by source", "/api/v1/becket/activity/by?dimension=source".to_owned(), true),
        call("problems", "/api/v1/becket/problem".to_owned(), true),
        call("counts of the store", "/api/v1/becket/stats".to_owned(), true),
        // Bounded in time by itself: a page of it need not be the last.
        list("search for a text that is not there", "text=nowhere%20to%20be%20found"),
    ])
}

fn ask(server: &Server, path: &str) -> Result<Value> {
    match api::exchange_json(server, "GET", path, &Value::Null)? {
        (200, answer) => Ok(answer),
        (status, answer) => {
            let detail = format!("GET {path} answered {status}: {answer}");
            Err(BenchError::Process { what: "the API", detail })
        }
    }
}

/// A load with readers beside it.
fn with_readers(
    server: &Server,
    running: &Running,
    plan: &Plan,
    calls: &mut [Call],
) -> Result<Round> {
    let stop = AtomicBool::new(false);
    let next = AtomicUsize::new(0);
    let paths: Vec<String> = calls.iter().map(|call| call.path.clone()).collect();
    let (round, seen) = std::thread::scope(|scope| {
        let reader = || {
            let mut seen: Vec<(usize, Duration, bool)> = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed) % paths.len();
                let begin = Instant::now();
                let answered = ask(server, &paths[at]).is_ok();
                seen.push((at, begin.elapsed(), answered));
                std::thread::sleep(PAUSE);
            }
            seen
        };
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(reader)).collect();
        let round = measure(running, plan);
        stop.store(true, Ordering::Relaxed);
        let seen: Vec<_> =
            readers.into_iter().flat_map(|reader| reader.join().unwrap_or_default()).collect();
        (round, seen)
    });
    for (at, took, answered) in seen {
        calls[at].latency.add(took);
        calls[at].failed += u64::from(!answered);
    }
    round
}

fn tell(bench: &mut Bench, calls: &[Call], alone: &[Round], beside: &[Round], size: u64) {
    let name = millions(size);
    let rates = |rounds: &[Round]| rounds.iter().map(Round::rate).collect::<Vec<_>>();
    let report = &mut bench.report;
    report.add("h", format!("acknowledged with {name} stored"), &rates(alone), "/s", None);
    let what = format!("  with {READERS} readers");
    report.add("h", what, &rates(beside), "/s", None);
    let ratios: Vec<f64> =
        beside.iter().zip(alone).map(|(beside, alone)| beside.rate() / alone.rate()).collect();
    report.add("h", "  ratio to ingest without readers", &ratios, "", Some(INGEST_AIM));
    for round in alone.iter().chain(beside) {
        say_errors(report, &round.outcome);
    }
    for call in calls {
        let p95 = call.latency.quantile_ms(950);
        let aim = call.aimed.then_some(CALL_AIM);
        report.add("h", format!("{} p95, {name} stored", call.what), &[p95], "ms", aim);
        if call.failed > 0 {
            report.note(format!("{} of {} calls failed", call.failed, call.latency.total()));
        }
    }
    let called: Vec<Value> = calls
        .iter()
        .map(|call| {
            json!({
                "what": call.what.trim(),
                "calls": call.latency.total(),
                "failed": call.failed,
                "p50_ms": call.latency.quantile_ms(500),
                "p95_ms": call.latency.quantile_ms(950),
                "p99_ms": call.latency.quantile_ms(990),
                "max_ms": call.latency.max_ms(),
            })
        })
        .collect();
    let json = |rounds: &[Round]| rounds.iter().map(Round::json).collect::<Vec<_>>();
    report.detail(
        &format!("h_{size}"),
        json!({ "calls": called, "alone": json(alone), "beside_readers": json(beside) }),
    );
}
