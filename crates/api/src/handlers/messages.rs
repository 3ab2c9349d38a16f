//! Events as the specification's messages: lists, one by one, and whether anybody would take one.
//!
//! Invariants: a page holds no more than [`PAGE_BYTES_MAX`] of payload, whatever its limit says; it
//! is then short, and the iterator goes on behind it. An iterator with a leading `-` goes back
//! towards newer events.

use becket_model::{EventId, EventRecord, PlanTarget, plan_deliveries};
use becket_store::{EventFilter, EventRow, Scope};
use serde::{Deserialize, Serialize};

use crate::call::{Answer, Call, JsonBody, Listed};
use crate::problem::{ApiError, Result};
use crate::reach::{Reached, latest};
use crate::scan::{self, From};
use crate::times;
use crate::wire::specification::{EndpointMessageOut, MessageOut, StatusOut, TYPE_UNKNOWN};

/// How many bytes of packed requests one page reads.
pub(crate) const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The event filter of the specification's list parameters, and what the store cannot filter.
pub(crate) struct MessageFilter {
    pub store: EventFilter,
    types: Vec<String>,
}

impl MessageFilter {
    /// Reads `before`, `after`, `event_types`, `channel` and `tag`.
    pub fn read(call: &Call) -> Result<Self> {
        let types = call.list("event_types");
        let mut store = EventFilter {
            since_ms: call.time("after")?.map(|at_ms| at_ms.saturating_add(1)),
            until_ms: call.time("before")?,
            channel: call.text("channel").map(str::to_owned),
            tag: call.text("tag").map(str::to_owned),
            ..EventFilter::default()
        };
        if !types.iter().any(|name| name == TYPE_UNKNOWN) {
            store.event_types.clone_from(&types);
        }
        Ok(Self { store, types })
    }

    /// Whether an event has one of the types, which the store cannot say of `unknown`.
    pub fn keeps(&self, event: &EventRow) -> bool {
        let shown = event.event_type.as_deref().unwrap_or(TYPE_UNKNOWN);
        self.types.is_empty() || self.types.iter().any(|name| name == shown)
    }

    /// Whether an event that did not come from a filtered list matches type, channel and tag.
    pub fn keeps_labels(&self, event: &EventRow) -> bool {
        let has = |list: &[String], wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| list.contains(wanted))
        };
        self.keeps(event)
            && has(&event.labels.channels, &self.store.channel)
            && has(&event.labels.tags, &self.store.tag)
    }
}

/// Which page of a list of events is asked for.
pub(crate) struct EventPage {
    limit: usize,
    iterator: Option<EventId>,
    backwards: bool,
}

/// A page of events with their requests, newest first.
struct Found {
    rows: Vec<(EventRow, Option<EventRecord>)>,
    iterator: Option<String>,
    prev_iterator: Option<String>,
    done: bool,
}

impl EventPage {
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

    /// Reads the page; requests only if `with_records`.
    async fn find(
        self,
        call: &Call,
        scope: Scope,
        filter: &EventFilter,
        with_records: bool,
        keep: impl Fn(&EventRow) -> bool + Send + Sync,
    ) -> Result<Found> {
        let from = match self.iterator {
            Some(iterator) if self.backwards => From::After(iterator),
            iterator => From::Before(iterator),
        };
        let found = scan::collect(call.store(), scope, filter, from, self.limit, keep).await?;
        let (reached_end, last_seen) = (found.done, found.iterator());
        let (mut rows, whole) = read_records(call, scope, found.rows, with_records).await?;
        // Where the walk stopped, in its own direction.
        let last = match whole {
            true => last_seen,
            false => rows.last().map(|(row, _)| row.id.to_string()),
        };
        let end = reached_end && whole;
        if self.backwards {
            rows.reverse();
            let first = last.filter(|_| !end).map(|id| format!("-{id}"));
            let iterator = rows.last().map(|(row, _)| row.id.to_string());
            return Ok(Found { rows, iterator, prev_iterator: first, done: false });
        }
        let first = rows.first().filter(|_| self.iterator.is_some());
        let prev_iterator = first.map(|(row, _)| format!("-{}", row.id));
        Ok(Found { rows, iterator: last, prev_iterator, done: end })
    }
}

/// Reads requests for a page until it holds enough bytes; says whether all rows fit.
async fn read_records(
    call: &Call,
    scope: Scope,
    rows: Vec<EventRow>,
    with_records: bool,
) -> Result<(Vec<(EventRow, Option<EventRecord>)>, bool)> {
    let mut bytes = 0;
    let mut page = Vec::new();
    let all = rows.len();
    for row in rows {
        if bytes > PAGE_BYTES_MAX {
            break;
        }
        if !with_records {
            page.push((row, None));
            continue;
        }
        // Retention may have taken it since it was listed: then it is shown without its bytes.
        let record = call.store().event_record(scope, row.id).await?;
        bytes += record.as_ref().map_or(0, |record| record.packed().len());
        page.push((row, record));
    }
    let whole = page.len() == all;
    Ok((page, whole))
}

/// Whether requests have to be read for a page: a customer's events say everything in their labels.
fn needs_records(reached: &Reached, with_content: bool) -> bool {
    with_content || reached.app.application.kind == becket_model::ApplicationKind::Source
}

/// `GET /api/v1/app/{app_id}/msg`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<MessageOut>>> {
    let reached = Reached::of(&call).await?;
    let with_content = call.flag("with_content", true)?;
    let (page, filter) = (EventPage::read(&call)?, MessageFilter::read(&call)?);
    let records = needs_records(&reached, with_content);
    let keep = |event: &EventRow| filter.keeps(event);
    let found = page.find(&call, reached.scope(), &filter.store, records, keep).await?;
    let shown = |(row, record): &(EventRow, Option<EventRecord>)| {
        MessageOut::new(row, record.as_ref(), with_content)
    };
    Ok(Answer::ok(Listed {
        data: found.rows.iter().map(shown).collect(),
        iterator: found.iterator,
        prev_iterator: found.prev_iterator,
        done: found.done,
    }))
}

/// `GET /api/v1/app/{app_id}/msg/{msg_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<MessageOut>> {
    let reached = Reached::of(&call).await?;
    let with_content = call.flag("with_content", true)?;
    let row = reached.event(&call, call.path("msg_id")).await?;
    let record = call.store().event_record(reached.scope(), row.id).await?;
    Ok(Answer::ok(MessageOut::new(&row, record.as_ref(), with_content)))
}

/// A status as the specification counts them, from the query.
pub(crate) fn status_asked(call: &Call) -> Result<Option<u8>> {
    let status = call.number("status", 0, 4)?;
    Ok(status.and_then(|status| u8::try_from(status).ok()))
}

/// `GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/msg`
pub(crate) async fn list_attempted(call: Call) -> Result<Answer<Listed<EndpointMessageOut>>> {
    let mut reached = Reached::of(&call).await?;
    let endpoint = reached.endpoint(&call, call.path("endpoint_id")).await?.key;
    let with_content = call.flag("with_content", true)?;
    let expanded = call.flag("expanded_statuses", false)?;
    let status = status_asked(&call)?;
    let (page, mut filter) = (EventPage::read(&call)?, MessageFilter::read(&call)?);
    filter.store.endpoint = Some(endpoint);
    let delivery = |event: &EventRow| {
        let latest = latest(event).into_iter().find(|row| row.endpoint == endpoint)?;
        let shown = StatusOut::of_delivery(reached.shown_state(latest), latest);
        Some((shown.for_client(expanded), latest.due_ms.filter(|_| shown == StatusOut::PENDING)))
    };
    let keep = |event: &EventRow| {
        filter.keeps(event)
            && delivery(event)
                .is_some_and(|(shown, _)| status.is_none_or(|status| shown.status == status))
    };
    let records = needs_records(&reached, with_content);
    let found = page.find(&call, reached.scope(), &filter.store, records, keep).await?;
    let shown = |(row, record): &(EventRow, Option<EventRecord>)| {
        let (status, due_ms) = delivery(row)?;
        Some(EndpointMessageOut {
            message: MessageOut::new(row, record.as_ref(), with_content),
            status,
            next_attempt: due_ms.map(times::text),
        })
    };
    Ok(Answer::ok(Listed {
        data: found.rows.iter().filter_map(shown).collect(),
        iterator: found.iterator,
        prev_iterator: found.prev_iterator,
        done: found.done,
    }))
}

/// What an event would be (`MessagePrecheckIn`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrecheckIn {
    event_type: String,
    #[serde(default)]
    channels: Option<Vec<String>>,
}

/// Whether anybody would take it (`MessagePrecheckOut`).
#[derive(Debug, Serialize)]
pub(crate) struct PrecheckOut {
    active: bool,
}

/// `POST /api/v1/app/{app_id}/msg/precheck/active`
pub(crate) async fn precheck(
    call: Call,
    JsonBody(given): JsonBody<PrecheckIn>,
) -> Result<Answer<PrecheckOut>> {
    let reached = Reached::of(&call).await?;
    let targets: Vec<PlanTarget<'_>> = reached
        .app
        .endpoints
        .iter()
        .map(|endpoint| PlanTarget {
            key: endpoint.key,
            state: endpoint.state,
            settings: &endpoint.settings,
        })
        .collect();
    let channels = given.channels.unwrap_or_default();
    let active = plan_deliveries(Some(&given.event_type), &channels, targets).next().is_some();
    Ok(Answer::ok(PrecheckOut { active }))
}
