//! The likely causes, one by one.

use std::collections::BTreeMap;

use becket_signature::{
    Catalogue, Credentials, Doctor, LikelyCause, RequestView, SignRequest, Verifier,
    VerifierOptions,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const NOW: i64 = 1_767_225_600;
const URL: &str = "https://hooks.example.com/in/src?a=1";
const BODY: &str = "{\"type\":\"a.b\",\"id\":\"1\",\"n\":[1,2]}";

fn verifier(slug: &str, secret: &str, url: Option<&str>) -> Verifier {
    let entry = Catalogue::builtin().get(slug).expect("is listed");
    let options =
        VerifierOptions { public_url: url.map(str::to_owned), ..VerifierOptions::default() };
    Verifier::new(entry, &Credentials::from_secrets([secret]), &options).expect("fits")
}

/// A request that the sender signed, and what arrives of it.
struct Case {
    slug: &'static str,
    signer_secret: &'static str,
    signed_body: &'static str,
    signed_url: &'static str,
    our_secret: &'static str,
    our_body: &'static str,
    our_url: &'static str,
    late_s: i64,
    rename: Option<(&'static str, &'static str)>,
    rewrite: Option<fn(&str) -> String>,
}

const CASE: Case = Case {
    slug: "github",
    signer_secret: "secret",
    signed_body: BODY,
    signed_url: URL,
    our_secret: "secret",
    our_body: BODY,
    our_url: URL,
    late_s: 0,
    rename: None,
    rewrite: None,
};

impl Case {
    fn explain(&self) -> becket_signature::Explanation {
        let signed = verifier(self.slug, self.signer_secret, None)
            .sign(
                &SignRequest {
                    method: "POST",
                    url: self.signed_url,
                    body: self.signed_body.as_bytes(),
                    content_type: "application/json",
                    event_type: None,
                    delivery_id: None,
                },
                NOW,
            )
            .expect("signs");
        let mut headers = HeaderMap::new();
        for (name, value) in signed.headers {
            let mut name = name;
            let mut value = value;
            if name.contains("signature") {
                if let Some((_, new)) = self.rename {
                    name = new.to_owned();
                }
                if let Some(rewrite) = self.rewrite {
                    value = rewrite(&value);
                }
            }
            headers.insert(
                name.parse::<HeaderName>().expect("a name"),
                HeaderValue::from_str(&value).expect("a value"),
            );
        }
        if let Some((old, "")) = self.rename {
            headers.remove(old);
        }
        verifier(self.slug, self.our_secret, None).explain(
            &RequestView {
                method: "POST",
                url: self.our_url,
                headers: &headers,
                body: self.our_body.as_bytes(),
            },
            NOW + self.late_s,
        )
    }
}

#[test]
fn likely_causes_in_secret_and_body() {
    use LikelyCause as Cause;
    let cases: Vec<(&str, Case, Cause, &str)> = vec![
        (
            "wrong secret",
            Case { our_secret: "other", ..CASE },
            Cause::WrongSecret,
            "the secret is another one",
        ),
        (
            "white space",
            Case { our_secret: " secret ", ..CASE },
            Cause::SecretWhitespace,
            "white space",
        ),
        (
            "trimmed",
            Case { signed_body: "{\"a\":1}\n", our_body: "{\"a\":1}", ..CASE },
            Cause::BodyChanged,
            "with a line feed at the end",
        ),
        (
            "line feed added",
            Case { signed_body: "{\"a\":1}", our_body: "{\"a\":1}\n", ..CASE },
            Cause::BodyChanged,
            "without the line feed",
        ),
        (
            "line ends",
            Case { signed_body: "a\r\nb", our_body: "a\nb", ..CASE },
            Cause::BodyChanged,
            "with CR LF line ends",
        ),
        (
            "re-serialised",
            Case {
                signed_body: "{\"a\":1,\"b\":[1,2]}",
                our_body: "{\n  \"a\": 1,\n  \"b\": [1, 2]\n}",
                ..CASE
            },
            Cause::BodyChanged,
            "as compact JSON",
        ),
        (
            "spaced",
            Case { signed_body: "{\"a\": 1, \"b\": 2}", our_body: "{\"a\":1,\"b\":2}", ..CASE },
            Cause::BodyChanged,
            "a space after each",
        ),
    ];
    check(cases);
}

#[test]
fn likely_causes_elsewhere() {
    use LikelyCause as Cause;
    let cases: Vec<(&str, Case, Cause, &str)> = vec![
        (
            "another header",
            Case { rename: Some(("x-hub-signature-256", "x-other")), ..CASE },
            Cause::WrongHeader,
            "it came in x-other instead of",
        ),
        (
            "base64",
            Case { rewrite: Some(to_base64), ..CASE },
            Cause::WrongEncoding,
            "written in base64",
        ),
        (
            "without prefix",
            Case { rewrite: Some(|value| value.replace("sha256=", "")), ..CASE },
            Cause::WrongEncoding,
            "without its prefix",
        ),
        (
            "stale",
            Case { slug: "stripe", late_s: 301, ..CASE },
            Cause::Stale,
            "was 301 s old when it came",
        ),
        (
            "future",
            Case { slug: "zoom", late_s: -301, ..CASE },
            Cause::Future,
            "lies 301 s ahead of this clock",
        ),
        (
            "slash",
            Case { slug: "square", signed_url: "https://hooks.example.com/in/src/?a=1", ..CASE },
            Cause::WrongUrl,
            "https://hooks.example.com/in/src/?a=1",
        ),
        (
            "scheme",
            Case { slug: "square", signed_url: "http://hooks.example.com/in/src?a=1", ..CASE },
            Cause::WrongUrl,
            "http://hooks.example.com/in/src?a=1",
        ),
        (
            "port",
            Case { slug: "square", signed_url: "https://hooks.example.com:443/in/src?a=1", ..CASE },
            Cause::WrongUrl,
            ":443",
        ),
        (
            "query",
            Case { slug: "square", signed_url: "https://hooks.example.com/in/src", ..CASE },
            Cause::WrongUrl,
            "/in/src`, but",
        ),
    ];
    check(cases);
}

fn check(cases: Vec<(&str, Case, LikelyCause, &str)>) {
    for (name, case, cause, part) in cases {
        let explanation = case.explain();
        assert_eq!(explanation.likely_cause, Some(cause), "{name}: {}", explanation.sentence);
        assert!(explanation.sentence.contains(part), "{name}: {}", explanation.sentence);
        assert!(explanation.hint.is_some(), "{name}");
        let json = serde_json::to_string(&explanation).expect("serialises");
        assert!(!json.contains("\"secret\""), "{name}: {json}");
    }
}

fn to_base64(value: &str) -> String {
    use base64::Engine;
    let bytes = hex::decode(&value[7..]).expect("hex");
    format!("sha256={}", base64::engine::general_purpose::STANDARD.encode(bytes))
}

#[test]
fn a_secret_whose_prefix_the_sender_keeps() {
    // The sender takes the whole text as the key, this entry decodes what follows the prefix.
    let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let own = Catalogue::builtin()
        .text("standardwebhooks")
        .expect("is listed")
        .replace("key = { transform = [\"strip_prefix:whsec_\", \"base64\"] }", "");
    let entry = becket_signature::Entry::from_toml(&own).expect("reads");
    let credentials = Credentials::from_secrets([text]);
    let sender =
        Verifier::new(entry.into(), &credentials, &VerifierOptions::default()).expect("fits");
    let request = SignRequest {
        method: "POST",
        url: URL,
        body: BODY.as_bytes(),
        content_type: "application/json",
        event_type: None,
        delivery_id: Some("msg_1"),
    };
    let signed = sender.sign(&request, NOW).expect("signs");
    let headers: HeaderMap = signed
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            )
        })
        .collect();
    let view = RequestView { method: "POST", url: URL, headers: &headers, body: BODY.as_bytes() };
    let explanation = verifier("standardwebhooks", text, None).explain(&view, NOW);
    assert_eq!(explanation.likely_cause, Some(LikelyCause::SecretPrefix));
    assert!(explanation.sentence.contains("with `whsec_`"), "{}", explanation.sentence);
    let signed_text = explanation.signed_text.as_ref().expect("is shown");
    assert_eq!(signed_text.text, format!("msg_1.{NOW}.{BODY}"));
    let own = verifier("standardwebhooks", text, None);
    let shown = Doctor::new(&own).explain_with_signatures(&view, NOW);
    assert_eq!(shown.signature_expected.len(), 1);
    let json = serde_json::to_string(&explanation).expect("serialises");
    assert!(!json.contains(&shown.signature_expected[0]), "nobody else is shown it");
    assert_eq!(explanation.timestamp.and_then(|stamp| stamp.age_s), Some(0));
}

#[test]
fn nothing_that_is_a_secret_is_explained() {
    let headers: HeaderMap =
        [(http::header::AUTHORIZATION, HeaderValue::from_static("Basic dXNlcjpodW50ZXIy"))]
            .into_iter()
            .collect();
    let view = RequestView { method: "POST", url: URL, headers: &headers, body: b"" };
    let named = BTreeMap::from([
        ("username".to_owned(), "user".to_owned()),
        ("password".to_owned(), "hunter2".to_owned()),
    ]);
    let entry = Catalogue::builtin().get("basic").expect("is listed");
    let credentials = Credentials::new(vec![], vec![], named);
    let verifier = Verifier::new(entry, &credentials, &VerifierOptions::default()).expect("fits");
    let explanation = verifier.explain(&view, NOW);
    assert!(explanation.verdict.is_genuine());
    assert!(explanation.sentence.contains("the body is not signed"), "{}", explanation.sentence);
    let json = serde_json::to_string(&explanation).expect("serialises");
    assert!(!json.contains("hunter2") && !json.contains("dXNlcjpodW50ZXIy"), "{json}");
}
