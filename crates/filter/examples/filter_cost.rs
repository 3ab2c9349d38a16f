//! What filters cost: how many are asked in a second about one event whose body is read once, and how
//! long reading it takes.
//!
//! `cargo run --release -p becket-filter --example filter_cost` prints the figures; with `--json`, as JSON.

use std::hint::black_box;
use std::time::{Duration, Instant};

use becket_filter::{Filter, Request, Subject};
use serde_json::{Value, json};

/// For how long each is repeated.
const MEASURED: Duration = Duration::from_millis(600);

/// A push as GitHub shapes it, with as many commits as fill the size.
fn push(bytes: usize) -> String {
    let person = |name: &str| {
        json!({ "login": name, "id": 583_231, "type": "User", "site_admin": false,
            "url": format!("https://api.example.com/users/{name}") })
    };
    let commit = |at: usize| {
        json!({ "id": format!("{at:040x}"), "message": format!("fix: entry {at} of the list"),
            "timestamp": "2026-01-31T12:00:00Z", "author": { "name": "Ada", "username": "ada" },
            "added": [], "removed": [], "modified": [format!("docs/part-{at}.md"), "README.md"] })
    };
    let mut commits: Vec<Value> = Vec::new();
    loop {
        commits.push(commit(commits.len()));
        let body = json!({
            "ref": "refs/heads/main", "forced": false, "created": false, "deleted": false,
            "repository": { "id": 1_296_269, "full_name": "acme/site", "private": true,
                "topics": ["web", "docs"], "owner": person("acme"), "default_branch": "main" },
            "pusher": { "name": "ada" }, "sender": person("ada"), "commits": commits,
        });
        let text = body.to_string();
        if text.len() >= bytes {
            return text;
        }
    }
}

fn filters() -> Vec<Filter> {
    let documents = [
        json!({ "body": { "ref": "refs/heads/main" } }),
        json!({ "headers": { "x-github-event": "push" }, "body": { "forced": false,
            "repository": { "full_name": { "$in": ["acme/site", "acme/app"] } } } }),
        json!({ "body": { "ref": { "$startsWith": ["refs/heads/release/", "refs/tags/"] } } }),
        json!({ "$or": [{ "body": { "sender": { "login": { "$endsWith": "[bot]" } } } },
            { "body": { "repository": { "topics": "docs" } } }] }),
        json!({ "body": { "commits": { "modified": { "$or": [{ "$startsWith": "src/" }] } } } }),
        json!({ "$not": { "body": { "repository": { "private": true }, "deleted": true } } }),
    ];
    let compiled = documents.into_iter().map(Filter::from_document);
    compiled.map(|filter| filter.expect("it is a filter")).collect()
}

fn repeated(mut once: impl FnMut() -> u64) -> (u64, f64) {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < MEASURED {
        count += once();
    }
    (count, start.elapsed().as_secs_f64())
}

fn main() {
    let filters = filters();
    let mut figures = Vec::new();
    for bytes in [2 * 1024, 64 * 1024] {
        let body = push(bytes);
        let subject = || {
            let request = Request {
                event_type: Some("push"),
                method: "POST",
                path: "/",
                query: "",
                body: body.as_bytes(),
            };
            Subject::new(request, [("x-github-event", b"push".as_slice())])
        };
        let kept = subject();
        let (asked, asked_s) = repeated(|| {
            for filter in &filters {
                let _ = black_box(filter.check(black_box(&kept)));
            }
            filters.len() as u64
        });
        let (events, events_s) = repeated(|| {
            let subject = subject();
            for filter in &filters {
                let _ = black_box(filter.check(black_box(&subject)));
            }
            1
        });
        let size = format!("{} KiB", bytes / 1024);
        let count = filters.len();
        figures.extend([
            json!({ "what": format!("filters asked, {size} that is read"), "unit": "/s",
                "value": asked as f64 / asked_s }),
            json!({ "what": format!("event of {size} read and asked by {count} filters"), "unit": "us",
                "value": events_s * 1e6 / events as f64 }),
        ]);
    }
    if std::env::args().any(|argument| argument == "--json") {
        println!("{}", Value::Array(figures));
        return;
    }
    for figure in figures {
        let value = figure["value"].as_f64().unwrap_or_default();
        println!(
            "{}: {value:.0} {}",
            figure["what"].as_str().unwrap_or_default(),
            figure["unit"].as_str().unwrap_or_default()
        );
    }
}
