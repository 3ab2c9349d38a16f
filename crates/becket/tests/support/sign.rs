//! Signatures made here, with nothing of the gateway's own: GitHub's, and Standard Webhooks'.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// The value of `X-Hub-Signature-256` for a body.
pub fn github(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body)))
}

/// Whether one of the signatures in a delivery's headers is by this secret (`whsec_...`).
pub fn standard_holds(secret: &str, header: impl Fn(&str) -> String, body: &[u8]) -> bool {
    let encoded = secret.strip_prefix("whsec_").unwrap_or(secret);
    let raw = STANDARD.decode(encoded).expect("the test's secret is base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &raw);
    let mut signed =
        format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).into_bytes();
    signed.extend_from_slice(body);
    let expected = STANDARD.encode(hmac::sign(&key, &signed));
    header("webhook-signature").split(' ').any(|one| one.strip_prefix("v1,") == Some(&expected))
}
