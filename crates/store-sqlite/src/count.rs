//! Counting events and deliveries in a stretch of time, segment by segment, without their payloads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;

use becket_model::{ApplicationKey, EndpointKey};
use becket_store::{DeliveryCounts, EventCount, Result, Scope};
use rusqlite::{Connection, params};

use crate::errors::database;
use crate::load;
use crate::memory::Memory;
use crate::rows::planned_from_column;
use crate::segment::Segment;
use crate::shared::Shared;

/// How the deliveries of one segment to one endpoint stand that are not delivered: event and
/// generation, and of the pending ones whether they are under lease.
#[derive(Default)]
struct Standing {
    pending: HashMap<(i64, u16), bool>,
    failed: HashSet<(i64, u16)>,
    /// Of events above this, memory does not know yet.
    last: i64,
}

impl Standing {
    fn of_memory(memory: &Memory, endpoint: u32, last: i64) -> Self {
        let pending = memory.pending.iter().filter(|((_, of, _), _)| *of == endpoint);
        let failed = memory.failed.iter().filter(|(_, of, _)| *of == endpoint);
        Self {
            pending: pending
                .map(|((seq, _, generation), waiting)| {
                    ((*seq, *generation), waiting.lease.is_some())
                })
                .collect(),
            failed: failed.map(|(seq, _, generation)| (*seq, *generation)).collect(),
            last,
        }
    }
}

impl Shared {
    /// Counts events by application and type.
    pub(crate) fn event_count(
        &self,
        scope: Scope,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<Vec<EventCount>> {
        let application = scope.application.map(|key| key.0);
        let mut counts: BTreeMap<(u32, Option<String>), (u64, u64)> = BTreeMap::new();
        for segment in self.segments.all() {
            if !overlaps(&segment, since_ms, until_ms) || !segment.may_hold(application, &[]) {
                continue;
            }
            let rows = self.segments.read(&segment, |connection| {
                count_events(connection, application, since_ms, until_ms)
                    .map_err(database("count events"))
            })?;
            for (kind, events, deliveries) in rows {
                if self.in_scope(scope, kind.0) {
                    let count = counts.entry(kind).or_default();
                    count.0 += events;
                    count.1 += deliveries;
                }
            }
        }
        let list = counts.into_iter().map(|((application, event_type), (events, deliveries))| {
            EventCount { application: ApplicationKey(application), event_type, events, deliveries }
        });
        Ok(list.collect())
    }

    /// Counts how the last deliveries of events to an endpoint stand.
    pub(crate) fn delivery_count(
        &self,
        scope: Scope,
        endpoint: EndpointKey,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<DeliveryCounts> {
        let mut counts = DeliveryCounts::default();
        let application = self.endpoint_sources.read().get(&endpoint.0).copied();
        let Some(application) = application.filter(|key| self.in_scope(scope, *key)) else {
            return Ok(counts);
        };
        for segment in self.segments.all() {
            if !overlaps(&segment, since_ms, until_ms) || !segment.may_hold(Some(application), &[])
            {
                continue;
            }
            let failed = database("count deliveries");
            // First what there is, then how it stands, so that nothing pending looks ended.
            let latest = self.segments.read(&segment, |connection| {
                latest_of(connection, application, endpoint, since_ms, until_ms).map_err(failed)
            })?;
            if latest.is_empty() {
                continue;
            }
            let standing = self.standing(&segment, endpoint.0)?;
            for (seq, generation) in latest {
                match standing.pending.get(&(seq, generation)) {
                    Some(true) => counts.leased += 1,
                    Some(false) => counts.waiting += 1,
                    None if seq > standing.last => counts.waiting += 1,
                    None if standing.failed.contains(&(seq, generation)) => counts.failed += 1,
                    None => counts.delivered += 1,
                }
            }
        }
        Ok(counts)
    }

    fn standing(&self, segment: &Segment, endpoint: u32) -> Result<Standing> {
        let adopted = segment.adopted.load(Ordering::Acquire);
        if let Some(memory) = &*segment.memory.lock() {
            let last = segment.last.load(Ordering::Relaxed);
            return Ok(Standing::of_memory(memory, endpoint, last));
        }
        self.segments.read(segment, |connection| {
            if !adopted && !segment.adopted.load(Ordering::Acquire) {
                // Found at start and not taken over yet: nothing in it is under lease.
                let loaded = load::load(connection)?;
                return Ok(Standing::of_memory(&loaded.memory, endpoint, i64::MAX));
            }
            let mut standing =
                read_standing(connection, endpoint).map_err(database("count deliveries"))?;
            let leases = self.late_leases.lock();
            for ((seq, generation), leased) in &mut standing.pending {
                *leased = leases.contains_key(&(*seq, endpoint, *generation));
            }
            Ok(standing)
        })
    }
}

fn overlaps(segment: &Segment, since_ms: i64, until_ms: i64) -> bool {
    segment.received_max_ms.load(Ordering::Relaxed) >= since_ms
        && segment.received_min_ms.load(Ordering::Relaxed) < until_ms
}

type Counted = ((u32, Option<String>), u64, u64);

fn count_events(
    connection: &Connection,
    application: Option<u32>,
    since_ms: i64,
    until_ms: i64,
) -> rusqlite::Result<Vec<Counted>> {
    let of = if application.is_some() { "application = ?3" } else { "?3 IS NULL" };
    connection
        .prepare_cached(&format!(
            "SELECT application, event_type, count(*), sum(length(planned)) / 4 FROM event
             WHERE {of} AND received_at_ms >= ?1 AND received_at_ms < ?2
             GROUP BY application, event_type"
        ))?
        .query_map(params![since_ms, until_ms, application], |row| {
            let (events, deliveries): (i64, i64) = (row.get(2)?, row.get(3)?);
            Ok(((row.get(0)?, row.get(1)?), events.unsigned_abs(), deliveries.unsigned_abs()))
        })?
        .collect()
}

/// The events that have a delivery to the endpoint, with the generation of the last one.
fn latest_of(
    connection: &Connection,
    application: u32,
    endpoint: EndpointKey,
    since_ms: i64,
    until_ms: i64,
) -> rusqlite::Result<HashMap<i64, u16>> {
    let mut latest = HashMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT seq, planned FROM event
         WHERE application = ?3 AND received_at_ms >= ?1 AND received_at_ms < ?2",
    )?;
    let mut rows = statement.query(params![since_ms, until_ms, application])?;
    while let Some(row) = rows.next()? {
        if planned_from_column(row.get_ref(1)?.as_blob()?).any(|planned| planned == endpoint) {
            latest.insert(row.get(0)?, 0);
        }
    }
    let mut statement = connection.prepare_cached(
        "SELECT event_seq, max(generation) FROM replay JOIN event ON seq = event_seq
         WHERE endpoint = ?4 AND application = ?3
           AND received_at_ms >= ?1 AND received_at_ms < ?2
         GROUP BY event_seq",
    )?;
    let mut rows = statement.query(params![since_ms, until_ms, application, endpoint.0])?;
    while let Some(row) = rows.next()? {
        latest.insert(row.get(0)?, row.get(1)?);
    }
    Ok(latest)
}

fn read_standing(connection: &Connection, endpoint: u32) -> rusqlite::Result<Standing> {
    let pending = connection
        .prepare_cached("SELECT event_seq, generation FROM pending WHERE endpoint = ?1")?
        .query_map([endpoint], |row| Ok(((row.get(0)?, row.get(1)?), false)))?
        .collect::<rusqlite::Result<_>>()?;
    let failed = connection
        .prepare_cached("SELECT event_seq, generation FROM failed WHERE endpoint = ?1")?
        .query_map([endpoint], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Standing { pending, failed, last: i64::MAX })
}
