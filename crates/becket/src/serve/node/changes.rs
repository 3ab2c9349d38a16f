//! Taking over what other nodes change: applications, endpoints, and what hangs on documents.
//!
//! Invariants: changes are taken over in the order of their revisions, none is passed over; what was
//! changed here comes by again and does no harm. When the store cannot be asked, it is asked again.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_model::{EndpointState, Origin};
use becket_store::cluster::Changes;
use becket_store::{DocumentKind, Owner, StoreError};
use tokio::time::Instant;

use super::super::gateway::Gateway;
use super::{Declared, Node};

const AGAIN: Duration = Duration::from_millis(500);
/// How often at most the file is declared again because another node has undone a part of it.
const DECLARED_AGAIN_EVERY: Duration = Duration::from_secs(2);

/// Takes changes over for as long as the gateway lives.
pub(in super::super) async fn follow(node: Arc<Node>, gateway: Weak<Gateway>) {
    let mut declared_at: Option<Instant> = None;
    loop {
        node.config_changed.notified().await;
        let Some(gateway) = gateway.upgrade() else { return };
        if node.has_lost.swap(false, Ordering::AcqRel) {
            gateway.elsewhere.node_gone();
        }
        match gateway.catch_up(&node).await {
            Ok(Undone::Nothing) => {}
            Ok(Undone::OfTheFile) => {
                if let Some(at) = declared_at {
                    tokio::time::sleep_until(at + DECLARED_AGAIN_EVERY).await;
                }
                declared_at = Some(Instant::now());
                if let Err(error) = gateway.declare_again().await {
                    tracing::error!(%error, "the file could not be declared again");
                }
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "changes of other nodes could not be read; trying again");
                tokio::time::sleep(AGAIN).await;
                node.config_changed.notify_one();
            }
        }
    }
}

/// What others have undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undone {
    Nothing,
    /// Something that this node's file declares.
    OfTheFile,
}

impl Gateway {
    /// Something was changed here: see [`Node::changed_here`].
    pub(in super::super) fn changed_here(&self) {
        if let Some(node) = &self.node {
            node.changed_here();
        }
    }

    /// Takes over what has changed since the last time.
    async fn catch_up(&self, node: &Node) -> Result<Undone, StoreError> {
        let mut undone = Undone::Nothing;
        loop {
            let after = node.revision.load(Ordering::Acquire);
            let changes = node.cluster.changes(after).await?;
            let is_news = changes.revision > after;
            if self.take_over(&changes).await == Undone::OfTheFile {
                undone = Undone::OfTheFile;
            }
            node.revision.fetch_max(changes.revision, Ordering::AcqRel);
            if !is_news || changes.revision >= node.heard.load(Ordering::Acquire) {
                return Ok(undone);
            }
        }
    }

    async fn take_over(&self, changes: &Changes) -> Undone {
        let declared = Declared::of(&self.current.load().declared);
        let mut undone = Undone::Nothing;
        for application in &changes.applications {
            if let Err(error) = self.take_over_application(application).await {
                let application = application.id;
                tracing::error!(%application, %error, "a change of another node is not yet in force");
            }
            self.elsewhere.application_changed(application.key);
            let own = application.origin == Origin::File
                && application.uid.as_deref().is_some_and(|uid| declared.has_source(uid));
            if application.removed && own {
                undone = Undone::OfTheFile;
            }
        }
        for (owner, endpoint) in &changes.endpoints {
            let source = self.current.load().sources.get(&endpoint.application).cloned();
            self.elsewhere.endpoint_changed(*owner, endpoint);
            self.take_over_endpoint(*owner, endpoint).await;
            let own = endpoint.origin == Origin::File
                && source.is_some_and(|source| {
                    let uid = endpoint.uid.as_deref().unwrap_or_default();
                    declared.has_endpoint(&source.rules.id, uid)
                });
            if endpoint.state == EndpointState::Removed && own {
                undone = Undone::OfTheFile;
            }
        }
        let kinds: BTreeSet<(Owner, DocumentKind)> = changes.documents.iter().copied().collect();
        for (owner, kind) in kinds {
            self.take_over_documents(owner, kind).await;
        }
        undone
    }

    /// Documents of a kind have changed: what is in force because of them is made anew.
    async fn take_over_documents(&self, owner: Owner, kind: DocumentKind) {
        self.elsewhere.documents_changed(owner, kind);
        match kind {
            DocumentKind::EventType => {
                let now_ms = self.clock.now_ms();
                let store = self.store.as_ref();
                match becket_api::load_retry_by_type(store, owner, now_ms).await {
                    Ok(schedules) => self.take_over_retries(owner, schedules).await,
                    Err(error) => {
                        tracing::error!(%error, "changed retry schedules are not yet in force");
                    }
                }
            }
            DocumentKind::Transformation => self.take_over_transformations(owner).await,
            _ => {}
        }
    }
}
