//! What an outcome says: requests as they go out, answers as they came, timings, storage form.

use std::time::Duration;

use becket_egress::{AttemptError, AttemptOutcome, RetryAfter, Timings};
use http::HeaderValue;
use tokio::net::TcpListener;

use crate::support::{
    ScriptedResolver, Server, Step, answer, code, egress, egress_resolving, ok, request,
    request_under, text,
};

#[tokio::test]
async fn the_request_goes_out_as_given() {
    let server = Server::start(vec![Step::Request, ok()]).await;
    let mut request = request(&server.url("/hook?a=1&b=%20"));
    // Whatever a caller sets, framing and host are ours.
    for (name, value) in [
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("host", "elsewhere.example.com"),
        ("expect", "100-continue"),
    ] {
        request.headers.insert(name, HeaderValue::from_static(value));
    }
    let outcome = egress().send(request).await;
    assert_eq!(outcome.status, Some(200));
    assert!(outcome.is_success());
    assert_eq!(&outcome.body[..], b"ok");
    let sent = server.request_texts().remove(0);
    let (head, body) = sent.split_once("\r\n\r\n").expect("a whole request");
    assert_eq!(body, "{\"hello\":\"world\"}");
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(lines[0], "POST /hook?a=1&b=%20 HTTP/1.1");
    let mut headers = lines[1..].to_vec();
    headers.sort_unstable();
    let host = format!("host: {}", server.address);
    let agent = concat!("user-agent: becket/", env!("CARGO_PKG_VERSION"));
    let expected = ["content-length: 17", "content-type: application/json", host.as_str(), agent];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn an_empty_body_is_sent_with_its_length() {
    let server = Server::start(vec![Step::Request, ok()]).await;
    let mut request = request(&server.url("/"));
    request.body = bytes::Bytes::new();
    request.headers.insert("user-agent", HeaderValue::from_static("sender/1"));
    let outcome = egress().send(request).await;
    assert_eq!(outcome.status, Some(200));
    let sent = server.request_texts().remove(0);
    assert!(sent.contains("content-length: 0\r\n"), "{sent}");
    assert!(sent.contains("user-agent: sender/1\r\n"), "{sent}");
}

#[tokio::test]
async fn every_complete_status_is_an_answer_and_no_error() {
    for status in [200, 201, 204, 299, 400, 401, 404, 410, 429, 500, 503, 599, 999] {
        let body = if status == 204 { "" } else { "text" };
        let server =
            Server::start(vec![Step::Request, answer(&format!("{status} X"), "", body)]).await;
        let outcome = egress().send(request(&server.url("/"))).await;
        assert_eq!((outcome.status, outcome.error), (Some(status), None));
        assert_eq!(&outcome.body[..], body.as_bytes());
        assert_eq!(outcome.is_success(), (200..300).contains(&status));
    }
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms() {
    let cases = [
        ("120", Some(RetryAfter::Seconds(120))),
        ("0", Some(RetryAfter::Seconds(0))),
        (" 7 ", Some(RetryAfter::Seconds(7))),
        ("99999999999999999999999", Some(RetryAfter::Seconds(u64::MAX))),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(RetryAfter::At(784_111_777))),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(RetryAfter::At(784_111_777))),
        ("Sun Nov  6 08:49:37 1994", Some(RetryAfter::At(784_111_777))),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ];
    for (value, expected) in cases {
        assert_eq!(RetryAfter::parse(value.as_bytes()), expected, "{value:?}");
    }
    let headers = "retry-after: 30\r\n";
    let server = Server::start(vec![Step::Request, answer("503 Busy", headers, "")]).await;
    let outcome = egress().send(request(&server.url("/"))).await;
    assert_eq!(outcome.retry_after, Some(RetryAfter::Seconds(30)));
}

#[tokio::test]
async fn timings_add_up() {
    let script = vec![
        Step::Request,
        Step::Pause(60),
        text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"),
        Step::Pause(40),
        text("ok"),
    ];
    let server = Server::start(script).await;
    let resolver = ScriptedResolver::new().answer("app.example.com", &["127.0.0.1"]).delayed(30);
    let egress = egress_resolving(resolver);
    let url = format!("http://app.example.com:{}/", server.address.port());
    let outcome = egress.send(request(&url)).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let timings = outcome.timings;
    assert!(timings.dns_us >= 30_000, "{timings:?}");
    assert!(timings.connect_us > 0, "{timings:?}");
    assert_eq!(timings.tls_us, 0);
    assert!((60_000..1_000_000).contains(&timings.first_byte_us), "{timings:?}");
    let phases = timings.dns_us + timings.connect_us + timings.first_byte_us;
    assert!(timings.total_us >= phases + 40_000, "{timings:?}");
    assert!(!timings.reused);
}

#[tokio::test]
async fn refused_and_unanswered_connections_differ() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let address = closed.local_addr().expect("a bound address");
    drop(closed);
    let outcome = egress().send(request(&format!("http://{address}/"))).await;
    assert_eq!(code(&outcome), "connect_refused");
    assert_eq!(outcome.status, None);

    // A full backlog leaves further connections unanswered.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a loopback port");
    let full = socket.listen(0).expect("a listener");
    let address = full.local_addr().expect("a bound address");
    let mut held = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address))
            .await
    {
        held.push(stream);
        assert!(held.len() < 100, "the backlog never fills");
    }
    let outcome = egress().send(request(&format!("http://{address}/"))).await;
    assert_eq!(code(&outcome), "connect_timeout");
    assert!(outcome.timings.connect_us >= 900_000, "{outcome:?}");

    // A request may have a shorter time of its own.
    let mut hurried = request(&format!("http://{address}/"));
    hurried.connect_timeout_ms = Some(100);
    let outcome = egress().send(hurried).await;
    assert_eq!(code(&outcome), "connect_timeout");
    assert!((90_000..900_000).contains(&outcome.timings.connect_us), "{outcome:?}");
}

#[tokio::test]
async fn the_total_timeout_wins_over_a_longer_connect_timeout() {
    let server = Server::start(vec![Step::Hang]).await;
    let mut request =
        request_under(becket_egress::policy::AddressPolicy::operator(), &server.url("/"));
    request.timeout_ms = 100;
    let outcome = egress().send(request).await;
    assert_eq!(code(&outcome), "timeout");
    assert!((100_000..1_500_000).contains(&outcome.timings.total_us));
    assert_eq!(outcome.remote_address, Some(server.address));
}

#[test]
fn an_outcome_survives_storage_byte_for_byte() {
    let outcome = AttemptOutcome {
        status: Some(500),
        error: Some(AttemptError::BodyReadFailed),
        headers: vec![("x-raw".to_owned(), (1..=255).collect())],
        body: bytes::Bytes::from((0..=255).collect::<Vec<u8>>()),
        body_truncated: true,
        retry_after: Some(RetryAfter::At(5)),
        timings: Timings { total_us: 7, reused: true, ..Timings::default() },
        remote_address: Some("127.0.0.1:80".parse().expect("an address")),
        acted: Some(becket_egress::Acted::GiveUp),
        note: "exit code 65".to_owned(),
    };
    let json = serde_json::to_string(&outcome).expect("outcomes serialise");
    let back: AttemptOutcome = serde_json::from_str(&json).expect("and come back");
    assert_eq!(back, outcome);
    assert!(json.contains("\"error\":\"body_read_failed\""));
}

#[test]
fn every_error_has_its_own_code_and_sentence() {
    let mut codes = Vec::new();
    for error in AttemptError::ALL {
        let json = serde_json::to_string(&error).expect("errors serialise");
        assert_eq!(json, format!("\"{}\"", error.code()));
        assert_eq!(AttemptError::from_code(error.code()), Some(error));
        assert!(error.to_string().ends_with('.'));
        codes.push(error.code());
    }
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), AttemptError::ALL.len());
    assert_eq!(AttemptError::from_code("no_such_code"), None);
}

#[test]
fn nothing_secret_is_printed_by_debug() {
    let mut request = request("http://127.0.0.1/hook?token=canary");
    let secret = HeaderValue::from_static("canary");
    request.headers.insert("authorization", secret);
    request.body = bytes::Bytes::from_static(b"canary");
    assert!(!format!("{request:?}").contains("canary"));
    let outcome = AttemptOutcome {
        headers: vec![("set-cookie".to_owned(), b"canary".to_vec())],
        body: bytes::Bytes::from_static(b"canary"),
        ..AttemptOutcome::default()
    };
    assert!(!format!("{outcome:?}").contains("canary"));
}
