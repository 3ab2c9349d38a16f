//! Health, counts, backup, reloading, providers, and the document that describes all of it.

use std::path::PathBuf;

use axum::response::{IntoResponse, Response};
use becket_store::Owner;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::call::{Answer, Call, JsonBody, Listed};
use crate::names::Names;
use crate::openapi;
use crate::problem::{ApiError, Result};
use crate::state::{ControlError, KeysRotated, ProviderDetails, ProviderRow};
use crate::wire::becket::StatsOut;

/// `GET /api/v1/health`
pub(crate) async fn health(call: Call) -> Result<StatusCode> {
    call.store().health()?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/openapi.json`
pub(crate) async fn openapi(_call: Call) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::text()).into_response()
}

/// `GET /api/v1/becket/stats`
pub(crate) async fn stats(call: Call) -> Result<Answer<StatsOut>> {
    let names = Names::load(&call).await?;
    // The store counts for all environments together; the first one is the installation's own.
    let whole = call.access.operator || call.owner == Owner::MAIN;
    let stats = if whole { Some(call.store().stats().await?) } else { None };
    let mut out = StatsOut::new(stats, &names);
    if let Err(error) = call.store().health() {
        out.accepting = false;
        out.problem = Some(error.to_string());
    }
    Ok(Answer::ok(out))
}

/// `GET /api/v1/becket/provider`
pub(crate) async fn providers(call: Call) -> Answer<Listed<ProviderRow>> {
    let rows = call.shared.api.directory.providers();
    let last = rows.last().map(|row| row.slug.clone());
    Answer::ok(Listed::new(rows, last, true))
}

/// `GET /api/v1/becket/provider/{slug}`
pub(crate) async fn provider(call: Call) -> Result<Answer<ProviderDetails>> {
    let slug = call.path("slug");
    call.shared.api.directory.provider(slug).map(Answer::ok).ok_or_else(|| {
        ApiError::new("not_found", format!("there is no provider `{slug}`"))
            .hint("GET /api/v1/becket/provider lists them")
    })
}

/// Where a backup goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupIn {
    folder: PathBuf,
}

/// What a backup holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupOut {
    folder: PathBuf,
    bytes: u64,
}

/// `POST /api/v1/becket/backup`
pub(crate) async fn backup(
    call: Call,
    JsonBody(body): JsonBody<BackupIn>,
) -> Result<Answer<BackupOut>> {
    if !body.folder.is_absolute() {
        return Err(ApiError::body("folder", "is not an absolute path")
            .hint("the path is one of the gateway's host; begin it with `/`"));
    }
    let control = &call.shared.api.control;
    let bytes =
        control.backup(&body.folder).await.map_err(|error| refused("backup_refused", error))?;
    call.audit("store.backed_up", &body.folder.display());
    Ok(Answer::ok(BackupOut { folder: body.folder, bytes }))
}

/// `POST /api/v1/becket/keys/rotate`
pub(crate) async fn rotate_keys(call: Call) -> Result<Answer<KeysRotated>> {
    let control = &call.shared.api.control;
    let rotated = control.keys_rotate().await.map_err(|error| refused("keys_refused", error))?;
    call.audit("keys.rotated", &format_args!("version {}", rotated.version));
    Ok(Answer::ok(rotated))
}

/// What reading the configuration again came to.
#[derive(Debug, Serialize)]
pub(crate) struct ReloadOut {
    warnings: Vec<String>,
}

/// `POST /api/v1/becket/reload`
pub(crate) async fn reload(call: Call) -> Result<Answer<ReloadOut>> {
    let control = &call.shared.api.control;
    let warnings = control.reload().await.map_err(|error| refused("reload_refused", error))?;
    call.audit("configuration.reloaded", &"configuration");
    Ok(Answer::ok(ReloadOut { warnings }))
}

fn refused(code: &'static str, error: ControlError) -> ApiError {
    let told = ApiError::new(code, error.detail);
    match error.hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}
