//! The running gateway: its configuration, and how a change of it reaches every part.
//!
//! Invariant: a change is applied whole or not at all; what runs keeps running with the old one
//! until everything of the new one has been made ready.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use becket_api::{Control, ControlError, Directory, EndpointSecret, ProviderRow, SourceDetails};
use becket_engine::Engine;
use becket_ingress::{Handoff, SourceTable, delivery_id_key};
use becket_model::{ApplicationKey, Clock, EndpointKey, EventRecord, Noise, Origin};
use becket_signature::{Catalogue, Explanation, RequestView, Status};
use becket_store::vault::Vault;
use becket_store::{ConfigSnapshot, DedupeKey, Endpoint, LeasedDelivery, Owner, Store, StoreError};
use tokio::sync::Mutex;

use super::ServeError;
use super::assemble;
use super::keys::MASTER_KEY_FILE;
use crate::config::{self, Config, Flag, LoadArgs, Loaded};

/// How the configuration is read again.
pub(super) struct ConfigSource {
    pub(super) path: Option<PathBuf>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) flags: Vec<Flag>,
}

impl ConfigSource {
    pub(super) fn load(&self) -> Result<Loaded, config::ConfigErrors> {
        config::load(LoadArgs::from_disk(self.path.clone(), self.env.clone(), self.flags.clone()))
    }
}

/// What is in force at the moment.
pub(super) struct Current {
    pub(super) loaded: Loaded,
    /// The file's sources, or the demo's.
    pub(super) sources: Vec<config::Source>,
    pub(super) snapshot: ConfigSnapshot,
}

/// The running gateway.
pub(super) struct Gateway {
    pub(super) store: Arc<dyn Store>,
    pub(super) engine: Engine,
    pub(super) table: Arc<ArcSwap<SourceTable>>,
    pub(super) current: ArcSwap<Current>,
    pub(super) vault: Vault,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) noise: Arc<dyn Noise>,
    pub(super) folder: PathBuf,
    pub(super) config_source: ConfigSource,
    /// The source that is there when the file has none.
    pub(super) demo: Option<config::Source>,
    /// Changes are applied one at a time.
    pub(super) changing: Mutex<()>,
    /// The address that receiving URLs begin with when there is no public one.
    pub(super) local_url: String,
}

impl Gateway {
    /// Puts a configuration in force.
    pub(super) async fn apply(&self, loaded: Loaded) -> Result<(), ServeError> {
        let _one_at_a_time = self.changing.lock().await;
        let mut sources = loaded.config.sources.clone();
        if sources.is_empty() {
            sources.extend(self.demo.clone());
        }
        let now_ms = self.clock.now_ms();
        let declared = assemble::declarations(&sources, &self.vault, self.noise.as_ref(), now_ms)?;
        // Made ready against what is known, before anything is declared: an error changes nothing.
        let before = self.store.config_list(Owner::MAIN).await?;
        assemble::source_table(&loaded.config, &sources, &before)?;
        assemble::endpoint_runtimes(&loaded.config, &sources, &before, &self.vault)?;
        let snapshot = self.store.config_declare(Owner::MAIN, declared, now_ms).await?;
        self.put_in_force(Current { loaded, sources, snapshot })
    }

    /// Reads sources and endpoints from the store again.
    pub(super) async fn refresh(&self) -> Result<(), ServeError> {
        let _one_at_a_time = self.changing.lock().await;
        let snapshot = self.store.config_list(Owner::MAIN).await?;
        let current = self.current.load();
        self.put_in_force(Current {
            loaded: current.loaded.clone(),
            sources: current.sources.clone(),
            snapshot,
        })
    }

    fn put_in_force(&self, current: Current) -> Result<(), ServeError> {
        let Current { loaded, sources, snapshot } = &current;
        let table = assemble::source_table(&loaded.config, sources, snapshot)?;
        let endpoints =
            assemble::endpoint_runtimes(&loaded.config, sources, snapshot, &self.vault)?;
        self.engine.endpoints_set(endpoints);
        self.table.store(Arc::new(table));
        self.current.store(Arc::new(current));
        Ok(())
    }

    /// Reads the configuration again and puts it in force; a broken one changes nothing. Answers
    /// with what is worth a warning.
    pub(super) async fn reload(&self) -> Result<Vec<String>, ControlError> {
        let loaded = self.config_source.load().map_err(|errors| ControlError {
            detail: errors.to_string(),
            hint: Some("the old configuration stays in force; correct the file".to_owned()),
        })?;
        let mut warnings: Vec<String> =
            loaded.warnings.iter().map(config::Problem::one_line).collect();
        warnings.extend(needs_restart(&self.current.load().loaded.config, &loaded.config));
        self.apply(loaded).await.map_err(|error| ControlError {
            detail: error.to_string(),
            hint: Some("the old configuration stays in force".to_owned()),
        })?;
        Ok(warnings)
    }

    fn declared(&self, source: ApplicationKey) -> Option<(Arc<Current>, usize)> {
        let current = self.current.load_full();
        let uid = &current.snapshot.sources.iter().find(|known| known.key == source)?.uid;
        let at = current.sources.iter().position(|declared| declared.id == *uid)?;
        Some((current, at))
    }
}

/// What of a new configuration takes effect only after a restart.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let sections = [
        ("[server]", format!("{:?}", old.server) != format!("{:?}", new.server)),
        ("[store]", format!("{:?}", old.store) != format!("{:?}", new.store)),
        ("[egress]", format!("{:?}", old.egress) != format!("{:?}", new.egress)),
        ("[log]", format!("{:?}", old.log) != format!("{:?}", new.log)),
    ];
    sections
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(section, _)| format!("{section} has changed, which takes effect after a restart"))
        .collect()
}

impl Directory for Gateway {
    fn explain(
        &self,
        source: ApplicationKey,
        record: &EventRecord,
        received_at_ms: i64,
    ) -> Option<Explanation> {
        let (current, at) = self.declared(source)?;
        let declared = &current.sources[at];
        let entry = current.loaded.config.entry_of(declared)?;
        let verifier = assemble::receiving_verifier(declared, entry).ok()?;
        let mut headers = http::HeaderMap::new();
        for (name, value) in record.headers() {
            let name = http::HeaderName::from_bytes(name.as_bytes());
            let value = http::HeaderValue::from_bytes(value);
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        let body = record.body();
        let view = RequestView {
            method: record.fact(EventRecord::METHOD).unwrap_or("POST"),
            url: record.fact(EventRecord::URL).unwrap_or_default(),
            headers: &headers,
            body: &body,
        };
        Some(verifier.explain(&view, received_at_ms.div_euclid(1_000)))
    }

    fn receiving_url(&self, source_uid: &str) -> String {
        let current = self.current.load();
        let declared = current.sources.iter().find(|declared| declared.id == source_uid);
        declared
            .and_then(|declared| current.loaded.config.public_url_of(declared))
            .unwrap_or_else(|| format!("{}/in/{source_uid}", self.local_url))
    }

    fn source_details(&self, source: ApplicationKey) -> Option<SourceDetails> {
        let (current, at) = self.declared(source)?;
        let declared = &current.sources[at];
        let entry = current.loaded.config.entry_of(declared)?;
        let mut warnings = Vec::new();
        if let Some(warning) = becket_signature::unsigned_body_warning(&entry) {
            warnings.push(warning.to_owned());
        }
        if declared.endpoints.is_empty() {
            warnings.push("it has no endpoint: events are kept and go nowhere".to_owned());
        }
        Some(SourceDetails {
            provider_name: entry.name.clone(),
            warnings,
            event_types: declared.event_types.clone(),
        })
    }

    fn dedupe_key(&self, source: ApplicationKey, delivery_id: &str) -> Option<DedupeKey> {
        let (current, at) = self.declared(source)?;
        current.sources[at].dedupe.enabled.then(|| delivery_id_key(source, delivery_id))
    }

    fn endpoint_secret(&self, endpoint: &Endpoint) -> Result<EndpointSecret, StoreError> {
        let sealed = |detail: String| StoreError::Sealed { detail };
        if endpoint.origin == Origin::File
            && let Some((current, at)) = self.declared(endpoint.application)
            && let Some(declared) =
                current.sources[at].endpoints.iter().find(|one| one.id == endpoint.uid)
            && let Some(text) =
                declared.signing_secret().map_err(|error| sealed(error.to_string()))?
        {
            return Ok(EndpointSecret { text, declared: true });
        }
        let newest = endpoint
            .secrets
            .iter()
            .find(|secret| secret.expires_at_ms.is_none())
            .ok_or_else(|| sealed(format!("endpoint {} has no secret", endpoint.id)))?;
        let opened = self.vault.open(&assemble::secret_place(endpoint.id), &newest.envelope)?;
        let text = std::str::from_utf8(&opened).map_err(|error| sealed(error.to_string()))?;
        Ok(EndpointSecret { text: text.to_owned(), declared: false })
    }

    fn seal_endpoint_secret(
        &self,
        endpoint: &Endpoint,
        secret: &str,
    ) -> Result<Vec<u8>, StoreError> {
        assemble::seal_secret(&self.vault, self.noise.as_ref(), endpoint.id, secret)
    }

    fn providers(&self) -> Vec<ProviderRow> {
        let own = self.current.load();
        let mut rows: Vec<ProviderRow> = own
            .loaded
            .config
            .providers
            .iter()
            .map(|provider| ProviderRow {
                slug: provider.0.slug.clone(),
                name: provider.0.name.clone(),
                status: "own".to_owned(),
            })
            .collect();
        rows.extend(Catalogue::builtin().list().into_iter().map(|entry| {
            ProviderRow {
                slug: entry.slug.to_string(),
                name: entry.name.to_string(),
                status: match entry.status {
                    Status::Proven => "proven",
                    Status::Declared => "declared",
                }
                .to_owned(),
            }
        }));
        rows
    }
}

#[async_trait]
impl Control for Gateway {
    async fn wake(&self, endpoint: EndpointKey) {
        self.engine.wake(endpoint);
    }

    async fn endpoints_changed(&self, _owner: Owner) {
        if let Err(error) = self.refresh().await {
            tracing::error!(error = %error, "a change of an endpoint is stored but not yet in force");
        }
    }

    async fn backup(&self, folder: &Path) -> Result<u64, ControlError> {
        let failed = |detail: String| ControlError {
            detail,
            hint: Some("name a folder that does not exist yet on a disk with enough room".into()),
        };
        let mut bytes =
            self.store.backup(folder).await.map_err(|error| failed(error.to_string()))?;
        let key = self.folder.join(MASTER_KEY_FILE);
        if key.exists() {
            // Copying keeps the mode, which is for the owner only.
            bytes += std::fs::copy(&key, folder.join(MASTER_KEY_FILE))
                .map_err(|error| failed(format!("the master key could not be copied: {error}")))?;
        }
        Ok(bytes)
    }

    async fn reload(&self) -> Result<Vec<String>, ControlError> {
        Gateway::reload(self).await
    }
}

/// The engine, as the receiving side sees it.
pub(super) struct EngineHandoff(pub(super) Engine);

impl Handoff for EngineHandoff {
    fn reserve(&self, endpoint: EndpointKey) -> bool {
        self.0.reserve(endpoint)
    }

    fn cancel(&self, endpoint: EndpointKey) {
        self.0.cancel(endpoint);
    }

    fn hand_over(&self, delivery: LeasedDelivery) {
        self.0.hand_over(delivery);
    }

    fn wake(&self, endpoint: EndpointKey) {
        self.0.wake(endpoint);
    }
}
