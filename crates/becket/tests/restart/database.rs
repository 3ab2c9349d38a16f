//! The same on PostgreSQL, where both processes serve for a moment, and with tables that a newer
//! version has changed meanwhile.

use std::time::Duration;

use crate::chain::Chain;
use crate::postgres::Postgres;
use crate::senders::{Senders, Way};
use crate::source;
use crate::support::gateway::{Gateway, Place};
use crate::support::http::Client;
use crate::support::load;
use crate::support::sink::Sink;
use crate::support::wait_until;

const MASTER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const RESTARTS: usize = 10;

#[test]
fn on_postgresql_nobody_waits_and_tables_may_be_newer() {
    let server = Postgres::start(&[]);
    let sink = Sink::start(|_| {
        std::thread::sleep(Duration::from_millis(5));
        200
    });
    let place = Place::new();
    let text = format!(
        "[server]\nlisten = \"{}\"\nfolder = \"{}\"\n[store]\nurl = \"{}\"\n\
         [cluster]\nlease = \"4s\"\nrenew = \"500ms\"\n{}",
        place.address,
        place.data().display(),
        server.url(),
        source(&sink)
    );
    std::fs::write(place.config(), text).expect("the folder can be written");
    let mut command = place.command();
    command.env("BECKET_MASTER_KEY", MASTER_KEY);
    let gateway = Gateway::spawn(&place, command);
    gateway.wait_ready(Duration::from_secs(30));
    let mut chain = Chain::of(&place, gateway);
    let senders = Senders::new(place.address)
        .with(4, &Way::Closing, Duration::from_millis(10))
        .with(4, &Way::Keeping, Duration::from_millis(10))
        .with(2, &Way::Keeping, Duration::from_millis(700));
    let mut took = Vec::new();
    for _ in 0..RESTARTS / 2 {
        std::thread::sleep(Duration::from_millis(300));
        took.push(chain.restart().took);
    }
    // A newer version has been here, whose tables this one can go on with: it needs no later layout.
    server.query(
        "SET search_path = becket; ALTER TABLE event ADD COLUMN later text; \
         CREATE TABLE later (number integer); \
         INSERT INTO migration SELECT (next).* FROM (SELECT json_populate_record(first, \
         json_build_object('number', 9001, 'checksum', 'later')) AS next \
         FROM migration AS first WHERE number = 1) AS made",
    );
    for _ in 0..RESTARTS / 2 {
        std::thread::sleep(Duration::from_millis(300));
        took.push(chain.restart().took);
    }
    assert!(place.log().contains("database.newer_layout"), "{}", place.log_tail());

    // And one that has taken away what this version needs: no new process, and the old one goes on.
    server.query(
        "SET search_path = becket; UPDATE migration SET reads_from = 9001 WHERE number = 9001",
    );
    let output = chain.ask();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("newer than this program"), "{said}");
    let before = senders.acknowledged();
    let goes_on = wait_until(crate::LONG, || senders.acknowledged() > before + 50);
    assert!(goes_on, "the old process does not go on:\n{}", place.log_tail());
    let seen = senders.finish();
    seen.check_delivered_once(&sink);
    assert!(seen.longest() < crate::DELAY_MAX, "a request waited for {:?}", seen.longest());
    println!(
        "PostgreSQL, {RESTARTS} restarts: {} acknowledged, none refused, longest {:?}, 99 % within \
         {:?}; a restart took {took:?}",
        seen.acknowledged.len(),
        seen.longest(),
        seen.within(0.99),
    );
    chain.stop();
}

#[test]
fn deliveries_go_on_soon_after_a_restart_on_postgresql() {
    let server = Postgres::start(&[]);
    let sink = Sink::start(|_| 200);
    let place = Place::new();
    let text = format!(
        "[server]\nlisten = \"{}\"\nfolder = \"{}\"\n[store]\nurl = \"{}\"\n{}",
        place.address,
        place.data().display(),
        server.url(),
        source(&sink)
    );
    std::fs::write(place.config(), text).expect("the folder can be written");
    let mut command = place.command();
    command.env("BECKET_MASTER_KEY", MASTER_KEY);
    let gateway = Gateway::spawn(&place, command);
    gateway.wait_ready(Duration::from_secs(30));
    let mut chain = Chain::of(&place, gateway);
    chain.restart();
    let mut client = Client::closing(place.address);
    let begun = std::time::Instant::now();
    assert!(load::send(&mut client, "/in/github", 1, 10).expect("it answers").is_success());
    // With the usual lease: the process that leaves gives its shards back as soon as the next serves.
    let delivered = wait_until(crate::LONG, || sink.count() == 1);
    println!("delivered {:?} after a restart", begun.elapsed());
    assert!(delivered, "not delivered:\n{}", place.log_tail());
    // Not when the lease of the old process has ended: that takes 15 s.
    assert!(begun.elapsed() < Duration::from_secs(10), "after {:?}", begun.elapsed());
    chain.stop();
}
