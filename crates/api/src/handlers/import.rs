//! Event types from the webhooks of an OpenAPI document (`v1.event-type.import-openapi`).
//!
//! What is imported is brought back if it was archived; its flags, schedule and checks stay. The
//! schema takes the place of the newest version, older versions stay.

use becket_schema::openapi::{self, ImportedEventType};
use becket_store::WriteIf;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::{Answer, Call, JsonBody};
use crate::event_types::{self, EventTypeBody};
use crate::handlers::event_types::{tell_schedules, write};
use crate::problem::{ApiError, Place, Result};

/// A document, and what to do with it (`EventTypeImportOpenApiIn`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ImportIn {
    dry_run: bool,
    /// Whether event types that the document does not name are archived.
    replace_all: bool,
    spec: Option<Value>,
    spec_raw: Option<String>,
}

/// What was done (`EventTypeImportOpenApiOut`).
#[derive(Debug, Serialize)]
pub(crate) struct ImportOut {
    data: ImportOutData,
}

/// `EventTypeImportOpenApiOutData`
#[derive(Debug, Serialize)]
struct ImportOutData {
    modified: Vec<String>,
    /// What would be done, if nothing was.
    to_modify: Option<Vec<FromOpenApi>>,
}

/// An event type as it would be (`EventTypeFromOpenApi`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FromOpenApi {
    name: String,
    description: String,
    deprecated: bool,
    schemas: Option<Map<String, Value>>,
    feature_flags: Option<Vec<String>>,
    group_name: Option<String>,
}

fn read(given: &ImportIn) -> Result<Vec<ImportedEventType>> {
    let (field, read) = match (&given.spec, &given.spec_raw) {
        (Some(spec), None) => ("spec", openapi::import_value(spec)),
        (None, Some(text)) => ("specRaw", openapi::import(text)),
        _ => return Err(ApiError::body("spec", "exactly one of `spec` and `specRaw` is needed")),
    };
    read.map_err(|error| {
        let what = error.to_string();
        let place = Place::new("body", field, what.clone(), error.code());
        ApiError::body(field, what).at(vec![place])
    })
}

/// An event type after the import.
fn merged(before: Option<&EventTypeBody>, imported: ImportedEventType) -> EventTypeBody {
    let mut body = before.cloned().unwrap_or_default();
    let empty = imported.schema.as_object().is_some_and(Map::is_empty);
    if !empty {
        let version = body.newest_version().unwrap_or("1").to_owned();
        body.schemas.get_or_insert_default().insert(version, imported.schema);
    }
    body.archived = false;
    body.description = imported.description;
    body.deprecated = imported.deprecated;
    if imported.group.is_some() {
        body.group_name = imported.group;
    }
    body
}

/// `POST /api/v1/event-type/import/openapi`
pub(crate) async fn from_openapi(
    call: Call,
    JsonBody(given): JsonBody<ImportIn>,
) -> Result<Answer<ImportOut>> {
    let imported = read(&given)?;
    let known = event_types::all(call.store(), call.owner, call.now_ms()).await?;
    let before = |name: &str| known.iter().find(|(known, _, _)| known == name);
    let mut changed: Vec<(String, EventTypeBody)> = imported
        .into_iter()
        .map(|one| (one.name.clone(), merged(before(&one.name).map(|(_, body, _)| body), one)))
        .collect();
    if given.replace_all {
        let left_out = known.iter().filter(|(name, body, _)| {
            !body.archived && !changed.iter().any(|(imported, _)| imported == name)
        });
        let archived = left_out.map(|(name, body, _)| {
            (name.clone(), EventTypeBody { archived: true, ..body.clone() })
        });
        let archived: Vec<_> = archived.collect();
        changed.extend(archived);
    }
    if given.dry_run {
        let to_modify = changed.into_iter().map(|(name, body)| FromOpenApi {
            name,
            description: body.description,
            deprecated: body.deprecated,
            schemas: body.schemas,
            feature_flags: Some(body.feature_flags).filter(|flags| !flags.is_empty()),
            group_name: body.group_name,
        });
        let data = ImportOutData { modified: Vec::new(), to_modify: Some(to_modify.collect()) };
        return Ok(Answer::ok(ImportOut { data }));
    }
    let mut modified = Vec::new();
    for (name, body) in changed {
        // A schema fitted the importer and has to fit the check of payloads too.
        body.check_schemas()?;
        write(&call, &name, &body, WriteIf::Always).await?;
        call.audit("event_type.imported", &name);
        modified.push(name);
    }
    tell_schedules(&call).await?;
    Ok(Answer::ok(ImportOut { data: ImportOutData { modified, to_modify: None } }))
}
