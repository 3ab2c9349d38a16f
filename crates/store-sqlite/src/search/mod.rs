//! Walking events page by page, segment by segment, for as long as a call may take.
//!
//! Invariants: segments that cannot hold what is looked for are passed over; in the others a stretch of
//! rows at a time is looked at, by an index where there is one, so that the clock is looked at every few
//! milliseconds; where the walk stopped is told, and nothing before that was left out. Readers hold no
//! lock that a writer waits for, but for a moment that of the hot segment's deliveries.

mod sql;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use becket_model::{DeliveryState, EventId, EventSeq};
use becket_store::search::{Search, Searched, is_among};
use becket_store::{EventFilter, EventRow, Page, Result, Scope};
use rusqlite::Connection;

use crate::edit::{labels_from_column, read_record};
use crate::errors::database;
use crate::query::{COLUMNS, Narrow};
use crate::segment::Segment;
use crate::shared::Shared;
use sql::{Drive, Gap, has_type_index, named, passed_over, read, window_edge};

/// Rows that are read at once.
const CHUNK: usize = 256;
/// Rows that are looked at before the clock is.
const WINDOW: i64 = 4_000;

/// One walk.
struct Walk<'a> {
    scope: Scope,
    search: &'a Search,
    page: Page,
    end: Option<Instant>,
    seen: usize,
    found: Searched,
    stopped: bool,
}

impl Walk<'_> {
    fn is_full(&self) -> bool {
        self.found.rows.len() >= self.page.limit
    }

    /// Whether the time is over, or enough has been looked at.
    fn is_over(&self) -> bool {
        let many = self.search.rows_max > 0 && self.seen >= self.search.rows_max;
        many || self.end.is_some_and(|end| Instant::now() >= end)
    }

    fn reached(&mut self, seq: i64) {
        self.found.reached = Some(EventId::new(EventSeq(seq), [0; 12]));
    }
}

impl Shared {
    /// Lists events, however long it takes.
    pub(crate) fn events(
        &self,
        scope: Scope,
        filter: &EventFilter,
        page: Page,
    ) -> Result<Vec<EventRow>> {
        let search = Search { filter: filter.clone(), ..Search::default() };
        Ok(self.search_until(scope, &search, page, None)?.rows)
    }

    /// Looks for events until the time is over.
    pub(crate) fn event_search(
        &self,
        scope: Scope,
        search: &Search,
        page: Page,
    ) -> Result<Searched> {
        let end = Instant::now() + Duration::from_millis(search.budget_ms);
        self.search_until(scope, search, page, Some(end))
    }

    fn search_until(
        &self,
        scope: Scope,
        search: &Search,
        page: Page,
        end: Option<Instant>,
    ) -> Result<Searched> {
        let mut segments = self.segments.all();
        let ascending = page.after.is_some();
        if !ascending {
            segments.reverse();
        }
        let found = Searched::default();
        let mut walk = Walk { scope, search, page, end, seen: 0, found, stopped: false };
        for segment in segments {
            // Asked before looking: what is added meanwhile is behind the end of the walk.
            let last = segment.last.load(Ordering::Acquire);
            let complete = segment.first < self.hot_first.load(Ordering::Acquire);
            if walk.is_full() {
                return Ok(walk.found);
            }
            if !passed_over(&segment, &search.filter, page, scope) {
                self.walk(&segment, &mut walk)?;
                if walk.stopped {
                    return Ok(walk.found);
                }
            }
            // An iterator never goes back behind where it began.
            match (ascending, page.before, page.after) {
                (false, before, _) if before.is_none_or(|at| at.seq().0 > segment.first) => {
                    walk.reached(segment.first);
                }
                (true, _, after) if complete && after.is_none_or(|at| at.seq().0 < last) => {
                    walk.reached(last);
                }
                _ => {}
            }
        }
        walk.found.done = true;
        Ok(walk.found)
    }

    fn walk(&self, segment: &Arc<Segment>, walk: &mut Walk<'_>) -> Result<()> {
        let page = walk.page;
        let gap = Gap {
            low: page.after.map_or(i64::MIN, |event| event.seq().0),
            high: page.before.map_or(i64::MAX, |event| event.seq().0),
            ascending: page.after.is_some(),
        };
        self.segments.read(segment, |connection| {
            let drive = self.drive(connection, segment, walk)?;
            match &drive {
                Drive::Listed(list) => self.walk_listed(connection, walk, &drive, gap, list),
                Drive::Tables => self.walk_tables(connection, walk, &drive, gap),
                Drive::Places | Drive::Application | Drive::EventType => {
                    self.walk_windows(connection, walk, &drive, gap)
                }
            }
        })
    }

    /// Chooses how to go through a segment.
    fn drive(&self, connection: &Connection, segment: &Segment, walk: &Walk<'_>) -> Result<Drive> {
        let states = wanted_states(walk.search);
        if !states.is_empty() {
            if let Some(memory) = &*segment.memory.lock() {
                let endpoint = walk.search.filter.endpoint.map(|key| key.0);
                let of = |of: u32| endpoint.is_none_or(|wanted| wanted == of);
                let mut list: Vec<i64> = Vec::new();
                if states.contains(&DeliveryState::Pending) {
                    let keys = memory.pending.keys().filter(|(_, endpoint, _)| of(*endpoint));
                    list.extend(keys.map(|key| key.0));
                }
                if states.contains(&DeliveryState::Failed) {
                    let keys = memory.failed.iter().filter(|(_, endpoint, _)| of(*endpoint));
                    list.extend(keys.map(|key| key.0));
                }
                list.sort_unstable();
                list.dedup();
                return Ok(Drive::Listed(list));
            }
            let step: i64 = connection
                .query_row("SELECT step FROM progress", [], |row| row.get(0))
                .map_err(database("list events"))?;
            // Found at start and not taken over yet: its tables say nothing.
            return Ok(if step == 0 { Drive::Places } else { Drive::Tables });
        }
        if !segment.sealed.load(Ordering::Acquire) {
            return Ok(Drive::Places);
        }
        let application = walk.scope.application.map(|key| key.0);
        let event_type = match &walk.search.filter.event_types[..] {
            [one] if has_type_index(connection)? => Some(one.as_str()),
            _ => None,
        };
        let of_application = application.map(|key| segment.count_of(Some(key), None));
        let of_type = event_type.map(|one| segment.count_of(None, Some(one)));
        Ok(match (of_application, of_type) {
            (Some(of_application), Some(of_type)) if of_type < of_application => Drive::EventType,
            (Some(of_application), _)
                if of_application < segment.events.load(Ordering::Relaxed) =>
            {
                Drive::Application
            }
            (None, Some(_)) => Drive::EventType,
            _ => Drive::Places,
        })
    }

    /// A stretch of rows at a time.
    fn walk_windows(
        &self,
        connection: &Connection,
        walk: &mut Walk<'_>,
        drive: &Drive,
        mut gap: Gap,
    ) -> Result<()> {
        let failed = database("list events");
        // What is added from now on is not looked at, and not told as looked at.
        let newest: Option<i64> = connection
            .prepare_cached("SELECT max(seq) FROM event")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(failed)?;
        let Some(newest) = newest else { return Ok(()) };
        loop {
            let edge = window_edge(connection, walk, drive, gap).map_err(failed)?;
            let mut window = gap;
            match (edge, gap.ascending) {
                (Some(edge), true) => window.high = edge.saturating_add(1),
                (Some(edge), false) => window.low = edge.saturating_sub(1),
                (None, true) => window.high = gap.high.min(newest.saturating_add(1)),
                (None, false) => {}
            }
            self.walk_window(connection, walk, drive, window)?;
            if walk.stopped {
                return Ok(());
            }
            let Some(edge) = edge else {
                if gap.ascending && newest > gap.low {
                    walk.reached(newest);
                }
                return Ok(());
            };
            gap = gap.behind(edge);
            walk.reached(edge);
            walk.seen += 1;
            walk.stopped = walk.is_over();
            if walk.stopped {
                return Ok(());
            }
        }
    }

    fn walk_window(
        &self,
        connection: &Connection,
        walk: &mut Walk<'_>,
        drive: &Drive,
        mut gap: Gap,
    ) -> Result<()> {
        let mut condition = walk.condition(drive);
        condition.and("seq > ?", gap.low);
        let low_at = condition.values.len() - 1;
        condition.and("seq < ?", gap.high);
        let limit = CHUNK.min(walk.page.limit.saturating_mul(2).max(16));
        let sql = format!(
            "SELECT {COLUMNS} {} ORDER BY seq {} LIMIT {limit}",
            condition.sql,
            gap.order()
        );
        loop {
            condition.values[low_at] = gap.low.into();
            condition.values[low_at + 1] = gap.high.into();
            let rows = read(connection, &sql, &condition.values)?;
            let Some(last) = rows.last().map(|row| row.id.seq().0) else { return Ok(()) };
            let full = rows.len() < limit;
            self.judge_all(connection, walk, rows)?;
            if full || walk.stopped {
                return Ok(());
            }
            gap = gap.behind(last);
        }
    }

    /// Rows that were found otherwise.
    fn walk_listed(
        &self,
        connection: &Connection,
        walk: &mut Walk<'_>,
        drive: &Drive,
        gap: Gap,
        list: &[i64],
    ) -> Result<()> {
        let from = list.partition_point(|seq| *seq <= gap.low);
        let to = list.partition_point(|seq| *seq < gap.high);
        let mut list: Vec<i64> = list.get(from..to).unwrap_or_default().to_vec();
        if !gap.ascending {
            list.reverse();
        }
        for chunk in list.chunks(CHUNK) {
            self.walk_chunk(connection, walk, drive, gap, chunk)?;
            if walk.stopped {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Rows that the segment's tables name.
    fn walk_tables(
        &self,
        connection: &Connection,
        walk: &mut Walk<'_>,
        drive: &Drive,
        mut gap: Gap,
    ) -> Result<()> {
        let endpoint = walk.search.filter.endpoint.map(|key| key.0);
        loop {
            let mut chunk: Vec<i64> = Vec::new();
            for state in wanted_states(walk.search) {
                let named = named(connection, state, endpoint, gap);
                chunk.extend(named.map_err(database("list events"))?);
            }
            chunk.sort_unstable();
            chunk.dedup();
            if !gap.ascending {
                chunk.reverse();
            }
            chunk.truncate(CHUNK);
            let Some(last) = chunk.last().copied() else { return Ok(()) };
            self.walk_chunk(connection, walk, drive, gap, &chunk)?;
            if walk.stopped {
                return Ok(());
            }
            gap = gap.behind(last);
        }
    }

    fn walk_chunk(
        &self,
        connection: &Connection,
        walk: &mut Walk<'_>,
        drive: &Drive,
        gap: Gap,
        chunk: &[i64],
    ) -> Result<()> {
        let mut condition = walk.condition(drive);
        let listed = serde_json::to_string(chunk).unwrap_or_default();
        condition.and("seq IN (SELECT value FROM json_each(?))", listed);
        let sql = format!("SELECT {COLUMNS} {} ORDER BY seq {}", condition.sql, gap.order());
        let rows = read(connection, &sql, &condition.values)?;
        self.judge_all(connection, walk, rows)?;
        if !walk.stopped
            && let Some(last) = chunk.last()
        {
            walk.reached(*last);
            walk.stopped = walk.is_over();
        }
        Ok(())
    }

    fn judge_all(
        &self,
        connection: &Connection,
        walk: &mut Walk<'_>,
        rows: Vec<Narrow>,
    ) -> Result<()> {
        for row in rows {
            if walk.is_full() {
                walk.stopped = true;
                return Ok(());
            }
            let id = row.id;
            if let Some(event) = self.judge(connection, walk, row)? {
                walk.found.rows.push(event);
            }
            walk.found.reached = Some(id);
            walk.seen += 1;
            if walk.is_over() {
                walk.stopped = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The event of a row, if it is wanted.
    fn judge(
        &self,
        connection: &Connection,
        walk: &Walk<'_>,
        row: Narrow,
    ) -> Result<Option<EventRow>> {
        let filter = &walk.search.filter;
        if !self.in_scope(walk.scope, row.application.0) {
            return Ok(None);
        }
        if filter.channel.is_some() || filter.tag.is_some() || filter.unverified.is_some() {
            let labels = labels_from_column(row.labels.clone(), row.id.seq().0)?;
            let labelled = filter.channel.as_ref().is_none_or(|one| labels.channels.contains(one))
                && filter.tag.as_ref().is_none_or(|one| labels.tags.contains(one))
                && filter.unverified.is_none_or(|one| labels.unverified.is_some() == one);
            if !labelled {
                return Ok(None);
            }
        }
        let seq = row.id.seq().0;
        let event = self.complete(connection, row)?;
        let of_delivery = filter.state.is_none() && filter.endpoint.is_none()
            || event.deliveries.iter().any(|delivery| {
                filter.endpoint.is_none_or(|endpoint| delivery.endpoint == endpoint)
                    && filter.state.is_none_or(|state| delivery.state == state)
            });
        if !of_delivery || !is_among(&event, &walk.search.among) {
            return Ok(None);
        }
        if let Some(test) = &walk.search.record {
            let record = read_record(connection, seq)?;
            if !record.is_some_and(|record| test(&event, &record)) {
                return Ok(None);
            }
        }
        Ok(Some(event))
    }
}

/// The states of which a segment keeps account, if only events with one of them are wanted.
fn wanted_states(search: &Search) -> Vec<DeliveryState> {
    let kept =
        |state: &DeliveryState| matches!(state, DeliveryState::Pending | DeliveryState::Failed);
    match search.filter.state {
        Some(state) if kept(&state) => vec![state],
        None if !search.among.is_empty() && search.among.iter().all(kept) => search.among.clone(),
        _ => Vec::new(),
    }
}
