//! The statement that stores a batch of events with their deliveries: one round trip, and outside of
//! a transaction one commit.
//!
//! Invariants: keys are taken in their order, so that batches of several writers and nodes wait for
//! each other but never in a circle; what does not come back from the statement was not stored,
//! because a key is still taken. A key appears once in a batch.

use std::collections::HashSet;
use std::sync::LazyLock;

use becket_model::{EndpointKey, EventId};
use becket_store::{EventAccept, LeaseToken, StoreError};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::cluster::Leasing;
use crate::errors::Failure;
use crate::events::columns::{application_column, disposition_column, endpoint_column};
use crate::lease::may;
use crate::session::Session;
use crate::shared::Shared;
use crate::text;
use crate::transaction::Tx;

const OPERATION: &str = "event_accept";

/// $1-$12 are columns of events, $13-$17 of deliveries; $18 is the node whose leases hold only where it
/// may lease (0: they all hold), $19 are endpoints for which they hold all the same.
static STORE: LazyLock<String> =
    LazyLock::new(|| TEXT.replace("MAY", &may("one.endpoint", "$18::integer", "$19::integer[]")));

/// The same, with `MAY` for whether the node may lease.
const TEXT: &str = concat!(
    "WITH keyed AS (
    INSERT INTO dedupe (application, key, event_seq, received_at_ms, until_ms)
    SELECT application, key, seq, received_at_ms, until_ms
    FROM unnest($3::integer[], $8::bytea[], $1::bigint[], $4::bigint[], $6::bigint[])
        AS one (application, key, seq, received_at_ms, until_ms)
    WHERE key IS NOT NULL
    ORDER BY application, key
    ON CONFLICT (application, key) DO UPDATE SET event_seq = excluded.event_seq,
        received_at_ms = excluded.received_at_ms, until_ms = excluded.until_ms
    WHERE dedupe.until_ms <= excluded.received_at_ms
    RETURNING event_seq
), stored AS (
    INSERT INTO event (seq, tail, application, received_at_ms, disposition, size_bytes,
        dedupe_until_ms, payload_until_ms, dedupe, event_type, planned, labels, record)
    SELECT seq, tail, application, received_at_ms, disposition, octet_length(record),
        until_ms, payload_until_ms, key, event_type, planned::integer[], labels, record
    FROM unnest($1::bigint[], $2::bytea[], $3::integer[], $4::bigint[], $5::smallint[],
            $6::bigint[], $7::bigint[], $8::bytea[], $9::text[], $10::text[], $11::text[],
            $12::bytea[])
        AS one (seq, tail, application, received_at_ms, disposition, until_ms,
            payload_until_ms, key, event_type, planned, labels, record)
    WHERE key IS NULL OR seq IN (SELECT event_seq FROM keyed)
    RETURNING seq
), counted AS (
    INSERT INTO tally (day, slot, events)
    SELECT (seq >> 20) / 86400000, pg_backend_pid(), count(*) FROM stored GROUP BY 1
    ON CONFLICT (day, slot) DO UPDATE SET events = tally.events + excluded.events
), given AS (
    SELECT *, lease <> 0 AND ($18::integer = 0 OR MAY) AS holds
    FROM unnest($13::bigint[], $14::integer[], $15::bigint[], $16::bigint[], $17::bigint[])
        AS one (event_seq, endpoint, due_ms, lease, lease_until_ms)
    WHERE event_seq IN (SELECT seq FROM stored)
), waiting AS (
    INSERT INTO delivery (event_seq, endpoint, due_ms, lease, lease_until_ms, attempts, generation)
    SELECT event_seq, endpoint, due_ms, CASE WHEN holds THEN lease ELSE 0 END,
        CASE WHEN holds THEN lease_until_ms ELSE 0 END, 0, 0
    FROM given
)
SELECT seq, NULL::integer FROM stored WHERE ",
    crate::disk::durable!(),
    "
UNION ALL SELECT event_seq, endpoint FROM given WHERE lease <> 0 AND NOT holds"
);

/// An event with the place, id and token that were drawn for it.
pub(crate) struct Drawn<'a> {
    pub(crate) accept: &'a EventAccept,
    pub(crate) event: EventId,
    pub(crate) lease: LeaseToken,
    tail: [u8; 12],
}

impl<'a> Drawn<'a> {
    /// Draws an id and a token. An error if the event cannot be stored at all.
    pub(crate) fn new(shared: &Shared, accept: &'a EventAccept) -> Result<Self, StoreError> {
        let unfit = |what: &str| StoreError::Database {
            operation: OPERATION,
            detail: format!("{what} of the event is out of range"),
        };
        application_column(accept.application).ok_or_else(|| unfit("the source"))?;
        for planned in &accept.planned {
            endpoint_column(planned.endpoint).ok_or_else(|| unfit("an endpoint"))?;
        }
        let mut noise = [0; 14];
        shared.noise.fill(&mut noise);
        let [low, high, tail @ ..] = noise;
        let seq = shared.partitions.draw(accept.received_at_ms, u16::from_le_bytes([low, high]));
        let seq = seq.ok_or_else(|| unfit("the time"))?;
        let event = EventId::new(seq, tail);
        Ok(Self { accept, event, lease: shared.next_lease(), tail: event.tail() })
    }

    pub(crate) fn seq(&self) -> i64 {
        self.event.seq().0
    }

    /// Says until when leases may hold; to be called before it is stored.
    pub(crate) fn announce(&self, shared: &Shared) {
        if self.accept.planned.iter().any(|planned| planned.leased) {
            shared.cluster.lease_given(self.accept.lease_until_ms);
        }
    }

    /// Says what waits; to be called when it is committed.
    pub(crate) fn stored(&self, shared: &Shared, left: &[EndpointKey]) {
        let due_ms = self.accept.due_ms.unwrap_or(self.accept.received_at_ms);
        // They stand in the order of what was planned.
        let mut left = left.iter().peekable();
        for planned in &self.accept.planned {
            if !planned.leased || left.next_if_eq(&&planned.endpoint).is_some() {
                shared.cluster.put_back(planned.endpoint.0, due_ms);
            }
        }
    }
}

/// The columns of a batch.
#[derive(Default)]
struct Columns<'a> {
    seq: Vec<i64>,
    tail: Vec<&'a [u8]>,
    application: Vec<Option<i32>>,
    received_at_ms: Vec<i64>,
    disposition: Vec<i16>,
    until_ms: Vec<Option<i64>>,
    payload_until_ms: Vec<Option<i64>>,
    key: Vec<Option<&'a [u8]>>,
    event_type: Vec<Option<std::borrow::Cow<'a, str>>>,
    planned: Vec<String>,
    labels: Vec<Option<String>>,
    record: Vec<&'a [u8]>,
    delivery_seq: Vec<i64>,
    delivery_endpoint: Vec<i32>,
    delivery_due_ms: Vec<i64>,
    delivery_lease: Vec<i64>,
    delivery_until_ms: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a [Drawn<'a>]) -> Self {
        let mut columns = Self::default();
        for drawn in batch {
            columns.add(drawn);
        }
        columns
    }

    fn add(&mut self, drawn: &'a Drawn<'a>) {
        let (accept, seq) = (drawn.accept, drawn.seq());
        self.seq.push(seq);
        self.tail.push(&drawn.tail);
        self.application.push(application_column(accept.application));
        self.received_at_ms.push(accept.received_at_ms);
        self.disposition.push(disposition_column(accept.disposition));
        self.until_ms.push(until_ms(accept));
        self.payload_until_ms.push(accept.labels.payload_until_ms);
        self.key.push(accept.dedupe.as_ref().map(|(key, ..)| &key.0[..]));
        self.event_type.push(text::pack_some(accept.event_type.as_deref()));
        self.labels.push(labels_column(&accept.labels));
        self.record.push(accept.record.packed());
        let mut list = String::from("{");
        for planned in &accept.planned {
            let Some(endpoint) = endpoint_column(planned.endpoint) else { continue };
            if list.len() > 1 {
                list.push(',');
            }
            list.push_str(&endpoint.to_string());
            let leased = planned.leased;
            self.delivery_seq.push(seq);
            self.delivery_endpoint.push(endpoint);
            self.delivery_due_ms.push(accept.due_ms.unwrap_or(accept.received_at_ms));
            self.delivery_lease.push(if leased { drawn.lease.0.cast_signed() } else { 0 });
            self.delivery_until_ms.push(if leased { accept.lease_until_ms } else { 0 });
        }
        list.push('}');
        self.planned.push(list);
    }
}

/// Until when repeats of an event are recognised.
fn until_ms(accept: &EventAccept) -> Option<i64> {
    let (_, _, window_ms) = accept.dedupe?;
    Some(accept.received_at_ms.saturating_add_unsigned(window_ms))
}

/// What an event says about itself, as it stands in its column.
pub(crate) fn labels_column(labels: &becket_model::EventLabels) -> Option<String> {
    // Plain values always become JSON.
    (!labels.is_empty()).then(|| serde_json::to_string(labels).unwrap_or_default())
}

/// Which of a batch were stored, and which planned leases do not hold.
#[derive(Default)]
pub(crate) struct StoredRows {
    stored: HashSet<i64>,
    left: HashSet<(i64, EndpointKey)>,
}

impl StoredRows {
    fn of(rows: &[Row]) -> Self {
        let mut told = Self::default();
        for row in rows {
            let seq = row.get(0);
            match row.get::<_, Option<i32>>(1) {
                None => {
                    told.stored.insert(seq);
                }
                Some(endpoint) => {
                    told.left.insert((seq, EndpointKey(endpoint.unsigned_abs())));
                }
            }
        }
        told
    }

    /// Whether an event was stored; otherwise its key is taken.
    pub(crate) fn has(&self, drawn: &Drawn<'_>) -> bool {
        self.stored.contains(&drawn.seq())
    }

    /// The endpoints that were planned as leased and wait all the same, in the order of the plan.
    pub(crate) fn left_of(&self, drawn: &Drawn<'_>) -> Vec<EndpointKey> {
        if self.left.is_empty() {
            return Vec::new();
        }
        let planned = drawn.accept.planned.iter().filter(|planned| planned.leased);
        let left = planned.filter(|one| self.left.contains(&(drawn.seq(), one.endpoint)));
        left.map(|planned| planned.endpoint).collect()
    }
}

/// Stores a batch as a transaction of its own. When this returns, it is committed.
pub(super) async fn store(
    session: &Session,
    batch: &[Drawn<'_>],
    leasing: Option<&Leasing>,
) -> Result<StoredRows, Failure> {
    let (node, lent) = whose(leasing);
    let columns = Columns::of(batch);
    let rows = session.commit_rows(OPERATION, &STORE, &parameters(&columns, &node, &lent)).await?;
    Ok(StoredRows::of(&rows))
}

/// Stores one event in a transaction.
pub(crate) async fn store_in(
    tx: &Tx<'_>,
    drawn: &Drawn<'_>,
    leasing: Option<&Leasing>,
) -> Result<StoredRows, Failure> {
    let (node, lent) = whose(leasing);
    let mut columns = Columns::default();
    columns.add(drawn);
    let rows = tx.rows(&STORE, &parameters(&columns, &node, &lent)).await?;
    Ok(StoredRows::of(&rows))
}

/// The node whose shards count, and the endpoints that do without.
fn whose(leasing: Option<&Leasing>) -> (i32, &[i32]) {
    leasing.map_or((0, &[]), |leasing| (leasing.node, &leasing.lent))
}

fn parameters<'a>(
    columns: &'a Columns<'_>,
    node: &'a i32,
    lent: &'a &[i32],
) -> [&'a (dyn ToSql + Sync); 19] {
    [
        &columns.seq,
        &columns.tail,
        &columns.application,
        &columns.received_at_ms,
        &columns.disposition,
        &columns.until_ms,
        &columns.payload_until_ms,
        &columns.key,
        &columns.event_type,
        &columns.planned,
        &columns.labels,
        &columns.record,
        &columns.delivery_seq,
        &columns.delivery_endpoint,
        &columns.delivery_due_ms,
        &columns.delivery_lease,
        &columns.delivery_until_ms,
        node,
        lent,
    ]
}
