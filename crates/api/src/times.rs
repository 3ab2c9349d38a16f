//! Moments as text: RFC 3339 in UTC with milliseconds.

use jiff::Timestamp;

/// The text of a moment in milliseconds since 1970.
pub(crate) fn text(at_ms: i64) -> String {
    let moment = Timestamp::from_millisecond(at_ms).unwrap_or(if at_ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    format!("{moment:.3}")
}

/// The moment that a text means, in milliseconds since 1970.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    text.parse::<Timestamp>()
        .map(Timestamp::as_millisecond)
        .map_err(|_| format!("`{text}` is not a time like 2026-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_and_print() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(1_769_860_800_123), "2026-01-31T12:00:00.123Z");
        assert_eq!(parse("2026-01-31T12:00:00.123Z"), Ok(1_769_860_800_123));
        assert_eq!(parse("2026-01-31T13:00:00+01:00"), Ok(1_769_860_800_000));
        assert!(parse("yesterday").is_err());
        assert!(parse("2026-01-31").is_err());
        assert!(parse(&text(i64::MAX)).is_ok());
    }
}
