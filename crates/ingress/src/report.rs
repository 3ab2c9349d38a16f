//! What the gateway tells about requests: one report each, for the log line and the metrics.
//!
//! Invariants: no body, secret, signature or query string is in a report; outcomes and codes come
//! from closed sets, so that they may be metric labels.

use std::net::IpAddr;
use std::time::Instant;

use becket_model::EventId;
use becket_signature::Refusal;
use becket_store::Scope;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A new event, stored.
    Accepted,
    /// A repeat, answered with the first event's id.
    Duplicate,
    /// Stored and not delivered: the source does not keep its event type.
    Filtered,
    /// It broke a payload rule; whether it was stored shows in the event id.
    Invalid,
    /// It could not be verified.
    Refused,
    /// A provider's handshake, answered.
    Handshake,
    /// A provider's handshake that could not be followed now; the sender was asked to come back.
    HandshakeFailed,
    /// The keys to judge it by could not be fetched; the sender was asked to come back.
    KeyUnavailable,
    /// Too much, from an address or for a source.
    RateLimited,
    /// The body or the headers are too large, or the JSON too deep.
    TooLarge,
    /// There is no such source.
    NotFound,
    /// There is a source that cannot be used now; the sender was asked to come back.
    SourceUnusable,
    /// The source does not take this method.
    MethodNotAllowed,
    /// The source does not take requests from this address.
    AddressRefused,
    /// The store could not take it; the sender was asked to come back.
    StoreUnavailable,
    /// Too many bytes are being received; the sender was asked to come back.
    Overloaded,
    /// The sender was too slow.
    TimedOut,
    /// The sender went away before it was answered. What was being stored is stored all the same.
    Disconnected,
    /// The request is not HTTP as it should be.
    Malformed,
}

impl Outcome {
    /// Every outcome, for metrics and tests.
    pub const ALL: [Self; 19] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Filtered,
        Self::Invalid,
        Self::Refused,
        Self::Handshake,
        Self::HandshakeFailed,
        Self::KeyUnavailable,
        Self::RateLimited,
        Self::TooLarge,
        Self::NotFound,
        Self::SourceUnusable,
        Self::MethodNotAllowed,
        Self::AddressRefused,
        Self::StoreUnavailable,
        Self::Overloaded,
        Self::TimedOut,
        Self::Disconnected,
        Self::Malformed,
    ];

    /// The word used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Filtered => "filtered",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::Handshake => "handshake",
            Self::HandshakeFailed => "handshake_failed",
            Self::KeyUnavailable => "key_unavailable",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::NotFound => "not_found",
            Self::SourceUnusable => "source_unusable",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::AddressRefused => "address_refused",
            Self::StoreUnavailable => "store_unavailable",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timed_out",
            Self::Disconnected => "disconnected",
            Self::Malformed => "malformed",
        }
    }
}

/// One request, told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestReport<'a> {
    /// What became of it.
    pub outcome: Outcome,
    /// The source it was sent to, if there is one.
    pub source: Option<&'a str>,
    /// The same by its number, and whose it is.
    pub scope: Option<Scope>,
    /// The event that it made or repeated.
    pub event: Option<EventId>,
    /// The event's type.
    pub event_type: Option<&'a str>,
    /// The status it was answered with; 0 if the sender was gone.
    pub status: u16,
    /// The size of the body as far as it was read, in bytes.
    pub bytes: u64,
    /// From the end of the headers to the answer, in microseconds.
    pub duration_us: u64,
    /// The sender's address, after trusted proxies.
    pub remote: IpAddr,
    /// Why it was not accepted: a code of [`becket_signature::Refusal`], of
    /// [`becket_store::StoreError`], or of a rule.
    pub code: Option<&'static str>,
    /// What verification had against it, if it was verified. With an event, the source only
    /// observes.
    pub refusal: Option<Refusal>,
}

/// A refused request that has become an event after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseReport<'a> {
    /// Its number in quarantine.
    pub number: i64,
    /// The source it was sent to.
    pub source: &'a str,
    /// The same by its number, and whose it is.
    pub scope: Scope,
    /// The event that it made or repeated.
    pub event: EventId,
    /// Its type.
    pub event_type: Option<&'a str>,
    /// The size of its body in bytes.
    pub bytes: u64,
    /// Whether it repeated an event that had come otherwise.
    pub repeat: bool,
    /// What verification still has against it: a person has let it out all the same.
    pub refusal: Option<Refusal>,
}

/// What happened to a connection outside of any request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionEvent {
    /// Taken.
    Opened,
    /// Over.
    Closed,
    /// Not taken: there are too many in all.
    Shed,
    /// Not taken: there are too many from its address.
    AddressCrowded,
    /// The TLS handshake failed or took too long.
    TlsFailed,
    /// Its bytes were not HTTP, or it ended in the middle of a request.
    Broken,
    /// The sender was too slow with its headers or with taking the answer, or idle for too long.
    TimedOut,
}

/// Is told what happens. Called on the hot path: it has to be quick and must not block.
pub trait Observer: Send + Sync + 'static {
    /// Called exactly once for each request to a source.
    fn request(&self, report: &RequestReport<'_>);

    /// Called once for each request that is let out of quarantine.
    fn released(&self, _report: &ReleaseReport<'_>) {}

    /// Called for what happens to connections.
    fn connection(&self, _event: ConnectionEvent) {}
}

/// Collects what is to be told about a request and tells it when dropped, also if the request's
/// future is dropped because the sender went away.
pub(crate) struct Telling<'a> {
    observer: &'a dyn Observer,
    started: Instant,
    pub outcome: Outcome,
    pub source: Option<&'a str>,
    pub scope: Option<Scope>,
    pub event: Option<EventId>,
    pub event_type: Option<String>,
    pub status: u16,
    pub bytes: u64,
    pub remote: IpAddr,
    pub code: Option<&'static str>,
    pub refusal: Option<Refusal>,
}

impl<'a> Telling<'a> {
    pub fn new(observer: &'a dyn Observer, remote: IpAddr) -> Self {
        Self {
            observer,
            started: Instant::now(),
            outcome: Outcome::Disconnected,
            source: None,
            scope: None,
            event: None,
            event_type: None,
            status: 0,
            bytes: 0,
            remote,
            code: None,
            refusal: None,
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.observer.request(&RequestReport {
            outcome: self.outcome,
            source: self.source,
            scope: self.scope,
            event: self.event,
            event_type: self.event_type.as_deref(),
            status: self.status,
            bytes: self.bytes,
            duration_us,
            remote: self.remote,
            code: self.code,
            refusal: self.refusal,
        });
    }
}
