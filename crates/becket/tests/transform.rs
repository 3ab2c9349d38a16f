//! Transformations with the real binary: of the file and of the API, changed and signed deliveries,
//! failures that are seen and repaired, and the command that tries code out.

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::http::{Answer, Client};
use support::sign::standard_holds;
use support::sink::{Delivery, Sink};
use support::wait_until;

const TOKEN: &str = "the-token-of-every-source-here";
const LIMIT: Duration = Duration::from_secs(30);
const LOCAL: &str = "[egress]\nallow_networks = [\"127.0.0.0/8\"]\n";

/// Calls the API with a body.
fn call(place: &Place, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = body.to_string();
    Client::closing(place.address).send(method, path, &headers, body.as_bytes()).expect("an answer")
}

fn done(place: &Place, method: &str, path: &str, body: &Value) -> Value {
    let answer = call(place, method, path, body);
    assert!(answer.is_success(), "{method} {path}: {}\n{}", answer.text(), place.log_tail());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

fn start(place: &Place, rest: &str) {
    place.configure("", &place.data(), "", rest);
}

/// The n-th delivery that arrives.
fn arrived(place: &Place, sink: &Sink, count: usize) -> Delivery {
    assert!(wait_until(LIMIT, || sink.count() >= count), "{}", place.log_tail());
    sink.deliveries()[count - 1].clone()
}

/// The attempts at an event once one of them has this code or status, with their details.
fn attempts(gateway: &Gateway<'_>, event: &str, last: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut all = Vec::new();
    let came = wait_until(LIMIT, || {
        all = gateway.api_list(&format!("/api/v1/becket/attempt?event={event}"));
        all.sort_by_key(|attempt| attempt["number"].as_u64());
        all.last().is_some_and(&last)
    });
    assert!(came, "{all:#?}");
    let id = |attempt: &Value| attempt["id"].as_str().expect("an id").to_owned();
    let path = |attempt: &Value| format!("/api/v1/becket/attempt/{}", id(attempt));
    all.iter().map(|attempt| gateway.api("GET", &path(attempt))).collect()
}

#[test]
fn a_transformation_of_the_api_changes_and_signs_and_fails_and_is_repaired() {
    let (place, sink) = (Place::new(), Sink::start(|_| 200));
    start(&place, LOCAL);
    let gateway = place.start();
    done(&place, "POST", "/api/v1/app", &json!({ "name": "Shop", "uid": "shop" }));
    let endpoint = json!({ "uid": "hook", "url": sink.url("/hook") });
    done(&place, "POST", "/api/v1/app/shop/endpoint", &endpoint);
    let secret = done(&place, "GET", "/api/v1/app/shop/endpoint/hook/secret", &Value::Null);
    let secret = secret["key"].as_str().expect("a secret").to_owned();
    let path = "/api/v1/app/shop/endpoint/hook/transformation";
    let post = |payload: Value| {
        let message = json!({ "eventType": "order.paid", "payload": payload });
        let posted = done(&place, "POST", "/api/v1/app/shop/msg", &message);
        posted["id"].as_str().expect("an id").to_owned()
    };

    // Code that cannot be loaded is refused, with its line, and changes nothing.
    let wrong =
        json!({ "code": "function handler(webhook) {\n  retrun webhook }", "enabled": true });
    let refused = call(&place, "PATCH", path, &wrong);
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("line 2: SyntaxError"), "{}", refused.text());

    let code = "function handler(webhook) {
        console.log('type', webhook.eventType, variables.SHOP);
        webhook.payload = { text: webhook.payload.amount + ' from ' + webhook.variables.SHOP };
        webhook.headers['x-made'] = 'yes';
        webhook.method = 'PUT';
        webhook.url = webhook.url + '/more';
        return webhook;
    }";
    let good = json!({ "code": code, "enabled": true, "variables": { "SHOP": "Bee" } });
    done(&place, "PATCH", path, &good);
    let shown = done(&place, "GET", path, &Value::Null);
    assert_eq!((&shown["enabled"], &shown["variables"]["SHOP"]), (&json!(true), &json!("Bee")));

    let event = post(json!({ "amount": 3 }));
    let delivery = arrived(&place, &sink, 1);
    assert_eq!(delivery.body, b"{\"text\":\"3 from Bee\"}");
    assert_eq!((delivery.path.as_str(), delivery.header("x-made").as_str()), ("/hook/more", "yes"));
    assert!(standard_holds(&secret, |name| delivery.header(name), &delivery.body));
    let made = attempts(&gateway, &event, |attempt| attempt["status"] == 200);
    let detail = &made[0]["detail"];
    assert_eq!(detail["method"], "PUT");
    assert_eq!(detail["url"], json!(sink.url("/hook/more")));
    assert_eq!(detail["transformed"]["log"], "type order.paid Bee\n");
    assert_eq!(detail["transformed"]["body"]["text"], "{\"text\":\"3 from Bee\"}");
    let curl = made[0]["curl"].as_str().expect("a line");
    assert!(curl.contains("--request PUT") && curl.contains("3 from Bee"), "{curl}");

    // A failure is seen, and nothing is lost: repaired, the retry delivers.
    let fails = json!({ "code": "function handler(w) {\n\n  return w.payload.missing.text }" });
    done(&place, "PATCH", path, &fails);
    let event = post(json!({ "amount": 4 }));
    let failed = attempts(&gateway, &event, |attempt| attempt["errorCode"] == "transform_failed");
    let note = failed[0]["detail"]["note"].as_str().expect("a note");
    assert!(note.starts_with("line 3: TypeError"), "{note}");
    assert_eq!(failed[0]["next"]["step"], "retry", "{:#}", failed[0]);
    done(&place, "PATCH", path, &json!({ "code": "function handler(w) { return w }" }));
    let delivery = arrived(&place, &sink, 2);
    assert_eq!(delivery.body, b"{\"amount\":4}");
    assert!(standard_holds(&secret, |name| delivery.header(name), &delivery.body));

    // Cancelled is done.
    let cancels = json!({ "code": "function handler(w) { w.cancel = true; return w }" });
    done(&place, "PATCH", path, &cancels);
    let event = post(json!({ "amount": 5 }));
    let made = attempts(&gateway, &event, |attempt| attempt["succeeded"] == true);
    assert_eq!(made[0]["detail"]["note"], "cancelled by the transformation");
    assert_eq!(made[0]["curl"], Value::Null);

    // It survives a restart, and an endpoint without it gets what was posted.
    assert!(gateway.stop().success());
    let gateway = place.start();
    let event = post(json!({ "amount": 6 }));
    attempts(&gateway, &event, |attempt| attempt["succeeded"] == true);
    done(&place, "PATCH", path, &json!({ "enabled": false }));
    post(json!({ "amount": 7 }));
    assert_eq!(arrived(&place, &sink, 3).body, b"{\"amount\":7}");
    gateway.stop();
}

#[test]
fn a_url_that_the_policy_refuses_is_not_reached() {
    let (place, sink) = (Place::new(), Sink::start(|_| 200));
    start(&place, "[egress]\nallow_networks = [\"127.0.0.1/32\"]\n");
    let gateway = place.start();
    done(&place, "POST", "/api/v1/app", &json!({ "name": "Shop", "uid": "shop" }));
    let endpoint = json!({ "uid": "hook", "url": sink.url("/hook") });
    done(&place, "POST", "/api/v1/app/shop/endpoint", &endpoint);
    let path = "/api/v1/app/shop/endpoint/hook/transformation";
    for (url, code) in [
        ("http://127.0.0.2:1/", "address_refused"),
        ("http://169.254.169.254/latest", "address_refused"),
        ("file:///etc/passwd", "url_refused"),
        ("http://user@example.com/", "url_refused"),
        ("http://127.0.0.1:6379/", "url_refused"),
        ("", "url_refused"),
    ] {
        let code_text = format!("function handler(w) {{ w.url = {}; return w }}", json!(url));
        done(&place, "PATCH", path, &json!({ "code": code_text, "enabled": true }));
        let message = json!({ "eventType": "a.b", "payload": {} });
        let posted = done(&place, "POST", "/api/v1/app/shop/msg", &message);
        let event = posted["id"].as_str().expect("an id");
        let made = attempts(&gateway, event, |attempt| !attempt["errorCode"].is_null());
        let got = made[0]["errorCode"].as_str().expect("a code");
        assert!(got == code || got.ends_with("_refused"), "{url}: {got}");
        assert!(
            made[0]["detail"]["note"].as_str().is_some_and(|note| note.contains("transformation"))
        );
    }
    assert_eq!(sink.count(), 0);
    gateway.stop();
}

fn source(sink: &Sink, transform: &str) -> String {
    format!(
        "[[source]]\nid = \"in\"\nprovider = \"token\"\nsecrets = [\"{TOKEN}\"]\n\
         params = {{ header = \"x-token\" }}\n\
         [[source.endpoint]]\nid = \"app\"\nurl = \"{}\"\n{transform}\n",
        sink.url("/app")
    )
}

fn receive(place: &Place, body: &[u8]) -> String {
    let headers = [("x-token", TOKEN), ("content-type", "text/plain"), ("x-mine", "1")];
    let answer =
        Client::closing(place.address).send("POST", "/in/in", &headers, body).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("becket-event-id").expect("the event's id").to_owned()
}

#[test]
fn a_transformation_of_the_file_follows_the_file() {
    let (place, sink) = (Place::new(), Sink::start(|_| 200));
    let js = place.config().with_file_name("app.js");
    std::fs::write(
        &js,
        "const handler = (w) => { w.headers['x-shop'] = variables.SHOP; return w }",
    )
    .expect("written");
    let transform = "transform = { file = \"app.js\", variables = { SHOP = { env = \"SHOP\" } } }";
    start(&place, &source(&sink, transform));
    let mut command = place.command();
    command.env("SHOP", "from the environment");
    let gateway = Gateway::spawn(&place, command);
    gateway.wait_ready(Duration::from_secs(20));
    receive(&place, b"plain text");
    let delivery = arrived(&place, &sink, 1);
    assert_eq!(delivery.body, b"plain text", "as it came");
    assert_eq!(delivery.header("x-shop"), "from the environment");
    assert_eq!(delivery.header("x-mine"), "1");

    std::fs::write(&js, "function handler(w) { w.payload = w.payload.toUpperCase(); return w }")
        .expect("written");
    let mut count = 1;
    let followed = wait_until(LIMIT, || {
        receive(&place, format!("text {count}").as_bytes());
        count += 1;
        arrived(&place, &sink, count).body.starts_with(b"TEXT")
    });
    assert!(followed, "{}", place.log_tail());
    // Broken code does not come into force.
    std::fs::write(&js, "function handler(w) { return").expect("written");
    assert!(wait_until(LIMIT, || place.log().contains("SyntaxError")), "{}", place.log_tail());
    receive(&place, b"still");
    assert!(wait_until(LIMIT, || sink.deliveries().iter().any(|one| one.body == b"STILL")));
    gateway.stop();
}

fn becket(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
    command.args(arguments).current_dir(folder).env("BECKET_ADMIN_TOKEN", ADMIN_TOKEN);
    command.output().expect("it runs")
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(text).expect("text")
}

#[test]
fn config_check_finds_code_that_cannot_be_loaded() {
    let (place, sink) = (Place::new(), Sink::start(|_| 200));
    for (transform, word) in [
        ("transform = { code = \"function handler(w) { return w }\" }", "ok"),
        ("transform = { code = \"function handler(w) { return\" }", "line 1: SyntaxError"),
        ("transform = { code = \"while (true) {}\" }", "too long"),
        ("transform = { code = \"var x = 1\" }", "no function called handler"),
        ("transform = { file = \"none.js\" }", "cannot be read"),
        ("transform = { file = \"none.js\", code = \"\" }", "cannot be read"),
        ("transform = { variables = { A = \"b\" } }", "needs `file` or `code`"),
    ] {
        start(&place, &source(&sink, transform));
        let output = becket(place.config().parent().expect("a folder"), &["config", "check"]);
        let text = said(&output);
        assert!(text.contains(word), "{transform}: {text}");
        assert_eq!(output.status.code(), Some(i32::from(word != "ok")), "{text}");
    }
}

#[test]
fn code_can_be_tried_out() {
    let (place, sink) = (Place::new(), Sink::start(|_| 200));
    let folder = place.config().parent().expect("a folder").to_owned();
    std::fs::write(
        folder.join("t.js"),
        "function handler(w) { console.log('seen', w.eventType); w.payload.b = variables.B;
           w.headers['x-new'] = 'n'; return w }",
    )
    .expect("written");
    let arguments = ["transform", "test", "t.js", "--body", "{\"a\":1}", "--event-type", "a.b"];
    let output = becket(&folder, &[&arguments[..], &["--variables", "B=2"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        said(&output),
        "method: unchanged\nurl: unchanged\nheaders:\n  + x-new: n\npayload:\n    {\n  -   \"a\": 1\n  \
         +   \"a\": 1,\n  +   \"b\": \"2\"\n    }\nconsole:\n  seen a.b\n"
    );
    let output = becket(&folder, &[&arguments[..], &["--json"]].concat());
    let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&made["ok"], &made["payload"]["a"]), (&json!(true), &json!(1)), "{made:#}");
    std::fs::write(folder.join("bad.js"), "function handler(w) {\n  return w.x.y }")
        .expect("written");
    let output = becket(&folder, &["transform", "test", "bad.js", "--body", "{}"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("failed: line 2: TypeError"), "{}", said(&output));
    let output = becket(&folder, &["transform", "test", "nowhere.js"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));

    // On an event that a gateway has kept.
    start(&place, &source(&sink, ""));
    let gateway = place.start();
    let event = receive(&place, b"{\"a\":\"kept\"}");
    let output = becket(&folder, &["transform", "test", "t.js", "--event", &event, "--json"]);
    let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(made["payload"]["a"], "kept", "{made:#}");
    gateway.stop();
}

#[test]
fn hostile_code_does_not_hold_up_other_endpoints() {
    let (place, sink) = (Place::new(), Sink::start(|_| 200));
    start(&place, LOCAL);
    let gateway = place.start();
    for (app, code) in [
        ("good", "w.payload.ok = true"),
        ("bad1", "for (;;) {}"),
        ("bad2", "let n = 3n; for (;;) n = n * n"),
        ("bad3", "const a = []; for (;;) a.push(new Array(1000).fill(1))"),
        ("bad4", "const t = 'a'.repeat(5e6) + 'b'; for (;;) t.indexOf('a'.repeat(2e6) + 'c')"),
        ("bad5", "return new Proxy(w, { get() { for (;;) {} } })"),
    ] {
        done(&place, "POST", "/api/v1/app", &json!({ "name": app, "uid": app }));
        let endpoint = json!({ "uid": "hook", "url": sink.url(&format!("/{app}")) });
        done(&place, "POST", &format!("/api/v1/app/{app}/endpoint"), &endpoint);
        let code = format!("function handler(w) {{ {code}; return w }}");
        let path = format!("/api/v1/app/{app}/endpoint/hook/transformation");
        done(&place, "PATCH", &path, &json!({ "code": code, "enabled": true }));
    }
    let message = json!({ "eventType": "a.b", "payload": {} });
    let mut took = Vec::new();
    for round in 1..=30 {
        for bad in 1..=5 {
            done(&place, "POST", &format!("/api/v1/app/bad{bad}/msg"), &message);
        }
        let began = Instant::now();
        done(&place, "POST", "/api/v1/app/good/msg", &message);
        arrived(&place, &sink, round);
        took.push(began.elapsed());
    }
    took.sort_unstable();
    // How long the hostile ones took, waiting for their turn included, on the same machine at the same
    // time: whoever had to wait behind them would take as long as they do.
    let mut hostile = Vec::new();
    let made = wait_until(LIMIT, || {
        let all = gateway.api_list("/api/v1/becket/attempt").into_iter();
        let failed = all.filter(|attempt| attempt["succeeded"] == false);
        let duration = |one: Value| one["durationMs"].as_u64().map(Duration::from_millis);
        hostile = failed.filter_map(duration).collect();
        hostile.len() >= 3
    });
    assert!(made, "{hostile:?}");
    hostile.sort_unstable();
    let most = (hostile[hostile.len() / 2] / 2).max(Duration::from_millis(800));
    println!("a good endpoint's delivery beside hostile ones of {hostile:?}: {took:?}");
    assert!(took[24] < most, "{took:?} beside {hostile:?}");
    assert!(sink.deliveries().iter().all(|one| one.body == b"{\"ok\":true}"));
    gateway.stop();
}
