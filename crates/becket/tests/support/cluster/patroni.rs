//! A PostgreSQL cluster that looks after itself: three members under Patroni, with etcd to agree by.
//!
//! Patroni decides who is primary; this only starts members, kills them and looks. Synchronous mode is
//! on: only a member that had confirmed every commit can become primary.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::replicas::{open_to_all, processes_of, psql, signal};
use crate::support::http::Client;
use crate::support::{free_port, repository, wait_until};

/// How many members there are: a primary, its synchronous standby, and one more.
const MEMBERS: usize = 3;

/// How long Patroni may take to have a primary and a synchronous standby.
const SETTLE_MAX: Duration = Duration::from_secs(90);

/// A running cluster; it is killed and removed when dropped.
pub struct Patroni {
    members: Vec<Member>,
    etcd: Child,
    // Removes the data at the end.
    folder: tempfile::TempDir,
}

struct Member {
    port: u16,
    /// Where its Patroni tells how things stand.
    rest: SocketAddr,
    data: PathBuf,
    file: PathBuf,
    running: Option<Child>,
}

impl Patroni {
    /// Starts etcd and the members, and waits until one is primary and another its synchronous
    /// standby.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        open_to_all(folder.path());
        let [client, peer] = [free_port(), free_port()];
        let etcd = Command::new(repository().join("scripts/failover.sh"))
            .arg("etcd")
            .arg(folder.path().join("etcd"))
            .args([client.to_string(), peer.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("etcd.log")).expect("the folder is ours"))
            .spawn()
            .expect("scripts/failover.sh can be run");
        let members = (1..=MEMBERS).map(|number| Member::new(&folder, number, client)).collect();
        let mut patroni = Self { members, etcd, folder };
        for index in 0..MEMBERS {
            patroni.spawn(index);
        }
        patroni.wait_settled();
        patroni
    }

    /// A URL that names all members, for a schema.
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.members.iter().map(|member| format!("127.0.0.1:{}", member.port)).collect();
        format!("postgres://postgres@{}/postgres?sslmode=disable&schema=becket", hosts.join(","))
    }

    /// The member that takes writes, if there is one.
    pub fn primary(&self) -> Option<usize> {
        (0..MEMBERS).find(|index| {
            let port = self.members[*index].port;
            psql(port, "SELECT pg_is_in_recovery()").is_ok_and(|rows| rows == ["f"])
        })
    }

    /// Waits until there is a primary and Patroni knows of its synchronous standby, and every member
    /// runs; answers which one is primary. Before that, nobody could be promoted. A member that does not
    /// come back by itself is copied anew, as its operator would have it, and that is told.
    pub fn wait_settled(&self) -> usize {
        let settled = || {
            let mut primary = None;
            wait_until(SETTLE_MAX, || {
                std::thread::sleep(Duration::from_millis(200));
                primary = self.primary().filter(|index| self.members[*index].sees_all_well());
                primary.is_some()
            });
            primary
        };
        if let Some(primary) = settled() {
            return primary;
        }
        for (index, member) in self.members.iter().enumerate() {
            if psql(member.port, "SELECT 1").is_err() {
                println!("member {} did not come back by itself; it is copied anew", index + 1);
                member.copy_anew();
            }
        }
        let primary = settled();
        primary.unwrap_or_else(|| panic!("no primary with a synchronous standby:\n{}", self.logs()))
    }

    /// Waits until another member than `old` takes writes; answers how long that took.
    pub fn wait_other_primary(&self, old: usize) -> Duration {
        let started = Instant::now();
        let found = wait_until(SETTLE_MAX, || {
            std::thread::sleep(Duration::from_millis(100));
            let others = (0..MEMBERS).filter(|index| *index != old);
            others.into_iter().any(|index| {
                let port = self.members[index].port;
                psql(port, "SELECT pg_is_in_recovery()").is_ok_and(|rows| rows == ["f"])
            })
        });
        assert!(found, "nobody was promoted:\n{}", self.logs());
        started.elapsed()
    }

    /// Kills a member's Patroni and all processes of its server.
    pub fn kill(&mut self, index: usize) {
        self.members[index].kill();
    }

    /// Starts a member that was killed.
    pub fn spawn(&mut self, index: usize) {
        self.members[index].spawn();
    }

    /// Stops a member's Patroni and its server, which notice nothing.
    pub fn freeze(&self, index: usize) {
        signal("STOP", &self.members[index].processes());
    }

    /// Lets a stopped member go on: it finds out by itself that it is primary no more.
    pub fn thaw(&self, index: usize) {
        signal("CONT", &self.members[index].processes());
    }

    fn logs(&self) -> String {
        let tail = |name: &str| {
            let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("--- {name}:\n{}\n", lines[lines.len().saturating_sub(15)..].join("\n"))
        };
        let members = (1..=MEMBERS).map(|number| tail(&format!("member-{number}.log")));
        members.chain([tail("etcd.log")]).collect()
    }
}

impl Member {
    fn new(folder: &tempfile::TempDir, number: usize, etcd: u16) -> Self {
        let home = folder.path().join(format!("member-{number}"));
        std::fs::create_dir(&home).expect("the folder is ours");
        let [port, rest] = [free_port(), free_port()];
        let data = home.join("data");
        let file = home.join("patroni.yml");
        let text = CONFIGURATION
            .replace("NUMBER", &number.to_string())
            .replace("ETCD", &etcd.to_string())
            .replace("REST", &rest.to_string())
            .replace("PORT", &port.to_string())
            .replace("DATA", &data.display().to_string())
            .replace("BIN", &programs().display().to_string());
        std::fs::write(&file, text).expect("the folder is ours");
        Self { port, rest: SocketAddr::from(([127, 0, 0, 1], rest)), data, file, running: None }
    }

    /// Whether its Patroni sees a leader, a synchronous standby and all others streaming.
    fn sees_all_well(&self) -> bool {
        let mut client = Client::closing(self.rest).patient(Duration::from_secs(5));
        let Ok(answer) = client.send("GET", "/cluster", &[], b"") else { return false };
        let members = answer.json()["members"].as_array().cloned().unwrap_or_default();
        let count = |role: &str| members.iter().filter(|member| member["role"] == role).count();
        let well = |member: &&serde_json::Value| {
            ["running", "streaming"].iter().any(|state| member["state"] == *state)
        };
        count("leader") == 1
            && count("sync_standby") == 1
            && members.iter().filter(well).count() == MEMBERS
    }

    /// What `patronictl reinit` asks for.
    fn copy_anew(&self) {
        let mut client = Client::closing(self.rest).patient(Duration::from_secs(30));
        let headers = [("content-type", "application/json")];
        let answer = client.send("POST", "/reinitialize", &headers, br#"{"force": true}"#);
        let answer = answer.expect("Patroni answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn spawn(&mut self) {
        let log = self.file.parent().expect("it has a folder").with_extension("log");
        let log = File::options().create(true).append(true).open(log).expect("the folder is ours");
        let child = Command::new(repository().join("scripts/failover.sh"))
            .arg("patroni")
            .arg(&self.file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor can be copied"))
            .stderr(log)
            .spawn()
            .expect("scripts/failover.sh can be run");
        self.running = Some(child);
    }

    /// Its Patroni first, so that it cannot start the server again.
    fn processes(&self) -> Vec<String> {
        let own = self.running.iter().map(|child| child.id().to_string());
        own.chain(processes_of(&self.data)).collect()
    }

    fn kill(&mut self) {
        signal("KILL", &self.processes());
        if let Some(mut child) = self.running.take() {
            child.wait().expect("a child can be waited for");
        }
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.kill();
        }
        // It may have ended by itself, and its data is thrown away.
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

/// Debian keeps the programs of each version in a folder of its own.
fn programs() -> PathBuf {
    let folder = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let versions = folder.flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|path| path.join("initdb").exists()).max().expect("a version has its programs")
}

/// The shortest times that Patroni takes seriously; a server that answers no more is given up on, and
/// one that has gone another way is copied anew.
const CONFIGURATION: &str = "\
scope: becket
name: member-NUMBER
restapi:
  listen: 127.0.0.1:REST
  connect_address: 127.0.0.1:REST
etcd3:
  host: 127.0.0.1:ETCD
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 5
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters:
        max_connections: 200
        wal_keep_size: 1GB
  initdb:
    - encoding: UTF8
    - locale: C
    - auth: trust
postgresql:
  listen: 127.0.0.1:PORT
  connect_address: 127.0.0.1:PORT
  data_dir: DATA
  bin_dir: BIN
  pgpass: DATA.pass
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  pg_hba:
    - host all all 127.0.0.1/32 trust
    - host replication all 127.0.0.1/32 trust
    - local all all trust
  authentication:
    superuser:
      username: postgres
    replication:
      username: postgres
  parameters:
    unix_socket_directories: ''
";
