//! Reading: events, records, attempts. Lists walk segments newest first and pass over those that
//! cannot hold what is looked for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use becket_model::{
    ApplicationKey, AttemptId, DeliveryKey, DeliveryState, EndpointKey, EventId, EventRecord,
    EventSeq,
};
use becket_store::{
    AttemptRow, AttemptWrite, DuplicateRow, EventFilter, EventRow, LeasedDelivery, Page, Result,
    Scope,
};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::edit::{labels_from_column, read_record};
use crate::errors::database;
use crate::memory::{Key, Taken};
use crate::rows::{disposition_from_column, next_from_columns, trigger_from_column};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::write;

const COLUMNS: &str =
    "seq, tail, application, received_at_ms, disposition, size_bytes, event_type, planned, labels";
/// Rows looked at between two looks whether the page is full.
const CHUNK: i64 = 256;

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
    fn complete(&self, connection: &Connection, row: Narrow) -> Result<EventRow> {
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

    pub(crate) fn events(
        &self,
        scope: Scope,
        filter: &EventFilter,
        page: Page,
    ) -> Result<Vec<EventRow>> {
        let mut segments = self.segments.all();
        let ascending = page.after.is_some();
        if !ascending {
            segments.reverse();
        }
        let application = scope.application.map(|key| key.0);
        let mut found = Vec::new();
        for segment in segments {
            if found.len() >= page.limit {
                break;
            }
            if passed_over(&segment, filter, page, application) {
                continue;
            }
            self.walk(&segment, scope, filter, page, &mut found)?;
        }
        Ok(found)
    }

    fn walk(
        &self,
        segment: &Arc<Segment>,
        scope: Scope,
        filter: &EventFilter,
        page: Page,
        found: &mut Vec<EventRow>,
    ) -> Result<()> {
        let candidates = self.candidates(segment, filter)?;
        if candidates.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let sql = walk_sql(scope, filter, page, candidates.is_some());
        let listed = candidates.map(|list| serde_json::to_string(&list).unwrap_or_default());
        let ascending = page.after.is_some();
        let mut low = page.after.map_or(i64::MIN, |event| event.seq().0);
        let mut high = page.before.map_or(i64::MAX, |event| event.seq().0);
        self.segments.read(segment, |connection| {
            let failed = database("list events");
            let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
            loop {
                let rows: Vec<Narrow> = statement
                    .query_map(
                        params![
                            low,
                            high,
                            CHUNK,
                            scope.application.map(|key| key.0),
                            filter.dedupe.map(|key| key.0),
                            listed,
                            as_listed(filter.channel.as_deref()),
                            as_listed(filter.tag.as_deref()),
                        ],
                        narrow,
                    )
                    .and_then(Iterator::collect)
                    .map_err(failed)?;
                let Some(last) = rows.last().map(|row| row.id.seq().0) else { return Ok(()) };
                if ascending {
                    low = last
                } else {
                    high = last
                }
                let full = (rows.len() as i64) < CHUNK;
                for row in rows {
                    if let Some(event) = self.matching(connection, scope, filter, row)? {
                        found.push(event);
                        if found.len() >= page.limit {
                            return Ok(());
                        }
                    }
                }
                if full {
                    return Ok(());
                }
            }
        })
    }

    /// The only events of a segment that can have a delivery in the wanted state, if that is known.
    fn candidates(&self, segment: &Segment, filter: &EventFilter) -> Result<Option<Vec<i64>>> {
        let table = match filter.state {
            Some(DeliveryState::Pending) => "pending",
            Some(DeliveryState::Failed) => "failed",
            _ => return Ok(None),
        };
        if let Some(memory) = &*segment.memory.lock() {
            let mut list: Vec<i64> = match filter.state {
                Some(DeliveryState::Pending) => memory.pending.keys().map(|key| key.0).collect(),
                _ => memory.failed.iter().map(|key| key.0).collect(),
            };
            list.sort_unstable();
            list.dedup();
            return Ok(Some(list));
        }
        let failed = database("list events");
        self.segments.read(segment, |connection| {
            let step: i64 = connection
                .query_row("SELECT step FROM progress", [], |row| row.get(0))
                .map_err(failed)?;
            if step == 0 {
                return Ok(None);
            }
            let mut statement = connection
                .prepare_cached(&format!("SELECT DISTINCT event_seq FROM {table}"))
                .map_err(failed)?;
            statement
                .query_map([], |row| row.get(0))
                .and_then(Iterator::collect)
                .map(Some)
                .map_err(failed)
        })
    }

    fn matching(
        &self,
        connection: &Connection,
        scope: Scope,
        filter: &EventFilter,
        row: Narrow,
    ) -> Result<Option<EventRow>> {
        let wanted = self.in_scope(scope, row.application.0)
            && filter.since_ms.is_none_or(|since_ms| row.received_at_ms >= since_ms)
            && filter.until_ms.is_none_or(|until_ms| row.received_at_ms < until_ms)
            && filter.disposition.is_none_or(|disposition| row.disposition == disposition)
            && (filter.event_types.is_empty()
                || row
                    .event_type
                    .as_ref()
                    .is_some_and(|event_type| filter.event_types.contains(event_type)));
        if !wanted {
            return Ok(None);
        }
        if filter.channel.is_some() || filter.tag.is_some() {
            let labels = labels_from_column(row.labels.clone(), row.id.seq().0)?;
            let labelled = filter.channel.as_ref().is_none_or(|one| labels.channels.contains(one))
                && filter.tag.as_ref().is_none_or(|one| labels.tags.contains(one));
            if !labelled {
                return Ok(None);
            }
        }
        let event = self.complete(connection, row)?;
        let matches = filter.state.is_none() && filter.endpoint.is_none()
            || event.deliveries.iter().any(|delivery| {
                filter.endpoint.is_none_or(|endpoint| delivery.endpoint == endpoint)
                    && filter.state.is_none_or(|state| delivery.state == state)
            });
        Ok(matches.then_some(event))
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

/// Whether a segment cannot hold what is looked for.
fn passed_over(
    segment: &Segment,
    filter: &EventFilter,
    page: Page,
    application: Option<u32>,
) -> bool {
    let at = Ordering::Relaxed;
    page.before.is_some_and(|event| event.seq().0 <= segment.first)
        || page.after.is_some_and(|event| event.seq().0 >= segment.last.load(at))
        || filter.since_ms.is_some_and(|since_ms| segment.received_max_ms.load(at) < since_ms)
        || filter.until_ms.is_some_and(|until_ms| segment.received_min_ms.load(at) >= until_ms)
        || !segment.may_hold(application, &filter.event_types)
}

fn walk_sql(scope: Scope, filter: &EventFilter, page: Page, listed: bool) -> String {
    let direction = if page.after.is_some() { "ASC" } else { "DESC" };
    let mut sql = format!("SELECT {COLUMNS} FROM event WHERE seq > ?1 AND seq < ?2");
    if scope.application.is_some() {
        sql.push_str(" AND application = ?4");
    } else {
        sql.push_str(" AND ?4 IS NULL");
    }
    sql.push_str(if filter.dedupe.is_some() { " AND dedupe = ?5" } else { " AND ?5 IS NULL" });
    if listed {
        sql.push_str(" AND seq IN (SELECT value FROM json_each(?6))");
    } else {
        sql.push_str(" AND ?6 IS NULL");
    }
    // Whether it stands in the right list is decided when the row has been read.
    for (given, parameter) in [(filter.channel.is_some(), "?7"), (filter.tag.is_some(), "?8")] {
        sql.push_str(&if given {
            format!(" AND instr(labels, {parameter}) > 0")
        } else {
            format!(" AND {parameter} IS NULL")
        });
    }
    sql.push_str(" ORDER BY seq ");
    sql.push_str(direction);
    sql.push_str(" LIMIT ?3");
    sql
}

/// A channel or tag as it stands in an event's labels.
fn as_listed(text: Option<&str>) -> Option<String> {
    text.map(|text| serde_json::Value::from(text).to_string())
}

/// An event's narrow row.
struct Narrow {
    id: EventId,
    application: ApplicationKey,
    received_at_ms: i64,
    disposition: becket_model::Disposition,
    size_bytes: u64,
    event_type: Option<String>,
    planned: Vec<u8>,
    labels: Option<String>,
}

fn narrow(row: &Row<'_>) -> rusqlite::Result<Narrow> {
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
