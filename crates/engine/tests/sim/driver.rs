//! One seed: a world is made, lives through crashes, calms down, and is checked.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use becket_egress::policy::AddressPolicy;
use becket_engine::{Door, EndpointRuntime, Engine, EngineConfig, Environment};
use becket_model::{
    Clock, Disposition, EndpointId, EndpointKey, EndpointSettings, EndpointState, EventRecord,
    PackedHeaders, Rate, RetrySchedule, SourceId,
};
use becket_signature::standard_webhooks::SigningKey;
use becket_store::{
    Accepted, Endpoint, EndpointChange, EndpointDeclaration, EventAccept, LeasedDelivery, Owner,
    Planned, RetentionPolicy, Scope, SourceDeclaration, Store,
};
use becket_store_test::{Capabilities, FixedNoise, ModelStore};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Duration, sleep};

use crate::checker;
use crate::receivers::{Manner, Receivers};
use crate::store::{Faults, FaultyStore};
use crate::world::{Counting, Dice, Record, Shared, VirtualClock};

pub const LEASE_MS: i64 = 300_000;

/// What happened in a run, for knowing that enough did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    pub events: u64,
    pub delivered: u64,
    pub failed: u64,
    pub waiting: u64,
    pub requests: u64,
    pub repeated: u64,
    pub crashes: u64,
    pub faults: u64,
    pub stale: u64,
    pub breakers: u64,
    pub disabled: u64,
    pub recovered: u64,
}

impl Summary {
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.waiting += other.waiting;
        self.requests += other.requests;
        self.repeated += other.repeated;
        self.crashes += other.crashes;
        self.faults += other.faults;
        self.stale += other.stale;
        self.breakers += other.breakers;
        self.disabled += other.disabled;
        self.recovered += other.recovered;
    }
}

/// A world between and during lives.
pub struct World {
    pub dice: Dice,
    pub clock: Arc<VirtualClock>,
    pub record: Shared,
    pub model: Arc<ModelStore>,
    pub manners: Arc<Mutex<HashMap<EndpointKey, Manner>>>,
    pub config: EngineConfig,
    pub scope: Scope,
    /// Whether the clock never steps.
    pub steady: bool,
    /// Events whose schedule a person has overridden.
    pub hurried: BTreeSet<becket_model::EventId>,
    crashes: u64,
    long: bool,
}

pub async fn run(seed: u64) -> Result<Summary, String> {
    let mut world = World::new(seed).await;
    let lives = world.dice.between(0, 3);
    for life in 0..lives {
        world.chaotic_life(u32::try_from(life).expect("few")).await;
    }
    world.calm_life().await?;
    let counts = checker::check(&world).await?;
    let record = world.record.lock();
    Ok(Summary {
        crashes: world.crashes,
        faults: record.faults,
        stale: record.stale,
        breakers: record.breakers,
        disabled: record.disabled,
        recovered: record.recovered,
        ..counts
    })
}

fn settings(dice: &Dice, number: u64, long: bool) -> EndpointSettings {
    let delays_ms = match dice.below(4) {
        _ if long => RetrySchedule::standard().delays_ms,
        0 => vec![1_000, 5_000, 20_000],
        1 => vec![5_000, 30_000, 120_000, 600_000],
        2 => vec![0, 50, 60_000],
        _ => vec![2_000; 6],
    };
    EndpointSettings {
        timeout_ms: dice.between(1, 15) * 1_000,
        concurrency: u32::try_from(dice.between(1, 6)).expect("few"),
        rate: dice.chance(20).then(|| Rate {
            count: u32::try_from(dice.between(1, 20)).expect("few"),
            period_ms: if dice.chance(50) { 1_000 } else { 60_000 },
        }),
        retry: RetrySchedule { delays_ms },
        ..EndpointSettings::for_url(&format!("http://127.0.0.1:9/{number}"))
    }
}

impl World {
    async fn new(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let long = dice.chance(2);
        let model = Arc::new(ModelStore::new(Arc::new(FixedNoise::new(seed))));
        let endpoints = (0..dice.between(1, 5)).map(|number| EndpointDeclaration {
            uid: format!("endpoint-{number}"),
            settings: settings(&dice, number, long),
            id: EndpointId::new(1, [u8::try_from(number).expect("few"); 14]),
            secret: vec![1],
        });
        let declared = SourceDeclaration {
            uid: "sim".to_owned(),
            provider: "generic".to_owned(),
            id: SourceId::new(1, [7; 10]),
            endpoints: endpoints.collect(),
        };
        let clock = Arc::new(VirtualClock::new());
        let snapshot = model
            .config_declare(Owner::MAIN, vec![declared], clock.now_ms())
            .await
            .expect("declares");
        let config = EngineConfig {
            shards: 1,
            concurrency_in_all: usize::try_from(dice.between(1, 12)).expect("few"),
            lane_queue_max: usize::try_from(dice.between(1, 6)).expect("few"),
            lane_queue_bytes_max: if dice.chance(20) { 600 } else { 1 << 20 },
            lease_ms: LEASE_MS.unsigned_abs(),
            failing_limit_ms: if dice.chance(30) { 600_000 } else { 432_000_000 },
            retention: Some(RetentionPolicy {
                delivered_ms: 1 << 40,
                failed_ms: 1 << 40,
                cap_bytes: None,
            }),
        };
        Self {
            steady: dice.chance(80),
            scope: Scope::of(Owner::MAIN, snapshot.sources[0].key),
            record: Arc::new(Mutex::new(Record::default())),
            manners: Arc::default(),
            hurried: BTreeSet::new(),
            crashes: 0,
            dice,
            clock,
            model,
            config,
            long,
        }
    }

    pub async fn endpoints(&self) -> Vec<Endpoint> {
        self.model.config_list(Owner::MAIN).await.expect("lists").endpoints
    }

    async fn runtimes(&self) -> Vec<EndpointRuntime> {
        let policy = Arc::new(AddressPolicy::operator());
        let endpoints = self.endpoints().await.into_iter();
        let runtimes = endpoints.map(|endpoint| EndpointRuntime {
            key: endpoint.key,
            id: endpoint.id,
            application: endpoint.application,
            source_uid: "sim".to_owned(),
            owner: Owner::MAIN,
            state: endpoint.state,
            failing_since_ms: endpoint.failing_since_ms,
            signing_keys: vec![(SigningKey::generate([9; 32]), None)],
            target: policy.check_url(&endpoint.settings.url).map(Arc::new),
            policy: policy.clone(),
            settings: Arc::new(endpoint.settings),
        });
        runtimes.collect()
    }

    /// Begins a life: a store that misbehaves in the given way, and an engine on it.
    async fn begin(&self, faults: Faults) -> Life {
        let endpoints = self.endpoints().await;
        let caps = endpoints.iter().map(|endpoint| {
            (endpoint.key, usize::try_from(endpoint.settings.concurrency).expect("small"))
        });
        let receivers = Receivers::new(
            self.dice.clone(),
            self.clock.clone(),
            self.record.clone(),
            self.manners.clone(),
            caps.collect(),
            self.config.concurrency_in_all,
            self.steady,
        );
        let crash = Arc::new(Notify::new());
        let store = Arc::new(FaultyStore {
            inner: self.model.clone(),
            dice: self.dice.clone(),
            record: self.record.clone(),
            faults: Mutex::new(faults),
            calls: AtomicU64::new(0),
            crash: crash.clone(),
        });
        let environment = Environment {
            store: store.clone(),
            clock: self.clock.clone(),
            noise: Arc::new(FixedNoise::new(self.dice.below(u64::MAX))),
            observer: Arc::new(Counting { record: self.record.clone(), clock: self.clock.clone() }),
        };
        let door: Arc<dyn Door> = Arc::new(receivers);
        let (engine, running) = Engine::local(self.config.clone(), environment, door);
        engine.endpoints_set(self.runtimes().await);
        {
            let mut record = self.record.lock();
            record.life += 1;
            for endpoint in &endpoints {
                let now_ms = self.clock.mono_ms();
                if endpoint.state == EndpointState::Enabled {
                    record.quiet_until(endpoint.key, now_ms);
                } else {
                    record.quiet_from(endpoint.key, now_ms);
                }
            }
        }
        Life { engine, store, running: Box::pin(running), crash }
    }

    /// A life of faults, which may end in a crash, a stop, or a drop.
    async fn chaotic_life(&mut self, number: u32) {
        let dice = self.dice.clone();
        let Life { engine, store, mut running, crash } = self.begin(some_faults(&dice)).await;
        let stops = dice.chance(40);
        let grace_ms = dice.below(20_000);
        let acting = async {
            self.act(&engine, &store, dice.between(1, if self.long { 4 } else { 40 })).await;
            if stops {
                engine.shutdown(grace_ms).await;
            }
        };
        let crashed = tokio::select! {
            biased;
            () = crash.notified() => true,
            () = &mut running => !stops,
            () = acting => !stops,
        };
        drop(running);
        self.crashes += u64::from(crashed);
        // The process is gone. A store of its own forgets the leases; a shared one keeps them.
        let capabilities = Capabilities {
            durable: true,
            keeps_leases: dice.chance(50),
            keeps_released_due: dice.chance(50),
            backup: false,
            sweep_lag_ms: 0,
            cap_lag: 0,
            quarantine_rows: 10,
        };
        self.model = Arc::new(self.model.reopened(capabilities));
        if number.is_multiple_of(2) {
            sleep(Duration::from_millis(dice.below(600_000))).await;
        }
    }

    /// The last life: faults end, most receivers recover, and everything comes to its end.
    async fn calm_life(&mut self) -> Result<(), String> {
        let dice = self.dice.clone();
        let faults = Faults { crash_at: 0, ..some_faults(&dice) };
        let Life { engine, store, running, .. } = self.begin(faults).await;
        let calm = async {
            self.act(&engine, &store, if self.long { 3 } else { dice.between(5, 30) }).await;
            *store.faults.lock() = Faults::default();
            let few = checker::events(self).await.len() < 15;
            let before = {
                let record = self.record.lock();
                (record.reports, record.finished_at_receivers)
            };
            for endpoint in self.endpoints().await {
                // While a breaker is open the probes are ten minutes apart: not for many events.
                let bad = if few { 30 } else { 0 };
                let manner = if dice.chance(bad) { Manner::Refuses } else { Manner::Good(40) };
                self.manners.lock().insert(endpoint.key, manner);
                if endpoint.state != EndpointState::Enabled && dice.chance(50) {
                    self.set_state(&engine, &endpoint, EndpointState::Enabled).await;
                }
            }
            self.until_ended().await?;
            checker::check_idle(self, &engine).await?;
            engine.shutdown(60_000).await;
            let record = self.record.lock();
            let after = (record.reports, record.finished_at_receivers);
            if after.0 - before.0 != after.1 - before.1 {
                return Err(format!("attempts and reports differ: {before:?} {after:?}"));
            }
            Ok(())
        };
        let mut calm = std::pin::pin!(calm);
        let early = tokio::select! {
            biased;
            result = &mut calm => Some(result),
            () = running => None,
        };
        match early {
            // What was wrong has been found before the engine was stopped.
            Some(result) => result,
            None => calm.await,
        }
    }

    /// Waits until nothing is pending at an enabled endpoint.
    async fn until_ended(&self) -> Result<(), String> {
        let (steps, step_s) = if self.long { (20 * 24, 3_600) } else { (48 * 12, 300) };
        for _ in 0..steps {
            sleep(Duration::from_secs(step_s)).await;
            if checker::pending(self).await.is_empty() {
                return Ok(());
            }
        }
        Err(format!("never ended: {:?}", checker::pending(self).await))
    }
}

fn some_faults(dice: &Dice) -> Faults {
    Faults {
        fail_percent: if dice.chance(50) { dice.below(30) } else { 0 },
        lose_percent: if dice.chance(50) { dice.below(15) } else { 0 },
        slowest_ms: if dice.chance(50) { dice.below(100) } else { 0 },
        crash_at: if dice.chance(70) { dice.between(1, 120) } else { 0 },
        crash_after: dice.chance(50),
    }
}

struct Life {
    engine: Engine,
    store: Arc<FaultyStore>,
    running: Pin<Box<dyn Future<Output = ()>>>,
    crash: Arc<Notify>,
}
