//! Uids that look like ids, such as those that another system gave: what has one is found by it, and
//! an id always means what has the id.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::messages::{ACME, acme, post};
use crate::support::{TOKEN, World};

const OLD_APP: &str = "app_2Nx4Yc9pQzR7sTuVwXyZ0123456";
const OLD_SOURCE: &str = "src_2Nx4Yc9pQzR7sTuVwXyZ01";
const OLD_ENDPOINT: &str = "ep_2Nx4Yc9pQzR7sTuVwXyZ0123456";
const OLD_EVENT: &str = "msg_2Nx4Yc9pQzR7sTuVwXyZ0123456";

async fn call(world: &World, method: &str, path: &str, body: Value) -> (u16, Value) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let body = Some(body).filter(|body| !body.is_null());
    let (status, answer) = world.call_as(TOKEN, method, path, body).await;
    (status.as_u16(), answer)
}

#[test]
fn they_do_look_like_ids() {
    assert!(OLD_APP.parse::<becket_model::ApplicationId>().is_ok());
    assert!(OLD_SOURCE.parse::<becket_model::SourceId>().is_ok());
    assert!(OLD_ENDPOINT.parse::<becket_model::EndpointId>().is_ok());
    assert!(OLD_EVENT.parse::<becket_model::EventId>().is_ok());
}

#[tokio::test]
async fn a_program_goes_on_with_the_ids_of_another_system() {
    let world = World::new().await;
    let app = format!("/api/v1/app/{OLD_APP}");
    let body = json!({ "name": "Moved", "uid": OLD_APP });
    assert_eq!(call(&world, "POST", "/api/v1/app", body).await.0, 201);
    let endpoint = json!({ "uid": OLD_ENDPOINT, "url": "https://example.com/" });
    assert_eq!(call(&world, "POST", &format!("{app}/endpoint"), endpoint).await.0, 201);
    let message = json!({ "eventType": "a", "payload": { "n": 1 }, "eventId": OLD_EVENT });
    let (status, made) = call(&world, "POST", &format!("{app}/msg"), message).await;
    assert_eq!((status, &made["eventId"]), (202, &json!(OLD_EVENT)), "{made}");
    let own = format!("{app}/endpoint/{OLD_ENDPOINT}");
    for path in [
        app.clone(),
        own.clone(),
        format!("{own}/secret"),
        format!("{own}/stats"),
        format!("{own}/msg"),
        format!("{app}/attempt/endpoint/{OLD_ENDPOINT}"),
        format!("{app}/msg/{OLD_EVENT}"),
        format!("{app}/attempt/msg/{OLD_EVENT}"),
    ] {
        let (status, shown) = call(&world, "GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {shown}");
    }
    assert_eq!(world.get(&format!("{app}/msg/{OLD_EVENT}")).await["id"], made["id"]);
    // To put keeps the uid that the path names, and to patch does not lose it.
    let (status, put) = call(&world, "PUT", &app, json!({ "name": "New name" })).await;
    assert_eq!((status, &put["uid"]), (200, &json!(OLD_APP)));
    let (status, put) = call(&world, "PUT", &own, json!({ "url": "https://example.com/b" })).await;
    assert_eq!((status, &put["uid"]), (200, &json!(OLD_ENDPOINT)));
    let (status, _) = call(&world, "PATCH", &own, json!({ "description": "d" })).await;
    assert_eq!(status, 200);
    let resend = format!("{app}/msg/{OLD_EVENT}/endpoint/{OLD_ENDPOINT}/resend");
    assert_eq!(call(&world, "POST", &resend, json!({})).await.0, 202);
    let usage = json!({
        "since": "2026-01-01T00:00:00Z", "until": "2026-02-02T00:00:00Z", "appIds": [OLD_APP],
    });
    let (status, task) = call(&world, "POST", "/api/v1/stats/usage/app", usage).await;
    assert_eq!((status, &task["unresolvedAppIds"]), (202, &json!([])));
    let content = format!("{app}/msg/{OLD_EVENT}/content");
    assert_eq!(call(&world, "DELETE", &content, Value::Null).await.0, 204);
    assert_eq!(call(&world, "DELETE", &own, Value::Null).await.0, 204);
    assert_eq!(call(&world, "DELETE", &app, Value::Null).await.0, 204);
    assert_eq!(call(&world, "GET", &app, Value::Null).await.0, 404);
    // What looks like an id and is nobody's makes nothing on the way.
    let (status, _) = call(&world, "PUT", &app, json!({ "name": "Again" })).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_source_is_found_by_such_a_uid_too() {
    let world = World::new().await;
    let (ours, sources) = ("/api/v1/becket/source", "/ingest/api/v1/source");
    let body = json!({ "name": "Moved", "uid": OLD_SOURCE, "provider": "none" });
    let (status, made) = call(&world, "POST", ours, body).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("{sources}/{OLD_SOURCE}");
    assert_eq!(world.get(&path).await["id"], made["id"]);
    let body = json!({ "name": "New name", "type": "generic-webhook" });
    let (status, put) = call(&world, "PUT", &path, body).await;
    assert_eq!((status, &put["uid"]), (200, &json!(OLD_SOURCE)));
    let taken = json!({ "name": "x", "uid": made["id"], "provider": "none" });
    let (status, refused) = call(&world, "POST", ours, taken).await;
    assert_eq!((status, &refused["code"]), (409, &json!("conflict")), "{refused}");
}

#[tokio::test]
async fn the_id_of_something_is_nobody_elses_uid() {
    let world = acme().await;
    let acme_id = world.get(ACME).await["id"].as_str().unwrap().to_owned();
    let main = world.get(&format!("{ACME}/endpoint/main")).await["id"].as_str().unwrap().to_owned();
    let event = post(&world, json!({ "eventType": "a", "payload": {} })).await;
    let taken = json!({ "name": "x", "uid": acme_id });
    let (status, refused) = call(&world, "POST", "/api/v1/app", taken.clone()).await;
    assert_eq!((status, &refused["code"]), (409, &json!("conflict")), "{refused}");
    assert_eq!(call(&world, "PUT", "/api/v1/app/x", taken.clone()).await.0, 409);
    assert_eq!(
        call(&world, "POST", "/api/v1/app", json!({ "name": "y", "uid": "y" })).await.0,
        201
    );
    for (method, body) in [("PUT", taken), ("PATCH", json!({ "uid": acme_id }))] {
        let (status, refused) = call(&world, method, "/api/v1/app/y", body).await;
        assert_eq!((status, &refused["code"]), (409, &json!("conflict")), "{refused}");
    }
    let endpoints = format!("{ACME}/endpoint");
    let taken = json!({ "url": "https://example.com/", "uid": main });
    assert_eq!(call(&world, "POST", &endpoints, taken.clone()).await.0, 409);
    let other = json!({ "url": "https://example.com/", "uid": "other" });
    assert_eq!(call(&world, "POST", &endpoints, other).await.0, 201);
    for (method, body) in [("PUT", taken), ("PATCH", json!({ "uid": main }))] {
        let (status, refused) = call(&world, method, &format!("{endpoints}/other"), body).await;
        assert_eq!((status, &refused["code"]), (409, &json!("conflict")), "{refused}");
    }
    // Of another application it is free, and so is one's own.
    let theirs = json!({ "url": "https://example.com/", "uid": main });
    assert_eq!(call(&world, "POST", "/api/v1/app/y/endpoint", theirs).await.0, 201);
    let own = json!({ "uid": acme_id });
    assert_eq!(call(&world, "PATCH", ACME, own).await.0, 200);
    let app = format!("/api/v1/app/{acme_id}");
    let taken = json!({ "eventType": "a", "payload": {}, "eventId": event["id"] });
    let (status, refused) = call(&world, "POST", &format!("{app}/msg"), taken).await;
    assert_eq!((status, &refused["code"]), (409, &json!("conflict")), "{refused}");
}

#[tokio::test]
async fn what_looks_like_an_id_and_is_not_there_is_not_found() {
    let world = acme().await;
    for path in [
        format!("/api/v1/app/{OLD_APP}"),
        format!("/api/v1/app/{OLD_APP}/msg"),
        format!("{ACME}/endpoint/{OLD_ENDPOINT}"),
        format!("{ACME}/msg/{OLD_EVENT}"),
        format!("/ingest/api/v1/source/{OLD_SOURCE}"),
        format!("/api/v1/app/alpha/msg/{OLD_EVENT}"),
    ] {
        let (status, refused) = world.call_as(TOKEN, Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {refused}");
    }
}
