//! What an operator is told about a server that is not set up well.

#[path = "../../becket/tests/support/postgres.rs"]
mod postgres;
mod support;

use becket_store::Store as _;
use becket_store::cluster::Advice;
use becket_store_postgres::PostgresStore;
use postgres::Postgres;
use support::Schema;

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
        "max_connections=20",
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
    let urgent = ["fsync_off", "synchronous_commit_off", "autovacuum_off", "archive_failing"];
    assert_eq!(codes(&told), [&urgent[..], &["connections_few", "slot_abandoned"]].concat());
    assert!(told.iter().take(4).all(|one| one.urgent) && told.iter().skip(4).all(|one| !one.urgent));
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
