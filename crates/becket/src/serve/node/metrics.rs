//! Metrics of the database store and of the nodes, read when somebody asks.

use std::sync::Arc;

use becket_store::cluster::Gauges;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::Node;

/// What was sampled last; empty where the store is no database.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct StoreMetrics(Arc<Mutex<Option<Sampled>>>);

#[derive(Debug)]
struct Sampled {
    gauges: Gauges,
    nodes: u64,
    shards: u64,
    lease_s: f64,
    urgent: u64,
}

impl StoreMetrics {
    /// Takes over how things are now.
    pub(in super::super) fn sample(&self, node: &Node) {
        let standing = node.standing.load();
        let left = standing.until.saturating_duration_since(tokio::time::Instant::now());
        *self.0.lock() = Some(Sampled {
            gauges: node.cluster.gauges(),
            nodes: standing.nodes.len() as u64,
            shards: u64::from(standing.shards.len()),
            lease_s: left.as_secs_f64(),
            urgent: node.advice().iter().filter(|one| one.urgent).count() as u64,
        });
    }
}

impl Collector for StoreMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let sampled = self.0.lock();
        let Some(sampled) = sampled.as_ref() else { return Ok(()) };
        let gauges = &sampled.gauges;
        let overdue_s = gauges.lease_overdue_ms as f64 / 1_000.0;
        let levels: [(&str, &str, f64); 10] = [
            ("database_connections", "Open connections to the database", gauges.connections as f64),
            ("database_connections_busy", "Those in use", gauges.connections_busy as f64),
            ("database_connections_max", "The most there may be", gauges.connections_max as f64),
            (
                "database_waiting",
                "Calls that wait for a connection or a commit",
                gauges.waiting as f64,
            ),
            (
                "database_partitions",
                "Partitions of events, one for each day",
                gauges.partitions as f64,
            ),
            (
                "database_urgent",
                "Things about the database that put data or service at risk",
                sampled.urgent as f64,
            ),
            ("nodes", "Nodes that share the store", sampled.nodes as f64),
            (
                "node_shards",
                "Shards of endpoints that this node delivers to, of 256",
                sampled.shards as f64,
            ),
            (
                "node_membership_seconds",
                "For how long this node surely belongs to the others",
                sampled.lease_s,
            ),
            ("lease_overdue_seconds", "How far the oldest lease is beyond its end", overdue_s),
        ];
        for (name, help, value) in levels {
            let metric = ConstGauge::new(value);
            let one = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            metric.encode(one)?;
        }
        let counts: [(&str, &str, u64); 2] = [
            ("database_committed", "Events and results that were committed", gauges.committed),
            ("database_connections_lost", "Connections that were lost", gauges.connections_lost),
        ];
        for (name, help, value) in counts {
            let metric = ConstCounter::new(value);
            let one = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode(one)?;
        }
        let count = gauges.commits.iter().map(|(_, count)| count).sum();
        let bounded = gauges.commits.iter().filter(|(bound, _)| bound.is_finite());
        let mut commits: Vec<(f64, u64)> = bounded.copied().collect();
        let beyond = gauges.commits.iter().filter(|(bound, _)| !bound.is_finite());
        commits.push((f64::INFINITY, beyond.map(|(_, count)| count).sum()));
        let unit = Unit::Seconds;
        let mut one = encoder.encode_descriptor(
            "database_commit_duration",
            "How long a commit took, as the one who waits for it sees it",
            Some(&unit),
            MetricType::Histogram,
        )?;
        one.encode_histogram::<NoLabelSet>(gauges.commit_seconds, count, &commits, None)
    }
}
