//! Roles and the right to see payloads: every operation tried by everybody, and every path to a
//! payload tried by those who may not see one.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::sessions::token;
use crate::support::{TOKEN, World};

const RIGHTS: &str = include_str!("data/rights.tsv");

/// One line of the table.
struct Right {
    least: &'static str,
    payloads_needed: bool,
}

fn rights() -> BTreeMap<&'static str, Right> {
    let lines = RIGHTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [id, least, _, payloads, _] = columns[..] else { panic!("{line}") };
            (id, Right { least, payloads_needed: payloads == "needed" })
        })
        .collect()
}

/// Every operation with its method and a path that leads to nothing.
fn operations() -> Vec<(String, Method, String)> {
    let document: Value = serde_json::from_str(&becket_api::openapi_document()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let mut path = path.replace(['{', '}'], "");
            if id == "becket.tail" {
                path.push_str("?wait_ms=0");
            }
            operations.push((id, method.to_uppercase().parse().unwrap(), path));
        }
    }
    operations
}

/// Asks, whatever kind of answer comes; as text.
async fn ask(world: &World, token: &str, method: &Method, path: &str) -> (StatusCode, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let response = world.send(request).await;
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

/// The code of a problem document; null if it is none.
fn code(text: &str) -> Value {
    serde_json::from_str::<Value>(text).map(|answer| answer["code"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says() {
    let world = World::new().await;
    let rights = rights();
    let mut everybody = vec![(TOKEN.to_owned(), "operator", true)];
    for (role, payloads) in [
        ("admin", true),
        ("developer", true),
        ("developer", false),
        ("viewer", true),
        ("viewer", false),
    ] {
        let given = Some(payloads).filter(|_| role != "admin");
        everybody.push((token(&world, role, given).await.1, role, payloads));
    }
    let rank = |role: &str| {
        let ranks = ["public", "viewer", "developer", "admin", "operator"];
        ranks.iter().position(|known| *known == role).unwrap()
    };
    let mut cases = 0;
    for (id, method, path) in operations() {
        let right = rights.get(id.as_str()).unwrap_or_else(|| panic!("{id} is not classified"));
        if right.least == "public" {
            continue;
        }
        for (token, role, payloads) in &everybody {
            // An empty body is wrong for whatever takes one, so that little is changed on the way.
            let (status, answer) = ask(&world, token, &method, &path).await;
            let code = code(&answer);
            let code = code.as_str().unwrap_or_default();
            let expected = match rank(role) < rank(right.least) {
                true => Some("forbidden"),
                false if right.payloads_needed && !payloads => Some("payloads_hidden"),
                false => None,
            };
            let found = Some(code).filter(|code| ["forbidden", "payloads_hidden"].contains(code));
            // Only a portal token can be logged out, which is said in the same words.
            if id != "v1.authentication.logout" {
                assert_eq!(
                    found, expected,
                    "{id} by {role}, payloads: {payloads}: {status} {answer}"
                );
            }
            cases += 1;
        }
    }
    println!("{cases} cases");
    assert!(cases > 700, "{cases}");
}

/// What stands in payloads, in senders' headers and in responses.
const CANARIES: [&str; 4] = ["CANARY", "said so", "sha256=00", "no key fits"];

#[tokio::test]
async fn nothing_of_a_payload_reaches_who_may_not_see_it() {
    let world = World::new().await;
    let body = br#"{"data":{"name":"CANARY"}}"#;
    let event = world.accept(crate::support::Wish { body, ..world.push(1) }).await.to_string();
    world.fail_all(&world.app).await;
    world.refuse(&world.alpha, "signature_mismatch").await;
    world.post("/api/v1/app", json!({ "name": "acme", "uid": "acme" })).await;
    let endpoint = json!({ "url": "https://example.com/", "uid": "ep" });
    world.post("/api/v1/app/acme/endpoint", endpoint).await;
    let filter = json!({ "filter": { "body": { "data": { "name": "other" } } } });
    let path = "/api/v1/becket/endpoint/app/filter?source=alpha";
    world.call_as(TOKEN, Method::PUT, path, Some(filter)).await;
    let message = json!({ "eventType": "a", "payload": { "name": "CANARY" } });
    let (_, message) = world.post("/api/v1/app/acme/msg", message).await;
    let message = message["id"].as_str().unwrap().to_owned();
    let attempts = world.get("/api/v1/becket/attempt").await;
    let attempt = attempts["data"][0]["id"].as_str().unwrap().to_owned();
    let number = world.get("/api/v1/becket/quarantine").await["data"][0]["number"].to_string();
    let fill = |path: &str| {
        path.replace("event_id", &event)
            .replace("msg_id", &message)
            .replace("attempt_id", &attempt)
            .replace("endpoint_id", "ep")
            .replace("app_id", "acme")
            .replace("source_id", "alpha")
            .replace("number", &number)
    };
    let shows = |text: &str| CANARIES.into_iter().find(|canary| text.contains(canary));
    for role in ["viewer", "developer"] {
        let (_, blind) = token(&world, role, Some(false)).await;
        let (_, seeing) = token(&world, role, Some(true)).await;
        let mut seen = 0;
        for (id, method, path) in operations() {
            if method != Method::GET
                || id.ends_with(".stream")
                || path.contains("/docs")
                || id.starts_with("becket.o")
            {
                continue;
            }
            let path = fill(&path);
            if id == "becket.event.body" {
                let (status, answer) = ask(&world, &blind, &method, &path).await;
                assert_eq!((status.as_u16(), code(&answer)), (403, json!("payloads_hidden")));
                continue;
            }
            let (status, answer) = ask(&world, &blind, &method, &path).await;
            assert_eq!(shows(&answer), None, "{id} {status}: {answer}");
            let (_, answer) = ask(&world, &seeing, &method, &path).await;
            seen += usize::from(shows(&answer).is_some());
        }
        assert!(seen >= 5, "the canaries are where they are looked for: {seen}");
        // What is shown only if it is asked for is a secret of the sender.
        let path = format!("/api/v1/becket/event/{event}/explain?reveal=true");
        let (_, answer) = world.call_as(&blind, Method::GET, &path, None).await;
        assert_eq!(answer["code"], "payloads_hidden");
        let (status, answer) = world.call_as(&seeing, Method::GET, &path, None).await;
        assert_eq!(status == StatusCode::OK, role == "developer", "{answer}");
    }
}

#[tokio::test]
async fn what_is_left_out_is_said() {
    let world = World::new().await;
    let event = world.accept(world.push(1)).await;
    world.fail_all(&world.app).await;
    let (_, blind) = token(&world, "viewer", None).await;
    let path = format!("/api/v1/becket/event/{event}/explain");
    let (status, answer) = world.call_as(&blind, Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let request = &answer["request"];
    assert_eq!((&request["body"], &request["hidden"]), (&Value::Null, &json!(true)));
    assert_eq!(request["headers"], json!([]));
    let attempt = &answer["attempts"][0];
    assert_eq!((&attempt["hidden"], &attempt["curl"]), (&json!(true), &Value::Null));
    assert_eq!(attempt["status"], 500, "what is no payload stays");
    assert_eq!(answer["event"]["eventType"], "push");
}

#[tokio::test]
async fn tokens_are_made_with_the_least_right() {
    let world = World::new().await;
    let make = async |body: Value| world.post("/api/v1/becket/token", body).await;
    for (body, role, payloads) in [
        (json!({ "name": "a", "role": "viewer" }), "viewer", false),
        (json!({ "name": "a", "role": "viewer", "payloads": true }), "viewer", true),
        (json!({ "name": "a", "role": "developer" }), "developer", false),
        (json!({ "name": "a", "role": "admin" }), "admin", true),
        // As it was called first: it saw payloads.
        (json!({ "name": "a", "role": "read_only" }), "viewer", true),
    ] {
        let (status, made) = make(body.clone()).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        assert_eq!((&made["role"], &made["payloads"]), (&json!(role), &json!(payloads)), "{body}");
        let token = made["token"].as_str().unwrap();
        let (_, me) = world.call_as(token, Method::GET, "/api/v1/becket/self", None).await;
        assert_eq!((&me["role"], &me["payloads"]), (&json!(role), &json!(payloads)), "{body}");
        assert_eq!((&me["name"], &me["session"]), (&json!("a"), &json!(false)));
    }
    let (status, _) = make(json!({ "name": "a", "role": "admin", "payloads": false })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}
