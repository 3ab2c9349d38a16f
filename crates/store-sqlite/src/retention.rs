//! Removes what has become too old: whole segments are unlinked, mixed ones rewritten.
//!
//! One call does one step on one segment. What is pending is never removed, unless it waits in vain:
//! for endpoints that the API made and that were removed, which therefore never come back. Of those
//! nothing is taken that is under lease, and none before its event goes.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use becket_store::{Result, RetentionPolicy, StoreError, Swept};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use crate::edit::empty_log;
use crate::errors::database;
use crate::keeper::Keeper;
use crate::layout::{Role, bytes_on_disk, open_segment, remove_file, with_companions};
use crate::load;
use crate::memory::{Held, Key};
use crate::seal;
use crate::segment::Segment;
use crate::tables::SEAL_STEPS;
use crate::writer::{Op, checkpoint};

const DAY_MS: i64 = 86_400_000;
/// A segment that could not be swept is tried again after this time.
const TRY_EVERY_MS: i64 = 3_600_000;

/// Which events of a segment have to stay, as SQL over `event`. ?1: failed ones received before
/// this may go; ?2: all others received before this may go; ?3: the endpoints that are gone, as JSON.
const STAYS: &str = "
    received_at_ms >= ?2
    OR EXISTS (SELECT 1 FROM pending
               WHERE event_seq = seq AND endpoint NOT IN (SELECT value FROM json_each(?3)))
    OR (received_at_ms >= ?1 AND seq IN (SELECT event_seq FROM failed))";

/// What decides about a segment's events.
struct Age {
    /// Failed ones that were received before this may go, in milliseconds since 1970. What waits for
    /// endpoints that were removed before this waits in vain.
    failed_before_ms: i64,
    /// All others that were received before this may go.
    before_ms: i64,
    now_ms: i64,
}

/// Does one step. A segment that cannot be read or rewritten is passed over for a while, and told of
/// when there is nothing else to do.
pub(crate) fn sweep(keeper: &mut Keeper, policy: RetentionPolicy, now_ms: i64) -> Result<Swept> {
    keeper.count_missing();
    let before_ms = now_ms.saturating_sub_unsigned(policy.delivered_ms);
    let failed_before_ms =
        now_ms.saturating_sub_unsigned(policy.failed_ms.max(policy.delivered_ms));
    let age = Age { failed_before_ms, before_ms, now_ms };
    let mut failure = None;
    for segment in keeper.shared.segments.all() {
        if !is_due(&segment, before_ms, now_ms) {
            continue;
        }
        match step(keeper, &segment, &age) {
            Ok(Some(swept)) => return Ok(swept),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = %error, path = %segment.path.display(), "a segment cannot be swept yet");
                segment.unswept_at_ms.store(now_ms, Ordering::Relaxed);
                failure = Some(error);
            }
        }
    }
    if let Some(swept) = make_room(keeper, policy, now_ms)? {
        return Ok(swept);
    }
    // A quiet gateway's hot segment may hold old events too: begin a new one, so that it is sealed.
    let (reply, rolled) = oneshot::channel();
    keeper.shared.writer.push(Op::RollIfOlder(before_ms, reply));
    let more = rolled.blocking_recv().unwrap_or(false);
    match failure {
        Some(error) if !more => Err(error),
        _ => Ok(Swept { more, ..Swept::default() }),
    }
}

/// Whether it is time to look for old events in a segment: once a day at most, unless something has
/// changed meanwhile.
fn is_due(segment: &Segment, before_ms: i64, now_ms: i64) -> bool {
    if !segment.sealed.load(Ordering::Acquire)
        || segment.received_min_ms.load(Ordering::Relaxed) >= before_ms
    {
        return false;
    }
    // A moment to come is that of a clock that was wrong.
    let within =
        |at_ms: i64, time_ms: i64| at_ms > now_ms.saturating_sub(time_ms) && at_ms <= now_ms;
    if within(segment.unswept_at_ms.load(Ordering::Relaxed), TRY_EVERY_MS) {
        return false;
    }
    let whole = segment.received_max_ms.load(Ordering::Relaxed) < before_ms;
    let changed = segment.ended_since_look.load(Ordering::Relaxed) && segment.pending() == 0;
    (whole && changed) || !within(segment.compacted_at_ms.load(Ordering::Relaxed), DAY_MS)
}

/// Removes what is too old of one segment; `None` if nothing is.
fn step(keeper: &mut Keeper, segment: &Segment, age: &Age) -> Result<Option<Swept>> {
    segment.ended_since_look.store(false, Ordering::Relaxed);
    let gone = gone_in(keeper, segment, age)?;
    let staying = keeper.with(segment, |connection| {
        connection
            .query_row(
                &format!("SELECT count(*) FROM event WHERE {STAYS}"),
                params![age.failed_before_ms, age.before_ms, as_json(&gone)],
                |row| row.get::<_, i64>(0),
            )
            .map_err(database("look for old events"))
    })?;
    let events = segment.events.load(Ordering::Relaxed);
    let going = events.saturating_sub(staying.unsigned_abs());
    if going == 0 {
        segment.compacted_at_ms.store(age.now_ms, Ordering::Relaxed);
        return Ok(None);
    }
    if staying == 0 && segment.received_max_ms.load(Ordering::Relaxed) < age.before_ms {
        return remove(keeper, segment).map(|bytes| Some(Swept { events, bytes, more: true }));
    }
    let bytes = rewrite(keeper, segment, age, &gone)?;
    Ok(Some(Swept { events: going, bytes, more: true }))
}

/// The endpoints for which what waits in a segment waits in vain. One of which something is under way
/// here is not among them, nor is one of which nobody has counted yet what waits.
fn gone_in(keeper: &Keeper, segment: &Segment, age: &Age) -> Result<Vec<u32>> {
    let leases = keeper.leases_in(segment);
    let lasting = leases.iter().filter(|(_, held)| held.lease.until_ms > age.now_ms);
    let under_way: HashSet<u32> = lasting.map(|(key, _)| key.1).collect();
    let waiting: Vec<u32> = segment.waiting.lock().keys().copied().collect();
    let mut gone = Vec::new();
    for endpoint in waiting.into_iter().filter(|endpoint| !under_way.contains(endpoint)) {
        if keeper.shared.catalog.endpoint_is_gone(endpoint, age.failed_before_ms)? {
            gone.push(endpoint);
        }
    }
    Ok(gone)
}

fn as_json(endpoints: &[u32]) -> String {
    serde_json::Value::from(endpoints).to_string()
}

/// Removes the oldest segment in which nothing waits, or all in vain, while the store is over its cap.
fn make_room(keeper: &mut Keeper, policy: RetentionPolicy, now_ms: i64) -> Result<Option<Swept>> {
    let Some(cap) = policy.cap_bytes else { return Ok(None) };
    let segments = keeper.shared.segments.all();
    let used: u64 = segments.iter().map(|segment| segment.bytes.load(Ordering::Relaxed)).sum();
    // New events are refused at nine tenths; stay below that.
    if used < cap / 10 * 8 {
        return Ok(None);
    }
    let mut known = HashMap::new();
    for segment in segments {
        if !segment.sealed.load(Ordering::Acquire) || !segment.counted.load(Ordering::Acquire) {
            continue;
        }
        match is_free(keeper, &segment, &mut known, now_ms) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                tracing::warn!(error = %error, path = %segment.path.display(), "a segment stays although there is no room");
                continue;
            }
        }
        let events = segment.events.load(Ordering::Relaxed);
        return remove(keeper, &segment).map(|bytes| Some(Swept { events, bytes, more: true }));
    }
    Ok(None)
}

/// Whether nothing waits in a segment, or all of it in vain, as the file itself says in the end; one
/// that cannot be read says nothing. `known` tells of endpoints that were asked for whether they are
/// gone: most segments are held by the same few that are not.
fn is_free(
    keeper: &mut Keeper,
    segment: &Segment,
    known: &mut HashMap<u32, bool>,
    now_ms: i64,
) -> Result<bool> {
    let waiting: Vec<u32> = segment.waiting.lock().keys().copied().collect();
    if waiting.iter().any(|endpoint| known.get(endpoint) == Some(&false)) {
        return Ok(false);
    }
    for endpoint in &waiting {
        if !known.contains_key(endpoint) {
            let gone = keeper.shared.catalog.endpoint_is_gone(*endpoint, i64::MAX)?;
            known.insert(*endpoint, gone);
            if !gone {
                return Ok(false);
            }
        }
    }
    if keeper.leases_in(segment).iter().any(|(_, held)| held.lease.until_ms > now_ms) {
        return Ok(false);
    }
    keeper.with(segment, |connection| {
        connection
            .query_row(
                "SELECT NOT EXISTS(SELECT 1 FROM pending
                     WHERE endpoint NOT IN (SELECT value FROM json_each(?1)))",
                [as_json(&waiting)],
                |row| row.get(0),
            )
            .map_err(database("make room"))
    })
}

fn remove(keeper: &mut Keeper, segment: &Segment) -> Result<u64> {
    let bytes = bytes_on_disk(&segment.path);
    // First out of the list and out of sight: a crash then leaves a file that is taken over again.
    keeper.shared.catalog.segment_remove(segment.first)?;
    keeper.shared.writer.push(Op::Forget(segment.first));
    keeper.close(segment.first);
    keeper.shared.segments.remove(segment.first);
    // What waited in vain is gone with it; who still has a lease of it finds that it is stale.
    keeper.end_leases(keeper.leases_in(segment).into_iter().map(|(key, _)| key));
    for (endpoint, count) in std::mem::take(&mut *segment.waiting.lock()) {
        keeper.shared.late_remove(endpoint, count);
    }
    unlink(segment)?;
    Ok(bytes)
}

fn unlink(segment: &Segment) -> Result<()> {
    for file in with_companions(&segment.path) {
        remove_file(&file)?;
    }
    Ok(())
}

/// Writes what has to stay into a new file and puts it in the place of the old one.
fn rewrite(keeper: &mut Keeper, segment: &Segment, age: &Age, gone: &[u32]) -> Result<u64> {
    let old_bytes = bytes_on_disk(&segment.path);
    let mut fresh_path = segment.path.clone().into_os_string();
    fresh_path.push(".new");
    let fresh_path = std::path::PathBuf::from(fresh_path);
    for file in with_companions(&fresh_path) {
        remove_file(&file)?;
    }
    let (loaded, stale) = {
        let fresh = open_segment(&fresh_path, Role::Writer)?;
        copy(&fresh, segment, age, gone)?;
        let loaded = load::load(&fresh)?;
        let stale = without_event(&fresh, keeper.leases_in(segment))?;
        checkpoint(&fresh)?;
        (loaded, stale)
    };
    // Somebody who reads for long keeps the log from being written back: it must not go then.
    if !keeper.with(segment, empty_log)? {
        for file in with_companions(&fresh_path) {
            remove_file(&file)?;
        }
        return Err(StoreError::Database {
            operation: "remove old events",
            detail: format!("{} is being read; it is tried again", segment.path.display()),
        });
    }
    keeper.close(segment.first);
    keeper.shared.segments.retire_readers(segment.first);
    let [_, log, index] = with_companions(&segment.path);
    remove_file(&log)?;
    remove_file(&index)?;
    std::fs::rename(&fresh_path, &segment.path).map_err(|error| StoreError::Database {
        operation: "remove old events",
        detail: format!("{}: {error}", segment.path.display()),
    })?;
    keeper.shared.segments.retire_readers(segment.first);
    segment.events.store(loaded.events, Ordering::Relaxed);
    segment.received_min_ms.store(loaded.received_min_ms, Ordering::Relaxed);
    segment.received_max_ms.store(loaded.received_max_ms, Ordering::Relaxed);
    segment.expiring_ms.store(loaded.expiring_ms, Ordering::Relaxed);
    segment.unclean.store(false, Ordering::Relaxed);
    segment.compacted_at_ms.store(age.now_ms, Ordering::Relaxed);
    *segment.kinds.lock() = loaded.kinds;
    keeper.end_leases(stale);
    if !gone.is_empty() {
        // If that fails now, it is done before the next step.
        segment.counted.store(false, Ordering::Release);
        keeper.count_missing();
    }
    let filter = keeper.with(segment, |connection| seal::filter_of(connection, segment))?;
    seal::list(&keeper.shared, segment, &filter)?;
    keeper.shared.writer.push(Op::Sealed(segment.first, filter));
    Ok(old_bytes.saturating_sub(bytes_on_disk(&segment.path)))
}

/// The leased deliveries whose events are not there.
fn without_event(connection: &Connection, leases: Vec<(Key, Held)>) -> Result<Vec<Key>> {
    let failed = database("rewrite segment");
    let mut there = connection.prepare("SELECT 1 FROM event WHERE seq = ?1").map_err(failed)?;
    let mut stale = Vec::new();
    for (key, _) in leases {
        if !there.exists([key.0]).map_err(failed)? {
            stale.push(key);
        }
    }
    Ok(stale)
}

fn copy(fresh: &Connection, segment: &Segment, age: &Age, gone: &[u32]) -> Result<()> {
    let failed = database("rewrite segment");
    fresh.execute("ATTACH ?1 AS old", [segment.path.to_string_lossy()]).map_err(failed)?;
    fresh.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    // A column that came later stands last in both.
    let stays =
        STAYS.replace("FROM pending", "FROM old.pending").replace("FROM failed", "FROM old.failed");
    fresh
        .execute(
            &format!("INSERT INTO event SELECT * FROM old.event WHERE {stays} ORDER BY seq"),
            params![age.failed_before_ms, age.before_ms, as_json(gone)],
        )
        .map_err(failed)?;
    fresh
        .execute_batch(
            "INSERT INTO payload SELECT old.payload.seq, substr(record, 1, size_bytes)
                 FROM old.payload JOIN main.event ON main.event.seq = old.payload.seq
                 ORDER BY old.payload.seq;
             INSERT INTO expiring SELECT * FROM old.expiring
                 WHERE event_seq IN (SELECT seq FROM main.event);
             INSERT INTO attempt SELECT * FROM old.attempt
                 WHERE event_seq IN (SELECT seq FROM main.event);
             INSERT INTO replay SELECT * FROM old.replay
                 WHERE event_seq IN (SELECT seq FROM main.event);
             INSERT INTO moved SELECT * FROM old.moved
                 WHERE event_seq IN (SELECT seq FROM main.event);
             INSERT INTO duplicate SELECT * FROM old.duplicate
                 WHERE event_seq IN (SELECT seq FROM main.event);
             INSERT INTO pending SELECT * FROM old.pending
                 WHERE event_seq IN (SELECT seq FROM main.event);
             INSERT INTO failed SELECT * FROM old.failed
                 WHERE event_seq IN (SELECT seq FROM main.event);
             UPDATE progress SET step = 1;",
        )
        .map_err(failed)?;
    for step in SEAL_STEPS {
        fresh.execute_batch(step).map_err(failed)?;
    }
    fresh.execute_batch("COMMIT; DETACH old;").map_err(failed)
}
