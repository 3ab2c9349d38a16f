//! Counts over time and what is wrong now, with the real binary: right after traffic, after a restart,
//! and after a kill.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::{Gateway, Place};
use support::http::{Answer, Client};
use support::sink::Sink;
use support::{EVENTS, sign, wait_until};

const SECRET: &str = "It's a Secret to Everybody";
const ACTIVITY: &str = "/api/v1/becket/activity";
const LONG: Duration = Duration::from_secs(45);

fn source(url: &str, retry: &str) -> String {
    format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{SECRET}\"]\n\n\
         [[source.endpoint]]\nid = \"app\"\nurl = \"{url}\"\nretry = {retry}\n"
    )
}

fn post(place: &Place, number: usize, secret: &str) -> Answer {
    let body = json!({ "number": number }).to_string().into_bytes();
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

fn sum(answer: &Value, name: &str) -> u64 {
    let points = answer["points"].as_array().expect("points");
    points.iter().filter_map(|point| point[name].as_u64()).sum()
}

/// Received, repeated, refused, delivered.
fn counts(gateway: &Gateway<'_>) -> [u64; 4] {
    let answer = gateway.api("GET", &format!("{ACTIVITY}?step=hour"));
    ["received", "duplicates", "refused", "delivered"].map(|name| sum(&answer, name))
}

#[test]
fn counts_are_right_at_once_after_a_restart_and_nearly_so_after_a_kill() {
    let app = Sink::start(|_| 200);
    let place = Place::new();
    place.configure("", &place.data(), "", &source(&app.url("/"), "\"standard\""));
    let gateway = place.start();
    for number in 0..20 {
        assert!(post(&place, number, SECRET).is_success());
    }
    for number in 0..3 {
        assert!(post(&place, number, SECRET).is_success(), "a repeat is acknowledged");
        assert_eq!(post(&place, 100 + number, "wrong").status, 401);
    }
    let mut seen = [0; 4];
    let right = wait_until(LONG, || {
        seen = counts(&gateway);
        seen == [20, 3, 3, 20]
    });
    assert!(right, "{seen:?}");
    for step in ["minute", "ten_minutes"] {
        let answer = gateway.api("GET", &format!("{ACTIVITY}?step={step}&source=github"));
        assert_eq!((sum(&answer, "received"), sum(&answer, "attempts")), (20, 20), "{step}");
    }
    let by = gateway.api("GET", &format!("{ACTIVITY}/by?dimension=endpoint"));
    assert_eq!(by["data"][0]["name"], "github/app");
    assert!(by["data"][0]["latency"]["p99Ms"].as_u64().is_some_and(|ms| ms < 30_000), "{by}");
    let types = gateway.api("GET", &format!("{ACTIVITY}/by?dimension=event_type"));
    assert_eq!(
        (&types["data"][0]["name"], &types["data"][0]["received"]),
        (&json!("push"), &json!(20))
    );

    // A stop writes everything down, and the stretch is gone on with.
    assert!(gateway.stop().success());
    let gateway = place.start();
    assert_eq!(counts(&gateway), [20, 3, 3, 20]);
    for number in 20..25 {
        assert!(post(&place, number, SECRET).is_success());
    }
    assert!(wait_until(LONG, || counts(&gateway) == [25, 3, 3, 25]), "{:?}", counts(&gateway));
    // Two writings later, all of this is safe.
    std::thread::sleep(Duration::from_secs(11));
    for number in 25..30 {
        assert!(post(&place, number, SECRET).is_success());
    }
    gateway.kill();
    let gateway = place.start();
    let [received, ..] = counts(&gateway);
    assert!((25..=30).contains(&received), "{received}");
    let page = gateway.api_list(&format!("{EVENTS}?source=github"));
    assert_eq!(page.len(), 30, "events are never lost");
}

fn problems(gateway: &Gateway<'_>) -> Vec<Value> {
    gateway.api("GET", "/api/v1/becket/problem")["data"].as_array().expect("a list").clone()
}

fn of_kind(gateway: &Gateway<'_>, kind: &str) -> Option<Value> {
    problems(gateway).into_iter().find(|one| one["kind"] == kind)
}

#[test]
fn problems_are_shown_without_anybody_being_told() {
    let status = Arc::new(AtomicU16::new(500));
    let answers = Arc::clone(&status);
    let app = Sink::start(move |_| answers.load(Ordering::Relaxed));
    let place = Place::new();
    let retry = format!("[{}]", vec!["\"300ms\""; 40].join(", "));
    let settings = "[alerts]\nsettle = \"5s\"\nrefusals = 5\nrefusal_window = \"8s\"\n\n";
    let config = settings.to_owned() + &source(&app.url("/"), &retry);
    place.configure("", &place.data(), "", &config);
    let gateway = place.start();
    assert_eq!(problems(&gateway), Vec::<Value>::new());
    for number in 0..3 {
        assert!(post(&place, number, SECRET).is_success());
    }
    for number in 0..8 {
        assert_eq!(post(&place, 100 + number, "wrong").status, 401);
    }
    let mut failing = None;
    let seen = wait_until(LONG, || {
        failing = of_kind(&gateway, "endpoint_failing");
        failing.is_some()
    });
    assert!(seen, "{:?}", problems(&gateway));
    let failing = failing.expect("it was seen");
    assert_eq!((&failing["source"], &failing["endpoint"]), (&json!("github"), &json!("app")));
    assert!(failing["endpointId"].as_str().is_some_and(|id| id.starts_with("ep_")), "{failing}");
    assert!(failing["hint"].as_str().is_some_and(|hint| hint.len() > 10), "{failing}");
    let mut refused = None;
    let seen = wait_until(LONG, || {
        refused = of_kind(&gateway, "signatures_refused").or_else(|| refused.take());
        refused.is_some()
    });
    assert!(seen, "{:?}", problems(&gateway));
    let refused = refused.expect("it was seen");
    assert_eq!((&refused["count"], &refused["sourceId"].is_string()), (&json!(8), &true));
    status.store(200, Ordering::Relaxed);
    assert!(wait_until(LONG * 2, || problems(&gateway).is_empty()), "{:?}", problems(&gateway));
    assert!(place.log().lines().all(|line| !line.contains("alert.posted")));
}
