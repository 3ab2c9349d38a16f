//! Builders against the texts that the providers' own packages make.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::request::RequestView;
use crate::template::Place;
use crate::url_text;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::try_from(*name).expect("a name"),
                HeaderValue::try_from(*value).expect("a value"),
            )
        })
        .collect()
}

fn spec(toml: &str) -> BuildSpec {
    let spec: BuildSpec = toml::from_str(toml).unwrap_or_else(|error| panic!("{toml}: {error}"));
    assert_eq!(spec.problem(), None, "{toml}");
    spec
}

/// The text, or the name of what is absent.
fn built(toml: &str, url: &str, headers: &HeaderMap, body: &[u8]) -> Result<String, String> {
    let spec = spec(toml);
    let named = BTreeMap::new();
    let request = RequestView { method: "POST", url, headers, body };
    let scope = Scope::new(request, url, &named);
    match build(&spec, &scope) {
        Ok(bytes) => Ok(String::from_utf8(bytes).expect("text")),
        Err(Absent::Missing(expr)) => Err(format!("missing {expr}")),
        Err(Absent::Repeated(expr)) => Err(format!("repeated {expr}")),
    }
}

fn from_json(toml: &str, body: &str) -> Result<String, String> {
    built(toml, "https://hooks.example.com/in", &HeaderMap::new(), body.as_bytes())
}

fn from_form(toml: &str, url: &str, body: &str) -> Result<String, String> {
    let headers = headers(&[("content-type", "application/x-www-form-urlencoded")]);
    built(toml, url, &headers, body.as_bytes())
}

/// Requests, and the texts that the packages named in the file make of them.
const MADE: &str = include_str!("../../tests/data/builders.json");

fn made(provider: &str) -> Vec<serde_json::Value> {
    let file: serde_json::Value = serde_json::from_str(MADE).expect("a JSON file");
    file[provider].as_array().expect(provider).clone()
}

fn text_of<'v>(row: &'v serde_json::Value, name: &str) -> &'v str {
    row[name].as_str().unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn joined_fields_are_those_of_adyen() {
    let spec = r#"
        kind = "fields_join"
        separator = ":"
        fields = [
            "json:notificationItems.*.NotificationRequestItem.pspReference",
            "json:notificationItems.*.NotificationRequestItem.originalReference",
            "json:notificationItems.*.NotificationRequestItem.merchantAccountCode",
            "json:notificationItems.*.NotificationRequestItem.merchantReference",
            "json:notificationItems.*.NotificationRequestItem.amount.value",
            "json:notificationItems.*.NotificationRequestItem.amount.currency",
            "json:notificationItems.*.NotificationRequestItem.eventCode",
            "json:notificationItems.*.NotificationRequestItem.success",
        ]
    "#;
    for row in made("adyen") {
        assert_eq!(from_json(spec, text_of(&row, "body")), Ok(text_of(&row, "text").to_owned()));
    }
}

#[test]
fn absent_fields_are_empty_or_skipped_or_refused_and_separators_can_be_escaped() {
    let join = |more: &str| {
        let spec = format!(
            "kind = \"fields_join\"\nseparator = \":\"\nfields = [\"json:a\", \"json:b\", \"'x:y'\", \"{{json:c}}!\"]\n{more}"
        );
        from_json(&spec, r#"{"a":"1:\\2","b":null,"c":true}"#)
    };
    assert_eq!(join("").as_deref(), Ok("1:\\2::x:y:true!"));
    assert_eq!(join("missing = \"skip\"").as_deref(), Ok("1:\\2:x:y:true!"));
    assert_eq!(join("escape = \"backslash\"").as_deref(), Ok("1\\:\\\\2::x\\:y:true!"));
    assert_eq!(join("missing = \"refuse\"").map_err(|error| error.contains("json:b")), Err(true));
}

#[test]
fn sorted_pairs_are_those_of_payos() {
    let spec = r#"
        kind = "sorted_kv"
        from = "json:data"
        sort = "utf16"
        numbers = "js"
        blank = ["null", "undefined"]
    "#;
    for row in made("payos") {
        assert_eq!(from_json(spec, text_of(&row, "body")), Ok(text_of(&row, "text").to_owned()));
    }
}

#[test]
fn two_sorted_parts_are_those_of_plivo() {
    let spec = r#"
        kind = "sequence"
        lead = "?"
        separator = "."
        parts = [
            { kind = "sorted_kv", from = "query", sort = "utf16" },
            { kind = "sorted_kv", from = "form", sort = "utf16", pair = "", separator = "" },
        ]
    "#;
    for row in made("plivo") {
        let url = text_of(&row, "url");
        let made = from_form(spec, url, text_of(&row, "body")).expect("builds");
        let whole = format!("{}{made}.12345", url_text::without_query(url));
        assert_eq!(whole, text_of(&row, "text"));
    }
    assert_eq!(from_json(spec, "{}").as_deref(), Ok(""), "a body that is no form is left out");
}

#[test]
fn unique_sorted_pairs_are_those_of_twilio() {
    let spec = "kind = \"sorted_kv\"\nfrom = \"form\"\nsort = \"utf16\"\npair = \"\"\nseparator = \"\"\nunique = true";
    for row in made("twilio") {
        let made = from_form(spec, "https://hooks.example.com/in/x", text_of(&row, "body"));
        assert_eq!(made, Ok(text_of(&row, "text").to_owned()));
    }
}

#[test]
fn listed_headers_are_those_of_contentful() {
    let spec = "kind = \"canonical_headers\"\nnames_at = \"header:x-contentful-signed-headers\"\nsort = true";
    for row in made("contentful") {
        let pairs: Vec<(&str, &str)> = row["headers"]
            .as_object()
            .expect("headers")
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().expect("a text")))
            .collect();
        let url = "https://hooks.example.com/in/x";
        let made = built(spec, url, &headers(&pairs), b"");
        assert_eq!(made, Ok(text_of(&row, "text").to_owned()));
        let must =
            |name: &str| built(&format!("{spec}\nmust = [\"{name}\"]"), url, &headers(&pairs), b"");
        assert_eq!(must("X-Contentful-Timestamp"), made);
        assert_eq!(must("x-other"), Err("missing header:x-other".to_owned()));
    }
}

#[test]
fn serialised_fields_are_those_of_php() {
    let spec = "kind = \"php_serialize\"\nfrom = \"form\"\nexclude = [\"p_signature\"]";
    for row in made("php_serialize") {
        let made = from_form(spec, "https://hooks.example.com/in/x", text_of(&row, "body"));
        assert_eq!(made, Ok(text_of(&row, "text").to_owned()));
    }
    assert!(from_form(spec, "https://hooks.example.com/", "a[]=1").is_err());
    assert!(from_json(spec, "{}").is_err());
}

#[test]
fn pairs_can_be_written_in_many_ways() {
    let body = r#"{"d":{"b":{"y":true,"x":false,"n":null,"z":[3,"a b",{"k":"é&"}]},"C":"1+1","e":"","n":null,"a":1.50}}"#;
    for (more, expected) in [
        ("", r#"C=1+1&a=1.50&b={"n":null,"x":false,"y":true,"z":[3,"a b",{"k":"é&"}]}&e=&n="#),
        (
            "sort = \"case_insensitive\"\nnested = \"flatten\"\nexclude = [\"C\"]\nempty = \"skip\"\nseparator = \",\"",
            "a=1.50,b.x=false,b.y=true,b.z.0=3,b.z.1=a b,b.z.2.k=é&",
        ),
        (
            "sort = \"case_insensitive\"\nvalues_only = true\nnested = \"flatten\"\narray_sort = true\nnull_text = \"null\"\nseparator = \"|\"",
            "1.50|null|false|true|a b|3|é&|1+1||null",
        ),
        (
            "sort = \"none\"\nnested = \"php\"\nencode = \"form\"",
            "b%5By%5D=1&b%5Bx%5D=0&b%5Bz%5D%5B0%5D=3&b%5Bz%5D%5B1%5D=a+b&b%5Bz%5D%5B2%5D%5Bk%5D=%C3%A9%26&C=1%2B1&e=&a=1.50",
        ),
        (
            "nested = \"php\"\nencode = \"percent\"\nexclude = [\"e\", \"a\"]",
            "C=1%2B1&b%5Bx%5D=0&b%5By%5D=1&b%5Bz%5D%5B0%5D=3&b%5Bz%5D%5B1%5D=a%20b&b%5Bz%5D%5B2%5D%5Bk%5D=%C3%A9%26",
        ),
    ] {
        let spec = format!("kind = \"sorted_kv\"\nfrom = \"json:d\"\n{more}");
        assert_eq!(from_json(&spec, body).as_deref(), Ok(expected), "{more}");
    }
    for wrong in ["{}", "", r#"{"d":[]}"#, r#"{"d":null}"#, "{\"d\":{}} x"] {
        let made = from_json("kind = \"sorted_kv\"\nfrom = \"json:d\"", wrong);
        assert_eq!(made, Err("missing json:d".to_owned()), "{wrong}");
    }
}

#[test]
fn headers_of_http_signatures_and_lists_of_values() {
    let url = "https://hooks.example.com/in/x?a=1";
    let mut map = headers(&[
        ("host", "10.0.0.1:8080"),
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("digest", " sha-256=x "),
        ("x-list", "Date  digest x-absent"),
    ]);
    let cavage = "kind = \"canonical_headers\"\nnames = [\"(request-target)\", \"host\", \"date\", \"digest\"]\npair = \": \"\nseparator = \"\\n\"";
    assert_eq!(
        built(cavage, url, &map, b"").as_deref(),
        Ok(
            "(request-target): post /in/x?a=1\nhost: hooks.example.com\ndate: Thu, 01 Jan 2026 00:00:00 GMT\ndigest: sha-256=x"
        )
    );
    let values = "kind = \"canonical_headers\"\nnames_at = \"header:x-list\"\nnames_separator = \" \"\nvalues_only = true\nseparator = \".\"";
    assert_eq!(built(values, url, &map, b""), Err("missing header:x-list".to_owned()));
    for (missing, expected) in [
        ("skip", "Thu, 01 Jan 2026 00:00:00 GMT.sha-256=x"),
        ("empty", "Thu, 01 Jan 2026 00:00:00 GMT.sha-256=x."),
    ] {
        let spec = format!("{values}\nmissing = \"{missing}\"");
        assert_eq!(built(&spec, url, &map, b"").as_deref(), Ok(expected));
    }
    map.append("digest", HeaderValue::from_static("sha-256=y"));
    assert_eq!(built(cavage, url, &map, b""), Err("repeated header:digest".to_owned()));
    assert_eq!(built(values, url, &map, b""), Err("repeated header:x-list".to_owned()));
}

#[test]
fn json_values_come_raw_or_printed_again() {
    let body = r#" {"Content" : {"Key": "1\/2", "n" : 1.0 }, "HashCode":"x", "text": "a" } "#;
    for (spec, expected) in [
        ("kind = \"raw\"\nfrom = \"json:Content\"", r#"{"Key": "1\/2", "n" : 1.0 }"#),
        ("kind = \"raw\"\nfrom = \"json:text\"", "\"a\""),
        ("kind = \"json\"\nfrom = \"json:Content\"\nstyle = \"php\"", r#"{"Key":"1\/2","n":1}"#),
        (
            "kind = \"json\"\nfrom = \"body\"\nstyle = \"compact\"\nexclude = [\"HashCode\"]",
            r#"{"Content":{"Key":"1\/2","n":1.0},"text":"a"}"#,
        ),
        (
            "kind = \"json\"\nfrom = \"json\"\nstyle = \"js\"\nsort_keys = true",
            r#"{"Content":{"Key":"1/2","n":1},"HashCode":"x","text":"a"}"#,
        ),
    ] {
        assert_eq!(from_json(spec, body).as_deref(), Ok(expected), "{spec}");
    }
    let raw = "kind = \"raw\"\nfrom = \"json:Content\"";
    assert_eq!(from_json(raw, "{\"Content\":1"), Err("missing json:Content".to_owned()));
}

#[test]
fn specs_say_what_they_cover_and_what_is_wrong() {
    let variable =
        |text: &str| Place::parse(text).expect("a place").single().expect("one variable").clone();
    let payos = spec("kind = \"sorted_kv\"\nfrom = \"json:data\"\nexclude = [\"x\"]");
    assert!(payos.covers(&variable("json:data.code")) && payos.covers(&variable("json:data")));
    assert!(!payos.covers(&variable("json:data.x")) && !payos.covers(&variable("json:signature")));
    assert!(!payos.covers_body());
    let jcs = spec("kind = \"json\"\nfrom = \"body\"\nstyle = \"jcs\"\nexclude = [\"sig\"]");
    assert!(
        jcs.covers_body()
            && jcs.covers(&variable("json:a.b"))
            && !jcs.covers(&variable("json:sig"))
    );
    let joined = spec("kind = \"fields_join\"\nfields = [\"json:id\", \"header:x-time\"]");
    assert!(joined.covers(&variable("header:x-time")) && !joined.covers(&variable("json:type")));
    assert_eq!(joined.variables().len(), 2);
    for (toml, part) in [
        ("kind = \"fields_join\"\nfields = []", "is empty"),
        ("kind = \"fields_join\"\nfields = [\"body\"]\nescape = \"backslash\"", "one character"),
        ("kind = \"sorted_kv\"\nfrom = \"body\"", "must be"),
        ("kind = \"raw\"\nfrom = \"form\"", "must be"),
        ("kind = \"php_serialize\"\nfrom = \"query\"", "must be"),
        ("kind = \"canonical_headers\"", "either"),
        ("kind = \"sequence\"\nparts = []", "one to eight"),
        ("kind = \"sequence\"\nparts = [{ kind = \"sequence\", parts = [] }]", "inside another"),
    ] {
        let spec: BuildSpec = toml::from_str(toml).unwrap_or_else(|error| panic!("{error}"));
        let problem = spec.problem().unwrap_or_else(|| panic!("{toml}"));
        assert!(problem.contains(part), "{toml}: {problem}");
        let again = toml::to_string(&spec).expect("writes");
        assert_eq!(toml::from_str::<BuildSpec>(&again).as_ref(), Ok(&spec), "{again}");
    }
    for wrong in [
        "kind = \"sorted_kv\"\nfrom = \"form\"\nsorted = true",
        "kind = \"magic\"",
        "kind = \"raw\"\nfrom = \"header:x\"",
        "kind = \"canonical_headers\"\nnames = [\"a b\"]",
    ] {
        assert!(toml::from_str::<BuildSpec>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn requests_without_measure_are_refused() {
    let flat = "kind = \"sorted_kv\"\nfrom = \"json\"\nnested = \"flatten\"";
    let long = format!(r#"{{"{}":[{}0]}}"#, "k".repeat(100_000), "0,".repeat(5000));
    let many = format!(r#"{{"k":[{}0]}}"#, "0,".repeat(20_000));
    for body in [&long, &many] {
        assert!(from_json(flat, body).is_err());
    }
    let form = "a&".repeat(20_000);
    for kind in ["sorted_kv", "php_serialize"] {
        let spec = format!("kind = \"{kind}\"\nfrom = \"form\"");
        assert!(from_form(&spec, "https://hooks.example.com/", &form).is_err());
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// JSON-like texts, most of them broken.
    fn body() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("{".to_owned()),
            Just("}".to_owned()),
            Just("[".to_owned()),
            Just("]".to_owned()),
            Just(",".to_owned()),
            Just(":".to_owned()),
            Just("\"a\"".to_owned()),
            Just("\"\\ud83d\"".to_owned()),
            Just("\"é/<\\u2028\"".to_owned()),
            Just("-0".to_owned()),
            Just("1e400".to_owned()),
            Just("null".to_owned()),
            "[0-9.eE+-]{1,6}",
            "\\PC{0,6}",
        ];
        let broken = prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat());
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        let whole = leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        });
        prop_oneof![broken, whole.prop_map(|value| value.to_string())]
    }

    const SPECS: [&str; 12] = [
        "kind = \"json\"\nfrom = \"body\"\nstyle = \"compact\"",
        "kind = \"json\"\nfrom = \"body\"\nstyle = \"jcs\"\nexclude = [\"a\"]",
        "kind = \"json\"\nfrom = \"body\"\nstyle = \"js\"",
        "kind = \"json\"\nfrom = \"body\"\nstyle = \"php\"",
        "kind = \"json\"\nfrom = \"body\"\nstyle = \"python\"\nsort_keys = true",
        "kind = \"json\"\nfrom = \"body\"\nstyle = \"go\"",
        "kind = \"raw\"\nfrom = \"json:a.*\"",
        "kind = \"sorted_kv\"\nfrom = \"json\"\nsort = \"case_insensitive\"\narray_sort = true",
        "kind = \"sorted_kv\"\nfrom = \"json\"\nnested = \"flatten\"\nnumbers = \"js\"",
        "kind = \"sorted_kv\"\nfrom = \"form\"\nunique = true\nencode = \"form\"",
        "kind = \"php_serialize\"\nfrom = \"form\"",
        "kind = \"canonical_headers\"\nnames_at = \"header:x-names\"",
    ];

    proptest! {
        /// Nothing that may come panics, and what is printed as JSON is the same JSON.
        #[test]
        fn arbitrary_requests_do_not_panic(
            text in body(),
            bytes: Vec<u8>,
            names in "[ -~]{0,40}",
            url in "\\PC{0,40}",
        ) {
            let headers = headers(&[
                ("content-type", "application/x-www-form-urlencoded"),
                ("x-names", names.as_str()),
            ]);
            let named = BTreeMap::new();
            for toml in SPECS {
                let spec: BuildSpec = toml::from_str(toml).expect("a spec");
                for body in [text.as_bytes(), bytes.as_slice()] {
                    let request = RequestView { method: "POST", url: &url, headers: &headers, body };
                    let scope = Scope::new(request, &url, &named);
                    let made = build(&spec, &scope);
                    let valid = serde_json::from_slice::<serde_json::Value>(body).ok();
                    if let (Ok(made), Some(_), true) = (made, valid, toml.contains("style")) {
                        prop_assert!(serde_json::from_slice::<serde_json::Value>(&made).is_ok());
                    }
                }
            }
        }

        /// Printing again what a style has printed changes nothing.
        #[test]
        fn printing_is_idempotent(text in body()) {
            for style in [JsonStyle::Compact, JsonStyle::Jcs, JsonStyle::Js, JsonStyle::Php, JsonStyle::Python, JsonStyle::Go] {
                let printing = rewrite::Printing::of(style);
                if let Some(once) = rewrite::rewrite(&text, printing) {
                    let once = String::from_utf8(once).expect("text");
                    // PHP prints the float -0.0 as `-0` and reads that as the integer 0.
                    if style == JsonStyle::Php && once.contains("-0") {
                        continue;
                    }
                    let twice = rewrite::rewrite(&once, printing).expect("JSON");
                    prop_assert_eq!(once.as_bytes(), twice.as_slice(), "{:?}", style);
                }
            }
        }

        /// The scanner and serde_json agree on what is JSON.
        #[test]
        fn the_grammar_is_serdes(text in body()) {
            let ours = scan::find(&text, &[]).is_some();
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
            prop_assert_eq!(ours, theirs, "{}", text);
        }
    }
}
