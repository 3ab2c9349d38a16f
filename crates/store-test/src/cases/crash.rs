//! Crashes: the store is given up without a word and opened again.

use becket_model::{EventId, NextStep};
use becket_store::{EventFilter, FinishOutcome};

use crate::Place;
use crate::fixture::{EXHAUSTED, LEASE_MS, MAIN, T0, Wishes, World, attempt, delivery, event};

const LEASE_END: i64 = T0 + LEASE_MS as i64;

/// A store keeps what it acknowledged if and only if it declares so.
pub async fn durability_is_as_declared(place: Place) {
    let mut world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0)).await;
    // For a store that is not durable, `reopen` checks that everything is gone.
    if world.reopen().await {
        assert_eq!(world.find(EventFilter::default()).await, [id]);
    }
}

/// Every accepted event is there as it was, with its bytes.
pub async fn accepted_events_survive(place: Place) {
    let mut world = World::new(place).await;
    let mut before = Vec::new();
    for at in 0..11 {
        let mut accept = event(world.alpha, T0 + at).waiting(&world.a[..(at % 4) as usize]);
        if at % 2 == 0 {
            accept = accept.keyed(at as u32).typed("push");
        }
        let record = accept.record.clone();
        let row = world.row(world.store_event(accept).await).await;
        before.push((row, record));
    }
    for _ in 0..3 {
        if !world.reopen().await {
            return;
        }
        for (row, record) in &before {
            assert_eq!(world.row(row.id).await, *row);
            let found = world.store.event_record(MAIN, row.id).await.unwrap();
            assert_eq!(found.as_ref(), Some(record));
        }
        assert_eq!(world.find(EventFilter::default()).await.len(), before.len());
    }
}

/// Every recorded attempt is there, and what became of its delivery.
pub async fn finished_attempts_survive(place: Place) {
    let mut world = World::new(place).await;
    let steps = [NextStep::Delivered, EXHAUSTED, NextStep::RetryAt(T0 + 70)];
    let mut events = Vec::new();
    for at in 0..9 {
        events.push(world.one_ended(T0, steps[at % 3]).await);
    }
    let mut before = Vec::new();
    for event in &events {
        let attempts = world.store.attempt_list(MAIN, *event).await.unwrap();
        before.push((world.row(*event).await, attempts));
    }
    if !world.reopen().await {
        return;
    }
    for (row, attempts) in before {
        assert_eq!(world.row(row.id).await, row);
        assert_eq!(world.store.attempt_list(MAIN, row.id).await.unwrap(), attempts);
        assert_eq!(
            world.store.attempt_get(MAIN, attempts[0].id).await.unwrap().as_ref(),
            attempts.first()
        );
    }
    world.assert_due(&[(world.a[0], 3, T0 + 70)]).await;
    let leased = world.lease(world.a[0], T0 + 70).await;
    let counts: Vec<_> = leased.iter().map(|leased| (leased.key.event, leased.attempts)).collect();
    assert_eq!(counts, [(events[2], 1), (events[5], 1), (events[8], 1)]);
}

/// What waits is exactly what waited, each at its moment.
pub async fn pending_deliveries_are_found_again(place: Place) {
    let mut world = World::new(place).await;
    let mut expected = Vec::new();
    for at in 0..10_i64 {
        let id = world.store_event(event(world.alpha, T0 + at).waiting(&world.a[..1])).await;
        expected.push((T0 + at, id));
    }
    for (leased, at) in world.lease(world.a[0], T0 + 6).await.into_iter().zip(0..) {
        let next = if at % 3 == 0 { NextStep::Delivered } else { NextStep::RetryAt(T0 + 100 - at) };
        world.record(leased.key, leased.lease, attempt(1, T0), next).await;
        expected.retain(|(_, id)| *id != leased.key.event);
        if at % 3 != 0 {
            expected.push((T0 + 100 - at, leased.key.event));
        }
    }
    expected.sort_unstable();
    if !world.reopen().await {
        return;
    }
    world.assert_due(&[(world.a[0], expected.len() as u64, expected[0].0)]).await;
    let leased = world.lease(world.a[0], T0 + 200).await;
    let order: Vec<_> = leased.iter().map(|leased| leased.key.event).collect();
    assert_eq!(order, expected.iter().map(|(_, id)| *id).collect::<Vec<EventId>>());
}

/// Leases end with the process, or hold for those who share the store, as declared.
pub async fn leases_are_as_declared(place: Place) {
    let mut world = World::new(place).await;
    let (key, planned) = world.one_leased(T0).await;
    let id = world.store_event(event(world.alpha, T0).waiting(&world.a[1..2])).await;
    let handed = world.lease_one(world.a[1], T0).await;
    if !world.reopen().await {
        return;
    }
    let held = [(key, planned), (handed.key, handed.lease)];
    assert_eq!(handed.key, delivery(id, world.a[1]));
    if place.capabilities().keeps_leases {
        assert!(world.due().await.is_empty());
        assert!(world.lease(world.a[0], LEASE_END - 1).await.is_empty());
        for (key, lease) in held {
            world.record(key, lease, attempt(1, T0), NextStep::Delivered).await;
        }
        return;
    }
    world.assert_due(&[(world.a[0], 1, T0), (world.a[1], 1, T0)]).await;
    let again = [world.lease_one(world.a[0], T0).await, world.lease_one(world.a[1], T0).await];
    for ((key, old), again) in held.into_iter().zip(&again) {
        assert_eq!(again.key, key);
        assert_ne!(again.lease, old, "tokens are never used twice");
        let stale = world.finish(key, old, attempt(1, T0), NextStep::Delivered).await;
        assert_eq!(stale, FinishOutcome::Stale);
    }
}

/// Tokens of the time before a crash are stale, however many leases were given since.
pub async fn old_tokens_stay_stale(place: Place) {
    let mut world = World::new(place).await;
    let mut old = Vec::new();
    for _ in 0..4 {
        old.push(world.one_leased(T0).await);
    }
    if !world.reopen().await || place.capabilities().keeps_leases {
        return;
    }
    let again = world.lease(world.a[0], T0).await;
    assert_eq!(again.len(), old.len());
    for (key, _) in &old {
        for (_, lease) in &old {
            let stale = world.finish(*key, *lease, attempt(1, T0), NextStep::Delivered).await;
            assert_eq!(stale, FinishOutcome::Stale);
        }
    }
    assert_eq!(world.store.stats().await.unwrap().pending, 4);
}

/// The due moment of what was only given back or hurried is kept as declared.
pub async fn released_moments_are_as_declared(place: Place) {
    let mut world = World::new(place).await;
    let (key, lease) = world.one_leased(T0).await;
    world.store.delivery_release(vec![(key, lease)], T0 + 500).await.unwrap();
    let (other, lease) = world.store_new(event(world.alpha, T0).leased(&world.a[1..2])).await;
    let retry = NextStep::RetryAt(T0 + 900);
    world.record(delivery(other, world.a[1]), lease, attempt(1, T0), retry).await;
    world.store.delivery_replay(MAIN, other, Vec::new(), T0 + 400).await.unwrap();
    world.assert_due(&[(world.a[0], 1, T0 + 500), (world.a[1], 1, T0 + 400)]).await;
    if !world.reopen().await {
        return;
    }
    let expected =
        if place.capabilities().keeps_released_due { [T0 + 500, T0 + 400] } else { [T0, T0 + 900] };
    world.assert_due(&[(world.a[0], 1, expected[0]), (world.a[1], 1, expected[1])]).await;
}

/// A store can crash after every single step and loses nothing.
pub async fn a_crash_after_every_step_loses_nothing(place: Place) {
    let mut world = World::new(place).await;
    let mut stored = Vec::new();
    for at in 0..7_i64 {
        let at_ms = T0 + at;
        let accept = event(world.alpha, at_ms).keyed(at as u32).waiting(&world.a[..1]);
        stored.insert(0, world.store_event(accept).await);
        if !world.reopen().await {
            return;
        }
        let again = world.accept(event(world.alpha, at_ms).keyed(at as u32)).await;
        assert_eq!(again.event(), stored[0]);
        assert_eq!(world.find(EventFilter::default()).await, stored);
        let leased = world.lease_one(world.a[0], at_ms).await;
        let next = if at % 2 == 0 { NextStep::Delivered } else { EXHAUSTED };
        world.record(leased.key, leased.lease, attempt(1, at_ms), next).await;
        world.reopen().await;
        let repeats = world.store.duplicate_list(MAIN, stored[0], 9).await.unwrap();
        assert_eq!(repeats.len(), 1);
        assert!(world.due().await.is_empty());
    }
    for id in stored {
        assert_eq!(world.store.attempt_list(MAIN, id).await.unwrap().len(), 1);
    }
}
