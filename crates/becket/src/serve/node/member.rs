//! Joining, renewing, giving up, and joining again.
//!
//! Invariants: nothing here waits for anything but the store, so that a renewal is never late because
//! of other work; the moment until which the membership holds is counted from before the store was
//! asked.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_engine::Tenure;
use becket_model::EndpointKey;
use becket_store::cluster::{Cluster, Membership, News, NodeNew};
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
/// How long attempts under way may take before their shard is given up all the same; they end and are
/// recorded whoever has the shard.
const LEAVING_MAX: Duration = Duration::from_secs(20);
/// How soon a renewal that failed is tried again, at most.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// Shards that are about to be given up.
#[derive(Debug, Clone)]
pub(super) struct Leaving {
    pub(super) list: Vec<u16>,
    pub(super) shards: Shards,
    /// The endpoints whose attempts are waited for, once they have been taken out of the engine.
    pub(super) endpoints: Option<Vec<EndpointKey>>,
    pub(super) since: Instant,
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
            heard = news.recv() => node.hear(heard),
            _ = tick.tick() => {
                ticks = ticks.wrapping_add(1);
                if node.has_others() || ticks.is_multiple_of(ALONE_EVERY) {
                    node.engine.look();
                }
                node.look(renew_at).await
            }
            () = tokio::time::sleep(LEAVING_LOOK), if is_leaving => node.has_left(),
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

    /// Whether everything of the shards that are to be given up has ended, or had its time.
    fn has_left(&self) -> bool {
        let leaving = self.leaving.lock();
        let Some(Leaving { endpoints: Some(endpoints), since, .. }) = leaving.as_ref() else {
            return false;
        };
        since.elapsed() >= LEAVING_MAX || !endpoints.iter().any(|key| self.engine.is_leaving(*key))
    }

    /// Renews the membership; joins again if it was over.
    async fn renew(&self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let release = match self.has_left() {
            true => self.leaving.lock().as_ref().map(|leaving| leaving.list.clone()),
            false => None,
        };
        let released = release.is_some();
        let Some(membership) = self.cluster.renew(release.unwrap_or_default()).await? else {
            if self.stopping.load(Ordering::Acquire) {
                return Ok(());
            }
            return self.join_again().await;
        };
        // Without surplus others do not need any more what was about to be given up.
        if released || membership.surplus.is_empty() {
            *self.leaving.lock() = None;
        }
        self.told(&membership, asked);
        self.prolong();
        self.give_up(&membership.surplus);
        Ok(())
    }

    /// Begins to take the lanes of shards out that others should have.
    fn give_up(&self, surplus: &[u16]) {
        let mut leaving = self.leaving.lock();
        if surplus.is_empty() || leaving.is_some() {
            return;
        }
        *leaving = Some(Leaving {
            list: surplus.to_vec(),
            shards: Shards::of(surplus),
            endpoints: None,
            since: Instant::now(),
        });
        drop(leaving);
        tracing::info!(shards = surplus.len(), "node.gives_up");
        self.ownership_changed.notify_one();
    }

    /// The others have taken this node for dead: what it held is theirs, and it begins anew.
    async fn join_again(&self) -> Result<(), StoreError> {
        tracing::warn!(
            node = self.number().0,
            "node.lost: the others took this node for dead; joining again"
        );
        let now = Instant::now();
        self.engine.tenure_set(Tenure { may_start_until: now, first_lease: LeaseToken(u64::MAX) });
        *self.lanes.lock() = Shards::default();
        *self.leaving.lock() = None;
        self.engine.endpoints_set(Vec::new());
        let new = self.new.lock().clone();
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
