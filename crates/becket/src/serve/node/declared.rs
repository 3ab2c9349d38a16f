//! What files declare: several nodes with files of their own must not undo each other's.
//!
//! Every node tells the others the names of what its file declares. When one declares its own to the
//! store, what other live nodes declare is declared with it as it stands there, so that it is not
//! removed; it goes when no live node has declared it for a while.
//!
//! What only some of the nodes that deliver declare, one of those delivers to, whatever its shard: the
//! others do not know its headers and its secret.
//!
//! Invariant: of what two files declare, the one that was declared last counts. They should agree;
//! during a change of the files they may differ for a while.

use std::collections::{BTreeMap, BTreeSet};

use becket_model::{ApplicationKind, EndpointState, Origin};
use becket_store::cluster::{NodeNumber, NodeRow};
use becket_store::{ConfigSnapshot, EndpointDeclaration, SourceDeclaration};

use crate::config;

/// Names of sources, each with the names of its endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Declared(BTreeMap<String, BTreeSet<String>>);

impl Declared {
    /// What sources of a file declare.
    pub(in super::super) fn of(sources: &[config::Source]) -> Self {
        let one = |source: &config::Source| {
            let endpoints = source.endpoints.iter().map(|endpoint| endpoint.id.clone());
            (source.id.clone(), endpoints.collect())
        };
        Self(sources.iter().map(one).collect())
    }

    /// What live nodes other than this one declare.
    pub(super) fn of_others(nodes: &[NodeRow], own: NodeNumber) -> Self {
        Self::of_nodes(nodes.iter().filter(|node| node.number != own))
    }

    /// What live nodes declare.
    pub(super) fn of_all(nodes: &[NodeRow]) -> Self {
        Self::of_nodes(nodes.iter())
    }

    fn of_nodes<'n>(nodes: impl Iterator<Item = &'n NodeRow>) -> Self {
        let mut all = Self::default();
        for node in nodes.filter(|node| node.expires_in_ms > 0) {
            for (source, endpoints) in Self::read(&node.declared).0 {
                all.0.entry(source).or_default().extend(endpoints);
            }
        }
        all
    }

    /// What the store has of files.
    pub(super) fn stored(stored: &ConfigSnapshot) -> Self {
        let mut all = Self::default();
        for source in stored.applications.iter() {
            let Some(name) = source.uid.as_ref().filter(|name| is_of_file(source, name)) else {
                continue;
            };
            let of_file = stored.endpoints.iter().filter(|endpoint| {
                endpoint.application == source.key
                    && endpoint.origin == Origin::File
                    && endpoint.state != EndpointState::Removed
            });
            let names = of_file.filter_map(|endpoint| endpoint.uid.clone()).collect();
            all.0.insert(name.clone(), names);
        }
        all
    }

    /// What another does not name: sources, and endpoints with their sources.
    pub(super) fn beyond(&self, other: &Self) -> BTreeSet<(String, Option<String>)> {
        let mut beyond = BTreeSet::new();
        for (source, endpoints) in &self.0 {
            if !other.has_source(source) {
                beyond.insert((source.clone(), None));
            }
            let unnamed = endpoints.iter().filter(|endpoint| !other.has_endpoint(source, endpoint));
            beyond.extend(unnamed.map(|endpoint| (source.clone(), Some(endpoint.clone()))));
        }
        beyond
    }

    pub(super) fn text(&self) -> String {
        serde_json::json!(self.0).to_string()
    }

    /// Reads what another node tells; of one that cannot be read nothing is known.
    fn read(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    pub(super) fn has_source(&self, source: &str) -> bool {
        self.0.contains_key(source)
    }

    pub(super) fn has_endpoint(&self, source: &str, endpoint: &str) -> bool {
        self.0.get(source).is_some_and(|endpoints| endpoints.contains(endpoint))
    }

    /// Whether something that is named here has been removed.
    pub(super) fn is_undone(&self, stored: &ConfigSnapshot) -> bool {
        self.0.iter().any(|(name, endpoints)| {
            let Some(source) = stored.applications.iter().find(|one| is_of_file(one, name)) else {
                return true;
            };
            let is_there = |uid: &String| {
                stored.endpoints.iter().any(|endpoint| {
                    endpoint.application == source.key
                        && endpoint.uid.as_ref() == Some(uid)
                        && endpoint.state != EndpointState::Removed
                })
            };
            !endpoints.iter().all(is_there)
        })
    }

    /// Whether a source that is named here is not (any more) in the store.
    pub(super) fn missing(&self, stored: &ConfigSnapshot) -> bool {
        self.0.keys().any(|name| !stored.applications.iter().any(|one| is_of_file(one, name)))
    }
}

/// Endpoints that only some of the nodes that deliver declare, with the one of those that delivers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Split(BTreeMap<String, BTreeMap<String, NodeNumber>>);

impl Split {
    pub(super) fn of(nodes: &[NodeRow]) -> Self {
        let deliver: Vec<(NodeNumber, Declared)> = nodes
            .iter()
            .filter(|node| node.roles.engine && node.expires_in_ms > 0)
            .map(|node| (node.number, Declared::read(&node.declared)))
            .collect();
        let mut split = Self::default();
        // The first that declares it is the one with the lowest number.
        for (number, declared) in &deliver {
            for (source, endpoints) in &declared.0 {
                for endpoint in endpoints {
                    if deliver.iter().all(|(_, other)| other.has_endpoint(source, endpoint)) {
                        continue;
                    }
                    let known = split.0.entry(source.clone()).or_default();
                    known.entry(endpoint.clone()).or_insert(*number);
                }
            }
        }
        split
    }

    /// Which node delivers to an endpoint of a file, if that is not its shard's.
    pub(super) fn holder(&self, source: &str, endpoint: &str) -> Option<NodeNumber> {
        self.0.get(source)?.get(endpoint).copied()
    }
}

fn is_of_file(application: &becket_store::Application, name: &str) -> bool {
    application.origin == Origin::File
        && application.kind == ApplicationKind::Source
        && !application.removed
        && application.uid.as_deref() == Some(name)
}

/// Adds to a node's own declarations what others declare, as it stands in the store.
pub(super) fn add_others(
    own: &mut Vec<SourceDeclaration>,
    others: &Declared,
    stored: &ConfigSnapshot,
) {
    for (name, names) in &others.0 {
        let Some(known) = stored.applications.iter().find(|one| is_of_file(one, name)) else {
            continue;
        };
        let place = own.iter().position(|one| one.uid == *name).unwrap_or_else(|| {
            own.push(SourceDeclaration {
                uid: name.clone(),
                provider: known.settings.provider.clone(),
                id: known.id,
                endpoints: Vec::new(),
            });
            own.len() - 1
        });
        let declared = &mut own[place].endpoints;
        let kept = stored.endpoints.iter().filter(|endpoint| {
            endpoint.application == known.key
                && endpoint.origin == Origin::File
                && endpoint.state != EndpointState::Removed
        });
        for endpoint in kept {
            let Some(uid) = &endpoint.uid else { continue };
            if !names.contains(uid) || declared.iter().any(|one| one.uid == *uid) {
                continue;
            }
            let secret = endpoint.secrets.first().map(|secret| secret.envelope.clone());
            declared.push(EndpointDeclaration {
                uid: uid.clone(),
                settings: endpoint.settings.clone(),
                id: endpoint.id,
                secret: secret.unwrap_or_default(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use becket_store::cluster::Roles;

    use super::*;

    fn node(number: u32, declared: &str, expires_in_ms: i64) -> NodeRow {
        NodeRow {
            number: NodeNumber(number),
            name: String::new(),
            version: String::new(),
            roles: Roles::ALL,
            declared: declared.to_owned(),
            host: String::new(),
            joined_at_ms: 0,
            expires_in_ms,
            shards: 0,
        }
    }

    #[test]
    fn what_not_all_declare_one_of_those_delivers_that_do() {
        let mut nodes = [
            node(1, r#"{"a":["x"]}"#, 5),
            node(2, r#"{"a":["x","y"],"b":["z"]}"#, 5),
            node(3, r#"{"a":["x","y"]}"#, 5),
        ];
        let split = Split::of(&nodes);
        assert_eq!(split.holder("a", "x"), None, "all know it");
        assert_eq!(split.holder("a", "y"), Some(NodeNumber(2)));
        assert_eq!(split.holder("b", "z"), Some(NodeNumber(2)));
        nodes[0].roles.engine = false;
        nodes[1].expires_in_ms = 0;
        assert_eq!(Split::of(&nodes), Split::default(), "one alone delivers to all it knows");
    }

    #[test]
    fn only_others_that_live_count() {
        let nodes = [
            node(1, r#"{"own":[]}"#, 5),
            node(2, r#"{"a":["x"],"b":[]}"#, 5),
            node(3, r#"{"a":["y"]}"#, 5),
            node(4, r#"{"dead":[]}"#, 0),
            node(5, "not JSON", 5),
        ];
        let others = Declared::of_others(&nodes, NodeNumber(1));
        assert!(others.has_endpoint("a", "x") && others.has_endpoint("a", "y"));
        assert!(others.has_source("b") && !others.has_source("own") && !others.has_source("dead"));
        assert_eq!(Declared::read(&others.text()), others);
        assert!(Declared::of_all(&nodes).has_source("own"));
    }

    #[test]
    fn what_is_named_by_nobody_is_told() {
        let stored = Declared::read(r#"{"a":["x","y"],"b":["z"],"c":[],"d":[]}"#);
        let files = Declared::read(r#"{"a":["x"],"c":["new"],"e":[]}"#);
        let names = [("a", Some("y")), ("b", None), ("b", Some("z")), ("d", None)];
        let names =
            names.map(|(source, endpoint)| (source.to_owned(), endpoint.map(str::to_owned)));
        assert_eq!(stored.beyond(&files), BTreeSet::from(names));
    }
}
