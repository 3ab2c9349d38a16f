//! Accepting under circumstances that conformance does not make: batches in which something does not
//! fit, several nodes on one database, connections that break around the commit.

#[path = "../../becket/tests/support/cluster/cut_proxy.rs"]
#[allow(dead_code, reason = "the drivers of the gateway use the rest")]
mod cut_proxy;
mod support;

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use becket_model::{
    ApplicationId, ApplicationKey, DeliveryKey, Disposition, EndpointId, EndpointKey,
    EndpointSettings, EventId, EventLabels, EventRecord, FailureReason, NextStep, PackedHeaders,
    Trigger,
};
use becket_store::{
    Accepted, AttemptFinish, AttemptWrite, DedupeKey, DedupeKind, EndpointDeclaration, EventAccept,
    EventFilter, FinishOutcome, Owner, Page, Planned, Scope, SourceDeclaration, Store, StoreError,
};
use becket_store_postgres::PostgresStore;
use becket_store_test::FixedNoise;
use bytes::Bytes;
use cut_proxy::{CutProxy, Moment, Work};
use support::Schema;

const T0: i64 = 1_750_000_000_000;
const DAY_MS: i64 = 86_400_000;
const MAIN: Scope = Scope::all(Owner::MAIN);

/// Declares a source with two endpoints.
async fn declare(store: &PostgresStore) -> (ApplicationKey, [EndpointKey; 2]) {
    let endpoint = |number: u8| EndpointDeclaration {
        uid: format!("e{number}"),
        settings: EndpointSettings::for_url("http://127.0.0.1/"),
        id: EndpointId::from_bytes([number; 20]),
        secret: vec![1, 2],
    };
    let source = SourceDeclaration {
        uid: "shop".to_owned(),
        provider: "github".to_owned(),
        id: ApplicationId::from_bytes([1; 20]),
        endpoints: vec![endpoint(1), endpoint(2)],
    };
    let config = store.config_declare(Owner::MAIN, vec![source], T0).await.unwrap();
    (config.applications[0].key, [config.endpoints[0].key, config.endpoints[1].key])
}

fn event(application: ApplicationKey, at_ms: i64) -> EventAccept {
    let packed = PackedHeaders::with_capacity(16).finish(b"{}");
    EventAccept {
        application,
        received_at_ms: at_ms,
        event_type: None,
        dedupe: None,
        disposition: Disposition::Accepted,
        labels: EventLabels::default(),
        record: EventRecord::from_packed(packed).unwrap(),
        planned: Vec::new(),
        due_ms: None,
        lease_until_ms: at_ms + 600_000,
    }
}

fn keyed(accept: EventAccept, number: u32) -> EventAccept {
    let mut key = [7; 16];
    key[..4].copy_from_slice(&number.to_le_bytes());
    EventAccept { dedupe: Some((DedupeKey(key), DedupeKind::DeliveryId, 3_600_000)), ..accept }
}

fn to(accept: EventAccept, endpoints: &[EndpointKey], leased: bool) -> EventAccept {
    let planned = endpoints.iter().map(|endpoint| Planned { endpoint: *endpoint, leased });
    EventAccept { planned: planned.collect(), ..accept }
}

async fn all(store: &PostgresStore) -> Vec<EventId> {
    let rows = store.event_list(MAIN, EventFilter::default(), Page::newest(100_000)).await.unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_fails_alone() {
    let schema = Schema::new();
    let store = Arc::new(schema.open().await);
    let (application, [one, two]) = declare(&store).await;
    let mut tasks = Vec::new();
    for number in 0..200_u32 {
        let fit = to(keyed(event(application, T0), number), &[one, two], false);
        let accept = match number % 20 {
            // The database refuses the same delivery twice, the store what no column holds.
            3 => to(fit, &[one, one], false),
            7 => to(fit, &[EndpointKey(u32::MAX)], false),
            11 => EventAccept { received_at_ms: -5, ..fit },
            13 => EventAccept { received_at_ms: i64::MAX, ..fit },
            _ => fit,
        };
        let store = Arc::clone(&store);
        tasks.push((number, tokio::spawn(async move { store.event_accept(MAIN, accept).await })));
    }
    let mut stored = HashSet::new();
    for (number, task) in tasks {
        match task.await.unwrap() {
            Ok(Accepted::Stored { event, .. }) => assert!(stored.insert(event)),
            Err(StoreError::Database { .. }) if [3, 7, 11, 13].contains(&(number % 20)) => {}
            other => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(stored.len(), 160);
    assert_eq!(all(&store).await.into_iter().collect::<HashSet<_>>(), stored);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.events, stats.pending), (160, 320), "nothing is left of the others");
    let again = keyed(event(application, T0), 3);
    let again = store.event_accept(MAIN, again).await.unwrap();
    assert!(matches!(again, Accepted::Stored { .. }), "its key was not taken: {again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_draw_the_same_places_store_everything() {
    let schema = Schema::new();
    let open = async || {
        let mut options = schema.options();
        options.noise = Arc::new(FixedNoise::new(99));
        Arc::new(PostgresStore::open(options).await.unwrap())
    };
    let nodes = [open().await, open().await, open().await];
    let (application, _) = declare(&nodes[0]).await;
    let mut tasks = Vec::new();
    for number in 0..300_usize {
        let store = Arc::clone(&nodes[number % 3]);
        let accept = event(application, T0 + number as i64 / 100);
        tasks.push(tokio::spawn(async move { store.event_accept(MAIN, accept).await.unwrap() }));
    }
    let mut stored = HashSet::new();
    for task in tasks {
        assert!(stored.insert(task.await.unwrap().event()));
    }
    assert_eq!(all(&nodes[1]).await.into_iter().collect::<HashSet<_>>(), stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_get_the_same_delivery_make_one_event() {
    let schema = Schema::new();
    let (one, two) = tokio::join!(schema.open(), schema.open());
    let nodes = [Arc::new(one), Arc::new(two)];
    let (application, endpoints) = declare(&nodes[0]).await;
    let mut tasks = Vec::new();
    for number in 0..400_u32 {
        let (store, key) = (Arc::clone(&nodes[number as usize % 2]), number / 8);
        let accept = to(keyed(event(application, T0), key), &endpoints, true);
        let accepted = async move { store.event_accept(MAIN, accept).await.unwrap() };
        tasks.push((key, tokio::spawn(accepted)));
    }
    let (mut ids, mut stored) = (HashMap::new(), 0);
    for (key, task) in tasks {
        let accepted = task.await.unwrap();
        stored += u32::from(matches!(accepted, Accepted::Stored { .. }));
        assert_eq!(*ids.entry(key).or_insert(accepted.event()), accepted.event());
    }
    assert_eq!((ids.len(), stored), (50, 50));
    assert_eq!(all(&nodes[0]).await.len(), 50);
    let repeats = nodes[1].duplicate_list(MAIN, ids[&0], 100).await.unwrap();
    assert_eq!(repeats.len(), 7);
    assert_eq!(schema.query("SELECT count(*) FROM delivery"), ["100"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_need_a_new_day_at_once_make_it_once() {
    let schema = Schema::new();
    let (one, two) = tokio::join!(schema.open(), schema.open());
    let nodes = [Arc::new(one), Arc::new(two)];
    let (application, _) = declare(&nodes[0]).await;
    for day in 0..6 {
        let mut tasks = Vec::new();
        for number in 0..8_usize {
            let store = Arc::clone(&nodes[number % 2]);
            let accept = event(application, T0 + day * DAY_MS);
            tasks.push(tokio::spawn(async move { store.event_accept(MAIN, accept).await }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    }
    assert_eq!(all(&nodes[0]).await.len(), 48);
    assert_eq!(nodes[0].stats().await.unwrap().segments, 6);
}

/// The port in a server's URL.
fn port_of(url: &str) -> u16 {
    let after = url.rsplit(':').next().unwrap();
    after.split('/').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_not_acknowledged_and_its_repeat_is_recognised() {
    let schema = Schema::new();
    let port = port_of(&support::server());
    let proxy = CutProxy::start(port);
    let mut options = schema.options();
    options.url = options.url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port));
    options.writers = 1;
    let store = PostgresStore::open(options).await.unwrap();
    let (application, [endpoint, _]) = declare(&store).await;
    let accept = |number| to(keyed(event(application, T0), number), &[endpoint], true);
    // The writer has its session and its statement now, and the day its partition.
    let warm = store.event_accept(MAIN, accept(0)).await.unwrap();
    assert!(matches!(warm, Accepted::Stored { .. }));
    proxy.arm(Work::Accept, Moment::Answered);
    let lost = store.event_accept(MAIN, accept(1)).await;
    assert!(matches!(lost, Err(StoreError::Unavailable { .. })), "{lost:?}");
    assert!(!proxy.is_armed(), "the answer was lost");
    let again = store.event_accept(MAIN, accept(1)).await.unwrap();
    let Accepted::Duplicate { event, replayed } = again else { panic!("{again:?} was stored") };
    assert!(replayed.is_empty());
    assert_eq!(all(&store).await, [event, warm.event()]);
    // Nobody holds its lease, so it does not wait until that runs out.
    let started = Instant::now();
    loop {
        let due = store.delivery_due().await.unwrap();
        if due.iter().any(|due| due.endpoint == endpoint) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "its lease is still held");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let held = store.event_get(MAIN, warm.event()).await.unwrap().unwrap();
    assert_eq!(held.deliveries[0].due_ms, None, "the lease that somebody holds is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_sessions_lose_nothing_that_was_acknowledged() {
    static KEYS: AtomicU16 = AtomicU16::new(0);
    static BROKEN: AtomicU16 = AtomicU16::new(0);
    let schema = Schema::new();
    let store = Arc::new(schema.open().await);
    let (application, endpoints) = declare(&store).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let (store, over) = (Arc::clone(&store), Arc::clone(&over));
        tasks.push(tokio::spawn(async move {
            let mut told = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let key = u32::from(KEYS.fetch_add(1, Ordering::Relaxed));
                // As a sender does: again until it is taken.
                loop {
                    let accept = to(keyed(event(application, T0), key), &endpoints, true);
                    match store.event_accept(MAIN, accept).await {
                        Ok(accepted) => break told.push((key, accepted.event())),
                        Err(StoreError::Unavailable { .. } | StoreError::Busy { .. }) => {
                            BROKEN.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            told
        }));
    }
    // A while, and longer on a machine that does little in it.
    let started = Instant::now();
    let is_little = || KEYS.load(Ordering::Relaxed) < 100 || BROKEN.load(Ordering::Relaxed) == 0;
    while started.elapsed() < Duration::from_secs(3)
        || is_little() && started.elapsed() < Duration::from_secs(60)
    {
        tokio::time::sleep(Duration::from_millis(90)).await;
        let kill = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND query LIKE '%INSERT INTO dedupe%'
               AND pid IN (SELECT pid FROM pg_locks JOIN pg_class ON oid = relation
                   WHERE relnamespace = '{}'::regnamespace) LIMIT 1",
            schema.name
        );
        schema.query(&kill);
    }
    over.store(true, Ordering::Relaxed);
    let mut told = HashMap::new();
    for task in tasks {
        told.extend(task.await.unwrap());
    }
    assert!(told.len() > 50, "{} were acknowledged", told.len());
    assert!(
        BROKEN.load(Ordering::Relaxed) > 0,
        "some sessions were killed in the middle of a batch"
    );
    let stored = all(&store).await;
    let distinct: HashSet<_> = stored.iter().copied().collect();
    assert_eq!(stored.len(), distinct.len());
    assert_eq!(distinct, told.into_values().collect(), "each key has its one event");
}

/// Stores events of which everything fails for good.
async fn failed(store: &PostgresStore, accepts: &[EventAccept]) -> Vec<EventId> {
    let mut events = Vec::new();
    for accept in accepts {
        let accepted = store.event_accept(MAIN, accept.clone()).await.unwrap();
        let Accepted::Stored { event, lease, .. } = accepted else { panic!("{accepted:?}") };
        for planned in &accept.planned {
            let attempt = AttemptWrite {
                number: 1,
                trigger: Trigger::Receipt,
                started_at_ms: T0,
                duration_ms: 1,
                status: Some(500),
                error_code: None,
                detail: Bytes::from_static(b"{}"),
            };
            let delivery = DeliveryKey { event, endpoint: planned.endpoint, generation: 0 };
            let next = NextStep::Failed(FailureReason::Exhausted);
            let finish = AttemptFinish { delivery, lease, attempt, next };
            let finished = store.attempt_finish(finish).await.unwrap();
            assert!(matches!(finished, FinishOutcome::Recorded(_)), "{finished:?}");
        }
        events.push(event);
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_of_what_has_failed_hold_up_nobody_and_start_it_again() {
    let schema = Schema::new();
    let mut options = schema.options();
    options.writers = 1;
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let (application, endpoints) = declare(&store).await;
    let accepts: Vec<_> = (0..150)
        .map(|number| to(keyed(event(application, T0), number), &endpoints, true))
        .collect();
    let events = failed(&store, &accepts).await;
    // Somebody holds one of them for a while.
    let mut holder = std::process::Command::new("psql")
        .args(["-X", "-q", "-d", &support::server()])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("psql can be run");
    let mut input = holder.stdin.take().expect("it was piped");
    let seq = events[140].seq().0;
    let name = &schema.name;
    let hold =
        format!("BEGIN; SELECT seq FROM {name}.event WHERE seq = {seq} FOR UPDATE \\g /dev/null\n");
    input.write_all(hold.as_bytes()).unwrap();
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'event'::regclass \
                AND mode = 'RowShareLock' AND granted";
    while schema.query(held) != ["1"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let repeats: Vec<_> = accepts
        .into_iter()
        .map(|accept| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.event_accept(MAIN, accept).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!repeats[140].is_finished());
    for number in 1_000..1_010 {
        let started = Instant::now();
        let new = to(keyed(event(application, T0), number), &endpoints, true);
        let new = store.event_accept(MAIN, new).await.unwrap();
        assert!(matches!(new, Accepted::Stored { .. }), "{new:?}");
        // Less than a statement is waited for: that lock is held until we let go.
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    }
    drop(input);
    holder.wait().unwrap();
    for (number, repeat) in repeats.into_iter().enumerate() {
        let repeat = repeat.await.unwrap().unwrap();
        let Accepted::Duplicate { event, replayed } = repeat else { panic!("{repeat:?}") };
        assert_eq!((event, replayed.len()), (events[number], 2), "{number}");
    }
    assert_eq!(schema.query("SELECT count(*) FROM delivery WHERE generation = 1"), ["300"]);
    store.close().await.unwrap();
}
