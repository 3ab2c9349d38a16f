//! Documents in YAML 1.2 or JSON, read into JSON values within bounds.
//!
//! Only the parser's events are used; values are built here, so that aliases can be counted before
//! they are copied: a few lines of anchors that repeat each other otherwise fill the memory. Names
//! of mappings are taken as they are written (`200:` is the name `"200"`), plain scalars are resolved
//! by the core schema, and the merge key `<<` works. A tag that is not of the core schema is ignored.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

use crate::error::ImportError;

/// The longest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 8 << 20;

/// The deepest nesting of a document, in levels.
pub const MAX_DOCUMENT_DEPTH: usize = 100;

/// Memory for a document with all its aliases copied, roughly in bytes.
const MAX_WEIGHT: usize = 64 << 20;

/// What a value weighs beside its text.
const NODE_WEIGHT: usize = 32;

/// Reads a document.
pub(crate) fn read(text: &str) -> Result<Value, ImportError> {
    let text = text.trim_start_matches('\u{feff}');
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(ImportError::Unreadable {
            line: 0,
            column: 0,
            problem: format!(
                "it has {} bytes, and at most {MAX_DOCUMENT_BYTES} are allowed",
                text.len()
            ),
        });
    }
    if !text.trim_start().starts_with('{') {
        return Reader::new().read(text);
    }
    // YAML also has maps in braces, but a document that begins so is nearly always JSON.
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    Reader::new().read(text).map_err(|_| ImportError::Unreadable {
        line: error.line(),
        column: error.column(),
        problem: kind_of(&error).to_owned(),
    })
}

/// What is wrong with a JSON text, without repeating any of it.
fn kind_of(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "the text ends too early",
        _ => "this is not valid JSON, or nested too deep",
    }
}

/// A collection that is not finished.
struct Frame {
    anchor: usize,
    weight: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    Named { fields: Map<String, Value>, name: Option<Name>, merged: Vec<Value> },
}

/// The name that waits for its value.
struct Name {
    text: String,
    merge: bool,
}

struct Reader {
    frames: Vec<Frame>,
    anchors: HashMap<usize, (Value, usize)>,
    weight: usize,
    document: Option<Value>,
}

fn unreadable(at: &Marker, problem: &str) -> ImportError {
    ImportError::Unreadable { line: at.line(), column: at.col() + 1, problem: problem.to_owned() }
}

impl Reader {
    fn new() -> Self {
        Self { frames: Vec::new(), anchors: HashMap::new(), weight: 0, document: None }
    }

    fn read(mut self, text: &str) -> Result<Value, ImportError> {
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| unreadable(error.marker(), error.info()))?;
            self.event(event, &span.start)?;
        }
        self.document.ok_or_else(|| ImportError::Unreadable {
            line: 0,
            column: 0,
            problem: "it is empty".to_owned(),
        })
    }

    fn event(&mut self, event: Event<'_>, at: &Marker) -> Result<(), ImportError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.filter(|tag| tag.is_yaml_core_schema());
                let tag = tag.as_ref().map(|tag| tag.suffix.as_str());
                let plain = matches!(style, ScalarStyle::Plain);
                if self.takes_name() {
                    let merge = plain && text == "<<";
                    return self.name(text.into_owned(), merge, at);
                }
                let weight = NODE_WEIGHT + text.len();
                let value = scalar(text.into_owned(), plain, tag)
                    .map_err(|problem| unreadable(at, problem))?;
                self.finish(value, anchor, weight, at)
            }
            Event::Alias(anchor) => {
                let Some((value, weight)) = self.anchors.get(&anchor) else {
                    return Err(unreadable(at, "an alias repeats something that contains it"));
                };
                let weight = *weight;
                charge(&mut self.weight, weight, at)?;
                let value = value.clone();
                if self.takes_name() {
                    let Value::String(name) = value else {
                        return Err(unreadable(at, "a name in a mapping has to be a text"));
                    };
                    return self.name(name, false, at);
                }
                self.place(value, weight, at)
            }
            Event::SequenceStart(anchor, _) => self.open(anchor, Kind::List(Vec::new()), at),
            Event::MappingStart(anchor, _) => {
                let kind = Kind::Named { fields: Map::new(), name: None, merged: Vec::new() };
                self.open(anchor, kind, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at),
            Event::DocumentStart(_) if self.document.is_some() => {
                Err(unreadable(at, "the text holds more than one document"))
            }
            _ => Ok(()),
        }
    }

    fn takes_name(&self) -> bool {
        self.frames.last().is_some_and(|frame| matches!(frame.kind, Kind::Named { name: None, .. }))
    }

    fn name(&mut self, text: String, merge: bool, at: &Marker) -> Result<(), ImportError> {
        charge(&mut self.weight, NODE_WEIGHT + text.len(), at)?;
        if let Some(Frame { kind: Kind::Named { fields, name, .. }, .. }) = self.frames.last_mut() {
            if !merge && fields.contains_key(&text) {
                return Err(unreadable(at, "a name appears twice in one mapping"));
            }
            *name = Some(Name { text, merge });
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, kind: Kind, at: &Marker) -> Result<(), ImportError> {
        if self.takes_name() {
            return Err(unreadable(at, "a name in a mapping has to be a text"));
        }
        if self.frames.len() >= MAX_DOCUMENT_DEPTH {
            return Err(unreadable(at, "the document is nested too deep"));
        }
        self.frames.push(Frame { anchor, weight: NODE_WEIGHT, kind });
        Ok(())
    }

    fn close(&mut self, at: &Marker) -> Result<(), ImportError> {
        let Some(frame) = self.frames.pop() else {
            return Err(unreadable(at, "something ends that did not begin"));
        };
        let value = match frame.kind {
            Kind::List(items) => Value::Array(items),
            Kind::Named { mut fields, merged, .. } => {
                for other in merged {
                    merge(&mut fields, other).map_err(|problem| unreadable(at, problem))?;
                }
                Value::Object(fields)
            }
        };
        self.finish(value, frame.anchor, frame.weight, at)
    }

    /// A value is complete: it is charged, kept if it has an anchor, and placed.
    fn finish(
        &mut self,
        value: Value,
        anchor: usize,
        weight: usize,
        at: &Marker,
    ) -> Result<(), ImportError> {
        // What a collection holds was charged when it was placed; its anchor costs a second copy.
        charge(&mut self.weight, if anchor == 0 { NODE_WEIGHT } else { weight }, at)?;
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), weight));
        }
        self.place(value, weight, at)
    }

    fn place(&mut self, value: Value, weight: usize, at: &Marker) -> Result<(), ImportError> {
        let Some(frame) = self.frames.last_mut() else {
            self.document = Some(value);
            return Ok(());
        };
        frame.weight = frame.weight.saturating_add(weight);
        match &mut frame.kind {
            Kind::List(items) => items.push(value),
            Kind::Named { fields, name, merged } => match name.take() {
                Some(name) if name.merge => {
                    if !value.is_object() && !value.is_array() {
                        return Err(unreadable(at, "`<<` has to be given a mapping"));
                    }
                    merged.push(value);
                }
                Some(name) => {
                    frame.weight = frame.weight.saturating_add(NODE_WEIGHT + name.text.len());
                    fields.insert(name.text, value);
                }
                None => return Err(unreadable(at, "a value has no name")),
            },
        }
        Ok(())
    }
}

/// Adds to the weight of the document, as long as it stays within the bound.
fn charge(total: &mut usize, weight: usize, at: &Marker) -> Result<(), ImportError> {
    *total = total.saturating_add(weight);
    if *total > MAX_WEIGHT {
        return Err(unreadable(at, "the document becomes too large with its aliases"));
    }
    Ok(())
}

/// Fields of another mapping, or of several, that are not there yet.
fn merge(fields: &mut Map<String, Value>, other: Value) -> Result<(), &'static str> {
    match other {
        Value::Object(other) => {
            for (name, value) in other {
                fields.entry(name).or_insert(value);
            }
            Ok(())
        }
        Value::Array(others) => others.into_iter().try_for_each(|one| match one {
            Value::Object(_) => merge(fields, one),
            _ => Err("`<<` has to be given mappings"),
        }),
        _ => Err("`<<` has to be given a mapping"),
    }
}

/// A scalar by the core schema.
fn scalar(text: String, plain: bool, tag: Option<&str>) -> Result<Value, &'static str> {
    match tag {
        Some("str") => return Ok(Value::String(text)),
        Some("float") => {
            let number = text.parse().ok().and_then(Number::from_f64);
            return number.map(Value::Number).ok_or("this is no number that JSON can hold");
        }
        Some("int" | "bool" | "null") => {}
        _ if !plain => return Ok(Value::String(text)),
        _ => {}
    }
    Ok(match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | ".nan" | ".NaN" | ".NAN" => {
            return Err("JSON has no infinity and no \"not a number\"");
        }
        _ => number(&text).map_or(Value::String(text), Value::Number),
    })
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(Number::from);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        || !unsigned.contains(|one: char| one.is_ascii_digit())
        || !unsigned
            .chars()
            .all(|one| one.is_ascii_digit() || matches!(one, '.' | 'e' | 'E' | '+' | '-'))
    {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let whole = text.strip_prefix('+').unwrap_or(text);
        if let Ok(number) = whole.parse::<i64>() {
            return Some(Number::from(number));
        }
        if let Ok(number) = whole.parse::<u64>() {
            return Some(Number::from(number));
        }
    }
    text.parse().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_becomes_json() {
        let text = "# a comment\nopenapi: 3.1.0\nversion: 3.1\n200: ok\nlist:\n  - 1\n  - -2.5e3\n  - 0x1f\n  - ~\n  - yes\n  - 'true'\n  - 2026-01-31\n  - 1.2.3\n  - !!str 7\ntext: |\n  two\n  lines\nfolded: >-\n  one\n  line\nflow: {a: [1, 'b'], \"c\": null}\nempty:\n";
        assert_eq!(
            read(text).unwrap(),
            json!({
                "openapi": "3.1.0", "version": 3.1, "200": "ok",
                "list": [1, -2500.0, 31, null, "yes", "true", "2026-01-31", "1.2.3", "7"],
                "text": "two\nlines\n", "folded": "one line",
                "flow": { "a": [1, "b"], "c": null }, "empty": null
            })
        );
        assert_eq!(read("\u{feff} {\"a\": 1}").unwrap(), json!({ "a": 1 }));
        assert_eq!(read("{a: 1}").unwrap(), json!({ "a": 1 }));
    }

    #[test]
    fn anchors_and_merges() {
        let text = "base: &base {a: 1, b: 2}\nother: *base\nmerged:\n  <<: *base\n  b: 3\nname: &n key\nmap: {*n : 1}\nmany:\n  <<: [*base, {c: 4}]\n";
        assert_eq!(
            read(text).unwrap(),
            json!({
                "base": { "a": 1, "b": 2 }, "other": { "a": 1, "b": 2 }, "merged": { "b": 3, "a": 1 },
                "name": "key", "map": { "key": 1 }, "many": { "a": 1, "b": 2, "c": 4 }
            })
        );
    }

    #[test]
    fn what_would_fill_the_memory_is_refused() {
        let mut laughs = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
        for level in 1..30 {
            let before = level - 1;
            writeln!(laughs, "a{level}: &a{level} [{}]", vec![format!("*a{before}"); 9].join(", "))
                .unwrap();
        }
        assert!(matches!(read(&laughs), Err(ImportError::Unreadable { .. })));
        let wide = format!("a: &a {}\nb: [{}]", "x".repeat(1 << 20), vec!["*a"; 1000].join(","));
        assert!(matches!(read(&wide), Err(ImportError::Unreadable { .. })));
        assert!(matches!(read(&"[".repeat(100_000)), Err(ImportError::Unreadable { .. })));
        assert!(matches!(read(&"{\"a\":".repeat(100_000)), Err(ImportError::Unreadable { .. })));
        assert!(matches!(read(&"- ".repeat(100_000)), Err(ImportError::Unreadable { .. })));
        assert!(matches!(
            read(&" ".repeat(MAX_DOCUMENT_BYTES + 1)),
            Err(ImportError::Unreadable { .. })
        ));
    }

    #[test]
    fn errors_tell_the_line() {
        for (text, line) in [
            ("a: 1\nb: [1\nc: 2", 3),
            ("a: 1\na: 2", 2),
            ("{\n \"a\": ]", 2),
            ("a: &x [*x]", 1),
            ("a: .nan", 1),
            ("? [a]\n: 1", 1),
            ("a: 1\n--- \nb: 2", 2),
            ("<<: 3", 1),
        ] {
            match read(text) {
                Err(ImportError::Unreadable { line: found, .. }) => {
                    assert_eq!(found, line, "{text}")
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(read("").is_err());
    }
}
