//! `becket doctor` with the running binary: for each check a set-up in which it finds something.

mod support;

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use support::gateway::{ADMIN_TOKEN, Place};
use support::http::{Client, read_headers, read_line};
use support::provider::{Authority, Provider, told};
use support::sink::Sink;

/// What a doctor said.
struct Said {
    code: i32,
    report: Value,
    all: String,
}

impl Said {
    /// The level of the worst finding of a check with this in its text; empty if there is none.
    fn level(&self, check: &str, part: &str) -> String {
        let findings = self.report["findings"].as_array().expect("findings");
        let found = findings.iter().find(|finding| {
            finding["check"] == check
                && finding["says"].as_str().is_some_and(|says| says.contains(part))
        });
        found.map_or(String::new(), |finding| {
            let level = finding["level"].as_str().unwrap_or_default().to_owned();
            let advice = finding["advice"].as_array().map_or(0, Vec::len);
            assert!(
                advice > 0
                    || ["fine", "skipped"].contains(&level.as_str())
                    || (check, level.as_str()) == ("tls", "note"),
                "nothing to do is said: {finding}"
            );
            level
        })
    }

    #[track_caller]
    fn has(&self, check: &str, part: &str, level: &str) {
        assert_eq!(self.level(check, part), level, "{check} `{part}` in {}", self.all);
    }
}

fn run(command: &mut Command, place: &Place) -> Said {
    let output: Output = command
        .current_dir(&place.folder)
        .env("BECKET_ADMIN_TOKEN", ADMIN_TOKEN)
        .env_remove("BECKET_URL")
        .env_remove("BECKET_TOKEN")
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {all}"));
    Said { code: output.status.code().expect("it was not killed"), report, all }
}

fn doctor(place: &Place, more: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
    command.args(["doctor", "--json", "--timeout", "3", "--config"]).arg(place.config()).args(more);
    run(&mut command, place)
}

const SOURCE: &str =
    "[[source]]\nid = \"shop\"\nprovider = \"github\"\nsecrets = [\"a-secret-of-the-shop\"]\n";

/// A provider that signs for all its customers with the same keys.
const PAID: &str = "[[source]]\nid = \"paid\"\nprovider = \"circle\"\n";
const UNPINNED: &str =
    "`paid`: `subscription_id` is not set: the provider signs for other customers";

fn endpoint(id: &str, url: &str) -> String {
    format!("[[source.endpoint]]\nid = \"{id}\"\nurl = \"{url}\"\n")
}

#[test]
fn a_set_up_that_is_right_has_no_problems() {
    let place = Place::new();
    let sink = Sink::start(|_| 200);
    let public = format!("public_url = \"http://{}\"", place.address);
    let rest = format!("{SOURCE}{}", endpoint("app", &sink.url("/hook")));
    place.configure(&public, &place.data(), "min_free = \"1MiB\"\ncap = \"1MiB\"", &rest);
    let gateway = place.start();
    let said = doctor(&place, &["--skip", "file_system"]);
    for (check, part) in [
        ("configuration", "1 source, 1 endpoint"),
        ("data_folder", "closed to others"),
        ("disk_space", "free"),
        ("exposure", "for this machine only"),
        ("gateway", "takes events"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("this_gateway", "leads to this very gateway"),
        ("acknowledgement", "nothing received yet"),
        ("endpoints", "1 endpoint takes connections"),
        ("deliveries", "1 endpoint, none failing"),
        ("backlog", "nothing waits"),
        ("quarantine", "nothing was refused"),
    ] {
        said.has(check, part, "fine");
    }
    said.has("public_url", "only on this network", "note");
    assert!(said.code == 0, "{}", said.all);
    assert_eq!(sink.count(), 0, "no event is sent to an endpoint");
    said.has("open_files", "the gateway", &said.level("open_files", "the gateway"));
    assert_eq!(said.level("file_system", ""), "", "it was left out");

    // As people see it: a heading, a sign for each finding, and a sum.
    let text = Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(["doctor", "--config"])
        .arg(place.config())
        .env("BECKET_ADMIN_TOKEN", ADMIN_TOKEN)
        .output()
        .expect("the command runs");
    let text = String::from_utf8(text.stdout).expect("text");
    for part in ["This machine\n", "The way in\n", "Receiving\n", "Delivering\n", "  ✓ gateway"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    gateway.stop();

    let said = doctor(&place, &[]);
    said.has("gateway", "cannot be reached", "problem");
    assert_eq!(said.code, 3, "{}", said.all);
    said.has("data_folder", "closed to others", "fine");
    assert_eq!(doctor(&place, &["--offline", "--skip", "file_system"]).code, 0);
}

#[test]
fn what_is_wrong_with_the_machine_is_found_offline() {
    let place = Place::new();
    place.configure("", &place.data(), "min_free = \"900000GiB\"", SOURCE);
    std::fs::create_dir(place.data()).unwrap();
    let open = |file: &Path, mode| {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&place.data(), 0o755);
    let key = place.data().join("master.key");
    std::fs::write(&key, "x").unwrap();
    open(&key, 0o644);
    let said = doctor(&place, &["--offline"]);
    assert_eq!(said.code, 1, "{}", said.all);
    said.has("data_folder", "can be entered by others", "warning");
    said.has("data_folder", "can be read by others", "problem");
    said.has("disk_space", "requests are refused below 878.9 TiB", "problem");
    said.has("master_key", "beside the data", "note");

    let observing = format!("{SOURCE}verification = \"observe\"\n");
    place.configure("", &place.data(), "", &observing);
    doctor(&place, &["--offline"]).has("sources", "`shop` only observes", "warning");

    place.configure("", &place.data(), "", PAID);
    doctor(&place, &["--offline"]).has("sources", UNPINNED, "warning");
    let pinned = format!("{PAID}credentials = {{ subscription_id = \"ours\" }}\n");
    place.configure("", &place.data(), "", &pinned);
    assert_eq!(doctor(&place, &["--offline"]).level("sources", "subscription_id"), "");

    place.configure("listen = \"nonsense\"", &place.data(), "", SOURCE);
    let said = doctor(&place, &["--offline"]);
    said.has("configuration", "error", "problem");
    assert_eq!(said.code, 1, "{}", said.all);

    let mut limited = Command::new("sh");
    let script = "ulimit -n 256; exec \"$@\"";
    limited.args([
        "-c",
        script,
        "sh",
        env!("CARGO_BIN_EXE_becket"),
        "doctor",
        "--json",
        "--offline",
    ]);
    place.configure("", &place.data(), "", SOURCE);
    let said = run(limited.arg("--config").arg(place.config()), &place);
    said.has("open_files", "256 at most", "problem");
}

#[test]
fn memory_is_no_place_for_events() {
    let memory = Path::new("/dev/shm");
    assert!(memory.is_dir(), "this machine has no /dev/shm");
    let place = Place::new();
    place.configure("", &memory.join("becket-doctor-test"), "", SOURCE);
    doctor(&place, &["--offline"]).has("file_system", "in memory", "problem");
}

#[test]
fn listeners_that_anybody_reaches_are_told() {
    let place = Place::new();
    let with = |server: &str| {
        let text = format!("[server]\n{server}\n[store]\nurl = \"sqlite:data\"\n{SOURCE}");
        std::fs::write(place.config(), text).unwrap();
        doctor(&place, &["--offline"])
    };
    with("listen = \"0.0.0.0:8080\"").has("exposure", "without TLS", "warning");
    with("listen = \"127.0.0.1:1\"\nadmin_listen = \"0.0.0.0:9\"").has(
        "exposure",
        "0.0.0.0:9",
        "warning",
    );
    with("public_url = \"https://hooks.example.com\"").has("proxy", "not named", "note");
    let named =
        with("public_url = \"https://hooks.example.com\"\ntrusted_proxies = [\"10.0.0.0/8\"]");
    assert_eq!(named.level("proxy", ""), "");
}

#[test]
fn an_address_that_leads_elsewhere_is_found() {
    let place = Place::new();
    let other = Place::new();
    other.configure("", &other.data(), "", "");
    let _other = other.start();
    let stranger = Stranger::start("HTTP/1.1 302 Found\r\nlocation: https://example.com/\r\n");
    let lost = Stranger::start("HTTP/1.1 404 Not Found\r\n");
    let dead = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    for (public, check, part) in [
        (format!("http://{}", other.address), "this_gateway", "another gateway"),
        (format!("http://{}", stranger.address), "this_gateway", "a redirect"),
        (format!("http://{}", lost.address), "this_gateway", "something else is there"),
        (format!("http://{dead}"), "public_url", "refused"),
        ("https://hooks.nowhere.invalid".to_owned(), "public_url", "host name"),
    ] {
        place.configure(&format!("public_url = \"{public}\""), &place.data(), "", SOURCE);
        let gateway = place.start();
        let said = doctor(&place, &[]);
        said.has(check, part, "problem");
        assert_eq!(said.code, 1, "{}", said.all);
        gateway.stop();
    }
}

#[test]
fn a_certificate_that_senders_refuse_is_found() {
    let place = Place::new();
    let authority = Authority::new();
    let provider = Provider::start(&authority, |_| told("hello"));
    let public = format!("public_url = \"{}\"", provider.url(""));
    place.configure(&public, &place.data(), "", SOURCE);
    let gateway = place.start();
    doctor(&place, &[]).has("public_url", "certificate", "problem");
    gateway.stop();
    // Known to the operator, it is only not this gateway.
    let file = authority.write(&place.folder);
    let rest = format!("[egress]\nca_file = \"{}\"\n{SOURCE}", file.display());
    place.configure(&public, &place.data(), "", &rest);
    let _gateway = place.start();
    let said = doctor(&place, &[]);
    said.has("tls", "TLS 1.3", "fine");
    said.has("this_gateway", "something else is there", "problem");
}

#[test]
fn a_clock_that_is_off_is_found() {
    let place = Place::new();
    let late = "HTTP/1.1 404 Not Found\r\nserver: proxy\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\n";
    let proxy = Stranger::start(late);
    let public = format!("public_url = \"http://{}\"", proxy.address);
    let strict = "[[source]]\nid = \"pay\"\nprovider = \"paddle\"\nsecrets = [\"pdl_ntfset_x\"]\n";
    place.configure(&public, &place.data(), "", strict);
    let _gateway = place.start();
    let said = doctor(&place, &[]);
    said.has("clock", "ahead of the clock of", "problem");
    said.has("clock", "`pay` allows 5 s", "problem");
}

#[test]
fn endpoints_and_refusals_are_told() {
    let place = Place::new();
    let dead = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let sink = Sink::start(|_| 410);
    let rest = format!(
        "{SOURCE}verification = \"enforce\"\n{}{}{}",
        endpoint("dead", &format!("http://{dead}/x")),
        endpoint("gone", &sink.url("/hook")),
        endpoint("held", &sink.url("/held")),
    );
    let observing = "[[source]]\nid = \"trial\"\nprovider = \"github\"\nsecrets = [\"another-secret\"]\nverification = \"observe\"\n";
    place.configure("", &place.data(), "", &format!("{rest}{observing}{PAID}"));
    let gateway = place.start();
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let paused = Client::closing(place.address)
        .send(
            "POST",
            "/api/v1/becket/endpoint/held/pause?source=shop",
            &[("authorization", &bearer), ("content-type", "application/json")],
            b"{\"reason\":\"a test\"}",
        )
        .unwrap();
    assert!(paused.is_success(), "{} {}", paused.status, paused.text());
    for (secret, body) in
        [("a-secret-of-the-shop", "{\"n\":1}"), ("forged", "{}"), ("forged", "[]")]
    {
        let signature = support::sign::github(secret, body.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("x-github-event", "push"),
            ("x-github-delivery", body),
            ("x-hub-signature-256", signature.as_str()),
        ];
        let mut client = Client::closing(place.address);
        client.send("POST", "/in/shop", &headers, body.as_bytes()).unwrap();
    }
    let disabled =
        || doctor(&place, &[]).level("deliveries", "`shop/gone` is disabled") == "problem";
    assert!(support::wait_until(std::time::Duration::from_secs(15), disabled));
    let said = doctor(&place, &[]);
    said.has("endpoints", "`shop/dead`", "problem");
    said.has("deliveries", "`shop/held` is paused", "warning");
    said.has("deliveries", "`shop/dead` has been failing", "problem");
    said.has("quarantine", "`shop`: 2 requests refused", "warning");
    said.has("quarantine", "signature_mismatch", "warning");
    said.has("sources", "`trial`: it only observes", "warning");
    said.has("sources", UNPINNED, "warning");
    said.has("backlog", "waiting", "fine");
    said.has("acknowledgement", "GitHub (`shop`) waits 10 s", "fine");
    said.has("public_url", "none is set", "note");
    assert_eq!(said.code, 1);
    gateway.stop();
}

#[test]
fn the_question_is_limited_and_answered_on_both_listeners() {
    let place = Place::new();
    let admin = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    place.configure(&format!("admin_listen = \"{admin}\""), &place.data(), "", SOURCE);
    let mut command = place.command();
    command.env("RUST_LOG", "warn");
    let _gateway = support::gateway::Gateway::spawn(&place, command);
    let path = format!("/in/.well-known/becket?nonce={}", "5e".repeat(16));
    let ask = |address| Client::closing(address).send("GET", &path, &[], b"");
    let up = || ask(admin).is_ok_and(|answer| answer.status == 200);
    assert!(support::wait_until(std::time::Duration::from_secs(20), up), "{}", place.log_tail());
    let (inside, outside) = (ask(admin).unwrap(), ask(place.address).unwrap());
    assert_eq!((outside.status, outside.text()), (200, inside.text()));
    assert_eq!(inside.text().trim().len(), 64);
    // Of management only what balancers ask is there, and what is no question is no answer.
    let mut client = Client::closing(place.address);
    assert_eq!(client.send("GET", "/readyz", &[], b"").unwrap().text(), "ready\n");
    assert_eq!(client.send("GET", "/healthz", &[], b"").unwrap().status, 404);
    assert_eq!(client.send("GET", "/in/.well-known/becket", &[], b"").unwrap().status, 400);
    assert_eq!(client.send("POST", &path, &[], b"{}").unwrap().status, 404);
    let limited = (0..60).filter(|_| ask(place.address).unwrap().status == 429).count();
    assert!(limited > 20, "{limited}");
}

/// Answers every request with the same head.
struct Stranger {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Stranger {
    fn start(head: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever connects and says nothing is a probe.
                let mut reader = BufReader::new(stream);
                if read_line(&mut reader).and_then(|_| read_headers(&mut reader)).is_ok() {
                    let answer = format!("{head}content-length: 0\r\nconnection: close\r\n\r\n");
                    let _ = reader.get_mut().write_all(answer.as_bytes());
                }
            }
        });
        Self { address, stopped }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}
