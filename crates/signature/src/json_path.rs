//! Reading one value out of a JSON body without building a tree.
//!
//! Invariants: numbers keep the text they came with; a key that occurs twice yields its last value, as most
//! parsers do; a body that is not entirely JSON yields nothing. Depth and size are bounded by the caller's
//! body limit: skipping is iterative, and descending is as deep as the path.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A path of keys and indexes: `event.type`, `items.0.id`, `events.*.field` (first element), or a JSON
/// pointer (`/a.b/c`) for keys that contain dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    segments: Vec<String>,
}

impl JsonPath {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let segments: Vec<String> = match text.strip_prefix('/') {
            Some(pointer) => pointer
                .split('/')
                .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
                .collect(),
            None => text.split('.').map(str::to_owned).collect(),
        };
        if segments.iter().any(String::is_empty) {
            return Err(format!(
                "`json:{text}` has an empty step: write keys joined by dots, such as json:event.type"
            ));
        }
        if segments.len() > 16 {
            return Err(format!("`json:{text}` has more than 16 steps"));
        }
        Ok(JsonPath { text: text.to_owned(), segments })
    }

    /// The path to one member of an object, whatever its name contains.
    pub(crate) fn key(name: &str) -> Self {
        JsonPath { text: name.to_owned(), segments: vec![name.to_owned()] }
    }

    /// The steps of the path.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The value's text: the content of a string, the raw text of anything else; `None` for null. Steps may
    /// lead on into a string whose content is JSON itself.
    pub(crate) fn find<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        find(&self.segments, body).or_else(|| {
            (1..self.segments.len()).find_map(|length| {
                let inner = find(&self.segments[..length], body)?;
                if !inner.starts_with(['{', '[']) {
                    return None;
                }
                let found = find(&self.segments[length..], inner.as_bytes())?;
                Some(Cow::Owned(found.into_owned()))
            })
        })
    }
}

fn find<'b>(segments: &[String], body: &'b [u8]) -> Option<Cow<'b, str>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let raw = Steps(segments).deserialize(&mut deserializer).ok()??;
    deserializer.end().ok()?;
    let text = raw.get();
    if text == "null" {
        None
    } else if text.starts_with('"') {
        match serde_json::from_str::<&str>(text) {
            Ok(plain) => Some(Cow::Borrowed(plain)),
            Err(_) => serde_json::from_str::<String>(text).ok().map(Cow::Owned),
        }
    } else {
        Some(Cow::Borrowed(text))
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The first key of a JSON object that is none of these.
pub(crate) fn first_key(document: &[u8], except: &[String]) -> Option<String> {
    struct First<'e>(&'e [String]);

    impl<'de> Visitor<'de> for First<'_> {
        type Value = Option<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut first = None;
            while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                if first.is_none() && !self.0.contains(&key) {
                    first = Some(key);
                }
            }
            Ok(first)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let found = deserializer.deserialize_map(First(except)).ok()?;
    deserializer.end().ok()?;
    found
}

struct Steps<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Steps<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            serde::Deserialize::deserialize(deserializer).map(Some)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Steps<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((wanted, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        let mut found = None;
        while let Some(matches) = map.next_key_seed(KeyIs(wanted))? {
            if matches {
                found = map.next_value_seed(Steps(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Some((wanted, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        let index = if wanted == "*" { Some(0) } else { wanted.parse::<usize>().ok() };
        let mut found = None;
        let mut position = 0;
        loop {
            if Some(position) == index {
                match seq.next_element_seed(Steps(rest))? {
                    Some(value) => found = value,
                    None => return Ok(found),
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            position += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

struct KeyIs<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_values_as_they_were_written() {
        let nested = br#"{"data":"{\"a\":{\"b\":\"x\"}}","plain":"y"}"#;
        let path = JsonPath::parse("data.a.b").expect("parses");
        assert_eq!(path.find(nested).as_deref(), Some("x"));
        let path = JsonPath::parse("plain.a").expect("parses");
        assert_eq!(path.find(nested), None);
        let body = br#"{"a":{"b":[{"c":1.00},{"c":"x\ny"}],"b.c":true},"n":null,"d":1,"d":2}"#;
        for (path, expected) in [
            ("a.b.0.c", Some("1.00")),
            ("a.b.*.c", Some("1.00")),
            ("a.b.1.c", Some("x\ny")),
            ("a.b.2.c", None),
            ("/a/b.c", Some("true")),
            ("a.b.c", None),
            ("n", None),
            ("d", Some("2")),
            ("d.e", None),
        ] {
            let path = JsonPath::parse(path).expect("parses");
            assert_eq!(path.find(body).as_deref(), expected, "{path}");
        }
        let path = JsonPath::parse("a").expect("parses");
        assert_eq!(path.find(br#"{"a":1} trailing"#), None);
        assert_eq!(path.find(b""), None);
        assert_eq!(path.find(b"[[[["), None);
        assert_eq!(JsonPath::key("a.b").find(br#"{"a.b":1}"#).as_deref(), Some("1"));
        assert_eq!(first_key(br#"{"b":1,"a":2}"#, &[]).as_deref(), Some("b"));
        assert_eq!(first_key(br#"{"b":1,"a":2"#, &[]), None);
        assert_eq!(first_key(b"{}", &[]), None);
        assert_eq!(first_key(b"[1]", &[]), None);
        let except = ["b".to_owned()];
        assert_eq!(first_key(br#"{"b":1,"a":2}"#, &except).as_deref(), Some("a"));
    }
}
