//! A store that makes an event wait before it is stored, as long as its type says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use becket_store::{Accepted, EventAccept, Result, Scope, Store};
use becket_store_test::{Hooks, Wrapped};

/// Waits N milliseconds before storing an event of type `wait-N`; all else goes straight through.
pub struct GatedStore(Arc<dyn Store>);

impl GatedStore {
    pub fn wrap(inner: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Wrapped(Self(inner)))
    }
}

#[async_trait]
impl Hooks for GatedStore {
    fn inner(&self) -> &dyn Store {
        self.0.as_ref()
    }

    async fn event_accept(&self, scope: Scope, accept: EventAccept) -> Result<Accepted> {
        let wait = accept.event_type.as_deref().and_then(|text| text.strip_prefix("wait-"));
        if let Some(Ok(milliseconds)) = wait.map(str::parse) {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        self.0.event_accept(scope, accept).await
    }
}
