//! The file as values: JSON or YAML, with `{{ getenv "NAME" }}` of a template kept as a mark.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

use super::ImportError;

/// Stands in a text for a variable: this, its name, this.
const MARK: char = '\u{e000}';

/// The hooks of a file.
pub(super) fn hooks(text: &str) -> Result<Vec<Value>, ImportError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = marked(text)?;
    let value = match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(error) => {
            let failed = |problem: String| ImportError::Syntax { problem };
            // A broken JSON file is told about as JSON.
            if text.trim_start().starts_with(['[', '{'])
                && YamlLoader::load_from_str(&text).is_err()
            {
                return Err(failed(error.to_string()));
            }
            let mut documents =
                YamlLoader::load_from_str(&text).map_err(|error| failed(error.to_string()))?;
            if documents.len() > 1 {
                return Err(failed("there are several YAML documents in it".to_owned()));
            }
            documents.pop().map_or(Value::Null, json_of)
        }
    };
    let not_hooks = |problem: &str| ImportError::NotHooks { problem: problem.to_owned() };
    match value {
        Value::Array(hooks) if hooks.iter().all(Value::is_object) => Ok(hooks),
        Value::Array(_) => Err(not_hooks("something in the list is not an object")),
        one @ Value::Object(_) if one.get("id").is_some() => Ok(vec![one]),
        Value::Null => Err(not_hooks("it is empty")),
        _ => Err(not_hooks("it is not a list of objects")),
    }
}

/// Replaces `{{ getenv "NAME" | js }}` by marks. What a hook's own templates contain is in quotes of
/// its own and not understood here.
fn marked(text: &str) -> Result<String, ImportError> {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        made.push_str(&rest[..open]);
        let inside = &rest[open + 2..];
        let close = inside.find("}}");
        let Some(name) = close.and_then(|close| getenv(&inside[..close])) else {
            // Two braces also end and begin objects in compact JSON.
            if serde_json::from_str::<Value>(text).is_ok() {
                return Ok(text.to_owned());
            }
            let shown: String = rest[open..].chars().take(60).collect();
            let shown = shown.lines().next().unwrap_or_default().to_owned();
            return Err(ImportError::Template { found: shown });
        };
        made.push(MARK);
        made.push_str(&name);
        made.push(MARK);
        rest = &inside[close.unwrap_or_default() + 2..];
    }
    made.push_str(rest);
    Ok(made)
}

fn getenv(inside: &str) -> Option<String> {
    let inside = inside.trim().trim_start_matches('-').trim_end_matches('-').trim();
    let (call, filter) = inside.split_once('|').unwrap_or((inside, "js"));
    let name = call.trim().strip_prefix("getenv")?.trim();
    let name = name.strip_prefix(['"', '`'])?.strip_suffix(['"', '`'])?;
    (filter.trim() == "js" && !name.is_empty()).then(|| name.to_owned())
}

fn json_of(yaml: Yaml) -> Value {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => Value::String(text),
        Yaml::Integer(number) => number.into(),
        Yaml::Boolean(value) => value.into(),
        Yaml::Array(items) => items.into_iter().map(json_of).collect(),
        Yaml::Hash(fields) => {
            let text = |key| match json_of(key) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Value::Object(
                fields.into_iter().map(|(key, value)| (text(key), json_of(value))).collect(),
            )
        }
        Yaml::Null | Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    }
}

/// A secret as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// In full.
    Text(String),
    /// As a variable of this name.
    Variable(String),
}

/// The fields of an object, with what was not asked for.
pub(super) struct Fields<'a> {
    fields: Option<&'a Map<String, Value>>,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(value: &'a Value, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { fields: value.as_object(), environment }
    }

    pub(super) fn inner(&self, value: &'a Value) -> Self {
        Self::new(value, self.environment)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields?.get(name).filter(|value| !value.is_null())
    }

    /// What a hook is called, if it has a name.
    pub(super) fn name(&self, index: usize) -> String {
        let id = self.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        id.map_or_else(|| format!("number {}", index + 1), |id| id.replace(MARK, "$"))
    }

    /// Names that are there and not among these.
    pub(super) fn unknown(&self, known: &[&str]) -> BTreeSet<&'a str> {
        let names = self.fields.into_iter().flat_map(Map::keys).map(String::as_str);
        names.filter(|name| !known.contains(name)).collect()
    }

    /// A text, with variables put in.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        let Some(written) = self.written(name)? else { return Ok(None) };
        let mut text = String::new();
        for (index, part) in written.split(MARK).enumerate() {
            if index % 2 == 0 {
                text.push_str(part);
            } else {
                text.push_str(&(self.environment)(part).ok_or_else(|| {
                    format!("`{name}` takes the variable {part}, which is not set here")
                })?);
            }
        }
        Ok(Some(text))
    }

    /// A secret, with a variable left as one.
    pub(super) fn secret(&self, name: &str) -> Result<Option<Written>, String> {
        let Some(written) = self.written(name)? else { return Ok(None) };
        let variable = written.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(MARK));
        match variable.filter(|variable| !variable.contains(MARK)) {
            Some(variable) => Ok(Some(Written::Variable(variable.to_owned()))),
            None => Ok(self.text(name)?.map(Written::Text)),
        }
    }

    fn written(&self, name: &str) -> Result<Option<String>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(scalar @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(scalar.to_string())),
            Some(_) => Err(format!("`{name}` is not a text")),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, String> {
        match self.text(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(format!("`{name}` is neither true nor false")),
        }
    }

    pub(super) fn list(&self, name: &str) -> Result<Vec<&'a Value>, String> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items.iter().collect()),
            Some(_) => Err(format!("`{name}` is not a list")),
        }
    }
}
