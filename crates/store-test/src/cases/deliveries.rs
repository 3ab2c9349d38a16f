//! Leases: who may try which delivery, from when and until when.

use std::collections::HashSet;
use std::sync::Arc;

use becket_model::{EndpointKey, NextStep};
use becket_store::{FinishOutcome, LeasedDelivery};

use crate::Place;
use crate::fixture::{
    EXHAUSTED, LEASE_MS, MAIN, T0, Wishes, World, attempt, delivery, event, record,
};

const LEASE_END: i64 = T0 + LEASE_MS as i64;

/// A delivery planned as waiting is due when the event arrived; one planned as leased is not.
pub async fn planned_deliveries_wait_or_are_leased(place: Place) {
    let world = World::new(place).await;
    let accept = event(world.alpha, T0).waiting(&world.a[1..2]).leased(&world.a[..1]);
    let id = world.store_event(accept).await;
    world.assert_due(&[(world.a[1], 1, T0)]).await;
    assert!(world.lease(world.a[0], T0).await.is_empty());
    assert!(world.lease(world.a[0], LEASE_END - 1).await.is_empty());
    assert_eq!(world.lease_one(world.a[1], T0).await.key, delivery(id, world.a[1]));
    assert!(world.due().await.is_empty());
}

/// What is handed out has everything that an attempt needs.
pub async fn a_lease_carries_the_event(place: Place) {
    let world = World::new(place).await;
    let pairs: [(&str, &[u8]); 2] = [(":method", b"PUT"), ("x-a", &[0xff])];
    let mut accept = event(world.beta, T0 + 3).typed("push").waiting(&[world.b]);
    accept.record = record(&pairs, b"\0body");
    let (wanted, id) = (accept.record.clone(), world.store_event(accept).await);
    let plain = world.store_event(event(world.beta, T0 + 4).waiting(&[world.b])).await;
    let leased = world.lease(world.b, T0 + 5).await;
    assert_eq!(leased.len(), 2);
    assert_eq!(leased[0].key, delivery(id, world.b));
    assert_eq!((leased[0].attempts, leased[0].application), (0, world.beta));
    assert_eq!(leased[0].received_at_ms, T0 + 3);
    assert_eq!(leased[0].event_type.as_deref(), Some("push"));
    assert_eq!(leased[0].record, wanted);
    assert_eq!((leased[1].key.event, leased[1].event_type.as_deref()), (plain, None));
}

/// What has been due the longest is handed out first, then the oldest event.
pub async fn the_oldest_due_comes_first(place: Place) {
    let world = World::new(place).await;
    let mut keys = Vec::new();
    for _ in 0..6 {
        keys.push(world.one_leased(T0).await);
    }
    for (at, due) in [(0, 50), (1, 20), (2, 90), (3, 20), (4, 10)] {
        let (key, lease) = keys[at];
        let next = NextStep::RetryAt(T0 + due);
        world.record(key, lease, attempt(1, T0), next).await;
    }
    world.store.delivery_release(vec![keys[5]], T0 + 30).await.unwrap();
    world.assert_due(&[(world.a[0], 6, T0 + 10)]).await;
    let handed = |leased: Vec<becket_store::LeasedDelivery>| {
        leased.into_iter().map(|leased| leased.key).collect::<Vec<_>>()
    };
    let first = world.store.delivery_lease(world.a[0], T0 + 60, LEASE_MS, 2).await.unwrap();
    assert_eq!(handed(first), [keys[4].0, keys[1].0]);
    let rest = world.store.delivery_lease(world.a[0], T0 + 60, LEASE_MS, 9).await.unwrap();
    assert_eq!(handed(rest), [keys[3].0, keys[5].0, keys[0].0], "and one is not due yet");
    world.assert_due(&[(world.a[0], 1, T0 + 90)]).await;
}

/// No more are handed out than were asked for, and only those of the endpoint.
pub async fn leases_are_bounded_and_of_one_endpoint(place: Place) {
    let world = World::new(place).await;
    for at in 0..7 {
        world.store_event(event(world.alpha, T0 + at).waiting(&world.a[..2])).await;
    }
    let lease = async |limit| {
        world.store.delivery_lease(world.a[0], T0 + 9, LEASE_MS, limit).await.unwrap()
    };
    let sizes = [lease(0).await.len(), lease(3).await.len(), lease(3).await.len()];
    assert_eq!(sizes, [0, 3, 3]);
    let last = lease(3).await;
    assert_eq!(last.len(), 1);
    assert!(last.iter().all(|leased| leased.key.endpoint == world.a[0]));
    assert!(lease(3).await.is_empty());
    assert_eq!(world.lease(world.a[1], T0 + 9).await.len(), 7);
    assert!(world.lease(EndpointKey(9_999), T0 + 9).await.is_empty(), "no such endpoint");
}

/// A retry is not handed out before its moment.
pub async fn nothing_is_leased_before_it_is_due(place: Place) {
    let world = World::new(place).await;
    let (key, lease) = world.one_leased(T0).await;
    world.record(key, lease, attempt(1, T0), NextStep::RetryAt(T0 + 500)).await;
    assert!(world.lease(world.a[0], T0 + 499).await.is_empty());
    let again = world.lease_one(world.a[0], T0 + 500).await;
    assert_eq!((again.key, again.attempts), (key, 1));
}

/// What is to be delivered later waits for its moment, across a crash and in older parts of the
/// store; a replay hurries it.
pub async fn planned_moments_are_kept(place: Place) {
    let mut world = World::new(place).await;
    let endpoint = world.a[0];
    let mut stored = Vec::new();
    for (at, due_ms) in [(0, 900), (1, 500), (2, 2), (3, -7), (4, 700), (5, 700)] {
        let accept = event(world.alpha, T0 + at).waiting(&[endpoint, world.a[1]]);
        stored.push(world.store_event(accept.due(T0 + due_ms)).await);
    }
    world.store_event(event(world.alpha, T0 + 6).waiting(&[endpoint])).await;
    let row = world.deliveries(stored[0]).await;
    assert_eq!((row[0].due_ms, row[1].due_ms), (Some(T0 + 900), Some(T0 + 900)));
    for _ in 0..2 {
        world.assert_due(&[(endpoint, 7, T0 - 7), (world.a[1], 6, T0 - 7)]).await;
        let leased = world.lease(world.a[1], T0 - 1).await;
        assert_eq!(leased.len(), 1, "one was due before it was received");
        assert_eq!(leased[0].key.event, stored[3]);
        let given = vec![(leased[0].key, leased[0].lease)];
        world.store.delivery_release(given, T0 - 7).await.unwrap();
        if !world.reopen().await {
            return;
        }
    }
    let events = |leased: Vec<LeasedDelivery>| {
        leased.into_iter().map(|leased| leased.key.event).collect::<Vec<_>>()
    };
    let first = events(world.lease(endpoint, T0 + 499).await);
    assert_eq!((first.len(), &first[..2]), (3, &[stored[3], stored[2]][..]));
    world.store.delivery_replay(MAIN, stored[4], vec![endpoint], T0 + 500).await.unwrap();
    assert_eq!(events(world.lease(endpoint, T0 + 500).await), [stored[1], stored[4]]);
    assert!(world.lease(endpoint, T0 + 699).await.is_empty());
    assert_eq!(events(world.lease(endpoint, T0 + 900).await), [stored[5], stored[0]]);
}

/// Many who lease at once get every delivery exactly once.
pub async fn concurrent_leases_are_disjoint(place: Place) {
    let world = World::new(place).await;
    let mut stored = HashSet::new();
    for at in 0..60 {
        let id = world.store_event(event(world.alpha, T0 + at).waiting(&world.a[..1])).await;
        stored.insert(delivery(id, world.a[0]));
    }
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (store, endpoint) = (Arc::clone(&world.store), world.a[0]);
        tasks.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let leased = store.delivery_lease(endpoint, T0 + 99, LEASE_MS, 5).await.unwrap();
                if leased.is_empty() {
                    return mine;
                }
                mine.extend(leased.into_iter().map(|leased| (leased.key, leased.lease)));
                tokio::task::yield_now().await;
            }
        }));
    }
    let mut handed = Vec::new();
    for task in tasks {
        handed.extend(task.await.unwrap());
    }
    assert_eq!(handed.len(), stored.len());
    assert_eq!(handed.iter().map(|(key, _)| *key).collect::<HashSet<_>>(), stored);
}

/// A lease holds until its last millisecond and not longer; then the old token is stale.
pub async fn leases_expire(place: Place) {
    let world = World::new(place).await;
    let (key, first) = world.one_leased(T0).await;
    assert!(world.lease(world.a[0], LEASE_END - 1).await.is_empty());
    let second = world.lease_one(world.a[0], LEASE_END).await;
    assert_eq!((second.key, second.attempts), (key, 0));
    assert_ne!(second.lease, first);
    let late = world.finish(key, first, attempt(1, T0), NextStep::Delivered).await;
    assert_eq!(late, FinishOutcome::Stale);
    assert!(world.lease(world.a[0], LEASE_END + LEASE_MS as i64 - 1).await.is_empty());
    let third = world.lease_one(world.a[0], LEASE_END + LEASE_MS as i64).await;
    assert_ne!(third.lease, second.lease);
    world.record(key, third.lease, attempt(1, T0), NextStep::Delivered).await;
}

/// A lease whose time is over still holds while nobody has asked for deliveries since.
pub async fn an_expired_lease_holds_until_somebody_asks(place: Place) {
    let world = World::new(place).await;
    let (key, lease) = world.one_leased(T0).await;
    world.one_ended(LEASE_END + 5, NextStep::Delivered).await;
    assert!(world.lease(world.a[1], LEASE_END - 1).await.is_empty());
    assert!(world.due().await.is_empty());
    world.record(key, lease, attempt(1, LEASE_END + 9), NextStep::Delivered).await;
}

/// Whoever asks ends every expired lease, of any endpoint; what is not handed out waits again.
pub async fn asking_ends_all_expired_leases(place: Place) {
    let world = World::new(place).await;
    let (first, _) = world.one_leased(T0).await;
    let (second, lease) = world.one_leased(T0 + 1).await;
    let other = event(world.gamma, T0 + 2).leased(&[world.g]);
    let (other, other_lease) = world.store_new(other).await;
    let now_ms = LEASE_END + 1;
    let handed = world.store.delivery_lease(world.a[0], now_ms, LEASE_MS, 1).await.unwrap();
    assert_eq!(handed.len(), 1);
    assert_eq!(handed[0].key, first);
    world.assert_due(&[(world.a[0], 1, T0 + 1)]).await;
    assert!(world.lease(world.b, now_ms + 1).await.is_empty());
    world.assert_due(&[(world.a[0], 1, T0 + 1), (world.g, 1, T0 + 2)]).await;
    for (key, lease) in [(second, lease), (delivery(other, world.g), other_lease)] {
        let stale = world.finish(key, lease, attempt(1, T0), NextStep::Delivered).await;
        assert_eq!(stale, FinishOutcome::Stale);
    }
}

/// What is given back waits for its new moment.
pub async fn released_deliveries_wait_again(place: Place) {
    let world = World::new(place).await;
    let first = world.one_leased(T0).await;
    let second = world.one_leased(T0).await;
    world.store.delivery_release(vec![first, second], T0 + 700).await.unwrap();
    world.assert_due(&[(world.a[0], 2, T0 + 700)]).await;
    let row = &world.deliveries(first.0.event).await[0];
    assert_eq!((row.attempts, row.due_ms), (0, Some(T0 + 700)));
    assert!(world.lease(world.a[0], T0 + 699).await.is_empty());
    let again = world.lease(world.a[0], T0 + 700).await;
    assert_eq!(again.len(), 2);
    assert_ne!(again[0].lease, first.1, "every lease has another token");
    let stale = world.finish(first.0, first.1, attempt(1, T0), EXHAUSTED).await;
    assert_eq!(stale, FinishOutcome::Stale);
}

/// Giving back what one does not hold any more changes nothing.
pub async fn stale_releases_are_passed_over(place: Place) {
    let world = World::new(place).await;
    let (ended, old) = world.one_leased(T0).await;
    world.record(ended, old, attempt(1, T0), NextStep::Delivered).await;
    let (lost, stale) = world.one_leased(T0).await;
    let held = world.lease_one(world.a[0], LEASE_END).await;
    let (mine, good) = world.one_leased(LEASE_END).await;
    let unknown = delivery(becket_model::EventId::from_bytes([3; 20]), world.a[0]);
    let given = vec![(ended, old), (lost, stale), (unknown, good), (mine, stale), (mine, good)];
    world.store.delivery_release(given, T0 + 7).await.unwrap();
    world.assert_due(&[(world.a[0], 1, T0 + 7)]).await;
    assert!(world.deliveries(ended.event).await[0].due_ms.is_none());
    world.record(held.key, held.lease, attempt(1, T0), NextStep::Delivered).await;
    world.store.delivery_release(vec![(mine, good)], T0).await.unwrap();
    world.assert_due(&[(world.a[0], 1, T0 + 7)]).await;
    world.store.delivery_release(Vec::new(), T0).await.unwrap();
}

/// The due list has each endpoint with something to do, and its earliest moment.
pub async fn due_tells_the_earliest_of_each_endpoint(place: Place) {
    let world = World::new(place).await;
    assert!(world.due().await.is_empty());
    world.store_event(event(world.alpha, T0 + 5).waiting(&world.a[..2])).await;
    world.store_event(event(world.alpha, T0 + 2).waiting(&world.a[..1])).await;
    world.store_event(event(world.gamma, T0 + 9).waiting(&[world.g])).await;
    let due = world.store.delivery_due().await.unwrap();
    for found in &due {
        let actual = if found.endpoint == world.a[0] { 2 } else { 1 };
        assert!((1..=actual).contains(&found.waiting), "{found:?}: at least, and not none");
    }
    let mut moments: Vec<_> = due.iter().map(|due| (due.endpoint, due.due_ms)).collect();
    moments.sort_unstable();
    assert_eq!(moments, [(world.a[0], T0 + 2), (world.a[1], T0 + 5), (world.g, T0 + 9)]);
    world.end_all(world.a[0], T0 + 9, NextStep::Delivered).await;
    world.end_all(world.a[1], T0 + 9, NextStep::RetryAt(T0 + 100)).await;
    world.end_all(world.g, T0 + 9, EXHAUSTED).await;
    world.assert_due(&[(world.a[1], 1, T0 + 100)]).await;
}

/// A delivery under way is pending without a due moment.
pub async fn under_way_is_pending_and_not_due(place: Place) {
    let world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0).waiting(&world.a[..1])).await;
    assert_eq!(world.deliveries(id).await[0].due_ms, Some(T0));
    world.lease_one(world.a[0], T0).await;
    let row = &world.deliveries(id).await[0];
    assert_eq!((row.state.as_str(), row.due_ms), ("pending", None));
    assert_eq!(world.store.stats().await.unwrap().pending, 1, "leased ones included");
}

/// Removing, pausing or disabling an endpoint leaves its deliveries as they are.
pub async fn deliveries_outlast_their_endpoint(place: Place) {
    let world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0).waiting(&world.a[..1])).await;
    let store = &world.store;
    store.config_declare(becket_store::Owner::MAIN, Vec::new(), T0 + 1).await.unwrap();
    let row = &world.deliveries(id).await[0];
    assert_eq!((row.state.as_str(), row.due_ms), ("pending", Some(T0)));
    world.assert_due(&[(world.a[0], 1, T0)]).await;
    assert_eq!(world.lease_one(world.a[0], T0 + 2).await.key.event, id);
}
