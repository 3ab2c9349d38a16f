//! The wall clock, which several processes share.

use std::time::{Duration, SystemTime};

/// Microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this program measures time; there is no other one")]
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The date and time, to the second, in UTC.
pub fn date() -> String {
    let since = Duration::from_micros(now_us());
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
