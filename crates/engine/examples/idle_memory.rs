//! Prints what an endpoint that rests costs in memory: `cargo run --release -p becket-engine --example
//! idle_memory [endpoints]`. Linux only, where a process can read how much memory it has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use becket_egress::policy::AddressPolicy;
use becket_egress::{AttemptOutcome, OutboundRequest};
use becket_engine::{
    AttemptReport, DeliveryTurn, Door, EndpointNotice, EndpointRuntime, Engine, EngineConfig,
    Environment, Observer,
};
use becket_model::{
    ApplicationKey, AttemptId, Clock, EndpointId, EndpointKey, EndpointSettings, EndpointState,
};
use becket_signature::standard_webhooks::SigningKey;
use becket_store::Owner;
use becket_store_test::{FixedNoise, ModelStore};

struct Nobody;

impl Clock for Nobody {
    fn now_ms(&self) -> i64 {
        1_800_000_000_000
    }
}

impl Observer for Nobody {
    fn attempt(&self, _: &AttemptReport) {}
    fn delivery_turned(&self, _: &AttemptReport, _: DeliveryTurn, _: AttemptId) {}
    fn endpoint_changed(&self, _: &EndpointNotice) {}
}

#[async_trait::async_trait]
impl Door for Nobody {
    async fn send(&self, _: OutboundRequest) -> AttemptOutcome {
        AttemptOutcome::default()
    }

    fn close_endpoint(&self, _: u64) {}
}

fn runtime(number: u32, policy: &Arc<AddressPolicy>) -> EndpointRuntime {
    let settings = EndpointSettings {
        event_types: Some(vec!["invoice.paid".to_owned(), "invoice.failed".to_owned()]),
        headers: vec![("x-api-key".to_owned(), format!("key-of-customer-{number}"))],
        ..EndpointSettings::for_url(&format!("https://hooks.customer-{number}.example/webhooks"))
    };
    let mut random = [0; 14];
    random[..4].copy_from_slice(&number.to_be_bytes());
    EndpointRuntime {
        action: None,
        transform: None,
        key: EndpointKey(number + 1),
        id: EndpointId::new(1, random),
        application: ApplicationKey(number / 4),
        source_uid: String::new(),
        owner: Owner::MAIN,
        target: policy.check_url(&settings.url).map(Arc::new),
        settings: Arc::new(settings),
        retry_by_type: Arc::default(),
        application_rate: None,
        state: EndpointState::Enabled,
        failing_since_ms: None,
        signing_keys: vec![(SigningKey::generate([7; 32]), None)],
        policy: policy.clone(),
    }
}

/// The memory of this process that is really there, in bytes.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}

fn main() -> Result<(), becket_engine::EngineError> {
    let count: u32 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let environment = Environment {
        store: Arc::new(ModelStore::new(Arc::new(FixedNoise::new(1)))),
        clock: Arc::new(Nobody),
        noise: Arc::new(FixedNoise::new(2)),
        observer: Arc::new(Nobody),
    };
    let door = || -> Arc<dyn Door> { Arc::new(Nobody) };
    let engine = Engine::start(EngineConfig::default(), environment, door)?;
    let policy = Arc::new(AddressPolicy::public(&[], &[], &[], None));
    let before = resident_bytes();
    let runtimes: Vec<EndpointRuntime> =
        (0..count).map(|number| runtime(number, &policy)).collect();
    let given = resident_bytes();
    let began = Instant::now();
    runtimes.into_iter().for_each(|runtime| engine.endpoint_put(runtime));
    let put = began.elapsed();
    for key in (1..=count).map(EndpointKey) {
        while !engine.reserve(key) {
            std::thread::sleep(Duration::from_millis(5));
        }
        engine.cancel(key);
    }
    let ready = began.elapsed();
    let after = resident_bytes();
    let each = |from: u64, to: u64| to.saturating_sub(from) / u64::from(count);
    println!("{count} endpoints: {} bytes each", each(before, after));
    println!(
        "  {} given (settings, URL, key), {} more in the engine",
        each(before, given),
        each(given, after)
    );
    println!("  put in {put:?}, ready after {ready:?}");
    Ok(())
}
