//! The public shapes of sources, and what the specification's types of sources mean here: which
//! entry of the catalogue verifies them, and with what.
//!
//! A source whose provider the specification has no type for is shown as `generic-webhook`.

use std::collections::BTreeMap;

use becket_model::Origin;
use becket_store::Application;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::names::public_id;
use crate::source_state::SourceCredentials;
use crate::times;

/// The type of what has no other.
const GENERIC: &str = "generic-webhook";
/// The entry that takes what is not signed.
const UNSIGNED: &str = "none";

/// Every type of the specification that can be shown with an empty configuration.
const TYPES: &[&str] = &[
    "adobe-sign",
    "airwallex",
    "beehiiv",
    "brex",
    "checkbook",
    "clerk",
    "docusign",
    "easypost",
    "github",
    "guesty",
    "hubspot",
    "incident-io",
    "lithic",
    "meta",
    "nango",
    "nash",
    "open-ai",
    "openclaw",
    "panda-doc",
    "pleo",
    "port-io",
    "psi-fi",
    "render",
    "replicate",
    "resend",
    "rutter",
    "safebase",
    "sardine",
    "segment",
    "shopify",
    "slack",
    "stripe",
    "stych",
    "svix",
    "tailscale",
    "vapi",
    "veriff",
    "vgs",
    "zoom",
];

/// Providers that the specification calls by another name: ours, theirs. Where it only writes a
/// hyphen for our underscore nothing is said here.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("facebook", "meta"),
    ("openai", "open-ai"),
    ("pandadoc", "panda-doc"),
    ("standardwebhooks", "svix"),
    ("stytch", "stych"),
];

/// Types that are signed as Standard Webhooks, with headers that begin with `svix-`.
const SVIX_HEADERS: &[&str] = &[
    "beehiiv", "clerk", "guesty", "nash", "pleo", "psi-fi", "resend", "safebase", "sardine",
    "stych", "svix",
];

/// Types that are signed as Standard Webhooks, with headers that begin with `webhook-`.
const WEBHOOK_HEADERS: &[&str] =
    &["brex", "incident-io", "lithic", "open-ai", "render", "replicate"];

/// Types whose only credential is the sender's public key.
const BY_PUBLIC_KEY: &[&str] = &["orum-io", "telnyx"];

/// A source to be made, or to be as it says (`IngestSourceIn`).
#[derive(Clone, Deserialize)]
pub(crate) struct SourceIn {
    pub name: String,
    pub uid: Option<String>,
    pub metadata: Option<BTreeMap<String, String>>,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    config: Map<String, Value>,
}

impl SourceIn {
    /// Which entry of the catalogue verifies it and with what; `known` tells the catalogue's slugs.
    ///
    /// # Errors
    /// Why it cannot be verified, for people.
    pub fn verified(
        &self,
        known: impl Fn(&str) -> bool,
    ) -> Result<(String, SourceCredentials), String> {
        let kind = self.kind.as_str();
        let mut credentials = SourceCredentials::default();
        if kind == "cron" {
            return Err("events on a schedule cannot be made yet".to_owned());
        }
        let own = OTHER_NAMES.iter().find(|(_, theirs)| *theirs == kind);
        let own = own.map_or_else(|| kind.replace('-', "_"), |(ours, _)| (*ours).to_owned());
        let own = own.as_str();
        let secret = self.config.get("secret").and_then(Value::as_str);
        // Without a secret there is nothing to compare a signature with: only the URL is secret.
        let unsigned = kind == GENERIC || (secret.is_none() && self.may_be_unsigned());
        let slug = match kind {
            _ if unsigned => UNSIGNED,
            "svix" => kind,
            _ if known(own) => own,
            _ if SVIX_HEADERS.contains(&kind) => "svix",
            _ if WEBHOOK_HEADERS.contains(&kind) => "standardwebhooks",
            _ => return Err(format!("the catalogue has no entry for `{kind}` yet")),
        };
        if unsigned {
            return Ok((slug.to_owned(), credentials));
        }
        if BY_PUBLIC_KEY.contains(&kind) {
            credentials.public_key = self.text("publicKey");
        }
        credentials.secrets.extend(secret.map(str::to_owned));
        for (theirs, ours) in [("verifyToken", "verify_token"), ("clientId", "client_id")] {
            let value = self.text(theirs).map(|value| (ours.to_owned(), value));
            credentials.credentials.extend(value);
        }
        if let Some(grace_s) = self.config.get("timestampGraceSeconds").and_then(Value::as_u64) {
            credentials.credentials.insert("max_age_s".to_owned(), grace_s.to_string());
        }
        Ok((slug.to_owned(), credentials))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.config.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// Whether the specification lets this type go without a secret.
    fn may_be_unsigned(&self) -> bool {
        ["docusign", "easypost", "github", "hubspot", "segment"].contains(&self.kind.as_str())
    }
}

/// A source (`IngestSourceOut`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceOut {
    id: String,
    uid: Option<String>,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Value>,
    ingest_url: String,
    metadata: BTreeMap<String, String>,
    created_at: String,
    updated_at: String,
}

/// Whether showing a source takes its credentials, for the public ones among them.
pub(crate) fn shows_credentials(source: &Application) -> bool {
    BY_PUBLIC_KEY.contains(&source.settings.source_type.as_str())
}

impl SourceOut {
    /// `public_key` is the one that it verifies with, if [`shows_credentials`].
    pub fn new(source: &Application, ingest_url: String, public_key: Option<String>) -> Self {
        let settings = &source.settings;
        let mut metadata = settings.metadata.clone();
        if source.origin == Origin::File {
            metadata.insert("provider".to_owned(), settings.provider.clone());
        }
        let kind = shown_type(source);
        let config = match kind {
            GENERIC => None,
            _ if BY_PUBLIC_KEY.contains(&kind) => {
                Some(json!({ "publicKey": public_key.unwrap_or_default() }))
            }
            _ => Some(json!({})),
        };
        Self {
            id: public_id(source),
            uid: source.uid.clone(),
            name: Some(settings.name.clone())
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| source.name()),
            kind: kind.to_owned(),
            config,
            ingest_url,
            metadata,
            created_at: times::text(source.created_at_ms),
            updated_at: times::text(source.updated_at_ms),
        }
    }
}

/// What the specification calls a source's kind.
fn shown_type(source: &Application) -> &str {
    let settings = &source.settings;
    if !settings.source_type.is_empty() {
        return &settings.source_type;
    }
    let theirs = OTHER_NAMES.iter().find(|(ours, _)| *ours == settings.provider);
    let theirs = theirs
        .map_or_else(|| settings.provider.replace('_', "-"), |(_, theirs)| (*theirs).to_owned());
    TYPES.iter().find(|known| **known == theirs).copied().unwrap_or(GENERIC)
}

/// A new receiving URL (`RotateTokenOut`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RotateTokenOut {
    pub ingest_url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(body: Value) -> Result<(String, SourceCredentials), String> {
        let source: SourceIn = serde_json::from_value(body).unwrap();
        source.verified(|slug| {
            ["github", "facebook", "telnyx", "clerk", "openai", "port_io"].contains(&slug)
        })
    }

    #[test]
    fn types_lead_to_entries() {
        for (kind, slug) in [
            ("github", "github"),
            ("clerk", "clerk"),
            ("open-ai", "openai"),
            ("port-io", "port_io"),
            ("brex", "standardwebhooks"),
            ("pleo", "svix"),
            ("svix", "svix"),
        ] {
            let body = json!({ "name": "it", "type": kind, "config": { "secret": "s" } });
            let (found, credentials) = verified(body).unwrap();
            assert_eq!((found.as_str(), &credentials.secrets[..]), (slug, &["s".to_owned()][..]));
        }
        for body in [
            json!({ "name": "it", "type": "generic-webhook" }),
            json!({ "name": "it", "type": "github", "config": { "secret": null } }),
        ] {
            assert_eq!(verified(body).unwrap(), ("none".to_owned(), SourceCredentials::default()));
        }
        let config = json!({ "secret": "s", "verifyToken": "t" });
        let (slug, meta) =
            verified(json!({ "name": "it", "type": "meta", "config": config })).unwrap();
        assert_eq!((slug.as_str(), meta.credentials["verify_token"].as_str()), ("facebook", "t"));
        let config = json!({ "publicKey": "k" });
        let (_, telnyx) =
            verified(json!({ "name": "it", "type": "telnyx", "config": config })).unwrap();
        assert_eq!(telnyx.public_key.as_deref(), Some("k"));
        for kind in ["cron", "vgs"] {
            let body = json!({ "name": "it", "type": kind, "config": { "secret": "hidden" } });
            assert!(!verified(body).unwrap_err().contains("hidden"));
        }
    }
}
