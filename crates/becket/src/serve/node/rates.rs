//! Rates of applications, divided among the nodes by how many of their endpoints each delivers to.

use becket_model::Rate;

/// A node's part of a rate that holds over all of an application's endpoints. The parts of all nodes
/// together are never more than the whole.
pub(in super::super) fn part_of(rate: Rate, own: usize, all: usize) -> Rate {
    if own == 0 || own >= all {
        return rate;
    }
    let (own, all) = (own as u64, all as u64);
    // The count stays and the time grows, so that small rates are divided, too.
    Rate { count: rate.count, period_ms: rate.period_ms.saturating_mul(all).div_ceil(own) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_never_more_than_the_whole() {
        let rate = Rate { count: 7, period_ms: 1_000 };
        for parts in [vec![3, 4, 2], vec![1, 1], vec![0, 5], vec![100, 1, 1]] {
            let all: usize = parts.iter().sum();
            let sum: f64 = parts
                .iter()
                .filter(|own| **own > 0)
                .map(|own| part_of(rate, *own, all))
                .map(|part| f64::from(part.count) / part.period_ms as f64)
                .sum();
            let whole = 7.0 / 1_000.0;
            assert!(sum <= whole * 1.000_001 && sum > whole * 0.99, "{parts:?}: {sum}");
        }
        assert_eq!(part_of(rate, 3, 3), rate);
    }
}
