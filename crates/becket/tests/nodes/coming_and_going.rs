//! What becomes of the others' endpoints when a node cannot start, stops, or takes its file with it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::postgres::Postgres;
use super::support::gateway::{Gateway, Place};
use super::support::sink::{Gate, Sink};
use super::support::wait_until;
use super::{
    LONG, MASTER_KEY, arrivals, call, node, send, server, shards, source, start, url, wait_even,
};

/// How soon an event has to be everywhere where nothing hangs: on a busy machine too, and not when the
/// usual lease of 15 s has ended.
const SOON: Duration = Duration::from_secs(8);

/// A node's place with the usual lease: nothing here may wait for its end.
fn usual_node(server: &Postgres, name: &str, in_server: &str, rest: &str) -> Place {
    let place = Place::new();
    let text = format!(
        "[server]\nlisten = \"{}\"\n{in_server}\n[store]\nurl = \"{}\"\nconnections = 8\n\
         [cluster]\nname = \"{name}\"\n[egress]\nallow_networks = [\"127.0.0.0/8\"]\n{rest}",
        place.address,
        url(server),
    );
    std::fs::write(place.config(), text).expect("the folder can be written");
    place
}

fn spawn(place: &Place) -> Gateway<'_> {
    let mut command = place.command();
    command.env("BECKET_MASTER_KEY", MASTER_KEY);
    Gateway::spawn(place, command)
}

#[test]
fn a_node_that_cannot_start_takes_nothing_away() {
    let server = server();
    let sink = Sink::start(|_| 200);
    let sources = source("open", &sink, 12);
    let works = usual_node(&server, "works", "", &sources);
    let broken = usual_node(
        &server,
        "broken",
        "tls = { cert_file = \"cert.pem\", key_file = \"key.pem\" }",
        &sources,
    );
    for file in ["cert.pem", "key.pem"] {
        std::fs::write(broken.folder.join(file), "no certificate").expect("it can be written");
    }
    let _works = start(&works);
    assert!(wait_until(SOON, || shards(&works).get("works") == Some(&256)), "{:?}", shards(&works));
    for number in 0..3 {
        let status = spawn(&broken).wait_end(LONG);
        assert!(!status.success());
        send(&works, "open", number);
        let all = wait_until(SOON, || sink.count() >= 12 * (number + 1));
        assert!(all, "{} after start {number}\n{}", sink.count(), works.log_tail());
        let nodes = shards(&works);
        assert_eq!((nodes.len(), nodes["works"]), (1, 256), "{nodes:?}");
    }
    let log = broken.log();
    assert_eq!(log.matches("\"node.joined\"").count(), 3, "{log}");
    assert_eq!(log.matches("\"node.left\"").count(), 3, "{log}");
    assert!(!works.log().contains("node.gives_up"), "{}", works.log_tail());
}

#[test]
fn an_endpoint_that_hangs_keeps_nothing_else_at_a_node_that_stops() {
    // A node that stops gives everything away after 20 s: then it proves nothing.
    const PROVES: Duration = Duration::from_secs(18);
    let server = server();
    // Neighbours are spread over the nodes, so each has one of these.
    let hangs = |path: &str| ["/open/0", "/open/1", "/open/2", "/open/3"].contains(&path);
    let gate = Gate::default();
    let held = gate.clone();
    let sink = Sink::start(move |delivery| {
        if hangs(&delivery.path) {
            held.pass();
        }
        200
    });
    let sources = source("open", &sink, 24)
        .replace("[[source.endpoint]]", "[[source.endpoint]]\ntimeout = \"60s\"");
    let places = ["a", "b"].map(|name| usual_node(&server, name, "", &sources));
    let mut first = start(&places[0]);
    let _second = start(&places[1]);
    wait_even(&places[1], 2);
    send(&places[0], "open", 0);
    let arrived = |number: usize| {
        let body = String::from_utf8_lossy(&super::numbered(number)).into_owned();
        let all = sink.deliveries().into_iter().filter(|one| !hangs(&one.path));
        all.filter(|one| one.body == body.as_bytes()).count()
    };
    let all = || arrived(0) == 20 && gate.waiting() == 4;
    assert!(wait_until(LONG, all), "{} and {}", arrived(0), gate.waiting());
    first.signal("TERM");
    let told = Instant::now();
    for number in 1..4 {
        std::thread::sleep(Duration::from_millis(300));
        // The one that stops still receives, until it is asked to go.
        send(&places[number % 2], "open", number);
        let sent = Instant::now();
        let all = wait_until(SOON, || arrived(number) == 20);
        assert!(all, "{} of {number}\n{}", arrived(number), places[1].log_tail());
        println!("event {number}: everywhere after {:?}", sent.elapsed());
    }
    let parted = shards(&places[1]);
    assert!(parted["b"] > 250 && (1..6).contains(&parted["a"]), "{parted:?}");
    assert!(first.is_running(), "it lets it end\n{}", places[0].log_tail());
    assert!(told.elapsed() < PROVES, "too slow to prove anything: {:?}", told.elapsed());
    gate.open();
    assert_eq!(first.wait_end(LONG).code(), Some(0), "{}", places[0].log_tail());
    assert!(wait_until(SOON, || shards(&places[1]).get("b") == Some(&256)));
    let all = || arrivals(&sink).len() == 4 * 24;
    assert!(wait_until(LONG, all), "{}\n{}", arrivals(&sink).len(), places[1].log_tail());
    let twice: Vec<_> = arrivals(&sink).into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn what_only_a_node_that_has_gone_declared_is_not_delivered_and_goes() {
    let server = server();
    let sink = Sink::start(|_| 200);
    let files = [
        format!("{}{}", source("common", &sink, 6), source("dropped", &sink, 1)),
        source("common", &sink, 2),
    ];
    let [old, new] =
        [("old", &files[0]), ("new", &files[1])].map(|(name, file)| node(&server, name, "", file));
    let first = start(&old);
    let _second = start(&new);
    wait_even(&new, 2);
    send(&new, "common", 1);
    assert!(wait_until(LONG, || sink.count() == 6), "{}\n{}", sink.count(), old.log_tail());
    assert_eq!(first.stop().code(), Some(0));
    let alone = || shards(&new).get("new") == Some(&256);
    assert!(wait_until(LONG, alone), "{:?}", shards(&new));
    send(&new, "common", 2);
    let there = |path: &str| -> Vec<Value> {
        let list = call(&new, "GET", path, &Value::Null);
        let present = list["data"].as_array().expect("a list").clone().into_iter();
        present.filter(|one| one["removed"] != json!(true)).collect()
    };
    let sources = || there("/api/v1/becket/source?limit=100");
    let endpoints = || there("/api/v1/app/common/endpoint?limit=100");
    // A node that is started again finds everything as it was.
    assert_eq!((sources().len(), endpoints().len()), (2, 6));
    assert!(wait_until(LONG, || sources().len() == 1), "{:?}\n{}", sources(), new.log_tail());
    assert!(wait_until(SOON, || endpoints().len() == 2), "{:?}", endpoints());
    let told = || new.log().matches("file.left_over").count();
    assert!(wait_until(SOON, || told() == 1), "{} times\n{}", told(), new.log_tail());
    send(&new, "common", 3);
    assert!(wait_until(LONG, || sink.count() == 10), "{}\n{}", sink.count(), new.log_tail());
    std::thread::sleep(Duration::from_secs(1));
    let later = sink.deliveries().split_off(6);
    let own = later.iter().all(|one| ["/common/0", "/common/1"].contains(&one.path.as_str()));
    assert!(own, "{:?}", later.iter().map(|one| &one.path).collect::<Vec<_>>());
    // It is as good as before when it comes back.
    let _first = start(&old);
    wait_even(&new, 2);
    send(&new, "common", 4);
    let last = String::from_utf8_lossy(&super::numbered(4)).into_owned();
    let everywhere = || arrivals(&sink).keys().filter(|(_, body)| *body == last).count() == 6;
    assert!(wait_until(LONG, everywhere), "{:?}\n{}", arrivals(&sink), old.log_tail());
}

#[test]
fn a_node_that_stops_while_it_joins_again_leaves_nothing_behind() {
    let server = server();
    let places = ["a", "b"].map(|name| node(&server, name, "", ""));
    let _first = start(&places[0]);
    let mut second = start(&places[1]);
    wait_even(&places[0], 2);
    second.signal("STOP");
    let alone = || shards(&places[0]).get("a") == Some(&256);
    assert!(wait_until(LONG, alone), "{:?}", shards(&places[0]));
    // Joining takes a while, and the node is told to stop meanwhile.
    server.query(
        "SET search_path = becket;
         CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(1.2); RETURN NEW; END';
         CREATE TRIGGER slowly BEFORE INSERT ON node FOR EACH ROW EXECUTE FUNCTION slowly()",
    );
    second.signal("CONT");
    let joins = || places[1].log().contains("\"node.lost");
    assert!(wait_until(LONG, joins), "{}", places[1].log_tail());
    second.signal("TERM");
    assert_eq!(second.wait_end(LONG).code(), Some(0), "{}", places[1].log_tail());
    let left = server.query("SELECT name FROM becket.node");
    assert_eq!(left, ["a"], "{}", places[1].log_tail());
}
