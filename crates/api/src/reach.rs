//! What a path under `/api/v1/app/{app_id}` reaches: the application, its endpoints, its events.
//!
//! Invariants: what is remembered is enough for everything that exists; only an endpoint that was
//! removed is looked for among everything its owner has.

use becket_model::{ApplicationKind, DeliveryState, EndpointKey, EventId};
use becket_store::{DeliveryRow, Endpoint, EventFilter, EventRow, Page, Scope};
use std::sync::Arc;

use crate::apps::App;
use crate::call::Call;
use crate::handlers::access::app_named;
use crate::handlers::create::event_id_key;
use crate::names::Names;
use crate::problem::{ApiError, Result};

/// An application with its endpoints, as a path names it.
pub(crate) struct Reached {
    pub app: Arc<App>,
    /// Endpoints that were removed, as far as they were needed.
    removed: Vec<Endpoint>,
}

impl Reached {
    /// The application that the path names, if the caller may see it.
    pub async fn of(call: &Call) -> Result<Self> {
        let app = app_named(call, call.path("app_id")).await?;
        Ok(Self { app, removed: Vec::new() })
    }

    pub fn scope(&self) -> Scope {
        self.app.scope()
    }

    /// The endpoint with this id or uid; one that a source had once is found too.
    pub async fn endpoint(&mut self, call: &Call, name: &str) -> Result<Endpoint> {
        let found = self.app.endpoint(name).cloned();
        if found.is_ok() || self.app.application.kind != ApplicationKind::Source {
            return found;
        }
        let names = Names::load(call).await?;
        let endpoint = names.endpoint_in(&self.app.application, name)?.clone();
        self.removed.push(endpoint.clone());
        Ok(endpoint)
    }

    /// Makes sure that these endpoints are known, removed ones included.
    pub async fn know(
        &mut self,
        call: &Call,
        keys: impl IntoIterator<Item = EndpointKey>,
    ) -> Result<()> {
        if keys.into_iter().all(|key| self.endpoint_of(key).is_some()) {
            return Ok(());
        }
        let names = Names::load(call).await?;
        let own = names.endpoints().iter();
        self.removed = own.filter(|known| known.application == self.app.key()).cloned().collect();
        Ok(())
    }

    /// The endpoint with this number, if it is known.
    pub fn endpoint_of(&self, key: EndpointKey) -> Option<&Endpoint> {
        self.app.endpoints.iter().chain(&self.removed).find(|endpoint| endpoint.key == key)
    }

    /// The state of a delivery as it is shown: what waits for a removed endpoint is cancelled.
    pub fn shown_state(&self, delivery: &DeliveryRow) -> DeliveryState {
        let present = self.app.endpoints.iter().any(|known| known.key == delivery.endpoint);
        match delivery.state {
            DeliveryState::Pending if !present => DeliveryState::Cancelled,
            state => state,
        }
    }

    /// The event that a path names: by its id, or else by its `eventId` or the sender's delivery id,
    /// which may look like an id.
    pub async fn event(&self, call: &Call, name: &str) -> Result<EventRow> {
        if let Ok(id) = name.parse::<EventId>()
            && let Some(found) = call.store().event_get(self.scope(), id).await?
        {
            return Ok(found);
        }
        let dedupe = match self.app.application.kind {
            ApplicationKind::Source => call.shared.api.directory.dedupe_key(self.app.key(), name),
            _ => Some(event_id_key(&self.app, name)),
        };
        let missing =
            || ApiError::not_found("message", name).hint("give its id (`msg_…`) or its eventId");
        let filter =
            EventFilter { dedupe: Some(dedupe.ok_or_else(missing)?), ..EventFilter::default() };
        let found = call.store().event_list(self.scope(), filter, Page::newest(1)).await?;
        found.into_iter().next().ok_or_else(missing)
    }
}

/// The last delivery of an event to each endpoint, in the order of planning.
pub(crate) fn latest(event: &EventRow) -> Vec<&DeliveryRow> {
    let mut latest: Vec<&DeliveryRow> = Vec::new();
    for delivery in &event.deliveries {
        match latest.iter_mut().find(|known| known.endpoint == delivery.endpoint) {
            Some(known) if known.generation < delivery.generation => *known = delivery,
            Some(_) => {}
            None => latest.push(delivery),
        }
    }
    latest
}
