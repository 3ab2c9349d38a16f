//! What asking costs: bounded by the product of the sizes for any filter and any event, and in
//! proportion to the event for the shapes that could be worse.

mod any;

use becket_filter::{Filter, Request, Subject};
use proptest::prelude::*;
use serde_json::{Value, json};

fn simple() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_i64).prop_map(Value::from),
        prop::sample::select(vec!["a", "b", "1", "", "a long text that takes more than one step"])
            .prop_map(Value::from),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    simple().prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("[abc]", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn reference() -> impl Strategy<Value = Value> {
    let paths = vec!["a", "b.c", "a[0]", "a[$index]", "a[$index].b", "b[$index].a[$index]", "c.c"];
    prop::sample::select(paths).prop_map(|path| json!({ "$ref": path }))
}

fn operator() -> impl Strategy<Value = Value> {
    let operand = || prop_oneof![document(), reference()];
    let ordered = || prop_oneof![(0..3_i64).prop_map(Value::from), reference()];
    let listed = || {
        let list = prop::collection::vec(simple(), 0..4).prop_map(Value::from);
        prop_oneof![list, Just(json!("a")), reference()]
    };
    prop_oneof![
        operand().prop_map(|operand| json!({ "$eq": operand })),
        operand().prop_map(|operand| json!({ "$neq": operand })),
        ordered().prop_map(|operand| json!({ "$gt": operand })),
        ordered().prop_map(|operand| json!({ "$lte": operand })),
        listed().prop_map(|operand| json!({ "$in": operand })),
        listed().prop_map(|operand| json!({ "$nin": operand })),
        Just(json!({ "$startsWith": ["a", ""] })),
        any::<bool>().prop_map(|wanted| json!({ "$exist": wanted })),
        reference(),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    prop_oneof![simple(), operator()].prop_recursive(5, 40, 4, |inner| {
        let several = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            several.clone().prop_map(Value::from),
            several.clone().prop_map(|all| json!({ "$or": all })),
            several.prop_map(|all| json!({ "$and": all })),
            inner.clone().prop_map(|one| json!({ "$not": one })),
            (prop::collection::hash_map("[abc]", inner, 0..4), operator(), any::<bool>()).prop_map(
                |(fields, beside, both)| {
                    let mut all: serde_json::Map<String, Value> = fields.into_iter().collect();
                    if let (Value::Object(beside), true) = (beside, both) {
                        all.extend(beside);
                    }
                    Value::Object(all)
                }
            ),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_filter_is_bounded_on_any_body(filter in condition(), body in document()) {
        let headers: [(&str, &[u8]); 1] = [("x-a", b"1")];
        let asked = any::check(&json!({ "body": filter }), body.to_string().as_bytes(), &headers);
        prop_assert!(asked.is_some(), "{filter} is a filter");
    }

    #[test]
    fn any_bytes_are_answered(filter in condition(), body: Vec<u8>, name in "[a-zA-Z-]{1,9}") {
        let headers: [(&str, &[u8]); 2] = [(&name, &body), ("content-type", b"application/json")];
        let parts = json!({ "headers": filter, "query": filter, "path": filter });
        let of_parts = any::check(&parts, &body, &headers);
        let of_body = any::check(&json!({ "body": filter }), &body, &headers);
        prop_assert!(of_parts.is_some() && of_body.is_some());
    }
}

fn steps(filter: &Value, body: &Value) -> u64 {
    let filter = Filter::from_document(json!({ "body": filter })).unwrap();
    let body = body.to_string();
    let request = Request { body: body.as_bytes(), ..Request::default() };
    filter.check_counting(&Subject::new(request, [])).1
}

/// Shapes in which every item could be compared with every other, or every path walked again.
#[test]
fn twice_the_event_costs_twice_as_much() {
    let numbers = |count: usize| (0..count).map(Value::from).collect::<Vec<_>>();
    let items = |count: usize, item: fn(usize) -> Value| (0..count).map(item).collect::<Vec<_>>();
    let with = |mut items: Vec<Value>, last: i64| {
        items.push(last.into());
        items
    };
    let wide = |count: usize| {
        let fields = (0..count).map(|at| (format!("k{at}"), json!(at)));
        Value::Object(fields.collect())
    };
    type Body<'b> = &'b dyn Fn(usize) -> Value;
    let shapes: [(Value, Body<'_>); 8] = [
        (
            json!({ "v": { "u": { "$in": { "$ref": "w" } } } }),
            &|n| json!({ "v": items(n, |at| json!({ "u": at + 1_000_000 })), "w": numbers(n) }),
        ),
        (
            json!({ "v": { "$ref": "w" } }),
            &|n| json!({ "v": with(numbers(n), -1), "w": with(numbers(n), -2) }),
        ),
        (json!({ "v": { "u": { "$ref": "k9999999" } } }), &|n| {
            let mut body = wide(n);
            body["v"] = json!(items(n, |at| json!({ "u": at })));
            body
        }),
        (json!({ "v": { "w": { "u": { "$gt": { "$ref": "v[$index].c" } } } } }), &|n| {
            let mut item = wide(n);
            item["w"] = json!(items(n, |_| json!({ "u": 0 })));
            item["c"] = json!(1);
            json!({ "v": [item] })
        }),
        (json!({ "v": { "u": { "$ref": "w" } } }), &|n| {
            let text = "x".repeat(n * 16);
            json!({ "v": items(n, |_| json!({ "u": "xxxxxxxxxxxxxxxxx" })), "w": text })
        }),
        (
            json!({ "v": { "u": { "$gt": { "$ref": "w" } } } }),
            &|n| json!({ "v": items(n, |at| json!({ "u": at })), "w": "1".repeat(n * 16) }),
        ),
        (json!([[[1]], [[2]], [[-1]]]), &|n| json!([numbers(n), [numbers(n)], [[numbers(n)]]])),
        (
            json!({ "a": [{ "b": { "$or": [-1, [-2], { "c": -3 }] } }, -5, -6] }),
            &|n| json!({ "a": items(n, |at| json!({ "b": [at, [at], { "c": at }] })) }),
        ),
    ];
    for (filter, body) in shapes {
        let (once, twice) = (steps(&filter, &body(500)), steps(&filter, &body(1_000)));
        assert!(twice * 10 <= once * 21, "{filter}: {once} steps, then {twice}");
        assert!(once > 100, "{filter} looks at the items: {once}");
    }
}
