//! What other nodes change, as far as this one remembers something that it concerns.
//!
//! Invariant: whoever tells of a change here has it forgotten before the call returns; what is read
//! afterwards is read from the store. What nobody tells of is believed for five seconds at most.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use becket_model::ApplicationKey;
use becket_store::{DocumentKind, Endpoint, Owner};

use crate::call::Shared;

/// Tells the API that something was changed by another node. Made by the binary, and heard by the
/// router that is given it.
#[derive(Default)]
pub struct Elsewhere {
    hears: Mutex<Weak<Shared>>,
}

impl std::fmt::Debug for Elsewhere {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Elsewhere").finish_non_exhaustive()
    }
}

impl Elsewhere {
    /// An application, or one of its endpoints, has changed.
    pub fn application_changed(&self, application: ApplicationKey) {
        if let Some(shared) = self.shared() {
            shared.apps.forget(application);
        }
    }

    /// An endpoint has changed. A listener that has been removed, or to which somebody is connected at
    /// another node now, is told so.
    pub fn endpoint_changed(&self, owner: Owner, endpoint: &Endpoint) {
        let Some(shared) = self.shared() else { return };
        shared.apps.forget(endpoint.application);
        crate::relay::keeping::changed_elsewhere(&shared, owner, endpoint);
    }

    /// Documents of a kind have been written or removed.
    pub fn documents_changed(&self, owner: Owner, kind: DocumentKind) {
        let Some(shared) = self.shared() else { return };
        match kind {
            DocumentKind::EventType | DocumentKind::Setting => shared.event_types.forget(owner),
            // Sessions end with the token that they were made from.
            DocumentKind::Token | DocumentKind::Session | DocumentKind::Environment => {
                shared.tokens.forget();
            }
            _ => {}
        }
    }

    /// Anything may have changed: another database has taken the place of the one before.
    pub fn everything_changed(&self) {
        if let Some(shared) = self.shared() {
            shared.apps.forget_all();
            shared.event_types.forget_all();
            shared.tokens.forget();
        }
    }

    /// Another node is gone: its tasks are taken up, if that is for this node to do.
    pub fn node_gone(&self) {
        if let Some(shared) = self.shared()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(crate::tasks::resume(shared));
        }
    }

    fn shared(&self) -> Option<Arc<Shared>> {
        self.hears.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    pub(crate) fn told_to(&self, shared: &Arc<Shared>) {
        *self.hears.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(shared);
    }
}
