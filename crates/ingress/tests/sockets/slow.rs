//! Senders that are too slow, too many, or in no hurry to read.

use std::time::{Duration, Instant};

use becket_ingress::{ConnectionEvent, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Gateway, PATIENCE, Setup, answers, eventually, post, source};

async fn impatient() -> Gateway {
    let mut setup = Setup::new(vec![source("open", "none")]);
    setup.limits.header_timeout_ms = 300;
    setup.limits.keep_alive_timeout_ms = 4_000;
    setup.limits.body_idle_timeout_ms = 1_000;
    setup.limits.request_timeout_ms = 2_000;
    setup.start().await
}

/// Sends pieces with pauses until the gateway ends the connection; tells how long that took and
/// which statuses came.
async fn drip(gateway: &Gateway, head: &str, piece: &[u8], pause_ms: u64) -> (Duration, Vec<u16>) {
    let begun = Instant::now();
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let (head, piece) = (head.to_owned(), piece.to_owned());
    let writing = tokio::spawn(async move {
        let mut sent = write.write_all(head.as_bytes()).await;
        while sent.is_ok() && !piece.is_empty() {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            sent = write.write_all(&piece).await;
        }
        write
    });
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = read.read(&mut chunk).await {
        received.extend_from_slice(&chunk[..length]);
    }
    let took = begun.elapsed();
    writing.abort();
    (took, answers(&received).iter().map(|answer| answer.status).collect())
}

/// Not before its time, and before any of the usual limits: those are ten seconds and more.
fn about(took: Duration, milliseconds: u64) -> bool {
    let took = took.as_millis() as u64;
    (milliseconds - 10..9_000).contains(&took)
}

#[tokio::test]
async fn slow_headers() {
    let gateway = impatient().await;
    for (head, piece) in [
        ("", &b""[..]),
        ("POST /in/open HT", b""),
        ("POST /in/open HTTP/1.1\r\nhost: h\r\n", b"x: y\r\n"),
        ("POST /in/open HTTP/1.1\r\nhost: h\r\nx: ", b"y"),
    ] {
        let (took, statuses) = drip(&gateway, head, piece, 50).await;
        assert!(about(took, 300), "{head:?} took {took:?}");
        assert!(statuses.is_empty() || statuses == [408], "{statuses:?}");
    }
    assert!(gateway.reports().is_empty());
    let connections = gateway.told.connections.lock();
    assert!(connections.iter().filter(|event| **event == ConnectionEvent::TimedOut).count() >= 3);
}

#[tokio::test]
async fn slow_bodies() {
    let gateway = impatient().await;
    let head = "POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n";
    let (took, statuses) = drip(&gateway, head, b"", 0).await;
    assert!(about(took, 1_000), "idle: {took:?}");
    assert_eq!(statuses, [408]);
    let (took, statuses) = drip(&gateway, head, b"x", 50).await;
    assert!(about(took, 2_000), "dripping: {took:?}");
    assert_eq!(statuses, [408]);
    let chunked = "POST /in/open HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    let (took, statuses) = drip(&gateway, chunked, b"1\r\nx\r\n", 50).await;
    assert!(about(took, 2_000), "chunks: {took:?}");
    assert_eq!(statuses, [408]);
    assert_eq!(gateway.report(3).await.outcome, Outcome::TimedOut);
    assert!(gateway.events().await.is_empty());

    let fallback = "POST /api HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n";
    let (took, statuses) = drip(&gateway, fallback, b"", 0).await;
    assert!(about(took, 1_000), "the fallback's body: {took:?}");
    assert_eq!(statuses, [408]);
}

#[tokio::test]
async fn a_pooled_connection_rests_longer_than_headers_may_take() {
    let gateway = impatient().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx";
    let mut buffer = [0; 4096];
    for _ in 0..2 {
        stream.write_all(request).await.unwrap();
        let length = stream.read(&mut buffer).await.unwrap();
        assert_eq!(answers(&buffer[..length])[0].status, 200);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let begun = Instant::now();
    assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_slow_sender_does_not_delay_others() {
    let mut setup = Setup::new(vec![source("open", "none")]);
    setup.limits.header_timeout_ms = 5_000;
    let gateway = setup.start().await;
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(b"POST /in/open HTTP/1.1\r\nhost: h\r\n").await.unwrap();
        held.push(stream);
    }
    assert_eq!(gateway.send(post("/in/open", &[], b"x")).await.status, 200);
    assert!(
        gateway.ingress.connection_count() >= 200,
        "it was answered while they were still slow"
    );
    eventually(|| gateway.ingress.connection_count() == 0).await;
    drop(held);
}

#[tokio::test]
async fn early_answers_arrive_although_the_body_is_still_being_sent() {
    let gateway = impatient().await;
    let (answers, ended) = crate::common::exchange(
        gateway.address,
        &post("/in/nobody", &[], &vec![b'x'; 600_000]),
        PATIENCE,
    )
    .await;
    assert_eq!((answers.len(), answers[0].status, ended), (1, 404, true));
}

#[tokio::test]
async fn too_many_connections() {
    let mut setup = Setup::new(vec![source("open", "none")]);
    setup.limits.connections_max = 3;
    let gateway = setup.start().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    eventually(|| gateway.ingress.connection_count() == 3).await;
    let answer = gateway.send("").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(gateway.told.connections.lock().contains(&ConnectionEvent::Shed));
    held.clear();
    eventually(|| gateway.ingress.connection_count() == 0).await;
    assert_eq!(gateway.send(post("/in/open", &[], b"x")).await.status, 200);
}
