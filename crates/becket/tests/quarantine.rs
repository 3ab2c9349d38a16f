//! The way out of quarantine, with the running binary and its own command line: refused, explained,
//! the secret corrected, verified again, delivered once and in order.

mod support;

use std::process::{Command, Output};
use std::time::Duration;

use becket_signature::Refusal;
use support::gateway::{ADMIN_TOKEN, Place};
use support::http::Client;
use support::sink::Sink;
use support::wait_until;

const LIMIT: Duration = Duration::from_secs(15);

fn source(id: &str, secret: &str, more: &str, sink: Option<&Sink>) -> String {
    let endpoint = sink.map_or(String::new(), |sink| {
        let url = sink.url("/hook");
        format!("[[source.endpoint]]\nid = \"app\"\nurl = \"{url}\"\nconcurrency = 1\n")
    });
    format!(
        "[[source]]\nid = \"{id}\"\nprovider = \"github\"\nsecrets = [\"{secret}\"]\n{more}\n{endpoint}"
    )
}

/// Sends what GitHub would, signed with a secret.
fn send(place: &Place, source: &str, secret: &str, delivery: &str, body: &str) -> u16 {
    let signature = support::sign::github(secret, body.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let path = format!("/in/{source}");
    let mut client = Client::closing(place.address);
    client.send("POST", &path, &headers, body.as_bytes()).expect("an answer").status
}

fn becket(place: &Place, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(arguments)
        .args(["--url", &format!("http://{}", place.address), "--token", ADMIN_TOKEN])
        .current_dir(&place.folder)
        .output()
        .expect("the command runs")
}

fn told(place: &Place, arguments: &[&str]) -> String {
    let output = becket(place, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn what_was_refused_is_explained_corrected_and_let_out() {
    let place = Place::new();
    let data = place.data();
    let sink = Sink::start(|_| 200);
    let with = |shop: &str| {
        source("shop", shop, "", Some(&sink))
            + &source("billing", "the-secret-of-billing", "", None)
    };
    place.configure("", &data, "", &with("a-mistaken-secret"));
    let gateway = place.start();
    for delivery in ["d-1", "d-2", "d-3", "d-1"] {
        let body = format!("{{\"id\":\"{delivery}\"}}");
        assert_eq!(send(&place, "shop", "the-right-secret", delivery, &body), 401);
    }
    assert_eq!(send(&place, "shop", "a-forgers-secret", "d-4", "{}"), 401);
    assert_eq!(send(&place, "shop", "the-secret-of-billing", "d-5", "{\"n\":5}"), 401);

    let listed = told(&place, &["quarantine", "list", "--source", "shop", "--since", "1h"]);
    assert_eq!(listed.matches("signature_mismatch").count(), 6, "{listed}");
    let none = told(&place, &["quarantine", "list", "--code", "stale"]);
    assert!(!none.contains("signature_mismatch"), "{none}");
    let shown = told(&place, &["quarantine", "show", "6"]);
    assert!(shown.contains("this is signed with the secret of the source `billing`"), "{shown}");
    let shown = told(&place, &["quarantine", "show", "1", "--json"]);
    assert!(!shown.contains("signature_expected"), "{shown}");
    let expected = support::sign::github("a-mistaken-secret", b"{\"id\":\"d-1\"}");
    assert!(!shown.contains(&expected), "no computed signature is shown");
    let early = becket(&place, &["quarantine", "retry", "1"]);
    assert_eq!(early.status.code(), Some(1), "nothing passes yet");

    place.configure("", &data, "", &with("the-right-secret"));
    gateway.signal("HUP");
    let corrected = || send(&place, "shop", "the-right-secret", "d-9", "{\"id\":\"d-9\"}") == 200;
    assert!(wait_until(LIMIT, corrected), "the secret is not in force:\n{}", place.log_tail());
    let retried = told(&place, &["quarantine", "retry", "--source", "shop"]);
    // Requests that found the old secret in force while the new one was awaited are events now too.
    assert!(retried.contains("2 signature_mismatch"), "{retried}");
    let numbers: Vec<&str> = retried
        .lines()
        .filter(|line| line.contains(" is event "))
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    assert!(numbers.starts_with(&["1", "2", "3"]), "oldest first: {retried}");
    assert!(retried.contains("request 4 repeats event"), "{retried}");
    let bodies = || -> Vec<String> {
        let all = sink.deliveries();
        all.iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect()
    };
    assert!(wait_until(LIMIT, || bodies().len() >= 4), "{:?}", bodies());
    let again = told(&place, &["quarantine", "retry", "--source", "shop"]);
    assert!(again.starts_with("0 accepted, 2 stay"), "{again}");
    std::thread::sleep(Duration::from_millis(300));
    let ours: Vec<String> = bodies().into_iter().filter(|body| !body.contains("d-9")).collect();
    assert_eq!(ours, [r#"{"id":"d-1"}"#, r#"{"id":"d-2"}"#, r#"{"id":"d-3"}"#], "once, in order");

    let events = gateway.api_list(support::EVENTS);
    let released: Vec<_> =
        events.iter().filter(|event| event["released"]["refusedAs"].is_string()).collect();
    assert!(released.iter().all(|event| event["unverified"].is_null()), "{released:#?}");
    let out = told(&place, &["quarantine", "release", "5", "--reason", "confirmed by telephone"]);
    let event = out.trim().split(' ').nth(4).expect("an id").to_owned();
    let life = told(&place, &["events", "show", &event]);
    assert!(life.contains("unverified (signature_mismatch)"), "{life}");
    assert!(life.contains("without verification: confirmed by telephone"), "{life}");
    let list = told(&place, &["events", "list"]);
    assert!(list.contains("unverified"), "{list}");
    let audited = || {
        let log = place.log();
        log.lines().any(|line| {
            line.contains("quarantine.released") && line.contains("confirmed by telephone")
        })
    };
    assert!(wait_until(LIMIT, audited), "{}", place.log_tail());

    // A sender that still has the secret of before is told so.
    assert_eq!(send(&place, "shop", "a-mistaken-secret", "d-7", "{\"n\":7}"), 401);
    let newest = told(&place, &["quarantine", "list", "--limit", "1", "--json"]);
    let newest: serde_json::Value = serde_json::from_str(newest.lines().next().unwrap_or_default())
        .unwrap_or_else(|_| serde_json::from_str(&newest).expect("JSON"));
    let number = newest["number"].as_i64().or_else(|| newest["data"][0]["number"].as_i64());
    let shown = told(&place, &["quarantine", "show", &number.expect("a number").to_string()]);
    assert!(shown.contains("this is signed with an older one"), "{shown}");

    let metrics = gateway.get("/metrics").expect("metrics").text();
    assert!(metrics.contains("becket_released_total{outcome=\"by_hand\"} 1"), "{metrics}");
    for refusal in Refusal::ALL {
        let line =
            format!("becket_refusals_total{{reason=\"{}\",observed=\"false\"}}", refusal.code());
        assert!(metrics.contains(&line), "{line} is missing");
        let help = metrics.lines().find(|line| line.starts_with("# HELP becket_refusals "));
        assert!(help.unwrap_or_default().contains(refusal.code()), "{help:?}");
    }
    assert!(gateway.stop().success());
}

#[test]
fn a_source_that_observes_says_so_loudly() {
    let place = Place::new();
    let sink = Sink::start(|_| 200);
    let text = source("shop", "a-mistaken-secret", "verification = \"observe\"", Some(&sink));
    place.configure("", &place.data(), "", &text);
    let gateway = place.start();
    let said = |text: &'static str| {
        let said = || place.log().contains(text);
        assert!(wait_until(LIMIT, said), "{text}:\n{}", place.log_tail());
    };
    said("source.observes");
    said("WARNING: it only observes");
    assert_eq!(send(&place, "shop", "the-right-secret", "d-1", "{}"), 200);
    assert!(wait_until(LIMIT, || sink.count() == 1), "it is delivered all the same");
    let event = &gateway.api_list(support::EVENTS)[0];
    assert_eq!(event["unverified"], "signature_mismatch");
    let state = told(&place, &["sources", "show", "shop"]);
    assert!(state.contains("observe") && state.contains("it only observes"), "{state}");
    let life = told(&place, &["events", "show", event["id"].as_str().expect("an id")]);
    assert!(life.contains("unverified (signature_mismatch)"), "{life}");
    let metrics = gateway.get("/metrics").expect("metrics").text();
    let counted = "becket_refusals_total{reason=\"signature_mismatch\",observed=\"true\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    said("\"unverified\":\"signature_mismatch\"");
    assert!(gateway.api_list("/api/v1/becket/quarantine").is_empty());

    place.configure("", &place.data(), "", &source("shop", "a-mistaken-secret", "", Some(&sink)));
    gateway.signal("HUP");
    let refused = || send(&place, "shop", "the-right-secret", "d-2", "{}") == 401;
    assert!(wait_until(LIMIT, refused), "it still observes:\n{}", place.log_tail());
    assert!(gateway.stop().success());
}
