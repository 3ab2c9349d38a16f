//! A server that does exactly what a script says, a resolver that answers what a script says, and
//! shorthands for requests.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use becket_egress::policy::{AddressPolicy, DEFAULT_DENIED_PORTS};
use becket_egress::{AttemptOutcome, Egress, EgressConfig, OutboundRequest, Resolve, ResolveError};
use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One thing a scripted server does.
#[derive(Clone)]
pub enum Step {
    /// Reads one whole request (head and `Content-Length` body).
    Request,
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Writes these bytes over and over, this many times or until the peer has gone.
    Repeat(Vec<u8>, usize),
    /// Writes byte by byte with a pause of so many milliseconds.
    Drip(Vec<u8>, u64),
    /// Waits for so many milliseconds.
    Pause(u64),
    /// Keeps the connection open and silent until the peer leaves.
    Hang,
    /// Closes with a reset instead of an orderly end.
    Reset,
}

/// A complete answer with this status line, these header lines and a body.
pub fn answer(status: &str, headers: &str, body: &str) -> Step {
    let length = body.len();
    Step::Write(
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
            .into_bytes(),
    )
}

/// The plain 200 of a healthy endpoint.
pub fn ok() -> Step {
    answer("200 OK", "", "ok")
}

/// Text as a step.
pub fn text(text: &str) -> Step {
    Step::Write(text.as_bytes().to_vec())
}

/// A listening server and what it has seen.
pub struct Server {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    /// Serves every connection with the same script, then closes it.
    pub async fn start(script: Vec<Step>) -> Self {
        Self::start_each(vec![script]).await
    }

    /// Serves the n-th connection with the n-th script (the last one for all that follow).
    pub async fn start_each(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        Self::serve(listener, scripts)
    }

    pub fn serve(listener: TcpListener, scripts: Vec<Vec<Step>>) -> Self {
        let address = listener.local_addr().expect("a bound address");
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (counted, seen) = (Arc::clone(&connections), Arc::clone(&requests));
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let number = counted.fetch_add(1, SeqCst);
                let script = scripts[number.min(scripts.len() - 1)].clone();
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    // A peer that leaves in the middle of a script is what many tests are about.
                    let _ended = play(stream, &script, &seen).await;
                });
            }
        });
        Self { address, connections, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn connection_count(&self) -> usize {
        self.connections.load(SeqCst)
    }

    pub fn request_texts(&self) -> Vec<String> {
        let requests = self.requests.lock().expect("no poisoned test");
        requests.iter().map(|raw| String::from_utf8_lossy(raw).into_owned()).collect()
    }
}

async fn play(
    mut stream: TcpStream,
    script: &[Step],
    seen: &Mutex<Vec<Vec<u8>>>,
) -> std::io::Result<()> {
    for step in script {
        match step {
            Step::Request => {
                let request = read_request(&mut stream).await?;
                seen.lock().expect("no poisoned test").push(request);
            }
            Step::Write(bytes) => stream.write_all(bytes).await?,
            Step::Repeat(bytes, times) => {
                for _ in 0..*times {
                    stream.write_all(bytes).await?;
                }
            }
            Step::Drip(bytes, pause_ms) => {
                for byte in bytes {
                    stream.write_all(&[*byte]).await?;
                    tokio::time::sleep(Duration::from_millis(*pause_ms)).await;
                }
            }
            Step::Pause(pause_ms) => tokio::time::sleep(Duration::from_millis(*pause_ms)).await,
            Step::Hang => {
                let mut sink = [0; 1024];
                while stream.read(&mut sink).await? > 0 {}
            }
            Step::Reset => {
                stream.set_zero_linger()?;
                return Ok(());
            }
        }
    }
    stream.shutdown().await
}

/// Reads a head, and the body that its `Content-Length` announces.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(head_len) = raw.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&raw[..head_len]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |value| value.trim().parse::<usize>().expect("a length"));
            if raw.len() >= head_len + 4 + length {
                return Ok(raw);
            }
        }
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        raw.extend_from_slice(&buffer[..count]);
    }
}

/// Answers each name with the next entry of its list (the last one for ever).
#[derive(Default)]
pub struct ScriptedResolver {
    answers: HashMap<String, Vec<Result<Vec<IpAddr>, ResolveError>>>,
    asked: Mutex<HashMap<String, usize>>,
    delay_ms: u64,
}

impl ScriptedResolver {
    pub fn new() -> Self {
        Self::default()
    }

    /// The next answer for `name`: these addresses.
    pub fn answer(mut self, name: &str, addresses: &[&str]) -> Self {
        let addresses =
            addresses.iter().map(|text| text.parse().expect("a literal address")).collect();
        let list = self.answers.entry(name.to_owned()).or_default();
        list.push(Ok(addresses));
        self
    }

    /// The next answer for `name`: this error.
    pub fn fail(mut self, name: &str, error: ResolveError) -> Self {
        let list = self.answers.entry(name.to_owned()).or_default();
        list.push(Err(error));
        self
    }

    /// Every answer comes so late.
    pub fn delayed(mut self, delay_ms: u64) -> Self {
        self.delay_ms = delay_ms;
        self
    }
}

#[async_trait::async_trait]
impl Resolve for ScriptedResolver {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
        let Some(list) = self.answers.get(host) else {
            return Err(ResolveError::NotFound);
        };
        let mut asked = self.asked.lock().expect("no poisoned test");
        let number = asked.entry(host.to_owned()).or_default();
        let answer = list[(*number).min(list.len() - 1)].clone();
        *number += 1;
        answer
    }
}

/// An egress with short time-outs and the default limits.
pub fn egress() -> Egress {
    egress_with(|_| {})
}

pub fn egress_with(change: impl FnOnce(&mut EgressConfig)) -> Egress {
    let mut config = EgressConfig {
        connect_timeout_ms: 1_000,
        resolver: Arc::new(ScriptedResolver::new()),
        ..EgressConfig::default()
    };
    change(&mut config);
    Egress::new(config).expect("a valid configuration")
}

pub fn egress_resolving(resolver: ScriptedResolver) -> Egress {
    egress_with(|config| config.resolver = Arc::new(resolver))
}

/// The public policy with these private networks opened.
pub fn public(allow_networks: &[&str]) -> AddressPolicy {
    let networks: Vec<ipnet::IpNet> =
        allow_networks.iter().map(|text| text.parse().expect("a network")).collect();
    let own_hosts = ["hooks.example.net".to_owned()];
    AddressPolicy::public(&networks, &DEFAULT_DENIED_PORTS, &own_hosts, None)
}

/// A request under the operator's policy.
pub fn request(url: &str) -> OutboundRequest {
    request_under(AddressPolicy::operator(), url)
}

pub fn request_under(policy: AddressPolicy, url: &str) -> OutboundRequest {
    let target = policy.check_url(url).expect("a URL that is allowed");
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().expect("a value"));
    OutboundRequest {
        method: http::Method::POST,
        pool_key: 1,
        target: Arc::new(target),
        policy: Arc::new(policy),
        headers,
        body: Bytes::from_static(b"{\"hello\":\"world\"}"),
        timeout_ms: 3_000,
        connect_timeout_ms: None,
    }
}

/// The code of the outcome's error, or `-`.
pub fn code(outcome: &AttemptOutcome) -> &'static str {
    outcome.error.map_or("-", |error| error.code())
}
