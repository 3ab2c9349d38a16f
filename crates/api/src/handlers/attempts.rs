//! Attempts: by event, by endpoint and one by one; where an event went; sending it again.
//!
//! Attempts of an endpoint are listed event by event, newest event first, and within an event newest
//! attempt first: the store keeps attempts with their event.

use becket_model::attempt_detail::{AttemptDetail, KeptBody};
use becket_model::{AttemptId, EndpointKey, EventSeq};
use becket_store::{AttemptRow, EventFilter, EventRow, Scope};
use http::StatusCode;
use serde_json::{Value, json};

use crate::call::{Answer, Call, Listed};
use crate::curl;
use crate::handlers::event_by_id;
use crate::handlers::messages::{MessageFilter, application, message, status_asked};
use crate::handlers::sources::page_of;
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::replay;
use crate::scan::{self, From};
use crate::times;
use crate::wire::becket::AttemptOut as OurAttemptOut;
use crate::wire::specification::{
    AttemptOut, AttemptTexts, EndpointOut, MessageEndpointOut, MessageOut, StatusOut,
};

/// How many events one call reads attempts of.
const EVENTS_MAX: usize = 1_000;

/// The filters that the specification has for attempts.
struct AttemptFilter {
    status: Option<u8>,
    class: Option<u64>,
    endpoint: Option<EndpointKey>,
    after_ms: Option<i64>,
    before_ms: Option<i64>,
}

impl AttemptFilter {
    fn read(call: &Call, endpoint: Option<EndpointKey>) -> Result<Self> {
        let class = call.number("status_code_class", 0, 500)?;
        if class.is_some_and(|class| class % 100 != 0) {
            return Err(ApiError::query("status_code_class", "is 0, 100, 200, 300, 400 or 500"));
        }
        Ok(Self {
            status: status_asked(call)?,
            class,
            endpoint,
            after_ms: call.time("after")?,
            before_ms: call.time("before")?,
        })
    }

    fn keeps(&self, row: &AttemptRow) -> bool {
        let class = u64::from(row.attempt.status.unwrap_or(0) / 100 * 100);
        let at_ms = row.attempt.started_at_ms;
        self.status.is_none_or(|status| StatusOut::of_attempt(row).status == status)
            && self.class.is_none_or(|wanted| wanted == class)
            && self.endpoint.is_none_or(|endpoint| row.delivery.endpoint == endpoint)
            && self.after_ms.is_none_or(|after_ms| at_ms > after_ms)
            && self.before_ms.is_none_or(|before_ms| at_ms < before_ms)
    }
}

/// An attempt's details; attempts whose details cannot be read are shown without them.
fn detail(row: &AttemptRow) -> AttemptDetail {
    serde_json::from_slice(&row.attempt.detail).unwrap_or_else(|error| {
        tracing::warn!(attempt = %row.id, %error, "attempt.detail_unreadable");
        AttemptDetail::default()
    })
}

fn shown(
    names: &Names,
    row: &AttemptRow,
    with_content: bool,
    msg: Option<MessageOut>,
) -> Option<AttemptOut> {
    let endpoint = names.endpoint_of(row.delivery.endpoint)?;
    let detail = detail(row);
    let response = match (detail.response, detail.error) {
        _ if !with_content => String::new(),
        (Some(response), _) => match response.body {
            KeptBody::Text(text) | KeptBody::Base64(text) => text,
        },
        (None, error) => error.unwrap_or_default(),
    };
    let url = if detail.url.is_empty() { endpoint.settings.url.clone() } else { detail.url };
    Some(AttemptOut::new(row, endpoint.id.to_string(), AttemptTexts { url, response }, msg))
}

/// The attempts of an event, newest first, behind `iterator`.
async fn behind(
    call: &Call,
    scope: Scope,
    event: &EventRow,
    iterator: Option<AttemptId>,
) -> Result<Vec<AttemptRow>> {
    let mut rows = call.store().attempt_list(scope, event.id).await?;
    rows.reverse();
    if let Some(iterator) = iterator.filter(|id| id.event_seq() == event.id.seq()) {
        // An id that stands for the end of an event is in no list: everything is before it.
        let at = rows.iter().position(|row| row.id == iterator);
        rows.drain(..at.map_or(rows.len(), |at| at + 1));
    }
    Ok(rows)
}

/// Attempts of events that match, newest first, up to `limit`.
async fn walk(
    call: &Call,
    scope: Scope,
    filter: &EventFilter,
    limit: usize,
    keeps_event: impl Fn(&EventRow) -> bool + Send + Sync,
    keeps: impl Fn(&AttemptRow) -> bool,
) -> Result<(Vec<(AttemptRow, EventRow)>, Option<String>, bool)> {
    let mut iterator: Option<AttemptId> = call.parsed("iterator")?;
    let mut before = iterator.map(|id| scan::just_above(id.event_seq()));
    let mut found = Vec::new();
    let mut events = 0;
    loop {
        let page =
            scan::collect(call.store(), scope, filter, From::Before(before), limit, &keeps_event)
                .await?;
        for event in page.rows {
            let rows = behind(call, scope, &event, iterator).await?;
            for row in rows.into_iter().filter(&keeps) {
                if found.len() == limit {
                    return Ok((found, iterator.map(|id| id.to_string()), false));
                }
                iterator = Some(row.id);
                found.push((row, event.clone()));
            }
            if found.len() < limit {
                iterator = Some(end_of(event.id.seq()));
            }
            events += 1;
        }
        if page.done {
            return Ok((found, iterator.map(|id| id.to_string()), true));
        }
        before = page.last;
        if events >= EVENTS_MAX || page.seen >= scan::ROWS_MAX {
            let last = page.last.map(|id| end_of(id.seq()));
            return Ok((found, last.or(iterator).map(|id| id.to_string()), false));
        }
    }
}

/// An attempt id that stands for the end of an event's list.
fn end_of(event: EventSeq) -> AttemptId {
    AttemptId::new(0, event, [0; 6])
}

/// `GET /api/v1/app/{app_id}/attempt/msg/{msg_id}`
pub(crate) async fn list_by_message(call: Call) -> Result<Answer<Listed<AttemptOut>>> {
    let names = Names::load(&call).await?;
    let (source, scope) = application(&call, &names)?;
    let event = message(&call, &names, scope).await?;
    let endpoint =
        call.text("endpoint_id").map(|name| names.endpoint_in(source, name)).transpose()?;
    let filter = AttemptFilter::read(&call, endpoint.map(|endpoint| endpoint.key))?;
    let (with_content, limit) = (call.flag("with_content", true)?, call.limit()?);
    call.flag("expanded_statuses", false)?;
    let iterator: Option<AttemptId> = call.parsed("iterator")?;
    if iterator.is_some_and(|id| id.event_seq() != event.id.seq()) {
        return Err(ApiError::query("iterator", "belongs to another event"));
    }
    let matches = MessageFilter::read(&call)?.is_some_and(|filter| filter.keeps(&event));
    let mut rows = behind(&call, scope, &event, iterator).await?;
    rows.retain(|row| matches && filter.keeps(row));
    let done = rows.len() <= limit;
    rows.truncate(limit);
    let last = rows.last().map(|row| row.id.to_string());
    let data = rows.iter().filter_map(|row| shown(&names, row, with_content, None)).collect();
    Ok(Answer::ok(Listed::new(data, last, done)))
}

/// `GET /api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}`
pub(crate) async fn list_by_endpoint(call: Call) -> Result<Answer<Listed<AttemptOut>>> {
    let names = Names::load(&call).await?;
    let (source, scope) = application(&call, &names)?;
    let endpoint = names.endpoint_in(source, call.path("endpoint_id"))?.key;
    let filter = AttemptFilter::read(&call, Some(endpoint))?;
    let (with_content, with_msg) =
        (call.flag("with_content", true)?, call.flag("with_msg", false)?);
    call.flag("expanded_statuses", false)?;
    let limit = call.limit()?;
    let Some(types) = MessageFilter::read(&call)? else {
        return Ok(Answer::ok(Listed::new(Vec::new(), None, true)));
    };
    // `before` and `after` are about the attempt here, not about the event.
    let events = EventFilter {
        endpoint: Some(endpoint),
        since_ms: None,
        until_ms: None,
        ..types.store.clone()
    };
    let (found, iterator, done) =
        walk(&call, scope, &events, limit, |event| types.keeps(event), |row| filter.keeps(row))
            .await?;
    let data = found.iter().filter_map(|(row, event)| {
        let msg = with_msg.then(|| MessageOut::new(event, None, false));
        shown(&names, row, with_content, msg)
    });
    Ok(Answer::ok(Listed::new(data.collect(), iterator, done)))
}

/// `GET /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<AttemptOut>> {
    let names = Names::load(&call).await?;
    let (_, scope) = application(&call, &names)?;
    let event = message(&call, &names, scope).await?;
    call.flag("expanded_statuses", false)?;
    let row = attempt_by_id(&call, scope, call.path("attempt_id")).await?;
    let missing = || ApiError::not_found("attempt", call.path("attempt_id"));
    if row.delivery.event != event.id {
        return Err(missing().hint("it belongs to another event"));
    }
    shown(&names, &row, true, None).map(Answer::ok).ok_or_else(missing)
}

async fn attempt_by_id(call: &Call, scope: Scope, text: &str) -> Result<AttemptRow> {
    let missing =
        || ApiError::not_found("attempt", text).hint("`becket attempts list` shows what is kept");
    let id: AttemptId = text.parse().map_err(|_| missing())?;
    call.store().attempt_get(scope, id).await?.ok_or_else(missing)
}

/// `GET /api/v1/app/{app_id}/msg/{msg_id}/endpoint`
pub(crate) async fn list_destinations(call: Call) -> Result<Answer<Listed<MessageEndpointOut>>> {
    let names = Names::load(&call).await?;
    let (_, scope) = application(&call, &names)?;
    let event = message(&call, &names, scope).await?;
    let pairs: Vec<_> = names
        .latest(&event)
        .into_iter()
        .filter_map(|delivery| Some((delivery, names.endpoint_of(delivery.endpoint)?)))
        .collect();
    let page = page_of(&call, pairs.iter().collect(), |(_, endpoint)| endpoint.id.to_string())?;
    let data = page.data.into_iter().map(|(delivery, endpoint)| {
        let status = StatusOut::of_delivery(&names, delivery);
        MessageEndpointOut {
            endpoint: EndpointOut::new(endpoint),
            event_types: endpoint.settings.event_types.clone().filter(|types| !types.is_empty()),
            status,
            next_attempt: delivery.due_ms.filter(|_| status == StatusOut::PENDING).map(times::text),
        }
    });
    Ok(Answer::ok(Listed::new(data.collect(), page.iterator, page.done)))
}

/// `POST /api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend`
pub(crate) async fn resend(call: Call) -> Result<Answer<Value>> {
    let names = Names::load(&call).await?;
    let (source, scope) = application(&call, &names)?;
    let event = message(&call, &names, scope).await?;
    let endpoint = names.endpoint_in(source, call.path("endpoint_id"))?;
    replay::check_takes(&names, endpoint)?;
    let replayed =
        call.store().delivery_replay(scope, event.id, vec![endpoint.key], call.now_ms()).await?;
    if replayed.is_none() {
        return Err(ApiError::not_found("event", &event.id.to_string()));
    }
    call.audit("event.replayed", &event.id);
    call.shared.api.control.wake(endpoint.key).await;
    Ok(Answer(StatusCode::ACCEPTED, json!({})))
}

/// `GET /api/v1/becket/attempt`
pub(crate) async fn list_ours(call: Call) -> Result<Answer<Listed<OurAttemptOut>>> {
    let names = Names::load(&call).await?;
    let mut scope = names.scope(&call, call.text("source"))?;
    let endpoint =
        call.text("endpoint").map(|name| names.endpoint(call.text("source"), name)).transpose()?;
    if let Some(endpoint) = endpoint {
        scope = Scope::of(call.owner, endpoint.application);
    }
    let outcome = match call.text("outcome") {
        None => None,
        Some("succeeded") => Some(true),
        Some("failed") => Some(false),
        Some(other) => {
            let what = format!("`{other}` is not succeeded or failed");
            return Err(ApiError::query("outcome", what));
        }
    };
    let limit = call.limit()?;
    let filter = EventFilter {
        endpoint: endpoint.map(|endpoint| endpoint.key),
        since_ms: call.time("since")?,
        until_ms: call.time("until")?,
        event_types: call.list("event_type"),
        ..EventFilter::default()
    };
    let keeps = |row: &AttemptRow| {
        let succeeded = StatusOut::of_attempt(row) == StatusOut::SUCCESS;
        endpoint.is_none_or(|endpoint| endpoint.key == row.delivery.endpoint)
            && outcome.is_none_or(|wanted| wanted == succeeded)
    };
    if let Some(event) = call.text("event") {
        let event = event_by_id(&call, scope, event).await?;
        let mut rows = behind(&call, scope, &event, call.parsed("iterator")?).await?;
        rows.retain(keeps);
        let done = rows.len() <= limit;
        rows.truncate(limit);
        let last = rows.last().map(|row| row.id.to_string());
        let data = rows.iter().map(|row| OurAttemptOut::new(row, &names)).collect();
        return Ok(Answer::ok(Listed::new(data, last, done)));
    }
    let (found, iterator, done) = walk(&call, scope, &filter, limit, |_| true, keeps).await?;
    let data = found.iter().map(|(row, _)| OurAttemptOut::new(row, &names)).collect();
    Ok(Answer::ok(Listed::new(data, iterator, done)))
}

/// `GET /api/v1/becket/attempt/{attempt_id}`
pub(crate) async fn get_ours(call: Call) -> Result<Answer<OurAttemptOut>> {
    let names = Names::load(&call).await?;
    let row = attempt_by_id(&call, call.scope(), call.path("attempt_id")).await?;
    let record = call.store().event_record(call.scope(), row.delivery.event).await?;
    let body = record.map(|record| record.body());
    Ok(Answer::ok(with_detail(&names, &row, body.as_deref())))
}

/// An attempt with its details and, if the body is still kept, the line that makes it again.
pub(crate) fn with_detail(names: &Names, row: &AttemptRow, body: Option<&[u8]>) -> OurAttemptOut {
    let detail = detail(row);
    let mut out = OurAttemptOut::new(row, names);
    let file = format!("{}.body", row.delivery.event);
    out.curl = body
        .filter(|_| !detail.url.is_empty())
        .map(|body| curl::line("POST", &detail.url, &detail.request_headers, body, &file));
    out.detail = Some(detail);
    out
}
