//! Posting events, finding them again, and removing what they say.

use becket_model::NextStep;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{OTHER_TOKEN, T0, TOKEN, World, json_of};

pub const ACME: &str = "/api/v1/app/acme";

/// A world with the customer `acme` and its endpoint `main`.
pub async fn acme() -> World {
    let world = World::new().await;
    let (status, _) = world.post("/api/v1/app", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, StatusCode::CREATED);
    endpoint(&world, json!({ "uid": "main" })).await;
    world
}

/// Makes an endpoint of `acme`.
pub async fn endpoint(world: &World, mut body: Value) -> Value {
    body["url"] = json!("https://example.com/hook");
    let (status, made) = world.post(&format!("{ACME}/endpoint"), body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made
}

/// Makes event types without schemas.
pub async fn event_types(world: &World, names: &[&str]) {
    for name in names {
        let body = json!({ "name": name, "description": "" });
        assert_eq!(world.post("/api/v1/event-type", body).await.0, StatusCode::CREATED);
    }
}

/// Posts an event for `acme`.
pub async fn post(world: &World, body: Value) -> Value {
    let (status, made) = world.post(&format!("{ACME}/msg"), body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{made}");
    made
}

/// Posts a text with an idempotency key.
async fn keyed(world: &World, token: &str, key: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::post(format!("{ACME}/msg"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header("idempotency-key", key)
        .body(body.to_owned().into())
        .unwrap();
    json_of(world.send(request).await).await
}

fn ids(page: &Value) -> Vec<String> {
    let data = page["data"].as_array().unwrap().iter();
    data.map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_is_posted_is_kept_byte_for_byte_and_planned() {
    let world = acme().await;
    let body = "{\"eventType\":\"a.b\",\"payload\": \n {\"n\": 1.10 ,\"m\":12345678901234567890} }";
    let (status, made) = keyed(&world, TOKEN, "k", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{made}");
    assert_eq!(made["eventType"], "a.b");
    let id = made["id"].as_str().unwrap();
    let request = Request::get(format!("/api/v1/becket/event/{id}/body"))
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .body(axum::body::Body::empty())
        .unwrap();
    let response = world.send(request).await;
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(&bytes[..], b"{\"n\": 1.10 ,\"m\":12345678901234567890}");
    let life = world.get(&format!("/api/v1/becket/event/{id}")).await;
    assert_eq!(life["deliveries"].as_array().unwrap().len(), 1);
    let shown = world.get(&format!("{ACME}/msg/{id}?with_content=false")).await;
    assert_eq!(shown["payload"], json!({}));
    assert_eq!(shown["eventId"], Value::Null);
}

#[tokio::test]
async fn labels_are_shown_and_found() {
    let world = acme().await;
    let made = post(
        &world,
        json!({
            "eventType": "user.signup", "payload": { "a": 1 }, "eventId": "e-1",
            "channels": ["eu"], "tags": ["t/1"], "payloadRetentionPeriod": 3,
        }),
    )
    .await;
    let other = post(&world, json!({ "eventType": "user.left", "payload": {} })).await;
    assert_eq!(made["channels"], json!(["eu"]));
    assert_eq!(made["tags"], json!(["t/1"]));
    assert_eq!(made["payload"], json!({ "a": 1 }));
    assert_eq!(world.get(&format!("{ACME}/msg/e-1")).await, made);
    let list = async |query: &str| ids(&world.get(&format!("{ACME}/msg?{query}")).await);
    let (first, second) = (made["id"].as_str().unwrap(), other["id"].as_str().unwrap());
    assert_eq!(list("").await, [second, first]);
    assert_eq!(list("channel=eu").await, [first]);
    assert_eq!(list("tag=t/1").await, [first]);
    assert_eq!(list("tag=t").await, Vec::<String>::new());
    assert_eq!(list("event_types=user.left,other").await, [second]);
    let page = world.get(&format!("{ACME}/msg?limit=1")).await;
    assert_eq!((&page["done"], &page["prevIterator"]), (&json!(false), &Value::Null));
    let iterator = page["iterator"].as_str().unwrap();
    let next = world.get(&format!("{ACME}/msg?limit=1&iterator={iterator}")).await;
    assert_eq!(ids(&next), [first]);
    let back = next["prevIterator"].as_str().unwrap();
    let again = world.get(&format!("{ACME}/msg?limit=1&iterator={back}")).await;
    assert_eq!(ids(&again), [second]);
    assert_eq!(again["prevIterator"], Value::Null);
}

#[tokio::test]
async fn repeats_are_told_apart() {
    let world = acme().await;
    let body = r#"{"eventType":"a","payload":{"n":1}}"#;
    let (_, first) = keyed(&world, TOKEN, "one", body).await;
    let (status, again) = keyed(&world, TOKEN, "one", body).await;
    assert_eq!((status, &again), (StatusCode::ACCEPTED, &first));
    let (status, refused) =
        keyed(&world, TOKEN, "one", r#"{"eventType":"a","payload":{"n":2}}"#).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_mismatch"))
    );
    let (_, other) = keyed(&world, TOKEN, "two", body).await;
    assert_ne!(other["id"], first["id"]);
    // With an id of its own the id decides, and the same request still gets the first answer.
    let named = r#"{"eventType":"a","payload":{},"eventId":"e"}"#;
    let (_, first) = keyed(&world, TOKEN, "three", named).await;
    let (status, again) = keyed(&world, TOKEN, "three", named).await;
    assert_eq!((status, again), (StatusCode::ACCEPTED, first));
    let (status, refused) = keyed(&world, TOKEN, "four", named).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("conflict")));
    let plain = json!({ "eventType": "a", "payload": {}, "eventId": "e" });
    assert_eq!(world.post(&format!("{ACME}/msg"), plain).await.0, StatusCode::CONFLICT);
    // A key is remembered for a day.
    world.pass_ms(24 * 3_600_000 + 1);
    let (_, late) = keyed(&world, TOKEN, "one", body).await;
    assert_ne!(late["id"], again_id(&world, body).await);
    assert!(world.get(&format!("{ACME}/msg")).await["data"].as_array().unwrap().len() >= 4);
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_also_when_it_would_be_refused_by_now() {
    let world = acme().await;
    event_types(&world, &["a", "strict"]).await;
    let body = |event_type: &str, rest: &str| {
        format!(r#"{{"eventType":"{event_type}","payload":{{"n":1}}{rest}}}"#)
    };
    // The world's clock stands at 13:00.
    let later = body("a", r#","deliverAt":"2026-01-31T13:01:05Z""#);
    let named = body("a", r#","eventId":"e-9","deliverAt":"2026-01-31T13:01:05Z""#);
    let (strict, archived) = (body("strict", ""), body("a", ""));
    let mut first = Vec::new();
    for (key, text) in [("d", &later), ("n", &named), ("s", &strict), ("x", &archived)] {
        let (status, made) = keyed(&world, TOKEN, key, text).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{made}");
        first.push(made);
    }
    world.pass_ms(30_000);
    for (key, text, made) in [("d", &later, &first[0]), ("n", &named, &first[1])] {
        let (status, again) = keyed(&world, TOKEN, key, text).await;
        assert_eq!((status, &again), (StatusCode::ACCEPTED, made));
    }
    let schema = json!({ "schemas": { "1": { "required": ["m"] } }, "validatePayloads": true });
    let path = "/api/v1/event-type/strict";
    assert_eq!(world.call_as(TOKEN, Method::PATCH, path, Some(schema)).await.0, 200);
    let path = "/api/v1/event-type/a";
    assert_eq!(world.call_as(TOKEN, Method::DELETE, path, None).await.0, 204);
    for (key, text, made) in [("s", &strict, &first[2]), ("x", &archived, &first[3])] {
        let (status, again) = keyed(&world, TOKEN, key, text).await;
        assert_eq!((status, &again), (StatusCode::ACCEPTED, made));
    }
    // What is no repeat is refused for what is wrong with it, and so is a repeat after a day.
    let other = later.replace("1}", "2}");
    for (key, text) in [("new", &later), ("d", &other), ("m", &named), ("new", &strict)] {
        let (status, refused) = keyed(&world, TOKEN, key, text).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{key}: {refused}");
        assert_ne!(refused["code"], "idempotency_mismatch");
    }
    world.pass_ms(24 * 3_600_000);
    let (status, _) = keyed(&world, TOKEN, "d", &later).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ids(&world.get(&format!("{ACME}/msg")).await).len(), 4, "nothing came twice");
}

#[tokio::test]
async fn admin_tokens_of_an_environment_share_their_keys() {
    let world = acme().await;
    let mut tokens = vec![TOKEN.to_owned()];
    for name in ["one", "two"] {
        let body = json!({ "name": name, "role": "admin" });
        let (_, made) = world.post("/api/v1/becket/token", body).await;
        tokens.push(made["token"].as_str().unwrap().to_owned());
    }
    let body = r#"{"eventType":"a","payload":{"n":1}}"#;
    let (_, first) = keyed(&world, &tokens[0], "invoice-42", body).await;
    for token in &tokens {
        let (status, again) = keyed(&world, token, "invoice-42", body).await;
        assert_eq!((status, &again), (StatusCode::ACCEPTED, &first));
    }
    assert_eq!(ids(&world.get(&format!("{ACME}/msg")).await).len(), 1);
}

async fn again_id(world: &World, body: &str) -> Value {
    keyed(world, TOKEN, "another", body).await.1["id"].clone()
}

#[tokio::test]
async fn bad_posts_name_the_place() {
    let world = acme().await;
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(1024 * 1024));
    let large: Value = serde_json::from_str(&large).unwrap();
    let soon = "2026-01-31T13:00:10Z";
    for (body, code, place) in [
        (json!({ "payload": {} }), 422, Some("eventType")),
        (json!({ "eventType": "a" }), 422, Some("payload")),
        (json!({ "eventType": "a", "payload": [1] }), 422, Some("payload")),
        (json!({ "eventType": "a b", "payload": {} }), 422, Some("eventType")),
        (json!({ "eventType": "", "payload": {} }), 422, Some("eventType")),
        (json!({ "eventType": "a", "payload": {}, "eventId": "" }), 422, Some("eventId")),
        (json!({ "eventType": "a", "payload": {}, "channels": [] }), 422, Some("channels")),
        (json!({ "eventType": "a", "payload": {}, "tags": ["a", "a"] }), 422, Some("tags")),
        (json!({ "eventType": "a", "payload": {}, "deliverAt": "x" }), 422, Some("deliverAt")),
        (json!({ "eventType": "a", "payload": {}, "deliverAt": soon }), 422, Some("deliverAt")),
        (
            json!({ "eventType": "a", "payload": {}, "payloadRetentionPeriod": 91 }),
            422,
            Some("payloadRetentionPeriod"),
        ),
        (
            json!({
                "eventType": "a", "payload": {},
                "payloadRetentionPeriod": 1, "payloadRetentionHours": 1,
            }),
            422,
            Some("payloadRetentionHours"),
        ),
        (
            json!({
                "eventType": "a", "payload": {},
                "transformationsParams": { "headers": { "a b": "c" } },
            }),
            422,
            Some("transformationsParams"),
        ),
        (json!({ "eventType": "a", "payload": large }), 413, None),
    ] {
        let (status, refused) =
            world.call_as(TOKEN, Method::POST, &format!("{ACME}/msg"), Some(body)).await;
        assert_eq!(status, code, "{refused}");
        if let Some(place) = place {
            let text = refused["detail"].to_string();
            assert!(text.contains(place), "{refused}");
        }
    }
    let fine = json!({ "eventType": "a", "payload": {} });
    let path = "/api/v1/app/nobody/msg";
    let (status, _) = world.call_as(TOKEN, Method::POST, path, Some(fine.clone())).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) =
        world.call_as(OTHER_TOKEN, Method::POST, &format!("{ACME}/msg"), Some(fine.clone())).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = world.call_as(TOKEN, Method::POST, "/api/v1/app/alpha/msg", Some(fine)).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "a source receives, nobody posts for it");
    assert_eq!(ids(&world.get(&format!("{ACME}/msg")).await).len(), 0);
}

#[tokio::test]
async fn an_application_is_made_with_its_first_event() {
    let world = acme().await;
    let body = json!({
        "eventType": "a", "payload": {},
        "application": { "name": "New", "uid": "new", "metadata": { "plan": "free" } },
    });
    for _ in 0..2 {
        let (status, _) = world.post("/api/v1/app/new/msg", body.clone()).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    let made = world.get("/api/v1/app/new").await;
    assert_eq!((&made["name"], &made["metadata"]["plan"]), (&json!("New"), &json!("free")));
    assert_eq!(ids(&world.get("/api/v1/app/new/msg").await).len(), 2);
    let (status, _) = world.call_as(TOKEN, Method::POST, "/api/v1/app/x/msg", Some(body)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "another uid than the path");
}

#[tokio::test]
async fn raw_bodies_and_later_delivery() {
    let world = acme().await;
    let made = post(
        &world,
        json!({
            "eventType": "a", "payload": {},
            "transformationsParams": {
                "rawPayload": "<x/>", "headers": { "Content-Type": "text/xml" }, "more": 1,
            },
            "deliverAt": "2026-01-31T14:00:00Z",
        }),
    )
    .await;
    assert_eq!(made["deliverAt"], "2026-01-31T14:00:00.000Z");
    assert_eq!(made["payload"]["contentType"], "text/xml");
    let id = made["id"].as_str().unwrap().parse().unwrap();
    let scope = becket_store::Scope::all(becket_store::Owner::MAIN);
    let record = world.store.event_record(scope, id).await.unwrap().unwrap();
    assert_eq!(&record.body()[..], b"<x/>");
    assert_eq!(record.headers().collect::<Vec<_>>(), [("content-type", &b"text/xml"[..])]);
    assert_eq!(record.fact(":transformations-params"), Some(r#"{"more":1}"#));
    let due = world.store.delivery_due().await.unwrap();
    assert!(due.iter().all(|due| due.due_ms == T0 + 2 * 3_600_000), "{due:?}");
}

#[tokio::test]
async fn schemas_are_enforced_where_asked_for() {
    let world = acme().await;
    let schema = json!({
        "type": "object", "required": ["id"],
        "properties": { "id": { "type": "string" }, "deep": { "items": { "maximum": 3 } } },
    });
    let kind = |extra: Value| {
        let mut body = json!({ "name": "t", "description": "d", "schemas": { "1": schema } });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    world.post("/api/v1/event-type", kind(json!({}))).await;
    let wrong = json!({ "eventType": "t", "payload": { "id": 17, "deep": [1, 9] } });
    post(&world, wrong.clone()).await;
    let path = format!("{ACME}/msg");
    world
        .call_as(
            TOKEN,
            Method::PATCH,
            "/api/v1/event-type/t",
            Some(json!({ "validatePayloads": true })),
        )
        .await;
    let (status, refused) = world.call_as(TOKEN, Method::POST, &path, Some(wrong.clone())).await;
    assert_eq!((status.as_u16(), &refused["code"]), (422, &json!("payload_invalid")), "{refused}");
    let places: Vec<&Value> =
        refused["detail"].as_array().unwrap().iter().map(|one| &one["loc"]).collect();
    assert_eq!(
        places,
        [&json!(["body", "payload", "id"]), &json!(["body", "payload", "deep", "1"])]
    );
    assert!(!refused.to_string().contains("17"), "no values: {refused}");
    post(&world, json!({ "eventType": "t", "payload": { "id": "x" } })).await;
    // The application may ask too; then unknown types are refused.
    let unknown = json!({ "eventType": "unheard", "payload": {} });
    post(&world, unknown.clone()).await;
    let patch = json!({ "validatePayloads": true });
    let (status, _) = world.call_as(TOKEN, Method::PATCH, ACME, Some(patch)).await;
    assert_eq!(status, StatusCode::OK);
    let (status, refused) = world.call_as(TOKEN, Method::POST, &path, Some(unknown)).await;
    assert_eq!((status.as_u16(), &refused["code"]), (422, &json!("payload_invalid")));
    // Archived types take nothing.
    world.call_as(TOKEN, Method::DELETE, "/api/v1/event-type/t", None).await;
    let fine = json!({ "eventType": "t", "payload": { "id": "x" } });
    let (status, _) = world.call_as(TOKEN, Method::POST, &path, Some(fine)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ids(&world.get(&path).await).len(), 3, "nothing refused was kept");
}

#[tokio::test]
async fn payloads_are_removed_for_good() {
    let world = acme().await;
    let one =
        post(&world, json!({ "eventType": "a", "payload": { "s": 1 }, "eventId": "x" })).await;
    let id = one["id"].as_str().unwrap();
    let (status, _) =
        world.call_as(TOKEN, Method::DELETE, &format!("{ACME}/msg/x/content"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let shown = world.get(&format!("{ACME}/msg/{id}")).await;
    assert_eq!((&shown["payload"], &shown["eventId"]), (&json!({ "expired": true }), &json!("x")));
    let two = post(&world, json!({ "eventType": "a", "payload": { "s": 2 } })).await;
    let (status, results) = world
        .post(&format!("{ACME}/msg/bulk-expunge"), json!({ "ids": ["x", two["id"], "nobody"] }))
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(results["results"]["nobody"], "not-found");
    assert_eq!(results["results"]["x"], "expunged");
    assert_eq!(results["results"][two["id"].as_str().unwrap()], "expunged");
    for _ in 0..3 {
        post(&world, json!({ "eventType": "a", "payload": { "s": 3 } })).await;
    }
    let path = format!("{ACME}/msg/expunge-all-contents");
    let (status, task) = world.call_as(TOKEN, Method::POST, &path, None).await;
    assert_eq!(
        (status, &task["task"]),
        (StatusCode::ACCEPTED, &json!("application.purge_content"))
    );
    let done = finished(&world, &task).await;
    assert_eq!(done["data"]["messagesPurged"], 5);
    let page = world.get(&format!("{ACME}/msg")).await;
    for message in page["data"].as_array().unwrap() {
        assert_eq!(message["payload"], json!({ "expired": true }));
    }
    let resend = format!("{ACME}/msg/{id}/endpoint/main/resend");
    let (status, _) = world.call_as(TOKEN, Method::POST, &resend, None).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

/// Waits for a task.
pub async fn finished(world: &World, task: &Value) -> Value {
    let path = format!("/api/v1/background-task/{}", task["id"].as_str().unwrap());
    for _ in 0..1_000 {
        let shown = world.get(&path).await;
        if shown["status"] != "running" {
            return shown;
        }
        tokio::task::yield_now().await;
    }
    panic!("{task} never ends");
}

#[tokio::test]
async fn attempts_are_shown_and_forgotten() {
    let world = acme().await;
    let made =
        post(&world, json!({ "eventType": "a", "payload": { "s": 1 }, "channels": ["c"] })).await;
    let id = made["id"].as_str().unwrap();
    let endpoints = world.store.config_list(becket_store::Owner::MAIN).await.unwrap().endpoints;
    let main = endpoints.iter().find(|known| known.uid.as_deref() == Some("main")).unwrap();
    for _ in 0..3 {
        world.attempt_all(main, NextStep::RetryAt(T0), Some(500)).await;
    }
    world.deliver_all(main).await;
    for path in [format!("{ACME}/attempt/msg/{id}"), format!("{ACME}/attempt/endpoint/main")] {
        let all = world.get(&path).await;
        assert_eq!(ids(&all).len(), 4, "{path}");
        assert_eq!(all["data"][0]["response"], "said so");
        let page = world.get(&format!("{path}?limit=3")).await;
        let iterator = page["iterator"].as_str().unwrap();
        let next = world.get(&format!("{path}?limit=3&iterator={iterator}")).await;
        assert_eq!(ids(&next), ids(&all)[3..]);
        let back = next["prevIterator"].as_str().unwrap();
        let again = world.get(&format!("{path}?limit=2&iterator={back}")).await;
        assert_eq!(ids(&again), ids(&all)[1..3], "{path}");
        let back = again["prevIterator"].as_str().unwrap();
        let first = world.get(&format!("{path}?limit=2&iterator={back}")).await;
        assert_eq!(ids(&first), ids(&all)[..1], "{path}");
        let fail = world.get(&format!("{path}?status=2&status_code_class=500&channel=c")).await;
        assert_eq!(ids(&fail).len(), 3);
        assert_eq!(ids(&world.get(&format!("{path}?channel=d")).await).len(), 0, "{path}");
    }
    let all = ids(&world.get(&format!("{ACME}/attempt/msg/{id}")).await);
    let path = format!("{ACME}/msg/{id}/attempt/{}", all[0]);
    assert_eq!(world.get(&path).await["responseStatusCode"], 200);
    let (status, _) = world.call_as(TOKEN, Method::DELETE, &format!("{path}/content"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(world.get(&path).await["response"], "");
    let stats = world.get(&format!("{ACME}/endpoint/main/stats")).await;
    assert_eq!(
        stats,
        json!({ "success": 1, "pending": 0, "sending": 0, "fail": 0, "canceled": 0 })
    );
    let stats = world.get(&format!("{ACME}/endpoint/main/attempt-stats")).await;
    assert_eq!(stats, json!({ "success": 1, "fail": 3, "canceled": 0 }));
    let destinations = world.get(&format!("{ACME}/msg/{id}/endpoint")).await;
    assert_eq!(destinations["data"][0]["statusText"], "success");
    let (status, answer) = world
        .call_as(TOKEN, Method::POST, &format!("{ACME}/msg/{id}/endpoint/main/resend"), None)
        .await;
    assert_eq!((status, answer), (StatusCode::ACCEPTED, json!({})));
    let messages = world.get(&format!("{ACME}/endpoint/main/msg?with_content=false")).await;
    assert_eq!(
        (&messages["data"][0]["status"], &messages["data"][0]["id"]),
        (&json!(1), &json!(id))
    );
}

#[tokio::test]
async fn examples_go_to_one_endpoint() {
    let world = acme().await;
    event_types(&world, &["other"]).await;
    endpoint(&world, json!({ "uid": "picky", "eventTypes": ["other"] })).await;
    let schema = json!({ "type": "object", "examples": [{ "a": 1 }, { "a": 2 }] });
    let body = json!({ "name": "t", "description": "", "schemas": { "1": schema } });
    world.post("/api/v1/event-type", body).await;
    let path = format!("{ACME}/endpoint/picky/send-example");
    let (status, made) = world.post(&path, json!({ "eventType": "t", "exampleIndex": 1 })).await;
    assert_eq!((status, &made["payload"]), (StatusCode::ACCEPTED, &json!({ "a": 2 })), "{made}");
    let life = world.get(&format!("/api/v1/becket/event/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(life["deliveries"].as_array().unwrap().len(), 1);
    let own = json!({ "eventType": "t", "payload": { "b": 1 } });
    assert_eq!(world.post(&path, own).await.1["payload"], json!({ "b": 1 }));
    let (status, _) = world.post(&path, json!({ "eventType": "unheard" })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let active = async |body: Value| {
        world.post(&format!("{ACME}/msg/precheck/active"), body).await.1["active"].clone()
    };
    assert_eq!(active(json!({ "eventType": "t" })).await, json!(true), "`main` takes all");
    world.call_as(TOKEN, Method::DELETE, &format!("{ACME}/endpoint/main"), None).await;
    assert_eq!(active(json!({ "eventType": "t" })).await, json!(false));
    assert_eq!(active(json!({ "eventType": "other" })).await, json!(true));
}

#[tokio::test]
async fn usage_is_counted_in_the_background() {
    let world = acme().await;
    event_types(&world, &["a", "b"]).await;
    endpoint(&world, json!({ "uid": "picky", "eventTypes": ["b", "a"] })).await;
    for kind in ["a", "a", "c"] {
        post(&world, json!({ "eventType": kind, "payload": {} })).await;
    }
    let body = json!({
        "since": "2026-01-31T00:00:00Z", "until": "2026-02-01T00:00:00Z",
        "appIds": ["acme", "nobody"],
    });
    let (status, task) = world.post("/api/v1/stats/usage/app", body).await;
    assert_eq!((status, &task["unresolvedAppIds"]), (StatusCode::ACCEPTED, &json!(["nobody"])));
    let done = finished(&world, &task).await;
    assert_eq!(done["data"]["appStats"][0]["messageDestinations"], 5, "{done}");
    let (status, task) =
        world.call_as(TOKEN, Method::PUT, "/api/v1/stats/usage/event-types", None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let done = finished(&world, &task).await;
    let first = &done["data"]["event_types"][0];
    assert_eq!(first["explicitlySubscribedEventTypes"], json!(["a", "b"]));
    assert_eq!(first["hasCatchAllEndpoint"], true);
}
