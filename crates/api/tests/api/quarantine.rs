//! Refused requests over the API: filters, letting out, and the reasons as one closed set.

use becket_signature::Refusal;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{TOKEN, World};

const PATH: &str = "/api/v1/becket/quarantine";

async fn codes(world: &World, query: &str) -> Vec<String> {
    let page = world.get(&format!("{PATH}{query}")).await;
    let rows = page["data"].as_array().unwrap();
    rows.iter().map(|row| row["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_are_filtered_by_source_reason_and_time() {
    let world = World::new().await;
    for (source, code) in
        [(&world.alpha, "stale"), (&world.beta, "stale"), (&world.alpha, "schema")]
    {
        world.refuse(source, code).await;
    }
    assert_eq!(codes(&world, "").await, ["schema", "stale", "stale"]);
    assert_eq!(codes(&world, "?source=alpha").await, ["schema", "stale"]);
    assert_eq!(codes(&world, "?code=stale").await, ["stale", "stale"]);
    assert_eq!(codes(&world, "?code=stale,schema&source=beta").await, ["stale"]);
    assert!(codes(&world, "?since=2027-01-01T00:00:00Z").await.is_empty());
    assert_eq!(codes(&world, "?until=2027-01-01T00:00:00Z").await.len(), 3);
    let (status, _) =
        world.call_as(TOKEN, Method::GET, &format!("{PATH}?since=yesterday"), None).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_source_is_retried_step_by_step_in_order() {
    let world = World::new().await;
    for code in ["stale", "signature_mismatch", "stale", "stale"] {
        world.refuse(&world.alpha, code).await;
    }
    let mut body = json!({ "source": "alpha", "limit": 3 });
    let (status, first) = world.post(&format!("{PATH}/retry"), body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{first}");
    assert_eq!((&first["accepted"], &first["stay"]), (&json!(2), &json!(1)));
    let outcomes: Vec<&str> = first["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["accepted", "stays", "accepted"]);
    assert_eq!(first["results"][1]["code"], "signature_mismatch");
    assert_eq!(first["done"], false);
    body["iterator"] = first["iterator"].clone();
    body["until"] = first["until"].clone();
    let (_, second) = world.post(&format!("{PATH}/retry"), body).await;
    assert_eq!((&second["accepted"], &second["done"]), (&json!(1), &json!(true)));
    assert_eq!(codes(&world, "").await, ["signature_mismatch"]);
    let events = world.get("/api/v1/becket/event").await;
    assert_eq!(events["data"].as_array().unwrap().len(), 3);
    assert_eq!(events["data"][0]["released"]["by"], "the operator");
    assert_eq!(events["data"][0]["released"]["reason"], Value::Null);
    assert_eq!(events["data"][0]["unverified"], Value::Null);
    let (status, problem) = world.post(&format!("{PATH}/retry"), json!({})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
}

#[tokio::test]
async fn releasing_takes_the_operators_token_and_a_reason() {
    let world = World::new().await;
    world.refuse(&world.alpha, "signature_mismatch").await;
    let number = world.walk(PATH, 5).await.remove(0);
    let path = format!("{PATH}/{number}/release");
    let reason = json!({ "reason": "the sender confirmed it" });
    let made = json!({ "name": "helper", "role": "admin" });
    let (_, token) = world.post("/api/v1/becket/token", made).await;
    let helper = token["token"].as_str().unwrap();
    let (status, _) = world.call_as(helper, Method::POST, &path, Some(reason.clone())).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "another admin token is not enough");
    for empty in [json!({}), json!({ "reason": "  " }), json!({ "reason": "x".repeat(1_025) })] {
        let (status, _) = world.post(&path, empty).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let (status, out) = world.post(&path, reason).await;
    assert_eq!((status, &out["outcome"]), (StatusCode::OK, &json!("accepted")));
    let event =
        world.get(&format!("/api/v1/becket/event/{}", out["eventId"].as_str().unwrap())).await;
    assert_eq!(event["unverified"], "signature_mismatch");
    assert_eq!(event["released"]["reason"], "the sender confirmed it");
    assert_eq!(event["released"]["refusedAs"], "signature_mismatch");
    let again = json!({ "reason": "once more" });
    let (status, _) = world.post(&path, again).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "it is no longer there");
    // Retrying takes no more than the right to change things.
    world.refuse(&world.alpha, "stale").await;
    let number = world.walk(PATH, 5).await.remove(0);
    let path = format!("{PATH}/{number}/retry");
    let (status, out) = world.call_as(helper, Method::POST, &path, Some(json!({}))).await;
    assert_eq!((status, &out["outcome"]), (StatusCode::OK, &json!("accepted")));
}

#[tokio::test]
async fn a_source_of_the_api_may_only_observe() {
    let world = World::new().await;
    let body = json!({ "name": "it", "uid": "it", "type": "github", "config": { "secret": "s" } });
    let (status, made) = world.post("/ingest/api/v1/source", body.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = "/api/v1/becket/source/it";
    let settings = json!({ "verification": "observe" });
    let (status, out) = world.call_as(TOKEN, Method::PATCH, path, Some(settings.clone())).await;
    assert_eq!(status, StatusCode::OK, "{out}");
    let told = world.control.applications.lock().unwrap().last().cloned().unwrap();
    assert_eq!(told.settings.verification, becket_model::Verification::Observe);
    // Who puts it as the specification has it does not switch verification on or off by that.
    let (status, _) =
        world.call_as(TOKEN, Method::PUT, "/ingest/api/v1/source/it", Some(body)).await;
    assert_eq!(status, StatusCode::OK);
    let told = world.control.applications.lock().unwrap().last().cloned().unwrap();
    assert_eq!(told.settings.verification, becket_model::Verification::Observe);
    let (status, _) =
        world.call_as(TOKEN, Method::PATCH, "/api/v1/becket/source/alpha", Some(settings)).await;
    assert_eq!(status, StatusCode::CONFLICT, "the file's sources have it in the file");
    let wrong = json!({ "verification": "off" });
    let (status, _) = world.call_as(TOKEN, Method::PATCH, path, Some(wrong)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[test]
fn every_reason_is_in_the_documents() {
    let document: Value = serde_json::from_str(&becket_api::openapi_document()).unwrap();
    let listed: Vec<&str> = document["components"]["schemas"]["Refusal"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap())
        .collect();
    let known: Vec<&str> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(listed, known, "crates/api/src/schemas/becket.json: Refusal");
    let guide = include_str!("../../../../docs/guides/signature-doctor.md");
    for code in known {
        assert!(guide.contains(&format!("| `{code}` |")), "the guide has no row for {code}");
    }
}
