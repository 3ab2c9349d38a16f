//! Posting messages through the API: applications, endpoints, and the requests.
//!
//! Nothing here knows Becket: any server that speaks the same API can be measured with it, by its
//! address and a token.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api;
use crate::error::{BenchError, Result, doing};
use crate::request::{ID_BYTES, Request};

/// The event type of all messages.
const EVENT_TYPE: &str = "invoice.paid";
const PAYLOAD_BYTES: usize = 1_024;
/// What stands before the id in the payload.
const ID_MARK: &[u8] = br#""sent":""#;

/// A server that speaks the API.
#[derive(Clone)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// A token that may make applications.
    pub token: String,
}

/// How many things are made.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Applications; connections take turns.
    pub applications: usize,
    /// Endpoints of each application.
    pub endpoints: usize,
}

impl Server {
    /// Makes the event type, the applications and their endpoints, all of which lead to `sink`;
    /// answers with the ids of the applications.
    pub fn prepare(&self, shape: Shape, sink: &str) -> Result<Arc<Vec<String>>> {
        let kind = json!({ "name": EVENT_TYPE, "description": "An invoice was paid" });
        // It may be there from an earlier round.
        let known = api::exchange_json(self, "POST", "/api/v1/event-type", &kind)?;
        if !matches!(known.0, 200..=299 | 409) {
            return Err(refused("/api/v1/event-type", &known));
        }
        let mut ids = Vec::with_capacity(shape.applications);
        for number in 0..shape.applications {
            let body = json!({ "name": format!("customer {number}") });
            let id = self.make("/api/v1/app", &body)?;
            for endpoint in 0..shape.endpoints {
                let path = format!("/api/v1/app/{id}/endpoint");
                let url = format!("{sink}/hooks/{number}/{endpoint}");
                self.make(&path, &json!({ "url": url }))?;
            }
            ids.push(id);
        }
        Ok(Arc::new(ids))
    }

    fn make(&self, path: &str, body: &Value) -> Result<String> {
        let answer = api::exchange_json(self, "POST", path, body)?;
        match (answer.0, answer.1["id"].as_str()) {
            (200..=299, Some(id)) => Ok(id.to_owned()),
            _ => Err(refused(path, &answer)),
        }
    }

    /// Posts messages for one of the applications, the same for each connection, where connections
    /// are spread over so many servers: each of them gets messages of all applications.
    pub fn requests(
        &self,
        applications: Arc<Vec<String>>,
        servers: usize,
    ) -> Arc<dyn Fn(usize, u32) -> Request + Send + Sync> {
        let server = self.clone();
        Arc::new(move |connection, salt| {
            server.request(&applications[connection / servers % applications.len()], salt)
        })
    }

    fn request(&self, application: &str, salt: u32) -> Request {
        let (before, after) = body();
        let length = before.len() + ID_BYTES + after.len();
        let head = format!(
            "POST /api/v1/app/{application}/msg?with_content=false HTTP/1.1\r\nhost: {}\r\n\
             authorization: Bearer {}\r\ncontent-type: application/json\r\n\
             accept: application/json\r\ncontent-length: {length}\r\n\r\n",
            self.address, self.token
        );
        Request::new(&format!("{head}{before}"), &after, salt)
    }
}

fn refused(path: &str, answer: &(u16, Value)) -> BenchError {
    let detail = format!("POST {path} answered {}: {}", answer.0, answer.1);
    BenchError::Process { what: "the API", detail }
}

/// What stands before and behind the id in a message whose payload has about a kilobyte.
fn body() -> (String, String) {
    let before = format!(r#"{{"eventType":"{EVENT_TYPE}","payload":{{"sent":""#);
    let head = concat!(
        r#"","type":"invoice.paid","data":{"id":"in_1Qk2vY2eZvKYlo2C","currency":"eur","#,
        r#""amount":129900,"customer":"cus_Rc4nU8yK1","lines":[{"sku":"A-100","quantity":3}],"#,
        r#""description":""#,
    );
    let filler = "Paid by bank transfer on the day it was due. ";
    let rest = PAYLOAD_BYTES - head.len() - ID_BYTES - ID_MARK.len() - 6;
    let text: String = filler.chars().cycle().take(rest).collect();
    (before, format!(r#"{head}{text}"}}}}}}"#))
}

/// The id in a delivered payload.
pub fn id_in(body: &[u8]) -> Option<&[u8]> {
    let at = body.windows(ID_MARK.len()).position(|bytes| bytes == ID_MARK)? + ID_MARK.len();
    body.get(at..at + ID_BYTES)
}

/// The address in a URL such as `http://127.0.0.1:8080`.
pub fn address_of(url: &str) -> Result<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    let wrong = |detail: String| BenchError::Process { what: "the address", detail };
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| wrong(format!("`{url}` does not begin with http://")))?;
    let host = rest.trim_end_matches('/');
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut found = host.to_socket_addrs().map_err(doing(format!("looking up {host}")))?;
    found.next().ok_or_else(|| wrong(format!("`{url}` leads nowhere")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_json_and_its_id_is_found() {
        let (before, after) = body();
        let id = "0".repeat(ID_BYTES);
        let message: Value =
            serde_json::from_str(&[before, id.clone(), after].concat()).expect("JSON");
        let payload = message["payload"].to_string();
        assert!(
            (PAYLOAD_BYTES - 16..=PAYLOAD_BYTES + 16).contains(&payload.len()),
            "{}",
            payload.len()
        );
        assert_eq!(id_in(payload.as_bytes()), Some(id.as_bytes()));
    }
}
