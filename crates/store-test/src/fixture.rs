//! What the cases are written with: a store with sources and endpoints, and short words for what
//! is done to it. Everything here panics when the store does not do its part.

use std::sync::Arc;

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, ApplicationSettings, AttemptId, DeliveryKey,
    Disposition, EndpointId, EndpointKey, EndpointSettings, EndpointState, EventId, EventLabels,
    EventRecord, FailureReason, NextStep, PackedHeaders, Trigger,
};
use becket_store::{
    Accepted, Application, ApplicationChange, ApplicationNew, AttemptFinish, AttemptWrite,
    ConfigSnapshot, Created, DedupeKey, DedupeKind, DeliveryRow, Endpoint, EndpointDeclaration,
    EndpointDue, EndpointNew, EventAccept, EventFilter, EventRow, FinishOutcome, LeaseToken,
    LeasedDelivery, Owner, Page, Planned, RetentionPolicy, Scope, SourceDeclaration, Store,
};
use bytes::Bytes;

use crate::place::Opened;
use crate::{FixedNoise, ModelStore, Numbers, Place};

/// The moment at which every case begins, in milliseconds since 1970.
pub(crate) const T0: i64 = 1_750_000_000_000;
/// How long leases of the fixture hold.
pub(crate) const LEASE_MS: u64 = 60_000;
/// The window of [`Wishes::keyed`].
pub(crate) const ID_WINDOW_MS: u64 = 72 * 3_600_000;
/// The window of [`Wishes::hashed`].
pub(crate) const HASH_WINDOW_MS: u64 = 5 * 60_000;
/// A second owner; [`Owner::MAIN`] is the first.
pub(crate) const OTHER: Owner = Owner::new(2);
/// Everything of the first owner.
pub(crate) const MAIN: Scope = Scope::all(Owner::MAIN);

/// A store in which the first owner has the sources `alpha` (endpoints `a1`, `a2`, `a3`) and
/// `beta` (`b1`), and the second owner has `gamma` (`g1`).
pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) harness: Box<dyn Opened>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) alpha: ApplicationKey,
    pub(crate) beta: ApplicationKey,
    pub(crate) gamma: ApplicationKey,
    pub(crate) a: [EndpointKey; 3],
    pub(crate) b: EndpointKey,
    pub(crate) g: EndpointKey,
}

impl World {
    pub(crate) async fn new(place: Place) -> Self {
        let harness = place.fresh().await;
        let store = harness.store();
        let declared = vec![source("alpha", &["a1", "a2", "a3"]), source("beta", &["b1"])];
        let main = store.config_declare(Owner::MAIN, declared, T0).await.unwrap();
        let other = store.config_declare(OTHER, vec![source("gamma", &["g1"])], T0).await.unwrap();
        let (application, endpoint) = (application_of, |all, uid| endpoint_of(all, uid).key);
        Self {
            alpha: application(&main, "alpha"),
            beta: application(&main, "beta"),
            gamma: application(&other, "gamma"),
            a: ["a1", "a2", "a3"].map(|uid| endpoint(&main, uid)),
            b: endpoint(&main, "b1"),
            g: endpoint(&other, "g1"),
            place,
            harness,
            store,
        }
    }

    /// Crashes the store and opens it again. Answers whether it is a durable one; if not, the case
    /// has nothing more to say, and this has checked that the store is empty.
    pub(crate) async fn reopen(&mut self) -> bool {
        // Nobody holds the old store while the new one is opened.
        self.store = Arc::new(ModelStore::new(Arc::new(FixedNoise::new(0))));
        self.harness.reopen().await;
        self.store = self.harness.store();
        if !self.place.capabilities().durable {
            let config = self.store.config_list(Owner::MAIN).await.unwrap();
            assert_eq!(config, ConfigSnapshot::default(), "it says that it is not durable");
            assert_eq!(self.store.stats().await.unwrap().events, 0, "it says so");
        }
        self.place.capabilities().durable
    }

    /// Makes an application of the first owner at [`T0`], whose name has to be free.
    pub(crate) async fn make(&self, new: ApplicationNew) -> Application {
        match self.store.application_create(Owner::MAIN, new, T0).await.unwrap() {
            Created::New(application) => application,
            other => panic!("{other:?} should be new"),
        }
    }

    /// Makes an endpoint of the first owner at [`T0`], whose name has to be free.
    pub(crate) async fn attach(&self, new: EndpointNew) -> Endpoint {
        match self.store.endpoint_create(Owner::MAIN, new, T0).await.unwrap() {
            Created::New(endpoint) => endpoint,
            other => panic!("{other:?} should be new"),
        }
    }

    /// Removes an application of the first owner.
    pub(crate) async fn remove(&self, application: ApplicationKey, now_ms: i64) -> Application {
        let change = ApplicationChange { remove: true, ..ApplicationChange::default() };
        let changed = self.store.application_change(Owner::MAIN, application, change, now_ms);
        changed.await.unwrap().done().expect("the application is there")
    }

    /// Accepts an event that has to be new.
    pub(crate) async fn store_new(&self, accept: EventAccept) -> (EventId, LeaseToken) {
        let owner = if accept.application == self.gamma { OTHER } else { Owner::MAIN };
        match self.store.event_accept(Scope::all(owner), accept).await.unwrap() {
            Accepted::Stored { event, lease, .. } => (event, lease),
            duplicate @ Accepted::Duplicate { .. } => panic!("{duplicate:?} should be new"),
        }
    }

    /// Accepts an event that has to be new, and says only which.
    pub(crate) async fn store_event(&self, accept: EventAccept) -> EventId {
        self.store_new(accept).await.0
    }

    /// Accepts for the first owner and answers with what became of it.
    pub(crate) async fn accept(&self, accept: EventAccept) -> Accepted {
        self.store.event_accept(MAIN, accept).await.unwrap()
    }

    /// Stores an event of `alpha` with one delivery to `a1`, already leased.
    pub(crate) async fn one_leased(&self, at_ms: i64) -> (DeliveryKey, LeaseToken) {
        let (event, lease) = self.store_new(event(self.alpha, at_ms).leased(&self.a[..1])).await;
        (delivery(event, self.a[0]), lease)
    }

    /// Stores an event of `alpha` for `a1`, and ends its delivery at once.
    pub(crate) async fn one_ended(&self, at_ms: i64, next: NextStep) -> EventId {
        let (key, lease) = self.one_leased(at_ms).await;
        self.record(key, lease, attempt(1, at_ms), next).await;
        key.event
    }

    pub(crate) async fn row(&self, event: EventId) -> EventRow {
        self.store.event_get(MAIN, event).await.unwrap().expect("the event is there")
    }

    /// The deliveries of an event.
    pub(crate) async fn deliveries(&self, event: EventId) -> Vec<DeliveryRow> {
        self.row(event).await.deliveries
    }

    pub(crate) async fn lease(&self, endpoint: EndpointKey, now_ms: i64) -> Vec<LeasedDelivery> {
        self.store.delivery_lease(endpoint, now_ms, LEASE_MS, 1_000).await.unwrap()
    }

    /// Leases what has to be the only due delivery of an endpoint.
    pub(crate) async fn lease_one(&self, endpoint: EndpointKey, now_ms: i64) -> LeasedDelivery {
        let mut leased = self.lease(endpoint, now_ms).await;
        assert_eq!(leased.len(), 1, "deliveries due at {endpoint:?}: {leased:?}");
        leased.remove(0)
    }

    pub(crate) async fn finish(
        &self,
        delivery: DeliveryKey,
        lease: LeaseToken,
        attempt: AttemptWrite,
        next: NextStep,
    ) -> FinishOutcome {
        let finish = AttemptFinish { delivery, lease, attempt, next };
        self.store.attempt_finish(finish).await.unwrap()
    }

    /// Finishes an attempt whose lease has to hold.
    pub(crate) async fn record(
        &self,
        delivery: DeliveryKey,
        lease: LeaseToken,
        attempt: AttemptWrite,
        next: NextStep,
    ) -> AttemptId {
        match self.finish(delivery, lease, attempt, next).await {
            FinishOutcome::Recorded(id) => id,
            FinishOutcome::Stale => panic!("the lease of {delivery:?} should hold"),
        }
    }

    /// Leases what is due at an endpoint and ends all of it in the same way.
    pub(crate) async fn end_all(&self, endpoint: EndpointKey, now_ms: i64, next: NextStep) {
        for leased in self.lease(endpoint, now_ms).await {
            let written = attempt(leased.attempts + 1, now_ms);
            self.record(leased.key, leased.lease, written, next).await;
        }
    }

    /// The endpoints with waiting deliveries, and when the first of each is due.
    pub(crate) async fn due(&self) -> Vec<(EndpointKey, i64)> {
        let mut due = self.store.delivery_due().await.unwrap();
        due.sort_by_key(|due| due.endpoint);
        due.into_iter().map(|due| (due.endpoint, due.due_ms)).collect()
    }

    /// Checks which endpoints have waiting deliveries: how many, and when the first is due. The
    /// store may tell fewer than there are, but not none.
    pub(crate) async fn assert_due(&self, expected: &[(EndpointKey, u64, i64)]) {
        let mut due = self.store.delivery_due().await.unwrap();
        due.sort_by_key(|due| due.endpoint);
        let fits = |(found, wanted): (&EndpointDue, &(EndpointKey, u64, i64))| {
            found.endpoint == wanted.0
                && (1..=wanted.1).contains(&found.waiting)
                && found.due_ms == wanted.2
        };
        let all = due.len() == expected.len() && due.iter().zip(expected).all(fits);
        assert!(all, "due: {due:?}\nexpected: {expected:?}");
    }

    /// The ids that a filter finds for the first owner, newest first.
    pub(crate) async fn find(&self, filter: EventFilter) -> Vec<EventId> {
        let rows = self.store.event_list(MAIN, filter, Page::newest(1_000)).await.unwrap();
        ids(&rows)
    }

    /// Sweeps until all of these are gone; it may take as long as the store declares. Files may be
    /// sealed in the background, so it may also take a few steps.
    pub(crate) async fn sweep(&self, policy: RetentionPolicy, now_ms: i64, doomed: &[EventId]) {
        let late_ms = now_ms.saturating_add_unsigned(self.place.capabilities().sweep_lag_ms);
        for at_ms in std::iter::once(now_ms).chain(std::iter::repeat_n(late_ms, 3_000)) {
            while self.store.retention_sweep(policy, at_ms).await.unwrap().more {}
            let mut left = 0;
            for event in doomed {
                left += usize::from(self.store.event_get(MAIN, *event).await.unwrap().is_some());
            }
            if left == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("retention leaves events that are too old, {doomed:?}");
    }
}

/// A source with endpoints as a file would declare them. Ids and secrets follow from the names.
pub(crate) fn source(uid: &str, endpoints: &[&str]) -> SourceDeclaration {
    SourceDeclaration {
        uid: uid.to_owned(),
        provider: "github".to_owned(),
        id: ApplicationId::from_bytes(padded(uid)),
        endpoints: endpoints.iter().map(|name| endpoint(uid, name)).collect(),
    }
}

/// An endpoint of a source as a file would declare it.
pub(crate) fn endpoint(source: &str, uid: &str) -> EndpointDeclaration {
    EndpointDeclaration {
        uid: uid.to_owned(),
        settings: EndpointSettings::for_url(&format!("http://127.0.0.1:3000/{uid}")),
        id: EndpointId::from_bytes(padded(&format!("{source}/{uid}"))),
        secret: format!("sealed secret of {uid}").into_bytes(),
    }
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// An id that follows from a text and sorts with others as their texts do.
pub(crate) fn application_id(text: &str) -> ApplicationId {
    ApplicationId::new(T0, tail(text))
}

/// Likewise for endpoints.
pub(crate) fn endpoint_id(text: &str) -> EndpointId {
    EndpointId::new(T0, tail(text))
}

fn tail(text: &str) -> [u8; 14] {
    let mut bytes = [b'.'; 14];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// An application of a kind as the API would make it. Its id follows from its name.
pub(crate) fn made(kind: ApplicationKind, uid: &str) -> ApplicationNew {
    let settings = ApplicationSettings { name: format!("Name of {uid}"), ..Default::default() };
    ApplicationNew {
        kind,
        id: application_id(uid),
        uid: Some(uid.to_owned()),
        settings,
        credentials: None,
    }
}

/// A customer as the API would make it.
pub(crate) fn customer(uid: &str) -> ApplicationNew {
    made(ApplicationKind::Customer, uid)
}

/// An endpoint as the API would make it. Its id follows from its name.
pub(crate) fn made_endpoint(application: ApplicationKey, uid: &str) -> EndpointNew {
    EndpointNew {
        application,
        id: endpoint_id(uid),
        uid: Some(uid.to_owned()),
        settings: EndpointSettings::for_url(&format!("https://example.com/{uid}")),
        headers: None,
        secret: format!("sealed secret of {uid}").into_bytes(),
        state: EndpointState::Enabled,
    }
}

/// The key of a source in a snapshot.
pub(crate) fn application_of(config: &ConfigSnapshot, uid: &str) -> ApplicationKey {
    config
        .sources()
        .find(|source| source.uid.as_deref() == Some(uid))
        .expect("the source is there")
        .key
}

/// An endpoint in a snapshot.
pub(crate) fn endpoint_of<'a>(config: &'a ConfigSnapshot, uid: &str) -> &'a Endpoint {
    config
        .endpoints
        .iter()
        .find(|known| known.uid.as_deref() == Some(uid))
        .expect("the endpoint is there")
}

/// A plain event: accepted, of no type, recognised by nothing, for nobody.
pub(crate) fn event(application: ApplicationKey, at_ms: i64) -> EventAccept {
    EventAccept {
        application,
        received_at_ms: at_ms,
        event_type: None,
        dedupe: None,
        disposition: Disposition::Accepted,
        labels: EventLabels::default(),
        record: record(&[(EventRecord::METHOD, b"POST"), ("x-at", &at_ms.to_le_bytes())], b"{}"),
        planned: Vec::new(),
        due_ms: None,
        lease_until_ms: at_ms + LEASE_MS as i64,
    }
}

/// What else an event may be.
pub(crate) trait Wishes: Sized {
    /// Recognised by the sender's id, for 72 hours.
    fn keyed(self, key: u32) -> Self;
    /// Recognised by its body, for 5 minutes.
    fn hashed(self, key: u32) -> Self;
    /// Of this type.
    fn typed(self, event_type: &str) -> Self;
    /// With this verdict.
    fn judged(self, disposition: Disposition) -> Self;
    /// Also for these endpoints, waiting in the store.
    fn waiting(self, endpoints: &[EndpointKey]) -> Self;
    /// Also for these endpoints, taken by the caller.
    fn leased(self, endpoints: &[EndpointKey]) -> Self;
    /// With this body.
    fn body(self, body: &[u8]) -> Self;
    /// Naming these channels, with these tags.
    fn labelled(self, channels: &[&str], tags: &[&str]) -> Self;
    /// What is not leased is due then.
    fn due(self, due_ms: i64) -> Self;
    /// The payload is to be removed then.
    fn payload_until(self, until_ms: i64) -> Self;
}

impl Wishes for EventAccept {
    fn keyed(self, key: u32) -> Self {
        Self { dedupe: Some((dedupe_key(key), DedupeKind::DeliveryId, ID_WINDOW_MS)), ..self }
    }

    fn hashed(self, key: u32) -> Self {
        Self { dedupe: Some((dedupe_key(key), DedupeKind::BodyHash, HASH_WINDOW_MS)), ..self }
    }

    fn typed(self, event_type: &str) -> Self {
        Self { event_type: Some(event_type.to_owned()), ..self }
    }

    fn judged(self, disposition: Disposition) -> Self {
        Self { disposition, ..self }
    }

    fn waiting(mut self, endpoints: &[EndpointKey]) -> Self {
        let planned = endpoints.iter().map(|key| Planned { endpoint: *key, leased: false });
        self.planned.extend(planned);
        self
    }

    fn leased(mut self, endpoints: &[EndpointKey]) -> Self {
        let planned = endpoints.iter().map(|key| Planned { endpoint: *key, leased: true });
        self.planned.extend(planned);
        self
    }

    fn body(self, body: &[u8]) -> Self {
        Self { record: record(&[(EventRecord::METHOD, b"POST")], body), ..self }
    }

    fn labelled(mut self, channels: &[&str], tags: &[&str]) -> Self {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        (self.labels.channels, self.labels.tags) = (owned(channels), owned(tags));
        self
    }

    fn due(self, due_ms: i64) -> Self {
        Self { due_ms: Some(due_ms), ..self }
    }

    fn payload_until(mut self, until_ms: i64) -> Self {
        self.labels.payload_until_ms = Some(until_ms);
        self
    }
}

/// A dedupe key that differs from others in every byte, as a hash would.
pub(crate) fn dedupe_key(number: u32) -> DedupeKey {
    let mut numbers = Numbers::new(u64::from(number));
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&numbers.draw().to_le_bytes());
    bytes[8..].copy_from_slice(&numbers.draw().to_le_bytes());
    DedupeKey(bytes)
}

/// A request of these pairs and this body.
pub(crate) fn record(pairs: &[(&str, &[u8])], body: &[u8]) -> EventRecord {
    let mut packed = PackedHeaders::with_capacity(body.len() + 64);
    for (name, value) in pairs {
        packed.push(name, value);
    }
    EventRecord::from_packed(packed.finish(body)).expect("the record is whole")
}

/// The first delivery of an event to an endpoint.
pub(crate) const fn delivery(event: EventId, endpoint: EndpointKey) -> DeliveryKey {
    DeliveryKey { event, endpoint, generation: 0 }
}

/// An attempt that was answered with 200.
pub(crate) fn attempt(number: u32, started_at_ms: i64) -> AttemptWrite {
    AttemptWrite {
        number,
        trigger: Trigger::Receipt,
        started_at_ms,
        duration_ms: 12,
        status: Some(200),
        error_code: None,
        detail: Bytes::from_static(b"{}"),
    }
}

/// The end of a delivery after the last attempt of its schedule.
pub(crate) const EXHAUSTED: NextStep = NextStep::Failed(FailureReason::Exhausted);

/// The ids of rows, in their order.
pub(crate) fn ids(rows: &[EventRow]) -> Vec<EventId> {
    rows.iter().map(|row| row.id).collect()
}

/// A policy of ten days for delivered events and thirty for failed ones, without a cap.
pub(crate) const POLICY: RetentionPolicy = RetentionPolicy {
    delivered_ms: 10 * DAY_MS as u64,
    failed_ms: 30 * DAY_MS as u64,
    cap_bytes: None,
};

/// A day in milliseconds.
pub(crate) const DAY_MS: i64 = 86_400_000;
