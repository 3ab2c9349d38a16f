//! Declaring the file to a store that other nodes declare theirs to, too.
//!
//! What no file of a live node declares any more is removed by the first of the nodes, after a while: a
//! node that is started again has the time to be there before what only its file has is taken away.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
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
/// For how many leases nobody may have declared something before it is removed.
const LEFT_OVER_LEASES: u32 = 4;

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
            if let Some(membership) = self.cluster.renew(self.roles(), Vec::new()).await? {
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

/// Removes what only files of nodes declared that have gone, for as long as the gateway lives.
pub(super) async fn watch(node: Arc<Node>, gateway: Weak<Gateway>) {
    let mut left_over = LeftOver::default();
    loop {
        tokio::time::sleep(node.lease).await;
        let Some(gateway) = gateway.upgrade() else { return };
        if node.stopping.load(Ordering::Acquire) {
            return;
        }
        if !node.is_first() {
            left_over = LeftOver::default();
            continue;
        }
        match gateway.remove_left_over(&node, &mut left_over).await {
            Ok(()) => {}
            Err(ServeError::Store(StoreError::Closed)) => return,
            Err(error) => {
                tracing::warn!(%error, "what no file declares any more could not be removed; trying again");
            }
        }
    }
}

/// What no live node declares: sources, and endpoints with their sources.
#[derive(Debug, Default)]
struct LeftOver {
    names: BTreeSet<(String, Option<String>)>,
    /// Since when all of it.
    since: Option<Instant>,
}

impl LeftOver {
    /// Notes what is left over now; whether it has been for so long.
    fn note(
        &mut self,
        names: BTreeSet<(String, Option<String>)>,
        now: Instant,
        longest: Duration,
    ) -> bool {
        if names.is_empty() || !names.is_subset(&self.names) {
            self.since = None;
        }
        self.names = names;
        !self.names.is_empty() && now.duration_since(*self.since.get_or_insert(now)) >= longest
    }
}

impl Gateway {
    /// Declares the file once more, if something is stored that no live node has declared for a while.
    async fn remove_left_over(
        &self,
        node: &Node,
        left_over: &mut LeftOver,
    ) -> Result<(), ServeError> {
        let stored = self.store.config_list(Owner::MAIN).await?;
        let declared = Declared::of_all(&node.standing.load().nodes);
        let names = Declared::stored(&stored).beyond(&declared);
        if !left_over.note(names, Instant::now(), node.lease * LEFT_OVER_LEASES) {
            return Ok(());
        }
        tracing::info!(
            names = ?left_over.names,
            "file.left_over: no node's file has these any more; they are removed"
        );
        let mut registry = self.changing.lock().await;
        let current = self.current.load_full();
        self.apply_alone(current.loaded.as_ref().clone(), &mut registry).await
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_been_left_over_all_the_time_counts() {
        let names = |all: &[&str]| -> BTreeSet<(String, Option<String>)> {
            all.iter().map(|name| ((*name).to_owned(), None)).collect()
        };
        let longest = Duration::from_secs(60);
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut left_over = LeftOver::default();
        assert!(!left_over.note(names(&[]), at(0), longest));
        assert!(!left_over.note(names(&["a", "b"]), at(10), longest));
        assert!(!left_over.note(names(&["a"]), at(69), longest), "less is no news");
        assert!(left_over.note(names(&["a"]), at(70), longest));
        assert!(!left_over.note(names(&["a", "c"]), at(80), longest), "there is more");
        assert!(!left_over.note(names(&[]), at(150), longest), "somebody has it again");
        assert!(!left_over.note(names(&["a"]), at(160), longest));
        assert!(left_over.note(names(&["a"]), at(220), longest));
    }
}
