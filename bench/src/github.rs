//! The event that is sent: a push of about a kilobyte, signed as GitHub signs.
//!
//! The delivery id is a header that the signature does not cover, so one signed body serves for all
//! requests; the id carries the moment of sending, which the endpoint at the other end reads.

use std::net::SocketAddr;

use ring::hmac;

use crate::request::Request;

/// The source's secret.
pub const SECRET: &str = "it is only a benchmark, but the secret is long enough";
/// Where events are sent to.
pub const PATH: &str = "/in/github";
/// The header with the delivery id.
pub const DELIVERY: &str = "x-github-delivery";
/// The header with the signature.
pub const SIGNATURE: &str = "x-hub-signature-256";

const BODY_BYTES: usize = 1_024;

/// The body: JSON in the form of a push.
pub fn body() -> String {
    let head = concat!(
        r#"{"ref":"refs/heads/main","before":"6113728f27ae82c7b1a177c8d03f9e96e0adf246","#,
        r#""after":"4544205a385319fd846d5df4ed2e3b8173529d78","repository":{"id":186853002,"#,
        r#""name":"Hello-World","full_name":"octo-org/Hello-World","private":false,"#,
        r#""owner":{"name":"octo-org","login":"octo-org","id":6811672,"type":"Organization"},"#,
        r#""default_branch":"main"},"pusher":{"name":"mona","email":"mona@example.com"},"#,
        r#""sender":{"login":"mona","id":21031067,"type":"User"},"created":false,"#,
        r#""deleted":false,"forced":false,"commits":[{"#,
        r#""id":"4544205a385319fd846d5df4ed2e3b8173529d78","distinct":true,"#,
        r#""timestamp":"2026-05-15T15:20:41Z","author":{"name":"Mona","username":"mona"},"#,
        r#""added":[],"removed":[],"modified":["README.md"],"message":""#,
    );
    let tail = r#""}]}"#;
    let filler = "Say in the introduction what the program is for. ";
    let length = BODY_BYTES - head.len() - tail.len();
    let message: String = filler.chars().cycle().take(length).collect();
    [head, &message, tail].concat()
}

/// The key that bodies are verified with.
pub fn key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes())
}

/// Requests to a gateway's source; `salt` has to differ between connections.
pub fn request(to: SocketAddr, salt: u32) -> Request {
    request_as(to, PATH, "push", salt)
}

/// The same to another source of the same secret, as events of another type.
pub fn request_as(to: SocketAddr, path: &str, event_type: &str, salt: u32) -> Request {
    let body = body();
    let signature = hex::encode(hmac::sign(&key(), body.as_bytes()));
    let before = format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\nuser-agent: GitHub-Hookshot/becket-bench\r\n\
         accept: */*\r\ncontent-type: application/json\r\nx-github-event: {event_type}\r\n\
         x-github-hook-id: 292430182\r\n{SIGNATURE}: sha256={signature}\r\n\
         content-length: {}\r\n{DELIVERY}: ",
        body.len()
    );
    Request::new(&before, &format!("\r\n\r\n{body}"), salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_json_of_a_kilobyte() {
        let body = body();
        assert_eq!(body.len(), BODY_BYTES);
        let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(value["ref"], "refs/heads/main");
    }
}
