//! The one transaction that all nodes run: who is there, whose leases have ended, who gets which shard.
//!
//! It is sent as one message without parameters, which the server runs from its beginning to its
//! commit by itself: a node that is stopped in the middle of it holds up nobody. Each of its
//! statements sees what was committed before the node got the lock.
//!
//! Invariants:
//! - One node at a time, by the database's clock alone.
//! - A node that is dropped loses its shards and its leases in the same transaction. A lease that a
//!   dropped node commits later, or that another transaction holds at this moment, is ended by the
//!   next one.
//! - Time in which no node at all was heard of counts for nobody: the database was away, and those who
//!   could not renew meanwhile are not dead. Such a time counts once.
//!
//! Deliberately absent: waiting for rows that somebody else has locked.

use becket_store::cluster::{NodeNew, NodeNumber, Roles};

use crate::text::pack;

const INGRESS: i16 = 1;
const ENGINE: i16 = 2;
const API: i16 = 4;

/// How the node stands to the others.
pub(super) enum Step<'a> {
    /// It is new.
    Join(&'a NodeNew),
    /// It goes on, does this from now on, and gives up these shards.
    Renew(Roles, &'a [u16]),
    /// It ends.
    Leave,
}

/// The whole transaction. `channel` is where the others are told, if that is worth it.
pub(super) fn transaction(me: NodeNumber, step: &Step<'_>, channel: &str) -> String {
    let me = me.0;
    let mut sql = String::from(concat!(
        "SELECT pg_advisory_xact_lock(hashtextextended('becket nodes of ' || current_schema(), 0))
         WHERE ",
        crate::disk::durable!(),
        ";"
    ));
    sql.push_str(AWAY);
    match step {
        Step::Join(node) => sql.push_str(&enter(me, node)),
        Step::Renew(roles, _) => sql.push_str(&format!(
            "SELECT pg_notify({told}, '{me} n ') FROM node WHERE number = {me} AND roles <> {roles};
             UPDATE node SET renewed_at = clock_timestamp(), roles = {roles},
                 expires_at = clock_timestamp() + lease_ms * interval '1 millisecond'
             WHERE number = {me};",
            told = literal(channel),
            roles = roles_column(*roles)
        )),
        // That somebody was heard of now must not go with its row.
        Step::Leave => sql.push_str(&format!(
            "DELETE FROM node WHERE number = {me};
             UPDATE node SET renewed_at = clock_timestamp();"
        )),
    }
    sql.push_str("DELETE FROM node WHERE expires_at <= clock_timestamp();");
    if let Step::Renew(_, release) = step
        && !release.is_empty()
    {
        let list = release.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        sql.push_str(&format!(
            "UPDATE shard SET node = NULL, epoch = epoch + 1
             WHERE node = {me} AND number IN ({list});"
        ));
    }
    sql.push_str(FREE);
    sql.push_str(END);
    if !matches!(step, Step::Leave) {
        sql.push_str(&take(me));
    }
    if !matches!(step, Step::Renew(_, [])) {
        sql.push_str(&format!("SELECT pg_notify({}, '{me} n ');", literal(channel)));
    }
    sql
}

/// Nobody has renewed for longer than half the longest lease, although every node does so three times
/// in its own: for so long there was no database, and each lease holds so much longer. The same time
/// does not count again, even if whoever meets now leaves no trace.
const AWAY: &str = "
    UPDATE node SET expires_at = expires_at + away.time, renewed_at = renewed_at + away.time
    FROM (SELECT clock_timestamp() - max(renewed_at) AS time, max(lease_ms) AS lease_ms FROM node) away
    WHERE away.time > away.lease_ms * interval '1 millisecond' / 2;";

/// Shards of nodes that are not there are free.
const FREE: &str = "
    UPDATE shard SET node = NULL, epoch = epoch + 1
    WHERE node IS NOT NULL AND NOT EXISTS (SELECT FROM node WHERE node.number = shard.node);";

/// Leases of nodes that are not there end: those whose number lies between two that are there. The
/// index is read in these gaps only, where a node that is gone has left something; a busy node's own
/// part of it is full of what was delivered and not yet vacuumed.
const END: &str = "
    WITH present AS (SELECT number::bigint FROM node UNION ALL SELECT 1 << 22),
    gap AS MATERIALIZED (
        SELECT coalesce(lag(number) OVER (ORDER BY number), 0) AS above, number AS below FROM present
    ), ended AS MATERIALIZED (
        SELECT event_seq, endpoint, generation
        FROM gap CROSS JOIN LATERAL (
            SELECT event_seq, endpoint, generation FROM delivery
            WHERE lease <> 0 AND lease >> 40 > gap.above AND lease >> 40 < gap.below
            FOR UPDATE SKIP LOCKED
        ) held
    )
    UPDATE delivery SET lease = 0, lease_until_ms = 0 FROM ended
    WHERE delivery.event_seq = ended.event_seq AND delivery.endpoint = ended.endpoint
        AND delivery.generation = ended.generation
        AND delivery.event_seq = ANY(ARRAY(SELECT event_seq FROM ended));";

fn enter(me: u32, node: &NodeNew) -> String {
    let gone = node.gone.iter().map(|gone| gone.0.to_string());
    let gone = gone.chain([me.to_string()]).collect::<Vec<_>>().join(",");
    let NodeNew { name, version, declared, host, lease_ms, roles, .. } = node;
    let [name, version, declared, host] = [name, version, declared, host].map(|text| literal(text));
    format!(
        "DELETE FROM node WHERE number IN ({gone});
         INSERT INTO node (number, name, version, roles, declared, host, lease_ms, expires_at)
         VALUES ({me}, {name}, {version}, {}, {declared}, {host}, {lease_ms},
             clock_timestamp() + {lease_ms} * interval '1 millisecond');",
        roles_column(*roles)
    )
}

/// Takes free shards up to what [`becket_store::cluster::allowed`] allows, in the order of
/// [`becket_store::cluster::turn_of`].
fn take(me: u32) -> String {
    format!(
        "WITH held AS (
            SELECT node.number, count(shard.number) AS shards
            FROM node LEFT JOIN shard ON shard.node = node.number
            WHERE node.roles & {ENGINE} <> 0 GROUP BY node.number
        ), fair AS (SELECT 256 / count(*) AS each, 256 % count(*) AS left_over FROM held HAVING count(*) > 0),
        own AS (
            SELECT fair.each - own.shards + CASE WHEN (
                SELECT count(*) FROM held WHERE held.number <> own.number AND held.shards > fair.each
                    AND (own.shards <= fair.each OR held.number < own.number)
            ) < fair.left_over THEN 1 ELSE 0 END AS wanted
            FROM held own, fair WHERE own.number = {me}
        )
        UPDATE shard SET node = {me}, epoch = epoch + 1 WHERE number IN (
            SELECT number FROM shard WHERE node IS NULL ORDER BY number::integer * 167 % 256
            LIMIT (SELECT greatest(0, coalesce(max(wanted), 0)) FROM own)
        );"
    )
}

/// Everything about the nodes: one row for each, with what is the same for all.
pub(super) const STATE: &str = "
    SELECT node.number, node.name, node.version, node.roles, node.declared, node.host,
        (extract(epoch FROM node.joined_at) * 1000)::bigint,
        (extract(epoch FROM node.expires_at - clock_timestamp()) * 1000)::bigint,
        ARRAY(SELECT shard.number FROM shard WHERE shard.node = node.number ORDER BY shard.number),
        (SELECT revision FROM installation),
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    FROM node ORDER BY node.number";

/// Whether node `$1` should renew now, the revision, the time. More shards than a fair part, rounded
/// up, are too many for certain; what is finer waits for the next renewal.
pub(super) const LOOK: &str = "
    SELECT own.number IS NULL
        OR EXISTS (SELECT FROM node WHERE expires_at <= clock_timestamp())
        OR own.roles & 2 <> 0 AND (
            EXISTS (SELECT FROM shard WHERE node IS NULL)
            OR (SELECT count(*) FROM shard WHERE node = own.number)
                > (SELECT (255 + count(*)) / count(*) FROM node WHERE roles & 2 <> 0)),
        installation.revision, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    FROM installation LEFT JOIN node own ON own.number = $1";

/// The roles as they stand in a column.
pub(super) fn roles_column(roles: Roles) -> i16 {
    let Roles { ingress, engine, api } = roles;
    i16::from(ingress) * INGRESS + i16::from(engine) * ENGINE + i16::from(api) * API
}

/// Reads the roles.
pub(super) const fn roles_from_column(column: i16) -> Roles {
    Roles { ingress: column & INGRESS != 0, engine: column & ENGINE != 0, api: column & API != 0 }
}

/// A text as it may stand in a statement: its bytes, so that nothing in it can end it.
fn literal(text: &str) -> String {
    let hex: String = pack(text).bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("convert_from(decode('{hex}', 'hex'), 'UTF8')")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_come_back() {
        for bits in 0..8 {
            assert_eq!(roles_column(roles_from_column(bits)), bits);
        }
        assert_eq!(roles_from_column(7), Roles::ALL);
    }

    #[test]
    fn texts_cannot_end_their_literal() {
        assert_eq!(literal("a';--"), "convert_from(decode('61273b2d2d', 'hex'), 'UTF8')");
    }
}
