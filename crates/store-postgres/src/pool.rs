//! The way to the database: connecting with patience, and a bounded pool of connections.
//!
//! Invariants: after a failure the next try waits, longer each time and by a random part more, so
//! that many callers and many nodes do not storm a server that starts; with several hosts the one
//! that answered last is asked first, and one that hangs holds up the others only for a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use becket_model::Noise;
use becket_postgres::{Server, Tls};
use becket_store::{Result, StoreError};
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_postgres::{Config, NoTls, Notification};

use crate::errors::{self, unavailable};
use crate::gauges::Meters;
use crate::session::{Patience, Session, Trust, drive};

/// After the first failure the next try waits so long.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// And after many failures so long.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// So long the host that answered last is asked alone.
const HEAD_START: Duration = Duration::from_millis(400);

/// Makes sessions.
pub(crate) struct Door {
    /// One for each host, in the order of the URL.
    hosts: Vec<Config>,
    tls: Option<Tls>,
    /// What is set in every session.
    setup: String,
    patience: Patience,
    connect_max: Duration,
    meters: Arc<Meters>,
    noise: Arc<dyn Noise>,
    last_good: AtomicUsize,
    trust: Arc<Trust>,
    reach: Mutex<Reach>,
}

/// Whether the server could be reached when it was last tried.
struct Reach {
    failures: u32,
    not_before: Instant,
    trouble: Option<StoreError>,
}

impl Door {
    pub(crate) fn new(
        server: &Server,
        tls: Option<Tls>,
        setup: String,
        patience: Patience,
        connect_max: Duration,
        meters: Arc<Meters>,
        noise: Arc<dyn Noise>,
    ) -> Self {
        let reach = Reach { failures: 0, not_before: Instant::now(), trouble: None };
        Self {
            hosts: server.each_host(),
            tls,
            setup,
            patience,
            connect_max,
            meters,
            noise,
            last_good: AtomicUsize::new(0),
            trust: Arc::default(),
            reach: Mutex::new(reach),
        }
    }

    /// Why the database could not be used when that was last tried, if so.
    pub(crate) fn trouble(&self) -> Option<StoreError> {
        self.reach.lock().trouble.clone()
    }

    /// The database answers, or why not.
    pub(crate) fn set_trouble(&self, trouble: Option<StoreError>) {
        self.reach.lock().trouble = trouble;
    }

    /// A new session, after the wait that is due.
    pub(crate) async fn connect(
        &self,
        operation: &'static str,
        news: Option<mpsc::Sender<Notification>>,
    ) -> Result<Session> {
        let not_before = self.reach.lock().not_before;
        tokio::time::sleep_until(not_before.into()).await;
        let limit = self.connect_max;
        let made = match tokio::time::timeout(limit, self.any_host(operation, news)).await {
            Ok(made) => made,
            Err(_) => {
                let detail = format!("no connection within {} s", limit.as_secs_f32());
                Err(unavailable(operation, detail))
            }
        };
        self.learn(&made);
        made
    }

    fn learn(&self, made: &Result<Session>) {
        let mut reach = self.reach.lock();
        match made {
            Ok(_) => {
                if reach.failures > 0 {
                    tracing::info!(failures = reach.failures, "database.connected");
                }
                *reach = Reach { failures: 0, not_before: Instant::now(), trouble: None };
            }
            Err(error) => {
                if reach.failures == 0 {
                    tracing::warn!(%error, "database.unreachable");
                }
                let doubled = BACKOFF_FIRST * 2_u32.pow(reach.failures.min(10));
                let mut random = [0; 1];
                self.noise.fill(&mut random);
                let wait = doubled.min(BACKOFF_MAX);
                reach.not_before = Instant::now() + wait + wait * u32::from(random[0]) / 512;
                reach.failures += 1;
                reach.trouble = Some(error.clone());
            }
        }
    }

    /// The first session that any host gives, beginning with the one that gave the last.
    async fn any_host(
        &self,
        operation: &'static str,
        news: Option<mpsc::Sender<Notification>>,
    ) -> Result<Session> {
        let first = self.last_good.load(Ordering::Relaxed) % self.hosts.len();
        let mut tries = FuturesUnordered::new();
        tries.push(self.one_host(operation, first, news.clone()));
        let mut others = true;
        let mut problem = unavailable(operation, "the URL names no host");
        loop {
            if others {
                match tokio::time::timeout(HEAD_START, tries.next()).await {
                    Ok(Some(Ok(session))) => return Ok(session),
                    Ok(Some(Err(error))) => problem = error,
                    Ok(None) | Err(_) => {}
                }
                others = false;
                for at in (0..self.hosts.len()).filter(|at| *at != first) {
                    tries.push(self.one_host(operation, at, news.clone()));
                }
            }
            match tries.next().await {
                Some(Ok(session)) => return Ok(session),
                Some(Err(error)) => problem = error,
                None => return Err(problem),
            }
        }
    }

    async fn one_host(
        &self,
        operation: &'static str,
        at: usize,
        news: Option<mpsc::Sender<Notification>>,
    ) -> Result<Session> {
        let config = &self.hosts[at];
        let failed = |error| StoreError::from(errors::of(operation, &error));
        let meters = Arc::clone(&self.meters);
        let (client, state) = match self.tls.clone() {
            Some(tls) => {
                let (client, connection) = config.connect(tls).await.map_err(failed)?;
                (client, drive(connection, meters, news))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                (client, drive(connection, meters, news))
            }
        };
        client.batch_execute(&self.setup).await.map_err(failed)?;
        self.last_good.store(at, Ordering::Relaxed);
        let meters = Arc::clone(&self.meters);
        let (tls, trust) = (self.tls.clone(), Arc::clone(&self.trust));
        Ok(Session::new(client, state, meters, self.patience, tls, trust))
    }
}

/// Makes and checks the sessions of the pool.
pub(crate) struct Manager(pub(crate) Arc<Door>);

impl managed::Manager for Manager {
    type Type = Session;
    type Error = StoreError;

    async fn create(&self) -> Result<Session> {
        self.0.connect("connect", None).await
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<StoreError> {
        if !session.settle().await {
            return Err(RecycleError::message("the connection is of no more use"));
        }
        Ok(())
    }
}

/// Connections of which there are only so many.
pub(crate) type Pool = managed::Pool<Manager>;
