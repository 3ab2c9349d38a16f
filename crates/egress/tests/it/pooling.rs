//! Connections kept alive: reused when they live, replaced when they died, never shared.

use std::time::Duration;

use becket_egress::Egress;

use crate::support::{Server, Step, answer, code, egress, egress_with, ok, request, text};

fn two_answers() -> Vec<Step> {
    vec![Step::Request, ok(), Step::Request, ok(), Step::Hang]
}

#[tokio::test]
async fn a_connection_is_reused() {
    let server = Server::start(two_answers()).await;
    let egress = egress();
    let first = egress.send(request(&server.url("/1"))).await;
    let second = egress.send(request(&server.url("/2"))).await;
    assert!(first.is_success() && second.is_success(), "{second:?}");
    assert!(!first.timings.reused);
    assert!(second.timings.reused);
    assert_eq!(second.timings.connect_us, 0);
    assert_eq!(second.remote_address, Some(server.address));
    assert!(second.timings.first_byte_us > 0);
    assert_eq!(server.connection_count(), 1);
}

#[tokio::test]
async fn endpoints_and_servers_do_not_share_connections() {
    let server = Server::start(two_answers()).await;
    let egress = egress();
    let mut other_endpoint = request(&server.url("/"));
    other_endpoint.pool_key = 2;
    assert!(egress.send(request(&server.url("/"))).await.is_success());
    let outcome = egress.send(other_endpoint).await;
    assert!(!outcome.timings.reused);
    // The same endpoint with another host name for the same place.
    let elsewhere = Server::start(two_answers()).await;
    let outcome = egress.send(request(&elsewhere.url("/"))).await;
    assert!(!outcome.timings.reused);
    assert_eq!(outcome.remote_address, Some(elsewhere.address));
    assert_eq!(server.connection_count(), 2);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced_unseen() {
    let scripts = vec![vec![Step::Request, ok()], two_answers()];
    let server = Server::start_each(scripts).await;
    let egress = egress();
    assert!(egress.send(request(&server.url("/"))).await.is_success());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = egress.send(request(&server.url("/"))).await;
    assert!(second.is_success(), "{second:?}");
    assert!(!second.timings.reused);
    assert_eq!(server.connection_count(), 2);
}

#[tokio::test]
async fn a_connection_that_dies_under_a_request_is_replaced_once() {
    for ending in [Vec::new(), vec![Step::Reset]] {
        // The second request is read, and the connection closed without a byte.
        let mut dying = vec![Step::Request, ok(), Step::Request];
        dying.extend(ending);
        let server = Server::start_each(vec![dying, two_answers()]).await;
        let egress = egress();
        assert!(egress.send(request(&server.url("/"))).await.is_success());
        let second = egress.send(request(&server.url("/"))).await;
        assert!(second.is_success(), "{second:?}");
        assert!(!second.timings.reused);
        assert!(second.timings.connect_us > 0);
        assert_eq!(server.connection_count(), 2);
        assert_eq!(server.request_texts().len(), 3);
    }
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_not_replaced() {
    let server = Server::start(vec![Step::Request]).await;
    let outcome = egress().send(request(&server.url("/"))).await;
    assert_eq!(code(&outcome), "closed_early");
    assert_eq!(server.connection_count(), 1);
}

#[tokio::test]
async fn a_half_answered_request_is_not_repeated() {
    let dying = vec![Step::Request, ok(), Step::Request, text("HTTP/1.1 2")];
    let server = Server::start_each(vec![dying, two_answers()]).await;
    let egress = egress();
    assert!(egress.send(request(&server.url("/"))).await.is_success());
    let second = egress.send(request(&server.url("/"))).await;
    assert_eq!(code(&second), "closed_early");
    assert!(second.timings.reused);
    assert_eq!(server.connection_count(), 1);
}

#[tokio::test]
async fn a_server_that_says_close_is_believed() {
    let script = vec![Step::Request, answer("200 OK", "connection: close\r\n", "ok"), Step::Hang];
    let server = Server::start(script).await;
    let egress = egress();
    for _ in 0..2 {
        let outcome = egress.send(request(&server.url("/"))).await;
        assert!(outcome.is_success() && !outcome.timings.reused);
    }
    assert_eq!(server.connection_count(), 2);
}

#[tokio::test]
async fn what_comes_after_an_answer_is_never_the_next_answer() {
    let smuggled = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";
    let first = vec![Step::Request, ok(), text(smuggled), Step::Hang];
    let server = Server::start_each(vec![first, two_answers()]).await;
    let egress = egress();
    assert!(egress.send(request(&server.url("/"))).await.is_success());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = egress.send(request(&server.url("/"))).await;
    assert_eq!(&second.body[..], b"ok");
    assert_eq!(server.connection_count(), 2);
}

#[tokio::test]
async fn closing_an_endpoint_closes_its_connections() {
    let server = Server::start(two_answers()).await;
    let egress = egress();
    assert!(egress.send(request(&server.url("/"))).await.is_success());
    egress.close_endpoint(1);
    egress.close_endpoint(77);
    let second = egress.send(request(&server.url("/"))).await;
    assert!(second.is_success() && !second.timings.reused);
    assert_eq!(egress.idle_total(), 1);
}

#[tokio::test]
async fn idle_connections_end_by_themselves() {
    let server = Server::start(two_answers()).await;
    let egress = egress_with(|config| config.idle_timeout_ms = 100);
    assert!(egress.send(request(&server.url("/"))).await.is_success());
    tokio::time::sleep(Duration::from_millis(150)).await;
    let second = egress.send(request(&server.url("/"))).await;
    assert!(second.is_success() && !second.timings.reused);
}

#[tokio::test]
async fn idle_connections_are_bounded_and_swept() {
    let server = Server::start(two_answers()).await;
    let egress = egress_with(|config| {
        config.idle_timeout_ms = 2_000;
        config.max_idle_per_endpoint = 2;
        config.max_idle_total = 5;
    });
    for key in 0..9 {
        let mut request = request(&server.url("/"));
        request.pool_key = key;
        assert!(egress.send(request).await.is_success());
    }
    assert_eq!(egress.idle_total(), 5);
    // The newest were kept.
    let mut again = request(&server.url("/"));
    again.pool_key = 8;
    assert!(egress.send(again).await.timings.reused);
    swept(&egress).await;
    // The sweeper ended with the last connection, and begins again with the next.
    let mut after = request(&server.url("/"));
    after.pool_key = 20;
    assert!(egress.send(after).await.is_success());
    assert_eq!(egress.idle_total(), 1);
    swept(&egress).await;
}

/// Waits until no idle connection is left.
async fn swept(egress: &Egress) {
    let begun = std::time::Instant::now();
    while egress.idle_total() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "they are not swept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn keeping_none_is_allowed() {
    let server = Server::start(two_answers()).await;
    let egress = egress_with(|config| config.max_idle_per_endpoint = 0);
    for _ in 0..3 {
        let outcome = egress.send(request(&server.url("/"))).await;
        assert!(outcome.is_success() && !outcome.timings.reused);
    }
}

#[tokio::test]
async fn many_at_once_on_one_endpoint_each_have_their_own_connection() {
    let script = vec![Step::Request, Step::Pause(50), ok(), Step::Hang];
    let server = Server::start(script).await;
    let egress = egress_with(|config| config.max_idle_per_endpoint = 3);
    let mut running = Vec::new();
    for _ in 0..20 {
        let (egress, request) = (egress.clone(), request(&server.url("/")));
        running.push(tokio::spawn(async move { egress.send(request).await }));
    }
    for attempt in running {
        assert!(attempt.await.expect("no panic").is_success());
    }
    assert_eq!(egress.idle_total(), 3);
    assert_eq!(server.connection_count(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_multi_threaded_runtime_works_alike() {
    let server = Server::start(vec![Step::Request, ok(), Step::Request, ok(), Step::Hang]).await;
    let egress = egress();
    for number in 0..2 {
        let egress = egress.clone();
        let request = request(&server.url("/"));
        let outcome =
            tokio::spawn(async move { egress.send(request).await }).await.expect("no panic");
        assert!(outcome.is_success());
        assert_eq!(outcome.timings.reused, number == 1);
    }
}
