//! Counts, health, and what a closed store answers.

use becket_model::{EndpointId, EndpointState, NextStep};
use becket_store::{
    AttemptFinish, EndpointChange, EventFilter, Owner, Page, QuarantineFilter, QuarantineWrite,
    Scope, StoreError,
};

use crate::Place;
use crate::fixture::{
    EXHAUSTED, LEASE_MS, MAIN, POLICY, T0, Wishes, World, attempt, event, record,
};

/// Counts follow what happens, over all owners.
pub async fn counts_follow_what_happens(place: Place) {
    let world = World::new(place).await;
    let counts = async || {
        let stats = world.store.stats().await.unwrap();
        (stats.events, stats.pending)
    };
    assert_eq!(counts().await, (0, 0));
    let id = world.store_event(event(world.alpha, T0).keyed(1).waiting(&world.a)).await;
    assert_eq!(counts().await, (1, 3));
    world.store_event(event(world.gamma, T0).waiting(&[world.g])).await;
    assert_eq!(counts().await, (2, 4));
    world.accept(event(world.alpha, T0).keyed(1).waiting(&world.a)).await;
    assert_eq!(counts().await, (2, 4), "a repeat is no event");
    world.end_all(world.a[0], T0, NextStep::Delivered).await;
    world.end_all(world.a[1], T0, EXHAUSTED).await;
    world.end_all(world.a[2], T0, NextStep::RetryAt(T0 + 5)).await;
    assert_eq!(counts().await, (2, 2));
    world.store.delivery_replay(MAIN, id, Vec::new(), T0).await.unwrap();
    assert_eq!(counts().await, (2, 4), "two are fresh, one was pending already");
}

/// Counts are the same after a crash.
pub async fn counts_survive_a_crash(place: Place) {
    let mut world = World::new(place).await;
    for at in 0..7 {
        world.store_event(event(world.alpha, T0 + at).waiting(&world.a[..2])).await;
    }
    world.end_all(world.a[0], T0 + 3, NextStep::Delivered).await;
    let before = world.store.stats().await.unwrap();
    if !world.reopen().await {
        return;
    }
    let after = world.store.stats().await.unwrap();
    assert_eq!((after.events, after.pending), (before.events, before.pending));
    assert_eq!((after.events, after.pending), (7, 10));
}

/// A store that works is healthy.
pub async fn a_working_store_is_healthy(place: Place) {
    let world = World::new(place).await;
    world.store.health().unwrap();
    world.one_ended(T0, NextStep::Delivered).await;
    world.store.health().unwrap();
}

/// After closing, every call says that the store is closed, and nothing else happens.
pub async fn a_closed_store_says_so(place: Place) {
    let mut world = World::new(place).await;
    let (key, lease) = world.one_leased(T0).await;
    let id = key.event;
    let store = &world.store;
    store.close().await.unwrap();
    macro_rules! assert_closed {
        ($($answer:expr),* $(,)?) => {
            $(match $answer {
                Err(StoreError::Closed) => {}
                other => panic!("{}: {other:?}", stringify!($answer)),
            })*
        };
    }
    let finish = AttemptFinish { delivery: key, lease, attempt: attempt(1, T0), next: EXHAUSTED };
    let change = EndpointChange::State { state: EndpointState::Enabled, reason: String::new() };
    let refused = QuarantineWrite {
        received_at_ms: T0,
        code: String::new(),
        reason: String::new(),
        status: 401,
        record: record(&[], b""),
    };
    let tried = becket_model::AttemptId::new(T0, id.seq(), [0; 6]);
    let endpoint = EndpointId::from_bytes([1; 20]);
    let alpha = Scope::of(Owner::MAIN, world.alpha);
    assert_closed!(
        store.config_declare(Owner::MAIN, Vec::new(), T0).await,
        store.config_list(Owner::MAIN).await,
        store.endpoint_change(Owner::MAIN, endpoint, change, T0).await,
        store.setting_get(Owner::MAIN, "token").await,
        store.setting_init(Owner::MAIN, "token", Vec::new()).await,
        store.event_accept(MAIN, event(world.alpha, T0)).await,
        store.event_get(MAIN, id).await,
        store.event_record(MAIN, id).await,
        store.event_list(MAIN, EventFilter::default(), Page::newest(1)).await,
        store.duplicate_list(MAIN, id, 1).await,
        store.delivery_due().await,
        store.delivery_lease(world.a[0], T0, LEASE_MS, 1).await,
        store.delivery_release(vec![(key, lease)], T0).await,
        store.delivery_replay(MAIN, id, Vec::new(), T0).await,
        store.attempt_finish(finish).await,
        store.attempt_list(MAIN, id).await,
        store.attempt_get(MAIN, tried).await,
        store.quarantine_put(alpha, refused).await,
        store.quarantine_list(MAIN, QuarantineFilter::default(), 1).await,
        store.quarantine_get(MAIN, 1).await,
        store.quarantine_release(MAIN, 1, event(world.alpha, T0)).await,
        store.retention_sweep(POLICY, T0).await,
        store.backup(&world.harness.backup_folder()).await,
        store.stats().await,
        store.health(),
    );
    if world.reopen().await {
        assert_eq!(world.find(EventFilter::default()).await, [id]);
        assert!(world.store.attempt_list(MAIN, id).await.unwrap().is_empty());
        world.store.health().unwrap();
    }
}

/// Closing finishes what is queued: what was accepted at the same time is there afterwards, and
/// what was told that the store is closed is not.
pub async fn closing_finishes_what_is_queued(place: Place) {
    let mut world = World::new(place).await;
    let mut tasks = Vec::new();
    for at in 0..64 {
        let (store, accept) = (std::sync::Arc::clone(&world.store), event(world.alpha, T0 + at));
        tasks.push(tokio::spawn(async move { store.event_accept(MAIN, accept).await }));
    }
    tokio::task::yield_now().await;
    world.store.close().await.unwrap();
    let mut stored = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(accepted) => stored.push(accepted.event()),
            Err(StoreError::Closed) => {}
            Err(other) => panic!("{other}"),
        }
    }
    if world.reopen().await {
        stored.sort_unstable();
        stored.reverse();
        assert_eq!(world.find(EventFilter::default()).await, stored);
    }
}
