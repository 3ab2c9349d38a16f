//! A delivery (one event to one endpoint) as a state machine, and the decision after each attempt.

use serde::{Deserialize, Serialize};

use crate::id::{EndpointKey, EventId};
use crate::retry::{RetryAfter, RetrySchedule};

/// Names one delivery: the event, the endpoint, and which time round it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryKey {
    /// The event that is delivered.
    pub event: EventId,
    /// Where it goes.
    pub endpoint: EndpointKey,
    /// 0 for the delivery planned on receipt, then one more for each replay.
    pub generation: u16,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// An attempt is due, under way, or scheduled.
    Pending,
    /// The endpoint answered 2xx.
    Delivered,
    /// The last attempt failed, or the endpoint said never again.
    Failed,
    /// The endpoint was removed before the delivery succeeded.
    Cancelled,
}

impl DeliveryState {
    /// The word used in the API, the CLI and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a delivery exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// Planned when the event arrived.
    Receipt,
    /// Asked for later, by a person or because a sender repeated an event that had failed.
    Replay,
}

/// Why a delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// Every attempt of the schedule failed.
    Exhausted,
    /// The endpoint answered 410 and was disabled.
    Gone,
    /// The payload was removed before it was delivered.
    Expunged,
    /// The endpoint acted and said that trying again would not help.
    GaveUp,
}

/// What one attempt came to, reduced to what the decision needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The HTTP status, if a whole response arrived.
    pub status: Option<u16>,
    /// The receiver's hint when to come back.
    pub retry_after: Option<RetryAfter>,
    /// What an endpoint came to that has no HTTP status to tell it by.
    pub acted: Option<Acted>,
}

/// What an endpoint that acts, instead of being posted to, came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acted {
    /// It is done.
    Done,
    /// It failed, and trying again would not help.
    GiveUp,
    /// It was not ready: to be tried again whatever the schedule says. The attempt is counted.
    NotReady,
}

impl Outcome {
    /// Only a 2xx is a success, or an action that is done; a redirect is a failure and is never
    /// followed.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.acted == Some(Acted::Done)
            || self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Done: the endpoint has it.
    Delivered,
    /// Try again at this moment (milliseconds since 1970).
    RetryAt(i64),
    /// Given up.
    Failed(FailureReason),
}

/// How long a delivery waits whose endpoint was not ready, unless it says when it will be. While it
/// is paused, it waits for that.
const NOT_READY_WAIT_MS: u64 = 250;

/// Decides after attempt `number` (counted from 1) that ended at `now_ms`; `jitter` is in 0..1.
#[must_use]
pub fn decide_next(
    outcome: Outcome,
    retry: &RetrySchedule,
    number: u32,
    now_ms: i64,
    jitter: f64,
) -> NextStep {
    if outcome.succeeded() {
        return NextStep::Delivered;
    }
    match outcome.acted {
        Some(Acted::GiveUp) => return NextStep::Failed(FailureReason::GaveUp),
        Some(Acted::NotReady) => {
            let hint = outcome.retry_after.map_or(0, |hint| hint.wait_ms(now_ms));
            let wait_ms = hint.max(NOT_READY_WAIT_MS);
            return NextStep::RetryAt(now_ms.saturating_add_unsigned(wait_ms));
        }
        Some(Acted::Done) | None => {}
    }
    if outcome.status == Some(410) {
        return NextStep::Failed(FailureReason::Gone);
    }
    match retry.wait_ms(number, outcome.retry_after, now_ms, jitter) {
        Some(wait_ms) => NextStep::RetryAt(now_ms.saturating_add_unsigned(wait_ms)),
        None => NextStep::Failed(FailureReason::Exhausted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_answer() {
        let retry = RetrySchedule::standard();
        let decide = |status, number| {
            decide_next(
                Outcome { status, retry_after: None, acted: None },
                &retry,
                number,
                1_000,
                0.0,
            )
        };
        for status in [200, 201, 204, 299] {
            assert_eq!(decide(Some(status), 1), NextStep::Delivered);
        }
        for status in [None, Some(199), Some(301), Some(400), Some(429), Some(500)] {
            assert_eq!(decide(status, 1), NextStep::RetryAt(6_000));
            assert_eq!(decide(status, 2), NextStep::RetryAt(31_000));
            assert_eq!(decide(status, 12), NextStep::Failed(FailureReason::Exhausted));
        }
        assert_eq!(decide(Some(410), 1), NextStep::Failed(FailureReason::Gone));
    }

    #[test]
    fn actions_say_it_themselves() {
        let decide = |acted, number| {
            let outcome = Outcome { status: None, retry_after: None, acted: Some(acted) };
            decide_next(outcome, &RetrySchedule::standard(), number, 1_000, 0.0)
        };
        assert_eq!(decide(Acted::Done, 1), NextStep::Delivered);
        assert_eq!(decide(Acted::GiveUp, 1), NextStep::Failed(FailureReason::GaveUp));
        for number in [1, 100] {
            assert_eq!(decide(Acted::NotReady, number), NextStep::RetryAt(1_250));
        }
        let hint = Some(RetryAfter::Seconds(60));
        let outcome = Outcome { status: None, retry_after: hint, acted: Some(Acted::NotReady) };
        let next = decide_next(outcome, &RetrySchedule::standard(), 1, 1_000, 0.0);
        assert_eq!(next, NextStep::RetryAt(61_000));
    }
}
