//! Connections kept alive between attempts, per endpoint.
//!
//! Each connection carries its own HTTP driver, polled by whoever uses the connection and by nobody
//! while it is idle: no task per connection, no wake-ups across tasks. A connection that the server
//! closed meanwhile is noticed when it is taken out, by polling the driver once.
//!
//! Bounded per endpoint, overall and by idle time. One sweeping task runs while anything is idle.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::policy::Target;
use crate::stream::{Meter, MeteredStream};

/// An open HTTP/1.1 connection with nothing in flight, or the one request of its user.
pub(crate) struct LiveConnection {
    pub(crate) sender: SendRequest<Full<Bytes>>,
    /// Gone once the connection has ended; dropping it releases whoever waits for a response.
    pub(crate) driver: Option<Connection<TokioIo<MeteredStream>, Full<Bytes>>>,
    pub(crate) driver_error: Option<hyper::Error>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) target: Arc<Target>,
    pub(crate) remote: SocketAddr,
}

impl LiveConnection {
    /// Moves the connection on as far as it goes without waiting.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = self.driver.as_mut()
            && let Poll::Ready(ended) = Pin::new(driver).poll(cx)
        {
            self.driver = None;
            self.driver_error = ended.err();
        }
    }

    /// Drives once and tells whether another request can be sent.
    pub(crate) async fn is_usable(&mut self) -> bool {
        std::future::poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(())
        })
        .await;
        self.driver.is_some() && self.sender.is_ready()
    }
}

struct Idle {
    connection: LiveConnection,
    since: Instant,
}

#[derive(Default)]
struct Shelves {
    by_key: HashMap<u64, VecDeque<Idle>>,
    total: usize,
    sweeping: bool,
}

/// The idle connections of one [`Egress`](crate::Egress).
pub(crate) struct Pool {
    shelves: Mutex<Shelves>,
    idle_timeout: Duration,
    max_per_key: usize,
    max_total: usize,
}

impl Pool {
    pub(crate) fn new(idle_timeout: Duration, max_per_key: usize, max_total: usize) -> Self {
        Self { shelves: Mutex::default(), idle_timeout, max_per_key, max_total }
    }

    /// The most recently used idle connection of `key` to the same server, if it still lives.
    pub(crate) async fn take(&self, key: u64, target: &Target) -> Option<LiveConnection> {
        loop {
            let idle = self.shelves.lock().pop(key)?;
            let mut connection = idle.connection;
            let fresh = idle.since.elapsed() < self.idle_timeout;
            // A changed URL keeps its endpoint's key, and must not keep its connections.
            if fresh && connection.target.same_server(target) && connection.is_usable().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a usable connection for later, within the bounds.
    pub(crate) fn put(self: &Arc<Self>, key: u64, connection: LiveConnection) {
        if self.max_per_key == 0 || self.max_total == 0 {
            return;
        }
        let since = Instant::now();
        let mut shelves = self.shelves.lock();
        let shelf_len = shelves.by_key.get(&key).map_or(0, VecDeque::len);
        let surplus = if shelf_len >= self.max_per_key {
            shelves.pop_oldest(key)
        } else if shelves.total >= self.max_total {
            shelves.pop_oldest_of_all()
        } else {
            None
        };
        let shelf = shelves.by_key.entry(key).or_default();
        shelf.push_back(Idle { connection, since });
        shelves.total += 1;
        let start_sweeping = !std::mem::replace(&mut shelves.sweeping, true);
        drop(shelves);
        // Closing a socket is a system call: not under the lock.
        drop(surplus);
        if start_sweeping {
            tokio::spawn(sweep(Sweeper(Arc::downgrade(self)), self.idle_timeout));
        }
    }

    /// Drops the idle connections of `key`.
    pub(crate) fn close(&self, key: u64) {
        let mut shelves = self.shelves.lock();
        let shelf = shelves.by_key.remove(&key);
        shelves.total -= shelf.as_ref().map_or(0, VecDeque::len);
        drop(shelves);
        drop(shelf);
    }

    /// Drops what has been idle for too long. False once nothing is left to watch.
    fn drop_expired(&self) -> bool {
        let mut expired = Vec::new();
        let mut shelves = self.shelves.lock();
        for shelf in shelves.by_key.values_mut() {
            while let Some(idle) = shelf.pop_front() {
                if idle.since.elapsed() < self.idle_timeout {
                    shelf.push_front(idle);
                    break;
                }
                expired.push(idle);
            }
        }
        shelves.by_key.retain(|_, shelf| !shelf.is_empty());
        shelves.total -= expired.len();
        let busy = shelves.total > 0;
        drop(shelves);
        drop(expired);
        busy
    }

    /// How many connections are idle.
    pub(crate) fn idle_total(&self) -> usize {
        self.shelves.lock().total
    }
}

impl Shelves {
    fn pop(&mut self, key: u64) -> Option<Idle> {
        let idle = self.by_key.get_mut(&key)?.pop_back()?;
        self.total -= 1;
        Some(idle)
    }

    fn pop_oldest(&mut self, key: u64) -> Option<Idle> {
        let idle = self.by_key.get_mut(&key)?.pop_front()?;
        self.total -= 1;
        Some(idle)
    }

    /// Only when the pool is full: a walk over at most as many shelves as there are connections.
    fn pop_oldest_of_all(&mut self) -> Option<Idle> {
        let oldest = |(key, shelf): (&u64, &VecDeque<Idle>)| Some((shelf.front()?.since, *key));
        let (_, key) = self.by_key.iter().filter_map(oldest).min()?;
        self.pop_oldest(key)
    }
}

/// Clears the pool's flag when the sweeping task ends, also when its runtime is shut down.
struct Sweeper(Weak<Pool>);

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.shelves.lock().sweeping = false;
        }
    }
}

async fn sweep(sweeper: Sweeper, idle_timeout: Duration) {
    let pause = (idle_timeout / 2).max(Duration::from_millis(100));
    loop {
        tokio::time::sleep(pause).await;
        let Some(pool) = sweeper.0.upgrade() else {
            return;
        };
        if !pool.drop_expired() {
            return;
        }
    }
}
