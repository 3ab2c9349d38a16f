//! Answers with keys: sets, single keys and certificates from any bytes.

use std::sync::Arc;

use becket_signature::{
    Credentials, Entry, FetchedKeys, KeyFormat, KeyRequest, RequestView, Verifier, VerifierOptions,
};
use http::{HeaderMap, HeaderValue};

const NOW: i64 = 1_767_225_600;

/// A scheme that takes the keys, for each kind of key.
const SCHEMES: [&str; 4] = [
    "class = \"ed25519\"\nsignature = { at = \"header:x-signature\", encoding = \"base64\" }",
    "class = \"ecdsa-p256\"\nsignature = { at = \"header:x-signature\", encoding = \"base64\" }",
    "class = \"rsa-pkcs1\"\ndigest = \"sha256\"\nsignature = { at = \"header:x-signature\", encoding = \"base64\" }",
    "class = \"jwt\"\njwt = { algorithms = [\"RS256\", \"ES256\", \"EdDSA\"] }\nsignature = { at = \"header:x-token\" }",
];

/// Reads the bytes as every kind of answer, and verifies with what is found there.
pub fn check(data: &[u8]) {
    for (format, name) in [
        (KeyFormat::Jwks, "jwks"),
        (KeyFormat::Key, "key"),
        (KeyFormat::Certificate, "certificate"),
    ] {
        let request = KeyRequest {
            url: "https://keys.example.com/all".to_owned(),
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            format,
            at: None,
            subject: None,
            max_age_s: 86_400,
            oauth: None,
        };
        let Ok(keys) = FetchedKeys::parse(&request, data, NOW) else {
            continue;
        };
        for scheme in SCHEMES {
            verify(scheme, name, &keys);
        }
    }
}

fn verify(scheme: &str, format: &str, keys: &FetchedKeys) {
    let toml = format!(
        "slug = \"fetched\"\nname = \"Fetched\"\n[[scheme]]\n{scheme}\n\
         public_key = {{ fetch = {{ url = \"https://keys.example.com/all\", format = \"{format}\" }} }}"
    );
    let entry = Arc::new(Entry::from_toml(&toml).expect("the entry is right"));
    let verifier = Verifier::new(entry, &Credentials::default(), &VerifierOptions::default())
        .expect("no credential is needed");
    let mut headers = HeaderMap::new();
    headers.insert("x-signature", HeaderValue::from_static("AAAAAAAAAAAAAAAA"));
    headers.insert("x-token", HeaderValue::from_static("eyJhbGciOiJSUzI1NiJ9.e30.AAAA"));
    let url = "https://hooks.example.com/in";
    let request = RequestView { method: "POST", url, headers: &headers, body: b"{}" };
    let wanted = verifier.key_request(&request).expect("the host is the entry's");
    assert!(wanted.is_some_and(|wanted| wanted.url.starts_with("https://keys.example.com/")));
    assert!(!verifier.verify_with(&request, NOW, Some(keys)).is_genuine());
}
