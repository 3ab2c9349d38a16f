//! Numbers that look random and repeat with their seed.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, 2014): one addition and two multiplications
//! per number, every seed is a good seed. It is for tests; anybody can guess what comes next.

use becket_model::Noise;
use parking_lot::Mutex;

/// A seeded stream of numbers.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if the bound is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        let drawn = self.draw();
        if bound == 0 { 0 } else { drawn % bound }
    }

    /// True in this many cases of a hundred.
    pub const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Noise that repeats with its seed, for tests and the simulation.
#[derive(Debug)]
pub struct FixedNoise(Mutex<Numbers>);

impl FixedNoise {
    /// The noise of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(Numbers::new(seed)))
    }
}

impl Noise for FixedNoise {
    fn fill(&self, buffer: &mut [u8]) {
        let mut numbers = self.0.lock();
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&numbers.draw().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let bytes = |seed| {
            let mut buffer = [0; 13];
            FixedNoise::new(seed).fill(&mut buffer);
            buffer
        };
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
        assert_ne!(bytes(1), [0; 13]);
    }
}
