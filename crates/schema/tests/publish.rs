//! Catalogues as documents and as a page: what goes in comes back, and nothing gets out of its place.

use std::collections::BTreeMap;

use becket_schema::publish::{self, Catalogue, EventType};
use becket_schema::{CompiledSchema, openapi};
use proptest::prelude::*;
use serde_json::{Value, json};

fn event_type(name: &str, schema: Option<Value>) -> EventType {
    let schemas: BTreeMap<String, Value> =
        schema.into_iter().map(|schema| ("1".to_owned(), schema)).collect();
    EventType { name: name.to_owned(), schemas, ..EventType::default() }
}

fn invoice() -> Value {
    json!({
        "type": "object", "required": ["id", "customer"],
        "properties": {
            "id": { "type": "string", "description": "The invoice." },
            "customer": { "$ref": "#/$defs/Customer" },
            "previous": { "$ref": "#" }
        },
        "$defs": { "Customer": { "type": "object", "properties": { "name": { "type": "string" }, "parent": { "$ref": "#/$defs/Customer" } } } }
    })
}

fn catalogue() -> Catalogue {
    let mut paid = event_type("invoice.paid", Some(invoice()));
    paid.description = "An invoice was paid.\n\nAll of it.".to_owned();
    paid.group = Some("invoice".to_owned());
    paid.schemas.insert("10".to_owned(), json!({ "type": "object", "required": ["v10"], "properties": { "v10": { "type": "integer" } } }));
    let mut old = event_type("invoice.created", Some(invoice()));
    old.deprecated = true;
    old.group = Some("invoice".to_owned());
    let mut hidden = event_type("hidden.one", Some(json!({})));
    hidden.archived = true;
    let mut own = event_type("user.signup", Some(json!({ "type": "object" })));
    own.example = Some(json!({ "user": 7 }));
    Catalogue { event_types: vec![paid, old, hidden, own, event_type("bare", None)] }
}

/// Every `$ref` of a document that stands where a reference can stand leads to something in it.
fn assert_references_lead_somewhere(document: &Value) {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference}"));
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn openapi_has_what_receivers_need() {
    let document = publish::openapi(&catalogue(), "Shop", "2026-01");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"], json!({ "title": "Shop", "version": "2026-01" }));
    assert_eq!(document["tags"], json!([{ "name": "invoice" }]));
    let webhooks = document["webhooks"].as_object().unwrap();
    assert_eq!(
        webhooks.keys().collect::<Vec<_>>(),
        ["bare", "invoice.created", "invoice.paid", "user.signup"]
    );
    let paid = &document["webhooks"]["invoice.paid"]["post"];
    assert_eq!(paid["description"], "An invoice was paid.\n\nAll of it.");
    assert_eq!(paid["tags"], json!(["invoice"]));
    assert!(paid.get("deprecated").is_none());
    assert_eq!(document["webhooks"]["invoice.created"]["post"]["deprecated"], true);
    assert!(paid["responses"]["2XX"]["description"].is_string());
    let names: Vec<&str> = paid["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let place = one["$ref"].as_str().unwrap().trim_start_matches('#');
            document.pointer(place).unwrap()["name"].as_str().unwrap()
        })
        .collect();
    assert_eq!(names, ["webhook-id", "webhook-timestamp", "webhook-signature"]);
    let media = &paid["requestBody"]["content"]["application/json"];
    assert_eq!(media["schema"]["$ref"], "#/components/schemas/invoice.paid");
    assert_eq!(media["examples"]["payload"], json!({ "value": { "v10": 1 }, "x-generated": true }));
    let own =
        &document["webhooks"]["user.signup"]["post"]["requestBody"]["content"]["application/json"];
    assert_eq!(own["examples"]["payload"], json!({ "value": { "user": 7 } }));
    assert_references_lead_somewhere(&document);
}

#[test]
fn asyncapi_has_channel_messages_and_operations() {
    let document = publish::asyncapi(&catalogue(), "Shop", "1");
    assert_eq!(document["asyncapi"], "3.0.0");
    let messages = document["components"]["messages"].as_object().unwrap();
    assert_eq!(
        messages.keys().collect::<Vec<_>>(),
        ["bare", "invoice.created", "invoice.paid", "user.signup"]
    );
    for key in messages.keys() {
        let operation = &document["operations"][key];
        assert_eq!(operation["action"], "send");
        assert_eq!(operation["channel"]["$ref"], "#/channels/webhooks");
        assert_eq!(
            operation["messages"],
            json!([{ "$ref": format!("#/channels/webhooks/messages/{key}") }])
        );
        assert_eq!(
            document["channels"]["webhooks"]["messages"][key]["$ref"],
            format!("#/components/messages/{key}")
        );
    }
    assert_eq!(document["channels"]["webhooks"]["address"], Value::Null);
    assert_eq!(messages["invoice.created"]["x-deprecated"], true);
    assert_eq!(messages["invoice.paid"]["examples"], json!([{ "payload": { "v10": 1 } }]));
    assert_references_lead_somewhere(&document);
}

#[test]
fn what_is_published_can_be_imported() {
    let catalogue = catalogue();
    let found = openapi::import_value(&publish::openapi(&catalogue, "Shop", "1")).unwrap();
    assert_eq!(found.len(), 4);
    let one = |name: &str| found.iter().find(|one| one.name == name).unwrap();
    assert_eq!(one("invoice.created").schema, invoice());
    assert!(one("invoice.created").deprecated);
    assert_eq!(one("invoice.paid").description, "An invoice was paid.\n\nAll of it.");
    assert_eq!(one("invoice.paid").group.as_deref(), Some("invoice"));
    assert_eq!(one("invoice.paid").schema, catalogue.event_types[0].schemas["10"]);
    assert_eq!(
        one("user.signup").schema,
        json!({ "type": "object", "examples": [{ "user": 7 }] }),
        "a written example comes along"
    );
    assert_eq!(one("bare").schema, json!({}));
}

fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({ "type": "string" })),
        Just(json!({ "type": ["integer", "null"] })),
        Just(json!({ "enum": ["<a>", "b"] })),
        Just(json!({ "$ref": "#" })),
        Just(json!({ "$ref": "#/$defs/a~1b" })),
        Just(json!({ "const": { "$ref": "#/not/a/reference" } })),
        Just(json!(true)),
    ];
    let inner = leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::btree_map("[a-zA-Z/~ $.%é]{1,6}", inner.clone(), 0..4)
                .prop_map(|named| json!({ "type": "object", "properties": named })),
            inner.clone().prop_map(|items| json!({ "type": "array", "items": items })),
            inner.prop_map(|other| json!({ "type": "object", "additionalProperties": other })),
        ]
    });
    (proptest::collection::btree_map("[a-zA-Z/~ $.%é]{1,6}", inner.clone(), 0..4), inner).prop_map(|(named, other)| {
        json!({ "type": "object", "properties": named, "$defs": { "a/b": { "type": "object", "properties": { "x": other } } } })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn published_and_imported_is_the_same(
        parts in proptest::collection::vec(("[a-zA-Z0-9_.-]{1,20}", "[ -~]{0,30}", any::<bool>(), proptest::option::of("[a-z]{1,5}"), schemas()), 0..5)
    ) {
        let mut catalogue = Catalogue::default();
        for (name, description, deprecated, group, schema) in parts {
            prop_assume!(CompiledSchema::compile(&schema).is_ok());
            if catalogue.event_types.iter().any(|one| one.name == name) {
                continue;
            }
            let description = description.trim().to_owned();
            catalogue.event_types.push(EventType { description, deprecated, group, ..event_type(&name, Some(schema)) });
        }
        let document = publish::openapi(&catalogue, "T", "1");
        let found = openapi::import(&document.to_string()).unwrap();
        prop_assert_eq!(found.len(), catalogue.event_types.len());
        for one in &catalogue.event_types {
            let back = found.iter().find(|back| back.name == one.name).unwrap();
            prop_assert_eq!(&back.description, &one.description);
            prop_assert_eq!(&back.group, &one.group);
            prop_assert_eq!(back.deprecated, one.deprecated);
            prop_assert_eq!(&back.schema, &one.schemas["1"]);
        }
        prop_assert_eq!(&publish::asyncapi(&catalogue, "T", "1")["asyncapi"], "3.0.0");
        assert_page_is_sound(&publish::html(&catalogue, "T", "/style.css"));
    }

    #[test]
    fn no_text_gets_out_of_its_place(text in "[<>\"'&/=a-z`*\\[\\]() \n#-]{0,60}") {
        let schema = json!({
            "title": text, "type": "object", "required": [text],
            "properties": { text.clone(): { "description": text, "enum": [text], "default": text, "pattern": text, "title": text } },
            "examples": [{ text.clone(): text }]
        });
        let mut one = event_type(&text, Some(schema));
        one.description.clone_from(&text);
        one.group = Some(text.clone());
        one.deprecated = true;
        one.schemas.insert(text.clone(), json!({ text.clone(): text }));
        one.example = Some(json!([text]));
        let page = publish::html(&Catalogue { event_types: vec![one] }, &text, &text);
        assert_page_is_sound(&page);
    }
}

/// Reads the page's tags: only those that we write, with attributes that we write, all closed.
fn assert_page_is_sound(page: &str) {
    const TAGS: &[&str] = &[
        "html", "head", "meta", "title", "link", "body", "a", "div", "nav", "p", "ul", "ol", "li",
        "span", "main", "header", "h1", "h2", "h3", "h4", "section", "article", "table", "thead",
        "tbody", "tr", "th", "td", "dl", "dt", "dd", "details", "summary", "pre", "code", "strong",
        "wbr",
    ];
    const ATTRIBUTES: &[&str] = &[
        "lang",
        "charset",
        "name",
        "content",
        "rel",
        "href",
        "class",
        "id",
        "aria-labelledby",
        "aria-label",
        "tabindex",
        "scope",
    ];
    let mut rest = page.strip_prefix("<!doctype html>").unwrap();
    let mut open: Vec<&str> = Vec::new();
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a stray > in {}", &rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed in order");
            continue;
        }
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(TAGS.contains(&name), "tag {tag}");
        while !attributes.trim().is_empty() {
            let (attribute, after) = attributes
                .trim_start()
                .split_once("=\"")
                .unwrap_or_else(|| panic!("attribute in {tag}"));
            assert!(ATTRIBUTES.contains(&attribute), "attribute {attribute} in {tag}");
            let (value, after) = after.split_once('"').unwrap();
            if attribute == "href" && name == "a" {
                assert!(
                    ["#", "https://", "http://"].iter().any(|start| value.starts_with(start)),
                    "{tag}"
                );
            }
            attributes = after;
        }
        if !matches!(name, "meta" | "link" | "wbr") {
            open.push(name);
        }
    }
    assert!(open.is_empty() && !rest.contains('>'));
}

#[test]
fn the_page_is_complete() {
    let page = publish::html(&catalogue(), "Shop <events>", "/assets/catalogue.css");
    assert_page_is_sound(&page);
    for part in [
        "<title>Shop &lt;events&gt;</title>",
        "<link rel=\"stylesheet\" href=\"/assets/catalogue.css\">",
        "href=\"#type-invoice.paid\"",
        "id=\"type-invoice.paid\"",
        "<span class=\"badge\">Deprecated</span>",
        "Version <code>10</code> is described here. Earlier: <code>1</code>.",
        "id=\"verifying\"",
        "<p>An invoice was paid.</p>\n<p>All of it.</p>",
        "Other event types",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("hidden.one"), "archived");
    for banned in ["<script", "<style", "style=", "onclick", "<img", "javascript:"] {
        assert!(!page.contains(banned), "{banned}");
    }
    assert!(publish::html(&Catalogue::default(), "T", "/s.css").contains("No event types"));
    for needed in ["prefers-color-scheme: dark", "@media print", ":focus-visible", "max-width"] {
        assert!(publish::STYLESHEET.contains(needed), "{needed}");
    }
    assert!(!publish::STYLESHEET.contains("url(") && !publish::STYLESHEET.contains("@import"));
}

#[test]
fn huge_schemas_do_not_make_huge_pages() {
    let wide: serde_json::Map<String, Value> =
        (0..9000).map(|index| (format!("property_{index}"), json!({ "type": "string" }))).collect();
    let one = event_type("wide", Some(json!({ "properties": wide })));
    let page = publish::html(&Catalogue { event_types: vec![one] }, "T", "/s.css");
    assert!(page.len() < 400_000, "{}", page.len());
    assert!(
        page.contains("Too long to be shown here.")
            && page.contains("More fields are in the schema")
    );
}
