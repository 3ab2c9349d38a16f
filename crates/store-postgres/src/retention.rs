//! Removing what is too old: whole days, and what has to stay longer is carried over first.
//!
//! Invariants: an event with a pending delivery stays, whatever its age and however much there is,
//! unless every endpoint that it waits for was removed for good. One that has failed stays as long
//! as failed ones do. No step holds up who accepts: a day is rebuilt beside the old tables and takes
//! their place within moments, or not at all if others are in the way. Today is never touched. A day
//! is in the hands of one node at a time.
//!
//! Where next: `carry` for how a day is rebuilt.

mod carry;

use std::sync::Arc;

use becket_store::{Result, RetentionPolicy, Swept};

use self::carry::{Keep, carry};
use crate::partitions::{self, DAY_MS};
use crate::session::Session;
use crate::shared::Shared;

const OPERATION: &str = "retention_sweep";
/// An old day is looked at so often for events that may go by now.
const LOOK_EVERY_MS: i64 = 3_600_000;
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
    partitions::ensure_ahead(shared, now_ms).await?;
    let mut conn = shared.write(OPERATION).await?;
    let keys = forget_keys(&conn, now_ms).await?;
    sum_up(&conn, now_ms).await?;
    let mut swept = Swept { more: keys >= KEYS_MAX.unsigned_abs(), ..Swept::default() };
    let due = due_days(&conn, policy, now_ms).await?;
    if let Some(day) = due.first() {
        let keep = keep_of(*day, policy, now_ms);
        let went = carry(shared, &mut conn, *day, keep, now_ms).await?;
        (swept.events, swept.bytes) = (went.events, went.bytes);
        swept.more |= went.done && due.len() > 1;
        return Ok(swept);
    }
    if let Some(cap_bytes) = policy.cap_bytes {
        let over = bytes(&conn).await?.saturating_sub(cap_bytes);
        if over > 0 {
            let went = oldest(shared, &mut conn, now_ms).await?;
            (swept.events, swept.bytes) = (went.events, went.bytes);
            swept.more |= went.events > 0 && went.bytes < over;
        }
    }
    Ok(swept)
}

/// What has to stay of a day by its age.
fn keep_of(day: i32, policy: RetentionPolicy, now_ms: i64) -> Keep {
    let over = |keep_ms: u64| end_ms(day).saturating_add_unsigned(keep_ms) <= now_ms;
    Keep {
        failed: !over(policy.failed_ms),
        ended: !over(policy.delivered_ms),
        // Longer than anything is kept by age.
        removed_before_ms: now_ms
            .saturating_sub_unsigned(policy.failed_ms.max(policy.delivered_ms)),
    }
}

/// When the last event of a day was received, at the latest, and a moment more.
const fn end_ms(day: i32) -> i64 {
    (day as i64 + 1) * DAY_MS
}

/// The days of which something is too old and that were not looked at just now, oldest first.
async fn due_days(session: &Session, policy: RetentionPolicy, now_ms: i64) -> Result<Vec<i32>> {
    let keep_ms = policy.delivered_ms.min(policy.failed_ms);
    let mut days: Vec<i32> = partitions::days(session, OPERATION)
        .await?
        .iter()
        .map(|day| day.number)
        .filter(|day| end_ms(*day).saturating_add_unsigned(keep_ms) <= now_ms)
        .collect();
    days.reverse();
    if days.is_empty() {
        return Ok(days);
    }
    let sql = "SELECT day FROM retention_day WHERE looked_at_ms > $1 AND looked_at_ms <= $2";
    let since_ms = now_ms.saturating_sub(LOOK_EVERY_MS);
    let looked = session.rows(OPERATION, sql, &[&since_ms, &now_ms]).await?;
    let looked: Vec<i32> = looked.iter().map(|row| row.get(0)).collect();
    days.retain(|day| !looked.contains(day));
    Ok(days)
}

/// Frees room: takes the oldest day of which something may go, except today.
async fn oldest(shared: &Arc<Shared>, session: &mut Session, now_ms: i64) -> Result<carry::Went> {
    let today = now_ms.div_euclid(DAY_MS);
    let mut days = partitions::days(session, OPERATION).await?;
    days.reverse();
    for day in days.into_iter().filter(|day| i64::from(day.number) < today) {
        let keep = Keep { failed: false, ended: false, removed_before_ms: i64::MIN };
        let went = carry(shared, session, day.number, keep, now_ms).await?;
        if went.events > 0 || !went.done {
            return Ok(went);
        }
    }
    Ok(carry::Went::default())
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
        assert_eq!(keep(111 * DAY_MS - 1), (true, true));
        assert_eq!(keep(111 * DAY_MS), (false, true));
        assert_eq!(keep(131 * DAY_MS - 1), (false, true));
        assert_eq!(keep(131 * DAY_MS), (false, false));
    }
}
