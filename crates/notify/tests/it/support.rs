//! Deliveries, and a receiver of messages.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use becket_egress::EgressConfig;
use becket_egress::action::ActionRequest;
use becket_notify::{Notifier, Settings, To};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A delivery of an event.
pub fn delivery(id: &str, event_type: &str, body: &Value) -> ActionRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    ActionRequest {
        event_id: id.to_owned(),
        event_type: Some(event_type.to_owned()),
        source: "shop".to_owned(),
        endpoint: "ep_1".to_owned(),
        attempt: 1,
        received_at_ms: 1_767_225_600_000,
        started_at_ms: 1_767_225_600_000,
        method: "POST".to_owned(),
        path: "/in/shop".to_owned(),
        headers,
        body: Bytes::from(body.to_string()),
        timeout_ms: 5_000,
    }
}

/// What is usual: no title, no text, collected for a minute.
pub fn settings(to: To) -> Settings {
    Settings {
        to,
        title: None,
        text: None,
        digest: Duration::from_secs(60),
        lines: 5,
        public_url: None,
    }
}

pub fn notifier(settings: Settings) -> Notifier {
    Notifier::new(settings, Arc::new(EgressConfig::default)).expect("the settings can work")
}

/// A receiver that answers as it is told and remembers what it was sent.
pub struct Receiver {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    /// Answers with these heads in turn, the last one for ever.
    pub async fn start(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let requests: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let mut answers: VecDeque<String> = answers.iter().map(|one| (*one).to_owned()).collect();
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = match answers.len() {
                    1 => answers[0].clone(),
                    _ => answers.pop_front().expect("there is always an answer"),
                };
                let request = read(&mut stream).await;
                kept.lock().push(request);
                let answer = format!(
                    "HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
                );
                stream.write_all(answer.as_bytes()).await.expect("the gateway reads the answer");
            }
        });
        Self { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Heads and bodies of all requests so far.
    pub fn requests(&self) -> Vec<(String, Value)> {
        self.requests.lock().clone()
    }

    pub fn bodies(&self) -> Vec<Value> {
        self.requests().into_iter().map(|(_, body)| body).collect()
    }
}

async fn read(stream: &mut tokio::net::TcpStream) -> (String, Value) {
    let mut text = Vec::new();
    let head = loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.expect("a request can be read");
        assert!(read > 0, "the request broke off");
        text.extend_from_slice(&part[..read]);
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let heading = String::from_utf8_lossy(&text[..head]).to_lowercase();
    let length = heading.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|text| text.trim().parse().ok()).expect("a length");
    while text.len() < head + length {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.expect("a request can be read");
        text.extend_from_slice(&part[..read]);
    }
    (heading, serde_json::from_slice(&text[head..]).expect("a message is JSON"))
}
