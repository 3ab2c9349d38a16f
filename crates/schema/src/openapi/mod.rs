//! Event types read from the webhooks of an OpenAPI document, 3.0 or 3.1, in JSON or YAML.
//!
//! Each event type gets a schema of its own: JSON Schema 2020-12 with everything it needs in `$defs`,
//! compiled once here so that what is imported can be used. Nothing outside of the document is read.
//!
//! Deliberately absent: callbacks, paths, and bodies that are not JSON.

mod bundle;
mod dialect;
mod yaml;

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::compiled::CompiledSchema;
use crate::error::ImportError;
use crate::guard::shorten;
use crate::pointer;
use bundle::Source;

pub use yaml::{MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH};

/// The longest name of an event type or group, in characters.
const MAX_NAME: usize = 256;

/// The operations of a webhook, in the order in which one is looked for.
const METHODS: [&str; 8] = ["post", "put", "patch", "get", "delete", "options", "head", "trace"];

/// An event type as an OpenAPI document describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedEventType {
    /// The webhook's key, or its operation's id if the key cannot be a name.
    pub name: String,
    /// The operation's description, otherwise its summary; may be empty.
    pub description: String,
    /// Whether the operation is marked so.
    pub deprecated: bool,
    /// The operation's first tag, if it can be a name.
    pub group: Option<String>,
    /// JSON Schema of the payload; `{}` if the webhook has no body.
    pub schema: Value,
}

/// Reads the event types of a document in JSON or YAML, in its order; none if it has no webhooks.
///
/// # Errors
/// [`ImportError`] with the line, or the place in the document. Nothing is read in part.
pub fn import(text: &str) -> Result<Vec<ImportedEventType>, ImportError> {
    import_value(&yaml::read(text)?)
}

/// The same for a document that is already parsed.
///
/// # Errors
/// [`ImportError`] with the place in the document. Nothing is read in part.
pub fn import_value(document: &Value) -> Result<Vec<ImportedEventType>, ImportError> {
    let source = Source { document, old: is_old(document)? };
    let mut found = Vec::new();
    let mut names = HashSet::new();
    for section in ["webhooks", "x-webhooks"] {
        let Some(webhooks) = document.get(section) else { continue };
        let section = format!("/{section}");
        for key in object(webhooks, &section)?.keys() {
            let at = pointer::join(&section, key);
            let Some(imported) = webhook(&source, key, &at)? else { continue };
            if !names.insert(imported.name.clone()) {
                let problem = format!("the event type `{}` is described twice", imported.name);
                return Err(ImportError::Malformed { at, problem });
            }
            found.push(imported);
        }
    }
    Ok(found)
}

/// Whether a text can be the name of an event type or group: `[a-zA-Z0-9\-_.]+`.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(fits)
}

/// Whether the document is OpenAPI 3.0; otherwise it is 3.1 or a later one.
fn is_old(document: &Value) -> Result<bool, ImportError> {
    let refuse = |problem: &str| Err(ImportError::Version { problem: problem.to_owned() });
    let version = match document.get("openapi") {
        Some(Value::String(version)) => version.clone(),
        // YAML without quotes: `openapi: 3.1`.
        Some(Value::Number(version)) => version.to_string(),
        Some(_) => return refuse("`openapi` has to be a version such as \"3.1.0\""),
        None if document.get("swagger").is_some() => {
            return refuse("it is Swagger 2, which has no webhooks; convert it to OpenAPI 3 first");
        }
        None => return refuse("it has no field `openapi`"),
    };
    let mut numbers = version.split('.');
    match (numbers.next(), numbers.next().and_then(|minor| minor.parse::<u32>().ok())) {
        (Some("3"), Some(minor)) => Ok(minor == 0),
        _ => refuse(&format!("its version is `{}`", shorten(&version))),
    }
}

fn object<'a>(value: &'a Value, at: &str) -> Result<&'a Map<String, Value>, ImportError> {
    value.as_object().ok_or_else(|| ImportError::Malformed {
        at: at.to_owned(),
        problem: "an object has to be here".to_owned(),
    })
}

/// One webhook; none if it has no operation.
fn webhook(source: &Source<'_>, key: &str, at: &str) -> Result<Option<ImportedEventType>, ImportError> {
    let item = source.follow(at)?;
    let fields = object(item.value, &item.at)?;
    let Some(method) = METHODS.into_iter().find(|method| fields.contains_key(*method)) else {
        return Ok(None);
    };
    let place = pointer::join(&item.at, method);
    let operation = object(&fields[method], &place)?;
    let text = |fields: &Map<String, Value>, field: &str| {
        fields.get(field).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let id = text(operation, "operationId").filter(|id| is_name(id));
    let name = Some(key.to_owned()).filter(|key| is_name(key)).or(id).ok_or_else(|| ImportError::Malformed {
        at: at.to_owned(),
        problem: "neither the key nor the operation's `operationId` can be the name of an event type: letters, digits, `-`, `_` and `.`, at most 256".to_owned(),
    })?;
    let texts = [(operation, "description"), (operation, "summary"), (fields, "description"), (fields, "summary")];
    let description = texts.into_iter().find_map(|(fields, field)| text(fields, field)).unwrap_or_default();
    let deprecated = match operation.get("deprecated") {
        None => false,
        Some(Value::Bool(deprecated)) => *deprecated,
        Some(_) => {
            let at = pointer::join(&place, "deprecated");
            return Err(ImportError::Malformed { at, problem: "`true` or `false` has to be here".to_owned() });
        }
    };
    let tag = operation.get("tags").and_then(|tags| tags.get(0)).and_then(Value::as_str);
    let group = tag.filter(|tag| is_name(tag)).map(str::to_owned);
    let schema = match operation.get("requestBody") {
        None => json!({}),
        Some(_) => body(source, &pointer::join(&place, "requestBody"))?,
    };
    Ok(Some(ImportedEventType { name, description, deprecated, group, schema }))
}

/// The schema of a request's body.
fn body(source: &Source<'_>, at: &str) -> Result<Value, ImportError> {
    let body = source.follow(at)?;
    let content_at = pointer::join(&body.at, "content");
    let Some(content) = object(body.value, &body.at)?.get("content") else { return Ok(json!({})) };
    let content = object(content, &content_at)?;
    let Some(media) = media_type(content) else {
        if content.is_empty() {
            return Ok(json!({}));
        }
        return Err(ImportError::Malformed {
            at: content_at,
            problem: "no content is JSON; add `application/json`".to_owned(),
        });
    };
    let media_at = pointer::join(&content_at, media);
    let media = object(&content[media], &media_at)?;
    let schema_at = pointer::join(&media_at, "schema");
    let mut schema = match media.get("schema") {
        None => json!({}),
        Some(_) => source.bundle(&schema_at)?,
    };
    if let Some(fields) = schema.as_object_mut() {
        name_dialect(source, fields)?;
        if !fields.contains_key("examples") && !fields.contains_key("example") {
            let examples = examples(source, media, &media_at)?;
            if !examples.is_empty() {
                fields.insert("examples".to_owned(), Value::Array(examples));
            }
        }
    }
    match CompiledSchema::compile(&schema) {
        Ok(_) => Ok(schema),
        Err(error) => Err(ImportError::Schema { at: schema_at, error }),
    }
}

/// The content that is taken: `application/json`, otherwise the first that is a kind of JSON.
fn media_type(content: &Map<String, Value>) -> Option<&str> {
    let essence = |key: &str| key.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let keys = || content.keys().map(String::as_str);
    keys().find(|key| essence(key) == "application/json").or_else(|| {
        keys().find(|key| {
            let essence = essence(key);
            essence.ends_with("json") || essence == "*/*" || essence == "application/*"
        })
    })
}

/// Tells the schema its draft, if the document names one for all of its schemas.
fn name_dialect(source: &Source<'_>, fields: &mut Map<String, Value>) -> Result<(), ImportError> {
    let Some(dialect) = source.document.get("jsonSchemaDialect").and_then(Value::as_str) else {
        return Ok(());
    };
    let draft = dialect.contains("//json-schema.org/");
    if source.old || dialect.contains("//spec.openapis.org/") {
        return Ok(());
    }
    if !draft {
        return Err(ImportError::Malformed {
            at: "/jsonSchemaDialect".to_owned(),
            problem: "only drafts of json-schema.org and OpenAPI's own dialect are understood".to_owned(),
        });
    }
    fields.entry("$schema").or_insert_with(|| Value::String(dialect.to_owned()));
    Ok(())
}

/// The examples that stand beside a schema. Made ones, which [`crate::publish`] marks, are left out.
fn examples(source: &Source<'_>, media: &Map<String, Value>, at: &str) -> Result<Vec<Value>, ImportError> {
    if let Some(example) = media.get("example") {
        return Ok(vec![example.clone()]);
    }
    let Some(named) = media.get("examples") else { return Ok(Vec::new()) };
    let at = pointer::join(at, "examples");
    let mut found = Vec::new();
    for key in object(named, &at)?.keys() {
        let example = source.follow(&pointer::join(&at, key))?;
        let made = example.value.get(crate::publish::GENERATED).and_then(Value::as_bool);
        if made != Some(true) {
            found.extend(example.value.get("value").cloned());
        }
    }
    Ok(found)
}
