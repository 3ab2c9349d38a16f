//! Requests with an `idempotency-key` are carried out once, also across a restart and on several nodes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use becket_store::{
    Created, DocumentContent, DocumentKind, DocumentName, Endpoint, EndpointNew, Owner, Result,
    Store, StoreError, WriteIf, Written,
};
use becket_store_test::{FixedNoise, Hooks, ModelStore, Wrapped};
use http::{Request, header};
use serde_json::{Value, json};
use tokio::sync::Notify;

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

/// A store whose next endpoint is made in a special way.
#[derive(Clone)]
struct Odd {
    inner: Arc<ModelStore>,
    next: Arc<Mutex<Option<Way>>>,
    /// Whether the claims of keys can be renewed.
    unwritable: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Way {
    /// It is made, and an error says that this is not known.
    MadeAndLost,
    /// It is not made, because too much is being written.
    Busy,
    /// It is made as soon as the test says so.
    Late(Arc<Notify>),
}

#[async_trait]
impl Hooks for Odd {
    fn inner(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    async fn endpoint_create(
        &self,
        owner: Owner,
        new: EndpointNew,
        now_ms: i64,
    ) -> Result<Created<Endpoint>> {
        let way = self.next.lock().unwrap().take();
        match way {
            Some(Way::Busy) => return Err(StoreError::Busy { waiting: 9 }),
            Some(Way::Late(now)) => now.notified().await,
            Some(Way::MadeAndLost) => {
                self.inner.endpoint_create(owner, new, now_ms).await?;
                return Err(unavailable());
            }
            None => {}
        }
        self.inner.endpoint_create(owner, new, now_ms).await
    }

    async fn document_put(
        &self,
        owner: Owner,
        name: DocumentName,
        content: DocumentContent,
        condition: WriteIf,
        now_ms: i64,
    ) -> Result<Written> {
        let of_key = name.kind == DocumentKind::Answer && condition != WriteIf::Absent;
        if of_key && self.unwritable.load(Ordering::SeqCst) {
            return Err(unavailable());
        }
        self.inner.document_put(owner, name, content, condition, now_ms).await
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable { operation: "make endpoint", detail: "it went away".to_owned() }
}

const ENDPOINTS: &str = "/api/v1/app/shop/endpoint";

/// Two nodes over an odd store, with an application `shop`.
async fn odd() -> (Odd, World, World) {
    let inner = Arc::new(ModelStore::new(Arc::new(FixedNoise::new(7))));
    let odd = Odd { inner, next: Arc::default(), unwritable: Arc::default() };
    let one = World::over(Arc::new(Wrapped(odd.clone()))).await;
    let (status, _) = one.post("/api/v1/app", json!({ "name": "Shop", "uid": "shop" })).await;
    assert_eq!(status, 201);
    let two = one.beside();
    (odd, one, two)
}

async fn endpoints(world: &World) -> usize {
    world.walk(ENDPOINTS, 50).await.len()
}

fn hook() -> Value {
    json!({ "url": "https://example.com/hook" })
}

#[tokio::test]
async fn of_requests_at_two_nodes_one_is_carried_out() {
    let one = World::new().await;
    let two = one.beside();
    let body = wish("a");
    let posts = (0..20).map(|at| {
        let world = if at % 2 == 0 { &one } else { &two };
        post(world, TOKEN, TOKENS, "k1", &body)
    });
    let answers = futures_util::future::join_all(posts).await;
    let carried_out = answers.iter().filter(|(status, _, again)| *status == 201 && !again).count();
    assert_eq!(carried_out, 1, "{answers:?}");
    for (status, body, _) in answers.iter().filter(|(status, _, _)| *status != 201) {
        assert_eq!((*status, &body["code"]), (409, &json!("idempotency_conflict")));
    }
    assert_eq!(tokens(&one).await, 1);
    for world in [&one, &two] {
        assert_eq!(post(world, TOKEN, TOKENS, "k1", &body).await.0, 201);
        assert_eq!(post(world, TOKEN, TOKENS, "k1", &wish("b")).await.0, 422);
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_carried_out_is_not_repeated_at_once() {
    let (odd, one, two) = odd().await;
    *odd.next.lock().unwrap() = Some(Way::MadeAndLost);
    let (status, body, _) = post(&one, TOKEN, ENDPOINTS, "k1", &hook()).await;
    assert_eq!((status, &body["code"]), (503, &json!("store_unavailable")));
    for world in [&one, &two] {
        let (status, body, _) = post(world, TOKEN, ENDPOINTS, "k1", &hook()).await;
        assert_eq!((status, &body["code"]), (409, &json!("idempotency_conflict")), "{body}");
        let (status, body, _) = post(world, TOKEN, ENDPOINTS, "k1", &json!({ "url": "x" })).await;
        assert_eq!((status, &body["code"]), (422, &json!("idempotency_mismatch")));
    }
    assert_eq!(endpoints(&one).await, 1);
    one.pass_ms(59_999);
    assert_eq!(post(&two, TOKEN, ENDPOINTS, "k1", &hook()).await.0, 409);
    one.pass_ms(1);
    assert_eq!(post(&two, TOKEN, ENDPOINTS, "k1", &hook()).await.0, 201);
    assert!(post(&one, TOKEN, ENDPOINTS, "k1", &hook()).await.2);
}

#[tokio::test]
async fn a_request_that_was_surely_not_carried_out_may_come_again_at_once() {
    let (odd, one, two) = odd().await;
    *odd.next.lock().unwrap() = Some(Way::Busy);
    let (status, body, _) = post(&one, TOKEN, ENDPOINTS, "k1", &hook()).await;
    assert_eq!((status, &body["code"]), (503, &json!("store_busy")));
    let (status, _, replayed) = post(&two, TOKEN, ENDPOINTS, "k1", &hook()).await;
    assert_eq!((status, replayed), (201, false));
    // A refusal gives the key back, too, even for another body.
    let (status, _, _) = post(&one, TOKEN, ENDPOINTS, "k2", &json!({ "url": "x" })).await;
    assert_eq!(status, 422);
    assert_eq!(post(&two, TOKEN, ENDPOINTS, "k2", &hook()).await.0, 201);
    assert_eq!(endpoints(&one).await, 2);
}

/// Lets time go by for clocks and for sleepers.
async fn pass(world: &World, seconds: u32) {
    for _ in 0..seconds {
        world.pass_ms(1_000);
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_keeps_its_key() {
    let (odd, one, two) = odd().await;
    let now = Arc::new(Notify::new());
    *odd.next.lock().unwrap() = Some(Way::Late(Arc::clone(&now)));
    let body = hook();
    let first = post(&one, TOKEN, ENDPOINTS, "k1", &body);
    let meanwhile = async {
        pass(&one, 200).await;
        let (status, body, _) = post(&two, TOKEN, ENDPOINTS, "k1", &hook()).await;
        assert_eq!((status, &body["code"]), (409, &json!("idempotency_conflict")), "{body}");
        now.notify_one();
    };
    let ((status, made, _), ()) = tokio::join!(first, meanwhile);
    assert_eq!(status, 201, "{made}");
    assert_eq!(post(&two, TOKEN, ENDPOINTS, "k1", &hook()).await, (201, made, true));
    assert_eq!(endpoints(&one).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_cannot_be_renewed_ends() {
    let (odd, one, two) = odd().await;
    let now = Arc::new(Notify::new());
    *odd.next.lock().unwrap() = Some(Way::Late(Arc::clone(&now)));
    odd.unwritable.store(true, Ordering::SeqCst);
    let request = Request::post(ENDPOINTS)
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header("idempotency-key", "k1")
        .body(Body::from(hook().to_string()))
        .unwrap();
    let meanwhile = async {
        pass(&one, 61).await;
        odd.unwritable.store(false, Ordering::SeqCst);
        let (status, made, replayed) = post(&two, TOKEN, ENDPOINTS, "k1", &hook()).await;
        assert_eq!((status, replayed), (201, false), "{made}");
        now.notify_one();
        made
    };
    let (first, made) = tokio::join!(one.send(request), meanwhile);
    // Both were carried out, and the slower one says that its answer is not the one that is kept.
    assert_eq!(
        (first.status().as_u16(), &first.headers()["idempotency-kept"]),
        (201, &"false".parse().unwrap())
    );
    assert_eq!(post(&one, TOKEN, ENDPOINTS, "k1", &hook()).await, (201, made, true));
}
