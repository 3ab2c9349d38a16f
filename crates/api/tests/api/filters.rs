//! Filters of endpoints: shown and set, asked when an event is posted, told afterwards, and asked again
//! by what sends many events anew.

use http::Method;
use serde_json::{Value, json};

use crate::shapes::Shapes;
use crate::support::{TOKEN, World};

const SINCE: &str = "2026-01-01T00:00:00Z";

/// An application `shop` with the endpoints `all` and `paid`.
async fn shop() -> World {
    let world = World::new().await;
    for (path, body) in [
        ("/api/v1/app", json!({ "name": "Shop", "uid": "shop" })),
        ("/api/v1/event-type", json!({ "name": "order.changed", "description": "An order." })),
        ("/api/v1/app/shop/endpoint", json!({ "url": "https://example.com/a", "uid": "all" })),
        ("/api/v1/app/shop/endpoint", json!({ "url": "https://example.com/p", "uid": "paid" })),
    ] {
        let (status, answer) = world.post(path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
    }
    world
}

async fn set(world: &World, endpoint: &str, filter: Value) -> (u16, Value) {
    let path = format!("/api/v1/becket/endpoint/{endpoint}/filter");
    let body = json!({ "filter": filter });
    let (status, answer) = world.call_as(TOKEN, Method::PUT, &path, Some(body)).await;
    (status.as_u16(), answer)
}

async fn post(world: &World, state: &str, total: u64) -> String {
    let payload = json!({ "state": state, "total": total });
    let body = json!({ "eventType": "order.changed", "payload": payload });
    let (_, made) = world.post("/api/v1/app/shop/msg", body).await;
    made["id"].as_str().unwrap().to_owned()
}

async fn delivered_to(world: &World, event: &str) -> Vec<String> {
    let event = world.get(&format!("/api/v1/becket/event/{event}")).await;
    let deliveries = event["deliveries"].as_array().unwrap();
    deliveries.iter().map(|one| one["endpoint"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_filter_is_set_shown_and_taken_away() {
    let shapes = Shapes::load();
    let world = shop().await;
    let path = "/api/v1/becket/endpoint/paid/filter";
    let none = world.get(path).await;
    shapes.check("becket.endpoint.filter.get", http::StatusCode::OK, &none);
    assert_eq!(none["filter"], Value::Null);
    let filter = json!({ "body": { "state": { "$in": ["paid"] }, "total": { "$gte": 10 } } });
    let (status, made) = set(&world, "paid", filter.clone()).await;
    shapes.check("becket.endpoint.filter.set", http::StatusCode::OK, &made);
    assert_eq!((status, &made["filter"], &made["origin"]), (200, &filter, &json!("api")));
    assert_eq!(world.get(path).await["filter"], filter);
    let patch = json!({ "description": "who has paid" });
    let endpoint = "/api/v1/app/shop/endpoint/paid";
    let (status, _) = world.call_as(TOKEN, Method::PATCH, endpoint, Some(patch)).await;
    let put = json!({ "url": "https://example.com/other" });
    let (again, _) = world.call_as(TOKEN, Method::PUT, endpoint, Some(put)).await;
    assert!(status.is_success() && again.is_success());
    assert_eq!(world.get(path).await["filter"], filter, "other changes leave it");
    let (_, gone) = set(&world, "paid", Value::Null).await;
    assert_eq!(gone["filter"], Value::Null);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused() {
    let world = shop().await;
    for (filter, named) in [
        (json!({ "body": { "a": { "$startswith": "x" } } }), "body.a.$startswith"),
        (json!({ "header": {} }), "did you mean headers"),
        (json!({ "body": { "a": { "$gt": null } } }), "a number or a text"),
    ] {
        let (status, answer) = set(&world, "paid", filter).await;
        assert_eq!(status, 422, "{answer}");
        assert!(answer.to_string().contains(named), "{answer}");
    }
    let (status, _) = set(&world, "paid", json!("text")).await;
    assert_eq!(status, 422);
    let (status, answer) = set(&world, "nobody", json!({})).await;
    assert_eq!((status, &answer["code"]), (404, &json!("not_found")));
    let (status, answer) = set(&world, "alpha%2Fapp", json!({})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("declared")), "{answer}");
}

#[tokio::test]
async fn an_event_says_whose_filter_refused_it() {
    let shapes = Shapes::load();
    let world = shop().await;
    set(&world, "paid", json!({ "body": { "state": "paid" } })).await;
    let open = post(&world, "open", 5).await;
    let paid = post(&world, "paid", 5).await;
    assert_eq!(delivered_to(&world, &open).await, ["all"]);
    assert_eq!(delivered_to(&world, &paid).await, ["all", "paid"]);
    let event = world.get(&format!("/api/v1/becket/event/{open}")).await;
    shapes.check("becket.event.get", http::StatusCode::OK, &event);
    let filtered = &event["filteredBy"][0];
    assert_eq!(filtered["endpoint"], "paid");
    assert_eq!(
        (&filtered["clause"], &filtered["expected"], &filtered["found"]),
        (&json!("body.state"), &json!("\"paid\""), &json!("\"open\""))
    );
    let reason = async |event: &str| {
        let life = world.get(&format!("/api/v1/becket/event/{event}/explain")).await;
        shapes.check("becket.event.explain", http::StatusCode::OK, &life);
        let endpoints = life["endpoints"].as_array().unwrap();
        let paid = endpoints.iter().find(|one| one["endpoint"] == "shop/paid").unwrap();
        paid["reason"].as_str().unwrap().to_owned()
    };
    let clause = "clause `body.state` wants \"paid\", found \"open\"";
    assert_eq!(reason(&open).await, format!("its filter refused it: {clause}"));
    assert_eq!(reason(&paid).await, "takes every event type");
    let expunge = format!("/api/v1/app/shop/msg/{open}/content");
    world.call_as(TOKEN, Method::DELETE, &expunge, None).await;
    let told = reason(&open).await;
    assert!(told.ends_with("wants \"paid\", found what was removed"), "{told}");
}

async fn run(world: &World, name: &str) -> Value {
    let path = format!("/api/v1/app/shop/endpoint/paid/{name}");
    let (status, task) = world.post(&path, json!({ "since": SINCE })).await;
    assert_eq!(status.as_u16(), 202, "{task}");
    let path = format!("/api/v1/background-task/{}", task["id"].as_str().unwrap());
    loop {
        let task = world.get(&path).await;
        if task["status"] != "running" {
            return task;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn many_events_are_asked_again_and_a_single_one_is_not() {
    let world = shop().await;
    set(&world, "paid", json!({ "body": { "state": "never" } })).await;
    let (open, small) = (post(&world, "open", 5).await, post(&world, "paid", 5).await);
    let large = post(&world, "paid", 50).await;
    let task = run(&world, "replay-missing").await;
    assert_eq!((&task["data"]["started"], &task["data"]["filtered"]), (&json!(0), &json!(3)));
    set(&world, "paid", json!({ "body": { "state": "paid" } })).await;
    let task = run(&world, "replay-missing").await;
    assert_eq!((&task["data"]["started"], &task["data"]["filtered"]), (&json!(2), &json!(1)));
    assert_eq!(delivered_to(&world, &small).await, ["all", "paid"]);
    assert_eq!(delivered_to(&world, &open).await, ["all"]);

    let snapshot = world.store.config_list(becket_store::Owner::MAIN).await.unwrap();
    let paid = snapshot.endpoints.iter().find(|one| one.uid.as_deref() == Some("paid")).unwrap();
    world.fail_all(paid).await;
    set(&world, "paid", json!({ "body": { "total": { "$gt": 10 } } })).await;
    let task = run(&world, "recover").await;
    assert_eq!((&task["data"]["started"], &task["data"]["filtered"]), (&json!(1), &json!(1)));
    let due = |event: &Value| event["deliveries"][2]["state"] == "pending";
    assert!(due(&world.get(&format!("/api/v1/becket/event/{large}")).await));

    // Somebody asks for this one event at this endpoint, and means it.
    let replay = format!("/api/v1/becket/event/{open}/replay");
    let (status, answer) = world.post(&replay, json!({ "endpoint": "paid" })).await;
    assert_eq!((status.as_u16(), &answer["started"]), (202, &json!(1)));
}
