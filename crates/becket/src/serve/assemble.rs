//! Makes what is configured and what is stored into what runs: sources to receive with, endpoints
//! to deliver to.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_egress::policy::AddressPolicy;
use becket_engine::EndpointRuntime;
use becket_ingress::{
    CompiledSchema, DedupeRules, OnInvalid, PayloadPath, Rules, SourceRuntime, SourceTable, Target,
};
use becket_model::{EndpointId, EndpointState, Noise, Origin, SourceId};
use becket_signature::standard_webhooks::SigningKey;
use becket_signature::{Ack, Entry, EntryError, Verifier, VerifierOptions};
use becket_store::vault::Vault;
use becket_store::{
    ConfigSnapshot, Endpoint, EndpointDeclaration, Owner, SourceDeclaration, StoreError,
};

use super::ServeError;
use crate::config::{self, Config};

/// What an endpoint's secret is sealed for; it opens nowhere else.
pub(super) fn secret_place(endpoint: EndpointId) -> String {
    format!("endpoint/{endpoint}/secret")
}

/// What the file declares, with fresh ids and secrets for whatever is new.
pub(super) fn declarations(
    sources: &[config::Source],
    vault: &Vault,
    noise: &dyn Noise,
    now_ms: i64,
) -> Result<Vec<SourceDeclaration>, StoreError> {
    let mut declared = Vec::with_capacity(sources.len());
    for source in sources {
        let mut tail = [0; 10];
        noise.fill(&mut tail);
        let mut endpoints = Vec::with_capacity(source.endpoints.len());
        for endpoint in &source.endpoints {
            let mut tail = [0; 14];
            noise.fill(&mut tail);
            let id = EndpointId::new(now_ms, tail);
            let mut settings = endpoint.settings();
            // Values of headers may be secrets and the file has them: the store need not.
            settings.headers.iter_mut().for_each(|(_, value)| value.clear());
            endpoints.push(EndpointDeclaration {
                uid: endpoint.id.clone(),
                settings,
                id,
                secret: fresh_secret(vault, noise, id)?,
            });
        }
        declared.push(SourceDeclaration {
            uid: source.id.clone(),
            provider: source.provider.clone(),
            id: SourceId::new(now_ms, tail),
            endpoints,
        });
    }
    Ok(declared)
}

fn fresh_secret(
    vault: &Vault,
    noise: &dyn Noise,
    endpoint: EndpointId,
) -> Result<Vec<u8>, StoreError> {
    let mut random = [0; 32];
    noise.fill(&mut random);
    seal_secret(vault, noise, endpoint, &SigningKey::generate(random).expose())
}

/// Seals an endpoint's secret for the store.
pub(super) fn seal_secret(
    vault: &Vault,
    noise: &dyn Noise,
    endpoint: EndpointId,
    secret: &str,
) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0; 24];
    noise.fill(&mut nonce);
    vault.seal(&secret_place(endpoint), secret.as_bytes(), nonce)
}

/// The table to receive with. A source that the store does not know yet is left out; declaring
/// comes first.
pub(super) fn source_table(
    config: &Config,
    sources: &[config::Source],
    snapshot: &ConfigSnapshot,
) -> Result<SourceTable, ServeError> {
    let mut table = SourceTable::default();
    for source in sources {
        let failed = |detail: String| ServeError::Source { source_id: source.id.clone(), detail };
        let Some(known) =
            snapshot.sources.iter().find(|known| known.uid == source.id && !known.removed)
        else {
            continue;
        };
        let entry = config
            .entry_of(source)
            .ok_or_else(|| failed(format!("there is no provider `{}`", source.provider)))?;
        let verifier = receiving_verifier(source, Arc::clone(&entry))
            .map_err(|error| failed(error.to_string()))?;
        let targets = snapshot
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.application == known.key)
            .map(|endpoint| Target {
                key: endpoint.key,
                state: endpoint.state,
                settings: Arc::new(endpoint.settings.clone()),
            })
            .collect();
        let runtime = Arc::new(SourceRuntime {
            key: known.key,
            owner: Owner::MAIN,
            uid: source.id.clone(),
            verifier,
            rules: rules(source, &entry).map_err(failed)?,
            entry,
            public_url: config.public_url_of(source),
            targets,
        });
        let twice = |error: becket_ingress::TableError| failed(error.to_string());
        // By its name, and by its id, which stays when the name changes.
        table.insert(source.id.clone(), Arc::clone(&runtime)).map_err(twice)?;
        table.insert(known.id.to_string(), runtime).map_err(twice)?;
    }
    Ok(table)
}

/// Verifies requests whose full public URL, with what stands below the source's path, is given
/// with each of them.
pub(super) fn receiving_verifier(
    source: &config::Source,
    entry: Arc<Entry>,
) -> Result<Verifier, EntryError> {
    let (max_age_s, max_future_s) = source.tolerance_s();
    let options = VerifierOptions { public_url: None, max_age_s, max_future_s };
    Verifier::new(entry, &source.credentials_for_verifier(), &options)
}

fn rules(source: &config::Source, entry: &Entry) -> Result<Rules, String> {
    let ms =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let compile = |schema: &config::BodySchema| {
        CompiledSchema::compile(&schema.schema).map(Arc::new).map_err(|error| error.to_string())
    };
    let mut rules = Rules::for_entry(entry);
    if let Some(limit) = &source.body_limit {
        rules.body_limit_bytes = limit.0;
    }
    rules.methods = source
        .methods
        .iter()
        .map(|method| http::Method::from_bytes(method.as_str().as_bytes()))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    rules.rate = source.rate_limit;
    rules.allow_networks = source.allow_ips.clone();
    rules.event_types = source.event_types.clone();
    rules.required = source
        .required
        .iter()
        .map(|path| path.parse::<PayloadPath>())
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    rules.schema = source.schema.as_ref().map(compile).transpose()?;
    rules.schemas = source
        .schemas
        .iter()
        .map(|(event_type, schema)| Ok((event_type.clone(), compile(schema)?)))
        .collect::<Result<BTreeMap<_, _>, String>>()?;
    rules.on_invalid = match source.on_invalid {
        config::OnInvalid::Reject => OnInvalid::Reject { status: source.invalid_status },
        config::OnInvalid::Accept => OnInvalid::Accept,
    };
    // Another place of the delivery id is in the entry already (`Config::entry_of`).
    rules.dedupe = DedupeRules {
        enabled: source.dedupe.enabled,
        id_window_ms: ms(source.dedupe.window),
        hash_window_ms: ms(source.dedupe.hash_window),
        id_at: None,
    };
    rules.ack = source.ack.as_ref().map(|ack| Ack {
        status: ack.status,
        content_type: ack.content_type.clone(),
        body: ack.body.clone(),
    });
    Ok(rules)
}

/// The endpoints to deliver to. Those of the file take headers and secret from it.
pub(super) fn endpoint_runtimes(
    config: &Config,
    sources: &[config::Source],
    snapshot: &ConfigSnapshot,
    vault: &Vault,
) -> Result<Vec<EndpointRuntime>, ServeError> {
    let operator = Arc::new(AddressPolicy::operator());
    let public = Arc::new(public_policy(config));
    let mut list = Vec::new();
    for endpoint in &snapshot.endpoints {
        if endpoint.state == EndpointState::Removed {
            continue;
        }
        let source = snapshot.sources.iter().find(|known| known.key == endpoint.application);
        let declared = source
            .and_then(|known| sources.iter().find(|declared| declared.id == known.uid))
            .and_then(|declared| declared.endpoints.iter().find(|one| one.id == endpoint.uid));
        let settings =
            declared.map_or_else(|| endpoint.settings.clone(), config::Endpoint::settings);
        let policy = match endpoint.origin {
            Origin::File => &operator,
            Origin::Api if settings.allow_private => &operator,
            Origin::Api => &public,
        };
        list.push(EndpointRuntime {
            key: endpoint.key,
            id: endpoint.id,
            application: endpoint.application,
            source_uid: source.map(|known| known.uid.clone()).unwrap_or_default(),
            owner: Owner::MAIN,
            target: policy.check_url(&settings.url).map(Arc::new),
            settings: Arc::new(settings),
            state: endpoint.state,
            failing_since_ms: endpoint.failing_since_ms,
            signing_keys: signing_keys(endpoint, declared, vault)?,
            policy: Arc::clone(policy),
        });
    }
    Ok(list)
}

fn public_policy(config: &Config) -> AddressPolicy {
    let own_hosts: Vec<String> = config
        .server
        .public_url
        .iter()
        .filter_map(|url| http::Uri::try_from(url.as_str()).ok())
        .filter_map(|url| url.host().map(str::to_owned))
        .collect();
    AddressPolicy::public(
        &config.egress.allow_networks,
        &config.egress.denied_ports,
        &own_hosts,
        config.egress.nat64_prefix,
    )
}

/// The keys that sign: the file's, or the stored ones, each until its end.
fn signing_keys(
    endpoint: &Endpoint,
    declared: Option<&config::Endpoint>,
    vault: &Vault,
) -> Result<Vec<(SigningKey, Option<i64>)>, ServeError> {
    let wrong = |detail: String| ServeError::Source { source_id: endpoint.uid.clone(), detail };
    if let Some(text) = declared
        .and_then(|declared| declared.signing_secret().transpose())
        .transpose()
        .map_err(|error| wrong(error.to_string()))?
    {
        let key = SigningKey::parse(&text).map_err(|error| wrong(error.to_string()))?;
        return Ok(vec![(key, None)]);
    }
    endpoint
        .secrets
        .iter()
        .map(|secret| {
            let opened = vault.open(&secret_place(endpoint.id), &secret.envelope)?;
            let text = std::str::from_utf8(&opened).map_err(|error| wrong(error.to_string()))?;
            let key = SigningKey::parse(text).map_err(|error| wrong(error.to_string()))?;
            Ok((key, secret.expires_at_ms))
        })
        .collect()
}
