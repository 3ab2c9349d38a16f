//! Endpoints that answer with garbage, too much, too slowly, or not at all: each has its own reason,
//! costs bounded time and memory, and leaves the next attempt unharmed.

use std::time::{Duration, Instant};

use becket_egress::AttemptOutcome;

use crate::support::{Server, Step, answer, code, egress, egress_with, ok, request, text};

const KIB: usize = 1024;

/// What a script is expected to come to: error code (or `-`), status (or 0).
struct Case {
    name: &'static str,
    script: Vec<Step>,
    expected: (&'static str, u16),
}

fn case(name: &'static str, script: Vec<Step>, expected: (&'static str, u16)) -> Case {
    Case { name, script, expected }
}

/// A script that reads the request and writes this text, then closes.
fn says(name: &'static str, said: &str, expected: (&'static str, u16)) -> Case {
    case(name, vec![Step::Request, text(said)], expected)
}

async fn run(case: &Case) -> AttemptOutcome {
    let server = Server::start(case.script.clone()).await;
    let started = Instant::now();
    let mut request = request(&server.url("/"));
    request.timeout_ms = 3_000;
    let outcome = egress().send(request).await;
    let got = (code(&outcome), outcome.status.unwrap_or(0));
    assert_eq!(got, case.expected, "{}", case.name);
    assert!(outcome.body.len() <= 16 * KIB, "{}", case.name);
    let took = started.elapsed();
    // Nobody here ends by itself before that; what is more than the timeout is the machine's.
    assert!(took < Duration::from_secs(10), "{}: {took:?}", case.name);
    outcome
}

fn malformed_heads() -> Vec<Case> {
    let malformed = ("malformed_response", 0);
    vec![
        says("HTTP/0.9", "<html>hello</html>\n", malformed),
        says("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", malformed),
        says("HTTP/3 version", "HTTP/3.0 200 OK\r\n\r\n", malformed),
        says("another protocol", "SSH-2.0-OpenSSH_9.2\r\n", malformed),
        case("speaks first", vec![text("220 mail ready\r\n"), Step::Hang], malformed),
        says("status of letters", "HTTP/1.1 abc OK\r\n\r\n", malformed),
        says("status of two digits", "HTTP/1.1 20 OK\r\n\r\n", malformed),
        says("header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", malformed),
        says("NUL in a header", "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", malformed),
        says("space before the colon", "HTTP/1.1 200 OK\r\nx : y\r\n\r\n", malformed),
        says(
            "two lengths that differ",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
            malformed,
        ),
        says("negative length", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", malformed),
        says("length of letters", "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", malformed),
        says(
            "switches protocols unasked",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            malformed,
        ),
        case(
            "binary noise",
            vec![Step::Request, Step::Write((128..=255).cycle().take(4096).collect())],
            malformed,
        ),
        case(
            "TLS where HTTP was asked for",
            vec![Step::Request, Step::Write(vec![0x15, 3, 3, 0, 2, 2, 70])],
            malformed,
        ),
    ]
}

fn oversized_heads() -> Vec<Case> {
    let too_large = ("header_too_large", 0);
    let many_headers: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let just_too_many: String = (0..101).map(|n| format!("x-{n}: y\r\n")).collect();
    let long_value = "v".repeat(70 * KIB);
    let informational = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_vec();
    vec![
        says("10,000 headers", &format!("HTTP/1.1 200 OK\r\n{many_headers}\r\n"), too_large),
        says("101 headers", &format!("HTTP/1.1 200 OK\r\n{just_too_many}\r\n"), too_large),
        says(
            "a header of 70 KiB",
            &format!("HTTP/1.1 200 OK\r\nx: {long_value}\r\n\r\n"),
            too_large,
        ),
        says("a status line of 70 KiB", &format!("HTTP/1.1 200 {long_value}"), too_large),
        case(
            "endless headers",
            vec![
                Step::Request,
                text("HTTP/1.1 200 OK\r\n"),
                Step::Repeat(b"a: b\r\n".to_vec(), 1 << 30),
            ],
            too_large,
        ),
        case(
            "endless informational responses",
            vec![Step::Request, Step::Repeat(informational, 1 << 30)],
            too_large,
        ),
        case(
            "endless 100 Continue",
            vec![Step::Request, Step::Repeat(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), 1 << 30)],
            too_large,
        ),
    ]
}

fn broken_bodies() -> Vec<Case> {
    let broken = ("body_read_failed", 200);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    vec![
        says("a chunk size of letters", &format!("{chunked}zz\r\nab\r\n0\r\n\r\n"), broken),
        says(
            "a chunk size too large for any machine",
            &format!("{chunked}fffffffffffffffff\r\n"),
            broken,
        ),
        says("a chunk longer than announced", &format!("{chunked}2\r\nabcd\r\n0\r\n\r\n"), broken),
        says("chunks without an end", &format!("{chunked}2\r\nab\r\n"), broken),
        says("shorter than its length", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", broken),
        case(
            "a reset in the middle of the body",
            vec![
                Step::Request,
                text("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
                Step::Pause(50),
                Step::Reset,
            ],
            broken,
        ),
    ]
}

fn early_ends() -> Vec<Case> {
    let early = ("closed_early", 0);
    vec![
        case("closes at once", vec![], early),
        case("resets at once", vec![Step::Reset], early),
        case("closes after the request", vec![Step::Request], early),
        case("resets after the request", vec![Step::Request, Step::Reset], early),
        says("half a status line", "HTTP/1.1 20", early),
        says("half a head", "HTTP/1.1 200 OK\r\ncontent-le", early),
        says("only an informational response", "HTTP/1.1 100 Continue\r\n\r\n", early),
    ]
}

fn slow_answers() -> Vec<Case> {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n".to_vec();
    vec![
        case("accepts and never answers", vec![Step::Hang], ("timeout", 0)),
        case("reads and never answers", vec![Step::Request, Step::Hang], ("timeout", 0)),
        case(
            "headers byte by byte",
            vec![Step::Request, Step::Drip(head.clone(), 500)],
            ("timeout", 0),
        ),
        case(
            "body byte by byte",
            vec![Step::Request, Step::Write(head.clone()), Step::Drip(vec![b'x'; 2000], 20)],
            ("timeout", 200),
        ),
        case(
            "never ends its chunks",
            vec![
                Step::Request,
                text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"),
                Step::Hang,
            ],
            ("timeout", 200),
        ),
        case("answers too late", vec![Step::Request, Step::Pause(30_000), ok()], ("timeout", 0)),
        case(
            "informational responses for ever, slowly",
            vec![Step::Request, Step::Drip(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(50), 20)],
            ("timeout", 0),
        ),
    ]
}

fn odd_but_complete() -> Vec<Case> {
    vec![
        case(
            "answers without reading the request",
            vec![Step::Pause(50), ok(), Step::Hang],
            ("-", 200),
        ),
        says("HTTP/1.0 until the end", "HTTP/1.0 200 OK\r\n\r\nuntil the end", ("-", 200)),
        says("no length, until the end", "HTTP/1.1 200 OK\r\n\r\nuntil the end", ("-", 200)),
        says("no reason phrase", "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", ("-", 200)),
        says(
            "an empty line before the status",
            "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            ("-", 200),
        ),
        says(
            "hints, then an answer",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
            ("-", 202),
        ),
        case(
            "complete, then a reset",
            vec![Step::Request, ok(), Step::Pause(20), Step::Reset],
            ("-", 200),
        ),
        case(
            "slow but in time",
            vec![
                Step::Request,
                Step::Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(), 5),
            ],
            ("-", 200),
        ),
    ]
}

async fn run_all(cases: Vec<Case>) {
    for case in &cases {
        run(case).await;
    }
}

/// Runs what takes its whole time, one beside the other.
async fn run_at_once(cases: Vec<Case>) {
    let mut running = tokio::task::JoinSet::new();
    for case in cases {
        running.spawn(async move { run(&case).await });
    }
    running.join_all().await;
}

#[tokio::test]
async fn malformed_heads_are_called_malformed() {
    run_all(malformed_heads()).await;
}

#[tokio::test]
async fn heads_are_read_up_to_a_limit() {
    run_all(oversized_heads()).await;
}

#[tokio::test]
async fn bodies_that_break_off_keep_their_status() {
    run_all(broken_bodies()).await;
}

#[tokio::test]
async fn connections_that_end_early_are_told_from_silence() {
    run_all(early_ends()).await;
}

#[tokio::test]
async fn the_total_timeout_ends_every_slow_answer() {
    run_at_once(slow_answers()).await;
}

#[tokio::test]
async fn odd_but_complete_answers_count() {
    run_all(odd_but_complete()).await;
}

#[tokio::test]
async fn a_gigabyte_of_body_is_a_success_of_sixteen_kibibytes() {
    let cases =
        ["HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"];
    for head in cases {
        let script = vec![Step::Request, text(head), Step::Repeat(vec![b'x'; KIB], KIB * KIB)];
        let outcome = run(&case("1 GiB", script, ("-", 200))).await;
        assert_eq!(outcome.body.len(), 16 * KIB);
        assert!(outcome.body_truncated);
        assert!(outcome.is_success());
    }
    // A body of exactly the limit is whole.
    let exact = "x".repeat(16 * KIB);
    let script = vec![Step::Request, answer("200 OK", "", &exact)];
    let outcome = run(&case("16 KiB", script, ("-", 200))).await;
    assert!(!outcome.body_truncated);
    assert_eq!(outcome.body.len(), 16 * KIB);
}

#[tokio::test]
async fn what_was_read_before_a_failure_is_kept() {
    let script = vec![
        Step::Request,
        text("HTTP/1.1 500 Oh\r\nx-reason: Disk\r\ncontent-length: 100\r\n\r\npartial"),
        Step::Hang,
    ];
    let outcome = run(&case("partial", script, ("timeout", 500))).await;
    assert_eq!(&outcome.body[..], b"partial");
    let reason = ("x-reason".to_owned(), b"Disk".to_vec());
    assert!(outcome.headers.contains(&reason));
}

#[tokio::test]
async fn compressed_answers_stay_as_they_are() {
    // The beginning of a gzip stream that would become much more; nobody opens it.
    let bomb: Vec<u8> = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xed, 0xc1]
        .into_iter()
        .chain(std::iter::repeat_n(0, 2000))
        .collect();
    let mut said = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    )
    .into_bytes();
    said.extend_from_slice(&bomb);
    let script = vec![Step::Request, Step::Write(said)];
    let outcome = run(&case("gzip bomb", script, ("-", 200))).await;
    assert_eq!(&outcome.body[..], &bomb[..]);
}

#[tokio::test]
async fn an_endpoint_that_reads_nothing_does_not_hold_a_large_request() {
    let server = Server::start(vec![Step::Pause(5_000)]).await;
    let mut request = request(&server.url("/"));
    request.body = vec![b'x'; 32 * KIB * KIB].into();
    request.timeout_ms = 300;
    let outcome = egress().send(request).await;
    assert_eq!(code(&outcome), "timeout");
}

#[tokio::test]
async fn an_answer_before_the_whole_request_is_an_answer() {
    let script =
        vec![Step::Pause(50), answer("413 Too Large", "connection: close\r\n", "no"), Step::Hang];
    let server = Server::start(script).await;
    let mut request = request(&server.url("/"));
    request.body = vec![b'x'; 32 * KIB * KIB].into();
    let outcome = egress().send(request).await;
    assert_eq!((code(&outcome), outcome.status), ("-", Some(413)), "{outcome:?}");
}

#[tokio::test]
async fn a_hundred_hanging_endpoints_do_not_delay_a_healthy_one() {
    let hanging = Server::start(vec![Step::Hang]).await;
    let healthy = Server::start(vec![Step::Request, ok()]).await;
    let egress = egress_with(|_| {});
    let mut running = Vec::new();
    for key in 0..100 {
        let (egress, mut request) = (egress.clone(), request(&hanging.url("/")));
        request.pool_key = key + 10;
        request.timeout_ms = 5_000;
        running.push(tokio::spawn(async move { egress.send(request).await }));
    }
    let started = Instant::now();
    while hanging.connection_count() < 100 {
        assert!(started.elapsed() < Duration::from_secs(4), "they do not all hang");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let outcome = egress.send(request(&healthy.url("/"))).await;
    assert!(outcome.is_success());
    assert!(running.iter().all(|attempt| !attempt.is_finished()), "it waited for one of them");
    for attempt in running {
        assert_eq!(code(&attempt.await.expect("no panic")), "timeout");
    }
}
