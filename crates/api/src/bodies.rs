//! Request bodies against the schemas of the document: what is documented is what is checked.
//!
//! Invariants: a schema is compiled once, when it is first needed; a refusal names every place that
//! is wrong, up to [`PLACES_MAX`], and no value of the body, which may hold secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use becket_schema::CompiledSchema;
use serde_json::{Map, Value, json};

use crate::openapi;
use crate::problem::{ApiError, Place, Result};
use crate::routes::Route;

const PLACES_MAX: usize = 20;

/// The compiled schemas of request bodies.
pub(crate) struct Bodies {
    schemas: Map<String, Value>,
    compiled: Mutex<HashMap<&'static str, Arc<CompiledSchema>>>,
}

impl Bodies {
    pub fn new() -> Self {
        Self { schemas: openapi::schemas(), compiled: Mutex::default() }
    }

    /// Whether a body fits its route. A null in the place of an optional value that knows no null is
    /// taken out: official clients send it for what was set to nothing.
    pub fn check(&self, route: &Route, body: &mut Value) -> Result<()> {
        let Some(name) = route.body else { return Ok(()) };
        self.drop_nulls(name, body);
        let schema = self.compiled(name)?;
        let violations = schema.violations(body, PLACES_MAX);
        if violations.is_empty() {
            return Ok(());
        }
        let places: Vec<Place> = violations
            .iter()
            .map(|violation| Place {
                loc: std::iter::once("body")
                    .chain(violation.path.split('/').filter(|part| !part.is_empty()))
                    .map(str::to_owned)
                    .collect(),
                msg: violation.message.clone(),
                kind: violation.rule.clone(),
            })
            .collect();
        Err(ApiError::body("", violations[0].message.clone()).at(places))
    }

    fn drop_nulls(&self, name: &str, body: &mut Value) {
        let schema = self.schemas.get(name);
        let properties = schema.and_then(|schema| schema.get("properties"));
        let (Some(Value::Object(properties)), Value::Object(body)) = (properties, body) else {
            return;
        };
        let required = schema.and_then(|schema| schema["required"].as_array());
        body.retain(|key, value| {
            !value.is_null()
                || properties.get(key).is_none_or(knows_null)
                || required.is_some_and(|names| names.iter().any(|name| name == key))
        });
    }

    fn compiled(&self, name: &'static str) -> Result<Arc<CompiledSchema>> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = compiled.get(name) {
            return Ok(Arc::clone(schema));
        }
        let root = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": { "schemas": self.schemas },
        });
        let schema = CompiledSchema::compile(&root).map(Arc::new).map_err(|error| {
            ApiError::new("event_damaged", format!("the schema `{name}` cannot be used: {error}"))
        })?;
        compiled.insert(name, Arc::clone(&schema));
        Ok(schema)
    }
}

/// Whether a schema of one value lets null through.
pub(crate) fn knows_null(schema: &Value) -> bool {
    let null = |kind: &Value| kind == "null";
    match (&schema["type"], &schema["anyOf"]) {
        (Value::Array(kinds), _) => kinds.iter().any(null),
        (Value::String(_), _) => false,
        (_, Value::Array(choices)) => choices.iter().any(|choice| null(&choice["type"])),
        _ => schema.get("$ref").is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_has_a_schema_that_can_be_used() {
        let bodies = Bodies::new();
        for name in crate::routes::table().filter_map(|route| route.body) {
            if let Err(error) = bodies.compiled(name) {
                panic!("{name}: {error}");
            }
        }
    }
}
