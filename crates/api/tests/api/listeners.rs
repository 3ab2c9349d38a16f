//! Listeners: made and refreshed, connected, answered for, replaced, removed, and forgotten in time.

use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use becket_api::{RelayDelivery, Relayed};
use becket_model::{EndpointKey, EndpointKind, EndpointState};
use becket_store::{Endpoint, Owner};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::support::{OTHER_TOKEN, TOKEN, World};

const LISTENER: &str = "/api/v1/becket/listener";

/// A stream as its client reads it.
struct Stream {
    body: Body,
    text: String,
}

impl Stream {
    async fn open(world: &World, name: &str) -> Self {
        let request = Request::get(format!("{LISTENER}/{name}/stream"))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .body(Body::empty())
            .unwrap();
        let response = world.send(request).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    /// The kind and data of the next message; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = message.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim().to_owned())
                };
                let found = field("event:").zip(field("data:"));
                self.text = rest.to_owned();
                if let Some((kind, data)) = found {
                    return Some((kind, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(30), self.body.frame());
            let bytes = frame.await.unwrap()?.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    async fn hello(world: &World, name: &str) -> (Self, u64) {
        let mut stream = Self::open(world, name).await;
        let (kind, hello) = stream.next().await.unwrap();
        assert_eq!((&kind[..], &hello["name"]), ("hello", &json!(name)));
        let session = hello["session"].as_u64().unwrap();
        (stream, session)
    }
}

async fn make(world: &World, body: Value) -> Value {
    let (status, listener) = world.post(LISTENER, body).await;
    assert_eq!(status, 200, "{listener}");
    listener
}

/// The endpoints of a listener in the store.
async fn endpoints(world: &World, name: &str) -> Vec<Endpoint> {
    let all = world.store.config_list(Owner::MAIN).await.unwrap().endpoints;
    let own = |endpoint: &Endpoint| {
        endpoint.state != EndpointState::Removed
            && endpoint.settings.metadata.get("listener").is_some_and(|known| known == name)
    };
    all.into_iter().filter(own).collect()
}

fn delivery(body: &[u8]) -> RelayDelivery {
    let mut headers = HeaderMap::new();
    headers.insert("x-hub-signature-256", HeaderValue::from_static("sha256=00"));
    headers.insert("x-odd", HeaderValue::from_bytes(&[0xe9]).unwrap());
    RelayDelivery {
        event_id: "msg_1".to_owned(),
        event_type: Some("push".to_owned()),
        source: "alpha".to_owned(),
        endpoint_id: "ep_1".to_owned(),
        attempt: 1,
        received_at_ms: 0,
        method: "POST".to_owned(),
        path: "/in/alpha/x?y=1".to_owned(),
        headers,
        body: Bytes::copy_from_slice(body),
        timeout_ms: 60_000,
    }
}

/// Waits until something holds.
async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to hold");
}

#[tokio::test]
async fn a_listener_is_an_endpoint_at_each_of_its_sources() {
    let world = World::new().await;
    let made = make(&world, json!({ "name": "ann@laptop" })).await;
    assert_eq!((&made["id"], &made["connected"]), (&json!("ann@laptop"), &json!(false)));
    let uids: Vec<&str> = made["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| endpoint["uid"].as_str().unwrap())
        .collect();
    assert_eq!(uids, ["listen-ann.laptop"; 2]);
    let first = endpoints(&world, "ann@laptop").await;
    assert!(first.iter().all(|endpoint| endpoint.settings.kind == EndpointKind::Listen));
    assert_eq!(first[0].settings.url, "listen:ann@laptop");
    assert!(first[0].settings.retry.delays_ms.is_empty());
    // Made again it is the same, as it is said now.
    let wanted = json!({
        "name": "ann@laptop", "sources": ["alpha"], "eventTypes": ["push"], "keepS": 60,
        "filter": { "body": { "ref": "main" } },
    });
    let again = make(&world, wanted).await;
    assert_eq!(again["endpoints"].as_array().unwrap().len(), 1);
    assert_eq!((&again["keepS"], &again["eventTypes"]), (&json!(60), &json!(["push"])));
    let second = endpoints(&world, "ann@laptop").await;
    assert_eq!(second[0].id, first[0].id);
    assert!(second[0].settings.filter.is_some());
    for (body, code) in [
        (json!({ "name": "a b" }), "bad_body"),
        (json!({ "name": "x", "sources": ["nobody"] }), "not_found"),
        (json!({ "name": "x", "filter": { "nonsense": 1 } }), "bad_body"),
        (json!({ "name": "x", "timeoutMs": 61_000 }), "bad_body"),
        // Two names that come to the same one of an endpoint.
        (json!({ "name": "ann.laptop", "sources": ["alpha"] }), "conflict"),
    ] {
        let refused = world.refused(Method::POST, LISTENER, Some(body.clone())).await;
        assert_eq!(refused.1, code, "{body}");
    }
    let path = format!("{LISTENER}/ann@laptop");
    let (status, _) = world.call_as(TOKEN, Method::DELETE, &path, None).await;
    assert_eq!(status, 204);
    assert!(endpoints(&world, "ann@laptop").await.is_empty());
    assert_eq!(world.get(LISTENER).await["data"], json!([]));
}

#[tokio::test]
async fn a_delivery_goes_out_on_the_stream_and_its_answer_comes_back() {
    let world = World::new().await;
    make(&world, json!({ "name": "ann", "sources": ["alpha"] })).await;
    let key = endpoints(&world, "ann").await[0].key;
    assert!(!world.relay.is_connected(key));
    let (mut stream, session) = Stream::hello(&world, "ann").await;
    assert!(world.relay.is_connected(key));
    assert!(!world.relay.is_connected(EndpointKey(key.0 + 1)));
    let answering = async {
        let (kind, told) = stream.next().await.unwrap();
        assert_eq!(kind, "delivery");
        assert_eq!((&told["eventId"], &told["late"]), (&json!("msg_1"), &json!(true)));
        assert_eq!(told["path"], "/in/alpha/x?y=1");
        assert_eq!(told["headers"][1], json!(["x-odd", "\u{e9}"]));
        assert_eq!(BASE64.decode(told["body"].as_str().unwrap()).unwrap(), b"{}");
        let answers = json!({ "session": session, "answers": [
            { "token": "999", "status": 500 },
            {
                "token": told["token"], "status": 201, "headers": [["x-a", "\u{ff}"]],
                "body": BASE64.encode("fine"), "note": "forwarded", "timingsUs": [0, 1, 2, 3, 4],
            },
        ]});
        let (status, taken) = world.post(&format!("{LISTENER}/ann/answer"), answers).await;
        assert_eq!((status.as_u16(), &taken["tooLate"]), (200, &json!(["999"])));
        assert_eq!(taken["connected"], true);
    };
    let (relayed, ()) = tokio::join!(world.relay.deliver(key, delivery(b"{}")), answering);
    let Relayed::Answered(answer) = relayed else { panic!("{relayed:?}") };
    assert_eq!((answer.status, &answer.body[..]), (Some(201), &b"fine"[..]));
    assert_eq!(answer.headers, [("x-a".to_owned(), vec![0xff])]);
    assert_eq!(answer.timings_us, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_large_body_is_fetched_while_it_is_under_way() {
    let world = World::new().await;
    make(&world, json!({ "name": "ann", "sources": ["alpha"] })).await;
    let key = endpoints(&world, "ann").await[0].key;
    let (mut stream, session) = Stream::hello(&world, "ann").await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| at as u8).collect();
    let fetching = async {
        let (_, told) = stream.next().await.unwrap();
        assert_eq!((&told["bodyBytes"], told.get("body")), (&json!(3_000_000), None));
        let token = told["token"].as_str().unwrap().to_owned();
        let path = format!("{LISTENER}/ann/delivery/{token}/body");
        let get = |bearer: &str| {
            Request::get(&path)
                .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
                .body(Body::empty())
                .unwrap()
        };
        let fetched = world.send(get(TOKEN)).await.into_body().collect().await.unwrap().to_bytes();
        assert!(fetched == large);
        assert_eq!(world.send(get(OTHER_TOKEN)).await.status(), 404, "another owner's");
        let answer = json!({ "session": session, "answers": [{ "token": token, "status": 200 }] });
        world.post(&format!("{LISTENER}/ann/answer"), answer).await;
        assert_eq!(world.send(get(TOKEN)).await.status(), 404, "it is over");
    };
    let (relayed, ()) = tokio::join!(world.relay.deliver(key, delivery(&large)), fetching);
    assert!(matches!(relayed, Relayed::Answered(_)));
}

#[tokio::test]
async fn coming_and_going_is_put_in_force_and_remembered() {
    let mut world = World::new().await;
    make(&world, json!({ "name": "ann", "sources": ["alpha"] })).await;
    let key = endpoints(&world, "ann").await[0].key;
    let seen = async |world: &World| {
        endpoints(world, "ann").await[0].settings.metadata["listener_seen"].clone()
    };
    let told = world.control.endpoints.lock().unwrap().len();
    let (stream, _) = Stream::hello(&world, "ann").await;
    eventually(async || seen(&world).await == "connected").await;
    assert!(world.control.endpoints.lock().unwrap().len() > told, "the engine hears of it");
    assert!(world.control.woken.lock().unwrap().contains(&key));
    drop(stream);
    eventually(async || seen(&world).await != "connected").await;
    assert!(!world.relay.is_connected(key));
    // Another process knows of nobody, and of the listener.
    world.restart();
    eventually(async || world.get(LISTENER).await["data"][0]["name"] == "ann").await;
    assert_eq!(world.get(LISTENER).await["data"][0]["connected"], false);
}

#[tokio::test]
async fn one_client_for_each_name_and_its_end_is_told() {
    let world = World::new().await;
    make(&world, json!({ "name": "ann", "sources": ["alpha"] })).await;
    let (mut first, session) = Stream::hello(&world, "ann").await;
    let (mut second, _) = Stream::hello(&world, "ann").await;
    let end = |reason: &str| Some(("end".to_owned(), json!({ "reason": reason })));
    assert_eq!(first.next().await, end("replaced"));
    assert_eq!(first.next().await, None);
    let path = format!("{LISTENER}/ann/answer");
    let (_, taken) = world.post(&path, json!({ "session": session })).await;
    assert_eq!(taken["connected"], false, "the session no longer counts");
    world.call_as(TOKEN, Method::DELETE, &format!("{LISTENER}/ann"), None).await;
    assert_eq!(second.next().await, end("removed"));
    make(&world, json!({ "name": "ann", "sources": ["alpha"] })).await;
    let (mut third, _) = Stream::hello(&world, "ann").await;
    world.closing.send(true).unwrap();
    assert_eq!(third.next().await, end("closing"));
    assert_eq!(third.next().await, None);
}

#[tokio::test]
async fn a_listener_that_nobody_comes_for_is_removed_with_what_waits() {
    let world = World::new().await;
    make(&world, json!({ "name": "ann", "sources": ["alpha"], "keepS": 60 })).await;
    let endpoint = endpoints(&world, "ann").await[0].clone();
    let to = crate::support::Wish { to: vec![&endpoint], ..world.push(1) };
    let event = world.accept(to).await;
    let (stream, _) = Stream::hello(&world, "ann").await;
    world.pass_ms(61_000);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(endpoints(&world, "ann").await.len(), 1, "somebody is there");
    drop(stream);
    eventually(async || {
        endpoints(&world, "ann").await[0].settings.metadata["listener_seen"] != "connected"
    })
    .await;
    world.pass_ms(59_000);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(endpoints(&world, "ann").await.len(), 1, "not yet");
    world.pass_ms(2_000);
    eventually(async || endpoints(&world, "ann").await.is_empty()).await;
    // Nothing waits in the store any more, which would keep it there for ever.
    eventually(async || world.store.stats().await.unwrap().pending == 0).await;
    let shown = world.get(&format!("/api/v1/becket/event/{event}")).await;
    assert_eq!(shown["deliveries"][0]["state"], "cancelled", "{shown}");
}

#[tokio::test]
async fn who_can_only_look_takes_no_deliveries() {
    let world = World::new().await;
    make(&world, json!({ "name": "ann", "sources": ["alpha"] })).await;
    let token = json!({ "name": "eyes", "role": "read_only" });
    let token = world.post("/api/v1/becket/token", token).await.1["token"].clone();
    let token = token.as_str().unwrap();
    for (method, path) in [
        (Method::GET, format!("{LISTENER}/ann/stream")),
        (Method::GET, format!("{LISTENER}/ann/delivery/1/body")),
        (Method::POST, format!("{LISTENER}/ann/answer")),
        (Method::DELETE, format!("{LISTENER}/ann")),
        (Method::POST, LISTENER.to_owned()),
    ] {
        assert_eq!(world.call_as(token, method, &path, None).await.0, 403, "{path}");
    }
    assert_eq!(world.call_as(token, Method::GET, LISTENER, None).await.0, 200);
}
