//! Built messages over any request: what is signed is genuine, what cannot be built is refused.

use std::sync::Arc;

use becket_signature::{Credentials, Entry, RequestView, SignRequest, Verifier, VerifierOptions};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Every kind of builder, and the options that change what is read.
pub const BUILDS: [&str; 13] = [
    "{ kind = \"fields_join\", fields = [\"json:a.0\", \"'x'\", \"{json:b}\", \"header:x-id\"], separator = \":\", escape = \"backslash\" }",
    "{ kind = \"fields_join\", fields = [\"json:a\", \"query:q\"], missing = \"refuse\" }",
    "{ kind = \"sorted_kv\", from = \"form\", sort = \"utf16\", unique = true }",
    "{ kind = \"sorted_kv\", from = \"json\", nested = \"flatten\", numbers = \"js\", exclude = [\"a\"] }",
    "{ kind = \"sorted_kv\", from = \"json:a\", nested = \"php\", encode = \"form\", sort = \"none\" }",
    "{ kind = \"sorted_kv\", from = \"json\", sort = \"case_insensitive\", array_sort = true, values_only = true }",
    "{ kind = \"canonical_headers\", names_at = \"header:x-names\", missing = \"empty\" }",
    "{ kind = \"json\", from = \"body\", style = \"jcs\" }",
    "{ kind = \"json\", from = \"json:a\", style = \"php\" }",
    "{ kind = \"json\", from = \"body\", style = \"python\", sort_keys = true, exclude = [\"a\"] }",
    "{ kind = \"php_serialize\", from = \"form\", exclude = [\"a\"] }",
    "{ kind = \"raw\", from = \"json:a.*\" }",
    "{ kind = \"sequence\", lead = \"?\", separator = \".\", parts = [{ kind = \"sorted_kv\", from = \"query\" }, { kind = \"json\", from = \"body\", style = \"go\" }] }",
];

/// The first byte picks a builder; then come a query, a list of header names and a body, cut at lines `---`.
pub fn check(data: &[u8]) {
    let Some((pick, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let mut parts = text.splitn(3, "\n---\n");
    let query = parts.next().unwrap_or_default();
    let names = parts.next().unwrap_or_default();
    let body = parts.next().unwrap_or(text).as_bytes();
    let verifier = verifier(BUILDS[usize::from(*pick) % BUILDS.len()]);
    let url = format!("https://hooks.example.com/in?{query}");
    for content_type in ["application/json", "application/x-www-form-urlencoded"] {
        let request = SignRequest {
            method: "POST",
            url: &url,
            body,
            content_type,
            event_type: None,
            delivery_id: None,
        };
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(names) {
            headers.insert("x-names", value);
        }
        headers.insert("content-type", HeaderValue::from_static(content_type));
        let signed = verifier.sign(&request, 0);
        if let Ok(signed) = &signed {
            let bytes = |text: &str| HeaderValue::from_bytes(text.as_bytes()).expect("a header");
            let sent: HeaderMap = signed
                .headers
                .iter()
                .map(|(name, value)| (HeaderName::try_from(name).expect("a name"), bytes(value)))
                .collect();
            let view = RequestView {
                method: "POST",
                url: &signed.url,
                headers: &sent,
                body: &signed.body,
            };
            assert_eq!(verifier.verify(&view, 0).code(), "genuine");
        }
        headers.insert("x-signature", HeaderValue::from_static("00"));
        let view = RequestView { method: "POST", url: &url, headers: &headers, body };
        assert!(!verifier.verify(&view, 0).is_genuine());
    }
}

fn verifier(build: &str) -> Verifier {
    let toml = format!(
        "slug = \"built\"\nname = \"Built\"\n[[scheme]]\nclass = \"hmac\"\ndigest = \"sha256\"\n\
         signature = {{ at = \"header:x-signature\" }}\nmessage = \"{{built}}\"\nbuild = {build}"
    );
    let entry = Arc::new(Entry::from_toml(&toml).unwrap_or_else(|error| panic!("{error}")));
    let credentials = Credentials::from_secrets(["secret"]);
    Verifier::new(entry, &credentials, &VerifierOptions::default()).expect("the secret fits")
}
