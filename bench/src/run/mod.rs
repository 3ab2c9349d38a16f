//! The whole measurement, part after part; each prints its figures as soon as it has them.
//!
//! Invariants: what is compared is measured in rounds that alternate, and the ratio is made within
//! each round before the median is taken; what a gateway still does after its load has ended counts
//! as processor time of that load.

mod backlog;
mod clustered;
mod cost;
mod delivery;
mod developing;
mod intake;
mod looking;
mod memory;
pub mod sending;
mod start;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::error::{Result, doing};
use crate::load::{self, Outcome, Plan, Until};
use crate::machine::{self, Machine};
use crate::place::{Bare, Place, Running, Setup};
use crate::postgres::Postgres;
use crate::process;
use crate::report::{self, Report};

/// How long a gateway may go on working after its load has ended.
const SETTLE: Duration = Duration::from_secs(20);
/// Enough for ten thousand connections and the files of a store.
const OPEN_FILES: u64 = 16_384;

/// How much is measured.
#[derive(Args, Clone)]
pub struct Options {
    /// Also measure with five million stored events, and looking at ten million
    #[arg(long)]
    full: bool,
    /// How many rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many seconds a round takes for each server
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many events are stored for the parts that need many
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Only these parts, such as `a,c` (a and b: receiving, c: delivering, d: memory, e: starting,
    /// f: messages, g: filters, transformations, `listen`, h: looking at much history, i: several
    /// nodes on PostgreSQL, j: many deliveries that wait there)
    #[arg(long, value_delimiter = ',')]
    parts: Vec<String>,
    /// How many nodes there are, in turn, on PostgreSQL
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    nodes: Vec<usize>,
    /// A PostgreSQL server that is running on this machine, as a URL of a superuser; a private one is
    /// started if absent
    #[arg(long, requires = "postgres_pid")]
    postgres: Option<String>,
    /// Its first process
    #[arg(long)]
    postgres_pid: Option<u32>,
    /// Another server that speaks the API and gets the messages of part i as well, by its base URL
    #[arg(long, requires = "peer_token")]
    peer: Option<String>,
    /// A token that may make applications there
    #[arg(long, env = "BECKET_PEER_TOKEN", hide_env_values = true)]
    peer_token: Option<String>,
    /// Its processes, whose processor time counts
    #[arg(long, value_delimiter = ',')]
    peer_pid: Vec<u32>,
    /// The first process of its database, if that is not the one of the nodes
    #[arg(long)]
    peer_database_pid: Option<u32>,
    /// Where the results go
    #[arg(long, default_value = "bench/results/latest.json")]
    out: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            full: false,
            rounds: 3,
            seconds: 5,
            events: 1_000_000,
            parts: Vec::new(),
            nodes: vec![1, 2, 3],
            postgres: None,
            postgres_pid: None,
            peer: None,
            peer_token: None,
            peer_pid: Vec::new(),
            peer_database_pid: None,
            out: "bench/results/latest.json".into(),
        }
    }
}

/// What all parts work with.
struct Bench {
    options: Options,
    /// The folder of the built programs; data lie below it, on the same disk.
    programs: PathBuf,
    bare: Bare,
    report: Report,
}

impl Bench {
    fn wants(&self, part: &str) -> bool {
        self.options.parts.is_empty() || self.options.parts.iter().any(|wanted| wanted == part)
    }

    fn place(&self, setup: Setup) -> Result<Place> {
        Place::new(&self.programs, &self.programs, setup)
    }

    /// The database of several nodes: the one that was named, else a private one with these settings
    /// beside its usual ones.
    fn postgres(&self, settings: &[&str]) -> Result<Postgres> {
        match (&self.options.postgres, self.options.postgres_pid) {
            (Some(url), Some(pid)) => Ok(Postgres::existing(url, pid)),
            _ => Postgres::start(&self.programs, settings),
        }
    }

    fn round_time(&self) -> Duration {
        Duration::from_secs(self.options.seconds)
    }

    /// A round against the bare server.
    fn bare_round(&self) -> Result<Round> {
        let mut plan = Plan::to(self.bare.address);
        plan.until = Until::Time(self.round_time());
        measure(&self.bare.running, &plan)
    }

    /// A round against a gateway, with what it still does afterwards.
    fn gateway_round(&self, place: &Place, running: &Running) -> Result<Round> {
        let mut plan = Plan::to(place.address);
        plan.until = Until::Time(self.round_time());
        measure(running, &plan)
    }
}

/// One load on one server.
struct Round {
    outcome: Outcome,
    /// Processor time of the server while the load ran and until it had settled.
    cpu: Duration,
    /// The same by thread.
    threads: Vec<(String, Duration)>,
    /// Cores that were used by programs that have no part in this, on average.
    others: f64,
}

impl Round {
    fn rate(&self) -> f64 {
        self.outcome.rate()
    }

    /// Microseconds of the server's processor time for each acknowledged request.
    fn cpu_us(&self) -> f64 {
        per_event_us(self.cpu, self.outcome.ok)
    }

    /// The processor time by thread, in words.
    fn threads_in_words(&self, events: u64) -> String {
        let of = |(name, time): &(String, Duration)| {
            format!("{name} {:.1}", per_event_us(*time, events))
        };
        self.threads.iter().map(of).collect::<Vec<_>>().join(", ")
    }

    fn json(&self) -> Value {
        let ok = self.outcome.ok;
        let threads: serde_json::Map<String, Value> = self
            .threads
            .iter()
            .map(|(name, time)| (name.clone(), json!(round_2(per_event_us(*time, ok)))))
            .collect();
        json!({
            "load": self.outcome.json(),
            "cpu_us": round_2(self.cpu_us()),
            "cpu_us_by_thread": threads,
            "cores_used_by_others": round_2(self.others),
        })
    }
}

fn per_event_us(time: Duration, events: u64) -> f64 {
    time.as_secs_f64() * 1e6 / (events as f64).max(1.0)
}

fn round_2(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Runs a load and looks at what it costs the server.
fn measure(server: &Running, plan: &Plan) -> Result<Round> {
    let watch = Watch::begin(server)?;
    let outcome = load::run(plan)?;
    watch.end(server, outcome)
}

/// The state before a load.
struct Watch {
    cpu: Duration,
    own: Duration,
    busy: Duration,
    threads: std::collections::BTreeMap<String, Duration>,
    begin: std::time::Instant,
}

impl Watch {
    fn begin(server: &Running) -> Result<Self> {
        Ok(Self {
            cpu: server.cpu()?,
            own: process::cpu(std::process::id())?,
            busy: process::busy()?,
            threads: process::cpu_of_threads(server.pid())?,
            begin: std::time::Instant::now(),
        })
    }

    /// Sees who else was busy until now, then waits until the server has settled.
    fn end(self, server: &Running, outcome: Outcome) -> Result<Round> {
        let elapsed = self.begin.elapsed().as_secs_f64();
        let mine = process::cpu(std::process::id())? - self.own + (server.cpu()? - self.cpu);
        let others = (process::busy()? - self.busy).saturating_sub(mine).as_secs_f64() / elapsed;
        process::settle(server.pid(), SETTLE)?;
        let cpu = server.cpu()? - self.cpu;
        let mut threads: Vec<(String, Duration)> = process::cpu_of_threads(server.pid())?
            .into_iter()
            .map(|(name, time)| {
                let before = self.threads.get(&name).copied().unwrap_or_default();
                (name, time.saturating_sub(before))
            })
            .filter(|(_, time)| !time.is_zero())
            .collect();
        threads.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        Ok(Round { outcome, cpu, threads, others })
    }
}

/// Says that something went wrong during a load, so that no figure hides it.
fn say_errors(report: &mut Report, outcome: &Outcome) {
    if outcome.failed() > 0 {
        report.note(format!("{} requests failed: {:?}", outcome.failed(), outcome.errors));
    }
}

/// Measures everything that was asked for.
pub fn run(options: &Options) -> Result<()> {
    let machine = Machine::look();
    let open_files = process::raise_open_files(OPEN_FILES);
    let program = std::env::current_exe().map_err(doing("looking for this program"))?;
    let programs = program.parent().map(PathBuf::from).unwrap_or_default();
    let bare = Bare::start()?;
    let mut bench =
        Bench { options: options.clone(), programs, bare, report: Report::new(machine) };
    println!("{}", report::heading());
    if bench.wants("a") {
        intake::fresh(&mut bench)?;
    }
    if bench.wants("c") {
        delivery::measure(&mut bench)?;
    }
    if bench.wants("f") {
        sending::measure(&mut bench)?;
    }
    if bench.wants("g") {
        developing::measure(&mut bench)?;
    }
    if bench.wants("d") {
        memory::idle(&mut bench, open_files)?;
    }
    if bench.wants("e") {
        start::empty(&mut bench)?;
    }
    if bench.wants("b") || bench.wants("e") {
        let place = bench.place(Setup::PLAIN)?;
        intake::stored(&mut bench, &place)?;
        if bench.wants("e") {
            start::stored(&mut bench, &place)?;
        }
    }
    if bench.wants("d") {
        memory::pending(&mut bench)?;
    }
    if bench.wants("h") {
        looking::measure_all(&mut bench)?;
    }
    if bench.wants("i") {
        clustered::measure(&mut bench)?;
    }
    if bench.wants("j") {
        backlog::measure(&mut bench)?;
    }
    bench.report.load_after = machine::load();
    bench.report.print();
    bench.report.write(&bench.options.out)
}
