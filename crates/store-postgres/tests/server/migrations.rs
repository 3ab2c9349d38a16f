//! The layout comes into being, once, whoever starts and whatever is killed.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Schema, server};
use becket_store::{Owner, Store as _, StoreError};
use becket_store_postgres::PostgresStore;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_make_one_schema() {
    let schema = Schema::new();
    let (one, two, three) = tokio::join!(schema.open(), schema.open(), schema.open());
    one.setting_put(Owner::MAIN, "a", b"1".to_vec()).await.unwrap();
    assert_eq!(two.setting_get(Owner::MAIN, "a").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(three.config_list(Owner::MAIN).await.unwrap(), Default::default());
    assert_eq!(schema.query("SELECT count(*) FROM migration"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_killed_in_the_middle_is_done_anew() {
    let schema = Schema::new();
    schema.query(&format!("CREATE SCHEMA {}", schema.name));
    // Somebody makes the last table and does not say whether it stays: the migration waits for that.
    let mut holder = Command::new("psql")
        .args(["-X", "-q", "-d", &server()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("psql can be run");
    let mut input = holder.stdin.take().expect("it was piped");
    writeln!(input, "BEGIN; CREATE TABLE {}.shard (number smallint);", schema.name).unwrap();
    let held = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' \
         AND query LIKE '%{}.shard%'",
        schema.name
    );
    while schema.query(&held) != ["1"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut options = schema.options();
    options.name = schema.name.clone();
    let opening = tokio::spawn(PostgresStore::open(options));
    let mut tries = 0;
    let pid = loop {
        let found = schema.query(&format!(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
             AND application_name = 'becket {}'",
            schema.name
        ));
        if let Some(pid) = found.first() {
            break pid.clone();
        }
        tries += 1;
        assert!(tries < 100, "the migration never came to the last table");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    schema.query(&format!("SELECT pg_terminate_backend({pid})"));
    let failed = opening.await.unwrap().map(drop).unwrap_err();
    assert!(matches!(failed, StoreError::Unavailable { .. }), "{failed}");
    drop(input);
    holder.wait().unwrap();
    let tables = "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = \
                  current_schema()::regnamespace";
    assert_eq!(schema.query(tables), ["0"]);
    let store = schema.open().await;
    assert_eq!(store.owner_list().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_does_not_fit_is_refused_with_advice() {
    let schema = Schema::new();
    drop(schema.open().await);
    let refusal = async || {
        let refused = PostgresStore::open(schema.options()).await.map(drop);
        match refused {
            Err(error @ StoreError::Unusable { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    // Newer, and of no use to this program.
    schema.query("INSERT INTO migration (number, checksum, reads_from) VALUES (900, 'x', 900)");
    assert!(refusal().await.contains("start a newer version of Becket"));
    // Newer, but made so that this program goes on.
    schema.query("UPDATE migration SET reads_from = 1 WHERE number = 900");
    let store = schema.open().await;
    store.setting_put(Owner::MAIN, "a", b"1".to_vec()).await.unwrap();
    drop(store);
    schema.query("DELETE FROM migration WHERE number = 900");
    schema.query("UPDATE migration SET checksum = 'x' WHERE number = 1");
    assert!(refusal().await.contains("migration 1 has been changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_does_not_migrate_unless_it_may() {
    let schema = Schema::new();
    let mut options = schema.options();
    options.migrate = false;
    let refused = PostgresStore::open(options.clone()).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("older than this program needs"), "{refused}");
    drop(schema.open().await);
    assert!(PostgresStore::open(options).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_urls_are_refused_without_being_repeated() {
    let schema = Schema::new();
    for (url, told) in [
        ("sqlite:data".to_owned(), "begins with"),
        (format!("{}?schema=A-b", server()), "lower-case"),
        ("postgres://u:secret@/x".to_owned(), "host"),
        ("postgres://u:secret@h/x?sslcert=y".to_owned(), "client certificates"),
    ] {
        let mut options = schema.options();
        options.url = url;
        let refused = PostgresStore::open(options).await.map(drop).unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
    }
}
