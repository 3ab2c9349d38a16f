//! Receivers that record every request: which event, which attempt, when, and how many at a time.
//!
//! Every answer carries a serial number of its own, which the gateway keeps with the attempt. So an
//! attempt in the log leads to the one request that made it, whichever node that was.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::ledger::hash_of;
use super::traffic;
use crate::support::http::{read_headers, read_line};
use crate::support::load;

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its number among all requests; the answer says it, as `serial-7`.
    pub serial: u64,
    /// The path, which names the endpoint.
    pub path: String,
    /// The event, from `webhook-id`.
    pub event: String,
    /// Which attempt the gateway called it.
    pub attempt: u64,
    /// The number in the body.
    pub number: u64,
    /// The body's hash.
    pub hash: String,
    /// When it had arrived, since the receivers' start.
    pub arrived: Duration,
    /// When it was answered; `None` while it is held.
    pub answered: Option<Duration>,
    /// How many were under way at this endpoint, itself included.
    pub beside: u32,
    /// The status it is answered with.
    pub status: u16,
}

/// Running receivers; they stop taking connections when dropped.
pub struct Receivers {
    /// Where they listen.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    records: Mutex<Records>,
    began: Instant,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Records {
    received: Vec<Received>,
    under_way: HashMap<String, u32>,
    /// Paths whose requests are held until they are let go.
    held: HashMap<String, Arc<AtomicBool>>,
}

impl Receivers {
    /// Starts them on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            records: Mutex::default(),
            began: Instant::now(),
            stopped: AtomicBool::new(false),
        });
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ours.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let ours = Arc::clone(&ours);
                std::thread::spawn(move || {
                    // A gateway that was killed leaves connections half done: that is the drill.
                    let _ = ours.serve(stream);
                });
            }
        });
        Self { address, shared }
    }

    /// Everything that arrived so far.
    pub fn all(&self) -> Vec<Received> {
        self.shared.records().received.clone()
    }

    /// What arrived behind the first `count`.
    pub fn after(&self, count: usize) -> Vec<Received> {
        self.shared.records().received[count..].to_vec()
    }

    /// How many requests arrived.
    pub fn count(&self) -> usize {
        self.shared.records().received.len()
    }

    /// Holds the answers of a path from now on.
    pub fn hold(&self, path: &str) {
        self.shared.records().held.insert(path.to_owned(), Arc::default());
    }

    /// Lets held answers go, and holds no further ones.
    pub fn release(&self, path: &str) {
        if let Some(held) = self.shared.records().held.remove(path) {
            held.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().expect("no receiver panicked")
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            let request_line = read_line(&mut reader)?;
            let path = request_line.split(' ').nth(1).unwrap_or_default().to_owned();
            let headers = read_headers(&mut reader)?;
            let header = |name: &str| {
                let found = headers.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
            reader.read_exact(&mut body)?;
            let attempt = header("becket-attempt").parse().unwrap_or(0);
            let (serial, status) = self.take(&path, header("webhook-id"), attempt, &body);
            let answer = format!("serial-{serial}");
            let written = write!(
                reader.get_mut(),
                "HTTP/1.1 {status} Answer\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            );
            self.done(serial);
            written?;
        }
    }

    /// Records a request and takes the time that its endpoint takes.
    fn take(&self, path: &str, event: String, attempt: u64, body: &[u8]) -> (u64, u16) {
        let number = load::number_in(body).unwrap_or_default();
        let hash = hash_of(body);
        let endpoint = traffic::at_path(path);
        let fails = endpoint.is_some_and(|it| traffic::fails(it, number, attempt));
        let status = if fails { 500 } else { 200 };
        let mut records = self.records();
        let serial = records.received.len() as u64;
        let beside = records.under_way.entry(path.to_owned()).or_default();
        *beside += 1;
        let beside = *beside;
        let held = records.held.get(path).cloned();
        records.received.push(Received {
            serial,
            path: path.to_owned(),
            event,
            attempt,
            number,
            hash,
            arrived: self.began.elapsed(),
            answered: None,
            beside,
            status,
        });
        drop(records);
        std::thread::sleep(Duration::from_millis(endpoint.map_or(0, |it| it.hold_ms)));
        while held.as_ref().is_some_and(|held| !held.load(Ordering::Relaxed)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Before the answer leaves: the next request may arrive as soon as it has.
        *self.records().under_way.entry(path.to_owned()).or_default() -= 1;
        (serial, status)
    }

    fn done(&self, serial: u64) {
        let at = usize::try_from(serial).expect("it is an index");
        self.records().received[at].answered = Some(self.began.elapsed());
    }
}
