//! Which endpoints' lanes the engine has: those of the node's own shards, and those whose listener is
//! connected here.
//!
//! Invariant: changes of ownership are applied one after the other, with those of the configuration.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_model::{EndpointKey, EndpointKind, EndpointState, Origin};
use becket_store::Endpoint;
use becket_store::cluster::shard_of;

use super::super::ServeError;
use super::super::gateway::{Current, Gateway, SourceInForce};
use super::super::registry::Registry;
use super::member::Leaving;
use super::{Apart, Node, Shards};

/// More endpoints than these are not put one by one.
const ONE_BY_ONE_MAX: usize = 500;
const AGAIN: Duration = Duration::from_millis(200);
/// How long a change that is being put in force is waited for before everything is given back.
const GIVE_BACK_PATIENCE: Duration = Duration::from_secs(1);

impl Node {
    /// The shards whose lanes the engine is to have.
    pub(super) fn wanted(&self) -> Shards {
        if self.is_parting() {
            return Shards::default();
        }
        let own = self.standing.load().shards;
        match self.leaving.lock().as_ref() {
            Some(leaving) => own.without(&leaving.shards),
            None => own,
        }
    }

    /// Whether it is about to end, and nothing is to be begun any more.
    fn is_parting(&self) -> bool {
        self.parting.load(Ordering::Acquire)
    }

    /// All lanes have been taken out: every shard is given up as soon as its endpoints have nothing
    /// under way.
    fn give_up_all(&self, of: impl FnOnce(&Shards) -> Vec<EndpointKey>) {
        let shards = self.standing.load().shards;
        let leaving = (!shards.is_empty()).then(|| Leaving::of(shards, Some(of(&shards))));
        *self.leaving.lock() = leaving;
        tracing::info!(shards = shards.len(), "node.gives_back");
    }

    /// Everything is about to be given to the engine anew: says of which shards.
    pub(in super::super) fn take_all(&self) {
        self.afresh.store(false, Ordering::Release);
        *self.lanes.lock() = self.wanted();
    }

    /// Notes which endpoints' attempts have to end before their shards are given up; their lanes have
    /// been taken out.
    fn note_leaving(&self, of: impl FnOnce(&Shards) -> Vec<EndpointKey>) {
        if let Some(leaving) = self.leaving.lock().as_mut()
            && leaving.endpoints.is_none()
        {
            leaving.endpoints = Some(of(&leaving.shards));
        }
    }
}

/// Applies changes of ownership for as long as the gateway lives.
pub(in super::super) async fn follow(node: Arc<Node>, gateway: Weak<Gateway>) {
    loop {
        node.ownership_changed.notified().await;
        let Some(gateway) = gateway.upgrade() else { return };
        while let Err(error) = gateway.settle_ownership(&node).await {
            tracing::error!(%error, "endpoints could not be taken over; trying again");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Gateway {
    /// Whether this node delivers to an endpoint of a source, or of an application that is none. Notes
    /// what does not follow its shard; the store sees to it that two never deliver at once.
    pub(in super::super) fn delivers_to(
        &self,
        endpoint: &Endpoint,
        source: Option<&SourceInForce>,
    ) -> bool {
        let Some(node) = &self.node else { return true };
        if node.is_parting() {
            node.lend(endpoint.key, false);
            return false;
        }
        if endpoint.settings.kind == EndpointKind::Listen {
            let connected = self.relay.is_connected(endpoint.key);
            node.lend(endpoint.key, connected);
            return connected;
        }
        if endpoint.origin == Origin::Api {
            return node.has(endpoint.key);
        }
        // What this node's file does not declare it cannot deliver to.
        let Some(source) = source else {
            node.set_apart(endpoint.key, Some(Apart::Elsewhere));
            return false;
        };
        let uid = endpoint.uid.as_deref().unwrap_or_default();
        let holder = node.holder(&source.rules.id, uid);
        node.hold(endpoint.key, holder);
        match holder {
            Some(holder) => holder == node.number(),
            // What only files of nodes declared that have gone waits, until it is removed.
            None => {
                node.has(endpoint.key) && source.rules.endpoints.iter().any(|own| own.id == uid)
            }
        }
    }

    /// Begins nothing more here and lets other nodes go on, while what is under way ends: for a node
    /// that is about to end. Waits for no store.
    pub(in super::super) async fn give_back(&self) {
        let Some(node) = &self.node else { return };
        node.parting.store(true, Ordering::Release);
        match tokio::time::timeout(GIVE_BACK_PATIENCE, self.changing.lock()).await {
            Ok(registry) => {
                node.take_all();
                self.engine.endpoints_set(Vec::new());
                node.forget_apart(|_| false);
                node.give_up_all(|shards| registry.in_shards(|shard| shards.has(shard)));
            }
            // The store tells with the renewal what is to be given up, and `follow` does it.
            Err(_) => tracing::warn!("a change is being put in force; others take over after it"),
        }
        node.renew_now.notify_one();
    }

    /// Gives the engine the lanes that it should have, and takes others away.
    async fn settle_ownership(&self, node: &Node) -> Result<(), ServeError> {
        let mut registry = self.changing.lock().await;
        let wanted = node.wanted();
        let had = *node.lanes.lock();
        let (gained, lost) = (wanted.without(&had), had.without(&wanted));
        let many = registry.in_shards(|shard| gained.has(shard)).len() > ONE_BY_ONE_MAX;
        if node.afresh.load(Ordering::Acquire) || many {
            self.put_in_force(Current::clone(&self.current.load()), &mut registry).await?;
        } else {
            *node.lanes.lock() = wanted;
            let gone = registry.in_shards(|shard| lost.has(shard)).into_iter();
            for endpoint in gone.filter(|endpoint| !node.delivers_apart(*endpoint)) {
                self.acts.forget(endpoint);
                self.engine.endpoint_remove(endpoint);
            }
            if !gained.is_empty()
                && let Err(error) = self.take_shards(&gained, &mut registry).await
            {
                // Which of them have come is not known.
                node.afresh.store(true, Ordering::Release);
                return Err(error);
            }
            registry.divide_rates(Some(node));
        }
        node.note_leaving(|leaving| registry.in_shards(|shard| leaving.has(shard)));
        Ok(())
    }

    /// Gives the engine the endpoints of shards that have become this node's.
    async fn take_shards(
        &self,
        gained: &Shards,
        registry: &mut Registry,
    ) -> Result<(), ServeError> {
        tracing::info!(shards = gained.len(), "node.takes");
        for owner in self.store.owner_list().await? {
            for endpoint in self.store.config_list(owner).await?.endpoints {
                let gains = gained.has(shard_of(endpoint.key));
                if gains && endpoint.state != EndpointState::Removed {
                    self.transforms.take_over(self, owner, &endpoint).await?;
                    self.put_endpoint(registry, owner, &endpoint);
                }
            }
        }
        Ok(())
    }
}
