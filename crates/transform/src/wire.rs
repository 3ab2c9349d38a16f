//! What gateway and sandbox say to each other over two pipes.
//!
//! A message is the length of its head and of its body (two little-endian u32), the head as JSON, and
//! the body as it is. The gateway trusts nothing that comes back: lengths are bounded before anything
//! is read, and the head is checked like a stranger's.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bytes of the two lengths in front.
pub(crate) const PREFIX_BYTES: usize = 8;

/// One call, without its body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request<'a> {
    #[serde(borrow)]
    pub(crate) code: Cow<'a, str>,
    pub(crate) variables: BTreeMap<String, String>,
    /// Only look whether the code can be loaded and has a handler.
    pub(crate) check: bool,
    #[serde(borrow)]
    pub(crate) method: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) url: Cow<'a, str>,
    /// Names in lower case, and values with each byte as one character.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) event_type: Option<String>,
    pub(crate) interrupt_ms: u64,
    pub(crate) heap_bytes: usize,
    pub(crate) output_bytes: usize,
}

/// What came of a call, without the body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) result: Outcome,
    pub(crate) log: String,
    /// The processor time of the process since it began, in microseconds.
    pub(crate) processor_us: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The code is fine; it was not asked to do anything.
    Checked,
    /// Nothing is to be sent.
    Cancelled,
    Done(Changes),
    Failed(Trouble),
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Changes {
    pub(crate) method: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) headers_set: Vec<(String, String)>,
    pub(crate) headers_removed: Vec<String>,
    /// Whether a body follows; otherwise it stays as it came.
    pub(crate) body_changed: bool,
}

/// What went wrong in the user's code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// It took too long.
    pub timed_out: bool,
    /// The line of the source, from 1, where known.
    pub line: Option<u32>,
    /// The column, from 1, where known.
    pub column: Option<u32>,
    /// What happened.
    pub message: String,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The lengths and the head of a message; the body follows.
pub(crate) fn front(
    head: &impl Serialize,
    body_bytes: usize,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut message = vec![0; PREFIX_BYTES];
    serde_json::to_writer(&mut message, head)?;
    let too_long = || serde::ser::Error::custom("longer than a message may be");
    let head_bytes = u32::try_from(message.len() - PREFIX_BYTES).map_err(|_| too_long())?;
    let body_bytes = u32::try_from(body_bytes).map_err(|_| too_long())?;
    message[..4].copy_from_slice(&head_bytes.to_le_bytes());
    message[4..PREFIX_BYTES].copy_from_slice(&body_bytes.to_le_bytes());
    Ok(message)
}

/// The lengths of head and body.
pub(crate) fn lengths(prefix: [u8; PREFIX_BYTES]) -> (usize, usize) {
    let [a, b, c, d, e, f, g, h] = prefix;
    let length = |bytes| u32::from_le_bytes(bytes) as usize;
    (length([a, b, c, d]), length([e, f, g, h]))
}
