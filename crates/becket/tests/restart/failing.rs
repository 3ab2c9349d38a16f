//! New processes that cannot take over: the old one goes on, and says why.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::chain::Chain;
use crate::senders::{Senders, Way};
use crate::support::gateway::{Gateway, Place};
use crate::support::http::Client;
use crate::support::load;
use crate::support::sink::{Gate, Sink};
use crate::support::wait_until;
use crate::{LONG, source, wait_ready_to_follow};

#[test]
fn a_process_that_cannot_start_costs_nobody_anything() {
    let sink = Sink::start(|_| 200);
    let place = Place::new();
    place.configure("", &place.data(), "", &source(&sink));
    let mut chain = Chain::start(&place);
    let senders = senders(&place);

    // A configuration that is wrong.
    let right = std::fs::read_to_string(place.config()).expect("it was written");
    let fails = |wrong: &str, why: &str| {
        std::fs::write(place.config(), format!("{right}\n{wrong}\n")).expect("it can be written");
        let output = chain.ask();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(why), "{said}");
        std::fs::write(place.config(), &right).expect("it can be written");
    };
    let failures = || place.log().matches("restart.failed").count();
    fails("nonsense = 1", "unknown key `nonsense`");
    let logged = |count| wait_until(LONG, || failures() == count);
    assert!(logged(1), "{}", place.log_tail());
    chain.signal("USR2");
    chain.wait_handed_over(1);
    assert_eq!(failures(), 1, "the file is right again");

    // One that only the new process finds out about: an address that somebody else has.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("a bound socket has an address");
    let moved = right.replace("[server]\n", &format!("[server]\nadmin_listen = \"{address}\"\n"));
    std::fs::write(place.config(), moved).expect("it can be written");
    let output = chain.ask();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("already listens there"), "{said}");
    std::fs::write(place.config(), &right).expect("it can be written");
    assert!(logged(2), "{}", place.log_tail());

    let restarted = chain.restart();
    let seen = senders.finish();
    seen.check_delivered_once(&sink);
    println!("failures, then a restart: longest {:?}, {restarted:?}", seen.longest());
    chain.stop();
}

#[test]
fn a_process_that_fails_with_the_store_in_its_hands_gives_it_back() {
    let sink = Sink::start(|_| 200);
    let place = Place::new();
    place.configure("", &place.data(), "", &source(&sink));
    // The program that the gateway was started as, which an upgrade exchanges.
    let program = place.folder.join("becket");
    let real = env!("CARGO_BIN_EXE_becket");
    std::os::unix::fs::symlink(real, &program).expect("a link can be made");
    let mut command = place.command_under("env", &[]);
    command = again_as(&command, &program);
    let gateway = Gateway::spawn(&place, command);
    gateway.wait_ready(Duration::from_secs(20));
    let mut chain = Chain::of(&place, gateway);
    let senders = senders(&place);

    // Another master key is noticed only when the store is open.
    let script = format!(
        "#!/bin/sh\nBECKET_MASTER_KEY=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE= exec {real} \"$@\"\n"
    );
    exchange(&program, &script);
    let output = chain.ask();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("another master key"), "{said}");
    let before = senders.acknowledged();
    let goes_on = wait_until(LONG, || senders.acknowledged() > before + 50);
    assert!(goes_on, "the old process does not go on:\n{}", place.log_tail());

    // A program that is none.
    exchange(&program, "#!/nowhere\n");
    let output = chain.ask();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("could not be started"), "{said}");

    // One that is killed at the worst moment: it was told that the store is its own.
    vanish_after_yours(&place);
    let before = senders.acknowledged();
    let goes_on = wait_until(LONG, || senders.acknowledged() > before + 50);
    assert!(goes_on, "the old process does not go on:\n{}", place.log_tail());

    // And in the end a good one.
    std::fs::remove_file(&program).expect("it can be removed");
    std::os::unix::fs::symlink(real, &program).expect("a link can be made");
    chain.restart();
    std::thread::sleep(Duration::from_millis(500));
    let seen = senders.finish();
    seen.check_delivered_once(&sink);
    println!("given back twice, then a restart: longest {:?}", seen.longest());
    chain.stop();
}

#[test]
fn a_process_that_cannot_start_ends_only_when_its_reason_was_heard() {
    let place = Place::new();
    place.configure("", &place.data(), "", "");
    let gateway = place.start();
    let right = std::fs::read_to_string(place.config()).expect("it was written");
    std::fs::write(place.config(), format!("{right}\nnonsense = 1\n")).expect("it can be written");
    // Whoever stands still sees the reason and the end at the same moment.
    gateway.signal("STOP");
    let mut command = place.command();
    command.arg("--restart-of").arg(place.data());
    let mut new = command.spawn().expect("it can be started");
    std::thread::sleep(Duration::from_millis(700));
    let early = new.try_wait().expect("a child can be looked at");
    gateway.signal("CONT");
    let ended = wait_until(LONG, || new.try_wait().expect("it can be looked at").is_some());
    assert!(early.is_none(), "it ended before anybody had listened");
    assert!(ended, "it waits for ever:\n{}", place.log_tail());
    let told = || place.log().contains("unknown key `nonsense`");
    assert!(wait_until(LONG, told), "{}", place.log_tail());
    gateway.stop();
}

#[test]
fn a_process_that_lingers_ends_when_it_is_told_to() {
    let place = Place::new();
    let sink = Sink::start(|_| 200);
    place.configure("", &place.data(), "", &source(&sink));
    let mut chain = Chain::start(&place);
    let mut resting = Client::keeping(place.address);
    assert!(load::send(&mut resting, "/in/github", 1, 10).expect("it answers").is_success());
    let old = chain.pid;
    chain.restart();
    // The connection rests in the old process, which would stay for more than a minute.
    assert!(chain.running().contains(&old), "{}", place.log_tail());
    chain.first.signal("TERM");
    assert!(chain.wait_first_ended(Duration::from_secs(40)).success());
    let mut client = Client::closing(place.address);
    assert!(load::send(&mut client, "/in/github", 2, 10).expect("it answers").is_success());
    chain.stop();
}

#[test]
fn the_old_process_is_killed_before_it_has_finished() {
    // What is being delivered keeps the old process from making room.
    let gate = Gate::default();
    let held = gate.clone();
    let sink = Sink::start(move |_| {
        held.pass();
        200
    });
    let place = Place::new();
    place.configure("", &place.data(), "", &source(&sink));
    let mut chain = Chain::start(&place);
    let mut client = Client::closing(place.address);
    assert!(load::send(&mut client, "/in/github", 1, 10).expect("it answers").is_success());
    assert!(wait_until(LONG, || gate.waiting() == 1), "{}", place.log_tail());
    let new = std::thread::scope(|scope| {
        let asking = scope.spawn(|| chain.ask());
        let started = || chain.started().len() == 1;
        assert!(wait_until(LONG, started), "{}", place.log_tail());
        // It has the sockets, and waits for the store.
        wait_ready_to_follow(&place);
        chain.signal("KILL");
        assert!(!asking.join().expect("no panic").status.success(), "there was nobody to say so");
        chain.started()[0]
    });
    chain.goes_on_as(new);
    gate.open();
    let begun = Instant::now();
    let answer = load::send(&mut client, "/in/github", 2, 10).expect("it waited in the queue");
    assert!(answer.is_success(), "{} {}", answer.status, answer.text());
    println!("the old process killed: the next request took {:?}", begun.elapsed());
    let both = || {
        let numbers = sink.deliveries().into_iter().filter_map(|one| load::number_in(&one.body));
        numbers.collect::<std::collections::BTreeSet<u64>>() == [1, 2].into()
    };
    assert!(wait_until(LONG, both), "{}", place.log_tail());
    chain.stop();
}

fn senders(place: &Place) -> Senders {
    Senders::new(place.address)
        .with(3, &Way::Closing, Duration::from_millis(5))
        .with(3, &Way::Keeping, Duration::from_millis(10))
        .with(1, &Way::Keeping, Duration::from_millis(800))
}

/// The same command under another name of the program.
pub(super) fn again_as(
    command: &std::process::Command,
    program: &std::path::Path,
) -> std::process::Command {
    let mut again = std::process::Command::new(program);
    // The first argument is the program that `env` would have run.
    again.args(command.get_args().skip(1));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => again.env(name, value),
            None => again.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        again.current_dir(folder);
    }
    again.stdin(std::process::Stdio::null());
    again
}

/// Puts another program in the place of this one, as an installation does.
pub(super) fn exchange(program: &std::path::Path, text: &str) {
    let aside = program.with_extension("new");
    std::fs::write(&aside, text).expect("the folder can be written");
    std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    std::fs::rename(&aside, program).expect("it can be renamed");
}

/// Takes part in a hand-over as far as the old process closing its store, and is gone then.
fn vanish_after_yours(place: &Place) {
    let stream = UnixStream::connect(place.data().join("control.sock")).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time can be set");
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor can be copied"));
    let say = |text: &str| writeln!(&stream, "{text}").expect("it hears");
    say(r#"{"say":"hello","protocol":1,"version":"9.9.9","pid":4999999,"shares_store":false}"#);
    let mut heard = |wanted: &str| loop {
        let mut line = String::new();
        assert!(
            reader.read_line(&mut line).expect("it says something") > 0,
            "gone before {wanted}"
        );
        if line.contains(wanted) {
            return;
        }
    };
    // The sockets that come along are dropped: whoever does not ask for them does not get them.
    heard("sockets");
    heard("\"sockets\"");
    say(r#"{"say":"ready"}"#);
    heard("yours");
}
