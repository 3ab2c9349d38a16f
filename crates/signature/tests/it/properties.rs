//! For arbitrary input: what an entry signs it verifies, and nothing panics.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_signature::{
    Catalogue, Class, Credentials, Entry, RequestView, SignRequest, Verdict, Verifier,
    VerifierOptions,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use crate::vectors::vectors;

// RFC 8032, section 7.1, test 1; and a P-256 key made for this test.
const ED25519_SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const ED25519_PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const P256_PRIVATE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/T+GFl/PBpjzJzPfm614ROIxXo3aUJaWUtdZTZP59yGhRANCAATDQg2c/1LXLWeKG0UXltO+NvWaOFSU/8sSfiCrxOQLsdowq7191UcHFmVvFP3sm0O+jhyt8Je2AlWF1dRf4PRX";
const P256_PUBLIC: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEw0INnP9S1y1nihtFF5bTvjb1mjhUlP/LEn4gq8TkC7HaMKu9fdVHBxZlbxT97JtDvo4crfCXtgJVhdXUX+D0Vw==";

/// A verifier that can also sign, with the keys that the entry's first scheme needs.
fn verifier(entry: &Arc<Entry>) -> Verifier {
    let (secret, public) = match entry.schemes.first().map(|scheme| scheme.class) {
        Some(Class::Ed25519) => (ED25519_SEED, Some(ED25519_PUBLIC)),
        Some(Class::EcdsaP256) => (P256_PRIVATE, Some(P256_PUBLIC)),
        _ => ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None),
    };
    let credentials = Credentials::new(
        vec![secret.to_owned()],
        public.map(str::to_owned).into_iter().collect(),
        BTreeMap::new(),
    );
    Verifier::new(Arc::clone(entry), &credentials, &VerifierOptions::default()).expect("fits")
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every entry of the catalogue signs, and accepts what it signed; changed bodies are refused.
    #[test]
    fn what_is_signed_verifies(
        text in "[ -~äöü\\n]{0,200}",
        form in any::<bool>(),
        now_s in 1_000_000_000i64..4_000_000_000,
        position in any::<prop::sample::Index>(),
    ) {
        let body = if form {
            format!("a={}&Body=x", text.replace(['&', '=', '%'], ""))
        } else {
            serde_json::json!({ "type": "t", "id": "1", "text": text }).to_string()
        };
        let content_type = if form { "application/x-www-form-urlencoded" } else { "application/json" };
        for slug in Catalogue::builtin().slugs() {
            let entry = Catalogue::builtin().get(slug).expect("is listed");
            let verifier = verifier(&entry);
            let request = SignRequest {
                method: "POST",
                url: "https://hooks.example.com/in/src?x=1",
                body: body.as_bytes(),
                content_type,
                event_type: Some("thing.done"),
                delivery_id: Some("id-1"),
            };
            let json_only = entry.schemes.iter().any(|scheme| {
                scheme.timestamp.as_ref().is_some_and(|spec| spec.at.to_string().starts_with("json:"))
            });
            let signed = match verifier.sign(&request, now_s) {
                Ok(signed) => signed,
                Err(error) => {
                    prop_assert!(form && json_only, "{slug}: {error}");
                    continue;
                }
            };
            let headers = header_map(&signed.headers);
            let mut view = RequestView { method: "POST", url: &signed.url, headers: &headers, body: &signed.body };
            let verdict = verifier.verify(&view, now_s);
            prop_assert!(verdict.is_genuine(), "{slug}: {verdict:?}");
            let facts = verifier.facts(&view);
            if let Some(place) = entry.delivery_id.as_ref().map(|fact| fact.at[0].to_string())
                && place.starts_with("header:")
            {
                prop_assert_eq!(facts.delivery_id.as_deref(), Some("id-1"), "{}", slug);
            }
            if entry.signs_body() {
                let mut changed = signed.body.clone();
                let index = position.index(changed.len());
                changed[index] ^= 1;
                view.body = &changed;
                // A form is signed by its decoded fields: `+` and `%20` are the same text.
                let verdict = verifier.verify(&view, now_s);
                prop_assert!(!verdict.is_genuine(), "{slug}: a changed body passed");
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
        for slug in Catalogue::builtin().slugs() {
            let entry = Catalogue::builtin().get(slug).expect("is listed");
            let verifier = verifier(&entry);
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
            prop_assert!(slug == "none" || !verdict.is_genuine(), "{slug} accepted rubbish");
            verifier.handshake(&view, now_s);
            verifier.facts(&view);
            prop_assert_eq!(verifier.explain(&view, now_s).verdict, verdict);
        }
    }

    /// Arbitrary texts are read as entries, or refused, without a panic.
    #[test]
    fn arbitrary_entries_never_panic(
        message in "\\PC{0,40}",
        at in "(header|query|json|form|field|credential)?:?\\PC{0,20}",
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

/// A right signature is bound to its bytes: any flipped bit in body, signature or time refuses.
#[test]
fn no_flipped_bit_passes() {
    for (slug, list) in vectors() {
        if !matches!(
            slug.as_str(),
            "stripe" | "slack" | "standardwebhooks" | "shopify" | "square" | "discord"
        ) {
            continue;
        }
        let vector = list.iter().find(|vector| vector.name == "valid").expect("is there");
        let verifier = vector.verifier(&slug);
        let (headers, body) = (vector.headers(), vector.body());
        for bit in 0..body.len() * 8 {
            let mut changed = body.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let view = RequestView {
                method: &vector.method,
                url: &vector.url,
                headers: &headers,
                body: &changed,
            };
            let verdict = verifier.verify(&view, vector.verify_at);
            assert!(matches!(verdict, Verdict::Refused(_)), "{slug}: bit {bit}");
        }
    }
}
