//! Who may do what, for every operation, against the table that people read: a new route has to be
//! classified there. The same table is tried out from outside by the test `roles`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Payload, Route, table};

const RIGHTS: &str = include_str!("../../tests/api/data/rights.tsv");

/// The lowest of those who may use a route.
fn least(route: &Route) -> &'static str {
    match route {
        Route { public: true, .. } => "public",
        Route { operator: true, .. } => "operator",
        Route { admin: true, .. } => "admin",
        Route { reads: true, secret: false, .. } => "viewer",
        _ => "developer",
    }
}

fn line(route: &Route) -> String {
    let portal = route.portal.map_or_else(|| "-".to_owned(), |needed| format!("{needed:?}"));
    let payloads = match route.payload {
        Payload::None => "-",
        Payload::Needed => "needed",
        Payload::LeftOut(_) => "left out",
    };
    let audited = if route.audited { "audited" } else { "-" };
    [route.id, least(route), &portal, payloads, audited].join("\t")
}

#[test]
fn every_operation_is_classified() {
    let known: Vec<&str> =
        RIGHTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let mut actual: Vec<String> = table().map(line).collect();
    actual.sort_unstable();
    let missing: Vec<&String> =
        actual.iter().filter(|line| !known.contains(&line.as_str())).collect();
    let stale: Vec<&&str> =
        known.iter().filter(|line| !actual.iter().any(|actual| actual == **line)).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "tests/api/data/rights.tsv: decide whether these are right, and add them:\n{}\nand remove:\n{}",
        missing.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n"),
        stale.iter().map(|line| **line).collect::<Vec<_>>().join("\n"),
    );
    assert!(known.is_sorted(), "the lines are sorted");
}

/// Fields that show a body, a header's value, a response, or something found in them.
const SHOWING: &[&str] = &[
    "body",
    "curl",
    "explanation",
    "found",
    "headers",
    "invalid",
    "log",
    "output",
    "payload",
    "recorded",
    "request_headers",
    "response",
    "signed_text",
];
/// Where such a field shows no event's payload: what people configured, and samples of the catalogue.
const HARMLESS: &[&str] = &[
    "becket.provider.get samples.body",
    // A sample that the gateway signed itself.
    "becket.source.test request.headers",
    "v1.endpoint.get-headers headers",
    "v1.endpoint.send-example payload",
    "v1.ingest.endpoint.get-headers headers",
    "v1.ingest.source.create config.payload",
    "v1.ingest.source.get config.payload",
    "v1.ingest.source.list data.config.payload",
    "v1.ingest.source.upsert config.payload",
    // A poster gets back what was posted.
    "v1.message.create payload",
    "v1.operational-webhook.endpoint.get-headers headers",
];

/// The paths of such fields in a shape.
fn showing(
    schemas: &Map<String, Value>,
    schema: &Value,
    path: &str,
    within: &mut Vec<String>,
    found: &mut Vec<String>,
) {
    if let Some(name) = schema["$ref"].as_str().and_then(|text| text.rsplit('/').next()) {
        if !within.iter().any(|known| known == name) {
            within.push(name.to_owned());
            showing(schemas, &schemas[name], path, within, found);
            within.pop();
        }
        return;
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        for one in schema[several].as_array().into_iter().flatten() {
            showing(schemas, one, path, within, found);
        }
    }
    if schema["items"].is_object() {
        showing(schemas, &schema["items"], path, within, found);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if SHOWING.contains(&name.as_str()) {
            found.push(path.clone());
        }
        showing(schemas, property, &path, within, found);
    }
}

#[test]
fn everything_that_shows_a_payload_can_be_left_out() {
    let schemas = crate::openapi::schemas();
    let mut bare: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for route in table().filter(|route| route.content_type == "application/json") {
        let Some(answer) = route.answer else { continue };
        let parts = match route.payload {
            Payload::Needed => continue,
            Payload::LeftOut(parts) => parts,
            Payload::None => &[],
        };
        let mut found = Vec::new();
        showing(&schemas, &schemas[answer], "", &mut Vec::new(), &mut found);
        // Covered if it is taken away itself, or what it stands in, or everything in it that shows.
        let covered = |path: &String| {
            parts.iter().any(|part| {
                let of = |inner: &str, outer: &str| {
                    inner
                        .strip_prefix(outer)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                of(path, part.path) || of(part.path, path)
            })
        };
        let harmless = |path: &String| HARMLESS.contains(&format!("{} {path}", route.id).as_str());
        found.retain(|path| !covered(path) && !harmless(path));
        if !found.is_empty() {
            bare.insert(route.id, found);
        }
    }
    assert!(bare.is_empty(), "not in routes/parts.rs: {bare:#?}");
}
