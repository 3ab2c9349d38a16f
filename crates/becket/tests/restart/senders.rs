//! Senders that never send anything twice, and measure every request.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};

use crate::support::http::{Answer, Client, read_answer};
use crate::support::load::{self, SECRET};
use crate::support::sign;
use crate::support::sink::Sink;
use crate::support::wait_until;

/// How a sender uses its connections.
#[derive(Debug, Clone)]
pub enum Way {
    /// A connection for each request.
    Closing,
    /// One connection for as long as the gateway allows.
    Keeping,
    /// The same, encrypted, with the certificate that is trusted.
    KeepingTls(CertificateDer<'static>),
    /// A connection for each request, encrypted.
    ClosingTls(CertificateDer<'static>),
}

/// What the senders have seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Acknowledged events: number to event id.
    pub acknowledged: BTreeMap<u64, String>,
    /// Whatever was no acknowledgement.
    pub failures: Vec<String>,
    /// How long each request took.
    pub took: Vec<Duration>,
}

pub struct Senders {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
    address: SocketAddr,
}

impl Senders {
    pub fn new(address: SocketAddr) -> Self {
        let next = Arc::new(AtomicU64::new(1));
        let (seen, stop, threads) = (Arc::default(), Arc::default(), Vec::new());
        Self { seen, stop, next, threads, address }
    }

    /// Adds senders that wait so long between requests.
    pub fn with(mut self, count: usize, way: &Way, pause: Duration) -> Self {
        for _ in 0..count {
            let (seen, stop) = (Arc::clone(&self.seen), Arc::clone(&self.stop));
            let (next, address, way) = (Arc::clone(&self.next), self.address, way.clone());
            self.threads.push(std::thread::spawn(move || {
                let mut sender = Sender::new(address, way);
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let begun = Instant::now();
                    let sent = sender.send(number);
                    let took = begun.elapsed();
                    let mut seen = seen.lock().expect("no sender panicked");
                    seen.took.push(took);
                    match sent {
                        Ok(answer) if answer.is_success() => {
                            seen.acknowledged.insert(number, load::event_id(&answer));
                        }
                        Ok(answer) => {
                            let failure =
                                format!("{:?} {} {}", sender.way, answer.status, answer.text());
                            seen.failures.push(failure);
                        }
                        Err(error) => {
                            seen.failures.push(format!("{:?} {error} after {took:?}", sender.way));
                        }
                    }
                    drop(seen);
                    std::thread::sleep(pause);
                }
            }));
        }
        self
    }

    pub fn acknowledged(&self) -> usize {
        self.seen.lock().expect("no sender panicked").acknowledged.len()
    }

    /// Stops, and checks that every request was acknowledged, and each event once.
    pub fn finish(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no sender panicked");
        }
        let seen = Arc::into_inner(self.seen).expect("the senders have ended");
        let seen = seen.into_inner().expect("no sender panicked");
        assert!(
            seen.failures.is_empty(),
            "{} of {} requests failed: {:#?}",
            seen.failures.len(),
            seen.took.len(),
            &seen.failures[..seen.failures.len().min(10)]
        );
        let ids: std::collections::BTreeSet<&String> = seen.acknowledged.values().collect();
        assert_eq!(ids.len(), seen.acknowledged.len(), "two requests were answered with one event");
        seen
    }
}

impl Seen {
    pub fn longest(&self) -> Duration {
        self.took.iter().max().copied().unwrap_or_default()
    }

    /// The time within which this share of the requests was answered.
    pub fn within(&self, share: f64) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        let at = (took.len() as f64 * share) as usize;
        took.get(at.min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// Everything acknowledged arrives at the sink, exactly once.
    pub fn check_delivered_once(&self, sink: &Sink) {
        let counts = || {
            let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
            for delivery in sink.deliveries() {
                *counts.entry(load::number_in(&delivery.body).unwrap_or(0)).or_default() += 1;
            }
            counts
        };
        let all = |counts: &BTreeMap<u64, usize>| {
            self.acknowledged.keys().all(|number| counts.contains_key(number))
        };
        wait_until(Duration::from_secs(30), || all(&counts()));
        let counts = counts();
        let missing: Vec<u64> = self
            .acknowledged
            .keys()
            .copied()
            .filter(|number| !counts.contains_key(number))
            .collect();
        assert!(missing.is_empty(), "acknowledged and not delivered: {missing:?}");
        let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
        assert!(
            twice.is_empty(),
            "attempts in flight are finished, so nothing comes twice: {twice:?}"
        );
    }
}

/// One sender.
struct Sender {
    way: Way,
    plain: Client,
    address: SocketAddr,
    tls: Option<Encrypted>,
}

type Encrypted = BufReader<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>;

impl Sender {
    fn new(address: SocketAddr, way: Way) -> Self {
        let plain = match way {
            Way::Closing => Client::closing(address),
            _ => Client::keeping(address),
        };
        Self { way, plain, address, tls: None }
    }

    fn send(&mut self, number: u64) -> std::io::Result<Answer> {
        let (root, keep) = match &self.way {
            Way::Closing | Way::Keeping => {
                return load::send(&mut self.plain, "/in/github", number, 500);
            }
            Way::KeepingTls(root) => (root.clone(), true),
            Way::ClosingTls(root) => (root.clone(), false),
        };
        let mut stream = match self.tls.take() {
            Some(stream) => stream,
            None => encrypted(self.address, &root)?,
        };
        let body = load::body(number, 500);
        let head = format!(
            "POST /in/github HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             x-github-event: push\r\nx-github-delivery: {}\r\nx-hub-signature-256: {}\r\n\
             content-length: {}\r\n\r\n",
            load::delivery_id(number),
            sign::github(SECRET, &body),
            body.len()
        );
        let bytes = [head.as_bytes(), &body].concat();
        std::io::Write::write_all(stream.get_mut(), &bytes)?;
        let answer = read_answer(&mut stream)?;
        if keep && answer.header("connection") != Some("close") {
            self.tls = Some(stream);
        }
        Ok(answer)
    }
}

fn encrypted(address: SocketAddr, root: &CertificateDer<'static>) -> std::io::Result<Encrypted> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).map_err(std::io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    let connection =
        rustls::ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    socket.set_nodelay(true)?;
    let mut stream = rustls::StreamOwned::new(connection, socket);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(BufReader::new(stream))
}
