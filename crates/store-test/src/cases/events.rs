//! Reading events back: the row, and the exact bytes.

use becket_model::{
    DeliveryState, Disposition, EventId, EventLabels, EventRecord, EventSeq, FilteredBy, Released,
};
use becket_store::{DeliveryRow, EventAccept, EventRow};

use crate::Place;
use crate::fixture::{MAIN, T0, Wishes, World, event, record};

/// An id that nobody was given.
const UNKNOWN: EventId = EventId::from_bytes([3; 20]);

/// The row has everything that was said when the event was accepted.
pub async fn the_row_says_what_was_accepted(place: Place) {
    let world = World::new(place).await;
    let accept = event(world.alpha, T0 + 7)
        .typed("invoice.paid")
        .judged(Disposition::Invalid)
        .waiting(&world.a[1..2])
        .leased(&world.a[..1]);
    let labels = EventLabels {
        event_id: Some("order 17".to_owned()),
        channels: vec!["eu".to_owned(), "a \"quoted\" one".to_owned()],
        tags: vec!["ünïcode".to_owned(), String::new()],
        deliver_at_ms: Some(T0 + 8),
        payload_until_ms: Some(i64::MAX),
        request_hash: Some("hash".to_owned()),
        unverified: Some("signature_mismatch".to_owned()),
        released: Some(Released {
            first_received_at_ms: T0,
            refused_as: "signature_mismatch".to_owned(),
            by: "admin".to_owned(),
            reason: Some("the sender is known: \"ü\"".to_owned()),
        }),
        filtered: vec![FilteredBy {
            endpoint: world.a[2],
            clause: "body.ref".to_owned(),
            expected: "$startsWith \"ü\"".to_owned(),
            found: "nothing".to_owned(),
        }],
    };
    let accept = EventAccept { labels: labels.clone(), ..accept };
    let size_bytes = accept.record.packed().len() as u64;
    let id = world.store_event(accept).await;
    let row = |endpoint, due_ms| DeliveryRow {
        endpoint,
        generation: 0,
        state: DeliveryState::Pending,
        attempts: 0,
        due_ms,
    };
    let expected = EventRow {
        id,
        application: world.alpha,
        received_at_ms: T0 + 7,
        event_type: Some("invoice.paid".to_owned()),
        disposition: Disposition::Invalid,
        labels,
        size_bytes,
        deliveries: vec![row(world.a[1], Some(T0 + 7)), row(world.a[0], None)],
    };
    assert_eq!(world.row(id).await, expected, "the leased one is under way, so it is not due");
}

/// Every disposition, and an event without a type or a destination, come back as they went in.
pub async fn the_plainest_events_come_back(place: Place) {
    let world = World::new(place).await;
    for disposition in [Disposition::Accepted, Disposition::Filtered, Disposition::Invalid] {
        let id = world.store_event(event(world.alpha, T0).judged(disposition)).await;
        let row = world.row(id).await;
        assert_eq!((row.disposition, row.event_type), (disposition, None));
        assert!(row.labels.is_empty(), "{:?}", row.labels);
        assert!(row.deliveries.is_empty());
    }
    let id = world.store_event(event(world.alpha, T0).typed("")).await;
    assert_eq!(world.row(id).await.event_type.as_deref(), Some(""), "no type is not an empty one");
    let id = world.store_event(event(world.alpha, T0).typed("ünïcode '\"; %_")).await;
    assert_eq!(world.row(id).await.event_type.as_deref(), Some("ünïcode '\"; %_"));
}

/// Deliveries stand in the order in which they were planned.
pub async fn deliveries_stand_in_their_planned_order(place: Place) {
    let world = World::new(place).await;
    let planned = [world.a[2], world.a[0], world.a[1]];
    let id = world.store_event(event(world.alpha, T0).waiting(&planned)).await;
    let rows = world.deliveries(id).await;
    assert_eq!(rows.iter().map(|row| row.endpoint).collect::<Vec<_>>(), planned);
}

async fn comes_back(place: Place, wanted: EventRecord) {
    let mut world = World::new(place).await;
    let accept =
        EventAccept { record: wanted.clone(), ..event(world.alpha, T0).waiting(&world.a[..1]) };
    let id = world.store_event(accept).await;
    let leased = world.lease_one(world.a[0], T0).await;
    assert_eq!(leased.record.packed(), wanted.packed(), "as it is handed out for an attempt");
    let found = world.store.event_record(MAIN, id).await.unwrap().unwrap();
    assert_eq!(found.packed(), wanted.packed());
    assert_eq!(world.row(id).await.size_bytes, wanted.packed().len() as u64);
    if world.reopen().await {
        let found = world.store.event_record(MAIN, id).await.unwrap().unwrap();
        assert_eq!(found.packed(), wanted.packed(), "after a crash");
    }
}

/// An empty body without any header comes back exactly.
pub async fn an_empty_request_comes_back(place: Place) {
    comes_back(place, record(&[], b"")).await;
}

/// A mebibyte of every byte value comes back exactly.
pub async fn a_mebibyte_comes_back(place: Place) {
    let body: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8 ^ (at >> 12) as u8).collect();
    comes_back(place, record(&[("content-type", b"application/octet-stream")], &body)).await;
}

/// Headers that are not UTF-8, are repeated, empty or many come back exactly.
pub async fn odd_headers_come_back(place: Place) {
    let mut pairs: Vec<(&str, &[u8])> = vec![
        (EventRecord::METHOD, b"POST"),
        (EventRecord::PATH, b"/in/alpha?q=%00"),
        ("x-latin", &[0xe4, 0xff, 0x80]),
        ("x-empty", b""),
        ("x-twice", b"1"),
        ("x-twice", b"2"),
    ];
    pairs.extend(std::iter::repeat_n(("x-many", &b"and one more"[..]), 90));
    comes_back(place, record(&pairs, b"\r\n\0{\"a\":1}\0")).await;
}

/// What was never stored is not there.
pub async fn unknown_events_are_not_there(place: Place) {
    let world = World::new(place).await;
    let near = EventId::new(world.store_event(event(world.alpha, T0)).await.seq(), [1; 12]);
    let next = EventId::new(EventSeq(near.seq().0 + 1), near.tail());
    for unknown in [UNKNOWN, near, next] {
        assert_eq!(world.store.event_get(MAIN, unknown).await.unwrap(), None);
        assert_eq!(world.store.event_record(MAIN, unknown).await.unwrap(), None);
        assert!(world.store.attempt_list(MAIN, unknown).await.unwrap().is_empty());
        assert!(world.store.duplicate_list(MAIN, unknown, 10).await.unwrap().is_empty());
    }
}
