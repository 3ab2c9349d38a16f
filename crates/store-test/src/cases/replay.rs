//! Replays: new deliveries of old events.

use becket_model::{DeliveryKey, DeliveryState, EndpointKey, EventId, NextStep};
use becket_store::{FinishOutcome, Replayed};

use crate::Place;
use crate::fixture::{EXHAUSTED, LEASE_MS, MAIN, T0, Wishes, World, attempt, delivery, event};

const LATER: i64 = T0 + 10_000;

async fn replay(
    world: &World,
    event: EventId,
    endpoints: &[EndpointKey],
    now_ms: i64,
) -> Vec<Replayed> {
    let replayed = world.store.delivery_replay(MAIN, event, endpoints.to_vec(), now_ms).await;
    let mut replayed = replayed.unwrap().expect("the event is there");
    replayed.sort_by_key(|replayed| replayed.key);
    replayed
}

const fn fresh(event: EventId, endpoint: EndpointKey, generation: u16) -> Replayed {
    Replayed { key: DeliveryKey { event, endpoint, generation }, fresh: true }
}

/// A delivery that ended, well or badly, is started again as the next generation, due at once.
pub async fn ended_deliveries_start_again(place: Place) {
    let world = World::new(place).await;
    for next in [NextStep::Delivered, EXHAUSTED] {
        let id = world.one_ended(T0, next).await;
        let before = world.deliveries(id).await;
        assert_eq!(replay(&world, id, &[], LATER).await, [fresh(id, world.a[0], 1)]);
        let rows = world.deliveries(id).await;
        assert_eq!(rows[..1], before, "the old delivery stays as it was");
        assert_eq!((rows[1].endpoint, rows[1].generation), (world.a[0], 1));
        assert_eq!((rows[1].state, rows[1].attempts), (DeliveryState::Pending, 0));
        assert_eq!(rows[1].due_ms, Some(LATER));
        world.assert_due(&[(world.a[0], 1, LATER)]).await;
        let leased = world.lease_one(world.a[0], LATER).await;
        assert_eq!((leased.key.event, leased.key.generation, leased.attempts), (id, 1, 0));
        world.record(leased.key, leased.lease, attempt(1, LATER), NextStep::Delivered).await;
    }
}

/// A delivery that waits is not started again but made due at once.
pub async fn waiting_deliveries_are_hurried(place: Place) {
    let world = World::new(place).await;
    let id = world.one_ended(T0, NextStep::RetryAt(LATER + 5_000)).await;
    let hurried = Replayed { key: delivery(id, world.a[0]), fresh: false };
    for now_ms in [LATER, LATER + 100] {
        assert_eq!(replay(&world, id, &[], now_ms).await, [hurried]);
        world.assert_due(&[(world.a[0], 1, now_ms)]).await;
    }
    let rows = world.deliveries(id).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].attempts, rows[0].due_ms), (1, Some(LATER + 100)));
    let leased = world.lease_one(world.a[0], LATER + 100).await;
    assert_eq!((leased.key, leased.attempts), (hurried.key, 1));
}

/// A delivery under way is left alone.
pub async fn deliveries_under_way_are_left_alone(place: Place) {
    let world = World::new(place).await;
    let (key, lease) = world.one_leased(T0).await;
    assert_eq!(replay(&world, key.event, &[], T0 + 1).await, [Replayed { key, fresh: false }]);
    assert!(world.due().await.is_empty());
    assert!(world.lease(world.a[0], T0 + 1).await.is_empty());
    world.record(key, lease, attempt(1, T0 + 2), NextStep::RetryAt(LATER)).await;
    world.assert_due(&[(world.a[0], 1, LATER)]).await;
}

/// Without a choice every endpoint that was planned on receipt is replayed, and no other.
pub async fn all_planned_endpoints_are_replayed(place: Place) {
    let world = World::new(place).await;
    let planned = [world.a[2], world.a[0]];
    let id = world.store_event(event(world.alpha, T0).waiting(&planned)).await;
    world.end_all(world.a[0], T0, EXHAUSTED).await;
    replay(&world, id, &[world.a[1]], T0 + 1).await;
    world.end_all(world.a[1], T0 + 1, NextStep::Delivered).await;
    let hurried = Replayed { key: delivery(id, world.a[2]), fresh: false };
    assert_eq!(replay(&world, id, &[], T0 + 2).await, [fresh(id, world.a[0], 1), hurried]);
}

/// With a choice only those are replayed, also ones that the event was not planned for.
pub async fn chosen_endpoints_are_replayed(place: Place) {
    let world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0).waiting(&world.a[..2])).await;
    world.end_all(world.a[0], T0, NextStep::Delivered).await;
    world.end_all(world.a[1], T0, NextStep::Delivered).await;
    let chosen = [world.a[2], world.a[1]];
    let expected = [fresh(id, world.a[1], 1), fresh(id, world.a[2], 1)];
    assert_eq!(replay(&world, id, &chosen, LATER).await, expected);
    assert!(world.lease(world.a[0], LATER).await.is_empty());
    let unknown = replay(&world, id, &[EndpointKey(9_999)], LATER).await;
    assert!(unknown.is_empty(), "there is no such endpoint");
}

/// Generations rise with each replay, and replays stand after the planned deliveries.
pub async fn generations_rise(place: Place) {
    let world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0).waiting(&world.a[..2])).await;
    world.end_all(world.a[0], T0, EXHAUSTED).await;
    world.end_all(world.a[1], T0, EXHAUSTED).await;
    for generation in 1..=3 {
        let at_ms = T0 + i64::from(generation);
        let expected = [fresh(id, world.a[0], generation)];
        assert_eq!(replay(&world, id, &world.a[..1], at_ms).await, expected);
        world.end_all(world.a[0], at_ms, EXHAUSTED).await;
    }
    assert_eq!(replay(&world, id, &world.a[1..2], T0 + 9).await, [fresh(id, world.a[1], 1)]);
    let rows = world.deliveries(id).await;
    let mut order: Vec<_> = rows.iter().map(|row| (row.endpoint, row.generation)).collect();
    let [first, second, _] = world.a;
    order[2..].sort_unstable();
    let expected = [(first, 0), (second, 0), (first, 1), (first, 2), (first, 3), (second, 1)];
    assert_eq!(order, expected);
}

/// Each generation has its own attempts, and its own leases.
pub async fn generations_are_apart(place: Place) {
    let world = World::new(place).await;
    let (key, old) = world.one_leased(T0).await;
    world.record(key, old, attempt(1, T0), EXHAUSTED).await;
    replay(&world, key.event, &[], T0 + 1).await;
    let leased = world.lease_one(world.a[0], T0 + 1).await;
    let stale = world.finish(key, leased.lease, attempt(2, T0 + 2), NextStep::Delivered).await;
    assert_eq!(stale, FinishOutcome::Stale, "the first generation has ended");
    let stale = world.finish(leased.key, old, attempt(1, T0 + 2), NextStep::Delivered).await;
    assert_eq!(stale, FinishOutcome::Stale, "the token was the first generation's");
    let next = NextStep::RetryAt(T0 + 9);
    world.record(leased.key, leased.lease, attempt(1, T0 + 2), next).await;
    let rows = world.store.attempt_list(MAIN, key.event).await.unwrap();
    let made: Vec<_> =
        rows.iter().map(|row| (row.delivery.generation, row.attempt.number)).collect();
    assert_eq!(made, [(0, 1), (1, 1)]);
    let counts: Vec<_> = world.deliveries(key.event).await.iter().map(|row| row.attempts).collect();
    assert_eq!(counts, [1, 1]);
}

/// An event without deliveries has nothing to replay, unless an endpoint is chosen.
pub async fn events_without_deliveries_need_a_choice(place: Place) {
    let world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0)).await;
    assert!(replay(&world, id, &[], LATER).await.is_empty());
    assert_eq!(replay(&world, id, &world.a[..1], LATER).await, [fresh(id, world.a[0], 1)]);
    assert_eq!(world.lease_one(world.a[0], LATER).await.key.generation, 1);
}

/// An event that is not there cannot be replayed.
pub async fn unknown_events_are_not_replayed(place: Place) {
    let world = World::new(place).await;
    let unknown = EventId::from_bytes([3; 20]);
    let replayed = world.store.delivery_replay(MAIN, unknown, Vec::new(), T0).await.unwrap();
    assert_eq!(replayed, None);
}

/// Replays of old events are there after a crash, due as they were.
pub async fn replays_survive_a_crash(place: Place) {
    let mut world = World::new(place).await;
    let id = world.one_ended(T0, EXHAUSTED).await;
    let other = world.one_ended(T0, EXHAUSTED).await;
    for at in 0..7 {
        world.store_event(event(world.beta, T0 + at)).await;
    }
    replay(&world, id, &[world.a[2], world.a[0]], LATER).await;
    replay(&world, other, &[], LATER + 1).await;
    world.end_all(world.a[2], LATER, NextStep::Delivered).await;
    let before = [world.row(id).await, world.row(other).await];
    if !world.reopen().await {
        return;
    }
    assert_eq!([world.row(id).await, world.row(other).await], before);
    world.assert_due(&[(world.a[0], 2, LATER)]).await;
    let leased = world.lease(world.a[0], LATER + LEASE_MS as i64).await;
    let keys: Vec<_> =
        leased.iter().map(|leased| (leased.key.event, leased.key.generation)).collect();
    assert_eq!(keys, [(id, 1), (other, 1)]);
}
