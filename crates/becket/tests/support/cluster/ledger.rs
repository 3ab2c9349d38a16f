//! Senders with a ledger: for each event its source, its delivery id, its body's hash, every status
//! seen, and which event the gateway promised.
//!
//! They do what providers do: what was not acknowledged is sent again with the same delivery id,
//! through whichever node the balancer gives. Now and then one repeats what was acknowledged, too,
//! and must be told the same event.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::traffic::SOURCES;
use crate::support::http::Client;
use crate::support::load;

/// How many bytes of filling each body carries.
pub const FILLING: usize = 600;
/// One of so many acknowledged events is sent once more.
const REPEATED_ONE_IN: u64 = 16;

/// One event as its sender knows it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which source it was sent to, an index of [`SOURCES`].
    pub source: usize,
    /// The body's hash.
    pub hash: String,
    /// What the requests were answered with, in their order; 0 for no whole answer.
    pub statuses: Vec<u16>,
    /// The event that the first 2xx answer named.
    pub event: Option<String>,
}

/// All events, and what was noticed on the way.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    /// By the number in the body.
    pub entries: BTreeMap<u64, Entry>,
    /// Promises that contradict each other.
    pub contradictions: Vec<String>,
    /// Acknowledged events that were sent once more, and answered.
    pub repeats: u64,
    /// The longest time in which no sender got a 2xx.
    pub longest_gap: Duration,
    /// The most recent failures, for messages.
    pub failures: Vec<String>,
    last_success: Option<Instant>,
}

impl Ledger {
    /// Acknowledged events: number, source, event.
    pub fn acknowledged(&self) -> impl Iterator<Item = (u64, usize, &str)> {
        let entries = self.entries.iter();
        entries.filter_map(|(number, it)| Some((*number, it.source, it.event.as_deref()?)))
    }

    /// How many were acknowledged.
    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged().count()
    }

    /// How often each status was seen; 0 stands for no whole answer.
    pub fn statuses(&self) -> BTreeMap<u16, u64> {
        let mut counts = BTreeMap::new();
        for status in self.entries.values().flat_map(|entry| &entry.statuses) {
            *counts.entry(*status).or_default() += 1;
        }
        counts
    }

    fn fail(&mut self, failure: String) {
        const KEPT: usize = 20;
        if self.failures.len() == KEPT {
            self.failures.remove(0);
        }
        self.failures.push(failure);
    }

    fn succeed(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last_success.replace(now) {
            self.longest_gap = self.longest_gap.max(now - last);
        }
    }
}

/// The hash of a body, in hexadecimal.
pub fn hash_of(body: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, body))
}

/// How to send.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Senders for each source.
    pub senders: usize,
    /// How long each waits between events.
    pub pause: Duration,
    /// How long each waits for an answer.
    pub patience: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { senders: 2, pause: Duration::from_millis(50), patience: Duration::from_secs(4) }
    }
}

/// Running senders.
pub struct Producers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    plan: Plan,
    address: SocketAddr,
    ledger: Mutex<Ledger>,
    file: Mutex<File>,
    next: AtomicU64,
    stop: AtomicBool,
}

impl Producers {
    /// Starts senders for every source. What they see is written to a file as well, for looking at
    /// afterwards.
    pub fn start(address: SocketAddr, plan: Plan, file: &Path) -> Self {
        let file = File::create(file).expect("the ledger's folder can be written");
        let senders = plan.senders;
        let shared = Arc::new(Shared {
            plan,
            address,
            ledger: Mutex::default(),
            file: Mutex::new(file),
            next: AtomicU64::new(1),
            stop: AtomicBool::new(false),
        });
        let mut threads = Vec::new();
        for sender in 0..senders * SOURCES.len() {
            let shared = Arc::clone(&shared);
            // Half of them keep their connections, and with them their node.
            let keep = sender >= SOURCES.len();
            threads.push(std::thread::spawn(move || shared.run(sender % SOURCES.len(), keep)));
        }
        Self { shared, threads }
    }

    /// The ledger as it is now.
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger().clone()
    }

    /// How many events have been acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.shared.ledger().acknowledged_count()
    }

    /// Ends the gap that is being measured, because from here on another one counts.
    pub fn take_gap(&self) -> Duration {
        std::mem::take(&mut self.shared.ledger().longest_gap)
    }

    /// Stops the senders and answers with the final ledger.
    pub fn finish(self) -> Ledger {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no sender panicked");
        }
        self.shared.ledger().clone()
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no sender panicked")
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn run(&self, source: usize, keep: bool) {
        let client =
            if keep { Client::keeping(self.address) } else { Client::closing(self.address) };
        let mut client = client.patient(self.plan.patience);
        while !self.stopping() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let hash = hash_of(&load::body(number, FILLING));
            let entry = Entry { source, hash, statuses: Vec::new(), event: None };
            self.ledger().entries.insert(number, entry);
            while !self.send(&mut client, number, source) && !self.stopping() {
                std::thread::sleep(Duration::from_millis(50));
            }
            if number.is_multiple_of(REPEATED_ONE_IN) && !self.stopping() {
                // Through another node, most likely; a refusal is no news.
                client.disconnect();
                if self.send(&mut client, number, source) {
                    self.ledger().repeats += 1;
                }
            }
            std::thread::sleep(self.plan.pause);
        }
    }

    /// Sends one event; answers whether it was acknowledged.
    fn send(&self, client: &mut Client, number: u64, source: usize) -> bool {
        let path = format!("/in/{}", SOURCES[source].id);
        let sent = load::send(client, &path, number, FILLING);
        let (status, event) = match &sent {
            Ok(answer) if answer.is_success() => (answer.status, Some(load::event_id(answer))),
            Ok(answer) => (answer.status, None),
            Err(_) => (0, None),
        };
        let mut ledger = self.ledger();
        match &sent {
            Ok(answer) if !answer.is_success() => {
                ledger.fail(format!("{} {}", answer.status, answer.text()));
            }
            Ok(_) => ledger.succeed(),
            Err(error) => ledger.fail(error.to_string()),
        }
        let entry = ledger.entries.get_mut(&number).expect("it was entered before it was sent");
        entry.statuses.push(status);
        let acknowledged = event.is_some();
        let named = event.clone().unwrap_or_default();
        if let Some(event) = event {
            let first = entry.event.get_or_insert_with(|| event.clone()).clone();
            if first != event {
                let told = format!("event {number} was acknowledged as {first} and as {event}");
                ledger.contradictions.push(told);
            }
        }
        let hash = ledger.entries[&number].hash[..16].to_owned();
        drop(ledger);
        let delivery = load::delivery_id(number);
        let line = format!("{}\t{delivery}\t{hash}\t{status}\t{named}", SOURCES[source].id);
        let mut file = self.file.lock().expect("no sender panicked");
        writeln!(file, "{line}").expect("the ledger's disk has room");
        acknowledged
    }
}
