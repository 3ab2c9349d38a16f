//! Two changes of one thing at two nodes within milliseconds: what the store holds is in force at both.

use serde_json::json;

use super::cut_proxy::CutProxy;
use super::lost_reads::{FIRST, SECOND, THIRD, github, give, made};
use super::postgres::Postgres;
use super::support::gateway::{Gateway, Place};
use super::support::sink::Sink;
use super::support::wait_until;
use super::{LONG, call, lead_through, node, server, shards, start};

/// What changes a source, and what changes an endpoint.
const SOURCE: &str = "UPDATE application SET uid";
const ENDPOINT: &str = "UPDATE endpoint SET uid";

/// Two nodes, the first of which delivers and reaches the database through a proxy.
struct Pair {
    proxy: CutProxy,
    places: [Place; 2],
    _server: Postgres,
}

impl Pair {
    fn new() -> Self {
        let server = server();
        let proxy = CutProxy::start(server.port);
        let places =
            [node(&server, "a", "", ""), node(&server, "b", "roles = [\"ingress\", \"api\"]", "")];
        lead_through(&places[0], server.port, proxy.port);
        Self { proxy, places, _server: server }
    }

    fn start(&self) -> [Gateway<'_>; 2] {
        let gateways = [start(&self.places[0]), start(&self.places[1])];
        let all = || shards(&self.places[0]).get("a") == Some(&256);
        assert!(wait_until(LONG, all), "{}", self.log());
        gateways
    }

    /// Changes something at the first node and then, before that one is told that its change is
    /// written, at the second; waits until the newer is in force at the first.
    fn change(
        &self,
        text: &str,
        older: impl FnOnce(&Place) + Send,
        newer: impl FnOnce(&Place),
        holds: impl Fn() -> bool,
    ) {
        let [first, second] = &self.places;
        std::thread::scope(|scope| {
            self.proxy.hold(text);
            let older = scope.spawn(|| older(first));
            assert!(wait_until(LONG, || self.proxy.is_held()), "{}", self.log());
            newer(second);
            assert!(wait_until(LONG, holds), "{}", self.log());
            self.proxy.let_go();
            older.join().expect("the older change is answered");
        });
    }

    fn log(&self) -> String {
        self.places[0].log_tail()
    }
}

#[test]
fn a_source_is_as_the_second_has_changed_it() {
    let pair = Pair::new();
    let _gateways = pair.start();
    let path = made(&pair.places);
    let status = |secret| github(&pair.places[0], &path, secret);
    pair.change(
        SOURCE,
        |first| give(first, SECOND),
        |second| give(second, THIRD),
        || status(THIRD) == 200,
    );
    assert_eq!([FIRST, SECOND, THIRD].map(status), [401, 401, 200], "{}", pair.log());
}

#[test]
fn an_endpoint_is_as_the_second_has_changed_it() {
    let sink = Sink::start(|_| 200);
    let pair = Pair::new();
    let _gateways = pair.start();
    let first = &pair.places[0];
    call(first, "POST", "/api/v1/app", &json!({ "name": "Shop", "uid": "shop" }));
    let endpoint = json!({ "uid": "e", "url": sink.url("/first") });
    call(first, "POST", "/api/v1/app/shop/endpoint", &endpoint);
    let lead = |place: &Place, to: &str| {
        let change = json!({ "url": sink.url(to) });
        call(place, "PATCH", "/api/v1/app/shop/endpoint/e", &change);
    };
    // Where a message arrives that is posted now.
    let arrives = || {
        let before = sink.count();
        let message = json!({ "eventType": "a.b", "payload": {} });
        call(first, "POST", "/api/v1/app/shop/msg", &message);
        assert!(wait_until(LONG, || sink.count() > before), "{}", pair.log());
        sink.deliveries().last().map(|delivery| delivery.path.clone()).unwrap_or_default()
    };
    assert_eq!(arrives(), "/first");
    pair.change(
        ENDPOINT,
        |first| lead(first, "/older"),
        |second| lead(second, "/newer"),
        || arrives() == "/newer",
    );
    for _ in 0..3 {
        assert_eq!(arrives(), "/newer", "{}", pair.log());
    }
}
