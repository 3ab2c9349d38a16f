//! What has to be done now and then: asking the store what is due, and removing what is too old or
//! whose time has come.
//!
//! Lanes know what is due from their own results; asking the store is for what was there at the
//! start, and a net under everything that may have been missed.

use std::sync::Arc;
use std::time::Duration;

use becket_store::RetentionPolicy;
use tokio::sync::Notify;
use tokio::sync::mpsc::WeakUnboundedSender;
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::Environment;
use crate::shard::Command;

const DUE_EVERY_MS: u64 = 30_000;
const DUE_AT_MOST_EVERY_MS: u64 = 1_000;
const SWEEP_EVERY_MS: u64 = 60_000;
const SWEEP_STEP_MS: u64 = 1_000;
const EXPIRE_EVERY_MS: u64 = 30_000;
const EXPIRE_STEP_MS: u64 = 50;
/// Documents that are forgotten in one step, at most.
const DOCUMENTS_MAX: usize = 256;

/// Asks the store what is due, at the given intervals and when asked to, and tells the shards.
/// Holds them weakly: this alone does not keep an engine going.
pub(crate) async fn watch_due(
    environment: Environment,
    shards: Vec<WeakUnboundedSender<Command>>,
    wanted: Arc<Notify>,
) {
    loop {
        match environment.store.delivery_due().await {
            Ok(due) => {
                let due = Arc::new(due);
                for shard in &shards {
                    let told = shard.upgrade().map(|shard| shard.send(Command::Due(due.clone())));
                    if !matches!(told, Some(Ok(()))) {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "the store did not say what is due");
                wanted.notify_one();
            }
        }
        let earliest = Instant::now() + Duration::from_millis(DUE_AT_MOST_EVERY_MS);
        tokio::select! {
            biased;
            () = wanted.notified() => sleep_until(earliest).await,
            () = sleep(Duration::from_millis(DUE_EVERY_MS)) => {}
        }
    }
}

/// Removes what is too old, one small step at a time, for ever.
pub(crate) async fn sweep(environment: Environment, policy: RetentionPolicy) {
    let mut wait_ms = SWEEP_STEP_MS;
    loop {
        sleep(Duration::from_millis(wait_ms)).await;
        let now_ms = environment.clock.now_ms();
        wait_ms = match environment.store.retention_sweep(policy, now_ms).await {
            Ok(swept) => {
                if swept.events > 0 {
                    tracing::debug!(
                        events = swept.events,
                        bytes = swept.bytes,
                        "old events removed"
                    );
                }
                if swept.more { SWEEP_STEP_MS } else { SWEEP_EVERY_MS }
            }
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "old events could not be removed");
                SWEEP_EVERY_MS
            }
        };
    }
}

/// Removes payloads and documents whose time has come, one small step at a time, for ever.
pub(crate) async fn expire(environment: Environment) {
    loop {
        let mut wait_ms = EXPIRE_EVERY_MS;
        let now_ms = environment.clock.now_ms();
        match environment.store.event_expunge_due(now_ms).await {
            Ok(0) => {}
            Ok(_) => wait_ms = EXPIRE_STEP_MS,
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "payloads could not be removed");
            }
        }
        match environment.store.document_sweep(now_ms, DOCUMENTS_MAX).await {
            Ok(forgotten) if forgotten >= DOCUMENTS_MAX as u64 => wait_ms = EXPIRE_STEP_MS,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "old documents could not be removed");
            }
        }
        sleep(Duration::from_millis(wait_ms)).await;
    }
}
