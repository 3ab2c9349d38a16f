//! Tokens that open the API: made, listed, revoked. The text of one is shown once, when it is made.
//!
//! Invariants: a token is one of its owner; a portal token is a document of its application, so that
//! it goes with it; after every change what is remembered of tokens is forgotten at once.

use becket_model::{ApplicationKey, TokenId};
use becket_store::{
    Document, DocumentContent, DocumentKind, DocumentName, Owner, Slice, Store, WriteIf, Written,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::access::{self, Access, Capability, Role, TokenBody};
use crate::call::{Answer, Call, JsonBody, Listed};
use crate::handlers::access::app_named;
use crate::page::Asked;
use crate::problem::{ApiError, Result};
use crate::times;

/// How long a portal token holds if nothing is said, in seconds.
pub(crate) const PORTAL_EXPIRY_S: u64 = 7 * 24 * 3_600;

/// A token to be made.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenIn {
    name: String,
    role: RoleName,
    payloads: Option<bool>,
    application: Option<String>,
    capabilities: Option<Vec<Capability>>,
    expiry: Option<u64>,
}

/// What a token is good for, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleName {
    Admin,
    Developer,
    Viewer,
    /// How a viewer who sees payloads was called first.
    ReadOnly,
    Portal,
}

/// A token without its text.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenOut {
    id: String,
    name: String,
    role: RoleName,
    payloads: bool,
    capabilities: Option<Vec<Capability>>,
    session_id: Option<String>,
    created_at: String,
    expires_at: Option<String>,
}

/// A fresh token with its text.
#[derive(Serialize)]
pub(crate) struct TokenMade {
    #[serde(flatten)]
    pub about: TokenOut,
    pub token: String,
}

impl TokenOut {
    fn new(document: &Document) -> Result<Self> {
        let body = body_of(document)?;
        let payloads = body.role.payloads();
        let (role, capabilities, session_id) = match body.role {
            Role::Admin => (RoleName::Admin, None, None),
            Role::Developer { .. } => (RoleName::Developer, None, None),
            Role::Viewer { .. } => (RoleName::Viewer, None, None),
            Role::Portal { capabilities, session_id, .. } => {
                (RoleName::Portal, Some(capabilities), session_id)
            }
        };
        Ok(Self {
            id: document.name.name.clone(),
            name: body.name,
            role,
            payloads,
            capabilities,
            session_id,
            created_at: times::text(document.created_at_ms),
            expires_at: document.content.expires_at_ms.map(times::text),
        })
    }
}

/// What is kept of a token.
pub(crate) fn body_of(document: &Document) -> Result<TokenBody> {
    serde_json::from_str(&document.content.body).map_err(|error| {
        let name = &document.name.name;
        ApiError::new("event_damaged", format!("the token `{name}` cannot be read: {error}"))
    })
}

/// Makes a token for an owner and keeps its hash.
pub(crate) async fn make(
    call: &Call,
    owner: Owner,
    name: String,
    role: Role,
    expiry_s: Option<u64>,
) -> Result<TokenMade> {
    let api = &call.shared.api;
    let now_ms = call.now_ms();
    let application: Option<ApplicationKey> = match &role {
        Role::Portal { application, .. } => Some(*application),
        Role::Admin | Role::Developer { .. } | Role::Viewer { .. } => None,
    };
    let (id, token, hash) = access::fresh(api.noise.as_ref(), now_ms);
    let body = serde_json::to_string(&TokenBody { hash, name, role }).map_err(|error| {
        ApiError::new("event_damaged", format!("the token cannot be written: {error}"))
    })?;
    let expires_at_ms =
        expiry_s.map(|seconds| now_ms.saturating_add_unsigned(seconds.saturating_mul(1_000)));
    let document = DocumentName { kind: DocumentKind::Token, application, name: id.to_string() };
    let content = DocumentContent { body, sealed: None, expires_at_ms };
    match api.store.document_put(owner, document, content, WriteIf::Absent, now_ms).await? {
        Written::Created(document) | Written::Replaced(document) => {
            Ok(TokenMade { about: TokenOut::new(&document)?, token })
        }
        Written::Refused(_) => {
            Err(ApiError::new("changed_meanwhile", "the application was removed meanwhile"))
        }
    }
}

/// `POST /api/v1/becket/token`
pub(crate) async fn create(
    call: Call,
    JsonBody(body): JsonBody<TokenIn>,
) -> Result<Answer<TokenMade>> {
    let portal = body.role == RoleName::Portal;
    if !portal && (body.application.is_some() || body.capabilities.is_some()) {
        return Err(ApiError::body("application", "is only for the role `portal`"));
    }
    let fixed = !matches!(body.role, RoleName::Developer | RoleName::Viewer);
    if body.payloads == Some(false) && fixed {
        let what = "can only be taken from the roles `developer` and `viewer`";
        return Err(ApiError::body("payloads", what));
    }
    let payloads = body.payloads.unwrap_or(false);
    let (role, expiry) = match (body.role, body.application) {
        (RoleName::Admin, _) => (Role::Admin, body.expiry),
        (RoleName::Developer, _) => (Role::Developer { payloads }, body.expiry),
        (RoleName::Viewer, _) => (Role::Viewer { payloads }, body.expiry),
        (RoleName::ReadOnly, _) => (Role::Viewer { payloads: true }, body.expiry),
        (RoleName::Portal, Some(name)) => {
            let app = app_named(&call, &name).await?;
            let capabilities = body.capabilities.as_deref().unwrap_or(&Capability::ALL);
            let role = Role::Portal {
                application: app.key(),
                capabilities: Capability::closed(capabilities),
                session_id: None,
                feature_flags: Vec::new(),
            };
            (role, Some(body.expiry.unwrap_or(PORTAL_EXPIRY_S)))
        }
        (RoleName::Portal, None) => {
            return Err(ApiError::body("application", "is needed for the role `portal`"));
        }
    };
    let made = make(&call, call.owner, body.name, role, expiry).await?;
    call.audit("token.created", &made.about.id);
    Ok(Answer(StatusCode::CREATED, made))
}

/// `GET /api/v1/becket/token`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<TokenOut>>> {
    let application = match call.text("application") {
        Some(name) => Some(app_named(&call, name).await?.key()),
        None => None,
    };
    let (owner, now_ms, store) = (call.owner, call.now_ms(), call.store());
    let asked = Asked::read(&call, |text| text.parse::<TokenId>().ok().map(|id| id.to_string()))?;
    let fetch = async |slice: Slice<String>| {
        let kind = DocumentKind::Token;
        let found = store.document_list(owner, kind, application, slice, now_ms).await?;
        found.iter().map(TokenOut::new).collect::<Result<Vec<_>>>()
    };
    let page = asked.page(fetch, |token: &TokenOut| token.id.clone()).await?;
    Ok(Answer::ok(page))
}

async fn named(call: &Call) -> Result<Document> {
    let name = call.path("token_id");
    let missing = || ApiError::not_found("token", name);
    let id: TokenId = name.parse().map_err(|_| missing())?;
    let store = call.store();
    match store.document_find(DocumentKind::Token, &id.to_string(), call.now_ms()).await? {
        Some((owner, document)) if owner == call.owner => Ok(document),
        _ => Err(missing()),
    }
}

/// `GET /api/v1/becket/token/{token_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<TokenOut>> {
    Ok(Answer::ok(TokenOut::new(&named(&call).await?)?))
}

/// `DELETE /api/v1/becket/token/{token_id}`
pub(crate) async fn revoke(call: Call) -> Result<StatusCode> {
    let document = named(&call).await?;
    let id = document.name.name.clone();
    if !call.store().document_remove(call.owner, document.name).await? {
        return Err(ApiError::not_found("token", &id));
    }
    call.shared.tokens.forget();
    call.audit("token.revoked", &id);
    Ok(StatusCode::NO_CONTENT)
}

/// Who is asking.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SelfOut {
    environment: u32,
    operator: bool,
    role: RoleName,
    payloads: bool,
    name: Option<String>,
    session: bool,
    expires_at: Option<String>,
    token_id: Option<String>,
    application_id: Option<String>,
    application_kind: Option<&'static str>,
    capabilities: Option<Vec<Capability>>,
    feature_flags: Option<Vec<String>>,
}

impl SelfOut {
    /// What a caller may know about itself.
    pub async fn of(store: &dyn Store, access: &Access) -> Result<Self> {
        let mut out = Self {
            environment: access.owner.number(),
            operator: access.operator,
            role: RoleName::Admin,
            payloads: access.role.payloads(),
            name: access.name.as_deref().map(str::to_owned),
            session: access.session.is_some(),
            expires_at: access.expires_at_ms.map(times::text),
            token_id: access.token.map(|id| id.to_string()),
            application_id: None,
            application_kind: None,
            capabilities: None,
            feature_flags: None,
        };
        match &access.role {
            Role::Admin => {}
            Role::Developer { .. } => out.role = RoleName::Developer,
            Role::Viewer { .. } => out.role = RoleName::Viewer,
            Role::Portal { application, capabilities, feature_flags, .. } => {
                let snapshot = store.config_list(access.owner).await?;
                let known = snapshot.application(*application).filter(|known| !known.removed);
                let missing = || ApiError::not_found("application", "of the token");
                let known = known.ok_or_else(missing)?;
                out.role = RoleName::Portal;
                out.application_id = Some(crate::handlers::access::public_id(known));
                out.application_kind = Some(known.kind.as_str());
                out.capabilities = Some(capabilities.clone());
                out.feature_flags = Some(feature_flags.clone());
            }
        }
        Ok(out)
    }
}

/// `GET /api/v1/becket/self`
pub(crate) async fn asking(call: Call) -> Result<Answer<SelfOut>> {
    Ok(Answer::ok(SelfOut::of(call.store(), &call.access).await?))
}
