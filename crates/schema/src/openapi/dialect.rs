//! Schemas of OpenAPI 3.0 in the words of JSON Schema 2020-12.
//!
//! OpenAPI 3.0 has its own dialect: `nullable`, `example`, and exclusive bounds as flags. 3.1 uses
//! JSON Schema as it is.

use serde_json::{Map, Value, json};

/// Rewrites one schema; the schemas inside of it are already rewritten.
pub(super) fn translate(fields: &mut Map<String, Value>) {
    if fields.contains_key("$ref") {
        // 3.0 ignores what stands beside a reference.
        fields.retain(|name, _| name == "$ref");
        return;
    }
    if let Some(example) = fields.remove("example")
        && !fields.contains_key("examples")
    {
        fields.insert("examples".to_owned(), Value::Array(vec![example]));
    }
    for (flag, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match fields.get(flag).and_then(Value::as_bool) {
            Some(true) => {
                fields.remove(flag);
                if let Some(number) = fields.remove(bound) {
                    fields.insert(flag.to_owned(), number);
                }
            }
            Some(false) => {
                fields.remove(flag);
            }
            None => {}
        }
    }
    if fields.remove("nullable") == Some(Value::Bool(true)) {
        allow_null(fields);
    }
}

fn allow_null(fields: &mut Map<String, Value>) {
    let combines = ["allOf", "anyOf", "oneOf"].iter().any(|keyword| fields.contains_key(*keyword));
    if combines {
        // What is combined would still refuse null, so null stands beside all of it.
        let mut outside = Map::new();
        for annotation in ["title", "description", "deprecated", "examples", "default", "readOnly", "writeOnly"] {
            if let Some(value) = fields.remove(annotation) {
                outside.insert(annotation.to_owned(), value);
            }
        }
        let inside = Value::Object(std::mem::take(fields));
        *fields = outside;
        fields.insert("anyOf".to_owned(), Value::Array(vec![inside, json!({ "type": "null" })]));
        return;
    }
    if let Some(kind) = fields.get_mut("type")
        && kind.is_string()
    {
        *kind = Value::Array(vec![kind.take(), json!("null")]);
    }
    if let Some(Value::Array(allowed)) = fields.get_mut("enum")
        && !allowed.contains(&Value::Null)
    {
        allowed.push(Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_3_0_become_json_schema() {
        for (old, new) in [
            (json!({ "type": "string", "nullable": true }), json!({ "type": ["string", "null"] })),
            (json!({ "type": "string", "nullable": false }), json!({ "type": "string" })),
            (
                json!({ "type": "string", "nullable": true, "enum": ["a"] }),
                json!({ "type": ["string", "null"], "enum": ["a", null] }),
            ),
            (
                json!({ "nullable": true, "description": "d", "allOf": [{ "$ref": "#/x" }] }),
                json!({ "description": "d", "anyOf": [{ "allOf": [{ "$ref": "#/x" }] }, { "type": "null" }] }),
            ),
            (json!({ "minimum": 3, "exclusiveMinimum": true }), json!({ "exclusiveMinimum": 3 })),
            (json!({ "maximum": 3, "exclusiveMaximum": false }), json!({ "maximum": 3 })),
            (json!({ "example": 3 }), json!({ "examples": [3] })),
            (json!({ "$ref": "#/x", "nullable": true }), json!({ "$ref": "#/x" })),
        ] {
            let mut fields = old.as_object().unwrap().clone();
            translate(&mut fields);
            assert_eq!(Value::Object(fields), new, "{old}");
        }
    }
}
