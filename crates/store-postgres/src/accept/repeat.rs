//! Events that have come before: that is noted, and if everything the first one had to do has failed
//! for good, it is started again.
//!
//! Invariants: what a repeat is told was written in a transaction of its own that is confirmed, so
//! that nobody is sent away with an event whose own commit is not safe yet. Starting again may take
//! longer and is left to `restart`, so that nobody else in the batch waits for it. Who starts deliveries of
//! an event again holds its row. An event that retention has taken is not repeated: its key is given
//! free, and who came with it is new.

use becket_model::EventId;
use becket_store::{Accepted, DedupeKind, EventAccept, Replayed, StoreError};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::errors::Failure;
use crate::events::columns::{NEXT_FAILED, application_column, event_id};
use crate::replay::{self, Locked};
use crate::session::Session;
use crate::transaction::Tx;

const OPERATION: &str = "event_accept";

/// Notes repeats; tells the first event of each, and whether it may have failed altogether.
const NOTE: &str = concat!(
    "WITH first AS (
    SELECT one.place, one.received_at_ms, dedupe.event_seq, event.seq, event.tail
    FROM unnest($1::integer[], $2::integer[], $3::bytea[], $4::bigint[])
        AS one (place, application, key, received_at_ms)
    -- Each is looked up by its index, whatever the planner thinks of the tables (OFFSET 0).
    CROSS JOIN LATERAL (SELECT event_seq FROM dedupe
        WHERE dedupe.application = one.application AND dedupe.key = one.key
            AND dedupe.until_ms > one.received_at_ms OFFSET 0) AS dedupe
    LEFT JOIN LATERAL (SELECT seq, tail FROM event
        WHERE event.seq = dedupe.event_seq OFFSET 0) AS event ON true
), noted AS (
    INSERT INTO duplicate (event_seq, received_at_ms)
    SELECT seq, received_at_ms FROM first WHERE seq IS NOT NULL ORDER BY place
)
SELECT place, event_seq, seq, tail,
    EXISTS (SELECT FROM attempt WHERE attempt.event_seq = first.seq AND next_kind >= $5::smallint)
    AND NOT EXISTS (SELECT FROM delivery WHERE delivery.event_seq = first.seq)
FROM first WHERE ",
    crate::disk::durable!()
);

/// Gives keys free whose events are gone.
const FREE: &str = "DELETE FROM dedupe USING unnest($1::integer[], $2::bytea[], $3::bigint[])
        AS gone (application, key, event_seq)
    WHERE dedupe.application = gone.application AND dedupe.key = gone.key
        AND dedupe.event_seq = gone.event_seq";

/// What an event with a taken key came to.
pub(super) enum Outcome {
    /// A repeat, or an error of its own.
    Of(Result<Accepted, StoreError>),
    /// A repeat of this event, everything of which may have failed.
    Failed(EventId),
    /// What it repeated is gone: it is new.
    New,
}

/// The columns of what may be repeats.
#[derive(Default)]
struct Columns<'a> {
    place: Vec<i32>,
    application: Vec<Option<i32>>,
    key: Vec<&'a [u8]>,
    received_at_ms: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(accepts: &[&'a EventAccept]) -> Self {
        let mut columns = Self::default();
        for (place, accept) in (0..).zip(accepts) {
            if let Some((key, ..)) = &accept.dedupe {
                columns.place.push(place);
                columns.application.push(application_column(accept.application));
                columns.key.push(&key.0);
                columns.received_at_ms.push(accept.received_at_ms);
            }
        }
        columns
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 5] {
        [&self.place, &self.application, &self.key, &self.received_at_ms, &NEXT_FAILED]
    }
}

/// What was found for one of them.
struct Found {
    place: usize,
    /// What its key refers to.
    event_seq: i64,
    event: Option<EventId>,
    may_have_failed: bool,
}

fn found(row: &Row) -> Result<Found, StoreError> {
    let (seq, tail): (Option<i64>, Option<&[u8]>) = (row.get(2), row.get(3));
    let event = seq.zip(tail).map(|(seq, tail)| event_id(seq, tail)).transpose()?;
    Ok(Found {
        place: row.get::<_, i32>(0).unsigned_abs() as usize,
        event_seq: row.get(1),
        event,
        may_have_failed: row.get(4),
    })
}

/// Columns of keys whose events are gone.
#[derive(Default)]
struct Gone<'a> {
    application: Vec<Option<i32>>,
    key: Vec<&'a [u8]>,
    event_seq: Vec<i64>,
}

impl<'a> Gone<'a> {
    fn add(&mut self, accept: &'a EventAccept, event_seq: i64) {
        if let Some((key, ..)) = &accept.dedupe {
            self.application.push(application_column(accept.application));
            self.key.push(&key.0);
            self.event_seq.push(event_seq);
        }
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 3] {
        [&self.application, &self.key, &self.event_seq]
    }
}

/// Answers events whose keys are taken, in their order.
pub(super) async fn repeat(
    session: &Session,
    accepts: &[&EventAccept],
) -> Result<Vec<Outcome>, StoreError> {
    let columns = Columns::of(accepts);
    let rows = session.commit_rows(OPERATION, NOTE, &columns.parameters()).await?;
    let mut outcomes: Vec<_> = accepts.iter().map(|_| Outcome::New).collect();
    let mut gone = Gone::default();
    for row in &rows {
        let found = found(row)?;
        let (Some(accept), Some(outcome)) =
            (accepts.get(found.place), outcomes.get_mut(found.place))
        else {
            continue;
        };
        let Some(event) = found.event else {
            gone.add(accept, found.event_seq);
            continue;
        };
        *outcome = match found.may_have_failed && replays(accept) {
            true => Outcome::Failed(event),
            false => Outcome::Of(Ok(Accepted::Duplicate { event, replayed: Vec::new() })),
        };
    }
    if !gone.key.is_empty()
        && let Err(failure) = session.run(OPERATION, FREE, &gone.parameters()).await
    {
        // The others have been noted.
        let error = StoreError::from(failure);
        let new = outcomes.iter_mut().filter(|outcome| matches!(outcome, Outcome::New));
        new.for_each(|outcome| *outcome = Outcome::Of(Err(error.clone())));
    }
    Ok(outcomes)
}

/// Answers one event whose key is taken, in a transaction. `None` if it is new after all.
pub(crate) async fn repeat_in(
    tx: &Tx<'_>,
    accept: &EventAccept,
) -> Result<Option<Accepted>, StoreError> {
    let columns = Columns::of(&[accept]);
    let row = tx.row(NOTE, &columns.parameters()).await?;
    let Some(found) = row.as_ref().map(found).transpose()? else { return Ok(None) };
    let Some(event) = found.event else {
        let mut gone = Gone::default();
        gone.add(accept, found.event_seq);
        tx.run(FREE, &gone.parameters()).await?;
        return Ok(None);
    };
    let replayed = if found.may_have_failed && replays(accept) {
        start_again_in(tx, event, accept.received_at_ms).await?
    } else {
        Vec::new()
    };
    Ok(Some(Accepted::Duplicate { event, replayed }))
}

fn replays(accept: &EventAccept) -> bool {
    accept.dedupe.is_some_and(|(_, kind, _): (_, DedupeKind, _)| kind.replays())
}

/// Starts every delivery of an event again, if the latest one to each endpoint has failed.
async fn start_again_in(
    tx: &Tx<'_>,
    event: EventId,
    due_ms: i64,
) -> Result<Vec<Replayed>, Failure> {
    let sql = "SELECT planned FROM event WHERE seq = $1 FOR UPDATE";
    let Some(row) = tx.row(sql, &[&event.seq().0]).await? else { return Ok(Vec::new()) };
    let planned: Vec<i32> = row.get(0);
    replay::repeat(tx, &Locked { event, planned: &planned }, due_ms).await
}
