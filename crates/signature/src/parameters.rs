//! Settings of generic entries: texts that are written into the entry before it is used.
//!
//! Invariant: the result is read and checked like any other entry, so that a parameter cannot say what an
//! entry could not.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::entry::{CredentialKind, Entry, ParameterKind, ParameterSpec};
use crate::error::EntryError;

impl Entry {
    /// The entry with these parameters written into it. Unknown names are errors that list the known ones.
    pub fn with_parameters(&self, values: &BTreeMap<String, String>) -> Result<Entry, EntryError> {
        let unusable = |name: &str, message: String| EntryError::Parameter {
            slug: self.slug.clone(),
            name: name.to_owned(),
            message,
        };
        let mut document = toml::Value::try_from(self)
            .map_err(|error| EntryError::Unreadable { message: error.to_string() })?;
        for (name, value) in values {
            let spec = self.parameters.get(name).ok_or_else(|| {
                let known: Vec<&str> = self.parameters.keys().map(String::as_str).collect();
                unusable(
                    name,
                    if known.is_empty() {
                        "this provider has no parameters".to_owned()
                    } else {
                        format!("it does not exist; there are {}", known.join(", "))
                    },
                )
            })?;
            let value = written(spec, value).map_err(|message| unusable(name, message))?;
            set(&mut document, &spec.sets, value).map_err(|message| unusable(name, message))?;
        }
        Entry::from_value(document).map_err(|error| {
            let names: Vec<&str> = values.keys().map(String::as_str).collect();
            unusable(&names.join(", "), error.to_string())
        })
    }

    /// The same entry, or a changed one if some of the named credentials are parameters of it.
    pub(crate) fn with_parameters_from(
        self: Arc<Self>,
        named: &BTreeMap<String, String>,
    ) -> Result<Arc<Entry>, EntryError> {
        if self.parameters.is_empty() {
            return Ok(self);
        }
        let is_credential = |name: &str| {
            self.credentials
                .iter()
                .any(|spec| spec.kind == CredentialKind::Named && spec.name == name)
        };
        let given: BTreeMap<String, String> = named
            .iter()
            .filter(|(name, _)| !is_credential(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if given.is_empty() {
            return Ok(self);
        }
        self.with_parameters(&given).map(Arc::new)
    }
}

fn written(spec: &ParameterSpec, value: &str) -> Result<toml::Value, String> {
    match spec.kind {
        ParameterKind::Text => Ok(toml::Value::String(spec.written_as.replace("{}", value))),
        ParameterKind::List => Ok(toml::Value::Array(
            value
                .split(',')
                .map(|item| toml::Value::String(spec.written_as.replace("{}", item.trim())))
                .collect(),
        )),
        ParameterKind::Integer => match value.trim().parse::<i64>() {
            Ok(number) => Ok(toml::Value::Integer(number)),
            // Tolerances also take a word; the entry's own check judges it.
            Err(_) if value == "unchecked" => Ok(toml::Value::String(value.to_owned())),
            Err(_) => Err(format!("`{value}` is no whole number")),
        },
    }
}

/// Writes a value at a path of keys and indexes; tables on the way are made, list items must exist.
fn set(document: &mut toml::Value, path: &str, value: toml::Value) -> Result<(), String> {
    let mut here = document;
    for step in path.split('.') {
        here = match here {
            toml::Value::Array(items) => step
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
                .ok_or_else(|| format!("`{path}` leads nowhere at `{step}`"))?,
            toml::Value::Table(table) => {
                table.entry(step).or_insert_with(|| toml::Value::Table(toml::Table::new()))
            }
            _ => return Err(format!("`{path}` leads nowhere at `{step}`")),
        };
    }
    *here = value;
    Ok(())
}
