//! Where official clients differ among themselves, or do what the specification does not say.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::messages::{ACME, acme, endpoint, post};
use crate::support::{TOKEN, World, json_of};

async fn rotate(world: &World, agent: Option<&str>, key: &str) -> (StatusCode, Value) {
    let mut request = Request::post(format!("{ACME}/endpoint/main/secret/rotate"))
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key);
    if let Some(agent) = agent {
        request = request.header(header::USER_AGENT, agent);
    }
    json_of(world.send(request.body(Body::from("{}")).unwrap()).await).await
}

#[tokio::test]
async fn a_rotated_secret_is_shown_to_clients_that_can_read_it() {
    let world = acme().await;
    let secret = async || world.get(&format!("{ACME}/endpoint/main/secret")).await["key"].clone();
    for (number, agent) in [
        "svix-libs/2.0.0/csharp dotnet/8.0.1",
        "svix-libs/2.6.2/java jre/21.0.4",
        "svix-libs/1.99.1/kotlin kotlin/2.3.20 jre/21",
    ]
    .into_iter()
    .enumerate()
    {
        let (before, key) = (secret().await, format!("old-{number}"));
        let answer = rotate(&world, Some(agent), &key).await;
        assert_eq!(answer, (StatusCode::NO_CONTENT, Value::Null), "{agent}");
        let after = secret().await;
        assert_ne!(after, before);
        // A repeat of it is answered alike, and changes nothing.
        assert_eq!(rotate(&world, Some(agent), &key).await, answer);
        assert_eq!(secret().await, after);
    }
    for (number, agent) in [
        None,
        Some("curl/8.9"),
        Some("svix-libs/2.7.0/csharp dotnet/8.0.1"),
        Some("svix-libs/2.9.1/python"),
        Some("svix-libs/2.5.0/javascript node/v22.1.0 linux/x64"),
    ]
    .into_iter()
    .enumerate()
    {
        let (status, answer) = rotate(&world, agent, &format!("new-{number}")).await;
        assert_eq!(status, StatusCode::OK, "{agent:?}");
        assert_eq!(answer, json!({ "key": secret().await }));
    }
}

#[tokio::test]
async fn endpoints_of_an_application_are_listed_newest_first() {
    let world = acme().await;
    let mut made = vec![world.get(&format!("{ACME}/endpoint/main")).await["id"].clone()];
    for uid in ["b", "c", "d"] {
        world.pass_ms(5);
        made.push(endpoint(&world, json!({ "uid": uid })).await["id"].clone());
    }
    let oldest_first: Vec<&str> = made.iter().map(|id| id.as_str().unwrap()).collect();
    let newest_first: Vec<&str> = oldest_first.iter().rev().copied().collect();
    for limit in [1, 3, 10] {
        assert_eq!(world.walk(&format!("{ACME}/endpoint"), limit).await, newest_first);
        let path = format!("{ACME}/endpoint?order=descending");
        assert_eq!(world.walk(&path, limit).await, newest_first);
        let path = format!("{ACME}/endpoint?order=ascending");
        assert_eq!(world.walk(&path, limit).await, oldest_first);
    }
    let page = world.get(&format!("{ACME}/endpoint?limit=2")).await;
    let iterator = page["iterator"].as_str().unwrap();
    let next = world.get(&format!("{ACME}/endpoint?limit=2&iterator={iterator}")).await;
    let back = next["prevIterator"].as_str().unwrap();
    let again = world.get(&format!("{ACME}/endpoint?limit=2&iterator={back}")).await;
    assert_eq!(again["data"], page["data"]);
    // Of applications the oldest comes first.
    world.pass_ms(5);
    assert_eq!(world.post("/api/v1/app", json!({ "name": "z", "uid": "z" })).await.0, 201);
    assert_eq!(world.get("/api/v1/app?limit=1").await["data"][0]["uid"], "acme");
}

#[tokio::test]
async fn an_example_reaches_an_endpoint_whatever_it_asks_for() {
    let world = acme().await;
    let filter = json!({ "filter": { "body": { "total": { "$gte": 1_000 } } } });
    let path = "/api/v1/becket/endpoint/main/filter";
    assert_eq!(world.call_as(TOKEN, Method::PUT, path, Some(filter)).await.0, 200);
    let example = json!({ "eventType": "any", "payload": { "total": 1 } });
    let path = format!("{ACME}/endpoint/main/send-example");
    let (status, sent) = world.post(&path, example).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
    let id = sent["id"].as_str().unwrap();
    let life = world.get(&format!("/api/v1/becket/event/{id}")).await;
    assert_eq!(life["deliveries"].as_array().unwrap().len(), 1, "{life}");
    // An event that is posted is asked as ever.
    let posted = post(&world, json!({ "eventType": "any", "payload": { "total": 1 } })).await;
    let life = world.get(&format!("/api/v1/becket/event/{}", posted["id"].as_str().unwrap())).await;
    assert_eq!(life["deliveries"], json!([]));
}

#[tokio::test]
async fn usage_of_nobody_is_refused() {
    let world = acme().await;
    let ask = async |names: Value| {
        let body = json!({
            "since": "2026-01-01T00:00:00Z", "until": "2026-02-02T00:00:00Z", "appIds": names,
        });
        world.post("/api/v1/stats/usage/app", body).await
    };
    let (status, refused) = ask(json!(["nobody", "alpha"])).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused["detail"].to_string().contains("appIds"), "{refused}");
    let (status, task) = ask(json!(["nobody", "acme"])).await;
    assert_eq!((status, &task["unresolvedAppIds"]), (StatusCode::ACCEPTED, &json!(["nobody"])));
    assert_eq!(ask(Value::Null).await.0, StatusCode::ACCEPTED, "all of them");
}

#[tokio::test]
async fn what_is_never_told_cannot_be_asked_for() {
    let world = World::new().await;
    let path = "/api/v1/operational-webhook/endpoint";
    let wish = |name: &str| json!({ "url": "https://example.com/", "eventTypes": [name] });
    let (status, refused) = world.post(path, wish("message.attempt.log")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    assert!(refused["hint"].as_str().unwrap().contains("message.attempt.failing"), "{refused}");
    assert_eq!(world.post(path, wish("message.attempt.failing")).await.0, StatusCode::CREATED);
}
