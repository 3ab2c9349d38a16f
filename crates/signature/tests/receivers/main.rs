//! The examples as they are, over real connections: genuine, forged, challenged, too large.

#[path = "../../examples/axum_receiver.rs"]
#[allow(dead_code, reason = "an example's `main` is not called by its test")]
mod axum_receiver;
#[path = "../../examples/hyper_receiver.rs"]
#[allow(dead_code, reason = "an example's `main` is not called by its test")]
mod hyper_receiver;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use becket_signature::{Catalogue, Credentials, SignRequest, Verifier, VerifierOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = r#"{"id":"evt_1","type":"thing.done","note":"Grüße"}"#;

fn verifier(slug: &str) -> Arc<Verifier> {
    let entry = Catalogue::builtin().get(slug).expect("is in the catalogue");
    let credentials = Credentials::from_secrets(["a-secret-of-this-test"]);
    Arc::new(Verifier::new(entry, &credentials, &VerifierOptions::default()).expect("fits"))
}

#[expect(clippy::disallowed_methods, reason = "the receivers read the real clock")]
fn signed(verifier: &Verifier, body: &str) -> Vec<(String, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let request = SignRequest {
        method: "POST",
        url: "https://localhost/webhooks",
        body: body.as_bytes(),
        content_type: "application/json",
        event_type: Some("thing.done"),
        delivery_id: Some("d-1"),
    };
    let now_s = i64::try_from(now).expect("fits");
    verifier.sign(&request, now_s).expect("can be signed").headers
}

async fn send(address: SocketAddr, headers: &[(String, String)], body: &str) -> (u16, String) {
    let mut text = "POST /webhooks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n".to_owned();
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    let mut stream = TcpStream::connect(address).await.expect("somebody listens");
    stream.write_all(text.as_bytes()).await.expect("can be sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer comes");
    let answer = String::from_utf8(answer).expect("is text");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let (_, rest) = answer.split_once("\r\n\r\n").expect("headers end");
    (status, rest.to_owned())
}

async fn check(address: SocketAddr, verifier: &Verifier, kind: &str) {
    let headers = signed(verifier, BODY);
    let (status, text) = send(address, &headers, BODY).await;
    assert_eq!((status, text.as_str()), (202, format!("{kind}, {} bytes\n", BODY.len()).as_str()));
    let changed = BODY.replace("done", "gone");
    let (status, text) = send(address, &headers, &changed).await;
    assert_eq!((status, text.as_str()), (401, "the request could not be verified\n"));
    let (status, unsigned) = send(address, &[], BODY).await;
    assert_eq!((status, unsigned), (401, text), "a reason would teach a forger");
}

#[tokio::test]
async fn axum() {
    let verifier = verifier("stripe");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("is bound");
    let app = axum_receiver::app(Arc::clone(&verifier));
    tokio::spawn(async move { axum::serve(listener, app).await });
    check(address, &verifier, "thing.done").await;
    let (status, _) = send(address, &[], &"x".repeat(1024 * 1024 + 1)).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn axum_answers_challenges() {
    let verifier = verifier("slack");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("is bound");
    let app = axum_receiver::app(Arc::clone(&verifier));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let challenge = r#"{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd"}"#;
    let (status, text) = send(address, &signed(&verifier, challenge), challenge).await;
    assert_eq!((status, text.as_str()), (200, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd"));
    let (status, _) = send(address, &[], challenge).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn hyper() {
    let verifier = verifier("github");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("is bound");
    tokio::spawn(hyper_receiver::serve(listener, Arc::clone(&verifier)));
    check(address, &verifier, "thing.done").await;
}
