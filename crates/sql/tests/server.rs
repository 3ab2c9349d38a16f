//! What only PostgreSQL has: TLS and passwords, rights, types of its own, references, a restart.

#[path = "../../becket/tests/support/postgres.rs"]
mod postgres;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use becket_egress::action::{Action as _, ActionRequest};
use becket_egress::{Acted, AttemptError, AttemptOutcome};
use becket_sql::{ColumnSettings, Mode, SqlAction, SqlPlan, SqlSettings};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use postgres::Postgres;

fn action(url: String, table: &str, columns: &[(&str, &str)]) -> SqlAction {
    let settings = SqlSettings {
        url,
        table: table.to_owned(),
        key: None,
        mode: Mode::Insert,
        on: Vec::new(),
        newer: None,
        create: false,
        remember_ms: 0,
        connections: 2,
        columns: columns
            .iter()
            .map(|(name, from)| {
                ((*name).to_owned(), ColumnSettings { from: (*from).to_owned(), kind: None })
            })
            .collect::<BTreeMap<_, _>>(),
    };
    SqlAction::new(SqlPlan::new(&settings).unwrap_or_else(|error| panic!("{error}")), "test")
}

fn act(action: &SqlAction, id: &str, body: &str) -> AttemptOutcome {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let request = ActionRequest {
        event_id: id.to_owned(),
        event_type: None,
        source: "shop".to_owned(),
        endpoint: "ep_1".to_owned(),
        attempt: 1,
        received_at_ms: 1_767_225_600_123,
        started_at_ms: 1_767_225_600_200,
        method: "POST".to_owned(),
        path: "/in/shop".to_owned(),
        headers,
        body: Bytes::from(body.to_owned()),
        timeout_ms: 5_000,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(action.act(request))
}

fn assert_outcome(outcome: &AttemptOutcome, acted: Option<Acted>, note: &str) {
    assert_eq!(outcome.acted, acted, "{:?}: {}", outcome.error, outcome.note);
    assert!(outcome.note.contains(note), "{}", outcome.note);
}

/// An authority and a certificate for `localhost`, in the server's folder.
fn certify(server: &Postgres) -> PathBuf {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let certificate = authority.self_signed(&authority_key).expect("a certificate");
    let root = server.data().join("root.crt");
    std::fs::write(&root, certificate.pem()).expect("the folder can be written");
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    for (name, text) in [("server.crt", leaf.pem()), ("server.key", key.serialize_pem())] {
        let path = server.data().join(name);
        std::fs::write(&path, text).expect("the folder can be written");
        let script = "chmod 600 \"$1\"; chown --reference=\"$2\" \"$1\"";
        let like = server.data().join("PG_VERSION");
        let status = Command::new("sh").args(["-c", script, "sh"]).arg(&path).arg(&like).status();
        assert!(status.expect("sh can be run").success());
    }
    root
}

#[test]
fn the_way_to_the_server_is_encrypted_and_bound_to_the_password() {
    let mut server = Postgres::start(&[]);
    server.query(
        "CREATE ROLE app LOGIN PASSWORD 'pass word'; CREATE TABLE events (event_id text PRIMARY KEY); \
         GRANT INSERT, SELECT ON events TO app",
    );
    let root = certify(&server);
    let rules = "host all postgres 127.0.0.1/32 trust\nhostssl all app all scram-sha-256\n";
    std::fs::write(server.data().join("pg_hba.conf"), rules).expect("the folder can be written");
    server.settings.push("ssl=on".to_owned());
    server.resume();
    let url = |password: &str, rest: &str| {
        format!("postgres://app:{password}@localhost:{}/postgres?{rest}", server.port)
    };
    let trusted = format!("sslmode=verify-full&sslrootcert={}", root.display());
    let bound = format!("{trusted}&channel_binding=require");
    let done = act(&action(url("pass%20word", &bound), "events", &[]), "msg_1", "{}");
    assert_outcome(&done, Some(Acted::Done), "row written");
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE ssl AND usename = 'app'";
    let kept = action(url("pass%20word", &trusted), "events", &[]);
    assert_outcome(&act(&kept, "msg_2", "{}"), Some(Acted::Done), "row written");
    assert_ne!(server.query(encrypted), ["0"]);
    for (password, rest, note) in [
        ("pass%20word", "sslmode=require", "UnknownIssuer"),
        ("pass%20word", "sslmode=disable", "refused the user or its password"),
        ("secret", trusted.as_str(), "refused the user or its password"),
    ] {
        let outcome = act(&action(url(password, rest), "events", &[]), "msg_3", "{}");
        assert_outcome(&outcome, None, note);
        assert!(!outcome.note.contains("secret"), "{}", outcome.note);
    }
    let plain = Postgres::start(&[]);
    let url = format!("{}?sslmode=require", plain.url());
    let outcome = act(&action(url, "events", &[]), "msg_1", "{}");
    assert_outcome(&outcome, None, "offers no TLS");
    assert_eq!(outcome.error, Some(AttemptError::DatabaseUnreachable));
}

#[test]
fn rights_types_and_references_are_told_apart() {
    let server = Postgres::start(&[]);
    server.query(
        "CREATE ROLE app LOGIN; CREATE TYPE mood AS ENUM ('sad', 'happy'); \
         CREATE DOMAIN short AS varchar(3) CHECK (VALUE <> 'no'); \
         CREATE TABLE parents (id text PRIMARY KEY); \
         CREATE TABLE events (event_id text PRIMARY KEY, n integer GENERATED ALWAYS AS IDENTITY, \
         mood mood, code short, small smallint, parent text REFERENCES parents, at timestamptz \
         DEFAULT now() NOT NULL, fixed char(2), address inet)",
    );
    let url = server.url().replace("postgres@", "app@");
    let columns = [
        ("mood", "body.mood"),
        ("code", "body.code"),
        ("small", "body.small"),
        ("parent", "body.parent"),
        ("fixed", "body.fixed"),
        ("address", "body.address"),
    ];
    let action = action(url, "public.events", &columns);
    let outcome = act(&action, "msg_1", "{}");
    assert_outcome(&outcome, None, "The user may not INSERT on \"public\".\"events\"");
    server.query("GRANT INSERT, SELECT ON events TO app; GRANT SELECT ON parents TO app");
    let full = r#"{"mood":"sad","code":"abc","small":7,"fixed":"ab","address":"10.0.0.1"}"#;
    assert_outcome(&act(&action, "msg_1", full), Some(Acted::Done), "row written");
    let rows = server.query("SELECT mood, code, small, parent, fixed, address FROM events");
    assert_eq!(rows, ["sad|abc|7|NULL|ab|10.0.0.1"]);
    for (body, note) in [
        (r#"{"mood":"secret"}"#, "SQLSTATE 22P02"),
        (r#"{"code":"secret"}"#, "too long"),
        (r#"{"fixed":"secret"}"#, "too long"),
        (r#"{"code":"no"}"#, "CHECK"),
        (r#"{"small":70000}"#, "out of its column's range"),
        (r#"{"code":"a\u0000"}"#, "zero byte"),
        (r#"{"address":"secret"}"#, "SQLSTATE 22P02"),
    ] {
        let outcome = act(&action, "msg_2", body);
        assert_outcome(&outcome, Some(Acted::GiveUp), note);
        assert!(!outcome.note.contains("secret"), "{}", outcome.note);
    }
    let outcome = act(&action, "msg_3", r#"{"parent":"p1"}"#);
    assert_outcome(&outcome, None, "not there (yet)");
    server.query("INSERT INTO parents VALUES ('p1')");
    let outcome = act(&action, "msg_3", r#"{"parent":"p1"}"#);
    assert_outcome(&outcome, Some(Acted::Done), "row written");
}

#[test]
fn a_restarted_server_costs_no_attempt() {
    let mut server = Postgres::start(&[]);
    server.query("CREATE TABLE events (event_id text PRIMARY KEY)");
    let action = action(server.url(), "events", &[]);
    assert_outcome(&act(&action, "msg_1", "{}"), Some(Acted::Done), "row written");
    server.stop();
    let outcome = act(&action, "msg_2", "{}");
    assert_outcome(&outcome, None, "cannot be used");
    assert_eq!(outcome.error, Some(AttemptError::DatabaseUnreachable));
    server.resume();
    assert_outcome(&act(&action, "msg_2", "{}"), Some(Acted::Done), "row written");
    // The kept connection is dead and nobody has noticed: the same attempt makes another.
    server.stop();
    server.resume();
    assert_outcome(&act(&action, "msg_3", "{}"), Some(Acted::Done), "row written");
    server.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    );
    assert_outcome(&act(&action, "msg_4", "{}"), Some(Acted::Done), "row written");
    assert_eq!(server.query("SELECT count(*) FROM events"), ["4"]);
}
