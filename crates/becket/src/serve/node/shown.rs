//! The nodes as the API shows them.

use becket_api::{AdviceShown, NodeShown, NodesShown};
use becket_store::cluster::Roles;

use super::Node;

impl Node {
    /// All nodes, and what is to be known about the database.
    pub(in super::super) fn shown(&self) -> NodesShown {
        let standing = self.standing.load();
        let age_ms = i64::try_from(standing.asked.elapsed().as_millis()).unwrap_or(i64::MAX / 2);
        let nodes = standing.nodes.iter().map(|node| NodeShown {
            number: node.number.0,
            name: node.name.clone(),
            version: node.version.clone(),
            roles: words(node.roles),
            shards: u32::from(node.shards),
            joined_at_ms: node.joined_at_ms,
            expires_in_ms: node.expires_in_ms.saturating_sub(age_ms),
            own: node.number == standing.own,
        });
        let advice = self.advice.load();
        let advice = advice.iter().map(|one| AdviceShown {
            code: one.code,
            text: one.text.clone(),
            urgent: one.urgent,
        });
        NodesShown { store: "postgres", nodes: nodes.collect(), advice: advice.collect() }
    }
}

fn words(roles: Roles) -> Vec<&'static str> {
    let all = [(roles.ingress, "ingress"), (roles.engine, "engine"), (roles.api, "api")];
    all.into_iter().filter_map(|(has, word)| has.then_some(word)).collect()
}
