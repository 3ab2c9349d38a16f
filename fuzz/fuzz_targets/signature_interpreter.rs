//! An arbitrary entry judges an arbitrary request: reading, verifying, answering, explaining and signing must
//! not panic, whatever the TOML says and whatever comes.
//!
//! The input is cut at lines that consist of `---`: entry, URL, headers (one `name: value` a line), body.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_signature::{
    Catalogue, Credentials, Entry, RequestView, SignRequest, Verifier, VerifierOptions,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 1_767_225_600;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut parts = text.splitn(4, "\n---\n");
    let toml = parts.next().unwrap_or_default();
    let url = parts.next().unwrap_or("https://hooks.example.com/in/src");
    let headers = headers(parts.next().unwrap_or_default());
    let body = parts.next().unwrap_or_default().as_bytes();
    let built_in = Catalogue::builtin().get(toml.trim());
    let Some(entry) = built_in.or_else(|| Entry::from_toml(toml).ok().map(Arc::new)) else {
        return;
    };
    let named = BTreeMap::from([("verify_token".to_owned(), "token".to_owned())]);
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".to_owned();
    let credentials = Credentials::new(vec![secret], vec![key], named);
    let Ok(verifier) = Verifier::new(entry, &credentials, &VerifierOptions::default()) else {
        return;
    };
    let request = RequestView { method: "POST", url, headers: &headers, body };
    let verdict = verifier.verify(&request, NOW);
    assert_eq!(verdict, verifier.verify(&request, NOW), "verifying is pure");
    assert_eq!(verdict, verifier.explain(&request, NOW).verdict);
    verifier.handshake(&request, NOW);
    verifier.facts(&request);
    let signed = verifier.sign(
        &SignRequest {
            method: "POST",
            url,
            body,
            content_type: "application/json",
            event_type: None,
            delivery_id: None,
        },
        NOW,
    );
    drop(signed);
});

fn headers(text: &str) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in text.lines().take(64) {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if let (Ok(name), Ok(value)) =
            (name.trim().parse::<HeaderName>(), HeaderValue::from_str(value.trim()))
        {
            map.append(name, value);
        }
    }
    map
}
