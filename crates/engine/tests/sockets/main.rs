//! The engine with the real way out, over loopback sockets: what arrives, who is held up by whom,
//! and what a stop leaves behind.

mod acting;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use becket_egress::policy::AddressPolicy;
use becket_egress::{Egress, EgressConfig};
use becket_engine::{
    AttemptReport, DeliveryTurn, Door, EndpointNotice, EndpointRuntime, Engine, EngineConfig,
    Environment, Observer, SharedRate,
};
use becket_model::{
    ApplicationId, AttemptDetail, AttemptId, Clock, DeliveryKey, DeliveryState, Disposition,
    EndpointId, EndpointKey, EndpointSettings, EndpointState, EventId, EventLabels, EventRecord,
    KeptBody, PackedHeaders, Rate, RetrySchedule,
};
use becket_signature::standard_webhooks::{SigningKey, sign_headers};
use becket_store::{
    Accepted, AttemptRow, EndpointDeclaration, EventAccept, EventRow, LeasedDelivery, Owner,
    Planned, Scope, SourceDeclaration, Store,
};
use becket_store_test::{FixedNoise, ModelStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const BODY: &[u8] = b"{\"exact\":  \"bytes\"}\r\n";

struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "a test over real sockets runs in real time")]
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        i64::try_from(since.as_millis()).expect("fits")
    }
}

struct Silent;

impl Observer for Silent {
    fn attempt(&self, _report: &AttemptReport) {}
    fn delivery_turned(&self, _: &AttemptReport, _: DeliveryTurn, _: AttemptId) {}
    fn endpoint_changed(&self, _notice: &EndpointNotice) {}
}

/// A request as it arrived: its head in lower case, and its body.
struct Arrived {
    head: String,
    body: Vec<u8>,
    at: Instant,
}

impl Arrived {
    fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(prefix.as_str()))
    }
}

/// Answers every request with `answer` after a while; never, if there is none.
async fn receiver(answer: Option<(&'static str, u64)>) -> (u16, UnboundedReceiver<Arrived>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    let (arrivals, arrived) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, answer, arrivals.clone()));
        }
    });
    (port, arrived)
}

async fn serve(
    mut socket: tokio::net::TcpStream,
    answer: Option<(&'static str, u64)>,
    arrivals: UnboundedSender<Arrived>,
) {
    let mut bytes = Vec::new();
    loop {
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let request = head_end.and_then(|end| {
            let head = String::from_utf8_lossy(&bytes[..end]).to_string();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            let total = end + 4 + length.unwrap_or(0_usize);
            (bytes.len() >= total).then_some((head, end + 4, total))
        });
        let Some((head, body_at, total)) = request else {
            let mut chunk = [0; 4096];
            match socket.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            }
            continue;
        };
        let body = bytes[body_at..total].to_vec();
        bytes.drain(..total);
        let arrived = Arrived { head, body, at: Instant::now() };
        if arrivals.send(arrived).is_err() {
            return;
        }
        let Some((answer, wait_ms)) = answer else {
            std::future::pending::<()>().await;
            return;
        };
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

struct Gateway {
    engine: Engine,
    store: Arc<ModelStore>,
    scope: Scope,
    keys: Vec<EndpointKey>,
}

fn signing_key() -> SigningKey {
    SigningKey::generate([5; 32])
}

impl Gateway {
    async fn start(settings: Vec<EndpointSettings>) -> Self {
        Self::start_with(settings, None).await
    }

    async fn start_with(settings: Vec<EndpointSettings>, rate: Option<Rate>) -> Self {
        let rate = rate.map(|rate| Arc::new(SharedRate::new(rate)));
        Self::start_changed(settings, |runtime| runtime.application_rate.clone_from(&rate)).await
    }

    /// Starts with runtimes that `change` has had its say about.
    async fn start_changed(
        settings: Vec<EndpointSettings>,
        change: impl Fn(&mut EndpointRuntime),
    ) -> Self {
        let store = Arc::new(ModelStore::new(Arc::new(FixedNoise::new(1))));
        let endpoints = settings.into_iter().enumerate().map(|(number, settings)| {
            let number = u8::try_from(number).expect("few");
            EndpointDeclaration {
                uid: format!("endpoint-{number}"),
                settings,
                id: EndpointId::new(1, [number; 14]),
                secret: vec![1],
            }
        });
        let declared = SourceDeclaration {
            uid: "shop".to_owned(),
            provider: "generic".to_owned(),
            id: ApplicationId::new(1, [7; 14]),
            endpoints: endpoints.collect(),
        };
        let now_ms = WallClock.now_ms();
        let snapshot = store.config_declare(Owner::MAIN, vec![declared], now_ms).await;
        let snapshot = snapshot.expect("declares");
        let environment = Environment {
            store: store.clone(),
            clock: Arc::new(WallClock),
            noise: Arc::new(FixedNoise::new(2)),
            observer: Arc::new(Silent),
        };
        let door = || -> Arc<dyn Door> {
            Arc::new(Egress::new(EgressConfig::default()).expect("a way out"))
        };
        let engine = Engine::start(EngineConfig::default(), environment, door).expect("starts");
        let policy = Arc::new(AddressPolicy::operator());
        let runtimes = snapshot.endpoints.iter().map(|endpoint| EndpointRuntime {
            action: None,
            transform: None,
            key: endpoint.key,
            id: endpoint.id,
            application: endpoint.application,
            source_uid: "shop".to_owned(),
            owner: Owner::MAIN,
            settings: Arc::new(endpoint.settings.clone()),
            retry_by_type: Arc::default(),
            application_rate: None,
            state: EndpointState::Enabled,
            failing_since_ms: None,
            signing_keys: vec![
                (signing_key(), None),
                (SigningKey::generate([6; 32]), Some(now_ms - 1)),
            ],
            target: policy.check_url(&endpoint.settings.url).map(Arc::new),
            policy: policy.clone(),
        });
        let mut runtimes: Vec<EndpointRuntime> = runtimes.collect();
        runtimes.iter_mut().for_each(change);
        engine.endpoints_set(runtimes);
        let scope = Scope::of(Owner::MAIN, snapshot.applications[0].key);
        let keys = snapshot.endpoints.iter().map(|endpoint| endpoint.key).collect();
        Self { engine, store, scope, keys }
    }

    /// Receives an event for one endpoint, as the receiving threads do.
    async fn receive(&self, endpoint: EndpointKey) -> EventId {
        let mut packed = PackedHeaders::with_capacity(256);
        packed.push(EventRecord::METHOD, b"POST");
        packed.push("content-type", b"application/json");
        packed.push("x-hub-signature-256", b"sha256=abc");
        packed.push("authorization", b"Bearer sender");
        packed.push("x-forwarded-for", b"203.0.113.9");
        packed.push("webhook-id", b"theirs");
        let record = EventRecord::from_packed(packed.finish(BODY)).expect("just packed");
        let leased = self.engine.reserve(endpoint);
        let received_at_ms = WallClock.now_ms();
        let application = self.scope.application.expect("a source");
        let accept = EventAccept {
            application,
            received_at_ms,
            event_type: Some("order.paid".to_owned()),
            dedupe: None,
            disposition: Disposition::Accepted,
            labels: EventLabels::default(),
            record: record.clone(),
            planned: vec![Planned { endpoint, leased }],
            due_ms: None,
            lease_until_ms: received_at_ms.saturating_add_unsigned(self.engine.lease_ms()),
        };
        let accepted = self.store.event_accept(self.scope, accept).await.expect("accepts");
        let Accepted::Stored { event, lease, .. } = accepted else { panic!("new") };
        if leased {
            self.engine.hand_over(LeasedDelivery {
                key: DeliveryKey { event, endpoint, generation: 0 },
                lease,
                attempts: 0,
                application,
                received_at_ms,
                event_type: Some("order.paid".into()),
                record,
            });
        } else {
            self.engine.wake(endpoint);
        }
        event
    }

    async fn event(&self, event: EventId) -> EventRow {
        self.store.event_get(self.scope, event).await.expect("reads").expect("known")
    }

    async fn ended(&self, event: EventId) -> EventRow {
        for _ in 0..3_000 {
            let row = self.event(event).await;
            if row.deliveries.iter().all(|row| row.state != DeliveryState::Pending) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the delivery did not end in time");
    }

    async fn attempts(&self, event: EventId) -> Vec<AttemptRow> {
        self.store.attempt_list(self.scope, event).await.expect("lists")
    }
}

/// Waits until something holds, for as long as a machine may need that has more to do.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn settings(port: u16, path: &str) -> EndpointSettings {
    EndpointSettings::for_url(&format!("http://127.0.0.1:{port}/{path}"))
}

fn detail_of(attempt: &AttemptRow) -> AttemptDetail {
    serde_json::from_slice(&attempt.attempt.detail).expect("the documented form")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_is_exact_signed_and_recorded() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-theirs: yes\r\n\r\nok";
    let (port, mut arrived) = receiver(Some((answer, 0))).await;
    let settings = EndpointSettings {
        headers: vec![
            ("x-api-key".to_owned(), "hidden".to_owned()),
            ("Authorization".to_owned(), "Bearer hidden".to_owned()),
            ("x-plain".to_owned(), "shown".to_owned()),
        ],
        ..settings(port, "hook?q=1")
    };
    let gateway = Gateway::start(vec![settings]).await;
    let event = gateway.receive(gateway.keys[0]).await;
    let request = arrived.recv().await.expect("arrives");

    assert!(request.head.starts_with("POST /hook?q=1 HTTP/1.1"), "{}", request.head);
    assert_eq!(request.body, BODY);
    let id = event.to_string();
    assert_eq!(request.header("webhook-id"), Some(id.as_str()));
    assert_eq!(request.header("becket-original-webhook-id"), Some("theirs"));
    assert_eq!(request.header("becket-attempt"), Some("1"));
    assert_eq!(request.header("becket-source"), Some("shop"));
    assert_eq!(request.header("becket-event-type"), Some("order.paid"));
    assert_eq!(request.header("x-hub-signature-256"), Some("sha256=abc"));
    assert_eq!(request.header("x-api-key"), Some("hidden"));
    assert_eq!(request.header("authorization"), Some("Bearer hidden"), "ours, not the sender's");
    assert_eq!(request.header("x-forwarded-for"), None);
    let sent_s: i64 = request.header("webhook-timestamp").expect("dated").parse().expect("seconds");
    assert!((WallClock.now_ms() / 1_000 - sent_s).abs() <= 2);
    let expected = sign_headers(&[signing_key()], &id, sent_s, BODY);
    assert_eq!(
        request.header("webhook-signature"),
        Some(expected.as_str()),
        "expired keys are out"
    );

    let row = gateway.ended(event).await;
    assert_eq!(row.deliveries[0].state, DeliveryState::Delivered);
    let attempts = gateway.attempts(event).await;
    assert_eq!((attempts.len(), attempts[0].attempt.status), (1, Some(200)));
    let detail = detail_of(&attempts[0]);
    assert_eq!(detail.url, format!("http://127.0.0.1:{port}/hook?q=1"));
    assert_eq!(detail.request_bytes, BODY.len() as u64);
    assert!(detail.request_headers.contains(&("webhook-signature".to_owned(), expected)));
    for (name, value) in
        [("x-api-key", "[redacted]"), ("authorization", "[redacted]"), ("x-plain", "shown")]
    {
        assert!(detail.request_headers.contains(&(name.to_owned(), value.to_owned())), "{name}");
    }
    let raw = String::from_utf8_lossy(&attempts[0].attempt.detail);
    assert!(!raw.contains("hidden") && !raw.contains("Bearer"), "{raw}");
    let response = detail.response.expect("a response");
    assert_eq!((response.status, response.truncated), (200, false));
    assert_eq!(response.body, KeptBody::Text("ok".to_owned()));
    assert!(response.headers.contains(&("x-theirs".to_owned(), "yes".to_owned())));
    assert!(detail.timings_us.total > 0 && !detail.timings_us.reused);
    assert_eq!(detail.remote_address, Some(format!("127.0.0.1:{port}")));
    gateway.engine.shutdown(1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_tried_again_with_the_same_id() {
    let answer = "HTTP/1.1 500 No\r\ncontent-length: 1\r\n\r\n\u{7f}";
    let (port, mut arrived) = receiver(Some((answer, 0))).await;
    let settings = EndpointSettings {
        retry: RetrySchedule { delays_ms: vec![100, 100] },
        ..settings(port, "hook")
    };
    let gateway = Gateway::start(vec![settings]).await;
    let event = gateway.receive(gateway.keys[0]).await;
    let mut times = Vec::new();
    for number in ["1", "2", "3"] {
        let request = arrived.recv().await.expect("arrives");
        assert_eq!(request.header("webhook-id"), Some(event.to_string().as_str()));
        assert_eq!(request.header("becket-attempt"), Some(number));
        times.push(request.at);
    }
    assert!(times[1] - times[0] >= Duration::from_millis(95));
    assert!(times[2] - times[1] >= Duration::from_millis(95));
    let row = gateway.ended(event).await;
    assert_eq!(row.deliveries[0].state, DeliveryState::Failed);
    // It hears a moment after the store that its delivery has ended.
    eventually("a place in the lane", || gateway.engine.reserve(gateway.keys[0])).await;
    gateway.engine.shutdown(1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_hanging_endpoints_hold_nobody_up() {
    let (hanging, mut stuck) = receiver(None).await;
    let answer = "HTTP/1.1 204 No Content\r\n\r\n";
    let (healthy, mut arrived) = receiver(Some((answer, 0))).await;
    let mut all: Vec<_> = (0..50).map(|number| settings(hanging, &format!("{number}"))).collect();
    all.extend((0..2).map(|number| settings(healthy, &format!("healthy-{number}"))));
    let gateway = Gateway::start(all).await;
    // More than enough to use up every slot.
    for _ in 0..15 {
        for key in &gateway.keys[..50] {
            gateway.receive(*key).await;
        }
    }
    // Each of them has come through; all slots that they may have are taken.
    let mut paths = std::collections::HashSet::new();
    while paths.len() < 50 {
        let request = stuck.recv().await.expect("arrives");
        paths.insert(request.head.lines().next().unwrap_or_default().to_owned());
    }
    eventually("120 in flight", || gateway.engine.snapshot().in_flight >= 120).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stats = gateway.engine.snapshot();
    assert!(stats.in_flight >= 120 && stats.in_flight < 250, "{stats:?}");

    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        let key = gateway.keys[50 + round % 2];
        let began = Instant::now();
        gateway.receive(key).await;
        let request = arrived.recv().await.expect("arrives");
        slowest = slowest.max(request.at - began);
    }
    // A third of an attempt's time, which whoever waits for one of the hanging waits for.
    assert!(slowest < Duration::from_secs(5), "a healthy endpoint waited {slowest:?}");
    gateway.engine.shutdown(0).await;
    // What was broken off or waited is pending, under no lease.
    let page = becket_store::Page::newest(10_000);
    let rows = gateway.store.event_list(gateway.scope, Default::default(), page).await;
    for row in rows.expect("lists").iter().flat_map(|event| &event.deliveries) {
        assert!(row.state == DeliveryState::Delivered || row.due_ms.is_some(), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_on_both_threads_take_turns_at_a_shared_rate() {
    let answer = "HTTP/1.1 204 No Content\r\n\r\n";
    let (port, mut arrived) = receiver(Some((answer, 0))).await;
    let all = (0..4).map(|number| settings(port, &format!("{number}"))).collect();
    let rate = Rate { count: 20, period_ms: 2_000 };
    let gateway = Gateway::start_with(all, Some(rate)).await;
    let began_ms = WallClock.now_ms();
    let mut events = Vec::new();
    for _ in 0..15 {
        for key in &gateway.keys {
            events.push(gateway.receive(*key).await);
        }
    }
    // What counts is when they were begun, and not when they arrived. The last ones may be recorded
    // out of turn, so there are a few more.
    for _ in 0..30 {
        arrived.recv().await.expect("arrives");
    }
    let waited = Instant::now();
    let mut begun = Vec::new();
    while begun.len() < 30 {
        assert!(waited.elapsed() < Duration::from_secs(30), "{} are recorded", begun.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
        begun.clear();
        for event in &events {
            let attempts = gateway.attempts(*event).await;
            begun.extend(
                attempts.iter().map(|row| (row.attempt.started_at_ms, row.delivery.endpoint)),
            );
        }
    }
    begun.sort_unstable();
    // The burst goes to whoever comes first. After it they take turns.
    let took_ms = begun[25].0 - began_ms;
    assert!(took_ms >= 1_500, "a burst of 10, then 10 a second: {took_ms} ms");
    for key in &gateway.keys {
        let own = begun[10..26].iter().filter(|(_, endpoint)| endpoint == key).count();
        assert!((3..=5).contains(&own), "{key:?}: {own} of 16");
    }
    gateway.engine.shutdown(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_attempts_end() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (port, mut arrived) = receiver(Some((answer, 300))).await;
    let gateway = Gateway::start(vec![settings(port, "slow")]).await;
    let event = gateway.receive(gateway.keys[0]).await;
    arrived.recv().await.expect("arrives");
    let began = Instant::now();
    gateway.engine.shutdown(60_000).await;
    assert!(began.elapsed() < Duration::from_secs(20), "it waits no longer than it has to");
    assert_eq!(gateway.event(event).await.deliveries[0].state, DeliveryState::Delivered);
    assert!(!gateway.engine.reserve(gateway.keys[0]), "nothing is taken after the end");
}
