//! What a move refuses to call done: a source that does not tell all of itself, one that was used
//! meanwhile; and what it does call done although nobody heard of it the first time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use becket_store::cluster::{NodeNew, Roles};
use becket_store::transfer::{
    Kind, Place, Progress, Step, Transfer as _, TransferError, move_store,
};
use becket_store::{Owner, Store, StoreError};
use becket_store_postgres::{PostgresStore, PostgresTransfer};
use becket_store_test::run_case;

use crate::moving::{At, Fragile, Hidden, Kept, compare, move_all, open_files};
use crate::refused_as_half;
use crate::support::Schema;

/// How long nodes stay members here.
const MEMBER_MS: u64 = 2_000;

fn node(name: &str) -> NodeNew {
    NodeNew {
        name: name.to_owned(),
        version: "1".to_owned(),
        roles: Roles::ALL,
        declared: "[]".to_owned(),
        host: String::new(),
        lease_ms: MEMBER_MS,
        gone: Vec::new(),
    }
}

/// A schema with a store to which random things were done.
async fn filled(seed: u64) -> Schema {
    let (folder, schema) = (Kept::filled(seed, 200).await, Schema::new());
    move_all(At::Files(folder.path()), At::Database(&schema)).await.unwrap();
    schema
}

#[test]
fn what_a_source_counts_but_does_not_tell_is_noticed() {
    run_case(async {
        let folder = Kept::filled(700, 260).await;
        let source = At::Files(folder.path()).open(false).await.unwrap();
        let tally = source.tally().await.unwrap();
        assert!(tally.events > 4 && tally.pending > 0, "{tally:?}");
        let first = source.read(Kind::Event, None).await.unwrap();
        source.close().await.unwrap();
        let cases = [(Hidden::EventsBehind(first.place(1).unwrap()), 2), (Hidden::Pending, 0)];
        for (hidden, read) in cases {
            let copy = tempfile::tempdir().unwrap();
            let target = At::Files(copy.path());
            let inner = At::Files(folder.path()).open(false).await.unwrap();
            let source = Fragile { hidden: Some(hidden), ..Fragile::slow(inner, 3) };
            let into = target.open(true).await.unwrap();
            let error = move_store(&source, &*into, 0, &|_| {}).await.unwrap_err();
            assert_eq!(error.code(), "items_miscounted", "{error}");
            assert!(error.to_string().contains(&format!("but {read} could be read")), "{error}");
            source.close().await.unwrap();
            into.close().await.unwrap();
            refused_as_half(target).await;
        }
    });
}

#[test]
fn a_store_opens_and_a_node_joins_only_when_nobody_moves_it() {
    run_case(async {
        let schema = filled(710).await;
        let early = schema.open().await;
        let cluster = early.cluster().unwrap();
        let moving = At::Database(&schema).open(false).await.unwrap();
        let refused = PostgresStore::open(schema.options()).await.map(drop).unwrap_err();
        assert_eq!(refused.code(), "store_unusable", "{refused}");
        assert!(refused.to_string().contains("`becket migrate-store` is at work"), "{refused}");
        let refused = cluster.join(node("late")).await.unwrap_err();
        assert!(refused.to_string().contains("`becket migrate-store` is at work"), "{refused}");
        assert_eq!(schema.query("SELECT count(*) FROM node"), ["0"]);
        moving.close().await.unwrap();
        schema.open().await.close().await.unwrap();
        cluster.join(node("late")).await.unwrap();
        cluster.leave().await.unwrap();
        early.close().await.unwrap();
    });
}

/// Moves a schema to files; `meanwhile` is done when the comparison has come to its last kind.
async fn moved_while(schema: &Schema, to: &Path, meanwhile: &str) -> Result<(), TransferError> {
    let source = PostgresTransfer::open(schema.options(), true).await?;
    let target = At::Files(to).open(true).await?;
    let done = AtomicBool::new(false);
    let watch = |progress: Progress| {
        let late = (progress.step, progress.kind) == (Step::Verify, Kind::Refused);
        if late && !done.swap(true, Ordering::Relaxed) {
            schema.query(meanwhile);
        }
    };
    let moved = move_store(&source, &*target, 0, &watch).await;
    source.close().await?;
    target.close().await?;
    moved.map(drop)
}

#[test]
fn a_source_that_is_used_while_it_is_compared_is_not_moved() {
    run_case(async {
        let schema = filled(720).await;
        schema.query(
            "INSERT INTO node (number, name, version, roles, declared, host, lease_ms, renewed_at,
                               expires_at)
             VALUES (9, 'n9', '1', 7, '[]', '', 2000, clock_timestamp() - interval '1 hour',
                     clock_timestamp() - interval '59 minutes')",
        );
        let cases = [
            "UPDATE node SET renewed_at = clock_timestamp() WHERE number = 9",
            "DELETE FROM node WHERE number = 9",
            "INSERT INTO event (seq, tail, application, received_at_ms, disposition, size_bytes,
                                planned, record)
             SELECT seq + 1, tail, application, received_at_ms, disposition, size_bytes, planned,
                    record FROM event ORDER BY seq DESC LIMIT 1",
        ];
        for meanwhile in cases {
            let copy = tempfile::tempdir().unwrap();
            let error = moved_while(&schema, copy.path(), meanwhile).await.unwrap_err();
            assert_eq!(error.code(), "source_changed", "{meanwhile}: {error}");
            refused_as_half(At::Files(copy.path())).await;
        }
        let copy = tempfile::tempdir().unwrap();
        moved_while(&schema, copy.path(), "SELECT 1").await.unwrap();
        open_files(copy.path(), 5).unwrap().close().await.unwrap();
    });
}

/// As if the database had been away for an hour, at which moment nobody can say who lives.
fn away_for_an_hour(schema: &Schema) {
    schema.query(
        "UPDATE node SET renewed_at = renewed_at - interval '1 hour',
                         expires_at = expires_at - interval '1 hour'",
    );
}

#[test]
fn nodes_that_could_not_be_heard_of_are_waited_for() {
    run_case(async {
        let schema = filled(730).await;
        let store = schema.open().await;
        let cluster = store.cluster().unwrap();
        cluster.join(node("alive")).await.unwrap();
        away_for_an_hour(&schema);
        let back = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            cluster.renew(Roles::ALL, Vec::new()).await.unwrap().expect("it is still a member");
        };
        let (opened, ()) = tokio::join!(At::Database(&schema).open(false), back);
        let error = opened.err().unwrap();
        assert!(error.to_string().contains("nodes are using it: `alive`"), "{error}");

        // The same node, dead.
        store.close().await.unwrap();
        away_for_an_hour(&schema);
        let started = Instant::now();
        At::Database(&schema).open(false).await.unwrap().close().await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(MEMBER_MS), "it was watched");
        let started = Instant::now();
        let forced = PostgresTransfer::open(schema.options(), true).await.unwrap();
        assert!(started.elapsed() < Duration::from_millis(MEMBER_MS), "that is not waited for");
        forced.close().await.unwrap();
        assert_eq!(schema.query("SELECT count(*) FROM node"), ["1"], "a source is only read");
    });
}

#[test]
fn broken_off_behind_its_end_a_move_is_found_to_be_done() {
    run_case(async {
        let folder = Kept::filled(740, 200).await;
        let (copy, schema) = (tempfile::tempdir().unwrap(), Schema::new());
        let ways = [
            (At::Files(folder.path()), At::Database(&schema)),
            (At::Database(&schema), At::Files(copy.path())),
        ];
        for (from, to) in ways {
            let source = from.open(false).await.unwrap();
            let inner = to.open(true).await.unwrap();
            let target = Fragile { finished_unheard: true, ..Fragile::slow(inner, 50) };
            let broken = move_store(&*source, &target, 0, &|_| {}).await;
            assert!(matches!(broken, Err(TransferError::Store(StoreError::Closed))), "{broken:?}");
            source.close().await.unwrap();
            target.close().await.unwrap();

            let report = move_all(from, to).await.unwrap();
            assert!(report.resumed && report.written.iter().all(|(_, count)| *count == 0));
            assert_eq!(report.verified, compare(from, to).await.unwrap());
        }
        // Used since: it is no copy any more, and worth keeping.
        let store = open_files(copy.path(), 5).unwrap();
        store.setting_put(Owner::MAIN, "since", vec![1]).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let error = move_all(At::Database(&schema), At::Files(copy.path())).await.unwrap_err();
        assert_eq!(error.code(), "target_filled", "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("the move is over")));
    });
}

/// Numbers that were given out and whose rows are gone stay given out over several moves.
#[test]
fn numbers_go_on_above_those_of_every_store_before() {
    run_case(async {
        let folder = Kept::filled(750, 200).await;
        let back = tempfile::tempdir().unwrap();
        let (one, other) = (Schema::new(), Schema::new());
        move_all(At::Files(folder.path()), At::Database(&one)).await.unwrap();
        one.query("DELETE FROM document; DELETE FROM quarantine");
        let numbers = "SELECT setval(pg_get_serial_sequence('document', 'number'), 1000),
                              setval(pg_get_serial_sequence('quarantine', 'number'), 2000)";
        one.query(numbers);
        move_all(At::Database(&one), At::Database(&other)).await.unwrap();
        move_all(At::Database(&other), At::Files(back.path())).await.unwrap();
        for at in [At::Database(&other), At::Files(back.path())] {
            let store = at.open(false).await.unwrap();
            let tally = store.tally().await.unwrap();
            assert_eq!((tally.document_number, tally.refused_number), (1_000, 2_000));
            let last = store.last(Kind::Document).await.unwrap();
            assert_eq!(last, None::<Place>);
            store.close().await.unwrap();
        }
    });
}
