//! Every door out of the gateway: the one crate that resolves names, dials sockets and speaks HTTP
//! to the outside.
//!
//! Role: [`Egress::send`] takes a checked [`policy::Target`], resolves its name, checks *every*
//! address against the [`policy::AddressPolicy`], dials only what was checked, speaks HTTP/1.1 with
//! bounded time and bounded memory, and returns an [`AttemptOutcome`]: a value, whatever happened.
//!
//! Invariants:
//! - A connection is only ever opened to an address that the policy allowed, and the peer address is
//!   read back and checked again once connected. A pooled connection is checked again before reuse.
//! - The total timeout covers everything: name resolution, connecting, TLS, headers and body.
//! - What is kept of a response is bounded: 64 KiB of headers (informational responses included),
//!   100 header fields, and `response_limit_bytes` of body, exactly as sent (never decompressed).
//! - Pooled connections are keyed by endpoint and by target: two endpoints never share one.
//!
//! Deliberately absent: redirects (a 3xx is an answer like any other), HTTP/2 and HTTP/3, `Alt-Svc`,
//! cookies, proxies from the environment, certificate revocation lists, and any knowledge of the
//! store. Deciding what to do with an outcome is the engine's business.
//!
//! Where to go next: [`policy`] for what may be reached, [`headers`] for what is sent along,
//! [`outcome`] for what comes back, [`action`] for endpoints that are not posted to, `send` for the path of one request.

pub mod action;
mod client_tls;
mod connect;
pub mod headers;
pub mod outcome;
pub mod policy;
mod pool;
mod resolve;
mod send;
mod stream;

pub use outcome::{Acted, AttemptError, AttemptOutcome, RetryAfter, Timings};
pub use resolve::{Resolve, ResolveError, SystemResolver};
pub use send::{Egress, EgressConfig, EgressError, OutboundRequest, Probe};

/// The certificate authorities that connections trust: the bundled set, the system's own, and
/// `extra_roots`. For judging certificates that come inside an answer. Reads files: not on a thread
/// that delivers.
///
/// # Errors
/// [`EgressError::RootCertificate`] if one of `extra_roots` is no certificate.
pub fn trusted_roots(
    extra_roots: &[rustls_pki_types::CertificateDer<'static>],
) -> Result<rustls::RootCertStore, EgressError> {
    client_tls::trusted(extra_roots.to_vec()).map_err(EgressError::RootCertificate)
}
