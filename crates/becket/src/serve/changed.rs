//! Taking over what has changed in the store: one application or endpoint, or what hangs on documents.
//!
//! Invariants: a change is never lost because the store did not answer. Whoever takes one over is told
//! that it is not in force and tries again: what other nodes changed from the revision that was reached,
//! what was changed here by putting everything in force again. What cannot be used because of its own
//! contents is taken out of force, for what it was before must not go on; that is no error. What is put in
//! force was read from the store by whoever has the turn ([`Gateway::changing`]), never before it: so the
//! last one to come puts in force what the store holds, in whatever order changes were made here and at
//! other nodes.
//!
//! Where next: `node::changes` for what other nodes change, `gateway` for all at once.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use becket_engine::EndpointNotice;
use becket_model::{ApplicationKey, ApplicationKind, EndpointKind, EndpointState};
use becket_store::{Application, Endpoint, Name, Owner, StoreError};

use super::assemble;
use super::gateway::{Current, Gateway, SourceInForce};
use super::registry::Registry;

impl Gateway {
    /// Takes over an endpoint that was changed, as the store holds it by now.
    ///
    /// # Errors
    /// When the store does not answer: it has to be taken over again.
    pub(super) async fn take_over_endpoint(
        &self,
        owner: Owner,
        changed: &Endpoint,
    ) -> Result<(), StoreError> {
        let mut registry = self.changing.lock().await;
        let name = Name::Id(changed.id);
        let present = match self.store.endpoint_get(owner, changed.application, name).await {
            Ok(present) => present,
            Err(error) => {
                // What was removed or switched off must not go on receiving until the store answers, nor
                // the former URL. Should something newer have been in force, it is read again by then.
                self.exchange_endpoint(changed);
                self.put_endpoint(&mut registry, owner, changed);
                return Err(error);
            }
        };
        let gone = || Endpoint { state: EndpointState::Removed, ..changed.clone() };
        let endpoint = present.unwrap_or_else(gone);
        self.take_over_endpoint_alone(&mut registry, owner, &endpoint).await
    }

    /// Takes over an endpoint as it is now, for who has the turn and has read it since.
    ///
    /// # Errors
    /// When the store does not answer: it has to be taken over again.
    pub(super) async fn take_over_endpoint_alone(
        &self,
        registry: &mut Registry,
        owner: Owner,
        endpoint: &Endpoint,
    ) -> Result<(), StoreError> {
        self.exchange_endpoint(endpoint);
        self.transforms.take_over(self, owner, endpoint).await?;
        self.put_endpoint(registry, owner, endpoint);
        Ok(())
    }

    /// Puts an endpoint in the place of what its source knew of it, if it has one.
    fn exchange_endpoint(&self, endpoint: &Endpoint) {
        let current = self.current.load_full();
        let Some(source) = current.sources.get(&endpoint.application) else { return };
        let mut changed = SourceInForce::clone(source);
        changed.endpoints.retain(|known| known.id != endpoint.id);
        if endpoint.state != EndpointState::Removed {
            changed.endpoints.push(endpoint.clone());
            changed.endpoints.sort_unstable_by_key(|known| known.key);
        }
        self.exchange_source(&current, changed);
    }

    /// Takes over an endpoint that the engine has changed.
    pub(super) async fn take_over_notice(&self, notice: &EndpointNotice) {
        let mut registry = self.changing.lock().await;
        let (owner, name) = (notice.owner, Name::Id(notice.endpoint));
        let taken = match self.store.endpoint_get(owner, notice.application, name).await {
            Ok(Some(endpoint)) => {
                self.take_over_endpoint_alone(&mut registry, owner, &endpoint).await
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        self.taken_over(&notice.endpoint, taken);
    }

    /// Takes over an application or source that was changed, as the store holds it by now.
    ///
    /// # Errors
    /// When the store does not answer: it has to be taken over again.
    pub(super) async fn take_over_application(
        &self,
        changed: &Application,
    ) -> Result<(), StoreError> {
        let mut registry = self.changing.lock().await;
        let (owner, kind) = (changed.owner, changed.kind);
        let present = match self.store.application_get(owner, kind, Name::Id(changed.id)).await {
            Ok(present) => present,
            Err(error) => {
                let current = self.current.load_full();
                let in_force = current.sources.get(&changed.key);
                let older = |source: &Arc<SourceInForce>| {
                    source.application.updated_at_ms <= changed.updated_at_ms
                };
                if kind == ApplicationKind::Source && in_force.is_some_and(older) {
                    // What was revoked must not go on verifying until the store answers. One that is
                    // not in force may have been removed since, and waits for that.
                    self.take_over_source(&current, changed, None);
                }
                return Err(error);
            }
        };
        let gone = || Application { removed: true, ..changed.clone() };
        let application = present.unwrap_or_else(gone);
        self.take_over_application_alone(&mut registry, &application).await
    }

    /// Takes over an application or source as it is now, for who has the turn and has read it since.
    ///
    /// # Errors
    /// When the store does not answer: it has to be taken over again.
    pub(super) async fn take_over_application_alone(
        &self,
        registry: &mut Registry,
        application: &Application,
    ) -> Result<(), StoreError> {
        let current = self.current.load_full();
        let (owner, key) = (application.owner, application.key);
        if application.removed {
            for endpoint in registry.remove(key) {
                self.transforms.forget(endpoint);
                self.engine.endpoint_remove(endpoint);
            }
            self.take_out_source(&current, key);
            return Ok(());
        }
        let is_source = application.kind == ApplicationKind::Source;
        if !is_source && !registry.exchanges_rate(application) {
            registry.rate_of(application, self.node.as_deref());
            return Ok(());
        }
        let endpoints = self.endpoints_of(owner, key).await;
        if is_source {
            self.take_over_source(&current, application, endpoints.as_deref().ok());
        }
        let endpoints = endpoints?;
        for endpoint in &endpoints {
            self.know_transformation(owner, endpoint).await?;
        }
        // Not before nothing can fail any more: it is what tells whether the endpoints have to be told.
        registry.rate_of(application, self.node.as_deref());
        for endpoint in &endpoints {
            self.put_endpoint(registry, owner, endpoint);
        }
        Ok(())
    }

    /// Lets a source receive as it is now, with these endpoints. While they cannot be read it keeps those
    /// that it had: what was revoked must not go on verifying until the store answers again.
    fn take_over_source(
        &self,
        current: &Current,
        source: &Application,
        endpoints: Option<&[Endpoint]>,
    ) {
        let before = || current.sources.get(&source.key).map(|known| known.endpoints.as_slice());
        let Some(endpoints) = endpoints.or_else(before) else { return };
        let (vault, now_ms) = (self.vault.load(), self.clock.now_ms());
        match assemble::source_in_force(current, source, endpoints.to_vec(), &vault, now_ms) {
            Ok(Some(made)) => self.exchange_source(current, made),
            Ok(None) => self.take_out_source(current, source.key),
            Err(error) => self.set_unusable(current, source, &error),
        }
    }

    async fn endpoints_of(
        &self,
        owner: Owner,
        application: ApplicationKey,
    ) -> Result<Vec<Endpoint>, StoreError> {
        const SLICE: usize = 1_000;
        let mut endpoints: Vec<Endpoint> = Vec::new();
        loop {
            let after = endpoints.last().map(|endpoint| endpoint.id);
            let slice = becket_store::Slice { limit: SLICE, after, descending: false };
            let found = self.store.endpoint_list(owner, application, slice).await?;
            let more = found.len() == SLICE;
            endpoints.extend(found);
            if !more {
                return Ok(endpoints);
            }
        }
    }

    /// Puts the retry schedules by event type in force that an owner has now.
    ///
    /// # Errors
    /// When the store does not answer: they have to be taken over again.
    pub(super) async fn take_over_retries(
        &self,
        registry: &mut Registry,
        owner: Owner,
    ) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms();
        let schedules = becket_api::load_retry_by_type(self.store.as_ref(), owner, now_ms).await?;
        registry.retries.insert(owner, Arc::new(schedules));
        for endpoint in self.present_endpoints(owner).await? {
            self.know_transformation(owner, &endpoint).await?;
            self.put_endpoint(registry, owner, &endpoint);
        }
        Ok(())
    }

    /// Takes the transformations of an owner's endpoints over as they are now.
    ///
    /// # Errors
    /// When the store does not answer: they have to be taken over again.
    pub(super) async fn take_over_transformations(
        &self,
        registry: &mut Registry,
        owner: Owner,
    ) -> Result<(), StoreError> {
        for endpoint in self.present_endpoints(owner).await? {
            if endpoint.settings.transformed {
                self.transforms.take_over(self, owner, &endpoint).await?;
                self.put_endpoint(registry, owner, &endpoint);
            }
        }
        Ok(())
    }

    async fn present_endpoints(&self, owner: Owner) -> Result<Vec<Endpoint>, StoreError> {
        let mut endpoints = self.store.config_list(owner).await?.endpoints;
        endpoints.retain(|endpoint| endpoint.state != EndpointState::Removed);
        Ok(endpoints)
    }

    /// Reads the transformation of an endpoint that this node may deliver to if it was never read: it was
    /// switched on a moment ago, and something else that has changed comes first.
    async fn know_transformation(
        &self,
        owner: Owner,
        endpoint: &Endpoint,
    ) -> Result<(), StoreError> {
        let here = endpoint.settings.kind == EndpointKind::Listen
            || self.node.as_ref().is_none_or(|node| node.has(endpoint.key));
        if here && self.transforms.is_unknown(endpoint) {
            self.transforms.take_over(self, owner, endpoint).await?;
        }
        Ok(())
    }

    /// What came of taking over something that was changed here. When it could not be read, everything is
    /// read again until it is in force: among several nodes, too, because what others changed meanwhile may
    /// have been taken over before, and that a listener has come or gone has no revision.
    pub(super) fn taken_over(&self, what: &dyn Display, taken: Result<(), StoreError>) {
        let Err(error) = taken else { return };
        tracing::error!(%what, code = error.code(), %error, "a change is stored but not yet in force; trying again");
        self.fell_behind();
    }

    /// Something that was changed could not be read: soon everything is put in force again.
    pub(super) fn fell_behind(&self) {
        match &self.node {
            Some(node) => node.begin_afresh(),
            None => self.behind.store(true, Ordering::Release),
        }
    }

    /// Puts everything in force again if something that was changed could not be read.
    pub(super) async fn catch_up_alone(&self) {
        if !self.behind.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut registry = self.changing.lock().await;
        let current = Current::clone(&self.current.load());
        match self.put_in_force(current, &mut registry).await {
            Ok(()) => tracing::info!("what was changed and could not be read is in force"),
            Err(error) => {
                tracing::error!(%error, "changes are stored but not yet in force; trying again");
            }
        }
    }
}
