//! What somebody who has seen a genuine request, or may ask for challenges, must not be able to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_signature::{
    Credentials, Entry, Refusal, RequestView, SignRequest, Verdict, Verifier, VerifierOptions,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const NOW: i64 = 1_767_225_600;
const HEAD: &str = "slug = \"own\"\nname = \"Own\"\n";
const HMAC: &str =
    "class = \"hmac\"\ndigest = \"sha256\"\nsignature = { at = \"header:x-signature\" }\n";

fn verifier(text: &str) -> Verifier {
    let entry = Entry::from_toml(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let credentials = Credentials::from_secrets(["secret"]);
    Verifier::new(Arc::new(entry), &credentials, &VerifierOptions::default()).expect("fits")
}

fn signed(verifier: &Verifier, url: &str, body: &str, kind: &str) -> (String, HeaderMap, Vec<u8>) {
    let request = SignRequest {
        method: "POST",
        url,
        body: body.as_bytes(),
        content_type: kind,
        event_type: None,
        delivery_id: Some("id-1"),
    };
    let made = verifier.sign(&request, NOW).expect("signs");
    let headers = made.headers.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    });
    (made.url, headers.collect(), made.body)
}

fn view<'a>(url: &'a str, headers: &'a HeaderMap, body: &'a [u8]) -> RequestView<'a> {
    RequestView { method: "POST", url, headers, body }
}

#[test]
fn challenges_never_sign_what_could_be_a_message() {
    let rule = |scheme: &str, charset: &str, body: &str| {
        format!(
            "{HEAD}[[scheme]]\n{HMAC}{scheme}\n[[handshake]]\nname = \"h\"\nwhen = [{{ at = \"query:c\", charset = \"{charset}\" }}]\nrespond = {{ body = \"{body}\" }}\n"
        )
    };
    let plain = "message = \"{body}\"";
    let json = "message = \"{body}\"\nwhen = [{ at = \"body\", starts_with = [\"{\", \"[\"] }]";
    let versioned = "message = \"v0:{body}\"";
    for (scheme, charset, body, fits) in [
        (plain, "token", "{hmac_hex(query:c)}", false),
        (plain, "token", "{upper(hmac_hex(query:c))}", false),
        (json, "token", "{base64(hmac_b64(query:d))}", false),
        (plain, "hex", "{hmac_hex(query:c)}", false),
        (json, "hex", "{hmac_hex(query:c)}", true),
        (json, "token", "{upper(hmac_hex(query:c))}", true),
        (versioned, "token", "{hmac_hex(query:c)}", true),
        (versioned, "digits", "{hmac_hex('x'+query:c)}", true),
        ("message = \"1{body}\"", "digits", "{hmac_hex(query:c)}", false),
    ] {
        let outcome = Entry::from_toml(&rule(scheme, charset, body));
        assert_eq!(outcome.is_ok(), fits, "{scheme} {charset} {body}: {outcome:?}");
    }
    let ack = format!("{HEAD}ack = {{ body = \"{{lower(hmac_hex(body))}}\" }}\n[[scheme]]\n{HMAC}");
    assert!(Entry::from_toml(&ack).is_err());
}

#[test]
fn a_handshake_brings_something() {
    let entry = |conditions: &str| {
        Entry::from_toml(&format!(
            "{HEAD}[[scheme]]\n{HMAC}message = \"{{body}}\"\n[[handshake]]\nname = \"h\"\nwhen = [{conditions}]\nrespond = {{ status = 200 }}\n"
        ))
    };
    let unsigned = "{ at = \"header:x-s\", present = false }";
    let code = "{ at = \"credential:code\", present = true }";
    let empty = "{ at = \"body\", empty = true }";
    assert!(entry(unsigned).is_err(), "every unsigned event would be answered and dropped");
    assert!(entry(&format!("{unsigned}, {code}")).is_err());
    assert!(entry(&format!("{unsigned}, {code}, {empty}")).is_ok());
}

#[test]
fn the_delivery_id_is_read_where_it_is_signed() {
    let verifier = verifier(&format!(
        "{HEAD}delivery_id = {{ at = [\"header:svix-id\", \"header:webhook-id\"] }}\n[[scheme]]\n{HMAC}message = \"{{header:webhook-id}}.{{body}}\"\n"
    ));
    let url = "https://a.example/";
    let (url, mut headers, body) = signed(&verifier, url, "{}", "application/json");
    let signed_id = headers["webhook-id"].to_str().expect("a text").to_owned();
    headers.insert("svix-id", HeaderValue::from_static("forged"));
    let request = view(&url, &headers, &body);
    assert!(verifier.verify(&request, NOW).is_genuine());
    assert_eq!(verifier.facts(&request).delivery_id, Some(signed_id));
}

#[test]
fn repeated_parameters_and_fields_are_refused() {
    let query = verifier(&format!("{HEAD}[[scheme]]\n{HMAC}message = \"{{query:id}}\"\n"));
    let (url, headers, body) = signed(&query, "https://a.example/?id=5", "{}", "application/json");
    assert!(query.verify(&view(&url, &headers, &body), NOW).is_genuine());
    for url in ["https://a.example/?id=5&id=6", "https://a.example/?id=6&id=5"] {
        let verdict = query.verify(&view(url, &headers, &body), NOW);
        assert_eq!(verdict, Verdict::Refused(Refusal::RepeatedHeader), "{url}");
    }

    let form = verifier(&format!("{HEAD}[[scheme]]\n{HMAC}message = \"{{form:id}}\"\n"));
    let kind = "application/x-www-form-urlencoded";
    let (url, headers, body) = signed(&form, "https://a.example/", "id=5", kind);
    assert!(form.verify(&view(&url, &headers, &body), NOW).is_genuine());
    let verdict = form.verify(&view(&url, &headers, b"id=5&id=6"), NOW);
    assert_eq!(verdict, Verdict::Refused(Refusal::RepeatedHeader));

    let part = verifier(&format!("{HEAD}[[scheme]]\n{HMAC}message = \"{{part:id}}\"\n"));
    let one = "--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n5\r\n";
    let kind = "multipart/form-data; boundary=b";
    let (url, headers, body) =
        signed(&part, "https://a.example/", &format!("{one}--b--\r\n"), kind);
    assert!(part.verify(&view(&url, &headers, &body), NOW).is_genuine());
    let twice = format!("{one}{}--b--\r\n", one.replace("\r\n5", "\r\n6"));
    let verdict = part.verify(&view(&url, &headers, twice.as_bytes()), NOW);
    assert_eq!(verdict, Verdict::Refused(Refusal::RepeatedHeader));
}

#[test]
fn a_scheme_that_signs_forms_does_not_cover_other_bodies() {
    let form = verifier(&format!("{HEAD}[[scheme]]\n{HMAC}message = \"{{url}}{{sorted_form}}\"\n"));
    let url = "https://a.example/";
    let (url, headers, body) = signed(&form, url, "", "application/x-www-form-urlencoded");
    assert!(form.verify(&view(&url, &headers, &body), NOW).is_genuine());
    let mut other = headers.clone();
    other.insert("content-type", HeaderValue::from_static("application/json"));
    let verdict = form.verify(&view(&url, &other, b"{\"a\":1}"), NOW);
    assert_eq!(verdict, Verdict::Refused(Refusal::UnsupportedBody));
}

#[test]
fn empty_credentials_make_no_key() {
    let entry = Entry::from_toml(&format!(
        "{HEAD}[[scheme]]\nclass = \"basic\"\nsignature = {{ at = \"header:authorization\", prefix = \"Basic \", encoding = \"base64\" }}\ncredential = \"{{credential:user}}:{{credential:password}}\"\n"
    ))
    .expect("reads");
    let entry = Arc::new(entry);
    let verdict = |user: &str, password: &str, given: &'static str| {
        let named = [("user", user), ("password", password)];
        let named: BTreeMap<_, _> =
            named.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let credentials = Credentials::new(Vec::new(), Vec::new(), named);
        let options = VerifierOptions::default();
        let verifier = Verifier::new(Arc::clone(&entry), &credentials, &options).expect("fits");
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static(given));
        verifier.verify(&view("https://a.example/", &headers, b""), NOW)
    };
    assert_eq!(verdict("", "", "Basic Og=="), Verdict::Refused(Refusal::MissingCredential));
    assert!(verdict("u", "", "Basic dTo=").is_genuine());
}

#[test]
fn only_one_token_counts_and_only_its_claims() {
    let text = format!(
        "{HEAD}event_type = {{ at = \"claim:type\" }}\n[[scheme]]\nclass = \"jwt\"\nsignature = {{ at = [\"header:x-one\", \"header:x-two\"], encoding = \"plain\" }}\njwt = {{ algorithms = [\"HS256\"] }}\nrequire = [{{ at = \"claim:type\", equals = \"good\" }}]\n"
    );
    let verifier = verifier(&text);
    let (url, mut headers, body) =
        signed(&verifier, "https://a.example/", "{}", "application/json");
    assert_eq!(verifier.facts(&view(&url, &headers, &body)).event_type.as_deref(), Some("good"));
    let genuine = headers.remove("x-one").expect("is there");
    // {"alg":"HS256"} . {"type":"evil"} . a signature of nobody
    let forged = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXBlIjoiZXZpbCJ9.AAAA";
    headers.insert("x-one", HeaderValue::from_static(forged));
    headers.insert("x-two", genuine);
    let verdict = verifier.verify(&view(&url, &headers, &body), NOW);
    assert_eq!(verdict, Verdict::Refused(Refusal::SignatureMismatch));

    let unbound = format!(
        "{HEAD}payload = \"token\"\n[[scheme]]\nclass = \"jwt\"\nsignature = {{ at = \"header:authorization\" }}\njwt = {{ algorithms = [\"HS256\"] }}\n"
    );
    assert!(Entry::from_toml(&unbound).is_err());
}

#[test]
fn a_detached_payload_is_a_signed_body() {
    let entry = |message: &str| {
        Entry::from_toml(&format!(
            "{HEAD}[[scheme]]\nclass = \"jwt\"\nsignature = {{ at = \"header:x-jws\" }}\njwt = {{ algorithms = [\"HS256\"], detached = \"base64url\" }}\nmessage = \"{message}\"\n"
        ))
        .expect("reads")
    };
    assert!(entry("{body}").signs_body());
    assert!(!entry("{header:x-id}").signs_body());
}
