//! Tasks in the background: what they do, how they are listed, and that they outlive the process.

use becket_model::{Clock as _, NextStep};
use becket_store::{DocumentKind, Owner, Slice};
use http::Method;
use serde_json::{Value, json};

use crate::support::{OTHER_TOKEN, T0, Wish, World};

const SINCE: &str = "2026-01-01T00:00:00Z";
const TASKS: &str = "/api/v1/background-task";

async fn failed_events(count: i64) -> World {
    let world = World::new().await;
    for at in 0..count {
        world.accept(Wish { to: vec![&world.app, &world.log], ..world.push(at) }).await;
    }
    world.fail_all(&world.app).await;
    world.deliver_all(&world.log).await;
    world
}

async fn begin(world: &World, name: &str, endpoint: &str, body: Value) -> Value {
    let path = format!("/api/v1/app/alpha/endpoint/{endpoint}/{name}");
    let (status, task) = world.post(&path, body).await;
    assert_eq!((status.as_u16(), &task["status"]), (202, &json!("running")), "{task}");
    task
}

async fn end(world: &World, task: &Value) -> Value {
    let path = format!("{TASKS}/{}", task["id"].as_str().unwrap());
    for _ in 0..100_000 {
        let task = world.get(&path).await;
        if task["status"] != "running" {
            return task;
        }
        tokio::task::yield_now().await;
    }
    panic!("{task} never ends");
}

async fn run(world: &World, name: &str, endpoint: &str, body: Value) -> Value {
    end(world, &begin(world, name, endpoint, body).await).await
}

#[tokio::test]
async fn what_failed_is_recovered_and_gaps_are_filled() {
    let world = failed_events(3).await;
    let since = json!({ "since": SINCE });
    let task = run(&world, "recover", "app", since.clone()).await;
    assert_eq!((&task["status"], &task["data"]["started"]), (&json!("finished"), &json!(3)));
    assert_eq!(*world.control.woken.lock().unwrap(), [world.app.key]);
    let task = run(&world, "recover", "log", since.clone()).await;
    assert_eq!(task["data"]["started"], 0);
    let task = run(&world, "replay-missing", "declared", since.clone()).await;
    assert_eq!((&task["task"], &task["data"]["started"]), (&json!("endpoint.replay"), &json!(3)));
    let task = run(&world, "replay-missing", "declared", since).await;
    assert_eq!(task["data"]["started"], 0, "what was sent is not sent again");
    assert_eq!(world.walk(&format!("{TASKS}?status=finished"), 3).await.len(), 4);
    assert_eq!(world.walk(&format!("{TASKS}?status=failed"), 3).await.len(), 0);
    let recovered = world.walk(&format!("{TASKS}?task=endpoint.recover"), 1).await;
    assert_eq!(recovered.len(), 2);
    let mut newest_first =
        world.walk(&format!("{TASKS}?task=endpoint.recover&order=descending"), 1).await;
    newest_first.reverse();
    assert_eq!(newest_first, recovered);
}

#[tokio::test]
async fn what_still_waits_for_another_attempt_is_recovered_too() {
    let world = World::new().await;
    // Three in each state, in turns: failed for good, failed so far, delivered, never tried.
    let later = NextStep::RetryAt(T0 + 9_000_000);
    for at in 0..3 {
        world.accept(world.push(4 * at)).await;
        world.fail_all(&world.app).await;
        world.accept(world.push(4 * at + 1)).await;
        world.attempt_all(&world.app, later, Some(500)).await;
        world.accept(world.push(4 * at + 2)).await;
        world.deliver_all(&world.app).await;
    }
    world.accept(world.push(12)).await;
    let task = run(&world, "recover", "app", json!({ "since": SINCE })).await;
    let data = &task["data"];
    assert_eq!((&data["started"], &data["madeDue"]), (&json!(3), &json!(3)), "{task}");
    assert_eq!(data["messagesSent"], 6);
    let now_ms = world.clock.now_ms();
    let due = world.store.delivery_lease(world.app.key, now_ms, 60_000, 100).await.unwrap();
    assert_eq!(due.len(), 7, "all are due now");
}

#[tokio::test]
async fn what_failed_and_what_waits_is_recovered_in_steps_without_repeats() {
    let world = World::new().await;
    let later = NextStep::RetryAt(T0 + 9_000_000);
    // More of each kind than a step takes, and far more of one among the older ones.
    for at in 0..700 {
        world.accept(world.push(at)).await;
        match at < 300 || at % 10 == 0 {
            true => world.fail_all(&world.app).await,
            false => world.attempt_all(&world.app, later, None).await,
        }
    }
    let task = run(&world, "recover", "app", json!({ "since": SINCE })).await;
    let data = &task["data"];
    assert_eq!((&data["started"], &data["madeDue"]), (&json!(340), &json!(360)), "{task}");
}

#[tokio::test]
async fn a_bulk_replay_takes_what_its_filters_leave() {
    let world = failed_events(3).await;
    let other = Wish { event_type: Some("ping"), to: vec![&world.app], ..world.push(7) };
    world.accept(other).await;
    world.attempt_all(&world.app, NextStep::Delivered, Some(204)).await;
    let late = world.push(9);
    world.accept(late).await;
    world.attempt_all(&world.app, NextStep::RetryAt(T0 + 9_000_000), None).await;
    let replayed = async |filter: Value| {
        let mut body = json!({ "since": SINCE });
        body.as_object_mut().unwrap().extend(filter.as_object().unwrap().clone());
        let task = run(&world, "bulk-replay", "app", body).await;
        assert_eq!(task["status"], "finished", "{task}");
        assert_eq!(task["task"], "endpoint.bulk-replay");
        let events = task["data"]["events"].as_u64().unwrap();
        // Back to how it was: everything that was started again fails like before.
        world.control.woken.lock().unwrap().clear();
        events
    };
    assert_eq!(replayed(json!({ "eventTypes": ["nothing"] })).await, 0);
    assert_eq!(replayed(json!({ "channel": "none" })).await, 0);
    assert_eq!(replayed(json!({ "tag": "none" })).await, 0);
    assert_eq!(replayed(json!({ "statusCodeClass": 200 })).await, 1);
    assert_eq!(replayed(json!({ "statusCodeClass": 0 })).await, 1);
    assert_eq!(replayed(json!({ "statusCodeClass": 500, "status": 2 })).await, 3);
    assert_eq!(replayed(json!({ "status": 2 })).await, 0, "they are pending now");
    assert_eq!(replayed(json!({ "eventTypes": ["ping"] })).await, 1);
    assert_eq!(replayed(json!({ "until": "2026-01-31T12:00:02Z" })).await, 2);
    assert_eq!(replayed(json!({})).await, 5);
}

#[tokio::test]
async fn a_task_goes_on_after_a_restart_and_is_forgotten_later() {
    // More events than one step takes.
    let mut world = failed_events(450).await;
    world.closing.send(true).unwrap();
    let task = begin(&world, "recover", "app", json!({ "since": SINCE })).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let path = format!("{TASKS}/{}", task["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await["status"], "running", "stopped, not ended");
    world.restart();
    // Stopped between two steps and taken up again.
    for _ in 0..100_000 {
        let seen = world.get(&path).await["data"]["seen"].as_u64().unwrap_or_default();
        if seen > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    world.restart();
    let ended = end(&world, &task).await;
    assert_eq!((&ended["status"], &ended["data"]["events"]), (&json!("finished"), &json!(450)));
    world.restart();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.get(&path).await, ended, "what has ended is left alone");
    world.pass_ms(90 * 24 * 3_600_000 - 1);
    assert_eq!(world.get(&path).await, ended, "the specification lists those of 90 days");
    world.pass_ms(1);
    assert_eq!(world.refused(Method::GET, &path, None).await.0, 404);
}

#[tokio::test]
async fn tasks_are_refused_for_what_is_not_there() {
    let world = failed_events(1).await;
    let path = |endpoint: &str, name: &str| format!("/api/v1/app/alpha/endpoint/{endpoint}/{name}");
    for name in ["recover", "replay-missing", "bulk-replay"] {
        let since = Some(json!({ "since": SINCE }));
        let unknown = world.refused(Method::POST, &path("nobody", name), since.clone()).await;
        assert_eq!(unknown, (404, "not_found".to_owned()));
        let (theirs, _) =
            world.call_as(OTHER_TOKEN, Method::POST, &path("app", name), since.clone()).await;
        assert_eq!(theirs, 404);
        for body in [
            json!({}),
            json!({ "since": "yesterday" }),
            json!({ "since": SINCE, "until": "2025-01-01T00:00:00Z" }),
        ] {
            let refused = world.refused(Method::POST, &path("app", name), Some(body.clone())).await;
            assert_eq!(refused.0, 422, "{name} {body}");
        }
    }
    world.post("/api/v1/becket/endpoint/alpha%2Fapp/disable", json!({})).await;
    let since = Some(json!({ "since": SINCE }));
    let refused = world.refused(Method::POST, &path("app", "recover"), since).await;
    assert_eq!(refused, (409, "endpoint_disabled".to_owned()));
    let query = world.refused(Method::GET, &format!("{TASKS}?status=lost"), None).await;
    assert_eq!(query, (422, "bad_query".to_owned()));
    let kept = world
        .store
        .document_list(Owner::MAIN, DocumentKind::Task, None, Slice::oldest(10), 0)
        .await
        .unwrap();
    assert!(kept.is_empty(), "a refused task leaves nothing");
}

#[tokio::test]
async fn a_task_whose_endpoint_is_removed_fails_and_says_so() {
    let mut world = failed_events(2).await;
    world.closing.send(true).unwrap();
    let task = begin(&world, "recover", "log", json!({ "since": SINCE })).await;
    world.remove_log().await;
    world.restart();
    let ended = end(&world, &task).await;
    assert_eq!(ended["status"], "failed", "{ended}");
    assert!(ended["data"]["error"].as_str().unwrap().contains("endpoint"), "{ended}");
}
