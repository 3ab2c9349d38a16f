//! The PostgreSQL server under the nodes: a private one, by `scripts/postgres.sh`, or one that is
//! running already.
//!
//! Invariants: a private server syncs every commit; its data lie on the disk of the built programs
//! and go with it. Schemas are made by the gateways and dropped here.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{BenchError, Result, doing};
use crate::place::free_address;

/// What a private server is told beside what every server is: durable commits, and room between
/// checkpoints, so that none falls into one round and not into another.
pub const SETTINGS: [&str; 8] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
    "autovacuum_naptime=10s",
    "max_connections=200",
];
/// What it is told when its statements are to be looked at.
pub const WITH_STATEMENTS: [&str; 1] = ["shared_preload_libraries=pg_stat_statements"];

const SCRIPT: &str = "scripts/postgres.sh";
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A server that answers.
pub struct Postgres {
    url: String,
    /// Its first process, of which all others descend.
    pub pid: u32,
    private: Option<Private>,
}

struct Private {
    script: Child,
    // The folder goes after the server.
    _folder: TempDir,
}

impl Drop for Private {
    fn drop(&mut self) {
        // The script stops the server when its standard input ends.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

impl Postgres {
    /// Starts a private server below `parent`.
    pub fn start(parent: &Path, more: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("bench-postgres-")
            .tempdir_in(parent)
            .map_err(doing("making a folder for a database"))?;
        // The server runs as somebody else, who has to reach its folder.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
            .map_err(doing("opening the folder for a database"))?;
        let place = folder.path().join("server");
        let port = free_address()?.port();
        let log = folder.path().join("server.log");
        let output = File::create(&log).map_err(doing("making a server's log"))?;
        let script = Command::new(SCRIPT)
            .arg("run")
            .arg(&place)
            .arg(port.to_string())
            .args(SETTINGS.iter().chain(more))
            .stdin(Stdio::piped())
            .stdout(output.try_clone().map_err(doing("copying a descriptor"))?)
            .stderr(output)
            .spawn()
            .map_err(doing(format!("running {SCRIPT}; start this program from the repository")))?;
        let private = Private { script, _folder: folder };
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let mut server = Self { url, pid: 0, private: Some(private) };
        server.pid = server.wait(&place.join("data/postmaster.pid"), &log)?;
        Ok(server)
    }

    /// A server that is running; `pid` is its first process.
    pub fn existing(url: &str, pid: u32) -> Self {
        Self { url: url.to_owned(), pid, private: None }
    }

    fn wait(&self, pid_file: &Path, log: &PathBuf) -> Result<u32> {
        let begin = Instant::now();
        while self.ask("SELECT 1").is_err() {
            if begin.elapsed() > START_PATIENCE {
                let told = std::fs::read_to_string(log).unwrap_or_default();
                return Err(failed(format!("the server does not answer; its log: {told}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let text = std::fs::read_to_string(pid_file).map_err(doing("reading postmaster.pid"))?;
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        pid.ok_or_else(|| failed("postmaster.pid has no number".to_owned()))
    }

    /// The store URL of gateways that keep their tables in this schema.
    pub fn url(&self, schema: &str) -> String {
        let joint = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{joint}schema={schema}", self.url)
    }

    /// Runs statements; answers with the rows, `|` between columns.
    pub fn ask(&self, sql: &str) -> Result<Vec<String>> {
        let output = Command::new("psql")
            .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", &self.url, "-c", sql])
            .env("PGCONNECT_TIMEOUT", "5")
            .env("PGOPTIONS", "-c client_min_messages=warning")
            .stdin(Stdio::null())
            .output()
            .map_err(doing("running psql; `make setup` installs it"))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// Writes back what lies in memory, as it would have to be sooner or later.
    pub fn checkpoint(&self) -> Result<()> {
        self.ask("CHECKPOINT").map(drop)
    }

    /// Removes a schema with all that is in it.
    pub fn drop_schema(&self, schema: &str) -> Result<()> {
        self.ask(&format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE")).map(drop)
    }

    /// Bytes of all tables and indexes of a schema.
    pub fn bytes(&self, schema: &str) -> Result<u64> {
        let rows = self.ask(&format!(
            "SELECT coalesce(sum(pg_table_size(c.oid) + CASE WHEN c.relkind = 'r' \
             THEN pg_indexes_size(c.oid) ELSE 0 END), 0)::bigint FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = '{schema}' AND c.relkind = 'r'"
        ))?;
        let sum = rows.first().and_then(|row| row.parse().ok());
        sum.ok_or_else(|| failed("the size of a schema is no number".to_owned()))
    }

    /// Its version and the settings that decide what a commit costs, in words.
    pub fn in_words(&self) -> Result<String> {
        let version = self.ask("SHOW server_version")?.concat();
        let names = [
            "fsync",
            "synchronous_commit",
            "full_page_writes",
            "shared_buffers",
            "max_wal_size",
            "checkpoint_timeout",
        ];
        let mut words = format!("PostgreSQL {version}");
        for name in names {
            let value = self.ask(&format!("SHOW {name}"))?.concat();
            words.push_str(&format!(", {name} {value}"));
        }
        words.push_str(if self.private.is_some() { "; a private server" } else { "; as it was" });
        Ok(words)
    }
}

fn failed(detail: String) -> BenchError {
    BenchError::Process { what: "PostgreSQL", detail }
}
