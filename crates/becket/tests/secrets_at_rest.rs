//! Secrets stay secret: in no log, metric, error, answer, file or backup; and they survive another
//! master key, made while the gateway runs.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::http::{Answer, Client};
use support::sink::Sink;
use support::wait_until;

/// Texts that occur nowhere else, one for each place where a secret can be given.
const ENDPOINT_KEY: &str = "Y2FuYXJ5LW9mLWFuLWVuZHBvaW50cy1vd24tc2VjcmV0";
const HEADER: &str = "canary-of-an-authorization-header";
const SOURCE: &str = "canary-of-a-sources-signing-secret";
const VARIABLE: &str = "canary-of-a-transformations-variable";

fn call(place: &Place, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    Client::closing(place.address)
        .send(method, path, &headers, body.to_string().as_bytes())
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

fn made(place: &Place, method: &str, path: &str, body: &Value) -> Value {
    let answer = call(place, method, path, body);
    assert!(answer.is_success(), "{method} {path}: {} {}", answer.status, answer.text());
    if answer.status == 204 { Value::Null } else { answer.json() }
}

fn place() -> Place {
    let place = Place::new();
    let rest = "[egress]\nallow_networks = [\"127.0.0.0/8\"]\n[log]\nlevel = \"trace\"\n";
    place.configure("", &place.data(), "", rest);
    place
}

/// Makes one of everything that has a secret; answers with the tokens that were shown.
fn fill(place: &Place, sink: &Sink) -> Vec<String> {
    let make = |method: &str, path: &str, body: Value| made(place, method, path, &body);
    make("POST", "/api/v1/app", json!({ "name": "Acme", "uid": "acme" }));
    let endpoint = json!({
        "uid": "main",
        "url": sink.url("/hook"),
        "secret": format!("whsec_{ENDPOINT_KEY}"),
        "headers": { "authorization": HEADER },
    });
    make("POST", "/api/v1/app/acme/endpoint", endpoint);
    let transformation = json!({ "code": "function handler(webhook) { return webhook; }", "enabled": false,
                "variables": { "key": VARIABLE } });
    make("PATCH", "/api/v1/app/acme/endpoint/main/transformation", transformation);
    let source = json!({ "name": "GitHub", "uid": "gh", "type": "github",
                         "config": { "secret": SOURCE } });
    make("POST", "/ingest/api/v1/source", source);
    let token = make("POST", "/api/v1/becket/token", json!({ "name": "t", "role": "read_only" }));
    let portal = make("POST", "/api/v1/auth/app-portal-access/acme", json!({}));
    let text = |value: &Value| value.as_str().expect("a token is shown").to_owned();
    vec![text(&token["token"]), text(&portal["token"])]
}

/// Whether any file below a folder holds these bytes.
fn holds(folder: &Path, needle: &[u8]) -> bool {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

#[test]
fn canaries_are_found_nowhere() {
    let sink = Sink::start(|_| 200);
    let place = place();
    let gateway = place.start();
    let mut canaries: Vec<String> =
        [ENDPOINT_KEY, HEADER, SOURCE, VARIABLE].map(str::to_owned).to_vec();
    canaries.extend(fill(&place, &sink));
    let message = json!({ "eventType": "a", "payload": { "n": 1 } });
    made(&place, "POST", "/api/v1/app/acme/msg", &message);
    assert!(wait_until(Duration::from_secs(10), || sink.count() == 1));
    assert_eq!(sink.deliveries()[0].header("authorization"), HEADER);

    let mut shown: Vec<String> = Vec::new();
    for path in [
        "/metrics",
        "/api/v1/app",
        "/api/v1/app/acme/endpoint",
        "/api/v1/app/acme/endpoint/main/headers",
        "/api/v1/app/acme/attempt/endpoint/main",
        "/api/v1/app/acme/msg",
        "/api/v1/becket/attempt",
        "/api/v1/becket/endpoint",
        "/api/v1/becket/source",
        "/api/v1/becket/token",
        "/ingest/api/v1/source",
        "/ingest/api/v1/source/gh",
    ] {
        let answer = call(&place, "GET", path, &Value::Null);
        assert!(answer.is_success(), "{path}: {} {}", answer.status, answer.text());
        shown.push(answer.text());
    }
    // Refusals must not give back what they refuse.
    for (path, body) in [
        (
            "/api/v1/app/acme/endpoint",
            json!({ "url": 7, "secret": HEADER, "headers": { "a": HEADER } }),
        ),
        ("/api/v1/app/acme/endpoint/main/secret/rotate", json!({ "key": SOURCE })),
        (
            "/ingest/api/v1/source",
            json!({ "name": "x", "type": "stripe", "config": { "secret": [SOURCE] } }),
        ),
        ("/api/v1/auth/one-time-token", json!({ "oneTimeToken": VARIABLE })),
    ] {
        let answer = call(&place, "POST", path, &body);
        assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
        shown.push(answer.text());
    }
    let backup = place.folder.join("backup");
    made(&place, "POST", "/api/v1/becket/backup", &json!({ "folder": backup }));
    gateway.stop();
    shown.push(place.log());
    for canary in &canaries {
        for text in &shown {
            assert!(!text.contains(canary.as_str()), "{canary} is shown in: {text}");
        }
        for folder in [place.data(), backup.clone()] {
            assert!(!holds(&folder, canary.as_bytes()), "{canary} is in {}", folder.display());
        }
    }
}

fn secret_of(place: &Place) -> String {
    let path = "/api/v1/app/acme/endpoint/main/secret";
    let secret = made(place, "GET", path, &Value::Null);
    secret["key"].as_str().expect("a key").to_owned()
}

#[test]
fn another_master_key_is_made_while_running() {
    let sink = Sink::start(|_| 200);
    let place = place();
    let gateway = place.start();
    fill(&place, &sink);
    let key_file = place.data().join("master.key");
    let before = std::fs::read_to_string(&key_file).expect("the key is in the data folder");

    let output = Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(["keys", "rotate", "--json", "--url", &format!("http://{}", place.address)])
        .env("BECKET_TOKEN", ADMIN_TOKEN)
        .output()
        .expect("the command can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rotated: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(rotated["version"], 2);
    assert!(rotated["rewrapped"].as_u64() >= Some(4), "{rotated}");
    assert_eq!(secret_of(&place), format!("whsec_{ENDPOINT_KEY}"));
    let message = json!({ "eventType": "a", "payload": {} });
    made(&place, "POST", "/api/v1/app/acme/msg", &message);
    assert!(wait_until(Duration::from_secs(10), || sink.count() == 1));

    // Killed before the old key was forgotten: the next start has both, and goes on.
    gateway.kill();
    let both = std::fs::read_to_string(&key_file).expect("the key file is there");
    assert_ne!(both, before);
    let gateway = place.start();
    assert_eq!(secret_of(&place), format!("whsec_{ENDPOINT_KEY}"));
    gateway.stop();

    // The new key alone is enough; the old one alone is refused.
    let new = both.lines().last().expect("the new key").to_owned();
    std::fs::write(&key_file, format!("{new}\n")).expect("the key file can be written");
    let gateway = place.start();
    assert_eq!(secret_of(&place), format!("whsec_{ENDPOINT_KEY}"));
    made(&place, "POST", "/api/v1/app/acme/msg", &message);
    assert!(wait_until(Duration::from_secs(10), || sink.count() == 2));
    assert_eq!(sink.deliveries()[1].header("authorization"), HEADER);
    gateway.stop();
    std::fs::write(&key_file, before).expect("the key file can be written");
    let mut refused = Gateway::spawn(&place, place.command());
    assert!(!refused.wait_end(Duration::from_secs(20)).success());
    assert!(place.log().contains("another master key"), "{}", place.log_tail());
}

/// Like the key in the data folder, a key file outside it holds several keys after a rotation, and
/// both the configuration's check and the start must read them.
#[test]
fn a_key_file_survives_a_rotation_and_restarts() {
    let sink = Sink::start(|_| 200);
    let place = place();
    let key_file = place.folder.join("kept-elsewhere.key");
    std::fs::write(&key_file, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")
        .expect("the folder can be written");
    let start = || {
        let mut command = place.command();
        command.env("BECKET_MASTER_KEY_FILE", &key_file);
        let gateway = Gateway::spawn(&place, command);
        gateway.wait_ready(Duration::from_secs(20));
        gateway
    };
    let gateway = start();
    fill(&place, &sink);
    assert!(!place.data().join("master.key").exists(), "a second key was made");
    made(&place, "POST", "/api/v1/becket/keys/rotate", &json!({}));
    let both = std::fs::read_to_string(&key_file).expect("the key file can be read");
    assert_eq!(both.lines().count(), 2, "the old key was forgotten at once");
    gateway.kill();

    let gateway = start();
    assert_eq!(secret_of(&place), format!("whsec_{ENDPOINT_KEY}"));
    gateway.stop();
    let new = both.lines().last().expect("the new key").to_owned();
    std::fs::write(&key_file, format!("{new}\n")).expect("the key file can be written");
    let gateway = start();
    assert_eq!(secret_of(&place), format!("whsec_{ENDPOINT_KEY}"));
    gateway.stop();
}

/// Sends what GitHub would, signed with its secret.
fn github(place: &Place, path: &str) -> Answer {
    let body = format!("{{\"at\":\"{path}\"}}");
    let signature = support::sign::github(SOURCE, body.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let answer = Client::closing(place.address).send("POST", path, &headers, body.as_bytes());
    answer.expect("the gateway answers")
}

/// A sender that is told that there is nothing may give up for good.
#[test]
fn senders_come_again_while_a_sources_secrets_cannot_be_opened() {
    let place = Place::new();
    let file =
        format!("[[source]]\nid = \"file\"\nprovider = \"github\"\nsecrets = [\"{SOURCE}\"]\n");
    place.configure("", &place.data(), "", &file);
    let gateway = place.start();
    let source =
        json!({ "provider": "github", "name": "GitHub", "uid": "gh", "secrets": [SOURCE] });
    let source = made(&place, "POST", "/api/v1/becket/source", &source);
    let url = source["receivingUrl"].as_str().expect("a URL");
    let path = format!("/in/{}", url.rsplit('/').next().expect("its end"));
    assert_eq!(github(&place, &path).status, 200);
    assert_eq!(github(&place, "/in/nobody").status, 404);
    let get = |path: &str| made(&place, "GET", path, &Value::Null)["data"].clone();
    assert_eq!(get("/api/v1/becket/problem"), json!([]));
    gateway.stop();

    // The same key under another number: what was sealed with the first one does not open.
    let key_file = place.data().join("master.key");
    let key = std::fs::read_to_string(&key_file).expect("the key is in the data folder");
    std::fs::write(&key_file, format!("2:{key}")).expect("the key file can be written");
    let gateway = place.start();
    for reloaded in [false, true] {
        if reloaded {
            made(&place, "POST", "/api/v1/becket/reload", &json!({}));
        }
        let away = github(&place, &path);
        assert_eq!(away.status, 503, "{}", place.log_tail());
        assert_eq!(away.header("retry-after"), Some("60"));
        let standing = get("/api/v1/becket/problem");
        assert_eq!(standing[0]["kind"], "source_unusable", "{standing}");
        assert_eq!((&standing[0]["source"], &standing[1]), (&json!("gh"), &Value::Null));
    }
    // Another source goes on.
    assert_eq!(github(&place, "/in/file").status, 200);
    assert_eq!(get("/api/v1/becket/event").as_array().map(Vec::len), Some(2));
    assert_eq!(get("/api/v1/becket/quarantine"), json!([]));
    let shown = made(&place, "GET", "/api/v1/becket/source/gh", &Value::Null);
    let warning = shown["warnings"][0].as_str().unwrap_or_default();
    assert!(
        warning.starts_with("it receives nothing: a stored secret cannot be opened"),
        "{shown}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(["doctor", "--json", "--config"])
        .arg(place.config())
        .env("BECKET_ADMIN_TOKEN", ADMIN_TOKEN)
        .output()
        .expect("the command can be run");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut findings = report["findings"].as_array().into_iter().flatten();
    let told = findings.any(|one| {
        let says = one["says"].as_str().unwrap_or_default();
        one["level"] == "problem" && says.starts_with("`gh`: it receives nothing")
    });
    assert!(told && !output.status.success(), "{report}");
    gateway.stop();
    for line in ["source.unusable", "source_unusable"] {
        assert!(place.log().contains(line), "{}", place.log_tail());
    }

    std::fs::write(&key_file, key).expect("the key file can be written");
    let gateway = place.start();
    assert_eq!(github(&place, &format!("{path}/again")).status, 200);
    assert_eq!(github(&place, "/in/nobody").status, 404);
    assert_eq!(get("/api/v1/becket/problem"), json!([]));
    gateway.stop();
}
