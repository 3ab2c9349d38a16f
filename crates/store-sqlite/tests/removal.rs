//! A payload that was removed is in no file any more: not in a segment, hot or sealed, not in a log,
//! not in a backup; and everything that was not removed still is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use becket_model::{
    ApplicationId, ApplicationKey, Clock, DeliveryKey, Disposition, EndpointId, EndpointKey,
    EndpointSettings, EventId, EventLabels, EventRecord, NextStep, PackedHeaders, Trigger,
};
use becket_store::{
    AttemptFinish, AttemptWrite, EndpointDeclaration, EventAccept, FinishOutcome, Owner, Planned,
    Scope, SourceDeclaration, Store,
};
use becket_store_sqlite::{Options, SqliteStore};
use becket_store_test::FixedNoise;
use bytes::Bytes;

const T0: i64 = 1_700_000_000_000;

struct Standing;

impl Clock for Standing {
    fn now_ms(&self) -> i64 {
        T0
    }
}

fn open(folder: &Path, segment_events: u64) -> SqliteStore {
    let mut options = Options::new(folder, Arc::new(FixedNoise::new(7)), Arc::new(Standing));
    options.min_free_bytes = 0;
    options.segment_events = segment_events;
    SqliteStore::open(options).expect("the store opens")
}

fn mark(number: usize) -> String {
    format!("<the secret of {number:03}>")
}

/// A record that is full of its own mark; some are larger than a page.
fn record(number: usize) -> EventRecord {
    let mut packed = PackedHeaders::with_capacity(64);
    packed.push("x-secret", mark(number).as_bytes());
    let times = if number.is_multiple_of(7) { 4_000 } else { number * 5 % 40 };
    EventRecord::from_packed(packed.finish(mark(number).repeat(times).as_bytes())).expect("whole")
}

/// A store with one endpoint and `count` events that wait for it, the last ones in the hot segment.
async fn filled(folder: &Path, segment_events: u64, count: usize) -> (SqliteStore, Vec<EventId>) {
    let store = open(folder, segment_events);
    let endpoint = EndpointDeclaration {
        uid: "app".to_owned(),
        settings: EndpointSettings::for_url("http://127.0.0.1/"),
        id: EndpointId::from_bytes([1; 20]),
        secret: vec![1, 2],
    };
    let source = SourceDeclaration {
        uid: "shop".to_owned(),
        provider: "github".to_owned(),
        id: ApplicationId::from_bytes([1; 20]),
        endpoints: vec![endpoint],
    };
    store.config_declare(Owner::MAIN, vec![source], T0).await.unwrap();
    let mut events = Vec::new();
    for number in 0..count {
        let labels = EventLabels {
            payload_until_ms: Some(T0 + 1_000 + number as i64),
            ..EventLabels::default()
        };
        let accept = EventAccept {
            application: ApplicationKey(1),
            received_at_ms: T0,
            event_type: None,
            dedupe: None,
            disposition: Disposition::Accepted,
            labels,
            record: record(number),
            planned: vec![Planned { endpoint: EndpointKey(1), leased: false }],
            due_ms: None,
            lease_until_ms: T0,
        };
        let scope = Scope::of(Owner::MAIN, ApplicationKey(1));
        events.push(store.event_accept(scope, accept).await.unwrap().event());
    }
    // The keeper has done what it was given before this.
    store.stats().await.unwrap();
    (store, events)
}

/// Which marks stand in the files below a folder.
fn marks(folder: &Path, count: usize) -> Vec<usize> {
    let mut bytes = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                bytes.extend(std::fs::read(path).unwrap());
            }
        }
    }
    let beginning = b"<the secret of ";
    let mut found: Vec<usize> = bytes
        .windows(beginning.len() + 3)
        .filter(|window| window.starts_with(beginning))
        .filter_map(|window| std::str::from_utf8(&window[beginning.len()..]).ok()?.parse().ok())
        .filter(|number| *number < count)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Takes what the writer does at most once a second to its end.
async fn settled(store: &SqliteStore) {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(store.event_expunge_due(T0).await.unwrap(), 0, "nothing is due");
}

async fn removed_payloads_are_in_no_file(segment_events: u64) {
    const COUNT: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (store, events) = filled(&data, segment_events, COUNT).await;
    assert_eq!(marks(&data, COUNT), (0..COUNT).collect::<Vec<_>>());
    let scope = Scope::all(Owner::MAIN);
    let mut left: Vec<usize> = (0..COUNT).collect();
    // A step that has no divisor in common reaches all, out of order.
    for step in 0..45 {
        let number = step * 17 % COUNT;
        assert!(store.event_expunge(scope, events[number], T0 + 5).await.unwrap());
        left.retain(|kept| *kept != number);
    }
    settled(&store).await;
    assert_eq!(marks(&data, COUNT), left, "in the store's own files");
    let copy = folder.path().join("copy");
    store.backup(&copy).await.unwrap();
    assert_eq!(marks(&copy, COUNT), left, "in the backup");

    drop(store);
    let store = open(&data, segment_events);
    let taken = store.delivery_lease(EndpointKey(1), T0 + 9, 1_000, COUNT).await.unwrap();
    assert_eq!(taken.len(), COUNT);
    for delivery in taken {
        let number = events.iter().position(|event| *event == delivery.key.event).unwrap();
        let gone = !left.contains(&number);
        let expected = if gone { EventRecord::expunged(T0 + 5) } else { record(number) };
        assert_eq!(delivery.record, expected, "{number}");
        let row = store.event_get(scope, delivery.key.event).await.unwrap().unwrap();
        assert_eq!(row.size_bytes, expected.packed().len() as u64);
    }
    store.close().await.unwrap();
    assert_eq!(marks(&data, COUNT), left, "after a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_payloads_are_in_no_file_of_one_segment() {
    removed_payloads_are_in_no_file(100_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_payloads_are_in_no_file_of_many_segments() {
    removed_payloads_are_in_no_file(7).await;
}

/// Payloads go when their time has come, in steps, also after a restart and in sealed segments.
#[tokio::test(flavor = "multi_thread")]
async fn due_payloads_are_in_no_file() {
    const COUNT: usize = 300;
    for segment_events in [100_000, 90] {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = filled(folder.path(), segment_events, COUNT).await;
        assert_eq!(store.event_expunge_due(T0 + 999).await.unwrap(), 0);
        drop(store);
        let store = open(folder.path(), segment_events);
        store.stats().await.unwrap();
        let mut steps = Vec::new();
        loop {
            match store.event_expunge_due(T0 + 1_000 + 249).await.unwrap() {
                0 => break,
                count => steps.push(count),
            }
        }
        assert_eq!(steps.iter().sum::<u64>(), 250, "{steps:?}");
        assert!(steps.len() > 1, "the steps are small: {steps:?}");
        settled(&store).await;
        assert_eq!(marks(folder.path(), COUNT), (250..COUNT).collect::<Vec<_>>());
        drop(store);
        let store = open(folder.path(), segment_events);
        assert_eq!(store.event_expunge_due(T0 + 1_000 + 249).await.unwrap(), 0);
        assert_eq!(store.event_expunge_due(T0 + 1_000 + 250).await.unwrap(), 1);
        store.close().await.unwrap();
    }
}

/// What a receiver answered is gone when it has been replaced.
#[tokio::test(flavor = "multi_thread")]
async fn replaced_details_are_in_no_file() {
    for segment_events in [100_000, 2] {
        let folder = tempfile::tempdir().unwrap();
        let (store, events) = filled(folder.path(), segment_events, 3).await;
        let taken = store.delivery_lease(EndpointKey(1), T0 + 9, 1_000, 9).await.unwrap();
        let first = taken.iter().find(|taken| taken.key.event == events[0]).unwrap();
        let finish = AttemptFinish {
            delivery: DeliveryKey { ..first.key },
            lease: first.lease,
            attempt: AttemptWrite {
                number: 1,
                trigger: Trigger::Receipt,
                started_at_ms: T0,
                duration_ms: 1,
                status: Some(200),
                error_code: None,
                detail: Bytes::from("<the secret of 900>".repeat(90)),
            },
            next: NextStep::Delivered,
        };
        let FinishOutcome::Recorded(attempt) = store.attempt_finish(finish).await.unwrap() else {
            panic!("the lease holds");
        };
        assert_eq!(marks(folder.path(), 999), [0, 1, 2, 900]);
        let scope = Scope::all(Owner::MAIN);
        let rest = Bytes::from_static(b"{}");
        assert!(store.attempt_rewrite(scope, attempt, rest.clone()).await.unwrap());
        settled(&store).await;
        assert_eq!(marks(folder.path(), 999), [0, 1, 2]);
        let row = store.attempt_get(scope, attempt).await.unwrap().unwrap();
        assert_eq!(row.attempt.detail, rest);
    }
}
