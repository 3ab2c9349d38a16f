//! Access tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4), kept until shortly before
//! they expire.
//!
//! Invariants: at most [`TOKENS_MAX`] are kept; a token, a client's secret and the server's answer are
//! in no log and no error.

use std::collections::HashMap;

use base64::Engine as _;
use becket_signature::OauthRequest;
use parking_lot::Mutex;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

/// How many tokens are kept.
const TOKENS_MAX: usize = 256;
/// How long before its end a token is no longer used, unless it is short-lived.
const MARGIN_MS: i64 = 60_000;
/// How long a token holds that does not say so.
const EXPIRES_DEFAULT_S: i64 = 300;
/// No token is kept for longer.
const EXPIRES_MAX_S: i64 = 24 * 3_600;

/// The kept tokens.
#[derive(Default)]
pub(crate) struct Tokens {
    held: Mutex<HashMap<OauthRequest, Token>>,
}

struct Token {
    text: Zeroizing<String>,
    until_ms: i64,
}

impl Tokens {
    /// The token for this client, if it can still be used.
    pub fn get(&self, request: &OauthRequest, now_ms: i64) -> Option<Zeroizing<String>> {
        let held = self.held.lock();
        held.get(request).filter(|token| now_ms < token.until_ms).map(|token| token.text.clone())
    }

    /// Takes the token out of a server's answer and keeps it; `None` if there is none in it.
    pub fn keep(
        &self,
        request: &OauthRequest,
        answer: &[u8],
        now_ms: i64,
    ) -> Option<Zeroizing<String>> {
        let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
        let text = answer.get("access_token")?.as_str().filter(|text| !text.is_empty())?;
        let expires_s = match answer.get("expires_in") {
            // Some servers write the number as a text.
            Some(serde_json::Value::String(text)) => text.parse().ok(),
            Some(number) => number.as_i64(),
            None => None,
        };
        let expires_s = expires_s.unwrap_or(EXPIRES_DEFAULT_S).clamp(0, EXPIRES_MAX_S);
        let expires_ms = expires_s * 1_000;
        let token = Token {
            text: Zeroizing::new(text.to_owned()),
            until_ms: now_ms.saturating_add(expires_ms - MARGIN_MS.min(expires_ms / 2)),
        };
        let text = token.text.clone();
        let mut held = self.held.lock();
        if held.len() >= TOKENS_MAX && !held.contains_key(request) {
            let first = held.iter().min_by_key(|(_, token)| token.until_ms);
            if let Some(first) = first.map(|(request, _)| request.clone()) {
                held.remove(&first);
            }
        }
        held.insert(request.clone(), token);
        Some(text)
    }

    /// Forgets a token that the provider did not accept.
    pub fn forget(&self, request: &OauthRequest) {
        self.held.lock().remove(request);
    }
}

/// The `Authorization` of the request for a token: both parts are encoded as form values first.
pub(crate) fn basic(request: &OauthRequest) -> Zeroizing<String> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!(
        "{}:{}",
        encoded(&request.client_id),
        encoded(&request.client_secret)
    ));
    Zeroizing::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(&*pair)))
}

/// The body of the request for a token.
pub(crate) fn form(request: &OauthRequest) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !request.scope.is_empty() {
        form.append_pair("scope", &request.scope);
    }
    form.finish()
}
