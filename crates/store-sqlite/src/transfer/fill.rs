//! Writing moved events: into the last segment, which is sealed when it is full.
//!
//! A segment that is filled here says itself what is pending from its first row on, as if the keeper
//! had taken it over; what a start would derive from it instead comes to the same.

use becket_model::{EndpointKey, NextStep};
use becket_store::Result;
use becket_store::transfer::{AttemptItem, EventItem, PendingItem};
use rusqlite::{Connection, params};

use super::events::count;
use super::{Parts, transaction};
use crate::catalog::SealedRow;
use crate::dedupe::SealedFilter;
use crate::errors::database;
use crate::keeper::{put_failed, put_pending};
use crate::layout::{Role, bytes_on_disk, open_segment};
use crate::load;
use crate::memory::Key;
use crate::rows::{disposition_column, next_columns, planned_column, trigger_column};
use crate::seal;
use crate::tables::SEAL_STEPS;
use crate::write::{ended, insert_moved};
use crate::writer::checkpoint;

const WRITE: &str = "write moved events";
/// What a segment counts for an event beside its request, as everywhere in this store.
const EVENT_BYTES: u64 = 600;

/// The segment that is being filled.
pub(super) struct Filling {
    first: i64,
    connection: Connection,
    events: u64,
    bytes: u64,
}

impl Parts {
    /// Writes events that come after all that are there.
    pub(super) fn write_events(&mut self, events: &[EventItem]) -> Result<()> {
        let Some(first) = events.first().map(|event| event.id.seq().0) else { return Ok(()) };
        if self.filling.is_none() {
            self.filling = self.left_over()?;
        }
        let full = self.filling.as_ref().is_some_and(|filling| {
            filling.events >= self.segment_events || filling.bytes >= self.segment_bytes
        });
        if full {
            self.seal()?;
        }
        let mut filling = match self.filling.take() {
            Some(filling) => filling,
            None => Filling::open(self, first)?,
        };
        // What was read before is out of date from here on.
        (self.reading, self.firsts) = (None, None);
        let mut planned = Vec::new();
        transaction(&filling.connection, WRITE, || {
            events.iter().try_for_each(|event| {
                write_event(&filling.connection, event, &mut planned).map_err(database(WRITE))
            })
        })?;
        filling.events += events.len() as u64;
        let records: usize = events.iter().map(|event| event.record.len()).sum();
        filling.bytes += records as u64 + EVENT_BYTES * events.len() as u64;
        self.filling = Some(filling);
        Ok(())
    }

    /// The segment that an earlier run was filling.
    fn left_over(&self) -> Result<Option<Filling>> {
        let sealed = self.catalog.segments()?;
        let last = self.folder.segment_firsts()?.pop();
        match last.filter(|last| sealed.iter().all(|row| row.first != *last)) {
            Some(first) => Filling::open(self, first).map(Some),
            None => Ok(None),
        }
    }

    /// Seals the segment that is being filled, if there is one.
    pub(super) fn seal(&mut self) -> Result<()> {
        if self.filling.is_none() {
            self.filling = self.left_over()?;
        }
        let Some(filling) = self.filling.take() else { return Ok(()) };
        let connection = &filling.connection;
        for step in SEAL_STEPS {
            connection.execute_batch(step).map_err(database("index segment"))?;
        }
        let loaded = load::load_keys(connection)?;
        let filter = SealedFilter::build(seal::fingerprints(connection)?, loaded.dedupe_until_ms);
        checkpoint(connection)?;
        self.catalog.segment_put(SealedRow {
            first: filling.first,
            last: loaded.last.max(filling.first),
            events: loaded.events,
            bytes: bytes_on_disk(&self.folder.segment(filling.first)),
            received_min_ms: loaded.received_min_ms,
            received_max_ms: loaded.received_max_ms,
            dedupe_until_ms: filter.until_ms,
            kinds: loaded.kinds,
            compacted_at_ms: 0,
            filter: filter.to_bytes(),
            expiring_ms: Some(loaded.expiring_ms).filter(|at_ms| *at_ms != i64::MAX),
        })
    }
}

impl Filling {
    fn open(parts: &Parts, first: i64) -> Result<Self> {
        let connection = open_segment(&parts.folder.segment(first), Role::Writer)?;
        connection
            .execute_batch("PRAGMA cache_size = -16384; UPDATE progress SET step = 1;")
            .map_err(database(WRITE))?;
        let events = count(&connection, "SELECT count(*) FROM event")?;
        let records = count(&connection, "SELECT coalesce(sum(size_bytes), 0) FROM event")?;
        Ok(Self { first, connection, events, bytes: records + EVENT_BYTES * events })
    }
}

fn write_event(
    connection: &Connection,
    event: &EventItem,
    planned: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    let seq = event.id.seq().0;
    planned_column(event.planned.iter().copied(), planned);
    connection
        .prepare_cached(
            "INSERT INTO event(seq, tail, application, received_at_ms, disposition, dedupe,
                               dedupe_until_ms, size_bytes, event_type, planned, labels)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            seq,
            &event.id.tail()[..],
            event.application.0,
            event.received_at_ms,
            disposition_column(event.disposition),
            event.dedupe.as_ref().map(|(key, _)| &key[..]),
            event.dedupe.as_ref().map(|(_, until_ms)| until_ms),
            event.record.len() as i64,
            event.event_type,
            &planned[..],
            event.labels,
        ])?;
    connection
        .prepare_cached("INSERT INTO payload(seq, record) VALUES(?1, ?2)")?
        .execute(params![seq, &event.record[..]])?;
    if let Some(until_ms) = event.payload_until_ms {
        connection
            .prepare_cached("INSERT INTO expiring(until_ms, event_seq) VALUES(?1, ?2)")?
            .execute([until_ms, seq])?;
    }
    for replay in &event.replays {
        connection
            .prepare_cached(
                "INSERT INTO replay(event_seq, endpoint, generation, due_ms)
                 VALUES(?1, ?2, ?3, ?4)",
            )?
            .execute(params![seq, replay.endpoint.0, replay.generation, event.received_at_ms])?;
    }
    for attempt in &event.attempts {
        write_attempt(connection, seq, attempt)?;
    }
    for pending in &event.pending {
        write_pending(connection, event, pending)?;
    }
    for (number, received_at_ms) in (1_i64..).zip(&event.duplicates) {
        connection
            .prepare_cached(
                "INSERT INTO duplicate(event_seq, number, received_at_ms) VALUES(?1, ?2, ?3)",
            )?
            .execute([seq, number, *received_at_ms])?;
    }
    Ok(())
}

fn write_attempt(connection: &Connection, seq: i64, one: &AttemptItem) -> rusqlite::Result<()> {
    let (next_kind, next_at_ms) = next_columns(one.next);
    connection
        .prepare_cached(
            "INSERT INTO attempt(event_seq, endpoint, generation, number, next_kind, next_at_ms,
                                 tail, trigger, started_at_ms, duration_ms, status, error_code,
                                 detail)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            seq,
            one.endpoint.0,
            one.generation,
            one.number,
            next_kind,
            next_at_ms,
            &one.tail[..],
            trigger_column(one.trigger),
            one.started_at_ms,
            one.duration_ms,
            one.status,
            one.error_code,
            &one.detail[..],
        ])?;
    if ended(one.next) == Some(true) {
        put_failed(connection, (seq, one.endpoint.0, one.generation))?;
    }
    Ok(())
}

/// Writes what is pending, and notes its moment where attempts and receipt would say another one.
fn write_pending(
    connection: &Connection,
    event: &EventItem,
    one: &PendingItem,
) -> rusqlite::Result<()> {
    let key: Key = (event.id.seq().0, one.endpoint.0, one.generation);
    put_pending(connection, key, one.due_ms, one.attempts)?;
    if one.due_ms != derived_due_ms(event, one.endpoint, one.generation) {
        insert_moved(connection, key, one.attempts, one.due_ms)?;
    }
    Ok(())
}

fn derived_due_ms(event: &EventItem, endpoint: EndpointKey, generation: u16) -> i64 {
    let of_delivery = event
        .attempts
        .iter()
        .rfind(|attempt| attempt.endpoint == endpoint && attempt.generation == generation);
    match of_delivery.map(|attempt| attempt.next) {
        Some(NextStep::RetryAt(at_ms)) => at_ms,
        _ => event.received_at_ms,
    }
}
