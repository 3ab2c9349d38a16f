//! Claiming due deliveries of many endpoints in one statement, with their records.
//!
//! Invariants:
//! - The queue of each endpoint is read off its index from its front: what else there is, on this
//!   endpoint or others, costs nothing.
//! - Rows that another transaction has locked are passed over, so a claim waits for nobody.
//! - In a node among others only endpoints of its own shards are looked at, and those lent to it, as
//!   the database says at that moment.
//!
//! The records are read from the partition of one day by its name, because a join with all of them
//! would have to open all of them: the day is that of what was claimed last. What belongs to other
//! days is read right after, from theirs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use becket_model::{DeliveryKey, EventRecord};
use becket_store::cluster::NodeNumber;
use becket_store::{LeaseToken, LeasedDelivery, Result};
use bytes::Bytes;
use tokio_postgres::Row;

use crate::cluster::Leasing;
use crate::disk::hasty;
use crate::errors::{Failure, unusable};
use crate::events::columns::{application_from_column, endpoint_from_column, event_id};
use crate::lease::may;
use crate::partitions::day_of;
use crate::session::Session;
use crate::text::unpack;

const OPERATION: &str = "lease deliveries";
/// There is no table of that name.
const UNDEFINED_TABLE: &str = "42P01";

/// What is wanted of one endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) endpoint: i32,
    pub(super) now_ms: i64,
    pub(super) until_ms: i64,
    pub(super) most: i64,
    /// Where its queue begins.
    pub(super) from_ms: i64,
}

/// What was claimed of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub(super) deliveries: Vec<LeasedDelivery>,
    /// How many rows there were, those whose event is gone included.
    pub(super) rows: usize,
    pub(super) last_due_ms: i64,
}

/// The day in whose partition records are expected; 0 is none.
#[derive(Debug, Default)]
pub(crate) struct LastDay(AtomicI32);

/// A claimed row whose record is still to be read.
struct Bare {
    nth: usize,
    seq: i64,
    endpoint: i32,
    generation: i16,
    lease: i64,
    attempts: i32,
}

/// Claims, in the order of `wanted`.
pub(super) async fn claim(
    session: &Session,
    day: &LastDay,
    leasing: Option<&Leasing>,
    first: LeaseToken,
    wanted: &[Wanted],
) -> Result<Vec<Claimed>> {
    let expected = day.0.load(Ordering::Relaxed);
    let rows = match run(session, expected, leasing, first, wanted).await {
        // Retention has taken the whole day.
        Err(failure) if failure.code() == Some(UNDEFINED_TABLE) && expected != 0 => {
            run(session, 0, leasing, first, wanted).await?
        }
        rows => rows?,
    };
    let mut claimed: Vec<Claimed> = wanted.iter().map(|_| Claimed::default()).collect();
    let mut slots: Vec<(usize, Option<LeasedDelivery>, Bare)> = Vec::with_capacity(rows.len());
    let mut missing: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for row in &rows {
        let bare = bare(row);
        let Some(one) = claimed.get_mut(bare.nth) else { continue };
        one.rows += 1;
        one.last_due_ms = row.get(6);
        let event = match row.len() {
            7 => None,
            _ => event_of(&bare, row, 7)?,
        };
        if event.is_none() {
            missing.entry(day_of(bare.seq)).or_default().push(bare.seq);
        }
        slots.push((bare.nth, event, bare));
    }
    if let Some(last) = rows.last() {
        day.0.store(day_of(last.get(1)), Ordering::Relaxed);
    }
    read_others(session, missing, &mut slots).await?;
    for (nth, delivery, _) in slots {
        if let (Some(one), Some(delivery)) = (claimed.get_mut(nth), delivery) {
            one.deliveries.push(delivery);
        }
    }
    Ok(claimed)
}

async fn run(
    session: &Session,
    day: i32,
    leasing: Option<&Leasing>,
    first: LeaseToken,
    wanted: &[Wanted],
) -> Result<Vec<Row>, Failure> {
    let column = |of: fn(&Wanted) -> i64| wanted.iter().map(of).collect::<Vec<_>>();
    let endpoints: Vec<i32> = wanted.iter().map(|one| one.endpoint).collect();
    let (now, until) = (column(|one| one.now_ms), column(|one| one.until_ms));
    let (most, from) = (column(|one| one.most), column(|one| one.from_ms));
    let node = leasing.map_or(0, |leasing| leasing.node);
    let lent: &[i32] = leasing.map_or(&[], |leasing| &leasing.lent);
    let first = first.0.cast_signed();
    let sql = sql(day);
    session
        .rows(OPERATION, &sql, &[&endpoints, &now, &from, &most, &until, &first, &node, &lent])
        .await
}

/// The statement; with the records of one day, unless it is 0. What is due is locked, so nobody leases
/// it in between; saying `lease = 0` once more would only lead the planner to the wrong index.
fn sql(day: i32) -> String {
    let may = may("wanted.endpoint", "$7::integer", "$8::integer[]");
    let mut sql = format!(
        "WITH wanted AS (
            SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
                WITH ORDINALITY wanted (endpoint, now_ms, from_ms, most, until_ms, nth)
            WHERE $7::integer = 0 OR {may}
        ), due AS MATERIALIZED (
            SELECT wanted.nth, wanted.until_ms, queue.*
            FROM wanted CROSS JOIN LATERAL (
                SELECT event_seq, endpoint, generation, due_ms FROM delivery
                WHERE endpoint = wanted.endpoint AND lease = 0
                    AND due_ms >= wanted.from_ms AND due_ms <= wanted.now_ms
                ORDER BY due_ms, event_seq, generation LIMIT wanted.most
                FOR UPDATE SKIP LOCKED
            ) queue
        ), placed AS (
            SELECT *, row_number() OVER (ORDER BY nth, due_ms, event_seq, generation) AS place FROM due
        ), taken AS (
            UPDATE delivery SET lease = $6::bigint + place - 1, lease_until_ms = placed.until_ms
            FROM placed
            WHERE delivery.event_seq = placed.event_seq AND delivery.endpoint = placed.endpoint
                AND delivery.generation = placed.generation
                AND delivery.event_seq = ANY(ARRAY(SELECT event_seq FROM due))
            RETURNING placed.nth, delivery.*
        )
        SELECT taken.nth, taken.event_seq, taken.endpoint, taken.generation, taken.lease,
            taken.attempts, taken.due_ms"
    );
    // Writing to a String cannot fail.
    let _ = match day {
        0 => write!(sql, " FROM taken WHERE {} ORDER BY taken.lease", hasty!()),
        day => write!(
            sql,
            ", event.tail, event.application, event.received_at_ms, event.event_type, event.record
             FROM taken LEFT JOIN event_{day} event ON event.seq = taken.event_seq
                AND event.seq = ANY(ARRAY(SELECT event_seq FROM due))
             WHERE {} ORDER BY taken.lease",
            hasty!()
        ),
    };
    sql
}

/// Reads the records that the first statement did not bring. Events that are gone stay without.
async fn read_others(
    session: &Session,
    missing: BTreeMap<i32, Vec<i64>>,
    slots: &mut [(usize, Option<LeasedDelivery>, Bare)],
) -> Result<()> {
    for (day, mut seqs) in missing {
        seqs.dedup();
        let sql = format!(
            "SELECT tail, application, received_at_ms, event_type, record, seq
             FROM event_{day} WHERE seq = ANY($1)"
        );
        let rows = match session.rows(OPERATION, &sql, &[&seqs]).await {
            Err(failure) if failure.code() == Some(UNDEFINED_TABLE) => continue,
            rows => rows?,
        };
        let found: BTreeMap<i64, &Row> = rows.iter().map(|row| (row.get(5), row)).collect();
        for (_, delivery, bare) in slots.iter_mut().filter(|slot| slot.1.is_none()) {
            if let Some(row) = found.get(&bare.seq) {
                *delivery = event_of(bare, row, 0)?;
            }
        }
    }
    Ok(())
}

fn bare(row: &Row) -> Bare {
    Bare {
        nth: usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX),
        seq: row.get(1),
        endpoint: row.get(2),
        generation: row.get(3),
        lease: row.get(4),
        attempts: row.get(5),
    }
}

/// The delivery with its event, whose columns begin at `at`; `None` if they are not there.
fn event_of(bare: &Bare, row: &Row, at: usize) -> Result<Option<LeasedDelivery>> {
    let Some(tail) = row.get::<_, Option<&[u8]>>(at) else { return Ok(None) };
    let packed = Bytes::copy_from_slice(row.get(at + 4));
    let record = EventRecord::from_packed(packed).map_err(|error| unusable(error.to_string()))?;
    Ok(Some(LeasedDelivery {
        key: DeliveryKey {
            event: event_id(bare.seq, tail)?,
            endpoint: endpoint_from_column(bare.endpoint),
            generation: bare.generation.cast_unsigned(),
        },
        lease: LeaseToken(bare.lease.cast_unsigned()),
        attempts: bare.attempts.cast_unsigned(),
        application: application_from_column(row.get(at + 1)),
        received_at_ms: row.get(at + 2),
        event_type: row.get::<_, Option<String>>(at + 3).map(unpack).map(Arc::from),
        record,
    }))
}

/// How many tokens a claim may need, and the node that they name.
pub(super) fn tokens(wanted: &[Wanted]) -> u64 {
    wanted.iter().map(|one| one.most.unsigned_abs()).sum()
}

/// The node whose tokens a process gives.
pub(super) fn node_of(leasing: Option<&Leasing>, opened_as: NodeNumber) -> NodeNumber {
    leasing.map_or(opened_as, |leasing| NodeNumber(leasing.node.unsigned_abs()))
}
