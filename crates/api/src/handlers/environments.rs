//! Tenants of the installation, and moving what an owner has defined from one to another.
//!
//! Invariants: numbers of tenants are given out once; what is imported is checked as a whole before
//! anything of it is written, and nothing is ever removed by it.

use std::collections::BTreeMap;

use becket_store::{
    DocumentContent, DocumentKind, DocumentName, Owner, Slice, Store, WriteIf, Written,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::access::Role;
use crate::call::{Answer, Call, JsonBody, Listed};
use crate::event_types;
use crate::handlers::event_types as event_types_of;
use crate::handlers::tokens::{self, TokenMade};
use crate::page::Asked;
use crate::problem::{ApiError, Result};
use crate::times;
use crate::wire::event_types::{EventTypeIn, EventTypeOut};

const SLICE: usize = 200;
const TRIES_MAX: usize = 20;

/// What is kept of a tenant.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    name: String,
}

/// A tenant to be made.
#[derive(Debug, Deserialize)]
pub(crate) struct TenantIn {
    name: String,
}

/// A tenant.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantOut {
    number: u32,
    name: String,
    created_at: String,
}

/// A fresh tenant with its first token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantMade {
    #[serde(flatten)]
    about: TenantOut,
    admin_token: TokenMade,
}

fn name_of(owner: Owner) -> DocumentName {
    // Ten digits, so that names are ordered as numbers are.
    DocumentName::of_owner(DocumentKind::Environment, format!("{:010}", owner.number()))
}

/// Every tenant that was made.
pub(crate) async fn owners(store: &dyn Store, now_ms: i64) -> Result<Vec<Owner>> {
    let mut owners = Vec::new();
    let mut after = None;
    loop {
        let slice = Slice { limit: SLICE, after: after.take(), descending: false };
        let kind = DocumentKind::Environment;
        let found = store.document_list(Owner::MAIN, kind, None, slice, now_ms).await?;
        let more = found.len() == SLICE;
        after = found.last().map(|document| document.name.name.clone());
        let numbers = found.iter().filter_map(|document| document.name.name.parse().ok());
        owners.extend(numbers.map(Owner::new));
        if !more {
            return Ok(owners);
        }
    }
}

/// `POST /api/v1/becket/environment`
pub(crate) async fn create(
    call: Call,
    JsonBody(body): JsonBody<TenantIn>,
) -> Result<Answer<TenantMade>> {
    let (store, now_ms) = (call.store(), call.now_ms());
    let known = owners(store, now_ms).await?.into_iter().chain(store.owner_list().await?);
    let highest = known.map(Owner::number).max().unwrap_or_default().max(Owner::MAIN.number());
    let content = |name: &str| -> Result<DocumentContent> {
        let body = serde_json::to_string(&Kept { name: name.to_owned() }).map_err(|error| {
            ApiError::new("event_damaged", format!("the name cannot be written: {error}"))
        })?;
        Ok(DocumentContent { body, ..DocumentContent::default() })
    };
    for (number, _) in (highest.saturating_add(1)..u32::MAX).zip(0..TRIES_MAX) {
        let owner = Owner::new(number);
        let content = content(&body.name)?;
        let written = store
            .document_put(Owner::MAIN, name_of(owner), content, WriteIf::Absent, now_ms)
            .await?;
        let Written::Created(document) = written else { continue };
        let made = tokens::make(&call, owner, "first".to_owned(), Role::Admin, None).await?;
        call.audit("environment.created", &number);
        let created_at = times::text(document.created_at_ms);
        let about = TenantOut { number, name: body.name, created_at };
        return Ok(Answer(StatusCode::CREATED, TenantMade { about, admin_token: made }));
    }
    Err(ApiError::new("changed_meanwhile", "others made environments at the same time")
        .hint("repeat the request"))
}

/// `GET /api/v1/becket/environment`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<TenantOut>>> {
    let (store, now_ms) = (call.store(), call.now_ms());
    let asked = Asked::read(&call, |text| {
        text.parse().ok().map(|number| name_of(Owner::new(number)).name)
    })?;
    let fetch = async |slice: Slice<String>| {
        let kind = DocumentKind::Environment;
        let found = store.document_list(Owner::MAIN, kind, None, slice, now_ms).await?;
        let read = found.iter().map(|document| {
            let damaged = || {
                let name = &document.name.name;
                ApiError::new("event_damaged", format!("environment `{name}` cannot be read"))
            };
            let kept: Kept = serde_json::from_str(&document.content.body).map_err(|_| damaged())?;
            let number = document.name.name.parse().map_err(|_| damaged())?;
            let created_at = times::text(document.created_at_ms);
            Ok(TenantOut { number, name: kept.name, created_at })
        });
        read.collect::<Result<Vec<_>>>()
    };
    let page = asked.page(fetch, |tenant: &TenantOut| tenant.number.to_string()).await?;
    Ok(Answer::ok(page))
}

/// The document that holds the settings of an owner.
fn settings_name() -> DocumentName {
    DocumentName::of_owner(DocumentKind::Setting, "environment")
}

/// What an owner has defined (`EnvironmentOut`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnvironmentOut {
    version: u8,
    created_at: String,
    event_types: Vec<EventTypeOut>,
    settings: Map<String, Value>,
    /// There are no connectors here.
    connectors: [Value; 0],
}

/// `POST /api/v1/environment/export`
pub(crate) async fn export(call: Call) -> Result<Answer<EnvironmentOut>> {
    let (store, now_ms) = (call.store(), call.now_ms());
    let documents = event_types::documents(store, call.owner, now_ms).await?;
    let event_types = documents.iter().map(|document| EventTypeOut::new(document, true));
    let (settings, _) = settings(&call).await?;
    Ok(Answer::ok(EnvironmentOut {
        version: 1,
        created_at: times::text(now_ms),
        event_types: event_types.collect::<Result<_>>()?,
        settings,
        connectors: [],
    }))
}

/// The settings of the caller's owner, and under which condition they may be written.
async fn settings(call: &Call) -> Result<(Map<String, Value>, WriteIf)> {
    let found = call.store().document_get(call.owner, settings_name(), call.now_ms()).await?;
    let Some(document) = found else { return Ok((Map::new(), WriteIf::Absent)) };
    let settings = serde_json::from_str(&document.content.body).map_err(|error| {
        ApiError::new("event_damaged", format!("the settings cannot be read: {error}"))
    })?;
    Ok((settings, WriteIf::Revision(document.revision)))
}

/// What is to be defined (`EnvironmentIn`).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvironmentIn {
    event_types: Option<Vec<EventTypeIn>>,
    settings: Option<Map<String, Value>>,
    connectors: Option<Vec<Value>>,
}

/// `POST /api/v1/environment/import`
pub(crate) async fn import(
    call: Call,
    JsonBody(body): JsonBody<EnvironmentIn>,
) -> Result<StatusCode> {
    if body.connectors.is_some_and(|connectors| !connectors.is_empty()) {
        let what = "connectors cannot be imported";
        return Err(ApiError::body("connectors", what).hint("leave them out"));
    }
    let enforced = body.settings.as_ref().and_then(|settings| settings.get("enforceSchemas"));
    if enforced.is_some_and(|enforced| !enforced.is_boolean()) {
        return Err(ApiError::body("settings.enforceSchemas", "is not true or false"));
    }
    let mut types: BTreeMap<String, EventTypeIn> = BTreeMap::new();
    for (at, given) in body.event_types.into_iter().flatten().enumerate() {
        let field = format!("eventTypes.{at}");
        let name = given.name.clone().unwrap_or_default();
        event_types_of::check_name(&name)?;
        event_types_of::check(&given.body(None)).map_err(|error| {
            let what = format!("`{name}`: {error}");
            ApiError::body(&field, what)
        })?;
        if types.insert(name.clone(), given).is_some() {
            return Err(ApiError::body(&field, format!("`{name}` is there twice")));
        }
    }
    // Everything is good: from here on only the store can refuse.
    for (name, given) in &types {
        event_types_of::put(&call, name, given).await?;
    }
    if let Some(given) = body.settings {
        write_settings(&call, given).await?;
    }
    if !types.is_empty() {
        event_types_of::tell_schedules(&call).await?;
    }
    call.audit("environment.imported", &format_args!("{} event types", types.len()));
    Ok(StatusCode::NO_CONTENT)
}

/// Adds what is given to the settings; what is not named stays.
async fn write_settings(call: &Call, given: Map<String, Value>) -> Result<()> {
    for _ in 0..TRIES_MAX {
        let (mut settings, condition) = settings(call).await?;
        settings.extend(given.clone());
        let body = Value::Object(settings).to_string();
        let content = DocumentContent { body, ..DocumentContent::default() };
        let written = call
            .store()
            .document_put(call.owner, settings_name(), content, condition, call.now_ms())
            .await?;
        if !matches!(written, Written::Refused(_)) {
            call.shared.event_types.forget(call.owner);
            return Ok(());
        }
    }
    Err(ApiError::new("changed_meanwhile", "others changed the settings at the same time")
        .hint("repeat the request"))
}
