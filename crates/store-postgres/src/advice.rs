//! What an operator should know about the database: settings and states that put data or service at
//! risk, each with what to do about it.
//!
//! Role: `advice` asks the server, `Found` judges what it said. Nothing here changes anything.
//!
//! Invariants: what one question cannot find out is told as such and does not hide the others; a user
//! without the right to see other sessions gets the advice to be given it.

mod judge;
mod pooler;

use std::sync::Arc;

use becket_store::Result;
use becket_store::cluster::Advice;
use tokio_postgres::Row;

use crate::errors::Failure;
use crate::session::Session;
use crate::shared::Shared;
use judge::{Archive, Found, Held, Settings, Slot, Standbys};

const OPERATION: &str = "look at the database";

/// Looks at the database's settings and state. Costs a dozen small queries.
pub(crate) async fn advice(shared: &Arc<Shared>) -> Result<Vec<Advice>> {
    let conn = shared.read(OPERATION).await?;
    let mut missed = Vec::new();
    let found = Found {
        settings: keep(settings(&conn).await, "the settings", &mut missed),
        standbys: keep(standbys(&conn).await, "the standbys", &mut missed),
        held: keep(held(&conn).await, "transactions that are open", &mut missed)
            .unwrap_or_default(),
        slots: keep(slots(&conn).await, "replication slots", &mut missed).unwrap_or_default(),
        archive: keep(archive(&conn).await, "the archive of the WAL", &mut missed),
        nodes: keep(nodes(&conn).await, "the nodes", &mut missed).unwrap_or(1),
        connections_per_node: per_node(shared),
    };
    drop(conn);
    let mut advice = found.judge();
    match pooler::is_between(shared).await {
        Ok(true) => advice.push(pooler::advice()),
        Ok(false) => {}
        Err(error) => missed.push(format!("whether a pooler is in between ({error})")),
    }
    if !missed.is_empty() {
        advice.push(judge::incomplete(&missed));
    }
    Ok(advice)
}

/// The pool, the writers' connections, and those for news, leases and renewals.
fn per_node(shared: &Shared) -> i64 {
    let options = &shared.options;
    i64::try_from(options.pool_max + 2 * options.writers + 4).unwrap_or(i64::MAX)
}

fn keep<T>(found: Result<T, Failure>, what: &str, missed: &mut Vec<String>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(failure) => {
            missed.push(format!("{what} ({failure})"));
            None
        }
    }
}

async fn one(session: &Session, sql: &str) -> Result<Row, Failure> {
    let row = session.row(OPERATION, sql, &[]).await?;
    row.ok_or_else(|| crate::errors::unavailable(OPERATION, "no answer").into())
}

async fn settings(session: &Session) -> Result<Settings, Failure> {
    let row = one(
        session,
        "SELECT current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
                current_setting('synchronous_commit'),
                current_setting('synchronous_standby_names'),
                current_setting('autovacuum') = 'on',
                current_setting('max_connections')::bigint
                    - current_setting('superuser_reserved_connections')::bigint,
                current_setting('server_version_num')::integer,
                age(datfrozenxid)::bigint, mxid_age(datminmxid)::bigint,
                datconnlimit::bigint,
                (SELECT rolconnlimit::bigint FROM pg_roles WHERE rolname = current_user),
                pg_has_role('pg_read_all_stats', 'USAGE')
                    OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
         FROM pg_database WHERE datname = current_database()",
    )
    .await?;
    Ok(Settings {
        fsync: row.get(0),
        full_page_writes: row.get(1),
        synchronous_commit: row.get(2),
        standby_names: row.get(3),
        autovacuum: row.get(4),
        connections: row.get(5),
        version: row.get(6),
        age: row.get::<_, i64>(7).max(row.get(8)),
        connection_limits: [row.get(9), row.get::<_, Option<i64>>(10).unwrap_or(-1)],
        sees_all: row.get(11),
    })
}

async fn standbys(session: &Session) -> Result<Standbys, Failure> {
    // A user without the right to see them sees only that they are there.
    let row = one(
        session,
        "SELECT count(*) FILTER (WHERE coalesce(state, 'streaming') = 'streaming'),
                count(*) FILTER (WHERE sync_state IN ('sync', 'quorum'))
         FROM pg_stat_replication",
    )
    .await?;
    Ok(Standbys { connected: row.get(0), synchronous: row.get(1) })
}

/// What keeps old versions of rows from being removed: sessions, prepared transactions, standbys.
async fn held(session: &Session) -> Result<Vec<Held>, Failure> {
    let sql = "
        SELECT 'session', coalesce(nullif(application_name, ''), 'process ' || pid),
               extract(epoch FROM clock_timestamp() - xact_start)::bigint,
               coalesce(age(backend_xmin), 0)::bigint
        FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND xact_start IS NOT NULL
          AND datname = current_database()
        UNION ALL
        SELECT 'prepared', gid, extract(epoch FROM clock_timestamp() - prepared)::bigint,
               age(transaction)::bigint
        FROM pg_prepared_xacts
        UNION ALL
        SELECT 'standby', coalesce(application_name, ''), 0, age(backend_xmin)::bigint
        FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
        UNION ALL
        SELECT 'slot', slot_name, 0, greatest(age(xmin), age(catalog_xmin))::bigint
        FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL";
    let rows = session.rows(OPERATION, sql, &[]).await?;
    let read = |row: &Row| Held {
        kind: judge::Holder::of(row.get(0)),
        name: row.get(1),
        seconds: row.get(2),
        transactions: row.get(3),
    };
    Ok(rows.iter().map(read).collect())
}

async fn slots(session: &Session) -> Result<Vec<Slot>, Failure> {
    let sql = "SELECT slot_name::text, wal_status, safe_wal_size,
                      pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
               FROM pg_replication_slots WHERE NOT active";
    let rows = session.rows(OPERATION, sql, &[]).await?;
    let read = |row: &Row| Slot {
        name: row.get(0),
        lost: row.get::<_, Option<&str>>(1) == Some("lost"),
        limited: row.get::<_, Option<i64>>(2).is_some(),
        retained_bytes: row.get::<_, Option<i64>>(3).unwrap_or(0),
    };
    Ok(rows.iter().map(read).collect())
}

async fn archive(session: &Session) -> Result<Archive, Failure> {
    let row = one(
        session,
        "SELECT current_setting('archive_mode') <> 'off', failed_count,
                last_failed_time IS NOT NULL
                    AND (last_archived_time IS NULL OR last_failed_time > last_archived_time)
         FROM pg_stat_archiver",
    )
    .await?;
    Ok(Archive { on: row.get(0), failures: row.get(1), failing: row.get(2) })
}

async fn nodes(session: &Session) -> Result<i64, Failure> {
    Ok(one(session, "SELECT greatest(count(*), 1) FROM node").await?.get(0))
}
