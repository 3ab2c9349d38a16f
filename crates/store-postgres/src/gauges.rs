//! Numbers about the store's own work, for metrics: counted where it happens, read without a query.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use becket_store::cluster::Gauges;

use crate::shared::Shared;

/// Upper bounds of the time that a commit took, in seconds; what is above the last counts there too.
const COMMIT_BOUNDS_S: [f64; 12] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, f64::INFINITY];

/// Counters that everything with a connection adds to.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    commits: [AtomicU64; COMMIT_BOUNDS_S.len()],
    commit_us: AtomicU64,
    committed: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    dedicated: AtomicU64,
    /// Set by whoever looks: how late the oldest lease is, and how many partitions there are.
    pub(crate) lease_overdue_ms: AtomicU64,
    pub(crate) partitions: AtomicU64,
}

impl Meters {
    /// A commit was answered.
    pub(crate) fn commit(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = COMMIT_BOUNDS_S.iter().position(|bound| seconds <= *bound);
        if let Some(count) = at.and_then(|at| self.commits.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commit_us.fetch_add(us, Ordering::Relaxed);
    }

    /// So many events or results were in commits.
    pub(crate) fn committed(&self, rows: u64) {
        self.committed.fetch_add(rows, Ordering::Relaxed);
    }

    /// A connection was lost.
    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that wait for their batch: so many more, or fewer.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    /// A connection outside the pool, while it lives.
    pub(crate) fn dedicate(&self, by: i64) {
        if by > 0 {
            self.dedicated.fetch_add(1, Ordering::Relaxed);
        } else {
            self.dedicated.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Counts a call that waits, until dropped.
pub(crate) struct Waiting<'a>(&'a AtomicU64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The numbers now.
pub(crate) fn gauges(shared: &Shared) -> Gauges {
    let meters = &shared.meters;
    let pool = shared.pool.status();
    let dedicated = meters.dedicated.load(Ordering::Relaxed);
    let open = pool.size as u64;
    let busy = open.saturating_sub(pool.available as u64);
    let commits = COMMIT_BOUNDS_S.iter().zip(&meters.commits);
    Gauges {
        connections: open + dedicated,
        connections_busy: busy + dedicated,
        connections_max: pool.max_size as u64 + dedicated,
        waiting: pool.waiting as u64 + meters.waiting.load(Ordering::Relaxed),
        commits: commits.map(|(bound, count)| (*bound, count.load(Ordering::Relaxed))).collect(),
        commit_seconds: Duration::from_micros(meters.commit_us.load(Ordering::Relaxed))
            .as_secs_f64(),
        committed: meters.committed.load(Ordering::Relaxed),
        lease_overdue_ms: meters.lease_overdue_ms.load(Ordering::Relaxed),
        partitions: meters.partitions.load(Ordering::Relaxed),
        connections_lost: meters.lost.load(Ordering::Relaxed),
    }
}
