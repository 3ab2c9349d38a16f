//! Counts over time: noted, written, gone on with after a restart, and read.

use std::collections::HashMap;

use becket_api::{Activity, Standing, StandingKind};
use becket_model::{ApplicationKey, EndpointKey};
use becket_store::activity::{Counts, Level, Place};
use becket_store::{Application, Endpoint, Owner};
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{OTHER, OTHER_TOKEN, T0, TOKEN, World};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

fn received<'a>(owner: Owner, application: &Application, event_type: &'a str) -> Place<'a> {
    Place {
        owner,
        application: Some(application.key),
        endpoint: None,
        event_type: Some(event_type).filter(|text| !text.is_empty()),
    }
}

fn attempted<'a>(application: &Application, endpoint: &Endpoint, event_type: &'a str) -> Place<'a> {
    Place { endpoint: Some(endpoint.key), ..received(Owner::MAIN, application, event_type) }
}

fn delivered(latency_ms: u64) -> impl FnOnce(&mut Counts) {
    move |counts| {
        counts.attempts += 1;
        counts.delivered += 1;
        counts.latency.add_ms(latency_ms);
    }
}

fn failed(counts: &mut Counts) {
    counts.attempts += 1;
    counts.attempts_failed += 1;
}

async fn flush(world: &World, activity: &Activity, at_ms: i64, pending: Option<u64>) {
    let pending = pending.map(|count| HashMap::from([(Owner::MAIN, count)]));
    activity.flush(world.store.as_ref(), pending.as_ref(), at_ms).await.unwrap();
}

fn sum(answer: &Value, name: &str) -> u64 {
    answer["points"].as_array().unwrap().iter().map(|point| point[name].as_u64().unwrap()).sum()
}

/// Everything that is asked at the world's clock, which stands at T0 + 1 h.
const HERE: &str = "/api/v1/becket/activity?since=2026-01-31T12:00:00Z&until=2026-01-31T13:00:00Z";

#[tokio::test]
async fn what_is_noted_is_read_at_once_and_after_writing() {
    let world = World::new().await;
    let activity = world.control.activity();
    let push = received(Owner::MAIN, &world.alpha, "push");
    for at in 0..5 {
        activity.note(T0 + at * MINUTE_MS, &push, |counts| {
            counts.received += 1;
            counts.bytes += 100;
        });
    }
    activity.note(T0 + 1, &received(Owner::MAIN, &world.alpha, ""), |counts| counts.refused += 2);
    let app = attempted(&world.alpha, &world.app, "push");
    activity.note(T0 + 2, &app, delivered(40));
    activity.note(T0 + 3, &app, failed);
    for round in 0..3 {
        let answer = world.get(HERE).await;
        assert_eq!(answer["stepMs"], MINUTE_MS, "an hour is shown in minutes");
        assert_eq!(answer["points"].as_array().unwrap().len(), 60, "without holes");
        let first = &answer["points"][0];
        assert_eq!(first["at"], "2026-01-31T12:00:00.000Z");
        let expected = json!({ "p50Ms": 41, "p95Ms": 41, "p99Ms": 41 });
        assert_eq!(first["latency"], expected, "round {round}");
        assert_eq!((&first["received"], &first["refused"]), (&json!(1), &json!(2)));
        assert_eq!((&first["attempts"], &first["attemptsFailed"]), (&json!(2), &json!(1)));
        assert_eq!((sum(&answer, "received"), sum(&answer, "bytes")), (5, 500));
        assert_eq!(answer["points"][7]["latency"], Value::Null);
        for step in ["ten_minutes", "hour"] {
            let coarse = world.get(&format!("{HERE}&step={step}")).await;
            assert_eq!((sum(&coarse, "received"), sum(&coarse, "delivered")), (5, 1), "{step}");
        }
        flush(&world, activity, T0 + 4 * MINUTE_MS, None).await;
    }
}

#[tokio::test]
async fn sources_applications_and_endpoints_are_told_apart() {
    let world = World::new().await;
    let activity = world.control.activity();
    let app = world.post("/api/v1/app", json!({ "name": "ACME", "uid": "acme" })).await.1;
    let message = json!({ "eventType": "paid", "eventId": "one", "payload": { "n": 1 } });
    for _ in 0..2 {
        let (status, _) = world.post("/api/v1/app/acme/msg", message.clone()).await;
        assert!(status.is_success() || status.as_u16() == 409, "{status}");
    }
    let now_ms = T0 + HOUR_MS;
    for _ in 0..3 {
        let push = received(Owner::MAIN, &world.alpha, "push");
        activity.note(now_ms, &push, |counts| counts.received += 1);
    }
    let endpoint = attempted(&world.alpha, &world.app, "push");
    activity.note(now_ms, &endpoint, delivered(7));
    activity.note(now_ms, &attempted(&world.alpha, &world.log, "push"), failed);
    for _ in 0..2 {
        let by = |dimension: &str| format!("/api/v1/becket/activity/by?dimension={dimension}");
        let sources = world.get(&by("source")).await;
        let row = |at: usize| {
            let row = &sources["data"][at];
            (row["name"].as_str().unwrap(), row["kind"].as_str().unwrap(), row["received"].as_u64())
        };
        assert_eq!(row(0), ("alpha", "source", Some(3)));
        assert_eq!(row(1), ("acme", "customer", Some(1)));
        assert_eq!(sources["data"][1]["id"], app["id"]);
        assert_eq!(sources["other"], Value::Null);
        let endpoints = world.get(&by("endpoint")).await;
        assert_eq!(endpoints["data"][0]["name"], "alpha/app");
        assert_eq!(endpoints["data"][0]["latency"]["p50Ms"], 7);
        assert_eq!(endpoints["data"].as_array().unwrap().len(), 2);
        let types = world.get(&by("event_type")).await;
        assert_eq!(
            (&types["data"][0]["name"], &types["data"][1]["name"]),
            (&json!("push"), &json!("paid"))
        );
        let one = world.get(&format!("{}&limit=1", by("source"))).await;
        assert_eq!(
            (one["data"].as_array().unwrap().len(), &one["other"]["received"]),
            (1, &json!(1))
        );
        for (query, received, attempts) in [
            ("source=alpha", 3, 2),
            ("source=beta", 0, 0),
            ("application=acme", 1, 0),
            ("endpoint=alpha/app", 0, 1),
            ("endpoint=log&source=alpha", 0, 1),
        ] {
            let answer = world.get(&format!("/api/v1/becket/activity?{query}")).await;
            assert_eq!(
                (sum(&answer, "received"), sum(&answer, "attempts")),
                (received, attempts),
                "{query}"
            );
            assert!(
                answer["points"].as_array().unwrap().iter().all(|one| one["pending"].is_null())
            );
        }
        flush(&world, activity, now_ms, None).await;
    }
}

#[tokio::test]
async fn a_restart_goes_on_and_nodes_are_added_up() {
    let world = World::new().await;
    let place = received(Owner::MAIN, &world.alpha, "push");
    let one = |counts: &mut Counts| counts.received += 1;
    let first = Activity::new("test");
    first.note(T0, &place, one);
    flush(&world, &first, T0, Some(9)).await;
    first.note(T0, &place, one);
    flush(&world, &first, T0 + 1_000, Some(4)).await;
    // It ends without a word: what it noted since is lost.
    first.note(T0, &place, one);
    drop(first);
    let other = Activity::new("other");
    other.note(T0 + 5, &place, one);
    flush(&world, &other, T0 + 2_000, None).await;
    // The next process, before and after it has written.
    let next = world.control.activity();
    let sums = async || {
        let answer = world.get(HERE).await;
        (sum(&answer, "received"), answer["points"][0]["pending"].as_u64())
    };
    assert_eq!(sums().await, (3, Some(4)));
    next.note(T0 + 6, &place, one);
    assert_eq!(sums().await, (4, Some(4)));
    flush(&world, next, T0 + 3_000, Some(2)).await;
    assert_eq!(sums().await, (4, Some(2)));
    next.note(T0 + 7, &place, one);
    assert_eq!(sums().await.0, 5);
    // Long after the stretch is over something comes late.
    flush(&world, next, T0 + 5 * MINUTE_MS, Some(0)).await;
    next.note(T0 + 8, &place, one);
    flush(&world, next, T0 + 6 * MINUTE_MS, None).await;
    assert_eq!(sums().await.0, 6);
    let answer = world.get(HERE).await;
    let waiting = |at: usize| answer["points"][at]["pending"].as_u64();
    assert_eq!((waiting(4), waiting(5), waiting(59)), (Some(2), Some(0), Some(0)));
}

#[tokio::test]
async fn owners_see_their_own() {
    let world = World::new().await;
    let activity = world.control.activity();
    let theirs = received(OTHER, &world.gamma, "secret.type");
    activity.note(T0, &theirs, |counts| counts.received += 8);
    activity.note(T0, &received(Owner::MAIN, &world.alpha, "push"), |counts| counts.received += 1);
    world
        .control
        .problems
        .lock()
        .unwrap()
        .push((OTHER, problem(StandingKind::SourceQuiet, &world.gamma)));
    let mine = world.get(HERE).await;
    assert_eq!(sum(&mine, "received"), 1);
    let (_, answer) = world.call_as(OTHER_TOKEN, Method::GET, HERE, None).await;
    assert_eq!(sum(&answer, "received"), 8);
    let by = HERE.replace("activity?", "activity/by?dimension=event_type&");
    assert_eq!(world.get(&by).await["data"].as_array().unwrap().len(), 1);
    assert_eq!(world.get("/api/v1/becket/problem").await, json!({ "data": [] }));
    for query in ["source=gamma", "endpoint=theirs"] {
        let (status, _) = world.refused(Method::GET, &format!("{HERE}&{query}"), None).await;
        assert_eq!(status, 404, "{query}");
    }
}

fn problem(kind: StandingKind, application: &Application) -> Standing {
    Standing {
        kind,
        since_ms: Some(T0),
        title: "Something is wrong".to_owned(),
        detail: "It is.".to_owned(),
        hint: "Mend it.".to_owned(),
        application: Some(application.key),
        endpoint: None,
        count: Some(3),
    }
}

#[tokio::test]
async fn problems_come_worst_first_with_names() {
    let world = World::new().await;
    let of_endpoint = Standing {
        endpoint: Some(world.app.id),
        ..problem(StandingKind::EndpointDisabled, &world.alpha)
    };
    *world.control.problems.lock().unwrap() = vec![
        (Owner::MAIN, problem(StandingKind::SourceQuiet, &world.beta)),
        (Owner::MAIN, of_endpoint),
    ];
    let answer = world.get("/api/v1/becket/problem").await;
    let (first, second) = (&answer["data"][0], &answer["data"][1]);
    assert_eq!(
        (&first["kind"], &first["severity"]),
        (&json!("endpoint_disabled"), &json!("error"))
    );
    assert_eq!((&first["source"], &first["endpoint"]), (&json!("alpha"), &json!("app")));
    assert_eq!(first["endpointId"], world.app.id.to_string());
    assert_eq!((&second["kind"], &second["source"]), (&json!("source_quiet"), &json!("beta")));
    assert_eq!(
        (&second["since"], &second["count"]),
        (&json!("2026-01-31T12:00:00.000Z"), &json!(3))
    );
}

#[tokio::test]
async fn wrong_questions_are_refused() {
    let world = World::new().await;
    for (query, code) in [
        ("?step=second", "bad_query"),
        ("?since=2026-01-31T13:00:00Z&until=2026-01-31T12:00:00Z", "bad_query"),
        // Minutes are kept for two days only.
        ("?since=2026-01-01T00:00:00Z&step=minute", "bad_query"),
        ("?since=1970-01-01T00:00:00Z", "bad_query"),
        ("?source=alpha&application=x", "bad_query"),
        ("/by", "bad_query"),
        ("/by?dimension=colour", "bad_query"),
        ("/by?dimension=source&since=1970-01-01T00:00:00Z", "bad_query"),
        ("?source=nobody", "not_found"),
    ] {
        let path = format!("/api/v1/becket/activity{query}");
        assert_eq!(world.refused(Method::GET, &path, None).await.1, code, "{path}");
    }
    let weeks = world.get("/api/v1/becket/activity?since=2026-01-01T00:00:00Z").await;
    assert_eq!(weeks["stepMs"], HOUR_MS, "what is no longer kept in minutes is shown in hours");
    let (_, portal) = world
        .call_as(TOKEN, Method::POST, "/api/v1/app", Some(json!({ "name": "p", "uid": "p" })))
        .await;
    assert!(portal["id"].is_string());
    let access = world.post("/api/v1/auth/app-portal-access/p", json!({})).await.1;
    let token = access["token"].as_str().unwrap();
    for path in ["/api/v1/becket/activity", "/api/v1/becket/problem"] {
        let (status, _) = world.call_as(token, Method::GET, path, None).await;
        assert!([401, 403].contains(&status.as_u16()), "{path}: {status}");
    }
}

/// What may happen to counts.
#[derive(Debug, Clone)]
enum Step {
    Note { minute: i64, source: u32, endpoint: u32, count: u64 },
    Write,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_i64..70, 1_u32..400, 0_u32..5, 1_u64..4)
            .prop_map(|(minute, source, endpoint, count)| Step::Note { minute, source, endpoint, count }),
        2 => Just(Step::Write),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However notes, writing and restarts alternate, every level says all that was noted.
    #[test]
    fn nothing_is_lost_but_by_a_crash(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let last = world.control.activity();
            let mut activity = Activity::new("test");
            let mut noted = 0;
            for (at, step) in steps.into_iter().enumerate() {
                let now_ms = T0 + i64::try_from(at).unwrap() * MINUTE_MS;
                match step {
                    Step::Note { minute, source, endpoint, count } => {
                        let place = Place {
                            owner: Owner::MAIN,
                            application: Some(ApplicationKey(source)),
                            endpoint: (endpoint > 0).then_some(EndpointKey(endpoint)),
                            event_type: Some("any"),
                        };
                        activity.note(T0 + minute * MINUTE_MS, &place, |counts| counts.received += count);
                        noted += count;
                    }
                    Step::Write => flush(&world, &activity, now_ms, None).await,
                    Step::Restart => {
                        flush(&world, &activity, now_ms, None).await;
                        activity = Activity::new("test");
                    }
                }
            }
            flush(&world, &activity, T0, None).await;
            drop(activity);
            assert!(last.received_by_hour(world.store.as_ref(), OTHER, (0, T0), T0).await.unwrap().is_empty());
            for level in Level::ALL {
                let path = format!(
                    "/api/v1/becket/activity?since=2026-01-31T12:00:00Z&until=2026-01-31T14:00:00Z&step={}",
                    level.as_str()
                );
                assert_eq!(sum(&world.get(&path).await, "received"), noted, "{}", level.as_str());
            }
            let by = "/api/v1/becket/activity/by?dimension=source&limit=250&since=2026-01-31T12:00:00Z&until=2026-01-31T14:00:00Z";
            let by = world.get(by).await;
            let named: u64 = by["data"].as_array().unwrap().iter().map(|one| one["received"].as_u64().unwrap()).sum();
            assert_eq!(named + by["other"]["received"].as_u64().unwrap_or(0), noted);
        });
    }
}
