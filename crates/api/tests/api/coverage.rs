//! What of the public API is there: the document that our table makes against the list of operations
//! that are claimed (`tests/claimed.tsv`), operation by operation.
//!
//! `cargo nextest run -p becket-api coverage --no-capture` prints the table.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const CLAIMED: &str = include_str!("../claimed.tsv");
const CLAIMED_COUNT: usize = 88;

/// Operations of newer SDKs that the specification's version does not have.
const NEWER: [&str; 2] =
    ["v1.endpoint.get-attempt-stats", "v1.endpoint.transformation-partial-update"];

/// One claimed operation.
struct Claim {
    id: &'static str,
    method: &'static str,
    path: &'static str,
    query: BTreeSet<&'static str>,
    body: Option<&'static str>,
    statuses: BTreeSet<&'static str>,
    answer: Option<&'static str>,
}

fn claims() -> Vec<Claim> {
    fn given(text: &'static str) -> Option<&'static str> {
        Some(text).filter(|text| *text != "-")
    }
    fn list(text: &'static str) -> BTreeSet<&'static str> {
        given(text).into_iter().flat_map(|text| text.split(',')).collect()
    }
    let read = |line: &'static str| {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let [id, method, path, query, body, statuses, answer] = columns[..] else {
            panic!("seven columns: {line}");
        };
        let (query, statuses) = (list(query), list(statuses));
        Claim { id, method, path, query, body: given(body), statuses, answer: given(answer) }
    };
    CLAIMED.lines().filter(|line| !line.starts_with('#')).map(read).collect()
}

fn schema_of(content: &Value) -> Option<&str> {
    let reference = content["content"].get("application/json")?["schema"]["$ref"].as_str()?;
    reference.strip_prefix("#/components/schemas/")
}

/// What our document says about an operation.
struct Found {
    method: String,
    path: String,
    operation: Value,
}

impl Found {
    /// What differs from the claim; empty if nothing does.
    fn missing(&self, claim: &Claim) -> Vec<String> {
        let mut missing = Vec::new();
        if (self.method.as_str(), self.path.as_str()) != (claim.method, claim.path) {
            missing.push(format!("is at {} {}", self.method, self.path));
        }
        let parameters = self.operation["parameters"].as_array().cloned().unwrap_or_default();
        let names = |place: &str| -> BTreeSet<String> {
            let found = parameters.iter().filter(|parameter| parameter["in"] == place);
            found.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect()
        };
        let query = names("query");
        let absent = claim.query.iter().filter(|name| !query.contains(**name));
        missing.extend(absent.map(|name| format!("does not take `{name}`")));
        if claim.method == "post" && !names("header").contains("idempotency-key") {
            missing.push("does not take `idempotency-key`".to_owned());
        }
        let body = schema_of(&self.operation["requestBody"]);
        if body != claim.body {
            missing.push(format!("body {body:?} instead of {:?}", claim.body));
        }
        let answers = self.operation["responses"].as_object().unwrap();
        let statuses: BTreeSet<&str> =
            answers.keys().map(String::as_str).filter(|status| status.starts_with('2')).collect();
        if statuses != claim.statuses {
            missing.push(format!("statuses {statuses:?} instead of {:?}", claim.statuses));
        }
        for status in statuses {
            let answer = schema_of(&answers[status]);
            if answer != claim.answer {
                missing.push(format!("answer {answer:?} instead of {:?}", claim.answer));
            }
        }
        missing
    }
}

/// Every operation of our document by its id.
fn found() -> BTreeMap<String, Found> {
    let document: Value = serde_json::from_str(&becket_api::openapi_document()).unwrap();
    let mut found = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let (method, path) = (method.clone(), path.clone());
            found.insert(id, Found { method, path, operation: operation.clone() });
        }
    }
    found
}

#[test]
fn every_claimed_operation_is_answered_as_the_specification_says() {
    let (found, claims) = (found(), claims());
    let mut failures = Vec::new();
    for claim in &claims {
        let missing = match found.get(claim.id) {
            Some(found) => found.missing(claim),
            None => vec!["is not there".to_owned()],
        };
        let verdict = if missing.is_empty() { "ok".to_owned() } else { missing.join("; ") };
        println!("{:55} {:6} {}  {verdict}", claim.id, claim.method, claim.path);
        if !missing.is_empty() {
            failures.push(format!("{}: {verdict}", claim.id));
        }
    }
    println!("{} of {} operations", claims.len() - failures.len(), claims.len());
    assert_eq!(claims.len(), CLAIMED_COUNT);
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn what_is_not_claimed_is_ours() {
    let claims: BTreeSet<&str> = claims().iter().map(|claim| claim.id).collect();
    let found = found();
    let others: Vec<&String> = found.keys().filter(|id| !claims.contains(id.as_str())).collect();
    for id in &others {
        let known = id.starts_with("becket.") || NEWER.contains(&id.as_str());
        assert!(known, "{id} is in no list");
    }
    assert!(others.len() > 20, "{}", others.len());
}
