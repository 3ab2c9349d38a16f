//! The event that is sent: a push of about a kilobyte, signed as GitHub signs.
//!
//! The delivery id is a header that the signature does not cover, so one signed body serves for all
//! requests; the id carries the moment of sending, which the endpoint at the other end reads.

use std::net::SocketAddr;

use ring::hmac;

use crate::clock;

/// The source's secret.
pub const SECRET: &str = "it is only a benchmark, but the secret is long enough";
/// Where events are sent to.
pub const PATH: &str = "/in/github";
/// The header with the delivery id.
pub const DELIVERY: &str = "x-github-delivery";
/// The header with the signature.
pub const SIGNATURE: &str = "x-hub-signature-256";

const BODY_BYTES: usize = 1_024;
const ID_BYTES: usize = 36;

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

/// A whole request, of which only the delivery id changes.
pub struct Request {
    bytes: Vec<u8>,
    id_at: usize,
    /// The part of the id that tells connections and runs apart.
    salt: u32,
    count: u32,
}

impl Request {
    /// Requests whose ids carry `salt`; it has to differ between connections.
    pub fn new(to: SocketAddr, salt: u32) -> Self {
        let body = body();
        let signature = hex::encode(hmac::sign(&key(), body.as_bytes()));
        let before = format!(
            "POST {PATH} HTTP/1.1\r\nhost: {to}\r\nuser-agent: GitHub-Hookshot/becket-bench\r\n\
             accept: */*\r\ncontent-type: application/json\r\nx-github-event: push\r\n\
             x-github-hook-id: 292430182\r\n{SIGNATURE}: sha256={signature}\r\n\
             content-length: {}\r\n{DELIVERY}: ",
            body.len()
        );
        let id = "0".repeat(ID_BYTES);
        let bytes = [&before, id.as_str(), "\r\n\r\n", &body].concat().into_bytes();
        Self { bytes, id_at: before.len(), salt, count: 0 }
    }

    /// The next request, with an id that no other has.
    pub fn next(&mut self) -> &[u8] {
        self.count = self.count.wrapping_add(1);
        let low = u64::from(self.salt) << 32 | u64::from(self.count);
        write_id(&mut self.bytes[self.id_at..self.id_at + ID_BYTES], clock::now_us(), low);
        &self.bytes
    }
}

/// Writes 128 bits in the form of a UUID.
fn write_id(slot: &mut [u8], high: u64, low: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut at = 0;
    for nibble in 0..32_u32 {
        if [8, 12, 16, 20].contains(&nibble) {
            slot[at] = b'-';
            at += 1;
        }
        let half = if nibble < 16 { high } else { low };
        let value = half >> (60 - 4 * (nibble % 16)) & 15;
        slot[at] = DIGITS[usize::try_from(value).unwrap_or_default()];
        at += 1;
    }
}

/// When the request with this delivery id was sent, in microseconds since 1970.
pub fn sent_at_us(id: &[u8]) -> Option<u64> {
    let digits = id.iter().filter(|byte| **byte != b'-').take(16);
    digits
        .copied()
        .try_fold(0, |sum: u64, digit| Some(sum << 4 | u64::from(char::from(digit).to_digit(16)?)))
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

    #[test]
    fn ids_differ_and_tell_when_they_were_made() {
        let mut request = Request::new(([127, 0, 0, 1], 80).into(), 7);
        let id_of = |request: &mut Request| {
            let at = request.id_at;
            request.next()[at..at + ID_BYTES].to_vec()
        };
        let (first, second) = (id_of(&mut request), id_of(&mut request));
        assert_ne!(first, second);
        assert_eq!([first[8], first[13], first[18], first[23]], [b'-'; 4]);
        let sent = sent_at_us(&first).expect("a time");
        assert!(clock::now_us() - sent < 1_000_000);
        assert!(sent_at_us(b"zzz").is_none());
    }
}
