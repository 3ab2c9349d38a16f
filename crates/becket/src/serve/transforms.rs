//! The transformations that are in force: of endpoints of the file, and those that the API stores.
//!
//! Invariant: an endpoint whose transformation cannot be had fails its deliveries, visibly and to be
//! tried again; nothing is ever delivered as if it had none.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use becket_api::StoredTransformation;
use becket_egress::AttemptError;
use becket_egress::action::{Transform, TransformFailure, TransformInput, Transformed};
use becket_model::{EndpointKey, EndpointState, Origin};
use becket_store::{Endpoint, Owner};
use becket_transform::{Pool, PoolConfig, Program, Script};
use parking_lot::Mutex;

use super::gateway::Gateway;
use crate::config;

/// What the API stores of an endpoint, as far as it could be read.
type Stored = Result<Arc<Program>, ()>;

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
        Ok(match self.stored.lock().get(&endpoint.key) {
            Some(Ok(program)) => Some(self.script(endpoint, Arc::clone(program))),
            Some(Err(())) => Some(Arc::new(Unreadable)),
            None => None,
        })
    }

    fn script(&self, endpoint: &Endpoint, program: Arc<Program>) -> Arc<dyn Transform> {
        let number = u64::from(endpoint.key.0);
        Arc::new(Script::new(Arc::clone(&self.pool), number, program))
    }

    /// Reads what the API stores of an endpoint, so that [`Self::of`] knows it.
    pub(super) async fn take_over(&self, gateway: &Gateway, owner: Owner, endpoint: &Endpoint) {
        let wanted = endpoint.origin == Origin::Api
            && endpoint.settings.transformed
            && endpoint.state != EndpointState::Removed;
        if !wanted {
            return self.forget(endpoint.key);
        }
        let now_ms = gateway.clock.now_ms();
        let store = gateway.store.as_ref();
        let loaded = becket_api::load_transformation(store, gateway, owner, endpoint, now_ms).await;
        let stored = match loaded {
            Ok(Some(stored)) => Ok(Arc::new(program(stored))),
            Ok(None) => return self.forget(endpoint.key),
            Err(error) => {
                tracing::error!(endpoint = %endpoint.id, %error, "transformation.unreadable");
                Err(())
            }
        };
        self.stored.lock().insert(endpoint.key, stored);
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
