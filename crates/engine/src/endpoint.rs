//! An endpoint as the engine is given it, and what is worked out of it with its first attempt instead
//! of with each: most endpoints rest, and what rests should be small.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use becket_egress::AttemptError;
use becket_egress::action::{Action, Transform};
use becket_egress::headers::{ForwardOptions, SenderWebhookHeaders, validate_custom};
use becket_egress::policy::{AddressPolicy, Target, TargetRefused};
use becket_model::attempt_detail::is_credential;
use becket_model::{
    ApplicationKey, EndpointId, EndpointKey, EndpointSettings, EndpointState, RetrySchedule,
};
use becket_signature::standard_webhooks::{SigningKey, sign_headers};
use becket_store::Owner;
use http::{HeaderName, HeaderValue};

use crate::shared_rate::SharedRate;

/// All that is needed to deliver to one endpoint.
#[derive(Clone)]
pub struct EndpointRuntime {
    /// Its number in the store.
    pub key: EndpointKey,
    /// Its public id.
    pub id: EndpointId,
    /// The application or source it belongs to.
    pub application: ApplicationKey,
    /// The source's name, sent as `becket-source`; empty sends no such header.
    pub source_uid: String,
    /// Whose it is.
    pub owner: Owner,
    /// How it is called. Its headers are sent as they are here.
    pub settings: Arc<EndpointSettings>,
    /// Schedules of event types that replace the endpoint's own; empty for none. Share one per owner.
    pub retry_by_type: Arc<HashMap<String, RetrySchedule>>,
    /// A limit that all endpoints of its application share, each with the same one here.
    pub application_rate: Option<Arc<SharedRate>>,
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
    /// What is done instead of posting, for an endpoint of another kind; the URL then only names it.
    pub action: Option<Arc<dyn Action>>,
    /// What changes deliveries before they are signed.
    pub transform: Option<Arc<dyn Transform>>,
}

/// An endpoint with what is the same for each attempt, made ready when it is first asked for.
pub(crate) struct Prepared {
    pub(crate) runtime: EndpointRuntime,
    ready: OnceLock<Box<Ready>>,
}

pub(crate) struct Ready {
    /// The custom headers; an error if one of them cannot be sent.
    pub(crate) custom: Result<Vec<(HeaderName, HeaderValue)>, AttemptError>,
    pub(crate) source: Option<HeaderValue>,
    /// The URL as it is shown in the details of attempts.
    pub(crate) shown_url: Arc<str>,
}

impl Prepared {
    pub(crate) const fn new(runtime: EndpointRuntime) -> Self {
        Self { runtime, ready: OnceLock::new() }
    }

    pub(crate) fn ready(&self) -> &Ready {
        self.ready.get_or_init(|| Box::new(Ready::of(&self.runtime)))
    }

    /// Which headers of the sender travel on.
    pub(crate) fn forward(&self) -> ForwardOptions {
        ForwardOptions {
            keep_authorization: self.runtime.settings.forward_authorization,
            webhook_headers: SenderWebhookHeaders::Renamed,
        }
    }

    /// When a failed attempt at an event of this type is tried again.
    pub(crate) fn retry(&self, event_type: Option<&str>) -> &RetrySchedule {
        let by_type = event_type.and_then(|name| self.runtime.retry_by_type.get(name));
        by_type.unwrap_or(&self.runtime.settings.retry)
    }

    /// The value of `webhook-signature`: one signature per key whose time has not ended.
    pub(crate) fn sign(&self, id: &str, now_ms: i64, body: &[u8]) -> String {
        let now_s = now_ms.div_euclid(1_000);
        let mut header = String::new();
        for (key, expiry) in &self.runtime.signing_keys {
            if expiry.is_some_and(|until_ms| now_ms >= until_ms) {
                continue;
            }
            if !header.is_empty() {
                header.push(' ');
            }
            header.push_str(&sign_headers(std::slice::from_ref(key), id, now_s, body));
        }
        header
    }

    /// The most attempts that may be under way at once.
    pub(crate) fn concurrency(&self) -> usize {
        usize::try_from(self.runtime.settings.concurrency).unwrap_or(usize::MAX).max(1)
    }
}

impl Ready {
    fn of(runtime: &EndpointRuntime) -> Self {
        let custom = runtime.settings.headers.iter().map(|(name, value)| {
            let (name, mut value) = validate_custom(name, value)?;
            value.set_sensitive(is_credential(name.as_str()));
            Ok((name, value))
        });
        let custom = custom.collect::<Result<Vec<_>, _>>().map_err(
            |refused: becket_egress::headers::HeaderRefused| {
                let endpoint = runtime.id;
                tracing::warn!(%endpoint, code = refused.code(), "custom header cannot be sent");
                AttemptError::RequestInvalid
            },
        );
        let source = Some(&runtime.source_uid).filter(|uid| !uid.is_empty());
        Self {
            custom,
            source: source.and_then(|uid| HeaderValue::from_str(uid).ok()),
            shown_url: match &runtime.target {
                Ok(target) if runtime.action.is_none() => target.to_string().into(),
                _ => runtime.settings.url.as_str().into(),
            },
        }
    }
}
