//! Events across sources, and the exact bytes of one.

use axum::response::{IntoResponse, Response};
use becket_model::{DeliveryState, EventId};
use becket_store::search::Search;
use becket_store::{EventFilter, EventRow, Scope};
use http::header;
use serde::Serialize;

use crate::call::{Answer, Call, Listed};
use crate::handlers::{disposition_asked, event_by_id, events_by_delivery_id, state_asked};
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::scan::{self, From, Scanned};
use crate::wire::becket::EventOut;
use crate::{search, times};

/// The filters that our event lists share.
pub(crate) struct Asked {
    pub scope: Scope,
    search: Search,
    state: Option<DeliveryState>,
}

impl Asked {
    /// Reads `source`, `application`, `endpoint`, `event_type`, `status`, `disposition`, `verdict`,
    /// `since`, `until`, `text` and `filter`.
    pub fn read(call: &Call, names: &Names) -> Result<Self> {
        let (source, application) = (call.text("source"), call.text("application"));
        if source.is_some() && application.is_some() {
            return Err(ApiError::query("application", "cannot be given together with `source`"));
        }
        let application = application.map(|name| names.application(name)).transpose()?;
        let mut scope = match application {
            Some(application) => Scope::of(call.owner, application.key),
            None => names.scope(call, source)?,
        };
        let endpoint = call
            .text("endpoint")
            .map(|name| match application {
                Some(application) => names.endpoint_in(application, name),
                None => names.endpoint(source, name),
            })
            .transpose()?;
        if let Some(endpoint) = endpoint {
            scope = Scope::of(call.owner, endpoint.application);
        }
        let state = state_asked(call, "status")?;
        let cancelled = state == Some(DeliveryState::Cancelled);
        let filter = EventFilter {
            event_types: call.list("event_type"),
            state: state.filter(|_| !cancelled),
            endpoint: endpoint.map(|endpoint| endpoint.key),
            disposition: disposition_asked(call)?,
            since_ms: call.time("since")?,
            until_ms: call.time("until")?,
            unverified: unverified_asked(call)?,
            ..EventFilter::default()
        };
        // What is shown as cancelled is kept as one of these.
        let among = match cancelled {
            true => vec![DeliveryState::Pending, DeliveryState::Failed],
            false => Vec::new(),
        };
        let search = Search { filter, among, record: search::asked(call)?, ..Search::default() };
        Ok(Self { scope, search, state })
    }

    /// What the store cannot filter: where the last delivery to the endpoint stands.
    pub fn keeps(&self, names: &Names, event: &EventRow) -> bool {
        self.state.is_none() || names.stands(event, self.search.filter.endpoint, self.state)
    }

    /// A page of what is asked for.
    pub async fn page(
        &self,
        call: &Call,
        names: &Names,
        from: From,
        limit: usize,
    ) -> Result<Scanned> {
        let _turn = match self.search.record {
            Some(_) => search::turn().await,
            None => None,
        };
        let keep = |event: &EventRow| self.keeps(names, event);
        scan::search_for(call.store(), self.scope, &self.search, from, limit, keep).await
    }
}

/// The verdict that a query asks for.
fn unverified_asked(call: &Call) -> Result<Option<bool>> {
    match call.text("verdict") {
        None => Ok(None),
        Some("genuine") => Ok(Some(false)),
        Some("unverified") => Ok(Some(true)),
        Some(text) => {
            Err(ApiError::query("verdict", format!("`{text}` is not genuine or unverified")))
        }
    }
}

/// A page of events.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventsOut {
    #[serde(flatten)]
    pub listed: Listed<EventOut>,
    /// How far it was looked, if there may be more.
    pub searched_to: Option<String>,
}

impl EventsOut {
    fn whole(data: Vec<EventOut>) -> Self {
        let last = data.last().map(|event| event.id.clone());
        Self { listed: Listed::new(data, last, true), searched_to: None }
    }
}

/// `GET /api/v1/becket/event`
pub(crate) async fn list(call: Call) -> Result<Answer<EventsOut>> {
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
        let filter = &asked.search.filter;
        let rows =
            events_by_delivery_id(&call, &names, asked.scope, delivery_id, filter, limit).await?;
        let kept = rows.iter().filter(|row| asked.keeps(&names, row));
        return Ok(Answer::ok(EventsOut::whole(
            kept.map(|row| EventOut::new(row, &names)).collect(),
        )));
    }
    if let Some(id) = call.parsed::<EventId>("id")? {
        let there = call.store().event_get(asked.scope, id).await?.is_some();
        // Of all events up to it the first one is looked at.
        let from = From::Before(Some(scan::just_above(id.seq())));
        let mut found = match there {
            true => asked.page(&call, &names, from, 1).await?.rows,
            false => Vec::new(),
        };
        found.retain(|row| row.id == id);
        let data = found.iter().map(|row| EventOut::new(row, &names)).collect();
        return Ok(Answer::ok(EventsOut::whole(data)));
    }
    let from = after.map_or(From::Before(iterator), From::After);
    let found = asked.page(&call, &names, from, limit).await?;
    let data = found.rows.iter().map(|row| EventOut::new(row, &names)).collect();
    let reached = found.last.filter(|_| !found.done);
    Ok(Answer::ok(EventsOut {
        searched_to: reached.map(|id| times::text(id.seq().at_ms())),
        listed: Listed::new(data, found.iterator(), found.done),
    }))
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
