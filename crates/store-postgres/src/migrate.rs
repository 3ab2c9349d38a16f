//! The layout of the schema: numbered files, run once each, in their order.
//!
//! Each file runs in a transaction of its own, together with the note that it has been run, under a
//! lock that belongs to the schema: a process that is killed leaves a whole number of them behind,
//! the next one goes on, and of several nodes that start at once one works while the others wait. A
//! file that has been released is never changed again, which its checksum proves.
//!
//! Two versions side by side: every file says which layout a program has to know at least to go on
//! working after it (`reads_from`). So a release that adds a table or a column keeps `reads_from` as
//! it was, and older nodes go on during the upgrade; what they still need is taken away by a later
//! release only. A program refuses a schema that is newer than it can work with.

use std::time::Duration;

use becket_store::Result;
use sha2::{Digest as _, Sha256};

use crate::errors::{Failure, unavailable, unusable};
use crate::session::Session;
use crate::transaction::Tx;

const OPERATION: &str = "migrate";
/// How long another node may take for the same.
const LOCK_MAX: Duration = Duration::from_secs(120);
const LOCK_EVERY: Duration = Duration::from_millis(100);
/// So often a file that met other transactions is tried again.
const CONFLICTS_MAX: u32 = 10;

/// One file.
struct Migration {
    number: i32,
    /// The lowest layout that a program has to know to work with the schema after this file.
    reads_from: i32,
    sql: &'static str,
}

const MIGRATIONS: [Migration; 1] =
    [Migration { number: 1, reads_from: 1, sql: include_str!("../migrations/0001_first.sql") }];

/// The layout that this program writes.
const LAYOUT: i32 = MIGRATIONS[MIGRATIONS.len() - 1].number;

impl Migration {
    fn checksum(&self) -> String {
        hex::encode(Sha256::digest(self.sql))
    }
}

/// What the schema says about a file that was run.
struct Applied {
    number: i32,
    checksum: String,
    reads_from: i32,
}

/// Brings the schema to this program's layout, or says why it cannot be used. If `make` is not set,
/// nothing is changed.
pub(crate) async fn migrate(session: &mut Session, schema: &str, make: bool) -> Result<()> {
    let mut conflicts = 0;
    let mut waited = Duration::ZERO;
    loop {
        let found = applied(session).await?;
        let next = next(schema, &found)?;
        let Some(next) = next else { return Ok(()) };
        if !make {
            return Err(unusable(format!(
                "the schema `{schema}` is older than this program needs (layout {}, needed is \
                 {LAYOUT}); start a node of this version, which brings it up to date",
                found.last().map_or(0, |last| last.number)
            )));
        }
        match step(session, schema, next).await {
            Ok(Step::Done) => tracing::info!(schema, layout = next.number, "database.migrated"),
            Ok(Step::Locked) if waited < LOCK_MAX => {
                waited += LOCK_EVERY;
                tokio::time::sleep(LOCK_EVERY).await;
            }
            Ok(Step::Locked) => {
                let detail = "another node is still bringing the schema up to date";
                return Err(unavailable(OPERATION, detail));
            }
            Err(failure) if failure.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// What has been run, in its order; nothing if there is no schema yet.
async fn applied(session: &Session) -> Result<Vec<Applied>, Failure> {
    let there = "SELECT to_regclass('migration') IS NOT NULL";
    let row = session.row(OPERATION, there, &[]).await?;
    if !row.is_some_and(|row| row.get(0)) {
        return Ok(Vec::new());
    }
    let sql = "SELECT number, checksum, reads_from FROM migration ORDER BY number";
    let rows = session.rows(OPERATION, sql, &[]).await?;
    let read = |row: &tokio_postgres::Row| Applied {
        number: row.get(0),
        checksum: row.get(1),
        reads_from: row.get(2),
    };
    Ok(rows.iter().map(read).collect())
}

/// The first file that has not been run, after a look at those that have.
fn next(schema: &str, found: &[Applied]) -> Result<Option<&'static Migration>> {
    for applied in found {
        let known = MIGRATIONS.iter().find(|known| known.number == applied.number);
        match known {
            Some(known) if known.checksum() != applied.checksum => {
                return Err(unusable(format!(
                    "the schema `{schema}` was made by another build of Becket than a released one: \
                     migration {} has been changed since; use the build that made it, or move the \
                     data to a new schema with `becket migrate-store`",
                    known.number
                )));
            }
            Some(_) => {}
            None if applied.reads_from > LAYOUT => {
                return Err(unusable(format!(
                    "the schema `{schema}` is newer than this program: it has layout {}, which \
                     programs from layout {} on can use, and this one knows layout {LAYOUT}; start a \
                     newer version of Becket",
                    applied.number, applied.reads_from
                )));
            }
            None => tracing::info!(schema, layout = applied.number, "database.newer_layout"),
        }
    }
    let newest = found.last().map_or(0, |last| last.number);
    Ok(MIGRATIONS.iter().find(|known| known.number > newest))
}

enum Step {
    Done,
    /// Somebody else is at it.
    Locked,
}

async fn step(session: &mut Session, schema: &str, migration: &Migration) -> Result<Step, Failure> {
    let tx = session.begin(OPERATION).await?;
    let lock = "SELECT pg_try_advisory_xact_lock(hashtext('becket migration'), hashtext($1))";
    let locked = tx.row(lock, &[&schema]).await?;
    if !locked.is_some_and(|row| row.get(0)) {
        return Ok(Step::Locked);
    }
    prepare(&tx, schema).await?;
    let sql = "SELECT count(*) FROM migration WHERE number >= $1";
    let row = tx.row(sql, &[&migration.number]).await?;
    if row.is_some_and(|row| row.get::<_, i64>(0) > 0) {
        // It was done while this node waited for the lock.
        return Ok(Step::Locked);
    }
    tx.batch_long(migration.sql).await?;
    let sql = "INSERT INTO migration (number, checksum, reads_from) VALUES ($1, $2, $3)";
    tx.run(sql, &[&migration.number, &migration.checksum(), &migration.reads_from]).await?;
    tx.commit().await?;
    Ok(Step::Done)
}

/// Makes the schema and the table of what was run. A user that may not make schemas can be given one.
async fn prepare(tx: &Tx<'_>, schema: &str) -> Result<(), Failure> {
    let encoding = tx.row("SELECT current_setting('server_encoding')", &[]).await?;
    if encoding.is_some_and(|row| row.get::<_, &str>(0) != "UTF8") {
        let problem = "its encoding is not UTF8, so it cannot hold every text; make another one with \
                       CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0";
        return Err(unusable(problem).into());
    }
    let row = tx.row("SELECT to_regnamespace($1) IS NULL", &[&schema]).await?;
    if row.is_some_and(|row| row.get(0)) {
        tx.batch(&format!("CREATE SCHEMA \"{schema}\"")).await?;
    }
    tx.batch(
        "CREATE TABLE IF NOT EXISTS migration (
             number integer PRIMARY KEY,
             checksum text NOT NULL,
             reads_from integer NOT NULL,
             applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
         )",
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: i32, checksum: String, reads_from: i32) -> Applied {
        Applied { number, checksum, reads_from }
    }

    #[test]
    fn files_are_numbered_from_one_and_can_be_read_by_what_came_before() {
        for (at, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.number as usize, at + 1);
            assert!((1..=migration.number).contains(&migration.reads_from));
        }
    }

    #[test]
    fn what_was_run_has_to_fit() {
        let sum = MIGRATIONS[0].checksum();
        assert_eq!(next("s", &[]).unwrap().unwrap().number, 1);
        let whole: Vec<Applied> =
            MIGRATIONS.iter().map(|one| run(one.number, one.checksum(), 1)).collect();
        assert!(next("s", &whole).unwrap().is_none());
        let newer = [run(1, sum.clone(), 1), run(LAYOUT + 1, "x".to_owned(), LAYOUT)];
        assert!(next("s", &newer).unwrap().is_none());
        let newest = [run(1, sum, 1), run(LAYOUT + 1, "x".to_owned(), LAYOUT + 1)];
        let refused = next("s", &newest).map(drop).unwrap_err().to_string();
        assert!(refused.contains("start a newer version"), "{refused}");
        let changed = next("s", &[run(1, "x".to_owned(), 1)]).map(drop).unwrap_err().to_string();
        assert!(changed.contains("has been changed"), "{changed}");
    }
}
