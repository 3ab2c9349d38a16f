//! What an operator should know about the database, looked at once a minute.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_store::cluster::Advice;

use super::Node;

const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Looks, and says what is new, for as long as the node is there.
pub(in super::super) async fn watch(node: Weak<Node>) {
    let mut known: BTreeSet<&'static str> = BTreeSet::new();
    loop {
        let Some(own) = node.upgrade() else { return };
        match own.cluster.advice().await {
            Ok(advice) => {
                for one in advice.iter().filter(|one| !known.contains(one.code)) {
                    if one.urgent {
                        tracing::error!(code = one.code, "database.at_risk: {}", one.text);
                    } else {
                        tracing::warn!(code = one.code, "database.advice: {}", one.text);
                    }
                }
                let now: BTreeSet<&'static str> = advice.iter().map(|one| one.code).collect();
                for over in known.difference(&now) {
                    tracing::info!(code = over, "database.advice_over");
                }
                known = now;
                own.advice.store(Arc::new(advice));
            }
            Err(becket_store::StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "the database could not be looked at");
            }
        }
        drop(own);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Node {
    /// What an operator should know, as it was seen last.
    pub(in super::super) fn advice(&self) -> Arc<Vec<Advice>> {
        self.advice.load_full()
    }
}
