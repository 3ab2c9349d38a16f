//! One seed: a world is made, lives through crashes, calms down, and is checked.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use becket_egress::policy::AddressPolicy;
use becket_engine::{Door, EndpointRuntime, Engine, EngineConfig, Environment, SharedRate};
use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, ApplicationSettings, Clock, EndpointId,
    EndpointKey, EndpointSettings, EndpointState, Rate, RetrySchedule,
};
use becket_signature::standard_webhooks::SigningKey;
use becket_store::{
    ApplicationNew, Created, Endpoint, EndpointNew, Owner, RetentionPolicy, Scope, Store,
};
use becket_store_test::{Capabilities, FixedNoise, ModelStore, Wrapped};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Duration, sleep};

use crate::checker;
use crate::receivers::{Manner, Receivers};
use crate::store::{Faults, FaultyStore, Misbehaving};
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
    pub expunged: u64,
    pub postponed: u64,
    pub removed: u64,
    pub turns: u64,
    pub lapses: u64,
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
        self.expunged += other.expunged;
        self.postponed += other.postponed;
        self.removed += other.removed;
        self.turns += other.turns;
        self.lapses += other.lapses;
    }
}

/// A world between and during lives.
pub struct World {
    pub dice: Dice,
    pub clock: Arc<VirtualClock>,
    pub record: Shared,
    pub model: Arc<ModelStore>,
    pub manners: Arc<Mutex<HashMap<EndpointKey, Manner>>>,
    /// How many attempts each endpoint allows at once.
    pub caps: Arc<Mutex<HashMap<EndpointKey, usize>>>,
    pub config: EngineConfig,
    pub rate: Option<Rate>,
    pub by_type: Arc<HashMap<String, RetrySchedule>>,
    pub application: ApplicationKey,
    pub scope: Scope,
    /// Whether the clock never steps.
    pub steady: bool,
    /// Events whose schedule a person has overridden.
    pub hurried: BTreeSet<becket_model::EventId>,
    crashes: u64,
    pub long: bool,
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
        turns: record.turns.len() as u64,
        lapses: record.lapses.len() as u64,
        ..counts
    })
}

pub fn settings(dice: &Dice, long: bool) -> EndpointSettings {
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
        ..EndpointSettings::default()
    }
}

/// How a world is made; the rest follows from the dice.
pub struct Plan {
    pub endpoints: Vec<EndpointSettings>,
    pub config: EngineConfig,
    /// What all endpoints share.
    pub rate: Option<Rate>,
    pub by_type: HashMap<String, RetrySchedule>,
    pub steady: bool,
    pub long: bool,
}

impl Plan {
    fn random(dice: &Dice) -> Self {
        let long = dice.chance(2);
        let endpoints = (0..dice.between(1, 5)).map(|_| settings(dice, long)).collect();
        let config = EngineConfig {
            shards: 1,
            concurrency_in_all: usize::try_from(dice.between(1, 12)).expect("few"),
            lane_queue_max: usize::try_from(dice.between(1, 6)).expect("few"),
            lane_queue_bytes_max: if dice.chance(20) { 600 } else { 1 << 20 },
            lease_ms: LEASE_MS.unsigned_abs(),
            failing_noted_after_ms: if dice.chance(50) { 10_000 } else { 0 },
            failing_limit_ms: if dice.chance(30) { 600_000 } else { 432_000_000 },
            retention: Some(RetentionPolicy {
                delivered_ms: 1 << 40,
                failed_ms: 1 << 40,
                cap_bytes: None,
            }),
        };
        let rate = dice.chance(30).then(|| Rate {
            count: u32::try_from(dice.between(2, 40)).expect("few"),
            period_ms: if dice.chance(50) { 1_000 } else { 60_000 },
        });
        let delays_ms = vec![500; usize::try_from(dice.below(6)).expect("few")];
        let typed = ("typed".to_owned(), RetrySchedule { delays_ms });
        let by_type = dice.chance(50).then_some(typed).into_iter().collect();
        Self { endpoints, config, rate, by_type, steady: dice.chance(80), long }
    }
}

impl World {
    async fn new(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let plan = Plan::random(&dice);
        Self::of(plan, dice).await
    }

    pub async fn of(plan: Plan, dice: Dice) -> Self {
        let model = Arc::new(ModelStore::new(Arc::new(FixedNoise::new(dice.below(u64::MAX)))));
        let clock = Arc::new(VirtualClock::new());
        let new = ApplicationNew {
            kind: ApplicationKind::Customer,
            id: ApplicationId::new(1, [7; 14]),
            uid: None,
            settings: ApplicationSettings::default(),
            credentials: None,
        };
        let made = model.application_create(Owner::MAIN, new, clock.now_ms()).await;
        let Ok(Created::New(application)) = made else { panic!("an application") };
        let world = Self {
            steady: plan.steady,
            application: application.key,
            scope: Scope::of(Owner::MAIN, application.key),
            record: Arc::new(Mutex::new(Record::default())),
            manners: Arc::default(),
            caps: Arc::default(),
            hurried: BTreeSet::new(),
            crashes: 0,
            dice,
            clock,
            model,
            config: plan.config,
            rate: plan.rate,
            by_type: Arc::new(plan.by_type),
            long: plan.long,
        };
        for settings in plan.endpoints {
            world.endpoint_create(settings).await;
        }
        world
    }

    /// Makes another endpoint in the store.
    pub async fn endpoint_create(&self, settings: EndpointSettings) -> Endpoint {
        let number = u8::try_from(self.caps.lock().len()).expect("few");
        let cap = usize::try_from(settings.concurrency).expect("small");
        let new = EndpointNew {
            application: self.application,
            id: EndpointId::new(1, [number; 14]),
            uid: None,
            settings: EndpointSettings { url: format!("http://127.0.0.1:9/{number}"), ..settings },
            headers: None,
            secret: vec![1],
            state: EndpointState::Enabled,
        };
        let made = self.model.endpoint_create(Owner::MAIN, new, self.clock.now_ms()).await;
        let Ok(Created::New(endpoint)) = made else { panic!("an endpoint") };
        self.caps.lock().insert(endpoint.key, cap);
        endpoint
    }

    /// All endpoints, removed ones included.
    pub async fn endpoints(&self) -> Vec<Endpoint> {
        self.model.config_list(Owner::MAIN).await.expect("lists").endpoints
    }

    /// How an event of this type is tried again at an endpoint.
    pub fn schedule<'a>(
        &'a self,
        event_type: Option<&str>,
        settings: &'a EndpointSettings,
    ) -> &'a RetrySchedule {
        event_type.and_then(|name| self.by_type.get(name)).unwrap_or(&settings.retry)
    }

    pub fn runtime(&self, endpoint: Endpoint, rate: Option<Arc<SharedRate>>) -> EndpointRuntime {
        let policy = Arc::new(AddressPolicy::operator());
        EndpointRuntime {
            action: None,
            transform: None,
            key: endpoint.key,
            id: endpoint.id,
            application: endpoint.application,
            source_uid: String::new(),
            owner: Owner::MAIN,
            state: endpoint.state,
            failing_since_ms: endpoint.failing_since_ms,
            signing_keys: vec![(SigningKey::generate([9; 32]), None)],
            target: policy.check_url(&endpoint.settings.url).map(Arc::new),
            policy,
            settings: Arc::new(endpoint.settings),
            retry_by_type: self.by_type.clone(),
            application_rate: rate,
        }
    }

    /// What an engine is given at the start.
    pub async fn runtimes(&self, rate: Option<&Arc<SharedRate>>) -> Vec<EndpointRuntime> {
        let endpoints = self.endpoints().await.into_iter();
        endpoints
            .filter(|endpoint| endpoint.state != EndpointState::Removed)
            .map(|endpoint| self.runtime(endpoint, rate.cloned()))
            .collect()
    }

    /// Begins a life: a store that misbehaves in the given way, and an engine on it.
    pub async fn begin(&self, faults: Faults) -> Life {
        let endpoints = self.endpoints().await;
        let receivers = Receivers::new(
            self.dice.clone(),
            self.clock.clone(),
            self.record.clone(),
            self.manners.clone(),
            self.caps.clone(),
            self.config.concurrency_in_all,
            self.steady,
        );
        let crash = Arc::new(Notify::new());
        let store = Arc::new(Wrapped(Misbehaving {
            inner: self.model.clone(),
            dice: self.dice.clone(),
            record: self.record.clone(),
            faults: Mutex::new(faults),
            calls: AtomicU64::new(0),
            crash: crash.clone(),
        }));
        let environment = Environment {
            store: store.clone(),
            clock: self.clock.clone(),
            noise: Arc::new(FixedNoise::new(self.dice.below(u64::MAX))),
            observer: Arc::new(Counting { record: self.record.clone(), clock: self.clock.clone() }),
        };
        let door: Arc<dyn Door> = Arc::new(receivers);
        let (engine, running) = Engine::local(self.config.clone(), environment, door);
        let rate = self.rate.map(|rate| Arc::new(SharedRate::new(rate)));
        engine.endpoints_set(self.runtimes(rate.as_ref()).await);
        {
            let mut record = self.record.lock();
            record.life += 1;
            if let Some(lapse) = record.lapses.last_mut() {
                lapse.until_mono_ms.get_or_insert(self.clock.mono_ms());
            }
            for endpoint in &endpoints {
                let now_ms = self.clock.mono_ms();
                if endpoint.state == EndpointState::Enabled {
                    record.quiet_until(endpoint.key, now_ms);
                } else {
                    record.quiet_from(endpoint.key, now_ms);
                }
            }
        }
        Life { parts: Parts { engine, store, rate }, running: Box::pin(running), crash }
    }

    /// The store of the next life.
    pub fn reopen(&mut self, keeps_leases: bool, keeps_released_due: bool) {
        self.model = Arc::new(self.model.reopened(Capabilities {
            durable: true,
            keeps_leases,
            keeps_released_due,
            backup: false,
            sweep_lag_ms: 0,
            cap_lag: 0,
            quarantine_rows: 10,
        }));
    }

    /// A life of faults, which may end in a crash, a stop, or a drop.
    async fn chaotic_life(&mut self, number: u32) {
        let dice = self.dice.clone();
        let Life { parts, mut running, crash } = self.begin(some_faults(&dice)).await;
        let stops = dice.chance(40);
        let grace_ms = dice.below(20_000);
        let acting = async {
            self.act(&parts, dice.between(1, if self.long { 4 } else { 40 })).await;
            if stops {
                parts.engine.shutdown(grace_ms).await;
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
        let (keeps_leases, keeps_released_due) = (dice.chance(50), dice.chance(50));
        self.reopen(keeps_leases, keeps_released_due);
        if number.is_multiple_of(2) {
            sleep(Duration::from_millis(dice.below(600_000))).await;
        }
    }

    /// The last life: faults end, most receivers recover, and everything comes to its end.
    async fn calm_life(&mut self) -> Result<(), String> {
        let dice = self.dice.clone();
        let faults = Faults { crash_at: 0, ..some_faults(&dice) };
        let Life { parts, running, .. } = self.begin(faults).await;
        let Parts { engine, store, .. } = &parts;
        let calm = async {
            self.act(&parts, if self.long { 3 } else { dice.between(5, 30) }).await;
            *store.0.faults.lock() = Faults::default();
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
                let held_back =
                    matches!(endpoint.state, EndpointState::Paused | EndpointState::Disabled);
                if held_back && dice.chance(50) {
                    self.set_state(engine, &endpoint, EndpointState::Enabled).await;
                }
            }
            self.until_ended().await?;
            checker::check_idle(self, engine).await?;
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

/// A life of the engine.
pub struct Life {
    pub parts: Parts,
    pub running: Pin<Box<dyn Future<Output = ()>>>,
    pub crash: Arc<Notify>,
}

/// What senders and people call in a life.
pub struct Parts {
    pub engine: Engine,
    pub store: Arc<FaultyStore>,
    pub rate: Option<Arc<SharedRate>>,
}
