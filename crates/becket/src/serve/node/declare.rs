//! Declaring the file to a store that other nodes declare theirs to, too.

use std::sync::atomic::Ordering;
use std::time::Duration;

use becket_store::{Owner, SourceDeclaration, Store, StoreError};
use tokio::time::Instant;

use super::super::ServeError;
use super::super::gateway::Gateway;
use super::Node;
use super::declared::{self, Declared};

/// How long a node waits for what others with lower numbers are about to declare.
const OTHERS_MAX: Duration = Duration::from_secs(5);
const OTHERS_LOOK: Duration = Duration::from_millis(100);

impl Node {
    /// Tells the others what this node's file declares from now on, and adds what theirs declare to
    /// what is to be declared now.
    pub(in super::super) async fn with_others(
        &self,
        store: &dyn Store,
        own: &Declared,
        declarations: &mut Vec<SourceDeclaration>,
    ) -> Result<(), StoreError> {
        let text = own.text();
        if self.new.lock().declared != text {
            self.cluster.redeclare(text.clone()).await?;
            self.new.lock().declared = text;
        }
        let began = Instant::now();
        loop {
            // What the others declare is told with each renewal.
            let asked = Instant::now();
            if let Some(membership) = self.cluster.renew(Vec::new()).await? {
                self.told(&membership, asked);
                self.prolong();
            }
            let standing = self.standing.load_full();
            let others = Declared::of_others(&standing.nodes, standing.own);
            let stored = store.config_list(Owner::MAIN).await?;
            // Two that start at once: the one with the lower number goes first.
            let earlier: Vec<_> =
                standing.nodes.iter().filter(|node| node.number < standing.own).cloned().collect();
            let waits = Declared::of_others(&earlier, standing.own).missing(&stored);
            if waits && began.elapsed() < OTHERS_MAX && !self.stopping.load(Ordering::Acquire) {
                tokio::time::sleep(OTHERS_LOOK).await;
                continue;
            }
            declared::add_others(declarations, &others, &stored);
            return Ok(());
        }
    }
}

impl Gateway {
    /// Declares the file once more, if another node has undone a part of it.
    pub(super) async fn declare_again(&self) -> Result<(), ServeError> {
        // With the turn, so that nothing is taken for undone that is just being changed.
        let mut registry = self.changing.lock().await;
        let current = self.current.load_full();
        let stored = self.store.config_list(Owner::MAIN).await?;
        if !Declared::of(&current.declared).is_undone(&stored) {
            return Ok(());
        }
        tracing::warn!(
            "file.undone: another node has removed what this file declares; it is declared again"
        );
        self.apply_alone(current.loaded.as_ref().clone(), &mut registry).await
    }
}
