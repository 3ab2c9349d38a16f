//! Lists of events: order, filters, pages.

use becket_model::{DeliveryState, Disposition, EventId, FailureReason, NextStep};
use becket_store::{EventFilter, Page};

use crate::Place;
use crate::fixture::{EXHAUSTED, MAIN, T0, Wishes, World, dedupe_key, event, ids};

/// Events come newest first, at most as many as were asked for.
pub async fn newest_come_first(place: Place) {
    let world = World::new(place).await;
    let mut stored = Vec::new();
    for at in 0..10 {
        stored.insert(0, world.store_event(event(world.alpha, T0 + at)).await);
    }
    for limit in [0, 1, 3, 10, 1_000] {
        let page = Page::newest(limit);
        let rows = world.store.event_list(MAIN, EventFilter::default(), page).await.unwrap();
        assert_eq!(ids(&rows), stored[..limit.min(10)], "limit {limit}");
        for row in rows {
            assert_eq!(world.row(row.id).await, row, "a list says what a look at the event says");
        }
    }
}

/// A filter by type finds any of the types, and never an event without one.
pub async fn filter_by_type(place: Place) {
    let world = World::new(place).await;
    let push = world.store_event(event(world.alpha, T0).typed("push")).await;
    let ping = world.store_event(event(world.alpha, T0).typed("ping")).await;
    world.store_event(event(world.alpha, T0)).await;
    let star = world.store_event(event(world.alpha, T0).typed("pu%")).await;
    let of = |types: &[&str]| EventFilter {
        event_types: types.iter().map(|name| (*name).to_owned()).collect(),
        ..EventFilter::default()
    };
    assert_eq!(world.find(of(&["push"])).await, [push]);
    assert_eq!(world.find(of(&["ping", "push"])).await, [ping, push]);
    assert_eq!(world.find(of(&["pu%"])).await, [star], "types are compared whole");
    assert!(world.find(of(&["PUSH"])).await.is_empty());
    assert!(world.find(of(&[""])).await.is_empty());
}

/// A filter by state finds events with at least one delivery in that state.
pub async fn filter_by_state(place: Place) {
    let world = World::new(place).await;
    let delivered = world.one_ended(T0, NextStep::Delivered).await;
    let failed = world.one_ended(T0, EXHAUSTED).await;
    let gone = world.one_ended(T0, NextStep::Failed(FailureReason::Gone)).await;
    let retrying = world.one_ended(T0, NextStep::RetryAt(T0 + 9)).await;
    let leased = world.one_leased(T0).await.0.event;
    let both = world.store_event(event(world.alpha, T0).waiting(&world.a[1..])).await;
    world.store_event(event(world.alpha, T0)).await;
    world.end_all(world.a[1], T0, NextStep::Delivered).await;
    let of = |state| EventFilter { state: Some(state), ..EventFilter::default() };
    assert_eq!(world.find(of(DeliveryState::Delivered)).await, [both, delivered]);
    assert_eq!(world.find(of(DeliveryState::Failed)).await, [gone, failed]);
    assert_eq!(world.find(of(DeliveryState::Pending)).await, [both, leased, retrying]);
    assert!(world.find(of(DeliveryState::Cancelled)).await.is_empty());
    world.store.delivery_replay(MAIN, failed, Vec::new(), T0).await.unwrap();
    let still = world.find(of(DeliveryState::Failed)).await;
    assert_eq!(still, [gone, failed], "a replay does not undo a failure");
    assert!(world.find(of(DeliveryState::Pending)).await.contains(&failed));
}

/// A filter by endpoint finds events with at least one delivery to it.
pub async fn filter_by_endpoint(place: Place) {
    let world = World::new(place).await;
    let first = world.store_event(event(world.alpha, T0).waiting(&world.a[..1])).await;
    let all = world.store_event(event(world.alpha, T0).waiting(&world.a)).await;
    world.store_event(event(world.alpha, T0)).await;
    let of = |endpoint| EventFilter { endpoint: Some(endpoint), ..EventFilter::default() };
    assert_eq!(world.find(of(world.a[0])).await, [all, first]);
    assert_eq!(world.find(of(world.a[2])).await, [all]);
    assert!(world.find(of(world.b)).await.is_empty());
    world.store.delivery_replay(MAIN, first, vec![world.a[2]], T0).await.unwrap();
    assert_eq!(world.find(of(world.a[2])).await, [all, first], "replays count");
}

/// A filter by disposition finds that one.
pub async fn filter_by_disposition(place: Place) {
    let world = World::new(place).await;
    for disposition in [Disposition::Accepted, Disposition::Filtered, Disposition::Invalid] {
        let id = world.store_event(event(world.alpha, T0).judged(disposition)).await;
        let filter = EventFilter { disposition: Some(disposition), ..EventFilter::default() };
        assert_eq!(world.find(filter).await, [id]);
    }
}

/// A filter by time takes the first moment and leaves the last, by arrival and not by id.
pub async fn filter_by_time(place: Place) {
    let world = World::new(place).await;
    let mut stored = Vec::new();
    for at_ms in [T0, T0 + 10, T0 + 20, T0 + 5] {
        stored.push(world.store_event(event(world.alpha, at_ms)).await);
    }
    let of = |since_ms, until_ms| EventFilter { since_ms, until_ms, ..EventFilter::default() };
    assert_eq!(world.find(of(Some(T0 + 10), None)).await, [stored[2], stored[1]]);
    assert_eq!(world.find(of(None, Some(T0 + 10))).await, [stored[3], stored[0]]);
    assert_eq!(world.find(of(Some(T0 + 5), Some(T0 + 20))).await, [stored[3], stored[1]]);
    assert!(world.find(of(Some(T0 + 21), None)).await.is_empty());
    assert!(world.find(of(Some(T0 + 10), Some(T0 + 10))).await.is_empty());
}

/// A filter by dedupe key finds every event that was stored with it, in every source.
pub async fn filter_by_dedupe_key(place: Place) {
    let world = World::new(place).await;
    let window_ms = crate::fixture::ID_WINDOW_MS as i64;
    let first = world.store_event(event(world.alpha, T0).keyed(1)).await;
    let beta = world.store_event(event(world.beta, T0).keyed(1)).await;
    let other = world.store_event(event(world.alpha, T0).keyed(2)).await;
    world.store_event(event(world.alpha, T0)).await;
    let later = world.store_event(event(world.alpha, T0 + window_ms).keyed(1)).await;
    let of = |key| EventFilter { dedupe: Some(dedupe_key(key)), ..EventFilter::default() };
    assert_eq!(world.find(of(1)).await, [later, beta, first]);
    assert_eq!(world.find(of(2)).await, [other]);
    assert!(world.find(of(3)).await.is_empty());
}

/// Events that name a channel, exactly.
pub async fn filter_by_channel(place: Place) {
    let world = World::new(place).await;
    let labels: [&[&str]; 6] = [&["eu"], &["us", "eu"], &[], &["e"], &["a\"b", ""], &["EU"]];
    let mut stored = Vec::new();
    for (at, channels) in (0..).zip(labels) {
        let accept = event(world.alpha, T0 + at).labelled(channels, &["eu", "x"]);
        stored.push(world.store_event(accept).await);
    }
    let of =
        |channel: &str| EventFilter { channel: Some(channel.to_owned()), ..EventFilter::default() };
    assert_eq!(world.find(of("eu")).await, [stored[1], stored[0]]);
    assert_eq!(world.find(of("e")).await, [stored[3]], "not a part of a name");
    assert_eq!(world.find(of("a\"b")).await, [stored[4]]);
    assert_eq!(world.find(of("")).await, [stored[4]]);
    for none in ["x", "%", "eu,us", "[]"] {
        assert!(world.find(of(none)).await.is_empty(), "{none}");
    }
}

/// Events with a tag, exactly.
pub async fn filter_by_tag(place: Place) {
    let mut world = World::new(place).await;
    let labels: [&[&str]; 6] = [&["new"], &["vip", "new"], &[], &["n"], &["'\\\"%_"], &["New"]];
    let mut stored = Vec::new();
    for (at, tags) in (0..).zip(labels) {
        let accept = event(world.alpha, T0 + at).labelled(&["new", "x"], tags);
        stored.push(world.store_event(accept).await);
    }
    let of = |tag: &str| EventFilter { tag: Some(tag.to_owned()), ..EventFilter::default() };
    for _ in 0..2 {
        assert_eq!(world.find(of("new")).await, [stored[1], stored[0]]);
        assert_eq!(world.find(of("n")).await, [stored[3]], "not a part of a name");
        assert_eq!(world.find(of("'\\\"%_")).await, [stored[4]]);
        for none in ["x", "%", "_", ""] {
            assert!(world.find(of(none)).await.is_empty(), "{none}");
        }
        if !world.reopen().await {
            return;
        }
    }
}

/// Of several fields every one has to match; state and endpoint the same delivery.
pub async fn filters_combine(place: Place) {
    let world = World::new(place).await;
    let mut stored = Vec::new();
    for at in 0..16 {
        let mut accept = event(world.alpha, T0 + at).waiting(&world.a[..1]);
        accept = accept.labelled(&["eu", "us"], &["new", "paid"]);
        if at & 1 == 0 {
            accept = accept.typed("push");
        }
        if at & 2 == 0 {
            accept = accept.judged(Disposition::Invalid);
        }
        if at & 4 == 0 {
            accept = accept.waiting(&world.a[1..2]);
        }
        stored.push(world.store_event(accept.keyed(at as u32)).await);
    }
    world.end_all(world.a[1], T0 + 20, EXHAUSTED).await;
    let filter = EventFilter {
        event_types: vec!["push".to_owned()],
        state: Some(DeliveryState::Failed),
        endpoint: Some(world.a[1]),
        disposition: Some(Disposition::Invalid),
        since_ms: Some(T0 + 1),
        until_ms: Some(T0 + 16),
        dedupe: None,
        channel: Some("us".to_owned()),
        tag: Some("new".to_owned()),
        unverified: Some(false),
    };
    assert_eq!(world.find(filter.clone()).await, [stored[8]]);
    let wider = EventFilter { since_ms: None, ..filter.clone() };
    assert_eq!(world.find(wider).await, [stored[8], stored[0]]);
    let by_key = EventFilter { dedupe: Some(dedupe_key(8)), ..filter.clone() };
    assert_eq!(world.find(by_key).await, [stored[8]]);
    for narrower in [
        EventFilter { dedupe: Some(dedupe_key(0)), ..filter.clone() },
        EventFilter { state: Some(DeliveryState::Delivered), ..filter.clone() },
        EventFilter { endpoint: Some(world.a[0]), ..filter.clone() },
        EventFilter { disposition: Some(Disposition::Filtered), ..filter.clone() },
        EventFilter { channel: Some("new".to_owned()), ..filter.clone() },
        EventFilter { tag: Some("us".to_owned()), ..filter.clone() },
        EventFilter { unverified: Some(true), ..filter.clone() },
        EventFilter { event_types: vec!["pull".to_owned()], ..filter },
    ] {
        assert!(world.find(narrower.clone()).await.is_empty(), "{narrower:?}");
    }
}

/// A filter of which few match still fills its pages.
pub async fn sparse_filters_fill_their_pages(place: Place) {
    let world = World::new(place).await;
    let mut rare = Vec::new();
    for at in 0..36 {
        let event_type = if at % 9 == 0 { "rare" } else { "common" };
        let id = world.store_event(event(world.alpha, T0 + at).typed(event_type)).await;
        if at % 9 == 0 {
            rare.insert(0, id);
        }
    }
    let filter = EventFilter { event_types: vec!["rare".to_owned()], ..EventFilter::default() };
    let page = Page::newest(3);
    let rows = world.store.event_list(MAIN, filter.clone(), page).await.unwrap();
    assert_eq!(ids(&rows), rare[..3]);
    let page = Page { before: Some(rare[2]), ..page };
    let rows = world.store.event_list(MAIN, filter, page).await.unwrap();
    assert_eq!(ids(&rows), rare[3..]);
}

/// Pages downwards show everything that was there exactly once, while new events arrive.
pub async fn pages_down_show_everything_once(place: Place) {
    let world = World::new(place).await;
    let mut stored = Vec::new();
    for at in 0..23 {
        stored.insert(0, world.store_event(event(world.alpha, T0 + at)).await);
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = Page { limit: 4, before, after: None };
        let rows = world.store.event_list(MAIN, EventFilter::default(), page).await.unwrap();
        world.store_event(event(world.alpha, T0 + 100)).await;
        let Some(last) = rows.last() else { break };
        before = Some(last.id);
        seen.extend(ids(&rows));
    }
    assert_eq!(seen, stored);
}

/// Pages upwards show everything exactly once, oldest first, and then what arrived meanwhile.
pub async fn pages_up_show_everything_once(place: Place) {
    let world = World::new(place).await;
    let mut stored = Vec::new();
    for at in 0..14 {
        stored.push(world.store_event(event(world.alpha, T0 + at)).await);
    }
    let (mut seen, mut after) = (vec![stored[0]], stored[0]);
    for round in 0.. {
        let page = Page { limit: 4, before: None, after: Some(after) };
        let rows = world.store.event_list(MAIN, EventFilter::default(), page).await.unwrap();
        if round < 5 {
            stored.push(world.store_event(event(world.alpha, T0 + 100)).await);
        }
        let Some(last) = rows.last() else { break };
        after = last.id;
        seen.extend(ids(&rows));
    }
    assert_eq!(seen, stored);
}

/// A page may begin at an id that is not there: what counts is its place.
pub async fn a_page_may_begin_anywhere(place: Place) {
    let world = World::new(place).await;
    let older = world.store_event(event(world.alpha, T0)).await;
    let foreign = world.store_event(event(world.gamma, T0 + 1)).await;
    let newer = world.store_event(event(world.alpha, T0 + 2)).await;
    let list = async |before, after| {
        let page = Page { limit: 10, before, after };
        ids(&world.store.event_list(MAIN, EventFilter::default(), page).await.unwrap())
    };
    let lowest = EventId::from_bytes([0; 20]);
    assert_eq!(list(Some(foreign), None).await, [older]);
    assert_eq!(list(None, Some(foreign)).await, [newer]);
    assert_eq!(list(None, Some(lowest)).await, [older, newer]);
    assert!(list(Some(lowest), None).await.is_empty());
    assert!(list(Some(older), None).await.is_empty());
    assert!(list(None, Some(newer)).await.is_empty());
}
