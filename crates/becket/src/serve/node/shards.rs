//! A set of shards.

use becket_store::cluster::SHARDS;

const WORDS: usize = SHARDS as usize / 64;

/// A set of shards, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Shards([u64; WORDS]);

impl Shards {
    pub(super) fn of(list: &[u16]) -> Self {
        let mut shards = Self::default();
        for shard in list.iter().filter(|shard| **shard < SHARDS) {
            shards.0[usize::from(*shard) / 64] |= 1 << (shard % 64);
        }
        shards
    }

    pub(super) fn has(&self, shard: u16) -> bool {
        self.0.get(usize::from(shard) / 64).is_some_and(|word| word >> (shard % 64) & 1 == 1)
    }

    /// The shards in it, rising.
    pub(super) fn list(&self) -> Vec<u16> {
        (0..SHARDS).filter(|shard| self.has(*shard)).collect()
    }

    /// What is in this set and not in another.
    pub(super) fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & !other.0[at]))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    pub(super) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_shards() {
        let some = Shards::of(&[0, 63, 64, 255, 256]);
        assert!(some.has(0) && some.has(63) && some.has(64) && some.has(255));
        assert!(!some.has(1) && !some.has(256) && some.len() == 4);
        let rest = some.without(&Shards::of(&[63, 7]));
        assert_eq!(rest, Shards::of(&[0, 64, 255]));
        assert_eq!(rest.list(), [0, 64, 255]);
        assert!(rest.without(&some).is_empty() && !rest.is_empty());
    }
}
