//! (f): messages posted through the API, with one and with ten endpoints per application.
//!
//! The same load can be put on any server that speaks the API: `becket-bench messages`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::cost::{self, Sides};
use super::{Bench, Round, Watch, say_errors};
use crate::error::Result;
use crate::load::{self, Plan, Until};
use crate::messages::{self, Server, Shape};
use crate::place::{Running, Setup, TOKEN};
use crate::sink::{Sink, Taken};

pub(super) const APPLICATIONS: usize = 20;
const DRAIN_PATIENCE: Duration = Duration::from_secs(120);
/// A server that delivers nothing more for this long has finished.
const QUIET: Duration = Duration::from_secs(10);

/// How another server is measured.
#[derive(Args)]
pub struct Options {
    /// The server's base URL; several, separated by commas, if it has several nodes
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:8080")]
    to: Vec<String>,
    /// A token that may make applications [env: BECKET_TOKEN]
    #[arg(long, env = "BECKET_TOKEN")]
    token: String,
    /// Endpoints of each application
    #[arg(long, default_value_t = 1)]
    endpoints: usize,
    /// How many applications
    #[arg(long, default_value_t = APPLICATIONS)]
    applications: usize,
    /// How many connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// For how many seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Messages per second in all; as many as are answered if absent
    #[arg(long)]
    rate: Option<u32>,
    /// Where deliveries are taken
    #[arg(long, default_value = "127.0.0.1:0")]
    sink: std::net::SocketAddr,
    /// Its processes, if their processor time is to be measured
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    /// The first process of its database, likewise
    #[arg(long)]
    database_pid: Option<u32>,
}

/// Puts the load on a server that is running, and prints figures as JSON.
pub fn against(options: &Options) -> Result<()> {
    let addresses: Vec<_> =
        options.to.iter().map(|url| messages::address_of(url)).collect::<Result<_>>()?;
    let Some(address) = addresses.first().copied() else { return Ok(()) };
    let server = Server { address, token: options.token.clone() };
    let sink = Sink::start(options.sink)?;
    let shape = Shape { applications: options.applications, endpoints: options.endpoints };
    let ids = server.prepare(shape, &format!("http://{}", sink.address))?;
    let mut plan = Plan::spread(&addresses, server.requests(ids, addresses.len()));
    plan.connections = options.connections;
    plan.until = Until::Time(Duration::from_secs(options.seconds));
    plan.rate = options.rate;
    let sides = Sides { servers: options.pid.clone(), database: options.database_pid };
    let done = cost::put(&plan, shape.endpoints as u64, &sink, &sides, || Ok(()))?;
    println!("{}", done.json());
    Ok(())
}

/// Waits for so many deliveries, or until nothing comes any more; the time since `begin` at which the
/// last one came.
pub(super) fn drain(sink: &Sink, wanted: u64, begin: Instant) -> Duration {
    let (mut last, mut last_at) = (sink.count(), Instant::now());
    loop {
        let count = sink.count();
        if count != last {
            (last, last_at) = (count, Instant::now());
        }
        if count >= wanted || last_at.elapsed() > QUIET || begin.elapsed() > DRAIN_PATIENCE {
            return last_at - begin;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// One load with everything delivered.
struct Sent {
    round: Round,
    whole: Duration,
    taken: Taken,
}

impl Sent {
    fn delivered(&self) -> f64 {
        self.taken.count as f64 / self.whole.as_secs_f64()
    }

    /// Microseconds of the gateway's processor time for each message with all its deliveries.
    fn cpu_us(&self) -> f64 {
        super::per_event_us(self.round.cpu, self.round.outcome.ok)
    }

    fn json(&self) -> Value {
        json!({
            "creating": self.round.json(),
            "delivered": self.taken.count,
            "seconds_to_last_delivery": self.whole.as_secs_f64(),
            "age_p50_ms": self.taken.age.quantile_ms(500),
            "age_p99_ms": self.taken.age.quantile_ms(990),
        })
    }
}

/// Measures with one and with ten endpoints.
pub(super) fn measure(bench: &mut Bench) -> Result<()> {
    let sink = Sink::start(([127, 0, 0, 1], 0).into())?;
    for endpoints in [1, 10] {
        let mut rounds = Vec::new();
        for _ in 0..bench.options.rounds {
            let place = bench.place(Setup::PLAIN)?;
            let running = place.start()?;
            let server = Server { address: place.address, token: TOKEN.to_owned() };
            let shape = Shape { applications: APPLICATIONS, endpoints };
            let ids = server.prepare(shape, &format!("http://{}", sink.address))?;
            let mut plan = Plan::to(place.address);
            plan.until = Until::Time(bench.round_time());
            plan.requests = server.requests(Arc::clone(&ids), 1);
            rounds.push(send(&plan, &running, &sink, endpoints)?);
            running.stop()?;
        }
        tell(bench, endpoints, &rounds);
    }
    Ok(())
}

fn send(plan: &Plan, running: &Running, sink: &Sink, endpoints: usize) -> Result<Sent> {
    sink.reset();
    let watch = Watch::begin(running)?;
    let begin = Instant::now();
    let outcome = load::run(plan)?;
    let whole = drain(sink, outcome.ok * endpoints as u64, begin);
    let round = watch.end(running, outcome)?;
    Ok(Sent { round, whole, taken: sink.taken() })
}

fn tell(bench: &mut Bench, endpoints: usize, rounds: &[Sent]) {
    let of = |figure: fn(&Sent) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let report = &mut bench.report;
    let with = match endpoints {
        1 => "1 endpoint".to_owned(),
        many => format!("{many} endpoints"),
    };
    report.add("f", format!("messages created, {with}"), &of(|one| one.round.rate()), "/s", None);
    for one in rounds {
        say_errors(report, &one.round.outcome);
        let (wanted, came) = (one.round.outcome.ok * endpoints as u64, one.taken.count);
        if wanted != came {
            report.note(format!("{wanted} deliveries were due and {came} came"));
        }
    }
    report.add("f", "  delivered, to the last delivery", &of(Sent::delivered), "/s", None);
    report.add("f", "  CPU per message, all deliveries", &of(Sent::cpu_us), "us", None);
    let ages = [
        ("p50", of(|one| one.taken.age.quantile_ms(500))),
        ("p99", of(|one| one.taken.age.quantile_ms(990))),
    ];
    for (name, figures) in ages {
        report.add("f", format!("  created to delivered {name}"), &figures, "ms", None);
    }
    let details: Vec<Value> = rounds.iter().map(Sent::json).collect();
    report.detail(if endpoints == 1 { "f1" } else { "f10" }, json!(details));
}
