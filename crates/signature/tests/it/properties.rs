//! For arbitrary input: what an entry signs it verifies, and nothing panics.

use std::sync::{Arc, LazyLock};

use becket_signature::{
    Catalogue, Class, Digest, Entry, Expr, RequestView, Sample, SignRequest, Verifier,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use crate::keys::verifier;

const FORM: &str = "application/x-www-form-urlencoded";

/// Every entry with a verifier that can sign, made once.
static VERIFIERS: LazyLock<Vec<Item>> = LazyLock::new(|| {
    Catalogue::builtin()
        .slugs()
        .map(|slug| {
            let entry = Catalogue::builtin().get(slug).expect("is listed");
            let verifier = verifier(&entry);
            (slug.to_owned(), entry, verifier)
        })
        .collect()
});

/// Entries that can be verified and not signed, by what they need.
fn cannot_be_signed(entry: &Entry) -> bool {
    entry.schemes.iter().any(|scheme| {
        // ring makes no signatures over SHA-1; it verifies them for RSA, another crate does for P-256.
        matches!(scheme.class, Class::EcdsaP256 | Class::RsaPkcs1)
            && scheme.digest == Some(Digest::Sha1)
    })
}

/// Whether the signed text is made from parsed fields, so that other bytes may mean the same.
fn signs_fields(entry: &Entry) -> bool {
    entry
        .schemes
        .iter()
        .any(|scheme| scheme.build.is_some() || scheme.message.uses(&Expr::SortedForm))
}

/// Whether two bodies mean the same as JSON or as a form.
pub fn means_the_same(one: &[u8], other: &[u8]) -> bool {
    let json = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let pairs = |bytes| url::form_urlencoded::parse(bytes).into_owned().collect::<Vec<_>>();
    match (json(one), json(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => pairs(one) == pairs(other),
        _ => false,
    }
}

fn header_map(headers: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            name.parse::<HeaderName>().expect("a name"),
            HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
        );
    }
    map
}

type Item = (String, Arc<Entry>, Verifier);

/// Signs, verifies, and refuses a changed body; `Ok(Some(_))` says why the entry does not sign this request.
fn round_trip(
    (_, entry, verifier): &Item,
    request: &SignRequest<'_>,
    now_s: i64,
    position: impl Fn(usize) -> usize,
) -> Result<Option<String>, String> {
    let signed = match verifier.sign(request, now_s) {
        Ok(signed) => signed,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let headers = header_map(&signed.headers);
    let view = RequestView {
        method: request.method,
        url: &signed.url,
        headers: &headers,
        body: &signed.body,
    };
    let verdict = verifier.verify(&view, now_s);
    if !verdict.is_genuine() {
        let body = String::from_utf8_lossy(&signed.body);
        return Err(format!("{}: {} {:?} {body}", verdict.code(), signed.url, signed.headers));
    }
    let facts = verifier.facts(&view);
    let alone = entry.delivery_id.as_ref().filter(|fact| fact.at.len() == 1);
    let place = alone.map(|fact| fact.at[0].to_string());
    if place.is_some_and(|place| place.starts_with("header:"))
        && facts.delivery_id.as_deref() != request.delivery_id
    {
        return Err(format!("the delivery id is {:?}", facts.delivery_id));
    }
    if entry.signs_body() && !signed.body.is_empty() {
        let mut changed = signed.body.clone();
        changed[position(signed.body.len())] ^= 1;
        let verdict = verifier.verify(&RequestView { body: &changed, ..view }, now_s);
        let same = signs_fields(entry) && means_the_same(&signed.body, &changed);
        if verdict.is_genuine() && !same {
            let changed = String::from_utf8_lossy(&changed).into_owned();
            return Err(format!("a changed body passed: {changed}"));
        }
    }
    Ok(None)
}

fn of_sample<'s>(sample: &'s Sample, url: &'s str, body: &'s [u8]) -> SignRequest<'s> {
    SignRequest {
        method: &sample.method,
        url,
        body,
        content_type: &sample.content_type,
        event_type: sample.event_type.as_deref().or(Some("thing.done")),
        delivery_id: Some("id-1"),
    }
}

/// Every entry signs one of its samples at least, and accepts what it signed.
#[test]
fn every_entry_signs_its_samples() {
    let mut wrong = Vec::new();
    for item in VERIFIERS.iter() {
        let (slug, entry, _) = item;
        let mut reasons = Vec::new();
        let mut signs = cannot_be_signed(entry);
        for sample in entry.samples() {
            let url = sample.url("https://hooks.example.com/in/src");
            let body = sample.body_bytes();
            let request = of_sample(sample, &url, &body);
            for step in 0..8 {
                match round_trip(item, &request, 1_767_225_600, |length| step * length / 8) {
                    Ok(None) => signs = true,
                    Ok(Some(reason)) => reasons.push(reason),
                    Err(problem) => {
                        wrong.push(format!("{slug}: {problem}"));
                        signs = true;
                        break;
                    }
                }
            }
        }
        if !signs {
            wrong.push(format!("{slug} signs nothing: {:?}", reasons.first()));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every entry of the catalogue signs its samples, and accepts what it signed; changed bodies are refused.
    #[test]
    fn what_is_signed_verifies(
        text in "[ -~äöü\\n]{0,200}",
        now_s in 1_000_000_000i64..4_000_000_000,
        position in any::<prop::sample::Index>(),
    ) {
        let json = serde_json::json!({ "type": "t", "id": "1", "text": text }).to_string();
        let form = format!("a={}&Body=x", text.replace(['&', '=', '%'], ""));
        for item in VERIFIERS.iter() {
            for (body, content_type) in [(&json, "application/json"), (&form, FORM)] {
                let request = SignRequest {
                    method: "POST",
                    url: "https://hooks.example.com/in/src?x=1",
                    body: body.as_bytes(),
                    content_type,
                    event_type: Some("thing.done"),
                    delivery_id: Some("id-1"),
                };
                // Not every entry signs bodies that are not its provider's.
                let outcome = round_trip(item, &request, now_s, |length| position.index(length));
                prop_assert!(outcome.is_ok(), "{}: {outcome:?}", item.0);
            }
            for sample in item.1.samples() {
                let url = sample.url("https://hooks.example.com/in/src");
                let body = sample.body_bytes();
                let request = of_sample(sample, &url, &body);
                let outcome = round_trip(item, &request, now_s, |length| position.index(length));
                prop_assert!(outcome.is_ok(), "{}: {outcome:?}", item.0);
            }
        }
    }

    /// Arbitrary requests are judged, explained and answered without a panic, by every entry.
    #[test]
    fn arbitrary_requests_never_panic(
        body in prop::collection::vec(any::<u8>(), 0..300),
        url in "\\PC{0,80}",
        value in prop::collection::vec(any::<u8>().prop_filter("a header's byte", |b| *b >= 32 && *b != 127 || *b == 9), 0..120),
        method in "GET|POST|HEAD|[A-Z]{0,8}",
        now_s in any::<i64>(),
    ) {
        for (slug, entry, verifier) in VERIFIERS.iter() {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(&value).expect("a value");
            for scheme in &entry.schemes {
                let places = scheme.signature.iter().flat_map(|spec| spec.at.iter());
                for place in places.chain(scheme.timestamp.iter().map(|spec| &spec.at)) {
                    if let Some(name) = place.to_string().strip_prefix("header:") {
                        headers.insert(name.parse::<HeaderName>().expect("a name"), value.clone());
                    }
                }
            }
            let view = RequestView { method: &method, url: &url, headers: &headers, body: &body };
            let verdict = verifier.verify(&view, now_s);
            let open = entry.schemes.iter().any(|scheme| scheme.class == Class::None);
            prop_assert!(open || !verdict.is_genuine(), "{slug} accepted rubbish");
            verifier.handshake(&view, now_s);
            verifier.facts(&view);
            verifier.acknowledgement(&view);
            prop_assert_eq!(verifier.explain(&view, now_s).verdict, verdict);
        }
    }

    /// Arbitrary texts are read as entries, or refused, without a panic.
    #[test]
    fn arbitrary_entries_never_panic(
        message in "\\PC{0,40}",
        at in "(header|query|json|form|part|field|claim|credential|first_key)?:?\\PC{0,20}",
        separator in "\\PC{0,3}",
    ) {
        let text = toml::Value::try_from(serde_json::json!({
            "slug": "own", "name": "Own",
            "scheme": [{
                "class": "hmac", "digest": "sha256", "message": message,
                "signature": { "at": at, "split": { "items": separator, "pair": "=", "wanted": "v1" } },
            }],
        })).expect("is a table");
        if let Ok(entry) = Entry::from_value(text) {
            let entry = Arc::new(entry);
            let verifier = verifier(&entry);
            let headers = HeaderMap::new();
            let view = RequestView { method: "POST", url: "https://a/?v1=1", headers: &headers, body: b"{}" };
            let verdict = verifier.verify(&view, 0);
            prop_assert!(!verdict.is_genuine());
        }
    }
}
