//! Recording attempts: what is kept, what becomes of the delivery, and who may do it.

use std::sync::Arc;

use becket_model::{AttemptId, DeliveryState, FailureReason, NextStep, Trigger};
use becket_store::{AttemptFinish, AttemptRow, AttemptWrite, FinishOutcome, LeaseToken};
use bytes::Bytes;

use crate::Place;
use crate::fixture::{EXHAUSTED, LEASE_MS, MAIN, T0, Wishes, World, attempt, delivery, event};

/// A success, an exhausted schedule and a 410 each end the delivery.
pub async fn a_final_step_ends_the_delivery(place: Place) {
    let world = World::new(place).await;
    let steps = [
        (NextStep::Delivered, DeliveryState::Delivered),
        (EXHAUSTED, DeliveryState::Failed),
        (NextStep::Failed(FailureReason::Gone), DeliveryState::Failed),
    ];
    for (next, state) in steps {
        let event = world.one_ended(T0, next).await;
        let row = &world.deliveries(event).await[0];
        assert_eq!((row.state, row.attempts, row.due_ms), (state, 1, None));
        assert_eq!(world.store.attempt_list(MAIN, event).await.unwrap()[0].next, next);
    }
    assert!(world.due().await.is_empty());
    assert!(world.lease(world.a[0], T0 + 2 * LEASE_MS as i64).await.is_empty());
    assert_eq!(world.store.stats().await.unwrap().pending, 0);
}

/// A retry puts the delivery back, due at its moment, with one attempt more.
pub async fn a_retry_puts_the_delivery_back(place: Place) {
    let world = World::new(place).await;
    let (key, lease) = world.one_leased(T0).await;
    world.record(key, lease, attempt(1, T0), NextStep::RetryAt(T0 + 50)).await;
    let row = &world.deliveries(key.event).await[0];
    assert_eq!((row.state, row.attempts), (DeliveryState::Pending, 1));
    assert_eq!(row.due_ms, Some(T0 + 50));
    world.assert_due(&[(world.a[0], 1, T0 + 50)]).await;
    for number in 2..=12 {
        let at_ms = T0 + i64::from(number) * 50;
        let leased = world.lease_one(world.a[0], at_ms).await;
        assert_eq!(leased.attempts + 1, number);
        let next = if number == 12 { EXHAUSTED } else { NextStep::RetryAt(at_ms + 50) };
        world.record(key, leased.lease, attempt(number, at_ms), next).await;
    }
    let row = &world.deliveries(key.event).await[0];
    assert_eq!((row.state, row.attempts, row.due_ms), (DeliveryState::Failed, 12, None));
}

/// A retry that is due in the past can be leased at once.
pub async fn a_retry_may_be_due_at_once(place: Place) {
    let world = World::new(place).await;
    let (key, lease) = world.one_leased(T0).await;
    world.record(key, lease, attempt(1, T0), NextStep::RetryAt(T0 - 5)).await;
    assert_eq!(world.lease_one(world.a[0], T0).await.key, key);
}

/// An attempt under a lease that has passed to somebody else changes nothing.
pub async fn a_stale_attempt_changes_nothing(place: Place) {
    let world = World::new(place).await;
    let (key, stale) = world.one_leased(T0).await;
    let held = world.lease_one(world.a[0], T0 + LEASE_MS as i64).await;
    let before = world.row(key.event).await;
    for next in [NextStep::Delivered, EXHAUSTED, NextStep::RetryAt(T0)] {
        let outcome = world.finish(key, stale, attempt(1, T0), next).await;
        assert_eq!(outcome, FinishOutcome::Stale, "{next:?}");
    }
    assert_eq!(world.row(key.event).await, before);
    assert!(world.store.attempt_list(MAIN, key.event).await.unwrap().is_empty());
    assert!(world.due().await.is_empty(), "it is still under way");
    world.record(key, held.lease, attempt(1, T0), NextStep::Delivered).await;
}

/// A lease is used up by the attempt that was recorded under it.
pub async fn a_lease_is_good_for_one_attempt(place: Place) {
    let world = World::new(place).await;
    for first in [NextStep::Delivered, EXHAUSTED, NextStep::RetryAt(T0)] {
        let (key, lease) = world.one_leased(T0).await;
        world.record(key, lease, attempt(1, T0), first).await;
        for next in [NextStep::Delivered, EXHAUSTED, NextStep::RetryAt(T0)] {
            let outcome = world.finish(key, lease, attempt(2, T0), next).await;
            assert_eq!(outcome, FinishOutcome::Stale, "{first:?}, then {next:?}");
        }
        let row = &world.deliveries(key.event).await[0];
        assert_eq!(row.attempts, 1);
        assert_eq!(world.store.attempt_list(MAIN, key.event).await.unwrap().len(), 1);
    }
}

/// An attempt for a delivery that does not exist is stale, not an error.
pub async fn unknown_deliveries_are_stale(place: Place) {
    let world = World::new(place).await;
    let (key, lease) = world.one_leased(T0).await;
    let mut other_endpoint = key;
    other_endpoint.endpoint = world.a[1];
    let mut other_generation = key;
    other_generation.generation = 1;
    let nowhere = delivery(becket_model::EventId::from_bytes([3; 20]), world.a[0]);
    for unknown in [other_endpoint, other_generation, nowhere] {
        let outcome = world.finish(unknown, lease, attempt(1, T0), NextStep::Delivered).await;
        assert_eq!(outcome, FinishOutcome::Stale, "{unknown:?}");
    }
    let wrong = LeaseToken(lease.0 ^ 1);
    let outcome = world.finish(key, wrong, attempt(1, T0), NextStep::Delivered).await;
    assert_eq!(outcome, FinishOutcome::Stale);
    world.record(key, lease, attempt(1, T0), NextStep::Delivered).await;
}

/// A delivery that waits is under no lease, so no attempt can be recorded for it.
pub async fn what_is_not_leased_cannot_be_finished(place: Place) {
    let world = World::new(place).await;
    let (id, lease) = world.store_new(event(world.alpha, T0).waiting(&world.a[..1])).await;
    let key = delivery(id, world.a[0]);
    let outcome = world.finish(key, lease, attempt(1, T0), NextStep::Delivered).await;
    assert_eq!(outcome, FinishOutcome::Stale);
    world.assert_due(&[(world.a[0], 1, T0)]).await;
}

/// The token of an accepted event holds for each of its leased deliveries on its own.
pub async fn one_token_serves_all_deliveries_of_an_event(place: Place) {
    let world = World::new(place).await;
    let (id, lease) = world.store_new(event(world.alpha, T0).leased(&world.a)).await;
    let keys = world.a.map(|endpoint| delivery(id, endpoint));
    world.record(keys[1], lease, attempt(1, T0), NextStep::Delivered).await;
    world.record(keys[0], lease, attempt(1, T0), NextStep::RetryAt(T0 + 9)).await;
    world.store.delivery_release(vec![(keys[2], lease)], T0 + 3).await.unwrap();
    let states: Vec<_> =
        world.deliveries(id).await.into_iter().map(|row| (row.state, row.due_ms)).collect();
    let expected = [
        (DeliveryState::Pending, Some(T0 + 9)),
        (DeliveryState::Delivered, None),
        (DeliveryState::Pending, Some(T0 + 3)),
    ];
    assert_eq!(states, expected);
}

/// Attempts are listed in the order they were made, over all deliveries of the event.
pub async fn attempts_stand_in_their_order(place: Place) {
    let world = World::new(place).await;
    let (id, lease) = world.store_new(event(world.alpha, T0).leased(&world.a[..2])).await;
    let [first, second] = [delivery(id, world.a[0]), delivery(id, world.a[1])];
    let mut made = Vec::new();
    let retry = NextStep::RetryAt(T0);
    made.push(world.record(second, lease, attempt(1, T0 + 1), retry).await);
    made.push(world.record(first, lease, attempt(1, T0 + 2), retry).await);
    for (at_ms, endpoint) in [(T0 + 3, world.a[1]), (T0 + 4, world.a[0]), (T0 + 5, world.a[1])] {
        let leased = world.lease_one(endpoint, at_ms).await;
        let written = attempt(leased.attempts + 1, at_ms);
        made.push(world.record(leased.key, leased.lease, written, retry).await);
    }
    let rows = world.store.attempt_list(MAIN, id).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), made);
    let numbers: Vec<_> = rows.iter().map(|row| (row.delivery, row.attempt.number)).collect();
    assert_eq!(numbers, [(second, 1), (first, 1), (second, 2), (first, 2), (second, 3)]);
    assert!(made.iter().all(|attempt| attempt.event_seq() == id.seq()));
}

/// Everything about an attempt is kept exactly, and found by its id, also after a crash.
pub async fn attempts_come_back_exactly(place: Place) {
    let mut world = World::new(place).await;
    let large: Vec<u8> = (0..70_000_u32).map(|at| (at % 253) as u8).collect();
    let writes = [
        (attempt(1, T0), NextStep::Delivered),
        (AttemptWrite { detail: Bytes::new(), status: None, ..attempt(1, T0) }, EXHAUSTED),
        (
            AttemptWrite {
                number: 1,
                trigger: Trigger::Replay,
                started_at_ms: T0 - 1,
                duration_ms: u32::MAX,
                status: None,
                error_code: Some("tls_untrusted: ü".to_owned()),
                detail: Bytes::from_static(&[0xff, 0, 0xc3, 0x28]),
            },
            NextStep::Failed(FailureReason::Gone),
        ),
        (
            AttemptWrite { status: Some(599), detail: large.into(), ..attempt(1, T0 + 9) },
            NextStep::RetryAt(T0 + 123_456_789),
        ),
    ];
    let mut rows = Vec::new();
    for (attempt, next) in writes {
        let (delivery, lease) = world.one_leased(T0).await;
        let id = world.record(delivery, lease, attempt.clone(), next).await;
        rows.push(AttemptRow { id, delivery, attempt, next });
    }
    for _ in 0..2 {
        for row in &rows {
            let found = world.store.attempt_get(MAIN, row.id).await.unwrap();
            assert_eq!(found.as_ref(), Some(row));
            let listed = world.store.attempt_list(MAIN, row.delivery.event).await.unwrap();
            assert_eq!(listed.as_slice(), std::slice::from_ref(row));
        }
        if !world.reopen().await {
            return;
        }
    }
}

/// An attempt that was never recorded is not there.
pub async fn unknown_attempts_are_not_there(place: Place) {
    let world = World::new(place).await;
    let event = world.one_ended(T0, NextStep::Delivered).await;
    let row = world.store.attempt_list(MAIN, event).await.unwrap().remove(0);
    let mut near = *row.id.as_bytes();
    near[19] ^= 1;
    for unknown in [AttemptId::from_bytes(near), AttemptId::from_bytes([3; 20])] {
        assert_eq!(world.store.attempt_get(MAIN, unknown).await.unwrap(), None);
    }
}

/// Of many who finish under one lease at once, one is recorded.
pub async fn racing_attempts_have_one_winner(place: Place) {
    let world = World::new(place).await;
    let (key, lease) = world.one_leased(T0).await;
    let mut tasks = Vec::new();
    for number in 0..20 {
        let store = Arc::clone(&world.store);
        let next = if number % 2 == 0 { NextStep::Delivered } else { NextStep::RetryAt(T0 + 5) };
        let finish = AttemptFinish { delivery: key, lease, attempt: attempt(1, T0), next };
        tasks.push(tokio::spawn(async move { store.attempt_finish(finish).await.unwrap() }));
    }
    let mut recorded = Vec::new();
    for task in tasks {
        if let FinishOutcome::Recorded(id) = task.await.unwrap() {
            recorded.push(id);
        }
    }
    assert_eq!(recorded.len(), 1);
    let rows = world.store.attempt_list(MAIN, key.event).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), recorded);
    assert_eq!(world.deliveries(key.event).await[0].attempts, 1);
}

/// Attempts of old events are recorded while new events arrive.
pub async fn late_results_reach_old_events(place: Place) {
    let world = World::new(place).await;
    let mut held = Vec::new();
    for at in 0..12 {
        held.push(world.one_leased(T0 + at).await);
    }
    for (key, lease) in held.iter().rev().step_by(2) {
        world.record(*key, *lease, attempt(1, T0 + 50), NextStep::Delivered).await;
        world.store_event(event(world.alpha, T0 + 60)).await;
    }
    for (at, (key, _)) in held.iter().rev().enumerate() {
        let rows = world.store.attempt_list(MAIN, key.event).await.unwrap();
        assert_eq!(rows.len(), usize::from(at % 2 == 0));
    }
    assert_eq!(world.store.stats().await.unwrap().pending, 6);
}
