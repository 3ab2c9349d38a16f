//! Transformations of endpoints: kept sealed, because programs and their variables may hold
//! credentials. Nothing runs them here: the running gateway looks whether code can be loaded, and
//! takes it over when it has changed.

use std::collections::BTreeMap;

use becket_model::{EndpointId, EndpointSettings};
use becket_store::vault::place;
use becket_store::{
    Document, DocumentContent, DocumentKind, DocumentName, Endpoint, Name, Owner, Store,
    StoreError, WriteIf, Written,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::apps::App;
use crate::call::{Answer, Call, JsonBody};
use crate::handlers::endpoints::{self, Happened};
use crate::problem::{ApiError, Result};
use crate::state::Directory;
use crate::times;
use crate::turns;
use crate::wire::endpoints::{TransformationOut, TransformationPatch, TransformationSecret};

/// The most bytes of names and values that the variables may have.
const VARIABLES_BYTES_MAX: usize = 64 * 1024;
/// The longest code, in characters.
const CODE_CHARS_MAX: usize = 51_200;

/// Code that is to change deliveries, and what it finds as `variables`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoredTransformation {
    /// The code.
    pub code: String,
    /// Its variables.
    pub variables: BTreeMap<String, String>,
}

/// Reads the transformation of an endpoint whose settings say that it has one; `None` if it is
/// switched off or empty all the same.
///
/// # Errors
/// When the store fails or it cannot be opened. Then nothing may be delivered as if there were none.
pub async fn load_transformation(
    store: &dyn Store,
    directory: &dyn Directory,
    owner: Owner,
    endpoint: &Endpoint,
    now_ms: i64,
) -> Result<Option<StoredTransformation>, StoreError> {
    let name = name(endpoint);
    let document = store.document_get(owner, name, now_ms).await?;
    let Some(document) = document else { return Ok(None) };
    let damaged = |_| StoreError::Sealed {
        detail: format!("the stored transformation of {} cannot be read", endpoint.id),
    };
    let body: Body = serde_json::from_str(&document.content.body).map_err(damaged)?;
    let Some(envelope) = document.content.sealed.as_ref().filter(|_| body.enabled) else {
        return Ok(None);
    };
    let text = directory.open(&place::document(&document.name), envelope)?;
    let secret: TransformationSecret = serde_json::from_slice(&text).map_err(damaged)?;
    Ok(secret
        .code
        .map(|code| StoredTransformation { code, variables: secret.variables.unwrap_or_default() }))
}

/// What is kept of a transformation in clear.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Body {
    enabled: bool,
}

fn name(endpoint: &Endpoint) -> DocumentName {
    let kind = DocumentKind::Transformation;
    DocumentName::of(kind, endpoint.application, endpoint.id.to_string())
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
    let name = name(&endpoint);
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
    let id = turns::again(|| patched(&call, &app, &patch)).await?;
    let endpoint = turns::again(|| marked(&call, &app, id)).await?;
    endpoints::told(&call, &app.application, &endpoint, Happened::TransformationChanged).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Stores what the patch makes of a transformation, unless somebody else changes it at the same time;
/// answers whose it is.
async fn patched(call: &Call, app: &App, patch: &TransformationPatch) -> Result<EndpointId> {
    let endpoint = endpoints::present(call, app).await?;
    endpoints::check_changeable(&endpoint)?;
    let name = name(&endpoint);
    let document = call.store().document_get(call.owner, name.clone(), call.now_ms()).await?;
    let (mut body, mut secret) = opened(call, document.as_ref())?;
    body.enabled = patch.enabled.unwrap_or(body.enabled);
    secret.code = patch.code.clone().unwrap_or(secret.code);
    secret.variables = patch.variables.clone().unwrap_or(secret.variables);
    if let Some(code) = &secret.code {
        check(call, &endpoint, code, secret.variables.as_ref()).await?;
    }
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
    let condition = match &document {
        Some(document) => WriteIf::Revision(document.revision),
        None => WriteIf::Absent,
    };
    let now_ms = call.now_ms();
    match call.store().document_put(call.owner, name, content, condition, now_ms).await? {
        Written::Created(_) | Written::Replaced(_) => Ok(endpoint.id),
        Written::Refused(_) => Err(turns::quicker("transformation of", &endpoint.name())),
    }
}

/// Refuses code that cannot be loaded, and says in which line that is so.
async fn check(
    call: &Call,
    endpoint: &Endpoint,
    code: &str,
    variables: Option<&BTreeMap<String, String>>,
) -> Result<()> {
    if code.chars().count() > CODE_CHARS_MAX {
        return Err(ApiError::body("code", format!("is longer than {CODE_CHARS_MAX} characters")));
    }
    let variables = variables.cloned().unwrap_or_default();
    let transformation = StoredTransformation { code: code.to_owned(), variables };
    let control = &call.shared.api.control;
    control
        .transformation_check(endpoint.key, transformation)
        .await
        .map_err(|wrong| ApiError::body("code", format!("cannot be used: {wrong}")))
}

/// Notes with the endpoint whether it has a transformation, so that the engine need not ask for one.
///
/// It is only content when both agree after its last write: whoever switches the transformation at the
/// same time through another node does the same, so that the last one of them sees what is true.
async fn marked(call: &Call, app: &App, id: EndpointId) -> Result<Endpoint> {
    let found = call.store().endpoint_get(call.owner, app.key(), Name::Id(id)).await?;
    let endpoint = found.ok_or_else(|| ApiError::not_found("endpoint", &id.to_string()))?;
    let name = name(&endpoint);
    let document = call.store().document_get(call.owner, name, call.now_ms()).await?;
    let (body, secret) = opened(call, document.as_ref())?;
    let transformed = body.enabled && secret.code.is_some();
    if endpoint.settings.transformed == transformed {
        return Ok(endpoint);
    }
    let settings = EndpointSettings { transformed, ..endpoint.settings.clone() };
    let edit = endpoint.edit(endpoint.uid.clone(), settings);
    endpoints::change(call, &endpoint, edit).await?;
    Err(turns::quicker("transformation of", &endpoint.name()))
}
