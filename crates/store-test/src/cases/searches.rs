//! Searches: bounded walks that go on where they stopped.

use std::sync::Arc;

use becket_model::{DeliveryState, EventId, NextStep};
use becket_store::search::{Search, Searched};
use becket_store::{EventFilter, EventRow, Page};

use crate::Place;
use crate::fixture::{EXHAUSTED, MAIN, T0, Wishes as _, World, event, ids, record};

/// Long enough to find everything that is there.
const BUDGET_MS: u64 = 60_000;

/// Events of two sources and types, some of them failed, delivered, waiting or without deliveries.
async fn filled(place: Place) -> World {
    let world = World::new(place).await;
    for at in 0..40_i64 {
        let mut accept = match at % 5 {
            0 => event(world.beta, T0 + at),
            _ => event(world.alpha, T0 + at),
        };
        accept.event_type = (at % 3 != 0).then(|| format!("type.{}", at % 7));
        accept.labels.unverified = (at % 6 == 0).then(|| "stale".to_owned());
        let body = format!("{{\"at\":{at},\"name\":\"Ünï {}\"}}", at % 4);
        accept.record = record(&[("x-at", at.to_string().as_bytes())], body.as_bytes());
        let accept = match at % 5 {
            0 => accept,
            1 => accept.waiting(&world.a[..1]),
            2 => accept.waiting(&world.a[..2]),
            _ => accept.waiting(&world.a[2..]),
        };
        world.store_event(accept).await;
        match at {
            13 => world.end_all(world.a[0], T0 + 50, EXHAUSTED).await,
            27 => world.end_all(world.a[2], T0 + 60, NextStep::Delivered).await,
            _ => {}
        }
    }
    world
}

/// Everything that a search finds, call by call; each call may look at `rows_max` events.
async fn walked(
    world: &World,
    search: &Search,
    rows_max: usize,
    limit: usize,
    upwards: bool,
) -> Vec<EventId> {
    let search = Search { rows_max, budget_ms: BUDGET_MS, ..search.clone() };
    let lowest = EventId::new(becket_model::EventSeq(0), [0; 12]);
    let (mut before, mut after) = (None, upwards.then_some(lowest));
    let mut seen = Vec::new();
    for _ in 0..10_000 {
        let page = Page { limit, before, after };
        let Searched { rows, reached, done } =
            world.store.event_search(MAIN, search.clone(), page).await.unwrap();
        assert!(rows.len() <= limit, "{search:?}");
        seen.extend(ids(&rows));
        if done {
            return seen;
        }
        let reached = reached.expect("a call that is not the last gets somewhere");
        let edge = if upwards { &mut after } else { &mut before };
        assert_ne!(*edge, Some(reached), "{search:?}");
        *edge = Some(reached);
    }
    panic!("{search:?} never ends");
}

/// However little a call may look at, the calls together find what a list finds, each event once.
pub async fn a_search_goes_on_where_it_stopped(place: Place) {
    let world = filled(place).await;
    let types = |types: &[&str]| EventFilter {
        event_types: types.iter().map(|one| (*one).to_owned()).collect(),
        ..EventFilter::default()
    };
    let filters = [
        EventFilter::default(),
        types(&["type.1"]),
        types(&["type.2", "type.5"]),
        types(&["no.such"]),
        EventFilter { state: Some(DeliveryState::Failed), ..EventFilter::default() },
        EventFilter { state: Some(DeliveryState::Pending), ..EventFilter::default() },
        EventFilter { state: Some(DeliveryState::Delivered), ..EventFilter::default() },
        EventFilter { endpoint: Some(world.a[1]), ..EventFilter::default() },
        EventFilter {
            endpoint: Some(world.a[0]),
            state: Some(DeliveryState::Failed),
            ..types(&["type.1", "type.4"])
        },
        EventFilter { since_ms: Some(T0 + 5), until_ms: Some(T0 + 21), ..types(&["type.4"]) },
        EventFilter { unverified: Some(true), ..EventFilter::default() },
    ];
    for filter in filters {
        let all = world.find(filter.clone()).await;
        let search = Search { filter, ..Search::default() };
        for (rows_max, limit) in [(1, 1), (1, 50), (3, 2), (7, 4), (0, 5), (0, 100)] {
            let down = walked(&world, &search, rows_max, limit, false).await;
            assert_eq!(down, all, "{rows_max} {limit} {search:?}");
            let mut up = walked(&world, &search, rows_max, limit, true).await;
            up.reverse();
            assert_eq!(up, all, "{rows_max} {limit} {search:?} upwards");
        }
    }
    let pending =
        world.find(EventFilter { state: Some(DeliveryState::Pending), ..EventFilter::default() });
    let failed =
        world.find(EventFilter { state: Some(DeliveryState::Failed), ..EventFilter::default() });
    let (mut either, failed) = (pending.await, failed.await);
    assert!(!either.is_empty() && !failed.is_empty());
    either.extend(failed);
    either.sort_unstable();
    either.dedup();
    either.reverse();
    let among = vec![DeliveryState::Pending, DeliveryState::Failed];
    let search = Search { among, ..Search::default() };
    for (rows_max, limit) in [(1, 1), (5, 3), (0, 100)] {
        assert_eq!(walked(&world, &search, rows_max, limit, false).await, either);
    }
}

/// A search judges the bytes of an event together with its row.
pub async fn searches_look_into_records(place: Place) {
    let world = filled(place).await;
    let test = |row: &EventRow, record: &becket_model::EventRecord| {
        row.event_type.is_none() && record.body().ends_with(" 2\"}".as_bytes())
    };
    let search = Search { record: Some(Arc::new(test)), ..Search::default() };
    let found = walked(&world, &search, 0, 100, false).await;
    // Every third is without a type, and every fourth ends like this.
    assert_eq!(found.len(), (0..40).filter(|at| at % 3 == 0 && at % 4 == 2).count());
    for (rows_max, limit) in [(1, 1), (4, 2)] {
        assert_eq!(walked(&world, &search, rows_max, limit, false).await, found);
    }
    let in_time = Search { budget_ms: 0, ..search };
    let page = Page::newest(100);
    let searched = world.store.event_search(MAIN, in_time, page).await.unwrap();
    assert!(searched.reached.is_some() && !searched.done, "a call gets somewhere in no time");
}

/// A filter by verdict tells what was accepted unverified from the rest.
pub async fn filter_by_verdict(place: Place) {
    let world = filled(place).await;
    let of = |unverified| EventFilter { unverified: Some(unverified), ..EventFilter::default() };
    assert_eq!(world.find(of(true)).await.len(), 7);
    assert_eq!(world.find(of(false)).await.len(), 33);
}

/// How many deliveries wait is told for each endpoint.
pub async fn waiting_deliveries_are_counted(place: Place) {
    let world = filled(place).await;
    let waiting = world.store.delivery_waiting().await.unwrap();
    let of = |endpoint| waiting.iter().find(|(one, _)| *one == endpoint).map_or(0, |one| one.1);
    // Of 16 that were planned, six had failed at the 13th.
    let expected = |endpoint, from: i64, wanted: fn(i64) -> bool| {
        let count = (from..40).filter(|at| wanted(at % 5)).count() as u64;
        assert_eq!(of(endpoint), count);
    };
    expected(world.a[0], 14, |rest| rest == 1 || rest == 2);
    expected(world.a[1], 0, |rest| rest == 2);
    expected(world.a[2], 28, |rest| rest > 2);
    assert_eq!(of(world.b), 0);
}
