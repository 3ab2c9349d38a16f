//! The vocabulary of the gateway: ids, states, policies and the pure decisions made over them.
//!
//! Invariants: nothing here does I/O, reads a clock or draws a random number; time and randomness
//! arrive as parameters, so that the same inputs always give the same answer.
//!
//! Deliberately absent: storage layouts, HTTP types, signature schemes.
//!
//! Where next: `store` for what is kept, `engine` for who acts on these decisions.

pub mod application;
pub mod attempt_detail;
pub mod breaker;
pub mod bucket;
pub mod delivery;
pub mod endpoint;
pub mod environment;
pub mod event;
pub mod id;
pub mod retry;

pub use application::{ApplicationKind, ApplicationSettings, SourceRules, Verification};
pub use attempt_detail::{
    AttemptDetail, AttemptTimings, KeptBody, OutputDetail, ResponseDetail, TransformedDetail,
};
pub use breaker::{Breaker, BreakerState};
pub use bucket::{Rate, TokenBucket};
pub use delivery::{
    Acted, DeliveryKey, DeliveryState, FailureReason, NextStep, Outcome, Trigger, decide_next,
};
pub use endpoint::{
    EndpointKind, EndpointSettings, EndpointState, Origin, Plan, PlanTarget, plan_deliveries,
};
pub use environment::{Clock, Noise};
pub use event::{
    Disposition, EventLabels, EventRecord, FILTERED_MAX, FilteredBy, PackedHeaders, RecordError,
    Released,
};
pub use id::{
    ApplicationId, ApplicationKey, AttemptId, EndpointId, EndpointKey, EventId, EventSeq, IdError,
    IntegrationId, SeqClock, SourceId, TaskId, TokenId,
};
pub use retry::{RetryAfter, RetrySchedule};
