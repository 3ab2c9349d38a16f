//! The public shapes of applications and of the integrations that act for them.

use std::collections::BTreeMap;

use becket_model::{ApplicationSettings, Rate};
use becket_store::{Application, Document};
use serde::{Deserialize, Serialize};

use crate::problem::{ApiError, Result};
use crate::times;
use crate::wire::given;

/// The most bytes of names and values that `metadata` may have.
const METADATA_BYTES_MAX: usize = 16 * 1024;

/// An application to be made, or to be as it says (`ApplicationIn`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationIn {
    pub name: String,
    pub uid: Option<String>,
    throttle_rate: Option<u16>,
    metadata: Option<BTreeMap<String, String>>,
    validate_payloads: Option<bool>,
}

impl ApplicationIn {
    /// What is set by it. What the specification does not know stays as it was (`old`), since its
    /// callers cannot have meant to change it.
    pub fn settings(&self, old: Option<&ApplicationSettings>) -> Result<ApplicationSettings> {
        let validated_before = old.is_some_and(|old| old.validate_payloads);
        Ok(ApplicationSettings {
            name: self.name.clone(),
            metadata: checked_metadata(self.metadata.clone().unwrap_or_default())?,
            rate: rate(self.throttle_rate),
            validate_payloads: self.validate_payloads.unwrap_or(validated_before),
            ..ApplicationSettings::default()
        })
    }
}

/// A change of an application (`ApplicationPatch`): what is absent stays.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationPatch {
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub uid: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    throttle_rate: Option<Option<u16>>,
    metadata: Option<BTreeMap<String, String>>,
    validate_payloads: Option<bool>,
}

impl ApplicationPatch {
    /// What is set after it.
    pub fn applied(self, old: &ApplicationSettings) -> Result<ApplicationSettings> {
        let mut settings = old.clone();
        if let Some(name) = self.name {
            if name.is_empty() {
                return Err(ApiError::body("name", "must not be empty"));
            }
            settings.name = name;
        }
        if let Some(throttle_rate) = self.throttle_rate {
            settings.rate = rate(throttle_rate);
        }
        if let Some(metadata) = self.metadata {
            settings.metadata = checked_metadata(metadata)?;
        }
        settings.validate_payloads = self.validate_payloads.unwrap_or(settings.validate_payloads);
        Ok(settings)
    }
}

/// An application (`ApplicationOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationOut {
    id: String,
    uid: Option<String>,
    name: String,
    throttle_rate: Option<u16>,
    metadata: BTreeMap<String, String>,
    validate_payloads: bool,
    created_at: String,
    updated_at: String,
}

impl ApplicationOut {
    pub fn new(application: &Application) -> Self {
        let settings = &application.settings;
        Self {
            id: application.id.to_string(),
            uid: application.uid.clone(),
            name: settings.name.clone(),
            throttle_rate: throttle_rate(settings.rate),
            metadata: settings.metadata.clone(),
            validate_payloads: settings.validate_payloads,
            created_at: times::text(application.created_at_ms),
            updated_at: times::text(application.updated_at_ms),
        }
    }
}

/// Metadata that is not too large to be kept in memory.
pub(crate) fn checked_metadata(
    metadata: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        let what = format!("has {bytes} bytes, more than {METADATA_BYTES_MAX}");
        return Err(ApiError::body("metadata", what));
    }
    Ok(metadata)
}

/// The rate of so many a second; 0 is none.
pub(crate) fn rate(throttle_rate: Option<u16>) -> Option<Rate> {
    throttle_rate.filter(|count| *count > 0).map(|count| Rate::per_second(u32::from(count)))
}

/// A rate as so many a second; slower ones than one a second cannot be told.
pub(crate) fn throttle_rate(rate: Option<Rate>) -> Option<u16> {
    let rate = rate?;
    let per_second = u64::from(rate.count) * 1_000 / rate.period_ms.max(1);
    u16::try_from(per_second).ok().filter(|rate| *rate > 0)
}

/// An integration to be made or changed (`IntegrationIn`, `IntegrationUpdate`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntegrationIn {
    pub name: String,
    pub feature_flags: Option<Vec<String>>,
}

/// What is kept of an integration.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct IntegrationBody {
    pub name: String,
    pub feature_flags: Vec<String>,
    /// The id of the token that is its key, if it has one.
    pub token: Option<String>,
}

/// An integration (`IntegrationOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntegrationOut {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    feature_flags: Vec<String>,
    created_at: String,
    updated_at: String,
}

impl IntegrationOut {
    pub fn new(document: &Document, body: IntegrationBody) -> Self {
        Self {
            id: document.name.name.clone(),
            name: body.name,
            feature_flags: body.feature_flags,
            created_at: times::text(document.created_at_ms),
            updated_at: times::text(document.updated_at_ms),
        }
    }
}

/// The key of an integration (`IntegrationKeyOut`).
#[derive(Serialize)]
pub(crate) struct IntegrationKeyOut {
    pub key: String,
}
