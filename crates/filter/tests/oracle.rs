//! Cases that were put to the npm package simple-json-match (`clients/filters` makes them), each also
//! negated: the same answers, except for the differences that are listed with their reason.

mod differences;

use std::collections::HashSet;

use becket_filter::{Filter, Request, Subject};
use differences::DIFFERENCES;
use serde_json::{Value, json};

/// Whether a filter of the body lets it pass; `None` if it is refused.
fn ask(filter: Value, body: &str) -> Option<bool> {
    let filter = Filter::from_document(filter).ok()?;
    let request = Request { body: body.as_bytes(), ..Request::default() };
    Some(filter.check(&Subject::new(request, [])).is_ok())
}

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("oracle.json")).unwrap();
    assert_eq!(file["made_with"], "simple-json-match 1.3.0");
    file["cases"].as_array().unwrap().clone()
}

#[test]
fn answers_are_those_of_the_package_or_listed() {
    let cases = cases();
    let mut wrong = Vec::new();
    let mut listed = HashSet::new();
    let mut same = 0;
    for case in &cases {
        let (input, text) = (case["input"].as_str().unwrap(), case["filter"].as_str().unwrap());
        let filter: Value = serde_json::from_str(text).unwrap();
        let ours = ask(json!({ "body": filter }), input);
        let negated = ask(json!({ "body": { "$not": filter } }), input);
        let theirs = (case["passes"].as_bool(), case["negated"].as_bool());
        assert_eq!(negated, ours.map(|passes| !passes), "{input} {text}: $not is the opposite");
        let outside = ask(json!({ "$not": { "body": filter } }), input);
        assert_eq!(outside, negated, "{input} {text}: $not inside and outside");
        let difference = DIFFERENCES.iter().find(|(_, a, b, _)| (*a, *b) == (input, text));
        match difference {
            Some((_, _, _, expected)) => {
                listed.insert((input, text));
                if ours != *expected || (ours, negated) == theirs {
                    wrong.push(format!("{input} {text}: {ours:?}, listed as {expected:?}"));
                }
            }
            None if (ours, negated) == theirs => same += 1,
            None => wrong.push(format!("{input} {text}: {ours:?} {negated:?}, not {theirs:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(listed.len(), DIFFERENCES.len(), "every difference is one of the cases");
    assert!(same >= 500, "only {same} of {} cases agree", cases.len());
}

#[test]
fn the_guide_lists_every_kind_of_difference() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/filters.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let reasons: HashSet<_> = DIFFERENCES.iter().map(|(reason, ..)| *reason).collect();
    for reason in reasons {
        let of_it: Vec<_> = DIFFERENCES.iter().filter(|(one, ..)| *one == reason).collect();
        let shown = of_it.iter().any(|(_, _, filter, _)| guide.contains(&format!("`{filter}`")));
        assert!(shown, "docs/guides/filters.md shows no example of {reason:?}");
    }
}
