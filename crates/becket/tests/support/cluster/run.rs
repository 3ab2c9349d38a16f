//! A drill from its start to its verdict.

use std::path::Path;
use std::time::{Duration, Instant};

use super::balancer::Balancer;
use super::judge::{self, Report};
use super::ledger::{Plan, Producers};
use super::nodes::Nodes;
use super::receivers::Receivers;
use super::traffic;
use crate::support::gateway::Place;
use crate::support::wait_until;

/// How long what is pending may take to be delivered at the end.
const DRAIN_MAX: Duration = Duration::from_secs(120);

/// Nodes under load.
pub struct Drill<'p> {
    /// The gateways.
    pub nodes: Nodes<'p>,
    /// Where their deliveries go.
    pub receivers: Receivers,
    /// Who sends.
    pub producers: Producers,
    /// When the receivers' clock began.
    pub began: Instant,
    resumed: Vec<Duration>,
    name: String,
    // Stops with the drill.
    _balancer: Balancer,
}

impl<'p> Drill<'p> {
    /// Starts nodes, waits until they are ready, and puts load on them.
    pub fn start(name: &str, places: &'p [Place], urls: &[String], plan: Plan) -> Self {
        let began = Instant::now();
        let receivers = Receivers::start();
        let sources = traffic::configuration(receivers.address);
        let nodes = Nodes::start(places, urls, &sources);
        let balancer = Balancer::start(places.iter().map(|place| place.address).collect());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-ledger.tsv"));
        let producers = Producers::start(balancer.address, plan, &file);
        let drill = Self {
            nodes,
            receivers,
            producers,
            began,
            resumed: Vec::new(),
            name: name.to_owned(),
            _balancer: balancer,
        };
        drill.wait_flowing(Duration::from_secs(20));
        drill
    }

    /// Waits until further events have been acknowledged and every endpoint has received one that was
    /// not under way yet; answers how long that took.
    pub fn wait_flowing(&self, limit: Duration) -> Duration {
        const ACKNOWLEDGED: usize = 12;
        // What a node had begun before it was killed arrives within this time.
        const UNDER_WAY: Duration = Duration::from_millis(250);
        let started = Instant::now();
        let after = self.began.elapsed() + UNDER_WAY;
        let acknowledged = self.producers.acknowledged() + ACKNOWLEDGED;
        let received = self.receivers.count();
        let flowing = wait_until(limit, || {
            self.producers.acknowledged() >= acknowledged && {
                let news = self.receivers.after(received);
                traffic::endpoints().all(|(source, endpoint)| {
                    let path = traffic::path_of(source, endpoint);
                    news.iter().any(|request| request.path == path && request.arrived > after)
                })
            }
        });
        assert!(
            flowing,
            "{}: after {limit:?} not everything flows: {} more acknowledged, received {:?}, failures {:?}\n{}",
            self.name,
            (self.producers.acknowledged() + ACKNOWLEDGED).saturating_sub(acknowledged),
            count_by_path(&self.receivers.after(received)),
            self.producers.ledger().failures,
            self.nodes.logs()
        );
        started.elapsed()
    }

    /// Lets a paused node go on, and remembers when.
    pub fn resume(&mut self, index: usize) {
        // A little early rather than late: what it sends at once must fall behind this moment.
        self.resumed.push(self.began.elapsed());
        self.nodes.resume(index);
    }

    /// The longest time since `since` in which an endpoint received nothing, with its path.
    pub fn longest_silence(&self, since: Instant) -> (Duration, String) {
        let from = since.duration_since(self.began);
        let now = self.began.elapsed();
        let all = self.receivers.all();
        let silence = |path: &str| {
            let arrivals = all.iter().filter(|it| it.path == path && it.arrived >= from);
            let mut last = from;
            let mut longest = Duration::ZERO;
            for arrived in arrivals.map(|it| it.arrived).chain([now]) {
                longest = longest.max(arrived.saturating_sub(last));
                last = last.max(arrived);
            }
            longest
        };
        let paths =
            traffic::endpoints().map(|(source, endpoint)| traffic::path_of(source, endpoint));
        let found = paths.map(|path| (silence(&path), path)).max();
        found.expect("there are endpoints")
    }

    /// Ends the load, waits until everything is delivered, and judges. Panics if anything is lost,
    /// doubled in the log, or beyond its limits.
    pub fn end(self, seed: u64) -> Report {
        let ledger = self.producers.finish();
        let drained = judge::drain(&self.nodes, &self.receivers, &ledger, DRAIN_MAX);
        let report = judge::judge(&self.nodes, &ledger, &self.receivers.all(), &self.resumed);
        // Listed as pending would be true, and still nobody would be working on it.
        assert_eq!(report.undelivered, 0, "{}: {report}\n{}", self.name, self.nodes.logs());
        self.nodes.stop();
        println!("{}, seed {seed}: {report}, drained in {:.1} s", self.name, drained.as_secs_f64());
        report
    }
}

fn count_by_path(received: &[super::receivers::Received]) -> std::collections::BTreeMap<&str, u64> {
    let mut counts = std::collections::BTreeMap::new();
    for request in received {
        *counts.entry(request.path.as_str()).or_default() += 1;
    }
    counts
}
