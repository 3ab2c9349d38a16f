//! Reading: events, records, attempts, by their ids. Lists are walked in `search`.

use std::sync::atomic::Ordering;

use becket_model::{
    ApplicationKey, AttemptId, DeliveryKey, DeliveryState, EndpointKey, EventId, EventRecord,
    EventSeq,
};
use becket_store::{
    AttemptRow, AttemptWrite, DuplicateRow, EventRow, LeasedDelivery, Result, Scope,
};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::edit::{labels_from_column, read_record};
use crate::errors::database;
use crate::memory::{Key, Taken};
use crate::rows::{disposition_from_column, next_from_columns, trigger_from_column};
use crate::shared::Shared;
use crate::write;

pub(crate) const COLUMNS: &str =
    "seq, tail, application, received_at_ms, disposition, size_bytes, event_type, planned, labels";

impl Shared {
    /// Whether an application belongs to the scope.
    pub(crate) fn in_scope(&self, scope: Scope, application: u32) -> bool {
        scope.application.is_none_or(|key| key.0 == application)
            && self.owners.read().get(&application) == Some(&scope.owner)
    }

    /// Reads the segment that would hold an event, if there is one.
    fn read_holding<T>(
        &self,
        event: &EventId,
        work: impl FnOnce(&Connection) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        match self.segments.holding(event.seq().0) {
            Some(segment) => self.segments.read(&segment, work),
            None => Ok(None),
        }
    }

    /// An event's narrow facts, if it exists and belongs to the scope.
    fn facts_in(
        &self,
        connection: &Connection,
        scope: Scope,
        event: &EventId,
    ) -> Result<Option<write::Facts>> {
        let facts = write::facts(connection, event.seq().0).map_err(database("read event"))?;
        Ok(facts.filter(|facts| facts.event == *event && self.in_scope(scope, facts.application)))
    }

    /// The application of an event, if it exists in the scope.
    pub(crate) fn application_of(&self, scope: Scope, event: &EventId) -> Result<Option<u32>> {
        let found =
            self.read_holding(event, |connection| self.facts_in(connection, scope, event))?;
        Ok(found.map(|facts| facts.application))
    }

    pub(crate) fn event_row(&self, scope: Scope, event: &EventId) -> Result<Option<EventRow>> {
        let failed = database("read event");
        self.read_holding(event, |connection| {
            let row = connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM event WHERE seq = ?1"))
                .and_then(|mut statement| statement.query_row([event.seq().0], narrow).optional())
                .map_err(failed)?;
            match row {
                Some(row) if row.id == *event && self.in_scope(scope, row.application.0) => {
                    self.complete(connection, row).map(Some)
                }
                _ => Ok(None),
            }
        })
    }

    /// Adds the deliveries to a row.
    pub(crate) fn complete(&self, connection: &Connection, row: Narrow) -> Result<EventRow> {
        let seq = row.id.seq().0;
        let labels = labels_from_column(row.labels, seq)?;
        let mut deliveries = write::deliveries(connection, seq, &row.planned, row.received_at_ms)
            .map_err(database("read deliveries"))?;
        let known = self.segments.holding(seq).is_some_and(|segment| {
            // In this order: taking over sets the one before it clears the other.
            segment.memory.lock().is_some() || segment.adopted.load(Ordering::Acquire)
        });
        // Just after a start nothing is under lease, and what the rows say is right.
        for delivery in
            deliveries.iter_mut().filter(|row| known && row.state == DeliveryState::Pending)
        {
            let key = (seq, delivery.endpoint.0, delivery.generation);
            delivery.due_ms = self.due_of(connection, key)?;
        }
        Ok(EventRow {
            id: row.id,
            application: row.application,
            received_at_ms: row.received_at_ms,
            event_type: row.event_type,
            disposition: row.disposition,
            labels,
            size_bytes: row.size_bytes,
            deliveries,
        })
    }

    /// When a pending delivery is due, if it is not under way.
    fn due_of(&self, connection: &Connection, key: Key) -> Result<Option<i64>> {
        if let Some(segment) = self.segments.holding(key.0)
            && let Some(memory) = &*segment.memory.lock()
        {
            let waiting = memory.pending.get(&key);
            return Ok(
                waiting.and_then(|waiting| waiting.lease.is_none().then_some(waiting.due_ms))
            );
        }
        if self.late_leases.lock().contains_key(&key) {
            return Ok(None);
        }
        connection
            .prepare_cached(
                "SELECT due_ms FROM pending
                 WHERE event_seq = ?1 AND endpoint = ?2 AND generation = ?3",
            )
            .and_then(|mut statement| {
                statement.query_row(params![key.0, key.1, key.2], |row| row.get(0)).optional()
            })
            .map_err(database("read deliveries"))
    }

    pub(crate) fn record(&self, scope: Scope, event: &EventId) -> Result<Option<EventRecord>> {
        self.read_holding(event, |connection| match self.facts_in(connection, scope, event)? {
            Some(_) => read_record(connection, event.seq().0),
            None => Ok(None),
        })
    }

    pub(crate) fn duplicates(
        &self,
        scope: Scope,
        event: &EventId,
        limit: usize,
    ) -> Result<Vec<DuplicateRow>> {
        let failed = database("read repeats");
        let list = self.read_holding(event, |connection| {
            if self.facts_in(connection, scope, event)?.is_none() {
                return Ok(None);
            }
            let mut statement = connection
                .prepare_cached(
                    "SELECT received_at_ms FROM duplicate WHERE event_seq = ?1
                     ORDER BY number LIMIT ?2",
                )
                .map_err(failed)?;
            statement
                .query_map(params![event.seq().0, limit as i64], |row| {
                    Ok(DuplicateRow { event: *event, received_at_ms: row.get(0)? })
                })
                .and_then(Iterator::collect)
                .map(Some)
                .map_err(failed)
        })?;
        Ok(list.unwrap_or_default())
    }

    pub(crate) fn attempts(&self, scope: Scope, event: &EventId) -> Result<Vec<AttemptRow>> {
        let failed = database("read attempts");
        let list = self.read_holding(event, |connection| {
            if self.facts_in(connection, scope, event)?.is_none() {
                return Ok(None);
            }
            let mut statement = connection
                .prepare_cached(
                    "SELECT endpoint, generation, number, next_kind, next_at_ms, tail, trigger,
                            started_at_ms, duration_ms, status, error_code, detail
                     FROM attempt WHERE event_seq = ?1
                     ORDER BY started_at_ms, generation, number, endpoint",
                )
                .map_err(failed)?;
            statement
                .query_map([event.seq().0], |row| attempt_row(row, event))
                .and_then(Iterator::collect)
                .map(Some)
                .map_err(failed)
        })?;
        Ok(list.unwrap_or_default())
    }

    pub(crate) fn attempt(&self, scope: Scope, attempt: &AttemptId) -> Result<Option<AttemptRow>> {
        let seq = attempt.event_seq();
        let Some(segment) = self.segments.holding(seq.0) else { return Ok(None) };
        let facts = self.segments.read(&segment, |connection| {
            write::facts(connection, seq.0).map_err(database("read attempt"))
        })?;
        let Some(facts) = facts else { return Ok(None) };
        let list = self.attempts(scope, &facts.event)?;
        Ok(list.into_iter().find(|row| row.id == *attempt))
    }

    /// Whether there is such an attempt in the scope.
    pub(crate) fn has_attempt(&self, scope: Scope, attempt: &AttemptId) -> Result<bool> {
        let failed = database("read attempt");
        let seq = attempt.event_seq();
        let Some(segment) = self.segments.holding(seq.0) else { return Ok(false) };
        self.segments.read(&segment, |connection| {
            let facts = write::facts(connection, seq.0).map_err(failed)?;
            if !facts.is_some_and(|facts| self.in_scope(scope, facts.application)) {
                return Ok(false);
            }
            Ok(write::find_attempt(connection, attempt).map_err(failed)?.is_some())
        })
    }

    /// Reads what was leased. One whose event is gone is passed over.
    pub(crate) fn leased(&self, taken: &[Taken]) -> Result<Vec<LeasedDelivery>> {
        let mut list = Vec::with_capacity(taken.len());
        for taken in taken {
            let (seq, endpoint, generation) = taken.key;
            let Some(segment) = self.segments.holding(seq) else { continue };
            let read = self.segments.read(&segment, |connection| {
                let row = connection
                    .prepare_cached(&format!("SELECT {COLUMNS} FROM event WHERE seq = ?1"))
                    .and_then(|mut statement| statement.query_row([seq], narrow).optional())
                    .map_err(database("read leased event"))?;
                match row {
                    Some(row) => Ok(read_record(connection, seq)?.map(|record| (row, record))),
                    None => Ok(None),
                }
            })?;
            if let Some((row, record)) = read {
                list.push(LeasedDelivery {
                    key: DeliveryKey { event: row.id, endpoint: EndpointKey(endpoint), generation },
                    lease: taken.token,
                    attempts: taken.attempts,
                    application: row.application,
                    received_at_ms: row.received_at_ms,
                    event_type: write::shared_text(row.event_type),
                    record,
                });
            }
        }
        Ok(list)
    }
}

/// An event's narrow row.
pub(crate) struct Narrow {
    pub(crate) id: EventId,
    pub(crate) application: ApplicationKey,
    received_at_ms: i64,
    disposition: becket_model::Disposition,
    size_bytes: u64,
    event_type: Option<String>,
    planned: Vec<u8>,
    pub(crate) labels: Option<String>,
}

pub(crate) fn narrow(row: &Row<'_>) -> rusqlite::Result<Narrow> {
    Ok(Narrow {
        id: EventId::new(EventSeq(row.get(0)?), row.get(1)?),
        application: ApplicationKey(row.get(2)?),
        received_at_ms: row.get(3)?,
        disposition: disposition_from_column(row.get(4)?),
        size_bytes: row.get::<_, i64>(5)?.unsigned_abs(),
        event_type: row.get(6)?,
        planned: row.get(7)?,
        labels: row.get(8)?,
    })
}

fn attempt_row(row: &Row<'_>, event: &EventId) -> rusqlite::Result<AttemptRow> {
    let started_at_ms = row.get(7)?;
    Ok(AttemptRow {
        id: AttemptId::new(started_at_ms, event.seq(), row.get(5)?),
        delivery: DeliveryKey {
            event: *event,
            endpoint: EndpointKey(row.get(0)?),
            generation: row.get(1)?,
        },
        attempt: AttemptWrite {
            number: row.get(2)?,
            trigger: trigger_from_column(row.get(6)?),
            started_at_ms,
            duration_ms: row.get(8)?,
            status: row.get(9)?,
            error_code: row.get(10)?,
            detail: Bytes::from(row.get::<_, Vec<u8>>(11)?),
        },
        next: next_from_columns(row.get(3)?, row.get(4)?),
    })
}
