//! Finds sources and endpoints by id or name, and tells how things are shown.
//!
//! Invariants: made fresh from the store for every call, for one owner; what another owner has does
//! not exist here. A removed endpoint's pending deliveries are shown as cancelled.

use std::collections::HashMap;

use becket_model::{
    ApplicationKey, ApplicationKind, DeliveryState, EndpointKey, EndpointKind, EndpointState,
    SourceId,
};
use becket_store::{
    Application, ConfigSnapshot, DeliveryRow, Endpoint, EventRow, Owner, Scope, Store,
};

use crate::call::Call;
use crate::problem::{ApiError, Result};

/// The public id of an application, or of a source.
pub(crate) fn public_id(application: &Application) -> String {
    match application.kind {
        ApplicationKind::Source => application.id.source().to_string(),
        ApplicationKind::Customer | ApplicationKind::Operational => application.id.to_string(),
    }
}

/// The sources and endpoints of one owner.
pub(crate) struct Names {
    snapshot: ConfigSnapshot,
    endpoints: HashMap<EndpointKey, usize>,
}

impl Names {
    /// Reads them for the caller.
    pub async fn load(call: &Call) -> Result<Self> {
        Self::read(call.store(), call.owner).await
    }

    /// Reads them for an owner.
    pub async fn read(store: &dyn Store, owner: Owner) -> Result<Self> {
        let snapshot = store.config_list(owner).await?;
        let endpoints = snapshot
            .endpoints
            .iter()
            .enumerate()
            .map(|(at, endpoint)| (endpoint.key, at))
            .collect();
        Ok(Self { snapshot, endpoints })
    }

    /// Every source, removed ones included, oldest first.
    pub fn sources(&self) -> impl DoubleEndedIterator<Item = &Application> {
        self.snapshot.sources()
    }

    /// Every endpoint, removed ones included, oldest first.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.snapshot.endpoints
    }

    /// The source with this id or name.
    pub fn source(&self, name: &str) -> Result<&Application> {
        let id: Option<SourceId> = name.parse().ok();
        let named = |source: &&Application| {
            source.uid.as_deref() == Some(name) || id == Some(source.id.source())
        };
        // A name may have been used before by a source that is gone.
        let present = self.sources().filter(|source| !source.removed).find(named);
        present.or_else(|| self.sources().rfind(named)).ok_or_else(|| {
            ApiError::not_found("source", name).hint("`becket sources list` shows them")
        })
    }

    /// The customer's application with this id or uid.
    pub fn application(&self, name: &str) -> Result<&Application> {
        let named = |known: &&Application| {
            known.kind == ApplicationKind::Customer
                && (known.uid.as_deref() == Some(name) || known.id.to_string() == name)
        };
        let applications = &self.snapshot.applications;
        // A uid may have been used before by an application that is gone.
        let present = applications.iter().filter(|known| !known.removed).find(named);
        present.or_else(|| applications.iter().rfind(named)).ok_or_else(|| {
            ApiError::not_found("application", name).hint("GET /api/v1/app lists them")
        })
    }

    /// The application or source with this number.
    pub fn source_of(&self, key: ApplicationKey) -> Option<&Application> {
        self.snapshot.application(key)
    }

    /// The endpoint with this number.
    pub fn endpoint_of(&self, key: EndpointKey) -> Option<&Endpoint> {
        self.endpoints.get(&key).map(|at| &self.snapshot.endpoints[*at])
    }

    /// The endpoint of a source with this id or name, removed ones included.
    pub fn endpoint_in(&self, source: &Application, name: &str) -> Result<&Endpoint> {
        self.find_endpoint(Some(source.key), name)
    }

    /// The endpoint with this id, this name, or this `source/name`.
    pub fn endpoint(&self, source: Option<&str>, name: &str) -> Result<&Endpoint> {
        let (source, name) = match (source, name.split_once('/')) {
            (Some(source), _) => (Some(source), name),
            (None, Some((source, name))) => (Some(source), name),
            (None, None) => (None, name),
        };
        let source = source.map(|source| self.source(source)).transpose()?;
        self.find_endpoint(source.map(|source| source.key), name)
    }

    fn find_endpoint(&self, source: Option<ApplicationKey>, name: &str) -> Result<&Endpoint> {
        let found: Vec<&Endpoint> = self
            .endpoints()
            .iter()
            .filter(|endpoint| source.is_none_or(|key| endpoint.application == key))
            .filter(|endpoint| {
                endpoint.uid.as_deref() == Some(name) || endpoint.id.to_string() == name
            })
            .collect();
        let present: Vec<&Endpoint> = found
            .iter()
            .copied()
            .filter(|endpoint| endpoint.state != EndpointState::Removed)
            .collect();
        match (&present[..], &found[..]) {
            ([one], _) => Ok(one),
            ([], [.., last]) => Ok(last),
            ([], []) => {
                Err(ApiError::not_found("endpoint", name)
                    .hint("`becket endpoints list` shows them"))
            }
            (several, _) => {
                let names: Vec<String> =
                    several.iter().map(|endpoint| self.full_name(endpoint)).collect();
                Err(ApiError::new(
                    "ambiguous_name",
                    format!("`{name}` means {} endpoints: {}", names.len(), names.join(", ")),
                )
                .hint("name the source too, or give the endpoint's id"))
            }
        }
    }

    /// `source/endpoint`, for messages.
    pub fn full_name(&self, endpoint: &Endpoint) -> String {
        let source = self.source_of(endpoint.application);
        let source = source.map_or_else(|| "?".to_owned(), Application::name);
        format!("{source}/{}", endpoint.name())
    }

    /// One source's data, or everything if none is named.
    pub fn scope(&self, call: &Call, source: Option<&str>) -> Result<Scope> {
        source.map_or(Ok(Scope::all(call.owner)), |name| {
            Ok(Scope::of(call.owner, self.source(name)?.key))
        })
    }

    /// The state of a delivery as it is shown.
    pub fn shown_state(&self, delivery: &DeliveryRow) -> DeliveryState {
        let endpoint = self.endpoint_of(delivery.endpoint);
        let removed = endpoint.is_none_or(|endpoint| endpoint.state == EndpointState::Removed);
        // What a developer's machine refused once is no trouble any more.
        let listened = endpoint.is_some_and(|known| known.settings.kind == EndpointKind::Listen);
        match delivery.state {
            DeliveryState::Pending if removed => DeliveryState::Cancelled,
            DeliveryState::Failed if removed && listened => DeliveryState::Cancelled,
            state => state,
        }
    }

    /// The last delivery of an event to each endpoint, in the order of planning.
    pub fn latest<'r>(&self, event: &'r EventRow) -> Vec<&'r DeliveryRow> {
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

    /// Where an event stands as a whole: the state that needs the most attention.
    pub fn event_state(&self, event: &EventRow) -> Option<DeliveryState> {
        let rank = |state| match state {
            DeliveryState::Failed => 3,
            DeliveryState::Pending => 2,
            DeliveryState::Delivered => 1,
            DeliveryState::Cancelled => 0,
        };
        self.latest(event)
            .into_iter()
            .map(|delivery| self.shown_state(delivery))
            .max_by_key(|state| rank(*state))
    }

    /// Whether the last delivery of an event to an endpoint (or to any) is shown in this state.
    pub fn stands(
        &self,
        event: &EventRow,
        endpoint: Option<EndpointKey>,
        state: Option<DeliveryState>,
    ) -> bool {
        self.latest(event).into_iter().any(|delivery| {
            endpoint.is_none_or(|key| delivery.endpoint == key)
                && state.is_none_or(|state| self.shown_state(delivery) == state)
        })
    }
}
