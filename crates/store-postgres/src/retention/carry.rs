//! Rebuilding a day with what has to stay of it.
//!
//! First fresh tables are filled beside the day's own, a part at a time and under no lock, while
//! triggers on the day note which of its events change. Then, in one short transaction, nobody may
//! write to the old day, what was noted is copied anew, and the fresh tables take the place of the old
//! ones; if nothing has to stay, there are none. That transaction waits only moments for a lock, so
//! that nobody who accepts waits long behind it, and is tried again some times. What was begun and
//! not finished is begun anew by the next who looks at the day.

use std::sync::Arc;
use std::time::Duration;

use becket_store::Result;

use crate::errors::Failure;
use crate::events::columns::NEXT_FAILED;
use crate::partitions::{TABLES, attach, create, first_of, lock_day};
use crate::session::Session;
use crate::shared::Shared;
use crate::transaction::Tx;

const OPERATION: &str = "retention_sweep";
/// Events that are copied at once, and bytes of their requests.
const PART: i64 = 1_000;
const PART_BYTES: i64 = 16 << 20;
/// How long the exchange waits for each lock, with everybody else behind it.
const LOCK: &str = "SET LOCAL lock_timeout TO '60ms'";
/// How often the exchange is tried, and how long is waited in between.
const TRIES: u32 = 20;
const TRY_EVERY: Duration = Duration::from_millis(150);

/// What has to stay of a day. What is pending always does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// Events with a failed delivery.
    pub(super) failed: bool,
    /// Events without one.
    pub(super) ended: bool,
    /// What waits for an endpoint that the API made, and that was removed before this, is not
    /// pending any more.
    pub(super) removed_before_ms: i64,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Went {
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// Whether all is done that could be; otherwise others were in the way.
    pub(super) done: bool,
}

/// A day and what has to stay of it, as SQL.
struct Day {
    number: i32,
    /// Tells who took it in hand from whoever did so before, in the same node too.
    run: i64,
    /// A condition on `seq` of an event.
    stays: String,
    /// A query for the next `$2` places above `$1` of events that stay, in their order.
    next: String,
    /// A condition on rows of `delivery` of which nothing will become any more.
    dead: String,
}

impl Day {
    fn new(number: i32, run: i64, keep: Keep) -> Self {
        // State 3 is removed, origin 1 the API; what the file declared may come back.
        let dead = format!(
            "endpoint IN (SELECT key FROM endpoint
                 WHERE state = 3 AND origin = 1 AND updated_at_ms < {})",
            keep.removed_before_ms
        );
        let pending =
            format!("EXISTS (SELECT FROM delivery WHERE delivery.event_seq = seq AND NOT {dead})");
        let failed = format!(
            "EXISTS (SELECT FROM attempt_{number} AS ended
                WHERE ended.event_seq = seq AND next_kind >= {NEXT_FAILED})"
        );
        let high = first_of(number.saturating_add(1));
        let pending_next = format!(
            "(SELECT DISTINCT event_seq AS seq FROM delivery
              WHERE event_seq > $1 AND event_seq < {high} AND NOT {dead} ORDER BY 1 LIMIT $2)"
        );
        let failed_next = format!(
            "(SELECT DISTINCT event_seq FROM attempt_{number}
              WHERE event_seq > $1 AND next_kind >= {NEXT_FAILED} ORDER BY 1 LIMIT $2)"
        );
        let stays = match (keep.failed, keep.ended) {
            (true, true) => "true".to_owned(),
            (true, false) => format!("({pending} OR {failed})"),
            (false, true) => format!("({pending} OR NOT {failed})"),
            (false, false) => pending,
        };
        // What stays is few, as a rule, and has indexes.
        let next = match (keep.failed, keep.ended) {
            (_, true) => format!("SELECT seq FROM event_{number} WHERE seq > $1 AND {stays}"),
            (true, false) => format!("{pending_next} UNION {failed_next}"),
            (false, false) => pending_next,
        };
        let next = format!("SELECT seq FROM ({next}) AS all_next ORDER BY 1 LIMIT $2");
        Self { number, run, stays, next, dead }
    }

    /// The names of the day's tables.
    fn tables(&self) -> String {
        TABLES.map(|table| format!("{table}_{}", self.number)).join(", ")
    }
}

/// The column by which a table knows the event.
fn column_of(table: &str) -> &'static str {
    if table == "event" { "seq" } else { "event_seq" }
}

/// Removes from a day what need not stay.
pub(super) async fn carry(
    shared: &Arc<Shared>,
    session: &mut Session,
    day: i32,
    keep: Keep,
    now_ms: i64,
) -> Result<Went> {
    let mut run = [0; 8];
    shared.noise.fill(&mut run);
    let day = Day::new(day, i64::from_le_bytes(run), keep);
    if !claim(shared, session, &day).await? {
        return Ok(Went::default());
    }
    let sql = format!("SELECT FROM event_{} WHERE NOT {} LIMIT 1", day.number, day.stays);
    let something_goes = session.row(OPERATION, &sql, &[]).await?.is_some();
    let went = if something_goes || is_empty(session, &day).await? {
        rebuild(shared, session, &day).await?
    } else {
        Went { done: true, ..Went::default() }
    };
    let looked_at_ms = went.done.then_some(now_ms);
    let sql = "UPDATE retention_day SET looked_at_ms = COALESCE($2, looked_at_ms),
            claimed_until = '-infinity' WHERE day = $1 AND run = $3";
    session.run(OPERATION, sql, &[&day.number, &looked_at_ms, &day.run]).await?;
    Ok(went)
}

/// Takes the day in hand, unless another node has. What this node began before is in its hands no more.
async fn claim(shared: &Shared, session: &Session, day: &Day) -> Result<bool> {
    let sql = "INSERT INTO retention_day (day, looked_at_ms, node, claimed_until, run)
        VALUES ($1, $2, $3, clock_timestamp() + '10 minutes', $4)
        ON CONFLICT (day) DO UPDATE SET node = excluded.node, claimed_until = excluded.claimed_until,
            run = excluded.run
        WHERE retention_day.node = excluded.node
            OR retention_day.claimed_until < clock_timestamp()";
    let node = shared.node().0.cast_signed();
    let never = i64::MIN;
    Ok(session.run(OPERATION, sql, &[&day.number, &never, &node, &day.run]).await? > 0)
}

/// Whether the day is still in these hands, and stays there until the transaction ends.
async fn is_ours(tx: &Tx<'_>, day: &Day) -> Result<bool, Failure> {
    let sql = "SELECT FROM retention_day WHERE day = $1 AND run = $2 FOR UPDATE";
    Ok(tx.row(sql, &[&day.number, &day.run]).await?.is_some())
}

async fn is_empty(session: &Session, day: &Day) -> Result<bool> {
    let sql = format!("SELECT FROM event_{} LIMIT 1", day.number);
    Ok(session.row(OPERATION, &sql, &[]).await?.is_none())
}

async fn rebuild(shared: &Arc<Shared>, session: &mut Session, day: &Day) -> Result<Went> {
    let mut tries = 0;
    let begun = loop {
        match begin(session, day).await {
            Ok(ours) => break ours,
            Err(failure) if failure.is_conflict() && tries < TRIES => tries += 1,
            Err(failure) if failure.is_conflict() => break false,
            Err(failure) => return Err(failure.into()),
        }
        tokio::time::sleep(TRY_EVERY).await;
    };
    if !begun {
        return Ok(Went::default());
    }
    copy_all(session, day).await?;
    for _ in 0..TRIES {
        match exchange(shared, session, day).await {
            Ok(went) => return Ok(went),
            Err(failure) if failure.is_conflict() => tokio::time::sleep(TRY_EVERY).await,
            Err(failure) => return Err(failure.into()),
        }
    }
    // The triggers cost whoever writes to the old day.
    let tx = session.begin(OPERATION).await?;
    if !is_ours(&tx, day).await? {
        return Ok(Went::default());
    }
    tx.batch(&discard(day)).await?;
    tx.commit().await?;
    tracing::info!(day = day.number, "an old day is in use and will be swept later");
    Ok(Went::default())
}

/// Takes away what an unfinished rebuilding left.
fn discard(day: &Day) -> String {
    let number = day.number;
    let triggers = TABLES
        .map(|table| format!("DROP TRIGGER IF EXISTS note_change ON {table}_{number};"))
        .concat();
    let fresh = TABLES.map(|table| format!("{table}_{number}_kept")).join(", ");
    format!("{LOCK}; {triggers} DROP TABLE IF EXISTS {fresh}, changed_{number};")
}

/// Makes fresh tables, and begins to note what changes; not if somebody else has the day by now.
async fn begin(session: &mut Session, day: &Day) -> Result<bool, Failure> {
    let number = day.number;
    let (low, high) = (first_of(number), first_of(number.saturating_add(1)));
    let tx = session.begin(OPERATION).await?;
    lock_day(&tx, number).await?;
    if !is_ours(&tx, day).await? {
        return Ok(false);
    }
    let mut sql = discard(day);
    sql.push_str(&format!("CREATE TABLE changed_{number} (seq bigint NOT NULL);"));
    for table in TABLES {
        let column = column_of(table);
        sql.push_str(&create(table, number, "_kept"));
        // So that attaching need not look at every row.
        sql.push_str(&format!(
            "ALTER TABLE {table}_{number}_kept ADD CONSTRAINT within_day
                 CHECK ({column} >= {low} AND {column} < {high});
             CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON {table}_{number}
                 FOR EACH ROW EXECUTE FUNCTION note_change('changed_{number}', '{column}');"
        ));
    }
    tx.batch(&sql).await?;
    tx.commit().await?;
    Ok(true)
}

/// Copies what stays, a part at a time.
async fn copy_all(session: &Session, day: &Day) -> Result<()> {
    let sql = format!(
        "SELECT seq, size_bytes FROM event_{} JOIN ({}) AS next USING (seq) ORDER BY seq",
        day.number, day.next
    );
    let copy = copy(day);
    let mut after = -1_i64;
    loop {
        let (mut seqs, mut bytes): (Vec<i64>, i64) = (Vec::new(), 0);
        for row in session.rows(OPERATION, &sql, &[&after, &PART]).await? {
            bytes += i64::from(row.get::<_, i32>(1));
            if bytes > PART_BYTES && !seqs.is_empty() {
                break;
            }
            seqs.push(row.get(0));
        }
        let Some(last) = seqs.last() else { return Ok(()) };
        after = *last;
        session.run(OPERATION, &copy, &[&seqs]).await?;
    }
}

/// Copies the events `$1` with everything that belongs to them.
fn copy(day: &Day) -> String {
    let number = day.number;
    let parts = TABLES.map(|table| {
        let column = column_of(table);
        format!(
            "INSERT INTO {table}_{number}_kept
                 SELECT * FROM {table}_{number} WHERE {column} = ANY($1::bigint[])"
        )
    });
    let [event, attempt, replay, duplicate] = parts;
    format!("WITH a AS ({attempt}), r AS ({replay}), d AS ({duplicate}) {event}")
}

/// Puts the fresh tables in the place of the old ones.
async fn exchange(shared: &Shared, session: &mut Session, day: &Day) -> Result<Went, Failure> {
    let number = day.number;
    let tx = session.begin(OPERATION).await?;
    tx.batch(LOCK).await?;
    lock_day(&tx, number).await?;
    // Somebody else may have taken the day in hand meanwhile.
    if !is_ours(&tx, day).await? {
        return Ok(Went::default());
    }
    // Nobody writes to the day from here on, and nobody locks rows of it; it may be read.
    tx.batch(&format!("LOCK TABLE {} IN EXCLUSIVE MODE", day.tables())).await?;
    catch_up(&tx, day).await?;
    let sizes = format!(
        "SELECT (SELECT count(*) FROM event_{number}_kept), {}, {}",
        total_size(number, ""),
        total_size(number, "_kept")
    );
    let row = tx.row(&sizes, &[]).await?;
    let (kept, before, after): (i64, i64, i64) =
        row.map_or((0, 0, 0), |row| (row.get(0), row.get(1), row.get(2)));
    let sql = "DELETE FROM tally WHERE day = $1 RETURNING events";
    let counted = tx.rows(sql, &[&number]).await?;
    let counted: i64 = counted.iter().map(|row| row.get::<_, i64>(0)).sum();
    tx.batch(&tables_change(day, kept)).await?;
    if kept > 0 {
        let sql = "INSERT INTO tally (day, slot, events) VALUES ($1, 0, $2)";
        tx.run(sql, &[&number, &kept]).await?;
    }
    tx.commit().await?;
    if kept == 0 {
        shared.partitions.forget();
    }
    let kept_bytes = if kept > 0 { after } else { 0 };
    Ok(Went {
        events: u64::try_from(counted - kept).unwrap_or(0),
        bytes: u64::try_from(before - kept_bytes).unwrap_or(0),
        done: true,
    })
}

/// What the tables of a day take on disk, as SQL.
fn total_size(number: i32, suffix: &str) -> String {
    let sizes =
        TABLES.map(|table| format!("pg_total_relation_size('{table}_{number}{suffix}'::regclass)"));
    format!("({})::bigint", sizes.join(" + "))
}

/// Copies anew what was changed, and lets go of deliveries of which nothing will become.
async fn catch_up(tx: &Tx<'_>, day: &Day) -> Result<(), Failure> {
    let (number, stays, dead) = (day.number, &day.stays, &day.dead);
    let sql = format!("SELECT DISTINCT seq FROM changed_{number}");
    let changed: Vec<i64> = tx.rows(&sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    if !changed.is_empty() {
        for table in TABLES {
            let column = column_of(table);
            let sql = format!("DELETE FROM {table}_{number}_kept WHERE {column} = ANY($1)");
            tx.run(&sql, &[&changed]).await?;
        }
        let sql = format!("SELECT seq FROM event_{number} WHERE seq = ANY($1) AND {stays}");
        let stay: Vec<i64> =
            tx.rows(&sql, &[&changed]).await?.iter().map(|row| row.get(0)).collect();
        tx.run(&copy(day), &[&stay]).await?;
    }
    let (low, high) = (first_of(number), first_of(number.saturating_add(1)));
    let sql = format!("DELETE FROM delivery WHERE event_seq >= $1 AND event_seq < $2 AND {dead}");
    tx.run(&sql, &[&low, &high]).await?;
    Ok(())
}

/// What is done to the tables in the end.
fn tables_change(day: &Day, kept: i64) -> String {
    let number = day.number;
    // All at once, so that nobody is in the middle of using some of them.
    let mut sql = format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE;", TABLES.join(", "));
    for table in TABLES {
        sql.push_str(&format!(
            "ALTER TABLE {table} DETACH PARTITION {table}_{number}; DROP TABLE {table}_{number};"
        ));
        if kept > 0 {
            sql.push_str(&format!(
                "ALTER TABLE {table}_{number}_kept RENAME TO {table}_{number};
                 {}
                 ALTER TABLE {table}_{number} DROP CONSTRAINT within_day;",
                attach(table, number, "")
            ));
        } else {
            sql.push_str(&format!("DROP TABLE {table}_{number}_kept;"));
        }
    }
    sql.push_str(&format!("DROP TABLE changed_{number};"));
    sql
}
