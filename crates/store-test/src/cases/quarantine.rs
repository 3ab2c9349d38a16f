//! Refused requests: kept for a while, newest first, bounded.

use std::sync::Arc;

use becket_store::{Owner, QuarantineRow, QuarantineWrite, Scope, Store};

use crate::Harness;
use crate::fixture::{MAIN, T0, World, record};

fn refused(at: i64) -> QuarantineWrite {
    QuarantineWrite {
        received_at_ms: T0 + at,
        code: format!("code_{at}"),
        reason: "the signature does not fit: ü".to_owned(),
        status: 401,
        record: record(&[("x-at", &at.to_le_bytes()), ("x-odd", &[0xff])], b"\0bytes"),
    }
}

fn assert_same(row: &QuarantineRow, wanted: &QuarantineWrite) {
    let found = &row.refused;
    assert_eq!(found.received_at_ms, wanted.received_at_ms);
    assert_eq!((&found.code, &found.reason), (&wanted.code, &wanted.reason));
    assert_eq!((found.status, &found.record), (wanted.status, &wanted.record));
}

/// Refused requests come back exactly, newest first, under rising numbers.
pub async fn refused_requests_come_back<H: Harness>() {
    let world = World::<H>::new().await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    for at in 0..5 {
        assert!(world.store.quarantine_put(scope, refused(at)).await.unwrap());
    }
    let rows = world.store.quarantine_list(scope, None, 10).await.unwrap();
    assert_eq!(rows.len(), 5);
    for (row, at) in rows.iter().zip((0..5).rev()) {
        assert_eq!(row.application, world.alpha);
        assert_same(row, &refused(at));
    }
    assert!(rows.is_sorted_by(|newer, older| newer.number > older.number));
    assert_eq!(world.store.stats().await.unwrap().quarantined, 5);
    assert_eq!(world.store.stats().await.unwrap().events, 0);
}

/// Pages go downwards from a number.
pub async fn pages_go_down<H: Harness>() {
    let world = World::<H>::new().await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    for at in 0..7 {
        world.store.quarantine_put(scope, refused(at)).await.unwrap();
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let rows = world.store.quarantine_list(MAIN, before, 3).await.unwrap();
        assert!(rows.len() <= 3);
        let Some(last) = rows.last() else { break };
        before = Some(last.number);
        seen.extend(rows.iter().map(|row| row.refused.received_at_ms - T0));
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1, 0]);
    assert!(world.store.quarantine_list(MAIN, None, 0).await.unwrap().is_empty());
}

/// When it is full the oldest go, and as many are kept as was declared, or a few more.
pub async fn the_oldest_go_when_it_is_full<H: Harness>() {
    let world = World::<H>::new().await;
    let rows = H::capabilities().quarantine_rows;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    let mut left = rows + rows / 10;
    while left > 0 {
        let mut tasks = Vec::new();
        for _ in 0..left.min(500) {
            let store = Arc::clone(&world.store);
            tasks.push(tokio::spawn(async move { put(&*store, scope, refused(0)).await }));
        }
        left -= tasks.len();
        for task in tasks {
            task.await.unwrap();
        }
    }
    for at in 1..=7 {
        put(&*world.store, scope, refused(at)).await;
    }
    let kept = world.store.quarantine_list(MAIN, None, 2 * rows).await.unwrap();
    assert!((rows..=rows + rows / 10).contains(&kept.len()), "{} are kept", kept.len());
    let newest: Vec<_> = kept.iter().map(|row| row.refused.received_at_ms - T0).take(8).collect();
    assert_eq!(newest, [7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(world.store.stats().await.unwrap().quarantined, kept.len() as u64);
}

/// Keeps a refused request; it is best effort, so when there is no room just now, again.
async fn put(store: &dyn Store, scope: Scope, refused: QuarantineWrite) {
    while !store.quarantine_put(scope, refused.clone()).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

/// What was kept is there after the store was closed and opened, and numbers go on rising.
pub async fn refused_requests_outlast_a_restart<H: Harness>() {
    let mut world = World::<H>::new().await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    for at in 0..3 {
        world.store.quarantine_put(scope, refused(at)).await.unwrap();
    }
    world.store.close().await.unwrap();
    if !world.reopen().await {
        return;
    }
    let rows = world.store.quarantine_list(scope, None, 10).await.unwrap();
    assert_eq!(rows.len(), 3);
    assert_same(&rows[0], &refused(2));
    world.store.quarantine_put(scope, refused(3)).await.unwrap();
    let newest = world.store.quarantine_list(scope, None, 1).await.unwrap();
    assert!(newest[0].number > rows[0].number);
    assert_same(&newest[0], &refused(3));
}
