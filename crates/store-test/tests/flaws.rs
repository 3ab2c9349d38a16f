//! The random operations find flaws: stores that do one thing wrong each are told from the model.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use becket_model::{DeliveryKey, EndpointKey, EventId, NextStep};
use becket_store::{
    Accepted, AttemptFinish, EventAccept, EventFilter, EventRow, FinishOutcome, LeaseToken,
    LeasedDelivery, Page, Result, RetentionPolicy, Scope, Store, Swept,
};
use becket_store_test::{
    Capabilities, FixedNoise, Harness, Hooks, ModelStore, Wrapped, random_operations, run_case,
};

const NO_FLAW: u8 = 0;
const SHORT_WINDOW: u8 = 1;
const LEAKS_SCOPE: u8 = 2;
const LOSES_RETRY: u8 = 3;
const LONG_LEASE: u8 = 4;
const EXTRA_ON_PAGE: u8 = 5;
const FORGETS_DUE_AT_CRASH: u8 = 6;
const SWEEPS_FAILED_EARLY: u8 = 7;
const RELEASES_EARLY: u8 = 8;
const FLAWS: u8 = 9;

/// The model store with one flaw.
struct Flawed<const FLAW: u8>(Arc<ModelStore>);

const CAPABILITIES: Capabilities = Capabilities {
    durable: true,
    keeps_leases: false,
    keeps_released_due: false,
    backup: false,
    sweep_lag_ms: 0,
    cap_lag: 0,
    quarantine_rows: 100,
};

impl<const FLAW: u8> Harness for Flawed<FLAW> {
    fn capabilities() -> Capabilities {
        CAPABILITIES
    }

    async fn fresh() -> Self {
        let store = ModelStore::new(Arc::new(FixedNoise::new(3)));
        Self(Arc::new(store.with_quarantine_rows(CAPABILITIES.quarantine_rows)))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Wrapped(Self(Arc::clone(&self.0))))
    }

    async fn reopen(&mut self) {
        let keeps_leases = FLAW == FORGETS_DUE_AT_CRASH;
        self.0 = Arc::new(self.0.reopened(Capabilities { keeps_leases, ..CAPABILITIES }));
    }

    fn backup_folder(&self) -> PathBuf {
        PathBuf::from("never written")
    }

    async fn open_backup(&self, folder: &Path) -> Arc<dyn Store> {
        panic!("there are no backups, so there is none in {}", folder.display());
    }
}

#[async_trait]
impl<const FLAW: u8> Hooks for Flawed<FLAW> {
    fn inner(&self) -> &dyn Store {
        &*self.0
    }

    async fn event_accept(&self, scope: Scope, mut accept: EventAccept) -> Result<Accepted> {
        if let Some((_, _, window_ms)) = &mut accept.dedupe {
            *window_ms /= if FLAW == SHORT_WINDOW { 100 } else { 1 };
        }
        self.0.event_accept(scope, accept).await
    }

    async fn event_get(&self, mut scope: Scope, event: EventId) -> Result<Option<EventRow>> {
        if FLAW == LEAKS_SCOPE {
            scope.application = None;
        }
        self.0.event_get(scope, event).await
    }

    async fn event_list(
        &self,
        scope: Scope,
        filter: EventFilter,
        mut page: Page,
    ) -> Result<Vec<EventRow>> {
        page.limit += usize::from(FLAW == EXTRA_ON_PAGE && page.limit == 7);
        self.0.event_list(scope, filter, page).await
    }

    async fn delivery_lease(
        &self,
        endpoint: EndpointKey,
        now_ms: i64,
        lease_ms: u64,
        limit: usize,
    ) -> Result<Vec<LeasedDelivery>> {
        let lease_ms = if FLAW == LONG_LEASE { lease_ms + 200 } else { lease_ms };
        self.0.delivery_lease(endpoint, now_ms, lease_ms, limit).await
    }

    async fn delivery_release(
        &self,
        deliveries: Vec<(DeliveryKey, LeaseToken)>,
        due_ms: i64,
    ) -> Result<()> {
        let due_ms = due_ms - i64::from(FLAW == RELEASES_EARLY);
        self.0.delivery_release(deliveries, due_ms).await
    }

    async fn attempt_finish(&self, mut finish: AttemptFinish) -> Result<FinishOutcome> {
        if FLAW == LOSES_RETRY && finish.attempt.number > 2 {
            finish.next = NextStep::Delivered;
        }
        self.0.attempt_finish(finish).await
    }

    async fn retention_sweep(&self, mut policy: RetentionPolicy, now_ms: i64) -> Result<Swept> {
        if FLAW == SWEEPS_FAILED_EARLY {
            policy.failed_ms = policy.delivered_ms;
        }
        self.0.retention_sweep(policy, now_ms).await
    }
}

/// The message with which one of the seeds failed, if any did.
fn complaint<const FLAW: u8>() -> Option<String> {
    (1..=20).find_map(|seed| {
        let run = || run_case(random_operations::<Flawed<FLAW>>(seed, 400));
        let panic = catch_unwind(AssertUnwindSafe(run)).err()?;
        Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
    })
}

#[test]
fn every_flaw_is_found_and_told_briefly() {
    assert_eq!(complaint::<NO_FLAW>(), None);
    let complaints: [Option<String>; FLAWS as usize - 1] = [
        complaint::<SHORT_WINDOW>(),
        complaint::<LEAKS_SCOPE>(),
        complaint::<LOSES_RETRY>(),
        complaint::<LONG_LEASE>(),
        complaint::<EXTRA_ON_PAGE>(),
        complaint::<FORGETS_DUE_AT_CRASH>(),
        complaint::<SWEEPS_FAILED_EARLY>(),
        complaint::<RELEASES_EARLY>(),
    ];
    for (complaint, flaw) in complaints.into_iter().zip(1..) {
        let complaint = complaint.unwrap_or_else(|| panic!("flaw {flaw} was not found"));
        assert!(complaint.contains("seed "), "{complaint}");
        let lines = complaint.lines().count();
        assert!(lines < 60, "flaw {flaw} is told in {lines} lines:\n{complaint}");
    }
}
