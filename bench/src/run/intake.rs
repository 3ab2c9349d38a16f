//! Receiving: verified, deduplicated and durably acknowledged, beside the bare server.

use serde_json::json;

use super::{Bench, Round, say_errors};
use crate::error::Result;
use crate::load::{self, Plan, Until};
use crate::place::{Place, Running, Setup};
use crate::process;
use crate::report::Aim;

/// What the acknowledged rate is to be, as a part of the bare server's.
const RATIO_AIM: Aim = Aim::AtLeast(0.5);
/// What it is to be with many events stored, as a part of the rate without.
const STORED_AIM: Aim = Aim::AtLeast(0.9);
const FULL_EVENTS: u64 = 5_000_000;

/// (a): an empty store, with the default log and without a line per request.
pub fn fresh(bench: &mut Bench) -> Result<()> {
    let levels = ["info", "warn"];
    let mut bare = Vec::new();
    let mut gateways: [Vec<Round>; 2] = Default::default();
    for number in 0..bench.options.rounds {
        bare.push(bench.bare_round()?);
        // The order changes, so that neither always has the same neighbour.
        let order = if number.is_multiple_of(2) { [0, 1] } else { [1, 0] };
        for at in order {
            let place = bench.place(Setup { log_level: levels[at], ..Setup::PLAIN })?;
            let running = place.start()?;
            gateways[at].push(bench.gateway_round(&place, &running)?);
            running.stop()?;
        }
    }
    let rates = |rounds: &[Round]| rounds.iter().map(Round::rate).collect::<Vec<_>>();
    let costs = |rounds: &[Round]| rounds.iter().map(Round::cpu_us).collect::<Vec<_>>();
    let report = &mut bench.report;
    report.add("a", "bare server: verified, nothing stored", &rates(&bare), "/s", None);
    report.add("a", "bare server: CPU per request", &costs(&bare), "us", None);
    let others: Vec<f64> = bare.iter().chain(gateways.iter().flatten()).map(|r| r.others).collect();
    for (level, rounds) in levels.into_iter().zip(&gateways) {
        let log = if level == "info" { "default log" } else { "log level warn" };
        let ratios: Vec<f64> =
            rounds.iter().zip(&bare).map(|(gateway, bare)| gateway.rate() / bare.rate()).collect();
        report.add("a", format!("acknowledged, {log}"), &rates(rounds), "/s", None);
        report.add("a", format!("  ratio to the bare server, {log}"), &ratios, "", Some(RATIO_AIM));
        report.add("a", format!("  CPU per request, {log}"), &costs(rounds), "us", None);
        if let Some(last) = rounds.last() {
            report
                .note(format!("last round by thread: {}", last.threads_in_words(last.outcome.ok)));
        }
        let quantiles = |per_mille| {
            let of = |round: &Round| round.outcome.latency.quantile_ms(per_mille);
            rounds.iter().map(of).collect::<Vec<_>>()
        };
        report.add("a", format!("  answer p50, {log}"), &quantiles(500), "ms", None);
        report.add("a", format!("  answer p99, {log}"), &quantiles(990), "ms", None);
        for round in rounds {
            say_errors(report, &round.outcome);
        }
    }
    report.add("a", "cores that other programs used meanwhile", &others, "", None);
    let json = |rounds: &[Round]| rounds.iter().map(Round::json).collect::<Vec<_>>();
    report.detail(
        "a",
        json!({
            "bare": json(&bare),
            "default_log": json(&gateways[0]),
            "log_level_warn": json(&gateways[1]),
        }),
    );
    Ok(())
}

/// (b): the same with many events stored, beside a gateway with an empty store. Leaves the events
/// in `place` for the parts that come after.
pub fn stored(bench: &mut Bench, place: &Place) -> Result<()> {
    let running = place.start()?;
    let mut stored = 0;
    let mut sizes = vec![bench.options.events];
    if bench.options.full && bench.options.events < FULL_EVENTS {
        sizes.push(FULL_EVENTS);
    }
    for size in sizes {
        let filled = fill(bench, place, &running, size - stored)?;
        stored = size;
        let name = millions(size);
        let report = &mut bench.report;
        report.add(
            "b",
            format!("events taken while filling up to {name}"),
            &[filled.rate()],
            "/s",
            None,
        );
        say_errors(report, &filled.outcome);
        report.add("b", "  CPU per event, while filling", &[filled.cpu_us()], "us", None);
        let bytes = place.bytes() as f64 / size as f64;
        report.add("b", "  bytes on disk per event", &[bytes], "", None);
        let memory = process::memory(running.pid())?;
        report.add("b", "  memory afterwards", &[super::memory::mib(memory.resident)], "MiB", None);
        report.detail(&format!("b_fill_{size}"), filled.json());
        if bench.wants("b") {
            compare(bench, place, &running, size)?;
        }
    }
    running.stop()
}

fn fill(bench: &Bench, place: &Place, running: &Running, count: u64) -> Result<Round> {
    let mut plan = Plan::to(place.address);
    plan.until = Until::Count(count);
    // More at once fill faster; this part is not compared with anything.
    plan.connections = 128;
    let watch = super::Watch::begin(running)?;
    let outcome = load::run(&plan)?;
    let round = watch.end(running, outcome)?;
    if bench.wants("b") {
        process::settle(running.pid(), super::SETTLE)?;
    }
    Ok(round)
}

fn compare(bench: &mut Bench, place: &Place, running: &Running, size: u64) -> Result<()> {
    let mut bare = Vec::new();
    let mut empty = Vec::new();
    let mut full = Vec::new();
    for number in 0..bench.options.rounds {
        bare.push(bench.bare_round()?);
        if number % 2 == 1 {
            full.push(bench.gateway_round(place, running)?);
        }
        let other = bench.place(Setup::PLAIN)?;
        let beside = other.start()?;
        empty.push(bench.gateway_round(&other, &beside)?);
        beside.stop()?;
        drop(other);
        if number % 2 == 0 {
            full.push(bench.gateway_round(place, running)?);
        }
    }
    let name = millions(size);
    let rates = |rounds: &[Round]| rounds.iter().map(Round::rate).collect::<Vec<_>>();
    let ratios = |some: &[Round], to: &[Round]| {
        some.iter().zip(to).map(|(one, to)| one.rate() / to.rate()).collect::<Vec<_>>()
    };
    let report = &mut bench.report;
    report.add("b", format!("acknowledged with {name} stored"), &rates(&full), "/s", None);
    for round in &full {
        say_errors(report, &round.outcome);
    }
    let what = format!("  ratio to an empty store, {name} stored");
    report.add("b", what, &ratios(&full, &empty), "", Some(STORED_AIM));
    let what = format!("  ratio to the bare server, {name} stored");
    report.add("b", what, &ratios(&full, &bare), "", None);
    let what = "  ratio of the empty store to the bare server";
    report.add("b", what, &ratios(&empty, &bare), "", None);
    let costs: Vec<f64> = full.iter().map(Round::cpu_us).collect();
    report.add("b", format!("  CPU per request, {name} stored"), &costs, "us", None);
    let json = |rounds: &[Round]| rounds.iter().map(Round::json).collect::<Vec<_>>();
    report.detail(
        &format!("b_{size}"),
        json!({ "bare": json(&bare), "empty": json(&empty), "stored": json(&full) }),
    );
    Ok(())
}

/// A number of events in words.
pub fn millions(count: u64) -> String {
    if count.is_multiple_of(1_000_000) {
        format!("{} M", count / 1_000_000)
    } else {
        count.to_string()
    }
}
