//! What is kept of an attempt besides its row: the request as it was sent, the response as far as
//! it is kept, and where the time went. Stored as JSON; written by the engine, read by the API.
//!
//! Invariants: credentials are never in here (their values are [`REDACTED`]); signatures are, since
//! they prove what was sent and are worth nothing to anybody else; a response body has at most
//! 16 KiB. Unknown fields are passed over, so that older readers can show newer attempts.
//!
//! Absent: the request's body, unless a transformation made it: it is the event's own and kept once
//! with it.

use serde::{Deserialize, Serialize};

/// Stands in for the value of a header that carries a credential.
pub const REDACTED: &str = "[redacted]";

/// The details of one attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptDetail {
    /// The URL that was posted to.
    pub url: String,
    /// The method, if a transformation made it another one than `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The headers that were sent, in order, as name and value (Latin-1 read as text). `Host`,
    /// `Content-Length` and a missing `User-Agent` are added on the way out and not listed.
    pub request_headers: Vec<(String, String)>,
    /// The size of the body that was sent, in bytes.
    pub request_bytes: u64,
    /// What the endpoint's transformation did, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformed: Option<TransformedDetail>,
    /// The response, as far as it arrived.
    pub response: Option<ResponseDetail>,
    /// The address that was connected to, with its port.
    pub remote_address: Option<String>,
    /// Why there is no whole response: a sentence for the endpoint's owner.
    pub error: Option<String>,
    /// What else there is to say, such as a program's exit code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What an endpoint that is not posted to gave back: a program's output, a broker's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputDetail>,
    /// Where the time went.
    pub timings_us: AttemptTimings,
}

/// What a transformation did with a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformedDetail {
    /// Whether it said that nothing is to be sent.
    pub cancelled: bool,
    /// The first 16 KiB of the body that it made; `None` if the event's own was sent, or nothing.
    pub body: Option<KeptBody>,
    /// Whether the body went on.
    pub truncated: bool,
    /// What its code wrote to the console, at most 16 KiB.
    pub log: String,
}

/// What an endpoint that is not posted to gave back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDetail {
    /// The first 16 KiB.
    pub body: KeptBody,
    /// Whether there was more.
    pub truncated: bool,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseDetail {
    /// The HTTP status. It is here even if the body then broke off.
    pub status: u16,
    /// The headers in the order received, as name and value (Latin-1 read as text).
    pub headers: Vec<(String, String)>,
    /// The first 16 KiB of the body.
    pub body: KeptBody,
    /// Whether the body went on.
    pub truncated: bool,
}

/// The kept bytes of a body: text where they are UTF-8, base64 (standard alphabet, padded) where
/// they are not. In JSON `{"text": "…"}` or `{"base64": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeptBody {
    /// The body is UTF-8.
    Text(String),
    /// The body is not UTF-8.
    Base64(String),
}

impl Default for KeptBody {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// Where the time of an attempt went, in microseconds; 0 for phases that did not happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptTimings {
    /// Resolving the name.
    pub dns: u64,
    /// Connecting by TCP.
    pub connect: u64,
    /// The TLS handshake.
    pub tls: u64,
    /// From the request to the first byte of the response.
    pub first_byte: u64,
    /// The whole attempt.
    pub total: u64,
    /// Whether a connection of an earlier attempt was used.
    pub reused: bool,
}

/// Whether a header's value is a credential, by its (lower-case) name. Signatures are none.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    const PARTS: [&str; 7] =
        ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"];
    PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_name_and_signatures_are_none() {
        for name in
            ["authorization", "proxy-authorization", "x-gitlab-token", "x-api-key", "cookie"]
        {
            assert!(is_credential(name), "{name}");
        }
        for name in ["webhook-signature", "x-hub-signature-256", "content-type", "becket-attempt"] {
            assert!(!is_credential(name), "{name}");
        }
    }

    #[test]
    fn json_is_stable_and_forgiving() {
        let json = r#"{"url":"http://a/","request_headers":[["webhook-id","msg_1"]],"request_bytes":3,
            "response":{"status":500,"headers":[],"body":{"text":"no"},"truncated":false},
            "remote_address":"127.0.0.1:80","error":null,"later":1,
            "timings_us":{"dns":0,"connect":1,"tls":0,"first_byte":2,"total":3,"reused":false}}"#;
        let detail: AttemptDetail = serde_json::from_str(json).unwrap();
        assert_eq!(detail.response.as_ref().unwrap().body, KeptBody::Text("no".into()));
        let again: AttemptDetail =
            serde_json::from_slice(&serde_json::to_vec(&detail).unwrap()).unwrap();
        assert_eq!(again, detail);
    }
}
