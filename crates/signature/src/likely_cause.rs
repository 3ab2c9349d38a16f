//! The usual reasons for a refusal, as a closed set, and a guess with its words.
//!
//! Next: `doctor` finds them.

use serde::Serialize;

/// The usual reasons for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LikelyCause {
    /// The signature's header is not there at all.
    MissingHeader,
    /// The signature is in another header than the entry says.
    WrongHeader,
    /// No secret fits, and nothing else explains it.
    WrongSecret,
    /// Genuine, but sent too long ago: a replay, a delay, or a clock that is wrong.
    Stale,
    /// Genuine, but from ahead of this clock.
    Future,
    /// The sender signed another body; the sentence says how it differed when that could be found.
    BodyChanged,
    /// The sender signed another URL; the sentence says which when that could be found.
    WrongUrl,
    /// The signature is written in another encoding or with another prefix.
    WrongEncoding,
    /// The signature is made with another hash function.
    WrongAlgorithm,
    /// The secret's prefix or encoding is treated otherwise by the sender.
    SecretPrefix,
    /// The secret has white space around it.
    SecretWhitespace,
    /// No secret or key is configured.
    MissingCredential,
    /// Another part of the signed text is not in the request.
    MissingPart,
    /// The timestamp is absent or not of the expected form.
    BadTimestamp,
    /// A header came twice, which no sender does.
    RepeatedHeader,
    /// The kind of body or method is one that the provider does not sign.
    UnsupportedBody,
    /// The signature is of a version that is not supported.
    UnsupportedVersion,
    /// It is signed with the secret of another source, or meant for it.
    OtherSource,
    /// It is signed with a secret that was replaced.
    FormerSecret,
    /// It is from test mode, which has a secret of its own.
    TestOrLive,
    /// It is signed as another provider does.
    OtherProvider,
    /// The provider's other headers came, and the signature's did not.
    DroppedHeader,
    /// The signed time is written in another unit.
    TimestampUnit,
    /// The body was packed or unpacked on its way.
    Compressed,
    /// The provider's key could not be had, or is not known there.
    KeyUnavailable,
    /// The key, or what the token says, is not the provider's.
    WrongKey,
}

/// A guess with what to say and what to do.
pub(crate) struct Finding {
    pub cause: LikelyCause,
    pub sentence: String,
    pub hint: Option<String>,
}

pub(crate) fn finding(cause: LikelyCause, sentence: impl Into<String>, hint: &str) -> Finding {
    Finding { cause, sentence: sentence.into(), hint: (!hint.is_empty()).then(|| hint.to_owned()) }
}
