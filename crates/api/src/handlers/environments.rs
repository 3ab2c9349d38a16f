//! Tenants of the installation, and moving what an owner has defined from one to another.
//!
//! Invariants: numbers of tenants are given out once; what is imported is checked as a whole before
//! anything of it is written, and nothing is ever removed by it.

use becket_store::{
    DocumentContent, DocumentKind, DocumentName, Owner, Slice, Store, WriteIf, Written,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::call::{Answer, Call, JsonBody, Listed};
use crate::handlers::tokens::{self, TokenMade};
use crate::page::Asked;
use crate::problem::{ApiError, Result};
use crate::times;

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
