//! Accepting events and finding repeats.

use std::collections::HashSet;
use std::sync::Arc;

use becket_store::{Accepted, EventFilter, Replayed, StoreStats};

use crate::Place;
use crate::fixture::{HASH_WINDOW_MS, ID_WINDOW_MS, MAIN, T0, Wishes, World, event};

const NONE_REPLAYED: Vec<Replayed> = Vec::new();

/// Ids rise in the order of arrival, also when the clock stands still or steps back.
pub async fn ids_rise(place: Place) {
    let world = World::new(place).await;
    let mut ids = Vec::new();
    for at_ms in [T0, T0, T0 + 1, T0 + 50, T0 - 10_000, T0 + 50, T0 + 51] {
        ids.push(world.store_event(event(world.alpha, at_ms)).await);
    }
    assert!(ids.is_sorted_by(|left, right| left.seq() < right.seq()), "{ids:?}");
    assert_eq!(ids[0].seq().at_ms(), T0, "an id tells when it was given out");
    let tails: HashSet<_> = ids.iter().map(becket_model::EventId::tail).collect();
    assert_eq!(tails.len(), ids.len(), "the rest of an id is random");
}

/// Ids rise across a crash, also when the clock stepped back meanwhile.
pub async fn ids_rise_across_a_crash(place: Place) {
    let mut world = World::new(place).await;
    let before = world.store_event(event(world.alpha, T0)).await;
    if !world.reopen().await {
        return;
    }
    let after = world.store_event(event(world.alpha, T0 - 10_000)).await;
    assert!(after.seq() > before.seq());
}

/// Without a dedupe key every request is an event, however much they are alike.
pub async fn without_a_key_every_request_is_an_event(place: Place) {
    let world = World::new(place).await;
    let first = world.store_event(event(world.alpha, T0)).await;
    let second = world.store_event(event(world.alpha, T0)).await;
    assert_ne!(first, second);
}

/// A repeat answers with the first event's id and stores nothing but that it came.
pub async fn a_repeat_answers_with_the_first_id(place: Place) {
    let world = World::new(place).await;
    let first = event(world.alpha, T0).keyed(1).typed("push").waiting(&world.a[..1]);
    let record = first.record.clone();
    let id = world.store_event(first).await;
    let repeat = event(world.alpha, T0 + 5).keyed(1).typed("pull").body(b"!").waiting(&world.a);
    let duplicate = Accepted::Duplicate { event: id, replayed: NONE_REPLAYED };
    assert_eq!(world.accept(repeat).await, duplicate);
    assert_eq!(world.find(EventFilter::default()).await, [id]);
    let row = world.row(id).await;
    assert_eq!((row.received_at_ms, row.event_type.as_deref()), (T0, Some("push")));
    assert_eq!(row.deliveries.len(), 1);
    assert_eq!(world.store.event_record(MAIN, id).await.unwrap(), Some(record));
    let StoreStats { events, pending, .. } = world.store.stats().await.unwrap();
    assert_eq!((events, pending), (1, 1));
}

/// A repeat is found however many events came in between.
pub async fn a_repeat_is_found_behind_others(place: Place) {
    let world = World::new(place).await;
    let mut ids = Vec::new();
    for key in 0..25 {
        let at_ms = T0 + i64::from(key);
        ids.push(world.store_event(event(world.alpha, at_ms).keyed(key)).await);
    }
    for (key, id) in (0..25).zip(ids) {
        let repeat = world.accept(event(world.alpha, T0 + 1_000).keyed(key)).await;
        assert_eq!(repeat, Accepted::Duplicate { event: id, replayed: NONE_REPLAYED }, "{key}");
    }
}

/// Each source has its own keys.
pub async fn the_same_key_in_another_source_is_another_event(place: Place) {
    let world = World::new(place).await;
    let alpha = world.store_event(event(world.alpha, T0).keyed(1)).await;
    let beta = world.store_event(event(world.beta, T0).keyed(1)).await;
    let gamma = world.store_event(event(world.gamma, T0).keyed(1)).await;
    assert_eq!(HashSet::from([alpha, beta, gamma]).len(), 3);
    assert_eq!(world.accept(event(world.beta, T0).keyed(1)).await.event(), beta);
}

/// The window counts from the first event; repeats do not prolong it.
pub async fn the_window_counts_from_the_first(place: Place) {
    let world = World::new(place).await;
    let end = T0 + ID_WINDOW_MS as i64;
    let first = world.store_event(event(world.alpha, T0).keyed(1)).await;
    for at_ms in [T0, T0 + 1, end - 1] {
        let repeat = world.accept(event(world.alpha, at_ms).keyed(1)).await;
        assert_eq!(repeat.event(), first, "{at_ms}");
    }
    let second = world.store_event(event(world.alpha, end).keyed(1)).await;
    assert_ne!(second, first);
}

/// After the window a repeat is a new event, and later ones repeat that one.
pub async fn after_the_window_repeats_refer_to_the_new_event(place: Place) {
    let mut world = World::new(place).await;
    let end = T0 + ID_WINDOW_MS as i64;
    world.store_event(event(world.alpha, T0).keyed(1)).await;
    let second = world.store_event(event(world.alpha, end + 5).keyed(1)).await;
    assert_eq!(world.accept(event(world.alpha, end + 6).keyed(1)).await.event(), second);
    if world.reopen().await {
        let repeat = world.accept(event(world.alpha, end + 7).keyed(1)).await;
        assert_eq!(repeat.event(), second);
    }
}

/// A body hash is remembered for its own, shorter window.
pub async fn each_kind_has_its_window(place: Place) {
    let world = World::new(place).await;
    let end = T0 + HASH_WINDOW_MS as i64;
    let by_id = world.store_event(event(world.alpha, T0).keyed(1)).await;
    let by_hash = world.store_event(event(world.alpha, T0).hashed(2)).await;
    assert_eq!(world.accept(event(world.alpha, end - 1).hashed(2)).await.event(), by_hash);
    assert_ne!(world.store_event(event(world.alpha, end).hashed(2)).await, by_hash);
    assert_eq!(world.accept(event(world.alpha, end).keyed(1)).await.event(), by_id);
}

/// A repeat is found when the clock stepped back after the first.
pub async fn repeats_are_found_when_the_clock_steps_back(place: Place) {
    let world = World::new(place).await;
    let first = world.store_event(event(world.alpha, T0).keyed(1)).await;
    let repeat = world.accept(event(world.alpha, T0 - 5_000).keyed(1)).await;
    assert_eq!(repeat.event(), first);
}

/// A thousand at once with one key make one event, and all are told its id.
pub async fn a_thousand_at_once_make_one_event(place: Place) {
    let world = World::new(place).await;
    let mut tasks = Vec::new();
    for _ in 0..1_000 {
        let store = Arc::clone(&world.store);
        let accept = event(world.alpha, T0).keyed(1).waiting(&world.a[..1]);
        tasks.push(tokio::spawn(async move { store.event_accept(MAIN, accept).await.unwrap() }));
    }
    let (mut ids, mut stored) = (HashSet::new(), 0);
    for task in tasks {
        let accepted = task.await.unwrap();
        ids.insert(accepted.event());
        stored += usize::from(matches!(accepted, Accepted::Stored { .. }));
    }
    assert_eq!((ids.len(), stored), (1, 1));
    let id = ids.into_iter().next().unwrap();
    assert_eq!(world.find(EventFilter::default()).await, [id]);
    assert_eq!(world.deliveries(id).await.len(), 1);
    let repeats = world.store.duplicate_list(MAIN, id, 5_000).await.unwrap();
    assert_eq!(repeats.len(), 999);
}

/// Many at once with different keys are all stored, each once.
pub async fn many_at_once_are_all_stored(place: Place) {
    let world = World::new(place).await;
    let mut tasks = Vec::new();
    for number in 0..300_u32 {
        let store = Arc::clone(&world.store);
        let key = number / 2;
        let accept = event(world.alpha, T0 + i64::from(number)).keyed(key).leased(&world.a[..2]);
        tasks.push(tokio::spawn(async move {
            (key, store.event_accept(MAIN, accept).await.unwrap().event())
        }));
    }
    let mut answers = HashSet::new();
    for task in tasks {
        answers.insert(task.await.unwrap());
    }
    assert_eq!(answers.len(), 150, "one id for each key");
    let found: HashSet<_> = world.find(EventFilter::default()).await.into_iter().collect();
    assert_eq!(found, answers.into_iter().map(|(_, id)| id).collect());
    assert_eq!(world.store.stats().await.unwrap().pending, 300);
}

/// Repeats are found after a crash, within the window that began before it.
pub async fn repeats_are_found_after_a_crash(place: Place) {
    let mut world = World::new(place).await;
    let mut ids = Vec::new();
    for key in 0..8 {
        ids.push(world.store_event(event(world.alpha, T0).keyed(key)).await);
    }
    let by_hash = world.store_event(event(world.alpha, T0).hashed(100)).await;
    if !world.reopen().await {
        return;
    }
    for (key, id) in (0..8).zip(ids) {
        let repeat = world.accept(event(world.alpha, T0 + 9).keyed(key)).await;
        assert_eq!(repeat, Accepted::Duplicate { event: id, replayed: NONE_REPLAYED });
    }
    let end = T0 + HASH_WINDOW_MS as i64;
    assert_eq!(world.accept(event(world.alpha, end - 1).hashed(100)).await.event(), by_hash);
    assert_ne!(world.accept(event(world.alpha, end).hashed(100)).await.event(), by_hash);
}
