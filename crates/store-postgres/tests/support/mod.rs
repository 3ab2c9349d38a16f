//! One server for all tests, a schema of its own for each store under test.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use becket_model::Clock;
use becket_store_postgres::{Options, PostgresStore};
use becket_store_test::FixedNoise;

static MADE: AtomicU64 = AtomicU64::new(1);

/// Housekeeping's time; what is stored carries the time that the suite gives.
struct Standing;

impl Clock for Standing {
    fn now_ms(&self) -> i64 {
        0
    }
}

/// The URL of a server that runs for all tests, started by whoever needs it first.
pub fn server() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres.sh");
    let output = Command::new(script).arg("shared").output().expect("the script can be run");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "PostgreSQL: {told}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A schema that nobody else has; it is dropped with this.
pub struct Schema {
    server: String,
    /// Its name.
    pub name: String,
}

impl Schema {
    /// A fresh name, on the shared server.
    pub fn new() -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let schema = Self { server: server(), name };
        schema.query(&format!("DROP SCHEMA IF EXISTS {} CASCADE", schema.name));
        schema
    }

    /// The URL of a store in it.
    pub fn url(&self) -> String {
        format!("{}?schema={}", self.server, self.name)
    }

    /// Options for a store in it; a fresh seed each time.
    pub fn options(&self) -> Options {
        let seed = MADE.fetch_add(1, Ordering::Relaxed);
        let mut options =
            Options::new(self.url(), Arc::new(FixedNoise::new(seed)), Arc::new(Standing));
        options.pool_max = 8;
        options
    }

    /// Opens a store in it.
    pub async fn open(&self) -> PostgresStore {
        PostgresStore::open(self.options()).await.expect("the store opens")
    }

    /// Runs statements in it; answers the rows with `|` between columns.
    pub fn query(&self, sql: &str) -> Vec<String> {
        let output = Command::new("psql")
            .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", &self.server, "-c", sql])
            .env("PGOPTIONS", format!("-c search_path={} -c client_min_messages=error", self.name))
            .output()
            .expect("psql can be run; `make setup` installs it");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {told}");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        self.query(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name));
    }
}
