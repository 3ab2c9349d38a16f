//! What was acknowledged survives a crash of the database, whatever the default of
//! `synchronous_commit` is where Becket's sessions begin.

use std::time::{Duration, Instant};

use becket_model::{
    ApplicationId, Disposition, EndpointId, EndpointSettings, EventLabels, EventRecord,
    PackedHeaders,
};
use becket_store::{
    Accepted, ConfigSnapshot, DedupeKey, DedupeKind, DocumentContent, DocumentKind, DocumentName,
    EndpointDeclaration, EventAccept, Owner, Planned, Scope, SourceDeclaration, Store as _,
    WriteIf,
};
use becket_store_postgres::PostgresStore;

use crate::postgres::Postgres;
use crate::support::Schema;

const T0: i64 = 1_750_000_000_000;
const OWNER: Owner = Owner::MAIN;
const MAIN: Scope = Scope::all(OWNER);

/// A store on a server of its own.
async fn open(server: &Postgres) -> PostgresStore {
    let mut options = Schema::new().options();
    options.url = server.url();
    PostgresStore::open(options).await.expect("the store opens")
}

/// Declares a source with an endpoint.
async fn declare(store: &PostgresStore) -> ConfigSnapshot {
    let source = SourceDeclaration {
        uid: "shop".to_owned(),
        provider: "github".to_owned(),
        id: ApplicationId::from_bytes([1; 20]),
        endpoints: vec![EndpointDeclaration {
            uid: "e".to_owned(),
            settings: EndpointSettings::for_url("http://127.0.0.1/"),
            id: EndpointId::from_bytes([1; 20]),
            secret: vec![1, 2],
        }],
    };
    store.config_declare(OWNER, vec![source], T0).await.expect("it can be declared")
}

fn event(config: &ConfigSnapshot, number: u8, leased: bool) -> EventAccept {
    let packed = PackedHeaders::with_capacity(16).finish(b"{}");
    EventAccept {
        application: config.applications[0].key,
        received_at_ms: T0,
        event_type: None,
        dedupe: Some((DedupeKey([number; 16]), DedupeKind::DeliveryId, 3_600_000)),
        disposition: Disposition::Accepted,
        labels: EventLabels::default(),
        record: EventRecord::from_packed(packed).expect("it is a record"),
        planned: vec![Planned { endpoint: config.endpoints[0].key, leased }],
        due_ms: None,
        lease_until_ms: T0 + 600_000,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_on_the_disk_whatever_the_default() {
    // What is not waited for stays in memory for seconds.
    let mut server = Postgres::start(&["synchronous_commit=off", "wal_writer_delay=10s"]);
    let store = open(&server).await;
    let config = declare(&store).await;
    store.event_accept(MAIN, event(&config, 0, false)).await.expect("it is stored");
    store.close().await.expect("it closes");
    let name = || DocumentName::of_owner(DocumentKind::Setting, "d");
    let left = |server: &mut Postgres, sql: &str| {
        // As a crash does.
        server.stop();
        server.resume();
        server.query(sql)
    };

    let store = open(&server).await;
    let repeat = store.event_accept(MAIN, event(&config, 0, false)).await.expect("it is noted");
    assert!(matches!(repeat, Accepted::Duplicate { .. }), "{repeat:?}");
    assert_eq!(left(&mut server, "SELECT count(*) FROM becket.duplicate"), ["1"], "a repeat");

    let store = open(&server).await;
    let stored = store.event_accept(MAIN, event(&config, 1, false)).await.expect("it is stored");
    assert!(matches!(stored, Accepted::Stored { .. }), "{stored:?}");
    assert_eq!(left(&mut server, "SELECT count(*) FROM becket.event"), ["2"], "an event");

    let store = open(&server).await;
    store.setting_put(OWNER, "a", b"1".to_vec()).await.expect("it is written");
    let sql = "SELECT count(*) FROM becket.setting WHERE name = 'a'";
    assert_eq!(left(&mut server, sql), ["1"], "a setting");

    let store = open(&server).await;
    let content = DocumentContent::default();
    let put = store.document_put(OWNER, name(), content, WriteIf::Always, T0).await;
    put.expect("it is written");
    let sql = "SELECT count(*) FROM becket.document WHERE name = 'd'";
    assert_eq!(left(&mut server, sql), ["1"], "a document");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_keeps_a_setting_that_relaxes_commits() {
    let server = Postgres::start(&["log_statement=all"]);
    let store = open(&server).await;
    let config = declare(&store).await;
    let endpoint = config.endpoints[0].key;
    store.event_accept(MAIN, event(&config, 0, false)).await.expect("it is stored");
    let leased = store.delivery_lease(endpoint, T0, 60_000, 10).await.expect("it is leased");
    assert_eq!(leased.len(), 1);
    store.cluster().expect("it is for several nodes").wake(&[endpoint]);
    let log = || {
        let path = server.data().join("../../server.log");
        std::fs::read_to_string(path).expect("the server writes a log")
    };
    let started = Instant::now();
    while !log().contains("pg_notify($1, $2)") {
        assert!(started.elapsed() < Duration::from_secs(30), "nobody was told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = log();
    // A pooler may hand it on with the process to whoever acknowledges next.
    assert!(!log.to_lowercase().contains("set synchronous_commit"), "it was set for a session");
    assert!(log.contains("set_config('synchronous_commit', 'off', true)"));
}
