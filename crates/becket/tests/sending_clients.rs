//! The official SDKs drive every operation that is claimed, and requests made from the OpenAPI
//! document find no answer that it does not describe.
//!
//! The suites are programs in `clients`; they compare what they drove with
//! `clients/sending/operations.tsv` themselves. This driver starts the real binary, tells them its
//! address and token, and shows what they say.

mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::repository;

/// What is claimed of the public specification; an SDK may have more.
const OPERATIONS: u64 = 88;

#[test]
fn the_node_sdk_drives_every_operation() {
    let modules = repository().join("clients/node/node_modules/svix");
    assert!(modules.exists(), "the Node SDKs are not installed; run `make setup`");
    let mut command = Command::new("node");
    command.arg(repository().join("clients/node/sending.mjs"));
    drive(&mut command);
}

#[test]
fn the_python_sdk_drives_every_operation() {
    let python = repository().join(".venv/bin/python");
    assert!(python.exists(), "the Python SDKs are not installed; run `make setup`");
    let mut command = Command::new(python);
    command.arg(repository().join("clients/python/sending"));
    drive(&mut command);
}

#[test]
fn requests_made_from_the_document_get_answers_that_it_describes() {
    let python = repository().join(".venv-schemathesis/bin/python");
    assert!(python.exists(), "schemathesis is not installed; run `make setup`");
    let place = Place::new();
    let gateway = start(&place);
    let output = Command::new(python)
        .arg(repository().join("clients/schemathesis/run.py"))
        .env("BECKET_URL", format!("http://{}", place.address))
        .env("BECKET_ADMIN_TOKEN", ADMIN_TOKEN)
        .output()
        .expect("schemathesis can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}\n--- the log ends:\n{}", place.log_tail());
    gateway.stop();
}

fn start(place: &Place) -> Gateway<'_> {
    let rest = "[egress]\nallow_networks = [\"127.0.0.0/8\"]\n";
    place.configure("public_url = \"https://hooks.becket.test\"", &place.data(), "", rest);
    let gateway = Gateway::spawn(place, place.command());
    gateway.wait_ready(Duration::from_secs(20));
    gateway
}

/// Runs a suite against a fresh gateway; any failed check fails, and so does a missing operation.
fn drive(command: &mut Command) {
    let place = Place::new();
    let gateway = start(&place);
    let output = command
        .env("BECKET_URL", format!("http://{}", place.address))
        .env("BECKET_ADMIN_TOKEN", ADMIN_TOKEN)
        .output()
        .expect("the suite can be run");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let failed: Vec<&Value> = lines.iter().filter(|line| line["ok"] == false).collect();
    let summary = lines.last().cloned().unwrap_or_default();
    println!("{summary}");
    assert!(
        output.status.success() && failed.is_empty(),
        "{failed:#?}\n{summary}\n{}\n--- the gateway's log ends:\n{}",
        String::from_utf8_lossy(&output.stderr),
        place.log_tail()
    );
    assert_eq!(summary["claimed"], summary["driven"], "{summary}");
    assert!(summary["claimed"].as_u64() >= Some(OPERATIONS), "{summary}");
    gateway.stop();
}
