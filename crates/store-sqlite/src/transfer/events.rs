//! Reading segments, with all that belongs to each event.

use std::collections::{BTreeMap, HashMap, HashSet};

use becket_model::{ApplicationKey, EndpointKey, EventId, EventSeq};
use becket_store::transfer::{
    AttemptItem, CHUNK_BYTES, CHUNK_ITEMS, EventItem, PendingItem, ReplayItem, Tally,
};
use becket_store::{Result, StoreError};
use bytes::Bytes;
use rusqlite::{Connection, Row, Rows};

use super::Parts;
use crate::errors::database;
use crate::layout::{Role, has_events, open_segment};
use crate::load;
use crate::memory::Key;
use crate::release::Refused;
use crate::rows::{
    disposition_from_column, next_from_columns, planned_from_column, trigger_from_column,
};

const READ: &str = "read events for a move";

/// A segment that is open for reading.
pub(super) struct Reading {
    first: i64,
    connection: Connection,
    /// What is pending, if the segment's own tables do not say: attempts made, and when it is due.
    derived: Option<BTreeMap<Key, (u32, i64)>>,
    /// When payloads are to be removed that are still there, by their events' places.
    expiring: HashMap<i64, i64>,
}

impl Reading {
    fn open(parts: &Parts, first: i64) -> Result<Self> {
        let connection = open_segment(&parts.folder.segment(first), Role::Reader)?;
        let derived = if is_taken_over(&connection)? {
            None
        } else {
            let pending = load::load(&connection)?.memory.pending;
            let each = pending.into_iter();
            Some(each.map(|(key, one)| (key, (one.attempts, one.due_ms))).collect())
        };
        let expiring = expiring(&connection).map_err(database(READ))?;
        Ok(Self { first, connection, derived, expiring })
    }

    fn pending_count(&self) -> Result<u64> {
        match &self.derived {
            Some(derived) => Ok(derived.len() as u64),
            None => count(
                &self.connection,
                "SELECT count(*) FROM pending WHERE event_seq IN (SELECT seq FROM event)",
            ),
        }
    }

    /// The events after a place.
    fn events(&self, after: i64) -> Result<Vec<EventItem>> {
        let failed = database(READ);
        let connection = &self.connection;
        let prepare = |sql: &str| connection.prepare_cached(sql).map_err(failed);
        let mut events = prepare(
            "SELECT seq, tail, application, received_at_ms, disposition, dedupe, dedupe_until_ms,
                    size_bytes, event_type, planned, labels
             FROM event WHERE seq > ?1 ORDER BY seq",
        )?;
        let mut records = prepare("SELECT seq, record FROM payload WHERE seq > ?1 ORDER BY seq")?;
        let mut replays = prepare(
            "SELECT event_seq, generation, endpoint FROM replay WHERE event_seq > ?1
             ORDER BY event_seq",
        )?;
        let mut attempts = prepare(
            "SELECT event_seq, endpoint, generation, number, next_kind, next_at_ms, tail, trigger,
                    started_at_ms, duration_ms, status, error_code, detail
             FROM attempt WHERE event_seq > ?1 ORDER BY event_seq, endpoint, generation, number",
        )?;
        let mut pending = prepare(
            "SELECT event_seq, endpoint, generation, attempts, due_ms FROM pending
             WHERE event_seq > ?1 ORDER BY event_seq, endpoint, generation",
        )?;
        let mut duplicates = prepare(
            "SELECT event_seq, received_at_ms FROM duplicate WHERE event_seq > ?1
             ORDER BY event_seq, number",
        )?;
        let ask = |error| failed(error);
        let mut records =
            Along::new(records.query([after]).map_err(ask)?, |row| row.get::<_, Vec<u8>>(1));
        let mut replays = Along::new(replays.query([after]).map_err(ask)?, replay);
        let mut attempts = Along::new(attempts.query([after]).map_err(ask)?, attempt);
        let mut pending = Along::new(pending.query([after]).map_err(ask)?, pending_row);
        let mut duplicates =
            Along::new(duplicates.query([after]).map_err(ask)?, |row| row.get::<_, i64>(1));
        let mut rows = events.query([after]).map_err(ask)?;
        let (mut list, mut bytes): (Vec<EventItem>, usize) = (Vec::new(), 0);
        while list.len() < CHUNK_ITEMS && bytes < CHUNK_BYTES {
            let Some(row) = rows.next().map_err(failed)? else { break };
            let (mut event, size) = narrow(row).map_err(failed)?;
            let seq = event.id.seq().0;
            let mut record =
                records.take(seq).map_err(failed)?.pop().ok_or_else(|| StoreError::Unusable {
                    path: format!("event {}", event.id),
                    detail: "its bytes are missing; restore the segment from a backup".to_owned(),
                })?;
            // Behind what is left of a removed payload there are zeros.
            record.truncate(size);
            event.record = Bytes::from(record);
            event.payload_until_ms = self.expiring.get(&seq).copied();
            event.replays = replays.take(seq).map_err(failed)?;
            event.replays.sort_unstable();
            event.attempts = attempts.take(seq).map_err(failed)?;
            event.pending = match &self.derived {
                Some(derived) => derived_pending(derived, seq),
                None => pending.take(seq).map_err(failed)?,
            };
            event.duplicates = duplicates.take(seq).map_err(failed)?;
            bytes += event.bytes();
            list.push(event);
        }
        Ok(list)
    }
}

fn derived_pending(derived: &BTreeMap<Key, (u32, i64)>, seq: i64) -> Vec<PendingItem> {
    let of_event = derived.range((seq, 0, 0)..=(seq, u32::MAX, u16::MAX));
    of_event
        .map(|((_, endpoint, generation), (attempts, due_ms))| PendingItem {
            endpoint: EndpointKey(*endpoint),
            generation: *generation,
            attempts: *attempts,
            due_ms: *due_ms,
        })
        .collect()
}

/// Rows that are walked beside the events, in the same order.
struct Along<'s, T, F> {
    rows: Rows<'s>,
    ahead: Option<(i64, T)>,
    read: F,
    ended: bool,
}

impl<'s, T, F: Fn(&Row<'_>) -> rusqlite::Result<T>> Along<'s, T, F> {
    const fn new(rows: Rows<'s>, read: F) -> Self {
        Self { rows, ahead: None, read, ended: false }
    }

    /// The rows of the event at this place.
    fn take(&mut self, seq: i64) -> rusqlite::Result<Vec<T>> {
        let mut list = Vec::new();
        loop {
            if self.ahead.is_none() && !self.ended {
                match self.rows.next()? {
                    Some(row) => self.ahead = Some((row.get(0)?, (self.read)(row)?)),
                    None => self.ended = true,
                }
            }
            match self.ahead.take() {
                Some((of, row)) if of == seq => list.push(row),
                // Rows without an event are of no use to anybody.
                Some((of, _)) if of < seq => {}
                later => {
                    self.ahead = later;
                    return Ok(list);
                }
            }
        }
    }
}

/// An event without what stands in other tables, and the size of its record.
fn narrow(row: &Row<'_>) -> rusqlite::Result<(EventItem, usize)> {
    let dedupe: Option<[u8; 16]> = row.get(5)?;
    let until_ms: Option<i64> = row.get(6)?;
    let event = EventItem {
        id: EventId::new(EventSeq(row.get(0)?), row.get(1)?),
        application: ApplicationKey(row.get(2)?),
        received_at_ms: row.get(3)?,
        disposition: disposition_from_column(row.get(4)?),
        dedupe: dedupe.zip(until_ms),
        payload_until_ms: None,
        event_type: row.get(8)?,
        labels: row.get(10)?,
        planned: planned_from_column(row.get_ref(9)?.as_blob()?).collect(),
        record: Bytes::new(),
        replays: Vec::new(),
        attempts: Vec::new(),
        pending: Vec::new(),
        duplicates: Vec::new(),
    };
    Ok((event, row.get::<_, i64>(7)?.unsigned_abs() as usize))
}

fn replay(row: &Row<'_>) -> rusqlite::Result<ReplayItem> {
    Ok(ReplayItem { generation: row.get(1)?, endpoint: EndpointKey(row.get(2)?) })
}

fn pending_row(row: &Row<'_>) -> rusqlite::Result<PendingItem> {
    Ok(PendingItem {
        endpoint: EndpointKey(row.get(1)?),
        generation: row.get(2)?,
        attempts: row.get(3)?,
        due_ms: row.get(4)?,
    })
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptItem> {
    Ok(AttemptItem {
        endpoint: EndpointKey(row.get(1)?),
        generation: row.get(2)?,
        number: row.get(3)?,
        next: next_from_columns(row.get(4)?, row.get(5)?),
        tail: row.get(6)?,
        trigger: trigger_from_column(row.get(7)?),
        started_at_ms: row.get(8)?,
        duration_ms: row.get(9)?,
        status: row.get(10)?,
        error_code: row.get(11)?,
        detail: Bytes::from(row.get::<_, Vec<u8>>(12)?),
    })
}

fn expiring(connection: &Connection) -> rusqlite::Result<HashMap<i64, i64>> {
    let mut statement = connection.prepare("SELECT event_seq, until_ms FROM expiring")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Whether a segment's own tables say what is pending.
fn is_taken_over(connection: &Connection) -> Result<bool> {
    count(connection, "SELECT step FROM progress").map(|step| step > 0)
}

pub(super) fn count(connection: &Connection, sql: &str) -> Result<u64> {
    connection
        .query_row(sql, [], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
        .map_err(database(READ))
}

impl Parts {
    /// The events after a place, from the first segment that has some.
    pub(super) fn events(&mut self, after: i64) -> Result<Vec<EventItem>> {
        let firsts = match self.firsts.take() {
            Some(firsts) => firsts,
            None => self.firsts_with_events()?,
        };
        let list = self.events_of(&firsts, after);
        self.firsts = Some(firsts);
        list
    }

    /// Where the segments begin that hold events. An empty one may begin within another one, and would
    /// hide its later events.
    fn firsts_with_events(&self) -> Result<Vec<i64>> {
        let mut firsts = Vec::new();
        for first in self.folder.segment_firsts()? {
            if has_events(&open_segment(&self.folder.segment(first), Role::Reader)?)? {
                firsts.push(first);
            }
        }
        Ok(firsts)
    }

    fn events_of(&mut self, firsts: &[i64], after: i64) -> Result<Vec<EventItem>> {
        let from = firsts.partition_point(|first| *first <= after).saturating_sub(1);
        for first in firsts.get(from..).unwrap_or_default() {
            let reading = match self.reading.take() {
                Some(reading) if reading.first == *first => reading,
                _ => Reading::open(self, *first)?,
            };
            let list = reading.events(after)?;
            self.reading = Some(reading);
            if !list.is_empty() {
                return Ok(list);
            }
        }
        Ok(Vec::new())
    }

    /// The place of the last event.
    pub(super) fn last_event(&self) -> Result<Option<i64>> {
        for first in self.folder.segment_firsts()?.into_iter().rev() {
            let connection = open_segment(&self.folder.segment(first), Role::Reader)?;
            let last: Option<i64> = connection
                .query_row("SELECT max(seq) FROM event", [], |row| row.get(0))
                .map_err(database(READ))?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// Counts events and pending deliveries.
    pub(super) fn tally_events(&self, tally: &mut Tally) -> Result<()> {
        for first in self.folder.segment_firsts()? {
            let reading = Reading::open(self, first)?;
            tally.events += count(&reading.connection, "SELECT count(*) FROM event")?;
            tally.pending += reading.pending_count()?;
        }
        tally.last_event = self.last_event()?.unwrap_or(0);
        Ok(())
    }

    /// Refused requests that have become events and that a crash has left in quarantine. Only
    /// segments that were never sealed name any.
    pub(super) fn let_out(&self) -> Result<HashSet<Refused>> {
        let failed = database("read released");
        let sealed: HashSet<i64> =
            self.catalog.segments()?.into_iter().map(|row| row.first).collect();
        let mut let_out = HashSet::new();
        for first in self.folder.segment_firsts()? {
            if sealed.contains(&first) {
                continue;
            }
            let connection = open_segment(&self.folder.segment(first), Role::Reader)?;
            let mut statement = connection
                .prepare("SELECT number, received_at_ms FROM released")
                .map_err(failed)?;
            let rows = statement
                .query_map([], |row| {
                    Ok(Refused { number: row.get(0)?, received_at_ms: row.get(1)? })
                })
                .map_err(failed)?;
            for row in rows {
                let_out.insert(row.map_err(failed)?);
            }
        }
        Ok(let_out)
    }
}
