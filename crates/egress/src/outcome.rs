//! What one attempt brought back, as a value that can be stored.
//!
//! A refused target, a dead endpoint and a 500 are all outcomes; none of them is an `Err`. In a
//! human-readable format (JSON) the body is base64 and header values are Latin-1 text, so that any
//! byte survives; in a binary format both are plain bytes.
//!
//! Absent here: judging an outcome (delivered, retry, give up), which the engine does.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Everything that is known about one attempt.
///
/// A complete response has `status` and no `error`, whatever the status is. With both present, the
/// response began and could not be read to its end (or to the kept limit).
///
/// `Debug` leaves out header values and the body: they may be somebody's secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptOutcome {
    /// The status code of the final response, if its head arrived.
    pub status: Option<u16>,
    /// Why there is no complete response.
    pub error: Option<AttemptError>,
    /// Response headers in the order received, names in lower case.
    #[serde(with = "header_list")]
    pub headers: Vec<(String, Vec<u8>)>,
    /// The first bytes of the response body, as sent (never decompressed).
    #[serde(with = "body_bytes")]
    pub body: Bytes,
    /// Whether the body went on beyond what was kept.
    pub body_truncated: bool,
    /// The `Retry-After` hint of the response, if it had one that can be read.
    pub retry_after: Option<RetryAfter>,
    /// Where the time went.
    pub timings: Timings,
    /// The address that was connected to.
    pub remote_address: Option<SocketAddr>,
    /// What an endpoint that is not posted to came to; such a one may have no status.
    #[serde(default)]
    pub acted: Option<Acted>,
    /// What there is to say beside status and error: a sentence for the endpoint's owner.
    #[serde(default)]
    pub note: String,
}

/// What an action came to that has no HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acted {
    /// It is done: the delivery is made.
    Done,
    /// It failed, and trying again would not help.
    GiveUp,
    /// It was not ready: to be tried again whatever the schedule says.
    NotReady,
}

impl AttemptOutcome {
    /// An action that is done, and what is to be said about it.
    pub fn done(note: impl Into<String>) -> Self {
        Self { acted: Some(Acted::Done), note: note.into(), ..Self::default() }
    }

    /// An action that failed and may be tried again.
    pub fn not_done(error: AttemptError, note: impl Into<String>) -> Self {
        Self { error: Some(error), note: note.into(), ..Self::default() }
    }

    /// An action that was not ready.
    pub fn not_ready(error: AttemptError, note: impl Into<String>) -> Self {
        Self { acted: Some(Acted::NotReady), ..Self::not_done(error, note) }
    }

    /// An action that failed for good.
    pub fn given_up(error: AttemptError, note: impl Into<String>) -> Self {
        Self { acted: Some(Acted::GiveUp), ..Self::not_done(error, note) }
    }

    /// An outcome of nothing but an error: the request never left.
    pub fn failed(error: AttemptError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Whether a complete 2xx response arrived, or an action is done.
    pub fn is_success(&self) -> bool {
        self.acted == Some(Acted::Done)
            || self.error.is_none() && self.status.is_some_and(|code| (200..300).contains(&code))
    }
}

impl fmt::Debug for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptOutcome")
            .field("status", &self.status)
            .field("error", &self.error)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .field("body_truncated", &self.body_truncated)
            .field("retry_after", &self.retry_after)
            .field("timings", &self.timings)
            .field("remote_address", &self.remote_address)
            .field("acted", &self.acted)
            .finish()
    }
}

/// A `Retry-After` hint (RFC 9110, section 10.2.3), unbounded: the caller caps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// Seconds from now.
    Seconds(u64),
    /// A moment, in seconds since 1970.
    At(u64),
}

impl RetryAfter {
    /// Reads either form of the header's value. `None` if it is neither.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim();
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            // More digits than a u64 holds still mean "much later".
            return Some(Self::Seconds(text.parse().unwrap_or(u64::MAX)));
        }
        let moment = httpdate::parse_http_date(text).ok()?;
        let since_epoch = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Self::At(since_epoch.as_secs()))
    }
}

/// Where the time of an attempt went, in microseconds. Phases that did not happen are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Resolving the name (0 for an address, or on a reused connection).
    pub dns_us: u64,
    /// Connecting by TCP.
    pub connect_us: u64,
    /// The TLS handshake (0 for plain HTTP).
    pub tls_us: u64,
    /// From handing over the request to the first byte of the response.
    pub first_byte_us: u64,
    /// The whole attempt, body included.
    pub total_us: u64,
    /// Whether the request went over a connection kept alive from an earlier attempt.
    pub reused: bool,
}

/// Why an attempt has no complete response. `Display` is a sentence that may be shown to the
/// endpoint's owner; it says nothing about the inside of the gateway's network.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum AttemptError {
    /// The URL is one that is never sent to.
    #[error("The endpoint's URL is not allowed; change the URL.")]
    UrlRefused,
    /// The name or address leads where this endpoint may not go.
    #[error("The endpoint's address is not allowed; use a publicly reachable address.")]
    AddressRefused,
    /// The event has passed through too many gateways, or the target is this gateway.
    #[error(
        "The event is going in a circle between gateways; check where the endpoint forwards to."
    )]
    LoopDetected,
    /// The request itself cannot be expressed in HTTP.
    #[error("The request could not be built; check the endpoint's custom headers.")]
    RequestInvalid,
    /// The name does not exist or has no address.
    #[error("The host name has no address; check its spelling and its DNS records.")]
    DnsNotFound,
    /// The name servers could not answer.
    #[error("The host name could not be resolved; its name servers gave an error.")]
    DnsFailed,
    /// The name servers did not answer in time.
    #[error("The host name could not be resolved in time.")]
    DnsTimeout,
    /// Nothing listens on the port.
    #[error("The connection was refused; check that the server listens on this port.")]
    ConnectRefused,
    /// The server did not accept a connection in time.
    #[error("The server did not accept a connection in time.")]
    ConnectTimeout,
    /// The server cannot be reached at all.
    #[error("The server could not be reached.")]
    ConnectFailed,
    /// The certificate has expired.
    #[error("The server's certificate has expired; renew it.")]
    TlsExpired,
    /// The certificate is not valid yet.
    #[error("The server's certificate is not valid yet; check its dates and clocks.")]
    TlsNotYetValid,
    /// The certificate belongs to another name.
    #[error("The server's certificate is for another host name.")]
    TlsWrongHost,
    /// The certificate was signed by nobody that is trusted (or by itself).
    #[error(
        "The server's certificate is self-signed, or signed by an authority that is not trusted."
    )]
    TlsUnknownIssuer,
    /// The certificate has been revoked.
    #[error("The server's certificate has been revoked.")]
    TlsRevoked,
    /// The certificate is wrong in another way.
    #[error("The server's certificate is not acceptable.")]
    TlsCertificateInvalid,
    /// The server asks for a client certificate.
    #[error("The server requires a client certificate.")]
    TlsClientCertificateRequired,
    /// No protocol version or cipher in common (TLS 1.2 or 1.3 is needed).
    #[error(
        "The server offers no TLS version or cipher that can be used; TLS 1.2 or 1.3 is needed."
    )]
    TlsUnsupported,
    /// The handshake failed in another way.
    #[error("The TLS handshake failed; check that the port speaks TLS.")]
    TlsHandshakeFailed,
    /// The handshake did not finish in time.
    #[error("The TLS handshake did not finish in time.")]
    TlsTimeout,
    /// No complete response within the total timeout.
    #[error("There was no complete answer in time.")]
    Timeout,
    /// The connection ended before a complete response head.
    #[error("The server closed the connection before answering.")]
    ClosedEarly,
    /// What came back is not HTTP/1.
    #[error("The server's answer is not valid HTTP/1.1.")]
    MalformedResponse,
    /// The response's headers are larger or more than is read.
    #[error("The server's answer has too many or too large headers.")]
    HeaderTooLarge,
    /// The response began, and its body broke off or was malformed.
    #[error("The server's answer broke off before its end.")]
    BodyReadFailed,
    /// Nothing was sent, because there was nothing left to send.
    #[error("The payload was removed before it could be delivered; nothing was sent.")]
    PayloadExpunged,
    /// The program of an `exec` endpoint could not be started.
    #[error("The program could not be started; check its path and that it may be executed.")]
    ProgramNotStarted,
    /// It ended with a failure.
    #[error("The program ended with a failure.")]
    ProgramFailed,
    /// It took too long and was stopped.
    #[error("The program took too long and was stopped.")]
    ProgramTimeout,
    /// The database of a `sql` endpoint could not be reached.
    #[error("The database could not be reached, or the connection broke.")]
    DatabaseUnreachable,
    /// It refused the row.
    #[error("The database refused the row.")]
    DatabaseRefused,
    /// The event does not fit the mapping to columns.
    #[error("The event does not fit the columns that it is mapped to.")]
    RowInvalid,
    /// The mail server could not be reached, or asked to come back later.
    #[error("The mail server could not be reached, or asked to come back later.")]
    MailFailed,
    /// The mail server refused for good.
    #[error("The mail server refused the message for good.")]
    MailRefused,
    /// The broker of a `queue` endpoint could not be reached.
    #[error("The broker could not be reached, or the connection broke.")]
    QueueUnreachable,
    /// It did not take the message.
    #[error("The broker did not take the message.")]
    QueueRefused,
    /// The endpoint's transformation failed.
    #[error("The transformation failed; nothing was sent.")]
    TransformFailed,
    /// It took too long.
    #[error("The transformation took too long and was stopped; nothing was sent.")]
    TransformTimeout,
    /// The `becket listen` that had the delivery went away.
    #[error("The listener went away before it answered.")]
    ListenerGone,
}

impl AttemptError {
    /// Every error there is, for tables and documents.
    pub const ALL: [Self; 39] = [
        Self::UrlRefused,
        Self::AddressRefused,
        Self::LoopDetected,
        Self::RequestInvalid,
        Self::DnsNotFound,
        Self::DnsFailed,
        Self::DnsTimeout,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectFailed,
        Self::TlsExpired,
        Self::TlsNotYetValid,
        Self::TlsWrongHost,
        Self::TlsUnknownIssuer,
        Self::TlsRevoked,
        Self::TlsCertificateInvalid,
        Self::TlsClientCertificateRequired,
        Self::TlsUnsupported,
        Self::TlsHandshakeFailed,
        Self::TlsTimeout,
        Self::Timeout,
        Self::ClosedEarly,
        Self::MalformedResponse,
        Self::HeaderTooLarge,
        Self::BodyReadFailed,
        Self::PayloadExpunged,
        Self::ProgramNotStarted,
        Self::ProgramFailed,
        Self::ProgramTimeout,
        Self::DatabaseUnreachable,
        Self::DatabaseRefused,
        Self::RowInvalid,
        Self::MailFailed,
        Self::MailRefused,
        Self::QueueUnreachable,
        Self::QueueRefused,
        Self::TransformFailed,
        Self::TransformTimeout,
        Self::ListenerGone,
    ];

    /// The stable code: what is stored, shown by `--json` and used as a metric label.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UrlRefused => "url_refused",
            Self::AddressRefused => "address_refused",
            Self::LoopDetected => "loop_detected",
            Self::RequestInvalid => "request_invalid",
            Self::DnsNotFound => "dns_not_found",
            Self::DnsFailed => "dns_failed",
            Self::DnsTimeout => "dns_timeout",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectFailed => "connect_failed",
            Self::TlsExpired => "tls_expired",
            Self::TlsNotYetValid => "tls_not_yet_valid",
            Self::TlsWrongHost => "tls_wrong_host",
            Self::TlsUnknownIssuer => "tls_unknown_issuer",
            Self::TlsRevoked => "tls_revoked",
            Self::TlsCertificateInvalid => "tls_certificate_invalid",
            Self::TlsClientCertificateRequired => "tls_client_certificate_required",
            Self::TlsUnsupported => "tls_unsupported",
            Self::TlsHandshakeFailed => "tls_handshake_failed",
            Self::TlsTimeout => "tls_timeout",
            Self::Timeout => "timeout",
            Self::ClosedEarly => "closed_early",
            Self::MalformedResponse => "malformed_response",
            Self::HeaderTooLarge => "header_too_large",
            Self::BodyReadFailed => "body_read_failed",
            Self::PayloadExpunged => "payload_expunged",
            Self::ProgramNotStarted => "program_not_started",
            Self::ProgramFailed => "program_failed",
            Self::ProgramTimeout => "program_timeout",
            Self::DatabaseUnreachable => "database_unreachable",
            Self::DatabaseRefused => "database_refused",
            Self::RowInvalid => "row_invalid",
            Self::MailFailed => "mail_failed",
            Self::MailRefused => "mail_refused",
            Self::QueueUnreachable => "queue_unreachable",
            Self::QueueRefused => "queue_refused",
            Self::TransformFailed => "transform_failed",
            Self::TransformTimeout => "transform_timeout",
            Self::ListenerGone => "listener_gone",
        }
    }

    /// The error with this [`code`](Self::code), if there is one.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.code() == code)
    }
}

/// Header values as Latin-1 text (each byte one character) or, in binary formats, as bytes.
mod header_list {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        list: &[(String, Vec<u8>)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return list.serialize(serializer);
        }
        serializer.collect_seq(list.iter().map(|(name, value)| {
            let text: String = value.iter().copied().map(char::from).collect();
            (name, text)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, Vec<u8>)>, D::Error> {
        if !deserializer.is_human_readable() {
            return Vec::deserialize(deserializer);
        }
        let pairs: Vec<(String, String)> = Vec::deserialize(deserializer)?;
        let mut list = Vec::with_capacity(pairs.len());
        for (name, text) in pairs {
            let value = text
                .chars()
                .map(|c| u8::try_from(u32::from(c)))
                .collect::<Result<Vec<u8>, _>>()
                .map_err(|_| D::Error::custom("a header value has a character beyond U+00FF"))?;
            list.push((name, value));
        }
        Ok(list)
    }
}

/// A body as base64 text or, in binary formats, as bytes.
mod body_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            STANDARD.encode(body).serialize(serializer)
        } else {
            body.as_ref().serialize(serializer)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
            Ok(bytes.into())
        } else {
            Ok(Vec::<u8>::deserialize(deserializer)?.into())
        }
    }
}
