//! Lists: complete, in order, filtered, and nothing twice.

use becket_model::{Disposition, NextStep};
use serde_json::json;

use crate::support::{T0, Wish, World};

/// Twenty events: pushes and pings for `app` and `log`, delivered, failed, pending and filtered.
async fn many() -> (World, Vec<String>) {
    let world = World::new().await;
    let mut ids = Vec::new();
    for at in 0..20 {
        let wish = Wish {
            event_type: Some(if at % 2 == 0 { "push" } else { "ping" }),
            to: if at % 4 == 3 { Vec::new() } else { vec![&world.app, &world.log] },
            disposition: if at % 4 == 3 { Disposition::Filtered } else { Disposition::Accepted },
            ..world.push(at)
        };
        ids.push(world.accept(wish).await.to_string());
        match at {
            4 => world.deliver_all(&world.app).await,
            8 => world.fail_all(&world.app).await,
            12 => world.deliver_all(&world.log).await,
            _ => {}
        }
    }
    ids.reverse();
    (world, ids)
}

#[tokio::test]
async fn pages_cover_everything_once_in_order() {
    let (world, ids) = many().await;
    for limit in [1, 2, 3, 7, 20, 21, 250] {
        assert_eq!(world.walk("/api/v1/becket/event", limit).await, ids, "limit {limit}");
        assert_eq!(world.walk("/api/v1/app/alpha/msg", limit).await, ids, "limit {limit}");
    }
    let of_app: Vec<_> = ids.iter().enumerate().filter(|(at, _)| (19 - at) % 4 != 3).collect();
    let of_app: Vec<_> = of_app.into_iter().map(|(_, id)| id.clone()).collect();
    for limit in [1, 4, 250] {
        let path = "/api/v1/app/alpha/endpoint/app/msg";
        assert_eq!(world.walk(path, limit).await, of_app, "limit {limit}");
    }
    for limit in [1, 2] {
        assert_eq!(world.walk("/ingest/api/v1/source", limit).await.len(), 2);
        assert_eq!(world.walk("/ingest/api/v1/source/alpha/endpoint", limit).await.len(), 3);
        assert_eq!(world.walk("/api/v1/becket/endpoint", limit).await.len(), 4);
        assert_eq!(world.walk("/api/v1/becket/source?order=descending", limit).await.len(), 2);
    }
}

#[tokio::test]
async fn attempts_page_through_events_with_many_and_with_none() {
    let world = World::new().await;
    for at in 0..9 {
        world.accept(world.push(at)).await;
        if at % 3 == 0 {
            for _ in 0..4 {
                world.attempt_all(&world.app, NextStep::RetryAt(T0), None).await;
            }
        }
    }
    let all = world.walk("/api/v1/becket/attempt", 250).await;
    // Events 0, 1..=3 and 4..=6 had been accepted when the rounds were made.
    assert_eq!(all.len(), 4 * (1 + 4 + 7));
    let mut unique = all.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), all.len());
    for limit in [1, 2, 3, 4, 5, 12, 47, 48] {
        assert_eq!(world.walk("/api/v1/becket/attempt", limit).await, all, "limit {limit}");
        let path = "/api/v1/app/alpha/attempt/endpoint/app";
        assert_eq!(world.walk(path, limit).await, all, "limit {limit}");
    }
    assert_eq!(world.walk("/api/v1/becket/attempt?outcome=succeeded", 2).await.len(), 0);
    assert_eq!(world.walk("/api/v1/becket/attempt?endpoint=log", 2).await.len(), 0);
    let event = &world.walk("/api/v1/becket/event", 250).await[8];
    let path = format!("/api/v1/app/alpha/attempt/msg/{event}");
    assert_eq!(world.walk(&path, 250).await.len(), 12);
    for limit in [1, 5, 12] {
        assert_eq!(world.walk(&path, limit).await, world.walk(&path, 250).await);
    }
    assert_eq!(world.walk(&format!("{path}?status=0"), 5).await.len(), 0);
    assert_eq!(world.walk(&format!("{path}?status_code_class=0"), 5).await.len(), 12);
}

#[tokio::test]
async fn filters_match_the_last_delivery() {
    let (world, ids) = many().await;
    let count =
        async |query: &str| world.walk(&format!("/api/v1/becket/event?{query}"), 3).await.len();
    assert_eq!(count("source=alpha").await, 20);
    assert_eq!(count("source=beta").await, 0);
    assert_eq!(count("endpoint=log").await, 15);
    assert_eq!(count("event_type=ping").await, 10);
    assert_eq!(count("event_type=ping,push").await, 20);
    assert_eq!(count("event_type=ping&event_type=push").await, 20);
    assert_eq!(count("disposition=filtered").await, 5);
    assert_eq!(count("status=delivered&endpoint=alpha/app").await, 4);
    assert_eq!(count("status=failed&endpoint=app&source=alpha").await, 3);
    assert_eq!(count("status=failed&endpoint=log").await, 0);
    assert_eq!(count("status=pending&endpoint=log").await, 5);
    assert_eq!(count("since=2026-01-31T12:00:05Z&until=2026-01-31T12:00:07Z").await, 2);
    // After a replay the last delivery counts, not the one that failed.
    let failed = world.walk("/api/v1/becket/event?status=failed", 250).await;
    let path = format!("/api/v1/becket/event/{}/replay", failed[0]);
    world.post(&path, json!({ "status": "failed" })).await;
    assert_eq!(count("status=failed").await, 2);
    let page = world.get(&format!("/api/v1/becket/event?after={}&limit=2", ids[19])).await;
    assert_eq!(page["data"][0]["id"], ids[18].as_str(), "`after` goes forward");
    assert_eq!(page["data"][1]["id"], ids[17].as_str());
}

#[tokio::test]
async fn removed_endpoints_show_cancelled_deliveries() {
    let world = World::new().await;
    let event = world.accept(Wish { to: vec![&world.app, &world.log], ..world.push(1) }).await;
    world.remove_log().await;
    let shown = world.get(&format!("/api/v1/becket/event/{event}")).await;
    assert_eq!(shown["deliveries"][0]["state"], "pending");
    assert_eq!(shown["deliveries"][1]["state"], "cancelled");
    assert_eq!(world.walk("/api/v1/becket/event?status=cancelled", 10).await.len(), 1);
    assert_eq!(world.walk("/api/v1/becket/event?status=pending", 10).await.len(), 1);
    assert_eq!(world.walk("/api/v1/becket/event?status=pending&endpoint=log", 10).await.len(), 0);
    let destinations = world.get(&format!("/api/v1/app/alpha/msg/{event}/endpoint")).await;
    assert_eq!(destinations["data"][1]["statusText"], "canceled");
    let messages = world.get("/api/v1/app/alpha/endpoint/log/msg").await;
    assert_eq!(messages["data"][0]["statusText"], "success", "for clients that know no other");
    let messages = world.get("/api/v1/app/alpha/endpoint/log/msg?expanded_statuses=true").await;
    assert_eq!(messages["data"][0]["status"], 4);
    assert_eq!(world.walk("/ingest/api/v1/source/alpha/endpoint", 10).await.len(), 1);
    let (code, _) =
        world.refused(http::Method::GET, "/ingest/api/v1/source/alpha/endpoint/log", None).await;
    assert_eq!(code, 404);
}

#[tokio::test]
async fn payloads_are_exact_or_wrapped() {
    let world = World::new().await;
    let json_event = world.accept(world.push(1)).await;
    let bytes_event =
        world.accept(Wish { body: &[0xff, 0x00], event_type: None, ..world.push(2) }).await;
    let message = world.get(&format!("/api/v1/app/alpha/msg/{json_event}")).await;
    assert_eq!(message["payload"]["n"].to_string(), "12345678901234567890");
    let message = world.get(&format!("/api/v1/app/alpha/msg/{bytes_event}")).await;
    assert_eq!(message["payload"], json!({ "raw": "/wA=", "contentType": "application/json" }));
    assert_eq!(message["eventType"], "unknown");
    let unknown = world.walk("/api/v1/app/alpha/msg?event_types=unknown", 5).await;
    assert_eq!(unknown, [bytes_event.to_string()]);
    let page = world.get("/api/v1/app/alpha/msg?with_content=false").await;
    assert_eq!(page["data"][0]["payload"], json!({}));
    assert_eq!(world.walk("/api/v1/app/alpha/msg?tag=x", 5).await.len(), 0);
    let request = http::Request::get(format!("/api/v1/becket/event/{bytes_event}/body"))
        .header("authorization", format!("Bearer {}", crate::support::TOKEN))
        .body(axum::body::Body::empty())
        .unwrap();
    let response = world.send(request).await;
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert!(response.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(&body[..], [0xff, 0x00]);
}

#[tokio::test]
async fn large_payloads_make_short_pages() {
    let world = World::new().await;
    let body = format!(r#"{{"x":"{}"}}"#, "y".repeat(3_000_000));
    for at in 0..7 {
        world.accept(Wish { body: body.as_bytes(), ..world.push(at) }).await;
    }
    let page = world.get("/api/v1/app/alpha/msg?limit=7").await;
    assert_eq!(page["data"].as_array().unwrap().len(), 3);
    assert_eq!(page["done"], false);
    assert_eq!(world.walk("/api/v1/app/alpha/msg", 7).await.len(), 7);
}

#[tokio::test]
async fn the_life_of_an_event_is_told() {
    let world = World::new().await;
    let event = world.accept(Wish { delivery_id: Some("id-1"), ..world.push(1) }).await;
    world.attempt_all(&world.app, NextStep::RetryAt(T0), None).await;
    world.deliver_all(&world.app).await;
    world.accept(Wish { delivery_id: Some("id-1"), ..world.push(9) }).await;
    let life = world.get(&format!("/api/v1/becket/event/{event}/explain")).await;
    assert_eq!(life["request"]["remoteAddress"], "192.0.2.7");
    assert_eq!(life["request"]["headers"][1], json!(["authorization", "[redacted]"]));
    assert_eq!(life["verdict"]["explanation"]["provider"], "github");
    assert_eq!(
        life["verdict"]["explanation"]["signed_text"]["text"],
        r#"{"n":12345678901234567890}"#
    );
    assert_eq!(life["verdict"]["recorded"]["genuine"]["secret_index"], 0);
    assert_eq!(life["dedupe"]["deliveryId"], "id-1");
    assert_eq!(life["dedupe"]["duplicates"], json!(["2026-01-31T12:00:09.000Z"]));
    assert_eq!(life["endpoints"][0]["planned"], true);
    assert_eq!(life["endpoints"][1]["planned"], false);
    assert_eq!(life["attempts"][0]["errorCode"], "connect_refused");
    assert_eq!(life["attempts"][0]["detail"]["error"], "connection refused");
    assert_eq!(life["attempts"][1]["succeeded"], true);
    let curl = life["attempts"][1]["curl"].as_str().unwrap();
    assert!(curl.starts_with("curl --request POST --url http://127.0.0.1:9/app"), "{curl}");
    assert!(curl.ends_with(r#"--data-raw '{"n":12345678901234567890}'"#), "{curl}");
    let open = world.get(&format!("/api/v1/becket/event/{event}/explain?reveal=true")).await;
    assert_eq!(open["request"]["headers"][1][1], "Basic c2VjcmV0");
    world.refuse(&world.alpha, "signature_mismatch").await;
    let number = &world.walk("/api/v1/becket/quarantine", 5).await[0];
    let refused = world.get(&format!("/api/v1/becket/quarantine/{number}")).await;
    assert_eq!(refused["request"]["body"]["base64"], "//4=");
    assert_eq!(refused["request"]["headers"][0][1], "[redacted]");
    assert!(refused["verdict"]["explanation"]["sentence"].is_string());
}
