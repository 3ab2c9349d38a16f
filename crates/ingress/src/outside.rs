//! What receiving cannot know by itself: keys that a provider publishes, a visit that a handshake
//! asks for, a secret to be kept. A trait that the binary implements; this crate dials nobody.
//!
//! Invariants: called only for sources whose entry needs it; trouble is a value that says when the
//! sender should come again.

use std::sync::Arc;

use async_trait::async_trait;
use becket_model::ApplicationKey;
use becket_signature::{Captured, FetchedKeys, KeyRequest};

use crate::source::SourceRuntime;

/// Why something from outside is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutsideTrouble {
    /// The provider does not know this key: the request is refused.
    UnknownKey,
    /// Not now: the sender is asked to come again.
    NotNow {
        /// What went wrong, from a closed set; for the operator.
        code: &'static str,
        /// When to come again, in seconds.
        retry_after_s: u64,
    },
}

/// Gets what is outside.
#[async_trait]
pub trait Outside: Send + Sync + 'static {
    /// The keys that a request names, kept or fetched.
    async fn keys(
        &self,
        source: ApplicationKey,
        request: &KeyRequest,
    ) -> Result<Arc<FetchedKeys>, OutsideTrouble>;

    /// Others than `known`, which did not fit. [`OutsideTrouble::UnknownKey`] if there are none.
    async fn other_keys(
        &self,
        source: ApplicationKey,
        request: &KeyRequest,
        known: &Arc<FetchedKeys>,
    ) -> Result<Arc<FetchedKeys>, OutsideTrouble>;

    /// GETs an address by which a provider wants an agreement confirmed.
    async fn visit(&self, source: ApplicationKey, url: &str) -> Result<(), OutsideTrouble>;

    /// Keeps a secret that a handshake brought along, durably, before the handshake is answered.
    async fn capture(
        &self,
        source: &SourceRuntime,
        captured: Captured,
    ) -> Result<(), OutsideTrouble>;
}

/// A receiving side that nobody has connected to the outside: whoever needs it has to come again.
pub(crate) struct Nowhere;

const NOT_CONNECTED: OutsideTrouble =
    OutsideTrouble::NotNow { code: "not_connected", retry_after_s: 60 };

#[async_trait]
impl Outside for Nowhere {
    async fn keys(
        &self,
        _source: ApplicationKey,
        _request: &KeyRequest,
    ) -> Result<Arc<FetchedKeys>, OutsideTrouble> {
        Err(NOT_CONNECTED)
    }

    async fn other_keys(
        &self,
        _source: ApplicationKey,
        _request: &KeyRequest,
        _known: &Arc<FetchedKeys>,
    ) -> Result<Arc<FetchedKeys>, OutsideTrouble> {
        Err(NOT_CONNECTED)
    }

    async fn visit(&self, _source: ApplicationKey, _url: &str) -> Result<(), OutsideTrouble> {
        Err(NOT_CONNECTED)
    }

    async fn capture(
        &self,
        _source: &SourceRuntime,
        _captured: Captured,
    ) -> Result<(), OutsideTrouble> {
        Err(NOT_CONNECTED)
    }
}
