//! The gateway's own alerts, with the real binary: each is told once for each trouble, and once when
//! it is over.

mod support;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::http::{Answer, Client};
use support::sink::Sink;
use support::{EVENTS, sign, wait_until};

const SECRET: &str = "It's a Secret to Everybody";

fn source(url: &str, retry: &str, more: &str) -> String {
    format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{SECRET}\"]\n{more}\n\
         [[source.endpoint]]\nid = \"app\"\nurl = \"{url}\"\nretry = {retry}\n"
    )
}

fn alerts(url: &str, settings: &str) -> String {
    format!(
        "[alerts]\nsettle = \"2s\"\n{settings}\n[[alerts.endpoint]]\nid = \"ops\"\nurl = \"{url}\"\n"
    )
}

fn post(place: &Place, number: usize, secret: &str) -> Answer {
    let body = json!({ "zen": "hello", "number": number }).to_string().into_bytes();
    let signature = sign::github(secret, &body);
    let delivery = format!("{number:08x}-0000-4000-8000-000000000000");
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", delivery.as_str()),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let answer = Client::closing(place.address).send("POST", "/in/github", &headers, &body);
    answer.expect("the gateway answers")
}

/// What was told so far. A gateway that is killed may deliver an alert again, under the same id: that
/// is one alert.
fn told(sink: &Sink) -> Vec<Value> {
    let parse = |body: &[u8]| serde_json::from_slice(body).expect("an alert is JSON");
    let mut ids = std::collections::BTreeSet::new();
    let mut deliveries = sink.deliveries();
    deliveries.retain(|delivery| ids.insert(delivery.header("webhook-id")));
    deliveries.iter().map(|one| parse(&one.body)).collect()
}

fn types(sink: &Sink) -> Vec<String> {
    let of = |alert: &Value| alert["type"].as_str().expect("an alert has a type").to_owned();
    told(sink).iter().map(of).collect()
}

/// Waits for an alert, and answers it.
fn wait_for(sink: &Sink, event_type: &str, limit: Duration) -> Value {
    let mut found = None;
    let came = wait_until(limit, || {
        found = told(sink).into_iter().find(|alert| alert["type"] == event_type);
        found.is_some()
    });
    assert!(came, "no {event_type} within {limit:?}, but {:?}", types(sink));
    found.expect("it was found")
}

/// Nothing more is told for a while.
fn settled(sink: &Sink, expected: &[&str]) {
    std::thread::sleep(Duration::from_secs(5));
    let mut told = types(sink);
    told.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(told, expected);
}

fn api(place: &Place, method: &str, path: &str, body: &Value) -> Value {
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer =
        Client::closing(place.address).send(method, path, &headers, body.to_string().as_bytes());
    let answer = answer.expect("the gateway answers");
    assert!(answer.is_success(), "{method} {path}: {} {}", answer.status, answer.text());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

const LONG: Duration = Duration::from_secs(45);

#[test]
fn an_endpoint_that_fails_and_recovers_is_told_once_each() {
    let status = Arc::new(AtomicU16::new(500));
    let answers = Arc::clone(&status);
    let app = Sink::start(move |_| answers.load(Ordering::Relaxed));
    let ops = Sink::start(|_| 200);
    let place = Place::new();
    // Quick at first, and then for so long that it is never told that they run out.
    let waits = [["\"200ms\""; 3].join(", "), ["\"1s\""; 90].join(", ")].join(", ");
    let retry = format!("[{waits}]");
    let config = alerts(&ops.url("/"), "") + &source(&app.url("/"), &retry, "");
    place.configure("", &place.data(), "", &config);
    let gateway = place.start();
    for number in 0..2 {
        assert!(post(&place, number, SECRET).is_success());
    }
    let failing = wait_for(&ops, "endpoint.failing", LONG);
    let data = &failing["data"];
    assert_eq!((data["endpoint"].as_str(), data["source"].as_str()), (Some("app"), Some("github")));
    assert!(data["text"].as_str().is_some_and(|text| text.contains("becket endpoints show ep_")));
    assert!(data["said"].as_str().is_some_and(|said| said.contains("500")), "{data}");
    // A restart in the middle of an episode begins no other.
    gateway.kill();
    let gateway = place.start();
    std::thread::sleep(Duration::from_secs(3));
    status.store(200, Ordering::Relaxed);
    wait_for(&ops, "endpoint.recovered", LONG);
    settled(&ops, &["endpoint.failing", "endpoint.recovered"]);
    // They are events like any other.
    let events = gateway.api_list(&format!("{EVENTS}?source=becket-alerts"));
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(post_to_alerts(&place), 404);
}

/// Nobody can post alerts from outside.
fn post_to_alerts(place: &Place) -> u16 {
    let answer = Client::closing(place.address).send("POST", "/in/becket-alerts", &[], b"{}");
    answer.expect("the gateway answers").status
}

#[test]
fn what_is_given_up_and_switched_off_is_told_once() {
    let status = Arc::new(AtomicU16::new(500));
    let answers = Arc::clone(&status);
    let app = Sink::start(move |_| answers.load(Ordering::Relaxed));
    let ops = Sink::start(|_| 200);
    let place = Place::new();
    let config = alerts(&ops.url("/"), "") + &source(&app.url("/"), "[\"1s\", \"1s\", \"6s\"]", "");
    place.configure("", &place.data(), "", &config);
    let _gateway = place.start();
    // Too few for the breaker, which would hold them back.
    for number in 0..2 {
        assert!(post(&place, number, SECRET).is_success());
    }
    let near = wait_for(&ops, "retries.running_out", LONG);
    assert_eq!(
        (near["data"]["attempts"].as_u64(), near["data"]["left"].as_u64()),
        (Some(3), Some(1))
    );
    let exhausted = wait_for(&ops, "retries.exhausted", LONG);
    assert!(exhausted["data"]["count"].as_u64() >= Some(1));
    assert!(exhausted["data"]["text"].as_str().is_some_and(|text| text.contains("becket replay")));
    status.store(410, Ordering::Relaxed);
    assert!(post(&place, 9, SECRET).is_success());
    let disabled = wait_for(&ops, "endpoint.disabled", LONG);
    assert_eq!(disabled["data"]["severity"], "error");
    settled(&ops, &["retries.running_out", "retries.exhausted", "endpoint.disabled"]);
}

#[test]
fn refused_signatures_and_silence_are_told_once_each() {
    let app = Sink::start(|_| 200);
    let ops = Sink::start(|_| 200);
    let place = Place::new();
    let settings = "refusals = 10\nrefusal_window = \"3s\"";
    let config = alerts(&ops.url("/"), settings)
        + &source(&app.url("/"), "\"none\"", "quiet_after = \"4s\"");
    place.configure("", &place.data(), "", &config);
    let _gateway = place.start();
    // Fewer than are accepted are nobody's trouble.
    for number in 0..24 {
        let secret = if number % 2 == 0 { SECRET } else { "wrong" };
        post(&place, number, secret);
    }
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(types(&ops).iter().filter(|one| *one == "signatures.refused").count(), 0);
    for number in 100..115 {
        assert_eq!(post(&place, number, "wrong").status, 401);
    }
    let refused = wait_for(&ops, "signatures.refused", LONG);
    assert_eq!(refused["data"]["subject"], "github");
    wait_for(&ops, "signatures.recovered", LONG);
    let quiet = wait_for(&ops, "source.quiet", LONG);
    assert!(
        quiet["data"]["text"].as_str().is_some_and(|text| text.contains("has sent nothing since"))
    );
    // It sends again, for long enough.
    for number in 200..205 {
        assert!(post(&place, number, SECRET).is_success());
        std::thread::sleep(Duration::from_secs(1));
    }
    wait_for(&ops, "source.recovered", LONG);
    let told = types(&ops);
    for once in ["signatures.refused", "signatures.recovered", "source.recovered"] {
        assert_eq!(told.iter().filter(|one| *one == once).count(), 1, "{told:?}");
    }
}

#[test]
fn a_store_that_fills_up_is_told_before_it_refuses() {
    // Well above what is to be told, well below what is refused: then it is only waited for.
    const SENT_MAX: usize = 90;
    let ops = Sink::start(|_| 200);
    let app = Sink::start(|_| 200);
    let place = Place::new();
    let config =
        alerts(&ops.url("/"), "disk_percent = 30") + &source(&app.url("/"), "\"none\"", "");
    place.configure("", &place.data(), "cap = \"3MiB\"\nmin_free = \"1MiB\"", &config);
    let _gateway = place.start();
    let padding = "x".repeat(20_000);
    let mut number = 0;
    let came = wait_until(LONG, || {
        let told = || types(&ops).contains(&"disk.filling".to_owned());
        if number == SENT_MAX {
            return told();
        }
        number += 1;
        let body = json!({ "padding": padding, "number": number }).to_string().into_bytes();
        let signature = sign::github(SECRET, &body);
        let delivery = format!("{number:08x}-0000-4000-8000-000000000000");
        let headers = [
            ("content-type", "application/json"),
            ("x-github-event", "push"),
            ("x-github-delivery", delivery.as_str()),
            ("x-hub-signature-256", signature.as_str()),
        ];
        let answer = Client::closing(place.address).send("POST", "/in/github", &headers, &body);
        assert_eq!(answer.expect("the gateway answers").status, 200, "refused before it was told");
        std::thread::sleep(Duration::from_millis(60));
        told()
    });
    assert!(came, "nothing was told after {number} events");
    let filling = wait_for(&ops, "disk.filling", LONG);
    assert!(filling["data"]["text"].as_str().is_some_and(|text| text.contains("store.cap")));
    settled(&ops, &["disk.filling"]);
}

#[test]
fn certificates_and_secrets_are_told_before_they_end() {
    let ops = Sink::start(|_| 200);
    let app = Sink::start(|_| 200);
    let place = Place::new();
    certificate(&place, 10);
    let settings = "secret_before = \"25h\"\ntoken_before = \"7d\"";
    let tls = format!(
        "admin_listen = \"127.0.0.1:{}\"\ntls = {{ cert_file = \"cert.pem\", key_file = \"key.pem\" }}",
        support::free_port()
    );
    let config = alerts(&ops.url("/"), settings) + &source(&app.url("/"), "\"none\"", "");
    place.configure(&tls, &place.data(), "", &config);
    let gateway = Gateway::spawn(&place, place.command());
    let certificate_told = wait_for(&ops, "certificate.expiring", LONG);
    assert!(certificate_told["data"]["ends"].as_str().is_some_and(|ends| ends.len() > 10));
    // A new one in its place: over.
    certificate(&place, 90);
    wait_for(&ops, "certificate.renewed", LONG);
    settled(&ops, &["certificate.expiring", "certificate.renewed"]);
    drop(gateway);

    // The same, with secrets: a token, and a signing secret that was exchanged.
    place.configure("", &place.data(), "", &config);
    let _gateway = place.start();
    let token = json!({ "name": "ci", "role": "admin", "expiry": 7 * 86_400 + 3 });
    api(&place, "POST", "/api/v1/becket/token", &token);
    let expiring = wait_for(&ops, "secret.expiring", LONG);
    assert!(
        expiring["data"]["text"].as_str().is_some_and(|text| text.contains("becket tokens create"))
    );
    settled(&ops, &["certificate.expiring", "certificate.renewed", "secret.expiring"]);
}

/// A certificate of our own that lasts so many days, in place of the one before.
fn certificate(place: &Place, days: u32) {
    support::require_command("openssl");
    let status = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"])
        .args(["-days", &days.to_string(), "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(&place.folder)
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "openssl made no certificate");
}

#[test]
fn an_endpoint_for_alerts_that_fails_makes_no_alerts() {
    let ops = Sink::start(|_| 500);
    let app = Sink::start(|_| 500);
    let place = Place::new();
    let config = "[alerts]\nsettle = \"2s\"\n[[alerts.endpoint]]\nid = \"ops\"\nretry = [\"100ms\", \"100ms\", \"100ms\", \"100ms\"]\n"
        .to_owned()
        + &format!("url = \"{}\"\n", ops.url("/"))
        + &source(&app.url("/"), "\"none\"", "");
    place.configure("", &place.data(), "", &config);
    let gateway = place.start();
    assert!(post(&place, 1, SECRET).is_success());
    wait_for(&ops, "retries.exhausted", LONG);
    std::thread::sleep(Duration::from_secs(5));
    let events = gateway.api_list(&format!("{EVENTS}?source=becket-alerts"));
    assert_eq!(events.len(), 1, "{events:?}");
}
