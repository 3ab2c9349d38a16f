//! What happens when connections break, servers refuse, and the way is encrypted.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::postgres::Postgres;
use crate::support::Schema;
use becket_model::{ApplicationId, ApplicationKind, ApplicationSettings};
use becket_store::{
    ApplicationNew, Created, DocumentContent, DocumentKind, DocumentName, Name, Owner, Slice,
    Store as _, StoreError, WriteIf,
};
use becket_store_postgres::PostgresStore;

const OWNER: Owner = Owner::MAIN;

fn application(number: u8, uid: &str) -> ApplicationNew {
    ApplicationNew {
        kind: ApplicationKind::Customer,
        id: ApplicationId::from_bytes([number; 20]),
        uid: Some(uid.to_owned()),
        settings: ApplicationSettings { name: "a\0b\u{1}".to_owned(), ..Default::default() },
        credentials: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_bodies_may_hold_any_character() {
    let schema = Schema::new();
    let store = schema.open().await;
    for (number, uid) in ["a\0", "a", "\u{1}", "\u{1}0", "\0"].into_iter().enumerate() {
        let made =
            store.application_create(OWNER, application(number as u8, uid), 1).await.unwrap();
        assert!(matches!(made, Created::New(_)), "{uid:?}");
        let name = Name::Uid(uid.to_owned());
        let found = store.application_get(OWNER, ApplicationKind::Customer, name).await.unwrap();
        let found = found.expect("it was made");
        assert_eq!((found.uid.as_deref(), found.settings.name.as_str()), (Some(uid), "a\0b\u{1}"));
        let name = DocumentName::of_owner(DocumentKind::Setting, uid);
        let content = DocumentContent { body: format!("\"{uid}\""), ..Default::default() };
        let put = store.document_put(OWNER, name.clone(), content.clone(), WriteIf::Absent, 1);
        put.await.unwrap();
        let found = store.document_get(OWNER, name, 1).await.unwrap().expect("it was made");
        assert_eq!(found.content, content);
    }
    let slice = Slice { limit: 2, after: Some("\0".to_owned()), descending: false };
    let list = store.document_list(OWNER, DocumentKind::Setting, None, slice, 1).await.unwrap();
    let names: Vec<&str> = list.iter().map(|document| document.name.name.as_str()).collect();
    assert_eq!(names, ["\u{1}", "\u{1}0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_make_the_same_name_have_one_winner() {
    let schema = Schema::new();
    let (one, two) = tokio::join!(schema.open(), schema.open());
    for round in 0..10 {
        let uid = format!("app {round}");
        let (first, second) = tokio::join!(
            one.application_create(OWNER, application(2 * round, &uid), 1),
            two.application_create(OWNER, application(2 * round + 1, &uid), 1),
        );
        let made = [first.unwrap(), second.unwrap()];
        let winners = made.iter().filter(|made| matches!(made, Created::New(_))).count();
        let losers = made.iter().filter(|made| matches!(made, Created::NameTaken(_))).count();
        assert_eq!((winners, losers), (1, 1), "{made:?}");
        let name = DocumentName::of_owner(DocumentKind::Answer, &uid);
        let content = DocumentContent::default();
        let (first, second) = tokio::join!(
            one.document_put(OWNER, name.clone(), content.clone(), WriteIf::Absent, 1),
            two.document_put(OWNER, name.clone(), content.clone(), WriteIf::Absent, 1),
        );
        let created = [first.unwrap(), second.unwrap()];
        let created = created.iter().filter(|one| matches!(one, becket_store::Written::Created(_)));
        assert_eq!(created.count(), 1);
        // Both nodes list what either has made, at once.
        let listed = one.config_list(OWNER).await.unwrap();
        assert_eq!(listed, two.config_list(OWNER).await.unwrap());
        assert_eq!(listed.applications.len(), usize::from(round) + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_are_replaced() {
    let schema = Schema::new();
    let mut options = schema.options();
    // Told apart from all others by their name.
    options.name = schema.name.clone();
    let store = PostgresStore::open(options).await.unwrap();
    store.setting_put(OWNER, "a", b"1".to_vec()).await.unwrap();
    let kill = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE application_name = 'becket {}'",
        schema.name
    );
    for _ in 0..5 {
        assert_ne!(schema.query(&kill), ["0"]);
        // The call that meets the end of its connection may say so; those after it work.
        let mut failures = 0;
        while let Err(error) = store.setting_get(OWNER, "a").await {
            assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
            failures += 1;
            assert!(failures < 20);
        }
        store.setting_put(OWNER, "a", b"2".to_vec()).await.unwrap();
        assert!(store.health().is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_writes_is_not_available() {
    let server = Postgres::start(&[]);
    let schema = Schema::new();
    let mut options = schema.options();
    options.url = server.url();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.setting_put(OWNER, "a", b"1".to_vec()).await.unwrap();
    server.query("ALTER SYSTEM SET default_transaction_read_only = on");
    server.query("SELECT pg_reload_conf()");
    // As when another server has been made the primary.
    let refused = loop {
        match store.setting_put(OWNER, "a", b"2".to_vec()).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused}");
    assert_eq!(refused.retry_after_s(), 5);
    assert!(refused.to_string().contains("takes no writes"), "{refused}");
    let started = Instant::now();
    let refused = store.setting_put(OWNER, "a", b"2".to_vec()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused}");
    assert!(started.elapsed() < options.wait_max * 3, "{:?}", started.elapsed());
    assert!(matches!(store.health(), Err(StoreError::Unavailable { .. })));
    assert!(matches!(PostgresStore::open(options).await, Err(StoreError::Unavailable { .. })));
    server.query("ALTER SYSTEM RESET default_transaction_read_only");
    server.query("SELECT pg_reload_conf()");
    let started = Instant::now();
    while store.health().is_err() || store.setting_put(OWNER, "a", b"3".to_vec()).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_or_hangs_holds_nobody_up() {
    let mut server = Postgres::start(&[]);
    let schema = Schema::new();
    let mut options = schema.options();
    options.url = server.url();
    // Long enough for everything that works, on a machine that is busy with something else.
    options.wait_max = Duration::from_secs(5);
    options.answer_max = Duration::from_secs(3);
    let answer_max = options.answer_max;
    let store = PostgresStore::open(options).await.unwrap();
    let writes = (0..6).map(|_| store.setting_put(OWNER, "a", b"1".to_vec()));
    for written in futures_util::future::join_all(writes).await {
        written.unwrap();
    }
    let hung =
        server.query("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'becket%'");
    for pid in &hung {
        assert!(Command::new("kill").args(["-STOP", pid]).status().unwrap().success());
    }
    let started = Instant::now();
    let failed = store.setting_get(OWNER, "a").await.unwrap_err();
    assert!(matches!(failed, StoreError::Unavailable { .. }), "{failed}");
    assert!(started.elapsed() < answer_max * 3, "{:?}", started.elapsed());
    // The others that hang are not tried one after the other.
    let started = Instant::now();
    assert_eq!(store.setting_get(OWNER, "a").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert!(started.elapsed() < answer_max, "{:?}", started.elapsed());
    for pid in &hung {
        assert!(Command::new("kill").args(["-CONT", pid]).status().unwrap().success());
    }
    server.stop();
    let started = Instant::now();
    while store.health().is_ok() {
        assert!(started.elapsed() < Duration::from_secs(30), "it stays healthy");
        let failed = store.setting_get(OWNER, "a").await.unwrap_err();
        assert!(matches!(failed, StoreError::Unavailable { .. }), "{failed}");
    }
    server.resume();
    let started = Instant::now();
    while store.setting_get(OWNER, "a").await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "it does not come back");
    }
    assert_eq!(store.setting_get(OWNER, "a").await.unwrap().as_deref(), Some(&b"1"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_all_connections_taken_is_told_soon() {
    let schema = Schema::new();
    let mut options = schema.options();
    options.pool_max = 2;
    // Its connections are made in this, too.
    options.wait_max = Duration::from_secs(2);
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    store.setting_put(OWNER, "a", b"1".to_vec()).await.unwrap();
    let mut lock = Command::new("psql")
        .args(["-X", "-q", "-d", &crate::support::server()])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("psql can be run");
    let mut input = lock.stdin.take().expect("it was piped");
    let text = format!("BEGIN; LOCK {}.setting IN EXCLUSIVE MODE;\n", schema.name);
    std::io::Write::write_all(&mut input, text.as_bytes()).unwrap();
    let locked = "SELECT count(*) FROM pg_locks WHERE relation = 'setting'::regclass \
                  AND mode = 'ExclusiveLock' AND granted";
    while schema.query(locked) != ["1"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let write = |number: u32| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.setting_put(OWNER, &number.to_string(), Vec::new()).await })
    };
    // Two have all connections.
    let holders = [write(1), write(2)];
    let waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'setting'::regclass \
                   AND NOT granted";
    let started = Instant::now();
    while schema.query(waiting) != ["2"] {
        assert!(started.elapsed() < Duration::from_secs(30), "nobody waits for the lock");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let started = Instant::now();
    for refused in [write(3), write(4), write(5), write(6)] {
        let refused = refused.await.unwrap();
        assert!(matches!(refused, Err(StoreError::Busy { waiting: 1.. })), "{refused:?}");
    }
    // Before the others are given up, which frees a connection.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    drop(input);
    lock.wait().unwrap();
    for holder in holders {
        holder.await.unwrap().unwrap();
    }
    store.setting_put(OWNER, "a", b"2".to_vec()).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn the_way_is_encrypted_and_the_certificate_checked() {
    let mut server = Postgres::start(&[]);
    server.query(
        "CREATE ROLE app LOGIN PASSWORD 'pass word'; GRANT CREATE ON DATABASE postgres TO app",
    );
    let root = certify(&server);
    let rules = "host all postgres 127.0.0.1/32 trust\nhostssl all app all scram-sha-256\n";
    std::fs::write(server.data().join("pg_hba.conf"), rules).expect("the folder can be written");
    server.settings.push("ssl=on".to_owned());
    server.resume();
    let schema = Schema::new();
    let options = |password: &str, rest: &str| {
        let mut options = schema.options();
        options.url =
            format!("postgres://app:{password}@localhost:{}/postgres?{rest}", server.port);
        options
    };
    let trusted =
        format!("sslmode=verify-full&sslrootcert={}&channel_binding=require", root.display());
    let store = PostgresStore::open(options("pass%20word", &trusted)).await.unwrap();
    store.setting_put(OWNER, "a", b"1".to_vec()).await.unwrap();
    let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE usename = 'app' AND NOT ssl";
    assert_eq!(server.query(plain), ["0"]);
    for (password, rest, told) in [
        ("pass%20word", "sslmode=require", "UnknownIssuer"),
        ("pass%20word", "sslmode=disable", "refused the user or its password"),
        ("secret", trusted.as_str(), "refused the user or its password"),
        ("secret", "sslmode=verify-full&sslrootcert=/nowhere", "sslrootcert"),
    ] {
        let refused = PostgresStore::open(options(password, rest)).await.map(drop).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains(told) && !refused.contains("secret"), "{refused}");
    }
}
