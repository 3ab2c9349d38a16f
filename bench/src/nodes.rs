//! Several gateways on one database, each a process of its own with a folder of its own.
//!
//! All of them have the same file: sources that differ only in their names, each with one endpoint,
//! because an endpoint belongs to one node at a time and every node is to have some.

use std::fmt::Write as _;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::error::{BenchError, Result, doing};
use crate::github::{self, SECRET};
use crate::messages::Server;
use crate::place::{CONCURRENCY, Running, TOKEN, free_address, program};
use crate::postgres::Postgres;
use crate::request::Request;
use crate::{api, process};

/// How many sources there are: enough that every node has the endpoints of some.
pub const SOURCES: usize = 24;
/// The source whose endpoint is not there.
pub const DEAD: &str = "dead";
/// Its endpoint.
pub const DEAD_ENDPOINT: &str = "dead-app";
/// 32 bytes that are the same for all nodes.
const MASTER_KEY: &str = "b25seSB0aGUgYmVuY2htYXJrIHVzZXMgdGhpcyBrZXk=";
/// Shards of a store, and how long nodes may take to divide them: two renewals and the start.
const SHARDS: u64 = 256;
const DIVIDING_TURNS: usize = 1_200;
const TURN: Duration = Duration::from_millis(50);

/// What all nodes are told.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// How many nodes.
    pub count: usize,
    /// Where the endpoints of the sources are.
    pub sink: SocketAddr,
    /// Where the endpoint of one more source is, to which nothing can be delivered; no such source if
    /// absent.
    pub dead: Option<SocketAddr>,
}

/// Nodes that run. They are killed when dropped.
pub struct Nodes {
    /// Where each of them listens.
    pub addresses: Vec<SocketAddr>,
    running: Vec<Running>,
    // The folders go after the processes.
    _folder: TempDir,
}

impl Nodes {
    /// Starts them one after the other on a schema, and waits until they have divided the work.
    pub fn start(
        programs: &Path,
        postgres: &Postgres,
        schema: &str,
        wanted: Wanted,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("bench-nodes-")
            .tempdir_in(programs)
            .map_err(doing("making a folder for nodes"))?;
        let program = program(programs)?;
        let mut addresses = Vec::new();
        let mut running = Vec::new();
        for number in 0..wanted.count {
            let own = folder.path().join(format!("node-{number}"));
            std::fs::create_dir(&own).map_err(doing("making a node's folder"))?;
            let address = free_address()?;
            let config = own.join("becket.toml");
            let text = configuration(address, &postgres.url(schema), number, wanted);
            std::fs::write(&config, text).map_err(doing("writing a node's configuration"))?;
            let log = own.join("log.txt");
            let output = File::create(&log).map_err(doing("making a node's log"))?;
            let mut command = Command::new(&program);
            command
                .args(["serve", "--config"])
                .arg(&config)
                .current_dir(&own)
                .env("BECKET_ADMIN_TOKEN", TOKEN)
                .env("BECKET_MASTER_KEY", MASTER_KEY)
                .stdin(Stdio::null())
                .stdout(output.try_clone().map_err(doing("copying a descriptor"))?)
                .stderr(output);
            let mut node = Running::spawn("a node", &mut command, Some(log))?;
            node.wait_until("ready", || {
                api::get(address, "/readyz").is_ok_and(|answer| answer.status == 200)
            })?;
            addresses.push(address);
            running.push(node);
        }
        let nodes = Self { addresses, running, _folder: folder };
        nodes.divided()?;
        Ok(nodes)
    }

    /// Waits until every node has its part of the shards.
    fn divided(&self) -> Result<()> {
        let server = self.server();
        let part = SHARDS / self.running.len() as u64;
        let mut last = String::new();
        for _ in 0..DIVIDING_TURNS {
            let (status, answer) = api::exchange_json(&server, "GET", NODES_PATH, &json!({}))?;
            let shards: Vec<u64> = answer["data"]
                .as_array()
                .map(|nodes| nodes.iter().filter_map(|node| node["shards"].as_u64()).collect())
                .unwrap_or_default();
            let fair = shards.iter().filter(|shards| **shards >= part).count();
            if fair == self.running.len() && shards.iter().sum::<u64>() == SHARDS {
                return Ok(());
            }
            last = format!("{status}: {answer}");
            std::thread::sleep(TURN);
        }
        let detail = format!("they have not divided the work; {NODES_PATH} answers {last}");
        Err(BenchError::Process { what: "the nodes", detail })
    }

    /// The first one, for questions.
    pub fn server(&self) -> Server {
        Server { address: self.addresses[0], token: TOKEN.to_owned() }
    }

    /// Their processes.
    pub fn pids(&self) -> Vec<u32> {
        self.running.iter().map(Running::pid).collect()
    }

    /// Memory of all of them, in bytes.
    pub fn resident(&self) -> Result<u64> {
        self.running.iter().map(|node| Ok(process::memory(node.pid())?.resident)).sum()
    }

    /// Signed events for all sources; each node gets events of all of them.
    pub fn webhooks(&self) -> Arc<dyn Fn(usize, u32) -> Request + Send + Sync> {
        let (address, count) = (self.addresses[0], self.addresses.len());
        Arc::new(move |connection, salt| {
            let path = format!("/in/{}", source(connection / count % SOURCES));
            github::request_as(address, &path, "push", salt)
        })
    }

    /// Signed events for the source whose endpoint is not there.
    pub fn webhooks_for_the_dead(&self) -> Arc<dyn Fn(usize, u32) -> Request + Send + Sync> {
        let address = self.addresses[0];
        let path = format!("/in/{DEAD}");
        Arc::new(move |_, salt| github::request_as(address, &path, "push", salt))
    }

    /// Stops them in order, one after the other.
    pub fn stop(self) -> Result<()> {
        self.running.into_iter().try_for_each(Running::stop)
    }
}

/// Where the nodes are told of.
const NODES_PATH: &str = "/api/v1/becket/nodes";

fn source(number: usize) -> String {
    format!("source-{number}")
}

fn configuration(address: SocketAddr, store: &str, number: usize, wanted: Wanted) -> String {
    let mut text = format!(
        "[server]\nlisten = \"{address}\"\n\n[store]\nurl = \"{store}\"\n\n\
         [cluster]\nname = \"node-{number}\"\n\n[egress]\nallow_networks = [\"127.0.0.0/8\"]\n"
    );
    let mut add = |id: &str, endpoint_id: &str, endpoint: SocketAddr| {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n[[source]]\nid = \"{id}\"\nprovider = \"github\"\nsecrets = [\"{SECRET}\"]\n\n\
             [[source.endpoint]]\nid = \"{endpoint_id}\"\nurl = \"http://{endpoint}/hooks\"\n\
             concurrency = {CONCURRENCY}\n"
        );
    };
    for number in 0..SOURCES {
        add(&source(number), "sink", wanted.sink);
    }
    if let Some(dead) = wanted.dead {
        add(DEAD, DEAD_ENDPOINT, dead);
    }
    text
}
