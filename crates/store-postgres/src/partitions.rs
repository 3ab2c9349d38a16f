//! Partitions: one for each day of `event`, `attempt`, `replay` and `duplicate`.
//!
//! Invariants: they are made when the first event of a day is to be stored (and for tomorrow ahead of
//! time), beside whatever else goes on: a table is made alone and then attached, which locks out
//! nobody who reads or writes. Which ones there are is remembered; who finds that one has gone since
//! says so by [`Partitions::forget`]. An event's place is never below its moment of receipt and never
//! more than [`LEAD_MAX_MS`] above it, so that days can be passed over by either. Only in days far ahead
//! ([`is_far`]) it may be much more: places that a clock that was ahead has given out in files, and that
//! a move has brought along.
//!
//! Where next: `retention` for how they go.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use becket_model::{EventSeq, SeqClock};
use becket_store::Result;
use parking_lot::Mutex;

use crate::session::Session;
use crate::shared::Shared;
use crate::transaction::Tx;

/// A day in milliseconds.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// The tables that are divided into days.
pub(crate) const TABLES: [&str; 4] = ["event", "attempt", "replay", "duplicate"];
/// How far the place of an event may be ahead of its receipt, when clocks step back.
pub(crate) const LEAD_MAX_MS: i64 = DAY_MS;
/// The last moment that a place can tell, in milliseconds since 1970.
const LAST_MS: i64 = (1 << 43) - 1;
/// How long before midnight the next day is made.
const AHEAD_MS: i64 = 6 * 3_600_000;
const MAKE: &str = "make a partition";

/// The day of an event's place, counted from 1970.
pub(crate) const fn day_of(seq: i64) -> i32 {
    (EventSeq(seq).at_ms() / DAY_MS) as i32
}

/// Whether a day is further ahead than any place that is given out now: its events were received at any
/// time before.
pub(crate) const fn is_far(day: i32, now_ms: i64) -> bool {
    day as i64 * DAY_MS > now_ms.saturating_add(LEAD_MAX_MS)
}

/// The column by which one of [`TABLES`] knows the event.
pub(crate) fn column_of(table: &str) -> &'static str {
    if table == "event" { "seq" } else { "event_seq" }
}

/// The lowest place of a day.
pub(crate) const fn first_of(day: i32) -> i64 {
    EventSeq::floor_of_ms(day as i64 * DAY_MS).0
}

/// The places that events received from `since_ms` on, before `until_ms`, may have.
pub(crate) fn places_between(since_ms: Option<i64>, until_ms: Option<i64>) -> RangeInclusive<i64> {
    let low = since_ms.map_or(0, |since_ms| since_ms.clamp(0, LAST_MS));
    let high = until_ms
        .map_or(LAST_MS, |until_ms| until_ms.saturating_add(LEAD_MAX_MS + 1).clamp(0, LAST_MS));
    EventSeq::floor_of_ms(low).0..=EventSeq::floor_of_ms(high).0
}

/// What is known of the partitions, and the clock that gives out places in them.
pub(crate) struct Partitions {
    days: Mutex<BTreeSet<i32>>,
    seqs: Mutex<SeqClock>,
    /// Only one call at a time makes partitions.
    making: tokio::sync::Mutex<()>,
}

impl Partitions {
    pub(crate) fn new() -> Self {
        Self {
            days: Mutex::new(BTreeSet::new()),
            seqs: Mutex::new(SeqClock::after(EventSeq(0))),
            making: tokio::sync::Mutex::new(()),
        }
    }

    /// `last` is the highest place that the store has given out.
    pub(crate) fn rise_to(&self, last: i64) {
        self.seqs.lock().rise_to(EventSeq(last));
    }

    /// The next place for an event received at `now_ms`; `None` if no place can tell that moment.
    pub(crate) fn draw(&self, now_ms: i64, noise: u16) -> Option<EventSeq> {
        if !(0..=LAST_MS).contains(&now_ms) {
            return None;
        }
        let mut seqs = self.seqs.lock();
        let seq = seqs.next(now_ms, noise);
        if seq.at_ms() - now_ms <= LEAD_MAX_MS {
            return Some(seq);
        }
        // The clock was far ahead before: places follow the one that is right.
        *seqs = SeqClock::after(EventSeq(0));
        Some(seqs.next(now_ms, noise))
    }

    /// Goes on somewhat higher: another node has drawn the same.
    pub(crate) fn leap(&self, taken: EventSeq, noise: u16) {
        self.seqs.lock().rise_to(EventSeq(taken.0.saturating_add(i64::from(noise))));
    }

    /// What is remembered may be wrong.
    pub(crate) fn forget(&self) {
        self.days.lock().clear();
    }

    fn knows(&self, day: i32) -> bool {
        self.days.lock().contains(&day)
    }
}

/// Makes the partitions of these places, if they are not there.
pub(crate) async fn ensure(shared: &Shared, seqs: &[i64]) -> Result<()> {
    let mut last = None;
    for seq in seqs {
        let day = day_of(*seq);
        if last != Some(day) {
            last = Some(day);
            if !shared.partitions.knows(day) {
                make(shared, day).await?;
            }
        }
    }
    Ok(())
}

/// Makes the partitions of the day and, when it is late, of the next one.
pub(crate) async fn ensure_ahead(shared: &Shared, now_ms: i64) -> Result<()> {
    if !(0..=LAST_MS - AHEAD_MS).contains(&now_ms) {
        return Ok(());
    }
    ensure(shared, &[now_ms, now_ms + AHEAD_MS].map(|ms| EventSeq::floor_of_ms(ms).0)).await
}

async fn make(shared: &Shared, day: i32) -> Result<()> {
    let partitions = &shared.partitions;
    let _alone = partitions.making.lock().await;
    if partitions.knows(day) {
        return Ok(());
    }
    let mut conn = shared.write(MAKE).await?;
    let tx = conn.begin(MAKE).await?;
    make_in(&tx, day).await?;
    tx.commit().await?;
    partitions.days.lock().insert(day);
    Ok(())
}

/// Makes the partitions of a day, if they are not there, and takes care that only one node does.
pub(crate) async fn make_in(tx: &Tx<'_>, day: i32) -> Result<()> {
    lock_day(tx, day).await?;
    if is_there(tx, day).await? {
        return Ok(());
    }
    let tables =
        TABLES.map(|table| format!("{}{}", create(table, day, ""), attach(table, day, "")));
    tx.batch(&tables.concat()).await?;
    Ok(())
}

/// Whether a day has partitions.
pub(crate) async fn is_there(tx: &Tx<'_>, day: i32) -> Result<bool> {
    let name = format!("event_{day}");
    let row = tx.row("SELECT to_regclass($1::text) IS NOT NULL", &[&name]).await?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// Nobody else makes, changes or drops this day's partitions before the transaction has ended.
pub(crate) async fn lock_day(tx: &Tx<'_>, day: i32) -> Result<()> {
    tx.rows("SELECT pg_advisory_xact_lock(hashtext(current_schema()), $1)", &[&day]).await?;
    Ok(())
}

/// Makes a table like a partition that is attached to nothing.
pub(crate) fn create(table: &str, day: i32, suffix: &str) -> String {
    format!(
        "CREATE TABLE {table}_{day}{suffix} (LIKE {table} INCLUDING DEFAULTS INCLUDING INDEXES
             INCLUDING STORAGE INCLUDING COMPRESSION);"
    )
}

/// Attaches such a table.
pub(crate) fn attach(table: &str, day: i32, suffix: &str) -> String {
    format!(
        "ALTER TABLE {table} ATTACH PARTITION {table}_{day}{suffix} FOR VALUES FROM ({}) TO ({});",
        first_of(day),
        first_of(day.saturating_add(1)),
    )
}

/// A day that has partitions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Day {
    /// Counted from 1970.
    pub(crate) number: i32,
    /// About how many events it has; below 0 if nobody has looked.
    pub(crate) about: f32,
    /// [`is_far`], by the database's clock, which the nodes' clocks follow.
    pub(crate) far: bool,
}

/// The days that have partitions, newest first.
pub(crate) async fn days(session: &Session, operation: &'static str) -> Result<Vec<Day>> {
    let sql = "SELECT substr(c.relname, 7)::integer, c.reltuples,
            (extract(epoch FROM clock_timestamp()) * 1000)::bigint
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'event'::regclass AND c.relname ~ '^event_[0-9]+$'
        ORDER BY 1 DESC";
    let rows = session.rows(operation, sql, &[]).await?;
    let days = rows.iter().map(|row| {
        let number = row.get(0);
        Day { number, about: row.get(1), far: is_far(number, row.get(2)) }
    });
    Ok(days.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 20_000 * DAY_MS + DAY_MS / 2;

    #[test]
    fn places_tell_their_day() {
        let partitions = Partitions::new();
        let seq = partitions.draw(NOON, 9).unwrap();
        assert_eq!(day_of(seq.0), 20_000);
        assert!(first_of(20_000) <= seq.0 && seq.0 < first_of(20_001));
        assert_eq!(day_of(first_of(20_001) - 1), 20_000);
        assert_eq!(day_of(first_of(20_001)), 20_001);
    }

    #[test]
    fn places_rise_while_the_clock_steps_back_a_little() {
        let partitions = Partitions::new();
        let high = partitions.draw(NOON, 5).unwrap();
        assert_eq!(partitions.draw(NOON - DAY_MS, 5), Some(EventSeq(high.0 + 1)));
        let right = partitions.draw(NOON - DAY_MS - 1, 5).unwrap();
        assert_eq!(right.at_ms(), NOON - DAY_MS - 1, "it does not follow a clock that was wrong");
        for impossible in [-1, LAST_MS + 1, i64::MAX, i64::MIN] {
            assert_eq!(partitions.draw(impossible, 0), None);
        }
    }

    #[test]
    fn a_place_that_is_given_out_is_never_far() {
        let far = |day| is_far(day, NOON);
        assert_eq!([20_000, 20_001, 20_002, 20_900].map(far), [false, false, true, true]);
        assert!(!is_far(20_001, 20_000 * DAY_MS));
    }

    #[test]
    fn a_stretch_of_time_is_a_stretch_of_places() {
        let partitions = Partitions::new();
        partitions.draw(NOON + 5_000, 7);
        let late = partitions.draw(NOON, 7).unwrap();
        assert!(places_between(Some(NOON), Some(NOON + 1)).contains(&late.0));
        assert!(!places_between(Some(NOON + 6_000), None).contains(&late.0));
        assert!(!places_between(None, Some(NOON - 2 * DAY_MS)).contains(&late.0));
        assert!(places_between(Some(i64::MIN), Some(i64::MAX)).contains(&late.0));
    }
}
