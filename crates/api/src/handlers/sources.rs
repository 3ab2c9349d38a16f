//! Sources as the specification has them; `sources_ours` has what it lacks.
//!
//! Invariants: what a source verifies with is sealed as one, with the last parts of its receiving
//! URLs, and shown to nobody (but a public key); a source of the operator's file is not changed here.

use std::sync::Arc;

use becket_model::{ApplicationId, ApplicationKind, ApplicationSettings, Origin};
use becket_store::vault::place;
use becket_store::{Application, ApplicationChange, ApplicationNew, Changed, Created, Name, Slice};
use http::StatusCode;
use zeroize::Zeroizing;

use crate::access::hex;
use crate::apps::{self, App};
use crate::call::{Answer, Call, JsonBody, Listed};
use crate::handlers::applications::{check_uid, taken, told, uid_after};
use crate::names::public_id;
use crate::page::Asked;
use crate::problem::{ApiError, Place, Result};
use crate::turns;
use crate::wire::applications::checked_metadata;
use crate::wire::sources::{self, RotateTokenOut, SourceIn, SourceOut};
use crate::{SourceCredentials, SourceTrouble};

const KIND: ApplicationKind = ApplicationKind::Source;
/// Random bytes in the last part of a receiving URL, which is twice as many characters.
const URL_TOKEN_BYTES: usize = 20;
/// How long a receiving URL goes on receiving after its rotation.
const URL_TOKEN_KEPT_MS: i64 = 48 * 3_600_000;
const URL_TOKENS_OLD_MAX: usize = 3;

/// Cuts a page out of a list that is ordered by age; the iterator is the last item's id.
pub(crate) fn page_of<'i, T>(
    call: &Call,
    mut items: Vec<&'i T>,
    id: impl Fn(&T) -> String,
) -> Result<Listed<&'i T>> {
    match call.text("order") {
        None | Some("ascending") => {}
        Some("descending") => items.reverse(),
        Some(other) => {
            let what = format!("`{other}` is not ascending or descending");
            return Err(ApiError::query("order", what));
        }
    }
    let start = match call.text("iterator") {
        None => 0,
        Some(iterator) => {
            let at = items.iter().position(|item| id(item) == iterator);
            1 + at.ok_or_else(|| {
                ApiError::query("iterator", format!("`{iterator}` is not in this list"))
            })?
        }
    };
    let limit = call.limit()?;
    let done = items.len() <= start + limit;
    let data: Vec<&T> = items.into_iter().skip(start).take(limit).collect();
    let iterator = data.last().map(|item| id(item));
    Ok(Listed::new(data, iterator, done))
}

/// The source with this id or uid, with its endpoints; `None` if there is none.
pub(crate) async fn find(call: &Call, name: &str) -> Result<Option<Arc<App>>> {
    let apps = &call.shared.apps;
    let found = apps.find(call.store(), call.owner, KIND, name, call.now_ms()).await?;
    Ok(found.filter(|app| call.access.sees(app.key())))
}

/// The source that the path names, with its endpoints.
pub(crate) async fn named(call: &Call) -> Result<Arc<App>> {
    find(call, call.path("source_id")).await?.ok_or_else(|| missing(call))
}

pub(crate) fn missing(call: &Call) -> ApiError {
    ApiError::not_found("source", call.path("source_id")).hint(
        "one that was removed from the configuration is gone here; its events can still be listed",
    )
}

/// The source that the path names, as it is in the store at this moment; `None` if none is.
pub(crate) async fn present(call: &Call) -> Result<Option<Application>> {
    let found = apps::look_up(call.store(), call.owner, KIND, call.path("source_id")).await?;
    Ok(found.filter(|source| call.access.sees(source.key)))
}

fn shown(call: &Call, source: &Application) -> Result<SourceOut> {
    let public_key = match sources::shows_credentials(source) {
        true => credentials(call, source)?.public_key.clone(),
        false => None,
    };
    let url = call.shared.api.directory.receiving_url(source);
    Ok(SourceOut::new(source, url, public_key))
}

/// What is kept of a source's credentials: all of one that the API made.
pub(crate) fn credentials(call: &Call, source: &Application) -> Result<SourceCredentials> {
    let Some(envelope) = &source.credentials else { return Ok(SourceCredentials::default()) };
    let place = place::application_credentials(source.id);
    let text = call.shared.api.directory.open(&place, envelope)?;
    serde_json::from_slice(&text).map_err(|_| {
        let what = format!("the stored credentials of {} cannot be read", public_id(source));
        ApiError::new("event_damaged", what)
    })
}

pub(crate) fn sealed(
    call: &Call,
    id: ApplicationId,
    credentials: &SourceCredentials,
) -> Result<Vec<u8>> {
    let text = Zeroizing::new(serde_json::json!(credentials).to_string());
    let place = place::application_credentials(id);
    Ok(call.shared.api.directory.seal(&place, text.as_bytes())?)
}

/// The last part of a new receiving URL.
fn url_token(call: &Call) -> String {
    hex(&super::random::<URL_TOKEN_BYTES>(call))
}

/// `GET /ingest/api/v1/source`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<SourceOut>>> {
    let read = |text: &str| match apps::name_of(KIND, text) {
        Name::Id(id) => Some(id),
        Name::Uid(_) => None,
    };
    let asked: Asked<ApplicationId> = Asked::read(&call, read)?;
    let fetch = async |mut slice: Slice<ApplicationId>| {
        // The public id is the beginning of the whole one: go on behind all that begin with it.
        slice.after = slice.after.map(|id| {
            let mut bytes = [if slice.descending { 0 } else { u8::MAX }; 20];
            bytes[..16].copy_from_slice(&id.as_bytes()[..16]);
            ApplicationId::from_bytes(bytes)
        });
        Ok(call.store().application_list(call.owner, KIND, slice).await?)
    };
    let page = asked.page(fetch, public_id).await?;
    let Listed { data, iterator, prev_iterator, done } = page;
    let data = data.iter().map(|source| shown(&call, source)).collect::<Result<_>>()?;
    Ok(Answer::ok(Listed { data, iterator, prev_iterator, done }))
}

/// `GET /ingest/api/v1/source/{source_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<SourceOut>> {
    let source = present(&call).await?.ok_or_else(|| missing(&call))?;
    Ok(Answer::ok(shown(&call, &source)?))
}

/// What a body asks for, checked; the receiving URLs are still missing.
fn wanted(call: &Call, body: SourceIn) -> Result<(ApplicationSettings, SourceCredentials)> {
    let refused = |why: String| {
        let place = Place::new("body", "config", why.clone(), "source_invalid");
        ApiError::new("source_invalid", why).at(vec![place])
    };
    let directory = &call.shared.api.directory;
    let providers = directory.providers();
    let known = |slug: &str| providers.iter().any(|provider| provider.slug == slug);
    let (provider, credentials) = body.verified(known).map_err(refused)?;
    let settings = ApplicationSettings {
        name: body.name,
        metadata: checked_metadata(body.metadata.unwrap_or_default())?,
        provider,
        source_type: body.kind,
        ..ApplicationSettings::default()
    };
    check(call, &settings, &credentials)?;
    Ok((settings, credentials))
}

/// Whether a source could receive like this; if not, what has to change, and where in the body.
pub(crate) fn check(
    call: &Call,
    settings: &ApplicationSettings,
    credentials: &SourceCredentials,
) -> Result<()> {
    call.shared.api.directory.source_check(settings, credentials).map_err(|troubles| {
        let place = |trouble: &SourceTrouble| {
            let field = trouble.setting.unwrap_or("config");
            Place::new("body", field, trouble.message.clone(), "source_invalid")
        };
        let words: Vec<&str> = troubles.iter().map(|trouble| trouble.message.as_str()).collect();
        ApiError::new("source_invalid", words.join("; ")).at(troubles.iter().map(place).collect())
    })
}

async fn make(call: &Call, body: SourceIn, uid: Option<String>) -> Result<Answer<SourceOut>> {
    let (settings, credentials) = wanted(call, body)?;
    let source = made(call, settings, credentials, uid).await?;
    Ok(Answer(StatusCode::CREATED, shown(call, &source)?))
}

/// Makes a source with a receiving URL of its own, and tells.
pub(crate) async fn made(
    call: &Call,
    settings: ApplicationSettings,
    mut credentials: SourceCredentials,
    uid: Option<String>,
) -> Result<Application> {
    credentials.url_tokens = vec![(url_token(call), None)];
    let now_ms = call.now_ms();
    if apps::is_others_id(call.store(), call.owner, KIND, uid.as_deref(), None).await? {
        return Err(taken("source", uid.as_deref()));
    }
    let id = ApplicationId::new(now_ms, super::random(call));
    let new = ApplicationNew {
        kind: KIND,
        id,
        uid: uid.clone(),
        settings,
        credentials: Some(sealed(call, id, &credentials)?),
    };
    match call.store().application_create(call.owner, new, now_ms).await? {
        Created::New(source) => {
            told(call, &source, "source.created").await;
            Ok(source)
        }
        Created::NameTaken(_) | Created::NoParent => Err(taken("source", uid.as_deref())),
    }
}

/// `POST /ingest/api/v1/source`
pub(crate) async fn create(
    call: Call,
    JsonBody(body): JsonBody<SourceIn>,
) -> Result<Answer<SourceOut>> {
    let uid = body.uid.clone();
    make(&call, body, uid).await
}

/// Changes a source of the API, and tells.
pub(crate) async fn change(
    call: &Call,
    source: &Application,
    change: ApplicationChange,
    action: &'static str,
) -> Result<Application> {
    if source.origin == Origin::File {
        let what = format!("the source `{}` is in the operator's file", source.name());
        return Err(ApiError::new("declared", what).hint("change it there"));
    }
    let uid = change.uid.clone().flatten();
    let store = call.store();
    if apps::is_others_id(store, call.owner, KIND, uid.as_deref(), Some(source.key)).await? {
        return Err(taken("source", uid.as_deref()));
    }
    match store.application_change(call.owner, source.key, change, call.now_ms()).await? {
        Changed::Done(source) => {
            told(call, &source, action).await;
            Ok(source)
        }
        Changed::NameTaken => Err(taken("source", uid.as_deref())),
        Changed::Absent => Err(missing(call)),
        Changed::Meanwhile => Err(turns::quicker("source", &source.name())),
    }
}

/// `PUT /ingest/api/v1/source/{source_id}`
pub(crate) async fn upsert(
    call: Call,
    JsonBody(body): JsonBody<SourceIn>,
) -> Result<Answer<SourceOut>> {
    let path = call.path("source_id");
    let name = apps::name_of(KIND, path);
    let uid_of = |known: Option<&str>| uid_after(body.uid.clone(), &name, path, known);
    let Some(found) = present(&call).await? else {
        if matches!(name, Name::Id(_)) {
            return Err(missing(&call));
        }
        let uid = uid_of(None);
        check_uid(uid.as_deref(), 60, "-_")?;
        return make(&call, body, uid).await;
    };
    let _turn = call.shared.turns.take(found.key).await;
    let changed = turns::again(|| async {
        let source = present(&call).await?.ok_or_else(|| missing(&call))?;
        let uid = uid_of(source.uid.as_deref());
        let (mut settings, mut new) = wanted(&call, body.clone())?;
        // The specification does not know it, so its callers cannot have meant to change it.
        settings.verification = source.settings.verification;
        settings.rules.clone_from(&source.settings.rules);
        let old = credentials(&call, &source)?;
        if settings.provider == source.settings.provider {
            new.captured.clone_from(&old.captured);
        }
        new.url_tokens.clone_from(&old.url_tokens);
        let wanted = ApplicationChange {
            uid: Some(uid),
            settings: Some(settings),
            credentials: Some(sealed(&call, source.id, &new)?),
            ..source.change()
        };
        change(&call, &source, wanted, "source.updated").await
    });
    Ok(Answer::ok(shown(&call, &changed.await?)?))
}

/// `DELETE /ingest/api/v1/source/{source_id}`
pub(crate) async fn delete(call: Call) -> Result<StatusCode> {
    let source = present(&call).await?.ok_or_else(|| missing(&call))?;
    let wanted = ApplicationChange { remove: true, ..ApplicationChange::default() };
    change(&call, &source, wanted, "source.deleted").await?;
    call.shared.tokens.forget();
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /ingest/api/v1/source/{source_id}/token/rotate`
///
/// The URLs before it receive for another 48 hours, at most [`URL_TOKENS_OLD_MAX`] of them.
pub(crate) async fn rotate_token(call: Call) -> Result<Answer<RotateTokenOut>> {
    let found = present(&call).await?.ok_or_else(|| missing(&call))?;
    let _turn = call.shared.turns.take(found.key).await;
    let source = turns::again(|| async {
        let source = present(&call).await?.ok_or_else(|| missing(&call))?;
        let mut credentials = credentials(&call, &source)?;
        rotate(&mut credentials.url_tokens, url_token(&call), call.now_ms())?;
        let wanted = ApplicationChange {
            credentials: Some(sealed(&call, source.id, &credentials)?),
            ..source.change()
        };
        change(&call, &source, wanted, "source.token.rotated").await
    });
    let ingest_url = call.shared.api.directory.receiving_url(&source.await?);
    Ok(Answer::ok(RotateTokenOut { ingest_url }))
}

/// Puts a new part of the receiving URL in front of those before it, each with its end.
fn rotate(tokens: &mut Vec<(String, Option<i64>)>, new: String, now_ms: i64) -> Result<()> {
    tokens.retain(|(_, until_ms)| until_ms.is_none_or(|until_ms| now_ms < until_ms));
    let old: Vec<i64> = tokens.iter().filter_map(|(_, until_ms)| *until_ms).collect();
    if old.len() >= URL_TOKENS_OLD_MAX {
        let next_ms = old.into_iter().min().unwrap_or(now_ms);
        let wait_s = next_ms.saturating_sub(now_ms).unsigned_abs().div_ceil(1_000);
        let what = "its receiving URL has been rotated three times within 48 hours";
        return Err(ApiError::new("limit_reached", what).retry_after_s(wait_s));
    }
    for (_, until_ms) in tokens.iter_mut().filter(|(_, until_ms)| until_ms.is_none()) {
        *until_ms = Some(now_ms + URL_TOKEN_KEPT_MS);
    }
    tokens.insert(0, (new, None));
    Ok(())
}
