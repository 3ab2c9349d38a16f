//! Whether a target can be reached: everything up to the first byte of a request, which is never sent.
//!
//! Invariants: the same checks as for a request, because the same code dials; nothing is written to
//! the connection but the TLS handshake, and it is closed at once.

use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

use super::{AddressPolicy, Egress, Target, connect};
use crate::outcome::{AttemptError, Timings};
use crate::stream::Transport;

/// How far one came on the way to a target.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// Why it could not be reached; `None` if it could.
    pub error: Option<AttemptError>,
    /// The address that was connected to.
    pub remote_address: Option<SocketAddr>,
    /// The version of TLS, such as `1.3`; `None` for plain HTTP.
    pub tls_version: Option<&'static str>,
    /// The certificates that the server showed, its own first. They have been verified.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Where the time went.
    pub timings: Timings,
}

impl Egress {
    /// Resolves, connects and finishes the TLS handshake, within `timeout_ms`, and sends nothing.
    /// Never fails: whatever happened is in the outcome.
    pub async fn probe(&self, target: &Target, policy: &AddressPolicy, timeout_ms: u64) -> Probe {
        let mut probe = Probe::default();
        if let Err(refused) = policy.check_target(target) {
            probe.error = Some(refused.into());
            return probe;
        }
        let started = Instant::now();
        let dialled = connect::dial(
            self.inner.resolver.as_ref(),
            &self.inner.tls,
            target,
            policy,
            started + Duration::from_millis(timeout_ms),
            &mut probe.timings,
        )
        .await;
        probe.timings.total_us = crate::stream::elapsed_us(started, Instant::now());
        let dialled = match dialled {
            Ok(dialled) => dialled,
            Err(error) => {
                probe.error = Some(error);
                return probe;
            }
        };
        probe.remote_address = Some(dialled.remote);
        if let Transport::Tls(stream) = &dialled.transport {
            let (_, session) = stream.get_ref();
            probe.tls_version = session.protocol_version().map(|version| match version {
                rustls::ProtocolVersion::TLSv1_3 => "1.3",
                rustls::ProtocolVersion::TLSv1_2 => "1.2",
                _ => "unknown",
            });
            let shown = session.peer_certificates().unwrap_or_default();
            probe.certificates = shown.iter().map(|one| one.clone().into_owned()).collect();
        }
        probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::EgressConfig;

    #[tokio::test]
    async fn policies_hold_for_probes_too() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let egress = Egress::new(EgressConfig::default()).unwrap();
        let (operator, public) =
            (AddressPolicy::operator(), AddressPolicy::public(&[], &[], &[], None));
        let target = operator.check_url(&url).unwrap();
        let probe = egress.probe(&target, &operator, 2_000).await;
        assert_eq!((probe.error, probe.tls_version), (None, None));
        assert_eq!(probe.remote_address, listener.local_addr().ok());
        let refused = egress.probe(&target, &public, 2_000).await;
        assert_eq!(refused.error, Some(AttemptError::AddressRefused));
        assert_eq!(refused.remote_address, None);
        drop(listener);
        let gone = egress.probe(&target, &operator, 2_000).await;
        assert_eq!(gone.error, Some(AttemptError::ConnectRefused));
    }
}
