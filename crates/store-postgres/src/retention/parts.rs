//! A day in parts: looking at it, copying what stays of it, and copying anew what has changed.
//!
//! How much is done at once follows from how long the last part took, so that a statement stays far
//! below its time limit on a slow disk, too, or where events are large or have many attempts; one that
//! takes too long all the same is done again with less.

use std::time::{Duration, Instant};

use super::day::Day;
use super::{OPERATION, hold};
use crate::errors::Failure;
use crate::partitions::{TABLES, column_of};
use crate::session::Session;
use crate::transaction::Tx;

/// Places that one statement looks at, at most, and at first.
const LOOKED: (i64, i64) = (10_000, 2_000);
/// How long what changes meanwhile is copied anew: who writes faster than that keeps the day for now.
const CATCH_UP_MAX: Duration = Duration::from_secs(10 * 60);
/// Events that one statement copies, at most, and at first; and bytes of their requests.
const COPIED: (i64, i64) = (1_000, 100);
const COPIED_BYTES: i64 = 16 << 20;
/// A part that took longer than this is followed by a smaller one.
const LONG: Duration = Duration::from_millis(400);
/// And one that took less by a larger one.
const QUICK: Duration = Duration::from_millis(100);
/// The database has broken off a statement.
const QUERY_CANCELED: &str = "57014";

/// Whether a statement was ended by its time limit.
pub(super) fn took_too_long(failure: &Failure) -> bool {
    failure.code() == Some(QUERY_CANCELED)
}

/// How much is done at once.
#[derive(Debug, Clone, Copy)]
struct Pace {
    now: i64,
    most: i64,
}

impl Pace {
    const fn new((most, now): (i64, i64)) -> Self {
        Self { now, most }
    }

    /// A part was done within this time.
    fn took(&mut self, time: Duration) {
        if time > LONG {
            self.now = (self.now / 2).max(1);
        } else if time < QUICK {
            self.now = (self.now * 2).min(self.most);
        }
    }

    /// So much could not be done in time; whether it can be tried with less.
    fn fell_short(&mut self, failure: &Failure, tried: i64) -> bool {
        self.now = (tried / 4).max(1);
        took_too_long(failure) && tried > 1
    }
}

/// A stretch of places: those above the first, up to the second.
type Stretch = (i64, i64);

/// Goes through the places of a day.
struct Walk<'a> {
    day: &'a Day,
    after: i64,
    pace: Pace,
}

impl<'a> Walk<'a> {
    fn new(day: &'a Day) -> Self {
        Self { day, after: day.bounds().0 - 1, pace: Pace::new(LOOKED) }
    }

    /// The next places; `None` behind the last.
    async fn next(&self, session: &Session) -> Result<Option<Stretch>, Failure> {
        let sql = format!(
            "SELECT max(seq) FROM
                 (SELECT seq FROM event_{} WHERE seq > $1 ORDER BY seq LIMIT $2) AS part",
            self.day.number
        );
        let row = session.row(OPERATION, &sql, &[&self.after, &self.pace.now]).await?;
        let last: Option<i64> = row.and_then(|row| row.get(0));
        Ok(last.map(|last| (self.after, last)))
    }

    /// What was to be done there was done, in this time.
    fn passed(&mut self, stretch: Stretch, time: Duration) {
        self.after = stretch.1;
        self.pace.took(time);
    }

    /// The first places where something may go.
    async fn first_going(&mut self, session: &Session) -> Result<Option<Stretch>, Failure> {
        let sql = self.day.something_goes();
        loop {
            let started = Instant::now();
            let looked = async {
                let Some(stretch) = self.next(session).await? else { return Ok(None) };
                let row = session.row(OPERATION, &sql, &[&stretch.0, &stretch.1]).await?;
                Ok::<_, Failure>(Some((stretch, row.is_some_and(|row| row.get(0)))))
            };
            match looked.await {
                Ok(None) => return Ok(None),
                Ok(Some((stretch, true))) => return Ok(Some(stretch)),
                Ok(Some((stretch, false))) => self.passed(stretch, started.elapsed()),
                Err(failure) => {
                    if !self.pace.fell_short(&failure, self.pace.now) {
                        return Err(failure);
                    }
                }
            }
        }
    }
}

/// Whether anything of the day may go.
pub(super) async fn something_goes(session: &Session, day: &Day) -> Result<bool, Failure> {
    Ok(Walk::new(day).first_going(session).await?.is_some())
}

/// When the first event was received that may go, as far as the places follow each other in that order.
pub(super) async fn earliest(session: &Session, day: &Day) -> Result<Option<i64>, Failure> {
    let Some(stretch) = Walk::new(day).first_going(session).await? else { return Ok(None) };
    let row = session.row(OPERATION, &day.first_received(), &[&stretch.0, &stretch.1]).await?;
    Ok(row.and_then(|row| row.get(0)))
}

/// A day whose fresh tables are being filled.
pub(super) struct Copying<'a> {
    day: &'a Day,
    pace: Pace,
    copy: String,
    /// Events in the fresh tables.
    pub(super) kept: i64,
}

/// What became of copying anew what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaughtUp {
    /// A part of it was, the fresh tables hold so many events, and there may be more.
    Partly(i64),
    /// All of it was, and they hold so many.
    Wholly(i64),
    /// Nothing was done, because it would take too long.
    TooMuch,
    /// The day is in other hands.
    Lost,
}

impl<'a> Copying<'a> {
    pub(super) fn new(day: &'a Day) -> Self {
        Self { day, pace: Pace::new(COPIED), copy: day.copy(), kept: 0 }
    }

    /// Copies all that stays; false if the day is in other hands by now.
    pub(super) async fn all(&mut self, session: &Session) -> Result<bool, Failure> {
        let day = self.day;
        let anything_dead = self.anything_dead(session).await?;
        let (let_go, staying) = (day.let_go(), day.staying());
        let mut walk = Walk::new(day);
        loop {
            if !hold::renew(session, day).await? {
                return Ok(false);
            }
            let started = Instant::now();
            let looked = async {
                let Some(stretch) = walk.next(session).await? else { return Ok(None) };
                if anything_dead {
                    session.run(OPERATION, &let_go, &[&stretch.0, &stretch.1]).await?;
                }
                let rows = session.rows(OPERATION, &staying, &[&stretch.0, &stretch.1]).await?;
                let list = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
                Ok::<_, Failure>(Some((stretch, list)))
            };
            match looked.await {
                Ok(None) => return Ok(true),
                Ok(Some((stretch, list))) => {
                    walk.passed(stretch, started.elapsed());
                    if !self.list(session, list).await? {
                        return Ok(false);
                    }
                }
                Err(failure) => {
                    if !walk.pace.fell_short(&failure, walk.pace.now) {
                        return Err(failure);
                    }
                }
            }
        }
    }

    /// Whether anything waits for an endpoint that is gone for good: seldom, and then every part costs
    /// one statement more.
    async fn anything_dead(&self, session: &Session) -> Result<bool, Failure> {
        let row = session.row(OPERATION, &self.day.any_removed(), &[]).await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }

    /// Copies these events, given with their sizes.
    async fn list(&mut self, session: &Session, list: Vec<(i64, i32)>) -> Result<bool, Failure> {
        let (number, run) = (self.day.number, self.day.run);
        let mut rest = &list[..];
        while !rest.is_empty() {
            let part = self.part_of(rest);
            let started = Instant::now();
            match session.run(OPERATION, &self.copy, &[&part, &number, &run]).await {
                Ok(copied) if copied == part.len() as u64 => {
                    self.kept += part.len() as i64;
                    self.pace.took(started.elapsed());
                    rest = &rest[part.len()..];
                }
                // Who takes the day in hand waits for a copy under way, and there is none after it.
                Ok(_) => return Ok(false),
                Err(failure) => {
                    if !self.pace.fell_short(&failure, part.len() as i64) {
                        return Err(failure);
                    }
                }
            }
        }
        Ok(true)
    }

    /// As many of the first as are copied at once.
    fn part_of(&self, list: &[(i64, i32)]) -> Vec<i64> {
        let mut bytes = 0;
        let most = usize::try_from(self.pace.now).unwrap_or(1);
        let mut part: Vec<i64> = Vec::new();
        for (seq, size) in list.iter().take(most) {
            bytes += i64::from(*size);
            if bytes > COPIED_BYTES && !part.is_empty() {
                break;
            }
            part.push(*seq);
        }
        part
    }

    /// Copies anew what has changed, as long as that is more than a part; each part is a transaction.
    /// False if the day is in other hands by now, or changes faster than it can be copied.
    pub(super) async fn catch_up(&mut self, session: &mut Session) -> Result<bool, Failure> {
        let begun = Instant::now();
        while begun.elapsed() < CATCH_UP_MAX {
            let (tried, started) = (self.pace.now, Instant::now());
            let outcome = async {
                let tx = hold::begin(session).await?;
                let caught_up = self.catch_up_in(&tx, false).await?;
                hold::commit(tx).await?;
                Ok::<_, Failure>(caught_up)
            };
            match outcome.await {
                Ok(CaughtUp::Lost) => return Ok(false),
                Ok(CaughtUp::Wholly(kept)) => {
                    self.kept = kept;
                    return Ok(true);
                }
                Ok(CaughtUp::Partly(kept)) => {
                    self.kept = kept;
                    self.pace.took(started.elapsed());
                }
                Ok(CaughtUp::TooMuch) => {}
                Err(failure) => {
                    if !self.pace.fell_short(&failure, tried) {
                        return Err(failure);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Copies a part of what has changed anew. `briefly` is while others wait: then all of it, or
    /// nothing.
    pub(super) async fn catch_up_in(
        &self,
        tx: &Tx<'_>,
        briefly: bool,
    ) -> Result<CaughtUp, Failure> {
        if !hold::is_ours(tx, self.day).await? {
            return Ok(CaughtUp::Lost);
        }
        let number = self.day.number;
        let sql = format!(
            "DELETE FROM changed_{number} WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM changed_{number} LIMIT $1)) RETURNING seq"
        );
        let rows = tx.rows(&sql, &[&self.pace.now]).await?;
        let more = rows.len() as i64 == self.pace.now;
        let mut changed: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        changed.sort_unstable();
        changed.dedup();
        if changed.is_empty() {
            return Ok(CaughtUp::Wholly(self.kept));
        }
        let rows = tx.rows(&self.day.staying_of(), &[&changed]).await?;
        let list: Vec<(i64, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let bytes: i64 = list.iter().map(|(_, size)| i64::from(*size)).sum();
        if briefly && (more || bytes > COPIED_BYTES) {
            return Ok(CaughtUp::TooMuch);
        }
        let mut kept = self.kept;
        for table in TABLES {
            let column = column_of(table);
            let sql = format!("DELETE FROM {table}_{number}_kept WHERE {column} = ANY($1)");
            let gone = tx.run(&sql, &[&changed]).await?;
            kept -= if table == "event" { gone as i64 } else { 0 };
        }
        let mut rest = &list[..];
        while !rest.is_empty() {
            let part = self.part_of(rest);
            kept += tx.run(&self.copy, &[&part, &number, &self.day.run]).await? as i64;
            rest = &rest[part.len()..];
        }
        Ok(if more { CaughtUp::Partly(kept) } else { CaughtUp::Wholly(kept) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_smaller_after_a_long_one_and_larger_after_a_quick_one() {
        let mut pace = Pace::new((1_000, 100));
        pace.took(Duration::from_millis(99));
        assert_eq!(pace.now, 200);
        pace.took(Duration::from_millis(300));
        assert_eq!(pace.now, 200);
        for _ in 0..9 {
            pace.took(Duration::ZERO);
        }
        assert_eq!(pace.now, 1_000);
        for _ in 0..20 {
            pace.took(Duration::from_secs(2));
        }
        assert_eq!(pace.now, 1);
    }

    #[test]
    fn only_what_took_too_long_is_tried_with_less() {
        let mut pace = Pace::new((1_000, 100));
        let other = Failure::from(crate::errors::unavailable("test", "no"));
        assert!(!pace.fell_short(&other, 100));
        assert!(!took_too_long(&other));
        assert_eq!(pace.now, 25);
    }
}
