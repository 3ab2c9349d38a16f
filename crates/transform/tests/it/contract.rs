//! What a handler is given, and what becomes of what it returns.

use becket_egress::AttemptError;
use becket_egress::action::Transform as _;
use becket_transform::{Program, check};
use http::Method;

use super::{body_of, input, no_variables, note_of, pool, run, script};

#[tokio::test]
async fn a_handler_sees_the_delivery() {
    let seen = body_of(
        "webhook.payload = { method: webhook.method, url: webhook.url, type: webhook.eventType,
           a: webhook.payload.a, signature: webhook.headers['x-hub-signature-256'],
           twice: webhook.headers['x-twice'], hop: 'becket-hop' in webhook.headers,
           token: webhook.variables.TOKEN, global: variables.TOKEN };
         return webhook;",
    )
    .await;
    assert_eq!(
        seen,
        "{\"method\":\"POST\",\"url\":\"https://example.com/hook\",\"type\":\"order.paid\",\"a\":1,\
         \"signature\":\"sha256=ab\",\"twice\":\"1, 2\",\"hop\":false,\"token\":\"s3\",\
         \"global\":\"s3\"}"
    );
}

#[tokio::test]
async fn an_unchanged_payload_keeps_its_bytes() {
    let pool = pool();
    let reads = script(&pool, 1, "function handler(w) { JSON.stringify(w.payload); return w }");
    for body in [
        "{ \"b\" : 1.0,\n \"a\": 12345678901234567890, \"a\": 2, \"1\": \"\\u00e9\" }",
        "[1e2]",
        "\"text\"",
        "null",
        "  {}  ",
        "not json at all",
        "{\"cut",
        "a=1&b=2",
        "",
    ] {
        let made = reads.transform(input(body)).await.expect("it works");
        assert_eq!(made.body, body, "as it came");
        assert_eq!(made.headers, input("").headers);
        assert_eq!((made.method, made.url, made.cancel), (None, None, false));
    }
    let binary = b"\xff\xfe\x00binary".as_slice();
    let made = reads.transform(input(binary)).await.expect("it works");
    assert_eq!(made.body, binary);
    let nul = b"{\"a\":\0}".as_slice();
    assert_eq!(reads.transform(input(nul)).await.expect("it works").body, nul);
}

#[tokio::test]
async fn a_changed_payload_is_json_text_or_bytes() {
    assert_eq!(body_of("webhook.payload.b = [2]; return webhook").await, "{\"a\":1,\"b\":[2]}");
    assert_eq!(body_of("webhook.payload = 'a=1'; return webhook").await, "a=1");
    assert_eq!(body_of("webhook.payload = null; return webhook").await, "null");
    assert_eq!(body_of("webhook.payload = 7; return webhook").await, "7");
    assert_eq!(body_of("webhook.payload = new Uint8Array([104, 105]); return webhook").await, "hi");
    assert_eq!(
        body_of("webhook.payload = new Uint8Array([104, 105]).buffer; return webhook").await,
        "hi"
    );
    assert_eq!(
        body_of("webhook.payload = new Uint16Array([0x6968]).subarray(0, 1); return webhook").await,
        "hi"
    );
    // Half a character cannot be sent: as in other programs, something else stands in its place.
    assert_eq!(body_of("webhook.payload = 'a\\ud800b'; return webhook").await, "a\u{fffd}b");
    let made = run("function handler(w) { w.payload = { t: '\\udc00' }; return w }", "{}").await;
    assert_eq!(made.expect("it works").body, "{\"t\":\"\\udc00\"}");
    let other = "function handler(w) { return { payload: { made: true }, method: 'PUT' } }";
    let made = run(other, "{}").await.expect("another object will do");
    assert_eq!(
        (made.method, made.body.as_ref()),
        (Some(Method::PUT), b"{\"made\":true}".as_slice())
    );
}

#[tokio::test]
async fn method_url_and_headers_can_be_changed() {
    let code = "function handler(webhook) {
        webhook.method = 'patch';
        webhook.url = 'https://other.example/' + webhook.payload.a;
        webhook.headers['X-New'] = 'n\u{e9}w';
        webhook.headers['x-number'] = 5;
        webhook.headers['x-list'] = ['a', 'b'];
        webhook.headers['x-twice'] = null;
        delete webhook.headers['x-hub-signature-256'];
        return webhook;
    }";
    let made = run(code, "{\"a\":1}").await.expect("it works");
    assert_eq!(made.method, Some(Method::PATCH));
    assert_eq!(made.url.as_deref(), Some("https://other.example/1"));
    let header = |name: &str| made.headers.get(name).map(|value| value.as_bytes());
    assert_eq!(header("x-new"), Some(b"n\xe9w".as_slice()));
    assert_eq!(header("x-number"), Some(b"5".as_slice()));
    assert_eq!(header("x-list"), Some(b"a, b".as_slice()));
    assert_eq!((header("x-twice"), header("x-hub-signature-256")), (None, None));
    assert_eq!(header("content-type"), Some(b"application/json".as_slice()));
    assert_eq!(header("becket-hop"), Some(b"1".as_slice()), "not the code's to remove");
    // Headers of the code's own are laid over what was there.
    let code = "function handler(w) { w.headers = { Authorization: 'Bearer x', 'x-twice': null };
        return w }";
    let made = run(code, "{}").await.expect("it works");
    assert_eq!(made.headers.get("authorization").expect("set"), "Bearer x");
    assert!(made.headers.contains_key("content-type") && !made.headers.contains_key("x-twice"));
}

#[tokio::test]
async fn a_delivery_can_be_cancelled() {
    let code = "function handler(w) { console.log('no'); w.cancel = true; w.payload = undefined;
        return w }";
    let made = run(code, "{}").await.expect("it works");
    assert!(made.cancel);
    assert_eq!(made.log, "no\n");
    for falsy in ["false", "0", "''", "null", "undefined", "NaN"] {
        let code = format!("function handler(w) {{ w.cancel = {falsy}; return w }}");
        assert!(!run(&code, "{}").await.expect("it works").cancel, "{falsy}");
    }
}

#[tokio::test]
async fn what_is_written_to_the_console_is_kept() {
    let code = "console.log('loading');
        function handler(w) {
            console.log('a', 1, null, undefined, true, { b: [2] }, 3n, Symbol('s'), () => 1);
            console.warn(new TypeError('odd'));
            console.log({ toJSON() { throw new Error('hidden') } });
            console.log('half \\ud800');
            return w;
        }";
    let made = run(code, "{}").await.expect("it works");
    assert_eq!(
        made.log,
        "loading\na 1 null undefined true {\"b\":[2]} 3 [a symbol] [function ]\n\
         warn: TypeError: odd\n[an object]\n[a text]\n"
    );
    let code = "function handler(w) { for (let i = 0; i < 10000; i++) console.log('x'.repeat(99)); \
                throw new Error('late') }";
    let failure = run(code, "{}").await.expect_err("it throws");
    assert!(failure.log.len() <= becket_transform::LOG_BYTES_MAX + 3, "{}", failure.log.len());
    assert!(failure.log.ends_with('\u{2026}'));
}

#[tokio::test]
async fn handlers_may_be_async_and_declared_as_anyone_likes() {
    for code in [
        "async function handler(w) { await null; w.payload.b = 2; return w }",
        "const handler = (w) => Promise.resolve().then(() => { w.payload.b = 2; return w })",
        "let handler = async (w) => ({ ...w, payload: { a: 1, b: 2 } })",
        "var handler = function (w) { w.payload.b = 2; return w }",
        "globalThis.handler = (w) => { b = 2; w.payload.b = b; return w }",
        "class H { static run(w) { w.payload.b = 2; return w } } const handler = H.run",
    ] {
        let made = run(code, "{\"a\":1}").await;
        assert_eq!(made.expect(code).body, "{\"a\":1,\"b\":2}", "{code}");
    }
    let never = note_of("function handler() { return new Promise(() => {}) }").await;
    assert!(never.contains("promise that nothing settles"), "{never}");
    let rejected = note_of("async function handler() {\n\n  throw new Error('no') }").await;
    assert_eq!(rejected, "line 3: Error: no");
    assert_eq!(
        note_of("async function handler() { throw 3 }").await,
        "it threw 3, which is no Error"
    );
}

#[tokio::test]
async fn failures_say_where_and_what() {
    for (code, note) in [
        (
            "function handler(w) {\n  return w.nothing.here\n}",
            "line 2: TypeError: cannot read property 'here' of undefined",
        ),
        ("function handler(w) {\n  return w\n\n  }}", "line 4: SyntaxError: "),
        ("let x = ;", "line 1: SyntaxError: "),
        ("throw new RangeError('top')", "line 1: RangeError: top"),
        ("", "there is no function called handler"),
        ("var handler = 3", "there is no function called handler"),
        (
            "function handler() {}",
            "handler has to return the webhook object; it returned undefined",
        ),
        ("function handler() { return null }", "it returned null"),
        ("function handler(w) { return 'text' }", "it returned a text"),
        ("function handler(w) { return handler }", "it returned a function"),
        ("function handler(w) { return {} }", "webhook.payload is undefined"),
        (
            "function handler(w) { w.payload = w.payload.missing; return w }",
            "webhook.payload is undefined",
        ),
        (
            "function handler(w) { w.payload = () => 1; return w }",
            "webhook.payload cannot be sent: it is a function",
        ),
        (
            "function handler(w) { w.payload = Symbol(); return w }",
            "webhook.payload cannot be sent: it is a symbol",
        ),
        ("function handler(w) { w.payload = 10n; return w }", "TypeError: "),
        (
            "function handler(w) { w.method = 'DELETE'; return w }",
            "webhook.method has to be POST, PUT or PATCH",
        ),
        (
            "function handler(w) { w.method = 1; return w }",
            "webhook.method has to be a text, not a number",
        ),
        (
            "function handler(w) { w.url = {}; return w }",
            "webhook.url has to be a text, not an object",
        ),
        (
            "function handler(w) { w.headers = []; return w }",
            "webhook.headers has to be an object, not an array",
        ),
        (
            "function handler(w) { w.headers = { a: {} }; return w }",
            "the header a has to be a text, not an object",
        ),
        ("function handler(w) { w.headers.a = 'b\\r\\nc: d'; return w }", "line breaks"),
        (
            "function handler(w) { w.headers['a\\r\\nc'] = 'b'; return w }",
            "the header ac: a header name",
        ),
        (
            "function handler(w) { w.headers['webhook-signature'] = 'v1,x'; return w }",
            "set by the gateway",
        ),
        ("function handler(w) { w.headers.host = 'x'; return w }", "belongs to the connection"),
        ("function handler(w) { w.headers.a = '\\u20ac'; return w }", "up to U+00FF"),
        (
            "function handler(w) { for (let i = 0; i < 101; i++) w.headers['x-' + i] = '1'; return w }",
            "more than 100 headers",
        ),
        ("import x from 'y'; function handler(w) { return w }", "line 1: SyntaxError: "),
        ("export default function handler(w) { return w }", "line 1: SyntaxError: "),
        ("function handler(w) { return w }\0", "NUL"),
    ] {
        let said = note_of(code).await;
        assert!(said.contains(note), "{code}\n  said: {said}\n  expected: {note}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_call() {
    let pool = pool();
    let code = "var count = (globalThis.count || 0) + 1; Array.prototype.left = 1;
        Object.prototype.toString.left = 1; globalThis.seen = (globalThis.seen || 0) + 1;
        function handler(w) { w.payload = [count, [].left2, seen, {}.toString.left2, typeof secret];
          Array.prototype.left2 = 1; Object.prototype.toString.left2 = 1; secret = 'x'; return w }";
    for endpoint in [1, 1, 2, 1, 2] {
        let made = script(&pool, endpoint, code).transform(input("{}")).await.expect("it works");
        assert_eq!(made.body, "[1,null,1,null,\"undefined\"]");
    }
}

#[tokio::test]
async fn code_is_checked_by_loading_it() {
    let pool = pool();
    let checked = async |code: &str| {
        let program = Program { code: code.to_owned(), variables: no_variables() };
        check(&pool, 0, program.into()).await
    };
    assert_eq!(checked("function handler(w) { throw new Error('not called') }").await, Ok(()));
    let trouble = checked("function handler(w) {\n  retrun w }").await.expect_err("wrong");
    assert_eq!(trouble.line, Some(2));
    assert!(trouble.column.is_some() && trouble.message.starts_with("SyntaxError"), "{trouble}");
    assert!(checked("while (true) {}").await.expect_err("endless").timed_out);
    assert!(checked("1").await.expect_err("no handler").message.contains("handler"));
    let long = " ".repeat(becket_transform::CODE_BYTES_MAX + 1);
    assert!(checked(&long).await.expect_err("long").message.contains("longer"));
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_started_is_a_failure_that_says_so() {
    let pool = super::pool_with(|config| config.launcher.program = "/nowhere/becket".into());
    let failure = script(&pool, 1, "").transform(input("{}")).await.expect_err("nothing there");
    assert_eq!(failure.error, AttemptError::TransformFailed);
    assert!(failure.note.contains("could not be started"), "{}", failure.note);
}
