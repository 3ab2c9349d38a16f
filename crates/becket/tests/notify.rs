//! Messages to people, with the real binary: what services are sent, storms, crashes, mail.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::gateway::{Gateway, Place};
use support::http::Client;
use support::sink::Sink;
use support::{EVENTS, sign, wait_until};

const SECRET: &str = "It's a Secret to Everybody";

/// A source of GitHub's with one endpoint that tells.
fn source(notify: &str) -> String {
    format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{SECRET}\"]\n\
         [[source.endpoint]]\nid = \"people\"\nretry = [\"1s\", \"1s\", \"1s\", \"2s\", \"2s\", \"2s\"]\n\
         [source.endpoint.notify]\n{notify}\n"
    )
}

fn push(number: usize) -> Vec<u8> {
    let body = json!({
        "ref": "refs/heads/main",
        "compare": "https://github.com/acme/app/compare/a...b",
        "head_commit": { "message": format!("Change {number} <b> & *more*") },
        "repository": { "full_name": "acme/app" },
        "sender": { "login": "alice" },
    });
    body.to_string().into_bytes()
}

/// Sends an event; answers its id.
fn send(client: &mut Client, event_type: &str, number: usize) -> String {
    let body = push(number);
    let signature = sign::github(SECRET, &body);
    let delivery = format!("{number:08x}-0000-4000-8000-000000000000");
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", event_type),
        ("x-github-delivery", delivery.as_str()),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let answer = client.send("POST", "/in/github", &headers, &body).expect("the gateway answers");
    assert!(answer.is_success(), "{} {}", answer.status, answer.text());
    answer.json()["id"].as_str().expect("it was accepted").to_owned()
}

fn bodies(sink: &Sink) -> Vec<Value> {
    let parse = |body: &[u8]| serde_json::from_slice(body).expect("a message is JSON");
    sink.deliveries().iter().filter(|one| one.answered < 300).map(|one| parse(&one.body)).collect()
}

/// How many events have no delivery that is still to be made, and how many were delivered.
fn states(gateway: &Gateway<'_>) -> (usize, usize) {
    let events = gateway.api_list(EVENTS);
    let delivered = events
        .iter()
        .filter(|event| {
            let deliveries = event["deliveries"].as_array().expect("an event has deliveries");
            deliveries.iter().all(|delivery| delivery["state"] == "delivered")
        })
        .count();
    (events.len(), delivered)
}

fn all_delivered(gateway: &Gateway<'_>, number: usize, limit: Duration) {
    let mut seen = (0, 0);
    let done = wait_until(limit, || {
        std::thread::sleep(Duration::from_millis(300));
        seen = states(gateway);
        seen == (number, number)
    });
    assert!(done, "of {number} events {} are there and {} told", seen.0, seen.1);
}

#[test]
fn a_storm_makes_few_messages_and_every_event_is_delivered() {
    const STORM: usize = 2_000;
    let sink = Sink::start(|_| 200);
    let place = Place::new();
    let notify = format!("slack = \"{}\"\ndigest = \"4s\"", sink.url("/services/T0/B0/secret"));
    place.configure("", &place.data(), "", &source(&notify));
    let gateway = place.start();
    let mut client = Client::keeping(place.address);
    let began = Instant::now();
    for number in 0..STORM {
        let event_type = if number % 4 == 0 { "issues" } else { "push" };
        send(&mut client, event_type, number);
    }
    all_delivered(&gateway, STORM, Duration::from_secs(120));
    let messages = bodies(&sink);
    // One at once, then one for each digest while the storm lasts, however slow the disk is.
    let most = 3 + began.elapsed().as_secs() / 4;
    assert!(messages.len() as u64 <= most, "{} messages, and {most} is the most", messages.len());
    // The first one tells of one event, as Slack shows it.
    let first = &messages[0];
    assert_eq!(first["blocks"][0]["text"]["text"], "issues from github");
    let counted: u64 = messages.iter().map(told_by).sum();
    assert_eq!(counted, STORM as u64);
    assert!(!place.log().contains("/services/T0"), "the address of the webhook is in the log");
}

/// How many events a message to Slack tells of.
fn told_by(message: &Value) -> u64 {
    let title = message["blocks"][0]["text"]["text"].as_str().expect("a title");
    match title.split_once(" events from ") {
        Some((number, _)) => number.replace(',', "").parse().expect("a number"),
        None => 1,
    }
}

#[test]
fn a_kill_in_the_middle_of_a_storm_loses_nothing() {
    // Few enough, and a digest long enough, that a slow disk has taken them all before it is sent.
    const STORM: usize = 40;
    let sink = Sink::start(|_| 200);
    let place = Place::new();
    let notify = format!("slack = \"{}\"\ndigest = \"5s\"", sink.url("/hook"));
    place.configure("", &place.data(), "", &source(&notify));
    let gateway = place.start();
    let mut client = Client::keeping(place.address);
    for number in 0..STORM {
        send(&mut client, "push", number);
    }
    // The first is told, the others are collected, in memory only.
    assert!(wait_until(Duration::from_secs(20), || sink.count() >= 1));
    gateway.kill();
    let before: u64 = bodies(&sink).iter().map(told_by).sum();
    assert_eq!(before, 1);
    let gateway = place.start();
    all_delivered(&gateway, STORM, Duration::from_secs(120));
    let counted: u64 = bodies(&sink).iter().map(told_by).sum();
    assert!(counted >= STORM as u64, "{counted} of {STORM} events were told");
    assert!(sink.count() <= 8, "{} messages", sink.count());
}

#[test]
fn a_service_that_is_down_gets_everything_in_the_end() {
    let started = std::time::Instant::now();
    let sink =
        Sink::start(move |_| if started.elapsed() < Duration::from_secs(4) { 503 } else { 200 });
    let place = Place::new();
    let notify = format!("discord = \"{}\"\ndigest = \"1s\"", sink.url("/api/webhooks/1/secret"));
    place.configure("", &place.data(), "", &source(&notify));
    let gateway = place.start();
    let mut client = Client::keeping(place.address);
    for number in 0..8 {
        send(&mut client, "push", number);
    }
    all_delivered(&gateway, 8, Duration::from_secs(120));
    assert!(sink.count() < 8, "{} requests", sink.count());
    let message = bodies(&sink).pop().expect("a message");
    assert_eq!(message["allowed_mentions"], json!({ "parse": [] }));
}

#[test]
fn a_wrong_configuration_is_told_and_shows_no_secret() {
    let place = Place::new();
    for (notify, expected) in [
        ("", "nobody is named"),
        ("slack = \"https://x.example/1\"\nteams = \"https://x.example/2\"", "only one of"),
        ("slack = \"ftp://secret.example/1\"", "cannot be used"),
        ("slack = \"https://x.example/1\"\ntext = \"{{body.a\"", "is not closed"),
        ("slack = \"https://x.example/1\"\ndigest = \"2h\"", "from 1s to 1h"),
        (
            "[source.endpoint.notify.email]\nserver = \"m.example\"\nfrom = \"x\"\nto = [\"a@b.c\"]",
            "no mail address",
        ),
        (
            "[source.endpoint.notify.email]\nserver = \"m.example\"\nfrom = \"x@y.z\"\nto = []",
            "names nobody",
        ),
        (
            "[source.endpoint.notify.email]\nserver = \"m.example\"\nsecurity = \"none\"\nusername = \"u\"\npassword = \"hunter2\"\nfrom = \"x@y.z\"\nto = [\"a@b.c\"]",
            "unencrypted",
        ),
    ] {
        place.configure("", &place.data(), "", &source(notify));
        let output = check_config(&place.config());
        assert!(output.contains(expected), "{notify}: {output}");
        assert!(!output.contains("secret.example") && !output.contains("hunter2"), "{output}");
    }
}

fn check_config(config: &Path) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_becket"));
    let output = command.args(["config", "check", "--config"]).arg(config).output();
    let output = output.expect("becket can be run");
    assert!(!output.status.success(), "a wrong configuration was accepted");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
