//! Moments and days, from the forms that senders use.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Numbers from here on are milliseconds, smaller ones seconds: as seconds it would be the year 5138,
/// as milliseconds it is March 1973.
const MILLISECONDS_FROM: f64 = 1e11;

/// A moment written as RFC 3339, or as seconds or milliseconds since 1970.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return from_integer(number);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    text.parse().ok().filter(|_| is_number).and_then(from_float)
}

/// A moment in seconds or milliseconds since 1970.
pub(crate) fn from_integer(number: i64) -> Option<Timestamp> {
    if number.unsigned_abs() >= MILLISECONDS_FROM as u64 {
        return Timestamp::from_millisecond(number).ok();
    }
    Timestamp::from_second(number).ok()
}

/// A moment in seconds or milliseconds since 1970, with fractions; kept to the microsecond.
pub(crate) fn from_float(number: f64) -> Option<Timestamp> {
    if !number.is_finite() {
        return None;
    }
    let seconds = if number.abs() >= MILLISECONDS_FROM { number / 1e3 } else { number };
    let microseconds = (seconds * 1e6).round();
    // Beyond this a float has no exact microseconds, and no calendar has the year.
    (microseconds.abs() < 9e17).then(|| Timestamp::from_microsecond(microseconds as i64).ok())?
}

/// A moment as it is stored where there is no type for it: always of the same length, so that texts
/// are in the order of their moments.
pub(crate) fn text(moment: Timestamp) -> String {
    format!("{moment:.6}")
}

/// A moment in milliseconds since 1970.
pub(crate) fn from_ms(at_ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(at_ms).ok()
}

/// A day written as `2026-01-31`, or the day in UTC of a moment.
pub(crate) fn day(text: &str) -> Option<Date> {
    let text = text.trim();
    if text.len() == 10 && text.as_bytes()[4] == b'-' {
        return text.parse().ok();
    }
    moment(text).map(day_of)
}

/// The day of a moment in UTC.
pub(crate) fn day_of(moment: Timestamp) -> Date {
    moment.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::{day, from_float, moment};

    #[test]
    fn moments_are_read() {
        let cases = [
            ("2026-01-01T00:00:00Z", Some("2026-01-01T00:00:00Z")),
            ("2026-01-01T02:00:00.5+02:00", Some("2026-01-01T00:00:00.5Z")),
            ("2026-01-01 00:00:00Z", Some("2026-01-01T00:00:00Z")),
            ("1767225600", Some("2026-01-01T00:00:00Z")),
            ("1767225600123", Some("2026-01-01T00:00:00.123Z")),
            ("1767225600.25", Some("2026-01-01T00:00:00.25Z")),
            ("-1", Some("1969-12-31T23:59:59Z")),
            // Without an offset it would be a guess.
            ("2026-01-01T00:00:00", None),
            ("yesterday", None),
            ("inf", None),
            ("1e9", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let read = moment(text).map(|moment| moment.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
        assert_eq!(from_float(f64::NAN), None);
        assert_eq!(from_float(1e300), None);
    }

    #[test]
    fn days_are_read() {
        let cases = [
            ("2026-01-31", Some("2026-01-31")),
            ("2026-01-31T23:30:00-01:00", Some("2026-02-01")),
            ("1767225600", Some("2026-01-01")),
            ("2026-02-30", None),
            ("31.01.2026", None),
        ];
        for (text, expected) in cases {
            assert_eq!(day(text).map(|day| day.to_string()).as_deref(), expected, "{text}");
        }
    }
}
