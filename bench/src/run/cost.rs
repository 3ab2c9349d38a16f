//! What a load costs several gateways and their database: processor time of each side, with what
//! they still do afterwards, and when the last delivery came.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::sending::drain;
use super::{SETTLE, per_event_us, round_2};
use crate::error::Result;
use crate::load::{self, Outcome, Plan};
use crate::process;
use crate::sink::{Sink, Taken};

/// The processes that a load is put on; with each counts what descends from it.
#[derive(Clone, Default)]
pub struct Sides {
    /// Gateways, or another server.
    pub servers: Vec<u32>,
    /// The first process of the database.
    pub database: Option<u32>,
}

/// Processor time of both sides.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    /// Of the servers.
    pub servers: Duration,
    /// Of the database.
    pub database: Duration,
}

impl Sides {
    /// Processor time so far.
    pub fn cost(&self) -> Result<Cost> {
        let servers = process::cpu_of_trees(&self.servers)?;
        let database = self.database.map_or(Ok(Duration::ZERO), process::cpu_of_tree)?;
        Ok(Cost { servers, database })
    }

    fn settle(&self) -> Result<bool> {
        let pids: Vec<u32> = self.servers.iter().copied().chain(self.database).collect();
        process::settle_trees(&pids, SETTLE)
    }
}

impl Cost {
    /// Both sides.
    pub fn all(self) -> Duration {
        self.servers + self.database
    }

    /// What came to it since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            servers: self.servers.saturating_sub(before.servers),
            database: self.database.saturating_sub(before.database),
        }
    }
}

/// One load with everything delivered.
pub struct Done {
    /// What the sender saw.
    pub outcome: Outcome,
    /// What it cost until everything had settled.
    pub cost: Cost,
    /// From the first request to the last delivery.
    pub whole: Duration,
    /// Deliveries that had come when the load ended.
    pub meanwhile: u64,
    /// Deliveries that were due.
    pub due: u64,
    /// Deliveries that came.
    pub taken: Taken,
    /// Whether the processes came to rest before patience ended.
    pub settled: bool,
    /// Cores that programs without a part in this used, on average.
    pub others: f64,
}

impl Done {
    /// Deliveries per second, to the last one.
    pub fn delivered(&self) -> f64 {
        self.taken.count as f64 / self.whole.as_secs_f64().max(1e-9)
    }

    /// Microseconds of the servers' processor time for each delivery.
    pub fn servers_us(&self) -> f64 {
        per_event_us(self.cost.servers, self.taken.count)
    }

    /// Microseconds of the database's processor time for each delivery.
    pub fn database_us(&self) -> f64 {
        per_event_us(self.cost.database, self.taken.count)
    }

    /// Microseconds of both for each delivery.
    pub fn all_us(&self) -> f64 {
        per_event_us(self.cost.all(), self.taken.count)
    }

    /// The age of deliveries in milliseconds, by quantile.
    pub fn age_ms(&self, per_mille: u64) -> f64 {
        self.taken.age.quantile_ms(per_mille)
    }

    /// What did not go as it should, if anything.
    pub fn trouble(&self) -> Option<String> {
        let mut words = Vec::new();
        if self.outcome.failed() > 0 {
            words.push(format!("{} failed: {:?}", self.outcome.failed(), self.outcome.errors));
        }
        if self.due != self.taken.count {
            words.push(format!("{} deliveries were due and {} came", self.due, self.taken.count));
        }
        if !self.settled {
            words.push("the processes were still busy at the end".to_owned());
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// The figures.
    pub fn json(&self) -> Value {
        json!({
            "load": self.outcome.json(),
            "due": self.due,
            "delivered": self.taken.count,
            "delivered_rate": round_2(self.delivered()),
            "delivered_while_sending": self.meanwhile,
            "seconds_to_last_delivery": self.whole.as_secs_f64(),
            "cpu_us_servers": round_2(self.servers_us()),
            "cpu_us_database": round_2(self.database_us()),
            "age_p50_ms": self.age_ms(500),
            "age_p99_ms": self.age_ms(990),
            "age_max_ms": self.taken.age.max_ms(),
            "cores_used_by_others": round_2(self.others),
            "settled": self.settled,
        })
    }
}

/// Puts a load on the servers, each request of which has to become `each` deliveries, waits for them,
/// then for rest; `afterwards` is what still has to be done for what was written, such as a
/// checkpoint.
pub fn put(
    plan: &Plan,
    each: u64,
    sink: &Sink,
    sides: &Sides,
    afterwards: impl FnOnce() -> Result<()>,
) -> Result<Done> {
    sink.reset();
    let before = sides.cost()?;
    let own = process::cpu(std::process::id())?;
    let busy = process::busy()?;
    let begin = Instant::now();
    let outcome = load::run(plan)?;
    let meanwhile = sink.count();
    let due = outcome.ok * each;
    let whole = drain(sink, due, begin);
    let elapsed = begin.elapsed().as_secs_f64();
    let ours = process::cpu(std::process::id())? - own + sides.cost()?.since(before).all();
    let others = (process::busy()? - busy).saturating_sub(ours).as_secs_f64() / elapsed;
    let settled = sides.settle()?;
    afterwards()?;
    let cost = sides.cost()?.since(before);
    Ok(Done { outcome, cost, whole, meanwhile, due, taken: sink.taken(), settled, others })
}
