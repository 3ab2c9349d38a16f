//! JSON Schemas, compiled once per source and asked per request.
//!
//! Deliberately absent: references to other documents (nothing is ever fetched) and the offending
//! values in messages, because messages reach logs and answers.

use std::fmt;

use serde_json::Value;

use crate::error::SchemaError;

/// A JSON Schema that is ready to judge payloads. The draft is the one named by `$schema`, otherwise 2020-12.
pub struct CompiledSchema {
    validator: jsonschema::Validator,
}

impl CompiledSchema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// [`SchemaError`] if it is no schema or refers to another document.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        match jsonschema::options().build(schema) {
            Ok(validator) => Ok(Self { validator }),
            Err(error) => Err(SchemaError {
                at: error.instance_path().to_string(),
                problem: error.to_string(),
            }),
        }
    }

    /// Where a payload first breaks the schema: the place in the payload and the rule, without values.
    #[must_use]
    pub fn violation(&self, payload: &Value) -> Option<String> {
        let error = self.validator.validate(payload).err()?;
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { "/" } else { place.as_str() };
        Some(format!("`{place}` breaks the schema's rule `{}`", error.schema_path()))
    }
}

impl fmt::Debug for CompiledSchema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CompiledSchema")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn judges_without_telling_values() {
        let schema = CompiledSchema::compile(&json!({
            "type": "object",
            "required": ["id"],
            "properties": { "id": { "type": "string" }, "n": { "maximum": 3 } }
        }))
        .unwrap();
        assert_eq!(schema.violation(&json!({ "id": "x", "n": 3 })), None);
        for wrong in
            [json!({}), json!([]), json!({ "id": 98_765 }), json!({ "id": "x", "n": 98_765 })]
        {
            let words = schema.violation(&wrong).unwrap();
            assert!(!words.contains("98765"), "{words}");
        }
    }

    #[test]
    fn refuses_what_is_no_schema_or_lies_elsewhere() {
        for wrong in [
            json!({ "type": "strange" }),
            json!({ "$ref": "https://example.com/schema.json" }),
            json!({ "$ref": "file:///etc/passwd" }),
        ] {
            assert!(CompiledSchema::compile(&wrong).is_err(), "{wrong}");
        }
    }
}
