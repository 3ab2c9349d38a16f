//! Examples fit the schemas that they are made from, whatever those are.

use becket_schema::{CompiledSchema, ExampleError, example};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Judges with formats, whatever the draft says of them.
fn strict(schema: &Value) -> jsonschema::Validator {
    jsonschema::options().offline().should_validate_formats(true).build(schema).unwrap()
}

fn assert_fits(schema: &Value, index: usize) -> Value {
    let made = example::of_schema(schema, index);
    let value = made.unwrap_or_else(|error| panic!("{error}\n{schema:#}"));
    let judge = strict(schema);
    if let Err(error) = judge.validate(&value) {
        panic!("{value} does not fit {schema:#}: {error} at {}", error.schema_path());
    }
    value
}

#[test]
fn what_the_author_wrote_comes_first() {
    let schema = json!({
        "type": "integer",
        "examples": [7, 8], "example": 9, "default": 10
    });
    assert_eq!(example::of_schema(&schema, 0), Ok(json!(7)));
    assert_eq!(example::of_schema(&schema, 1), Ok(json!(8)));
    assert_eq!(example::of_schema(&schema, 2), Ok(json!(9)));
    assert_eq!(example::of_schema(&json!({ "type": "integer", "default": 10 }), 0), Ok(json!(10)));
    assert_eq!(example::of_schema(&json!({ "type": "integer", "default": "x" }), 0), Ok(json!(1)));
    assert_eq!(example::generate(&schema, 0), Ok(json!(1)));
}

#[test]
fn an_example_that_does_not_fit_is_named_not_handed_out() {
    let schema =
        json!({ "properties": { "n": { "type": "integer" } }, "examples": [{ "n": "secret" }] });
    let error = example::of_schema(&schema, 0).unwrap_err();
    assert_eq!(error.code(), "example_does_not_fit");
    let words = error.to_string();
    assert!(words.contains("/examples/0") && words.contains("/n"), "{words}");
    assert!(!words.contains("secret"), "{words}");
    assert!(example::generate(&schema, 0).is_ok());
}

#[test]
fn a_realistic_schema() {
    let schema = json!({
        "title": "Invoice paid", "type": "object",
        "required": ["id", "type", "data"],
        "properties": {
            "id": { "type": "string", "pattern": "^evt_[a-z0-9]{6}$" },
            "type": { "const": "invoice.paid" },
            "occurredAt": { "type": "string", "format": "date-time" },
            "data": { "$ref": "#/$defs/Invoice" }
        },
        "$defs": {
            "Invoice": {
                "type": "object",
                "required": ["customerId", "lines", "status"],
                "properties": {
                    "customerId": { "type": "string" },
                    "email": { "type": "string", "format": "email" },
                    "amount": { "type": "integer", "minimum": 0, "examples": [4200] },
                    "currency": { "type": "string", "minLength": 3, "maxLength": 3 },
                    "status": { "enum": ["paid", "open"] },
                    "lines": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/Line" } },
                    "parent": { "anyOf": [{ "$ref": "#/$defs/Invoice" }, { "type": "null" }] },
                    "metadata": { "type": "object", "additionalProperties": { "type": "string" } }
                },
                "additionalProperties": false
            },
            "Line": { "type": "object", "properties": { "quantity": { "type": "integer", "minimum": 1 }, "price": { "type": "number", "multipleOf": 0.01 } } }
        }
    });
    let value = assert_fits(&schema, 0);
    assert_eq!(
        value,
        json!({
            "id": "evt_efghij", "type": "invoice.paid", "occurredAt": "2026-01-01T12:00:00Z",
            "data": {
                "customerId": "customer_1042", "email": "ada@example.com", "amount": 4200, "currency": "EUR",
                "status": "paid", "lines": [{ "quantity": 1, "price": 0.01 }], "parent": null,
                "metadata": { "key": "example" }
            }
        })
    );
    assert_eq!(assert_fits(&schema, 0), value, "the same every time");
    assert_ne!(assert_fits(&schema, 1), value);
}

#[test]
fn rules_that_meet() {
    for schema in [
        json!(true),
        json!({}),
        json!({ "type": ["null", "string"] }),
        json!({ "type": "object", "minProperties": 3 }),
        json!({ "type": "object", "minProperties": 3, "propertyNames": { "pattern": "^[A-Z]{2}$" }, "additionalProperties": { "type": "integer" } }),
        json!({ "type": "object", "patternProperties": { "^x-": { "type": "boolean" } }, "additionalProperties": false, "minProperties": 2 }),
        json!({ "type": "object", "required": ["x-a", "b"], "patternProperties": { "^x-": { "type": "boolean" } }, "additionalProperties": { "type": "integer" } }),
        json!({ "oneOf": [{ "type": "integer" }, { "type": "number" }] }),
        json!({ "oneOf": [{ "required": ["a"] }, { "required": ["b"] }], "properties": { "a": { "type": "string" }, "b": { "type": "string" } } }),
        json!({ "properties": { "a": { "oneOf": [{ "minimum": 5 }, { "maximum": 9 }], "type": "integer" } } }),
        json!({ "allOf": [{ "properties": { "a": { "minimum": 4 } } }, { "properties": { "a": { "type": "integer", "maximum": 4 } }, "required": ["a"] }] }),
        json!({ "enum": [1, "a", null], "type": "string" }),
        json!({ "enum": [1, 20, 3], "minimum": 10 }),
        json!({ "type": "string", "not": { "enum": ["example"] } }),
        json!({ "type": "integer", "not": { "const": 1 } }),
        json!({ "type": "array", "items": { "type": "integer" }, "contains": { "minimum": 100 }, "minItems": 3, "uniqueItems": true }),
        json!({ "type": "array", "contains": { "const": "needed" }, "minContains": 2 }),
        json!({ "type": "array", "prefixItems": [{ "type": "integer" }, { "type": "string" }], "items": false, "minItems": 2 }),
        json!({ "$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [{ "type": "integer" }], "additionalItems": { "type": "boolean" }, "minItems": 3 }),
        json!({ "type": "array", "items": { "type": "boolean" }, "uniqueItems": true, "minItems": 2 }),
        json!({ "if": { "properties": { "kind": { "const": "a" } }, "required": ["kind"] }, "then": { "required": ["x"] }, "else": { "required": ["y"] } }),
        json!({ "properties": { "a": {}, "b": {} }, "dependentRequired": { "a": ["c"] }, "required": ["a"] }),
        json!({ "properties": { "a": {} }, "dependentSchemas": { "a": { "properties": { "d": { "type": "integer" } }, "required": ["d"] } } }),
        json!({ "properties": { "a": { "type": "string" } }, "unevaluatedProperties": false, "allOf": [{ "properties": { "b": { "type": "integer" } } }] }),
        json!({ "type": "string", "format": "email", "maxLength": 6 }),
        json!({ "type": "string", "format": "uri", "minLength": 60 }),
        json!({ "type": "string", "format": "hostname", "minLength": 40 }),
        json!({ "type": "string", "pattern": "^[a-z]+$", "minLength": 12, "maxLength": 12 }),
        json!({ "type": "string", "pattern": "\\d", "minLength": 5 }),
        json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.1 }),
        json!({ "type": "number", "minimum": 1e30 }),
        json!({ "type": "integer", "multipleOf": 7, "minimum": 100, "maximum": 106 }),
        json!({ "$schema": "http://json-schema.org/draft-04/schema#", "type": "integer", "minimum": 3, "exclusiveMinimum": true }),
        json!({ "$defs": { "node": { "type": "object", "required": ["children"], "properties": { "children": { "type": "array", "items": { "$ref": "#/$defs/node" } } } } }, "$ref": "#/$defs/node" }),
        json!({ "type": "object", "required": ["next"], "properties": { "next": { "oneOf": [{ "$ref": "#" }, { "type": "null" }] } } }),
        json!({ "$defs": { "n": { "type": "object", "required": ["v"], "properties": { "v": { "anyOf": [{ "$ref": "#/$defs/n" }, { "type": "integer" }] } } } }, "$ref": "#/$defs/n" }),
        json!({ "$defs": { "positive": { "$anchor": "pos", "exclusiveMinimum": 0 } }, "type": "integer", "$ref": "#pos", "maximum": 1 }),
        json!({ "properties": { "day": { "type": "string", "examples": ["not a day", "Monday"], "enum": ["Monday"] } } }),
    ] {
        for index in 0..4 {
            assert_fits(&schema, index);
        }
    }
}

#[test]
fn what_cannot_be_satisfied_is_named() {
    for (schema, place) in [
        (json!(false), ""),
        (json!({ "required": ["a"], "properties": { "a": false } }), ""),
        (
            json!({ "required": ["a"], "properties": { "a": { "type": "integer", "minimum": 5, "maximum": 4 } } }),
            "/properties/a",
        ),
        (json!({ "allOf": [{ "type": "string" }, { "type": "integer" }] }), "/allOf/1/type"),
        (json!({ "required": ["x"], "properties": { "x": { "$ref": "#" } } }), "/properties/x"),
        (
            json!({ "properties": { "t": { "minItems": 5_000_000, "type": "array" } }, "required": ["t"] }),
            "/properties/t",
        ),
        (
            json!({ "properties": { "t": { "minLength": 5_000_000_000_u64 } }, "required": ["t"] }),
            "/properties/t",
        ),
        (
            json!({ "type": "array", "uniqueItems": true, "items": { "const": 1 }, "minItems": 2 }),
            "",
        ),
        (json!({ "not": {} }), ""),
    ] {
        match example::of_schema(&schema, 0) {
            Err(ExampleError::Unsatisfied { at, .. }) => assert_eq!(at, place, "{schema}"),
            other => panic!("{schema}: {other:?}"),
        }
    }
    let error = example::of_schema(&json!({ "type": 3 }), 0).unwrap_err();
    assert_eq!(error.code(), "schema_invalid");
}

fn leaf() -> impl Strategy<Value = Value> {
    let formats = [
        "date-time",
        "date",
        "time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "uuid",
        "json-pointer",
        "uri-template",
        "regex",
        "idn-email",
        "iri",
        "relative-json-pointer",
    ];
    let patterns = ["^[A-Z]{3}$", "^ord_[a-z0-9]{8}$", "[0-9]", "^(a|b|c)-\\d+$", "^#[0-9a-f]{6}$"];
    let values = prop_oneof![
        Just(json!(null)),
        Just(json!("a")),
        Just(json!(3)),
        Just(json!([1])),
        Just(json!({ "k": 1 }))
    ];
    prop_oneof![
        Just(json!({ "type": "boolean" })),
        Just(json!({ "type": "null" })),
        Just(json!({ "type": ["string", "null"] })),
        (0_u64..40, 0_u64..40).prop_map(|(least, more)| json!({ "type": "string", "minLength": least, "maxLength": least + more })),
        select(formats.to_vec()).prop_map(|format| json!({ "type": "string", "format": format })),
        select(patterns.to_vec()).prop_map(|pattern| json!({ "type": "string", "pattern": pattern })),
        (-1000_i64..1000, 0_i64..50, 1_i64..20).prop_map(|(least, more, step)| json!({
            "type": "integer", "minimum": least, "maximum": least + more + step, "multipleOf": step
        })),
        (-1000_i64..1000, 1_i64..50).prop_map(|(least, more)| json!({
            "type": "number", "exclusiveMinimum": least, "exclusiveMaximum": least + more
        })),
        (-100_i64..100, select(vec![0.01, 0.05, 0.5, 2.5])).prop_map(|(least, step)| json!({
            "type": "number", "minimum": least, "multipleOf": step
        })),
        vec(values.clone(), 1..4).prop_map(|mut values| { values.dedup(); values.sort_by_key(Value::to_string); values.dedup(); json!({ "enum": values }) }),
        values.prop_map(|value| json!({ "const": value })),
        Just(json!({})),
        Just(json!({ "type": "object", "additionalProperties": { "type": "integer" } })),
        Just(json!({ "$ref": "#/$defs/tree" })),
        Just(json!({ "$ref": "#/$defs/money" })),
    ]
}

fn object(fields: std::collections::BTreeMap<String, Value>, mask: u32, closed: u8) -> Value {
    let required: Vec<&String> = fields
        .keys()
        .enumerate()
        .filter(|(index, _)| mask >> index & 1 == 1)
        .map(|(_, name)| name)
        .collect();
    let mut schema = json!({ "type": "object", "required": required, "properties": fields });
    match closed {
        0 => schema["additionalProperties"] = json!(false),
        1 => schema["additionalProperties"] = json!({ "type": "string" }),
        _ => {}
    }
    schema
}

fn schemas() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 40, 5, |inner| {
        let named = btree_map("[a-d][a-z]{0,4}|id|url|createdAt", inner.clone(), 0..5);
        prop_oneof![
            (named.clone(), any::<u32>(), 0_u8..3).prop_map(|(fields, mask, closed)| object(fields, mask, closed)),
            (inner.clone(), 0_u64..4, 0_u64..3).prop_map(|(items, least, more)| json!({
                "type": "array", "items": items, "minItems": least, "maxItems": least + more
            })),
            vec(inner.clone(), 1..4).prop_map(|first| json!({ "type": "array", "minItems": first.len(), "prefixItems": first, "items": false })),
            (0_u64..5).prop_map(|least| json!({ "type": "array", "items": { "type": "integer" }, "uniqueItems": true, "minItems": least })),
            vec(inner.clone(), 1..4).prop_map(|any| json!({ "anyOf": any })),
            (vec(inner.clone(), 2..4)).prop_map(|branches| {
                let tagged: Vec<Value> = branches.into_iter().enumerate().map(|(index, value)| json!({
                    "type": "object", "required": ["kind", "value"],
                    "properties": { "kind": { "const": format!("k{index}") }, "value": value }
                })).collect();
                json!({ "oneOf": tagged })
            }),
            (named, inner.clone()).prop_map(|(fields, extra)| {
                let mut all: Vec<Value> = fields.into_iter().map(|(name, value)| json!({ "properties": { name: value } })).collect();
                all.push(json!(true)); json!({ "type": "object", "allOf": [{ "anyOf": [{ "allOf": all }], "required": ["zz"] }, { "properties": { "zz": extra } }] })
            }),
            inner.clone().prop_map(|value| json!({
                "type": "object", "minProperties": 2, "maxProperties": 3,
                "propertyNames": { "pattern": "^[a-z]{2,6}$" }, "additionalProperties": value
            })),
            (inner.clone(), inner).prop_map(|(then, other)| json!({
                "type": "object", "properties": { "flag": { "type": "boolean" } }, "required": ["flag"],
                "if": { "properties": { "flag": { "const": true } } },
                "then": { "properties": { "value": then }, "required": ["value"] },
                "else": { "properties": { "value": other } }
            })),
        ]
    })
}

fn with_defs(mut schema: Value) -> Value {
    let defs = json!({
        "tree": { "type": "object", "required": ["children"], "properties": {
            "label": { "type": "string" },
            "left": { "$ref": "#/$defs/tree" },
            "children": { "type": "array", "items": { "$ref": "#/$defs/tree" } }
        } },
        "money": { "type": "object", "required": ["amount", "currency"], "additionalProperties": false, "properties": {
            "amount": { "type": "string", "pattern": "^\\d+\\.\\d{2}$" }, "currency": { "type": "string", "pattern": "^[A-Z]{3}$" }
        } }
    });
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("$defs".to_owned(), defs);
    }
    schema
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn made_examples_fit(schema in schemas(), index in 0_usize..4) {
        assert_fits(&with_defs(schema), index);
    }

    /// Rules thrown together may contradict each other: then there is an error, never a wrong value.
    #[test]
    fn never_a_value_that_does_not_fit(parts in vec(schemas(), 1..4), keyword in select(vec!["allOf", "oneOf", "anyOf"])) {
        let mut fields = Map::new();
        fields.insert(keyword.to_owned(), Value::Array(parts));
        let schema = with_defs(Value::Object(fields));
        if let Ok(value) = example::of_schema(&schema, 0) {
            prop_assert!(CompiledSchema::compile(&schema).unwrap().fits(&value), "{} {}", schema, value);
        }
    }
}
