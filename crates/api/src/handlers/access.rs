//! Portal access: what a customer needs to see one application, and ending it.
//!
//! A link leads to the portal with a one-time code in its fragment, which browsers do not send to
//! servers; the portal exchanges it once for the token. The code's document is named by the hash of
//! the code and holds the token sealed.
//!
//! Invariants: a code is exchanged at most once and within [`CODE_MS`]; a portal token never makes
//! another one; failed exchanges are slowed like failed logins.

use std::sync::Arc;

use axum::Extension;
use becket_model::{ApplicationId, ApplicationKind};
use becket_store::vault::place;
use becket_store::{
    Application, DocumentContent, DocumentKind, DocumentName, Slice, WriteIf, Written,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::ClientAddress;
use crate::access::{Capability, Role, hex};
use crate::apps::App;
use crate::auth::Auth;
use crate::call::{Answer, Call, JsonBody};
use crate::handlers::applications;
use crate::handlers::tokens::{self, PORTAL_EXPIRY_S};
use crate::problem::{ApiError, Result};
use crate::wire::applications::ApplicationIn;

/// How long a one-time code can be exchanged, in milliseconds.
const CODE_MS: i64 = 3_600_000;
const SLICE: usize = 200;
const UID_CHARACTERS_MAX: usize = 256;

/// The application (of customers, else a source) with this id or uid, if the caller may see it.
pub(crate) async fn app_named(call: &Call, name: &str) -> Result<Arc<App>> {
    for kind in [ApplicationKind::Customer, ApplicationKind::Source] {
        if let Some(app) = app_of(call, kind, name).await? {
            return Ok(app);
        }
    }
    Err(ApiError::not_found("application", name))
}

/// The application of a kind with this id or uid, if it exists and the caller may see it.
async fn app_of(call: &Call, kind: ApplicationKind, name: &str) -> Result<Option<Arc<App>>> {
    let (apps, store) = (&call.shared.apps, call.store());
    let found = apps.find(store, call.owner, kind, name, call.now_ms()).await?;
    Ok(found.filter(|app| call.access.sees(app.key())))
}

/// The id by which the API knows an application or source.
pub(crate) fn public_id(application: &Application) -> String {
    match application.kind {
        ApplicationKind::Source => application.id.source().to_string(),
        ApplicationKind::Customer | ApplicationKind::Operational => application.id.to_string(),
    }
}

/// What a portal access may do and how long.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PortalIn {
    application: Option<ApplicationIn>,
    capabilities: Option<Vec<Capability>>,
    expiry: Option<u64>,
    feature_flags: Option<Vec<String>>,
    read_only: Option<bool>,
    session_id: Option<String>,
}

/// A portal access (`AppPortalAccessOut`).
#[derive(Serialize)]
pub(crate) struct PortalOut {
    url: String,
    token: String,
}

/// `POST /api/v1/auth/app-portal-access/{app_id}`
pub(crate) async fn portal(
    call: Call,
    JsonBody(body): JsonBody<PortalIn>,
) -> Result<Answer<PortalOut>> {
    let name = call.path("app_id").to_owned();
    let app = match (app_of(&call, ApplicationKind::Customer, &name).await?, &body.application) {
        (Some(app), _) => app,
        (None, Some(wanted)) => make_application(&call, &name, wanted).await?,
        (None, None) => app_named(&call, &name).await?,
    };
    give_access(&call, &app, body).await.map(Answer::ok)
}

/// `POST /ingest/api/v1/source/{source_id}/dashboard`
pub(crate) async fn source_portal(
    call: Call,
    JsonBody(body): JsonBody<PortalIn>,
) -> Result<Answer<PortalOut>> {
    let name = call.path("source_id");
    let source = app_of(&call, ApplicationKind::Source, name).await?;
    let source = source.ok_or_else(|| ApiError::not_found("source", name))?;
    give_access(&call, &source, body).await.map(Answer::ok)
}

async fn make_application(call: &Call, name: &str, wanted: &ApplicationIn) -> Result<Arc<App>> {
    if name.parse::<ApplicationId>().is_ok() {
        return Err(ApiError::not_found("application", name)
            .hint("to make it on the way, name it by its uid in the path"));
    }
    if wanted.uid.as_deref().is_some_and(|uid| uid != name) {
        return Err(ApiError::body("application.uid", "differs from the uid in the path"));
    }
    let uid = Some(name.to_owned());
    applications::check_uid(uid.as_deref(), UID_CHARACTERS_MAX, "-_.")?;
    // Somebody may have been quicker; then it is there as well.
    applications::make(call, wanted, uid).await?;
    app_named(call, name).await
}

async fn give_access(call: &Call, app: &App, body: PortalIn) -> Result<PortalOut> {
    let capabilities = match (body.read_only, body.capabilities.as_deref()) {
        (Some(true), _) => vec![Capability::ViewBase],
        (_, Some(given)) => Capability::closed(given),
        (_, None) => Capability::ALL.to_vec(),
    };
    let role = Role::Portal {
        application: app.key(),
        capabilities,
        session_id: body.session_id,
        feature_flags: body.feature_flags.unwrap_or_default(),
    };
    let expiry_s = body.expiry.unwrap_or(PORTAL_EXPIRY_S);
    let name = format!("portal of {}", app.application.name());
    let made = tokens::make(call, call.owner, name, role, Some(expiry_s)).await?;
    let code = keep_code(call, app, &made.token).await?;
    call.audit("portal.access_given", &public_id(&app.application));
    let url = format!("{}/portal/#token={code}", call.shared.api.directory.public_url());
    Ok(PortalOut { url, token: made.token })
}

fn code_name(application: Option<becket_model::ApplicationKey>, code: &str) -> DocumentName {
    let name = hex(&Auth::hash(code));
    DocumentName { kind: DocumentKind::OneTimeCode, application, name }
}

/// Keeps a token under a fresh one-time code.
async fn keep_code(call: &Call, app: &App, token: &str) -> Result<String> {
    let (api, now_ms) = (&call.shared.api, call.now_ms());
    let mut bytes = [0; 32];
    api.noise.fill(&mut bytes);
    let code = format!("otc_{}", hex(&bytes));
    let name = code_name(Some(app.key()), &code);
    let sealed = api.directory.seal(&place::document(&name), token.as_bytes())?;
    let content = DocumentContent {
        body: "{}".to_owned(),
        sealed: Some(sealed),
        expires_at_ms: Some(now_ms.saturating_add(CODE_MS)),
    };
    match api.store.document_put(call.owner, name, content, WriteIf::Absent, now_ms).await? {
        Written::Created(_) | Written::Replaced(_) => Ok(code),
        Written::Refused(_) => {
            Err(ApiError::new("changed_meanwhile", "the application was removed meanwhile"))
        }
    }
}

/// A code to be exchanged.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OneTimeTokenIn {
    one_time_token: String,
}

/// The token that a code stood for.
#[derive(Serialize)]
pub(crate) struct OneTimeTokenOut {
    token: String,
}

/// `POST /api/v1/auth/one-time-token`
pub(crate) async fn exchange(
    call: Call,
    from: Option<Extension<ClientAddress>>,
    JsonBody(body): JsonBody<OneTimeTokenIn>,
) -> Result<Answer<OneTimeTokenOut>> {
    let (api, now_ms) = (&call.shared.api, call.now_ms());
    let from = from.map(|Extension(address)| address.0);
    api.auth.slow_down(from, now_ms)?;
    let refused = async || {
        api.auth.count_failure(from, now_ms);
        call.shared.audit_failed_sign_in(from, "one-time code", "unknown, used or too old").await;
        ApiError::new("unauthorized", "the one-time code is unknown, used or too old")
            .hint("ask for a new link")
    };
    let hash = code_name(None, &body.one_time_token).name;
    let found = api.store.document_find(DocumentKind::OneTimeCode, &hash, now_ms).await?;
    let Some((owner, document)) = found else { return Err(refused().await) };
    // Whoever removes it has it: of two that come at once, one.
    if !api.store.document_remove(owner, document.name.clone()).await? {
        return Err(refused().await);
    }
    let sealed = document.content.sealed.unwrap_or_default();
    let token = api.directory.open(&place::document(&document.name), &sealed)?;
    let token = String::from_utf8(token.to_vec())
        .map_err(|_| ApiError::new("event_damaged", "the kept token cannot be read"))?;
    // It may have been expired since.
    if call.shared.tokens.find(api.store.as_ref(), &token, now_ms).await?.is_none() {
        return Err(refused().await);
    }
    call.audit("portal.code_exchanged", &public_name(document.name.application));
    Ok(Answer::ok(OneTimeTokenOut { token }))
}

fn public_name(application: Option<becket_model::ApplicationKey>) -> String {
    application.map_or_else(String::new, |key| format!("application {}", key.0))
}

/// Whose tokens end, and when.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ExpireIn {
    expiry: Option<i64>,
    session_ids: Option<Vec<String>>,
}

/// `POST /api/v1/auth/app/{app_id}/expire-all`
pub(crate) async fn expire_all(
    call: Call,
    JsonBody(body): JsonBody<ExpireIn>,
) -> Result<StatusCode> {
    let app = app_named(&call, call.path("app_id")).await?;
    let (store, now_ms) = (call.store(), call.now_ms());
    let sessions = body.session_ids.filter(|sessions| !sessions.is_empty());
    let expiry_s = body.expiry.unwrap_or(0).max(0);
    let ends_at_ms = now_ms.saturating_add(expiry_s.saturating_mul(1_000));
    let mut after = None;
    loop {
        let slice = Slice { limit: SLICE, after: after.take(), descending: false };
        let kind = DocumentKind::Token;
        let found = store.document_list(call.owner, kind, Some(app.key()), slice, now_ms).await?;
        let more = found.len() == SLICE;
        after = found.last().map(|document| document.name.name.clone());
        for document in found {
            let Role::Portal { session_id, .. } = tokens::body_of(&document)?.role else {
                continue;
            };
            let meant = sessions.as_ref().is_none_or(|sessions| {
                session_id.is_some_and(|session| sessions.contains(&session))
            });
            let lasts = document.content.expires_at_ms.is_none_or(|at_ms| at_ms > ends_at_ms);
            if !meant || !lasts {
                continue;
            }
            if expiry_s == 0 {
                store.document_remove(call.owner, document.name).await?;
                continue;
            }
            let content =
                DocumentContent { expires_at_ms: Some(ends_at_ms), ..document.content.clone() };
            let condition = WriteIf::Revision(document.revision);
            // Refused: it was revoked meanwhile, or shortened by somebody else.
            store.document_put(call.owner, document.name, content, condition, now_ms).await?;
        }
        if !more {
            break;
        }
    }
    call.shared.tokens.forget();
    call.audit("portal.access_ended", &public_id(&app.application));
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/auth/logout`
pub(crate) async fn logout(call: Call) -> Result<StatusCode> {
    let (Role::Portal { application, .. }, Some(id)) = (&call.access.role, call.access.token)
    else {
        return Err(ApiError::new("forbidden", "only a portal token can be logged out")
            .hint("`DELETE /api/v1/becket/token/{token_id}` revokes the others"));
    };
    let name = DocumentName::of(DocumentKind::Token, *application, id.to_string());
    call.store().document_remove(call.owner, name).await?;
    call.shared.tokens.forget();
    call.audit("token.logged_out", &id);
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_by_their_hash() {
        let name = code_name(None, "otc_x");
        assert_eq!(name.name.len(), 64);
        assert!(!name.name.contains("otc"));
    }
}
