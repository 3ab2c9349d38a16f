//! Measures leasing and recording while a million deliveries wait for an endpoint that is dead: the
//! time of a claim, deliveries per second, and the CPU that each costs here and in the database.
//!
//! `cargo run --release -p becket-store-postgres --example claim_time -- URL PENDING DELIVERIES`, where
//! the URL names a schema that this drops, and the server runs on this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use becket_model::{
    ApplicationId, Clock, DeliveryKey, EndpointId, EndpointKey, EndpointSettings, NextStep, Noise,
    Trigger,
};
use becket_store::{
    AttemptFinish, AttemptWrite, EndpointDeclaration, FinishOutcome, LeaseToken, Owner,
    SourceDeclaration, Store,
};
use becket_store_postgres::{Options, PostgresStore};
use bytes::Bytes;
use tokio_postgres::{Client, NoTls};

/// The moment at which everything is due; what is stored lies before it.
const NOW_MS: i64 = 1_750_000_000_000;
const LEASE_MS: u64 = 300_000;
/// Endpoints that deliver; one more is dead.
const LIVE: usize = 10;

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

struct Standing;

impl Clock for Standing {
    fn now_ms(&self) -> i64 {
        NOW_MS
    }
}

struct Bench {
    store: Arc<PostgresStore>,
    client: Client,
    live: Vec<EndpointKey>,
    dead: EndpointKey,
    /// Where the next made event stands.
    next_seq: i64,
}

impl Bench {
    async fn new(url: &str) -> Self {
        let (plain, schema) = url.split_once("?schema=").expect("the URL ends with ?schema=NAME");
        let (client, connection) =
            tokio_postgres::connect(plain, NoTls).await.expect("it connects");
        tokio::spawn(connection);
        let fresh = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; SET search_path = {schema}");
        client.batch_execute(&fresh).await.expect("the schema can be dropped");
        let options = Options::new(url, Arc::new(Counter(AtomicU64::new(7))), Arc::new(Standing));
        let store = Arc::new(PostgresStore::open(options).await.expect("the store opens"));
        let endpoint = |number: usize| EndpointDeclaration {
            uid: format!("e{number}"),
            settings: EndpointSettings::for_url("http://127.0.0.1/"),
            id: EndpointId::from_bytes([number as u8; 20]),
            secret: vec![1],
        };
        let declared = SourceDeclaration {
            uid: "s".into(),
            provider: "github".into(),
            id: ApplicationId::from_bytes([1; 20]),
            endpoints: (0..=LIVE).map(endpoint).collect(),
        };
        let config = store.config_declare(Owner::MAIN, vec![declared], 1).await.expect("declared");
        let mut live: Vec<_> = config.endpoints.iter().map(|endpoint| endpoint.key).collect();
        let dead = live.remove(LIVE / 2);
        let next_seq = (NOW_MS - 3_600_000) << 20;
        let bench = Self { store, client, live, dead, next_seq };
        // The first event of the day makes the partitions.
        bench.accept_one().await;
        bench
    }

    async fn accept_one(&self) {
        use becket_model::{Disposition, EventLabels, EventRecord, PackedHeaders};
        let record = EventRecord::from_packed(PackedHeaders::with_capacity(0).finish(b"{}"));
        let accept = becket_store::EventAccept {
            application: becket_model::ApplicationKey(1),
            received_at_ms: NOW_MS - 3_600_000,
            event_type: None,
            dedupe: None,
            disposition: Disposition::Accepted,
            labels: EventLabels::default(),
            record: record.expect("it was just packed"),
            planned: Vec::new(),
            due_ms: None,
            lease_until_ms: NOW_MS,
        };
        let scope = becket_store::Scope::all(Owner::MAIN);
        self.store.event_accept(scope, accept).await.expect("it is stored");
    }

    /// Makes events of a kilobyte, each with a delivery that waits.
    async fn fill(&mut self, endpoints: &[EndpointKey], count: i64) {
        self.next_seq += 1 << 21;
        let first = self.next_seq;
        let keys: Vec<i32> = endpoints.iter().map(|key| key.0.cast_signed()).collect();
        // A packed request without headers: 6 bytes that say where the body begins.
        let sql = "WITH made AS (
                INSERT INTO event (seq, tail, application, received_at_ms, disposition, size_bytes,
                    planned, record)
                SELECT $1::bigint + n, decode(repeat('00', 12), 'hex'), 1, $4::bigint, 0, 1006, '{}',
                    decode('060000000000' || repeat('78', 1000), 'hex')
                FROM generate_series(1, $2::bigint) n RETURNING seq
            )
            INSERT INTO delivery (event_seq, due_ms, lease, lease_until_ms, endpoint, attempts, generation)
            SELECT seq, $4::bigint - ($2::bigint - (seq - $1::bigint)), 0, 0,
                ($3::integer[])[1 + (seq - $1::bigint) % array_length($3::integer[], 1)], 0, 0
            FROM made";
        let at_ms = NOW_MS - 1_000;
        self.client.execute(sql, &[&first, &count, &keys, &at_ms]).await.expect("it fills");
        self.next_seq += count;
    }

    /// CPU of the database's processes and of this one, in microseconds.
    async fn cpu_us(&self) -> (u64, u64) {
        let rows = self.client.query("SELECT pid FROM pg_stat_activity", &[]).await.expect("pids");
        let database = rows.iter().map(|row| cpu_of(&row.get::<_, i32>(0).to_string())).sum();
        (database, cpu_of("self"))
    }

    /// Leases and delivers everything that waits for these endpoints, each in a lane of its own.
    async fn deliver(&self, what: &str, endpoints: &[EndpointKey], batch: usize, most: usize) {
        let before = self.cpu_us().await;
        let started = Instant::now();
        let lanes = endpoints.iter().map(|endpoint| {
            let (store, endpoint) = (Arc::clone(&self.store), *endpoint);
            tokio::spawn(async move { lane(&store, endpoint, batch, most).await })
        });
        let (mut count, mut claims) = (0, Vec::new());
        for lane in lanes.collect::<Vec<_>>() {
            let (delivered, times) = lane.await.expect("it delivers");
            count += delivered as u64;
            claims.extend(times);
        }
        let took = started.elapsed();
        let after = self.cpu_us().await;
        let each = |us: u64| us as f64 / count.max(1) as f64;
        println!(
            "{what}: {count} delivered, {:.0}/s, CPU each: database {:.0} us, here {:.0} us; claims of {batch}: {}",
            count as f64 / took.as_secs_f64(),
            each(after.0.saturating_sub(before.0)),
            each(after.1 - before.1),
            quantiles(claims)
        );
    }

    async fn time(&self, what: &str, endpoint: EndpointKey, limit: usize, rounds: usize) {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let started = Instant::now();
            let leased = self.store.delivery_lease(endpoint, NOW_MS, LEASE_MS, limit).await;
            times.push(started.elapsed());
            let given = leased.expect("it leases").iter().map(|one| (one.key, one.lease)).collect();
            self.store.delivery_release(given, NOW_MS - 1_000).await.expect("it is given back");
        }
        println!("{what}: {}", quantiles(times));
    }
}

async fn lane(
    store: &Arc<PostgresStore>,
    endpoint: EndpointKey,
    batch: usize,
    most: usize,
) -> (usize, Vec<Duration>) {
    let (mut delivered, mut times) = (0, Vec::new());
    while delivered < most {
        let started = Instant::now();
        let leased = store.delivery_lease(endpoint, NOW_MS, LEASE_MS, batch).await;
        times.push(started.elapsed());
        let leased = leased.expect("it leases");
        if leased.is_empty() {
            break;
        }
        delivered += leased.len();
        let results = leased.into_iter().map(|one| finish(Arc::clone(store), one.key, one.lease));
        for outcome in futures_util::future::join_all(results).await {
            assert!(matches!(outcome, FinishOutcome::Recorded(_)), "nobody else has it");
        }
    }
    (delivered, times)
}

async fn finish(
    store: Arc<PostgresStore>,
    delivery: DeliveryKey,
    lease: LeaseToken,
) -> FinishOutcome {
    let attempt = AttemptWrite {
        number: 1,
        trigger: Trigger::Receipt,
        started_at_ms: NOW_MS,
        duration_ms: 3,
        status: Some(200),
        error_code: None,
        detail: Bytes::from(vec![b'{'; 500]),
    };
    let finish = AttemptFinish { delivery, lease, attempt, next: NextStep::Delivered };
    store.attempt_finish(finish).await.expect("it is recorded")
}

fn cpu_of(process: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    (ticks(12) + ticks(13)) * 10_000
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: f64| {
        let place = (times.len().saturating_sub(1)) as f64 * part;
        times.get(place as usize).copied().unwrap_or_default().as_secs_f64() * 1_000.0
    };
    format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", at(0.5), at(0.99), at(1.0))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("the database's URL, with ?schema=NAME");
    let mut number =
        |default| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (pending, deliveries): (i64, i64) = (number(1_000_000), number(100_000));
    let mut bench = Bench::new(&url).await;
    let (live, dead) = (bench.live.clone(), bench.dead);
    for what in ["nothing else waits", "again"] {
        bench.fill(&live, deliveries).await;
        bench.deliver(what, &live, 64, usize::MAX).await;
    }
    bench.fill(&[dead], pending).await;
    println!("{pending} wait for one endpoint now");
    bench.fill(&live, deliveries).await;
    bench.deliver("others beside it", &live, 64, usize::MAX).await;
    bench.fill(&live[..1], 100).await;
    bench.time("a claim of one beside it", live[0], 1, 200).await;
    bench.time("a claim of nothing beside it", live[1], 64, 200).await;
    bench.time("a claim of one of it", dead, 1, 200).await;
    for what in ["due", "waiting"] {
        let started = Instant::now();
        let told = match what {
            "due" => format!("{:?}", bench.store.delivery_due().await.expect("told").last()),
            _ => format!("{:?}", bench.store.delivery_waiting().await.expect("told").last()),
        };
        println!(
            "delivery_{what}: {:.2} ms, the last {told}",
            started.elapsed().as_secs_f64() * 1e3
        );
    }
    bench.deliver("of it", &[dead], 64, usize::try_from(deliveries).unwrap_or(usize::MAX)).await;
    bench.time("a claim of one of it, then", dead, 1, 200).await;
    // Somebody's old transaction: nothing that is delivered from now on can be vacuumed.
    let old = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class";
    let (holder, connection) =
        tokio_postgres::connect(url.split_once('?').expect("a schema").0, NoTls)
            .await
            .expect("it connects");
    tokio::spawn(connection);
    holder.batch_execute(old).await.expect("it begins");
    for _ in 0..4 {
        let most = usize::try_from(deliveries).unwrap_or(usize::MAX);
        bench.deliver("of it, with an old transaction", &[dead], 64, most).await;
    }
    bench.time("a claim of one of it, then", dead, 1, 200).await;
    bench.fill(&live[..1], 100).await;
    bench.time("a claim of one beside it, then", live[0], 1, 200).await;
    drop(holder);
    bench.store.close().await.expect("it closes");
}
