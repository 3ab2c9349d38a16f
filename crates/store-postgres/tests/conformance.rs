//! The store on PostgreSQL passes the suite of every store.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use becket_store::Store;
use becket_store_test::{Capabilities, Harness, conformance};
use support::Schema;

/// A store in a schema of its own.
struct InSchema {
    store: Option<Arc<dyn Store>>,
    schema: Schema,
}

impl Harness for InSchema {
    fn capabilities() -> Capabilities {
        Capabilities {
            durable: true,
            keeps_leases: true,
            keeps_released_due: true,
            backup: false,
            sweep_lag_ms: 86_400_000,
            cap_lag: usize::MAX,
            quarantine_rows: 10_000,
        }
    }

    async fn fresh() -> Self {
        let schema = Schema::new();
        let store: Arc<dyn Store> = Arc::new(schema.open().await);
        Self { store: Some(store), schema }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().expect("the store is open"))
    }

    async fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(Arc::new(self.schema.open().await));
    }

    fn backup_folder(&self) -> PathBuf {
        std::env::temp_dir().join(&self.schema.name)
    }

    async fn open_backup(&self, folder: &Path) -> Arc<dyn Store> {
        panic!("no backup is ever made, not at {} either", folder.display())
    }
}

conformance!(InSchema);
