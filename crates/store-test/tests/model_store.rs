//! The model store passes the suite that it is the measure of: as a durable store, and as one
//! that declares that it keeps nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use becket_store::Store;
use becket_store_test::{
    Capabilities, FixedNoise, Harness, ModelStore, random_operations, run_case,
};

/// A model store whose [`Capabilities`] are given by number, so that each is a type of its own.
struct Model<const KIND: u8>(Arc<ModelStore>);

const fn capabilities(kind: u8) -> Capabilities {
    Capabilities {
        durable: kind != 0,
        keeps_leases: kind == 2,
        keeps_released_due: kind == 2,
        backup: false,
        sweep_lag_ms: 0,
        cap_lag: 0,
        quarantine_rows: 1_000,
    }
}

impl<const KIND: u8> Harness for Model<KIND> {
    fn capabilities() -> Capabilities {
        capabilities(KIND)
    }

    async fn fresh() -> Self {
        let store = ModelStore::new(Arc::new(FixedNoise::new(11)));
        Self(Arc::new(store.with_quarantine_rows(capabilities(KIND).quarantine_rows)))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0) as Arc<dyn Store>
    }

    async fn reopen(&mut self) {
        self.0 = Arc::new(self.0.reopened(capabilities(KIND)));
    }

    fn backup_folder(&self) -> PathBuf {
        std::env::temp_dir().join(format!("becket-store-test-{}-no-backup", std::process::id()))
    }

    async fn open_backup(&self, folder: &Path) -> Arc<dyn Store> {
        panic!("the model store makes no backups, so there is none in {}", folder.display());
    }
}

/// Keeps nothing beyond a crash.
type Volatile = Model<0>;
/// Keeps what it acknowledged; leases end with the process, as in an embedded store.
type Embedded = Model<1>;
/// Keeps everything, as a store that several nodes share.
type Shared = Model<2>;

mod volatile {
    use super::Volatile;
    becket_store_test::conformance!(Volatile);
}

mod embedded {
    use super::Embedded;
    becket_store_test::conformance!(Embedded);
}

mod shared {
    use super::Shared;
    becket_store_test::conformance!(Shared);
}

#[test]
fn long_random_operations_agree() {
    run_case(async {
        for seed in 1_000..1_040 {
            random_operations::<Embedded>(seed, 1_000).await;
        }
    });
}

/// A case that no list names would never run.
#[test]
fn the_suite_names_every_case() {
    let list = include_str!("../src/conformance.rs");
    let named: BTreeSet<&str> =
        list.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cases");
    let mut cases = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
            let name = line.split('(').next().unwrap();
            assert!(named.contains(name), "conformance! does not name {name}");
            cases += 1;
        }
    }
    assert!(cases > 60, "only {cases} cases were found");
}
