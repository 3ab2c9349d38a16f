//! Nodes whose files differ for a while, as during a deploy: an endpoint is called by one node at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::support::gateway::Place;
use super::support::sink::Sink;
use super::support::wait_until;
use super::{LONG, arrivals, node, send, server, start, wait_even};

/// A source with endpoints that take one delivery at a time.
fn one_at_a_time(sink: &Sink, endpoints: usize) -> String {
    let limit = "[[source.endpoint]]\nconcurrency = 1";
    super::source("open", sink, endpoints).replace("[[source.endpoint]]", limit)
}

/// How many deliveries each endpoint had in hand at once, at most, and has now.
#[derive(Default)]
struct InHand {
    now: BTreeMap<String, u32>,
    most: BTreeMap<String, u32>,
}

#[test]
fn an_endpoint_has_one_delivery_in_hand_while_another_file_comes_and_goes() {
    let server = server();
    let in_hand = Arc::new(Mutex::new(InHand::default()));
    let counts = Arc::clone(&in_hand);
    let sink = Sink::start(move |delivery| {
        {
            let mut in_hand = counts.lock().expect("nobody panicked");
            let now = in_hand.now.entry(delivery.path.clone()).or_default();
            *now += 1;
            let now = *now;
            let most = in_hand.most.entry(delivery.path.clone()).or_default();
            *most = now.max(*most);
        }
        // Far longer than the nodes take to hear of each other.
        std::thread::sleep(Duration::from_millis(400));
        let mut in_hand = counts.lock().expect("nobody panicked");
        *in_hand.now.entry(delivery.path.clone()).or_default() -= 1;
        200
    });
    let whole = one_at_a_time(&sink, 6);
    let places = ["a", "b"].map(|name| node(&server, name, "", &whole));
    let _first = start(&places[0]);
    let _second = start(&places[1]);
    wait_even(&places[0], 2);
    let part = node(&server, "c", "", &one_at_a_time(&sink, 2));
    let mut sent = 0;
    let mut send_some = |count: usize| {
        for _ in 0..count {
            send(&places[sent % 2], "open", sent);
            sent += 1;
            std::thread::sleep(Duration::from_millis(250));
        }
    };
    send_some(8);
    let third = start(&part);
    send_some(16);
    assert_eq!(third.stop().code(), Some(0));
    send_some(12);
    let all = || arrivals(&sink).len() == sent * 6;
    assert!(wait_until(LONG, all), "{} of {}\n{}", sink.count(), sent * 6, places[0].log_tail());
    assert_eq!(sink.count(), sent * 6, "each once");
    let most = in_hand.lock().expect("nobody panicked").most.clone();
    assert!(most.len() == 6 && most.values().all(|count| *count == 1), "{most:?}");
    let [first, second] = places.each_ref().map(called);
    let by_both = first.intersection(&second).count();
    assert!(by_both > 0, "some endpoint was called by both nodes, one after the other");
}

/// The endpoints that a node has called.
fn called(place: &Place) -> BTreeSet<String> {
    let log = place.log();
    let attempts = log.lines().filter(|line| line.contains("attempt.finished"));
    attempts
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| line["endpoint"].as_str().map(str::to_owned))
        .collect()
}
