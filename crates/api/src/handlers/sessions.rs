//! Signing in with a browser: a token is exchanged for a cookie, and the session ends again.
//!
//! Invariants: a token that opens nothing is refused and slowed as everywhere; a portal token gets no
//! session, because portals are shown inside other sites' pages; signing out always succeeds.

use axum::response::{AppendHeaders, IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::auth::Auth;
use crate::call::{Answer, Call, JsonBody};
use crate::cookies::{Cookie, Way, check_sign_in, needs_https};
use crate::handlers::tokens::SelfOut;
use crate::problem::{ApiError, Result};
use crate::sessions::{MadeFrom, cookie_s};

/// Where signing in elsewhere begins.
pub(crate) const START: &str = "/api/v1/becket/oidc/start";

/// How somebody can sign in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignInOut {
    token: bool,
    oidc: Option<OidcOut>,
    version: &'static str,
}

/// The other place where people sign in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OidcOut {
    name: String,
    start_url: &'static str,
}

/// `GET /api/v1/becket/sign-in`
pub(crate) async fn ways(call: Call) -> Result<Answer<SignInOut>> {
    let door = call.shared.api.directory.sign_in();
    let oidc = door.map(|door| OidcOut { name: door.name(), start_url: START });
    Ok(Answer::ok(SignInOut { token: true, oidc, version: env!("CARGO_PKG_VERSION") }))
}

/// Who signs in.
#[derive(Deserialize)]
pub(crate) struct SessionIn {
    token: String,
}

/// `POST /api/v1/becket/session`
pub(crate) async fn begin(call: Call, JsonBody(body): JsonBody<SessionIn>) -> Result<Response> {
    let (shared, now_ms, way) = (&call.shared, call.now_ms(), call.way());
    if way == Way::Plain {
        return Err(needs_https());
    }
    check_sign_in(shared, &call.headers, way)?;
    let (api, from) = (&shared.api, call.from.map(|from| from.0));
    api.auth.slow_down(from, now_ms)?;
    let token = body.token.trim();
    let found = api.auth.holder(token, now_ms, api.store.as_ref(), &shared.tokens).await?;
    let Some(access) = found else {
        api.auth.count_failure(from, now_ms);
        shared.audit_failed_sign_in(from, "token", "the token is not valid").await;
        return Err(Auth::refused());
    };
    if matches!(access.role, Role::Portal { .. }) {
        return Err(ApiError::new("forbidden", "a portal token opens the portal, not a session")
            .hint("use a token of an admin, a developer or a viewer"));
    }
    let made_from = match access.token {
        Some(id) => MadeFrom::Token { id },
        None => MadeFrom::Operator { mark: api.auth.mark_of(token) },
    };
    let name = access.name.as_deref().map(str::to_owned);
    let begun = shared.session_begin(access.owner, made_from, name).await?;
    shared.audit_sign_in(&begun.access, from, "session.begun", Some("by token".to_owned())).await;
    let out = SelfOut::of(api.store.as_ref(), &begun.access).await?;
    let cookie = Cookie::Session.set(&begun.value, cookie_s(), way)?;
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Answer::ok(out)).into_response())
}

/// `DELETE /api/v1/becket/session`
pub(crate) async fn end(call: Call) -> Result<Response> {
    let (shared, way) = (&call.shared, call.way());
    if way == Way::Plain {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    check_sign_in(shared, &call.headers, way)?;
    if let Some(value) = Cookie::Session.read(&call.headers, way)
        && let Some(access) = shared.session_end(value).await?
    {
        let from = call.from.map(|from| from.0);
        shared.audit_sign_in(&access, from, "session.ended", None).await;
    }
    let cookie = Cookie::Session.set("", 0, way)?;
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, cookie)])).into_response())
}
