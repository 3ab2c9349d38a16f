//! The transformations that are in force: of endpoints of the file, and those that the API stores.
//!
//! Invariants: an endpoint whose stored transformation is damaged fails its deliveries, visibly and to be
//! tried again; nothing is ever delivered as if it had none. That the store does not answer says nothing
//! about a transformation: whoever takes it over is told so, and asks again.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use becket_api::StoredTransformation;
use becket_egress::AttemptError;
use becket_egress::action::{Transform, TransformFailure, TransformInput, Transformed};
use becket_model::{EndpointKey, EndpointState, Origin};
use becket_store::{Endpoint, Owner, StoreError};
use becket_transform::{Pool, PoolConfig, Program, Script};
use parking_lot::Mutex;

use super::gateway::Gateway;
use crate::config;

/// What the API stores of an endpoint whose settings say that it has a transformation.
enum Stored {
    Program(Arc<Program>),
    /// It is switched off, or empty.
    Nothing,
    /// It is there and cannot be opened, or makes no sense.
    Damaged,
}

/// The transformations that are in force.
pub(super) struct Transforms {
    pool: Arc<Pool>,
    stored: Mutex<HashMap<EndpointKey, Stored>>,
}

impl Transforms {
    pub(super) fn new() -> Self {
        Self { pool: Arc::new(Pool::new(PoolConfig::default())), stored: Mutex::default() }
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The transformation of an endpoint, declared in the file or stored by the API.
    pub(super) fn of(
        &self,
        endpoint: &Endpoint,
        declared: Option<&config::Endpoint>,
    ) -> Result<Option<Arc<dyn Transform>>, String> {
        if endpoint.origin == Origin::File {
            let transform = declared.and_then(|declared| declared.transform.as_ref());
            let program = transform.map(config::Transform::program).transpose()?;
            return Ok(program.map(|program| self.script(endpoint, program.into())));
        }
        if !endpoint.settings.transformed {
            return Ok(None);
        }
        match self.stored.lock().get(&endpoint.key) {
            Some(Stored::Program(program)) => Ok(Some(self.script(endpoint, Arc::clone(program)))),
            Some(Stored::Nothing) => Ok(None),
            Some(Stored::Damaged) => Ok(Some(Arc::new(Unreadable))),
            None => Err("its transformation has not been read yet".to_owned()),
        }
    }

    fn script(&self, endpoint: &Endpoint, program: Arc<Program>) -> Arc<dyn Transform> {
        let number = u64::from(endpoint.key.0);
        Arc::new(Script::new(Arc::clone(&self.pool), number, program))
    }

    /// Reads what the API stores of an endpoint, so that [`Self::of`] knows it.
    ///
    /// # Errors
    /// When the store does not answer; what was known is still known then.
    pub(super) async fn take_over(
        &self,
        gateway: &Gateway,
        owner: Owner,
        endpoint: &Endpoint,
    ) -> Result<(), StoreError> {
        if !is_stored(endpoint) {
            self.forget(endpoint.key);
            return Ok(());
        }
        let now_ms = gateway.clock.now_ms();
        let store = gateway.store.as_ref();
        let loaded = becket_api::load_transformation(store, gateway, owner, endpoint, now_ms).await;
        let stored = match loaded {
            Ok(Some(stored)) => Stored::Program(Arc::new(program(stored))),
            Ok(None) => Stored::Nothing,
            Err(error @ StoreError::Sealed { .. }) => {
                tracing::error!(endpoint = %endpoint.id, %error, "transformation.unreadable");
                Stored::Damaged
            }
            Err(error) => return Err(error),
        };
        self.stored.lock().insert(endpoint.key, stored);
        Ok(())
    }

    /// Whether it has to be read before [`Self::of`] can be asked for this endpoint.
    pub(super) fn is_unknown(&self, endpoint: &Endpoint) -> bool {
        is_stored(endpoint) && !self.stored.lock().contains_key(&endpoint.key)
    }

    /// The endpoint was removed, or has no stored transformation.
    pub(super) fn forget(&self, endpoint: EndpointKey) {
        self.stored.lock().remove(&endpoint);
    }

    /// Whether code can be loaded; if not, why.
    pub(super) async fn check(
        &self,
        endpoint: EndpointKey,
        stored: StoredTransformation,
    ) -> Result<(), String> {
        let program = Arc::new(program(stored));
        let number = u64::from(endpoint.0);
        becket_transform::check(&self.pool, number, program).await.map_err(|why| why.to_string())
    }
}

/// Whether the API stores a transformation of an endpoint.
fn is_stored(endpoint: &Endpoint) -> bool {
    endpoint.origin == Origin::Api
        && endpoint.settings.transformed
        && endpoint.state != EndpointState::Removed
}

fn program(stored: StoredTransformation) -> Program {
    Program { code: stored.code, variables: stored.variables }
}

/// Stands in for a transformation that cannot be read.
struct Unreadable;

#[async_trait]
impl Transform for Unreadable {
    async fn transform(&self, _input: TransformInput) -> Result<Transformed, TransformFailure> {
        Err(TransformFailure {
            error: AttemptError::TransformFailed,
            note: "the stored transformation cannot be read; save it again".to_owned(),
            log: String::new(),
        })
    }
}
