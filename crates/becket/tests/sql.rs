//! Rows for events, with the real gateway and real databases: one row for each event, across a killed
//! gateway and a database that goes away and comes back.

#[path = "support/postgres.rs"]
#[allow(dead_code, reason = "other drivers use the rest")]
mod postgres;
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use postgres::Postgres;
use serde_json::Value;
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::http::Client;
use support::load::{self, Load, Plan};
use support::{EVENTS, wait_until};

/// A source of load with one endpoint that writes rows.
fn source(url: &str, sql: &str) -> String {
    format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{}\"]\n\
         [[source.endpoint]]\nid = \"rows\"\nretry = [{}]\n[source.endpoint.sql]\nurl = \"{url}\"\n{sql}",
        load::SECRET,
        ["\"1s\""; 60].join(", "),
    )
}

/// The attempts at an event, first one first, with their details.
fn attempts(gateway: &Gateway<'_>, event: &str) -> Vec<Value> {
    let mut all: Vec<Value> = gateway
        .api_list(&format!("/api/v1/becket/attempt?event={event}"))
        .iter()
        .map(|attempt| {
            let id = attempt["id"].as_str().expect("an attempt has an id");
            gateway.api("GET", &format!("/api/v1/becket/attempt/{id}"))
        })
        .collect();
    all.sort_by_key(|attempt| attempt["number"].as_u64());
    all
}

fn wait_state(gateway: &Gateway<'_>, event: &str, state: &str) -> Vec<Value> {
    let reached = wait_until(Duration::from_secs(30), || {
        gateway.api("GET", &format!("{EVENTS}/{event}"))["state"] == state
    });
    let made = attempts(gateway, event);
    assert!(reached, "{event} did not become {state}: {made:#?}");
    made
}

fn replay(place: &Place, event: &str) {
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let path = format!("{EVENTS}/{event}/replay");
    let answer = Client::closing(place.address).send("POST", &path, &headers, b"{}");
    let answer = answer.expect("it answers");
    assert!(answer.is_success(), "{} {}", answer.status, answer.text());
}

fn note(attempt: &Value) -> &str {
    attempt["detail"]["note"].as_str().unwrap_or_default()
}

#[test]
fn every_event_becomes_one_row_whatever_is_killed() {
    let mut database = Postgres::start(&[]);
    let place = Place::new();
    let sql = "table = \"events\"\ncreate = true\n[source.endpoint.sql.columns]\n\
               number = { from = \"body.number\", type = \"integer\" }\nkind = \"event.type\"\n";
    place.configure("", &place.data(), "", &source(&database.url(), sql));
    // The database is away when the gateway starts: that is logged, and nothing else waits for it.
    database.stop();
    let mut gateway = place.start();
    let plan = Plan { pause: Duration::from_millis(10), ..Plan::new(place.address, "/in/github") };
    let load = Load::start(&plan, 1, None);
    let told = wait_until(Duration::from_secs(30), || place.log().contains("sql.not_ready"));
    assert!(told, "{}", place.log_tail());
    database.resume();
    std::thread::sleep(Duration::from_secs(2));
    gateway.kill();
    gateway = place.start();
    std::thread::sleep(Duration::from_secs(1));
    database.stop();
    std::thread::sleep(Duration::from_secs(1));
    database.resume();
    std::thread::sleep(Duration::from_secs(1));
    let ledger = load.finish();
    assert!(ledger.acknowledged.len() > 50, "hardly any load: {}", ledger.acknowledged.len());
    let complete = wait_until(Duration::from_secs(60), || {
        let rows = database.query("SELECT number FROM events");
        let rows: BTreeSet<u64> = rows.iter().filter_map(|row| row.parse().ok()).collect();
        ledger.acknowledged.keys().all(|number| rows.contains(number))
    });
    assert!(complete, "rows are missing:\n{}", place.log_tail());
    let twice = database.query(
        "SELECT number FROM events GROUP BY number HAVING count(DISTINCT event_id) <> count(*)",
    );
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(database.query("SELECT DISTINCT kind FROM events"), ["push"]);
    println!("{} events, each with its row", ledger.acknowledged.len());
    gateway.stop();
}

#[test]
fn a_replayed_event_does_not_undo_a_newer_one() {
    let database = Postgres::start(&[]);
    database.query("CREATE TABLE state (filling text PRIMARY KEY, number bigint, at timestamptz)");
    let place = Place::new();
    let sql = "table = \"public.state\"\nmode = \"upsert\"\non = [\"filling\"]\n\
               [source.endpoint.sql.columns]\nfilling = \"body.filling\"\nnumber = \"body.number\"\n\
               at = \"event.received_at\"\n";
    place.configure("", &place.data(), "", &source(&database.url(), sql));
    let gateway = place.start();
    let mut client = Client::keeping(place.address);
    let mut send = |number| {
        let answer = load::send(&mut client, "/in/github", number, 3).expect("it answers");
        let event = load::event_id(&answer);
        wait_state(&gateway, &event, "delivered");
        event
    };
    let first = send(1);
    send(2);
    assert_eq!(database.query("SELECT filling, number FROM state"), ["xxx|2"]);
    replay(&place, &first);
    let replayed = wait_until(Duration::from_secs(20), || {
        attempts(&gateway, &first).iter().any(|attempt| note(attempt).contains("applied before"))
    });
    assert!(replayed, "{:#?}", attempts(&gateway, &first));
    assert_eq!(database.query("SELECT filling, number FROM state"), ["xxx|2"]);
    gateway.stop();
}

#[test]
fn what_cannot_fit_is_given_up_and_what_can_heal_is_tried_again() {
    let place = Place::new();
    let file = place.folder.join("rows.db");
    let run = |sql: &str| {
        let python = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                      print([list(r) for r in c.execute(sys.argv[2])]); c.commit()";
        let output = std::process::Command::new("python3")
            .args(["-c", python, &file.display().to_string(), sql])
            .output()
            .expect("python3 can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    run("CREATE TABLE numbers (event_id TEXT PRIMARY KEY, number DATE)");
    // A relative path begins in the folder of the configuration.
    let sql = "table = \"numbers\"\n[source.endpoint.sql.columns]\nnumber = \"body.number\"\n\
               filling = \"body.filling\"\n";
    place.configure("", &place.data(), "", &source("sqlite:rows.db", sql));
    let gateway = place.start();
    let told = || place.log().contains("The table has no column `filling`.");
    assert!(wait_until(Duration::from_secs(10), told), "{}", place.log_tail());
    let mut client = Client::keeping(place.address);
    let answer = load::send(&mut client, "/in/github", 7, 4).expect("it answers");
    let event = load::event_id(&answer);
    let tried = wait_until(Duration::from_secs(20), || !attempts(&gateway, &event).is_empty());
    assert!(tried, "{}", place.log_tail());
    let first = &attempts(&gateway, &event)[0];
    assert_eq!(first["detail"]["error"], "The database refused the row.", "{first:#?}");
    run("ALTER TABLE numbers ADD COLUMN filling TEXT");
    // 7 is a moment in 1970, and so a day.
    wait_state(&gateway, &event, "delivered");
    assert_eq!(run("SELECT number, filling FROM numbers"), "[['1970-01-01', 'xxxx']]");
    run("DROP TABLE numbers");
    run("CREATE TABLE numbers (event_id TEXT PRIMARY KEY, number UUID, filling TEXT)");
    let answer = load::send(&mut client, "/in/github", 8, 4).expect("it answers");
    let made = wait_state(&gateway, &load::event_id(&answer), "failed");
    assert_eq!(made.len(), 1, "{made:#?}");
    assert!(note(&made[0]).contains("`number` takes a UUID"), "{made:#?}");
    gateway.stop();
}
