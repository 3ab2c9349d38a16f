//! TLS: who is trusted, and what each failure is called.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use becket_egress::policy::AddressPolicy;
use becket_egress::{AttemptOutcome, Egress};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{ScriptedResolver, Server, Step, code, egress_with, request_under};

const NAME: &str = "app.example.com";

struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).expect("a certificate");
    Authority { certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
}

/// A certificate and key for `names`, changed as the test likes, signed by `authority`.
fn leaf(
    authority: &Authority,
    names: &[&str],
    change: impl FnOnce(&mut CertificateParams),
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("valid names");
    change(&mut params);
    let certificate = params.signed_by(&key, &authority.issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS #8 key");
    (certificate.der().clone(), key)
}

fn server_config(
    (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
    client_roots: Option<RootCertStore>,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("protocol versions");
    let builder = match client_roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    builder.with_single_cert(vec![certificate], key).expect("a matching key")
}

/// Answers any number of requests per connection with 200 over TLS.
async fn https_server(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let address = listener.local_addr().expect("a bound address");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that turns away from the certificate ends the handshake: expected here.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut buffer = [0; 4096];
                while matches!(stream.read(&mut buffer).await, Ok(count) if count > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn trusting(authority: &Authority) -> Egress {
    let resolver = ScriptedResolver::new()
        .answer(NAME, &["127.0.0.1"])
        .answer("www.example.com", &["127.0.0.1"]);
    egress_with(|config| {
        config.resolver = Arc::new(resolver);
        config.extra_root_certs = vec![authority.certificate.clone()];
        // Loading the system's certificates takes its time in an unoptimised build.
        config.connect_timeout_ms = 5_000;
    })
}

async fn send(egress: &Egress, host: &str, address: SocketAddr) -> AttemptOutcome {
    let url = format!("https://{host}:{}/hook", address.port());
    let mut request = request_under(AddressPolicy::operator(), &url);
    request.timeout_ms = 10_000;
    egress.send(request).await
}

#[tokio::test]
async fn a_proper_certificate_is_accepted_and_the_connection_kept() {
    let authority = authority("trusted");
    let address = https_server(server_config(leaf(&authority, &[NAME], |_| {}), None)).await;
    let egress = trusting(&authority);
    let first = send(&egress, NAME, address).await;
    assert!(first.is_success(), "{first:?}");
    assert!(first.timings.tls_us > 0);
    let second = send(&egress, NAME, address).await;
    assert!(second.is_success() && second.timings.reused, "{second:?}");
    assert_eq!(second.timings.tls_us, 0);
    // A final dot belongs to the DNS and not to the certificate.
    let resolver = ScriptedResolver::new().answer("app.example.com.", &["127.0.0.1"]);
    let egress = egress_with(|config| {
        config.resolver = Arc::new(resolver);
        config.extra_root_certs = vec![authority.certificate.clone()];
        config.connect_timeout_ms = 5_000;
    });
    let dotted = send(&egress, "app.example.com.", address).await;
    assert!(dotted.is_success(), "{dotted:?}");
}

#[tokio::test]
async fn a_certificate_for_the_address_serves_the_address() {
    let authority = authority("trusted");
    let config = server_config(leaf(&authority, &["127.0.0.1"], |_| {}), None);
    let address = https_server(config).await;
    let outcome = send(&trusting(&authority), "127.0.0.1", address).await;
    assert!(outcome.is_success(), "{outcome:?}");
}

#[tokio::test]
async fn certificates_fail_for_their_own_reasons() {
    let authority = authority("trusted");
    let stranger = self::authority("stranger");
    let expired = leaf(&authority, &[NAME], |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let early = leaf(&authority, &[NAME], |params| {
        params.not_before = date_time_ymd(2090, 1, 1);
        params.not_after = date_time_ymd(2091, 1, 1);
    });
    let foreign = leaf(&authority, &["www.example.org"], |_| {});
    let unknown = leaf(&stranger, &[NAME], |_| {});
    let self_signed = {
        let signed = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).expect("one");
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).expect("a key");
        (signed.cert.der().clone(), key)
    };
    let cases = [
        (expired, "tls_expired"),
        (early, "tls_not_yet_valid"),
        (foreign, "tls_wrong_host"),
        (unknown, "tls_unknown_issuer"),
        (self_signed, "tls_unknown_issuer"),
    ];
    let egress = trusting(&authority);
    for (certificate, expected) in cases {
        let address = https_server(server_config(certificate, None)).await;
        let outcome = send(&egress, NAME, address).await;
        assert_eq!(code(&outcome), expected);
        assert_eq!(outcome.status, None);
        assert!(outcome.timings.tls_us > 0);
    }
}

#[tokio::test]
async fn an_authority_used_as_a_server_is_not_accepted() {
    let authority = authority("trusted");
    let pair = leaf(&authority, &[NAME], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let address = https_server(server_config(pair, None)).await;
    let outcome = send(&trusting(&authority), NAME, address).await;
    assert_eq!(code(&outcome), "tls_certificate_invalid");
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_says_so() {
    let authority = authority("trusted");
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).expect("a root");
    let config = server_config(leaf(&authority, &[NAME], |_| {}), Some(roots));
    let address = https_server(config).await;
    let outcome = send(&trusting(&authority), NAME, address).await;
    assert_eq!(code(&outcome), "tls_client_certificate_required", "{outcome:?}");
}

#[tokio::test]
async fn a_large_certificate_is_read() {
    let authority = authority("trusted");
    let names: Vec<String> = (0..1200).map(|n| format!("host-{n}.app.example.com")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push(NAME);
    let pair = leaf(&authority, &names, |_| {});
    assert!(pair.0.len() > 16 * 1024);
    let address = https_server(server_config(pair, None)).await;
    let outcome = send(&trusting(&authority), NAME, address).await;
    assert!(outcome.is_success(), "{outcome:?}");
}

#[tokio::test]
async fn handshakes_that_go_wrong_are_told_apart() {
    let alert = |kind: u8| vec![Step::Pause(20), Step::Write(vec![0x15, 3, 1, 0, 2, 2, kind])];
    // A server hello of TLS 1.0: version 3.1, 32 random bytes, no session, RSA with AES-CBC.
    let mut old_hello = vec![0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    old_hello.extend([7; 32]);
    old_hello.extend([0, 0, 0x2f, 0]);
    let cases = [
        (alert(70), "tls_unsupported"),
        (alert(40), "tls_unsupported"),
        (alert(71), "tls_unsupported"),
        (alert(80), "tls_handshake_failed"),
        (vec![Step::Pause(20), Step::Write(old_hello)], "tls_unsupported"),
        (
            vec![Step::Pause(20), Step::Write(b"HTTP/1.1 400 Bad\r\n\r\n".to_vec())],
            "tls_handshake_failed",
        ),
        (vec![Step::Reset], "tls_handshake_failed"),
        (vec![], "tls_handshake_failed"),
    ];
    let authority = authority("trusted");
    let egress = trusting(&authority);
    for (number, (script, expected)) in cases.into_iter().enumerate() {
        let server = Server::start(script).await;
        let outcome = send(&egress, NAME, server.address).await;
        assert_eq!(code(&outcome), expected, "case {number}");
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_ends_with_the_connect_timeout() {
    let authority = authority("trusted");
    let half_a_record = vec![Step::Write(vec![0x16, 3, 3, 0x40, 0]), Step::Hang];
    for script in [vec![Step::Hang], half_a_record] {
        let server = Server::start(script).await;
        let egress = egress_with(|config| {
            config.resolver = Arc::new(ScriptedResolver::new().answer(NAME, &["127.0.0.1"]));
            config.extra_root_certs = vec![authority.certificate.clone()];
            config.connect_timeout_ms = 700;
        });
        let started = std::time::Instant::now();
        let outcome = send(&egress, NAME, server.address).await;
        assert_eq!(code(&outcome), "tls_timeout");
        assert!(started.elapsed() < Duration::from_millis(3_000));
        assert!(outcome.timings.tls_us > 0);
    }
}
