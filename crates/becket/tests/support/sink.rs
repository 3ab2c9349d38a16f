//! A receiver: answers deliveries as it is told to and remembers every one.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::http::{read_headers, read_line};

/// One request that arrived.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The path it was sent to.
    pub path: String,
    /// Headers with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The exact body.
    pub body: Vec<u8>,
    /// The status it was answered with.
    pub answered: u16,
}

impl Delivery {
    /// A header by its name in lower case; empty if it is not there.
    pub fn header(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

/// Decides the status of an answer, and may take its time.
pub type Behaviour = dyn Fn(&Delivery) -> u16 + Send + Sync;

/// A running receiver; it stops taking connections when dropped.
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    stopped: Arc<AtomicBool>,
}

impl Sink {
    /// Starts a receiver with this behaviour on a free port.
    pub fn start(behaviour: impl Fn(&Delivery) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let deliveries = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let sink =
            Self { address, deliveries: Arc::clone(&deliveries), stopped: Arc::clone(&stopped) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (deliveries, behaviour) = (Arc::clone(&deliveries), Arc::clone(&behaviour));
                std::thread::spawn(move || {
                    // A gateway that was killed leaves connections half done: that is the test.
                    let _ = serve(stream, &deliveries, behaviour.as_ref());
                });
            }
        });
        sink
    }

    /// The address as a URL with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that arrived so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().expect("no behaviour panicked").clone()
    }

    /// How many requests arrived so far.
    pub fn count(&self) -> usize {
        self.deliveries.lock().expect("no behaviour panicked").len()
    }
}

/// Keeps answers back until a test opens it, at most for a minute.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<Passing>, Condvar)>);

#[derive(Default)]
struct Passing {
    waiting: usize,
    open: bool,
}

impl Gate {
    /// Waits until it is open.
    pub fn pass(&self) {
        const LONGEST: Duration = Duration::from_secs(60);
        let (passing, opened) = &*self.0;
        let mut passing = passing.lock().expect("nobody panicked");
        passing.waiting += 1;
        let passed = opened.wait_timeout_while(passing, LONGEST, |passing| !passing.open);
        passed.expect("nobody panicked").0.waiting -= 1;
    }

    /// How many wait for it.
    pub fn waiting(&self) -> usize {
        self.0.0.lock().expect("nobody panicked").waiting
    }

    /// Lets everybody pass from now on.
    pub fn open(&self) {
        self.0.0.lock().expect("nobody panicked").open = true;
        self.0.1.notify_all();
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    stream: TcpStream,
    deliveries: &Mutex<Vec<Delivery>>,
    behaviour: &Behaviour,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let request_line = read_line(&mut reader)?;
        let path = request_line.split(' ').nth(1).unwrap_or_default().to_owned();
        let headers = read_headers(&mut reader)?;
        let mut delivery = Delivery { path, headers, body: Vec::new(), answered: 0 };
        let length = delivery.header("content-length").parse().unwrap_or(0);
        delivery.body = vec![0; length];
        reader.read_exact(&mut delivery.body)?;
        delivery.answered = behaviour(&delivery);
        let status = delivery.answered;
        // Remembered before the answer leaves: what the gateway knows of, the sink knows of.
        deliveries.lock().expect("no behaviour panicked").push(delivery);
        let answer = format!("HTTP/1.1 {status} Answer\r\ncontent-length: 2\r\n\r\nok");
        reader.get_mut().write_all(answer.as_bytes())?;
    }
}
