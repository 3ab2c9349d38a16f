//! How long a source usually pauses, learned from how many events came in each hour.
//!
//! A source that sends in every hour pauses for about as long as an hour has between its events when
//! there are fewest. One that has hours without any (nights, weekends) pauses for as long as the
//! longest such stretch that was seen. Too little history says nothing.

/// How far back it is looked, in hours: a week, so that weekends are known.
pub(super) const HOURS: usize = 7 * 24;
const HOUR_MS: i64 = 3_600_000;
/// Fewer events than this say nothing about what is usual.
const EVENTS_MIN: u64 = 20;
/// Nor do fewer hours since the first of them.
const HOURS_MIN: usize = 24;

/// The longest usual pause in milliseconds, from the number of events in each of the last hours,
/// oldest first. `None` if nothing can be said.
pub(super) fn usual_pause_ms(hours: &[u64]) -> Option<i64> {
    let first = hours.iter().position(|count| *count > 0)?;
    let known = &hours[first..];
    if known.iter().sum::<u64>() < EVENTS_MIN || known.len() < HOURS_MIN {
        return None;
    }
    // The end is what is being judged: a stretch that still lasts is not usual yet.
    let last = known.iter().rposition(|count| *count > 0)?;
    let known = &known[..=last];
    let mut longest = 0;
    let mut stretch = 0;
    for count in known {
        stretch = if *count == 0 { stretch + 1 } else { 0 };
        longest = longest.max(stretch);
    }
    if longest > 0 {
        return Some((i64::from(longest) + 1) * HOUR_MS);
    }
    let fewest = known.iter().copied().min().unwrap_or(1).max(1);
    Some(HOUR_MS / i64::try_from(fewest).unwrap_or(HOUR_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn week(of: impl Fn(usize) -> u64) -> Vec<u64> {
        (0..HOURS).map(of).collect()
    }

    #[test]
    fn pauses_are_learned() {
        let minute_ms = 60_000;
        // One a minute; then quiet for the last five hours.
        assert_eq!(
            usual_pause_ms(&week(|hour| if hour < HOURS - 5 { 60 } else { 0 })),
            Some(minute_ms)
        );
        // Busy days, fewer at night.
        let night = |hour: usize| if hour % 24 < 6 { 12 } else { 600 };
        assert_eq!(usual_pause_ms(&week(night)), Some(5 * minute_ms));
        // Nothing from 20 to 8.
        let office = |hour: usize| if (8..20).contains(&(hour % 24)) { 5 } else { 0 };
        assert_eq!(usual_pause_ms(&week(office)), Some(13 * HOUR_MS));
        // One event a day.
        assert_eq!(usual_pause_ms(&week(|hour| u64::from(hour % 24 == 3) * 4)), Some(24 * HOUR_MS));
    }

    #[test]
    fn too_little_history_says_nothing() {
        assert_eq!(usual_pause_ms(&[]), None);
        assert_eq!(usual_pause_ms(&week(|_| 0)), None);
        assert_eq!(usual_pause_ms(&week(|hour| u64::from(hour == 3) * 5)), None);
        // Many events, but only since a few hours.
        assert_eq!(usual_pause_ms(&week(|hour| if hour > HOURS - 10 { 100 } else { 0 })), None);
    }
}
