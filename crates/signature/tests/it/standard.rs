//! Our own deliveries: what `sign_headers` makes, the catalogue's entry accepts.

use becket_signature::standard_webhooks::{SigningKey, SigningKeyError, sign_headers};
use becket_signature::{Catalogue, Credentials, RequestView, Verifier, VerifierOptions};
use http::{HeaderMap, HeaderValue};

const NOW: i64 = 1_767_225_600;
// RFC 8032, section 7.1, test 1.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

fn accepts(credentials: &Credentials, signature: &str, body: &[u8]) -> bool {
    let entry = Catalogue::builtin().get("standardwebhooks").expect("is listed");
    let verifier = Verifier::new(entry, credentials, &VerifierOptions::default()).expect("fits");
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
    headers.insert("webhook-timestamp", HeaderValue::from(NOW));
    headers.insert("webhook-signature", HeaderValue::from_str(signature).expect("a value"));
    let request =
        RequestView { method: "POST", url: "https://a.example/", headers: &headers, body };
    verifier.verify(&request, NOW).is_genuine()
}

#[test]
fn both_kinds_of_keys_sign_what_verifies() {
    let body = b"{\"a\":\"\xc3\xbc\"}";
    let symmetric = SigningKey::generate([7; 32]);
    let older = SigningKey::generate([8; 32]);
    let seed = hex::decode(SEED).expect("hex");
    use base64::Engine;
    let standard = base64::engine::general_purpose::STANDARD;
    let asymmetric =
        SigningKey::parse(&format!("whsk_{}", standard.encode(&seed))).expect("parses");
    let keys = [symmetric.clone(), older.clone(), asymmetric.clone()];
    let signature = sign_headers(&keys, "msg_1", NOW, body);
    assert_eq!(signature.split(' ').count(), 3);
    for key in [&symmetric, &older] {
        let credentials = Credentials::from_secrets([key.expose()]);
        assert!(accepts(&credentials, &signature, body));
        assert!(!accepts(&credentials, &signature, b"{}"));
    }
    let public = format!("whpk_{}", standard.encode(hex::decode(PUBLIC).expect("hex")));
    assert!(accepts(&Credentials::from_public_keys([public.clone()]), &signature, body));
    assert!(!accepts(&Credentials::from_public_keys([public]), &signature, b"{}"));
    assert_eq!(
        SigningKey::parse(&asymmetric.expose()).expect("parses").expose(),
        asymmetric.expose()
    );
    for key in &keys {
        let shown = format!("{key} {key:?}");
        assert!(!shown.contains(&key.expose()[10..]), "{shown}");
    }
}

#[test]
fn wrong_keys_are_named() {
    for (text, error) in [
        ("secret", SigningKeyError::Prefix),
        ("whsec_!!", SigningKeyError::Base64),
        ("whsec_YWJj", SigningKeyError::Length),
        ("whsk_YWJj", SigningKeyError::Length),
    ] {
        assert_eq!(SigningKey::parse(text).err(), Some(error));
    }
    let halves = [[1; 32], [2; 32]].concat();
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(halves);
    assert_eq!(SigningKey::parse(&format!("whsk_{text}")).err(), Some(SigningKeyError::KeyPair));
}
