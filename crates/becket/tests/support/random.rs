//! Chance that can be repeated: xorshift64*, with its seed.

use std::ops::Range;

/// A source of numbers.
pub struct Random {
    /// What it was begun with; printed, so that a run can be repeated.
    pub seed: u64,
    state: u64,
}

impl Random {
    /// Seeded by an environment variable, or else by this process's id.
    pub fn seeded_by(variable: &str) -> Self {
        Self::new(number_from(variable).unwrap_or_else(|| u64::from(std::process::id()) + 1))
    }

    /// Begun with a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 }
    }

    /// A number of this range.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        range.start
            + (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % (range.end - range.start)
    }

    /// An index below `count`.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.within(0..count as u64)).expect("it is below a usize")
    }
}

/// A number in an environment variable, if it is set.
pub fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}
