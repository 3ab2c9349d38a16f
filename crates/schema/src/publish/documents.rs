//! What the published documents share: keys for components, and schemas that live inside of a document.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::keywords;
use crate::pointer;

/// The headers of every webhook: name, example and what it is for.
pub(super) const HEADERS: [(&str, &str, &str); 3] = [
    (
        "webhook-id",
        "msg_2rVd0qWkAXHzEYbFVGC8GJcUqsT",
        "Identifies the message. It stays the same when delivery is tried again, so use it to recognise repeats.",
    ),
    (
        "webhook-timestamp",
        "1767225600",
        "When this attempt was made, in seconds since 1970-01-01 UTC. Refuse what is more than five minutes off.",
    ),
    (
        "webhook-signature",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        "One or more signatures, separated by spaces. The message is genuine if any of them is right.",
    ),
];

/// Keys for a document's components: the event type's name where it is allowed, unique in any case.
#[derive(Default)]
pub(super) struct Keys(HashSet<String>);

impl Keys {
    pub(super) fn key(&mut self, name: &str) -> String {
        let fit = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        let stem: String = name.chars().map(|letter| if fit(letter) { letter } else { '_' }).collect();
        let stem = if stem.is_empty() { "_".to_owned() } else { stem };
        let mut key = stem.clone();
        let mut number = 2;
        while !self.0.insert(key.clone()) {
            key = format!("{stem}_{number}");
            number += 1;
        }
        key
    }
}

/// A schema that moves into a document: its references start at its new place, and identifiers that
/// would change where references start, or meet those of other schemas, are taken away.
pub(super) fn relocate(schema: &Value, place: &str) -> Value {
    let anchors = keywords::anchors(schema);
    let mut moved = schema.clone();
    let Ok(()) = keywords::rewrite::<std::convert::Infallible>(&mut moved, "", &mut |fields, _| {
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            let Some(reference) = fields.get(keyword).and_then(Value::as_str) else { continue };
            let Some(target) = keywords::target(schema, &anchors, reference) else { continue };
            let reference = format!("#{}", pointer::encode_fragment(&format!("{place}{target}")));
            if keyword != "$ref" {
                fields.remove(keyword);
            }
            fields.insert("$ref".to_owned(), json!(reference));
        }
        for keyword in ["$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor"] {
            fields.remove(keyword);
        }
        Ok(())
    });
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_move_along() {
        let schema = json!({
            "$id": "https://example.com/x",
            "$defs": { "a/b": { "$anchor": "spot" } },
            "properties": {
                "one": { "$ref": "#/$defs/a~1b" }, "two": { "$ref": "#spot" }, "three": { "$ref": "#" },
                "four": { "$ref": "https://elsewhere.example/y" }
            },
            "const": { "$ref": "#" }
        });
        let moved = relocate(&schema, "/components/schemas/x");
        let reference = |name: &str| moved["properties"][name]["$ref"].as_str().unwrap().to_owned();
        assert_eq!(reference("one"), "#/components/schemas/x/$defs/a~1b");
        assert_eq!(reference("two"), "#/components/schemas/x/$defs/a~1b");
        assert_eq!(reference("three"), "#/components/schemas/x");
        assert_eq!(reference("four"), "https://elsewhere.example/y");
        assert_eq!(moved["const"]["$ref"], "#");
        assert!(moved.get("$id").is_none());
    }

    #[test]
    fn keys_are_plain_and_unique() {
        let mut keys = Keys::default();
        assert_eq!(keys.key("a.b"), "a.b");
        assert_eq!(keys.key("a.b"), "a.b_2");
        assert_eq!(keys.key("<a>/~"), "_a___");
        assert_eq!(keys.key(""), "_");
    }
}
