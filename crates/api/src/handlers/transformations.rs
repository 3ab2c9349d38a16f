//! Transformations of endpoints: kept sealed, because programs and their variables may hold
//! credentials. Nothing runs them here.

use becket_store::vault::place;
use becket_store::{Document, DocumentContent, DocumentKind, DocumentName, WriteIf};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::apps::App;
use crate::call::{Answer, Call, JsonBody};
use crate::handlers::endpoints::{self, Happened};
use crate::problem::{ApiError, Result};
use crate::times;
use crate::wire::endpoints::{TransformationOut, TransformationPatch, TransformationSecret};

/// The most bytes of names and values that the variables may have.
const VARIABLES_BYTES_MAX: usize = 64 * 1024;

/// What is kept of a transformation in clear.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Body {
    enabled: bool,
}

fn name(app: &App, endpoint: &becket_store::Endpoint) -> DocumentName {
    DocumentName::of(DocumentKind::Transformation, app.key(), endpoint.id.to_string())
}

fn opened(call: &Call, document: Option<&Document>) -> Result<(Body, TransformationSecret)> {
    let Some(document) = document else { return Ok(Default::default()) };
    let damaged = |_| {
        let what = format!("the stored transformation of {} cannot be read", document.name.name);
        ApiError::new("event_damaged", what)
    };
    let body = serde_json::from_str(&document.content.body).map_err(damaged)?;
    let secret = match &document.content.sealed {
        Some(envelope) => {
            let directory = &call.shared.api.directory;
            let text = directory.open(&place::document(&document.name), envelope)?;
            serde_json::from_slice(&text).map_err(damaged)?
        }
        None => TransformationSecret::default(),
    };
    Ok((body, secret))
}

/// `GET …/transformation`
pub(crate) async fn get(call: Call) -> Result<Answer<TransformationOut>> {
    let app = endpoints::whose(&call).await?;
    let endpoint = endpoints::present(&call, &app).await?;
    let name = name(&app, &endpoint);
    let document = call.store().document_get(call.owner, name, call.now_ms()).await?;
    let (Body { enabled }, secret) = opened(&call, document.as_ref())?;
    let updated_at = document.map(|document| times::text(document.updated_at_ms));
    Ok(Answer::ok(TransformationOut { secret, enabled, updated_at }))
}

/// `PATCH …/transformation`
pub(crate) async fn patch(
    call: Call,
    JsonBody(patch): JsonBody<TransformationPatch>,
) -> Result<StatusCode> {
    let app = endpoints::whose(&call).await?;
    let _turn = call.shared.turns.take(app.key()).await;
    let endpoint = endpoints::present(&call, &app).await?;
    endpoints::check_changeable(&endpoint)?;
    let name = name(&app, &endpoint);
    let document = call.store().document_get(call.owner, name.clone(), call.now_ms()).await?;
    let (mut body, mut secret) = opened(&call, document.as_ref())?;
    body.enabled = patch.enabled.unwrap_or(body.enabled);
    secret.code = patch.code.unwrap_or(secret.code);
    secret.variables = patch.variables.unwrap_or(secret.variables);
    let variables = secret.variables.iter().flatten();
    if variables.map(|(name, value)| name.len() + value.len()).sum::<usize>() > VARIABLES_BYTES_MAX
    {
        let what = format!("are more than {VARIABLES_BYTES_MAX} bytes together");
        return Err(ApiError::body("variables", what));
    }
    let text = serde_json::json!(secret).to_string();
    let directory = &call.shared.api.directory;
    let content = DocumentContent {
        body: serde_json::json!(body).to_string(),
        sealed: Some(directory.seal(&place::document(&name), text.as_bytes())?),
        expires_at_ms: None,
    };
    call.store().document_put(call.owner, name, content, WriteIf::Always, call.now_ms()).await?;
    endpoints::told(&call, &app.application, &endpoint, Happened::TransformationChanged).await;
    Ok(StatusCode::NO_CONTENT)
}
