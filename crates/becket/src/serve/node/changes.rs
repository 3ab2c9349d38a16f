//! Taking over what other nodes change: applications, endpoints, and what hangs on documents.
//!
//! Invariants: changes are taken over in the order of their revisions, none is passed over; what was
//! changed here comes by again and does no harm. A revision counts as taken over when everything up to
//! it is in force: when the store cannot be asked, for what has changed or for what belongs to it, the
//! same is asked again. On another server than before nothing that is known counts. Asking and putting in
//! force are one turn, so that nothing newer of this node's own comes in between and is undone.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_model::{EndpointState, Origin};
use becket_store::cluster::Changes;
use becket_store::{DocumentKind, Owner, StoreError};
use tokio::time::Instant;

use super::super::ServeError;
use super::super::gateway::Gateway;
use super::super::registry::Registry;
use super::{Declared, Node};

const AGAIN: Duration = Duration::from_millis(500);
/// How often at most the file is declared again because another node has undone a part of it.
const DECLARED_AGAIN_EVERY: Duration = Duration::from_secs(2);

/// Takes changes over for as long as the gateway lives.
pub(in super::super) async fn follow(node: Arc<Node>, gateway: Weak<Gateway>) {
    let mut declared_at: Option<Instant> = None;
    let mut server: Option<i64> = None;
    let mut undone = Undone::Nothing;
    loop {
        node.config_changed.notified().await;
        let Some(gateway) = gateway.upgrade() else { return };
        if node.has_lost.swap(false, Ordering::AcqRel) {
            gateway.elsewhere.node_gone();
        }
        match gateway.catch_up(&node, &mut server, &mut undone).await {
            Ok(()) => {}
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "changes of other nodes are not yet in force; trying again");
                tokio::time::sleep(AGAIN).await;
                node.config_changed.notify_one();
                continue;
            }
        }
        if undone == Undone::OfTheFile {
            if let Some(at) = declared_at {
                tokio::time::sleep_until(at + DECLARED_AGAIN_EVERY).await;
            }
            declared_at = Some(Instant::now());
            match gateway.declare_again().await {
                Ok(()) => undone = Undone::Nothing,
                Err(ServeError::Store(error)) => {
                    tracing::error!(code = error.code(), %error, "the file could not be declared again; trying again");
                    node.config_changed.notify_one();
                }
                Err(error) => {
                    tracing::error!(%error, "the file could not be declared again");
                    undone = Undone::Nothing;
                }
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

    /// Takes over what has changed since the last time. `server` is the one that was asked then, and
    /// `undone` is noted.
    async fn catch_up(
        &self,
        node: &Node,
        server: &mut Option<i64>,
        undone: &mut Undone,
    ) -> Result<(), StoreError> {
        loop {
            let mut registry = self.changing.lock().await;
            let after = node.revision.load(Ordering::Acquire);
            let changes = node.cluster.changes(after).await?;
            let before = server.replace(changes.server);
            if before.is_some_and(|before| before != changes.server) || changes.revision < after {
                self.begin_on_another_server(node, after, changes.revision);
                *undone = Undone::OfTheFile;
                return Ok(());
            }
            let is_news = changes.revision > after;
            self.take_over(&mut registry, &changes, undone).await?;
            node.revision.fetch_max(changes.revision, Ordering::AcqRel);
            if !is_news || changes.revision >= node.heard.load(Ordering::Acquire) {
                return Ok(());
            }
        }
    }

    /// Another server answers than before, or an older state of the same: it may lack the last changes,
    /// and have given their numbers and keys to others. Everything is read again.
    fn begin_on_another_server(&self, node: &Node, known: u64, revision: u64) {
        tracing::warn!(
            known,
            revision,
            "database.other_server: the database was restarted or another one has taken its place; \
             the configuration is read again"
        );
        self.elsewhere.everything_changed();
        node.heard.store(revision, Ordering::Release);
        node.revision.store(revision, Ordering::Release);
        node.begin_afresh();
    }

    /// Takes over everything that the store can be asked for; answers with the first error.
    async fn take_over(
        &self,
        registry: &mut Registry,
        changes: &Changes,
        undone: &mut Undone,
    ) -> Result<(), StoreError> {
        let declared = Declared::of(&self.current.load().declared);
        let mut taken = Ok(());
        for application in &changes.applications {
            self.elsewhere.application_changed(application.key);
            let own = application.origin == Origin::File
                && application.uid.as_deref().is_some_and(|uid| declared.has_source(uid));
            if application.removed && own {
                *undone = Undone::OfTheFile;
            }
            taken = taken.and(self.take_over_application_alone(registry, application).await);
        }
        for (owner, endpoint) in &changes.endpoints {
            let source = self.current.load().sources.get(&endpoint.application).cloned();
            self.elsewhere.endpoint_changed(*owner, endpoint);
            let own = endpoint.origin == Origin::File
                && source.is_some_and(|source| {
                    let uid = endpoint.uid.as_deref().unwrap_or_default();
                    declared.has_endpoint(&source.rules.id, uid)
                });
            if endpoint.state == EndpointState::Removed && own {
                *undone = Undone::OfTheFile;
            }
            taken = taken.and(self.take_over_endpoint_alone(registry, *owner, endpoint).await);
        }
        let kinds: BTreeSet<(Owner, DocumentKind)> = changes.documents.iter().copied().collect();
        for (owner, kind) in kinds {
            taken = taken.and(self.take_over_documents(registry, owner, kind).await);
        }
        taken
    }

    /// Documents of a kind have changed: what is in force because of them is made anew.
    async fn take_over_documents(
        &self,
        registry: &mut Registry,
        owner: Owner,
        kind: DocumentKind,
    ) -> Result<(), StoreError> {
        self.elsewhere.documents_changed(owner, kind);
        match kind {
            DocumentKind::EventType => self.take_over_retries(registry, owner).await,
            DocumentKind::Transformation => self.take_over_transformations(registry, owner).await,
            _ => Ok(()),
        }
    }
}
