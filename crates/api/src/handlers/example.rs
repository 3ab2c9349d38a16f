//! Sending an example of an event type to one endpoint, so that its owner sees what will come.

use becket_model::{Disposition, EndpointSettings, EventLabels};
use becket_store::EventRow;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::call::{Answer, Call, JsonBody};
use crate::posting::{self, Posted};
use crate::problem::{ApiError, Result};
use crate::reach::Reached;
use crate::tasks::check_takes;
use crate::wire::specification::MessageOut;

/// Which example (`EventExampleIn`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExampleIn {
    event_type: String,
    #[serde(default)]
    example_index: Option<usize>,
    /// What to send instead of an example.
    #[serde(default)]
    payload: Option<Map<String, Value>>,
}

/// `POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example`
pub(crate) async fn send(
    call: Call,
    JsonBody(given): JsonBody<ExampleIn>,
) -> Result<Answer<MessageOut>> {
    let mut reached = Reached::of(&call).await?;
    let mut endpoint = reached.endpoint(&call, call.path("endpoint_id")).await?;
    check_takes(&endpoint)?;
    let payload = payload(&call, &given).await?;
    let record = posting::record(None, posting::JSON, payload.to_string().as_bytes())?;
    // It goes to this endpoint whatever its filters say.
    endpoint.settings =
        EndpointSettings { event_types: None, channels: None, filter: None, ..endpoint.settings };
    let now_ms = call.now_ms();
    let posted = Posted {
        at_ms: now_ms,
        event_type: given.event_type.clone(),
        labels: EventLabels::default(),
        dedupe: None,
        record: record.clone(),
    };
    let accepted = call.shared.poster.post(reached.scope(), [&endpoint], posted).await?;
    call.audit("endpoint.example_sent", &endpoint.id);
    let row = EventRow {
        id: accepted.event(),
        application: reached.app.key(),
        received_at_ms: now_ms,
        event_type: Some(given.event_type),
        disposition: Disposition::Accepted,
        labels: EventLabels::default(),
        size_bytes: record.packed().len() as u64,
        deliveries: Vec::new(),
    };
    Ok(Answer(StatusCode::ACCEPTED, MessageOut::new(&row, Some(&record), true)))
}

/// The payload that is given, or an example of the event type's newest schema.
async fn payload(call: &Call, given: &ExampleIn) -> Result<Value> {
    let name = &given.event_type;
    if let Some(payload) = &given.payload {
        return Ok(Value::Object(payload.clone()));
    }
    let (types, now_ms) = (&call.shared.event_types, call.now_ms());
    let flags = call.access.role.feature_flags();
    let known = types
        .find(call.store(), call.owner, name, now_ms)
        .await?
        .filter(|known| known.body.shown_to(flags))
        .ok_or_else(|| ApiError::not_found("event type", name))?;
    let Some(schema) = known.body.newest_schema() else {
        let what = format!("the event type `{name}` has no schema to make an example from");
        return Err(ApiError::body("eventType", what).hint("give the event type a schema"));
    };
    let index = given.example_index.unwrap_or_default();
    becket_schema::example::of_schema(schema, index)
        .map_err(|error| ApiError::body("eventType", error.to_string()))
}
