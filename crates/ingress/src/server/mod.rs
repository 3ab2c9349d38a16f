//! The accept loops: threads with a runtime each, and what every connection goes through.
//!
//! Each thread has its own single-threaded runtime and, where the address is bound here, its own
//! listener on the shared port, so that a connection never changes threads. A listener that was
//! handed over (socket activation) is accepted from by all threads.
//!
//! Invariants: nothing is spawned per request; stopping first takes what already waits to be
//! accepted, then finishes the requests in flight, bounded by a grace time; listeners that were handed
//! to the next process are not accepted from any more, and connections live on until they end by
//! themselves.
//!
//! Where next: `connection` for one connection's life, `timed_io` for its timers, `strict` for what
//! is demanded of a request beyond what the HTTP parser demands, `flow` for how a server leaves.

mod connection;
mod flow;
mod forward;
mod listen;
mod strict;
mod timed_io;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::sync::watch;

use crate::answer::BoxedBody;
use crate::body::TimedBody;
use crate::error::ServeError;
use crate::receive::{Ingress, Peer};
pub use flow::InFlight;
pub(crate) use flow::Stay;

/// The future of a fallback's answer.
pub type FallbackFuture<'a> = Pin<Box<dyn Future<Output = Response<BoxedBody>> + Send + 'a>>;

/// The one path below `/in/` that is the fallback's: it proves that an address leads to this gateway.
pub const IDENTITY_PATH: &str = "/in/.well-known/becket";

/// Whether a webhook would be stored now. A balancer asks where it sends the webhooks, so it is the
/// fallback's at every address.
pub const READY_PATH: &str = "/readyz";

/// Answers everything that is not a webhook: management, health, metrics, dashboard.
pub trait Fallback: Send + Sync + 'static {
    /// Answers a request. Its body ends with an error when the sender is too slow; its size is for
    /// the fallback to bound.
    fn handle(&self, request: Request<TimedBody<Incoming>>, peer: Peer) -> FallbackFuture<'_>;
}

/// What a listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// Webhooks under `/in/`, and the fallback for the rest.
    Everything,
    /// Webhooks only; the rest is 404.
    Webhooks,
    /// The fallback only.
    Fallback,
}

/// Where connections come from.
#[derive(Debug)]
pub enum Bind {
    /// An address that is bound here, once per thread; port 0 takes a free one.
    Address(SocketAddr),
    /// The sockets of one listener that are open already, at least one. Each is accepted from, by
    /// one thread if there are enough of them.
    Open(Vec<TcpListener>),
}

/// One listener.
pub struct Listener {
    /// Where connections come from.
    pub bind: Bind,
    /// What it answers.
    pub serves: Serves,
    /// The certificate and keys, if it speaks TLS; new connections see a change at once.
    pub tls: Option<Arc<ArcSwap<ServerConfig>>>,
}

impl Listener {
    /// Webhooks and fallback on an address, without TLS.
    #[must_use]
    pub const fn on(address: SocketAddr) -> Self {
        Self { bind: Bind::Address(address), serves: Serves::Everything, tls: None }
    }
}

/// What to serve, and with how much.
pub struct ServeConfig {
    /// The listeners; at least one.
    pub listeners: Vec<Listener>,
    /// How many threads; `None` is one per core.
    pub threads: Option<usize>,
    /// Whether an address may be shared with another process that is already bound to it, which is
    /// wanted only while one process takes over from another.
    pub share_addresses: bool,
    /// Where other processes of the same user pass on requests of connections that they still hold.
    pub passed_on: Option<UnixListener>,
    /// How long requests in flight may take to finish when stopping.
    pub grace: Duration,
}

impl ServeConfig {
    /// One thread per core, addresses not shared, 30 s of grace.
    #[must_use]
    pub const fn new(listeners: Vec<Listener>) -> Self {
        Self {
            listeners,
            threads: None,
            share_addresses: false,
            passed_on: None,
            grace: Duration::from_secs(30),
        }
    }
}

/// How far a server has left; later ones include earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Connections are accepted.
    Open,
    /// Somebody else accepts; connections go on.
    Handed,
    /// Nothing is accepted, and connections end as soon as they may.
    Stopped,
}

/// Opens the sockets of an address for [`Bind::Open`], one for each thread (`None`: one per core).
/// Connections wait in them until they are served.
///
/// # Errors
/// [`ServeError::Bind`] if the address cannot be had.
pub fn bind(address: SocketAddr, threads: Option<usize>) -> Result<Vec<TcpListener>, ServeError> {
    let (_, sockets) = listen::bind_all(address, count(threads), false)
        .map_err(|error| listen::refused(address, &error))?;
    Ok(sockets)
}

fn count(threads: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    threads.unwrap_or_else(cores).max(1)
}

/// The running threads. Dropping it stops them without waiting.
pub struct Server {
    addresses: Vec<SocketAddr>,
    flow: Arc<flow::Flow>,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Binds all listeners and starts the threads; connections are accepted when it returns.
    ///
    /// # Errors
    /// [`ServeError`] if an address cannot be bound or a thread not be started; then nothing runs.
    pub fn start(
        config: ServeConfig,
        ingress: Arc<Ingress>,
        fallback: Arc<dyn Fallback>,
    ) -> Result<Self, ServeError> {
        if config.listeners.is_empty() {
            return Err(ServeError::NoListener);
        }
        let count = count(config.threads);
        let mut addresses = Vec::with_capacity(config.listeners.len());
        let mut of_threads: Vec<Vec<listen::Opened>> = (0..count).map(|_| Vec::new()).collect();
        for listener in config.listeners {
            let opened = listen::open(listener, count, config.share_addresses)?;
            addresses.push(opened.address);
            for (at, one) in opened.shares.into_iter().enumerate() {
                of_threads[at % count].push(one);
            }
        }
        if let Some(passed_on) = config.passed_on {
            for (thread, one) in of_threads.iter_mut().zip(listen::passed_on(&passed_on, count)?) {
                thread.push(one);
            }
        }
        let (phase, seen) = watch::channel(Phase::Open);
        let flow = Arc::new(flow::Flow::new(count));
        let threads = Vec::with_capacity(count);
        let mut server = Self { addresses, flow: Arc::clone(&flow), phase, threads };
        for (number, listeners) in of_threads.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(ServeError::Thread)?;
            let shared = Arc::new(connection::Shared {
                ingress: Arc::clone(&ingress),
                fallback: Arc::clone(&fallback),
                flow: Arc::clone(&flow),
                tally: flow.tally(number),
            });
            let (seen, grace) = (seen.clone(), config.grace);
            let run = move || {
                runtime.block_on(listen::run(listeners, &shared, seen, grace));
            };
            let thread = std::thread::Builder::new().name(format!("ingress-{number}")).spawn(run);
            server.threads.push(thread.map_err(ServeError::Thread)?);
        }
        Ok(server)
    }

    /// The bound addresses, in the order of the listeners.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// From now on each answer is the last one of its connection, so that senders come back by a new
    /// one. With a path, requests that begin from now on are passed on to the socket there and
    /// answered by whoever serves it, which may be this server. Connections are accepted as before.
    pub fn part(&self, pass_on_to: Option<PathBuf>) {
        self.flow.part(pass_on_to);
    }

    /// What is being answered at this moment.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.flow.in_flight()
    }

    /// Whether nothing is being answered here and nothing will be: after [`Self::part`] with a path and
    /// [`Self::hand_over`], once what had been passed on to here has been answered.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        // In this order: whoever takes a connection counts it before it ceases to take any.
        !self.flow.is_taking() && self.flow.in_flight().is_none()
    }

    /// Stops accepting, because another process has the same sockets: what waits in them is left to
    /// it. Connections that are open go on until they end by themselves. Does not wait.
    pub fn hand_over(&self) {
        self.flow.hand_over();
        self.phase.send_if_modified(|phase| {
            let earlier = *phase < Phase::Handed;
            *phase = (*phase).max(Phase::Handed);
            earlier
        });
    }

    /// Hands over, and blocks until the last connection has ended, or it is enough: then it stops as
    /// [`Self::join`] does.
    pub fn linger(self, enough: impl Fn() -> bool) {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        self.hand_over();
        while !enough() && !self.threads.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(LOOK_EVERY);
        }
        self.join();
    }

    /// Stops accepting; requests in flight go on. Does not wait.
    pub fn stop(&self) {
        self.phase.send_replace(Phase::Stopped);
    }

    /// Stops, and blocks until all threads have ended, at most the grace time. Call it from a thread
    /// that may block.
    pub fn join(mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the listeners ended by a panic");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits until the server has left this far, or was dropped, which means the same.
async fn left(phase: &mut watch::Receiver<Phase>, far: Phase) {
    let _ = phase.wait_for(|phase| *phase >= far).await.is_ok();
}
