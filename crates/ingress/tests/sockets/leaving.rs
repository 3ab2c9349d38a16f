//! A server that leaves and one that takes its place, on the same sockets: nobody is refused, and
//! what arrives on connections of the first is answered by the second.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use becket_ingress::server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::common::{
    Gateway, PATIENCE, Setup, eventually, exchange, github, post, request, source,
};
use crate::gated_store::GatedStore;

/// The sockets that two servers share.
struct Shared {
    sockets: Vec<std::net::TcpListener>,
    forward: UnixListener,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Shared {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forward.sock");
        let forward = UnixListener::bind(&path).unwrap();
        let sockets = server::bind("127.0.0.1:0".parse().unwrap(), Some(2)).unwrap();
        Self { sockets, forward, path, _folder: folder }
    }

    async fn start(&self, mut setup: Setup) -> Gateway {
        setup.open = self.sockets.iter().map(|socket| socket.try_clone().unwrap()).collect();
        setup.passed_on = Some(self.forward.try_clone().unwrap());
        setup.start().await
    }
}

fn setup() -> Setup {
    let mut setup = Setup::new(vec![source("open", "none"), source("github", "github")]);
    setup.limits.keep_alive_timeout_ms = 1_500;
    setup
}

/// A request that leaves its connection open.
fn kept(body: &str) -> Vec<u8> {
    format!(
        "POST /in/open HTTP/1.1\r\nhost: h\r\nbecket-passed-on-from: 192.0.2.66:1 tls everything\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads one answer of which the body has a length.
async fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    let whole = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.split_once("content-length: ")?.1;
        let length: usize = length.split("\r\n").next()?.parse().ok()?;
        (body.len() == length).then_some(())
    };
    while whole(&text).is_none() {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut byte));
        assert_eq!(read.await.expect("an answer").expect("no error"), 1, "{:?}", text.len());
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn parting_ends_connections_with_their_answers_and_still_takes_new_ones() {
    let gateway = setup().start().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&kept("{}")).await.unwrap();
    let first = answer(&mut stream).await;
    assert!(!first.contains("connection: close"), "{first}");
    gateway.server.as_ref().unwrap().part(None);
    stream.write_all(&kept("{\"n\":2}")).await.unwrap();
    let last = answer(&mut stream).await;
    assert!(last.starts_with("HTTP/1.1 200") && last.contains("connection: close"), "{last}");
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it is closed after that");
    assert_eq!(gateway.send(post("/in/open", &[], b"new")).await.status, 200);
    assert_eq!(gateway.events().await.len(), 3);
    let in_flight = || gateway.server.as_ref().unwrap().in_flight();
    eventually(|| in_flight().is_none()).await;
}

#[tokio::test]
async fn another_server_takes_the_place() {
    let shared = Shared::new();
    let mut old = shared.start(setup()).await;
    let mut resting = TcpStream::connect(old.address).await.unwrap();
    resting.write_all(&kept("{}")).await.unwrap();
    assert!(answer(&mut resting).await.starts_with("HTTP/1.1 200"));
    let mut silent = TcpStream::connect(old.address).await.unwrap();
    let mut slow = TcpStream::connect(old.address).await.unwrap();
    slow.write_all(b"POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\n")
        .await
        .unwrap();
    let server = old.server.take().unwrap();
    eventually(|| server.in_flight().receiving == 1).await;

    server.part(Some(shared.path.clone()));
    let mut late = TcpStream::connect(old.address).await.unwrap();
    late.write_all(b"POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nlat")
        .await
        .unwrap();
    // The first one began before, and is answered where it is.
    slow.write_all(b"slow").await.unwrap();
    assert!(answer(&mut slow).await.contains("connection: close"));
    assert_eq!(old.events().await.len(), 2);
    eventually(|| server.in_flight().is_none()).await;
    server.hand_over();
    let own = resting.local_addr().unwrap();

    // Nobody serves for a moment: what arrives now waits.
    resting.write_all(&kept("{\"n\":2}")).await.unwrap();
    let address = old.address;
    let waiting = tokio::spawn(async move {
        exchange(address, &post("/in/open", &[], b"waiting"), PATIENCE).await
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(old.events().await.len(), 2, "the first server takes nothing any more");
    let new = shared.start(setup()).await;
    assert_eq!(waiting.await.unwrap().0[0].status, 200);
    let passed_on = answer(&mut resting).await;
    assert!(passed_on.starts_with("HTTP/1.1 200") && passed_on.contains("connection: close"));
    assert_eq!(resting.read(&mut [0]).await.unwrap(), 0);
    late.write_all(b"e").await.unwrap();
    assert!(answer(&mut late).await.starts_with("HTTP/1.1 200"));
    assert_eq!(new.events().await.len(), 3);
    let remotes: Vec<String> = new.reports().into_iter().map(|told| told.remote).collect();
    assert_eq!(
        remotes,
        vec![own.ip().to_string(); 3],
        "whose header says otherwise is not believed"
    );

    // A connection that has been silent so far can still be used.
    silent.write_all(&github("/in/github", "d", "push", b"{}")).await.unwrap();
    assert!(answer(&mut silent).await.starts_with("HTTP/1.1 200"));
    assert_eq!(new.events().await.len(), 4);
    assert_eq!(old.events().await.len(), 2);

    let begun = Instant::now();
    tokio::task::spawn_blocking(move || server.linger(|| false)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "no connection was left");
    assert_eq!(new.send(post("/in/open", &[], b"after")).await.status, 200);
}

#[tokio::test]
async fn large_bodies_other_methods_and_refusals_are_passed_on() {
    let shared = Shared::new();
    let old = shared.start(setup()).await;
    let server = old.server.as_ref().unwrap();
    let (forward, address) = (shared.path.clone(), old.address);
    server.part(Some(forward));
    // It serves its own socket until somebody else does.
    let large = vec![b'x'; 3 * 1024 * 1024];
    let (answers, _) = exchange(address, &post("/in/open", &[], &large), PATIENCE).await;
    assert_eq!(answers[0].status, 200);
    assert_eq!(old.report(1).await.bytes, large.len() as u64);
    let (answers, _) = exchange(address, &request("GET", "/x", &[], b""), PATIENCE).await;
    assert_eq!((answers[0].status, answers[0].text()), (200, "fallback GET /x 0"));
    let forged = post("/in/github", &[("x-hub-signature-256", "sha256=00")], b"{}");
    assert_eq!(exchange(address, &forged, PATIENCE).await.0[0].status, 401);
    let chunked = b"POST /in/open HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (answers, _) = exchange(address, chunked, PATIENCE).await;
    assert_eq!(answers.last().unwrap().status, 200, "{answers:?}");
    assert_eq!(old.events().await.len(), 2);
    assert_eq!(server.in_flight().receiving, 0, "everything came by the other way");
}

#[tokio::test]
async fn what_waits_in_the_queue_is_left_to_the_other() {
    let shared = Shared::new();
    let mut old = shared.start(setup()).await;
    let address = old.address;
    let server = old.server.take().unwrap();
    tokio::task::spawn_blocking(move || server.linger(|| false)).await.unwrap();
    let mut clients = Vec::new();
    for number in 0..50 {
        clients.push(tokio::spawn(async move {
            let body = format!("{number}");
            exchange(address, &post("/in/open", &[], body.as_bytes()), PATIENCE).await
        }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut second = setup();
    // Fewer threads than sockets: each socket is served all the same.
    second.threads = 1;
    let new = shared.start(second).await;
    for client in clients {
        assert_eq!(client.await.unwrap().0[0].status, 200);
    }
    assert_eq!((old.events().await.len(), new.events().await.len()), (0, 50));
}

#[tokio::test]
async fn an_answer_under_way_counts_until_it_is_made() {
    let shared = Shared::new();
    let mut slow = setup();
    slow.wrap = Some(GatedStore::wrap);
    let mut old = shared.start(slow).await;
    let address = old.address;
    let in_flight = tokio::spawn(async move {
        let bytes = github("/in/github", "d", "wait-500", b"{}");
        exchange(address, &bytes, PATIENCE).await
    });
    let server = old.server.take().unwrap();
    eventually(|| server.in_flight().receiving == 1).await;
    server.part(Some(shared.path.clone()));
    server.hand_over();
    assert_eq!(server.in_flight().receiving, 1);
    eventually(|| server.in_flight().is_none()).await;
    assert_eq!(old.events().await.len(), 1, "stored before it stopped counting");
    assert_eq!(in_flight.await.unwrap().0[0].status, 200);
}

#[tokio::test]
async fn a_request_that_was_passed_on_counts_before_it_has_been_read() {
    let shared = Shared::new();
    let mut old = shared.start(setup()).await;
    let server = old.server.take().unwrap();
    let mut passed_on = UnixStream::connect(&shared.path).await.unwrap();
    eventually(|| server.in_flight().forwarded == 1).await;
    server.part(Some(shared.path.clone()));
    assert!(!server.has_settled(), "more may come");
    server.hand_over();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!server.has_settled(), "whoever closes the store now would refuse it");
    passed_on.write_all(&kept("{}")).await.unwrap();
    eventually(|| server.has_settled()).await;
    assert_eq!(old.events().await.len(), 1);
    let mut first = [0; 15];
    passed_on.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    // One that comes now is left to whoever is next.
    let _late = UnixStream::connect(&shared.path).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(server.has_settled());
}

#[tokio::test]
async fn a_body_that_comes_slowly_counts_where_it_is_taken() {
    let shared = Shared::new();
    let mut old = shared.start(setup()).await;
    let address = old.address;
    let server = old.server.take().unwrap();
    server.part(Some(shared.path.clone()));
    let body = vec![b'x'; 2 * 1024 * 1024];
    let bytes = post("/in/open", &[], &body);
    let (most, last) = bytes.split_at(bytes.len() - 10);
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(most).await.unwrap();
    eventually(|| server.in_flight().forwarded == 1).await;
    assert_eq!(server.in_flight().receiving, 1, "the store must stay open for it");
    slow.write_all(last).await.unwrap();
    let mut first = [0; 12];
    slow.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    eventually(|| server.in_flight().is_none()).await;
    assert_eq!(old.events().await.len(), 1);

    // Once another process takes such requests, they occupy this one no longer.
    drop(slow);
    eventually(|| old.ingress.connection_count() == 0).await;
    let mut late = TcpStream::connect(address).await.unwrap();
    let (head, some) = most[..1_100_000].split_at(1_000);
    late.write_all(head).await.unwrap();
    eventually(|| old.ingress.connection_count() > 0).await;
    server.hand_over();
    late.write_all(some).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(server.has_settled());
}

#[tokio::test]
async fn lingering_ends_when_it_is_enough_and_answers_what_is_under_way() {
    let shared = Shared::new();
    let mut slow = setup();
    slow.wrap = Some(GatedStore::wrap);
    let mut old = shared.start(slow).await;
    let address = old.address;
    let mut resting = TcpStream::connect(address).await.unwrap();
    resting.write_all(&kept("{}")).await.unwrap();
    assert!(answer(&mut resting).await.starts_with("HTTP/1.1 200"));
    let under_way = tokio::spawn(async move {
        let bytes = github("/in/github", "d", "wait-500", b"{}");
        exchange(address, &bytes, PATIENCE).await
    });
    let server = old.server.take().unwrap();
    eventually(|| server.in_flight().receiving == 1).await;
    tokio::task::spawn_blocking(move || server.linger(|| true)).await.unwrap();
    assert_eq!(under_way.await.unwrap().0[0].status, 200);
    assert_eq!(resting.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn whoever_passes_on_nothing_makes_nobody_wait() {
    let shared = Shared::new();
    let mut old = shared.start(setup()).await;
    let server = old.server.take().unwrap();
    let silent = UnixStream::connect(&shared.path).await.unwrap();
    eventually(|| server.in_flight().forwarded == 1).await;
    drop(silent);
    server.hand_over();
    eventually(|| server.has_settled()).await;
}
