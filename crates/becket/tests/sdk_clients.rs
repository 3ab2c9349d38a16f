//! Official SDKs as senders and receivers: what they sign is accepted and delivered, what is
//! tampered with is refused, and they verify what is delivered.
//!
//! The suites are programs in `clients/node` and `clients/python`; this driver starts the real
//! binary, tells them its address and secrets, and reads the JSON line that each suite prints.

mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::{Gateway, Place};
use support::{free_port, repository};

const PUBLIC_URL: &str = "https://hooks.becket.test";
const DELIVERY_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Secrets in the form that each provider gives them: what is configured, and another one.
const GITHUB: [&str; 2] = ["It's a Secret to Everybody", "It's another Secret"];
const STRIPE: [&str; 2] = ["whsec_test_abcdefghijklmnopqrstuvwxyz", "whsec_test_other"];
const TWILIO: [&str; 2] = ["12345678901234567890123456789012", "ffffffffffffffffffffffffffffffff"];
const STANDARD: [&str; 2] = [
    "whsec_c3RhbmRhcmQtd2ViaG9va3MtdGVzdC1zZWNyZXQ=",
    "whsec_YW5vdGhlci10ZXN0LXNlY3JldC0wMTIzNDU=",
];

#[test]
fn the_node_sdks_agree_with_the_gateway() {
    let modules = repository().join("clients/node/node_modules/stripe");
    assert!(modules.exists(), "the Node SDKs are not installed; run `make setup`");
    let place = Place::new();
    let receiver = free_port();
    let gateway = start(&place, receiver);
    let settings = json!({
        "url": format!("http://{}", place.address),
        "publicUrl": PUBLIC_URL,
        "receiverPort": receiver,
        "github": suite("github", GITHUB),
        "stripe": suite("stripe", STRIPE),
        "twilio": suite("twilio", TWILIO),
        "standard": suite("standardwebhooks", STANDARD),
    });
    let mut command = Command::new("node");
    command.arg(repository().join("clients/node/suite.mjs"));
    let lines = run(&mut command, &settings, &place);
    let suites: Vec<&str> = lines.iter().filter_map(|line| line["suite"].as_str()).collect();
    assert_eq!(suites, ["github", "stripe", "twilio", "standardwebhooks"]);
    gateway.stop();
}

#[test]
fn the_python_sdk_agrees_with_the_gateway() {
    let python = repository().join(".venv/bin/python");
    assert!(python.exists(), "the Python SDKs are not installed; run `make setup`");
    let place = Place::new();
    let receiver = free_port();
    let gateway = start(&place, receiver);
    let mut own = suite("standardwebhooks", STANDARD);
    own["receiverPort"] = json!(receiver);
    let settings = json!({ "port": place.address.port(), "python": own });
    let mut command = Command::new(python);
    command.arg(repository().join("clients/python/suite.py"));
    let lines = run(&mut command, &settings, &place);
    assert_eq!(lines.len(), 1, "{lines:?}");
    gateway.stop();
}

/// What a suite needs to know about its source.
fn suite(provider: &str, [secret, other]: [&str; 2]) -> Value {
    json!({
        "path": format!("/in/{provider}"),
        "otherPath": format!("/in/{provider}-other"),
        "secret": secret,
        "otherSecret": other,
        "delivery": { "path": format!("/deliveries/{provider}"), "secret": DELIVERY_SECRET },
    })
}

/// Starts a gateway with two sources for each provider, the second with the other secret.
fn start(place: &Place, receiver: u16) -> Gateway<'_> {
    let mut sources = String::new();
    for (provider, [secret, other]) in
        [("github", GITHUB), ("stripe", STRIPE), ("twilio", TWILIO), ("standardwebhooks", STANDARD)]
    {
        sources.push_str(&format!(
            "[[source]]\nid = \"{provider}\"\nprovider = \"{provider}\"\nsecrets = [\"{secret}\"]\n\
             [[source.endpoint]]\nid = \"receiver\"\n\
             url = \"http://127.0.0.1:{receiver}/deliveries/{provider}\"\n\
             secret = \"{DELIVERY_SECRET}\"\n\
             [[source]]\nid = \"{provider}-other\"\nprovider = \"{provider}\"\nsecrets = [\"{other}\"]\n"
        ));
    }
    place.configure(&format!("public_url = \"{PUBLIC_URL}\""), &place.data(), "", &sources);
    let gateway = Gateway::spawn(place, place.command());
    gateway.wait_ready(Duration::from_secs(20));
    gateway
}

/// Runs a suite, shows its counts, and answers with the lines it printed. Any failed check fails.
fn run(command: &mut Command, settings: &Value, place: &Place) -> Vec<Value> {
    let output = command.env("SUITE", settings.to_string()).output().expect("the suite can be run");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    for line in &lines {
        println!("{}", line["suite"].as_str().unwrap_or_default());
        for (name, count) in line["checks"].as_object().into_iter().flatten() {
            println!("  {:>6} passed {:>3} failed  {name}", count["passed"], count["failed"]);
        }
    }
    assert!(
        output.status.success() && lines.iter().all(|line| line["failed"] == 0),
        "the suite failed:\n{}\n--- the gateway's log ends:\n{}",
        String::from_utf8_lossy(&output.stderr),
        place.log_tail()
    );
    lines
}
