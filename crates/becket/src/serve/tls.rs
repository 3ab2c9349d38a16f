//! HTTPS: a certificate and its key from files, read again when they change.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::ServeError;

/// The settings that new connections are answered with.
pub(super) type Served = Arc<ArcSwap<ServerConfig>>;

/// Reads a certificate chain and its key.
pub(super) fn from_files(cert_file: &Path, key_file: &Path) -> Result<ServerConfig, ServeError> {
    let read = |file: &Path| std::fs::read(file).map_err(|error| ServeError::file(file, &error));
    from_pem(&read(cert_file)?, &read(key_file)?).map_err(|error| match error {
        ServeError::Tls { detail } => ServeError::Tls {
            detail: format!("{} and {}: {detail}", cert_file.display(), key_file.display()),
        },
        other => other,
    })
}

/// Makes the settings from a chain and its key as PEM.
pub(super) fn from_pem(chain: &[u8], key: &[u8]) -> Result<ServerConfig, ServeError> {
    let wrong = |detail: String| ServeError::Tls { detail };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("the certificate cannot be read: {error}")))?;
    if chain.is_empty() {
        return Err(wrong("there is no certificate in the file".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| wrong(format!("the key cannot be read: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(format!("certificate and key do not fit: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
