//! Small values as they stand in columns.

use becket_model::{
    ApplicationKind, Disposition, EndpointKey, EndpointState, FailureReason, NextStep, Origin,
    Trigger,
};

pub(crate) const NEXT_RETRY: i64 = 0;
pub(crate) const NEXT_DELIVERED: i64 = 1;
const NEXT_EXHAUSTED: i64 = 2;
const NEXT_GONE: i64 = 3;
const NEXT_EXPUNGED: i64 = 4;
const NEXT_GAVE_UP: i64 = 5;

pub(crate) const fn next_columns(next: NextStep) -> (i64, i64) {
    match next {
        NextStep::RetryAt(at_ms) => (NEXT_RETRY, at_ms),
        NextStep::Delivered => (NEXT_DELIVERED, 0),
        NextStep::Failed(FailureReason::Exhausted) => (NEXT_EXHAUSTED, 0),
        NextStep::Failed(FailureReason::Gone) => (NEXT_GONE, 0),
        NextStep::Failed(FailureReason::Expunged) => (NEXT_EXPUNGED, 0),
        NextStep::Failed(FailureReason::GaveUp) => (NEXT_GAVE_UP, 0),
    }
}

pub(crate) const fn next_from_columns(kind: i64, at_ms: i64) -> NextStep {
    match kind {
        NEXT_RETRY => NextStep::RetryAt(at_ms),
        NEXT_DELIVERED => NextStep::Delivered,
        NEXT_GONE => NextStep::Failed(FailureReason::Gone),
        NEXT_EXPUNGED => NextStep::Failed(FailureReason::Expunged),
        NEXT_GAVE_UP => NextStep::Failed(FailureReason::GaveUp),
        _ => NextStep::Failed(FailureReason::Exhausted),
    }
}

pub(crate) const fn disposition_column(disposition: Disposition) -> i64 {
    match disposition {
        Disposition::Accepted => 0,
        Disposition::Filtered => 1,
        Disposition::Invalid => 2,
    }
}

pub(crate) const fn disposition_from_column(column: i64) -> Disposition {
    match column {
        0 => Disposition::Accepted,
        1 => Disposition::Filtered,
        _ => Disposition::Invalid,
    }
}

pub(crate) const fn trigger_column(trigger: Trigger) -> i64 {
    match trigger {
        Trigger::Receipt => 0,
        Trigger::Replay => 1,
    }
}

pub(crate) const fn trigger_from_column(column: i64) -> Trigger {
    if column == 0 { Trigger::Receipt } else { Trigger::Replay }
}

pub(crate) const fn kind_column(kind: ApplicationKind) -> i64 {
    match kind {
        ApplicationKind::Customer => 0,
        ApplicationKind::Source => 1,
        ApplicationKind::Operational => 2,
    }
}

pub(crate) const fn kind_from_column(column: i64) -> ApplicationKind {
    match column {
        0 => ApplicationKind::Customer,
        1 => ApplicationKind::Source,
        _ => ApplicationKind::Operational,
    }
}

pub(crate) const fn origin_column(origin: Origin) -> i64 {
    match origin {
        Origin::File => 0,
        Origin::Api => 1,
    }
}

pub(crate) const fn origin_from_column(column: i64) -> Origin {
    if column == 0 { Origin::File } else { Origin::Api }
}

pub(crate) const fn state_column(state: EndpointState) -> i64 {
    match state {
        EndpointState::Enabled => 0,
        EndpointState::Paused => 1,
        EndpointState::Disabled => 2,
        EndpointState::Removed => 3,
    }
}

pub(crate) const fn state_from_column(column: i64) -> EndpointState {
    match column {
        0 => EndpointState::Enabled,
        1 => EndpointState::Paused,
        2 => EndpointState::Disabled,
        _ => EndpointState::Removed,
    }
}

/// The endpoints that an event was planned for, four bytes each.
pub(crate) fn planned_column(endpoints: impl Iterator<Item = EndpointKey>, out: &mut Vec<u8>) {
    out.clear();
    endpoints.for_each(|endpoint| out.extend_from_slice(&endpoint.0.to_le_bytes()));
}

pub(crate) fn planned_from_column(column: &[u8]) -> impl Iterator<Item = EndpointKey> + '_ {
    column
        .chunks_exact(4)
        .map(|bytes| EndpointKey(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
}
