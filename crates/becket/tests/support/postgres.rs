//! A private PostgreSQL server in a temporary folder, by `scripts/postgres.sh`. It stands alone, so
//! that tests of other crates can use it too.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[path = "ports.rs"]
#[allow(clippy::duplicate_mod, reason = "the drivers of the gateway have it, too")]
mod ports;

/// A server; it is stopped and its data removed when dropped.
pub struct Postgres {
    /// Where it listens.
    pub port: u16,
    /// What it may be told at its start, as `name=value`.
    pub settings: Vec<String>,
    folder: tempfile::TempDir,
    running: Option<Child>,
}

impl Postgres {
    /// Starts a server with these settings, `name=value`.
    pub fn start(settings: &[&str]) -> Self {
        let mut server = Self {
            port: ports::free_port(),
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            running: None,
        };
        server.resume();
        server
    }

    /// Its URL, for the user and the database `postgres`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The folder with its data, `pg_hba.conf` included.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("server/data")
    }

    /// Stops it at once, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // Its standard input ends, which is what it waits for.
            drop(child.stdin.take());
            child.wait().expect("a child can be waited for");
        }
    }

    /// Starts it again on the same data and port, and waits until it answers.
    pub fn resume(&mut self) {
        self.stop();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let log = self.folder.path().join("server.log");
        let output = File::create(&log).expect("the folder can be written");
        // The server runs as somebody else, who has to reach its folder.
        open_to_all(self.folder.path());
        let child = Command::new(root.join("scripts/postgres.sh"))
            .arg("run")
            .arg(self.folder.path().join("server"))
            .arg(self.port.to_string())
            .args(&self.settings)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a descriptor can be copied"))
            .stderr(output)
            .spawn()
            .expect("scripts/postgres.sh can be run");
        self.running = Some(child);
        let started = Instant::now();
        while self.psql("SELECT 1").is_err() {
            let told = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(60), "PostgreSQL: {told}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs statements; answers the rows with `|` between columns and `NULL` for nothing.
    pub fn psql(&self, sql: &str) -> Result<Vec<String>, String> {
        let output = Command::new("psql")
            .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-P", "null=NULL", "-d"])
            .arg(self.url())
            .args(["-c", sql])
            .env("PGCONNECT_TIMEOUT", "5")
            .output()
            .expect("psql can be run; `make setup` installs it");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Like [`Self::psql`], for statements that must work.
    pub fn query(&self, sql: &str) -> Vec<String> {
        self.psql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder, mode).expect("the folder is ours");
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}
