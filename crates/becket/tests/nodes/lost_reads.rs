//! A change of another node that cannot be read at the first try, or that another database has undone, is in
//! force everywhere all the same.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::cut_proxy::CutProxy;
use super::support::gateway::Place;
use super::support::http::Client;
use super::support::sink::Sink;
use super::support::{sign, wait_until};
use super::{LONG, call, lead_through, node, server, start, wait_even};

pub(super) const FIRST: &str = "the-first-secret-of-this-source-0123";
pub(super) const SECOND: &str = "the-second-secret-of-this-source-456";
pub(super) const THIRD: &str = "the-third-secret-of-this-source-7890";
/// What only reads the endpoints of one application.
const ENDPOINTS: &str = "AND state <> 3 AND id";
/// What only reads one document.
const DOCUMENT: &str = "AND application = $3 AND name = $4";

/// Sends what GitHub would, signed with a secret; answers the status.
pub(super) fn github(place: &Place, path: &str, secret: &str) -> u16 {
    let signature = sign::github(secret, b"{}");
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    Client::closing(place.address).send("POST", path, &headers, b"{}").expect("an answer").status
}

/// Makes a source with its first secret; answers its path once both nodes know it.
pub(super) fn made(places: &[Place; 2]) -> String {
    let body = json!({ "provider": "github", "name": "It", "uid": "it", "secrets": [FIRST] });
    let source = call(&places[0], "POST", "/api/v1/becket/source", &body);
    let url = source["receivingUrl"].as_str().expect("a URL").to_owned();
    let path = format!("/in/{}", url.rsplit('/').next().expect("its end"));
    for place in places {
        let known = wait_until(LONG, || github(place, &path, FIRST) == 200);
        assert!(known, "{}", place.log_tail());
    }
    path
}

pub(super) fn give(place: &Place, secret: &str) {
    let body = json!({ "secrets": [secret] });
    call(place, "PUT", "/api/v1/becket/source/it/credentials", &body);
}

#[test]
fn what_cannot_be_read_at_first_is_in_force_a_moment_later() {
    let server = server();
    let proxy = CutProxy::start(server.port);
    let sink = Sink::start(|_| 200);
    let places = ["a", "b"].map(|name| node(&server, name, "", ""));
    lead_through(&places[1], server.port, proxy.port);
    let _first = start(&places[0]);
    let _second = start(&places[1]);
    wait_even(&places[1], 2);

    let path = made(&places);
    proxy.refuse(ENDPOINTS, 2);
    give(&places[0], SECOND);
    let ended = wait_until(LONG, || github(&places[1], &path, FIRST) == 401);
    assert!(ended, "a revoked secret goes on verifying\n{}", places[1].log_tail());
    let again = wait_until(LONG, || proxy.refusals_left() == 0);
    assert!(again, "it was not asked again\n{}", places[1].log_tail());
    assert_eq!(github(&places[1], &path, SECOND), 200);

    let app = json!({ "name": "Shop", "uid": "shop" });
    call(&places[0], "POST", "/api/v1/app", &app);
    for number in 0..6 {
        let endpoint =
            json!({ "uid": format!("e{number}"), "url": sink.url(&format!("/{number}")) });
        call(&places[0], "POST", "/api/v1/app/shop/endpoint", &endpoint);
    }
    std::thread::sleep(Duration::from_secs(1));
    proxy.refuse(DOCUMENT, 6);
    let code = "function handler(webhook) { webhook.payload = { n: 2 }; return webhook }";
    let code = json!({ "code": code, "enabled": true });
    for number in 0..6 {
        let path = format!("/api/v1/app/shop/endpoint/e{number}/transformation");
        call(&places[0], "PATCH", &path, &code);
    }
    assert!(wait_until(LONG, || proxy.refusals_left() == 0), "{}", places[1].log_tail());
    std::thread::sleep(Duration::from_secs(2));
    let message = json!({ "eventType": "a.b", "payload": { "n": 1 } });
    call(&places[0], "POST", "/api/v1/app/shop/msg", &message);
    assert!(wait_until(LONG, || sink.count() >= 6), "{}\n{}", sink.count(), places[1].log_tail());
    for delivery in sink.deliveries() {
        assert_eq!(delivery.body, b"{\"n\":2}", "{}", delivery.path);
    }
    for place in &places {
        assert!(!place.log().contains("transform_failed"), "{}", place.log_tail());
    }
}

#[test]
fn a_database_that_has_lost_the_last_changes_is_believed() {
    let mut server = server();
    let places = ["a", "b"].map(|name| node(&server, name, "", ""));
    let first = start(&places[0]);
    let second = start(&places[1]);
    let path = made(&places);
    // The state that a standby would have, and come back to.
    server.stop();
    let (data, copy) = (server.data(), server.data().with_extension("copy"));
    let copied = |from: &std::path::Path, to: &std::path::Path| {
        let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(status.expect("cp can be run").success());
    };
    copied(&data, &copy);
    server.resume();
    first.wait_ready(LONG);
    second.wait_ready(LONG);
    wait_even(&places[0], 2);
    give(&places[0], SECOND);
    let known = wait_until(LONG, || github(&places[1], &path, SECOND) == 200);
    assert!(known, "{}", places[1].log_tail());
    call(&places[1], "GET", "/api/v1/becket/source", &Value::Null);

    server.stop();
    std::fs::remove_dir_all(&data).expect("the folder is ours");
    copied(&copy, &data);
    server.resume();
    first.wait_ready(LONG);
    second.wait_ready(LONG);
    // Its number may be the one that was lost.
    give(&places[0], THIRD);
    for place in &places {
        let ended = wait_until(LONG, || {
            let status = |secret| github(place, &path, secret);
            (status(FIRST), status(SECOND), status(THIRD)) == (401, 401, 200)
        });
        assert!(ended, "{}", place.log_tail());
        assert!(place.log().contains("database.other_server"), "{}", place.log_tail());
    }
}
