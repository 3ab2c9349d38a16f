//! An endpoint as the engine is given it, and what is worked out of it once instead of per attempt.

use std::sync::Arc;

use becket_egress::AttemptError;
use becket_egress::headers::{ForwardOptions, SenderWebhookHeaders, validate_custom};
use becket_egress::policy::{AddressPolicy, Target, TargetRefused};
use becket_model::{ApplicationKey, EndpointId, EndpointKey, EndpointSettings, EndpointState};
use becket_signature::standard_webhooks::{SigningKey, sign_headers};
use becket_store::Owner;
use http::{HeaderName, HeaderValue};

/// All that is needed to deliver to one endpoint.
#[derive(Clone)]
pub struct EndpointRuntime {
    /// Its number in the store.
    pub key: EndpointKey,
    /// Its public id.
    pub id: EndpointId,
    /// The source it belongs to.
    pub application: ApplicationKey,
    /// The source's name, sent as `becket-source`.
    pub source_uid: String,
    /// Whose it is.
    pub owner: Owner,
    /// How it is called.
    pub settings: Arc<EndpointSettings>,
    /// Whether it takes deliveries.
    pub state: EndpointState,
    /// Since when every attempt has failed, in milliseconds since 1970.
    pub failing_since_ms: Option<i64>,
    /// The keys that sign, newest first, each with the end of its time (milliseconds since 1970).
    pub signing_keys: Vec<(SigningKey, Option<i64>)>,
    /// The checked URL, or why it is refused; then every attempt fails with that reason.
    pub target: Result<Arc<Target>, TargetRefused>,
    /// What the URL may lead to.
    pub policy: Arc<AddressPolicy>,
}

/// An endpoint with everything prepared that is the same for each attempt.
pub(crate) struct Prepared {
    pub(crate) runtime: EndpointRuntime,
    /// The custom headers; an error if one of them cannot be sent.
    pub(crate) custom: Result<Vec<(HeaderName, HeaderValue)>, AttemptError>,
    pub(crate) source: Option<HeaderValue>,
    pub(crate) forward: ForwardOptions,
    /// The URL as it is shown in the details of attempts.
    pub(crate) shown_url: String,
    keys: Vec<SigningKey>,
    expiries_ms: Vec<Option<i64>>,
}

impl Prepared {
    pub(crate) fn new(runtime: EndpointRuntime) -> Self {
        let custom = runtime
            .settings
            .headers
            .iter()
            .map(|(name, value)| {
                let header = validate_custom(name, value);
                header.map(|(name, mut value)| {
                    value.set_sensitive(becket_model::attempt_detail::is_credential(name.as_str()));
                    (name, value)
                })
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|refused| {
                let endpoint = runtime.id;
                tracing::warn!(%endpoint, code = refused.code(), "custom header cannot be sent");
                AttemptError::RequestInvalid
            });
        let (keys, expiries_ms) = runtime.signing_keys.iter().cloned().unzip();
        let shown_url = match &runtime.target {
            Ok(target) => target.to_string(),
            Err(_) => runtime.settings.url.clone(),
        };
        Self {
            custom,
            source: HeaderValue::from_str(&runtime.source_uid).ok(),
            forward: ForwardOptions {
                keep_authorization: runtime.settings.forward_authorization,
                webhook_headers: SenderWebhookHeaders::Renamed,
            },
            shown_url,
            keys,
            expiries_ms,
            runtime,
        }
    }

    /// The value of `webhook-signature`: one signature per key whose time has not ended.
    pub(crate) fn sign(&self, id: &str, now_ms: i64, body: &[u8]) -> String {
        let now_s = now_ms.div_euclid(1_000);
        let holds = |expiry: &Option<i64>| expiry.is_none_or(|until_ms| now_ms < until_ms);
        if self.expiries_ms.iter().all(holds) {
            return sign_headers(&self.keys, id, now_s, body);
        }
        let current = self.keys.iter().zip(&self.expiries_ms).filter(|(_, expiry)| holds(expiry));
        let signatures: Vec<String> = current
            .map(|(key, _)| sign_headers(std::slice::from_ref(key), id, now_s, body))
            .collect();
        signatures.join(" ")
    }

    /// The most attempts that may be under way at once.
    pub(crate) fn concurrency(&self) -> usize {
        usize::try_from(self.runtime.settings.concurrency).unwrap_or(usize::MAX).max(1)
    }
}
