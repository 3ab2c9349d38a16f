//! The ways in which a request is not accepted, as values: what is reported, answered and kept.

use becket_store::StoreError;
use http::StatusCode;

use crate::body::Unread;
use crate::report::Outcome;

/// The body is larger than the source takes; its beginning is kept.
pub(crate) const TOO_LARGE: &str = "too_large";

/// Why a request is not accepted, and how that is answered.
pub(crate) struct Denial {
    pub outcome: Outcome,
    pub status: StatusCode,
    pub code: &'static str,
    pub detail: String,
    pub retry_after_s: Option<u64>,
    /// Whether the sender has not proven itself, so that it counts against its address.
    pub unproven: bool,
    /// Whether the request is kept for the operator to look at.
    pub kept: bool,
}

impl Denial {
    pub fn new(outcome: Outcome, status: StatusCode, code: &'static str, detail: &str) -> Self {
        let detail = detail.to_owned();
        Self { outcome, status, code, detail, retry_after_s: None, unproven: false, kept: false }
    }

    pub fn unproven(self) -> Self {
        Self { unproven: true, ..self }
    }

    pub fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    pub fn retry_after_s(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

/// The source does not take the method.
pub(crate) fn method() -> Denial {
    Denial::new(
        Outcome::MethodNotAllowed,
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This method is not taken here.",
    )
}

/// This node leaves receiving to others.
pub(crate) fn not_receiving() -> Denial {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let detail = "This node receives no webhooks; one with the role `ingress` does.";
    Denial::new(Outcome::NotFound, status, "not_receiving", detail).retry_after_s(5)
}

/// More than a limit allows; there is room again after the wait.
pub(crate) fn too_many(code: &'static str, wait_ms: u64) -> Denial {
    let status = StatusCode::TOO_MANY_REQUESTS;
    Denial::new(Outcome::RateLimited, status, code, "Too many requests; come back later.")
        .retry_after_s(wait_ms.div_ceil(1_000))
}

/// It cannot be taken now, and that is not the sender's fault.
pub(crate) fn unavailable(outcome: Outcome, code: &'static str, retry_after_s: u64) -> Denial {
    let detail = "The event could not be stored now; send it again later.";
    Denial::new(outcome, StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after_s(retry_after_s)
}

/// It cannot be judged or answered now, because something outside is not at hand.
pub(crate) fn not_now(outcome: Outcome, code: &'static str, retry_after_s: u64) -> Denial {
    let detail = "The request could not be checked now; send it again later.";
    Denial::new(outcome, StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after_s(retry_after_s)
}

/// There is nothing under this name.
pub(crate) fn unknown() -> Denial {
    let detail = "There is nothing at this address.";
    Denial::new(Outcome::NotFound, StatusCode::NOT_FOUND, "unknown_source", detail).unproven()
}

/// There is a source, and it cannot be used until somebody has looked at it. Not found would be taken
/// for an answer that is final.
pub(crate) fn unusable() -> Denial {
    not_now(Outcome::SourceUnusable, "source_unusable", 60)
}

/// The store could not take it.
pub(crate) fn store(error: &StoreError) -> Denial {
    unavailable(Outcome::StoreUnavailable, error.code(), error.retry_after_s())
}

/// It has more or longer headers than a record holds.
pub(crate) fn unpackable() -> Denial {
    let status = StatusCode::BAD_REQUEST;
    Denial::new(Outcome::Malformed, status, "unpackable", "The request cannot be kept as it is.")
}

/// Its body is not at hand.
pub(crate) fn unread(unread: &Unread) -> Denial {
    match unread {
        Unread::TooLarge(_) => Denial::new(
            Outcome::TooLarge,
            StatusCode::PAYLOAD_TOO_LARGE,
            TOO_LARGE,
            "The body is too large.",
        )
        .unproven()
        .kept(),
        Unread::Overloaded => unavailable(Outcome::Overloaded, "overloaded", 1),
        Unread::TimedOut => Denial::new(
            Outcome::TimedOut,
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "The body did not arrive in time.",
        ),
        Unread::Disconnected => Denial::new(
            Outcome::Disconnected,
            StatusCode::BAD_REQUEST,
            "body_incomplete",
            "The body ended too early.",
        ),
        Unread::Malformed => Denial::new(
            Outcome::Malformed,
            StatusCode::BAD_REQUEST,
            "body_framing",
            "The body is not framed as it should be.",
        ),
    }
}
