//! What the API changes: replays, states, secrets.

use becket_model::{EndpointState, NextStep};
use http::Method;
use serde_json::{Value, json};

use crate::support::{T0, TOKEN, Wish, World};

const SINCE: &str = "2026-01-01T00:00:00Z";

async fn failed_events(count: i64) -> World {
    let world = World::new().await;
    for at in 0..count {
        world.accept(Wish { to: vec![&world.app, &world.log], ..world.push(at) }).await;
    }
    world.fail_all(&world.app).await;
    world.deliver_all(&world.log).await;
    world
}

async fn pending(world: &World) -> u64 {
    world.store.stats().await.unwrap().pending
}

#[tokio::test]
async fn one_event_goes_again() {
    let world = failed_events(1).await;
    let event = world.walk("/api/v1/becket/event", 5).await.remove(0);
    let replay = format!("/api/v1/becket/event/{event}/replay");
    let (status, dry) = world.post(&replay, json!({ "dryRun": true })).await;
    assert_eq!((status.as_u16(), &dry["started"], pending(&world).await), (202, &json!(2), 0));
    let (_, only_failed) = world.post(&replay, json!({ "status": "failed" })).await;
    assert_eq!((&only_failed["started"], pending(&world).await), (&json!(1), 1));
    assert_eq!(*world.control.woken.lock().unwrap(), [world.app.key]);
    let (_, again) = world.post(&replay, json!({})).await;
    assert_eq!((&again["started"], &again["madeDue"]), (&json!(1), &json!(1)));
    let (_, never_planned) = world.post(&replay, json!({ "endpoint": "declared" })).await;
    assert_eq!((&never_planned["started"], pending(&world).await), (&json!(1), 3));
    let resend = format!("/api/v1/app/alpha/msg/{event}/endpoint/log/resend");
    let (status, body) = world.post(&resend, json!({})).await;
    assert_eq!((status.as_u16(), body), (202, json!({})));
    for (body, code) in [
        (json!({ "endpoint": "nobody" }), "not_found"),
        (json!({ "status": "cancelled" }), "nothing_to_replay"),
        (json!({ "status": "lost" }), "bad_body"),
    ] {
        assert_eq!(world.refused(Method::POST, &replay, Some(body)).await.1, code);
    }
}

#[tokio::test]
async fn many_events_go_again_in_steps() {
    let world = failed_events(25).await;
    let mut body = json!({ "source": "alpha", "since": SINCE, "status": "failed", "limit": 4 });
    body["dryRun"] = json!(true);
    let (total, steps) = replay_all(&world, body.clone()).await;
    assert_eq!((total, steps, pending(&world).await), (25, 7, 0));
    body["dryRun"] = json!(false);
    let (total, _) = replay_all(&world, body.clone()).await;
    assert_eq!((total, pending(&world).await), (25, 25));
    let (total, _) = replay_all(&world, body.clone()).await;
    assert_eq!(total, 0, "what is pending has not failed");
    body["status"] = Value::Null;
    body["endpoint"] = json!("log");
    body["until"] = json!("2026-01-31T12:00:05Z");
    let (total, _) = replay_all(&world, body).await;
    assert_eq!((total, pending(&world).await), (5, 30));
}

async fn replay_all(world: &World, mut body: Value) -> (u64, u64) {
    let (mut total, mut steps) = (0, 0);
    loop {
        let (status, step) = world.post("/api/v1/becket/replay", body.clone()).await;
        assert!(status.is_success(), "{step}");
        steps += 1;
        total += step["started"].as_u64().unwrap() + step["madeDue"].as_u64().unwrap();
        if step["done"] == true {
            return (total, steps);
        }
        body["iterator"] = step["iterator"].clone();
        body["until"] = step["until"].clone();
    }
}

#[tokio::test]
async fn endpoints_are_paused_resumed_disabled_and_enabled() {
    let world = World::new().await;
    let path = format!("/api/v1/becket/endpoint/{}", world.app.id);
    for (change, state) in [
        ("pause", "paused"),
        ("pause", "paused"),
        ("resume", "enabled"),
        ("resume", "enabled"),
        ("disable", "disabled"),
        ("enable", "enabled"),
    ] {
        let (status, shown) = world.post(&format!("{path}/{change}"), json!({})).await;
        assert_eq!((status.as_u16(), &shown["state"]), (200, &json!(state)), "{change}");
    }
    world.post(&format!("{path}/disable"), json!({ "reason": "moved" })).await;
    assert_eq!(world.get(&path).await["stateReason"], "moved");
    for change in ["resume", "pause"] {
        let refused =
            world.refused(Method::POST, &format!("{path}/{change}"), Some(json!({}))).await;
        assert_eq!(refused, (409, "endpoint_disabled".to_owned()));
    }
    let event = world.accept(world.push(1)).await;
    let replay = format!("/api/v1/becket/event/{event}/replay");
    let refused = world.refused(Method::POST, &replay, Some(json!({}))).await;
    assert_eq!(refused, (409, "nothing_to_replay".to_owned()));
    let resend = format!("/api/v1/app/alpha/msg/{event}/endpoint/app/resend");
    assert_eq!(world.refused(Method::POST, &resend, None).await.1, "endpoint_disabled");
    assert!(world.control.changes.load(std::sync::atomic::Ordering::SeqCst) >= 5);
}

#[tokio::test]
async fn names_may_need_their_source() {
    let world = World::new().await;
    let refused = world.refused(Method::GET, "/api/v1/becket/endpoint/app", None).await;
    assert_eq!(refused, (409, "ambiguous_name".to_owned()));
    for path in ["/api/v1/becket/endpoint/app?source=beta", "/api/v1/becket/endpoint/beta%2Fapp"] {
        assert_eq!(world.get(path).await["source"], "beta");
    }
    assert_eq!(world.get("/api/v1/becket/endpoint/log").await["source"], "alpha");
    world.remove_log().await;
    let pause = "/api/v1/becket/endpoint/log/pause";
    assert_eq!(world.refused(Method::POST, pause, None).await.1, "endpoint_removed");
}

#[tokio::test]
async fn secrets_rotate_with_an_overlap() {
    let world = World::new().await;
    let path = "/ingest/api/v1/source/alpha/endpoint/app/secret";
    let old = world.get(path).await["key"].clone();
    let rotate = format!("{path}/rotate");
    let (status, _) = world.post(&rotate, json!({})).await;
    assert_eq!(status, 204);
    let new = world.get(path).await["key"].clone();
    assert_ne!(old, new);
    let snapshot = world.store.config_list(becket_store::Owner::MAIN).await.unwrap();
    let app = snapshot.endpoints.iter().find(|endpoint| endpoint.id == world.app.id).unwrap();
    let day_later = T0 + 3_600_000 + 86_400_000;
    assert_eq!(app.secrets[1].expires_at_ms, Some(day_later));
    assert_eq!(app.state, EndpointState::Enabled);
    let given = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5";
    world.post(&rotate, json!({ "key": given, "gracePeriodSeconds": 0 })).await;
    assert_eq!(world.get(path).await["key"], given);
    for body in [json!({ "key": "whsec_short" }), json!({ "gracePeriodSeconds": 604_801 })] {
        let (status, answer) = world.call_as(TOKEN, Method::POST, &rotate, Some(body)).await;
        assert_eq!((status.as_u16(), &answer["code"]), (422, &json!("bad_body")));
        assert!(!answer.to_string().contains("whsec_short"), "{answer}");
    }
    let declared = "/ingest/api/v1/source/alpha/endpoint/declared/secret/rotate";
    assert_eq!(world.refused(Method::POST, declared, None).await.1, "secret_declared");
    let headers = world.get("/ingest/api/v1/source/alpha/endpoint/app/headers").await;
    assert_eq!(headers, json!({ "headers": { "x-team": "blue" }, "sensitive": ["authorization"] }));
}

#[tokio::test]
async fn what_is_under_way_is_left_alone() {
    let world = World::new().await;
    let event = world.accept(world.push(1)).await;
    world.store.delivery_lease(world.app.key, T0 + 5_000, 60_000, 10).await.unwrap();
    let shown = world.get(&format!("/api/v1/becket/event/{event}")).await;
    assert_eq!(shown["deliveries"][0]["underWay"], true);
    let destinations = world.get(&format!("/api/v1/app/alpha/msg/{event}/endpoint")).await;
    assert_eq!(destinations["data"][0]["statusText"], "sending");
    let replay = format!("/api/v1/becket/event/{event}/replay");
    let (_, out) = world.post(&replay, json!({})).await;
    assert_eq!((&out["started"], &out["madeDue"]), (&json!(0), &json!(1)));
    let retry = NextStep::RetryAt(T0);
    world.attempt_all(&world.log, retry, None).await;
}
