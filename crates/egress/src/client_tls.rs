//! TLS towards endpoints: which certificates are trusted, and what a failed handshake is called.
//!
//! The roots are the bundled Mozilla set plus the system's own (so that an operator's private
//! authority works once it is installed) plus what the configuration adds. They are loaded at the
//! first https request, because most starts never need them. Absent: revocation lists, client
//! certificates.

use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::outcome::AttemptError;
use crate::policy::{Target, TargetHost};

/// The client configuration, built when first needed.
pub(crate) struct ClientTls {
    extra_roots: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl ClientTls {
    /// Refuses extra roots that are no certificates, without loading anything else.
    pub(crate) fn new(extra_roots: Vec<CertificateDer<'static>>) -> Result<Self, rustls::Error> {
        let mut store = RootCertStore::empty();
        for root in &extra_roots {
            store.add(root.clone())?;
        }
        Ok(Self { extra_roots, config: OnceCell::new() })
    }

    /// Handshakes with the target's host name (or address) as the name to be proven.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, AttemptError> {
        let name = server_name(target)?;
        let config = self.config.get_or_try_init(|| load(self.extra_roots.clone())).await?;
        TlsConnector::from(Arc::clone(config))
            .connect(name, stream)
            .await
            .map_err(|error| classify_io(&error).unwrap_or(AttemptError::TlsHandshakeFailed))
    }
}

/// Reading and parsing some hundred certificates takes milliseconds: not on a thread that delivers.
async fn load(
    extra_roots: Vec<CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, AttemptError> {
    let built = tokio::task::spawn_blocking(move || build(extra_roots)).await;
    match built {
        Ok(Ok(config)) => Ok(Arc::new(config)),
        Ok(Err(error)) => {
            tracing::error!(%error, "TLS towards endpoints cannot be set up");
            Err(AttemptError::TlsHandshakeFailed)
        }
        Err(error) => {
            tracing::error!(%error, "loading the trusted certificates was interrupted");
            Err(AttemptError::TlsHandshakeFailed)
        }
    }
}

/// The authorities that are trusted: the bundled ones, the system's own, and the given ones. Reads
/// files and takes milliseconds.
pub(crate) fn trusted(
    extra_roots: Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "some of the system's certificates could not be read");
    }
    roots.add_parsable_certificates(native.certs);
    for root in extra_roots {
        roots.add(root)?;
    }
    Ok(roots)
}

fn build(extra_roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    let roots = trusted(extra_roots)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Certificates and SNI never carry the final dot that a name may have.
fn server_name(target: &Target) -> Result<ServerName<'static>, AttemptError> {
    match target.host() {
        TargetHost::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        TargetHost::Name(name) => {
            let bare = name.strip_suffix('.').unwrap_or(name);
            ServerName::try_from(bare.to_owned()).map_err(|_| AttemptError::UrlRefused)
        }
    }
}

/// What a TLS failure inside an I/O error is called; `None` if there is none inside.
pub(crate) fn classify_io(error: &io::Error) -> Option<AttemptError> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(classify(inner))
}

fn classify(error: &rustls::Error) -> AttemptError {
    match error {
        rustls::Error::InvalidCertificate(reason) => classify_certificate(reason),
        rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => {
            AttemptError::TlsUnsupported
        }
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::HandshakeFailure
            | AlertDescription::NoApplicationProtocol => AttemptError::TlsUnsupported,
            // Sent by a server that wanted a client certificate and got none.
            AlertDescription::CertificateRequired | AlertDescription::BadCertificate => {
                AttemptError::TlsClientCertificateRequired
            }
            _ => AttemptError::TlsHandshakeFailed,
        },
        _ => AttemptError::TlsHandshakeFailed,
    }
}

fn classify_certificate(reason: &CertificateError) -> AttemptError {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            AttemptError::TlsExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            AttemptError::TlsNotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            AttemptError::TlsWrongHost
        }
        CertificateError::UnknownIssuer => AttemptError::TlsUnknownIssuer,
        CertificateError::Revoked => AttemptError::TlsRevoked,
        _ => AttemptError::TlsCertificateInvalid,
    }
}
