//! What is wrong with a set-up, and what to do about it: findings made from facts.
//!
//! Role: each function here takes what was measured or read and says what it means. The command
//! collects the facts, from the configuration, the gateway and the network.
//!
//! Invariants: a finding that is not fine says what to do; nothing here changes anything, and no
//! event is ever sent.
//!
//! Where next: `place` for disk and limits, `clock`, `certificate`, `traffic` for what the gateway
//! tells of itself.

pub mod certificate;
pub mod clock;
pub mod place;
pub mod traffic;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Fine,
    /// Could not be looked at.
    Skipped,
    /// Worth knowing.
    Note,
    /// Will hurt some day.
    Warning,
    /// Hurts, or loses something.
    Problem,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check: a stable name such as `disk_space`.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found, in a line.
    pub says: String,
    /// What to do about it, the most likely first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
}

impl Finding {
    /// What is as it should be.
    pub fn fine(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Level::Fine, says)
    }

    /// What is worth knowing.
    pub fn note(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Level::Note, says)
    }

    /// What will hurt some day.
    pub fn warning(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Level::Warning, says)
    }

    /// What hurts.
    pub fn problem(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Level::Problem, says)
    }

    /// What could not be looked at, and why.
    pub fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, Level::Skipped, why)
    }

    /// Says what to do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    fn new(check: &'static str, level: Level, says: impl Into<String>) -> Self {
        Self { check, level, says: says.into(), advice: Vec::new() }
    }
}

/// A number of bytes for people.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut shown = bytes as f64;
    while shown >= 1_024.0 && unit + 1 < UNITS.len() {
        shown /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{shown:.1} {}", UNITS[unit]) }
}

/// `1 source`, `2 sources`.
#[must_use]
pub fn counted(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
