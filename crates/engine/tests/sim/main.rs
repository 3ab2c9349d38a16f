//! A seeded simulation of the engine: virtual time, scripted receivers, a store any of whose calls
//! may fail, lose its answer or be the last one before a crash.
//!
//! After each run the [`checker`] compares what the receivers saw with what the store remembers.
//! A failing seed is printed; run it alone with `BECKET_SIM_SEED=n`. `BECKET_SIM_SEEDS` sets how many
//! seeds are run (default 500).

mod checker;
mod driver;
mod later;
mod people;
mod receivers;
mod store;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn run_seed(seed: u64) -> Result<driver::Summary, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    let run = std::panic::AssertUnwindSafe(|| runtime.block_on(driver::run(seed)));
    match std::panic::catch_unwind(run) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.unwrap_or_else(|| "panicked".to_owned()))
        }
    }
}

#[test]
fn nothing_is_lost_whatever_fails() {
    if let Some(seed) = from_environment("BECKET_SIM_SEED") {
        let summary = run_seed(seed).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        println!("seed {seed}: {summary:?}");
        return;
    }
    let seeds = from_environment("BECKET_SIM_SEEDS").unwrap_or(500);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let summaries = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut sum = driver::Summary::default();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds {
                            return Ok(sum);
                        }
                        match run_seed(seed) {
                            Ok(summary) => sum.add(&summary),
                            Err(wrong) => return Err(format!("seed {seed}: {wrong}")),
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let mut sum = driver::Summary::default();
    for summary in summaries {
        match summary {
            Ok(Ok(part)) => sum.add(&part),
            Ok(Err(wrong)) => panic!("{wrong}"),
            Err(_) => panic!("a simulation thread panicked"),
        }
    }
    println!("{seeds} seeds: {sum:?}");
    // A simulation in which nothing happens proves nothing.
    if seeds >= 100 {
        assert!(sum.crashes > 0 && sum.faults > 0 && sum.delivered > 0 && sum.failed > 0);
        assert!(sum.breakers > 0 && sum.disabled > 0 && sum.stale > 0 && sum.recovered > 0);
        assert!(sum.expunged > 0 && sum.postponed > 0 && sum.removed > 0 && sum.turns > 0);
        assert!(sum.lapses > 0);
    }
}

#[test]
fn a_seed_repeats() {
    for seed in [3, 11] {
        let summaries = [run_seed(seed), run_seed(seed)];
        assert_eq!(summaries[0], summaries[1], "seed {seed}");
    }
}
