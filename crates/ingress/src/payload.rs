//! Looking into payloads: required fields, schemas, and how deep JSON may be.
//!
//! Invariants: a payload is parsed only if a rule needs it, and at most once; what is parsed has been
//! bounded in size, depth and number of values before. Messages name places and rules, never values.

use std::fmt;
use std::str::FromStr;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::error::PathError;
use crate::source::Rules;

/// JSON with more values than this is not taken apart: a tree of them would be far larger than the body.
const VALUES_MAX: usize = 1_000_000;

/// A place in a payload: keys and indexes joined by dots (`data.items.0.id`), or a JSON pointer
/// (`/a.b/c`) for keys that contain dots. In a form it is the name of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadPath {
    text: String,
    steps: Vec<String>,
}

impl FromStr for PayloadPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let wrong = |problem| PathError { text: text.to_owned(), problem };
        let steps: Vec<String> = match text.strip_prefix('/') {
            Some(pointer) => {
                pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
            }
            None => text.split('.').map(str::to_owned).collect(),
        };
        if steps.iter().any(String::is_empty) {
            return Err(wrong("it has an empty step"));
        }
        if steps.len() > 16 {
            return Err(wrong("it has more than 16 steps"));
        }
        Ok(Self { text: text.to_owned(), steps })
    }
}

impl fmt::Display for PayloadPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl PayloadPath {
    /// The value at this place.
    #[must_use]
    pub fn find<'v>(&self, payload: &'v Value) -> Option<&'v Value> {
        self.steps.iter().try_fold(payload, |value, step| match value {
            Value::Object(members) => members.get(step),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

/// A payload rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// A stable code.
    pub code: &'static str,
    /// The rule in words.
    pub words: String,
}

/// A request's payload, parsed when first needed.
pub(crate) struct Payload<'a> {
    headers: &'a HeaderMap,
    body: &'a [u8],
    parsed: Option<Option<Value>>,
}

impl<'a> Payload<'a> {
    pub const fn new(headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        Self { headers, body, parsed: None }
    }

    /// Whether the sender says that it is JSON.
    pub fn says_json(&self) -> bool {
        content_type(self.headers).is_some_and(|text| {
            text.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"json"))
        })
    }

    fn says_form(&self) -> bool {
        content_type(self.headers).is_some_and(|text| {
            let essence = text.split(';').next().unwrap_or(text).trim();
            essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
    }

    /// The payload as JSON; `None` if it is none, or has more values than are taken apart.
    pub fn json(&mut self) -> Option<&Value> {
        let body = self.body;
        let parse = || (values(body) <= VALUES_MAX).then(|| serde_json::from_slice(body).ok());
        self.parsed.get_or_insert_with(|| parse().flatten()).as_ref()
    }

    /// Whether it is JSON that is nested deeper than the rules allow.
    pub fn is_too_deep(&self, rules: &Rules) -> bool {
        let needed = rules.schema.is_some() || !rules.required.is_empty();
        (needed || self.says_json()) && nests_deeper(self.body, rules.json_depth_max)
    }

    /// The first payload rule that is broken.
    pub fn violation(&mut self, rules: &Rules, event_type: Option<&str>) -> Option<Violation> {
        self.missing(&rules.required).or_else(|| {
            let own = event_type.and_then(|name| rules.schemas.get(name));
            for schema in rules.schema.iter().chain(own) {
                let Some(payload) = self.json() else { return Some(not_json("the JSON Schema")) };
                if let Some(words) = schema.violation(payload) {
                    return Some(Violation { code: "schema", words });
                }
            }
            None
        })
    }

    fn missing(&mut self, required: &[PayloadPath]) -> Option<Violation> {
        if required.is_empty() {
            return None;
        }
        let absent = |path: &PayloadPath| Violation {
            code: "required",
            words: format!("the required field `{path}` is missing"),
        };
        if self.says_form() {
            let has = |path: &PayloadPath| {
                url::form_urlencoded::parse(self.body).any(|(name, _)| name == path.text)
            };
            return required.iter().find(|path| !has(path)).map(absent);
        }
        let Some(payload) = self.json() else {
            return Some(not_json("the list of required fields"));
        };
        let has = |path: &PayloadPath| path.find(payload).is_some_and(|value| !value.is_null());
        required.iter().find(|path| !has(path)).map(absent)
    }
}

fn not_json(rule: &str) -> Violation {
    Violation { code: "not_json", words: format!("{rule} needs a JSON payload, and this is none") }
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// No fewer than the values in a JSON text.
fn values(body: &[u8]) -> usize {
    body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() + 1
}

/// Whether brackets outside of strings nest deeper than `max`. A text with fewer brackets than that
/// is not looked at twice, which is nearly every one.
fn nests_deeper(body: &[u8], max: usize) -> bool {
    if body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= max {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use becket_schema::CompiledSchema;

    fn headers(content_type: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        headers
    }

    fn code(
        rules: &Rules,
        event_type: Option<&str>,
        kind: &str,
        body: &[u8],
    ) -> Option<&'static str> {
        let headers = headers(kind);
        Payload::new(&headers, body).violation(rules, event_type).map(|violation| violation.code)
    }

    #[test]
    fn paths() {
        let payload = json!({ "a": { "b": [{ "c": 1 }] }, "x.y": 2, "n": null });
        for (path, expected) in [
            ("a.b.0.c", Some(json!(1))),
            ("/x.y", Some(json!(2))),
            ("a.b.1.c", None),
            ("a.b.c", None),
            ("n", Some(json!(null))),
            ("n.x", None),
        ] {
            let path: PayloadPath = path.parse().unwrap();
            assert_eq!(path.find(&payload), expected.as_ref(), "{path}");
        }
        for wrong in ["", ".", "a..b", "/", "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"] {
            assert!(wrong.parse::<PayloadPath>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn required_fields_in_json_and_forms() {
        let required = vec!["event".parse().unwrap(), "data.id".parse().unwrap()];
        let rules = Rules { required, ..Rules::default() };
        let json = "application/json";
        assert_eq!(code(&rules, None, json, br#"{"event":"x","data":{"id":0}}"#), None);
        assert_eq!(code(&rules, None, json, br#"{"event":"x","data":{}}"#), Some("required"));
        assert_eq!(
            code(&rules, None, json, br#"{"event":null,"data":{"id":1}}"#),
            Some("required")
        );
        assert_eq!(code(&rules, None, json, b"not json"), Some("not_json"));
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(code(&rules, None, form, b"event=x&data.id=1"), None);
        assert_eq!(code(&rules, None, form, b"event=x"), Some("required"));
    }

    #[test]
    fn schemas_of_the_source_and_of_the_event_type() {
        let compile = |schema| Some(Arc::new(CompiledSchema::compile(&schema).unwrap()));
        let mut rules = Rules { schema: compile(json!({ "type": "object" })), ..Rules::default() };
        let paid = compile(json!({ "required": ["amount"] })).unwrap();
        rules.schemas.insert("paid".into(), paid);
        let kind = "application/json";
        assert_eq!(code(&rules, None, kind, b"{}"), None);
        assert_eq!(code(&rules, None, kind, b"[]"), Some("schema"));
        assert_eq!(code(&rules, Some("paid"), kind, b"{}"), Some("schema"));
        assert_eq!(code(&rules, Some("paid"), kind, br#"{"amount":1}"#), None);
        assert_eq!(code(&rules, Some("else"), kind, b"{}"), None);
        assert_eq!(code(&rules, None, kind, b""), Some("not_json"));
    }

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(!nests_deeper(&deep(64), 64));
        assert!(nests_deeper(&deep(65), 64));
        assert!(!nests_deeper("[],".repeat(1_000).as_bytes(), 64));
        let quoted = format!("[\"{}\\\"[\"]", "[".repeat(1_000));
        assert!(!nests_deeper(quoted.as_bytes(), 64));
        let headers = headers("text/plain");
        let rules = Rules::default();
        assert!(!Payload::new(&headers, &deep(65)).is_too_deep(&rules), "not JSON, not looked at");
    }
}
