//! The one way an attempt leaves: a trait, so that the simulation can script who answers.

use async_trait::async_trait;
use becket_egress::{AttemptOutcome, Egress, OutboundRequest};

/// Sends requests. One per shard, used on its thread only.
#[async_trait]
pub trait Door: Send + Sync + 'static {
    /// Sends one request and waits for what comes of it, at most for its timeout. Never fails:
    /// whatever happened is in the outcome.
    async fn send(&self, request: OutboundRequest) -> AttemptOutcome;

    /// Closes the unused connections of an endpoint that was paused, disabled or removed.
    fn close_endpoint(&self, pool_key: u64);
}

#[async_trait]
impl Door for Egress {
    async fn send(&self, request: OutboundRequest) -> AttemptOutcome {
        Egress::send(self, request).await
    }

    fn close_endpoint(&self, pool_key: u64) {
        Egress::close_endpoint(self, pool_key);
    }
}
