//! A full disk and a disk that fails to sync: never a false acknowledgement, and recovery.
//!
//! The disk is a tmpfs of 64 MiB, so these tests need the right to mount (root). The failing sync
//! is injected by strace. After each, the gateway is killed and started again, and everything that
//! was ever acknowledged must be listed.

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::gateway::{Gateway, Place};
use support::http::Client;
use support::load;
use support::sink::Sink;
use support::{require_command, wait_until};

const FILLING: usize = 4000;

#[test]
fn a_full_disk_is_answered_with_503_and_recovers() {
    // Without a reserve, so that SQLite itself meets the end of the disk.
    fill_and_free("min_free = \"0\"");
}

#[test]
fn a_disk_below_the_reserve_is_answered_with_503_and_recovers() {
    fill_and_free("min_free = \"16MiB\"");
}

fn fill_and_free(store: &str) {
    let place = Place::new();
    let disk = SmallDisk::mount(&place.folder.join("disk"));
    let sink = Sink::start(|_| 200);
    place.configure("", &disk.path.join("data"), store, &source(&sink));
    let mut gateway = place.start();
    let mut sender = Sender::new(&place);

    for _ in 0..20 {
        assert!(sender.send(), "refused although the disk has room: {}", sender.last);
    }
    disk.fill();
    // What is preallocated may still be used, so the first refusal need not come at once.
    let refused = wait_until(Duration::from_secs(30), || !sender.send());
    assert!(refused, "never refused on a full disk");
    for _ in 0..50 {
        if !sender.send() {
            assert!(sender.last.starts_with("503"), "{}", sender.last);
            assert!(sender.retry_after, "a 503 without Retry-After");
        }
    }
    assert!(gateway.is_running(), "the gateway ended; its log:\n{}", place.log_tail());
    assert_eq!(gateway.get("/healthz").expect("it answers").status, 200, "it is alive");
    assert_eq!(gateway.get("/readyz").expect("it answers").status, 503, "it is not ready");
    assert!(!gateway.api_list("/api/v1/becket/event").is_empty(), "reading works");

    let process = gateway.id();
    disk.free();
    let recovered = wait_until(Duration::from_secs(30), || sender.send());
    assert!(recovered, "still refused with room again: {}", sender.last);
    assert_eq!(process, gateway.id());
    assert!(gateway.is_running(), "recovery must not need a restart");
    for _ in 0..20 {
        assert!(sender.send(), "refused after recovery: {}", sender.last);
    }
    gateway.kill();
    let gateway = place.start();
    sender.check_all_listed(&gateway);
    gateway.stop();
    println!("{store}: {}", sender.summary());
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_the_files_were_reopened() {
    require_command("strace");
    let place = Place::new();
    let sink = Sink::start(|_| 200);
    place.configure("", &place.data(), "", &source(&sink));
    let trace = place.folder.join("strace.log");
    // Counted for each thread: the one that commits meets its 25th sync under load.
    let gateway = under_strace(&place, &trace, "25");
    let mut sender = Sender::new(&place);
    let failed = wait_until(Duration::from_secs(30), || !sender.send());
    assert!(failed, "the injected failure was never met");
    assert!(sender.last.starts_with("503"), "{}", sender.last);
    assert!(sender.retry_after, "a 503 without Retry-After");
    let recovered = wait_until(Duration::from_secs(30), || sender.send());
    assert!(recovered, "still refused after one failed sync: {}", sender.last);
    check_reopened(&trace);
    gateway.kill();
    let gateway = place.start();
    sender.check_all_listed(&gateway);
    gateway.stop();
    println!("one failed sync: {}", sender.summary());
}

#[test]
fn while_syncs_fail_nothing_is_acknowledged() {
    require_command("strace");
    let place = Place::new();
    let sink = Sink::start(|_| 200);
    place.configure("", &place.data(), "", &source(&sink));
    let trace = place.folder.join("strace.log");
    // From its 25th on, every sync of a thread fails.
    let gateway = under_strace(&place, &trace, "25+");
    let mut sender = Sender::new(&place);
    let failed = wait_until(Duration::from_secs(30), || !sender.send());
    assert!(failed, "the injected failure was never met");
    let before = sender.acknowledged.len();
    let until = std::time::Instant::now() + Duration::from_secs(3);
    while std::time::Instant::now() < until {
        assert!(!sender.send(), "acknowledged although no sync succeeds");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(before, sender.acknowledged.len());
    gateway.kill();
    let gateway = place.start();
    sender.check_all_listed(&gateway);
    assert!(sender.send(), "refused on a healthy disk: {}", sender.last);
    gateway.stop();
    println!("lasting failure: {}", sender.summary());
}

fn under_strace<'p>(place: &'p Place, trace: &Path, when: &str) -> Gateway<'p> {
    let inject = format!("inject=fdatasync,fsync:error=EIO:when={when}");
    let trace = trace.to_str().expect("the path is UTF-8");
    let arguments =
        ["-D", "-f", "-y", "-o", trace, "-e", "trace=openat,fdatasync,fsync", "-e", &inject];
    let gateway = Gateway::spawn(place, place.command_under("strace", &arguments));
    gateway.wait_ready(Duration::from_secs(60));
    gateway
}

/// The trace shows that the file whose sync failed was opened again before it was synced again.
fn check_reopened(trace: &Path) {
    let text = std::fs::read_to_string(trace).expect("strace wrote its log");
    let lines: Vec<&str> = text.lines().collect();
    let failed = lines
        .iter()
        .position(|line| line.contains("(INJECTED)"))
        .expect("the trace shows the injected failure");
    let file = lines[failed].split(['<', '>']).nth(1).expect("strace -y names the file");
    let base = file.trim_end_matches("-wal").trim_end_matches("-journal");
    let next_sync = lines[failed + 1..]
        .iter()
        .position(|line| line.contains("sync(") && line.contains(base) && line.ends_with("= 0"));
    let reopened = lines[failed + 1..]
        .iter()
        .position(|line| line.contains("openat(") && line.contains(&format!("\"{base}\"")));
    match (reopened, next_sync) {
        (Some(reopened), Some(synced)) => {
            assert!(reopened < synced, "{base} was synced again before it was reopened");
        }
        // A new file took over; the old one was not written again.
        (_, None) => {}
        (None, Some(_)) => panic!("{base} was synced again and never reopened"),
    }
}

fn source(sink: &Sink) -> String {
    format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{}\"]\n\
         [[source.endpoint]]\nid = \"app\"\nurl = \"{}\"\n",
        load::SECRET,
        sink.url("/app"),
    )
}

/// Sends one event after another and remembers what was acknowledged.
struct Sender {
    client: Client,
    next: u64,
    acknowledged: BTreeMap<u64, String>,
    refused: u64,
    retry_after: bool,
    last: String,
}

impl Sender {
    fn new(place: &Place) -> Self {
        Self {
            client: Client::keeping(place.address),
            next: 1,
            acknowledged: BTreeMap::new(),
            refused: 0,
            retry_after: false,
            last: String::new(),
        }
    }

    /// Sends one event; answers whether it was acknowledged. No answer at all is an error here.
    fn send(&mut self) -> bool {
        let number = self.next;
        self.next += 1;
        let answer = load::send(&mut self.client, "/in/github", number, FILLING)
            .unwrap_or_else(|error| panic!("event {number} got no answer: {error}"));
        self.retry_after = answer.header("retry-after").is_some();
        self.last = format!("{} {}", answer.status, answer.text());
        if answer.is_success() {
            self.acknowledged.insert(number, load::event_id(&answer));
        } else {
            self.refused += 1;
        }
        answer.is_success()
    }

    fn check_all_listed(&self, gateway: &Gateway) {
        let listed: std::collections::HashSet<String> = gateway
            .api_list("/api/v1/becket/event")
            .iter()
            .map(|event| event["id"].as_str().expect("an event has an id").to_owned())
            .collect();
        for (number, id) in &self.acknowledged {
            assert!(listed.contains(id), "event {number} ({id}) was acknowledged and is lost");
        }
    }

    fn summary(&self) -> String {
        format!("acknowledged {}, answered 503 {}, lost 0", self.acknowledged.len(), self.refused)
    }
}

/// A file system of 64 MiB in memory.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(path: &Path) -> Self {
        std::fs::create_dir(path).expect("the folder can be made");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "becket-test"])
            .arg(path)
            .output()
            .expect("mount can be run");
        assert!(
            output.status.success(),
            "a 64 MiB tmpfs cannot be mounted, which needs root (or CAP_SYS_ADMIN): {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self { path: path.to_path_buf() }
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file =
            std::fs::File::create(self.path.join("ballast")).expect("a file can be made");
        let mut block = vec![0_u8; 1 << 20];
        // Smaller and smaller blocks, until not even one byte fits.
        while !block.is_empty() {
            match file.write(&block) {
                Ok(written) if written == block.len() => {}
                Ok(_) | Err(_) => block.truncate(block.len() / 2),
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.path.join("ballast")).expect("the ballast can be removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a killed gateway may hold files for a moment longer.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("could not unmount {}", self.path.display());
        }
    }
}
