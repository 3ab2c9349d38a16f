//! One fetch: a token if the entry wants one, the request, and what its answer means.
//!
//! Invariants: one deadline covers token and keys; only https is dialled, and only what the policy
//! allows; what does not fit into [`ANSWER_BYTES_MAX`] is refused and not cut.

use std::sync::Arc;
use std::time::Duration;

use becket_egress::policy::AddressPolicy;
use becket_egress::{AttemptOutcome, Egress, OutboundRequest};
use becket_signature::{FetchedKeys, KeyError, KeyFormat, KeyRequest, OauthRequest};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::certificate::check_answer;
use crate::token::{self, Tokens};
use crate::trouble::KeyTrouble;

/// The largest answer that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long everything may take, in milliseconds.
pub const FETCH_TIMEOUT_MS: u64 = 5_000;
/// All connections of this crate's own egress may be shared.
const POOL_KEY: u64 = 0;

/// Keys that arrived.
pub(crate) struct Arrived {
    pub keys: FetchedKeys,
    pub bytes: usize,
}

/// Why none arrived.
#[derive(Debug)]
pub(crate) struct Failure {
    pub trouble: KeyTrouble,
    /// For the operator's log.
    pub detail: Option<String>,
}

impl Failure {
    fn of(code: &'static str, detail: Option<String>) -> Self {
        Self { trouble: KeyTrouble::unavailable(code), detail }
    }

    /// What came is another's: coming again would not help.
    fn untrusted(detail: String) -> Self {
        Self { trouble: KeyTrouble::Unknown, detail: Some(detail) }
    }

    fn of_status(status: u16) -> Self {
        Self::of("status", Some(format!("the answer's status is {status}")))
    }
}

/// The way to providers.
pub(crate) struct Way {
    pub egress: Egress,
    pub policy: Arc<AddressPolicy>,
    pub tokens: Tokens,
    pub extra_roots: Vec<CertificateDer<'static>>,
    pub roots: OnceCell<RootCertStore>,
}

impl Way {
    /// Gets the keys of a request; `now_ms` is the time at which tokens and certificates are judged.
    pub async fn fetch(&self, request: &KeyRequest, now_ms: i64) -> Result<Arrived, Failure> {
        let deadline = Instant::now() + Duration::from_millis(FETCH_TIMEOUT_MS);
        let mut outcome = self.ask(request, now_ms, deadline).await?;
        if let (Some(401 | 403), Some(oauth)) = (outcome.status, &request.oauth) {
            // The token was withdrawn before its time: once more with a fresh one.
            self.tokens.forget(oauth);
            outcome = self.ask(request, now_ms, deadline).await?;
        }
        let body = complete(outcome, |status| match status {
            // A whole set of keys that is not there is an outage.
            404 | 410 if request.format != KeyFormat::Jwks => {
                let detail = format!("the answer's status is {status}");
                Failure { trouble: KeyTrouble::Unknown, detail: Some(detail) }
            }
            status => Failure::of_status(status),
        })?;
        let keys =
            FetchedKeys::parse(request, &body, now_ms.div_euclid(1_000)).map_err(
                |why| match why {
                    KeyError::WrongSubject | KeyError::OutOfDate => {
                        Failure::untrusted(why.to_string())
                    }
                    KeyError::Unusable { .. } => Failure::of("unreadable", Some(why.to_string())),
                },
            )?;
        if request.format == KeyFormat::Certificate {
            self.check(request, &body, now_ms).await?;
        }
        Ok(Arrived { keys, bytes: body.len() })
    }

    /// GETs an address and is content with any 2xx.
    pub async fn visit(&self, url: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_millis(FETCH_TIMEOUT_MS);
        let outcome = self.send("GET", url, HeaderMap::new(), Bytes::new(), deadline).await?;
        match (outcome.error, outcome.status) {
            // How much there is to read is of no interest.
            (None, Some(200..300)) => Ok(()),
            (None, Some(status)) => Err(Failure::of_status(status)),
            (error, _) => Err(Failure::of(error.map_or("status", |error| error.code()), None)),
        }
    }

    async fn ask(
        &self,
        request: &KeyRequest,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<AttemptOutcome, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in &request.headers {
            let sendable = HeaderName::try_from(name.as_str()).ok().zip(secret_value(value));
            let (name, value) = sendable.ok_or_else(|| {
                let detail = format!("the entry's header `{name}` has a value that cannot be sent");
                Failure::of("header", Some(detail))
            })?;
            headers.insert(name, value);
        }
        if let Some(oauth) = &request.oauth {
            let token = self.token(oauth, now_ms, deadline).await?;
            let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
            let value = secret_value(&bearer).ok_or_else(|| Failure::of("token", None))?;
            headers.insert(AUTHORIZATION, value);
        }
        let body = Bytes::copy_from_slice(&request.body);
        self.send(&request.method, &request.url, headers, body, deadline).await
    }

    async fn token(
        &self,
        oauth: &OauthRequest,
        now_ms: i64,
        deadline: Instant,
    ) -> Result<Zeroizing<String>, Failure> {
        if let Some(token) = self.tokens.get(oauth, now_ms) {
            return Ok(token);
        }
        let failed = |detail: String| Failure::of("token", Some(detail));
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let basic = secret_value(&token::basic(oauth));
        headers.insert(AUTHORIZATION, basic.ok_or_else(|| failed("no credentials".to_owned()))?);
        let body = Bytes::from(token::form(oauth));
        let outcome = self.send("POST", &oauth.url, headers, body, deadline).await?;
        let answer = complete(outcome, |status| {
            failed(format!("the request for an access token was answered with status {status}"))
        })?;
        let answer = Zeroizing::new(answer.to_vec());
        let token = self.tokens.keep(oauth, &answer, now_ms);
        token.ok_or_else(|| failed("the answer has no `access_token`".to_owned()))
    }

    async fn send(
        &self,
        method: &str,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        deadline: Instant,
    ) -> Result<AttemptOutcome, Failure> {
        let target = self
            .policy
            .check_url(url)
            .map_err(|refused| Failure::of("url", Some(refused.to_string())))?;
        if !target.is_https() {
            return Err(Failure::of("url", Some("only https is asked for keys".to_owned())));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout_ms = u64::try_from(left.as_millis()).unwrap_or(FETCH_TIMEOUT_MS);
        let request = OutboundRequest {
            method: http::Method::POST,
            pool_key: POOL_KEY,
            target: Arc::new(target),
            policy: Arc::clone(&self.policy),
            headers,
            body,
            timeout_ms,
            connect_timeout_ms: None,
        };
        Ok(match method {
            "POST" => self.egress.send(request).await,
            _ => self.egress.fetch(request).await,
        })
    }

    /// Checks the chain of certificates that the keys came in, if they did.
    async fn check(&self, request: &KeyRequest, answer: &[u8], now_ms: i64) -> Result<(), Failure> {
        let failed = |detail: String| Failure::of("certificate", Some(detail));
        let roots = self
            .roots
            .get_or_try_init(|| async {
                let extra = self.extra_roots.clone();
                // Reads files: not among the tasks that deliver.
                tokio::task::spawn_blocking(move || becket_egress::trusted_roots(&extra))
                    .await
                    .map_err(|error| failed(error.to_string()))?
                    .map_err(|error| failed(error.to_string()))
            })
            .await?;
        check_answer(request, answer, roots, now_ms.div_euclid(1_000))
            .map_err(|untrusted| Failure::untrusted(untrusted.0))
    }
}

/// The body of a complete 2xx answer.
fn complete(
    outcome: AttemptOutcome,
    otherwise: impl FnOnce(u16) -> Failure,
) -> Result<Bytes, Failure> {
    match (outcome.error, outcome.status) {
        (Some(error), _) => Err(Failure::of(error.code(), Some(error.to_string()))),
        (None, Some(200..300)) if outcome.body_truncated => {
            let detail = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
            Err(Failure::of("too_large", Some(detail)))
        }
        (None, Some(200..300)) => Ok(outcome.body),
        (None, status) => Err(otherwise(status.unwrap_or(0))),
    }
}

/// A header's value that no log of the HTTP layer shows.
fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
