//! Why there are no keys, as values.
//!
//! Invariants: the codes are a closed set and name no URL, key id or secret; none of these is the
//! sender's fault but [`KeyTrouble::Unknown`].

/// Why the keys of a request are not at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyTrouble {
    /// The provider does not know this key.
    #[error("the provider knows no such key")]
    Unknown,
    /// They could not be fetched now; the same request may be accepted later.
    #[error(
        "the sender's keys could not be fetched ({code}); it may try again in {retry_after_s} s"
    )]
    Unavailable {
        /// What went wrong: a code of [`becket_egress::AttemptError`], or one of this crate's own
        /// (`status`, `too_large`, `unreadable`, `certificate`, `token`, `header`, `url`, `limited`,
        /// `crowded`, `stopping`).
        code: &'static str,
        /// When to come again, in seconds.
        retry_after_s: u64,
    },
}

impl KeyTrouble {
    /// When to come again if nothing better is known.
    const RETRY_AFTER_S: u64 = 5;

    pub(crate) const fn unavailable(code: &'static str) -> Self {
        Self::Unavailable { code, retry_after_s: Self::RETRY_AFTER_S }
    }

    /// Everything that can be kept is under way.
    pub(crate) const fn crowded() -> Self {
        Self::unavailable("crowded")
    }

    /// The same with another time to come again, in milliseconds from now.
    pub(crate) fn again_in(self, wait_ms: i64) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Unavailable { code, .. } => {
                let wait_ms = u64::try_from(wait_ms).unwrap_or(0);
                Self::Unavailable { code, retry_after_s: wait_ms.div_ceil(1_000).max(1) }
            }
        }
    }

    /// The stable code of what went wrong.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_key",
            Self::Unavailable { code, .. } => code,
        }
    }

    /// When to come again, in seconds; 0 if that would not help.
    #[must_use]
    pub const fn retry_after_s(&self) -> u64 {
        match self {
            Self::Unknown => 0,
            Self::Unavailable { retry_after_s, .. } => *retry_after_s,
        }
    }
}
