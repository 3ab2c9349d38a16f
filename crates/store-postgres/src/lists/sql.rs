//! What a walk asks: a window of rows with the conditions that SQL can judge.

use becket_model::DeliveryState;
use becket_store::search::Search;
use becket_store::{EventFilter, Scope};
use tokio_postgres::types::ToSql;

use crate::events::COLUMNS;
use crate::events::columns::{
    NEXT_FAILED, application_column, disposition_column, endpoint_column,
};
use crate::text;

/// The places that are still to be looked at: above `low` and below `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) ascending: bool,
}

impl Gap {
    pub(super) const fn order(self) -> &'static str {
        if self.ascending { "ASC" } else { "DESC" }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.low.saturating_add(1) >= self.high
    }

    /// What remains once everything up to a place has been looked at.
    pub(super) const fn behind(self, seq: i64) -> Self {
        if self.ascending { Self { low: seq, ..self } } else { Self { high: seq, ..self } }
    }
}

/// A statement with its values.
#[derive(Default)]
pub(super) struct Query {
    pub(super) sql: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Query {
    /// Adds SQL in which `?` stands for the value.
    fn with(&mut self, sql: &str, value: impl ToSql + Sync + Send + 'static) {
        self.values.push(Box::new(value));
        let number = format!("${}", self.values.len());
        self.sql.push_str(&sql.replace('?', &number));
    }

    /// The values, as a statement takes them.
    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
    }
}

/// How the rows are found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Drive<'a> {
    /// All of them, by place or by what has an index.
    Places,
    /// These and no others.
    Listed(&'a [i64]),
}

/// Looks at up to `window` rows of the gap and answers with those that match: at most `rows`, with 0
/// in front, and behind them one row with 1, the last place looked at, and the number of rows looked
/// at.
pub(super) fn window(
    scope: Scope,
    filter: &EventFilter,
    drive: Drive<'_>,
    gap: Gap,
    window: i64,
    rows: i64,
) -> Query {
    let mut query = Query::default();
    query.sql.push_str(&format!("WITH looked AS MATERIALIZED (SELECT {COLUMNS} FROM event WHERE "));
    query.with("seq > ?::bigint", gap.low);
    query.with(" AND seq < ?::bigint", gap.high);
    if let Drive::Listed(seqs) = drive {
        query.with(" AND seq = ANY(?::bigint[])", seqs.to_vec());
    }
    // What has an index stands where rows are counted; the rest is judged row by row.
    if let Some(application) = scope.application {
        // A key that no row can have.
        query.with(" AND application = ?", application_column(application).unwrap_or(-1));
    }
    if let Some(key) = filter.dedupe {
        query.with(" AND dedupe = ?", key.0.to_vec());
    }
    query.with(&format!(" ORDER BY seq {} LIMIT ?::bigint", gap.order()), window);
    let last = if gap.ascending { "max" } else { "min" };
    query.sql.push_str("), matching AS (SELECT 0::smallint AS what, * FROM looked WHERE true");
    conditions(&mut query, filter);
    query.with(&format!(" ORDER BY seq {} LIMIT ?::bigint)", gap.order()), rows);
    query.sql.push_str(&format!(
        " SELECT {COLUMNS}, what, 0::bigint FROM matching
         UNION ALL SELECT {last}(seq), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1::smallint,
             count(*) FROM looked"
    ));
    query
}

/// What SQL can say about a row, as further conditions.
fn conditions(query: &mut Query, filter: &EventFilter) {
    if !filter.event_types.is_empty() {
        let types: Vec<String> =
            filter.event_types.iter().map(|one| text::pack(one).into_owned()).collect();
        query.with(" AND event_type = ANY(?::text[])", types);
    }
    if let Some(disposition) = filter.disposition {
        query.with(" AND disposition = ?", disposition_column(disposition));
    }
    if let Some(since_ms) = filter.since_ms {
        query.with(" AND received_at_ms >= ?", since_ms);
    }
    if let Some(until_ms) = filter.until_ms {
        query.with(" AND received_at_ms < ?", until_ms);
    }
    // Whether it stands in the right list is decided when the row has been read.
    for label in [&filter.channel, &filter.tag].into_iter().flatten() {
        let needle = serde_json::Value::from(label.as_str()).to_string();
        query.with(" AND strpos(labels, ?::text) > 0", needle);
    }
    if filter.unverified == Some(true) {
        query.with(" AND strpos(labels, ?::text) > 0", "\"unverified\"");
    }
    if let Some(endpoint) = filter.endpoint {
        let endpoint = endpoint_column(endpoint).unwrap_or(-1);
        query.with(" AND (?::integer = ANY(planned)", endpoint);
        query.with(
            " OR EXISTS (SELECT FROM replay WHERE event_seq = seq AND endpoint = ?::integer))",
            endpoint,
        );
    }
}

/// Whether SQL leaves out rows of a window.
pub(super) fn has_conditions(filter: &EventFilter) -> bool {
    let plain = EventFilter { state: filter.state, dedupe: filter.dedupe, ..Default::default() };
    *filter != plain
}

/// The states of which there are tables, if only events with one of them are wanted.
pub(super) fn wanted_states(search: &Search) -> Vec<DeliveryState> {
    let kept =
        |state: &DeliveryState| matches!(state, DeliveryState::Pending | DeliveryState::Failed);
    match search.filter.state {
        Some(state) if kept(&state) => vec![state],
        None if !search.among.is_empty() && search.among.iter().all(kept) => search.among.clone(),
        _ => Vec::new(),
    }
}

/// The places of events with a delivery in one of these states.
pub(super) fn places(
    scope: Scope,
    filter: &EventFilter,
    states: &[DeliveryState],
    gap: Gap,
    rows: i64,
) -> Query {
    let mut query = Query::default();
    let mut between = "SELECT event_seq FROM (";
    for state in states {
        query.sql.push_str(between);
        between = " UNION ";
        let table = if *state == DeliveryState::Pending { "delivery" } else { "attempt" };
        let sql = format!("(SELECT DISTINCT event_seq FROM {table} WHERE event_seq > ?::bigint");
        query.with(&sql, gap.low);
        query.with(" AND event_seq < ?::bigint", gap.high);
        if *state == DeliveryState::Failed {
            // Written out, so that the planner knows the index by it.
            query.sql.push_str(&format!(" AND next_kind >= {NEXT_FAILED}"));
        }
        if let Some(endpoint) = filter.endpoint {
            query.with(" AND endpoint = ?", endpoint_column(endpoint).unwrap_or(-1));
        } else if let Some(application) = scope.application {
            query.with(
                " AND endpoint IN (SELECT key FROM endpoint WHERE application = ?)",
                application_column(application).unwrap_or(-1),
            );
        }
        query.with(&format!(" ORDER BY event_seq {} LIMIT ?::bigint)", gap.order()), rows);
    }
    query.with(&format!(") AS wanted ORDER BY 1 {} LIMIT ?::bigint", gap.order()), rows);
    query
}
