//! Measures accepting alone: events per second, and the CPU that each costs here and in the database.
//!
//! `cargo run --release -p becket-store-postgres --example accept_rate -- URL EVENTS CALLERS WRITERS BODY_BYTES`
//!
//! The database has to run on this machine, as a process that this one may look at.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use becket_model::{
    ApplicationId, Clock, Disposition, EndpointId, EndpointSettings, EventLabels, EventRecord,
    Noise, PackedHeaders,
};
use becket_store::{
    Accepted, DedupeKey, DedupeKind, EndpointDeclaration, EventAccept, Owner, Planned, Scope,
    SourceDeclaration, Store,
};
use becket_store_postgres::{Options, PostgresStore};

struct Counter(AtomicU64);

impl Noise for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        for chunk in buffer.chunks_mut(8) {
            state = state.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (state >> 29);
            chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
        }
    }
}

struct Wall;

impl Clock for Wall {
    fn now_ms(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "an example stands above the binary's clock")]
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
    }
}

/// The fields of a process's statistics behind its name; the third is the state.
fn stat(process: &str) -> Option<Vec<i64>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields = text.rsplit(')').next()?.split(' ').skip(2);
    Some(fields.map(|field| field.trim().parse().unwrap_or(0)).collect())
}

/// The CPU that a process has used, in microseconds; with that of its ended children, if wanted.
fn cpu_us(process: &str, children: bool) -> i64 {
    let ticks = |fields: &Vec<i64>| fields[10..if children { 14 } else { 12 }].iter().sum::<i64>();
    stat(process).as_ref().map_or(0, ticks) * 10_000
}

/// The CPU of the whole server: its first process and all that this one has started.
fn server_cpu_us(first: i64) -> i64 {
    let mut sum = cpu_us(&first.to_string(), true);
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if stat(&name).is_some_and(|fields| fields.first() == Some(&first)) {
            sum += cpu_us(&name, false);
        }
    }
    sum
}

/// The server's first process.
fn first_process(url: &str) -> i64 {
    let url = url.split('?').next().unwrap_or(url);
    let output = Command::new("psql")
        .args(["-X", "-t", "-A", "-d", url, "-c"])
        .arg("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")
        .output()
        .expect("psql can be run");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("the server tells its process")
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("the URL of a database comes first");
    let mut number =
        |default| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (events, callers): (u64, u64) = (number(100_000), number(128));
    let (writers, body_bytes): (u64, u64) = (number(2), number(1_024));
    let first = first_process(&url);
    let mut options = Options::new(url, Arc::new(Counter(AtomicU64::new(7))), Arc::new(Wall));
    options.writers = usize::try_from(writers).unwrap_or(1);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async move {
        let store = Arc::new(PostgresStore::open(options).await.expect("the store opens"));
        let declared = SourceDeclaration {
            uid: "s".into(),
            provider: "github".into(),
            id: ApplicationId::from_bytes([1; 20]),
            endpoints: vec![EndpointDeclaration {
                uid: "e".into(),
                settings: EndpointSettings::for_url("http://127.0.0.1/"),
                id: EndpointId::from_bytes([1; 20]),
                secret: vec![1],
            }],
        };
        let config = store.config_declare(Owner::MAIN, vec![declared], 1).await.expect("declared");
        let (application, endpoint) = (config.applications[0].key, config.endpoints[0].key);
        let begun = store.stats().await.expect("stats");
        let next = Arc::new(AtomicU64::new(0));
        let (started, cpu, server) = (Instant::now(), cpu_us("self", false), server_cpu_us(first));
        let salt = u64::try_from(Wall.now_ms()).unwrap_or(0) << 24;
        let mut tasks = Vec::new();
        for _ in 0..callers {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            tasks.push(tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= events {
                        return;
                    }
                    // JSON that is neither random nor all the same.
                    let mut body = String::new();
                    while (body.len() as u64) < body_bytes {
                        let part = number.wrapping_mul(body.len() as u64 + 77);
                        body.push_str(&format!(
                            "{{\"id\":\"{part:x}\",\"name\":\"commit\",\"url\":\"https://example.com/{part}\"}},"
                        ));
                    }
                    let mut packed = PackedHeaders::with_capacity(body.len() + 600);
                    packed.push("x-github-event", b"push");
                    packed.push("x-hub-signature-256", &[b'0'; 71]);
                    let packed = packed.finish(body.as_bytes());
                    let mut key = [0; 16];
                    let mixed = (salt + number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    key[..8].copy_from_slice(&mixed.to_le_bytes());
                    let now_ms = Wall.now_ms();
                    let accept = EventAccept {
                        application,
                        received_at_ms: now_ms,
                        event_type: Some("push".into()),
                        dedupe: Some((DedupeKey(key), DedupeKind::DeliveryId, 259_200_000)),
                        disposition: Disposition::Accepted,
                        labels: EventLabels::default(),
                        record: EventRecord::from_packed(packed).expect("a record"),
                        planned: vec![Planned { endpoint, leased: true }],
                        due_ms: None,
                        lease_until_ms: now_ms + 300_000,
                    };
                    let scope = Scope::of(Owner::MAIN, application);
                    let accepted = store.event_accept(scope, accept).await;
                    assert!(matches!(accepted, Ok(Accepted::Stored { .. })), "{accepted:?}");
                }
            }));
        }
        for task in tasks {
            task.await.expect("a caller ends well");
        }
        let (took, here) = (started.elapsed(), cpu_us("self", false) - cpu);
        let server = server_cpu_us(first) - server;
        let ended = store.stats().await.expect("stats");
        println!(
            "{events} events of {body_bytes} bytes by {callers} callers, {writers} writers: \
             {:.0}/s, {:.1} us CPU each here, {:.1} us in the database, {:.0} bytes on disk each",
            events as f64 / took.as_secs_f64(),
            here as f64 / events as f64,
            server as f64 / events as f64,
            (ended.bytes as f64 - begun.bytes as f64) / events as f64,
        );
        store.close().await.expect("closed");
    });
}
