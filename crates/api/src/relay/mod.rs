//! Handing deliveries to the `becket listen` of a developer, and taking the answers back.
//!
//! A listener is a name with endpoints of kind `listen`, one for each source that it follows. While
//! somebody is connected under the name, its deliveries go out on that connection and wait here for
//! their answers; while nobody is, the endpoints count as paused and deliveries wait in the store.
//!
//! Invariants: one connection for each listener, the newest; what is under way is bounded by
//! [`PARCELS_MAX`] for each, and holds the event's own bytes, not copies; a connection that is not
//! heard of for [`SILENCE_MAX`] counts as lost; whatever is under way on a lost connection comes back
//! as [`Relayed::Gone`], to be tried again.
//!
//! Deliberately absent: deciding what an answer means, which is the engine's; HTTP, which is in
//! `handlers/listeners`.
//!
//! Where next: `keeping` for how listeners are remembered, removed and swept.

pub(crate) mod keeping;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use becket_model::EndpointKey;
use becket_store::Owner;
use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// The most deliveries that are under way on one connection.
pub(crate) const PARCELS_MAX: usize = 256;
/// How long a connection may be silent; `becket listen` says something every few seconds.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(16);
/// How long after a client has come word of it may not have reached the other nodes.
const SETTLED: Duration = Duration::from_secs(2);
/// The most listeners of one owner.
pub(crate) const LISTENERS_MAX: usize = 100;

/// A delivery on its way to a listener.
#[derive(Debug, Clone)]
pub struct RelayDelivery {
    /// The event's id.
    pub event_id: String,
    /// Its type, if it has one.
    pub event_type: Option<String>,
    /// The name of the source.
    pub source: String,
    /// The id of the endpoint.
    pub endpoint_id: String,
    /// Which attempt of this delivery it is, from 1.
    pub attempt: u32,
    /// When the event arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// The method that the event came with.
    pub method: String,
    /// Path and query that the event came with.
    pub path: String,
    /// The headers of the delivery, signatures included.
    pub headers: HeaderMap,
    /// The exact body.
    pub body: Bytes,
    /// How long the answer is waited for, in milliseconds.
    pub timeout_ms: u64,
}

/// What the handler of a developer answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayAnswer {
    /// The status, if there was a response.
    pub status: Option<u16>,
    /// Why there was no whole response: the stable code of an attempt's error.
    pub error: Option<String>,
    /// The response's headers in the order received, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The beginning of the response's body, at most 16 KiB.
    pub body: Bytes,
    /// Whether the body went on.
    pub body_truncated: bool,
    /// A sentence for people: where it was forwarded to, or why it was not.
    pub note: String,
    /// Resolving, connecting, the TLS handshake, the first byte, and all of it: microseconds.
    pub timings_us: [u64; 5],
    /// Whether the request went over a connection that was kept.
    pub reused: bool,
}

/// What came of a delivery to a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relayed {
    /// The listener answered.
    Answered(Box<RelayAnswer>),
    /// Nobody is connected, or the connection was lost before the answer: to be tried again.
    Gone,
}

/// Whose listener, and its name.
pub(crate) type ListenerKey = (Owner, String);

/// A delivery that has been handed to a connection.
pub(crate) struct Parcel {
    pub(crate) token: u64,
    pub(crate) delivery: Arc<RelayDelivery>,
}

struct Waiting {
    answer: oneshot::Sender<RelayAnswer>,
    delivery: Arc<RelayDelivery>,
}

struct Session {
    number: u64,
    parcels: mpsc::Sender<Parcel>,
    /// Tells the stream why it ends.
    ended: watch::Sender<Option<Ending>>,
    began_at: Instant,
    heard_at: Instant,
    waiting: HashMap<u64, Waiting>,
}

/// Why a stream ends that its client did not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Another client connected under the same name.
    Replaced,
    /// The listener was removed.
    Removed,
    /// Nothing was heard of the client.
    Silent,
}

/// One side of a connection: what the stream of a client reads from.
pub(crate) struct Connected {
    pub(crate) number: u64,
    pub(crate) parcels: mpsc::Receiver<Parcel>,
    pub(crate) ended: watch::Receiver<Option<Ending>>,
}

#[derive(Default)]
struct Hub {
    sessions: HashMap<ListenerKey, Session>,
    /// The listener that each endpoint belongs to.
    endpoints: HashMap<EndpointKey, ListenerKey>,
    kept: keeping::Kept,
}

/// The listeners of a gateway and who is connected.
#[derive(Default)]
pub struct Relay {
    hub: Mutex<Hub>,
    last_number: AtomicU64,
    /// Wakes the sweeper when a listener is made or disconnected.
    pub(crate) changed: tokio::sync::Notify,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Relay").finish_non_exhaustive()
    }
}

/// Takes a delivery out of the waiting ones when its attempt ends, however it ends.
struct Withdraw<'r> {
    relay: &'r Relay,
    key: ListenerKey,
    number: u64,
    token: u64,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        let mut hub = self.relay.lock();
        if let Some(session) = hub.sessions.get_mut(&self.key)
            && session.number == self.number
        {
            session.waiting.remove(&self.token);
        }
    }
}

impl Relay {
    fn lock(&self) -> MutexGuard<'_, Hub> {
        // Nothing panics while it is held; what it holds would be whole all the same.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether somebody is connected who takes the deliveries of this endpoint.
    #[must_use]
    pub fn is_connected(&self, endpoint: EndpointKey) -> bool {
        let hub = self.lock();
        let key = hub.endpoints.get(&endpoint);
        key.is_some_and(|key| hub.sessions.contains_key(key))
    }

    /// Hands a delivery to whoever listens and waits for the answer, for as long as the delivery says.
    pub async fn deliver(&self, endpoint: EndpointKey, delivery: RelayDelivery) -> Relayed {
        let limit = Duration::from_millis(delivery.timeout_ms);
        let (answer, answered) = oneshot::channel();
        let withdraw = {
            let mut hub = self.lock();
            let Some(key) = hub.endpoints.get(&endpoint).cloned() else { return Relayed::Gone };
            let Some(session) = hub.sessions.get_mut(&key) else { return Relayed::Gone };
            let (token, delivery) = (self.next(), Arc::new(delivery));
            let parcel = Parcel { token, delivery: Arc::clone(&delivery) };
            if session.parcels.try_send(parcel).is_err() {
                return Relayed::Gone;
            }
            session.waiting.insert(token, Waiting { answer, delivery });
            Withdraw { relay: self, key, number: session.number, token }
        };
        let relayed = match tokio::time::timeout(limit, answered).await {
            Ok(Ok(answer)) => Relayed::Answered(Box::new(answer)),
            // A client that lives answers in time, if only that its handler did not.
            Ok(Err(_)) | Err(_) => Relayed::Gone,
        };
        drop(withdraw);
        relayed
    }

    /// Connects a client under a name; one that was connected before is told and let go.
    pub(crate) fn connect(&self, key: &ListenerKey) -> Connected {
        let number = self.next();
        let (sender, parcels) = mpsc::channel(PARCELS_MAX);
        let (ended, has_ended) = watch::channel(None);
        let session = Session {
            number,
            parcels: sender,
            ended,
            began_at: Instant::now(),
            heard_at: Instant::now(),
            waiting: HashMap::new(),
        };
        let before = self.lock().sessions.insert(key.clone(), session);
        if let Some(before) = before {
            before.ended.send_replace(Some(Ending::Replaced));
        }
        Connected { number, parcels, ended: has_ended }
    }

    /// Lets a connection go; whether it was the one that counts.
    pub(crate) fn disconnect(&self, key: &ListenerKey, number: u64) -> bool {
        let mut hub = self.lock();
        let counts = hub.sessions.get(key).is_some_and(|session| session.number == number);
        if counts {
            hub.sessions.remove(key);
        }
        counts
    }

    /// Ends the connection of a listener, if there is one.
    pub(crate) fn end(&self, key: &ListenerKey, why: Ending) {
        let session = self.lock().sessions.remove(key);
        if let Some(session) = session {
            session.ended.send_replace(Some(why));
        }
    }

    /// An endpoint is gone, by another node; the last one of a listener takes it along.
    pub(crate) fn endpoint_removed(&self, endpoint: EndpointKey) {
        let last = {
            let mut hub = self.lock();
            let key = hub.endpoints.remove(&endpoint);
            key.filter(|key| !hub.endpoints.values().any(|other| other == key))
        };
        if let Some(key) = last {
            self.end(&key, Ending::Removed);
        }
    }

    /// A client has connected under this name at another node, unless one has just done so here.
    pub(crate) fn replaced_elsewhere(&self, key: &ListenerKey) {
        let is_older = {
            let hub = self.lock();
            hub.sessions.get(key).is_some_and(|session| session.began_at.elapsed() >= SETTLED)
        };
        if is_older {
            self.end(key, Ending::Replaced);
        }
    }

    /// How many clients are connected.
    pub(crate) fn connections(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Whether a client is connected under this name.
    pub(crate) fn is_present(&self, key: &ListenerKey) -> bool {
        self.lock().sessions.contains_key(key)
    }

    /// A sign of life of a connection; whether it is (still) the one that counts.
    pub(crate) fn heard(&self, key: &ListenerKey, number: u64) -> bool {
        let mut hub = self.lock();
        let session = hub.sessions.get_mut(key).filter(|session| session.number == number);
        if let Some(session) = session {
            session.heard_at = Instant::now();
            return true;
        }
        false
    }

    /// Gives an answer to the delivery that waits for it; `false` if none does (any longer).
    pub(crate) fn answer(&self, key: &ListenerKey, token: u64, answer: RelayAnswer) -> bool {
        let waiting = {
            let mut hub = self.lock();
            hub.sessions.get_mut(key).and_then(|session| session.waiting.remove(&token))
        };
        // An attempt that was broken off meanwhile waits no longer.
        waiting.is_some_and(|waiting| waiting.answer.send(answer).is_ok())
    }

    /// The body of a delivery that is under way.
    pub(crate) fn body(&self, key: &ListenerKey, token: u64) -> Option<Bytes> {
        let hub = self.lock();
        let session = hub.sessions.get(key)?;
        session.waiting.get(&token).map(|waiting| waiting.delivery.body.clone())
    }

    /// The listeners whose clients have been silent for too long.
    pub(crate) fn silent(&self) -> Vec<ListenerKey> {
        let hub = self.lock();
        let silent = hub.sessions.iter().filter(|(_, one)| one.heard_at.elapsed() > SILENCE_MAX);
        silent.map(|(key, _)| key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ListenerKey {
        (Owner::MAIN, "ann".to_owned())
    }

    fn relay() -> Relay {
        let relay = Relay::default();
        relay.lock().endpoints.insert(EndpointKey(7), key());
        relay
    }

    fn delivery(timeout_ms: u64) -> RelayDelivery {
        RelayDelivery {
            event_id: "msg_1".into(),
            event_type: None,
            source: "dev".into(),
            endpoint_id: "ep_1".into(),
            attempt: 1,
            received_at_ms: 0,
            method: "POST".into(),
            path: "/in/dev".into(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{}"),
            timeout_ms,
        }
    }

    fn status(status: u16) -> RelayAnswer {
        RelayAnswer { status: Some(status), ..RelayAnswer::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_reaches_the_delivery_that_waits_for_it() {
        let relay = relay();
        assert!(!relay.is_connected(EndpointKey(7)));
        assert_eq!(relay.deliver(EndpointKey(7), delivery(1_000)).await, Relayed::Gone);
        let mut connected = relay.connect(&key());
        assert!(relay.is_connected(EndpointKey(7)) && !relay.is_connected(EndpointKey(8)));
        let answering = async {
            let parcel = connected.parcels.recv().await.unwrap();
            assert_eq!(relay.body(&key(), parcel.token).unwrap(), "{}");
            assert!(!relay.answer(&key(), parcel.token + 1, status(500)));
            assert!(relay.answer(&key(), parcel.token, status(204)));
            assert!(!relay.answer(&key(), parcel.token, status(500)), "answered once");
        };
        let (relayed, ()) = tokio::join!(relay.deliver(EndpointKey(7), delivery(1_000)), answering);
        assert_eq!(relayed, Relayed::Answered(Box::new(status(204))));
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_under_way_on_a_lost_connection_comes_back() {
        let relay = relay();
        let first = relay.connect(&key());
        let replacing = async {
            tokio::task::yield_now().await;
            let second = relay.connect(&key());
            assert_eq!(*first.ended.borrow(), Some(Ending::Replaced));
            assert!(!relay.disconnect(&key(), first.number), "it no longer counts");
            assert!(relay.disconnect(&key(), second.number));
        };
        let (relayed, ()) =
            tokio::join!(relay.deliver(EndpointKey(7), delivery(60_000)), replacing);
        assert_eq!(relayed, Relayed::Gone);
        let _third = relay.connect(&key());
        let relayed = relay.deliver(EndpointKey(7), delivery(50)).await;
        assert_eq!(relayed, Relayed::Gone, "not answered in time");
        assert!(relay.lock().sessions[&key()].waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed() {
        let relay = relay();
        let connected = relay.connect(&key());
        tokio::time::advance(SILENCE_MAX).await;
        assert!(relay.silent().is_empty());
        assert!(relay.heard(&key(), connected.number));
        tokio::time::advance(SILENCE_MAX + Duration::from_millis(1)).await;
        assert_eq!(relay.silent(), [key()]);
        assert!(!relay.heard(&key(), connected.number + 1));
        relay.end(&key(), Ending::Silent);
        assert_eq!(*connected.ended.borrow(), Some(Ending::Silent));
        assert!(relay.silent().is_empty() && !relay.is_present(&key()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_is_bounded() {
        let relay = relay();
        let _connected = relay.connect(&key());
        let many = (0..PARCELS_MAX + 5).map(|_| relay.deliver(EndpointKey(7), delivery(10)));
        let all = futures_util::future::join_all(many).await;
        assert!(all.iter().all(|one| *one == Relayed::Gone));
        assert!(relay.lock().sessions[&key()].waiting.is_empty());
    }
}
