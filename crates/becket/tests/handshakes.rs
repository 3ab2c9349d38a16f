//! Handshakes and answers of a user's own entry, through the real binary: secrets that a handshake
//! brings along, requests without a body, and what an accepted event is answered with.

mod support;

use std::process::Command;
use std::time::Duration;

use ring::hmac;
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::http::{Answer, Client};
use support::wait_until;

/// A gateway with the source `own` of the own provider `own`.
fn configure(place: &Place, source: &str, entry: &str) {
    let rest = format!(
        "[[source]]\nid = \"own\"\nprovider = \"own\"\n{source}\n\
         [[provider]]\nslug = \"own\"\nname = \"Own\"\n{entry}"
    );
    place.configure("", &place.data(), "", &rest);
}

/// HMAC-SHA256 in hex over the body, and a handshake without a signature that brings the secret.
fn capturing(confirm: bool) -> String {
    format!(
        "[[provider.scheme]]\nclass = \"hmac\"\ndigest = \"sha256\"\n\
         signature = {{ at = \"header:x-signature\", encoding = \"hex\" }}\nmessage = \"{{body}}\"\n\
         [[provider.handshake]]\nname = \"secret\"\nverify_first = false\n\
         when = [{{ at = \"header:x-hook-secret\", charset = \"token\" }}]\n\
         respond = {{ status = 204, headers = {{ x-hook-secret = \"{{header:x-hook-secret}}\" }} }}\n\
         capture = {{ name = \"secret\", from = \"header:x-hook-secret\", confirm = {confirm} }}\n"
    )
}

fn send(place: &Place, method: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    Client::closing(place.address)
        .send(method, "/in/own", headers, body.as_bytes())
        .expect("the gateway answers")
}

fn event(place: &Place, secret: &str, body: &str) -> u16 {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hex::encode(hmac::sign(&key, body.as_bytes()));
    send(place, "POST", &[("x-signature", &signature)], body).status
}

fn shake(place: &Place, secret: &str) -> Answer {
    send(place, "POST", &[("x-hook-secret", secret)], "")
}

/// Runs a command against the gateway; its standard output and whether it succeeded.
fn becket(place: &Place, arguments: &[&str]) -> (String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(arguments)
        .args(["--url", &format!("http://{}", place.address), "--token", ADMIN_TOKEN])
        .current_dir(&place.folder)
        .output()
        .expect("the command runs");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

/// Whether a text is in any file below a folder.
fn is_kept_openly(folder: &std::path::Path, text: &str) -> bool {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    entries.flatten().any(|entry| {
        let path = entry.path();
        match path.is_dir() {
            true => is_kept_openly(&path, text),
            false => std::fs::read(&path)
                .unwrap_or_default()
                .windows(text.len())
                .any(|window| window == text.as_bytes()),
        }
    })
}

fn waits(gateway: &Gateway<'_>) -> bool {
    let source = gateway.api("GET", "/api/v1/becket/source/own");
    let warnings = source["warnings"].as_array().expect("a list");
    warnings.iter().any(|warning| warning.as_str().is_some_and(|text| text.contains("waits")))
}

#[test]
fn the_first_secret_of_a_handshake_verifies_at_once_and_survives_a_restart() {
    let place = Place::new();
    configure(&place, "", &capturing(false));
    let gateway = place.start();
    let (first, second) = ("first-secret-of-the-hook", "second-secret-of-the-hook");
    assert_eq!(event(&place, first, "{\"n\":0}"), 401, "it has no secret yet");
    let answer = shake(&place, first);
    assert_eq!((answer.status, answer.header("x-hook-secret")), (204, Some(first)));
    assert_eq!(event(&place, first, "{\"n\":1}"), 200);
    assert_eq!(shake(&place, first).status, 204, "a repeat changes nothing");

    // Another one does not become the source's own by itself.
    let taken = wait_until(Duration::from_secs(15), || shake(&place, second).status == 204);
    assert!(taken);
    assert_eq!(event(&place, second, "{\"n\":2}"), 401);
    assert!(waits(&gateway));
    assert_eq!(event(&place, first, "{\"n\":3}"), 200);
    assert!(gateway.stop().success());

    let gateway = place.start();
    assert_eq!(event(&place, first, "{\"n\":4}"), 200);
    assert!(waits(&gateway));
    for secret in [first, second] {
        assert!(!place.log().contains(secret), "{}", place.log());
        assert!(!is_kept_openly(&place.data(), secret), "{secret} is readable on disk");
    }
    let (shown, fine) = becket(&place, &["sources", "secret", "forget", "own"]);
    assert!(fine, "{shown}");
    assert_eq!(event(&place, first, "{\"n\":5}"), 401);
    assert!(
        gateway.api("GET", "/api/v1/becket/source/own/secret")["data"]
            .as_array()
            .is_some_and(Vec::is_empty)
    );
}

#[test]
fn a_secret_that_has_to_be_confirmed_waits_for_the_operator() {
    let place = Place::new();
    configure(&place, "", &capturing(true));
    let gateway = place.start();
    let secret = "secret_of_a_subscription";
    assert_eq!(shake(&place, secret).status, 204);
    assert_eq!(event(&place, secret, "{\"n\":1}"), 401);
    let (shown, fine) = becket(&place, &["sources", "secret", "show", "own"]);
    assert!(fine && shown.contains(secret) && shown.contains("waits"), "{shown}");
    let (listed, _) = becket(&place, &["sources", "show", "own"]);
    assert!(listed.contains("becket sources secret"), "{listed}");
    // A stranger's handshake comes after the operator has looked: what was seen is accepted.
    let strange = "secret_of_a_stranger";
    assert!(wait_until(Duration::from_secs(15), || shake(&place, strange).status == 204));
    let (_, fine) = becket(&place, &["sources", "secret", "accept", "own"]);
    assert!(!fine, "which one is not said");
    let (accepted, fine) = becket(&place, &["sources", "secret", "accept", "own", secret]);
    assert!(fine && accepted.contains("accepted"), "{accepted}");
    assert_eq!(event(&place, secret, "{\"n\":2}"), 200);
    assert_eq!(event(&place, strange, "{\"n\":3}"), 401);
    assert!(waits(&gateway), "the stranger's");
    let (_, fine) = becket(&place, &["sources", "secret", "accept", "own", secret]);
    assert!(!fine, "it waits no more");
    let log = place.log();
    assert!(log.contains("source.secret.waits") && !log.contains(secret), "{log}");
}

#[test]
fn a_secret_that_is_configured_is_not_replaced_by_a_handshake() {
    let place = Place::new();
    let own = "the-secret-of-the-configuration";
    configure(&place, &format!("secrets = [\"{own}\"]"), &capturing(false));
    let gateway = place.start();
    assert_eq!(shake(&place, "the-secret-of-a-stranger").status, 204);
    assert_eq!(event(&place, "the-secret-of-a-stranger", "{\"n\":1}"), 401);
    assert_eq!(event(&place, own, "{\"n\":2}"), 200);
    assert!(waits(&gateway));
    // Whoever repeats handshakes with ever new secrets is slowed down.
    assert_eq!(shake(&place, "yet-another-secret").status, 503);
}

#[test]
fn requests_without_a_body_reach_their_handshakes_and_others_do_not() {
    let place = Place::new();
    let entry = "[[provider.scheme]]\nclass = \"token\"\n\
        signature = { at = \"header:x-token\", encoding = \"plain\" }\n\
        [[provider.handshake]]\nname = \"alive\"\nverify_first = false\n\
        when = [{ at = \"method\", equals = \"HEAD\" }]\nrespond = { status = 200 }\n\
        [[provider.handshake]]\nname = \"validation\"\nverify_first = false\n\
        when = [{ at = \"method\", equals = \"OPTIONS\" }, { at = \"header:webhook-request-origin\", present = true }]\n\
        respond = { status = 200, headers = { webhook-allowed-origin = \"{header:webhook-request-origin}\", \
        webhook-allowed-rate = \"{rate_per_minute}\" } }\n";
    configure(&place, "secrets = [\"token-1\"]\nrate_limit = \"10/s\"", entry);
    let _gateway = place.start();
    assert_eq!(send(&place, "HEAD", &[], "").status, 200);
    let options = send(&place, "OPTIONS", &[("webhook-request-origin", "events.example.com")], "");
    assert_eq!(options.status, 200);
    assert_eq!(options.header("webhook-allowed-origin"), Some("events.example.com"));
    assert_eq!(options.header("webhook-allowed-rate"), Some("600"));
    assert_eq!(send(&place, "OPTIONS", &[], "").status, 405);
    assert_eq!(send(&place, "GET", &[("x-token", "token-1")], "").status, 405);
    assert_eq!(send(&place, "POST", &[("x-token", "token-1")], "{}").status, 200);
}

#[test]
fn an_accepted_event_is_answered_with_what_it_brought_and_a_refused_one_is_not() {
    let place = Place::new();
    let entry = "failure_status = 403\n\
        ack = { status = 202, content_type = \"application/json\", \
        body = '{{\"id\":\"{json:notification.id}\"}}', headers = { x-echo = \"{header:x-ask}\" } }\n\
        [[provider.scheme]]\nclass = \"token\"\nsignature = { at = \"header:x-token\", encoding = \"plain\" }\n";
    configure(&place, "secrets = [\"token-1\"]", entry);
    let _gateway = place.start();
    let body = "{\"notification\":{\"id\":\"n-17\"}}";
    let headers = [("x-token", "token-1"), ("x-ask", "42"), ("content-type", "application/json")];
    for repeat in 0..2 {
        let answer = send(&place, "POST", &headers, body);
        assert_eq!(answer.status, 202, "{repeat}: {}", answer.text());
        assert_eq!(answer.text(), "{\"id\":\"n-17\"}");
        assert_eq!(answer.header("x-echo"), Some("42"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.header("becket-event-id").is_some());
    }
    for headers in [&[("x-token", "wrong")][..], &[]] {
        assert_eq!(send(&place, "POST", headers, body).status, 403);
    }
}
