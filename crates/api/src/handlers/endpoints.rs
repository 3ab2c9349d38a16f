//! Endpoints: the same for those of applications, of sources, and those that get events about the
//! gateway itself. The path tells whose they are.
//!
//! Invariants: whoever only has a customer's portal token cannot open a private address, neither by
//! asking for it nor by giving an endpoint that may reach one another URL; what the operator's file
//! declares is not changed here; a change is told to everybody who remembers ([`told`]).
//!
//! Where next: `endpoint_headers`, `endpoint_secrets`, `endpoint_states`, `transformations`.

use std::sync::Arc;

use becket_model::{ApplicationKind, EndpointId, EndpointSettings, EndpointState, Origin};
use becket_store::vault::place;
use becket_store::{
    Application, Changed, Created, DocumentKind, DocumentName, Endpoint, EndpointChange,
    EndpointNew, Name, Owner, Slice,
};
use http::StatusCode;

use crate::access::Role;
use crate::apps::App;
use crate::call::{Answer, Call, JsonBody, Listed};
use crate::event_types::{self, EventTypeBody};
use crate::handlers::applications::{check_uid, taken, uid_after};
use crate::handlers::{applications, endpoint_headers, endpoint_secrets, operational, sources};
use crate::operational::{EndpointFacts, OperationalEvent};
use crate::page::Asked;
use crate::problem::{ApiError, Result};
use crate::turns;
use crate::wire::endpoints::{EndpointIn, EndpointPatch, FullEndpointOut};

/// The most event types that an endpoint may name.
const EVENT_TYPES_MAX: usize = 1_000;

/// Whose endpoints the path is about; `None` if it is the application for events about the gateway
/// itself, which does not exist yet. A source can be named where an application can.
async fn whose_if_any(call: &Call) -> Result<Option<Arc<App>>> {
    if call.route.path.contains("{app_id}") {
        let name = call.path("app_id");
        let found = match applications::find(call).await? {
            Some(app) => Some(app),
            None => sources::find(call, name).await?,
        };
        found.map(Some).ok_or_else(|| ApiError::not_found("application", name))
    } else if call.route.path.contains("{source_id}") {
        sources::named(call).await.map(Some)
    } else {
        operational::find(call).await
    }
}

/// Whose endpoint the path is about.
pub(crate) async fn whose(call: &Call) -> Result<Arc<App>> {
    whose_if_any(call).await?.ok_or_else(|| missing(call))
}

fn missing(call: &Call) -> ApiError {
    ApiError::not_found("endpoint", call.path("endpoint_id"))
}

/// How the path names the endpoint.
fn name(call: &Call) -> Name<EndpointId> {
    let name = call.path("endpoint_id");
    name.parse().map_or_else(|_| Name::Uid(name.to_owned()), Name::Id)
}

/// The endpoint that the path names, as it is in the store at this moment: by its id, or else by its
/// uid, which may look like an id; `None` if there is none.
async fn look_up(call: &Call, app: &App) -> Result<Option<Endpoint>> {
    let (store, name) = (call.store(), name(call));
    let looks_like_id = matches!(name, Name::Id(_));
    let found = store.endpoint_get(call.owner, app.key(), name).await?;
    if found.is_some() || !looks_like_id {
        return Ok(found);
    }
    let uid = Name::Uid(call.path("endpoint_id").to_owned());
    Ok(store.endpoint_get(call.owner, app.key(), uid).await?)
}

/// The endpoint that the path names, as it is in the store at this moment.
pub(crate) async fn present(call: &Call, app: &App) -> Result<Endpoint> {
    look_up(call, app).await?.ok_or_else(|| missing(call))
}

/// Refuses a uid that is the id of another endpoint of the application: an id in a path means what
/// has the id.
async fn check_no_id(
    call: &Call,
    app: &App,
    uid: Option<&str>,
    own: Option<EndpointId>,
) -> Result<()> {
    let Some(id) = uid.and_then(|uid| uid.parse::<EndpointId>().ok()) else { return Ok(()) };
    let found = call.store().endpoint_get(call.owner, app.key(), Name::Id(id)).await?;
    match found {
        Some(found) if Some(found.id) != own => Err(taken("endpoint", uid)),
        _ => Ok(()),
    }
}

/// What has happened to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happened {
    Created,
    Updated,
    Deleted,
    Enabled,
    Disabled,
    Paused,
    Resumed,
    HeadersChanged,
    FilterChanged,
    SecretRotated,
    TransformationChanged,
}

impl Happened {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "endpoint.created",
            Self::Updated => "endpoint.updated",
            Self::Deleted => "endpoint.deleted",
            Self::Enabled => "endpoint.enabled",
            Self::Disabled => "endpoint.disabled",
            Self::Paused => "endpoint.paused",
            Self::Resumed => "endpoint.resumed",
            Self::HeadersChanged => "endpoint.headers.changed",
            Self::FilterChanged => "endpoint.filter.changed",
            Self::SecretRotated => "endpoint.secret.rotated",
            Self::TransformationChanged => "endpoint.transformation.changed",
        }
    }

    /// What is told to the owner's operational endpoints.
    fn event(self, facts: EndpointFacts) -> Option<OperationalEvent> {
        Some(match self {
            Self::Created => OperationalEvent::EndpointCreated(facts),
            Self::Deleted => OperationalEvent::EndpointDeleted(facts),
            Self::Enabled => OperationalEvent::EndpointEnabled(facts),
            Self::Disabled => OperationalEvent::EndpointDisabled {
                endpoint: facts,
                fail_since_ms: None,
                automatic: false,
            },
            Self::Updated
            | Self::HeadersChanged
            | Self::FilterChanged
            | Self::TransformationChanged => OperationalEvent::EndpointUpdated(facts),
            Self::Paused | Self::Resumed | Self::SecretRotated => return None,
        })
    }
}

/// What everybody hears of a change: what is remembered here, the engine, the log, and the owner's
/// operational endpoints.
pub(crate) async fn told(
    call: &Call,
    application: &Application,
    endpoint: &Endpoint,
    happened: Happened,
) {
    let control = &call.shared.api.control;
    call.shared.apps.forget(application.key);
    control.endpoint_changed(call.owner, endpoint).await;
    if endpoint.state == EndpointState::Enabled {
        control.wake(endpoint.key).await;
    }
    call.audit(happened.as_str(), &endpoint.id);
    if let Some(event) = happened.event(EndpointFacts::of(application, endpoint)) {
        crate::operational::tell(&call.shared, call.owner, event).await;
    }
}

/// Changes an endpoint, without telling.
pub(crate) async fn change(
    call: &Call,
    endpoint: &Endpoint,
    change: EndpointChange,
) -> Result<Endpoint> {
    let uid = match &change {
        EndpointChange::Edit { uid, .. } => uid.clone(),
        _ => None,
    };
    match call.store().endpoint_change(call.owner, endpoint.id, change, call.now_ms()).await? {
        Changed::Done(endpoint) => Ok(endpoint),
        Changed::NameTaken => Err(taken("endpoint", uid.as_deref())),
        Changed::Absent => Err(ApiError::not_found("endpoint", &endpoint.name())),
        Changed::Meanwhile => Err(turns::quicker("endpoint", &endpoint.name())),
    }
}

/// Refuses to change what the operator's file declares.
pub(crate) fn check_changeable(endpoint: &Endpoint) -> Result<()> {
    if endpoint.origin == Origin::Api {
        return Ok(());
    }
    let name = endpoint.name();
    Err(ApiError::new("declared", format!("the endpoint `{name}` is in the operator's file"))
        .hint("change it there; here it can be paused, disabled and replayed to"))
}

/// Whether an endpoint may reach private addresses: only if an administrator of the installation's own
/// environment said so for this URL. Other environments are tenants, who share the network with others.
fn allow_private(
    call: &Call,
    asked: Option<bool>,
    url: &str,
    old: Option<&EndpointSettings>,
) -> Result<bool> {
    let admin = call.access.role == Role::Admin && call.owner == Owner::MAIN;
    match asked {
        Some(true) if !admin => Err(ApiError::new(
            "forbidden",
            "only an admin token of the first environment may set `allowPrivate`",
        )),
        Some(asked) => Ok(asked),
        None => Ok(old.is_some_and(|old| old.allow_private && (admin || old.url == url))),
    }
}

/// Checks what is new in the settings of an endpoint.
async fn check_settings(
    call: &Call,
    app: &App,
    new: &EndpointSettings,
    old: Option<&EndpointSettings>,
) -> Result<()> {
    let same_door =
        old.is_some_and(|old| old.url == new.url && old.allow_private == new.allow_private);
    if !same_door {
        let directory = &call.shared.api.directory;
        directory
            .url_check(&new.url, new.allow_private)
            .map_err(|why| ApiError::body("url", why))?;
    }
    if new.channels.as_ref().is_some_and(Vec::is_empty) {
        return Err(ApiError::body("channels", "must not be empty: leave it out for all"));
    }
    let Some(types) = &new.event_types else { return Ok(()) };
    if types.is_empty() || types.len() > EVENT_TYPES_MAX {
        let what = format!("has to have 1 to {EVENT_TYPES_MAX} names: leave it out for all");
        return Err(ApiError::body("eventTypes", what));
    }
    let before = old.and_then(|old| old.event_types.as_deref()).unwrap_or_default();
    let mut unknown = Vec::new();
    for name in types.iter().filter(|name| !before.contains(name)) {
        match app.application.kind {
            ApplicationKind::Source => {}
            ApplicationKind::Operational => {
                if !operational::EVENT_TYPES.contains(&name.as_str()) {
                    unknown.push(name.clone());
                }
            }
            ApplicationKind::Customer => {
                let document = event_types::document_name(name);
                let found = call.store().document_get(call.owner, document, call.now_ms()).await?;
                let known = found.as_ref().map(EventTypeBody::read).transpose()?;
                match known.filter(|known| known.shown_to(call.access.role.feature_flags())) {
                    Some(known) if known.archived => unknown.push(format!("{name} (archived)")),
                    Some(_) => {}
                    None => unknown.push(name.clone()),
                }
            }
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let what = format!("there are no event types with these names: {}", unknown.join(", "));
    let hint = match app.application.kind {
        ApplicationKind::Operational => {
            format!("there are {}", operational::EVENT_TYPES.join(", "))
        }
        _ => "make them first with POST /api/v1/event-type, which brings back archived ones too"
            .to_owned(),
    };
    Err(ApiError::body("eventTypes", what).hint(hint))
}

/// `GET …/endpoint`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<FullEndpointOut>>> {
    let read = |text: &str| text.parse().ok();
    // As the service does that the specification is of; it says nothing about the others.
    let asked: Asked<EndpointId> = match call.route.path.contains("{app_id}") {
        true => Asked::read_newest_first(&call, read)?,
        false => Asked::read(&call, read)?,
    };
    let Some(app) = whose_if_any(&call).await? else {
        return Ok(Answer::ok(Listed::new(Vec::new(), None, true)));
    };
    let fetch = async |slice: Slice<EndpointId>| {
        Ok(call.store().endpoint_list(call.owner, app.key(), slice).await?)
    };
    let page = asked.page(fetch, |endpoint: &Endpoint| endpoint.id.to_string()).await?;
    let Listed { data, iterator, prev_iterator, done } = page;
    let data = data.iter().map(FullEndpointOut::new).collect();
    Ok(Answer::ok(Listed { data, iterator, prev_iterator, done }))
}

async fn make(
    call: &Call,
    app: &App,
    body: EndpointIn,
    uid: Option<String>,
) -> Result<Answer<FullEndpointOut>> {
    let mut settings = body.settings(None)?;
    settings.allow_private = allow_private(call, body.allow_private, &body.url, None)?;
    check_settings(call, app, &settings, None).await?;
    check_no_id(call, app, uid.as_deref(), None).await?;
    let directory = &call.shared.api.directory;
    let now_ms = call.now_ms();
    let id = EndpointId::new(now_ms, super::random(call));
    let secret = match &body.secret {
        Some(text) => endpoint_secrets::checked("secret", text)?,
        None => endpoint_secrets::fresh(call),
    };
    let headers = endpoint_headers::checked(body.headers.unwrap_or_default())?;
    let state = match body.disabled {
        Some(true) => EndpointState::Disabled,
        _ => EndpointState::Enabled,
    };
    let new = EndpointNew {
        application: app.key(),
        id,
        uid: uid.clone(),
        settings,
        headers: endpoint_headers::sealed(call, id, &headers)?,
        secret: directory.seal(&place::endpoint_secret(id), secret.as_bytes())?,
        state,
    };
    match call.store().endpoint_create(call.owner, new, now_ms).await? {
        Created::New(endpoint) => {
            told(call, &app.application, &endpoint, Happened::Created).await;
            // Some upserts of the specification know no 201.
            let created = [Some(call.route.status), call.route.also].contains(&Some(201));
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            Ok(Answer(status, FullEndpointOut::new(&endpoint)))
        }
        Created::NameTaken(_) => Err(taken("endpoint", uid.as_deref())),
        Created::NoParent => Err(ApiError::not_found("application", &app.application.name())),
    }
}

/// `POST …/endpoint`
pub(crate) async fn create(
    call: Call,
    JsonBody(body): JsonBody<EndpointIn>,
) -> Result<Answer<FullEndpointOut>> {
    let app = match whose_if_any(&call).await? {
        Some(app) => app,
        None => operational::find_or_make(&call).await?,
    };
    let uid = body.uid.clone();
    make(&call, &app, body, uid).await
}

/// `GET …/endpoint/{endpoint_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<FullEndpointOut>> {
    let app = whose(&call).await?;
    Ok(Answer::ok(FullEndpointOut::new(&present(&call, &app).await?)))
}

/// Edits an endpoint where it differs, and sets whether it is disabled.
async fn edit(
    call: &Call,
    app: &App,
    endpoint: Endpoint,
    uid: Option<String>,
    settings: EndpointSettings,
    disabled: Option<bool>,
) -> Result<Endpoint> {
    let mut endpoint = endpoint;
    if uid != endpoint.uid || settings != endpoint.settings {
        check_changeable(&endpoint)?;
        check_settings(call, app, &settings, Some(&endpoint.settings)).await?;
        check_no_id(call, app, uid.as_deref(), Some(endpoint.id)).await?;
        endpoint = change(call, &endpoint, endpoint.edit(uid, settings)).await?;
        told(call, &app.application, &endpoint, Happened::Updated).await;
    }
    let (state, reason, happened) = match (disabled, endpoint.state) {
        (Some(true), EndpointState::Enabled | EndpointState::Paused) => {
            (EndpointState::Disabled, "disabled through the API", Happened::Disabled)
        }
        (Some(false), EndpointState::Disabled) => (EndpointState::Enabled, "", Happened::Enabled),
        _ => return Ok(endpoint),
    };
    let wanted = EndpointChange::State { state, reason: reason.to_owned() };
    let endpoint = change(call, &endpoint, wanted).await?;
    told(call, &app.application, &endpoint, happened).await;
    Ok(endpoint)
}

/// `PATCH …/endpoint/{endpoint_id}`
pub(crate) async fn patch(
    call: Call,
    JsonBody(body): JsonBody<EndpointPatch>,
) -> Result<Answer<FullEndpointOut>> {
    let app = whose(&call).await?;
    let _turn = call.shared.turns.take(app.key()).await;
    turns::again(|| async {
        let endpoint = present(&call, &app).await?;
        let mut settings = body.settings(&endpoint.settings)?;
        settings.allow_private =
            allow_private(&call, body.allow_private, &settings.url, Some(&endpoint.settings))?;
        let uid = body.uid.clone().unwrap_or_else(|| endpoint.uid.clone());
        let endpoint = edit(&call, &app, endpoint, uid, settings, body.disabled).await?;
        Ok(Answer::ok(FullEndpointOut::new(&endpoint)))
    })
    .await
}

/// `PUT …/endpoint/{endpoint_id}`
pub(crate) async fn upsert(
    call: Call,
    JsonBody(body): JsonBody<EndpointIn>,
) -> Result<Answer<FullEndpointOut>> {
    let (name, path) = (name(&call), call.path("endpoint_id"));
    let app = match (whose_if_any(&call).await?, &name) {
        (Some(app), _) => app,
        (None, Name::Id(_)) => return Err(missing(&call)),
        (None, Name::Uid(_)) => operational::find_or_make(&call).await?,
    };
    let _turn = call.shared.turns.take(app.key()).await;
    turns::again(|| async {
        let found = look_up(&call, &app).await?;
        let known = found.as_ref().and_then(|endpoint| endpoint.uid.as_deref());
        let uid = uid_after(body.uid.clone(), &name, path, known);
        let Some(endpoint) = found else {
            if matches!(name, Name::Id(_)) {
                return Err(missing(&call));
            }
            check_uid(uid.as_deref(), 256, "-_.")?;
            return make(&call, &app, body.clone(), uid).await;
        };
        let mut settings = body.settings(Some(&endpoint.settings))?;
        settings.allow_private =
            allow_private(&call, body.allow_private, &settings.url, Some(&endpoint.settings))?;
        let disabled = Some(body.disabled.unwrap_or(false));
        let endpoint = edit(&call, &app, endpoint, uid, settings, disabled).await?;
        Ok(Answer::ok(FullEndpointOut::new(&endpoint)))
    })
    .await
}

/// `DELETE …/endpoint/{endpoint_id}`
pub(crate) async fn delete(call: Call) -> Result<StatusCode> {
    let app = whose(&call).await?;
    let _turn = call.shared.turns.take(app.key()).await;
    let endpoint = present(&call, &app).await?;
    check_changeable(&endpoint)?;
    let state = EndpointState::Removed;
    let wanted = EndpointChange::State { state, reason: "deleted through the API".to_owned() };
    let endpoint = change(&call, &endpoint, wanted).await?;
    let name = DocumentName::of(DocumentKind::Transformation, app.key(), endpoint.id.to_string());
    call.store().document_remove(call.owner, name).await?;
    told(&call, &app.application, &endpoint, Happened::Deleted).await;
    Ok(StatusCode::NO_CONTENT)
}
