//! An endpoint that takes deliveries: it answers 200, counts, and sees how old each event is.
//!
//! The age is from the moment the sender wrote the event, which its delivery id carries, to the
//! moment the delivery has been read here; both clocks are this machine's.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::error::{Result, doing};
use crate::histogram::Histogram;
use crate::wire::Incoming;
use crate::{clock, github, messages, request};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What has come so far.
#[derive(Default, Clone)]
pub struct Taken {
    /// Deliveries.
    pub count: u64,
    /// From being sent to the gateway to being delivered here.
    pub age: Histogram,
}

/// A running sink, in a thread of its own for as long as the process lives.
#[derive(Clone)]
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Sink {
    /// Starts one; port 0 takes a free one.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let listener = std::net::TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(doing(format!("listening on {address}")))?;
        let address = listener.local_addr().map_err(doing("asking for the sink's address"))?;
        let sink = Self { address, taken: Arc::default() };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(doing("starting a runtime"))?;
        let serving = sink.clone();
        std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(serving.accept(listener)) {
                    eprintln!("the sink ended: {error}");
                }
            })
            .map_err(doing("starting the sink's thread"))?;
        Ok(sink)
    }

    /// What has come so far.
    pub fn taken(&self) -> Taken {
        self.lock().clone()
    }

    /// How many deliveries have come so far.
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// Begins at zero again.
    pub fn reset(&self) {
        *self.lock() = Taken::default();
    }

    fn take(&self, sent_at_us: Option<u64>) {
        let mut taken = self.lock();
        taken.count += 1;
        if let Some(sent_at_us) = sent_at_us {
            taken.age.add_us(clock::now_us().saturating_sub(sent_at_us));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept(self, listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let sink = self.clone();
            tokio::spawn(async move {
                // A gateway that is killed breaks its connections; what came is counted.
                if let Err(error) = sink.serve_one(stream).await
                    && error.kind() != io::ErrorKind::ConnectionReset
                {
                    eprintln!("a delivery was not understood: {error}");
                }
            });
        }
    }

    async fn serve_one(&self, mut stream: TcpStream) -> io::Result<()> {
        enum Asked {
            Count,
            Reset,
            Delivery(Option<u64>),
        }
        let mut incoming = Incoming::new();
        loop {
            let asked = incoming.message(&mut stream, |head| {
                if head.first.starts_with(b"GET /count") {
                    return Asked::Count;
                }
                if head.first.starts_with(b"GET /reset") {
                    return Asked::Reset;
                }
                let id = head.header(github::DELIVERY).or_else(|| messages::id_in(head.body));
                Asked::Delivery(id.and_then(request::sent_at_us))
            });
            match asked.await? {
                None => return Ok(()),
                Some(Asked::Delivery(sent_at_us)) => {
                    self.take(sent_at_us);
                    stream.write_all(OK).await?;
                }
                Some(Asked::Reset) => {
                    self.reset();
                    stream.write_all(OK).await?;
                }
                Some(Asked::Count) => {
                    let taken = self.taken();
                    let body = json!({
                        "count": taken.count,
                        "p50_ms": taken.age.quantile_ms(500),
                        "p99_ms": taken.age.quantile_ms(990),
                        "max_ms": taken.age.max_ms(),
                    })
                    .to_string();
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                         content-length: {length}\r\n\r\n{body}"
                    );
                    stream.write_all(answer.as_bytes()).await?;
                }
            }
        }
    }
}

/// Serves until the process is ended.
pub fn serve(address: SocketAddr) -> Result<()> {
    let sink = Sink::start(address)?;
    println!("taking deliveries on http://{}", sink.address);
    loop {
        std::thread::park();
    }
}
