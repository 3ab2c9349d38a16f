//! The embedded store passes the suite of every store: with segments of the usual size, and with
//! segments of a few events, so that every boundary is crossed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use becket_model::Clock;
use becket_store::Store;
use becket_store_sqlite::{Options, SqliteStore};
use becket_store_test::{Capabilities, FixedNoise, Harness, conformance};

static OPENED: AtomicU64 = AtomicU64::new(1);

/// Housekeeping's time; what is stored carries the time that the suite gives.
struct Standing;

impl Clock for Standing {
    fn now_ms(&self) -> i64 {
        0
    }
}

fn open(folder: &Path, segment_events: u64) -> Arc<dyn Store> {
    let noise = Arc::new(FixedNoise::new(OPENED.fetch_add(1, Ordering::Relaxed)));
    let mut options = Options::new(folder, noise, Arc::new(Standing));
    options.segment_events = segment_events;
    options.min_free_bytes = 0;
    Arc::new(SqliteStore::open(options).expect("the store opens"))
}

/// A store whose segments hold so many events.
struct InSegmentsOf<const EVENTS: u64> {
    folder: tempfile::TempDir,
    store: Option<Arc<dyn Store>>,
    backups: AtomicU64,
}

impl<const EVENTS: u64> Harness for InSegmentsOf<EVENTS> {
    fn capabilities() -> Capabilities {
        Capabilities {
            durable: true,
            keeps_leases: false,
            keeps_released_due: true,
            backup: true,
            sweep_lag_ms: 86_400_000,
            cap_lag: EVENTS as usize,
            quarantine_rows: 10_000,
        }
    }

    async fn fresh() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Some(open(&folder.path().join("data"), EVENTS));
        Self { folder, store, backups: AtomicU64::new(0) }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().expect("the store is open"))
    }

    async fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(open(&self.folder.path().join("data"), EVENTS));
    }

    fn backup_folder(&self) -> PathBuf {
        let number = self.backups.fetch_add(1, Ordering::Relaxed);
        self.folder.path().join(format!("backup-{number}"))
    }

    async fn open_backup(&self, folder: &Path) -> Arc<dyn Store> {
        open(folder, EVENTS)
    }
}

mod usual_segments {
    use super::*;
    conformance!(InSegmentsOf<100_000>);
}

mod tiny_segments {
    use super::*;
    conformance!(InSegmentsOf<3>);
}
