//! Integrations: programs that act for an application with a key of their own, which is good for
//! that application only.

use becket_model::{IntegrationId, TokenId};
use becket_store::{
    Document, DocumentContent, DocumentKind, DocumentName, Slice, WriteIf, Written,
};
use http::StatusCode;

use crate::access::{self, Capability, Role, TokenBody};
use crate::apps::App;
use crate::call::{Answer, Call, JsonBody, Listed};
use crate::handlers::applications;
use crate::page::Asked;
use crate::problem::{ApiError, Result};
use crate::wire::applications::{
    IntegrationBody, IntegrationIn, IntegrationKeyOut, IntegrationOut,
};

const KIND: DocumentKind = DocumentKind::Integration;

fn missing(call: &Call) -> ApiError {
    ApiError::not_found("integration", call.path("integ_id"))
}

fn body_of(document: &Document) -> Result<IntegrationBody> {
    serde_json::from_str(&document.content.body).map_err(|_| {
        let what = format!("the stored integration {} cannot be read", document.name.name);
        ApiError::new("event_damaged", what)
    })
}

fn shown(document: &Document) -> Result<IntegrationOut> {
    Ok(IntegrationOut::new(document, body_of(document)?))
}

/// The integration that the path names.
async fn present(call: &Call, app: &App) -> Result<(Document, IntegrationBody)> {
    let id: IntegrationId = call.path("integ_id").parse().map_err(|_| missing(call))?;
    let name = DocumentName::of(KIND, app.key(), id.to_string());
    let found = call.store().document_get(call.owner, name, call.now_ms()).await?;
    let document = found.ok_or_else(|| missing(call))?;
    let body = body_of(&document)?;
    Ok((document, body))
}

async fn write(
    call: &Call,
    name: DocumentName,
    body: &IntegrationBody,
    condition: WriteIf,
) -> Result<Document> {
    let content =
        DocumentContent { body: serde_json::json!(body).to_string(), ..DocumentContent::default() };
    match call.store().document_put(call.owner, name, content, condition, call.now_ms()).await? {
        Written::Created(document) | Written::Replaced(document) => Ok(document),
        Written::Refused(_) => {
            Err(ApiError::new("changed_meanwhile", "the integration was changed at the same time"))
        }
    }
}

fn token_name(app: &App, token: &str) -> DocumentName {
    DocumentName::of(DocumentKind::Token, app.key(), token)
}

/// Writes the token that is the key of an integration.
async fn write_token(
    call: &Call,
    app: &App,
    integration: &str,
    token: &str,
    hash: String,
    feature_flags: &[String],
) -> Result<()> {
    let body = TokenBody {
        hash,
        name: format!("integration {integration}"),
        role: Role::Portal {
            application: app.key(),
            capabilities: Capability::ALL.to_vec(),
            session_id: None,
            feature_flags: feature_flags.to_vec(),
        },
    };
    let content =
        DocumentContent { body: serde_json::json!(body).to_string(), ..DocumentContent::default() };
    let name = token_name(app, token);
    let now_ms = call.now_ms();
    call.store().document_put(call.owner, name, content, WriteIf::Always, now_ms).await?;
    Ok(())
}

/// `GET …/integration`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<IntegrationOut>>> {
    let app = applications::named(&call).await?;
    let read = |text: &str| text.parse::<IntegrationId>().ok().map(|id| id.to_string());
    let asked: Asked<String> = Asked::read(&call, read)?;
    let fetch = async |slice: Slice<String>| {
        let (owner, key) = (call.owner, Some(app.key()));
        Ok(call.store().document_list(owner, KIND, key, slice, call.now_ms()).await?)
    };
    let page = asked.page(fetch, |document: &Document| document.name.name.clone()).await?;
    let Listed { data, iterator, prev_iterator, done } = page;
    let data = data.iter().map(shown).collect::<Result<_>>()?;
    Ok(Answer::ok(Listed { data, iterator, prev_iterator, done }))
}

/// `POST …/integration`
pub(crate) async fn create(
    call: Call,
    JsonBody(body): JsonBody<IntegrationIn>,
) -> Result<Answer<IntegrationOut>> {
    let app = applications::named(&call).await?;
    let id = IntegrationId::new(call.now_ms(), super::random(&call));
    let name = DocumentName::of(KIND, app.key(), id.to_string());
    let body = IntegrationBody {
        name: body.name,
        feature_flags: body.feature_flags.unwrap_or_default(),
        token: None,
    };
    let document = write(&call, name, &body, WriteIf::Absent).await?;
    call.audit("integration.created", &id);
    Ok(Answer(StatusCode::CREATED, shown(&document)?))
}

/// `GET …/integration/{integ_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<IntegrationOut>> {
    let app = applications::named(&call).await?;
    let (document, _) = present(&call, &app).await?;
    Ok(Answer::ok(shown(&document)?))
}

/// `PUT …/integration/{integ_id}`
pub(crate) async fn update(
    call: Call,
    JsonBody(new): JsonBody<IntegrationIn>,
) -> Result<Answer<IntegrationOut>> {
    let app = applications::named(&call).await?;
    let _turn = call.shared.turns.take(app.key()).await;
    let (document, mut body) = present(&call, &app).await?;
    body.name = new.name;
    body.feature_flags = new.feature_flags.unwrap_or_default();
    let id = document.name.name.clone();
    let condition = WriteIf::Revision(document.revision);
    let document = write(&call, document.name, &body, condition).await?;
    if let Some(token) = &body.token {
        let name = token_name(&app, token);
        let found = call.store().document_get(call.owner, name, call.now_ms()).await?;
        if let Some(found) = found {
            let old: TokenBody = serde_json::from_str(&found.content.body).map_err(|_| {
                ApiError::new("event_damaged", format!("the stored token {token} cannot be read"))
            })?;
            write_token(&call, &app, &id, token, old.hash, &body.feature_flags).await?;
            call.shared.tokens.forget();
        }
    }
    call.audit("integration.updated", &id);
    Ok(Answer::ok(shown(&document)?))
}

/// Makes the key of an integration worthless, if it has one.
async fn revoke(call: &Call, app: &App, body: &IntegrationBody) -> Result<()> {
    if let Some(token) = &body.token {
        call.store().document_remove(call.owner, token_name(app, token)).await?;
        call.shared.tokens.forget();
    }
    Ok(())
}

/// `DELETE …/integration/{integ_id}`
pub(crate) async fn delete(call: Call) -> Result<StatusCode> {
    let app = applications::named(&call).await?;
    let _turn = call.shared.turns.take(app.key()).await;
    let (document, body) = present(&call, &app).await?;
    revoke(&call, &app, &body).await?;
    call.audit("integration.deleted", &document.name.name);
    call.store().document_remove(call.owner, document.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST …/integration/{integ_id}/key/rotate`
///
/// The key is shown this once; the one before it is worthless from now on.
pub(crate) async fn rotate_key(call: Call) -> Result<Answer<IntegrationKeyOut>> {
    let app = applications::named(&call).await?;
    let _turn = call.shared.turns.take(app.key()).await;
    let (document, mut body) = present(&call, &app).await?;
    let (token, key, hash): (TokenId, String, String) =
        access::fresh(call.shared.api.noise.as_ref(), call.now_ms());
    let id = document.name.name.clone();
    write_token(&call, &app, &id, &token.to_string(), hash, &body.feature_flags).await?;
    revoke(&call, &app, &body).await?;
    body.token = Some(token.to_string());
    let condition = WriteIf::Revision(document.revision);
    write(&call, document.name, &body, condition).await?;
    call.audit("integration.key.rotated", &id);
    Ok(Answer::ok(IntegrationKeyOut { key }))
}
