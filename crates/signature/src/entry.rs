//! A provider as data: the format of `catalogue/*.toml` and of `[[provider]]` in `becket.toml`.
//!
//! Invariants: unknown keys are errors; nothing is computed here; everything that the interpreter does is
//! said by these fields and never by the slug. `docs/catalogue.md` explains each field with examples.
//! Checks that span fields are in `check`, the small languages inside strings in `template`.
//! Next: `scheme`, and `answers` for handshakes and acknowledgements.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::answers::{AckSpec, HandshakeRule};
use crate::error::EntryError;
use crate::scheme::{Class, Scheme};
use crate::template::{Expr, OneOrMany, Place};
use crate::verdict::Genuine;

/// How well an entry is backed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Something of the provider's own agrees with the entry; [`Proof`] says what.
    Proven,
    /// Described by the provider or by others; nothing made by the provider has been compared.
    #[default]
    Declared,
}

/// What proves a proven entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Vectors made or judged by the provider's own software.
    Sdk,
    /// A vector that the provider's own document prints.
    Document,
    /// The provider's own text describes the scheme of another proven entry (`like`).
    Shared,
}

/// One provider: how its requests are proven genuine, what they carry, and how it wants to be answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name used in configuration, `a-z0-9_-`.
    pub slug: String,
    /// The name as people write it.
    pub name: String,
    /// Whether vectors prove the entry.
    #[serde(default)]
    pub status: Status,
    /// What proves it, when it is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The slug of the proven entry with the same scheme, for the proof `shared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// Where the facts come from: package and version, or document.
    #[serde(default)]
    pub source: String,
    /// Where widely copied descriptions of this provider are wrong, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<String>,
    /// What the operator must do at the provider and what to beware of (Markdown).
    #[serde(default)]
    pub guide: String,
    /// When and how often the provider sends again, in words.
    #[serde(default)]
    pub retries: String,
    /// How long the provider waits for an answer, in milliseconds, where its own text says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// From where the provider sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ips: Option<Addresses>,
    /// The provider's own page about its webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs_url: Option<String>,
    /// The status of the answer to a request that is not genuine (400, 401 or 403).
    #[serde(default = "failure_status_default")]
    pub failure_status: u16,
    /// The answer to an accepted request, when the provider demands a certain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<AckSpec>,
    /// The largest body that the provider sends, in bytes, when it is more than the usual limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_limit_bytes: Option<u64>,
    /// What the operator must give, by name.
    #[serde(default, rename = "credential", skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<CredentialSpec>,
    /// Settings that the operator may change without writing an entry, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, ParameterSpec>,
    /// Where the JSON document is that `json:` reads; the first place that is there. The body, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<OneOrMany<Place>>,
    /// Where the event type is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<FactSpec>,
    /// Where the id is found that stays the same when the provider sends again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<FactSpec>,
    /// Whether different events come with equal bodies, as bare notifications do. A request without a delivery id is
    /// then never taken for a repeat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bodies_recur: bool,
    /// The schemes, strongest first: the first that fits and whose signature is present decides alone.
    #[serde(default, rename = "scheme")]
    pub schemes: Vec<Scheme>,
    /// Requests that are answered at once and are no events.
    #[serde(default, rename = "handshake", skip_serializing_if = "Vec::is_empty")]
    pub handshakes: Vec<HandshakeRule>,
    /// Small realistic events, for trying things out.
    #[serde(default, rename = "sample", skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// The networks from which a provider sends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// Addresses or networks (`192.0.2.0/24`) as the provider publishes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// The page where they are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The day on which they were looked up, `2026-11-22`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// A request as the provider would send it, without its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The event type that is found in it; absent when the entry finds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// The body.
    pub body: String,
    /// The body's content type.
    #[serde(default = "json_type")]
    pub content_type: String,
    /// The method.
    #[serde(default = "post")]
    pub method: String,
    /// The query, without its question mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Headers besides the content type; the event type's own header is set by itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

fn json_type() -> String {
    "application/json".to_owned()
}

fn post() -> String {
    "POST".to_owned()
}

fn failure_status_default() -> u16 {
    401
}

/// One thing the operator must give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSpec {
    /// The name by which it is given; those of kind `secret` and `public_key` go into the lists of that kind.
    pub name: String,
    /// What it is for the interpreter.
    pub kind: CredentialKind,
    /// What the provider calls it and where it is found.
    #[serde(default)]
    pub label: String,
    /// Whether verification can work without it.
    #[serde(default)]
    pub optional: bool,
}

/// The kinds of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// One of [`crate::Credentials::secrets`].
    Secret,
    /// One of [`crate::Credentials::public_keys`].
    PublicKey,
    /// A member of [`crate::Credentials::named`].
    Named,
}

/// A setting of a generic entry: a text that is written into the entry before it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterSpec {
    /// Where the value goes, as keys and indexes joined by dots: `scheme.0.signature.at`.
    pub sets: String,
    /// How the value is written there; `{}` stands for it.
    #[serde(default = "parameter_as_default", rename = "as")]
    pub written_as: String,
    /// Whether it is written as a text or as a number.
    #[serde(default)]
    pub kind: ParameterKind,
    /// What it means, which values it takes, and what holds without it.
    #[serde(default)]
    pub label: String,
}

fn parameter_as_default() -> String {
    "{}".to_owned()
}

/// How a parameter is written into the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// As a string.
    #[default]
    Text,
    /// As a whole number.
    Integer,
    /// As a list of strings, given with commas between them.
    List,
}

/// Where a fact about the event is found: the first place that yields a text wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactSpec {
    /// Places (`header:x-github-event`, `json:type`) or templates (`{json:type}.{json:action}`).
    pub at: OneOrMany<Place>,
}

impl Entry {
    /// Reads an entry and checks it. Errors name the key and, where known, line and column.
    pub fn from_toml(text: &str) -> Result<Entry, EntryError> {
        let entry: Entry = toml::from_str(text).map_err(|error| EntryError::Unreadable {
            message: error.to_string().trim_end().to_owned(),
        })?;
        entry.check()?;
        Ok(entry)
    }

    /// Reads an entry from TOML that is already parsed, and checks it.
    pub fn from_value(value: toml::Value) -> Result<Entry, EntryError> {
        let entry: Entry = value.try_into().map_err(|error| EntryError::Unreadable {
            message: error.to_string().trim_end().to_owned(),
        })?;
        entry.check()?;
        Ok(entry)
    }

    /// The name used in configuration.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The name as people write it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether vectors prove the entry.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Where the facts come from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the operator must know, in Markdown.
    pub fn guide(&self) -> &str {
        &self.guide
    }

    /// The status of the answer to a request that is not genuine.
    pub fn failure_status(&self) -> u16 {
        self.failure_status
    }

    /// The demanded answer to an accepted request.
    pub fn ack(&self) -> Option<&AckSpec> {
        self.ack.as_ref()
    }

    /// The largest body that the provider sends, in bytes, when it is more than the usual limit.
    pub fn body_limit(&self) -> Option<u64> {
        self.body_limit_bytes
    }

    /// What the operator must give.
    pub fn credentials(&self) -> &[CredentialSpec] {
        &self.credentials
    }

    /// Whether every scheme signs the body, so that a genuine request is also an unchanged one.
    pub fn signs_body(&self) -> bool {
        !self.schemes.is_empty() && self.schemes.iter().all(Scheme::signs_body)
    }

    /// The events that come with the entry, for trying things out.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Whether what made a request genuine proves anything: the class `none` lets everybody in.
    pub fn proves(&self, genuine: &Genuine) -> bool {
        let decided = self.schemes.iter().find(|scheme| scheme.label() == &*genuine.scheme);
        decided.is_some_and(|scheme| scheme.class != Class::None)
    }

    /// The optional named credentials that are compared with the request where they are given. Where the provider
    /// signs for all its customers with one key, only they keep the events of other customers out.
    pub fn pins(&self) -> impl Iterator<Item = &CredentialSpec> {
        let demanded = |name: &str| {
            self.schemes.iter().flat_map(|scheme| &scheme.require).any(|rule| {
                rule.equals
                    .variables()
                    .any(|variable| matches!(variable, Expr::Credential(wanted) if wanted == name))
            })
        };
        self.credentials.iter().filter(move |spec| {
            spec.optional && spec.kind == CredentialKind::Named && demanded(&spec.name)
        })
    }

    /// Whether the delivery id is covered by the signature; if not, whoever resends a genuine request
    /// can give it another id. `None` when there is no delivery id.
    pub fn delivery_id_is_signed(&self) -> Option<bool> {
        let fact = self.delivery_id.as_ref()?;
        Some(
            // Each place counts: the first one that is filled is taken, whoever filled it.
            fact.at.iter().all(|place| self.schemes.iter().all(|scheme| scheme.signs(place))),
        )
    }
}

/// A warning for people who read "genuine": what a valid signature of this entry does not prove.
/// `None` when every scheme signs the body.
pub fn unsigned_body_warning(entry: &Entry) -> Option<&'static str> {
    if entry.signs_body() {
        return None;
    }
    let has = |class: Class| entry.schemes.iter().any(|scheme| scheme.class == class);
    Some(if entry.schemes.is_empty() || has(Class::None) {
        "nothing is verified: anybody who knows the URL can send events"
    } else if has(Class::Token) || has(Class::Basic) {
        "the sender is recognised by a shared token only: the body is not signed, and whoever sees one request can send others"
    } else {
        "the signature does not cover the body: it shows that the sender sent something, not that this is what was sent"
    })
}
