//! A gateway on a free port, and a client that sends exact bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use becket_ingress::server::{
    Bind, Fallback, FallbackFuture, Listener, ServeConfig, Server, Serves,
};
use becket_ingress::{
    Handoff, Ingress, Observer, Outcome, Peer, ReleaseReport, RequestReport, Rules, ServerLimits,
    SourceRuntime, SourceTable, Target, TimedBody,
};
use becket_model::{
    ApplicationId, Clock, EndpointId, EndpointKey, EndpointSettings, EndpointState, EventId,
};
use becket_signature::{Catalogue, Credentials, Refusal, SignRequest, Verifier, VerifierOptions};
use becket_store::{
    EndpointDeclaration, EventFilter, EventRow, LeasedDelivery, Owner, Page, QuarantineFilter,
    Quarantined, Scope, SourceDeclaration, Store,
};
use becket_store_test::{FixedNoise, ModelStore};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub const SECRET: &str = "It's a Secret to Everybody";
pub const NOW_MS: i64 = 1_800_000_000_000;

pub struct FixedClock(AtomicI64);

impl Clock for FixedClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl FixedClock {
    pub fn advance(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

/// A report that owns its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub outcome: Outcome,
    pub source: Option<String>,
    pub event: Option<EventId>,
    pub event_type: Option<String>,
    pub status: u16,
    pub bytes: u64,
    pub remote: String,
    pub code: Option<&'static str>,
    pub refusal: Option<Refusal>,
}

/// Number, event, whether it was a repeat, and what verification had against it.
pub type ToldRelease = (i64, EventId, bool, Option<Refusal>);

#[derive(Default)]
pub struct Recorder {
    pub reports: Mutex<Vec<Told>>,
    pub connections: Mutex<Vec<becket_ingress::ConnectionEvent>>,
    pub released: Mutex<Vec<ToldRelease>>,
}

impl Observer for Recorder {
    fn request(&self, report: &RequestReport<'_>) {
        self.reports.lock().push(Told {
            outcome: report.outcome,
            source: report.source.map(str::to_owned),
            event: report.event,
            event_type: report.event_type.map(str::to_owned),
            status: report.status,
            bytes: report.bytes,
            remote: report.remote.to_string(),
            code: report.code,
            refusal: report.refusal,
        });
    }

    fn released(&self, report: &ReleaseReport<'_>) {
        let told = (report.number, report.event, report.repeat, report.refusal);
        self.released.lock().push(told);
    }

    fn connection(&self, event: becket_ingress::ConnectionEvent) {
        self.connections.lock().push(event);
    }
}

/// Lanes with room for a number of deliveries in all, which notes every call.
pub struct Lanes {
    pub room: usize,
    pub reserved: Mutex<Vec<EndpointKey>>,
    pub cancelled: Mutex<Vec<EndpointKey>>,
    pub handed: Mutex<Vec<LeasedDelivery>>,
    pub woken: Mutex<Vec<EndpointKey>>,
}

impl Handoff for Lanes {
    fn reserve(&self, endpoint: EndpointKey) -> bool {
        let mut reserved = self.reserved.lock();
        let open = reserved.len() - self.cancelled.lock().len() < self.room;
        if open {
            reserved.push(endpoint);
        }
        open
    }

    fn cancel(&self, endpoint: EndpointKey) {
        self.cancelled.lock().push(endpoint);
    }

    fn hand_over(&self, delivery: LeasedDelivery) {
        self.handed.lock().push(delivery);
    }

    fn wake(&self, endpoint: EndpointKey) {
        self.woken.lock().push(endpoint);
    }
}

/// Answers with the method and path that it was asked, and the length of the body.
struct Echo;

impl Fallback for Echo {
    fn handle(&self, request: Request<TimedBody<Incoming>>, _peer: Peer) -> FallbackFuture<'_> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let (status, length) = match body.collect().await {
                Ok(body) => (200, body.to_bytes().len()),
                Err(_) => (408, 0),
            };
            let text = format!("fallback {} {} {length}", head.method, head.uri.path());
            let body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
            let mut response = Response::new(body);
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            response
        })
    }
}

pub struct SourceSetup {
    pub uid: &'static str,
    pub provider: &'static str,
    pub credentials: Credentials,
    pub rules: Rules,
    pub endpoints: Vec<(EndpointState, EndpointSettings)>,
    pub public_url: Option<String>,
}

/// A source of a provider with the usual secret and one endpoint.
pub fn source(uid: &'static str, provider: &'static str) -> SourceSetup {
    let settings = EndpointSettings::for_url("http://127.0.0.1:9/");
    let entry = Catalogue::builtin().get(provider).unwrap();
    let mut credentials = Credentials::from_secrets([SECRET]);
    if provider == "none" {
        credentials = Credentials::default();
    }
    SourceSetup {
        uid,
        provider,
        credentials,
        rules: Rules::for_entry(&entry),
        endpoints: vec![(EndpointState::Enabled, settings)],
        public_url: None,
    }
}

impl SourceSetup {
    pub fn rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(&mut self.rules);
        self
    }

    pub fn named(mut self, name: &str, value: &str) -> Self {
        self.credentials.named.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Puts a store in front of another.
pub type Wrap = fn(Arc<dyn Store>) -> Arc<dyn Store>;

pub struct Setup {
    pub sources: Vec<SourceSetup>,
    pub limits: ServerLimits,
    pub room: usize,
    pub wrap: Option<Wrap>,
    pub serves: Serves,
    pub tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    pub threads: usize,
    /// Sockets that are open already, instead of a free port.
    pub open: Vec<std::net::TcpListener>,
    pub passed_on: Option<std::os::unix::net::UnixListener>,
    /// How long a stop waits for answers under way.
    pub grace: Duration,
}

impl Setup {
    pub fn new(sources: Vec<SourceSetup>) -> Self {
        Self {
            sources,
            limits: ServerLimits::default(),
            room: 1_000_000,
            wrap: None,
            serves: Serves::Everything,
            tls: None,
            threads: 2,
            open: Vec::new(),
            passed_on: None,
            grace: Duration::from_secs(5),
        }
    }

    pub async fn start(self) -> Gateway {
        let store = Arc::new(ModelStore::new(Arc::new(FixedNoise::new(1))));
        let table = declare(&*store, &self.sources).await;
        let used: Arc<dyn Store> = match self.wrap {
            None => Arc::clone(&store) as _,
            Some(wrap) => wrap(Arc::clone(&store) as _),
        };
        let told = Arc::new(Recorder::default());
        let clock = Arc::new(FixedClock(AtomicI64::new(NOW_MS)));
        let lanes = Arc::new(Lanes {
            room: self.room,
            reserved: Mutex::default(),
            cancelled: Mutex::default(),
            handed: Mutex::default(),
            woken: Mutex::default(),
        });
        let table = Arc::new(ArcSwap::from_pointee(table));
        let ingress = Arc::new(Ingress::new(
            used,
            Arc::clone(&table),
            Arc::clone(&lanes) as _,
            Arc::clone(&told) as _,
            Arc::clone(&clock) as _,
            self.limits,
        ));
        let bind = match self.open.is_empty() {
            true => Bind::Address("127.0.0.1:0".parse().unwrap()),
            false => Bind::Open(self.open),
        };
        let mut config =
            ServeConfig::new(vec![Listener { bind, serves: self.serves, tls: self.tls }]);
        config.threads = Some(self.threads);
        config.passed_on = self.passed_on;
        config.grace = self.grace;
        let server = Server::start(config, Arc::clone(&ingress), Arc::new(Echo)).unwrap();
        let address = server.addresses()[0];
        Gateway { store, address, told, lanes, clock, ingress, table, server: Some(server) }
    }
}

/// Makes the sources known to the store, and the table that receives for them.
async fn declare(store: &dyn Store, sources: &[SourceSetup]) -> SourceTable {
    let declared = sources.iter().enumerate().map(|(number, source)| SourceDeclaration {
        uid: source.uid.to_owned(),
        provider: source.provider.to_owned(),
        id: ApplicationId::new(NOW_MS, [number as u8; 14]),
        endpoints: source
            .endpoints
            .iter()
            .enumerate()
            .map(|(index, (_, settings))| EndpointDeclaration {
                uid: format!("{}-{index}", source.uid),
                settings: settings.clone(),
                id: EndpointId::new(NOW_MS, [(number * 16 + index) as u8; 14]),
                secret: b"sealed".to_vec(),
            })
            .collect(),
    });
    let known = store.config_declare(Owner::MAIN, declared.collect(), NOW_MS).await.unwrap();
    let runtimes = sources.iter().map(|source| {
        let key =
            known.sources().find(|known| known.uid.as_deref() == Some(source.uid)).unwrap().key;
        let entry = Catalogue::builtin().get(source.provider).unwrap();
        let options = VerifierOptions::default();
        let verifier = Verifier::new(Arc::clone(&entry), &source.credentials, &options).unwrap();
        let targets = known.endpoints.iter().filter(|endpoint| endpoint.application == key);
        SourceRuntime {
            key,
            owner: Owner::MAIN,
            uid: source.uid.to_owned(),
            verifier,
            entry,
            public_url: source.public_url.clone(),
            rules: source.rules.clone(),
            targets: targets
                .zip(&source.endpoints)
                .map(|(endpoint, (state, settings))| Target {
                    key: endpoint.key,
                    state: *state,
                    settings: Arc::new(settings.clone()),
                })
                .collect(),
        }
    });
    SourceTable::new(runtimes).unwrap()
}

pub struct Gateway {
    pub store: Arc<ModelStore>,
    pub address: SocketAddr,
    pub told: Arc<Recorder>,
    pub lanes: Arc<Lanes>,
    pub clock: Arc<FixedClock>,
    pub ingress: Arc<Ingress>,
    pub table: Arc<ArcSwap<SourceTable>>,
    pub server: Option<Server>,
}

impl Gateway {
    /// One request on a connection of its own.
    pub async fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let (mut answers, _) = exchange(self.address, bytes.as_ref(), PATIENCE).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    pub async fn events(&self) -> Vec<EventRow> {
        let all = Scope::all(Owner::MAIN);
        let page = Page::newest(10_000);
        self.store.event_list(all, EventFilter::default(), page).await.unwrap()
    }

    /// Puts other rules and secrets in force.
    pub async fn reconfigure(&self, sources: &[SourceSetup]) {
        self.table.store(Arc::new(declare(&*self.store, sources).await));
    }

    /// What is in quarantine, newest first.
    pub async fn quarantined(&self) -> Vec<Quarantined> {
        let all = Scope::all(Owner::MAIN);
        let filter = QuarantineFilter::default();
        let mut kept = Vec::new();
        for row in self.store.quarantine_list(all, filter, 1_000).await.unwrap() {
            kept.push(self.store.quarantine_get(all, row.number).await.unwrap().unwrap());
        }
        kept
    }

    pub fn reports(&self) -> Vec<Told> {
        self.told.reports.lock().clone()
    }

    /// The last report, after waiting for it: a report follows its answer.
    pub async fn report(&self, number: usize) -> Told {
        eventually(|| self.told.reports.lock().len() >= number).await;
        let reports = self.told.reports.lock();
        assert_eq!(reports.len(), number, "{reports:?}");
        reports[number - 1].clone()
    }
}

/// How long whatever must happen is waited for: the machine may have more to do.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something holds.
pub async fn eventually(holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it did not come to hold");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A POST with a length, on a connection that is closed afterwards.
pub fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    request("POST", path, headers, body)
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: hooks.example.com\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len()));
    [text.as_bytes(), body].concat()
}

/// A signed request to a source of this provider.
pub fn signed(provider: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let entry = Catalogue::builtin().get(provider).unwrap();
    let credentials = Credentials::from_secrets([SECRET]);
    let verifier = Verifier::new(entry, &credentials, &VerifierOptions::default()).unwrap();
    let url = format!("http://hooks.example.com{path}");
    let sign = SignRequest {
        method: "POST",
        url: &url,
        body,
        content_type: "application/json",
        event_type: None,
        delivery_id: None,
    };
    let signed = verifier.sign(&sign, NOW_MS / 1_000).unwrap();
    let own = signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let mut all: Vec<(&str, &str)> = own.filter(|(name, _)| !given(name)).collect();
    all.extend_from_slice(headers);
    post(path, &all, &signed.body)
}

/// A GitHub event with an id.
pub fn github(path: &str, id: &str, event_type: &str, body: &[u8]) -> Vec<u8> {
    signed("github", path, &[("x-github-delivery", id), ("x-github-event", event_type)], body)
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The event's id, which header and body have to agree about.
    pub fn event(&self) -> EventId {
        assert_eq!(self.status, 200, "{self:?}");
        let id = self.header("becket-event-id").unwrap();
        assert_eq!(self.text(), format!("{{\"id\":\"{id}\"}}"));
        id.parse().unwrap()
    }
}

/// Sends bytes and reads until the connection ends or nothing comes for `patience`. Tells the
/// answers and whether the gateway ended the connection.
pub async fn exchange(
    address: SocketAddr,
    bytes: &[u8],
    patience: Duration,
) -> (Vec<Answer>, bool) {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange_over(stream, bytes, patience).await
}

pub async fn exchange_over<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    bytes: &[u8],
    patience: Duration,
) -> (Vec<Answer>, bool) {
    // A gateway that refuses early may not take all of it; what counts is what it says.
    let _ = stream.write_all(bytes).await;
    let mut received = Vec::new();
    let mut chunk = [0; 16 * 1024];
    let ended = loop {
        match tokio::time::timeout(patience, stream.read(&mut chunk)).await {
            Err(_) => break false,
            Ok(Ok(0) | Err(_)) => break true,
            Ok(Ok(length)) => received.extend_from_slice(&chunk[..length]),
        }
    };
    (answers(&received), ended)
}

/// Takes what was received apart; interim answers are passed over.
pub fn answers(mut received: &[u8]) -> Vec<Answer> {
    let mut all = Vec::new();
    while !received.is_empty() {
        let text = String::from_utf8_lossy(received);
        let end = received.windows(4).position(|part| part == b"\r\n\r\n");
        let Some(end) = end else { panic!("half an answer: {text}") };
        let head = String::from_utf8(received[..end].to_vec()).unwrap();
        assert!(head.starts_with("HTTP/1."), "no answer: {text}");
        let status = head[9..12].parse().unwrap();
        received = &received[end + 4..];
        if status < 200 {
            continue;
        }
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
        assert!(length <= received.len(), "an answer that is cut off: {text}");
        answer.body = received[..length].to_vec();
        received = &received[length..];
        all.push(answer);
    }
    all
}
