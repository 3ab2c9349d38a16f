//! Trying schemas: what is wrong is told by place, and nothing is stored.

use http::Method;
use serde_json::{Value, json};

use crate::support::{TOKEN, World};

const TRY: &str = "/api/v1/becket/try/schema";

async fn tried(world: &World, body: Value) -> Value {
    let (status, answer) = world.call_as(TOKEN, Method::POST, TRY, Some(body)).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

#[tokio::test]
async fn a_schema_and_a_payload_are_tried() {
    let world = World::new().await;
    let schema = json!({
        "type": "object", "required": ["id", "total"],
        "properties": { "id": { "type": "string" }, "total": { "type": "integer" } },
    });
    let answer = tried(&world, json!({ "schema": schema })).await;
    assert_eq!((&answer["schema"], &answer["violations"]), (&Value::Null, &Value::Null));
    // What is made from a schema fits it.
    let both = json!({ "schema": schema, "payload": answer["example"] });
    assert_eq!(tried(&world, both).await["violations"], json!([]));

    let both = json!({ "schema": schema, "payload": { "id": "hidden value", "total": "x" } });
    let answer = tried(&world, both).await;
    let broken = &answer["violations"];
    assert_eq!((&broken[0]["path"], &broken[0]["rule"]), (&json!("/total"), &json!("type")));
    assert!(!broken.to_string().contains("hidden value"), "{broken}");

    let wrong = json!({ "properties": { "id": { "type": "strin" } } });
    let answer = tried(&world, json!({ "schema": wrong, "payload": {} })).await;
    assert_eq!(answer["schema"]["path"], "/properties/id/type");
    assert_eq!((&answer["violations"], &answer["example"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn nobody_tries_without_a_token() {
    let world = World::new().await;
    let body = Some(json!({ "schema": true }));
    let (status, _) = world.call_as("nobody's token", Method::POST, TRY, body).await;
    assert_eq!(status, 401);
    let (status, answer) = world.call_as(TOKEN, Method::POST, TRY, Some(json!({}))).await;
    assert_eq!(status, 422, "{answer}");
}
