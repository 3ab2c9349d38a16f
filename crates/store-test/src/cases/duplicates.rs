//! Repeats: that they are recorded, and that a repeat of a failed event starts it again.

use becket_model::{DeliveryKey, DeliveryState, EventId, NextStep};
use becket_store::{Accepted, DedupeKind, DuplicateRow, EventAccept, Replayed};

use crate::Place;
use crate::fixture::{EXHAUSTED, MAIN, T0, Wishes, World, event};

async fn repeat(world: &World, id: EventId, at_ms: i64) -> Vec<Replayed> {
    match world.accept(event(world.alpha, at_ms).keyed(1)).await {
        Accepted::Duplicate { event, mut replayed } => {
            assert_eq!(event, id);
            replayed.sort_by_key(|replayed| replayed.key);
            replayed
        }
        stored @ Accepted::Stored { .. } => panic!("{stored:?} should be a duplicate"),
    }
}

/// Every repeat is recorded with its moment, oldest first, also across a crash.
pub async fn repeats_are_recorded(place: Place) {
    let mut world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0).keyed(1)).await;
    let other = world.store_event(event(world.alpha, T0).keyed(2)).await;
    assert!(world.store.duplicate_list(MAIN, id, 10).await.unwrap().is_empty());
    for at in 1..=7 {
        repeat(&world, id, T0 + at).await;
    }
    let row = |at| DuplicateRow { event: id, received_at_ms: T0 + at };
    for _ in 0..2 {
        for limit in [0, 1, 3, 7, 100_usize] {
            let rows = world.store.duplicate_list(MAIN, id, limit).await.unwrap();
            let expected: Vec<_> = (1..=7).take(limit).map(row).collect();
            assert_eq!(rows, expected, "limit {limit}");
        }
        assert!(world.store.duplicate_list(MAIN, other, 10).await.unwrap().is_empty());
        if !world.reopen().await {
            return;
        }
    }
    repeat(&world, id, T0 + 8).await;
    let rows = world.store.duplicate_list(MAIN, id, 100).await.unwrap();
    assert_eq!(rows.last(), Some(&row(8)));
}

/// A repeat of an event that is pending, delivered or has no deliveries starts nothing.
pub async fn repeats_of_live_events_start_nothing(place: Place) {
    let world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0).keyed(1).waiting(&world.a[..1])).await;
    assert!(repeat(&world, id, T0 + 1).await.is_empty(), "it waits");
    let leased = world.lease_one(world.a[0], T0 + 1).await;
    assert!(repeat(&world, id, T0 + 2).await.is_empty(), "it is under way");
    world.store.delivery_release(vec![(leased.key, leased.lease)], T0).await.unwrap();
    world.end_all(world.a[0], T0 + 2, NextStep::RetryAt(T0 + 3)).await;
    assert!(repeat(&world, id, T0 + 3).await.is_empty(), "it will be tried again");
    world.end_all(world.a[0], T0 + 3, NextStep::Delivered).await;
    assert!(repeat(&world, id, T0 + 4).await.is_empty(), "it was delivered");
    assert_eq!(world.deliveries(id).await.len(), 1);
    let plain = world.store_event(event(world.beta, T0).keyed(1)).await;
    let again = world.accept(event(world.beta, T0 + 1).keyed(1)).await;
    assert_eq!(again, Accepted::Duplicate { event: plain, replayed: Vec::new() });
}

/// A repeat of an event of which everything has failed starts all of it again.
pub async fn a_repeat_of_a_failed_event_replays_it(place: Place) {
    let mut world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0).keyed(1).waiting(&world.a[..2])).await;
    world.end_all(world.a[0], T0, EXHAUSTED).await;
    assert!(repeat(&world, id, T0 + 1).await.is_empty(), "one of two still waits");
    world.end_all(world.a[1], T0 + 1, EXHAUSTED).await;
    let fresh = |endpoint, generation| Replayed {
        key: DeliveryKey { event: id, endpoint, generation },
        fresh: true,
    };
    let replayed = repeat(&world, id, T0 + 2).await;
    assert_eq!(replayed, [fresh(world.a[0], 1), fresh(world.a[1], 1)]);
    world.assert_due(&[(world.a[0], 1, T0 + 2), (world.a[1], 1, T0 + 2)]).await;
    assert!(repeat(&world, id, T0 + 3).await.is_empty(), "it has just been started");
    if world.reopen().await {
        world.assert_due(&[(world.a[0], 1, T0 + 2), (world.a[1], 1, T0 + 2)]).await;
    } else {
        return;
    }
    world.end_all(world.a[0], T0 + 4, EXHAUSTED).await;
    world.end_all(world.a[1], T0 + 4, EXHAUSTED).await;
    let replayed = repeat(&world, id, T0 + 5).await;
    assert_eq!(replayed, [fresh(world.a[0], 2), fresh(world.a[1], 2)]);
    assert_eq!(world.store.duplicate_list(MAIN, id, 10).await.unwrap().len(), 4);
}

/// A posted event that has failed for good is told to its repeats and not started again, also when
/// its segment has been sealed.
pub async fn a_repeat_of_a_posted_event_starts_nothing(place: Place) {
    let mut world = World::new(place).await;
    let alpha = world.alpha;
    let posted = |at_ms| {
        let accept = event(alpha, at_ms).keyed(1);
        let dedupe = accept.dedupe.map(|(key, _, window_ms)| (key, DedupeKind::Posted, window_ms));
        EventAccept { dedupe, ..accept }
    };
    let id = world.store_event(posted(T0).waiting(&world.a[..1])).await;
    world.end_all(world.a[0], T0, EXHAUSTED).await;
    for at in 1..=2 {
        let again = world.accept(posted(T0 + at)).await;
        assert_eq!(again, Accepted::Duplicate { event: id, replayed: Vec::new() });
        if !world.reopen().await {
            return;
        }
    }
}

/// A repeat of an event that failed at one endpoint and reached another starts nothing.
pub async fn a_repeat_of_a_partly_failed_event_starts_nothing(place: Place) {
    let world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0).keyed(1).waiting(&world.a[..2])).await;
    world.end_all(world.a[0], T0, EXHAUSTED).await;
    world.end_all(world.a[1], T0, NextStep::Delivered).await;
    assert!(repeat(&world, id, T0 + 1).await.is_empty());
    let states: Vec<_> = world.deliveries(id).await.iter().map(|row| row.state).collect();
    assert_eq!(states, [DeliveryState::Failed, DeliveryState::Delivered]);
}

/// What counts is the latest delivery to each endpoint, replayed ones included.
pub async fn the_latest_delivery_counts(place: Place) {
    let world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0).keyed(1).waiting(&world.a[..1])).await;
    world.end_all(world.a[0], T0, EXHAUSTED).await;
    world.store.delivery_replay(MAIN, id, Vec::new(), T0 + 1).await.unwrap();
    world.end_all(world.a[0], T0 + 1, NextStep::Delivered).await;
    assert!(repeat(&world, id, T0 + 2).await.is_empty(), "the replay reached it");
    world.store.delivery_replay(MAIN, id, Vec::new(), T0 + 3).await.unwrap();
    world.end_all(world.a[0], T0 + 3, EXHAUSTED).await;
    let replayed = repeat(&world, id, T0 + 4).await;
    assert_eq!(replayed.len(), 1, "the last replay failed");
    assert_eq!(replayed[0].key.generation, 3);
}
