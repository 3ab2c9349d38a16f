//! `becket listen` as a child process, and what it listens to.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::gateway::{ADMIN_TOKEN, Place};
use super::http::Client;
use super::wait_until;

/// How long anything may take.
pub const LONG: Duration = Duration::from_secs(30);

/// A `becket listen --json` with everything that it has said.
pub struct Listener {
    /// The process.
    pub child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    reader: JoinHandle<()>,
}

impl Listener {
    /// Listens at a gateway.
    pub fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
        command
            .args(["listen", "--json", "--url", &format!("http://{}", place.address)])
            .args(["--token", ADMIN_TOKEN])
            .args(arguments)
            .current_dir(&place.folder);
        Self::spawn(command, &place.folder)
    }

    /// Listens with a command of its own.
    pub fn spawn(mut command: Command, home: &Path) -> Self {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BECKET_") {
                command.env_remove(name);
            }
        }
        command.env("XDG_CONFIG_HOME", home.join("xdg")).env("USER", "ann");
        let errors = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(home.join("listen.log"))
            .expect("the folder can be written");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().expect("the binary can be started");
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let out = child.stdout.take().expect("standard output is a pipe");
        let kept = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let Ok(line) = line else { return };
                let value = serde_json::from_str(&line).expect("each line is JSON");
                kept.lock().expect("no reader panicked").push(value);
            }
        });
        Self { child, lines, reader }
    }

    /// Everything that it has said.
    pub fn said(&self) -> Vec<Value> {
        self.lines.lock().expect("no reader panicked").clone()
    }

    /// What it has said of a kind.
    pub fn of_kind(&self, kind: &str) -> Vec<Value> {
        self.said().into_iter().filter(|line| line["kind"] == kind).collect()
    }

    /// Waits until it is connected.
    pub fn wait_connected(&self) {
        let connected = wait_until(LONG, || !self.of_kind("connected").is_empty());
        assert!(connected, "{:?}", self.said());
    }

    /// Waits for so many deliveries, and gives all.
    pub fn wait_deliveries(&self, count: usize) -> Vec<Value> {
        let arrived = wait_until(LONG, || self.of_kind("delivery").len() >= count);
        let all = self.of_kind("delivery");
        assert!(arrived, "{} of {count}: {:#?}", all.len(), self.said());
        all
    }

    /// Without warning, as a closed laptop or a power cut would.
    pub fn kill(mut self) -> Vec<Value> {
        self.child.kill().expect("it was running");
        self.child.wait().expect("a killed child can be waited for");
        self.wait_read();
        self.said()
    }

    /// Asks it to end and waits for its exit code.
    pub fn stop(mut self) -> i32 {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .expect("kill can be run");
        assert!(status.success());
        self.wait_end()
    }

    /// Waits until everything that it said has been read.
    fn wait_read(&self) {
        let read = wait_until(LONG, || self.reader.is_finished());
        assert!(read, "somebody else still holds its output: {:?}", self.said());
    }

    /// Waits for its end; the exit code.
    pub fn wait_end(&mut self) -> i32 {
        let mut code = None;
        let ended = wait_until(LONG, || {
            code = self.child.try_wait().expect("a child can be waited for");
            code.is_some()
        });
        assert!(ended, "it does not end: {:?}", self.said());
        self.wait_read();
        code.and_then(|status| status.code()).unwrap_or(-1)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SOURCES: &str = "[[source]]\nid = \"open\"\nprovider = \"none\"\n\
    credentials = { event_type = \"json:type\" }\nbody_limit = \"25MiB\"\ndedupe = { enabled = false }\n\
    [[source]]\nid = \"other\"\nprovider = \"none\"\ncredentials = { event_type = \"json:type\" }\n";

/// A gateway with two open sources: `open`, which takes large bodies and repeats, and `other`.
pub fn place() -> Place {
    let place = Place::new();
    place.configure("", &place.data(), "", SOURCES);
    place
}

/// Sends an event; the answer.
pub fn send(client: &mut Client, source: &str, body: &[u8]) -> Value {
    let headers = [("content-type", "application/json")];
    let answer = client.send("POST", &format!("/in/{source}"), &headers, body);
    let answer = answer.expect("the gateway answers");
    assert!(answer.is_success(), "{}", answer.text());
    answer.json()
}

/// A small event with a number.
pub fn numbered(at: usize) -> Vec<u8> {
    json!({ "type": "order.paid", "n": at }).to_string().into_bytes()
}

/// Asks the gateway as its administrator.
pub fn api(place: &Place, method: &str, path: &str, body: &Value) -> Value {
    let token = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = Client::closing(place.address).send(method, path, &headers, &body);
    let answer = answer.expect("the gateway answers");
    assert!(answer.is_success(), "{method} {path}: {}", answer.text());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}
