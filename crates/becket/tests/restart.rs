//! Restarts under load: with a socket that outlives the process, no connection is refused and no
//! request goes unanswered.
//!
//! The socket is handed over the way systemd does it (`LISTEN_FDS`): this test holds it, as systemd
//! would, and starts one gateway after another on it. While none runs, connections wait.

mod support;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::gateway::{Gateway, Place};
use support::load::{self, Load, Plan};
use support::sink::Sink;
use support::{EVENTS, wait_until};

const RESTARTS: usize = 5;

#[test]
fn a_restart_with_a_handed_over_socket_refuses_nobody() {
    let sink = Sink::start(|_| {
        std::thread::sleep(Duration::from_millis(5));
        200
    });
    let mut place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    place.address = listener.local_addr().expect("a bound socket has an address");
    place.configure("shutdown_grace = \"10s\"", &place.data(), "", &source(&sink));

    let mut gateway = Gateway::spawn(&place, place.command_activated(&listener));
    gateway.wait_ready(Duration::from_secs(20));
    let plan = Plan {
        // A connection each, as most senders do; nothing is sent twice, so that nothing is hidden.
        keep_connections: false,
        repeat: false,
        pause: Duration::from_millis(5),
        ..Plan::new(place.address, "/in/github")
    };
    let load = Load::start(&plan, 1, None);
    let mut gaps = Vec::new();
    for _ in 0..RESTARTS {
        std::thread::sleep(Duration::from_millis(700));
        let stopping = Instant::now();
        let status = gateway.stop();
        assert!(status.success(), "did not stop cleanly ({status}):\n{}", place.log_tail());
        gateway = Gateway::spawn(&place, place.command_activated(&listener));
        gateway.wait_ready(Duration::from_secs(20));
        gaps.push(stopping.elapsed().as_millis());
    }
    std::thread::sleep(Duration::from_millis(500));
    let ledger = load.finish();
    assert_eq!(ledger.connections_refused, 0, "connections were refused");
    assert_eq!(ledger.unanswered, 0, "requests went unanswered: {:?}", ledger.failures);
    assert!(ledger.refused.is_empty(), "requests were refused: {:?}", ledger.failures);
    assert!(ledger.acknowledged.len() > 100, "hardly any load: {}", ledger.acknowledged.len());

    let delivered = wait_until(Duration::from_secs(30), || {
        let received: BTreeSet<u64> = sink
            .deliveries()
            .iter()
            .filter_map(|delivery| load::number_in(&delivery.body))
            .collect();
        ledger.acknowledged.keys().all(|number| received.contains(number))
    });
    assert!(delivered, "not everything was delivered across the restarts");
    let duplicates = sink.count() - ledger.acknowledged.len();
    assert_eq!(duplicates, 0, "a clean stop finishes attempts, so nothing is delivered twice");
    println!(
        "{RESTARTS} restarts: acknowledged {}, refused 0, unanswered 0, stop to ready {gaps:?} ms",
        ledger.acknowledged.len()
    );
}

#[test]
fn a_clean_stop_finishes_what_is_in_flight() {
    let sink = Sink::start(|_| {
        std::thread::sleep(Duration::from_millis(800));
        200
    });
    let place = Place::new();
    place.configure("shutdown_grace = \"10s\"", &place.data(), "", &source(&sink));
    let gateway = place.start();
    let mut client = support::http::Client::keeping(place.address);
    for number in 1..=5 {
        let answer = load::send(&mut client, "/in/github", number, 10).expect("it answers");
        assert!(answer.is_success(), "{} {}", answer.status, answer.text());
    }
    // All five are being delivered; none has been answered.
    std::thread::sleep(Duration::from_millis(200));
    let status = gateway.stop();
    assert!(status.success(), "did not stop cleanly ({status}):\n{}", place.log_tail());
    assert_eq!(sink.count(), 5, "attempts in flight were finished");

    let gateway = place.start();
    let events = gateway.api_list(EVENTS);
    let delivered = events.iter().filter(|event| event["state"] == "delivered").count();
    assert_eq!((events.len(), delivered), (5, 5), "their results were kept: {events:?}");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(sink.count(), 5, "nothing was delivered twice");
    gateway.stop();
}

fn source(sink: &Sink) -> String {
    format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{}\"]\n\
         [[source.endpoint]]\nid = \"app\"\nurl = \"{}\"\n",
        load::SECRET,
        sink.url("/app"),
    )
}
