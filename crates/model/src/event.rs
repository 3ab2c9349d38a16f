//! An event's bytes: what was received, packed into one buffer that is written and read whole.
//!
//! The packed form is a list of name and value pairs (lengths first, little-endian) and then the
//! body. Facts about the request stand in the same list under names that begin with `:`, which no
//! HTTP header can have, so the form grows without a new layout.

use becket_filter::{Refused, Request, Subject};
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::id::EndpointKey;

/// What was decided about a genuine request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Kept and delivered.
    Accepted,
    /// Kept, not delivered: the source does not keep this event type.
    Filtered,
    /// Kept and marked: it broke a payload rule of a source that accepts such events.
    Invalid,
}

impl Disposition {
    /// The word used in the API, the CLI and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Filtered => "filtered",
            Self::Invalid => "invalid",
        }
    }
}

/// What an event says about itself beside its payload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventLabels {
    /// The id that the posting program gave it, unique within its application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Endpoints with channels get it only if they share one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// By which it can be found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Before when it was not to be delivered, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_at_ms: Option<i64>,
    /// When its payload is to be removed, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_until_ms: Option<i64>,
    /// Recognises the same request again: hash of idempotency key and body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    /// Why verification refused the request that was accepted all the same: by a source that only
    /// observes, or by a person. Absent when it is genuine, or was posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unverified: Option<String>,
    /// There when it was refused at first and let out of quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<Released>,
    /// Endpoints that did not get it because of their filter; at most [`FILTERED_MAX`] are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filtered: Vec<FilteredBy>,
}

/// Of how many endpoints an event keeps why their filter refused it.
pub const FILTERED_MAX: usize = 16;

/// Why an endpoint did not get an event: the clause of its filter that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilteredBy {
    /// Whose filter.
    pub endpoint: EndpointKey,
    /// The clause, such as `body.ref`.
    pub clause: String,
    /// What it wants, as JSON of at most 200 bytes.
    pub expected: String,
    /// What the event has there, likewise; empty after its payload was removed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub found: String,
}

impl FilteredBy {
    /// What an endpoint's filter said.
    #[must_use]
    pub fn new(endpoint: EndpointKey, refused: Refused) -> Self {
        let Refused { clause, expected, found, .. } = refused;
        Self { endpoint, clause, expected, found }
    }

    /// One sentence for people.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { clause, expected, found, .. } = self;
        let found = if found.is_empty() { "what was removed" } else { found };
        format!("clause `{clause}` wants {expected}, found {found}")
    }
}

/// How an event came out of quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// When the request arrived and was refused, in milliseconds since 1970.
    pub first_received_at_ms: i64,
    /// The code of the refusal then.
    pub refused_as: String,
    /// Who let it out: the name of a token.
    pub by: String,
    /// Why, if it was let out without verification; absent if it was verified again and passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl EventLabels {
    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes out what was copied from the payload; whether there was something.
    pub fn forget_payload(&mut self) -> bool {
        let mut changed = false;
        for filtered in &mut self.filtered {
            changed |= !std::mem::take(&mut filtered.found).is_empty();
        }
        changed
    }
}

/// A packed record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the stored record of an event is damaged at byte {at} of {length}; restore the segment from a backup"
)]
pub struct RecordError {
    /// Where reading stopped.
    pub at: usize,
    /// How long the record is.
    pub length: usize,
}

/// Builds the packed form of a request.
#[derive(Debug)]
pub struct PackedHeaders {
    buffer: BytesMut,
    count: u16,
}

impl PackedHeaders {
    /// An empty list, with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(capacity + 6);
        buffer.put_u32_le(0);
        buffer.put_u16_le(0);
        Self { buffer, count: 0 }
    }

    /// Appends a pair. Names longer than 64 KiB are cut; the listener refuses them long before.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
        self.buffer.put_u16_le(name.len() as u16);
        self.buffer.put_u32_le(value.len() as u32);
        self.buffer.put_slice(name);
        self.buffer.put_slice(value);
        self.count += 1;
    }

    /// Closes the list and appends the body.
    #[must_use]
    pub fn finish(mut self, body: &[u8]) -> Bytes {
        let body_at = self.buffer.len() as u32;
        self.buffer[..4].copy_from_slice(&body_at.to_le_bytes());
        self.buffer[4..6].copy_from_slice(&self.count.to_le_bytes());
        self.buffer.put_slice(body);
        self.buffer.freeze()
    }
}

/// A received request as it is kept: facts, headers in their order, and the exact body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    packed: Bytes,
    body_at: usize,
}

impl EventRecord {
    /// The request's method.
    pub const METHOD: &'static str = ":method";
    /// The path and query as received.
    pub const PATH: &'static str = ":path";
    /// The sender's address, after trusted proxies.
    pub const REMOTE: &'static str = ":remote";
    /// The sender's id of the delivery.
    pub const DELIVERY_ID: &'static str = ":delivery-id";
    /// Which scheme proved it genuine, as JSON.
    pub const VERDICT: &'static str = ":verdict";
    /// The public URL that was used for verification.
    pub const URL: &'static str = ":url";
    /// The payload rule that was broken, if the source accepts such events.
    pub const INVALID: &'static str = ":invalid";
    /// There when only the beginning of the body is here.
    pub const CUT: &'static str = ":cut";
    /// There when the payload was removed: the moment, in milliseconds since 1970.
    pub const EXPUNGED: &'static str = ":expunged";

    /// What is left of an event whose payload was removed.
    #[must_use]
    pub fn expunged(at_ms: i64) -> Self {
        let mut packed = PackedHeaders::with_capacity(32);
        packed.push(Self::EXPUNGED, at_ms.to_string().as_bytes());
        let packed = packed.finish(b"");
        Self { body_at: packed.len(), packed }
    }

    /// Whether the payload was removed.
    #[must_use]
    pub fn is_expunged(&self) -> bool {
        self.fact(Self::EXPUNGED).is_some()
    }

    /// Reads a packed record and checks its lengths.
    ///
    /// # Errors
    /// [`RecordError`] if the lengths do not fit.
    pub fn from_packed(packed: Bytes) -> Result<Self, RecordError> {
        let length = packed.len();
        let damaged = |at| RecordError { at, length };
        let head = packed.get(..6).ok_or_else(|| damaged(0))?;
        let body_at = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let count = u16::from_le_bytes([head[4], head[5]]);
        if body_at > length {
            return Err(damaged(0));
        }
        let mut at = 6;
        for _ in 0..count {
            let sizes = packed.get(at..at + 6).ok_or_else(|| damaged(at))?;
            let name = usize::from(u16::from_le_bytes([sizes[0], sizes[1]]));
            let value = u32::from_le_bytes([sizes[2], sizes[3], sizes[4], sizes[5]]) as usize;
            let end = at + 6 + name + value;
            if end > body_at || std::str::from_utf8(&packed[at + 6..at + 6 + name]).is_err() {
                return Err(damaged(at));
            }
            at = end;
        }
        if at != body_at {
            return Err(damaged(at));
        }
        Ok(Self { packed, body_at })
    }

    /// The packed bytes.
    #[must_use]
    pub fn packed(&self) -> &Bytes {
        &self.packed
    }

    /// The exact body.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.packed.slice(self.body_at..)
    }

    /// The event as filters see it. The path is what follows the receiving URL, `/` if nothing does.
    #[must_use]
    pub fn subject<'a>(&'a self, event_type: Option<&'a str>) -> Subject<'a> {
        let whole = self.fact(Self::PATH).unwrap_or_default();
        let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
        let path = match path.strip_prefix("/in/") {
            Some(below) => below.find('/').map_or("/", |slash| &below[slash..]),
            None => path,
        };
        let request = Request {
            event_type,
            method: self.fact(Self::METHOD).unwrap_or_default(),
            path,
            query,
            body: &self.packed[self.body_at..],
        };
        Subject::new(request, self.headers())
    }

    /// All pairs: facts (names beginning with `:`) and headers.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut at = 6;
        let packed = &self.packed[..self.body_at];
        std::iter::from_fn(move || {
            let sizes = packed.get(at..at + 6)?;
            let name = usize::from(u16::from_le_bytes([sizes[0], sizes[1]]));
            let value = u32::from_le_bytes([sizes[2], sizes[3], sizes[4], sizes[5]]) as usize;
            let name_at = at + 6;
            at = name_at + name + value;
            let text = std::str::from_utf8(&packed[name_at..name_at + name]).ok()?;
            Some((text, &packed[name_at + name..at]))
        })
    }

    /// The sender's headers in their order; names are lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.pairs().filter(|(name, _)| !name.starts_with(':'))
    }

    /// A fact as text, if it is there and is text.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.pairs()
            .find(|(candidate, _)| *candidate == name)
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_facts_headers_and_body() {
        let mut packed = PackedHeaders::with_capacity(64);
        packed.push(EventRecord::METHOD, b"POST");
        packed.push("x-a", b"1");
        packed.push("x-a", &[0xff, 0]);
        let record = EventRecord::from_packed(packed.finish(b"body\r\n")).unwrap();
        assert_eq!(record.fact(EventRecord::METHOD), Some("POST"));
        assert_eq!(
            record.headers().collect::<Vec<_>>(),
            [("x-a", &b"1"[..]), ("x-a", &[0xff, 0][..])]
        );
        assert_eq!(&record.body()[..], b"body\r\n");
    }

    #[test]
    fn filters_see_the_request() {
        let mut packed = PackedHeaders::with_capacity(64);
        packed.push(EventRecord::METHOD, b"PUT");
        packed.push(EventRecord::PATH, b"/in/github/eu/x?a=%20b");
        packed.push("x-a", b"1");
        let record = EventRecord::from_packed(packed.finish(br#"{"ref":"main"}"#)).unwrap();
        let filter = becket_filter::Filter::parse(
            r#"{"method": "PUT", "path": "/eu/x", "query": {"a": " b"}, "headers": {"X-A": "1"},
                "body": {"ref": "main"}, "event_type": "push"}"#,
        );
        let filter = filter.unwrap();
        assert_eq!(filter.check(&record.subject(Some("push"))), Ok(()));
        let refused = filter.check(&record.subject(None)).unwrap_err();
        assert_eq!(refused.to_string(), "clause `event_type` wants \"push\", found nothing");
        let mut labels = EventLabels {
            filtered: vec![FilteredBy::new(EndpointKey(1), refused)],
            ..EventLabels::default()
        };
        assert!(labels.forget_payload() && !labels.forget_payload());
        assert!(labels.filtered[0].words().ends_with("found what was removed"));
    }

    #[test]
    fn an_expunged_record_says_when() {
        let record = EventRecord::expunged(17);
        let read = EventRecord::from_packed(record.packed().clone()).unwrap();
        assert_eq!(read, record);
        assert!(read.is_expunged() && read.body().is_empty());
        assert_eq!(read.fact(EventRecord::EXPUNGED), Some("17"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(record) = EventRecord::from_packed(bytes.into()) {
                prop_assert!(record.pairs().count() <= usize::from(u16::MAX));
            }
        }
    }
}
