//! The whole catalogue through the running binary: every vector is sent over HTTP to a source of its
//! own, and answered as its verdict demands.
//!
//! The vectors were made at a fixed time, so the sources allow for any age; what only the clock
//! refuses, and tokens with an end of their own, are left to the vectors' own tests.

mod support;

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::{Value, json};
use support::gateway::{Gateway, Place};
use support::http::Client;

/// The methods that carry events here.
const METHODS: [&str; 3] = ["POST", "GET", "PUT"];

/// A source of the configuration, made for all vectors with the same credentials.
struct Source {
    id: String,
    settings: toml::Table,
}

/// A vector with the source that it is sent to.
struct Case {
    name: String,
    source: String,
    vector: Value,
    failure_status: u16,
}

#[test]
fn every_vector_is_answered_as_its_verdict_demands() {
    let (sources, cases) = cases();
    assert!(cases.len() > 500, "only {} vectors can be sent", cases.len());
    let place = Place::new();
    let mut document = toml::Table::new();
    let list = sources.into_iter().map(|source| toml::Value::Table(source.settings)).collect();
    document.insert("source".to_owned(), toml::Value::Array(list));
    let text = toml::to_string(&document).expect("can be written");
    let server = "unverified_rate_limit = \"1000000/s\"\nunverified_burst = 1000000";
    place.configure(server, &place.data(), "", &text);
    let gateway = Gateway::spawn(&place, place.command());
    gateway.wait_ready(std::time::Duration::from_secs(30));
    let mut client = Client::keeping(place.address);
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(problem) = send(&mut client, case) {
            wrong.push(format!("{}: {problem}", case.name));
        }
    }
    let (count, failed) = (cases.len(), wrong.len());
    assert!(wrong.is_empty(), "{failed} of {count}:\n{}", wrong.join("\n"));
    println!("{count} vectors answered as they should be");
    gateway.stop();
}

fn cases() -> (Vec<Source>, Vec<Case>) {
    let folder = support::repository().join("catalogue");
    let mut files: Vec<_> = std::fs::read_dir(folder.join("vectors"))
        .expect("the vectors are there")
        .map(|file| file.expect("is readable").path())
        .collect();
    files.sort();
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    let mut cases = Vec::new();
    for file in files {
        let slug = file.file_stem().expect("has a name").to_string_lossy().into_owned();
        let Ok(entry) = std::fs::read_to_string(folder.join(format!("{slug}.toml"))) else {
            continue;
        };
        let entry: toml::Table = entry.parse().expect("is TOML");
        let failure_status = entry.get("failure_status").and_then(toml::Value::as_integer);
        let failure_status =
            failure_status.map_or(401, |status| u16::try_from(status).expect("fits"));
        let text = std::fs::read_to_string(&file).expect("is readable");
        let vectors: Vec<Value> = serde_json::from_str(&text).expect("is JSON");
        let tokens = entry["scheme"].as_array().is_some_and(|schemes| {
            schemes
                .iter()
                .any(|scheme| scheme.get("class").and_then(toml::Value::as_str) == Some("jwt"))
        });
        let sendable = |vector: &Value| {
            // Tokens carry an end of their own, which has come.
            can_be_sent(vector) && !(tokens && vector["expect"] == "genuine")
        };
        for vector in vectors.into_iter().filter(sendable) {
            let settings = settings(&slug, &vector, &entry);
            let key = toml::to_string(&settings).expect("can be written");
            let number = sources.len();
            let source = sources.entry(key).or_insert_with(|| {
                let id = format!("{slug}-{number}");
                let mut settings = settings;
                settings.insert("id".to_owned(), id.clone().into());
                Source { id, settings }
            });
            let name = format!("{slug} / {}", vector["name"].as_str().unwrap_or_default());
            cases.push(Case { name, source: source.id.clone(), vector, failure_status });
        }
    }
    (sources.into_values().collect(), cases)
}

/// Whether nothing but the time of the test stands in the way.
fn can_be_sent(vector: &Value) -> bool {
    let refusal = vector["refusal"].as_str().unwrap_or_default();
    let by_clock = ["stale", "from_future", "key_unavailable", "missing_credential"];
    let url = vector["public_url"].as_str().or(vector["url"].as_str()).unwrap_or_default();
    vector.get("entry").is_none_or(Value::is_null)
        && vector.get("fetched").is_none_or(Value::is_null)
        && !by_clock.contains(&refusal)
        && url.starts_with("http")
        // The tests' client reads a body whatever the method; handshakes by HEAD have a test of their own.
        && vector["method"] != "HEAD"
        // Methods beyond those that are let in here are for handshakes only.
        && (METHODS.iter().any(|method| vector["method"] == *method)
            || vector["handshake"].is_object())
}

fn settings(slug: &str, vector: &Value, entry: &toml::Table) -> toml::Table {
    let mut settings = toml::Table::new();
    let url = vector["public_url"].as_str().or(vector["url"].as_str()).unwrap_or_default();
    let url = url.split('?').next().unwrap_or(url);
    settings.insert("provider".to_owned(), slug.into());
    settings.insert("public_url".to_owned(), url.into());
    settings.insert("tolerance".to_owned(), "876000h".into());
    settings.insert("methods".to_owned(), toml_of(&json!(METHODS)));
    for (theirs, ours) in [("secrets", "secrets"), ("public_keys", "public_keys")] {
        if vector[theirs].as_array().is_some_and(|list| !list.is_empty()) {
            settings.insert(ours.to_owned(), toml_of(&vector[theirs]));
        }
    }
    // The vectors give parameters of an entry beside its credentials.
    let parameters = entry.get("parameters").and_then(toml::Value::as_table);
    let named = vector["credentials"].as_object().into_iter().flatten();
    let (params, credentials): (Vec<_>, Vec<_>) =
        named.partition(|(name, _)| parameters.is_some_and(|table| table.contains_key(*name)));
    for (key, list) in [("params", params), ("credentials", credentials)] {
        if !list.is_empty() {
            let table = list.into_iter().map(|(name, value)| (name.clone(), toml_of(value)));
            settings.insert(key.to_owned(), toml::Value::Table(table.collect()));
        }
    }
    settings
}

fn toml_of(value: &Value) -> toml::Value {
    toml::Value::try_from(value).expect("has no null")
}

fn send(client: &mut Client, case: &Case) -> Result<(), String> {
    let vector = &case.vector;
    let text = |name: &str| vector[name].as_str().unwrap_or_default();
    let body = base64::engine::general_purpose::STANDARD
        .decode(text("body_base64"))
        .map_err(|error| error.to_string())?;
    let mut headers: Vec<(&str, &str)> = Vec::new();
    for (name, value) in vector["headers"].as_object().into_iter().flatten() {
        // The connection's own headers are the client's business.
        if !["host", "content-length", "connection"].contains(&name.to_lowercase().as_str()) {
            headers.push((name, value.as_str().unwrap_or_default()));
        }
    }
    let query = text("url").split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
    let path = format!("/in/{}{query}", case.source);
    let answer = client
        .send(text("method"), &path, &headers, &body)
        .map_err(|error| format!("no answer: {error}"))?;
    let shown = || format!("{} {}", answer.status, answer.text());
    let handshake = &vector["handshake"];
    if let Some(status) = handshake["status"].as_u64() {
        let wanted = handshake["body"].as_str().unwrap_or_default();
        let right = u64::from(answer.status) == status && answer.text() == wanted;
        return right.then_some(()).ok_or_else(|| format!("{} instead of {handshake}", shown()));
    }
    let right = match text("expect") {
        "genuine" => answer.is_success(),
        _ => answer.status == case.failure_status,
    };
    right.then_some(()).ok_or_else(|| format!("{} for {}", shown(), text("expect")))
}
