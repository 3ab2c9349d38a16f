//! Nodes: real gateways on one PostgreSQL, each with a folder, a port and a file of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, Place};
use crate::support::wait_until;

/// How long a membership holds in these drills: short, so that a take-over can be waited for.
pub const LEASE: Duration = Duration::from_secs(2);

/// 32 bytes in base64; every node has the same.
const MASTER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// How long a node may take to start on a busy machine.
const START_MAX: Duration = Duration::from_secs(40);

/// Places for so many nodes.
pub fn places(count: usize) -> Vec<Place> {
    (0..count).map(|_| Place::new()).collect()
}

/// The nodes of a drill, by their index; a node that was killed is `None`.
pub struct Nodes<'p> {
    places: &'p [Place],
    gateways: Vec<Option<Gateway<'p>>>,
    paused: Vec<bool>,
}

impl<'p> Nodes<'p> {
    /// Starts a node in each place, with the store at the URL of the same index (the last one for the
    /// rest), and waits until all are ready. The first starts alone: it makes the tables.
    pub fn start(places: &'p [Place], urls: &[String], sources: &str) -> Self {
        for (index, place) in places.iter().enumerate() {
            let url = urls.get(index).or(urls.last()).expect("there is a URL");
            configure(place, index, url, sources);
        }
        let mut nodes = Self {
            places,
            gateways: places.iter().map(|_| None).collect(),
            paused: vec![false; places.len()],
        };
        nodes.spawn(0);
        nodes.wait_ready(0);
        for index in 1..places.len() {
            nodes.spawn(index);
        }
        for index in 1..places.len() {
            nodes.wait_ready(index);
        }
        nodes
    }

    /// How many there are, running or not.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// Starts a node that does not run.
    pub fn spawn(&mut self, index: usize) {
        let place = &self.places[index];
        let mut command = place.command();
        command.env("BECKET_MASTER_KEY", MASTER_KEY);
        self.gateways[index] = Some(Gateway::spawn(place, command));
        self.paused[index] = false;
    }

    /// Waits until a node is ready; answers how long that took since its start.
    pub fn wait_ready(&self, index: usize) -> Duration {
        self.running(index).wait_ready(START_MAX)
    }

    /// Kills a node without warning.
    pub fn kill(&mut self, index: usize) {
        self.gateways[index].take().expect("it was running").kill();
    }

    /// Stops a node as a debugger or a hypervisor does: it notices nothing.
    pub fn pause(&mut self, index: usize) {
        self.running(index).signal("STOP");
        self.paused[index] = true;
    }

    /// Lets a paused node go on.
    pub fn resume(&mut self, index: usize) {
        self.running(index).signal("CONT");
        self.paused[index] = false;
    }

    /// A running node.
    pub fn running(&self, index: usize) -> &Gateway<'p> {
        self.gateways[index].as_ref().expect("it is running")
    }

    /// Any node that runs.
    pub fn any(&self) -> &Gateway<'p> {
        let running = self.gateways.iter().zip(&self.paused).filter(|(_, paused)| !**paused);
        let mut running = running.filter_map(|(gateway, _)| gateway.as_ref());
        running.next().expect("a node is running")
    }

    /// Waits until every node says that it is ready.
    pub fn wait_all_ready(&self, limit: Duration) -> Duration {
        let started = Instant::now();
        let ready = wait_until(limit, || {
            self.gateways
                .iter()
                .flatten()
                .all(|gateway| gateway.get("/readyz").is_ok_and(|answer| answer.status == 200))
        });
        assert!(ready, "not all nodes were ready within {limit:?}:\n{}", self.logs());
        started.elapsed()
    }

    /// For messages: the ends of all logs without the lines of every request and attempt, and who the
    /// nodes say is there. The whole logs are kept in the folder of the tests' own files.
    pub fn logs(&self) -> String {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let mut text = String::new();
        for (index, place) in self.places.iter().enumerate() {
            let log = place.log();
            let copy = folder.join(format!("node-{}.log", index + 1));
            let kept = std::fs::write(&copy, &log);
            let traffic = ["\"event.received\"", "\"attempt.finished\""];
            let lines: Vec<&str> = log
                .lines()
                .filter(|line| !traffic.iter().any(|message| line.contains(message)))
                .collect();
            let tail = lines[lines.len().saturating_sub(30)..].join("\n");
            text.push_str(&format!(
                "--- node {} ({}, {kept:?}):\n{tail}\n",
                index + 1,
                copy.display()
            ));
        }
        text.push_str(&format!("nodes: {}\n", self.any().api("GET", "/api/v1/becket/nodes")));
        text
    }

    /// How often a text stands in the log of a node.
    pub fn log_count(&self, index: usize, text: &str) -> usize {
        self.places[index].log().matches(text).count()
    }

    /// Asks all to stop; every one has to end well.
    pub fn stop(self) {
        for gateway in self.gateways.iter().flatten() {
            gateway.signal("TERM");
        }
        for (index, gateway) in self.gateways.into_iter().enumerate() {
            let Some(mut gateway) = gateway else { continue };
            let status = gateway.wait_end(Duration::from_secs(40));
            assert!(
                status.success(),
                "node {} ended with {status}:\n{}",
                index + 1,
                self.places[index].log_tail()
            );
        }
    }
}

fn configure(place: &Place, index: usize, url: &str, sources: &str) {
    let text = format!(
        "[server]\nlisten = \"{}\"\n[store]\nurl = \"{url}\"\n\
         [cluster]\nname = \"node-{}\"\nlease = \"{}s\"\nrenew = \"500ms\"\n{sources}",
        place.address,
        index + 1,
        LEASE.as_secs(),
    );
    std::fs::write(place.config(), text).expect("the folder can be written");
}
