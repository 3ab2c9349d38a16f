//! Sorted pairs of a form, a query or a JSON object, as payOS, MyFatoorah and Plivo sign them.
//!
//! Invariants: names come in the wanted order, pairs with the same name in the order of their values;
//! strings are written as their content, everything else keeps its text unless `numbers` says otherwise.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::number::{self, Layout};
use super::rewrite::{JsonStyle, Printing, by_utf16, rewrite};
use super::scan::{self, Shape};
use super::{Origin, OriginKind, PAIRS_MAX};
use crate::scope::{Absent, Scope};

/// The longest name that is made of nested ones, in bytes: it is repeated for every value below it.
const NAME_MAX: usize = 1024;

/// Sorted pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SortedKv {
    /// `form`, `query`, `json` (the whole payload) or `json:PATH` (an object in it).
    pub from: Origin,
    /// What stands between a name and its value.
    #[serde(default = "equals_sign")]
    pub pair: String,
    /// What stands between two pairs.
    #[serde(default = "usual_separator")]
    pub separator: String,
    /// The order of names.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub sort: SortOrder,
    /// Names that are left out, such as the signature itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Whether only values are written.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub values_only: bool,
    /// Whether a pair that came twice counts once.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub unique: bool,
    /// What happens to pairs with an empty value.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub empty: EmptyValue,
    /// How arrays and objects inside the object are written.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub nested: Nested,
    /// What is written for `null`.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub null_text: String,
    /// String values that count as empty texts, such as `null` and `undefined` for senders in JavaScript.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blank: Vec<String>,
    /// Whether elements of arrays are sorted as texts.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub array_sort: bool,
    /// Whether numbers are printed again as JavaScript prints them.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub numbers: Numbers,
    /// How names and values are written.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub encode: PairEncoding,
}

fn equals_sign() -> String {
    "=".to_owned()
}

fn usual_separator() -> String {
    "&".to_owned()
}

/// The order of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortOrder {
    /// By bytes (and so by code points).
    #[default]
    Bytes,
    /// By UTF-16 units, as JavaScript's `sort`.
    Utf16,
    /// By lower-case letters.
    CaseInsensitive,
    /// As they came.
    None,
}

/// What happens to pairs with an empty value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyValue {
    /// They are written.
    #[default]
    Keep,
    /// They are left out.
    Skip,
}

/// How arrays and objects inside the object are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nested {
    /// As JSON, as JavaScript prints it; keys of objects directly inside are sorted.
    #[default]
    Json,
    /// As pairs of their own, with names joined by dots: `a.b`, `a.0`.
    Flatten,
    /// As PHP's `http_build_query`: `a[b]`, `a[0]`, booleans as 1 and 0, `null` left out.
    Php,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbers {
    /// As they came.
    #[default]
    Text,
    /// As JavaScript prints them.
    Js,
}

/// How names and values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairEncoding {
    /// As they are.
    #[default]
    None,
    /// As in forms, with `+` for a space.
    Form,
    /// With `%XX` for everything but letters, digits and `-_.~`.
    Percent,
}

type Pairs = Vec<(String, String)>;

impl SortedKv {
    pub(super) fn build<'a>(&'a self, scope: &Scope<'a>) -> Result<Vec<u8>, Absent<'a>> {
        let mut pairs = match self.from.kind {
            OriginKind::Form | OriginKind::Query => self.from.pairs(scope)?,
            OriginKind::Body | OriginKind::Json(_) => {
                self.from.json(scope, |raw| self.json_pairs(raw))?
            }
        };
        pairs.retain(|(name, value)| {
            let skipped = self.empty == EmptyValue::Skip && value.is_empty();
            !skipped && !self.exclude.iter().any(|excluded| excluded == name)
        });
        match self.sort {
            SortOrder::None => {}
            _ => pairs
                .sort_by(|a, b| self.compare(&a.0, &b.0).then_with(|| self.compare(&a.1, &b.1))),
        }
        if self.unique {
            let mut seen = std::collections::HashSet::new();
            pairs.retain(|pair| seen.insert(pair.clone()));
        }
        let mut text = String::new();
        for (position, (name, value)) in pairs.iter().enumerate() {
            if position > 0 {
                text.push_str(&self.separator);
            }
            if !self.values_only {
                self.push(&mut text, name);
                text.push_str(&self.pair);
            }
            self.push(&mut text, value);
        }
        Ok(text.into_bytes())
    }

    fn compare(&self, a: &str, b: &str) -> Ordering {
        match self.sort {
            SortOrder::Bytes | SortOrder::None => a.cmp(b),
            SortOrder::Utf16 => by_utf16(a, b),
            SortOrder::CaseInsensitive => {
                a.to_lowercase().cmp(&b.to_lowercase()).then_with(|| a.cmp(b))
            }
        }
    }

    fn push(&self, text: &mut String, value: &str) {
        match self.encode {
            PairEncoding::None => text.push_str(value),
            PairEncoding::Form => {
                text.extend(url::form_urlencoded::byte_serialize(value.as_bytes()));
            }
            PairEncoding::Percent => percent_encode(text, value),
        }
    }

    /// The members of an object as names and texts; `None` when it is no object.
    fn json_pairs(&self, raw: &str) -> Option<Pairs> {
        let Shape::Object(members) = scan::shape(raw)? else {
            return None;
        };
        let mut pairs = Vec::new();
        for (name, value) in members {
            self.collect(name.into_owned(), value, &mut pairs)?;
        }
        Some(pairs)
    }

    fn collect(&self, name: String, raw: &str, pairs: &mut Pairs) -> Option<()> {
        if pairs.len() >= PAIRS_MAX {
            return None;
        }
        let shape = scan::shape(raw)?;
        let nested: Vec<(String, &str)> = match (shape, self.nested) {
            (Shape::Text(text), _) => {
                let blank = self.blank.iter().any(|blank| *blank == text);
                pairs.push((name, if blank { String::new() } else { text.into_owned() }));
                return Some(());
            }
            (Shape::Null, Nested::Php) => return Some(()),
            (Shape::Null, _) => {
                pairs.push((name, self.null_text.clone()));
                return Some(());
            }
            (Shape::Scalar(text), nested) => {
                pairs.push((name, self.scalar(text, nested)?));
                return Some(());
            }
            (Shape::Array(elements), Nested::Json) => {
                pairs.push((name, self.json_array(elements)?));
                return Some(());
            }
            (Shape::Object(_), Nested::Json) => {
                let text = sorted_once(raw)?;
                pairs.push((name, text));
                return Some(());
            }
            (Shape::Array(mut elements), _) => {
                if self.array_sort {
                    elements.sort_unstable();
                }
                let numbered = elements.into_iter().enumerate();
                numbered.map(|(index, value)| (index.to_string(), value)).collect()
            }
            (Shape::Object(members), _) => {
                members.into_iter().map(|(key, value)| (key.into_owned(), value)).collect()
            }
        };
        for (key, value) in nested {
            let name = match self.nested {
                Nested::Php => format!("{name}[{key}]"),
                _ => format!("{name}.{key}"),
            };
            if name.len() > NAME_MAX {
                return None;
            }
            self.collect(name, value, pairs)?;
        }
        Some(())
    }

    fn scalar(&self, text: &str, nested: Nested) -> Option<String> {
        Some(match (text, nested, self.numbers) {
            ("true", Nested::Php, _) => "1".to_owned(),
            ("false", Nested::Php, _) => "0".to_owned(),
            ("true" | "false", ..) | (_, _, Numbers::Text) => text.to_owned(),
            (number, _, Numbers::Js) => number::print(number, Layout::JavaScript)?,
        })
    }

    fn json_array(&self, elements: Vec<&str>) -> Option<String> {
        let mut printed = Vec::with_capacity(elements.len());
        for element in elements {
            printed.push(sorted_once(element)?);
        }
        if self.array_sort {
            printed.sort_unstable();
        }
        Some(format!("[{}]", printed.join(",")))
    }
}

/// JavaScript's JSON of a value, with the keys of the outermost object sorted.
fn sorted_once(raw: &str) -> Option<String> {
    let print = |raw| String::from_utf8(rewrite(raw, Printing::of(JsonStyle::Js))?).ok();
    let Shape::Object(mut members) = scan::shape(raw)? else {
        return print(raw);
    };
    members.sort_by(|(a, _), (b, _)| by_utf16(a, b));
    let mut text = String::from("{");
    for (position, (key, value)) in members.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(key.as_ref()).to_string());
        text.push(':');
        text.push_str(&print(value)?);
    }
    text.push('}');
    // Once more, because keys that are array indexes come first in JavaScript, sorted or not.
    print(&text)
}

fn percent_encode(text: &mut String, value: &str) {
    use std::fmt::Write;
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
}
