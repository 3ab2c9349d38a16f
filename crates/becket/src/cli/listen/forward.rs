//! Forwarding one delivery to a program on this machine.

use std::sync::Arc;
use std::time::Duration;

use becket_develop::listen::routing::Routing;
use becket_develop::listen::state::Reply;
use becket_develop::listen::wire::{Parcel, text_of};
use becket_egress::policy::Target;
use becket_egress::{AttemptError, AttemptOutcome, Egress, EgressConfig, OutboundRequest};
use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::cli::CliError;

/// What the gateway waits longer than a handler may take: for the way there and back.
pub(super) const WAY_MS: u64 = 5_000;

/// Sends deliveries to handlers.
#[derive(Clone)]
pub(super) struct Forwarder {
    egress: Egress,
    pub routing: Arc<Routing>,
}

impl Forwarder {
    /// Prepares to forward; `ca_file` adds authorities to trust.
    pub fn new(routing: Routing, ca_file: Option<&std::path::Path>) -> Result<Self, CliError> {
        let extra_root_certs = match ca_file {
            None => Vec::new(),
            Some(file) => CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| {
                    CliError::usage(format!("--forward-ca {}: {error}", file.display()))
                        .hint("it has to hold certificates in PEM form")
                })?,
        };
        let config = EgressConfig { extra_root_certs, ..EgressConfig::default() };
        let egress = Egress::new(config).map_err(|error| CliError::usage(error.to_string()))?;
        Ok(Self { egress, routing: Arc::new(routing) })
    }

    /// Where a delivery goes, as text.
    pub fn target(&self, parcel: &Parcel) -> Result<Target, String> {
        self.routing
            .target(parcel.event_type.as_deref(), &parcel.path)
            .map_err(|error| error.to_string())
    }

    /// Sends a delivery on, with method, headers and body as they came.
    pub async fn forward(&self, parcel: &Parcel, target: Target, body: Bytes) -> AttemptOutcome {
        let method = parcel.method.parse().unwrap_or(http::Method::POST);
        // A handler gets what the gateway waits for, less the way; breaking off here is told to the
        // gateway, which otherwise would think that this listener is gone.
        let timeout_ms = parcel.timeout_ms.saturating_sub(WAY_MS).max(1_000);
        let request = OutboundRequest {
            pool_key: 0,
            method,
            target: Arc::new(target),
            policy: Arc::clone(self.routing.policy()),
            headers: parcel.header_map(),
            body,
            timeout_ms,
            connect_timeout_ms: Some(5_000),
        };
        let limit = Duration::from_millis(timeout_ms + WAY_MS / 2);
        tokio::time::timeout(limit, self.egress.send(request))
            .await
            .unwrap_or_else(|_| AttemptOutcome::failed(AttemptError::Timeout))
    }
}

/// What came back, as it is shown.
pub(super) fn reply(outcome: &AttemptOutcome, target: &str) -> Reply {
    Reply {
        status: outcome.status,
        error: outcome.error.map(AttemptError::code),
        words: outcome.error.map(|error| words(error, target)).unwrap_or_default(),
        headers: outcome
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), text_of(value)))
            .collect(),
        body: outcome.body.clone(),
        body_truncated: outcome.body_truncated,
        took_us: outcome.timings.total_us,
    }
}

/// Why a handler was not reached, for the person who writes it.
fn words(error: AttemptError, target: &str) -> String {
    match error {
        AttemptError::ConnectRefused => {
            format!(
                "connection refused: nothing listens at {target}; start your handler, then replay"
            )
        }
        AttemptError::Timeout => format!("{target} did not answer in time"),
        other => format!("{target}: {other}"),
    }
}
