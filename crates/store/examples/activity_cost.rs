//! What counting costs on the way of an event: a note behind a lock of its own, with many places and
//! with few.
//!
//! `cargo run --release -p becket-store --example activity_cost` prints the figures; with `--json`, as
//! JSON.

use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use becket_model::{ApplicationKey, EndpointKey};
use becket_store::Owner;
use becket_store::activity::{Bucket, Place, Tally};

/// For how long each is repeated.
const MEASURED: Duration = Duration::from_millis(600);
/// Notes between two looks at the clock, and between two takings.
const ROUND: u64 = 50_000;

/// Microseconds for a note, with so many sources of so many event types each.
fn note_us(sources: u32, types: usize) -> f64 {
    let names: Vec<String> = (0..types).map(|at| format!("pull_request.kind_{at}")).collect();
    let tally = Mutex::new(Tally::default());
    let (mut noted, mut spent) = (0_u64, Duration::ZERO);
    while spent < MEASURED {
        let begin = Instant::now();
        for at in 0..ROUND {
            let place = Place {
                owner: Owner::MAIN,
                application: Some(ApplicationKey(1 + (at % u64::from(sources)) as u32)),
                endpoint: at.is_multiple_of(2).then_some(EndpointKey(7)),
                event_type: Some(&names[(at % types as u64) as usize]),
            };
            let mut tally = tally.lock().expect("nobody panics with it");
            tally.note(black_box(1_769_860_800_000), &place, |counts| {
                counts.received += 1;
                counts.latency.add_ms(at % 900);
            });
        }
        spent += begin.elapsed();
        noted += ROUND;
        tally.lock().expect("nobody panics with it").take().for_each(drop);
    }
    spent.as_secs_f64() * 1e6 / noted as f64
}

/// Milliseconds to bring as many places as a tally holds into the stretches of three levels.
fn fold_ms() -> f64 {
    let mut tally = Tally::default();
    for at in 0..4_000_u32 {
        let place = Place {
            owner: Owner::MAIN,
            application: Some(ApplicationKey(at % 500)),
            endpoint: Some(EndpointKey(1 + at)),
            event_type: Some("push"),
        };
        tally.note(0, &place, |counts| counts.attempts += u64::from(at));
    }
    let begin = Instant::now();
    let mut buckets: [Bucket; 3] = Default::default();
    for (_, kept, counts) in tally.take() {
        buckets.iter_mut().for_each(|bucket| bucket.add(&kept.place(), &counts));
    }
    buckets.iter_mut().for_each(Bucket::prune);
    begin.elapsed().as_secs_f64() * 1e3
}

fn main() {
    let figures = [
        ("counting one event, one source", note_us(1, 1), "us"),
        ("counting one event, 20 sources of 20 types", note_us(20, 20), "us"),
        ("bringing 4 000 counted places together", fold_ms(), "ms"),
    ];
    if std::env::args().any(|argument| argument == "--json") {
        let rows: Vec<String> = figures
            .iter()
            .map(|(what, value, unit)| {
                format!(r#"{{"what":"{what}","value":{value:.4},"unit":"{unit}"}}"#)
            })
            .collect();
        println!("[{}]", rows.join(","));
        return;
    }
    for (what, value, unit) in figures {
        println!("{what:<48} {value:>10.3} {unit}");
    }
}
