//! What goes over the connection between a listener and its gateway.
//!
//! The stream is Server-Sent Events: `hello`, then `delivery` for each, `end` before the gateway ends
//! it, and comments as signs of life. Header values may be any bytes: each byte is told as the
//! character of its number.
//!
//! Invariants: a message that is cut anywhere is put together again; one that is larger than
//! [`MESSAGE_BYTES_MAX`] ends the stream instead of filling the memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use becket_egress::{AttemptOutcome, Timings};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// The largest message of a stream: an inline body in base64 with its headers, and room to spare.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// One message of the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The stream has begun.
    Hello(Hello),
    /// A delivery to be forwarded.
    Delivery(Box<Parcel>),
    /// The gateway ends the stream, and why.
    End(Ending),
}

/// The beginning of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The number to give answers under.
    pub session: u64,
    /// The listener's name.
    pub name: String,
    /// How often the gateway says something, in seconds.
    pub heartbeat_s: u64,
}

/// Why the gateway ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Another `becket listen` connected under the same name.
    Replaced,
    /// The listener was removed.
    Removed,
    /// The gateway shuts down.
    Closing,
    /// The gateway heard nothing of this client.
    #[serde(other)]
    Silent,
}

/// A delivery as the stream tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parcel {
    /// Names the delivery until it is answered.
    pub token: String,
    /// The event's id.
    pub event_id: String,
    /// Its type.
    pub event_type: Option<String>,
    /// The source it came to.
    pub source: String,
    /// The endpoint that it is delivered by.
    pub endpoint_id: String,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// When the event arrived at the gateway, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// Whether it arrived before this client connected.
    pub late: bool,
    /// The method that it came with.
    pub method: String,
    /// The path and query that it came with.
    pub path: String,
    /// Names and values of its headers.
    pub headers: Vec<(String, String)>,
    /// The body in base64; absent if it has to be fetched.
    pub body: Option<String>,
    /// The size of the body in bytes.
    pub body_bytes: usize,
    /// How long the gateway waits for the answer, in milliseconds.
    pub timeout_ms: u64,
}

/// A stream that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A message is too large.
    #[error("a message of the stream is larger than {MESSAGE_BYTES_MAX} bytes")]
    TooLarge,
    /// A message is not what it should be.
    #[error("a message of the stream cannot be read: {0}")]
    Malformed(String),
}

impl Parcel {
    /// The body, if it is here.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if it is not base64 or not as long as it should be.
    pub fn inline_body(&self) -> Result<Option<Bytes>, WireError> {
        let Some(text) = &self.body else { return Ok(None) };
        let wrong = || WireError::Malformed("a body is not what it should be".to_owned());
        let body = BASE64.decode(text).map_err(|_| wrong())?;
        if body.len() != self.body_bytes {
            return Err(wrong());
        }
        Ok(Some(body.into()))
    }

    /// The headers as they are sent on. What no header can have is left out.
    #[must_use]
    pub fn header_map(&self) -> HeaderMap {
        let pairs = self.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(&bytes_of(value)).ok()?))
        });
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        map
    }
}

/// Puts the messages of a stream together again.
#[derive(Debug, Default)]
pub struct StreamReader {
    pending: Vec<u8>,
    /// How much of it holds no end of a line.
    looked: usize,
    kind: String,
    data: String,
}

impl StreamReader {
    /// Takes bytes as they came and gives the messages that are whole now.
    ///
    /// # Errors
    /// [`WireError`] if the stream makes no sense; it cannot be read on.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, WireError> {
        self.pending.extend_from_slice(bytes);
        let mut messages = Vec::new();
        let mut start = 0;
        while let Some(length) = self.pending[self.looked.max(start)..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|at| self.looked.max(start) + at - start)
        {
            let line = self.pending[start..start + length].to_vec();
            start += length + 1;
            let text =
                String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
            messages.extend(self.line(&text)?);
        }
        self.pending.drain(..start);
        self.looked = self.pending.len();
        if self.pending.len() + self.data.len() > MESSAGE_BYTES_MAX {
            return Err(WireError::TooLarge);
        }
        Ok(messages)
    }

    fn line(&mut self, line: &str) -> Result<Option<Message>, WireError> {
        if line.is_empty() {
            let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
            return message(&kind, &data);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments, and fields that mean nothing here.
            _ => {}
        }
        Ok(None)
    }
}

fn message(kind: &str, data: &str) -> Result<Option<Message>, WireError> {
    fn read<'d, T: Deserialize<'d>>(data: &'d str) -> Result<T, WireError> {
        serde_json::from_str(data).map_err(|error| WireError::Malformed(error.to_string()))
    }
    #[derive(Deserialize)]
    struct End {
        reason: Ending,
    }
    Ok(match kind {
        "hello" => Some(Message::Hello(read(data)?)),
        "delivery" => Some(Message::Delivery(Box::new(read(data)?))),
        "end" => Some(Message::End(read::<End>(data)?.reason)),
        // What a newer gateway says besides.
        _ => None,
    })
}

/// What a handler answered, as it is given back.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The delivery's token.
    pub token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    headers: Vec<(String, String)>,
    body: String,
    body_truncated: bool,
    note: String,
    timings_us: [u64; 5],
    reused: bool,
}

/// The most headers of a response that are given back.
const HEADERS_MAX: usize = 100;
const NOTE_CHARACTERS_MAX: usize = 500;

impl Answer {
    /// The answer to a delivery: what forwarding came to, and a sentence that says where it went.
    #[must_use]
    pub fn new(token: &str, outcome: &AttemptOutcome, note: &str) -> Self {
        let Timings { dns_us, connect_us, tls_us, first_byte_us, total_us, reused } =
            outcome.timings;
        let headers = outcome.headers.iter().take(HEADERS_MAX);
        Self {
            token: token.to_owned(),
            status: outcome.status,
            error: outcome.error.map(becket_egress::AttemptError::code),
            headers: headers.map(|(name, value)| (name.clone(), text_of(value))).collect(),
            body: BASE64.encode(&outcome.body),
            body_truncated: outcome.body_truncated,
            note: note.chars().take(NOTE_CHARACTERS_MAX).collect(),
            timings_us: [dns_us, connect_us, tls_us, first_byte_us, total_us],
            reused,
        }
    }
}

/// The bytes of a header's value as text, each byte the character of its number.
#[must_use]
pub fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn bytes_of(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(body: &str) -> String {
        format!(
            r#"{{"token":"9","eventId":"msg_1","eventType":"push","source":"github","endpointId":"ep_1",
            "attempt":2,"receivedAtMs":5,"late":true,"method":"POST","path":"/in/github",
            "headers":[["x-a","é"],["bad name","x"]],"body":"{body}","bodyBytes":2,"timeoutMs":1000}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn a_stream_is_read_however_it_is_cut() {
        let text = format!(
            ": alive\n\nevent: hello\ndata: {{\"session\":7,\"name\":\"ann\",\"heartbeatS\":5}}\n\n\
             event: delivery\ndata: {}\n\nevent: news\ndata: x\n\nevent: end\r\ndata: {{\"reason\":\"replaced\"}}\r\n\r\n",
            parcel("e30=")
        );
        let whole = StreamReader::default().push(text.as_bytes()).unwrap();
        assert_eq!(whole.len(), 3);
        for size in [1, 2, 7, 100] {
            let mut reader = StreamReader::default();
            let mut messages = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                messages.extend(reader.push(piece).unwrap());
            }
            assert_eq!(messages, whole, "in pieces of {size}");
        }
        let [Message::Hello(hello), Message::Delivery(parcel), Message::End(Ending::Replaced)] =
            &whole[..]
        else {
            panic!("{whole:?}");
        };
        assert_eq!(hello.session, 7);
        assert_eq!(parcel.inline_body().unwrap().unwrap(), "{}");
        let headers = parcel.header_map();
        assert_eq!((headers.len(), headers["x-a"].as_bytes()), (1, &[0xe9][..]));
    }

    #[test]
    fn a_stream_that_makes_no_sense_is_refused() {
        let refused = |text: &str| StreamReader::default().push(text.as_bytes()).unwrap_err();
        assert!(matches!(refused("event: hello\ndata: {\n\n"), WireError::Malformed(_)));
        let long = format!("data: {}", "x".repeat(MESSAGE_BYTES_MAX));
        assert_eq!(refused(&long), WireError::TooLarge);
        let mut reader = StreamReader::default();
        let text = format!("event: delivery\ndata: {}\n\n", parcel("e30"));
        let messages = reader.push(text.as_bytes()).unwrap();
        let Message::Delivery(parcel) = &messages[0] else { panic!() };
        assert!(parcel.inline_body().is_err());
    }

    #[test]
    fn an_unknown_ending_is_one_to_come_back_from() {
        let messages =
            StreamReader::default().push(b"event: end\ndata: {\"reason\":\"tired\"}\n\n").unwrap();
        assert_eq!(messages, [Message::End(Ending::Silent)]);
    }

    #[test]
    fn answers_keep_every_byte_of_a_header() {
        let outcome = AttemptOutcome {
            status: Some(200),
            headers: vec![("x-b".into(), vec![0xff, b'a'])],
            body: Bytes::from_static(b"ok"),
            ..AttemptOutcome::default()
        };
        let answer = serde_json::to_value(Answer::new("9", &outcome, "forwarded")).unwrap();
        assert_eq!(answer["headers"][0][1], "\u{ff}a");
        assert_eq!((answer["body"].as_str(), answer["status"].as_u64()), (Some("b2s="), Some(200)));
        assert!(answer.get("error").is_none());
    }
}
