//! A catalogue as an AsyncAPI 3.0 document.

use serde_json::{Map, Value, json};

use super::Catalogue;
use super::documents::{HEADERS, Keys, relocate};

/// The one channel: the URL that a receiver registered.
const CHANNEL: &str = "webhooks";

/// The catalogue as AsyncAPI 3.0: one channel, which is the receiver's own URL, and for each event
/// type a message with its newest schema and an operation that sends it.
#[must_use]
pub fn asyncapi(catalogue: &Catalogue, title: &str, version: &str) -> Value {
    let mut keys = Keys::default();
    let (mut in_channel, mut messages, mut operations, mut schemas) =
        (Map::new(), Map::new(), Map::new(), Map::new());
    for one in catalogue.shown() {
        let key = keys.key(&one.name);
        let mut message = Map::new();
        message.insert("name".to_owned(), json!(one.name));
        message.insert("contentType".to_owned(), json!("application/json"));
        if !one.description.is_empty() {
            message.insert("description".to_owned(), json!(one.description));
        }
        let mut tags = Vec::new();
        if let Some(group) = one.group.as_deref().filter(|group| !group.is_empty()) {
            tags.push(json!({ "name": group }));
        }
        if one.deprecated {
            // AsyncAPI has no mark of its own for this.
            tags.push(json!({ "name": "deprecated" }));
            message.insert("x-deprecated".to_owned(), json!(true));
        }
        if !tags.is_empty() {
            message.insert("tags".to_owned(), Value::Array(tags));
        }
        message.insert("headers".to_owned(), json!({ "$ref": "#/components/schemas/webhook-headers" }));
        if let Some(schema) = one.newest() {
            let key = format!("{key}.payload");
            let moved = relocate(schema, &format!("/components/schemas/{key}"));
            message.insert("payload".to_owned(), json!({ "$ref": format!("#/components/schemas/{key}") }));
            schemas.insert(key, moved);
        }
        if let Some((example, _)) = one.shown_example() {
            message.insert("examples".to_owned(), json!([{ "payload": example }]));
        }
        messages.insert(key.clone(), Value::Object(message));
        in_channel.insert(key.clone(), json!({ "$ref": format!("#/components/messages/{key}") }));
        let operation = json!({
            "action": "send",
            "channel": { "$ref": format!("#/channels/{CHANNEL}") },
            "messages": [{ "$ref": format!("#/channels/{CHANNEL}/messages/{key}") }]
        });
        operations.insert(key, operation);
    }
    schemas.insert("webhook-headers".to_owned(), headers());
    json!({
        "asyncapi": "3.0.0",
        "info": { "title": title, "version": version },
        "defaultContentType": "application/json",
        "channels": {
            CHANNEL: {
                "address": null,
                "description": "The URL that you registered. Messages are sent to it as HTTP POST requests.",
                "messages": in_channel
            }
        },
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas }
    })
}

fn headers() -> Value {
    let properties: Map<String, Value> = HEADERS
        .iter()
        .map(|(name, example, description)| {
            let header = json!({ "type": "string", "description": description, "examples": [example] });
            ((*name).to_owned(), header)
        })
        .collect();
    let required: Vec<&str> = HEADERS.iter().map(|(name, ..)| *name).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}
