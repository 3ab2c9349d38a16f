//! Paths into JSON, and into JSON that stands as text in a string, against trees that another parser built.

use std::sync::Arc;

use becket_signature::{Credentials, Entry, RequestView, Verifier, VerifierOptions};
use http::HeaderMap;
use serde_json::Value;

/// The first line is a path, the rest a document: both ways find the same text.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (path, body) = text.split_once('\n').unwrap_or(("a.0", text));
    let mut table = toml::Table::new();
    table.insert("slug".to_owned(), "path".into());
    table.insert("name".to_owned(), "Path".into());
    let mut place = toml::Table::new();
    place.insert("at".to_owned(), format!("json:{path}").into());
    table.insert("event_type".to_owned(), place.into());
    let mut scheme = toml::Table::new();
    scheme.insert("class".to_owned(), "none".into());
    table.insert("scheme".to_owned(), vec![toml::Value::from(scheme)].into());
    // What has braces is a template, and functions and optional places are no plain paths.
    if path.contains(['{', '}', '(', ')', '+', '?', '\'']) {
        return;
    }
    let Ok(entry) = Entry::from_value(table.into()) else {
        return;
    };
    let verifier =
        Verifier::new(Arc::new(entry), &Credentials::default(), &VerifierOptions::default())
            .expect("nothing is needed");
    let headers = HeaderMap::new();
    let url = "https://hooks.example.com/in";
    let request = RequestView { method: "POST", url, headers: &headers, body: body.as_bytes() };
    let found = verifier.facts(&request).event_type;
    let Ok(tree) = serde_json::from_str::<Value>(body) else {
        return;
    };
    let steps = steps(path);
    let direct = walk(&tree, &steps).filter(|value| !value.is_null());
    let wanted = direct.or_else(|| {
        (1..steps.len()).find_map(|length| {
            let Value::String(text) = walk(&tree, &steps[..length])? else {
                return None;
            };
            let inner =
                text.starts_with(['{', '[']).then(|| serde_json::from_str(&text).ok())??;
            walk(&inner, &steps[length..]).filter(|value| !value.is_null())
        })
    });
    match wanted {
        None => assert_eq!(found, None),
        Some(Value::String(text)) => {
            assert_eq!(found.as_deref(), Some(text.as_str()).filter(|text| !text.is_empty()));
        }
        // Anything else keeps the text it came with, which the tree has lost.
        Some(other) => {
            let found = found.expect("a value");
            assert_eq!(serde_json::from_str::<Value>(&found).ok(), Some(other));
        }
    }
}

fn walk(tree: &Value, steps: &[String]) -> Option<Value> {
    let found = steps.iter().try_fold(tree, |here, step| match here {
        Value::Object(members) => members.get(step),
        Value::Array(elements) if step == "*" => elements.first(),
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        _ => None,
    });
    found.cloned()
}

fn steps(path: &str) -> Vec<String> {
    match path.strip_prefix('/') {
        Some(pointer) => {
            pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
        }
        None => path.split('.').map(str::to_owned).collect(),
    }
}
