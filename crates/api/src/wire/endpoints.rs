//! The public shapes of endpoints: the same for those of applications, of sources, and those that
//! get events about the gateway itself.

use std::collections::BTreeMap;

use becket_model::attempt_detail::is_credential;
use becket_model::{EndpointSettings, EndpointState};
use becket_store::Endpoint;
use serde::{Deserialize, Serialize};

use crate::problem::{ApiError, Result};
use crate::times;
use crate::wire::applications::{checked_metadata, rate, throttle_rate};
use crate::wire::given;

/// The version shown for endpoints that have none of their own.
const VERSION_DEFAULT: u32 = 1;

/// An endpoint to be made, or to be as it says (`EndpointIn`, `EndpointUpsertIn` and theirs of
/// sources and of the gateway itself).
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointIn {
    pub url: String,
    pub description: Option<String>,
    pub uid: Option<String>,
    pub disabled: Option<bool>,
    pub event_types: Option<Vec<String>>,
    pub channels: Option<Vec<String>>,
    throttle_rate: Option<u16>,
    metadata: Option<BTreeMap<String, String>>,
    version: Option<u32>,
    pub allow_private: Option<bool>,
    pub secret: Option<String>,
    pub headers: Option<BTreeMap<String, String>>,
}

impl EndpointIn {
    /// What is set after it; what the API does not know of stays as it was.
    pub fn settings(&self, old: Option<&EndpointSettings>) -> Result<EndpointSettings> {
        let old = old.cloned().unwrap_or_default();
        Ok(EndpointSettings {
            url: self.url.clone(),
            description: self.description.clone().unwrap_or_default(),
            event_types: self.event_types.clone(),
            channels: self.channels.clone(),
            rate: rate(self.throttle_rate),
            metadata: checked_metadata(self.metadata.clone().unwrap_or_default())?,
            version: self.version.or(old.version),
            ..old
        })
    }
}

/// A change of an endpoint (`EndpointPatch`): what is absent stays.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointPatch {
    url: Option<String>,
    description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub uid: Option<Option<String>>,
    pub disabled: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    event_types: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "given")]
    channels: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "given")]
    throttle_rate: Option<Option<u16>>,
    metadata: Option<BTreeMap<String, String>>,
    version: Option<u32>,
    pub allow_private: Option<bool>,
}

impl EndpointPatch {
    /// What is set after it.
    pub fn settings(&self, old: &EndpointSettings) -> Result<EndpointSettings> {
        let mut settings = old.clone();
        let replace = |place: &mut String, text: &Option<String>| {
            if let Some(text) = text {
                place.clone_from(text);
            }
        };
        replace(&mut settings.url, &self.url);
        replace(&mut settings.description, &self.description);
        if let Some(event_types) = &self.event_types {
            settings.event_types.clone_from(event_types);
        }
        if let Some(channels) = &self.channels {
            settings.channels.clone_from(channels);
        }
        if let Some(throttle_rate) = self.throttle_rate {
            settings.rate = rate(throttle_rate);
        }
        if let Some(metadata) = &self.metadata {
            settings.metadata = checked_metadata(metadata.clone())?;
        }
        settings.version = self.version.or(settings.version);
        if settings.url.is_empty() {
            return Err(ApiError::body("url", "must not be empty"));
        }
        Ok(settings)
    }
}

/// What all shapes of an endpoint have (`IngestEndpointOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointOut {
    id: String,
    uid: Option<String>,
    url: String,
    description: String,
    disabled: bool,
    throttle_rate: Option<u16>,
    metadata: BTreeMap<String, String>,
    created_at: String,
    updated_at: String,
}

impl EndpointOut {
    pub fn new(endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id.to_string(),
            uid: endpoint.uid.clone(),
            url: endpoint.settings.url.clone(),
            description: endpoint.settings.description.clone(),
            disabled: matches!(endpoint.state, EndpointState::Disabled | EndpointState::Removed),
            throttle_rate: throttle_rate(endpoint.settings.rate),
            metadata: endpoint.settings.metadata.clone(),
            created_at: times::text(endpoint.created_at_ms),
            updated_at: times::text(endpoint.updated_at_ms),
        }
    }
}

/// An endpoint with its filters and what we add (`EndpointOut`, `OperationalWebhookEndpointOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FullEndpointOut {
    #[serde(flatten)]
    endpoint: EndpointOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<String>>,
    version: u32,
    state: &'static str,
    allow_private: bool,
}

impl FullEndpointOut {
    pub fn new(endpoint: &Endpoint) -> Self {
        Self {
            endpoint: EndpointOut::new(endpoint),
            event_types: endpoint.settings.event_types.clone(),
            channels: endpoint.settings.channels.clone(),
            version: endpoint.settings.version.unwrap_or(VERSION_DEFAULT),
            state: endpoint.state.as_str(),
            allow_private: endpoint.settings.allow_private,
        }
    }
}

/// The headers added to every attempt (`EndpointHeadersOut`); of credentials only the names.
#[derive(Debug, Serialize)]
pub(crate) struct HeadersOut {
    headers: BTreeMap<String, String>,
    sensitive: Vec<String>,
}

impl HeadersOut {
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut shown = Self { headers: BTreeMap::new(), sensitive: Vec::new() };
        for (name, value) in headers {
            if !is_credential(&name.to_ascii_lowercase()) {
                shown.headers.insert(name, value);
            } else if !shown.sensitive.contains(&name) {
                shown.sensitive.push(name);
            }
        }
        shown
    }
}

/// Headers that replace all (`EndpointHeadersIn`).
#[derive(Deserialize)]
pub(crate) struct HeadersIn {
    pub headers: BTreeMap<String, String>,
}

/// Headers that replace some (`EndpointHeadersPatchIn`); null takes one away.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeadersPatchIn {
    pub headers: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub delete_headers: Vec<String>,
}

/// A secret (`EndpointSecretOut`).
#[derive(Serialize)]
pub(crate) struct SecretOut {
    /// As the receiver needs it.
    pub key: String,
}

/// What a rotation may be given (`EndpointSecretRotateIn`).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RotateIn {
    pub key: Option<String>,
    pub grace_period_seconds: Option<u64>,
}

/// The transformation of an endpoint (`EndpointTransformationOut`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransformationOut {
    #[serde(flatten)]
    pub secret: TransformationSecret,
    pub enabled: bool,
    pub updated_at: Option<String>,
}

/// What is sealed of a transformation: programs and variables may hold credentials.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TransformationSecret {
    pub code: Option<String>,
    pub variables: Option<BTreeMap<String, String>>,
}

/// A change of a transformation (`EndpointTransformationPatch`): what is absent stays.
#[derive(Deserialize)]
pub(crate) struct TransformationPatch {
    #[serde(default, deserialize_with = "given")]
    pub code: Option<Option<String>>,
    pub enabled: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    pub variables: Option<Option<BTreeMap<String, String>>>,
}
