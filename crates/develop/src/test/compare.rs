//! Compares an answer with what a recording expects.

use serde_json::Value;

use super::diff::{DiffLine, diff};
use super::run::Answer;
use crate::record::Expect;

/// One way in which an answer is not as expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Mismatch {
    /// Another status.
    Status {
        /// What the file says.
        expected: String,
        /// What came.
        seen: u16,
    },
    /// Too late.
    Slow {
        /// How long it may take.
        max_ms: u64,
        /// How long it took.
        took_ms: u64,
    },
    /// A header with another value, or none.
    Header {
        /// Its name.
        name: String,
        /// What the file says.
        expected: String,
        /// What came.
        seen: Option<String>,
    },
    /// Another body.
    Body(Vec<DiffLine>),
    /// JSON that lacks something or says something else.
    Json(Vec<Difference>),
    /// JSON was expected, and the body is none.
    NotJson(String),
    /// A text that the body does not contain.
    Lacks(String),
    /// The body was too long to be compared.
    TooLong,
}

/// A place at which two JSON documents differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, such as `items[0].id`.
    pub path: String,
    /// What the file says, as JSON.
    pub expected: String,
    /// What came, as JSON; `None` if nothing did.
    pub seen: Option<String>,
}

/// Everything in which the answer is not as expected.
#[must_use]
pub fn compare(expect: &Expect, answer: &Answer) -> Vec<Mismatch> {
    let mut found = Vec::new();
    if !expect.status.allows(answer.status) {
        found.push(Mismatch::Status { expected: expect.status.to_string(), seen: answer.status });
    }
    if let Some(max_ms) = expect.max_ms.filter(|max_ms| answer.took_ms > *max_ms) {
        found.push(Mismatch::Slow { max_ms, took_ms: answer.took_ms });
    }
    for (name, expected) in &expect.headers {
        let seen = answer.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        if seen.is_none_or(|(_, value)| value != expected) {
            found.push(Mismatch::Header {
                name: name.clone(),
                expected: expected.clone(),
                seen: seen.map(|(_, value)| value.clone()),
            });
        }
    }
    body(expect, answer, &mut found);
    found
}

fn body(expect: &Expect, answer: &Answer, found: &mut Vec<Mismatch>) {
    if expect.body.is_none() && expect.json.is_none() && expect.contains.is_empty() {
        return;
    }
    if answer.body_cut {
        found.push(Mismatch::TooLong);
        return;
    }
    let text = String::from_utf8_lossy(&answer.body);
    if let Some(expected) = &expect.body
        && expected.as_bytes() != answer.body
    {
        found.push(Mismatch::Body(diff(expected, &text)));
    }
    if let Some(expected) = &expect.json {
        match (serde_json::from_str::<Value>(expected), serde_json::from_str::<Value>(&text)) {
            (Ok(expected), Ok(seen)) => {
                let mut differences = Vec::new();
                contains(&expected, &seen, String::new(), &mut differences);
                if !differences.is_empty() {
                    found.push(Mismatch::Json(differences));
                }
            }
            (_, Err(error)) => found.push(Mismatch::NotJson(error.to_string())),
            // The file was refused before anything was sent.
            (Err(error), _) => found.push(Mismatch::NotJson(format!("`expect.json`: {error}"))),
        }
    }
    for wanted in expect.contains.iter().filter(|wanted| !text.contains(wanted.as_str())) {
        found.push(Mismatch::Lacks(wanted.clone()));
    }
}

/// Members may be more than expected; lists have as many items, in the same order.
fn contains(expected: &Value, seen: &Value, path: String, found: &mut Vec<Difference>) {
    match (expected, seen) {
        (Value::Object(wanted), Value::Object(there)) => {
            for (key, value) in wanted {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match there.get(key) {
                    Some(seen) => contains(value, seen, path, found),
                    None => {
                        found.push(Difference { path, expected: value.to_string(), seen: None })
                    }
                }
            }
        }
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            for (index, (value, seen)) in wanted.iter().zip(there).enumerate() {
                contains(value, seen, format!("{path}[{index}]"), found);
            }
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        _ if expected == seen => {}
        _ => {
            let path = if path.is_empty() { "the document".to_owned() } else { path };
            let (expected, seen) = (expected.to_string(), Some(seen.to_string()));
            found.push(Difference { path, expected, seen });
        }
    }
}

/// The body of an answer as indented JSON, if it is an object or a list.
#[must_use]
pub fn json_body(answer: &Answer) -> Option<String> {
    let value: Value = serde_json::from_slice(&answer.body).ok()?;
    (value.is_object() || value.is_array()).then(|| format!("{value:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::StatusRule;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            took_ms: 12,
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            body: body.as_bytes().to_vec(),
            body_cut: false,
        }
    }

    #[test]
    fn every_expectation_is_checked() {
        let expect = Expect {
            status: StatusRule::OneOf(vec![200, 202]),
            max_ms: Some(10),
            headers: [("Content-Type".to_owned(), "application/json".to_owned())].into(),
            body: Some("no".to_owned()),
            json: Some("{}".to_owned()),
            contains: vec!["x".to_owned(), "a".to_owned()],
        };
        let found = compare(&expect, &answer(500, "a"));
        assert_eq!(found.len(), 6, "{found:?}");
        let fine = Expect {
            status: StatusRule::Class("2xx".to_owned()),
            max_ms: Some(12),
            ..Expect::default()
        };
        assert_eq!(compare(&fine, &answer(204, "anything")), Vec::new());
    }

    #[test]
    fn json_may_have_more_than_expected() {
        for (expected, seen, differences) in [
            (r#"{"ok":true}"#, r#"{"ok":true,"more":[1]}"#, 0),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"b":1.0,"c":2}}"#, 0),
            (r#"[{"a":1}]"#, r#"[{"a":1,"b":2}]"#, 0),
            (r#"{"a":1,"b":2}"#, r#"{"a":2}"#, 2),
            (r#"[1,2]"#, "[1]", 1),
            (r#"{"a":null}"#, r#"{}"#, 1),
            (r#""x""#, "1", 1),
        ] {
            let expect = Expect { json: Some(expected.to_owned()), ..Expect::default() };
            let found = compare(&expect, &answer(200, seen));
            let count = found
                .iter()
                .map(|one| if let Mismatch::Json(list) = one { list.len() } else { 9 })
                .sum::<usize>();
            assert_eq!(count, differences, "{expected} {seen}: {found:?}");
        }
    }
}
