//! Refused requests: kept for a while, newest first, bounded, and let out as events.

use std::sync::Arc;

use becket_model::NextStep;
use becket_store::{
    Accepted, AttemptFinish, EventFilter, FinishOutcome, Owner, QuarantineFilter, QuarantineRow,
    QuarantineWrite, Scope, Store,
};

use crate::Place;
use crate::fixture::{MAIN, T0, Wishes, World, attempt, delivery, event, record};

fn refused(at: i64) -> QuarantineWrite {
    QuarantineWrite {
        received_at_ms: T0 + at,
        code: format!("code_{at}"),
        reason: "the signature does not fit: ü".to_owned(),
        status: 401,
        record: record(&[("x-at", &at.to_le_bytes()), ("x-odd", &[0xff])], b"\0bytes"),
    }
}

async fn assert_same(store: &dyn Store, row: &QuarantineRow, wanted: &QuarantineWrite) {
    assert_eq!(row.received_at_ms, wanted.received_at_ms);
    assert_eq!((&row.code, &row.reason), (&wanted.code, &wanted.reason));
    assert_eq!(row.status, wanted.status);
    assert_eq!(row.size_bytes, wanted.record.packed().len() as u64);
    let found = store.quarantine_get(MAIN, row.number).await.unwrap().unwrap();
    assert_eq!((&found.row, &found.record), (row, &wanted.record));
}

async fn list(store: &dyn Store, filter: QuarantineFilter, limit: usize) -> Vec<QuarantineRow> {
    store.quarantine_list(MAIN, filter, limit).await.unwrap()
}

fn newest() -> QuarantineFilter {
    QuarantineFilter::default()
}

fn times(rows: &[QuarantineRow]) -> Vec<i64> {
    rows.iter().map(|row| row.received_at_ms - T0).collect()
}

/// Refused requests come back exactly, newest first, under rising numbers.
pub async fn refused_requests_come_back(place: Place) {
    let world = World::new(place).await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    for at in 0..5 {
        assert!(world.store.quarantine_put(scope, refused(at)).await.unwrap());
    }
    let rows = world.store.quarantine_list(scope, newest(), 10).await.unwrap();
    assert_eq!(rows.len(), 5);
    for (row, at) in rows.iter().zip((0..5).rev()) {
        assert_eq!(row.application, world.alpha);
        assert_same(&*world.store, row, &refused(at)).await;
    }
    assert!(rows.is_sorted_by(|newer, older| newer.number > older.number));
    assert_eq!(world.store.stats().await.unwrap().quarantined, 5);
    assert_eq!(world.store.stats().await.unwrap().events, 0);
}

/// Pages go downwards from a number.
pub async fn pages_go_down(place: Place) {
    let world = World::new(place).await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    for at in 0..7 {
        world.store.quarantine_put(scope, refused(at)).await.unwrap();
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let rows = list(&*world.store, QuarantineFilter { before, ..newest() }, 3).await;
        assert!(rows.len() <= 3);
        let Some(last) = rows.last() else { break };
        before = Some(last.number);
        seen.extend(times(&rows));
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1, 0]);
    assert!(list(&*world.store, newest(), 0).await.is_empty());

    let (mut seen, mut after) = (Vec::new(), Some(0));
    loop {
        let rows = list(&*world.store, QuarantineFilter { after, ..newest() }, 3).await;
        let Some(last) = rows.last() else { break };
        after = Some(last.number);
        seen.extend(times(&rows));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6], "and upwards");
}

/// Every given field of a filter has to match; moments are included at the start only.
pub async fn lists_are_filtered(place: Place) {
    let world = World::new(place).await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    for at in 0..6 {
        let code = format!("code_{}", at % 3);
        let refused = QuarantineWrite { code, ..refused(at) };
        world.store.quarantine_put(scope, refused).await.unwrap();
    }
    let seen = async |filter: QuarantineFilter| times(&list(&*world.store, filter, 10).await);
    let codes = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>();
    let only = |wanted: &[&str]| QuarantineFilter { codes: codes(wanted), ..newest() };
    assert_eq!(seen(only(&["code_1"])).await, [4, 1]);
    assert_eq!(seen(only(&["code_1", "code_2"])).await, [5, 4, 2, 1]);
    assert_eq!(seen(only(&["code"])).await, [] as [i64; 0]);
    let (since_ms, until_ms) = (Some(T0 + 1), Some(T0 + 4));
    assert_eq!(seen(QuarantineFilter { since_ms, ..newest() }).await, [5, 4, 3, 2, 1]);
    assert_eq!(seen(QuarantineFilter { until_ms, ..newest() }).await, [3, 2, 1, 0]);
    let all =
        QuarantineFilter { since_ms, until_ms, after: Some(0), ..only(&["code_1", "code_0"]) };
    assert_eq!(seen(all).await, [1, 3]);
}

/// A released request is an event with its deliveries, and is no longer in quarantine.
pub async fn released_requests_are_events(place: Place) {
    let world = World::new(place).await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    for at in 0..3 {
        world.store.quarantine_put(scope, refused(at)).await.unwrap();
    }
    let row = list(&*world.store, newest(), 10).await.remove(1);
    let accept = event(world.alpha, T0 + 9).typed("push").leased(&world.a[..1]);
    let released = world.store.quarantine_release(scope, row.number, accept).await.unwrap();
    let Some(Accepted::Stored { event: id, lease, .. }) = released else {
        panic!("it became {released:?}");
    };
    let found = world.row(id).await;
    assert_eq!((found.event_type.as_deref(), found.received_at_ms), (Some("push"), T0 + 9));
    let finish = AttemptFinish {
        delivery: delivery(id, world.a[0]),
        lease,
        attempt: attempt(1, T0 + 10),
        next: NextStep::Delivered,
    };
    let outcome = world.store.attempt_finish(finish).await.unwrap();
    assert!(matches!(outcome, FinishOutcome::Recorded(_)), "the lease holds");
    assert_eq!(times(&list(&*world.store, newest(), 10).await), [2, 0]);
    assert_eq!(world.store.quarantine_get(MAIN, row.number).await.unwrap(), None);
    let elsewhere = event(world.beta, T0);
    let last = list(&*world.store, newest(), 1).await.remove(0);
    assert!(world.store.quarantine_release(MAIN, last.number, elsewhere).await.is_err());
    assert!(world.store.quarantine_get(MAIN, last.number).await.unwrap().is_some());
}

/// Releasing again does nothing.
pub async fn releasing_twice_makes_one_event(place: Place) {
    let world = World::new(place).await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    world.store.quarantine_put(scope, refused(0)).await.unwrap();
    let number = list(&*world.store, newest(), 1).await[0].number;
    let release = async || {
        world.store.quarantine_release(scope, number, event(world.alpha, T0)).await.unwrap()
    };
    assert!(release().await.is_some());
    assert_eq!(release().await, None);
    assert_eq!(world.find(EventFilter::default()).await.len(), 1);
}

/// However many release the same at the same time, there is one event.
pub async fn releasing_at_the_same_time_makes_one_event(place: Place) {
    let world = World::new(place).await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    world.store.quarantine_put(scope, refused(0)).await.unwrap();
    let number = list(&*world.store, newest(), 1).await[0].number;
    let mut tasks = Vec::new();
    for at in 0..16 {
        let (store, accept) = (Arc::clone(&world.store), event(world.alpha, T0 + at));
        let task = async move { store.quarantine_release(scope, number, accept).await.unwrap() };
        tasks.push(tokio::spawn(task));
        // Some give up before they are answered.
        if at % 4 == 1 {
            tokio::task::yield_now().await;
            tasks.pop().unwrap().abort();
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(list(&*world.store, newest(), 1).await.is_empty());
    assert_eq!(world.find(EventFilter::default()).await.len(), 1);
}

/// A request whose event has come otherwise meanwhile is told as its repeat, and leaves too.
pub async fn a_repeat_leaves_quarantine_too(place: Place) {
    let world = World::new(place).await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    world.store.quarantine_put(scope, refused(0)).await.unwrap();
    let first = world.store_event(event(world.alpha, T0).keyed(7)).await;
    let number = list(&*world.store, newest(), 1).await[0].number;
    let accept = event(world.alpha, T0 + 1).keyed(7);
    let released = world.store.quarantine_release(scope, number, accept).await.unwrap();
    assert_eq!(released, Some(Accepted::Duplicate { event: first, replayed: Vec::new() }));
    assert!(list(&*world.store, newest(), 1).await.is_empty());
}

/// What was released is neither lost nor in quarantine again after a crash.
pub async fn released_requests_stay_released(place: Place) {
    let mut world = World::new(place).await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    let mut events = Vec::new();
    for at in 0..9 {
        world.store.quarantine_put(scope, refused(at)).await.unwrap();
        let number = list(&*world.store, newest(), 1).await[0].number;
        let accept = event(world.alpha, T0 + at);
        let released = world.store.quarantine_release(scope, number, accept).await.unwrap();
        events.push(released.unwrap().event());
        if at % 3 == 2 {
            if !world.reopen().await {
                return;
            }
            assert!(list(&*world.store, newest(), 9).await.is_empty());
            let mut found = world.find(EventFilter::default()).await;
            found.sort_unstable();
            assert_eq!(found, events);
        }
    }
}

/// When it is full the oldest go, and as many are kept as was declared, or a few more.
pub async fn the_oldest_go_when_it_is_full(place: Place) {
    let world = World::new(place).await;
    let rows = place.capabilities().quarantine_rows;
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
    let kept = list(&*world.store, newest(), 2 * rows).await;
    assert!((rows..=rows + rows / 10).contains(&kept.len()), "{} are kept", kept.len());
    assert_eq!(times(&kept[..8]), [7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(world.store.stats().await.unwrap().quarantined, kept.len() as u64);
}

/// Keeps a refused request; it is best effort, so when there is no room just now, again.
async fn put(store: &dyn Store, scope: Scope, refused: QuarantineWrite) {
    while !store.quarantine_put(scope, refused.clone()).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

/// What was kept is there after the store was closed and opened, and numbers go on rising.
pub async fn refused_requests_outlast_a_restart(place: Place) {
    let mut world = World::new(place).await;
    let scope = Scope::of(Owner::MAIN, world.alpha);
    for at in 0..3 {
        world.store.quarantine_put(scope, refused(at)).await.unwrap();
    }
    world.store.close().await.unwrap();
    if !world.reopen().await {
        return;
    }
    let rows = world.store.quarantine_list(scope, newest(), 10).await.unwrap();
    assert_eq!(rows.len(), 3);
    assert_same(&*world.store, &rows[0], &refused(2)).await;
    world.store.quarantine_put(scope, refused(3)).await.unwrap();
    let later = world.store.quarantine_list(scope, newest(), 1).await.unwrap();
    assert!(later[0].number > rows[0].number);
    assert_same(&*world.store, &later[0], &refused(3)).await;
}
