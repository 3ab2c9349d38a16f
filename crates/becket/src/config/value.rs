//! How single values are read from a file, the environment or a flag, described, and shown.
//!
//! Invariant: one trait serves all of reading, schema, documentation and `becket config show`, so that
//! none of them can know a kind of value that another does not.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use toml::de::DeValue;

use super::reader::{Origin, Reader, Slot};
use super::table::Key;

/// Something that a setting can hold.
pub(super) trait Value: Sized {
    /// Reads it; reports what is wrong and gives `None` if it cannot be used.
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self>;

    /// Reads it from a text that did not come from a file.
    fn load_text(
        reader: &mut Reader<'_>,
        slot: &Slot<'_>,
        _text: &str,
        from: &Origin,
    ) -> Option<Self> {
        reader.wrong_outside(slot, from, "this can be set in the file only");
        None
    }

    /// Its JSON Schema.
    fn schema() -> Json;

    /// What kind of value it is, for the reference.
    fn words() -> String;

    /// Its value as JSON, without secrets.
    fn show(&self) -> Json;

    /// Whether its text must never be shown.
    fn is_secret() -> bool {
        false
    }

    /// What takes the place of a value that cannot be used, so that the rest can be checked too. A
    /// configuration with such a value is never handed out.
    fn fallback() -> Option<Self> {
        None
    }

    /// Whether it may be left out although it has no default.
    fn is_optional() -> bool {
        false
    }

    /// The settings inside, if it is a table.
    fn keys() -> Option<Vec<Key>> {
        None
    }

    /// Whether it is a list of tables.
    fn is_list() -> bool {
        false
    }
}

/// A value that is written as one text or number.
pub(super) trait Scalar: Sized {
    const WORDS: &'static str;

    /// Reads it; the error is a whole sentence.
    fn parse(text: &str) -> Result<Self, String>;

    /// Writes it as it would be written in the file.
    fn text(&self) -> String;

    /// The text of a value in the file, if it is of the right type.
    fn node_text<'a>(node: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
        node.as_str().map(Cow::Borrowed)
    }

    fn json_schema() -> Json {
        json!({ "type": "string" })
    }

    fn json(&self) -> Json {
        Json::String(self.text())
    }

    /// See [`Value::fallback`].
    fn stand_in() -> Option<Self> {
        None
    }

    /// What is done to a value from the file, such as making a path relative to the file's folder.
    fn based(self, _reader: &Reader<'_>) -> Self {
        self
    }
}

impl<T: Scalar> Value for T {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        if let Some(given) = reader.given_outside(slot) {
            return T::load_text(reader, slot, &given.text, &given.from);
        }
        if let Some(node) = slot.node {
            let Some(text) = T::node_text(node.get_ref()) else {
                let message = format!(
                    "`{}` takes {}, not {}",
                    slot.path,
                    with_article(T::WORDS),
                    article(node.get_ref())
                );
                reader.error(slot, node.span(), "wrong_type", message);
                return None;
            };
            return match T::parse(&text) {
                Ok(value) => {
                    reader.came_from_file(slot, node.span());
                    Some(value.based(reader))
                }
                Err(message) => {
                    reader.error(slot, node.span(), "wrong_value", message);
                    None
                }
            };
        }
        let Some(default) = slot.default else {
            reader.missing(slot);
            return None;
        };
        reader.origins.insert(slot.path.clone(), Origin::Default);
        let value = T::load_text(reader, slot, default, &Origin::Default)?;
        Some(value.based(reader))
    }

    fn load_text(
        reader: &mut Reader<'_>,
        slot: &Slot<'_>,
        text: &str,
        from: &Origin,
    ) -> Option<Self> {
        T::parse(text).map_err(|message| reader.wrong_outside(slot, from, &message)).ok()
    }

    fn schema() -> Json {
        T::json_schema()
    }

    fn fallback() -> Option<Self> {
        T::stand_in()
    }

    fn words() -> String {
        T::WORDS.to_owned()
    }

    fn show(&self) -> Json {
        self.json()
    }
}

impl<T: Value> Value for Option<T> {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        let given = slot.node.is_some()
            || slot.default.is_some()
            || reader.is_given_outside(slot, T::keys().is_some());
        if given { T::load(reader, slot).map(Some) } else { Some(None) }
    }

    fn schema() -> Json {
        T::schema()
    }

    fn words() -> String {
        T::words()
    }

    fn show(&self) -> Json {
        self.as_ref().map_or(Json::Null, T::show)
    }

    fn is_optional() -> bool {
        true
    }

    fn is_secret() -> bool {
        T::is_secret()
    }

    fn fallback() -> Option<Self> {
        Some(None)
    }

    fn keys() -> Option<Vec<Key>> {
        T::keys()
    }

    fn is_list() -> bool {
        T::is_list()
    }
}

impl<T: Value> Value for Vec<T> {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        if T::keys().is_none()
            && let Some(given) = reader.given_outside(slot)
        {
            return load_separated(reader, slot, &given.text, &given.from);
        }
        let Some(node) = slot.node else {
            return match slot.default {
                Some(default) => load_separated(reader, slot, default, &Origin::Default),
                None => Some(Vec::new()),
            };
        };
        let DeValue::Array(items) = node.get_ref() else {
            let message = format!("`{}` takes a list, not {}", slot.path, article(node.get_ref()));
            let hint = match (T::keys(), node.get_ref()) {
                (Some(_), DeValue::Table(_)) => format!("write [[{}]]", bare(&slot.path)),
                (None, DeValue::String(_)) => "put it into [ ]".to_owned(),
                _ => "write [ ... ]".to_owned(),
            };
            if T::is_secret() {
                reader.hide(node.span());
            }
            reader.problem(slot, node.span(), "wrong_type", message, Some(hint));
            return None;
        };
        reader.came_from_file(slot, node.span());
        // A bad item has been reported; the good ones are checked all the same.
        let loaded: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let slot = Slot {
                    path: format!("{}[{index}]", slot.path),
                    node: Some(item),
                    span: Some(item.span()),
                    default: None,
                    outside: false,
                };
                reader.spans.insert(slot.path.clone(), item.span());
                T::load(reader, &slot)
            })
            .collect();
        Some(loaded.into_iter().flatten().collect())
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema() })
    }

    fn words() -> String {
        format!("list of {}", plural(&T::words()))
    }

    fn show(&self) -> Json {
        Json::Array(self.iter().map(T::show).collect())
    }

    fn is_optional() -> bool {
        true
    }

    fn is_secret() -> bool {
        T::is_secret()
    }

    fn fallback() -> Option<Self> {
        Some(Vec::new())
    }

    fn keys() -> Option<Vec<Key>> {
        T::keys()
    }

    fn is_list() -> bool {
        true
    }
}

/// A list from one text, separated by commas.
fn load_separated<T: Value>(
    reader: &mut Reader<'_>,
    slot: &Slot<'_>,
    text: &str,
    from: &Origin,
) -> Option<Vec<T>> {
    let mut values = Some(Vec::new());
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let loaded = T::load_text(reader, slot, part, from);
        values = values.zip(loaded).map(|(mut values, value)| {
            values.push(value);
            values
        });
    }
    reader.origins.insert(slot.path.clone(), from.clone());
    values
}

impl<T: Value> Value for BTreeMap<String, T> {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        let Some(node) = slot.node else {
            return Some(Self::new());
        };
        let DeValue::Table(table) = node.get_ref() else {
            let message = format!("`{}` takes a table, not {}", slot.path, article(node.get_ref()));
            let hint = Some("write { name = ... }".to_owned());
            if T::is_secret() {
                reader.hide(node.span());
            }
            reader.problem(slot, node.span(), "wrong_type", message, hint);
            return None;
        };
        reader.came_from_file(slot, node.span());
        let loaded: Vec<Option<(String, T)>> = table
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().to_string();
                let slot = Slot {
                    path: format!("{}.{name}", slot.path),
                    node: Some(value),
                    span: Some(key.span()),
                    default: None,
                    outside: false,
                };
                reader.spans.insert(slot.path.clone(), key.span());
                T::load(reader, &slot).map(|value| (name, value))
            })
            .collect();
        Some(loaded.into_iter().flatten().collect())
    }

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }

    fn words() -> String {
        format!("table of {}", plural(&T::words()))
    }

    fn show(&self) -> Json {
        Json::Object(
            self.iter().map(|(key, value)| (key.clone(), value.show())).collect::<Map<_, _>>(),
        )
    }

    fn is_optional() -> bool {
        true
    }

    fn is_secret() -> bool {
        T::is_secret()
    }

    fn fallback() -> Option<Self> {
        Some(Self::new())
    }
}

/// `an integer`, `a table`: the type of a value in the file, in words.
pub(super) fn article(value: &DeValue<'_>) -> String {
    with_article(match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "whole number",
        DeValue::Float(_) => "number with a point",
        DeValue::Boolean(_) => "truth value",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "list",
        DeValue::Table(_) => "table",
    })
}

fn with_article(words: &str) -> String {
    let vowel = words.starts_with(['a', 'e', 'i', 'o']) || words.starts_with("HTTP ");
    format!("{} {words}", if vowel { "an" } else { "a" })
}

fn plural(words: &str) -> String {
    match words.split_once(' ') {
        Some((noun, rest)) if rest.starts_with("like") || rest.starts_with("in ") => {
            format!("{noun}s {rest}")
        }
        _ if words.ends_with('s') => format!("{words}es"),
        _ if words.ends_with("ory") => format!("{}ies", &words[..words.len() - 1]),
        _ => format!("{words}s"),
    }
}

fn bare(path: &str) -> String {
    let mut bare = String::new();
    let mut inside = false;
    for character in path.chars() {
        match character {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => {}
            other => bare.push(other),
        }
    }
    bare
}
