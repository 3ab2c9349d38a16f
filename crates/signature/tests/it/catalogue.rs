//! The catalogue as a whole: complete, readable, consistent.

use std::collections::BTreeSet;

use becket_signature::{Catalogue, Class, Entry, Expr, Place, RequestView, unsigned_body_warning};
use http::{HeaderMap, HeaderValue};

use crate::keys::verifier;
use crate::vectors::catalogue_folder;

/// Entries whose id in the body is, by the provider's own words or SDK, that of the event or of its delivery: no two
/// events have the same. Any other id there only counts together with the body's hash. Whoever adds an entry looks
/// that up first: an id of a payment or of a call comes again with the next event of it, which would be lost.
#[rustfmt::skip]
const IDS_OF_EVENTS: &[&str] = &[
    "adobe_sign", "aftership", "airwallex", "alchemy", "ascend", "auth0", "authorize_net",
    "aws_sns", "azure_event_grid", "box", "bridge_xyz", "chargebee", "chargify", "checkout",
    "checkr", "circle", "circleci", "close", "coinbase_cdp", "coinbase_commerce", "coinify",
    "connectwise", "customerio", "daily", "datadog", "discord", "dwolla", "easypost", "ebay",
    "emailit", "exa", "favro", "fireblocks", "flexport", "flutterwave", "frontapp", "fusionauth",
    "gocardless", "google_pubsub", "heroku", "highlevel", "intercom", "keygen", "kinde", "klarna",
    "kustomer", "launchdarkly", "livekit", "lob", "mailgun", "makeplans", "manus", "mercadopago",
    "mercury", "metronome", "mollie", "mux", "nmi", "notion", "nylas", "okta", "orb", "orum_io",
    "paddle", "paddleclassic", "pagerduty", "paypal", "persona", "pinwheel", "ramp", "revenuecat",
    "ringcentral", "rutter", "savvycal", "segment", "slack", "smartcar", "smartsheet", "smile",
    "square", "stripe", "synctera", "tally", "tebex", "telegram", "telnyx", "tiktok_shop",
    "treezor", "trello", "typeform", "utila", "vercel", "whereby", "workos", "worldline",
    "worldpay", "zift",
];

#[test]
fn the_list_is_the_folder() {
    let files: BTreeSet<String> = std::fs::read_dir(catalogue_folder())
        .expect("the folder is there")
        .filter_map(|file| {
            let path = file.expect("is readable").path();
            (path.extension()? == "toml")
                .then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))?
        })
        .collect();
    let listed: Vec<&str> = Catalogue::builtin().slugs().collect();
    assert!(listed.is_sorted(), "the list must be sorted: it is searched by halving");
    assert!(listed.len() > 150, "only {} entries were listed", listed.len());
    assert_eq!(files, listed.iter().map(|slug| (*slug).to_owned()).collect());
}

#[test]
fn every_entry_is_complete() {
    let catalogue = Catalogue::builtin();
    for slug in catalogue.slugs() {
        let text = catalogue.text(slug).expect("is listed");
        let read = Entry::from_toml(text).unwrap_or_else(|error| panic!("{slug}.toml: {error}"));
        let entry = catalogue.get(slug).expect("is listed");
        assert_eq!(*entry, read, "{slug}");
        assert_eq!(entry.slug(), slug);
        assert!(!entry.name().is_empty() && !entry.source().is_empty(), "{slug}");
        assert!(entry.guide().len() > 80, "{slug} needs a guide");
        let value = toml::Value::try_from(&*entry).expect("can be written");
        assert_eq!(*entry, Entry::from_value(value).expect("reads"), "{slug}: written and read");
    }
    assert_eq!(catalogue.list().len(), catalogue.slugs().count());
    assert!(catalogue.get("nobody").is_none());
}

#[test]
fn what_a_signature_does_not_cover_is_said() {
    let get = |slug: &str| Catalogue::builtin().get(slug).expect("is listed");
    for slug in ["none", "token", "basic", "gitlab"] {
        assert!(unsigned_body_warning(&get(slug)).is_some(), "{slug}");
    }
    for slug in ["github", "stripe", "twilio", "square", "discord", "standardwebhooks"] {
        assert_eq!(unsigned_body_warning(&get(slug)), None, "{slug}");
    }
    assert_eq!(get("github").delivery_id_is_signed(), Some(false));
    assert_eq!(get("stripe").delivery_id_is_signed(), Some(true));
    assert_eq!(get("standardwebhooks").delivery_id_is_signed(), Some(true));
    assert_eq!(get("none").delivery_id_is_signed(), None);
    assert_eq!(get("github").body_limit(), Some(25 * 1024 * 1024));
}

/// Whether a place reads the first element of a list.
fn reads_list(place: &Place) -> bool {
    place.variables().any(|variable| match variable {
        Expr::Json(path) | Expr::Claim(path) => path
            .segments()
            .iter()
            .any(|step| step == "*" || step.bytes().all(|byte| byte.is_ascii_digit())),
        _ => false,
    })
}

#[test]
fn an_id_never_makes_a_repeat_of_another_event() {
    let mut wrong = Vec::new();
    for slug in Catalogue::builtin().slugs() {
        let entry = Catalogue::builtin().get(slug).expect("is listed");
        let Some(fact) = &entry.delivery_id else { continue };
        for place in fact.at.iter().filter(|place| !place.covers_body()) {
            let in_body = place.variables().any(|variable| {
                !matches!(variable, Expr::Header(_) | Expr::Claim(_) | Expr::Literal(_))
            });
            if reads_list(place) {
                wrong.push(format!("{slug}: `{place}` is the id of one of several events"));
            } else if in_body && place.single().is_none() {
                wrong.push(format!("{slug}: `{place}` is put together: add {{sha256hex(body)}}"));
            } else if in_body && !IDS_OF_EVENTS.contains(&slug) {
                wrong.push(format!("{slug}: is `{place}` the event's own id?"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(IDS_OF_EVENTS.is_sorted());
}

/// The delivery id that is read from a body of this content type.
fn id_of(entry: &std::sync::Arc<Entry>, content_type: &str, body: &str) -> Option<String> {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(content_type).expect("a value");
    headers.insert(http::header::CONTENT_TYPE, value);
    let url = "https://hooks.example.com/in/src";
    let view = RequestView { method: "POST", url, headers: &headers, body: body.as_bytes() };
    verifier(entry).facts(&view).delivery_id
}

#[test]
fn later_events_of_an_object_and_larger_batches_have_other_ids() {
    let form = "application/x-www-form-urlencoded";
    let json = "application/json";
    for (slug, kind, one, other) in [
        (
            "recurly",
            json,
            r#"{"uuid":"4d7a","object_type":"subscription","event_type":"created"}"#,
            r#"{"uuid":"4d7a","object_type":"subscription","event_type":"canceled"}"#,
        ),
        (
            "zerotier",
            json,
            r#"{"hook_id":"e2a8","hook_type":"NETWORK_JOIN","member_id":"1"}"#,
            r#"{"hook_id":"e2a8","hook_type":"NETWORK_JOIN","member_id":"2"}"#,
        ),
        (
            "postmark",
            json,
            r#"{"RecordType":"Click","MessageID":"883953f4","Recipient":"a@example.com","OriginalLink":"/1"}"#,
            r#"{"RecordType":"Click","MessageID":"883953f4","Recipient":"a@example.com","OriginalLink":"/2"}"#,
        ),
        (
            "retell",
            json,
            r#"{"event":"transcript_updated","call":{"call_id":"J","transcript":"a"}}"#,
            r#"{"event":"transcript_updated","call":{"call_id":"J","transcript":"a b"}}"#,
        ),
        (
            "netlify",
            json,
            r#"{"id":"5ebc","state":"ready","locked":null}"#,
            r#"{"id":"5ebc","state":"ready","locked":true}"#,
        ),
        (
            "webex",
            json,
            r#"{"resource":"rooms","event":"updated","data":{"id":"1","title":"a"}}"#,
            r#"{"resource":"rooms","event":"updated","data":{"id":"1","title":"b"}}"#,
        ),
        (
            "twilio",
            form,
            "CallSid=CA1&RecordingStatus=in-progress",
            "CallSid=CA1&RecordingStatus=completed",
        ),
        (
            "mandrill",
            form,
            "mandrill_events=%5B%7B%22event%22%3A%22send%22%2C%22_id%22%3A%22m1%22%7D%5D",
            "mandrill_events=%5B%7B%22event%22%3A%22open%22%2C%22_id%22%3A%22m1%22%7D%5D",
        ),
        ("hubspot", json, r#"[{"eventId":1}]"#, r#"[{"eventId":1},{"eventId":2}]"#),
        (
            "sendgrid",
            json,
            r#"[{"sg_event_id":"a"}]"#,
            r#"[{"sg_event_id":"a"},{"sg_event_id":"b"}]"#,
        ),
        ("fastspring", json, r#"{"events":[{"id":"a"}]}"#, r#"{"events":[{"id":"a"},{"id":"b"}]}"#),
    ] {
        let entry = Catalogue::builtin().get(slug).expect("is listed");
        let ids = [id_of(&entry, kind, one), id_of(&entry, kind, other)];
        // Without an id the bodies themselves are compared.
        assert!(ids[0] != ids[1] || ids == [None, None], "{slug}: {ids:?}");
        assert_eq!(ids[0], id_of(&entry, kind, one), "{slug}: a repeat has the same id");
    }
}

#[test]
fn what_nothing_proves_or_only_names_an_object_is_no_repeat_by_its_body() {
    let get = |slug: &str| Catalogue::builtin().get(slug).expect("is listed");
    for slug in ["dropbox", "mollie_classic", "plaid", "microsoft_graph", "bitpay", "strava"] {
        assert!(get(slug).bodies_recur, "{slug}");
    }
    for slug in ["none", "hmac", "token", "basic", "github", "stripe"] {
        assert!(!get(slug).bodies_recur, "{slug}: the documented setting holds");
    }
}

/// Answers a challenge with what the entry's handshakes want of a request.
fn challenged(entry: &Entry, challenge: &str) -> Vec<(String, HeaderMap, String)> {
    let mut asked = Vec::new();
    for rule in entry.handshakes.iter().filter(|rule| !rule.verify_first) {
        let mut url = "https://hooks.example.com/in/src".to_owned();
        let mut headers = HeaderMap::new();
        let mut body = serde_json::Map::new();
        for condition in &rule.when {
            let wanted = condition.equals.iter().chain(&condition.starts_with);
            let text = wanted
                .flat_map(|texts| texts.iter())
                .next()
                .map_or_else(|| challenge.to_owned(), Clone::clone);
            match condition.at.single() {
                _ if condition.present == Some(false) => {}
                Some(Expr::Query(name)) => {
                    let separator = if url.contains('?') { '&' } else { '?' };
                    url = format!("{url}{separator}{name}={text}");
                }
                Some(Expr::Header(name)) => {
                    headers.insert(name, HeaderValue::from_str(&text).expect("a value"));
                }
                Some(Expr::Json(path)) => {
                    if let [key, inner] = path.segments() {
                        let object = body.entry(key.clone()).or_insert(serde_json::json!({}));
                        object[inner] = text.into();
                    } else {
                        body.insert(path.segments()[0].clone(), text.into());
                    }
                }
                _ => {}
            }
        }
        let body =
            if body.is_empty() { String::new() } else { serde_json::json!(body).to_string() };
        asked.push((url, headers, body));
    }
    asked
}

#[test]
fn no_answer_to_a_challenge_is_the_signature_of_an_event() {
    let mut answered = 0;
    for slug in Catalogue::builtin().slugs() {
        let entry = Catalogue::builtin().get(slug).expect("is listed");
        let judge = verifier(&entry);
        for challenge in ["deadbeef", "2024", "abcdefab12345678"] {
            for (url, headers, body) in challenged(&entry, challenge) {
                let answers = ["GET", "POST"].map(|method| {
                    let view =
                        RequestView { method, url: &url, headers: &headers, body: body.as_bytes() };
                    judge.handshake(&view, 1_767_225_600)
                });
                for answer in answers.into_iter().flatten() {
                    answered += 1;
                    let texts = tags(&String::from_utf8_lossy(&answer.body));
                    for (text, scheme) in
                        texts.iter().flat_map(|text| entry.schemes.iter().map(move |s| (text, s)))
                    {
                        assert!(
                            !is_an_event(&judge, scheme, challenge, text),
                            "{slug}: {challenge} {text}"
                        );
                    }
                }
            }
        }
    }
    assert!(answered > 20, "only {answered} challenges were answered");
}

/// An answer as it came, and every run of characters in it that could be a signature.
fn tags(answer: &str) -> Vec<String> {
    let runs =
        answer.split(|letter: char| !letter.is_ascii_alphanumeric() && !"+/=_-|".contains(letter));
    let mut texts: Vec<String> = runs.filter(|run| run.len() >= 20).map(str::to_owned).collect();
    texts.push(answer.to_owned());
    texts
}

/// Whether this text passes as the scheme's signature of the challenge, wherever the scheme reads it.
fn is_an_event(
    judge: &becket_signature::Verifier,
    scheme: &becket_signature::Scheme,
    challenge: &str,
    signature: &str,
) -> bool {
    if scheme.class == Class::None {
        return false;
    }
    let Some(spec) = &scheme.signature else { return false };
    let encoded =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    spec.at.iter().any(|place| {
        let mut headers = HeaderMap::new();
        let mut body = challenge.to_owned();
        match place.single() {
            Some(Expr::Header(name)) => {
                let Ok(value) = HeaderValue::from_str(signature) else { return false };
                headers.insert(name, value);
            }
            Some(Expr::Form(name)) => {
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(http::header::CONTENT_TYPE, kind);
                let fields = scheme.message.variables().filter_map(|variable| match variable {
                    Expr::Form(field) => Some(format!("&{field}={}", encoded(challenge))),
                    _ => None,
                });
                body = format!("{name}={}{}", encoded(signature), fields.collect::<String>());
            }
            _ => return false,
        }
        let url = "https://hooks.example.com/in/src";
        let view = RequestView { method: "POST", url, headers: &headers, body: body.as_bytes() };
        judge.verify(&view, 1_767_225_600).is_genuine()
    })
}
