//! Senders with a ledger: what they sent, and what they were promised.
//!
//! The ledger lives outside the gateway: in this process and in a file in another folder. An entry
//! counts as acknowledged only when a whole 2xx answer has been read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::http::{Answer, Client};
use super::sign;

/// The secret of the sources that are loaded.
pub const SECRET: &str = "It's a Secret to Everybody";

/// What the senders were promised, by the number in each event's body.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    /// Acknowledged events: number to the event id in the answer.
    pub acknowledged: BTreeMap<u64, String>,
    /// Requests that were answered with something else, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Requests that got no whole answer.
    pub unanswered: u64,
    /// Connections that were refused.
    pub connections_refused: u64,
    /// The most recent failures, for messages.
    pub failures: Vec<String>,
}

/// Running senders.
pub struct Load {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// How to send.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The gateway.
    pub address: SocketAddr,
    /// The receiving path, such as `/in/github`.
    pub path: String,
    /// How many senders.
    pub senders: u64,
    /// How long each waits between requests.
    pub pause: Duration,
    /// Whether each keeps its connection.
    pub keep_connections: bool,
    /// Whether a request without an answer is sent again with the same id, as providers do.
    pub repeat: bool,
    /// How many bytes of filling each body carries.
    pub filling: usize,
}

impl Plan {
    /// Four senders with kept connections that repeat what was not answered.
    pub fn new(address: SocketAddr, path: &str) -> Self {
        Self {
            address,
            path: path.to_owned(),
            senders: 4,
            pause: Duration::from_millis(20),
            keep_connections: true,
            repeat: true,
            filling: 1000,
        }
    }
}

/// The body of the event with this number.
pub fn body(number: u64, filling: usize) -> Vec<u8> {
    format!("{{\"number\":{number},\"filling\":\"{}\"}}", "x".repeat(filling)).into_bytes()
}

/// The number in a body that [`body`] made.
pub fn number_in(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?.strip_prefix("{\"number\":")?;
    text.split(',').next()?.parse().ok()
}

/// The delivery id of the event with this number, in every request that carries it.
pub fn delivery_id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// Sends the event with this number once.
pub fn send(
    client: &mut Client,
    path: &str,
    number: u64,
    filling: usize,
) -> std::io::Result<Answer> {
    let body = body(number, filling);
    let signature = sign::github(SECRET, &body);
    let delivery = delivery_id(number);
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", delivery.as_str()),
        ("x-hub-signature-256", signature.as_str()),
    ];
    client.send("POST", path, &headers, &body)
}

/// The event id in an answer that accepts a request.
pub fn event_id(answer: &Answer) -> String {
    if let Some(id) = answer.header("becket-event-id") {
        return id.to_owned();
    }
    answer.json()["id"].as_str().expect("an accepting answer names the event").to_owned()
}

impl Load {
    /// Starts senders that go on until [`Load::finish`]. Events are numbered from `first`.
    pub fn start(plan: &Plan, first: u64, ledger_file: Option<&Path>) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU64::new(first));
        let file = ledger_file.map(|path| {
            Arc::new(Mutex::new(File::create(path).expect("the ledger's folder can be written")))
        });
        let threads = (0..plan.senders)
            .map(|_| {
                let sender = Sender {
                    plan: plan.clone(),
                    ledger: Arc::clone(&ledger),
                    stop: Arc::clone(&stop),
                    next: Arc::clone(&next),
                    file: file.clone(),
                };
                std::thread::spawn(move || sender.run())
            })
            .collect();
        Self { ledger, stop, threads }
    }

    /// The ledger as it is now.
    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().expect("no sender panicked").clone()
    }

    /// Stops the senders and answers with the final ledger.
    pub fn finish(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no sender panicked");
        }
        Arc::into_inner(self.ledger)
            .expect("the senders have ended")
            .into_inner()
            .expect("no sender panicked")
    }
}

struct Sender {
    plan: Plan,
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    file: Option<Arc<Mutex<File>>>,
}

impl Sender {
    fn run(&self) {
        let mut client = if self.plan.keep_connections {
            Client::keeping(self.plan.address)
        } else {
            Client::closing(self.plan.address)
        };
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            while !self.send(&mut client, number)
                && self.plan.repeat
                && !self.stop.load(Ordering::Relaxed)
            {
                std::thread::sleep(Duration::from_millis(25));
            }
            std::thread::sleep(self.plan.pause);
        }
    }

    /// Sends one event; answers whether it was acknowledged.
    fn send(&self, client: &mut Client, number: u64) -> bool {
        let sent = send(client, &self.plan.path, number, self.plan.filling);
        let mut ledger = self.ledger.lock().expect("no sender panicked");
        match sent {
            Ok(answer) if answer.is_success() => {
                let id = event_id(&answer);
                if let Some(file) = &self.file {
                    let mut file = file.lock().expect("no sender panicked");
                    writeln!(file, "{number}\t{id}").expect("the ledger's disk has room");
                }
                if let Some(before) = ledger.acknowledged.insert(number, id.clone()) {
                    assert_eq!(before, id, "event {number} was acknowledged with two ids");
                }
                true
            }
            Ok(answer) => {
                *ledger.refused.entry(answer.status).or_default() += 1;
                note(&mut ledger, format!("{} {}", answer.status, answer.text()));
                false
            }
            Err(error) => {
                if error.kind() == std::io::ErrorKind::ConnectionRefused {
                    ledger.connections_refused += 1;
                } else {
                    ledger.unanswered += 1;
                }
                note(&mut ledger, error.to_string());
                false
            }
        }
    }
}

fn note(ledger: &mut Ledger, failure: String) {
    const KEPT: usize = 20;
    if ledger.failures.len() == KEPT {
        ledger.failures.remove(0);
    }
    ledger.failures.push(failure);
}

/// Sends one event after another on one connection and remembers what was acknowledged.
pub struct Sequence {
    client: Client,
    path: String,
    next: u64,
    /// Acknowledged events: number to the event id in the answer.
    pub acknowledged: BTreeMap<u64, String>,
    /// How many were answered with something else.
    pub refused: u64,
    /// Whether the last answer had a Retry-After.
    pub retry_after: bool,
    /// The last answer, for messages.
    pub last: String,
}

impl Sequence {
    /// Begins with event 1.
    pub fn new(address: SocketAddr, path: &str) -> Self {
        Self {
            client: Client::keeping(address),
            path: path.to_owned(),
            next: 1,
            acknowledged: BTreeMap::new(),
            refused: 0,
            retry_after: false,
            last: String::new(),
        }
    }

    /// Sends one event; answers whether it was acknowledged. No whole answer is an error.
    pub fn try_send(&mut self) -> std::io::Result<bool> {
        const FILLING: usize = 4000;
        let number = self.next;
        self.next += 1;
        let answer = send(&mut self.client, &self.path, number, FILLING)?;
        self.retry_after = answer.header("retry-after").is_some();
        self.last = format!("{} {}", answer.status, answer.text());
        if answer.is_success() {
            self.acknowledged.insert(number, event_id(&answer));
        } else {
            self.refused += 1;
        }
        Ok(answer.is_success())
    }

    /// Like [`Sequence::try_send`], from a gateway that has to answer.
    pub fn send(&mut self) -> bool {
        self.try_send()
            .unwrap_or_else(|error| panic!("event {} got no answer: {error}", self.next - 1))
    }

    /// Forgets the connection, because the gateway was restarted.
    pub fn reconnect(&mut self) {
        self.client.disconnect();
    }

    /// Everything acknowledged is among these events of the API.
    pub fn check_all_listed(&self, events: &[serde_json::Value]) {
        let listed: std::collections::BTreeSet<&str> =
            events.iter().filter_map(|event| event["id"].as_str()).collect();
        for (number, id) in &self.acknowledged {
            assert!(
                listed.contains(id.as_str()),
                "event {number} ({id}) was acknowledged and is lost"
            );
        }
    }

    /// The counts, for the test's output.
    pub fn summary(&self) -> String {
        format!("acknowledged {}, refused {}, lost 0", self.acknowledged.len(), self.refused)
    }
}
