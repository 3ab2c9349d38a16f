//! What callers leave behind who do not wait for their answer: nothing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use becket_store::{
    DocumentContent, DocumentKind, DocumentName, Owner, Store as _, WriteIf, Written,
};
use becket_store_postgres::PostgresStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::Schema;

const OWNER: Owner = Owner::MAIN;

/// Stands between a store and the database, and can keep answers back.
struct Way {
    url: String,
    keep: watch::Sender<bool>,
}

impl Way {
    /// Stands before the database with this URL, which names its host and port as `@host:port/`.
    async fn to(url: &str) -> Self {
        let (before, rest) = url.split_once('@').expect("the URL names a user");
        let (server, after) = rest.split_once('/').expect("the URL names a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (keep, kept) = watch::channel(false);
        let server = server.to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("the database listens");
                tokio::spawn(pass(client, server, kept.clone()));
            }
        });
        Self { url: format!("{before}@127.0.0.1:{port}/{after}"), keep }
    }
}

async fn pass(client: TcpStream, server: TcpStream, mut kept: watch::Receiver<bool>) {
    let ((mut asks, mut told), (mut answers, mut asked)) =
        (client.into_split(), server.into_split());
    let forth = async move { tokio::io::copy(&mut asks, &mut asked).await.map(drop) };
    let back = async move {
        let mut buffer = vec![0; 65_536];
        while let Ok(count @ 1..) = answers.read(&mut buffer).await {
            if kept.wait_for(|kept| !kept).await.is_err() {
                break;
            }
            told.write_all(&buffer[..count]).await?;
        }
        Ok::<(), std::io::Error>(())
    };
    // Whoever ends first ends the other.
    tokio::select! {
        _ = forth => {}
        _ = back => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_nobody_waits_for_takes_nothing_along() {
    let schema = Schema::new();
    let way = Way::to(&schema.url()).await;
    let mut options = schema.options();
    options.url = way.url.clone();
    options.pool_max = 1;
    let store = PostgresStore::open(options).await.unwrap();
    store.setting_put(OWNER, "a", b"1".to_vec()).await.unwrap();
    let name = DocumentName::of_owner(DocumentKind::Setting, "d");
    let put =
        |write_if| store.document_put(OWNER, name.clone(), DocumentContent::default(), write_if, 1);
    way.keep.send_replace(true);
    // Its BEGIN is on the way when the caller goes.
    let gone = tokio::time::timeout(Duration::from_millis(200), put(WriteIf::Always)).await;
    assert!(gone.is_err(), "it was answered");
    way.keep.send_replace(false);
    store.setting_put(OWNER, "a", b"2".to_vec()).await.unwrap();
    // Refused, and therefore rolled back.
    let refused = put(WriteIf::Revision(99)).await.unwrap();
    assert!(!matches!(refused, Written::Created(_)), "{refused:?}");
    let other = schema.open().await;
    assert_eq!(other.setting_get(OWNER, "a").await.unwrap().as_deref(), Some(&b"2"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn impatient_callers_do_not_take_the_pool_away() {
    let schema = Schema::new();
    let mut options = schema.options();
    options.name = schema.name.clone();
    options.pool_max = 2;
    let store = PostgresStore::open(options).await.unwrap();
    store.setting_put(OWNER, "a", b"1".to_vec()).await.unwrap();
    let mut lock = Command::new("psql")
        .args(["-X", "-q", "-d", &crate::support::server()])
        .stdin(Stdio::piped())
        .spawn()
        .expect("psql can be run");
    let mut input = lock.stdin.take().expect("it was piped");
    let text = format!("BEGIN; LOCK {}.delivery IN ACCESS EXCLUSIVE MODE;\n", schema.name);
    std::io::Write::write_all(&mut input, text.as_bytes()).unwrap();
    let locked = "SELECT count(*) FROM pg_locks WHERE relation = 'delivery'::regclass \
                  AND mode = 'AccessExclusiveLock' AND granted";
    while schema.query(locked) != ["1"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..10 {
        let gone = tokio::time::timeout(Duration::from_millis(60), store.delivery_waiting()).await;
        assert!(gone.is_err(), "{gone:?}");
    }
    let started = Instant::now();
    store.setting_put(OWNER, "a", b"2".to_vec()).await.unwrap();
    // Half of what a statement is waited for, by which it would end on its own.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity \
         WHERE application_name = 'becket {}' AND wait_event_type = 'Lock'",
        schema.name
    );
    let started = Instant::now();
    while schema.query(&waiting) != ["0"] {
        assert!(started.elapsed() < Duration::from_secs(5), "statements of nobody still wait");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(input);
    lock.wait().unwrap();
    assert!(store.delivery_waiting().await.unwrap().is_empty());
}
