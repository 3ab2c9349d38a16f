//! Several gateways on one PostgreSQL: who delivers, who knows what, and what becomes of a node that is
//! killed or stopped.
//!
//! `cluster_crash.rs` does the same under load and by chance; here each thing is looked at alone.

#[path = "nodes/at_once.rs"]
mod at_once;
#[path = "nodes/coming_and_going.rs"]
mod coming_and_going;
#[path = "support/cluster/cut_proxy.rs"]
#[allow(dead_code, reason = "other drivers use the rest")]
mod cut_proxy;
#[path = "nodes/lost_reads.rs"]
mod lost_reads;
#[path = "support/postgres.rs"]
#[allow(dead_code, reason = "other drivers use the rest")]
mod postgres;
mod support;
#[path = "nodes/two_files.rs"]
mod two_files;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postgres::Postgres;
use serde_json::{Value, json};
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::http::{Answer, Client, read_headers, read_line};
use support::listener::{Listener, numbered};
use support::sink::{Delivery, Sink};
use support::wait_until;

const LEASE: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(30);
/// Others learn of a change at once, or within a second or two when they have to look for it; the rest is
/// for a busy machine.
const KNOWN_MAX: Duration = Duration::from_secs(10);
/// 32 bytes in base64.
const MASTER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn server() -> Postgres {
    Postgres::start(&["max_connections=200", "fsync=off"])
}

fn url(server: &Postgres) -> String {
    format!("postgres://postgres:not-shown@127.0.0.1:{}/postgres?sslmode=disable", server.port)
}

/// A node's place with its file.
fn node(server: &Postgres, name: &str, cluster: &str, rest: &str) -> Place {
    let place = Place::new();
    write_file(&place, server, name, cluster, rest);
    place
}

fn write_file(place: &Place, server: &Postgres, name: &str, cluster: &str, rest: &str) {
    let text = format!(
        "[server]\nlisten = \"{}\"\n[store]\nurl = \"{}\"\nconnections = 8\n[cluster]\nname = \"{name}\"\n\
         lease = \"{}s\"\nrenew = \"500ms\"\n{cluster}\n[egress]\nallow_networks = [\"127.0.0.0/8\"]\n{rest}",
        place.address,
        url(server),
        LEASE.as_secs(),
    );
    std::fs::write(place.config(), text).expect("the folder can be written");
}

/// Has a node reach the server through another port.
fn lead_through(place: &Place, server: u16, port: u16) {
    let text = std::fs::read_to_string(place.config()).expect("it was written");
    let text = text.replace(&format!(":{server}/postgres"), &format!(":{port}/postgres"));
    std::fs::write(place.config(), text).expect("the folder can be written");
}

fn start(place: &Place) -> Gateway<'_> {
    let mut command = place.command();
    command.env("BECKET_MASTER_KEY", MASTER_KEY);
    let gateway = Gateway::spawn(place, command);
    gateway.wait_ready(LONG);
    gateway
}

/// A source that takes everything, with so many endpoints.
fn source(id: &str, sink: &Sink, endpoints: usize) -> String {
    let mut text = format!(
        "[[source]]\nid = \"{id}\"\nprovider = \"none\"\ncredentials = {{ event_type = \"json:type\" }}\n\
         dedupe = {{ enabled = false }}\n"
    );
    for number in 0..endpoints {
        let url = sink.url(&format!("/{id}/{number}"));
        text.push_str(&format!("[[source.endpoint]]\nid = \"e{number}\"\nurl = \"{url}\"\n"));
    }
    text
}

fn send(place: &Place, source: &str, number: usize) {
    let headers = [("content-type", "application/json")];
    let path = format!("/in/{source}");
    let answer = Client::closing(place.address).send("POST", &path, &headers, &numbered(number));
    let answer = answer.expect("the gateway answers");
    assert!(answer.is_success(), "{} {}\n{}", answer.status, answer.text(), place.log_tail());
}

fn call_as(place: &Place, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    Client::closing(place.address).send(method, path, &headers, &body).expect("the gateway answers")
}

fn call(place: &Place, method: &str, path: &str, body: &Value) -> Value {
    let answer = call_as(place, ADMIN_TOKEN, method, path, body);
    let log = || place.log_tail();
    assert!(answer.is_success(), "{method} {path}: {} {}\n{}", answer.status, answer.text(), log());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

/// The nodes' shards by name, as a node tells.
fn shards(place: &Place) -> BTreeMap<String, u64> {
    let nodes = call(place, "GET", "/api/v1/becket/nodes", &Value::Null);
    let list = nodes["data"].as_array().expect("a list").clone();
    let one = |node: &Value| {
        (node["name"].as_str().unwrap_or_default().to_owned(), node["shards"].as_u64().unwrap_or(0))
    };
    list.iter().map(one).collect()
}

/// Waits until so many nodes have all shards among them, evenly.
fn wait_even(place: &Place, nodes: u64) {
    let even = || {
        let shards = shards(place);
        let fair = (256 / nodes)..=256_u64.div_ceil(nodes);
        shards.len() as u64 == nodes && shards.values().all(|count| fair.contains(count))
    };
    assert!(wait_until(LONG, even), "{:?}\n{}", shards(place), place.log_tail());
}

/// Waits until no delivery is pending, as a node tells; every attempt at them has been answered then.
fn wait_delivered(place: &Place) {
    let stats = || call(place, "GET", "/api/v1/becket/stats", &Value::Null);
    let none = || stats()["deliveriesPending"] == 0;
    assert!(wait_until(LONG, none), "{}\n{}", stats(), place.log_tail());
}

/// How often each event arrived at each path.
fn arrivals(sink: &Sink) -> BTreeMap<(String, String), usize> {
    let mut arrivals = BTreeMap::new();
    for Delivery { path, body, .. } in sink.deliveries() {
        let body = String::from_utf8_lossy(&body).into_owned();
        *arrivals.entry((path, body)).or_default() += 1;
    }
    arrivals
}

/// Follows the stream of events, as the dashboard does.
struct Follower {
    ids: Arc<Mutex<Vec<String>>>,
}

impl Follower {
    /// Follows from now on: the gateway has answered.
    fn start(place: &Place) -> Self {
        let mut stream = TcpStream::connect(place.address).expect("the gateway listens");
        let request = format!(
            "GET /api/v1/becket/tail HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\
             accept: text/event-stream\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the gateway reads");
        let mut reader = BufReader::new(stream);
        let status = read_line(&mut reader).expect("the gateway answers");
        assert!(status.contains(" 200 "), "{status}");
        read_headers(&mut reader).expect("the answer has a head");
        let ids: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&ids);
        std::thread::spawn(move || {
            for line in reader.lines() {
                let Ok(line) = line else { return };
                let Some(data) = line.strip_prefix("data:") else { continue };
                let event: Value = serde_json::from_str(data.trim()).expect("an event is JSON");
                let id = event["id"].as_str().unwrap_or_default().to_owned();
                kept.lock().expect("no reader panicked").push(id);
            }
        });
        Self { ids }
    }

    fn events(&self) -> Vec<String> {
        self.ids.lock().expect("no reader panicked").clone()
    }
}

#[test]
fn whoever_receives_the_owner_delivers_once() {
    let server = server();
    let sink = Sink::start(|_| 200);
    let sources = source("open", &sink, 8);
    let places = ["a", "b"].map(|name| node(&server, name, "", &sources));
    let _first = start(&places[0]);
    let _second = start(&places[1]);
    wait_even(&places[0], 2);
    for number in 0..40 {
        send(&places[number % 2], "open", number);
    }
    assert!(wait_until(LONG, || sink.count() >= 320), "{}\n{}", sink.count(), places[0].log_tail());
    std::thread::sleep(Duration::from_millis(500));
    let arrivals = arrivals(&sink);
    assert_eq!((arrivals.len(), sink.count()), (320, 320), "each once");
    for place in &places {
        assert!(place.log().contains("attempt.finished"), "both deliver");
        assert!(!place.log().contains("not-shown"), "no password in the log");
    }
    let metrics =
        Client::closing(places[0].address).send("GET", "/metrics", &[], b"").unwrap().text();
    for line in ["becket_nodes 2", "becket_node_shards 128", "becket_database_connections "] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(metrics.contains("becket_database_commit_duration_seconds_count"), "{metrics}");
}

#[test]
fn what_is_made_at_one_node_is_known_at_the_others() {
    let server = server();
    let sink = Sink::start(|_| 200);
    let places = ["a", "b"].map(|name| node(&server, name, "", ""));
    let _first = start(&places[0]);
    let _second = start(&places[1]);
    wait_even(&places[1], 2);
    let app = call(&places[0], "POST", "/api/v1/app", &json!({ "name": "One", "uid": "one" }));
    let app = app["id"].as_str().unwrap();
    // It is in the other's memory, without the endpoint that comes now.
    call(&places[1], "GET", &format!("/api/v1/app/{app}/endpoint"), &Value::Null);
    let message = json!({ "eventType": "a.b", "payload": { "n": 1 } });
    call(&places[1], "POST", &format!("/api/v1/app/{app}/msg"), &message);
    for number in 0..6 {
        let endpoint = json!({ "url": sink.url(&format!("/{number}")) });
        call(&places[0], "POST", &format!("/api/v1/app/{app}/endpoint"), &endpoint);
    }
    let post = |n: usize| {
        let message = json!({ "eventType": "a.b", "payload": { "n": n } });
        call(&places[1], "POST", &format!("/api/v1/app/{app}/msg"), &message);
    };
    let arrived = |n: usize| {
        let body = json!({ "n": n }).to_string();
        arrivals(&sink).into_iter().filter(|((_, other), _)| *other == body).count()
    };
    // Messages until one reaches all six tell that they are known.
    let mut n = 100;
    let known = wait_until(KNOWN_MAX, || {
        n += 1;
        post(n);
        wait_until(Duration::from_millis(500), || arrived(n) == 6)
    });
    assert!(known, "{:?}\n{}", arrivals(&sink), places[1].log_tail());
    let posted = Instant::now();
    post(2);
    assert!(wait_until(LONG, || arrived(2) == 6), "{}\n{}", arrived(2), places[0].log_tail());
    assert!(posted.elapsed() < KNOWN_MAX, "{:?}", posted.elapsed());

    let token =
        call(&places[0], "POST", "/api/v1/becket/token", &json!({ "name": "t", "role": "admin" }));
    let text = token["token"].as_str().expect("the token is shown once").to_owned();
    let asks = |place| call_as(place, &text, "GET", "/api/v1/becket/self", &Value::Null).status;
    assert_eq!(asks(&places[1]), 200);
    let id = token["id"].as_str().unwrap();
    call(&places[0], "DELETE", &format!("/api/v1/becket/token/{id}"), &Value::Null);
    let ended = wait_until(KNOWN_MAX, || asks(&places[1]) == 401);
    assert!(ended, "a revoked token ends everywhere");
}

#[test]
fn the_work_of_a_killed_node_goes_on() {
    let server = server();
    let sink = Sink::start(|_| 200);
    let sources = source("open", &sink, 12);
    let places = ["a", "b", "c"].map(|name| node(&server, name, "", &sources));
    let _first = start(&places[0]);
    let second = start(&places[1]);
    let _third = start(&places[2]);
    wait_even(&places[0], 3);
    send(&places[0], "open", 0);
    assert!(wait_until(LONG, || sink.count() >= 12), "{}", sink.count());
    second.kill();
    let killed = Instant::now();
    for number in 1..=5 {
        send(&places[0], "open", number);
    }
    assert!(wait_until(LONG, || arrivals(&sink).len() >= 72), "{}", arrivals(&sink).len());
    let took = killed.elapsed();
    println!("taken over within {took:?}");
    // The lease and a second on a machine that has nothing else to do; never the usual lease of 15 s.
    assert!(took < LEASE + Duration::from_secs(8), "{took:?}\n{}", places[0].log_tail());
    wait_even(&places[0], 2);
    // The same machine's next process does not wait for the end of the old one's membership.
    let _second = start(&places[1]);
    wait_even(&places[2], 3);
}

#[test]
fn a_node_that_stood_still_starts_nothing_that_others_have_taken() {
    let server = server();
    let sink = Sink::start(|_| {
        std::thread::sleep(Duration::from_millis(30));
        200
    });
    let sources = source("open", &sink, 8);
    let places = ["a", "b"].map(|name| node(&server, name, "", &sources));
    let _first = start(&places[0]);
    let second = start(&places[1]);
    wait_even(&places[0], 2);
    for number in 0..30 {
        send(&places[1], "open", number);
    }
    second.signal("STOP");
    for number in 30..40 {
        send(&places[0], "open", number);
    }
    let all = || arrivals(&sink).len() >= 320;
    assert!(wait_until(LONG, all), "{}\n{}", arrivals(&sink).len(), places[0].log_tail());
    // What was under way there is sent once more by the other one: that has to be over.
    wait_delivered(&places[0]);
    let before = sink.count();
    second.signal("CONT");
    let lost = wait_until(LONG, || places[1].log().contains("node.lost"));
    assert!(lost, "{}", places[1].log_tail());
    wait_even(&places[1], 2);
    for number in 40..50 {
        send(&places[1], "open", number);
    }
    let all = || arrivals(&sink).len() >= 400;
    assert!(wait_until(LONG, all), "{}\n{}", arrivals(&sink).len(), places[1].log_tail());
    wait_delivered(&places[0]);
    std::thread::sleep(Duration::from_millis(500));
    // What was under way when it was stopped may have come twice; what came afterwards never.
    let late = sink.deliveries().split_off(before);
    let mut seen = BTreeMap::new();
    for Delivery { path, body, .. } in late {
        *seen.entry((path, body)).or_insert(0) += 1;
    }
    assert!(seen.values().all(|count| *count == 1), "{seen:?}");
    assert_eq!(seen.len(), 80, "nothing of the time before is sent again");
    let events = call(&places[0], "GET", "/api/v1/becket/event?limit=250", &Value::Null);
    for event in events["data"].as_array().unwrap() {
        for delivery in event["deliveries"].as_array().unwrap() {
            assert_eq!(delivery["state"], "delivered", "{event}");
        }
    }
}

#[test]
fn a_listener_gets_its_deliveries_wherever_it_is_connected() {
    let server = server();
    let sink = Sink::start(|_| 200);
    let to = sink.url("/");
    let text = "[[source]]\nid = \"open\"\nprovider = \"none\"\n\
                credentials = { event_type = \"json:type\" }\ndedupe = { enabled = false }\n";
    let places = ["a", "b"].map(|name| node(&server, name, "", text));
    let _first = start(&places[0]);
    let _second = start(&places[1]);
    wait_even(&places[0], 2);
    for at in 0..2 {
        let listener =
            Listener::start(&places[at], &["--forward-to", &to, "--name", &format!("ann-{at}")]);
        listener.wait_connected();
        let arrived = |number: usize| {
            let body = numbered(number);
            sink.deliveries().iter().filter(|one| one.body == body).count()
        };
        // What is made with the connection reaches the others within a moment: events until one comes
        // tell that a node knows it.
        let mut number = 1_000 * (at + 1);
        for place in &places {
            let known = wait_until(KNOWN_MAX, || {
                number += 1;
                send(place, "open", number);
                wait_until(Duration::from_millis(500), || arrived(number) == 1)
            });
            assert!(known, "{:?}\n{}", listener.said(), place.log_tail());
        }
        let measured = || (0..10).map(|number| 100 * (at + 1) + number);
        for number in measured() {
            send(&places[number % 2], "open", number);
        }
        let all = || measured().all(|number| arrived(number) > 0);
        assert!(wait_until(LONG, all), "{:?}\n{}", listener.said(), places[at].log_tail());
        assert_eq!(listener.stop(), 0);
        assert!(measured().all(|number| arrived(number) == 1), "{:?}", arrivals(&sink));
    }
}

#[test]
fn two_files_do_not_undo_each_other() {
    let server = server();
    let sink = Sink::start(|_| 200);
    let common = source("common", &sink, 2);
    let files = [("a", "only-a"), ("b", "only-b")];
    let places = files
        .map(|(name, own)| node(&server, name, "", &format!("{common}{}", source(own, &sink, 1))));
    // Both at once, on an empty database.
    let spawn = |place| {
        let mut command = Place::command(place);
        command.env("BECKET_MASTER_KEY", MASTER_KEY);
        Gateway::spawn(place, command)
    };
    let (first, second) = (spawn(&places[0]), spawn(&places[1]));
    first.wait_ready(LONG);
    second.wait_ready(LONG);
    let names = |place: &Place| -> Vec<String> {
        let list = call(place, "GET", "/api/v1/becket/source?limit=100", &Value::Null);
        let list = list["data"].as_array().unwrap().clone();
        let present = list.iter().filter(|one| one["removed"] != json!(true));
        let mut names: Vec<String> =
            present.map(|one| one["name"].as_str().unwrap_or_default().to_owned()).collect();
        names.sort();
        names
    };
    let all = ["common", "only-a", "only-b"];
    let there = wait_until(LONG, || places.iter().all(|place| names(place) == all));
    assert!(there, "{:?} {:?}\n{}", names(&places[0]), names(&places[1]), places[0].log_tail());
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(names(&places[0]), all, "it stays so");
    send(&places[0], "only-a", 1);
    send(&places[1], "only-b", 2);
    send(&places[1], "common", 3);
    assert!(wait_until(LONG, || sink.count() >= 4), "{}\n{}", sink.count(), places[0].log_tail());
    // Nobody declares it any more: it goes.
    write_file(&places[0], &server, "a", "", &common);
    first.signal("HUP");
    let gone = wait_until(LONG, || names(&places[1]) == ["common", "only-b"]);
    assert!(gone, "{:?}\n{}", names(&places[1]), places[0].log_tail());
    assert_eq!(first.stop().code(), Some(0));
    assert_eq!(second.stop().code(), Some(0));
}

#[test]
fn a_rate_holds_over_all_nodes() {
    let server = server();
    let sink = Sink::start(|_| 200);
    let places = ["a", "b", "c"].map(|name| node(&server, name, "", ""));
    let _nodes: Vec<Gateway<'_>> = places.iter().map(start).collect();
    wait_even(&places[0], 3);
    let new = json!({ "name": "Slow", "uid": "slow", "throttleRate": 10 });
    let app = call(&places[0], "POST", "/api/v1/app", &new);
    let app = app["id"].as_str().unwrap();
    for number in 0..9 {
        let endpoint = json!({ "url": sink.url(&format!("/{number}")) });
        call(&places[0], "POST", &format!("/api/v1/app/{app}/endpoint"), &endpoint);
    }
    std::thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    for number in 0..12 {
        let message = json!({ "eventType": "a.b", "payload": { "n": number } });
        call(&places[number % 3], "POST", &format!("/api/v1/app/{app}/msg"), &message);
    }
    std::thread::sleep(Duration::from_secs(4));
    let (count, took) = (sink.count(), began.elapsed());
    println!("{count} in {took:?}");
    // A second's worth at once, and ten a second.
    let most = 10.0 * (took.as_secs_f64() + 1.0) + 3.0;
    assert!(count as f64 <= most, "{count} in {took:?}");
    assert!(count >= 25, "{count} in {took:?}: it is not slower than it has to be");
}

#[test]
fn one_alert_is_told_whichever_node_delivers() {
    let server = server();
    let alerts = Sink::start(|_| 200);
    let broken = Sink::start(|_| 500);
    let text = format!(
        "[alerts]\nsettle = \"5s\"\n[[alerts.endpoint]]\nid = \"ops\"\nurl = \"{}\"\n{}",
        alerts.url("/alerts"),
        source("open", &broken, 4)
            .replace("[[source.endpoint]]", "[[source.endpoint]]\nretry = [\"1s\"]"),
    );
    let places = ["a", "b"].map(|name| node(&server, name, "", &text));
    let _first = start(&places[0]);
    let _second = start(&places[1]);
    wait_even(&places[0], 2);
    for number in 0..3 {
        send(&places[number % 2], "open", number);
    }
    let told = || -> Vec<(String, String)> {
        let all = alerts.deliveries().into_iter();
        all.map(|one| {
            let alert: Value = serde_json::from_slice(&one.body).expect("an alert is JSON");
            let text = |name: &str| alert[name].as_str().unwrap_or_default().to_owned();
            (text("type"), alert["data"]["endpointId"].as_str().unwrap_or_default().to_owned())
        })
        .filter(|(kind, _)| kind == "retries.exhausted")
        .collect()
    };
    let all = wait_until(LONG, || told().len() >= 4);
    assert!(all, "{:?}\n{}", told(), places[0].log_tail());
    std::thread::sleep(Duration::from_secs(8));
    let told = told();
    let distinct: std::collections::BTreeSet<_> = told.iter().collect();
    assert_eq!((told.len(), distinct.len()), (4, 4), "{told:?}");
    // Every node shows what is wrong.
    for place in &places {
        let problems = call(place, "GET", "/api/v1/becket/problem", &Value::Null);
        let count = problems["data"].as_array().unwrap().len();
        assert!(count >= 4, "{problems}");
    }
}

#[test]
fn nodes_may_do_a_part_each() {
    let server = server();
    let sink = Sink::start(|_| 200);
    let sources = source("open", &sink, 4);
    let parts = [("in", "ingress"), ("out", "engine"), ("api", "api")];
    let places =
        parts.map(|(name, role)| node(&server, name, &format!("roles = [\"{role}\"]"), &sources));
    let _nodes: Vec<Gateway<'_>> = places.iter().map(start).collect();
    let has_all = || shards(&places[2]).get("out") == Some(&256);
    assert!(wait_until(LONG, has_all), "{:?}", shards(&places[2]));
    send(&places[0], "open", 1);
    assert!(wait_until(LONG, || sink.count() >= 4), "{}\n{}", sink.count(), places[1].log_tail());
    let get = |place: &Place, path: &str| {
        Client::closing(place.address).send("GET", path, &[], b"").expect("the gateway answers")
    };
    assert_eq!(get(&places[0], "/api/v1/health").status, 404);
    assert!(get(&places[0], "/").text().contains("role `api`"));
    let refused = Client::closing(places[2].address).send("POST", "/in/open", &[], b"{}").unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("ingress") && refused.header("retry-after").is_some());
    for place in &places {
        assert_eq!(get(place, "/readyz").status, 200);
    }
}

#[test]
fn a_stream_tells_the_events_of_all_nodes() {
    let server = server();
    let sink = Sink::start(|_| 200);
    let sources = source("open", &sink, 1);
    let places = ["a", "b"].map(|name| node(&server, name, "", &sources));
    let _first = start(&places[0]);
    let _second = start(&places[1]);
    let follower = Follower::start(&places[1]);
    for number in 0..60 {
        send(&places[number % 2], "open", number);
    }
    assert!(wait_until(LONG, || follower.events().len() >= 60), "{}", follower.events().len());
    std::thread::sleep(Duration::from_secs(2));
    let mut events = follower.events();
    let told = events.len();
    events.sort();
    events.dedup();
    assert_eq!((events.len(), told), (60, 60), "each once");
}

#[test]
fn a_database_that_comes_later_is_waited_for() {
    let mut server = server();
    let place = node(&server, "a", "", "");
    server.stop();
    let mut command = place.command();
    command.env("BECKET_MASTER_KEY", MASTER_KEY);
    let gateway = Gateway::spawn(&place, command);
    let waits = wait_until(LONG, || place.log().contains("store.waits"));
    assert!(waits, "{}", place.log_tail());
    server.resume();
    gateway.wait_ready(LONG);
    // While it is away nothing is ready, and afterwards everything is again.
    server.stop();
    let away = wait_until(LONG, || gateway.get("/readyz").is_ok_and(|answer| answer.status == 503));
    assert!(away, "{}", place.log_tail());
    assert_eq!(gateway.get("/healthz").unwrap().status, 200);
    server.resume();
    gateway.wait_ready(LONG);
    assert!(!place.log().contains("not-shown"), "no password in the log");
    assert_eq!(gateway.stop().code(), Some(0));
    let mut without = place.command();
    without.env_remove("BECKET_MASTER_KEY");
    let output = without.output().expect("the binary can be started");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("BECKET_MASTER_KEY"), "{told}");
}
