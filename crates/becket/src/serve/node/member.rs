//! Joining, renewing, giving up, and joining again.
//!
//! Invariants: nothing here waits for anything but the store, so that a renewal is never late because
//! of other work; the moment until which the membership holds is counted from before the store was
//! asked; an endpoint that hangs holds up the giving up of its own shard, and of no other.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_engine::Tenure;
use becket_model::EndpointKey;
use becket_store::cluster::{Cluster, Membership, News, NodeNew, shard_of};
use becket_store::{LeaseToken, StoreError};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Node, Shards, Standing, process};

/// How often it is looked whether others have gone, and what is due if there are others.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a node that is alone looks what is due: what was put back by a call whose answer was lost
/// waits without anybody knowing.
const ALONE_EVERY: u32 = 5;
/// How often it is looked whether what leaves has gone.
const LEAVING_LOOK: Duration = Duration::from_millis(50);
/// How long after some shards were given up the next ones are, unless they are the last.
const RELEASE_EVERY: Duration = Duration::from_millis(200);
/// How long attempts under way may take before their shard is given up all the same; they end and are
/// recorded whoever has the shard.
const LEAVING_MAX: Duration = Duration::from_secs(20);
/// How soon a renewal that failed is tried again, at most.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// Shards that are about to be given up.
#[derive(Debug, Clone)]
pub(super) struct Leaving {
    /// Those that have not been given up yet.
    pub(super) shards: Shards,
    /// The endpoints whose attempts are waited for, once they have been taken out of the engine.
    pub(super) endpoints: Option<Vec<EndpointKey>>,
    since: Instant,
    /// When some of them were given up last.
    released_at: Option<Instant>,
}

impl Leaving {
    pub(super) fn of(shards: Shards, endpoints: Option<Vec<EndpointKey>>) -> Self {
        Self { shards, endpoints, since: Instant::now(), released_at: None }
    }

    /// What can be given up now: shards of which nothing is under way any more, by what `is_under_way`
    /// says of an endpoint; all of them when they have had their time.
    fn ended(&mut self, now: Instant, is_under_way: impl Fn(EndpointKey) -> bool) -> Shards {
        let Some(endpoints) = &mut self.endpoints else { return Shards::default() };
        endpoints.retain(|endpoint| is_under_way(*endpoint));
        if now.duration_since(self.since) >= LEAVING_MAX {
            return self.shards;
        }
        let held: Vec<u16> = endpoints.iter().map(|endpoint| shard_of(*endpoint)).collect();
        self.shards.without(&Shards::of(&held))
    }

    /// Whether it is time to give these up.
    fn is_due(&self, now: Instant, ended: &Shards) -> bool {
        let rested = self.released_at.is_none_or(|at| now.duration_since(at) >= RELEASE_EVERY);
        !ended.is_empty() && (rested || *ended == self.shards)
    }
}

/// Joins; nodes of this machine whose processes are gone are not waited for.
pub(super) async fn join(cluster: &dyn Cluster, new: NodeNew) -> Result<Membership, StoreError> {
    let joined = cluster.join(new.clone()).await?;
    let gone = process::gone(&joined.nodes, joined.node);
    if gone.is_empty() {
        return Ok(joined);
    }
    tracing::info!(nodes = gone.len(), "node.gone_here: their processes have ended");
    cluster.leave().await?;
    cluster.join(NodeNew { gone, ..new }).await
}

/// Keeps the membership, for as long as the node is there.
pub(super) async fn keep(node: Weak<Node>) {
    let Some(first) = node.upgrade() else { return };
    let mut news = first.cluster.news();
    let renew_every = first.renew_every;
    drop(first);
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renew_at = Instant::now() + renew_every;
    let mut ticks = 0_u32;
    loop {
        let Some(node) = node.upgrade() else { return };
        if node.stopping.load(Ordering::Acquire) {
            return;
        }
        let is_leaving = node.leaving.lock().is_some();
        let renew = tokio::select! {
            biased;
            () = tokio::time::sleep_until(renew_at) => true,
            () = node.renew_now.notified() => true,
            heard = news.recv() => node.hear(heard),
            _ = tick.tick() => {
                ticks = ticks.wrapping_add(1);
                if node.has_others() || ticks.is_multiple_of(ALONE_EVERY) {
                    node.engine.look();
                }
                node.look(renew_at).await
            }
            () = tokio::time::sleep(LEAVING_LOOK), if is_leaving => node.may_give_up(),
        };
        if renew {
            let asked = Instant::now();
            renew_at = match node.renew().await {
                Ok(()) => asked + renew_every,
                Err(error) => {
                    tracing::warn!(code = error.code(), %error, "the membership could not be renewed; trying again");
                    Instant::now() + (renew_every / 4).min(AGAIN_MAX)
                }
            };
        }
    }
}

impl Node {
    /// Takes in what was heard; whether to renew at once.
    fn hear(&self, heard: Result<News, RecvError>) -> bool {
        match heard {
            Ok(News::Wake(endpoints)) if !endpoints.is_empty() => {
                endpoints.into_iter().for_each(|endpoint| self.engine.wake(endpoint));
                false
            }
            Ok(News::Wake(_)) => {
                self.engine.look();
                false
            }
            Ok(News::Changed) => {
                self.config_changed.notify_one();
                false
            }
            Ok(News::Nodes) => true,
            Ok(News::Reconnected) | Err(RecvError::Lagged(_)) => {
                self.engine.look();
                self.config_changed.notify_one();
                true
            }
            // The store is closed: there is nothing to hear any more.
            Err(RecvError::Closed) => false,
        }
    }

    /// Looks how things stand, not longer than until it is renewed anyway; whether to renew at once.
    async fn look(&self, renew_at: Instant) -> bool {
        let asked = Instant::now();
        if self.renew_every <= LOOK_EVERY {
            return false;
        }
        match tokio::time::timeout_at(renew_at, self.cluster.look()).await {
            Ok(Ok(look)) => {
                self.clock.seen(look.now_ms, asked);
                self.heard_of(look.revision);
                look.renew
            }
            // The renewal says what is wrong.
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Whether some of the shards that are to be given up should be now.
    fn may_give_up(&self) -> bool {
        let mut leaving = self.leaving.lock();
        let Some(leaving) = leaving.as_mut() else { return false };
        let now = Instant::now();
        let ended = leaving.ended(now, |endpoint| self.engine.is_leaving(endpoint));
        leaving.is_due(now, &ended)
    }

    /// Renews the membership; joins again if it was over.
    async fn renew(&self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let is_under_way = |endpoint| self.engine.is_leaving(endpoint);
        let released = match self.leaving.lock().as_mut() {
            Some(leaving) => leaving.ended(asked, is_under_way),
            None => Shards::default(),
        };
        let renewed = self.cluster.renew(self.roles(), released.list()).await?;
        let Some(membership) = renewed else { return self.join_again().await };
        self.has_given_up(&released, &membership);
        self.told(&membership, asked);
        self.prolong();
        self.give_up(&membership.surplus);
        Ok(())
    }

    /// Shards are free for others.
    fn has_given_up(&self, released: &Shards, membership: &Membership) {
        let mut leaving = self.leaving.lock();
        let Some(known) = leaving.as_mut() else { return };
        known.shards = known.shards.without(released);
        if !released.is_empty() {
            known.released_at = Some(Instant::now());
        }
        // Without surplus others do not need any more what was about to be given up. What the store
        // said before it heard that this node is about to end does not count.
        let kept = membership.surplus.is_empty() && !self.parting.load(Ordering::Acquire);
        if known.shards.is_empty() || kept {
            *leaving = None;
        }
    }

    /// Begins to take the lanes of shards out that others should have.
    fn give_up(&self, surplus: &[u16]) {
        let mut leaving = self.leaving.lock();
        if surplus.is_empty() || leaving.is_some() {
            return;
        }
        *leaving = Some(Leaving::of(Shards::of(surplus), None));
        drop(leaving);
        tracing::info!(shards = surplus.len(), "node.gives_up");
        self.ownership_changed.notify_one();
    }

    /// The others have taken this node for dead: what it held is theirs, and it begins anew, unless it
    /// ends anyway.
    async fn join_again(&self) -> Result<(), StoreError> {
        let _turn = self.joining.lock().await;
        if self.stopping.load(Ordering::Acquire) {
            return Ok(());
        }
        tracing::warn!(
            node = self.number().0,
            "node.lost: the others took this node for dead; joining again"
        );
        let now = Instant::now();
        self.engine.tenure_set(Tenure { may_start_until: now, first_lease: LeaseToken(u64::MAX) });
        *self.lanes.lock() = Shards::default();
        *self.leaving.lock() = None;
        self.engine.endpoints_set(Vec::new());
        let new = NodeNew { roles: self.roles(), ..self.new.lock().clone() };
        let asked = Instant::now();
        let joined = join(self.cluster.as_ref(), new).await?;
        self.clock.seen(joined.now_ms, asked);
        tracing::info!(node = joined.node.0, shards = joined.shards.len(), "node.joined");
        self.standing.store(Arc::new(Standing::of(&joined, asked, self.lease)));
        self.heard_of(joined.revision);
        self.prolong();
        self.afresh.store(true, Ordering::Release);
        self.ownership_changed.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_given_up_first_and_the_rest_in_its_time() {
        let mut leaving = Leaving::of(Shards::of(&[1, 2, 3]), None);
        let began = leaving.since;
        assert!(leaving.ended(began, |_| false).is_empty(), "nothing has been taken out yet");
        leaving.endpoints = Some(vec![EndpointKey(1), EndpointKey(2), EndpointKey(257)]);
        let ended = leaving.ended(began, |endpoint| endpoint.0 != 2);
        assert_eq!(ended.list(), [2, 3], "both endpoints of the other shard are under way");
        assert!(leaving.is_due(began, &ended));
        leaving.shards = leaving.shards.without(&ended);
        leaving.released_at = Some(began);
        assert!(leaving.ended(began, |endpoint| endpoint.0 == 257).is_empty());
        let late = began + LEAVING_MAX;
        let ended = leaving.ended(late, |_| true);
        assert_eq!(ended.list(), [1]);
        assert!(leaving.is_due(late, &ended));
    }

    #[test]
    fn few_are_gathered_for_a_moment_unless_they_are_the_last() {
        let mut leaving = Leaving::of(Shards::of(&[1, 2]), Some(vec![EndpointKey(1)]));
        let began = leaving.since;
        leaving.released_at = Some(began);
        let ended = leaving.ended(began, |_| true);
        assert_eq!(ended.list(), [2]);
        assert!(!leaving.is_due(began, &ended));
        assert!(leaving.is_due(began, &leaving.shards), "the last");
        assert!(leaving.is_due(began + RELEASE_EVERY, &ended));
    }
}
