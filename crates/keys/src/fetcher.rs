//! The keys of a request: from what is kept, or fetched once for all who wait.
//!
//! Invariants: the cache's lock is never held across a wait; a fetch runs as a task of its own, so
//! that a sender who goes away does not end it for the others; a source's requests cause at most
//! [`KeysConfig::source_burst`] fetches at once and [`KeysConfig::source_rate`] in the long run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use becket_egress::policy::AddressPolicy;
use becket_egress::{Egress, EgressConfig, EgressError, Resolve, SystemResolver};
use becket_model::{ApplicationKey, Clock, Noise, Rate, TokenBucket};
use becket_signature::{FetchedKeys, KeyRequest};
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::time::Instant;

use crate::cache::{Advice, Cache, Cause, Fresh, Want};
use crate::fetch::{ANSWER_BYTES_MAX, Failure, Way};
use crate::observer::{FetchObserver, FetchOutcome, FetchReport};
use crate::token::Tokens;
use crate::trouble::KeyTrouble;

/// How many fetches are under way at once.
const AT_ONCE_MAX: usize = 32;
/// How long an unused connection to a provider is kept.
const IDLE_TIMEOUT_MS: u64 = 10_000;

/// What may be fetched, and how much.
#[derive(Clone)]
pub struct KeysConfig {
    /// What addresses may be reached.
    pub policy: Arc<AddressPolicy>,
    /// Authorities trusted besides the bundled and the system's own, for connections and for
    /// certificates that providers sign with.
    pub extra_root_certs: Vec<CertificateDer<'static>>,
    /// Who answers for names.
    pub resolver: Arc<dyn Resolve>,
    /// How many fetches a source's requests may cause in the long run (default 20 a minute).
    pub source_rate: Rate,
    /// How many in a row (default 20).
    pub source_burst: u32,
}

impl KeysConfig {
    /// The usual limits under this policy.
    #[must_use]
    pub fn new(policy: Arc<AddressPolicy>) -> Self {
        Self {
            policy,
            extra_root_certs: Vec::new(),
            resolver: Arc::new(SystemResolver::new()),
            source_rate: Rate { count: 20, period_ms: 60_000 },
            source_burst: 20,
        }
    }
}

/// What is handed in.
#[derive(Clone)]
pub struct Environment {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes, which spread repeated tries.
    pub noise: Arc<dyn Noise>,
    /// Is told of every fetch.
    pub observer: Arc<dyn FetchObserver>,
    /// Where fetches run.
    pub runtime: Handle,
}

/// Gets and keeps keys. A cloneable handle; one per process, so that nothing is fetched twice.
#[derive(Clone)]
pub struct KeyFetcher {
    inner: Arc<Inner>,
}

struct Inner {
    way: Way,
    cache: Mutex<Cache<String, FetchedKeys>>,
    buckets: Mutex<HashMap<ApplicationKey, TokenBucket>>,
    places: Semaphore,
    source_rate: Rate,
    source_burst: u32,
    environment: Environment,
}

impl KeyFetcher {
    /// Checks the configuration. Fetches nothing.
    ///
    /// # Errors
    /// [`EgressError`] if an extra root certificate cannot be used.
    pub fn new(config: KeysConfig, environment: Environment) -> Result<Self, EgressError> {
        let egress = Egress::new(EgressConfig {
            response_limit_bytes: ANSWER_BYTES_MAX,
            idle_timeout_ms: IDLE_TIMEOUT_MS,
            max_idle_per_endpoint: 8,
            max_idle_total: 8,
            extra_root_certs: config.extra_root_certs.clone(),
            resolver: config.resolver,
            ..EgressConfig::default()
        })?;
        let way = Way {
            egress,
            policy: config.policy,
            tokens: Tokens::default(),
            extra_roots: config.extra_root_certs,
            roots: OnceCell::new(),
        };
        let inner = Inner {
            way,
            cache: Mutex::new(Cache::new()),
            buckets: Mutex::new(HashMap::new()),
            places: Semaphore::new(AT_ONCE_MAX),
            source_rate: config.source_rate,
            source_burst: config.source_burst,
            environment,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The keys that the request names: kept ones, or fetched now.
    ///
    /// # Errors
    /// [`KeyTrouble`], which is a value: what to tell the sender.
    pub async fn keys(
        &self,
        source: ApplicationKey,
        request: &KeyRequest,
    ) -> Result<Arc<FetchedKeys>, KeyTrouble> {
        self.get(source, request, Want::Any).await
    }

    /// Other keys than `known`, which did not fit: fetched again, if that was not done within the
    /// last minute.
    ///
    /// # Errors
    /// [`KeyTrouble::Unknown`] if there are no others, or that they cannot be fetched now.
    pub async fn other_keys(
        &self,
        source: ApplicationKey,
        request: &KeyRequest,
        known: &Arc<FetchedKeys>,
    ) -> Result<Arc<FetchedKeys>, KeyTrouble> {
        self.get(source, request, Want::Other(known)).await
    }

    /// The kept keys, if they are at hand and current; nothing is fetched.
    #[must_use]
    pub fn kept(&self, request: &KeyRequest) -> Option<Arc<FetchedKeys>> {
        let now_ms = self.inner.environment.clock.now_ms();
        match self.inner.cache.lock().ask(&request.cache_key(), &Want::Any, now_ms, true) {
            Advice::Use(keys) => Some(keys),
            Advice::Refused(_) | Advice::Wait(_) | Advice::Fetch(_) => None,
        }
    }

    /// GETs an address by which a provider wants an agreement confirmed.
    ///
    /// # Errors
    /// [`KeyTrouble`] if it did not answer with 2xx.
    pub async fn visit(&self, source: ApplicationKey, url: &str) -> Result<(), KeyTrouble> {
        self.inner.count(source)?;
        let inner = Arc::clone(&self.inner);
        let visited = url.to_owned();
        let visiting = self.inner.environment.runtime.spawn(async move {
            let _place = inner.places.acquire().await;
            let started = Instant::now();
            let done = inner.way.visit(&visited).await;
            let outcome = match &done {
                Ok(()) => FetchOutcome::Visited,
                Err(_) => FetchOutcome::VisitFailed,
            };
            inner.tell(outcome, &visited, done.as_ref().err(), started.elapsed());
            done.map_err(|failure| failure.trouble)
        });
        // The task is not aborted and does not panic, unless the gateway is stopping.
        visiting.await.unwrap_or_else(|_| Err(KeyTrouble::unavailable("stopping")))
    }

    async fn get(
        &self,
        source: ApplicationKey,
        request: &KeyRequest,
        want: Want<'_, FetchedKeys>,
    ) -> Result<Arc<FetchedKeys>, KeyTrouble> {
        let key = request.cache_key();
        let mut flown = false;
        loop {
            let mut flight = match self.next(source, &key, request, &want, flown)? {
                Next::Use(keys) => return Ok(keys),
                Next::Wait(flight) => flight,
            };
            // Nothing is ever sent: an error says that the fetch is over.
            while flight.changed().await.is_ok() {}
            flown = true;
        }
    }

    /// What to do next; a fetch that is needed has begun when this returns.
    fn next(
        &self,
        source: ApplicationKey,
        key: &String,
        request: &KeyRequest,
        want: &Want<'_, FetchedKeys>,
        flown: bool,
    ) -> Result<Next, KeyTrouble> {
        let inner = &self.inner;
        let now_ms = inner.environment.clock.now_ms();
        let mut cache = inner.cache.lock();
        let cause = match cache.ask(key, want, now_ms, flown) {
            Advice::Use(keys) => return Ok(Next::Use(keys)),
            Advice::Refused(trouble) => return Err(trouble),
            Advice::Wait(flight) => return Ok(Next::Wait(flight)),
            Advice::Fetch(cause) => cause,
        };
        if cause != Cause::Old {
            inner.count(source)?;
        }
        let (over, flight) = watch::channel(());
        if !cache.begin(key, flight.clone(), cause, now_ms) {
            return Err(KeyTrouble::crowded());
        }
        drop(cache);
        let (inner, key, request) = (Arc::clone(inner), key.clone(), request.clone());
        self.inner.environment.runtime.spawn(async move {
            inner.run(&key, &request).await;
            drop(over);
        });
        Ok(Next::Wait(flight))
    }
}

/// What to do next for a request.
enum Next {
    Use(Arc<FetchedKeys>),
    Wait(watch::Receiver<()>),
}

impl Inner {
    /// Counts a fetch against its source.
    fn count(&self, source: ApplicationKey) -> Result<(), KeyTrouble> {
        let now_ms = self.environment.clock.now_ms();
        let mut buckets = self.buckets.lock();
        let fresh = || TokenBucket::full(self.source_rate, self.source_burst, now_ms);
        let taken = buckets.entry(source).or_insert_with(fresh).take(now_ms);
        drop(buckets);
        taken.map_err(|wait_ms| {
            let trouble = KeyTrouble::unavailable("limited");
            let failure = Failure { trouble: trouble.clone(), detail: None };
            self.tell(FetchOutcome::Limited, "", Some(&failure), Duration::ZERO);
            trouble.again_in(i64::try_from(wait_ms).unwrap_or(i64::MAX))
        })
    }

    /// One fetch and what came of it.
    async fn run(&self, key: &str, request: &KeyRequest) {
        let place = self.places.acquire().await;
        let started = Instant::now();
        let arrived = self.way.fetch(request, self.environment.clock.now_ms()).await;
        drop(place);
        let (outcome, code) = match &arrived {
            Ok(_) => (FetchOutcome::Fetched, None),
            Err(failure) if failure.trouble == KeyTrouble::Unknown => {
                (FetchOutcome::Unknown, Some(failure))
            }
            Err(failure) => (FetchOutcome::Failed, Some(failure)),
        };
        self.tell(outcome, &request.url, code, started.elapsed());
        let outcome = match arrived {
            Ok(arrived) => Ok(Fresh {
                until_ms: arrived
                    .keys
                    .usable_until_s()
                    .map_or(i64::MAX, |s| s.saturating_mul(1_000)),
                value: Arc::new(arrived.keys),
                max_age_ms: i64::try_from(request.max_age_s)
                    .unwrap_or(i64::MAX)
                    .saturating_mul(1_000),
                bytes: arrived.bytes,
            }),
            Err(failure) => Err(failure.trouble),
        };
        let mut jitter = [0];
        self.environment.noise.fill(&mut jitter);
        let now_ms = self.environment.clock.now_ms();
        self.cache.lock().finish(&key.to_owned(), outcome, now_ms, jitter[0]);
    }

    fn tell(&self, outcome: FetchOutcome, url: &str, why: Option<&Failure>, took: Duration) {
        self.environment.observer.fetched(&FetchReport {
            outcome,
            from: url.split(['?', '#']).next().unwrap_or_default(),
            code: why.map(|failure| failure.trouble.code()),
            detail: why.and_then(|failure| failure.detail.as_deref()),
            took,
        });
    }
}
