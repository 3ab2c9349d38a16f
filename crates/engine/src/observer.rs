//! What the engine tells the rest of the program: one report per attempt, one more when a delivery
//! took a turn, one notice per change of an endpoint.
//!
//! All are called on a delivery thread and have to return at once: they may log and count, never
//! wait.

use std::sync::Arc;

use becket_egress::Timings;
use becket_model::{
    ApplicationKey, AttemptId, DeliveryKey, EndpointId, EndpointKey, FailureReason, NextStep,
    Trigger,
};
use becket_store::Owner;

/// The failed attempt with which a delivery counts as failing.
const FAILING_AT: u32 = 4;

/// Is told about attempts and endpoints.
pub trait Observer: Send + Sync + 'static {
    /// An attempt has ended. Called exactly once for each, before its result is recorded.
    fn attempt(&self, report: &AttemptReport);

    /// With an attempt that is recorded now (under this id) its delivery took a turn that people may
    /// want to know. An attempt that is repeated because its result was lost is told once.
    fn delivery_turned(&self, report: &AttemptReport, turn: DeliveryTurn, attempt: AttemptId);

    /// Something about an endpoint has changed that people may want to know.
    fn endpoint_changed(&self, notice: &EndpointNotice);
}

/// One finished attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptReport {
    /// Which delivery: its event, endpoint key and generation.
    pub delivery: DeliveryKey,
    /// The endpoint's public id.
    pub endpoint: EndpointId,
    /// The endpoint's URL, as attempts show it.
    pub url: Arc<str>,
    /// Whose it is.
    pub owner: Owner,
    /// The application or source whose event it is.
    pub application: ApplicationKey,
    /// The event's type.
    pub event_type: Option<Arc<str>>,
    /// Counted from 1 within its delivery.
    pub number: u32,
    /// Why the delivery exists.
    pub trigger: Trigger,
    /// Whether the endpoint took it.
    pub succeeded: bool,
    /// The HTTP status, if a whole response arrived.
    pub status: Option<u16>,
    /// The stable code of what went wrong, if no whole response arrived.
    pub error_code: Option<&'static str>,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// Where the time went, in microseconds.
    pub timings: Timings,
    /// From the receipt of the event to the end of this attempt, in milliseconds.
    pub latency_ms: u64,
    /// What becomes of the delivery.
    pub next: NextStep,
}

impl AttemptReport {
    /// What this attempt means for its delivery, if people may want to know.
    #[must_use]
    pub fn turn(&self) -> Option<DeliveryTurn> {
        match self.next {
            NextStep::Delivered if self.number > FAILING_AT => Some(DeliveryTurn::Recovered),
            NextStep::RetryAt(_) if self.number == FAILING_AT => Some(DeliveryTurn::Failing),
            NextStep::Failed(
                FailureReason::Exhausted | FailureReason::Gone | FailureReason::GaveUp,
            ) => Some(DeliveryTurn::Exhausted),
            _ => None,
        }
    }
}

/// What people may want to know about a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryTurn {
    /// Its fourth attempt failed; there will be more.
    Failing,
    /// Its last attempt failed: it has been given up.
    Exhausted,
    /// It succeeded after at least four failed attempts.
    Recovered,
}

/// A change of an endpoint that the engine made or noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointNotice {
    /// The endpoint's number in the store.
    pub key: EndpointKey,
    /// Its public id.
    pub endpoint: EndpointId,
    /// Whose it is.
    pub owner: Owner,
    /// The application or source it belongs to.
    pub application: ApplicationKey,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What has changed.
    pub change: EndpointEvent,
}

/// What can change about an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointEvent {
    /// It has been switched off, and the store knows it.
    Disabled {
        /// Why.
        reason: DisabledReason,
        /// Since when every attempt had failed, in milliseconds since 1970.
        failing_since_ms: Option<i64>,
    },
    /// It has been failing for this much of the time after which it is switched off.
    Failing {
        /// 50, 75 or 90.
        percent: u8,
        /// Since when, in milliseconds since 1970.
        since_ms: i64,
    },
    /// It works again.
    Recovered {
        /// Since when it had been failing, in milliseconds since 1970.
        since_ms: i64,
    },
    /// Most attempts fail: they wait in the store until a probe succeeds.
    BreakerOpened,
    /// A probe succeeded: deliveries flow again.
    BreakerClosed,
}

impl EndpointEvent {
    /// A stable word for logs and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Disabled { .. } => "disabled",
            Self::Failing { .. } => "failing",
            Self::Recovered { .. } => "recovered",
            Self::BreakerOpened => "breaker_opened",
            Self::BreakerClosed => "breaker_closed",
        }
    }
}

/// Why an endpoint has been switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// It answered 410.
    Gone,
    /// It has been failing for too long.
    FailingTooLong,
}

impl DisabledReason {
    /// The sentence kept with the endpoint.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Gone => "the endpoint answered 410 Gone",
            Self::FailingTooLong => "every attempt failed for too long",
        }
    }
}
