//! Signing in at an OpenID Connect provider, by the authorization code flow with PKCE.
//!
//! Invariants: the provider is what the operator's file says, and everything else about it is what its
//! own document says under that issuer; an ID token counts only if one of the provider's public keys
//! signed it, for this gateway, for this sign-in, and now; a shared secret never verifies a token;
//! whoever has no grant has no role. Codes, tokens and secrets are in no log and no error.
//!
//! Deliberately absent: the access token, which is thrown away, and the userinfo endpoint: everything
//! that decides is in the signed token. Cookies and redirects are the API's.
//!
//! Next: `claims` for what is demanded of a token, `ask` for the way out.

mod ask;
mod claims;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use becket_api::{Person, SignIn, SignInBegun, SignInError};
use becket_egress::EgressError;
use becket_egress::policy::AddressPolicy;
use becket_model::Clock;
use becket_signature::{JwtAlgorithm, token_claims, token_key_id};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use ring::digest;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::config::Oidc;
use ask::Asker;
use claims::Claims;

/// How long the provider's document and keys are believed.
const BELIEVED_MS: i64 = 3_600_000;
/// How often keys are fetched again because a token names one that is not there.
const KEYS_AGAIN_MS: i64 = 60_000;
/// Public-key algorithms only: whoever knows a shared secret could sign.
const ALGORITHMS: [JwtAlgorithm; 9] = [
    JwtAlgorithm::RS256,
    JwtAlgorithm::RS384,
    JwtAlgorithm::RS512,
    JwtAlgorithm::PS256,
    JwtAlgorithm::PS384,
    JwtAlgorithm::PS512,
    JwtAlgorithm::ES256,
    JwtAlgorithm::ES384,
    JwtAlgorithm::EdDSA,
];

/// What the provider says about itself.
#[derive(Debug, Clone, Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether it names itself when it sends people back (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Its public keys, as JSON Web Keys.
#[derive(Debug, Clone, Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

struct Known<T> {
    what: Arc<T>,
    at_ms: i64,
}

/// A provider of the operator's file.
struct Provider {
    settings: Oidc,
    mark: String,
    asker: Asker,
    clock: Arc<dyn Clock>,
    document: Mutex<Option<Known<Document>>>,
    keys: Mutex<Option<Known<Keys>>>,
}

impl Provider {
    /// The provider of these settings, which is asked through `asker`.
    fn new(settings: Oidc, asker: Asker, clock: Arc<dyn Clock>) -> Self {
        // Everything but the secret: exchanging it changes nothing about who may do what.
        let rules = format!(
            "{:?}",
            (&settings.issuer, &settings.client_id, &settings.role_claim, &settings.grants)
        );
        let mark = hex::encode(digest::digest(&digest::SHA256, rules.as_bytes()));
        let (document, keys) = (Mutex::default(), Mutex::default());
        Self { settings, mark, asker, clock, document, keys }
    }

    async fn document(&self) -> Result<Arc<Document>, SignInError> {
        let now_ms = self.clock.now_ms();
        let mut known = self.document.lock().await;
        if let Some(known) = known.as_ref().filter(|known| now_ms - known.at_ms < BELIEVED_MS) {
            return Ok(Arc::clone(&known.what));
        }
        let issuer = self.settings.issuer.as_str();
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document: Document = self.asker.json("GET", &url, HeaderMap::new(), "").await?;
        if document.issuer != issuer {
            let said: String = document.issuer.chars().take(200).collect();
            return Err(SignInError::Unreachable(format!(
                "its document says that the issuer is {said:?}, and `oidc.issuer` says {issuer:?}"
            )));
        }
        // What leads people and their codes away may not be weaker than the issuer itself.
        let weak = |url: &String| self.settings.issuer.is_https() && !url.starts_with("https://");
        let all = [&document.authorization_endpoint, &document.token_endpoint, &document.jwks_uri];
        if all.into_iter().any(weak) {
            let detail = "its document names an address that is not https";
            return Err(SignInError::Unreachable(detail.to_owned()));
        }
        let document = Arc::new(document);
        *known = Some(Known { what: Arc::clone(&document), at_ms: now_ms });
        Ok(document)
    }

    /// The keys; fetched again if `missing` is none of them.
    async fn keys(&self, url: &str, missing: Option<&str>) -> Result<Arc<Keys>, SignInError> {
        let now_ms = self.clock.now_ms();
        let mut known = self.keys.lock().await;
        if let Some(known) = known.as_ref() {
            let lacks =
                missing.is_some_and(|id| !known.what.keys.iter().any(|key| key["kid"] == id));
            let again_ms = if lacks { KEYS_AGAIN_MS } else { BELIEVED_MS };
            if now_ms - known.at_ms < again_ms {
                return Ok(Arc::clone(&known.what));
            }
        }
        let keys: Arc<Keys> = Arc::new(self.asker.json("GET", url, HeaderMap::new(), "").await?);
        *known = Some(Known { what: Arc::clone(&keys), at_ms: now_ms });
        Ok(keys)
    }

    /// The claims of an ID token, if one of the provider's keys signed it.
    async fn signed_claims(&self, url: &str, token: &str) -> Result<Claims, SignInError> {
        let id = token_key_id(token);
        let keys = self.keys(url, id.as_deref()).await?;
        let fits = |key: &&Value| {
            let known = key["kid"].as_str();
            let named = id.is_none() || known.is_none() || known == id.as_deref();
            named && key["use"].as_str().is_none_or(|usage| usage == "sig")
        };
        let unproven = |what: &str| SignInError::Unproven(what.to_owned());
        let json = keys
            .keys
            .iter()
            .filter(fits)
            .find_map(|key| token_claims(token, &key.to_string(), &ALGORITHMS))
            .ok_or_else(|| unproven("no key of the provider has signed the ID token"))?;
        serde_json::from_slice(&json).map_err(|_| unproven("the ID token cannot be read"))
    }

    /// Exchanges a code for an ID token.
    async fn redeem(
        &self,
        document: &Document,
        begun: &SignInBegun,
        code: &str,
    ) -> Result<Zeroizing<String>, SignInError> {
        let client = self.settings.client_id.as_str();
        let mut form = Zeroizing::new(form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &begun.redirect_url),
            ("code_verifier", &begun.verifier),
            ("client_id", client),
        ]));
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        if let Some(secret) = &self.settings.client_secret {
            let methods = document.token_endpoint_auth_methods_supported.as_deref();
            // Without a word about it, basic is what every provider has to accept.
            let basic = methods
                .is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
            if basic {
                let pair = format!("{}:{}", encoded(client), encoded(secret.expose()));
                let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair)));
                let value = HeaderValue::from_str(&text);
                let mut value =
                    value.map_err(|error| SignInError::Unreachable(error.to_string()))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            } else {
                form.push_str("&client_secret=");
                form.push_str(&encoded(secret.expose()));
            }
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        #[derive(Deserialize)]
        struct Redeemed {
            id_token: String,
        }
        let url = &document.token_endpoint;
        let redeemed: Redeemed = self.asker.json("POST", url, headers, &form).await?;
        Ok(Zeroizing::new(redeemed.id_token))
    }
}

#[async_trait]
impl SignIn for Provider {
    fn name(&self) -> String {
        self.settings.name.clone()
    }

    fn mark(&self) -> String {
        self.mark.clone()
    }

    async fn begin(&self, begun: &SignInBegun) -> Result<String, SignInError> {
        let document = self.document().await?;
        let challenge = digest::digest(&digest::SHA256, begun.verifier.as_bytes());
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &begun.redirect_url),
            ("scope", &self.settings.scopes.join(" ")),
            ("state", &begun.state),
            ("nonce", &begun.nonce),
            ("code_challenge", &URL_SAFE_NO_PAD.encode(challenge)),
            ("code_challenge_method", "S256"),
        ]);
        let url = &document.authorization_endpoint;
        let joint = if url.contains('?') { '&' } else { '?' };
        Ok(format!("{url}{joint}{query}"))
    }

    async fn finish(
        &self,
        begun: &SignInBegun,
        code: &str,
        issuer: Option<&str>,
    ) -> Result<Person, SignInError> {
        let document = self.document().await?;
        let expected = issuer.is_some() || document.authorization_response_iss_parameter_supported;
        if expected && issuer != Some(document.issuer.as_str()) {
            return Err(SignInError::Unproven("another issuer has sent the answer".to_owned()));
        }
        let token = self.redeem(&document, begun, code).await?;
        let claims = self.signed_claims(&document.jwks_uri, &token).await?;
        let now_s = self.clock.now_ms().div_euclid(1_000);
        claims.check(&self.settings, &begun.nonce, now_s)?;
        claims.person(&self.settings)
    }
}

/// The provider of the configuration in force, and how it is reached: the operator wrote it there, so it
/// may be anywhere.
pub(super) struct Held {
    asker: Asker,
    clock: Arc<dyn Clock>,
    provider: parking_lot::Mutex<Option<Arc<Provider>>>,
}

impl Held {
    /// Has to be made inside the runtime that will ask the provider.
    pub(super) fn new(
        extra_root_certs: Vec<CertificateDer<'static>>,
        policy: Arc<AddressPolicy>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EgressError> {
        let asker = Asker::new(extra_root_certs, policy)?;
        Ok(Self { asker, clock, provider: parking_lot::Mutex::default() })
    }

    /// The provider of these settings; what is known of it is kept until they change.
    pub(super) fn of(&self, settings: Option<&Oidc>) -> Option<Arc<dyn SignIn>> {
        let settings = settings?;
        let mut held = self.provider.lock();
        let known = held.take().filter(|known| known.settings == *settings);
        let provider = known.unwrap_or_else(|| {
            let (asker, clock) = (self.asker.clone(), Arc::clone(&self.clock));
            Arc::new(Provider::new(settings.clone(), asker, clock))
        });
        *held = Some(Arc::clone(&provider));
        Some(provider)
    }
}

/// Pairs as a form, or as a query.
fn form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Everything but unreserved characters (RFC 3986) as its bytes in hexadecimal.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form(&[("a", "b c&d=e"), ("f", "ä~_")]), "a=b%20c%26d%3De&f=%C3%A4~_");
    }

    #[test]
    fn no_algorithm_has_a_shared_secret() {
        assert!(ALGORITHMS.iter().all(|algorithm| !algorithm.is_symmetric()));
    }
}
