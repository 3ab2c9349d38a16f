//! Removes what has become too old: whole segments are unlinked, mixed ones rewritten.
//!
//! One call does one step on one segment. What is pending is never removed.

use std::sync::atomic::Ordering;

use becket_store::{Result, RetentionPolicy, StoreError, Swept};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use crate::edit::empty_log;
use crate::errors::database;
use crate::keeper::Keeper;
use crate::layout::{Role, bytes_on_disk, open_segment, remove_file, with_companions};
use crate::load;
use crate::seal;
use crate::segment::Segment;
use crate::tables::SEAL_STEPS;
use crate::writer::{Op, checkpoint};

const DAY_MS: i64 = 86_400_000;
/// A segment that could not be swept is tried again after this time.
const TRY_EVERY_MS: i64 = 3_600_000;

/// Which events of a segment have to stay, as SQL over `event`. ?1: failed ones received before
/// this may go; ?2: all others received before this may go.
const STAYS: &str = "
    received_at_ms >= ?2
    OR seq IN (SELECT event_seq FROM pending)
    OR (received_at_ms >= ?1 AND seq IN (SELECT event_seq FROM failed))";

/// Does one step. A segment that cannot be read or rewritten is passed over for a while, and told of
/// when there is nothing else to do.
pub(crate) fn sweep(keeper: &mut Keeper, policy: RetentionPolicy, now_ms: i64) -> Result<Swept> {
    keeper.count_missing();
    let before_ms = now_ms.saturating_sub_unsigned(policy.delivered_ms);
    let failed_before_ms =
        now_ms.saturating_sub_unsigned(policy.failed_ms.max(policy.delivered_ms));
    let mut failure = None;
    for segment in keeper.shared.segments.all() {
        if !is_due(&segment, before_ms, now_ms) {
            continue;
        }
        match step(keeper, &segment, (failed_before_ms, before_ms), now_ms) {
            Ok(Some(swept)) => return Ok(swept),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = %error, path = %segment.path.display(), "a segment cannot be swept yet");
                segment.unswept_at_ms.store(now_ms, Ordering::Relaxed);
                failure = Some(error);
            }
        }
    }
    if let Some(swept) = make_room(keeper, policy)? {
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
fn step(
    keeper: &mut Keeper,
    segment: &Segment,
    (failed_before_ms, before_ms): (i64, i64),
    now_ms: i64,
) -> Result<Option<Swept>> {
    segment.ended_since_look.store(false, Ordering::Relaxed);
    let staying = keeper.with(segment, |connection| {
        connection
            .query_row(
                &format!("SELECT count(*) FROM event WHERE {STAYS}"),
                params![failed_before_ms, before_ms],
                |row| row.get::<_, i64>(0),
            )
            .map_err(database("look for old events"))
    })?;
    let events = segment.events.load(Ordering::Relaxed);
    let going = events.saturating_sub(staying.unsigned_abs());
    if going == 0 {
        segment.compacted_at_ms.store(now_ms, Ordering::Relaxed);
        return Ok(None);
    }
    if staying == 0 && segment.received_max_ms.load(Ordering::Relaxed) < before_ms {
        return remove(keeper, segment).map(|bytes| Some(Swept { events, bytes, more: true }));
    }
    let bytes = rewrite(keeper, segment, failed_before_ms, before_ms, now_ms)?;
    Ok(Some(Swept { events: going, bytes, more: true }))
}

/// Removes the oldest segment without pending deliveries while the store is over its cap.
fn make_room(keeper: &mut Keeper, policy: RetentionPolicy) -> Result<Option<Swept>> {
    let Some(cap) = policy.cap_bytes else { return Ok(None) };
    let segments = keeper.shared.segments.all();
    let used: u64 = segments.iter().map(|segment| segment.bytes.load(Ordering::Relaxed)).sum();
    // New events are refused at nine tenths; stay below that.
    if used < cap / 10 * 8 {
        return Ok(None);
    }
    for segment in segments {
        let known = segment.sealed.load(Ordering::Acquire)
            && segment.counted.load(Ordering::Acquire)
            && segment.pending() == 0;
        if !known || !holds_nothing_pending(keeper, &segment) {
            continue;
        }
        let events = segment.events.load(Ordering::Relaxed);
        return remove(keeper, &segment).map(|bytes| Some(Swept { events, bytes, more: true }));
    }
    Ok(None)
}

/// Whether the file itself says that nothing is pending; one that cannot be read says nothing.
fn holds_nothing_pending(keeper: &mut Keeper, segment: &Segment) -> bool {
    let pending = keeper.with(segment, |connection| {
        connection
            .query_row("SELECT EXISTS(SELECT 1 FROM pending)", [], |row| row.get::<_, bool>(0))
            .map_err(database("make room"))
    });
    match pending {
        Ok(pending) => !pending,
        Err(error) => {
            tracing::warn!(error = %error, path = %segment.path.display(), "a segment stays although there is no room");
            false
        }
    }
}

fn remove(keeper: &mut Keeper, segment: &Segment) -> Result<u64> {
    let bytes = bytes_on_disk(&segment.path);
    // First out of the list and out of sight: a crash then leaves a file that is taken over again.
    keeper.shared.catalog.segment_remove(segment.first)?;
    keeper.shared.writer.push(Op::Forget(segment.first));
    keeper.close(segment.first);
    keeper.shared.segments.remove(segment.first);
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
fn rewrite(
    keeper: &mut Keeper,
    segment: &Segment,
    failed_before_ms: i64,
    before_ms: i64,
    now_ms: i64,
) -> Result<u64> {
    let old_bytes = bytes_on_disk(&segment.path);
    let mut fresh_path = segment.path.clone().into_os_string();
    fresh_path.push(".new");
    let fresh_path = std::path::PathBuf::from(fresh_path);
    for file in with_companions(&fresh_path) {
        remove_file(&file)?;
    }
    let loaded = {
        let fresh = open_segment(&fresh_path, Role::Writer)?;
        copy(&fresh, segment, failed_before_ms, before_ms)?;
        let loaded = load::load(&fresh)?;
        checkpoint(&fresh)?;
        loaded
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
    segment.compacted_at_ms.store(now_ms, Ordering::Relaxed);
    *segment.kinds.lock() = loaded.kinds;
    let filter = keeper.with(segment, |connection| seal::filter_of(connection, segment))?;
    seal::list(&keeper.shared, segment, &filter)?;
    keeper.shared.writer.push(Op::Sealed(segment.first, filter));
    Ok(old_bytes.saturating_sub(bytes_on_disk(&segment.path)))
}

fn copy(
    fresh: &Connection,
    segment: &Segment,
    failed_before_ms: i64,
    before_ms: i64,
) -> Result<()> {
    let failed = database("rewrite segment");
    fresh.execute("ATTACH ?1 AS old", [segment.path.to_string_lossy()]).map_err(failed)?;
    fresh.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    // A column that came later stands last in both.
    let stays =
        STAYS.replace("FROM pending", "FROM old.pending").replace("FROM failed", "FROM old.failed");
    fresh
        .execute(
            &format!("INSERT INTO event SELECT * FROM old.event WHERE {stays} ORDER BY seq"),
            params![failed_before_ms, before_ms],
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
             INSERT INTO pending SELECT * FROM old.pending;
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
