//! Publishing with the real gateway to the real brokers: each is killed under load and comes back, and
//! so is the gateway; what was accepted is in the broker at the end.

#[path = "support/brokers.rs"]
#[allow(dead_code, reason = "other drivers use the rest")]
mod brokers;
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use brokers::{Nats, Rabbit, Redis, from_base64};
use serde_json::{Value, json};
use support::gateway::Place;
use support::load::{self, Load, Plan};
use support::wait_until;

fn source(queue: &str) -> String {
    // Tried for longer than any broker takes to come back on a busy machine (RabbitMQ: up to 90 s).
    format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{}\"]\n\
         [[source.endpoint]]\nid = \"queue\"\ntimeout = \"5s\"\nretry = [{}]\n\
         [source.endpoint.queue]\n{queue}",
        load::SECRET,
        [["\"1s\""; 30].join(", "), ["\"3s\""; 60].join(", ")].join(", "),
    )
}

/// Loads a gateway, kills the broker and the gateway meanwhile, and compares what the gateway promised
/// with what `kept` finds in the broker. Answers how many messages came twice.
fn nothing_is_lost(
    queue: &str,
    kill_and_resume: impl FnOnce(),
    kept: impl Fn() -> Vec<u64>,
) -> usize {
    let place = Place::new();
    place.configure("", &place.data(), "", &source(queue));
    let gateway = place.start();
    let plan = Plan { pause: Duration::from_millis(10), ..Plan::new(place.address, "/in/github") };
    let load = Load::start(&plan, 1, None);
    std::thread::sleep(Duration::from_secs(1));
    kill_and_resume();
    gateway.kill();
    let gateway = place.start();
    std::thread::sleep(Duration::from_secs(1));
    let ledger = load.finish();
    assert!(ledger.acknowledged.len() > 50, "hardly any load: {}", ledger.acknowledged.len());
    let mut found = Vec::new();
    let complete = wait_until(Duration::from_secs(120), || {
        std::thread::sleep(Duration::from_millis(500));
        found = kept();
        let numbers: BTreeSet<&u64> = found.iter().collect();
        ledger.acknowledged.keys().all(|number| numbers.contains(number))
    });
    assert!(complete, "messages are missing:\n{}", place.log_tail());
    let numbers: BTreeSet<&u64> = found.iter().collect();
    let twice = found.len() - numbers.len();
    println!("{} promised, {} kept, {twice} twice", ledger.acknowledged.len(), found.len());
    gateway.stop();
    twice
}

#[test]
fn nats_gets_every_event_once() {
    let server = std::cell::RefCell::new(Nats::start(""));
    server.borrow().add_stream(json!({}), "HOOKS", &["hooks.>"]);
    let queue = format!(
        "url = \"nats://127.0.0.1:{}\"\nsubject = \"hooks.{{{{event.source}}}}.{{{{event.type}}}}\"\n",
        server.borrow().port
    );
    let restart = || {
        server.borrow_mut().kill();
        std::thread::sleep(Duration::from_secs(2));
        server.borrow_mut().resume();
    };
    let kept = || {
        let messages = server.borrow().messages(json!({}), "HOOKS");
        messages.iter().filter_map(|(_, body)| load::number_in(body)).collect()
    };
    let twice = nothing_is_lost(&queue, restart, kept);
    assert_eq!(twice, 0, "the stream drops repeats");
}

#[test]
fn rabbit_gets_every_event() {
    let server = std::cell::RefCell::new(Rabbit::start());
    server.borrow().add_queue("webhooks.github");
    let queue = format!("url = \"amqp://guest:guest@127.0.0.1:{}\"\n", server.borrow().port);
    let restart = || {
        server.borrow_mut().kill();
        server.borrow_mut().resume();
    };
    let kept = || {
        let messages = server.borrow().messages("webhooks.github");
        let body = |message: &Value| from_base64(message["payload"].as_str().unwrap_or_default());
        messages.iter().filter_map(|message| load::number_in(&body(message))).collect()
    };
    nothing_is_lost(&queue, restart, kept);
}

#[test]
fn redis_gets_every_event() {
    let server = std::cell::RefCell::new(Redis::start(&[]));
    let queue = format!("url = \"redis://127.0.0.1:{}\"\n", server.borrow().port);
    let restart = || {
        server.borrow_mut().kill();
        std::thread::sleep(Duration::from_secs(1));
        server.borrow_mut().resume();
    };
    let kept = || {
        let shown = server.borrow().cli(&["XRANGE", "webhooks.github", "-", "+"]);
        let lines: Vec<&str> = shown.lines().collect();
        lines
            .windows(2)
            .filter(|pair| pair[0] == "body")
            .filter_map(|pair| load::number_in(pair[1].as_bytes()))
            .collect()
    };
    nothing_is_lost(&queue, restart, kept);
}
