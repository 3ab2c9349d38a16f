//! (g): what developing adds: filters and transformations by themselves, and the relay of
//! `becket listen` beside an ordinary endpoint.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{Bench, say_errors};
use crate::error::{BenchError, Result, doing};
use crate::github;
use crate::load::{self, Outcome, Plan, Until};
use crate::place::{Running, Setup, TOKEN};
use crate::report::Aim;
use crate::sink::{Sink, Taken};

/// What the relay may add at the median, in milliseconds.
const ADDED_AIM: Aim = Aim::AtMost(5.0);
const RATE: u32 = 200;
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);

/// A figure that an example printed.
#[derive(Deserialize)]
struct Printed {
    what: String,
    value: f64,
    unit: String,
}

/// Measures all of it.
pub fn measure(bench: &mut Bench) -> Result<()> {
    for example in ["filter_cost", "transform_cost"] {
        printed(bench, "g", example)?;
    }
    relay(bench)
}

/// Runs a measuring example and takes its figures over.
pub(super) fn printed(bench: &mut Bench, part: &'static str, example: &'static str) -> Result<()> {
    let path = bench.programs.join("examples").join(example);
    if !path.exists() {
        return Err(BenchError::NotBuilt { path });
    }
    let output = Command::new(&path)
        .arg("--json")
        .stdin(Stdio::null())
        .output()
        .map_err(doing(format!("running {example}")))?;
    let wrong = |detail: String| BenchError::Process { what: example, detail };
    if !output.status.success() {
        return Err(wrong(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let figures: Vec<Printed> =
        serde_json::from_slice(&output.stdout).map_err(|error| wrong(error.to_string()))?;
    for figure in figures {
        let unit = match figure.unit.as_str() {
            "/s" => "/s",
            "us" => "us",
            "ms" => "ms",
            "MiB" => "MiB",
            other => return Err(wrong(format!("there is no unit `{other}`"))),
        };
        bench.report.add(part, figure.what, &[figure.value], unit, None);
    }
    Ok(())
}

/// One load through one way.
struct Way {
    outcome: Outcome,
    taken: Taken,
}

impl Way {
    fn ms(&self, per_mille: u64) -> f64 {
        self.taken.age.quantile_ms(per_mille)
    }
}

/// The relay beside an ordinary endpoint, in rounds that alternate.
fn relay(bench: &mut Bench) -> Result<()> {
    let (mut direct, mut relayed) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.rounds {
        direct.push(through_endpoint(bench)?);
        relayed.push(through_listener(bench)?);
    }
    let report = &mut bench.report;
    for (name, per_mille) in [("p50", 500), ("p99", 990)] {
        let of = |ways: &[Way]| ways.iter().map(|way| way.ms(per_mille)).collect::<Vec<_>>();
        let (direct, relayed) = (of(&direct), of(&relayed));
        let added: Vec<f64> =
            relayed.iter().zip(&direct).map(|(relayed, direct)| relayed - direct).collect();
        let aim = (per_mille == 500).then_some(ADDED_AIM);
        report.add("g", format!("sent to handler {name}, by an endpoint"), &direct, "ms", None);
        report.add("g", format!("sent to handler {name}, by `listen`"), &relayed, "ms", None);
        report.add("g", format!("  added by `listen`, {name}"), &added, "ms", aim);
    }
    report.note(format!("at {RATE} events/s, all programs on this machine"));
    let json = |ways: &[Way]| -> Vec<_> {
        ways.iter()
            .map(|way| {
                json!({
                    "load": way.outcome.json(),
                    "delivered": way.taken.count,
                    "age_p50_ms": way.ms(500),
                    "age_p99_ms": way.ms(990),
                    "age_max_ms": way.taken.age.max_ms(),
                })
            })
            .collect()
    };
    report.detail("g", json!({ "endpoint": json(&direct), "listen": json(&relayed) }));
    for way in direct.iter().chain(&relayed) {
        say_errors(report, &way.outcome);
        if way.outcome.ok != way.taken.count {
            let (accepted, delivered) = (way.outcome.ok, way.taken.count);
            report.note(format!("{accepted} were accepted and {delivered} deliveries came"));
        }
    }
    Ok(())
}

fn through_endpoint(bench: &Bench) -> Result<Way> {
    let sink = Sink::start(([127, 0, 0, 1], 0).into())?;
    let place = bench.place(Setup { endpoint: Some(sink.address), ..Setup::PLAIN })?;
    let running = place.start()?;
    let way = send(bench, &Plan::to(place.address), &sink)?;
    running.stop()?;
    Ok(way)
}

fn through_listener(bench: &Bench) -> Result<Way> {
    let sink = Sink::start(([127, 0, 0, 1], 0).into())?;
    let place = bench.place(Setup::PLAIN)?;
    let running = place.start()?;
    let mut command = Command::new(bench.programs.join("becket"));
    command
        .arg("listen")
        .args(["--url", &format!("http://{}", place.address), "--token", TOKEN])
        .args(["--source", "github", "--name", "bench", "--json"])
        .args(["--forward-to", &format!("http://{}/hooks", sink.address)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut listener = Running::spawn("becket listen", &mut command, None)?;
    let mut request = github::request(place.address, 0);
    // What arrives before the listener is there is not for it, so this is asked again and again.
    listener.wait_until("first relayed event", || {
        let sent = crate::api::event(place.address, &mut request).unwrap_or(false);
        std::thread::sleep(Duration::from_millis(50));
        sent && sink.count() > 0
    })?;
    std::thread::sleep(Duration::from_millis(500));
    let way = send(bench, &Plan::to(place.address), &sink)?;
    drop(listener);
    running.stop()?;
    Ok(way)
}

/// Sends at a calm rate and waits until everything has come.
fn send(bench: &Bench, plan: &Plan, sink: &Sink) -> Result<Way> {
    let mut plan = plan.clone();
    plan.rate = Some(RATE);
    plan.connections = 4;
    plan.until = Until::Time(bench.round_time());
    sink.reset();
    let outcome = load::run(&plan)?;
    let begin = std::time::Instant::now();
    while sink.count() < outcome.ok && begin.elapsed() < DRAIN_PATIENCE {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(Way { taken: sink.taken(), outcome })
}
