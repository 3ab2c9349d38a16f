//! Removing what is too old: whole days, and what has to stay longer is carried over first.
//!
//! Invariants: an event with a pending delivery stays, whatever its age and however much there is,
//! unless every endpoint that it waits for was removed for good. One that has failed stays as long
//! as failed ones do. No step holds up who accepts: a day is rebuilt beside the old tables and takes
//! their place within moments, or not at all if others are in the way. Whatever is done to a day is
//! done in parts that fit into the time limit of a statement, and a day that fails holds up no other.
//! Today is never touched. A day is in the hands of one node at a time. A day far ahead goes by when
//! its events were received.
//!
//! Where next: `day` for what stays, `hold` for whose a day is, `carry` for how it is rebuilt, `parts`
//! for how much at once.

mod carry;
mod day;
mod hold;
mod parts;

use std::sync::Arc;

use becket_store::{Result, RetentionPolicy, StoreError, Swept};

use self::carry::{Went, carry};
use self::day::{Day, Keep, Stays};
use crate::partitions::{self, DAY_MS, is_far};
use crate::session::Session;
use crate::shared::Shared;

const OPERATION: &str = "retention_sweep";
/// An old day is looked at so often for events that may go by now.
const LOOK_EVERY_MS: i64 = 3_600_000;
/// And one far ahead, of which something may go every day.
const LOOK_FAR_EVERY_MS: i64 = DAY_MS;
/// One that failed is tried again after this time.
const FAILED_AGAIN_MS: i64 = 3_600_000;
/// And one that others used meanwhile after this.
const USED_AGAIN_MS: i64 = 600_000;
/// Keys of repeats that one step forgets.
const KEYS_MAX: i64 = 10_000;
/// Keys are kept somewhat longer, for clocks that step back.
const KEYS_KEPT_MS: i64 = 3_600_000;

/// See [`becket_store::Store::retention_sweep`].
pub(crate) async fn retention_sweep(
    shared: &Arc<Shared>,
    policy: RetentionPolicy,
    now_ms: i64,
) -> Result<Swept> {
    let mut trouble = Trouble(None);
    trouble.passed(partitions::ensure_ahead(shared, now_ms).await, "make tomorrow's partition");
    let conn = shared.write(OPERATION).await?;
    let keys = trouble.passed(forget_keys(&conn, now_ms).await, "forget keys of repeats");
    trouble.passed(sum_up(&conn, now_ms).await, "sum up counts");
    let forgotten = keys.unwrap_or_default();
    let mut swept = Swept { more: forgotten >= KEYS_MAX.unsigned_abs(), ..Swept::default() };
    let due = due_days(&conn, now_ms, policy).await?;
    drop(conn);
    for (at, number) in due.iter().enumerate() {
        let day = Day::new(shared, *number, keep_of(*number, policy, now_ms), now_ms);
        let mut conn = shared.write(OPERATION).await?;
        let went = step(shared, &mut conn, &day, Some(now_ms)).await;
        if let Some(Some(went)) = trouble.passed_of(went, *number)
            && went.done
        {
            (swept.events, swept.bytes) = (went.events, went.bytes);
            swept.more |= at + 1 < due.len();
            return Ok(swept);
        }
    }
    if let Some(cap_bytes) = policy.cap_bytes {
        let conn = shared.write(OPERATION).await?;
        let over = bytes(&conn).await?.saturating_sub(cap_bytes);
        drop(conn);
        if over > 0 {
            let went = make_room(shared, now_ms, &mut trouble).await?;
            (swept.events, swept.bytes) = (went.events, went.bytes);
            swept.more |= went.events > 0 && went.bytes < over;
        }
    }
    match trouble.0 {
        Some(error) if swept.events == 0 && !swept.more => Err(error),
        _ => Ok(swept),
    }
}

/// The first thing that failed; others go on.
struct Trouble(Option<StoreError>);

impl Trouble {
    fn passed<T>(&mut self, outcome: Result<T>, what: &'static str) -> Option<T> {
        let error = match outcome {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        tracing::warn!(code = error.code(), %error, "retention could not {what}");
        self.0.get_or_insert(error);
        None
    }

    fn passed_of<T>(&mut self, outcome: Result<T>, day: i32) -> Option<T> {
        let error = match outcome {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        tracing::warn!(day, code = error.code(), %error, "a day cannot be swept yet");
        self.0.get_or_insert(error);
        None
    }
}

/// Removes from a day what need not stay; `None` if another node has it in hand, or has removed it.
/// `looked_at_ms` is when that was, if it is to be remembered: the day rests then until it is due
/// again, or for a while if it failed or was in use.
async fn step(
    shared: &Arc<Shared>,
    session: &mut Session,
    day: &Day,
    looked_at_ms: Option<i64>,
) -> Result<Option<Went>> {
    if !hold::claim(shared, session, day).await? {
        return Ok(None);
    }
    if !hold::is_there(session, day).await? {
        hold::release(session, day, None).await?;
        return Ok(None);
    }
    let outcome = carry(shared, session, day).await;
    let rest_ms = match &outcome {
        Ok(went) if went.done => every_ms(day.is_far),
        Ok(_) => USED_AGAIN_MS,
        Err(_) => FAILED_AGAIN_MS,
    };
    let looked_at_ms = looked_at_ms.map(|now_ms| now_ms + rest_ms - every_ms(day.is_far));
    // What failed may have ended the session.
    let other = if session.is_useless() { Some(shared.write(OPERATION).await?) } else { None };
    let session = other.as_deref().unwrap_or(session);
    hold::release(session, day, looked_at_ms).await?;
    outcome.map(Some)
}

const fn every_ms(is_far: bool) -> i64 {
    if is_far { LOOK_FAR_EVERY_MS } else { LOOK_EVERY_MS }
}

/// What has to stay of a day by its age.
fn keep_of(day: i32, policy: RetentionPolicy, now_ms: i64) -> Keep {
    let from = |keep_ms: u64| {
        if is_far(day, now_ms) {
            Stays::Since(now_ms.saturating_sub_unsigned(keep_ms))
        } else if end_ms(day).saturating_add_unsigned(keep_ms) <= now_ms {
            Stays::Never
        } else {
            Stays::Always
        }
    };
    Keep {
        failed: from(policy.failed_ms),
        ended: from(policy.delivered_ms),
        // Longer than anything is kept by age.
        removed_before_ms: now_ms
            .saturating_sub_unsigned(policy.failed_ms.max(policy.delivered_ms)),
    }
}

/// When the last event of a day was received, at the latest, and a moment more.
const fn end_ms(day: i32) -> i64 {
    (day as i64 + 1) * DAY_MS
}

/// The days of which something is or may be too old and that do not rest, oldest first.
async fn due_days(session: &Session, now_ms: i64, policy: RetentionPolicy) -> Result<Vec<i32>> {
    let keep_ms = policy.delivered_ms.min(policy.failed_ms);
    let mut days: Vec<i32> = partitions::days(session, OPERATION)
        .await?
        .iter()
        .map(|day| day.number)
        .filter(|day| {
            is_far(*day, now_ms) || end_ms(*day).saturating_add_unsigned(keep_ms) <= now_ms
        })
        .collect();
    days.reverse();
    if days.is_empty() {
        return Ok(days);
    }
    let sql = "SELECT day, looked_at_ms FROM retention_day WHERE looked_at_ms <= $1";
    for row in session.rows(OPERATION, sql, &[&now_ms]).await? {
        let (looked, at_ms): (i32, i64) = (row.get(0), row.get(1));
        let since_ms = now_ms.saturating_sub(every_ms(is_far(looked, now_ms)));
        days.retain(|day| *day != looked || at_ms <= since_ms);
    }
    Ok(days)
}

/// Frees room: takes the oldest day of which something may go, except today.
async fn make_room(shared: &Arc<Shared>, now_ms: i64, trouble: &mut Trouble) -> Result<Went> {
    for (number, keep) in oldest(shared, now_ms, trouble).await? {
        let day = Day::new(shared, number, keep, now_ms);
        let mut conn = shared.write(OPERATION).await?;
        let went = step(shared, &mut conn, &day, None).await;
        match trouble.passed_of(went, number) {
            Some(Some(went)) if went.events == 0 => {}
            Some(Some(went)) => return Ok(went),
            // Another node makes room: how much it needs is seen when that is done.
            Some(None) => break,
            None => {}
        }
    }
    Ok(Went::default())
}

/// The days that may give room, oldest first, and what has to stay of each: what is pending, and of a
/// day far ahead also what was received later than on the first day of which something can go.
async fn oldest(
    shared: &Arc<Shared>,
    now_ms: i64,
    trouble: &mut Trouble,
) -> Result<Vec<(i32, Keep)>> {
    let today = now_ms.div_euclid(DAY_MS);
    let conn = shared.write(OPERATION).await?;
    let mut found = Vec::new();
    for day in partitions::days(&conn, OPERATION).await? {
        let number = day.number;
        if i64::from(number) < today {
            found.push((i64::from(number), number, Keep::pending(Stays::Never)));
        } else if is_far(number, now_ms) {
            let keep = Keep::pending(Stays::Since(today * DAY_MS));
            let first = parts::earliest(&conn, &Day::new(shared, number, keep, now_ms)).await;
            if let Some(Some(first_ms)) = trouble.passed_of(first.map_err(StoreError::from), number)
            {
                let first = first_ms.div_euclid(DAY_MS);
                let keep = Keep::pending(Stays::Since((first + 1) * DAY_MS));
                found.push((first, number, keep));
            }
        }
    }
    found.sort_unstable_by_key(|(age, number, _)| (*age, *number));
    Ok(found.into_iter().map(|(_, number, keep)| (number, keep)).collect())
}

/// What the store's tables take on disk.
async fn bytes(session: &Session) -> Result<u64> {
    let sql = "SELECT COALESCE(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'";
    let row = session.row(OPERATION, sql, &[]).await?;
    Ok(row.map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
}

/// Forgets keys of which no repeat is recognised any more, a step of them.
async fn forget_keys(session: &Session, now_ms: i64) -> Result<u64> {
    let sql = "DELETE FROM dedupe WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM dedupe WHERE until_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";
    let until_ms = now_ms.saturating_sub(KEYS_KEPT_MS);
    Ok(session.run(OPERATION, sql, &[&until_ms, &KEYS_MAX]).await?)
}

/// Makes one row of what the sessions of earlier days have counted.
async fn sum_up(session: &Session, now_ms: i64) -> Result<()> {
    let before = i32::try_from(now_ms.div_euclid(DAY_MS) - 1).unwrap_or(i32::MIN);
    let sql = "SELECT FROM tally WHERE day < $1 AND slot <> 0 LIMIT 1";
    if session.row(OPERATION, sql, &[&before]).await?.is_none() {
        return Ok(());
    }
    let sql = "WITH taken AS (
            DELETE FROM tally WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM tally WHERE day < $1 AND slot <> 0 FOR UPDATE SKIP LOCKED))
            RETURNING day, events)
        INSERT INTO tally (day, slot, events) SELECT day, 0, sum(events) FROM taken GROUP BY day
        ON CONFLICT (day, slot) DO UPDATE SET events = tally.events + excluded.events";
    session.run(OPERATION, sql, &[&before]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetentionPolicy = RetentionPolicy {
        delivered_ms: 10 * DAY_MS as u64,
        failed_ms: 30 * DAY_MS as u64,
        cap_bytes: None,
    };

    #[test]
    fn a_day_goes_when_its_last_event_is_too_old() {
        let keep = |now_ms| {
            let keep = keep_of(100, POLICY, now_ms);
            (keep.ended, keep.failed)
        };
        assert_eq!(keep(111 * DAY_MS - 1), (Stays::Always, Stays::Always));
        assert_eq!(keep(111 * DAY_MS), (Stays::Never, Stays::Always));
        assert_eq!(keep(131 * DAY_MS - 1), (Stays::Never, Stays::Always));
        assert_eq!(keep(131 * DAY_MS), (Stays::Never, Stays::Never));
    }

    #[test]
    fn a_day_far_ahead_goes_by_when_its_events_were_received() {
        let keep = |now_ms| keep_of(100, POLICY, now_ms).ended;
        assert_eq!(keep(98 * DAY_MS), Stays::Since(88 * DAY_MS));
        assert_eq!(keep(99 * DAY_MS), Stays::Always, "tomorrow is not far");
    }
}
