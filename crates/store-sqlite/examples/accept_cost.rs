//! Measures the store alone: events accepted and completed per second, and the CPU each costs.
//!
//! `cargo run --release -p becket-store-sqlite --example accept_cost -- FOLDER EVENTS CALLERS`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use becket_model::{
    ApplicationId, Clock, DeliveryKey, Disposition, EndpointId, EndpointSettings, EventLabels,
    EventRecord, NextStep, Noise, PackedHeaders, Trigger,
};
use becket_store::{
    Accepted, AttemptFinish, AttemptWrite, DedupeKey, DedupeKind, EndpointDeclaration, EventAccept,
    Owner, Planned, Scope, SourceDeclaration, Store,
};
use becket_store_sqlite::{Options, SqliteStore};
use bytes::Bytes;

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

struct Stepping(AtomicU64);

impl Clock for Stepping {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed) as i64 / 20
    }
}

fn cpu_us() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    (ticks(12) + ticks(13)) * 10_000
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "accept-cost-data".to_owned());
    let mut number =
        |default| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (events, callers): (u64, u64) = (number(200_000), number(64));
    let clock = Arc::new(Stepping(AtomicU64::new(0)));
    let mut options = Options::new(&folder, Arc::new(Counter(AtomicU64::new(7))), clock.clone());
    options.min_free_bytes = 0;
    let store = Arc::new(SqliteStore::open(options).expect("the store opens"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async move {
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
        let next = Arc::new(AtomicU64::new(0));
        let (started, cpu) = (Instant::now(), cpu_us());
        let local = tokio::task::LocalSet::new();
        for _ in 0..callers {
            let (store, next, clock) = (Arc::clone(&store), Arc::clone(&next), Arc::clone(&clock));
            local.spawn_local(async move {
                let body = vec![b'x'; 1_024];
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= events {
                        return;
                    }
                    let mut packed = PackedHeaders::with_capacity(1_600);
                    packed.push("x-github-event", b"push");
                    packed.push("x-hub-signature-256", &[b'0'; 71]);
                    let record = EventRecord::from_packed(packed.finish(&body)).expect("record");
                    let mut key = [0; 16];
                    key[..8]
                        .copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
                    let now_ms = clock.now_ms();
                    let accept = EventAccept {
                        application,
                        received_at_ms: now_ms,
                        event_type: Some("push".into()),
                        dedupe: Some((DedupeKey(key), DedupeKind::DeliveryId, 259_200_000)),
                        disposition: Disposition::Accepted,
                        labels: EventLabels::default(),
                        record,
                        planned: vec![Planned { endpoint, leased: true }],
                        due_ms: None,
                        lease_until_ms: now_ms + 300_000,
                    };
                    let scope = Scope::of(Owner::MAIN, application);
                    let Ok(Accepted::Stored { event, lease, .. }) =
                        store.event_accept(scope, accept).await
                    else {
                        panic!("event {number} was not stored");
                    };
                    let finish = AttemptFinish {
                        delivery: DeliveryKey { event, endpoint, generation: 0 },
                        lease,
                        attempt: AttemptWrite {
                            number: 1,
                            trigger: Trigger::Receipt,
                            started_at_ms: now_ms,
                            duration_ms: 1,
                            status: Some(200),
                            error_code: None,
                            detail: Bytes::from_static(&[b'{'; 300]),
                        },
                        next: NextStep::Delivered,
                    };
                    store.attempt_finish(finish).await.expect("finished");
                }
            });
        }
        local.await;
        let (took, cpu) = (started.elapsed(), cpu_us() - cpu);
        println!(
            "{events} events: {:.0}/s, {:.1} us CPU each",
            events as f64 / took.as_secs_f64(),
            cpu as f64 / events as f64
        );
        println!("{:?}", store.stats().await.expect("stats"));
        store.close().await.expect("closed");
    });
}
