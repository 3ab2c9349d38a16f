//! Following events: as a stream and by long poll.

use std::time::Duration;

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::support::{TOKEN, Wish, World};

struct Stream {
    body: Body,
    text: String,
}

impl Stream {
    async fn open(world: &World, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("/api/v1/becket/tail{query}"))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::ACCEPT, "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    /// The next event's id and data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim().to_owned())
                };
                let found = field("id:").zip(field("data:"));
                self.text = rest.to_owned();
                if let Some((id, data)) = found {
                    return Some((id, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame());
            let bytes = frame.await.unwrap()?.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

#[tokio::test]
async fn a_stream_tells_every_event_once_and_resumes() {
    let world = World::new().await;
    world.accept(world.push(0)).await;
    let mut stream = Stream::open(&world, "?limit=2", None).await;
    let mut ids = Vec::new();
    for at in 1..=7 {
        ids.push(world.accept(world.push(at)).await.to_string());
    }
    let mut told = Vec::new();
    for _ in 0..7 {
        let (id, data) = stream.next().await.unwrap();
        assert_eq!(data["id"], id.as_str());
        told.push(id);
    }
    assert_eq!(told, ids, "from now on, oldest first");
    let mut resumed = Stream::open(&world, "", Some(&ids[4])).await;
    assert_eq!(resumed.next().await.unwrap().0, ids[5]);
    assert_eq!(resumed.next().await.unwrap().0, ids[6]);
    world.closing.send(true).unwrap();
    assert!(resumed.next().await.is_none(), "a stream ends when the gateway shuts down");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn filters_hold_in_streams() {
    let world = World::new().await;
    let mut stream = Stream::open(&world, "?event_type=ping", None).await;
    world.accept(world.push(1)).await;
    let ping = world.accept(Wish { event_type: Some("ping"), ..world.push(2) }).await;
    assert_eq!(stream.next().await.unwrap().0, ping.to_string());
}

#[tokio::test]
async fn a_long_poll_waits_and_goes_on() {
    let world = World::new().await;
    let first = world.accept(world.push(1)).await.to_string();
    let empty = world.get("/api/v1/becket/tail?wait_ms=0").await;
    assert_eq!((&empty["data"], &empty["iterator"]), (&json!([]), &json!(first)));
    let path = format!("/api/v1/becket/tail?after={first}&wait_ms=10000");
    let (page, second) = tokio::join!(world.get(&path), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.accept(world.push(2)).await.to_string()
    });
    assert_eq!(page["data"][0]["id"], second.as_str());
    assert_eq!(page["iterator"], second.as_str());
}

#[tokio::test]
async fn of_several_nodes_a_poll_tells_only_what_nothing_comes_before() {
    let world = World::new().await;
    world.control.node.store(1, std::sync::atomic::Ordering::SeqCst);
    let first = world.accept(world.push(1)).await.to_string();
    // Just received: another node may store one with an earlier id yet.
    let fresh = world.accept(world.push(3_600)).await.to_string();
    let path = format!("/api/v1/becket/tail?after={first}&wait_ms=0");
    let page = world.get(&path).await;
    assert_eq!(page["data"], json!([]), "{page}");
    let settled = page["iterator"].as_str().unwrap();
    assert!(settled < fresh.as_str());
    world.pass_ms(1_500);
    let page = world.get(&format!("/api/v1/becket/tail?after={settled}&wait_ms=0")).await;
    assert_eq!(page["data"][0]["id"], fresh.as_str());
    // A stream tells it at once.
    let mut stream = Stream::open(&world, "", Some(&first)).await;
    assert_eq!(stream.next().await.unwrap().0, fresh);
}

#[tokio::test]
async fn streams_are_bounded() {
    let world = World::new().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(Stream::open(&world, "", None).await);
    }
    let refused = world.refused(http::Method::GET, "/api/v1/becket/tail?wait_ms=0", None).await;
    assert_eq!(refused, (429, "too_many_streams".to_owned()));
    open.pop();
    world.get("/api/v1/becket/tail?wait_ms=0").await;
}
