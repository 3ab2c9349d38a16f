//! Two PostgreSQL servers, a primary and its standby, and what befalls them.
//!
//! The servers are started by `scripts/postgres.sh`, the standby is copied by `scripts/failover.sh`.
//! Who is primary is decided here, by hand: there is nothing that could promote by itself.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::slow_line::{self, SlowLine};
use crate::support::{free_port, repository, wait_until};

/// How a standby follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// A commit is answered when the standby has it on disk.
    Synchronous,
    /// A commit is answered by the primary alone; the standby is so far away, and the line to it dies
    /// with the primary.
    Asynchronous(Duration),
}

/// A primary and a standby; both are killed and removed when dropped.
pub struct Replicas {
    servers: [Server; 2],
    primary: usize,
    following: Following,
    line: Option<SlowLine>,
    // Removes the data at the end.
    _folder: tempfile::TempDir,
}

struct Server {
    port: u16,
    folder: PathBuf,
    running: Option<Child>,
}

impl Replicas {
    /// Starts a primary and a standby that follows it.
    pub fn start(following: Following) -> Self {
        let guard = tempfile::tempdir().expect("a temporary folder can be made");
        open_to_all(guard.path());
        let server = |name: &str| Server {
            port: free_port(),
            folder: guard.path().join(name),
            running: None,
        };
        let servers = [server("one"), server("two")];
        let mut replicas = Self { servers, primary: 0, following, line: None, _folder: guard };
        replicas.servers[0].start();
        if following == Following::Synchronous {
            // Not on the command line, where nothing could change it. The standby gets it by the copy.
            replicas.query("ALTER SYSTEM SET synchronous_standby_names = '*'");
        }
        replicas.copy_standby();
        replicas.query("SELECT pg_reload_conf()");
        replicas.wait_following();
        replicas
    }

    /// A URL that names both servers, for a schema.
    pub fn url(&self) -> String {
        let [one, two] = [self.servers[0].port, self.servers[1].port];
        format!(
            "postgres://postgres@127.0.0.1:{one},127.0.0.1:{two}/postgres?sslmode=disable&schema=becket"
        )
    }

    /// Runs a statement on the primary, which must work; answers its rows.
    pub fn query(&self, sql: &str) -> Vec<String> {
        self.servers[self.primary].psql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Waits until the standby follows as it should.
    pub fn wait_following(&self) {
        let wanted = match self.following {
            Following::Synchronous => "sync",
            Following::Asynchronous(_) => "async",
        };
        let sql = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'";
        let follows = wait_until(Duration::from_secs(30), || self.query(sql) == [wanted]);
        assert!(follows, "the standby does not follow:\n{}", self.logs());
    }

    /// Kills every process of the primary at once.
    pub fn kill_primary(&mut self) {
        if let Some(line) = &self.line {
            line.cut();
        }
        self.servers[self.primary].kill();
    }

    /// Stops every process of the primary: its connections stay, and nothing comes back on them.
    pub fn freeze_primary(&self) {
        signal("STOP", &self.servers[self.primary].processes());
    }

    /// Makes the standby the primary. The old one must be dead, or killed before it can go on.
    pub fn promote(&mut self) {
        let old = self.primary;
        self.primary = 1 - old;
        self.query("SELECT pg_promote(true, 30)");
        let writable = wait_until(Duration::from_secs(30), || {
            self.query("SELECT pg_is_in_recovery()") == ["f"]
        });
        assert!(writable, "the standby was not promoted:\n{}", self.logs());
        self.servers[old].kill();
    }

    /// Makes the server that is not primary a standby, as a fresh copy. With a synchronous standby no
    /// commit succeeds until this is done.
    pub fn copy_standby(&mut self) {
        let port = self.servers[self.primary].port;
        let reached_by = match self.following {
            Following::Synchronous => port,
            Following::Asynchronous(delay) => {
                self.line.insert(slow_line::start(port, delay)).address.port()
            }
        };
        let standby = &mut self.servers[1 - self.primary];
        standby.kill();
        let output = Command::new(repository().join("scripts/failover.sh"))
            .arg("standby")
            .arg(&standby.folder)
            .arg(reached_by.to_string())
            .output()
            .expect("scripts/failover.sh can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        standby.start();
    }

    /// Kills the standby.
    pub fn kill_standby(&mut self) {
        self.servers[1 - self.primary].kill();
    }

    /// Starts the standby again, as it was.
    pub fn start_standby(&mut self) {
        self.servers[1 - self.primary].start();
    }

    fn logs(&self) -> String {
        self.servers.iter().map(Server::log_tail).collect()
    }
}

impl Server {
    fn start(&mut self) {
        let output = File::options()
            .create(true)
            .append(true)
            .open(self.folder.with_extension("log"))
            .expect("the folder can be written");
        // Synced as in earnest. What a standby must follow stays for it.
        let settings = ["fsync=on", "wal_keep_size=1GB", "max_connections=200"];
        let child = Command::new(repository().join("scripts/postgres.sh"))
            .arg("run")
            .arg(&self.folder)
            .arg(self.port.to_string())
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a descriptor can be copied"))
            .stderr(output)
            .spawn()
            .expect("scripts/postgres.sh can be run");
        self.running = Some(child);
        let answers = wait_until(Duration::from_secs(60), || self.psql("SELECT 1").is_ok());
        assert!(answers, "PostgreSQL does not answer:\n{}", self.log_tail());
    }

    /// Kills the server's processes; it is ended when this returns.
    fn kill(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        signal("KILL", &self.processes());
        // Its script waits for the end of its standard input.
        drop(child.stdin.take());
        child.wait().expect("a child can be waited for");
    }

    /// The process that everything else was started by, and the rest; none if it does not run.
    fn processes(&self) -> Vec<String> {
        processes_of(&self.folder.join("data"))
    }

    fn psql(&self, sql: &str) -> Result<Vec<String>, String> {
        psql(self.port, sql)
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.folder.with_extension("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("--- {}:\n{}\n", self.port, lines[lines.len().saturating_sub(15)..].join("\n"))
    }
}

/// The processes of the server with this data: its first one, and those that it started.
pub fn processes_of(data: &Path) -> Vec<String> {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let Some(first) = file.lines().next().map(|line| line.trim().to_owned()) else {
        return Vec::new();
    };
    // A file that a killed server left behind may name a process that has nothing to do with it.
    let name = std::fs::read_to_string(format!("/proc/{first}/comm")).unwrap_or_default();
    if !name.starts_with("postgres") {
        return Vec::new();
    }
    let mut all = vec![first.clone()];
    let output = Command::new("pgrep").args(["-P", &first]).output().expect("pgrep can be run");
    all.extend(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned));
    all
}

/// Sends a signal to processes; those that have ended meanwhile do not matter.
pub fn signal(name: &str, processes: &[String]) {
    if !processes.is_empty() {
        let mut command = Command::new("kill");
        let sent = command.arg(format!("-{name}")).args(processes).stderr(Stdio::null());
        sent.status().expect("kill can be run");
    }
}

/// Runs a statement on a server of loopback; answers its rows.
pub fn psql(port: u16, sql: &str) -> Result<Vec<String>, String> {
    let output = Command::new("psql")
        .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d"])
        .arg(format!("postgres://postgres@127.0.0.1:{port}/postgres"))
        .args(["-c", sql])
        .env("PGCONNECT_TIMEOUT", "5")
        .output()
        .expect("psql can be run; `make setup` installs it");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// The servers run as somebody else, who has to reach their folders.
pub fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder, mode).expect("the folder is ours");
}

impl Drop for Replicas {
    fn drop(&mut self) {
        for server in &mut self.servers {
            server.kill();
        }
    }
}
