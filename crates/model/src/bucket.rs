//! A token bucket: how often something may happen, with a burst.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// So many per second, minute or hour: `100/s`, `30/min`, `1000/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many in a period.
    pub count: u32,
    /// The period in milliseconds.
    pub period_ms: u64,
}

impl Rate {
    /// `count` per second.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        Self { count, period_ms: 1_000 }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a rate; write it like `100/s`, `30/min` or `1000/h`");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse::<u32>().map_err(|_| wrong())?;
        let period_ms = match unit.trim() {
            "s" | "sec" | "second" => 1_000,
            "m" | "min" | "minute" => 60_000,
            "h" | "hour" => 3_600_000,
            _ => return Err(wrong()),
        };
        if count == 0 {
            return Err(format!("`{text}` lets nothing through; use 1 or more, or leave it out"));
        }
        Ok(Self { count, period_ms })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.period_ms {
            1_000 => "s",
            60_000 => "min",
            _ => "h",
        };
        write!(formatter, "{}/{unit}", self.count)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Tokens that refill steadily up to a burst; taking one is being allowed once.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: Rate,
    burst: u32,
    /// Tokens times `period_ms`, so that refilling stays in whole numbers.
    level: u64,
    refilled_at_ms: i64,
}

impl TokenBucket {
    /// A full bucket at `now_ms`.
    #[must_use]
    pub fn full(rate: Rate, burst: u32, now_ms: i64) -> Self {
        let burst = burst.max(1);
        Self { rate, burst, level: u64::from(burst) * rate.period_ms, refilled_at_ms: now_ms }
    }

    /// Takes a token, or tells in how many milliseconds there will be one.
    ///
    /// # Errors
    /// The wait in milliseconds, at least 1.
    pub fn take(&mut self, now_ms: i64) -> Result<(), u64> {
        let elapsed = u64::try_from(now_ms.saturating_sub(self.refilled_at_ms)).unwrap_or(0);
        self.refilled_at_ms = now_ms;
        let full = u64::from(self.burst) * self.rate.period_ms;
        let gained = elapsed.saturating_mul(u64::from(self.rate.count));
        self.level = self.level.saturating_add(gained).min(full);
        if self.level >= self.rate.period_ms {
            self.level -= self.rate.period_ms;
            return Ok(());
        }
        let missing = self.rate.period_ms - self.level;
        Err(missing.div_ceil(u64::from(self.rate.count)).max(1))
    }

    /// Whether nothing has been taken for long enough that the bucket is full again.
    #[must_use]
    pub fn is_full(&self, now_ms: i64) -> bool {
        let mut copy = self.clone();
        let full = u64::from(copy.burst) * copy.rate.period_ms;
        copy.take(now_ms).is_ok() && copy.level + copy.rate.period_ms >= full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_and_print() {
        for (text, count, period_ms) in
            [("100/s", 100, 1_000), ("30/min", 30, 60_000), ("5/h", 5, 3_600_000)]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.count, rate.period_ms), (count, period_ms));
            assert_eq!(rate.to_string(), text);
        }
        for wrong in ["", "100", "0/s", "x/s", "1/day", "-1/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn burst_then_steady() {
        let mut bucket = TokenBucket::full(Rate::per_second(10), 3, 0);
        assert!((0..3).all(|_| bucket.take(0).is_ok()));
        assert_eq!(bucket.take(0), Err(100));
        assert_eq!(bucket.take(99), Err(1));
        assert_eq!(bucket.take(100), Ok(()));
        assert_eq!(bucket.take(50), Err(100), "a clock that steps back gives nothing");
        assert!(bucket.is_full(10_000));
    }
}
