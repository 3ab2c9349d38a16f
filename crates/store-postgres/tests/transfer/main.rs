//! Moving stores between files and a database: nothing is lost or changed on the way, also when it is
//! broken off anywhere, and nothing is written where something else is.

mod guarded;
mod moving;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use becket_model::{EventRecord, PackedHeaders};
use becket_store::transfer::{Kind, Transfer, TransferError, Verified, move_store};
use becket_store::{
    ConfigSnapshot, DocumentKind, EventFilter, Owner, Page, QuarantineFilter, QuarantineWrite,
    Scope, Slice, Store, StoreError,
};
use becket_store_postgres::{PostgresStore, PostgresTransfer};
use becket_store_test::{Numbers, random_operations, run_case};
use moving::{At, Fragile, Kept, ThroughDatabase, ThroughFiles, compare, move_all, open_files};
use support::Schema;

/// Owners that random operations use.
const OWNERS: [Owner; 2] = [Owner::MAIN, Owner::new(2)];

#[test]
fn a_store_of_files_goes_on_after_every_way_through_a_database() {
    for seed in 100..104 {
        run_case(random_operations::<ThroughDatabase>(seed, 220));
    }
}

#[test]
fn a_store_in_a_database_goes_on_after_every_way_through_files() {
    for seed in 200..203 {
        run_case(random_operations::<ThroughFiles>(seed, 220));
    }
}

/// Everything that a store tells about what it keeps.
async fn told(store: &dyn Store) -> Vec<String> {
    let mut told = Vec::new();
    for owner in OWNERS {
        let scope = Scope::all(owner);
        let ConfigSnapshot { applications, endpoints } = store.config_list(owner).await.unwrap();
        told.push(format!("{endpoints:?}"));
        let ids = applications.iter().map(|application| Some(application.key)).chain([None]);
        for application in ids {
            for kind in DocumentKind::ALL {
                let all = Slice::oldest(1_000);
                let list = store.document_list(owner, kind, application, all, 0).await.unwrap();
                told.extend(list.iter().map(|document| format!("{document:?}")));
            }
        }
        told.push(format!("{applications:?}"));
        let page = Page::newest(10_000);
        for event in store.event_list(scope, EventFilter::default(), page).await.unwrap() {
            told.push(format!("{event:?}"));
            told.push(format!("{:?}", store.event_record(scope, event.id).await.unwrap()));
            told.push(format!("{:?}", store.attempt_list(scope, event.id).await.unwrap()));
            told.push(format!("{:?}", store.duplicate_list(scope, event.id, 100).await.unwrap()));
        }
        let refused = store.quarantine_list(scope, QuarantineFilter::default(), 10_000).await;
        for row in refused.unwrap() {
            told.push(format!("{:?}", store.quarantine_get(scope, row.number).await.unwrap()));
        }
    }
    let mut due = store.delivery_due().await.unwrap();
    due.sort_by_key(|due| due.endpoint);
    told.push(format!("{due:?}"));
    let stats = store.stats().await.unwrap();
    told.push(format!("{} {} {}", stats.events, stats.pending, stats.quarantined));
    told
}

async fn told_by_files(folder: &Path) -> Vec<String> {
    let store = open_files(folder, 5).unwrap();
    let told = told(&store).await;
    store.close().await.unwrap();
    told
}

fn events(verified: &[Verified]) -> u64 {
    verified.iter().find(|one| one.kind == Kind::Event).map_or(0, |one| one.items)
}

#[test]
fn broken_off_anywhere_a_move_goes_on() {
    run_case(async {
        let mut numbers = Numbers::new(7);
        for seed in 300..304 {
            let folder = Kept::filled(seed, 260).await;
            let (schema, back) = (Schema::new(), tempfile::tempdir().unwrap());
            let (files, database) = (At::Files(folder.path()), At::Database(&schema));
            let before = told_by_files(folder.path()).await;
            let there = with_stops(&mut numbers, files, database).await;
            assert!(events(&there) > 10, "the source holds something: {there:?}");
            let return_trip = with_stops(&mut numbers, database, At::Files(back.path())).await;
            assert_eq!(there, return_trip, "all of it arrives and comes back");
            assert_eq!(compare(files, At::Files(back.path())).await.unwrap(), there);

            let store = PostgresStore::open(schema.options()).await.unwrap();
            let middle = told(&store).await;
            store.close().await.unwrap();
            assert_told("the database", &before, &middle);
            assert_told("the files", &before, &told_by_files(back.path()).await);
        }
    });
}

fn assert_told(whose: &str, expected: &[String], found: &[String]) {
    for (expected, found) in expected.iter().zip(found) {
        assert_eq!(expected, found, "{whose}");
    }
    assert_eq!(expected.len(), found.len(), "{whose}");
}

#[test]
fn stores_move_within_their_kind() {
    run_case(async {
        let mut numbers = Numbers::new(13);
        let folder = Kept::filled(350, 200).await;
        let (copy, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, other) = (Schema::new(), Schema::new());
        let ways = [
            (At::Files(folder.path()), At::Files(copy.path())),
            (At::Files(copy.path()), At::Database(&one)),
            (At::Database(&one), At::Database(&other)),
            (At::Database(&other), At::Files(back.path())),
        ];
        let mut seen = Vec::new();
        for (from, to) in ways {
            seen.push(with_stops(&mut numbers, from, to).await);
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
        let before = told_by_files(folder.path()).await;
        assert_told("the files", &before, &told_by_files(back.path()).await);
    });
}

/// Moves a few items at a time, broken off again and again; what was compared in the end.
async fn with_stops(numbers: &mut Numbers, from: At<'_>, to: At<'_>) -> Vec<Verified> {
    let mut stops = 0;
    loop {
        let source = Fragile::slow(from.open(false).await.unwrap(), 3);
        let target = Fragile {
            writes: AtomicUsize::new(numbers.below(5) as usize),
            done_unheard: numbers.chance(50),
            ..Fragile::slow(to.open(true).await.unwrap(), 3)
        };
        let moved = move_store(&source, &target, 0, &|_| {}).await;
        source.close().await.unwrap();
        target.close().await.unwrap();
        match moved {
            Ok(report) => {
                assert!(stops > 0 && report.resumed, "it was broken off");
                return report.verified;
            }
            Err(TransferError::Store(StoreError::Closed)) => stops += 1,
            Err(error) => panic!("after {stops} stops: {error}"),
        }
        refused_as_half(to).await;
    }
}

/// No gateway opens it before it is whole.
async fn refused_as_half(at: At<'_>) {
    let opened = match at {
        At::Files(folder) => open_files(folder, 5).map(drop),
        At::Database(schema) => PostgresStore::open(schema.options()).await.map(drop),
    };
    let Err(StoreError::Unusable { detail, .. }) = opened else { panic!("it was opened") };
    assert!(detail.contains("becket migrate-store"), "{detail}");
    let Err(moved_on) = move_all(at, At::Files(tempfile::tempdir().unwrap().path())).await else {
        panic!("half a store was moved on")
    };
    assert_eq!(moved_on.code(), "store_unusable", "{moved_on}");
}

#[test]
fn nothing_is_written_where_something_else_is() {
    run_case(async {
        let (one, other) = (Kept::filled(400, 200).await, Kept::filled(401, 200).await);
        let (schema, taken) = (Schema::new(), Schema::new());
        let target = At::Database(&schema);

        // A store that is in use by itself.
        schema_with_owner(&taken).await;
        let error = move_all(At::Files(one.path()), At::Database(&taken)).await.unwrap_err();
        assert_eq!(error.code(), "target_filled", "{error}");
        assert!(error.to_string().contains("1 settings"), "{error}");

        // Half of another store.
        half(At::Files(one.path()), target).await;
        let error = move_all(At::Files(other.path()), target).await.unwrap_err();
        assert_eq!(error.code(), "target_of_another_source", "{error}");

        // Half of a store that has been used since.
        let store = open_files(one.path(), 7).unwrap();
        store.setting_put(Owner::MAIN, "since", vec![1]).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let error = move_all(At::Files(one.path()), target).await.unwrap_err();
        assert_eq!(error.code(), "source_changed", "{error}");

        // A folder with a store, and one without.
        let error = move_all(At::Files(one.path()), At::Files(other.path())).await.unwrap_err();
        assert_eq!(error.code(), "target_filled", "{error}");
        let nothing = tempfile::tempdir().unwrap();
        let error = At::Files(nothing.path()).open(false).await.err().unwrap();
        assert!(error.to_string().contains("there is no store"), "{error}");
        let error = At::Database(&Schema::new()).open(false).await.err().unwrap();
        assert!(error.to_string().contains("there is no store"), "{error}");
    });
}

async fn schema_with_owner(schema: &Schema) {
    let store = schema.open().await;
    store.setting_put(Owner::MAIN, "token", vec![1]).await.unwrap();
    store.close().await.unwrap();
}

/// Moves the beginning of a store.
async fn half(from: At<'_>, to: At<'_>) {
    let source = Fragile::slow(from.open(false).await.unwrap(), 3);
    let inner = to.open(true).await.unwrap();
    let target = Fragile { writes: AtomicUsize::new(2), ..Fragile::slow(inner, 3) };
    move_store(&source, &target, 0, &|_| {}).await.unwrap_err();
    assert_eq!(target.writes.load(Ordering::Relaxed), 0);
}

#[test]
fn a_store_in_use_is_not_moved() {
    run_case(async {
        let (folder, schema) = (Kept::filled(500, 120).await, Schema::new());
        let store = open_files(folder.path(), 7).unwrap();
        let error = At::Files(folder.path()).open(false).await.err().unwrap();
        assert!(error.to_string().contains("another becket process"), "{error}");
        drop(store);
        move_all(At::Files(folder.path()), At::Database(&schema)).await.unwrap();

        let first = At::Database(&schema).open(false).await.unwrap();
        let error = At::Database(&schema).open(false).await.err().unwrap();
        assert!(error.to_string().contains("another `becket migrate-store`"), "{error}");
        first.close().await.unwrap();

        schema.query(
            "INSERT INTO node (number, name, version, roles, declared, host, lease_ms, expires_at)
             VALUES (9, 'n9', '1', 7, '[]', 'here', 2000, clock_timestamp() + interval '1 min')",
        );
        let error = At::Database(&schema).open(false).await.err().unwrap();
        assert!(error.to_string().contains("nodes are using it: `n9`; stop"), "{error}");
        let forced = PostgresTransfer::open(schema.options(), true).await.unwrap();
        forced.close().await.unwrap();
        schema.query("UPDATE node SET expires_at = clock_timestamp()");
        At::Database(&schema).open(false).await.unwrap().close().await.unwrap();
    });
}

#[test]
fn the_first_difference_is_named() {
    run_case(async {
        let (folder, schema) = (Kept::filled(600, 300).await, Schema::new());
        enriched(folder.path()).await;
        let (files, database) = (At::Files(folder.path()), At::Database(&schema));
        move_all(files, database).await.unwrap();
        let cases = [
            ("UPDATE attempt SET detail = detail || '\\x00'", "its attempts"),
            ("UPDATE event SET record = record || '\\x00'", "its bytes"),
            ("UPDATE delivery SET due_ms = due_ms + 1", "its pending deliveries"),
            ("DELETE FROM duplicate", "its repeats"),
            ("UPDATE endpoint_secret SET envelope = envelope || '\\x00'", "its sealed secrets"),
            ("UPDATE document SET document_revision = 99", "its revision"),
            ("UPDATE quarantine SET reason = 'x'", "its facts"),
            ("DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)", "but not in"),
            ("DELETE FROM setting", "but not in"),
        ];
        for (sql, expected) in cases {
            let kept = Schema::new();
            move_all(files, At::Database(&kept)).await.unwrap();
            let touched = kept.query(&format!("{sql} RETURNING 1"));
            assert!(!touched.is_empty(), "the store has nothing for: {sql}");
            let error = compare(files, At::Database(&kept)).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{sql}: {error}");
            let turned = compare(At::Database(&kept), files).await.unwrap_err().to_string();
            assert!(turned.contains(expected), "{sql}, turned around: {turned}");
        }
        compare(files, database).await.unwrap();
    });
}

/// Adds what random operations may not have left there.
async fn enriched(folder: &Path) {
    let store = open_files(folder, 7).unwrap();
    store.setting_put(Owner::MAIN, "token", vec![1]).await.unwrap();
    let known = store.config_list(Owner::MAIN).await.unwrap();
    let source = known.sources().find(|source| !source.removed).unwrap();
    let refused = QuarantineWrite {
        received_at_ms: 5,
        code: "signature_mismatch".to_owned(),
        reason: "The signature is another one.".to_owned(),
        status: 401,
        record: EventRecord::from_packed(PackedHeaders::with_capacity(0).finish(b"{}")).unwrap(),
    };
    let scope = Scope::of(Owner::MAIN, source.key);
    assert!(store.quarantine_put(scope, refused).await.unwrap());
    store.close().await.unwrap();
}

/// Names with every kind of character, and numbers at their ends, arrive as they were.
#[test]
fn settings_of_all_owners_arrive_in_their_order() {
    run_case(async {
        let (folder, schema) = (tempfile::tempdir().unwrap(), Schema::new());
        let store = open_files(folder.path(), 7).unwrap();
        for owner in [1, 2, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            for name in ["", "a", "b\0", "b\u{1}", "b\u{1}0", "ü", "\u{10FFFF}z"] {
                store.setting_put(Owner::new(owner), name, vec![7, 0, 255]).await.unwrap();
            }
        }
        store.close().await.unwrap();
        drop(store);
        let mut numbers = Numbers::new(11);
        let (files, database) = (At::Files(folder.path()), At::Database(&schema));
        let verified = with_stops(&mut numbers, files, database).await;
        let settings = verified.iter().find(|one| one.kind == Kind::Setting).unwrap();
        assert_eq!(settings.items, 35);
    });
}
