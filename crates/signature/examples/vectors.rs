//! Runs vector files against entries from files: `cargo run -p becket-signature --example vectors -- stripe …`.
//!
//! Reads `catalogue/SLUG.toml` and `catalogue/vectors/SLUG.json` from the working directory, so that an entry can
//! be worked on without building anything again. Without a slug it looks at every entry that is there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use base64::Engine;
use becket_signature::{Credentials, Entry, RequestView, Verdict, Verifier, VerifierOptions};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let slugs = if given.is_empty() { all() } else { given };
    let (mut wrong, mut right) = (0, 0);
    for slug in slugs {
        let problems = match entry(&slug) {
            Ok(entry) => run(&slug, &Arc::new(entry), &mut right),
            Err(problem) => vec![problem],
        };
        for problem in problems {
            wrong += 1;
            println!("{slug}: {problem}");
        }
    }
    println!("{right} right, {wrong} wrong");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all() -> Vec<String> {
    let folder = std::fs::read_dir("catalogue").into_iter().flatten().flatten();
    let mut slugs: Vec<String> = folder
        .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".toml")?.to_owned()))
        .collect();
    slugs.sort();
    slugs
}

fn entry(slug: &str) -> Result<Entry, String> {
    let text = std::fs::read_to_string(Path::new("catalogue").join(format!("{slug}.toml")))
        .map_err(|error| error.to_string())?;
    Entry::from_toml(&text).map_err(|error| error.to_string())
}

fn run(slug: &str, entry: &Arc<Entry>, right: &mut usize) -> Vec<String> {
    let file = Path::new("catalogue/vectors").join(format!("{slug}.json"));
    let Ok(text) = std::fs::read_to_string(file) else {
        return Vec::new();
    };
    let list: Vec<Value> = match serde_json::from_str(&text) {
        Ok(list) => list,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems = Vec::new();
    for vector in &list {
        match judge(entry, vector) {
            Ok(()) => *right += 1,
            Err(problem) => problems.push(format!("{}: {problem}", text_of(vector, "name"))),
        }
    }
    problems
}

fn text_of<'v>(vector: &'v Value, name: &str) -> &'v str {
    vector[name].as_str().unwrap_or_default()
}

fn texts(vector: &Value, name: &str) -> Vec<String> {
    let list = vector[name].as_array().into_iter().flatten();
    list.filter_map(|value| Some(value.as_str()?.to_owned())).collect()
}

fn judge(entry: &Arc<Entry>, vector: &Value) -> Result<(), String> {
    let entry = match vector["entry"].as_str() {
        Some(text) => Arc::new(Entry::from_toml(text).map_err(|error| error.to_string())?),
        None => Arc::clone(entry),
    };
    let named: BTreeMap<String, String> = vector["credentials"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let credentials =
        Credentials::new(texts(vector, "secrets"), texts(vector, "public_keys"), named);
    let options = VerifierOptions {
        public_url: vector["public_url"].as_str().map(str::to_owned),
        ..VerifierOptions::default()
    };
    let verifier =
        Verifier::new(entry, &credentials, &options).map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    for (name, value) in vector["headers"].as_object().into_iter().flatten() {
        let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no header name"))?;
        let value = HeaderValue::from_bytes(value.as_str().unwrap_or_default().as_bytes())
            .map_err(|_| "a header's value cannot be sent".to_owned())?;
        headers.insert(name, value);
    }
    let body = base64::engine::general_purpose::STANDARD
        .decode(text_of(vector, "body_base64"))
        .map_err(|error| error.to_string())?;
    let request = RequestView {
        method: text_of(vector, "method"),
        url: text_of(vector, "url"),
        headers: &headers,
        body: &body,
    };
    let now_s = vector["verify_at"].as_i64().unwrap_or_default();
    let verdict = verifier.verify(&request, now_s);
    let wanted = match text_of(vector, "expect") {
        "genuine" => "genuine",
        _ => text_of(vector, "refusal"),
    };
    if verdict.code() != wanted {
        let sentence = verifier.explain(&request, now_s).sentence;
        return Err(format!("{} instead of {wanted} ({sentence})", verdict.code()));
    }
    if let (Some(index), Verdict::Genuine(genuine)) = (vector["secret_index"].as_u64(), &verdict)
        && genuine.secret_index.map(|index| index as u64) != Some(index)
    {
        return Err(format!("key {:?} instead of {index}", genuine.secret_index));
    }
    facts(&verifier, &request, &vector["facts"])?;
    handshake(&verifier, &request, now_s, vector.get("handshake"))
}

fn facts(verifier: &Verifier, request: &RequestView<'_>, wanted: &Value) -> Result<(), String> {
    let found = verifier.facts(request);
    for (name, found) in [("event_type", found.event_type), ("delivery_id", found.delivery_id)] {
        if wanted.get(name).is_some() && wanted[name].as_str() != found.as_deref() {
            return Err(format!("{name} is {found:?}, not {}", wanted[name]));
        }
    }
    Ok(())
}

fn handshake(
    verifier: &Verifier,
    request: &RequestView<'_>,
    now_s: i64,
    wanted: Option<&Value>,
) -> Result<(), String> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let answer = verifier.handshake(request, now_s);
    let found = answer.as_ref().map(|answer| {
        (u64::from(answer.status), String::from_utf8_lossy(&answer.body).into_owned())
    });
    let expected =
        wanted["status"].as_u64().map(|status| (status, text_of(wanted, "body").to_owned()));
    let captured = answer.and_then(|answer| answer.captured.map(|captured| captured.value));
    if found != expected || captured.as_deref() != wanted["captured"].as_str() {
        return Err(format!("the handshake's answer is {found:?}, not {expected:?}"));
    }
    Ok(())
}
