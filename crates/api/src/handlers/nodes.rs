//! The nodes that share the store, and what is to be known about the database.

use serde::Serialize;

use crate::call::{Answer, Call};
use crate::state::{NodeShown, NodesShown};
use crate::times;

/// A node as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeOut {
    number: u32,
    name: String,
    version: String,
    roles: Vec<&'static str>,
    shards: u32,
    joined_at: String,
    expires_in_ms: i64,
    own: bool,
}

/// Something to be known about the database.
#[derive(Debug, Serialize)]
pub(crate) struct AdviceOut {
    code: &'static str,
    text: String,
    urgent: bool,
}

/// All nodes.
#[derive(Debug, Serialize)]
pub(crate) struct NodesOut {
    store: &'static str,
    data: Vec<NodeOut>,
    advice: Vec<AdviceOut>,
}

/// `GET /api/v1/becket/nodes`
pub(crate) async fn list(call: Call) -> Answer<NodesOut> {
    let NodesShown { store, nodes, advice } = call.shared.api.control.nodes();
    let node = |one: NodeShown| NodeOut {
        number: one.number,
        name: one.name,
        version: one.version,
        roles: one.roles,
        shards: one.shards,
        joined_at: times::text(one.joined_at_ms),
        expires_in_ms: one.expires_in_ms,
        own: one.own,
    };
    let advice = advice.into_iter().map(|one| AdviceOut {
        code: one.code,
        text: one.text,
        urgent: one.urgent,
    });
    Answer::ok(NodesOut {
        store,
        data: nodes.into_iter().map(node).collect(),
        advice: advice.collect(),
    })
}
