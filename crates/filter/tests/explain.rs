//! What is said about an event that does not pass, and about a filter that cannot be used.

use becket_filter::{Filter, MAX_BYTES, Request, Subject};
use serde_json::json;

const BODY: &str = r#"{"ref": "refs/heads/dev", "n": 50, "labels": [{"name": "a"}, {"name": "b"}],
    "one": [{"name": "a", "id": 1}], "user": {"login": "ann"}, "old": 60, "text": "TEXT"}"#;

fn told(filter: &str) -> String {
    let long = "x".repeat(300);
    let body = BODY.replace("TEXT", &long);
    let request = Request {
        event_type: Some("push"),
        method: "POST",
        path: "/eu",
        query: "a=1",
        body: body.as_bytes(),
    };
    let headers = [("X-A", b"1".as_slice()), ("X-Api-Key", b"s3cret".as_slice())];
    let filter = Filter::parse(filter).unwrap();
    match filter.check(&Subject::new(request, headers)) {
        Ok(()) => "passes".to_owned(),
        Err(refused) => refused.to_string(),
    }
}

#[test]
fn the_clause_and_the_value_are_named() {
    let table = [
        (
            r#"{"body": {"n": 50, "ref": "refs/heads/main"}}"#,
            r#"clause `body.ref` wants "refs/heads/main", found "refs/heads/dev""#,
        ),
        (r#"{"body": {"n": {"$gte": 50, "$lt": 20}}}"#, "clause `body.n` wants $lt 20, found 50"),
        (r#"{"body": {"gone": 1}}"#, "clause `body.gone` wants 1, found nothing"),
        (r#"{"body": {"gone": {"deep": 1}}}"#, "clause `body.gone.deep` wants 1, found nothing"),
        (
            r#"{"body": {"ref": {"deep": 1}}}"#,
            r#"clause `body.ref` wants {"deep":1}, found "refs/heads/dev""#,
        ),
        (
            r#"{"body": {"labels": {"name": "wip"}}}"#,
            r#"clause `body.labels` wants {"name":"wip"}, found [{"name":"a"},{"name":"b"}]"#,
        ),
        (
            r#"{"body": {"one": {"name": "a", "id": {"$in": [2, 3]}}}}"#,
            "clause `body.one.id` wants $in [2,3], found 1",
        ),
        (
            r#"{"body": {"labels": ["x"]}}"#,
            r#"clause `body.labels[0]` wants "x", found [{"name":"a"},{"name":"b"}]"#,
        ),
        (
            r#"{"body": {"n": {"$or": [1, {"$gt": 60}]}}}"#,
            r#"clause `body.n` wants $or [1,{"$gt":60}], found 50"#,
        ),
        (
            r#"{"$or": [{"method": "PUT"}, {"body": {"n": 1}}]}"#,
            r#"clause `the filter` wants $or [{"method":"PUT"},{"body":{"n":1}}], found an event for which none of it holds"#,
        ),
        (
            r#"{"$and": [{"method": "POST"}, {"path": "/us"}]}"#,
            r#"clause `$and[1].path` wants "/us", found "/eu""#,
        ),
        (
            r#"{"body": {"ref": {"$not": {"$endsWith": "dev"}}}}"#,
            r#"clause `body.ref` wants $not $endsWith "dev", found "refs/heads/dev""#,
        ),
        (
            r#"{"$not": {"body": {"user": {"login": "ann"}}}}"#,
            r#"clause `body.user.login` wants $not "ann", found "ann""#,
        ),
        (
            r#"{"$not": {"method": "POST", "path": "/eu"}}"#,
            r#"clause `the filter` wants $not {"method":"POST","path":"/eu"}, found an event for which it holds"#,
        ),
        (
            r#"{"body": {"n": {"$gt": {"$ref": "old"}}}}"#,
            r#"clause `body.n` wants $gt {"$ref":"old"} = 60, found 50"#,
        ),
        (r#"{"headers": {"X-a": "2"}}"#, r#"clause `headers.X-a` wants "2", found "1""#),
        (
            r#"{"headers": {"x-api-key": "guess"}}"#,
            "clause `headers.x-api-key` wants (not shown), found (not shown)",
        ),
        (
            r#"{"headers": {"$not": {"x-api-key": {"$startsWith": "s"}}}}"#,
            "clause `headers.x-api-key` wants $not $startsWith (not shown), found (not shown)",
        ),
        (
            r#"{"headers": {"$or": [{"x-b": "1"}]}}"#,
            r#"clause `headers` wants $or [{"x-b":"1"}], found the headers"#,
        ),
        (r#"{"query": {"a": "2"}}"#, r#"clause `query.a` wants "2", found "1""#),
        (
            r#"{"event_type": {"$in": ["ping", "pull_request"]}}"#,
            r#"clause `event_type` wants $in ["ping","pull_request"], found "push""#,
        ),
        (
            r#"{"body": {"a b": {"": {"c.d": 1}}}}"#,
            "clause `body['a b']['']['c.d']` wants 1, found nothing",
        ),
        (r#"{"body": {"$$set": 1}}"#, "clause `body.$$set` wants 1, found nothing"),
        (r#"{"headers": {"x-a": "1"}, "body": {"n": 50}}"#, "passes"),
        ("{}", "passes"),
    ];
    for (filter, expected) in table {
        assert_eq!(told(filter), expected, "{filter}");
    }
}

#[test]
fn values_are_cut() {
    let filter = json!({ "body": { "text": "y".repeat(400) } }).to_string();
    let refused = told(&filter);
    assert!(refused.len() < 500, "{}", refused.len());
    assert_eq!(refused.matches("...").count(), 2, "{refused}");
}

#[test]
fn mistakes_are_named_with_their_place() {
    let table = [
        ("{", "the filter is not JSON: EOF while parsing"),
        ("[]", "`the filter` is a list; it takes an object"),
        (r#"{"header": {}}"#, "`header` is no part of an event; did you mean headers"),
        (r#"{"ref": "x"}"#, "`ref` is no part of an event; there are headers, query, body"),
        (r#"{"$or": [{"body": {}}, 1]}"#, "`$or[1]` is a number; it takes an object"),
        (r#"{"$or": {}}"#, "`$or` takes a list of conditions, not an object"),
        (
            r#"{"body": {"a": [{"b": {"$exists": true}}]}}"#,
            "`body.a[0].b.$exists` is no operator; did you mean $exist,",
        ),
        (r#"{"body": {"a": {"$startswith": "x"}}}"#, "did you mean $startsWith,"),
        (r#"{"body": {"a": {"$regex": "x"}}}"#, "there are $eq, $neq,"),
        (r#"{"body": {"a": {"$gt": null}}}"#, "`body.a.$gt` takes a number or a text, not null"),
        (r#"{"body": {"a": {"$in": [[1]]}}}"#, "not a list with anything else"),
        (r#"{"body": {"a": {"$exist": "yes"}}}"#, "takes true or false, not a text"),
        (
            r#"{"body": {"a": {"$ref": "b[*]"}}}"#,
            "`body.a.$ref` cannot be followed: neither a number nor $index stands in brackets at 1",
        ),
        (
            r#"{"body": {"a": {"$eq": {"$ref": "b", "c": 1}}}}"#,
            "`body.a.$eq` takes either a value or",
        ),
    ];
    for (filter, expected) in table {
        let error = Filter::parse(filter).unwrap_err();
        assert!(error.to_string().contains(expected), "{filter}: {error}");
        assert!(error.code().starts_with("filter_"), "{}", error.code());
        let through_serde = serde_json::from_value::<Filter>(json!(filter)).unwrap_err();
        assert!(through_serde.to_string().contains(expected), "{through_serde}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| {
        let open = r#"{"a":"#.repeat(depth);
        format!(r#"{{"body": {open}1{}}}"#, "}".repeat(depth))
    };
    assert!(Filter::parse(&nested(63)).is_ok());
    assert_eq!(Filter::parse(&nested(64)).unwrap_err().code(), "filter_too_deep");
    let literal = format!(r#"{{"body": {{"$eq": {}1{}}}}}"#, "[".repeat(64), "]".repeat(64));
    assert_eq!(Filter::parse(&literal).unwrap_err().code(), "filter_too_deep");
    let any = format!(r#"{{"$or": [{}]}}"#, vec![r#"{"method": "PUT"}"#; 5_000].join(","));
    assert!(any.len() > MAX_BYTES);
    assert_eq!(Filter::parse(&any).unwrap_err().code(), "filter_too_large");
}

#[test]
fn a_filter_is_given_back_as_it_was_written() {
    let text = r#"{"body":{"z":1.0,"a":{"$in":["x",null]}},"$not":{"method":"PUT"}}"#;
    let filter: Filter = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&filter).unwrap(), text);
    let from_text: Filter = serde_json::from_value(json!(text)).unwrap();
    assert_eq!(from_text, filter);
    assert_ne!(filter, Filter::parse("{}").unwrap());
}
