//! The way to the provider: through the guarded connector, with bounded time and bytes.

use std::sync::Arc;

use becket_api::SignInError;
use becket_egress::policy::AddressPolicy;
use becket_egress::{Egress, EgressConfig, EgressError, OutboundRequest};
use bytes::Bytes;
use http::{HeaderMap, Method};
use rustls_pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

/// The largest answer that is read, in bytes; some providers publish dozens of keys.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// How long one answer may take, in milliseconds.
const TIMEOUT_MS: u64 = 10_000;
/// All connections of this egress may be shared.
const POOL_KEY: u64 = 0;

/// Asks the provider.
#[derive(Clone)]
pub(in crate::serve) struct Asker {
    egress: Egress,
    policy: Arc<AddressPolicy>,
    /// Connections are used where they were made; handlers run on several runtimes.
    runtime: Handle,
}

impl Asker {
    /// Has to be made inside the runtime that will do the asking.
    pub(super) fn new(
        extra_root_certs: Vec<CertificateDer<'static>>,
        policy: Arc<AddressPolicy>,
    ) -> Result<Self, EgressError> {
        let egress = Egress::new(EgressConfig {
            extra_root_certs,
            response_limit_bytes: ANSWER_BYTES_MAX,
            max_idle_total: 2,
            max_idle_per_endpoint: 2,
            ..EgressConfig::default()
        })?;
        Ok(Self { egress, policy, runtime: Handle::current() })
    }

    /// The JSON that a request is answered with.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: &str,
        url: &str,
        headers: HeaderMap,
        body: &str,
    ) -> Result<T, SignInError> {
        let place = url.split(['?', '#']).next().unwrap_or_default().to_owned();
        let failed = |what: String| SignInError::Unreachable(format!("{place}: {what}"));
        let target = self.policy.check_url(url).map_err(|refused| failed(refused.to_string()))?;
        let request = OutboundRequest {
            method: Method::POST,
            pool_key: POOL_KEY,
            target: Arc::new(target),
            policy: Arc::clone(&self.policy),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            timeout_ms: TIMEOUT_MS,
            connect_timeout_ms: None,
        };
        let (egress, posts) = (self.egress.clone(), method == "POST");
        let asking = self.runtime.spawn(async move {
            if posts { egress.send(request).await } else { egress.fetch(request).await }
        });
        let outcome = asking.await.map_err(|error| failed(error.to_string()))?;
        let answer = Zeroizing::new(outcome.body.to_vec());
        match (outcome.error, outcome.status) {
            (Some(error), _) => Err(failed(error.to_string())),
            (None, Some(200..300)) if outcome.body_truncated => {
                Err(failed(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")))
            }
            (None, Some(200..300)) => serde_json::from_slice(&answer).map_err(|error| {
                failed(format!("the answer is not what it should be ({:?})", error.classify()))
            }),
            // A code that was used before, or is another's, is refused by the provider itself.
            (None, Some(400..500)) if posts => Err(SignInError::Unproven(format!(
                "the provider did not take the code{}",
                oauth_error(&answer)
            ))),
            (None, status) => {
                Err(failed(format!("the answer's status is {}", status.unwrap_or(0))))
            }
        }
    }
}

/// The error's code in a provider's answer, which is one of a few words (RFC 6749, section 5.2).
fn oauth_error(answer: &[u8]) -> String {
    let answer: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let code = answer["error"].as_str().unwrap_or_default();
    let plain =
        code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if plain && !code.is_empty() { format!(" ({code})") } else { String::new() }
}
