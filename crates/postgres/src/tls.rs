//! TLS towards PostgreSQL: the certificate is always checked, and the handshake is tied to the
//! authentication (`tls-server-end-point`, RFC 5929) for servers that want that.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ring::digest;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as RustlsStream;

/// Encrypts connections, with one configuration.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the trusted certificates: the usual ones, the system's own and those of `extra`.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn new(extra: Option<&Path>) -> Result<Self, String> {
        let extra: Vec<CertificateDer<'static>> = match extra {
            None => Vec::new(),
            Some(path) => CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect)
                .map_err(|error| format!("`sslrootcert` cannot be read: {error}"))?,
        };
        let roots = becket_egress::trusted_roots(&extra)
            .map_err(|error| format!("the trusted certificates cannot be used: {error}"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = Connect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Connect> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::other("the host is no name that a certificate can have"))?;
        Ok(Connect { config: Arc::clone(&self.config), name })
    }
}

/// One handshake.
pub struct Connect {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl<S> TlsConnect<S> for Connect
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            TlsConnector::from(self.config).connect(self.name, stream).await.map(Stream)
        })
    }
}

/// An encrypted connection.
pub struct Stream<S>(RustlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .and_then(|certificate| {
                let algorithm = hash_of(signature_oid(certificate)?)?;
                Some(digest::digest(algorithm, certificate).as_ref().to_vec())
            })
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// The DER bytes of the identifier of the algorithm that a certificate is signed with: the first
/// element of the second element of the outermost sequence.
fn signature_oid(certificate: &[u8]) -> Option<&[u8]> {
    let (tag, outer, _) = element(certificate)?;
    let (_, _, after) = element(outer).filter(|_| tag == 0x30)?;
    let (tag, algorithm, _) = element(after)?;
    let (oid_tag, oid, _) = element(algorithm).filter(|_| tag == 0x30)?;
    (oid_tag == 0x06).then_some(oid)
}

/// The first DER element of `bytes`: its tag, its content, and what comes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (length, rest) = rest.split_at(count);
        (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    (rest.len() >= length).then(|| {
        let (content, after) = rest.split_at(length);
        (tag, content, after)
    })
}

/// The hash that RFC 5929 asks for: that of the signature, and SHA-256 in place of older ones.
/// None for signatures that name no hash of their own (RSA-PSS, Ed25519).
fn hash_of(oid: &[u8]) -> Option<&'static digest::Algorithm> {
    // 1.2.840.113549.1.1.x is RSA, 1.2.840.10045.4.3.x is ECDSA.
    const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    match (oid.strip_prefix(&RSA), oid.strip_prefix(&ECDSA)) {
        (Some([4 | 5 | 11]), _) | (_, Some([2])) => Some(&digest::SHA256),
        (Some([12]), _) | (_, Some([3])) => Some(&digest::SHA384),
        (Some([13]), _) | (_, Some([4])) => Some(&digest::SHA512),
        _ => None,
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
