//! Commits whose outcome nobody was told: if they took place after all, their leases are in the name
//! of this node, which does not know of them. They are ended, so that the deliveries wait and go out
//! at once instead of when the lease runs out.
//!
//! Invariants: only tokens of calls that were answered as unavailable are ended, and those are in
//! nobody's hands. The old session may still be about to commit, so it is done again for
//! [`DOUBT_MAX`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::statement::Drawn;
use crate::events::columns::endpoint_from_column;
use crate::shared::Shared;

const OPERATION: &str = "end leases in doubt";
const DOUBT_MAX: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(1);
/// More leases in doubt than this are left to run out.
const LEASES_MAX: usize = 50_000;

/// A lease that may have been given.
struct Doubt {
    seq: i64,
    token: i64,
    since: Instant,
}

/// The leases that may have been given.
#[derive(Default)]
pub(crate) struct Doubts {
    all: Mutex<Vec<Doubt>>,
    more: Notify,
}

impl Doubts {
    /// Nobody knows whether these were stored.
    pub(crate) fn add(&self, batch: &[Drawn<'_>]) {
        let since = Instant::now();
        let mut all = self.all.lock();
        let leased = batch.iter().filter(|drawn| drawn.accept.planned.iter().any(|one| one.leased));
        let room = LEASES_MAX.saturating_sub(all.len());
        all.extend(leased.take(room).map(|drawn| Doubt {
            seq: drawn.seq(),
            token: drawn.lease.0.cast_signed(),
            since,
        }));
        drop(all);
        self.more.notify_one();
    }

    /// The places and tokens that are still in doubt.
    fn now(&self) -> (Vec<i64>, Vec<i64>) {
        self.all.lock().iter().map(|doubt| (doubt.seq, doubt.token)).unzip()
    }

    /// What was asked about for long enough is no longer in doubt.
    fn settle(&self, asked: Instant) {
        self.all.lock().retain(|doubt| doubt.since + DOUBT_MAX > asked);
    }
}

/// Ends leases in doubt, for ever.
pub(super) async fn work(shared: Arc<Shared>) {
    let doubts = &shared.accepting.doubts;
    loop {
        let (seqs, tokens) = doubts.now();
        if seqs.is_empty() {
            doubts.more.notified().await;
            continue;
        }
        let asked = Instant::now();
        match end(&shared, &seqs, &tokens).await {
            Ok(()) => doubts.settle(asked),
            Err(error) => tracing::debug!(%error, "leases in doubt could not be ended yet"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn end(shared: &Shared, seqs: &[i64], tokens: &[i64]) -> becket_store::Result<()> {
    let conn = shared.write(OPERATION).await?;
    // What waits already is told as well: the answer of an earlier round may have been lost.
    let sql = "WITH ended AS (
            UPDATE delivery SET lease = 0, lease_until_ms = 0
            WHERE event_seq = ANY($1::bigint[]) AND lease = ANY($2::bigint[])
            RETURNING endpoint, due_ms)
        SELECT endpoint, due_ms FROM ended
        UNION ALL SELECT endpoint, due_ms FROM delivery
            WHERE event_seq = ANY($1) AND lease = 0";
    let mut endpoints = Vec::new();
    for row in conn.commit_rows(OPERATION, sql, &[&seqs, &tokens]).await? {
        let endpoint = endpoint_from_column(row.get(0));
        shared.cluster.put_back(endpoint.0, row.get(1));
        endpoints.push(endpoint);
    }
    if !endpoints.is_empty() {
        shared.cluster.wake_own(endpoints);
    }
    Ok(())
}
