//! Requests with an `idempotency-key` are carried out once, also across a restart.

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};

use crate::support::{OTHER_TOKEN, TOKEN, World, json_of};

const TOKENS: &str = "/api/v1/becket/token";

/// Posts with a key; answers with status, body and whether it is the first answer again.
async fn post(world: &World, who: &str, path: &str, key: &str, body: &Value) -> (u16, Value, bool) {
    let request = Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {who}"))
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = world.send(request).await;
    let replayed = response.headers().contains_key("idempotent-replayed");
    let (status, body) = json_of(response).await;
    (status.as_u16(), body, replayed)
}

fn wish(name: &str) -> Value {
    json!({ "name": name, "role": "read_only" })
}

async fn tokens(world: &World) -> usize {
    world.walk(TOKENS, 50).await.len()
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_for_a_day_also_after_a_restart() {
    let mut world = World::new().await;
    let (status, first, replayed) = post(&world, TOKEN, TOKENS, "k1", &wish("a")).await;
    assert_eq!((status, replayed), (201, false), "{first}");
    let again = post(&world, TOKEN, TOKENS, "k1", &wish("a")).await;
    assert_eq!(again, (201, first.clone(), true));
    world.restart();
    let again = post(&world, TOKEN, TOKENS, "k1", &wish("a")).await;
    assert_eq!(again, (201, first.clone(), true));
    assert_eq!(tokens(&world).await, 1);
    world.pass_ms(24 * 3_600_000 - 1);
    assert!(post(&world, TOKEN, TOKENS, "k1", &wish("a")).await.2);
    world.pass_ms(1);
    let (status, second, replayed) = post(&world, TOKEN, TOKENS, "k1", &wish("a")).await;
    assert_eq!((status, replayed), (201, false));
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test]
async fn the_same_key_for_something_else_is_refused() {
    let world = World::new().await;
    post(&world, TOKEN, TOKENS, "k1", &wish("a")).await;
    let (status, body, _) = post(&world, TOKEN, TOKENS, "k1", &wish("b")).await;
    assert_eq!((status, &body["code"]), (422, &json!("idempotency_mismatch")));
    assert_eq!(body["detail"][0]["loc"], json!(["header", "idempotency-key"]));
    assert_eq!(tokens(&world).await, 1);
    // Another path, another owner and another key are something else from the start.
    let rotate = "/ingest/api/v1/source/alpha/endpoint/app/secret/rotate";
    assert_eq!(post(&world, TOKEN, rotate, "k1", &json!({})).await.0, 204);
    assert_eq!(post(&world, TOKEN, rotate, "k1", &json!({})).await, (204, Value::Null, true));
    assert_eq!(post(&world, OTHER_TOKEN, TOKENS, "k1", &wish("b")).await.0, 201);
    assert_eq!(post(&world, TOKEN, TOKENS, "k2", &wish("b")).await.0, 201);
    let snapshot = world.store.config_list(becket_store::Owner::MAIN).await.unwrap();
    assert_eq!(snapshot.endpoints[0].secrets.len(), 2, "rotated once");
}

#[tokio::test]
async fn kept_answers_go_to_nobody_else_and_lie_sealed() {
    let world = World::new().await;
    let (_, first, _) = post(&world, TOKEN, TOKENS, "k1", &wish("a")).await;
    let reader = first["token"].as_str().unwrap();
    assert_eq!(post(&world, "wrong", TOKENS, "k1", &wish("a")).await.0, 401);
    assert_eq!(post(&world, reader, TOKENS, "k1", &wish("a")).await.0, 403);
    let (kind, owner) = (becket_store::DocumentKind::Answer, becket_store::Owner::MAIN);
    let slice = becket_store::Slice::oldest(10);
    let kept = world.store.document_list(owner, kind, None, slice, 0).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert!(!kept[0].content.body.contains("bk_"), "{}", kept[0].content.body);
    let sealed = kept[0].content.sealed.clone().unwrap();
    assert!(!sealed.windows(3).any(|part| part == b"bk_"));
}

#[tokio::test]
async fn refusals_are_not_kept_and_bad_keys_are_refused() {
    let world = World::new().await;
    let (status, _, _) = post(&world, TOKEN, TOKENS, "k1", &json!({ "name": "a" })).await;
    assert_eq!(status, 422);
    assert_eq!(post(&world, TOKEN, TOKENS, "k1", &wish("a")).await.0, 201);
    let long = "k".repeat(257);
    for key in ["", long.as_str()] {
        let (status, body, _) = post(&world, TOKEN, TOKENS, key, &wish("a")).await;
        assert_eq!((status, &body["code"]), (422, &json!("bad_query")), "{key}");
    }
}

#[tokio::test]
async fn of_requests_that_come_together_one_is_carried_out() {
    let world = World::new().await;
    let body = wish("a");
    let posts = (0..20).map(|_| post(&world, TOKEN, TOKENS, "k1", &body));
    let answers = futures_util::future::join_all(posts).await;
    let carried_out = answers.iter().filter(|(status, _, again)| *status == 201 && !again).count();
    assert_eq!(carried_out, 1);
    for (status, body, _) in answers.iter().filter(|(status, _, _)| *status != 201) {
        assert_eq!((*status, &body["code"]), (409, &json!("idempotency_conflict")));
    }
    assert_eq!(tokens(&world).await, 1);
}

#[tokio::test]
async fn a_request_goes_on_when_its_client_has_gone() {
    let world = World::new().await;
    let body = wish("a");
    {
        let first = post(&world, TOKEN, TOKENS, "k1", &body);
        futures_util::pin_mut!(first);
        // Asked a few times, then dropped.
        for _ in 0..2 {
            let polled = std::future::poll_fn(|context| {
                std::task::Poll::Ready(std::future::Future::poll(first.as_mut(), context))
            });
            if polled.await.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let (status, _, _) = post(&world, TOKEN, TOKENS, "k1", &body).await;
    assert_eq!(status, 201);
    assert_eq!(tokens(&world).await, 1);
}
