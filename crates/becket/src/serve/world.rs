//! The real clock and the operating system's random numbers.

use std::cell::RefCell;

use becket_model::{Clock, Noise};

/// Random bytes fetched ahead for ids and jitter, so that not each of them costs a system call.
const AHEAD: usize = 1_024;
/// Longer requests (keys, secrets) always go to the operating system.
const SMALL: usize = 16;

thread_local! {
    static POOL: RefCell<([u8; AHEAD], usize)> = const { RefCell::new(([0; AHEAD], AHEAD)) };
}

/// The wall clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The operating system's random numbers.
pub struct SystemNoise;

impl Noise for SystemNoise {
    fn fill(&self, buffer: &mut [u8]) {
        if buffer.len() > SMALL {
            return fetch(buffer);
        }
        POOL.with_borrow_mut(|(pool, used)| {
            if *used + buffer.len() > AHEAD {
                fetch(pool);
                *used = 0;
            }
            let end = *used + buffer.len();
            buffer.copy_from_slice(&pool[*used..end]);
            pool[*used..end].fill(0);
            *used = end;
        });
    }
}

#[expect(clippy::expect_used, reason = "without random numbers no id or key may be made")]
fn fetch(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system gives random numbers");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_requests_differ_each_time() {
        let mut seen = std::collections::HashSet::new();
        for length in [12, 14, 16, 32].repeat(200) {
            let mut buffer = vec![0; length];
            SystemNoise.fill(&mut buffer);
            assert!(seen.insert(buffer), "a repeat");
        }
    }
}
