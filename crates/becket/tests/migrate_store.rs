//! `becket migrate-store` with the real binary: from files to a database and back, killed in the
//! middle; what was pending before is delivered after, once, under the same ids and secrets.

#[path = "support/postgres.rs"]
#[allow(dead_code, reason = "other drivers use the rest")]
mod postgres;
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use postgres::Postgres;
use serde_json::Value;
use support::gateway::{Gateway, Place};
use support::http::Client;
use support::sink::Sink;
use support::{EVENTS, load, wait_until};

/// Enough for several chunks.
const COUNT: u64 = 5_000;
/// Together, because each request waits for the disk.
const SENDERS: usize = 8;
const MARKED: &str = "SELECT count(*) FROM becket.setting WHERE owner = 0";

/// A source whose receiver answers as the number says.
struct World {
    place: Place,
    sink: Sink,
    status: Arc<AtomicU16>,
}

impl World {
    fn new() -> Self {
        let status = Arc::new(AtomicU16::new(503));
        let told = Arc::clone(&status);
        let sink = Sink::start(move |_| told.load(Ordering::Relaxed));
        Self { place: Place::new(), sink, status }
    }

    /// Configures a store. What fails is tried again soon, but not before everything is moved.
    fn configure(&self, url: &str) {
        let text = format!(
            "[server]\nlisten = \"{}\"\n[store]\nurl = \"{url}\"\n\
             [[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{}\"]\n\
             [[source.endpoint]]\nid = \"app\"\nurl = \"{}\"\n\
             retry = [\"20s\"{}]\n",
            self.place.address,
            load::SECRET,
            self.sink.url("/app"),
            // Enough for however long the sending takes.
            ", \"2s\"".repeat(30),
        );
        std::fs::write(self.place.config(), text).expect("the folder can be written");
    }

    fn start(&self, master_key: Option<&str>) -> Gateway<'_> {
        let mut command = self.place.command();
        if let Some(key) = master_key {
            command.env("BECKET_MASTER_KEY", key);
        }
        let gateway = Gateway::spawn(&self.place, command);
        gateway.wait_ready(Duration::from_secs(30));
        gateway
    }

    /// A start that has to fail; what it says.
    fn refused(&self, master_key: Option<&str>) -> String {
        let mut command = self.place.command();
        if let Some(key) = master_key {
            command.env("BECKET_MASTER_KEY", key);
        }
        let output = command.output().expect("the gateway can be started");
        assert!(!output.status.success(), "it started on half a store");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn send(&self, numbers: std::ops::Range<u64>) -> BTreeMap<u64, String> {
        let one = |first: u64| {
            let mut client = Client::keeping(self.place.address);
            let mut ids = Vec::new();
            for number in (first..numbers.end).step_by(SENDERS) {
                let sent = load::send(&mut client, "/in/github", number, 1_500);
                let answer = sent.expect("an answer");
                assert!(answer.is_success(), "{number}: {} {}", answer.status, answer.text());
                ids.push((number, load::event_id(&answer)));
            }
            ids
        };
        std::thread::scope(|scope| {
            let begin = |first| scope.spawn(move || one(first));
            let senders: Vec<_> = numbers.clone().take(SENDERS).map(begin).collect();
            senders.into_iter().flat_map(|sender| sender.join().expect("all are sent")).collect()
        })
    }

    /// The numbers of the events that the receiver has taken, with how often.
    fn taken(&self) -> BTreeMap<u64, usize> {
        let mut taken = BTreeMap::new();
        for delivery in self.sink.deliveries().iter().filter(|one| one.answered == 200) {
            let number = load::number_in(&delivery.body).expect("a body has a number");
            *taken.entry(number).or_default() += 1;
        }
        taken
    }
}

fn migrate(from: &str, to: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
    command.args(["migrate-store", "--from", from, "--to", to]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn told(output: &Output) -> Value {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

fn count_of(report: &Value, kind: &str) -> u64 {
    let items = report["items"].as_array().expect("items");
    let found = items.iter().find(|item| item["kind"] == kind).expect("the kind is there");
    found["count"].as_u64().expect("a count")
}

/// Starts a move and kills it as soon as `begun` says that the target holds a part.
fn kill_in_the_middle(from: &str, to: &str, begun: impl Fn() -> bool) {
    let mut child = migrate(from, to, &["--json"]).spawn().expect("it can be started");
    assert!(wait_until(Duration::from_secs(20), begun), "it never began");
    child.kill().expect("it was running");
    let status = child.wait().expect("a killed child can be waited for");
    assert!(!status.success(), "it was done before it was killed");
}

#[test]
fn what_was_pending_before_a_move_is_delivered_after_it() {
    let database = Postgres::start(&[]);
    let world = World::new();
    let folder = world.place.data();
    let files = format!("sqlite:{}", folder.display());
    world.configure(&files);
    let gateway = world.start(None);
    let mut ids = world.send(0..COUNT);
    let tried = || world.sink.deliveries().len() >= 10;
    assert!(wait_until(Duration::from_secs(60), tried), "some were tried, then the breaker opened");
    let endpoint = gateway.api_list("/api/v1/becket/endpoint")[0].clone();
    assert!(gateway.stop().success());
    let key = std::fs::read_to_string(folder.join("master.key")).expect("a key was made");
    let key = key.trim();

    // There, killed in the middle.
    let url = database.url();
    let marked = || database.psql(MARKED).is_ok_and(|rows| rows == ["1"]);
    kill_in_the_middle(&files, &url, marked);
    assert!(marked(), "what is there is marked as a part");
    world.configure(&url);
    let refusal = world.refused(Some(key));
    assert!(refusal.contains("becket migrate-store"), "{refusal}");
    refuses_another(&world, &url);
    let report = told(&migrate(&files, &url, &["--json"]).output().expect("it runs"));
    assert_eq!(count_of(&report, "events"), COUNT);
    assert_eq!(report["resumed"], true);
    assert_eq!(report["pendingDeliveries"].as_u64(), Some(COUNT));
    let same =
        told(&migrate(&files, &url, &["--json", "--verify-only"]).output().expect("it runs"));
    assert_eq!(same["items"].as_array().map(Vec::len), report["items"].as_array().map(Vec::len));

    // Everything goes on there.
    world.status.store(200, Ordering::Relaxed);
    let gateway = world.start(Some(key));
    let repeat = load::send(&mut Client::closing(world.place.address), "/in/github", 7, 1_500);
    assert_eq!(load::event_id(&repeat.expect("an answer")), ids[&7], "a repeat is known");
    let all = || world.taken().len() as u64 == COUNT;
    assert!(wait_until(Duration::from_secs(90), all), "delivered: {}", world.taken().len());
    assert!(world.taken().values().all(|times| *times == 1), "each once");
    for delivery in world.sink.deliveries() {
        let number = load::number_in(&delivery.body).expect("a body has a number");
        assert_eq!(delivery.header("webhook-id"), ids[&number], "one id before and after");
    }
    let moved = gateway.api_list("/api/v1/becket/endpoint")[0].clone();
    assert_eq!((&moved["id"], &moved["createdAt"]), (&endpoint["id"], &endpoint["createdAt"]));
    ids.extend(world.send(COUNT..COUNT + 50));
    assert!(gateway.stop().success());

    // And back, killed again.
    let back = world.place.folder.join("back");
    let back_url = format!("sqlite:{}", back.display());
    kill_in_the_middle(&url, &back_url, || has_segment(&back));
    world.configure(&back_url);
    let refusal = world.refused(Some(key));
    assert!(refusal.contains("becket migrate-store"), "{refusal}");
    let report = told(&migrate(&url, &back_url, &["--json"]).output().expect("it runs"));
    assert_eq!(count_of(&report, "events"), COUNT + 50);
    let gateway = world.start(Some(key));
    let listed = gateway.api_list(EVENTS);
    let listed: Vec<&str> = listed.iter().filter_map(|event| event["id"].as_str()).collect();
    assert_eq!(listed.len(), ids.len());
    assert!(ids.values().all(|id| listed.contains(&id.as_str())), "all of them are listed");
    assert!(gateway.stop().success());
}

fn has_segment(folder: &Path) -> bool {
    std::fs::read_dir(folder.join("segments")).is_ok_and(|mut entries| entries.next().is_some())
}

/// Another store does not go where a part of the first one is, nor where a whole one is.
fn refuses_another(world: &World, url: &str) {
    let other = Place::new();
    other.configure("", &other.data(), "", "");
    assert!(other.start().stop().success());
    let from = format!("sqlite:{}", other.data().display());
    for to in [url, &format!("sqlite:{}", world.place.data().display())] {
        let output = migrate(&from, to, &[]).output().expect("it runs");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains("nothing was written"), "{err}");
    }
    let output = migrate(&from, &format!("{from}/."), &[]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2), "a store is not moved into itself");
}
