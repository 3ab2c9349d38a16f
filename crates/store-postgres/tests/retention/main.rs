//! Retention beside everything else: nothing that has to stay is lost, nobody who accepts waits for
//! it, and several nodes do it at once.

mod far;
mod large;
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, ApplicationSettings, DeliveryKey,
    DeliveryState, Disposition, EndpointId, EndpointKey, EndpointSettings, EndpointState, EventId,
    EventLabels, EventRecord, FailureReason, NextStep, PackedHeaders, Trigger,
};
use becket_store::{
    Accepted, ApplicationNew, AttemptFinish, AttemptWrite, Created, DedupeKey, DedupeKind,
    EndpointChange, EndpointNew, EventAccept, EventFilter, FinishOutcome, LeaseToken, Owner, Page,
    Planned, RetentionPolicy, Scope, Store, StoreError,
};
use becket_store_postgres::PostgresStore;
use bytes::Bytes;
use support::Schema;

const T0: i64 = 1_750_000_000_000;
const DAY_MS: i64 = 86_400_000;
const MAIN: Scope = Scope::all(Owner::MAIN);
const POLICY: RetentionPolicy = RetentionPolicy {
    delivered_ms: 10 * DAY_MS as u64,
    failed_ms: 30 * DAY_MS as u64,
    cap_bytes: None,
};

/// Makes an application with an endpoint.
async fn make(store: &PostgresStore) -> (ApplicationKey, EndpointKey, EndpointId) {
    let new = ApplicationNew {
        kind: ApplicationKind::Customer,
        id: ApplicationId::from_bytes([1; 20]),
        uid: None,
        settings: ApplicationSettings::default(),
        credentials: None,
    };
    let Created::New(application) = store.application_create(Owner::MAIN, new, T0).await.unwrap()
    else {
        panic!("it is new")
    };
    let new = EndpointNew {
        application: application.key,
        id: EndpointId::from_bytes([1; 20]),
        uid: None,
        settings: EndpointSettings::for_url("https://example.com/"),
        headers: None,
        secret: vec![1],
        state: EndpointState::Enabled,
    };
    let Created::New(endpoint) = store.endpoint_create(Owner::MAIN, new, T0).await.unwrap() else {
        panic!("it is new")
    };
    (application.key, endpoint.key, endpoint.id)
}

fn event(application: ApplicationKey, endpoint: EndpointKey, at_ms: i64, key: u32) -> EventAccept {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&key.to_le_bytes());
    let packed = PackedHeaders::with_capacity(16).finish(&[b'x'; 700]);
    EventAccept {
        application,
        received_at_ms: at_ms,
        event_type: Some("a.type".to_owned()),
        dedupe: Some((DedupeKey(bytes), DedupeKind::DeliveryId, 90 * DAY_MS as u64)),
        disposition: Disposition::Accepted,
        labels: EventLabels::default(),
        record: EventRecord::from_packed(packed).unwrap(),
        planned: vec![Planned { endpoint, leased: true }],
        due_ms: None,
        lease_until_ms: at_ms + 200 * DAY_MS,
    }
}

async fn finish(store: &PostgresStore, key: DeliveryKey, lease: LeaseToken, next: NextStep) {
    let attempt = AttemptWrite {
        number: 1,
        trigger: Trigger::Receipt,
        started_at_ms: T0,
        duration_ms: 1,
        status: Some(200),
        error_code: None,
        detail: Bytes::from_static(b"{}"),
    };
    loop {
        let finish = AttemptFinish { delivery: key, lease, attempt: attempt.clone(), next };
        match store.attempt_finish(finish).await {
            Ok(FinishOutcome::Recorded(_)) => return,
            Ok(FinishOutcome::Stale) => panic!("the lease of {key:?} holds"),
            // An old day that is being exchanged is not free for a moment.
            Err(StoreError::Unavailable { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// Stores an event of the first day that ends like this at once, or stays under lease.
async fn old(
    store: &PostgresStore,
    (application, endpoint): (ApplicationKey, EndpointKey),
    key: u32,
    next: Option<NextStep>,
) -> (EventId, LeaseToken) {
    let accepted = store.event_accept(MAIN, event(application, endpoint, T0, key)).await.unwrap();
    let Accepted::Stored { event, lease, .. } = accepted else { panic!("{key} is new") };
    if let Some(next) = next {
        let key = DeliveryKey { event, endpoint, generation: 0 };
        finish(store, key, lease, next).await;
    }
    (event, lease)
}

const FAILED: NextStep = NextStep::Failed(FailureReason::Exhausted);

/// Somebody else with a transaction that does not end.
struct Holder {
    psql: Child,
    input: ChildStdin,
}

impl Holder {
    /// Begins it with this statement, and waits until it holds this lock of this table.
    async fn begin(schema: &Schema, sql: &str, table: &str, lock: &str) -> Self {
        let mut psql = Command::new("psql")
            .args(["-X", "-q", "-d", &support::server()])
            .stdin(Stdio::piped())
            .spawn()
            .expect("psql can be run");
        let mut input = psql.stdin.take().expect("it was piped");
        let begin = format!("SET search_path TO {}; BEGIN; {sql};\n", schema.name);
        input.write_all(begin.as_bytes()).unwrap();
        let held = format!(
            "SELECT count(*) FROM pg_locks
             WHERE relation = '{table}'::regclass AND mode = '{lock}' AND granted"
        );
        while schema.query(&held) != ["1"] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { psql, input }
    }

    /// Rolls it back.
    fn end(self) {
        let Self { mut psql, input } = self;
        drop(input);
        psql.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_that_stays_is_lost_while_all_is_in_use() {
    let schema = Schema::new();
    let (one, two) = tokio::join!(schema.open(), schema.open());
    let (store, other) = (Arc::new(one), Arc::new(two));
    let (application, endpoint, _) = make(&store).await;
    let place = (application, endpoint);
    let (mut delivered, mut failed, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for key in 0..900 {
        match key % 3 {
            0 => delivered.push(old(&store, place, key, Some(NextStep::Delivered)).await.0),
            1 => failed.push(old(&store, place, key, Some(FAILED)).await.0),
            _ => held.push((key, old(&store, place, key, None).await)),
        }
    }
    let over = Arc::new(AtomicBool::new(false));
    let now_ms = T0 + 12 * DAY_MS;
    let ingest = tokio::spawn({
        let (store, over) = (Arc::clone(&store), Arc::clone(&over));
        async move {
            let (mut stored, mut longest) = (Vec::new(), Duration::ZERO);
            while !over.load(Ordering::Relaxed) {
                let key = 1_000_000 + stored.len() as u32;
                let started = Instant::now();
                let accept = event(application, endpoint, now_ms, key);
                stored.push(store.event_accept(MAIN, accept).await.unwrap().event());
                longest = longest.max(started.elapsed());
            }
            (stored, longest)
        }
    });
    // Meanwhile what is held ends, what was delivered is started again, and repeats come.
    let changes = tokio::spawn({
        let (store, delivered) = (Arc::clone(&store), delivered.clone());
        async move {
            let (mut ended, mut started, mut repeats) = (HashMap::new(), Vec::new(), Vec::new());
            for (at, (key, (event_id, lease))) in held.into_iter().enumerate() {
                if at % 2 == 0 {
                    let next = if at % 4 == 0 { FAILED } else { NextStep::Delivered };
                    let delivery = DeliveryKey { event: event_id, endpoint, generation: 0 };
                    finish(&store, delivery, lease, next).await;
                    ended.insert(event_id, next);
                } else {
                    let accept = event(application, endpoint, T0 + 5, key);
                    if store.event_accept(MAIN, accept).await.is_ok() {
                        repeats.push(event_id);
                    }
                }
                let again = delivered[at];
                let replayed = store.delivery_replay(MAIN, again, Vec::new(), now_ms).await;
                if let Ok(Some(_)) = replayed {
                    started.push(again);
                }
            }
            (ended, started, repeats)
        }
    });
    let mut went = 0;
    for round in 0..200 {
        let at_ms = now_ms + round * 3_700_000 / 10;
        let (first, second) = tokio::join!(
            store.retention_sweep(POLICY, at_ms),
            other.retention_sweep(POLICY, at_ms),
        );
        went += first.unwrap().events + second.unwrap().events;
        if changes.is_finished() && round > 20 {
            break;
        }
    }
    let (ended, started, repeats) = changes.await.unwrap();
    over.store(true, Ordering::Relaxed);
    let (stored, longest) = ingest.await.unwrap();
    assert!(went > 0, "something went while all that happened");
    // Less than a statement is waited for: whoever stood behind a lock all the time would get an error.
    assert!(longest < Duration::from_secs(8), "a sender waited for {longest:?}");
    for id in &stored {
        assert!(store.event_get(MAIN, *id).await.unwrap().is_some(), "acknowledged and gone");
    }
    for id in &failed {
        let row = store.event_get(MAIN, *id).await.unwrap().expect("a failed one stays");
        assert_eq!(row.deliveries[0].state, DeliveryState::Failed);
        assert_eq!(store.attempt_list(MAIN, *id).await.unwrap().len(), 1);
    }
    for (id, next) in &ended {
        let row = store.event_get(MAIN, *id).await.unwrap();
        if *next == FAILED {
            let row = row.expect("a failed one stays");
            assert_eq!(row.deliveries[0].state, DeliveryState::Failed);
            assert_eq!(store.attempt_list(MAIN, *id).await.unwrap().len(), 1, "its attempt, too");
        }
    }
    for id in &started {
        let row = store.event_get(MAIN, *id).await.unwrap().expect("it was started again");
        assert_eq!(row.deliveries.len(), 2);
        assert_eq!(row.deliveries[1].state, DeliveryState::Pending);
    }
    for id in &repeats {
        assert_eq!(store.duplicate_list(MAIN, *id, 9).await.unwrap().len(), 1, "noted");
    }
    let list = store.event_list(MAIN, EventFilter::default(), Page::newest(100_000)).await.unwrap();
    assert_eq!(store.stats().await.unwrap().events, list.len() as u64, "they are counted right");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_endpoint_that_is_gone_for_good_goes_too() {
    let schema = Schema::new();
    let store = schema.open().await;
    let (application, endpoint, id) = make(&store).await;
    let accept = |key| {
        let mut accept = event(application, endpoint, T0, key);
        accept.planned[0].leased = false;
        accept
    };
    let waiting = store.event_accept(MAIN, accept(1)).await.unwrap().event();
    let sweep = async |now_ms| {
        for step in 0..10 {
            store.retention_sweep(POLICY, now_ms + step * 3_700_000).await.unwrap();
        }
        store.event_get(MAIN, waiting).await.unwrap().is_some()
    };
    assert!(sweep(T0 + 60 * DAY_MS).await, "it waits for an endpoint");
    let removed = EndpointChange::State { state: EndpointState::Removed, reason: String::new() };
    store.endpoint_change(Owner::MAIN, id, removed, T0 + 61 * DAY_MS).await.unwrap();
    assert!(sweep(T0 + 62 * DAY_MS).await, "that was removed only just now");
    assert!(!sweep(T0 + 93 * DAY_MS).await);
    assert!(store.delivery_due().await.unwrap().is_empty());
    assert_eq!(store.stats().await.unwrap().pending, 0);
    let again = store.event_accept(MAIN, accept(1)).await.unwrap();
    assert!(matches!(again, Accepted::Stored { .. }), "its key is free: {again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_cap_the_oldest_days_go() {
    let schema = Schema::new();
    let store = schema.open().await;
    let (application, endpoint, _) = make(&store).await;
    for day in 0..5_u32 {
        for key in 0..40 {
            let mut accept =
                event(application, endpoint, T0 + i64::from(day) * DAY_MS, day * 100 + key);
            if key > 0 {
                accept.planned.clear();
            }
            store.event_accept(MAIN, accept).await.unwrap();
        }
    }
    let now_ms = T0 + 4 * DAY_MS;
    let roomy = RetentionPolicy { cap_bytes: Some(1 << 40), ..POLICY };
    assert_eq!(store.retention_sweep(roomy, now_ms).await.unwrap().events, 0);
    let before = store.stats().await.unwrap().bytes;
    let tight = RetentionPolicy { cap_bytes: Some(before - 1), ..POLICY };
    let swept = store.retention_sweep(tight, now_ms).await.unwrap();
    assert_eq!(swept.events, 39, "what is pending of the oldest day stays");
    let none = RetentionPolicy { cap_bytes: Some(0), ..POLICY };
    while store.retention_sweep(none, now_ms).await.unwrap().more {}
    let left = store.stats().await.unwrap();
    assert_eq!(left.events, 4 + 40, "today is left alone");
    assert_eq!(left.pending, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_cap_a_backlog_of_a_removed_endpoint_keeps_nothing() {
    let schema = Schema::new();
    let store = schema.open().await;
    let (application, endpoint, id) = make(&store).await;
    let mut events = Vec::new();
    for key in 0..30 {
        let mut accept = event(application, endpoint, T0, key);
        // One attempt is under way, and of another the lease is over.
        accept.planned[0].leased = key < 2;
        let now_ms = T0 + 2 * DAY_MS;
        accept.lease_until_ms = if key == 0 { now_ms + 60_000 } else { now_ms - 1 };
        events.push(store.event_accept(MAIN, accept).await.unwrap().event());
    }
    let now_ms = T0 + 2 * DAY_MS;
    let tight = RetentionPolicy { cap_bytes: Some(0), ..POLICY };
    let sweep = async || {
        while store.retention_sweep(tight, now_ms).await.unwrap().more {}
        store.stats().await.unwrap()
    };
    assert_eq!(sweep().await.events, 30, "all of it waits for an endpoint");
    let removed = EndpointChange::State { state: EndpointState::Removed, reason: String::new() };
    store.endpoint_change(Owner::MAIN, id, removed, now_ms - 5).await.unwrap();
    let left = sweep().await;
    assert_eq!((left.events, left.pending), (1, 1), "what is under way stays");
    assert!(store.event_get(MAIN, events[0]).await.unwrap().is_some());
    assert_eq!(schema.query("SELECT count(*) FROM delivery"), ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sweep_whose_day_another_has_taken_in_hand_exchanges_nothing() {
    let schema = Schema::new();
    let store = Arc::new(schema.open().await);
    let (application, endpoint, _) = make(&store).await;
    for key in 0..40 {
        let next = (key % 2 == 0).then_some(NextStep::Delivered);
        old(&store, (application, endpoint), key, next).await;
    }
    let day = T0 / DAY_MS;
    // The exchange waits for this, and is tried again for some seconds.
    let counting = format!("UPDATE tally SET events = events WHERE day = {day}");
    let holder = Holder::begin(&schema, &counting, "tally", "RowExclusiveLock").await;
    let sweep = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.retention_sweep(POLICY, T0 + 12 * DAY_MS).await }
    });
    let begun = format!("SELECT to_regclass('event_{day}_kept') IS NOT NULL");
    let started = Instant::now();
    while schema.query(&begun) != ["t"]
        || schema.query(&format!("SELECT count(*) FROM event_{day}_kept")) != ["20"]
    {
        assert!(started.elapsed() < Duration::from_secs(10), "nothing was copied");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // As the next sweep of the same node does when it begins anew.
    schema.query(&format!(
        "UPDATE retention_day SET run = run # 1 WHERE day = {day}; DELETE FROM event_{day}_kept"
    ));
    holder.end();
    assert_eq!(sweep.await.unwrap().unwrap().events, 0);
    assert_eq!(schema.query("SELECT count(*) FROM event"), ["40"]);
    let swept = store.retention_sweep(POLICY, T0 + 12 * DAY_MS).await.unwrap();
    assert_eq!(swept.events, 20, "the next one does what it left");
    assert_eq!(schema.query("SELECT count(*) FROM event"), ["20"]);
}
