//! Rebuilding a day with what has to stay of it.
//!
//! First fresh tables are filled beside the day's own, a part at a time and under no lock, while
//! triggers on the day note which of its events change. What was noted is copied anew, again in parts,
//! until little is left. Then, in one short transaction, nobody may write to the old day, the last of it
//! is copied, and the fresh tables take the place of the old ones; if nothing has to stay, there are
//! none. That transaction waits only moments for a lock, so that nobody who accepts waits long behind
//! it, and is tried again some times. What was begun and not finished is taken away if that can be
//! done, and begun anew by the next who looks at the day.

use std::sync::Arc;
use std::time::Duration;

use becket_store::Result;

use super::day::Day;
use super::parts::{self, CaughtUp, Copying, took_too_long};
use super::{OPERATION, hold};
use crate::errors::Failure;
use crate::partitions::{TABLES, attach, column_of, create, lock_day};
use crate::session::Session;
use crate::shared::Shared;

/// How often the exchange is tried, and how long is waited in between.
const TRIES: u32 = 20;
const TRY_EVERY: Duration = Duration::from_millis(150);

/// What was removed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Went {
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// Whether all is done that could be; otherwise others were in the way.
    pub(super) done: bool,
}

/// Removes from a day, which is in hand, what need not stay.
pub(super) async fn carry(shared: &Arc<Shared>, session: &mut Session, day: &Day) -> Result<Went> {
    if !parts::something_goes(session, day).await? && !is_empty(session, day).await? {
        return Ok(Went { done: true, ..Went::default() });
    }
    if !begin(session, day).await? {
        return Ok(Went::default());
    }
    match rebuild(shared, session, day).await {
        Ok(went) if went.done => Ok(went),
        Ok(_) => {
            tracing::info!(day = day.number, "an old day is in use and will be swept later");
            leave(shared, session, day).await;
            Ok(Went::default())
        }
        Err(failure) => {
            leave(shared, session, day).await;
            Err(failure.into())
        }
    }
}

/// Takes away what was made; what cannot be is, when the day is begun anew.
async fn leave(shared: &Arc<Shared>, session: &mut Session, day: &Day) {
    if let Err(error) = take_away(shared, session, day).await {
        tracing::info!(day = day.number, %error, "a part of a day's copy is left behind");
    }
}

async fn is_empty(session: &Session, day: &Day) -> Result<bool> {
    let sql = format!("SELECT FROM event_{} LIMIT 1", day.number);
    Ok(session.row(OPERATION, &sql, &[]).await?.is_none())
}

/// Whether it may work when it is done again.
fn is_passing(failure: &Failure) -> bool {
    failure.is_conflict() || took_too_long(failure)
}

/// Makes fresh tables, and begins to note what changes; not if somebody else has the day by now or it
/// is much in use.
async fn begin(session: &mut Session, day: &Day) -> Result<bool, Failure> {
    for _ in 0..TRIES {
        match begin_once(session, day).await {
            Err(failure) if is_passing(&failure) => tokio::time::sleep(TRY_EVERY).await,
            outcome => return outcome,
        }
    }
    Ok(false)
}

async fn begin_once(session: &mut Session, day: &Day) -> Result<bool, Failure> {
    let (number, (low, high)) = (day.number, day.bounds());
    let tx = hold::begin(session).await?;
    lock_day(&tx, number).await?;
    if !hold::is_ours(&tx, day).await? {
        return Ok(false);
    }
    let mut sql = discard(day);
    sql.push_str(&format!("CREATE TABLE changed_{number} (seq bigint NOT NULL);"));
    for table in TABLES {
        let column = column_of(table);
        sql.push_str(&create(table, number, "_kept"));
        // So that attaching need not look at every row, and no vacuum of a table that is being filled is
        // in its way: one does not give way to somebody who waits as briefly as the exchange does.
        sql.push_str(&format!(
            "ALTER TABLE {table}_{number}_kept ADD CONSTRAINT within_day
                 CHECK ({column} >= {low} AND {column} < {high});
             ALTER TABLE {table}_{number}_kept SET (autovacuum_enabled = off);
             CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON {table}_{number}
                 FOR EACH ROW EXECUTE FUNCTION note_change('changed_{number}', '{column}');"
        ));
    }
    tx.batch(&sql).await?;
    hold::commit(tx).await?;
    Ok(true)
}

/// Takes away what an unfinished rebuilding left.
fn discard(day: &Day) -> String {
    let number = day.number;
    let triggers = TABLES
        .map(|table| format!("DROP TRIGGER IF EXISTS note_change ON {table}_{number};"))
        .concat();
    let fresh = TABLES.map(|table| format!("{table}_{number}_kept")).join(", ");
    format!("{triggers} DROP TABLE IF EXISTS {fresh}, changed_{number};")
}

/// Takes away what this run has made: the triggers cost whoever writes to the old day.
async fn take_away(shared: &Shared, session: &mut Session, day: &Day) -> Result<(), Failure> {
    // What failed may have ended the session.
    let mut other = if session.is_useless() { Some(shared.write(OPERATION).await?) } else { None };
    let session = other.as_deref_mut().unwrap_or(session);
    let mut tries = 1;
    loop {
        match take_away_once(session, day).await {
            Err(failure) if is_passing(&failure) && tries < TRIES => tries += 1,
            outcome => return outcome,
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

async fn take_away_once(session: &mut Session, day: &Day) -> Result<(), Failure> {
    let tx = hold::begin(session).await?;
    if hold::is_ours(&tx, day).await? {
        tx.batch(&discard(day)).await?;
        hold::commit(tx).await?;
    }
    Ok(())
}

async fn rebuild(shared: &Arc<Shared>, session: &mut Session, day: &Day) -> Result<Went, Failure> {
    let mut copying = Copying::new(day);
    if !copying.all(session).await? {
        return Ok(Went::default());
    }
    for _ in 0..TRIES {
        match finish(shared, session, day, &mut copying).await {
            Ok(Some(went)) => return Ok(went),
            Ok(None) => {}
            Err(failure) if is_passing(&failure) => tokio::time::sleep(TRY_EVERY).await,
            Err(failure) => return Err(failure),
        }
    }
    Ok(Went::default())
}

/// Copies anew what has changed, then exchanges the tables; `None` if too much has changed in between.
async fn finish(
    shared: &Shared,
    session: &mut Session,
    day: &Day,
    copying: &mut Copying<'_>,
) -> Result<Option<Went>, Failure> {
    if !copying.catch_up(session).await? {
        return Ok(Some(Went::default()));
    }
    exchange(shared, session, day, copying).await
}

/// Puts the fresh tables in the place of the old ones.
async fn exchange(
    shared: &Shared,
    session: &mut Session,
    day: &Day,
    copying: &Copying<'_>,
) -> Result<Option<Went>, Failure> {
    let number = day.number;
    let tx = hold::begin(session).await?;
    lock_day(&tx, number).await?;
    // Somebody else may have taken the day in hand meanwhile.
    if !hold::is_ours(&tx, day).await? {
        return Ok(Some(Went::default()));
    }
    // Nobody writes to the day from here on, and nobody locks rows of it; it may be read.
    tx.batch(&format!("LOCK TABLE {} IN EXCLUSIVE MODE", day.tables())).await?;
    let kept = match copying.catch_up_in(&tx, true).await? {
        CaughtUp::Wholly(kept) => kept,
        CaughtUp::Partly(_) | CaughtUp::TooMuch => return Ok(None),
        CaughtUp::Lost => return Ok(Some(Went::default())),
    };
    let sizes = format!("SELECT {}, {}", total_size(number, ""), total_size(number, "_kept"));
    let row = tx.row(&sizes, &[]).await?;
    let (before, after): (i64, i64) = row.map_or((0, 0), |row| (row.get(0), row.get(1)));
    let sql = "DELETE FROM tally WHERE day = $1 RETURNING events";
    let counted = tx.rows(sql, &[&number]).await?;
    let counted: i64 = counted.iter().map(|row| row.get::<_, i64>(0)).sum();
    tx.batch(&tables_change(day, kept)).await?;
    if kept > 0 {
        let sql = "INSERT INTO tally (day, slot, events) VALUES ($1, 0, $2)";
        tx.run(sql, &[&number, &kept]).await?;
    }
    hold::commit(tx).await?;
    if kept == 0 {
        shared.partitions.forget();
    }
    let kept_bytes = if kept > 0 { after } else { 0 };
    Ok(Some(Went {
        events: u64::try_from(counted - kept).unwrap_or(0),
        bytes: u64::try_from(before - kept_bytes).unwrap_or(0),
        done: true,
    }))
}

/// What the tables of a day take on disk, as SQL.
fn total_size(number: i32, suffix: &str) -> String {
    let sizes =
        TABLES.map(|table| format!("pg_total_relation_size('{table}_{number}{suffix}'::regclass)"));
    format!("({})::bigint", sizes.join(" + "))
}

/// What is done to the tables in the end.
fn tables_change(day: &Day, kept: i64) -> String {
    let number = day.number;
    // All at once, so that nobody is in the middle of using some of them; the fresh ones first, because
    // everybody stands behind the others.
    let fresh = TABLES.map(|table| format!("{table}_{number}_kept")).join(", ");
    let mut sql = format!(
        "LOCK TABLE {fresh} IN ACCESS EXCLUSIVE MODE;
         LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE;",
        TABLES.join(", ")
    );
    for table in TABLES {
        sql.push_str(&format!(
            "ALTER TABLE {table} DETACH PARTITION {table}_{number}; DROP TABLE {table}_{number};"
        ));
        if kept > 0 {
            sql.push_str(&format!(
                "ALTER TABLE {table}_{number}_kept RENAME TO {table}_{number};
                 {}
                 ALTER TABLE {table}_{number} DROP CONSTRAINT within_day;
                 ALTER TABLE {table}_{number} RESET (autovacuum_enabled);",
                attach(table, number, "")
            ));
        } else {
            sql.push_str(&format!("DROP TABLE {table}_{number}_kept;"));
        }
    }
    sql.push_str(&format!("DROP TABLE changed_{number};"));
    sql
}
