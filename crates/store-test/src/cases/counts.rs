//! Counts of events and deliveries, compared with counting what is listed.

use std::collections::BTreeMap;

use becket_model::{ApplicationKey, DeliveryState, EndpointKey, NextStep};
use becket_store::{DeliveryCounts, EventCount, EventFilter, EventRow, Owner, Page, Scope};

use crate::Place;
use crate::fixture::{
    DAY_MS, EXHAUSTED, MAIN, OTHER, POLICY, T0, Wishes, World, customer, event, made_endpoint,
};

/// Everything that a scope lists.
async fn listed(world: &World, scope: Scope) -> Vec<EventRow> {
    let everything = EventFilter::default();
    world.store.event_list(scope, everything, Page::newest(1_000)).await.unwrap()
}

/// Counts by looking at every row.
fn counted(rows: &[EventRow], since_ms: i64, until_ms: i64) -> Vec<EventCount> {
    let mut counts = BTreeMap::<(ApplicationKey, Option<String>), (u64, u64)>::new();
    for row in rows.iter().filter(|row| (since_ms..until_ms).contains(&row.received_at_ms)) {
        let count = counts.entry((row.application, row.event_type.clone())).or_default();
        let planned = row.deliveries.iter().filter(|delivery| delivery.generation == 0);
        count.0 += 1;
        count.1 += planned.count() as u64;
    }
    let count = |((application, event_type), (events, deliveries))| EventCount {
        application,
        event_type,
        events,
        deliveries,
    };
    counts.into_iter().map(count).collect()
}

/// How the last deliveries to an endpoint stand, by looking at every row.
fn stand(rows: &[EventRow], endpoint: EndpointKey, since_ms: i64, until_ms: i64) -> DeliveryCounts {
    let mut counts = DeliveryCounts::default();
    for row in rows.iter().filter(|row| (since_ms..until_ms).contains(&row.received_at_ms)) {
        let to = row.deliveries.iter().filter(|delivery| delivery.endpoint == endpoint);
        match to.max_by_key(|delivery| delivery.generation) {
            None => {}
            Some(last) if last.state == DeliveryState::Delivered => counts.delivered += 1,
            Some(last) if last.state == DeliveryState::Failed => counts.failed += 1,
            Some(last) if last.due_ms.is_some() => counts.waiting += 1,
            Some(_) => counts.leased += 1,
        }
    }
    counts
}

const HOUR_MS: i64 = 3_600_000;

/// Stretches with their ends at, before and behind events, within an hour and over many.
const STRETCHES: [(i64, i64); 10] = [
    (i64::MIN, i64::MAX),
    (T0, T0 + HOUR_MS),
    (T0 + 1, T0 + HOUR_MS + 1),
    (T0 - DAY_MS, T0),
    (T0, T0 + 1),
    (T0 + HOUR_MS / 2, T0 + 7 * HOUR_MS / 2),
    (T0 + 3 * HOUR_MS, T0 + 3 * HOUR_MS + 1),
    (T0 + 3 * HOUR_MS + 1, i64::MAX),
    (T0 + 5, T0 + 5),
    (T0 + HOUR_MS, T0),
];

/// Compares every scope's counts with its lists.
async fn assert_counts(world: &World, scopes: &[Scope], endpoints: &[EndpointKey]) {
    for scope in scopes {
        let rows = listed(world, *scope).await;
        for (since_ms, until_ms) in STRETCHES {
            let told = world.store.event_count(*scope, since_ms, until_ms).await.unwrap();
            let expected = counted(&rows, since_ms, until_ms);
            assert_eq!(told, expected, "{scope:?} {since_ms}..{until_ms}");
            for endpoint in endpoints {
                let told = world
                    .store
                    .delivery_count(*scope, *endpoint, since_ms, until_ms)
                    .await
                    .unwrap();
                let expected = stand(&rows, *endpoint, since_ms, until_ms);
                assert_eq!(told, expected, "{scope:?} {endpoint:?} {since_ms}..{until_ms}");
            }
        }
    }
}

/// Counts are what counting the list gives: at every stage of deliveries, for every scope, after a
/// crash, and when retention has taken some.
pub async fn counts_are_what_the_list_gives(place: Place) {
    let mut world = World::new(place).await;
    let acme = world.make(customer("acme")).await.key;
    let hook = world.attach(made_endpoint(acme, "hook")).await.key;
    let scopes = [
        MAIN,
        Scope::all(OTHER),
        Scope::of(Owner::MAIN, world.alpha),
        Scope::of(Owner::MAIN, acme),
        Scope::of(OTHER, world.alpha),
        Scope::of(Owner::MAIN, ApplicationKey(9_999)),
    ];
    let endpoints = [world.a[0], world.a[1], world.b, world.g, hook, EndpointKey(9_999)];
    assert_counts(&world, &scopes, &endpoints).await;
    let types = [None, Some("push"), Some(""), Some("invoice.paid"), Some("a")];
    let mut held = Vec::new();
    for at in 0..24_i64 {
        let at_ms = T0 + at * HOUR_MS / 4;
        let (application, to) = match at % 4 {
            0 => (world.beta, &[world.b][..]),
            1 => (world.alpha, &world.a[..2]),
            2 => (acme, &[hook][..]),
            _ => (world.alpha, &world.a[..1]),
        };
        let mut accept = event(application, at_ms).keyed(at as u32);
        if let Some(event_type) = types[at as usize % types.len()] {
            accept = accept.typed(event_type);
        }
        accept = if at % 5 == 0 { accept.leased(to) } else { accept.waiting(to) };
        let (id, lease) = world.store_new(accept).await;
        held.push((crate::fixture::delivery(id, to[0]), lease));
    }
    world.store_event(event(world.gamma, T0 + 5).typed("push").waiting(&[world.g])).await;
    assert_counts(&world, &scopes, &endpoints).await;
    // Repeats do not count.
    world.accept(event(world.alpha, T0 + 6 * HOUR_MS).keyed(1)).await;
    let now_ms = T0 + 6 * HOUR_MS;
    world.end_all(world.a[1], now_ms, EXHAUSTED).await;
    world.end_all(hook, now_ms, NextStep::Delivered).await;
    for (at, leased) in world.lease(world.a[0], T0 + 3 * HOUR_MS).await.into_iter().enumerate() {
        let next = [EXHAUSTED, NextStep::Delivered, NextStep::RetryAt(now_ms + 9)][at % 3];
        let written = crate::fixture::attempt(1, now_ms);
        world.record(leased.key, leased.lease, written, next).await;
    }
    assert_counts(&world, &scopes, &endpoints).await;
    for (key, _) in held.iter().skip(1).step_by(3) {
        let replayed = world.store.delivery_replay(MAIN, key.event, Vec::new(), now_ms).await;
        assert!(replayed.unwrap().is_some());
    }
    assert_counts(&world, &scopes, &endpoints).await;
    world.end_all(hook, now_ms, EXHAUSTED).await;
    assert_counts(&world, &scopes, &endpoints).await;
    if !world.reopen().await {
        return;
    }
    assert_counts(&world, &scopes, &endpoints).await;
    for endpoint in [world.a[0], world.a[1], world.b, hook] {
        world.end_all(endpoint, now_ms + DAY_MS, NextStep::Delivered).await;
    }
    assert_counts(&world, &scopes, &endpoints).await;
    let mut doomed = Vec::new();
    for row in listed(&world, MAIN).await {
        let ended = row.deliveries.iter().all(|one| one.state == DeliveryState::Delivered);
        if ended && row.received_at_ms < T0 + 2 * HOUR_MS {
            doomed.push(row.id);
        }
    }
    assert!(!doomed.is_empty());
    world.sweep(POLICY, T0 + 10 * DAY_MS + 2 * HOUR_MS, &doomed).await;
    assert_counts(&world, &scopes, &endpoints).await;
}

/// The numbers themselves, for one endpoint and one application.
pub async fn counts_are_told_in_order(place: Place) {
    let world = World::new(place).await;
    world.store_event(event(world.beta, T0).typed("push").waiting(&[world.b])).await;
    world.store_event(event(world.alpha, T0).typed("push").waiting(&world.a)).await;
    world.store_event(event(world.alpha, T0).typed("ping")).await;
    world.store_event(event(world.alpha, T0)).await;
    world.store_event(event(world.alpha, T0 + 1).typed("push").leased(&world.a[..1])).await;
    let count = |application, event_type: Option<&str>, events, deliveries| EventCount {
        application,
        event_type: event_type.map(str::to_owned),
        events,
        deliveries,
    };
    let expected = [
        count(world.alpha, None, 1, 0),
        count(world.alpha, Some("ping"), 1, 0),
        count(world.alpha, Some("push"), 2, 4),
        count(world.beta, Some("push"), 1, 1),
    ];
    assert_eq!(world.store.event_count(MAIN, T0, T0 + 2).await.unwrap(), expected);
    assert!(world.store.event_count(MAIN, T0, T0).await.unwrap().is_empty());
    let to_a1 = async || world.store.delivery_count(MAIN, world.a[0], T0, T0 + 2).await.unwrap();
    let counts = DeliveryCounts { waiting: 1, leased: 1, ..DeliveryCounts::default() };
    assert_eq!(to_a1().await, counts);
    world.end_all(world.a[0], T0, NextStep::Delivered).await;
    let counts = DeliveryCounts { delivered: 1, leased: 1, ..DeliveryCounts::default() };
    assert_eq!(to_a1().await, counts);
}
