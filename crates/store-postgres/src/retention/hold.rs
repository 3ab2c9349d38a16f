//! A day in somebody's hands, and transactions in which it is changed.
//!
//! Whoever takes a day in hand draws a run, and every step asks for it again: what was begun before, by
//! another node or by a call that nobody waits for any more, comes to nothing.

use becket_store::Result;

use super::OPERATION;
use super::day::Day;
use crate::errors::Failure;
use crate::session::Session;
use crate::shared::Shared;
use crate::transaction::Tx;

/// How long anybody waits for a lock here, with everybody else behind it, and for a statement.
const BOUNDS: &str = "SET LOCAL lock_timeout TO '60ms'; SET LOCAL statement_timeout TO '4s'";

/// Holds the day `$2` for longer, as long as run `$3` has it.
pub(super) const RENEW: &str = "UPDATE retention_day
    SET claimed_until = clock_timestamp() + '10 minutes' WHERE day = $2 AND run = $3";

/// Takes the day in hand, unless another node has. What this node began before is in its hands no more.
pub(super) async fn claim(shared: &Shared, session: &Session, day: &Day) -> Result<bool> {
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

/// Whether it has tables: who had it in hand before may have removed all of it.
pub(super) async fn is_there(session: &Session, day: &Day) -> Result<bool> {
    let name = format!("event_{}", day.number);
    let sql = "SELECT to_regclass($1::text) IS NOT NULL";
    let row = session.row(OPERATION, sql, &[&name]).await?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// Holds it for longer; false if it is in other hands by now.
pub(super) async fn renew(session: &Session, day: &Day) -> Result<bool, Failure> {
    let sql = "UPDATE retention_day SET claimed_until = clock_timestamp() + '10 minutes'
        WHERE day = $1 AND run = $2";
    Ok(session.run(OPERATION, sql, &[&day.number, &day.run]).await? > 0)
}

/// Puts it down, if it is still in these hands; it was looked at then.
pub(super) async fn release(session: &Session, day: &Day, looked_at_ms: Option<i64>) -> Result<()> {
    let sql = "UPDATE retention_day SET looked_at_ms = COALESCE($2, looked_at_ms),
            claimed_until = '-infinity' WHERE day = $1 AND run = $3";
    session.run(OPERATION, sql, &[&day.number, &looked_at_ms, &day.run]).await?;
    Ok(())
}

/// Whether the day is still in these hands, and stays there until the transaction ends.
pub(super) async fn is_ours(tx: &Tx<'_>, day: &Day) -> Result<bool, Failure> {
    let sql = "SELECT FROM retention_day WHERE day = $1 AND run = $2 FOR UPDATE";
    Ok(tx.row(sql, &[&day.number, &day.run]).await?.is_some())
}

/// Begins a transaction whose statements have their time limit: one that hangs must not be taken for a
/// server that does.
pub(super) async fn begin(session: &mut Session) -> Result<Tx<'_>, Failure> {
    let tx = session.begin(OPERATION).await?;
    tx.batch(BOUNDS).await?;
    Ok(tx)
}

/// Commits it; the commit itself has none, because it may wait for a standby.
pub(super) async fn commit(tx: Tx<'_>) -> Result<(), Failure> {
    tx.batch("SET LOCAL statement_timeout TO 0").await?;
    tx.commit().await
}
