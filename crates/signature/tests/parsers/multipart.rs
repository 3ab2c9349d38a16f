//! Multipart bodies: any bytes, and well-formed ones with any content.

use std::sync::Arc;

use becket_signature::{Credentials, Entry, RequestView, Verifier, VerifierOptions};
use http::{HeaderMap, HeaderValue};

const ENTRY: &str = r#"
    slug = "multipart"
    name = "Multipart"
    payload = ["part:json", "body"]
    event_type = { at = "part:text" }
    [[scheme]]
    class = "hmac"
    digest = "sha256"
    signature = { at = "part:signature" }
    message = "{part:json}"
"#;

const BOUNDARY: &str = "the-boundary";

/// Reads the bytes as a body whose boundary is its first line, and as the content of a part.
pub fn check(data: &[u8]) {
    let entry = Arc::new(Entry::from_toml(ENTRY).expect("the entry is right"));
    let credentials = Credentials::from_secrets(["secret"]);
    let verifier =
        Verifier::new(entry, &credentials, &VerifierOptions::default()).expect("the secret fits");
    let (first, rest) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, data),
    };
    let mut headers = HeaderMap::new();
    let kind = [b"multipart/form-data; boundary=", first].concat();
    if let Ok(value) = HeaderValue::from_bytes(&kind) {
        headers.insert("content-type", value);
    }
    let url = "https://hooks.example.com/in";
    let request = RequestView { method: "POST", url, headers: &headers, body: rest };
    assert!(!verifier.verify(&request, 0).is_genuine());
    verifier.facts(&request);

    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if text.is_empty() || text.contains(BOUNDARY) {
        return;
    }
    let body = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"other\"\r\n\r\n{text}\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; filename=\"text\"; name=\"text\"\r\n\
         Content-Type: text/plain\r\n\r\n{text}\r\n--{BOUNDARY}--\r\n"
    );
    let kind = format!("Multipart/Form-Data; charset=utf-8; boundary=\"{BOUNDARY}\"");
    headers.insert("content-type", HeaderValue::try_from(kind).expect("a header"));
    let request = RequestView { method: "POST", url, headers: &headers, body: body.as_bytes() };
    assert_eq!(verifier.facts(&request).event_type.as_deref(), Some(text));
}
