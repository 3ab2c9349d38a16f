//! Events as the specification's messages.
//!
//! Invariants: a page holds no more than [`PAGE_BYTES_MAX`] of payload, whatever its limit says; it
//! is then short, and the iterator goes on behind it.

use becket_model::{EventId, EventRecord};
use becket_store::{EventFilter, EventRow, Scope};

use crate::call::{Answer, Call, Listed};
use crate::handlers::{event_by_id, events_by_delivery_id};
use crate::names::Names;
use crate::problem::{ApiError, Result};
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
    /// Reads `before`, `after` and `event_types`; `None` if nothing can match.
    pub fn read(call: &Call) -> Result<Option<Self>> {
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
        Ok(Some(Self { store, types }))
    }

    pub fn keeps(&self, event: &EventRow) -> bool {
        let shown = event.event_type.as_deref().unwrap_or(TYPE_UNKNOWN);
        self.types.is_empty() || self.types.iter().any(|name| name == shown)
    }
}

/// The application, which is a source, that a path names.
pub(crate) fn application<'n>(
    call: &Call,
    names: &'n Names,
) -> Result<(&'n becket_store::Application, Scope)> {
    let source = names.application(call.path("app_id"))?;
    if !call.access.sees(source.key) {
        return Err(ApiError::not_found("application", call.path("app_id")));
    }
    Ok((source, Scope::of(call.owner, source.key)))
}

/// The event that a path names, by id or by the sender's delivery id.
pub(crate) async fn message(call: &Call, names: &Names, scope: Scope) -> Result<EventRow> {
    let name = call.path("msg_id");
    if name.parse::<EventId>().is_ok() {
        return event_by_id(call, scope, name).await;
    }
    let filter = EventFilter::default();
    let found = events_by_delivery_id(call, names, scope, name, &filter, 1).await?;
    found.into_iter().next().ok_or_else(|| {
        ApiError::not_found("message", name).hint("give its id (`msg_…`) or its delivery id")
    })
}

/// Reads requests for a page until it holds enough bytes; says how many rows fit.
async fn with_records(
    call: &Call,
    scope: Scope,
    rows: Vec<EventRow>,
) -> Result<(Vec<(EventRow, Option<EventRecord>)>, bool)> {
    let mut bytes = 0;
    let mut page = Vec::new();
    let all = rows.len();
    for row in rows {
        if bytes > PAGE_BYTES_MAX {
            break;
        }
        // Retention may have taken it since it was listed: then it is shown without its bytes.
        let record = call.store().event_record(scope, row.id).await?;
        bytes += record.as_ref().map_or(0, |record| record.packed().len());
        page.push((row, record));
    }
    let whole = page.len() == all;
    Ok((page, whole))
}

/// `GET /api/v1/app/{app_id}/msg`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<MessageOut>>> {
    let names = Names::load(&call).await?;
    let (_, scope) = application(&call, &names)?;
    let with_content = call.flag("with_content", true)?;
    let limit = call.limit()?;
    let before: Option<EventId> = call.parsed("iterator")?;
    let Some(filter) = MessageFilter::read(&call)? else {
        return Ok(Answer::ok(Listed::new(Vec::new(), None, true)));
    };
    let store = call.store();
    let found = scan::collect(store, scope, &filter.store, From::Before(before), limit, |event| {
        filter.keeps(event)
    })
    .await?;
    let (done, iterator) = (found.done, found.iterator());
    let (page, whole) = with_records(&call, scope, found.rows).await?;
    let last = page.last().map(|(row, _)| row.id.to_string());
    let data = page
        .iter()
        .map(|(row, record)| MessageOut::new(row, record.as_ref(), with_content))
        .collect();
    Ok(Answer::ok(if whole {
        Listed::new(data, iterator, done)
    } else {
        Listed::new(data, last, false)
    }))
}

/// `GET /api/v1/app/{app_id}/msg/{msg_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<MessageOut>> {
    let names = Names::load(&call).await?;
    let (_, scope) = application(&call, &names)?;
    let with_content = call.flag("with_content", true)?;
    let row = message(&call, &names, scope).await?;
    let record = call.store().event_record(scope, row.id).await?;
    Ok(Answer::ok(MessageOut::new(&row, record.as_ref(), with_content)))
}

/// A status as the specification counts them, from the query.
pub(crate) fn status_asked(call: &Call) -> Result<Option<u8>> {
    let status = call.number("status", 0, 4)?;
    Ok(status.and_then(|status| u8::try_from(status).ok()))
}

/// `GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/msg`
pub(crate) async fn list_attempted(call: Call) -> Result<Answer<Listed<EndpointMessageOut>>> {
    let names = Names::load(&call).await?;
    let (source, scope) = application(&call, &names)?;
    let endpoint = names.endpoint_in(source, call.path("endpoint_id"))?.key;
    let with_content = call.flag("with_content", true)?;
    let expanded = call.flag("expanded_statuses", false)?;
    let status = status_asked(&call)?;
    let limit = call.limit()?;
    let before: Option<EventId> = call.parsed("iterator")?;
    let Some(mut filter) = MessageFilter::read(&call)? else {
        return Ok(Answer::ok(Listed::new(Vec::new(), None, true)));
    };
    filter.store.endpoint = Some(endpoint);
    let delivery = |event: &EventRow| {
        let latest = names.latest(event).into_iter().find(|row| row.endpoint == endpoint)?;
        let shown = StatusOut::of_delivery(&names, latest).for_client(expanded);
        Some((shown, latest.due_ms.filter(|_| shown == StatusOut::PENDING)))
    };
    let store = call.store();
    let found = scan::collect(store, scope, &filter.store, From::Before(before), limit, |event| {
        filter.keeps(event)
            && delivery(event)
                .is_some_and(|(shown, _)| status.is_none_or(|status| shown.status == status))
    })
    .await?;
    let (done, iterator) = (found.done, found.iterator());
    let (page, whole) = with_records(&call, scope, found.rows).await?;
    let last = page.last().map(|(row, _)| row.id.to_string());
    let data = page.iter().filter_map(|(row, record)| {
        let (status, due_ms) = delivery(row)?;
        Some(EndpointMessageOut {
            message: MessageOut::new(row, record.as_ref(), with_content),
            status,
            next_attempt: due_ms.map(times::text),
        })
    });
    let data = data.collect();
    Ok(Answer::ok(if whole {
        Listed::new(data, iterator, done)
    } else {
        Listed::new(data, last, false)
    }))
}
