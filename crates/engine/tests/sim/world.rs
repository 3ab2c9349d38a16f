//! What a simulated world shares: the seeded choices, the virtual clock, and the record of all that
//! was seen from outside the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use becket_engine::{AttemptReport, DeliveryTurn, EndpointEvent, EndpointNotice, Observer};
use becket_model::{AttemptId, Clock, DeliveryKey, EndpointKey, EventId};
use becket_store_test::Numbers;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Seeded choices, shared by everybody in the world.
#[derive(Clone)]
pub struct Dice(Arc<Mutex<Numbers>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Numbers::new(seed))))
    }

    pub fn below(&self, bound: u64) -> u64 {
        self.0.lock().below(bound)
    }

    /// From `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub fn chance(&self, percent: u64) -> bool {
        self.0.lock().chance(percent)
    }
}

/// The paused clock of the runtime, as a wall clock that may step.
pub struct VirtualClock {
    started: Instant,
    start_ms: i64,
    skew_ms: AtomicI64,
}

impl VirtualClock {
    pub fn new() -> Self {
        let start_ms = 1_800_000_000_000;
        Self { started: Instant::now(), start_ms, skew_ms: AtomicI64::new(0) }
    }

    pub fn step(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// Milliseconds since the beginning, never stepping.
    pub fn mono_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).expect("a short run")
    }
}

impl Clock for VirtualClock {
    fn now_ms(&self) -> i64 {
        self.start_ms.saturating_add_unsigned(self.mono_ms()) + self.skew_ms.load(Ordering::Relaxed)
    }
}

/// One request as a receiver saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub life: u32,
    /// How often the endpoint had been taken from the engine and given back.
    pub returns: u32,
    pub event: EventId,
    pub endpoint: EndpointKey,
    pub number: u32,
    pub started_mono_ms: u64,
    /// `None` while it is under way, or if it was broken off by a crash.
    pub status: Option<Result<u16, ()>>,
    pub ended_mono_ms: Option<u64>,
}

/// A time in which an endpoint must not be called.
#[derive(Debug, Clone, Copy)]
pub struct Quiet {
    pub from_mono_ms: u64,
    pub until_mono_ms: Option<u64>,
}

/// Everything that was seen.
#[derive(Default)]
pub struct Record {
    pub life: u32,
    pub seen: Vec<Seen>,
    /// Until when the newest lease of a delivery holds, and in which life it was given.
    pub leases: HashMap<(EventId, EndpointKey), (i64, u32)>,
    pub quiet: BTreeMap<EndpointKey, Vec<Quiet>>,
    pub returns: BTreeMap<EndpointKey, u32>,
    /// When the engine had no tenure.
    pub lapses: Vec<Quiet>,
    pub wrong: Vec<String>,
    pub faults: u64,
    pub reports: usize,
    pub finished_at_receivers: usize,
    pub breakers: u64,
    pub disabled: u64,
    pub recovered: u64,
    pub stale: u64,
    pub notices: Vec<EndpointNotice>,
    /// Attempts that sent nothing, because the payload was removed.
    pub expunged: usize,
    pub turns: Vec<(DeliveryKey, u32, DeliveryTurn, AttemptId)>,
}

impl Record {
    pub fn quiet_from(&mut self, endpoint: EndpointKey, mono_ms: u64) {
        let spans = self.quiet.entry(endpoint).or_default();
        if spans.last().is_none_or(|last| last.until_mono_ms.is_some()) {
            spans.push(Quiet { from_mono_ms: mono_ms, until_mono_ms: None });
        }
    }

    pub fn quiet_until(&mut self, endpoint: EndpointKey, mono_ms: u64) {
        if let Some(last) = self.quiet.entry(endpoint).or_default().last_mut() {
            last.until_mono_ms.get_or_insert(mono_ms);
        }
    }
}

pub type Shared = Arc<Mutex<Record>>;

/// Counts what the engine tells.
pub struct Counting {
    pub record: Shared,
    pub clock: Arc<VirtualClock>,
}

impl Observer for Counting {
    fn attempt(&self, report: &AttemptReport) {
        let mut record = self.record.lock();
        if report.error_code == Some("payload_expunged") {
            record.expunged += 1;
        } else {
            record.reports += 1;
        }
        if report.succeeded != report.status.is_some_and(|status| status / 100 == 2) {
            record.wrong.push(format!("a report contradicts itself: {report:?}"));
        }
    }

    fn delivery_turned(&self, report: &AttemptReport, turn: DeliveryTurn, attempt: AttemptId) {
        let told = (report.delivery, report.number, turn, attempt);
        self.record.lock().turns.push(told);
    }

    fn endpoint_changed(&self, notice: &EndpointNotice) {
        let mut record = self.record.lock();
        match notice.change {
            EndpointEvent::Disabled { .. } => {
                record.disabled += 1;
                record.quiet_from(notice.key, self.clock.mono_ms());
            }
            EndpointEvent::BreakerOpened => record.breakers += 1,
            EndpointEvent::Recovered { .. } => record.recovered += 1,
            EndpointEvent::Failing { .. } | EndpointEvent::BreakerClosed => {}
        }
        record.notices.push(notice.clone());
    }
}
