//! Which keywords of JSON Schema hold schemas, and where those apply.
//!
//! Everything that walks a schema uses this table, so that a `$ref` inside of an example or a
//! property that happens to be called `not` is never taken for a part of the schema.

use serde_json::{Map, Value};

use crate::pointer;

/// What a contained schema applies to, seen from the schema that contains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applies {
    /// The same value.
    Here,
    /// The property of that name.
    Property,
    /// Properties whose names fit a pattern.
    Matching,
    /// Properties that nothing else names.
    OtherProperties,
    /// Names of properties.
    Names,
    /// The item at that index.
    Item,
    /// Items in general.
    Items,
    /// Nothing by itself: it waits for references.
    Nowhere,
}

/// How a keyword holds its schemas.
#[derive(Clone, Copy)]
enum Shape {
    One,
    List,
    Named,
}

/// Keyword, how it holds schemas, and what they apply to. `items` and `dependencies` have two forms.
const KEYWORDS: &[(&str, Shape, Applies)] = &[
    ("allOf", Shape::List, Applies::Here),
    ("anyOf", Shape::List, Applies::Here),
    ("oneOf", Shape::List, Applies::Here),
    ("not", Shape::One, Applies::Here),
    ("if", Shape::One, Applies::Here),
    ("then", Shape::One, Applies::Here),
    ("else", Shape::One, Applies::Here),
    ("dependentSchemas", Shape::Named, Applies::Here),
    ("dependencies", Shape::Named, Applies::Here),
    ("properties", Shape::Named, Applies::Property),
    ("patternProperties", Shape::Named, Applies::Matching),
    ("additionalProperties", Shape::One, Applies::OtherProperties),
    ("unevaluatedProperties", Shape::One, Applies::OtherProperties),
    ("propertyNames", Shape::One, Applies::Names),
    ("prefixItems", Shape::List, Applies::Item),
    ("items", Shape::List, Applies::Item),
    ("items", Shape::One, Applies::Items),
    ("additionalItems", Shape::One, Applies::Items),
    ("unevaluatedItems", Shape::One, Applies::Items),
    ("contains", Shape::One, Applies::Items),
    ("$defs", Shape::Named, Applies::Nowhere),
    ("definitions", Shape::Named, Applies::Nowhere),
    ("contentSchema", Shape::One, Applies::Nowhere),
];

/// One schema inside of another.
pub(crate) struct Part<'a> {
    /// The keyword that holds it.
    pub(crate) keyword: &'static str,
    /// What it applies to.
    pub(crate) applies: Applies,
    /// The name or index under the keyword, empty if the keyword holds one schema.
    pub(crate) key: &'a str,
    /// Index within a list, 0 otherwise.
    pub(crate) index: usize,
    shape: Shape,
    /// The schema.
    pub(crate) schema: &'a Value,
}

impl Part<'_> {
    /// Its place, given the place of the schema that holds it.
    pub(crate) fn at(&self, parent: &str) -> String {
        let keyword = pointer::join(parent, self.keyword);
        match self.shape {
            Shape::One => keyword,
            Shape::List => format!("{keyword}/{}", self.index),
            Shape::Named => pointer::join(&keyword, self.key),
        }
    }
}

/// Whether a value can stand where a schema stands.
pub(crate) fn is_schema(value: &Value) -> bool {
    value.is_object() || value.is_boolean()
}

/// The schemas directly inside of a schema, in the table's order.
pub(crate) fn parts(schema: &Value) -> Vec<Part<'_>> {
    let Some(fields) = schema.as_object() else { return Vec::new() };
    let mut found = Vec::new();
    for &(keyword, shape, applies) in KEYWORDS {
        let Some(value) = fields.get(keyword) else { continue };
        let mut add = |key, index, schema| {
            if is_schema(schema) {
                found.push(Part { keyword, applies, key, index, shape, schema });
            }
        };
        match (shape, value) {
            (Shape::One, one) => add("", 0, one),
            (Shape::List, Value::Array(list)) => {
                for (index, one) in list.iter().enumerate() {
                    add("", index, one);
                }
            }
            (Shape::Named, Value::Object(named)) => {
                for (key, one) in named {
                    add(key.as_str(), 0, one);
                }
            }
            _ => {}
        }
    }
    found
}

/// What [`rewrite`] does with one schema, given its place.
pub(crate) type Change<'c, E> = dyn FnMut(&mut Map<String, Value>, &str) -> Result<(), E> + 'c;

/// Rewrites a schema from the inside out: `change` sees every schema that is an object, after the
/// schemas inside of it, with its place.
pub(crate) fn rewrite<E>(
    schema: &mut Value,
    at: &str,
    change: &mut Change<'_, E>,
) -> Result<(), E> {
    let Some(fields) = schema.as_object_mut() else { return Ok(()) };
    for &(keyword, shape, _) in KEYWORDS {
        let Some(value) = fields.get_mut(keyword) else { continue };
        let at = pointer::join(at, keyword);
        match (shape, value) {
            (Shape::One, one @ Value::Object(_)) => rewrite(one, &at, change)?,
            (Shape::List, Value::Array(list)) => {
                for (index, one) in list.iter_mut().enumerate() {
                    rewrite(one, &format!("{at}/{index}"), change)?;
                }
            }
            (Shape::Named, Value::Object(named)) => {
                for (key, one) in named.iter_mut() {
                    rewrite(one, &pointer::join(&at, key), change)?;
                }
            }
            _ => {}
        }
    }
    change(fields, at)
}

/// The places of a schema's anchors: name and pointer.
pub(crate) fn anchors(root: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![(String::new(), root)];
    while let Some((at, schema)) = waiting.pop() {
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let Some(name) = schema.get(keyword).and_then(Value::as_str) {
                found.push((name.to_owned(), at.clone()));
            }
        }
        // Drafts 6 and 7 write an anchor as an identifier that is only a fragment.
        if let Some(name) = schema.get("$id").and_then(Value::as_str)
            && let Some(name) = name.strip_prefix('#')
            && !name.is_empty()
        {
            found.push((name.to_owned(), at.clone()));
        }
        for part in parts(schema) {
            waiting.push((part.at(&at), part.schema));
        }
    }
    found
}

/// Where a reference within a schema's document leads, as a pointer; none if it leads elsewhere.
pub(crate) fn target(
    root: &Value,
    anchors: &[(String, String)],
    reference: &str,
) -> Option<String> {
    let own = root.get("$id").and_then(Value::as_str).map(|id| id.trim_end_matches('#'));
    let fragment = match reference.split_once('#') {
        Some(("", fragment)) => fragment,
        Some((document, fragment)) if Some(document) == own => fragment,
        None if Some(reference) == own => "",
        _ => return None,
    };
    let fragment = pointer::decode_fragment(fragment)?;
    if fragment.is_empty() || fragment.starts_with('/') {
        return Some(fragment);
    }
    anchors.iter().find(|(name, _)| *name == fragment).map(|(_, at)| at.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_schemas_and_nothing_else() {
        let schema = json!({
            "properties": { "$ref": { "type": "string" }, "not": true },
            "items": [{ "type": "null" }],
            "not": { "const": { "$ref": "#/nowhere" } },
            "dependencies": { "a": ["b"], "c": { "required": ["d"] } },
            "examples": [{ "properties": { "x": {} } }],
            "default": { "allOf": [{}] }
        });
        let places: Vec<String> = parts(&schema).iter().map(|part| part.at("")).collect();
        assert_eq!(
            places,
            ["/not", "/dependencies/c", "/properties/$ref", "/properties/not", "/items/0"]
        );
    }

    #[test]
    fn references_lead_to_places() {
        let root = json!({
            "$id": "https://example.com/a",
            "$defs": { "x/y": { "$anchor": "spot" }, "old": { "$id": "#older" } }
        });
        let anchors = anchors(&root);
        for (reference, place) in [
            ("#", Some("")),
            ("#/$defs/x~1y", Some("/$defs/x~1y")),
            ("#/%24defs/x~1y", Some("/$defs/x~1y")),
            ("#spot", Some("/$defs/x~1y")),
            ("#older", Some("/$defs/old")),
            ("https://example.com/a#spot", Some("/$defs/x~1y")),
            ("https://example.com/a", Some("")),
            ("https://example.com/b#/x", None),
            ("other.json", None),
            ("#missing", None),
        ] {
            assert_eq!(target(&root, &anchors, reference).as_deref(), place, "{reference}");
        }
    }

    #[test]
    fn rewriting_leaves_data_alone() {
        let mut schema = json!({
            "properties": { "a": { "$ref": "#/x" } },
            "const": { "$ref": "#/x" },
            "allOf": [{ "$ref": "#/x" }]
        });
        let mut seen = Vec::new();
        rewrite::<()>(&mut schema, "", &mut |fields, at| {
            seen.push(at.to_owned());
            if fields.contains_key("$ref") {
                fields.insert("$ref".to_owned(), json!("#/y"));
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, ["/allOf/0", "/properties/a", ""]);
        assert_eq!(schema["properties"]["a"]["$ref"], "#/y");
        assert_eq!(schema["const"]["$ref"], "#/x");
    }
}
