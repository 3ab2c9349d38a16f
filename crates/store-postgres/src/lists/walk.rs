//! The walk: through the days, window by window, until the page is full or the time is over.

use std::collections::HashMap;
use std::time::Instant;

use becket_model::{DeliveryState, EventId, EventRecord, EventSeq};
use becket_store::search::{Search, Searched, is_among};
use becket_store::{EventRow, Page, Result, Scope};

use super::sql::{self, Drive, Gap, has_conditions, places, wanted_states};
use crate::events::{self, Narrow, narrow, record_from_column};
use crate::partitions::{self, Day, first_of, places_between};
use crate::session::Session;
use crate::shared::Shared;

/// Rows that are read at once.
const CHUNK: usize = 256;
/// Rows that one statement looks at, at most.
const WINDOW: usize = 4_000;
/// Rows whose deliveries are read at once, if most of them may turn out not to be wanted.
const PART: usize = 64;
/// Bytes of requests that are read at once.
const PART_BYTES: u64 = 4 << 20;
/// So many days are looked at by one statement, at most.
const DAYS_MAX: usize = 32;

/// One walk.
struct Walk<'a> {
    shared: &'a Shared,
    session: &'a Session,
    operation: &'static str,
    scope: Scope,
    search: &'a Search,
    page: Page,
    end: Option<Instant>,
    seen: usize,
    found: Searched,
    stopped: bool,
}

/// Looks for events from the page's beginning on, until it is full or `end` has come.
pub(crate) async fn walk(
    shared: &Shared,
    operation: &'static str,
    scope: Scope,
    search: &Search,
    page: Page,
    end: Option<Instant>,
) -> Result<Searched> {
    let conn = shared.read(operation).await?;
    let mut days = partitions::days(&conn, operation).await?;
    let ascending = page.after.is_some();
    if ascending {
        days.reverse();
    }
    let times = places_between(search.filter.since_ms, search.filter.until_ms);
    let ahead = Gap {
        low: page.after.map_or(-1, |event| event.seq().0).max(times.start().saturating_sub(1)),
        high: page.before.map_or(i64::MAX, |event| event.seq().0),
        ascending,
    };
    let usual = Gap { high: ahead.high.min(times.end() + 1), ..ahead };
    // What lies far ahead may have been received at any time before.
    let (far, near): (Vec<Day>, Vec<Day>) = days.into_iter().partition(|day| day.far);
    let mut legs = [(far, ahead), (near, usual)];
    if ascending {
        legs.reverse();
    }
    let mut walk = Walk {
        shared,
        session: &conn,
        operation,
        scope,
        search,
        page,
        end,
        seen: 0,
        found: Searched::default(),
        stopped: false,
    };
    for (days, gap) in &legs {
        if !walk.leg(days, *gap).await? {
            return Ok(walk.found);
        }
    }
    walk.found.done = true;
    Ok(walk.found)
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

    /// Whether rows that SQL found may turn out not to be wanted.
    fn judges(&self) -> bool {
        let Search { filter, among, record, .. } = self.search;
        let labels = filter.channel.is_some() || filter.tag.is_some();
        let deliveries = filter.state.is_some() || filter.endpoint.is_some() || !among.is_empty();
        labels || deliveries || filter.unverified.is_some() || record.is_some()
    }

    /// Goes through these days; false if the walk is over.
    async fn leg(&mut self, days: &[Day], gap: Gap) -> Result<bool> {
        let (mut at, mut size) = (0, 1);
        while at < days.len() {
            if self.is_full() {
                return Ok(false);
            }
            let part = &days[at..days.len().min(at + size)];
            at += part.len();
            size = (size * 2).min(DAYS_MAX);
            let numbers = part.iter().map(|day| day.number);
            let (Some(low), Some(high)) = (numbers.clone().min(), numbers.max()) else { break };
            let within = Gap {
                low: gap.low.max(first_of(low) - 1),
                high: gap.high.min(first_of(high.saturating_add(1))),
                ..gap
            };
            if within.is_empty() {
                continue;
            }
            self.stretch(within).await?;
            if self.stopped {
                return Ok(false);
            }
            // Upwards more may be added to the last stretch.
            if !gap.ascending {
                self.reached(first_of(low).max(gap.low));
            }
        }
        Ok(true)
    }

    async fn stretch(&mut self, gap: Gap) -> Result<()> {
        let states = wanted_states(self.search);
        if states.is_empty() { self.windows(gap).await } else { self.listed(gap, &states).await }
    }

    /// Rows in the order of their places, a window at a time.
    async fn windows(&mut self, mut gap: Gap) -> Result<()> {
        let rows = match self.judges() {
            true => CHUNK,
            false => self.page.limit.saturating_add(1).clamp(16, CHUNK),
        };
        let window = if has_conditions(&self.search.filter) { WINDOW } else { rows };
        while !gap.is_empty() {
            let looked = self.look(gap, Drive::Places, window, rows).await?;
            let last = looked.rows.last().map(|row| row.id.seq().0);
            let whole = looked.rows.len() < rows;
            self.take(looked.rows).await?;
            if self.stopped {
                return Ok(());
            }
            let Some(edge) = looked.last else { return Ok(()) };
            let edge = if whole { edge } else { last.unwrap_or(edge) };
            self.reached(edge);
            self.seen += usize::from(whole);
            self.stopped = self.is_over();
            if self.stopped || (whole && looked.count < window) {
                return Ok(());
            }
            gap = gap.behind(edge);
        }
        Ok(())
    }

    /// Rows of events that are known to have a delivery in one of these states.
    async fn listed(&mut self, mut gap: Gap, states: &[DeliveryState]) -> Result<()> {
        let (scope, filter) = (self.scope, &self.search.filter);
        while !gap.is_empty() {
            let query = places(scope, filter, states, gap, CHUNK as i64);
            let rows = self.session.rows(self.operation, &query.sql, &query.parameters()).await?;
            let seqs: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            let (Some(low), Some(high)) = (seqs.iter().min(), seqs.iter().max()) else {
                return Ok(());
            };
            let within = Gap { low: low - 1, high: high + 1, ..gap };
            let looked = self.look(within, Drive::Listed(&seqs), CHUNK, CHUNK).await?;
            self.take(looked.rows).await?;
            if self.stopped {
                return Ok(());
            }
            let edge = if gap.ascending { *high } else { *low };
            self.reached(edge);
            self.seen += 1;
            self.stopped = self.is_over();
            if self.stopped || seqs.len() < CHUNK {
                return Ok(());
            }
            gap = gap.behind(edge);
        }
        Ok(())
    }

    /// Asks for a window of rows.
    async fn look(&self, gap: Gap, drive: Drive<'_>, window: usize, rows: usize) -> Result<Looked> {
        let filter = &self.search.filter;
        let query = sql::window(self.scope, filter, drive, gap, window as i64, rows as i64);
        let mut looked = Looked { rows: Vec::new(), last: None, count: 0 };
        for row in self.session.rows(self.operation, &query.sql, &query.parameters()).await? {
            if row.get::<_, i16>(9) == 0 {
                looked.rows.push(narrow(&row)?);
            } else {
                looked.last = row.get(0);
                looked.count = usize::try_from(row.get::<_, i64>(10)).unwrap_or(usize::MAX);
            }
        }
        looked.rows.sort_unstable_by_key(|row| row.id.seq().0);
        if !gap.ascending {
            looked.rows.reverse();
        }
        Ok(looked)
    }

    /// Judges rows in their order, until the walk is over.
    async fn take(&mut self, rows: Vec<Narrow>) -> Result<()> {
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            if self.is_full() {
                self.stopped = true;
                return Ok(());
            }
            let wanted = self.page.limit - self.found.rows.len();
            let most = if self.judges() { PART } else { wanted };
            let (mut part, mut bytes) = (Vec::new(), 0);
            while part.len() < most
                && let Some(row) =
                    rows.next_if(|row| bytes == 0 || bytes + row.size_bytes <= PART_BYTES)
            {
                bytes += if self.search.record.is_some() { row.size_bytes } else { 0 };
                part.push(row);
            }
            self.take_part(part).await?;
            if self.stopped {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn take_part(&mut self, part: Vec<Narrow>) -> Result<()> {
        let (mut ids, mut candidates) = (Vec::with_capacity(part.len()), Vec::new());
        for row in part {
            ids.push(row.id);
            if self.is_labelled(&row) && self.shared.in_scope(self.scope, row.application).await? {
                candidates.push(row);
            }
        }
        let mut rows = events::complete(self.session, self.operation, candidates).await?;
        rows.retain(|row| self.is_delivered_so(row));
        let records = self.records(&rows).await?;
        let mut rows = rows.into_iter().peekable();
        for id in ids {
            if self.is_full() {
                self.stopped = true;
                return Ok(());
            }
            if let Some(row) = rows.next_if(|row| row.id == id) {
                let fits = self.search.record.as_ref().is_none_or(|test| {
                    records.get(&id.seq().0).is_some_and(|record| test(&row, record))
                });
                if fits {
                    self.found.rows.push(row);
                }
            }
            self.found.reached = Some(id);
            self.seen += 1;
            if self.is_over() {
                self.stopped = true;
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_labelled(&self, row: &Narrow) -> bool {
        let filter = &self.search.filter;
        filter.channel.as_ref().is_none_or(|one| row.labels.channels.contains(one))
            && filter.tag.as_ref().is_none_or(|one| row.labels.tags.contains(one))
            && filter.unverified.is_none_or(|one| row.labels.unverified.is_some() == one)
    }

    fn is_delivered_so(&self, row: &EventRow) -> bool {
        let filter = &self.search.filter;
        let one = filter.state.is_none() && filter.endpoint.is_none()
            || row.deliveries.iter().any(|delivery| {
                filter.endpoint.is_none_or(|endpoint| delivery.endpoint == endpoint)
                    && filter.state.is_none_or(|state| delivery.state == state)
            });
        one && is_among(row, &self.search.among)
    }

    /// The requests of these events, if they are judged.
    async fn records(&self, rows: &[EventRow]) -> Result<HashMap<i64, EventRecord>> {
        let mut records = HashMap::new();
        let seqs: Vec<i64> = rows.iter().map(|row| row.id.seq().0).collect();
        let (Some(low), Some(high)) = (seqs.iter().min(), seqs.iter().max()) else {
            return Ok(records);
        };
        if self.search.record.is_none() {
            return Ok(records);
        }
        let sql = "SELECT seq, record FROM event
            WHERE seq = ANY($1::bigint[]) AND seq BETWEEN $2::bigint AND $3::bigint";
        for row in self.session.rows(self.operation, sql, &[&seqs, low, high]).await? {
            let seq = row.get(0);
            records.insert(seq, record_from_column(row.get(1), seq)?);
        }
        Ok(records)
    }
}

/// What a window showed.
struct Looked {
    /// The rows that match.
    rows: Vec<Narrow>,
    /// The last place that was looked at.
    last: Option<i64>,
    /// How many rows were looked at.
    count: usize,
}
