//! The time of sending: where it is, how it is written, and how far it may be off.

use std::fmt;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::template::Place;

/// The time of sending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampSpec {
    /// Where it is: `header:NAME`, `field:KEY` of the signature, `json:PATH`, `query:NAME`, `claim:iat`.
    pub at: Place,
    /// How it is written.
    #[serde(default)]
    pub unit: TimestampUnit,
    /// How old it may be, in seconds, or `"unchecked"`.
    #[serde(default)]
    pub max_age_s: Tolerance,
    /// How far ahead it may be, in seconds, or `"unchecked"`.
    #[serde(default)]
    pub max_future_s: Tolerance,
}

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    /// Unix seconds.
    #[default]
    S,
    /// Unix milliseconds.
    Ms,
    /// Unix microseconds.
    Us,
    /// Unix nanoseconds.
    Ns,
    /// Unix milliseconds when there are 13 digits or more, else seconds.
    SOrMs,
    /// RFC 3339; a time without zone is UTC.
    Rfc3339,
    /// The date format of HTTP headers.
    HttpDate,
    /// `20260101T000000Z` or `20260101000000`, in UTC.
    Compact,
}

/// One side of a timestamp's tolerance. 300 seconds unless the entry says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// At most this many seconds.
    Seconds(u64),
    /// This side is not checked.
    Unchecked,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance::Seconds(300)
    }
}

impl Serialize for Tolerance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tolerance::Seconds(seconds) => serializer.serialize_u64(*seconds),
            Tolerance::Unchecked => serializer.serialize_str("unchecked"),
        }
    }
}

impl<'de> Deserialize<'de> for Tolerance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecondsOrWord;

        impl Visitor<'_> for SecondsOrWord {
            type Value = Tolerance;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number of seconds or \"unchecked\"")
            }

            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Tolerance, E> {
                u64::try_from(seconds)
                    .map(Tolerance::Seconds)
                    .map_err(|_| E::custom("a tolerance cannot be negative"))
            }

            fn visit_u64<E>(self, seconds: u64) -> Result<Tolerance, E> {
                Ok(Tolerance::Seconds(seconds))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Tolerance, E> {
                if word == "unchecked" {
                    Ok(Tolerance::Unchecked)
                } else {
                    Err(E::invalid_value(Unexpected::Str(word), &self))
                }
            }
        }

        deserializer.deserialize_any(SecondsOrWord)
    }
}
