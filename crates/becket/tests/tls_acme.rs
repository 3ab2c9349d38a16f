//! HTTPS: certificates from files are reloaded when the files change, and certificates from an ACME
//! authority are fetched from `pebble`, the ACME test server of Debian's packages.

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use support::gateway::{Gateway, Place};
use support::http::{self, Client};
use support::{free_port, require_command, wait_until};

const HOST: &str = "hooks.becket.test";

#[test]
fn certificate_files_are_reloaded_when_they_change() {
    let authority = Authority::new();
    let place = Place::new();
    let (cert_file, key_file) = (place.folder.join("cert.pem"), place.folder.join("key.pem"));
    let first = authority.issue(HOST, &cert_file, &key_file);
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let server = format!(
        "admin_listen = \"{admin}\"\npublic_url = \"https://{HOST}\"\n\
         tls = {{ cert_file = \"{}\", key_file = \"{}\" }}",
        cert_file.display(),
        key_file.display()
    );
    place.configure(&server, &place.data(), "", SOURCE);
    let gateway = start(&place, admin);

    let mut kept = TlsClient::connect(place.address, &authority.root).expect("HTTPS answers");
    assert_eq!(kept.certificate(), first);
    assert_eq!(kept.post("/in/open", b"{}").expect("it answers").status, 200);

    // A file that is being written, or is wrong, changes nothing.
    std::fs::write(&cert_file, "not a certificate").expect("the folder can be written");
    std::thread::sleep(Duration::from_secs(3));
    let mut during = TlsClient::connect(place.address, &authority.root).expect("still answers");
    assert_eq!(during.certificate(), first, "a broken file was taken");
    assert_eq!(during.post("/in/open", b"{}").expect("it answers").status, 200);

    let second = authority.issue(HOST, &cert_file, &key_file);
    assert_ne!(first, second);
    let reloaded = wait_until(Duration::from_secs(20), || {
        TlsClient::connect(place.address, &authority.root)
            .is_ok_and(|client| client.certificate() == second)
    });
    assert!(reloaded, "the new certificate was not taken:\n{}", place.log_tail());
    assert_eq!(kept.post("/in/open", b"{}").expect("the old connection still works").status, 200);
    gateway.stop();
}

#[test]
fn plain_http_on_the_https_port_is_not_answered_as_http() {
    let authority = Authority::new();
    let place = Place::new();
    let (cert_file, key_file) = (place.folder.join("cert.pem"), place.folder.join("key.pem"));
    authority.issue(HOST, &cert_file, &key_file);
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let server = format!(
        "admin_listen = \"{admin}\"\ntls = {{ cert_file = \"{}\", key_file = \"{}\" }}",
        cert_file.display(),
        key_file.display()
    );
    place.configure(&server, &place.data(), "", SOURCE);
    let gateway = start(&place, admin);
    let answer = Client::closing(place.address).send("POST", "/in/open", &[], b"{}");
    assert!(
        answer.as_ref().map_or(true, |answer| !answer.is_success()),
        "accepted without encryption: {answer:?}"
    );
    gateway.stop();
}

#[test]
fn a_certificate_is_fetched_from_an_acme_authority() {
    require_command("pebble");
    require_command("pebble-challtestsrv");
    let authority = Authority::new();
    let place = Place::new();
    let challenge = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let pebble = Pebble::start(&place.folder, &authority, challenge.port());
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let root_file = place.folder.join("root.pem");
    std::fs::write(&root_file, &authority.root_pem).expect("the folder can be written");
    let server = format!(
        "admin_listen = \"{admin}\"\npublic_url = \"https://{HOST}\"\n[server.acme]\n\
         directory_url = \"{}\"\ndomains = [\"{HOST}\"]\ncontact = [\"mailto:ops@becket.test\"]\n\
         challenge_listen = \"{challenge}\"\nca_file = \"{}\"\n",
        pebble.directory_url(),
        root_file.display()
    );
    place.configure(&server, &place.data(), "", SOURCE);
    let gateway = start(&place, admin);
    let issuer = pebble.issuing_root();
    let mut served = None;
    wait_until(Duration::from_secs(60), || {
        served = TlsClient::connect(place.address, &issuer).ok();
        served.is_some()
    });
    let mut served = served.unwrap_or_else(|| {
        panic!("no certificate of the authority is served:\n{}", place.log_tail())
    });
    let certificate = served.certificate();
    assert_eq!(served.post("/in/open", b"{}").expect("it answers").status, 200);
    gateway.stop();

    // It is kept: a restart does not ask the authority again.
    drop(pebble);
    let gateway = start(&place, admin);
    let kept = TlsClient::connect(place.address, &issuer).expect("HTTPS answers after a restart");
    assert_eq!(kept.certificate(), certificate, "the certificate was not kept");
    gateway.stop();
}

/// A source that takes anything, so that these tests need no signatures.
const SOURCE: &str = "[[source]]\nid = \"open\"\nprovider = \"none\"\n";

/// Starts a gateway whose receiving port speaks TLS and whose management port does not.
fn start(place: &Place, admin: SocketAddr) -> Gateway<'_> {
    let gateway = Gateway::spawn(place, place.command());
    let ready = wait_until(Duration::from_secs(20), || {
        Client::closing(admin)
            .send("GET", "/readyz", &[], b"")
            .is_ok_and(|answer| answer.status == 200)
    });
    assert!(ready, "not ready; its log ends:\n{}", place.log_tail());
    gateway
}

/// A certificate authority of this test.
struct Authority {
    root: CertificateDer<'static>,
    root_pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let mut parameters =
            rcgen::CertificateParams::new(Vec::<String>::new()).expect("no names are valid");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "Becket test authority");
        let root = parameters.self_signed(&key).expect("a root can be signed");
        Self {
            root: root.der().clone(),
            root_pem: root.pem(),
            issuer: rcgen::Issuer::new(parameters, key),
        }
    }

    /// Writes a fresh certificate and key; answers with the certificate.
    fn issue(&self, host: &str, cert_file: &Path, key_file: &Path) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let parameters =
            rcgen::CertificateParams::new(vec![host.to_owned(), "localhost".to_owned()])
                .expect("the names are valid");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("it can be signed");
        std::fs::write(key_file, key.serialize_pem()).expect("the folder can be written");
        std::fs::write(cert_file, certificate.pem()).expect("the folder can be written");
        certificate.der().clone()
    }
}

/// A TLS connection that trusts one root only.
struct TlsClient {
    stream: std::io::BufReader<rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>>,
}

impl TlsClient {
    fn connect(address: SocketAddr, root: &CertificateDer<'static>) -> std::io::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root.clone()).map_err(std::io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(HOST).map_err(std::io::Error::other)?;
        let connection =
            rustls::ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
        let socket = std::net::TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut stream = rustls::StreamOwned::new(connection, socket);
        // Completes the handshake now, so that its errors belong to connecting.
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Self { stream: std::io::BufReader::new(stream) })
    }

    fn certificate(&self) -> CertificateDer<'static> {
        let chain = self.stream.get_ref().conn.peer_certificates();
        chain
            .and_then(|chain| chain.first())
            .expect("the server has a certificate")
            .clone()
            .into_owned()
    }

    fn post(&mut self, path: &str, body: &[u8]) -> std::io::Result<http::Answer> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.stream.get_mut().write_all(body)?;
        self.stream.get_mut().flush()?;
        http::read_answer(&mut self.stream)
    }
}

/// The ACME test server with its DNS, both of which answer on loopback only.
struct Pebble {
    processes: Vec<Child>,
    port: u16,
    management: u16,
    root_file: PathBuf,
    folder: PathBuf,
}

impl Pebble {
    fn start(folder: &Path, authority: &Authority, challenge_port: u16) -> Self {
        let (cert_file, key_file) = (folder.join("pebble.pem"), folder.join("pebble-key.pem"));
        authority.issue("localhost", &cert_file, &key_file);
        let root_file = folder.join("authority.pem");
        std::fs::write(&root_file, &authority.root_pem).expect("the folder can be written");
        let (port, management, dns) = (free_port(), free_port(), free_port());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": cert_file,
            "privateKey": key_file,
            "httpPort": challenge_port,
            "tlsPort": challenge_port,
        }});
        let config_file = folder.join("pebble.json");
        std::fs::write(&config_file, config.to_string()).expect("the folder can be written");
        let mut pebble = Self {
            processes: Vec::new(),
            port,
            management,
            root_file,
            folder: folder.to_path_buf(),
        };
        // Every name leads to loopback; the challenge servers of its own stay off.
        let mut names = Command::new("pebble-challtestsrv");
        names.args([
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
        ]);
        names.args(["-tlsalpn01", "", "-dns01", &format!("127.0.0.1:{dns}")]);
        names.args(["-management", &format!("127.0.0.1:{}", free_port())]);
        pebble.run(&mut names);
        let mut server = Command::new("pebble");
        server.arg("-config").arg(&config_file);
        server.args(["-dnsserver", &format!("127.0.0.1:{dns}")]);
        // Its random waits and refused nonces test clients' patience, not ours.
        server.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
        pebble.run(&mut server);
        let up = wait_until(Duration::from_secs(10), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(up, "pebble did not start: {}", pebble.log());
        pebble
    }

    fn run(&mut self, command: &mut Command) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("pebble.log"))
            .expect("the folder can be written");
        let copy = log.try_clone().expect("a descriptor can be copied");
        command.stdin(Stdio::null()).stdout(log).stderr(copy);
        self.processes.push(command.spawn().expect("the program can be started"));
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("pebble.log")).unwrap_or_default()
    }

    fn directory_url(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The root below which it issues, made anew whenever it starts.
    fn issuing_root(&self) -> CertificateDer<'static> {
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--cacert"])
            .arg(&self.root_file)
            .arg(format!("https://localhost:{}/roots/0", self.management))
            .output()
            .expect("curl can be run");
        assert!(output.status.success(), "pebble's root cannot be read: {}", self.log());
        CertificateDer::from_pem_slice(&output.stdout).expect("pebble's root is PEM")
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have failed to start, which its log tells.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- pebble's log:\n{}", self.log());
        }
    }
}
