//! (c): the whole path, from the sender to an endpoint that answers at once.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Bench, Round, Watch, say_errors};
use crate::error::Result;
use crate::load::{self, Plan, Until};
use crate::place::{CONCURRENCY, Place, Running, Setup};
use crate::report::{Aim, Report};
use crate::sink::{Sink, Taken};

/// What the delivered rate is to be, as a part of the bare server's.
const RATIO_AIM: Aim = Aim::AtLeast(0.2);
/// What an event may cost from its receipt to its recorded delivery, in microseconds.
const COST_AIM: Aim = Aim::AtMost(100.0);
const DRAIN_PATIENCE: Duration = Duration::from_secs(120);
const CALM_RATE: u32 = 500;
const CALM_TIME: Duration = Duration::from_secs(10);

/// One load with everything delivered.
struct Delivered {
    round: Round,
    /// From the first request to the last delivery.
    whole: Duration,
    /// Deliveries that had come when the load ended.
    meanwhile: u64,
    taken: Taken,
}

impl Delivered {
    /// Events per second from the first request to the last delivery.
    fn sustained(&self) -> f64 {
        self.taken.count as f64 / self.whole.as_secs_f64()
    }

    /// Deliveries per second while events were still coming.
    fn meanwhile(&self) -> f64 {
        self.meanwhile as f64 / self.round.outcome.elapsed.as_secs_f64()
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "receiving": self.round.json(),
            "delivered": self.taken.count,
            "delivered_while_receiving": self.meanwhile,
            "seconds_to_last_delivery": self.whole.as_secs_f64(),
            "age_p50_ms": self.taken.age.quantile_ms(500),
            "age_p99_ms": self.taken.age.quantile_ms(990),
            "age_max_ms": self.taken.age.max_ms(),
        })
    }
}

/// Measures rates, cost and ages.
pub fn measure(bench: &mut Bench) -> Result<()> {
    let sink = Sink::start(([127, 0, 0, 1], 0).into())?;
    let setup = Setup { endpoint: Some(sink.address), ..Setup::PLAIN };
    let calm = {
        let place = bench.place(setup)?;
        let running = place.start()?;
        let mut plan = Plan::to(place.address);
        plan.rate = Some(CALM_RATE);
        plan.until = Until::Time(CALM_TIME);
        let calm = deliver(&plan, &running, &sink)?;
        running.stop()?;
        calm
    };
    let mut bare = Vec::new();
    let mut rounds = Vec::new();
    for _ in 0..bench.options.rounds {
        bare.push(bench.bare_round()?);
        let place: Place = bench.place(setup)?;
        let running = place.start()?;
        let mut plan = Plan::to(place.address);
        plan.until = Until::Time(bench.round_time());
        rounds.push(deliver(&plan, &running, &sink)?);
        running.stop()?;
    }
    let of = |figure: fn(&Delivered) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let ratios: Vec<f64> =
        rounds.iter().zip(&bare).map(|(one, bare)| one.sustained() / bare.rate()).collect();
    let report = &mut bench.report;
    report.add(
        "c",
        "accepted and delivered, to the last delivery",
        &of(Delivered::sustained),
        "/s",
        None,
    );
    report.note(format!("the endpoint takes {CONCURRENCY} at the same time"));
    for round in &rounds {
        say_all(report, round);
    }
    report.add("c", "  ratio to the bare server", &ratios, "", Some(RATIO_AIM));
    let cost = of(|one| super::per_event_us(one.round.cpu, one.taken.count));
    report.add("c", "  CPU per event, whole path", &cost, "us", Some(COST_AIM));
    if let Some(last) = rounds.last() {
        let threads = last.round.threads_in_words(last.taken.count);
        report.note(format!("last round by thread: {threads}"));
    }
    report.add("c", "  accepted while receiving", &of(|one| one.round.rate()), "/s", None);
    report.add("c", "  delivered while receiving", &of(Delivered::meanwhile), "/s", None);
    report.add(
        "c",
        "  sent to delivered p50, at saturation",
        &of(|o| o.taken.age.quantile_ms(500)),
        "ms",
        None,
    );
    report.add(
        "c",
        "  sent to delivered p99, at saturation",
        &of(|o| o.taken.age.quantile_ms(990)),
        "ms",
        None,
    );
    let ages = [("p50", 500), ("p99", 990)];
    for (name, per_mille) in ages {
        let what = format!("sent to delivered {name}, at {CALM_RATE} events/s");
        report.add("c", what, &[calm.taken.age.quantile_ms(per_mille)], "ms", None);
    }
    say_all(report, &calm);
    let cost = super::per_event_us(calm.round.cpu, calm.taken.count);
    report.add("c", format!("  CPU per event, at {CALM_RATE} events/s"), &[cost], "us", None);
    let rounds: Vec<_> = rounds.iter().map(Delivered::json).collect();
    let bare: Vec<_> = bare.iter().map(Round::json).collect();
    report.detail("c", json!({ "bare": bare, "saturated": rounds, "calm": calm.json() }));
    Ok(())
}

/// Sends, waits until everything has been delivered and recorded, and looks at the cost.
fn deliver(plan: &Plan, running: &Running, sink: &Sink) -> Result<Delivered> {
    sink.reset();
    let watch = Watch::begin(running)?;
    let begin = Instant::now();
    let outcome = load::run(plan)?;
    let meanwhile = sink.count();
    while sink.count() < outcome.ok && begin.elapsed() < outcome.elapsed + DRAIN_PATIENCE {
        std::thread::sleep(Duration::from_millis(2));
    }
    let whole = begin.elapsed();
    let round = watch.end(running, outcome)?;
    Ok(Delivered { round, whole, meanwhile, taken: sink.taken() })
}

/// Says what did not go as it should.
fn say_all(report: &mut Report, one: &Delivered) {
    say_errors(report, &one.round.outcome);
    let (accepted, delivered) = (one.round.outcome.ok, one.taken.count);
    if accepted != delivered {
        report.note(format!("{accepted} were accepted and {delivered} deliveries came"));
    }
}
