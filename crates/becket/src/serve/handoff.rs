//! The engine, as accepting sees it, with the other nodes behind it.

use std::sync::Arc;

use becket_engine::Engine;
use becket_ingress::Handoff;
use becket_model::EndpointKey;
use becket_store::LeasedDelivery;

use super::node::Node;

/// Hands deliveries to this node's engine; others are told that there is something for them.
pub(super) struct EngineHandoff {
    engine: Engine,
    node: Option<Arc<Node>>,
}

impl EngineHandoff {
    pub(super) fn new(engine: &Engine, node: Option<&Arc<Node>>) -> Arc<Self> {
        Arc::new(Self { engine: engine.clone(), node: node.cloned() })
    }
}

impl Handoff for EngineHandoff {
    fn reserve(&self, endpoint: EndpointKey) -> bool {
        self.engine.reserve(endpoint)
    }

    fn cancel(&self, endpoint: EndpointKey) {
        self.engine.cancel(endpoint);
    }

    fn hand_over(&self, delivery: LeasedDelivery) {
        self.engine.hand_over(delivery);
    }

    fn wake(&self, endpoint: EndpointKey) {
        match &self.node {
            Some(node) => node.wake(endpoint),
            None => self.engine.wake(endpoint),
        }
    }
}
