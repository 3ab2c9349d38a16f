//! Tokens against those of the RFCs and of another implementation.

use proptest::prelude::*;

use super::*;

/// Tokens and keys; the file says who made them.
const MADE: &str = include_str!("../../tests/data/jwt.json");

fn made() -> serde_json::Value {
    serde_json::from_str(MADE).expect("a JSON file")
}

fn text<'v>(value: &'v serde_json::Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name}"))
}

fn only(algorithm: JwtAlgorithm) -> JwtSpec {
    JwtSpec { algorithms: vec![algorithm], detached: None }
}

fn algorithm(name: &str) -> JwtAlgorithm {
    serde_json::from_value(name.into()).expect("an algorithm")
}

fn public(text: &str, spec: &JwtSpec) -> JwtKey {
    JwtKey::public(text, spec).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn tokens_of_the_rfcs_are_genuine() {
    for row in made()["rfcs"].as_array().expect("tokens") {
        let mut spec = only(algorithm(text(row, "algorithm")));
        let payload = row["detached_payload"].as_str();
        spec.detached = payload.map(|_| Detached::Raw);
        let token = Token::parse(text(row, "token")).expect("a token");
        let key = match row["secret_base64url"].as_str() {
            Some(secret) => {
                JwtKey::secret(&URL_SAFE_NO_PAD.decode(secret).expect("base64")).expect("a secret")
            }
            None => public(&row["jwk"].to_string(), &spec),
        };
        let name = text(row, "name");
        assert!(key.verifies(&token, &spec, payload.map(str::as_bytes)), "{name}");
        assert!(!key.verifies(&token, &spec, payload.map(|_| &b"$.03"[..])) || payload.is_none());
        let other = JwtKey::secret(b"another secret").expect("a secret");
        assert!(!other.verifies(&token, &spec, payload.map(str::as_bytes)), "{name}");
    }
}

#[test]
fn tokens_of_every_algorithm_are_genuine_with_every_form_of_their_key() {
    let made = made();
    for row in made["tokens"].as_array().expect("tokens") {
        let name = text(row, "algorithm");
        let spec = only(algorithm(name));
        let token = Token::parse(text(row, "token")).expect("a token");
        assert_eq!(token.algorithm(), Some(algorithm(name)));
        assert_eq!(token.key_id(), Some("key-1"));
        assert_eq!(token.header_member("typ").as_deref(), Some("JWT"));
        assert!(
            std::str::from_utf8(token.claims()).is_ok_and(|json| json.contains("issuer.example"))
        );
        let kind = text(row, "key");
        let keys: Vec<JwtKey> = if kind == "secret" {
            vec![JwtKey::secret(text(&made, "secret").as_bytes()).expect("a secret")]
        } else {
            let key = &made["keys"][kind];
            let pkcs1 = key["pkcs1_pem"].as_str();
            [text(key, "public_pem"), text(key, "public_der_base64"), &key["jwk"].to_string()]
                .into_iter()
                .chain(pkcs1)
                .map(|text| public(text, &spec))
                .collect()
        };
        for key in keys {
            assert!(key.verifies(&token, &spec, None), "{name}");
            // Not pinned, so not accepted, whatever the token says.
            let mut others = JwtAlgorithm::ALL.to_vec();
            others.retain(|other| *other != algorithm(name));
            assert!(!key.verifies(&token, &JwtSpec { algorithms: others, detached: None }, None));
            let tampered = text(row, "token").replace(".eyJ", ".eyI");
            assert!(
                !Token::parse(&tampered).is_some_and(|token| key.verifies(&token, &spec, None))
            );
        }
    }
}

#[test]
fn a_public_key_never_is_a_secret() {
    let made = made();
    let rsa = text(&made["keys"]["RSA"], "public_pem");
    // The classical forgery: HS256 with the text of the public key as the secret.
    let spec = JwtSpec { algorithms: JwtAlgorithm::ALL.to_vec(), detached: None };
    let forged = sign(&only(JwtAlgorithm::HS256), rsa.as_bytes(), "", "{}", None).expect("signs");
    let token = Token::parse(&forged).expect("a token");
    assert!(!public(rsa, &spec).verifies(&token, &spec, None));
    assert!(JwtKey::secret(rsa.as_bytes()).is_err());
    assert!(JwtKey::secret(made["keys"]["RSA"]["jwk"].to_string().as_bytes()).is_err());
    assert!(JwtKey::public(rsa, &only(JwtAlgorithm::HS256)).is_err());
    assert!(JwtKey::public(rsa, &only(JwtAlgorithm::ES256)).is_err());
    let point = text(&made["keys"]["P384"], "public_pem");
    assert!(JwtKey::public(point, &only(JwtAlgorithm::ES256)).is_err());
    assert!(JwtKey::public("", &spec).is_err());
}

#[test]
fn headers_that_demand_more_are_refused() {
    let token = |header: &str| {
        let text = format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header));
        Token::parse(&text).map(|token| token.algorithm())
    };
    assert_eq!(token(r#"{"alg":"HS256"}"#), Some(Some(JwtAlgorithm::HS256)));
    assert_eq!(token(r#"{"alg":"none"}"#), Some(None));
    assert_eq!(token(r#"{"alg":"hs256"}"#), Some(None));
    for header in [
        "",
        "{}",
        "[]",
        r#"["HS256"]"#,
        r#"{"alg":1}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","b64":true,"crit":["b64"]}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
    ] {
        assert_eq!(token(header), None, "{header}");
    }
    for text in
        ["", ".", "..", "a.b", "a.b.c", "e30.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.", "e30.e30.AA=="]
    {
        assert!(Token::parse(text).is_none(), "{text}");
    }
    let long =
        format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(" ".repeat(10_000) + r#"{"alg":"HS256"}"#));
    assert!(Token::parse(&long).is_none());
    let none = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
    assert!(Token::parse(&none).is_none(), "an empty signature is none");
}

#[test]
fn payloads_elsewhere_count_only_where_the_entry_says_so() {
    let made = made();
    let detached = &made["detached"];
    let body = text(detached, "body").as_bytes();
    let of = |kind| JwtSpec { algorithms: vec![JwtAlgorithm::RS512], detached: kind };
    let (base64url, raw) = (of(Some(Detached::Base64url)), of(Some(Detached::Raw)));
    let key = public(text(&made["keys"]["RSA"], "public_pem"), &raw);
    let encoded = Token::parse(text(detached, "base64url")).expect("a token");
    let plain = Token::parse(text(detached, "raw")).expect("a token");
    assert!(key.verifies(&encoded, &base64url, Some(body)));
    assert!(key.verifies(&encoded, &raw, Some(body)));
    assert!(key.verifies(&plain, &raw, Some(body)));
    assert!(!key.verifies(&plain, &base64url, Some(body)));
    for token in [&encoded, &plain] {
        assert!(!key.verifies(token, &of(None), Some(body)));
        assert!(!key.verifies(token, &raw, None));
        assert!(!key.verifies(token, &raw, Some(b"{\"a\": 1.0}\n")));
    }
    // A token that carries a payload proves that payload, not the body beside it.
    let rows = made["tokens"].as_array().expect("tokens");
    let row = rows.iter().find(|row| row["algorithm"] == "RS512").expect("RS512");
    let carried = Token::parse(text(row, "token")).expect("a token");
    assert!(!key.verifies(&carried, &base64url, Some(body)));
}

#[test]
fn what_is_signed_here_is_genuine_and_says_what_it_is() {
    let made = made();
    let secret = text(&made, "secret");
    for algorithm in JwtAlgorithm::ALL {
        let kind = match algorithm.name() {
            "ES256" => "P256",
            "ES384" => "P384",
            "EdDSA" => "Ed25519",
            _ => "RSA",
        };
        let key = &made["keys"][kind];
        for detached in [None, Some(Detached::Base64url), Some(Detached::Raw)] {
            let spec = JwtSpec { algorithms: vec![algorithm], detached };
            let claims = r#"{"sub":"x"}"#;
            let token =
                sign(&spec, secret.as_bytes(), text(key, "private_pem"), claims, Some("k\"1"));
            let token = token.expect("signs");
            let read = Token::parse(&token).expect("a token");
            assert_eq!(read.key_id(), Some("k\"1"));
            let verifier = if algorithm.is_symmetric() {
                JwtKey::secret(secret.as_bytes()).expect("a secret")
            } else {
                public(text(key, "public_pem"), &spec)
            };
            let message = detached.map(|_| claims.as_bytes());
            assert!(verifier.verifies(&read, &spec, message), "{token}");
            assert_eq!(read.claims(), if detached.is_some() { b"" } else { claims.as_bytes() });
        }
    }
    let wrong = sign(&only(JwtAlgorithm::RS256), b"", "secret", "{}", None);
    assert!(wrong.is_err_and(|error| error.code() == "private_key_unusable"));
}

#[test]
fn times_have_a_minute_of_leeway() {
    let judge = |claims: &str, now_s| judge_times(claims.as_bytes(), now_s);
    assert_eq!(judge("{}", 0), Ok(()));
    assert_eq!(judge(r#"{"exp":null,"nbf":null}"#, 0), Ok(()));
    assert_eq!(judge(r#"{"exp":1000}"#, 1059), Ok(()));
    assert_eq!(judge(r#"{"exp":1000}"#, 1060), Err(Refusal::Stale));
    assert_eq!(judge(r#"{"exp":1000.9}"#, 1059), Ok(()));
    assert_eq!(judge(r#"{"nbf":1000}"#, 940), Ok(()));
    assert_eq!(judge(r#"{"nbf":1000}"#, 939), Err(Refusal::FromFuture));
    assert_eq!(judge(r#"{"nbf":9223372036854775807}"#, i64::MAX), Ok(()));
    assert_eq!(judge(r#"{"exp":-9223372036854775808}"#, i64::MIN), Err(Refusal::Stale));
    assert_eq!(judge("", 0), Ok(()), "a payload that is elsewhere");
    for claims in [" ", "[]", "x", r#"{"exp":"1000"}"#, r#"{"exp":{}}"#, r#"{"nbf":1e999}"#] {
        assert_eq!(judge(claims, 0), Err(Refusal::MalformedTimestamp), "{claims}");
    }
    assert_eq!(judge(r#"{"exp":1e3,"exp":9e99}"#, 5000), Err(Refusal::MalformedTimestamp));
}

proptest! {
    /// Nothing that may come in a header or body panics, and no key proves rubbish.
    #[test]
    fn arbitrary_texts_are_no_genuine_tokens(text in "\\PC*", dots in "[A-Za-z0-9_.-]{0,200}") {
        let spec = JwtSpec { algorithms: JwtAlgorithm::ALL.to_vec(), detached: Some(Detached::Raw) };
        let key = JwtKey::secret(b"secret").expect("a secret");
        for text in [text, dots] {
            if let Some(token) = Token::parse(&text) {
                prop_assert!(!key.verifies(&token, &spec, None));
                prop_assert!(!key.verifies(&token, &spec, Some(b"x")));
            }
        }
    }

    /// Claims of any bytes are judged or refused.
    #[test]
    fn arbitrary_claims_do_not_panic(claims: Vec<u8>, now_s: i64) {
        let _ = judge_times(&claims, now_s);
    }
}
