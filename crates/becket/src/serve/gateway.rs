//! The running gateway: what is in force, and how a change reaches every part.
//!
//! Invariants: a new configuration is applied whole or not at all; what runs keeps running with the
//! old one until everything of the new one has been made ready. A change of one application or
//! endpoint touches only that one. Changes are applied one at a time, in the order they were made.
//!
//! Where next: `changed` for one change at a time, `assemble` for how things are made ready, `directory`
//! and `control` for what the API asks.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use becket_egress::policy::AddressPolicy;
use becket_engine::Engine;
use becket_ingress::SourceTable;
use becket_keys::KeyFetcher;
use becket_model::{ApplicationKey, Clock, EndpointState, Noise, Origin};
use becket_store::vault::Vault;
use becket_store::{Application, Endpoint, Owner, Store, StoreError};
use tokio::sync::Mutex;

use super::ServeError;
use super::assemble::{self, Policies};
use super::node::{Declared, Node};
use super::registry::Registry;
use crate::config::{self, Config, Flag, LoadArgs, Loaded};

/// How the configuration is read again.
#[derive(Clone)]
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
#[derive(Clone)]
pub(super) struct Current {
    pub(super) loaded: Arc<Loaded>,
    /// The file's sources, or the demo's.
    pub(super) declared: Arc<Vec<config::Source>>,
    /// Every source, of the file and of the API.
    pub(super) sources: HashMap<ApplicationKey, Arc<SourceInForce>>,
    /// Those that are there and cannot be used.
    pub(super) unusable: HashMap<ApplicationKey, Unusable>,
    pub(super) policies: Arc<Policies>,
    /// The dashboard's and the portal's pages.
    pub(super) pages: super::dashboard::Pages,
}

/// A source with all that is known of it.
#[derive(Clone)]
pub(super) struct SourceInForce {
    pub(super) application: Application,
    /// Its rules: from the file, or the defaults with what the API was given.
    pub(super) rules: config::Source,
    /// The last parts of its receiving URLs with the ends of their times; of the file, its name.
    pub(super) url_tokens: Vec<(String, Option<i64>)>,
    /// Its endpoints, removed ones not included.
    pub(super) endpoints: Vec<Endpoint>,
    /// Whether a secret of a handshake waits for the operator.
    pub(super) secret_waits: bool,
    /// When the next former secret or receiving URL of it ends.
    pub(super) next_end_ms: Option<i64>,
}

/// A source that is there and cannot be used: its senders are asked to come again.
#[derive(Clone)]
pub(super) struct Unusable {
    pub(super) owner: Owner,
    /// Its name for people.
    pub(super) name: String,
    /// What is wrong with it.
    pub(super) why: String,
    pub(super) since_ms: i64,
}

/// The running gateway.
pub(super) struct Gateway {
    pub(super) store: Arc<dyn Store>,
    pub(super) engine: Engine,
    /// This process among others that share the store, if others may.
    pub(super) node: Option<Arc<Node>>,
    /// Tells the API what other nodes change.
    pub(super) elsewhere: Arc<becket_api::Elsewhere>,
    pub(super) table: Arc<ArcSwap<SourceTable>>,
    pub(super) current: ArcSwap<Current>,
    pub(super) vault: ArcSwap<Vault>,
    /// The file of the master key, if that is where it is.
    pub(super) master_key_file: Option<PathBuf>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) noise: Arc<dyn Noise>,
    pub(super) folder: PathBuf,
    pub(super) config_source: ConfigSource,
    /// The source that is there when the file has none.
    pub(super) demo: Option<config::Source>,
    /// Changes are applied one at a time.
    pub(super) changing: Mutex<Registry>,
    /// Master keys are exchanged one at a time.
    pub(super) rotating: Mutex<()>,
    /// The gateway itself, for work that goes on after its request.
    pub(super) own: Weak<Gateway>,
    /// Posted events whose callers went away and that are being carried on.
    pub(super) unfinished: Arc<AtomicUsize>,
    /// Keys that providers publish.
    pub(super) keys: KeyFetcher,
    /// What endpoints do that are not posted to.
    pub(super) acts: super::act::Actions,
    /// What changes deliveries before they are signed.
    pub(super) transforms: super::transforms::Transforms,
    /// When a source's handshake last brought a secret; what they bring is kept one at a time.
    pub(super) captured_at_ms: Mutex<HashMap<ApplicationKey, i64>>,
    /// Where people sign in besides tokens.
    pub(super) sign_in: super::oidc::Held,
    /// Credentials that sources had before; for explanations.
    pub(super) former: parking_lot::Mutex<super::doctor::Former>,
    /// The receiving side, once it runs.
    pub(super) ingress: std::sync::OnceLock<Arc<becket_ingress::Ingress>>,
    /// The listeners of developers.
    pub(super) relay: Arc<becket_api::Relay>,
    /// What is wrong now.
    pub(super) board: super::alerts::Board,
    /// Something was changed that could not be read: everything has to be put in force again.
    pub(super) behind: AtomicBool,
    /// Whether it is being stopped, so that balancers send nobody any more.
    pub(super) leaving: AtomicBool,
    /// The address that receiving URLs begin with when there is no public one.
    pub(super) local_url: String,
}

impl Gateway {
    /// Puts a configuration in force.
    pub(super) async fn apply(&self, loaded: Loaded) -> Result<(), ServeError> {
        let mut registry = self.changing.lock().await;
        self.apply_alone(loaded, &mut registry).await
    }

    /// The same for who has the turn.
    pub(super) async fn apply_alone(
        &self,
        loaded: Loaded,
        registry: &mut Registry,
    ) -> Result<(), ServeError> {
        let pool = self.transforms.pool();
        if let Some(problem) = config::check_programs(&loaded.config, pool).await.first() {
            return Err(ServeError::Transformation { detail: problem.message.clone() });
        }
        let declared = assemble::declared(&loaded.config, self.demo.as_ref());
        let now_ms = self.clock.now_ms();
        let vault = self.vault.load();
        let mut declarations =
            assemble::declarations(&declared, &vault, self.noise.as_ref(), now_ms)?;
        let next = Current {
            pages: super::dashboard::Pages::of(&loaded.config)?,
            policies: Arc::new(Policies::of(&loaded.config)),
            loaded: Arc::new(loaded),
            declared: Arc::new(declared),
            sources: HashMap::new(),
            unusable: HashMap::new(),
        };
        // Made ready against what is known, before anything is declared: an error changes nothing.
        self.ready(&next, &mut Registry::default(), Strict::Yes).await?;
        if let Some(node) = &self.node {
            let own = Declared::of(&next.declared);
            node.with_others(self.store.as_ref(), &own, &mut declarations).await?;
        }
        self.store.config_declare(Owner::MAIN, declarations, now_ms).await?;
        self.put_in_force(next, registry).await
    }

    /// Puts everything in force as it is in the store, under what is configured.
    pub(super) async fn put_in_force(
        &self,
        mut next: Current,
        registry: &mut Registry,
    ) -> Result<(), ServeError> {
        registry.endpoints.clear();
        if let Some(node) = &self.node {
            node.take_all();
        }
        let ready = match self.ready(&next, registry, Strict::No).await {
            Ok(ready) => ready,
            Err(error) => {
                self.fell_behind();
                return Err(error);
            }
        };
        if let Some(node) = &self.node {
            node.forget_apart(|endpoint| registry.knows(endpoint));
        }
        registry.divide_rates(self.node.as_deref());
        next.sources = ready.sources;
        next.unusable = ready.unusable;
        self.note_changes(&next);
        self.engine.endpoints_set(ready.endpoints);
        self.table.store(Arc::new(ready.table));
        self.current.store(Arc::new(next));
        Ok(())
    }

    /// Makes everything ready that is in the store, of all owners.
    async fn ready(
        &self,
        current: &Current,
        registry: &mut Registry,
        strict: Strict,
    ) -> Result<Ready, ServeError> {
        let mut ready = Ready::default();
        let vault = self.vault.load();
        let mut owners = self.store.owner_list().await?;
        if !owners.contains(&Owner::MAIN) {
            owners.push(Owner::MAIN);
        }
        for owner in owners {
            let snapshot = self.store.config_list(owner).await?;
            let now_ms = self.clock.now_ms();
            let retries =
                becket_api::load_retry_by_type(self.store.as_ref(), owner, now_ms).await?;
            registry.retries.insert(owner, Arc::new(retries));
            for application in snapshot.applications.iter().filter(|known| !known.removed) {
                registry.rate_of(application, self.node.as_deref());
            }
            let mut by_application: HashMap<ApplicationKey, Vec<Endpoint>> = HashMap::new();
            for endpoint in snapshot.endpoints {
                if endpoint.state != EndpointState::Removed {
                    by_application.entry(endpoint.application).or_default().push(endpoint);
                }
            }
            for source in snapshot
                .applications
                .iter()
                .filter(|known| known.kind == becket_model::ApplicationKind::Source)
            {
                let endpoints = by_application.get(&source.key).cloned().unwrap_or_default();
                let made = assemble::source_in_force(current, source, endpoints, &vault, now_ms)
                    .and_then(|made| made.map(|made| ready.add(current, made)).transpose());
                match (made, strict) {
                    (Ok(_), _) => {}
                    (Err(error), Strict::Yes) if source.origin == Origin::File => {
                        return Err(error);
                    }
                    // One broken source of the API must not keep the others from receiving.
                    (Err(error), _) => {
                        if strict == Strict::No {
                            say_unusable(source, &error);
                        }
                        let unusable = &mut ready.unusable;
                        self.leave_out(&mut ready.table, unusable, source, &error);
                    }
                }
            }
            for endpoint in by_application.into_values().flatten() {
                registry.know(&endpoint, self.node.as_deref());
                let source = ready.sources.get(&endpoint.application).cloned();
                let source = source.as_deref();
                let delivers = self.delivers_to(&endpoint, source);
                if !delivers && strict == Strict::No {
                    self.acts.forget(endpoint.key);
                    continue;
                }
                self.transforms.take_over(self, owner, &endpoint).await?;
                let setting = registry.setting(current, owner, source, self);
                match assemble::endpoint_runtime(&setting, &endpoint, &vault) {
                    Ok(runtime) if delivers => ready.endpoints.push(runtime),
                    Ok(_) => self.acts.forget(endpoint.key),
                    Err(error) if matches!(strict, Strict::Yes) => return Err(error),
                    Err(error) => {
                        tracing::error!(endpoint = %endpoint.id, %error, "endpoint.unusable");
                    }
                }
            }
        }
        Ok(ready)
    }

    /// Gives an endpoint to the engine as it is now, or takes it away if another node delivers to it.
    pub(super) fn put_endpoint(&self, registry: &mut Registry, owner: Owner, endpoint: &Endpoint) {
        if endpoint.state == EndpointState::Removed {
            registry.forget(endpoint, self.node.as_deref());
            if let Some(node) = &self.node {
                node.lend(endpoint.key, false);
            }
            self.acts.forget(endpoint.key);
            self.engine.endpoint_remove(endpoint.key);
            return;
        }
        registry.know(endpoint, self.node.as_deref());
        let current = self.current.load();
        let source = current.sources.get(&endpoint.application);
        if !self.delivers_to(endpoint, source.map(AsRef::as_ref)) {
            self.acts.forget(endpoint.key);
            self.engine.endpoint_remove(endpoint.key);
            return;
        }
        let setting = registry.setting(&current, owner, source.map(AsRef::as_ref), self);
        match assemble::endpoint_runtime(&setting, endpoint, &self.vault.load()) {
            Ok(runtime) => self.engine.endpoint_put(runtime),
            // What it was before must not go on: its deliveries wait until it can be used.
            Err(error) => {
                tracing::error!(endpoint = %endpoint.id, %error, "endpoint.unusable");
                self.acts.forget(endpoint.key);
                self.engine.endpoint_remove(endpoint.key);
            }
        }
    }

    /// Takes out of force what has ended: former secrets and receiving URLs of sources.
    pub(super) async fn end_overdue(&self) {
        let now_ms = self.clock.now_ms();
        let over = |current: &Current| -> Vec<Arc<SourceInForce>> {
            let ended = |known: &&Arc<SourceInForce>| {
                known.next_end_ms.is_some_and(|end_ms| end_ms <= now_ms)
            };
            current.sources.values().filter(ended).cloned().collect()
        };
        if over(&self.current.load()).is_empty() {
            return;
        }
        let _registry = self.changing.lock().await;
        for known in over(&self.current.load()) {
            let current = self.current.load_full();
            let (application, endpoints) = (&known.application, known.endpoints.clone());
            let vault = self.vault.load();
            match assemble::source_in_force(&current, application, endpoints, &vault, now_ms) {
                Ok(Some(made)) => self.exchange_source(&current, made),
                Ok(None) => self.take_out_source(&current, application.key),
                // What has ended must not go on verifying.
                Err(error) => self.set_unusable(&current, application, &error),
            }
        }
    }

    pub(super) fn exchange_source(&self, current: &Current, made: SourceInForce) {
        let mut table = SourceTable::clone(&self.table.load());
        table.remove(made.application.key);
        match assemble::insert_source(current, &mut table, &made) {
            Ok(()) => self.table.store(Arc::new(table)),
            // What it verified with before must not go on verifying.
            Err(error) => return self.set_unusable(current, &made.application, &error),
        }
        let mut next = current.clone();
        next.unusable.remove(&made.application.key);
        next.sources.insert(made.application.key, Arc::new(made));
        self.note_changes(&next);
        self.current.store(Arc::new(next));
    }

    /// Takes a source out of force that cannot be used: what it was before must not go on. Its senders are
    /// asked to come again, because one that is told that there is nothing may give up for good.
    pub(super) fn set_unusable(&self, current: &Current, source: &Application, error: &ServeError) {
        let mut table = SourceTable::clone(&self.table.load());
        let mut next = current.clone();
        next.sources.remove(&source.key);
        say_unusable(source, error);
        self.leave_out(&mut table, &mut next.unusable, source, error);
        self.table.store(Arc::new(table));
        self.current.store(Arc::new(next));
    }

    /// Notes a source among those that cannot be used.
    fn leave_out(
        &self,
        table: &mut SourceTable,
        unusable: &mut HashMap<ApplicationKey, Unusable>,
        source: &Application,
        error: &ServeError,
    ) {
        let name = source.name();
        let now_ms = self.clock.now_ms();
        table.set_unusable(assemble::unusable_source(source, &self.vault.load(), now_ms));
        let since_ms = self.current.load().unusable.get(&source.key).map(|known| known.since_ms);
        let since_ms = since_ms.unwrap_or(now_ms);
        let why = error.to_string();
        unusable.insert(source.key, Unusable { owner: source.owner, name, why, since_ms });
    }

    /// Remembers what sources verified with until now, and says which ones only observe, or receive again.
    fn note_changes(&self, next: &Current) {
        let before = self.current.load();
        let now_ms = self.clock.now_ms();
        super::doctor::remember(&mut self.former.lock(), &before, next, now_ms);
        let observes = |current: &Current, key: &ApplicationKey| {
            let rules = current.sources.get(key).map(|source| source.rules.verification);
            rules == Some(config::Verification::Observe)
        };
        for (key, source) in &next.sources {
            if before.unusable.contains_key(key) {
                tracing::info!(source = %source.application.name(), "source.usable");
            }
            match (observes(&before, key), observes(next, key)) {
                (false, true) => {
                    let source = source.application.name();
                    tracing::warn!(%source, "source.observes: {}", super::doctor::OBSERVES);
                }
                (true, false) => {
                    tracing::info!(source = %source.application.name(), "source.enforces");
                }
                _ => {}
            }
        }
    }

    pub(super) fn take_out_source(&self, current: &Current, key: ApplicationKey) {
        if !current.sources.contains_key(&key) && !current.unusable.contains_key(&key) {
            return;
        }
        let mut table = SourceTable::clone(&self.table.load());
        table.remove(key);
        self.table.store(Arc::new(table));
        let mut next = current.clone();
        next.sources.remove(&key);
        next.unusable.remove(&key);
        self.current.store(Arc::new(next));
    }

    /// Reads the configuration again and puts it in force; a broken one changes nothing. Answers
    /// with what is worth a warning.
    pub(super) async fn reload(&self) -> Result<Vec<String>, NotApplied> {
        let loaded = self.config_source.load().map_err(|errors| NotApplied {
            detail: errors.to_string(),
            hint: "the old configuration stays in force; correct the file",
            try_again: false,
        })?;
        let mut warnings: Vec<String> =
            loaded.warnings.iter().map(config::Problem::one_line).collect();
        warnings.extend(needs_restart(&self.current.load().loaded.config, &loaded.config));
        self.apply(loaded).await.map_err(|error| NotApplied {
            try_again: matches!(&error, ServeError::Store(error) if may_pass(error)),
            detail: error.to_string(),
            hint: "the old configuration stays in force",
        })?;
        Ok(warnings)
    }
}

/// Why a configuration that was read again is not in force.
pub(super) struct NotApplied {
    pub(super) detail: String,
    pub(super) hint: &'static str,
    /// Nothing is wrong with it: the store did not answer.
    pub(super) try_again: bool,
}

/// Whether the same may go well a moment later.
const fn may_pass(error: &StoreError) -> bool {
    !matches!(error, StoreError::Sealed { .. } | StoreError::Closed)
}

/// Tells the operator of a source that cannot be used.
fn say_unusable(source: &Application, error: &ServeError) {
    tracing::error!(
        source = %source.name(), code = "source_unusable", %error,
        "source.unusable: senders get 503 and are asked to come again"
    );
}

/// Whether what cannot be used is an error, or is logged and left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strict {
    Yes,
    No,
}

/// Everything made ready.
#[derive(Default)]
struct Ready {
    sources: HashMap<ApplicationKey, Arc<SourceInForce>>,
    unusable: HashMap<ApplicationKey, Unusable>,
    table: SourceTable,
    endpoints: Vec<becket_engine::EndpointRuntime>,
}

impl Ready {
    fn add(&mut self, current: &Current, made: SourceInForce) -> Result<(), ServeError> {
        assemble::insert_source(current, &mut self.table, &made)?;
        self.sources.insert(made.application.key, Arc::new(made));
        Ok(())
    }
}

/// What of a new configuration takes effect only after a restart.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let server = |config: &Config| {
        // The public address is taken over at once.
        let server = config::Server { public_url: None, ..config.server.clone() };
        format!("{server:?}")
    };
    let sections = [
        ("[server]", server(old) != server(new)),
        ("[store]", old.store != new.store),
        ("[cluster]", old.cluster != new.cluster),
        ("[egress]", format!("{:?}", old.egress) != format!("{:?}", new.egress)),
        ("[log]", format!("{:?}", old.log) != format!("{:?}", new.log)),
    ];
    sections
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(section, _)| format!("{section} has changed, which takes effect after a restart"))
        .collect()
}

impl Policies {
    /// The policies of a configuration.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            operator: Arc::new(AddressPolicy::operator()),
            public: Arc::new(assemble::public_policy(config)),
        }
    }
}
