//! Retention: what goes, what stays, and that what stays is unharmed.

use becket_model::{EndpointState, EventId, NextStep};
use becket_store::{Endpoint, EndpointChange, EventFilter, FinishOutcome, Owner, RetentionPolicy};

use crate::Place;
use crate::fixture::{
    DAY_MS, EXHAUSTED, MAIN, POLICY, T0, Wishes, World, attempt, delivery, event, made_endpoint,
    source,
};

/// Delivered, filtered and otherwise finished events go when they are old, and young ones stay.
pub async fn old_events_go_and_young_ones_stay(place: Place) {
    let world = World::new(place).await;
    let mut old = Vec::new();
    for at in 0..4 {
        old.push(world.one_ended(T0 + at, NextStep::Delivered).await);
        old.push(world.store_event(event(world.alpha, T0 + at).keyed(at as u32)).await);
    }
    let young = world.one_ended(T0 + 5 * DAY_MS, NextStep::Delivered).await;
    world.sweep(POLICY, T0 + 10 * DAY_MS + 10, &old).await;
    assert_eq!(world.find(EventFilter::default()).await, [young]);
    assert_eq!(world.store.stats().await.unwrap().events, 1);
    assert_eq!(world.store.attempt_list(MAIN, young).await.unwrap().len(), 1);
}

/// Nothing goes before its time.
pub async fn nothing_goes_early(place: Place) {
    let world = World::new(place).await;
    world.one_ended(T0, NextStep::Delivered).await;
    world.one_ended(T0, EXHAUSTED).await;
    for _ in 0..4 {
        world.store_event(event(world.alpha, T0)).await;
    }
    let before = world.find(EventFilter::default()).await;
    for _ in 0..3 {
        let swept = world.store.retention_sweep(POLICY, T0 + 10 * DAY_MS).await.unwrap();
        assert_eq!((swept.events, swept.more), (0, false));
    }
    assert_eq!(world.find(EventFilter::default()).await, before);
}

/// Events with a failed delivery stay longer, even if a replay succeeded; then they go as well.
pub async fn failed_events_stay_longer(place: Place) {
    let mut world = World::new(place).await;
    let failed = world.one_ended(T0, EXHAUSTED).await;
    let delivered = world.one_ended(T0, NextStep::Delivered).await;
    let replayed = world.one_ended(T0, EXHAUSTED).await;
    world.store.delivery_replay(MAIN, replayed, Vec::new(), T0).await.unwrap();
    world.end_all(world.a[0], T0, NextStep::Delivered).await;
    let mixed = world.store_event(event(world.alpha, T0).waiting(&world.a[..2])).await;
    world.end_all(world.a[0], T0, NextStep::Delivered).await;
    world.end_all(world.a[1], T0, EXHAUSTED).await;
    let kept = [failed, replayed, mixed];
    let mut before = Vec::new();
    for event in kept {
        before.push(everything(&world, event).await);
    }
    world.sweep(POLICY, T0 + 20 * DAY_MS, &[delivered]).await;
    for reopened in [false, true] {
        if reopened && !world.reopen().await {
            return;
        }
        for (event, before) in kept.into_iter().zip(&before) {
            assert_eq!(everything(&world, event).await, *before, "it is unharmed");
        }
    }
    world.sweep(POLICY, T0 + 40 * DAY_MS, &kept).await;
    assert!(world.find(EventFilter::default()).await.is_empty());
}

/// All that a store knows of an event, as text.
async fn everything(world: &World, event: EventId) -> String {
    let row = world.row(event).await;
    let record = world.store.event_record(MAIN, event).await.unwrap();
    let attempts = world.store.attempt_list(MAIN, event).await.unwrap();
    let repeats = world.store.duplicate_list(MAIN, event, 100).await.unwrap();
    format!("{row:?}\n{record:?}\n{attempts:?}\n{repeats:?}")
}

/// Events with something pending stay, however old; when it has ended they go.
pub async fn pending_events_stay(place: Place) {
    let world = World::new(place).await;
    let mut pending = vec![
        world.store_event(event(world.alpha, T0).keyed(1).waiting(&world.a[..1])).await,
        world.one_leased(T0).await.0.event,
        world.one_ended(T0, NextStep::RetryAt(T0 + 80 * DAY_MS)).await,
    ];
    let partly = world.store_event(event(world.alpha, T0).waiting(&world.a[1..])).await;
    world.end_all(world.a[1], T0, EXHAUSTED).await;
    pending.push(partly);
    let restarted = world.one_ended(T0, NextStep::Delivered).await;
    world.store.delivery_replay(MAIN, restarted, Vec::new(), T0).await.unwrap();
    pending.push(restarted);
    let gone = world.one_ended(T0, NextStep::Delivered).await;
    world.accept(event(world.alpha, T0 + 1).keyed(1)).await;
    // What was under way is no more, so that time can pass without a change.
    let now_ms = T0 + 90 * DAY_MS;
    world.store.delivery_lease(world.b, now_ms, 1, 1).await.unwrap();
    let mut before = Vec::new();
    for event in &pending {
        before.push(everything(&world, *event).await);
    }
    world.sweep(POLICY, now_ms, &[gone]).await;
    let capped = RetentionPolicy { cap_bytes: Some(0), ..POLICY };
    for _ in 0..3 {
        world.store.retention_sweep(capped, now_ms).await.unwrap();
    }
    for (event, before) in pending.iter().zip(before) {
        assert_eq!(everything(&world, *event).await, before, "it is unharmed");
    }
    for endpoint in world.a {
        world.end_all(endpoint, now_ms, NextStep::Delivered).await;
    }
    world.sweep(POLICY, now_ms + 1, &pending).await;
}

/// Of an event that went nothing is left, and its key is free again.
pub async fn nothing_is_left_of_what_went(place: Place) {
    let mut world = World::new(place).await;
    let (key, lease) = world.one_leased(T0).await;
    let tried = world.record(key, lease, attempt(1, T0), NextStep::Delivered).await;
    let keyed = world.store_event(event(world.alpha, T0).keyed(1)).await;
    world.accept(event(world.alpha, T0 + 1).keyed(1)).await;
    world.sweep(POLICY, T0 + 11 * DAY_MS, &[key.event, keyed]).await;
    for _ in 0..2 {
        for event in [key.event, keyed] {
            assert_eq!(world.store.event_record(MAIN, event).await.unwrap(), None);
            assert!(world.store.attempt_list(MAIN, event).await.unwrap().is_empty());
            assert!(world.store.duplicate_list(MAIN, event, 9).await.unwrap().is_empty());
            let replayed = world.store.delivery_replay(MAIN, event, Vec::new(), T0).await.unwrap();
            assert_eq!(replayed, None);
        }
        assert_eq!(world.store.attempt_get(MAIN, tried).await.unwrap(), None);
        if !world.reopen().await {
            return;
        }
    }
    let again = world.store_event(event(world.alpha, T0 + DAY_MS).keyed(1)).await;
    assert_ne!(again, keyed, "within the window, but the first is gone");
}

/// Above the cap the oldest go although they are young, and nothing that is pending.
pub async fn the_cap_takes_the_oldest(place: Place) {
    let world = World::new(place).await;
    let (large, lag) = (vec![7; 20_000], place.capabilities().cap_lag);
    let mut old = Vec::new();
    for at in 0..12 {
        old.push(world.store_event(event(world.alpha, T0 + at).body(&large)).await);
    }
    let waiting = event(world.alpha, T0 + 20).body(&large).waiting(&world.a[..1]);
    let pending = world.store_event(waiting).await;
    let bytes = world.store.stats().await.unwrap().bytes;
    let roomy = RetentionPolicy { cap_bytes: Some(bytes * 4 + (1 << 20)), ..POLICY };
    let swept = world.store.retention_sweep(roomy, T0 + 40).await.unwrap();
    assert_eq!(swept.events, 0, "there is room");
    let tight = RetentionPolicy { cap_bytes: Some(1), ..POLICY };
    if lag <= 64 {
        for _ in 0..lag {
            world.store_event(event(world.beta, T0 + 30)).await;
        }
        world.sweep(tight, T0 + 40, &old).await;
    } else {
        world.store.retention_sweep(tight, T0 + 40).await.unwrap();
    }
    assert!(world.store.event_get(MAIN, pending).await.unwrap().is_some());
    assert!(world.store.event_record(MAIN, pending).await.unwrap().is_some());
    assert_eq!(world.lease_one(world.a[0], T0 + 40).await.key.event, pending);
}

/// What waits in vain goes as if it had ended, once its endpoint has been gone for longer than
/// anything is kept by age. What waits for others too, or for an endpoint of the file, stays as it is.
pub async fn what_waits_for_a_removed_endpoint_goes(place: Place) {
    let mut world = World::new(place).await;
    let gone = [attach(&world, "gone").await, attach(&world, "gone too").await];
    let (keys, living) = (gone.each_ref().map(|endpoint| endpoint.key), world.a[1]);
    let alpha = world.alpha;
    let keyed = world.store_event(event(alpha, T0).keyed(1).waiting(&keys[..1])).await;
    let both = world.store_event(event(alpha, T0).waiting(&keys)).await;
    let failing = world.store_event(event(alpha, T0).waiting(&keys[1..])).await;
    world.end_all(keys[1], T0, NextStep::RetryAt(T0 + DAY_MS)).await;
    let failed = world.store_event(event(alpha, T0).waiting(&keys)).await;
    world.end_all(keys[1], T0, EXHAUSTED).await;
    let doomed = [keyed, both, failing, failed];
    let kept = [
        world.store_event(event(alpha, T0).waiting(&[keys[0], living])).await,
        world.store_event(event(alpha, T0).waiting(&world.a[..1])).await,
    ];
    let ended = world.one_ended(T0, NextStep::Delivered).await;
    // What was taken is under way no more, so that time can pass without a change.
    world.store.delivery_lease(world.b, T0 + 60 * DAY_MS, 1, 1).await.unwrap();
    let mut before = Vec::new();
    for event in doomed.into_iter().chain(kept) {
        before.push((event, everything(&world, event).await));
    }
    world.sweep(POLICY, T0 + 60 * DAY_MS, &[ended]).await;
    let removed_ms = T0 + 61 * DAY_MS;
    for endpoint in &gone {
        remove(&world, endpoint, removed_ms).await;
    }
    let declared = vec![source("alpha", &["a2", "a3"]), source("beta", &["b1"])];
    world.store.config_declare(Owner::MAIN, declared, removed_ms).await.unwrap();
    world.sweep(POLICY, removed_ms + 30 * DAY_MS, &[]).await;
    for (event, before) in &before {
        assert_eq!(everything(&world, *event).await, *before, "they are gone only now");
    }
    world.sweep(POLICY, removed_ms + 32 * DAY_MS, &doomed).await;
    let stats = world.store.stats().await.unwrap();
    assert_eq!((stats.events, stats.pending), (2, 3));
    for (event, before) in &before[doomed.len()..] {
        assert_eq!(everything(&world, *event).await, *before, "it is unharmed");
    }
    world.assert_due(&[(world.a[0], 1, T0), (living, 1, T0), (keys[0], 1, T0)]).await;
    if world.reopen().await {
        assert_eq!(world.find(EventFilter::default()).await.len(), 2);
        assert_eq!(world.store.stats().await.unwrap().pending, 3);
        let again = world.store_event(event(alpha, T0 + DAY_MS).keyed(1)).await;
        assert_ne!(again, keyed, "within the window, but the first is gone");
    }
    world.end_all(living, removed_ms + 33 * DAY_MS, NextStep::Delivered).await;
    if world.place.capabilities().durable {
        world.sweep(POLICY, removed_ms + 35 * DAY_MS, &kept[..1]).await;
        assert!(world.store.event_get(MAIN, kept[1]).await.unwrap().is_some(), "it may come back");
    }
}

/// An attempt that is under way is not pulled from under it, however long its endpoint has been gone.
pub async fn what_is_under_way_to_a_removed_endpoint_stays(place: Place) {
    let world = World::new(place).await;
    let gone = attach(&world, "gone").await;
    let (now_ms, keys) = (T0 + 70 * DAY_MS, [gone.key]);
    let mut accept = event(world.alpha, T0).leased(&keys);
    accept.lease_until_ms = now_ms + 3 * DAY_MS;
    let (held, held_lease) = world.store_new(accept).await;
    let waiting = world.store_event(event(world.alpha, T0).waiting(&keys)).await;
    let late = world.lease_one(gone.key, now_ms - 60_000).await;
    assert_eq!(late.key.event, waiting);
    remove(&world, &gone, T0 + DAY_MS).await;
    let ended = world.one_ended(T0, NextStep::Delivered).await;
    let young = world.store_event(event(world.alpha, now_ms)).await;
    world.sweep(POLICY, now_ms - 1, &[ended]).await;
    for event in [held, waiting] {
        assert!(world.store.event_record(MAIN, event).await.unwrap().is_some());
    }
    let key = delivery(held, gone.key);
    world.record(key, held_lease, attempt(1, now_ms), NextStep::RetryAt(now_ms)).await;
    // Nobody has asked for it meanwhile, but the time of the other is over.
    world.sweep(POLICY, now_ms + DAY_MS, &[held, waiting]).await;
    let outcome = world.finish(late.key, late.lease, attempt(1, now_ms), NextStep::Delivered).await;
    assert_eq!(outcome, FinishOutcome::Stale);
    let stats = world.store.stats().await.unwrap();
    assert_eq!((stats.events, stats.pending), (1, 0));
    assert!(world.store.attempt_list(MAIN, young).await.unwrap().is_empty());
    assert!(world.due().await.is_empty());
}

/// Above the cap what waits in vain goes as soon as its endpoint is gone, but neither what is under
/// way nor what waits for others.
pub async fn the_cap_takes_what_waits_for_removed_endpoints(place: Place) {
    let world = World::new(place).await;
    let lag = place.capabilities().cap_lag;
    let gone = attach(&world, "gone").await;
    let keys = [gone.key];
    // So much lies between them that each goes or stays alone.
    let apart = || async {
        for _ in 0..lag.min(64) {
            world.store_event(event(world.beta, T0)).await;
        }
    };
    let mut accept = event(world.alpha, T0).leased(&keys);
    accept.lease_until_ms = T0 + 3 * DAY_MS;
    let (held, lease) = world.store_new(accept).await;
    apart().await;
    let mut doomed = Vec::new();
    for _ in 0..5 {
        doomed.push(world.store_event(event(world.alpha, T0).waiting(&keys)).await);
    }
    apart().await;
    let mut kept = Vec::new();
    for endpoints in [[gone.key, world.a[1]], [gone.key, world.a[2]]] {
        kept.push(world.store_event(event(world.alpha, T0).waiting(&endpoints)).await);
        apart().await;
    }
    let capped = RetentionPolicy { cap_bytes: Some(1), ..POLICY };
    world.sweep(capped, T0 + 1, &[]).await;
    for event in doomed.iter().chain(&kept).chain([&held]) {
        assert!(world.store.event_get(MAIN, *event).await.unwrap().is_some(), "it waits");
    }
    remove(&world, &gone, T0 + 2).await;
    if lag > 64 {
        doomed.clear();
    }
    world.sweep(capped, T0 + 3, &doomed).await;
    let key = delivery(held, gone.key);
    world.record(key, lease, attempt(1, T0 + 4), NextStep::RetryAt(T0 + 4)).await;
    let doomed = if lag > 64 { Vec::new() } else { vec![held] };
    world.sweep(capped, T0 + 5, &doomed).await;
    for event in &kept {
        assert!(world.store.event_record(MAIN, *event).await.unwrap().is_some(), "it waits");
    }
    for (endpoint, event) in [world.a[1], world.a[2]].into_iter().zip(&kept) {
        assert_eq!(world.lease_one(endpoint, T0 + 6).await.key.event, *event);
    }
}

/// Makes an endpoint of `alpha` by the API.
async fn attach(world: &World, uid: &str) -> Endpoint {
    world.attach(made_endpoint(world.alpha, uid)).await
}

async fn remove(world: &World, endpoint: &Endpoint, now_ms: i64) {
    let change = EndpointChange::State { state: EndpointState::Removed, reason: String::new() };
    let changed = world.store.endpoint_change(Owner::MAIN, endpoint.id, change, now_ms);
    changed.await.unwrap().done().expect("the endpoint is there");
}

/// A sweep of an empty store finds nothing.
pub async fn an_empty_store_has_nothing_to_sweep(place: Place) {
    let harness = place.fresh().await;
    let swept = harness.store().retention_sweep(POLICY, T0).await.unwrap();
    assert_eq!((swept.events, swept.more), (0, false));
}

/// Deliveries go on while old events are swept from under them, and leases hold.
pub async fn work_goes_on_during_a_sweep(place: Place) {
    let world = World::new(place).await;
    let mut old = Vec::new();
    for at in 0..6 {
        old.push(world.one_ended(T0 + at, NextStep::Delivered).await);
    }
    let young_ms = T0 + 10 * DAY_MS;
    let (held, lease) = world.one_leased(young_ms).await;
    let waiting = world.store_event(event(world.alpha, young_ms).waiting(&world.a[1..2])).await;
    let handed = world.lease_one(world.a[1], young_ms).await;
    world.sweep(POLICY, young_ms + 10, &old).await;
    for event in [held.event, waiting] {
        let row = &world.deliveries(event).await[0];
        assert_eq!((row.state.as_str(), row.due_ms), ("pending", None), "it is under way");
    }
    assert!(world.due().await.is_empty());
    for endpoint in world.a {
        assert!(world.lease(endpoint, young_ms + 11).await.is_empty(), "it is under way");
    }
    let now_ms = young_ms + 20;
    world.record(handed.key, handed.lease, attempt(1, now_ms), NextStep::Delivered).await;
    world.record(held, lease, attempt(1, now_ms), NextStep::RetryAt(now_ms)).await;
    let leased = world.lease_one(world.a[0], now_ms).await;
    assert_eq!((leased.key, leased.attempts), (held, 1));
    world.record(leased.key, leased.lease, attempt(2, now_ms + 1), NextStep::Delivered).await;
    let rows = world.store.attempt_list(MAIN, held.event).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(world.row(held.event).await.deliveries[0].attempts, 2);
}
