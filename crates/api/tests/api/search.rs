//! Looking for events: by application, verdict and id, and in their bytes.

use becket_model::{Disposition, EventId, NextStep};
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{T0, TOKEN, Wish, World};

fn ids(page: &Value) -> Vec<String> {
    let data = page["data"].as_array().unwrap();
    data.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

fn query(pairs: &[(&str, &str)]) -> String {
    let encoded = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    format!("/api/v1/becket/event?{}", pairs.join("&"))
}

async fn with_body(world: &World, at: i64, body: &[u8]) -> String {
    world.accept(Wish { body, ..world.push(at) }).await.to_string()
}

#[tokio::test]
async fn texts_are_found_in_bodies() {
    let world = World::new().await;
    let paid =
        with_body(&world, 1, br#"{"type":"invoice.PAID","to":"Zo\u00eb","name":"J\xc3\xbcrgen"}"#)
            .await;
    let other = with_body(&world, 2, b"no JSON, but paid too").await;
    with_body(&world, 3, b"").await;
    for (text, expected) in [
        ("paid", vec![other.clone(), paid.clone()]),
        ("invoice.paid", vec![paid.clone()]),
        ("no json", vec![other.clone()]),
        ("nowhere", vec![]),
    ] {
        let page = world.get(&query(&[("text", text)])).await;
        assert_eq!((ids(&page), &page["done"]), (expected, &json!(true)), "{text}");
        assert_eq!(page["searchedTo"], Value::Null);
    }
    let long = "x".repeat(2_000);
    assert_eq!(world.refused(Method::GET, &query(&[("text", &long)]), None).await.1, "bad_query");
}

#[tokio::test]
async fn filters_find_what_endpoints_would_take() {
    let world = World::new().await;
    let one = with_body(&world, 1, br#"{"data":{"id":"x","amount":5}}"#).await;
    let two = with_body(&world, 2, br#"{"data":{"id":"y","amount":50}}"#).await;
    with_body(&world, 3, b"no JSON").await;
    for (filter, expected) in [
        (json!({ "body": { "data": { "id": "x" } } }), vec![one.clone()]),
        (json!({ "body": { "data": { "amount": { "$gt": 4 } } } }), vec![two.clone(), one.clone()]),
        (
            json!({ "headers": { "content-type": "application/json" }, "body": { "data": { "id": "y" } } }),
            vec![two.clone()],
        ),
        (json!({ "body": { "data": { "id": "z" } } }), vec![]),
    ] {
        let page = world.get(&query(&[("filter", &filter.to_string())])).await;
        assert_eq!(ids(&page), expected, "{filter}");
    }
    let both = world
        .get(&query(&[("filter", r#"{"body":{"data":{"id":"x"}}}"#), ("text", "amount")]))
        .await;
    assert_eq!(ids(&both), [one]);
    for wrong in ["{", "[]", r#"{"body":{"a":{"$no":1}}}"#] {
        assert_eq!(
            world.refused(Method::GET, &query(&[("filter", wrong)]), None).await.1,
            "bad_query",
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn applications_verdicts_and_ids_narrow() {
    let world = World::new().await;
    let pushed = world.accept(world.push(1)).await.to_string();
    world.post("/api/v1/app", json!({ "name": "ACME", "uid": "acme" })).await;
    let message = json!({ "eventType": "paid", "payload": { "n": 1 } });
    let posted =
        world.post("/api/v1/app/acme/msg", message).await.1["id"].as_str().unwrap().to_owned();
    world.refuse(&world.alpha, "stale").await;
    let released = json!({ "reason": "it is known" });
    let (status, released) = world.post("/api/v1/becket/quarantine/1/release", released).await;
    assert!(status.is_success(), "{released}");
    let unverified = world.get(&query(&[("verdict", "unverified")])).await;
    assert_eq!(unverified["data"][0]["unverified"], "stale");
    assert_eq!(ids(&unverified).len(), 1);
    let genuine = ids(&world.get(&query(&[("verdict", "genuine")])).await);
    assert!(genuine.contains(&pushed) && genuine.contains(&posted) && genuine.len() == 2);
    assert_eq!(
        ids(&world.get(&query(&[("application", "acme")])).await),
        std::slice::from_ref(&posted)
    );
    for (pairs, expected) in [
        (vec![("id", pushed.as_str())], vec![pushed.clone()]),
        (vec![("id", &pushed), ("source", "alpha")], vec![pushed.clone()]),
        (vec![("id", &pushed), ("source", "beta")], vec![]),
        (vec![("id", &pushed), ("event_type", "pull")], vec![]),
        (vec![("id", "msg_000000000000000000000000000")], vec![]),
        (vec![("application", "acme"), ("id", &posted)], vec![posted.clone()]),
    ] {
        let page = world.get(&query(&pairs)).await;
        assert_eq!((ids(&page), &page["done"]), (expected, &json!(true)), "{pairs:?}");
    }
    for pairs in [
        vec![("verdict", "perhaps")],
        vec![("id", "nonsense")],
        vec![("application", "acme"), ("source", "alpha")],
    ] {
        assert_eq!(
            world.refused(Method::GET, &query(&pairs), None).await.1,
            "bad_query",
            "{pairs:?}"
        );
    }
    assert_eq!(world.refused(Method::GET, &query(&[("application", "nobody")]), None).await.0, 404);
}

#[tokio::test]
async fn searching_needs_the_right_to_payloads() {
    let world = World::new().await;
    with_body(&world, 1, b"secret").await;
    let role = json!({ "name": "looker", "role": "viewer", "payloads": false });
    let (_, made) = world.post("/api/v1/becket/token", role).await;
    let token = made["token"].as_str().unwrap();
    for pairs in [("text", "secret"), ("filter", r#"{"body":{"a":1}}"#)] {
        let (status, answer) = world.call_as(token, Method::GET, &query(&[pairs]), None).await;
        assert_eq!(
            (status.as_u16(), &answer["code"]),
            (403, &json!("payloads_hidden")),
            "{pairs:?}"
        );
        let tail = query(&[pairs, ("wait_ms", "0")]).replace("/event?", "/tail?");
        let (status, _) = world.call_as(token, Method::GET, &tail, None).await;
        assert_eq!(status.as_u16(), 403);
    }
    let (status, page) =
        world.call_as(token, Method::GET, &query(&[("source", "alpha")]), None).await;
    assert_eq!((status.as_u16(), ids(&page).len()), (200, 1));
}

#[tokio::test]
async fn cancelled_events_are_found_among_those_that_wait() {
    let world = World::new().await;
    let lost = world.accept(Wish { to: vec![&world.log], ..world.push(1) }).await.to_string();
    world.accept(world.push(2)).await;
    let done = world.accept(Wish { to: vec![&world.log], ..world.push(3) }).await;
    let scope = becket_store::Scope::of(becket_store::Owner::MAIN, world.alpha.key);
    let replayed = world.store.delivery_replay(scope, done, vec![world.log.key], T0).await.unwrap();
    assert!(replayed.is_some());
    world.remove_log().await;
    let page = world.get(&query(&[("status", "cancelled")])).await;
    assert_eq!(ids(&page), [done.to_string(), lost]);
}

#[tokio::test]
async fn following_takes_the_same_filters() {
    let world = World::new().await;
    let first = world.accept(world.push(1)).await.to_string();
    world.post("/api/v1/app", json!({ "name": "ACME", "uid": "acme" })).await;
    let message = json!({ "eventType": "paid", "payload": { "n": 7 } });
    let posted =
        world.post("/api/v1/app/acme/msg", message).await.1["id"].as_str().unwrap().to_owned();
    for pairs in [("application", "acme"), ("text", "\"n\":7"), ("event_type", "paid")] {
        let path =
            query(&[pairs, ("after", &first), ("wait_ms", "0")]).replace("/event?", "/tail?");
        let (status, page) = world.call_as(TOKEN, Method::GET, &path, None).await;
        assert_eq!(status.as_u16(), 200, "{page}");
        assert_eq!(ids(&page), std::slice::from_ref(&posted), "{pairs:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Pages of any size under any filter leave nothing out and tell nothing twice.
    #[test]
    fn pages_of_a_search_are_the_search(
        bodies in prop::collection::vec("[ab]{0,3}", 1..40),
        text in "[abAB]{1,2}",
        limit in 1_usize..7,
        failed in prop::collection::vec(any::<bool>(), 40),
        narrowed in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let mut expected = Vec::new();
            for (at, body) in bodies.iter().enumerate() {
                let wish = Wish {
                    body: body.as_bytes(),
                    disposition: Disposition::Accepted,
                    ..world.push(i64::try_from(at).unwrap())
                };
                let id: EventId = world.accept(wish).await;
                match failed[at] {
                    true => world.fail_all(&world.app).await,
                    false => world.attempt_all(&world.app, NextStep::Delivered, Some(200)).await,
                }
                if body.to_lowercase().contains(&text.to_lowercase()) && (failed[at] || !narrowed) {
                    expected.insert(0, id.to_string());
                }
            }
            let status = if narrowed { "&status=failed" } else { "" };
            let path = format!("{}{status}", query(&[("text", &text)]));
            assert_eq!(world.walk(&path, limit).await, expected);
        });
    }
}
