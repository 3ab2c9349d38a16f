//! What nodes tell each other by NOTIFY: `7 wcn 12,13` is node 7 saying that deliveries wait for
//! endpoints 12 and 13, that the configuration has changed, and that nodes have come or gone.
//!
//! Invariants: a message is never longer than the database takes; one that names too many endpoints
//! says that it could be any. Letters that are not known are passed over, for the sake of newer nodes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use becket_model::EndpointKey;
use becket_store::cluster::{News, NodeNumber};

/// A message may have 7999 bytes.
const LENGTH_MAX: usize = 7_000;

/// What is to be told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// Deliveries wait for these endpoints.
    pub(super) wake: BTreeSet<u32>,
    /// Deliveries wait, for whatever endpoint.
    pub(super) wake_any: bool,
    /// The configuration has changed.
    pub(super) changed: bool,
    /// Nodes have come or gone, or shards are free.
    pub(super) nodes: bool,
}

impl Said {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds endpoints; when there are too many for a message they are no longer kept.
    pub(super) fn wake(&mut self, endpoints: &[EndpointKey]) {
        if !self.wake_any {
            self.wake.extend(endpoints.iter().map(|endpoint| endpoint.0));
            self.wake_any = self.wake.len() > LENGTH_MAX / 2;
        }
        if self.wake_any {
            self.wake.clear();
        }
    }

    /// Both together.
    pub(super) fn add(&mut self, other: Self) {
        self.wake_any |= other.wake_any;
        self.changed |= other.changed;
        self.nodes |= other.nodes;
        let more: Vec<_> = other.wake.into_iter().map(EndpointKey).collect();
        self.wake(&more);
    }

    /// The message.
    pub(super) fn message(&self, node: NodeNumber) -> String {
        let mut endpoints = String::new();
        for key in &self.wake {
            let comma = if endpoints.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(endpoints, "{comma}{key}");
        }
        if self.wake_any || endpoints.len() > LENGTH_MAX {
            endpoints.clear();
        }
        let waiting = self.wake_any || !self.wake.is_empty();
        let letters = [(waiting, "w"), (self.changed, "c"), (self.nodes, "n")];
        let letters: String = letters.iter().filter(|told| told.0).map(|told| told.1).collect();
        format!("{} {letters} {endpoints}", node.0)
    }
}

/// The sender and what it says; `None` if it is no message of a node.
pub(super) fn understand(message: &str) -> Option<(NodeNumber, Vec<News>)> {
    let mut parts = message.split(' ');
    let node = NodeNumber(parts.next()?.parse().ok()?);
    let letters = parts.next()?;
    let endpoints = parts.next().unwrap_or_default();
    let mut news = Vec::new();
    if letters.contains('w') {
        let keys = endpoints.split(',').filter(|key| !key.is_empty());
        let keys: Result<Vec<_>, _> = keys.map(|key| key.parse().map(EndpointKey)).collect();
        // What cannot be read could be any.
        news.push(News::Wake(keys.unwrap_or_default()));
    }
    if letters.contains('c') {
        news.push(News::Changed);
    }
    if letters.contains('n') {
        news.push(News::Nodes);
    }
    Some((node, news))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wake(keys: &[u32]) -> News {
        News::Wake(keys.iter().copied().map(EndpointKey).collect())
    }

    #[test]
    fn what_is_said_is_understood() {
        let node = NodeNumber(7);
        let mut said = Said { changed: true, ..Said::default() };
        assert_eq!(understand(&said.message(node)), Some((node, vec![News::Changed])));
        said.wake(&[EndpointKey(13), EndpointKey(12), EndpointKey(13)]);
        said.nodes = true;
        assert_eq!(said.message(node), "7 wcn 12,13");
        let all = vec![wake(&[12, 13]), News::Changed, News::Nodes];
        assert_eq!(understand("7 wcn 12,13"), Some((node, all)));
        assert_eq!(understand("7 xz later"), Some((node, Vec::new())), "a newer node's");
        assert_eq!(understand("7 w 1,x"), Some((node, vec![wake(&[])])));
        assert_eq!(understand("hello there"), None);
    }

    #[test]
    fn too_many_endpoints_are_any() {
        let keys = |range: std::ops::Range<u32>| range.map(EndpointKey).collect::<Vec<_>>();
        let mut said = Said::default();
        said.wake(&keys(1_000_000..1_001_000));
        assert!(!said.wake_any && said.wake.len() == 1_000, "it is the message that is too long");
        assert_eq!(understand(&said.message(NodeNumber(1))).unwrap().1, [wake(&[])]);
        said.wake(&keys(1..4_000));
        assert!(said.wake_any && said.wake.is_empty());
        let mut other = Said::default();
        other.wake(&keys(5..6));
        other.add(said);
        assert_eq!(other.message(NodeNumber(1)), "1 w ");
        assert_eq!(understand("1 w ").unwrap().1, [wake(&[])]);
    }
}
