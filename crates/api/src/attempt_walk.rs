//! Lists of attempts: event by event, newest event first, and within an event newest attempt first,
//! because the store keeps attempts with their event.
//!
//! Invariants: an iterator is an attempt's id, or one that stands for the end of an event's list; a
//! leading `-` goes back towards what is newer. Nothing is left out and nothing comes twice. A call
//! reads the attempts of at most [`EVENTS_MAX`] events, so a page may be short and not the last.

use becket_model::{AttemptId, EventId, EventSeq};
use becket_store::{AttemptRow, EventFilter, EventRow, Scope};

use crate::call::{Call, Listed};
use crate::problem::{ApiError, Result};
use crate::scan::{self, From};

/// How many events one call reads attempts of.
const EVENTS_MAX: usize = 1_000;

/// Which page is asked for.
pub(crate) struct Walk {
    limit: usize,
    iterator: Option<AttemptId>,
    backwards: bool,
}

/// A page of attempts with their events.
pub(crate) struct Found {
    pub rows: Vec<(AttemptRow, EventRow)>,
    iterator: Option<String>,
    prev_iterator: Option<String>,
    done: bool,
}

impl Found {
    /// The answer, with what is shown of the rows.
    pub fn listed<T>(self, data: Vec<T>) -> Listed<T> {
        let Self { iterator, prev_iterator, done, .. } = self;
        Listed { data, iterator, prev_iterator, done }
    }
}

/// An attempt id that stands for the end of an event's list.
fn end_of(event: EventSeq) -> AttemptId {
    AttemptId::new(0, event, [0; 6])
}

impl Walk {
    /// Reads `limit` and `iterator`.
    pub fn read(call: &Call) -> Result<Self> {
        let text = call.text("iterator");
        let (text, backwards) = match text.and_then(|text| text.strip_prefix('-')) {
            Some(plain) => (Some(plain), true),
            None => (text, false),
        };
        let parse = |text: &str| {
            text.parse().map_err(|error: becket_model::IdError| {
                ApiError::query("iterator", error.to_string())
            })
        };
        Ok(Self { limit: call.limit()?, iterator: text.map(parse).transpose()?, backwards })
    }

    /// The attempts of an event in the walk's direction, behind the iterator.
    async fn behind(&self, call: &Call, scope: Scope, event: &EventRow) -> Result<Vec<AttemptRow>> {
        let mut rows = call.store().attempt_list(scope, event.id).await?;
        let own = self.iterator.filter(|id| id.event_seq() == event.id.seq());
        let at = own.and_then(|id| rows.iter().position(|row| row.id == id));
        if self.backwards {
            // An id that stands for the end of the list: everything is newer.
            if let Some(at) = at {
                rows.drain(..=at);
            }
            return Ok(rows);
        }
        if own.is_some() {
            rows.truncate(at.unwrap_or(0));
        }
        rows.reverse();
        Ok(rows)
    }

    /// Puts a page together; `next` is where the walk goes on, if it does.
    fn page(self, mut rows: Vec<(AttemptRow, EventRow)>, next: Option<AttemptId>) -> Found {
        if self.backwards {
            rows.reverse();
            let iterator = rows.last().map(|(row, _)| row.id.to_string());
            let prev_iterator = next.map(|id| format!("-{id}"));
            return Found { rows, iterator, prev_iterator, done: false };
        }
        let first = rows.first().filter(|_| self.iterator.is_some());
        let prev_iterator = first.map(|(row, _)| format!("-{}", row.id));
        let last = rows.last().map(|(row, _)| row.id);
        let iterator = next.or(last).or(self.iterator).map(|id| id.to_string());
        Found { rows, iterator, prev_iterator, done: next.is_none() }
    }

    /// The page among the attempts of one event.
    pub async fn of_event(
        self,
        call: &Call,
        scope: Scope,
        event: &EventRow,
        keeps: impl Fn(&AttemptRow) -> bool,
    ) -> Result<Found> {
        if self.iterator.is_some_and(|id| id.event_seq() != event.id.seq()) {
            return Err(ApiError::query("iterator", "belongs to another event"));
        }
        let mut rows = self.behind(call, scope, event).await?;
        rows.retain(keeps);
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(|row| row.id);
        let rows = rows.into_iter().map(|row| (row, event.clone())).collect();
        Ok(self.page(rows, next))
    }

    /// The page among the attempts of all events that match.
    pub async fn of_events(
        self,
        call: &Call,
        scope: Scope,
        filter: &EventFilter,
        keeps_event: impl Fn(&EventRow) -> bool + Send + Sync,
        keeps: impl Fn(&AttemptRow) -> bool,
    ) -> Result<Found> {
        let mut from = match self.iterator {
            Some(id) if self.backwards => {
                From::After(EventId::new(EventSeq(id.event_seq().0 - 1), [0xff; 12]))
            }
            // From the oldest on.
            None if self.backwards => From::After(scan::floor_of(0)),
            iterator => From::Before(iterator.map(|id| scan::just_above(id.event_seq()))),
        };
        // Behind an event that was gone through, in the direction of the walk.
        let passed = |event: EventId| match self.backwards {
            true => end_of(EventSeq(event.seq().0.saturating_add(1))),
            false => end_of(event.seq()),
        };
        let mut found: Vec<(AttemptRow, EventRow)> = Vec::new();
        let mut events = 0;
        loop {
            let page =
                scan::collect(call.store(), scope, filter, from, self.limit, &keeps_event).await?;
            for event in page.rows {
                for row in self.behind(call, scope, &event).await?.into_iter().filter(&keeps) {
                    if found.len() == self.limit {
                        let next = found.last().map(|(row, _)| row.id);
                        return Ok(self.page(found, next));
                    }
                    found.push((row, event.clone()));
                }
                events += 1;
            }
            if page.done {
                return Ok(self.page(found, None));
            }
            from = match (from, page.last) {
                (From::Before(_), last) => From::Before(last),
                (From::After(after), last) => From::After(last.unwrap_or(after)),
            };
            if events >= EVENTS_MAX || page.over {
                let next = page.last.map(passed);
                return Ok(self.page(found, next));
            }
        }
    }
}
