//! TLS towards brokers: the certificate is always checked, against the usual authorities, the
//! system's own and those that the configuration adds.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Reads the trusted certificates, which takes milliseconds. The error is the rest of a sentence.
pub(crate) fn client(extra: Option<&Path>) -> Result<ClientConfig, String> {
    let extra: Vec<CertificateDer<'static>> = match extra {
        None => Vec::new(),
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| format!("`root_certificate` cannot be read: {error}"))?,
    };
    let roots = becket_egress::trusted_roots(&extra)
        .map_err(|error| format!("the trusted certificates cannot be used: {error}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
