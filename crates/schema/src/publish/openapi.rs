//! A catalogue as an OpenAPI 3.1 document with `webhooks`.

use serde_json::{Map, Value, json};

use super::documents::{HEADERS, Keys, relocate};
use super::{Catalogue, EventType, GENERATED};

/// The catalogue as OpenAPI 3.1: a webhook for each event type, with its newest schema, description,
/// group as tag, example, the signature's headers and the answer that is expected.
/// [`crate::openapi::import_value`] reads the event types back.
#[must_use]
pub fn openapi(catalogue: &Catalogue, title: &str, version: &str) -> Value {
    let mut webhooks = Map::new();
    let mut schemas = Map::new();
    let mut keys = Keys::default();
    for one in catalogue.shown() {
        let key = keys.key(&one.name);
        if let Some(schema) = one.newest() {
            let moved = relocate(schema, &format!("/components/schemas/{key}"));
            schemas.insert(key.clone(), moved);
        }
        webhooks.insert(one.name.clone(), json!({ "post": operation(one, &key) }));
    }
    let tags: Vec<Value> = catalogue
        .groups()
        .into_iter()
        .filter_map(|(group, _)| group.map(|name| json!({ "name": name })))
        .collect();
    let parameters: Map<String, Value> = HEADERS
        .iter()
        .map(|(name, example, description)| {
            let parameter = json!({
                "name": name, "in": "header", "required": true, "description": description,
                "schema": { "type": "string" }, "example": example
            });
            ((*name).to_owned(), parameter)
        })
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": version },
        "tags": tags,
        "webhooks": webhooks,
        "components": { "schemas": schemas, "parameters": parameters }
    })
}

fn operation(one: &EventType, key: &str) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), json!(one.name));
    if !one.description.is_empty() {
        operation.insert("description".to_owned(), json!(one.description));
    }
    if one.deprecated {
        operation.insert("deprecated".to_owned(), json!(true));
    }
    if let Some(group) = one.group.as_deref().filter(|group| !group.is_empty()) {
        operation.insert("tags".to_owned(), json!([group]));
    }
    let headers: Vec<Value> =
        HEADERS.iter().map(|(name, ..)| json!({ "$ref": format!("#/components/parameters/{name}") })).collect();
    operation.insert("parameters".to_owned(), Value::Array(headers));
    let mut media = Map::new();
    if one.newest().is_some() {
        let reference = format!("#/components/schemas/{key}");
        media.insert("schema".to_owned(), json!({ "$ref": reference }));
    }
    if let Some((example, made)) = one.shown_example() {
        let mut shown = json!({ "value": example });
        if made {
            shown[GENERATED] = json!(true);
        }
        media.insert("examples".to_owned(), json!({ "payload": shown }));
    }
    operation.insert(
        "requestBody".to_owned(),
        json!({ "required": true, "content": { "application/json": media } }),
    );
    operation.insert(
        "responses".to_owned(),
        json!({ "2XX": { "description": "The webhook was received. Any other answer, or none in time, is tried again later." } }),
    );
    Value::Object(operation)
}
