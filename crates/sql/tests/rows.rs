//! Rows in real databases: every behaviour is shown against SQLite and against PostgreSQL.

#[path = "../../becket/tests/support/postgres.rs"]
#[allow(dead_code, reason = "other drivers use the rest")]
mod postgres;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use becket_egress::action::{Action as _, ActionRequest};
use becket_egress::{Acted, AttemptError, AttemptOutcome};
use becket_sql::{ColumnSettings, Mode, SqlAction, SqlPlan, SqlSettings};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use postgres::Postgres;

/// A database of either kind, empty.
enum Database {
    Postgres(Box<Postgres>),
    Sqlite(tempfile::TempDir),
}

impl Database {
    fn each() -> [Self; 2] {
        let database = Self::Sqlite(tempfile::tempdir().expect("a temporary folder can be made"));
        // An empty text makes an empty file, which is an empty database.
        database.run("");
        [database, Self::Postgres(Box::new(Postgres::start(&[])))]
    }

    fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Sqlite(_) => format!("sqlite:{}", self.file().display()),
        }
    }

    fn file(&self) -> PathBuf {
        match self {
            Self::Postgres(_) => panic!("PostgreSQL has no single file"),
            Self::Sqlite(folder) => folder.path().join("rows.db"),
        }
    }

    fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    fn run(&self, sql: &str) {
        match self {
            Self::Postgres(server) => {
                server.query(sql);
            }
            Self::Sqlite(_) => {
                let connection = rusqlite::Connection::open(self.file()).expect("it opens");
                connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
        }
    }

    /// Rows as text: columns with `|` between them, `NULL` for nothing.
    fn rows(&self, sql: &str) -> Vec<String> {
        match self {
            Self::Postgres(server) => server.query(sql),
            Self::Sqlite(_) => {
                use rusqlite::types::Value;
                let connection = rusqlite::Connection::open(self.file()).expect("it opens");
                let mut statement = connection.prepare(sql).expect("the statement is right");
                let count = statement.column_count();
                let text = |value: Value| match value {
                    Value::Null => "NULL".to_owned(),
                    Value::Integer(number) => number.to_string(),
                    Value::Real(number) => number.to_string(),
                    Value::Text(text) => text,
                    Value::Blob(bytes) => format!("\\x{}", to_hex(&bytes)),
                };
                statement
                    .query_map([], |row| {
                        let columns: Vec<String> = (0..count)
                            .map(|index| row.get(index).map(text))
                            .collect::<Result<_, _>>()?;
                        Ok(columns.join("|"))
                    })
                    .expect("the query runs")
                    .collect::<Result<_, _>>()
                    .expect("the rows can be read")
            }
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn settings(url: String, table: &str, columns: &[(&str, &str)]) -> SqlSettings {
    SqlSettings {
        url,
        table: table.to_owned(),
        key: None,
        mode: Mode::Insert,
        on: Vec::new(),
        newer: None,
        create: false,
        remember_ms: 90 * 86_400_000,
        connections: 2,
        columns: columns
            .iter()
            .map(|(name, from)| {
                // `from : type` stands for the form with a type.
                let (from, kind) = from.split_once(" : ").unwrap_or((from, ""));
                let kind = (!kind.is_empty()).then(|| kind.parse().expect("a type"));
                ((*name).to_owned(), ColumnSettings { from: from.to_owned(), kind })
            })
            .collect::<BTreeMap<_, _>>(),
    }
}

fn action(settings: &SqlSettings) -> Arc<SqlAction> {
    let plan = SqlPlan::new(settings).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(SqlAction::new(plan, "test"))
}

fn request(id: &str, body: &str) -> ActionRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-request-id", HeaderValue::from_static("r-1"));
    ActionRequest {
        event_id: id.to_owned(),
        event_type: Some("charge.succeeded".to_owned()),
        source: "stripe".to_owned(),
        endpoint: "ep_1".to_owned(),
        attempt: 1,
        received_at_ms: 1_767_225_600_123,
        started_at_ms: 1_767_225_600_200,
        method: "POST".to_owned(),
        path: "/in/stripe?page=2".to_owned(),
        headers,
        body: Bytes::from(body.to_owned()),
        timeout_ms: 5_000,
    }
}

fn act(action: &Arc<SqlAction>, request: ActionRequest) -> AttemptOutcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(action.act(request))
}

fn assert_done(outcome: &AttemptOutcome, note: &str) {
    assert_eq!(outcome.acted, Some(Acted::Done), "{:?}: {}", outcome.error, outcome.note);
    assert!(outcome.note.contains(note), "{}", outcome.note);
}

fn assert_retried(outcome: &AttemptOutcome, error: AttemptError, note: &str) {
    assert_eq!((outcome.acted, outcome.error), (None, Some(error)), "{}", outcome.note);
    assert!(outcome.note.contains(note), "{}", outcome.note);
}

fn assert_given_up(outcome: &AttemptOutcome, note: &str) {
    let expected = (Some(Acted::GiveUp), Some(AttemptError::RowInvalid));
    assert_eq!((outcome.acted, outcome.error), expected, "{}", outcome.note);
    assert!(outcome.note.contains(note), "{}", outcome.note);
}

#[test]
fn every_type_is_written() {
    for database in Database::each() {
        database.run(
            "CREATE TABLE events (event_id text PRIMARY KEY, a_text text, a_bigint bigint, a_float \
             double precision, a_numeric numeric(20,4), a_bool boolean, a_json json, a_time timestamp, \
             a_date date, a_uuid uuid, received timestamp, header varchar(10), page integer, missing \
             text, attempt smallint, said text, amount text)",
        );
        let raw = if database.is_sqlite() { "blob" } else { "bytea" };
        database.run(&format!("ALTER TABLE events ADD COLUMN raw {raw}"));
        let columns = [
            ("a_text", "body.text"),
            ("a_bigint", "body.big"),
            ("a_float", "body.float"),
            ("a_numeric", "body.numeric"),
            ("a_bool", "body.bool"),
            ("a_json", "body.list"),
            ("a_time", "body.time"),
            ("a_date", "body.time"),
            ("a_uuid", "body.uuid"),
            ("received", "event.received_at"),
            ("header", "header.X-Request-Id"),
            ("page", "query.page"),
            ("missing", "body.a.b[3]"),
            ("attempt", "event.attempt"),
            ("said", "{{event.type}} by {{body.who or 'nobody'}}"),
            ("amount", "body.big"),
            ("raw", "body"),
        ];
        let body = r#"{"text":"ä'; DROP TABLE events; --","big":9007199254740993,"float":0.1,"numeric":"12.3456","bool":true,"list":[1,{"a":null}],"time":1767225600,"uuid":"0190F0C27D6B7C3A8F000123456789AB"}"#;
        let action = action(&settings(database.url(), "events", &columns));
        assert_done(&act(&action, request("msg_1", body)), "row written");
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let rows = database.rows(&format!("SELECT event_id, {} FROM events", names.join(", ")));
        let raw = to_hex(body.as_bytes());
        let expected = if database.is_sqlite() {
            format!(
                "msg_1|ä'; DROP TABLE events; --|9007199254740993|0.1|12.3456|1|[1,{{\"a\":null}}]|\
                 2026-01-01T00:00:00.000000Z|2026-01-01|0190f0c2-7d6b-7c3a-8f00-0123456789ab|\
                 2026-01-01T00:00:00.123000Z|r-1|2|NULL|1|charge.succeeded by nobody|9007199254740993|\\x{raw}"
            )
        } else {
            format!(
                "msg_1|ä'; DROP TABLE events; --|9007199254740993|0.1|12.3456|t|[1,{{\"a\":null}}]|\
                 2026-01-01 00:00:00|2026-01-01|0190f0c2-7d6b-7c3a-8f00-0123456789ab|\
                 2026-01-01 00:00:00.123|r-1|2|NULL|1|charge.succeeded by nobody|9007199254740993|\\x{raw}"
            )
        };
        assert_eq!(rows, [expected]);
    }
}

#[test]
fn redelivery_inserts_nothing_again() {
    for database in Database::each() {
        database.run("CREATE TABLE events (id text PRIMARY KEY, name text UNIQUE)");
        let mut settings =
            settings(database.url(), "events", &[("id", "event.id"), ("name", "body.name")]);
        settings.key = Some("id".to_owned());
        let action = action(&settings);
        assert_done(&act(&action, request("msg_1", r#"{"name":"a"}"#)), "row written");
        assert_done(&act(&action, request("msg_1", r#"{"name":"b"}"#)), "there already");
        assert_eq!(database.rows("SELECT id, name FROM events"), ["msg_1|a"]);
        // Another unique column is no redelivery: it is told, not swallowed.
        let outcome = act(&action, request("msg_2", r#"{"name":"a"}"#));
        let names = if database.is_sqlite() { "events.name" } else { "events_name_key" };
        assert_given_up(&outcome, names);
        assert!(!outcome.note.contains("\"a\""), "{}", outcome.note);
        // Many at once, on several threads, as the engine's shards do.
        let threads: Vec<_> = (0..16)
            .map(|number| {
                let action = Arc::clone(&action);
                let body = format!(r#"{{"name":"n{}"}}"#, number / 8);
                let id = format!("msg_many_{}", number / 8);
                std::thread::spawn(move || act(&action, request(&id, &body)))
            })
            .collect();
        for thread in threads {
            assert_done(&thread.join().expect("no panic"), "");
        }
        assert_eq!(database.rows("SELECT count(*) FROM events"), ["3"]);
    }
}

fn customers(database: &Database, newer: Option<&str>) -> SqlSettings {
    let columns =
        [("customer_id", "body.customer"), ("plan", "body.plan"), ("changed", "body.changed")];
    SqlSettings {
        mode: Mode::Upsert,
        on: vec!["customer_id".to_owned()],
        newer: newer.map(str::to_owned),
        ..settings(database.url(), "customers", &columns)
    }
}

fn customer(id: &str, plan: &str, changed: i64) -> ActionRequest {
    let body = format!(r#"{{"customer":"c1","plan":"{plan}","changed":{changed}}}"#);
    request(id, &body)
}

const CUSTOMERS: &str =
    "CREATE TABLE customers (customer_id text PRIMARY KEY, plan text, changed timestamp)";

#[test]
fn redelivery_after_a_newer_event_does_not_undo_it() {
    for database in Database::each() {
        for newer in [None, Some("changed")] {
            database.run("DROP TABLE IF EXISTS customers; DROP TABLE IF EXISTS becket_applied");
            database.run(CUSTOMERS);
            let action = action(&customers(&database, newer));
            let (first, second) = (1_767_225_600, 1_767_225_700);
            assert_done(&act(&action, customer("msg_1", "free", first)), "row written");
            assert_done(&act(&action, customer("msg_2", "paid", second)), "row written");
            assert_done(&act(&action, customer("msg_1", "free", first)), "applied before");
            assert_done(&act(&action, customer("msg_2", "paid", second)), "applied before");
            assert_eq!(database.rows("SELECT plan FROM customers"), ["paid"]);
            // A part of a second later is later, also where moments are texts.
            let body = r#"{"customer":"c1","plan":"more","changed":1767225700.5}"#;
            assert_done(&act(&action, request("msg_2a", body)), "row written");
            assert_eq!(database.rows("SELECT plan FROM customers"), ["more"]);
            let body = r#"{"customer":"c1","plan":"paid","changed":1767225701}"#;
            assert_done(&act(&action, request("msg_2b", body)), "row written");
            // An older event whose first attempts failed comes after a newer one.
            let late = act(&action, customer("msg_0", "trial", first - 100));
            let expected = if newer.is_some() { "paid" } else { "trial" };
            assert_done(
                &late,
                if newer.is_some() { "newer than the event" } else { "row written" },
            );
            assert_eq!(database.rows("SELECT plan FROM customers"), [expected]);
            // What cannot be ordered is refused where order counts.
            if newer.is_some() {
                let outcome = act(&action, request("msg_3", r#"{"customer":"c1","plan":"x"}"#));
                assert_given_up(&outcome, "`changed` must have a value");
            }
            let outcome = act(&action, request("msg_4", r#"{"plan":"x","changed":1}"#));
            assert_given_up(&outcome, "`customer_id` must have a value");
            let applied = database.rows("SELECT event_id FROM becket_applied ORDER BY 1");
            assert_eq!(
                applied,
                ["msg_0", "msg_1", "msg_2", "msg_2a", "msg_2b"],
                "only what was applied is remembered"
            );
        }
    }
}

#[test]
fn a_failed_upsert_is_not_remembered() {
    for database in Database::each() {
        database.run(
            "CREATE TABLE plans (name text PRIMARY KEY); CREATE TABLE customers (customer_id text \
             PRIMARY KEY, plan text CHECK (plan <> 'gone'), changed timestamp)",
        );
        let action = action(&customers(&database, None));
        assert_given_up(&act(&action, customer("msg_1", "gone", 1)), "CHECK");
        assert_eq!(database.rows("SELECT count(*) FROM becket_applied"), ["0"]);
        assert_done(&act(&action, customer("msg_1", "paid", 1)), "row written");
    }
}

#[test]
fn old_events_are_forgotten() {
    for database in Database::each() {
        database.run(CUSTOMERS);
        let mut settings = customers(&database, None);
        settings.remember_ms = 86_400_000;
        let action = action(&settings);
        assert_done(&act(&action, customer("msg_1", "free", 1)), "row written");
        let mut later = customer("msg_2", "paid", 2);
        later.started_at_ms += 2 * 86_400_000;
        assert_done(&act(&action, later), "row written");
        assert_eq!(database.rows("SELECT event_id FROM becket_applied"), ["msg_2"]);
    }
}

#[test]
fn a_missing_table_is_made_if_that_is_wanted() {
    for database in Database::each() {
        let columns = [
            ("amount", "body.amount : numeric"),
            ("at", "event.received_at"),
            ("who", "body.who : text"),
            ("all", "body"),
        ];
        let mut settings = settings(database.url(), "made \"up\"", &columns);
        let refused = act(&action(&settings), request("msg_1", "{}"));
        assert_retried(&refused, AttemptError::DatabaseRefused, "There is no table");
        settings.create = true;
        // A name with quotes in it is one as long as it does not begin with one.
        let action = action(&settings);
        let body = r#"{"amount":19.99,"who":null}"#;
        assert_done(&act(&action, request("msg_1", body)), "row written");
        assert_done(&act(&action, request("msg_1", body)), "there already");
        let rows = database.rows("SELECT event_id, amount, who FROM \"made \"\"up\"\"\"");
        assert_eq!(rows, ["msg_1|19.99|NULL"]);
    }
}

#[test]
fn what_does_not_fit_is_told_for_each_column_and_heals() {
    for database in Database::each() {
        database.run("CREATE TABLE events (\"Event_Id\" text, amount integer, must text NOT NULL)");
        let columns = [("amount", "event.id"), ("gone", "body.x")];
        let action = action(&settings(database.url(), "events", &columns));
        let outcome = act(&action, request("msg_1", "{}"));
        assert_retried(&outcome, AttemptError::DatabaseRefused, "has no column `gone`.");
        for sentence in [
            "which `event.id` never is.",
            "The column `must` must have a value (NOT NULL without a default)",
        ] {
            assert!(outcome.note.contains(sentence), "{}", outcome.note);
        }
        if database.is_sqlite() {
            assert!(outcome.note.contains("no unique index on `event_id`"), "{}", outcome.note);
        } else {
            let sentence = "no column `event_id` (but it has `Event_Id`)";
            assert!(outcome.note.contains(sentence), "{}", outcome.note);
        }
        database.run(
            "DROP TABLE events; CREATE TABLE events (event_id text PRIMARY KEY, amount text, gone \
             text)",
        );
        assert_done(&act(&action, request("msg_1", "{}")), "row written");
        // Changed under a running endpoint.
        database.run("ALTER TABLE events DROP COLUMN gone");
        let outcome = act(&action, request("msg_2", "{}"));
        assert_retried(&outcome, AttemptError::DatabaseRefused, "no column `gone`");
        database.run("ALTER TABLE events ADD COLUMN gone integer");
        assert_done(&act(&action, request("msg_2", r#"{"x":7}"#)), "row written");
        let outcome = act(&action, request("msg_3", r#"{"x":"secret"}"#));
        assert_given_up(&outcome, "`gone` takes a whole number, and the event's text is none");
        assert!(!outcome.note.contains("secret"), "{}", outcome.note);
        assert_eq!(database.rows("SELECT count(*) FROM events"), ["2"]);
    }
}

#[test]
fn a_lock_is_waited_for_only_as_long_as_there_is_time() {
    for database in Database::each() {
        database.run("CREATE TABLE events (event_id text PRIMARY KEY)");
        let action = action(&settings(database.url(), "events", &[]));
        assert_done(&act(&action, request("msg_1", "{}")), "row written");
        let mut hurried = request("msg_2", "{}");
        hurried.timeout_ms = 300;
        let started = std::time::Instant::now();
        let outcome = match &database {
            Database::Sqlite(_) => {
                let other = rusqlite::Connection::open(database.file()).expect("it opens");
                other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
                act(&action, hurried)
            }
            Database::Postgres(server) => std::thread::scope(|scope| {
                let hold = "BEGIN; LOCK TABLE events; SELECT pg_sleep(1.5)";
                scope.spawn(|| server.query(hold));
                while server
                    .query("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'")
                    == ["0"]
                {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                act(&action, hurried)
            }),
        };
        assert!(outcome.acted.is_none() && outcome.error.is_some(), "{}", outcome.note);
        assert!(started.elapsed().as_millis() < 4_000, "{:?}", started.elapsed());
        // The server may have written it after all, when the lock was gone: that changes nothing.
        assert_done(&act(&action, request("msg_2", "{}")), "");
        assert_eq!(database.rows("SELECT count(*) FROM events"), ["2"]);
    }
}

#[test]
fn a_replaced_sqlite_file_is_opened_anew() {
    let [database, _] = Database::each();
    let make = "CREATE TABLE events (event_id text PRIMARY KEY)";
    database.run(make);
    let action = action(&settings(database.url(), "events", &[]));
    assert_done(&act(&action, request("msg_1", "{}")), "row written");
    for suffix in ["", "-wal", "-shm"] {
        let mut name = database.file().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
    let outcome = act(&action, request("msg_2", "{}"));
    assert_retried(&outcome, AttemptError::DatabaseUnreachable, "cannot be opened");
    database.run(make);
    assert_done(&act(&action, request("msg_2", "{}")), "row written");
    assert_eq!(database.rows("SELECT event_id FROM events"), ["msg_2"]);
}
