//! Letting refused requests out: what a crash between the event and the removal leaves is put right
//! at the next start, across segments, and a quarantine that was made anew is not mistaken for it.

use std::path::Path;
use std::sync::Arc;

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, ApplicationSettings, Clock, Disposition,
    EventLabels, EventRecord, PackedHeaders,
};
use becket_store::{
    Accepted, ApplicationNew, Created, EventAccept, EventFilter, Owner, Page, QuarantineFilter,
    QuarantineWrite, Scope, Store,
};
use becket_store_sqlite::{Options, SqliteStore};
use becket_store_test::FixedNoise;
use rusqlite::Connection;

const T0: i64 = 1_700_000_000_000;

struct Still;

impl Clock for Still {
    fn now_ms(&self) -> i64 {
        T0
    }
}

fn open(folder: &Path, segment_events: u64) -> SqliteStore {
    let noise = Arc::new(FixedNoise::new(1));
    let mut options = Options::new(folder.to_path_buf(), noise, Arc::new(Still));
    options.segment_events = segment_events;
    options.min_free_bytes = 0;
    SqliteStore::open(options).unwrap()
}

fn record(body: &[u8]) -> EventRecord {
    EventRecord::from_packed(PackedHeaders::with_capacity(0).finish(body)).unwrap()
}

fn event(application: ApplicationKey) -> EventAccept {
    EventAccept {
        application,
        received_at_ms: T0,
        event_type: None,
        dedupe: None,
        disposition: Disposition::Accepted,
        labels: EventLabels::default(),
        record: record(b"event"),
        planned: Vec::new(),
        due_ms: None,
        lease_until_ms: T0,
    }
}

fn refused(at_ms: i64) -> QuarantineWrite {
    QuarantineWrite {
        received_at_ms: at_ms,
        code: "stale".to_owned(),
        reason: String::new(),
        status: 401,
        record: record(b"refused"),
    }
}

async fn source(store: &SqliteStore) -> ApplicationKey {
    let new = ApplicationNew {
        kind: ApplicationKind::Source,
        id: ApplicationId::new(T0, [1; 14]),
        uid: Some("shop".to_owned()),
        settings: ApplicationSettings::default(),
        credentials: None,
    };
    match store.application_create(Owner::MAIN, new, T0).await.unwrap() {
        Created::New(made) => made.key,
        other => panic!("{other:?}"),
    }
}

async fn numbers(store: &SqliteStore) -> Vec<i64> {
    let filter = QuarantineFilter { after: Some(0), ..QuarantineFilter::default() };
    let rows = store.quarantine_list(Scope::all(Owner::MAIN), filter, 99).await.unwrap();
    rows.iter().map(|row| row.number).collect()
}

async fn events(store: &SqliteStore) -> usize {
    let scope = Scope::all(Owner::MAIN);
    store.event_list(scope, EventFilter::default(), Page::newest(99)).await.unwrap().len()
}

/// Puts a row back, as if its removal had been lost.
fn put_back(folder: &Path, number: i64, at_ms: i64, application: ApplicationKey) {
    let file = Connection::open(folder.join("quarantine.db")).unwrap();
    file.execute(
        "INSERT INTO refused VALUES(?1, 1, ?2, ?3, 'stale', '', 401, ?4)",
        rusqlite::params![number, application.0, at_ms, &refused(0).record.packed()[..]],
    )
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_removal_is_made_up_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 1_000);
    let shop = source(&store).await;
    let scope = Scope::of(Owner::MAIN, shop);
    for at in 0..3 {
        assert!(store.quarantine_put(scope, refused(T0 + at)).await.unwrap());
    }
    assert_eq!(numbers(&store).await, [1, 2, 3]);
    let accepted = store.quarantine_release(scope, 2, event(shop)).await.unwrap();
    assert!(matches!(accepted, Some(Accepted::Stored { .. })));
    store.close().await.unwrap();
    put_back(folder.path(), 2, T0 + 1, shop);
    let store = open(folder.path(), 1_000);
    assert_eq!(numbers(&store).await, [1, 3], "its event is there, so it is not");
    assert_eq!(events(&store).await, 1);
    store.close().await.unwrap();
    // A quarantine that was begun anew counts from 1 again: the same number is another request.
    put_back(folder.path(), 2, T0 + 77, shop);
    let store = open(folder.path(), 1_000);
    assert_eq!(numbers(&store).await, [1, 2, 3]);
    assert!(store.quarantine_release(scope, 2, event(shop)).await.unwrap().is_some());
    assert_eq!(events(&store).await, 2);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_removal_is_told_and_never_doubles() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 2);
    let shop = source(&store).await;
    let scope = Scope::of(Owner::MAIN, shop);
    assert!(store.quarantine_put(scope, refused(T0)).await.unwrap());
    assert_eq!(numbers(&store).await, [1]);
    let file = Connection::open(folder.path().join("quarantine.db")).unwrap();
    file.execute_batch(
        "CREATE TRIGGER stuck BEFORE DELETE ON refused BEGIN SELECT RAISE(ABORT, 'stuck'); END;",
    )
    .unwrap();
    store.quarantine_release(scope, 1, event(shop)).await.unwrap_err();
    assert_eq!((numbers(&store).await, events(&store).await), (vec![1], 1));
    // Many segments later, and asked again, it is still the same event.
    for _ in 0..9 {
        store.event_accept(scope, event(shop)).await.unwrap();
    }
    store.quarantine_release(scope, 1, event(shop)).await.unwrap_err();
    assert_eq!(events(&store).await, 10);
    file.execute_batch("DROP TRIGGER stuck;").unwrap();
    store.close().await.unwrap();
    let store = open(folder.path(), 2);
    assert_eq!((numbers(&store).await, events(&store).await), (vec![], 10));
    store.close().await.unwrap();
}
