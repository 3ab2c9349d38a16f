//! Applications: the customers of whoever runs a product on the gateway.

use std::sync::Arc;

use becket_model::{ApplicationId, ApplicationKind, EndpointState};
use becket_store::{
    Application, ApplicationChange, ApplicationNew, Changed, Created, Endpoint, Name, Slice,
};
use http::StatusCode;

use crate::apps::{self, App};
use crate::call::{Answer, Call, JsonBody, Listed};
use crate::page::Asked;
use crate::problem::{ApiError, Result};
use crate::turns;
use crate::wire::applications::{ApplicationIn, ApplicationOut, ApplicationPatch};

const KIND: ApplicationKind = ApplicationKind::Customer;
/// Where addresses for trying things out lie.
const PLAY_HOST: &str = "://play.svix.com/";

/// The application that the path names, with its endpoints; `None` if there is none.
pub(crate) async fn find(call: &Call) -> Result<Option<Arc<App>>> {
    let apps = &call.shared.apps;
    let name = call.path("app_id");
    let found = apps.find(call.store(), call.owner, KIND, name, call.now_ms()).await?;
    Ok(found.filter(|app| call.access.sees(app.key())))
}

/// The application that the path names, with its endpoints.
pub(crate) async fn named(call: &Call) -> Result<Arc<App>> {
    find(call).await?.ok_or_else(|| missing(call))
}

/// The application that the path names, as it is in the store at this moment; `None` if none is.
async fn present(call: &Call) -> Result<Option<Application>> {
    let found = apps::look_up(call.store(), call.owner, KIND, call.path("app_id")).await?;
    Ok(found.filter(|application| call.access.sees(application.key)))
}

fn missing(call: &Call) -> ApiError {
    ApiError::not_found("application", call.path("app_id"))
}

/// What everybody hears of a change of an application or source.
pub(crate) async fn told(call: &Call, application: &Application, action: &'static str) {
    call.shared.apps.forget(application.key);
    call.shared.api.control.application_changed(application).await;
    call.audit(action, &crate::names::public_id(application));
}

/// The uid after a change by name: a uid in the path stays unless the body gives another. One that
/// looks like an id is told by what was found having it as its uid (`known`).
pub(crate) fn uid_after<Id>(
    given: Option<String>,
    name: &Name<Id>,
    path: &str,
    known: Option<&str>,
) -> Option<String> {
    let is_uid = matches!(name, Name::Uid(_)) || known == Some(path);
    given.or_else(|| is_uid.then(|| path.to_owned()))
}

/// A uid is taken.
pub(crate) fn taken(what: &str, uid: Option<&str>) -> ApiError {
    let uid = uid.unwrap_or_default();
    ApiError::new("conflict", format!("another {what} has the uid `{uid}`"))
        .hint("choose another uid, or change the one that has it")
}

/// A uid that came as a part of the path has the form that a body's has.
pub(crate) fn check_uid(uid: Option<&str>, characters_max: usize, also: &str) -> Result<()> {
    let fits = |uid: &str| {
        (1..=characters_max).contains(&uid.len())
            && uid
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || also.contains(char::from(byte)))
    };
    match uid {
        Some(uid) if !fits(uid) => {
            let what = format!("has to be 1 to {characters_max} letters, digits and `{also}`");
            Err(ApiError::body("uid", what))
        }
        _ => Ok(()),
    }
}

/// `GET /api/v1/app`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<ApplicationOut>>> {
    let asked: Asked<ApplicationId> = Asked::read(&call, |text| text.parse().ok())?;
    let no_empty = call.flag("exclude_apps_with_no_endpoints", false)?;
    let no_disabled = call.flag("exclude_apps_with_disabled_endpoints", false)?;
    let no_play = call.flag("exclude_apps_with_svix_play_endpoints", false)?;
    let fetch = async |slice: Slice<ApplicationId>| {
        Ok(call.store().application_list(call.owner, KIND, slice).await?)
    };
    let page = asked.page(fetch, |application: &Application| application.id.to_string()).await?;
    let mut data = Vec::with_capacity(page.data.len());
    for application in page.data {
        // A page may become shorter than its limit; what was left out is behind the iterator.
        if no_empty || no_disabled || no_play {
            let endpoints = apps::all_endpoints(call.store(), call.owner, application.key).await?;
            let disabled = |endpoint: &Endpoint| endpoint.state == EndpointState::Disabled;
            let play = |endpoint: &Endpoint| endpoint.settings.url.contains(PLAY_HOST);
            let left_out = match endpoints.is_empty() {
                true => no_empty,
                false => {
                    (no_disabled && endpoints.iter().all(disabled))
                        || (no_play && endpoints.iter().all(play))
                }
            };
            if left_out {
                continue;
            }
        }
        data.push(ApplicationOut::new(&application));
    }
    let Listed { iterator, prev_iterator, done, .. } = page;
    Ok(Answer::ok(Listed { data, iterator, prev_iterator, done }))
}

/// Makes an application, unless its uid is taken.
pub(crate) async fn make(
    call: &Call,
    body: &ApplicationIn,
    uid: Option<String>,
) -> Result<Created<Application>> {
    let now_ms = call.now_ms();
    let new = ApplicationNew {
        kind: KIND,
        id: ApplicationId::new(now_ms, super::random(call)),
        uid,
        settings: body.settings(None)?,
        credentials: None,
    };
    let new_uid = new.uid.as_deref();
    if apps::is_others_id(call.store(), call.owner, KIND, new_uid, None).await? {
        return Err(taken("application", new_uid));
    }
    let created = call.store().application_create(call.owner, new, now_ms).await?;
    if let Created::New(application) = &created {
        told(call, application, "application.created").await;
    }
    Ok(created)
}

/// `POST /api/v1/app`
pub(crate) async fn create(
    call: Call,
    JsonBody(body): JsonBody<ApplicationIn>,
) -> Result<Answer<ApplicationOut>> {
    let get_if_exists = call.flag("get_if_exists", false)?;
    match make(&call, &body, body.uid.clone()).await? {
        Created::New(application) => {
            Ok(Answer(StatusCode::CREATED, ApplicationOut::new(&application)))
        }
        Created::NameTaken(application) if get_if_exists => {
            Ok(Answer::ok(ApplicationOut::new(&application)))
        }
        Created::NameTaken(_) | Created::NoParent => Err(taken("application", body.uid.as_deref())),
    }
}

/// `GET /api/v1/app/{app_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<ApplicationOut>> {
    let application = present(&call).await?.ok_or_else(|| missing(&call))?;
    Ok(Answer::ok(ApplicationOut::new(&application)))
}

async fn change(
    call: &Call,
    application: &Application,
    change: ApplicationChange,
    action: &'static str,
) -> Result<Application> {
    let uid = change.uid.clone().flatten();
    let store = call.store();
    let own = Some(application.key);
    if apps::is_others_id(store, call.owner, KIND, uid.as_deref(), own).await? {
        return Err(taken("application", uid.as_deref()));
    }
    match store.application_change(call.owner, application.key, change, call.now_ms()).await? {
        Changed::Done(application) => {
            told(call, &application, action).await;
            Ok(application)
        }
        Changed::NameTaken => Err(taken("application", uid.as_deref())),
        Changed::Absent => Err(missing(call)),
        Changed::Meanwhile => Err(turns::quicker("application", &application.name())),
    }
}

/// `PATCH /api/v1/app/{app_id}`
pub(crate) async fn patch(
    call: Call,
    JsonBody(body): JsonBody<ApplicationPatch>,
) -> Result<Answer<ApplicationOut>> {
    let found = present(&call).await?.ok_or_else(|| missing(&call))?;
    let _turn = call.shared.turns.take(found.key).await;
    turns::again(|| async {
        let application = present(&call).await?.ok_or_else(|| missing(&call))?;
        let uid = body.uid.clone();
        let settings = Some(body.clone().applied(&application.settings)?);
        let wanted = ApplicationChange { uid, settings, ..application.change() };
        let changed = change(&call, &application, wanted, "application.updated").await?;
        Ok(Answer::ok(ApplicationOut::new(&changed)))
    })
    .await
}

/// `PUT /api/v1/app/{app_id}`
pub(crate) async fn upsert(
    call: Call,
    JsonBody(body): JsonBody<ApplicationIn>,
) -> Result<Answer<ApplicationOut>> {
    let path = call.path("app_id");
    let name = apps::name_of(KIND, path);
    let uid_of = |known: Option<&str>| uid_after(body.uid.clone(), &name, path, known);
    // Whoever else makes it at the same time makes the same: the second look finds it.
    for _ in 0..2 {
        let changed = turns::again(|| async {
            let Some(application) = present(&call).await? else { return Ok(None) };
            let wanted = ApplicationChange {
                uid: Some(uid_of(application.uid.as_deref())),
                settings: Some(body.settings(Some(&application.settings))?),
                ..application.change()
            };
            change(&call, &application, wanted, "application.updated").await.map(Some)
        });
        if let Some(changed) = changed.await? {
            return Ok(Answer::ok(ApplicationOut::new(&changed)));
        }
        if matches!(name, Name::Id(_)) {
            return Err(missing(&call));
        }
        let uid = uid_of(None);
        check_uid(uid.as_deref(), 256, "-_.")?;
        if let Created::New(application) = make(&call, &body, uid).await? {
            return Ok(Answer(StatusCode::CREATED, ApplicationOut::new(&application)));
        }
    }
    Err(taken("application", uid_of(None).as_deref()))
}

/// `DELETE /api/v1/app/{app_id}`
pub(crate) async fn delete(call: Call) -> Result<StatusCode> {
    let application = present(&call).await?.ok_or_else(|| missing(&call))?;
    let wanted = ApplicationChange { remove: true, ..ApplicationChange::default() };
    change(&call, &application, wanted, "application.deleted").await?;
    // Its portal tokens went with it.
    call.shared.tokens.forget();
    Ok(StatusCode::NO_CONTENT)
}
