//! Event types read from OpenAPI documents.

use becket_schema::openapi::{self, ImportedEventType};
use becket_schema::{CompiledSchema, ImportError, example};
use proptest::prelude::*;
use serde_json::{Value, json};

fn import(document: &Value) -> Vec<ImportedEventType> {
    openapi::import_value(document).unwrap_or_else(|error| panic!("{error}\n{document:#}"))
}

fn document(version: &str, webhooks: Value, schemas: Value) -> Value {
    json!({ "openapi": version, "info": { "title": "T", "version": "1" }, "webhooks": webhooks, "components": { "schemas": schemas } })
}

fn post(schema: Value) -> Value {
    json!({ "post": { "requestBody": { "content": { "application/json": { "schema": schema } } } } })
}

#[test]
fn a_document_in_yaml() {
    let text = r##"
# Both of them are read.
openapi: 3.1.0
info: { title: Pets, version: 1.0.0 }
webhooks:
  pet.new:
    post:
      summary: A pet was added
      tags: [pets, other]
      requestBody:
        content:
          application/json:
            schema: { $ref: "#/components/schemas/Pet" }
  pet.gone:
    post:
      description: |
        A pet has left.
      deprecated: true
      tags: ["not a name"]
      requestBody: { $ref: "#/components/requestBodies/Gone" }
components:
  requestBodies:
    Gone:
      content:
        application/vnd.pets+json:
          schema:
            type: object
            required: [pet]
            properties:
              pet: { $ref: "#/components/schemas/Pet" }
  schemas:
    Pet:
      type: object
      required: [id]
      properties:
        id: { type: integer, format: int64 }
        parent: { $ref: "#/components/schemas/Pet" }
        owner: { $ref: "#/components/schemas/Owner" }
    Owner:
      properties:
        pets: { type: array, items: { $ref: "#/components/schemas/Pet" } }
    Unused: {}
"##;
    let found = openapi::import(text).unwrap();
    let owner = json!({ "properties": { "pets": { "type": "array", "items": { "$ref": "#" } } } });
    assert_eq!(
        found[0],
        ImportedEventType {
            name: "pet.new".to_owned(),
            description: "A pet was added".to_owned(),
            deprecated: false,
            group: Some("pets".to_owned()),
            schema: json!({
                "type": "object", "required": ["id"],
                "properties": { "id": { "type": "integer", "format": "int64" }, "parent": { "$ref": "#" }, "owner": { "$ref": "#/$defs/Owner" } },
                "$defs": { "Owner": owner }
            }),
        }
    );
    assert_eq!(
        (found[1].description.as_str(), found[1].deprecated, found[1].group.as_deref()),
        ("A pet has left.", true, None)
    );
    assert_eq!(found[1].schema["$defs"]["Pet"]["properties"]["parent"]["$ref"], "#/$defs/Pet");
    assert!(found[1].schema["$defs"].get("Unused").is_none());
    for one in &found {
        let judge = CompiledSchema::compile(&one.schema).unwrap();
        assert!(judge.fits(&example::of_schema(&one.schema, 0).unwrap()));
    }
}

#[test]
fn version_3_0_is_translated() {
    let document = json!({
        "openapi": "3.0.3",
        "x-webhooks": { "a": post(json!({ "$ref": "#/components/schemas/A" })) },
        "components": { "schemas": {
            "A": { "type": "object", "properties": {
                "n": { "type": "integer", "nullable": true, "minimum": 0, "exclusiveMinimum": true, "example": 3 },
                "b": { "$ref": "#/components/schemas/B", "description": "ignored" },
                "self": { "nullable": true, "allOf": [{ "$ref": "#/components/schemas/A" }] },
                "part": { "$ref": "#/components/schemas/A/properties/n" }
            }, "example": { "n": 5 } },
            "B": { "type": "string", "discriminator": { "propertyName": "x", "mapping": { "a": "#/components/schemas/A" } } }
        } }
    });
    let found = import(&document);
    assert_eq!(
        found[0].schema,
        json!({
            "type": "object",
            "properties": {
                "n": { "type": ["integer", "null"], "exclusiveMinimum": 0, "examples": [3] },
                "b": { "$ref": "#/$defs/B" },
                "self": { "anyOf": [{ "allOf": [{ "$ref": "#" }] }, { "type": "null" }] },
                "part": { "$ref": "#/$defs/n" }
            },
            "examples": [{ "n": 5 }],
            "$defs": {
                "B": { "type": "string", "discriminator": { "propertyName": "x" } },
                "n": { "type": ["integer", "null"], "exclusiveMinimum": 0, "examples": [3] }
            }
        })
    );
    let judge = CompiledSchema::compile(&found[0].schema).unwrap();
    assert!(judge.fits(&json!({ "n": null, "self": null })));
    assert!(!judge.fits(&json!({ "n": 0 })));
}

#[test]
fn names_come_from_the_key_or_the_operation() {
    let mut named = post(json!({}));
    named["post"]["operationId"] = json!("pet-new");
    let document = document(
        "3.1.0",
        json!({ "a/b {c}": named, "plain": post(json!(true)), "empty": {} }),
        json!({}),
    );
    let found = import(&document);
    assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["pet-new", "plain"]);
}

#[test]
fn references_wherever_they_lead() {
    let document = json!({
        "openapi": "3.1.1",
        "webhooks": {
            "a": { "$ref": "#/components/pathItems/A" },
            "b": post(json!({ "properties": {
                "x": { "$ref": "#/webhooks/c/post/requestBody/content/application~1json/schema" },
                "y": { "$ref": "#/components/schemas/A/properties/deep", "description": "kept" },
                "z": { "$ref": "#spot" },
                "same": { "$ref": "#/components/schemas/two%20words" }
            }, "$defs": { "A": { "type": "null" } } })),
            "c": post(json!({ "type": "string" }))
        },
        "components": {
            "pathItems": { "A": post(json!({ "$ref": "#/components/schemas/Alias" })) },
            "schemas": {
                "Alias": { "$ref": "#/components/schemas/A" },
                "A": { "properties": { "deep": { "type": "integer" }, "other": { "$ref": "#/components/schemas/A/properties/deep" } } },
                "Marked": { "$anchor": "spot", "type": "boolean" },
                "two words": { "$id": "https://example.com/own", "$defs": { "in": { "const": 1 } }, "$ref": "#/$defs/in" }
            }
        }
    });
    let found = import(&document);
    assert_eq!(
        found[0].schema,
        json!({ "properties": { "deep": { "type": "integer" }, "other": { "$ref": "#/properties/deep" } } })
    );
    let b = &found[1].schema;
    let judge = CompiledSchema::compile(b).unwrap();
    assert!(judge.fits(&json!({ "x": "s", "y": 1, "z": true, "same": 1 })));
    for wrong in [json!({ "x": 1 }), json!({ "y": "s" }), json!({ "z": 1 }), json!({ "same": 2 })] {
        assert!(!judge.fits(&wrong), "{wrong} {b:#}");
    }
    assert_eq!(b["$defs"]["A"], json!({ "type": "null" }), "what was there is kept");
}

#[test]
fn examples_beside_the_schema_are_taken() {
    let mut one = post(json!({ "type": "object" }));
    one["post"]["requestBody"]["content"]["application/json"]["examples"] =
        json!({ "a": { "value": { "n": 1 } }, "b": { "$ref": "#/components/examples/B" } });
    let mut two = post(json!({ "type": "object", "examples": [{ "own": true }] }));
    two["post"]["requestBody"]["content"]["application/json"]["example"] = json!({ "n": 1 });
    let mut document = document("3.1.0", json!({ "one": one, "two": two }), json!({}));
    document["components"]["examples"] = json!({ "B": { "value": { "n": 2 } } });
    let found = import(&document);
    assert_eq!(found[0].schema["examples"], json!([{ "n": 1 }, { "n": 2 }]));
    assert_eq!(found[1].schema["examples"], json!([{ "own": true }]));
}

#[test]
fn no_webhooks_no_event_types() {
    assert_eq!(import(&json!({ "openapi": "3.1.0", "paths": {} })), []);
    let bodies = json!({ "a": { "post": {} }, "b": { "get": {} }, "c": { "post": { "requestBody": { "content": { "application/json": {} } } } } });
    for one in import(&document("3.1.0", bodies, json!({}))) {
        assert_eq!(one.schema, json!({}));
    }
    assert_eq!(openapi::import("openapi: 3.1\nwebhooks: {}").unwrap(), []);
}

#[test]
fn the_dialect_of_all_schemas_is_named() {
    let mut document =
        document("3.1.0", json!({ "a": post(json!({ "type": "string" })) }), json!({}));
    document["jsonSchemaDialect"] = json!("http://json-schema.org/draft-07/schema#");
    assert_eq!(import(&document)[0].schema["$schema"], "http://json-schema.org/draft-07/schema#");
    document["jsonSchemaDialect"] = json!("https://spec.openapis.org/oas/3.1/dialect/base");
    assert!(import(&document)[0].schema.get("$schema").is_none());
}

#[test]
fn errors_name_the_place() {
    let schemas = json!({
        "Loop": { "$ref": "#/components/schemas/Loop" },
        "Far": { "properties": { "a": { "$ref": "other.yaml#/A" } } },
        "Bad": { "type": "strange" },
        "Text": "no schema"
    });
    let component = |name: &str| post(json!({ "$ref": format!("#/components/schemas/{name}") }));
    let at = |rest: &str| format!("/webhooks/a/post{rest}");
    let schema_at = at("/requestBody/content/application~1json/schema");
    for (webhook, code, place) in [
        (component("Loop"), "openapi_reference", "/components/schemas/Loop/$ref".to_owned()),
        (
            component("Far"),
            "openapi_reference",
            "/components/schemas/Far/properties/a/$ref".to_owned(),
        ),
        (component("Nowhere"), "openapi_reference", format!("{schema_at}/$ref")),
        (component("Bad"), "openapi_schema", schema_at.clone()),
        (component("Text"), "openapi_malformed", "/components/schemas/Text".to_owned()),
        (json!([]), "openapi_malformed", "/webhooks/a".to_owned()),
        (json!({ "post": 3 }), "openapi_malformed", at("")),
        (json!({ "post": { "deprecated": "yes" } }), "openapi_malformed", at("/deprecated")),
        (
            json!({ "post": { "requestBody": { "content": { "text/xml": {} } } } }),
            "openapi_malformed",
            at("/requestBody/content"),
        ),
        (post(json!({ "items": { "pattern": "(?<=a)b" } })), "openapi_schema", schema_at.clone()),
    ] {
        let document = document("3.1.0", json!({ "a": webhook }), schemas.clone());
        let error = openapi::import_value(&document).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(&format!("`{place}`")), "{error} should name {place}");
    }
    let unnamed =
        openapi::import_value(&document("3.1.0", json!({ "a b": post(json!({})) }), json!({})));
    assert!(matches!(unnamed, Err(ImportError::Malformed { at, .. }) if at == "/webhooks/a b"));
    let mut twice = document("3.1.0", json!({ "a": post(json!({})) }), json!({}));
    twice["x-webhooks"] = json!({ "a": post(json!({})) });
    assert!(
        matches!(openapi::import_value(&twice), Err(ImportError::Malformed { at, .. }) if at == "/x-webhooks/a")
    );
    for other in [
        json!({ "swagger": "2.0" }),
        json!({}),
        json!([]),
        json!({ "openapi": "4.0.0" }),
        json!({ "openapi": null }),
    ] {
        assert_eq!(openapi::import_value(&other).unwrap_err().code(), "openapi_version", "{other}");
    }
    assert!(matches!(openapi::import("a: [1"), Err(ImportError::Unreadable { .. })));
    assert!(matches!(openapi::import(""), Err(ImportError::Unreadable { .. })));
}

/// Documents that somebody tampered with give event types or an error, never a panic.
fn tampered() -> impl Strategy<Value = String> {
    let document = "openapi: 3.1.0\nwebhooks:\n  a: &x\n    post: {tags: [t], requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}}\n  b: *x\ncomponents:\n  schemas:\n    A: {type: object, properties: {a: {$ref: '#'}}, example: |\n      text\n    }\n";
    let length = document.len();
    let cuts = proptest::collection::vec(
        (0..length, 0_usize..6, "[-\\[\\]{}:,&*!|>'\"%@`#?~<\n \ta0\u{feff}é$]{0,4}"),
        1..6,
    );
    cuts.prop_map(move |cuts| {
        let mut text: Vec<char> = document.chars().collect();
        for (at, gone, new) in cuts {
            let at = at.min(text.len());
            let end = (at + gone).min(text.len());
            text.splice(at..end, new.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn tampered_documents_are_answered(text in prop_oneof![tampered(), "[-\\[\\]{}:,&*!|>'\"%@`#?~<\n \ta0.é]{0,80}"]) {
        if let Err(error) = openapi::import(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
