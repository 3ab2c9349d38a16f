//! Large days, and days that give trouble: bounded parts, and no other day waits for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use becket_model::NextStep;
use becket_store::{RetentionPolicy, Store as _};

use super::support::Schema;
use super::{DAY_MS, FAILED, Holder, MAIN, POLICY, T0, event, make, old};

/// Copies the only event of a day, with its attempt, so many times. `next_kind` of each attempt is SQL
/// over `step`; where that is NULL there is none, and the delivery is pending.
fn multiply(schema: &Schema, day: i64, count: u32, next_kind: &str) {
    schema.query(&format!(
        "SET test.quick TO on;
         INSERT INTO event SELECT seq + step, tail, application, received_at_ms, disposition,
                 size_bytes, NULL, NULL, NULL, event_type, planned, labels, record
             FROM event_{day}, generate_series(1, {count}) AS of (step);
         INSERT INTO delivery (event_seq, due_ms, lease, lease_until_ms, endpoint, attempts, generation)
             SELECT event_seq + step, 0, 0, 0, endpoint, 0, 0
             FROM attempt_{day}, generate_series(1, {count}) AS of (step)
             WHERE ({next_kind}) IS NULL;
         INSERT INTO attempt SELECT event_seq + step, started_at_ms, next_at_ms, endpoint, number,
                 duration_ms, generation, {next_kind}, trigger, status, tail, error_code, detail
             FROM attempt_{day}, generate_series(1, {count}) AS of (step)
             WHERE ({next_kind}) IS NOT NULL;
         UPDATE tally SET events = events + {count} WHERE day = {day}"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_day_keeps_exactly_what_has_to_stay() {
    let schema = Schema::new();
    let store = schema.open().await;
    let (application, endpoint, _) = make(&store).await;
    old(&store, (application, endpoint), 1, Some(NextStep::Delivered)).await;
    let day = T0 / DAY_MS;
    // Most of it has gone somewhere in the middle, so that there are parts of which nothing stays.
    let next_kind = "CASE WHEN step % 7 = 0 AND step NOT BETWEEN 9000 AND 20000 THEN NULL
        WHEN step % 3 = 0 AND step NOT BETWEEN 8000 AND 21000 THEN 2 ELSE 1 END";
    multiply(&schema, day, 32_000, next_kind);
    let stays = format!(
        "SELECT count(*), sum(seq) FROM event WHERE seq IN (SELECT event_seq FROM delivery)
             OR seq IN (SELECT event_seq FROM attempt_{day} WHERE next_kind = 2)"
    );
    let attempts = format!("SELECT count(*) FROM attempt_{day} WHERE next_kind = 2");
    let (expected, failed) = (schema.query(&stays), schema.query(&attempts));
    assert_eq!(store.stats().await.unwrap().events, 32_001);
    let swept = store.retention_sweep(POLICY, T0 + 12 * DAY_MS).await.unwrap();
    assert_eq!(schema.query("SELECT count(*), sum(seq) FROM event"), expected);
    let (left, _) = expected[0].split_once('|').unwrap();
    let left: u64 = left.parse().unwrap();
    assert_eq!((swept.events, swept.more), (32_001 - left, false));
    assert_eq!(schema.query("SELECT count(*) FROM attempt"), failed, "and what belongs to it");
    assert_eq!(store.stats().await.unwrap().events, left);
    // Nothing goes any more, and all of it is looked at.
    let swept = store.retention_sweep(POLICY, T0 + 13 * DAY_MS).await.unwrap();
    assert_eq!((swept.events, swept.more), (0, false));
    assert_eq!(schema.query("SELECT count(*), sum(seq) FROM event"), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_day_that_fails_holds_up_no_other() {
    let schema = Schema::new();
    let store = schema.open().await;
    let (application, endpoint, _) = make(&store).await;
    let mut ids = Vec::new();
    for day in 0..3 {
        let mut accept = event(application, endpoint, T0 + day * DAY_MS, day as u32);
        accept.planned.clear();
        ids.push(store.event_accept(MAIN, accept).await.unwrap().event());
    }
    let left = || schema.query("SELECT count(*) FROM event");
    let day = format!("event_{}", T0 / DAY_MS);
    let lock = format!("LOCK TABLE {day} IN ACCESS EXCLUSIVE MODE");
    let holder = Holder::begin(&schema, &lock, &day, "AccessExclusiveLock").await;
    let now_ms = T0 + 14 * DAY_MS;
    let swept = store.retention_sweep(POLICY, now_ms).await.unwrap();
    assert_eq!((swept.events, swept.more), (1, true), "the next day goes");
    let swept = store.retention_sweep(POLICY, now_ms + 1_000).await.unwrap();
    assert_eq!((swept.events, swept.more), (1, false), "and the last");
    holder.end();
    assert_eq!(left(), ["1"]);
    let swept = store.retention_sweep(POLICY, now_ms + 60_000).await.unwrap();
    assert_eq!(swept.events, 0, "it is passed over for a while");
    let swept = store.retention_sweep(POLICY, now_ms + 3_700_000).await.unwrap();
    assert_eq!((swept.events, swept.more), (1, false));
    assert_eq!(left(), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nothing_but_a_failing_day_is_due_it_is_told() {
    let schema = Schema::new();
    let store = schema.open().await;
    let (application, endpoint, _) = make(&store).await;
    let mut accept = event(application, endpoint, T0, 1);
    accept.planned.clear();
    store.event_accept(MAIN, accept).await.unwrap();
    let day = format!("event_{}", T0 / DAY_MS);
    let lock = format!("LOCK TABLE {day} IN ACCESS EXCLUSIVE MODE");
    let holder = Holder::begin(&schema, &lock, &day, "AccessExclusiveLock").await;
    let error = store.retention_sweep(POLICY, T0 + 14 * DAY_MS).await.unwrap_err();
    assert_eq!(error.code(), "store_unavailable", "{error}");
    holder.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_in_another_nodes_hands_is_passed_over_unless_room_is_made_of_it() {
    let schema = Schema::new();
    let store = schema.open().await;
    let (application, endpoint, _) = make(&store).await;
    for day in 0..3 {
        let mut accept = event(application, endpoint, T0 + day * DAY_MS, day as u32);
        accept.planned.clear();
        store.event_accept(MAIN, accept).await.unwrap();
    }
    let left = || schema.query("SELECT count(*) FROM event");
    let day = T0 / DAY_MS;
    let another = |until: &str| {
        schema.query(&format!(
            "INSERT INTO retention_day VALUES ({day}, 0, 4000000, {until}, 1)
             ON CONFLICT (day) DO UPDATE SET claimed_until = excluded.claimed_until"
        ))
    };
    another("clock_timestamp() + '1 minute'");
    // Two nodes that are over the cap would else remove two days where one is enough.
    let tight = RetentionPolicy { cap_bytes: Some(1), ..POLICY };
    let now_ms = T0 + 4 * DAY_MS;
    let swept = store.retention_sweep(tight, now_ms).await.unwrap();
    assert_eq!((swept.events, swept.more, left()), (0, false, vec!["3".to_owned()]));
    let now_ms = T0 + 12 * DAY_MS;
    assert_eq!(store.retention_sweep(POLICY, now_ms).await.unwrap().events, 1);
    assert_eq!(left(), ["2"], "the next is too old as well");
    another("'-infinity'");
    assert_eq!(store.retention_sweep(POLICY, now_ms + 1).await.unwrap().events, 1);
    let swept = store.retention_sweep(tight, now_ms + 2).await.unwrap();
    assert_eq!((swept.events, left()), (1, vec!["0".to_owned()]));
}

/// Each row of `event` costs its writer 6 ms, unless `test.quick` is set.
const SLOW: &str = "
    CREATE FUNCTION slow(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('test.quick', true) IS DISTINCT FROM 'on' THEN
            PERFORM pg_sleep(0.006);
        END IF;
        RETURN $1;
    END $$;
    CREATE INDEX slow ON event (slow(seq))";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_day_that_is_slow_to_copy_and_changes_meanwhile_goes_in_parts() {
    let schema = Schema::new();
    let store = Arc::new(schema.open().await);
    let (application, endpoint, _) = make(&store).await;
    old(&store, (application, endpoint), 1, Some(FAILED)).await;
    let day = T0 / DAY_MS;
    schema.query(SLOW);
    multiply(&schema, day, 1_000, "CASE WHEN step % 20 = 0 THEN 1 ELSE 2 END");
    let sweep = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.retention_sweep(POLICY, T0 + 12 * DAY_MS).await }
    });
    let begun = format!("SELECT to_regclass('event_{day}_kept') IS NOT NULL");
    let copied = format!("SELECT count(*) FROM event_{day}_kept");
    let started = Instant::now();
    while schema.query(&begun) != ["t"]
        || schema.query(&copied)[0].parse::<u32>().is_ok_and(|copied| copied < 100)
    {
        assert!(started.elapsed() < Duration::from_secs(20), "nothing was copied");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // All of it changes, and is copied anew while everybody may go on writing.
    let change = "SET test.quick TO on; UPDATE event SET size_bytes = size_bytes";
    schema.query(change);
    let noted = format!("SELECT count(*) FROM changed_{day}");
    let most: u32 = schema.query(&noted)[0].parse().unwrap();
    assert!(most > 500, "{most} changes are noted");
    while schema.query(&noted)[0].parse::<u32>().unwrap() > most / 2 {
        assert!(!sweep.is_finished(), "it was copied all at once");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut longest = Duration::ZERO;
    while !sweep.is_finished() {
        let started = Instant::now();
        schema.query(&format!("{change} WHERE seq = (SELECT min(seq) FROM event)"));
        longest = longest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(sweep.await.unwrap().unwrap().events, 50);
    assert!(longest < Duration::from_secs(8), "a writer waited for {longest:?}");
    assert_eq!(schema.query("SELECT count(*) FROM event"), ["951"]);
    assert_eq!(schema.query("SELECT count(*) FROM attempt"), ["951"]);
}
