//! Sessions with the real binary: signed in with a token, used from a browser, still there after a
//! restart, and over when they should be.

mod support;

use std::time::Duration;

use serde_json::json;
use support::browser::Browser;
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::http::Client;
use support::wait_until;

const SELF: &str = "/api/v1/becket/self";
const LIMIT: Duration = Duration::from_secs(10);

fn status(browser: &mut Browser, place: &Place) -> u16 {
    browser.get(place.address, SELF).status
}

fn configured() -> Place {
    let place = Place::new();
    place.configure("", &place.data(), "", "");
    place
}

#[test]
fn somebody_signs_in_works_and_signs_out() {
    let place = configured();
    let gateway = place.start();
    let (at, mut browser) = (place.address, Browser::default());
    assert_eq!(status(&mut browser, &place), 401);
    assert_eq!(browser.sign_in(at, "not the token").status, 401);
    let answer = browser.sign_in(at, ADMIN_TOKEN);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.starts_with("becket-session=bks_"), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");
    let me = browser.get(at, SELF).json();
    assert_eq!((&me["session"], &me["operator"]), (&json!(true), &json!(true)), "{me}");
    let app = json!({ "name": "acme", "uid": "acme" });
    assert_eq!(browser.change(at, "POST", "/api/v1/app", &app).status, 201);
    // The same from another site's page.
    let headers = [("x-becket-session", "1"), ("origin", "http://evil.example.com")];
    let answer = browser.send(at, "POST", "/api/v1/app", &headers, &app.to_string());
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("cross_site")));
    gateway.stop();
    let gateway = place.start();
    assert_eq!(status(&mut browser, &place), 200, "a restart ends no session");
    let kept = browser.cookie(at, "becket-session").expect("it is kept").to_owned();
    assert_eq!(browser.change(at, "DELETE", "/api/v1/becket/session", &json!({})).status, 204);
    assert_eq!(browser.cookie(at, "becket-session"), None);
    browser.keep(at, "becket-session", &kept);
    assert_eq!(status(&mut browser, &place), 401, "it is over, whoever kept the cookie");
    let log = gateway.api("GET", "/api/v1/becket/audit");
    let actions: Vec<&str> = log["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    assert_eq!(
        actions,
        ["session.ended", "application.created", "session.begun", "sign_in.failed"]
    );
    let text = place.log();
    assert!(
        text.contains("session.begun") && !text.contains(&kept),
        "the log has lines, no secret"
    );
    gateway.stop();
}

#[test]
fn another_operator_token_ends_the_operators_sessions() {
    let place = configured();
    let gateway = place.start();
    let mut browser = Browser::default();
    assert_eq!(browser.sign_in(place.address, ADMIN_TOKEN).status, 200);
    gateway.stop();
    let mut command = place.command();
    command.env("BECKET_ADMIN_TOKEN", "another-admin-token-of-these-tests-only");
    let gateway = Gateway::spawn(&place, command);
    gateway.wait_ready(Duration::from_secs(20));
    assert_eq!(status(&mut browser, &place), 401);
    gateway.stop();
}

#[test]
fn behind_a_proxy_that_ends_tls() {
    let place = Place::new();
    let server =
        "trusted_proxies = [\"127.0.0.1/32\"]\npublic_url = \"https://hooks.example.com\"\n";
    place.configure(server, &place.data(), "", "");
    let gateway = place.start();
    let body = json!({ "token": ADMIN_TOKEN }).to_string();
    let sign_in = |headers: &[(&str, &str)]| {
        let path = "/api/v1/becket/session";
        let mut client = Client::closing(place.address);
        client.send("POST", path, headers, body.as_bytes()).expect("an answer")
    };
    let answer = sign_in(&[
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "192.0.2.7"),
        ("origin", "https://hooks.example.com"),
    ]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-becket-session="), "{cookie}");
    assert!(cookie.ends_with("; Secure"), "{cookie}");
    // Somebody from elsewhere, in plain text.
    let answer = sign_in(&[("x-forwarded-proto", "http"), ("x-forwarded-for", "192.0.2.7")]);
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("session_needs_https")));
    let audit = || gateway.api("GET", "/api/v1/becket/audit");
    assert_eq!(audit()["data"][0]["address"], "192.0.2.7");
    gateway.stop();
}

#[test]
fn a_changed_file_is_in_the_audit_log() {
    let place = configured();
    let gateway = place.start();
    let audit = || gateway.api_list("/api/v1/becket/audit");
    assert!(audit().is_empty());
    place.configure("", &place.data(), "", "[audit]\nretention = \"30d\"\n");
    let told = || audit().iter().any(|entry| entry["action"] == "configuration.reloaded");
    assert!(wait_until(LIMIT, told), "{}", place.log_tail());
    assert_eq!(audit()[0]["by"]["kind"], "gateway");
    gateway.stop();
}
