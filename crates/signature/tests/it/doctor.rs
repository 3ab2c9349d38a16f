//! The doctor's table: for each cause, what arrives, and the sentence that is printed, word for word.

use becket_signature::{
    Catalogue, Credentials, Doctor, Explanation, LikelyCause, Limits, RequestView, SignRequest,
    Verifier, VerifierOptions,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const NOW: i64 = 1_767_225_600;
const URL: &str = "https://hooks.example.com/in/src?a=%2f&B=1";
const BODY: &str = "{\"type\":\"a.b\",\"id\":\"1\",\"n\":[1,2]}";

fn made(slug: &str, secrets: &[&str]) -> Verifier {
    let entry = Catalogue::builtin().get(slug).expect("is listed");
    let credentials = Credentials::from_secrets(secrets.iter().copied());
    Verifier::new(entry, &credentials, &VerifierOptions::default()).expect("fits")
}

/// A request on its way.
#[derive(Clone)]
struct Arrived {
    headers: HeaderMap,
    url: String,
    body: Vec<u8>,
    now_s: i64,
}

/// What the sender signs.
fn signed(slug: &str, secret: &str, body: impl AsRef<[u8]>, url: &str) -> Arrived {
    let request = SignRequest {
        method: "POST",
        url,
        body: body.as_ref(),
        content_type: "application/json",
        event_type: Some("push"),
        delivery_id: Some("d-1"),
    };
    let signed = made(slug, &[secret]).sign(&request, NOW).expect("signs");
    let headers = signed.headers.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    });
    Arrived {
        headers: headers.collect(),
        url: URL.to_owned(),
        body: signed.body.clone(),
        now_s: NOW,
    }
}

fn github(body: impl AsRef<[u8]>) -> Arrived {
    signed("github", "secret", body, URL)
}

impl Arrived {
    fn body(self, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().to_vec(), ..self }
    }

    fn later(self, seconds: i64) -> Self {
        Self { now_s: self.now_s + seconds, ..self }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).expect("a value"));
        self
    }

    fn twice(mut self, name: &'static str) -> Self {
        let value = self.headers[name].clone();
        self.headers.append(name, value);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn rewritten(mut self, name: &'static str, rewrite: impl Fn(&str) -> String) -> Self {
        let value = rewrite(self.headers[name].to_str().expect("text"));
        self.headers.insert(name, HeaderValue::from_str(&value).expect("a value"));
        self
    }

    fn explained(&self, doctor: &Doctor<'_>) -> Explanation {
        let view = RequestView {
            method: "POST",
            url: &self.url,
            headers: &self.headers,
            body: &self.body,
        };
        doctor.explain(&view, self.now_s)
    }
}

/// What is explained to a source of a provider with these secrets.
fn told(slug: &str, secrets: &[&str], arrived: &Arrived) -> Explanation {
    let verifier = made(slug, secrets);
    arrived.explained(&Doctor::new(&verifier).catalogue(Catalogue::builtin()))
}

fn check(rows: &[(LikelyCause, Explanation, &str)]) {
    for (cause, explanation, sentence) in rows {
        assert_eq!(explanation.sentence, *sentence);
        assert_eq!(explanation.likely_cause, Some(*cause), "{sentence}");
        assert!(explanation.hint.is_some() && !explanation.effort.cut_short, "{sentence}");
        let json = serde_json::to_string(explanation).expect("serialises");
        assert!(!json.contains("signature_expected"), "{json}");
    }
}

#[test]
fn secrets() {
    use LikelyCause as Cause;
    let whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    check(&[
        (
            Cause::WrongSecret,
            told("github", &["other"], &github(BODY)),
            "The configured secret does not fit, and nothing else that was tried does: most probably the secret is another one.",
        ),
        (
            Cause::WrongSecret,
            told("github", &["other", "third"], &github(BODY)),
            "None of the 2 configured secrets fits, and nothing else that was tried does: most probably the secret is another one.",
        ),
        (
            Cause::SecretWhitespace,
            told("github", &[" secret "], &github(BODY)),
            "The signature fits once the white space around the configured secret is removed.",
        ),
        (
            Cause::SecretWhitespace,
            told("github", &["\"secret\""], &github(BODY)),
            "The signature fits once the quotation marks around the configured secret are removed.",
        ),
        (
            Cause::SecretPrefix,
            told(
                "stripe",
                &["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
                &signed("stripe", whsec, BODY, URL),
            ),
            "The signature fits when the configured secret is given its prefix `whsec_` back.",
        ),
        (
            Cause::SecretPrefix,
            told("stripe", &[whsec], &signed("stripe", &whsec[6..], BODY, URL)),
            "The signature fits when the configured secret is taken as text, without `whsec_`.",
        ),
        (
            Cause::SecretPrefix,
            told("github", &["736563726574"], &github(BODY)),
            "The signature fits when the configured secret is decoded from hexadecimal.",
        ),
        (
            Cause::SecretPrefix,
            told("github", &["c2VjcmV0"], &github(BODY)),
            "The signature fits when the configured secret is decoded as base64.",
        ),
        (
            Cause::TestOrLive,
            told("stripe", &["live"], &signed("stripe", "test", "{\"livemode\":false}", URL)),
            "The configured secret does not fit, and the event says (`livemode`) that it is from test mode, which has a secret of its own.",
        ),
        (
            Cause::MissingCredential,
            told("github", &[], &github(BODY)),
            "No secret or key is configured, so nothing can be proven.",
        ),
    ]);
}

#[test]
fn other_sources_and_times() {
    use LikelyCause as Cause;
    let own = made("github", &["own"]);
    let billing = made("github", &["billing"]);
    let shop = made("shopify", &["shop"]);
    let (before, soon) = (Credentials::from_secrets(["old"]), Credentials::from_secrets(["new"]));
    let doctor = Doctor::new(&own)
        .other("billing", &billing)
        .other("shop", &shop)
        .former(&before, NOW - 90_000)
        .former(&soon, NOW + 5);
    let from = |slug: &str, secret: &str| signed(slug, secret, BODY, URL).explained(&doctor);
    let none = made("github", &[]);
    check(&[
        (
            Cause::OtherSource,
            from("github", "billing"),
            "The configured secret does not fit, but this is signed with the secret of the source `billing`.",
        ),
        (
            Cause::OtherSource,
            signed("github", "billing", BODY, URL)
                .explained(&Doctor::new(&none).other("billing", &billing)),
            "No secret is configured, but this is signed with the secret of the source `billing`.",
        ),
        (
            Cause::FormerSecret,
            from("github", "old"),
            "The configured secret does not fit, but this is signed with an older one, which was replaced 90000 s before the request came.",
        ),
        (
            Cause::FormerSecret,
            from("github", "new"),
            "The configured secret does not fit, but this is signed with an older one, which has been replaced since the request came.",
        ),
    ]);
}

#[test]
fn bodies() {
    use LikelyCause as Cause;
    let rows = [
        ("a\r\nb", "a\nb", "with CR LF line ends"),
        ("a\nb", "a\r\nb", "with LF line ends"),
        ("{\"a\":1}\n", "{\"a\":1}", "with a line feed at the end"),
        ("{\"a\":1}", "{\"a\":1}\n", "without the line feed at the end"),
        ("a", " a ", "without the white space around it"),
        ("a", "\u{feff}a", "without the byte order mark"),
        ("ü", "Ã¼", "in UTF-8 that was not encoded a second time"),
        ("{\"a\":1,\"b\":[1,2]}", "{\n  \"a\": 1,\n  \"b\": [1, 2]\n}", "as compact JSON"),
        (
            "{\"a\": 1, \"b\": 2}",
            "{\"a\":1,\"b\":2}",
            "as JSON with a space after each `:` and `,`",
        ),
        (
            "{\n  \"b\": 1\n}\n",
            "{\"b\":1}",
            "as JSON indented by two spaces and a line feed at the end",
        ),
        ("{\"a\":2,\"b\":1}", "{\"b\":1,\"a\":2}", "as compact JSON with its keys sorted"),
        (
            "{\"a\":\"\\u00fc\"}",
            "{\"a\":\"ü\"}",
            "as compact JSON with `\\u` escapes in small letters",
        ),
        (
            "{\"a\":\"ü\"}",
            "{\"a\":\"\\u00fc\"}",
            "as compact JSON with nothing escaped that need not be",
        ),
        ("{\"u\":\"a\\/b\"}", "{\"u\":\"a/b\"}", "as compact JSON with escaped slashes (`\\/`)"),
        ("{\"a\":\"\\u003c\"}", "{\"a\":\"<\"}", "as compact JSON with `<`, `>` and `&` escaped"),
        ("a=1%202&b=3", "a=1+2&b=3", "with `%20` instead of `+`"),
        ("a=%2F", "a=%2f", "with its `%xx` in capital letters"),
    ];
    for (sent, came, difference) in rows {
        let explanation = told("github", &["secret"], &github(sent).body(came));
        let sentence = format!(
            "The signature fits the body {difference}: something changed it on its way here."
        );
        check(&[(Cause::BodyChanged, explanation, &sentence)]);
    }
    let latin = told("github", &["secret"], &github(b"\xfc").body("ü"));
    let utf = told("github", &["secret"], &github("ü").body(b"\xfc"));
    let packed = github(b"\x1f\x8bpacked").header("content-encoding", "gzip");
    check(&[
        (
            Cause::BodyChanged,
            latin,
            "The signature fits the body in ISO-8859-1 instead of UTF-8: something changed it on its way here.",
        ),
        (
            Cause::BodyChanged,
            utf,
            "The signature fits the body in UTF-8 instead of ISO-8859-1: something changed it on its way here.",
        ),
        (
            Cause::Compressed,
            told("github", &["secret"], &packed.clone().body(BODY)),
            "The body is not compressed, although `content-encoding: gzip` says so: something unpacked it on its way, and the sender signed the packed bytes.",
        ),
        (
            Cause::Compressed,
            told("github", &["other"], &packed),
            "The body came compressed (content-encoding: gzip), and no configured secret fits it like that: the sender may have signed it uncompressed.",
        ),
        (
            Cause::BodyChanged,
            told("github", &["secret"], &github(BODY).body("{}").header("content-length", "35")),
            "The body has 2 bytes, but `content-length` says 35: it is not the body that was sent.",
        ),
    ]);
}

#[test]
fn urls() {
    let rows = [
        ("http://hooks.example.com/in/src?a=%2f&B=1", None),
        ("https://hooks.example.com:443/in/src?a=%2f&B=1", None),
        ("https://hooks.example.com/in/src/?a=%2f&B=1", None),
        ("https://hooks.example.com/in/src?B=1&a=%2f", None),
        ("https://hooks.example.com/in/src?a=%2F&B=1", None),
        ("https://hooks.example.com/in/src", None),
        ("https://front.example/in/src?a=%2f&B=1", Some(("x-forwarded-host", "front.example"))),
        ("https://hooks.example.com/api/in/src?a=%2f&B=1", Some(("x-forwarded-prefix", "/api"))),
    ];
    for (registered, header) in rows {
        let mut arrived = signed("square", "secret", BODY, registered);
        if let Some((name, value)) = header {
            arrived = arrived.header(name, value);
        }
        let sentence =
            format!("The sender signed the URL `{registered}`, but `{URL}` was checked.");
        check(&[(LikelyCause::WrongUrl, told("square", &["secret"], &arrived), &sentence)]);
    }
}

#[test]
fn writing() {
    use LikelyCause as Cause;
    use base64::Engine;
    let name = "x-hub-signature-256";
    let to_base64 = |value: &str| {
        let bytes = hex::decode(&value[7..]).expect("hex");
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"secret");
    let sha1 = hex::encode(ring::hmac::sign(&key, BODY.as_bytes()));
    let row = |arrived: &Arrived| told("github", &["secret"], arrived);
    check(&[
        (
            Cause::WrongEncoding,
            row(&github(BODY).rewritten(name, |value| format!("sha256={}", to_base64(value)))),
            "The signature is right, but it is written in base64, where GitHub has hexadecimal.",
        ),
        (
            Cause::WrongEncoding,
            row(&github(BODY).rewritten(name, |value| value.replace("sha256=", ""))),
            "The signature is right, but it came without its prefix `sha256=`.",
        ),
        (
            Cause::WrongEncoding,
            row(&github(BODY).rewritten(name, to_base64)),
            "The signature is right, but it is written in base64 and without its prefix `sha256=`, where GitHub has hexadecimal.",
        ),
        (
            Cause::WrongAlgorithm,
            row(&github(BODY).rewritten(name, |_| format!("sha1={sha1}"))),
            "The signature is right, but it is made with SHA-1, where GitHub has SHA-256.",
        ),
        (
            Cause::WrongAlgorithm,
            row(&github(BODY).without(name).header("x-hub-signature", &format!("sha1={sha1}"))),
            "There is no signature at header:x-hub-signature-256; the one in x-hub-signature is right, but it is made with SHA-1.",
        ),
        (
            Cause::WrongHeader,
            row(&{
                let arrived = github(BODY);
                let value = arrived.headers[name].to_str().expect("text").to_owned();
                arrived.without(name).header("x-other", &value)
            }),
            "The signature is right, but it came in x-other instead of header:x-hub-signature-256.",
        ),
        (
            Cause::UnsupportedVersion,
            row(&github(BODY).header(name, "v9=00")),
            "The signature's place is filled, but holds no signature of the supported version.",
        ),
        (
            Cause::WrongEncoding,
            row(&github(BODY).header(name, "sha256=!!")),
            "The signature cannot be decoded.",
        ),
        (
            Cause::RepeatedHeader,
            row(&github(BODY).twice(name)),
            "x-hub-signature-256 came more than once, which no sender does: nobody can say which one counts.",
        ),
    ]);
}

#[test]
fn clocks() {
    use LikelyCause as Cause;
    let stripe = || signed("stripe", "secret", BODY, URL);
    let stamped = |stamp: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret");
        let tag = ring::hmac::sign(&key, format!("{stamp}.{BODY}").as_bytes());
        stripe().header("stripe-signature", &format!("t={stamp},v1={}", hex::encode(tag)))
    };
    let row = |arrived: &Arrived| told("stripe", &["secret"], arrived);
    check(&[
        (
            Cause::Stale,
            row(&stripe().later(3_600)),
            "The signature is right, but the request was 3600 s old when it came, and at most 300 s are allowed.",
        ),
        (
            Cause::Future,
            told("zoom", &["secret"], &signed("zoom", "secret", BODY, URL).later(-412)),
            "The signature is right, but its time lies 412 s ahead of this clock, and at most 300 s are allowed.",
        ),
        (
            Cause::TimestampUnit,
            told("zoom", &["secret"], &{
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret");
                let stamp = (NOW * 1_000).to_string();
                let tag = ring::hmac::sign(&key, format!("v0:{stamp}:{BODY}").as_bytes());
                let value = format!("v0={}", hex::encode(tag));
                signed("zoom", "secret", BODY, URL)
                    .header("x-zm-request-timestamp", &stamp)
                    .header("x-zm-signature", &value)
            }),
            "The signature is right, but its timestamp `1767225600000` is in milliseconds, where Zoom has seconds.",
        ),
        (
            Cause::BadTimestamp,
            row(&stamped("yesterday")),
            "The timestamp `yesterday` at field:t is not of the form that Stripe uses.",
        ),
        (
            Cause::BadTimestamp,
            told(
                "slack",
                &["secret"],
                &signed("slack", "secret", BODY, URL).without("x-slack-request-timestamp"),
            ),
            "The timestamp that the signature covers is not there: header:x-slack-request-timestamp is missing.",
        ),
    ]);
}

#[test]
fn providers_and_proxies() {
    use LikelyCause as Cause;
    check(&[
        (
            Cause::OtherProvider,
            told("github", &["secret"], &signed("shopify", "secret", BODY, URL)),
            "This is signed like Shopify: as provider `shopify` the configured secret fits.",
        ),
        (
            Cause::OtherProvider,
            told("github", &["other"], &signed("shopify", "secret", BODY, URL)),
            "This is signed like Shopify (x-shopify-hmac-sha256 came) and not like GitHub, and the configured secret does not fit that either.",
        ),
        (
            Cause::DroppedHeader,
            told("github", &["secret"], &github(BODY).without("x-hub-signature-256")),
            "The request looks like one of GitHub (x-github-event came), but header:x-hub-signature-256 is not there: no secret is set at the sender, or a proxy dropped it.",
        ),
        (
            Cause::MissingHeader,
            told(
                "stripe",
                &["secret"],
                &signed("stripe", "secret", BODY, URL).without("stripe-signature"),
            ),
            "The request carries no signature at header:stripe-signature.",
        ),
        (
            Cause::MissingPart,
            told(
                "standardwebhooks",
                &["c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"],
                &signed("standardwebhooks", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", BODY, URL)
                    .without("webhook-id"),
            ),
            "The signed text needs `header:webhook-id`, which is not in the request.",
        ),
    ]);
}

#[test]
fn work_is_bounded_and_says_so() {
    let verifier = made("github", &["other"]);
    let doctor = Doctor::new(&verifier).catalogue(Catalogue::builtin());
    let few = doctor.clone().limits(Limits { trials_max: 7, ..Limits::default() });
    let explanation = github(BODY).explained(&few);
    assert_eq!((explanation.effort.trials, explanation.effort.cut_short), (7, true));
    let large = github("x").body("{\"a\":1}".repeat(300_000));
    let little = doctor.limits(Limits { bytes_max: 20 << 20, ..Limits::default() });
    let explanation = large.explained(&little);
    assert!(explanation.effort.cut_short && explanation.effort.bytes <= 20 << 20);
    assert_eq!(explanation.likely_cause, Some(LikelyCause::WrongSecret));
}
