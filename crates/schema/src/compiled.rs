//! JSON Schemas, compiled once per source or event type and asked per request.
//!
//! Deliberately absent: references to other documents (nothing is ever fetched), the offending
//! values in messages, because messages reach logs and answers, and look-around and back references
//! in patterns: regular expressions run in time linear in the text.

use std::fmt;

use jsonschema::PatternOptions;
use jsonschema::error::{ValidationError, ValidationErrorKind};
use serde_json::Value;

use crate::error::SchemaError;
use crate::guard::{self, Cost};
use crate::message;

/// Memory for all compiled patterns of a schema together, in bytes, shared between them.
const PATTERN_BUDGET_BYTES: usize = 8 << 20;

/// The most and the least that a single pattern may take of it.
const PATTERN_MOST_BYTES: usize = 1 << 20;
const PATTERN_LEAST_BYTES: usize = 32 << 10;

/// The cache of a pattern's automaton, in bytes.
const PATTERN_CACHE_BYTES: usize = 256 << 10;

/// The longest place that a violation tells, in characters: property names come from the payload.
const MAX_PATH_CHARS: usize = 300;

/// One rule of a schema that a payload breaks, without any value of the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where in the payload, as a JSON pointer; empty for the whole of it.
    pub path: String,
    /// The schema's keyword, such as `required`; `too_costly` if the payload is too large or too
    /// deep to be checked against this schema.
    pub rule: String,
    /// Where the rule is in the schema, as a JSON pointer.
    pub rule_at: String,
    /// A sentence for people.
    pub message: String,
}

/// A JSON Schema that is ready to judge payloads. The draft is the one named by `$schema`, otherwise 2020-12.
pub struct CompiledSchema {
    validator: jsonschema::Validator,
    cost: Cost,
}

impl CompiledSchema {
    /// Compiles a schema. `format` is checked where its draft says so (up to draft 7).
    ///
    /// # Errors
    /// [`SchemaError`] if it is no schema, refers to another document, or is beyond the bounds of
    /// [`crate::MAX_SCHEMA_BYTES`] and its like.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let cost = guard::check(schema)?;
        match options(schema).build(schema) {
            Ok(validator) => Ok(Self { validator, cost }),
            Err(error) => Err(unusable(&error)),
        }
    }

    /// Whether a payload fits.
    #[must_use]
    pub fn fits(&self, payload: &Value) -> bool {
        self.cost.allows(payload) && self.validator.is_valid(payload)
    }

    /// The rules that a payload breaks, at most so many, in the schema's order; none if it fits.
    #[must_use]
    pub fn violations(&self, payload: &Value, most: usize) -> Vec<Violation> {
        if most == 0 {
            return Vec::new();
        }
        if !self.cost.allows(payload) {
            return vec![Violation {
                path: String::new(),
                rule: "too_costly".to_owned(),
                rule_at: String::new(),
                message:
                    "the payload is too large or nested too deep to be checked against this schema"
                        .to_owned(),
            }];
        }
        self.validator.iter_errors(payload).take(most).map(|error| violation(&error)).collect()
    }

    /// Where a payload first breaks the schema: the place in the payload and the rule, without values.
    #[must_use]
    pub fn violation(&self, payload: &Value) -> Option<String> {
        let first = self.violations(payload, 1).into_iter().next()?;
        let place = if first.path.is_empty() { "/" } else { first.path.as_str() };
        Some(format!("`{place}` breaks the schema's rule `{}`: {}", first.rule_at, first.message))
    }
}

impl fmt::Debug for CompiledSchema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CompiledSchema")
    }
}

/// How schemas are compiled: offline, and with an engine for patterns that cannot backtrack.
pub(crate) fn options(schema: &Value) -> jsonschema::ValidationOptions<'static> {
    let patterns = count_patterns(schema).max(1);
    let each = (PATTERN_BUDGET_BYTES / patterns).clamp(PATTERN_LEAST_BYTES, PATTERN_MOST_BYTES);
    let engine = PatternOptions::regex().size_limit(each).dfa_size_limit(PATTERN_CACHE_BYTES);
    jsonschema::options().offline().with_pattern_options(engine)
}

/// How many patterns a schema may hold at most: every place that looks like one.
fn count_patterns(schema: &Value) -> usize {
    match schema {
        Value::Object(fields) => {
            let own = usize::from(fields.contains_key("pattern"));
            let names = fields.get("patternProperties").and_then(Value::as_object);
            own + names.map_or(0, serde_json::Map::len)
                + fields.values().map(count_patterns).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(count_patterns).sum(),
        _ => 0,
    }
}

/// Why a schema could not be compiled, in our words where the engine's would not help.
fn unusable(error: &ValidationError<'_>) -> SchemaError {
    let at = error.instance_path().to_string();
    let problem = match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => {
            "the pattern is no regular expression that can be used; look-around, back references \
             and very large repetitions are not supported"
                .to_owned()
        }
        ValidationErrorKind::Referencing(inner) => guard::shorten(&inner.to_string()),
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            "JSON Schema does not allow this value here".to_owned()
        }
        _ => guard::shorten(&error.to_string()),
    };
    SchemaError::Invalid { at, problem }
}

/// What a broken rule means, without the payload's values.
fn violation(error: &ValidationError<'_>) -> Violation {
    let path = error.instance_path().to_string();
    let path = match path.char_indices().nth(MAX_PATH_CHARS) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path,
    };
    let rule_at = error.schema_path().to_string();
    let rule = rule_at
        .rsplit('/')
        .find(|step| !step.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|step| !step.is_empty())
        .map_or_else(|| error.kind().keyword().to_owned(), str::to_owned);
    Violation { path, rule, rule_at, message: message::of(error.kind()) }
}
