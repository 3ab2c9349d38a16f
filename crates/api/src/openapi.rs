//! The OpenAPI document, made from the route table and the shapes in `schemas.json`.
//!
//! Invariants: the same table always gives the same text; every schema that is named exists (a test
//! says so); the committed `openapi.json` is compared with it in a test.

use serde_json::{Map, Value, json};

use crate::problem::CODES;
use crate::routes::{Route, table};

/// Our own shapes.
const SCHEMAS: &str = include_str!("schemas/becket.json");
/// The shapes of the public specification, without its texts; made from it once.
const SPECIFICATION: &str = include_str!("schemas/generated/specification.json");
/// What we add to shapes of the specification: properties, by the name of the shape.
const ADDITIONS: &str = include_str!("schemas/additions.json");

/// Every shape by its name.
pub(crate) fn schemas() -> Map<String, Value> {
    let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let mut schemas = read(SPECIFICATION);
    schemas.extend(read(SCHEMAS));
    for (name, added) in read(ADDITIONS) {
        let properties = schemas.get_mut(&name).and_then(|schema| schema.get_mut("properties"));
        if let (Some(Value::Object(properties)), Value::Object(added)) = (properties, added) {
            properties.extend(added);
        }
    }
    schemas.values_mut().for_each(bound);
    schemas
}

/// Says the bounds of a whole number's format as bounds, which are checked.
fn bound(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let most = match object.get("format").and_then(Value::as_str) {
                Some("uint16") => Some(u32::from(u16::MAX)),
                Some("uint32") => Some(u32::MAX),
                _ => None,
            };
            if let Some(most) = most {
                object.entry("maximum").or_insert(json!(most));
            }
            object.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        _ => {}
    }
}

/// The document as text, indented, with a final newline.
#[must_use]
pub fn text() -> String {
    let mut text = format!("{:#}", document());
    text.push('\n');
    text
}

fn document() -> Value {
    let mut paths = Map::new();
    for route in table() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route);
    }
    let mut schemas = schemas();
    table().filter_map(|route| route.body).for_each(|name| allow_nulls(&mut schemas, name));
    let schemas = used(&paths, schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Becket",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Management of a Becket webhook gateway. Lists answer with `data`, `iterator` and `done`; a page may be shorter than its limit and still not be the last.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
            "responses": { "Problem": {
                "description": "The request was not carried out.",
                "content": { "application/problem+json": { "schema": reference("Problem") } },
            } },
        },
        "x-error-codes": CODES.iter().map(|(code, status, title)| {
            json!({ "code": code, "status": status, "title": title })
        }).collect::<Value>(),
    })
}

/// Says of a request body that null may stand for an optional value: official clients send it for what
/// was set to nothing, and it counts as absent (see `bodies`).
fn allow_nulls(schemas: &mut Map<String, Value>, name: &str) {
    let Some(schema) = schemas.get_mut(name) else { return };
    let required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (name, property) in properties {
        if required.iter().any(|known| known == name) || crate::bodies::knows_null(property) {
            continue;
        }
        match property.get_mut("type") {
            Some(kind) if kind.is_string() => *kind = json!([kind.take(), "null"]),
            _ => *property = json!({ "anyOf": [property.take(), { "type": "null" }] }),
        }
        if let Some(Value::Array(values)) = property.get_mut("enum") {
            values.push(Value::Null);
        }
    }
}

/// The schemas that the paths lead to, and the problem document.
fn used(paths: &Map<String, Value>, mut all: Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    let mut open = vec!["Problem".to_owned()];
    let look = |value: &Value, open: &mut Vec<String>| {
        let text = value.to_string();
        let names = text.split("#/components/schemas/").skip(1);
        open.extend(names.filter_map(|part| part.split('"').next()).map(str::to_owned));
    };
    for path in paths.values() {
        look(path, &mut open);
    }
    while let Some(name) = open.pop() {
        if let Some(schema) = all.remove(&name) {
            look(&schema, &mut open);
            found.insert(name, schema);
        }
    }
    found.sort_keys();
    found
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn operation(route: &Route) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".into(), json!(route.id));
    operation.insert("summary".into(), json!(route.about));
    if route.public {
        operation.insert("security".into(), json!([]));
    }
    let names = route.path.split('{').skip(1).filter_map(|part| part.split('}').next());
    let mut parameters: Vec<Value> = names
        .map(|name| {
            let schema = reference("Text");
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    parameters.extend(route.query.iter().map(|known| {
        let schema = match known.list {
            true => json!({ "type": "array", "items": reference(known.schema) }),
            false => reference(known.schema),
        };
        // An empty value counts as absent: official clients send it for an empty list.
        json!({
            "name": known.name,
            "in": "query",
            "description": known.about,
            "allowEmptyValue": true,
            "schema": schema,
        })
    }));
    if route.method == "post" && !route.public {
        parameters.push(json!({
            "name": "idempotency-key",
            "in": "header",
            "description": "A repeat with the same key and body gets the first answer, for 24 hours; while the first request is under way it is refused (409). The same key with another body is refused (422).",
            "schema": reference("Text"),
        }));
    }
    if !parameters.is_empty() {
        operation.insert("parameters".into(), Value::Array(parameters));
    }
    if let Some(schema) = route.body {
        let content = json!({ "application/json": { "schema": reference(schema) } });
        operation.insert("requestBody".into(), json!({ "content": content }));
    }
    let mut answer = json!({ "description": "Done." });
    if let Some(schema) = route.answer {
        answer["content"] = json!({ route.content_type: { "schema": reference(schema) } });
    }
    let mut responses = Map::new();
    if let Some(also) = route.also {
        responses.insert(also.to_string(), answer.clone());
    }
    responses.insert(route.status.to_string(), answer);
    let problem = json!({ "$ref": "#/components/responses/Problem" });
    responses.insert("default".into(), problem);
    operation.insert("responses".into(), Value::Object(responses));
    Value::Object(operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_schema_exists_and_every_operation_is_named_once() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "schemas.json has no `{name}`");
        }
        let ours: Map<String, Value> = serde_json::from_str(SCHEMAS).unwrap();
        for name in ours.keys() {
            assert!(schemas.contains_key(name), "nothing uses the schema `{name}`");
        }
        let additions: Map<String, Value> = serde_json::from_str(ADDITIONS).unwrap();
        for name in additions.keys() {
            assert!(schemas.contains_key(name), "nothing uses the additions to `{name}`");
        }
        let mut ids: Vec<&str> = table().map(|route| route.id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }
}
