//! A JSON value as filters see it: text is borrowed from the body where possible, and reading stops
//! at a number of values, so that a body costs a bounded multiple of its size.
//!
//! Invariant: of a name that occurs twice in an object the last one counts, as in JavaScript.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::number::Number;

/// A body with more values than this is not read as JSON.
pub(crate) const MAX_VALUES: usize = 1_000_000;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Reads a whole text; `None` if it is not JSON, deeper than 127 levels or has too many values.
    pub(crate) fn read(text: &'a [u8], max_values: usize) -> Option<Self> {
        let left = Cell::new(max_values);
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = Reader { left: &left }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }

    /// The same value, borrowing its texts.
    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(Number::of(number)),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(name, value)| (Cow::Borrowed(name.as_str()), Self::of(value)))
                    .collect(),
            ),
        }
    }

    /// The same value, owning its texts.
    pub(crate) fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(number) => Json::Number(number),
            Self::Text(text) => Json::Text(Cow::Owned(text.into_owned())),
            Self::List(items) => Json::List(items.into_iter().map(Json::into_owned).collect()),
            Self::Object(fields) => Json::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()))
                    .collect(),
            ),
        }
    }

    /// The value under a name, and how many names were looked at.
    pub(crate) fn field(&self, name: &str) -> (Option<&Self>, usize) {
        let Self::Object(fields) = self else { return (None, 1) };
        let found = fields.iter().rev().position(|(candidate, _)| candidate == name);
        match found {
            Some(back) => (Some(&fields[fields.len() - 1 - back].1), back + 1),
            None => (None, fields.len() + 1),
        }
    }

    pub(crate) const fn is_container(&self) -> bool {
        matches!(self, Self::List(_) | Self::Object(_))
    }

    /// Writes compact JSON of at most `max_bytes`; what is longer ends with `...`.
    pub(crate) fn render(&self, max_bytes: usize) -> String {
        let mut cut = Cut { text: String::new(), max_bytes };
        match self.write(&mut cut) {
            Ok(()) => cut.text,
            Err(fmt::Error) => cut.shortened(),
        }
    }

    fn write(&self, out: &mut Cut) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => out.quoted(text),
            Self::List(items) => {
                out.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.write_char(',')?;
                    }
                    item.write(out)?;
                }
                out.write_char(']')
            }
            Self::Object(fields) => {
                out.write_char('{')?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.write_char(',')?;
                    }
                    out.quoted(name)?;
                    out.write_char(':')?;
                    value.write(out)?;
                }
                out.write_char('}')
            }
        }
    }
}

/// A text that takes no more than a number of bytes.
pub(crate) struct Cut {
    text: String,
    max_bytes: usize,
}

impl Cut {
    const MARK: &'static str = "...";

    /// `text`, shortened if it is longer than `max_bytes`.
    pub(crate) fn text(text: &str, max_bytes: usize) -> String {
        let mut cut = Self { text: String::new(), max_bytes };
        match cut.write_str(text) {
            Ok(()) => cut.text,
            Err(fmt::Error) => cut.shortened(),
        }
    }

    fn quoted(&mut self, text: &str) -> fmt::Result {
        // Only the beginning is escaped of what will be cut anyway.
        let shown = floor(text, self.max_bytes + 1);
        self.write_str(&Value::from(shown).to_string())
    }

    fn shortened(mut self) -> String {
        let end = floor(&self.text, self.max_bytes.saturating_sub(Self::MARK.len())).len();
        self.text.truncate(end);
        self.text.push_str(Self::MARK);
        self.text
    }
}

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.max_bytes - self.text.len();
        let taken = floor(text, room);
        self.text.push_str(taken);
        if taken.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// The longest beginning of a text that has at most `max_bytes` and whole characters.
fn floor(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let mut end = max_bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether two values are the same: type and value, lists in order, objects whatever their order.
/// `steps` grows by what was looked at, at most in proportion to the smaller of the two.
pub(crate) fn deep_equal(left: &Json<'_>, right: &Json<'_>, steps: &mut u64) -> bool {
    *steps += 1;
    match (left, right) {
        (Json::Null, Json::Null) => true,
        (Json::Bool(left), Json::Bool(right)) => left == right,
        (Json::Number(left), Json::Number(right)) => left.is_equal(*right),
        (Json::Text(left), Json::Text(right)) => left == right,
        (Json::List(left), Json::List(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| deep_equal(left, right, steps))
        }
        (Json::Object(left), Json::Object(right)) => {
            if left.len() != right.len() {
                return false;
            }
            let (left, right) = (sorted(left), sorted(right));
            *steps += left.len() as u64;
            left.iter()
                .zip(&right)
                .all(|(left, right)| left.0 == right.0 && deep_equal(&left.1, &right.1, steps))
        }
        _ => false,
    }
}

fn sorted<'v, 'a>(fields: &'v [(Cow<'a, str>, Json<'a>)]) -> Vec<&'v (Cow<'a, str>, Json<'a>)> {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by(|left, right| left.0.cmp(&right.0));
    sorted
}

/// Reads one value while there are some left.
#[derive(Clone, Copy)]
struct Reader<'c> {
    left: &'c Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Json<'de>, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(D::Error::custom("too many values"));
        };
        self.left.set(left);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::unsigned(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Float(value)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = fields.next_key_seed(Name)? {
            object.push((name, fields.next_value_seed(self)?));
        }
        Ok(Json::Object(object))
    }
}

/// Reads the name of a field, borrowed if it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Json<'_>> {
        Json::read(text.as_bytes(), 10)
    }

    #[test]
    fn reads_what_is_json_and_within_bounds() {
        let value = read(r#"{"a":[1,-2,1.5,"x\n",null,true],"a\u0041":{}}"#).unwrap();
        assert_eq!(value.render(200), r#"{"a":[1,-2,1.5,"x\n",null,true],"aA":{}}"#);
        for bad in ["", "{", "[1] x", "[1,1,1,1,1,1,1,1,1,1]", "\"\\ud800\"", "1e999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert_eq!(Json::read(deep.as_bytes(), 1_000), None);
    }

    #[test]
    fn the_last_of_two_equal_names_counts() {
        let value = read(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(value.field("a").0, Some(&Json::Number(Number::Int(3))));
        assert_eq!(value.field("c"), (None, 4));
    }

    #[test]
    fn cuts_at_whole_characters() {
        assert_eq!(read(r#""aäöü""#).unwrap().render(8), "\"aä...");
        assert_eq!(read("[1,2,3]").unwrap().render(6), "[1,...");
        assert_eq!(read("[1,2,3]").unwrap().render(7), "[1,2,3]");
        assert_eq!(Cut::text("abcdef", 5), "ab...");
    }

    #[test]
    fn deep_equality_is_strict_and_blind_to_order() {
        let table = [
            (r#"{"a":1,"b":[{}]}"#, r#"{"b":[{}],"a":1.0}"#, true),
            (r#"{"a":1}"#, r#"{"a":"1"}"#, false),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#, false),
            ("[1,2]", "[2,1]", false),
            ("false", "0", false),
        ];
        for (left, right, expected) in table {
            let (one, other) = (read(left).unwrap(), read(right).unwrap());
            assert_eq!(deep_equal(&one, &other, &mut 0), expected, "{left} {right}");
        }
    }
}
