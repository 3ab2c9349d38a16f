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
        TimestampUnit::Us => whole(text).map(|us| us.div_euclid(1_000_000)),
        TimestampUnit::Ns => whole(text).map(|ns| ns.div_euclid(1_000_000_000)),
        TimestampUnit::SOrMs => {
            let divisor = if text.trim_start_matches('-').len() >= 13 { 1000 } else { 1 };
            whole(text).map(|time| time.div_euclid(divisor))
        }
        TimestampUnit::Compact => compact(text),
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

/// Fourteen digits of date and time, with an optional `T` between them and `Z` at the end.
fn compact(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = match text.split_once('T') {
        Some(halves) => halves,
        None => text.split_at_checked(8)?,
    };
    let digits =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(date, 8) || !digits(time, 6) {
        return None;
    }
    let part = |text: &str, from: usize| text[from..from + 2].parse::<i8>().ok();
    let civil = jiff::civil::DateTime::new(
        date[..4].parse().ok()?,
        part(date, 4)?,
        part(date, 6)?,
        part(time, 0)?,
        part(time, 2)?,
        part(time, 4)?,
        0,
    )
    .ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
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
        TimestampUnit::Ms | TimestampUnit::SOrMs => now_s.saturating_mul(1000).to_string(),
        TimestampUnit::Us => now_s.saturating_mul(1_000_000).to_string(),
        TimestampUnit::Ns => now_s.saturating_mul(1_000_000_000).to_string(),
        TimestampUnit::Rfc3339 => {
            jiff::Timestamp::from_second(now_s).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
        }
        TimestampUnit::Compact => jiff::Timestamp::from_second(now_s)
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string(),
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
        for unit in [
            TimestampUnit::S,
            TimestampUnit::Ms,
            TimestampUnit::Us,
            TimestampUnit::Ns,
            TimestampUnit::SOrMs,
            TimestampUnit::Rfc3339,
            TimestampUnit::HttpDate,
            TimestampUnit::Compact,
        ] {
            assert_eq!(parse(&print(1_767_225_600, unit), unit), Some(1_767_225_600));
            for wrong in ["", "x", "1e9", "0x10", " ", "99999999999999999999"] {
                assert_eq!(parse(wrong, unit), None, "{wrong:?}");
            }
            print(i64::MAX, unit);
            print(i64::MIN, unit);
        }
        let naive = parse("2026-01-01T00:00:00", TimestampUnit::Rfc3339);
        assert_eq!(naive, Some(1_767_225_600));
        for (text, unit) in [
            ("20260101000000", TimestampUnit::Compact),
            ("20260101T000000Z", TimestampUnit::Compact),
            ("1767225600", TimestampUnit::SOrMs),
            ("1767225600999", TimestampUnit::SOrMs),
            ("1767225600999999", TimestampUnit::Us),
        ] {
            assert_eq!(parse(text, unit), Some(1_767_225_600), "{text}");
        }
        for text in ["20260101", "20261301T000000Z", "2026010100000", "2026-101T000000Z"] {
            assert_eq!(parse(text, TimestampUnit::Compact), None, "{text}");
        }
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
