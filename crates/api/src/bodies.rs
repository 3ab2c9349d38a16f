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

    /// Whether a body fits its route.
    pub fn check(&self, route: &Route, body: &Value) -> Result<()> {
        let Some(name) = route.body else { return Ok(()) };
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
