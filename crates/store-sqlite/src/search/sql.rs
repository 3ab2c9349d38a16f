//! What a walk asks SQLite: conditions, the edges of windows, and what a segment's own tables name.

use std::sync::atomic::Ordering;

use becket_model::DeliveryState;
use becket_store::{EventFilter, Page, Result, Scope};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use super::{CHUNK, WINDOW, Walk};
use crate::errors::database;
use crate::query::{Narrow, narrow};
use crate::rows::disposition_column;
use crate::segment::Segment;

/// How the rows of a segment are gone through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Drive {
    /// All of them, in the order of their places.
    Places,
    /// Those of the application, by the index that sealed segments have.
    Application,
    /// Those of the only event type, likewise.
    EventType,
    /// These and no others, ascending.
    Listed(Vec<i64>),
    /// Those that the segment's own tables call pending or failed.
    Tables,
}

/// The places that are still to be looked at: above `low` and below `high`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) ascending: bool,
}

impl Gap {
    pub(super) const fn order(self) -> &'static str {
        if self.ascending { "ASC" } else { "DESC" }
    }

    /// What remains once everything up to a place has been looked at.
    pub(super) const fn behind(self, seq: i64) -> Self {
        if self.ascending { Self { low: seq, ..self } } else { Self { high: seq, ..self } }
    }
}

/// A condition with its values.
pub(super) struct Condition {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Condition {
    fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    /// Adds a condition in which `?` stands for the value.
    pub(super) fn and(&mut self, sql: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        let number = format!("?{}", self.values.len());
        self.sql.push_str(" AND ");
        self.sql.push_str(&sql.replace('?', &number));
    }
}

impl Walk<'_> {
    /// What SQL can say about the rows that are wanted.
    pub(super) fn condition(&self, drive: &Drive) -> Condition {
        let filter = &self.search.filter;
        let mut condition = Condition::new(match drive {
            Drive::Application => "FROM event INDEXED BY event_application WHERE true",
            Drive::EventType => "FROM event INDEXED BY event_by_type WHERE true",
            Drive::Places | Drive::Listed(_) | Drive::Tables => "FROM event WHERE true",
        });
        if let Some(application) = self.scope.application {
            condition.and("application = ?", application.0);
        }
        if let [event_type] = &filter.event_types[..] {
            condition.and("event_type = ?", event_type.clone());
        } else if !filter.event_types.is_empty() {
            let types = serde_json::Value::from(filter.event_types.clone()).to_string();
            condition.and("event_type IN (SELECT value FROM json_each(?))", types);
        }
        if let Some(key) = filter.dedupe {
            condition.and("dedupe = ?", key.0.to_vec());
        }
        if let Some(disposition) = filter.disposition {
            condition.and("disposition = ?", disposition_column(disposition));
        }
        if let Some(since_ms) = filter.since_ms {
            condition.and("received_at_ms >= ?", since_ms);
        }
        if let Some(until_ms) = filter.until_ms {
            condition.and("received_at_ms < ?", until_ms);
        }
        // Whether it stands in the right list is decided when the row has been read.
        for label in [&filter.channel, &filter.tag].into_iter().flatten() {
            condition
                .and("instr(labels, ?) > 0", serde_json::Value::from(label.as_str()).to_string());
        }
        if filter.unverified == Some(true) {
            condition.and("instr(labels, ?) > 0", "\"unverified\"".to_owned());
        }
        if let Some(endpoint) = filter.endpoint {
            // Found at a wrong place it is found too much, which is seen when the row has been read.
            condition.and("(instr(planned, ?) > 0", endpoint.0.to_le_bytes().to_vec());
            condition.values.push(endpoint.0.into());
            let number = condition.values.len();
            condition.sql.push_str(&format!(
                " OR EXISTS(SELECT 1 FROM replay WHERE event_seq = seq AND replay.endpoint = ?{number}))"
            ));
        }
        condition
    }
}

/// The places that a segment's table names, in the order of the walk.
pub(super) fn named(
    connection: &Connection,
    state: DeliveryState,
    endpoint: Option<u32>,
    gap: Gap,
) -> rusqlite::Result<Vec<i64>> {
    let table = match (state, endpoint) {
        (DeliveryState::Pending, _) => "pending INDEXED BY pending_event",
        (_, Some(_)) => "failed INDEXED BY failed_endpoint",
        (_, None) => "failed",
    };
    let sql = |table: &str| {
        format!(
            "SELECT DISTINCT event_seq FROM {table}
             WHERE event_seq > ?1 AND event_seq < ?2 AND (?3 IS NULL OR endpoint = ?3)
             ORDER BY event_seq {} LIMIT {CHUNK}",
            gap.order()
        )
    };
    // A segment that is not sealed yet has one index less.
    let statement = connection.prepare_cached(&match endpoint {
        Some(_) => sql(table).replace("(?3 IS NULL OR endpoint = ?3)", "endpoint = ?3"),
        None => sql(table),
    });
    let mut statement = match statement {
        Ok(statement) => statement,
        Err(_) => connection.prepare_cached(&sql("failed"))?,
    };
    statement.query_map(rusqlite::params![gap.low, gap.high, endpoint], |row| row.get(0))?.collect()
}

/// The place at which so many rows have been looked at; `None` if there are fewer.
pub(super) fn window_edge(
    connection: &Connection,
    walk: &Walk<'_>,
    drive: &Drive,
    gap: Gap,
) -> rusqlite::Result<Option<i64>> {
    let mut condition = match drive {
        Drive::Application => Condition::new("FROM event INDEXED BY event_application WHERE true"),
        Drive::EventType => Condition::new("FROM event INDEXED BY event_by_type WHERE true"),
        Drive::Places | Drive::Listed(_) | Drive::Tables => Condition::new("FROM event WHERE true"),
    };
    match (drive, walk.scope.application, walk.search.filter.event_types.first()) {
        (Drive::Application, Some(application), _) => {
            condition.and("application = ?", application.0);
        }
        (Drive::EventType, _, Some(event_type)) => {
            condition.and("event_type = ?", event_type.clone());
        }
        _ => {}
    }
    condition.and("seq > ?", gap.low);
    condition.and("seq < ?", gap.high);
    let order = gap.order();
    let sql = format!("SELECT seq {} ORDER BY seq {order} LIMIT 1 OFFSET {WINDOW}", condition.sql);
    connection
        .prepare_cached(&sql)?
        .query_row(params_from_iter(&condition.values), |row| row.get(0))
        .optional()
}

pub(super) fn has_type_index(connection: &Connection) -> Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS(SELECT 1 FROM sqlite_schema WHERE name = 'event_by_type')")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(database("list events"))
}

pub(super) fn read(connection: &Connection, sql: &str, values: &[Value]) -> Result<Vec<Narrow>> {
    let failed = database("list events");
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    statement
        .query_map(params_from_iter(values), narrow)
        .and_then(Iterator::collect)
        .map_err(failed)
}

/// Whether a segment cannot hold what is looked for.
pub(super) fn passed_over(
    segment: &Segment,
    filter: &EventFilter,
    page: Page,
    scope: Scope,
) -> bool {
    let at = Ordering::Relaxed;
    page.before.is_some_and(|event| event.seq().0 <= segment.first)
        || page.after.is_some_and(|event| event.seq().0 >= segment.last.load(at))
        || filter.since_ms.is_some_and(|since_ms| segment.received_max_ms.load(at) < since_ms)
        || filter.until_ms.is_some_and(|until_ms| segment.received_min_ms.load(at) >= until_ms)
        || !segment.may_hold(scope.application.map(|key| key.0), &filter.event_types)
}
