//! The load generator: connections that are kept open, each with one request under way.
//!
//! Two threads, so that it is not the limit before two cores of a server are; raw sockets and a
//! minimal reader, so that it takes as little of the shared machine as it can.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::error::{BenchError, Result, doing};
use crate::github;
use crate::histogram::Histogram;
use crate::request::Request;
use crate::wire::Incoming;

const THREADS: usize = 2;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Connections that are opened at the same time when very many are wanted.
const OPENED_AT_ONCE: usize = 500;

/// Tells the connections of one process apart, over all loads.
static SALT: AtomicU32 = AtomicU32::new(0);

/// When a load ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// After this time.
    Time(Duration),
    /// After so many requests.
    Count(u64),
}

/// What is to be sent.
#[derive(Clone)]
pub struct Plan {
    /// Where to; connections take turns.
    pub to: Vec<SocketAddr>,
    /// Over how many connections.
    pub connections: usize,
    /// For how long.
    pub until: Until,
    /// Requests per second in all; as many as are answered if absent.
    pub rate: Option<u32>,
    /// Ends the load early when set.
    pub stop: Arc<AtomicBool>,
    /// What connection number so-and-so sends; the second number tells requests apart.
    pub requests: Arc<dyn Fn(usize, u32) -> Request + Send + Sync>,
}

impl Plan {
    /// 64 connections, five seconds, as fast as it goes.
    pub fn to(to: SocketAddr) -> Self {
        let until = Until::Time(Duration::from_secs(5));
        let requests = Arc::new(move |_, salt| github::request(to, salt));
        Self { to: vec![to], connections: 64, until, rate: None, stop: Arc::default(), requests }
    }

    /// What these requests are sent to several servers of one gateway; connection number so-and-so
    /// goes to the server with this number modulo theirs.
    pub fn spread(
        to: &[SocketAddr],
        requests: Arc<dyn Fn(usize, u32) -> Request + Send + Sync>,
    ) -> Self {
        let until = Until::Time(Duration::from_secs(5));
        Self { to: to.to_vec(), connections: 64, until, rate: None, stop: Arc::default(), requests }
    }
}

/// What came of it.
#[derive(Default, Clone)]
pub struct Outcome {
    /// Answers with 2xx.
    pub ok: u64,
    /// What went wrong, and how often: other statuses, broken connections.
    pub errors: BTreeMap<String, u64>,
    /// From writing a request to having read its answer.
    pub latency: Histogram,
    /// How long it took in all.
    pub elapsed: Duration,
}

impl Outcome {
    /// Answers with 2xx per second.
    pub fn rate(&self) -> f64 {
        self.ok as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// How often something went wrong.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The figures.
    pub fn json(&self) -> Value {
        json!({
            "requests": self.latency.total(),
            "ok": self.ok,
            "rate": self.rate(),
            "p50_ms": self.latency.quantile_ms(500),
            "p99_ms": self.latency.quantile_ms(990),
            "max_ms": self.latency.max_ms(),
            "seconds": self.elapsed.as_secs_f64(),
            "errors": self.errors,
        })
    }

    fn error(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        self.latency.merge(&other.latency);
        for (what, count) in &other.errors {
            *self.errors.entry(what.clone()).or_default() += count;
        }
    }
}

/// What all connections of a load share.
struct Shared {
    plan: Plan,
    begin: Instant,
    left: AtomicU64,
}

impl Shared {
    fn is_over(&self) -> bool {
        if self.plan.stop.load(Ordering::Relaxed) {
            return true;
        }
        match self.plan.until {
            Until::Time(time) => self.begin.elapsed() >= time,
            Until::Count(_) => {
                let one_less = |left: u64| left.checked_sub(1);
                self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err()
            }
        }
    }

    /// When the request with this number of this connection is due.
    fn due(&self, connection: usize, number: u64) -> Option<Instant> {
        let rate = f64::from(self.plan.rate?);
        let place = connection as f64 + (number * self.plan.connections as u64) as f64;
        Some(self.begin + Duration::from_secs_f64(place / rate))
    }
}

/// Sends, and answers when everything has been answered.
pub fn run(plan: &Plan) -> Result<Outcome> {
    let left = match plan.until {
        Until::Count(count) => count,
        Until::Time(_) => u64::MAX,
    };
    let begin = Instant::now();
    let shared = Arc::new(Shared { plan: plan.clone(), begin, left: AtomicU64::new(left) });
    let threads = THREADS.min(plan.connections.max(1));
    let mut running = Vec::new();
    for thread in 0..threads {
        let shared = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(doing("starting a runtime"))?;
        let work = move || {
            runtime.block_on(async {
                let mine = (thread..shared.plan.connections).step_by(threads);
                let tasks: Vec<_> =
                    mine.map(|at| tokio::spawn(connection(Arc::clone(&shared), at))).collect();
                let mut sum = Outcome::default();
                for task in tasks {
                    match task.await {
                        Ok(outcome) => sum.merge(&outcome),
                        Err(error) => sum.error(error.to_string()),
                    }
                }
                sum
            })
        };
        let name = format!("load-{thread}");
        let spawned = std::thread::Builder::new().name(name).spawn(work);
        running.push(spawned.map_err(doing("starting a thread of the load"))?);
    }
    let mut sum = Outcome::default();
    for thread in running {
        let outcome = thread.join().map_err(|_| BenchError::Process {
            what: "a thread of the load",
            detail: "it ended by a panic".to_owned(),
        })?;
        sum.merge(&outcome);
    }
    sum.elapsed = begin.elapsed();
    Ok(sum)
}

async fn connection(shared: Arc<Shared>, at: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut request = (shared.plan.requests)(at, next_salt());
    let to = shared.plan.to[at % shared.plan.to.len()];
    let mut open: Option<Open> = None;
    let mut number = 0;
    while !shared.is_over() {
        if let Some(due) = shared.due(at, number) {
            sleep_until(due).await;
        }
        number += 1;
        let mut here = match open.take() {
            Some(here) => here,
            None => match Open::to(to).await {
                Ok(here) => here,
                Err(error) => {
                    outcome.error(format!("connecting: {}", error.kind()));
                    sleep(RECONNECT_PAUSE).await;
                    continue;
                }
            },
        };
        let sent_at = Instant::now();
        match timeout(ANSWER_TIMEOUT, here.ask(request.next())).await {
            Ok(Ok(answer)) => {
                outcome.latency.add(sent_at.elapsed());
                match answer.status {
                    200..=299 => outcome.ok += 1,
                    status => outcome.error(format!("status {status}")),
                }
                if !answer.closes {
                    open = Some(here);
                }
            }
            Ok(Err(error)) => outcome.error(format!("no answer: {error}")),
            Err(_) => outcome.error("no answer in time".to_owned()),
        }
    }
    outcome
}

fn next_salt() -> u32 {
    let process = std::process::id() << 16;
    process.wrapping_add(SALT.fetch_add(1, Ordering::Relaxed))
}

struct Answer {
    status: u16,
    closes: bool,
}

struct Open {
    stream: TcpStream,
    incoming: Incoming,
}

impl Open {
    async fn to(address: SocketAddr) -> io::Result<Self> {
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, incoming: Incoming::new() })
    }

    async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let answer = self
            .incoming
            .message(&mut self.stream, |head| Answer {
                status: head.status(),
                closes: head.closes(),
            })
            .await?;
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Connections that have each had one request answered and are now at rest.
pub struct Held {
    /// How many there are.
    pub count: usize,
    // The sockets belong to the runtime: they go first.
    _open: Vec<Open>,
    _runtime: tokio::runtime::Runtime,
}

/// Opens connections, sends one event over each, and keeps them open.
pub fn hold(to: SocketAddr, count: usize) -> Result<Held> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(doing("starting a runtime"))?;
    let mut open = Vec::with_capacity(count);
    runtime.block_on(async {
        while open.len() < count {
            let some = OPENED_AT_ONCE.min(count - open.len());
            let opening: Vec<_> = (0..some)
                .map(|_| {
                    tokio::spawn(async move {
                        let mut here = Open::to(to).await?;
                        let mut request = github::request(to, next_salt());
                        let answer = here.ask(request.next()).await?;
                        match (answer.status, answer.closes) {
                            (200, false) => Ok(here),
                            (status, _) => Err(io::Error::other(format!("status {status}"))),
                        }
                    })
                })
                .collect();
            for task in opening {
                let here = task.await.unwrap_or_else(|error| Err(io::Error::other(error)));
                open.push(here.map_err(doing(format!("opening connection {}", open.len())))?);
            }
        }
        Ok(())
    })?;
    Ok(Held { count: open.len(), _open: open, _runtime: runtime })
}
