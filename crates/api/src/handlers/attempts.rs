//! Attempts: by event, by endpoint and one by one; where an event went; sending it again.
//!
//! Attempts of an endpoint are listed event by event, newest event first, and within an event newest
//! attempt first: the store keeps attempts with their event.

use becket_model::attempt_detail::{AttemptDetail, KeptBody};
use becket_model::{AttemptId, EndpointId, EndpointKey};
use becket_store::{AttemptRow, DeliveryRow, Endpoint, EventFilter, EventRow, Scope, Slice};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::attempt_walk::Walk;
use crate::call::{Answer, Call, Listed};
use crate::curl;
use crate::handlers::event_by_id;
use crate::handlers::messages::{MessageFilter, status_asked};
use crate::names::Names;
use crate::page::Asked;
use crate::problem::{ApiError, Result};
use crate::reach::{Reached, latest};
use crate::tasks::check_takes;
use crate::times;
use crate::wire::becket::AttemptOut as OurAttemptOut;
use crate::wire::specification::{
    AttemptOut, AttemptTexts, EndpointOut, MessageEndpointOut, MessageOut, StatusOut,
};

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
    reached: &Reached,
    row: &AttemptRow,
    with_content: bool,
    msg: Option<MessageOut>,
) -> Option<AttemptOut> {
    let endpoint = reached.endpoint_of(row.delivery.endpoint)?;
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

/// `GET /api/v1/app/{app_id}/attempt/msg/{msg_id}`
pub(crate) async fn list_by_message(call: Call) -> Result<Answer<Listed<AttemptOut>>> {
    let mut reached = Reached::of(&call).await?;
    let event = reached.event(&call, call.path("msg_id")).await?;
    let endpoint = match call.text("endpoint_id") {
        Some(name) => Some(reached.endpoint(&call, name).await?.key),
        None => None,
    };
    let filter = AttemptFilter::read(&call, endpoint)?;
    let with_content = call.flag("with_content", true)?;
    call.flag("expanded_statuses", false)?;
    let walk = Walk::read(&call)?;
    let matches = MessageFilter::read(&call)?.keeps_labels(&event);
    let keeps = |row: &AttemptRow| matches && filter.keeps(row);
    let found = walk.of_event(&call, reached.scope(), &event, keeps).await?;
    reached.know(&call, found.rows.iter().map(|(row, _)| row.delivery.endpoint)).await?;
    let data =
        found.rows.iter().filter_map(|(row, _)| shown(&reached, row, with_content, None)).collect();
    Ok(Answer::ok(found.listed(data)))
}

/// `GET /api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}`
pub(crate) async fn list_by_endpoint(call: Call) -> Result<Answer<Listed<AttemptOut>>> {
    let mut reached = Reached::of(&call).await?;
    let endpoint = reached.endpoint(&call, call.path("endpoint_id")).await?.key;
    let filter = AttemptFilter::read(&call, Some(endpoint))?;
    let (with_content, with_msg) =
        (call.flag("with_content", true)?, call.flag("with_msg", false)?);
    call.flag("expanded_statuses", false)?;
    let types = MessageFilter::read(&call)?;
    // `before` and `after` are about the attempt here, not about the event; what was received
    // later than `before` was tried later too.
    let events = EventFilter { endpoint: Some(endpoint), since_ms: None, ..types.store.clone() };
    let walk = Walk::read(&call)?;
    let (scope, keeps_event) = (reached.scope(), |event: &EventRow| types.keeps(event));
    let found = walk.of_events(&call, scope, &events, keeps_event, |row| filter.keeps(row)).await?;
    let data = found.rows.iter().filter_map(|(row, event)| {
        let msg = with_msg.then(|| MessageOut::new(event, None, false));
        shown(&reached, row, with_content, msg)
    });
    let data = data.collect();
    Ok(Answer::ok(found.listed(data)))
}

/// `GET /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<AttemptOut>> {
    let (mut reached, row) = attempt_in_path(&call).await?;
    call.flag("expanded_statuses", false)?;
    reached.know(&call, [row.delivery.endpoint]).await?;
    let missing = || ApiError::not_found("attempt", call.path("attempt_id"));
    shown(&reached, &row, true, None).map(Answer::ok).ok_or_else(missing)
}

/// The attempt that a path names, which has to be one of the event that it names.
async fn attempt_in_path(call: &Call) -> Result<(Reached, AttemptRow)> {
    let reached = Reached::of(call).await?;
    let event = reached.event(call, call.path("msg_id")).await?;
    let row = attempt_by_id(call, reached.scope(), call.path("attempt_id")).await?;
    if row.delivery.event != event.id {
        return Err(ApiError::not_found("attempt", call.path("attempt_id"))
            .hint("it belongs to another event"));
    }
    Ok((reached, row))
}

/// `DELETE /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content`
pub(crate) async fn expunge(call: Call) -> Result<StatusCode> {
    let (reached, row) = attempt_in_path(&call).await?;
    let mut kept = detail(&row);
    if let Some(response) = &mut kept.response {
        response.body = KeptBody::default();
    }
    let kept = serde_json::to_vec(&kept).map_err(|error| {
        ApiError::new("event_damaged", format!("attempt {} cannot be rewritten: {error}", row.id))
    })?;
    if !call.store().attempt_rewrite(reached.scope(), row.id, Bytes::from(kept)).await? {
        return Err(ApiError::not_found("attempt", call.path("attempt_id")));
    }
    call.audit("attempt.expunged", &row.id);
    Ok(StatusCode::NO_CONTENT)
}

async fn attempt_by_id(call: &Call, scope: Scope, text: &str) -> Result<AttemptRow> {
    let missing =
        || ApiError::not_found("attempt", text).hint("`becket attempts list` shows what is kept");
    let id: AttemptId = text.parse().map_err(|_| missing())?;
    call.store().attempt_get(scope, id).await?.ok_or_else(missing)
}

/// `GET /api/v1/app/{app_id}/msg/{msg_id}/endpoint`
pub(crate) async fn list_destinations(call: Call) -> Result<Answer<Listed<MessageEndpointOut>>> {
    let mut reached = Reached::of(&call).await?;
    let event = reached.event(&call, call.path("msg_id")).await?;
    let deliveries = latest(&event);
    reached.know(&call, deliveries.iter().map(|delivery| delivery.endpoint)).await?;
    let mut pairs: Vec<(&DeliveryRow, &Endpoint)> = deliveries
        .into_iter()
        .filter_map(|delivery| Some((delivery, reached.endpoint_of(delivery.endpoint)?)))
        .collect();
    pairs.sort_by_key(|(_, endpoint)| endpoint.id);
    let asked = Asked::read(&call, |text| text.parse::<EndpointId>().ok())?;
    let slice_of = |slice: Slice<EndpointId>| async move {
        if slice.descending {
            pairs.reverse();
        }
        let behind = |id: EndpointId| match (slice.after, slice.descending) {
            (None, _) => true,
            (Some(after), false) => id > after,
            (Some(after), true) => id < after,
        };
        pairs.retain(|(_, endpoint)| behind(endpoint.id));
        pairs.truncate(slice.limit);
        Ok(pairs)
    };
    let page = asked.page(slice_of, |(_, endpoint)| endpoint.id.to_string()).await?;
    let data = page.data.into_iter().map(|(delivery, endpoint)| {
        let status = StatusOut::of_delivery(reached.shown_state(delivery), delivery);
        MessageEndpointOut {
            endpoint: EndpointOut::new(endpoint),
            event_types: endpoint.settings.event_types.clone().filter(|types| !types.is_empty()),
            channels: endpoint.settings.channels.clone().filter(|names| !names.is_empty()),
            status,
            next_attempt: delivery.due_ms.filter(|_| status == StatusOut::PENDING).map(times::text),
        }
    });
    Ok(Answer::ok(Listed {
        data: data.collect(),
        iterator: page.iterator,
        prev_iterator: page.prev_iterator,
        done: page.done,
    }))
}

/// `POST /api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend`
pub(crate) async fn resend(call: Call) -> Result<Answer<Value>> {
    let mut reached = Reached::of(&call).await?;
    let event = reached.event(&call, call.path("msg_id")).await?;
    let endpoint = reached.endpoint(&call, call.path("endpoint_id")).await?;
    check_takes(&endpoint)?;
    let scope = reached.scope();
    let record = call.store().event_record(scope, event.id).await?;
    if record.is_some_and(|record| record.is_expunged()) {
        let what = format!("the payload of {} was removed", event.id);
        return Err(ApiError::new("nothing_to_replay", what));
    }
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
    let walk = Walk::read(&call)?;
    let found = match call.text("event") {
        Some(event) => {
            let event = event_by_id(&call, scope, event).await?;
            walk.of_event(&call, scope, &event, keeps).await?
        }
        None => walk.of_events(&call, scope, &filter, |_| true, keeps).await?,
    };
    let data = found.rows.iter().map(|(row, _)| OurAttemptOut::new(row, &names)).collect();
    Ok(Answer::ok(found.listed(data)))
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
    // A transformation may have sent something else, or nothing.
    let body = match detail.transformed.as_ref() {
        None => body,
        Some(_) if detail.request_headers.is_empty() => None,
        Some(made) => match &made.body {
            None => body,
            Some(KeptBody::Text(text)) if !made.truncated && curl::is_inline(text) => {
                Some(text.as_bytes())
            }
            // The line could only name a file that nobody has.
            Some(_) => None,
        },
    };
    let method = detail.method.as_deref().unwrap_or("POST");
    out.curl = body
        .filter(|_| detail.url.starts_with("http"))
        .map(|body| curl::line(method, &detail.url, &detail.request_headers, body, &file));
    out.detail = Some(detail);
    out
}
