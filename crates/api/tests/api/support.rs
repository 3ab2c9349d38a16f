//! A small world for the API's tests: two owners, three sources, events in every state, all in the
//! plain-map store, and a caller that checks the shape of each answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use becket_api::{ApiState, Auth, Control};
use becket_model::attempt_detail::{AttemptDetail, AttemptTimings, KeptBody, ResponseDetail};
use becket_model::{
    ApplicationId, Clock, Disposition, EndpointId, EndpointSettings, EventId, EventLabels,
    EventRecord, FailureReason, NextStep, PackedHeaders, Trigger,
};
use becket_signature::{Catalogue, Credentials, Verifier, VerifierOptions};
use becket_store::accept::Handoff;
use becket_store::vault::place;
use becket_store::{
    Application, AttemptFinish, AttemptWrite, DedupeKind, Endpoint, EndpointDeclaration,
    EventAccept, FinishOutcome, Owner, Planned, QuarantineWrite, Scope, SourceDeclaration, Store,
};
use becket_store_test::{FixedNoise, ModelStore};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::watch;
use tower_service::Service as _;

use crate::stand_ins::{TestClock, TestControl, TestDirectory, TestHandoff, dedupe_key, vault};

pub const T0: i64 = 1_769_860_800_000;
pub const TOKEN: &str = "an-admin-token-of-at-least-32-characters";
pub const OTHER_TOKEN: &str = "another-owners-token-of-32-characters-";
pub const OTHER: Owner = Owner::new(2);
pub const SECRET: &str = "It's a Secret to Everybody";

fn declaration(number: u8, uid: &str, provider: &str, endpoints: &[&str]) -> SourceDeclaration {
    let endpoints = endpoints.iter().zip(1_u8..).map(|(uid, at)| EndpointDeclaration {
        uid: (*uid).to_owned(),
        settings: EndpointSettings {
            description: "a handler".to_owned(),
            headers: vec![
                ("x-team".to_owned(), "blue".to_owned()),
                ("authorization".to_owned(), "Bearer hidden".to_owned()),
            ],
            rate: Some(becket_model::Rate::per_second(5)),
            ..EndpointSettings::for_url(&format!("http://127.0.0.1:9/{uid}"))
        },
        id: EndpointId::new(T0 + i64::from(number), [at + 16 * number; 14]),
        secret: vault()
            .seal(
                &place::endpoint_secret(EndpointId::new(
                    T0 + i64::from(number),
                    [at + 16 * number; 14],
                )),
                b"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
                [at; 24],
            )
            .unwrap(),
    });
    SourceDeclaration {
        uid: uid.to_owned(),
        provider: provider.to_owned(),
        id: ApplicationId::new(T0, [number; 14]),
        endpoints: endpoints.collect(),
    }
}

/// The API over a store with sources `alpha` (github; endpoints `app`, `log`, `declared`), `beta`
/// (twilio; endpoint `app`) and, of the other owner, `gamma` (endpoint `theirs`).
pub struct World {
    pub router: Router,
    pub store: Arc<dyn Store>,
    pub control: Arc<TestControl>,
    pub handoff: Arc<TestHandoff>,
    pub closing: watch::Sender<bool>,
    pub clock: Arc<TestClock>,
    pub relay: Arc<becket_api::Relay>,
    pub alpha: Application,
    pub beta: Application,
    pub gamma: Application,
    pub app: Endpoint,
    pub log: Endpoint,
    pub beta_app: Endpoint,
}

/// An event to be stored.
pub struct Wish<'w> {
    pub source: &'w Application,
    pub to: Vec<&'w Endpoint>,
    pub event_type: Option<&'w str>,
    pub body: &'w [u8],
    pub delivery_id: Option<&'w str>,
    pub disposition: Disposition,
    pub at_ms: i64,
}

/// The API over a store, as a process that has just started.
fn router(
    store: Arc<dyn Store>,
    control: &Arc<TestControl>,
    handoff: &Arc<TestHandoff>,
    clock: &Arc<TestClock>,
    closing: watch::Receiver<bool>,
    relay: &Arc<becket_api::Relay>,
    seed: u64,
) -> Router {
    let entry = Catalogue::builtin().get("github").unwrap();
    let credentials = Credentials::from_secrets([SECRET]);
    let verifier = Verifier::new(entry, &credentials, &VerifierOptions::default()).unwrap();
    let auth = Auth::default();
    auth.set_tokens(vec![(Auth::hash(TOKEN), Owner::MAIN), (Auth::hash(OTHER_TOKEN), OTHER)]);
    becket_api::router(ApiState {
        store,
        directory: Arc::new(TestDirectory {
            verifier,
            vault: vault(),
            control: Arc::clone(control),
            sealed: AtomicI64::new(i64::try_from(seed).unwrap() << 32),
        }),
        control: Arc::clone(control) as Arc<dyn Control>,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        noise: Arc::new(FixedNoise::new(seed)),
        auth,
        handoff: Arc::clone(handoff) as Arc<dyn Handoff>,
        relay: Arc::clone(relay),
        activity: Arc::clone(control.activity()),
        lease_ms: 60_000,
        closing,
        elsewhere: Arc::clone(&control.elsewhere),
        unfinished: Arc::default(),
    })
}

impl World {
    pub async fn new() -> Self {
        Self::over(Arc::new(ModelStore::new(Arc::new(FixedNoise::new(7))))).await
    }

    /// The same over a store that is still empty.
    pub async fn over(store: Arc<dyn Store>) -> Self {
        let main = vec![
            declaration(1, "alpha", "github", &["app", "log", "declared"]),
            declaration(2, "beta", "twilio", &["app"]),
        ];
        let main = store.config_declare(Owner::MAIN, main, T0).await.unwrap();
        let other = vec![declaration(3, "gamma", "github", &["theirs"])];
        let other = store.config_declare(OTHER, other, T0).await.unwrap();
        let control = Arc::new(TestControl::default());
        assert!(control.store.set(Arc::clone(&store)).is_ok(), "it is set once");
        let handoff = Arc::new(TestHandoff::default());
        let clock = Arc::new(TestClock(AtomicI64::new(T0 + 3_600_000)));
        let (closing, closed) = watch::channel(false);
        let relay = Arc::default();
        let router = router(Arc::clone(&store), &control, &handoff, &clock, closed, &relay, 8);
        let endpoint = |at: usize| main.endpoints[at].clone();
        Self {
            router,
            store,
            control,
            relay,
            handoff,
            closing,
            clock,
            alpha: main.applications[0].clone(),
            beta: main.applications[1].clone(),
            gamma: other.applications[0].clone(),
            app: endpoint(0),
            log: endpoint(1),
            beta_app: endpoint(3),
        }
    }

    /// Ends the process, as far as the API is concerned, and starts another over the same store.
    pub fn restart(&mut self) {
        self.closing.send_replace(true);
        let (closing, closed) = watch::channel(false);
        let (control, handoff, clock) = (&self.control, &self.handoff, &self.clock);
        self.relay = Arc::default();
        let store = Arc::clone(&self.store);
        self.router = router(store, control, handoff, clock, closed, &self.relay, 9);
        self.closing = closing;
    }

    /// A second process over the same store, which knows nothing of the first.
    pub fn beside(&self) -> Self {
        let (closing, closed) = watch::channel(false);
        let (control, handoff, clock) = (&self.control, &self.handoff, &self.clock);
        let relay = Arc::default();
        let store = Arc::clone(&self.store);
        Self {
            router: router(store, control, handoff, clock, closed, &relay, 10),
            store: Arc::clone(&self.store),
            control: Arc::clone(control),
            relay,
            handoff: Arc::clone(handoff),
            closing,
            clock: Arc::clone(clock),
            alpha: self.alpha.clone(),
            beta: self.beta.clone(),
            gamma: self.gamma.clone(),
            app: self.app.clone(),
            log: self.log.clone(),
            beta_app: self.beta_app.clone(),
        }
    }

    /// Lets time go by.
    pub fn pass_ms(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// A push to `alpha` for `app`, `at` seconds after the beginning.
    pub fn push(&self, at: i64) -> Wish<'_> {
        Wish {
            source: &self.alpha,
            to: vec![&self.app],
            event_type: Some("push"),
            body: br#"{"n":12345678901234567890}"#,
            delivery_id: None,
            disposition: Disposition::Accepted,
            at_ms: T0 + at * 1_000,
        }
    }

    pub fn owner_of(&self, source: &Application) -> Owner {
        if source.id == self.gamma.id { OTHER } else { Owner::MAIN }
    }

    pub async fn accept(&self, wish: Wish<'_>) -> EventId {
        let mut packed = PackedHeaders::with_capacity(64);
        packed.push(EventRecord::METHOD, b"POST");
        packed.push(EventRecord::PATH, b"/in/alpha");
        packed.push(EventRecord::REMOTE, b"192.0.2.7");
        packed.push(EventRecord::VERDICT, br#"{"genuine":{"secret_index":0}}"#);
        if let Some(id) = wish.delivery_id {
            packed.push(EventRecord::DELIVERY_ID, id.as_bytes());
        }
        packed.push("content-type", b"application/json");
        packed.push("authorization", b"Basic c2VjcmV0");
        packed.push("x-hub-signature-256", b"sha256=00");
        let record = EventRecord::from_packed(packed.finish(wish.body)).unwrap();
        let accept = EventAccept {
            application: wish.source.key,
            received_at_ms: wish.at_ms,
            event_type: wish.event_type.map(str::to_owned),
            dedupe: wish
                .delivery_id
                .map(|id| (dedupe_key(wish.source.key, id), DedupeKind::DeliveryId, 3_600_000)),
            disposition: wish.disposition,
            labels: EventLabels::default(),
            record,
            planned: wish
                .to
                .iter()
                .map(|endpoint| Planned { endpoint: endpoint.key, leased: false })
                .collect(),
            due_ms: None,
            lease_until_ms: wish.at_ms,
        };
        let scope = Scope::of(self.owner_of(wish.source), wish.source.key);
        self.store.event_accept(scope, accept).await.unwrap().event()
    }

    /// Makes one attempt of everything that is due at an endpoint.
    pub async fn attempt_all(&self, endpoint: &Endpoint, next: NextStep, status: Option<u16>) {
        let now_ms = self.clock.now_ms();
        let leased = self.store.delivery_lease(endpoint.key, now_ms, 60_000, 10_000).await.unwrap();
        for delivery in leased {
            let detail = AttemptDetail {
                url: endpoint.settings.url.clone(),
                request_headers: vec![("webhook-id".into(), delivery.key.event.to_string())],
                request_bytes: 3,
                response: status.map(|status| ResponseDetail {
                    status,
                    headers: vec![("content-type".into(), "text/plain".into())],
                    body: KeptBody::Text("said so".into()),
                    truncated: false,
                }),
                remote_address: Some("127.0.0.1:9".into()),
                error: status.is_none().then(|| "connection refused".into()),
                timings_us: AttemptTimings { total: 1_500, ..AttemptTimings::default() },
                ..AttemptDetail::default()
            };
            let finish = AttemptFinish {
                delivery: delivery.key,
                lease: delivery.lease,
                attempt: AttemptWrite {
                    number: delivery.attempts + 1,
                    trigger: Trigger::Receipt,
                    started_at_ms: delivery.received_at_ms + 5 + i64::from(delivery.attempts),
                    duration_ms: 12,
                    status,
                    error_code: status.is_none().then(|| "connect_refused".into()),
                    detail: Bytes::from(serde_json::to_vec(&detail).unwrap()),
                },
                next,
            };
            let outcome = self.store.attempt_finish(finish).await.unwrap();
            assert!(matches!(outcome, FinishOutcome::Recorded(_)), "{outcome:?}");
        }
    }

    pub async fn deliver_all(&self, endpoint: &Endpoint) {
        self.attempt_all(endpoint, NextStep::Delivered, Some(200)).await;
    }

    pub async fn fail_all(&self, endpoint: &Endpoint) {
        let next = NextStep::Failed(FailureReason::Exhausted);
        self.attempt_all(endpoint, next, Some(500)).await;
    }

    pub async fn refuse(&self, source: &Application, code: &str) {
        let mut packed = PackedHeaders::with_capacity(16);
        packed.push(EventRecord::METHOD, b"POST");
        packed.push("cookie", b"a=b");
        let refused = QuarantineWrite {
            received_at_ms: T0,
            code: code.to_owned(),
            reason: "no key fits".to_owned(),
            status: 401,
            record: EventRecord::from_packed(packed.finish(&[0xff, 0xfe])).unwrap(),
        };
        let scope = Scope::of(self.owner_of(source), source.key);
        assert!(self.store.quarantine_put(scope, refused).await.unwrap());
    }

    /// Declares `alpha` again with `app` only, so that `log` and `declared` are removed.
    pub async fn remove_log(&self) {
        let main = vec![
            declaration(1, "alpha", "github", &["app"]),
            declaration(2, "beta", "twilio", &["app"]),
        ];
        self.store.config_declare(Owner::MAIN, main, T0 + 1).await.unwrap();
    }

    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        let mut router = self.router.clone();
        router.call(request).await.unwrap_or_else(|never| match never {})
    }

    pub async fn call_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let response = self.send(request.body(body).unwrap()).await;
        json_of(response).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call_as(TOKEN, Method::GET, path, None).await;
        assert!(status.is_success(), "GET {path}: {status} {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call_as(TOKEN, Method::POST, path, Some(body)).await
    }

    /// Asks for something that has to be refused, and answers with the code.
    pub async fn refused(&self, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
        let (status, body) = self.call_as(TOKEN, method, path, body).await;
        assert!(!status.is_success(), "{path}: {status} {body}");
        (status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Every id of a list, page by page.
    pub async fn walk(&self, path: &str, limit: usize) -> Vec<String> {
        let mut ids = Vec::new();
        let mut iterator = String::new();
        let joint = if path.contains('?') { '&' } else { '?' };
        for _ in 0..10_000 {
            let page = self.get(&format!("{path}{joint}limit={limit}{iterator}")).await;
            let data = page["data"].as_array().unwrap();
            assert!(data.len() <= limit);
            ids.extend(data.iter().map(|item| {
                item["id"].as_str().map_or_else(|| item["number"].to_string(), str::to_owned)
            }));
            if page["done"] == true {
                return ids;
            }
            iterator = format!("&iterator={}", page["iterator"].as_str().unwrap());
        }
        panic!("{path} never ends");
    }
}

/// Reads an answer; refusals have to be problem documents.
pub async fn json_of(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    if bytes.is_empty() {
        assert_eq!(status, StatusCode::NO_CONTENT);
        return (status, Value::Null);
    }
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    if status.is_success() {
        assert_eq!(kind.unwrap(), "application/json");
    } else {
        assert_eq!(kind.unwrap(), "application/problem+json");
        assert_eq!(body["status"], status.as_u16());
        for field in ["type", "title", "code"] {
            assert!(body[field].is_string(), "{field} in {body}");
        }
        if status == StatusCode::UNPROCESSABLE_ENTITY {
            for place in body["detail"].as_array().unwrap() {
                assert!(place["loc"].is_array() && place["msg"].is_string(), "{body}");
                assert!(place["type"].is_string(), "{body}");
            }
        } else {
            assert!(body["detail"].is_string(), "{body}");
        }
        let known = becket_api::ERROR_CODES.iter().any(|(code, _, _)| body["code"] == *code);
        assert!(known, "{body}");
    }
    (status, body)
}
