//! (e): from starting the program to the first event that is acknowledged.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Bench, intake};
use crate::error::{BenchError, Result, doing};
use crate::github;
use crate::load::{self, Plan, Until};
use crate::place::{Place, Setup};
use crate::report::Aim;

/// What it may take, in milliseconds.
const AIM: Aim = Aim::Below(100.0);
const EMPTY_STARTS: usize = 5;
const STORED_STARTS: usize = 3;
/// How long a gateway is under load before it is killed.
const LOAD_BEFORE_KILL: Duration = Duration::from_millis(1_500);

/// With no data yet.
pub fn empty(bench: &mut Bench) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..EMPTY_STARTS {
        let place = bench.place(Setup::PLAIN)?;
        let (running, time) = place.start_and_time(&mut github::request(place.address, 1))?;
        times.push(ms(time));
        running.stop()?;
    }
    bench.report.add("e", "start to first acknowledged, empty", &times, "ms", Some(AIM));
    Ok(())
}

/// With the events that `place` holds: after a clean end, and after being killed under load.
pub fn stored(bench: &mut Bench, place: &Place) -> Result<()> {
    let mut request = github::request(place.address, 2);
    let mut clean = Vec::new();
    for _ in 0..STORED_STARTS {
        let (running, time) = place.start_and_time(&mut request)?;
        clean.push(ms(time));
        running.stop()?;
    }
    let mut killed = Vec::new();
    for _ in 0..STORED_STARTS {
        let running = place.start()?;
        let mut plan = Plan::to(place.address);
        plan.until = Until::Time(2 * LOAD_BEFORE_KILL);
        let stop = plan.stop.clone();
        let loading = std::thread::Builder::new().spawn(move || load::run(&plan));
        let loading = loading.map_err(doing("starting a load"))?;
        std::thread::sleep(LOAD_BEFORE_KILL);
        running.kill()?;
        stop.store(true, Ordering::Relaxed);
        loading.join().map_err(|_| BenchError::Process {
            what: "the load on a gateway that is killed",
            detail: "it ended by a panic".to_owned(),
        })??;
        let (running, time) = place.start_and_time(&mut request)?;
        killed.push(ms(time));
        running.stop()?;
    }
    let name = intake::millions(bench.options.events);
    let report = &mut bench.report;
    let what = format!("start to first acknowledged, {name} stored, clean end");
    report.add("e", what, &clean, "ms", Some(AIM));
    let what = format!("start to first acknowledged, {name} stored, killed");
    report.add("e", what, &killed, "ms", Some(AIM));
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
