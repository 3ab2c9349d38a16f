//! What the API asks about the running configuration.

use std::sync::Arc;

use becket_api::{
    CredentialState, DedupeSettings, Directory, EndpointSecret, ProviderCredential,
    ProviderDetails, ProviderRow, ProviderSample, RateShown, SignIn, SourceCredentials,
    SourceDetails, SourceSettings, SourceTrouble,
};
use becket_ingress::delivery_id_key;
use becket_model::{ApplicationKey, ApplicationSettings, EventRecord, Origin, Verification};
use becket_signature::{Catalogue, CredentialKind, Entry, Explanation, FactSpec, Proof, Status};
use becket_store::vault::place;
use becket_store::{Application, DedupeKey, Endpoint, StoreError};
use zeroize::Zeroizing;

use super::assemble;
use super::gateway::Gateway;
use crate::config;

impl Directory for Gateway {
    fn explain(
        &self,
        source: ApplicationKey,
        record: &EventRecord,
        received_at_ms: i64,
    ) -> Option<Explanation> {
        super::doctor::explain(self, source, record, received_at_ms)
    }

    fn public_url(&self) -> String {
        let current = self.current.load();
        match &current.loaded.config.server.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => self.local_url.clone(),
        }
    }

    fn sign_in(&self) -> Option<Arc<dyn SignIn>> {
        self.sign_in.of(self.current.load().loaded.config.oidc.as_ref())
    }

    fn audit_kept_ms(&self) -> i64 {
        let kept = self.current.load().loaded.config.audit.retention;
        i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)
    }

    fn catalogue_public(&self) -> bool {
        self.current.load().loaded.config.api.publish_event_catalogue
    }

    fn receiving_url(&self, source: &Application) -> String {
        let current = self.current.load();
        let in_force = current.sources.get(&source.key);
        let token = in_force
            .and_then(|known| known.url_tokens.first())
            .map_or_else(|| source.name(), |(token, _)| token.clone());
        let config = &current.loaded.config;
        let public = match in_force {
            Some(known) if source.origin == Origin::File => config.public_url_of(&known.rules),
            _ => assemble::public_url_at(config, &token),
        };
        public.unwrap_or_else(|| format!("{}/in/{token}", self.local_url))
    }

    fn source_details(&self, source: ApplicationKey) -> Option<SourceDetails> {
        let current = self.current.load();
        let Some(known) = current.sources.get(&source) else {
            let unusable = current.unusable.get(&source)?;
            let warning = format!(
                "{}: {}; senders get 503 and are asked to come again",
                super::doctor::UNUSABLE,
                unusable.why
            );
            return Some(SourceDetails { warnings: vec![warning], ..SourceDetails::default() });
        };
        let entry = current.loaded.config.entry_of(&known.rules)?;
        let mut warnings = Vec::new();
        if let Some(warning) = becket_signature::unsigned_body_warning(&entry) {
            warnings.push(warning.to_owned());
        }
        if known.secret_waits {
            let what = "a handshake brought a secret along that waits for you: see `becket sources secret show`";
            warnings.push(what.to_owned());
        }
        warnings.extend(super::doctor::unpinned(&entry, &known.rules));
        if known.endpoints.is_empty() {
            warnings.push("it has no endpoint: events are kept and go nowhere".to_owned());
        }
        let verification = match known.rules.verification {
            config::Verification::Enforce => Verification::Enforce,
            config::Verification::Observe => {
                warnings.insert(0, super::doctor::OBSERVES.to_owned());
                Verification::Observe
            }
        };
        Some(SourceDetails {
            verification,
            provider_name: entry.name.clone(),
            warnings,
            event_types: known.rules.event_types.clone(),
            settings: Some(settings(&known.rules)),
            credentials: credential_states(&known.rules, &entry),
        })
    }

    fn dedupe_key(&self, source: ApplicationKey, delivery_id: &str) -> Option<DedupeKey> {
        let current = self.current.load();
        let rules = &current.sources.get(&source)?.rules;
        rules.dedupe.enabled.then(|| delivery_id_key(source, delivery_id))
    }

    fn endpoint_secret(&self, endpoint: &Endpoint) -> Result<EndpointSecret, StoreError> {
        let sealed = |detail: String| StoreError::Sealed { detail };
        let current = self.current.load();
        if endpoint.origin == Origin::File
            && let Some(source) = current.sources.get(&endpoint.application)
            && let Some(declared) = source
                .rules
                .endpoints
                .iter()
                .find(|one| Some(one.id.as_str()) == endpoint.uid.as_deref())
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
        let opened = self.open(&place::endpoint_secret(endpoint.id), &newest.envelope)?;
        let text = std::str::from_utf8(&opened).map_err(|error| sealed(error.to_string()))?;
        Ok(EndpointSecret { text: text.to_owned(), declared: false })
    }

    fn seal(&self, place: &str, secret: &[u8]) -> Result<Vec<u8>, StoreError> {
        assemble::seal(&self.vault.load(), self.noise.as_ref(), place, secret)
    }

    fn open(&self, place: &str, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.vault.load().open(place, envelope)
    }

    fn source_check(
        &self,
        settings: &ApplicationSettings,
        credentials: &SourceCredentials,
    ) -> Result<(), Vec<SourceTrouble>> {
        let current = self.current.load();
        let now_ms = self.clock.now_ms();
        assemble::check_api_source(&current.loaded.config, settings, credentials, now_ms)
    }

    fn url_check(&self, url: &str, allow_private: bool) -> Result<(), String> {
        let current = self.current.load();
        let policy = match allow_private {
            true => &current.policies.operator,
            false => &current.policies.public,
        };
        policy.check_url(url).map(drop).map_err(|refused| refused.to_string())
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
        rows.extend(Catalogue::builtin().list().into_iter().map(|entry| ProviderRow {
            slug: entry.slug.to_string(),
            name: entry.name.to_string(),
            status: status_word(entry.status).to_owned(),
        }));
        rows
    }

    fn provider(&self, slug: &str) -> Option<ProviderDetails> {
        let current = self.current.load();
        let own = current.loaded.config.providers.iter().find(|own| own.0.slug == slug);
        match own {
            Some(own) => Some(details(&own.0, "own")),
            None => {
                let entry = Catalogue::builtin().get(slug)?;
                Some(details(&entry, status_word(entry.status)))
            }
        }
    }
}

/// The limits and rules of a source as the API shows them.
fn settings(rules: &config::Source) -> SourceSettings {
    let ms =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    SourceSettings {
        event_types: rules.event_types.clone(),
        rate_limit: rules
            .rate_limit
            .map(|rate| RateShown { count: rate.count, period_ms: rate.period_ms }),
        body_limit_bytes: rules.body_limit.map(|limit| limit.0),
        required: rules.required.clone(),
        schema: rules.schema.as_ref().map(|schema| (*schema.schema).clone()),
        on_invalid: rules.on_invalid.as_str(),
        dedupe: DedupeSettings {
            enabled: rules.dedupe.enabled,
            window_ms: ms(rules.dedupe.window),
            hash_window_ms: ms(rules.dedupe.hash_window),
            id: rules.dedupe.id.clone().map(String::from),
        },
        allow_ips: rules.allow_ips.iter().map(ToString::to_string).collect(),
        tolerance_ms: rules.tolerance.map(ms),
        quiet_after_ms: rules.quiet_after.map(ms),
    }
}

/// What an entry asks for, and how much of it a source has.
fn credential_states(rules: &config::Source, entry: &Entry) -> Vec<CredentialState> {
    let state = |spec: &becket_signature::CredentialSpec| {
        let count = match spec.kind {
            CredentialKind::Secret => rules.secrets.len(),
            CredentialKind::PublicKey => {
                rules.public_keys.len() + usize::from(rules.public_key.is_some())
            }
            CredentialKind::Named => usize::from(rules.credentials.contains_key(&spec.name)),
        };
        CredentialState { name: spec.name.clone(), set: count > 0, count }
    };
    entry.credentials().iter().map(state).collect()
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Proven => "proven",
        Status::Declared => "declared",
    }
}

fn details(entry: &Entry, status: &str) -> ProviderDetails {
    let places = |fact: &Option<FactSpec>| {
        fact.iter().flat_map(|fact| fact.at.iter().map(ToString::to_string)).collect()
    };
    let proof = entry.proof.map(|proof| match proof {
        Proof::Sdk => "sdk",
        Proof::Document => "document",
        Proof::Shared => "shared",
    });
    let credentials = entry.credentials.iter().map(|spec| ProviderCredential {
        name: spec.name.clone(),
        kind: match spec.kind {
            CredentialKind::Secret => "secret",
            CredentialKind::PublicKey => "public_key",
            CredentialKind::Named => "named",
        }
        .to_owned(),
        label: spec.label.clone(),
        optional: spec.optional,
    });
    let samples = entry.samples.iter().map(|sample| ProviderSample {
        event_type: sample.event_type.clone(),
        method: sample.method.clone(),
        content_type: sample.content_type.clone(),
        body: sample.body.clone(),
    });
    let parameters = entry.parameters.iter().map(|(name, spec)| (name.clone(), spec.label.clone()));
    let ips = entry.ips.clone().unwrap_or_default();
    ProviderDetails {
        slug: entry.slug.clone(),
        name: entry.name.clone(),
        status: status.to_owned(),
        proof: proof.map(str::to_owned),
        facts_from: entry.source.clone(),
        corrects: entry.corrects.clone(),
        docs_url: entry.docs_url.clone(),
        guide: entry.guide.clone(),
        retries: entry.retries.clone(),
        timeout_ms: entry.timeout_ms,
        warning: becket_signature::unsigned_body_warning(entry).map(str::to_owned),
        credentials: credentials.collect(),
        parameters: parameters.collect(),
        event_type_at: places(&entry.event_type),
        delivery_id_at: places(&entry.delivery_id),
        handshakes: entry.handshakes.iter().map(|rule| rule.name.clone()).collect(),
        networks: ips.networks,
        networks_url: ips.url,
        samples: samples.collect(),
    }
}
