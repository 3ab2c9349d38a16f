//! One received request as verification sees it.

/// A request as it was received: the raw bytes, before any parsing, decompression or character conversion.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// The method in capital letters.
    pub method: &'a str,
    /// The full public URL including the query, as the sender knows it.
    pub url: &'a str,
    /// The headers as they came.
    pub headers: &'a http::HeaderMap,
    /// The raw body.
    pub body: &'a [u8],
}

/// A request to be signed.
#[derive(Debug, Clone, Copy)]
pub struct SignRequest<'a> {
    /// The method in capital letters.
    pub method: &'a str,
    /// The full URL of the receiver.
    pub url: &'a str,
    /// The body to send.
    pub body: &'a [u8],
    /// The body's content type; `application/json` is a good default.
    pub content_type: &'a str,
    /// The event type, for providers that send it in a header.
    pub event_type: Option<&'a str>,
    /// The delivery id, for providers that send it in a header; made from the body and the time when absent.
    pub delivery_id: Option<&'a str>,
}

/// A signed request, ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Headers to send, `content-type` included.
    pub headers: Vec<(String, String)>,
    /// The URL to send to; some schemes add query parameters.
    pub url: String,
    /// The body to send; schemes with a time inside the body write it there.
    pub body: Vec<u8>,
}

/// What an event says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Facts {
    /// The event type.
    pub event_type: Option<String>,
    /// The id that stays the same when the provider sends again.
    pub delivery_id: Option<String>,
}

/// The answer to a handshake.
#[derive(Clone, PartialEq, Eq)]
pub struct HandshakeAnswer {
    /// The handshake's name in the entry.
    pub name: String,
    /// The status to answer with.
    pub status: u16,
    /// The headers to answer with.
    pub headers: Vec<(String, String)>,
    /// The body to answer with.
    pub body: Vec<u8>,
    /// A value that the request brought and that the caller must keep.
    pub captured: Option<Captured>,
    /// A URL that the caller must GET, guarded like every connection, before it answers.
    pub visit: Option<String>,
}

/// The answer that an entry demands for an accepted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The status to answer with.
    pub status: u16,
    /// The headers to answer with.
    pub headers: Vec<(String, String)>,
    /// The body to answer with.
    pub body: Vec<u8>,
}

/// A fixed answer for accepted requests, as an operator sets it for a source instead of the entry's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// A status from 200 to 299.
    pub status: u16,
    /// The answer's `Content-Type`.
    pub content_type: String,
    /// The answer's body, as it is.
    pub body: String,
}

impl std::fmt::Debug for HandshakeAnswer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The body may hold a keyed hash, so its length is all that is shown.
        formatter
            .debug_struct("HandshakeAnswer")
            .field("name", &self.name)
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .field("captured", &self.captured.as_ref().map(|c| &c.name))
            .field("visit", &self.visit.is_some())
            .finish_non_exhaustive()
    }
}

/// A value that a handshake brought along, such as a secret the provider chose.
#[derive(Clone, PartialEq, Eq)]
pub struct Captured {
    /// `secret`, or the name of a named credential.
    pub name: String,
    /// The value; a secret.
    pub value: String,
    /// Whether the operator must accept it before it is used.
    pub confirm: bool,
}

impl std::fmt::Debug for Captured {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Captured").field("name", &self.name).finish_non_exhaustive()
    }
}
