//! Many results in one statement: deliveries that ended leave the table, others wait again, and their
//! attempts are written.
//!
//! Invariants: only a delivery whose lease is the result's is touched, and only for such a one an
//! attempt is written. So a result that comes too late changes nothing.

use std::borrow::Cow;

use becket_model::AttemptId;
use becket_store::{AttemptFinish, FinishOutcome, Result};

use crate::errors::Failure;
use crate::events::columns::{endpoint_column, next_columns, trigger_column};
use crate::session::Session;
use crate::text::pack_some;

use super::OPERATION;

/// `$1` to `$14` are the columns of [`Columns`]; the answer is the place of each that was recorded. That
/// the events are those of `$1` is said twice, so that whatever the planner thinks of the tables, it
/// reads no more of them than that (see [`crate::deliveries::INDEX_ONLY`]).
const SQL: &str = concat!(
    "
    WITH given AS MATERIALIZED (
        SELECT * FROM unnest($1::bigint[], $2::integer[], $3::smallint[], $4::bigint[],
            $5::smallint[], $6::bigint[], $7::integer[], $8::smallint[], $9::bigint[],
            $10::integer[], $11::smallint[], $12::bytea[], $13::text[], $14::bytea[])
            WITH ORDINALITY given (event_seq, endpoint, generation, lease, next_kind, next_at_ms,
                number, trigger, started_at_ms, duration_ms, status, tail, error_code, detail, place)
    ), ended AS (
        DELETE FROM delivery USING given
        WHERE given.next_kind <> 0 AND delivery.event_seq = given.event_seq
            AND delivery.endpoint = given.endpoint AND delivery.generation = given.generation
            AND delivery.lease = given.lease AND delivery.event_seq = ANY($1::bigint[])
        RETURNING given.*
    ), again AS (
        UPDATE delivery SET lease = 0, lease_until_ms = 0, due_ms = given.next_at_ms,
            attempts = attempts + 1
        FROM given
        WHERE given.next_kind = 0 AND delivery.event_seq = given.event_seq
            AND delivery.endpoint = given.endpoint AND delivery.generation = given.generation
            AND delivery.lease = given.lease AND delivery.event_seq = ANY($1::bigint[])
        RETURNING given.*
    ), moved AS (SELECT * FROM ended UNION ALL SELECT * FROM again
    ), written AS (
        INSERT INTO attempt (event_seq, started_at_ms, next_at_ms, endpoint, number, duration_ms,
            generation, next_kind, trigger, status, tail, error_code, detail)
        SELECT event_seq, started_at_ms, next_at_ms, endpoint, number, duration_ms, generation,
            next_kind, trigger, status, tail, error_code, detail
        FROM moved
    )
    SELECT place FROM moved WHERE ",
    crate::disk::durable!()
);

/// Which attempts are there already; `$1` and the rest are columns of [`Columns`].
const FOUND: &str = "
    SELECT given.place
    FROM unnest($1::bigint[], $2::integer[], $3::smallint[], $4::integer[], $5::bytea[])
            WITH ORDINALITY given (event_seq, endpoint, generation, number, tail, place)
        JOIN attempt ON attempt.event_seq = given.event_seq AND attempt.endpoint = given.endpoint
            AND attempt.generation = given.generation AND attempt.number = given.number
            AND attempt.tail = given.tail
    WHERE attempt.event_seq = ANY($1::bigint[])";

/// The results, by column.
#[derive(Default)]
pub(super) struct Columns<'a> {
    event_seq: Vec<i64>,
    endpoint: Vec<i32>,
    generation: Vec<i16>,
    lease: Vec<i64>,
    next_kind: Vec<i16>,
    next_at_ms: Vec<i64>,
    number: Vec<i32>,
    trigger: Vec<i16>,
    started_at_ms: Vec<i64>,
    duration_ms: Vec<i32>,
    status: Vec<Option<i16>>,
    tail: Vec<&'a [u8]>,
    error_code: Vec<Option<Cow<'a, str>>>,
    detail: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(results: impl Iterator<Item = (&'a AttemptFinish, &'a [u8; 6])>) -> Self {
        let mut columns = Self::default();
        for (finish, tail) in results {
            let AttemptFinish { delivery, lease, attempt, next } = finish;
            let (next_kind, next_at_ms) = next_columns(*next);
            columns.event_seq.push(delivery.event.seq().0);
            // No row has a key beyond the column's, and none is under a lease without a number.
            let endpoint = endpoint_column(delivery.endpoint);
            columns.endpoint.push(endpoint.unwrap_or(-1));
            let held = endpoint.is_some() && lease.0 != 0;
            columns.lease.push(if held { lease.0.cast_signed() } else { -1 });
            columns.generation.push(delivery.generation.cast_signed());
            columns.next_kind.push(next_kind);
            columns.next_at_ms.push(next_at_ms);
            columns.number.push(attempt.number.cast_signed());
            columns.trigger.push(trigger_column(attempt.trigger));
            columns.started_at_ms.push(attempt.started_at_ms);
            columns.duration_ms.push(attempt.duration_ms.cast_signed());
            columns.status.push(attempt.status.map(u16::cast_signed));
            columns.tail.push(tail);
            columns.error_code.push(pack_some(attempt.error_code.as_deref()));
            columns.detail.push(&attempt.detail);
        }
        columns
    }
}

/// Records them and commits: which of them were recorded.
pub(super) async fn write(
    session: &Session,
    columns: &Columns<'_>,
    count: usize,
) -> Result<Vec<bool>, Failure> {
    let rows = session
        .commit_rows(
            OPERATION,
            SQL,
            &[
                &columns.event_seq,
                &columns.endpoint,
                &columns.generation,
                &columns.lease,
                &columns.next_kind,
                &columns.next_at_ms,
                &columns.number,
                &columns.trigger,
                &columns.started_at_ms,
                &columns.duration_ms,
                &columns.status,
                &columns.tail,
                &columns.error_code,
                &columns.detail,
            ],
        )
        .await?;
    Ok(places(rows.iter().map(|row| row.get(0)), count))
}

/// Which of them are there, if any: the commit whose answer was lost has come about, and the others
/// were stale.
pub(super) async fn found(
    session: &Session,
    columns: &Columns<'_>,
    count: usize,
) -> Result<Option<Vec<bool>>, Failure> {
    let Columns { event_seq, endpoint, generation, number, tail, .. } = columns;
    let rows =
        session.rows(OPERATION, FOUND, &[event_seq, endpoint, generation, number, tail]).await?;
    Ok((!rows.is_empty()).then(|| places(rows.iter().map(|row| row.get(0)), count)))
}

fn places(recorded: impl Iterator<Item = i64>, count: usize) -> Vec<bool> {
    let mut places = vec![false; count];
    for place in recorded {
        let at = usize::try_from(place - 1).ok().and_then(|at| places.get_mut(at));
        if let Some(place) = at {
            *place = true;
        }
    }
    places
}

/// What a recorded result is answered with.
pub(super) fn recorded(finish: &AttemptFinish, tail: [u8; 6]) -> FinishOutcome {
    let AttemptFinish { delivery, attempt, .. } = finish;
    FinishOutcome::Recorded(AttemptId::new(attempt.started_at_ms, delivery.event.seq(), tail))
}
