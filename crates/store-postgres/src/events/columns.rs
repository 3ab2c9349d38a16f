//! Small values as they stand in columns.

use becket_model::{
    ApplicationKey, Disposition, EndpointKey, EventId, EventSeq, FailureReason, NextStep, Trigger,
};
use becket_store::{Result, StoreError};

/// The lowest `next_kind` of a delivery that was given up; see the index `attempt_failed`.
pub(crate) const NEXT_FAILED: i16 = 2;
const NEXT_RETRY: i16 = 0;
const NEXT_DELIVERED: i16 = 1;
const NEXT_GONE: i16 = 3;
const NEXT_EXPUNGED: i16 = 4;
const NEXT_GAVE_UP: i16 = 5;

/// `next_kind` and `next_at_ms` of an attempt.
pub(crate) const fn next_columns(next: NextStep) -> (i16, i64) {
    match next {
        NextStep::RetryAt(at_ms) => (NEXT_RETRY, at_ms),
        NextStep::Delivered => (NEXT_DELIVERED, 0),
        NextStep::Failed(FailureReason::Exhausted) => (NEXT_FAILED, 0),
        NextStep::Failed(FailureReason::Gone) => (NEXT_GONE, 0),
        NextStep::Failed(FailureReason::Expunged) => (NEXT_EXPUNGED, 0),
        NextStep::Failed(FailureReason::GaveUp) => (NEXT_GAVE_UP, 0),
    }
}

/// Reads `next_kind` and `next_at_ms`.
pub(crate) const fn next_from_columns(kind: i16, at_ms: i64) -> NextStep {
    match kind {
        NEXT_RETRY => NextStep::RetryAt(at_ms),
        NEXT_DELIVERED => NextStep::Delivered,
        NEXT_GONE => NextStep::Failed(FailureReason::Gone),
        NEXT_EXPUNGED => NextStep::Failed(FailureReason::Expunged),
        NEXT_GAVE_UP => NextStep::Failed(FailureReason::GaveUp),
        _ => NextStep::Failed(FailureReason::Exhausted),
    }
}

/// `disposition` of an event.
pub(crate) const fn disposition_column(disposition: Disposition) -> i16 {
    match disposition {
        Disposition::Accepted => 0,
        Disposition::Filtered => 1,
        Disposition::Invalid => 2,
    }
}

/// Reads `disposition`.
pub(crate) const fn disposition_from_column(column: i16) -> Disposition {
    match column {
        0 => Disposition::Accepted,
        1 => Disposition::Filtered,
        _ => Disposition::Invalid,
    }
}

/// `trigger` of an attempt.
pub(crate) const fn trigger_column(trigger: Trigger) -> i16 {
    match trigger {
        Trigger::Receipt => 0,
        Trigger::Replay => 1,
    }
}

/// Reads `trigger`.
pub(crate) const fn trigger_from_column(column: i16) -> Trigger {
    if column == 0 { Trigger::Receipt } else { Trigger::Replay }
}

/// A key as it stands in a column; `None` if no row can have it.
pub(crate) fn application_column(key: ApplicationKey) -> Option<i32> {
    i32::try_from(key.0).ok()
}

/// Likewise of an endpoint.
pub(crate) fn endpoint_column(key: EndpointKey) -> Option<i32> {
    i32::try_from(key.0).ok()
}

/// Reads a key.
pub(crate) const fn application_from_column(column: i32) -> ApplicationKey {
    ApplicationKey(column.unsigned_abs())
}

/// Reads a key.
pub(crate) const fn endpoint_from_column(column: i32) -> EndpointKey {
    EndpointKey(column.unsigned_abs())
}

/// Joins an event's id from `seq` and `tail`.
pub(crate) fn event_id(seq: i64, tail: &[u8]) -> Result<EventId> {
    let tail: [u8; 12] = tail.try_into().map_err(|_| StoreError::Database {
        operation: "read event",
        detail: format!("the id of event {seq} is {} bytes long instead of 12", tail.len()),
    })?;
    Ok(EventId::new(EventSeq(seq), tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_say_what_was_written() {
        for next in [
            NextStep::RetryAt(5),
            NextStep::Delivered,
            NextStep::Failed(FailureReason::Exhausted),
            NextStep::Failed(FailureReason::Gone),
            NextStep::Failed(FailureReason::Expunged),
            NextStep::Failed(FailureReason::GaveUp),
        ] {
            let (kind, at_ms) = next_columns(next);
            assert_eq!(next_from_columns(kind, at_ms), next);
            assert_eq!(kind >= NEXT_FAILED, matches!(next, NextStep::Failed(_)));
        }
        for disposition in [Disposition::Accepted, Disposition::Filtered, Disposition::Invalid] {
            assert_eq!(disposition_from_column(disposition_column(disposition)), disposition);
        }
        for trigger in [Trigger::Receipt, Trigger::Replay] {
            assert_eq!(trigger_from_column(trigger_column(trigger)), trigger);
        }
        assert_eq!(endpoint_column(EndpointKey(u32::MAX)), None);
    }
}
