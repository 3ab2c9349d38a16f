//! The secrets that sign deliveries to an endpoint: shown, and rotated with an overlap.
//!
//! Invariants: a secret is only shown when it is asked for by name, and that is logged; of an Ed25519
//! key only the public half is shown; a secret that is refused does not come back in the answer.

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use becket_signature::standard_webhooks::SigningKey;
use becket_store::vault::place;
use becket_store::{Endpoint, EndpointChange};
use http::{HeaderMap, StatusCode, header};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use crate::call::{Answer, Call, JsonBody};
use crate::handlers::endpoints::{self, Happened};
use crate::problem::{ApiError, Result};
use crate::wire::endpoints::{RotateIn, SecretOut};

const GRACE_DEFAULT_S: u64 = 24 * 60 * 60;
const GRACE_MAX_S: u64 = 7 * GRACE_DEFAULT_S;
const SECRET_BYTES: usize = 32;
/// Since which version, major and minor, every official client reads the new secret.
const BODY_SINCE: (u32, u32) = (2, 7);
/// How many secrets may sign at the same time.
const SECRETS_MAX: usize = 10;

/// A new secret, `whsec_` and base64 of 32 random bytes.
pub(crate) fn fresh(call: &Call) -> Zeroizing<String> {
    let bytes = Zeroizing::new(super::random::<SECRET_BYTES>(call));
    Zeroizing::new(format!("whsec_{}", BASE64.encode(bytes.as_slice())))
}

/// A given secret: `whsec_` and base64, the base64 alone, or `whsk_` and an Ed25519 key.
pub(crate) fn checked(field: &str, text: &str) -> Result<Zeroizing<String>> {
    if ["whpk_", "whpk1_", "whsk1_"].iter().any(|prefix| text.starts_with(prefix)) {
        let what = "cannot sign: give `whsec_` and base64, or `whsk_` and an Ed25519 private key";
        return Err(ApiError::body(field, what));
    }
    let text = match text.contains('_') {
        true => Zeroizing::new(text.to_owned()),
        false => Zeroizing::new(format!("whsec_{text}")),
    };
    let key = SigningKey::parse(&text).map_err(|error| ApiError::body(field, error.to_string()))?;
    Ok(Zeroizing::new(key.expose()))
}

/// A secret as the receiver needs it: of an Ed25519 key the public half.
fn shown(text: String) -> Result<SecretOut> {
    let Some(encoded) = text.strip_prefix("whsk_") else { return Ok(SecretOut { key: text }) };
    let damaged = || ApiError::new("store_sealed", "a stored signing key cannot be read");
    let bytes = Zeroizing::new(BASE64.decode(encoded).map_err(|_| damaged())?);
    let seed = bytes.get(..32).ok_or_else(damaged)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| damaged())?;
    Ok(SecretOut { key: format!("whpk_{}", BASE64.encode(pair.public_key())) })
}

fn current(call: &Call, endpoint: &Endpoint) -> Result<SecretOut> {
    shown(call.shared.api.directory.endpoint_secret(endpoint)?.text)
}

/// `GET …/secret`
pub(crate) async fn get(call: Call) -> Result<Answer<SecretOut>> {
    let app = endpoints::whose(&call).await?;
    let endpoint = endpoints::present(&call, &app).await?;
    let secret = current(&call, &endpoint)?;
    call.audit("endpoint.secret.shown", &endpoint.id);
    Ok(Answer::ok(secret))
}

/// Whether the client is an official one that takes no body here: its C#, Java and Kotlin releases
/// before 2.7 throw on one, those since then on none. Official clients call themselves
/// `svix-libs/<version>/<language>`.
fn takes_no_body(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let named = agent.and_then(|agent| agent.strip_prefix("svix-libs/")?.split_once('/'));
    let Some((version, rest)) = named else { return false };
    let language = rest.split([' ', '/']).next().unwrap_or_default();
    let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    ["csharp", "java", "kotlin"].contains(&language) && version < BODY_SINCE
}

/// `POST …/secret/rotate`: answers with the new secret where clients expect one.
pub(crate) async fn rotate(call: Call, JsonBody(body): JsonBody<RotateIn>) -> Result<Response> {
    let grace_s = body.grace_period_seconds.unwrap_or(GRACE_DEFAULT_S);
    if grace_s > GRACE_MAX_S {
        let what = format!("{grace_s} is more than seven days ({GRACE_MAX_S} seconds)");
        return Err(ApiError::body("gracePeriodSeconds", what));
    }
    let secret = match &body.key {
        Some(key) => checked("key", key)?,
        None => fresh(&call),
    };
    let app = endpoints::whose(&call).await?;
    let _turn = call.shared.turns.take(app.key()).await;
    let endpoint = endpoints::present(&call, &app).await?;
    let directory = &call.shared.api.directory;
    if directory.endpoint_secret(&endpoint)?.declared {
        let name = format!("{}/{}", app.application.name(), endpoint.name());
        let what = format!("the secret of `{name}` is given in the configuration");
        return Err(ApiError::new("secret_declared", what)
            .hint("change it there, or remove it there so that the gateway keeps one of its own"));
    }
    let now_ms = call.now_ms();
    check_room(&endpoint, grace_s, now_ms)?;
    let envelope = directory.seal(&place::endpoint_secret(endpoint.id), secret.as_bytes())?;
    let old_expire_at_ms = now_ms.saturating_add_unsigned(grace_s * 1_000);
    let wanted = EndpointChange::RotateSecret { envelope, old_expire_at_ms };
    let endpoint = endpoints::change(&call, &endpoint, wanted).await?;
    endpoints::told(&call, &app.application, &endpoint, Happened::SecretRotated).await;
    match call.route.answer {
        Some(_) if !takes_no_body(&call.headers) => {
            Ok(Answer::ok(current(&call, &endpoint)?).into_response())
        }
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// Refuses to let more than [`SECRETS_MAX`] secrets sign.
fn check_room(endpoint: &Endpoint, grace_s: u64, now_ms: i64) -> Result<()> {
    let expiries = endpoint.secrets.iter().map(|secret| secret.expires_at_ms);
    let active = expiries.clone().filter(|at_ms| at_ms.is_none_or(|at_ms| now_ms < at_ms)).count();
    if grace_s == 0 || active < SECRETS_MAX {
        return Ok(());
    }
    let next_ms = expiries.flatten().filter(|at_ms| now_ms < *at_ms).min().unwrap_or(now_ms);
    let wait_s = next_ms.saturating_sub(now_ms).unsigned_abs().div_ceil(1_000);
    let what = format!("{active} secrets of this endpoint are still valid");
    Err(ApiError::new("limit_reached", what)
        .hint("wait until one has expired, or rotate with gracePeriodSeconds 0")
        .retry_after_s(wait_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_for_whoever_reads_it() {
        let takes_none = |agent: &'static str| {
            let agent = (header::USER_AGENT, http::HeaderValue::from_static(agent));
            takes_no_body(&HeaderMap::from_iter([agent]))
        };
        for old in [
            "svix-libs/2.0.0/csharp dotnet/8.0.1",
            "svix-libs/2.6.2/java jre/21.0.4",
            "svix-libs/1.60.0/kotlin",
            "svix-libs/2.0.0-rc.1/kotlin kotlin/2.3.20 jre/21",
        ] {
            assert!(takes_none(old), "{old}");
        }
        for other in [
            "svix-libs/2.7.0/csharp dotnet/8.0.1",
            "svix-libs/2.10.0/java jre/21.0.4",
            "svix-libs/3.0.0/kotlin kotlin/2.3.20",
            "svix-libs/2.0.0/python",
            "svix-libs/2.0.0/javascript node/v22.1.0 linux/x64",
            "svix-libs/2.0.0/go/mine go/go1.24",
            "java/21",
            "",
        ] {
            assert!(!takes_none(other), "{other}");
        }
        assert!(!takes_no_body(&HeaderMap::new()));
    }

    #[test]
    fn secrets_in_every_form() {
        let bytes = BASE64.encode([7; 24]);
        let plain = format!("whsec_{bytes}");
        for given in [&bytes, &plain] {
            assert_eq!(*checked("secret", given).unwrap(), plain);
            assert_eq!(shown(plain.clone()).unwrap().key, plain);
        }
        let seed = format!("whsk_{}", BASE64.encode([7; 32]));
        let private = checked("secret", &seed).unwrap();
        let public = shown(private.to_string()).unwrap().key;
        assert!(public.starts_with("whpk_") && public.len() == 5 + 44, "{public}");
        for wrong in ["whsec_c2hvcnQ=", "whpk_AAAA", "whsec_!!!", "whsk_AAAA", "x_AAAA", "short"] {
            let error = checked("secret", wrong).unwrap_err();
            let value = wrong.rsplit('_').next().unwrap();
            assert!(!error.to_string().contains(value), "{error}");
        }
    }
}
