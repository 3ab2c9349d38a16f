//! Event types as they are kept, remembered so that posting an event reads nothing, and the check of
//! payloads against their schemas.
//!
//! Invariants: what is remembered is at most [`REMEMBERED_MS`] old and is forgotten at once when this
//! process changes it; that a name is unknown is remembered too; bounded to [`TYPES_MAX`] names. A
//! schema is compiled once, when the first payload is checked against it. A refusal names places and
//! rules, never values.
//!
//! Deliberately absent: the paths that change event types (`handlers::event_types`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use becket_model::RetrySchedule;
use becket_schema::CompiledSchema;
use becket_store::{Document, DocumentKind, DocumentName, Owner, Slice, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::problem::{ApiError, Place, Result};

const REMEMBERED_MS: i64 = 5_000;
const TYPES_MAX: usize = 20_000;
const PLACES_MAX: usize = 20;
const SLICE: usize = 500;
/// The most attempts after the first that a schedule may have, and the longest wait, in seconds.
const DELAYS_MAX: usize = 50;
const DELAY_S_MAX: u64 = 30 * 24 * 3_600;

/// When deliveries of an event type are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Retry {
    /// A schedule by name.
    Named(String),
    /// The wait before each further attempt, in seconds.
    Seconds(Vec<u64>),
}

impl Retry {
    /// The schedule, or what is wrong with it.
    pub fn schedule(&self) -> Result<RetrySchedule, String> {
        match self {
            Self::Named(name) => RetrySchedule::named(name).ok_or_else(|| {
                format!(
                    "there is no schedule `{name}`; there are {}",
                    RetrySchedule::NAMES.join(", ")
                )
            }),
            Self::Seconds(seconds) if seconds.len() > DELAYS_MAX => {
                Err(format!("a schedule has at most {DELAYS_MAX} waits"))
            }
            Self::Seconds(seconds) if seconds.iter().any(|wait_s| *wait_s > DELAY_S_MAX) => {
                Err(format!("a wait has at most {DELAY_S_MAX} seconds"))
            }
            Self::Seconds(seconds) => Ok(RetrySchedule {
                delays_ms: seconds.iter().map(|wait_s| wait_s * 1_000).collect(),
            }),
        }
    }
}

/// What is kept of an event type; its name is the document's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EventTypeBody {
    pub description: String,
    pub archived: bool,
    pub deprecated: bool,
    /// JSON Schemas by version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schemas: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub feature_flags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    pub validate_payloads: bool,
}

impl EventTypeBody {
    /// Reads the body of a document.
    pub fn read(document: &Document) -> Result<Self> {
        serde_json::from_str(&document.content.body).map_err(|error| {
            let name = &document.name.name;
            ApiError::new("event_damaged", format!("event type `{name}` cannot be read: {error}"))
        })
    }

    /// The newest version: numbers, also at the end of a name, count as numbers.
    pub fn newest_version(&self) -> Option<&str> {
        let versions = self.schemas.as_ref()?.keys();
        versions.map(String::as_str).max_by_key(|version| age_of(version))
    }

    /// The schema of the newest version.
    pub fn newest_schema(&self) -> Option<&Value> {
        self.schemas.as_ref()?.get(self.newest_version()?)
    }

    /// Compiles every schema; the first that cannot be used is named with its place.
    pub fn check_schemas(&self) -> Result<()> {
        for (version, schema) in self.schemas.iter().flatten() {
            let Err(error) = CompiledSchema::compile(schema) else { continue };
            let what = error.to_string();
            let mut place = Place::new("body", "schemas", what.clone(), "schema_invalid");
            place.loc.push(version.clone());
            place.loc.extend(parts(error.at()));
            return Err(ApiError::body("schemas", what).at(vec![place]));
        }
        Ok(())
    }

    /// Whether somebody with these feature flags is shown it; `None` shows everything.
    pub fn shown_to(&self, flags: Option<&[String]>) -> bool {
        flags.is_none_or(|flags| {
            self.feature_flags.is_empty()
                || self.feature_flags.iter().any(|flag| flags.contains(flag))
        })
    }
}

/// Orders versions: `10` is newer than `9`, and `v10` than `v9`.
fn age_of(version: &str) -> (&str, usize, &str, usize) {
    let digits = version.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (front, number) = version.split_at(version.len() - digits);
    let plain = number.trim_start_matches('0');
    (front, plain.len(), plain, number.len())
}

/// The parts of a JSON pointer.
fn parts(pointer: &str) -> impl Iterator<Item = String> {
    pointer
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
}

/// The name of an event type's document.
pub(crate) fn document_name(name: &str) -> DocumentName {
    DocumentName::of_owner(DocumentKind::EventType, name)
}

/// An event type that was looked up.
#[derive(Debug)]
pub(crate) struct Known {
    pub body: EventTypeBody,
    compiled: OnceLock<Option<Arc<CompiledSchema>>>,
}

impl Known {
    /// The compiled schema of the newest version; `None` if there is none that can be used.
    fn schema(&self) -> Option<&CompiledSchema> {
        let compile = || {
            let schema = self.body.newest_schema()?;
            match CompiledSchema::compile(schema) {
                Ok(schema) => Some(Arc::new(schema)),
                // It was checked when it was stored.
                Err(error) => {
                    tracing::error!(%error, "event_type.schema_unusable");
                    None
                }
            }
        };
        self.compiled.get_or_init(compile).as_deref()
    }

    fn asks_for_checks(&self) -> bool {
        let schema = self.body.newest_schema();
        self.body.validate_payloads
            || schema.and_then(|schema| schema.get("x-validate")) == Some(&Value::Bool(true))
    }
}

#[derive(Debug, Default)]
struct OfOwner {
    types: HashMap<String, (i64, Option<Arc<Known>>)>,
    enforced: Option<(i64, bool)>,
}

/// The remembered event types.
#[derive(Debug, Default)]
pub(crate) struct EventTypes {
    remembered: Mutex<HashMap<Owner, OfOwner>>,
    /// Counts changes, so that what was read before one is not remembered after it.
    changes: AtomicU64,
}

impl EventTypes {
    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, OfOwner>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is remembered of all owners.
    pub fn forget_all(&self) {
        let mut remembered = self.lock();
        self.changes.fetch_add(1, Ordering::AcqRel);
        remembered.clear();
    }

    /// Forgets what is remembered of an owner: an event type or a setting has changed.
    pub fn forget(&self, owner: Owner) {
        let mut remembered = self.lock();
        self.changes.fetch_add(1, Ordering::AcqRel);
        remembered.remove(&owner);
    }

    /// The event type of this name; `None` if there is none.
    pub async fn find(
        &self,
        store: &dyn Store,
        owner: Owner,
        name: &str,
        now_ms: i64,
    ) -> Result<Option<Arc<Known>>> {
        if let Some((at_ms, known)) =
            self.lock().get(&owner).and_then(|of_owner| of_owner.types.get(name))
            && now_ms - at_ms < REMEMBERED_MS
        {
            return Ok(known.clone());
        }
        let changes = self.changes.load(Ordering::Acquire);
        let document = store.document_get(owner, document_name(name), now_ms).await?;
        let known = match document {
            Some(document) => {
                let body = EventTypeBody::read(&document)?;
                Some(Arc::new(Known { body, compiled: OnceLock::new() }))
            }
            None => None,
        };
        let mut remembered = self.lock();
        if self.changes.load(Ordering::Acquire) == changes {
            if remembered.values().map(|of_owner| of_owner.types.len()).sum::<usize>() >= TYPES_MAX
            {
                remembered.clear();
            }
            let of_owner = remembered.entry(owner).or_default();
            of_owner.types.insert(name.to_owned(), (now_ms, known.clone()));
        }
        Ok(known)
    }

    /// Whether the owner's settings ask for checks of all payloads.
    async fn enforced(&self, store: &dyn Store, owner: Owner, now_ms: i64) -> Result<bool> {
        let remembered = self.lock().get(&owner).and_then(|of_owner| of_owner.enforced);
        if let Some((at_ms, enforced)) = remembered
            && now_ms - at_ms < REMEMBERED_MS
        {
            return Ok(enforced);
        }
        let changes = self.changes.load(Ordering::Acquire);
        let name = DocumentName::of_owner(DocumentKind::Setting, "environment");
        let document = store.document_get(owner, name, now_ms).await?;
        let settings = document
            .and_then(|document| serde_json::from_str::<Value>(&document.content.body).ok());
        let enforced = settings.is_some_and(|settings| settings["enforceSchemas"] == true);
        let mut remembered = self.lock();
        if self.changes.load(Ordering::Acquire) == changes {
            remembered.entry(owner).or_default().enforced = Some((now_ms, enforced));
        }
        Ok(enforced)
    }

    /// Whether an event of this type may be posted with this body. An unknown type is fine unless
    /// checks are asked for; an archived one is not.
    pub async fn check(
        &self,
        store: &dyn Store,
        owner: Owner,
        (event_type, body): (&str, &[u8]),
        validate: bool,
        now_ms: i64,
    ) -> Result<()> {
        let known = self.find(store, owner, event_type, now_ms).await?;
        if known.as_ref().is_some_and(|known| known.body.archived) {
            let what = format!("the event type `{event_type}` is archived");
            return Err(ApiError::body("eventType", what).hint("create it again to unarchive it"));
        }
        let asked = validate
            || known.as_ref().is_some_and(|known| known.asks_for_checks())
            || self.enforced(store, owner, now_ms).await?;
        if !asked {
            return Ok(());
        }
        let Some(known) = known else {
            let what = format!("there is no event type `{event_type}`, and payloads are checked");
            let place = Place::new("body", "eventType", what.clone(), "unknown_event_type");
            return Err(ApiError::new("payload_invalid", what).at(vec![place]));
        };
        known.schema().map_or(Ok(()), |schema| fits(schema, event_type, body))
    }
}

fn fits(schema: &CompiledSchema, event_type: &str, body: &[u8]) -> Result<()> {
    let refused = |places: Vec<Place>| {
        let what = format!("the payload breaks the schema of `{event_type}`");
        Err(ApiError::new("payload_invalid", what)
            .hint("the schema of the newest version counts; see the event catalogue")
            .at(places))
    };
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return refused(vec![Place::new("body", "payload", "is not JSON", "json")]);
    };
    let violations = schema.violations(&value, PLACES_MAX);
    if violations.is_empty() {
        return Ok(());
    }
    let place = |violation: becket_schema::Violation| {
        let mut place = Place::new("body", "payload", violation.message, &violation.rule);
        place.loc.extend(parts(&violation.path));
        place
    };
    refused(violations.into_iter().map(place).collect())
}

/// An owner's event types by name, all of them, archived ones included, each with the moment of its
/// last change.
pub(crate) async fn all(
    store: &dyn Store,
    owner: Owner,
    now_ms: i64,
) -> Result<Vec<(String, EventTypeBody, i64)>> {
    let documents = documents(store, owner, now_ms).await?;
    let read = |document: Document| {
        let body = EventTypeBody::read(&document)?;
        Ok((document.name.name, body, document.updated_at_ms))
    };
    documents.into_iter().map(read).collect()
}

/// The documents of an owner's event types, by name.
pub(crate) async fn documents(
    store: &dyn Store,
    owner: Owner,
    now_ms: i64,
) -> becket_store::Result<Vec<Document>> {
    let mut found: Vec<Document> = Vec::new();
    loop {
        let after = found.last().map(|document| document.name.name.clone());
        let slice = Slice { limit: SLICE, after, descending: false };
        let documents =
            store.document_list(owner, DocumentKind::EventType, None, slice, now_ms).await?;
        let more = documents.len() == SLICE;
        found.extend(documents);
        if !more {
            return Ok(found);
        }
    }
}

/// The retry schedules that an owner's event types have, by the type's name: what the engine is
/// told when the gateway starts, and after every change. One that cannot be read is logged and left
/// out.
///
/// # Errors
/// When the store cannot list them.
pub async fn load_retry_by_type(
    store: &dyn Store,
    owner: Owner,
    now_ms: i64,
) -> becket_store::Result<HashMap<String, RetrySchedule>> {
    let mut schedules = HashMap::new();
    for document in documents(store, owner, now_ms).await? {
        let schedule = EventTypeBody::read(&document)
            .map_err(|error| error.to_string())
            .and_then(|body| body.retry.map(|retry| retry.schedule()).transpose());
        match schedule {
            Ok(Some(schedule)) => {
                schedules.insert(document.name.name, schedule);
            }
            Ok(None) => {}
            Err(error) => {
                let name = &document.name.name;
                tracing::error!(owner = owner.number(), event_type = %name, %error, "event_type.no_schedule");
            }
        }
    }
    Ok(schedules)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_version_is_the_highest_number() {
        let body = |schemas: Value| EventTypeBody {
            schemas: schemas.as_object().cloned(),
            ..EventTypeBody::default()
        };
        let many = body(json!({ "2": { "title": "b" }, "10": { "title": "c" }, "09": {} }));
        assert_eq!(many.newest_schema().unwrap()["title"], "c");
        assert_eq!(body(json!({ "v2": {}, "v10": {} })).newest_version(), Some("v10"));
        assert!(body(json!({})).newest_schema().is_none());
        let wrong = body(json!({ "1": { "type": "strange" } }));
        assert!(wrong.check_schemas().is_err());
    }

    #[test]
    fn schedules_are_checked() {
        assert!(Retry::Named("short".into()).schedule().is_ok());
        assert!(Retry::Named("weekly".into()).schedule().is_err());
        let seconds = Retry::Seconds(vec![1, 60]).schedule().unwrap();
        assert_eq!(seconds.delays_ms, [1_000, 60_000]);
        assert!(Retry::Seconds(vec![DELAY_S_MAX + 1]).schedule().is_err());
        assert!(Retry::Seconds(vec![1; DELAYS_MAX + 1]).schedule().is_err());
    }
}
