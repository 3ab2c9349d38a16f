//! Events about the gateway itself, for those who run a product on it: endpoints made, changed and
//! switched off, deliveries in trouble, tasks that have finished.
//!
//! Each owner has at most one application of kind [`ApplicationKind::Operational`]; its endpoints get
//! these events like any other, signed and tried again. The shapes are those of the specification's
//! `webhooks`.
//!
//! Invariants: telling never holds up and never fails what it tells about; at most [`QUEUE_MAX`] wait
//! in a queue, and what does not fit is counted and logged; the operational application's own
//! endpoints and deliveries are never told about, so nothing goes round in circles.
//!
//! Deliberately absent: the endpoints' own paths (`handlers::operational`), and noticing what happens
//! to deliveries (`reporter`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use becket_model::{ApplicationKind, Clock, EventLabels, TaskId};
use becket_store::{Application, Endpoint, Owner, Scope, Slice, Store};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::call::Shared;
use crate::posting::{self, Posted, Poster};
use crate::times;

/// How many events may wait to be told.
pub(crate) const QUEUE_MAX: usize = 1_024;

/// The uid of the application that carries them.
pub(crate) const APPLICATION_UID: &str = "operational";

/// The application and endpoint that an event is about, by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointFacts {
    kind: ApplicationKind,
    /// The id under which the application or source is known.
    application: String,
    application_uid: Option<String>,
    endpoint: String,
    endpoint_uid: Option<String>,
}

impl EndpointFacts {
    pub fn of(application: &Application, endpoint: &Endpoint) -> Self {
        Self {
            kind: application.kind,
            application: match application.kind {
                ApplicationKind::Source => application.id.source().to_string(),
                _ => application.id.to_string(),
            },
            application_uid: application.uid.clone(),
            endpoint: endpoint.id.to_string(),
            endpoint_uid: endpoint.uid.clone(),
        }
    }

    fn object(&self) -> Map<String, Value> {
        let mut object = Map::new();
        if self.kind == ApplicationKind::Source {
            object.insert("sourceId".into(), json!(self.application));
        } else {
            object.insert("appId".into(), json!(self.application));
            object.insert("appUid".into(), json!(self.application_uid));
        }
        object.insert("endpointId".into(), json!(self.endpoint));
        object.insert("endpointUid".into(), json!(self.endpoint_uid));
        object
    }
}

/// The delivery that an event is about, and its last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptFacts {
    pub endpoint: EndpointFacts,
    pub message: String,
    pub event_id: Option<String>,
    pub attempt: String,
    /// 0 if there was no whole response.
    pub response_status: u16,
    pub started_at_ms: i64,
}

/// Something that is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OperationalEvent {
    EndpointCreated(EndpointFacts),
    EndpointUpdated(EndpointFacts),
    EndpointDeleted(EndpointFacts),
    EndpointEnabled(EndpointFacts),
    EndpointDisabled {
        endpoint: EndpointFacts,
        /// Since when every attempt had failed, in milliseconds since 1970.
        fail_since_ms: Option<i64>,
        /// Whether the gateway did it, not a person.
        automatic: bool,
    },
    /// The fourth attempt of a delivery has failed.
    AttemptFailing(AttemptFacts),
    /// The last attempt of a delivery has failed.
    AttemptExhausted(AttemptFacts),
    /// A delivery that was told to be failing has arrived.
    AttemptRecovered(AttemptFacts),
    TaskFinished {
        id: TaskId,
        /// The kind, in the specification's words.
        task: &'static str,
        /// `finished` or `failed`.
        status: &'static str,
        data: Value,
    },
}

impl OperationalEvent {
    fn endpoint(&self) -> Option<&EndpointFacts> {
        match self {
            Self::EndpointCreated(endpoint)
            | Self::EndpointUpdated(endpoint)
            | Self::EndpointDeleted(endpoint)
            | Self::EndpointEnabled(endpoint)
            | Self::EndpointDisabled { endpoint, .. } => Some(endpoint),
            Self::AttemptFailing(facts)
            | Self::AttemptExhausted(facts)
            | Self::AttemptRecovered(facts) => Some(&facts.endpoint),
            Self::TaskFinished { .. } => None,
        }
    }

    /// Its type and payload; `None` if the specification has no event for it.
    fn told(&self) -> Option<(String, Value)> {
        let kind = self.endpoint().map(|endpoint| endpoint.kind);
        let (name, of_sources) = match self {
            Self::EndpointCreated(_) => ("endpoint.created", false),
            Self::EndpointUpdated(_) => ("endpoint.updated", false),
            Self::EndpointDeleted(_) => ("endpoint.deleted", false),
            Self::EndpointEnabled(_) => ("endpoint.enabled", false),
            Self::EndpointDisabled { .. } => ("endpoint.disabled", true),
            Self::AttemptFailing(_) => ("message.attempt.failing", true),
            Self::AttemptExhausted(_) => ("message.attempt.exhausted", true),
            Self::AttemptRecovered(_) => ("message.attempt.recovered", true),
            Self::TaskFinished { .. } => ("background_task.finished", true),
        };
        let name = match kind {
            Some(ApplicationKind::Operational) => return None,
            Some(ApplicationKind::Source) if !of_sources => return None,
            Some(ApplicationKind::Source) => format!("ingest.{name}"),
            Some(ApplicationKind::Customer) | None => name.to_owned(),
        };
        let payload = json!({ "type": name, "data": self.data() });
        Some((name, payload))
    }

    fn data(&self) -> Value {
        let mut data = self.endpoint().map(EndpointFacts::object).unwrap_or_default();
        match self {
            Self::EndpointDisabled { fail_since_ms, automatic, .. } => {
                data.insert("failSince".into(), json!(fail_since_ms.map(times::text)));
                let trigger = if *automatic { "automatic" } else { "manual" };
                data.insert("trigger".into(), json!(trigger));
            }
            Self::AttemptFailing(facts)
            | Self::AttemptExhausted(facts)
            | Self::AttemptRecovered(facts) => {
                data.insert("msgId".into(), json!(facts.message));
                data.insert("msgEventId".into(), json!(facts.event_id));
                let last = json!({
                    "id": facts.attempt,
                    "responseStatusCode": facts.response_status,
                    "timestamp": times::text(facts.started_at_ms),
                });
                data.insert("lastAttempt".into(), last);
            }
            Self::TaskFinished { id, task, status, data: result } => {
                data.insert("taskId".into(), json!(id));
                data.insert("task".into(), json!(task));
                data.insert("status".into(), json!(status));
                data.insert("data".into(), result.clone());
            }
            Self::EndpointCreated(_)
            | Self::EndpointUpdated(_)
            | Self::EndpointDeleted(_)
            | Self::EndpointEnabled(_) => {}
        }
        Value::Object(data)
    }
}

/// Tells the owner's operational endpoints, in the order of the calls. Returns at once; what goes
/// wrong later is logged.
pub(crate) async fn tell(shared: &Shared, owner: Owner, event: OperationalEvent) {
    shared.operational.put(&shared.api.store, &shared.api.clock, &shared.poster, owner, event);
}

/// The events that wait to be told, and the task that tells them; it begins with the first one.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    queue: OnceLock<mpsc::Sender<(Owner, OperationalEvent)>>,
    dropped: AtomicU64,
}

impl Desk {
    fn put(
        &self,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
        poster: &Poster,
        owner: Owner,
        event: OperationalEvent,
    ) {
        if event.told().is_none() {
            return;
        }
        let queue = self.queue.get_or_init(|| {
            let (sender, mut receiver) = mpsc::channel(QUEUE_MAX);
            let (store, clock) = (Arc::clone(store), Arc::clone(clock));
            let poster = poster.clone();
            tokio::spawn(async move {
                while let Some((owner, event)) = receiver.recv().await {
                    deliver(store.as_ref(), clock.as_ref(), &poster, owner, &event).await;
                }
            });
            sender
        });
        if queue.try_send((owner, event)).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(owner = owner.number(), dropped, "operational.dropped");
        }
    }
}

/// The owner's operational application with its endpoints, if it has both.
pub(crate) async fn listeners(
    store: &dyn Store,
    owner: Owner,
) -> becket_store::Result<Option<(Application, Vec<Endpoint>)>> {
    let kind = ApplicationKind::Operational;
    let found = store.application_list(owner, kind, Slice::oldest(1)).await?;
    let Some(application) = found.into_iter().next() else { return Ok(None) };
    let endpoints =
        store.endpoint_list(owner, application.key, Slice::oldest(LISTENERS_MAX)).await?;
    Ok((!endpoints.is_empty()).then_some((application, endpoints)))
}

const LISTENERS_MAX: usize = 1_000;

/// Accepts an event for the owner's operational endpoints, if one of them asks for its type; failures
/// are logged.
pub(crate) async fn deliver(
    store: &dyn Store,
    clock: &dyn Clock,
    poster: &Poster,
    owner: Owner,
    event: &OperationalEvent,
) {
    let Some((name, payload)) = event.told() else { return };
    let told = async {
        let Some((application, endpoints)) = listeners(store, owner).await? else {
            return Ok(());
        };
        if !endpoints.iter().any(|endpoint| endpoint.settings.wants(Some(&name))) {
            return Ok(());
        }
        let record = posting::record(None, posting::JSON, payload.to_string().as_bytes());
        let record = record.map_err(crate::problem::ApiError::from)?;
        let posted = Posted {
            at_ms: clock.now_ms(),
            event_type: name.clone(),
            labels: EventLabels::default(),
            dedupe: None,
            record,
        };
        poster.post(Scope::of(owner, application.key), &endpoints, posted).await?;
        Ok::<_, crate::problem::ApiError>(())
    };
    if let Err(error) = told.await {
        tracing::error!(owner = owner.number(), event = %name, %error, "operational.failed");
    }
}
