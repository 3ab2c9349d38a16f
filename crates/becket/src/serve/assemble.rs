//! Makes what is configured and what is stored into what runs: sources to receive with, endpoints
//! to deliver to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use becket_api::{SourceCredentials, SourceTrouble};
use becket_egress::policy::AddressPolicy;
use becket_engine::EndpointRuntime;
use becket_ingress::{
    CompiledSchema, DedupeRules, OnInvalid, PayloadPath, Rules, SourceRuntime, SourceTable, Target,
    UnusableSource,
};
use becket_model::{
    ApplicationId, ApplicationSettings, EndpointId, EndpointKind, EndpointSettings, Noise, Origin,
    RetrySchedule, Verification,
};
use becket_signature::standard_webhooks::SigningKey;
use becket_signature::{Ack, Entry, EntryError, Verifier, VerifierOptions};
use becket_store::vault::{Vault, place};
use becket_store::{
    Application, Endpoint, EndpointDeclaration, Owner, SourceDeclaration, StoreError,
};

use super::ServeError;
use super::gateway::{Current, SourceInForce};
use super::outside;
use crate::config::{self, Config};

/// What the URLs of endpoints may lead to.
pub(super) struct Policies {
    /// Of the operator's file, or of an endpoint that an operator trusted.
    pub(super) operator: Arc<AddressPolicy>,
    /// Of everything else.
    pub(super) public: Arc<AddressPolicy>,
}

/// Where an endpoint stands.
pub(super) struct Setting<'s> {
    pub(super) owner: Owner,
    /// Its source, if its application is one.
    pub(super) source: Option<&'s SourceInForce>,
    pub(super) policies: &'s Policies,
    pub(super) registry: &'s super::registry::Registry,
    pub(super) retries: Arc<HashMap<String, RetrySchedule>>,
    pub(super) acts: &'s super::act::Actions,
    pub(super) transforms: &'s super::transforms::Transforms,
    pub(super) public_url: Option<String>,
}

/// The sources that a configuration declares: the demo's if it has none, and the one that carries
/// alerts.
pub(super) fn declared(config: &Config, demo: Option<&config::Source>) -> Vec<config::Source> {
    let mut declared = config.sources.clone();
    if declared.is_empty() {
        declared.extend(demo.cloned());
    }
    declared.extend(config.alerts.source());
    declared
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
        let mut tail = [0; 14];
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
            id: ApplicationId::new(now_ms, tail),
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
fn seal_secret(
    vault: &Vault,
    noise: &dyn Noise,
    endpoint: EndpointId,
    secret: &str,
) -> Result<Vec<u8>, StoreError> {
    seal(vault, noise, &place::endpoint_secret(endpoint), secret.as_bytes())
}

/// Seals something for a place in the store.
pub(super) fn seal(
    vault: &Vault,
    noise: &dyn Noise,
    place: &str,
    secret: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0; 24];
    noise.fill(&mut nonce);
    vault.seal(place, secret, nonce)
}

/// A source with its rules; `None` if it is neither declared nor the API's.
pub(super) fn source_in_force(
    current: &Current,
    application: &Application,
    endpoints: Vec<Endpoint>,
    vault: &Vault,
    now_ms: i64,
) -> Result<Option<SourceInForce>, ServeError> {
    if application.removed {
        return Ok(None);
    }
    let uid = application.uid.as_deref();
    let declared = current.declared.iter().find(|one| Some(one.id.as_str()) == uid);
    if application.origin == Origin::File && declared.is_none() {
        return Ok(None);
    }
    let credentials = opened_credentials(application, vault)?;
    let former = credentials.former.iter().map(|(_, until_ms)| *until_ms);
    let made = |mut rules: config::Source, url_tokens: Vec<(String, Option<i64>)>| {
        let secret_waits = outside::put_captured(&mut rules, &credentials.captured);
        let application = application.clone();
        let ends = url_tokens.iter().filter_map(|(_, until_ms)| *until_ms).chain(former);
        let next_end_ms = ends.filter(|until_ms| now_ms < *until_ms).min();
        Ok(Some(SourceInForce {
            application,
            rules,
            url_tokens,
            endpoints,
            secret_waits,
            next_end_ms,
        }))
    };
    if let Some(rules) = declared.filter(|_| application.origin == Origin::File) {
        return made(rules.clone(), vec![(rules.id.clone(), None)]);
    }
    let mut rules = rules_of_api(application, &credentials, now_ms)?;
    rules.verification = match application.settings.verification {
        Verification::Enforce => config::Verification::Enforce,
        Verification::Observe => config::Verification::Observe,
    };
    made(rules, url_tokens_at(&credentials, now_ms))
}

/// The last parts of the receiving URLs that hold now, with the ends of their times.
fn url_tokens_at(credentials: &SourceCredentials, now_ms: i64) -> Vec<(String, Option<i64>)> {
    let mut url_tokens = credentials.url_tokens.clone();
    url_tokens.retain(|(_, until_ms)| until_ms.is_none_or(|until_ms| now_ms < until_ms));
    url_tokens
}

/// A source that cannot be used, as the receiving side answers for it. Of one of the API the receiving
/// URLs are sealed with its secrets.
pub(super) fn unusable_source(
    application: &Application,
    vault: &Vault,
    now_ms: i64,
) -> UnusableSource {
    let uid = application.name();
    let names = match application.origin {
        // Nobody sends alerts from outside.
        Origin::File if uid == config::ALERTS_SOURCE => Some(Vec::new()),
        Origin::File => Some(vec![uid.clone(), application.id.source().to_string()]),
        Origin::Api => opened_credentials(application, vault).ok().map(|credentials| {
            url_tokens_at(&credentials, now_ms).into_iter().map(|(token, _)| token).collect()
        }),
    };
    UnusableSource { key: application.key, owner: application.owner, uid, names }
}

fn opened_credentials(
    application: &Application,
    vault: &Vault,
) -> Result<SourceCredentials, ServeError> {
    let Some(envelope) = &application.credentials else {
        return Ok(SourceCredentials::default());
    };
    let opened = vault.open(&place::application_credentials(application.id), envelope)?;
    serde_json::from_slice(&opened).map_err(|_| ServeError::Source {
        source_id: application.name(),
        detail: "its stored credentials cannot be read".to_owned(),
    })
}

/// The rules of a source that the API made, with what it verifies with.
fn rules_of_api(
    application: &Application,
    credentials: &SourceCredentials,
    now_ms: i64,
) -> Result<config::Source, ServeError> {
    let id = application.id.source().to_string();
    api_source(&id, &application.settings, credentials, now_ms).map_err(|problems| {
        let words: Vec<String> = problems.into_iter().map(|one| one.message).collect();
        ServeError::Source { source_id: application.name(), detail: words.join("; ") }
    })
}

/// A source of the API as the file would have it.
fn api_source(
    id: &str,
    settings: &ApplicationSettings,
    credentials: &SourceCredentials,
    now_ms: i64,
) -> Result<config::Source, Vec<config::RuleProblem>> {
    let secret = |text: &String| config::Secret::plain(text.clone());
    let former = credentials.former.iter().filter(|(_, until_ms)| now_ms < *until_ms);
    let named = credentials.credentials.iter();
    config::Source::from_api(config::ApiSource {
        id,
        provider: &settings.provider,
        secrets: credentials
            .secrets
            .iter()
            .chain(former.map(|(text, _)| text))
            .map(secret)
            .collect(),
        public_key: credentials.public_key.as_ref().map(secret),
        credentials: named.map(|(name, value)| (name.clone(), secret(value))).collect(),
        rules: settings.rules.as_deref(),
    })
}

/// Whether a source could receive with this provider, these credentials and these rules.
pub(super) fn check_api_source(
    config: &Config,
    settings: &ApplicationSettings,
    credentials: &SourceCredentials,
    now_ms: i64,
) -> Result<(), Vec<SourceTrouble>> {
    let plain = |message: String| vec![SourceTrouble { setting: None, message }];
    let source = api_source("source", settings, credentials, now_ms).map_err(|problems| {
        let told = |problem: config::RuleProblem| SourceTrouble {
            setting: api_name(&problem.key),
            message: problem.message,
        };
        problems.into_iter().map(told).collect::<Vec<_>>()
    })?;
    let entry = config
        .entry_of(&source)
        .ok_or_else(|| plain(format!("there is no provider `{}`", settings.provider)))?;
    let made = receiving_verifier(&source, Arc::clone(&entry));
    made.map_err(|error| plain(error.to_string()))?;
    rules(&source, &entry).map(drop).map_err(plain)
}

/// A setting of a source as the API calls it.
fn api_name(key: &str) -> Option<&'static str> {
    Some(match key.split(['.', '[']).next().unwrap_or_default() {
        "event_types" => "eventTypes",
        "rate_limit" => "rateLimit",
        "body_limit" => "bodyLimitBytes",
        "required" => "required",
        "schema" => "schema",
        "on_invalid" => "onInvalid",
        "dedupe" => "dedupe",
        "allow_ips" => "allowIps",
        "tolerance" => "toleranceMs",
        "quiet_after" => "quietAfterMs",
        _ => return None,
    })
}

/// Lets a source receive, under all its names.
pub(super) fn insert_source(
    current: &Current,
    table: &mut SourceTable,
    made: &SourceInForce,
) -> Result<(), ServeError> {
    let (application, source) = (&made.application, &made.rules);
    if source.id == config::ALERTS_SOURCE && application.origin == Origin::File {
        // Nobody sends alerts from outside.
        return Ok(());
    }
    let config = &current.loaded.config;
    let failed = |detail: String| ServeError::Source { source_id: application.name(), detail };
    let entry = config
        .entry_of(source)
        .ok_or_else(|| failed(format!("there is no provider `{}`", source.provider)))?;
    let verifier = receiving_verifier(source, Arc::clone(&entry))
        .map_err(|error| failed(error.to_string()))?;
    let targets = made
        .endpoints
        .iter()
        .map(|endpoint| Target {
            key: endpoint.key,
            state: endpoint.state,
            settings: Arc::new(endpoint.settings.clone()),
        })
        .collect();
    let public_url = match (application.origin, made.url_tokens.first()) {
        (Origin::Api, Some((token, _))) => public_url_at(config, token),
        _ => config.public_url_of(source),
    };
    let runtime = Arc::new(SourceRuntime {
        key: application.key,
        owner: application.owner,
        uid: application.name(),
        verifier,
        rules: rules(source, &entry).map_err(failed)?,
        entry,
        public_url,
        targets,
    });
    let twice = |error: becket_ingress::TableError| failed(error.to_string());
    for (token, _) in &made.url_tokens {
        table.insert(token.clone(), Arc::clone(&runtime)).map_err(twice)?;
    }
    if application.origin == Origin::File {
        // Also by its id, which stays when the name changes. A source of the API receives only at
        // its tokens, because they can be rotated.
        table.insert(application.id.source().to_string(), runtime).map_err(twice)?;
    }
    Ok(())
}

/// The public URL at which the last part `token` receives, if there is one.
pub(super) fn public_url_at(config: &Config, token: &str) -> Option<String> {
    let base = config.server.public_url.as_ref()?.as_str().trim_end_matches('/');
    Some(format!("{base}/in/{token}"))
}

/// Verifies requests whose full public URL, with what stands below the source's path, is given
/// with each of them.
pub(super) fn receiving_verifier(
    source: &config::Source,
    entry: Arc<Entry>,
) -> Result<Verifier, EntryError> {
    let (max_age_s, max_future_s) = source.tolerance_s();
    let rate_per_minute = source.rate_per_minute();
    let options = VerifierOptions { public_url: None, max_age_s, max_future_s, rate_per_minute };
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
    rules.verification = match source.verification {
        config::Verification::Enforce => Verification::Enforce,
        config::Verification::Observe => Verification::Observe,
    };
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
        id_chosen: source.dedupe.id.is_some(),
        bodies_recur: rules.dedupe.bodies_recur,
    };
    rules.ack = source.ack.as_ref().map(|ack| Ack {
        status: ack.status,
        content_type: ack.content_type.clone(),
        body: ack.body.clone(),
    });
    Ok(rules)
}

/// An endpoint as the engine takes it. One of the file takes headers and secret from there.
pub(super) fn endpoint_runtime(
    setting: &Setting<'_>,
    endpoint: &Endpoint,
    vault: &Vault,
) -> Result<EndpointRuntime, ServeError> {
    let declared = setting.source.filter(|_| endpoint.origin == Origin::File).and_then(|source| {
        let uid = endpoint.uid.as_deref();
        source.rules.endpoints.iter().find(|one| Some(one.id.as_str()) == uid)
    });
    let settings = match declared {
        Some(declared) => declared.settings(),
        None => EndpointSettings {
            headers: opened_headers(endpoint, vault)?,
            ..endpoint.settings.clone()
        },
    };
    let policy = match endpoint.origin {
        Origin::File => &setting.policies.operator,
        Origin::Api if settings.allow_private => &setting.policies.operator,
        Origin::Api => &setting.policies.public,
    };
    let source_uid = setting.source.map(|source| source.application.name()).unwrap_or_default();
    let action = match declared {
        Some(declared) => setting
            .acts
            .of_file(&source_uid, endpoint, declared, setting.public_url.clone())
            .map_err(|detail| ServeError::Source {
                source_id: source_uid.clone(),
                detail: format!("endpoint `{}`: {detail}", endpoint.name()),
            })?,
        None => setting.acts.of_api(endpoint),
    };
    let transform = setting.transforms.of(endpoint, declared).map_err(|detail| {
        let detail = format!("endpoint `{}`: {detail}", endpoint.name());
        ServeError::Source { source_id: source_uid.clone(), detail }
    })?;
    // Refused by a handler on a developer's machine means refused, whatever an event type asks for.
    let retry_by_type = match settings.kind {
        EndpointKind::Listen => Arc::default(),
        _ => Arc::clone(&setting.retries),
    };
    Ok(EndpointRuntime {
        key: endpoint.key,
        id: endpoint.id,
        application: endpoint.application,
        source_uid,
        action,
        transform,
        owner: setting.owner,
        target: policy.check_url(&settings.url).map(Arc::new),
        settings: Arc::new(settings),
        state: setting.acts.state_of(endpoint),
        failing_since_ms: endpoint.failing_since_ms,
        signing_keys: signing_keys(endpoint, declared, vault)?,
        policy: Arc::clone(policy),
        application_rate: setting.registry.shared_rate(endpoint.application),
        retry_by_type,
    })
}

/// The headers that the API set, in the order of their names.
fn opened_headers(endpoint: &Endpoint, vault: &Vault) -> Result<Vec<(String, String)>, ServeError> {
    let Some(envelope) = &endpoint.headers else { return Ok(Vec::new()) };
    let opened = vault.open(&place::endpoint_headers(endpoint.id), envelope)?;
    let headers: BTreeMap<String, String> =
        serde_json::from_slice(&opened).map_err(|_| ServeError::Source {
            source_id: endpoint.name(),
            detail: "its stored headers cannot be read".to_owned(),
        })?;
    Ok(headers.into_iter().collect())
}

pub(super) fn public_policy(config: &Config) -> AddressPolicy {
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
    let wrong = |detail: String| ServeError::Source { source_id: endpoint.name(), detail };
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
            let opened = vault.open(&place::endpoint_secret(endpoint.id), &secret.envelope)?;
            let text = std::str::from_utf8(&opened).map_err(|error| wrong(error.to_string()))?;
            let key = SigningKey::parse(text).map_err(|error| wrong(error.to_string()))?;
            Ok((key, secret.expires_at_ms))
        })
        .collect()
}
