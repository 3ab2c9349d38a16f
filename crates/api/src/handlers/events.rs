//! Events across sources, and the exact bytes of one.

use axum::response::{IntoResponse, Response};
use becket_model::{DeliveryState, EventId};
use becket_store::{EventFilter, EventRow, Scope};
use http::header;

use crate::call::{Answer, Call, Listed};
use crate::handlers::{disposition_asked, event_by_id, events_by_delivery_id, state_asked};
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::scan::{self, From};
use crate::wire::becket::EventOut;

/// The filters that our event lists share.
pub(crate) struct Asked {
    pub scope: Scope,
    pub filter: EventFilter,
    state: Option<DeliveryState>,
}

impl Asked {
    /// Reads `source`, `endpoint`, `event_type`, `status`, `disposition`, `since` and `until`.
    pub fn read(call: &Call, names: &Names) -> Result<Self> {
        let mut scope = names.scope(call, call.text("source"))?;
        let endpoint = call
            .text("endpoint")
            .map(|name| names.endpoint(call.text("source"), name))
            .transpose()?;
        if let Some(endpoint) = endpoint {
            scope = Scope::of(call.owner, endpoint.application);
        }
        let state = state_asked(call, "status")?;
        let filter = EventFilter {
            event_types: call.list("event_type"),
            // What is shown as cancelled is kept as pending.
            state: state.filter(|state| *state != DeliveryState::Cancelled),
            endpoint: endpoint.map(|endpoint| endpoint.key),
            disposition: disposition_asked(call)?,
            since_ms: call.time("since")?,
            until_ms: call.time("until")?,
            ..EventFilter::default()
        };
        Ok(Self { scope, filter, state })
    }

    /// What the store cannot filter: where the last delivery to the endpoint stands.
    pub fn keeps(&self, names: &Names, event: &EventRow) -> bool {
        self.state.is_none() || names.stands(event, self.filter.endpoint, self.state)
    }
}

/// `GET /api/v1/becket/event`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<EventOut>>> {
    let names = Names::load(&call).await?;
    let asked = Asked::read(&call, &names)?;
    let limit = call.limit()?;
    let iterator: Option<EventId> = call.parsed("iterator")?;
    let after: Option<EventId> = call.parsed("after")?;
    if iterator.is_some() && after.is_some() {
        return Err(ApiError::query("after", "cannot be given together with `iterator`")
            .hint("`iterator` goes back in time from the newest, `after` goes forward"));
    }
    if let Some(delivery_id) = call.text("delivery_id") {
        let filter = &asked.filter;
        let rows =
            events_by_delivery_id(&call, &names, asked.scope, delivery_id, filter, limit).await?;
        let data: Vec<_> = rows
            .iter()
            .filter(|row| asked.keeps(&names, row))
            .map(|row| EventOut::new(row, &names))
            .collect();
        let last = data.last().map(|event| event.id.clone());
        return Ok(Answer::ok(Listed::new(data, last, true)));
    }
    let from = after.map_or(From::Before(iterator), From::After);
    let keep = |event: &EventRow| asked.keeps(&names, event);
    let found = scan::collect(call.store(), asked.scope, &asked.filter, from, limit, keep).await?;
    let data = found.rows.iter().map(|row| EventOut::new(row, &names)).collect();
    Ok(Answer::ok(Listed::new(data, found.iterator(), found.done)))
}

/// `GET /api/v1/becket/event/{event_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<EventOut>> {
    let names = Names::load(&call).await?;
    let row = event_by_id(&call, call.scope(), call.path("event_id")).await?;
    Ok(Answer::ok(EventOut::new(&row, &names)))
}

/// `GET /api/v1/becket/event/{event_id}/body`
///
/// The bytes come as a download that no browser shows or runs, whatever the sender called them.
pub(crate) async fn body(call: Call) -> Result<Response> {
    let row = event_by_id(&call, call.scope(), call.path("event_id")).await?;
    let record = call
        .store()
        .event_record(call.scope(), row.id)
        .await?
        .ok_or_else(|| ApiError::not_found("event", &row.id.to_string()))?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.body\"", row.id)),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
    ];
    Ok((headers, record.body()).into_response())
}
