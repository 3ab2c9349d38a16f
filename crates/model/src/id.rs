//! Identifiers: a prefix, `_` and base62 characters, sorting by time.
//!
//! An event's id holds its place in the store: 43 bits of milliseconds and a 20-bit counter make
//! the [`EventSeq`], the remaining 92 bits are random. So an id leads to its row by arithmetic,
//! without an index, and nobody can guess a neighbour's id.
//!
//! Base62 of a fixed number of bytes follows the KSUID text form (digits, upper case, lower case).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const COUNTER_BITS: u32 = 20;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text does not begin with the expected prefix.
    #[error("`{text}` is not an id of this kind: it has to begin with `{prefix}_`")]
    Prefix {
        /// The prefix that was expected, without the underscore.
        prefix: &'static str,
        /// What was given.
        text: String,
    },
    /// The part after the prefix has the wrong length or characters.
    #[error("`{text}` is not an id: {length} letters and digits have to follow `{prefix}_`")]
    Form {
        /// The prefix that was expected, without the underscore.
        prefix: &'static str,
        /// How many characters have to follow it.
        length: usize,
        /// What was given.
        text: String,
    },
}

fn digit(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 36),
        _ => None,
    }
}

/// Writes a big-endian number as base62 digits, filling `out` from its end.
fn encode_base62(bytes: &[u8], out: &mut [u8]) {
    let mut words: Vec<u32> = bytes
        .chunks(4)
        .map(|chunk| chunk.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte)))
        .collect();
    for slot in out.iter_mut().rev() {
        let mut remainder = 0_u64;
        for word in &mut words {
            let value = (remainder << 32) | u64::from(*word);
            *word = (value / 62) as u32;
            remainder = value % 62;
        }
        *slot = ALPHABET[remainder as usize];
    }
}

/// Reads base62 digits as a big-endian number; `None` if a character is foreign or it overflows.
fn decode_base62(text: &[u8], out: &mut [u8]) -> Option<()> {
    out.fill(0);
    for byte in text {
        let mut carry = digit(*byte)?;
        for slot in out.iter_mut().rev() {
            let value = u32::from(*slot) * 62 + carry;
            *slot = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(())
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $bytes:literal, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The prefix before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps raw bytes, as a store keeps them.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The raw bytes, milliseconds first.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0_u8; $length];
                encode_base62(&self.0, &mut text);
                formatter.write_str(concat!($prefix, "_"))?;
                formatter.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let Some(rest) = text.strip_prefix(concat!($prefix, "_")) else {
                    return Err(IdError::Prefix { prefix: $prefix, text: text.to_owned() });
                };
                let mut bytes = [0_u8; $bytes];
                if rest.len() != $length || decode_base62(rest.as_bytes(), &mut bytes).is_none() {
                    return Err(IdError::Form {
                        prefix: $prefix,
                        length: $length,
                        text: text.to_owned(),
                    });
                }
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(
    /// An event: one accepted webhook or message (`msg_…`).
    EventId, "msg", 20, 27
);
id_type!(
    /// One try of a delivery (`atmpt_…`).
    AttemptId, "atmpt", 20, 27
);
id_type!(
    /// A place where deliveries go (`ep_…`).
    EndpointId, "ep", 20, 27
);
id_type!(
    /// A receiving URL with its rules (`src_…`): the beginning of its [`ApplicationId`].
    SourceId, "src", 16, 22
);
id_type!(
    /// An owner of endpoints and events (`app_…`).
    ApplicationId, "app", 20, 27
);
id_type!(
    /// Work that goes on in the background (`qtask_…`).
    TaskId, "qtask", 20, 27
);
id_type!(
    /// A token that opens the API (`key_…`).
    TokenId, "key", 20, 27
);
id_type!(
    /// Another program that acts for an application (`integ_…`).
    IntegrationId, "integ", 20, 27
);

/// An event's place in the store: milliseconds since 1970 above a 20-bit counter. Unique and rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventSeq(pub i64);

impl EventSeq {
    /// The milliseconds since 1970 at which this place was given out.
    #[must_use]
    pub const fn at_ms(self) -> i64 {
        self.0 >> COUNTER_BITS
    }

    /// The lowest place of a moment: every event from then on is at or above it.
    #[must_use]
    pub const fn floor_of_ms(at_ms: i64) -> Self {
        Self(at_ms << COUNTER_BITS)
    }
}

impl EventId {
    /// Joins a place in the store and 12 random bytes (the upper 4 bits of the first are ignored).
    #[must_use]
    pub fn new(seq: EventSeq, tail: [u8; 12]) -> Self {
        let milliseconds = seq.at_ms().to_be_bytes();
        let counter = (seq.0 & ((1 << COUNTER_BITS) - 1)) as u32;
        let mut bytes = [0_u8; 20];
        bytes[..6].copy_from_slice(&milliseconds[2..]);
        bytes[6] = (counter >> 12) as u8;
        bytes[7] = (counter >> 4) as u8;
        bytes[8] = ((counter << 4) as u8 & 0xf0) | (tail[0] & 0x0f);
        bytes[9..].copy_from_slice(&tail[1..]);
        Self(bytes)
    }

    /// The event's place in the store.
    #[must_use]
    pub fn seq(&self) -> EventSeq {
        let bytes = &self.0;
        let milliseconds = bytes[..6].iter().fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
        let counter =
            (i64::from(bytes[6]) << 12) | (i64::from(bytes[7]) << 4) | i64::from(bytes[8] >> 4);
        EventSeq(((milliseconds & ((1 << 43) - 1)) << COUNTER_BITS) | counter)
    }

    /// The random part, as given to [`EventId::new`].
    #[must_use]
    pub fn tail(&self) -> [u8; 12] {
        let mut tail = [0_u8; 12];
        tail.copy_from_slice(&self.0[8..]);
        tail[0] &= 0x0f;
        tail
    }
}

impl AttemptId {
    /// Joins the moment of the attempt, the event it belongs to and 6 random bytes.
    #[must_use]
    pub fn new(at_ms: i64, event: EventSeq, tail: [u8; 6]) -> Self {
        let mut bytes = [0_u8; 20];
        bytes[..6].copy_from_slice(&at_ms.to_be_bytes()[2..]);
        bytes[6..14].copy_from_slice(&event.0.to_be_bytes());
        bytes[14..].copy_from_slice(&tail);
        Self(bytes)
    }

    /// The place of the event that this attempt tried to deliver.
    #[must_use]
    pub fn event_seq(&self) -> EventSeq {
        let mut bytes = [0_u8; 8];
        bytes.copy_from_slice(&self.0[6..14]);
        EventSeq(i64::from_be_bytes(bytes))
    }
}

macro_rules! timed_id {
    ($($name:ident),*) => {$(
        impl $name {
            /// Joins the moment of creation and 14 random bytes.
            #[must_use]
            pub fn new(at_ms: i64, tail: [u8; 14]) -> Self {
                let mut bytes = [0_u8; 20];
                bytes[..6].copy_from_slice(&at_ms.to_be_bytes()[2..]);
                bytes[6..].copy_from_slice(&tail);
                Self(bytes)
            }
        }
    )*};
}

timed_id!(EndpointId, ApplicationId, TaskId, TokenId, IntegrationId);

impl ApplicationId {
    /// The id under which a source is known: the time and the first 10 random bytes.
    #[must_use]
    pub fn source(&self) -> SourceId {
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(&self.0[..16]);
        SourceId(bytes)
    }
}

/// The store's own small number for an application or source; never shown to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ApplicationKey(pub u32);

/// The store's own small number for an endpoint; never shown to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EndpointKey(pub u32);

/// Gives out rising [`EventSeq`]s, also when the clock stands still or steps back.
#[derive(Debug, Clone)]
pub struct SeqClock {
    last: i64,
}

impl SeqClock {
    /// Starts above `last`, the highest place already given out.
    #[must_use]
    pub const fn after(last: EventSeq) -> Self {
        Self { last: last.0 }
    }

    /// Makes sure that what follows is above `last`.
    pub fn rise_to(&mut self, last: EventSeq) {
        self.last = self.last.max(last.0);
    }

    /// The next place at `now_ms`; `noise` varies where a fresh millisecond starts counting.
    pub fn next(&mut self, now_ms: i64, noise: u16) -> EventSeq {
        let fresh = (now_ms.max(0) << COUNTER_BITS) | i64::from(noise);
        self.last = if fresh > self.last { fresh } else { self.last + 1 };
        EventSeq(self.last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_text_form() {
        let id = EventId::from_bytes([0xff; 20]);
        assert_eq!(id.to_string(), "msg_aWgEPTl1tmebfsQzFP4bxwgy80V");
        assert_eq!(EventId::from_bytes([0; 20]).to_string(), "msg_000000000000000000000000000");
    }

    #[test]
    fn foreign_texts_are_refused() {
        assert!("ep_000000000000000000000000000".parse::<EventId>().is_err());
        assert!("msg_00000000000000000000000000".parse::<EventId>().is_err());
        assert!("msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<EventId>().is_err());
        assert!("msg_00000000000000000000000000-".parse::<EventId>().is_err());
    }

    #[test]
    fn clock_rises_when_time_steps_back() {
        let mut clock = SeqClock::after(EventSeq(0));
        let first = clock.next(1_000, 9);
        let second = clock.next(500, 3);
        let third = clock.next(1_001, 0);
        assert!(first < second && second < third);
        assert_eq!(third.at_ms(), 1_001);
    }

    proptest! {
        #[test]
        fn event_id_keeps_its_parts(ms in 0_i64..1 << 43, counter in 0_i64..1 << 20, tail: [u8; 12]) {
            let seq = EventSeq((ms << 20) | counter);
            let id = EventId::new(seq, tail);
            prop_assert_eq!(id.seq(), seq);
            prop_assert_eq!(EventId::new(id.seq(), id.tail()), id);
            prop_assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        }

        #[test]
        fn text_sorts_like_bytes(left: [u8; 20], right: [u8; 20]) {
            let (left, right) = (EventId::from_bytes(left), EventId::from_bytes(right));
            prop_assert_eq!(left.cmp(&right), left.to_string().cmp(&right.to_string()));
        }

        #[test]
        fn source_ids_have_22_characters(bytes: [u8; 16]) {
            let id = SourceId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().len(), 26);
            prop_assert_eq!(id.to_string().parse::<SourceId>().unwrap(), id);
        }
    }
}
