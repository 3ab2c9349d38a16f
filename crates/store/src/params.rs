//! Events, deliveries and attempts as they go into and come out of a store.

use std::sync::Arc;

use becket_model::{
    ApplicationKey, AttemptId, DeliveryKey, DeliveryState, Disposition, EndpointKey, EventId,
    EventLabels, EventRecord, NextStep, Trigger,
};
use bytes::Bytes;

/// The shortened hash by which repeats of an event are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DedupeKey(pub [u8; 16]);

/// What a dedupe key was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DedupeKind {
    /// The sender's id of the delivery.
    DeliveryId,
    /// The body, because the sender gives no id.
    BodyHash,
    /// What a program said when it posted the event through the API. A repeat of such an event is
    /// told and starts nothing again, whatever became of the first.
    Posted,
}

impl DedupeKind {
    /// Whether a repeat of an event whose deliveries have all failed for good replays it.
    #[must_use]
    pub const fn replays(self) -> bool {
        match self {
            Self::DeliveryId | Self::BodyHash => true,
            Self::Posted => false,
        }
    }
}

/// An event to be stored.
#[derive(Debug, Clone)]
pub struct EventAccept {
    /// The source that received it.
    pub application: ApplicationKey,
    /// When, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// Its type, if the provider names one.
    pub event_type: Option<String>,
    /// How to recognise a repeat, and within how many milliseconds; `None` stores every request.
    pub dedupe: Option<(DedupeKey, DedupeKind, u64)>,
    /// What was decided about it.
    pub disposition: Disposition,
    /// What it says about itself.
    pub labels: EventLabels,
    /// The request.
    pub record: EventRecord,
    /// Where it goes.
    pub planned: Vec<Planned>,
    /// When the deliveries that are not leased are due, in milliseconds since 1970; `None` is at
    /// once.
    pub due_ms: Option<i64>,
    /// Until when the leases of [`Planned::leased`] hold, in milliseconds since 1970.
    pub lease_until_ms: i64,
}

/// One planned delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Where it goes.
    pub endpoint: EndpointKey,
    /// Whether the caller takes it at once; otherwise it waits in the store until it is due.
    pub leased: bool,
}

/// What became of an event that was to be stored. Either way it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is new.
    Stored {
        /// Its id.
        event: EventId,
        /// Holds for all deliveries that were planned as leased, except those that are `left`.
        lease: LeaseToken,
        /// Endpoints that were planned as leased and wait all the same, due at once: another node
        /// delivers to them. Empty where there is only one.
        left: Vec<EndpointKey>,
    },
    /// It repeats an earlier one.
    Duplicate {
        /// The first event's id.
        event: EventId,
        /// The deliveries that were started again because all had failed for good.
        replayed: Vec<Replayed>,
    },
}

impl Accepted {
    /// The id to answer with.
    #[must_use]
    pub const fn event(&self) -> EventId {
        match self {
            Self::Stored { event, .. } | Self::Duplicate { event, .. } => *event,
        }
    }
}

/// Proves that a delivery is still the holder's; every lease has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub u64);

/// An event without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// The source it belongs to.
    pub application: ApplicationKey,
    /// When it arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// Its type.
    pub event_type: Option<String>,
    /// What was decided about it.
    pub disposition: Disposition,
    /// What it says about itself.
    pub labels: EventLabels,
    /// The size of the packed request in bytes.
    pub size_bytes: u64,
    /// Its deliveries, in the order they were planned; replays after them.
    pub deliveries: Vec<DeliveryRow>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its endpoint.
    pub endpoint: EndpointKey,
    /// 0 for the one planned on receipt.
    pub generation: u16,
    /// The state. A removed endpoint's pending deliveries are told as pending; the caller, who
    /// knows the endpoints, shows them as cancelled.
    pub state: DeliveryState,
    /// How many attempts have ended.
    pub attempts: u32,
    /// When the next attempt is due, if it is pending and not under way.
    pub due_ms: Option<i64>,
}

/// Which events to list. Every given field has to match.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventFilter {
    /// One of these types.
    pub event_types: Vec<String>,
    /// At least one delivery in this state.
    pub state: Option<DeliveryState>,
    /// At least one delivery to this endpoint.
    pub endpoint: Option<EndpointKey>,
    /// This disposition.
    pub disposition: Option<Disposition>,
    /// Received at or after, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Received before, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// With this dedupe key.
    pub dedupe: Option<DedupeKey>,
    /// Naming this channel.
    pub channel: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Refused by verification and accepted all the same (`true`), or not so (`false`).
    pub unverified: Option<bool>,
}

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// At most this many.
    pub limit: usize,
    /// Only events older than this one.
    pub before: Option<EventId>,
    /// Only events newer than this one, oldest first.
    pub after: Option<EventId>,
}

impl Page {
    /// The newest `limit`.
    #[must_use]
    pub const fn newest(limit: usize) -> Self {
        Self { limit, before: None, after: None }
    }
}

/// A repeat that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateRow {
    /// The first event.
    pub event: EventId,
    /// When the repeat arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
}

/// An endpoint with waiting deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointDue {
    /// The endpoint.
    pub endpoint: EndpointKey,
    /// How many wait, under no lease.
    pub waiting: u64,
    /// When the earliest is due, in milliseconds since 1970.
    pub due_ms: i64,
}

/// A delivery handed out for an attempt.
#[derive(Debug, Clone)]
pub struct LeasedDelivery {
    /// Which delivery.
    pub key: DeliveryKey,
    /// Proves the lease.
    pub lease: LeaseToken,
    /// How many attempts have ended.
    pub attempts: u32,
    /// The source that received the event.
    pub application: ApplicationKey,
    /// When the event arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// The event's type.
    pub event_type: Option<Arc<str>>,
    /// The request.
    pub record: EventRecord,
}

/// What a replay did for one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// The delivery that is now due.
    pub key: DeliveryKey,
    /// Whether it is new; otherwise it was pending already and has been made due.
    pub fresh: bool,
}

/// An attempt that has ended.
#[derive(Debug, Clone)]
pub struct AttemptFinish {
    /// The delivery it was made for.
    pub delivery: DeliveryKey,
    /// The lease under which it was made.
    pub lease: LeaseToken,
    /// What happened.
    pub attempt: AttemptWrite,
    /// What becomes of the delivery.
    pub next: NextStep,
}

/// What is kept of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptWrite {
    /// Counted from 1 within its delivery.
    pub number: u32,
    /// Why the delivery exists.
    pub trigger: Trigger,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// The HTTP status, if a whole response arrived.
    pub status: Option<u16>,
    /// The stable code of what went wrong, if no whole response arrived.
    pub error_code: Option<String>,
    /// Request, response and timings as JSON; the store does not look inside.
    pub detail: Bytes,
}

/// What became of an attempt that was to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishOutcome {
    /// It is recorded and the delivery moved.
    Recorded(AttemptId),
    /// The lease had passed to somebody else or the delivery had ended; nothing was changed.
    Stale,
}

/// A recorded attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its id.
    pub id: AttemptId,
    /// The delivery it was made for.
    pub delivery: DeliveryKey,
    /// What was recorded.
    pub attempt: AttemptWrite,
    /// What became of the delivery.
    pub next: NextStep,
}

/// A refused request to be kept for a while.
#[derive(Debug, Clone)]
pub struct QuarantineWrite {
    /// When it arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// The stable code of the refusal.
    pub code: String,
    /// The refusal in words.
    pub reason: String,
    /// The status it was answered with.
    pub status: u16,
    /// The request; its body may have been cut.
    pub record: EventRecord,
}

/// A refused request without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRow {
    /// Rising number of the row.
    pub number: i64,
    /// The source it was sent to.
    pub application: ApplicationKey,
    /// When it arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// The stable code of the refusal.
    pub code: String,
    /// The refusal in words.
    pub reason: String,
    /// The status it was answered with.
    pub status: u16,
    /// The size of the packed request in bytes.
    pub size_bytes: u64,
}

/// A refused request with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Which one, and why it was refused.
    pub row: QuarantineRow,
    /// The request; its body may have been cut (see [`EventRecord::CUT`]).
    pub record: EventRecord,
}

/// Which refused requests to list. Every given field has to match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineFilter {
    /// Refused for one of these reasons; empty is for any.
    pub codes: Vec<String>,
    /// Received at or after, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Received before, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// Only numbers below this one.
    pub before: Option<i64>,
    /// Only numbers above this one; the list then goes upwards, oldest first.
    pub after: Option<i64>,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Events without failed deliveries, in milliseconds.
    pub delivered_ms: u64,
    /// Events with a failed delivery, in milliseconds.
    pub failed_ms: u64,
    /// The largest the store may be, in bytes; `None` is no cap.
    pub cap_bytes: Option<u64>,
}

/// What a step of retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Events removed.
    pub events: u64,
    /// Bytes given back.
    pub bytes: u64,
    /// Whether another step would find more to do.
    pub more: bool,
}

/// Counts and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Events kept.
    pub events: u64,
    /// Deliveries not ended, leased ones included.
    pub pending: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Files (segments, or partitions).
    pub segments: u64,
    /// Quarantined requests.
    pub quarantined: u64,
}
