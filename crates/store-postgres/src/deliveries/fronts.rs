//! From where on an endpoint's queue is looked at, while it is long.
//!
//! What was leased leaves a dead entry in the index until the next vacuum, and the queue's dead
//! entries lie at its front. A claim that begins where the last one ended passes over none of them.
//! What comes back in front of that place says so here ([`Fronts::put_back`]). What another node puts
//! there does not; so a front is believed only for a while ([`KEPT`], or longer where looking from the
//! beginning takes long: when nothing can be vacuumed because somebody holds an old transaction), and
//! then the queue is looked at from its beginning. An early delivery may be late by that much, and none
//! is lost: a queue that is not long has no front.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So long a front is believed at least.
const KEPT: Duration = Duration::from_secs(1);
/// And so many times as long as the look took in which it was found.
const KEPT_TIMES: u32 = 20;

#[derive(Debug, Clone, Copy)]
struct Front {
    from_ms: i64,
    /// The earliest that was put back since the claim under way was begun.
    put_back_ms: i64,
    begun_at: Instant,
    kept: Duration,
}

/// The fronts of the queues that are long, and of those that are being looked at.
#[derive(Debug, Default)]
pub(crate) struct Fronts(Mutex<HashMap<u32, Front>>);

impl Fronts {
    /// A claim begins: the due moment from which to look.
    pub(crate) fn begin(&self, endpoint: u32, now: Instant) -> i64 {
        let mut fronts = self.0.lock();
        let fresh = Front { from_ms: i64::MIN, put_back_ms: i64::MAX, begun_at: now, kept: KEPT };
        let front = fronts.entry(endpoint).or_insert(fresh);
        if now.duration_since(front.begun_at) >= front.kept {
            *front = fresh;
        }
        front.put_back_ms = i64::MAX;
        front.from_ms
    }

    /// The claim has ended; `last_due_ms` is that of the last delivery if more may follow it.
    pub(crate) fn end(&self, endpoint: u32, last_due_ms: Option<i64>, took: Duration) {
        let mut fronts = self.0.lock();
        match (last_due_ms, fronts.get_mut(&endpoint)) {
            (Some(due_ms), Some(front)) => {
                if front.from_ms == i64::MIN {
                    front.kept = KEPT.max(took * KEPT_TIMES);
                }
                front.from_ms = due_ms.min(front.put_back_ms);
            }
            _ => {
                fronts.remove(&endpoint);
            }
        }
    }

    /// A delivery that is due then waits (again).
    pub(crate) fn put_back(&self, endpoint: u32, due_ms: i64) {
        if let Some(front) = self.0.lock().get_mut(&endpoint) {
            front.from_ms = front.from_ms.min(due_ms);
            front.put_back_ms = front.put_back_ms.min(due_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn a_front_follows_the_claims_and_what_comes_back() {
        let (fronts, now) = (Fronts::default(), Instant::now());
        fronts.put_back(1, 7);
        assert_eq!(fronts.begin(1, now), i64::MIN);
        fronts.end(1, Some(50), SHORT);
        assert_eq!(fronts.begin(1, now), 50);
        fronts.put_back(1, 30);
        fronts.end(1, Some(80), SHORT);
        assert_eq!(fronts.begin(1, now), 30, "it came back while the claim was under way");
        fronts.end(1, Some(90), SHORT);
        fronts.put_back(1, 95);
        assert_eq!(fronts.begin(1, now), 90);
        fronts.put_back(1, 60);
        fronts.put_back(2, 1);
        fronts.end(1, None, SHORT);
        assert!(fronts.0.lock().is_empty(), "a queue that is not long has no front");
    }

    #[test]
    fn a_front_is_believed_for_a_while() {
        let (fronts, now) = (Fronts::default(), Instant::now());
        fronts.begin(1, now);
        fronts.end(1, Some(50), SHORT);
        assert_eq!(fronts.begin(1, now + KEPT / 2), 50);
        fronts.end(1, Some(60), SHORT);
        assert_eq!(fronts.begin(1, now + KEPT), i64::MIN);
        fronts.end(1, Some(20), SHORT);
        assert_eq!(fronts.begin(1, now + KEPT), 20);
        let later = now + KEPT * 3;
        assert_eq!(fronts.begin(1, later), i64::MIN);
        fronts.end(1, Some(30), KEPT);
        assert_eq!(fronts.begin(1, later + KEPT * 19), 30, "looking took long");
    }
}
