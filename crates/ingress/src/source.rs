//! A source as the receiving side needs it, and the table of all of them.
//!
//! Invariants: a table never changes; a changed configuration is another table, swapped in whole, so
//! that a request sees either the old rules or the new ones.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use becket_model::{
    ApplicationKey, EndpointKey, EndpointSettings, EndpointState, Rate, Verification,
};
use becket_signature::{Ack, Entry, Verifier};
use becket_store::Owner;
use http::{HeaderName, Method};
use ipnet::IpNet;

use crate::error::TableError;
use crate::payload::PayloadPath;
use becket_schema::CompiledSchema;

/// A source that cannot be used now, found by a name.
pub(crate) enum Unusable {
    Known(Arc<UnusableSource>),
    /// Not even the names of some can be read, so that this may be one of them.
    Perhaps,
}

/// Everything that is needed to judge and plan one request to a source.
#[derive(Debug)]
pub struct SourceRuntime {
    /// Its number in the store.
    pub key: ApplicationKey,
    /// Whose it is.
    pub owner: Owner,
    /// Its name, as shown in reports.
    pub uid: String,
    /// Proves requests genuine. It is given whole URLs made from `public_url`, so it needs none of its
    /// own; with one of its own, requests below the source's path are judged by that alone.
    pub verifier: Verifier,
    /// The provider's entry: failure status and demanded answer are read from it.
    pub entry: Arc<Entry>,
    /// The full public URL at which the sender delivers, without a query. If absent, the URL is put
    /// together from the `Host` header, which a sender can choose.
    pub public_url: Option<String>,
    /// What is asked of a request besides being genuine.
    pub rules: Rules,
    /// Where events may go.
    pub targets: Vec<Target>,
}

/// An endpoint of a source.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its number in the store.
    pub key: EndpointKey,
    /// Whether it takes deliveries.
    pub state: EndpointState,
    /// Its filters.
    pub settings: Arc<EndpointSettings>,
}

/// What a source asks of a request.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The methods of events (default `POST`); `GET`, `HEAD` and `OPTIONS` always reach handshakes.
    pub methods: Vec<Method>,
    /// The largest body, in bytes (default 5 MiB).
    pub body_limit_bytes: u64,
    /// The most headers (default 100, which is also the listener's own limit).
    pub header_count_max: usize,
    /// The most bytes in the names and values of all headers (default 64 KiB, likewise).
    pub header_bytes_max: usize,
    /// How much genuine traffic is taken; `None` is no limit.
    pub rate: Option<Rate>,
    /// From where requests may come; empty is from everywhere.
    pub allow_networks: Vec<IpNet>,
    /// The event types to keep, with a trailing `*` as in [`EndpointSettings::event_types`]; `None`
    /// keeps all. Others are acknowledged, recorded as filtered and not delivered.
    pub event_types: Option<Vec<String>>,
    /// What has to be in the payload and not null.
    pub required: Vec<PayloadPath>,
    /// What every payload has to match.
    pub schema: Option<Arc<CompiledSchema>>,
    /// What the payloads of an event type have to match besides, by event type.
    pub schemas: BTreeMap<String, Arc<CompiledSchema>>,
    /// What happens to a genuine event that breaks `required` or a schema.
    pub on_invalid: OnInvalid,
    /// How repeats are recognised.
    pub dedupe: DedupeRules,
    /// The answer to accepted requests, instead of the entry's or the usual one.
    pub ack: Option<Ack>,
    /// How deep JSON may be nested (default 64).
    pub json_depth_max: usize,
    /// Whether requests that cannot be verified are refused (default) or only noted.
    pub verification: Verification,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            methods: vec![Method::POST],
            body_limit_bytes: 5 * 1024 * 1024,
            header_count_max: 100,
            header_bytes_max: 64 * 1024,
            rate: None,
            allow_networks: Vec::new(),
            event_types: None,
            required: Vec::new(),
            schema: None,
            schemas: BTreeMap::new(),
            on_invalid: OnInvalid::Reject { status: 422 },
            dedupe: DedupeRules::default(),
            ack: None,
            json_depth_max: 64,
            verification: Verification::Enforce,
        }
    }
}

impl Rules {
    /// The defaults for a provider: its entry may raise the body limit, and say that equal bodies are
    /// no repeats.
    #[must_use]
    pub fn for_entry(entry: &Entry) -> Self {
        let rules = Self::default();
        let body_limit_bytes = entry.body_limit().unwrap_or(rules.body_limit_bytes);
        let dedupe = DedupeRules { bodies_recur: entry.bodies_recur, ..rules.dedupe };
        Self { body_limit_bytes, dedupe, ..rules }
    }
}

/// What happens to a genuine event that breaks a payload rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInvalid {
    /// It is answered with this status (422 by default) and kept in quarantine only.
    Reject {
        /// A status from 400 to 499.
        status: u16,
    },
    /// It is stored and delivered, marked with the rule that it broke.
    Accept,
}

/// How repeats of an event are recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupeRules {
    /// Whether they are; otherwise every request is an event.
    pub enabled: bool,
    /// For how long a delivery id counts, in milliseconds (default 72 h).
    pub id_window_ms: u64,
    /// For how long an equal body counts when there is no id, in milliseconds (default 5 min).
    pub hash_window_ms: u64,
    /// Where the id is, if not where the provider's entry says.
    pub id_at: Option<IdPlace>,
    /// Whether the operator chose the place of the id in the entry: it then counts for requests that
    /// nothing proves, too.
    pub id_chosen: bool,
    /// Whether different events come with equal bodies, so that a body tells no repeat (default no,
    /// or as the entry says).
    pub bodies_recur: bool,
}

impl Default for DedupeRules {
    fn default() -> Self {
        Self {
            enabled: true,
            id_window_ms: 72 * 60 * 60 * 1000,
            hash_window_ms: 5 * 60 * 1000,
            id_at: None,
            id_chosen: false,
            bodies_recur: false,
        }
    }
}

/// Where a delivery id is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdPlace {
    /// In a header.
    Header(HeaderName),
    /// In the JSON payload.
    Json(PayloadPath),
}

/// A source that is there and cannot judge a request: what it verifies with cannot be read, for
/// instance. Its senders are asked to come again; nothing of it is accepted meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableSource {
    /// Its number in the store.
    pub key: ApplicationKey,
    /// Whose it is.
    pub owner: Owner,
    /// Its name, as shown in reports.
    pub uid: String,
    /// The names under which it receives; `None` if not even they can be read.
    pub names: Option<Vec<String>>,
}

/// The sources by their name in the URL.
#[derive(Debug, Clone, Default)]
pub struct SourceTable {
    by_name: HashMap<String, Arc<SourceRuntime>>,
    unusable: Vec<Arc<UnusableSource>>,
}

impl SourceTable {
    /// A table in which each source receives at `/in/<uid>`.
    ///
    /// # Errors
    /// [`TableError`] if a name comes twice or cannot stand in a URL.
    pub fn new(sources: impl IntoIterator<Item = SourceRuntime>) -> Result<Self, TableError> {
        let mut table = Self::default();
        for source in sources {
            table.insert(source.uid.clone(), Arc::new(source))?;
        }
        Ok(table)
    }

    /// Adds a source under a name, which may be another than its uid (a token, for instance).
    ///
    /// # Errors
    /// [`TableError`] if the name is taken or cannot stand in a URL.
    pub fn insert(&mut self, name: String, source: Arc<SourceRuntime>) -> Result<(), TableError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let dots = name.bytes().all(|byte| byte == b'.');
        if dots || name.len() > 128 || !name.bytes().all(plain) {
            return Err(TableError::Name { name });
        }
        match self.by_name.entry(name) {
            std::collections::hash_map::Entry::Occupied(taken) => {
                Err(TableError::Twice { name: taken.key().clone() })
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(source);
                Ok(())
            }
        }
    }

    /// Takes a source out under all its names.
    pub fn remove(&mut self, key: ApplicationKey) {
        self.by_name.retain(|_, source| source.key != key);
        self.unusable.retain(|source| source.key != key);
    }

    /// Takes a source out that cannot be used now; its senders are asked to come again.
    pub fn set_unusable(&mut self, source: UnusableSource) {
        self.remove(source.key);
        self.unusable.push(Arc::new(source));
    }

    /// What cannot be used now and receives under a name that no source has.
    pub(crate) fn unusable(&self, name: &str) -> Option<Unusable> {
        let named = |source: &&Arc<UnusableSource>| {
            source.names.iter().flatten().any(|known| known == name)
        };
        if let Some(source) = self.unusable.iter().find(named) {
            return Some(Unusable::Known(Arc::clone(source)));
        }
        let hidden = self.unusable.iter().any(|source| source.names.is_none());
        (hidden && !name.is_empty()).then_some(Unusable::Perhaps)
    }

    /// The source that receives under this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<SourceRuntime>> {
        self.by_name.get(name)
    }

    /// The source with this number.
    #[must_use]
    pub fn by_key(&self, key: ApplicationKey) -> Option<&Arc<SourceRuntime>> {
        self.by_name.values().find(|source| source.key == key)
    }

    /// Every source, once for each of its names.
    pub fn all(&self) -> impl Iterator<Item = &Arc<SourceRuntime>> {
        self.by_name.values()
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no source.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}
