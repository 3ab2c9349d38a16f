//! Tables: what texts become, and what is wrong with texts.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::{ActionRequest, Fields, Path, Template, rfc3339};

fn request(kind: &'static str, body: &'static str) -> ActionRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(kind));
    headers.insert("x-github-event", HeaderValue::from_static("push"));
    ActionRequest {
        event_id: "msg_1".to_owned(),
        event_type: Some("push".to_owned()),
        source: "github".to_owned(),
        endpoint: "ep_1".to_owned(),
        attempt: 2,
        received_at_ms: 1_767_225_600_123,
        started_at_ms: 1_767_225_600_200,
        method: "POST".to_owned(),
        path: "/in/abc?page=2&name=a%20b+c&page=3".to_owned(),
        headers,
        body: Bytes::from_static(body.as_bytes()),
        timeout_ms: 1_000,
    }
}

const BODY: &str = r#"{"a": {"b": [{"c": "x"}, 2]}, "n": null, "e": "", "f": 1.50, "t": true, "q": "say \"hi\" {{body.t}}", "x.y": 7, "äö": "ü"}"#;

#[test]
fn texts_become() {
    let cases = [
        ("", ""),
        ("plain } }} { text", "plain } }} { text"),
        ("{{event.id}}/{{event.type}}/{{event.source}}", "msg_1/push/github"),
        ("{{ event.endpoint }} {{event.attempt}}", "ep_1 2"),
        ("{{event.received_at}}", "2026-01-01T00:00:00.123Z"),
        ("{{event.method}} {{event.path}}", "POST /in/abc?page=2&name=a%20b+c&page=3"),
        ("{{header.X-GitHub-Event}}", "push"),
        ("[{{header.x-none}}]", "[]"),
        ("{{query.page}} {{query.name}} {{query.none or 'none'}}", "2 a b c none"),
        ("{{body.a.b[0].c}} {{body.a.b[1]}}", "x 2"),
        ("{{body.a.b}}", r#"[{"c":"x"},2]"#),
        ("[{{body.a.b[2]}}][{{body.a.c}}][{{body.a.b.c}}][{{body.n}}]", "[][][][]"),
        ("{{body.f}} {{body.t}}", "1.5 true"),
        ("{{body['x.y']}} {{body[\"x.y\"]}} {{body.äö}}", "7 7 ü"),
        // A value is not read for fields.
        ("{{body.q}}", "say \"hi\" {{body.t}}"),
        (
            r#"{"q":{{json body.q}},"o":{"n":{{json body.n}}}}"#,
            r#"{"q":"say \"hi\" {{body.t}}","o":{"n":null}}"#,
        ),
        (
            "{{json body.a.b[0]}} {{json event.type}} {{json event.attempt}}",
            r#"{"c":"x"} "push" "2""#,
        ),
        ("{{body.n or 'nothing'}} {{body.e or body.a.b[1] or 'x'}}", "nothing 2"),
        ("{{'{{'}} {{ 'or' }} {{json 'a\"b'}}", "{{ or \"a\\\"b\""),
        ("{{body.missing or ''}}.", "."),
    ];
    let request = request("application/json", BODY);
    for (template, expected) in cases {
        let parsed = Template::parse(template).expect(template);
        assert_eq!(parsed.render(&request), expected, "{template}");
        assert_eq!(parsed.as_str(), template);
    }
    let whole = Template::parse("{{body}}|{{json body}}").expect("template");
    assert_eq!(whole.render(&request), format!("{BODY}|{BODY}"));
}

#[test]
fn wrong_texts_are_refused_with_the_position() {
    let cases = [
        ("ab {{body.a", 4, "not closed"),
        ("{{", 1, "not closed"),
        ("{{ ", 1, "not closed"),
        ("{{}}", 3, "a field begins with"),
        ("ü {{boddy.a}}", 5, "a field begins with"),
        ("{{event.kind}}", 3, "event.received_at"),
        ("{{event}}", 3, "takes one name"),
        ("{{header}}", 3, "takes one name"),
        ("{{header.a.b}}", 3, "takes one name"),
        ("{{header.äö}}", 3, "no name of a header"),
        ("{{query[0]}}", 3, "takes one name"),
        ("{{body.}}", 8, "a name is missing"),
        ("{{body..a}}", 8, "a name is missing"),
        ("{{body[a]}}", 7, "a number from 0"),
        ("{{body[-1]}}", 7, "a number from 0"),
        ("{{body[1}}", 7, "not closed"),
        ("{{body['a]}}", 7, "not closed"),
        ("{{body['a'}}", 7, "not closed"),
        ("{{body.a body.b}}", 10, "expected `}}` or `or`"),
        ("{{body.a or }}", 13, "a field begins with"),
        ("{{body.a or 'b}}", 13, "not closed by `'`"),
        ("{{json}}", 3, "a field begins with"),
        ("{{{body}}}", 3, "a field begins with"),
    ];
    for (template, at, problem) in cases {
        let error = Template::parse(template).expect_err(template);
        assert_eq!(error.at, at, "{template}: {error}");
        assert!(error.problem.contains(problem), "{template}: {error}");
    }
}

#[test]
fn forms_have_names() {
    let form = request(
        "application/x-www-form-urlencoded; charset=utf-8",
        "From=%2B1555&Body=hi+there&To=a&To=b",
    );
    let template = Template::parse("{{body.From}}: {{body.Body}} {{body.To[1]}} {{json body.To}}");
    assert_eq!(template.expect("template").render(&form), r#"+1555: hi there b ["a","b"]"#);
    let whole = Template::parse("{{json body}}").expect("template");
    assert_eq!(whole.render(&form), r#""From=%2B1555&Body=hi+there&To=a&To=b""#);
}

#[test]
fn bodies_that_are_neither_have_no_parts() {
    let mut plain = request("text/plain", "a=b");
    let template =
        Template::parse("{{body}} {{json body}} {{body.a or 'none'}}").expect("template");
    assert_eq!(template.render(&plain), r#"a=b "a=b" none"#);
    plain.body = Bytes::from_static(b"\xff\xfe");
    assert_eq!(template.render(&plain), "\u{fffd}\u{fffd} \"\u{fffd}\u{fffd}\" none");
    plain.body = Bytes::new();
    assert_eq!(template.render(&plain), " null none");
}

#[test]
fn values_are_escaped_and_texts_are_not() {
    let request = request("application/json", r#"{"a": "<b>"}"#);
    let template = Template::parse("<{{body.a}}{{'<'}}{{body.z or '<'}}>").expect("template");
    let text = template.render_with(&Fields::of(&request), |value, text| {
        text.push_str(&value.replace('<', "&lt;"));
    });
    assert_eq!(text, "<&lt;b><<>");
}

#[test]
fn fields_answer_paths() {
    let request = request("application/json", BODY);
    let fields = Fields::of(&request);
    assert_eq!(fields.json("a.b[1]").and_then(|v| v.as_i64()), Some(2));
    assert_eq!(fields.json("[\"x.y\"]").and_then(|v| v.as_i64()), Some(7));
    assert!(fields.json("").is_some_and(|v| v.is_object()));
    assert!(fields.json("a..b").is_none() && fields.json("a b").is_none());
    let error = Path::parse("a b").expect_err("a space");
    assert_eq!(error.at, 2, "{error}");
    let error = Path::parse(".a").expect_err("a dot");
    assert_eq!(error.at, 1, "{error}");
    let error = Path::parse("[x]").expect_err("no number");
    assert_eq!(error.at, 1, "{error}");
}

#[test]
fn fixed_texts_say_so() {
    for (template, fixed) in [("a", true), ("a{{'b'}}", true), ("{{body}}", false)] {
        let template = Template::parse(template).expect(template);
        assert_eq!(template.is_fixed(), fixed, "{template:?}");
    }
}

#[test]
fn moments_are_written_in_utc() {
    for (at_ms, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(rfc3339(at_ms), expected);
    }
}
