//! (d): memory at rest, with many connections, and with many deliveries that wait.

use std::time::Duration;

use serde_json::json;

use super::{Bench, SETTLE, intake, say_errors};
use crate::error::{BenchError, Result};
use crate::load::{self, Plan, Until};
use crate::place::Setup;
use crate::report::Aim;
use crate::sink::Sink;
use crate::{api, process};

/// What a gateway at rest may take, in MiB.
const IDLE_AIM: Aim = Aim::Below(30.0);
/// What it may take with a million deliveries pending, in MiB.
const PENDING_AIM: Aim = Aim::Below(200.0);
const CONNECTIONS: usize = 10_000;
/// Files that a process needs beside its connections.
const OTHER_FILES: u64 = 512;
const REST: Duration = Duration::from_secs(2);

/// Bytes in MiB.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// At rest, without and with ten thousand open connections.
pub fn idle(bench: &mut Bench, open_files: u64) -> Result<()> {
    let place = bench.place(Setup::PLAIN)?;
    let running = place.start()?;
    std::thread::sleep(REST);
    let memory = process::memory(running.pid())?;
    let report = &mut bench.report;
    report.add("d", "memory at rest", &[mib(memory.resident)], "MiB", Some(IDLE_AIM));
    report.add("d", "  of it anonymous", &[mib(memory.anonymous)], "MiB", None);
    let what = format!("memory with {CONNECTIONS} open connections at rest");
    if open_files < CONNECTIONS as u64 + OTHER_FILES {
        report.add("d", what, &[], "MiB", None);
        report.note(format!("skipped: only {open_files} files may be open; raise `ulimit -n`"));
        return running.stop();
    }
    let held = load::hold(place.address, CONNECTIONS)?;
    process::settle(running.pid(), SETTLE)?;
    let open = api::metric(place.address, "becket_connections")?;
    let with = process::memory(running.pid())?;
    report.add("d", what, &[mib(with.resident)], "MiB", None);
    report.note(format!("{} were opened, the gateway counts {open}", held.count));
    let each = (with.resident.saturating_sub(memory.resident)) as f64 / held.count as f64 / 1_024.0;
    report.add("d", "  for each connection", &[each], "KiB", None);
    drop(held);
    running.stop()
}

/// With many deliveries that wait for an endpoint that is paused.
pub fn pending(bench: &mut Bench) -> Result<()> {
    // Nothing is delivered, but the address has to be somebody's.
    let sink = Sink::start(([127, 0, 0, 1], 0).into())?;
    let place = bench.place(Setup { endpoint: Some(sink.address), ..Setup::PLAIN })?;
    let running = place.start()?;
    place.pause_endpoint()?;
    let count = bench.options.events;
    let mut plan = Plan::to(place.address);
    plan.until = Until::Count(count);
    plan.connections = 128;
    let outcome = load::run(&plan)?;
    process::settle(running.pid(), SETTLE)?;
    let waiting = api::metric(place.address, "becket_deliveries_pending")?;
    if sink.count() > 0 || waiting < outcome.ok as f64 {
        let delivered = sink.count();
        let detail = format!("{waiting} deliveries wait of {}, {delivered} came", outcome.ok);
        return Err(BenchError::Process { what: "a paused endpoint", detail });
    }
    let memory = process::memory(running.pid())?;
    let name = intake::millions(count);
    let report = &mut bench.report;
    let what = format!("memory with {name} deliveries pending");
    report.add("d", what, &[mib(memory.resident)], "MiB", Some(PENDING_AIM));
    say_errors(report, &outcome);
    report.add("d", "  of it anonymous", &[mib(memory.anonymous)], "MiB", None);
    report.add("d", "  the most there was", &[mib(memory.peak)], "MiB", None);
    report.add("d", "  events taken meanwhile", &[outcome.rate()], "/s", None);
    report.detail("d", json!({ "pending": waiting, "load": outcome.json() }));
    running.stop()
}
