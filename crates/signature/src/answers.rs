//! How requests are answered, as data: acknowledgements and handshakes.
//!
//! Invariants: pure descriptions; what they may contain is judged in `check`. Next: `handshake`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scheme::Condition;
use crate::template::{Place, Template};

/// The answer to an accepted request, when the provider demands a certain one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AckSpec {
    /// A status from 200 to 299.
    #[serde(default = "ack_status_default")]
    pub status: u16,
    /// The answer's `Content-Type`; none is sent with an empty body.
    #[serde(default = "content_type_default")]
    pub content_type: String,
    /// Further headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Template>,
    /// The answer's body.
    #[serde(default)]
    pub body: Template,
}

fn ack_status_default() -> u16 {
    200
}

fn content_type_default() -> String {
    "text/plain; charset=utf-8".to_owned()
}

/// One handshake: when a request looks like this, it is answered like that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandshakeRule {
    /// A name for logs and explanations.
    pub name: String,
    /// Whether the request must be genuine before it is answered.
    #[serde(default)]
    pub verify_first: bool,
    /// All must hold.
    pub when: Vec<Condition>,
    /// The answer.
    pub respond: Respond,
    /// A secret that the request brings, to be kept by the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
    /// A URL that the caller must GET before it answers; only with `verify_first`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit: Option<Visit>,
}

/// The answer of a handshake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// The answer's status.
    #[serde(default = "ack_status_default")]
    pub status: u16,
    /// The answer's `Content-Type`; none is sent with an empty body.
    #[serde(default = "content_type_default")]
    pub content_type: String,
    /// Further headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Template>,
    /// The body.
    #[serde(default)]
    pub body: Template,
}

/// A value that a handshake hands over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// `secret`, or the name of a named credential.
    pub name: String,
    /// Where it is in the request.
    pub from: Place,
    /// Whether the operator must accept the value before it is used. Without it the first value becomes the
    /// source's secret when the source has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
}

/// A URL in the request that the provider wants to be visited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// Where the URL is.
    pub url: Place,
    /// The hosts it may have; `*` stands for one label.
    pub hosts: Vec<String>,
}
