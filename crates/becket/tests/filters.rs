//! Filters with the running binary: of the file and through the API, told by `becket events show`, and
//! tried with `becket filter test`, offline and with an event that was kept.

mod support;

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::{ADMIN_TOKEN, Place};
use support::http::Client;
use support::sink::Sink;
use support::wait_until;

const LIMIT: Duration = Duration::from_secs(15);
const SECRET: &str = "a-secret-of-this-test";

fn becket(place: &Place, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(arguments)
        .current_dir(&place.folder)
        .output()
        .expect("the command runs")
}

/// Runs `becket filter test`; the exit code and both outputs.
fn test(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let output = becket(place, &[&["filter", "test"], arguments].concat());
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

fn asked(place: &Place, arguments: &[&str]) -> String {
    let url = format!("http://{}", place.address);
    let output = becket(place, &[arguments, &["--url", &url, "--token", ADMIN_TOKEN]].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// Sends a push to the source; answers with the event's id.
fn push(place: &Place, branch: &str, path: &str) {
    let body = json!({ "ref": format!("refs/heads/{branch}"), "commits": [{ "id": "a" }] });
    let body = body.to_string();
    let signature = support::sign::github(SECRET, body.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", branch),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let path = format!("/in/github{path}");
    let mut client = Client::closing(place.address);
    let answer = client.send("POST", &path, &headers, body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn endpoints_of_the_file_get_what_their_filters_pass() {
    let place = Place::new();
    let (all, main, eu) = (Sink::start(|_| 200), Sink::start(|_| 200), Sink::start(|_| 200));
    let endpoints = format!(
        r#"[[source]]
id = "github"
provider = "github"
secrets = ["{SECRET}"]

[[source.endpoint]]
id = "all"
url = "{}"

[[source.endpoint]]
id = "main"
url = "{}"
filter = {{ body = {{ ref = {{ "$in" = ["refs/heads/main", "refs/heads/release"] }} }} }}

[[source.endpoint]]
id = "eu"
url = "{}"
filter = '{{"$or": [{{"path": {{"$startsWith": "/eu"}}}}, {{"query": {{"region": "eu"}}}}]}}'
"#,
        all.url("/"),
        main.url("/"),
        eu.url("/"),
    );
    place.configure("", &place.data(), "", &endpoints);
    let gateway = place.start();
    push(&place, "main", "");
    push(&place, "dev", "/eu/1");
    push(&place, "other", "?region=eu");
    let bodies = |sink: &Sink| -> Vec<String> {
        let all = sink.deliveries().into_iter();
        all.map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect()
    };
    let arrived = || all.count() == 3 && main.count() == 1 && eu.count() == 2;
    assert!(wait_until(LIMIT, arrived), "{}", place.log_tail());
    std::thread::sleep(Duration::from_millis(200));
    assert!(arrived(), "and nothing else: {:?} {:?}", bodies(&main), bodies(&eu));
    assert!(bodies(&main)[0].contains("refs/heads/main"));

    let events = gateway.api_list(support::EVENTS);
    let dev = events
        .iter()
        .find(|event| event["filteredBy"][0]["found"] == "\"refs/heads/dev\"")
        .unwrap_or_else(|| panic!("{events:#?}"));
    let id = dev["id"].as_str().expect("an id");
    assert_eq!(dev["filteredBy"][0]["endpoint"], "main", "{dev:#}");
    let shown = asked(&place, &["events", "show", id]);
    let clause = r#"clause `body.ref` wants $in ["refs/heads/main","refs/heads/release"], found "refs/heads/dev""#;
    assert!(shown.contains(&format!("its filter refused it: {clause}")), "{shown}");
    assert!(!place.log().contains("refs/heads/dev"), "payloads are not logged");

    // The same event, asked with the command.
    let url = format!("http://{}", place.address);
    let online = ["--event", id, "--url", &url, "--token", ADMIN_TOKEN];
    let filter = r#"{"body": {"ref": "refs/heads/dev"}, "path": "/eu/1", "event_type": "push",
        "headers": {"X-GitHub-Delivery": "dev"}}"#;
    let (code, told) = test(&place, &[&["--filter", filter][..], &online].concat());
    assert_eq!((code, told.as_str()), (Some(0), "passes\n"));
    let other = r#"{"body": {"commits": {"id": "b"}}}"#;
    let (code, told) = test(&place, &[&["--filter", other, "--json"][..], &online].concat());
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        (code, &told["passes"], &told["clause"]),
        (Some(1), &json!(false), &json!("body.commits.id"))
    );
    let unknown =
        ["--event", "msg_000000000000000000000000000", "--url", &url, "--token", ADMIN_TOKEN];
    let (code, told) = test(&place, &[&["--filter", other][..], &unknown].concat());
    assert_eq!(code, Some(2), "{told}");

    // Sent there by hand, it goes there.
    asked(&place, &["replay", id, "--endpoint", "github/main"]);
    assert!(wait_until(LIMIT, || main.count() == 2), "{}", place.log_tail());
}

#[test]
fn a_filter_is_tried_without_a_gateway() {
    let place = Place::new();
    let write = |name: &str, text: &str| {
        std::fs::write(place.folder.join(name), text).expect("the folder can be written");
    };
    write("push.json", r#"{"ref": "refs/heads/dev", "size": 3}"#);
    write("filter.toml", "[body.size]\n\"$gt\" = 2\n");
    write("dated.toml", "body.at = 2026-01-31\n");
    let passes = [
        &["--filter", r#"{"body": {"size": {"$gte": 3}}}"#, "--body-file", "push.json"][..],
        &["--filter", "@filter.toml", "--body-file", "push.json"],
        &["--filter", "headers.x-a = '1'", "--header", "X-A: 1"],
        &[
            "--filter",
            r#"{"body": {"a": "x y"}, "query": {"q": ["1", "2"]}}"#,
            "--query",
            "?q=1&q=2",
            "--body",
            "a=x+y",
            "-H",
            "content-type: application/x-www-form-urlencoded",
        ],
        &[
            "--filter",
            r#"{"event_type": {"$startsWith": "invoice."}}"#,
            "--event-type",
            "invoice.paid",
        ],
        &["--filter", r#"{"path": "/eu", "method": "PUT"}"#, "--path", "/eu", "--method", "put"],
    ];
    for arguments in passes {
        assert_eq!(test(&place, arguments), (Some(0), "passes\n".to_owned()), "{arguments:?}");
    }
    let refused = test(
        &place,
        &["--filter", r#"{"body": {"ref": "refs/heads/main"}}"#, "--body-file", "push.json"],
    );
    let told = "refused: clause `body.ref` wants \"refs/heads/main\", found \"refs/heads/dev\"\n";
    assert_eq!(refused, (Some(1), told.to_owned()));
    let wrong: [(&[&str], &str); 6] = [
        (&["--filter", r#"{"body": {"a": {"$startswith": "x"}}}"#], "did you mean $startsWith"),
        (&["--filter", "{"], "the filter is not JSON"),
        (&["--filter", "@gone.json"], "gone.json cannot be read"),
        (&["--filter", "@dated.toml"], "a date without quotes"),
        (&["--filter", "{}", "--body-file", "gone.json"], "gone.json cannot be read"),
        (&["--filter", "{}", "--header", "no colon"], "has no colon"),
    ];
    for (arguments, told) in wrong {
        let (code, text) = test(&place, arguments);
        assert!(code == Some(2) && text.contains(told), "{arguments:?}: {code:?} {text}");
    }
}

#[test]
fn a_broken_filter_is_found_before_anything_starts() {
    let place = Place::new();
    let filter = r#"filter = { body = { ref = { "$startswith" = "refs/" } } }"#;
    let endpoint = format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{SECRET}\"]\n\
         [[source.endpoint]]\nid = \"app\"\nurl = \"http://127.0.0.1:9/\"\n{filter}\n"
    );
    place.configure("", &place.data(), "", &endpoint);
    let output = becket(&place, &["config", "check"]);
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!output.status.success(), "{told}");
    for part in ["body.ref.$startswith", "did you mean $startsWith", "becket.toml:"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
