//! Files of older layouts are brought up to date without losing anything, and files of layouts to
//! come are refused.

use std::path::Path;
use std::sync::Arc;

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, Clock, DeliveryState, EndpointId, EndpointKey,
    EndpointSettings, EventId, EventRecord, EventSeq, PackedHeaders,
};
use becket_store::{
    DocumentContent, DocumentKind, DocumentName, EventFilter, Name, Owner, Page, QuarantineFilter,
    Scope, Store, StoreError, WriteIf, Written,
};
use becket_store_sqlite::{Options, SqliteStore};
use becket_store_test::FixedNoise;
use rusqlite::{Connection, params};

/// Refused requests of layout 1.
const QUARANTINE_1: &str = "
CREATE TABLE refused(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner INTEGER NOT NULL,
    application INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    status INTEGER NOT NULL,
    record BLOB NOT NULL
);
";

/// A segment of layout 1.
const SEGMENT_1: &str = "
CREATE TABLE event(
    seq INTEGER PRIMARY KEY,
    tail BLOB NOT NULL,
    application INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    disposition INTEGER NOT NULL,
    dedupe BLOB,
    dedupe_until_ms INTEGER,
    size_bytes INTEGER NOT NULL,
    event_type TEXT,
    planned BLOB NOT NULL
);
CREATE TABLE payload(seq INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE attempt(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    next_kind INTEGER NOT NULL,
    next_at_ms INTEGER NOT NULL,
    tail BLOB NOT NULL,
    trigger INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error_code TEXT,
    detail BLOB NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation, number)
) WITHOUT ROWID;
CREATE TABLE replay(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation)
) WITHOUT ROWID;
CREATE TABLE moved(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation)
) WITHOUT ROWID;
CREATE TABLE duplicate(
    event_seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    PRIMARY KEY(event_seq, number)
) WITHOUT ROWID;
CREATE TABLE pending(
    endpoint INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY(endpoint, due_ms, event_seq, generation)
) WITHOUT ROWID;
CREATE INDEX pending_event ON pending(event_seq, endpoint, generation);
CREATE TABLE failed(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation)
) WITHOUT ROWID;
CREATE TABLE progress(step INTEGER NOT NULL);
INSERT INTO progress VALUES(0);
";

/// The small state of layout 1.
const CATALOG_1: &str = "
CREATE TABLE source(
    key INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    uid TEXT NOT NULL,
    id BLOB NOT NULL,
    provider TEXT NOT NULL,
    origin INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    UNIQUE(owner, uid)
);
CREATE TABLE endpoint(
    key INTEGER PRIMARY KEY,
    application INTEGER NOT NULL REFERENCES source(key),
    uid TEXT NOT NULL,
    id BLOB NOT NULL UNIQUE,
    origin INTEGER NOT NULL,
    settings TEXT NOT NULL,
    state INTEGER NOT NULL,
    state_reason TEXT NOT NULL,
    failing_since_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    UNIQUE(application, uid)
);
CREATE TABLE endpoint_secret(
    endpoint INTEGER NOT NULL REFERENCES endpoint(key),
    number INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    expires_at_ms INTEGER,
    PRIMARY KEY(endpoint, number)
) WITHOUT ROWID;
CREATE TABLE setting(
    owner INTEGER NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY(owner, name)
) WITHOUT ROWID;
CREATE TABLE segment(
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    events INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    received_min_ms INTEGER NOT NULL,
    received_max_ms INTEGER NOT NULL,
    dedupe_until_ms INTEGER NOT NULL,
    kinds TEXT NOT NULL,
    compacted INTEGER NOT NULL DEFAULT 0,
    filter BLOB NOT NULL
);
";

const T0: i64 = 1_700_000_000_000;
const SEALED: i64 = T0 << 20;
const LEFT_OVER: i64 = (T0 + 60_000) << 20;

struct Standing;

impl Clock for Standing {
    fn now_ms(&self) -> i64 {
        T0
    }
}

fn try_open(folder: &Path) -> Result<SqliteStore, StoreError> {
    let noise = Arc::new(FixedNoise::new(7));
    let mut options = Options::new(folder, noise, Arc::new(Standing));
    options.min_free_bytes = 0;
    SqliteStore::open(options)
}

fn record(body: &[u8]) -> EventRecord {
    let mut packed = PackedHeaders::with_capacity(64);
    packed.push("x-kept", b"yes");
    EventRecord::from_packed(packed.finish(body)).expect("it is whole")
}

fn event(first: i64, number: i64) -> EventId {
    EventId::new(EventSeq(first + number), [3; 12])
}

/// Writes a segment of layout 1 with two events to endpoint 1: the first delivered, the second not.
fn write_segment(path: &Path, first: i64) {
    let file = Connection::open(path).expect("a file");
    file.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;").expect("settings");
    file.execute_batch(SEGMENT_1).expect("tables");
    for number in 1..=2 {
        let record = record(format!("body {number} of {first}").as_bytes());
        let packed = &record.packed()[..];
        let (seq, size) = (first + number, packed.len() as i64);
        file.execute(
            "INSERT INTO event VALUES(?1, ?2, 1, ?3, 0, NULL, NULL, ?4, 'push', x'01000000')",
            params![seq, event(first, number).tail(), T0 + number, size],
        )
        .expect("an event");
        file.execute("INSERT INTO payload VALUES(?1, ?2)", params![seq, packed])
            .expect("a payload");
    }
    file.execute(
        "INSERT INTO attempt VALUES(?1, 1, 0, 1, 1, 0, ?2, 0, ?3, 5, 200, NULL, x'7b7d')",
        params![first + 1, [4_u8; 6], T0 + 1],
    )
    .expect("an attempt");
    file.execute_batch("PRAGMA user_version = 1;").expect("the version");
}

/// Writes a store as the first version left it.
fn write_store(folder: &Path) {
    std::fs::create_dir_all(folder.join("segments")).expect("a folder");
    let segment = |first: i64| folder.join(format!("segments/{first:019}.db"));
    write_segment(&segment(SEALED), SEALED);
    write_segment(&segment(LEFT_OVER), LEFT_OVER);
    let sealed = Connection::open(segment(SEALED)).expect("a file");
    sealed.execute_batch("UPDATE progress SET step = 1;").expect("it is sealed");
    sealed
        .execute("INSERT INTO pending VALUES(1, ?1, ?2, 0, 0)", [T0 + 2, SEALED + 2])
        .expect("what is pending");
    let small = Connection::open(folder.join("becket.db")).expect("a file");
    small.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;").expect("settings");
    small.execute_batch(CATALOG_1).expect("tables");
    for (key, uid, provider, removed) in [(1, "shop", "github", 0), (2, "old", "stripe", 1)] {
        small
            .execute(
                "INSERT INTO source VALUES(?1, 1, ?2, ?3, ?4, 0, ?5, ?6)",
                params![key, uid, [10 - key as u8; 16], provider, T0, removed],
            )
            .expect("a source");
    }
    let settings = serde_json::to_string(&EndpointSettings::for_url("http://127.0.0.1/"));
    let settings = settings.expect("settings");
    for (key, uid, state) in [(1, "app", 0), (2, "gone", 3)] {
        small
            .execute(
                "INSERT INTO endpoint VALUES(?1, 1, ?2, ?3, 0, ?4, ?5, '', NULL, ?6, ?6)",
                params![key, uid, [key as u8; 20], settings, state, T0],
            )
            .expect("an endpoint");
        small
            .execute("INSERT INTO endpoint_secret VALUES(?1, 0, x'0102', NULL)", [key])
            .expect("a secret");
    }
    small.execute("INSERT INTO setting VALUES(1, 'token', x'05')", []).expect("a setting");
    small
        .execute(
            "INSERT INTO segment VALUES(?1, ?2, 2, 8192, ?3, ?4, 0, 'null', 0, x'01')",
            [SEALED, SEALED + 2, T0 + 1, T0 + 2],
        )
        .expect("the list");
    small.execute_batch("PRAGMA user_version = 1;").expect("the version");
    let refused = Connection::open(folder.join("quarantine.db")).expect("a file");
    refused.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;").expect("settings");
    refused.execute_batch(QUARANTINE_1).expect("tables");
    let mut packed = PackedHeaders::with_capacity(64);
    packed.push(EventRecord::METHOD, b"POST");
    refused
        .execute(
            "INSERT INTO refused VALUES(7, 1, 1, ?1, 'stale', 'too old', 401, ?2)",
            params![T0, &packed.finish(b"refused")[..]],
        )
        .expect("a refused request");
    refused.execute_batch("PRAGMA user_version = 1;").expect("the version");
}

fn version(path: &Path) -> i64 {
    let file = Connection::open(path).expect("a file");
    file.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version")
}

/// Everything that the first version wrote is there, under the same keys.
async fn check_configuration(store: &SqliteStore) {
    let config = store.config_list(Owner::MAIN).await.unwrap();
    let sources: Vec<_> = config.applications.iter().map(|one| (one.key.0, one.name())).collect();
    assert_eq!(sources, [(1, "shop".to_owned()), (2, "old".to_owned())]);
    let shop = &config.applications[0];
    let mut id = [0; 20];
    id[..16].fill(9);
    assert_eq!((shop.id, shop.kind), (ApplicationId::from_bytes(id), ApplicationKind::Source));
    assert_eq!((shop.settings.provider.as_str(), shop.updated_at_ms), ("github", T0));
    assert!(config.applications[1].removed && !shop.removed);
    let named = Name::Id(shop.id);
    let found = store.application_get(Owner::MAIN, ApplicationKind::Source, named).await.unwrap();
    assert_eq!(found.as_ref(), Some(shop));
    let named = Name::Id(EndpointId::from_bytes([1; 20]));
    let endpoint = store.endpoint_get(Owner::MAIN, shop.key, named).await.unwrap();
    let endpoint = endpoint.expect("the endpoint is there");
    assert_eq!((endpoint.key, endpoint.uid.as_deref()), (EndpointKey(1), Some("app")));
    assert_eq!(endpoint.secrets[0].envelope, [1, 2]);
    assert_eq!(config.endpoints.len(), 2);
    let setting = store.setting_get(Owner::MAIN, "token").await.unwrap();
    assert_eq!(setting, Some(vec![5]));
}

/// The events that the first version wrote are there, and stand as they stood.
async fn check_events(store: &SqliteStore) {
    let scope = Scope::all(Owner::MAIN);
    let list = store.event_list(scope, EventFilter::default(), Page::newest(9)).await.unwrap();
    let ids: Vec<EventId> = list.iter().map(|row| row.id).collect();
    let expected = [event(LEFT_OVER, 2), event(LEFT_OVER, 1), event(SEALED, 2), event(SEALED, 1)];
    assert_eq!(ids, expected);
    assert!(list.iter().all(|row| row.labels.is_empty() && row.deliveries.len() == 1));
    let states: Vec<DeliveryState> = list.iter().map(|row| row.deliveries[0].state).collect();
    let (pending, delivered) = (DeliveryState::Pending, DeliveryState::Delivered);
    assert_eq!(states, [pending, delivered, pending, delivered]);
    let body = store.event_record(scope, event(SEALED, 2)).await.unwrap().unwrap().body();
    assert_eq!(&body[..], format!("body 2 of {SEALED}").as_bytes());
    assert_eq!(store.attempt_list(scope, event(SEALED, 1)).await.unwrap().len(), 1);
}

/// What the first version refused is there.
async fn check_refused(store: &SqliteStore) {
    let scope = Scope::all(Owner::MAIN);
    let list = store.quarantine_list(scope, QuarantineFilter::default(), 9).await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].number, list[0].code.as_str()), (7, "stale"));
    let found = store.quarantine_get(scope, 7).await.unwrap().unwrap();
    assert_eq!(&found.record.body()[..], b"refused");
}

/// What the second version brought works in old files.
async fn use_what_is_new(store: &SqliteStore) {
    let scope = Scope::all(Owner::MAIN);
    let name = DocumentName::of(DocumentKind::Transformation, ApplicationKey(1), "ep");
    let content = DocumentContent { body: "{}".to_owned(), ..DocumentContent::default() };
    let written = store.document_put(Owner::MAIN, name, content, WriteIf::Absent, T0).await;
    assert!(matches!(written.unwrap(), Written::Created(_)));
    for first in [SEALED, LEFT_OVER] {
        assert!(store.event_expunge(scope, event(first, 1), T0).await.unwrap());
        let record = store.event_record(scope, event(first, 1)).await.unwrap().unwrap();
        assert_eq!(record, EventRecord::expunged(T0));
    }
    let counts = store.delivery_count(scope, EndpointKey(1), T0, T0 + 9).await.unwrap();
    assert_eq!((counts.delivered, counts.waiting), (2, 2));
    let leased = store.delivery_lease(EndpointKey(1), T0 + 9, 1_000, 9).await.unwrap();
    assert_eq!(leased.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_the_first_layout_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    write_store(folder.path());
    for round in 0..2 {
        let store = try_open(folder.path()).unwrap();
        check_configuration(&store).await;
        check_events(&store).await;
        check_refused(&store).await;
        if round == 1 {
            use_what_is_new(&store).await;
        }
        store.close().await.unwrap();
    }
    assert_eq!(version(&folder.path().join("becket.db")), 2);
    assert_eq!(version(&folder.path().join("quarantine.db")), 2);
    for first in [SEALED, LEFT_OVER] {
        assert_eq!(version(&folder.path().join(format!("segments/{first:019}.db"))), 3);
    }
}

/// Copies the files of a store as they are, as if its process had been killed.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("segments")).unwrap();
    for folder in ["", "segments"] {
        for entry in std::fs::read_dir(from.join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_was_cut_short_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let (old, killed) = (folder.path().join("old"), folder.path().join("killed"));
    write_store(&old);
    let half = Connection::open(old.join("becket.db")).unwrap();
    half.execute_batch(
        "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 1; BEGIN IMMEDIATE;
         CREATE TABLE application(key INTEGER PRIMARY KEY, bytes BLOB);
         INSERT INTO application
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
             SELECT i, randomblob(4000) FROM n;
         DROP TABLE setting; PRAGMA user_version = 2;",
    )
    .unwrap();
    copy(&old, &killed);
    let log = std::fs::metadata(killed.join("becket.db-wal")).unwrap();
    assert!(log.len() > 100_000, "pages were written, but not committed");
    let store = try_open(&killed).unwrap();
    check_configuration(&store).await;
    check_events(&store).await;
    store.close().await.unwrap();
}

#[test]
fn layouts_to_come_are_refused() {
    for (name, next) in
        [("becket.db", 3), ("segments/0000000000000000001.db", 4), ("quarantine.db", 3)]
    {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("segments")).unwrap();
        let file = Connection::open(folder.path().join(name)).unwrap();
        file.execute_batch(&format!("CREATE TABLE later(x); PRAGMA user_version = {next};"))
            .unwrap();
        drop(file);
        let refused = try_open(folder.path()).err().expect("it is refused");
        assert!(refused.to_string().contains(&format!("layout {next}")), "{refused}");
    }
}
