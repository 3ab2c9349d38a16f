//! Days far ahead: what a clock that was ahead had given a later place, and a move has brought along.

use becket_model::{EventId, NextStep};
use becket_store::{EventFilter, Owner, Page, RetentionPolicy, Scope, Store as _};
use becket_store_postgres::PostgresStore;

use super::support::Schema;
use super::{DAY_MS, FAILED, MAIN, POLICY, T0, event, finish, make};

/// Nobody's clock is there yet.
const AHEAD_MS: i64 = T0 + 20_000 * DAY_MS;

/// Events with places far ahead, one received on each of the days from `T0` on: delivered, failed,
/// pending, and so on.
async fn received_long_before(schema: &Schema, store: &PostgresStore, count: u32) -> Vec<EventId> {
    let (application, endpoint, _) = make(store).await;
    let mut ids = Vec::new();
    for at in 0..count {
        let mut accept = event(application, endpoint, AHEAD_MS, at);
        accept.planned[0].leased = at % 3 != 2;
        let accepted = store.event_accept(MAIN, accept).await.unwrap();
        let becket_store::Accepted::Stored { event, lease, .. } = accepted else { panic!("new") };
        let next = [Some(NextStep::Delivered), Some(FAILED), None][at as usize % 3];
        if let Some(next) = next {
            let key = becket_model::DeliveryKey { event, endpoint, generation: 0 };
            finish(store, key, lease, next).await;
        }
        let received_at_ms = T0 + i64::from(at) * DAY_MS;
        let seq = event.seq().0;
        schema.query(&format!(
            "UPDATE event SET received_at_ms = {received_at_ms} WHERE seq = {seq}"
        ));
        ids.push(event);
    }
    ids
}

async fn listed(store: &PostgresStore, filter: EventFilter, page: Page) -> Vec<EventId> {
    let rows = store.event_list(MAIN, filter, page).await.unwrap();
    rows.iter().map(|row| row.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_found_by_when_they_were_received() {
    let schema = Schema::new();
    let store = schema.open().await;
    let ids = received_long_before(&schema, &store, 6).await;
    let (application, endpoint) = {
        let config = store.config_list(Owner::MAIN).await.unwrap();
        (config.applications[0].key, config.endpoints[0].key)
    };
    // Others lie where they belong.
    let mut near = Vec::new();
    for day in 0..6 {
        let accept = event(application, endpoint, T0 + day * DAY_MS + 1, 100 + day as u32);
        near.push(store.event_accept(MAIN, accept).await.unwrap().event());
    }
    let until = |until_ms| EventFilter { until_ms: Some(until_ms), ..EventFilter::default() };
    let filter = until(T0 + 2 * DAY_MS);
    let newest = [ids[1], ids[0], near[1], near[0]];
    assert_eq!(listed(&store, filter.clone(), Page::newest(9)).await, newest);
    let page = Page { before: Some(ids[1]), ..Page::newest(2) };
    assert_eq!(listed(&store, filter.clone(), page).await, newest[1..3]);
    let page = Page { before: Some(ids[0]), ..Page::newest(9) };
    assert_eq!(listed(&store, filter.clone(), page).await, newest[2..]);
    let page = Page { after: Some(near[0]), ..Page::newest(9) };
    assert_eq!(listed(&store, filter.clone(), page).await, [near[1], ids[0], ids[1]]);
    let between = EventFilter { since_ms: Some(T0 + DAY_MS), ..until(T0 + 3 * DAY_MS) };
    assert_eq!(listed(&store, between, Page::newest(9)).await, [ids[2], ids[1], near[2], near[1]]);
    let counts = store.event_count(MAIN, T0, T0 + 3 * DAY_MS).await.unwrap();
    assert_eq!(counts.iter().map(|count| count.events).sum::<u64>(), 6);
    let scope = Scope { application: Some(application), ..MAIN };
    let counts = store.delivery_count(scope, endpoint, T0, T0 + 3 * DAY_MS).await.unwrap();
    assert_eq!((counts.delivered, counts.failed, counts.waiting), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn they_go_by_when_they_were_received() {
    let schema = Schema::new();
    let store = schema.open().await;
    let ids = received_long_before(&schema, &store, 30).await;
    let sweep = async |now_ms| {
        while store.retention_sweep(POLICY, now_ms).await.unwrap().more {}
        let mut left = listed(&store, EventFilter::default(), Page::newest(99)).await;
        left.reverse();
        left
    };
    let expected = |now_ms: i64| {
        let stays = |at: usize| {
            let age_ms = now_ms - (T0 + at as i64 * DAY_MS);
            match at % 3 {
                0 => age_ms <= 10 * DAY_MS,
                1 => age_ms <= 30 * DAY_MS,
                _ => true,
            }
        };
        let all = ids.iter().enumerate().filter(|(at, _)| stays(*at));
        all.map(|(_, id)| *id).collect::<Vec<_>>()
    };
    for day in [5, 11, 14, 31, 45] {
        let now_ms = T0 + day * DAY_MS;
        assert_eq!(sweep(now_ms).await, expected(now_ms), "day {day}");
    }
    assert_eq!(sweep(T0 + 90 * DAY_MS).await.len(), 10, "what is pending");
    assert_eq!(store.stats().await.unwrap().events, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_cap_the_oldest_go_first() {
    let schema = Schema::new();
    let store = schema.open().await;
    let ids = received_long_before(&schema, &store, 12).await;
    let (application, endpoint) = {
        let config = store.config_list(Owner::MAIN).await.unwrap();
        (config.applications[0].key, config.endpoints[0].key)
    };
    let near = async |day: i64| {
        let mut accept = event(application, endpoint, T0 + day * DAY_MS, (102 + day) as u32);
        accept.planned.clear();
        store.event_accept(MAIN, accept).await.unwrap().event()
    };
    let (early, late) = (near(-2).await, near(8).await);
    let now_ms = T0 + 10 * DAY_MS;
    // A store that is only just too large; each step frees more than that.
    let mut gone = Vec::new();
    for step in 0..12 {
        let before = store.stats().await.unwrap();
        let tight = RetentionPolicy {
            delivered_ms: 900 * DAY_MS as u64,
            failed_ms: 900 * DAY_MS as u64,
            cap_bytes: Some(before.bytes - 1),
        };
        store.retention_sweep(tight, now_ms + step).await.unwrap();
        for id in ids.iter().chain([&early, &late]) {
            if !gone.contains(id) && store.event_get(MAIN, *id).await.unwrap().is_none() {
                gone.push(*id);
            }
        }
    }
    let expected = [early, ids[0], ids[1], ids[3], ids[4], ids[6], ids[7], late, ids[9]];
    assert_eq!(gone, expected, "not what is pending, and nothing of today");
    assert_eq!(store.stats().await.unwrap().events, 5);
}
