//! Where our answers differ from those of simple-json-match, each on purpose.

/// Why an answer differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A filter that could never do what it says is refused when it is set: operators that do not exist
    /// (the package takes them for fields), operands that an operator never uses, paths it cannot follow.
    RefusedAtOnce,
    /// `$not` is the opposite of what it contains. In the package, below the top, it is always false for
    /// simple and missing values, and asks whether some item of a list does not fit.
    Opposite,
    /// `$and`, `$or` and references inside conditions work on every value; in the package `$and` is false
    /// for simple values, both are for null and missing ones, and references in them lead nowhere.
    Everywhere,
    /// Everything in an object counts. The package looks at one operator's neighbours only if they are
    /// comparisons too, and passes over the rest.
    NothingIgnored,
    /// Lists of `$in` and `$nin` may contain null, true and false.
    AnySimpleValue,
    /// Whether two objects are equal does not depend on the order of their fields.
    OrderOfFields,
    /// A list in a filter fits only lists; in the package it also fits objects with its indexes as names.
    ListsAreLists,
    /// A reference compares values: data never becomes a condition, objects are compared as a whole,
    /// lists of texts belong into the filter, and names may have dashes.
    References,
    /// The body as a whole is a value like any other: it exists, and may be null or false.
    BodyIsAValue,
    /// Only the fields of the document itself exist, not those that JavaScript gives to every object.
    OwnFields,
    /// Whole numbers of up to 64 bits are compared exactly.
    ExactIntegers,
    /// A body with a number that no double can hold is not read as JSON; it is a text.
    HugeNumbers,
    /// `$ne` is another name of `$neq`.
    Alias,
}

/// Reason, input, filter, and whether we let it pass; `None` if the filter is refused. Negated, the
/// answer is the opposite.
#[rustfmt::skip]
pub const DIFFERENCES: &[(Reason, &str, &str, Option<bool>)] = &[
    (Reason::RefusedAtOnce, r#"{"a":{"$foo":1}}"#, r#"{"a":{"$foo":1}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":5}"#, r#"{"a":{"$foo":1}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":5}"#, r#"{"a":{"$exists":true}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1}"#, r#"{"a":{"$gt":true}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":5}"#, r#"{"a":{"$gt":null}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1}"#, r#"{"a":{"$gte":true}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":5}"#, r#"{"a":{"$gte":null}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1}"#, r#"{"a":{"$lt":true}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":5}"#, r#"{"a":{"$lt":null}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1}"#, r#"{"a":{"$lte":true}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":5}"#, r#"{"a":{"$lte":null}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":{"b":1}}"#, r#"{"a":{"$in":[{"b":1}]}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1}"#, r#"{"a":{"$in":null}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"a"}"#, r#"{"a":{"$in":{}}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"a"}"#, r#"{"a":{"$in":true}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"a"}"#, r#"{"a":{"$in":[["a"]]}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":{"b":1}}"#, r#"{"a":{"$nin":[{"b":1}]}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1}"#, r#"{"a":{"$nin":null}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"a"}"#, r#"{"a":{"$nin":{}}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"a"}"#, r#"{"a":{"$nin":true}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"a"}"#, r#"{"a":{"$nin":[["a"]]}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"123"}"#, r#"{"a":{"$startsWith":1}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"abc"}"#, r#"{"a":{"$startsWith":null}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"abc"}"#, r#"{"a":{"$startsWith":["a",1]}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"123"}"#, r#"{"a":{"$endsWith":1}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"abc"}"#, r#"{"a":{"$endsWith":null}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":"abc"}"#, r#"{"a":{"$endsWith":["a",1]}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1}"#, r#"{"a":{"$exist":"true"}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1}"#, r#"{"a":{"$exist":1}}"#, None),
    (Reason::RefusedAtOnce, r#"{}"#, r#"{"a":{"$exist":0}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":5}"#, r#"{"$or":5}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":5}"#, r#"{"a":{"$or":5}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":5}"#, r#"{"$and":{"a":5}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1}"#, r#"{"a":{"$ref":""}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1}"#, r#"{"a":{"$ref":5}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1,"b":1}"#, r#"{"a":{"$ref":"..b"}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1,"b":[2,1]}"#, r#"{"a":{"$ref":"b[*]"}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1,"b":1}"#, r#"{"a":{"$eq":{"$ref":"b","x":1}}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1,"b":1}"#, r#"{"a":{"$in":[{"$ref":"b"}]}}"#, None),
    (Reason::RefusedAtOnce, r#"{"a":1,"b":[2,1]}"#, r#"{"a":{"$ref":"b[-1]"}}"#, None),
    (Reason::Opposite, r#"{"b":2}"#, r#"{"a":{"$not":1}}"#, Some(true)),
    (Reason::Opposite, r#"{"b":2}"#, r#"{"a":{"$not":{"$exist":true}}}"#, Some(true)),
    (Reason::Opposite, r#"{"b":2}"#, r#"{"a":{"$not":{"b":1}}}"#, Some(true)),
    (Reason::Opposite, r#"{"a":null}"#, r#"{"a":{"$not":1}}"#, Some(true)),
    (Reason::Opposite, r#"{"a":null}"#, r#"{"a":{"$not":{"$eq":1}}}"#, Some(true)),
    (Reason::Opposite, r#"{"a":2}"#, r#"{"a":{"$not":1}}"#, Some(true)),
    (Reason::Opposite, r#"{"a":2}"#, r#"{"a":{"$not":{"$eq":1}}}"#, Some(true)),
    (Reason::Opposite, r#"{"a":[1,2]}"#, r#"{"a":{"$not":3}}"#, Some(true)),
    (Reason::Opposite, r#"{"a":[]}"#, r#"{"a":{"$not":1}}"#, Some(true)),
    (Reason::Opposite, r#"{"a":[{"b":1},{"b":2}]}"#, r#"{"a":{"$not":{"b":1}}}"#, Some(false)),
    (Reason::Opposite, r#"{"a":1}"#, r#"{"a":{"$not":{"$not":1}}}"#, Some(true)),
    (Reason::Opposite, r#"{"a":3}"#, r#"{"a":{"$not":{"$or":[1,2]}}}"#, Some(true)),
    (Reason::Everywhere, r#"{"b":2}"#, r#"{"a":{"$or":[{"$exist":false}]}}"#, Some(true)),
    (Reason::Everywhere, r#"{"b":2}"#, r#"{"a":{"$and":[]}}"#, Some(true)),
    (Reason::Everywhere, r#"{"a":null}"#, r#"{"a":{"$or":[null]}}"#, Some(true)),
    (Reason::Everywhere, r#"{"a":null}"#, r#"{"a":{"$and":[null]}}"#, Some(true)),
    (Reason::Everywhere, r#"{"a":5}"#, r#"{"a":{"$and":[{"$gt":3},{"$lt":9}]}}"#, Some(true)),
    (Reason::Everywhere, r#"{"a":5}"#, r#"{"a":{"$and":[]}}"#, Some(true)),
    (Reason::Everywhere, r#"{"a":0}"#, r#"{"a":{"$and":[0]}}"#, Some(true)),
    (Reason::Everywhere, r#"{"a":{"b":1}}"#, r#"{"a":{"$or":[{"$exist":true}]}}"#, Some(true)),
    (Reason::Everywhere, r#"{"a":1,"b":2}"#, r#"{"a":{"$not":{"$ref":"b"}}}"#, Some(true)),
    (Reason::Everywhere, r#"{"a":1,"b":1}"#, r#"{"a":{"$or":[{"$ref":"b"}]}}"#, Some(true)),
    (Reason::Everywhere, r#"{"a":1,"b":1}"#, r#"{"a":{"$or":[9,{"$eq":{"$ref":"b"}}]}}"#, Some(true)),
    (Reason::NothingIgnored, r#"{"a":5}"#, r#"{"a":{"$gt":1,"b":3}}"#, Some(false)),
    (Reason::NothingIgnored, r#"{"a":{"b":4}}"#, r#"{"a":{"$exist":true,"b":3}}"#, Some(false)),
    (Reason::NothingIgnored, r#"{"a":5}"#, r#"{"a":{"$or":[5],"$gt":9}}"#, Some(false)),
    (Reason::NothingIgnored, r#"{"a":5}"#, r#"{"a":{"$gt":1,"$not":5}}"#, Some(false)),
    (Reason::NothingIgnored, r#"{"a":1,"b":1}"#, r#"{"a":{"$ref":"b","$gt":5}}"#, Some(false)),
    (Reason::AnySimpleValue, r#"{"a":null}"#, r#"{"a":{"$in":[null]}}"#, Some(true)),
    (Reason::AnySimpleValue, r#"{"a":true}"#, r#"{"a":{"$in":[true]}}"#, Some(true)),
    (Reason::AnySimpleValue, r#"{"a":1}"#, r#"{"a":{"$in":[1,null]}}"#, Some(true)),
    (Reason::AnySimpleValue, r#"{"a":false}"#, r#"{"a":{"$nin":[true]}}"#, Some(true)),
    (Reason::AnySimpleValue, r#"{"a":2}"#, r#"{"a":{"$nin":[1,null]}}"#, Some(true)),
    (Reason::AnySimpleValue, r#"{"a":"null"}"#, r#"{"a":{"$nin":[null]}}"#, Some(true)),
    (Reason::OrderOfFields, r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"$eq":{"c":2,"b":1}}}"#, Some(true)),
    (Reason::OrderOfFields, r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"$neq":{"c":2,"b":1}}}"#, Some(false)),
    (Reason::ListsAreLists, r#"{"a":{"b":1}}"#, r#"{"a":[]}"#, Some(false)),
    (Reason::ListsAreLists, r#"{"a":{"0":5}}"#, r#"{"a":[5]}"#, Some(false)),
    (Reason::References, r#"{"a":{"x":1,"y":2},"b":{"x":1}}"#, r#"{"a":{"$ref":"b"}}"#, Some(false)),
    (Reason::References, r#"{"a":"abc","b":["a"]}"#, r#"{"a":{"$startsWith":{"$ref":"b"}}}"#, Some(false)),
    (Reason::References, r#"{"a":1,"x-y":1}"#, r#"{"a":{"$ref":"x-y"}}"#, Some(true)),
    (Reason::References, r#"{"a":{"$gt":0},"b":5}"#, r#"{"b":{"$ref":"a"}}"#, Some(false)),
    (Reason::BodyIsAValue, r#"true"#, r#"false"#, Some(false)),
    (Reason::BodyIsAValue, r#"null"#, r#"null"#, Some(true)),
    (Reason::BodyIsAValue, r#"{"a":1}"#, r#"{"$exist":true}"#, Some(true)),
    (Reason::BodyIsAValue, r#"null"#, r#"{"$or":[null]}"#, Some(true)),
    (Reason::OwnFields, r#"{}"#, r#"{"toString":{"$exist":true}}"#, Some(false)),
    (Reason::OwnFields, r#"{}"#, r#"{"constructor":{"$exist":true}}"#, Some(false)),
    (Reason::ExactIntegers, r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#, Some(false)),
    (Reason::ExactIntegers, r#"{"a":9007199254740992}"#, r#"{"a":{"$lt":9007199254740993}}"#, Some(true)),
    (Reason::HugeNumbers, r#"{"a":1e400}"#, r#"{"a":{"$gt":1}}"#, Some(false)),
    (Reason::Alias, r#"{"a":5}"#, r#"{"a":{"$ne":6}}"#, Some(true)),
];
