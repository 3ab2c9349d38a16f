//! The filter of an endpoint: shown and set. What the operator's file declares is only shown.

use becket_filter::Filter;
use becket_model::EndpointSettings;
use becket_store::Endpoint;
use serde::Deserialize;
use serde_json::Value;

use crate::call::{Answer, Call, JsonBody};
use crate::handlers::endpoint_states::ours;
use crate::handlers::endpoints::{self, Happened};
use crate::names::Names;
use crate::problem::{ApiError, Place, Result};
use crate::turns;
use crate::wire::becket::EndpointFilterOut;

/// The filter that an endpoint is to have; null takes it away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterIn {
    filter: Option<Value>,
}

/// A filter as it was sent; the error names the clause that cannot be used.
pub(crate) fn checked(document: Value) -> Result<Filter> {
    Filter::from_document(document).map_err(|error| {
        let msg = error.to_string();
        let place = Place {
            loc: vec!["body".to_owned(), "filter".to_owned()],
            msg: msg.clone(),
            kind: error.code().to_owned(),
        };
        ApiError::body("filter", msg).at(vec![place])
    })
}

/// `GET /api/v1/becket/endpoint/{endpoint_id}/filter`
pub(crate) async fn get(call: Call) -> Result<Answer<EndpointFilterOut>> {
    let names = Names::load(&call).await?;
    Ok(Answer::ok(EndpointFilterOut::new(ours(&call, &names)?, &names)))
}

/// `PUT /api/v1/becket/endpoint/{endpoint_id}/filter`
pub(crate) async fn set(
    call: Call,
    JsonBody(body): JsonBody<FilterIn>,
) -> Result<Answer<EndpointFilterOut>> {
    let filter = body.filter.map(checked).transpose()?;
    let names = Names::load(&call).await?;
    // Two changes of settings at once would lose one of them.
    let _turn = call.shared.turns.take(ours(&call, &names)?.application).await;
    turns::again(|| async {
        let names = Names::load(&call).await?;
        let endpoint = ours(&call, &names)?;
        endpoints::check_changeable(endpoint)?;
        if endpoint.settings.filter == filter {
            return Ok(Answer::ok(EndpointFilterOut::new(endpoint, &names)));
        }
        let endpoint = replaced(&call, &names, endpoint, filter.clone()).await?;
        Ok(Answer::ok(EndpointFilterOut::new(&endpoint, &names)))
    })
    .await
}

async fn replaced(
    call: &Call,
    names: &Names,
    endpoint: &Endpoint,
    filter: Option<Filter>,
) -> Result<Endpoint> {
    let application = names
        .source_of(endpoint.application)
        .ok_or_else(|| ApiError::not_found("endpoint", &endpoint.name()))?;
    let settings = EndpointSettings { filter, ..endpoint.settings.clone() };
    let wanted = endpoint.edit(endpoint.uid.clone(), settings);
    let endpoint = endpoints::change(call, endpoint, wanted).await?;
    endpoints::told(call, application, &endpoint, Happened::FilterChanged).await;
    Ok(endpoint)
}
