//! Listeners: what they serve, TLS, handed-over sockets, stopping.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use becket_ingress::ServeError;
use becket_ingress::server::{Bind, Listener, ServeConfig, Server, Serves};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::common::{self, Setup, eventually, exchange_over, github, post, request, source};
use crate::gated_store::GatedStore;

#[tokio::test]
async fn webhooks_and_fallback_together_or_apart() {
    for (serves, webhook, rest) in
        [(Serves::Everything, 200, 200), (Serves::Webhooks, 200, 404), (Serves::Fallback, 200, 200)]
    {
        let mut setup = Setup::new(vec![source("open", "none")]);
        setup.serves = serves;
        let gateway = setup.start().await;
        let answer = gateway.send(post("/in/open", &[], b"abc")).await;
        assert_eq!(answer.status, webhook, "{serves:?}");
        let reached = usize::from(serves != Serves::Fallback);
        assert_eq!(gateway.events().await.len(), reached, "{serves:?}");
        let answer = gateway.send(request("GET", "/healthz", &[], b"")).await;
        assert_eq!(answer.status, rest, "{serves:?}");
        if rest == 200 {
            assert_eq!(answer.text(), "fallback GET /healthz 0");
        }
    }
}

fn certificate() -> (rustls::ServerConfig, rustls::pki_types::CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["hooks.example.com".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![certificate.clone()], key.into())
    .unwrap();
    (config, certificate)
}

async fn over_tls(
    gateway: &common::Gateway,
    trusted: &rustls::pki_types::CertificateDer<'static>,
) -> Option<u16> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots)
    .with_no_client_auth();
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let name = ServerName::try_from("hooks.example.com").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let bytes = github("/in/github", "d", "push", b"{}");
    let (answers, _) = exchange_over(stream, &bytes, common::PATIENCE).await;
    Some(answers[0].status)
}

#[tokio::test]
async fn tls_with_a_certificate_that_changes() {
    let (first, first_certificate) = certificate();
    let tls = Arc::new(ArcSwap::from_pointee(first));
    let mut setup = Setup::new(vec![source("github", "github")]);
    setup.tls = Some(Arc::clone(&tls));
    setup.limits.header_timeout_ms = 500;
    let gateway = setup.start().await;
    assert_eq!(over_tls(&gateway, &first_certificate).await, Some(200));
    let (second, second_certificate) = certificate();
    tls.store(Arc::new(second));
    assert_eq!(over_tls(&gateway, &first_certificate).await, None);
    assert_eq!(over_tls(&gateway, &second_certificate).await, Some(200));

    let failed = || {
        let events = gateway.told.connections.lock();
        events.iter().filter(|event| **event == becket_ingress::ConnectionEvent::TlsFailed).count()
    };
    let before = failed();
    let mut plain = TcpStream::connect(gateway.address).await.unwrap();
    plain.write_all(&github("/in/github", "plain", "push", b"{}")).await.unwrap();
    let silent = TcpStream::connect(gateway.address).await.unwrap();
    eventually(|| failed() == before + 2).await;
    drop(silent);
    assert_eq!(gateway.events().await.len(), 1, "the second was a duplicate");
}

#[tokio::test]
async fn a_handed_over_listener_is_served_by_all_threads() {
    let gateway = Setup::new(vec![source("open", "none")]).start().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Listener {
        bind: Bind::Open(vec![socket.try_clone().unwrap()]),
        serves: Serves::Webhooks,
        tls: None,
    };
    let mut config = ServeConfig::new(vec![listener]);
    config.threads = Some(3);
    let server = Server::start(config, Arc::clone(&gateway.ingress), Arc::new(Nothing)).unwrap();
    assert_eq!(server.addresses(), [address]);
    for number in 0..20 {
        let body = format!("{number}");
        let bytes = post("/in/open", &[], body.as_bytes());
        let (answers, _) = common::exchange(address, &bytes, common::PATIENCE).await;
        assert_eq!(answers[0].status, 200);
    }
    tokio::task::spawn_blocking(move || server.join()).await.unwrap();
    // The socket still listens for whoever is started next; nobody is refused meanwhile.
    assert!(TcpStream::connect(address).await.is_ok());
}

struct Nothing;

impl becket_ingress::server::Fallback for Nothing {
    fn handle(
        &self,
        _request: http::Request<becket_ingress::TimedBody<hyper::body::Incoming>>,
        _peer: becket_ingress::Peer,
    ) -> becket_ingress::server::FallbackFuture<'_> {
        use http_body_util::{BodyExt, Empty};
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Box::pin(async move { http::Response::new(body) })
    }
}

#[tokio::test]
async fn an_address_in_use_is_said_so() {
    let gateway = Setup::new(vec![source("open", "none")]).start().await;
    let config = ServeConfig::new(vec![Listener::on(gateway.address)]);
    let again = Server::start(config, Arc::clone(&gateway.ingress), Arc::new(Nothing));
    let error = again.err().unwrap();
    assert!(matches!(&error, ServeError::Bind { .. }));
    assert!(error.to_string().contains("already listens"), "{error}");
    let none = ServeConfig::new(Vec::new());
    let error = Server::start(none, Arc::clone(&gateway.ingress), Arc::new(Nothing)).err().unwrap();
    assert_eq!(error.code(), "listen_none");
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight() {
    let mut setup = Setup::new(vec![source("github", "github")]);
    setup.wrap = Some(GatedStore::wrap);
    setup.grace = Duration::from_secs(60);
    let mut gateway = setup.start().await;
    let mut idle = TcpStream::connect(gateway.address).await.unwrap();
    let address = gateway.address;
    let in_flight = tokio::spawn(async move {
        let bytes = github("/in/github", "d", "wait-500", b"{}");
        common::exchange(address, &bytes, common::PATIENCE).await
    });
    eventually(|| gateway.lanes.reserved.lock().len() == 1).await;
    let server = gateway.server.take().unwrap();
    let begun = std::time::Instant::now();
    tokio::task::spawn_blocking(move || server.join()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let (answers, _) = in_flight.await.unwrap();
    assert_eq!(answers[0].status, 200);
    assert_eq!(gateway.events().await.len(), 1);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    let mut byte = [0];
    assert_eq!(tokio::io::AsyncReadExt::read(&mut idle, &mut byte).await.unwrap_or(0), 0);
}
