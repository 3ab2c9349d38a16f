//! What is fetched for which request, and what answers are worth.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::request::RequestView;

fn spec(toml: &str) -> FetchSpec {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{toml}: {error}"))
}

fn asked(toml: &str, headers: &[(&str, &str)], body: &str) -> Result<KeyRequest, Refusal> {
    let spec = spec(toml);
    assert_eq!(spec.problem(), None, "{toml}");
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::try_from(*name).expect("a name"),
            HeaderValue::from_str(value).expect("a value"),
        );
    }
    let named = BTreeMap::from([
        ("api_key".to_owned(), "s3cret".to_owned()),
        ("issuer".to_owned(), "https://acme.example.com".to_owned()),
        ("broken".to_owned(), "a\r\nx: y".to_owned()),
    ]);
    let url = "https://hooks.example.com/in";
    let request = RequestView { method: "POST", url, headers: &map, body: body.as_bytes() };
    key_request(&spec, &Scope::new(request, url, &named))
}

fn url_of(toml: &str, key_id: &str) -> Result<String, Refusal> {
    asked(toml, &[("x-key-id", key_id)], "").map(|request| request.url)
}

#[test]
fn what_a_request_contributes_stays_behind_the_host() {
    let toml = "url = \"https://keys.example.com/v1/{header:x-key-id}/pem\"\nformat = \"key\"";
    assert_eq!(url_of(toml, "a-1_b.c~").as_deref(), Ok("https://keys.example.com/v1/a-1_b.c~/pem"));
    for (key_id, escaped) in [
        ("../../evil", "..%2F..%2Fevil"),
        ("a/b", "a%2Fb"),
        ("x?y=1#z", "x%3Fy%3D1%23z"),
        ("@evil.example", "%40evil.example"),
        ("%2e%2e", "%252e%252e"),
        ("a b", "a%20b"),
    ] {
        let expected = format!("https://keys.example.com/v1/{escaped}/pem");
        assert_eq!(url_of(toml, key_id), Ok(expected), "{key_id}");
    }
    for key_id in ["", ".", "..", &"a".repeat(3000)] {
        assert_eq!(url_of(toml, key_id), Err(Refusal::UntrustedKeyUrl), "{key_id}");
    }
    assert_eq!(asked(toml, &[], ""), Err(Refusal::MissingPart));
    let twice = [("x-key-id", "a"), ("x-key-id", "b")];
    assert_eq!(asked(toml, &twice, ""), Err(Refusal::RepeatedHeader));
}

#[test]
fn hosts_that_a_request_names_must_be_on_the_list() {
    let toml = "url = \"{json:SigningCertURL}\"\nformat = \"certificate\"\nhosts = [\"sns.*.amazonaws.com\"]\npath_ends = \".pem\"";
    let ask = |url: &str| {
        let body = serde_json::json!({ "SigningCertURL": url }).to_string();
        asked(toml, &[], &body).map(|request| request.url)
    };
    let good = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-a.pem";
    assert_eq!(ask(good).as_deref(), Ok(good));
    assert_eq!(
        ask("https://SNS.eu-west-1.amazonaws.com:443/a.pem").as_deref(),
        Ok("https://sns.eu-west-1.amazonaws.com/a.pem")
    );
    for url in [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem?x=y#z",
        "https://sns.eu-west-1.amazonaws.com/a.txt",
        "https://sns.eu-west-1.amazonaws.com/?a.pem",
        "https://user@sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.a.b.amazonaws.com/a.pem",
        "https://sns..amazonaws.com/a.pem",
        "https://sns.amazonaws.com/a.pem",
        "https://evil.example\\@sns.eu-west-1.amazonaws.com/a.pem",
        "https:\\\\sns.eu-west-1.amazonaws.com/a.pem",
        "https://127.0.0.1/a.pem",
        "https://[::1]/a.pem",
        "//sns.eu-west-1.amazonaws.com/a.pem",
        " https://sns.eu-west-1.amazonaws.com/a.pem",
        "file:///etc/passwd.pem",
        "",
    ] {
        assert_eq!(ask(url), Err(Refusal::UntrustedKeyUrl), "{url}");
        let hosts = ["sns.*.amazonaws.com".to_owned()];
        assert!(
            !host_allowed(&hosts, url) || url.contains("/a.txt") || url.contains("/?a.pem"),
            "{url}"
        );
    }
    let allowed = ["*.example.com".to_owned(), "sns.*.amazonaws.com".to_owned()];
    assert!(host_allowed(&allowed, good) && host_allowed(&allowed, "https://a.example.com/?x=y"));
    assert!(!host_allowed(&[], good));
}

#[test]
fn entries_that_trust_too_much_are_refused() {
    for (toml, part) in [
        ("url = \"{header:x-url}\"\nformat = \"key\"", "comes from the request"),
        ("url = \"https://{header:x-host}/keys\"\nformat = \"key\"", "comes from the request"),
        (
            "url = \"https://keys.example.com{header:x-path}\"\nformat = \"key\"",
            "comes from the request",
        ),
        ("url = \"{header:x-url}\"\nformat = \"key\"\nhosts = [\"*\"]", "too wide"),
        ("url = \"{header:x-url}\"\nformat = \"key\"\nhosts = [\"*.com\"]", "too wide"),
        ("url = \"{header:x-url}\"\nformat = \"key\"\nhosts = [\"a/b.example.com\"]", "too wide"),
        ("url = \"https://keys.example.com/\"\nformat = \"key\"\nat = \"a..b\"", "empty step"),
        (
            "url = \"https://keys.example.com/\"\nformat = \"key\"\noauth = { url = \"http://x.example\", client_id = \"credential:a\", client_secret = \"credential:b\" }",
            "https://",
        ),
    ] {
        let problem = spec(toml).problem().unwrap_or_else(|| panic!("{toml}"));
        assert!(problem.contains(part), "{toml}: {problem}");
    }
    assert!(
        toml::from_str::<FetchSpec>("url = \"https://x\"\nformat = \"key\"\nfrom = 1").is_err()
    );
}

#[test]
fn the_operators_values_are_taken_as_they_are_and_shown_to_nobody() {
    let toml = r#"
        url = "{credential:issuer}/.well-known/{header:x-key-id}"
        method = "post"
        body = '{{"key_id":"{json_text(header:x-key-id)}","secret":"{credential:api_key}"}}'
        format = "key"
        at = "key"
        max_age_s = 60
        headers = { Authorization = "Bearer {credential:api_key}" }
        oauth = { url = "https://auth.example.com/token", client_id = "credential:issuer", client_secret = "credential:api_key", scope = "s" }
    "#;
    let request = asked(toml, &[("x-key-id", "k\"1")], "").expect("a request");
    assert_eq!(request.url, "https://acme.example.com/.well-known/k%221");
    assert_eq!((request.method.as_str(), request.max_age_s), ("POST", 60));
    assert_eq!(request.body, br#"{"key_id":"k\"1","secret":"s3cret"}"#);
    assert_eq!(request.headers, [("authorization".to_owned(), "Bearer s3cret".to_owned())]);
    let shown = format!("{request:?} {:?} {}", request.oauth, request.cache_key());
    assert!(shown.contains("acme.example.com") && !shown.contains("s3cret"), "{shown}");
    let again = asked(toml, &[("x-key-id", "k\"1")], "").expect("a request");
    assert_eq!(request.cache_key(), again.cache_key());
    let other = asked(toml, &[("x-key-id", "k2")], "").expect("a request");
    assert_ne!(request.cache_key(), other.cache_key());
    let split = "url = \"https://keys.example.com/\"\nformat = \"key\"\nheaders = { a = \"{credential:broken}\" }";
    assert_eq!(asked(split, &[], ""), Err(Refusal::MissingPart));
}

fn answered(format: &str, more: &str, answer: &str, now_s: i64) -> Result<FetchedKeys, KeyError> {
    let toml = format!("url = \"https://keys.example.com/\"\nformat = \"{format}\"\n{more}");
    let request = asked(&toml, &[], "").expect("a request");
    let keys = FetchedKeys::parse(&request, answer.as_bytes(), now_s)?;
    assert!(keys.answers(&request));
    Ok(keys)
}

fn scheme() -> Scheme {
    toml::from_str("class = \"ed25519\"").expect("a scheme")
}

#[test]
fn sets_of_keys_are_read_and_chosen_by_id() {
    let set = r#"{"keys":[
        {"kid":"1","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kid":"2","kty":"RSA","use":"sig","n":"AQAB","e":"AQAB"},
        {"kid":"3","kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"},
        {"kid":"4","kty":"oct","k":"AAAA"},
        {"kty":"EC","crv":"P-256","x":"AA","y":"AA"},
        7
    ]}"#;
    let keys = answered("jwks", "", set, 0).expect("keys");
    let chosen = |id: Option<&str>| keys.keys(id, &scheme()).len();
    assert_eq!(
        (chosen(Some("1")), chosen(Some("2")), chosen(Some("9")), chosen(None)),
        (2, 2, 1, 3)
    );
    assert!(keys.keys(Some("1"), &scheme())[0].contains("11qYAYKx"));
    assert!(answered("jwks", "at = \"a.keys\"", r#"{"a":{"keys":[{"kty":"OKP"}]}}"#, 0).is_ok());
    let named = r#"{"keys":[{"kid":"1","kty":"OKP","crv":"Ed25519","x":"AA"}]}"#;
    let keys = answered("jwks", "", named, 0).expect("keys");
    assert!(keys.keys(Some("2"), &scheme()).is_empty(), "an id that is not in the set");
    for wrong in [
        "",
        "{}",
        "[]",
        "{\"keys\":[]}",
        "{\"keys\":{}}",
        "{\"keys\":[{\"kty\":\"oct\"}]}",
        "<html>",
    ] {
        assert!(answered("jwks", "", wrong, 0).is_err(), "{wrong}");
    }
}

#[test]
fn single_keys_come_in_many_wrappings() {
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----";
    let json = serde_json::json!({ "data": { "publicKey": pem, "jwk": { "kty": "OKP", "kid": "9", "crv": "Ed25519", "x": "AA" } } });
    for (more, answer) in [
        ("", pem.to_owned()),
        ("at = \"data.publicKey\"", json.to_string()),
        ("", serde_json::Value::from(pem).to_string()),
    ] {
        let keys = answered("key", more, &answer, 0).expect("a key");
        assert_eq!(keys.keys(Some("whatever was asked for"), &scheme()), [pem]);
    }
    let keys = answered("key", "at = \"data.jwk\"", &json.to_string(), 0).expect("a key");
    assert_eq!(keys.keys(Some("8"), &scheme()).len(), 1);
    for (more, wrong) in
        [("", ""), ("", " "), ("at = \"a\"", "{}"), ("", "{\"kty\":\"oct\"}"), ("", "\"\"")]
    {
        assert!(answered("key", more, wrong, 0).is_err(), "{wrong}");
    }
}

#[test]
fn certificates_give_their_key_if_name_and_time_fit() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/data/certificates.json")).expect("JSON");
    let leaf = &file["certificates"][0];
    let root = &file["certificates"][1];
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let chain = text(&leaf["pem"]) + &text(&root["pem"]);
    let from = leaf["not_before_s"].as_i64().expect("a time");
    let until = leaf["not_after_s"].as_i64().expect("a time");
    let spki: String =
        text(&leaf["public_pem"]).lines().filter(|line| !line.starts_with("---")).collect();
    for name in ["sns.amazonaws.com", "sns.*.amazonaws.com", "SNS.amazonaws.com"] {
        let more = format!("subject = \"{name}\"");
        let keys = answered("certificate", &more, &chain, from).expect(name);
        assert_eq!(keys.keys(None, &scheme()), [spki.as_str()]);
        assert_eq!(keys.usable_until_s(), Some(until));
    }
    let one = text(&leaf["pem"]);
    let answer = |more: &str, text: &str, now_s| answered("certificate", more, text, now_s).err();
    assert_eq!(answer("subject = \"Root\"", &chain, from), Some(KeyError::WrongSubject));
    assert_eq!(answer("", &one, from - 1), Some(KeyError::OutOfDate));
    assert_eq!(answer("", &one, until), None);
    assert_eq!(answer("", &one, until + 1), Some(KeyError::OutOfDate));
    let broken = one.replace("-----END", "");
    for wrong in ["", "x", "AAAA", broken.as_str(), &one.replace('M', "N")] {
        let error = answer("", wrong, from).expect(wrong);
        assert_eq!(error.code(), "key_answer_unusable", "{wrong}");
    }
}

proptest! {
    /// Whatever a server answers is read or refused.
    #[test]
    fn arbitrary_answers_do_not_panic(answer: Vec<u8>, text in "\\PC*") {
        for format in [KeyFormat::Jwks, KeyFormat::Key, KeyFormat::Certificate] {
            for at in [None, Some("a.0".to_owned())] {
                let request = KeyRequest {
                    url: "https://keys.example.com/".to_owned(),
                    method: "GET".to_owned(),
                    headers: Vec::new(),
                    body: Vec::new(),
                    format,
                    at,
                    subject: None,
                    max_age_s: 1,
                    oauth: None,
                };
                for answer in [answer.as_slice(), text.as_bytes()] {
                    if let Ok(keys) = FetchedKeys::parse(&request, answer, 0) {
                        for key in keys.keys(None, &scheme()) {
                            let _ = crate::typed_key::TypedKey::parse(&key);
                        }
                    }
                }
            }
        }
    }

    /// No text that a request brings leads to a host that is not on the list.
    #[test]
    fn arbitrary_urls_stay_on_the_list(text in "(https://)?[a-z.@:/\\\\%#?-]{0,40}(\\.example\\.com)?[a-z.@:/\\\\%#?-]{0,20}") {
        let hosts = ["*.example.com".to_owned()];
        if host_allowed(&hosts, &text) {
            let url = url::Url::parse(&text).expect("a URL");
            prop_assert!(url.host_str().is_some_and(|host| host.ends_with(".example.com")));
            prop_assert_eq!(url.scheme(), "https");
        }
    }
}

#[test]
fn a_host_of_the_senders_choice_brings_neither_parameters_nor_another_path() {
    let toml = "url = \"{header:x-cert}\"\nformat = \"certificate\"\nhosts = [\"sns.*.amazonaws.com\"]\npath_prefix = \"/SimpleNotificationService-\"\npath_ends = \".pem\"";
    let asked = |url: &str| asked(toml, &[("x-cert", url)], "").map(|request| request.url);
    let good = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-ab12.pem";
    assert_eq!(asked(good).as_deref(), Ok(good));
    for url in [
        "https://sns.s3.amazonaws.com/SimpleNotificationService-ab12.pem",
        "https://sns.s3-eu-west-1.amazonaws.com/SimpleNotificationService-ab12.pem",
        "https://sns.a_b.amazonaws.com/SimpleNotificationService-ab12.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-ab12.pem?x=.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-ab12.pem#.pem",
        "https://sns.eu-west-1.amazonaws.com/?SimpleNotificationService-ab12.pem",
        "https://sns.eu-west-1.amazonaws.com/other/SimpleNotificationService-ab12.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-%2e%2e/x.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-..%2fx.pem",
    ] {
        assert_eq!(asked(url), Err(Refusal::UntrustedKeyUrl), "{url}");
    }
}
