//! Whether nodes use a schema that is to be moved, and keeping them away from it.
//!
//! Invariants:
//! - A move holds a lock of the schema. A store that is opened and a node that joins ask for the same
//!   one and are refused, so that nobody begins to use the schema meanwhile.
//! - Who was there before is seen in the nodes' own table, by their own rule: time in which no node at
//!   all was heard of counts for nobody, because the database may have been away. So nodes that have
//!   all fallen silent are gone only when none is heard of while somebody watches, for a whole
//!   membership.
//!
//! Deliberately absent: changing the table; a source is only read.

use std::time::{Duration, Instant};

use becket_store::{Result, StoreError};
use tokio_postgres::Row;

use super::MOVE;
use crate::session::Session;
use crate::text;

/// What a process that was killed has left behind is noticed by the server within this time.
const LOCK_MAX: Duration = Duration::from_secs(2);
const LOCK_EVERY: Duration = Duration::from_millis(100);
/// How often nodes that may come back are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The lock lives as long as the session, so the server has to notice soon that nobody is there any more:
/// after some twenty seconds. Without a network these say nothing.
const HEARD_OF: &str = "SET tcp_keepalives_idle TO 10; SET tcp_keepalives_interval TO 3;
    SET tcp_keepalives_count TO 3; SET tcp_user_timeout TO '20s'";

/// The lock's number; `NULL`, which locks nothing, as long as there is no schema.
const KEY: &str = "hashtext('becket move ' || current_schema())";

/// Keeps other moves, and nodes that come, away as long as the session lives.
pub(super) async fn lock(session: &Session, name: &str) -> Result<()> {
    session.batch(MOVE, HEARD_OF).await?;
    let detail = "another `becket migrate-store` is at work on it; wait until that has ended";
    patiently(session, &format!("SELECT pg_try_advisory_lock({KEY})"), name, detail).await
}

/// Gives the lock back. It would go with the session, but only when the server has noticed its end.
pub(super) async fn unlock(session: &Session) -> Result<()> {
    session.rows(MOVE, &format!("SELECT pg_advisory_unlock({KEY})"), &[]).await?;
    Ok(())
}

/// Refuses to use a schema as a store while it is moved.
pub(crate) async fn refuse_moving(session: &Session, schema: &str) -> Result<()> {
    let sql = format!("SELECT coalesce(pg_try_advisory_xact_lock_shared({KEY}), true)");
    let detail = "`becket migrate-store` is at work on it; wait until that has ended (one that was broken \
                  off is noticed within a minute), and then use the store that was moved to";
    patiently(session, &sql, &format!("the schema `{schema}`"), detail).await
}

async fn patiently(session: &Session, sql: &str, path: &str, detail: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        if session.row(MOVE, sql, &[]).await?.is_some_and(|row| row.get(0)) {
            return Ok(());
        }
        if started.elapsed() >= LOCK_MAX {
            return Err(StoreError::Unusable { path: path.to_owned(), detail: detail.to_owned() });
        }
        tokio::time::sleep(LOCK_EVERY).await;
    }
}

/// A node, as it stands in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    number: i32,
    /// When it was last heard of, in microseconds since 1970.
    renewed_us: i64,
    name: String,
}

/// A node, and what its row says about now.
struct Found {
    node: Node,
    /// Its membership holds.
    member: bool,
    /// It has expired, but would hold for so long if the node were heard of now.
    silent_ms: Option<i64>,
}

/// Which nodes there were, and when they were last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen(Vec<Node>);

/// As the nodes themselves decide (see `cluster::meet`): whoever was silent together for longer than
/// half the longest membership would go on from there.
const LOOK: &str = "
SELECT number, (extract(epoch FROM renewed_at) * 1000000)::bigint, name,
       expires_at > clock_timestamp(),
       CASE WHEN expires_at <= clock_timestamp()
             AND away.time > away.lease_ms * interval '1 millisecond' / 2
             AND expires_at + away.time > clock_timestamp() THEN away.lease_ms END
FROM node, (SELECT clock_timestamp() - max(renewed_at) AS time, max(lease_ms) AS lease_ms
            FROM node) AS away
ORDER BY number";

async fn look(session: &Session) -> Result<Vec<Found>> {
    let rows = session.rows(MOVE, LOOK, &[]).await?;
    let found = |row: &Row| Found {
        node: Node { number: row.get(0), renewed_us: row.get(1), name: text::unpack(row.get(2)) },
        member: row.get(3),
        silent_ms: row.get(4),
    };
    Ok(rows.iter().map(found).collect())
}

impl Seen {
    /// Who is there now.
    pub(super) async fn now(session: &Session) -> Result<Self> {
        let found = look(session).await?;
        Ok(Self(found.into_iter().map(|one| one.node).collect()))
    }

    /// The nodes that have been heard of since; those of before if one has only left.
    fn since(&self, now: &Self) -> Vec<String> {
        let heard: Vec<&Node> = now.0.iter().filter(|node| !self.0.contains(node)).collect();
        let heard = if heard.is_empty() { self.0.iter().collect() } else { heard };
        heard.into_iter().map(|node| node.name.clone()).collect()
    }
}

/// Refuses a schema that nodes are using. Where all have fallen silent it is watched for a membership
/// whether one is heard of; the move's lock keeps others from joining meanwhile.
pub(super) async fn refuse_in_use(session: &Session, name: &str) -> Result<Seen> {
    let found = look(session).await?;
    let members = found.iter().filter(|one| one.member);
    let members: Vec<String> = members.map(|one| one.node.name.clone()).collect();
    if !members.is_empty() {
        return Err(in_use(name, &members));
    }
    let silent_ms = found.iter().filter_map(|one| one.silent_ms).max();
    let seen = Seen(found.into_iter().map(|one| one.node).collect());
    let Some(silent_ms) = silent_ms else { return Ok(seen) };
    let until = Instant::now() + Duration::from_millis(silent_ms.unsigned_abs());
    while Instant::now() < until {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = Seen::now(session).await?;
        if now != seen {
            return Err(in_use(name, &seen.since(&now)));
        }
    }
    Ok(seen)
}

fn in_use(path: &str, nodes: &[String]) -> StoreError {
    let nodes: Vec<String> = nodes.iter().map(|name| format!("`{name}`")).collect();
    StoreError::Unusable {
        path: path.to_owned(),
        detail: format!(
            "nodes are using it: {}; stop them first (a node that was killed counts until its \
             membership has expired; --force does not wait for that)",
            nodes.join(", ")
        ),
    }
}
