//! Events about the gateway itself reach the operational endpoints, and nothing goes in circles.

use std::sync::Arc;

use becket_api::{AttemptReported, OperationalReporter, Trouble};
use becket_model::{ApplicationKind, Clock, NextStep};
use becket_store::accept::Handoff;
use becket_store::{Endpoint, EventFilter, Owner, Page, Scope, Slice, Store};
use http::StatusCode;
use serde_json::{Value, json};

use crate::messages::{acme, post};
use crate::support::{T0, World};

/// Makes an operational endpoint.
async fn listen(world: &World, types: Value) -> String {
    let body = json!({ "url": "https://example.com/ops", "eventTypes": types });
    let (status, made) = world.post("/api/v1/operational-webhook/endpoint", body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

/// What has been told by now, oldest first, when there is as much as `expected`.
async fn told(world: &World, expected: usize) -> Vec<Value> {
    let store = world.store.as_ref();
    let (owner, kind) = (Owner::MAIN, ApplicationKind::Operational);
    let found = store.application_list(owner, kind, Slice::oldest(1)).await.unwrap();
    let scope = Scope::of(owner, found[0].key);
    let mut told = Vec::new();
    for _ in 0..2_000 {
        let page = Page::newest(100);
        let rows = store.event_list(scope, EventFilter::default(), page).await.unwrap();
        told.clear();
        for row in rows.into_iter().rev() {
            let record = store.event_record(scope, row.id).await.unwrap().unwrap();
            let payload: Value = serde_json::from_slice(&record.body()).unwrap();
            assert_eq!(row.event_type.as_deref(), payload["type"].as_str());
            // The world's own endpoint may be told of, depending on who is quicker.
            let first =
                payload["type"] == "endpoint.created" && payload["data"]["endpointUid"] == "main";
            if !first {
                told.push(payload);
            }
        }
        if told.len() >= expected {
            return told;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    panic!("only {} of {expected} are told", told.len());
}

fn reporter(world: &World) -> OperationalReporter {
    let store = Arc::clone(&world.store);
    let handoff = Arc::clone(&world.handoff) as Arc<dyn Handoff>;
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let activity = Arc::clone(world.control.activity());
    OperationalReporter::start(store, handoff, clock, 60_000, Arc::default(), activity)
}

async fn main_endpoint(store: &dyn Store) -> Endpoint {
    let endpoints = store.config_list(Owner::MAIN).await.unwrap().endpoints;
    endpoints.into_iter().find(|known| known.uid.as_deref() == Some("main")).unwrap()
}

#[tokio::test]
async fn changes_of_endpoints_are_told_in_order() {
    let world = acme().await;
    listen(&world, Value::Null).await;
    let body = json!({ "url": "https://example.com/x", "uid": "two" });
    world.post("/api/v1/app/acme/endpoint", body).await;
    let path = "/api/v1/app/acme/endpoint/two";
    let patch = Some(json!({ "description": "new" }));
    world.call_as(crate::support::TOKEN, http::Method::PATCH, path, patch).await;
    world.call_as(crate::support::TOKEN, http::Method::DELETE, path, None).await;
    let told = told(&world, 3).await;
    let types: Vec<&str> = told.iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["endpoint.created", "endpoint.updated", "endpoint.deleted"]);
    assert_eq!(told[0]["data"]["appUid"], "acme");
    assert_eq!(told[0]["data"]["endpointUid"], "two");
    assert!(told[0]["data"]["appId"].as_str().unwrap().starts_with("app_"));
}

#[tokio::test]
async fn deliveries_in_trouble_are_told_with_their_last_attempt() {
    let world = acme().await;
    listen(&world, json!(["message.attempt.failing", "message.attempt.recovered"])).await;
    let reporter = reporter(&world);
    let made = post(&world, json!({ "eventType": "a", "payload": {}, "eventId": "e-1" })).await;
    let main = main_endpoint(world.store.as_ref()).await;
    let event = made["id"].as_str().unwrap().parse().unwrap();
    for number in 1..=5 {
        let next = if number < 5 { NextStep::RetryAt(T0) } else { NextStep::Delivered };
        world.attempt_all(&main, next, Some(500)).await;
    }
    let attempts = world.get(&format!("/api/v1/app/acme/attempt/msg/{event}")).await;
    for (at, trouble) in [(1, Trouble::Failing), (0, Trouble::Recovered)] {
        reporter.attempt(AttemptReported {
            owner: Owner::MAIN,
            application: main.application,
            endpoint: main.id,
            event,
            attempt: attempts["data"][at]["id"].as_str().unwrap().parse().unwrap(),
            status: Some(500),
            started_at_ms: T0,
            trouble,
        });
    }
    let told = told(&world, 2).await;
    assert_eq!(told[0]["type"], "message.attempt.failing");
    assert_eq!(told[1]["type"], "message.attempt.recovered");
    let data = &told[0]["data"];
    assert_eq!((&data["msgId"], &data["msgEventId"]), (&made["id"], &json!("e-1")));
    assert_eq!(data["lastAttempt"]["responseStatusCode"], 500);
    assert_eq!(data["lastAttempt"]["id"], attempts["data"][1]["id"], "the fourth of five");
    assert_eq!(reporter.dropped(), 0);
}

#[tokio::test]
async fn sources_have_events_of_their_own_and_operational_ones_none() {
    let world = acme().await;
    let listener = listen(&world, Value::Null).await;
    let reporter = reporter(&world);
    reporter.endpoint_disabled(Owner::MAIN, world.app.application, world.app.id, Some(T0));
    let found = told(&world, 1).await;
    assert_eq!(found[0]["type"], "ingest.endpoint.disabled");
    assert_eq!(found[0]["data"]["failSince"], "2026-01-31T12:00:00.000Z");
    assert_eq!(found[0]["data"]["trigger"], "automatic");
    assert!(found[0]["data"]["sourceId"].as_str().unwrap().starts_with("src_"));
    // The listener itself breaks: nothing is told.
    let endpoints = world.store.config_list(Owner::MAIN).await.unwrap().endpoints;
    let own = endpoints.iter().find(|known| known.id.to_string() == listener).unwrap();
    reporter.endpoint_disabled(Owner::MAIN, own.application, own.id, None);
    reporter.endpoint_disabled(Owner::MAIN, world.app.application, world.app.id, None);
    assert_eq!(told(&world, 2).await.len(), 2);
    let exhausted = AttemptReported {
        owner: Owner::MAIN,
        application: own.application,
        endpoint: own.id,
        event: becket_model::EventId::from_bytes([0; 20]),
        attempt: becket_model::AttemptId::from_bytes([0; 20]),
        status: None,
        started_at_ms: T0,
        trouble: Trouble::Exhausted,
    };
    reporter.attempt(exhausted);
    reporter.endpoint_disabled(Owner::MAIN, world.app.application, world.app.id, None);
    let found = told(&world, 3).await;
    assert!(found.iter().all(|one| one["type"] == "ingest.endpoint.disabled"), "{found:?}");
}
