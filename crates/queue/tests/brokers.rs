//! Publishing to the real brokers: what arrives, what is refused, and what a restart costs.

#[path = "../../becket/tests/support/brokers.rs"]
#[allow(dead_code, reason = "the drivers of the gateway use the rest")]
mod brokers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use becket_egress::action::{Action as _, ActionRequest};
use becket_egress::{Acted, AttemptError, AttemptOutcome};
use becket_queue::{QueueAction, QueueError, QueuePlan, QueueSettings};
use brokers::{Nats, Rabbit, Redis, from_base64};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::json;

fn settings(url: &str, subject: &str) -> QueueSettings {
    QueueSettings {
        url: url.to_owned(),
        subject: subject.to_owned(),
        exchange: None,
        max_length: None,
        root_certificate: None,
    }
}

fn action(settings: &QueueSettings) -> Arc<QueueAction> {
    let plan = QueuePlan::new(settings).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(QueueAction::new(plan).unwrap_or_else(|error| panic!("{error}")))
}

const BODY: &[u8] = b"{ \"id\": 1 }\n\xff\x00";

fn request(id: &str, event_type: &str) -> ActionRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-github-event", HeaderValue::from_static("push"));
    headers.insert("webhook-id", HeaderValue::from_str(id).expect("a header"));
    headers.insert("host", HeaderValue::from_static("example.com"));
    ActionRequest {
        event_id: id.to_owned(),
        event_type: Some(event_type.to_owned()),
        source: "github".to_owned(),
        endpoint: "ep_1".to_owned(),
        attempt: 1,
        received_at_ms: 1_767_225_600_123,
        started_at_ms: 1_767_225_600_200,
        method: "POST".to_owned(),
        path: "/in/github".to_owned(),
        headers,
        body: Bytes::from_static(BODY),
        timeout_ms: 5_000,
    }
}

fn act(action: &QueueAction, request: ActionRequest) -> AttemptOutcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(action.act(request))
}

fn assert_done(outcome: &AttemptOutcome, note: &str) {
    assert_eq!(outcome.acted, Some(Acted::Done), "{:?}: {}", outcome.error, outcome.note);
    assert!(outcome.note.contains(note), "{}", outcome.note);
}

fn assert_failed(outcome: &AttemptOutcome, error: AttemptError, note: &str) {
    assert_eq!((outcome.acted, outcome.error), (None, Some(error)), "{}", outcome.note);
    assert!(outcome.note.contains(note), "{}", outcome.note);
}

/// Publishes on several threads while the broker is killed and comes back; each event gets as many
/// attempts as it needs. Answers the ids that were promised.
fn publish_across_a_restart(
    action: &Arc<QueueAction>,
    event_type: &'static str,
    restart: impl FnOnce(),
) -> Vec<String> {
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let action = Arc::clone(action);
            std::thread::spawn(move || {
                let mut promised = Vec::new();
                for number in 0..100 {
                    let id = format!("msg_{thread}_{number}");
                    let started = Instant::now();
                    loop {
                        let outcome = act(&action, request(&id, event_type));
                        if outcome.is_success() {
                            break;
                        }
                        assert!(outcome.acted.is_none(), "given up: {}", outcome.note);
                        // Longer than any of the brokers may take to come back.
                        assert!(started.elapsed() < Duration::from_secs(150), "{}", outcome.note);
                    }
                    promised.push(id);
                    std::thread::sleep(Duration::from_millis(10));
                }
                promised
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    restart();
    threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
}

fn assert_all(promised: &[String], mut found: Vec<String>, broker: &str) -> usize {
    let count = found.len();
    found.sort();
    found.dedup();
    let missing: Vec<_> = promised.iter().filter(|id| found.binary_search(id).is_err()).collect();
    assert!(missing.is_empty(), "{broker} lost {missing:?}");
    println!("{broker}: {} promised, {count} kept, {} twice", promised.len(), count - found.len());
    count - found.len()
}

#[test]
fn nats_keeps_what_is_acknowledged() {
    let mut server = Nats::start("");
    let none = || json!({});
    let action =
        action(&settings(&format!("nats://127.0.0.1:{}", server.port), "hooks.{{event.type}}"));
    let refused = act(&action, request("msg_0", "push"));
    assert_failed(&refused, AttemptError::QueueRefused, "No stream keeps the subject `hooks.push`");
    server.add_stream(none(), "HOOKS", &["hooks.>"]);
    assert_done(&act(&action, request("msg_1", "push")), "to the stream `HOOKS` as 1");
    assert_done(&act(&action, request("msg_1", "push")), "had it already");
    let kept = server.messages(none(), "HOOKS");
    assert_eq!(kept.len(), 1);
    let (headers, body) = &kept[0];
    assert_eq!(body, BODY);
    for header in ["Nats-Msg-Id: msg_1", "x-github-event: push", "becket-source: github"] {
        assert!(headers.contains(header), "{headers}");
    }
    assert!(!headers.contains("example.com"), "{headers}");
    for wrong in ["", "a b", "a.*", "a..b"] {
        let outcome = act(&action, request("msg_2", wrong));
        assert_eq!(outcome.acted, Some(Acted::GiveUp), "{wrong}: {}", outcome.note);
    }
    let promised = publish_across_a_restart(&action, "load", || {
        server.kill();
        std::thread::sleep(Duration::from_secs(2));
        server.resume();
    });
    let found = server
        .messages(none(), "HOOKS")
        .iter()
        .filter_map(|(headers, _)| {
            let line = headers.lines().find(|line| line.starts_with("becket-event-id: "))?;
            line.split(' ').nth(1).map(str::to_owned)
        })
        .collect();
    let twice = assert_all(&promised, found, "NATS");
    assert_eq!(twice, 0, "the stream drops repeats by their id");
    server.kill();
    let mut hurried = request("msg_9", "push");
    hurried.timeout_ms = 500;
    let started = Instant::now();
    assert_failed(&act(&action, hurried), AttemptError::QueueUnreachable, "cannot be reached");
    // Less than an attempt has that is in no hurry.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn nats_asks_for_a_password_or_token() {
    let server = Nats::start("authorization { user: u, password: p }");
    let url = |login: &str| format!("nats://{login}@127.0.0.1:{}", server.port);
    server.add_stream(json!({ "user": "u", "pass": "p" }), "A", &["a"]);
    let done = act(&action(&settings(&url("u:p"), "a")), request("msg_1", "x"));
    assert_done(&done, "to the stream `A`");
    let refused = act(&action(&settings(&url("u:wrong"), "a")), request("msg_1", "x"));
    assert_failed(&refused, AttemptError::QueueRefused, "refused the user");
    assert!(!refused.note.contains("wrong"), "{}", refused.note);
    let server = Nats::start("authorization { token: t0 }");
    let url = format!("nats://t0@127.0.0.1:{}", server.port);
    server.add_stream(json!({ "auth_token": "t0" }), "A", &["a"]);
    assert_done(&act(&action(&settings(&url, "a")), request("msg_1", "x")), "to the stream");
}

#[test]
fn redis_keeps_entries_with_fields() {
    let mut server = Redis::start(&[]);
    let mut limited =
        settings(&format!("redis://127.0.0.1:{}", server.port), "hooks:{{event.source}}");
    limited.max_length = Some(10_000);
    let action = action(&limited);
    assert_done(&act(&action, request("msg_1", "push")), "to the stream `hooks:github` as ");
    let shown = server.cli(&["--json", "-3", "XRANGE", "hooks:github", "-", "+"]);
    for part in ["\"id\",\"msg_1\"", "\"type\",\"push\"", "\"source\",\"github\"", "x-github-event"]
    {
        assert!(shown.replace(' ', "").contains(part), "{shown}");
    }
    server.cli(&["SET", "hooks:taken", "1"]);
    let mut other = request("msg_2", "push");
    other.source = "taken".to_owned();
    let refused = act(&action, other);
    assert_failed(&refused, AttemptError::QueueRefused, "WRONGTYPE");
    server.cli(&["DEL", "hooks:github"]);
    let promised = publish_across_a_restart(&action, "load", || {
        server.kill();
        std::thread::sleep(Duration::from_secs(1));
        server.resume();
    });
    let shown = server.cli(&["XRANGE", "hooks:github", "-", "+"]);
    let lines: Vec<&str> = shown.lines().collect();
    let found =
        lines.windows(2).filter(|pair| pair[0] == "id").map(|pair| pair[1].to_owned()).collect();
    assert_all(&promised, found, "Redis");
}

#[test]
fn redis_asks_for_a_password_and_keeps_to_its_limit() {
    let server = Redis::start(&["--requirepass", "s3cret"]);
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}/2", server.port);
    for login in ["", ":wrong@"] {
        let refused = act(&action(&settings(&url(login), "a")), request("msg_1", "x"));
        assert_eq!(refused.error, Some(AttemptError::QueueRefused), "{}", refused.note);
        assert!(!refused.note.contains("wrong"), "{}", refused.note);
    }
    let mut limited = settings(&url(":s3cret@"), "a");
    limited.max_length = Some(100);
    let action = action(&limited);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        for number in 0..1_000 {
            let outcome = action.act(request(&format!("msg_{number}"), "x")).await;
            assert_done(&outcome, "to the stream `a`");
        }
    });
    let length = server.cli(&["-a", "s3cret", "-n", "2", "XLEN", "a"]);
    let length: usize = length.trim().parse().expect("a number");
    assert!((100..300).contains(&length), "MAXLEN ~ 100 left {length}");
}

#[test]
fn rabbit_confirms_what_it_routed() {
    let mut server = Rabbit::start();
    let url = format!("amqp://guest:guest@127.0.0.1:{}", server.port);
    let action = action(&settings(&url, "{{event.type}}"));
    let refused = act(&action, request("msg_0", "hooks"));
    assert_failed(&refused, AttemptError::QueueRefused, "There is no queue `hooks`");
    server.add_queue("hooks");
    assert_done(&act(&action, request("msg_1", "hooks")), "to the queue `hooks`");
    let kept = server.messages("hooks");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let properties = &kept[0]["properties"];
    assert_eq!(from_base64(kept[0]["payload"].as_str().expect("a payload")), BODY);
    for (name, value) in [
        ("message_id", json!("msg_1")),
        ("delivery_mode", json!(2)),
        ("content_type", json!("application/json")),
        ("type", json!("hooks")),
        ("timestamp", json!(1_767_225_600)),
    ] {
        assert_eq!(properties[name], value, "{name}: {properties}");
    }
    assert_eq!(properties["headers"]["x-github-event"], "push");
    assert_eq!(properties["headers"]["becket-source"], "github");
    // An exchange that is not there closes the channel, not the connection.
    let mut elsewhere = settings(&url, "key");
    elsewhere.exchange = Some("nowhere".to_owned());
    let elsewhere = self::action(&elsewhere);
    for _ in 0..2 {
        let refused = act(&elsewhere, request("msg_2", "x"));
        assert_failed(&refused, AttemptError::QueueRefused, "NOT_FOUND");
    }
    let mut fanout = settings(&url, "key");
    fanout.exchange = Some("amq.fanout".to_owned());
    let refused = act(&self::action(&fanout), request("msg_2", "x"));
    assert_failed(&refused, AttemptError::QueueRefused, "No queue is bound");
    let wrong = format!("amqp://guest:wrong@127.0.0.1:{}/", server.port);
    let refused = act(&self::action(&settings(&wrong, "hooks")), request("msg_2", "x"));
    assert_failed(&refused, AttemptError::QueueRefused, "refused");
    assert!(!refused.note.contains("wrong"), "{}", refused.note);

    let promised = publish_across_a_restart(&action, "hooks", || {
        server.kill();
        server.resume();
        // Its pages are there before it has read its queues again.
        let started = Instant::now();
        loop {
            let (status, queue) = server.http("GET", "/api/queues/%2F/hooks", None);
            if status == 200 {
                break;
            }
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(60), "the queue outlives the broker: {queue}");
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let found = server
        .messages("hooks")
        .iter()
        .filter_map(|message| message["properties"]["message_id"].as_str().map(str::to_owned))
        .collect();
    assert_all(&promised, found, "RabbitMQ");
}

#[test]
fn settings_are_checked_without_a_connection() {
    let error = |settings: &QueueSettings| QueuePlan::new(settings).err().map(|error| error.code());
    assert_eq!(error(&settings("kafka://h", "a")), Some("queue_url"));
    assert_eq!(error(&settings("nats://h", "a {{body")), Some("queue_subject"));
    assert_eq!(error(&settings("nats://h", "a b")), Some("queue_subject"));
    assert_eq!(error(&settings("nats://h", "")), Some("queue_subject"));
    let mut foreign = settings("nats://h", "a");
    foreign.exchange = Some("x".to_owned());
    assert_eq!(error(&foreign), Some("queue_setting"));
    for url in ["amqp://u:secret@h:port", "redis://u:secret@h:port", "nats://u:secret@h:port"] {
        let plan = QueuePlan::new(&settings(url, "a")).expect("the scheme is known");
        let Err(error) = QueueAction::new(plan) else { panic!("{url} was taken") };
        assert!(matches!(error, QueueError::Url(_)) && !error.to_string().contains("secret"));
    }
}
