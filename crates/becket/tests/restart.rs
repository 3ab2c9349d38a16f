//! Restarts under load: no connection is refused or reset, no request goes unanswered, and everything
//! that was acknowledged is delivered, once.
//!
//! A process hands its sockets to the one that follows it (`becket restart`, SIGUSR2, `--takeover`),
//! or somebody else holds them (`LISTEN_FDS`, as systemd does). Nothing is ever sent twice here, so
//! that nothing is hidden.

#[path = "restart/chain.rs"]
mod chain;
#[path = "restart/database.rs"]
mod database;
#[path = "restart/failing.rs"]
mod failing;
#[path = "support/postgres.rs"]
#[allow(dead_code, reason = "other drivers use the rest")]
mod postgres;
#[path = "restart/senders.rs"]
mod senders;
mod support;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use chain::Chain;
use senders::{Senders, Way};
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::http::{Client, read_answer};
use support::load::{self, SECRET};
use support::sink::{Gate, Sink};
use support::{EVENTS, sign, wait_until};

const RESTARTS: usize = 20;
/// A request may wait for a closing store, an opening one, and a machine that tests keep busy; senders
/// give up after 20 s.
const DELAY_MAX: Duration = Duration::from_secs(15);
/// How long anything else may take.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn twenty_restarts_are_noticed_by_nobody() {
    let sink = Sink::start(|_| {
        std::thread::sleep(Duration::from_millis(5));
        200
    });
    let place = Place::new();
    place.configure("", &place.data(), "", &source(&sink));
    let mut chain = Chain::start(&place);
    let senders = Senders::new(place.address)
        .with(4, &Way::Closing, Duration::from_millis(5))
        .with(4, &Way::Keeping, Duration::from_millis(5))
        // Rests on its connection across whole restarts.
        .with(4, &Way::Keeping, Duration::from_millis(700));
    let mut pauses = Vec::new();
    for number in 0..RESTARTS {
        std::thread::sleep(Duration::from_millis(150));
        if number % 4 == 3 {
            chain.signal("USR2");
            chain.wait_handed_over(number + 1);
        } else {
            pauses.push(chain.restart().pause_ms);
        }
    }
    std::thread::sleep(Duration::from_millis(1_500));
    // A slow disk takes longer for so many.
    let loaded = wait_until(LONG * 2, || senders.acknowledged() > 1_000);
    let seen = senders.finish();
    assert!(loaded, "hardly any load: {}", seen.acknowledged.len());
    seen.check_delivered_once(&sink);
    assert!(seen.longest() < DELAY_MAX, "a request waited for {:?}", seen.longest());
    pauses.sort_unstable();
    println!(
        "{RESTARTS} restarts: {} acknowledged, none refused, longest {:?}, 99 % within {:?}, \
         half within {:?}; pauses of the store {pauses:?} ms",
        seen.acknowledged.len(),
        seen.longest(),
        seen.within(0.99),
        seen.within(0.5),
    );

    let status = chain.wait_first_ended(LONG);
    assert!(status.success(), "the first process ended with {status}");
    let ended = wait_until(LONG, || chain.running() == [chain.pid]);
    assert!(ended, "processes whose connections have ended still run: {:?}", chain.running());
    chain.stop();
    assert!(TcpStream::connect(place.address).is_err(), "somebody still holds the socket");
}

#[test]
fn encrypted_connections_and_separate_management_survive_restarts() {
    let sink = Sink::start(|_| 200);
    let place = Place::new();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .expect("a certificate can be made");
    let (cert, key) = (place.folder.join("cert.pem"), place.folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("the folder can be written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("the folder can be written");
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let server = format!(
        "admin_listen = \"{admin}\"\nthreads = 3\ntls = {{ cert_file = \"{}\", key_file = \"{}\" }}",
        cert.display(),
        key.display()
    );
    place.configure(&server, &place.data(), "", &source(&sink));
    let gateway = Gateway::spawn(&place, place.command());
    let asked = |path| Client::closing(admin).send("GET", path, &[], b"");
    let ready = || asked("/readyz").is_ok_and(|answer| answer.status == 200);
    assert!(wait_until(Duration::from_secs(20), ready), "not ready:\n{}", place.log_tail());
    let mut chain = Chain::of(&place, gateway);
    let root = made.cert.der().clone();
    let senders = Senders::new(place.address)
        .with(3, &Way::ClosingTls(root.clone()), Duration::from_millis(10))
        .with(3, &Way::KeepingTls(root.clone()), Duration::from_millis(5))
        .with(2, &Way::KeepingTls(root), Duration::from_millis(600));
    for _ in 0..RESTARTS / 2 {
        std::thread::sleep(Duration::from_millis(150));
        chain.restart();
        assert_eq!(asked("/healthz").expect("management answers").status, 200);
    }
    std::thread::sleep(Duration::from_secs(1));
    let loaded = wait_until(LONG * 2, || senders.acknowledged() > 200);
    let seen = senders.finish();
    assert!(loaded, "hardly any load: {}", seen.acknowledged.len());
    seen.check_delivered_once(&sink);
    assert!(seen.longest() < DELAY_MAX, "a request waited for {:?}", seen.longest());
    println!("TLS: {} acknowledged, longest {:?}", seen.acknowledged.len(), seen.longest());
    chain.stop();
}

#[test]
fn a_slow_request_and_a_slow_endpoint_make_nobody_wait() {
    // How long the slow ones hang when the new process is ready: longer than anything here may take
    // that does not wait for them.
    const HANG: Duration = Duration::from_secs(8);
    // Some deliveries hang, as many as are made at the same time.
    let slow = |number: u64| (20..25).contains(&number);
    let gate = Gate::default();
    let hanging = gate.clone();
    let sink = Sink::start(move |delivery| {
        if load::number_in(&delivery.body).is_some_and(slow) {
            hanging.pass();
        }
        std::thread::sleep(Duration::from_millis(2));
        200
    });
    let place = Place::new();
    // Whoever is slow here has the time for it on a busy machine.
    let patient =
        "body_idle_timeout = \"60s\"\nrequest_timeout = \"60s\"\nshutdown_grace = \"60s\"";
    place.configure(patient, &place.data(), "", &patient_source(&sink));
    let mut chain = Chain::start(&place);
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let address = place.address;
    let stream = std::thread::spawn(move || {
        let mut client = Client::keeping(address);
        let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
        client.send("GET", "/api/v1/becket/tail", &headers, b"")
    });
    let mut before = half_of(&place, 900_001);
    let senders = Senders::new(place.address)
        .with(2, &Way::Closing, Duration::from_millis(20))
        .with(2, &Way::Keeping, Duration::from_millis(20));
    assert!(wait_until(LONG, || gate.waiting() == 5), "{} hang", gate.waiting());
    let (restarted, mut late) = std::thread::scope(|scope| {
        let restart = scope.spawn(|| chain.restart());
        wait_ready_to_follow(&place);
        let hangs = Instant::now();
        // It began before the restart and is answered by whoever it began with.
        before.write_all(&rest_of(900_001)).expect("the connection is open");
        let first = read_answer(&mut std::io::BufReader::new(before)).expect("it is answered");
        assert!(first.is_success(), "{} {}", first.status, first.text());
        let during = Client::closing(place.address).send("GET", "/healthz", &[], b"");
        assert_eq!(during.expect("it answers").status, 200);
        std::thread::sleep(HANG.saturating_sub(hangs.elapsed()));
        // One that begins when the restart is under way, and ends when it is over.
        let late = half_of(&place, 900_002);
        assert_eq!(gate.waiting(), 5, "the slow ones were not waited for");
        gate.open();
        (restart.join().expect("it is restarted"), late)
    });
    late.write_all(&rest_of(900_002)).expect("the connection is open");
    let answer = read_answer(&mut std::io::BufReader::new(late)).expect("it is answered");
    assert!(answer.is_success(), "{} {}", answer.status, answer.text());
    assert_eq!(answer.header("connection"), Some("close"));
    let called = stream.join().expect("no panic").expect("the stream ends in order");
    assert_eq!(called.status, 200, "{}", called.text());
    let seen = senders.finish();
    assert!(seen.longest() < HANG, "a request waited for {:?}", seen.longest());
    let pause = Duration::from_millis(restarted.pause_ms);
    assert!(pause < HANG, "the store was away for {pause:?}");
    println!(
        "restart beside slow ones: took {:?}, store away {} ms, longest request {:?}",
        restarted.took,
        restarted.pause_ms,
        seen.longest()
    );
    seen.check_delivered_once(&sink);
    let all = seen.acknowledged.len() + 2;
    assert!(wait_until(LONG, || sink.count() == all), "{} of {all}", sink.count());
    chain.stop();
}

#[test]
fn a_second_signal_changes_nothing_and_systemd_is_told_who_serves() {
    let sink = Sink::start(|_| 200);
    let place = Place::new();
    place.configure("", &place.data(), "", &source(&sink));
    let manager = UnixDatagram::bind(place.folder.join("notify")).expect("a socket can be bound");
    manager.set_read_timeout(Some(Duration::from_secs(20))).expect("a time can be set");
    let heard = || {
        let mut bytes = [0; 200];
        let length = manager.recv(&mut bytes).expect("the gateway tells systemd");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    // The next process begins only when it is let: the second signal comes before it is ready.
    let real = env!("CARGO_BIN_EXE_becket");
    let (program, held) = (place.folder.join("becket"), place.folder.join("held"));
    std::os::unix::fs::symlink(real, &program).expect("a link can be made");
    std::fs::write(&held, "").expect("the folder can be written");
    let mut command = failing::again_as(&place.command_under("env", &[]), &program);
    command.env("NOTIFY_SOCKET", place.folder.join("notify"));
    let gateway = Gateway::spawn(&place, command);
    assert_eq!(heard(), "READY=1");
    let script = format!(
        "#!/bin/sh\nwhile [ -e {} ]; do sleep 0.02; done\nexec {real} \"$@\"\n",
        held.display()
    );
    failing::exchange(&program, &script);
    let mut chain = Chain::of(&place, gateway);
    chain.signal("USR2");
    // Signals of one kind that come before the first was taken are one.
    assert!(wait_until(LONG, || chain.started().len() == 1), "{}", place.log_tail());
    chain.signal("USR2");
    let said = || place.log().contains("a restart is already under way");
    assert!(wait_until(LONG, said), "{}", place.log_tail());
    std::fs::remove_file(&held).expect("it can be removed");
    chain.wait_handed_over(1);
    assert_eq!(heard(), format!("MAINPID={}\nREADY=1", chain.pid));
    assert_eq!(heard(), "READY=1", "by the new process");
    let started = place.log().matches("the new process is being started").count();
    assert_eq!(started, 1, "{}", place.log_tail());
    // The one that has come can be followed, too.
    chain.signal("USR2");
    chain.wait_handed_over(2);
    assert_eq!(heard(), format!("MAINPID={}\nREADY=1", chain.pid));
    assert_eq!(heard(), "READY=1");
    let mut client = Client::closing(place.address);
    assert!(load::send(&mut client, "/in/github", 1, 10).expect("it answers").is_success());
    chain.stop();
    assert_eq!(heard(), "STOPPING=1");
}

#[test]
fn a_process_from_elsewhere_takes_over_only_if_told_to() {
    let sink = Sink::start(|_| 200);
    let place = Place::new();
    place.configure("", &place.data(), "", &source(&sink));
    let mut chain = Chain::start(&place);
    let refused = place.command().output().expect("it can be run");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("becket restart"), "{said}");

    let senders = Senders::new(place.address).with(4, &Way::Closing, Duration::from_millis(5));
    let mut command = place.command();
    command.arg("--takeover");
    let second = Gateway::spawn(&place, command);
    let pid = second.id();
    chain.wait_handed_over(1);
    assert_eq!(chain.pid, pid);
    assert!(chain.wait_first_ended(LONG).success());
    let seen = senders.finish();
    seen.check_delivered_once(&sink);
    let status = second.stop();
    assert!(status.success(), "{status}");

    // With nobody there it is an ordinary start.
    let mut command = place.command();
    command.arg("--takeover");
    let alone = Gateway::spawn(&place, command);
    alone.wait_ready(Duration::from_secs(20));
    alone.stop();
    let nobody = Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(["restart", "--config"])
        .arg(place.config())
        .current_dir(&place.folder)
        .output()
        .expect("it can be run");
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(!nobody.status.success() && said.contains("no gateway"), "{said}");
}

#[test]
fn a_resting_connection_finds_the_next_process_however_long_the_path_is() {
    let sink = Sink::start(|_| 200);
    let place = Place::new();
    let data = place.folder.join("a".repeat(120)).join("data");
    place.configure("", &data, "", &source(&sink));
    let mut chain = Chain::start(&place);
    let mut resting = Client::keeping(place.address);
    assert!(load::send(&mut resting, "/in/github", 1, 10).expect("it answers").is_success());
    chain.restart();
    let said = || place.log().contains("waiting for connections to end");
    assert!(wait_until(LONG, said), "{}", place.log_tail());
    std::thread::sleep(Duration::from_secs(2));
    assert!(chain.first.is_running(), "a connection is left:\n{}", place.log_tail());
    let begun = Instant::now();
    let answer = load::send(&mut resting, "/in/github", 2, 10).expect("it answers");
    assert!(answer.is_success(), "{} {}\n{}", answer.status, answer.text(), place.log_tail());
    assert_eq!(answer.header("connection"), Some("close"), "by way of the old process");
    assert!(begun.elapsed() < DELAY_MAX, "after {:?}", begun.elapsed());
    assert!(wait_until(DELAY_MAX, || sink.count() == 2), "{}", sink.count());
    chain.stop();
}

#[test]
fn a_changed_address_is_opened_and_an_unchanged_one_kept() {
    let sink = Sink::start(|_| 200);
    let place = Place::new();
    place.configure("", &place.data(), "", &source(&sink));
    let mut chain = Chain::start(&place);
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let server = format!("admin_listen = \"{admin}\"");
    place.configure(&server, &place.data(), "", &source(&sink));
    chain.restart();
    let ask = |address, path| Client::closing(address).send("GET", path, &[], b"");
    assert_eq!(ask(admin, "/readyz").expect("management has moved").status, 200);
    assert_eq!(ask(place.address, "/readyz").expect("balancers ask there").status, 200);
    assert_eq!(ask(place.address, "/healthz").expect("receiving stays").status, 404);
    chain.stop();
}

#[test]
fn twenty_restarts_with_a_socket_that_somebody_else_holds() {
    let sink = Sink::start(|_| {
        std::thread::sleep(Duration::from_millis(5));
        200
    });
    let mut place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    place.address = listener.local_addr().expect("a bound socket has an address");
    place.configure("shutdown_grace = \"10s\"", &place.data(), "", &source(&sink));
    let mut gateway = Gateway::spawn(&place, place.command_activated(&listener));
    gateway.wait_ready(Duration::from_secs(20));
    let senders = Senders::new(place.address)
        .with(3, &Way::Closing, Duration::from_millis(5))
        .with(3, &Way::Keeping, Duration::from_millis(5))
        .with(2, &Way::Keeping, Duration::from_millis(300));
    let mut gaps = Vec::new();
    for _ in 0..RESTARTS {
        std::thread::sleep(Duration::from_millis(200));
        gateway.signal("TERM");
        let status = gateway.wait_end(Duration::from_secs(40));
        let ended = Instant::now();
        assert!(status.success(), "did not stop cleanly ({status}):\n{}", place.log_tail());
        gateway = Gateway::spawn(&place, place.command_activated(&listener));
        gateway.wait_ready(Duration::from_secs(20));
        gaps.push(ended.elapsed().as_millis());
    }
    // The process that was activated can also hand over itself.
    let mut chain = Chain::of(&place, gateway);
    chain.restart();
    std::thread::sleep(Duration::from_millis(500));
    let loaded = wait_until(LONG * 2, || senders.acknowledged() > 500);
    let seen = senders.finish();
    assert!(loaded, "hardly any load: {}", seen.acknowledged.len());
    seen.check_delivered_once(&sink);
    gaps.sort_unstable();
    println!(
        "{RESTARTS} restarts of the service: {} acknowledged, none refused, longest {:?}, \
         end to ready {gaps:?} ms",
        seen.acknowledged.len(),
        seen.longest(),
    );
    chain.stop();
}

#[test]
fn a_clean_stop_finishes_what_is_in_flight() {
    let gate = Gate::default();
    let held = gate.clone();
    let sink = Sink::start(move |_| {
        held.pass();
        200
    });
    let place = Place::new();
    place.configure("shutdown_grace = \"60s\"", &place.data(), "", &patient_source(&sink));
    let mut gateway = place.start();
    let mut client = Client::keeping(place.address);
    for number in 1..=5 {
        let answer = load::send(&mut client, "/in/github", number, 10).expect("it answers");
        assert!(answer.is_success(), "{} {}", answer.status, answer.text());
    }
    // All five are being delivered; none has been answered.
    assert!(wait_until(LONG, || gate.waiting() == 5), "{} of 5", gate.waiting());
    gateway.signal("TERM");
    let told = wait_until(LONG, || {
        let ready = gateway.get("/readyz").expect("it still answers while it finishes");
        (ready.status, ready.header("connection")) == (503, Some("close"))
    });
    assert!(told, "it does not say that it stops:\n{}", place.log_tail());
    assert_eq!(gate.waiting(), 5, "it still finishes them");
    gate.open();
    let status = gateway.wait_end(Duration::from_secs(40));
    assert!(status.success(), "did not stop cleanly ({status}):\n{}", place.log_tail());
    assert_eq!(sink.count(), 5, "attempts in flight were finished");

    let gateway = place.start();
    let events = gateway.api_list(EVENTS);
    let delivered = events.iter().filter(|event| event["state"] == "delivered").count();
    assert_eq!((events.len(), delivered), (5, 5), "their results were kept: {events:?}");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(sink.count(), 5, "nothing was delivered twice");
    gateway.stop();
}

/// Waits until the new process is ready, and the old one has turned to what it still has to finish.
fn wait_ready_to_follow(place: &Place) {
    let ready = || place.log().contains("the new process is ready");
    assert!(wait_until(LONG, ready), "{}", place.log_tail());
    // It says so right before.
    std::thread::sleep(Duration::from_millis(200));
}

/// A connection that has sent the head and half of the body of an event.
fn half_of(place: &Place, number: u64) -> TcpStream {
    let body = load::body(number, 100);
    let head = format!(
        "POST /in/github HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n\
         x-github-event: push\r\nx-github-delivery: {}\r\nx-hub-signature-256: {}\r\n\
         content-length: {}\r\n\r\n",
        load::delivery_id(number),
        sign::github(SECRET, &body),
        body.len()
    );
    let mut stream = TcpStream::connect(place.address).expect("it is accepted");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time can be set");
    stream.write_all(head.as_bytes()).expect("the connection is open");
    stream.write_all(&body[..body.len() / 2]).expect("the connection is open");
    stream
}

fn rest_of(number: u64) -> Vec<u8> {
    let body = load::body(number, 100);
    body[body.len() / 2..].to_vec()
}

fn source(sink: &Sink) -> String {
    format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{}\"]\n\
         [[source.endpoint]]\nid = \"app\"\nurl = \"{}\"\n",
        load::SECRET,
        sink.url("/app"),
    )
}

/// The same, for a receiver that takes its time: no attempt at it is given up.
fn patient_source(sink: &Sink) -> String {
    format!("{}timeout = \"60s\"\n", source(sink))
}
