//! What the API needs of the gateway, as small as tests need it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use becket_api::{
    Control, ControlError, Directory, EndpointSecret, KeysRotated, LetOut, LetOutcome,
    ProviderDetails, ProviderRow, SourceCredentials, SourceDetails, SourceTest, SourceTested,
    SourceTrouble, Standing, StoredTransformation, TestRefusal,
};
use becket_model::{
    ApplicationKey, ApplicationSettings, Clock, Disposition, EndpointKey, EventLabels, EventRecord,
    Released, RetrySchedule,
};
use becket_signature::{
    Catalogue, Credentials, EntrySummary, Explanation, RequestView, Verifier, VerifierOptions,
};
use becket_store::accept::Handoff;
use becket_store::vault::{Vault, place};
use becket_store::{
    Application, DedupeKey, Endpoint, EventAccept, LeasedDelivery, Owner, Scope, Store,
};
use zeroize::Zeroizing;

/// A clock that a test moves.
pub struct TestClock(pub AtomicI64);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What the API asked of the gateway.
#[derive(Default)]
pub struct TestControl {
    /// From where refused requests are let out.
    pub store: OnceLock<Arc<dyn Store>>,
    pub woken: Mutex<Vec<EndpointKey>>,
    /// Tells the API what another node has changed.
    pub elsewhere: Arc<becket_api::Elsewhere>,
    /// The number of this node among several; 0 if there is only one.
    pub node: std::sync::atomic::AtomicU32,
    pub changes: AtomicI64,
    /// Whether the event catalogue is for those with a token only.
    pub catalogue_closed: std::sync::atomic::AtomicBool,
    /// The endpoints that were changed, as they are now.
    pub endpoints: Mutex<Vec<Endpoint>>,
    /// The applications that were changed, as they are now.
    pub applications: Mutex<Vec<Application>>,
    /// What the API counts in, and writes only when a test says so.
    pub activity: OnceLock<Arc<becket_api::Activity>>,
    /// What is wrong, and whose it is.
    pub problems: Mutex<Vec<(Owner, Standing)>>,
    /// The retry schedules of event types that were told last.
    pub schedules: Mutex<HashMap<String, RetrySchedule>>,
}

#[async_trait]
impl Control for TestControl {
    fn node(&self) -> Option<u32> {
        Some(self.node.load(Ordering::SeqCst)).filter(|number| *number > 0)
    }

    async fn wake(&self, endpoint: EndpointKey) {
        self.woken.lock().unwrap().push(endpoint);
    }

    async fn endpoint_changed(&self, _owner: Owner, endpoint: &Endpoint) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.endpoints.lock().unwrap().push(endpoint.clone());
    }

    async fn application_changed(&self, application: &Application) {
        self.applications.lock().unwrap().push(application.clone());
    }

    async fn transformation_check(
        &self,
        _endpoint: EndpointKey,
        transformation: StoredTransformation,
    ) -> Result<(), String> {
        if transformation.code.contains("handler") { Ok(()) } else { Err("line 1: no".to_owned()) }
    }

    async fn retry_by_type_changed(
        &self,
        _owner: Owner,
        schedules: HashMap<String, RetrySchedule>,
    ) {
        *self.schedules.lock().unwrap() = schedules;
    }

    async fn backup(&self, folder: &Path) -> Result<u64, ControlError> {
        if folder.ends_with("taken") {
            let detail = "the folder exists".to_owned();
            return Err(ControlError { detail, hint: Some("name another".to_owned()) });
        }
        Ok(42)
    }

    async fn keys_rotate(&self) -> Result<KeysRotated, ControlError> {
        Ok(KeysRotated { rewrapped: 3, version: 2 })
    }

    async fn source_test(
        &self,
        source: &Application,
        test: SourceTest,
    ) -> Result<SourceTested, TestRefusal> {
        if source.settings.provider == "telnyx" {
            return Err(TestRefusal::CannotSign("only Telnyx has the key".to_owned()));
        }
        Ok(SourceTested {
            status: 200,
            event: None,
            outcome: "accepted".to_owned(),
            detail: None,
            method: "POST".to_owned(),
            path: "/in/alpha".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: test.body.unwrap_or_default(),
        })
    }

    async fn let_out(
        &self,
        scope: Scope,
        number: i64,
        how: LetOut,
    ) -> becket_store::Result<LetOutcome> {
        let store = self.store.get().expect("the store is there");
        let Some(kept) = store.quarantine_get(scope, number).await? else {
            return Ok(LetOutcome::Absent);
        };
        if how.reason.is_none() && kept.row.code != "stale" {
            let words = "It still cannot be verified.".to_owned();
            return Ok(LetOutcome::Stays { code: kept.row.code, words });
        }
        let released = Released {
            first_received_at_ms: kept.row.received_at_ms,
            refused_as: kept.row.code.clone(),
            by: how.by,
            reason: how.reason.clone(),
        };
        let unverified = how.reason.is_some().then(|| kept.row.code.clone());
        let accept = EventAccept {
            application: kept.row.application,
            received_at_ms: kept.row.received_at_ms,
            event_type: None,
            dedupe: None,
            disposition: Disposition::Accepted,
            labels: EventLabels { unverified, released: Some(released), ..EventLabels::default() },
            record: kept.record,
            planned: Vec::new(),
            due_ms: None,
            lease_until_ms: 0,
        };
        Ok(match store.quarantine_release(scope, number, accept).await? {
            Some(accepted) => LetOutcome::Accepted(accepted.event()),
            None => LetOutcome::Absent,
        })
    }

    async fn problems(&self, owner: Owner) -> becket_store::Result<Vec<Standing>> {
        let problems = self.problems.lock().unwrap();
        Ok(problems.iter().filter(|(of, _)| *of == owner).map(|(_, one)| one.clone()).collect())
    }

    async fn reload(&self) -> Result<Vec<String>, ControlError> {
        Ok(vec!["public_url is not https".to_owned()])
    }
}

impl TestControl {
    /// What the API counts in.
    pub fn activity(&self) -> &Arc<becket_api::Activity> {
        self.activity.get_or_init(|| Arc::new(becket_api::Activity::new("test")))
    }
}

/// An engine without lanes: every delivery waits in the store until a test leases it.
#[derive(Default)]
pub struct TestHandoff {
    pub woken: Mutex<Vec<EndpointKey>>,
}

impl Handoff for TestHandoff {
    fn reserve(&self, _endpoint: EndpointKey) -> bool {
        false
    }

    fn cancel(&self, _endpoint: EndpointKey) {}

    fn hand_over(&self, delivery: LeasedDelivery) {
        panic!("nothing was reserved for {:?}", delivery.key);
    }

    fn wake(&self, endpoint: EndpointKey) {
        self.woken.lock().unwrap().push(endpoint);
    }
}

/// The master key of every world.
pub fn vault() -> Vault {
    Vault::new([9; 32])
}

pub struct TestDirectory {
    pub verifier: Verifier,
    pub vault: Vault,
    pub control: Arc<TestControl>,
    /// Counts envelopes, for their nonces.
    pub sealed: AtomicI64,
}

pub fn dedupe_key(source: ApplicationKey, delivery_id: &str) -> DedupeKey {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&source.0.to_be_bytes());
    let text = delivery_id.as_bytes();
    let length = text.len().min(12);
    key[4..4 + length].copy_from_slice(&text[text.len() - length..]);
    DedupeKey(key)
}

impl Directory for TestDirectory {
    fn explain(
        &self,
        _source: ApplicationKey,
        record: &EventRecord,
        received_at_ms: i64,
    ) -> Option<Explanation> {
        let mut headers = http::HeaderMap::new();
        for (name, value) in record.headers() {
            headers.append(
                http::HeaderName::from_bytes(name.as_bytes()).ok()?,
                http::HeaderValue::from_bytes(value).ok()?,
            );
        }
        let body = record.body();
        let request = RequestView {
            method: "POST",
            url: "http://localhost/in/alpha",
            headers: &headers,
            body: &body,
        };
        Some(self.verifier.explain(&request, received_at_ms / 1_000))
    }

    fn public_url(&self) -> String {
        "http://localhost:8080".to_owned()
    }

    fn receiving_url(&self, source: &Application) -> String {
        let last = match &source.credentials {
            None => source.name(),
            Some(envelope) => {
                let place = place::application_credentials(source.id);
                let opened = self.vault.open(&place, envelope).unwrap();
                let credentials: SourceCredentials = serde_json::from_slice(&opened).unwrap();
                credentials.url_tokens[0].0.clone()
            }
        };
        format!("http://localhost:8080/in/{last}")
    }

    fn source_details(&self, _source: ApplicationKey) -> Option<SourceDetails> {
        Some(SourceDetails {
            provider_name: "GitHub".to_owned(),
            warnings: vec!["no secret".to_owned()],
            event_types: None,
            verification: becket_model::Verification::Enforce,
            ..SourceDetails::default()
        })
    }

    fn provider(&self, slug: &str) -> Option<ProviderDetails> {
        (slug == "github").then(|| ProviderDetails {
            slug: "github".to_owned(),
            name: "GitHub".to_owned(),
            status: "proven".to_owned(),
            proof: Some("sdk".to_owned()),
            ..ProviderDetails::default()
        })
    }

    fn dedupe_key(&self, source: ApplicationKey, delivery_id: &str) -> Option<DedupeKey> {
        Some(dedupe_key(source, delivery_id))
    }

    fn endpoint_secret(&self, endpoint: &Endpoint) -> becket_store::Result<EndpointSecret> {
        let envelope = &endpoint.secrets[0].envelope;
        let opened = self.vault.open(&place::endpoint_secret(endpoint.id), envelope)?;
        let text = String::from_utf8(opened.to_vec()).unwrap();
        Ok(EndpointSecret { text, declared: endpoint.uid.as_deref() == Some("declared") })
    }

    fn seal(&self, place: &str, secret: &[u8]) -> becket_store::Result<Vec<u8>> {
        let mut nonce = [0; 24];
        nonce[..8].copy_from_slice(&self.sealed.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        self.vault.seal(place, secret, nonce)
    }

    fn open(&self, place: &str, envelope: &[u8]) -> becket_store::Result<Zeroizing<Vec<u8>>> {
        self.vault.open(place, envelope)
    }

    fn source_check(
        &self,
        settings: &ApplicationSettings,
        credentials: &SourceCredentials,
    ) -> Result<(), Vec<SourceTrouble>> {
        let trouble = |message: String| vec![SourceTrouble { setting: None, message }];
        let entry = Catalogue::builtin()
            .get(&settings.provider)
            .ok_or_else(|| trouble(format!("there is no provider `{}`", settings.provider)))?;
        if settings.rules.as_ref().is_some_and(|rules| rules.body_limit_bytes == Some(0)) {
            let message = "`body_limit` must be from 1B to 1GiB".to_owned();
            return Err(vec![SourceTrouble { setting: Some("bodyLimitBytes"), message }]);
        }
        let given = Credentials::new(
            credentials.secrets.clone(),
            credentials.public_key.iter().cloned().collect(),
            credentials.credentials.clone(),
        );
        let verifier = Verifier::new(entry, &given, &VerifierOptions::default());
        verifier.map(|_| ()).map_err(|error| trouble(error.to_string()))
    }

    fn url_check(&self, url: &str, allow_private: bool) -> Result<(), String> {
        let plain = url.starts_with("https://") || url.starts_with("http://");
        if !plain {
            return Err("the URL has to begin with https:// or http://".to_owned());
        }
        if url.contains("//127.0.0.1") && !allow_private {
            return Err("127.0.0.1 is a loopback address".to_owned());
        }
        Ok(())
    }

    fn catalogue_public(&self) -> bool {
        !self.control.catalogue_closed.load(Ordering::SeqCst)
    }

    fn providers(&self) -> Vec<ProviderRow> {
        let entries = Catalogue::builtin().list().into_iter();
        let row = |entry: EntrySummary| ProviderRow {
            slug: entry.slug.to_string(),
            name: entry.name.to_string(),
            status: "proven".to_owned(),
        };
        entries.map(row).collect()
    }
}
