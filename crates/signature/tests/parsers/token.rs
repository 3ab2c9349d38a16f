//! Tokens from any text, in a header, as the body, and beside the body.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_signature::{Credentials, Entry, RequestView, Verifier, VerifierOptions};
use http::{HeaderMap, HeaderValue};

const NOW: i64 = 1_767_225_600;

const ENTRIES: [&str; 3] = [
    r#"
        slug = "header"
        name = "Header"
        event_type = { at = "claim:type" }
        [[scheme]]
        class = "jwt"
        jwt = { algorithms = ["HS256", "HS512", "RS256", "PS384", "ES256", "ES384", "EdDSA"] }
        signature = { at = "header:authorization", prefix = "Bearer " }
        timestamp = { at = "claim:iat" }
        require = [{ at = "claim:hash", equals = "{sha256hex(body)}" }]
    "#,
    r#"
        slug = "body"
        name = "Body"
        payload = "token"
        event_type = { at = "json:type" }
        [[scheme]]
        class = "jwt"
        jwt = { algorithms = ["HS256", "HS384"] }
        signature = { at = "body" }
    "#,
    r#"
        slug = "detached"
        name = "Detached"
        [[scheme]]
        class = "jwt"
        jwt = { algorithms = ["HS256"], detached = "raw" }
        signature = { at = "header:x-signature" }
        message = "{body}"
    "#,
];

/// Shows the bytes to verifiers wherever a token may stand; they prove nothing.
pub fn check(data: &[u8]) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", data].concat()) {
        headers.insert("authorization", value);
    }
    if let Ok(value) = HeaderValue::from_bytes(data) {
        headers.insert("x-signature", value);
    }
    for toml in ENTRIES {
        let entry = Arc::new(Entry::from_toml(toml).expect("the entry is right"));
        let secret = "4cf0c8a52d5b7bd36ffb9b5f4a7a2c9e".to_owned();
        let credentials = Credentials::new(vec![secret], Vec::new(), BTreeMap::new());
        let verifier = Verifier::new(entry, &credentials, &VerifierOptions::default())
            .expect("the secret fits");
        for body in [data, b"{}"] {
            let url = "https://hooks.example.com/in";
            let request = RequestView { method: "POST", url, headers: &headers, body };
            let verdict = verifier.verify(&request, NOW);
            assert!(!verdict.is_genuine(), "{}", verdict.code());
            assert_eq!(verifier.explain(&request, NOW).verdict, verdict);
            verifier.facts(&request);
        }
    }
}
