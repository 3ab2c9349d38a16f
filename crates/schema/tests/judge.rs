//! Payloads are judged by path and rule, without their values, and hostile schemas are refused.

use becket_schema::{CompiledSchema, SchemaError};
use serde_json::{Value, json};

fn compile(schema: &Value) -> CompiledSchema {
    CompiledSchema::compile(schema).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

fn order() -> Value {
    json!({
        "type": "object",
        "required": ["id", "lines"],
        "additionalProperties": false,
        "properties": {
            "id": { "type": "string", "pattern": "^ord_", "maxLength": 12 },
            "status": { "enum": ["open", "paid", null] },
            "kind": { "const": "order" },
            "lines": { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "$ref": "#/$defs/line" } },
            "note": { "type": ["string", "null"] },
            "pay": { "oneOf": [{ "required": ["card"] }, { "required": ["bank"] }] },
            "map": { "type": "object", "propertyNames": { "pattern": "^[a-z]+$" }, "minProperties": 1 }
        },
        "$defs": { "line": { "type": "object", "required": ["price"], "properties": {
            "price": { "type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01 }
        } } }
    })
}

/// Changes one property of a good order, and expects one violation: path, rule's place, sentence.
fn assert_violation(name: &str, value: Value, path: &str, rule_at: &str, message: &str) {
    let judge = compile(&order());
    let mut payload =
        json!({ "id": "ord_1", "lines": [{ "price": 1.25 }], "status": null, "kind": "order" });
    assert_eq!(judge.violations(&payload, 10), []);
    assert!(judge.fits(&payload));
    payload[name] = value;
    let found = judge.violations(&payload, 10);
    assert_eq!(found.len(), 1, "{found:?}");
    let first = &found[0];
    assert_eq!(
        (first.path.as_str(), first.rule_at.as_str(), first.message.as_str()),
        (path, rule_at, message)
    );
    assert_eq!(Some(first.rule.as_str()), rule_at.rsplit('/').next());
    assert!(!format!("{found:?}").contains("98765"), "no value of the payload: {found:?}");
    assert!(!judge.violation(&payload).unwrap().contains("98765"));
    assert!(!judge.fits(&payload));
}

#[test]
fn violations_of_values() {
    for (name, value, path, rule_at, message) in [
        ("id", json!(98765), "/id", "/properties/id/type", "the value has to be a string"),
        ("id", json!("98765"), "/id", "/properties/id/pattern", "the text has to match `^ord_`"),
        (
            "id",
            json!("ord_98765_98765"),
            "/id",
            "/properties/id/maxLength",
            "the text has to have at most 12 characters",
        ),
        (
            "status",
            json!("98765"),
            "/status",
            "/properties/status/enum",
            "the value has to be one of `\"open\"`, `\"paid\"`, `null`",
        ),
        (
            "kind",
            json!("98765"),
            "/kind",
            "/properties/kind/const",
            "the value has to be `\"order\"`",
        ),
        (
            "note",
            json!(98765),
            "/note",
            "/properties/note/type",
            "the value has to be null or a string",
        ),
    ] {
        assert_violation(name, value, path, rule_at, message);
    }
}

#[test]
fn violations_of_collections() {
    for (name, value, path, rule_at, message) in [
        ("lines", json!([]), "/lines", "/properties/lines/minItems", "at least 1 item is needed"),
        (
            "lines",
            json!([{ "98765": 1 }]),
            "/lines/0",
            "/$defs/line/required",
            "the property `\"price\"` is missing",
        ),
        (
            "lines",
            json!([{ "price": -98765 }]),
            "/lines/0/price",
            "/$defs/line/properties/price/exclusiveMinimum",
            "the number has to be more than 0",
        ),
        (
            "lines",
            json!([{ "price": 9.8765 }]),
            "/lines/0/price",
            "/$defs/line/properties/price/multipleOf",
            "the number has to be a multiple of 0.01",
        ),
        (
            "lines",
            json!([{ "price": 1 }, { "price": 1 }]),
            "/lines",
            "/properties/lines/uniqueItems",
            "all items have to differ from each other",
        ),
        (
            "map",
            json!({ "98765": 1 }),
            "/map",
            "/properties/map/propertyNames/pattern",
            "a property has a name that is not allowed: the text has to match `^[a-z]+$`",
        ),
        (
            "map",
            json!({}),
            "/map",
            "/properties/map/minProperties",
            "at least 1 property is needed",
        ),
        (
            "98765",
            json!(1),
            "",
            "/additionalProperties",
            "there is one property that is not allowed",
        ),
    ] {
        assert_violation(name, value, path, rule_at, message);
    }
}

#[test]
fn violations_of_alternatives() {
    let none = "the value fits none of the 2 alternatives, and has to fit one";
    assert_violation("pay", json!({ "98765": 1 }), "/pay", "/properties/pay/oneOf", none);
    let both = "the value fits more than one of the alternatives, and has to fit exactly one";
    assert_violation(
        "pay",
        json!({ "card": 1, "bank": 98765 }),
        "/pay",
        "/properties/pay/oneOf",
        both,
    );
}

#[test]
fn as_many_violations_as_asked_for() {
    let judge = compile(&json!({ "items": { "type": "string" } }));
    let payload = json!([1, 2, 3, 4]);
    assert_eq!(judge.violations(&payload, 0).len(), 0);
    assert_eq!(judge.violations(&payload, 2).len(), 2);
    assert_eq!(judge.violations(&payload, 10).len(), 4);
    assert_eq!(judge.violations(&payload, 10)[3].path, "/3");
}

#[test]
fn paths_escape_and_are_bounded() {
    let judge = compile(&json!({ "additionalProperties": { "type": "string" } }));
    assert_eq!(judge.violations(&json!({ "a/b~c": 1 }), 1)[0].path, "/a~1b~0c");
    let long = judge.violations(&json!({ "x".repeat(10_000): 1 }), 1);
    assert!(long[0].path.chars().count() < 400);
}

#[test]
fn what_cannot_be_used_is_refused_with_its_place() {
    for (schema, code, at) in [
        (json!(7), "schema_invalid", ""),
        (json!({ "type": "strange" }), "schema_invalid", "/type"),
        (
            json!({ "properties": { "a": { "minimum": "x" } } }),
            "schema_invalid",
            "/properties/a/minimum",
        ),
        (json!({ "properties": { "a": 3 } }), "schema_invalid", "/properties/a"),
        (json!({ "$ref": "https://example.com/schema.json" }), "schema_reference", "/$ref"),
        (json!({ "$ref": "file:///etc/passwd" }), "schema_reference", "/$ref"),
        (
            json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" }),
            "schema_reference",
            "/$ref",
        ),
        (json!({ "items": { "$ref": "#/nowhere" } }), "schema_reference", "/items/$ref"),
        (
            json!({ "items": { "$dynamicRef": "other.json" } }),
            "schema_reference",
            "/items/$dynamicRef",
        ),
        (
            json!({ "$defs": { "a": { "$id": "https://example.com/a" } } }),
            "schema_reference",
            "/$defs/a/$id",
        ),
        (json!({ "$ref": 5 }), "schema_invalid", "/$ref"),
        (json!({ "$schema": "https://example.com/mine" }), "schema_invalid", ""),
        (json!({ "pattern": "^(?=a)" }), "schema_invalid", "/pattern"),
        (json!({ "pattern": "(a)\\1" }), "schema_invalid", "/pattern"),
        (json!({ "pattern": "(a{1000}){1000}" }), "schema_invalid", "/pattern"),
        (json!({ "pattern": "(" }), "schema_invalid", "/pattern"),
        (
            json!({ "properties": { "a": { "$ref": "#/properties/a" } } }),
            "schema_too_costly",
            "/properties/a",
        ),
    ] {
        let error = CompiledSchema::compile(&schema).unwrap_err();
        assert_eq!((error.code(), error.at()), (code, at), "{schema}: {error}");
    }
}

#[test]
fn drafts_are_honoured() {
    for (draft, fits) in [
        ("http://json-schema.org/draft-07/schema#", false),
        ("https://json-schema.org/draft/2020-12/schema", true),
    ] {
        let judge =
            compile(&json!({ "$schema": draft, "properties": { "a": { "format": "email" } } }));
        assert_eq!(judge.fits(&json!({ "a": "no address" })), fits, "{draft}");
    }
    let own = json!({ "$id": "https://example.com/own", "$defs": { "a": { "type": "string" } }, "$ref": "https://example.com/own#/$defs/a" });
    assert!(!compile(&own).fits(&json!(1)));
}

/// A pattern that takes exponential time with backtracking; here it takes linear time.
#[test]
fn patterns_cannot_explode() {
    let judge = compile(&json!({ "pattern": "^(a+)+$" }));
    let text = format!("{}b", "a".repeat(200_000));
    assert!(!judge.fits(&json!(text)));
}

#[test]
fn work_is_bounded_by_schema_and_payload() {
    let twice = json!({
        "$defs": { "n": { "properties": { "x": { "allOf": [{ "$ref": "#/$defs/n" }, { "$ref": "#/$defs/n" }] } } } },
        "$ref": "#/$defs/n"
    });
    let judge = compile(&twice);
    let nested = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({ "x": inner }));
    assert!(judge.fits(&nested(8)));
    let found = judge.violations(&nested(90), 5);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rule, "too_costly");
    assert!(!judge.fits(&nested(90)));
    let tree = compile(&json!({ "properties": { "x": { "$ref": "#" }, "y": { "$ref": "#" } } }));
    assert!(tree.fits(&nested(90)));
}

#[test]
fn errors_say_what_to_do() {
    let error = CompiledSchema::compile(&json!({ "$ref": "other.json#/x" })).unwrap_err();
    assert!(matches!(&error, SchemaError::Reference { .. }));
    assert!(error.to_string().contains("$defs"), "{error}");
}
