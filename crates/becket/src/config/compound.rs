//! Values that are more than one text: retry schedules, JSON Schemas, provider entries.

use std::sync::Arc;

use becket_model::RetrySchedule;
use becket_signature::Entry;
use serde::Deserialize as _;
use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::nearest;
use super::reader::{Reader, Slot};
use super::value::{Scalar, Value, article};

/// When failed attempts are made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The name of the schedule, if it is a named one.
    pub name: Option<&'static str>,
    /// The waits.
    pub schedule: RetrySchedule,
}

const ATTEMPTS_MAX: usize = 100;

impl Retry {
    fn named(name: &str) -> Option<Self> {
        let known = RetrySchedule::NAMES.iter().find(|known| **known == name)?;
        Some(Self { name: Some(known), schedule: RetrySchedule::named(name)? })
    }
}

impl Value for Retry {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        let Some(node) = slot.node else {
            return slot.default.and_then(Self::named);
        };
        match node.get_ref() {
            DeValue::String(name) => {
                let found = Self::named(name);
                if found.is_some() {
                    reader.came_from_file(slot, node.span());
                    return found;
                }
                let names = RetrySchedule::NAMES;
                let hint = nearest(name, names.iter().copied()).map_or_else(
                    || format!("use {}, or a list like [\"5s\", \"1m\"]", names.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("there is no retry schedule `{name}`");
                reader.problem(slot, node.span(), "wrong_value", message, Some(hint));
                None
            }
            DeValue::Array(_) => {
                let waits = Vec::<std::time::Duration>::load(reader, slot)?;
                if waits.len() >= ATTEMPTS_MAX {
                    let message = format!("`{}` has more than {ATTEMPTS_MAX} attempts", slot.path);
                    reader.error(slot, node.span(), "wrong_value", message);
                    return None;
                }
                let delays_ms = waits
                    .iter()
                    .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
                    .collect();
                Some(Self { name: None, schedule: RetrySchedule { delays_ms } })
            }
            other => {
                let message = format!(
                    "`{}` takes a schedule's name or a list of durations, not {}",
                    slot.path,
                    article(other)
                );
                reader.error(slot, node.span(), "wrong_type", message);
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "enum": RetrySchedule::NAMES },
            { "type": "array", "items": std::time::Duration::json_schema() },
        ] })
    }

    fn words() -> String {
        "schedule".to_owned()
    }

    fn show(&self) -> Json {
        match self.name {
            Some(name) => json!(name),
            None => self
                .schedule
                .delays_ms
                .iter()
                .map(|wait_ms| std::time::Duration::from_millis(*wait_ms).json())
                .collect(),
        }
    }
}

/// A JSON Schema that is known to be one.
#[derive(Debug, Clone, PartialEq)]
pub struct BodySchema {
    /// The schema.
    pub schema: Arc<Json>,
    /// The file it was read from, as it is named in the configuration.
    pub file: Option<String>,
}

impl BodySchema {
    /// A schema that is at hand.
    ///
    /// # Errors
    /// That it is none, and where.
    pub fn of(schema: Json) -> Result<Self, String> {
        if let Err(error) = jsonschema::validator_for(&schema) {
            let at = error.instance_path().to_string();
            let at = if at.is_empty() { String::new() } else { format!(" at `{at}`") };
            return Err(format!("is no JSON Schema{at}: {error}"));
        }
        Ok(Self { schema: Arc::new(schema), file: None })
    }
}

impl Value for BodySchema {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        let Some(node) = slot.node else {
            reader.missing(slot);
            return None;
        };
        let DeValue::Table(table) = node.get_ref() else {
            let message =
                format!("`{}` takes a JSON Schema, not {}", slot.path, article(node.get_ref()));
            let hint = Some("write { file = \"PATH\" } or the schema as a table".to_owned());
            reader.problem(slot, node.span(), "wrong_type", message, hint);
            return None;
        };
        let named =
            table.get("file").filter(|_| table.len() == 1).and_then(|v| v.get_ref().as_str());
        let schema = match named {
            None => json_of(node),
            Some(file) => match read_json(reader, file) {
                Ok(schema) => schema,
                Err(message) => {
                    reader.error(slot, node.span(), "schema_unreadable", message);
                    return None;
                }
            },
        };
        match Self::of(schema) {
            Ok(read) => {
                reader.came_from_file(slot, node.span());
                Some(Self { file: named.map(str::to_owned), ..read })
            }
            Err(problem) => {
                let message = format!("`{}` {problem}", slot.path);
                reader.error(slot, node.span(), "schema_unusable", message);
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": "object" })
    }

    fn words() -> String {
        "JSON Schema".to_owned()
    }

    fn show(&self) -> Json {
        match &self.file {
            Some(file) => json!({ "file": file }),
            None => (*self.schema).clone(),
        }
    }
}

fn read_json(reader: &mut Reader<'_>, file: &str) -> Result<Json, String> {
    let text = reader
        .read_text(std::path::Path::new(file))
        .map_err(|problem| format!("the schema file `{file}` cannot be read: {problem}"))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("the schema file `{file}` is not JSON: {error}"))
}

/// The user's own provider, in the catalogue's format.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnProvider(pub Arc<Entry>);

impl Value for OwnProvider {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        let Some(node) = slot.node else {
            reader.missing(slot);
            return None;
        };
        let DeValue::Table(table) = node.get_ref() else {
            let message = format!("`{}` takes a table, not {}", slot.path, article(node.get_ref()));
            reader.error(slot, node.span(), "wrong_type", message);
            return None;
        };
        // Read from the spanned table first, because only that knows where a mistake is.
        let spanned: Spanned<DeTable<'_>> = Spanned::new(node.span(), table.clone());
        let entry = Entry::deserialize(toml::de::Deserializer::from(spanned)).map_err(|error| {
            let message =
                format!("the provider entry cannot be read: {}", error.message().trim_end());
            (error.span().unwrap_or(node.span()), message)
        });
        let checked = entry.and_then(|entry| match entry.check() {
            Ok(()) => Ok(entry),
            Err(error) => Err((node.span(), error.to_string())),
        });
        match checked {
            Ok(entry) => {
                reader.came_from_file(slot, node.span());
                Some(Self(Arc::new(entry)))
            }
            Err((span, message)) => {
                let slug = table.get("slug").and_then(|slug| slug.get_ref().as_str());
                reader.broken_providers.extend(slug.map(str::to_owned));
                let hint = Some(entry_hint(&message));
                reader.problem(slot, span, "entry_unusable", message, hint);
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": "object", "required": ["slug", "name"] })
    }

    fn words() -> String {
        "provider entry".to_owned()
    }

    fn show(&self) -> Json {
        json!({ "slug": self.0.slug, "name": self.0.name })
    }
}

/// Names the key that was probably meant, when serde says which ones it knows.
fn entry_hint(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let near = match (message.contains("unknown field"), quoted.next()) {
        (true, Some(unknown)) => nearest(unknown, quoted),
        _ => None,
    };
    near.map_or_else(
        || "docs/catalogue.md explains the format".to_owned(),
        |near| format!("did you mean `{near}`? docs/catalogue.md explains the format"),
    )
}

/// A value of the file as JSON.
pub(super) fn json_of(node: &Spanned<DeValue<'_>>) -> Json {
    match node.get_ref() {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| json!(number.to_string()), |number| json!(number)),
        DeValue::Float(number) => {
            number.as_str().parse::<f64>().map_or(Json::Null, |number| json!(number))
        }
        DeValue::Boolean(value) => json!(value),
        DeValue::Datetime(value) => json!(value.to_string()),
        DeValue::Array(items) => items.iter().map(json_of).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json_of(value))).collect()
        }
    }
}
