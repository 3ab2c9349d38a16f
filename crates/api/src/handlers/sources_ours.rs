//! Sources as we show them, removed ones included, and what the specification lacks: any provider of the
//! catalogue, every credential, limits and rules.
//!
//! Invariants: no credential is in an answer, only whether it is there; a source of the operator's file
//! is shown like the others and changed by nothing here.

use std::collections::BTreeMap;

use becket_model::{ApplicationSettings, Rate, SourceRules, Verification};
use becket_store::{Application, ApplicationChange};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::call::{Answer, Call, JsonBody, Listed};
use crate::handlers::applications::check_uid;
use crate::handlers::sources::{
    change, check, credentials, made, missing, page_of, present, sealed,
};
use crate::names::{Names, public_id};
use crate::problem::{ApiError, Result};
use crate::turns;
use crate::wire::becket::SourceOut;
use crate::wire::given;
use crate::{RateShown, SourceCredentials};

/// The most secrets that verify at a time.
const SECRETS_MAX: usize = 10;
/// The largest credential, in bytes: a chain of certificates fits.
const CREDENTIAL_BYTES_MAX: usize = 16 * 1024;
/// The longest that a replaced secret may go on verifying.
const KEEP_OLD_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// The largest JSON Schema, in bytes.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// The most event types, fields and networks that a source may list.
const LIST_MAX: usize = 1_000;

/// `GET /api/v1/becket/source`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<SourceOut>>> {
    let names = Names::load(&call).await?;
    let page = page_of(&call, names.sources().collect(), public_id)?;
    let data = page.data.into_iter().map(|source| shown(&call, &names, source)).collect();
    Ok(Answer::ok(Listed::new(data, page.iterator, page.done)))
}

/// `GET /api/v1/becket/source/{source_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<SourceOut>> {
    let names = Names::load(&call).await?;
    let source = names.source(call.path("source_id"))?;
    Ok(Answer::ok(shown(&call, &names, source)))
}

fn shown(call: &Call, names: &Names, source: &Application) -> SourceOut {
    let directory = &call.shared.api.directory;
    let url = directory.receiving_url(source);
    SourceOut::new(source, names, url, directory.source_details(source.key))
}

async fn answered(call: &Call, source: &Application) -> Result<SourceOut> {
    let names = Names::load(call).await?;
    Ok(shown(call, &names, source))
}

/// A source to be made.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SourceIn {
    provider: String,
    name: String,
    uid: Option<String>,
    #[serde(default)]
    secrets: Option<Vec<String>>,
    #[serde(default)]
    public_key: Option<String>,
    #[serde(default)]
    credentials: Option<BTreeMap<String, Option<String>>>,
    #[serde(default)]
    parameters: Option<BTreeMap<String, Option<String>>>,
}

/// What a source verifies with; what is absent stays as it is, null takes away.
struct CredentialsGiven {
    secrets: Option<Vec<String>>,
    public_key: Option<Option<String>>,
    credentials: Option<BTreeMap<String, Option<String>>>,
    parameters: Option<BTreeMap<String, Option<String>>>,
}

impl CredentialsGiven {
    /// Puts what is given in place of what there was.
    fn put(self, into: &mut SourceCredentials) -> Result<()> {
        let size = |field: &str, value: &str| match value.len() {
            1..=CREDENTIAL_BYTES_MAX => Ok(()),
            0 => Err(ApiError::body(field, "it is empty")),
            _ => {
                Err(ApiError::body(field, format!("it has more than {CREDENTIAL_BYTES_MAX} bytes")))
            }
        };
        if let Some(secrets) = self.secrets {
            if secrets.len() > SECRETS_MAX {
                let what = format!("at most {SECRETS_MAX} secrets verify at a time");
                return Err(ApiError::body("secrets", what));
            }
            secrets.iter().try_for_each(|secret| size("secrets", secret))?;
            into.secrets = secrets;
        }
        if let Some(key) = self.public_key {
            key.iter().try_for_each(|key| size("publicKey", key))?;
            into.public_key = key;
        }
        let named = [("credentials", self.credentials), ("parameters", self.parameters)];
        for (field, values) in named {
            for (name, value) in values.into_iter().flatten() {
                match value {
                    Some(value) => {
                        size(field, &value)?;
                        into.credentials.insert(name, value);
                    }
                    None => drop(into.credentials.remove(&name)),
                }
            }
        }
        Ok(())
    }
}

/// `POST /api/v1/becket/source`
pub(crate) async fn create(
    call: Call,
    JsonBody(body): JsonBody<SourceIn>,
) -> Result<Answer<SourceOut>> {
    check_uid(body.uid.as_deref(), 60, "-_")?;
    let name = checked_name(body.name)?;
    let settings =
        ApplicationSettings { name, provider: body.provider, ..ApplicationSettings::default() };
    let mut credentials = SourceCredentials::default();
    let given = CredentialsGiven {
        secrets: body.secrets,
        public_key: body.public_key.map(Some),
        credentials: body.credentials,
        parameters: body.parameters,
    };
    given.put(&mut credentials)?;
    check(&call, &settings, &credentials)?;
    let source = made(&call, settings, credentials, body.uid).await?;
    Ok(Answer(StatusCode::CREATED, answered(&call, &source).await?))
}

fn checked_name(name: String) -> Result<String> {
    match name.chars().count() {
        1..=256 => Ok(name),
        _ => Err(ApiError::body("name", "a name has 1 to 256 characters")),
    }
}

/// Other credentials, and for how long the secrets before them go on verifying.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct CredentialsIn {
    keep_old_ms: Option<u64>,
    secrets: Option<Vec<String>>,
    #[serde(deserialize_with = "given")]
    public_key: Option<Option<String>>,
    credentials: Option<BTreeMap<String, Option<String>>>,
    parameters: Option<BTreeMap<String, Option<String>>>,
}

impl CredentialsIn {
    /// Puts what is given in place of what there was, and keeps the secrets before as long as wanted.
    fn put(self, kept: &mut SourceCredentials, now_ms: i64) -> Result<()> {
        let keep_ms = self.keep_old_ms.unwrap_or(0);
        let before = kept.secrets.clone();
        let given = CredentialsGiven {
            secrets: self.secrets,
            public_key: self.public_key,
            credentials: self.credentials,
            parameters: self.parameters,
        };
        given.put(kept)?;
        kept.former.retain(|(_, until_ms)| now_ms < *until_ms);
        if keep_ms > 0 && kept.secrets != before {
            let until_ms = now_ms.saturating_add_unsigned(keep_ms);
            kept.former.extend(before.into_iter().map(|secret| (secret, until_ms)));
        }
        let current = kept.secrets.clone();
        kept.former.retain(|(secret, _)| !current.contains(secret));
        let over = kept.former.len().saturating_sub(SECRETS_MAX);
        kept.former.drain(..over);
        Ok(())
    }
}

/// `PUT /api/v1/becket/source/{source_id}/credentials`
pub(crate) async fn put_credentials(
    call: Call,
    JsonBody(body): JsonBody<CredentialsIn>,
) -> Result<Answer<SourceOut>> {
    let found = present(&call).await?.ok_or_else(|| missing(&call))?;
    let _turn = call.shared.turns.take(found.key).await;
    if body.keep_old_ms.is_some_and(|keep_ms| keep_ms > KEEP_OLD_MS_MAX) {
        let what = format!("secrets that were replaced verify for at most {KEEP_OLD_MS_MAX} ms");
        return Err(ApiError::body("keepOldMs", what));
    }
    let source = turns::again(|| async {
        let source = present(&call).await?.ok_or_else(|| missing(&call))?;
        let mut kept = credentials(&call, &source)?;
        body.clone().put(&mut kept, call.now_ms())?;
        check(&call, &source.settings, &kept)?;
        let wanted = ApplicationChange {
            credentials: Some(sealed(&call, source.id, &kept)?),
            ..source.change()
        };
        change(&call, &source, wanted, "source.credentials.changed").await
    });
    Ok(Answer::ok(answered(&call, &source.await?).await?))
}

/// What is to be set for a source of the API; null is the default, what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct SourceSettingsIn {
    name: Option<String>,
    verification: Option<Verification>,
    #[serde(deserialize_with = "given")]
    event_types: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "given")]
    rate_limit: Option<Option<RateShown>>,
    #[serde(deserialize_with = "given")]
    body_limit_bytes: Option<Option<u64>>,
    #[serde(deserialize_with = "given")]
    required: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "given")]
    schema: Option<Option<Map<String, Value>>>,
    #[serde(deserialize_with = "given")]
    on_invalid: Option<Option<OnInvalidIn>>,
    #[serde(deserialize_with = "given")]
    dedupe: Option<Option<DedupeIn>>,
    #[serde(deserialize_with = "given")]
    allow_ips: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "given")]
    tolerance_ms: Option<Option<u64>>,
    #[serde(deserialize_with = "given")]
    quiet_after_ms: Option<Option<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnInvalidIn {
    Reject,
    Accept,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct DedupeIn {
    #[serde(deserialize_with = "given")]
    enabled: Option<Option<bool>>,
    #[serde(deserialize_with = "given")]
    window_ms: Option<Option<u64>>,
    #[serde(deserialize_with = "given")]
    hash_window_ms: Option<Option<u64>>,
    #[serde(deserialize_with = "given")]
    id: Option<Option<String>>,
}

impl SourceSettingsIn {
    fn put(self, settings: &mut ApplicationSettings) -> Result<()> {
        if let Some(name) = self.name {
            settings.name = checked_name(name)?;
        }
        settings.verification = self.verification.unwrap_or(settings.verification);
        let mut rules = settings.rules.take().map_or_else(SourceRules::default, |rules| *rules);
        put(&mut rules.event_types, self.event_types);
        put(&mut rules.body_limit_bytes, self.body_limit_bytes);
        put(&mut rules.tolerance_ms, self.tolerance_ms);
        put(&mut rules.quiet_after_ms, self.quiet_after_ms);
        if let Some(rate) = self.rate_limit {
            rules.rate = rate.map(rate_of).transpose()?;
        }
        if let Some(required) = self.required {
            rules.required = required.unwrap_or_default();
        }
        if let Some(networks) = self.allow_ips {
            rules.allow_ips = networks.unwrap_or_default();
        }
        if let Some(schema) = self.schema {
            rules.schema = schema.map(Value::Object);
        }
        if let Some(on_invalid) = self.on_invalid {
            rules.accept_invalid = on_invalid == Some(OnInvalidIn::Accept);
        }
        if let Some(dedupe) = self.dedupe {
            // Null puts all of it back.
            let nothing = || DedupeIn {
                enabled: Some(None),
                window_ms: Some(None),
                hash_window_ms: Some(None),
                id: Some(None),
            };
            let dedupe = dedupe.unwrap_or_else(nothing);
            put(&mut rules.dedupe_enabled, dedupe.enabled);
            put(&mut rules.dedupe_window_ms, dedupe.window_ms);
            put(&mut rules.dedupe_hash_window_ms, dedupe.hash_window_ms);
            put(&mut rules.dedupe_id, dedupe.id);
        }
        within_limits(&rules)?;
        settings.rules = (rules != SourceRules::default()).then(|| Box::new(rules));
        Ok(())
    }
}

fn put<T>(place: &mut Option<T>, wanted: Option<Option<T>>) {
    if let Some(wanted) = wanted {
        *place = wanted;
    }
}

/// A rate as the file can say it.
fn rate_of(rate: RateShown) -> Result<Rate> {
    if rate.count == 0 {
        let what = "a rate of 0 lets nothing through; use 1 or more, or null for no limit";
        return Err(ApiError::body("rateLimit", what));
    }
    match rate.period_ms {
        1_000 | 60_000 | 3_600_000 => Ok(Rate { count: rate.count, period_ms: rate.period_ms }),
        other => {
            let what = format!("`{other}` is no period: use 1000, 60000 or 3600000");
            Err(ApiError::body("rateLimit", what))
        }
    }
}

fn within_limits(rules: &SourceRules) -> Result<()> {
    let lists = [
        ("eventTypes", rules.event_types.as_ref().map_or(0, Vec::len)),
        ("required", rules.required.len()),
        ("allowIps", rules.allow_ips.len()),
    ];
    if let Some((field, _)) = lists.iter().find(|(_, count)| *count > LIST_MAX) {
        return Err(ApiError::body(field, format!("there are more than {LIST_MAX} of them")));
    }
    let schema_bytes = rules.schema.as_ref().map_or(0, |schema| schema.to_string().len());
    if schema_bytes > SCHEMA_BYTES_MAX {
        let what = format!("the schema has more than {SCHEMA_BYTES_MAX} bytes");
        return Err(ApiError::body("schema", what));
    }
    Ok(())
}

/// `PATCH /api/v1/becket/source/{source_id}`
pub(crate) async fn patch(
    call: Call,
    JsonBody(body): JsonBody<SourceSettingsIn>,
) -> Result<Answer<SourceOut>> {
    let found = present(&call).await?.ok_or_else(|| missing(&call))?;
    let _turn = call.shared.turns.take(found.key).await;
    if body.schema.is_some() || body.required.is_some() || body.dedupe.is_some() {
        // What is answered to requests then tells what is in them.
        call.access.needs_payloads()?;
    }
    let action = match body.verification {
        Some(Verification::Observe) => "source.observed",
        _ => "source.updated",
    };
    let source = turns::again(|| async {
        let source = present(&call).await?.ok_or_else(|| missing(&call))?;
        let mut settings = source.settings.clone();
        body.clone().put(&mut settings)?;
        if settings.rules != source.settings.rules {
            check(&call, &settings, &credentials(&call, &source)?)?;
        }
        let wanted = ApplicationChange { settings: Some(settings), ..source.change() };
        change(&call, &source, wanted, action).await
    });
    Ok(Answer::ok(answered(&call, &source.await?).await?))
}
