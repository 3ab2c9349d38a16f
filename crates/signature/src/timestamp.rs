//! Reading and judging the time of sending.

use std::time::UNIX_EPOCH;

use crate::scheme::{TimestampUnit, Tolerance};
use crate::verdict::Refusal;

/// The text as unix seconds; `None` when it is not of the unit's form.
pub(crate) fn parse(text: &str, unit: TimestampUnit) -> Option<i64> {
    let text = text.trim();
    match unit {
        TimestampUnit::S => whole(text),
        TimestampUnit::Ms => whole(text).map(|ms| ms.div_euclid(1000)),
        TimestampUnit::Rfc3339 => text
            .parse::<jiff::Timestamp>()
            .ok()
            .or_else(|| {
                let civil: jiff::civil::DateTime = text.parse().ok()?;
                Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
            })
            .map(jiff::Timestamp::as_second),
        TimestampUnit::HttpDate => {
            let time = httpdate::parse_http_date(text).ok()?;
            let since = time.duration_since(UNIX_EPOCH).ok()?;
            i64::try_from(since.as_secs()).ok()
        }
    }
}

fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A time in the unit's form.
pub(crate) fn print(now_s: i64, unit: TimestampUnit) -> String {
    match unit {
        TimestampUnit::S => now_s.to_string(),
        TimestampUnit::Ms => now_s.saturating_mul(1000).to_string(),
        TimestampUnit::Rfc3339 => {
            jiff::Timestamp::from_second(now_s).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
        }
        TimestampUnit::HttpDate => {
            let seconds = u64::try_from(now_s).unwrap_or(0).min(253_402_300_799);
            httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(seconds))
        }
    }
}

/// Whether a time is within the tolerance on both sides.
pub(crate) fn judge(
    timestamp_s: i64,
    now_s: i64,
    max_age: Tolerance,
    max_future: Tolerance,
) -> Result<(), Refusal> {
    let age = i128::from(now_s) - i128::from(timestamp_s);
    match max_age {
        Tolerance::Seconds(limit) if age > i128::from(limit) => return Err(Refusal::Stale),
        _ => {}
    }
    match max_future {
        Tolerance::Seconds(limit) if -age > i128::from(limit) => Err(Refusal::FromFuture),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_reads_what_it_prints() {
        for unit in
            [TimestampUnit::S, TimestampUnit::Ms, TimestampUnit::Rfc3339, TimestampUnit::HttpDate]
        {
            assert_eq!(parse(&print(1_767_225_600, unit), unit), Some(1_767_225_600));
            for wrong in ["", "x", "1e9", "0x10", " ", "99999999999999999999"] {
                assert_eq!(parse(wrong, unit), None, "{wrong:?}");
            }
            print(i64::MAX, unit);
            print(i64::MIN, unit);
        }
        let naive = parse("2026-01-01T00:00:00", TimestampUnit::Rfc3339);
        assert_eq!(naive, Some(1_767_225_600));
    }

    #[test]
    fn both_sides_are_judged_apart() {
        let (age, future) = (Tolerance::Seconds(300), Tolerance::Seconds(60));
        assert_eq!(judge(1000, 1300, age, future), Ok(()));
        assert_eq!(judge(1000, 1301, age, future), Err(Refusal::Stale));
        assert_eq!(judge(1060, 1000, age, future), Ok(()));
        assert_eq!(judge(1061, 1000, age, future), Err(Refusal::FromFuture));
        assert_eq!(judge(i64::MIN, i64::MAX, Tolerance::Unchecked, future), Ok(()));
        assert_eq!(judge(i64::MAX, i64::MIN, age, future), Err(Refusal::FromFuture));
    }
}
