//! A server that answers as it is told to, a clock that is set by hand, and what they are fetched with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use becket_egress::policy::{AddressPolicy, DEFAULT_DENIED_PORTS};
use becket_keys::{Environment, FetchObserver, FetchOutcome, FetchReport, KeyFetcher, KeysConfig};
use becket_model::{Clock, Noise};
use becket_signature::{KeyFormat, KeyRequest};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Milliseconds since 1970 when the tests begin.
pub const START_MS: i64 = 1_790_000_000_000;

/// What is told to whoever asks: status and body. Without one the connection is closed.
pub type Script = Arc<Mutex<Option<(u16, String)>>>;

/// A key server and all that fetches from it.
pub struct World {
    pub address: SocketAddr,
    pub script: Script,
    pub asked: Arc<AtomicUsize>,
    pub fetcher: KeyFetcher,
    pub clock: Arc<Hand>,
    pub told: Arc<Told>,
}

/// A clock that stands still.
pub struct Hand(AtomicI64);

impl Hand {
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, SeqCst);
    }
}

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(SeqCst)
    }
}

/// No randomness.
struct Zeros;

impl Noise for Zeros {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// What the observer heard.
#[derive(Default)]
pub struct Told(Mutex<Vec<(FetchOutcome, Option<&'static str>, String)>>);

impl Told {
    pub fn all(&self) -> Vec<(FetchOutcome, Option<&'static str>, String)> {
        self.0.lock().expect("no poisoned test").clone()
    }
}

impl FetchObserver for Told {
    fn fetched(&self, report: &FetchReport<'_>) {
        let told = (report.outcome, report.code, report.from.to_owned());
        self.0.lock().expect("no poisoned test").push(told);
    }
}

impl World {
    pub async fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("keys can be made");
        let root = params.self_signed(&key).expect("it signs itself").der().clone();
        let issuer = Issuer::new(params, key);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound address");
        let (script, asked) = (Script::default(), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(serve(listener, acceptor(&issuer), Arc::clone(&script), Arc::clone(&asked)));

        let networks = ["127.0.0.1/32".parse().expect("a network")];
        let policy = AddressPolicy::public(&networks, &DEFAULT_DENIED_PORTS, &[], None);
        let clock = Arc::new(Hand(AtomicI64::new(START_MS)));
        let told = Arc::new(Told::default());
        let config =
            KeysConfig { extra_root_certs: vec![root], ..KeysConfig::new(Arc::new(policy)) };
        let environment = Environment {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            noise: Arc::new(Zeros),
            observer: Arc::clone(&told) as Arc<dyn FetchObserver>,
            runtime: tokio::runtime::Handle::current(),
        };
        let fetcher = KeyFetcher::new(config, environment).expect("the root is a certificate");
        Self { address, script, asked, fetcher, clock, told }
    }

    /// Answers like this from now on; `None` closes connections.
    pub fn answer(&self, answer: Option<(u16, &str)>) {
        let answer = answer.map(|(status, body)| (status, body.to_owned()));
        *self.script.lock().expect("no poisoned test") = answer;
    }

    /// How often the server was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    /// A request for the set of keys at a path, which may be kept for an hour.
    pub fn request(&self, path: &str) -> KeyRequest {
        KeyRequest {
            url: format!("https://{}{path}", self.address),
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            format: KeyFormat::Jwks,
            at: None,
            subject: None,
            max_age_s: 3_600,
            oauth: None,
        }
    }
}

/// A set with one key of this name.
pub fn set(name: &str) -> String {
    format!(
        "{{\"keys\":[{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"{name}\",\
         \"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}}]}}"
    )
}

fn acceptor(issuer: &Issuer<'static, KeyPair>) -> TlsAcceptor {
    let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
    params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    let key = KeyPair::generate().expect("keys can be made");
    let certificate: CertificateDer<'static> =
        params.signed_by(&key, issuer).expect("the authority signs").der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions that the provider has")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key is the certificate's");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    script: Script,
    asked: Arc<AtomicUsize>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let answer = script.lock().expect("no poisoned test").clone();
        let Some((status, body)) = answer else { continue };
        let (acceptor, asked) = (acceptor.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            // A peer that leaves early is what some tests are about.
            let _ended = tell(stream, &acceptor, &asked, status, &body).await;
        });
    }
}

async fn tell(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    asked: &AtomicUsize,
    status: u16,
    body: &str,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..count]);
    }
    asked.fetch_add(1, SeqCst);
    // Long enough that others arrive meanwhile.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let head = format!("HTTP/1.1 {status} Answer\r\ncontent-length: {}\r\n", body.len());
    stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await?;
    stream.shutdown().await
}
