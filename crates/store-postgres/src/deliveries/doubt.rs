//! Leases that may have been given although nobody was told: the answer to a claim was lost.
//!
//! Nobody holds their tokens, so they are ended, and the deliveries go out at once instead of when the
//! leases run out. The old session may still be about to commit, so it is done again for a while
//! ([`DOUBT_MAX`]).

use std::time::{Duration, Instant};

use becket_model::EndpointKey;
use becket_store::{LeaseToken, Result};

use super::claim::Wanted;
use crate::disk::hasty;
use crate::events::columns::endpoint_from_column;
use crate::session::Session;
use crate::shared::{LEASE_COUNTER_BITS, Shared};

const DOUBT_MAX: Duration = Duration::from_secs(30);
/// So often leases in doubt are looked for.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// More claims in doubt than this are left to run out.
const CLAIMS_MAX: usize = 256;

/// Ends the leases of node `$1` that end at `$2` and have tokens from `$3` to `$4`.
const SQL: &str = concat!(
    "
    UPDATE delivery SET lease = 0, lease_until_ms = 0
    WHERE lease <> 0 AND lease >> 40 = $1 AND lease_until_ms = ANY($2)
        AND lease BETWEEN $3 AND $4 AND ",
    hasty!(),
    "
    RETURNING endpoint, due_ms"
);

struct Doubt {
    node: i64,
    until_ms: Vec<i64>,
    first: i64,
    last: i64,
    since: Instant,
}

/// The claims whose answers were lost.
#[derive(Default)]
pub(crate) struct Doubts {
    all: Vec<Doubt>,
    asked: Option<Instant>,
}

impl Doubts {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The answer to this claim was lost; it had so many tokens.
    pub(super) fn add(&mut self, first: LeaseToken, count: u64, wanted: &[Wanted]) {
        if self.all.len() >= CLAIMS_MAX || count == 0 {
            return;
        }
        let mut until_ms: Vec<i64> = wanted.iter().map(|one| one.until_ms).collect();
        until_ms.sort_unstable();
        until_ms.dedup();
        let first = first.0.cast_signed();
        let last = first.saturating_add_unsigned(count - 1);
        let node = first >> LEASE_COUNTER_BITS;
        self.asked = None;
        self.all.push(Doubt { node, until_ms, first, last, since: Instant::now() });
    }

    /// Ends what is in doubt and wakes who waits for it, if it is time to look again.
    pub(crate) async fn end(&mut self, shared: &Shared, session: &Session) -> Result<()> {
        let asked = Instant::now();
        let too_soon = self.asked.is_some_and(|before| asked.duration_since(before) < EVERY);
        if self.all.is_empty() || too_soon {
            return Ok(());
        }
        let mut endpoints: Vec<EndpointKey> = Vec::new();
        for doubt in &self.all {
            let Doubt { node, until_ms, first, last, .. } = doubt;
            for row in
                session.rows("end leases in doubt", SQL, &[node, until_ms, first, last]).await?
            {
                let endpoint = endpoint_from_column(row.get(0));
                shared.cluster.put_back(endpoint.0, row.get(1));
                endpoints.push(endpoint);
            }
        }
        self.asked = Some(asked);
        self.all.retain(|doubt| doubt.since + DOUBT_MAX > asked);
        if !endpoints.is_empty() {
            endpoints.sort_unstable();
            endpoints.dedup();
            shared.cluster.wake_own(endpoints);
        }
        Ok(())
    }
}
