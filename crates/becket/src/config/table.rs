//! Sections as they are declared: each key once, with its type, default and meaning.
//!
//! From one declaration come the struct, its reading, the schema, the reference and what
//! `becket config show` prints.

use serde_json::{Map, Value as Json, json};
use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Slot};
use super::value::{Value, article};

/// A key of a section, for the schema and the reference.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// What it means.
    pub doc: String,
    /// What holds without it, as it would be written in the environment.
    pub default: Option<&'static str>,
    /// Whether the section cannot do without it.
    pub required: bool,
    /// The kind of value.
    pub words: String,
    /// Its JSON Schema.
    pub schema: Json,
    /// The keys inside, if it is a section.
    pub keys: Option<Vec<Key>>,
    /// Whether there may be several of the section: `[[...]]`.
    pub is_list: bool,
}

/// A section.
pub(super) trait Table: Sized {
    fn declared() -> Vec<Key>;
    fn names() -> &'static [&'static str];
    fn read(fields: &mut Fields<'_, '_, '_>) -> Option<Self>;
    fn shown(&self) -> Map<String, Json>;
}

/// The fields of one section while it is read.
pub(super) struct Fields<'r, 'w, 'a> {
    reader: &'r mut Reader<'w>,
    table: Option<&'a DeTable<'a>>,
    slot: &'r Slot<'a>,
}

impl Fields<'_, '_, '_> {
    /// Reads one field.
    pub fn get<T: Value>(
        &mut self,
        name: &'static str,
        default: Option<&'static str>,
    ) -> Option<T> {
        let path = if self.slot.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.slot.path)
        };
        let found = self.table.and_then(|table| table.get_key_value(name));
        let span = found.map(|(key, _)| key.span()).or_else(|| self.slot.span.clone());
        if let Some((_, value)) = found {
            self.reader.spans.insert(path.clone(), value.span());
        }
        let node = found.map(|(_, value)| value);
        let slot = Slot { path, node, span, default, outside: self.slot.outside };
        T::load(self.reader, &slot).or_else(|| {
            // It has been reported; the rest is checked with the default, or with a stand-in.
            let slot = Slot { node: None, outside: false, ..slot };
            slot.default.and_then(|_| T::load(self.reader, &slot)).or_else(T::fallback)
        })
    }
}

/// Reads a section, reporting its unknown keys.
pub(super) fn load<T: Table>(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<T> {
    let table = match slot.node.map(|node| (node.get_ref(), node.span())) {
        None => None,
        Some((DeValue::Table(table), _)) => Some(table),
        Some((other, span)) => {
            let message = format!("`{}` takes a table, not {}", slot.path, article(other));
            let hint = match other {
                DeValue::Array(_) => "there is only one of it: write [ ] instead of [[ ]]",
                _ => "write it as a section, or as { key = value }",
            };
            reader.problem(slot, span, "wrong_type", message, Some(hint.to_owned()));
            if T::declared().iter().any(|key| key.required) {
                return None;
            }
            None
        }
    };
    for (key, value) in table.into_iter().flat_map(DeTable::iter) {
        if !T::names().contains(&key.get_ref().as_ref()) {
            reader.unknown_key(&slot.path, key, value, T::names());
        }
    }
    T::read(&mut Fields { reader, table, slot })
}

/// The JSON Schema of a section.
pub(super) fn schema(keys: &[Key]) -> Json {
    let mut properties = Map::new();
    for key in keys {
        let mut schema = key.schema.clone();
        if let Json::Object(fields) = &mut schema {
            fields.insert("description".to_owned(), json!(key.doc));
            if let Some(default) = key.default {
                fields.insert("default".to_owned(), default_json(default, fields));
            }
        }
        properties.insert(key.name.to_owned(), schema);
    }
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn default_json(default: &str, schema: &Map<String, Json>) -> Json {
    match schema.get("type").and_then(Json::as_str) {
        Some("integer") => default.parse::<i64>().map_or(json!(default), |number| json!(number)),
        Some("boolean") => json!(default == "true"),
        Some("array") => {
            let items = schema.get("items").and_then(Json::as_object);
            let one = |text: &str| match items {
                Some(items) => default_json(text, items),
                None => json!(text),
            };
            default.split(',').map(|text| one(text.trim())).collect()
        }
        _ => json!(default),
    }
}

/// Trims the space that a doc comment begins with, and joins its lines.
pub(super) fn doc(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// Declares a section: each line is `name: Type = "default",` below its meaning; `as "key"` names it
/// otherwise in the file. A key without default is required unless its type can be absent.
macro_rules! table {
    (
        $(#[doc = $table_doc:literal])*
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident $(as $key:literal)? : $type:ty $(= $default:literal)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $table_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl $crate::config::table::Table for $name {
            fn declared() -> Vec<$crate::config::table::Key> {
                vec![$({
                    let default = $crate::config::table::first!($($default)?);
                    $crate::config::table::Key {
                        name: $crate::config::table::key_name!($field $($key)?),
                        doc: $crate::config::table::doc(&[$($doc),*]),
                        default,
                        required: default.is_none()
                            && !<$type as $crate::config::value::Value>::is_optional(),
                        words: <$type as $crate::config::value::Value>::words(),
                        schema: <$type as $crate::config::value::Value>::schema(),
                        keys: <$type as $crate::config::value::Value>::keys(),
                        is_list: <$type as $crate::config::value::Value>::is_list(),
                    }
                }),*]
            }

            fn names() -> &'static [&'static str] {
                &[$($crate::config::table::key_name!($field $($key)?)),*]
            }

            fn read(fields: &mut $crate::config::table::Fields<'_, '_, '_>) -> Option<Self> {
                $(
                    let $field = fields.get::<$type>(
                        $crate::config::table::key_name!($field $($key)?),
                        $crate::config::table::first!($($default)?),
                    );
                )*
                Some(Self { $($field: $field?),* })
            }

            fn shown(&self) -> serde_json::Map<String, serde_json::Value> {
                let mut shown = serde_json::Map::new();
                $(
                    shown.insert(
                        $crate::config::table::key_name!($field $($key)?).to_owned(),
                        $crate::config::value::Value::show(&self.$field),
                    );
                )*
                shown
            }
        }

        impl $crate::config::value::Value for $name {
            fn load(
                reader: &mut $crate::config::reader::Reader<'_>,
                slot: &$crate::config::reader::Slot<'_>,
            ) -> Option<Self> {
                $crate::config::table::load(reader, slot)
            }

            fn schema() -> serde_json::Value {
                $crate::config::table::schema(
                    &<Self as $crate::config::table::Table>::declared(),
                )
            }

            fn words() -> String {
                "table".to_owned()
            }

            fn show(&self) -> serde_json::Value {
                serde_json::Value::Object($crate::config::table::Table::shown(self))
            }

            fn is_optional() -> bool {
                <Self as $crate::config::table::Table>::declared().iter().all(|key| !key.required)
            }

            fn keys() -> Option<Vec<$crate::config::table::Key>> {
                Some(<Self as $crate::config::table::Table>::declared())
            }
        }
    };
}

macro_rules! key_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

macro_rules! first {
    () => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}

pub(super) use {first, key_name, table};
