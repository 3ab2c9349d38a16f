//! Deliveries to endpoints that act instead of being posted to: what such an endpoint is given, what
//! a transformation is given, and the two traits that whoever does it implements.
//!
//! Invariants: neither trait fails; whatever happened is a value. Both return within the time that
//! they are given, and dropping their future breaks off what is under way.
//!
//! Absent: every kind of action. Each is a crate of its own, so that its libraries are no burden to
//! the rest.

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;

use crate::outcome::{AttemptError, AttemptOutcome};

pub mod template;

pub use template::{Fields, Path, Template, TemplateError};

/// A delivery as it is handed to an endpoint that acts.
#[derive(Debug, Clone)]
pub struct ActionRequest {
    /// The event's id, `msg_...`.
    pub event_id: String,
    /// Its type, if it has one.
    pub event_type: Option<String>,
    /// The name of the source or application; may be empty.
    pub source: String,
    /// The id of the endpoint, `ep_...`.
    pub endpoint: String,
    /// Which attempt of this delivery it is, from 1.
    pub attempt: u32,
    /// When the event arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// When this attempt began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// The method that the event came with.
    pub method: String,
    /// Path and query that the event came with; empty if it was posted through the API.
    pub path: String,
    /// The headers that an HTTP endpoint would be sent, signatures included.
    pub headers: HeaderMap,
    /// The body, transformed if the endpoint has a transformation.
    pub body: Bytes,
    /// The longest that acting may take, in milliseconds.
    pub timeout_ms: u64,
}

/// What an endpoint does that is not posted to.
#[async_trait]
pub trait Action: Send + Sync + 'static {
    /// Acts once, within the request's time. Never fails: whatever happened is in the outcome.
    /// Dropping the future breaks it off.
    async fn act(&self, request: ActionRequest) -> AttemptOutcome;
}

/// A delivery as it is handed to a transformation.
#[derive(Debug, Clone)]
pub struct TransformInput {
    /// The event's type, if it has one.
    pub event_type: Option<String>,
    /// The method of the delivery: `POST`.
    pub method: String,
    /// The endpoint's URL.
    pub url: String,
    /// The headers of the sender and of the endpoint, before the delivery is signed.
    pub headers: HeaderMap,
    /// The event's body.
    pub body: Bytes,
}

/// What a transformation made of a delivery.
#[derive(Debug, Clone, Default)]
pub struct Transformed {
    /// `POST`, `PUT` or `PATCH`; as before if absent.
    pub method: Option<http::Method>,
    /// Another URL, which is checked like the endpoint's own; as before if absent.
    pub url: Option<String>,
    /// The headers to be sent, before signing.
    pub headers: HeaderMap,
    /// The body to be sent.
    pub body: Bytes,
    /// Whether nothing is to be sent; the delivery then counts as done.
    pub cancel: bool,
    /// What the code wrote to its console, at most 16 KiB.
    pub log: String,
}

/// Why a transformation made nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformFailure {
    /// [`AttemptError::TransformFailed`] or [`AttemptError::TransformTimeout`].
    pub error: AttemptError,
    /// What happened and where, for the endpoint's owner.
    pub note: String,
    /// What the code wrote to its console before, at most 16 KiB.
    pub log: String,
}

/// Changes deliveries before they are signed and sent.
#[async_trait]
pub trait Transform: Send + Sync + 'static {
    /// Transforms one delivery, in bounded time.
    ///
    /// # Errors
    /// [`TransformFailure`] if the user's code failed, took too long or made nothing usable.
    async fn transform(&self, input: TransformInput) -> Result<Transformed, TransformFailure>;
}
