//! The configuration is applied again on SIGHUP and when the file changes, whole or not at all.

mod support;

use std::time::Duration;

use support::gateway::Place;
use support::http::Client;
use support::wait_until;

const LIMIT: Duration = Duration::from_secs(15);

fn token_source(id: &str, secret: &str, more: &str) -> String {
    format!(
        "[[source]]\nid = \"{id}\"\nprovider = \"token\"\nsecrets = [\"{secret}\"]\n\
         params = {{ header = \"x-token\" }}\n{more}\n"
    )
}

fn post(place: &Place, source: &str, token: &str, body: &[u8]) -> u16 {
    let path = format!("/in/{source}");
    let headers = [("x-token", token), ("content-type", "application/json")];
    Client::closing(place.address).send("POST", &path, &headers, body).expect("an answer").status
}

#[test]
fn changes_are_applied_and_mistakes_are_not() {
    let place = Place::new();
    let data = place.data();
    place.configure("", &data, "", &token_source("one", "first-secret-of-one", ""));
    let gateway = place.start();
    assert_eq!(post(&place, "one", "first-secret-of-one", b"{\"n\":1}"), 200);
    assert_eq!(post(&place, "two", "x", b"{}"), 404);

    // A changed file is noticed by itself: another secret, and another source.
    let both = token_source("one", "second-secret-of-one", "")
        + &token_source("two", "the-secret-of-two", "");
    place.configure("", &data, "", &both);
    assert!(
        wait_until(LIMIT, || post(&place, "two", "the-secret-of-two", b"{\"n\":2}") == 200),
        "the new source does not receive; the log ends:\n{}",
        place.log_tail()
    );
    assert_eq!(post(&place, "one", "first-secret-of-one", b"{\"n\":3}"), 401);
    assert_eq!(post(&place, "one", "second-secret-of-one", b"{\"n\":4}"), 200);

    // A broken file changes nothing and says why.
    place.configure("", &data, "", &(both.clone() + "\n[[sauce]]\n"));
    gateway.signal("HUP");
    assert!(
        wait_until(LIMIT, || place.log().contains("was not applied")),
        "nothing was said of the broken file; the log ends:\n{}",
        place.log_tail()
    );
    assert!(place.log().contains("sauce"), "the wrong key is not named:\n{}", place.log_tail());
    assert_eq!(post(&place, "two", "the-secret-of-two", b"{\"n\":5}"), 200);

    // What is no longer declared no longer receives; its events stay.
    place.configure("", &data, "", &token_source("one", "second-secret-of-one", ""));
    gateway.signal("HUP");
    assert!(
        wait_until(LIMIT, || post(&place, "two", "the-secret-of-two", b"{\"n\":5}") == 404),
        "the removed source still receives; the log ends:\n{}",
        place.log_tail()
    );
    let events = gateway.api_list(support::EVENTS);
    assert_eq!(events.len(), 4, "{events:#?}");
    assert!(gateway.stop().success());
}

#[test]
fn rules_of_a_source_hold_from_the_file_on() {
    let place = Place::new();
    let rules = "required = [\"event\", \"data\"]\nmethods = [\"PUT\"]\n\
                 body_limit = \"64B\"\nack = { status = 202, content_type = \"text/xml\", body = \"<ok/>\" }\n\
                 dedupe = { id = \"json:id\" }";
    let text = token_source("one", "first-secret-of-one", rules);
    place.configure("", &place.data(), "", &text);
    let gateway = place.start();
    let put = |body: &str| {
        let headers = [("x-token", "first-secret-of-one"), ("content-type", "application/json")];
        Client::closing(place.address)
            .send("PUT", "/in/one", &headers, body.as_bytes())
            .expect("an answer")
    };
    assert_eq!(post(&place, "one", "first-secret-of-one", b"{}"), 405);
    let accepted = put(r#"{"id":"a","event":1,"data":{}}"#);
    assert_eq!((accepted.status, accepted.text().as_str()), (202, "<ok/>"));
    assert_eq!(accepted.header("content-type"), Some("text/xml"));
    let again = put(r#"{"id":"a","event":2,"data":{}}"#);
    assert_eq!(again.header("becket-event-id"), accepted.header("becket-event-id"));
    assert!(accepted.header("becket-event-id").is_some());
    assert_eq!(put(r#"{"id":"b","event":1}"#).status, 422);
    assert_eq!(put(&format!(r#"{{"id":"c","event":1,"data":"{}"}}"#, "x".repeat(64))).status, 413);
    let refused = gateway.api_list("/api/v1/becket/quarantine");
    assert!(refused.len() >= 2, "what was refused is not kept: {refused:#?}");
    assert!(gateway.stop().success());
}
