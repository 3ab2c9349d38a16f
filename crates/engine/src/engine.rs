//! The engine's handle: starting and stopping the shards, and the calls that other threads make.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use becket_model::{EndpointKey, EndpointState};
use becket_store::LeasedDelivery;
use parking_lot::Mutex;
use tokio::sync::mpsc::{
    UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel,
};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::config::{EngineConfig, EngineError, Environment};
use crate::door::Door;
use crate::endpoint::{EndpointRuntime, Prepared};
use crate::job::Tools;
use crate::lane::delivery_bytes;
use crate::maintenance;
use crate::registry::Registry;
use crate::run::run;
use crate::shard::{Command, Shard};
use crate::shared::{Closed, LaneShared, ShardShared};
use crate::tenure::{Held, Tenure};

/// A handle on the delivery engine; cheap to clone. When the last one is dropped, the engine breaks
/// off what is under way and stops: nothing is lost, but those attempts will be repeated.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<EngineConfig>,
    lanes: Arc<Registry>,
    /// Held while endpoints change, so that the shards hear of it in the same order.
    changing: Mutex<()>,
    /// Asks the store what is due.
    refresh: Arc<Notify>,
    shards: Vec<ShardHandle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct ShardHandle {
    commands: UnboundedSender<Command>,
    shared: Arc<ShardShared>,
    /// `true`, or closed, once the shard has ended.
    ended: watch::Receiver<bool>,
}

/// What the engine is doing now, summed over all shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Attempts under way.
    pub in_flight: usize,
    /// Deliveries waiting in memory.
    pub queued: usize,
    /// Their size in bytes.
    pub queued_bytes: usize,
    /// Endpoints.
    pub lanes: usize,
    /// Endpoints whose breaker is open.
    pub breakers_open: usize,
    /// Results on their way into the store.
    pub finishing: usize,
    /// Those among them that the store has refused and that are tried again.
    pub results_held: usize,
    /// Results that came too late to be recorded, since the start.
    pub stale: usize,
    /// Shards that are running; fewer than configured means that one has ended or broken down.
    pub shards_running: usize,
}

/// Everything a shard's thread begins with.
struct Beginning {
    shard: Shard,
    commands: UnboundedReceiver<Command>,
    environment: Environment,
    refresh: Arc<Notify>,
    /// The senders to all shards, for the one that looks after maintenance.
    upkeep: Option<Vec<WeakUnboundedSender<Command>>>,
    config: Arc<EngineConfig>,
    started: Instant,
    ended: watch::Sender<bool>,
}

impl Engine {
    /// Starts the shards, each on a thread of its own. `door` is called once on each of them, inside
    /// its runtime. Nothing is delivered before [`Self::endpoints_set`].
    ///
    /// # Errors
    /// [`EngineError::Thread`] if the operating system gives no thread or event queue.
    pub fn start(
        config: EngineConfig,
        environment: Environment,
        door: impl Fn() -> Arc<dyn Door> + Send + Sync + 'static,
    ) -> Result<Self, EngineError> {
        let config = Arc::new(config.in_range());
        let (engine, beginnings) = Self::prepare(config, &environment);
        let door = Arc::new(door);
        for (number, beginning) in beginnings.into_iter().enumerate() {
            let failed = |cause| EngineError::Thread { shard: number, cause };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(failed)?;
            let door = door.clone();
            let thread = std::thread::Builder::new()
                .name(format!("deliver-{number}"))
                .spawn(move || {
                    let door = {
                        let _inside = runtime.enter();
                        door()
                    };
                    runtime.block_on(beginning.run(door));
                })
                .map_err(failed)?;
            engine.inner.threads.lock().push(thread);
        }
        Ok(engine)
    }

    /// An engine of a single shard, to be run by awaiting the future on a current-thread runtime:
    /// for simulations with a paused clock. Dropping the future is a crash.
    pub fn local(
        config: EngineConfig,
        environment: Environment,
        door: Arc<dyn Door>,
    ) -> (Self, impl Future<Output = ()>) {
        let config = Arc::new(EngineConfig { shards: 1, ..config }.in_range());
        let (engine, beginnings) = Self::prepare(config, &environment);
        let running = async move {
            for beginning in beginnings {
                beginning.run(door.clone()).await;
            }
        };
        (engine, running)
    }

    fn prepare(config: Arc<EngineConfig>, environment: &Environment) -> (Self, Vec<Beginning>) {
        let refresh = Arc::new(Notify::new());
        let lanes = Arc::new(Registry::new());
        // One clock for all shards: they share rates.
        let started = Instant::now();
        let (mut shards, mut beginnings) = (Vec::new(), Vec::new());
        for number in 0..config.shards {
            let (sender, commands) = unbounded_channel();
            let shared = Arc::new(ShardShared {
                tenure: Held::since(started),
                ..ShardShared::new(config.lane_queue_bytes_max)
            });
            let (ended, is_ended) = watch::channel(false);
            let slots = config.slots_of(number);
            let shard = Shard::new(
                config.clone(),
                environment.clone(),
                shared.clone(),
                lanes.clone(),
                slots,
            );
            shards.push(ShardHandle { commands: sender, shared, ended: is_ended });
            beginnings.push(Beginning {
                shard,
                commands,
                environment: environment.clone(),
                refresh: refresh.clone(),
                upkeep: None,
                config: config.clone(),
                started,
                ended,
            });
        }
        if let Some(first) = beginnings.first_mut() {
            first.upkeep = Some(shards.iter().map(|shard| shard.commands.downgrade()).collect());
        }
        let (changing, threads) = (Mutex::default(), Mutex::default());
        let inner = Inner { config, lanes, changing, refresh, shards, threads };
        (Self { inner: Arc::new(inner) }, beginnings)
    }

    /// Exchanges the endpoints, all at once: for the start, and for a configuration that was read
    /// again. Known ones keep their lane and take over the new settings; those that are no longer
    /// there give back what they hold.
    pub fn endpoints_set(&self, endpoints: Vec<EndpointRuntime>) {
        let inner = &self.inner;
        let _changing = inner.changing.lock();
        let mut gone: HashSet<EndpointKey> = inner.lanes.keys().into_iter().collect();
        let mut parts: Vec<Vec<_>> = inner.shards.iter().map(|_| Vec::new()).collect();
        for runtime in endpoints {
            if runtime.state == EndpointState::Removed {
                continue;
            }
            gone.remove(&runtime.key);
            let lane = inner.lane_for(runtime.key);
            parts[inner.shard_of(runtime.key)].push((lane, Arc::new(Prepared::new(runtime))));
        }
        for key in gone {
            inner.leaves(key);
        }
        for (shard, part) in inner.shards.iter().zip(parts) {
            shard.tell(Command::Endpoints(part));
        }
    }

    /// Adds an endpoint or changes a known one, which keeps its lane; one whose state is `Removed`
    /// is removed. A new one looks into the store for what waits, so for many at the start
    /// [`Self::endpoints_set`] is cheaper.
    pub fn endpoint_put(&self, endpoint: EndpointRuntime) {
        let inner = &self.inner;
        let key = endpoint.key;
        if endpoint.state == EndpointState::Removed {
            self.endpoint_remove(key);
            return;
        }
        let _changing = inner.changing.lock();
        let lane = inner.lane_for(key);
        if endpoint.state != EndpointState::Enabled {
            lane.set(Closed::State, true);
        }
        inner.shards[inner.shard_of(key)]
            .tell(Command::Put(lane, Arc::new(Prepared::new(endpoint))));
    }

    /// Removes an endpoint: what it holds is given back, attempts under way end and are recorded.
    /// One that is not known is passed over.
    pub fn endpoint_remove(&self, key: EndpointKey) {
        let inner = &self.inner;
        let _changing = inner.changing.lock();
        inner.leaves(key);
        inner.shards[inner.shard_of(key)].tell(Command::Remove(key));
    }

    /// Whether something of a removed endpoint is still under way, or being recorded.
    #[must_use]
    pub fn is_leaving(&self, key: EndpointKey) -> bool {
        self.inner.shards[self.inner.shard_of(key)].shared.leaving.lock().contains(&key)
    }

    /// Says for how long attempts may be started, and under which leases. Without a word of it they
    /// always may. What cannot be started any more waits for the next tenure, or is given back if its
    /// lease is of an earlier one.
    pub fn tenure_set(&self, tenure: Tenure) {
        let _changing = self.inner.changing.lock();
        for shard in &self.inner.shards {
            shard.tell(Command::Tenure(tenure));
        }
    }

    /// Asks the store what is due, soon: somebody else may have put something there.
    pub fn look(&self) {
        self.inner.refresh.notify_one();
    }

    /// Sets whether an endpoint takes deliveries, before [`Self::endpoint_put`] would.
    pub fn endpoint_state_set(&self, key: EndpointKey, state: EndpointState) {
        let inner = &self.inner;
        if state != EndpointState::Enabled {
            inner.lanes.with(key, |lane| lane.set(Closed::State, true));
        }
        inner.shards[inner.shard_of(key)].tell(Command::State(key, state));
    }

    /// How long the lease of a planned delivery has to hold from the receipt of its event, in
    /// milliseconds: `lease_until_ms = received_at_ms + lease_ms`.
    #[must_use]
    pub fn lease_ms(&self) -> u64 {
        self.inner.config.lease_ms
    }

    /// Takes a place for a delivery that is about to be stored. After `true` either
    /// [`Self::hand_over`] or [`Self::cancel`] has to follow. After `false` the delivery is planned
    /// without a lease, and [`Self::wake`] is called once it is stored. Waits for nobody: the only
    /// lock is one that few endpoints share, held for moments.
    #[must_use]
    pub fn reserve(&self, key: EndpointKey) -> bool {
        self.inner.lanes.with(key, LaneShared::reserve).unwrap_or(false)
    }

    /// Gives a reserved place back: the delivery was not stored.
    pub fn cancel(&self, key: EndpointKey) {
        self.inner.lanes.vacate(key);
    }

    /// Hands over a stored delivery whose place was reserved. Does not block.
    pub fn hand_over(&self, delivery: LeasedDelivery) {
        let inner = &self.inner;
        let shard = &inner.shards[inner.shard_of(delivery.key.endpoint)];
        shard.shared.queued_add(delivery_bytes(&delivery));
        shard.tell(Command::HandOver(delivery));
    }

    /// Says that something waits in the store for an endpoint, due now or later. Does not block.
    pub fn wake(&self, key: EndpointKey) {
        let inner = &self.inner;
        if inner.lanes.with(key, LaneShared::wake).unwrap_or(false) {
            inner.shards[inner.shard_of(key)].tell(Command::Wake(key));
        }
    }

    /// Stops: starts nothing more, gives back what waits, lets what is under way end and records
    /// it. What has not ended after `grace_ms` is broken off and will be repeated.
    pub async fn shutdown(&self, grace_ms: u64) {
        for shard in &self.inner.shards {
            shard.shared.stopping.store(true, Ordering::Relaxed);
            shard.tell(Command::Stop { grace_ms });
        }
        for shard in &self.inner.shards {
            let mut ended = shard.ended.clone();
            // An error means that the sender is gone, and the shard with it.
            let _gone_or_ended = ended.wait_for(|ended| *ended).await.is_ok();
        }
        let threads = std::mem::take(&mut *self.inner.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a delivery thread ended by a panic");
            }
        }
    }

    /// What the engine is doing now.
    #[must_use]
    pub fn snapshot(&self) -> EngineStats {
        let mut stats = EngineStats::default();
        for ShardHandle { shared, ended, .. } in &self.inner.shards {
            let read = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
            stats.in_flight += read(&shared.in_flight);
            stats.queued += read(&shared.queued);
            stats.queued_bytes += read(&shared.queued_bytes);
            stats.lanes += read(&shared.lanes);
            stats.breakers_open += read(&shared.breakers_open);
            stats.finishing += read(&shared.finishing);
            stats.results_held += read(&shared.held);
            stats.stale += read(&shared.stale);
            // An error means that the shard's end of it is gone.
            let runs = ended.has_changed().is_ok() && !*ended.borrow();
            stats.shards_running += usize::from(runs);
        }
        stats
    }
}

impl Inner {
    /// The lane of an endpoint as other threads see it, for one that exists from now on.
    fn lane_for(&self, key: EndpointKey) -> Arc<LaneShared> {
        self.lanes.put(key, || {
            let shard = self.shards[self.shard_of(key)].shared.clone();
            LaneShared::new(key, shard, self.config.lane_queue_max)
        })
    }

    fn shard_of(&self, key: EndpointKey) -> usize {
        key.0 as usize % self.shards.len()
    }

    /// An endpoint is about to be removed.
    fn leaves(&self, key: EndpointKey) {
        if self.lanes.with(key, |_| ()).is_some() {
            self.shards[self.shard_of(key)].shared.leaving.lock().insert(key);
        }
        self.lanes.remove(key);
    }
}

impl ShardHandle {
    /// A shard that has ended takes nothing, from now on not even reservations: what was meant for
    /// it stays in the store, and its lease ends by itself.
    fn tell(&self, command: Command) {
        let ended = self.commands.send(command).is_err();
        if ended && !self.shared.stopping.swap(true, Ordering::Relaxed) {
            tracing::error!("a delivery thread has broken down; its endpoints wait for a restart");
        }
    }
}

impl Beginning {
    async fn run(self, door: Arc<dyn Door>) {
        let mut upkeep = Upkeep::default();
        if let Some(shards) = self.upkeep {
            let watch =
                maintenance::watch_due(self.environment.clone(), shards, self.refresh.clone());
            upkeep.0.push(tokio::spawn(watch).abort_handle());
            let expire = maintenance::expire(self.environment.clone());
            upkeep.0.push(tokio::spawn(expire).abort_handle());
            if let Some(policy) = self.config.retention {
                let sweep = maintenance::sweep(self.environment.clone(), policy);
                upkeep.0.push(tokio::spawn(sweep).abort_handle());
            }
        }
        let shared = self.shard.shared_with();
        let tools = Tools { environment: self.environment, door, shared };
        run(self.shard, self.commands, tools, self.refresh, self.started).await;
        self.ended.send_replace(true);
    }
}

/// The tasks beside a shard; they end with it.
#[derive(Default)]
struct Upkeep(Vec<AbortHandle>);

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}
