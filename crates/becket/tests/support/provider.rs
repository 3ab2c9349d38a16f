//! A provider on loopback that speaks TLS with a certificate of an authority of its own: it publishes
//! keys, gives tokens and is visited.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::http::{read_headers, read_line};

/// A certificate authority that only these tests know.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A fresh one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("keys can be made");
        let pem = params.self_signed(&key).expect("it signs itself").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes its certificate for `[egress] ca_file`.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join("authority.pem");
        std::fs::write(&file, &self.pem).expect("the folder can be written");
        file
    }

    /// A certificate for a name, as PEM, with its key.
    pub fn certificate_for(&self, name: &str) -> (String, KeyPair) {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("keys can be made");
        (params.signed_by(&key, &self.issuer).expect("the authority signs").pem(), key)
    }

    fn server(&self) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let key = KeyPair::generate().expect("keys can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that the provider has")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key is the certificate's");
        Arc::new(config)
    }
}

/// One request that arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// A header by its name in lower case; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Status, further header lines (each with its line end) and body of an answer.
pub type Told = (u16, String, String);

/// An answer with this body.
pub fn told(body: impl Into<String>) -> Told {
    (200, String::new(), body.into())
}

type Behaviour = dyn Fn(&Asked) -> Told + Send + Sync;

/// A running provider; it stops when dropped.
pub struct Provider {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    behaviour: Arc<Mutex<Arc<Behaviour>>>,
    down: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
}

impl Provider {
    /// Starts one that answers like this.
    pub fn start(
        authority: &Authority,
        behaviour: impl Fn(&Asked) -> Told + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let provider = Self {
            address: listener.local_addr().expect("a bound socket has an address"),
            asked: Arc::default(),
            behaviour: Arc::new(Mutex::new(Arc::new(behaviour))),
            down: Arc::default(),
            stopped: Arc::default(),
        };
        let config = authority.server();
        let asked = Arc::clone(&provider.asked);
        let behaviour = Arc::clone(&provider.behaviour);
        let (down, stopped) = (Arc::clone(&provider.down), Arc::clone(&provider.stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if down.load(Ordering::Relaxed) {
                    continue;
                }
                let (config, asked) = (Arc::clone(&config), Arc::clone(&asked));
                let behaviour = Arc::clone(&behaviour);
                std::thread::spawn(move || {
                    // Whoever leaves in the middle is the gateway's business.
                    let _ = serve(stream, config, &asked, &behaviour);
                });
            }
        });
        provider
    }

    /// Answers differently from now on.
    pub fn behave(&self, behaviour: impl Fn(&Asked) -> Told + Send + Sync + 'static) {
        *self.behaviour.lock().expect("no behaviour panicked") = Arc::new(behaviour);
    }

    /// Takes connections and closes them at once, or no longer.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// Everything that arrived so far at paths that begin like this.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.asked.lock().expect("no behaviour panicked");
        asked.iter().filter(|one| one.path.starts_with(path)).cloned().collect()
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

/// One request to a connection, so that being down begins with the next one.
fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    asked: &Mutex<Vec<Asked>>,
    behaviour: &Mutex<Arc<Behaviour>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let session = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(session, stream));
    let line = read_line(&mut reader)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = read_headers(&mut reader)?;
    let mut one = Asked { method, path, headers, body: String::new() };
    let mut body = vec![0; one.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    one.body = String::from_utf8_lossy(&body).into_owned();
    let behaviour = Arc::clone(&behaviour.lock().expect("no behaviour panicked"));
    let (status, headers, text) = behaviour(&one);
    asked.lock().expect("no behaviour panicked").push(one);
    let length = text.len();
    let answer = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{text}"
    );
    let stream = reader.get_mut();
    stream.write_all(answer.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}
