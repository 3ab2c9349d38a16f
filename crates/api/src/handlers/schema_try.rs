//! Trying a JSON Schema, and a payload against it, without storing anything: for editors.
//!
//! Invariants: nothing is read from the store and nothing is written; a schema that cannot be used is
//! an answer, not an error; as everywhere, what breaks the schema is named by place and rule.

use becket_schema::{CompiledSchema, Violation, example};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::{Answer, Call, JsonBody};
use crate::problem::Result;

/// The most places that one answer names.
const PLACES_MAX: usize = 50;

/// A schema, and perhaps a payload (`SchemaTryIn`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TryIn {
    schema: Value,
    #[serde(default)]
    payload: Option<Value>,
}

/// What is wrong with them (`SchemaTried`).
#[derive(Debug, Serialize)]
pub(crate) struct TryOut {
    schema: Option<Wrong>,
    violations: Option<Vec<Broken>>,
    example: Option<Value>,
}

/// Why a schema cannot be used, and where, as a JSON pointer.
#[derive(Debug, Serialize)]
struct Wrong {
    path: String,
    message: String,
}

/// A rule that the payload breaks, and where in the payload.
#[derive(Debug, Serialize)]
struct Broken {
    path: String,
    rule: String,
    message: String,
}

impl From<Violation> for Broken {
    fn from(Violation { path, rule, message, .. }: Violation) -> Self {
        Self { path, rule, message }
    }
}

/// `POST /api/v1/becket/try/schema`; the call is only there to be let in.
pub(crate) async fn schema(_: Call, JsonBody(given): JsonBody<TryIn>) -> Result<Answer<TryOut>> {
    let compiled = match CompiledSchema::compile(&given.schema) {
        Ok(compiled) => compiled,
        Err(error) => {
            let wrong = Wrong { path: error.at().to_owned(), message: error.to_string() };
            return Ok(Answer::ok(TryOut { schema: Some(wrong), violations: None, example: None }));
        }
    };
    let broken = |payload: &Value| {
        compiled.violations(payload, PLACES_MAX).into_iter().map(Broken::from).collect()
    };
    Ok(Answer::ok(TryOut {
        schema: None,
        violations: given.payload.as_ref().map(broken),
        // Not every schema says enough to make one; then there is none.
        example: example::of_schema(&given.schema, 0).ok(),
    }))
}
