//! Sources made and set through the API, against the real binary: what is set takes effect at once, stays
//! after a restart, and test requests are what the provider would send.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::http::{Answer, Client};
use support::sign;
use support::wait_until;

const LIMIT: Duration = Duration::from_secs(15);
const SOURCES: &str = "/api/v1/becket/source";
const SECRET: &str = "the-secret-of-this-source-0123456789";

fn call(place: &Place, method: &str, path: &str, body: &Value) -> Answer {
    let token = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Client::closing(place.address).send(method, path, &headers, body.as_bytes()).expect("an answer")
}

fn ok(answer: Answer) -> Value {
    assert!(answer.is_success(), "{} {}", answer.status, answer.text());
    answer.json()
}

fn made(place: &Place, body: Value) -> Value {
    ok(call(place, "POST", SOURCES, &body))
}

fn patched(place: &Place, uid: &str, body: Value) -> Value {
    ok(call(place, "PATCH", &format!("{SOURCES}/{uid}"), &body))
}

fn tested(place: &Place, uid: &str, body: Value) -> Value {
    ok(call(place, "POST", &format!("{SOURCES}/{uid}/test"), &body))
}

fn path_of(source: &Value) -> String {
    let url = source["receivingUrl"].as_str().expect("a URL");
    format!("/in/{}", url.rsplit('/').next().expect("its end"))
}

/// Sends what GitHub would, signed with a secret.
fn github(place: &Place, path: &str, secret: &str, delivery: &str, body: &str) -> Answer {
    let signature = sign::github(secret, body.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", signature.as_str()),
    ];
    Client::closing(place.address).send("POST", path, &headers, body.as_bytes()).expect("an answer")
}

fn start(place: &Place) -> Gateway<'_> {
    place.configure(
        "",
        &place.data(),
        "",
        "[[source]]\nid = \"declared\"\nprovider = \"none\"\nrate_limit = \"5/min\"\n",
    );
    place.start()
}

#[test]
fn settings_take_effect_at_once_and_stay() {
    let place = Place::new();
    let gateway = start(&place);
    let source = made(
        &place,
        json!({ "provider": "github", "name": "Repository", "uid": "repo", "secrets": [SECRET] }),
    );
    assert_eq!((&source["name"], &source["origin"]), (&json!("Repository"), &json!("api")));
    assert_eq!(source["credentials"], json!([{ "name": "secret", "set": true, "count": 1 }]));
    let defaults = json!({
        "eventTypes": null, "rateLimit": null, "bodyLimitBytes": null, "required": [],
        "schema": null, "onInvalid": "reject",
        "dedupe": { "enabled": true, "windowMs": 259_200_000, "hashWindowMs": 300_000, "id": null },
        "allowIps": [], "toleranceMs": null, "quietAfterMs": null,
    });
    assert_eq!(source["settings"], defaults);
    let path = path_of(&source);
    let send = |delivery: &str, body: &str| github(&place, &path, SECRET, delivery, body);

    // The size of a body.
    assert_eq!(send("1", &format!("{{\"a\":\"{}\"}}", "x".repeat(200))).status, 200);
    let shown = patched(&place, "repo", json!({ "bodyLimitBytes": 100 }));
    assert_eq!(shown["settings"]["bodyLimitBytes"], json!(100));
    assert_eq!(send("2", &format!("{{\"a\":\"{}\"}}", "x".repeat(200))).status, 413);

    // What a body has to have, and what becomes of it without.
    let schema = json!({
        "type": "object", "properties": { "n": { "type": "integer" }, "none": { "const": null } },
    });
    let wanted = json!({ "bodyLimitBytes": null, "required": ["n"], "schema": schema });
    let shown = patched(&place, "repo", wanted);
    assert_eq!(shown["settings"]["bodyLimitBytes"], json!(null));
    assert_eq!(shown["settings"]["schema"], schema);
    assert_eq!(send("3", "{\"m\":1}").status, 422);
    assert_eq!(send("4", "{\"n\":\"text\"}").status, 422);
    assert_eq!(send("5", "{\"n\":1,\"none\":null}").status, 200);
    patched(&place, "repo", json!({ "onInvalid": "accept" }));
    assert_eq!(send("6", "{\"m\":1}").status, 200);

    // Repeats.
    let event = |answer: &Answer| answer.header("becket-event-id").map(str::to_owned);
    let first = event(&send("7", "{\"n\":7}"));
    assert_eq!(event(&send("7", "{\"n\":7}")), first);
    patched(&place, "repo", json!({ "dedupe": { "enabled": false } }));
    assert_ne!(event(&send("7", "{\"n\":7}")), first);
    let shown = patched(
        &place,
        "repo",
        json!({ "dedupe": { "enabled": null, "windowMs": 60_000, "id": "json:n" } }),
    );
    let dedupe =
        json!({ "enabled": true, "windowMs": 60_000, "hashWindowMs": 300_000, "id": "json:n" });
    assert_eq!(shown["settings"]["dedupe"], dedupe);
    let other = event(&send("8", "{\"n\":8}"));
    assert_eq!(event(&send("9", "{\"n\":8,\"again\":true}")), other);

    // Event types, networks, a rate; then all of it is there after a restart.
    patched(&place, "repo", json!({ "eventTypes": ["issues.*"] }));
    let filtered = send("10", "{\"n\":10}");
    let answer =
        gateway.api("GET", &format!("/api/v1/becket/event/{}", event(&filtered).expect("an id")));
    assert!(answer.to_string().contains("filtered"), "{answer}");
    patched(&place, "repo", json!({ "eventTypes": null, "allowIps": ["192.0.2.0/24"] }));
    assert_eq!(send("11", "{\"n\":11}").status, 403);
    let wanted = json!({ "allowIps": null, "rateLimit": { "count": 1, "periodMs": 3_600_000 } });
    let shown = patched(&place, "repo", wanted);
    assert!(
        wait_until(LIMIT, || send("12", "{\"n\":12}").status == 429),
        "the rate does not hold: {}",
        place.log_tail()
    );
    assert!(gateway.stop().success());
    let gateway = place.start();
    let again = gateway.api("GET", &format!("{SOURCES}/repo"));
    assert_eq!(again["settings"], shown["settings"]);
    assert!(gateway.stop().success());
}

#[test]
fn what_cannot_be_set_is_said_and_changes_nothing() {
    let place = Place::new();
    let gateway = start(&place);
    let source = made(&place, json!({ "provider": "github", "name": "It", "uid": "it" }));
    for (body, field) in [
        (json!({ "rateLimit": { "count": 0, "periodMs": 1_000 } }), "rateLimit"),
        (json!({ "rateLimit": { "count": 1, "periodMs": 1_001 } }), "rateLimit"),
        (json!({ "bodyLimitBytes": 0 }), "bodyLimitBytes"),
        (json!({ "bodyLimitBytes": 1_u64 << 31 }), "bodyLimitBytes"),
        (json!({ "required": [""] }), "required"),
        (json!({ "schema": { "type": "strin" } }), "schema"),
        (json!({ "schema": { "$ref": "http://127.0.0.1:1/x" } }), "schema"),
        (json!({ "dedupe": { "id": "nowhere" } }), "dedupe"),
        (json!({ "allowIps": ["10.0.0.1/8"] }), "allowIps"),
        (json!({ "allowIps": ["everywhere"] }), "allowIps"),
        (json!({ "eventTypes": 7 }), "eventTypes"),
        (json!({ "unknown": 7 }), "not allowed"),
    ] {
        let answer = call(&place, "PATCH", &format!("{SOURCES}/it"), &body);
        assert_eq!(answer.status, 422, "{body} {}", answer.text());
        assert!(answer.text().contains(field), "{body} {}", answer.text());
    }
    assert_eq!(gateway.api("GET", &format!("{SOURCES}/it"))["settings"], source["settings"]);

    // A source of the file is shown with what the file says, and changed there.
    let declared = gateway.api("GET", &format!("{SOURCES}/declared"));
    assert_eq!(declared["settings"]["rateLimit"], json!({ "count": 5, "periodMs": 60_000 }));
    for (method, path, body) in [
        ("PATCH", format!("{SOURCES}/declared"), json!({ "rateLimit": null })),
        ("PUT", format!("{SOURCES}/declared/credentials"), json!({ "secrets": ["x"] })),
    ] {
        let answer = call(&place, method, &path, &body);
        assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("declared")), "{path}");
    }
    let answer = call(&place, "POST", SOURCES, &json!({ "provider": "nobody", "name": "It" }));
    assert_eq!((answer.status, &answer.json()["code"]), (422, &json!("source_invalid")));
    assert!(gateway.stop().success());
}

#[test]
fn secrets_follow_later_and_overlap_when_they_are_replaced() {
    let place = Place::new();
    let gateway = start(&place);
    let source = made(&place, json!({ "provider": "github", "name": "It", "uid": "it" }));
    assert_eq!(source["credentials"][0]["set"], json!(false));
    let path = path_of(&source);
    assert_eq!(github(&place, &path, SECRET, "1", "{}").status, 401);
    let answer = call(&place, "POST", &format!("{SOURCES}/it/test"), &json!({}));
    assert_eq!((answer.status, &answer.json()["code"]), (422, &json!("cannot_sign")));

    let put = |body: Value| ok(call(&place, "PUT", &format!("{SOURCES}/it/credentials"), &body));
    let shown = put(json!({ "secrets": [SECRET] }));
    assert!(!shown.to_string().contains(SECRET));
    assert_eq!(github(&place, &path, SECRET, "2", "{}").status, 200);

    let new = "another-secret-of-this-source-987654";
    let shown = put(json!({ "secrets": [new], "keepOldMs": 4_000 }));
    assert_eq!(shown["credentials"][0]["count"], json!(2));
    assert_eq!(github(&place, &path, new, "3", "{}").status, 200);
    assert_eq!(github(&place, &path, SECRET, "4", "{}").status, 200);
    assert!(
        wait_until(LIMIT, || github(&place, &path, SECRET, "5", "{\"n\":5}").status == 401),
        "the old secret goes on verifying"
    );
    assert_eq!(github(&place, &path, new, "6", "{}").status, 200);
    let shown = gateway.api("GET", &format!("{SOURCES}/it"));
    assert_eq!(shown["credentials"][0]["count"], json!(1));

    // Without an overlap the old one ends at once.
    put(json!({ "secrets": [SECRET] }));
    assert_eq!(github(&place, &path, new, "7", "{}").status, 401);
    assert!(gateway.stop().success());
}

#[test]
fn test_requests_are_genuine() {
    let place = Place::new();
    let gateway = start(&place);
    let whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (provider, secret) in [
        ("github", SECRET),
        ("stripe", "whsec_5JzBqk0bN2mXlqzZ6cYd0L1f7oQ3wTgH"),
        ("twilio", "0123456789abcdef0123456789abcdef"),
        ("slack", "8f742231b10e8888abcd99yyyzzz85a5"),
        ("standardwebhooks", whsec),
        ("shopify", SECRET),
    ] {
        let body =
            json!({ "provider": provider, "name": provider, "uid": provider, "secrets": [secret] });
        made(&place, body);
        let mut seen = std::collections::BTreeSet::new();
        // The first sample, that sample by its number, and the same again: each is an event.
        for body in [json!({}), json!({ "sample": 0 }), json!({})] {
            let tested = tested(&place, provider, body);
            assert_eq!(
                (&tested["status"], &tested["outcome"]),
                (&json!(200), &json!("accepted")),
                "{provider} {tested}"
            );
            assert!(!tested.to_string().contains(secret), "{provider} {tested}");
            let id = tested["eventId"].as_str().expect("an event").to_owned();
            let event = gateway.api("GET", &format!("/api/v1/becket/event/{id}"));
            assert!(event["unverified"].is_null(), "{provider} is not genuine: {event}");
            assert!(seen.insert(id), "{provider}: one event for two tests");
        }
    }
    // By name, with a body of one's own, and what there is not.
    let pushed = tested(&place, "github", json!({ "eventType": "push" }));
    let headers = pushed["request"]["headers"].to_string();
    assert!(headers.contains("becket-test-") && headers.contains("\"push\""), "{headers}");
    let own = json!({ "eventType": "ping", "body": "{\"zen\":\"Keep it simple.\"}" });
    let own = tested(&place, "github", own);
    assert_eq!(
        (&own["outcome"], &own["request"]["bodyText"]),
        (&json!("accepted"), &json!("{\"zen\":\"Keep it simple.\"}"))
    );
    for body in [json!({ "sample": 999 }), json!({ "eventType": "pushh" })] {
        let answer = call(&place, "POST", &format!("{SOURCES}/github/test"), &body);
        assert_eq!(answer.status, 422, "{}", answer.text());
    }

    // It goes through everything: rules refuse it like any other, and say why to the operator.
    patched(&place, "github", json!({ "required": ["not.there"] }));
    let refused = tested(&place, "github", json!({}));
    assert_eq!((&refused["status"], &refused["outcome"]), (&json!(422), &json!("invalid")));
    assert!(refused["detail"].is_string() && refused["eventId"].is_null(), "{refused}");

    // A secret that travels with the request is not shown; a key that only the provider has signs nothing.
    made(&place, json!({ "provider": "gitlab", "name": "It", "uid": "lab", "secrets": [SECRET] }));
    let shown = tested(&place, "lab", json!({}));
    assert_eq!(shown["outcome"], json!("accepted"), "{shown}");
    assert!(!shown.to_string().contains(SECRET), "{shown}");
    made(
        &place,
        json!({ "provider": "discord", "name": "It", "uid": "discord", "publicKey": "e".repeat(64) }),
    );
    let answer = call(&place, "POST", &format!("{SOURCES}/discord/test"), &json!({}));
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (422, &json!("cannot_sign")),
        "{}",
        answer.text()
    );
    assert!(gateway.stop().success());
}

#[test]
fn a_public_url_is_what_tests_sign() {
    let place = Place::new();
    let server = "public_url = \"https://hooks.example.com/base\"";
    place.configure(server, &place.data(), "", "");
    let gateway = place.start();
    let body = json!({ "provider": "twilio", "name": "It", "uid": "it", "secrets": ["0123456789abcdef0123456789abcdef"] });
    let source = made(&place, body);
    assert!(
        source["receivingUrl"]
            .as_str()
            .is_some_and(|url| url.starts_with("https://hooks.example.com/base/in/"))
    );
    let shown = tested(&place, "it", json!({}));
    assert_eq!(shown["outcome"], json!("accepted"), "{shown}");
    assert!(gateway.stop().success());
}
