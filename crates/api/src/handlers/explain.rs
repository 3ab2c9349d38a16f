//! The life of an event: bytes in, verdict, repeats, filters, and every attempt.

use std::sync::Arc;

use becket_filter::Subject;
use becket_model::{Disposition, EndpointState, EventRecord};
use becket_store::{Endpoint, EventRow, Scope};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::call::{Answer, Call};
use crate::handlers::attempts::with_detail;
use crate::handlers::event_by_id;
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::times;
use crate::wire::becket::{DedupeOut, EventOut, ExplainOut, PlanOut, RequestOut, VerdictOut};

const DUPLICATES_MAX: usize = 50;
/// How many requests are explained at the same time.
static EXPLAINING: Semaphore = Semaphore::const_new(2);

/// `GET /api/v1/becket/event/{event_id}/explain`
pub(crate) async fn explain(call: Call) -> Result<Answer<ExplainOut>> {
    let names = Names::load(&call).await?;
    let reveal = call.flag("reveal", false)?;
    let event = event_by_id(&call, call.scope(), call.path("event_id")).await?;
    let scope = Scope::of(call.owner, event.application);
    let record = call
        .store()
        .event_record(scope, event.id)
        .await?
        .ok_or_else(|| ApiError::not_found("event", &event.id.to_string()))?;
    let mut duplicates = call.store().duplicate_list(scope, event.id, DUPLICATES_MAX + 1).await?;
    let more = duplicates.len() > DUPLICATES_MAX;
    duplicates.truncate(DUPLICATES_MAX);
    let attempts = call.store().attempt_list(scope, event.id).await?;
    if reveal {
        call.audit("event.headers.shown", &event.id);
    }
    let body = record.body();
    Ok(Answer::ok(ExplainOut {
        event: EventOut::new(&event, &names),
        request: RequestOut::new(&record, reveal),
        verdict: verdict(&call, event.application, &record, first_received_ms(&event)).await,
        dedupe: DedupeOut {
            delivery_id: record.fact(EventRecord::DELIVERY_ID).map(str::to_owned),
            duplicates: duplicates.iter().map(|row| times::text(row.received_at_ms)).collect(),
            more,
        },
        invalid: record.fact(EventRecord::INVALID).map(str::to_owned),
        endpoints: plan(&names, &event, &record),
        attempts: attempts.iter().map(|row| with_detail(&names, row, Some(&body))).collect(),
    }))
}

/// The clock by which an event is judged again: that of its first receipt.
fn first_received_ms(event: &EventRow) -> i64 {
    let released = event.labels.released.as_ref();
    released.map_or(event.received_at_ms, |released| released.first_received_at_ms)
}

/// What verification found then, and finds now. Finding out why is work, so it is done on a thread
/// of its own, and not for everybody at the same time.
pub(crate) async fn verdict(
    call: &Call,
    source: becket_model::ApplicationKey,
    record: &EventRecord,
    received_at_ms: i64,
) -> VerdictOut {
    let recorded = record
        .fact(EventRecord::VERDICT)
        .map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())));
    let directory = Arc::clone(&call.shared.api.directory);
    let record = record.clone();
    let Ok(_turn) = EXPLAINING.acquire().await else {
        return VerdictOut { recorded, explanation: None };
    };
    let explaining =
        tokio::task::spawn_blocking(move || directory.explain(source, &record, received_at_ms));
    let explanation = explaining.await.unwrap_or_else(|error| {
        tracing::error!(%error, "explaining a request failed");
        None
    });
    VerdictOut { recorded, explanation }
}

/// For each endpoint of the source, whether it got the event on receipt, and why.
fn plan(names: &Names, event: &EventRow, record: &EventRecord) -> Vec<PlanOut> {
    let subject = (!record.is_expunged()).then(|| record.subject(event.event_type.as_deref()));
    names
        .endpoints()
        .iter()
        .filter(|endpoint| endpoint.application == event.application)
        .filter_map(|endpoint| {
            let planned = event
                .deliveries
                .iter()
                .any(|delivery| delivery.endpoint == endpoint.key && delivery.generation == 0);
            // What is long gone explains nothing, unless it got the event.
            if !planned && endpoint.state == EndpointState::Removed {
                return None;
            }
            Some(PlanOut {
                endpoint_id: endpoint.id.to_string(),
                endpoint: names.full_name(endpoint),
                url: endpoint.settings.url.clone(),
                planned,
                reason: reason(endpoint, event, planned, subject.as_ref()),
            })
        })
        .collect()
}

fn reason(
    endpoint: &Endpoint,
    event: &EventRow,
    planned: bool,
    subject: Option<&Subject<'_>>,
) -> String {
    let shown = event.event_type.as_deref().unwrap_or("an event without a type");
    let wants = endpoint.settings.wants(event.event_type.as_deref());
    let types = || endpoint.settings.event_types.clone().unwrap_or_default().join(", ");
    if planned {
        return match &endpoint.settings.event_types {
            None => "takes every event type".to_owned(),
            Some(_) => format!("takes {shown}"),
        };
    }
    let filtered = event.labels.filtered.iter().find(|one| one.endpoint == endpoint.key);
    if let Some(filtered) = filtered {
        return format!("its filter refused it: {}", filtered.words());
    }
    if event.disposition == Disposition::Filtered {
        return format!("the source does not keep {shown}");
    }
    if endpoint.created_at_ms > event.received_at_ms {
        return "did not exist yet".to_owned();
    }
    if !wants {
        return format!("takes only {}", types());
    }
    // Of a payload that was removed nothing can be said any more.
    let asked = endpoint.settings.filter.as_ref().zip(subject);
    match (endpoint.state, asked.and_then(|(filter, subject)| filter.check(subject).err())) {
        (EndpointState::Disabled, _) => "is disabled".to_owned(),
        (_, Some(refused)) => format!("its filter of now refuses it: {refused}"),
        _ => "did not take it when it arrived, and would take it now".to_owned(),
    }
}
