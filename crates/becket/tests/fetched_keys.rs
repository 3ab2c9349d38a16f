//! Keys that a provider publishes, through the real binary: fetched over TLS, kept, exchanged,
//! unreachable, forged, and inside certificates.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::KeyPair;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use support::gateway::{Gateway, Place};
use support::http::{Answer, Client};
use support::provider::{Asked, Authority, Provider, Told, told};
use support::wait_until;

/// An Ed25519 key with its name.
struct Key {
    name: &'static str,
    pair: Ed25519KeyPair,
}

impl Key {
    fn new(name: &'static str) -> Self {
        let seed: [u8; 32] = std::array::from_fn(|at| name.as_bytes()[at % name.len()]);
        Self { name, pair: Ed25519KeyPair::from_seed_unchecked(&seed).expect("any seed will do") }
    }

    fn jwk(&self) -> serde_json::Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.name, "x": x })
    }

    fn pem(&self) -> String {
        let mut der = vec![0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
        der.extend_from_slice(self.pair.public_key().as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    fn sign(&self, body: &str) -> String {
        STANDARD.encode(self.pair.sign(body.as_bytes()))
    }
}

fn key_set(keys: &[&Key]) -> Told {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    told(serde_json::json!({ "keys": keys }).to_string())
}

/// A gateway with one source, `keyed`, whose own entry fetches as `fetch` says.
fn configure(place: &Place, authority: &Authority, source: &str, entry: &str) {
    let ca_file = authority.write(&place.folder);
    let rest = format!(
        "[egress]\nca_file = \"{}\"\nallow_networks = [\"127.0.0.1/32\"]\n\n\
         [[source]]\nid = \"keyed\"\nprovider = \"keyed\"\n{source}\n\
         [[provider]]\nslug = \"keyed\"\nname = \"Keyed\"\n{entry}",
        ca_file.display(),
    );
    place.configure("", &place.data(), "", &rest);
}

/// An entry whose signature is Ed25519 over the body, with the key's name in `x-key`.
fn ed25519(fetch: &str) -> String {
    format!(
        "failure_status = 403\n[[provider.scheme]]\nclass = \"ed25519\"\n\
         signature = {{ at = \"header:x-signature\", encoding = \"base64\" }}\n\
         message = \"{{body}}\"\n[provider.scheme.public_key.fetch]\n{fetch}\n"
    )
}

fn send(gateway_at: &Place, key: &Key, named: &str, body: &str) -> Answer {
    let signature = key.sign(body);
    let headers = [("x-signature", signature.as_str()), ("x-key", named)];
    Client::closing(gateway_at.address)
        .send("POST", "/in/keyed", &headers, body.as_bytes())
        .expect("the gateway answers")
}

fn quarantined(gateway: &Gateway<'_>) -> Vec<String> {
    let refused = gateway.api_list("/api/v1/becket/quarantine");
    refused.iter().map(|one| one["code"].as_str().unwrap_or_default().to_owned()).collect()
}

fn metric(gateway: &Gateway<'_>, line: &str) -> u64 {
    let metrics = gateway.get("/metrics").expect("metrics are there").text();
    let found = metrics.lines().find_map(|known| known.strip_prefix(line));
    found.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

#[test]
fn a_key_set_is_fetched_once_and_exchanged_when_a_new_key_signs() {
    let (place, authority) = (Place::new(), Authority::new());
    let (first, second, unknown) = (Key::new("k1"), Key::new("k2"), Key::new("k3"));
    let set = key_set(&[&first]);
    let provider = Provider::start(&authority, move |_| set.clone());
    let fetch = format!(
        "url = \"{}\"\nformat = \"jwks\"\nkey_id = \"header:x-key\"",
        provider.url("/keys?all=1")
    );
    configure(&place, &authority, "", &ed25519(&fetch));
    let gateway = place.start();
    for number in 0..5 {
        assert_eq!(send(&place, &first, "k1", &format!("{{\"n\":{number}}}")).status, 200);
    }
    assert_eq!(provider.asked("/keys").len(), 1, "it is kept");

    let both = key_set(&[&first, &second]);
    provider.behave(move |_| both.clone());
    assert_eq!(send(&place, &second, "k2", "{\"rotated\":1}").status, 200);
    assert_eq!(send(&place, &first, "k1", "{\"old\":1}").status, 200);
    assert_eq!(provider.asked("/keys").len(), 2);

    // From here on forged names cause nothing for a minute.
    for number in 0..40 {
        let refused = send(&place, &unknown, &format!("forged-{number}"), "{}");
        assert_eq!(refused.status, 403, "{}", refused.text());
    }
    assert_eq!(send(&place, &unknown, "k1", "{\"forged\":1}").status, 403);
    assert_eq!(provider.asked("/keys").len(), 2);
    let codes = quarantined(&gateway);
    assert_eq!(codes.iter().filter(|code| *code == "unknown_key").count(), 40);
    assert_eq!(codes.iter().filter(|code| *code == "signature_mismatch").count(), 1);
    assert_eq!(metric(&gateway, "becket_key_fetches_total{outcome=\"fetched\"}"), 2);
    let log = place.log();
    assert!(log.contains("keys.fetched") && !log.contains("all=1"), "{log}");
}

#[test]
fn while_the_provider_is_out_of_reach_the_sender_is_asked_to_come_again() {
    let (place, authority) = (Place::new(), Authority::new());
    let key = Key::new("k1");
    let set = key_set(&[&key]);
    let provider = Provider::start(&authority, move |_| set.clone());
    provider.set_down(true);
    let fetch = format!(
        "url = \"{}\"\nformat = \"jwks\"\nkey_id = \"header:x-key\"",
        provider.url("/keys")
    );
    configure(&place, &authority, "", &ed25519(&fetch));
    let gateway = place.start();
    let refused = send(&place, &key, "k1", "{\"a\":1}");
    assert_eq!(refused.status, 503, "{}", refused.text());
    let wait_s: u64 = refused.header("retry-after").expect("it says when").parse().expect("s");
    assert!((1..=60).contains(&wait_s));
    provider.set_down(false);
    let accepted =
        wait_until(Duration::from_secs(20), || send(&place, &key, "k1", "{\"a\":1}").status == 200);
    assert!(accepted);
    assert!(quarantined(&gateway).is_empty(), "nobody was refused");
    assert!(metric(&gateway, "becket_requests_total{outcome=\"key_unavailable\"}") >= 1);
    assert!(metric(&gateway, "becket_key_fetches_total{outcome=\"failed\"}") >= 1);
    // What is kept serves on.
    provider.set_down(true);
    assert_eq!(send(&place, &key, "k1", "{\"a\":2}").status, 200);
}

#[test]
fn a_key_by_its_name_with_a_token_and_none_for_a_name_that_is_not_there() {
    let (place, authority) = (Place::new(), Authority::new());
    let key = Key::new("k1");
    let pem = key.pem();
    let tokens = Arc::new(AtomicUsize::new(0));
    let given = Arc::clone(&tokens);
    let provider = Provider::start(&authority, move |asked: &Asked| match asked.path.as_str() {
        "/token" => {
            let basic = STANDARD.encode("client:s3cret%2F1");
            assert_eq!(asked.header("authorization"), format!("Basic {basic}"));
            assert_eq!(asked.body, "grant_type=client_credentials&scope=read");
            let number = given.fetch_add(1, Ordering::Relaxed);
            told(format!("{{\"access_token\":\"token-{number}\",\"expires_in\":3600}}"))
        }
        // The first token is withdrawn at once.
        "/keys/k1" if asked.header("authorization") == "Bearer token-1" => {
            told(serde_json::json!({ "data": { "publicKey": pem } }).to_string())
        }
        "/keys/k1" => (401, String::new(), String::new()),
        _ => (404, String::new(), String::new()),
    });
    let fetch = format!(
        "url = \"{}{{header:x-key}}\"\nformat = \"key\"\nat = \"data.publicKey\"\n\
         oauth = {{ url = \"{}\", client_id = \"credential:client_id\", \
         client_secret = \"credential:client_secret\", scope = \"read\" }}",
        provider.url("/keys/"),
        provider.url("/token"),
    );
    let credentials = "credentials = { client_id = \"client\", client_secret = \"s3cret/1\" }";
    configure(&place, &authority, credentials, &ed25519(&fetch));
    let gateway = place.start();
    assert_eq!(send(&place, &key, "k1", "{\"a\":1}").status, 200);
    assert_eq!(send(&place, &key, "k1", "{\"a\":2}").status, 200);
    assert_eq!(tokens.load(Ordering::Relaxed), 2);
    assert_eq!(provider.asked("/keys/k1").len(), 2, "refused, and with a fresh token");
    assert_eq!(send(&place, &key, "k2", "{\"a\":3}").status, 403);
    assert_eq!(quarantined(&gateway), ["unknown_key"]);

    // Each forged name is another address: a source causes a bounded number of fetches.
    let mut statuses = Vec::new();
    for number in 0..60 {
        statuses.push(send(&place, &key, &format!("forged-{number}"), "{}").status);
    }
    assert!(statuses.iter().all(|status| [403, 503].contains(status)), "{statuses:?}");
    let asked = provider.asked("/keys/forged").len();
    assert!((1..=25).contains(&asked), "{asked} fetches");
    assert_eq!(send(&place, &key, "k1", "{\"a\":4}").status, 200, "kept keys serve on");
    let log = place.log();
    assert!(!log.contains("s3cret") && !log.contains("token-"), "{log}");
}

/// An entry like that of a service which names its certificate in each message.
fn certified(provider: &Provider, hosts: &str) -> String {
    format!(
        "event_type = {{ at = \"json:Type\" }}\n\
         [[provider.scheme]]\nclass = \"ecdsa-p256\"\n\
         signature = {{ at = \"json:Signature\", encoding = \"base64\" }}\n\
         message = \"{{json:Message}}\"\n\
         public_key.fetch = {{ url = \"{{json:SigningCertURL}}\", format = \"certificate\", \
         hosts = [{hosts}], subject = \"signer.example.com\" }}\n\
         [[provider.handshake]]\nname = \"confirmation\"\nverify_first = true\n\
         when = [{{ at = \"json:Type\", equals = \"SubscriptionConfirmation\" }}]\n\
         visit = {{ url = \"json:SubscribeURL\", hosts = [{hosts}] }}\n\
         respond = {{ status = 200 }}\n# {}\n",
        provider.address
    )
}

fn signed_message(
    provider: &Provider,
    key: &KeyPair,
    kind: &str,
    certificate: &str,
    visit: &str,
) -> String {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &key.serialize_der(), &random).expect("a key");
    let message = format!("{kind} of {}", provider.address);
    let signature = pair.sign(&random, message.as_bytes()).expect("it signs");
    serde_json::json!({
        "Type": kind,
        "Message": message,
        "Signature": STANDARD.encode(signature),
        "SigningCertURL": certificate,
        "SubscribeURL": visit,
    })
    .to_string()
}

#[test]
fn a_confirmation_is_visited_after_its_certificate_and_only_at_the_pinned_host() {
    let (place, authority, stranger) = (Place::new(), Authority::new(), Authority::new());
    let (good, good_key) = authority.certificate_for("signer.example.com");
    let (other, other_key) = authority.certificate_for("other.example.com");
    let (foreign, foreign_key) = stranger.certificate_for("signer.example.com");
    let foreign = foreign + stranger.pem();
    let provider = Provider::start(&authority, move |asked: &Asked| match asked.path.as_str() {
        "/good.pem" => told(good.clone()),
        "/other.pem" => told(other.clone()),
        "/foreign.pem" => told(foreign.clone()),
        "/confirm?token=1" => told("<ok/>"),
        _ => (500, String::new(), String::new()),
    });
    // Another port of the same machine is another host.
    let elsewhere = Provider::start(&authority, |_| told("<ok/>"));
    let host = format!("\"{}\"", provider.address);
    configure(&place, &authority, "", &certified(&provider, &host));
    let gateway = place.start();
    let post = |body: &str| {
        Client::closing(place.address)
            .send("POST", "/in/keyed", &[("content-type", "text/plain")], body.as_bytes())
            .expect("the gateway answers")
    };
    let (url, visit) = (provider.url("/good.pem"), provider.url("/confirm?token=1"));
    let message = |key, kind, certificate: &str, visit: &str| {
        signed_message(&provider, key, kind, certificate, visit)
    };

    let event = post(&message(&good_key, "Notification", &url, ""));
    assert_eq!(event.status, 200, "{}", event.text());
    let confirmation = message(&good_key, "SubscriptionConfirmation", &url, &visit);
    let answer = post(&confirmation);
    assert_eq!((answer.status, answer.text()), (200, String::new()));
    assert_eq!(provider.asked("/confirm").len(), 1);
    assert_eq!(provider.asked("/good.pem").len(), 1);

    // Forged ones are neither believed nor visited.
    let tampered = confirmation.replace("SubscriptionConfirmation of", "Subscription of");
    let wrong_name = provider.url("/other.pem");
    let wrong_issuer = provider.url("/foreign.pem");
    let at_elsewhere = elsewhere.url("/good.pem");
    for (body, wanted) in [
        (tampered, 401),
        (message(&other_key, "SubscriptionConfirmation", &wrong_name, &visit), 401),
        (message(&foreign_key, "SubscriptionConfirmation", &wrong_issuer, &visit), 401),
        (message(&good_key, "SubscriptionConfirmation", &at_elsewhere, &visit), 401),
    ] {
        let refused = post(&body);
        assert_eq!(refused.status, wanted, "{body}: {}", refused.text());
    }
    // A genuine one that names another place to visit is no handshake.
    let astray = message(&good_key, "SubscriptionConfirmation", &url, &elsewhere.url("/confirm"));
    post(&astray);
    assert_eq!(provider.asked("/confirm").len(), 1);
    assert!(elsewhere.asked("/").is_empty());
    assert!(quarantined(&gateway).contains(&"untrusted_key_url".to_owned()));

    // A visit that fails is asked for again.
    let failing = message(&good_key, "SubscriptionConfirmation", &url, &provider.url("/broken"));
    let answer = post(&failing);
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(metric(&gateway, "becket_key_fetches_total{outcome=\"visited\"}"), 1);
    assert_eq!(metric(&gateway, "becket_key_fetches_total{outcome=\"visit_failed\"}"), 1);
}

#[test]
fn a_redirect_a_flood_and_a_private_address_are_no_keys() {
    let (place, authority) = (Place::new(), Authority::new());
    let key = Key::new("k1");
    let set = key_set(&[&key]);
    let genuine = Provider::start(&authority, move |_| set.clone());
    let location = format!("location: {}\r\n", genuine.url("/keys"));
    let provider = Provider::start(&authority, move |_| (302, location.clone(), String::new()));
    let fetch = format!(
        "url = \"{}\"\nformat = \"jwks\"\nkey_id = \"header:x-key\"",
        provider.url("/keys")
    );
    configure(&place, &authority, "", &ed25519(&fetch));
    let gateway = place.start();
    assert_eq!(send(&place, &key, "k1", "{}").status, 503);
    assert!(genuine.asked("/").is_empty(), "redirects are not followed");
    provider.behave(|_| told("x".repeat(70_000)));
    let too_large = wait_until(Duration::from_secs(20), || {
        assert_eq!(send(&place, &key, "k1", "{}").status, 503);
        place.log().contains("too_large")
    });
    assert!(too_large, "{}", place.log());
    drop(gateway);

    // Without the operator's permission the same address is not even dialled.
    let text = std::fs::read_to_string(place.config()).expect("it was written");
    let text = text.replace("allow_networks = [\"127.0.0.1/32\"]", "");
    std::fs::write(place.config(), text).expect("the folder can be written");
    let asked = provider.asked("/").len();
    let _gateway = place.start();
    assert_eq!(send(&place, &key, "k1", "{}").status, 503);
    assert_eq!(provider.asked("/").len(), asked);
}
