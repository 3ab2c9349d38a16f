//! A segment that could not be begun hides nothing: neither what the old one goes on accepting, nor
//! in a folder in which an earlier version has left such a file behind.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use becket_model::{
    ApplicationId, ApplicationKey, Clock, DeliveryKey, Disposition, EndpointId, EndpointKey,
    EndpointSettings, EventId, EventLabels, EventRecord, NextStep, PackedHeaders, Trigger,
};
use becket_store::transfer::{Kind, Place, Transfer as _};
use becket_store::{
    AttemptFinish, AttemptWrite, EndpointDeclaration, EventAccept, FinishOutcome, Owner, Planned,
    RetentionPolicy, Scope, SourceDeclaration, Store,
};
use becket_store_sqlite::{Options, SqliteStore, SqliteTransfer};
use becket_store_test::FixedNoise;
use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const T0: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;

struct Standing;

impl Clock for Standing {
    fn now_ms(&self) -> i64 {
        T0
    }
}

fn options(folder: &Path, segment_events: u64) -> Options {
    let mut options = Options::new(folder, Arc::new(FixedNoise::new(7)), Arc::new(Standing));
    options.min_free_bytes = 0;
    options.segment_events = segment_events;
    options
}

fn open(folder: &Path, segment_events: u64) -> SqliteStore {
    SqliteStore::open(options(folder, segment_events)).expect("the store opens")
}

/// A store with a source that has one endpoint.
async fn made(folder: &Path, segment_events: u64) -> SqliteStore {
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
    store
}

/// Accepts an event that waits for the endpoint.
async fn accept(store: &SqliteStore, at_ms: i64) -> EventId {
    let packed = PackedHeaders::with_capacity(16).finish(b"body");
    let accept = EventAccept {
        application: ApplicationKey(1),
        received_at_ms: at_ms,
        event_type: None,
        dedupe: None,
        disposition: Disposition::Accepted,
        labels: EventLabels::default(),
        record: EventRecord::from_packed(packed).expect("whole"),
        planned: vec![Planned { endpoint: EndpointKey(1), leased: false }],
        due_ms: None,
        lease_until_ms: at_ms,
    };
    let scope = Scope::of(Owner::MAIN, ApplicationKey(1));
    store.event_accept(scope, accept).await.unwrap().event()
}

/// Takes everything that waits, and delivers it.
async fn deliver(store: &SqliteStore) -> Vec<EventId> {
    deliver_some(store, 999).await
}

/// Takes so much of what waits, and delivers it.
async fn deliver_some(store: &SqliteStore, limit: usize) -> Vec<EventId> {
    let mut delivered = Vec::new();
    for taken in store.delivery_lease(EndpointKey(1), T0 + 9, 1_000, limit).await.unwrap() {
        let finish = AttemptFinish {
            delivery: DeliveryKey { ..taken.key },
            lease: taken.lease,
            attempt: AttemptWrite {
                number: 1,
                trigger: Trigger::Receipt,
                started_at_ms: T0,
                duration_ms: 1,
                status: Some(200),
                error_code: None,
                detail: Bytes::from_static(b"{}"),
            },
            next: NextStep::Delivered,
        };
        let outcome = store.attempt_finish(finish).await.unwrap();
        assert!(matches!(outcome, FinishOutcome::Recorded(_)));
        delivered.push(taken.key.event);
    }
    delivered.sort_unstable();
    delivered
}

fn segment(folder: &Path, first: i64) -> PathBuf {
    folder.join(format!("segments/{first:019}.db"))
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("segments")).unwrap();
    let mut all: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "db"))
        .collect();
    all.sort_unstable();
    all
}

/// Everything is there and goes out once.
async fn nothing_is_hidden(store: &SqliteStore, events: &[EventId]) {
    let scope = Scope::all(Owner::MAIN);
    for event in events {
        assert!(store.event_get(scope, *event).await.unwrap().is_some(), "{event} is not found");
    }
    assert_eq!(deliver(store).await, events);
    assert_eq!(store.stats().await.unwrap().pending, 0);
}

/// Leaves room for so many more open files; what it took to fill the gaps, and the old limit.
fn leave_files(count: u64) -> (Vec<File>, Rlimit) {
    let before = getrlimit(Resource::Nofile);
    let mut fillers = Vec::new();
    loop {
        let open: Vec<u64> = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
            .collect();
        // The listing itself had one open, the last or a gap.
        let highest = open.iter().copied().max().unwrap_or(0);
        if open.len() as u64 == highest + 1 {
            setrlimit(Resource::Nofile, Rlimit { current: Some(highest + count), ..before })
                .unwrap();
            return (fillers, before);
        }
        fillers.push(File::open("/dev/null").unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_cannot_be_begun_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path(), 3).await;
    let mut events = vec![accept(&store, T0).await, accept(&store, T0).await];
    store.stats().await.unwrap();
    // The new segment's file can be opened, its journal cannot.
    let (fillers, before) = leave_files(1);
    for _ in 0..3 {
        events.push(accept(&store, T0).await);
    }
    setrlimit(Resource::Nofile, before).unwrap();
    drop(fillers);
    // A new one is begun after the answer of an event, so it is there with the answer of the next.
    events.push(accept(&store, T0).await);
    events.push(accept(&store, T0).await);
    assert_eq!(segments(folder.path()).len(), 2, "nothing is left of what could not be begun");
    drop(store);
    let store = open(folder.path(), 3);
    nothing_is_hidden(&store, &events).await;
    store.close().await.unwrap();
}

/// Puts an empty segment behind an event, as a failed beginning has left it.
fn leave_empty_segment(folder: &Path, behind: EventId) -> PathBuf {
    let kept = folder.join("kept");
    drop(open(&kept, 3));
    let empty = segments(&kept).remove(0);
    let path = segment(folder, behind.seq().0 + 1);
    std::fs::copy(empty, &path).unwrap();
    std::fs::remove_dir_all(kept).unwrap();
    path
}

/// Accepts four events into one segment, whose places leave room between them.
async fn four(store: &SqliteStore) -> Vec<EventId> {
    let mut events = Vec::new();
    for at in 0..4 {
        events.push(accept(store, T0 + at).await);
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_segment_that_was_left_behind_is_dropped() {
    for sealed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = made(folder.path(), if sealed { 4 } else { 100 }).await;
        let events = four(&store).await;
        store.stats().await.unwrap();
        drop(store);
        let left = leave_empty_segment(folder.path(), events[1]);
        let store = open(folder.path(), 2);
        assert!(!left.exists(), "it is removed");
        nothing_is_hidden(&store, &events).await;
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_reads_past_an_empty_segment() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path(), 100).await;
    let events = four(&store).await;
    store.close().await.unwrap();
    drop(store);
    let left = leave_empty_segment(folder.path(), events[1]);
    let source = SqliteTransfer::open(&options(folder.path(), 100)).unwrap();
    for event in &events {
        let after = Some(Place::Number(event.seq().0));
        let rest = events.iter().filter(|other| *other > event).count();
        assert_eq!(source.read(Kind::Event, after).await.unwrap().len(), rest, "after {event}");
    }
    source.close().await.unwrap();
    assert!(left.exists(), "a source is only read");
}

const POLICY: RetentionPolicy = RetentionPolicy {
    delivered_ms: 10 * DAY_MS as u64,
    failed_ms: 30 * DAY_MS as u64,
    cap_bytes: None,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_could_not_be_counted_is_neither_removed_nor_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path(), 2).await;
    let events = four(&store).await;
    store.stats().await.unwrap();
    sealed(folder.path(), 2).await;
    store.close().await.unwrap();
    drop(store);
    let first = segments(folder.path()).remove(0);
    let hidden = folder.path().join("hidden");
    std::fs::rename(&first, &hidden).unwrap();
    std::fs::create_dir(&first).unwrap();
    let store = open(folder.path(), 2);
    store.stats().await.unwrap();
    std::fs::remove_dir(&first).unwrap();
    std::fs::rename(&hidden, &first).unwrap();
    let tight = RetentionPolicy { cap_bytes: Some(1), ..POLICY };
    while store.retention_sweep(tight, T0 + 9).await.unwrap().more {}
    nothing_is_hidden(&store, &events).await;
    store.close().await.unwrap();
}

/// Waits until so many segments are sealed.
async fn sealed(folder: &Path, count: i64) {
    let list = rusqlite::Connection::open(folder.join("becket.db")).unwrap();
    for _ in 0..500 {
        let found: i64 =
            list.query_row("SELECT count(*) FROM segment", [], |row| row.get(0)).unwrap();
        if found >= count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the segments are not sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_cannot_be_read_does_not_keep_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path(), 2).await;
    four(&store).await;
    four(&store).await;
    deliver(&store).await;
    sealed(folder.path(), 4).await;
    store.close().await.unwrap();
    drop(store);
    let store = open(folder.path(), 2);
    store.stats().await.unwrap();
    let damaged = segments(folder.path()).remove(0);
    let size = std::fs::metadata(&damaged).unwrap().len();
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[200..].fill(0);
    std::fs::write(&damaged, &bytes).unwrap();
    assert_eq!(std::fs::metadata(&damaged).unwrap().len(), size);
    let now_ms = T0 + 60 * DAY_MS;
    for _ in 0..20 {
        // It may tell once that one of them cannot be read.
        match store.retention_sweep(POLICY, now_ms).await {
            Ok(swept) if !swept.more => break,
            Ok(_) => {}
            Err(error) => println!("{error}"),
        }
    }
    // A place whose segment is gone is looked for in the one before it, which cannot be read.
    assert_eq!(segments(folder.path()).len(), 2, "the damaged one and the hot one are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_once_does_not_stop_retention() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path(), 2).await;
    let events = four(&store).await;
    sealed(folder.path(), 2).await;
    let sweep = async |now_ms| while store.retention_sweep(POLICY, now_ms).await.unwrap().more {};
    // Nothing goes, but a segment is looked at so seldom that it was looked at only now.
    sweep(T0 + 700 * DAY_MS).await;
    assert_eq!(deliver_some(&store, 1).await, events[..1]);
    sweep(T0 + 60 * DAY_MS).await;
    assert!(store.event_get(Scope::all(Owner::MAIN), events[0]).await.unwrap().is_none());
    nothing_is_hidden(&store, &events[1..]).await;
    store.close().await.unwrap();
}
