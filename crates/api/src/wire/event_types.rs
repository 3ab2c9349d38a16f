//! The public shapes of event types, with what we add: `retry` and `validatePayloads`.

use becket_store::Document;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event_types::{EventTypeBody, Retry};
use crate::problem::Result;
use crate::times;
use crate::wire::given;

/// An event type (`EventTypeOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventTypeOut {
    pub name: String,
    description: String,
    archived: bool,
    deprecated: bool,
    schemas: Option<Map<String, Value>>,
    feature_flags: Option<Vec<String>>,
    /// The first flag, for clients that know one.
    feature_flag: Option<String>,
    group_name: Option<String>,
    retry: Option<Retry>,
    validate_payloads: bool,
    created_at: String,
    updated_at: String,
}

impl EventTypeOut {
    pub fn new(document: &Document, with_content: bool) -> Result<Self> {
        let body = EventTypeBody::read(document)?;
        Ok(Self {
            name: document.name.name.clone(),
            description: body.description,
            archived: body.archived,
            deprecated: body.deprecated,
            schemas: body.schemas.filter(|_| with_content),
            feature_flag: body.feature_flags.first().cloned(),
            feature_flags: Some(body.feature_flags).filter(|flags| !flags.is_empty()),
            group_name: body.group_name,
            retry: body.retry,
            validate_payloads: body.validate_payloads,
            created_at: times::text(document.created_at_ms),
            updated_at: times::text(document.updated_at_ms),
        })
    }
}

/// Everything about an event type but its name (`EventTypeUpsertIn`, `EventTypeIn`). What the
/// specification does not know (`retry`, `validatePayloads`) stays if it is absent, since its callers
/// cannot have meant to change it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EventTypeIn {
    pub name: Option<String>,
    description: Option<String>,
    archived: Option<bool>,
    deprecated: Option<bool>,
    schemas: Option<Map<String, Value>>,
    feature_flags: Option<Vec<String>>,
    group_name: Option<String>,
    #[serde(deserialize_with = "given")]
    retry: Option<Option<Retry>>,
    validate_payloads: Option<bool>,
}

impl EventTypeIn {
    /// The event type as it says, in the place of what was there before, if anything was.
    pub fn body(&self, old: Option<&EventTypeBody>) -> EventTypeBody {
        let kept_retry = || old.and_then(|old| old.retry.clone());
        let kept_checks = || old.is_some_and(|old| old.validate_payloads);
        EventTypeBody {
            description: self.description.clone().unwrap_or_default(),
            archived: self.archived.unwrap_or_default(),
            deprecated: self.deprecated.unwrap_or_default(),
            schemas: self.schemas.clone(),
            feature_flags: self.feature_flags.clone().unwrap_or_default(),
            group_name: self.group_name.clone(),
            retry: self.retry.clone().unwrap_or_else(kept_retry),
            validate_payloads: self.validate_payloads.unwrap_or_else(kept_checks),
        }
    }
}

/// A change of an event type (`EventTypePatch`): what is absent stays, null takes away.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EventTypePatch {
    description: Option<String>,
    archived: Option<bool>,
    deprecated: Option<bool>,
    #[serde(deserialize_with = "given")]
    schemas: Option<Option<Map<String, Value>>>,
    #[serde(deserialize_with = "given")]
    feature_flags: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "given")]
    group_name: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    retry: Option<Option<Retry>>,
    validate_payloads: Option<bool>,
}

impl EventTypePatch {
    pub fn apply(&self, body: &mut EventTypeBody) {
        fn set<T: Clone>(place: &mut T, given: Option<&T>) {
            if let Some(given) = given {
                place.clone_from(given);
            }
        }
        set(&mut body.description, self.description.as_ref());
        set(&mut body.archived, self.archived.as_ref());
        set(&mut body.deprecated, self.deprecated.as_ref());
        set(&mut body.schemas, self.schemas.as_ref());
        set(&mut body.group_name, self.group_name.as_ref());
        set(&mut body.retry, self.retry.as_ref());
        set(&mut body.validate_payloads, self.validate_payloads.as_ref());
        if let Some(flags) = &self.feature_flags {
            body.feature_flags = flags.clone().unwrap_or_default();
        }
    }
}
