//! Fetched keys, visits, captured secrets and acknowledgements: what the caller of the crate has to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_signature::{
    Credentials, Entry, FetchedKeys, Refusal, RequestView, SignRequest, Verdict, Verifier,
    VerifierOptions,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::keys::{ED25519_PUBLIC, ED25519_SEED};

const NOW: i64 = 1_767_225_600;

const ENTRY: &str = r#"
slug = "own"
name = "Own"
event_type = { at = "json:type" }
ack = { content_type = "application/json", body = '{{"id":"{json:id}","rate":"{rate_per_minute}"}}', headers = { x-id = "{json:id}" } }

[[scheme]]
class = "ed25519"
signature = { at = "header:x-signature", encoding = "base64" }
message = "{header:x-key-url}|{body}"

  [scheme.public_key.fetch]
  url = "{header:x-key-url}"
  format = "key"
  hosts = ["keys.*.example.com"]

[[handshake]]
name = "confirm"
verify_first = true
when = [{ at = "json:type", equals = "confirm" }]
respond = { status = 200 }
capture = { name = "secret", from = "json:secret", confirm = true }
visit = { url = "json:visit", hosts = ["api.example.com"] }
"#;

fn verifier(secrets: &[&str], keys: &[&str]) -> Verifier {
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let entry = Arc::new(Entry::from_toml(ENTRY).expect("reads"));
    let credentials = Credentials::new(owned(secrets), owned(keys), BTreeMap::new());
    let options = VerifierOptions { rate_per_minute: Some(60), ..VerifierOptions::default() };
    Verifier::new(entry, &credentials, &options).expect("fits")
}

/// A signed request whose key is at this URL.
fn signed(key_url: &str, body: &str) -> (HeaderMap, Vec<u8>) {
    let text = ENTRY.replace(
        "message =",
        &format!("sign = {{ set_headers = {{ x-key-url = \"{key_url}\" }} }}\nmessage ="),
    );
    let entry = Arc::new(Entry::from_toml(&text).expect("reads"));
    let credentials = Credentials::from_secrets([ED25519_SEED]);
    let signer = Verifier::new(entry, &credentials, &VerifierOptions::default()).expect("fits");
    let request = SignRequest {
        method: "POST",
        url: "https://hooks.example.com/in/src",
        body: body.as_bytes(),
        content_type: "application/json",
        event_type: None,
        delivery_id: None,
    };
    let made = signer.sign(&request, NOW).expect("signs");
    let mut headers = HeaderMap::new();
    for (name, value) in made.headers {
        let name: HeaderName = name.parse().expect("a name");
        headers.insert(name, HeaderValue::from_str(&value).expect("a value"));
    }
    (headers, made.body)
}

fn view<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> RequestView<'a> {
    RequestView { method: "POST", url: "https://hooks.example.com/in/src", headers, body }
}

#[test]
fn keys_are_fetched_only_from_the_providers_hosts_and_only_when_needed() {
    let (headers, body) = signed("https://keys.eu.example.com/1", r#"{"type":"a","id":"7"}"#);
    let request = view(&headers, &body);
    let fetching = verifier(&[], &[]);
    assert_eq!(fetching.verify(&request, NOW), Verdict::Refused(Refusal::KeyUnavailable));
    let wanted = fetching.key_request(&request).expect("is trusted").expect("is needed");
    assert_eq!(wanted.url, "https://keys.eu.example.com/1");
    let keys = FetchedKeys::parse(&wanted, ED25519_PUBLIC.as_bytes(), NOW).expect("is a key");
    assert!(fetching.verify_with(&request, NOW, Some(&keys)).is_genuine());
    let changed = view(&headers, b"{}");
    let verdict = fetching.verify_with(&changed, NOW, Some(&keys));
    assert_eq!(verdict, Verdict::Refused(Refusal::SignatureMismatch));

    // Keys of another place do not serve, and a place of the sender's choice is never asked.
    let (other_headers, other_body) = signed("https://keys.us.example.com/1", r#"{"type":"a"}"#);
    let other = view(&other_headers, &other_body);
    let verdict = fetching.verify_with(&other, NOW, Some(&keys));
    assert_eq!(verdict, Verdict::Refused(Refusal::KeyUnavailable));
    for url in [
        "https://evil.example.net/1",
        "https://keys.a.b.example.com/1",
        "http://keys.eu.example.com/1",
    ] {
        let (headers, body) = signed(url, r#"{"type":"a"}"#);
        let request = view(&headers, &body);
        assert_eq!(fetching.key_request(&request).err(), Some(Refusal::UntrustedKeyUrl), "{url}");
        let verdict = fetching.verify_with(&request, NOW, Some(&keys));
        assert_eq!(verdict, Verdict::Refused(Refusal::UntrustedKeyUrl), "{url}");
    }

    let given = verifier(&[], &[ED25519_PUBLIC]);
    assert_eq!(given.key_request(&request), Ok(None));
    assert!(given.verify(&request, NOW).is_genuine());
}

#[test]
fn a_visit_is_of_the_providers_host_and_of_a_genuine_request() {
    let given = verifier(&[], &[ED25519_PUBLIC]);
    let body = r#"{"type":"confirm","secret":"s3cret","visit":"https://api.example.com/c?t=1"}"#;
    let (headers, body) = signed("https://keys.eu.example.com/1", body);
    let answer = given.handshake(&view(&headers, &body), NOW).expect("is one");
    assert_eq!(answer.visit.as_deref(), Some("https://api.example.com/c?t=1"));
    let captured = answer.captured.expect("brings a secret");
    assert!(captured.confirm && captured.value == "s3cret");
    assert!(!format!("{captured:?}").contains("s3cret"));
    assert!(given.handshake(&view(&HeaderMap::new(), &body), NOW).is_none());

    let elsewhere =
        r#"{"type":"confirm","secret":"s","visit":"https://api.example.com.evil.net/"}"#;
    let (headers, body) = signed("https://keys.eu.example.com/1", elsewhere);
    assert!(given.handshake(&view(&headers, &body), NOW).is_none());
}

#[test]
fn acknowledgements_repeat_what_the_request_says() {
    let given = verifier(&[], &[ED25519_PUBLIC]);
    let headers = HeaderMap::new();
    let ack = given.acknowledgement(&view(&headers, br#"{"id":"7"}"#)).expect("is demanded");
    assert_eq!((ack.status, ack.body.as_slice()), (200, br#"{"id":"7","rate":"60"}"#.as_slice()));
    assert!(ack.headers.contains(&("x-id".to_owned(), "7".to_owned())));
    // What would break out of a header, or is not there, is not repeated.
    assert_eq!(given.acknowledgement(&view(&headers, br#"{"id":"7\r\nx: y"}"#)), None);
    assert_eq!(given.acknowledgement(&view(&headers, b"{}")), None);
}
