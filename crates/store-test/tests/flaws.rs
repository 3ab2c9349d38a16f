//! The random operations find flaws: stores that do one thing wrong each are told from the model.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use becket_model::{ApplicationKey, DeliveryKey, EndpointId, EndpointKey, EventId, NextStep};
use becket_store::{
    Accepted, AttemptFinish, DeliveryCounts, Document, DocumentContent, DocumentName, Endpoint,
    EnvelopeAt, EventAccept, EventFilter, EventRow, FinishOutcome, LeaseToken, LeasedDelivery,
    Owner, Page, Result, RetentionPolicy, Scope, Slice, Store, Swept, WriteIf, Written,
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
const IGNORES_TAG: u8 = 9;
const SHOWS_FOREIGN_DOCUMENTS: u8 = 10;
const KEEPS_PAYLOADS: u8 = 11;
const DELIVERS_TOO_SOON: u8 = 12;
const IGNORES_REVISIONS: u8 = 13;
const BEGINS_LISTS_AGAIN: u8 = 14;
const RESEALS_BLINDLY: u8 = 15;
const MISTAKES_LEASES: u8 = 16;
const FLAWS: u8 = 17;

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

    async fn endpoint_list(
        &self,
        owner: Owner,
        application: ApplicationKey,
        mut slice: Slice<EndpointId>,
    ) -> Result<Vec<Endpoint>> {
        slice.after.take_if(|_| FLAW == BEGINS_LISTS_AGAIN);
        self.0.endpoint_list(owner, application, slice).await
    }

    async fn document_get(
        &self,
        owner: Owner,
        name: DocumentName,
        now_ms: i64,
    ) -> Result<Option<Document>> {
        let own = self.0.document_get(owner, name.clone(), now_ms).await?;
        if FLAW != SHOWS_FOREIGN_DOCUMENTS || own.is_some() {
            return Ok(own);
        }
        self.0.document_get(Owner::MAIN, name, now_ms).await
    }

    async fn document_put(
        &self,
        owner: Owner,
        name: DocumentName,
        content: DocumentContent,
        mut condition: WriteIf,
        now_ms: i64,
    ) -> Result<Written> {
        let there = self.0.document_get(owner, name.clone(), now_ms).await?;
        if FLAW == IGNORES_REVISIONS && there.is_some() && condition != WriteIf::Absent {
            condition = WriteIf::Always;
        }
        self.0.document_put(owner, name, content, condition, now_ms).await
    }

    async fn envelope_replace(
        &self,
        at: EnvelopeAt,
        mut old: Vec<u8>,
        new: Vec<u8>,
    ) -> Result<bool> {
        if FLAW == RESEALS_BLINDLY {
            let all = self.0.envelope_list(0, usize::MAX).await?;
            old = all.into_iter().find(|one| one.at == at).map_or(old, |one| one.bytes);
        }
        self.0.envelope_replace(at, old, new).await
    }

    async fn event_expunge(&self, scope: Scope, event: EventId, now_ms: i64) -> Result<bool> {
        if FLAW == KEEPS_PAYLOADS {
            return Ok(self.0.event_get(scope, event).await?.is_some());
        }
        self.0.event_expunge(scope, event, now_ms).await
    }

    async fn delivery_count(
        &self,
        scope: Scope,
        endpoint: EndpointKey,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<DeliveryCounts> {
        let mut counts = self.0.delivery_count(scope, endpoint, since_ms, until_ms).await?;
        if FLAW == MISTAKES_LEASES {
            counts.waiting += std::mem::take(&mut counts.leased);
        }
        Ok(counts)
    }

    async fn event_accept(&self, scope: Scope, mut accept: EventAccept) -> Result<Accepted> {
        if let Some((_, _, window_ms)) = &mut accept.dedupe {
            *window_ms /= if FLAW == SHORT_WINDOW { 100 } else { 1 };
        }
        accept.due_ms.take_if(|_| FLAW == DELIVERS_TOO_SOON);
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
        mut filter: EventFilter,
        mut page: Page,
    ) -> Result<Vec<EventRow>> {
        page.limit += usize::from(FLAW == EXTRA_ON_PAGE && page.limit == 7);
        filter.tag.take_if(|_| FLAW == IGNORES_TAG);
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
        let run = || run_case(random_operations::<Flawed<FLAW>>(seed, 700));
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
        complaint::<IGNORES_TAG>(),
        complaint::<SHOWS_FOREIGN_DOCUMENTS>(),
        complaint::<KEEPS_PAYLOADS>(),
        complaint::<DELIVERS_TOO_SOON>(),
        complaint::<IGNORES_REVISIONS>(),
        complaint::<BEGINS_LISTS_AGAIN>(),
        complaint::<RESEALS_BLINDLY>(),
        complaint::<MISTAKES_LEASES>(),
    ];
    for (complaint, flaw) in complaints.into_iter().zip(1..) {
        let complaint = complaint.unwrap_or_else(|| panic!("flaw {flaw} was not found"));
        assert!(complaint.contains("seed "), "{complaint}");
        let lines = complaint.lines().count();
        assert!(lines < 60, "flaw {flaw} is told in {lines} lines:\n{complaint}");
    }
}
