//! Removing payloads: what is gone, what stays, and that it is done once.

use becket_model::{EventId, EventRecord, NextStep};
use becket_store::{Accepted, EventFilter, EventRow, Owner, Scope};
use bytes::Bytes;

use crate::Place;
use crate::fixture::{DAY_MS, MAIN, OTHER, POLICY, T0, Wishes, World, attempt, event};

const LATER: i64 = T0 + 1_000;

/// Stores events until those before are in an older part of the store.
async fn pile_up(world: &World) {
    for at in 0..8 {
        world.store_event(event(world.beta, T0 + 100 + at)).await;
    }
}

async fn record(world: &World, event: EventId) -> EventRecord {
    world.store.event_record(MAIN, event).await.unwrap().expect("the event is there")
}

/// The row as it should be after its payload was removed at a moment.
fn without_payload(row: &EventRow, now_ms: i64) -> EventRow {
    let size_bytes = EventRecord::expunged(now_ms).packed().len() as u64;
    EventRow { size_bytes, ..row.clone() }
}

/// Payload and headers go for good; row, type, labels and attempts stay.
pub async fn expunging_removes_the_payload_only(place: Place) {
    let mut world = World::new(place).await;
    let mut stored = Vec::new();
    for at in 0..4 {
        let accept = event(world.alpha, T0 + at).typed("push").labelled(&["eu"], &["new"]);
        let accept = accept.keyed(at as u32).body(&[7; 900]).leased(&world.a[..1]);
        let (id, lease) = world.store_new(accept).await;
        let key = crate::fixture::delivery(id, world.a[0]);
        world.record(key, lease, attempt(1, T0 + at), NextStep::Delivered).await;
        stored.push((id, world.row(id).await));
    }
    // The first two are expunged in an older part of the store, the last is left alone.
    let expunge = async |world: &World, id| {
        assert!(world.store.event_expunge(MAIN, id, LATER).await.unwrap());
    };
    expunge(&world, stored[2].0).await;
    pile_up(&world).await;
    expunge(&world, stored[0].0).await;
    expunge(&world, stored[1].0).await;
    for _ in 0..2 {
        for (id, before) in &stored[..3] {
            assert_eq!(record(&world, *id).await, EventRecord::expunged(LATER));
            assert_eq!(world.row(*id).await, without_payload(before, LATER));
            assert_eq!(world.store.attempt_list(MAIN, *id).await.unwrap().len(), 1);
        }
        assert_eq!(world.row(stored[3].0).await, stored[3].1);
        assert_eq!(record(&world, stored[3].0).await.body().len(), 900);
        let tagged = EventFilter { tag: Some("new".to_owned()), ..EventFilter::default() };
        let mut newest: Vec<_> = stored.iter().map(|(id, _)| *id).collect();
        newest.reverse();
        assert_eq!(world.find(tagged).await, newest, "it is found as before");
        if !world.reopen().await {
            return;
        }
    }
}

/// Doing it again changes nothing, not even the moment; what is not in the scope is not touched.
pub async fn expunging_is_done_once(place: Place) {
    let world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0)).await;
    let kept = world.store_event(event(world.alpha, T0)).await;
    let store = &world.store;
    for scope in
        [Scope::all(OTHER), Scope::of(OTHER, world.alpha), Scope::of(Owner::MAIN, world.beta)]
    {
        assert!(!store.event_expunge(scope, id, T0).await.unwrap(), "{scope:?}");
    }
    let unknown = EventId::from_bytes([3; 20]);
    assert!(!store.event_expunge(MAIN, unknown, T0).await.unwrap());
    assert!(!record(&world, id).await.is_expunged());
    let narrow = Scope::of(Owner::MAIN, world.alpha);
    for (scope, at_ms) in [(narrow, LATER), (MAIN, LATER + 1), (narrow, LATER + 2)] {
        assert!(store.event_expunge(scope, id, at_ms).await.unwrap());
        assert_eq!(record(&world, id).await, EventRecord::expunged(LATER));
    }
    pile_up(&world).await;
    assert!(store.event_expunge(MAIN, id, LATER + 3).await.unwrap());
    assert_eq!(record(&world, id).await, EventRecord::expunged(LATER));
    assert!(!record(&world, kept).await.is_expunged());
}

/// What waits is delivered without its payload; who has it already keeps it and can finish.
pub async fn deliveries_carry_what_is_left(place: Place) {
    let world = World::new(place).await;
    let mut stored = Vec::new();
    for at in 0..2 {
        let accept = event(world.alpha, T0 + at).leased(&world.a[..1]).waiting(&world.a[1..2]);
        stored.push(world.store_new(accept).await);
    }
    for (at, (id, lease)) in stored.into_iter().enumerate() {
        if at == 1 {
            pile_up(&world).await;
        }
        assert!(world.store.event_expunge(MAIN, id, LATER).await.unwrap());
        let waiting = world.store.delivery_lease(world.a[1], LATER, 60_000, 1).await.unwrap();
        assert_eq!(waiting[0].key.event, id);
        assert_eq!(waiting[0].record, EventRecord::expunged(LATER));
        let written = attempt(1, LATER);
        world.record(waiting[0].key, waiting[0].lease, written, NextStep::Delivered).await;
        let held = crate::fixture::delivery(id, world.a[0]);
        world.record(held, lease, attempt(1, LATER), NextStep::RetryAt(LATER + 1)).await;
        let again = world.lease_one(world.a[0], LATER + 1).await;
        assert_eq!((again.key, again.attempts), (held, 1));
        assert!(again.record.is_expunged());
        world.record(held, again.lease, attempt(2, LATER + 1), NextStep::Delivered).await;
        world.store.delivery_replay(MAIN, id, vec![world.a[2]], LATER).await.unwrap();
        let replayed = world.lease_one(world.a[2], LATER).await;
        assert!(replayed.record.is_expunged());
        world.record(replayed.key, replayed.lease, attempt(1, LATER), NextStep::Delivered).await;
    }
}

/// A repeat of an expunged event is still a repeat.
pub async fn expunging_leaves_dedupe_alone(place: Place) {
    let mut world = World::new(place).await;
    let id = world.store_event(event(world.alpha, T0).keyed(1)).await;
    pile_up(&world).await;
    assert!(world.store.event_expunge(MAIN, id, LATER).await.unwrap());
    for at in 0..2 {
        let again = world.accept(event(world.alpha, T0 + 1 + at).keyed(1)).await;
        assert_eq!(again, Accepted::Duplicate { event: id, replayed: Vec::new() });
        assert!(record(&world, id).await.is_expunged(), "the repeat brings nothing back");
        if !world.reopen().await {
            return;
        }
    }
    let key = Some(crate::fixture::dedupe_key(1));
    let filter = EventFilter { dedupe: key, ..EventFilter::default() };
    assert_eq!(world.find(filter).await, [id]);
}

/// Payloads go at their time, step by step until none is left; the moment itself is late enough.
pub async fn payloads_go_at_their_time(place: Place) {
    let mut world = World::new(place).await;
    let mut stored = Vec::new();
    for at in 0..9_i64 {
        let accept = event(world.alpha, T0 + at).keyed(at as u32);
        let accept = if at == 3 { accept } else { accept.payload_until(LATER + at) };
        let accept = if at % 2 == 0 { accept.waiting(&world.a[..1]) } else { accept };
        stored.push(world.store_event(accept).await);
    }
    let theirs = event(world.gamma, T0).payload_until(LATER);
    let theirs = world.store_event(theirs).await;
    assert!(world.store.event_expunge(MAIN, stored[1], T0 + 50).await.unwrap());
    let due = async |world: &World, now_ms| {
        let mut all = 0;
        loop {
            let some = world.store.event_expunge_due(now_ms).await.unwrap();
            if some == 0 {
                return all;
            }
            all += some;
        }
    };
    assert_eq!(due(&world, LATER - 1).await, 0);
    assert_eq!(due(&world, LATER + 2).await, 3, "the first, the third and the other owner's");
    let expunged = async |world: &World| {
        let mut all = Vec::new();
        for (at, id) in stored.iter().enumerate() {
            if record(world, *id).await.is_expunged() {
                all.push(at);
            }
        }
        all
    };
    assert_eq!(expunged(&world).await, [0, 1, 2]);
    assert_eq!(record(&world, stored[2]).await, EventRecord::expunged(LATER + 2));
    assert_eq!(record(&world, stored[1]).await, EventRecord::expunged(T0 + 50));
    let their_record = world.store.event_record(Scope::all(OTHER), theirs).await.unwrap();
    assert!(their_record.unwrap().is_expunged());
    assert_eq!(due(&world, LATER + 2).await, 0);
    assert_eq!(world.row(stored[0]).await.labels.payload_until_ms, Some(LATER), "labels stay");
    if !world.reopen().await {
        return;
    }
    assert_eq!(expunged(&world).await, [0, 1, 2]);
    assert_eq!(due(&world, LATER + 2).await, 0);
    assert_eq!(due(&world, LATER + 7).await, 4, "the crash forgot none");
    assert_eq!(expunged(&world).await, [0, 1, 2, 4, 5, 6, 7]);
    let leased = world.lease(world.a[0], LATER).await;
    let whole: Vec<_> = leased.iter().map(|one| !one.record.is_expunged()).collect();
    assert_eq!(whole, [false, false, false, false, true]);
}

/// Whether a payload was removed makes no difference to retention.
pub async fn expunged_events_go_with_the_others(place: Place) {
    let mut world = World::new(place).await;
    let old = world.one_ended(T0, NextStep::Delivered).await;
    let failed = world.one_ended(T0, crate::fixture::EXHAUSTED).await;
    let until = event(world.alpha, T0).payload_until(T0 + 30 * DAY_MS);
    let never = world.store_event(until.clone()).await;
    let carried = world.store_event(until.waiting(&world.a[1..2])).await;
    for id in [old, failed] {
        assert!(world.store.event_expunge(MAIN, id, LATER).await.unwrap());
    }
    world.sweep(POLICY, T0 + 20 * DAY_MS, &[old, never]).await;
    assert!(!world.store.event_expunge(MAIN, old, LATER).await.unwrap());
    assert_eq!(record(&world, failed).await, EventRecord::expunged(LATER));
    let now_ms = T0 + 30 * DAY_MS;
    if !world.reopen().await {
        return;
    }
    assert_eq!(record(&world, failed).await, EventRecord::expunged(LATER));
    assert_eq!(world.store.event_expunge_due(now_ms).await.unwrap(), 1, "what is left of them");
    assert_eq!(record(&world, carried).await, EventRecord::expunged(now_ms));
    assert_eq!(world.store.event_expunge_due(now_ms).await.unwrap(), 0);
}

/// What was kept of an attempt can be replaced, and nothing else of it changes.
pub async fn attempts_are_rewritten(place: Place) {
    let mut world = World::new(place).await;
    let mut tried = Vec::new();
    for at in 0..5 {
        let (key, lease) = world.one_leased(T0 + at).await;
        let next = if at == 4 { NextStep::RetryAt(T0 + 9) } else { NextStep::Delivered };
        let id = world.record(key, lease, attempt(1, T0 + at), next).await;
        tried.push(world.store.attempt_get(MAIN, id).await.unwrap().unwrap());
    }
    let details = [&b""[..], b"{\"removed\":true}", &[0, 255, 1]];
    for (at, detail) in [0, 2, 4].into_iter().zip(details) {
        let (id, detail) = (tried[at].id, Bytes::from_static(detail));
        assert!(world.store.attempt_rewrite(MAIN, id, detail.clone()).await.unwrap());
        tried[at].attempt.detail = detail;
    }
    for scope in [Scope::all(OTHER), Scope::of(Owner::MAIN, world.beta)] {
        let theirs = Bytes::from_static(b"theirs");
        assert!(!world.store.attempt_rewrite(scope, tried[1].id, theirs).await.unwrap());
    }
    let unknown = becket_model::AttemptId::from_bytes([3; 20]);
    assert!(!world.store.attempt_rewrite(MAIN, unknown, Bytes::new()).await.unwrap());
    for _ in 0..2 {
        for row in &tried {
            assert_eq!(world.store.attempt_get(MAIN, row.id).await.unwrap().as_ref(), Some(row));
            let list = world.store.attempt_list(MAIN, row.delivery.event).await.unwrap();
            assert_eq!(list, std::slice::from_ref(row));
        }
        world.assert_due(&[(world.a[0], 1, T0 + 9)]).await;
        if !world.reopen().await {
            return;
        }
    }
    let leased = world.lease_one(world.a[0], T0 + 9).await;
    assert_eq!((leased.key, leased.attempts), (tried[4].delivery, 1));
}
