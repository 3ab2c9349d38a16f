//! What verification found: a value, never an `Err`.
//!
//! Invariants: the codes of [`Refusal`] are stable and shown to operators only; the sender of a refused
//! request always gets the same answer. Nothing here holds a secret or a signature.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The outcome of verifying one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The sender knows the secret, and the request is as the sender made it (as far as the scheme signs it).
    Genuine(Genuine),
    /// The request must not be trusted; the code says why.
    Refused(Refusal),
}

impl Verdict {
    /// Whether the request is genuine.
    pub fn is_genuine(&self) -> bool {
        matches!(self, Verdict::Genuine(_))
    }

    /// `genuine`, or the code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Verdict::Genuine(_) => "genuine",
            Verdict::Refused(refusal) => refusal.code(),
        }
    }
}

/// What is known about a genuine request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Genuine {
    /// Which of the given secrets (or public keys) fitted, counted from 0; `None` when the scheme needs none.
    pub secret_index: Option<usize>,
    /// The name of the scheme within the entry that decided.
    pub scheme: Arc<str>,
    /// The signed time of sending in unix seconds, when the scheme has one.
    pub timestamp_s: Option<i64>,
}

/// Why a request was refused. Closed: a new reason is a new release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The header, field or parameter that carries the signature is absent.
    MissingSignature,
    /// The signature is there and cannot be decoded.
    MalformedSignature,
    /// The signature's place is filled, but holds no signature of the wanted version or prefix.
    UnsupportedSignature,
    /// No given secret yields any of the signatures that came.
    SignatureMismatch,
    /// The signature is right and older than the tolerance allows.
    Stale,
    /// The signature is right and its time lies further ahead than the tolerance allows.
    FromFuture,
    /// The scheme demands a timestamp and there is none.
    MissingTimestamp,
    /// The timestamp is not of the kind the scheme uses.
    MalformedTimestamp,
    /// No secret or key is configured, so that nothing can be proven.
    MissingCredential,
    /// A header, parameter or field that is part of the signed text is absent.
    MissingPart,
    /// The signature covers a hash of the body, and the body has another hash.
    BodyMismatch,
    /// A header, parameter or field that must be single came more than once.
    RepeatedHeader,
    /// The request's kind of body (or its method) is one that no scheme of the entry signs.
    UnsupportedBody,
    /// The provider's key is needed and could not be fetched. Worth another try.
    KeyUnavailable,
    /// The provider publishes no key of the name that the request gives.
    UnknownKey,
    /// The request names a place for its key that is not the provider's.
    UntrustedKeyUrl,
    /// The token is genuine, and a claim in it is not as it must be.
    ClaimMismatch,
}

impl Refusal {
    /// Every refusal, for documentation and tests.
    pub const ALL: [Refusal; 17] = [
        Refusal::MissingSignature,
        Refusal::MalformedSignature,
        Refusal::UnsupportedSignature,
        Refusal::SignatureMismatch,
        Refusal::Stale,
        Refusal::FromFuture,
        Refusal::MissingTimestamp,
        Refusal::MalformedTimestamp,
        Refusal::MissingCredential,
        Refusal::MissingPart,
        Refusal::BodyMismatch,
        Refusal::RepeatedHeader,
        Refusal::UnsupportedBody,
        Refusal::KeyUnavailable,
        Refusal::UnknownKey,
        Refusal::UntrustedKeyUrl,
        Refusal::ClaimMismatch,
    ];

    /// The stable code, the same text as in JSON.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::MissingSignature => "missing_signature",
            Refusal::MalformedSignature => "malformed_signature",
            Refusal::UnsupportedSignature => "unsupported_signature",
            Refusal::SignatureMismatch => "signature_mismatch",
            Refusal::Stale => "stale",
            Refusal::FromFuture => "from_future",
            Refusal::MissingTimestamp => "missing_timestamp",
            Refusal::MalformedTimestamp => "malformed_timestamp",
            Refusal::MissingCredential => "missing_credential",
            Refusal::MissingPart => "missing_part",
            Refusal::BodyMismatch => "body_mismatch",
            Refusal::RepeatedHeader => "repeated_header",
            Refusal::UnsupportedBody => "unsupported_body",
            Refusal::KeyUnavailable => "key_unavailable",
            Refusal::UnknownKey => "unknown_key",
            Refusal::UntrustedKeyUrl => "untrusted_key_url",
            Refusal::ClaimMismatch => "claim_mismatch",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.code())
    }
}
