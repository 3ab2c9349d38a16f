//! Ending leases whose time is over, without looking at those that ended before.
//!
//! The index of leases is ordered by their ends, and its beginning is full of what was delivered in
//! the meantime and not yet vacuumed. So a look begins where the last one ended. What this process
//! gives with an earlier end says so ([`Expiry::given`]); what others give, or what was being finished
//! at that moment, is found by a look from the beginning, every [`WHOLE_EVERY`].

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So often a look begins at the beginning.
const WHOLE_EVERY: Duration = Duration::from_secs(30);
/// So much later than the last look the next one is, in milliseconds, in a node among others: leases
/// hold for minutes.
const STEP_MS: i64 = 1_000;

/// Who may hold a lease. In a node among others these are the nodes that are there (those that are gone
/// lose theirs in the transaction that drops them); otherwise it is read off the index, one step for
/// each.
const NODES: &str = "holder AS (SELECT number::bigint FROM node)";
const ANYBODY: &str = "holder AS (
        (SELECT lease >> 40 AS number FROM delivery WHERE lease <> 0 ORDER BY lease >> 40 LIMIT 1)
        UNION ALL
        SELECT (SELECT lease >> 40 FROM delivery
                WHERE lease <> 0 AND lease >> 40 > holder.number ORDER BY lease >> 40 LIMIT 1)
        FROM holder WHERE number IS NOT NULL
    )";

/// Ends the leases that end after `$1` and not after `$2`; tells what waits again.
pub(super) fn sql(among_others: bool) -> String {
    format!(
        "WITH RECURSIVE {}, ended AS MATERIALIZED (
            SELECT event_seq, endpoint, generation
            FROM holder CROSS JOIN LATERAL (
                SELECT event_seq, endpoint, generation FROM delivery
                WHERE lease <> 0 AND lease >> 40 = holder.number
                    AND lease_until_ms > $1 AND lease_until_ms <= $2
                FOR UPDATE SKIP LOCKED
            ) held
        )
        UPDATE delivery SET lease = 0, lease_until_ms = 0 FROM ended
        WHERE delivery.event_seq = ended.event_seq AND delivery.endpoint = ended.endpoint
            AND delivery.generation = ended.generation
            AND delivery.event_seq = ANY(ARRAY(SELECT event_seq FROM ended)) AND {}
        RETURNING delivery.endpoint, delivery.due_ms",
        if among_others { NODES } else { ANYBODY },
        crate::disk::hasty!()
    )
}

#[derive(Debug)]
struct State {
    /// Leases that end at or before this have been ended.
    until_ms: i64,
    /// The earliest end that was given since the look under way was begun.
    given_ms: i64,
    whole_at: Option<Instant>,
}

/// Up to where leases have been ended.
#[derive(Debug)]
pub(crate) struct Expiry(Mutex<State>);

impl Expiry {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { until_ms: i64::MIN, given_ms: i64::MAX, whole_at: None }))
    }

    /// A lease is about to be given that ends then.
    pub(crate) fn given(&self, until_ms: i64) {
        let mut state = self.0.lock();
        state.until_ms = state.until_ms.min(until_ms.saturating_sub(1));
        state.given_ms = state.given_ms.min(until_ms.saturating_sub(1));
    }

    /// From where on to look for leases that have ended by `now_ms`; `None` if there can be none.
    /// `patient` is whether one may be ended somewhat later.
    pub(crate) fn begin(&self, now_ms: i64, patient: bool, at: Instant) -> Option<i64> {
        let mut state = self.0.lock();
        let step_ms = if patient { STEP_MS } else { 1 };
        if now_ms.saturating_sub(step_ms) < state.until_ms {
            return None;
        }
        state.given_ms = i64::MAX;
        if state.whole_at.is_none_or(|before| at.duration_since(before) >= WHOLE_EVERY) {
            state.until_ms = i64::MIN;
        }
        Some(state.until_ms)
    }

    /// The look from there has ended what ends at or before `now_ms`.
    pub(crate) fn end(&self, from_ms: i64, now_ms: i64, at: Instant) {
        let mut state = self.0.lock();
        state.until_ms = now_ms.min(state.given_ms);
        if from_ms == i64::MIN {
            state.whole_at = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_follow_each_other() {
        let (expiry, at) = (Expiry::new(), Instant::now());
        assert_eq!(expiry.begin(100, false, at), Some(i64::MIN));
        expiry.end(i64::MIN, 100, at);
        assert_eq!(expiry.begin(100, false, at), None);
        assert_eq!(expiry.begin(101, false, at), Some(100));
        expiry.given(90);
        expiry.end(100, 101, at);
        assert_eq!(expiry.begin(101, false, at), Some(89), "it was given during the look");
        expiry.end(89, 101, at);
        assert_eq!(expiry.begin(1_100, true, at), None);
        assert_eq!(expiry.begin(1_101, true, at), Some(101));
        expiry.end(101, 1_101, at);
        assert_eq!(expiry.begin(1_102, false, at + WHOLE_EVERY), Some(i64::MIN));
    }
}
