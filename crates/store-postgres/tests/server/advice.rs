//! What an operator is told about a server that is not set up well.

use becket_store::Store as _;
use becket_store::cluster::Advice;
use becket_store_postgres::PostgresStore;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::postgres::Postgres;
use crate::support::Schema;

async fn advice(server: &Postgres, user: &str) -> Vec<Advice> {
    let mut options = Schema::new().options();
    options.url = server.url().replace("postgres@", &format!("{user}@"));
    let store = PostgresStore::open(options).await.expect("the store opens");
    let cluster = store.cluster().expect("it is for several nodes");
    let advice = cluster.advice().await.expect("the server can be looked at");
    store.close().await.expect("it closes");
    advice
}

fn codes(advice: &[Advice]) -> Vec<&'static str> {
    advice.iter().map(|one| one.code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_server_is_told() {
    let server = Postgres::start(&[
        "synchronous_commit=off",
        "autovacuum=off",
        "max_connections=15",
        "archive_mode=on",
        "archive_command=false",
        "max_prepared_transactions=2",
    ]);
    server.query("SELECT pg_create_physical_replication_slot('forgotten', true)");
    server.query("SELECT pg_switch_wal()");
    let failed = "SELECT failed_count > 0 FROM pg_stat_archiver";
    for _ in 0..200 {
        if server.query(failed) == ["t"] {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let told = advice(&server, "postgres").await;
    let urgent = ["fsync_off", "autovacuum_off", "archive_failing"];
    let others = ["synchronous_commit_off", "connections_few", "slot_abandoned"];
    assert_eq!(codes(&told), [&urgent[..], &others].concat());
    assert!(
        told.iter().take(3).all(|one| one.urgent) && told.iter().skip(3).all(|one| !one.urgent)
    );
    let slot = told.last().map(|one| one.text.as_str()).unwrap_or_default();
    assert!(slot.contains("`forgotten`") && slot.contains("MiB of WAL"), "{slot}");
    // Nobody but a superuser, and nobody who was given the right, sees what others do.
    server.query("CREATE ROLE app LOGIN; GRANT CREATE ON DATABASE postgres TO app");
    server.query("DROP SCHEMA becket CASCADE");
    let told = codes(&advice(&server, "app").await);
    assert!(told.contains(&"rights_missing") && !told.contains(&"advice_incomplete"), "{told:?}");
    server.query("GRANT pg_monitor TO app");
    let told = codes(&advice(&server, "app").await);
    assert!(!told.contains(&"rights_missing"), "{told:?}");
}

/// A pooler in front of a server; it ends with this.
struct Pooler {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    fn start(server: &Postgres, mode: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n\
             default_pool_size = 10\n",
            server.port
        );
        let settings = settings.replace("* = host", "postgres = user=postgres host");
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).expect("the folder can be written");
        let script = "PATH=$PATH:/usr/sbin; if [ \"$(id -u)\" = 0 ]; then chmod 755 \"$(dirname \"$1\")\"; \
                      exec pgbouncer -q -u nobody \"$1\"; else exec pgbouncer -q \"$1\"; fi";
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer can be run; `make setup` installs it");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "pgbouncer does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port, _folder: folder }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child can be waited for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_found() {
    let server = Postgres::start(&[]);
    for (mode, is_found) in [("session", false), ("transaction", true)] {
        let pooler = Pooler::start(&server, mode);
        let mut options = Schema::new().options();
        options.url = format!("postgres://postgres@127.0.0.1:{}/postgres", pooler.port);
        match PostgresStore::open(options).await {
            Ok(store) => {
                let cluster = store.cluster().expect("it is for several nodes");
                let told = cluster.advice().await.expect("the server can be looked at");
                let found = codes(&told).contains(&"pooler_transaction_mode");
                assert_eq!(found, is_found, "{mode}: {told:?}");
            }
            Err(error) => panic!("{mode}: {error}"),
        }
    }
}
