//! `becket listen` with the real binary: nothing is lost when it, or the gateway, is killed; filters,
//! large bodies, slow handlers and absent ones; a gateway of one's own; and its end.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::gateway::Place;
use support::http::Client;
use support::listener::{LONG, Listener, api, numbered, place, send};
use support::sink::Sink;
use support::wait_until;

/// The numbers that the handler got, each with how often.
fn received(sink: &Sink) -> BTreeMap<u64, usize> {
    let mut found = BTreeMap::new();
    for delivery in sink.deliveries() {
        let body: Value = serde_json::from_slice(&delivery.body).expect("it is JSON");
        *found.entry(body["n"].as_u64().expect("it has a number")).or_default() += 1;
    }
    found
}

/// What was delivered for the first time, and what was called a repeat.
fn told(lines: &[Value]) -> (Vec<String>, usize) {
    let deliveries = lines.iter().filter(|line| line["kind"] == "delivery");
    let (repeats, fresh): (Vec<&Value>, Vec<&Value>) =
        deliveries.partition(|line| line["repeat"] == true);
    let ids = fresh.iter().map(|line| line["eventId"].as_str().unwrap_or_default().to_owned());
    (ids.collect(), repeats.len())
}

#[test]
fn events_reach_the_handler_as_they_came_and_its_answers_are_recorded() {
    let place = place();
    let _gateway = place.start();
    let sink = Sink::start(|delivery| if delivery.body.contains(&b'7') { 500 } else { 204 });
    let to = sink.url("/webhooks");
    let listener =
        Listener::start(&place, &["--forward-to", &to, "--source", "open", "--name", "ann"]);
    listener.wait_connected();
    let mut client = Client::keeping(place.address);
    let started = Instant::now();
    send(&mut client, "open", &numbered(1));
    let first = listener.wait_deliveries(1);
    // At once: nothing that looks from time to time is waited for.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!((&first[0]["status"], &first[0]["repeat"]), (&json!(204), &json!(false)));
    assert_eq!(first[0]["eventType"], "order.paid");
    send(&mut client, "other", &numbered(2));
    send(&mut client, "open", &numbered(7));
    let all = listener.wait_deliveries(2);
    assert_eq!(all[1]["status"], 500, "of `other` nothing is listened to: {all:#?}");
    let got = &sink.deliveries()[0];
    assert_eq!((&got.path[..], &got.body[..]), ("/webhooks", &numbered(1)[..]));
    assert_eq!(got.header("content-type"), "application/json");
    assert!(got.header("webhook-signature").starts_with("v1,"));
    assert_eq!(got.header("webhook-id"), first[0]["eventId"].as_str().unwrap_or_default());
    // The gateway's own log has it.
    let path =
        format!("/api/v1/becket/attempt?event={}", all[1]["eventId"].as_str().unwrap_or_default());
    let page = wait_for(&place, &path, |page| !page["data"].as_array().is_none_or(Vec::is_empty));
    let attempt = &page["data"][0];
    assert_eq!(attempt["status"], 500, "{attempt:#}");
    let event = api(
        &place,
        "GET",
        &format!("/api/v1/becket/event/{}", all[1]["eventId"].as_str().unwrap_or_default()),
        &Value::Null,
    );
    assert_eq!(event["deliveries"][0]["state"], "failed", "not tried again by itself");
    // Replayed by hand it comes again, as a repeat.
    let path = format!("/api/v1/becket/event/{}/replay", event["id"].as_str().unwrap_or_default());
    api(&place, "POST", &path, &json!({}));
    assert_eq!(listener.wait_deliveries(3)[2]["repeat"], true);
    assert_eq!(listener.stop(), 0);
}

/// Asks until the answer is as it should be.
fn wait_for(place: &Place, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut page = Value::Null;
    wait_until(LONG, || {
        page = api(place, "GET", path, &Value::Null);
        holds(&page)
    });
    assert!(holds(&page), "{page:#}");
    page
}

/// Sends numbered events at a steady pace until all are sent.
fn sender(place: &Place, count: usize, survives: bool) -> std::thread::JoinHandle<()> {
    let address = place.address;
    std::thread::spawn(move || {
        let mut client = Client::keeping(address);
        for at in 0..count {
            loop {
                let sent = client.send(
                    "POST",
                    "/in/open",
                    &[("content-type", "application/json")],
                    &numbered(at),
                );
                match sent {
                    Ok(answer) if answer.is_success() => break,
                    _ if survives => std::thread::sleep(Duration::from_millis(50)),
                    other => panic!("{other:?}"),
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    })
}

#[test]
fn a_listener_that_is_killed_loses_nothing_and_says_what_repeats() {
    const COUNT: usize = 300;
    let place = place();
    let _gateway = place.start();
    let sink = Sink::start(|_| {
        std::thread::sleep(Duration::from_millis(10));
        200
    });
    let to = sink.url("/");
    let arguments = ["--forward-to", to.as_str(), "--source", "open", "--name", "ann@laptop"];
    let first = Listener::start(&place, &arguments);
    first.wait_connected();
    let sending = sender(&place, COUNT, false);
    assert!(wait_until(LONG, || sink.count() >= 60));
    let mut lines = first.kill();
    assert!(wait_until(LONG, || {
        let listed = api(&place, "GET", "/api/v1/becket/listener", &Value::Null);
        listed["data"][0]["connected"] == false
    }));
    std::thread::sleep(Duration::from_millis(300));
    let second = Listener::start(&place, &arguments);
    sending.join().expect("all is sent");
    assert!(wait_until(LONG, || received(&sink).len() == COUNT), "{}", received(&sink).len());
    let settled = wait_until(LONG, || {
        api(&place, "GET", "/api/v1/becket/stats", &Value::Null)["deliveriesPending"] == 0
    });
    assert!(settled, "something waits for ever");
    let again = second.said();
    let (fresh, repeats) = told(&again);
    // What the handler got twice was called a repeat the second time.
    let twice = received(&sink).values().filter(|times| **times > 1).count();
    assert!(repeats >= twice, "{twice} came twice, {repeats} were called so");
    assert!(repeats <= 20, "only what was under way: {repeats}");
    let late: Vec<&Value> = again.iter().filter(|line| line["late"] == true).collect();
    assert!(!late.is_empty(), "what waited is called late");
    // What waited came in order: their numbers are in the order of their moments.
    let moments: Vec<&str> = late
        .iter()
        .filter(|line| line["repeat"] == false)
        .filter_map(|line| line["receivedAt"].as_str())
        .collect();
    assert!(moments.is_sorted(), "{moments:#?}");
    lines.extend(again.iter().cloned());
    let mut ids = fresh;
    ids.extend(told(&lines).0);
    ids.sort();
    ids.dedup();
    println!("{COUNT} events: {} late, {repeats} repeats, {twice} came twice", late.len());
}

#[test]
fn a_gateway_that_is_killed_loses_nothing() {
    const COUNT: usize = 300;
    let place = place();
    let gateway = place.start();
    let sink = Sink::start(|_| 200);
    let to = sink.url("/");
    let arguments = ["--forward-to", to.as_str(), "--source", "open", "--name", "ann"];
    let listener = Listener::start(&place, &arguments);
    listener.wait_connected();
    let sending = sender(&place, COUNT, true);
    assert!(wait_until(LONG, || sink.count() >= 80));
    gateway.kill();
    assert!(wait_until(LONG, || !listener.of_kind("disconnected").is_empty()));
    let gateway = place.start();
    sending.join().expect("all is sent");
    assert!(wait_until(LONG, || received(&sink).len() == COUNT), "{}", received(&sink).len());
    let settled = || listener.of_kind("delivery").len() >= sink.count();
    assert!(wait_until(LONG, settled));
    // The sender repeats what was not acknowledged, as an event of its own: dedupe is off here.
    let mut seen = BTreeSet::new();
    for line in listener.of_kind("delivery") {
        let id = line["eventId"].as_str().unwrap_or_default().to_owned();
        let again = !seen.insert(id.clone());
        assert!(!again || line["repeat"] == true, "{id} came again silently: {line}");
    }
    drop(gateway);
}

#[test]
fn two_listeners_have_filters_of_their_own() {
    let place = place();
    let _gateway = place.start();
    let (for_ann, for_ben) = (Sink::start(|_| 200), Sink::start(|_| 200));
    let billing = for_ben.url("/billing");
    let route = format!("invoice.*={billing}");
    let (ann, ben) = (for_ann.url("/"), for_ben.url("/all"));
    let ann = Listener::start(&place, &["--forward-to", &ann, "--events", "push", "--name", "ann"]);
    let filter = r#"{"body": {"amount": {"$gt": 10}}}"#;
    let ben = [
        "--forward-to",
        ben.as_str(),
        "--filter",
        filter,
        "--route",
        route.as_str(),
        "--name",
        "ben",
    ];
    let ben = Listener::start(&place, &ben);
    ann.wait_connected();
    ben.wait_connected();
    let mut client = Client::keeping(place.address);
    for (event_type, amount) in
        [("push", 5), ("push", 50), ("invoice.paid", 20), ("invoice.paid", 2)]
    {
        let body = json!({ "type": event_type, "amount": amount }).to_string();
        send(&mut client, "open", body.as_bytes());
    }
    assert_eq!(ann.wait_deliveries(2).len(), 2);
    ben.wait_deliveries(2);
    std::thread::sleep(Duration::from_millis(300));
    let mut paths: Vec<String> = for_ben.deliveries().iter().map(|one| one.path.clone()).collect();
    paths.sort();
    assert_eq!(paths, ["/all", "/billing"]);
    assert_eq!(for_ann.count(), 2);
    // Another one of the same name takes over, and the first is told.
    let to = for_ann.url("/");
    let next = Listener::start(&place, &["--forward-to", &to, "--name", "ann"]);
    next.wait_connected();
    let mut ann = ann;
    assert_eq!(ann.wait_end(), 1);
    let log = std::fs::read_to_string(place.folder.join("listen.log")).unwrap_or_default();
    assert!(log.contains("took over the name `ann`"), "{log}");
}

#[test]
fn large_bodies_come_byte_for_byte() {
    let place = place();
    let _gateway = place.start();
    let sink = Sink::start(|_| 200);
    let to = sink.url("/w");
    let listener = Listener::start(&place, &["--forward-to", &to, "--keep-path"]);
    listener.wait_connected();
    let mut client = Client::keeping(place.address);
    let mut expected = Vec::new();
    for size in [0, 1, 64 * 1024, 64 * 1024 + 1, 10 * 1024 * 1024] {
        // Bytes of every kind, not text.
        let body: Vec<u8> = (0..size).map(|at| (at * 31 + at / 257) as u8).collect();
        let headers = [("content-type", "application/octet-stream")];
        let answer = client.send("POST", "/in/open/extra?size=x", &headers, &body);
        assert!(answer.expect("the gateway answers").is_success());
        expected.push(body);
    }
    listener.wait_deliveries(expected.len());
    let mut got = sink.deliveries();
    got.sort_by_key(|delivery| delivery.body.len());
    for (delivery, body) in got.iter().zip(&expected) {
        assert!(
            delivery.body == *body,
            "{} bytes came instead of {}",
            delivery.body.len(),
            body.len()
        );
        assert_eq!(delivery.path, "/w/extra?size=x");
        assert_eq!(delivery.header("content-type"), "application/octet-stream");
    }
    assert_eq!(got.len(), expected.len());
}

#[test]
fn a_slow_handler_is_waited_for_and_an_absent_one_is_named() {
    let place = place();
    let _gateway = place.start();
    let sink = Sink::start(|delivery| {
        if delivery.body.contains(&b'1') {
            std::thread::sleep(Duration::from_secs(3));
        }
        200
    });
    let to = sink.url("/");
    let listener =
        Listener::start(&place, &["--forward-to", &to, "--name", "slow", "--timeout", "2s"]);
    listener.wait_connected();
    let mut client = Client::keeping(place.address);
    send(&mut client, "open", &numbered(1));
    send(&mut client, "open", &numbered(2));
    let all = listener.wait_deliveries(2);
    assert_eq!(all[0]["status"], 200, "a slow one holds up nobody: {all:#?}");
    assert_eq!(all[1]["error"], "timeout", "{all:#?}");
    drop(sink);
    let absent = format!("http://127.0.0.1:{}/", support::free_port());
    let down = Listener::start(&place, &["--forward-to", &absent, "--name", "down"]);
    down.wait_connected();
    send(&mut client, "other", &numbered(3));
    let line = down.wait_deliveries(1)[0].clone();
    assert_eq!(line["error"], "connect_refused", "{line}");
    assert!(line["message"].as_str().is_some_and(|words| words.contains(&absent)), "{line}");
    let id = line["eventId"].as_str().unwrap_or_default();
    let path = format!("/api/v1/becket/attempt?event={id}");
    wait_for(&place, &path, |page| page.to_string().contains("connect_refused"));
}

#[test]
fn what_nobody_comes_for_is_removed() {
    let place = place();
    let gateway = place.start();
    let sink = Sink::start(|_| 200);
    let to = sink.url("/");
    let listener =
        Listener::start(&place, &["--forward-to", &to, "--name", "brief", "--keep", "5s"]);
    listener.wait_connected();
    let mut client = Client::keeping(place.address);
    send(&mut client, "open", &numbered(1));
    listener.wait_deliveries(1);
    listener.kill();
    send(&mut client, "open", &numbered(2));
    let listed = |place: &Place| api(place, "GET", "/api/v1/becket/listener", &Value::Null);
    assert_eq!(listed(&place)["data"][0]["name"], "brief");
    assert!(wait_until(LONG, || listed(&place)["data"] == json!([])), "it is kept for ever");
    // What waited for it is no longer pending, so that it pins nothing.
    let pending =
        || api(&place, "GET", "/api/v1/becket/stats", &Value::Null)["deliveriesPending"].clone();
    assert!(wait_until(LONG, || pending() == 0), "{}", pending());
    // A new one of the name begins afresh, also after a restart.
    drop(gateway);
    let _gateway = place.start();
    let listener =
        Listener::start(&place, &["--forward-to", &to, "--name", "brief", "--ephemeral"]);
    listener.wait_connected();
    send(&mut Client::closing(place.address), "open", &numbered(3));
    let all = listener.wait_deliveries(1);
    assert_eq!((all.len(), &all[0]["late"]), (1, &json!(false)));
    assert_eq!(listener.stop(), 0);
    assert_eq!(listed(&place)["data"], json!([]), "removed at the end");
}
